//! Transformations of the distribution over next tokens: temperature, top-k, top-p, min-p, typical, repetition penalty.
//!
//! Transformations act on logits: ln p up to a common constant, with −∞ for excluded tokens. A transformation maps
//! [`Logits`] to `Logits` and never excludes all tokens, so any two compose ([`Transform::then`]), in any order and
//! number. The result is renormalised once, at the end, by softmax.
//!
//! | transformation | keeps or changes | source |
//! |---|---|---|
//! | [`Temperature`] | z/T | Ackley, Hinton, Sejnowski 1985 |
//! | [`TopK`] | the k most probable | Fan, Lewis, Dauphin 2018 |
//! | [`TopP`] | the fewest that reach probability P | Holtzman et al. 2019 |
//! | [`MinP`] | those at least P times as probable as the best | Nguyen et al. 2024 |
//! | [`Typical`] | those whose surprisal is nearest to the entropy, up to probability P | Meister et al. 2022 |
//! | [`RepetitionPenalty`] | tokens that occurred: z/θ if positive, z·θ if negative | Keskar et al. 2019 |
//!
//! ```
//! use probability::transform::{Logits, Temperature, TopK, TopP, Transform};
//! // The textbook's section 5.2, whose printed table is wrong in every row.
//! let logits = Logits::new(&[5.0, 3.5, 2.0, 1.0, 0.5, 0.1, -1.0, -2.0])?;
//! let p = Temperature(1.0).apply(logits.clone())?.distribution();
//! assert!((p.probability(0) - 0.7615).abs() < 1e-4); // printed: 0.513
//! // Composed: a little sharper, then the best four, then those that reach 95 %.
//! let p = Temperature(0.7).then(TopK(4)).then(TopP(0.95)).apply(logits)?.distribution();
//! assert_eq!(p.probabilities().iter().filter(|p| **p > 0.0).count(), 2);
//! # Ok::<(), probability::sample::SampleError>(())
//! ```
//!
//! On `f64` alone: the kept tokens depend on ranks, which jump.

use crate::accurate::{cumulative, distance_in, reaches};
use crate::categorical::Categorical;
use crate::sample::SampleError;
use crate::softmax::softmax;
use std::cmp::Ordering;

/// Logits of a distribution: none is NaN or +∞, one is above −∞.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits(Vec<f64>);

impl Logits {
    /// Checks logits.
    ///
    /// # Errors
    /// If there are no logits, one is NaN or +∞, or all are −∞.
    pub fn new(logits: &[f64]) -> Result<Self, SampleError> {
        let bad = |z: &f64| z.is_nan() || *z == f64::INFINITY;
        if let Some(index) = logits.iter().position(bad) {
            return Err(SampleError::Logit { index, value: logits[index] });
        }
        if logits.is_empty() {
            return Err(SampleError::Empty);
        }
        if logits.iter().all(|z| *z == f64::NEG_INFINITY) {
            return Err(SampleError::Logit { index: 0, value: f64::NEG_INFINITY });
        }
        Ok(Logits(logits.to_vec()))
    }

    /// Returns the logits; −∞ for an excluded token.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Returns their softmax, the renormalised distribution.
    pub fn distribution(&self) -> Categorical {
        Categorical::from_logits(&self.0).expect("logits that were checked")
    }

    /// Returns the tokens that are not excluded, by decreasing logit; the first of equals first.
    fn order(&self) -> Vec<usize> {
        let z = &self.0;
        let mut order: Vec<usize> = (0..z.len()).filter(|&i| z[i] > f64::NEG_INFINITY).collect();
        // None is NaN, and −0 is 0.
        order.sort_by(|&i, &j| z[j].partial_cmp(&z[i]).unwrap_or(Ordering::Equal));
        order
    }

    /// Excludes all tokens except those given.
    fn keep(mut self, kept: &[usize]) -> Self {
        let mut left = vec![f64::NEG_INFINITY; self.0.len()];
        kept.iter().for_each(|&i| left[i] = self.0[i]);
        self.0 = left;
        self
    }
}

/// A map of distributions over tokens to distributions over tokens.
///
/// # Laws
/// 1. An excluded token stays excluded, and at least one token is left.
/// 2. Composition is associative, and [`Keep`] is its neutral element.
pub trait Transform {
    /// Checks that the setting is in its range.
    ///
    /// # Errors
    /// [`SampleError::Setting`], with the range.
    fn validate(&self) -> Result<(), SampleError>;

    /// Returns the transformed logits.
    ///
    /// # Errors
    /// Like [`Transform::validate`].
    fn apply(&self, logits: Logits) -> Result<Logits, SampleError>;

    /// Returns the composition: first this one, then `next`.
    fn then<N: Transform>(self, next: N) -> Then<Self, N>
    where
        Self: Sized,
    {
        Then { first: self, next }
    }
}

/// Two transformations, one after the other: see [`Transform::then`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Then<F, N> {
    first: F,
    next: N,
}

impl<F: Transform, N: Transform> Transform for Then<F, N> {
    fn validate(&self) -> Result<(), SampleError> {
        self.first.validate()?;
        self.next.validate()
    }

    fn apply(&self, logits: Logits) -> Result<Logits, SampleError> {
        self.next.apply(self.first.apply(logits)?)
    }
}

/// An optional setting: `None` changes nothing.
impl<F: Transform> Transform for Option<F> {
    fn validate(&self) -> Result<(), SampleError> {
        self.as_ref().map_or(Ok(()), Transform::validate)
    }

    fn apply(&self, logits: Logits) -> Result<Logits, SampleError> {
        match self {
            Some(transform) => transform.apply(logits),
            None => Ok(logits),
        }
    }
}

/// The identity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keep;

impl Transform for Keep {
    fn validate(&self) -> Result<(), SampleError> {
        Ok(())
    }

    fn apply(&self, logits: Logits) -> Result<Logits, SampleError> {
        Ok(logits)
    }
}

/// Checks that a setting is in its range.
fn within(
    setting: &'static str,
    found: f64,
    expected: &'static str,
    right: bool,
) -> Result<(), SampleError> {
    if right { Ok(()) } else { Err(SampleError::Setting { setting, found, expected }) }
}

/// Division by a temperature, z/T: below 1 sharpens, above 1 flattens; 0 keeps only the most probable token, the first
/// of equals.
///
/// ```
/// use probability::transform::{Logits, Temperature, Transform};
/// let logits = Logits::new(&[1.0, 3.0, 3.0])?;
/// assert_eq!(Temperature(0.0).apply(logits)?.distribution().probabilities(), [0.0, 1.0, 0.0]);
/// # Ok::<(), probability::sample::SampleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperature(pub f64);

impl Transform for Temperature {
    fn validate(&self) -> Result<(), SampleError> {
        let right = self.0 >= 0.0 && self.0.is_finite();
        within("temperature", self.0, "a finite number, 0 or more", right)
    }

    fn apply(&self, mut logits: Logits) -> Result<Logits, SampleError> {
        self.validate()?;
        let best = logits.order()[0];
        if self.0 == 0.0 {
            return Ok(logits.keep(&[best]));
        }
        if self.0 != 1.0 {
            // Relative to the best, so that a tiny temperature overflows to −∞ and not to +∞.
            let largest = logits.0[best];
            logits.0.iter_mut().for_each(|z| *z = distance_in(self.0, *z, largest));
        }
        Ok(logits)
    }
}

/// Top-k: keeps the k most probable tokens, the first of equals; k is at least 1.
///
/// ```
/// use probability::transform::{Logits, TopK, Transform};
/// let logits = Logits::new(&[5.0, 3.5, 2.0, 1.0, 0.5, 0.1, -1.0, -2.0])?;
/// let p = TopK(2).apply(logits)?.distribution();
/// assert!((p.probability(0) - 0.818).abs() < 1e-3 && p.probability(2) == 0.0);
/// # Ok::<(), probability::sample::SampleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopK(pub usize);

impl Transform for TopK {
    fn validate(&self) -> Result<(), SampleError> {
        within("top-k", self.0 as f64, "1 or more", self.0 > 0)
    }

    fn apply(&self, logits: Logits) -> Result<Logits, SampleError> {
        self.validate()?;
        let mut order = logits.order();
        order.truncate(self.0);
        Ok(logits.keep(&order))
    }
}

/// Top-p: keeps the fewest most probable tokens whose probabilities reach P, above 0 and at most 1 (the nucleus). A sum
/// that misses P by rounding reaches it: 0.5 + 0.3 is 0.8.
///
/// ```
/// use probability::transform::{Logits, TopP, Transform};
/// let logits = Logits::new(&[0.5_f64.ln(), 0.3_f64.ln(), 0.15_f64.ln(), 0.05_f64.ln()])?;
/// let p = TopP(0.7).apply(logits)?.distribution(); // 0.5 does not reach 0.7, 0.5 + 0.3 does
/// assert!((p.probability(0) - 0.625).abs() < 1e-15 && p.probability(2) == 0.0);
/// # Ok::<(), probability::sample::SampleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(alias = "nucleus")]
pub struct TopP(pub f64);

impl Transform for TopP {
    fn validate(&self) -> Result<(), SampleError> {
        within("top-p", self.0, "above 0 and at most 1", self.0 > 0.0 && self.0 <= 1.0)
    }

    fn apply(&self, logits: Logits) -> Result<Logits, SampleError> {
        self.validate()?;
        let order = logits.order();
        let p = softmax(&order.iter().map(|&i| logits.0[i]).collect::<Vec<_>>());
        let count = reaching(&p, self.0, &order, &logits);
        Ok(logits.keep(&order[..count]))
    }
}

/// Min-p: keeps the tokens at least P times as probable as the most probable one; P from 0 to 1.
///
/// ```
/// use probability::transform::{Logits, MinP, Transform};
/// let logits = Logits::new(&[0.5_f64.ln(), 0.3_f64.ln(), 0.15_f64.ln(), 0.05_f64.ln()])?;
/// let p = MinP(0.25).apply(logits)?.distribution(); // at least 0.125
/// assert!((p.probability(2) - 0.15 / 0.95).abs() < 1e-15 && p.probability(3) == 0.0);
/// # Ok::<(), probability::sample::SampleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MinP(pub f64);

impl Transform for MinP {
    fn validate(&self) -> Result<(), SampleError> {
        within("min-p", self.0, "between 0 and 1", self.0 >= 0.0 && self.0 <= 1.0)
    }

    fn apply(&self, logits: Logits) -> Result<Logits, SampleError> {
        self.validate()?;
        let order = logits.order();
        let best = logits.0[order[0]];
        let share = |i: usize| (logits.0[i] - best).exp();
        // Both logits were rounded.
        let slack = |i: usize| slack(2.0 + logits.0[i].abs() + best.abs());
        let count = order.partition_point(|&i| reaches(share(i), self.0, slack(i)));
        Ok(logits.keep(&order[..count]))
    }
}

/// Typical sampling: keeps the tokens whose surprisal −ln p is nearest to the entropy, the fewest that reach P, above 0
/// and at most 1.
///
/// ```
/// use probability::transform::{Logits, Transform, Typical};
/// let logits = Logits::new(&[0.4_f64.ln(), 0.25_f64.ln(), 0.25_f64.ln(), 0.1_f64.ln()])?;
/// // H = 1.29 nats; surprisals are 0.92, 1.39, 1.39, 2.30: the most probable token is not the most typical.
/// let p = Typical(0.5).apply(logits)?.distribution();
/// assert_eq!(p.probabilities(), [0.0, 0.5, 0.5, 0.0]);
/// # Ok::<(), probability::sample::SampleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(alias = "typical_p")]
pub struct Typical(pub f64);

impl Transform for Typical {
    fn validate(&self) -> Result<(), SampleError> {
        within("typical", self.0, "above 0 and at most 1", self.0 > 0.0 && self.0 <= 1.0)
    }

    fn apply(&self, logits: Logits) -> Result<Logits, SampleError> {
        self.validate()?;
        let p = logits.distribution();
        let surprisal = crate::softmax::log_softmax(&logits.0);
        let entropy = -p.expectation(|i| surprisal[i]);
        let strangeness = |i: usize| (-surprisal[i] - entropy).abs();
        let mut order = logits.order();
        order.sort_by(|&i, &j| strangeness(i).total_cmp(&strangeness(j)));
        let ranked: Vec<f64> = order.iter().map(|&i| p.probability(i)).collect();
        let count = reaching(&ranked, self.0, &order, &logits);
        Ok(logits.keep(&order[..count]))
    }
}

/// Returns the relative rounding error of a probability, of this many units.
///
/// The error is at most 2⁻³⁰: logits in the millions are not rounded logarithms of probabilities, and their differences
/// are exact.
fn slack(units: f64) -> f64 {
    (units * f64::EPSILON).min((-30.0_f64).exp2())
}

/// Returns how many of the probabilities, in order, reach a sum within rounding. A limit of 1 needs all.
///
/// The error of a sum is four units in the last place of softmax, and for each logit the rounding |z|·ε/2 of ln p to z
/// and of the subtraction of the common part.
fn reaching(p: &[f64], goal: f64, order: &[usize], logits: &Logits) -> usize {
    let sizes = p.iter().zip(order).map(|(p, &i)| p * logits.0[i].abs());
    let slack = slack(4.0 + sizes.sum::<f64>());
    let mut sums = cumulative(p.iter().copied());
    let reached = if goal < 1.0 { sums.position(|sum| reaches(sum, goal, slack)) } else { None };
    reached.map_or(p.len(), |last| last + 1)
}

/// The repetition penalty: logits of earlier tokens become z/θ if positive, <var>z·θ</var> if negative; θ is above 0,
/// and 1 changes nothing.
///
/// This is the only transformation that depends on logits and not on the distribution: adding a constant to all logits
/// changes its result. So it comes first.
///
/// ```
/// use probability::transform::{Logits, RepetitionPenalty, Transform};
/// let penalty = RepetitionPenalty { penalty: 2.0, history: &[0, 2, 2] }; // twice is not worse than once
/// let logits = penalty.apply(Logits::new(&[3.0, 1.0, -1.0])?)?;
/// assert_eq!(logits.values(), [1.5, 1.0, -2.0]);
/// # Ok::<(), probability::sample::SampleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(alias = "repetition_penalty")]
pub struct RepetitionPenalty<'a> {
    /// The penalty θ.
    pub penalty: f64,
    /// The earlier tokens; those without a logit are ignored.
    pub history: &'a [u32],
}

impl Transform for RepetitionPenalty<'_> {
    fn validate(&self) -> Result<(), SampleError> {
        let right = self.penalty > 0.0 && self.penalty.is_finite();
        within("repetition penalty", self.penalty, "a finite number above 0", right)
    }

    fn apply(&self, mut logits: Logits) -> Result<Logits, SampleError> {
        self.validate()?;
        if self.penalty == 1.0 {
            return Ok(logits);
        }
        let mut occurred = vec![false; logits.0.len()];
        for &token in self.history {
            if let Some(occurred) = occurred.get_mut(token as usize) {
                *occurred = true;
            }
        }
        for (z, occurred) in logits.0.iter_mut().zip(occurred) {
            if occurred && *z > f64::NEG_INFINITY {
                let moved = if *z > 0.0 { *z / self.penalty } else { *z * self.penalty };
                *z = moved.clamp(f64::MIN, f64::MAX);
            }
        }
        Ok(logits)
    }
}
