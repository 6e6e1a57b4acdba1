//! Parallel loops whose results have the same bits on any number of threads.
//!
//! A matrix is cut into blocks of columns, or of rows, whose size depends only on its shape. The result does not depend
//! on which thread takes which block. All blocks are views, so cutting neither copies nor allocates.

use crate::{Real, View, ViewMut, column};

/// Elements of a block: enough to outweigh the cost of handing it to another thread.
pub const BLOCK: usize = 8192;

// Work is passed as a reference to a trait object: the code that cuts is compiled once per scalar and number of
// matrices, not per caller. The cost of an indirect call is negligible beside a block.
type Work<'a, T, const M: usize> = &'a (dyn Fn(usize, [ViewMut<'_, T>; M]) + Sync);
type TileWork<'a, T, const M: usize> = &'a (dyn Fn(usize, usize, [ViewMut<'_, T>; M]) + Sync);

/// Calls both functions, on two threads where one is idle.
///
/// ```
/// let (mut a, mut b) = (0, 0);
/// linalg::parallel::join(|| a = 1, || b = 2);
/// assert_eq!((a, b), (1, 2));
/// ```
pub fn join(left: impl FnOnce() + Send, right: impl FnOnce() + Send) {
    let (mut left, mut right) = (Some(left), Some(right));
    join_any(&mut || left.take().map_or((), |f| f()), &mut || right.take().map_or((), |f| f()));
}

// rayon's jobs are compiled once, not for every pair of closures.
fn join_any(left: &mut (dyn FnMut() + Send), right: &mut (dyn FnMut() + Send)) {
    rayon::join(left, right);
}

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
    columns_of(longest(&matrices), matrices, work);
}

fn longest<T: Real>(matrices: &[ViewMut<'_, T>]) -> usize {
    matrices.iter().map(|m| m.nrows()).max().unwrap_or(0)
}

/// Like [`columns`], for work in proportion to columns of `rows` elements, which are only read.
fn columns_of<T: Real, const M: usize>(
    rows: usize,
    matrices: [ViewMut<'_, T>; M],
    work: impl Fn(usize, [ViewMut<'_, T>; M]) + Sync,
) {
    split_columns(0, matrices, (BLOCK / rows.max(1)).max(1), &work);
}

/// Calls `work(j, columns)` with column `j` of each of these matrices, which have equally many columns. Combines
/// [`columns`] and [`crate::simd`], for work in proportion to the longest column.
///
/// Mark the closure `#[inline(always)]`, as for [`crate::simd`].
///
/// ```
/// use linalg::{matrix, parallel};
/// let mut x = matrix(2, 2, &[1.0, 3.0, 5.0, 5.0]);
/// parallel::each_column([x.as_view_mut()], |j, [x]| x[1] -= x[0] + j as f64);
/// assert_eq!(x.as_slice(), &[1.0, 2.0, 5.0, -1.0]);
/// ```
#[inline(always)]
pub fn each_column<T: Real, const M: usize>(
    matrices: [ViewMut<'_, T>; M],
    work: impl Fn(usize, [&mut [T]; M]) + Sync,
) {
    each_column_of(longest(&matrices), matrices, work);
}

/// Like [`each_column`], for work in proportion to columns of `rows` elements, which are only read.
#[inline(always)]
pub fn each_column_of<T: Real, const M: usize>(
    rows: usize,
    matrices: [ViewMut<'_, T>; M],
    work: impl Fn(usize, [&mut [T]; M]) + Sync,
) {
    columns_of(rows, matrices, |first, mut matrices| {
        T::simd(
            #[inline(always)]
            || {
                for j in 0..matrices[0].ncols() {
                    work(first + j, columns_at(&mut matrices, j));
                }
            },
        );
    });
}

// What a loop takes from its matrices is cut by functions of their number, not by closures in it: arrays' `map` and
// `from_fn` are a dozen functions, which would be compiled again for every loop and every kind of vectors.

/// Returns column `j` of each of these matrices.
#[inline(always)]
fn columns_at<'a, T: Real, const M: usize>(
    matrices: &'a mut [ViewMut<'_, T>; M],
    j: usize,
) -> [&'a mut [T]; M] {
    matrices.each_mut().map(
        #[inline(always)]
        |m| m.column_mut(j).data.into_slice_mut(),
    )
}

/// Returns the first `n` elements of column `j` of each of these matrices.
#[inline(always)]
fn heads_at<'a, T: Real, const K: usize>(
    matrices: &'a [View<'_, T>; K],
    j: usize,
    n: usize,
) -> [&'a [T]; K] {
    let mut columns: [&[T]; K] = [&[]; K];
    for k in 0..K {
        columns[k] = &column(&matrices[k], j)[..n];
    }
    columns
}

/// Returns element `i` of each of these columns.
#[inline(always)]
fn elements_at<T: Real, const K: usize>(columns: &[&[T]; K], i: usize) -> [T; K] {
    let mut elements = [T::zero(); K];
    for k in 0..K {
        elements[k] = columns[k][i];
    }
    elements
}

/// Computes <var>y ← f(a, b, …)</var>, element by element, for matrices of the same shape.
///
/// Mark a closure with more than a few operations `#[inline(always)]`, as for [`crate::simd`].
///
/// ```
/// use linalg::{matrix, parallel};
/// let (a, b) = (matrix(1, 2, &[1.0, 2.0]), matrix(1, 2, &[10.0, 20.0]));
/// let mut y = matrix(1, 2, &[f64::NAN; 2]); // written, not read
/// parallel::each(y.as_view_mut(), [a.as_view(), b.as_view()], |[a, b]| a + b);
/// assert_eq!(y.as_slice(), &[11.0, 22.0]);
/// ```
#[inline(always)]
pub fn each<T: Real, const K: usize>(
    y: ViewMut<'_, T>,
    x: [View<'_, T>; K],
    f: impl Fn([T; K]) -> T + Sync,
) {
    update_each(
        y,
        x,
        #[inline(always)]
        |y, x| *y = f(x),
    );
}

/// Calls `update` with every element of y and the elements of x at the same position.
#[inline(always)]
pub(crate) fn update_each<T: Real, const K: usize>(
    y: ViewMut<'_, T>,
    x: [View<'_, T>; K],
    update: impl Fn(&mut T, [T; K]) + Sync,
) {
    each_column(
        [y],
        #[inline(always)]
        |j, [y]| {
            let n = y.len();
            let x = heads_at(&x, j, n);
            // With an index, the compiler sees that all accesses are in bounds; the loop is twice as fast as with
            // `iter_mut`.
            for i in 0..n {
                update(&mut y[i], elements_at(&x, i));
            }
        },
    );
}

/// Sets every element of x to `value`.
pub(crate) fn fill<T: Real>(x: ViewMut<'_, T>, value: T) {
    each_column([x], |_, [x]| x.fill(value));
}

fn split_columns<T: Real, const M: usize>(
    first: usize,
    mut matrices: [ViewMut<'_, T>; M],
    block: usize,
    work: Work<'_, T, M>,
) {
    let n = matrices[0].ncols();
    if n <= block {
        return work(first, matrices);
    }
    let middle = (n / 2).next_multiple_of(block);
    let (left, right) =
        unzip(matrices.each_mut().map(|m| m.columns_range_pair_mut(..middle, middle..)));
    join(
        || split_columns(first, left, block, work),
        || split_columns(first + middle, right, block, work),
    );
}

/// Calls `work(first, blocks)` on blocks of `block` rows of matrices that have equally many rows.
///
/// Intended for sums over columns: every block owns its rows and adds their columns in order.
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
    work: Work<'_, T, M>,
) {
    let n = matrices[0].nrows();
    if n <= block {
        return work(first, matrices);
    }
    let middle = (n / 2).next_multiple_of(block);
    let (top, bottom) =
        unzip(matrices.each_mut().map(|m| m.rows_range_pair_mut(..middle, middle..)));
    join(
        || split_rows(first, top, block, work),
        || split_rows(first + middle, bottom, block, work),
    );
}

/// Cuts every matrix into the same number of tiles, `down` × `across`, and calls `work(i, j, tiles)` on the tiles in
/// row i and column j. In attention, i counts heads and j counts sequences.
///
/// # Panics
/// If a matrix's rows are no multiple of `down`, or its columns no multiple of `across`.
pub fn tiles<T: Real, const M: usize>(
    matrices: [ViewMut<'_, T>; M],
    down: usize,
    across: usize,
    work: impl Fn(usize, usize, [ViewMut<'_, T>; M]) + Sync,
) {
    for m in &matrices {
        assert!(m.nrows().is_multiple_of(down) && m.ncols().is_multiple_of(across));
    }
    split_tiles((0, 0), (down, across), matrices, &work);
}

fn split_tiles<T: Real, const M: usize>(
    (i, j): (usize, usize),
    (down, across): (usize, usize),
    mut matrices: [ViewMut<'_, T>; M],
    work: TileWork<'_, T, M>,
) {
    if across > 1 {
        let half = across / 2;
        let (left, right) = unzip(matrices.each_mut().map(|m| {
            let middle = m.ncols() / across * half;
            m.columns_range_pair_mut(..middle, middle..)
        }));
        join(
            || split_tiles((i, j), (down, half), left, work),
            || split_tiles((i, j + half), (down, across - half), right, work),
        );
    } else if down > 1 {
        let half = down / 2;
        let (top, bottom) = unzip(matrices.each_mut().map(|m| {
            let middle = m.nrows() / down * half;
            m.rows_range_pair_mut(..middle, middle..)
        }));
        join(
            || split_tiles((i, j), (half, across), top, work),
            || split_tiles((i + half, j), (down - half, across), bottom, work),
        );
    } else {
        work(i, j, matrices);
    }
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
    fn tiles_are_numbered_by_row_and_column() {
        let mut x = Matrix::zeros(6, 35);
        tiles([x.as_view_mut()], 3, 7, |i, j, [mut tile]| {
            assert_eq!(tile.shape(), (2, 5));
            tile.add_scalar_mut((10 * i + j) as f64);
        });
        let expected = Matrix::from_fn(6, 35, |row, column| (10 * (row / 2) + column / 5) as f64);
        assert_eq!(x, expected);
    }

    #[test]
    fn every_element_is_visited_once() {
        let sizes = [(1, 1), (3, 50_000), (100, 1000), (20_000, 3)];
        // Several blocks of columns, and one column larger than a block.
        assert!(sizes.iter().any(|&(m, n)| m < BLOCK && m * n > 2 * BLOCK));
        assert!(sizes.iter().any(|&(m, n)| m > BLOCK && n > 1));
        for (m, n) in sizes {
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
