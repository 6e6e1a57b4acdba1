//! Classification of stationary points, where the gradient vanishes.
//!
//! At a stationary point <var>f(x + h) = f(x) + ½·hᵀ·H·h + O(‖h‖³)</var>: the signs of the Hessian's eigenvalues
//! determine its kind. In many dimensions the signs are seldom all the same, so almost every stationary point of a
//! network's loss is a saddle and not a bad minimum.
//!
//! Source: Dauphin et al., *Identifying and attacking the saddle point problem*, 2014; Milnor, *Morse Theory*, 1963,
//! for the index.
//!
//! On `f64` only, like the decompositions; the Hessian itself is available for every scalar ([`crate::hessian`]).

use crate::{Dual, Traced, hessian, value_and_gradient};
use linalg::Matrix;
use thiserror::Error;

/// The kind of a stationary point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Increasing in every direction.
    Minimum,
    /// Decreasing in every direction.
    Maximum,
    /// Increasing in some directions, decreasing in others.
    Saddle {
        /// The number of independent decreasing directions: the Morse index.
        index: usize,
    },
    /// Flat to second order in some direction, and no two directions differ in sign: the Hessian does not determine the
    /// kind.
    Degenerate,
}

/// The kind of a stationary point, and the curvatures that determine it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stationary {
    /// The kind.
    pub kind: Kind,
    /// The Hessian's eigenvalues, ascending: the curvatures along its axes.
    pub curvatures: Vec<f64>,
}

/// The reason why a point was not classified.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum StationaryError {
    /// The gradient does not vanish.
    #[error(
        "the gradient's norm is {norm:e}, not at most {tolerance:e}: the point is not stationary"
    )]
    Slope {
        /// The gradient norm <var>‖∇f‖₂</var>.
        norm: f64,
        /// The largest gradient norm that counts as zero.
        tolerance: f64,
    },
    /// The Hessian is not symmetric.
    #[error(
        "element ({row}, {column}) is {found:e} and its mirror image {mirrored:e}: a Hessian is symmetric"
    )]
    Asymmetric {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The element there.
        found: f64,
        /// The element with row and column exchanged.
        mirrored: f64,
    },
    /// The Hessian is not square, or has no elements.
    #[error(
        "a {rows}×{columns} matrix is no Hessian: as many rows as columns are needed, one at least"
    )]
    Shape {
        /// The number of rows.
        rows: usize,
        /// The number of columns.
        columns: usize,
    },
    /// The Hessian contains ±∞ or NaN.
    #[error(
        "element ({row}, {column}) of the Hessian is {found}: only finite numbers have a spectrum"
    )]
    NotFinite {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
        /// The value found there.
        found: f64,
    },
}

/// Returns the Hessian's eigenvalues, ascending; on `f64` only, like the decompositions.
///
/// # Errors
/// A matrix that is empty, not square, not finite, or not symmetric to 10⁻⁶ of its largest element.
///
/// ```
/// use calculus::stationary::curvatures;
/// let h = linalg::matrix(2, 2, &[2.0, 1.0, 1.0, 2.0]);
/// let found = curvatures(&h)?;
/// assert!((found[0] - 1.0).abs() < 1e-15 && (found[1] - 3.0).abs() < 1e-15);
/// # Ok::<(), calculus::stationary::StationaryError>(())
/// ```
pub fn curvatures(hessian: &Matrix<f64>) -> Result<Vec<f64>, StationaryError> {
    let (rows, columns) = hessian.shape();
    if rows != columns || rows == 0 {
        return Err(StationaryError::Shape { rows, columns });
    }
    let places = || (0..columns).flat_map(|j| (0..rows).map(move |i| (i, j)));
    if let Some((row, column)) = places().find(|&p| !hessian[p].is_finite()) {
        return Err(StationaryError::NotFinite { row, column, found: hessian[(row, column)] });
    }
    let largest = hessian.amax();
    let mirror = |(i, j): (usize, usize)| hessian[(j, i)];
    let differs = |&p: &(usize, usize)| (hessian[p] - mirror(p)).abs() > 1e-6 * largest;
    if let Some((row, column)) = places().find(differs) {
        let (found, mirrored) = (hessian[(row, column)], mirror((row, column)));
        return Err(StationaryError::Asymmetric { row, column, found, mirrored });
    }
    // Scaled by a power of two, so that squares neither overflow nor underflow; halved before adding for the same
    // reason.
    let scale = if largest == 0.0 { 1.0 } else { largest.log2().floor().min(1023.0).exp2() };
    let halves = hessian.map(|h| 0.5 * (h / scale));
    let mut found: Vec<f64> =
        (&halves + halves.transpose()).symmetric_eigenvalues().iter().map(|c| c * scale).collect();
    found.sort_by(f64::total_cmp);
    Ok(found)
}

/// Returns the kind of a stationary point with this Hessian. A curvature counts as zero if it is below
/// <var>n·ε·max|λ|</var>, the rounding error of the eigenvalues.
///
/// # Errors
/// Like [`curvatures`].
///
/// ```
/// use calculus::stationary::{Kind, classify};
/// let saddle = classify(&linalg::matrix(2, 2, &[2.0, 0.0, 0.0, -2.0]))?; // x² − y²
/// assert_eq!(saddle.kind, Kind::Saddle { index: 1 });
/// # Ok::<(), calculus::stationary::StationaryError>(())
/// ```
pub fn classify(hessian: &Matrix<f64>) -> Result<Stationary, StationaryError> {
    let curvatures = curvatures(hessian)?;
    let largest = curvatures.iter().fold(0.0_f64, |m, c| m.max(c.abs()));
    let flat = curvatures.len() as f64 * f64::EPSILON * largest;
    let index = curvatures.iter().filter(|&&c| c < -flat).count();
    let upwards = curvatures.iter().filter(|&&c| c > flat).count();
    let n = curvatures.len();
    let kind = match (index, upwards) {
        (0, up) if up == n => Kind::Minimum,
        (down, 0) if down == n => Kind::Maximum,
        (1.., 1..) => Kind::Saddle { index },
        _ => Kind::Degenerate,
    };
    Ok(Stationary { kind, curvatures })
}

/// Returns the kind of the stationary point of f at `x`, where <var>‖∇f(x)‖₂</var> ≤ `tolerance`.
///
/// # Errors
/// A point that is not stationary (also if the gradient is NaN or ∞, or the tolerance NaN or negative), no variables,
/// or a Hessian that is not finite. A tolerance of 0 accepts only a gradient of exactly 0; a tolerance of ∞ accepts any
/// finite gradient.
///
/// ```
/// use calculus::stationary::{Kind, classify_at};
/// // (x² − 1)² + y²: minima at x = ±1, a saddle between them.
/// let saddle = classify_at(|v| { let w = v[0] * v[0] - 1.0; w * w + v[1] * v[1] }, &[0.0, 0.0], 1e-9)?;
/// assert_eq!(saddle.kind, Kind::Saddle { index: 1 });
/// assert_eq!(saddle.curvatures, [-4.0, 2.0]);
/// # Ok::<(), calculus::stationary::StationaryError>(())
/// ```
pub fn classify_at(
    f: impl Fn(&[Traced<Dual<f64>>]) -> Traced<Dual<f64>>,
    x: &[f64],
    tolerance: f64,
) -> Result<Stationary, StationaryError> {
    let still: Vec<_> = x.iter().map(|&x| Dual::constant(x)).collect();
    let (_, slope) = value_and_gradient(&f, &still);
    let norm = crate::clip::global_norm(&slope);
    // Written so that NaN is refused.
    if norm <= tolerance {
        classify(&hessian(f, x))
    } else {
        Err(StationaryError::Slope { norm, tolerance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::matrix;

    #[test]
    fn every_kind() {
        let kind = |a: f64, b: f64| classify(&matrix(2, 2, &[a, 0.0, 0.0, b])).unwrap().kind;
        assert_eq!(kind(1.0, 2.0), Kind::Minimum);
        assert_eq!(kind(-1.0, -2.0), Kind::Maximum);
        assert_eq!(kind(-1.0, 2.0), Kind::Saddle { index: 1 });
        assert_eq!(kind(0.0, 2.0), Kind::Degenerate);
        assert_eq!(kind(0.0, -2.0), Kind::Degenerate);
        assert_eq!(kind(0.0, 0.0), Kind::Degenerate);
    }

    #[test]
    fn hard_hessians() {
        let one = |x: f64| classify(&matrix(1, 1, &[x]));
        assert_eq!(one(5e-324).unwrap().kind, Kind::Minimum);
        assert_eq!(one(-1e300).unwrap().kind, Kind::Maximum);
        assert_eq!(one(f64::MAX).unwrap().curvatures, [f64::MAX]);
        assert_eq!(one(-0.0).unwrap().kind, Kind::Degenerate);
        for x in [f64::NAN, f64::INFINITY] {
            assert!(matches!(one(x), Err(StationaryError::NotFinite { row: 0, column: 0, .. })));
        }
        let empty = classify(&matrix(0, 0, &[]));
        assert_eq!(empty, Err(StationaryError::Shape { rows: 0, columns: 0 }));
        let uneven = classify(&matrix(2, 2, &[1.0, 2.0, 3.0, 1.0])).unwrap_err();
        assert!(uneven.to_string().starts_with("element (1, 0) is 2e0 and its mirror image 3e0"));
    }

    #[test]
    fn a_slope_is_no_stationary_point() {
        let slope = classify_at(|x| 3.0 * x[0], &[1.0], 1e-9).unwrap_err();
        assert_eq!(slope, StationaryError::Slope { norm: 3.0, tolerance: 1e-9 });
        let flat = |x: &[Traced<Dual<f64>>]| x[0] * x[0];
        assert_eq!(classify_at(flat, &[-0.0], 0.0).unwrap().kind, Kind::Minimum);
        assert_eq!(classify_at(flat, &[5e-324], 1e-300).unwrap().kind, Kind::Minimum);
        for (x, tolerance) in [(f64::NAN, 1.0), (f64::INFINITY, 1.0), (0.0, f64::NAN), (0.0, -1.0)]
        {
            let refused = classify_at(flat, &[x], tolerance);
            assert!(matches!(refused, Err(StationaryError::Slope { .. })), "{x} {tolerance}");
        }
        assert!(classify_at(|x| f64::NAN * x[0], &[1.0], 1e-9).is_err());
        // A point without coordinates has no Hessian.
        let none = classify_at(|_| Traced::constant(Dual::constant(1.0)), &[], 0.0);
        assert_eq!(none, Err(StationaryError::Shape { rows: 0, columns: 0 }));
    }
}
