//! Tests of the module.

use super::*;
use crate::{Dual, gradient, trace};

#[test]
fn constants_leave_no_line() {
    let t = trace(|x| Traced::from_f64(2.0).exp().sqrt() * 3.0 + x[0], &[1.0]);
    assert_eq!(t.len(), 2); // the variable and the sum
    assert_eq!(trace(|_: &[Traced<f64>]| Traced::one(), &[]).len(), 0);
    assert!(trace(|_: &[Traced<f64>]| Traced::zero(), &[]).is_empty());
}

#[test]
fn a_trace_in_print_is_the_chain_rule() {
    // y = (x₀·x₁)·e^x₀ at (2, 3), and an output that nothing depends on.
    let y = |x: &[Traced<f64>]| (x[0] * x[1]) * x[0].exp();
    let t = trace(y, &[2.0, 3.0]);
    let shown = t.to_string();
    let lines: Vec<Vec<&str>> = shown.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["line", "operation", "value", "adjoint", "partials"]);
    assert_eq!(lines.len(), 1 + t.len());
    let gradient = t.gradient(&[1.0]);
    for (i, line) in lines[1..].iter().enumerate() {
        assert_eq!(line[0], i.to_string());
    }
    // The adjoints of the variables are the gradient, e²·(3 + 6) and e²·2.
    for (i, exact) in [9.0, 2.0].map(|c| c * 2.0_f64.exp()).into_iter().enumerate() {
        assert!((gradient[i] - exact).abs() < 1e-12);
        assert_eq!(lines[1 + i][3], format!("{exact:.6}"));
    }
    let product = lines.iter().find(|l| l[2] == "6.000000").expect("x₀·x₁");
    assert!(product.join(" ").ends_with("∂/∂0 = 3.000000 ∂/∂1 = 2.000000"), "{product:?}");
    // Values that no output depends on have no adjoint, not an adjoint of 0.
    let aside = trace(
        |x: &[Traced<f64>]| {
            let _ = x[0].exp();
            x[0] * 2.0
        },
        &[0.0],
    );
    let shown = aside.to_string();
    assert!(shown.lines().any(|l| l.split_whitespace().nth(3) == Some("-")), "{shown}");
}

#[test]
fn a_gradient_inside_a_gradient() {
    // d/dx [ d/dy (x·y²) at y = x ] = d/dx (2x²) = 4x.
    let outer = gradient(
        |x| {
            let inner = gradient(|y| Traced::constant(x[0]) * y[0] * y[0], &[x[0]]);
            inner[0]
        },
        &[3.0],
    );
    assert_eq!(outer, [12.0]);
}

#[test]
#[should_panic(expected = "two recordings meet")]
fn variables_of_two_recordings_do_not_mix() {
    gradient(
        |x: &[Traced<f64>]| {
            gradient(|y: &[Traced<f64>]| x[0] * y[0], &[1.0]);
            x[0]
        },
        &[1.0],
    );
}

#[test]
#[should_panic(expected = "not open")]
fn a_number_does_not_outlive_its_recording() {
    let mut kept = Traced::constant(0.0);
    gradient(
        |x: &[Traced<f64>]| {
            kept = x[0];
            x[0]
        },
        &[1.0],
    );
    let _ = kept + kept;
}

#[test]
fn a_panic_closes_the_recording() {
    let result = std::panic::catch_unwind(|| gradient(|x: &[Traced<f64>]| x[1], &[1.0]));
    assert!(result.is_err());
    OPEN.with_borrow(|open| assert!(open.is_empty()));
    assert_eq!(gradient(|x| x[0] * x[0], &[3.0]), [6.0]);
}

#[test]
fn a_branch_off_the_path_reaches_nothing() {
    // √ at 0 has slope ∞; no output depends on it.
    let slope = gradient(
        |x: &[Traced<f64>]| {
            let _aside = x[0].sqrt();
            if x[0] > Traced::zero() { x[0].sqrt() } else { 2.0 * x[0] }
        },
        &[0.0],
    );
    assert_eq!(slope, [2.0]);
}

#[test]
fn every_rule_is_that_of_dual_numbers() {
    fn all<T: Real>(x: T) -> T {
        let a = x.exp() + x.ln() - x.ln_1p() * x.sqrt() / x.tanh();
        let b = x.erf() + x.sin() * x.cos() - (-x).abs();
        let (mut c, one) = (a, T::one());
        c += b;
        c -= one;
        c *= b;
        c /= a + one;
        c.larger(T::zero())
    }
    for x in [0.3, 1.0, 2.5] {
        let forward = all(Dual::variable(x));
        let (value, reverse) = crate::value_and_gradient(|x| all(x[0]), &[x]);
        assert_eq!(value, forward.value);
        assert!((reverse[0] - forward.derivative).abs() <= 1e-14 * forward.derivative.abs());
    }
}
