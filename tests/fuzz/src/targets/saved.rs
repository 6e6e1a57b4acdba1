//! Binary files, with checksums: they are tried as they are, and sealed, as if the checksum were right.

use super::runs::tiny;
use super::{Scratch, accepted, refused};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use transformer::disk::{checkpoint, files};
use transformer::generation::compression::Compressor;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Architecture, Biases, Corpus, OptimizerKind, Trainer, TrainingConfig};

thread_local! {
    static SCRATCH: Scratch = Scratch::new();
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A safetensors file with these tensors, and what is said of them.
fn tensors(views: &[(String, TensorView<'_>)], about: HashMap<String, String>) -> Option<Vec<u8>> {
    let views = views.iter().map(|(name, view)| (name, view));
    safetensors::serialize(views, Some(about)).ok()
}

/// A `config.json`, a zero byte, a `model.safetensors`.
pub fn model(data: &[u8]) {
    let at = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (config, weights) = (&data[..at], data.get(at + 1..).unwrap_or_default());
    SCRATCH.with(|scratch| {
        scratch.write("config.json", config);
        scratch.write("model.safetensors", weights);
        let directory = scratch.path("");
        let again = scratch.path("again");
        match files::read::<f32>(&directory) {
            Err(error) => refused(error),
            Ok((config, parameters)) => {
                accepted("weights");
                assert!(parameters.iter().all(|p| p.is_finite()), "read promises finite weights");
                files::write(&again, &config, &parameters).expect("what was read can be written");
                assert_eq!(files::read(&again).expect("what was written"), (config, parameters));
            }
        }
        match files::read_with_faults::<f64>(&directory) {
            Err(error) => refused(error),
            Ok((config, parameters)) => {
                accepted("weights with faults");
                files::write(&again, &config, &parameters).expect("what was read can be written");
                let (_, read) = files::read_with_faults::<f64>(&again).expect("what was written");
                let bits = |all: &[f64]| all.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                // NaN may change its sign on the way, and is NaN.
                assert!(bits(&read) == bits(&parameters) || parameters.iter().any(|x| x.is_nan()));
            }
        }
    });
}

/// What this program writes, without biases, with a head of its own; and tensors of every type, as others write them.
pub fn model_seeds() -> Vec<Vec<u8>> {
    let small = Architecture {
        vocabulary: 3,
        context: 2,
        width: 2,
        heads: 1,
        hidden: 3,
        ..Default::default()
    };
    let configs = [small.clone(), Architecture { biases: Biases::NONE, tied: false, ..small }];
    let scratch = Scratch::new();
    let mut seeds = Vec::new();
    for config in configs {
        let parameters: Vec<f32> = (0..config.parameters()).map(|i| (i as f32).sin()).collect();
        files::write(&scratch.path(""), &config, &parameters).expect("a model");
        let read = |name| std::fs::read(scratch.path(name)).expect("a model");
        let (config, weights) = (read("config.json"), read("model.safetensors"));
        seeds.push([&config[..], &[0], &weights].concat());
        let file = SafeTensors::deserialize(&weights).expect("a model");
        for (kind, size) in [(Dtype::F16, 2), (Dtype::BF16, 2), (Dtype::F64, 8)] {
            let number =
                |x: &[u8]| f64::from(f32::from_le_bytes(x.try_into().expect("four bytes")));
            let bytes = |view: &TensorView<'_>| match size {
                8 => view.data().chunks(4).flat_map(|x| number(x).to_le_bytes()).collect(),
                _ => vec![0; view.data().len() / 2],
            };
            let all: Vec<_> = file
                .tensors()
                .into_iter()
                .map(|(n, v)| (n, v.shape().to_vec(), bytes(&v)))
                .collect();
            let views: Vec<_> = all
                .iter()
                .map(|(n, s, b)| {
                    (n.clone(), TensorView::new(kind, s.clone(), b).expect("as many bytes"))
                })
                .collect();
            let weights = tensors(&views, HashMap::new()).expect("tensors");
            seeds.push([&config[..], &[0], &weights].concat());
        }
    }
    seeds
}

/// The text of the run.
const DATA: &str = "of the text";

fn trainer(optimizer: OptimizerKind) -> Trainer<f32> {
    let config = TrainingConfig { optimizer, ..tiny() };
    let mut trainer =
        Trainer::new(config.clone(), &config.model(3).expect("sizes")).expect("a small model");
    let corpus =
        Corpus::text((0..60).map(|i| i % 3).collect(), 0.2, config.context).expect("a text");
    trainer.step(&corpus).expect("a step");
    trainer
}

fn state_of(trainer: &mut Trainer<f32>) -> (u64, Vec<Vec<u32>>) {
    let steps = trainer.steps();
    let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect();
    (steps, trainer.state().into_iter().map(|(_, numbers)| bits(numbers)).collect())
}

fn restore(trainer: &mut Trainer<f32>, (steps, state): &(u64, Vec<Vec<u32>>)) {
    trainer.set_steps(*steps);
    for ((_, numbers), saved) in trainer.state().into_iter().zip(state) {
        numbers.iter_mut().zip(saved).for_each(|(x, bits)| *x = f32::from_bits(*bits));
    }
}

/// `state.safetensors`, read by a trainer with the optimizer that the file names.
pub fn state(data: &[u8]) {
    thread_local! {
        static TRAINERS: RefCell<Vec<Trainer<f32>>> =
            RefCell::new(OptimizerKind::ALL.iter().map(|&optimizer| trainer(optimizer)).collect());
    }
    TRAINERS.with_borrow_mut(|trainers| {
        let named = optimizer_of(data).unwrap_or(tiny().optimizer);
        let trainer = trainers.iter_mut().find(|t| t.config().optimizer == named);
        let trainer = trainer.expect("a trainer for every optimizer");
        loaded(data, trainer);
        if let Some(sealed) = sealed_state(data) {
            loaded(&sealed, trainer);
        }
    });
}

fn optimizer_of(file: &[u8]) -> Option<OptimizerKind> {
    let (_, header) = SafeTensors::read_metadata(file).ok()?;
    serde_json::from_str(header.metadata().as_ref()?.get("setting.optimizer")?).ok()
}

fn loaded(file: &[u8], trainer: &mut Trainer<f32>) {
    SCRATCH.with(|scratch| {
        let path = scratch.write("state.safetensors", file);
        let before = state_of(trainer);
        match checkpoint::load(&path, trainer, DATA) {
            Err(error) => {
                refused(error);
                assert!(
                    state_of(trainer) == before,
                    "a refused state left something in the trainer"
                );
            }
            Ok(about) => {
                accepted("state");
                let now = state_of(trainer);
                assert_eq!(about.steps, now.0);
                let again = scratch.path("again.safetensors");
                checkpoint::save(&again, trainer, DATA).expect("what was read can be written");
                restore(trainer, &before);
                checkpoint::load(&again, trainer, DATA).expect("what was written");
                assert!(state_of(trainer) == now, "what was written is the same when it is read");
            }
        }
        restore(trainer, &before);
        match checkpoint::load_with_faults(&path, trainer, DATA) {
            Err(error) => {
                refused(error);
                assert!(
                    state_of(trainer) == before,
                    "a refused state left something in the trainer"
                );
            }
            Ok(_) => accepted("state with faults"),
        }
        restore(trainer, &before);
        let list = trainer.model().tape().parameter_list();
        match checkpoint::parameters::<f32>(&path, &list) {
            Err(error) => refused(error),
            Ok((parameters, _)) => assert!(parameters.iter().all(|p| p.is_finite())),
        }
        let count = trainer.model().tape().parameters().len();
        match checkpoint::remembered::<f32>(&path, trainer.config(), count) {
            Err(error) => refused(error),
            Ok((_, memory)) => assert!(memory.iter().all(|(_, numbers)| numbers.len() == count)),
        }
    });
}

/// The same file with the checksum that it would have been given.
fn sealed_state(file: &[u8]) -> Option<Vec<u8>> {
    let (_, header) = SafeTensors::read_metadata(file).ok()?;
    let there = SafeTensors::deserialize(file).ok()?;
    let mut about: BTreeMap<String, String> = header.metadata().clone()?.into_iter().collect();
    about.remove("sha256");
    let steps: u64 = about.get("steps")?.parse().ok()?;
    let mut hash = Sha256::new();
    let named = about.contains_key("version");
    let mut say = |key: &str, value: &str| hash.update(format!("{key}={value}\n"));
    if named {
        say("version", &about["version"]);
        say("steps", &steps.to_string());
        say("data_sha256", about.get("data_sha256").map_or("", |v| v));
        about.get("vectors").into_iter().for_each(|vectors| say("vectors", vectors));
        let settings = about.iter().filter(|(key, _)| key.starts_with("setting."));
        settings.for_each(|(key, value)| say(key, value));
    } else {
        hash.update(steps.to_string());
    }
    for name in checkpoint::NAMES.iter() {
        let Ok(tensor) = there.tensor(name) else { continue };
        if named {
            hash.update(format!("{name}:{}\n", tensor.data().len()));
        }
        hash.update(tensor.data());
    }
    about.insert("sha256".to_owned(), hexadecimal(&hash.finalize()));
    tensors(&there.tensors(), about.into_iter().collect())
}

/// A state of every optimizer, after one step.
pub fn state_seeds() -> Vec<Vec<u8>> {
    let scratch = Scratch::new();
    let path = scratch.path("state");
    let said =
        |file: &[u8]| SafeTensors::read_metadata(file).expect("a header").1.metadata().clone();
    let seed = |&optimizer| {
        checkpoint::save(&path, &mut trainer(optimizer), DATA).expect("a state");
        let state = std::fs::read(&path).expect("a state");
        // The checksum is the one that the program gives.
        let sealed = sealed_state(&state).expect("a state");
        assert_eq!(said(&sealed), said(&state), "{optimizer:?}");
        state
    };
    OptimizerKind::ALL.iter().map(seed).collect()
}

/// A small model of bytes.
struct Small {
    config: Architecture,
    parameters: Vec<f32>,
    tokenizer: Tokenizer,
}

impl Small {
    fn new() -> Self {
        let config = Architecture {
            vocabulary: 256,
            context: 4,
            width: 2,
            heads: 1,
            hidden: 2,
            ..Default::default()
        };
        let parameters = (0..config.parameters()).map(|i| (i as f32 * 0.7).sin()).collect();
        Small { config, parameters, tokenizer: Tokenizer::bytes() }
    }

    fn compressor(&self) -> Compressor<'_> {
        Compressor::new(&self.config, &self.parameters, &self.tokenizer).expect("a small model")
    }
}

/// A compressed file; and the same bytes as a text that is compressed.
pub fn compressed(data: &[u8]) {
    thread_local! {
        static SMALL: Small = Small::new();
    }
    SMALL.with(|small| {
        let compressor = small.compressor();
        for file in [data.to_vec(), sealed_text(data, &compressor.model())] {
            match Compressor::tokens(&file) {
                Err(error) => refused(error),
                // What takes long is refused by the program, which asks first.
                Ok(tokens) if tokens > 500 => {}
                Ok(_) => match compressor.decompress(&file, |_| ()) {
                    Err(error) => refused(error),
                    Ok(_) => accepted("file"),
                },
            }
        }
        let text = &data[..data.len().min(60)];
        let file = compressor.compress(text, |_| ()).expect("every byte is a token");
        assert_eq!(Compressor::tokens(&file.bytes).ok(), Some(text.len()));
        assert_eq!(compressor.decompress(&file.bytes, |_| ()).expect("what was compressed"), text);
    });
}

/// The same file as of this model, and with the checksum of all that follows it.
fn sealed_text(file: &[u8], model: &str) -> Vec<u8> {
    let mut sealed = file.to_vec();
    sealed.resize(sealed.len().max(16), 0);
    let byte = |i: usize| u8::from_str_radix(&model[2 * i..2 * i + 2], 16).expect("hexadecimal");
    sealed[..4].copy_from_slice(b"GBC\x02");
    (0..8).for_each(|i| sealed[8 + i] = byte(i));
    let checksum = Sha256::digest(&sealed[8..]);
    sealed[4..8].copy_from_slice(&checksum[..4]);
    sealed
}

/// Nothing, and a few bytes.
pub fn compressed_seeds() -> Vec<Vec<u8>> {
    let small = Small::new();
    let compressed = |text: &[u8]| small.compressor().compress(text, |_| ()).expect("bytes").bytes;
    vec![compressed(b""), compressed(b"not to be"), compressed(&[0xff; 40])]
}
