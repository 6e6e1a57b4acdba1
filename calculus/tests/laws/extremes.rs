//! Counts and factorials at the ends of their range: finite results are accurate even if an intermediate value
//! overflows.

use calculus::optimizer::{Adam, Lion, Nesterov, Optimizer, RmsProp, Sgd};
use calculus::taylor::expand;
use calculus::{clip, stability};
use linalg::Real;

/// All derivatives of eˣ are eˣ, of any order, although 35! overflows `f32` and 171! overflows `f64`.
#[test]
fn every_derivative_of_exp_is_exp() {
    let series = expand::<f64, 178>(|x| x.exp(), 0.5);
    for k in 0..178 {
        let error = series.derivative(k) / 0.5_f64.exp() - 1.0;
        // k roundings; a subnormal coefficient has an error of one unit of 2⁻¹⁰⁷⁴.
        let unit = f64::from_bits(1) / series.coefficients()[k];
        let bound = 2.0 * (k + 4) as f64 * f64::EPSILON + unit;
        assert!(error.abs() <= bound, "{k}: {error:e}");
    }
    let series = expand::<f32, 38>(|x| x.exp(), 0.0);
    for k in 0..38 {
        let error = series.derivative(k) - 1.0;
        let unit = f32::from_bits(1) / series.coefficients()[k];
        let bound = 2.0 * (k + 4) as f32 * f32::EPSILON + unit;
        assert!(error.abs() <= bound, "{k}: {error:e}");
    }
    // hᴺ/N!, although both overflow: 100¹⁸⁰/180! by logarithms.
    let ln: f64 = (1..=180).map(|i| (100.0 / f64::from(i)).ln()).sum();
    let bound = expand::<f64, 180>(|x| x, 0.0).remainder_bound(100.0, 1.0);
    assert!((bound.ln() - ln).abs() <= 1e-12 * ln, "{bound:e}");
}

/// After the largest step number, an optimizer continues with the corrections of a late step.
#[test]
fn steps_are_counted_to_the_end() {
    let rules: Vec<Box<dyn Optimizer<f64>>> = vec![
        Box::new(Sgd::new(1, 0.0)),
        Box::new(Sgd::new(1, 0.9)),
        Box::new(Nesterov::new(1, 0.9)),
        Box::new(RmsProp::new(1, 0.99, 1e-8)),
        Box::new(Adam::new(1, 0.9, 0.99, 1e-8)),
        Box::new(Lion::new(1, 0.9, 0.99)),
    ];
    for mut rule in rules {
        let mut w = [0.0];
        rule.set_steps(u64::MAX);
        let reach = rule.reach(0.5, 0.0, 1.0);
        let _ = rule.formula(0.5, 0, &[1.0]);
        rule.step(0.5, &mut w, &[1.0]);
        assert_eq!(rule.steps(), u64::MAX);
        assert!(w[0] < 0.0 && w[0] >= -5.1 && -w[0] <= reach, "{w:?}");
    }
}

/// ‖x‖ = |x|·√n, for so many numbers that the sum of squares without digits looks normal.
#[test]
fn a_norm_of_many_tiny_numbers_keeps_its_digits() {
    for x in [1e-150_f64, 1e-157, 3e-160, 1e-300] {
        let n = 3_000_000;
        let error = clip::global_norm(&vec![x; n]) / (x * (n as f64).sqrt()) - 1.0;
        // Blocks of 2¹⁴/8 in each lane, and their tree.
        assert!(error.abs() <= 2100.0 * f64::EPSILON, "{x:e}: {error:e}");
    }
    // The mean of two curvatures whose sum overflows.
    assert_eq!(stability::best_rate(f64::MAX, f64::MAX), 1.0 / f64::MAX);
    assert_eq!(stability::best_rate(f32::MAX, f32::MAX), 1.0 / f32::MAX);
}
