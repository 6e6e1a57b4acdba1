//! `generation_config.json`: where a text ends, and how its author samples.

use super::adapter::with_model;
use super::{FileError, base_of, is_adapter, read_text};
use crate::model::architecture::ConfigError;
use crate::printable::shortened;
use probability::sample::Sampler;
use serde_json::{Map, Value};
use std::io;
use std::path::Path;

/// The settings of generation in a model directory. A setting that is absent or null is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationConfig {
    /// `eos_token_id`: the tokens that end a text.
    pub end: Vec<u32>,
    /// `do_sample`: whether tokens are drawn; false if absent.
    pub do_sample: bool,
    /// `temperature`.
    pub temperature: Option<f64>,
    /// `top_k`; 0 is off.
    pub top_k: Option<usize>,
    /// `top_p`.
    pub top_p: Option<f64>,
    /// `min_p`.
    pub min_p: Option<f64>,
    /// `typical_p`.
    pub typical: Option<f64>,
    /// `repetition_penalty`.
    pub repetition_penalty: Option<f64>,
}

impl GenerationConfig {
    /// Returns the sampler with which transformers generates by default. Without `do_sample` it takes the most probable
    /// token: temperature 0, and only the repetition penalty applies. Otherwise an absent setting is off, except that
    /// `top_k` is 50, as in transformers. A `top_p` or `typical_p` of 1 and a `top_k` of 0 are off.
    ///
    /// transformers applies `typical_p` after `min_p`; a [`Sampler`] applies it before `top_p`.
    ///
    /// ```
    /// use transformer::disk::files::GenerationConfig;
    /// assert_eq!(GenerationConfig::default().sampler().temperature, 0.0);
    /// let drawn = GenerationConfig { do_sample: true, top_p: Some(1.0), ..Default::default() };
    /// assert_eq!((drawn.sampler().temperature, drawn.sampler().top_k), (1.0, Some(50)));
    /// assert_eq!(drawn.sampler().top_p, None);
    /// ```
    pub fn sampler(&self) -> Sampler {
        let repetition_penalty = self.repetition_penalty.unwrap_or(1.0);
        if !self.do_sample {
            return Sampler { temperature: 0.0, repetition_penalty, ..Sampler::default() };
        }
        Sampler {
            temperature: self.temperature.unwrap_or(1.0),
            top_k: Some(self.top_k.unwrap_or(50)).filter(|&k| k > 0),
            // Any sum above 0 keeps the most probable token, as 0 does in transformers.
            top_p: self.top_p.filter(|&p| p < 1.0).map(|p| p.max(f64::MIN_POSITIVE)),
            min_p: self.min_p.filter(|&p| p > 0.0),
            typical: self.typical.filter(|&p| p < 1.0),
            repetition_penalty,
        }
    }
}

/// Reads the `generation_config.json` of a model directory; without that file, every setting has its default. If it
/// states no `eos_token_id`, that of `config.json` is used. Unknown keys are ignored, as in transformers.
///
/// # Errors
/// A file that cannot be read or is not a JSON object; a key with a value that is invalid.
pub fn read_generation_config(directory: &Path) -> Result<GenerationConfig, FileError> {
    if is_adapter(directory) && !directory.join("generation_config.json").exists() {
        return read_generation_config(&base_of(directory)?);
    }
    const END: &str = "eos_token_id";
    let own = Keys::read(directory, "generation_config.json")?;
    let base = with_model(directory)?;
    let model = Keys::read(&base, "config.json")?;
    let end = own.tokens(END)?.map_or_else(|| model.tokens(END), |end| Ok(Some(end)))?;
    Ok(GenerationConfig {
        end: end.unwrap_or_default(),
        do_sample: own.value("do_sample", "true or false", Value::as_bool)?.unwrap_or(false),
        temperature: own.number("temperature", "a finite number, 0 or more", |t| t >= 0.0)?,
        top_k: own.value("top_k", "a whole number, 0 or more", |value| {
            value.as_u64().map(|k| usize::try_from(k).unwrap_or(usize::MAX))
        })?,
        top_p: own.number("top_p", "a number from 0 to 1", |p| (0.0..=1.0).contains(&p))?,
        min_p: own.number("min_p", "a number from 0 to 1", |p| (0.0..=1.0).contains(&p))?,
        typical: own.number("typical_p", "a number above 0, at most 1", |p| p > 0.0 && p <= 1.0)?,
        repetition_penalty: own
            .number("repetition_penalty", "a finite number above 0", |x| x > 0.0)?,
    })
}

/// The keys of a JSON file.
struct Keys<'a> {
    directory: &'a Path,
    file: &'static str,
    object: Map<String, Value>,
}

impl<'a> Keys<'a> {
    /// Reads a file; a missing one has no keys.
    fn read(directory: &'a Path, file: &'static str) -> Result<Self, FileError> {
        let path = directory.join(file);
        let text = match read_text(&path) {
            Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Keys { directory, file, object: Map::new() });
            }
            text => text?,
        };
        match serde_json::from_str(&text) {
            Ok(object) => Ok(Keys { directory, file, object }),
            Err(e) => {
                Err(FileError::Config { path, source: ConfigError::Json { reason: e.to_string() } })
            }
        }
    }

    fn refused(&self, key: &'static str, found: &Value, expected: &str) -> FileError {
        let (found, expected) = (shortened(found), expected.to_owned());
        let source = ConfigError::Key { key, found, expected };
        FileError::Config { path: self.directory.join(self.file), source }
    }

    /// Reads a value that is present and not null.
    fn value<R>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<R>,
    ) -> Result<Option<R>, FileError> {
        let given = self.object.get(key).filter(|value| !value.is_null());
        given.map(|value| read(value).ok_or_else(|| self.refused(key, value, expected))).transpose()
    }

    fn number(
        &self,
        key: &'static str,
        expected: &str,
        right: impl Fn(f64) -> bool,
    ) -> Result<Option<f64>, FileError> {
        self.value(key, expected, |value| value.as_f64().filter(|&x| right(x)))
    }

    /// Reads a token or a list of tokens.
    fn tokens(&self, key: &'static str) -> Result<Option<Vec<u32>>, FileError> {
        let token = |value: &Value| value.as_u64().and_then(|token| u32::try_from(token).ok());
        self.value(key, "a token's number or a list of them", |value| match value.as_array() {
            Some(list) => list.iter().map(token).collect(),
            None => token(value).map(|token| vec![token]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Reads a `generation_config.json` beside a `config.json`, each if it is given.
    fn read(own: Option<&str>, model: Option<&str>) -> Result<GenerationConfig, String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [("generation_config.json", own), ("config.json", model)] {
            if let Some(text) = text {
                std::fs::write(directory.path().join(name), text).unwrap();
            }
        }
        read_generation_config(directory.path()).map_err(|e| e.to_string())
    }

    /// The file of Llama 3.2 Instruct, and what transformers makes of it.
    #[test]
    fn a_published_file_is_read() {
        let text = r#"{ "bos_token_id": 128000, "do_sample": true, "eos_token_id": [128001, 128008, 128009],
            "temperature": 0.6, "top_p": 0.9, "transformers_version": "4.45.0.dev0" }"#;
        let found = read(Some(text), Some(r#"{ "eos_token_id": 5 }"#)).unwrap();
        assert_eq!(found.end, [128_001, 128_008, 128_009]);
        let expected =
            Sampler { temperature: 0.6, top_k: Some(50), top_p: Some(0.9), ..Sampler::default() };
        assert_eq!(found.sampler(), expected);
        assert!(found.sampler().validate().is_ok());
    }

    #[test]
    fn what_is_absent_has_its_default() {
        let none = GenerationConfig::default();
        assert_eq!(read(None, None).unwrap(), none);
        assert_eq!(read(Some("{}"), Some(r#"{ "eos_token_id": null }"#)).unwrap(), none);
        let two = GenerationConfig { end: vec![2], ..none.clone() };
        assert_eq!(read(None, Some(r#"{ "eos_token_id": 2, "top_k": 3 }"#)).unwrap(), two);
        let null = r#"{ "eos_token_id": null, "temperature": null, "do_sample": null }"#;
        assert_eq!(read(Some(null), Some(r#"{ "eos_token_id": [2] }"#)).unwrap(), two);
        assert_eq!(read(Some(r#"{ "eos_token_id": 2 }"#), None).unwrap(), two);
        let greedy =
            read(Some(r#"{ "temperature": 0.7, "repetition_penalty": 1.1 }"#), None).unwrap();
        assert_eq!(greedy.temperature, Some(0.7));
        let expected = Sampler { temperature: 0.0, repetition_penalty: 1.1, ..Sampler::default() };
        assert_eq!(greedy.sampler(), expected);
    }

    #[test]
    fn settings_that_change_nothing_are_off() {
        let text = r#"{ "do_sample": true, "top_k": 0, "top_p": 1.0, "typical_p": 1, "min_p": 0 }"#;
        assert_eq!(read(Some(text), None).unwrap().sampler(), Sampler::default());
        let text =
            r#"{ "do_sample": true, "top_k": 7, "top_p": 0, "typical_p": 0.5, "min_p": 0.1 }"#;
        let sampler = read(Some(text), None).unwrap().sampler();
        assert_eq!(
            (sampler.top_k, sampler.typical, sampler.min_p),
            (Some(7), Some(0.5), Some(0.1))
        );
        assert!(sampler.validate().is_ok());
        // A sum of 0 keeps the most probable token.
        let top = Sampler { top_p: sampler.top_p, ..Sampler::default() };
        assert_eq!(top.distribution(&[1.0, 1.1, 0.9]).unwrap(), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn an_invalid_value_is_refused_with_its_key() {
        for (key, values) in [
            ("eos_token_id", [json!(-1), json!(1.5), json!([1, "x"]), json!(1_u64 << 32)]),
            ("do_sample", [json!(1), json!("true"), json!([]), json!({})]),
            ("temperature", [json!(-0.1), json!("1"), json!(true), json!([1])]),
            ("top_k", [json!(-1), json!(2.5), json!("50"), json!(false)]),
            ("top_p", [json!(-0.1), json!(1.1), json!("1"), json!({})]),
            ("min_p", [json!(-0.1), json!(1.1), json!("1"), json!({})]),
            ("typical_p", [json!(0), json!(1.1), json!("1"), json!({})]),
            ("repetition_penalty", [json!(0), json!(-1), json!("1"), json!({})]),
        ] {
            for value in values {
                let error = read(Some(&json!({ key: value }).to_string()), None).unwrap_err();
                let expected =
                    format!("generation_config.json: key {key}: found {value}, expected ");
                assert!(error.contains(&expected), "{error}");
            }
        }
        let error = read(None, Some(r#"{ "eos_token_id": "</s>" }"#)).unwrap_err();
        assert!(error.contains("config.json: key eos_token_id: found"), "{error}");
        for text in ["", "[]", "3", "{"] {
            let error = read(Some(text), None).unwrap_err();
            assert!(error.contains("generation_config.json: this is not a JSON object"), "{error}");
        }
    }
}
