//! Whether a derivative belongs to its function.
//!
//! A vjp is the transpose of a linear map J. For any direction ẋ and any upstream gradient ȳ,
//! ⟨ȳ, J·ẋ⟩ = ⟨Jᵀ·ȳ, ẋ⟩: one number, computed by two independent routes. The left side runs the
//! *forward* code on dual numbers, the right side the vjp.

use crate::Dual;
use linalg::{Matrix, Primitive, Shape, Work};

/// The two sides of the adjoint law.
#[derive(Clone, Copy, Debug)]
pub struct Adjoint {
    /// ⟨ȳ, J·ẋ⟩, forward mode.
    pub forward: f64,
    /// ⟨Jᵀ·ȳ, ẋ⟩, reverse mode.
    pub reverse: f64,
    /// ‖ȳ‖·‖J·ẋ‖ + Σ ‖(Jᵀ·ȳ)ₙ‖·‖ẋₙ‖: the size that rounding errors are relative to.
    pub scale: f64,
}

impl Adjoint {
    /// |forward − reverse| relative to the size of what was summed; NaN where a side is.
    pub fn error(&self) -> f64 {
        let difference = (self.forward - self.reverse).abs();
        if difference == 0.0 { 0.0 } else { difference / self.scale }
    }
}

/// Both sides of the adjoint law for one primitive at `inputs`, in the direction `tangents` and for
/// the upstream gradient `upstream`.
///
/// Inputs that are not numbers but indices take a tangent of zero.
///
/// ```
/// use calculus::{activation::{Activation, Gelu}, check};
/// use linalg::matrix;
/// let x = [matrix(2, 1, &[0.3, -1.2])];
/// let tangent = [matrix(2, 1, &[1.0, -0.5])];
/// let law = check::adjoint(&Activation(Gelu), &x, &tangent, &matrix(2, 1, &[0.7, 2.0]));
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

    // Forward mode: the value's own code on dual numbers.
    let mut i = 0;
    let duals = inputs.each_ref().map(|x| {
        i += 1;
        x.zip_map(&tangents[i - 1], Dual::new)
    });
    let mut y = Matrix::repeat(shape.rows, shape.columns, Dual::constant(f64::NAN));
    let mut kept = vec![Dual::constant(0.0); memory.kept];
    let mut scratch = vec![Dual::constant(f64::NAN); memory.scratch];
    let work = Work { kept: &mut kept, scratch: &mut scratch };
    primitive.forward(duals.each_ref().map(|x| x.as_view()), y.as_view_mut(), work);
    let derivative = y.map(|y| y.derivative);

    // Reverse mode: forward and vjp on plain numbers.
    let mut y = Matrix::repeat(shape.rows, shape.columns, f64::NAN);
    let mut kept = vec![0.0; memory.kept];
    let mut scratch = vec![f64::NAN; memory.scratch];
    let work = Work { kept: &mut kept, scratch: &mut scratch };
    let views = inputs.each_ref().map(|x| x.as_view());
    primitive.forward(views, y.as_view_mut(), Work { kept: work.kept, scratch: work.scratch });
    let mut gradients = shapes.map(|s| Matrix::<f64>::zeros(s.rows, s.columns));
    work.scratch.fill(f64::NAN);
    let gradient_views = gradients.each_mut().map(|g| g.as_view_mut());
    primitive.vjp(views, y.as_view(), upstream.as_view(), gradient_views, work);

    let pairs = || gradients.iter().zip(tangents);
    Adjoint {
        forward: upstream.dot(&derivative),
        reverse: pairs().map(|(g, t)| g.dot(t)).sum(),
        scale: upstream.norm() * derivative.norm()
            + pairs().map(|(g, t)| g.norm() * t.norm()).sum::<f64>(),
    }
}

/// (f(x + h·ẋ) − f(x − h·ẋ)) / 2h: the slope of `f` at `x` in the direction `tangent`, with the h that
/// balances truncation and rounding, ε^⅓·max(1, ‖x‖∞)/‖ẋ‖∞. Good to about ε^⅔.
///
/// ```
/// use calculus::check::central_difference;
/// let slope = central_difference(|x: &[f64]| x[0] * x[0] * x[1], &[3.0, 2.0], &[1.0, 0.0]);
/// assert!((slope - 12.0).abs() < 1e-8);
/// ```
pub fn central_difference(f: impl Fn(&[f64]) -> f64, x: &[f64], tangent: &[f64]) -> f64 {
    let largest = |x: &[f64]| x.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let h = f64::EPSILON.cbrt() * largest(x).max(1.0) / largest(tangent);
    let moved = |h: f64| x.iter().zip(tangent).map(|(x, t)| x + h * t).collect::<Vec<_>>();
    (f(&moved(h)) - f(&moved(-h))) / (2.0 * h)
}
