//! Typed access to the keys of a `config.json`.

use crate::model::architecture::{Activation, ConfigError};
use crate::printable::shortened;
use serde_json::{Map, Value};

/// The keys of an object.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a>(&'a Map<String, Value>);

pub(super) fn refused(
    key: &'static str,
    found: &Value,
    expected: impl Into<String>,
) -> ConfigError {
    ConfigError::Key { key, found: shortened(found), expected: expected.into() }
}

type Result<T> = std::result::Result<T, ConfigError>;

impl<'a> Keys<'a> {
    /// Returns the keys of a JSON object. The error shows how any other value begins.
    pub(super) fn of(value: &'a Value) -> std::result::Result<Self, String> {
        value.as_object().map(Keys).ok_or_else(|| format!("it begins with {}", shortened(value)))
    }

    /// Returns all keys.
    pub(super) fn all(self) -> &'a Map<String, Value> {
        self.0
    }

    pub(super) fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(key)
    }

    /// Returns the value of a key that is present and not null.
    fn given(self, key: &str) -> Option<&'a Value> {
        self.get(key).filter(|value| !value.is_null())
    }

    /// Reads an integer; `absent` is its value if the key is absent.
    pub(super) fn whole(self, key: &'static str, absent: usize) -> Result<usize> {
        self.get(key).map_or(Ok(absent), |value| whole(key, value))
    }

    /// Like [`Keys::whole`], but null also means absent.
    pub(super) fn optional(self, key: &'static str) -> Result<Option<usize>> {
        self.given(key).map(|value| whole(key, value)).transpose()
    }

    /// Reads a size, under the family's own name or the name that all families share.
    pub(super) fn size(
        self,
        key: &'static str,
        general: &'static str,
        absent: usize,
    ) -> Result<usize> {
        match (self.get(key), self.get(general)) {
            (None, None) => Ok(absent),
            (Some(value), None) => whole(key, value),
            (None, Some(value)) => whole(general, value),
            (Some(value), Some(other)) if value == other => whole(key, value),
            (Some(value), Some(_)) => {
                let expected = "the same number as under its general name (hidden_size, \
                                max_position_embeddings, num_attention_heads, num_hidden_layers)";
                Err(refused(key, value, expected))
            }
        }
    }

    pub(super) fn number(self, key: &'static str, absent: f64) -> Result<f64> {
        self.get(key).map_or(Ok(absent), |value| {
            value.as_f64().ok_or_else(|| refused(key, value, "a number"))
        })
    }

    pub(super) fn flag(self, key: &'static str, absent: bool) -> Result<bool> {
        self.get(key).map_or(Ok(absent), |value| {
            value.as_bool().ok_or_else(|| refused(key, value, "true or false"))
        })
    }

    /// Checks a flag that has one value in every model this crate supports.
    pub(super) fn must_be(self, key: &'static str, needed: bool) -> Result<()> {
        match self.get(key) {
            Some(value) if self.flag(key, needed)? != needed => {
                Err(refused(key, value, needed.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a key with a value other than null or an empty object.
    pub(super) fn must_be_absent(self, key: &'static str, why: &str) -> Result<()> {
        let empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
        match self.given(key).filter(|value| !empty(value)) {
            Some(value) => Err(refused(key, value, why)),
            None => Ok(()),
        }
    }

    /// Refuses a flag that is neither null nor false.
    pub(super) fn must_be_absent_or_false(self, key: &'static str) -> Result<()> {
        self.given(key).map_or(Ok(()), |_| self.must_be(key, false))
    }

    /// Reads an object.
    pub(super) fn object(self, key: &'static str) -> Result<Option<Keys<'a>>> {
        self.given(key)
            .map(|value| {
                value.as_object().map(Keys).ok_or_else(|| refused(key, value, "an object"))
            })
            .transpose()
    }

    /// Reads an activation by its Hugging Face name.
    pub(super) fn activation(self, key: &'static str, absent: Activation) -> Result<Activation> {
        let Some(value) = self.get(key) else { return Ok(absent) };
        let named = |name| Activation::ALL.iter().find(|a| a.hugging_face().contains(&name));
        value.as_str().and_then(named).copied().ok_or_else(|| {
            refused(
                key,
                value,
                "gelu, gelu_new, relu, silu, tanh or another of transformers' names",
            )
        })
    }
}

fn whole(key: &'static str, value: &Value) -> Result<usize> {
    let size = value.as_u64().and_then(|n| usize::try_from(n).ok());
    size.ok_or_else(|| refused(key, value, "a whole number"))
}
