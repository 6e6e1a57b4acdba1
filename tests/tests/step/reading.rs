//! What a model's files mean: what is absent means what transformers means, what is there is read, and a number of
//! any format is that number. Outside values: `tests/authority/transformer.json`, by transformers and PyTorch.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tests::authority::{Entry, table};
use tests::{models, tolerance};
use transformer::disk::files;
use transformer::{Activation, Architecture, Biases, Form, Norm, Positions, RecordedStep, Rotary};

fn entries(function: &str) -> Vec<Entry> {
    let all = table("transformer");
    let found: Vec<Entry> = all.into_iter().filter(|e| e.function.starts_with(function)).collect();
    assert!(!found.is_empty(), "no value of {function}");
    found
}

/// No size or rate equals another, or a default.
fn config() -> Architecture {
    Architecture {
        vocabulary: 11,
        context: 13,
        width: 12,
        heads: 3,
        layers: 2,
        hidden: 17,
        epsilon: 3e-3,
        activation: Activation::Relu,
        biases: Biases::ALL,
        tied: false,
        dropout: 0.3,
        ..Architecture::default()
    }
}

fn written() -> Value {
    serde_json::from_str(&config().to_json()).expect("JSON")
}

/// [`config`] with another value at a key, read.
fn with(key: &str, value: Value) -> Result<Architecture, String> {
    let mut json = written();
    json[key] = value;
    Architecture::from_json(&json.to_string()).map_err(|e| e.to_string())
}

#[test]
fn what_is_absent_means_what_transformers_means() {
    for entry in entries("absent ") {
        let key = &entry.function["absent ".len()..];
        let mut json = written();
        json.as_object_mut().expect("an object").remove(key);
        let read = Architecture::from_json(&json.to_string());
        let expected = entry.expected[0];
        let own = config();
        let usize_of = expected as usize;
        let meant = match key {
            "layer_norm_epsilon" => Architecture { epsilon: expected, ..own },
            "resid_pdrop" => Architecture { dropout: expected, ..own },
            "tie_word_embeddings" => Architecture { tied: expected == 1.0, ..own },
            "n_inner" => Architecture { hidden: usize_of, ..own },
            "n_embd" => Architecture { width: usize_of, ..own },
            "n_layer" => Architecture { layers: usize_of, ..own },
            "n_head" => Architecture { heads: usize_of, ..own },
            "vocab_size" => Architecture { vocabulary: usize_of, ..own },
            "n_positions" => Architecture { context: usize_of, ..own },
            "activation_function" => {
                let read = read.expect("an activation of its own");
                agrees(&activated(&read, &entry.inputs[0]), &entry);
                continue;
            }
            _ => own,
        };
        assert_eq!(read, Ok(meant), "{key}");
    }
}

#[test]
fn what_is_there_is_read_and_nothing_else_changes() {
    let own = config();
    for (key, value, meant) in [
        ("vocab_size", json!(23), Architecture { vocabulary: 23, ..own.clone() }),
        ("n_positions", json!(9), Architecture { context: 9, ..own.clone() }),
        ("n_embd", json!(24), Architecture { width: 24, ..own.clone() }),
        ("n_head", json!(6), Architecture { heads: 6, ..own.clone() }),
        ("n_layer", json!(4), Architecture { layers: 4, ..own.clone() }),
        ("n_inner", json!(19), Architecture { hidden: 19, ..own.clone() }),
        ("n_inner", Value::Null, Architecture { hidden: 48, ..own.clone() }),
        ("layer_norm_epsilon", json!(0.25), Architecture { epsilon: 0.25, ..own.clone() }),
        ("resid_pdrop", json!(0.7), Architecture { dropout: 0.7, ..own.clone() }),
        ("tie_word_embeddings", json!(true), Architecture { tied: true, ..own.clone() }),
        (
            "glassbox",
            json!({ "bias": false }),
            Architecture { biases: Biases::NONE, ..own.clone() },
        ),
        ("glassbox", json!({}), own.clone()),
        (
            "scale_attn_weights",
            json!(false),
            Architecture { score_scale: Some(1.0), ..own.clone() },
        ),
        (
            "scale_attn_by_inverse_layer_idx",
            json!(true),
            Architecture { score_scale_by_layer: true, ..own.clone() },
        ),
        ("bos_token_id", json!(1), own.clone()),
    ] {
        assert_eq!(with(key, value.clone()), Ok(meant), "{key}: {value}");
    }
    for (key, value) in [
        ("model_type", json!("bert")),
        ("add_cross_attention", json!(true)),
        ("activation_function", json!("mish")),
        ("layer_norm_epsilon", json!("small")),
        ("layer_norm_epsilon", json!(-1e-5)),
        ("resid_pdrop", json!(1.0)),
        ("tie_word_embeddings", json!(1)),
        ("n_embd", json!(13)),
        ("n_inner", json!(1.5)),
        ("n_layer", json!(0)),
    ] {
        assert!(with(key, value.clone()).is_err(), "{key}: {value}");
    }
}

#[test]
fn what_is_written_is_read() {
    let activations = [
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Relu,
        Activation::Silu,
        Activation::Tanh,
    ];
    for (i, activation) in activations.into_iter().enumerate() {
        for (bias, tied) in [(true, true), (true, false), (false, true), (false, false)] {
            let biases = Biases::everywhere(bias);
            let config = Architecture { activation, biases, tied, hidden: 17 + i, ..config() };
            assert_eq!(Architecture::from_json(&config.to_json()), Ok(config));
        }
    }
    // And transformers finds every size and rate under each of the names that it asks.
    let json = written();
    let own = config();
    let numbers: [(&str, f64); 11] = [
        ("vocab_size", own.vocabulary as f64),
        ("n_positions", own.context as f64),
        ("n_ctx", own.context as f64),
        ("n_embd", own.width as f64),
        ("n_head", own.heads as f64),
        ("n_layer", own.layers as f64),
        ("n_inner", own.hidden as f64),
        ("layer_norm_epsilon", own.epsilon),
        ("embd_pdrop", own.dropout),
        ("attn_pdrop", own.dropout),
        ("resid_pdrop", own.dropout),
    ];
    for (key, expected) in numbers {
        assert_eq!(json[key].as_f64(), Some(expected), "{key}");
    }
    assert_eq!(
        (&json["tie_word_embeddings"], &json["activation_function"]),
        (&json!(false), &json!("relu"))
    );
}

/// The activation of a model, at these numbers: of hidden features whose map is 0 and whose biases they are.
fn activated(config: &Architecture, x: &[f64]) -> Vec<f64> {
    let config = Architecture { hidden: x.len(), biases: Biases::ALL, ..config.clone() };
    let mut model = RecordedStep::<f64>::record(&config, 1, 1, Form::Fused, 0).unwrap();
    for p in model.tape().parameter_list() {
        let own = &mut model.tape_mut().parameters_mut()[p.range];
        if p.name.ends_with("expanded.bias") {
            own.copy_from_slice(x);
        } else {
            own.fill(0.0);
        }
    }
    model.loss(&[1], &[1]).unwrap();
    let tape = model.tape();
    tape.elements(tape.find("block.1.feed_forward.activated").unwrap()).to_vec()
}

/// Within 10⁻¹⁰: transformers writes √(2/π) of `gelu_fast` with ten digits.
fn agrees(found: &[f64], entry: &Entry) {
    for (found, expected) in found.iter().zip(&entry.expected) {
        let error = (found - expected).abs();
        assert!(
            error <= 1e-10,
            "{}: {found} where {} says {expected}",
            entry.function,
            entry.source
        );
    }
}

#[test]
fn an_activation_is_the_function_of_its_name() {
    let mut names = Vec::new();
    for entry in entries("activation ") {
        let name = &entry.function["activation ".len()..];
        let read = with("activation_function", json!(name)).unwrap();
        agrees(&activated(&read, &entry.inputs[0]), &entry);
        // Under the name that is written, transformers finds the same function.
        let json: Value = serde_json::from_str(&read.to_json()).unwrap();
        let written = json["activation_function"].as_str().unwrap().to_owned();
        let other = &entries(&format!("activation {written}"))[0];
        agrees(&other.expected, &entry);
        names.push(written);
    }
    names.dedup();
    assert_eq!(names, ["gelu", "gelu_new", "relu", "silu", "tanh"]);
}

#[test]
fn every_norm_uses_the_models_epsilon() {
    for epsilon in [1e-5, 0.5, 20.0] {
        for form in [Form::Fused, Form::Textbook] {
            let config = Architecture { epsilon, dropout: 0.0, ..config() };
            let mut model = RecordedStep::<f64>::record(&config, 1, 4, form, 0).unwrap();
            let list = model.tape().parameter_list();
            model.copy_parameters(&models::parameters(3, &list));
            for p in list.iter().filter(|p| p.name.contains("norm")) {
                let value = if p.name.ends_with("bias") { 0.0 } else { 1.0 };
                model.tape_mut().parameters_mut()[p.range.clone()].fill(value);
            }
            model.loss(&[1, 2, 3, 4], &[2, 3, 4, 5]).unwrap();
            let of = |name: &str| model.tape().value(model.tape().find(name).expect("a value"));
            for (norm, from) in [
                ("block.0.norm_1", "embedding.sum"),
                ("block.0.norm_2", "block.0.attended"),
                ("block.1.norm_1", "block.0.output"),
                ("block.1.norm_2", "block.1.attended"),
                ("norm", "block.1.output"),
            ] {
                for (y, x) in of(norm).column_iter().zip(of(from).column_iter()) {
                    let mean = x.mean();
                    let variance =
                        x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
                    for (y, x) in y.iter().zip(x.iter()) {
                        let expected = (x - mean) / (variance + epsilon).sqrt();
                        let error = (y - expected).abs();
                        assert!(
                            error <= tolerance::sum(4 * config.width),
                            "{norm}: {y}, {expected}"
                        );
                    }
                }
            }
        }
    }
}

/// A directory that goes away with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("reading-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Tensors = HashMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn tensors(directory: &Path) -> Tensors {
    let bytes = std::fs::read(directory.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let all = file.tensors().into_iter();
    all.map(|(n, t)| (n, (t.dtype(), t.shape().to_vec(), t.data().to_vec()))).collect()
}

fn replace(directory: &Path, tensors: &Tensors) {
    let views =
        tensors.iter().map(|(n, (d, s, b))| (n, TensorView::new(*d, s.clone(), b).unwrap()));
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(directory.join("model.safetensors"), bytes).unwrap();
}

#[test]
fn a_number_is_read_as_its_format_defines_it() {
    let directory = Directory::new("formats");
    for (format, dtype) in [("float16", Dtype::F16), ("bfloat16", Dtype::BF16)] {
        let entry = &entries(format)[0];
        let n = entry.expected.len();
        let config = Architecture { vocabulary: n, width: 2, heads: 1, ..config() };
        let zeros = vec![0.0_f32; config.parameters()];
        files::write(&directory.0, &config, &zeros).unwrap();
        let mut all = tensors(&directory.0);
        // Row by row: feature 0 of a token has the number, feature 1 the one after it.
        let bits: Vec<u16> = entry.inputs[0].iter().map(|b| *b as u16).collect();
        let pairs = (0..n).flat_map(|t| [bits[t], bits[(t + 1) % n]]);
        let table = all.get_mut("transformer.wte.weight").unwrap();
        *table = (dtype, table.1.clone(), pairs.flat_map(u16::to_le_bytes).collect());
        replace(&directory.0, &all);
        let (_, read) = files::read::<f64>(&directory.0).unwrap();
        let expected: Vec<f64> =
            (0..n).flat_map(|t| [entry.expected[t], entry.expected[(t + 1) % n]]).collect();
        assert_eq!(read[..2 * n], expected, "{format}, by {}", entry.source);
        let (_, read) = files::read::<f32>(&directory.0).unwrap();
        assert!(read.iter().zip(&expected).all(|(r, e)| f64::from(*r) == *e));
    }
    // Numbers of 64 bits stay them.
    let config = config();
    let thirds: Vec<f64> = (0..config.parameters()).map(|i| (i as f64 + 1.0) / 3.0).collect();
    files::write(&directory.0, &config, &thirds).unwrap();
    assert_eq!(files::read::<f64>(&directory.0).unwrap().1, thirds);
    let (_, read) = files::read::<f32>(&directory.0).unwrap();
    assert!(read.iter().zip(&thirds).all(|(r, e)| *r == *e as f32));
}

/// transformers' Conv1D is (in, out), its tables have a row for each token, its vectors one index.
#[test]
fn a_matrix_lies_in_a_file_as_transformers_has_it() {
    let directory = Directory::new("layout");
    let config = config();
    let model = RecordedStep::<f64>::record(&config, 1, 1, Form::Fused, 0).unwrap();
    let numbers: Vec<f64> = (0..config.parameters()).map(|i| i as f64).collect();
    files::write(&directory.0, &config, &numbers).unwrap();
    let all = tensors(&directory.0);
    let (list, family) = (model.tape().parameter_list(), transformer::model::family::of(&config));
    assert_eq!(all.len(), list.len());
    for p in list {
        let [tensor] = &family.tensors(&config, &p)[..] else { panic!("one tensor a parameter") };
        let head = tensor.name.starts_with("lm_head");
        let name = if head { tensor.name.clone() } else { format!("transformer.{}", tensor.name) };
        let (_, shape, bytes) = &all[&name];
        let stored: Vec<f64> = bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        let own = &numbers[p.range.clone()];
        let (rows, columns) = (p.shape.rows, p.shape.columns);
        if p.name.ends_with("bias") || p.name.contains("norm") {
            assert_eq!((&shape[..], &stored[..]), (&[rows][..], own), "{name}");
            continue;
        }
        assert_eq!(shape[..], [columns, rows], "{name}");
        // Element [i][o] of (in, out) is what input i adds to output o.
        for (o, i) in (0..rows).flat_map(|o| (0..columns).map(move |i| (o, i))) {
            assert_eq!(stored[i * rows + o], own[i * rows + o], "{name}");
        }
        let square = all["transformer.h.0.attn.c_attn.weight"].1.clone();
        assert_eq!(square, [config.width, 3 * config.width]);
    }
}

#[test]
fn weights_that_are_not_finite_are_refused_in_every_format() {
    let directory = Directory::new("finite");
    let config = config();
    files::write(&directory.0, &config, &vec![0.5_f32; config.parameters()]).unwrap();
    let sound = tensors(&directory.0);
    for name in ["transformer.wte.weight", "transformer.h.1.mlp.c_fc.bias", "lm_head.weight"] {
        let count = sound[name].1.iter().product::<usize>();
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let half: u16 = if x.is_nan() {
                0x7e00
            } else if x > 0.0 {
                0x7c00
            } else {
                0xfc00
            };
            let one = (x as f32).to_bits();
            for (dtype, bytes) in [
                (Dtype::F64, x.to_le_bytes().to_vec()),
                (Dtype::F32, one.to_le_bytes().to_vec()),
                (Dtype::BF16, ((one >> 16) as u16).to_le_bytes().to_vec()),
                (Dtype::F16, half.to_le_bytes().to_vec()),
            ] {
                let mut all = sound.clone();
                let mut data = vec![0; bytes.len() * count];
                let last = data.len() - bytes.len();
                data[last..].copy_from_slice(&bytes);
                all.insert(name.to_owned(), (dtype, sound[name].1.clone(), data));
                replace(&directory.0, &all);
                let error = files::read::<f32>(&directory.0).unwrap_err().to_string();
                let plain = name.strip_prefix("transformer.").unwrap_or(name);
                assert!(error.contains(plain), "{dtype:?} {x}: {error}");
            }
        }
    }
}

#[test]
fn no_tensor_is_thrown_away() {
    let directory = Directory::new("biases");
    let config = Architecture { biases: Biases::NONE, ..config() };
    files::write(&directory.0, &config, &vec![0.5_f32; config.parameters()]).unwrap();
    let sound = tensors(&directory.0);
    assert!(files::read::<f32>(&directory.0).is_ok());
    let biases: Vec<&String> = sound.keys().filter(|name| name.ends_with(".bias")).collect();
    assert_eq!(biases.len(), 2 * 6 + 1);
    for name in biases {
        let mut all = sound.clone();
        let bytes = &mut all.get_mut(name).unwrap().2;
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&1e-3_f32.to_le_bytes());
        replace(&directory.0, &all);
        let error = files::read::<f32>(&directory.0).unwrap_err().to_string();
        assert!(error.contains(name.strip_prefix("transformer.").unwrap()), "{error}");
    }
}

/// As [`config`], of the parts of a Llama.
fn llama() -> Architecture {
    Architecture {
        positions: Positions::Rotary(Rotary { base: 500.0, ..Rotary::default() }),
        norm: Norm::Rms,
        heads: 6,
        key_value_heads: Some(2),
        gated: true,
        activation: Activation::Silu,
        biases: Biases::NONE,
        dropout: 0.0,
        ..config()
    }
}

/// Names and shapes of `LlamaForCausalLM`: its maps are PyTorch's Linear, (out, in).
#[test]
fn a_llamas_tensors_are_those_of_transformers() {
    let directory = Directory::new("llama");
    for (bias, tied) in [(false, false), (false, true), (true, false)] {
        let biases = Biases { norm: false, ..Biases::everywhere(bias) };
        let config = Architecture { biases, tied, ..llama() };
        files::write(&directory.0, &config, &vec![0.5_f32; config.parameters()]).unwrap();
        let Architecture { vocabulary: v, width: d, hidden: h, .. } = config;
        let shared = d / 6 * 2;
        let mut expected = HashMap::from([
            ("model.embed_tokens.weight".to_owned(), vec![v, d]),
            ("model.norm.weight".to_owned(), vec![d]),
        ]);
        if !tied {
            expected.insert("lm_head.weight".to_owned(), vec![v, d]);
        }
        for layer in 0..config.layers {
            let of = |part: &str| format!("model.layers.{layer}.{part}");
            for (map, out, inputs) in [
                ("self_attn.q_proj", d, d),
                ("self_attn.k_proj", shared, d),
                ("self_attn.v_proj", shared, d),
                ("self_attn.o_proj", d, d),
                ("mlp.gate_proj", h, d),
                ("mlp.up_proj", h, d),
                ("mlp.down_proj", d, h),
            ] {
                expected.insert(of(&format!("{map}.weight")), vec![out, inputs]);
                if bias {
                    expected.insert(of(&format!("{map}.bias")), vec![out]);
                }
            }
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                expected.insert(of(&format!("{norm}.weight")), vec![d]);
            }
        }
        let found: HashMap<_, _> =
            tensors(&directory.0).into_iter().map(|(name, (_, shape, _))| (name, shape)).collect();
        assert_eq!(found, expected);
    }
}

/// A tensor more than a model has is no mistake only where it says nothing: frequencies of the rotation, zero biases of
/// a map without, the table once more as the head that it is.
#[test]
fn a_tensor_of_another_model_is_refused() {
    let directory = Directory::new("foreign");
    let untied = llama();
    let tied = Architecture { tied: true, ..llama() };
    let shared = untied.width / 6 * 2;
    let refused = |config: &Architecture, name: &str, shape: &[usize], x: f32| {
        files::write(&directory.0, config, &vec![0.5_f32; config.parameters()]).unwrap();
        let mut all = tensors(&directory.0);
        let data = x.to_le_bytes().repeat(shape.iter().product());
        assert!(all.insert(name.to_owned(), (Dtype::F32, shape.to_vec(), data)).is_none());
        replace(&directory.0, &all);
        let read = files::read::<f32>(&directory.0).map_err(|e| e.to_string());
        let plain = name.strip_prefix("model.").unwrap_or(name);
        assert!(read.as_ref().err().is_none_or(|e| e.contains(plain)), "{read:?}");
        read.is_err()
    };
    let (v, d) = (untied.vocabulary, untied.width);
    for (config, name, shape, x, expected) in [
        (&untied, "model.layers.0.self_attn.rotary_emb.inv_freq", &[1][..], 1.0, false),
        (&untied, "model.layers.1.self_attn.k_proj.bias", &[shared], 0.0, false),
        (&untied, "model.layers.1.self_attn.k_proj.bias", &[shared], 1e-3, true),
        (&untied, "model.layers.1.input_layernorm.bias", &[d], 0.0, true),
        (&untied, "model.layers.0.self_attn.q_norm.weight", &[d / 6], 1.0, true),
        (&untied, "model.layers.2.mlp.up_proj.weight", &[1], 0.0, true),
        (&untied, "model.wpe.weight", &[d, 1], 0.0, true),
        (&tied, "lm_head.weight", &[v, d], 0.5, false),
        (&tied, "lm_head.weight", &[v, d], 0.25, true),
    ] {
        assert_eq!(refused(config, name, shape, x), expected, "{name} of {x}");
    }
}
