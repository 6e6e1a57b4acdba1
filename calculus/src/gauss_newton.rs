//! Gauss–Newton: nonlinear least squares, with the curvature that the residuals' slopes give.
//!
//! For <var>f(x) = ½·‖r(x)‖²</var> the gradient is <var>Jᵀ·r</var>, and <var>Jᵀ·J</var> is the Hessian without the curvature of
//! r: never negative, and exact where all residuals are 0. A step solves <var>min ‖J·d + r‖² + λ·‖D·d‖²</var>, a linear
//! least-squares problem; λ grows where a step fails to lower f, and falls where f follows the prediction (Levenberg and
//! Marquardt). D holds the largest lengths of the columns of J so far, so that units do not matter.
//!
//! In a transformer: the exponents of a scaling law, <var>L = E + A·N^(−α)</var>; the same matrix for a loss over outputs,
//! <var>Jᵀ·H·J</var>, is the Fisher information of a softmax ([`gauss_newton_product`]).
//! Source: Moré, *The Levenberg–Marquardt algorithm: implementation and theory*, 1978; the rule for λ, Nielsen, 1999;
//! for the product, Schraudolph, *Fast curvature matrix-vector products for second-order gradient descent*, 2002.
//!
//! Minimization on `f64` only: the number of steps is an integer and has no derivative.

use crate::line_search::{LineSearchError, Minimum, Stopped};
use crate::{Dual, Trace, Traced, clip, hessian_vector_product, jacobian};
use linalg::{Matrix, Real, norm, qr::Qr};

/// Nonlinear least squares by Levenberg and Marquardt.
///
/// ```
/// use calculus::{Dual, gauss_newton::GaussNewton, prelude::*};
/// // Losses of four models: L = E + A·N^(−α), N in millions.
/// let models = [(1.0, 3.70), (10.0, 2.85), (100.0, 2.4240), (1000.0, 2.21050)];
/// let residuals = |p: &[Dual<f64>]| {
///     models.iter().map(|&(n, loss)| p[0] + p[1] * (-p[2] * f64::ln(n)).exp() - loss).collect()
/// };
/// let fit = GaussNewton::default().minimize(residuals, &[1.0, 1.0, 0.5], 1e-10, 100)?;
/// assert!((fit.x[0] - 2.0).abs() < 0.01 && (fit.x[1] - 1.7).abs() < 0.01 && (fit.x[2] - 0.3).abs() < 0.01);
/// # Ok::<(), calculus::line_search::LineSearchError>(())
/// ```
#[doc(alias = "curve_fit")]
#[doc(alias = "levenberg_marquardt")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussNewton {
    /// The first λ, a share of the squared lengths of columns: 0 for plain Gauss–Newton, which may diverge at first.
    pub damping: f64,
    /// The maximum number of λ tried per step.
    pub attempts: u32,
}

impl Default for GaussNewton {
    /// Returns λ = 10⁻³ and 60 attempts.
    fn default() -> Self {
        GaussNewton { damping: 1e-3, attempts: 60 }
    }
}

impl GaussNewton {
    /// Descends from `x` until <var>‖Jᵀ·r‖₂</var> ≤ `tolerance`, for at most `steps` steps, and while steps lower
    /// <var>½·‖r‖²</var>: [`Minimum::stopped`] states which limit ended it. The point found is returned in every case;
    /// [`Minimum::value`] is <var>½·‖r‖²</var>. On `f64` only.
    ///
    /// # Errors
    /// If a residual or a slope is NaN or ±∞ at `x`.
    pub fn minimize(
        &self,
        residuals: impl Fn(&[Dual<f64>]) -> Vec<Dual<f64>>,
        x: &[f64],
        tolerance: f64,
        steps: u32,
    ) -> Result<Minimum, LineSearchError> {
        let at = |x: &[f64]| -> Vec<f64> {
            let constants: Vec<_> = x.iter().map(|&x| Dual::constant(x)).collect();
            residuals(&constants).into_iter().map(|r| r.value).collect()
        };
        let half_square = |r: &[f64]| 0.5 * norm::l2(r) * norm::l2(r);
        let (mut x, mut r, n) = (x.to_vec(), at(x), x.len());
        let mut value = half_square(&r);
        let (mut damping, mut growth, mut taken) = (self.damping, 2.0, 0);
        let mut lengths = vec![0.0_f64; n];
        loop {
            let j = jacobian(&residuals, &x);
            let broken = std::iter::once(&value).chain(&j).find(|x| !x.is_finite());
            let gradient: Vec<f64> =
                (0..n).map(|k| linalg::vector::dot(column(&j, k), &r)).collect();
            let gradient_norm = clip::global_norm(&gradient);
            let ended = |x, stopped| Ok(Minimum { x, value, gradient_norm, steps: taken, stopped });
            if let Some(&value) = broken {
                let error = LineSearchError::NotFinite { value };
                return if taken == 0 { Err(error) } else { ended(x, Stopped::NoStep(error)) };
            }
            if gradient_norm <= tolerance {
                return ended(x, Stopped::Tolerance);
            }
            if taken == steps {
                return ended(x, Stopped::Steps);
            }
            for (k, length) in lengths.iter_mut().enumerate() {
                *length = length.max(norm::l2(column(&j, k)));
            }
            let mut next = None;
            for _ in 0..self.attempts {
                let step = damped(&j, &r, &lengths, damping);
                let moved: Option<Vec<f64>> =
                    step.map(|step| x.iter().zip(&step).map(|(x, d)| x + d).collect());
                let there = moved.map(|moved| (at(&moved), moved));
                match there.map(|(r, moved)| (half_square(&r), r, moved)) {
                    Some((lower, r, moved)) if lower < value => {
                        next = Some((lower, r, moved));
                        break;
                    }
                    _ => {
                        damping = (damping * growth).max(1e-10);
                        growth *= 2.0;
                    }
                }
            }
            let Some((lower, there, moved)) = next else {
                let (attempts, rate) = (self.attempts, 1.0 / (1.0 + damping));
                return ended(x, Stopped::NoStep(LineSearchError::Exhausted { attempts, rate }));
            };
            // How much f fell, as a share of what the linear residuals promise.
            let linear: Vec<f64> = (0..r.len())
                .map(|i| r[i] + (0..n).map(|k| j[(i, k)] * (moved[k] - x[k])).sum::<f64>())
                .collect();
            let promised = value - half_square(&linear);
            let share = if promised > 0.0 { (value - lower) / promised } else { 0.0 };
            damping *= (1.0 - (2.0 * share - 1.0).powi(3)).max(1.0 / 3.0);
            (growth, x, r, value) = (2.0, moved, there, lower);
            taken += 1;
        }
    }
}

fn column(j: &Matrix<f64>, k: usize) -> &[f64] {
    &j.as_slice()[k * j.nrows()..][..j.nrows()]
}

/// Returns the d for which <var>‖J·d + r‖² + λ·‖D·d‖²</var> is smallest; `None` if it is not unique.
fn damped(j: &Matrix<f64>, r: &[f64], lengths: &[f64], damping: f64) -> Option<Vec<f64>> {
    let (m, n) = j.shape();
    let root = damping.sqrt();
    let weight = |k: usize| root * if lengths[k] > 0.0 { lengths[k] } else { 1.0 };
    let stacked = Matrix::from_fn(m + n, n, |i, k| match i {
        i if i < m => j[(i, k)],
        i if i - m == k => weight(k),
        _ => 0.0,
    });
    let right = Matrix::from_fn(m + n, 1, |i, _| if i < m { -r[i] } else { 0.0 });
    let found = Qr::pivoted(&stacked).ok()?.solve(&right).ok()?;
    Some(found.as_slice().to_vec())
}

/// Returns <var>Jᵀ·H·J·v</var>: the product of the generalised Gauss–Newton matrix with a vector, for outputs f with
/// Jacobian J and a loss of the outputs with Hessian H. It is the Hessian of the loss by x without the curvature of f. If
/// the loss is the surprisal of a softmax (or of another exponential family) by its logits, it is the Fisher information.
///
/// One run of f, forward over reverse, and one of the loss; no matrix is formed.
///
/// # Panics
/// If `x` and `v` have different lengths.
///
/// ```
/// use calculus::{gauss_newton::gauss_newton_product, prelude::*};
/// // Outputs (x·y, y²) at (2, 3), loss ½·‖·‖²: J = [3 2; 0 6], H = 1.
/// let outputs = |x: &[Traced<Dual<f64>>]| vec![x[0] * x[1], x[1] * x[1]];
/// let loss = |y: &[Traced<Dual<f64>>]| 0.5 * (y[0] * y[0] + y[1] * y[1]);
/// assert_eq!(gauss_newton_product(outputs, loss, &[2.0, 3.0], &[1.0, 0.0]), [9.0, 6.0]);
/// ```
#[doc(alias = "fisher_vector_product")]
pub fn gauss_newton_product<T: Real>(
    f: impl FnOnce(&[Traced<Dual<T>>]) -> Vec<Traced<Dual<T>>>,
    loss: impl FnOnce(&[Traced<Dual<T>>]) -> Traced<Dual<T>>,
    x: &[T],
    v: &[T],
) -> Vec<T> {
    assert_eq!(x.len(), v.len(), "a direction has one number per variable");
    let moving: Vec<Dual<T>> = x.iter().zip(v).map(|(&x, &v)| Dual::new(x, v)).collect();
    let outputs = Trace::of(f, &moving);
    let (values, along): (Vec<T>, Vec<T>) =
        outputs.values().into_iter().map(|y| (y.value, y.derivative)).unzip();
    let curved = hessian_vector_product(loss, &values, &along);
    let upstream: Vec<Dual<T>> = curved.into_iter().map(Dual::constant).collect();
    outputs.gradient(&upstream).into_iter().map(|g| g.value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{jacobian_by_rows, prelude::gradient};
    use linalg::{Elementary, matrix};
    use proptest::prelude::*;

    /// NIST's Misra1a, a nonlinear regression of lower difficulty: y = b₁·(1 − e^(−b₂·x)), from both of its starts.
    /// Source: Statistical Reference Datasets, <https://www.itl.nist.gov/div898/strd/nls/data/misra1a.shtml>.
    #[test]
    fn misra_1a() {
        let x = [
            77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1,
            689.1, 760.0,
        ];
        let y = [
            10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40,
            75.47, 81.78,
        ];
        let residuals = |b: &[Dual<f64>]| {
            let one = |(x, y): (f64, f64)| -b[0] * (-b[1] * x).exp_m1() - y;
            x.into_iter().zip(y).map(one).collect()
        };
        for start in [[500.0, 1e-4], [250.0, 5e-4]] {
            let fit = GaussNewton::default().minimize(residuals, &start, 1e-300, 200).unwrap();
            assert!((fit.x[0] / 2.389_421_291_8e2 - 1.0).abs() < 1e-9, "{fit:?}");
            assert!((fit.x[1] / 5.501_564_318_1e-4 - 1.0).abs() < 1e-9, "{fit:?}");
            assert!((2.0 * fit.value / 1.245_513_889_4e-1 - 1.0).abs() < 1e-9);
            assert!(fit.steps < 40, "{} steps", fit.steps);
        }
    }

    proptest! {
        /// Linear residuals are solved at once, and their units do not matter.
        #[test]
        fn a_linear_problem_takes_one_step(a in prop::collection::vec(-3.0_f64..3.0, 12), b in prop::collection::vec(-3.0_f64..3.0, 4), k in -20..20_i32) {
            let m = matrix(4, 3, &a);
            prop_assume!(linalg::svd::condition_number(&m).unwrap() < 1e3);
            let unit = f64::from(k).exp2();
            let residuals = |x: &[Dual<f64>]| -> Vec<Dual<f64>> {
                (0..4).map(|i| (0..3).map(|j| x[j] * (m[(i, j)] * unit)).sum::<Dual<f64>>() - b[i]).collect()
            };
            let plain = GaussNewton { damping: 0.0, ..GaussNewton::default() };
            let found = plain.minimize(residuals, &[0.0; 3], 1e-10 * unit, 2).unwrap();
            prop_assert_eq!(found.stopped, Stopped::Tolerance);
            let right = linalg::least_squares::LeastSquares::of(&m, &b).unwrap().coefficients;
            for j in 0..3 {
                prop_assert!((found.x[j] * unit - right[j]).abs() < 1e-8);
            }
        }

        /// By its definition, for a softmax's surprisal: H = diag(p) − p·pᵀ.
        #[test]
        fn the_product_is_that_of_the_matrices(x in prop::collection::vec(-2.0_f64..2.0, 3), v in prop::collection::vec(-2.0_f64..2.0, 3)) {
            fn outputs<T: Real>(x: &[T]) -> Vec<T> {
                vec![x[0] * x[1], x[1].sin() + x[2], x[2] * x[2] * x[0]]
            }
            fn loss<T: Real>(y: &[T]) -> T {
                (y[0].exp() + y[1].exp() + y[2].exp()).ln() - y[1]
            }
            let found = gauss_newton_product(outputs, loss, &x, &v);
            let y = outputs(&x);
            let j = jacobian_by_rows(outputs, &x);
            let total: f64 = y.iter().map(|y| y.exp()).sum();
            let p = matrix(3, 1, &y.iter().map(|y| y.exp() / total).collect::<Vec<_>>());
            let h = Matrix::from_diagonal(&p.column(0).into_owned()) - &p * p.transpose();
            let right = j.transpose() * h * &j * matrix(3, 1, &v);
            let size = 1.0 + j.norm_squared() * matrix(3, 1, &v).norm();
            prop_assert!((matrix(3, 1, &found) - right).norm() <= 1e-13 * size);
            // Never negative; and where outputs are linear it is the Hessian's.
            prop_assert!(found.iter().zip(&v).map(|(g, v)| g * v).sum::<f64>() >= -1e-13 * size * size);
        }
    }

    /// Rosenbrock's function is a sum of two squares: a valley that plain descent takes thousands of steps for.
    #[test]
    fn a_curved_valley() {
        let residuals = |x: &[Dual<f64>]| vec![10.0 * (x[1] - x[0] * x[0]), 1.0 - x[0]];
        let found = GaussNewton::default().minimize(residuals, &[-1.2, 1.0], 1e-12, 100).unwrap();
        assert_eq!(found.stopped, Stopped::Tolerance);
        assert!((found.x[0] - 1.0).abs() < 1e-11 && found.steps < 40, "{found:?}");
        let slope = gradient(
            |x| 50.0 * (x[1] - x[0] * x[0]).powi(2) + 0.5 * (1.0 - x[0]).powi(2),
            &found.x,
        );
        assert!(slope.iter().all(|g| g.abs() < 1e-10));
    }

    #[test]
    fn hard_starts() {
        let method = GaussNewton::default();
        let from = |x: f64| method.minimize(|x| vec![x[0] - 1.0], &[x], 1e-12, 50);
        assert!(matches!(from(f64::NAN), Err(LineSearchError::NotFinite { .. })));
        assert!(matches!(from(f64::INFINITY), Err(LineSearchError::NotFinite { .. })));
        assert!(method.minimize(|x| vec![x[0].sqrt()], &[0.0], 0.0, 9).is_err());
        // A residual that nothing moves, more unknowns than residuals, none at all.
        let flat = method.minimize(|_| vec![Dual::constant(3.0)], &[1.0], 0.0, 9).unwrap();
        assert_eq!((flat.value, flat.stopped), (4.5, Stopped::Tolerance));
        let wide = method.minimize(|x| vec![x[0] + x[1] - 2.0], &[0.0, 0.0], 1e-9, 50).unwrap();
        assert!(wide.value < 1e-15 && (wide.x[0] - wide.x[1]).abs() < 1e-9, "{wide:?}");
        let none = method.minimize(|_| vec![], &[], 0.0, 9).unwrap();
        assert_eq!((none.value, none.stopped), (0.0, Stopped::Tolerance));
        // A residual without a zero: the best point and the reason.
        let far = method.minimize(|x| vec![x[0].exp() + 1.0], &[0.0], -1.0, 500).unwrap();
        assert!(far.value < 0.51 && !matches!(far.stopped, Stopped::Tolerance), "{far:?}");
    }
}
