use super::*;
use crate::decomposition::basis::orthonormal;
use crate::laws::{draw, product, symmetric};
use proptest::prelude::*;

/// Returns <var>Q·diag(λ)·Qᵀ</var> for a random rotation Q.
fn with_spectrum(values: &[f64], seed: u64) -> Matrix<f64> {
    let n = values.len();
    let q = orthonormal(&draw(seed, n, n), 1e-8).unwrap();
    let scaled = Matrix::from_fn(n, n, |i, j| q[(i, j)] * values[j]);
    let a = product(&scaled, &q.transpose());
    (&a + a.transpose()) / 2.0
}

proptest! {
    #[test]
    fn all_of_a_small_spectrum(a in symmetric(1..8)) {
        let exact = SymmetricEigen::of(&a).unwrap();
        let method = Lanczos { end: End::Both, iterations: 50, tolerance: 0.0 };
        let start = start_vector(a.nrows());
        let ritz = method.run(operator(&a).unwrap(), &start).unwrap();
        let bound = 1e-12 * a.norm();
        // No Ritz value is outside the spectrum, and each is near an eigenvalue.
        for (i, &value) in ritz.values.iter().enumerate() {
            let nearest = exact.values.iter().map(|e| (e - value).abs()).fold(f64::INFINITY, f64::min);
            prop_assert!(nearest <= ritz.residuals[i] + bound, "{value}");
        }
        prop_assert!(ritz.largest().value <= exact.values[0] + bound);
        prop_assert!(ritz.smallest().value >= exact.values[a.nrows() - 1] - bound);
    }

    #[test]
    fn a_known_spectrum(seed in 0..999_u64, largest in 1.0..100.0_f64) {
        // One isolated eigenvalue, and 39 close together below it.
        let values: Vec<f64> =
            (0..40).map(|i| if i == 0 { largest } else { 0.9 * largest * (i as f64 * 1.7).cos() }).collect();
        let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let a = with_spectrum(&values, seed);
        let ritz = Lanczos::default().run(operator(&a).unwrap(), &start_vector(40)).unwrap();
        let found = ritz.largest();
        prop_assert!(found.converged);
        prop_assert!((found.value - largest).abs() <= 1e-8 * largest, "{}", found.value);
        // The stated residual is the actual residual.
        let x = Matrix::from_column_slice(40, 1, &found.vector);
        let true_residual = (product(&a, &x) - &x * found.value).norm();
        prop_assert!(true_residual <= found.residual + 1e-13 * largest);
        prop_assert!((x.norm() - 1.0).abs() <= 1e-13);
        let method = Lanczos { end: End::Smallest, ..Default::default() };
        let found = method.run(operator(&a).unwrap(), &start_vector(40)).unwrap().smallest();
        prop_assert!(found.converged && (found.value - smallest).abs() <= 1e-8 * largest);
    }

    #[test]
    fn power_iteration_finds_the_same(seed in 0..999_u64, sign in prop_oneof![Just(1.0), Just(-1.0)]) {
        let values: Vec<f64> = [4.0, 2.0, 1.0, -1.5, 0.0].iter().map(|v| v * sign).collect();
        let a = with_spectrum(&values, seed);
        let start = start_vector(5);
        let found = power_iteration(operator(&a).unwrap(), &start, 500, 1e-12).unwrap();
        prop_assert!(found.converged && (found.value - 4.0 * sign).abs() <= 1e-11);
        let end = if sign > 0.0 { End::Largest } else { End::Smallest };
        let ritz = Lanczos { end, ..Default::default() }.run(operator(&a).unwrap(), &start).unwrap();
        let best = if sign > 0.0 { ritz.largest() } else { ritz.smallest() };
        prop_assert!((found.value - best.value).abs() <= 1e-8);
        prop_assert!(best.iterations <= found.iterations);
    }
}

#[test]
fn five_hundred_eigenvalues_and_one_is_found_to_eight_digits() {
    let n = 500;
    // A diagonal operator: 1/1, 1/2, …, 1/500, similar to the spectrum of a trained model's Hessian.
    let operator = |x: &[f64], y: &mut [f64]| {
        for i in 0..n {
            y[i] = x[i] / (i + 1) as f64;
        }
    };
    let found = Lanczos::default().run(operator, &start_vector(n)).unwrap().largest();
    assert!((found.value - 1.0).abs() < 1e-8, "{}", found.value);
    assert!(found.iterations < 40, "{}", found.iterations);
}

#[test]
fn single_precision_is_good_to_its_own_digits() {
    let operator = |x: &[f32], y: &mut [f32]| {
        for (i, y) in y.iter_mut().enumerate() {
            *y = x[i] * (i as f32 - 3.0);
        }
    };
    let method = Lanczos { end: End::Both, iterations: 60, tolerance: 1e-5 };
    let ritz = method.run(operator, &start_vector(60)).unwrap();
    assert!(ritz.converged);
    assert!((ritz.largest().value - 56.0).abs() < 1e-4 * 56.0, "{}", ritz.largest().value);
    assert!((ritz.smallest().value + 3.0).abs() < 1e-4 * 56.0, "{}", ritz.smallest().value);
}

#[test]
fn an_invariant_space_ends_it() {
    let identity = |x: &[f64], y: &mut [f64]| y.copy_from_slice(x);
    let ritz = Lanczos { tolerance: 0.0, ..Default::default() }.run(identity, &[1.0, 2.0]).unwrap();
    assert_eq!((ritz.values.len(), ritz.residuals[0]), (1, 0.0));
    assert!((ritz.values[0] - 1.0).abs() < 1e-15);
    let zero = |_: &[f64], y: &mut [f64]| y.fill(0.0);
    let found = Lanczos::default().run(zero, &[1.0, 2.0]).unwrap().largest();
    assert_eq!((found.value, found.residual, found.converged), (0.0, 0.0, true));
    let found = power_iteration(zero, &[1.0, 2.0], 9, 1e-9).unwrap();
    assert_eq!((found.value, found.iterations, found.converged), (0.0, 1, true));
}

#[test]
fn a_limit_that_is_reached_is_said() {
    let a = with_spectrum(&(0..30).map(f64::from).collect::<Vec<_>>(), 1);
    let method = Lanczos { iterations: 3, ..Default::default() };
    let ritz = method.run(operator(&a).unwrap(), &start_vector(30)).unwrap();
    assert!(!ritz.converged && !ritz.largest().converged && ritz.values.len() == 3);
    let found = power_iteration(operator(&a).unwrap(), &start_vector(30), 3, 1e-12).unwrap();
    assert!(!found.converged && found.iterations == 3 && found.residual > 0.0);
}

#[test]
fn mistakes_are_refused() {
    let turn = |x: &[f64], y: &mut [f64]| {
        // A cyclic shift is orthogonal, but not symmetric.
        let n = x.len();
        (0..n).for_each(|i| y[(i + 1) % n] = x[i]);
    };
    let error = Lanczos::default().run(turn, &start_vector(9)).unwrap_err();
    assert!(matches!(error, Error::NotSymmetric { .. }), "{error}");
    let bad = |_: &[f64], y: &mut [f64]| y.fill(f64::NAN);
    let error = Lanczos::default().run(bad, &[1.0]).unwrap_err();
    assert!(error.to_string().starts_with("what the operator wrote has NaN"), "{error}");
    assert!(power_iteration(bad, &[1.0], 5, 0.0).is_err());
    assert!(power_iteration(bad, &[0.0], 5, 0.0).is_err());
    assert!(power_iteration(bad, &[1.0], 0, 0.0).is_err());
    assert!(power_iteration(bad, &[1.0], 5, f64::NAN).is_err());
    assert!(Lanczos::default().run(bad, &[]).is_err());
    assert!(operator(&Matrix::<f64>::zeros(2, 3)).is_err());
}

/// The basis stays orthonormal if the remainder is far shorter than the removed part, as for a spectrum over many
/// decades: one orthogonalisation leaves ε·‖A·q‖/‖rest‖, two leave ε.
#[test]
fn the_basis_is_orthonormal_however_steep_the_spectrum() {
    for ratio in [0.5, 0.1, 1e-2, 1e-4] {
        let operator = |x: &[f64], y: &mut [f64]| {
            for (i, y) in y.iter_mut().enumerate() {
                *y = x[i] * f64::powi(ratio, (i % 12) as i32) * (1.0 + 1e-9 * i as f64);
            }
        };
        let method = Lanczos { end: End::Both, iterations: 40, tolerance: 0.0 };
        let ritz = method.run(operator, &start_vector(60)).unwrap();
        for (i, p) in ritz.basis.iter().enumerate() {
            for (j, q) in ritz.basis[..=i].iter().enumerate() {
                let expected = f64::from(u8::from(i == j));
                let off = (vector::dot(p, q) - expected).abs();
                // √60 roundings of products, twice over.
                assert!(off <= 32.0 * f64::EPSILON, "{ratio}: {i} {j}: {off:e}");
            }
        }
    }
}
