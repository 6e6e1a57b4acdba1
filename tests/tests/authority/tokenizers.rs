//! Tokenizers against the tokens of others: llama.cpp's test pairs for GPT-2, nanoGPT's counts, and the Python package
//! `tokenizers` (`authority/subwords.py`).

use serde_json::Value;
use std::path::Path;
use tests::outside_data;
use transformer::disk::files;
use transformer::text::tokenizer::Tokenizer;

fn gpt2() -> Option<Tokenizer> {
    let directory = outside_data("tokenizers/gpt2")?;
    Some(files::read_tokenizer(&directory).unwrap())
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn text_of(name: &str) -> Option<String> {
    Some(std::fs::read_to_string(outside_data(&format!("text/{name}"))?).unwrap())
}

#[test]
fn gpt2_has_the_tokens_of_llama_cpp() {
    let Some(tokenizer) = gpt2() else { return };
    let pairs = outside_data("tokenizers/gpt2/pairs.json").unwrap();
    let pairs: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(pairs).unwrap()).unwrap();
    assert_eq!(pairs.len(), 44);
    for pair in &pairs {
        let text = pair["text"].as_str().unwrap();
        let found = tokenizer.encode(text).unwrap();
        assert_eq!(found, ids(&pair["ids"]), "{text:?}");
        assert_eq!(tokenizer.decode(&found), text);
    }
    assert_eq!(tokenizer.vocabulary(), 50257);
    assert_eq!(tokenizer.token("<|endoftext|>"), Some(50256));
}

/// The counts of nanoGPT's README and of chapter 5 of *Build a Large Language Model (From Scratch)*.
#[test]
fn texts_have_as_many_tokens_as_others_counted() {
    let Some(tokenizer) = gpt2() else { return };
    let shakespeare = text_of("tinyshakespeare.txt").unwrap();
    let (train, validation) = shakespeare.split_at(shakespeare.len() * 9 / 10);
    let count = |text: &str| tokenizer.encode(text).unwrap().len();
    assert_eq!((count(train), count(validation)), (301_966, 36_059));
    assert_eq!(count(&text_of("the-verdict.txt").unwrap()), 5145);
}

/// Every kind of tokenizer: the same tokens, with and without special ones, and the same text of them.
#[test]
fn every_kind_is_that_of_the_python_package() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("authority/subwords.json");
    let kinds: Value = serde_json::from_str(&std::fs::read_to_string(table).unwrap()).unwrap();
    let kinds = kinds.as_object().unwrap();
    assert_eq!(kinds.len(), 5);
    for (kind, measured) in kinds {
        let tokenizer = Tokenizer::from_json(&measured["file"].to_string()).unwrap();
        for row in measured["texts"].as_array().unwrap() {
            let text = row["text"].as_str().unwrap();
            let found = tokenizer.encode(text).unwrap();
            assert_eq!(found, ids(&row["ids"]), "{kind}: {text:?}");
            assert_eq!(
                tokenizer.encode_prompt(text).unwrap(),
                ids(&row["prompt"]),
                "{kind}: {text:?}"
            );
            assert_eq!(
                tokenizer.decode(&found),
                row["decoded"].as_str().unwrap(),
                "{kind}: {text:?}"
            );
            let mut stream = tokenizer.stream();
            let shown: String = found.iter().map(|&token| stream.push(token)).collect();
            assert_eq!(shown + &stream.finish(), tokenizer.decode(&found), "{kind}: {text:?}");
        }
    }
}
