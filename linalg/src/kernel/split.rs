//! Splits one mutable view into two.
#![allow(unsafe_code)]

use crate::{Real, ViewMut};
use nalgebra::{Const, Dyn, ViewStorageMut};

/// Returns the rows above row `at`, and the rest. Like nalgebra's `rows_range_pair_mut`, but consumes the view: the
/// parts have its lifetime.
///
/// ```
/// let mut x = linalg::matrix(3, 2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// let (mut above, below) = linalg::split_rows(x.as_view_mut(), 1);
/// above.row_mut(0).copy_from(&below.row(1)); // the last row to the first
/// assert_eq!(x.as_slice(), [3.0, 2.0, 3.0, 6.0, 5.0, 6.0]);
/// ```
///
/// # Panics
/// If there are fewer than `at` rows.
pub fn split_rows<T: Real>(mut x: ViewMut<'_, T>, at: usize) -> (ViewMut<'_, T>, ViewMut<'_, T>) {
    let ((rows, columns), (_, stride)) = (x.shape(), x.strides());
    assert!(at <= rows, "a cut at row {at} of {rows}");
    let start = x.as_mut_ptr();
    let part = |first: usize, rows: usize| {
        let shape = (Dyn(rows), Dyn(columns));
        // SAFETY: the parts are the rows ..at and at.. of one view, with its distance between columns: every element of
        // a part belongs to the view, and none belongs to both. The view is consumed, so nothing else writes or reads
        // the elements during its lifetime, which both parts inherit.
        let storage = unsafe {
            ViewStorageMut::from_raw_parts(start.wrapping_add(first), shape, (Const, Dyn(stride)))
        };
        ViewMut::from_data(storage)
    };
    (part(0, at), part(at, rows - at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;

    #[test]
    fn parts_are_the_rows_and_write_nothing_else() {
        let whole = Matrix::from_fn(7, 3, |i, j| (10 * i + j) as f64);
        for at in 0..=4 {
            let mut x = whole.clone();
            // Rows 1 to 4 of seven: columns are further apart than they are long.
            let (mut above, mut below) = split_rows(x.rows_mut(1, 4), at);
            assert_eq!((above.shape(), below.shape()), ((at, 3), (4 - at, 3)));
            assert!(above == whole.rows(1, at) && below == whole.rows(1 + at, 4 - at));
            above.add_scalar_mut(100.0);
            below.add_scalar_mut(200.0);
            let added = |i: usize| match i {
                0 | 5.. => 0.0,
                i if i < 1 + at => 100.0,
                _ => 200.0,
            };
            assert_eq!(x, Matrix::from_fn(7, 3, |i, j| whole[(i, j)] + added(i)));
        }
    }

    #[test]
    #[should_panic(expected = "a cut at row 3 of 2")]
    fn a_cut_below_the_last_row_is_refused() {
        split_rows(Matrix::<f64>::zeros(2, 2).as_view_mut(), 3);
    }
}
