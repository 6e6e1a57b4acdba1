//! Gaussian elimination, P·A = L·U, for linear systems, determinants and inverses.
//!
//! Formulas: <var>A·x = b</var> by <var>L·(U·x) = P·b</var>; <var>ln |det A| = Σ ln |uᵢᵢ|</var>; A⁻¹ column by column.
//! A transformer inverts no matrix; the stationary distribution of a Markov chain and the density of a Gaussian or of a
//! normalising flow do.
//! Source: Golub and Van Loan, *Matrix Computations*, section 3.4 (partial pivoting).
//!
//! Implemented here instead of taken from nalgebra, so that it works on dual numbers (the derivative of ln |det A| is
//! tr(A⁻¹·Ȧ)), and so that rows and columns of very different scale do not overflow: they are first divided by powers
//! of two, which is exact. The powers are stored as exponents, because 10³⁰⁰ by row and 10⁻³⁰⁰ by column make 10⁶⁰⁰.

use crate::error::{finite, square};
use crate::norm::{exponent, times_power};
use crate::{Error, Matrix, Real, Shape, product_add, vector};
use std::ops::Range;

/// The number of columns that are eliminated one by one, before a product eliminates them from the rest.
const PANEL: usize = 32;

/// The decomposition <var>P·A = L·U</var> of a square matrix.
///
/// ```
/// use linalg::{lu::Lu, matrix};
/// let a = matrix(2, 2, &[2.0, 4.0, 1.0, 5.0]); // columns (2,4) and (1,5)
/// let x = Lu::of(&a)?.solve(&matrix(2, 1, &[4.0, 14.0]))?;
/// assert_eq!(x.as_slice(), &[1.0, 2.0]);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "lu_factor")]
#[derive(Clone, Debug)]
pub struct Lu<T: Real> {
    /// L below the diagonal (its diagonal is 1), U on and above it.
    factors: Matrix<T>,
    /// Row i of the factors is row `order[i]` of A.
    order: Vec<usize>,
    /// Whether the order is an odd permutation.
    odd: bool,
    /// The binary exponents of the scales by which the rows, then the columns, of A were divided.
    exponents: [Vec<i32>; 2],
    /// The index of the first zero pivot.
    singular: Option<usize>,
}

/// A determinant sign·e^ln, which cannot overflow.
///
/// ```
/// let d = linalg::lu::log_determinant(&linalg::matrix(1, 1, &[-0.5_f64]))?;
/// assert_eq!(d.sign * d.ln.exp(), -0.5);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "slogdet")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogDeterminant<T> {
    /// −1, 0 or 1.
    pub sign: f64,
    /// ln |det A|; −∞ if the determinant is 0.
    pub ln: T,
}

impl<T: Real> Lu<T> {
    /// Decomposes A. A singular matrix has a decomposition too, but no solutions.
    ///
    /// # Errors
    /// A matrix that is not square; NaN and ±∞.
    pub fn of(a: &Matrix<T>) -> Result<Self, Error> {
        let n = square("A", a)?;
        finite("A", a)?;
        let (mut f, mut order, mut odd, mut singular) =
            (a.clone(), Vec::from_iter(0..n), false, None);
        let exponents = equilibrate(&mut f);
        for first in (0..n).step_by(PANEL) {
            let end = (first + PANEL).min(n);
            for k in first..end {
                let size = |i: usize| f[(i, k)].to_f64().abs();
                // The first row with the largest element.
                let pivot = (k..n).fold(k, |best, i| if size(i) > size(best) { i } else { best });
                if size(pivot) == 0.0 {
                    singular = singular.or(Some(k));
                    continue;
                }
                if pivot != k {
                    f.swap_rows(k, pivot);
                    order.swap(k, pivot);
                    odd = !odd;
                }
                let pivot = f[(k, k)];
                f.as_mut_slice()[k * n..][k + 1..n].iter_mut().for_each(|x| *x /= pivot);
                eliminate(&mut f, k, k + 1..end, n);
            }
            // The panel's part of the rows beside it, and then of all rows below: a product.
            (first..end).for_each(|k| eliminate(&mut f, k, end..n, end));
            let (panel, mut rest) = f.columns_range_pair_mut(first..end, end..);
            let (above, below) = rest.rows_range_pair_mut(first..end, end..);
            product_add(below, -T::one(), panel.rows_range(end..), above.as_view());
        }
        Ok(Lu { factors: f, order, odd, exponents, singular })
    }

    /// Returns X with <var>A·X = B</var>, for B (n × m).
    ///
    /// The solution for a nearly singular matrix has few accurate digits: see
    /// [`crate::decomposition::svd::Svd::condition_number`]. Overflow gives ±∞; NaN results only from NaN and ±∞ in B.
    ///
    /// # Errors
    /// A right-hand side with a different number of rows; a singular matrix.
    ///
    /// ```
    /// use linalg::{lu::Lu, matrix};
    /// let factors = Lu::of(&matrix(2, 2, &[2.0, 0.0, 0.0, 4.0]))?; // once, for every right-hand side
    /// assert_eq!(factors.solve(&matrix(2, 1, &[2.0, 2.0]))?.as_slice(), &[1.0, 0.5]);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "lu_solve")]
    pub fn solve(&self, b: &Matrix<T>) -> Result<Matrix<T>, Error> {
        let n = self.order.len();
        Shape::new(b.nrows(), b.ncols()).expect_rows("the right-hand side", n)?;
        if let Some(pivot) = self.singular {
            return Err(Error::Singular { pivot });
        }
        let solve = |b: &[T]| {
            let mut x: Vec<T> = self.order.iter().map(|&i| b[i]).collect();
            let column = |k: usize| &self.factors.as_slice()[k * n..][..n];
            for k in 0..n {
                let known = x[k];
                vector::axpy(&mut x[k + 1..], -known, &column(k)[k + 1..]);
            }
            for k in (0..n).rev() {
                x[k] /= column(k)[k];
                let known = x[k];
                vector::axpy(&mut x[..k], -known, &column(k)[..k]);
            }
            x
        };
        let [rows, columns] = [0, 1].map(|k| &self.exponents[k][..]);
        let mut x = b.clone();
        x.column_iter_mut().for_each(|mut x| in_range(x.as_mut_slice(), [rows, columns], solve));
        Ok(x)
    }

    /// Returns A⁻¹. To solve a system, use [`Lu::solve`], which is faster and more accurate.
    ///
    /// ```
    /// use linalg::{lu::Lu, matrix};
    /// let inverse = Lu::of(&matrix(2, 2, &[2.0, 0.0, 0.0, -4.0]))?.inverse()?;
    /// assert_eq!(inverse, matrix(2, 2, &[0.5, 0.0, 0.0, -0.25]));
    /// # Ok::<(), linalg::Error>(())
    /// ```
    ///
    /// # Errors
    /// A singular matrix.
    #[doc(alias = "inv")]
    pub fn inverse(&self) -> Result<Matrix<T>, Error> {
        let n = self.order.len();
        self.solve(&Matrix::identity(n, n))
    }

    /// Returns det A as a sign and a logarithm.
    ///
    /// ```
    /// let factors = linalg::lu::Lu::of(&linalg::matrix(2, 2, &[0.0, 1.0, 2.0, 0.0]))?;
    /// let d = factors.log_determinant();
    /// assert_eq!((d.sign, d.ln), (-1.0, 2.0_f64.ln())); // det = −2
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "slogdet")]
    #[doc(alias = "logdet")]
    #[doc(alias = "det")]
    pub fn log_determinant(&self) -> LogDeterminant<T> {
        let diagonal = || (0..self.order.len()).map(|i| self.factors[(i, i)]);
        if self.singular.is_some() {
            return LogDeterminant { sign: 0.0, ln: T::from_f64(f64::NEG_INFINITY) };
        }
        let negative = diagonal().filter(|u| u.to_f64() < 0.0).count();
        let sign = if negative % 2 == usize::from(self.odd) { 1.0 } else { -1.0 };
        // Powers of two have integer logarithms: their sum is exact and is rounded once.
        let power: f64 = self.exponents.iter().flatten().map(|&e| f64::from(e)).sum();
        let ln = diagonal().fold(T::zero(), |sum, u| sum + u.abs().ln());
        LogDeterminant { sign, ln: ln + T::from_f64(power * std::f64::consts::LN_2) }
    }
}

/// Subtracts row k times column k from some columns, in the rows from k + 1 to `end`: column by column, as they are stored.
fn eliminate<T: Real>(f: &mut Matrix<T>, k: usize, columns: Range<usize>, end: usize) {
    let n = f.nrows();
    let (done, rest) = f.as_mut_slice().split_at_mut(columns.start * n);
    let (shares, rest) = (&done[k * n..][k + 1..end], &mut rest[..columns.len() * n]);
    T::simd(
        #[inline(always)]
        || {
            for column in rest.chunks_exact_mut(n) {
                let above = column[k];
                vector::axpy(&mut column[k + 1..end], -above, shares);
            }
        },
    );
}

/// Computes <var>x ← 2^(−columns)·solve(2^(−rows)·x)</var>, a linear map. x is first multiplied by a power of two: near
/// the top of the range, so that nothing underflows; if an intermediate value then overflows, near 1, and then far
/// below.
pub(crate) fn in_range<T: Real>(
    x: &mut [T],
    [rows, columns]: [&[i32]; 2],
    solve: impl Fn(&[T]) -> Vec<T>,
) {
    let finite = |x: &[T]| x.iter().all(|x| x.to_f64().is_finite());
    let sizes = x.iter().zip(rows).filter_map(|(&x, row)| Some(exponent(x)? - row));
    let most = if finite(x) { sizes.max().unwrap_or(0) } else { 0 };
    let double = T::from_f64(1e300).to_f64().is_finite();
    let mut found = Vec::new();
    for power in if double { [-900, 0, 900] } else { [-90, 0, 90] } {
        let shrunk = |(&x, row): (&T, &i32)| times_power(x, -row - most - power);
        let image = solve(&x.iter().zip(rows).map(shrunk).collect::<Vec<_>>());
        let inside = finite(&image);
        let image = image.into_iter().zip(columns);
        found = image.map(|(y, column)| times_power(y, most + power - column)).collect();
        if inside || !finite(x) {
            break;
        }
    }
    x.copy_from_slice(&found);
}

/// Divides rows, then columns, by powers of two until the largest element of each is between 1 and 2. All exponents are
/// found before the division, so that no intermediate value underflows.
fn equilibrate<T: Real>(a: &mut Matrix<T>) -> [Vec<i32>; 2] {
    let most = |x: &mut dyn Iterator<Item = i32>| x.max().unwrap_or(0);
    // Column by column, as they are stored: the largest element of a row has its largest exponent.
    let mut sizes = vec![0.0_f64; a.nrows()];
    for column in a.column_iter() {
        sizes.iter_mut().zip(&column).for_each(|(size, x)| *size = size.max(x.to_f64().abs()));
    }
    let rows: Vec<i32> = sizes.into_iter().map(|size| exponent(size).unwrap_or(0)).collect();
    let within = |(&x, row): (&T, &i32)| Some(exponent(x)? - row);
    let columns: Vec<i32> =
        a.column_iter().map(|c| most(&mut c.iter().zip(&rows).filter_map(within))).collect();
    for (mut column, scale) in a.column_iter_mut().zip(&columns) {
        column.iter_mut().zip(&rows).for_each(|(x, row)| *x = times_power(*x, -row - scale));
    }
    [rows, columns]
}

/// Returns the trace <var>tr A = Σ aᵢᵢ</var>, the sum of the eigenvalues.
///
/// Floats: IEEE; 0 for a 0 × 0 matrix.
///
/// # Errors
/// A matrix that is not square.
///
/// ```
/// use linalg::{lu::trace, matrix};
/// assert_eq!(trace(&matrix(2, 2, &[2.0, 1.0, 1.0, 5.0])), Ok(7.0));
/// ```
pub fn trace<T: Real>(a: &Matrix<T>) -> Result<T, Error> {
    let n = square("A", a)?;
    Ok(crate::vector::sum_of(n, |i| a[(i, i)]))
}

/// Returns det A as a sign and a logarithm: sign 1 and ln 0 for a 0 × 0 matrix, sign 0 and −∞ for a singular one.
///
/// # Errors
/// A matrix that is not square; NaN and ±∞.
///
/// ```
/// use linalg::{lu::log_determinant, matrix};
/// let a = matrix(2, 2, &[0.0, 1e-200, 1e-200, 0.0]); // the determinant, −1e-400, would be 0
/// let d = log_determinant(&a)?;
/// assert_eq!(d.sign, -1.0);
/// assert!((d.ln + 400.0 * std::f64::consts::LN_10).abs() < 1e-12);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "slogdet")]
#[doc(alias = "logdet")]
#[doc(alias = "det")]
pub fn log_determinant<T: Real>(a: &Matrix<T>) -> Result<LogDeterminant<T>, Error> {
    Ok(Lu::of(a)?.log_determinant())
}

/// Returns X with <var>A·X = B</var>. To solve for several right-hand sides in sequence, keep the [`Lu`].
///
/// # Errors
/// A matrix that is not square or is singular; shapes that do not fit; NaN and ±∞ on either side.
///
/// ```
/// use linalg::{lu::solve, matrix};
/// let a = matrix(2, 2, &[0.0, 2.0, 4.0, 0.0]);
/// assert_eq!(solve(&a, &matrix(2, 1, &[8.0, 6.0]))?.as_slice(), &[3.0, 2.0]);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "lu_solve")]
pub fn solve<T: Real>(a: &Matrix<T>, b: &Matrix<T>) -> Result<Matrix<T>, Error> {
    finite("B", b)?;
    Lu::of(a)?.solve(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::svd::Svd;
    use crate::laws::{gap, product, squares};
    use proptest::prelude::*;

    const E: f64 = f64::EPSILON;

    proptest! {
        #[test]
        fn what_is_solved_is_solved(a in squares(1..8), seed in 0..99_u64) {
            let b = crate::laws::draw(seed, a.nrows(), 2);
            let condition = Svd::of(&a).unwrap().condition_number().unwrap();
            prop_assume!(condition < 1e8);
            let x = solve(&a, &b).unwrap();
            // Elimination with pivoting is backward stable: growth is at most 2⁶, and in practice below n.
            let bound = 64.0 * E * a.norm() * x.norm();
            prop_assert!(gap(&product(&a, &x), &b) <= bound);
            let inverse = Lu::of(&a).unwrap().inverse().unwrap();
            let identity = Matrix::identity(a.nrows(), a.nrows());
            prop_assert!(gap(&product(&a, &inverse), &identity) <= 64.0 * E * condition * 8.0);
        }

        #[test]
        fn determinants_multiply((a, b) in (1..6_usize).prop_flat_map(|n| (squares(n..n + 1), squares(n..n + 1)))) {
            let condition = |a: &Matrix<f64>| Svd::of(a).unwrap().condition_number().unwrap();
            let worst = condition(&a).max(condition(&b));
            prop_assume!(worst < 1e6);
            let [a, b, ab] = [&a, &b, &product(&a, &b)].map(|m| log_determinant(m).unwrap());
            prop_assert_eq!(ab.sign, a.sign * b.sign);
            // d ln det = tr(A⁻¹·dA): the error of the product, magnified by both condition numbers.
            let bound = 64.0 * E * (worst * worst + ab.ln.abs());
            prop_assert!((ab.ln - a.ln - b.ln).abs() <= bound);
        }

        #[test]
        fn a_determinant_is_the_product_of_singular_values(a in squares(1..7)) {
            let svd = Svd::of(&a).unwrap();
            let condition = svd.condition_number().unwrap();
            prop_assume!(condition < 1e8);
            let ln: f64 = svd.values.iter().map(|s| s.ln()).sum();
            let found = log_determinant(&a).unwrap().ln;
            prop_assert!((found - ln).abs() <= 64.0 * E * (condition + ln.abs()));
        }

        #[test]
        fn the_trace_does_not_mind_the_order((a, b) in crate::laws::factors(1..7)) {
            let b = Matrix::from_fn(b.nrows(), a.nrows(), |i, j| b[(i, j % b.ncols())]);
            let (ab, ba) = (trace(&product(&a, &b)).unwrap(), trace(&product(&b, &a)).unwrap());
            prop_assert!((ab - ba).abs() <= 64.0 * E * a.norm() * b.norm());
        }
    }

    /// More columns than two panels, the last one partial; also a zero pivot in the second panel.
    #[test]
    fn panels_make_the_whole() {
        for n in [PANEL - 1, PANEL, PANEL + 1, 2 * PANEL + 5] {
            let (mut a, b) = (crate::laws::draw(n as u64, n, n), crate::laws::draw(1, n, 2));
            let lu = Lu::of(&a).unwrap();
            let triangle = |i: usize, j: usize| {
                if i > j { lu.factors[(i, j)] } else { f64::from(u8::from(i == j)) }
            };
            let lower = Matrix::from_fn(n, n, triangle);
            assert!(lower.iter().all(|x| x.abs() <= 1.0), "{n}: a pivot is the largest");
            let x = lu.solve(&b).unwrap();
            assert!(gap(&product(&a, &x), &b) <= 64.0 * E * a.norm() * x.norm(), "{n}");
            let ln: f64 = Svd::of(&a).unwrap().values.iter().map(|s| s.ln()).sum();
            assert!((lu.log_determinant().ln - ln).abs() <= 1e-11 * ln.abs(), "{n}");
            let last = n - 1;
            a.set_column(last, &Matrix::zeros(n, 1).column(0));
            assert_eq!(Lu::of(&a).unwrap().solve(&b).unwrap_err(), Error::Singular { pivot: last });
        }
    }

    #[test]
    fn a_singular_matrix_names_its_pivot() {
        let a = Matrix::from_column_slice(3, 3, &[1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 1.0, 0.0, 0.0]);
        let lu = Lu::of(&a).unwrap();
        assert_eq!(lu.log_determinant().sign, 0.0);
        assert_eq!(lu.log_determinant().ln, f64::NEG_INFINITY);
        assert_eq!(lu.solve(&a).unwrap_err(), Error::Singular { pivot: 1 });
        assert!(lu.solve(&Matrix::zeros(2, 1)).is_err());
    }
}
