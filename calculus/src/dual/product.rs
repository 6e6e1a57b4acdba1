//! The matrix product of dual numbers as three products of plain numbers, each by its scalar's kernel.
//!
//! With A = A₀ + Ȧ·ε and B = B₀ + Ḃ·ε: <var>A·B = A₀·B₀ + (Ȧ·B₀ + A₀·Ḃ)·ε</var>.

use super::Dual;
use linalg::{Factor, Matrix, Real, ViewMut, transposed};

/// The side of a block: the parts of one block of each factor and of the result fit into a second-level cache.
const BLOCK: usize = 128;

/// Computes <var>C ← α·A·B</var>, or <var>C ← C + α·A·B</var>, block by block.
pub(super) fn gemm<T: Real>(
    mut c: ViewMut<'_, Dual<T>>,
    alpha: Dual<T>,
    a: Factor<'_, Dual<T>>,
    b: Factor<'_, Dual<T>>,
    add: bool,
) {
    let (m, n, terms) = (c.nrows(), c.ncols(), a.columns());
    if !add {
        c.fill(Dual::constant(T::zero()));
    }
    for (term, terms) in blocks(terms) {
        for (column, columns) in blocks(n) {
            let b = Parts::of(b, (term, terms), (column, columns));
            for (row, rows) in blocks(m) {
                let a = Parts::of(a, (row, rows), (term, terms));
                let mut product = [Matrix::zeros(rows, columns), Matrix::zeros(rows, columns)];
                let [value, derivative] = &mut product;
                let one = T::one();
                T::gemm(value.as_view_mut(), one, a.value(), b.value(), false);
                T::gemm(derivative.as_view_mut(), one, a.derivative(), b.value(), false);
                T::gemm(derivative.as_view_mut(), one, a.value(), b.derivative(), true);
                let mut block = c.view_mut((row, column), (rows, columns));
                let parts = value.iter().zip(derivative.iter());
                block.iter_mut().zip(parts).for_each(|(c, (&v, &d))| *c += alpha * Dual::new(v, d));
            }
        }
    }
}

/// Returns the first index and the length of every block of 0..n.
fn blocks(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).step_by(BLOCK).map(move |first| (first, BLOCK.min(n - first)))
}

/// Values and derivatives of a block of a factor, in the order in which the factor is stored.
struct Parts<T> {
    value: Matrix<T>,
    derivative: Matrix<T>,
    transposed: bool,
}

impl<T: Real> Parts<T> {
    /// Copies a block: some rows and some columns of a factor, each from the first of the pair on.
    fn of(
        factor: Factor<'_, Dual<T>>,
        (row, rows): (usize, usize),
        (column, columns): (usize, usize),
    ) -> Self {
        let (stored, transposed) = factor.parts();
        let block = match transposed {
            false => stored.view((row, column), (rows, columns)),
            true => stored.view((column, row), (columns, rows)),
        };
        Parts { value: block.map(|x| x.value), derivative: block.map(|x| x.derivative), transposed }
    }

    fn value(&self) -> Factor<'_, T> {
        self.factor(&self.value)
    }

    fn derivative(&self) -> Factor<'_, T> {
        self.factor(&self.derivative)
    }

    fn factor<'a>(&self, part: &'a Matrix<T>) -> Factor<'a, T> {
        if self.transposed { transposed(part.as_view()) } else { Factor::from(part.as_view()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::{product_add, product_into};

    /// Small whole numbers: their products and sums are exact, so two orders of summation agree exactly.
    fn whole(rows: usize, columns: usize, seed: usize) -> Matrix<Dual<f64>> {
        let number = |i, j, k| ((seed + 7 * i + 13 * j + k * i * j) % 11) as f64 - 5.0;
        Matrix::from_fn(rows, columns, |i, j| Dual::new(number(i, j, 1), number(i, j, 3)))
    }

    fn same(a: &Matrix<Dual<f64>>, b: &Matrix<Dual<f64>>) -> bool {
        let equal =
            |(a, b): (&Dual<f64>, &Dual<f64>)| a.value == b.value && a.derivative == b.derivative;
        a.shape() == b.shape() && a.iter().zip(b.iter()).all(equal)
    }

    /// Sizes below, at and above a block, transposed or not, written and added.
    #[test]
    fn a_product_is_its_definition() {
        let alpha = Dual::new(2.0, -1.0);
        for (m, n, terms) in [(1, 1, 1), (3, 4, 0), (5, 1, 7), (BLOCK, 3, BLOCK + 1), (130, 129, 7)]
        {
            let (a, b, start) = (whole(m, terms, 1), whole(terms, n, 2), whole(m, n, 3));
            let sums = Matrix::from_fn(m, n, |i, j| {
                (0..terms).fold(Dual::constant(0.0), |sum, k| sum + a[(i, k)] * b[(k, j)])
            });
            let expected = sums.map(|sum| alpha * sum);
            let (a_turned, b_turned) = (a.transpose(), b.transpose());
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                let a = if ta { transposed(a_turned.as_view()) } else { Factor::from(a.as_view()) };
                let b = if tb { transposed(b_turned.as_view()) } else { Factor::from(b.as_view()) };
                let mut written = Matrix::repeat(m, n, Dual::new(f64::NAN, f64::NAN));
                product_into(written.as_view_mut(), alpha, a, b);
                assert!(same(&written, &expected), "{m}×{n}, {terms} terms, {ta} {tb}");
                let mut added = start.clone();
                product_add(added.as_view_mut(), alpha, a, b);
                assert!(same(&added, &(&start + &expected)), "{m}×{n}, {terms} terms, {ta} {tb}");
            }
        }
    }
}
