//! What can be wrong with numbers that are meant to be a distribution.

use linalg::real::shown;
use thiserror::Error;

/// Why there is no distribution, no interval, no test: what was found, and what is needed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ProbabilityError {
    /// Nothing where at least one element is needed.
    #[error("{what}: there is none; at least one is needed")]
    Empty {
        /// What is missing.
        what: &'static str,
    },
    /// An element outside its range.
    #[error("{what} {index} is {}; it must be {expected}", shown(*found))]
    Element {
        /// What it is an element of.
        what: &'static str,
        /// Which element.
        index: usize,
        /// Its value.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A setting outside its range.
    #[error("{what} is {}; it must be {expected}", shown(*found))]
    Setting {
        /// Which setting.
        what: &'static str,
        /// What it is.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// Probabilities that do not sum to one.
    #[error(
        "the probabilities sum to {}, not to 1 within {allowed:.1e}; \
         if they are weights, normalise them with `from_weights`", shown(*found)
    )]
    Sum {
        /// Their sum.
        found: f64,
        /// How far it may be from 1.
        allowed: f64,
    },
    /// Two lists that do not belong together.
    #[error("{what}: {found} where {least}{expected} {verb} needed",
        least = if *or_more { "at least " } else { "" }, verb = if *expected == 1 { "is" } else { "are" })]
    Length {
        /// Which list.
        what: &'static str,
        /// How many elements are needed: those of the other list, or the fewest that will do.
        expected: usize,
        /// How many it has.
        found: usize,
        /// Whether more than `expected` would do as well.
        or_more: bool,
    },
    /// A condition of probability 0.
    #[error("{what} {index} has probability 0: nothing can be conditioned on it")]
    Impossible {
        /// What was conditioned on.
        what: &'static str,
        /// Its index.
        index: usize,
    },
    /// A query that sees no key.
    #[error(
        "row {row} of the scores is fully masked: query {row} sees no key, so its weights do not exist; \
         let it see at least itself, or leave it out"
    )]
    FullyMasked {
        /// The query: a row of the textbook's scores, a column of ours.
        row: usize,
    },
    /// A covariance that is not its own transpose.
    #[error(
        "the covariance is not symmetric: ({row}, {column}) is {}, its mirror image {}; if they differ by \
         rounding only, take the mean of the two, (Σ + Σᵀ)/2", shown(*found), shown(*mirrored)
    )]
    Asymmetric {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// What stands there.
        found: f64,
        /// What stands at (column, row).
        mirrored: f64,
    },
    /// A covariance that has no Cholesky factor.
    #[error(
        "the covariance is not positive definite: the leading {size}×{size} block is the first without a \
         Cholesky factor; variable {index} is a linear function of those before it within rounding, or its variance is not above 0",
        index = size - 1
    )]
    NotPositiveDefinite {
        /// The size of the smallest leading block that fails.
        size: usize,
    },
}

/// The index and value of the first element that `wrong` picks out, as an error.
pub(crate) fn check(
    what: &'static str,
    expected: &'static str,
    values: impl IntoIterator<Item = f64>,
    right: impl Fn(f64) -> bool,
) -> Result<(), ProbabilityError> {
    match values.into_iter().enumerate().find(|(_, value)| !right(*value)) {
        Some((index, found)) => Err(ProbabilityError::Element { what, index, found, expected }),
        None => Ok(()),
    }
}

/// `Ok` where a list has the length that is needed.
pub(crate) fn check_length(
    what: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), ProbabilityError> {
    let or_more = false;
    let wrong = ProbabilityError::Length { what, expected, found, or_more };
    if expected == found { Ok(()) } else { Err(wrong) }
}

impl ProbabilityError {
    /// Of a list of fewer elements than are needed.
    pub(crate) fn at_least(expected: usize, what: &'static str, found: usize) -> Self {
        ProbabilityError::Length { what, expected, found, or_more: true }
    }
}

/// `Ok` where a setting is in its range.
pub(crate) fn check_setting(
    what: &'static str,
    expected: &'static str,
    found: f64,
    right: bool,
) -> Result<(), ProbabilityError> {
    if right { Ok(()) } else { Err(ProbabilityError::Setting { what, found, expected }) }
}
