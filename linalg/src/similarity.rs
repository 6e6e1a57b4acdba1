//! Cosines and angles: the similarity of two directions, independent of length.
//!
//! Formulas: <var>cos θ = x·y / (‖x‖₂·‖y‖₂)</var>; θ by Kahan's half-angle form, which is accurate to a few ε
//! everywhere, while the arc cosine of a cosine has an error of √ε near 0 and π.
//! In a transformer: search among embeddings; a query attends to keys that point in its direction.
//! Source: the textbook's A.1; Kahan, *How Futile are Mindless Assessments of Roundoff?*, 2006, section 12.

use crate::error::{finite, finite_elements, length};
use crate::norm::{direction, l2, power_of_two};
use crate::{Error, Matrix, Real, column, norm, parallel, vector};

/// Returns <var>cos θ = x·y / (‖x‖₂·‖y‖₂)</var>, between −1 and 1 up to rounding.
///
/// Floats: independent of the vectors' scale, from subnormal to near overflow.
///
/// # Errors
/// Different lengths; a zero vector, which has no direction; NaN and ±∞.
///
/// ```
/// use linalg::similarity::cosine;
/// // The textbook's word and context vectors.
/// let (word, context) = ([0.23, -0.87, 1.42, 0.05], [0.10, 0.30, -0.50, 0.80]);
/// assert!((cosine(&word, &context)? + 0.542594_f64).abs() < 5e-7);
/// assert!(cosine(&word, &[0.0; 4]).is_err());
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "cosine_similarity")]
pub fn cosine<T: Real>(x: &[T], y: &[T]) -> Result<T, Error> {
    length("y", y, x.len())?;
    Ok(vector::dot(&direction("x", x)?, &direction("y", y)?))
}

/// Returns the angle θ between two vectors, from 0 to π, in radians.
///
/// <var>tan θ/2 = ‖u − v‖ / ‖u + v‖</var> for the directions u and v. Differentiable except at 0 and π, where the
/// derivative is taken to be 0.
///
/// # Errors
/// Like [`cosine`].
///
/// ```
/// use linalg::similarity::angle;
/// use std::f64::consts::FRAC_PI_4;
/// assert!((angle(&[1.0_f64, 0.0], &[1.0, 1.0])? - FRAC_PI_4).abs() < 1e-15);
/// // A hundred-millionth of a radian, which the arc cosine of a cosine cannot resolve.
/// assert!((angle(&[1.0_f64, 0.0], &[1.0, 1e-8])? - 1e-8).abs() < 1e-15);
/// # Ok::<(), linalg::Error>(())
/// ```
pub fn angle<T: Real>(x: &[T], y: &[T]) -> Result<T, Error> {
    length("y", y, x.len())?;
    let (u, v) = (direction("x", x)?, direction("y", y)?);
    let plus: Vec<T> = u.iter().zip(&v).map(|(&u, &v)| u + v).collect();
    let minus: Vec<T> = u.iter().zip(&v).map(|(&u, &v)| u - v).collect();
    let half = arctangent(l2(&minus), l2(&plus));
    Ok(half + half)
}

/// Returns the angle of the point (x, y), for x, y ≥ 0 and not both 0.
///
/// The value comes from the library; the rest is the arc sine of a rounding error, by a short series, so that
/// derivatives propagate: <var>d θ = (x·dy − y·dx)/(x² + y²)</var>, and so on up to the fourth.
fn arctangent<T: Real>(y: T, x: T) -> T {
    let value = T::from_f64(y.to_f64().atan2(x.to_f64()));
    let rest = (y * value.cos() - x * value.sin()) / (x * x + y * y).sqrt();
    value + rest + rest * rest * rest / T::from_f64(6.0)
}

/// A column of a table, with its cosine to a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour<T> {
    /// The number of the column.
    pub index: usize,
    /// The cosine with the query.
    pub cosine: T,
}

/// Returns the cosine of a query with every column of a table.
///
/// # Errors
/// A query whose length differs from the table's number of rows; a zero vector; NaN and ±∞.
///
/// ```
/// use linalg::{matrix, similarity::cosines};
/// let table = matrix(2, 3, &[1.0, 0.0, 0.0, 2.0, -3.0, 0.0]);
/// assert_eq!(cosines(&[5.0, 0.0], &table)?, [1.0, 0.0, -1.0]);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "cosine_similarity")]
pub fn cosines<T: Real>(query: &[T], table: &Matrix<T>) -> Result<Vec<T>, Error> {
    length("the query", query, table.nrows())?;
    finite("the table", table)?;
    let query = direction("the query", query)?;
    let mut found = Matrix::zeros(1, table.ncols());
    let view = table.as_view();
    parallel::each_column_of(
        query.len(),
        [found.as_view_mut()],
        #[inline(always)]
        |j, [found]| {
            let x = column(&view, j);
            let scale = T::from_f64(power_of_two(norm::linf(x).to_f64()));
            let dot = vector::reduce(&query, x, |q, x| q * (x / scale));
            let square = vector::reduce(x, x, |x, _| (x / scale) * (x / scale));
            found[0] = dot / square.sqrt(); // 0/0 for a zero vector
        },
    );
    let found: Vec<T> = found.iter().copied().collect();
    match finite_elements("the table", &found, 1) {
        Err(Error::NotFinite { operand, column, .. }) => {
            Err(Error::NoDirection { operand, column })
        }
        _ => Ok(found),
    }
}

/// Returns the `count` columns of a table with the largest cosine to a query, best first; equal cosines are ordered by
/// column number. Returns all columns if `count` exceeds their number.
///
/// # Errors
/// Like [`cosines`].
///
/// ```
/// use linalg::{matrix, similarity::nearest};
/// let table = matrix(2, 3, &[1.0, 1.0, 0.0, 2.0, -3.0, 0.0]);
/// let found = nearest(&[0.0, 1.0], &table, 2)?;
/// assert_eq!(found.iter().map(|n| n.index).collect::<Vec<_>>(), [1, 0]);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "topk")]
#[doc(alias = "knn")]
#[doc(alias = "argsort")]
pub fn nearest<T: Real>(
    query: &[T],
    table: &Matrix<T>,
    count: usize,
) -> Result<Vec<Neighbour<T>>, Error> {
    let cosines = cosines(query, table)?.into_iter().enumerate();
    let mut found: Vec<_> = cosines.map(|(index, cosine)| Neighbour { index, cosine }).collect();
    found.sort_by(|a, b| b.cosine.to_f64().total_cmp(&a.cosine.to_f64()));
    found.truncate(count);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::{draw, pair, vectors};
    use proptest::prelude::*;

    const E: f64 = f64::EPSILON;

    /// Two vectors, neither of them zero.
    fn directions(n: std::ops::Range<usize>) -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
        pair(n).prop_filter("a direction", |(x, y)| l2(x) > 0.0 && l2(y) > 0.0)
    }

    proptest! {
        #[test]
        fn cosine_is_bounded_and_symmetric((x, y) in directions(1..40)) {
            let c = cosine(&x, &y).unwrap();
            prop_assert!(c.abs() <= 1.0 + 8.0 * E);
            prop_assert_eq!(c, cosine(&y, &x).unwrap());
            prop_assert!((cosine(&x, &x).unwrap() - 1.0).abs() <= 8.0 * E);
        }

        #[test]
        fn only_directions_count((x, y) in directions(1..40), a in -500..900_i32, b in -500..900_i32) {
            let scaled = |x: &[f64], power: i32, sign: f64| -> Vec<f64> {
                x.iter().map(|x| sign * x * f64::from(power).exp2()).collect()
            };
            let c = cosine(&x, &y).unwrap();
            prop_assert_eq!(cosine(&scaled(&x, a, 1.0), &scaled(&y, b, 1.0)).unwrap(), c);
            prop_assert_eq!(cosine(&scaled(&x, a, -1.0), &scaled(&y, b, 1.0)).unwrap(), -c);
        }

        #[test]
        fn the_cosine_of_the_angle_is_the_cosine((x, y) in directions(1..40)) {
            let (angle, cosine) = (angle(&x, &y).unwrap(), cosine(&x, &y).unwrap());
            prop_assert!((0.0..=std::f64::consts::PI + 4.0 * E).contains(&angle));
            prop_assert!((angle.cos() - cosine).abs() <= 16.0 * E);
        }

        #[test]
        fn angles_obey_the_triangle_inequality((x, y) in directions(2..9), seed in 0..99_u64) {
            let z = draw(seed, x.len(), 1);
            let angle = |x: &[f64], y: &[f64]| angle(x, y).unwrap();
            let detour = angle(&x, z.as_slice()) + angle(z.as_slice(), &y);
            prop_assert!(angle(&x, &y) <= detour + 32.0 * E);
        }

        #[test]
        fn cosine_and_dot_agree((x, y) in directions(1..40)) {
            // x·y = ‖x‖·‖y‖·cos θ, the textbook's first line on attention.
            let sizes = l2(&x) * l2(&y);
            let right = sizes * cosine(&x, &y).unwrap();
            prop_assert!((vector::dot(&x, &y) - right).abs() <= 16.0 * E * sizes);
        }

        #[test]
        fn neighbours_are_the_best_of_all(query in vectors(3..4), columns in 1..40_usize, seed in 0..99_u64) {
            prop_assume!(l2(&query) > 0.0);
            let table = draw(seed, 3, columns);
            let found = nearest(&query, &table, 5).unwrap();
            prop_assert_eq!(found.len(), columns.min(5));
            let all = cosines(&query, &table).unwrap();
            for (place, n) in found.iter().enumerate() {
                prop_assert_eq!(n.cosine, all[n.index]);
                let one = cosine(&query, table.column(n.index).as_slice()).unwrap();
                prop_assert!((n.cosine - one).abs() <= 8.0 * E);
                let better = all.iter().filter(|&&c| c > n.cosine).count();
                prop_assert!(better <= place);
            }
        }
    }

    #[test]
    fn a_zero_column_is_named() {
        let table = Matrix::from_column_slice(2, 3, &[1.0, 0.0, 0.0, -0.0, 3.0, 0.0]);
        let error = nearest(&[1.0, 0.0], &table, 1).unwrap_err();
        assert_eq!(error, Error::NoDirection { operand: "the table", column: 1 });
    }

    #[test]
    fn among_equals_the_lower_number_comes_first() {
        let table = Matrix::from_column_slice(1, 4, &[-1.0, 2.0, 3.0, 1.0]);
        let found = nearest(&[1.0], &table, 9).unwrap();
        assert_eq!(found.iter().map(|n| n.index).collect::<Vec<_>>(), [1, 2, 3, 0]);
    }
}
