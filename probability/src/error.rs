//! Errors of distributions, intervals and tests.

use linalg::real::shown;
use thiserror::Error;

/// An invalid distribution, interval or test: the value found and the value expected.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ProbabilityError {
    /// An empty list; at least one element is needed.
    #[error("{what}: there is none; at least one is needed")]
    Empty {
        /// The name of the missing elements.
        what: &'static str,
    },
    /// An element outside its range.
    #[error("{what} {index} is {}; it must be {expected}", shown(*found))]
    Element {
        /// The name of the list.
        what: &'static str,
        /// The index of the element.
        index: usize,
        /// The value found.
        found: f64,
        /// The allowed values.
        expected: &'static str,
    },
    /// A setting outside its range.
    #[error("{what} is {}; it must be {expected}", shown(*found))]
    Setting {
        /// The name of the setting.
        what: &'static str,
        /// The value found.
        found: f64,
        /// The allowed values.
        expected: &'static str,
    },
    /// Probabilities that do not sum to one.
    #[error(
        "the probabilities sum to {}, not to 1 within {allowed:.1e}; \
         if they are weights, normalise them with `from_weights`", shown(*found)
    )]
    Sum {
        /// The sum.
        found: f64,
        /// The allowed difference from 1.
        allowed: f64,
    },
    /// Two lists whose lengths do not fit.
    #[error("{what}: {found} where {least}{expected} {verb} needed",
        least = if *or_more { "at least " } else { "" }, verb = if *expected == 1 { "is" } else { "are" })]
    Length {
        /// The name of the list.
        what: &'static str,
        /// The number of elements needed: that of the other list, or a minimum.
        expected: usize,
        /// The number of elements found.
        found: usize,
        /// Whether more than `expected` are accepted.
        or_more: bool,
    },
    /// A condition of probability 0.
    #[error("{what} {index} has probability 0: nothing can be conditioned on it")]
    Impossible {
        /// The name of the condition.
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
        /// The query: a row of the textbook's scores, a column in this workspace.
        row: usize,
    },
    /// An asymmetric covariance.
    #[error(
        "the covariance is not symmetric: ({row}, {column}) is {}, its mirror image {}; if they differ by \
         rounding only, take the mean of the two, (Σ + Σᵀ)/2", shown(*found), shown(*mirrored)
    )]
    Asymmetric {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// The element at (row, column).
        found: f64,
        /// The element at (column, row).
        mirrored: f64,
    },
    /// A covariance that has no Cholesky factor.
    #[error(
        "the covariance is not positive definite: the leading {size}×{size} block is the first without a \
         Cholesky factor; variable {index} is a linear function of those before it within rounding, or its variance is not above 0",
        index = size - 1
    )]
    NotPositiveDefinite {
        /// The size of the smallest leading block without a factor.
        size: usize,
    },
}

/// Returns an error with the index and value of the first element that is not `right`.
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

/// Checks that a list has the expected length.
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
    /// Returns the error of a list with fewer elements than needed.
    pub(crate) fn at_least(expected: usize, what: &'static str, found: usize) -> Self {
        ProbabilityError::Length { what, expected, found, or_more: true }
    }
}

/// Checks that a setting is in its range.
pub(crate) fn check_setting(
    what: &'static str,
    expected: &'static str,
    found: f64,
    right: bool,
) -> Result<(), ProbabilityError> {
    if right { Ok(()) } else { Err(ProbabilityError::Setting { what, found, expected }) }
}
