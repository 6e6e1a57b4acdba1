//! The QR decomposition by reflections: an orthonormal basis of a matrix's columns, and their coordinates in it.
//!
//! Formulas: <var>A·P = Q·R</var> with orthonormal columns in Q, an upper triangle R and a permutation P. A reflection
//! <var>H = I − τ·v·vᵀ</var> maps a column to a multiple of the first unit vector; Q is the product of one reflection per
//! column. With exchanges, the column with the largest remainder comes next, so that a matrix of rank r leaves (almost)
//! nothing after r columns.
//! In a transformer: Q restores the orthonormality of a basis of activations, and the triangle solves a linear probe.
//! Source: Householder, 1958; Golub and Van Loan, *Matrix Computations*, sections 5.2 and 5.4; exchanges by Businger and
//! Golub, 1965.
//!
//! Implemented here instead of taken from nalgebra, so that it works on dual numbers (a solution has a derivative by
//! every number of the problem), and so that columns of very different scale do not overflow: they are first divided by
//! powers of two, which is exact and makes the exchanges independent of units.

use crate::error::finite;
use crate::norm::{exponent, l2, times_power};
use crate::real::epsilon;
use crate::{Error, Matrix, Real, Shape, vector};

/// The decomposition <var>A·P = Q·R</var>. The diagonal of R is not negative, so that Q and R are unique if the columns
/// of A are independent.
///
/// ```
/// use linalg::{matrix, qr::Qr};
/// let a = matrix(2, 2, &[3.0, 4.0, 1.0, 0.0]); // columns (3,4) and (1,0)
/// let qr = Qr::of(&a)?;
/// assert!((qr.q() - matrix(2, 2, &[0.6, 0.8, 0.8, -0.6])).norm() < 1e-15);
/// assert!((qr.r() - matrix(2, 2, &[5.0, 0.0, 0.6, 0.8])).norm() < 1e-15);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "householder")]
#[derive(Clone, Debug)]
pub struct Qr<T: Real> {
    /// On and above the diagonal the triangle of the scaled columns, up to the signs of its rows; below it the vectors of
    /// the reflections, without their leading 1.
    factors: Matrix<T>,
    /// τ of each reflection.
    reflections: Vec<T>,
    /// Column j of A·P is column `order[j]` of A.
    order: Vec<usize>,
    /// The binary exponents by which the columns of A·P were divided.
    exponents: Vec<i32>,
}

impl<T: Real> Qr<T> {
    /// Decomposes A without exchanges: P is the identity, and the first k columns of Q span the first k columns of A.
    ///
    /// Floats: columns of any finite scale.
    ///
    /// # Errors
    /// NaN and ±∞.
    pub fn of(a: &Matrix<T>) -> Result<Self, Error> {
        Self::decompose(a, false)
    }

    /// Decomposes A with exchanges, which show the rank.
    ///
    /// # Errors
    /// NaN and ±∞.
    ///
    /// ```
    /// use linalg::{matrix, qr::Qr};
    /// let a = matrix(2, 3, &[1.0, 0.0, 0.0, 3.0, 0.0, 6.0]); // the third is twice the second
    /// let qr = Qr::pivoted(&a)?;
    /// assert_eq!((qr.rank(), qr.order()), (2, &[1, 0, 2][..]));
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn pivoted(a: &Matrix<T>) -> Result<Self, Error> {
        Self::decompose(a, true)
    }

    fn decompose(a: &Matrix<T>, exchange: bool) -> Result<Self, Error> {
        finite("A", a)?;
        let (m, n) = a.shape();
        let mut f = a.clone();
        let mut exponents = Vec::with_capacity(n);
        for mut column in f.column_iter_mut() {
            let most = column.iter().filter_map(|&x| exponent(x)).max().unwrap_or(0);
            column.iter_mut().for_each(|x| *x = times_power(*x, -most));
            exponents.push(most);
        }
        let (mut order, mut reflections) = (Vec::from_iter(0..n), Vec::with_capacity(m.min(n)));
        for k in 0..m.min(n) {
            if exchange {
                let left = |j: usize| {
                    let rest = &f.as_slice()[j * m..][k..m];
                    vector::dot(rest, rest).to_f64()
                };
                let sizes: Vec<f64> = T::simd(
                    #[inline(always)]
                    || (k..n).map(left).collect(),
                );
                // Of equal columns the first.
                let larger = |best: usize, j: usize| if sizes[j] > sizes[best] { j } else { best };
                let next = k + (0..sizes.len()).fold(0, larger);
                f.swap_columns(k, next);
                order.swap(k, next);
                exponents.swap(k, next);
            }
            let (done, rest) = f.as_mut_slice().split_at_mut((k + 1) * m);
            let column = &mut done[k * m + k..];
            let norm = l2(column);
            if norm.to_f64() == 0.0 {
                reflections.push(T::zero());
                continue;
            }
            let head = column[0];
            let image = if head.to_f64() > 0.0 { -norm } else { norm };
            let reflection = (image - head) / image;
            column[1..].iter_mut().for_each(|x| *x /= head - image);
            column[0] = image;
            let tail = &column[1..];
            T::simd(
                #[inline(always)]
                || {
                    for other in rest.chunks_exact_mut(m) {
                        reflect(tail, reflection, &mut other[k..]);
                    }
                },
            );
            reflections.push(reflection);
        }
        Ok(Qr { factors: f, reflections, order, exponents })
    }

    /// Returns P as a list: column j of A·P is column `order()[j]` of A.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Returns the numerical rank: the number of remainders above max(rows, columns)·ε of the largest, for columns that
    /// are divided by powers of two near their largest elements. Only a decomposition with exchanges
    /// ([`Qr::pivoted`]) has its small remainders at the end; [`crate::svd::Svd::rank`] decides difficult cases.
    pub fn rank(&self) -> usize {
        let (m, n) = self.factors.shape();
        let size = |k: usize| self.factors[(k, k)].to_f64().abs();
        let most = (0..m.min(n)).map(size).fold(0.0, f64::max);
        let nothing = m.max(n) as f64 * epsilon::<T>() * most;
        (0..m.min(n)).filter(|&k| size(k) > nothing).count()
    }

    /// Returns Q, (rows × min(rows, columns)).
    ///
    /// ```
    /// let q = linalg::qr::Qr::of(&linalg::matrix(3, 1, &[0.0, 3.0, 4.0]))?.q();
    /// assert!((q - linalg::matrix(3, 1, &[0.0, 0.6, 0.8])).norm() < 1e-15);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn q(&self) -> Matrix<T> {
        let (m, k) = (self.factors.nrows(), self.reflections.len());
        let mut q = Matrix::zeros(m, k);
        for (j, mut column) in q.column_iter_mut().enumerate() {
            column[j] = self.sign(j);
            self.turn_back(column.as_mut_slice());
        }
        q
    }

    /// Returns R, (min(rows, columns) × columns).
    ///
    /// ```
    /// let r = linalg::qr::Qr::of(&linalg::matrix(2, 2, &[0.0, 2.0, 3.0, 5.0]))?.r();
    /// assert!((r - linalg::matrix(2, 2, &[2.0, 0.0, 5.0, 3.0])).norm() < 1e-15);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn r(&self) -> Matrix<T> {
        let n = self.factors.ncols();
        Matrix::from_fn(self.reflections.len(), n, |i, j| match i > j {
            true => T::zero(),
            false => times_power(self.sign(i) * self.factors[(i, j)], self.exponents[j]),
        })
    }

    /// Returns the X for which <var>‖A·X − B‖</var> is smallest, column by column: the solution of <var>A·X = B</var> if
    /// there is one. [`crate::least_squares::LeastSquares`] finds the same more accurately, with standard errors.
    ///
    /// # Errors
    /// A right-hand side with a different number of rows; dependent columns, also because there are fewer rows than
    /// columns.
    ///
    /// ```
    /// use linalg::{matrix, qr::Qr};
    /// // A line through (0, 1), (1, 3), (2, 5): intercept 1, slope 2.
    /// let line = Qr::pivoted(&matrix(3, 2, &[1.0, 1.0, 1.0, 0.0, 1.0, 2.0]))?;
    /// let found = line.solve(&matrix(3, 1, &[1.0, 3.0, 5.0]))?;
    /// assert!((found - matrix(2, 1, &[1.0, 2.0])).norm() < 1e-14);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "lstsq")]
    pub fn solve(&self, b: &Matrix<T>) -> Result<Matrix<T>, Error> {
        let (m, n) = self.factors.shape();
        Shape::new(b.nrows(), b.ncols()).expect_rows("the right-hand side", m)?;
        self.independent()?;
        let mut found = Matrix::zeros(n, b.ncols());
        for (b, mut x) in b.column_iter().zip(found.column_iter_mut()) {
            // Near 1, so that no sum overflows.
            let power = b.iter().filter_map(|&b| exponent(b)).max().unwrap_or(0);
            let mut y = Vec::from_iter(b.iter().map(|&b| times_power(b, -power)));
            self.turn(&mut y);
            self.solve_triangle(&mut y[..n]);
            for (j, &y) in y[..n].iter().enumerate() {
                x[self.order[j]] = times_power(y, power - self.exponents[j]);
            }
        }
        Ok(found)
    }

    /// Checks that all columns are independent.
    pub(crate) fn independent(&self) -> Result<(), Error> {
        let (rank, columns) = (self.rank(), self.factors.ncols());
        match self.order.get(rank) {
            Some(&column) => Err(Error::Dependent { column, rank, columns }),
            None => Ok(()),
        }
    }

    /// Returns the binary exponents by which the columns were divided, in the order of the columns of A.
    pub(crate) fn column_exponents(&self) -> Vec<i32> {
        let mut exponents = vec![0; self.order.len()];
        self.order.iter().zip(&self.exponents).for_each(|(&j, &e)| exponents[j] = e);
        exponents
    }

    /// Computes <var>y ← Hₖ·…·H₁·y</var>: the coordinates of y in the basis of Q, up to signs, and those of the rest.
    pub(crate) fn turn(&self, y: &mut [T]) {
        let m = self.factors.nrows();
        for (k, &reflection) in self.reflections.iter().enumerate() {
            reflect(&self.factors.as_slice()[k * m..][k + 1..m], reflection, &mut y[k..]);
        }
    }

    /// Computes <var>y ← H₁·…·Hₖ·y</var>, the inverse of `turn`.
    pub(crate) fn turn_back(&self, y: &mut [T]) {
        let m = self.factors.nrows();
        for (k, &reflection) in self.reflections.iter().enumerate().rev() {
            reflect(&self.factors.as_slice()[k * m..][k + 1..m], reflection, &mut y[k..]);
        }
    }

    /// Computes <var>y ← R⁻¹·y</var>, for the triangle of the scaled columns, which must be independent.
    pub(crate) fn solve_triangle(&self, y: &mut [T]) {
        let m = self.factors.nrows();
        for k in (0..y.len()).rev() {
            let column = &self.factors.as_slice()[k * m..][..=k];
            y[k] /= column[k];
            let share = y[k];
            vector::axpy(&mut y[..k], -share, &column[..k]);
        }
    }

    /// Computes <var>y ← R⁻ᵀ·y</var>, for the same triangle.
    pub(crate) fn solve_transposed_triangle(&self, y: &mut [T]) {
        let m = self.factors.nrows();
        for k in 0..y.len() {
            let column = &self.factors.as_slice()[k * m..][..=k];
            y[k] = (y[k] - vector::dot(&column[..k], &y[..k])) / column[k];
        }
    }

    /// Returns the sign that makes element k of the diagonal of R positive.
    fn sign(&self, k: usize) -> T {
        if self.factors[(k, k)].to_f64() < 0.0 { -T::one() } else { T::one() }
    }
}

/// Computes <var>y ← y − τ·v·(vᵀ·y)</var>, for v = (1, tail).
#[inline(always)]
fn reflect<T: Real>(tail: &[T], reflection: T, y: &mut [T]) {
    let (head, rest) = y.split_at_mut(1);
    let share = reflection * (head[0] + vector::dot(tail, rest));
    head[0] -= share;
    vector::axpy(rest, -share, tail);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::svd::Svd;
    use crate::laws::{draw, gap, matrices, product, skew};
    use proptest::prelude::*;

    /// Relative to ‖A‖: up to 8 reflections of sums of 8 terms.
    const BOUND: f64 = 64.0 * f64::EPSILON;

    proptest! {
        #[test]
        fn a_basis_and_a_triangle(a in matrices(1..9), exchange: bool) {
            let qr = if exchange { Qr::pivoted(&a) } else { Qr::of(&a) }.unwrap();
            let (q, r) = (qr.q(), qr.r());
            prop_assert!(skew(&q) <= BOUND, "{}", skew(&q));
            let exchanged = a.select_columns(qr.order());
            prop_assert!(gap(&product(&q, &r), &exchanged) <= BOUND * a.norm());
            for j in 0..r.ncols() {
                prop_assert!((j + 1..r.nrows()).all(|i| r[(i, j)] == 0.0));
                prop_assert!(j >= r.nrows() || r[(j, j)] >= 0.0);
            }
        }

        #[test]
        fn the_rank_is_that_of_the_singular_values(m in 1..9_usize, n in 1..9_usize, rank in 0..6_usize, seed in 0..99_u64) {
            let rank = rank.min(m).min(n);
            let a = product(&draw(seed, m, rank), &draw(seed + 100, rank, n));
            prop_assume!(rank == 0 || Svd::of(&a).unwrap().values[rank - 1] > 1e-6);
            let qr = Qr::pivoted(&a).unwrap();
            prop_assert_eq!(qr.rank(), rank);
            match qr.solve(&draw(seed, m, 1)) {
                Ok(_) => prop_assert_eq!(rank, n),
                Err(error) => {
                    prop_assert_eq!(error, Error::Dependent { column: qr.order()[rank], rank, columns: n });
                }
            }
        }

        /// What is left is orthogonal to all columns, and no other point of their span is nearer.
        #[test]
        fn nothing_is_nearer(a in matrices(1..9), seed in 0..99_u64) {
            let (qr, b) = (Qr::pivoted(&a).unwrap(), draw(seed, a.nrows(), 1));
            let Ok(x) = qr.solve(&b) else { return Ok(()) };
            let condition = Svd::of(&a).unwrap().condition_number().unwrap();
            prop_assume!(condition < 1e6);
            let rest = &b - product(&a, &x);
            prop_assert!(product(&a.transpose(), &rest).norm() <= BOUND * condition * a.norm() * b.norm());
            let other = &x + draw(seed + 200, a.ncols(), 1) * 1e-3;
            prop_assert!(rest.norm() <= gap(&b, &product(&a, &other)) + BOUND * condition);
        }

        /// Units of columns: the same Q to the bit, and the solution in the other units.
        #[test]
        fn units_change_nothing(a in matrices(1..7), seed in 0..99_u64, powers in prop::collection::vec(-400..400_i32, 6)) {
            let graded = Matrix::from_fn(a.nrows(), a.ncols(), |i, j| times_power(a[(i, j)], powers[j]));
            let (one, other) = (Qr::pivoted(&a).unwrap(), Qr::pivoted(&graded).unwrap());
            prop_assert_eq!((one.q(), one.order()), (other.q(), other.order()));
            let b = draw(seed, a.nrows(), 1);
            match (one.solve(&b), other.solve(&b)) {
                (Ok(x), Ok(y)) => {
                    prop_assert!((0..x.len()).all(|j| times_power(x[j], -powers[j]) == y[j]));
                }
                (one, other) => prop_assert_eq!(one.is_err(), other.is_err()),
            }
        }
    }

    #[test]
    fn without_rows_or_columns() {
        let none = Qr::pivoted(&Matrix::<f64>::zeros(3, 0)).unwrap();
        assert_eq!((none.rank(), none.q().shape(), none.r().shape()), (0, (3, 0), (0, 0)));
        assert_eq!(none.solve(&Matrix::zeros(3, 2)).unwrap().shape(), (0, 2));
        let flat = Qr::pivoted(&Matrix::<f64>::zeros(0, 2)).unwrap();
        assert_eq!((flat.rank(), flat.q().shape(), flat.r().shape()), (0, (0, 0), (0, 2)));
        assert!(flat.solve(&Matrix::zeros(0, 1)).is_err());
        let zero = Qr::of(&Matrix::<f64>::zeros(2, 2)).unwrap();
        assert!(skew(&zero.q()) == 0.0 && zero.r().norm() == 0.0);
        assert!(zero.solve(&Matrix::zeros(3, 1)).is_err());
    }
}
