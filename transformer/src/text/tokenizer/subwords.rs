//! Pieces of words: BPE, Unigram and WordPiece, by Hugging Face's crate `tokenizers`.

use super::TokenizerError;
use super::plain::byte_names;
use crate::printable::{printable, shortened};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Decoder, NormalizerWrapper, TokenizerBuilder};

/// The special token that ends a document in GPT-2's vocabulary and in those of [`Tokenizer::trained_bpe`](super::Tokenizer::trained_bpe).
pub const END_OF_TEXT: &str = "<|endoftext|>";
/// The least vocabulary of [`Tokenizer::trained_bpe`](super::Tokenizer::trained_bpe): the end of a document and 256 bytes.
pub const LEAST_VOCABULARY: usize = 257;
/// The most tokens of a vocabulary: 16 times the largest in use. A file can claim any number.
const MOST_TOKENS: u32 = 1 << 22;
/// The length of the pieces of a long text, in bytes.
const PIECE: usize = 1 << 16;
/// The pieces between two reports of progress.
const GROUP: usize = 64;
/// The text before and after a cut on which it is tried, in bytes.
const TRIED: usize = 512;
/// The most cuts that are tried before a piece is continued.
const MOST_TRIED: usize = 8;

/// A tokenizer of pieces of words, as a `tokenizer.json` of any kind describes it. Cloning it is free.
#[derive(Clone)]
pub struct Subwords {
    inner: Arc<Inner>,
    /// The token that ends a document.
    end: Option<u32>,
}

struct Inner {
    /// The file.
    json: String,
    tokenizer: tokenizers::Tokenizer,
    /// The bytes of all tokens, one after another.
    bytes: Vec<u8>,
    /// The end of each token's bytes.
    ends: Vec<u32>,
    begins_with_space: bool,
}

impl fmt::Debug for Subwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subwords").field("vocabulary", &self.vocabulary()).finish_non_exhaustive()
    }
}

impl PartialEq for Subwords {
    fn eq(&self, other: &Self) -> bool {
        self.inner.json == other.inner.json && self.end == other.end
    }
}

impl Eq for Subwords {}

impl Subwords {
    pub(super) fn from_json(text: &str, json: &Value) -> Result<Self, TokenizerError> {
        if !json["model"].is_object() {
            let found = shortened(&json["model"]);
            return Err(TokenizerError::unsupported(format!(
                "its model is {found}; an object is expected"
            )));
        }
        let dropout = &json["model"]["dropout"];
        if !dropout.is_null() && *dropout != 0.0 {
            return Err(TokenizerError::unsupported(format!(
                "it drops merges at random (model.dropout is {}); set model.dropout to null",
                shortened(dropout)
            )));
        }
        numbered(&json["model"]["vocab"])?;
        merged(&json["model"])?;
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(text)
            .map_err(|e| TokenizerError::unsupported(e.to_string()))?;
        // They would cut a text off, or lengthen it.
        let truncated = tokenizer.with_truncation(None);
        truncated.map_err(|e| TokenizerError::unsupported(e.to_string()))?.with_padding(None);
        Self::of(text.to_owned(), tokenizer, json)
    }

    pub(super) fn from_vocabulary_and_merges(
        vocabulary: &str,
        merges: &str,
    ) -> Result<Self, TokenizerError> {
        let vocabulary: HashMap<String, u32> =
            serde_json::from_str(vocabulary).map_err(|e| TokenizerError::json(&e))?;
        // The first line names the version.
        let lines = merges.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
        let level = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
        });
        let end = vocabulary.get(END_OF_TEXT).map(|id| {
            json!({
                "id": id, "content": END_OF_TEXT, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            })
        });
        let mut sorted: Vec<(&String, &u32)> = vocabulary.iter().collect();
        sorted.sort_by_key(|(_, id)| **id);
        let sorted = sorted.into_iter().map(|(name, id)| (name.clone(), json!(id)));
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": end.into_iter().collect::<Vec<Value>>(),
            "normalizer": null, "pre_tokenizer": level, "post_processor": level, "decoder": level,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
                "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": sorted.collect::<serde_json::Map<_, _>>(),
                "merges": lines.collect::<Vec<_>>(),
            },
        });
        let text = serde_json::to_string_pretty(&json).expect("a tree of plain values") + "\n";
        Self::from_json(&text, &json)
    }

    pub(super) fn trained_bpe<S: AsRef<str> + Send>(
        texts: impl Iterator<Item = S> + Send,
        vocabulary: usize,
    ) -> Result<Self, TokenizerError> {
        if vocabulary < LEAST_VOCABULARY || vocabulary > MOST_TOKENS as usize {
            return Err(TokenizerError::unsupported(format!(
                "its vocabulary would have {vocabulary} tokens; {LEAST_VOCABULARY} (256 bytes and the end of a \
                 document) to {MOST_TOKENS} are possible"
            )));
        }
        let mut trainer = BpeTrainer::builder()
            .vocab_size(vocabulary)
            .show_progress(false)
            .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
            .initial_alphabet(byte_names().into_iter().collect())
            .build();
        let level = ByteLevel::new(false, false, true);
        let mut tokenizer = TokenizerBuilder::<_, NormalizerWrapper, _, _, _>::new()
            .with_model(BPE::default())
            .with_pre_tokenizer(Some(level))
            .with_post_processor(Some(level))
            .with_decoder(Some(level))
            .build()
            .map_err(not_encoded)?;
        let pieces = texts.flat_map(|text| {
            let mut rest = text.as_ref();
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(boundary(rest, PIECE));
                pieces.push(piece.to_owned());
                rest = after;
            }
            pieces
        });
        let json = tokenizer.train(&mut trainer, pieces).and_then(|t| t.to_string(true));
        let text = json.map_err(not_encoded)? + "\n";
        let json = serde_json::from_str(&text).expect("the crate writes JSON");
        Self::from_json(&text, &json)
    }

    /// Finds the bytes of every token.
    fn of(
        json: String,
        tokenizer: tokenizers::Tokenizer,
        tree: &Value,
    ) -> Result<Self, TokenizerError> {
        let names = tokenizer.get_vocab(true);
        let Some((last, highest)) = names.iter().max_by_key(|(_, id)| **id) else {
            return Err(TokenizerError::unsupported("it has no vocabulary"));
        };
        if *highest >= MOST_TOKENS {
            return Err(TokenizerError::unsupported(format!(
                "its token {last:?} has the number {highest}; less than {MOST_TOKENS} is expected"
            )));
        }
        let mut by_id = vec![None; *highest as usize + 1];
        names.iter().for_each(|(name, id)| by_id[*id as usize] = Some(name));
        let decoding = Decoding::of(&tokenizer, tree);
        let (mut bytes, mut ends, mut begins_with_space) = (Vec::new(), Vec::new(), false);
        for name in by_id {
            if let Some(name) = name {
                let (own, loses_space) = decoding.bytes(name)?;
                begins_with_space |= loses_space;
                bytes.extend(own);
            }
            ends.push(bytes.len() as u32);
        }
        let end = tokenizer.token_to_id(END_OF_TEXT);
        let inner = Arc::new(Inner { json, tokenizer, bytes, ends, begins_with_space });
        Ok(Subwords { inner, end })
    }

    /// Returns the number of tokens: the highest token and one.
    pub fn vocabulary(&self) -> usize {
        self.inner.ends.len()
    }

    /// Returns the bytes that a token stands for within a text: `" the"` and not `"the"` or `"▁the"`. A special token stands
    /// for its name.
    pub fn bytes(&self, token: u32) -> &[u8] {
        let end = |i: usize| self.inner.ends[i] as usize;
        match token as usize {
            t if t >= self.vocabulary() => &[],
            0 => &self.inner.bytes[..end(0)],
            t => &self.inner.bytes[end(t - 1)..end(t)],
        }
    }

    pub(super) fn end(&self) -> Option<u32> {
        self.end
    }

    pub(super) fn with_end(self, name: &str) -> Self {
        Subwords { end: self.token(name).or(self.end), ..self }
    }

    pub(super) fn begins_with_space(&self) -> bool {
        self.inner.begins_with_space
    }

    pub(super) fn json(&self) -> &str {
        &self.inner.json
    }

    pub(super) fn token(&self, text: &str) -> Option<u32> {
        self.inner.tokenizer.token_to_id(text)
    }

    pub(super) fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.ids(text, true)
    }

    pub(super) fn encode(
        &self,
        text: &str,
        ends: bool,
        mut progress: impl FnMut(usize),
    ) -> Result<(Vec<u32>, usize), TokenizerError> {
        let (mut tokens, mut rest, mut done) = (Vec::new(), text, 0);
        // What is tried for a cut is there whole.
        let enough = |rest: &str| ends || rest.len() > MOST_TRIED * PIECE + PIECE + TRIED;
        loop {
            let mut pieces = Vec::new();
            while !rest.is_empty() && enough(rest) && pieces.len() < GROUP {
                let cut = self.cut(rest)?;
                if cut == rest.len() && !ends {
                    break;
                }
                let (piece, after) = rest.split_at(cut);
                rest = after;
                done += piece.len();
                pieces.push(piece);
            }
            if pieces.is_empty() {
                return Ok((tokens, done));
            }
            let group: Vec<Vec<u32>> = pieces
                .into_par_iter()
                .map(|piece| self.ids(piece, false))
                .collect::<Result<_, _>>()?;
            group.into_iter().for_each(|ids| tokens.extend(ids));
            progress(done);
        }
    }

    pub(super) fn ids(&self, text: &str, special: bool) -> Result<Vec<u32>, TokenizerError> {
        let encoded = self.inner.tokenizer.encode_fast(text, special);
        Ok(encoded.map_err(not_encoded)?.get_ids().to_vec())
    }

    /// Returns the end of the first piece of a text, at which it can be cut: the parts have the same tokens alone as
    /// together. A tokenizer may look at any distance, so this is tried on the text around the cut. Tokenizers that put
    /// something before each text, such as a space, cannot be cut anywhere.
    pub(super) fn cut(&self, text: &str) -> Result<usize, TokenizerError> {
        let (mut from, mut tried) = (PIECE, 0);
        while from + TRIED < text.len() && tried < MOST_TRIED {
            let start = boundary(text, from);
            let after = &text[start..boundary(text, start + PIECE)];
            // Before the space of a word that follows another word; in a text without such, at a line end.
            let word = |w: &[u8]| {
                w[0].is_ascii_alphanumeric() && w[1] == b' ' && w[2].is_ascii_alphanumeric()
            };
            let found = after.as_bytes().windows(3).position(word).map(|i| i + 1);
            let Some(at) = found.or_else(|| after.find('\n').filter(|&i| i > 0)).map(|i| start + i)
            else {
                from += PIECE;
                tried += 1;
                continue;
            };
            let left = &text[boundary(text, at - TRIED)..at];
            let right = &text[at..boundary(text, at + TRIED)];
            let together = self.ids(&[left, right].concat(), false)?;
            if [self.ids(left, false)?, self.ids(right, false)?].concat() == together {
                return Ok(at);
            }
            from = at + 1;
            tried += 1;
        }
        Ok(text.len())
    }
}

/// Returns the error of a text that the crate cannot encode or learn from.
fn not_encoded(error: tokenizers::Error) -> TokenizerError {
    TokenizerError::Text { reason: printable(&error.to_string()) }
}

/// Returns the last boundary of characters that is not after `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// Checks the numbers of tokens, if they are in an object: each is one, and no two are equal.
fn numbered(vocabulary: &Value) -> Result<(), TokenizerError> {
    let mut names = HashMap::new();
    for (name, id) in vocabulary.as_object().into_iter().flatten() {
        let name = shortened(&Value::from(name.as_str()));
        let Some(id) = id.as_u64().filter(|&id| id < u64::from(MOST_TOKENS)) else {
            let id = shortened(id);
            return Err(TokenizerError::unsupported(format!(
                "its token {name} has the number {id}; a whole number below {MOST_TOKENS} is expected"
            )));
        };
        if let Some(other) = names.insert(id, name.clone()) {
            return Err(TokenizerError::unsupported(format!(
                "its tokens {other} and {name} both have the number {id}"
            )));
        }
    }
    Ok(())
}

/// Checks the merges of BPE: both parts and their union are tokens. The crate panics at some that are not.
fn merged(model: &Value) -> Result<(), TokenizerError> {
    let (Some(merges), Some(vocabulary)) = (model["merges"].as_array(), model["vocab"].as_object())
    else {
        return Ok(());
    };
    let prefix = model["continuing_subword_prefix"].as_str().unwrap_or_default();
    for merge in merges {
        let text = merge.as_str();
        let both = text.and_then(|text| text.split_once(' ')).or(
            match merge.as_array().map(Vec::as_slice) {
                Some([left, right]) => left.as_str().zip(right.as_str()),
                _ => None,
            },
        );
        let union =
            both.and_then(|(left, right)| Some(left.to_owned() + right.strip_prefix(prefix)?));
        let known = |token: &str| vocabulary.contains_key(token);
        if !both
            .zip(union)
            .is_some_and(|((left, right), all)| known(left) && known(right) && known(&all))
        {
            return Err(TokenizerError::unsupported(format!(
                "its merge {} is not of two tokens that make a third one of the vocabulary",
                shortened(merge)
            )));
        }
    }
    Ok(())
}

/// The rules by which tokens become text.
struct Decoding<'a> {
    tokenizer: &'a tokenizers::Tokenizer,
    /// The byte of each character, of tokenizers that work on bytes.
    bytes: Option<HashMap<char, u8>>,
    /// Whether `<0x0A>` stands for a byte.
    byte_fallback: bool,
}

impl<'a> Decoding<'a> {
    fn of(tokenizer: &'a tokenizers::Tokenizer, json: &Value) -> Self {
        let decoder = &json["decoder"];
        let parts =
            decoder["decoders"].as_array().map_or(std::slice::from_ref(decoder), Vec::as_slice);
        let has = |kind: &str| parts.iter().any(|part| part["type"] == kind);
        let names = || byte_names().into_iter().zip(0..=255).collect();
        Decoding {
            tokenizer,
            bytes: has("ByteLevel").then(names),
            byte_fallback: has("ByteFallback"),
        }
    }

    /// Returns the bytes of a token within a text, and whether its first is a space that it loses at the beginning of one.
    fn bytes(&self, name: &str) -> Result<(Vec<u8>, bool), TokenizerError> {
        if let Some(bytes) = &self.bytes {
            let own: Option<Vec<u8>> = name.chars().map(|c| bytes.get(&c).copied()).collect();
            return Ok((own.unwrap_or_else(|| name.as_bytes().to_vec()), false));
        }
        let byte =
            name.strip_prefix("<0x").and_then(|n| n.strip_suffix('>')).filter(|n| n.len() == 2);
        if let Some(byte) =
            byte.and_then(|n| u8::from_str_radix(n, 16).ok()).filter(|_| self.byte_fallback)
        {
            return Ok((vec![byte], false));
        }
        // What a token adds after itself is its text within a text, whatever the decoder does at the beginning of one.
        let decode = |names: Vec<String>| match self.tokenizer.get_decoder() {
            Some(decoder) => decoder.decode(names),
            None => Ok(names.join(" ")),
        };
        let failed = |e: tokenizers::Error| {
            TokenizerError::unsupported(format!("its token {name:?} cannot be decoded: {e}"))
        };
        let alone = decode(vec![name.to_owned()]).map_err(failed)?;
        let twice = decode(vec![name.to_owned(); 2]).map_err(failed)?;
        let within = twice.strip_prefix(alone.as_str()).unwrap_or(&twice);
        let loses_space = within.strip_prefix(' ') == Some(alone.as_str());
        Ok((within.as_bytes().to_vec(), loses_space))
    }
}
