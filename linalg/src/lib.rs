//! # Linear algebra of a transformer
//!
//! In the picture of a training step, linear algebra is blue: it looks up an embedding, compares a query with keys,
//! mixes values and maps one space to another. The derivative of *any* smooth map is a linear map, so all other
//! branches use it for their derivatives.
//!
//! The functions answer five questions about vectors: *how large* ([`norm`]), *in which direction* ([`similarity`],
//! [`projection`], [`basis`]), *mapped to where* ([`affine`], [`product`], [`rotation`]), *from where* ([`lu`],
//! [`least_squares`], [`conjugate_gradient`]), and *how many directions* ([`symmetric`], [`svd`], [`spectrum`],
//! [`low_rank`], [`principal`]). A transformer uses all: attention compares directions, a layer maps vectors, a probe is
//! solved for, clipping measures lengths, and an [`adapter`] relies on few directions.
//!
//! Most functions are plain: [`similarity::cosine`] takes two slices. For operations that a training step needs with
//! their derivative, there is also a [`Primitive`]; [`apply`] and [`pullback`] evaluate any primitive as a plain
//! function.
//!
//! The workspace rests on two traits.
//!
//! * [`Real`] is a scalar: `f32` for training, `f64` for checks, a dual number for derivatives. Code is written once,
//!   for all three. Only eigenvalues and what depends on them are limited to `f64` ([`symmetric`], [`svd`] and their
//!   callers), because an eigenvector is not differentiable where eigenvalues coincide.
//! * [`Primitive`] is a differentiable map of N matrices to one: the shape of its result, its value (`forward`), and
//!   the transpose of its derivative applied to a vector (`vjp`).
//!
//! ## Conventions
//!
//! Matrices are column-major and a token is a **column**: `x` is (features × tokens), a linear map
//! is `y = W·x + b`. Storage and views are nalgebra's. In memory this equals what PyTorch and
//! safetensors call (tokens, features), row-major.
//!
//! `forward` *writes* its output and `vjp` *adds* to the gradients of its inputs, so that a value used twice collects
//! both contributions (the chain rule sums over paths). A [`Gradient`] that is still empty is written instead.
//!
//! NaN and ±∞: sums, products and norms follow IEEE arithmetic, so that NaN stays NaN. A direction or a decomposition
//! of non-finite values is an [`Error`] that names the row and column. The cosine with a zero vector is an error. Sums
//! have one fixed order, so a result has the same bits on any number of threads.
//!
//! # A tutorial in seven steps
//!
//! ## 1. A vector, its length, its direction
//!
//! An embedding is a list of numbers; a single one of them has no meaning. Two words are compared by the cosine of the
//! angle between their vectors.
//!
//! ```
//! use linalg::{norm, similarity, vector};
//!
//! let word = [0.23, -0.87, 1.42, 0.05]; // the textbook's example
//! let context = [0.10, 0.30, -0.50, 0.80];
//! assert!((norm::l2(&word) - 1.681874_f64).abs() < 5e-7);
//! assert!((vector::dot(&word, &context) + 0.908).abs() < 1e-12);
//! assert!((similarity::cosine(&word, &context)? + 0.542594).abs() < 5e-7); // they point apart
//!
//! // Only the direction counts: ten times the word has the same cosine with everything.
//! let louder = word.map(|x| 10.0 * x);
//! assert!((similarity::cosine(&louder, &word)? - 1.0).abs() < 1e-15);
//! # Ok::<(), linalg::Error>(())
//! ```
//!
//! ## 2. A matrix maps one space to another
//!
//! ```
//! use linalg::{affine::affine, matrix};
//!
//! let w = matrix(2, 3, &[1.0, 0.0, 0.0, 1.0, 2.0, -1.0]); // columns (1,0), (0,1), (2,−1)
//! let x = matrix(3, 1, &[1.0, 2.0, 3.0]);
//! let y = affine(&w, &x, &matrix(2, 1, &[0.5, 0.5]))?;
//! assert_eq!(y.as_slice(), &[7.5, -0.5]); // 1 + 2·3 + ½ and 2 − 3 + ½
//! # Ok::<(), linalg::ShapeError>(())
//! ```
//!
//! ## 3. Attention compares, and 1/√d keeps the scores near size 1
//!
//! The score of a query and a key is a dot product. It grows with the width d as √d, so it is divided by √d;
//! [`scaled_dot`] shows it by experiment.
//!
//! ```
//! use linalg::{matrix, scaled_dot::scores};
//!
//! let query = matrix(4, 1, &[1.0, 1.0, 0.0, 0.0]);
//! let keys = matrix(4, 3, &[1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, -1.0, 0.0, 0.0]);
//! assert_eq!(scores(&query, &keys)?.as_slice(), &[1.0, 0.5, -1.0]); // same direction, half, opposite
//! # Ok::<(), linalg::ShapeError>(())
//! ```
//!
//! ## 4. A position is an angle
//!
//! If queries and keys are rotated by their positions, a score depends only on the distance between them, because a
//! rotation is orthogonal: <var>R(s)ᵀ·R(t) = R(t − s)</var>.
//!
//! ```
//! use linalg::{norm, rotation::{Pairs, rotate}, vector::dot};
//!
//! let (q, k) = ([1.0, 2.0, -1.0, 0.5], [0.3, -1.0, 2.0, 1.0]);
//! let at = |x: &[f64], position| rotate(x, position, 1e4, Pairs::Neighbours);
//! let here = dot(&at(&q, 5.0)?, &at(&k, 3.0)?);
//! let there = dot(&at(&q, 1005.0)?, &at(&k, 1003.0)?);
//! assert!((here - there).abs() < 1e-12);
//! assert!((norm::l2(&at(&q, 5.0)?) - norm::l2(&q)).abs() < 1e-15); // lengths stay
//! # Ok::<(), linalg::Error>(())
//! ```
//!
//! ## 5. How many directions a matrix uses
//!
//! Every matrix is a rotation, a stretch and a rotation. The stretches are its singular values. The best approximation
//! of rank k keeps the k largest; its error is the next one.
//!
//! ```
//! use linalg::{low_rank::LowRank, matrix, spectrum, svd::Svd};
//!
//! let w = matrix(3, 2, &[2.0, 0.0, 0.0, 0.0, 0.5, 0.0]);
//! let svd = Svd::of(&w)?;
//! assert_eq!((svd.rank(), svd.condition_number()?), (2, 4.0));
//! assert_eq!(spectrum::stable_rank(&svd.values)?, 1.0625); // hardly more than one
//! assert_eq!(LowRank::of(&w, 1)?.spectral_error(), 0.5);
//! # Ok::<(), linalg::Error>(())
//! ```
//!
//! ## 6. Few directions are cheap: an adapter
//!
//! <var>W′ = W + (α/r)·B·A</var> trains r·(in + out) numbers instead of in·out.
//!
//! ```
//! use linalg::{Matrix, adapter::Adapter};
//!
//! let adapter = Adapter::new(Matrix::<f32>::zeros(8, 4096), Matrix::zeros(4096, 8), 16.0)?;
//! assert_eq!(adapter.parameters(), 65_536); // of 16,777,216: 0.39 %
//! # Ok::<(), linalg::Error>(())
//! ```
//!
//! ## 7. The spectrum of an operator without a matrix
//!
//! The Hessian of a loss has as many rows as the model has parameters. A product with it costs two backpropagations,
//! and [`krylov`] needs nothing else. λ_max bounds the learning rate: η < 2/λ_max.
//!
//! ```
//! use linalg::krylov::{End, Lanczos, start_vector};
//!
//! // The Hessian of ½·x² + 50·y² − ½·z², by its product with a vector.
//! let hessian = |v: &[f64], hv: &mut [f64]| {
//!     (hv[0], hv[1], hv[2]) = (v[0], 100.0 * v[1], -v[2]);
//! };
//! let ritz = Lanczos { end: End::Both, ..Default::default() }.run(hessian, &start_vector(3))?;
//! assert!((2.0 / ritz.largest().value - 0.02).abs() < 1e-14); // no larger learning rate than this
//! assert!((ritz.smallest().value + 1.0).abs() < 1e-12); // and 0 is a saddle
//! # Ok::<(), linalg::Error>(())
//! ```
//!
//! The numbered programs in `examples/` continue: neighbours and principal components of the letters of a text, the
//! error of low rank, 1/√d, rotations, Lanczos against a closed-form spectrum, a scaling law with its uncertainty.
//!
//! ## An operation in three lines
//!
//! A recorded step uses an operation like this: the caller provides the memory, and nothing is allocated.
//!
//! ```
//! use linalg::{Primitive, Work, matrix, affine::Affine};
//!
//! let w = matrix(2, 3, &[1.0, 0.0, 0.0, 1.0, 2.0, -1.0]);
//! let (x, b) = (matrix(3, 1, &[1.0, 2.0, 3.0]), matrix(2, 1, &[0.5, 0.5]));
//! let mut y = matrix(2, 1, &[0.0, 0.0]);
//! Affine.forward([w.as_view(), x.as_view(), b.as_view()], y.as_view_mut(), Work::none());
//! assert_eq!(y.as_slice(), &[7.5, -0.5]);
//! ```

// Used by the other crates: scalars, shapes, operations, formulas, kernels, and functions of vectors.
pub mod accurate;
mod apply;
#[macro_use]
pub mod cases;
pub mod derivation;
mod elementary;
mod error;
pub mod formula;
mod gradient;
pub mod gram;
pub mod half;
mod kernel;
#[cfg(test)]
mod laws;
pub mod norm;
pub mod outer;
pub mod parallel;
pub mod primitive;
pub mod real;
pub mod role;
pub mod shape;
pub mod similarity;
pub mod vector;

// Folders for the reader of the sources; their modules are exported without the folder's name.
mod decomposition;
mod operation;

/// The examples of the README run as tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Matrices and views are nalgebra's: its major version is part of this crate's.
pub use nalgebra;

pub use apply::{apply, pullback};
pub use decomposition::*;
pub use derivation::Derivation;
pub use elementary::Elementary;
pub use error::Error;
pub use formula::Formula;
pub use gradient::Gradient;
pub use kernel::factor::{Factor, transposed};
pub use kernel::product::{Products, parts, product_add, product_into};
pub use kernel::split::split_rows;
pub use kernel::vectors::Vectors;
pub use kernel::{limits, simd};
pub use operation::*;
pub use primitive::{Memory, Primitive, Reads, Work};
pub use real::Real;
pub use role::Role;
pub use shape::{Shape, ShapeError};

/// A matrix that owns its elements, column-major: [`nalgebra::DMatrix`].
pub type Matrix<T> = nalgebra::DMatrix<T>;
/// A matrix view for reading: each column is contiguous; the distance between columns is arbitrary.
pub type View<'a, T> = nalgebra::DMatrixView<'a, T>;
/// A matrix view for writing.
pub type ViewMut<'a, T> = nalgebra::DMatrixViewMut<'a, T>;

/// Creates the `rows × columns` matrix with these elements, in column-major order; [`from_rows`] takes rows.
///
/// ```
/// let a = linalg::matrix(2, 2, &[1.0, 2.0, 3.0, 4.0]);
/// assert_eq!(a[(0, 1)], 3.0); // first row, second column
/// ```
///
/// # Panics
/// If the number of elements is not `rows · columns`.
pub fn matrix<T: Real>(rows: usize, columns: usize, elements: &[T]) -> Matrix<T> {
    Matrix::from_column_slice(rows, columns, elements)
}

/// Creates the matrix with these rows, as it is written on paper and in NumPy.
///
/// ```
/// let a = linalg::from_rows(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// assert_eq!(a, linalg::matrix(2, 3, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0])); // the same, column by column
/// ```
#[doc(alias = "array")]
#[doc(alias = "from_row_slice")]
pub fn from_rows<T: Real, const N: usize>(rows: &[[T; N]]) -> Matrix<T> {
    Matrix::from_fn(rows.len(), N, |i, j| rows[i][j])
}

/// Returns column `j` as a slice.
///
/// ```
/// let a = linalg::matrix(2, 2, &[1.0, 2.0, 3.0, 4.0]);
/// assert_eq!(linalg::column(&a.as_view(), 1), [3.0, 4.0]);
/// ```
#[inline(always)]
pub fn column<'a, T: Real>(x: &'a View<'_, T>, j: usize) -> &'a [T] {
    x.column(j).data.into_slice()
}
