use super::*;
use crate::model::architecture::{Activation, Norm, Positions};
use crate::model::recorded_step::{Form, RecordedStep};
use proptest::prelude::*;
use serde_json::json;

/// Any valid small architecture of a family.
fn architectures() -> impl Strategy<Value = Architecture> {
    let sizes = (1usize..3, 1usize..9, 0usize..2, any::<[bool; 3]>());
    (any::<bool>(), sizes).prop_map(|(llama, (layers, hidden, shared, [bias, tied, dropped]))| {
        let dropout = if dropped { 0.1 } else { 0.0 };
        let gpt2 = Architecture {
            vocabulary: 5,
            context: 3,
            width: 8,
            heads: 4,
            layers,
            hidden,
            bias,
            tied,
            dropout,
            ..Architecture::default()
        };
        if !llama {
            return gpt2;
        }
        Architecture {
            positions: Positions::Rotary { base: 500.0 },
            norm: Norm::Rms,
            key_value_heads: [None, Some(2)][shared],
            gated: true,
            activation: Activation::Silu,
            ..gpt2
        }
    })
}

proptest! {
    /// The parameter list equals that of every recording, and `config.json` states the whole architecture.
    #[test]
    fn counts_and_names_what_is_recorded(config in architectures()) {
        let list = config.parameter_list().unwrap();
        for form in [Form::Fused, Form::Textbook] {
            let model = RecordedStep::<f32>::record(&config, 1, 2, form, 0).unwrap();
            prop_assert_eq!(model.tape().parameters().len(), config.parameters());
            let recorded = model.tape().parameter_list();
            prop_assert_eq!(recorded.len(), list.len());
            for (recorded, listed) in recorded.iter().zip(&list) {
                prop_assert_eq!(&recorded.name, &listed.name);
                prop_assert_eq!(recorded.shape, listed.shape);
                prop_assert_eq!(&recorded.range, &listed.range);
                prop_assert_eq!(is_vector(recorded), is_vector(listed));
            }
        }
        prop_assert_eq!(Architecture::from_json(&config.to_json().unwrap()), Ok(config));
    }

    /// A family's tensors hold every element of every parameter once, under distinct names.
    #[test]
    fn tensors_hold_every_element_once(config in architectures()) {
        let family = of(&config).unwrap();
        let mut names = std::collections::HashSet::new();
        for parameter in config.parameter_list().unwrap() {
            let mut seen = vec![0; parameter.shape.len()];
            for tensor in family.tensors(&config, &parameter) {
                prop_assert!(names.insert(tensor.name.clone()), "{} twice", tensor.name);
                let places: Vec<usize> = tensor.places(parameter.shape.rows).collect();
                prop_assert_eq!(places.len(), tensor.shape().iter().product::<usize>());
                places.into_iter().for_each(|i| seen[i] += 1);
            }
            prop_assert!(seen.iter().all(|&n| n == 1), "{}: {seen:?}", parameter.name);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = Architecture::from_json(&text);
    }
}

fn with(key: &str, value: Value) -> Result<Architecture, ConfigError> {
    let mut json: Value =
        serde_json::from_str(&Architecture::default().to_json().unwrap()).unwrap();
    json[key] = value;
    Architecture::from_json(&json.to_string())
}

#[test]
fn other_models_are_refused() {
    let message = |key, value| with(key, value).unwrap_err().to_string();
    assert_eq!(
        message("model_type", json!("bert")),
        "key model_type: found \"bert\", expected \"gpt2\" or \"llama\", the supported families"
    );
    assert!(message("n_head", json!(3)).contains("not a multiple of 3 heads"));
    assert!(message("n_layer", json!(-1)).contains("whole number"));
    assert!(message("vocab_size", json!(u64::MAX)).contains("at most"));
    assert!(message("scale_attn_weights", json!(false)).ends_with("expected true"));
    assert!(message("activation_function", json!("mish")).contains("gelu_new"));
    assert!(message("layer_norm_epsilon", json!(0)).contains("above 0"));
    // Transformers would change these weights while reading them.
    assert!(message("quantization_config", json!({"bits": 4})).contains("weights"));
    assert!(message("pruned_heads", json!({"0": [1]})).contains("weights"));
    for nothing in [json!(null), json!({})] {
        assert!(with("pruned_heads", nothing.clone()).is_ok());
        assert!(with("quantization_config", nothing).is_ok());
    }
    let huge =
        Architecture { width: 1 << 24, layers: 1024, hidden: 1 << 24, ..Architecture::default() };
    assert!(matches!(huge.validate(), Err(ConfigError::Large { .. })));
    assert!(message("n_layer", json!(1025)).contains("at most 1024"));
}

/// Follows `GPT2Config` of transformers 5.23: the meaning of absent keys, other names of keys, and what is refused.
#[test]
fn keys_mean_what_hugging_face_means() {
    let empty = Architecture::from_json(r#"{"model_type": "gpt2"}"#).unwrap();
    assert_eq!(
        empty,
        Architecture {
            vocabulary: 50257,
            context: 1024,
            width: 768,
            heads: 12,
            layers: 12,
            hidden: 3072,
            epsilon: 1e-5,
            activation: Activation::GeluTanh,
            bias: true,
            tied: true,
            dropout: 0.1,
            ..Architecture::default()
        }
    );
    // Each key is read: another value gives another model.
    let other = Architecture {
        vocabulary: 7,
        context: 3,
        width: 6,
        heads: 3,
        layers: 2,
        hidden: 5,
        epsilon: 0.125,
        activation: Activation::Relu,
        bias: false,
        tied: false,
        dropout: 0.5,
        ..Architecture::default()
    };
    assert_eq!(Architecture::from_json(&other.to_json().unwrap()), Ok(other));
    assert_eq!(with("n_inner", Value::Null).unwrap().hidden, 64);
    for &activation in Activation::ALL {
        for name in activation.hugging_face() {
            let read = with("activation_function", json!(name)).unwrap();
            assert_eq!(read.activation, activation);
        }
    }
    let general = r#"{"model_type": "gpt2", "hidden_size": 6, "num_attention_heads": 3,
        "num_hidden_layers": 2, "max_position_embeddings": 5, "vocab_size": 4}"#;
    let general = Architecture::from_json(general).unwrap();
    assert_eq!((general.width, general.heads, general.layers, general.context), (6, 3, 2, 5));
    assert_eq!((general.vocabulary, general.hidden), (4, 24));
    assert!(with("hidden_size", json!(16)).is_ok());
    assert!(with("hidden_size", json!(17)).unwrap_err().to_string().contains("n_embd"));
    for key in [
        "n_embd",
        "n_head",
        "n_layer",
        "n_positions",
        "vocab_size",
        "tie_word_embeddings",
        "scale_attn_weights",
        "scale_attn_by_inverse_layer_idx",
        "add_cross_attention",
        "layer_norm_epsilon",
        "activation_function",
        "resid_pdrop",
        "attn_pdrop",
        "embd_pdrop",
    ] {
        let message = with(key, Value::Null).unwrap_err().to_string();
        assert!(message.starts_with(&format!("key {key}: found null")), "{message}");
    }
    for (key, value) in [("add_cross_attention", true), ("scale_attn_weights", false)] {
        assert!(with(key, json!(value)).is_err() && with(key, json!(!value)).is_ok());
    }
    assert!(with("scale_attn_by_inverse_layer_idx", json!(true)).is_err());
    // The order of the same products and sums, in higher precision: it changes nothing in this arithmetic.
    assert!(with("reorder_and_upcast_attn", json!(true)).is_ok());
}

/// The parameter's role decides whether it is a vector or a matrix, whatever the sizes, as GPT-2 in transformers has
/// it.
#[test]
fn vectors_are_gains_and_biases() {
    for config in [
        Architecture::default(),
        Architecture {
            vocabulary: 1,
            context: 1,
            width: 1,
            heads: 1,
            hidden: 1,
            tied: false,
            ..Architecture::default()
        },
    ] {
        for p in config.parameter_list().unwrap() {
            let layer =
                ["token", "position", "qkv", "projection", "expanded", "contracted", "head"];
            let table = layer.iter().any(|l| p.name.ends_with(&format!("{l}.weight")));
            assert_eq!(is_vector(&p), !table, "{} {}", p.name, p.shape);
        }
    }
}

fn llama(key: &str, value: Value) -> Result<Architecture, ConfigError> {
    let mut json = json!({"model_type": "llama", "hidden_size": 16, "num_attention_heads": 4});
    json[key] = value;
    Architecture::from_json(&json.to_string())
}

/// Follows `LlamaConfig` of transformers 5.24: the meaning of absent keys, and what is refused.
#[test]
fn keys_of_a_llama_mean_what_hugging_face_means() {
    let seven_billion = Architecture::from_json(r#"{"model_type": "llama"}"#).unwrap();
    assert_eq!(
        seven_billion,
        Architecture {
            vocabulary: 32000,
            context: 2048,
            width: 4096,
            layers: 32,
            positions: Positions::Rotary { base: 1e4 },
            norm: Norm::Rms,
            epsilon: 1e-6,
            heads: 32,
            key_value_heads: None,
            hidden: 11008,
            activation: Activation::Silu,
            gated: true,
            bias: false,
            tied: false,
            dropout: 0.0,
        }
    );
    assert_eq!(seven_billion.parameters(), 6_738_415_616); // Touvron et al. 2023, table 2: 6.7B
    let base = |architecture: Architecture| architecture.positions;
    for key in ["rope_parameters", "rope_scaling"] {
        let given = json!({"rope_type": "default", "rope_theta": 5e5});
        assert_eq!(base(llama(key, given).unwrap()), Positions::Rotary { base: 5e5 });
        let other = llama(key, json!({"rope_type": "llama3", "factor": 8.0}));
        let other = other.unwrap_err().to_string();
        assert_eq!(
            other,
            "key rope_type: found \"llama3\", expected \"default\", the plain rotation"
        );
    }
    assert_eq!(base(llama("rope_theta", json!(7.0)).unwrap()), Positions::Rotary { base: 7.0 });
    assert_eq!(llama("num_key_value_heads", json!(2)).unwrap().key_value_heads, Some(2));
    assert_eq!(llama("num_key_value_heads", json!(null)).unwrap().key_value_heads, None);
    assert!(llama("head_dim", json!(4)).is_ok());
    let refused = |key, value| llama(key, value).unwrap_err().to_string();
    assert!(refused("head_dim", json!(8)).contains("hidden_size / num_attention_heads"));
    assert!(refused("num_key_value_heads", json!(3)).contains("take a divisor of 4"));
    assert!(refused("mlp_bias", json!(true)).contains("the same as attention_bias"));
    assert!(refused("num_attention_heads", json!(16)).contains("odd number"));
    assert!(refused("hidden_act", json!("mish")).contains("silu"));
    assert!(refused("rope_theta", json!(0)).contains("above 0"));
}
