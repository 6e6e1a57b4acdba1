//! Checks that a derivative belongs to its function.
//!
//! A vjp is the transpose of a linear map J. For any direction ẋ and any upstream gradient ȳ,
//! <var>⟨ȳ, J·ẋ⟩ = ⟨Jᵀ·ȳ, ẋ⟩</var>: one number, computed in two independent ways. The left side runs the *forward* code
//! on dual numbers, the right side the vjp.
//!
//! On `f64` only: each of the compared computations chooses its own scalar.

use crate::landscape::Field;
use crate::{Dual, directional_derivative, gradient};
use linalg::{Gradient, Matrix, Primitive, Real, Shape, Work};

/// The two sides of the adjoint law.
#[derive(Clone, Copy, Debug)]
pub struct Adjoint {
    /// <var>⟨ȳ, J·ẋ⟩</var>, forward mode.
    pub forward: f64,
    /// <var>⟨Jᵀ·ȳ, ẋ⟩</var>, reverse mode.
    pub reverse: f64,
    /// <var>‖ȳ‖·‖J·ẋ‖ + Σ ‖(Jᵀ·ȳ)ₙ‖·‖ẋₙ‖</var>, the reference size for rounding errors.
    pub scale: f64,
}

impl Adjoint {
    /// Returns |forward − reverse| / scale; NaN if a side is NaN.
    pub fn error(&self) -> f64 {
        let difference = (self.forward - self.reverse).abs();
        if difference == 0.0 { 0.0 } else { difference / self.scale }
    }
}

/// Returns both sides of the adjoint law for one primitive at `inputs`, in the direction `tangents` and for the
/// upstream gradient `upstream`.
///
/// Inputs that are indices need a tangent of zero.
///
/// ```
/// use calculus::{activation::Activation, check};
/// use linalg::matrix;
/// let x = [matrix(2, 1, &[0.3, -1.2])];
/// let tangent = [matrix(2, 1, &[1.0, -0.5])];
/// let law = check::adjoint(&Activation::Gelu, &x, &tangent, &matrix(2, 1, &[0.7, 2.0]));
/// assert!(law.error() < 1e-15);
/// ```
///
/// # Panics
/// If the shapes do not fit the primitive.
pub fn adjoint<P: Primitive<N>, const N: usize>(
    primitive: &P,
    inputs: &[Matrix<f64>; N],
    tangents: &[Matrix<f64>; N],
    upstream: &Matrix<f64>,
) -> Adjoint {
    let shapes = inputs.each_ref().map(|x| Shape::new(x.nrows(), x.ncols()));
    let shape = primitive.shape(shapes).expect("operands that fit");
    let memory = primitive.memory(shapes);

    // Forward mode: the forward code on dual numbers.
    let mut i = 0;
    let duals = inputs.each_ref().map(|x| {
        i += 1;
        x.zip_map(&tangents[i - 1], Dual::new)
    });
    let mut y = Matrix::repeat(shape.rows, shape.columns, Dual::constant(f64::NAN));
    let mut kept = vec![Dual::constant(0.0); memory.kept];
    let mut scratch = vec![Dual::constant(f64::NAN); memory.scratch];
    let work = Work::new(&mut kept, &mut scratch);
    primitive.forward(duals.each_ref().map(|x| x.as_view()), y.as_view_mut(), work);
    let derivative = y.map(|y| y.derivative);

    // Reverse mode: forward and vjp on plain numbers.
    let mut y = Matrix::repeat(shape.rows, shape.columns, f64::NAN);
    let mut kept = vec![0.0; memory.kept];
    let mut scratch = vec![f64::NAN; memory.scratch];
    let work = Work::new(&mut kept, &mut scratch);
    let views = inputs.each_ref().map(|x| x.as_view());
    primitive.forward(views, y.as_view_mut(), Work::new(work.kept, work.scratch));
    let mut gradients = shapes.map(|s| Matrix::<f64>::zeros(s.rows, s.columns));
    work.scratch.fill(f64::NAN);
    let handles = gradients.each_mut().map(|g| Gradient::fresh(g.as_view_mut()));
    primitive.vjp(views, y.as_view(), upstream.as_view(), handles, work);

    let pairs = || gradients.iter().zip(tangents);
    Adjoint {
        forward: upstream.dot(&derivative),
        reverse: pairs().map(|(g, t)| g.dot(t)).sum(),
        scale: upstream.norm() * derivative.norm()
            + pairs().map(|(g, t)| g.norm() * t.norm()).sum::<f64>(),
    }
}

/// Returns the step of a central difference, <var>ε^⅓·max(1, |x|)</var>, for a function that varies over lengths of
/// about max(1, |x|). The truncation error <var>h²·f‴/6</var> and the rounding error <var>ε·f/h</var> are then about
/// equal.
///
/// The error of a difference is then about <var>ε^⅔ = 4·10⁻¹¹</var>. A larger step has a larger truncation error, a
/// smaller one a larger rounding error:
///
/// ```
/// use calculus::check::difference_step;
/// let error = |h: f64| ((1.0 + h).exp() - (1.0 - h).exp()) / (2.0 * h) - 1.0_f64.exp();
/// let best = error(difference_step(1.0)).abs();
/// assert!(best < 1e-10);
/// assert!(error(1e-2).abs() > 1e5 * best);  // truncation
/// assert!(error(1e-13).abs() > 1e5 * best); // rounding
/// ```
///
/// ∞ for ±∞; for NaN, the step at 1.
///
/// Source: Press et al., *Numerical Recipes*, 2007, section 5.7.
pub fn difference_step(x: f64) -> f64 {
    f64::EPSILON.cbrt() * x.abs().max(1.0)
}

/// Returns the central difference <var>(f(x + h·ẋ) − f(x − h·ẋ)) / 2h</var>: the slope of `f` at `x` in the direction
/// `tangent`, with the step h = [`difference_step`]`(‖x‖∞)/‖ẋ‖∞`. Its error is about <var>ε^⅔</var>.
///
/// 0 along a zero direction, or without variables; NaN if x, the direction or f near x is not finite.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use calculus::check::central_difference;
/// let slope = central_difference(|x: &[f64]| x[0] * x[0] * x[1], &[3.0, 2.0], &[1.0, 0.0]);
/// assert!((slope - 12.0).abs() < 1e-8);
/// ```
#[doc(alias = "approx_fprime")]
pub fn central_difference(f: impl Fn(&[f64]) -> f64, x: &[f64], tangent: &[f64]) -> f64 {
    assert_eq!(x.len(), tangent.len(), "a direction has one number per variable");
    // Not f64::max, which hides NaN.
    let largest = |x: &[f64]| x.iter().fold(0.0_f64, |m, x| m.larger(x.abs()));
    let length = largest(tangent);
    if length == 0.0 {
        return 0.0;
    }
    // A direction of length 1, so that the step never overflows.
    let unit: Vec<f64> = tangent.iter().map(|t| t / length).collect();
    let h = difference_step(largest(x));
    let moved = |h: f64| x.iter().zip(&unit).map(|(x, t)| x + h * t).collect::<Vec<_>>();
    (f(&moved(h)) - f(&moved(-h))) / (2.0 * h) * length
}

/// One slope, computed in three ways.
#[derive(Clone, Copy, Debug)]
pub struct Agreement {
    /// Forward mode: dual numbers.
    pub forward: f64,
    /// Reverse mode: ⟨∇f, v⟩, with the gradient from a [`crate::Trace`].
    pub reverse: f64,
    /// A central difference.
    pub difference: f64,
}

impl Agreement {
    /// Returns the largest difference of two of them, relative to the largest of them or 1; NaN if one is NaN.
    pub fn error(&self) -> f64 {
        let all = [self.forward, self.reverse, self.difference];
        let scale = all.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
        let pairs = [(0, 1), (1, 2), (2, 0)].map(|(i, j)| (all[i] - all[j]).abs() / scale);
        pairs.into_iter().fold(0.0, f64::larger)
    }
}

/// Computes the slope of `f` at `x` along `direction` in three ways: dual = reverse = difference. The first two agree
/// to rounding, the third to about <var>ε^⅔</var> times the curvature of f.
///
/// All are 0 without variables or along a zero direction. If x, the direction or f is ±∞ or NaN, at least one of them
/// is not finite, and [`Agreement::error`] is NaN; so it is if x is so large that the difference step leaves the
/// domain.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use calculus::{check::agreement, landscape::Rosenbrock};
/// let slope = agreement(&Rosenbrock, &[-1.2, 1.0], &[1.0, 1.0]);
/// assert!((slope.forward + 303.6).abs() < 1e-12);
/// assert!((slope.reverse + 303.6).abs() < 1e-12);
/// assert!((slope.difference + 303.6).abs() < 1e-7);
/// ```
#[doc(alias = "gradcheck")]
#[doc(alias = "check_grad")]
pub fn agreement(f: &impl Field, x: &[f64], direction: &[f64]) -> Agreement {
    let gradient = gradient(|x| f.at(x), x);
    Agreement {
        forward: directional_derivative(|x| f.at(x), x, direction),
        reverse: gradient.iter().zip(direction).map(|(g, d)| g * d).sum(),
        difference: central_difference(|x| f.at(x), x, direction),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::Bowl;

    #[test]
    fn hard_directions() {
        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        assert_eq!(central_difference(square, &[], &[]), 0.0);
        assert_eq!(central_difference(square, &[3.0], &[-0.0]), 0.0);
        // The direction's length is respected, however small or large.
        for length in [5e-324, 1e-300, 1e300] {
            let slope = central_difference(square, &[3.0], &[length]);
            assert!((slope / (6.0 * length) - 1.0).abs() < 1e-9, "{length:e}: {slope:e}");
        }
        assert!(central_difference(square, &[f64::NAN], &[1.0]).is_nan());
        assert!(central_difference(square, &[1.0, f64::INFINITY], &[1.0, 0.0]).is_nan());
        assert!(central_difference(square, &[1.0], &[f64::NAN]).is_nan());
        assert!(central_difference(|_| f64::INFINITY, &[1.0], &[1.0]).is_nan());
        assert_eq!(difference_step(-0.0), f64::EPSILON.cbrt());
        assert_eq!(difference_step(5e-324), f64::EPSILON.cbrt());
        assert_eq!(difference_step(f64::NEG_INFINITY), f64::INFINITY);
        assert_eq!(difference_step(f64::NAN), f64::EPSILON.cbrt());
    }

    #[test]
    fn a_disagreement_shows() {
        let all = Agreement { forward: 1.0, reverse: 1.0, difference: 1.5 };
        assert_eq!(all.error(), 0.5 / 1.5);
        assert!(Agreement { reverse: f64::NAN, ..all }.error().is_nan());
        assert!(agreement(&Bowl(&[f64::NAN]), &[1.0], &[1.0]).error().is_nan());
        // Empty operands, a zero direction, the smallest number, and an overflow: no slope.
        for (bowl, x, direction) in
            [(&[][..], &[][..], &[][..]), (&[2.0], &[3.0], &[-0.0]), (&[2.0], &[5e-324], &[1.0])]
        {
            let slope = agreement(&Bowl(bowl), x, direction);
            assert!(slope.error() <= 1e-9, "{slope:?}");
        }
        for x in [f64::INFINITY, 1e200] {
            assert!(agreement(&Bowl(&[2.0]), &[x], &[1.0]).error().is_nan(), "{x:e}");
        }
        let law = Adjoint { forward: 1.0, reverse: 1.5, scale: 2.0 };
        assert_eq!(law.error(), 0.25);
        assert_eq!(Adjoint { forward: 0.0, reverse: 0.0, scale: 0.0 }.error(), 0.0);
    }
}
