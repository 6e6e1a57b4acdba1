//! # Linear algebra of a transformer
//!
//! Blue, in the picture of a training step: looking up an embedding, comparing a query with keys,
//! mixing values, mapping one space to another. And, because the derivative of *any* smooth map is
//! a linear map, the vocabulary in which every other branch states its rule.
//!
//! Two traits carry the workspace.
//!
//! * [`Real`] is a scalar: `f32` to train, `f64` to check, a dual number to differentiate once more.
//!   Code here is written once, for all three.
//! * [`Primitive`] is a differentiable map of N matrices to one: how shapes go in and come out,
//!   the value (`forward`), and the transpose of its derivative applied to a vector (`vjp`).
//!
//! ## Conventions
//!
//! Matrices are column-major and a token is a **column**: `x` is (features × tokens), a linear map
//! is `y = W·x + b`. Storage and views are nalgebra's. In memory this equals what PyTorch and
//! safetensors call (tokens, features), row-major.
//!
//! `forward` *writes* its output and `vjp` *adds* to the gradients of its inputs, so that a value
//! used twice collects both contributions (the chain rule sums over paths).
//!
//! ## A rule in three lines
//!
//! ```
//! use linalg::{Primitive, Work, matrix, affine::Affine};
//!
//! let w = matrix(2, 3, &[1.0, 0.0, 0.0, 1.0, 2.0, -1.0]); // columns (1,0), (0,1), (2,−1)
//! let x = matrix(3, 1, &[1.0, 2.0, 3.0]);
//! let b = matrix(2, 1, &[0.5, 0.5]);
//! let mut y = matrix(2, 1, &[0.0, 0.0]);
//! Affine.forward([w.as_view(), x.as_view(), b.as_view()], y.as_view_mut(), Work::none());
//! assert_eq!(y.as_slice(), &[7.5, -0.5]); // 1 + 2·3 + ½ and 2 − 3 + ½
//! ```

pub mod add;
pub mod affine;
pub mod gather;
pub mod hadamard;
pub mod heads;
mod kernel;
pub mod parallel;
pub mod primitive;
pub mod product;
pub mod real;
pub mod rows;
pub mod scale;
pub mod shape;
pub mod vector;

pub use kernel::{limits, simd};
pub use primitive::{Memory, Primitive, Reads, Work};
pub use product::{Factor, product_add, product_into, product_to, transposed};
pub use real::Real;
pub use shape::{Shape, ShapeError};

/// A matrix that owns its elements, column-major: [`nalgebra::DMatrix`].
pub type Matrix<T> = nalgebra::DMatrix<T>;
/// A matrix that is read: columns are contiguous, the distance between columns is free.
pub type View<'a, T> = nalgebra::DMatrixView<'a, T>;
/// A matrix that is written.
pub type ViewMut<'a, T> = nalgebra::DMatrixViewMut<'a, T>;

/// The `rows × columns` matrix with these elements, column after column.
///
/// # Panics
/// If the number of elements is not `rows · columns`.
pub fn matrix<T: Real>(rows: usize, columns: usize, elements: &[T]) -> Matrix<T> {
    Matrix::from_column_slice(rows, columns, elements)
}

/// Column `j` as a slice.
#[inline(always)]
pub fn column<'a, T: Real>(x: &'a View<'_, T>, j: usize) -> &'a [T] {
    x.column(j).data.into_slice()
}
