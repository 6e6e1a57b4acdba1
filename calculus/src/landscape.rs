//! Test functions with known minima, for optimization.
//!
//! Each is a [`Field`]: written once, for every scalar.

use linalg::Real;

/// A scalar field f : ℝⁿ → ℝ, generic over the scalar: `f64` gives its value, [`crate::Dual`] its slope along a
/// direction, [`crate::Traced`] its gradient, `Traced<Dual<f64>>` its curvature.
///
/// ```
/// use calculus::{check::agreement, landscape::Field};
/// use linalg::Real;
/// struct LogSumExp;
/// impl Field for LogSumExp {
///     fn at<T: Real>(&self, x: &[T]) -> T {
///         x.iter().fold(T::zero(), |sum, x| sum + x.exp()).ln()
///     }
/// }
/// // One slope, computed in three ways.
/// assert!(agreement(&LogSumExp, &[0.5, -1.0, 2.0], &[1.0, 0.3, -2.0]).error() < 1e-9);
/// ```
pub trait Field {
    /// Returns the value at `x`.
    fn at<T: Real>(&self, x: &[T]) -> T;
}

/// <var>½·Σ cᵢ·xᵢ²</var>, with curvature cᵢ along axis i: the signs make it a minimum, a maximum or a saddle. Its
/// stationary point is 0, with the value 0.
///
/// ```
/// use calculus::landscape::{Bowl, Field};
/// assert_eq!(Bowl(&[2.0, 8.0]).at(&[1.0, 0.5]), 2.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Bowl<'a>(pub &'a [f64]);

impl Field for Bowl<'_> {
    fn at<T: Real>(&self, x: &[T]) -> T {
        let terms = self.0.iter().zip(x).map(|(&c, &x)| T::from_f64(0.5 * c) * x * x);
        terms.fold(T::zero(), |sum, term| sum + term)
    }
}

/// <var>Σ 100·(xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²</var>: a narrow curved valley. Its minimum is 0 at (1, …, 1).
///
/// Source: Rosenbrock 1960.
///
/// ```
/// use calculus::landscape::{Field, Rosenbrock};
/// assert_eq!(Rosenbrock.at(&[1.0, 1.0, 1.0]), 0.0);
/// assert_eq!(Rosenbrock.at(&[-1.0, 1.0]), 4.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rosenbrock;

impl Field for Rosenbrock {
    fn at<T: Real>(&self, x: &[T]) -> T {
        let term = |pair: &[T]| {
            let (bend, rest) = (pair[1] - pair[0] * pair[0], T::one() - pair[0]);
            T::from_f64(100.0) * bend * bend + rest * rest
        };
        x.windows(2).fold(T::zero(), |sum, pair| sum + term(pair))
    }
}

/// <var>(x² + y − 11)² + (x + y² − 7)²</var>: four minima of value 0, one of them at (3, 2); a maximum near
/// (−0.27, −0.92); four saddles.
///
/// Source: Himmelblau, *Applied Nonlinear Programming*, 1972.
///
/// ```
/// use calculus::landscape::{Field, Himmelblau};
/// assert_eq!(Himmelblau.at(&[3.0, 2.0]), 0.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Himmelblau;

impl Field for Himmelblau {
    /// # Panics
    /// If there are fewer than two variables.
    fn at<T: Real>(&self, x: &[T]) -> T {
        let (x, y) = (x[0], x[1]);
        let (a, b) = (x * x + y - T::from_f64(11.0), x + y * y - T::from_f64(7.0));
        a * a + b * b
    }
}

/// The monkey saddle <var>x³ − 3·x·y²</var>: at 0 the gradient and the Hessian vanish, but it is no minimum. The
/// second-order test cannot detect this.
///
/// ```
/// use calculus::landscape::{Field, MonkeySaddle};
/// assert_eq!(MonkeySaddle.at(&[2.0, 1.0]), 2.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MonkeySaddle;

impl Field for MonkeySaddle {
    /// # Panics
    /// If there are fewer than two variables.
    fn at<T: Real>(&self, x: &[T]) -> T {
        let (x, y) = (x[0], x[1]);
        x * x * x - T::from_f64(3.0) * x * y * y
    }
}
