//! Dual numbers pass through the plain functions of linear algebra: each derivative against reverse mode and central
//! differences, and against its closed form where there is one.

use calculus::{Dual, Traced, gradient};
use linalg::adapter::Adapter;
use linalg::cholesky::Cholesky;
use linalg::{Matrix, Real, affine, basis, gram, lu, matrix, norm, outer, projection, rotation};
use linalg::{scaled_dot, similarity, sinusoid, spectrum, vector};
use tests::{draw, tolerance};

type D = Dual<f64>;

fn along(x: &[f64], direction: &[f64]) -> Vec<D> {
    x.iter().zip(direction).map(|(&x, &d)| D::new(x, d)).collect()
}

/// Central difference of f at x along a direction.
fn difference(f: fn(&[f64]) -> f64, x: &[f64], direction: &[f64]) -> f64 {
    let h = tolerance::step();
    let at = |h: f64| -> Vec<f64> { x.iter().zip(direction).map(|(x, d)| x + h * d).collect() };
    (f(&at(h)) - f(&at(-h))) / (2.0 * h)
}

/// The same function at two scalars: its derivative by duals is its difference quotient.
macro_rules! agree {
    ($n:expr; $($name:literal: $f:expr;)*) => {$(
        for seed in 0..5 {
            let x = draw::normal(seed, $n, 1);
            let direction = draw::normal(seed + 50, $n, 1);
            let (x, direction) = (x.as_slice(), direction.as_slice());
            let dual = { let f: fn(&[D]) -> D = $f; f(&along(x, direction)) };
            let plain: fn(&[f64]) -> f64 = $f;
            // Products of f64 have a kernel of their own, which adds up in another order.
            let size = 1.0 + dual.value.abs();
            assert!((dual.value - plain(x)).abs() <= tolerance::sum(64) * size, "{}", $name);
            let slope = difference(plain, x, direction);
            let error = (dual.derivative - slope).abs();
            // Functions of functions, about ten deep, whose values are of size 1 to 10.
            let bound = tolerance::difference(10) * (1.0 + slope.abs() + dual.value.abs());
            assert!(error <= bound, "{}: {} against {slope}", $name, dual.derivative);
            // Reverse mode has the same products in another order.
            let traced: fn(&[Traced<f64>]) -> Traced<f64> = $f;
            let gradient = gradient(traced, x);
            let terms = || gradient.iter().zip(direction).map(|(g, d)| g * d);
            let error = (dual.derivative - terms().sum::<f64>()).abs();
            let size = 1.0 + terms().map(f64::abs).sum::<f64>();
            assert!(error <= tolerance::sum(256) * size, "{}: {error:e} in reverse", $name);
        }
    )*};
}

/// Elements as a positive definite matrix: XᵀX + 3·1.
fn definite<T: Real>(x: &[T]) -> Matrix<T> {
    let mut a = gram::gram(&matrix(3, 3, x));
    (0..3).for_each(|i| a[(i, i)] += T::from_f64(3.0));
    a
}

/// Elements added to 8·1: three columns far from dependence.
fn near_the_axes<T: Real>(x: &[T]) -> Matrix<T> {
    let mut a = matrix(3, 3, x);
    (0..3).for_each(|i| a[(i, i)] += T::from_f64(8.0));
    a
}

/// All elements, each with a weight of its own: one number that sees them all.
fn seen<T: Real>(x: &[T]) -> T {
    vector::sum_of(x.len(), |i| x[i] * T::from_f64((i as f64 * 0.7).cos()))
}

#[test]
fn every_derivative_is_a_difference_quotient() {
    agree! { 9;
        "1-norm": |x| norm::l1(x);
        "2-norm": |x| norm::l2(x);
        "largest element": |x| norm::linf(x);
        "direction": |x| seen(&norm::normalised(x).expect("a direction"));
        "distance": |x| norm::distance(&x[..4], &x[4..8]).expect("one length");
        "Frobenius": |x| norm::frobenius(&matrix(3, 3, x));
        "1-norm of a matrix": |x| norm::induced_1(&matrix(3, 3, x));
        "∞-norm of a matrix": |x| norm::induced_infinity(&matrix(3, 3, x));
        "cosine": |x| similarity::cosine(&x[..4], &x[4..8]).expect("directions");
        "angle": |x| similarity::angle(&x[..4], &x[4..8]).expect("directions");
        "cosines": |x| seen(&similarity::cosines(&x[..3], &matrix(3, 2, &x[3..])).expect("directions"));
        "projection": |x| seen(&projection::onto(&x[..4], &x[4..8]).expect("a direction"));
        "basis": |x| {
            let a = near_the_axes(x);
            seen(basis::orthonormal(&a, 1e-8).expect("finite").as_slice())
        };
        "what is left of a projection": |x| {
            let q = basis::orthonormal(&matrix(3, 1, &x[..3]), 1e-8).expect("finite");
            seen(projection::away_from_span(&matrix(3, 2, &x[3..]), &q).expect("shapes").as_slice())
        };
        "Gram matrix": |x| seen(gram::gram(&matrix(3, 3, x)).as_slice());
        "outer product": |x| seen(outer::outer(&x[..4], &x[4..]).as_slice());
        "affine map": |x| {
            let (w, v, b) = (matrix(2, 2, &x[..4]), matrix(2, 1, &x[4..6]), matrix(2, 1, &x[6..8]));
            seen(affine::affine(&w, &v, &b).expect("shapes").as_slice())
        };
        "trace": |x| lu::trace(&matrix(3, 3, x)).expect("square");
        "log-determinant": |x| lu::log_determinant(&definite(x)).expect("finite").ln;
        "solution": |x| seen(lu::solve(&definite(x), &matrix(3, 1, &x[..3])).expect("regular").as_slice());
        "inverse": |x| seen(lu::Lu::of(&definite(x)).expect("finite").inverse().expect("regular").as_slice());
        "Cholesky": |x| seen(Cholesky::of(&definite(x)).expect("definite").lower().as_slice());
        "Cholesky's log-determinant": |x| Cholesky::of(&definite(x)).expect("definite").log_determinant();
        "Cholesky's solution": |x| {
            let root = Cholesky::of(&definite(x)).expect("definite");
            seen(root.solve(&matrix(3, 1, &x[..3])).expect("shapes").as_slice())
        };
        "stable rank": |x| {
            let squares: Vec<_> = x.iter().map(|&x| x * x).collect();
            spectrum::stable_rank(&squares).expect("a spectrum")
        };
        "effective rank": |x| {
            let squares: Vec<_> = x.iter().map(|&x| x * x).collect();
            spectrum::effective_rank(&squares).expect("a spectrum")
        };
        "energy": |x| {
            let squares: Vec<_> = x.iter().map(|&x| x * x).collect();
            spectrum::energy(&squares, 3).expect("a spectrum")
        };
        "adapter": |x| {
            let adapter = Adapter::new(matrix(1, 2, &x[..2]), matrix(2, 1, &x[2..4]), 0.5).expect("rank 1");
            let y = adapter.apply(&matrix(2, 2, &x[4..8]), &matrix(2, 1, &x[..2])).expect("shapes");
            seen(y.as_slice())
        };
        "rotation of a pair": |x| seen(&rotation::rotate_pair([x[0], x[1]], x[2]));
        "rotation": |x| {
            seen(&rotation::rotate(&x[..8], 3.0, 100.0, rotation::Pairs::Halves).expect("even"))
        };
        "sinusoid": |x| seen(&sinusoid::position(x[0], 6, 100.0).expect("even"));
        "score": |x| scaled_dot::scaled_dot(&x[..4], &x[4..8]).expect("one length");
        "scores": |x| {
            let scores = scaled_dot::scores(&matrix(2, 2, &x[..4]), &matrix(2, 2, &x[4..8]));
            seen(scores.expect("shapes").as_slice())
        };
    }
}

#[test]
fn the_derivative_of_a_determinant_is_a_trace() {
    // d ln |det A| = tr(A⁻¹·Ȧ), Jacobi's formula.
    for n in 1..6 {
        let (a, dot) = (draw::normal(n as u64, n, n), draw::normal(n as u64 + 9, n, n));
        let dual = Matrix::from_vec(n, n, along(a.as_slice(), dot.as_slice()));
        let found = lu::log_determinant(&dual).expect("finite").ln.derivative;
        let inverse = lu::Lu::of(&a).expect("finite").inverse().expect("regular");
        let size = inverse.norm() * dot.norm();
        assert!(
            (found - (&inverse * &dot).trace()).abs()
                <= tolerance::sum(64) * size * inverse.norm() * a.norm()
        );
    }
}

#[test]
fn a_norm_grows_along_its_direction() {
    let (x, d) = (draw::normal(1, 20, 1), draw::normal(2, 20, 1));
    let found = norm::l2(&along(x.as_slice(), d.as_slice())).derivative;
    assert!((found - x.dot(&d) / x.norm()).abs() <= tolerance::sum(20) * d.norm());
    // At the kink it is 0, not NaN.
    assert_eq!(norm::l2(&[D::variable(0.0), D::constant(0.0)]).derivative, 0.0);
    assert_eq!(
        norm::distance(&[D::variable(1.0)], &[D::constant(1.0)]).expect("lengths").derivative,
        0.0
    );
    // At any scale.
    let huge = norm::l2(&[D::new(3e200, 1.0), D::new(4e200, 0.0)]).derivative;
    assert!((huge - 0.6).abs() <= tolerance::sum(2));
}

#[test]
fn an_angle_has_derivatives_of_any_order() {
    // The angle between (1, 0) and (1, t) is arctan t: 1/(1 + t²), −2t/(1 + t²)², (6t² − 2)/(1 + t²)³.
    type Third = Dual<Dual<Dual<f64>>>;
    for t in [0.1, 1.0, 5.0, 300.0] {
        let variable = Third::new(
            Dual::new(Dual::variable(t), Dual::constant(1.0)),
            Dual::constant(Dual::constant(1.0)),
        );
        let (one, zero) = (Third::from_f64(1.0), Third::from_f64(0.0));
        let angle = similarity::angle(&[one, zero], &[one, variable]).expect("directions");
        let s = 1.0 + t * t;
        let expected = [t.atan(), 1.0 / s, -2.0 * t / (s * s), (6.0 * t * t - 2.0) / (s * s * s)];
        let first = angle.value;
        let found = [
            first.value.value,
            first.value.derivative,
            first.derivative.derivative,
            angle.derivative.derivative.derivative,
        ];
        for (order, (found, expected)) in found.iter().zip(expected).enumerate() {
            // Every order divides by the distance of the directions once more.
            let bound = 1e-13 * (1.0 + t).powi(order as i32) * expected.abs().max(1.0 / s);
            assert!(
                (found - expected).abs() <= bound,
                "order {order} at {t}: {found:e}, {expected:e}"
            );
        }
    }
    let parallel = similarity::angle(&[D::variable(1.0)], &[D::constant(2.0)]).expect("directions");
    assert_eq!((parallel.value, parallel.derivative), (0.0, 0.0));
}
