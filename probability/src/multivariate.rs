//! The Gaussian of several variables: density, sampling, marginals, and conditioning by the Schur complement.
//!
//! Formula: <var>X = A·w + µ</var> with independent w ~ N(0, 1) has covariance <var>Σ = A·Aᵀ</var>
//! and density <var>p(x) = (2π)^(−n/2)·|Σ|^(−½)·exp(−½ (x − µ)ᵀ·Σ⁻¹·(x − µ))</var>. Given Y = y:
//!
//! <var>E\[X\] = µ_X + Σ_XY·Σ_Y⁻¹·(y − µ_Y)</var>, <var>Cov\[X\] = Σ_X − Σ_XY·Σ_Y⁻¹·Σ_YX</var>,
//!
//! The conditional covariance does not depend on y and is at most Σ_X.
//!
//! Conditioning is the posterior of a diffusion step, regression by a Gaussian process, and
//! Kalman's filter. [`linalg::cholesky`] does the work, in units of each variable's deviation: the variances
//! may be of any scale, from subnormal numbers to the largest. It is on `f64` only, so that dual numbers cannot differentiate it.
//! Source: the textbook's A.2; Bishop, *Pattern Recognition and Machine Learning*, section 2.3.

use crate::error::{ProbabilityError, check, check_length};
use crate::random::Random;
use linalg::{Matrix, cholesky::Cholesky};

/// A Gaussian in n dimensions with a positive definite covariance.
///
/// ```
/// use linalg::matrix;
/// use probability::MultivariateGaussian;
/// let g = MultivariateGaussian::new(&[0.0, 0.0], &matrix(2, 2, &[2.0, 1.2, 1.2, 1.5]))?;
/// // The second variable is observed to be 1: what is the distribution of the first?
/// let first = g.given(&[1], &[1.0])?;
/// assert!((first.mean()[0] - 0.8).abs() < 1e-15);
/// assert!((first.covariance()[0] - 1.04).abs() < 1e-15); // it was 2
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultivariateGaussian {
    mean: Vec<f64>,
    covariance: Matrix<f64>,
    cholesky: Cholesky<f64>,
}

impl MultivariateGaussian {
    /// Creates a Gaussian with this mean (n) and covariance (n × n).
    ///
    /// # Errors
    /// If there are no variables, the shapes do not fit, an element is infinite or NaN, or the covariance differs from
    /// its transpose by more than rounding or has no Cholesky factor. The error names the first leading block that
    /// fails.
    ///
    /// ```
    /// use linalg::matrix;
    /// use probability::{MultivariateGaussian, ProbabilityError};
    /// let singular = matrix(2, 2, &[1.0, 2.0, 2.0, 4.0]); // the second variable is twice the first
    /// let refused = MultivariateGaussian::new(&[0.0, 0.0], &singular).unwrap_err();
    /// assert_eq!(refused, ProbabilityError::NotPositiveDefinite { size: 2 });
    /// ```
    pub fn new(mean: &[f64], covariance: &Matrix<f64>) -> Result<Self, ProbabilityError> {
        let n = mean.len();
        if n == 0 {
            return Err(ProbabilityError::Empty { what: "variables" });
        }
        check_length("rows of the covariance", n, covariance.nrows())?;
        check_length("columns of the covariance", n, covariance.ncols())?;
        check("mean", "finite", mean.iter().copied(), f64::is_finite)?;
        check("element of the covariance", "finite", covariance.iter().copied(), f64::is_finite)?;
        // The rounding of other programs, in single precision too; `linalg::symmetric` allows as much.
        let slack = 1e-8;
        for row in 0..n {
            for column in 0..row {
                let (found, mirrored) = (covariance[(row, column)], covariance[(column, row)]);
                let deviation = |i: usize| covariance[(i, i)].abs().sqrt();
                let size = deviation(row) * deviation(column);
                if (found - mirrored).abs() > slack * size.max(found.abs()) {
                    return Err(ProbabilityError::Asymmetric { row, column, found, mirrored });
                }
            }
        }
        let covariance = covariance.zip_map(&covariance.transpose(), |a, b| {
            // The sum of two large ones is infinite.
            if a == b { a } else { a * 0.5 + b * 0.5 }
        });
        let refused = |pivot: usize| ProbabilityError::NotPositiveDefinite { size: pivot + 1 };
        let cholesky = Cholesky::of(&covariance).map_err(|error| match error {
            linalg::Error::NotPositiveDefinite { pivot, .. } => refused(pivot),
            _ => unreachable!("a finite square matrix"),
        })?;
        // A pivot must stand clear of rounding: n·ε of its own variance.
        let slack = n as f64 * f64::EPSILON;
        let share = |i: usize| cholesky.lower()[(i, i)] / covariance[(i, i)].sqrt();
        if let Some(pivot) = (0..n).find(|&i| share(i).powi(2) <= slack) {
            return Err(refused(pivot));
        }
        Ok(MultivariateGaussian { mean: mean.to_vec(), covariance, cholesky })
    }

    /// Creates the distribution of <var>A·w + µ</var> with w ~ N(0, 1): covariance <var>A·Aᵀ</var>. A is (n × m), and
    /// needs rank n.
    ///
    /// # Errors
    /// Like [`MultivariateGaussian::new`]. If A has fewer columns than rows the covariance is singular.
    ///
    /// ```
    /// use probability::MultivariateGaussian;
    /// let a = linalg::matrix(2, 2, &[1.0, 2.0, 0.0, 1.0]); // x = w₁, y = 2·w₁ + w₂
    /// let g = MultivariateGaussian::from_factor(&[0.0, 0.0], &a)?;
    /// assert_eq!(g.covariance().as_slice(), &[1.0, 2.0, 2.0, 5.0]);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn from_factor(mean: &[f64], a: &Matrix<f64>) -> Result<Self, ProbabilityError> {
        check_length("rows of the factor", mean.len(), a.nrows())?;
        Self::new(mean, &(a * a.transpose()))
    }

    /// Returns the number of variables, at least 1.
    pub fn dimension(&self) -> usize {
        self.mean.len()
    }

    /// Returns µ.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Returns Σ.
    pub fn covariance(&self) -> &Matrix<f64> {
        &self.covariance
    }

    /// Returns the lower triangular A with <var>A·Aᵀ = Σ</var>.
    #[doc(alias("cholesky", "scale_tril"))]
    pub fn factor(&self) -> Matrix<f64> {
        self.cholesky.lower().clone()
    }

    /// Returns <var>ln |Σ| = 2·Σ ln Aᵢᵢ</var>.
    ///
    /// ```
    /// use probability::MultivariateGaussian;
    /// let g = MultivariateGaussian::new(&[0.0; 2], &linalg::matrix(2, 2, &[2.0, 1.0, 1.0, 2.0]))?;
    /// assert!((g.log_determinant() - 3.0_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("slogdet", "logdet"))]
    pub fn log_determinant(&self) -> f64 {
        self.cholesky.log_determinant()
    }

    /// Returns the squared Mahalanobis distance <var>(x − µ)ᵀ·Σ⁻¹·(x − µ)</var>; for x from this distribution its mean
    /// is n. Not finite if x is not.
    ///
    /// # Errors
    /// If the number of coordinates is not the dimension.
    ///
    /// ```
    /// use probability::MultivariateGaussian;
    /// let g = MultivariateGaussian::new(&[1.0, 0.0], &linalg::matrix(2, 2, &[4.0, 0.0, 0.0, 1.0]))?;
    /// assert_eq!(g.squared_distance(&[5.0, 1.0])?, 5.0); // two deviations, and one
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias = "mahalanobis")]
    pub fn squared_distance(&self, x: &[f64]) -> Result<f64, ProbabilityError> {
        check_length("coordinates", self.dimension(), x.len())?;
        let d = Matrix::from_fn(x.len(), 1, |i, _| x[i] - self.mean[i]);
        // w with A·w = x − µ, so that the distance is a sum of squares and never negative.
        let w = self.cholesky.whiten(&d).expect("a coordinate for every variable");
        Ok(w.norm_squared())
    }

    /// Returns ln p(x), in nats. −∞ or NaN if x is not finite.
    ///
    /// # Errors
    /// If the number of coordinates is not the dimension.
    ///
    /// ```
    /// use linalg::matrix;
    /// use probability::MultivariateGaussian;
    /// let g = MultivariateGaussian::new(&[0.0, 0.0], &matrix(2, 2, &[1.0, 0.0, 0.0, 1.0]))?;
    /// assert!((g.ln_density(&[0.0, 0.0])? + std::f64::consts::TAU.ln()).abs() < 1e-15);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("logpdf", "log_prob"))]
    pub fn ln_density(&self, x: &[f64]) -> Result<f64, ProbabilityError> {
        let constant =
            self.dimension() as f64 * std::f64::consts::TAU.ln() + self.log_determinant();
        Ok(-0.5 * (self.squared_distance(x)? + constant))
    }

    /// Draws <var>A·w + µ</var>, with draw number `index` of `random`.
    ///
    /// ```
    /// use linalg::matrix;
    /// use probability::{MultivariateGaussian, Random, moments::of_experiment};
    /// let g = MultivariateGaussian::new(&[1.0, -1.0], &matrix(2, 2, &[2.0, 1.2, 1.2, 1.5]))?;
    /// let random = Random::new(1, 0, 0);
    /// let product = of_experiment(10_000, |i| {
    ///     let x = g.draw(&random, i);
    ///     (x[0] - 1.0) * (x[1] + 1.0)
    /// });
    /// assert!((product.mean()? - 1.2).abs() < 5.0 * product.standard_error()?);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("sample", "rvs"))]
    pub fn draw(&self, random: &Random, index: u64) -> Vec<f64> {
        let n = self.dimension();
        let first = index.wrapping_mul(n as u64);
        let w = Matrix::from_fn(n, 1, |i, _| random.normal(first.wrapping_add(i as u64)));
        (self.cholesky.lower() * w).iter().zip(&self.mean).map(|(x, mean)| x + mean).collect()
    }

    /// Returns the distribution of some of the variables, in the order given.
    ///
    /// # Errors
    /// If there are no variables, one does not exist, or one occurs twice.
    ///
    /// ```
    /// use probability::MultivariateGaussian;
    /// let g = MultivariateGaussian::new(&[1.0, 7.0], &linalg::matrix(2, 2, &[2.0, 1.0, 1.0, 3.0]))?;
    /// let second = g.marginal(&[1])?;
    /// assert_eq!((second.mean()[0], second.covariance()[0]), (7.0, 3.0));
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    pub fn marginal(&self, variables: &[usize]) -> Result<Self, ProbabilityError> {
        self.check_variables(variables)?;
        let mean: Vec<f64> = variables.iter().map(|&i| self.mean[i]).collect();
        Self::new(&mean, &self.block(variables, variables))
    }

    /// Returns the conditional distribution of the other variables, in their order, given that the variables `observed`
    /// have the `values`.
    ///
    /// # Errors
    /// If a variable does not exist or is observed twice, all are observed, the number of values is not that of the
    /// observed variables, a value is not finite, or the conditional covariance has no Cholesky factor (the observed
    /// variables determine the others almost completely).
    ///
    /// ```
    /// use probability::MultivariateGaussian;
    /// // The textbook's pair: the second is observed to be 1.
    /// let pair = MultivariateGaussian::new(&[0.0, 0.0], &linalg::matrix(2, 2, &[2.0, 1.2, 1.2, 1.5]))?;
    /// let first = pair.given(&[1], &[1.0])?;
    /// assert!((first.mean()[0] - 0.8).abs() < 1e-14 && (first.covariance()[0] - 1.04).abs() < 1e-14);
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    #[doc(alias("condition", "conditional", "schur_complement"))]
    pub fn given(&self, observed: &[usize], values: &[f64]) -> Result<Self, ProbabilityError> {
        check_length("observed values", observed.len(), values.len())?;
        check("observed value", "finite", values.iter().copied(), f64::is_finite)?;
        if observed.is_empty() {
            return Ok(self.clone());
        }
        self.check_variables(observed)?;
        let hidden: Vec<usize> = (0..self.dimension()).filter(|i| !observed.contains(i)).collect();
        if hidden.is_empty() {
            return Err(ProbabilityError::Empty { what: "variables that are not observed" });
        }
        let seen = self.marginal(observed)?;
        let cross = self.block(observed, &hidden); // Σ_YX
        let surprise = Matrix::from_fn(values.len(), 1, |i, _| values[i] - seen.mean[i]);
        // Through A⁻¹·Σ_YX the Schur complement is a difference of symmetric matrices, and stays symmetric.
        let white = |b: &Matrix<f64>| seen.cholesky.whiten(b).expect("a row for every variable");
        let half = white(&cross);
        let shift = half.tr_mul(&white(&surprise));
        let mean: Vec<f64> =
            hidden.iter().zip(shift.iter()).map(|(&i, s)| self.mean[i] + s).collect();
        Self::new(&mean, &(self.block(&hidden, &hidden) - half.tr_mul(&half)))
    }

    fn block(&self, rows: &[usize], columns: &[usize]) -> Matrix<f64> {
        Matrix::from_fn(rows.len(), columns.len(), |i, j| self.covariance[(rows[i], columns[j])])
    }

    fn check_variables(&self, variables: &[usize]) -> Result<(), ProbabilityError> {
        for (index, variable) in variables.iter().enumerate() {
            if *variable >= self.dimension() || variables[..index].contains(variable) {
                let (what, found) = ("the list of variables: number", *variable as f64);
                let expected = "below the number of dimensions, and no variable may come twice";
                return Err(ProbabilityError::Element { what, index, found, expected });
            }
        }
        Ok(())
    }
}
