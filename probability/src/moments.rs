//! Mean, variance, covariance and correlation of samples.
//!
//! Formula: <var>µ = Σ x/n</var>, <var>Cov(x, y) = Σ (x − µₓ)(y − µ_y)/(n − 1)</var>,
//! <var>ρ = Cov(x, y)/(σₓ·σ_y)</var>. Population forms divide by n: they describe these numbers.
//! Sample forms divide by n − 1: they estimate, without bias, what the numbers were drawn from. For
//! distributions see [`Categorical::expectation`](crate::Categorical::expectation) and
//! [`Joint`](crate::Joint).
//! Source: Wasserman, *All of Statistics*, chapter 3.

use crate::accurate;
use crate::error::{ProbabilityError, check_length};
use crate::running::Running;
use linalg::{Matrix, Real};

/// <var>Σ x/n</var>, with a sum right to the last digits.
///
/// Infinite or NaN numbers give what IEEE sums give: ∞, or NaN where both infinities or a NaN
/// occur. ±∞ too where the sum leaves the scalar's range.
///
/// # Errors
/// Of no numbers.
///
/// ```
/// assert_eq!(probability::moments::mean(&[1.0, 2.0, 3.0, 4.0])?, 2.5);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn mean<T: Real>(x: &[T]) -> Result<T, ProbabilityError> {
    if x.is_empty() {
        return Err(ProbabilityError::Empty { what: "numbers to take the mean of" });
    }
    Ok(accurate::mean(x))
}

/// <var>Σ (x − µ)²/n</var>.
///
/// 0 of one number; NaN where a number is infinite or NaN; ∞ where the squares leave the scalar's
/// range.
///
/// # Errors
/// Of no numbers.
///
/// ```
/// // The fixture of layer normalisation: standard deviation 1.118.
/// let variance = probability::moments::population_variance(&[1.0, 2.0, 3.0, 4.0])?;
/// assert_eq!(variance, 1.25);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn population_variance<T: Real>(x: &[T]) -> Result<T, ProbabilityError> {
    let center = mean(x)?;
    Ok(deviations(x, center, x, center) / T::from_f64(x.len() as f64))
}

/// <var>Σ (x − µ)²/(n − 1)</var>; hard numbers as in [`population_variance`].
///
/// # Errors
/// Of fewer than two numbers.
///
/// ```
/// let variance = probability::moments::sample_variance(&[1.0, 2.0, 3.0, 4.0])?;
/// assert_eq!(variance, 5.0 / 3.0);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn sample_variance<T: Real>(x: &[T]) -> Result<T, ProbabilityError> {
    covariance(x, x)
}

/// <var>Σ (x − µₓ)(y − µ_y)/(n − 1)</var>.
///
/// NaN where a number is infinite or NaN.
///
/// # Errors
/// Lists of different lengths, or of fewer than two numbers.
///
/// ```
/// let c = probability::moments::covariance(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0])?;
/// assert_eq!(c, 2.0);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn covariance<T: Real>(x: &[T], y: &[T]) -> Result<T, ProbabilityError> {
    check_length("numbers of the second list", x.len(), y.len())?;
    if x.len() < 2 {
        let what = "numbers to estimate a variance from";
        return Err(ProbabilityError::Length { what, expected: 2, found: x.len() });
    }
    let (x_mean, y_mean) = (mean(x)?, mean(y)?);
    Ok(deviations(x, x_mean, y, y_mean) / T::from_f64((x.len() - 1) as f64))
}

/// Pearson's correlation, within \[−1, 1\]: 1 where <var>y = a·x + b</var> with a > 0.
///
/// The numbers are divided by their largest deviation first, so that no scale overflows. NaN where
/// a number is infinite or NaN.
///
/// # Errors
/// Lists of different lengths, of fewer than two numbers, or one that is constant: it has no
/// direction.
///
/// ```
/// let r = probability::moments::correlation(&[1.0, 2.0, 3.0], &[1e200, 2e200, 3e200])?;
/// assert!((r - 1.0_f64).abs() < 1e-15);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn correlation<T: Real>(x: &[T], y: &[T]) -> Result<T, ProbabilityError> {
    check_length("numbers of the second list", x.len(), y.len())?;
    let (x, y) = (unit_deviations(x)?, unit_deviations(y)?);
    let zero = T::zero();
    let dot = |a: &[T], b: &[T]| deviations(a, zero, b, zero);
    let r = dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt();
    let one = T::one();
    Ok(if r > one {
        one
    } else if r < -one {
        -one
    } else {
        r
    })
}

/// x − µ, divided by the largest of these in size.
fn unit_deviations<T: Real>(x: &[T]) -> Result<Vec<T>, ProbabilityError> {
    if x.len() < 2 {
        let what = "numbers to correlate";
        return Err(ProbabilityError::Length { what, expected: 2, found: x.len() });
    }
    let unit = accurate::power_of_two(x);
    let mut d: Vec<T> = x.iter().map(|&x| x / unit).collect();
    let center = accurate::mean(&d);
    d.iter_mut().for_each(|d| *d -= center);
    let largest = d.iter().fold(T::zero(), |largest, d| d.abs().larger(largest));
    if largest == T::zero() {
        let (what, expected) =
            ("the spread of a list", "above 0: a constant correlates with nothing");
        return Err(ProbabilityError::Setting { what, found: 0.0, expected });
    }
    d.iter_mut().for_each(|d| *d /= largest);
    Ok(d)
}

/// The covariance matrix of the rows of x (variables × observations),
/// <var>Σ (x − µ)(x − µ)ᵀ/(n − 1)</var>: symmetric and positive semidefinite.
///
/// # Errors
/// Of fewer than two observations.
///
/// ```
/// use linalg::matrix;
/// let x = matrix(2, 3, &[1.0, 2.0, 2.0, 4.0, 3.0, 6.0]); // a column per observation
/// let c = probability::moments::covariance_matrix(&x)?;
/// assert_eq!(c.as_slice(), &[1.0, 2.0, 2.0, 4.0]);
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
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

/// <var>Σ (x − a)(y − b)</var>.
fn deviations<T: Real>(x: &[T], a: T, y: &[T], b: T) -> T {
    accurate::sum(x.iter().zip(y).map(|(&x, &y)| (x - a) * (y - b)))
}

/// Mean and sample variance of f(i) for i = 0 .. n, in one pass: experiments with random numbers.
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
