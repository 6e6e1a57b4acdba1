//! Files of a model directory beside its configuration and its weights.

use super::{Scratch, accepted, refused};
use safetensors::SafeTensors;
use std::cell::LazyCell;
use transformer::Architecture;
use transformer::disk::files;

/// The files of the model's tensors: every second one is in the second file.
const FILES: [&str; 2] = ["first.safetensors", "second.safetensors"];

/// A directory with a model in two files, its parameters, and its index.
fn sharded() -> (Scratch, Vec<f32>, Vec<u8>) {
    let scratch = Scratch::new();
    let config = Architecture {
        vocabulary: 3,
        context: 2,
        width: 2,
        heads: 1,
        hidden: 3,
        ..Default::default()
    };
    let parameters: Vec<f32> = (0..config.parameters()).map(|i| (i as f32).sin()).collect();
    files::write(&scratch.path(""), &config, &parameters).expect("a model");
    let single = scratch.path("model.safetensors");
    let bytes = std::fs::read(&single).expect("a model");
    std::fs::remove_file(single).expect("a file");
    let mut tensors = SafeTensors::deserialize(&bytes).expect("a model").tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut index = serde_json::json!({ "metadata": { "total_size": bytes.len() } });
    for (i, file) in FILES.iter().enumerate() {
        let part: Vec<_> = tensors.iter().skip(i).step_by(2).cloned().collect();
        part.iter().for_each(|(name, _)| index["weight_map"][name] = (*file).into());
        let bytes = safetensors::serialize(part, None).expect("tensors");
        scratch.write(file, &bytes);
    }
    (scratch, parameters, index.to_string().into_bytes())
}

/// `model.safetensors.index.json` of a model in two files: it is refused, or the model is read.
pub fn index(data: &[u8]) {
    thread_local! {
        static MODEL: LazyCell<(Scratch, Vec<f32>, Vec<u8>)> = const { LazyCell::new(sharded) };
    }
    MODEL.with(|model| {
        let (scratch, parameters, _) = &**model;
        scratch.write("model.safetensors.index.json", data);
        match files::read::<f32>(&scratch.path("")) {
            Err(error) => refused(error),
            Ok((_, read)) => {
                accepted("index");
                assert_eq!(&read, parameters, "the files decide, not the index");
            }
        }
    });
}

/// The index of the model.
pub fn index_seeds() -> Vec<Vec<u8>> {
    vec![sharded().2]
}

/// `generation_config.json`: it is refused, or its sampler is valid.
pub fn generation(data: &[u8]) {
    thread_local! {
        static SCRATCH: Scratch = Scratch::new();
    }
    SCRATCH.with(|scratch| {
        scratch.write("generation_config.json", data);
        match files::read_generation_config(&scratch.path("")) {
            Err(error) => refused(error),
            Ok(config) => {
                accepted("generation");
                config.sampler().validate().expect("what is read is valid");
            }
        }
    });
}

/// A file as others write it.
pub fn generation_seeds() -> Vec<Vec<u8>> {
    let drawn = r#"{ "bos_token_id": 1, "eos_token_id": [2, 3], "do_sample": true, "temperature": 0.6, "top_k": 40,
        "top_p": 0.9, "min_p": 0.05, "typical_p": 0.8, "repetition_penalty": 1.1, "transformers_version": "5.0.0" }"#;
    let greedy = r#"{ "eos_token_id": 2, "max_length": 20, "pad_token_id": null }"#;
    [drawn, greedy].map(|text| text.as_bytes().to_vec()).to_vec()
}
