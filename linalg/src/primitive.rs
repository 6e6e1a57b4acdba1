//! Differentiable maps of N matrices to one matrix.

use crate::{Formula, Gradient, Products, Real, Role, Shape, ShapeError, View, ViewMut};
use std::ops::Range;

/// An operation: a name, a shape rule, a value, and the transpose of its derivative.
///
/// An operation is defined in the crate of its branch of mathematics ([`Primitive::branch`] reads the branch from the
/// type's path). Array parameters are destructured in the signature, so that the code reads like a textbook:
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
/// 2. `vjp` adds to a [`Gradient`], or writes it if it is fresh, without reading it.
/// 3. `vjp` is the transposed derivative of *this* `forward`: <var>⟨ȳ, J·ẋ⟩ = ⟨vjp(ȳ), ẋ⟩</var> for all ȳ and ẋ.
/// 4. Neither can fail: `shape` refuses invalid operands.
/// 5. Neither allocates: `memory` states what is needed beyond input and output, and the caller provides it.
/// 6. `formula` states the arithmetic of `forward` and `vjp`, in the same steps: evaluated at any element, it gives
///    their result within the rounding bound that it states.
pub trait Primitive<const N: usize>: Send + Sync + 'static {
    /// Returns the operation's standard name: "softmax", "affine map".
    fn name(&self) -> &'static str;

    /// Returns its role in a network, for code that reads a recording.
    fn role(&self) -> Role {
        Role::Other
    }

    /// Returns the numbers of the operands whose products it sums, as pairs of a matrix and what the matrix is applied to. It
    /// is one pair for a linear map and a loss of a linear map; a map with adapters has more.
    fn factors(&self) -> Vec<[usize; 2]> {
        match self.role() {
            Role::Linear | Role::Loss => vec![[0, 1]],
            _ => vec![],
        }
    }

    /// Returns the shape of the output, or the reason why the operands do not fit.
    fn shape(&self, inputs: [Shape; N]) -> Result<Shape, ShapeError>;

    /// Returns the formula of one element, which an explanation prints, evaluates and traces.
    ///
    /// The element is \[[`I`](crate::formula::I), [`J`](crate::formula::J)\]; sums run over other letters, with counts
    /// from the shapes of `inputs`. There is one [`Formula::gradient`] per operand, or [`Formula::no_gradient`] if the
    /// operand is an index. State the steps that the code takes (a maximum that is subtracted, a logistic function by
    /// way of tanh), so that the stated rounding bound is the real one. The elements of `inputs` matter only for random
    /// draws, which go into a [`Formula::table`]; integers that select elements are
    /// [`Matter::index`](crate::formula::Matter::index).
    ///
    /// Neither recording nor replay calls it.
    fn formula<T: Real>(&self, inputs: [View<'_, T>; N]) -> Formula;

    /// Writes the output.
    fn forward<T: Real>(&self, inputs: [View<'_, T>; N], output: ViewMut<'_, T>, work: Work<'_, T>);

    /// Adds to each input's gradient the vector-Jacobian product `Jᵀ·upstream`; `upstream` is the gradient of the
    /// output.
    fn vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; N],
        output: View<'_, T>,
        upstream: View<'_, T>,
        gradients: [Gradient<'_, T>; N],
        work: Work<'_, T>,
    );

    /// Calls `forward`, then `vjp`: a training step does this for its last operation, the loss. An operation overrides
    /// it if both together are cheaper than one after the other.
    fn forward_and_vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; N],
        mut output: ViewMut<'_, T>,
        upstream: View<'_, T>,
        gradients: [Gradient<'_, T>; N],
        mut work: Work<'_, T>,
    ) {
        self.forward(inputs, output.as_view_mut(), work.reborrow());
        self.vjp(inputs, output.as_view(), upstream, gradients, work);
    }

    /// Returns the floating-point operations of `forward`: a multiplication and an addition count as two, e^x, ln, tanh
    /// and similar functions as ten each. An estimate, not an exact count.
    fn flops(&self, inputs: [Shape; N]) -> u64;

    /// Returns the floating-point operations that `vjp` needs mathematically, without recomputation that saves memory.
    /// A map with one product forward has two of the same size backward.
    fn vjp_flops(&self, inputs: [Shape; N]) -> u64 {
        2 * self.flops(inputs)
    }

    /// Returns which values `vjp` reads. A recording for training reuses the memory of a value after its last read.
    fn vjp_reads(&self) -> Reads<N> {
        Reads { inputs: [true; N], output: true }
    }

    /// Whether recomputing the value costs little compared with the products around it. If memory is short, a training
    /// step then recomputes the value in the backward replay instead of keeping it.
    fn is_cheap(&self) -> bool {
        false
    }

    /// Returns the memory that it needs besides its inputs and output.
    fn memory(&self, _inputs: [Shape; N]) -> Memory {
        Memory::default()
    }

    /// Returns the rows of the first operand if the output is exactly these rows, else `None`. A recording then shares
    /// their memory, for value and gradient, and calls neither `forward` nor `vjp`.
    fn view(&self) -> Option<Range<usize>> {
        None
    }

    /// Returns the branch of mathematics, which is the name of the crate that defines the operation.
    fn branch(&self) -> &'static str {
        let path = std::any::type_name::<Self>();
        path.split("::").next().unwrap_or(path)
    }
}

/// The values that a `vjp` reads.
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
    /// Needed only during a call; its contents before and after are arbitrary.
    pub scratch: usize,
}

/// The memory that [`Primitive::memory`] requested, and how the products of a linear map are computed.
#[derive(Debug)]
pub struct Work<'a, T> {
    /// Written by `forward`, read by `vjp`.
    pub kept: &'a mut [T],
    /// Free for use during the call.
    pub scratch: &'a mut [T],
    /// How an operation of role [`Role::Linear`] or [`Role::Loss`] reads the factors of its products.
    pub products: Products,
}

impl<'a, T> Work<'a, T> {
    /// Takes memory; products read their factors as they are.
    pub fn new(kept: &'a mut [T], scratch: &'a mut [T]) -> Self {
        Work { kept, scratch, products: Products::Full }
    }

    /// Returns empty memory, for operations that need none.
    pub fn none() -> Self {
        Work::new(&mut [], &mut [])
    }

    /// Returns the same with products of this kind.
    #[must_use]
    pub fn with(self, products: Products) -> Self {
        Work { products, ..self }
    }

    /// Returns the same memory for a shorter time.
    #[must_use]
    pub fn reborrow(&mut self) -> Work<'_, T> {
        Work { kept: &mut *self.kept, scratch: &mut *self.scratch, products: self.products }
    }
}
