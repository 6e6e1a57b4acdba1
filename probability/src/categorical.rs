//! A distribution over finitely many outcomes, checked: the prediction of the next token.
//!
//! Formula: <var>P(X = i) = pᵢ</var> with pᵢ ≥ 0 and <var>Σ pᵢ = 1</var>.
//! Source: the textbook's A.2; Bishop, *Pattern Recognition and Machine Learning*, section 2.2.

use crate::accurate::{self, Deviations};
use crate::error::{ProbabilityError, check, check_length};
use crate::random::Random;
use crate::softmax::softmax;
use linalg::Real;

/// Probabilities of 0, 1, …, n − 1 that sum to one by construction.
///
/// Whatever it is made from is divided by its sum, so that Σ pᵢ = 1 within n·ε of the scalar. What
/// cannot be a distribution is an error that names the element.
///
/// ```
/// use probability::{Categorical, ProbabilityError};
/// let p = Categorical::from_logits(&[2.0, 1.0, 0.5, -1.0, 0.1])?;
/// assert!((p.probability(0) - 0.558545_f64).abs() < 1e-6);
/// assert_eq!(p.mode(), 0);
/// // What the textbook prints for these logits is no distribution: it sums to 0.7993.
/// let printed = Categorical::from_probabilities(&[0.4466, 0.1642, 0.0996, 0.0222, 0.0667]);
/// assert!(matches!(printed, Err(ProbabilityError::Sum { found, .. }) if (found - 0.7993).abs() < 1e-12));
/// # Ok::<(), ProbabilityError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Categorical<T: Real = f64> {
    probabilities: Vec<T>,
}

/// What a probability may be, as error messages say it.
const SHARE: &str = "0 or more, and finite";

/// How far n probabilities may sum from 1: <var>(n + 4)·2⁻²⁴</var>.
///
/// A softmax in `f32` leaves as much: n − 1 roundings of the sum that it divides by, one of every quotient (or two, of
/// a reciprocal and a product), each of 2⁻²⁴ at most, in a sum that is then taken exactly. Probabilities that were
/// computed in `f32` and widened to `f64` are still a distribution; what misses 1 by more was computed otherwise.
///
/// ```
/// use probability::categorical::sum_tolerance;
/// assert_eq!(sum_tolerance(12), (-20.0_f64).exp2());
/// ```
pub fn sum_tolerance(n: usize) -> f64 {
    (n as f64 + 4.0) * (-24.0_f64).exp2()
}

/// Checks that numbers are a distribution: one at least, each finite and 0 or more, with sum 1 up to
/// [`sum_tolerance`]. Returns the sum, which is rounded once.
///
/// The one rule of the workspace. The sum is seldom 1 itself, and what is made of the numbers must allow for that:
/// divide by the returned sum (as [`Categorical`] does), or, where the numbers are used as they are, give a result that
/// the sum carries out of its range the value at the end of the range. The entropy of \[1.0000000000000004\] is 0, not
/// −4.4·10⁻¹⁶. −0 is 0.
///
/// # Errors
/// No numbers, the first that is negative, infinite or NaN, or the sum.
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
    let values = || p.iter().map(|p| p.to_f64());
    check("probability", SHARE, values(), |p| p >= 0.0 && p.is_finite())?;
    if p.is_empty() {
        return Err(ProbabilityError::Empty { what: "probabilities" });
    }
    let (found, allowed) = (accurate::sum(values()), sum_tolerance(p.len()));
    let right = (found - 1.0).abs() <= allowed;
    if right { Ok(found) } else { Err(ProbabilityError::Sum { found, allowed }) }
}

impl<T: Real> Categorical<T> {
    /// From probabilities, checked by [`check_distribution`]: they may miss 1 by what computing them in `f32` explains;
    /// the rest is divided out.
    ///
    /// # Errors
    /// No probabilities, one that is negative, infinite or NaN, or a sum that is not 1.
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

    /// In proportion to weights, of any scale from denormal to huge.
    ///
    /// # Errors
    /// No weights, one that is negative, infinite or NaN, or nothing but zeros.
    ///
    /// ```
    /// let p = probability::Categorical::from_weights(&[3e300, 1e300, 0.0, 4e300])?;
    /// assert_eq!(p.probabilities(), [0.375, 0.125, 0.0, 0.5]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn from_weights(weights: &[T]) -> Result<Self, ProbabilityError> {
        let values = || weights.iter().map(|w| w.to_f64());
        check("weight", SHARE, values(), |w| w >= 0.0 && w.is_finite())?;
        let largest = values().fold(0.0, f64::max);
        if largest == 0.0 {
            return Err(ProbabilityError::Empty { what: "weights above 0" });
        }
        // A power of two of the largest weight: dividing by it rounds nothing and the sum stays in range.
        let unit = T::from_f64(largest.log2().floor().clamp(-1000.0, 1000.0).exp2());
        let mut probabilities: Vec<T> = weights.iter().map(|&w| w / unit).collect();
        let sum = accurate::sum(probabilities.iter().copied());
        probabilities.iter_mut().for_each(|p| *p /= sum);
        Ok(Categorical { probabilities })
    }

    /// The softmax of logits; −∞ is an outcome that cannot happen.
    ///
    /// # Errors
    /// No logits, one that is NaN or +∞, or nothing but −∞.
    ///
    /// ```
    /// use probability::Categorical;
    /// let p = Categorical::from_logits(&[0.0, f64::NEG_INFINITY, 3.0_f64.ln()])?;
    /// assert!((p.probability(0) - 0.25).abs() < 1e-15 && p.probability(1) == 0.0);
    /// let refused = Categorical::from_logits(&[0.0, f64::NAN]).unwrap_err();
    /// assert_eq!(refused.to_string(), "logit 1 is NaN; it must be finite or −∞");
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn from_logits(logits: &[T]) -> Result<Self, ProbabilityError> {
        let values = || logits.iter().map(|z| z.to_f64());
        check("logit", "finite or −∞", values(), |z| !z.is_nan() && z != f64::INFINITY)?;
        if values().all(|z| z == f64::NEG_INFINITY) {
            return Err(ProbabilityError::Empty { what: "logits above −∞" });
        }
        Ok(Categorical { probabilities: softmax(logits) })
    }

    /// The shares of counts: the distribution that makes them most likely. See
    /// [`likelihood::fit_categorical`](crate::likelihood::fit_categorical) for smoothing.
    ///
    /// # Errors
    /// No counts, or nothing but zeros.
    ///
    /// ```
    /// let p = probability::Categorical::<f64>::from_counts(&[6, 3, 0, 1])?;
    /// assert_eq!(p.probabilities(), [0.6, 0.3, 0.0, 0.1]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn from_counts(counts: &[u64]) -> Result<Self, ProbabilityError> {
        Self::from_weights(&counts.iter().map(|&n| T::from_f64(n as f64)).collect::<Vec<_>>())
    }

    /// Equal shares of n outcomes.
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

    /// Outcome `i` of n for certain: a one-hot target.
    ///
    /// # Errors
    /// If `i` is none of the outcomes.
    ///
    /// ```
    /// use probability::Categorical;
    /// assert_eq!(Categorical::<f64>::certain(1, 3)?.probabilities(), [0.0, 1.0, 0.0]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
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

    /// All probabilities.
    pub fn probabilities(&self) -> &[T] {
        &self.probabilities
    }

    /// The number of outcomes, at least 1.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.probabilities.len()
    }

    /// <var>P(X = i)</var>; 0 beyond the last outcome.
    ///
    /// ```
    /// let p = probability::Categorical::from_probabilities(&[0.75, 0.25])?;
    /// assert_eq!((p.probability(1), p.probability(2)), (0.25, 0.0));
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn probability(&self, i: usize) -> T {
        self.probabilities.get(i).copied().unwrap_or(T::zero())
    }

    /// The most probable outcome, the first of equals.
    ///
    /// ```
    /// assert_eq!(probability::Categorical::from_logits(&[1.0, 3.0, 2.0])?.mode(), 1);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn mode(&self) -> usize {
        let p = &self.probabilities;
        (1..p.len()).fold(0, |best, i| if p[i] > p[best] { i } else { best })
    }

    /// <var>E\[f(X)\] = Σ pᵢ·f(i)</var>. What cannot happen contributes 0, even where f is infinite or
    /// NaN; where f is finite its slope in pᵢ, f(i), counts.
    ///
    /// ```
    /// let die = probability::Categorical::<f64>::uniform(6)?;
    /// assert!((die.expectation(|i| (i + 1) as f64) - 3.5).abs() < 1e-15);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn expectation(&self, f: impl Fn(usize) -> T) -> T {
        let term = |(i, &p): (usize, &T)| {
            let x = f(i);
            let nothing = p == T::zero() && !x.to_f64().is_finite();
            if nothing { T::zero() } else { p * x }
        };
        accurate::sum(self.probabilities.iter().enumerate().map(term))
    }

    /// <var>Var\[f(X)\] = E\[(f(X) − E\[f(X)\])²\]</var>; never negative. NaN where a value that can happen is infinite
    /// or NaN; ∞ where the result leaves the scalar's range.
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

    /// <var>Cov\[f(X), g(X)\] = E\[(f − E f)(g − E g)\]</var>.
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

    /// f less its expectation, of which the rounding is subtracted too: where the values are large and lie close together
    /// it is as large as they are apart. What cannot happen and is infinite or NaN is 0.
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

    /// <var>P(X ≤ i)</var> for every i, each right to a rounding or two however many there are; the last is 1 within
    /// rounding.
    ///
    /// ```
    /// use probability::Categorical;
    /// let p = Categorical::from_probabilities(&[0.5, 0.25, 0.25])?;
    /// assert_eq!(p.cumulative(), [0.5, 0.75, 1.0]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn cumulative(&self) -> Vec<T> {
        accurate::cumulative(self.probabilities.iter().copied()).collect()
    }

    /// The outcome that the number u of \[0, 1) selects: the first i with <var>u < P(X ≤ i)</var>. Inverse
    /// transform: for uniform u, outcome i has probability pᵢ.
    ///
    /// A u that is P(X ≤ i) but for rounding (two units in the last place) is taken for it: of ten equal outcomes 0.3
    /// selects number 3. Never an outcome of probability 0. Below 0 and for NaN, the first possible outcome; from 1 on,
    /// the last.
    ///
    /// ```
    /// let p = probability::Categorical::from_probabilities(&[0.5, 0.0, 0.25, 0.25])?;
    /// assert_eq!([0.0, 0.49, 0.5, 0.75, 1.0].map(|u| p.quantile(u)), [0, 0, 2, 3, 3]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn quantile(&self, u: f64) -> usize {
        let u = if u.is_nan() { 0.0 } else { u };
        // Each probability is rounded twice where it was made, and the sum once.
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
    pub fn draw(&self, random: &Random, index: u64) -> usize {
        self.quantile(random.uniform(index))
    }

    /// Both at once, independently: <var>P(i, j) = pᵢ·qⱼ</var> is outcome i + n·j. A product below the
    /// smallest number of the scalar is 0.
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

    /// <var>λ·P + (1 − λ)·Q</var>: a mixture, as interpolated language models use.
    ///
    /// # Errors
    /// Distributions over different numbers of outcomes, or λ outside \[0, 1\].
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
