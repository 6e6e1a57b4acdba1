use super::*;
use crate::disk::files;
use crate::model::architecture::{Biases, Norm, Positions, Rotary};
use serde_json::json;

fn gpt2() -> Architecture {
    Architecture {
        vocabulary: 10,
        context: 12,
        width: 16,
        heads: 4,
        layers: 2,
        hidden: 14,
        ..Architecture::default()
    }
}

fn llama() -> Architecture {
    Architecture {
        positions: Positions::Rotary(Rotary::default()),
        norm: Norm::Rms,
        gated: true,
        biases: Biases::NONE,
        key_value_heads: Some(2),
        ..gpt2()
    }
}

/// Writes a model, changes keys of its configuration, and reads it again.
fn read(config: &Architecture, changes: &[(&str, Value)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    files::write(directory.path(), config, &vec![0.5_f32; config.parameters()]).unwrap();
    let path = directory.path().join("config.json");
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (key, value) in changes {
        json[key] = value.clone();
    }
    std::fs::write(&path, json.to_string()).unwrap();
    files::read::<f32>(directory.path()).unwrap_err().to_string()
}

/// Every size of a configuration that a shape shows: the error names the key, its value and that of the tensors, and a
/// tensor with both shapes. The rows of the table are the whole numbers of the file that is written.
#[test]
fn a_size_that_contradicts_the_tensors_is_named() {
    // Not shown by shapes: the number of heads that has keys of its own, and what follows from other keys.
    for (config, hidden) in [
        (gpt2(), &["n_head", "n_ctx"][..]),
        (llama(), &["num_attention_heads", "head_dim", "max_position_embeddings"]),
    ] {
        let family = crate::model::family::of(&config);
        let written = family.write(&config);
        let sizes = written.as_object().unwrap().iter().filter(|(_, value)| value.is_u64());
        let mut seen = 0;
        for (key, value) in sizes.filter(|(key, _)| !hidden.contains(&key.as_str())) {
            let value = value.as_u64().unwrap();
            for other in [2 * value, value / 2] {
                let changes = [(key.as_str(), json!(other)), ("head_dim", Value::Null)];
                let error = read(&config, &changes);
                let found = match key.as_str() {
                    "n_layer" | "num_hidden_layers" => {
                        format!(
                            "{key} of config.json is {other}, but the tensors are of 2 layers: the last has "
                        )
                    }
                    _ => format!(": {key} is {other}, and this tensor needs {value}"),
                };
                assert!(error.contains(&found), "{key}: {error}");
                seen += 1;
            }
        }
        assert_eq!(seen, 2 * 5, "{written}");
    }
}

/// Without `n_inner` it is four times `n_embd`; a size under its general name counts too.
#[test]
fn a_size_that_is_implied_is_named() {
    let error = read(&gpt2(), &[("n_inner", Value::Null)]);
    let expected = "tensor h.0.mlp.c_fc.weight has shape [16, 14], but config.json implies [16, 64]: \
                    n_inner is 64, and this tensor needs 14";
    assert!(error.ends_with(expected), "{error}");
    let error = read(&llama(), &[("num_key_value_heads", json!(4))]);
    let expected = "tensor layers.0.self_attn.k_proj.weight has shape [8, 16], but config.json implies \
                    [16, 16]: num_key_value_heads is 4, and this tensor needs 2";
    assert!(error.ends_with(expected), "{error}");
}

/// A file much longer than the model that is claimed is not read, and its header says why.
#[test]
fn a_file_that_is_too_long_is_compared_by_its_header() {
    let wide = Architecture { width: 2048, heads: 2, hidden: 16, layers: 1, ..gpt2() };
    let error = read(&wide, &[("n_embd", json!(2))]);
    assert!(error.contains(": n_embd is 2, and this tensor needs 2048"), "{error}");
}
