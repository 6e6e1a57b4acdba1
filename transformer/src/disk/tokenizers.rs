//! Tokenizers on disk, in the files of Hugging Face's directories.

use crate::disk::files::{FileError, read_text};
use crate::disk::write_atomically;
use crate::printable::shortened;
use crate::text::tokenizer::{END_OF_TEXT, Tokenizer, TokenizerError};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The file that holds a whole tokenizer.
const WHOLE: &str = "tokenizer.json";
/// Names of the two files of GPT-2's tokenizer: transformers' and OpenAI's.
const PAIRS: [(&str, &str); 2] = [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")];

/// Returns the files that a directory's tokenizer is read from; empty if there are none.
pub fn tokenizer_files(directory: &Path) -> Vec<PathBuf> {
    let there = |names: &[&str]| {
        let paths: Vec<PathBuf> = names.iter().map(|name| directory.join(name)).collect();
        paths.iter().all(|path| path.exists()).then_some(paths)
    };
    let pairs = || PAIRS.iter().find_map(|(vocabulary, merges)| there(&[vocabulary, merges]));
    there(&[WHOLE]).or_else(pairs).unwrap_or_default()
}

/// Reads a model's tokenizer: `tokenizer.json`, else GPT-2's two files, `vocab.json` and `merges.txt` (by OpenAI's names,
/// `encoder.json` and `vocab.bpe`).
///
/// # Errors
/// Files that are missing or invalid, or two files of a tokenizer that is not GPT-2's.
pub fn read_tokenizer(directory: &Path) -> Result<Tokenizer, FileError> {
    let files = tokenizer_files(directory);
    let path = files.first().cloned().unwrap_or_else(|| directory.join(WHOLE));
    let failed = |source| FileError::Tokenizer { path: path.clone(), source };
    match &files[..] {
        [vocabulary, merges] => {
            let config = directory.join("tokenizer_config.json");
            if config.exists() {
                class_is_gpt2(&read_text(&config)?).map_err(failed)?;
            }
            Tokenizer::from_vocabulary_and_merges(&read_text(vocabulary)?, &read_text(merges)?)
        }
        _ => Tokenizer::from_json(&read_text(&path)?),
    }
    .map_err(failed)
}

/// Reads a tokenizer from a path: a file like `tokenizer.json`, or a directory ([`read_tokenizer`]).
///
/// # Errors
/// See [`read_tokenizer`].
pub fn read_tokenizer_at(path: &Path) -> Result<Tokenizer, FileError> {
    if path.is_dir() {
        return read_tokenizer(path);
    }
    let failed = |source| FileError::Tokenizer { path: path.to_owned(), source };
    Tokenizer::from_json(&read_text(path)?).map_err(failed)
}

/// Checks that two files without a `tokenizer.json` are of GPT-2's class: others split words in other ways.
fn class_is_gpt2(config: &str) -> Result<(), TokenizerError> {
    let json: Value = serde_json::from_str(config)
        .map_err(|e| TokenizerError::Json { reason: format!("tokenizer_config.json: {e}") })?;
    let class = &json["tokenizer_class"];
    match class.as_str() {
        None | Some("GPT2Tokenizer" | "GPT2TokenizerFast") => Ok(()),
        Some(_) => Err(TokenizerError::Unsupported {
            reason: format!(
                "tokenizer_config.json says tokenizer_class {}, and without tokenizer.json only GPT2Tokenizer is known; \
                 transformers writes one: AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY)",
                shortened(class)
            ),
        }),
    }
}

/// Writes `tokenizer.json` and a `tokenizer_config.json`, with which transformers' `AutoTokenizer` uses it unchanged.
///
/// # Errors
/// If one cannot be written.
pub fn write_tokenizer(directory: &Path, tokenizer: &Tokenizer) -> Result<(), FileError> {
    write_atomically(&directory.join(WHOLE), tokenizer.to_json().as_bytes())?;
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": false,
    });
    if let Tokenizer::Subwords(_) = tokenizer
        && tokenizer.token(END_OF_TEXT).is_some()
    {
        config["bos_token"] = json!(END_OF_TEXT);
        config["eos_token"] = json!(END_OF_TEXT);
    }
    let text = serde_json::to_string_pretty(&config).expect("a tree of plain values") + "\n";
    write_atomically(&directory.join("tokenizer_config.json"), text.as_bytes())
}
