//! Functions between two linear maps, element by element.
//!
//! Each is one scalar function over [`Real`], in a file of its own: the plain function ([`gelu`]), and
//! beside it the type ([`Gelu`]) with which [`Activation`] records it. The derivative that
//! backpropagation uses comes from evaluating that same function on a dual number, so it cannot be
//! the derivative of another one.
//!
//! Without them a stack of linear maps is one linear map.
//!
//! | function | f(x) | f′(x) | at −∞, 0, ∞ | f′(0) |
//! |---|---|---|---|---|
//! | [`relu`] | max(0, x) | 0 or 1 | 0, 0, ∞ | 0 |
//! | [`leaky_relu`] | x or a·x | a or 1 | −∞, 0, ∞ | a |
//! | [`sigmoid`] | σ(x) = 1/(1 + e⁻ˣ) | σ·(1 − σ) | 0, ½, 1 | ¼ |
//! | [`tanh`](Real::tanh) | tanh x | 1 − tanh² x = 4e/(1 + e)², e = e^(−2|x|) | −1, 0, 1 | 1 |
//! | [`gelu`] | x·Φ(x) | Φ(x) + x·φ(x) | NaN, 0, ∞ | ½ |
//! | [`gelu_tanh`] | x·σ(2·√(2/π)·(x + 0.044715·x³)) | its own | NaN, 0, ∞ | ½ |
//! | [`silu`] | x·σ(x) | σ·(1 + x·(1 − σ)) | NaN, 0, ∞ | ½ |
//!
//! NaN goes in and comes out of all of them. Where sources disagree: ReLU′(0) = 0, as in PyTorch; the
//! textbook's table A.3 has 1.

mod gelu;
mod relu;
mod sigmoid;
mod silu;
mod tanh;

pub use gelu::{Gelu, GeluTanh, gelu, gelu_tanh};
pub use relu::{LeakyRelu, Relu, leaky_relu, relu};
pub use sigmoid::{Sigmoid, sigmoid};
pub use silu::{Silu, silu};
pub use tanh::Tanh;

use crate::Dual;
use linalg::formula::{Expression, I, J, operand, upstream};
use linalg::{
    Formula, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut, Work, column,
    hadamard, parallel, simd,
};

/// A scalar function.
///
/// ```
/// use calculus::{Dual, activation::{Function, Gelu}};
/// let y = Gelu::at(Dual::variable(1.0_f64));
/// assert!((y.value - 0.8413447).abs() < 1e-7 && (y.derivative - 1.0833155).abs() < 1e-7);
/// ```
pub trait Function: Copy + Send + Sync + 'static {
    /// The function's name in the field.
    const NAME: &'static str;
    /// Floating-point operations of one value, a transcendental function counting as ten.
    const FLOPS: u64;
    /// What it is for, in one plain sentence.
    const MEANING: &'static str;
    /// Where it comes from.
    const SOURCE: &'static str;
    /// The function.
    fn at<T: Real>(x: T) -> T;
    /// The function as a formula, in the steps that [`Function::at`] takes.
    fn formula(x: Expression) -> Expression;
    /// Its derivative as a formula: what [`Function::at`] gives on a dual number.
    fn slope(x: Expression) -> Expression;
}

/// <var>y = f(x)</var>, element by element; forward keeps f′(x) for the chain rule, dx = f′(x) ⊙ dy.
#[derive(Clone, Copy, Debug)]
pub struct Activation<F>(pub F);

impl<F: Function> Primitive<1> for Activation<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn role(&self) -> Role {
        Role::Activation
    }

    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(x)
    }

    fn flops(&self, [x]: [Shape; 1]) -> u64 {
        F::FLOPS * x.len() as u64
    }

    fn vjp_reads(&self) -> Reads<1> {
        Reads { inputs: [false], output: false }
    }

    fn is_cheap(&self) -> bool {
        true
    }

    fn memory(&self, [x]: [Shape; 1]) -> Memory {
        Memory { kept: x.len(), scratch: 0 }
    }

    fn formula<T: Real>(&self, _: [View<'_, T>; 1]) -> Formula {
        let (x, dy) = (operand(0), upstream());
        let mut f = Formula::new("y", ["x"], F::MEANING, F::SOURCE);
        let slope = f.define("f′", [I, J], F::slope(x.at(I, J)));
        f.value(F::formula(x.at(I, J))).gradient(slope.at2(I, J) * dy.at(I, J))
    }

    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], y: ViewMut<'_, T>, work: Work<'_, T>) {
        let slope = ViewMut::from_slice(work.kept, x.nrows(), x.ncols());
        parallel::columns([y, slope], |first, [mut y, mut slope]| {
            simd(
                #[inline(always)]
                || {
                    for (j, mut y) in y.column_iter_mut().enumerate() {
                        let mut slope = slope.column_mut(j);
                        let outputs = y.as_mut_slice().iter_mut().zip(slope.as_mut_slice());
                        for ((y, slope), &x) in outputs.zip(column(&x, first + j)) {
                            let f = F::at(Dual::variable(x));
                            (*y, *slope) = (f.value, f.derivative);
                        }
                    }
                },
            );
        });
    }

    fn vjp<T: Real>(
        &self,
        [x]: [View<'_, T>; 1],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [ViewMut<'_, T>; 1],
        work: Work<'_, T>,
    ) {
        hadamard::add_product(dx, View::from_slice(work.kept, x.nrows(), x.ncols()), dy);
    }

    fn vjp_into<T: Real>(
        &self,
        [x]: [View<'_, T>; 1],
        y: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [ViewMut<'_, T>; 1],
        [fresh]: [bool; 1],
        work: Work<'_, T>,
    ) {
        if fresh {
            hadamard::product_into(dx, View::from_slice(work.kept, x.nrows(), x.ncols()), dy);
        } else {
            self.vjp([x], y, dy, [dx], work);
        }
    }
}
