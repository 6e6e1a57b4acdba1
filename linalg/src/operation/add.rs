//! The sum of two matrices: a residual connection.
//!
//! Formula: <var>y = a + b</var>. Gradients: da = dy, db = dy; the gradient passes both paths unchanged, which makes
//! networks of hundreds of layers trainable.
//! Floats: IEEE, element by element.
//! Source: He et al., *Deep Residual Learning*, 2015; the textbook's A.1 and A.3.

use crate::cases::{Cases, Size, Visitor, numbers};
use crate::formula::{I, J, operand, upstream};
use crate::{
    Formula, Gradient, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut, Work,
    parallel::each,
};

/// The sum <var>y = a + b</var>.
///
/// ```
/// use linalg::{Primitive, Work, add::Add, matrix};
/// let a = matrix(4, 1, &[0.23, -0.87, 1.42, 0.05]);
/// let b = matrix(4, 1, &[0.10, 0.30, -0.50, 0.80]);
/// let mut y = matrix(4, 1, &[0.0; 4]);
/// Add.forward([a.as_view(), b.as_view()], y.as_view_mut(), Work::none());
/// assert!((y - matrix(4, 1, &[0.33, -0.57, 0.92, 0.85])).norm() < 1e-15_f64);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Add;

impl Primitive<2> for Add {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn role(&self) -> Role {
        Role::Sum
    }

    fn shape(&self, [a, b]: [Shape; 2]) -> Result<Shape, ShapeError> {
        b.expect("the second summand", a)?;
        Ok(a)
    }

    fn formula<T: Real>(&self, _: [View<'_, T>; 2]) -> Formula {
        let (a, b, dy) = (operand(0), operand(1), upstream());
        Formula::new(
            "y",
            ["a", "b"],
            "Adds two matrices, element by element: what came before stays, and something is added.",
            "He et al., Deep Residual Learning, 2015",
        )
        .value(a.at(I, J) + b.at(I, J))
        .gradient(dy.at(I, J))
        .gradient(dy.at(I, J))
    }

    fn forward<T: Real>(&self, [a, b]: [View<'_, T>; 2], y: ViewMut<'_, T>, _: Work<'_, T>) {
        each(y, [a, b], |[a, b]| a + b);
    }

    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 2],
        _: View<'_, T>,
        dy: View<'_, T>,
        [da, db]: [Gradient<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        da.add(dy);
        db.add(dy);
    }

    fn flops(&self, [a, _]: [Shape; 2]) -> u64 {
        a.len() as u64
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [false; 2], output: false }
    }
}

impl Cases for Add {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            visitor.visit(Add, [numbers(m, n), numbers(m, n)]);
        }
    }
}
