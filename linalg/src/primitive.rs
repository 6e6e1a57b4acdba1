//! A differentiable map of N matrices to one.

use crate::{Formula, Real, Role, Shape, ShapeError, View, ViewMut};
use std::ops::Range;

/// What an operation is: a name, a rule for shapes, a value, and the transpose of its derivative.
///
/// The rule of an operation lives in the crate of its branch of mathematics; that crate *is* the
/// branch ([`Primitive::branch`] reads it off the type). Array parameters destructure in the
/// signature, so that a rule reads as in a textbook:
///
/// ```
/// use linalg::formula::{I, J, operand, upstream};
/// use linalg::{Formula, Memory, Primitive, Real, Shape, ShapeError, View, ViewMut, Work};
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
///     fn flops(&self, [x]: [Shape; 1]) -> u64 {
///         x.len() as u64
///     }
///     fn forward<T: Real>(&self, [x]: [View<T>; 1], mut y: ViewMut<T>, _: Work<T>) {
///         y.zip_apply(&x, |y, x| *y = x * x);
///     }
///     fn vjp<T: Real>(
///         &self,
///         [x]: [View<T>; 1],
///         _y: View<T>,
///         dy: View<T>,
///         [mut dx]: [ViewMut<T>; 1],
///         _: Work<T>,
///     ) {
///         dx.zip_zip_apply(&x, &dy, |dx, x, dy| *dx += (x + x) * dy);
///     }
///     fn formula<T: Real>(&self, _: [View<T>; 1]) -> Formula {
///         let (x, dy) = (operand(0), upstream());
///         Formula::new("y", ["x"], "The square of every element.", "Euclid")
///             .value(x.at(I, J) * x.at(I, J))
///             .gradient((x.at(I, J) + x.at(I, J)) * dy.at(I, J))
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
/// 2. `vjp` adds to the gradients of its inputs.
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

    /// Writes the output.
    fn forward<T: Real>(&self, inputs: [View<'_, T>; N], output: ViewMut<'_, T>, work: Work<'_, T>);

    /// Adds to each input's gradient what the output's gradient `upstream` sends back to it: the
    /// vector-Jacobian product `Jᵀ·upstream`.
    fn vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; N],
        output: View<'_, T>,
        upstream: View<'_, T>,
        gradients: [ViewMut<'_, T>; N],
        work: Work<'_, T>,
    );

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

    /// As `vjp`, where the gradients marked `fresh` hold nothing yet: they are written. An operation
    /// overrides it to spare a pass over memory that sets to zero what is added to next.
    fn vjp_into<T: Real>(
        &self,
        inputs: [View<'_, T>; N],
        output: View<'_, T>,
        upstream: View<'_, T>,
        mut gradients: [ViewMut<'_, T>; N],
        fresh: [bool; N],
        work: Work<'_, T>,
    ) {
        for (gradient, _) in gradients.iter_mut().zip(fresh).filter(|(_, fresh)| *fresh) {
            gradient.fill(T::zero());
        }
        self.vjp(inputs, output, upstream, gradients, work);
    }

    /// `forward`, then `vjp_into`: what a training step asks of its last operation, the loss. An operation
    /// overrides it where both at once are cheaper than one after the other.
    fn forward_and_vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; N],
        mut output: ViewMut<'_, T>,
        upstream: View<'_, T>,
        gradients: [ViewMut<'_, T>; N],
        fresh: [bool; N],
        work: Work<'_, T>,
    ) {
        let Work { kept, scratch } = work;
        self.forward(
            inputs,
            output.as_view_mut(),
            Work { kept: &mut *kept, scratch: &mut *scratch },
        );
        let work = Work { kept, scratch };
        self.vjp_into(inputs, output.as_view(), upstream, gradients, fresh, work);
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
