//! Mean and variance in one pass, of numbers that arrive one by one or in pieces.
//!
//! Formula: with n numbers of mean µ and <var>M = Σ (x − µ)²</var>, one more x gives
//! <var>µ′ = µ + (x − µ)/(n + 1)</var> and <var>M′ = M + (x − µ)(x − µ′)</var>. Of two parts with
//! <var>d = µ₂ − µ₁</var>: <var>µ = µ₁ + d·n₂/n</var>, <var>M = M₁ + M₂ + d²·n₁n₂/n</var>.
//! Source: Welford, 1962; Chan, Golub, LeVeque, *Updating formulae and a pairwise algorithm for
//! computing sample variances*, 1979.

use crate::accurate::{self, Sum};
use crate::error::ProbabilityError;
use linalg::Real;

/// The count, mean and variance of the numbers so far.
///
/// One pass has the accuracy of the two-pass formula, to about ten units in the last place. Nothing cancels if the mean
/// is large and the spread small, as it does in <var>Σ x² − n·µ²</var>; mean and squares keep their rounding errors,
/// and squares are summed in units of the largest deviation. A NaN or infinite number makes everything NaN. The mean of
/// finite numbers is finite; their variance is ∞ only if it overflows.
///
/// ```
/// use probability::running::Running;
/// let of = |x: &[f64]| x.iter().copied().collect::<Running<f64>>();
/// let all = of(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]);
/// assert_eq!((all.mean()?, all.sample_variance()?), (1e9 + 10.0, 30.0));
/// let merged = of(&[1e9 + 4.0]).merge(&of(&[1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0])); // two threads
/// assert_eq!(merged.sample_variance()?, 30.0);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(alias = "welford")]
pub struct Running<T> {
    count: u64,
    mean: Sum<T>,
    /// <var>Σ (x − µ)²</var>, in units of `unit²`.
    squares: Sum<T>,
    /// A power of two, the largest deviation so far; 0 if there is none.
    unit: T,
}

impl<T: Real> Default for Running<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Real> Running<T> {
    /// Creates the statistics of no numbers.
    pub fn new() -> Self {
        Running { count: 0, mean: Sum::new(), squares: Sum::new(), unit: T::zero() }
    }

    /// Adds a number.
    ///
    /// ```
    /// let mut running = probability::running::Running::new();
    /// [1.0, 2.0, 6.0].into_iter().for_each(|x| running.push(x));
    /// assert_eq!((running.count(), running.mean()?), (3, 3.0));
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn push(&mut self, x: T) {
        // 0·x is 0, and NaN if x is infinite or NaN.
        let (mean, squares) = (Sum::of(x), Sum::of(T::zero() * x));
        *self = self.merge(&Running { count: 1, mean, squares, unit: T::zero() });
    }

    /// Combines the statistics of two parts.
    ///
    /// ```
    /// use probability::running::Running;
    /// let (mut a, mut b, mut all) = (Running::new(), Running::new(), Running::new());
    /// for x in [1.0, 2.0, 3.0, 10.0] {
    ///     if x < 3.0 { a.push(x) } else { b.push(x) }
    ///     all.push(x);
    /// }
    /// let merged: Running<f64> = a.merge(&b);
    /// assert_eq!((merged.count(), merged.mean()?), (4, 4.0));
    /// assert!((merged.population_variance()? - all.population_variance()?).abs() < 1e-14); // 12.5
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { *other } else { *self };
        }
        let count = self.count.saturating_add(other.count);
        let share = T::from_f64(other.count as f64 / (self.count as f64 + other.count as f64));
        let (difference, factor) = self.difference(other);
        let mut merged = Running { count, ..*self };
        merged.mean.add(difference * share * factor);
        let own =
            if difference == T::zero() { T::zero() } else { accurate::power_of_two(&[difference]) };
        merged.unit = self.unit.larger(other.unit).larger(own);
        merged.squares = self.squares_in(merged.unit);
        merged.squares.merge(&other.squares_in(merged.unit));
        let apart = difference / scale(merged.unit) * factor;
        merged.squares.add(apart * apart * T::from_f64(self.count as f64) * share);
        if count == u64::MAX {
            // The count has saturated: the variance is kept.
            let all = self.count as f64 + other.count as f64;
            merged.squares = merged.squares.times(T::from_f64(count as f64 / all));
        }
        merged
    }

    /// Returns (µ₂ − µ₁)/f and f: 1, or 2 if the difference overflows. NaN if a number was infinite.
    fn difference(&self, other: &Self) -> (T, T) {
        let two = T::from_f64(2.0);
        let whole = other.mean.minus(&self.mean);
        let (a, b) = (self.mean.value(), other.mean.value());
        if a.to_f64().is_infinite() || b.to_f64().is_infinite() {
            (T::from_f64(f64::NAN), two)
        } else if whole.to_f64().is_infinite() {
            (b / two - a / two, two)
        } else {
            (whole, T::one())
        }
    }

    /// Returns the squares in units of another deviation, not smaller than its own.
    fn squares_in(&self, unit: T) -> Sum<T> {
        if self.unit == T::zero() {
            // 0 in any unit, or NaN; the reciprocal of a tiny unit is ∞.
            return self.squares;
        }
        let ratio = scale(self.unit) / scale(unit);
        self.squares.times(ratio).times(ratio)
    }

    /// Returns <var>Σ (x − µ)²</var> divided by n.
    fn squares_over(&self, n: u64) -> T {
        let unit = scale(self.unit);
        self.squares.value() / T::from_f64(n as f64) * unit * unit
    }

    /// Returns the number of numbers.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns <var>Σ x/n</var>.
    ///
    /// # Errors
    /// If there are no numbers.
    ///
    /// ```
    /// # let seen: probability::running::Running<f64> = [1.0, 2.0, 3.0, 6.0].into_iter().collect();
    /// assert_eq!(seen.mean()?, 3.0);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn mean(&self) -> Result<T, ProbabilityError> {
        self.at_least(1).map(|()| self.mean.value())
    }

    /// Returns the population variance <var>Σ (x − µ)²/n</var>, as in layer normalisation.
    ///
    /// # Errors
    /// If there are no numbers.
    ///
    /// ```
    /// # let seen: probability::running::Running<f64> = [1.0, 2.0, 3.0, 6.0].into_iter().collect();
    /// assert_eq!(seen.population_variance()?, 3.5); // (4 + 1 + 0 + 9)/4
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("var", "std"))]
    pub fn population_variance(&self) -> Result<T, ProbabilityError> {
        self.at_least(1).map(|()| self.squares_over(self.count))
    }

    /// Returns the sample variance <var>Σ (x − µ)²/(n − 1)</var>: an unbiased estimate for the source of the numbers.
    ///
    /// # Errors
    /// If there are fewer than two numbers.
    ///
    /// ```
    /// # let seen: probability::running::Running<f64> = [1.0, 2.0, 3.0, 6.0].into_iter().collect();
    /// assert_eq!(seen.sample_variance()?, 14.0 / 3.0);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("var", "std"))]
    pub fn sample_variance(&self) -> Result<T, ProbabilityError> {
        self.at_least(2).map(|()| self.squares_over(self.count - 1))
    }

    /// Returns the standard error of the mean, √(sample variance/n); for equal numbers it and its slope are 0.
    ///
    /// # Errors
    /// If there are fewer than two numbers.
    ///
    /// ```
    /// # let seen: probability::running::Running<f64> = [1.0, 2.0, 3.0, 6.0].into_iter().collect();
    /// assert!((seen.standard_error()? - (14.0_f64 / 12.0).sqrt()).abs() < 1e-15);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("sem", "stderr"))]
    pub fn standard_error(&self) -> Result<T, ProbabilityError> {
        self.at_least(2)?;
        let degrees = T::from_f64((self.count - 1) as f64) * T::from_f64(self.count as f64);
        if self.squares.value().to_f64() == 0.0 {
            return Ok(T::zero());
        }
        Ok((self.squares.value() / degrees).sqrt() * scale(self.unit))
    }

    fn at_least(&self, needed: u64) -> Result<(), ProbabilityError> {
        if self.count >= needed {
            return Ok(());
        }
        let (what, found) = ("numbers to take moments of", self.count as usize);
        Err(ProbabilityError::at_least(needed as usize, what, found))
    }
}

/// Returns a unit as a factor: 1 if there is none yet.
fn scale<T: Real>(unit: T) -> T {
    if unit == T::zero() { T::one() } else { unit }
}

impl<T: Real> Extend<T> for Running<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, numbers: I) {
        numbers.into_iter().for_each(|x| self.push(x));
    }
}

impl<T: Real> FromIterator<T> for Running<T> {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        let mut running = Running::new();
        running.extend(numbers);
        running
    }
}
