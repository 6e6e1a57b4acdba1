//! A matrix times a number, such as the 1/√d of attention.
//!
//! Formula: <var>y = c·x</var>. Gradient: dx = <var>c·dy</var>.
//! Floats: IEEE, element by element; c itself is rounded to the scalar once.
//! Source: Vaswani et al., *Attention Is All You Need*, 2017, section 3.2.1: the dot product of d pairs of independent
//! unit-variance numbers has variance d, and <var>1/√d</var> normalises it to 1.

use crate::cases::{Cases, Size, Visitor, numbers};
use crate::formula::{I, J, operand, upstream};
use crate::{
    Formula, Gradient, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut, Work,
    parallel::each,
};

/// The multiple <var>y = c·x</var>.
///
/// ```
/// use linalg::{Primitive, Work, matrix, scale::Scale};
/// let x = matrix(1, 2, &[4.0, -8.0]);
/// let mut y = matrix(1, 2, &[0.0; 2]);
/// Scale { factor: 0.25 }.forward([x.as_view()], y.as_view_mut(), Work::none());
/// assert_eq!(y.as_slice(), &[1.0, -2.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The number c.
    pub factor: f64,
}

impl Primitive<1> for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn role(&self) -> Role {
        Role::Scale
    }

    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(x)
    }

    fn formula<T: Real>(&self, _: [View<'_, T>; 1]) -> Formula {
        let (x, dy) = (operand(0), upstream());
        Formula::new(
            "y",
            ["x"],
            "Multiplies by one number: in attention 1/√d, which brings the variance back to one.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.2.1",
        )
        .value(self.factor * x.at(I, J))
        .gradient(self.factor * dy.at(I, J))
    }

    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], y: ViewMut<'_, T>, _: Work<'_, T>) {
        let factor = T::from_f64(self.factor);
        each(y, [x], |[x]| factor * x);
    }

    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 1],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        let factor = T::from_f64(self.factor);
        dx.add_each([dy], |[dy]| factor * dy);
    }

    fn flops(&self, [x]: [Shape; 1]) -> u64 {
        x.len() as u64
    }

    fn vjp_reads(&self) -> Reads<1> {
        Reads { inputs: [false], output: false }
    }
}

impl Cases for Scale {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            visitor.visit(Scale { factor: -1.7 }, [numbers(m, n)]);
        }
    }
}
