//! Models of several families that transformers made, with values in double precision throughout: logits, loss, every
//! gradient, ten steps of AdamW, greedy tokens through the cache. And a Llama that tells stories.

use calculus::clip;
use calculus::matrices;
use calculus::optimizer::{Adam, Optimizer};
use linalg::Real;
use probability::sample::Sampler;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use tests::golden::{self, largest_difference, worst_gradient};
use tests::outside_data;
use transformer::disk::files::{self, NumberFormat};
use transformer::model::family;
use transformer::{Architecture, Form, IGNORED, RecordedStep, Writer};

/// The directories of models, one of every family; none without outside data.
fn directories() -> Vec<PathBuf> {
    let Some(families) = outside_data("families") else { return vec![] };
    let entries = std::fs::read_dir(&families).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    let read = |path: &PathBuf| family::of(&files::read_config(path).unwrap()).name();
    let mut read: Vec<&str> = found.iter().map(read).collect();
    read.dedup();
    // The last family is this project's own; others are in the table that is part of the sources.
    let known: Vec<&str> = family::names().collect();
    let own = tabled();
    let own: Vec<&str> = own["models"].as_array().unwrap().iter().map(model_type).collect();
    for name in &known[..known.len() - 1] {
        let is = read.contains(name) || own.contains(name);
        assert!(is, "no model of {name} in {}", families.display());
    }
    found
}

/// The models of `tests/authority/families.py`.
fn tabled() -> Value {
    json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("authority/families.json"))
}

fn model_type(model: &Value) -> &str {
    model["config"]["model_type"].as_str().unwrap()
}

/// Writes a model of that table, with the weights of its formula.
fn write_tabled(directory: &Path, model: &Value) {
    std::fs::write(directory.join("config.json"), model["config"].to_string()).unwrap();
    let shapes: BTreeMap<String, Vec<usize>> =
        serde_json::from_value(model["shapes"].clone()).unwrap();
    let bytes = |(place, shape): (usize, &Vec<usize>)| -> Vec<u8> {
        let element = |k: usize| {
            let x = ((7919 * k + 104_729 * place) % 1009) as f64 / 1009.0 - 0.5;
            if shape.len() == 1 { 1.0 + 0.5 * x } else { x }
        };
        (0..shape.iter().product()).flat_map(|k| element(k).to_le_bytes()).collect()
    };
    let data: Vec<Vec<u8>> = shapes.values().enumerate().map(bytes).collect();
    let views = shapes.iter().zip(&data).map(|((name, shape), data)| {
        (name, TensorView::new(Dtype::F64, shape.clone(), data).unwrap())
    });
    safetensors::serialize_to_file(views, None, &directory.join("model.safetensors")).unwrap();
}

/// Families that outside data does not have: logits, loss and every gradient.
#[test]
fn tabled_models_are_those_of_transformers() {
    let table = tabled();
    let (tokens, targets) = (rows(&table["tokens"]), rows(&table["targets"]));
    let (sequences, length) = (tokens.len(), tokens[0].len());
    let (tokens, targets) = (tokens.concat(), targets.concat());
    let plain = |name: &str| name.strip_prefix("model.").unwrap_or(name).to_owned();
    for model in table["models"].as_array().unwrap() {
        let place = tempfile::tempdir().unwrap();
        write_tabled(place.path(), model);
        let gradients: HashMap<String, Vec<f64>> =
            serde_json::from_value(model["gradients"].clone()).unwrap();
        let gradients = gradients.into_iter().map(|(name, g)| (plain(&name), g)).collect();
        for form in [Form::Fused, Form::Textbook] {
            let mut own = golden::model::<f64>(place.path(), sequences, length, form);
            let kind = model_type(model);
            let loss = golden::step(&mut own, &tokens, &targets);
            let off = (loss - model["loss"].as_f64().unwrap()).abs();
            assert!(off <= 1e-12, "{kind}: loss {loss}, {off:e} off");
            if let Some(logits) = own.logits_var() {
                let expected = numbers(&model["logits"]);
                let largest = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
                let error = largest_difference(own.tape().elements(logits), &expected) / largest;
                assert!(error <= 1e-12, "{kind}: logits {error:e} off");
            }
            // Another family that has the architecture names its tensors otherwise.
            if family::of(own.config()).name() != kind {
                continue;
            }
            let (worst, error) = worst_gradient(&own, &gradients);
            println!("{kind} {form:?}: loss {off:.1e} off, {worst} {error:.1e}");
            assert!(error <= 1e-9, "{kind} {form:?}: {worst} {error:e}");
        }
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(json: &Value) -> Vec<f64> {
    serde_json::from_value(json.clone()).unwrap()
}

/// Rows of token ids; what is ignored is negative there.
fn rows(json: &Value) -> Vec<Vec<u32>> {
    let rows: Vec<Vec<i64>> = serde_json::from_value(json.clone()).unwrap();
    let own = |t: i64| u32::try_from(t).unwrap_or(IGNORED);
    rows.into_iter().map(|row| row.into_iter().map(own).collect()).collect()
}

/// A model of a directory and its batch.
struct Golden<T: Real> {
    json: Value,
    model: RecordedStep<T>,
    tokens: Vec<u32>,
    targets: Vec<u32>,
}

fn golden<T: Real>(directory: &Path, form: Form) -> Golden<T> {
    let json = json(&directory.join("golden.json"));
    let (tokens, targets) = (rows(&json["tokens"]), rows(&json["targets"]));
    let model = golden::model(directory, tokens.len(), tokens[0].len(), form);
    Golden { json, model, tokens: tokens.concat(), targets: targets.concat() }
}

fn logits<T: Real>(directory: &Path, bound: f64) {
    let Golden { mut model, tokens, targets, json } = golden::<T>(directory, Form::Textbook);
    let loss = model.loss(&tokens, &targets).unwrap();
    let expected = golden::tensors(&directory.join("logits.safetensors"));
    let expected = expected.values().next().expect("logits");
    let largest = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let logits = model.tape().elements(model.logits_var().expect("a textbook's"));
    let error = largest_difference(logits, expected) / largest;
    println!("{}: logits {error:.2e} off", directory.display());
    assert!(error <= bound, "{}: {error:e}", directory.display());
    let off = (loss - json["loss"].as_f64().unwrap()).abs();
    assert!(off <= bound.max(1e-12) * loss, "{}: loss {loss}", directory.display());
}

#[test]
fn logits_and_losses() {
    for directory in directories() {
        logits::<f64>(&directory, 1e-12);
        logits::<f32>(&directory, 1e-5);
    }
}

#[test]
fn gradients() {
    for directory in directories() {
        let expected = golden::tensors(&directory.join("gradients_f64.safetensors"));
        for form in [Form::Fused, Form::Textbook] {
            let Golden { mut model, tokens, targets, json } = golden::<f64>(&directory, form);
            golden::step(&mut model, &tokens, &targets);
            let (worst, error) = worst_gradient(&model, &expected);
            println!("{} {form:?}: {worst} is {error:.2e} off", directory.display());
            assert!(error <= 1e-9, "{} {form:?}: {worst} {error:e}", directory.display());
            let norm = clip::global_norm(model.tape().gradients());
            let off = (norm / json["gradient_norm"].as_f64().unwrap() - 1.0).abs();
            assert!(off <= 1e-9, "{}: {norm}", directory.display());
        }
    }
}

/// A model keeps its family, and so its tensors, when its numbers get another format.
#[test]
fn a_converted_model_keeps_its_tensors() {
    for model in tabled()["models"].as_array().unwrap() {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        std::fs::create_dir(&from).unwrap();
        write_tabled(&from, model);
        files::convert(&from, &to, NumberFormat::F64).unwrap();
        let of = |directory: &Path| golden::tensors(&directory.join("model.safetensors"));
        assert_eq!(of(&from), of(&to), "{}", model_type(model));
        assert_eq!(files::read::<f64>(&from).unwrap(), files::read::<f64>(&to).unwrap());
    }
}

/// Losses of AdamW with decay of matrices, and clipping.
fn descend(
    model: &mut RecordedStep<f64>,
    (tokens, targets): (&[u32], &[u32]),
    [rate, beta1, beta2, epsilon, decay, limit]: [f64; 6],
    expected: &[f64],
) {
    let parameters = model.tape().parameters().len();
    let mut adam: Adam<f64> = Adam::new(parameters, beta1, beta2, epsilon)
        .with_decay(decay, matrices(&model.tape().parameter_list()));
    for (i, expected) in expected.iter().enumerate() {
        let loss = golden::step(model, tokens, targets);
        assert!((loss - expected).abs() <= 1e-9, "step {i}: {loss}, expected {expected}");
        let (parameters, gradients) = model.tape_mut().parameters_and_gradients();
        clip::by_global_norm(gradients, limit);
        adam.step(rate, parameters, gradients);
    }
}

#[test]
fn ten_steps_of_adamw() {
    for directory in directories() {
        let Golden { mut model, tokens, targets, json } = golden::<f64>(&directory, Form::Fused);
        let adamw = &json["adamw"];
        let setting = |key: &str| adamw[key].as_f64().unwrap();
        let settings = ["learning_rate", "beta1", "beta2", "epsilon", "weight_decay", "clip"];
        let losses = numbers(&adamw["losses"]);
        assert_eq!(losses.len(), 10);
        descend(&mut model, (&tokens, &targets), settings.map(setting), &losses);
    }
}

/// The most probable tokens after a prompt, through the cache.
fn greedy(directory: &Path, prompt: &[u32], count: usize) -> Vec<u32> {
    let (config, parameters) = files::read::<f32>(directory).unwrap();
    let mut writer = Writer::new(&config, &parameters, None).unwrap();
    let greedy = Sampler { temperature: 0.0, ..Sampler::default() };
    let written = writer.write(prompt, greedy, 0).unwrap().take(count);
    written.collect::<Result<_, _>>().unwrap()
}

/// As [`greedy`], each token from a recording of all tokens so far.
fn greedy_uncached(directory: &Path, prompt: &[u32], count: usize) -> Vec<u32> {
    let (config, parameters) = files::read::<f64>(directory).unwrap();
    let mut all = prompt.to_vec();
    for _ in 0..count {
        let n = all.len();
        let mut model: RecordedStep<f64> =
            RecordedStep::record_forward_only(&config, 1, n, Form::Textbook).unwrap();
        model.copy_parameters(&parameters);
        model.loss(&all, &vec![0; n]).unwrap();
        let logits = model.tape().value(model.logits_var().expect("a textbook's"));
        let next = logits.column(n - 1).argmax().0;
        all.push(next as u32);
    }
    all.split_off(prompt.len())
}

#[test]
fn greedy_tokens() {
    for directory in directories() {
        let json = json(&directory.join("golden.json"));
        let all: Vec<u32> = serde_json::from_value(json["greedy"].clone()).unwrap();
        let (prompt, expected) = all.split_at(json["prompt"].as_u64().unwrap() as usize);
        assert_eq!(expected.len(), 16);
        assert_eq!(greedy(&directory, prompt, 16), expected, "{}", directory.display());
        assert_eq!(greedy_uncached(&directory, prompt, 16), expected, "{}", directory.display());
    }
}

/// What is written is what was read, by name and number; and it reads again.
#[test]
fn a_model_is_written_as_it_was_read() {
    for directory in directories() {
        let (config, parameters) = files::read::<f32>(&directory).unwrap();
        let written = tempfile::tempdir().unwrap();
        files::write(written.path(), &config, &parameters).unwrap();
        let of = |directory: &Path| golden::tensors(&directory.join("model.safetensors"));
        let (own, theirs) = (of(written.path()), of(&directory));
        for (name, tensor) in &own {
            assert_eq!(theirs.get(name), Some(tensor), "{name} of {}", directory.display());
        }
        let again = files::read::<f32>(written.path()).unwrap();
        assert_eq!(again, (config, parameters));
    }
}

const STORIES: &str = "stories260k";

/// A row of the published story, predicted token by token.
fn story<T: Real>(directory: &Path, form: Form) -> (RecordedStep<T>, Vec<u32>, Vec<u32>) {
    let ids: Vec<u32> =
        serde_json::from_value(json(&directory.join("golden.json"))["greedy_ids"].clone()).unwrap();
    let (tokens, targets) = (ids[..ids.len() - 1].to_vec(), ids[1..].to_vec());
    (golden::model(directory, 1, tokens.len(), form), tokens, targets)
}

#[test]
fn a_llama_that_tells_stories_has_its_logits_loss_and_gradients() {
    let Some(directory) = outside_data(STORIES) else { return };
    let (mut model, tokens, targets) = story::<f64>(&directory, Form::Textbook);
    let loss = golden::step(&mut model, &tokens, &targets);
    assert!((loss - 0.47341766144909103).abs() <= 1e-9, "{loss}");
    let file = golden::tensors(&directory.join("logits.safetensors"));
    let expected = file.iter().find(|(name, _)| name.contains("64")).expect("in f64").1;
    let logits = model.tape().elements(model.logits_var().expect("a textbook's"));
    let error = largest_difference(logits, &expected[..logits.len()]);
    println!("logits {error:.2e} off");
    assert!(error <= 1e-9, "{error:e}");
    let gradients = golden::tensors(&directory.join("gradients_f64.safetensors"));
    for form in [Form::Fused, Form::Textbook] {
        let (mut model, tokens, targets) = story::<f64>(&directory, form);
        golden::step(&mut model, &tokens, &targets);
        let (worst, error) = worst_gradient(&model, &gradients);
        println!("{form:?}: {worst} is {error:.2e} off");
        assert!(error <= 1e-9, "{form:?}: {worst} {error:e}");
    }
}

#[test]
fn a_llama_that_tells_stories_learns_as_in_pytorch() {
    let Some(directory) = outside_data(STORIES) else { return };
    let golden = &json(&directory.join("golden.json"))["adamw"];
    let setting = |key: &str| golden[key].as_f64().unwrap();
    let betas = numbers(&golden["betas"]);
    let settings = [setting("lr"), betas[0], betas[1], setting("eps"), 0.1, setting("grad_clip")];
    let losses = numbers(&golden["trajectory"]["f64"]["loss"]);
    assert_eq!(losses.len(), 10);
    let (mut model, tokens, targets) = story::<f64>(&directory, Form::Fused);
    descend(&mut model, (&tokens, &targets), settings, &losses);
}

/// Its published story, 200 tokens, and its loss on stories of the data that it was trained on.
#[test]
fn a_llama_that_tells_stories_tells_its_story() {
    let Some(directory) = outside_data(STORIES) else { return };
    let golden = json(&directory.join("golden.json"));
    let ids: Vec<u32> = serde_json::from_value(golden["greedy_ids"].clone()).unwrap();
    assert_eq!(ids.len(), 201);
    assert_eq!(greedy(&directory, &ids[..1], 200), ids[1..]);
    // Forty windows, one after another.
    let stories = json(&directory.join("tinystories_loss.json"));
    let ids: Vec<u32> = serde_json::from_value(stories["ids"].clone()).unwrap();
    let (length, windows) = (512, 40);
    let (config, parameters) = files::read::<f32>(&directory).unwrap();
    let mut model: RecordedStep<f32> =
        RecordedStep::record_forward_only(&config, 1, length, Form::Fused).unwrap();
    model.copy_parameters(&parameters);
    let loss = |start: usize| {
        model.loss(&ids[start..start + length], &ids[start + 1..=start + length]).unwrap()
    };
    let mean = (0..windows).map(|i| i * length).map(loss).sum::<f64>() / windows as f64;
    let expected = stories["mean_ce_f32"].as_f64().unwrap();
    assert!((mean - expected).abs() <= 1e-5, "{mean}, expected {expected}");
}

/// Parts that no family of transformers has together are stored in this project's own format.
#[test]
fn parts_that_no_family_has_are_written_in_our_own_format() {
    let config = Architecture { gated: true, ..Architecture::default() };
    assert_eq!(family::of(&config).name(), "glassbox");
    let lacking = family::lacking(&config).join("; ");
    assert!(lacking.contains("gpt2: gated is true, and would become false"), "{lacking}");
    assert!(family::lacking(&Architecture::default()).is_empty());
    let parameters = config.initial_parameters(3).unwrap();
    let directory = tempfile::tempdir().unwrap();
    files::write(directory.path(), &config, &parameters).unwrap();
    assert_eq!(files::read::<f32>(directory.path()).unwrap(), (config, parameters));
}
