//! JSON files of a model.

use super::{accepted, refused};
use serde_json::Value;
use transformer::Activation;
use transformer::Architecture;
use transformer::Biases;
use transformer::text::tokenizer::Tokenizer;

/// `config.json`.
pub fn config(data: &[u8]) {
    let config = match Architecture::from_json(&String::from_utf8_lossy(data)) {
        Ok(config) => config,
        Err(error) => return refused(error),
    };
    accepted("config");
    config.validate().expect("what is read is valid");
    assert_eq!(Architecture::from_json(&config.to_json()), Ok(config.clone()));
    if config.layers < 20 {
        let list = config.parameter_list().expect("what is valid can be recorded");
        assert_eq!(list.iter().map(|p| p.shape.len()).sum::<usize>(), config.parameters());
    }
}

/// What this program writes, and what others do.
pub fn config_seeds() -> Vec<Vec<u8>> {
    let silu = Architecture {
        activation: Activation::Silu,
        biases: Biases::NONE,
        tied: false,
        ..Default::default()
    };
    let others = r#"{"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_head": 12,
        "n_layer": 12, "n_inner": null, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05,
        "scale_attn_weights": true, "resid_pdrop": 0.1, "summary_type": "cls_index"}"#;
    let own = [Architecture::default(), silu].map(|config| config.to_json());
    let llama = r#"{"model_type": "llama", "vocab_size": 512, "max_position_embeddings": 512, "hidden_size": 64,
        "intermediate_size": 172, "num_hidden_layers": 5, "num_attention_heads": 8, "num_key_value_heads": 4,
        "head_dim": 8, "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "rms_norm_eps": 1e-05,
        "attention_bias": false, "mlp_bias": false, "hidden_act": "silu", "tie_word_embeddings": true}"#;
    own.into_iter().chain([others.to_owned(), llama.to_owned()]).map(String::into_bytes).collect()
}

/// `tokenizer.json`.
pub fn tokenizer(data: &[u8]) {
    let tokenizer = match Tokenizer::from_json(&String::from_utf8_lossy(data)) {
        Ok(tokenizer) => tokenizer,
        Err(error) => return refused(error),
    };
    accepted("tokenizer");
    assert_eq!(Tokenizer::from_json(&tokenizer.to_json()), Ok(tokenizer.clone()));
    let all: Vec<u32> = (0..tokenizer.vocabulary() as u32).collect();
    let text = tokenizer.decode(&all);
    if let Tokenizer::Characters(_) = tokenizer {
        assert_eq!(tokenizer.encode(&text).as_ref(), Ok(&all), "every token is a character");
    }
    // Tokens that there are not, and texts that it does not know.
    let _ = tokenizer.decode(&[u32::MAX, all.len() as u32]);
    let mut stream = tokenizer.stream();
    let shown: String = all.iter().map(|&token| stream.push(token)).collect();
    assert_eq!(shown + &stream.finish(), text, "a stream shows the text");
    match tokenizer.encode(&String::from_utf8_lossy(data)) {
        Ok(tokens) => assert!(tokens.iter().all(|t| (*t as usize) < tokenizer.vocabulary())),
        Err(error) => refused(error),
    }
}

/// Bytes, few characters, characters of every length in UTF-8, and every kind of pieces of words.
pub fn tokenizer_seeds() -> Vec<Vec<u8>> {
    let some = [
        Tokenizer::bytes(),
        Tokenizer::characters_of("a"),
        Tokenizer::characters_of("\n \"\\aé€𝄞\u{1b}"),
    ];
    let own = some.map(|tokenizer| tokenizer.to_json().into_bytes());
    let kinds: Value =
        serde_json::from_str(include_str!("../../../authority/subwords.json")).expect("JSON");
    let kinds = kinds.as_object().into_iter().flatten();
    own.into_iter().chain(kinds.map(|(_, kind)| kind["file"].to_string().into_bytes())).collect()
}
