//! Derivatives of plain Rust closures.
//!
//! A closure is written once, with `+ − · /` and the functions of [`linalg::Real`]. The scalar on which it runs
//! determines which derivative is computed.
//!
//! | derivative | scalar | cost, in runs of f : ℝⁿ → ℝᵐ |
//! |---|---|---|
//! | [`derivative`], [`directional_derivative`], [`jvp`] | [`Dual`] | 1 |
//! | [`jacobian`] | [`Dual`], one run per column | n |
//! | [`gradient`], [`vjp`] | [`Traced`] | 1, and one backward pass |
//! | [`jacobian_by_rows`] | [`Traced`], one backward pass per row | 1, and m backward passes |
//! | [`hessian_vector_product`] | [`Traced`]`<`[`Dual`]`>` | 1, and one backward pass |
//! | [`hessian`] | the same, one run per column | n |
//!
//! A loss is one number that depends on millions of parameters, n ≫ m = 1, so networks are trained by reverse mode.
//!
//! The base scalar `T` is any [`Real`], including scalars with derivatives. Without variables gradients are empty; ±∞
//! and NaN follow the arithmetic of the closure (see [`Dual`]).
//!
//! Source: the textbook's A.3; Griewank and Walther, *Evaluating Derivatives*, 2008; for forward over
//! reverse, Pearlmutter, *Fast exact multiplication by the Hessian*, 1994.

use crate::{Dual, Trace, Traced};
use linalg::{Matrix, Real};

/// Returns f′(x).
///
/// ```
/// let slope = calculus::derivative(|x| x * x + 2.0 * x + 1.0, 3.0);
/// assert_eq!(slope, 8.0); // the textbook's first use of autograd
/// ```
#[doc(alias = "grad")]
pub fn derivative<T: Real>(f: impl FnOnce(Dual<T>) -> Dual<T>, x: T) -> T {
    f(Dual::variable(x)).derivative
}

/// Returns <var>⟨∇f(x), v⟩</var>, the slope of f at `x` in the direction `v`; it is proportional to the length of `v`.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use calculus::directional_derivative;
/// let slope = directional_derivative(|x| x[0] * x[0] * x[1], &[3.0, 2.0], &[1.0, 1.0]);
/// assert_eq!(slope, 12.0 + 9.0);
/// ```
pub fn directional_derivative<T: Real>(
    f: impl FnOnce(&[Dual<T>]) -> Dual<T>,
    x: &[T],
    v: &[T],
) -> T {
    f(&moving(x, v)).derivative
}

/// Returns <var>J·v</var>, the Jacobian-vector product: the change of all outputs along `v`. Forward mode.
///
/// # Panics
/// If the lengths of `x` and `v` differ.
///
/// ```
/// // Cartesian from polar coordinates: a change of the angle moves along the circle.
/// use linalg::Real;
/// let f = |p: &[calculus::Dual<f64>]| vec![p[0] * p[1].cos(), p[0] * p[1].sin()];
/// assert_eq!(calculus::jvp(f, &[2.0, 0.0], &[0.0, 1.0]), [0.0, 2.0]);
/// ```
#[doc(alias = "linearize")]
pub fn jvp<T: Real>(f: impl FnOnce(&[Dual<T>]) -> Vec<Dual<T>>, x: &[T], v: &[T]) -> Vec<T> {
    f(&moving(x, v)).into_iter().map(|y| y.derivative).collect()
}

/// Returns <var>Jᵀ·u</var>, the vector-Jacobian product: the gradient of the inputs for the upstream gradient `u`.
/// Reverse mode.
///
/// # Panics
/// If the length of `u` is not the number of outputs.
///
/// ```
/// use linalg::Real;
/// let f = |p: &[calculus::Traced<f64>]| vec![p[0] * p[1].cos(), p[0] * p[1].sin()];
/// assert_eq!(calculus::vjp(f, &[2.0, 0.0], &[5.0, 1.0]), [5.0, 2.0]);
/// ```
pub fn vjp<T: Real>(f: impl FnOnce(&[Traced<T>]) -> Vec<Traced<T>>, x: &[T], u: &[T]) -> Vec<T> {
    Trace::of(f, x).gradient(u)
}

/// Returns ∇f(x), the direction of steepest ascent. Reverse mode: one run for any number of variables.
///
/// ```
/// // L = (2w + b − 3)²
/// use calculus::gradient;
/// let slope = gradient(|w| { let e = 2.0 * w[0] + w[1] - 3.0; e * e }, &[1.0, 0.0]);
/// assert_eq!(slope, [-4.0, -2.0]);
/// ```
#[doc(alias = "grad")]
#[doc(alias = "backward")]
pub fn gradient<T: Real>(f: impl FnOnce(&[Traced<T>]) -> Traced<T>, x: &[T]) -> Vec<T> {
    trace(f, x).gradient(&[T::one()])
}

/// Returns f(x) and ∇f(x), from one run.
///
/// ```
/// let (value, slope) = calculus::value_and_gradient(|x| x[0] * x[0], &[3.0]);
/// assert_eq!((value, slope), (9.0, vec![6.0]));
/// ```
#[doc(alias = "value_and_grad")]
pub fn value_and_gradient<T: Real>(
    f: impl FnOnce(&[Traced<T>]) -> Traced<T>,
    x: &[T],
) -> (T, Vec<T>) {
    let trace = trace(f, x);
    (trace.values()[0], trace.gradient(&[T::one()]))
}

/// Records the list of all operations of f at `x`, which is read backwards for the gradient.
///
/// ```
/// // The textbook's smallest network: x = 2, w = ½, b = ½, ReLU, target 1.
/// use calculus::{activation::relu, trace};
/// let list = trace(|p| { let e = relu(2.0 * p[0] + p[1]) - 1.0; e * e }, &[0.5, 0.5]);
/// assert_eq!(list.values(), [0.25]);
/// assert_eq!(list.gradient(&[1.0]), [2.0, 1.0]);
/// assert_eq!(
///     list.to_string(),
///     " line  operation        value      adjoint  partials
///     0  variable      0.500000     2.000000
///     1  variable      0.500000     1.000000
///     2  ·             1.000000     1.000000  ∂/∂0 = 2.000000
///     3  +             1.500000     1.000000  ∂/∂2 = 1.000000  ∂/∂1 = 1.000000
///     4  −             0.500000     1.000000  ∂/∂3 = 1.000000
///     5  ·             0.250000     1.000000  ∂/∂4 = 0.500000  ∂/∂4 = 0.500000
/// "
/// );
/// ```
#[doc(alias = "make_jaxpr")]
pub fn trace<T: Real>(f: impl FnOnce(&[Traced<T>]) -> Traced<T>, x: &[T]) -> Trace<T> {
    Trace::of(|x| vec![f(x)], x)
}

/// Returns <var>J = (∂yᵢ/∂xⱼ)</var>, outputs × inputs, column by column: forward mode, one run per input.
///
/// ```
/// use calculus::{Dual, jacobian};
/// let j = jacobian(|x: &[Dual<f64>]| vec![x[0] * x[1], x[1] + 1.0, x[0]], &[2.0, 3.0]);
/// assert_eq!(j.as_slice(), &[3.0, 0.0, 1.0, 2.0, 1.0, 0.0]);
/// ```
#[doc(alias = "jacfwd")]
pub fn jacobian<T: Real>(f: impl Fn(&[Dual<T>]) -> Vec<Dual<T>>, x: &[T]) -> Matrix<T> {
    if x.is_empty() {
        return Matrix::zeros(f(&[]).len(), 0);
    }
    let columns: Vec<Vec<T>> = units(x.len()).map(|unit| jvp(&f, x, &unit)).collect();
    Matrix::from_iterator(columns[0].len(), x.len(), columns.into_iter().flatten())
}

/// Returns the same matrix, row by row: reverse mode, one run and one backward pass per output.
///
/// ```
/// use calculus::{Traced, jacobian_by_rows};
/// let j = jacobian_by_rows(|x: &[Traced<f64>]| vec![x[0] * x[1], x[1] + 1.0, x[0]], &[2.0, 3.0]);
/// assert_eq!(j.as_slice(), &[3.0, 0.0, 1.0, 2.0, 1.0, 0.0]);
/// ```
#[doc(alias = "jacrev")]
pub fn jacobian_by_rows<T: Real>(
    f: impl FnOnce(&[Traced<T>]) -> Vec<Traced<T>>,
    x: &[T],
) -> Matrix<T> {
    let trace = Trace::of(f, x);
    let m = trace.values().len();
    Matrix::from_row_iterator(m, x.len(), units(m).flat_map(|unit| trace.gradient(&unit)))
}

/// Returns <var>H·v</var>, the change of the gradient along `v`. Forward over reverse: the gradient is computed on dual
/// numbers, at the cost of a few gradients, and the n × n matrix H is never formed.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// // f = x²·y has H = [2y 2x; 2x 0].
/// let curved = calculus::hessian_vector_product(|x| x[0] * x[0] * x[1], &[3.0, 2.0], &[1.0, 10.0]);
/// assert_eq!(curved, [64.0, 6.0]);
/// ```
#[doc(alias = "hvp")]
pub fn hessian_vector_product<T: Real>(
    f: impl FnOnce(&[Traced<Dual<T>>]) -> Traced<Dual<T>>,
    x: &[T],
    v: &[T],
) -> Vec<T> {
    gradient(f, &moving(x, v)).into_iter().map(|g| g.derivative).collect()
}

/// Returns <var>H = (∂²f/∂xᵢ∂xⱼ)</var>, column by column. Symmetric up to rounding if f is twice continuously
/// differentiable (Schwarz).
///
/// ```
/// let h = calculus::hessian(|x| x[0] * x[0] * x[1], &[3.0, 2.0]);
/// assert_eq!(h.as_slice(), &[4.0, 6.0, 6.0, 0.0]);
/// ```
pub fn hessian<T: Real>(f: impl Fn(&[Traced<Dual<T>>]) -> Traced<Dual<T>>, x: &[T]) -> Matrix<T> {
    let n = x.len();
    Matrix::from_iterator(n, n, units(n).flat_map(|unit| hessian_vector_product(&f, x, &unit)))
}

/// Returns f(x), its gradient and its Hessian, from one run per variable.
pub(crate) fn value_gradient_hessian<T: Real>(
    f: impl Fn(&[Traced<Dual<T>>]) -> Traced<Dual<T>>,
    x: &[T],
) -> (T, Vec<T>, Matrix<T>) {
    let n = x.len();
    if n == 0 {
        return (f(&[]).value().value, Vec::new(), Matrix::zeros(0, 0));
    }
    let runs: Vec<_> = units(n).map(|unit| value_and_gradient(&f, &moving(x, &unit))).collect();
    let (value, slope) = &runs[0];
    let curved = runs.iter().flat_map(|(_, slope)| slope.iter().map(|g| g.derivative));
    let hessian = Matrix::from_iterator(n, n, curved);
    (value.value, slope.iter().map(|g| g.value).collect(), hessian)
}

/// Returns <var>x + v·ε</var>.
fn moving<T: Real>(x: &[T], v: &[T]) -> Vec<Dual<T>> {
    assert_eq!(x.len(), v.len(), "a direction has one number per variable");
    x.iter().zip(v).map(|(&x, &v)| Dual::new(x, v)).collect()
}

/// Returns the n unit vectors of ℝⁿ, in order.
fn units<T: Real>(n: usize) -> impl Iterator<Item = Vec<T>> {
    (0..n).map(move |j| (0..n).map(|i| if i == j { T::one() } else { T::zero() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_variables_and_without_outputs() {
        assert!(gradient(|_: &[Traced<f64>]| Traced::constant(1.0), &[]).is_empty());
        assert_eq!(hessian(|_| Traced::constant(Dual::constant(1.0)), &[]).shape(), (0, 0));
        assert_eq!(jacobian(|_| vec![Dual::constant(1.0); 3], &[]).shape(), (3, 0));
        assert_eq!(jacobian(|_| vec![], &[1.0]).shape(), (0, 1));
        assert_eq!(jacobian_by_rows(|_| vec![], &[1.0]).shape(), (0, 1));
    }

    #[test]
    fn an_output_that_does_not_move_has_slope_zero() {
        let (value, slope) = value_and_gradient(|_| Traced::constant(7.0), &[1.0, 2.0]);
        assert_eq!((value, slope), (7.0, vec![0.0, 0.0]));
    }

    #[test]
    #[should_panic(expected = "one number per variable")]
    fn a_direction_of_another_length() {
        directional_derivative(|x| x[0], &[1.0_f64, 2.0], &[1.0]);
    }

    #[test]
    #[should_panic(expected = "one upstream number per output")]
    fn an_upstream_gradient_of_another_length() {
        vjp(|x| x.to_vec(), &[1.0_f64, 2.0], &[1.0]);
    }
}
