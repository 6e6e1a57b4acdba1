//! Difficult systems and spectra: a distant pivot, rows of very different size, a nearly zero pivot, clustered
//! eigenvalues.

use linalg::krylov::{End, Lanczos, operator, start_vector};
use linalg::lu::{Lu, log_determinant, solve};
use linalg::svd::Svd;
use linalg::{Error, Matrix, cholesky::Cholesky, matrix};
use proptest::prelude::*;

/// Numbers of both signs, none near 0.
fn numbers(n: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![0.1..2.0_f64, -2.0..-0.1_f64], n)
}

proptest! {
    /// The only nonzero element of a column may be in any row: a permutation is solved exactly.
    #[test]
    fn a_pivot_is_found_however_far(order in Just((0..12).collect::<Vec<usize>>()).prop_shuffle(), b in numbers(12)) {
        let n = order.len();
        let mut a = Matrix::zeros(n, n);
        order.iter().enumerate().for_each(|(i, &j)| a[(i, j)] = 1.0);
        let x = solve(&a, &matrix(n, 1, &b)).unwrap();
        prop_assert!((0..n).all(|i| x[order[i]] == b[i]));
        prop_assert_eq!(log_determinant(&a).unwrap().ln, 0.0);
    }

    /// Multiplying equations or unknowns by powers of two does not change a bit of the solution.
    #[test]
    fn the_scale_of_an_equation_changes_nothing(
        a in numbers(25), b in numbers(5), rows in prop::collection::vec(-300..300_i32, 5),
        columns in prop::collection::vec(-150..150_i32, 5),
    ) {
        let (a, b) = (matrix(5, 5, &a), matrix(5, 1, &b));
        let power = |e: i32| f64::from(e).exp2();
        let scaled = Matrix::from_fn(5, 5, |i, j| a[(i, j)] * power(rows[i]) * power(columns[j]));
        let right = Matrix::from_fn(5, 1, |i, _| b[i] * power(rows[i]));
        match (solve(&a, &b), solve(&scaled, &right)) {
            (Ok(x), Ok(y)) => {
                // Rows are scaled before columns, so the row scales depend on the columns' scale: the bits agree if
                // columns are not scaled; otherwise the results agree up to the condition of the matrix.
                let condition = Svd::of(&a).unwrap().condition_number().unwrap();
                for j in 0..5 {
                    let y = y[j] * power(columns[j]);
                    prop_assert!((y - x[j]).abs() <= 1e-13 * condition * x.amax(), "{} {}", y, x[j]);
                }
                let rows_alone = Matrix::from_fn(5, 5, |i, j| a[(i, j)] * power(rows[i]));
                prop_assert_eq!(solve(&rows_alone, &right).unwrap(), x);
            }
            (one, two) => prop_assert_eq!(one.is_err(), two.is_err()),
        }
    }

    /// Rows over 600 binary decades, in any order: every singular value is as accurate as for the same rows sorted.
    #[test]
    fn graded_rows_keep_their_small_singular_values(
        b in numbers(16), order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(), step in 20..100_i32,
    ) {
        let b = matrix(4, 4, &b) + Matrix::identity(4, 4) * 6.0;
        let graded = |i: usize| f64::from(-step * i as i32).exp2();
        // det A = Π d · det B in any order: the product of all singular values, each fully accurate.
        let a = Matrix::from_fn(4, 4, |i, j| b[(i, j)] * graded(order[i]));
        let svd = Svd::of(&a).unwrap();
        let ln: f64 = svd.values.iter().map(|s| s.ln()).sum();
        let exact = log_determinant(&b).unwrap().ln - f64::from(step * 6) * std::f64::consts::LN_2;
        prop_assert!((ln - exact).abs() <= 1e-12 * exact.abs().max(1.0), "{} {}", ln, exact);
        prop_assert!((svd.matrix() - &a).amax() <= 1e-13 * a.amax());
        let transposed = Svd::of(&a.transpose()).unwrap();
        for (one, other) in svd.values.iter().zip(&transposed.values) {
            prop_assert!((one / other - 1.0).abs() <= 1e-11, "{} {}", one, other);
        }
    }
}

/// A pivot of 10⁻¹³ is not treated as 0; all numbers here are exact, so the solution is exact.
#[test]
fn what_is_nearly_singular_is_regular() {
    for power in [-43, -50, -52] {
        let d = f64::from(power).exp2();
        let a = matrix(2, 2, &[1.0, 1.0, 1.0, 1.0 + d]);
        // For x = (−1, 1): 0 and d.
        assert_eq!(solve(&a, &matrix(2, 1, &[0.0, d])).unwrap().as_slice(), &[-1.0, 1.0]);
        assert_eq!(log_determinant(&a).unwrap().ln, d.ln());
    }
    assert!(matches!(
        solve(&matrix(2, 2, &[1.0_f64; 4]), &matrix(2, 1, &[1.0, 1.0])),
        Err(Error::Singular { pivot: 1 })
    ));
}

/// A solution that overflows is ±∞ with the right sign; a finite solution is found even if intermediate values
/// overflow.
#[test]
fn solutions_at_the_end_of_the_range() {
    let tiny = 5e-324;
    let a = Matrix::from_fn(4, 4, |i, j| tiny * (1 + (i * j) % 3 + 4 * usize::from(i == j)) as f64);
    let x = solve(&a, &Matrix::from_element(4, 1, 1.0)).unwrap();
    assert!(x.iter().all(|x| *x == f64::INFINITY), "{x}");
    let x = Lu::of(&a).unwrap().solve(&Matrix::from_element(4, 1, -1.0)).unwrap();
    assert!(x.iter().all(|x| *x == f64::NEG_INFINITY), "{x}");
    // An intermediate 10³⁰⁰·(1, −1) for a solution of size 1: (1 + δ) − 1 beside 10³⁰⁰.
    let (d, big) = ((-50_f64).exp2(), 1e300);
    let a = matrix(2, 2, &[1.0, 1.0, 1.0, 1.0 + d]);
    let x = solve(&a, &matrix(2, 1, &[big, big * (1.0 + d)])).unwrap();
    assert!((x[0] / big + x[1] / big - 1.0).abs() < 1e-15, "{x}");
    let single = matrix(2, 2, &[1e-30_f32, 0.0, 0.0, -1e-30]);
    let x = solve(&single, &matrix(2, 1, &[1e30, 1e30])).unwrap();
    assert_eq!(x.as_slice(), &[f32::INFINITY, f32::NEG_INFINITY]);
    let root = Cholesky::of(&matrix(2, 2, &[1e-300, 5e-301, 5e-301, 1e-300])).unwrap();
    let x = root.solve(&matrix(2, 1, &[1e100, -1e100])).unwrap();
    assert_eq!(x.as_slice(), &[f64::INFINITY, f64::NEG_INFINITY]);
    // Non-finite right-hand sides propagate.
    let a = Lu::of(&matrix(2, 2, &[2.0, 0.0, 1.0, 4.0])).unwrap();
    assert!(a.solve(&matrix(2, 1, &[f64::NAN, 1.0])).unwrap()[0].is_nan());
}

/// An eigenvalue of 0 has converged if its residual is small relative to the operator, not to itself.
#[test]
fn an_eigenvalue_of_nothing_converges() {
    let n = 300;
    let operator = |x: &[f64], y: &mut [f64]| {
        for i in 0..n {
            y[i] = x[i] * if i == 0 { 0.0 } else { 1.0 + i as f64 / n as f64 };
        }
    };
    let method = Lanczos { end: End::Smallest, iterations: 60, ..Lanczos::default() };
    let found = method.run(operator, &start_vector(n)).unwrap().smallest();
    assert!(found.converged && found.value.abs() < 1e-9, "{found:?}");
}

/// Every asymmetric matrix is refused, also of size 2, unless the start vector is an eigenvector, which reveals
/// nothing.
#[test]
fn an_operator_that_is_not_symmetric_is_refused() {
    for n in 2..7 {
        for skew in [1e-3, 0.1, 4.0] {
            let mut a = Matrix::from_fn(n, n, |i, j| 1.0 / (1 + i + j) as f64);
            a[(n - 1, 0)] += skew;
            let refused = Lanczos { tolerance: 0.0, end: End::Both, ..Lanczos::default() }
                .run(operator(&a).unwrap(), &start_vector(n));
            assert!(matches!(refused, Err(Error::NotSymmetric { .. })), "{n} {skew}");
        }
    }
    // Eigenvalues 1 and 2; a former version returned 4.70 and −1.70.
    let a = matrix(2, 2, &[1.0, 0.0, 9.0, 2.0]);
    assert!(Lanczos::default().run(operator(&a).unwrap(), &start_vector(2)).is_err());
}

#[test]
#[should_panic(expected = "the start vector has 3 elements where the 2 × 2 matrix needs 2")]
fn a_start_of_another_length_is_named() {
    let a = matrix(2, 2, &[2.0, 1.0, 1.0, 2.0]);
    let _ = Lanczos::default().run(operator(&a).unwrap(), &[1.0, 2.0, 3.0]);
}
