//! Work on several threads with the bits of one.
//!
//! A matrix is cut into blocks of columns, or of rows, whose size depends on its shape alone; which
//! thread takes which block changes nothing. All blocks are views, so cutting copies nothing and
//! allocates nothing.

use crate::{Real, ViewMut};

/// Elements of a block: enough to outweigh handing it to another thread.
const BLOCK: usize = 8192;

/// Calls `work(first, blocks)` on blocks of columns of matrices that have equally many columns;
/// `first` is the number of the block's first column.
///
/// ```
/// use linalg::{matrix, parallel};
/// let mut x = matrix(1, 3, &[0.0; 3]);
/// parallel::columns([x.as_view_mut()], |first, [mut x]| {
///     for j in 0..x.ncols() {
///         x[(0, j)] = (first + j) as f64;
///     }
/// });
/// assert_eq!(x.as_slice(), &[0.0, 1.0, 2.0]);
/// ```
pub fn columns<T: Real, const M: usize>(
    matrices: [ViewMut<'_, T>; M],
    work: impl Fn(usize, [ViewMut<'_, T>; M]) + Sync,
) {
    let rows = matrices.iter().map(|m| m.nrows()).max().unwrap_or(0);
    split_columns(0, matrices, (BLOCK / rows.max(1)).max(1), &work);
}

fn split_columns<T: Real, const M: usize>(
    first: usize,
    mut matrices: [ViewMut<'_, T>; M],
    block: usize,
    work: &(impl Fn(usize, [ViewMut<'_, T>; M]) + Sync),
) {
    let n = matrices[0].ncols();
    if n <= block {
        return work(first, matrices);
    }
    let middle = (n / 2).next_multiple_of(block);
    let (left, right) =
        unzip(matrices.each_mut().map(|m| m.columns_range_pair_mut(..middle, middle..)));
    rayon::join(
        || split_columns(first, left, block, work),
        || split_columns(first + middle, right, block, work),
    );
}

/// Calls `work(first, blocks)` on blocks of `block` rows of matrices that have equally many rows.
///
/// For sums over columns: every block owns its rows and adds their columns in order.
pub fn rows<T: Real, const M: usize>(
    matrices: [ViewMut<'_, T>; M],
    block: usize,
    work: impl Fn(usize, [ViewMut<'_, T>; M]) + Sync,
) {
    split_rows(0, matrices, block, &work);
}

fn split_rows<T: Real, const M: usize>(
    first: usize,
    mut matrices: [ViewMut<'_, T>; M],
    block: usize,
    work: &(impl Fn(usize, [ViewMut<'_, T>; M]) + Sync),
) {
    let n = matrices[0].nrows();
    if n <= block {
        return work(first, matrices);
    }
    let middle = (n / 2).next_multiple_of(block);
    let (top, bottom) =
        unzip(matrices.each_mut().map(|m| m.rows_range_pair_mut(..middle, middle..)));
    rayon::join(
        || split_rows(first, top, block, work),
        || split_rows(first + middle, bottom, block, work),
    );
}

fn unzip<A, B, const M: usize>(pairs: [(A, B); M]) -> ([A; M], [B; M]) {
    let mut second: [Option<B>; M] = std::array::from_fn(|_| None);
    let mut next = second.iter_mut();
    let first = pairs.map(|(a, b)| {
        if let Some(place) = next.next() {
            *place = Some(b);
        }
        a
    });
    (first, second.map(|b| b.expect("as many seconds as pairs")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;

    #[test]
    fn every_element_is_visited_once() {
        for (m, n) in [(1, 1), (3, 50_000), (100, 1000), (20_000, 3)] {
            let (mut x, mut y) = (Matrix::zeros(m, n), Matrix::zeros(2, n));
            columns([x.as_view_mut(), y.as_view_mut()], |first, [mut x, mut y]| {
                for j in 0..x.ncols() {
                    x.column_mut(j).add_scalar_mut((first + j + 1) as f64);
                    y.column_mut(j).add_scalar_mut(1.0);
                }
            });
            assert!((0..n).all(|j| x.column(j).iter().all(|&x| x == (j + 1) as f64)));
            assert!(y.iter().all(|&y| y == 1.0));
            rows([x.as_view_mut()], 16, |first, [mut x]| {
                for i in 0..x.nrows() {
                    x.row_mut(i).fill((first + i) as f64);
                }
            });
            assert!((0..m).all(|i| x.row(i).iter().all(|&x| x == i as f64)));
        }
    }
}
