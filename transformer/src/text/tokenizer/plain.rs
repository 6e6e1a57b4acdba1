//! `tokenizer.json` of bytes and of characters.

use super::Tokenizer;
use serde_json::{Map, Value, json};

/// Returns the file: a BPE model without merges.
pub(super) fn to_json(tokenizer: &Tokenizer) -> String {
    serde_json::to_string_pretty(&tree(tokenizer)).expect("a tree of plain values") + "\n"
}

fn tree(tokenizer: &Tokenizer) -> Value {
    let level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
    });
    let (names, before, after) = match tokenizer {
        Tokenizer::Characters(characters) => {
            (characters.clone(), Value::Null, json!({ "type": "Fuse" }))
        }
        _ => (byte_names(), level.clone(), level),
    };
    let names = names.into_iter().enumerate();
    let vocabulary: Map<String, Value> = names.map(|(t, c)| (c.to_string(), json!(t))).collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": before,
        "post_processor": null,
        "decoder": after,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocabulary,
            "merges": [],
        },
    })
}

/// Returns the tokenizer whose file this is, if it is exactly one of [`to_json`].
pub(super) fn from_json(json: &Value) -> Option<Tokenizer> {
    let names = json["model"]["vocab"].as_object().filter(|names| !names.is_empty())?;
    let character = |name: &String| {
        let mut characters = name.chars();
        characters.next().filter(|_| characters.next().is_none())
    };
    let mut characters: Vec<char> = names.keys().map(character).collect::<Option<_>>()?;
    // Their order in the file is free.
    characters.sort_unstable();
    let found = match json["pre_tokenizer"].is_null() {
        true => Tokenizer::Characters(characters),
        false => Tokenizer::Bytes,
    };
    (*json == tree(&found)).then_some(found)
}

/// Returns the printable character for each byte in the byte level of `tokenizers`: itself if it is printable in
/// Latin-1, else one from U+0100 on. Source: GPT-2's `bytes_to_unicode`.
pub(super) fn byte_names() -> Vec<char> {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut others = (0x100..).filter_map(char::from_u32);
    let name = |b: u8| {
        if printable(b) { char::from(b) } else { others.next().expect("there are many characters") }
    };
    (0..=255).map(name).collect()
}
