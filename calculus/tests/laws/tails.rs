//! Values and slopes for large arguments and near cancellation: every function of one variable at ±10³, ±10¹³, ±MAX,
//! and the tails of activations against formulas without cancellation.

use calculus::activation::{gelu, gelu_tanh, leaky_relu, relu, sigmoid, silu};
use calculus::line_search::Backtracking;
use calculus::stationary::curvatures;
use calculus::taylor::Series;
use calculus::{Dual, derivative, gradient, stability, taylor};
use linalg::{Real, matrix};
use proptest::prelude::*;

type F<T> = fn(T) -> T;

/// A function of one variable: its name, the function, and the limits of value and slope at −∞ and ∞; `None` if there
/// is no limit.
type Ends<T> = (&'static str, F<T>, [Option<[f64; 2]>; 2]);

fn functions<T: Real>() -> Vec<Ends<T>> {
    let inf = f64::INFINITY;
    vec![
        ("exp", T::exp, [Some([0.0, 0.0]), Some([inf, inf])]),
        ("ln", T::ln, [None, None]),
        ("ln_1p", T::ln_1p, [None, None]),
        ("sqrt", T::sqrt, [None, None]),
        ("tanh", T::tanh, [Some([-1.0, 0.0]), Some([1.0, 0.0])]),
        ("erf", T::erf, [Some([-1.0, 0.0]), Some([1.0, 0.0])]),
        ("erfc", T::erfc, [Some([2.0, 0.0]), Some([0.0, 0.0])]),
        ("sin", T::sin, [None, None]),
        ("cos", T::cos, [None, None]),
        ("abs", T::abs, [None, None]),
        ("relu", relu, [Some([0.0, 0.0]), None]),
        ("leaky_relu", |x| leaky_relu(x, 0.01), [None, None]),
        ("sigmoid", sigmoid, [Some([0.0, 0.0]), Some([1.0, 0.0])]),
        ("silu", silu, [Some([0.0, 0.0]), None]),
        ("gelu", gelu, [Some([0.0, 0.0]), None]),
        ("gelu_tanh", gelu_tanh, [Some([0.0, 0.0]), None]),
    ]
}

/// Checks that a finite value has a finite slope, computed in every way, and that both have reached their limits, if
/// there are any. (For sin and cos at such arguments, only that they are finite.)
fn walk<T: Real>(huge: &[f64]) {
    for (i, (name, plain, limits)) in functions::<T>().into_iter().enumerate() {
        for x in huge.iter().flat_map(|&x| [-x, x]) {
            let at = T::from_f64(x);
            let value = plain(at).to_f64();
            let dual = functions::<Dual<T>>()[i].1(Dual::variable(at));
            let slopes = [
                dual.derivative.to_f64(),
                gradient(|x| functions()[i].1(x[0]), &[at])[0].to_f64(),
                taylor::expand::<T, 3>(|x| functions()[i].1(x), at).derivative(1).to_f64(),
            ];
            let twice = functions::<Dual<Dual<T>>>()[i].1(Dual::new(
                Dual::variable(at),
                Dual::constant(T::one()),
            ));
            if value.is_nan() {
                continue;
            }
            for slope in slopes {
                assert!(!slope.is_nan(), "{name} at {x:e}: value {value:e}, slope NaN");
            }
            if value.is_finite() {
                let second = twice.derivative.derivative.to_f64();
                assert!(!second.is_nan(), "{name} at {x:e}: second derivative NaN");
            }
            if let Some([value_there, slope_there]) = limits[usize::from(x > 0.0)] {
                assert_eq!(value, value_there, "{name} at {x:e}");
                assert!(slopes.iter().all(|s| *s == slope_there), "{name} at {x:e}: {slopes:?}");
            }
            if x > 0.0 && ["relu", "silu", "gelu", "gelu_tanh"].contains(&name) {
                assert_eq!((value, slopes), (at.to_f64(), [1.0; 3]), "{name} at {x:e}");
            }
        }
    }
}

#[test]
fn no_finite_value_has_a_slope_of_nan() {
    walk::<f32>(&[1e3, 1e5, 7e12, 1e13, 1e19, 1e20, 1e30, f64::from(f32::MAX)]);
    walk::<f64>(&[1e3, 1e13, 1e100, 1e103, 1e154, 1e155, 1e200, 1e300, f64::MAX]);
}

/// Returns e^(−z²)·erfcx z of an f64, by libm's erfc if it is normal: the reference for f32.
fn tail_of_gelu(x: f64) -> f64 {
    0.5 * x * libm_erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

fn libm_erfc(x: f64) -> f64 {
    Real::erfc(x)
}

proptest! {
    /// GELU of −x is GELU of x minus x; its tail, and its slope, are accurate relative to themselves.
    #[test]
    fn tails_of_gelu_in_single_precision(x in -13.0f32..-1.0) {
        let wide = f64::from(x);
        let exact = tail_of_gelu(wide);
        let bound = (6.0 + wide * wide) * f64::from(f32::EPSILON);
        prop_assert!((f64::from(gelu(x)) / exact - 1.0).abs() <= bound, "{} for {}", gelu(x), exact);
        let slope = derivative(gelu, wide);
        let found = f64::from(derivative(gelu, x));
        // Φ + xφ changes sign near −0.75, and is a difference of two parts of size |slope| to x²·|slope|.
        prop_assert!((found - slope).abs() <= 2.0 * bound * slope.abs() * 2.0, "{found} for {slope}");
    }

    #[test]
    fn tails_of_the_tanh_form_in_single_precision(x in -10.0f32..10.0) {
        let wide = f64::from(x);
        let u = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044715 * wide.powi(3));
        let exact = wide * (1.0 / (1.0 + (-2.0 * u).exp()));
        let bound = (6.0 + if x < 0.0 { 4.0 * u.abs() } else { 0.0 }) * f64::from(f32::EPSILON);
        let found = f64::from(gelu_tanh(x));
        prop_assert!((found - exact).abs() <= bound * exact.abs() + f64::from(f32::MIN_POSITIVE), "{found} for {exact}");
    }

    /// tanh′ = 1/cosh² to a few ulp, forward, reverse and as the first coefficient of a series.
    #[test]
    fn the_slope_of_tanh_keeps_its_digits(x in prop_oneof![-350.0..350.0_f64, -3.0..3.0_f64]) {
        let exact = (1.0 / x.cosh()) * (1.0 / x.cosh());
        let series: Series<f64, 3> = taylor::expand(|x| x.tanh(), x);
        for slope in [derivative(|x| x.tanh(), x), gradient(|x| x[0].tanh(), &[x])[0], series.derivative(1)] {
            prop_assert!((slope / exact - 1.0).abs() <= 8.0 * f64::EPSILON, "{:e} {:e}", slope, exact);
        }
        // tanh″ = −2·tanh·tanh′, relative to itself.
        let second = -2.0 * x.tanh() * exact;
        prop_assert!((series.derivative(2) - second).abs() <= 16.0 * f64::EPSILON * second.abs());
    }

    /// The bound of Taylor's remainder is attained by the next power: for (x + c)ᴺ about c it is hᴺ, and f⁽ᴺ⁾ = N!.
    #[test]
    fn the_remainder_s_bound_is_reached(c in -2.0..2.0_f64, h in prop_oneof![0.1..1.5_f64, -1.5..-0.1_f64]) {
        fn reached<const N: usize>(c: f64, h: f64) -> [f64; 2] {
            let power = |x: Series<f64, N>| (1..N).fold(x, |p, _| p * x);
            let p: Series<f64, N> = taylor::expand(power, c);
            let remainder = (c + h).powi(N as i32) - p.at(h);
            let largest: f64 = (1..=N).map(|k| k as f64).product();
            [remainder.abs(), p.remainder_bound(h, largest)]
        }
        for [remainder, bound] in [reached::<1>(c, h), reached::<2>(c, h), reached::<4>(c, h), reached::<6>(c, h)] {
            // Terms of up to (|c| + |h|)⁶ = 3.5⁶ cancel to 0.1ᴺ: an absolute error.
            prop_assert!((remainder - bound).abs() <= 64.0 * f64::EPSILON * 3.5_f64.powi(6), "{} {}", remainder, bound);
        }
    }

    /// Curvatures are those of (H + Hᵀ)/2: both halves of a matrix that is symmetric up to rounding count equally.
    #[test]
    fn neither_half_of_a_hessian_counts_more(a in -2.0..2.0_f64, b in -2.0..2.0_f64, d in -5e-7..5e-7_f64) {
        let h = matrix(2, 2, &[a, 1.0 + d, 1.0 - d, b]);
        let exact = curvatures(&matrix(2, 2, &[a, 1.0, 1.0, b])).unwrap();
        for found in [curvatures(&h).unwrap(), curvatures(&h.transpose()).unwrap()] {
            for (found, exact) in found.iter().zip(&exact) {
                prop_assert!((found - exact).abs() <= 16.0 * f64::EPSILON * 3.0);
            }
        }
    }
}

/// Sharpness is the largest curvature, at a saddle not that of largest absolute value: for ½(x² − 9y²) it is 1.
#[test]
fn sharpness_at_a_saddle() {
    let field = |w: &[calculus::Traced<Dual<f64>>]| 0.5 * (w[0] * w[0]) - 4.5 * (w[1] * w[1]);
    let found = stability::sharpness(field, &[0.3, 0.2]).unwrap();
    assert!((found - 1.0).abs() < 1e-15, "{found}");
    let hill = |w: &[calculus::Traced<Dual<f64>>]| -2.0 * (w[0] * w[0]) - 4.5 * (w[1] * w[1]);
    assert!((stability::sharpness(hill, &[0.3, 0.2]).unwrap() + 4.0).abs() < 1e-15);
}

/// A logistic regression with log σ that starts at 0; its minimum value is not 0.
#[test]
fn a_regression_ends_with_its_minimum() {
    let loss = |w: &[calculus::Traced<f64>]| {
        let points = [(1.0, 1.0), (2.0, 1.0), (0.5, -1.0)];
        let fit = points.map(|(x, y)| ((-(w[0] * x + w[1])) * y).exp().ln_1p());
        fit[0] + fit[1] + fit[2] + 0.05 * (w[0] * w[0] + w[1] * w[1])
    };
    let found = Backtracking::default().minimize(loss, &[0.0, 0.0], 0.0, 100_000).unwrap();
    assert!(found.steps > 0 && found.gradient_norm < 1e-7, "{found:?}");
}
