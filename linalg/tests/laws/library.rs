//! Our own product against that of nalgebra, through every public function.

use linalg::{Factor, Matrix, Real, View, product_add, product_into, transposed};
use proptest::prelude::*;

fn filled<T: Real>(m: usize, n: usize, seed: usize) -> Matrix<T> {
    Matrix::from_fn(m, n, |i, j| {
        T::from_f64(((i * 31 + j * 17 + seed * 7) % 23) as f64 / 11.0 - 1.0)
    })
}

fn agree<T: Real>(m: usize, n: usize, k: usize, turned: [bool; 2], add: bool, epsilon: f64) {
    let a = if turned[0] { filled::<T>(k, m, 1) } else { filled(m, k, 1) };
    let b = if turned[1] { filled::<T>(n, k, 2) } else { filled(k, n, 2) };
    let (left, right): (View<'_, T>, View<'_, T>) = (a.as_view(), b.as_view());
    let factor = |x, turned: bool| if turned { transposed(x) } else { Factor::from(x) };
    let (left, right) = (factor(left, turned[0]), factor(right, turned[1]));
    let start = filled::<T>(m, n, 3);
    let mut ours = start.clone();
    if add {
        product_add(ours.as_view_mut(), T::one(), left, right);
    } else {
        product_into(ours.as_view_mut(), T::one(), left, right);
    }
    let plain = |x: &Matrix<T>, turned: bool| if turned { x.transpose() } else { x.clone() };
    let mut library = plain(&a, turned[0]) * plain(&b, turned[1]);
    if add {
        library += start;
    }
    for (x, y) in ours.iter().zip(&library) {
        // Two orders of one sum of k terms of at most 1, and of the old value.
        let bound = 2.0 * (k + 2) as f64 * epsilon * (k + 1) as f64;
        assert!((x.to_f64() - y.to_f64()).abs() <= bound, "{m}×{k}×{n} {turned:?} {add}");
    }
    // A factor reports its memory layout.
    for (factor, turned) in [(left, turned[0]), (right, turned[1])] {
        let (view, says) = factor.parts();
        assert_eq!(says, turned);
        let (rows, columns) = if turned { (view.ncols(), view.nrows()) } else { view.shape() };
        assert_eq!((factor.rows(), factor.columns()), (rows, columns));
    }
}

proptest! {
    #[test]
    fn our_product_is_the_librarys(
        m in 1usize..70, n in 1usize..70, k in 1usize..70,
        left: bool, right: bool, add: bool,
    ) {
        agree::<f64>(m, n, k, [left, right], add, f64::EPSILON);
        agree::<f32>(m, n, k, [left, right], add, f64::from(f32::EPSILON));
    }
}
