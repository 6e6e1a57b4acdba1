//! Families with parts of their own: what their keys mean, and how they are stored.

use super::*;

/// Layers rotate by the list or by the interval; a window that is used is that of layers which do not.
#[test]
fn layers_without_rotation_are_those_of_the_configuration() {
    let model = |keys: &[(&str, Value)]| {
        let mut json = json!({"model_type": "smollm3", "num_hidden_layers": 5, "hidden_size": 64, "sliding_window": 3});
        json.as_object_mut()
            .unwrap()
            .extend(keys.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        Architecture::from_json(&json.to_string())
    };
    let layers = |keys: &[(&str, Value)]| {
        let a = model(keys).unwrap();
        (0..5).map(|i| (a.rotation(i, 1).is_some(), a.window(i))).collect::<Vec<_>>()
    };
    let (turns, fixed) = ((true, None), (false, None));
    assert_eq!(layers(&[]), [turns, turns, turns, fixed, turns]);
    let two = ("no_rope_layer_interval", json!(2));
    let used = ("use_sliding_window", json!(true));
    assert_eq!(layers(std::slice::from_ref(&two)), [turns, fixed, turns, fixed, turns]);
    let local = (false, Some(3));
    assert_eq!(layers(&[two.clone(), used.clone()]), [turns, local, turns, local, turns]);
    // The list wins over the interval, and may be longer than the model.
    let list = ("no_rope_layers", json!([0, 1, 1, 0, 1, 0]));
    assert_eq!(layers(&[list.clone(), two]), [fixed, turns, turns, fixed, turns]);
    let types = ["full_attention", "sliding_attention"].repeat(3);
    let types = ("layer_types", json!(types[..5]));
    let seen = layers(&[list, used, types]);
    assert_eq!(seen, [fixed, (true, Some(3)), turns, local, turns]);
    for (key, value, message) in [
        ("no_rope_layers", json!([1, 0]), "no_rope_layers: found [1,0]"),
        ("no_rope_layers", json!([1, 0, 1, 2, 1]), "a list of 1 (the layer rotates) and 0"),
        ("no_rope_layers", json!("all"), "one for each layer"),
        ("no_rope_layer_interval", json!(0), "no_rope_layer_interval is 0"),
        ("no_rope_layer_interval", json!(-1), "no_rope_layer_interval: found -1"),
    ] {
        let refused = model(&[(key, value)]).unwrap_err().to_string();
        assert!(refused.contains(message), "{refused}");
    }
    // SmolLM3-3B has 3.08 billion parameters (Hugging Face).
    assert_eq!(usual("smollm3").unwrap().parameters(), 3_075_098_624);
}

/// Follows `GraniteConfig`: an absent factor is 1, and each key is read and written.
#[test]
fn granites_factors_are_read_and_written() {
    let plain = small("granite", &[]);
    let factors =
        |a: &Architecture| (a.embedding_scale, a.score_scale, a.residual_scale, a.logit_divisor);
    assert_eq!(factors(&plain), (1.0, Some(1.0), 1.0, 1.0));
    let a = small(
        "granite",
        &[
            ("embedding_multiplier", json!(12)),
            ("attention_multiplier", json!(0.25)),
            ("residual_multiplier", json!(0.22)),
            ("logits_scaling", json!(13.0)),
        ],
    );
    assert_eq!(factors(&a), (12.0, Some(0.25), 0.22, 13.0));
    assert_eq!(of(&a).name(), "granite");
    assert_eq!(Architecture::from_json(&a.to_json()), Ok(a));
    // 1/√4 is what scores are multiplied by without a factor.
    assert_eq!(small("granite", &[("attention_multiplier", json!(0.5))]).score_scale, None);
    for key in
        ["embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"]
    {
        let json = json!({"model_type": "granite", key: 0}).to_string();
        let refused = Architecture::from_json(&json).unwrap_err().to_string();
        assert!(refused.ends_with("is 0; it must be a finite number above 0"), "{refused}");
    }
    // Granite 3.0 2B has 2.63 billion parameters with its head counted apart (Hugging Face), and the head is the table.
    let published = usual("granite").unwrap();
    assert_eq!(published.parameters() + published.vocabulary * published.width, 2_634_201_088);
}

/// Follows `Phi3Config` and `Phi3ForCausalLM`: the meaning of absent keys, the packed tensors, and what is refused.
#[test]
fn phi3_is_a_llama_with_packed_tensors() {
    let mini = usual("phi3").unwrap();
    // Phi-3-mini has 3.8 billion parameters (Abdin et al. 2024).
    assert_eq!(mini.parameters(), 3_821_079_552);
    assert_eq!((mini.window.clone(), mini.epsilon, mini.dropout), (None, 1e-5, 0.0));
    assert_eq!(of(&mini).name(), "llama");
    let a = small("phi3", &[("resid_pdrop", json!(0.1))]);
    assert_eq!((of(&a).name(), a.window(1), a.dropout), ("phi3", Some(2), 0.1));
    assert!(matches!(a.positions, Positions::Rotary(Rotary { share: 0.5, .. })));
    let list = a.parameter_list().unwrap();
    let shape = |name: &str| {
        let mut tensors = list.iter().flat_map(|p| of(&a).tensors(&a, p));
        tensors.find(|t| t.name == name).unwrap_or_else(|| panic!("no {name}")).shape()
    };
    // Four queries, two keys and two values of 4 features, one after another; 6 features of the gate, then 6 up.
    assert_eq!(shape("layers.1.self_attn.qkv_proj.weight"), [(4 + 2 + 2) * 4, 8]);
    assert_eq!(shape("layers.1.mlp.gate_up_proj.weight"), [2 * 6, 8]);
    assert_eq!(shape("layers.1.self_attn.o_proj.weight"), [8, 16]);
    for kind in ["longrope", "su", "linear", "llama3"] {
        for key in ["rope_scaling", "rope_parameters"] {
            let json = json!({"model_type": "phi3", key: {"type": kind, "factor": 2.0}});
            let refused = Architecture::from_json(&json.to_string()).unwrap_err().to_string();
            let expected =
                format!("key rope_type: found \"{kind}\", expected \"default\": longrope");
            assert!(refused.starts_with(&expected), "{refused}");
        }
    }
    // A scaled rotation is another family's.
    let scaled =
        Positions::Rotary(Rotary { scaling: Scaling::Linear { factor: 2.0 }, ..Rotary::default() });
    assert_eq!(of(&Architecture { positions: scaled, window: None, ..a }).name(), "llama");
}

/// The sizes and parts of their publications; and what an older file does not have is not written.
#[test]
fn architectures_without_a_family_are_stored_in_our_own_format() {
    // Vaswani et al. 2017, table 3: 65 million with the encoder's six layers, and attention to it in the decoder's.
    let (v, d, h) = (37000, 512, 2048);
    let layer = 4 * (d * d + d) + (d * h + h) + (h * d + d) + 4 * d;
    let base = usual("transformer2017").unwrap();
    assert_eq!(base.parameters(), v * d + 6 * layer);
    assert_eq!(usual("microgpt").unwrap().parameters(), 4192); // as its author's program prints
    for (name, later) in
        [("microgpt", &["embedding_norm", "final_norm"][..]), ("transformer2017", &[])]
    {
        let a = usual(name).unwrap();
        assert_eq!(of(&a).name(), "glassbox");
        let json: Value = serde_json::from_str(&a.to_json()).unwrap();
        let new =
            ["rotary_layers", "embedding_norm", "residual_scale", "final_norm", "logit_divisor"];
        let written: Vec<&str> = new.into_iter().filter(|key| json.get(key).is_some()).collect();
        assert_eq!(written, later, "{name}");
        assert_eq!(Architecture::from_json(&a.to_json()), Ok(a));
    }
    let layer = Architecture { norm: Norm::Layer, ..usual("microgpt").unwrap() };
    let refused = layer.validate().unwrap_err().to_string();
    assert!(refused.contains("gain is none; it must be another one, or the norm rms"), "{refused}");
}

/// Where transformers rotates whole heads, a share would be ignored there: it is refused, and not written as such a model.
#[test]
fn a_share_of_rotated_coordinates_is_refused_where_transformers_has_none() {
    for family in
        ["llama", "mistral", "qwen2", "qwen3", "gemma3_text", "olmo2", "smollm3", "granite"]
    {
        let json = json!({"model_type": family,
            "rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}});
        let full = json!({"model_type": family, "rope_parameters": {
            "full_attention": {"rope_type": "default", "partial_rotary_factor": 0.5}}});
        let json = if family == "gemma3_text" { full } else { json };
        let refused = Architecture::from_json(&json.to_string()).unwrap_err().to_string();
        assert!(
            refused.starts_with("key partial_rotary_factor: found 0.5, expected 1"),
            "{refused}"
        );
    }
}
