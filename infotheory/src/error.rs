//! Errors of distributions, tables, texts and settings.

use linalg::real::shown;
use thiserror::Error;

/// An undefined quantity of information. Every message names the number that was found.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum InfoError {
    /// An empty list; at least one element is needed.
    #[error("{what} is empty; at least one is needed")]
    Empty {
        /// The name of the empty list.
        what: &'static str,
    },
    /// A number that is not a probability.
    #[error("{what}: number {index} is {}; a probability is finite and at least 0", shown(*found))]
    Probability {
        /// The name of the distribution.
        what: &'static str,
        /// Its index; the first is 0.
        index: usize,
        /// The value found.
        found: f64,
    },
    /// Probabilities that do not sum to one.
    #[error("{what} sums to {}; a distribution sums to 1 (divide by the sum, or use softmax)", shown(*found))]
    Sum {
        /// The name of the distribution.
        what: &'static str,
        /// The sum.
        found: f64,
    },
    /// Two lists whose lengths differ.
    #[error("{what} has {found} entries where {expected} are needed")]
    Length {
        /// The name of the list.
        what: &'static str,
        /// The length found.
        found: usize,
        /// The length of the other list.
        expected: usize,
    },
    /// Too few of something.
    #[error("{what}: {found}, at least {least} needed")]
    TooFew {
        /// The name of the things.
        what: &'static str,
        /// The number found.
        found: usize,
        /// The minimum.
        least: usize,
    },
    /// Too many of something.
    #[error("{what}: {found}, at most {most} possible")]
    TooMany {
        /// The name of the things.
        what: &'static str,
        /// The number found.
        found: usize,
        /// The maximum.
        most: usize,
    },
    /// A symbol without a code word.
    #[error("symbol {symbol} at place {place} has no word: its length is 0")]
    NoWord {
        /// The index of the symbol in the text.
        place: usize,
        /// The symbol.
        symbol: usize,
    },
    /// A setting outside its range.
    #[error("{what} is {}; it must be {expected}", shown(*found))]
    Parameter {
        /// The name of the setting.
        what: &'static str,
        /// The value found.
        found: f64,
        /// The allowed values.
        expected: &'static str,
    },
    /// A logit that is NaN or +∞.
    #[error(
        "logit {index} of column {column} is {found}: the model's weights or its inputs are not finite"
    )]
    Logit {
        /// The column: the index of the token.
        column: usize,
        /// The row: the index of the class.
        index: usize,
        /// The value found.
        found: f64,
    },
    /// Logits that are all −∞: a fully masked column.
    #[error("every logit of column {column} is -inf: nothing is left to choose from")]
    Masked {
        /// The column: the index of the token.
        column: usize,
    },
    /// A target that is not a class.
    #[error("target {found} at place {place}: there are {classes} classes, from 0")]
    Target {
        /// The index of the token.
        place: usize,
        /// The target.
        found: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A mean over no elements.
    #[error("a mean over no {what} is undefined")]
    NoMean {
        /// The name of the elements.
        what: &'static str,
    },
    /// A chain with more than one stationary distribution.
    #[error("the chain has no single stationary distribution: some states cannot reach the others")]
    Reducible,
    /// Code lengths without a prefix code.
    #[error("code lengths with Kraft sum {} have no prefix code; the sum must be at most 1", shown(*found))]
    Kraft {
        /// Kraft's sum <var>Σ 2^−length</var>.
        found: f64,
    },
    /// An invalid compressed text.
    #[error("after {read} symbols the code ends, or leads nowhere")]
    Code {
        /// The number of symbols that could be read.
        read: usize,
    },
}
