//! Text as tokens: bytes, or the characters that a text uses.
//!
//! Tokenizers are stored in `tokenizer.json` of Hugging Face `tokenizers`, as a BPE model without merges, so that both
//! tokenise alike; and in a `tokenizer_config.json`, without which transformers' `AutoTokenizer` would split text in
//! GPT-2's way. One difference remains: a character outside the vocabulary is an error here, and is dropped there.

use crate::printable::shortened;
use serde_json::{Map, Value, json};
use thiserror::Error;

/// A tokenizer of bytes or characters.
///
/// ```
/// use transformer::text::tokenizer::Tokenizer;
/// let characters = Tokenizer::characters_of("banana");
/// assert_eq!(characters.encode("nab")?, [2, 0, 1]);
/// assert_eq!(characters.decode(&[1, 0, 2]), "ban");
/// assert_eq!(
///     characters.encode("band").unwrap_err().to_string(),
///     "character 'd' (U+0064), number 4 of the text, is not in the vocabulary: abn"
/// );
/// # Ok::<(), transformer::text::tokenizer::TokenizerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tokenizer {
    /// Token t is byte t.
    Bytes,
    /// Token t is character t of this list, which is sorted and has no duplicates.
    Characters(Vec<char>),
}

/// An invalid text or tokenizer file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A character outside the vocabulary.
    #[error(
        "character {character:?} (U+{:04X}), number {place} of the text, is not in the vocabulary: {vocabulary}",
        u32::from(*character)
    )]
    Character {
        /// The character.
        character: char,
        /// Its place; the first is 1.
        place: usize,
        /// The vocabulary, or its beginning.
        vocabulary: String,
    },
    /// A file that is not JSON.
    #[error("this is not JSON: {reason}")]
    Json {
        /// The parser's message.
        reason: String,
    },
    /// A tokenizer of another kind.
    #[error(
        "this tokenizer is not one of bytes or characters: {reason}; `glassbox generate` takes token ids \
         instead: --prompt-tokens"
    )]
    Foreign {
        /// The setting that differs.
        reason: String,
    },
}

impl Tokenizer {
    /// Returns the tokenizer with one token per byte.
    pub fn bytes() -> Self {
        Tokenizer::Bytes
    }

    /// Returns the tokenizer with one token per character that occurs in `text`, in Unicode order.
    pub fn characters_of(text: &str) -> Self {
        let used: std::collections::BTreeSet<char> = text.chars().collect();
        Tokenizer::Characters(used.into_iter().collect())
    }

    /// Returns the number of tokens.
    pub fn vocabulary(&self) -> usize {
        match self {
            Tokenizer::Bytes => 256,
            Tokenizer::Characters(characters) => characters.len(),
        }
    }

    /// Encodes a text as tokens.
    ///
    /// # Errors
    /// The first character outside the vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let Tokenizer::Characters(characters) = self else {
            return Ok(text.bytes().map(u32::from).collect());
        };
        let token = |(i, character): (usize, char)| {
            characters.binary_search(&character).map(|t| t as u32).map_err(|_| {
                let shown: String =
                    characters.iter().filter(|c| !c.is_control()).take(80).collect();
                let more = if characters.len() > 80 { " …" } else { "" };
                TokenizerError::Character { character, place: i + 1, vocabulary: shown + more }
            })
        };
        text.chars().enumerate().map(token).collect()
    }

    /// Decodes tokens as text; invalid sequences become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Tokenizer::Bytes => String::from_utf8_lossy(&bytes_of(tokens)).into_owned(),
            Tokenizer::Characters(characters) => {
                let character =
                    |&t: &u32| characters.get(t as usize).copied().unwrap_or('\u{fffd}');
                tokens.iter().map(character).collect()
            }
        }
    }

    /// Returns the number of last tokens that begin an incomplete character: 0 to 3.
    ///
    /// ```
    /// use transformer::text::tokenizer::Tokenizer;
    /// let bytes = Tokenizer::bytes();
    /// assert_eq!(bytes.incomplete(&[0x61, 0xe2, 0x82]), 2); // "a" and two thirds of "€"
    /// assert_eq!(bytes.incomplete(&[0xe2, 0x82, 0xac]), 0);
    /// ```
    pub fn incomplete(&self, tokens: &[u32]) -> usize {
        let Tokenizer::Bytes = self else { return 0 };
        let begins = |n: &usize| {
            let tail = bytes_of(&tokens[tokens.len() - n..]);
            let error = std::str::from_utf8(&tail).err();
            error.is_some_and(|e| e.valid_up_to() == 0 && e.error_len().is_none())
        };
        (1..=tokens.len().min(3)).find(begins).unwrap_or(0)
    }

    /// Returns Hugging Face's `tokenizer.json`.
    pub fn to_json(&self) -> String {
        let level = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
        });
        let (vocabulary, before, after): (Map<String, Value>, Value, Value) = match self {
            Tokenizer::Bytes => {
                let names = byte_names().into_iter().enumerate();
                (names.map(|(t, c)| (c.to_string(), json!(t))).collect(), level.clone(), level)
            }
            Tokenizer::Characters(characters) => {
                let names = characters.iter().enumerate();
                let fuse = json!({ "type": "Fuse" });
                (names.map(|(t, c)| (c.to_string(), json!(t))).collect(), Value::Null, fuse)
            }
        };
        let tokenizer = json!({
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
        });
        serde_json::to_string_pretty(&tokenizer).expect("a tree of plain values") + "\n"
    }

    /// Returns the matching `tokenizer_config.json`: it names the class that uses `tokenizer.json` unchanged.
    pub fn hugging_face_config() -> String {
        let config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": false,
        });
        serde_json::to_string_pretty(&config).expect("a tree of plain values") + "\n"
    }

    /// Reads a `tokenizer.json` that [`Tokenizer::to_json`] wrote, or an equivalent one: every setting that could
    /// change tokens or their text is checked.
    ///
    /// # Errors
    /// A file that is not JSON, or a tokenizer of another kind, with the setting that differs.
    pub fn from_json(text: &str) -> Result<Self, TokenizerError> {
        let foreign = |reason: String| TokenizerError::Foreign { reason };
        let not_json = |e: serde_json::Error| TokenizerError::Json { reason: e.to_string() };
        let json: Value = serde_json::from_str(text).map_err(not_json)?;
        let model = &json["model"];
        if model["type"] != "BPE" {
            return Err(foreign(format!("its model is {}", shortened(&model["type"]))));
        }
        let bytes = json["pre_tokenizer"]["type"] == "ByteLevel";
        if let Some(setting) = unsupported(&json, bytes) {
            return Err(foreign(setting));
        }
        if model["merges"].as_array().is_none_or(|m| !m.is_empty()) {
            return Err(foreign("it merges tokens".to_owned()));
        }
        let Some(vocabulary) = model["vocab"].as_object().filter(|v| !v.is_empty()) else {
            return Err(foreign("it has no vocabulary".to_owned()));
        };
        let mut characters = vec![None; vocabulary.len()];
        for (name, id) in vocabulary {
            let mut name_characters = name.chars();
            let (Some(character), None) = (name_characters.next(), name_characters.next()) else {
                let name = shortened(&Value::from(name.as_str()));
                return Err(foreign(format!("its token {name} is not one character")));
            };
            let place = id.as_u64().and_then(|t| characters.get_mut(usize::try_from(t).ok()?));
            match place {
                Some(place @ None) => *place = Some(character),
                _ => return Err(foreign(format!("token {name:?} has number {}", shortened(id)))),
            }
        }
        let characters: Vec<char> = characters.into_iter().flatten().collect();
        if bytes {
            return if characters == byte_names() {
                Ok(Tokenizer::Bytes)
            } else {
                Err(foreign("its bytes are numbered in another order".to_owned()))
            };
        }
        if !characters.is_sorted() {
            return Err(foreign("its characters are not in the order of Unicode".to_owned()));
        }
        Ok(Tokenizer::Characters(characters))
    }
}

/// Finds the first setting of a `tokenizer.json` that makes other tokens, or another text of them, than plain bytes or
/// characters. Returns its name, its value, and the supported value.
fn unsupported(json: &Value, bytes: bool) -> Option<String> {
    fn is(kind: &str) -> impl Fn(&Value) -> bool {
        move |v| v["type"] == kind
    }
    let nothing = |v: &Value| v.is_null();
    let no_text = |v: &Value| v.is_null() || *v == "";
    let no_token = |v: &Value| v.is_null() || v.as_array().is_some_and(Vec::is_empty);
    let level = |v: &Value| v.is_null() || is("ByteLevel")(v);
    let no_space = |v: &Value| v.is_null() || (level(v) && v["add_prefix_space"] == false);
    let (joiner, joins) = match bytes {
        true => (r#"{"type": "ByteLevel"}"#, is("ByteLevel")),
        false => (r#"{"type": "Fuse"}"#, is("Fuse")),
    };
    let before = r#"null, or {"type": "ByteLevel", "add_prefix_space": false}"#;
    let after = r#"null, or {"type": "ByteLevel"}"#;
    type Setting<'a> = (&'a str, &'a dyn Fn(&Value) -> bool, &'a str);
    let settings: [Setting<'_>; 13] = [
        ("version", &|v| v == "1.0", "\"1.0\""),
        ("truncation", &nothing, "null"),
        ("padding", &nothing, "null"),
        ("added_tokens", &no_token, "[]"),
        ("normalizer", &nothing, "null"),
        ("pre_tokenizer", &no_space, before),
        ("post_processor", &level, after),
        ("decoder", &joins, joiner),
        ("model.dropout", &|v| v.is_null() || *v == 0.0, "null"),
        // No byte is unknown.
        ("model.unk_token", &|v| bytes || v.is_null(), "null"),
        ("model.continuing_subword_prefix", &no_text, "null"),
        ("model.end_of_word_suffix", &no_text, "null"),
        ("model.byte_fallback", &|v| v.is_null() || *v == false, "false"),
    ];
    settings.iter().find_map(|(name, fine, supported)| {
        let value = json.pointer(&format!("/{}", name.replace('.', "/"))).unwrap_or(&Value::Null);
        (!fine(value)).then(|| format!("{name} is {}; supported is {supported}", shortened(value)))
    })
}

/// Returns tokens as bytes; invalid tokens become 0xff, which UTF-8 never contains.
fn bytes_of(tokens: &[u32]) -> Vec<u8> {
    tokens.iter().map(|&t| u8::try_from(t).unwrap_or(0xff)).collect()
}

/// Returns the printable character for each byte in the byte level of `tokenizers`: itself if it is printable in
/// Latin-1, else one from U+0100 on. Source: GPT-2's `bytes_to_unicode`.
fn byte_names() -> Vec<char> {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut others = (0x100..).filter_map(char::from_u32);
    let name = |b: u8| {
        if printable(b) { char::from(b) } else { others.next().expect("there are many characters") }
    };
    (0..=255).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text: String) {
            for tokenizer in [Tokenizer::bytes(), Tokenizer::characters_of(&text)] {
                let tokens = tokenizer.encode(&text).unwrap();
                prop_assert!(tokens.iter().all(|&t| (t as usize) < tokenizer.vocabulary()));
                prop_assert_eq!(tokenizer.decode(&tokens), text.clone());
            }
        }

        #[test]
        fn files_hold_the_tokenizer(text in ".+") {
            for tokenizer in [Tokenizer::bytes(), Tokenizer::characters_of(&text)] {
                prop_assert_eq!(Tokenizer::from_json(&tokenizer.to_json()), Ok(tokenizer));
            }
        }

        #[test]
        fn bytes_are_shown_as_soon_as_they_are_characters(text: String, noise: Vec<u8>) {
            let tokenizer = Tokenizer::bytes();
            let tokens: Vec<u32> = text.bytes().chain(noise).map(u32::from).collect();
            let (mut shown, mut pending) = (String::new(), Vec::new());
            for &token in &tokens {
                pending.push(token);
                let ready = pending.len() - tokenizer.incomplete(&pending);
                shown += &tokenizer.decode(&pending[..ready]);
                pending.drain(..ready);
                prop_assert!(pending.len() <= 3);
            }
            prop_assert_eq!(shown + &tokenizer.decode(&pending), tokenizer.decode(&tokens));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            prop_assert!(Tokenizer::from_json(&text).is_err());
        }
    }

    #[test]
    fn tokenizers_of_other_kinds_are_refused() {
        let message = |change: fn(&mut Value)| {
            let mut json =
                serde_json::from_str(&Tokenizer::characters_of("abc").to_json()).unwrap();
            change(&mut json);
            Tokenizer::from_json(&json.to_string()).unwrap_err().to_string()
        };
        assert!(message(|j| j["model"]["type"] = json!("Unigram")).contains("--prompt-tokens"));
        assert!(message(|j| j["model"]["merges"] = json!(["a b"])).contains("merges"));
        assert!(message(|j| j["model"]["vocab"] = json!({})).contains("no vocabulary"));
        assert!(message(|j| j["model"]["vocab"]["ab"] = json!(3)).contains("not one character"));
        assert!(message(|j| j["model"]["vocab"]["d"] = json!(7)).contains("number 7"));
        assert!(message(|j| j["model"]["vocab"]["d"] = json!(2)).contains("number"));
    }

    /// For both kinds of tokenizer, settings that change tokens or text are refused by name, and those that change
    /// nothing are accepted.
    #[test]
    fn settings_that_change_tokens_are_refused_by_name() {
        let of = |tokenizer: &Tokenizer, place: &str, value: &Value| {
            let mut json: Value = serde_json::from_str(&tokenizer.to_json()).unwrap();
            *json.pointer_mut(place).unwrap() = value.clone();
            Tokenizer::from_json(&json.to_string())
        };
        let both = [Tokenizer::bytes(), Tokenizer::characters_of("ab c")];
        let level = |space: bool| json!({"type": "ByteLevel", "add_prefix_space": space});
        for (place, value) in [
            ("/truncation", json!({"max_length": 8, "stride": 0})),
            ("/padding", json!({"strategy": "BatchLongest"})),
            ("/added_tokens", json!([{"id": 4, "content": "<|end|>", "special": true}])),
            ("/normalizer", json!({"type": "NFC"})),
            ("/normalizer", json!({"type": "Lowercase"})),
            ("/normalizer", json!({"type": "Prepend", "prepend": "a"})),
            ("/pre_tokenizer", level(true)),
            ("/pre_tokenizer", json!({"type": "Whitespace"})),
            ("/pre_tokenizer", json!({"type": "Sequence", "pretokenizers": []})),
            ("/post_processor", json!({"type": "TemplateProcessing", "single": []})),
            ("/decoder", Value::Null),
            ("/decoder", json!({"type": "WordPiece", "prefix": "##"})),
            ("/model/dropout", json!(0.1)),
            ("/model/continuing_subword_prefix", json!("##")),
            ("/model/end_of_word_suffix", json!("</w>")),
            ("/model/byte_fallback", json!(true)),
            ("/version", json!("2.0")),
        ] {
            for tokenizer in &both {
                let message = of(tokenizer, place, &value).unwrap_err().to_string();
                let name = place[1..].replace('/', ".");
                assert!(message.contains(&format!("{name} is ")), "{place}: {message}");
                assert!(message.contains("supported is"), "{message}");
            }
        }
        // No byte is unknown; some characters are, and would become this token.
        assert_eq!(of(&both[0], "/model/unk_token", &json!("a")), Ok(both[0].clone()));
        let unknown = of(&both[1], "/model/unk_token", &json!("a")).unwrap_err().to_string();
        assert!(unknown.contains("model.unk_token is \"a\""), "{unknown}");
        for (place, value) in [
            ("/post_processor", json!({"type": "ByteLevel", "trim_offsets": true})),
            ("/model/dropout", json!(0.0)),
            ("/model/continuing_subword_prefix", json!("")),
            ("/model/ignore_merges", json!(true)),
        ] {
            for tokenizer in &both {
                assert_eq!(of(tokenizer, place, &value), Ok(tokenizer.clone()), "{place}");
            }
        }
        // GPT-2's way of splitting words changes nothing without merges.
        let words = json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true});
        assert_eq!(of(&both[0], "/pre_tokenizer", &words), Ok(both[0].clone()));
    }
}
