//! Principal components: the directions in which embeddings vary most.
//!
//! Formula: for centred columns <var>X̃ = X − μ·1ᵀ = U·diag(σ)·Vᵀ</var> the axes are the columns of U and the variances
//! along them <var>σ²/(n − 1)</var>. These are the eigenvectors and eigenvalues of the covariance
//! <var>X̃·X̃ᵀ/(n − 1)</var>, which is never formed. In a transformer: two axes of an embedding table make a picture; a
//! steep spectrum means that the table uses few directions.
//! Source: the textbook's A.1; Jolliffe, *Principal Component Analysis*, 2002, section 3.5.

use crate::error::finite;
use crate::norm::{linf, power_of_two};
use crate::{
    Error, Matrix, Shape, ShapeError, accurate, apply, decomposition::svd::Svd,
    operation::product::Product,
};

/// The mean, the axes and the variance along each axis. In `f64` only, by [`Svd`].
///
/// ```
/// use linalg::{matrix, principal::PrincipalComponents};
/// // Four points, one a column, on the line y = 2x + 1.
/// let x = matrix(2, 4, &[0.0, 1.0, 1.0, 3.0, 2.0, 5.0, 3.0, 7.0]);
/// let pca = PrincipalComponents::of(&x)?;
/// assert!((pca.explained(1) - 1.0).abs() < 1e-15); // one axis explains all variance
/// let axis = pca.axes.column(0);
/// assert!((axis[1] / axis[0] - 2.0).abs() < 1e-14);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "pca")]
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalComponents {
    /// μ, (features × 1).
    pub mean: Matrix<f64>,
    /// Orthonormal axes, (features × min(features, n)), ordered by decreasing variance. The largest component of each
    /// axis is positive, so that the same data give the same picture.
    pub axes: Matrix<f64>,
    /// The variance along each axis, <var>σ²/(n − 1)</var>.
    pub variances: Vec<f64>,
    /// The standard deviations, kept because their squares may overflow or underflow.
    deviations: Vec<f64>,
}

impl PrincipalComponents {
    /// Computes the components of n ≥ 2 columns of features.
    ///
    /// Floats: any finite scale for which differences are finite; a variance overflows to ∞ and underflows to 0.
    ///
    /// # Errors
    /// Fewer than two columns, or no features; NaN and ±∞.
    pub fn of(x: &Matrix<f64>) -> Result<Self, Error> {
        let (d, n) = x.shape();
        if d == 0 {
            return Err(ShapeError::Empty { operand: "x" }.into());
        }
        if n < 2 {
            Shape::new(d, n).expect_columns("x", 2)?;
        }
        finite("x", x)?;
        // Divided by a power of two before the sum, so that the mean of large numbers does not overflow.
        let scale = match power_of_two(linf(x.as_slice())) {
            0.0 => 1.0,
            scale => scale,
        };
        let sum = |i: usize| accurate::sum(x.row(i).iter().map(|x| x / scale));
        let mean = Matrix::from_fn(d, 1, |i, _| sum(i) / n as f64 * scale);
        let centred = Matrix::from_fn(d, n, |i, j| x[(i, j)] - mean[i]);
        finite("x less its mean", &centred)?;
        let Svd { u: mut axes, values, .. } = Svd::of(&centred)?;
        for mut axis in axes.column_iter_mut() {
            if axis[axis.iamax()] < 0.0 {
                axis.neg_mut();
            }
        }
        let root = ((n - 1) as f64).sqrt();
        let deviations: Vec<f64> = values.iter().map(|s| s / root).collect();
        let variances = deviations.iter().map(|d| d * d).collect();
        Ok(PrincipalComponents { mean, axes, variances, deviations })
    }

    /// Returns the coordinates of every column of x along the first k axes: (k × columns), <var>U_kᵀ·(x − μ)</var>.
    ///
    /// ```
    /// use linalg::{matrix, principal::PrincipalComponents};
    /// let x = matrix(2, 3, &[1.0, 5.0, 2.0, 5.0, 3.0, 5.0]); // the second feature is constant
    /// let pca = PrincipalComponents::of(&x)?;
    /// let c = pca.coordinates(&x, 1)?;
    /// assert!((&c - matrix(1, 3, &[-1.0, 0.0, 1.0])).norm() < 1e-15);
    /// assert!((pca.restore(&c)? - x).norm() < 1e-14);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    ///
    /// # Errors
    /// A different number of features; more axes than there are.
    #[doc(alias = "transform")]
    pub fn coordinates(&self, x: &Matrix<f64>, k: usize) -> Result<Matrix<f64>, Error> {
        Shape::new(x.nrows(), x.ncols()).expect_rows("x", self.mean.len())?;
        let centred = Matrix::from_fn(x.nrows(), x.ncols(), |i, j| x[(i, j)] - self.mean[i]);
        Ok(apply(&Product::transposed(), [&self.first(k)?, &centred])?)
    }

    /// Returns the points with these coordinates along the first axes: <var>μ + U_k·c</var>.
    ///
    /// # Errors
    /// More coordinates than there are axes.
    #[doc(alias = "inverse_transform")]
    pub fn restore(&self, coordinates: &Matrix<f64>) -> Result<Matrix<f64>, Error> {
        let axes = self.first(coordinates.nrows())?;
        Ok(crate::operation::affine::affine(&axes, coordinates, &self.mean)?)
    }

    /// Returns the share of the total variance along the first k axes; 1 if all points are equal. Accurate even if the
    /// variances themselves overflow or underflow.
    ///
    /// ```
    /// use linalg::{matrix, principal::PrincipalComponents};
    /// let points = matrix(2, 4, &[3.0, 0.0, -3.0, 0.0, 0.0, 1.0, 0.0, -1.0]);
    /// assert!((PrincipalComponents::of(&points)?.explained(1) - 0.9).abs() < 1e-15); // 18 of 20
    /// # Ok::<(), linalg::Error>(())
    /// ```
    #[doc(alias = "explained_variance_ratio")]
    pub fn explained(&self, k: usize) -> f64 {
        crate::decomposition::spectrum::energy(&self.deviations, k)
            .expect("finite and not negative")
    }

    fn first(&self, k: usize) -> Result<Matrix<f64>, Error> {
        let (d, most) = self.axes.shape();
        if k > most {
            return Err(Error::Rank { asked: k, most, found: Shape::new(d, most) });
        }
        Ok(self.axes.columns(0, k).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::symmetric::SymmetricEigen;
    use crate::laws::{gap, matrices, skew};
    use proptest::prelude::*;

    const BOUND: f64 = 256.0 * f64::EPSILON;

    fn clouds() -> impl Strategy<Value = Matrix<f64>> {
        matrices(2..9)
    }

    proptest! {
        #[test]
        fn coordinates_are_uncorrelated(x in clouds()) {
            let pca = PrincipalComponents::of(&x).unwrap();
            prop_assert!(skew(&pca.axes) <= BOUND);
            let (k, n) = (pca.variances.len(), x.ncols() as f64);
            let c = pca.coordinates(&x, k).unwrap();
            let covariance = &c * c.transpose() / (n - 1.0);
            let expected = Matrix::from_diagonal(&nalgebra::DVector::from_vec(pca.variances.clone()));
            let scale = x.norm_squared();
            prop_assert!(gap(&covariance, &expected) <= BOUND * scale);
            prop_assert!((0..k).all(|i| c.row(i).sum().abs() <= BOUND * x.norm() * n));
        }

        #[test]
        fn variances_are_the_spectrum_of_the_covariance(x in clouds()) {
            let pca = PrincipalComponents::of(&x).unwrap();
            let centred = Matrix::from_fn(x.nrows(), x.ncols(), |i, j| x[(i, j)] - x.row(i).mean());
            let covariance = &centred * centred.transpose() / (x.ncols() as f64 - 1.0);
            let spectrum = SymmetricEigen::of(&covariance).unwrap().values;
            for (found, expected) in pca.variances.iter().zip(spectrum) {
                prop_assert!((found - expected).abs() <= BOUND * x.norm_squared());
            }
        }

        #[test]
        fn all_axes_restore_and_fewer_lose_what_they_say(x in clouds(), k in 0..8_usize) {
            let pca = PrincipalComponents::of(&x).unwrap();
            let all = pca.variances.len();
            let whole = pca.restore(&pca.coordinates(&x, all).unwrap()).unwrap();
            prop_assert!(gap(&whole, &x) <= BOUND * x.norm());
            let k = k.min(all);
            let lossy = pca.restore(&pca.coordinates(&x, k).unwrap()).unwrap();
            let lost: f64 = pca.variances[k..].iter().sum::<f64>() * (x.ncols() as f64 - 1.0);
            prop_assert!((gap(&lossy, &x).powi(2) - lost).abs() <= BOUND * x.norm_squared());
        }
    }

    #[test]
    fn misfits_are_refused() {
        assert!(PrincipalComponents::of(&Matrix::zeros(3, 1)).is_err());
        assert!(PrincipalComponents::of(&Matrix::zeros(0, 3)).is_err());
        let pca = PrincipalComponents::of(&Matrix::repeat(2, 3, 7.0)).unwrap();
        assert_eq!((pca.explained(0), pca.mean[0]), (1.0, 7.0));
        assert!(pca.coordinates(&Matrix::zeros(3, 1), 1).is_err());
        assert!(pca.coordinates(&Matrix::zeros(2, 1), 3).is_err());
        assert!(pca.restore(&Matrix::zeros(3, 1)).is_err());
    }
}
