//! The factors of a product, and the product by its definition.

use crate::{Real, View, ViewMut};

/// A factor of a product: a matrix, or its transpose without a copy.
///
/// ```
/// use linalg::{matrix, transposed};
/// let a = matrix(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// let turned = transposed(a.as_view()); // no element is copied
/// assert_eq!((turned.rows(), turned.columns(), turned.at(2, 0)), (3, 2, 5.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Factor<'a, T: Real> {
    pub(crate) view: View<'a, T>,
    pub(crate) transposed: bool,
}

/// Returns the transpose of `a`, as a factor.
///
/// ```
/// use linalg::{matrix, product_into, transposed};
/// let (a, b) = (matrix(2, 1, &[1.0, 2.0]), matrix(2, 1, &[3.0, 4.0]));
/// let mut c = matrix(1, 1, &[0.0]);
/// product_into(c.as_view_mut(), 1.0, transposed(a.as_view()), b.as_view());
/// assert_eq!(c[0], 11.0); // aᵀ·b
/// ```
#[doc(alias = "T")]
#[doc(alias = "permute")]
pub fn transposed<'a, T: Real>(a: View<'a, T>) -> Factor<'a, T> {
    Factor { view: a, transposed: true }
}

impl<'a, T: Real> From<View<'a, T>> for Factor<'a, T> {
    fn from(view: View<'a, T>) -> Self {
        Factor { view, transposed: false }
    }
}

impl<'a, T: Real> Factor<'a, T> {
    /// Returns the number of rows, after transposition.
    pub fn rows(&self) -> usize {
        if self.transposed { self.view.ncols() } else { self.view.nrows() }
    }

    /// Returns the number of columns, after transposition.
    pub fn columns(&self) -> usize {
        if self.transposed { self.view.nrows() } else { self.view.ncols() }
    }

    /// Returns the element in row `i` and column `j`, after transposition.
    #[inline(always)]
    pub fn at(&self, i: usize, j: usize) -> T {
        if self.transposed { self.view[(j, i)] } else { self.view[(i, j)] }
    }

    /// Returns the matrix as stored, and whether the factor is its transpose, for kernels of other scalars.
    pub fn parts(&self) -> (View<'a, T>, bool) {
        (self.view, self.transposed)
    }

    /// Returns the distance in memory between rows and between columns, after transposition.
    pub(crate) fn strides(&self) -> (usize, usize) {
        let (row, column) = self.view.strides();
        if self.transposed { (column, row) } else { (row, column) }
    }

    pub(crate) fn pointer(&self) -> *const T {
        self.view.as_ptr()
    }

    pub(crate) fn split_rows(&self, at: usize) -> (Factor<'_, T>, Factor<'_, T>) {
        if self.transposed { self.split_view_columns(at) } else { self.split_view_rows(at) }
    }

    pub(crate) fn split_columns(&self, at: usize) -> (Factor<'_, T>, Factor<'_, T>) {
        if self.transposed { self.split_view_rows(at) } else { self.split_view_columns(at) }
    }

    fn split_view_rows(&self, at: usize) -> (Factor<'_, T>, Factor<'_, T>) {
        let (top, bottom) = self.view.rows_range_pair(..at, at..);
        (self.with(top), self.with(bottom))
    }

    fn split_view_columns(&self, at: usize) -> (Factor<'_, T>, Factor<'_, T>) {
        let (left, right) = self.view.columns_range_pair(..at, at..);
        (self.with(left), self.with(right))
    }

    /// Returns `count` columns of a left factor from `first` on.
    pub(crate) fn some_columns(&self, first: usize, count: usize) -> Factor<'_, T> {
        self.with(match self.transposed {
            true => self.view.rows(first, count),
            false => self.view.columns(first, count),
        })
    }

    /// Returns `count` rows of a right factor from `first` on.
    pub(crate) fn some_rows(&self, first: usize, count: usize) -> Factor<'_, T> {
        self.with(match self.transposed {
            true => self.view.columns(first, count),
            false => self.view.rows(first, count),
        })
    }

    fn with<'b>(&self, view: View<'b, T>) -> Factor<'b, T> {
        Factor { view, transposed: self.transposed }
    }
}

/// Computes the product by its definition, for scalars without a kernel.
pub(crate) fn plain<T: Real>(
    mut c: ViewMut<'_, T>,
    alpha: T,
    a: Factor<'_, T>,
    b: Factor<'_, T>,
    add: bool,
) {
    for j in 0..c.ncols() {
        for i in 0..c.nrows() {
            let sum = (0..a.columns()).fold(T::zero(), |sum, k| sum + a.at(i, k) * b.at(k, j));
            let old = if add { c[(i, j)] } else { T::zero() };
            c[(i, j)] = old + alpha * sum;
        }
    }
}
