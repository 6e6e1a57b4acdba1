//! A checked distribution over finitely many outcomes: the prediction of the next token.
//!
//! Formula: <var>P(X = i) = pᵢ</var> with pᵢ ≥ 0 and <var>Σ pᵢ = 1</var>.
//! Source: the textbook's A.2; Bishop, *Pattern Recognition and Machine Learning*, section 2.2.

use crate::accurate::{self, Deviations};
use crate::error::{ProbabilityError, check, check_length};
use crate::random::Random;
use crate::softmax::softmax;
use linalg::{Real, accurate::total};

/// The probabilities of the outcomes 0, 1, …, n − 1, which sum to one by construction.
///
/// Constructors divide by the sum, so that Σ pᵢ = 1 within n·ε of the scalar. Invalid input is an error that names the
/// element.
///
/// ```
/// use probability::{Categorical, ProbabilityError};
/// let p = Categorical::from_logits(&[2.0, 1.0, 0.5, -1.0, 0.1])?;
/// assert!((p.probability(0) - 0.558545_f64).abs() < 1e-6);
/// assert_eq!(p.mode(), 0);
/// // The textbook's printed values for these logits sum to 0.7993.
/// let printed = Categorical::from_probabilities(&[0.4466, 0.1642, 0.0996, 0.0222, 0.0667]);
/// assert!(matches!(printed, Err(ProbabilityError::Sum { found, .. }) if (found - 0.7993).abs() < 1e-12));
/// # Ok::<(), ProbabilityError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Categorical<T: Real = f64> {
    probabilities: Vec<T>,
}

/// The allowed probabilities, in the words of error messages.
const SHARE: &str = "0 or more, and finite";

/// Returns the allowed difference from 1 of the sum of n probabilities: <var>(n + 4)·2⁻²⁴</var>.
///
/// This is the error of a softmax in `f32`: n − 1 roundings of the sum that it divides by, one of every quotient (or
/// two, of a reciprocal and a product), each of 2⁻²⁴ at most. So probabilities that were computed in `f32` and widened
/// to `f64` are accepted.
///
/// ```
/// use probability::categorical::sum_tolerance;
/// assert_eq!(sum_tolerance(12), (-20.0_f64).exp2());
/// ```
pub fn sum_tolerance(n: usize) -> f64 {
    (n as f64 + 4.0) * (-24.0_f64).exp2()
}

fn is_share(p: f64) -> bool {
    p >= 0.0 && p.is_finite()
}

/// Returns whether no number is negative, infinite or NaN.
fn all_shares<T: Real>(p: &[T]) -> bool {
    T::simd(
        #[inline(always)]
        // Not `all`, which ends at the first: a loop without an end of its own is vector code.
        || p.iter().fold(true, |all, p| all & is_share(p.to_f64())),
    )
}

/// Checks that numbers are a distribution: at least one, each finite and at least 0, with sum 1 up to
/// [`sum_tolerance`]. Returns the sum, which is rounded once. −0 is 0.
///
/// The whole workspace uses this check. The sum is seldom exactly 1. Callers either divide by the returned sum (as
/// [`Categorical`] does), or clamp results to their range: the entropy of \[1.0000000000000004\] is 0, not −4.4·10⁻¹⁶.
///
/// # Errors
/// If there are no numbers, one is negative, infinite or NaN (the first is reported), or the sum is not 1.
///
/// ```
/// use probability::{ProbabilityError, categorical::check_distribution};
/// let single: Vec<f64> = [2.0, 1.0, 0.5].map(f32::exp).map(|e| e / 11.756_059_f32).map(f64::from).to_vec();
/// assert!((check_distribution(&single)? - 1.0).abs() < 1e-7); // computed in f32
/// assert_eq!(check_distribution(&[1.0000000000000004]), Ok(1.0000000000000004));
/// let printed = check_distribution(&[0.4466, 0.1642, 0.0996, 0.0222, 0.0667]); // the textbook's A.2
/// assert!(matches!(printed, Err(ProbabilityError::Sum { found, .. }) if (found - 0.7993).abs() < 1e-12));
/// # Ok::<(), ProbabilityError>(())
/// ```
pub fn check_distribution<T: Real>(p: &[T]) -> Result<f64, ProbabilityError> {
    if !all_shares(p) {
        check("probability", SHARE, p.iter().map(|p| p.to_f64()), is_share)?;
    }
    if p.is_empty() {
        return Err(ProbabilityError::Empty { what: "probabilities" });
    }
    let allowed = sum_tolerance(p.len());
    let found = T::simd(
        #[inline(always)]
        || total(p, p, |p, _| p.to_f64()).value(),
    );
    let right = (found - 1.0).abs() <= allowed;
    if right { Ok(found) } else { Err(ProbabilityError::Sum { found, allowed }) }
}

impl<T: Real> Categorical<T> {
    /// Creates a distribution from probabilities that [`check_distribution`] accepts, and divides them by their sum.
    ///
    /// # Errors
    /// If there are no probabilities, one is negative, infinite or NaN, or the sum is not 1.
    ///
    /// ```
    /// use probability::Categorical;
    /// let p = Categorical::from_probabilities(&[0.333333, 0.666667])?; // six printed digits
    /// assert_eq!(p.len(), 2);
    /// assert!(Categorical::from_probabilities(&[0.33, 0.66]).is_err());
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn from_probabilities(p: &[T]) -> Result<Self, ProbabilityError> {
        check_distribution(p)?;
        Self::from_weights(p)
    }

    /// Creates a distribution in proportion to weights, of any scale from denormal to huge.
    ///
    /// # Errors
    /// If there are no weights, one is negative, infinite or NaN, or all are 0.
    ///
    /// ```
    /// let p = probability::Categorical::from_weights(&[3e300, 1e300, 0.0, 4e300])?;
    /// assert_eq!(p.probabilities(), [0.375, 0.125, 0.0, 0.5]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias = "normalize")]
    pub fn from_weights(weights: &[T]) -> Result<Self, ProbabilityError> {
        if !all_shares(weights) {
            check("weight", SHARE, weights.iter().map(|w| w.to_f64()), is_share)?;
        }
        let largest = accurate::largest_size(weights);
        if largest == 0.0 {
            return Err(ProbabilityError::Empty { what: "weights above 0" });
        }
        // A power of two near the largest weight: the division rounds nothing and the sum stays in range.
        let unit = T::from_f64(largest.log2().floor().clamp(-1000.0, 1000.0).exp2());
        let mut probabilities = weights.to_vec();
        T::simd(
            #[inline(always)]
            || {
                probabilities.iter_mut().for_each(|p| *p /= unit);
                let p = &probabilities;
                let sum = total(p, p, |p, _| p);
                let sum = sum.value();
                probabilities.iter_mut().for_each(|p| *p /= sum);
            },
        );
        Ok(Categorical { probabilities })
    }

    /// Creates a distribution by the softmax of logits; an outcome with logit −∞ has probability 0.
    ///
    /// # Errors
    /// If there are no logits, one is NaN or +∞, or all are −∞.
    ///
    /// ```
    /// use probability::Categorical;
    /// let p = Categorical::from_logits(&[0.0, f64::NEG_INFINITY, 3.0_f64.ln()])?;
    /// assert!((p.probability(0) - 0.25).abs() < 1e-15 && p.probability(1) == 0.0);
    /// let refused = Categorical::from_logits(&[0.0, f64::NAN]).unwrap_err();
    /// assert_eq!(refused.to_string(), "logit 1 is NaN; it must be finite or −∞");
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias = "softmax")]
    pub fn from_logits(logits: &[T]) -> Result<Self, ProbabilityError> {
        let values = || logits.iter().map(|z| z.to_f64());
        check("logit", "finite or −∞", values(), |z| !z.is_nan() && z != f64::INFINITY)?;
        if values().all(|z| z == f64::NEG_INFINITY) {
            return Err(ProbabilityError::Empty { what: "logits above −∞" });
        }
        Ok(Categorical { probabilities: softmax(logits) })
    }

    /// Creates the distribution of relative frequencies, which has the maximum likelihood. See
    /// [`likelihood::fit_categorical`](crate::likelihood::fit_categorical) for smoothing.
    ///
    /// # Errors
    /// If there are no counts, or all are 0.
    ///
    /// ```
    /// let p = probability::Categorical::<f64>::from_counts(&[6, 3, 0, 1])?;
    /// assert_eq!(p.probabilities(), [0.6, 0.3, 0.0, 0.1]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("histogram", "bincount"))]
    pub fn from_counts(counts: &[u64]) -> Result<Self, ProbabilityError> {
        Self::from_weights(&counts.iter().map(|&n| T::from_f64(n as f64)).collect::<Vec<_>>())
    }

    /// Creates the uniform distribution over n outcomes.
    ///
    /// # Errors
    /// If n is 0.
    ///
    /// ```
    /// use probability::Categorical;
    /// assert_eq!(Categorical::<f64>::uniform(4)?.probabilities(), [0.25; 4]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn uniform(n: usize) -> Result<Self, ProbabilityError> {
        Self::from_weights(&vec![T::one(); n])
    }

    /// Creates the one-hot distribution: outcome `i` of n with probability 1.
    ///
    /// # Errors
    /// If `i` is not below n.
    ///
    /// ```
    /// use probability::Categorical;
    /// assert_eq!(Categorical::<f64>::certain(1, 3)?.probabilities(), [0.0, 1.0, 0.0]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("one_hot", "dirac"))]
    pub fn certain(i: usize, n: usize) -> Result<Self, ProbabilityError> {
        let mut p = vec![T::zero(); n];
        let none = ProbabilityError::at_least(i.saturating_add(1), "outcomes", n);
        *p.get_mut(i).ok_or(none)? = T::one();
        Ok(Categorical { probabilities: p })
    }

    /// Wraps probabilities that are known to sum to one within rounding.
    pub(crate) fn known(probabilities: Vec<T>) -> Self {
        Categorical { probabilities }
    }

    /// Returns all probabilities.
    pub fn probabilities(&self) -> &[T] {
        &self.probabilities
    }

    /// Returns the number of outcomes, at least 1.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.probabilities.len()
    }

    /// Returns <var>P(X = i)</var>; 0 beyond the last outcome.
    ///
    /// ```
    /// let p = probability::Categorical::from_probabilities(&[0.75, 0.25])?;
    /// assert_eq!((p.probability(1), p.probability(2)), (0.25, 0.0));
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn probability(&self, i: usize) -> T {
        self.probabilities.get(i).copied().unwrap_or(T::zero())
    }

    /// Returns the most probable outcome, the first of equals.
    ///
    /// ```
    /// assert_eq!(probability::Categorical::from_logits(&[1.0, 3.0, 2.0])?.mode(), 1);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias = "argmax")]
    pub fn mode(&self) -> usize {
        let p = &self.probabilities;
        (1..p.len()).fold(0, |best, i| if p[i] > p[best] { i } else { best })
    }

    /// Returns <var>E\[f(X)\] = Σ pᵢ·f(i)</var>. An outcome of probability 0 contributes 0 even if f is infinite or
    /// NaN; if f is finite its slope in pᵢ is f(i).
    ///
    /// ```
    /// let die = probability::Categorical::<f64>::uniform(6)?;
    /// assert!((die.expectation(|i| (i + 1) as f64) - 3.5).abs() < 1e-15);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias = "expected_value")]
    pub fn expectation(&self, f: impl Fn(usize) -> T) -> T {
        let term = |(i, &p): (usize, &T)| {
            let x = f(i);
            let nothing = p == T::zero() && !x.to_f64().is_finite();
            if nothing { T::zero() } else { p * x }
        };
        accurate::sum(self.probabilities.iter().enumerate().map(term))
    }

    /// Returns <var>Var\[f(X)\] = E\[(f(X) − E\[f(X)\])²\]</var>, at least 0. NaN if a possible value is infinite or
    /// NaN; ∞ if the result overflows.
    ///
    /// ```
    /// let die = probability::Categorical::<f64>::uniform(6)?;
    /// assert!((die.variance(|i| (i + 1) as f64) - 35.0 / 12.0).abs() < 1e-14);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn variance(&self, f: impl Fn(usize) -> T) -> T {
        let d = self.deviations(f);
        d.with_units(self.expectation(|i| d.in_units[i] * d.in_units[i]), &d)
    }

    /// Returns <var>Cov\[f(X), g(X)\] = E\[(f − E f)(g − E g)\]</var>.
    ///
    /// ```
    /// use probability::Categorical;
    /// let die = Categorical::<f64>::uniform(6)?;
    /// let (value, square) = (|i| (i + 1) as f64, |i| ((i + 1) * (i + 1)) as f64);
    /// assert!((die.covariance(value, square) - 245.0 / 12.0).abs() < 1e-13);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn covariance(&self, f: impl Fn(usize) -> T, g: impl Fn(usize) -> T) -> T {
        let (f, g) = (self.deviations(f), self.deviations(g));
        f.with_units(self.expectation(|i| f.in_units[i] * g.in_units[i]), &g)
    }

    /// Returns f minus its expectation, whose rounding error is also subtracted, so that large values that are close
    /// together keep their differences. An infinite or NaN value of probability 0 counts as 0.
    pub(crate) fn deviations(&self, f: impl Fn(usize) -> T) -> Deviations<T> {
        let possible = |i: usize, x: T| self.probabilities[i] > T::zero() || x.to_f64().is_finite();
        let value = |i: usize| Some(f(i)).filter(|x| possible(i, *x)).unwrap_or(T::zero());
        let values: Vec<T> = (0..self.len()).map(value).collect();
        let range = accurate::range_unit(&values);
        let center = self.expectation(|i| values[i] / range);
        let d: Vec<T> = values.iter().map(|&x| x / range - center).collect();
        let rest = self.expectation(|i| d[i]);
        Deviations::of(d.iter().map(|&d| d - rest).collect(), range)
    }

    /// Returns <var>P(X ≤ i)</var> for every i, each correct to a rounding or two for any n; the last is 1 within
    /// rounding.
    ///
    /// ```
    /// use probability::Categorical;
    /// let p = Categorical::from_probabilities(&[0.5, 0.25, 0.25])?;
    /// assert_eq!(p.cumulative(), [0.5, 0.75, 1.0]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("cumsum", "cdf"))]
    pub fn cumulative(&self) -> Vec<T> {
        accurate::cumulative(self.probabilities.iter().copied()).collect()
    }

    /// Returns the outcome that the number u of \[0, 1) selects: the first i with <var>u < P(X ≤ i)</var>. This is the
    /// inverse transform: for uniform u, outcome i has probability pᵢ.
    ///
    /// If u equals P(X ≤ i) within two units in the last place, it counts as equal: of ten equally likely outcomes 0.3
    /// selects number 3. The outcome never has probability 0. If u is below 0 or NaN, it is the first possible outcome;
    /// from 1 on, the last.
    ///
    /// ```
    /// let p = probability::Categorical::from_probabilities(&[0.5, 0.0, 0.25, 0.25])?;
    /// assert_eq!([0.0, 0.49, 0.5, 0.75, 1.0].map(|u| p.quantile(u)), [0, 0, 2, 3, 3]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("ppf", "icdf", "searchsorted"))]
    pub fn quantile(&self, u: f64) -> usize {
        let u = if u.is_nan() { 0.0 } else { u };
        // Each probability was rounded twice, and the sum once.
        const SLACK: f64 = 2.0 * f64::EPSILON;
        let possible = || self.probabilities.iter().enumerate().filter(|(_, p)| **p > T::zero());
        let sums = accurate::cumulative(possible().map(|(_, p)| p.to_f64()));
        let chosen = possible().zip(sums).find(|(_, sum)| !accurate::reaches(u, *sum, SLACK));
        let last = || possible().last().expect("a distribution has a possible outcome").0;
        chosen.map_or_else(last, |((i, _), _)| i)
    }

    /// Draws an outcome by inverse transform, with number `index` of `random`.
    ///
    /// This reads up to n probabilities. For many draws from one distribution see
    /// [`AliasTable`](crate::alias::AliasTable), which reads one.
    ///
    /// ```
    /// use probability::Categorical;
    /// use probability::Random;
    /// let (p, random) = (Categorical::from_probabilities(&[0.5, 0.0, 0.5])?, Random::new(1, 0, 0));
    /// let second = (0..1000).filter(|&i| p.draw(&random, i) == 2).count();
    /// assert!(second > 420 && second < 580); // 500, five standard errors
    /// assert!((0..1000).all(|i| p.draw(&random, i) != 1));
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("sample", "choice", "multinomial"))]
    pub fn draw(&self, random: &Random, index: u64) -> usize {
        self.quantile(random.uniform(index))
    }

    /// Returns the product distribution <var>P(i, j) = pᵢ·qⱼ</var> of independent variables, as outcome i + n·j. A
    /// product that underflows is 0.
    ///
    /// ```
    /// use probability::Categorical;
    /// let coin = Categorical::from_probabilities(&[0.75, 0.25])?;
    /// assert_eq!(coin.product(&coin).probabilities(), [0.5625, 0.1875, 0.1875, 0.0625]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[must_use]
    pub fn product(&self, other: &Self) -> Self {
        let pairs = other
            .probabilities
            .iter()
            .flat_map(|&q| self.probabilities.iter().map(move |&p| p * q));
        Categorical { probabilities: pairs.collect() }
    }

    /// Returns the mixture <var>λ·P + (1 − λ)·Q</var>, as in interpolated language models.
    ///
    /// # Errors
    /// If the numbers of outcomes differ, or λ is outside \[0, 1\].
    ///
    /// ```
    /// use probability::Categorical;
    /// let (bigram, unigram) = (Categorical::<f64>::certain(0, 2)?, Categorical::uniform(2)?);
    /// assert_eq!(bigram.mixture(&unigram, 0.5)?.probabilities(), [0.75, 0.25]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn mixture(&self, other: &Self, lambda: T) -> Result<Self, ProbabilityError> {
        check_length("outcomes of the second distribution", self.len(), other.len())?;
        let l = lambda.to_f64();
        crate::error::check_setting("λ", "between 0 and 1", l, (0.0..=1.0).contains(&l))?;
        let pairs = self.probabilities.iter().zip(&other.probabilities);
        let mixed = pairs.map(|(&p, &q)| lambda * p + (T::one() - lambda) * q);
        Self::from_weights(&mixed.collect::<Vec<_>>())
    }
}
