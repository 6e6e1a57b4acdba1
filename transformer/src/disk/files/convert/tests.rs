//! Tests of conversions.

use super::*;
use crate::disk::files::{ignored_tensors, read, sha256, write, write_as, write_tokenizer};
use crate::model::architecture::Architecture;
use crate::model::family;
use crate::text::tokenizer::Tokenizer;
use linalg::half::{bf16_to_f32, f16_to_f32, f64_to_bf16, f64_to_f16};
use serde_json::Value;
use std::fs;

fn small(family: &str) -> Architecture {
    let usual = family::usual(family).unwrap();
    let embedding_scale = if usual.embedding_scale == 1.0 { 1.0 } else { 16_f64.sqrt() };
    Architecture {
        embedding_scale,
        vocabulary: 7,
        context: 5,
        width: 16,
        heads: 2,
        key_value_heads: None,
        head_width: None,
        hidden: 6,
        layers: 4,
        window: None,
        ..usual
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The number format is stated under the key that is there, or under the one that every version of transformers reads.
#[test]
fn the_number_format_is_in_the_configuration() {
    for (keys, written) in [
        (serde_json::json!({ "dtype": "float32" }), "dtype"),
        (serde_json::json!({ "torch_dtype": "float32" }), "torch_dtype"),
        (serde_json::json!({}), "torch_dtype"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        write_config(directory.path(), keys, NumberFormat::Bf16).unwrap();
        let found = json(&directory.path().join("config.json"));
        assert_eq!(found, serde_json::json!({ written: "bfloat16" }));
    }
    let config = Architecture { gated: true, ..small("gpt2") };
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    write(&from, &config, &vec![0.25_f32; config.parameters()]).unwrap();
    convert(&from, &to, NumberFormat::F16).unwrap();
    assert_eq!(json(&from.join("config.json")), json(&to.join("config.json")));
    assert_eq!(read::<f32>(&to).unwrap().0, config);
}

/// Every number is the nearest of its format, in every family, and the configuration keeps its keys.
#[test]
fn a_model_is_rounded_once() {
    let mut stored = Vec::new();
    for name in family::names().filter(|name| *name != "glassbox") {
        let config = small(name);
        stored.push(family::of(&config).name());
        let parameters: Vec<f64> =
            (0..config.parameters()).map(|i| ((i + 1) as f64).sin() / 3.0).collect();
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        write(&from, &config, &parameters).unwrap();
        write_tokenizer(&from, &Tokenizer::characters_of("abcdefg")).unwrap();
        let mut keys = json(&from.join("config.json"));
        keys["eos_token_id"] = 3.into();
        keys["own"] = "kept".into();
        fs::write(from.join("config.json"), keys.to_string()).unwrap();
        for format in NumberFormat::ALL {
            let done = convert(&from, &to, format).unwrap();
            assert_eq!(done.parameters, parameters.len());
            assert_eq!(done.copied, ["tokenizer.json", "tokenizer_config.json"]);
            for file in done.copied {
                assert_eq!(fs::read(from.join(file)).unwrap(), fs::read(to.join(file)).unwrap());
            }
            let round = |x: &f64| match format {
                NumberFormat::F16 => f64::from(f16_to_f32(f64_to_f16(*x))),
                NumberFormat::Bf16 => f64::from(bf16_to_f32(f64_to_bf16(*x))),
                NumberFormat::F32 => f64::from(*x as f32),
                NumberFormat::F64 => *x,
            };
            let expected: Vec<f64> = parameters.iter().map(round).collect();
            let (read, found) = read::<f64>(&to).unwrap();
            assert_eq!((&read, found == expected), (&config, true), "{name} {format}");
            keys["torch_dtype"] = format.hugging_face().into();
            assert_eq!(json(&to.join("config.json")), keys, "{name}");
            let size = fs::metadata(to.join(SINGLE)).unwrap().len();
            assert_eq!(done.bytes, size);
            assert!((size as usize).abs_diff(format.bytes() * done.parameters) < 8192);
        }
    }
    stored.dedup();
    assert_eq!(
        stored,
        [
            "gpt2",
            "llama",
            "qwen2",
            "qwen3",
            "gemma2",
            "gemma3_text",
            "gpt_neox",
            "olmo2",
            "smollm3",
            "granite",
            // Phi-3-mini has no part that Llama does not have.
            "llama"
        ]
    );
}

#[test]
fn a_number_that_does_not_fit_is_refused_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    let config = small("llama");
    // The key projection of the file begins at row 16 of the parameter.
    let list = config.parameter_list().unwrap();
    let map = list.iter().find(|p| p.name.contains("qkv.weight")).unwrap();
    for (format, x) in
        [(NumberFormat::F16, 65520.0), (NumberFormat::Bf16, 3.4e38), (NumberFormat::F32, -3.5e38)]
    {
        let mut parameters = vec![0.5_f64; config.parameters()];
        parameters[map.range.start + 16] = x;
        write(&from, &config, &parameters).unwrap();
        let error = convert(&from, &to, format).unwrap_err().to_string();
        let name = "model.layers.0.self_attn.k_proj.weight";
        let expected = format!("{name} holds {x:?} at element 0, more than {format} can hold");
        assert!(error.contains(&expected), "{error}");
        assert!(!to.exists());
        parameters[map.range.start + 16] = x / 1.2;
        write(&from, &config, &parameters).unwrap();
        convert(&from, &to, format).unwrap();
        fs::remove_dir_all(&to).unwrap();
    }
}

/// A model that is replaced leaves nothing that would be taken for the new one's.
#[test]
fn an_earlier_model_is_replaced() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("from"), place.path().join("to"));
    let config = small("gpt2");
    write(&from, &config, &vec![0.25_f32; config.parameters()]).unwrap();
    fs::create_dir(&to).unwrap();
    for name in ["tokenizer.json", "generation_config.json", INDEX, "own.txt"] {
        fs::write(to.join(name), "{}").unwrap();
    }
    let done = convert(&from, &to, NumberFormat::Bf16).unwrap();
    assert!(done.copied.is_empty());
    let mut left: Vec<_> =
        fs::read_dir(&to).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["config.json", SINGLE, "own.txt"]);
    let (same, name) = (place.path().join("from/../from"), "the model cannot replace itself");
    assert!(convert(&from, &same, NumberFormat::F16).unwrap_err().to_string().contains(name));
}

/// What is converted to a wider format and back is the same file, with the same checksum.
#[test]
fn a_conversion_and_its_inverse() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let config = small("gpt2");
    let parameters: Vec<f32> = (0..config.parameters()).map(|i| (i as f32).cos()).collect();
    write_as(&path("a"), &config, &parameters, NumberFormat::Bf16).unwrap();
    convert(&path("a"), &path("b"), NumberFormat::F64).unwrap();
    convert(&path("b"), &path("c"), NumberFormat::Bf16).unwrap();
    let file = |name: &str| fs::read(path(name).join(SINGLE)).unwrap();
    assert_eq!(file("a"), file("c"));
    let sum = |name: &str| sha256(&read::<f32>(&path(name)).unwrap().1);
    assert_eq!(sum("a"), sum("b"));
    assert_eq!(ignored_tensors(&path("c")).unwrap(), Vec::<String>::new());
}
