use super::*;
use crate::model::architecture::{Activation, Biases, Norm, Placement, Positions, Rotary, Scaling};
use crate::model::recorded_step::{Form, RecordedStep};
use proptest::prelude::*;
use serde_json::json;

mod parts;

/// The parts of a family, with small sizes: its empty configuration but for these keys.
fn small(family: &str, sizes: &[(&str, Value)]) -> Architecture {
    let mut json = json!({"model_type": family, "n_embd": 8, "n_head": 4, "n_layer": 2, "n_positions": 3,
        "hidden_size": 8, "num_attention_heads": 4, "num_hidden_layers": 2, "max_position_embeddings": 3,
        "num_key_value_heads": 2, "head_dim": 4, "intermediate_size": 6, "vocab_size": 5, "sliding_window": 2,
        "rotary_pct": 1.0, "no_rope_layer_interval": 2});
    let own = json.as_object_mut().unwrap();
    match family {
        "phi3" => {
            own.insert("partial_rotary_factor".to_owned(), json!(0.5));
        }
        "gpt2" => own.retain(|key, _| key.starts_with("n_") || !key.starts_with("num_key")),
        "glassbox" => {
            return Architecture {
                gated: true,
                placement: Placement::Post,
                ..small("gpt2", sizes)
            };
        }
        _ => {}
    }
    own.extend(sizes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Architecture::from_json(&json.to_string()).unwrap()
}

/// Any valid small architecture of a family, and of parts that no family has together.
fn architectures() -> impl Strategy<Value = Architecture> {
    let drawn = (0..FAMILIES.len(), 1usize..9, any::<[bool; 6]>());
    drawn.prop_map(|(family, hidden, [bias, tied, dropped, mixed, scaled, capped])| {
        let name = FAMILIES[family].name();
        let bias = [("attention_bias", json!(bias)), ("mlp_bias", json!(bias))];
        let mut a = small(name, if name == "qwen2" { &[] } else { &bias });
        (a.hidden, a.tied) = (hidden, tied);
        a.dropout = if dropped { 0.1 } else { 0.0 };
        if mixed {
            a.placement = Placement::Sandwich;
            a.positions = Positions::Sinusoidal;
            a.rotary_layers = vec![true];
            a.score_cap = capped.then_some(3.0);
            a.score_scale_by_layer = scaled;
            a.embedding_scale = if scaled { 2.0 } else { 1.0 };
            a.embedding_norm = hidden.is_multiple_of(2);
            a.final_norm = dropped;
            a.residual_scale = if capped { 0.5 } else { 1.0 };
            a.logit_divisor = if tied { 4.0 } else { 1.0 };
        } else if let (Positions::Rotary(rotary), true) = (&mut a.positions, scaled) {
            rotary.scaling = Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        }
        a
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
                prop_assert_eq!(recorded.output, listed.output);
            }
        }
        prop_assert_eq!(Architecture::from_json(&config.to_json()), Ok(config));
    }

    /// A family's tensors hold every element of every parameter once, under distinct names.
    #[test]
    fn tensors_hold_every_element_once(config in architectures()) {
        let family = of(&config);
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

/// A family stores what it reads itself: whatever it would write wrongly, our own format would have to store.
#[test]
fn a_family_stores_its_own_parts() {
    for family in FAMILIES {
        let rotated = [("rope_theta", json!(7.0)), ("rotary_emb_base", json!(7.0))];
        for keys in [&[][..], &rotated] {
            let a = small(family.name(), keys);
            let known = read(&a.to_json()).unwrap();
            assert_eq!((known.0.name(), &known.1), (family.name(), &a));
        }
    }
}

fn with(key: &str, value: Value) -> Result<Architecture, ConfigError> {
    let mut json: Value = serde_json::from_str(&Architecture::default().to_json()).unwrap();
    json[key] = value;
    Architecture::from_json(&json.to_string())
}

#[test]
fn other_models_are_refused() {
    let message = |key, value| with(key, value).unwrap_err().to_string();
    assert_eq!(
        message("model_type", json!("bert")),
        "key model_type: found \"bert\", expected one of the supported families: \"gpt2\", \"llama\", \"mistral\", \
         \"qwen2\", \"qwen3\", \"gemma2\", \"gemma3_text\", \"gpt_neox\", \"olmo2\", \"smollm3\", \"granite\", \"phi3\", \"glassbox\""
    );
    assert!(message("n_head", json!(3)).contains("not a multiple of 3 heads"));
    assert!(message("n_layer", json!(-1)).contains("whole number"));
    assert!(message("vocab_size", json!(u64::MAX)).contains("at most"));
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
            biases: Biases::ALL,
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
        biases: Biases::NONE,
        score_scale: Some(1.0),
        score_scale_by_layer: true,
        tied: false,
        dropout: 0.5,
        ..Architecture::default()
    };
    assert_eq!(Architecture::from_json(&other.to_json()), Ok(other));
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
    assert!(with("add_cross_attention", json!(true)).is_err());
    assert!(with("add_cross_attention", json!(false)).is_ok());
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
            positions: Positions::Rotary(Rotary::default()),
            norm: Norm::Rms,
            epsilon: 1e-6,
            heads: 32,
            key_value_heads: None,
            hidden: 11008,
            activation: Activation::Silu,
            gated: true,
            biases: Biases::NONE,
            tied: false,
            dropout: 0.0,
            ..Architecture::default()
        }
    );
    assert_eq!(seven_billion.parameters(), 6_738_415_616); // Touvron et al. 2023, table 2: 6.7B
    let rotary = |a: Architecture| match a.positions {
        Positions::Rotary(rotary) => rotary,
        other => panic!("{other:?}"),
    };
    let plain = Rotary::default();
    for key in ["rope_parameters", "rope_scaling"] {
        let given = json!({"rope_type": "default", "rope_theta": 5e5});
        assert_eq!(rotary(llama(key, given).unwrap()), Rotary { base: 5e5, ..plain });
        let llama3 =
            json!({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192});
        let scaling = Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        assert_eq!(rotary(llama(key, llama3).unwrap()), Rotary { scaling, ..plain });
        // The older name of the key, and the only other kind.
        let linear = rotary(llama(key, json!({"type": "linear", "factor": 2.0})).unwrap());
        assert_eq!(linear, Rotary { scaling: Scaling::Linear { factor: 2.0 }, ..plain });
        assert_eq!(
            llama(key, json!({"rope_type": "yarn", "factor": 8.0})).unwrap_err().to_string(),
            "key rope_type: found \"yarn\", expected \"default\", \"linear\" or \"llama3\", the supported rotations"
        );
        let factorless = llama(key, json!({"rope_type": "linear"})).unwrap_err().to_string();
        assert!(factorless.starts_with("key factor: found null"), "{factorless}");
        let zero = llama(key, json!({"rope_type": "linear", "factor": 0.0})).unwrap_err();
        assert!(zero.to_string().contains("the factor of rotary scaling is 0"), "{zero}");
    }
    assert_eq!(rotary(llama("rope_theta", json!(7.0)).unwrap()), Rotary { base: 7.0, ..plain });
    assert_eq!(llama("num_key_value_heads", json!(2)).unwrap().key_value_heads, Some(2));
    assert_eq!(llama("num_key_value_heads", json!(null)).unwrap().key_value_heads, None);
    assert_eq!(llama("head_dim", json!(4)).unwrap().head_width, None); // hidden_size / num_attention_heads
    assert_eq!(llama("head_dim", json!(8)).unwrap().head_width, Some(8));
    let biased = llama("mlp_bias", json!(true)).unwrap().biases;
    assert_eq!(biased, Biases { feed_forward: true, ..Biases::NONE });
    let refused = |key, value| llama(key, value).unwrap_err().to_string();
    assert!(refused("head_dim", json!(0)).contains("head_width is 0"));
    assert!(refused("num_key_value_heads", json!(3)).contains("take a divisor of 4"));
    assert!(refused("num_attention_heads", json!(16)).contains("odd number"));
    assert!(refused("hidden_act", json!("mish")).contains("silu"));
    assert!(refused("rope_theta", json!(0)).contains("above 0"));
}

/// Windows are read by layer, in every spelling, and their list is checked.
#[test]
fn windows_are_those_of_the_layers() {
    let windows = |family: &str, keys: &[(&str, Value)]| {
        let a = small(family, keys);
        (0..a.layers).map(|i| a.window(i)).collect::<Vec<_>>()
    };
    let (sliding, full) = ("sliding_attention", "full_attention");
    let four = ("num_hidden_layers", json!(4));
    assert_eq!(windows("mistral", &[]), [Some(2); 2]);
    assert_eq!(windows("mistral", &[("sliding_window", json!(null))]), [None; 2]);
    assert_eq!(windows("gemma2", std::slice::from_ref(&four)), [Some(2), None, Some(2), None]);
    let pattern = ("sliding_window_pattern", json!(4));
    assert_eq!(windows("gemma3_text", &[four.clone(), pattern]), [Some(2), Some(2), Some(2), None]);
    for family in ["qwen2", "qwen3"] {
        assert_eq!(windows(family, std::slice::from_ref(&four)), [None; 4]);
        let used = ("use_sliding_window", json!(true));
        let first = ("max_window_layers", json!(3));
        assert_eq!(
            windows(family, &[four.clone(), used.clone(), first]),
            [None, None, None, Some(2)]
        );
        let types = ("layer_types", json!([full, sliding, sliding, full]));
        assert_eq!(windows(family, &[four.clone(), used, types]), [None, Some(2), Some(2), None]);
    }
    let long = vec![sliding; 100_000];
    for (types, layers, message) in [
        (json!(["chunked_attention"]), 1, "layer_types: found \"chunked_attention\""),
        (json!([]), 1, "layer_types: found []"),
        (json!([sliding, full]), 1, "one for each layer"),
        (json!(long), 100_000, "one for each layer"),
        (json!("all"), 1, "layer_types: found \"all\""),
        (json!([sliding]), 1, "the window is 0"),
    ] {
        let json = json!({"model_type": "gemma2", "layer_types": types, "sliding_window": 0,
            "num_hidden_layers": layers});
        let refused = Architecture::from_json(&json.to_string()).unwrap_err().to_string();
        assert!(refused.contains(message), "{refused}");
    }
}

/// A list for more layers than any model has costs no memory.
#[test]
fn a_configuration_cannot_ask_for_a_list_of_any_length() {
    for family in names().filter(|name| *name != "gpt2" && *name != "glassbox") {
        let json = json!({"model_type": family, "num_hidden_layers": u64::MAX >> 1, "use_sliding_window": true,
            "sliding_window_pattern": u64::MAX >> 1});
        let refused = Architecture::from_json(&json.to_string()).unwrap_err().to_string();
        assert!(refused.contains("at most 1024"), "{family}: {refused}");
    }
}
