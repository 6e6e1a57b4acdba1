//! Models as others store them: in several files, in other number formats, with tensors that mean nothing, or in formats
//! that are not read.

use super::place::{Place, says, stderr};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const WRITE: [&str; 4] = ["--prompt", "the", "--tokens", "12"];

fn generated(place: &Place, model: &str) -> Value {
    place.json(&[&["generate", model][..], &WRITE].concat())["text"].clone()
}

/// Copies a run's model to `name` without its weights; returns the bytes of these.
fn copied(place: &Place, name: &str) -> Vec<u8> {
    fs::create_dir_all(place.path(name)).unwrap();
    for file in ["config.json", "tokenizer.json"] {
        fs::copy(place.path("run/model").join(file), place.path(name).join(file)).unwrap();
    }
    fs::read(place.path("run/model/model.safetensors")).unwrap()
}

fn save<'a>(path: &Path, tensors: impl Iterator<Item = (String, TensorView<'a>)>) {
    fs::write(path, safetensors::serialize(tensors, None).unwrap()).unwrap();
}

#[test]
fn a_model_in_several_files_is_read() {
    let place = Place::new();
    place.train(&[]);
    let bytes = copied(&place, "parts");
    let tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    let mut map = serde_json::Map::new();
    for (i, part) in tensors.chunks(5).enumerate() {
        let name = format!("part-{i}.safetensors");
        save(&place.path("parts").join(&name), part.iter().cloned());
        map.extend(part.iter().map(|(tensor, _)| (tensor.clone(), name.clone().into())));
    }
    let index = json!({ "metadata": {}, "weight_map": map });
    fs::write(place.path("parts/model.safetensors.index.json"), index.to_string()).unwrap();
    assert_eq!(generated(&place, "parts"), generated(&place, "run"));
    // A text that was compressed with the model in one file is restored with the other, and costs as much.
    let compress =
        |model: &str, out: &str| place.json(&["compress", model, "text.txt", "--out", out]);
    let (one, several) = (compress("run", "one.gbc"), compress("parts", "several.gbc"));
    place.fine(&["decompress", "parts", "one.gbc", "--out", "again.txt"]);
    assert_eq!(
        fs::read(place.path("again.txt")).unwrap(),
        fs::read(place.path("text.txt")).unwrap()
    );
    let bytes = |report: &Value| report["model_bytes"].as_f64().unwrap();
    assert!((bytes(&one) - bytes(&several)).abs() < 2000.0, "{one} {several}");
    fs::remove_file(place.path("parts/part-1.safetensors")).unwrap();
    let said = place.refused(&["generate", "parts"]);
    says(&said, &["model.safetensors.index.json", "in part-1.safetensors, which is missing"]);
}

#[test]
fn a_model_is_converted() {
    let place = Place::new();
    place.train(&[]);
    let convert = ["convert", "run", "--out", "half", "--dtype"];
    let report = place.json(&[&convert[..], &["bf16"]].concat());
    let size = fs::metadata(place.path("half/model.safetensors")).unwrap().len();
    assert_eq!(report["bytes"], size);
    let parameters = report["parameters"].as_u64().unwrap();
    assert!(size > 2 * parameters && size < 2 * parameters + 4000, "{size}");
    assert_eq!(report["copied"], json!(["tokenizer.json", "tokenizer_config.json"]));
    let read = |name: &str| fs::read(place.path(name)).unwrap();
    let config: Value = serde_json::from_slice(&read("half/config.json")).unwrap();
    assert_eq!(config["torch_dtype"], "bfloat16");
    assert_eq!(read("half/tokenizer.json"), read("run/model/tokenizer.json"));
    place.fine(&[&["generate", "half"][..], &WRITE].concat());
    let loss = |model: &str| {
        let measured = place.json(&["evaluate", model, "--data", "text.txt"]);
        measured["loss"].as_f64().unwrap()
    };
    assert!((loss("half") - loss("run")).abs() < 0.02);
    // Nothing is replaced unasked, and only a model is replaced.
    let before = place.files();
    says(
        &place.refused(&[&convert[..], &["f32"]].concat()),
        &["half holds a model", "--overwrite"],
    );
    let to = |out: &str| place.refused(&["convert", "half", "--out", out, "--overwrite"]);
    says(&to("run"), &["run holds something that is not a model directory"]);
    says(&to("text.txt"), &["text.txt is a file"]);
    says(&to("half"), &["the model cannot replace itself"]);
    says(&place.refused(&["convert", "none", "--out", "x"]), &["none holds no model"]);
    let unknown = place.refused(&[&convert[..], &["int8"]].concat());
    says(&unknown, &["int8", "expected f16, bf16, f32 or f64"]);
    assert!(before == place.files());
    // Back in f32, a bfloat16 is the same number.
    place.fine(&["convert", "half", "--out", "whole"]);
    assert_eq!(loss("whole"), loss("half"));
    place.fine(&["convert", "run", "--out", "whole", "--overwrite"]);
    assert_eq!(read("whole/model.safetensors"), read("run/model/model.safetensors"));
}

#[test]
fn a_number_too_large_for_a_format_is_named() {
    let place = Place::new();
    place.train(&[]);
    let bytes = copied(&place, "large");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let name = "transformer.h.0.mlp.c_fc.weight";
    let table = file.tensor(name).unwrap();
    let mut data = table.data().to_vec();
    data[8..12].copy_from_slice(&70_000_f32.to_le_bytes());
    let changed = TensorView::new(Dtype::F32, table.shape().to_vec(), &data).unwrap();
    let others = file.tensors().into_iter().filter(|(n, _)| n != name);
    let all = others.chain([(name.to_owned(), changed)]);
    save(&place.path("large/model.safetensors"), all);
    let said = place.refused(&["convert", "large", "--out", "out", "--dtype", "f16"]);
    says(&said, &[name, "holds 70000.0 at element 2, more than f16 can hold"]);
    assert!(!place.path("out").exists());
    place.fine(&["convert", "large", "--out", "out", "--dtype", "bf16"]);
}

#[test]
fn tensors_that_are_ignored_are_named() {
    let place = Place::new();
    place.train(&[]);
    let bytes = copied(&place, "old");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mask = [1; 25];
    let mask = TensorView::new(Dtype::U8, vec![1, 1, 5, 5], &mask).unwrap();
    let buffer = [("transformer.h.0.attn.bias".to_owned(), mask)];
    let head = ("lm_head.weight".to_owned(), file.tensor("transformer.wte.weight").unwrap());
    let path = place.path("old/model.safetensors");
    save(&path, file.tensors().into_iter().chain(buffer).chain([head]));
    for verb in [&["generate", "old", "--tokens", "2"][..], &["convert", "old", "--out", "new"]] {
        let output = place.run(verb);
        assert!(output.status.success());
        let said = "ignored  2 tensors that hold no parameters: h.0.attn.bias, lm_head.weight\n";
        assert_eq!(stderr(&output).matches(said).count(), 1, "{}", stderr(&output));
    }
    for model in ["new", "run", "run/model"] {
        let output = place.run(&["generate", model, "--tokens", "2"]);
        assert!(!stderr(&output).contains("ignored"));
    }
}

#[test]
fn other_formats_are_named_with_what_to_do() {
    let place = Place::new();
    place.train(&[]);
    copied(&place, "other");
    for (file, parts) in [
        ("pytorch_model.bin", ["PyTorch's pickle format", "safe_serialization=True"]),
        ("pytorch_model.bin.index.json", ["PyTorch's pickle format", "from_pretrained"]),
        ("tf_model.h5", ["TensorFlow's format", "from_tf=True"]),
        ("flax_model.msgpack", ["Flax's format", "from_flax=True"]),
        ("tiny.gguf", ["GGUF", "gguf_file='tiny.gguf'"]),
    ] {
        fs::write(place.path("other").join(file), "x").unwrap();
        for verb in ["generate", "evaluate", "check", "explain"] {
            let said = place.refused(&[verb, "other"]);
            says(&said, &[file, parts[0], parts[1], "model.safetensors is expected"]);
        }
        fs::remove_file(place.path("other").join(file)).unwrap();
    }
    // Without a config.json, as GGUF has none; and the file itself.
    fs::create_dir(place.path("bare")).unwrap();
    for file in ["tiny.gguf", "pytorch_model.bin"] {
        fs::write(place.path("bare").join(file), "x").unwrap();
        let parts = [file, "model.safetensors is expected"];
        says(&place.refused(&["generate", "bare"]), &parts);
        says(&place.refused(&["generate", &format!("bare/{file}")]), &parts);
        fs::remove_file(place.path("bare").join(file)).unwrap();
    }
    says(&place.refused(&["generate", "other"]), &["model.safetensors: No such file"]);
}
