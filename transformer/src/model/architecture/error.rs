//! The errors of an architecture and of a `config.json`.

use thiserror::Error;

/// An invalid model or `config.json`.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A size of 0.
    #[error("{size} is 0; it must be 1 or more")]
    Zero {
        /// The name of the size.
        size: &'static str,
    },
    /// Heads that do not divide the width.
    #[error(
        "width {width} is not a multiple of {heads} heads, which share it; take a width of {} or {}",
        width / heads * heads,
        width.div_ceil(*heads) * heads
    )]
    Heads {
        /// The width.
        width: usize,
        /// The number of heads.
        heads: usize,
    },
    /// Key-value heads that do not divide the query heads.
    #[error(
        "{heads} heads are not a multiple of {key_value_heads} key-value heads; take a divisor of {heads}"
    )]
    KeyValueHeads {
        /// The number of query heads.
        heads: usize,
        /// The number of key-value heads.
        key_value_heads: usize,
    },
    /// A number of coordinates that cannot be rotated in pairs.
    #[error(
        "rotary positions rotate pairs of coordinates: {turning} coordinates of a head of {head_width} turn, which is an \
         odd number or 0; take another width of a head or share, or learned positions"
    )]
    OddHeads {
        /// Coordinates that turn.
        turning: usize,
        /// Features of a head.
        head_width: usize,
    },
    /// A setting out of range.
    #[error("{setting} is {found}; it must be {expected}")]
    Range {
        /// The name of the setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// Its range.
        expected: &'static str,
    },
    /// A part of the model that cannot be trained as asked.
    #[error("{setting}: found {found}, expected {expected}")]
    Adaptation {
        /// The name of the setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// A model larger than memory can address.
    #[error("a model with {sizes} is more than memory can address")]
    Large {
        /// The sizes.
        sizes: String,
    },
    /// A file that is not JSON, or not an object.
    #[error("this is not a JSON object: {reason}")]
    Json {
        /// What is wrong.
        reason: String,
    },
    /// A key that is missing or invalid.
    #[error("key {key}: found {found}, expected {expected}")]
    Key {
        /// The key.
        key: &'static str,
        /// The value found.
        found: String,
        /// The expected value.
        expected: String,
    },
}
