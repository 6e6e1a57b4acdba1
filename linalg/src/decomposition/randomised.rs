//! The largest singular values of a large matrix by a random projection.
//!
//! Formulas: <var>Y = (A·Aᵀ)^q·A·Ω</var> for a random Ω of k + p columns; <var>Q·R = Y</var>; the singular values of the small
//! matrix QᵀA are almost the largest of A, with <var>‖A − Q·QᵀA‖ ≈ σ_{k+1}</var>: the span of Y holds the directions in
//! which A is large, the more so the larger q is. The cost is that of <var>(2q + 2)·(k + p)</var> products with a vector,
//! instead of min(rows, columns) of them.
//! In a transformer: how many directions a weight, or a matrix of activations, uses, where a full decomposition takes
//! minutes.
//! Source: Halko, Martinsson and Tropp, *Finding Structure with Randomness*, 2011, algorithms 4.4 and 5.1. In `f64` only,
//! like the singular values.

use crate::apply::multiply;
use crate::decomposition::{qr::Qr, svd::Svd};
use crate::error::{finite, in_range};
use crate::norm::{linf, power_of_two};
use crate::{Error, Matrix, Shape, transposed};

/// The settings of the projection.
///
/// ```
/// use linalg::{Matrix, randomised::RandomisedSvd, svd::Svd};
/// // Elements 1/(1 + i + j): singular values fall fast.
/// let a = Matrix::from_fn(60, 40, |i, j| 1.0 / (1 + i + j) as f64);
/// let few = RandomisedSvd::default().run(&a, 3)?;
/// let all = Svd::of(&a)?;
/// assert!((0..3).all(|i| (few.values[i] / all.values[i] - 1.0).abs() < 1e-12));
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "svd_lowrank")]
#[doc(alias = "randomized_svd")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomisedSvd {
    /// p: random directions beyond the wanted ones.
    pub oversampling: usize,
    /// q: products with A·Aᵀ. More are needed where singular values fall slowly.
    pub iterations: usize,
    /// The number from which Ω is made: the same seed gives the same bits.
    pub seed: u64,
}

impl Default for RandomisedSvd {
    /// Returns p = 10, q = 2 and seed 0.
    fn default() -> Self {
        RandomisedSvd { oversampling: 10, iterations: 2, seed: 0 }
    }
}

impl RandomisedSvd {
    /// Returns the k largest singular values with their vectors. Each is at most the true one (up to rounding). In
    /// `f64` only.
    ///
    /// # Errors
    /// A rank above min(rows, columns); NaN and ±∞; a singular value that overflows.
    pub fn run(&self, a: &Matrix<f64>, k: usize) -> Result<Svd, Error> {
        let (m, n) = a.shape();
        let most = m.min(n);
        if k > most {
            return Err(Error::Rank { asked: k, most, found: Shape::new(m, n) });
        }
        finite("A", a)?;
        let scale = match power_of_two(linf(a.as_slice())) {
            0.0 => 1.0,
            scale => scale,
        };
        let a = a / scale;
        let width = k.saturating_add(self.oversampling).min(most);
        let random = Matrix::from_fn(n, width, |i, j| uniform(self.seed, (i + j * n) as u64));
        let mut q = Qr::of(&multiply(a.as_view(), random.as_view()))?.q();
        for _ in 0..self.iterations {
            let back = Qr::of(&multiply(transposed(a.as_view()), q.as_view()))?.q();
            q = Qr::of(&multiply(a.as_view(), back.as_view()))?.q();
        }
        let Svd { u, values, v } = Svd::of(&multiply(transposed(q.as_view()), a.as_view()))?;
        let u = multiply(q.as_view(), u.columns(0, k).as_view());
        let values: Vec<f64> = values[..k].iter().map(|value| value * scale).collect();
        in_range("the largest singular value", values.first())?;
        Ok(Svd { u, values, v: v.columns(0, k).into_owned() })
    }
}

/// Returns a number between −1 and 1, uniformly distributed, as a function of a seed and an index (splitmix64).
fn uniform(seed: u64, index: u64) -> f64 {
    // Two rounds, so that neighbouring seeds have nothing in common.
    let mut z = seed;
    for step in [1, index] {
        z = z.wrapping_add(step.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
    }
    ((z >> 11) as f64 + 0.5) / (1_u64 << 52) as f64 - 1.0
}

/// Returns 1 or −1, each with probability ½, as a function of a seed and an index.
pub(crate) fn sign(seed: u64, index: u64) -> f64 {
    1.0_f64.copysign(uniform(seed, index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::{draw, gap, matrices, product, skew};
    use proptest::prelude::*;

    proptest! {
        /// Of a matrix of rank k all is found, whatever the projection.
        #[test]
        fn all_of_a_low_rank(m in 1..30_usize, n in 1..30_usize, rank in 0..6_usize, seed in 0..99_u64) {
            let rank = rank.min(m).min(n);
            let a = product(&draw(seed, m, rank), &draw(seed + 100, rank, n));
            let method = RandomisedSvd { oversampling: 2, iterations: 0, seed };
            let found = method.run(&a, rank).unwrap();
            prop_assert!(gap(&found.matrix(), &a) <= 1e-9 * a.norm().max(1e-3), "{}", gap(&found.matrix(), &a));
            prop_assert!(skew(&found.u) <= 1e-13 && skew(&found.v) <= 1e-13);
        }

        /// No value is above the true one, and the vectors make as much of A as the values say.
        #[test]
        fn never_too_large(a in matrices(1..12), seed in 0..99_u64, k in 0..4_usize) {
            let k = k.min(a.nrows()).min(a.ncols());
            let method = RandomisedSvd { oversampling: 1, iterations: 1, seed };
            let (found, right) = (method.run(&a, k).unwrap(), Svd::of(&a).unwrap());
            prop_assert!(found.values.len() == k && found.values.is_sorted_by(|a, b| a >= b));
            for i in 0..k {
                prop_assert!(found.values[i] <= right.values[i] + 1e-13 * a.norm());
                let along = (a.transpose() * found.u.column(i)).norm();
                prop_assert!((along - found.values[i]).abs() <= 1e-13 * a.norm());
            }
        }
    }

    /// σᵢ = 1/i, which falls slowly: iterations bring the error down to that of the best approximation.
    #[test]
    fn iterations_help_where_values_fall_slowly() {
        let orthogonal = |seed| Qr::of(&draw(seed, 80, 60)).unwrap().q();
        let (u, v) = (orthogonal(1), Qr::of(&draw(2, 60, 60)).unwrap().q());
        let scaled = Matrix::from_fn(80, 60, |i, j| u[(i, j)] / (j + 1) as f64);
        let a = product(&scaled, &v.transpose());
        let error = |iterations| {
            let method = RandomisedSvd { oversampling: 5, iterations, seed: 7 };
            let rest = &a - method.run(&a, 5).unwrap().matrix();
            Svd::of(&rest).unwrap().values[0]
        };
        let best = 1.0 / 6.0;
        assert!(error(0) > 1.05 * best && error(4) < 1.001 * best, "{} {}", error(0), error(4));
        assert!(error(4) >= best * (1.0 - 1e-12));
    }

    #[test]
    fn signs_are_fair_and_independent() {
        let of = |seed: u64| (0..10_000).map(move |i| sign(seed, i));
        let all: Vec<f64> = of(1).collect();
        // Four standard deviations.
        assert!(all.iter().sum::<f64>().abs() < 400.0);
        assert!(all.windows(2).map(|w| w[0] * w[1]).sum::<f64>().abs() < 400.0);
        assert!(of(1).zip(of(2)).map(|(a, b)| a * b).sum::<f64>().abs() < 400.0);
    }

    #[test]
    fn any_scale_and_what_is_refused() {
        let method = RandomisedSvd::default();
        let a = draw(1, 30, 20);
        for scale in [2.0_f64.powi(-1000), 2.0_f64.powi(1000)] {
            let found = method.run(&(&a * scale), 2).unwrap().values;
            let right = method.run(&a, 2).unwrap().values;
            assert!((0..2).all(|i| found[i] == right[i] * scale));
        }
        assert_eq!(method.run(&Matrix::zeros(4, 3), 2).unwrap().values, [0.0; 2]);
        assert!(method.run(&Matrix::zeros(0, 3), 0).unwrap().values.is_empty());
        assert!(matches!(method.run(&a, 21), Err(Error::Rank { asked: 21, most: 20, .. })));
        assert!(method.run(&Matrix::repeat(2, 2, f64::NAN), 1).is_err());
        assert!(matches!(method.run(&Matrix::repeat(9, 9, f64::MAX), 1), Err(Error::Range { .. })));
    }
}
