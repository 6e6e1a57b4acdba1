//! One-sided Jacobi iteration, the algorithm of [`crate::decomposition::svd::Svd`].
//!
//! Pairs of columns are rotated until all columns are orthogonal: <var>X·V = U·diag(σ)</var>. The method is backward
//! stable, gives singular vectors that are orthonormal to rounding, and needs no shifts or deflation.
//! Source: Hestenes, 1958; Golub and Van Loan, *Matrix Computations*, section 8.6.3; the preparation by a QR
//! decomposition, Drmač and Veselić, *New Fast and Accurate Jacobi SVD Algorithm*, 2008.
//!
//! Implemented here because the SVD of nalgebra 0.35 returns wrong singular values for many matrices without full rank
//! (its issue 1172): 4.54 for the 3×5 matrix of ones, whose only nonzero singular value is <var>√15 = 3.87</var>. The
//! weights of transformers often have low rank, and adapters always do.

use crate::norm::{direction, l2, linf, power_of_two};
use crate::{
    Error, Matrix, apply::multiply, decomposition::basis, decomposition::svd::Svd, simd, vector,
};

/// The maximum number of sweeps over all pairs. About ten are usual, because convergence is finally quadratic.
const SWEEPS: usize = 60;
/// Columns shorter than this, relative to the longest, are treated as zero: their squares would underflow.
const NOTHING: f64 = 1e-140;

/// Returns the decomposition of A/s for a power of two s, and s. A is finite, has at least one column, and at least as
/// many rows as columns.
pub(crate) fn tall(a: &Matrix<f64>) -> Result<(Svd, f64), Error> {
    let n = a.ncols();
    let scale = power_of_two(linf(a.as_slice()));
    let scale = if scale == 0.0 { 1.0 } else { scale };
    let norms: Vec<f64> = a.column_iter().map(|c| l2(c.data.into_slice())).collect();
    // Longest column first: the QR decomposition then does most of the work.
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| norms[j].total_cmp(&norms[i]));
    // Largest row first: a reflection mixes rows, and the result for a small row is then accurate relative to that row
    // (Cox and Higham, *Stability of Householder QR Factorization for Weighted Least Squares Problems*, 1998).
    let sizes: Vec<f64> =
        a.row_iter().map(|r| r.iter().fold(0.0, |m: f64, x| m.max(x.abs()))).collect();
    let mut rows: Vec<usize> = (0..a.nrows()).collect();
    rows.sort_by(|&i, &j| sizes[j].total_cmp(&sizes[i]));
    let sorted = Matrix::from_fn(a.nrows(), n, |i, j| a[(rows[i], order[j])] / scale);
    let (sorted_q, r) = sorted.qr().unpack();
    let mut q = Matrix::zeros(a.nrows(), n);
    rows.iter().enumerate().for_each(|(i, &row)| q.set_row(row, &sorted_q.row(i)));
    // The columns of Rᵀ, and the rotations that make them orthogonal: Rᵀ·V = U·diag(σ), so A = (Q·V)·diag(σ)·Uᵀ.
    let mut x: Vec<Vec<f64>> = r.row_iter().map(|r| r.iter().copied().collect()).collect();
    let mut v: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    orthogonalise(&mut x, &mut v, SWEEPS)?;

    let mut columns: Vec<(f64, usize)> = (0..n).map(|j| (l2(&x[j]), j)).collect();
    columns.sort_by(|a, b| b.0.total_cmp(&a.0));
    let longest = columns[0].0;
    let mut u: Vec<Vec<f64>> = Vec::with_capacity(n);
    let mut values = Vec::with_capacity(n);
    for &(norm, j) in &columns {
        if norm <= NOTHING * longest {
            break;
        }
        values.push(norm);
        u.push(direction("a singular vector", &x[j])?);
    }
    complete(&mut u, n);
    values.resize(n, 0.0);

    let turn = Matrix::from_fn(n, n, |i, j| v[columns[j].1][i]);
    let mut right = Matrix::zeros(n, n);
    for (j, u) in u.iter().enumerate() {
        order.iter().zip(u).for_each(|(&i, &u)| right[(i, j)] = u);
    }
    Ok((Svd { u: multiply(q.as_view(), turn.as_view()), values, v: right }, scale))
}

/// Rotates pairs of columns of X, and the same columns of V, until all columns of X are orthogonal.
fn orthogonalise(x: &mut [Vec<f64>], v: &mut [Vec<f64>], sweeps: usize) -> Result<(), Error> {
    let n = x.len();
    let orthogonal = f64::EPSILON * (n as f64).sqrt();
    // A rotation leaves rounding errors of about 3 ε, and so does the dot product that tests it. Below this threshold
    // the test may go either way, and needs no further sweep.
    let settled = 4.0 * orthogonal;
    for _ in 0..sweeps {
        let mut squares: Vec<f64> = x.iter().map(|x| vector::dot(x, x)).collect();
        let nothing = squares.iter().fold(0.0_f64, |a, &b| a.max(b)) * NOTHING * NOTHING;
        let mut turned = false; // by more than rounding errors
        for p in 0..n {
            for q in p + 1..n {
                let (a, b) = (squares[p], squares[q]);
                if a <= nothing || b <= nothing {
                    continue;
                }
                let c = simd(
                    #[inline(always)]
                    || vector::dot(&x[p], &x[q]),
                );
                let cosine = c.abs() / (a.sqrt() * b.sqrt()); // a·b could underflow
                if cosine <= orthogonal {
                    continue;
                }
                turned |= cosine > settled;
                // The smaller of the two angles that make the dot product zero.
                let zeta = (b - a) / (2.0 * c);
                let tan = 1.0_f64.copysign(zeta) / (zeta.abs() + zeta.hypot(1.0));
                let cos = 1.0 / tan.hypot(1.0);
                turn(x, p, q, cos, cos * tan);
                turn(v, p, q, cos, cos * tan);
                squares[p] = (a - tan * c).max(0.0);
                squares[q] = b + tan * c;
            }
        }
        if !turned {
            return Ok(());
        }
    }
    Err(Error::NotConverged { what: "the singular values", iterations: sweeps })
}

/// Computes <var>(x_p, x_q) ← (cos·x_p − sin·x_q, sin·x_p + cos·x_q)</var>.
fn turn(x: &mut [Vec<f64>], p: usize, q: usize, cos: f64, sin: f64) {
    let (before, from_q) = x.split_at_mut(q);
    let (xp, xq) = (&mut before[p], &mut from_q[0]);
    simd(
        #[inline(always)]
        || {
            for (a, b) in xp.iter_mut().zip(xq.iter_mut()) {
                (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
            }
        },
    );
}

/// Extends orthonormal vectors to n, by unit vectors minus their projections onto the vectors found.
fn complete(u: &mut Vec<Vec<f64>>, n: usize) {
    // With r known vectors, the unit vectors keep n − r of their n squared lengths: at least one keeps 1/n, so the
    // search ends.
    let enough = 0.5 / (n as f64).sqrt();
    let mut axes = (0..n).cycle();
    while u.len() < n {
        let mut candidate = vec![0.0; n];
        axes.by_ref().take(1).for_each(|i| candidate[i] = 1.0);
        basis::remove(u, &mut candidate);
        if l2(&candidate) > enough {
            basis::remove(u, &mut candidate);
            let norm = l2(&candidate);
            candidate.iter_mut().for_each(|c| *c /= norm);
            u.push(candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::{draw, gap, product, skew};

    fn error(a: &Matrix<f64>) -> f64 {
        let svd = Svd::of(a).unwrap();
        let orthogonal = skew(&svd.u).max(skew(&svd.v));
        orthogonal.max(gap(&svd.matrix(), a) / a.norm().max(f64::MIN_POSITIVE))
    }

    #[test]
    fn ones_have_one_singular_value() {
        // The closed-form family of nalgebra's issue 1172; nalgebra fails for 231 of its 841 cases.
        for m in 2..=30 {
            for n in 2..=30 {
                let values = Svd::of(&Matrix::repeat(m, n, 1.0)).unwrap().values;
                let exact = ((m * n) as f64).sqrt();
                assert!((values[0] - exact).abs() <= 16.0 * f64::EPSILON * exact, "{m}×{n}");
                assert!(values[1..].iter().all(|&s| s <= 16.0 * f64::EPSILON * exact), "{m}×{n}");
            }
        }
    }

    #[test]
    fn sweeps_that_run_out_are_an_error() {
        let columns = |a: Matrix<f64>| -> Vec<Vec<f64>> {
            a.column_iter().map(|c| c.iter().copied().collect()).collect()
        };
        let (mut x, mut v) = (columns(draw(1, 20, 20)), columns(Matrix::identity(20, 20)));
        let error = orthogonalise(&mut x, &mut v, 1).unwrap_err();
        assert_eq!(error.to_string(), "the singular values did not converge in 1 iterations");
        assert_eq!(orthogonalise(&mut x, &mut v, 20), Ok(()));
    }

    #[test]
    fn any_rank_any_size() {
        for (m, n) in [(1, 1), (1, 9), (9, 1), (40, 40), (70, 30), (30, 70)] {
            for rank in [0, 1, 2, 5, 30] {
                let a = product(&draw(1, m, rank), &draw(2, rank, n));
                assert!(error(&a) <= 1e-14 * (m.max(n) as f64).sqrt(), "{m}×{n} of rank {rank}");
            }
        }
    }

    #[test]
    fn small_singular_values_keep_their_digits() {
        // Columns of very different lengths, orthogonal except for a rotation from the left.
        let q = crate::decomposition::basis::orthonormal(&draw(3, 6, 4), 1e-8).unwrap();
        let sizes = [1e-60, 1e60, 1.0, 1e-30];
        let a = Matrix::from_fn(6, 4, |i, j| q[(i, j)] * sizes[j]);
        let values = Svd::of(&a).unwrap().values;
        for (found, exact) in values.iter().zip([1e60, 1.0, 1e-30, 1e-60]) {
            assert!((found / exact - 1.0).abs() <= 1e-14, "{found:e}");
        }
    }
}
