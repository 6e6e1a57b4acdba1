//! Orthogonal projection of a vector on a line or a subspace.
//!
//! Formulas: onto a line, <var>x ↦ d·(d·x)/(d·d)</var>; onto the span of orthonormal columns Q, <var>X ↦ Q·Qᵀ·X</var>.
//! The rest, <var>X − Q·Qᵀ·X</var>, is orthogonal to the span, and no point of the span is nearer to X. In a
//! transformer: the perpendicular in the picture of a query and a key; a probe that reads one feature from the residual
//! stream, or removes it.
//! Source: the textbook's figure A.1.1; Strang, *Introduction to Linear Algebra*, section 4.2.

use crate::error::{finite_elements, length};
use crate::norm::{direction, linf, power_of_two};
use crate::{Error, Matrix, Real, ShapeError, apply, operation::product::Product, vector};

/// Returns <var>d·(d·x)/(d·d)</var>: the component of x along a direction d of any length.
///
/// Floats: x and d of any finite scale.
///
/// # Errors
/// Different lengths; a zero direction; NaN and ±∞.
///
/// ```
/// use linalg::projection::onto;
/// assert_eq!(onto(&[2.0, 3.0], &[10.0, 0.0])?, [2.0, 0.0]);
/// # Ok::<(), linalg::Error>(())
/// ```
pub fn onto<T: Real>(x: &[T], d: &[T]) -> Result<Vec<T>, Error> {
    length("the direction", d, x.len())?;
    finite_elements("x", x, x.len())?;
    let d = direction("the direction", d)?;
    // For x divided by a power of two: ‖x‖ may overflow although no component does.
    let scale = T::from_f64(match power_of_two(linf(x).to_f64()) {
        0.0 => 1.0,
        scale => scale,
    });
    let share = vector::sum_of(x.len(), |i| x[i] / scale * d[i]);
    Ok(d.iter().map(|&d| d * share * scale).collect())
}

/// Returns <var>Q·Qᵀ·X</var>: every column of X projected onto the span of the orthonormal columns of Q (see
/// [`crate::decomposition::basis::orthonormal`]).
///
/// Shapes: Q (d × r), X (d × n), result (d × n). Floats: IEEE; NaN and ∞ propagate.
///
/// ```
/// use linalg::{matrix, projection::onto_span};
/// let q = matrix(3, 2, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]); // the ground plane
/// let shadow = onto_span(&matrix(3, 1, &[2.0, 3.0, 5.0]), &q)?;
/// assert_eq!(shadow.as_slice(), &[2.0, 3.0, 0.0]);
/// # Ok::<(), linalg::ShapeError>(())
/// ```
pub fn onto_span<T: Real>(x: &Matrix<T>, q: &Matrix<T>) -> Result<Matrix<T>, ShapeError> {
    apply(&Product::plain(), [q, &apply(&Product::transposed(), [q, x])?])
}

/// Returns <var>X − Q·Qᵀ·X</var>: the part of X orthogonal to the span of the orthonormal columns of Q.
///
/// Shapes and floats: as in [`onto_span`].
///
/// ```
/// use linalg::{matrix, projection::away_from_span};
/// let q = matrix(3, 1, &[0.0, 0.0, 1.0]); // the direction of a feature to remove
/// let rest = away_from_span(&matrix(3, 1, &[2.0, 3.0, 5.0]), &q)?;
/// assert_eq!(rest.as_slice(), &[2.0, 3.0, 0.0]);
/// # Ok::<(), linalg::ShapeError>(())
/// ```
pub fn away_from_span<T: Real>(x: &Matrix<T>, q: &Matrix<T>) -> Result<Matrix<T>, ShapeError> {
    let mut rest = x.clone();
    let shadow = onto_span(x, q)?;
    rest.zip_apply(&shadow, |x, shadow| *x -= shadow);
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::basis::orthonormal;
    use crate::laws::{draw, gap, matrices, pair, product};
    use crate::norm::l2;
    use proptest::prelude::*;

    /// Sums of up to 8 terms, three products in sequence.
    const BOUND: f64 = 64.0 * f64::EPSILON;

    proptest! {
        #[test]
        fn onto_a_line((x, d) in pair(1..9)) {
            prop_assume!(l2(&d) > 0.0);
            let p = onto(&x, &d).unwrap();
            let again = onto(&p, &d).unwrap();
            for i in 0..x.len() {
                prop_assert!((p[i] - again[i]).abs() <= BOUND * l2(&x)); // idempotent
            }
            let rest: Vec<f64> = x.iter().zip(&p).map(|(x, p)| x - p).collect();
            prop_assert!(vector::dot(&rest, &d).abs() <= BOUND * l2(&x) * l2(&d));
        }

        #[test]
        fn idempotent_symmetric_and_orthogonal(a in matrices(1..9), seed in 0..99_u64) {
            let q = orthonormal(&a, 1e-8).unwrap();
            let (x, y) = (draw(seed, a.nrows(), 3), draw(seed + 100, a.nrows(), 3));
            let (px, py) = (onto_span(&x, &q).unwrap(), onto_span(&y, &q).unwrap());
            let scale = BOUND * x.norm() * y.norm();
            prop_assert!(gap(&onto_span(&px, &q).unwrap(), &px) <= BOUND * x.norm());
            prop_assert!((px.dot(&y) - x.dot(&py)).abs() <= scale);
            let rest = away_from_span(&x, &q).unwrap();
            prop_assert!(product(&q.transpose(), &rest).norm() <= BOUND * x.norm());
            // Pythagoras' theorem.
            let sum = px.norm_squared() + rest.norm_squared();
            prop_assert!((sum - x.norm_squared()).abs() <= BOUND * x.norm_squared());
        }

        #[test]
        fn nothing_in_the_span_is_nearer(a in matrices(1..9), seed in 0..99_u64) {
            let q = orthonormal(&a, 1e-8).unwrap();
            prop_assume!(q.ncols() > 0);
            let (x, c) = (draw(seed, a.nrows(), 1), draw(seed + 100, q.ncols(), 1));
            let best = away_from_span(&x, &q).unwrap().norm();
            prop_assert!(best <= gap(&x, &product(&q, &c)) + BOUND);
        }
    }
}
