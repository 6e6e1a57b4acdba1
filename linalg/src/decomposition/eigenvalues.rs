//! The eigenvalues of a square matrix that need not be symmetric: real numbers and conjugate pairs.
//!
//! Formulas: <var>A·v = λ·v</var>; <var>A = Q·T·Qᵀ</var> with an orthogonal Q and blocks of 1 or 2 rows on the diagonal of an
//! upper triangle T, whose eigenvalues are those of A (Schur). The spectral radius <var>ρ = max |λ|</var> is the rate at
//! which repeated application grows: <var>‖Aᵏ·x‖ ≈ ρᵏ</var>.
//! In a transformer: the Jacobian of a layer, applied again and again, explodes if ρ > 1 and vanishes if ρ < 1; an
//! optimizer with momentum on a quadratic loss is such an iteration too, and converges if ρ < 1.
//! Source: Francis, *The QR Transformation*, 1961; Golub and Van Loan, *Matrix Computations*, sections 7.4 and 7.5;
//! the balancing, Parlett and Reinsch, 1969. In `f64` only: an eigenvalue is not differentiable where it coincides with
//! another.
//!
//! Balancing and the reduction to Hessenberg form are nalgebra's. The iteration is ours, because that of nalgebra 0.35
//! has no exceptional shifts: it does not end for a cyclic permutation of four, which the usual shifts leave as it is.

use crate::error::{finite, in_range, square};
use crate::norm::{linf, power_of_two};
use crate::{Error, Matrix};
use nalgebra::{Complex, Hessenberg, linalg::balancing::balance_parlett_reinsch};

/// Returns all eigenvalues, largest |λ| first; of a conjugate pair the one with positive imaginary part is first.
///
/// Floats: any scale for which the eigenvalues are finite. Each is an exact eigenvalue of a matrix that differs from A by
/// a few ε·‖A‖; how far it moved depends on the condition of that eigenvalue, and a k-fold one that lacks eigenvectors
/// splits into a circle of radius about <var>ε^(1/k)·‖A‖</var>. In `f64` only.
///
/// # Errors
/// A matrix that is not square; NaN and ±∞; an eigenvalue that overflows; no convergence.
///
/// ```
/// use linalg::{eigenvalues::eigenvalues, from_rows};
/// let rotation = from_rows(&[[0.0, -2.0], [2.0, 0.0]]); // a quarter turn, twice as long
/// let found = eigenvalues(&rotation)?;
/// assert!(found[0].re.abs() < 1e-15 && (found[0].im - 2.0).abs() < 1e-15); // ±2i
/// assert_eq!(found[1], found[0].conj());
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "eigvals")]
#[doc(alias = "eig")]
pub fn eigenvalues(a: &Matrix<f64>) -> Result<Vec<Complex<f64>>, Error> {
    let n = square("A", a)?;
    finite("A", a)?;
    if n == 0 {
        return Ok(Vec::new());
    }
    let scale = match power_of_two(linf(a.as_slice())) {
        0.0 => 1.0,
        scale => scale,
    };
    let mut balanced = a / scale;
    balance_parlett_reinsch(&mut balanced);
    let blocks = of_hessenberg(Hessenberg::new(balanced).unpack_h())?;
    let mut found: Vec<Complex<f64>> = blocks.into_iter().map(|value| value * scale).collect();
    let size = |value: &Complex<f64>| value.re.hypot(value.im);
    found.sort_by(|a, b| {
        let by_part = b.re.total_cmp(&a.re).then(b.im.total_cmp(&a.im));
        size(b).total_cmp(&size(a)).then(by_part)
    });
    in_range("the largest eigenvalue", found.first().map(size).as_ref())?;
    Ok(found)
}

/// Returns the spectral radius <var>max |λ|</var>; 0 for a 0 × 0 matrix. In `f64` only.
///
/// # Errors
/// As [`eigenvalues`].
///
/// ```
/// use linalg::{eigenvalues::spectral_radius, from_rows};
/// // Descent with momentum 0.9 and rate 0.1 on ½·x²: (x, v) ↦ (x − 0.1·v′, v′) with v′ = 0.9·v + x.
/// let step = from_rows(&[[0.9, -0.09], [1.0, 0.9]]);
/// assert!((spectral_radius(&step)? - 0.9_f64.sqrt()).abs() < 1e-15); // converges by √0.9 a step
/// # Ok::<(), linalg::Error>(())
/// ```
pub fn spectral_radius(a: &Matrix<f64>) -> Result<f64, Error> {
    Ok(eigenvalues(a)?.first().map_or(0.0, |value| value.re.hypot(value.im)))
}

/// The maximum number of iterations per eigenvalue; two or three are usual.
const ITERATIONS: usize = 90;

/// Returns the eigenvalues of a matrix that is 0 below its first subdiagonal, by Francis' iteration with two shifts at a
/// time: a pair of conjugate shifts needs no complex numbers.
fn of_hessenberg(mut h: Matrix<f64>) -> Result<Vec<Complex<f64>>, Error> {
    let (norm, mut found) = (linf(h.as_slice()), Vec::with_capacity(h.nrows()));
    let (mut end, mut iterations) = (h.nrows(), 0);
    while end > 0 {
        // The last block, from the last negligible element of the subdiagonal on.
        let negligible = |&l: &usize| {
            let beside = h[(l - 1, l - 1)].abs() + h[(l, l)].abs();
            h[(l, l - 1)].abs() <= f64::EPSILON * if beside == 0.0 { norm } else { beside }
        };
        let first = (1..end).rev().find(negligible).unwrap_or(0);
        match end - first {
            1 => found.push(Complex::new(h[(first, first)], 0.0)),
            2 => found.extend(of_two(&h, first)),
            _ if iterations == ITERATIONS => {
                return Err(Error::NotConverged { what: "an eigenvalue", iterations });
            }
            _ => {
                iterations += 1;
                chase(&mut h, first, end, iterations % 10 == 0);
                continue;
            }
        }
        (end, iterations) = (first, 0);
    }
    Ok(found)
}

/// Returns the eigenvalues of the block of two rows that begins in row k.
fn of_two(h: &Matrix<f64>, k: usize) -> [Complex<f64>; 2] {
    let [a, b, c, d] = [(k, k), (k, k + 1), (k + 1, k), (k + 1, k + 1)].map(|at| h[at]);
    let half = 0.5 * (a - d);
    let square = half * half + b * c;
    if square < 0.0 {
        let (re, im) = (d + half, (-square).sqrt());
        return [Complex::new(re, im), Complex::new(re, -im)];
    }
    // The larger one by a sum without cancellation, the other one by the product of both.
    let far = half + square.sqrt().copysign(half);
    let near = if far == 0.0 { 0.0 } else { -b * c / far };
    [Complex::new(d + far, 0.0), Complex::new(d + near, 0.0)]
}

/// Computes <var>H ← Qᵀ·H·Q</var> on rows and columns first..end, at least three, for the Q whose first column is that of
/// <var>(H − σ₁)·(H − σ₂)</var>, and which restores the zeros below the subdiagonal: a reflection of three rows makes a bulge,
/// and others push it down and out. The shifts σ are the eigenvalues of the last two rows, or exceptional ones.
fn chase(h: &mut Matrix<f64>, first: usize, end: usize, exceptional: bool) {
    let last = end - 1;
    let (x, y, w) = if exceptional {
        let size = h[(last, last - 1)].abs() + h[(last - 1, last - 2)].abs();
        let center = h[(last, last)] + 0.75 * size;
        (center, center, -0.4375 * size * size)
    } else {
        let across = h[(last, last - 1)] * h[(last - 1, last)];
        (h[(last, last)], h[(last - 1, last - 1)], across)
    };
    let (corner, below) = (h[(first, first)], h[(first + 1, first)]);
    // The first column, divided by the element below the corner, which is not negligible.
    let mut bulge = [
        ((corner - x) * (corner - y) - w) / below + h[(first, first + 1)],
        h[(first + 1, first + 1)] + corner - x - y,
        h[(first + 2, first + 1)],
    ];
    for k in first..last {
        let count = (end - k).min(3);
        if k > first {
            (0..3).for_each(|i| bulge[i] = if i < count { h[(k + i, k - 1)] } else { 0.0 });
        }
        let v = &mut bulge[..count];
        let scale = power_of_two(linf(v));
        if scale == 0.0 {
            continue;
        }
        v.iter_mut().for_each(|v| *v /= scale);
        let image = -v.iter().map(|v| v * v).sum::<f64>().sqrt().copysign(v[0]);
        let reflection = (image - v[0]) / image;
        let head = v[0] - image;
        v.iter_mut().for_each(|v| *v /= head);
        v[0] = 1.0;
        if k > first {
            h[(k, k - 1)] = image * scale;
            (1..count).for_each(|i| h[(k + i, k - 1)] = 0.0);
        }
        let v = &bulge[..count];
        for j in k..end {
            let share = reflection * (0..count).map(|i| v[i] * h[(k + i, j)]).sum::<f64>();
            (0..count).for_each(|i| h[(k + i, j)] -= share * v[i]);
        }
        for i in first..end.min(k + 4) {
            let share = reflection * (0..count).map(|j| v[j] * h[(i, k + j)]).sum::<f64>();
            (0..count).for_each(|j| h[(i, k + j)] -= share * v[j]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::lu::{log_determinant, trace};
    use crate::decomposition::svd::Svd;
    use crate::decomposition::symmetric::SymmetricEigen;
    use crate::laws::{draw, squares, symmetric};
    use proptest::prelude::*;

    const E: f64 = f64::EPSILON;

    /// Returns the smallest singular value of A − λ·I, as a real matrix of twice the size: the distance to the nearest
    /// matrix that has the eigenvalue λ.
    fn distance(a: &Matrix<f64>, value: Complex<f64>) -> f64 {
        let n = a.nrows();
        let shifted = Matrix::from_fn(2 * n, 2 * n, |i, j| match (i / n, j / n) {
            (row, column) if row == column => {
                a[(i % n, j % n)] - if i == j { value.re } else { 0.0 }
            }
            (0, _) if i + n == j => value.im,
            (1, _) if j + n == i => -value.im,
            _ => 0.0,
        });
        *Svd::of(&shifted).unwrap().values.last().unwrap()
    }

    fn all_are_eigenvalues(a: &Matrix<f64>, what: &str) {
        let found = eigenvalues(a).unwrap();
        assert_eq!(found.len(), a.nrows());
        for &value in &found {
            let apart = distance(a, value);
            let bound = 16.0 * a.nrows() as f64 * E * a.norm();
            assert!(apart <= bound, "{what}: {value} is {apart:e} away, above {bound:e}");
        }
        let sum: f64 = found.iter().map(|value| value.re).sum();
        let slack = 16.0 * (a.nrows() as f64).powi(2) * E * a.norm();
        assert!((sum - trace(a).unwrap()).abs() <= slack, "{what}: the sum is {sum}");
        let imaginary: f64 = found.iter().map(|value| value.im).sum();
        assert!(imaginary == 0.0, "{what}: pairs are conjugate");
    }

    proptest! {
        #[test]
        fn eigenvalues_of_a_near_matrix(a in squares(1..9)) {
            all_are_eigenvalues(&a, "drawn");
            let det = log_determinant(&a).unwrap();
            let found = eigenvalues(&a).unwrap();
            let condition = Svd::of(&a).unwrap().condition_number().unwrap();
            if condition < 1e6 {
                let ln: f64 = found.iter().map(|value| value.re.hypot(value.im).ln()).sum();
                prop_assert!((ln - det.ln).abs() <= 1e-13 * condition * (1.0 + ln.abs()));
                let negative = found.iter().filter(|value| value.im == 0.0 && value.re < 0.0).count();
                prop_assert_eq!(negative % 2 == 1, det.sign < 0.0);
            }
        }

        #[test]
        fn of_a_symmetric_matrix_they_are_real(a in symmetric(1..8)) {
            let mut right = SymmetricEigen::of(&a).unwrap().values;
            let mut found: Vec<f64> = eigenvalues(&a).unwrap().iter().map(|value| value.re).collect();
            right.sort_by(f64::total_cmp);
            found.sort_by(f64::total_cmp);
            for (found, right) in found.iter().zip(right) {
                prop_assert!((found - right).abs() <= 64.0 * E * a.norm());
            }
        }

        #[test]
        fn repeated_application_grows_by_the_radius(a in squares(2..6)) {
            let radius = spectral_radius(&a).unwrap();
            // ‖Aᵏ‖ ≥ ρᵏ, and ‖A‖ ≥ ρ.
            prop_assert!(radius <= a.norm() * (1.0 + 64.0 * E));
            let mut power = a.clone();
            (0..4).for_each(|_| power = &power * &power);
            prop_assert!(power.norm() >= radius.powi(16) * (1.0 - 1e-9));
        }
    }

    #[test]
    fn difficult_matrices() {
        let companion = |coefficients: &[f64]| {
            let n = coefficients.len();
            Matrix::from_fn(n, n, |i, j| match (i, j + 1) {
                (0, _) => -coefficients[j],
                (i, below) if i == below => 1.0,
                _ => 0.0,
            })
        };
        let cyclic = |n: usize| Matrix::from_fn(n, n, |i, j| f64::from(u8::from((i + 1) % n == j)));
        let jordan =
            |n: usize| Matrix::from_fn(n, n, |i, j| f64::from(u8::from(i == j || i + 1 == j)));
        // Orthogonal: every shift that is built from the matrix alone leaves it as it is.
        let frank = Matrix::from_fn(12, 12, |i, j| match j + 1 >= i {
            true => (12 - i.max(j)) as f64,
            false => 0.0,
        });
        for (what, a) in [
            ("zero", Matrix::zeros(4, 4)),
            ("one", Matrix::identity(5, 5)),
            ("cyclic of 3", cyclic(3)),
            ("cyclic of 4", cyclic(4)),
            ("cyclic of 20", cyclic(20)),
            ("cyclic, transposed", cyclic(7).transpose()),
            ("Jordan block", jordan(8)),
            ("nilpotent", jordan(6) - Matrix::identity(6, 6)),
            (
                "(x − 1)…(x − 8)",
                companion(&[
                    -36.0, 546.0, -4536.0, 22449.0, -67284.0, 118_124.0, -109_584.0, 40320.0,
                ]),
            ),
            ("x⁴ + 1", companion(&[0.0, 0.0, 0.0, 1.0])),
            ("Frank's", frank),
            ("ones", Matrix::repeat(6, 6, 1.0)),
            ("drawn, 60", draw(3, 60, 60)),
            ("skew", draw(4, 21, 21) - draw(4, 21, 21).transpose()),
            (
                "two equal blocks",
                Matrix::from_fn(4, 4, |i, j| {
                    if i / 2 == j / 2 { [[1.0, 2.0], [-2.0, 1.0]][i % 2][j % 2] } else { 0.0 }
                }),
            ),
            (
                "triangle",
                Matrix::from_fn(7, 7, |i, j| if i <= j { (i + 2 * j) as f64 } else { 0.0 }),
            ),
        ] {
            all_are_eigenvalues(&a, what);
        }
    }

    /// Rows and columns of very different scale, which cancel: balanced, the small eigenvalues keep their digits.
    #[test]
    fn balance_keeps_small_eigenvalues() {
        let core = crate::from_rows(&[[1.0, 2.0, 0.5], [0.25, -1.0, 3.0], [2.0, 1.0, 0.75]]);
        let right = eigenvalues(&core).unwrap();
        let d = [1.0, 2.0_f64.powi(60), 2.0_f64.powi(-70)];
        let graded = Matrix::from_fn(3, 3, |i, j| core[(i, j)] * d[i] / d[j]);
        for (found, right) in eigenvalues(&graded).unwrap().iter().zip(right) {
            assert!((found - right).norm() <= 1e-13, "{found} {right}");
        }
    }

    #[test]
    fn any_scale_and_what_is_refused() {
        for scale in [1e-300, 1e300] {
            let a = crate::from_rows(&[[1.0, -1.0], [1.0, 1.0]]) * scale;
            let found = eigenvalues(&a).unwrap();
            assert!(
                (found[0].re / scale - 1.0).abs() < 1e-14
                    && (found[0].im / scale - 1.0).abs() < 1e-14
            );
        }
        assert!(eigenvalues(&Matrix::zeros(0, 0)).unwrap().is_empty());
        assert_eq!(spectral_radius(&Matrix::zeros(0, 0)), Ok(0.0));
        assert!(eigenvalues(&Matrix::zeros(2, 3)).is_err());
        assert!(eigenvalues(&Matrix::repeat(2, 2, f64::NAN)).is_err());
        assert!(matches!(eigenvalues(&Matrix::repeat(2, 2, f64::MAX)), Err(Error::Range { .. })));
    }
}
