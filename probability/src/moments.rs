//! Mean, variance, covariance and correlation of samples.
//!
//! Formula: <var>µ = Σ x/n</var>, <var>Cov(x, y) = Σ (x − µₓ)(y − µ_y)/(n − 1)</var>,
//! <var>ρ = Cov(x, y)/(σₓ·σ_y)</var>. Population forms divide by n: they describe the numbers. Sample forms divide by
//! n − 1: they estimate, without bias, the source of the numbers. For distributions see
//! [`Categorical::expectation`](crate::Categorical::expectation) and [`Joint`](crate::Joint).
//! Source: Wasserman, *All of Statistics*, chapter 3.

use crate::accurate::{self, Deviations};
use crate::error::{ProbabilityError, check_length};
use crate::running::Running;
use linalg::{Matrix, Real};

/// Returns <var>Σ x/n</var>, with a sum that is exact to the last digits.
///
/// Finite if the numbers are, even if their sum overflows. Infinite or NaN numbers give the result of IEEE sums: ∞, or
/// NaN if there are both infinities or a NaN.
///
/// # Errors
/// If there are no numbers.
///
/// ```
/// assert_eq!(probability::moments::mean(&[1.0, 2.0, 3.0, 4.0])?, 2.5);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "average")]
pub fn mean<T: Real>(x: &[T]) -> Result<T, ProbabilityError> {
    if x.is_empty() {
        return Err(ProbabilityError::Empty { what: "numbers to take the mean of" });
    }
    Ok(accurate::mean(x))
}

/// Returns the population variance <var>Σ (x − µ)²/n</var>.
///
/// 0 for one number or equal ones; NaN if a number is infinite or NaN; ∞ if the result overflows. The error is a few
/// units in the last place for any mean: deviations are taken from a mean that is not rounded, and squared in a unit of
/// their own.
///
/// # Errors
/// If there are no numbers.
///
/// ```
/// // The example of layer normalisation: standard deviation 1.118.
/// let variance = probability::moments::population_variance(&[1.0, 2.0, 3.0, 4.0])?;
/// assert_eq!(variance, 1.25);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("var", "std", "ddof"))]
pub fn population_variance<T: Real>(x: &[T]) -> Result<T, ProbabilityError> {
    if x.is_empty() {
        return Err(ProbabilityError::Empty { what: "numbers to take the variance of" });
    }
    let d = Deviations::new(x);
    Ok(d.with_units(d.dot(&d) / T::from_f64(x.len() as f64), &d))
}

/// Returns the sample variance <var>Σ (x − µ)²/(n − 1)</var>; special values as in [`population_variance`].
///
/// # Errors
/// If there are fewer than two numbers.
///
/// ```
/// let variance = probability::moments::sample_variance(&[1.0, 2.0, 3.0, 4.0])?;
/// assert_eq!(variance, 5.0 / 3.0);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("var", "std", "sd"))]
pub fn sample_variance<T: Real>(x: &[T]) -> Result<T, ProbabilityError> {
    check_estimate(x.len())?;
    let d = Deviations::new(x);
    Ok(d.with_units(d.dot(&d) / T::from_f64((x.len() - 1) as f64), &d))
}

fn check_estimate(found: usize) -> Result<(), ProbabilityError> {
    if found < 2 {
        return Err(ProbabilityError::at_least(2, "numbers to estimate a variance from", found));
    }
    Ok(())
}

/// Returns the sample covariance <var>Σ (x − µₓ)(y − µ_y)/(n − 1)</var>.
///
/// NaN if a number is infinite or NaN; otherwise as exact as [`population_variance`].
///
/// # Errors
/// If the lengths differ, or there are fewer than two numbers.
///
/// ```
/// let c = probability::moments::covariance(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0])?;
/// assert_eq!(c, 2.0);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "cov")]
pub fn covariance<T: Real>(x: &[T], y: &[T]) -> Result<T, ProbabilityError> {
    check_length("numbers of the second list", x.len(), y.len())?;
    check_estimate(x.len())?;
    let (x, y) = (Deviations::new(x), Deviations::new(y));
    Ok(x.with_units(x.dot(&y) / T::from_f64((x.in_units.len() - 1) as f64), &y))
}

/// Returns Pearson's correlation, within \[−1, 1\]: 1 if <var>y = a·x + b</var> with a > 0.
///
/// Deviations are taken in units of the largest, so that no scale overflows. NaN if a number is infinite or NaN.
///
/// # Errors
/// If the lengths differ, there are fewer than two numbers, or a list is constant.
///
/// ```
/// let r = probability::moments::correlation(&[1.0, 2.0, 3.0], &[1e200, 2e200, 3e200])?;
/// assert!((r - 1.0_f64).abs() < 1e-15);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("corrcoef", "pearsonr", "cor"))]
pub fn correlation<T: Real>(x: &[T], y: &[T]) -> Result<T, ProbabilityError> {
    check_length("numbers of the second list", x.len(), y.len())?;
    let (x, y) = (spread(x)?, spread(y)?);
    let r = x.dot(&y) / (x.dot(&x) * y.dot(&y)).sqrt();
    let one = T::one();
    Ok(if r > one {
        one
    } else if r < -one {
        -one
    } else {
        r
    })
}

/// Returns the deviations of numbers that are not all equal.
fn spread<T: Real>(x: &[T]) -> Result<Deviations<T>, ProbabilityError> {
    if x.len() < 2 {
        return Err(ProbabilityError::at_least(2, "numbers to correlate", x.len()));
    }
    let d = Deviations::new(x);
    if d.in_units.iter().all(|d| *d == T::zero()) {
        let (what, expected) =
            ("the spread of a list", "above 0: a constant correlates with nothing");
        return Err(ProbabilityError::Setting { what, found: 0.0, expected });
    }
    Ok(d)
}

/// Returns the covariance matrix of the rows of x (variables × observations), <var>Σ (x − µ)(x − µ)ᵀ/(n − 1)</var>:
/// symmetric and positive semidefinite.
///
/// # Errors
/// If there are fewer than two observations.
///
/// ```
/// use linalg::matrix;
/// let x = matrix(2, 3, &[1.0, 2.0, 2.0, 4.0, 3.0, 6.0]); // a column per observation
/// let c = probability::moments::covariance_matrix(&x)?;
/// assert_eq!(c.as_slice(), &[1.0, 2.0, 2.0, 4.0]);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "cov")]
pub fn covariance_matrix<T: Real>(x: &Matrix<T>) -> Result<Matrix<T>, ProbabilityError> {
    let rows: Vec<Vec<T>> = x.row_iter().map(|row| row.iter().copied().collect()).collect();
    let mut c = Matrix::from_element(rows.len(), rows.len(), T::zero());
    for i in 0..rows.len() {
        for j in 0..=i {
            let element = covariance(&rows[i], &rows[j])?;
            (c[(i, j)], c[(j, i)]) = (element, element);
        }
    }
    Ok(c)
}

/// Returns the mean and sample variance of f(i) for i = 0 .. n, in one pass: for experiments with random numbers.
///
/// ```
/// use probability::{Random, moments::of_experiment};
/// let random = Random::new(1, 0, 0);
/// let squares = of_experiment(10_000, |i| random.normal(i).powi(2)); // mean 1, variance 2
/// assert!((squares.mean()? - 1.0_f64).abs() < 5.0 * squares.standard_error()?);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn of_experiment<T: Real>(n: u64, f: impl Fn(u64) -> T) -> Running<T> {
    (0..n).map(f).collect()
}
