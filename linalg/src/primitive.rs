//! A differentiable map of N matrices to one.

use crate::{Formula, Gradient, Real, Role, Shape, ShapeError, View, ViewMut};
use std::ops::Range;

/// What an operation is: a name, a rule for shapes, a value, and the transpose of its derivative.
///
/// The rule of an operation lives in the crate of its branch of mathematics; that crate *is* the
/// branch ([`Primitive::branch`] reads it off the type). Array parameters destructure in the
/// signature, so that a rule reads as in a textbook:
///
/// ```
/// use linalg::formula::{I, J, operand, upstream};
/// use linalg::{Formula, Gradient, Primitive, Real, Shape, ShapeError, View, ViewMut, Work, parallel::each};
///
/// /// y = x², element by element.
/// struct Square;
///
/// impl Primitive<1> for Square {
///     fn name(&self) -> &'static str {
///         "square"
///     }
///     fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
///         Ok(x)
///     }
///     fn formula<T: Real>(&self, _: [View<T>; 1]) -> Formula {
///         let (x, dy) = (operand(0), upstream());
///         Formula::new("y", ["x"], "The square of every element.", "Euclid")
///             .value(x.at(I, J) * x.at(I, J))
///             .gradient((x.at(I, J) + x.at(I, J)) * dy.at(I, J))
///     }
///     fn forward<T: Real>(&self, [x]: [View<T>; 1], y: ViewMut<T>, _: Work<T>) {
///         each(y, [x], |[x]| x * x);
///     }
///     fn vjp<T: Real>(&self, [x]: [View<T>; 1], _y: View<T>, dy: View<T>, [dx]: [Gradient<T>; 1], _: Work<T>) {
///         dx.add_each([x, dy], |[x, dy]| (x + x) * dy);
///     }
///     fn flops(&self, [x]: [Shape; 1]) -> u64 {
///         x.len() as u64
///     }
/// }
/// assert_eq!(Square.shape([Shape::new(2, 3)]), Ok(Shape::new(2, 3)));
/// let x = linalg::matrix(1, 1, &[3.0]);
/// let derivation = Square.formula([x.as_view()]).derive((0, 0), |_, _, _| 3.0);
/// assert_eq!(derivation.part.value, 9.0);
/// ```
///
/// # Laws
/// 1. `forward` writes every element of its output and reads none of them before.
/// 2. `vjp` adds to a [`Gradient`], or writes it where it is fresh and reads nothing of it.
/// 3. The rule belongs to *its* function: <var>⟨ȳ, J·ẋ⟩ = ⟨vjp(ȳ), ẋ⟩</var> for all ȳ and ẋ.
/// 4. Neither can fail: what can be wrong is refused by `shape`.
/// 5. Neither allocates: memory beyond input and output is stated by `memory` and handed in.
/// 6. `formula` states the arithmetic that `forward` and `vjp` do, in the same steps: evaluated at any
///    element it gives what they computed, within the rounding of what it states.
pub trait Primitive<const N: usize>: Send + Sync + 'static {
    /// The operation's name in the field: "softmax", "affine map".
    fn name(&self) -> &'static str;

    /// What it does in a network, for whoever reads a recording.
    fn role(&self) -> Role {
        Role::Other
    }

    /// The shape of the output, or why there is none.
    fn shape(&self, inputs: [Shape; N]) -> Result<Shape, ShapeError>;

    /// The rule for one element, as a formula: what an explanation prints, evaluates and follows.
    ///
    /// The element is \[[`I`](crate::formula::I), [`J`](crate::formula::J)\]; sums run over other letters,
    /// with counts from the shapes of `inputs`. There is one [`Formula::gradient`] per operand, or
    /// [`Formula::no_gradient`] where an operand is an index. State the steps that the code takes (a
    /// maximum that is subtracted, a logistic by way of tanh), so that the stated rounding is the real
    /// one. The elements of `inputs` matter only for what is drawn at random, which goes into a
    /// [`Formula::table`]; whole numbers that select elements are [`Matter::index`](crate::formula::Matter::index).
    ///
    /// Nothing on the way from record to replay calls it.
    fn formula<T: Real>(&self, inputs: [View<'_, T>; N]) -> Formula;

    /// Writes the output.
    fn forward<T: Real>(&self, inputs: [View<'_, T>; N], output: ViewMut<'_, T>, work: Work<'_, T>);

    /// Adds to each input's gradient what the output's gradient `upstream` sends back to it: the
    /// vector-Jacobian product `Jᵀ·upstream`.
    fn vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; N],
        output: View<'_, T>,
        upstream: View<'_, T>,
        gradients: [Gradient<'_, T>; N],
        work: Work<'_, T>,
    );

    /// `forward`, then `vjp`: what a training step asks of its last operation, the loss. An operation
    /// overrides it where both at once are cheaper than one after the other.
    fn forward_and_vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; N],
        mut output: ViewMut<'_, T>,
        upstream: View<'_, T>,
        gradients: [Gradient<'_, T>; N],
        work: Work<'_, T>,
    ) {
        let Work { kept, scratch } = work;
        self.forward(
            inputs,
            output.as_view_mut(),
            Work { kept: &mut *kept, scratch: &mut *scratch },
        );
        let work = Work { kept, scratch };
        self.vjp(inputs, output.as_view(), upstream, gradients, work);
    }

    /// Floating-point operations of `forward`: a multiplication and an addition count as two, e^x, ln,
    /// tanh and their like as ten each. A size, not a count to the last one.
    fn flops(&self, inputs: [Shape; N]) -> u64;

    /// Floating-point operations of `vjp` that the mathematics needs, without what is computed again
    /// to save memory. A map with one product forward has two of the same size backward.
    fn vjp_flops(&self, inputs: [Shape; N]) -> u64 {
        2 * self.flops(inputs)
    }

    /// Which values `vjp` reads. What no rule reads any more makes room for something else in a
    /// recording that is made for training.
    fn vjp_reads(&self) -> Reads<N> {
        Reads { inputs: [true; N], output: true }
    }

    /// Whether computing the value again costs little beside the products around it: a training step
    /// that is short of memory does so in the backward replay instead of keeping the value.
    fn is_cheap(&self) -> bool {
        false
    }

    /// Memory that it wants besides its inputs and output.
    fn memory(&self, _inputs: [Shape; N]) -> Memory {
        Memory::default()
    }

    /// The rows of the first operand that the output is, if it is nothing else. A recording then shares
    /// their memory, for value and gradient, and calls neither `forward` nor `vjp`.
    fn view(&self) -> Option<Range<usize>> {
        None
    }

    /// The branch of mathematics: the crate in which the rule lives.
    fn branch(&self) -> &'static str {
        let path = std::any::type_name::<Self>();
        path.split("::").next().unwrap_or(path)
    }
}

/// Which values a `vjp` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads<const N: usize> {
    /// For each input, whether its value is read. Shapes are always known.
    pub inputs: [bool; N],
    /// Whether the output's value is read.
    pub output: bool,
}

/// Memory of an operation besides its inputs and output, in numbers of scalars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Written by `forward`, read by `vjp`: a mean, a logarithm of a partition function.
    pub kept: usize,
    /// Needed only during a call; its contents before and after mean nothing.
    pub scratch: usize,
}

/// The memory that [`Primitive::memory`] asked for.
#[derive(Debug)]
pub struct Work<'a, T> {
    /// Written by `forward`, read by `vjp`.
    pub kept: &'a mut [T],
    /// Free for use during the call.
    pub scratch: &'a mut [T],
}

impl<T> Work<'_, T> {
    /// For operations that want no memory.
    pub fn none() -> Self {
        Work { kept: &mut [], scratch: &mut [] }
    }
}
