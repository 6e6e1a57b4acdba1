//! Derivatives of plain Rust closures.
//!
//! A closure is written once, with `+ − · /` and the functions of [`linalg::Real`]; which derivative is
//! taken decides on which scalar it runs.
//!
//! | derivative | scalar | cost, in runs of f : ℝⁿ → ℝᵐ |
//! |---|---|---|
//! | [`derivative`], [`directional_derivative`], [`jvp`] | [`Dual`] | 1 |
//! | [`jacobian`] | [`Dual`], a column a run | n |
//! | [`gradient`], [`vjp`] | [`Traced`] | 1, and one reading backwards |
//! | [`jacobian_by_rows`] | [`Traced`], a row a reading | 1, and m readings |
//! | [`hessian_vector_product`] | [`Traced`]`<`[`Dual`]`>` | 1, and one reading |
//! | [`hessian`] | the same, a column a run | n |
//!
//! A loss is one number of millions of parameters, n ≫ m = 1: that is why a network learns by reverse
//! mode.
//!
//! The base scalar `T` is any [`Real`], a derivative-carrying one too. Without variables gradients are
//! empty; ±∞ and NaN follow the arithmetic of the closure (see [`Dual`]).
//!
//! Source: the textbook's A.3; Griewank and Walther, *Evaluating Derivatives*, 2008; for forward over
//! reverse, Pearlmutter, *Fast exact multiplication by the Hessian*, 1994.

use crate::{Dual, Trace, Traced};
use linalg::{Matrix, Real};

/// f′(x): how strongly f answers to x.
///
/// ```
/// let slope = calculus::derivative(|x| x * x + 2.0 * x + 1.0, 3.0);
/// assert_eq!(slope, 8.0); // the textbook's first use of autograd
/// ```
pub fn derivative<T: Real>(f: impl FnOnce(Dual<T>) -> Dual<T>, x: T) -> T {
    f(Dual::variable(x)).derivative
}

/// <var>⟨∇f(x), v⟩</var>: the slope of f at `x` in the direction `v`, whose length counts.
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

/// <var>J·v</var>, the Jacobian-vector product: how all outputs answer to a move along `v`. Forward
/// mode.
///
/// # Panics
/// If the lengths of `x` and `v` differ.
///
/// ```
/// // Cartesian from polar coordinates: turning moves along the circle.
/// use linalg::Real;
/// let f = |p: &[calculus::Dual<f64>]| vec![p[0] * p[1].cos(), p[0] * p[1].sin()];
/// assert_eq!(calculus::jvp(f, &[2.0, 0.0], &[0.0, 1.0]), [0.0, 2.0]);
/// ```
pub fn jvp<T: Real>(f: impl FnOnce(&[Dual<T>]) -> Vec<Dual<T>>, x: &[T], v: &[T]) -> Vec<T> {
    f(&moving(x, v)).into_iter().map(|y| y.derivative).collect()
}

/// <var>Jᵀ·u</var>, the vector-Jacobian product: what the upstream gradient `u` is by the inputs.
/// Reverse mode.
///
/// # Panics
/// If `u` has not one number per output.
///
/// ```
/// use linalg::Real;
/// let f = |p: &[calculus::Traced<f64>]| vec![p[0] * p[1].cos(), p[0] * p[1].sin()];
/// assert_eq!(calculus::vjp(f, &[2.0, 0.0], &[5.0, 1.0]), [5.0, 2.0]);
/// ```
pub fn vjp<T: Real>(f: impl FnOnce(&[Traced<T>]) -> Vec<Traced<T>>, x: &[T], u: &[T]) -> Vec<T> {
    Trace::of(f, x).gradient(u)
}

/// ∇f(x): the direction of steepest ascent. Reverse mode, one run whatever the number of variables.
///
/// ```
/// // L = (2w + b − 3)²
/// use calculus::gradient;
/// let slope = gradient(|w| { let e = 2.0 * w[0] + w[1] - 3.0; e * e }, &[1.0, 0.0]);
/// assert_eq!(slope, [-4.0, -2.0]);
/// ```
pub fn gradient<T: Real>(f: impl FnOnce(&[Traced<T>]) -> Traced<T>, x: &[T]) -> Vec<T> {
    trace(f, x).gradient(&[T::one()])
}

/// f(x) and ∇f(x), of one run.
///
/// ```
/// let (value, slope) = calculus::value_and_gradient(|x| x[0] * x[0], &[3.0]);
/// assert_eq!((value, slope), (9.0, vec![6.0]));
/// ```
pub fn value_and_gradient<T: Real>(
    f: impl FnOnce(&[Traced<T>]) -> Traced<T>,
    x: &[T],
) -> (T, Vec<T>) {
    let trace = trace(f, x);
    (trace.values()[0], trace.gradient(&[T::one()]))
}

/// The list of all operations that f does at `x`, which is read backwards for the gradient.
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
pub fn trace<T: Real>(f: impl FnOnce(&[Traced<T>]) -> Traced<T>, x: &[T]) -> Trace<T> {
    Trace::of(|x| vec![f(x)], x)
}

/// <var>J = (∂yᵢ/∂xⱼ)</var>, outputs × inputs, column by column: forward mode, a run per input.
///
/// ```
/// use calculus::{Dual, jacobian};
/// let j = jacobian(|x: &[Dual<f64>]| vec![x[0] * x[1], x[1] + 1.0, x[0]], &[2.0, 3.0]);
/// assert_eq!(j.as_slice(), &[3.0, 0.0, 1.0, 2.0, 1.0, 0.0]);
/// ```
pub fn jacobian<T: Real>(f: impl Fn(&[Dual<T>]) -> Vec<Dual<T>>, x: &[T]) -> Matrix<T> {
    if x.is_empty() {
        return Matrix::zeros(f(&[]).len(), 0);
    }
    let columns: Vec<Vec<T>> = units(x.len()).map(|unit| jvp(&f, x, &unit)).collect();
    Matrix::from_iterator(columns[0].len(), x.len(), columns.into_iter().flatten())
}

/// The same matrix, row by row: reverse mode, a reading per output of the list of one run.
///
/// ```
/// use calculus::{Traced, jacobian_by_rows};
/// let j = jacobian_by_rows(|x: &[Traced<f64>]| vec![x[0] * x[1], x[1] + 1.0, x[0]], &[2.0, 3.0]);
/// assert_eq!(j.as_slice(), &[3.0, 0.0, 1.0, 2.0, 1.0, 0.0]);
/// ```
pub fn jacobian_by_rows<T: Real>(
    f: impl FnOnce(&[Traced<T>]) -> Vec<Traced<T>>,
    x: &[T],
) -> Matrix<T> {
    let trace = Trace::of(f, x);
    let m = trace.values().len();
    Matrix::from_row_iterator(m, x.len(), units(m).flat_map(|unit| trace.gradient(&unit)))
}

/// <var>H·v</var>: how the gradient answers to a move along `v`. Forward over reverse: the gradient is
/// computed on dual numbers, at the cost of a few gradients, and the n × n matrix H is never formed.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// // f = x²·y has H = [2y 2x; 2x 0].
/// let curved = calculus::hessian_vector_product(|x| x[0] * x[0] * x[1], &[3.0, 2.0], &[1.0, 10.0]);
/// assert_eq!(curved, [64.0, 6.0]);
/// ```
pub fn hessian_vector_product<T: Real>(
    f: impl FnOnce(&[Traced<Dual<T>>]) -> Traced<Dual<T>>,
    x: &[T],
    v: &[T],
) -> Vec<T> {
    gradient(f, &moving(x, v)).into_iter().map(|g| g.derivative).collect()
}

/// <var>H = (∂²f/∂xᵢ∂xⱼ)</var>, column by column. Symmetric but for rounding, where f is twice
/// continuously differentiable (Schwarz).
///
/// ```
/// let h = calculus::hessian(|x| x[0] * x[0] * x[1], &[3.0, 2.0]);
/// assert_eq!(h.as_slice(), &[4.0, 6.0, 6.0, 0.0]);
/// ```
pub fn hessian<T: Real>(f: impl Fn(&[Traced<Dual<T>>]) -> Traced<Dual<T>>, x: &[T]) -> Matrix<T> {
    let n = x.len();
    Matrix::from_iterator(n, n, units(n).flat_map(|unit| hessian_vector_product(&f, x, &unit)))
}

/// <var>x + v·ε</var>.
fn moving<T: Real>(x: &[T], v: &[T]) -> Vec<Dual<T>> {
    assert_eq!(x.len(), v.len(), "a direction has one number per variable");
    x.iter().zip(v).map(|(&x, &v)| Dual::new(x, v)).collect()
}

/// The n unit vectors of ℝⁿ, in order.
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
