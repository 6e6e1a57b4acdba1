//! The product of two matrices, element by element: a gate.
//!
//! Formula: <var>y = a ⊙ b</var>. Gradients: da = b ⊙ dy, db = a ⊙ dy.
//! Floats: IEEE, element by element.
//! Source: the gated feed-forward layers of Shazeer, *GLU Variants Improve Transformer*, 2020.

use crate::cases::{Cases, Size, Visitor, numbers};
use crate::formula::{I, J, operand, upstream};
use crate::{
    Formula, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut, Work, column,
    parallel, simd,
};

/// <var>y = a ⊙ b</var>.
///
/// ```
/// use linalg::{Primitive, Work, hadamard::Hadamard, matrix};
/// let (a, b) = (matrix(1, 2, &[2.0, 3.0]), matrix(1, 2, &[0.5, 0.0]));
/// let mut y = matrix(1, 2, &[0.0; 2]);
/// Hadamard.forward([a.as_view(), b.as_view()], y.as_view_mut(), Work::none());
/// assert_eq!(y.as_slice(), &[1.0, 0.0]);
/// ```
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

    fn flops(&self, [a, _]: [Shape; 2]) -> u64 {
        a.len() as u64
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

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [true; 2], output: false }
    }

    fn forward<T: Real>(&self, [a, b]: [View<'_, T>; 2], y: ViewMut<'_, T>, _: Work<'_, T>) {
        product_into(y, a, b);
    }

    fn vjp<T: Real>(
        &self,
        [a, b]: [View<'_, T>; 2],
        _: View<'_, T>,
        dy: View<'_, T>,
        [da, db]: [ViewMut<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        add_product(da, b, dy);
        add_product(db, a, dy);
    }
}

impl Cases for Hadamard {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            visitor.visit(Hadamard, [numbers(m, n), numbers(m, n)]);
        }
    }
}

/// <var>x ← y ⊙ z</var>: as [`add_product`], where nothing is there yet. Floats: IEEE.
///
/// ```
/// use linalg::{hadamard::product_into, matrix};
/// let mut x = matrix(1, 2, &[f64::NAN, 1.0]); // written, not read
/// let (y, z) = (matrix(1, 2, &[2.0, 3.0]), matrix(1, 2, &[10.0, 100.0]));
/// product_into(x.as_view_mut(), y.as_view(), z.as_view());
/// assert_eq!(x.as_slice(), &[20.0, 300.0]);
/// ```
pub fn product_into<T: Real>(x: ViewMut<'_, T>, y: View<'_, T>, z: View<'_, T>) {
    parallel::columns([x], |first, [mut x]| {
        simd(
            #[inline(always)]
            || {
                for (j, mut x) in x.column_iter_mut().enumerate() {
                    let (y, z) = (column(&y, first + j), column(&z, first + j));
                    for ((x, &y), &z) in x.as_mut_slice().iter_mut().zip(y).zip(z) {
                        *x = y * z;
                    }
                }
            },
        );
    });
}

/// <var>x ← x + y ⊙ z</var>: what the chain rule does to any operation that works element by element.
/// Floats: IEEE.
///
/// ```
/// use linalg::{hadamard::add_product, matrix};
/// let mut x = matrix(1, 2, &[1.0, 1.0]);
/// let (y, z) = (matrix(1, 2, &[2.0, 3.0]), matrix(1, 2, &[10.0, 100.0]));
/// add_product(x.as_view_mut(), y.as_view(), z.as_view());
/// assert_eq!(x.as_slice(), &[21.0, 301.0]);
/// ```
pub fn add_product<T: Real>(x: ViewMut<'_, T>, y: View<'_, T>, z: View<'_, T>) {
    parallel::columns([x], |first, [mut x]| {
        simd(
            #[inline(always)]
            || {
                for (j, mut x) in x.column_iter_mut().enumerate() {
                    let (y, z) = (column(&y, first + j), column(&z, first + j));
                    for ((x, &y), &z) in x.as_mut_slice().iter_mut().zip(y).zip(z) {
                        *x += y * z;
                    }
                }
            },
        );
    });
}
