//! Tokenizers on disk, in the files of Hugging Face's directories.

use super::{FileError, base_of, is_adapter, read_text};
use crate::disk::write_atomically;
use crate::printable::shortened;
use crate::text::chat::{ChatError, ChatTemplate};
use crate::text::tokenizer::{Tokenizer, TokenizerError};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The file that holds a whole tokenizer.
const WHOLE: &str = "tokenizer.json";
/// The file that says how transformers uses it.
const CONFIG: &str = "tokenizer_config.json";
/// The file of a chat template.
const TEMPLATE: &str = "chat_template.jinja";
/// Names of the two files of GPT-2's tokenizer: transformers' and OpenAI's.
const PAIRS: [(&str, &str); 2] = [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")];

/// Returns the files that a directory's tokenizer is read from, those of their model for adapters without one; empty if
/// there are none.
pub fn tokenizer_files(directory: &Path) -> Vec<PathBuf> {
    let own = own_files(directory);
    match is_adapter(directory) && own.is_empty() {
        true => base_of(directory).map_or(own, |base| own_files(&base)),
        false => own,
    }
}

fn own_files(directory: &Path) -> Vec<PathBuf> {
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
    if own_files(directory).is_empty() && is_adapter(directory) {
        return read_tokenizer(&base_of(directory)?);
    }
    let files = tokenizer_files(directory);
    let path = files.first().cloned().unwrap_or_else(|| directory.join(WHOLE));
    let failed = |source| FileError::Tokenizer { path: path.clone(), source };
    let config = read_config(directory)?;
    let tokenizer = match &files[..] {
        [vocabulary, merges] => {
            class_is_gpt2(&config["tokenizer_class"]).map_err(failed)?;
            Tokenizer::from_vocabulary_and_merges(&read_text(vocabulary)?, &read_text(merges)?)
        }
        _ => Tokenizer::from_json(&read_text(&path)?),
    };
    let tokenizer = tokenizer.map_err(failed)?;
    Ok(match special(&config, "eos_token") {
        Some(name) => tokenizer.with_end(name),
        None => tokenizer,
    })
}

/// Reads `tokenizer_config.json`; null if there is none.
fn read_config(directory: &Path) -> Result<Value, FileError> {
    let path = directory.join(CONFIG);
    if !path.exists() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&read_text(&path)?)
        .map_err(|e| FileError::Tokenizer { path, source: TokenizerError::json(&e) })
}

/// Returns the text of a special token: itself, or the content of an object.
fn special<'a>(config: &'a Value, name: &str) -> Option<&'a str> {
    config[name].as_str().or(config[name]["content"].as_str())
}

/// Reads a model's chat template, that of their model for adapters without one, if it has one: `chat_template.jinja`, else `chat_template` of `tokenizer_config.json`, of
/// several the one with the name `default`.
///
/// # Errors
/// A file that cannot be read, or a template with a syntax error.
pub fn read_chat_template(directory: &Path) -> Result<Option<ChatTemplate>, FileError> {
    match own_template(directory)? {
        None if is_adapter(directory) => own_template(&base_of(directory)?),
        own => Ok(own),
    }
}

fn own_template(directory: &Path) -> Result<Option<ChatTemplate>, FileError> {
    let (own, config) = (directory.join(TEMPLATE), read_config(directory)?);
    let given = &config["chat_template"];
    let default = |t: &&Value| t["name"] == "default";
    let listed = given.as_array().and_then(|list| list.iter().find(default));
    let (path, source) = match (own.exists(), given.as_str(), listed) {
        (true, ..) => (own.clone(), read_text(&own)?),
        (_, Some(source), _) => (directory.join(CONFIG), source.to_owned()),
        (.., Some(named)) => {
            (directory.join(CONFIG), named["template"].as_str().unwrap_or_default().to_owned())
        }
        _ => return Ok(None),
    };
    let names = ["bos_token", "eos_token", "pad_token", "unk_token"];
    let names = names.map(|name| (name, special(&config, name).unwrap_or_default()));
    let template = ChatTemplate::new(&source, &names);
    let unsupported = |e: ChatError| TokenizerError::Unsupported { reason: e.to_string() };
    Ok(Some(template.map_err(|e| FileError::Tokenizer { path, source: unsupported(e) })?))
}

/// Writes a chat template beside a tokenizer that was written there, with the texts of the special tokens that it names.
///
/// # Errors
/// If a file cannot be read or written.
pub fn write_chat_template(directory: &Path, template: &ChatTemplate) -> Result<(), FileError> {
    let mut config = read_config(directory)?;
    for (name, text) in template.names().iter().filter(|(_, text)| !text.is_empty()) {
        if config[name].is_null() {
            config[name] = json!(text);
        }
    }
    let text = serde_json::to_string_pretty(&config).expect("a tree of plain values") + "\n";
    write_atomically(&directory.join(CONFIG), text.as_bytes())?;
    write_atomically(&directory.join(TEMPLATE), template.source().as_bytes())
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
fn class_is_gpt2(class: &Value) -> Result<(), TokenizerError> {
    match class.as_str() {
        None | Some("GPT2Tokenizer" | "GPT2TokenizerFast") => Ok(()),
        Some(_) => Err(TokenizerError::Unsupported {
            reason: format!(
                "{CONFIG} says tokenizer_class {}, and without {WHOLE} only GPT2Tokenizer is known; transformers writes \
                 one: AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY)",
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
    if let Some(end) = tokenizer.end() {
        config["eos_token"] = json!(tokenizer.name(end));
    }
    let text = serde_json::to_string_pretty(&config).expect("a tree of plain values") + "\n";
    write_atomically(&directory.join(CONFIG), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chat::Message;

    /// A template that is written beside a tokenizer is read with the names that it had.
    #[test]
    fn a_written_template_is_read_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let tokenizer = Tokenizer::trained_bpe("low lower", 258).unwrap();
        let names = [("bos_token", "<s>"), ("eos_token", "</s>"), ("pad_token", "")];
        let source = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token }}";
        let template = ChatTemplate::new(source, &names).unwrap();
        write_tokenizer(directory.path(), &tokenizer).unwrap();
        write_chat_template(directory.path(), &template).unwrap();
        let read = read_chat_template(directory.path()).unwrap().unwrap();
        let rendered = read.render(&[Message::new("user", "hi")]).unwrap();
        // The tokenizer says itself which token ends a text.
        assert_eq!(rendered, "<s>hi<|endoftext|>");
        assert_eq!(read_tokenizer(directory.path()).unwrap().end(), tokenizer.end());
    }
}
