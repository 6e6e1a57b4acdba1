//! Derivatives of linear algebra in closed form, by dual numbers; at kinks, at any scale, to any order. That dual =
//! reverse = difference for every function is `every_derivative`.

use calculus::Dual;
use linalg::{Matrix, Real, lu, norm, similarity};
use tests::{draw, tolerance};

type D = Dual<f64>;

fn along(x: &[f64], direction: &[f64]) -> Vec<D> {
    x.iter().zip(direction).map(|(&x, &d)| D::new(x, d)).collect()
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
