//! How attention scores a key, and which keys a query sees.

use linalg::formula::{Expression, Index, at_most, cases, tanh};
use linalg::{Real, ShapeError};
use probability::mask::CausalMask;
use std::ops::Range;

/// The score of a query and a key, <var>s = f(c·⟨query, key⟩)</var>, and the keys that a query sees. The default is that
/// of GPT-2 and Llama: c = 1/√d for heads of d features, no cap, all earlier keys.
///
/// ```
/// use transformer::Scores;
/// let mistral = Scores { window: Some(4096), ..Scores::default() };
/// assert_eq!(mistral.seen(5000), 905..5001); // 4,096 keys, the query's own included
/// assert_eq!(mistral.factor::<f64>(64), 0.125);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// The factor c; 1/√d if absent.
    pub scale: Option<f64>,
    /// The cap of f(x) = cap·tanh(x/cap), [`calculus::soft_cap`]; f(x) = x if absent.
    pub cap: Option<f64>,
    /// The number of keys that a query sees, its own included; all earlier ones if absent.
    pub window: Option<usize>,
}

impl Scores {
    /// Returns the factor c for heads of `features`.
    pub fn factor<T: Real>(self, features: usize) -> T {
        match self.scale {
            Some(scale) => T::from_f64(scale),
            None => T::one() / T::from_f64(features as f64).sqrt(),
        }
    }

    /// Returns the mask of these scores.
    pub fn mask(self) -> CausalMask {
        CausalMask { window: self.window }
    }

    /// Returns the keys that query q sees.
    pub fn seen(self, query: usize) -> Range<usize> {
        self.mask().seen(query)
    }

    /// Returns the number of pairs of a query and a key that it sees, in a sequence of `length`.
    pub(crate) fn pairs(self, length: usize) -> usize {
        let window = self.window.unwrap_or(length).min(length);
        // Queries before the window is full, and all later ones.
        window * (window + 1) / 2 + (length - window) * window
    }

    /// Returns the operations of one pair of a query and a key with heads of `features`: two products of multiply-adds, a
    /// softmax, and a cap.
    pub(crate) fn pair_flops(self, features: usize) -> u64 {
        let cap = if self.cap.is_some() { 13 } else { 0 };
        4 * features as u64 + 15 + cap
    }

    /// Checks that every query sees a key.
    pub(crate) fn check(self) -> Result<(), ShapeError> {
        match self.window {
            Some(0) => Err(ShapeError::Empty { operand: "the window" }),
            _ => Ok(()),
        }
    }

    /// Returns the score of a scaled dot product.
    pub(crate) fn capped(self, x: Expression) -> Expression {
        match self.cap {
            Some(cap) => cap * tanh(x / cap),
            None => x,
        }
    }

    /// Returns f′, the derivative of a score in its scaled dot product, times x.
    pub(crate) fn slope(self, score: Expression, x: Expression) -> Expression {
        match self.cap {
            Some(cap) => x * (1.0 - score.clone() / cap * (score / cap)),
            None => x,
        }
    }

    /// Returns the score, or −∞ for a key before the query's window.
    pub(crate) fn windowed(self, key: Index, query: Index, score: Expression) -> Expression {
        match self.window {
            Some(window) => cases(at_most(query + 1, key + window), score, f64::NEG_INFINITY),
            None => score,
        }
    }

    /// Returns the score, or −∞ for a key before the query's sequence, which begins with the key `first`. A query always
    /// sees itself.
    pub(crate) fn own_sequence(
        self,
        first: Index,
        key: Index,
        query: Index,
        score: Expression,
    ) -> Expression {
        let hidden = f64::NEG_INFINITY;
        let itself = cases(at_most(query, key.clone()), score.clone(), hidden);
        cases(at_most(first, key), score, itself)
    }
}
