//! The product of two matrices, element by element: a gate.
//!
//! Formula: <var>y = a ⊙ b</var>. Gradients: da = b ⊙ dy, db = a ⊙ dy.
//! Floats: IEEE, element by element.
//! Source: the gated feed-forward layers of Shazeer, *GLU Variants Improve Transformer*, 2020.

use crate::cases::{Cases, Size, Visitor, numbers};
use crate::formula::{I, J, operand, upstream};
use crate::{
    Formula, Gradient, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut, Work,
    parallel::each,
};

/// The elementwise product <var>y = a ⊙ b</var>.
///
/// ```
/// use linalg::{Primitive, Work, hadamard::Hadamard, matrix};
/// let (a, b) = (matrix(1, 2, &[2.0, 3.0]), matrix(1, 2, &[0.5, 0.0]));
/// let mut y = matrix(1, 2, &[0.0; 2]);
/// Hadamard.forward([a.as_view(), b.as_view()], y.as_view_mut(), Work::none());
/// assert_eq!(y.as_slice(), &[1.0, 0.0]);
/// ```
#[doc(alias = "multiply")]
#[doc(alias = "mul")]
#[derive(Clone, Copy, Debug)]
pub struct Hadamard;

impl Primitive<2> for Hadamard {
    fn name(&self) -> &'static str {
        "product by elements"
    }

    fn role(&self) -> Role {
        Role::Product
    }

    fn shape(&self, [a, b]: [Shape; 2]) -> Result<Shape, ShapeError> {
        b.expect("the second factor", a)?;
        Ok(a)
    }

    fn formula<T: Real>(&self, _: [View<'_, T>; 2]) -> Formula {
        let (a, b, dy) = (operand(0), operand(1), upstream());
        Formula::new(
            "y",
            ["a", "b"],
            "Multiplies two matrices, element by element: one gates the other.",
            "Shazeer, GLU Variants Improve Transformer, 2020",
        )
        .value(a.at(I, J) * b.at(I, J))
        .gradient(b.at(I, J) * dy.at(I, J))
        .gradient(a.at(I, J) * dy.at(I, J))
    }

    fn forward<T: Real>(&self, [a, b]: [View<'_, T>; 2], y: ViewMut<'_, T>, _: Work<'_, T>) {
        each(y, [a, b], |[a, b]| a * b);
    }

    fn vjp<T: Real>(
        &self,
        [a, b]: [View<'_, T>; 2],
        _: View<'_, T>,
        dy: View<'_, T>,
        [da, db]: [Gradient<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        da.add_each([b, dy], |[b, dy]| b * dy);
        db.add_each([a, dy], |[a, dy]| a * dy);
    }

    fn flops(&self, [a, _]: [Shape; 2]) -> u64 {
        a.len() as u64
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [true; 2], output: false }
    }
}

impl Cases for Hadamard {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            visitor.visit(Hadamard, [numbers(m, n), numbers(m, n)]);
        }
    }
}
