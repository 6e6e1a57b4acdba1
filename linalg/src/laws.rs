//! Generators for this crate's property tests: short and long floats, and matrices of every small shape, some of them
//! rank-deficient.

use crate::{Matrix, apply, operation::product::Product};
use proptest::prelude::*;
use std::ops::Range;

/// A number between −9 and 9, often an integer, so that ties, zeros and dependent columns occur.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![(-9..=9_i32).prop_map(f64::from), -9.0..9.0_f64]
}

pub(crate) fn vectors(length: Range<usize>) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(number(), length)
}

/// Two vectors of the same length.
pub(crate) fn pair(length: Range<usize>) -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    length.prop_flat_map(|n| (vectors(n..n + 1), vectors(n..n + 1)))
}

fn of_shape(rows: usize, columns: usize) -> impl Strategy<Value = Matrix<f64>> {
    let n = rows * columns;
    vectors(n..n + 1).prop_map(move |x| Matrix::from_vec(rows, columns, x))
}

/// Matrices whose numbers of rows and columns are in `side`.
pub(crate) fn matrices(side: Range<usize>) -> impl Strategy<Value = Matrix<f64>> {
    (side.clone(), side).prop_flat_map(|(m, n)| of_shape(m, n))
}

pub(crate) fn squares(side: Range<usize>) -> impl Strategy<Value = Matrix<f64>> {
    side.prop_flat_map(|n| of_shape(n, n))
}

pub(crate) fn symmetric(side: Range<usize>) -> impl Strategy<Value = Matrix<f64>> {
    squares(side).prop_map(|a| &a + a.transpose())
}

/// Two matrices that can be multiplied.
pub(crate) fn factors(side: Range<usize>) -> impl Strategy<Value = (Matrix<f64>, Matrix<f64>)> {
    (side.clone(), side.clone(), side).prop_flat_map(|(m, k, n)| (of_shape(m, k), of_shape(k, n)))
}

/// A pseudo-random matrix with elements between −1 and 1, the same on every run.
pub(crate) fn draw(seed: u64, rows: usize, columns: usize) -> Matrix<f64> {
    Matrix::from_fn(rows, columns, |i, j| {
        let mut z = (seed << 40) ^ ((i as u64) << 20) ^ j as u64;
        // The finaliser of splitmix64.
        z = z.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    })
}

pub(crate) fn product(a: &Matrix<f64>, b: &Matrix<f64>) -> Matrix<f64> {
    apply(&Product::plain(), [a, b]).unwrap()
}

/// Returns <var>‖A − B‖_F</var>.
pub(crate) fn gap(a: &Matrix<f64>, b: &Matrix<f64>) -> f64 {
    (a - b).norm()
}

/// Returns <var>‖QᵀQ − I‖_F</var>, the columns' distance from orthonormal.
pub(crate) fn skew(q: &Matrix<f64>) -> f64 {
    gap(&(q.transpose() * q), &Matrix::identity(q.ncols(), q.ncols()))
}

/// The decomposition of c·A is the scaled decomposition of A, for every power of two c for which c·A is exact, from
/// subnormal elements to the largest. The bits agree unless stated otherwise.
mod scales {
    use super::*;
    use crate::decomposition::cholesky::Cholesky;
    use crate::decomposition::krylov::{End, Lanczos, operator, power_iteration, start_vector};
    use crate::decomposition::low_rank::LowRank;
    use crate::decomposition::lu::{self, Lu};
    use crate::decomposition::principal::PrincipalComponents;
    use crate::decomposition::svd::{self, Svd};
    use crate::decomposition::symmetric::SymmetricEigen;
    use crate::norm::{exponent, times_power};
    use crate::{Error, decomposition::projection, decomposition::spectrum, norm};

    const E: f64 = f64::EPSILON;
    const TINY: f64 = 5e-324;

    /// Returns c·A if it is exact and if its products with unit vectors do not overflow.
    fn scaled(a: &Matrix<f64>, k: i32) -> Option<Matrix<f64>> {
        let found = a.map(|x| times_power(x, k));
        let exact = found.map(|x| times_power(x, -k)) == *a;
        (exact && a.iter().all(|&x| exponent(x).unwrap_or(0) + k < 1016)).then_some(found)
    }

    fn all(x: &[f64], k: i32) -> Vec<f64> {
        x.iter().map(|&x| times_power(x, k)).collect()
    }

    proptest! {
        #[test]
        fn singular_values_and_what_is_made_of_them(a in matrices(1..7), k in -1078..1020_i32) {
            let Some(ca) = scaled(&a, k) else { return Ok(()) };
            let (one, other) = (Svd::of(&a).unwrap(), Svd::of(&ca).unwrap());
            prop_assert_eq!((&one.u, &one.v), (&other.u, &other.v));
            prop_assert_eq!(all(&one.values, k), other.values);
            let condition = |a: &Matrix<f64>| svd::condition_number(a).unwrap();
            prop_assert_eq!(condition(&a).to_bits(), condition(&ca).to_bits());
            let (low, high) = (LowRank::of(&a, 1).unwrap(), LowRank::of(&ca, 1).unwrap());
            prop_assert_eq!(low.right, high.right);
            // A product of a value that may be subnormal, and is then rounded.
            let mut left = all(low.left.as_slice(), k).into_iter().zip(&high.left);
            prop_assert!(left.all(|(x, y)| (x - y).abs() <= TINY));
            prop_assert_eq!(times_power(spectrum::spectral_norm(&a).unwrap(), k), spectrum::spectral_norm(&ca).unwrap());
            if a.ncols() > 1 {
                let pca = |a: &Matrix<f64>| PrincipalComponents::of(a).unwrap();
                let (one, other) = (pca(&a), pca(&ca));
                // The mean of subnormal numbers is rounded, so only exact means are compared.
                if scaled(&one.mean, k).is_some_and(|mean| mean == other.mean) {
                    let rounding = a.ncols() as f64 * TINY / times_power(one_of(&a), k);
                    let slack = 64.0 * (E + rounding);
                    prop_assert!((one.explained(1) - other.explained(1)).abs() <= slack);
                }
                prop_assert!(other.explained(1) <= 1.0 + 4.0 * E);
            }
        }

        #[test]
        fn eigenvalues(a in symmetric(1..7), k in -1078..1020_i32) {
            let Some(ca) = scaled(&a, k) else { return Ok(()) };
            let (one, other) = (SymmetricEigen::of(&a).unwrap(), SymmetricEigen::of(&ca).unwrap());
            prop_assert_eq!(one.vectors, other.vectors);
            prop_assert_eq!(all(&one.values, k), other.values);
            // The basis does not have the same bits if the first vector was scaled.
            let method = Lanczos { end: End::Both, iterations: 50, tolerance: 0.0 };
            let n = a.nrows();
            let run = |a: &Matrix<f64>| method.run(operator(a).unwrap(), &start_vector(n)).unwrap();
            let (one, other) = (run(&a), run(&ca));
            let slack = 64.0 * E * times_power(a.norm(), k) + 2.0 * TINY;
            for (one, other) in [(one.largest(), other.largest()), (one.smallest(), other.smallest())] {
                prop_assert!((times_power(one.value, k) - other.value).abs() <= slack + other.residual);
            }
            let steps = |a: &Matrix<f64>| power_iteration(operator(a).unwrap(), &start_vector(n), 3, 0.0).unwrap();
            let (one, other) = (steps(&a), steps(&ca));
            prop_assert_eq!(one.vector, other.vector);
            // Subnormal numbers are rounded on the way back.
            prop_assert!((times_power(one.value, k) - other.value).abs() <= TINY);
            prop_assert!((times_power(one.residual, k) - other.residual).abs() <= TINY);
        }

        #[test]
        fn elimination(a in squares(1..7), k in -1078..1020_i32, seed in 0..99_u64) {
            let Some(ca) = scaled(&a, k) else { return Ok(()) };
            let b = draw(seed, a.nrows(), 2);
            let (one, other) = (Lu::of(&a).unwrap(), Lu::of(&ca).unwrap());
            let (before, after) = (one.log_determinant(), other.log_determinant());
            prop_assert_eq!(before.sign, after.sign);
            let expected = before.ln + (a.nrows() as f64 * f64::from(k)) * std::f64::consts::LN_2;
            prop_assert!(expected == after.ln || (after.ln - expected).abs() <= 8.0 * E * (expected.abs() + after.ln.abs()));
            match (one.solve(&b), other.solve(&b)) {
                (Ok(x), Ok(y)) => prop_assert_eq!(all(x.as_slice(), -k), y.as_slice()),
                (Err(one), Err(other)) => prop_assert_eq!(one, other),
                (one, other) => prop_assert!(false, "{one:?} and {other:?}"),
            }
        }

        /// Badly scaled rows and columns, over 600 decades: D·A·E·x = D·b has the solution E⁻¹·A⁻¹·b.
        #[test]
        fn units_of_rows_and_columns(
            a in squares(1..7), seed in 0..99_u64,
            powers in prop::collection::vec(-500..500_i32, 12),
        ) {
            let condition = svd::condition_number(&a).unwrap();
            prop_assume!(condition < 1e6);
            let (n, (d, e)) = (a.nrows(), powers.split_at(6));
            let b = draw(seed, n, 1);
            let graded = Matrix::from_fn(n, n, |i, j| times_power(a[(i, j)], d[i] + e[j]));
            let right = Matrix::from_fn(n, 1, |i, _| times_power(b[i], d[i]));
            let y = lu::solve(&graded, &right).unwrap();
            // If no row and no column has an element above 2, elimination is backward stable: n³ roundings of numbers
            // that grow at most 2ⁿ⁻¹ times, and rarely n times.
            let sizes = |i: usize, j: usize| exponent(graded[(i, j)]);
            let rows = Vec::from_iter((0..n).map(|i| (0..n).filter_map(|j| sizes(i, j)).max().unwrap()));
            let of_column = |j: usize| (0..n).filter_map(|i| Some(sizes(i, j)? - rows[i])).max().unwrap();
            let columns = Vec::from_iter((0..n).map(of_column));
            let plain = Matrix::from_fn(n, n, |i, j| times_power(graded[(i, j)], -rows[i] - columns[j]));
            let back = Matrix::from_fn(n, 1, |i, _| times_power(y[i], columns[i]));
            let wanted = Matrix::from_fn(n, 1, |i, _| times_power(right[i], -rows[i]));
            let bound = 4.0 * (n * n) as f64 * E * (back.norm() + wanted.norm());
            prop_assert!(gap(&product(&plain, &back), &wanted) <= bound, "{back}");
            let inverse = plain.norm() * lu::Lu::of(&plain).unwrap().inverse().unwrap().norm();
            let plain = lu::log_determinant(&a).unwrap();
            let found = lu::log_determinant(&graded).unwrap();
            let power = f64::from(d[..n].iter().chain(&e[..n]).sum::<i32>()) * std::f64::consts::LN_2;
            prop_assert_eq!(found.sign, plain.sign);
            let slack = 64.0 * E * (condition + inverse + power.abs() + plain.ln.abs());
            prop_assert!((found.ln - plain.ln - power).abs() <= slack);
        }

        /// The same for a positive definite matrix D·A·D: L becomes D·L to the bit, and so do solutions.
        #[test]
        fn units_of_a_covariance(a in matrices(1..7), seed in 0..99_u64, d in prop::collection::vec(-250..250_i32, 6)) {
            let a = product(&a, &a.transpose()) + Matrix::identity(a.nrows(), a.nrows());
            let n = a.nrows();
            let graded = Matrix::from_fn(n, n, |i, j| times_power(a[(i, j)], 2 * d[i] + 2 * d[j]));
            let b = draw(seed, n, 1);
            let right = Matrix::from_fn(n, 1, |i, _| times_power(b[i], 2 * d[i]));
            let (one, other) = (Cholesky::of(&a).unwrap(), Cholesky::of(&graded).unwrap());
            prop_assert_eq!(&Matrix::from_fn(n, n, |i, j| times_power(one.lower()[(i, j)], 2 * d[i])), other.lower());
            prop_assert_eq!(one.whiten(&b).unwrap(), other.whiten(&right).unwrap());
            let x = one.solve(&b).unwrap();
            let scaled_x = Matrix::from_fn(n, 1, |i, _| times_power(x[i], -2 * d[i]));
            prop_assert_eq!(scaled_x, other.solve(&right).unwrap());
        }

        #[test]
        fn shadows((x, d) in pair(1..9), k in -1000..1000_i32) {
            prop_assume!(norm::linf(&d) > 0.0);
            let one = projection::onto(&x, &d).unwrap();
            let exact = one.iter().chain(&x).all(|&x| exponent(x).is_none_or(|e| e + k > -960));
            let other = projection::onto(&all(&x, k), &all(&d, -k)).unwrap();
            prop_assert!(!exact || all(&one, k) == other);
        }
    }

    /// Returns the largest element, or 1 if all are zero.
    fn one_of(a: &Matrix<f64>) -> f64 {
        let most = norm::linf(a.as_slice());
        if most == 0.0 { 1.0 } else { most }
    }

    /// Each case has one column, one row, all zeros or a dependent column.
    #[test]
    fn matrices_without_full_rank() {
        for (m, n, x) in [
            (1, 1, vec![0.0]),
            (3, 1, vec![0.0; 3]),
            (1, 3, vec![2e-310, 0.0, -1e-310]),
            (3, 3, vec![0.0; 9]),
            (2, 2, vec![1e300, 2e300, 2e300, 4e300]),
            (2, 2, vec![1e-300, 2e-300, 2e-300, 4e-300]),
            (3, 2, vec![0.0, 0.0, 1e200, 0.0, 0.0, 0.0]),
        ] {
            let a = Matrix::from_vec(m, n, x);
            let found = Svd::of(&a).unwrap();
            let rank = usize::from(norm::linf(a.as_slice()) > 0.0);
            assert_eq!(found.rank(), rank, "{a}");
            assert!(skew(&found.u) <= 16.0 * E && skew(&found.v) <= 16.0 * E, "{a}");
            let size = norm::linf(a.as_slice());
            let back = found.matrix();
            assert!(a.iter().zip(&back).all(|(x, y)| (x - y).abs() <= 16.0 * E * size + TINY));
            assert_eq!(spectrum::energy(&found.values, 1), Ok(1.0));
            if m == n {
                assert_eq!(lu::log_determinant(&a).unwrap().sign, 0.0, "{a}");
                assert!(matches!(lu::solve(&a, &a), Err(Error::Singular { .. })), "{a}");
                let values = SymmetricEigen::of(&a).unwrap().values;
                assert!(values[1..].iter().all(|x| x.abs() <= 16.0 * E * size), "{a}");
            }
        }
    }

    /// Each result is in range or refused, although an intermediate value is out of range.
    #[test]
    fn beyond_the_range_on_the_way() {
        let a = Matrix::<f64>::from_vec(2, 2, vec![1e300, 2e300, 1e-300, 1e-300]);
        // det = 1 − 2.
        let found = lu::log_determinant(&a).unwrap();
        assert!(found.sign == -1.0 && found.ln.abs() <= 1e-12);
        let x = lu::solve(&a, &Matrix::from_vec(2, 1, vec![1e-300, 0.0])).unwrap();
        assert!(x[0] == 0.0 && (x[1] - 2.0).abs() <= 4.0 * E);

        let root = Cholesky::of(&Matrix::from_vec(2, 2, vec![1e-320, 0.0, 0.0, 1.0])).unwrap();
        let white = root.whiten(&Matrix::from_vec(2, 1, vec![1e200, 1.0])).unwrap();
        assert_eq!(white.as_slice(), [f64::INFINITY, 1.0]);

        // Hadamard's matrix: A² = 4·10⁶¹⁶, all eigenvalues are ±2·10³⁰⁸, which overflows f64.
        let sign = |i: usize, j: usize| {
            if (i & j).count_ones().is_multiple_of(2) { 1e308 } else { -1e308 }
        };
        let a = Matrix::from_fn(4, 4, sign);
        assert!(matches!(Svd::of(&a), Err(Error::Range { .. })));
        assert!(matches!(SymmetricEigen::of(&a), Err(Error::Range { .. })));
        assert!(Lanczos::default().run(operator(&a).unwrap(), &start_vector(4)).is_err());
        assert_eq!(spectrum::spectral_norm(&a), Ok(f64::INFINITY));
        assert!((svd::condition_number(&a).unwrap() - 1.0).abs() <= 16.0 * E);

        let most = f64::MAX;
        let found = projection::onto(&[most, most, 3.0], &[1.0, 1.0, 0.0]).unwrap();
        assert!(found[2] == 0.0 && found[..2].iter().all(|x| (x / most - 1.0).abs() <= 4.0 * E));

        // Two axes with variances in the ratio 9 : 1; the variances themselves are out of range of f64.
        for size in [1e-200, 1e200] {
            let x = Matrix::from_vec(2, 4, vec![3.0, 0.0, -3.0, 0.0, 0.0, 1.0, 0.0, -1.0]) * size;
            let found = PrincipalComponents::of(&x).unwrap();
            assert!((found.explained(1) - 0.9).abs() <= 4.0 * E, "{}", found.explained(1));
        }
        let x = Matrix::from_element(1, 3, 5e-324);
        assert_eq!(PrincipalComponents::of(&x).unwrap().mean[0], 5e-324);
    }
}
