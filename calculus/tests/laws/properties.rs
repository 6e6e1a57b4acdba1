//! Identities of calculus, for random functions, points and directions.
//!
//! [`Expression`] is a random function of two variables, a tree of the operations that every scalar has. Its leaves are
//! at most 2 in size and it is at most three operations deep, so values are at most 2⁸ and first derivatives at most
//! 2¹⁰ in size: 200 roundings of that are [`ROUNDING`].

use calculus::activation::{gelu, gelu_tanh, leaky_relu, relu, sigmoid, silu};
use calculus::chain::{Chain, Layer};
use calculus::check::{agreement, difference_step};
use calculus::landscape::{Bowl, Field, Himmelblau, MonkeySaddle, Rosenbrock};
use calculus::line_search::Backtracking;
use calculus::optimizer::{Adam, Lion, Nesterov, Optimizer, RmsProp, Sgd};
use calculus::stationary::{Kind, classify, classify_at, curvatures};
use calculus::taylor::{self, Series};
use calculus::{
    Dual, Traced, clip, depth, derivative, directional_derivative, gradient, hessian,
    hessian_vector_product, jacobian, jacobian_by_rows, jvp, stability, value_and_gradient, vjp,
};
use linalg::{Matrix, Real};
use proptest::prelude::*;

/// 200 roundings of numbers of size 2¹¹.
const ROUNDING: f64 = 200.0 * 2048.0 * f64::EPSILON;

/// A function of two variables.
#[derive(Clone, Debug)]
enum Expression {
    Variable(usize),
    Constant(f64),
    One(Unary, Box<Expression>),
    Two(Binary, Box<Expression>, Box<Expression>),
}

/// Functions with values of at most their argument's size, or 3, and bounded derivatives.
#[derive(Clone, Copy, Debug)]
enum Unary {
    Negative,
    ExpOfTanh,
    LnOfOneAndSquare,
    Ln1pOfSquare,
    RootOfOneAndSquare,
    Tanh,
    Erf,
    Sin,
    Cos,
    Sigmoid,
    Silu,
    Gelu,
    GeluTanh,
}

#[derive(Clone, Copy, Debug)]
enum Binary {
    Sum,
    Difference,
    Product,
    Quotient,
}

impl Field for Expression {
    fn at<T: Real>(&self, x: &[T]) -> T {
        match self {
            Expression::Variable(i) => x[*i],
            Expression::Constant(c) => T::from_f64(*c),
            Expression::One(f, a) => {
                let (a, one) = (a.at(x), T::one());
                match f {
                    Unary::Negative => -a,
                    Unary::ExpOfTanh => a.tanh().exp(),
                    Unary::LnOfOneAndSquare => (one + a * a).ln(),
                    Unary::Ln1pOfSquare => (a * a).ln_1p(),
                    Unary::RootOfOneAndSquare => (one + a * a).sqrt(),
                    Unary::Tanh => a.tanh(),
                    Unary::Erf => a.erf(),
                    Unary::Sin => a.sin(),
                    Unary::Cos => a.cos(),
                    Unary::Sigmoid => sigmoid(a),
                    Unary::Silu => silu(a),
                    Unary::Gelu => gelu(a),
                    Unary::GeluTanh => gelu_tanh(a),
                }
            }
            Expression::Two(f, a, b) => {
                let (a, b) = (a.at(x), b.at(x));
                match f {
                    Binary::Sum => a + b,
                    Binary::Difference => a - b,
                    Binary::Product => a * b,
                    Binary::Quotient => a / (T::one() + b * b),
                }
            }
        }
    }
}

fn expression() -> impl Strategy<Value = Expression> {
    use Unary::*;
    let leaf = prop_oneof![
        4 => (0usize..2).prop_map(Expression::Variable),
        1 => (-2.0..2.0).prop_map(Expression::Constant),
    ];
    leaf.prop_recursive(3, 15, 2, |inner| {
        let unary = prop::sample::select(vec![
            Negative,
            ExpOfTanh,
            LnOfOneAndSquare,
            Ln1pOfSquare,
            RootOfOneAndSquare,
            Tanh,
            Erf,
            Sin,
            Cos,
            Sigmoid,
            Silu,
            Gelu,
            GeluTanh,
        ]);
        let binary = prop::sample::select(vec![
            Binary::Sum,
            Binary::Difference,
            Binary::Product,
            Binary::Quotient,
        ]);
        prop_oneof![
            (unary, inner.clone()).prop_map(|(f, a)| Expression::One(f, Box::new(a))),
            (binary, inner.clone(), inner).prop_map(|(f, a, b)| Expression::Two(
                f,
                Box::new(a),
                Box::new(b)
            )),
        ]
    })
}

/// A point or a direction.
fn pair() -> impl Strategy<Value = [f64; 2]> {
    [-2.0..2.0, -2.0..2.0]
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Whether |a − b| ≤ bound·max(1, |a|, |b|).
fn close(a: f64, b: f64, bound: f64) -> bool {
    (a - b).abs() <= bound * 1.0_f64.max(a.abs()).max(b.abs())
}

fn all_close(a: &[f64], b: &[f64], bound: f64) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| close(a, b, bound))
}

/// Returns a diagonal matrix of two curvatures, rotated by an angle.
fn turned(curvatures: [f64; 2], angle: f64) -> Matrix<f64> {
    let (s, c) = angle.sin_cos();
    let [a, b] = curvatures;
    let mixed = (a - b) * s * c;
    linalg::matrix(2, 2, &[a * c * c + b * s * s, mixed, mixed, a * s * s + b * c * c])
}

/// The quadratic ½·(x − m)ᵀH(x − m) + constant.
struct Quadratic {
    hessian: Matrix<f64>,
    minimum: Vec<f64>,
}

impl Field for Quadratic {
    fn at<T: Real>(&self, x: &[T]) -> T {
        let e: Vec<T> = x.iter().zip(&self.minimum).map(|(&x, &m)| x - T::from_f64(m)).collect();
        let mut sum = T::zero();
        for i in 0..e.len() {
            for j in 0..e.len() {
                sum += T::from_f64(0.5 * self.hessian[(i, j)]) * e[i] * e[j];
            }
        }
        sum
    }
}

/// Returns the distance from the minimum after some steps from `start`.
fn descend(
    f: &impl Field,
    rule: &mut dyn Optimizer<f64>,
    rate: impl Fn(u64) -> f64,
    steps: u64,
    w: &mut [f64],
) {
    for step in 0..steps {
        let g = gradient(|x| f.at(x), w);
        rule.step(rate(step), w, &g);
    }
}

proptest! {
    #[test]
    fn forward_is_reverse_is_difference(f in expression(), x in pair(), v in pair()) {
        let slope = agreement(&f, &x, &v);
        prop_assert!(close(slope.forward, slope.reverse, ROUNDING), "{slope:?}");
        // The difference has an error of h²·c₃ + h⁴·c₅ + … and of rounding f. The coefficients come from the Taylor
        // series along the direction, a third kind of derivative.
        let length = v[0].abs().max(v[1].abs());
        prop_assume!(length > 1e-3);
        let h = difference_step(x[0].abs().max(x[1].abs())) / length;
        let c = *taylor::expand_along::<f64, 6>(|x| f.at(x), &x, &v).coefficients();
        let truncation = h * h * c[3].abs() + h.powi(4) * c[5].abs();
        let rounding = ROUNDING / h / 16.0; // values are at most a sixteenth of first derivatives
        let error = (slope.difference - slope.forward).abs();
        prop_assert!(error <= 2.0 * truncation + rounding, "{error:e} {truncation:e} {rounding:e}");
        prop_assert!(close(c[1], slope.forward, ROUNDING));
    }

    #[test]
    fn reverse_mode_of_dual_numbers_is_dual_numbers_of_reverse_mode(
        f in expression(), x in pair(), v in pair(),
    ) {
        // Forward over reverse, and reverse over forward.
        let one = hessian_vector_product(|x| f.at(x), &x, &v);
        let two = gradient(|x| {
            let moving: Vec<_> = x.iter().zip(v).map(|(&x, v)| Dual::new(x, Traced::constant(v)))
                .collect();
            f.at(&moving).derivative
        }, &x);
        prop_assert!(all_close(&one, &two, 64.0 * ROUNDING), "{one:?} {two:?}");
    }

    #[test]
    fn the_hessian_is_symmetric(f in expression(), x in pair(), u in pair(), v in pair()) {
        let h = hessian(|x| f.at(x), &x);
        prop_assert!(close(h[(0, 1)], h[(1, 0)], 64.0 * ROUNDING), "{h}");
        // ⟨u, Hv⟩ = ⟨v, Hu⟩, without the matrix.
        let one = dot(&u, &hessian_vector_product(|x| f.at(x), &x, &v));
        let two = dot(&v, &hessian_vector_product(|x| f.at(x), &x, &u));
        prop_assert!(close(one, two, 512.0 * ROUNDING), "{one} {two}");
    }

    #[test]
    fn curvature_along_a_direction_is_twice_the_second_coefficient(
        f in expression(), x in pair(), v in pair(),
    ) {
        let series = taylor::expand_along::<f64, 3>(|x| f.at(x), &x, &v);
        let curved = dot(&v, &hessian_vector_product(|x| f.at(x), &x, &v));
        prop_assert!(close(series.derivative(2), curved, 512.0 * ROUNDING));
        prop_assert!(close(series.value(), f.at(&x), ROUNDING));
    }

    #[test]
    fn rows_and_columns_of_a_jacobian(f in expression(), g in expression(), x in pair()) {
        let columns = jacobian(|x| vec![f.at(x), g.at(x)], &x);
        let rows = jacobian_by_rows(|x| vec![f.at(x), g.at(x)], &x);
        prop_assert!(all_close(columns.as_slice(), rows.as_slice(), ROUNDING));
    }

    #[test]
    fn a_vjp_is_the_transpose_of_the_jvp(
        f in expression(), g in expression(), x in pair(), u in pair(), v in pair(),
    ) {
        let forward = dot(&u, &jvp(|x| vec![f.at(x), g.at(x)], &x, &v));
        let reverse = dot(&vjp(|x| vec![f.at(x), g.at(x)], &x, &u), &v);
        prop_assert!(close(forward, reverse, 8.0 * ROUNDING), "{forward} {reverse}");
    }

    #[test]
    fn a_vjp_is_linear(
        f in expression(), g in expression(), x in pair(), u in pair(), w in pair(), a in -2.0..2.0,
    ) {
        let pull = |u: &[f64]| vjp(|x| vec![f.at(x), g.at(x)], &x, u);
        let together = pull(&[a * u[0] + w[0], a * u[1] + w[1]]);
        let apart: Vec<f64> = pull(&u).iter().zip(pull(&w)).map(|(u, w)| a * u + w).collect();
        prop_assert!(all_close(&together, &apart, 16.0 * ROUNDING));
    }

    #[test]
    fn a_derivative_is_linear_in_the_function(
        f in expression(), g in expression(), x in pair(), a in -2.0..2.0,
    ) {
        let together = gradient(|x| a * f.at(x) + g.at(x), &x);
        let (df, dg) = (gradient(|x| f.at(x), &x), gradient(|x| g.at(x), &x));
        let apart: Vec<f64> = df.iter().zip(dg).map(|(f, g)| a * f + g).collect();
        prop_assert!(all_close(&together, &apart, 4.0 * ROUNDING));
    }

    #[test]
    fn product_and_quotient_rule(f in expression(), g in expression(), x in pair(), v in pair()) {
        let slope = |h: &dyn Fn(&[Dual<f64>]) -> Dual<f64>| directional_derivative(h, &x, &v);
        let (df, dg) = (slope(&|x| f.at(x)), slope(&|x| g.at(x)));
        let (f0, g0) = (f.at(&x), g.at(&x));
        let product = slope(&|x| f.at(x) * g.at(x));
        prop_assert!(close(product, df * g0 + f0 * dg, 256.0 * ROUNDING));
        prop_assume!(g0.abs() > 0.5);
        let quotient = slope(&|x| f.at(x) / g.at(x));
        prop_assert!(close(quotient, (df * g0 - f0 * dg) / (g0 * g0), 1024.0 * ROUNDING));
    }

    #[test]
    fn the_jacobian_of_a_composition_is_the_product_of_jacobians(
        f in expression(), g in expression(), x in pair(), w in [-1.0..1.0, -1.0..1.0], u in pair(),
    ) {
        let squash = |x: &[Dual<f64>]| vec![f.at(x).tanh(), g.at(x).tanh()];
        let mix = |y: &[Dual<f64>]| vec![w[0] * y[0] + w[1] * y[1], y[0] * y[1], y[1].sin()];
        let last = |z: &[Dual<f64>]| vec![z[0] * z[1] + z[2], z[0] - z[2]];
        let layers: [Layer<'_, f64>; 3] = [&squash, &mix, &last];
        let chain = Chain::of(&layers, &x);
        let whole = jacobian(|x| last(&mix(&squash(x))), &x);
        prop_assert!(all_close(chain.product().as_slice(), whole.as_slice(), 8.0 * ROUNDING));
        let shapes: Vec<_> = chain.jacobians().iter().map(|j| j.shape()).collect();
        prop_assert_eq!(shapes, [(2, 2), (3, 2), (2, 3)]);
        let [first, second, third] = chain.jacobians() else { unreachable!() };
        let product = third * second * first;
        prop_assert!(all_close(product.as_slice(), whole.as_slice(), 8.0 * ROUNDING));
        // The gradient of the input is the transposed product applied to the upstream gradient.
        let gradients = chain.gradients(&u);
        let expected = whole.transpose() * nalgebra::DVector::from_row_slice(&u);
        prop_assert!(all_close(&gradients[0], expected.as_slice(), 16.0 * ROUNDING));
        prop_assert_eq!(&gradients[3], &u.to_vec());
        prop_assert_eq!(chain.values().len(), 4);
    }

    #[test]
    fn no_layers_are_the_identity(x in pair(), u in pair()) {
        let chain = Chain::of(&[], &x);
        prop_assert_eq!(chain.product(), Matrix::identity(2, 2));
        prop_assert_eq!(chain.gradients(&u), vec![u.to_vec()]);
        prop_assert_eq!((chain.forward_cost(), chain.reverse_cost()), (0, 0));
    }

    #[test]
    fn euler_s_theorem_of_homogeneous_functions(x in pair(), angle in 0.0..3.0, a in -3.0..3.0) {
        // ⟨∇f, x⟩ = k·f, if f(t·x) = tᵏ·f(x).
        let quadratic = Quadratic { hessian: turned([a, 1.0], angle), minimum: vec![0.0; 2] };
        let (value, slope) = value_and_gradient(|x| quadratic.at(x), &x);
        prop_assert!(close(dot(&slope, &x), 2.0 * value, ROUNDING));
        let (value, slope) = value_and_gradient(|x| MonkeySaddle.at(x), &x);
        prop_assert!(close(dot(&slope, &x), 3.0 * value, ROUNDING));
    }

    #[test]
    fn the_hessian_of_a_quadratic_maps_the_error_to_the_gradient(
        x in pair(), m in pair(), c in pair(), angle in 0.0..3.0,
    ) {
        // Newton's step reaches the minimum at once: H·(x − m) = g.
        let f = Quadratic { hessian: turned(c, angle), minimum: m.to_vec() };
        let error = [x[0] - m[0], x[1] - m[1]];
        let mapped = hessian_vector_product(|x| f.at(x), &x, &error);
        prop_assert!(all_close(&mapped, &gradient(|x| f.at(x), &x), ROUNDING));
    }

    #[test]
    fn a_remainder_falls_with_the_first_power_left_out(f in expression(), x in pair(), v in pair()) {
        // f(x + h) − P(h) = c₄·h⁴ + c₅·h⁵ + …: halving h divides it by 2⁴.
        let longer = taylor::expand_along::<f64, 6>(|x| f.at(x), &x, &v);
        let c = longer.coefficients();
        let remainder = |h: f64| {
            let p = taylor::expand_along::<f64, 4>(|x| f.at(x), &x, &v);
            f.at(&[x[0] + h * v[0], x[1] + h * v[1]]) - p.at(h)
        };
        // A power of two, so that x + h·v is rounded in the same way; higher terms must be small.
        let h = 2.0_f64.powi(-7);
        let size = c.iter().fold(1.0_f64, |m, c| m.max(c.abs()));
        prop_assume!(c[4].abs() > 1e-2 * size && c[5].abs() < 4.0 * c[4].abs());
        let slope = (remainder(h) / remainder(h / 2.0)).log2();
        prop_assert!((slope - 4.0).abs() < 0.25, "{slope}");
    }

    #[test]
    fn the_remainder_is_within_lagrange_s_bound(x in -3.0..3.0, h in -2.0..2.0) {
        let check = |p: Series<f64, 5>, there: f64, largest: f64| {
            (there - p.at(h)).abs() <= p.remainder_bound(h, largest) + 8.0 * f64::EPSILON * largest.max(1.0)
        };
        prop_assert!(check(taylor::expand(|x| x.sin(), x), f64::sin(x + h), 1.0));
        prop_assert!(check(taylor::expand(|x| x.cos(), x), f64::cos(x + h), 1.0));
        let largest = x.max(x + h).exp(); // eˣ increases
        prop_assert!(check(taylor::expand(|x| x.exp(), x), f64::exp(x + h), largest));
    }

    #[test]
    fn identities_of_functions_are_identities_of_their_series(x in 0.1..3.0, b in pair()) {
        type S = Series<f64, 7>;
        let s = S::variable(x);
        let other = S::moving(b[0], b[1]) * s;
        let same = |a: S, b: S| all_close(a.coefficients(), b.coefficients(), 1e-7);
        prop_assert!(same(s.sin() * s.sin() + s.cos() * s.cos(), S::constant(1.0)));
        prop_assert!(same((s + other).exp(), s.exp() * other.exp()));
        prop_assert!(same(s.exp().ln(), s));
        prop_assert!(same(s.sqrt() * s.sqrt(), s));
        prop_assert!(same(s.ln_1p(), (1.0 + s).ln()));
        prop_assert!(same(s.tanh(), 2.0 * sigmoid(2.0 * s) - 1.0));
        prop_assert!(same(s * other / s, other));
        prop_assert!(same(-(-s).erf(), s.erf()));
        prop_assert!(same((-s).abs(), s));
    }

    #[test]
    fn a_series_derives_as_nested_dual_numbers(f in expression(), x in pair(), v in pair()) {
        let series = taylor::expand_along::<f64, 3>(|x| f.at(x), &x, &v);
        let nested = f.at(&[0, 1].map(|i| {
            Dual::new(Dual::new(x[i], v[i]), Dual::constant(v[i]))
        }));
        prop_assert!(close(series.derivative(1), nested.derivative.value, ROUNDING));
        prop_assert!(close(series.derivative(2), nested.derivative.derivative, 64.0 * ROUNDING));
    }

    #[test]
    fn activations_against_their_mirror_image(x in -30.0..30.0_f64) {
        let bound = 4.0 * f64::EPSILON;
        prop_assert!(close(sigmoid(-x), 1.0 - sigmoid(x), bound));
        prop_assert!(close(x.tanh(), 2.0 * sigmoid(2.0 * x) - 1.0, bound));
        for f in [silu, gelu, gelu_tanh, relu] {
            prop_assert!(close(f(x) - f(-x), x, bound)); // x·G(x) with G(x) + G(−x) = 1
        }
        let between = leaky_relu(x, 0.25);
        prop_assert_eq!(between, 0.75 * relu(x) + 0.25 * x);
    }

    #[test]
    fn derivatives_of_activations_in_closed_form(x in -30.0..30.0_f64) {
        let s = sigmoid(x);
        prop_assert!(close(derivative(sigmoid, x), s * (1.0 - s), 4.0 * f64::EPSILON));
        prop_assert!(derivative(sigmoid, x) <= 0.25);
        prop_assert!(close(derivative(silu, x), s * (1.0 + x * (1.0 - s)), 16.0 * f64::EPSILON));
        let root = std::f64::consts::FRAC_1_SQRT_2;
        let cumulative = 0.5 * (1.0 + Real::erf(x * root));
        let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        // e^(−x²/2) has a relative error of x²/2 roundings, where it is not negligible.
        prop_assert!(close(derivative(gelu, x), cumulative + x * density, 64.0 * f64::EPSILON));
        // The error is relative to the slope, however small.
        let slope = 1.0 / x.cosh().powi(2);
        prop_assert!((derivative(|x| x.tanh(), x) / slope - 1.0).abs() <= 8.0 * f64::EPSILON);
        prop_assert_eq!(derivative(relu, x), f64::from(u8::from(x > 0.0)));
    }

    #[test]
    fn gradient_descent_is_stable_below_its_limit_and_not_above(
        c in [0.5..4.0, 0.5..4.0], angle in 0.0..3.0, m in pair(),
    ) {
        let f = Quadratic { hessian: turned(c, angle), minimum: m.to_vec() };
        let sharpest = stability::sharpness(|x| f.at(x), &m).unwrap();
        prop_assert!(close(sharpest, c[0].max(c[1]), 1e-14));
        let (si, co) = angle.sin_cos();
        for momentum in [0.0, 0.5, 0.9] {
            let limit = stability::limit(sharpest, momentum);
            // From a point with an error along every axis; the gradient is H·(w − m).
            let after = |share: f64, steps| {
                let (mut e, mut rule) = ([co - si, si + co], Sgd::new(2, momentum));
                for _ in 0..steps {
                    let h = &f.hessian;
                    let g = [0, 1].map(|i| h[(i, 0)] * e[0] + h[(i, 1)] * e[1]);
                    rule.step(share * limit, &mut e, &g);
                }
                e[0].hypot(e[1])
            };
            prop_assert!(after(0.97, 600) < 1e-9, "{momentum}: {}", after(0.97, 600));
            prop_assert!(after(1.03, 150) > 10.0, "{momentum}: {}", after(1.03, 150));
        }
    }

    #[test]
    fn the_error_is_multiplied_by_its_factor(curvature in 0.1..5.0, rate in 0.0..0.5, start in -3.0..3.0) {
        let mut w = [start];
        descend(&Bowl(&[curvature]), &mut Sgd::new(1, 0.0), |_| rate, 7, &mut w);
        let expected = start * stability::factor(rate, curvature).powi(7);
        prop_assert!(close(w[0], expected, 1e-14));
    }

    #[test]
    fn no_rate_shrinks_the_slowest_axis_faster_than_the_best(
        small in 0.1..2.0_f64, more in 0.0..8.0, rate in 0.0..3.0,
    ) {
        let large = small + more;
        let worst = |rate: f64| {
            stability::factor(rate, small).abs().max(stability::factor(rate, large).abs())
        };
        let best = stability::best_rate(small, large);
        prop_assert!(worst(best) <= worst(rate) + 4.0 * f64::EPSILON);
        let condition = large / small;
        prop_assert!(close(worst(best), (condition - 1.0) / (condition + 1.0), 1e-14));
    }

    #[test]
    fn without_momentum_all_are_gradient_descent(g in pair(), w in pair(), rate in 0.0..1.0) {
        let step = |rule: &mut dyn Optimizer<f64>| {
            let mut w = w;
            rule.step(rate, &mut w, &g);
            rule.step(rate, &mut w, &g);
            w
        };
        let plain = step(&mut Sgd::new(2, 0.0));
        prop_assert_eq!(plain, step(&mut Nesterov::new(2, 0.0)));
        let mut heavy = w;
        let mut rule = Sgd::new(2, 0.5);
        rule.step(rate, &mut heavy, &g);
        prop_assert_eq!([w[0] - rate * g[0], w[1] - rate * g[1]], heavy);
    }

    #[test]
    fn adaptive_steps_do_not_see_the_gradient_s_scale(
        gradients in prop::collection::vec(pair(), 1..6), power in -20i32..20,
    ) {
        // With ε = 0, and a scale that is a power of two, no bit changes.
        let run = |mut rule: Box<dyn Optimizer<f64>>, scale: f64| {
            let mut w = [0.3, -0.7];
            for g in &gradients {
                rule.step(0.01, &mut w, &[g[0] * scale, g[1] * scale]);
            }
            w
        };
        prop_assume!(gradients.iter().flatten().all(|g| g.abs() > 1e-6));
        let scale = 2.0_f64.powi(power);
        let adam = Adam::new(2, 0.9, 0.999, 0.0);
        prop_assert_eq!(run(Box::new(adam.clone()), 1.0), run(Box::new(adam), scale));
        let rms = RmsProp::new(2, 0.99, 0.0);
        prop_assert_eq!(run(Box::new(rms.clone()), 1.0), run(Box::new(rms), scale));
        let lion = Lion::new(2, 0.9, 0.99);
        prop_assert_eq!(run(Box::new(lion.clone()), 1.0), run(Box::new(lion), scale));
    }

    #[test]
    fn the_first_step_of_adam_and_every_step_of_lion_is_the_rate(
        gradients in prop::collection::vec(pair(), 1..6), rate in 1e-4..1.0,
    ) {
        prop_assume!(gradients.iter().flatten().all(|g| g.abs() > 1e-3));
        let mut w = [0.0; 2];
        Adam::new(2, 0.9, 0.999, 1e-12).step(rate, &mut w, &gradients[0]);
        for (w, g) in w.iter().zip(gradients[0]) {
            prop_assert!(close(*w / rate, -g.signum(), 1e-8));
        }
        let (mut w, mut lion) = ([0.0; 2], Lion::new(2, 0.9, 0.99));
        for g in &gradients {
            let before = w;
            lion.step(rate, &mut w, g);
            for (w, before) in w.iter().zip(before) {
                prop_assert!(close((w - before).abs(), rate, 4.0 * f64::EPSILON));
            }
        }
    }

    #[test]
    fn decay_is_decoupled_from_the_gradient(g in pair(), w in pair(), decay in 0.0..1.0) {
        // Decay multiplies θ by 1 − η·λ, in addition to the update without decay, for any gradient.
        let rate = 0.1;
        let all = || std::iter::once(0..2).collect();
        let step = |rule: &mut dyn Optimizer<f64>| {
            let mut w = w;
            rule.step(rate, &mut w, &g);
            w
        };
        for (with, without) in [
            (step(&mut Adam::new(2, 0.9, 0.999, 1e-8).with_decay(decay, all())),
             step(&mut Adam::new(2, 0.9, 0.999, 1e-8))),
            (step(&mut Lion::new(2, 0.9, 0.99).with_decay(decay, all())),
             step(&mut Lion::new(2, 0.9, 0.99))),
        ] {
            let expected: Vec<f64> =
                (0..2).map(|i| without[i] - rate * decay * w[i]).collect();
            prop_assert!(all_close(&with, &expected, 8.0 * f64::EPSILON));
        }
    }

    #[test]
    fn clipping_by_value_projects_onto_a_cube(
        g in prop::collection::vec(-9.0f64..9.0, 0..40), limit in 0.0f64..9.0,
    ) {
        let mut clipped = g.clone();
        let outside = clip::by_value(&mut clipped, limit);
        prop_assert_eq!(outside, g.iter().filter(|g| g.abs() > limit).count());
        prop_assert!(clipped.iter().all(|g| g.abs() <= limit));
        prop_assert!(clipped.iter().zip(&g).all(|(c, g)| c * g >= 0.0 && c.abs() <= g.abs()));
        let once = clipped.clone();
        prop_assert_eq!(clip::by_value(&mut clipped, limit), 0); // a projection: applying it twice changes nothing
        prop_assert_eq!(clipped, once);
    }

    #[test]
    fn a_norm_is_homogeneous(g in prop::collection::vec(-9.0f64..9.0, 0..40), power in -1000i32..1000) {
        let scale = 2.0_f64.powi(power);
        let scaled: Vec<f64> = g.iter().map(|g| g * scale).collect();
        let (one, other) = (clip::global_norm(&g) * scale, clip::global_norm(&scaled));
        prop_assert!((one - other).abs() <= 8.0 * f64::EPSILON * one, "{one:e} {other:e}");
    }

    #[test]
    fn a_line_search_keeps_armijo_s_promise(f in expression(), x in pair()) {
        let (value, slope) = value_and_gradient(|x| f.at(x), &x);
        let down: Vec<f64> = slope.iter().map(|g| -g).collect();
        let steep = -dot(&slope, &slope);
        prop_assume!(steep < -1e-6);
        let search = Backtracking::default();
        let found = search.search(|x| f.at(x), &x, &down, value, steep).unwrap();
        let there = f.at(&[x[0] + found.rate * down[0], x[1] + found.rate * down[1]]);
        prop_assert_eq!(there, found.value);
        prop_assert!(there < value && there <= value + 1e-4 * found.rate * steep);
        prop_assert_eq!(found.rate, 0.5_f64.powi(found.evaluations as i32 - 1));
    }

    #[test]
    fn steepest_descent_finds_the_bottom_of_a_bowl(
        c in [0.5..5.0, 0.5..5.0], angle in 0.0..3.0, m in pair(), start in pair(),
    ) {
        let f = Quadratic { hessian: turned(c, angle), minimum: m.to_vec() };
        // A quarter of the predicted decrease: the sharpest axis shrinks by at least ½. (With the usual 10⁻⁴ a step may
        // oscillate across it for a long time.)
        let search = Backtracking { sufficient: 0.25, ..Backtracking::default() };
        let found = search.minimize(|x| f.at(x), &start, 1e-7, 1000).unwrap();
        prop_assert!(found.gradient_norm <= 1e-7, "{found:?}");
        prop_assert!(all_close(&found.x, &m, 1e-6));
    }

    #[test]
    fn the_index_is_the_number_of_negative_curvatures(
        c in prop::collection::vec(prop_oneof![-5.0..-0.1, 0.1..5.0], 1..6), angle in 0.0..3.0,
    ) {
        let down = c.iter().filter(|&&c| c < 0.0).count();
        let expected = match down {
            0 => Kind::Minimum,
            n if n == c.len() => Kind::Maximum,
            index => Kind::Saddle { index },
        };
        let at = vec![0.0; c.len()];
        let found = classify_at(|x| Bowl(&c).at(x), &at, 0.0).unwrap();
        prop_assert_eq!(found.kind, expected);
        // Rotating the plane of the first two axes changes no curvature (Sylvester's inertia).
        if c.len() > 1 {
            let mut h = Matrix::from_diagonal(&nalgebra::DVector::from_row_slice(&c));
            h.view_mut((0, 0), (2, 2)).copy_from(&turned([c[0], c[1]], angle));
            let turned = classify(&h).unwrap();
            prop_assert_eq!(turned.kind, expected);
            prop_assert!(all_close(&turned.curvatures, &found.curvatures, 1e-13));
            // With the opposite sign, ascending becomes descending.
            let mirrored: Vec<f64> = curvatures(&-h).unwrap().iter().rev().map(|c| -c).collect();
            prop_assert!(all_close(&mirrored, &found.curvatures, 1e-13));
        }
    }

    #[test]
    fn a_gradient_through_layers_is_the_product_of_their_factors(
        w in prop::collection::vec(-2.0..2.0_f64, 1..20), x in -2.0..2.0_f64,
    ) {
        let factors = depth::factors(w.len(), |l, x| (w[l] * x).tanh(), x);
        let whole = derivative(|x| w.iter().fold(x, |x, &w| (w * x).tanh()), x);
        prop_assert!(close(depth::gradients(&factors)[0], whole, 1e-13));
        // With residuals, the chain's factors are 1 + f′ at the same inputs.
        let factors = depth::factors(w.len(), |l, x| x + (w[l] * x).tanh(), x);
        let whole = derivative(|x| w.iter().fold(x, |x, &w| x + (w * x).tanh()), x);
        let gradients = depth::gradients(&factors);
        prop_assert!((gradients[0] - whole).abs() <= 1e-12 * whole.abs().max(1.0));
    }

    #[test]
    fn all_paths_together_are_the_product(f in prop::collection::vec(-0.9..0.9, 0..12)) {
        let product: f64 = depth::residual(&f).iter().product();
        let paths = depth::paths(&f);
        let sum: f64 = paths.iter().sum();
        prop_assert!(close(sum, product, 1e-12), "{sum} {product}");
        // Equal factors: C(L, k) paths through k layers, 2ᴸ in all.
        let counts: f64 = depth::paths(&vec![1.0; f.len()]).iter().sum();
        prop_assert_eq!(counts, 2.0_f64.powi(f.len() as i32));
        // The rate is the geometric mean.
        let size = f.iter().map(|f| f.abs()).product::<f64>();
        prop_assume!(size > 1e-200);
        prop_assert!((depth::rate(&f).powi(f.len() as i32) / size - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_vanished_gradient_is_first_below_the_smallest(rate in 0.01..0.99, power in 1i32..60) {
        let smallest = 0.7_f64.powi(power);
        let n = depth::depth_of_vanishing(rate, smallest).unwrap() as i32;
        let bound = 1.0 + 1e-12; // rounding of the powers
        prop_assert!(rate.powi(n) <= smallest * bound && rate.powi(n - 1) * bound >= smallest);
    }
}

/// An optimizer, its learning rate, and the name of the trial.
fn rules() -> Vec<(&'static str, f64, Box<dyn Optimizer<f64>>)> {
    vec![
        ("gradient descent", 1e-3, Box::new(Sgd::new(2, 0.0))),
        ("momentum", 5e-4, Box::new(Sgd::new(2, 0.9))),
        ("Nesterov", 5e-4, Box::new(Nesterov::new(2, 0.9))),
        ("RMSProp", 1e-3, Box::new(RmsProp::new(2, 0.99, 1e-8))),
        ("Adam", 2e-2, Box::new(Adam::new(2, 0.9, 0.999, 1e-8))),
        (
            "AdamW",
            2e-2,
            Box::new(Adam::new(2, 0.9, 0.999, 1e-8).with_decay(1e-7, vec![0..1, 1..2])),
        ),
        ("Lion", 1e-3, Box::new(Lion::new(2, 0.9, 0.99))),
    ]
}

#[test]
fn every_rule_finds_a_known_minimum() {
    // The rate falls to 0 along a cosine, so that optimizers with constant step lengths also converge.
    let steps = 20_000;
    for (name, rate, mut rule) in rules() {
        let schedule = calculus::schedule::Schedule::Cosine {
            peak: rate,
            minimum: 0.0,
            warmup: 0,
            total: steps,
        };
        let mut w = [-1.2, 1.0];
        descend(&Rosenbrock, rule.as_mut(), |step| schedule.rate(step), steps, &mut w);
        let value = Rosenbrock.at(&w);
        assert!(value < 1e-3, "{name}: {value:e} at {w:?}");
    }
    for (name, rate, mut rule) in rules() {
        let schedule = calculus::schedule::Schedule::Linear {
            peak: rate,
            minimum: 0.0,
            warmup: 10,
            total: 5000,
        };
        let mut w = [3.5, 1.0];
        descend(&Himmelblau, rule.as_mut(), |step| schedule.rate(step), 5000, &mut w);
        assert!((w[0] - 3.0).hypot(w[1] - 2.0) < 1e-3, "{name}: {w:?}");
    }
}

#[test]
fn adaptive_rules_cross_a_plateau_that_stops_descent() {
    // Near the saddle of x² − 10⁻⁸·y² + 10⁻⁸·y⁴/2 the slope that leads away is only 10⁻⁸.
    struct Plateau;
    impl Field for Plateau {
        fn at<T: Real>(&self, x: &[T]) -> T {
            let y = x[1] * x[1];
            x[0] * x[0] + T::from_f64(1e-8) * (y * y * T::from_f64(0.5) - y)
        }
    }
    let after = |rule: &mut dyn Optimizer<f64>| {
        let mut w = [1.0, 1e-3];
        descend(&Plateau, rule, |_| 1e-2, 1000, &mut w);
        w[1]
    };
    assert!(after(&mut Sgd::new(2, 0.0)) < 1.001e-3);
    assert!((after(&mut Adam::new(2, 0.9, 0.999, 1e-12)) - 1.0).abs() < 0.1);
    assert!((after(&mut RmsProp::new(2, 0.99, 1e-12)) - 1.0).abs() < 0.1);
    assert!((after(&mut Lion::new(2, 0.9, 0.99)) - 1.0).abs() < 0.1);
}

#[test]
fn momentum_is_faster_where_a_valley_is_narrow() {
    // Condition number 100: the best rates' factors are 99/101 and, with momentum, 9/11.
    let steps_to = |rule: &mut dyn Optimizer<f64>, rate: f64| {
        let mut w = [1.0, 1.0];
        (0..10_000).find(|_| {
            let g = [w[0], 100.0 * w[1]];
            rule.step(rate, &mut w, &g);
            w[0].hypot(w[1]) < 1e-6
        })
    };
    let plain = steps_to(&mut Sgd::new(2, 0.0), stability::best_rate(1.0, 100.0)).unwrap();
    // Polyak's momentum ((√κ − 1)/(√κ + 1))² and rate 4/(√λmin + √λmax)².
    let heavy = steps_to(&mut Sgd::new(2, (9.0_f64 / 11.0).powi(2)), 4.0 / 121.0).unwrap();
    assert!(plain > 600 && heavy < 120, "{plain} {heavy}");
}

#[test]
fn in_many_dimensions_almost_every_stationary_point_is_a_saddle() {
    // Symmetric matrices of numbers evenly distributed about 0, from a Weyl sequence: counts the definite ones.
    let mut n = 0.0;
    let mut next = || {
        n += 1.0;
        2.0 * (n * n * 0.5 * (5.0_f64.sqrt() - 1.0)).fract() - 1.0
    };
    let saddles: Vec<usize> = [1, 2, 8]
        .into_iter()
        .map(|size| {
            let drawn = (0..200).map(|_| {
                let a = Matrix::from_fn(size, size, |_, _| next());
                classify(&(&a + a.transpose())).unwrap().kind
            });
            drawn.filter(|kind| matches!(kind, Kind::Saddle { .. })).count()
        })
        .collect();
    assert_eq!(saddles[0], 0);
    assert!(saddles[1] > 80 && saddles[2] >= 199, "{saddles:?}");
}
