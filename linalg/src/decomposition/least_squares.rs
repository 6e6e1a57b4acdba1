//! Linear least squares: the coefficients of the best linear prediction, with their standard errors.
//!
//! Formulas: <var>x = argmin ‖A·x − b‖</var>, for more equations than unknowns; residuals <var>r = b − A·x</var>; residual
//! deviation <var>s = ‖r‖/√(m − n)</var>; standard error of coefficient j <var>s·√((AᵀA)⁻¹)ⱼⱼ</var>.
//! In a transformer: a linear probe of activations; the line of a scaling law in logarithms, with its uncertainty.
//! Source: Gauss, 1809; Golub and Van Loan, *Matrix Computations*, section 5.3; the refinement, Björck, *Iterative
//! Refinement of Linear Least Squares Solutions*, 1967.
//!
//! By reflections ([`crate::qr::Qr`]), never by the normal equations, which square the condition of A. Large residuals
//! square it too; therefore the system <var>r + A·x = b, Aᵀ·r = 0</var> is solved four times for what is left of it, each
//! time computed in twice the precision: NIST's reference problems keep almost all of their digits
//! (`linalg/tests/laws/nist.rs`).

use crate::accurate::{two_product, two_sum};
use crate::decomposition::qr::Qr;
use crate::error::{finite_elements, length};
use crate::norm::{exponent, l2, times_power};
use crate::{Error, Matrix, Real};

/// How often what is left is solved for: each time gains the digits that one solution has.
const REFINEMENTS: usize = 4;

/// The solution of <var>min ‖A·x − b‖</var>, with what is left and what it says about the solution.
///
/// ```
/// use linalg::{from_rows, least_squares::LeastSquares};
/// // Loss by size on logarithmic axes: ln L = a + b·ln N, for four models.
/// let (n, loss) = ([1e6_f64, 1e7, 1e8, 1e9], [5.2_f64, 4.4, 3.6, 3.1]);
/// let a = from_rows(&n.map(|n| [1.0, n.ln()]));
/// let fit = LeastSquares::of(&a, &loss.map(f64::ln))?;
/// assert!((fit.coefficients[1] + 0.07611).abs() < 1e-5); // L ∝ N^−0.076
/// assert!((fit.standard_errors()?[1] - 0.00287).abs() < 1e-5);
/// assert_eq!(fit.freedom(), 2); // for the quantile of Student's distribution
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "lstsq")]
#[doc(alias = "polyfit")]
#[doc(alias = "ols")]
#[doc(alias = "linear_regression")]
#[derive(Clone, Debug, PartialEq)]
pub struct LeastSquares<T> {
    /// x, a coefficient per column of A.
    pub coefficients: Vec<T>,
    /// r = b − A·x, a residual per row of A.
    pub residuals: Vec<T>,
    /// √((AᵀA)⁻¹)ⱼⱼ: the standard errors of coefficients if the residual deviation were 1.
    spreads: Vec<T>,
}

impl<T: Real> LeastSquares<T> {
    /// Solves for the coefficients. A has a row per equation (an observation) and a column per unknown; a column of ones
    /// gives the intercept.
    ///
    /// Floats: columns of any finite scale. A solution beyond the range overflows to ±∞.
    ///
    /// # Errors
    /// A right-hand side of another length; dependent columns, also because there are fewer rows than columns
    /// ([`Error::Dependent`]); NaN and ±∞.
    pub fn of(a: &Matrix<T>, b: &[T]) -> Result<Self, Error> {
        let (m, n) = a.shape();
        length("b", b, m)?;
        finite_elements("b", b, m)?;
        let qr = Qr::pivoted(a)?;
        qr.independent()?;
        let exponents = qr.column_exponents();
        let scaled = Matrix::from_fn(m, n, |i, j| times_power(a[(i, j)], -exponents[j]));
        let power = b.iter().filter_map(|&b| exponent(b)).max().unwrap_or(0);
        let b: Vec<T> = b.iter().map(|&b| times_power(b, -power)).collect();
        let (mut x, mut residuals) = (vec![T::zero(); n], vec![T::zero(); m]);
        for _ in 0..REFINEMENTS {
            let (above, below) = left(&scaled, &b, &x, &residuals);
            // Q·(y, z) with Rᵀ·y = Pᵀ·below and z = what Qᵀ·above has beyond the first n; R·Pᵀ·Δx = (Qᵀ·above) − y.
            let mut turned = above;
            qr.turn(&mut turned);
            let mut y: Vec<T> = qr.order().iter().map(|&j| below[j]).collect();
            qr.solve_transposed_triangle(&mut y);
            let mut step: Vec<T> = turned.iter().zip(&y).map(|(&t, &y)| t - y).collect();
            qr.solve_triangle(&mut step);
            qr.order().iter().zip(&step).for_each(|(&j, &step)| x[j] += step);
            turned[..n].copy_from_slice(&y);
            qr.turn_back(&mut turned);
            residuals.iter_mut().zip(&turned).for_each(|(r, &step)| *r += step);
        }
        let mut spreads = vec![T::zero(); n];
        for (k, &j) in qr.order().iter().enumerate() {
            // Row j of the inverse triangle has the length of column j of the inverse of its transpose.
            let mut unit = vec![T::zero(); n];
            unit[k] = T::one();
            qr.solve_transposed_triangle(&mut unit);
            spreads[j] = times_power(l2(&unit), -exponents[j]);
        }
        let back = |(x, &e): (T, &i32)| times_power(x, power - e);
        Ok(LeastSquares {
            coefficients: x.into_iter().zip(&exponents).map(back).collect(),
            residuals: residuals.into_iter().map(|r| times_power(r, power)).collect(),
            spreads,
        })
    }

    /// Returns the degrees of freedom, m − n: the number of equations beyond the number of coefficients.
    pub fn freedom(&self) -> usize {
        self.residuals.len() - self.coefficients.len()
    }

    /// Returns the residual deviation <var>s = ‖r‖/√(m − n)</var>: the standard deviation of the noise in b, without
    /// bias in its square.
    ///
    /// # Errors
    /// As many equations as coefficients: nothing is left that shows noise.
    ///
    /// ```
    /// use linalg::{least_squares::LeastSquares, matrix};
    /// let fit = LeastSquares::of(&matrix(3, 1, &[1.0; 3]), &[1.0, 2.0, 6.0])?; // their mean, 3
    /// assert!((fit.deviation()? - 7.0_f64.sqrt()).abs() < 1e-14); // √((4 + 1 + 9)/2)
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn deviation(&self) -> Result<T, Error> {
        let freedom = self.freedom() as f64;
        if freedom == 0.0 {
            let range = "above the number of coefficients: add observations";
            let (name, value) = ("the number of equations", self.residuals.len() as f64);
            return Err(Error::Range { name, value, range });
        }
        Ok(l2(&self.residuals) / T::from_f64(freedom).sqrt())
    }

    /// Returns the standard error of each coefficient, if the noise of all equations is independent and has one
    /// deviation. A confidence interval is x ± t·error, with the quantile t of Student's distribution of
    /// [`LeastSquares::freedom`] degrees.
    ///
    /// # Errors
    /// As many equations as coefficients.
    ///
    /// ```
    /// use linalg::{least_squares::LeastSquares, matrix};
    /// let fit = LeastSquares::of(&matrix(3, 1, &[1.0; 3]), &[1.0, 2.0, 6.0])?;
    /// assert!((fit.standard_errors()?[0] - (7.0_f64 / 3.0).sqrt()).abs() < 1e-14); // s/√3
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn standard_errors(&self) -> Result<Vec<T>, Error> {
        let deviation = self.deviation()?;
        Ok(self.spreads.iter().map(|&spread| spread * deviation).collect())
    }
}

/// Returns b − r − A·x and −Aᵀ·r, each summed in twice the precision: every sum is a pair of the sum so far and of what
/// its additions and products lost.
fn left<T: Real>(a: &Matrix<T>, b: &[T], x: &[T], residuals: &[T]) -> (Vec<T>, Vec<T>) {
    let (mut above, mut below) = (b.to_vec(), Vec::with_capacity(x.len()));
    let mut lost = vec![T::zero(); b.len()];
    T::simd(
        #[inline(always)]
        || {
            for ((sum, lost), &r) in above.iter_mut().zip(&mut lost).zip(residuals) {
                (*sum, *lost) = two_sum(*sum, -r);
            }
            for (column, &x) in a.column_iter().zip(x) {
                let column = column.data.into_slice();
                for ((sum, lost), &a) in above.iter_mut().zip(&mut lost).zip(column) {
                    add_product(sum, lost, -a, x);
                }
                let (mut sum, mut lost) = (T::zero(), T::zero());
                column
                    .iter()
                    .zip(residuals)
                    .for_each(|(&a, &r)| add_product(&mut sum, &mut lost, -a, r));
                below.push(sum + lost);
            }
        },
    );
    (above.iter().zip(&lost).map(|(&sum, &lost)| sum + lost).collect(), below)
}

/// Adds a·b to a sum, and to `lost` what the product and the addition lose.
#[inline(always)]
fn add_product<T: Real>(sum: &mut T, lost: &mut T, a: T, b: T) {
    let (product, rest) = two_product(a, b);
    let (next, below) = two_sum(*sum, product);
    *sum = next;
    *lost += rest + below;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::svd::Svd;
    use crate::laws::{draw, gap, matrices, product};
    use proptest::prelude::*;

    const E: f64 = f64::EPSILON;

    proptest! {
        /// The same solution as by reflections alone and by singular values; the residuals are orthogonal to all columns
        /// to a few ε, whatever the condition.
        #[test]
        fn three_ways_agree(a in matrices(1..9), seed in 0..99_u64) {
            let b = draw(seed, a.nrows(), 1);
            let svd = Svd::of(&a).unwrap();
            let condition = svd.condition_number().unwrap();
            prop_assume!(condition < 1e5 && a.nrows() >= a.ncols());
            let fit = LeastSquares::of(&a, b.as_slice()).unwrap();
            let x = Matrix::from_column_slice(a.ncols(), 1, &fit.coefficients);
            let bound = 64.0 * E * condition * condition * b.norm() / svd.values.last().unwrap();
            prop_assert!(gap(&x, &Qr::pivoted(&a).unwrap().solve(&b).unwrap()) <= bound);
            prop_assert!(gap(&x, &svd.solve(&b).unwrap()) <= bound);
            let rest = Matrix::from_column_slice(a.nrows(), 1, &fit.residuals);
            prop_assert!(gap(&rest, &(&b - product(&a, &x))) <= 32.0 * E * (b.norm() + a.norm() * x.norm()));
            prop_assert!((a.transpose() * rest).norm() <= 16.0 * E * a.norm() * b.norm());
        }

        /// (AᵀA)⁻¹ by its definition.
        #[test]
        fn standard_errors_are_those_of_the_inverse(a in matrices(1..9), seed in 0..99_u64) {
            prop_assume!(a.nrows() > a.ncols());
            let condition = Svd::of(&a).unwrap().condition_number().unwrap();
            prop_assume!(condition < 1e4);
            let fit = LeastSquares::of(&a, draw(seed, a.nrows(), 1).as_slice()).unwrap();
            let inverse = crate::lu::Lu::of(&product(&a.transpose(), &a)).unwrap().inverse().unwrap();
            let (errors, s) = (fit.standard_errors().unwrap(), fit.deviation().unwrap());
            for (j, error) in errors.into_iter().enumerate() {
                let right = s * inverse[(j, j)].sqrt();
                prop_assert!((error - right).abs() <= 64.0 * E * condition * condition * right);
            }
        }

        #[test]
        fn units_do_not_matter(a in matrices(1..7), seed in 0..99_u64, k in -400..400_i32, l in -400..400_i32) {
            let b = draw(seed, a.nrows(), 1);
            let scaled = |x: &Matrix<f64>, k: i32| x.map(|x| times_power(x, k));
            let (ca, cb) = (scaled(&a, k), scaled(&b, l));
            match (LeastSquares::of(&a, b.as_slice()), LeastSquares::of(&ca, cb.as_slice())) {
                (Ok(one), Ok(other)) => {
                    let all = |x: &[f64], k: i32| x.iter().map(|&x| times_power(x, k)).collect::<Vec<_>>();
                    prop_assert_eq!(all(&one.coefficients, l - k), other.coefficients);
                    prop_assert_eq!(all(&one.residuals, l), other.residuals);
                }
                (one, other) => prop_assert_eq!(one.unwrap_err(), other.unwrap_err()),
            }
        }
    }

    #[test]
    fn what_has_no_solution_or_no_noise() {
        let a = crate::from_rows(&[[1.0, 2.0, 3.0], [1.0, 2.0, 4.0], [1.0, 2.0, 7.0]]);
        let error = LeastSquares::of(&a, &[1.0, 2.0, 3.0]).unwrap_err();
        assert!(
            matches!(error, Error::Dependent { rank: 2, columns: 3, column: 0 | 1 }),
            "{error:?}"
        );
        assert!(error.to_string().contains("2 of 3 columns are independent"), "{error}");
        let wide = LeastSquares::of(&crate::from_rows(&[[1.0, 2.0]]), &[1.0]).unwrap_err();
        assert_eq!(wide, Error::Dependent { column: 1, rank: 1, columns: 2 });
        let exact = LeastSquares::of(&Matrix::identity(2, 2), &[3.0, 4.0]).unwrap();
        assert_eq!(
            (&exact.coefficients[..], &exact.residuals[..]),
            (&[3.0, 4.0][..], &[0.0; 2][..])
        );
        let message = exact.standard_errors().unwrap_err().to_string();
        assert!(
            message.starts_with("the number of equations is 2, but must be above"),
            "{message}"
        );
        assert!(LeastSquares::of(&Matrix::<f64>::identity(2, 2), &[1.0]).is_err());
        assert!(LeastSquares::of(&Matrix::identity(2, 2), &[1.0, f64::NAN]).is_err());
        assert!(LeastSquares::of(&Matrix::identity(2, 2), &[1.0, f64::INFINITY]).is_err());
        let none = LeastSquares::of(&Matrix::zeros(2, 0), &[3.0, 4.0]).unwrap();
        assert!(none.freedom() == 2 && (none.deviation().unwrap() - 12.5_f64.sqrt()).abs() < 1e-15);
    }
}
