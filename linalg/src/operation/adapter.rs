//! Low-rank adapters: a frozen weight and a small, trained change.
//!
//! Formula: <var>W′ = W + (α/r)·B·A</var> with B (out × r), A (r × in) and r far below both. Without merging,
//! <var>W·x + (α/r)·B·(A·x)</var> costs r·(in + out) more multiplications per token. In a transformer: fine-tuning of a
//! large model; one adapter per task, merged into the weights for serving.
//! Source: Hu et al., *LoRA*, 2021; the textbook's A.1.

use crate::{
    Error, Matrix, Real, Shape, ShapeError, apply, decomposition::low_rank::LowRank,
    operation::product::Product, product_add,
};

/// A low-rank change of a weight, <var>(α/r)·B·A</var>.
///
/// ```
/// use linalg::{adapter::Adapter, matrix};
/// let adapter = Adapter::new(matrix(1, 2, &[1.0, 2.0]), matrix(2, 1, &[1.0, -1.0]), 0.5)?;
/// let mut w = matrix(2, 2, &[1.0, 0.0, 0.0, 1.0]);
/// adapter.merge(&mut w)?;
/// assert_eq!(w, matrix(2, 2, &[1.5, -0.5, 1.0, 0.0]));
/// adapter.unmerge(&mut w)?;
/// assert_eq!(w, matrix(2, 2, &[1.0, 0.0, 0.0, 1.0]));
/// # Ok::<(), linalg::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter<T: Real> {
    /// A, (r × in): reads r features.
    a: Matrix<T>,
    /// B, (out × r): writes them back. Initialised to zero, so that training starts at W.
    b: Matrix<T>,
    alpha: f64,
}

impl<T: Real> Adapter<T> {
    /// Creates an adapter of rank r = rows of A = columns of B.
    ///
    /// # Errors
    /// Different ranks, or rank 0; a non-finite α.
    ///
    /// ```
    /// use linalg::{adapter::Adapter, matrix};
    /// // Rank 1 in a 2×2 weight, α = ½.
    /// let adapter = Adapter::new(matrix(1, 2, &[1.0, 2.0]), matrix(2, 1, &[3.0, 4.0]), 0.5)?;
    /// assert_eq!((adapter.rank(), adapter.parameters()), (1, 4));
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn new(a: Matrix<T>, b: Matrix<T>, alpha: f64) -> Result<Self, Error> {
        if a.nrows() == 0 {
            return Err(ShapeError::Empty { operand: "A" }.into());
        }
        Shape::new(b.nrows(), b.ncols()).expect_columns("B", a.nrows())?;
        if !alpha.is_finite() {
            return Err(Error::Range { name: "alpha", value: alpha, range: "a finite number" });
        }
        Ok(Adapter { a, b, alpha })
    }

    /// Returns the rank r.
    pub fn rank(&self) -> usize {
        self.a.nrows()
    }

    /// Returns the shape of the weight that it adapts.
    pub fn shape(&self) -> Shape {
        Shape::new(self.b.nrows(), self.a.ncols())
    }

    /// Returns the scale α/r.
    ///
    /// ```
    /// # use linalg::{adapter::Adapter, matrix};
    /// # let adapter = Adapter::new(matrix(1, 2, &[1.0, 2.0]), matrix(2, 1, &[3.0, 4.0]), 0.5)?;
    /// assert_eq!(adapter.scale(), 0.5); // α/r
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank() as f64
    }

    /// Returns the change <var>(α/r)·B·A</var> as a matrix, (out × in).
    ///
    /// ```
    /// # use linalg::{adapter::Adapter, matrix};
    /// # let adapter = Adapter::new(matrix(1, 2, &[1.0, 2.0]), matrix(2, 1, &[3.0, 4.0]), 0.5)?;
    /// assert_eq!(adapter.delta().as_slice(), &[1.5, 2.0, 3.0, 4.0]); // ½·B·A
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn delta(&self) -> Matrix<T> {
        let mut delta = Matrix::zeros(self.b.nrows(), self.a.ncols());
        self.add_to(&mut delta, 1.0);
        delta
    }

    /// Computes <var>W ← W + (α/r)·B·A</var>.
    ///
    /// Floats: IEEE; NaN and ∞ propagate.
    ///
    /// ```
    /// use linalg::{adapter::Adapter, matrix};
    /// let adapter = Adapter::new(matrix(1, 2, &[1.0, -1.0]), matrix(2, 1, &[2.0, 0.0]), 1.0)?;
    /// let mut w = matrix(2, 2, &[1.0, 0.0, 0.0, 1.0]);
    /// adapter.merge(&mut w)?;
    /// assert_eq!(w.as_slice(), &[3.0, 0.0, -2.0, 1.0]); // W + B·A
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn merge(&self, w: &mut Matrix<T>) -> Result<(), ShapeError> {
        Shape::new(w.nrows(), w.ncols()).expect("W", self.shape())?;
        self.add_to(w, 1.0);
        Ok(())
    }

    /// Computes <var>W ← W − (α/r)·B·A</var>, which undoes [`Adapter::merge`] up to a rounding error of <var>ε·(|wᵢⱼ| +
    /// |δᵢⱼ|)</var>. To undo it exactly, keep a copy of W.
    ///
    /// ```
    /// # use linalg::{adapter::Adapter, matrix};
    /// # let adapter = Adapter::new(matrix(1, 2, &[1.0, 2.0]), matrix(2, 1, &[3.0, 4.0]), 0.5)?;
    /// let mut w = matrix(2, 2, &[1.0; 4]);
    /// adapter.merge(&mut w)?;
    /// adapter.unmerge(&mut w)?;
    /// assert_eq!(w.as_slice(), &[1.0; 4]);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn unmerge(&self, w: &mut Matrix<T>) -> Result<(), ShapeError> {
        Shape::new(w.nrows(), w.ncols()).expect("W", self.shape())?;
        self.add_to(w, -1.0);
        Ok(())
    }

    fn add_to(&self, w: &mut Matrix<T>, sign: f64) {
        let scale = T::from_f64(sign * self.scale());
        product_add(w.as_view_mut(), scale, self.b.as_view(), self.a.as_view());
    }

    /// Returns <var>W·x + (α/r)·B·(A·x)</var>, the adapted map without merging: x (in × tokens).
    ///
    /// ```
    /// use linalg::{adapter::Adapter, matrix};
    /// let adapter = Adapter::new(matrix(1, 2, &[1.0, 2.0]), matrix(2, 1, &[1.0, -1.0]), 0.5)?;
    /// let (w, x) = (matrix(2, 2, &[1.0, 0.0, 0.0, 1.0]), matrix(2, 1, &[10.0, 20.0]));
    /// assert_eq!(adapter.apply(&w, &x)?.as_slice(), &[35.0, -5.0]); // x, and ½·50·(1, −1)
    /// # Ok::<(), linalg::Error>(())
    /// ```
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn apply(&self, w: &Matrix<T>, x: &Matrix<T>) -> Result<Matrix<T>, ShapeError> {
        Shape::new(w.nrows(), w.ncols()).expect("W", self.shape())?;
        let mut y = apply(&Product::plain(), [w, x])?;
        let features = apply(&Product::plain(), [&self.a, x])?;
        let scale = T::from_f64(self.scale());
        product_add(y.as_view_mut(), scale, self.b.as_view(), features.as_view());
        Ok(y)
    }

    /// Returns the number of trained parameters, r·(in + out).
    ///
    /// ```
    /// use linalg::{Matrix, adapter::Adapter};
    /// // A projection of a model of width 4096, with the usual rank 8.
    /// let (a, b) = (Matrix::<f32>::zeros(8, 4096), Matrix::zeros(4096, 8));
    /// let adapter = Adapter::new(a, b, 16.0)?;
    /// assert_eq!(adapter.parameters(), 65_536);
    /// assert_eq!(adapter.shape().len(), 16_777_216);
    /// assert_eq!(adapter.saved(), 1.0 - 0.00390625); // 0.39 % are trained
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn parameters(&self) -> usize {
        self.a.len() + self.b.len()
    }

    /// Returns the share of parameters that are not trained, <var>1 − r·(in + out)/(in·out)</var>. It is negative if
    /// the adapter is larger than the weight, −∞ if the weight has no elements.
    ///
    /// ```
    /// use linalg::{Matrix, adapter::Adapter};
    /// // The textbook's example: d = 4096, r = 8.
    /// let adapter = Adapter::new(Matrix::<f32>::zeros(8, 4096), Matrix::zeros(4096, 8), 16.0)?;
    /// assert_eq!(adapter.parameters(), 65_536);
    /// assert!((1.0 - adapter.saved() - 0.0039).abs() < 1e-4); // 0.39 % are trained
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn saved(&self) -> f64 {
        1.0 - self.parameters() as f64 / self.shape().len() as f64
    }
}

impl Adapter<f64> {
    /// Returns the adapter of rank r nearest to a change of weights, by Eckart and Young, with <var>α = r</var> (scale
    /// 1). In `f64` only, by [`Svd`](crate::decomposition::svd::Svd).
    ///
    /// # Errors
    /// A rank that is 0 or larger than the change allows; NaN and ±∞.
    ///
    /// ```
    /// use linalg::{adapter::Adapter, outer::outer};
    /// let change = outer(&[1.0, 2.0], &[3.0, 4.0]);
    /// let adapter = Adapter::nearest(&change, 1)?;
    /// assert!((adapter.delta() - change).norm() < 1e-14);
    /// # Ok::<(), linalg::Error>(())
    /// ```
    pub fn nearest(change: &Matrix<f64>, rank: usize) -> Result<Self, Error> {
        let LowRank { left, right, .. } = LowRank::of(change, rank)?;
        Adapter::new(right, left, rank as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decomposition::svd::Svd;
    use crate::laws::{draw, gap, product};
    use proptest::prelude::*;

    fn adapters() -> impl Strategy<Value = (Adapter<f64>, Matrix<f64>, Matrix<f64>)> {
        (1..4_usize, 1..9_usize, 1..9_usize, 0..99_u64, -4.0..4.0_f64).prop_map(
            |(r, m, n, seed, alpha)| {
                let adapter = Adapter::new(draw(seed, r, n), draw(seed + 1, m, r), alpha).unwrap();
                (adapter, draw(seed + 2, m, n), draw(seed + 3, n, 3))
            },
        )
    }

    proptest! {
        #[test]
        fn merged_and_apart_agree((adapter, w, x) in adapters()) {
            let mut merged = w.clone();
            adapter.merge(&mut merged).unwrap();
            let apart = adapter.apply(&w, &x).unwrap();
            let scale = (w.norm() + adapter.delta().norm()) * x.norm();
            // Sums of up to 9 + 3 terms; B·A·x may be smaller than |B|·|A|·|x|.
            let bound = 16.0 * f64::EPSILON * (scale + 16.0 * 27.0 * x.norm());
            prop_assert!(gap(&apart, &product(&merged, &x)) <= bound);
        }

        #[test]
        fn unmerging_undoes((adapter, w, _) in adapters()) {
            let mut there_and_back = w.clone();
            adapter.merge(&mut there_and_back).unwrap();
            adapter.unmerge(&mut there_and_back).unwrap();
            // Sums of r + 1 terms, twice; terms that cancel in B·A still leave their rounding errors.
            let terms = adapter.scale().abs() * product(&adapter.b.abs(), &adapter.a.abs());
            for i in 0..w.len() {
                let bound =
                    (adapter.rank() + 3) as f64 * f64::EPSILON * (w[i].abs() + 2.0 * terms[i]);
                prop_assert!((there_and_back[i] - w[i]).abs() <= bound);
            }
        }

        #[test]
        fn the_change_has_rank_r_at_most((adapter, w, _) in adapters()) {
            let rank = Svd::of(&adapter.delta()).unwrap().rank_above(1e-12);
            prop_assert!(rank <= adapter.rank());
            prop_assert_eq!(adapter.shape().len(), w.len());
            let trained = (1.0 - adapter.saved()) * w.len() as f64;
            prop_assert!((trained - adapter.parameters() as f64).abs() < 1e-9);
        }
    }

    #[test]
    fn misfits_are_refused() {
        let (a, b) = (Matrix::<f64>::zeros(2, 5), Matrix::<f64>::zeros(4, 2));
        assert!(Adapter::new(a.clone(), Matrix::zeros(4, 3), 1.0).is_err());
        assert!(Adapter::new(Matrix::<f64>::zeros(0, 5), Matrix::zeros(4, 0), 1.0).is_err());
        assert!(Adapter::new(a.clone(), b.clone(), f64::NAN).is_err());
        let adapter = Adapter::new(a, b, 1.0).unwrap();
        let mut wrong = Matrix::zeros(5, 4);
        assert!(adapter.merge(&mut wrong).is_err() && adapter.unmerge(&mut wrong).is_err());
        assert!(adapter.apply(&wrong, &Matrix::zeros(4, 1)).is_err());
        assert!(adapter.apply(&Matrix::zeros(4, 5), &Matrix::zeros(4, 1)).is_err());
    }
}
