//! Sums of a million terms of one sign in single precision: the error does not grow with the number of terms.

use linalg::affine::{Affine, add_columns};
use linalg::gather::Gather;
use linalg::{Gradient, Matrix, Primitive, Work, accurate, apply, norm, pullback, vector};

/// ε of `f32`.
const E: f64 = f32::EPSILON as f64;

/// Numbers between 0.1 and 0.9, and their sum.
fn numbers(n: usize) -> (Vec<f32>, f64) {
    let x: Vec<f32> = (0..n).map(|i| 0.1 + 0.1 * ((i * 7) % 9) as f32).collect();
    let sum = x.iter().map(|&x| f64::from(x)).sum();
    (x, sum)
}

fn close(found: f32, exact: f64, units: f64) {
    assert!((f64::from(found) / exact - 1.0).abs() <= units * E, "{found} for {exact}");
}

#[test]
fn sums_and_norms_do_not_gather_roundings() {
    for n in [1, 17, 1023, 1024, 1025, 50_257, 1_000_000] {
        let (x, sum) = numbers(n);
        // One rounding of a sum that is stored as two numbers.
        close(accurate::sum(x.iter().copied()), sum, 0.5001);
        // At most 64 additions on a lane and 4 between lanes, each with an error of ε/2.
        close(vector::sum(&x), sum, 34.5);
        close(norm::l1(&x), sum, 34.5);
        let ones = vec![1.0_f32; n];
        close(vector::dot(&x, &ones), sum, 34.5);
        close(vector::reduce3(&x, &ones, &ones, |x, y, z| x * y * z), sum, 34.5);
        let square: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
        close(norm::l2(&x), square.sqrt(), 19.0);
    }
}

/// Gradients of a bias and of a table are sums over tokens.
#[test]
fn gradients_over_many_tokens() {
    for n in [1000, 1025, 300_000] {
        let (x, sum) = numbers(n);
        let dy = Matrix::from_fn(3, n, |i, j| x[j] * (i + 1) as f32);
        let mut bias = Matrix::zeros(3, 1);
        add_columns(bias.as_view_mut(), dy.as_view());
        // At most a thousand additions, each with an error of ε/2, and one more for each product with 3.
        (0..3).for_each(|i| close(bias[i], sum * (i + 1) as f64, 512.0));
        if n > 1024 {
            // In blocks of 128: at most 64 units.
            (0..3).for_each(|i| close(bias[i], sum * (i + 1) as f64, 66.0));
        }
        let (w, b) = (Matrix::zeros(3, 1), Matrix::zeros(3, 1));
        let [_, _, by_affine] =
            pullback(&Affine, [&w, &Matrix::from_element(1, n, 1.0), &b], &dy).unwrap();
        assert_eq!(by_affine, bias);

        // Two alternating tokens.
        let tokens = Matrix::from_fn(1, n, |_, j| (j % 2) as f32);
        let [table, _] = pullback(&Gather, [&Matrix::zeros(3, 2), &tokens], &dy).unwrap();
        for token in 0..2 {
            let exact: f64 = x.iter().skip(token).step_by(2).map(|&x| f64::from(x)).sum();
            (0..3).for_each(|i| close(table[(i, token)], exact * (i + 1) as f64, 512.0));
        }
    }
}

/// Indices out of range are ignored, also in blocks; gradients are added to the existing values.
#[test]
fn many_tokens_are_looked_up_as_few_are() {
    let n = 5000;
    let tokens = Matrix::from_fn(1, n, |_, j| [0.0, 2.0, -1.0, 7.0, f64::NAN, 2.0][j % 6]);
    let dy = Matrix::from_fn(2, n, |i, j| (i + j % 5) as f64);
    let mut table = Matrix::from_element(2, 3, 0.5);
    let mut scratch = [f64::NAN; 2];
    let work = Work::new(&mut [], &mut scratch);
    let zeros = Matrix::zeros(2, 3);
    let y = apply(&Gather, [&zeros, &tokens]).unwrap();
    let mut none = Matrix::zeros(1, n);
    let gradients = [table.as_view_mut(), none.as_view_mut()].map(Gradient::new);
    Gather.vjp([zeros.as_view(), tokens.as_view()], y.as_view(), dy.as_view(), gradients, work);
    for row in 0..2 {
        for column in 0..3 {
            // Integers: exact.
            let here = (0..n).filter(|&j| tokens[j] == column as f64).map(|j| dy[(row, j)]);
            assert_eq!(table[(row, column)], 0.5 + here.sum::<f64>());
        }
    }
}
