//! What can be wrong with a distribution, a table, a text or a setting.

use linalg::real::shown;
use thiserror::Error;

/// Why a quantity of information is not defined. Every message names the number that was found.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum InfoError {
    /// Nothing, where at least one number is needed.
    #[error("{what} is empty; at least one is needed")]
    Empty {
        /// What is empty.
        what: &'static str,
    },
    /// A number that is no probability.
    #[error("{what}: number {index} is {}; a probability is finite and at least 0", shown(*found))]
    Probability {
        /// Of which distribution.
        what: &'static str,
        /// Its place; the first is 0.
        index: usize,
        /// What it is.
        found: f64,
    },
    /// Probabilities that do not sum to one.
    #[error("{what} sums to {}; a distribution sums to 1 (divide by the sum, or use softmax)", shown(*found))]
    Sum {
        /// Which distribution.
        what: &'static str,
        /// The sum.
        found: f64,
    },
    /// Two things that must be of one length.
    #[error("{what} has {found} entries where {expected} are needed")]
    Length {
        /// Which of them.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The other's.
        expected: usize,
    },
    /// Less than what is needed.
    #[error("{what}: {found}, at least {least} needed")]
    TooFew {
        /// What there is too little of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        least: usize,
    },
    /// More than what is possible.
    #[error("{what}: {found}, at most {most} possible")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A symbol that a code has no word for.
    #[error("symbol {symbol} at place {place} has no word: its length is 0")]
    NoWord {
        /// Which symbol of the text.
        place: usize,
        /// The symbol.
        symbol: usize,
    },
    /// A setting outside of its range.
    #[error("{what} is {}; it must be {expected}", shown(*found))]
    Parameter {
        /// Which setting.
        what: &'static str,
        /// What it is.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A score that softmax cannot take.
    #[error(
        "logit {index} of column {column} is {found}: the model's weights or its inputs are not finite"
    )]
    Logit {
        /// The column: which token.
        column: usize,
        /// The row: which class.
        index: usize,
        /// What it is.
        found: f64,
    },
    /// Scores that are all −∞: a row that is masked to the end.
    #[error("every logit of column {column} is -inf: nothing is left to choose from")]
    Masked {
        /// The column: which token.
        column: usize,
    },
    /// A target that is no class.
    #[error("target {found} at place {place}: there are {classes} classes, from 0")]
    Target {
        /// Which token.
        place: usize,
        /// The target.
        found: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// A mean over nothing.
    #[error("a mean over no {what} is undefined")]
    NoMean {
        /// What there is none of.
        what: &'static str,
    },
    /// A chain with more than one stationary distribution.
    #[error("the chain has no single stationary distribution: some states cannot reach the others")]
    Reducible,
    /// Code words that are no prefix code.
    #[error("code lengths with Kraft sum {} have no prefix code; the sum must be at most 1", shown(*found))]
    Kraft {
        /// <var>Σ 2^−length</var>.
        found: f64,
    },
    /// A compressed text that is none.
    #[error("after {read} symbols the code ends, or leads nowhere")]
    Code {
        /// Symbols that could be read.
        read: usize,
    },
}
