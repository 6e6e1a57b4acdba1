//! Activations and their slopes, routes to a derivative, optimisers, schedules.

use super::definitions::below;
use super::inputs::Inputs::{Multiple, Number, Numbers, Square, Tame, Vector, Weights};
use super::linalg::{eigenvalues, square};
use super::probability::number;
use super::{Case, cases, doubles};
use calculus::activation::{
    Activation, Function, Gelu, GeluTanh, LeakyRelu, Relu, Sigmoid, Silu, gelu, gelu_tanh,
    leaky_relu, relu, sigmoid, silu,
};
use calculus::chain::{Chain, Layer};
use calculus::gauss_newton::{GaussNewton, gauss_newton_product};
use calculus::landscape::{Bowl, Field, Himmelblau, MonkeySaddle, Rosenbrock};
use calculus::line_search::Backtracking;
use calculus::newton::Newton;
use calculus::optimizer::{OptimizerConfig, OptimizerKind};
use calculus::quasi_newton::Lbfgs;
use calculus::schedule::{EarlyStopping, Plateau, Schedule};
use calculus::stationary::{Kind, classify, classify_at, curvatures};
use calculus::taylor::{self, Series};
use calculus::{Dual, DualVector, Parameter, Traced, clip, depth, derivative, stability};
use linalg::{Real, Role, Shape, vector};
use num_traits::{One, Zero};
use tests::exact::Exact;

/// Two layers on dual numbers.
fn chained<T: Real>(x: &[T]) -> Chain<T> {
    let first = |v: &[Dual<T>]| vec![v[0] * v[1], v[0] - v[1]];
    let last = |v: &[Dual<T>]| vec![v[0] + v[1] * v[1]];
    let layers: [Layer<'_, T>; 2] = [&first, &last];
    Chain::of(&layers, &x[..2])
}

/// Two steps of a rule, from 1, with a gradient and a hundredth of it.
/// A matrix of one element, which decays.
fn one() -> [Parameter; 1] {
    let (name, uses) = ("w".to_owned(), vec![(Role::Linear, 0)]);
    [Parameter { name, shape: Shape::new(1, 1), range: 0..1, uses, output: false }]
}

/// Every rule of descent whose steps are as long as the rate, or none of these; with decay and without.
fn rules(normalise: bool) -> impl Iterator<Item = OptimizerConfig> {
    let usual = OptimizerConfig { momentum: 0.5, beta1: 0.75, beta2: 0.875, ..Default::default() };
    let kinds = OptimizerKind::ALL.iter().filter(move |kind| kind.normalises() == normalise);
    kinds.flat_map(move |&kind| {
        [0.0, 0.125].map(|weight_decay| OptimizerConfig { kind, weight_decay, ..usual })
    })
}

fn stepped<T: Real>(rule: &OptimizerConfig, gradient: T) -> Vec<T> {
    let (mut w, mut rule) = (vec![T::one()], rule.build(&one()));
    rule.step(0.1, &mut w, &[gradient]);
    rule.step(0.1, &mut w, &[gradient * T::from_f64(0.015625)]);
    w
}

/// How many rules leave a parameter that is no number, or one that 9000 gradients of 1 do not move: none. NaN of a NaN.
fn lasting<T: Real>(gradient: T) -> T {
    if !gradient.to_f64().is_finite() {
        return T::from_f64(f64::NAN);
    }
    let stays = |rule: OptimizerConfig| {
        let (mut w, mut rule) = (vec![T::one()], rule.build(&one()));
        rule.step(0.1, &mut w, &[gradient]);
        let first = w[0];
        (0..9000).for_each(|_| rule.step(0.1, &mut w, &[T::one()]));
        w[0].to_f64().is_finite() && w[0] != first
    };
    T::from_f64(rules(true).filter(|rule| !stays(*rule)).count() as f64)
}

/// The density of the standard normal.
fn normal(x: Exact) -> Exact {
    let two = number::<Exact>(2.0);
    (-(x * x) / two).exp() / (two * Exact::pi()).sqrt()
}

fn logistic(x: Exact) -> Exact {
    Exact::one() / (Exact::one() + (-x).exp())
}

/// ½(1 + tanh(√(2/π)(x + 0.044715x³))), with as many digits where it is small, and its slope.
fn gate(x: Exact) -> (Exact, Exact) {
    let (two, c) = (number::<Exact>(2.0), number::<Exact>(0.044715));
    let root = (two / Exact::pi()).sqrt();
    let g = logistic(two * root * (x + c * x * x * x));
    (g, two * root * g * (Exact::one() - g) * (Exact::one() + number::<Exact>(3.0) * c * x * x))
}

fn symmetric(x: &[f64]) -> linalg::Matrix<f64> {
    let a = square(x);
    (&a * 0.5) + (a.transpose() * 0.5)
}

fn clipped<T: Real>(x: &[T]) -> (Vec<T>, usize) {
    let mut g = x.to_vec();
    let count = clip::by_value(&mut g, 1.0);
    (g, count)
}

/// By an ordinary factor, and by such as `f32` does not hold.
const FACTORS: [f64; 6] = [0.375, 3e-38, 1.1e-41, 1.3e-60, 1.7e45, 1.9e70];

fn scaled<T: Real>(x: &[T]) -> Vec<T> {
    let of = |factor| {
        let mut g = x.to_vec();
        clip::scale(&mut g, factor);
        g
    };
    FACTORS.into_iter().flat_map(of).collect()
}

fn limited<T: Real>(x: &[T]) -> Vec<T> {
    let of = |limit| {
        let mut g = x.to_vec();
        let norm = clip::by_global_norm(&mut g, limit);
        assert!(!(clip::factor(norm, limit) > 1.0));
        g
    };
    LIMITS.into_iter().flat_map(of).collect()
}

const LIMITS: [f64; 5] = [1.0, 1e30, 1e-12, 1.3e-40, 1.7e-300];

pub(crate) fn cases() -> Vec<Case> {
    let mut all = cases! {
        "activation::Activation::at", Number, Conditioned 8.0 => |x| {
            Activation::ALL.iter().map(|f| f.at(x[0])).collect::<Vec<_>>()
        }, as |x| Activation::ALL.iter().map(|f| f.at(x[0])).collect::<Vec<_>>();
        // 1 − tanh² = 4·σ(2x)·σ(−2x).
        "activation::Activation::at", Number, Conditioned 4.0 => |x| derivative(|x| Activation::Tanh.at(x), x[0]), as |x| {
            let twice = x[0] + x[0];
            number::<Exact>(4.0) * logistic(twice) * logistic(-twice)
        };
        "activation::gelu::gelu", Number, Conditioned 8.0 => |x| [gelu(x[0]), Gelu::at(x[0]), derivative(gelu, x[0])], as |x| {
            let value = x[0] * below(x[0]);
            [value, value, below(x[0]) + x[0] * normal(x[0])]
        };
        "activation::gelu::gelu_tanh", Number, Conditioned 8.0 => |x| [gelu_tanh(x[0]), GeluTanh::at(x[0]), derivative(gelu_tanh, x[0])], as |x| {
            let (g, slope) = gate(x[0]);
            [x[0] * g, x[0] * g, g + x[0] * slope]
        };
        "activation::relu::relu", Number, Result 0.0 => |x| [relu(x[0]), Relu::at(x[0]), derivative(relu, x[0])];
        "activation::relu::leaky_relu", Number, Result 1.0 => |x| {
            [leaky_relu(x[0], 0.125), LeakyRelu::at(x[0]), derivative(LeakyRelu::at, x[0])]
        };
        "activation::sigmoid::sigmoid", Number, Conditioned 4.0 => |x| [sigmoid(x[0]), Sigmoid::at(x[0]), derivative(sigmoid, x[0])], as |x| {
            let g = logistic(x[0]);
            [g, g, g * logistic(-x[0])]
        };
        "activation::silu::silu", Number, Conditioned 4.0 => |x| [silu(x[0]), Silu::at(x[0]), derivative(silu, x[0])], as |x| {
            let g = logistic(x[0]);
            [x[0] * g, x[0] * g, g + x[0] * g * logistic(-x[0])]
        };
        "chain::Chain::of" "chain::Chain::values", Tame(2), Conditioned 8.0 => |x| chained(x).values().to_vec();
        "chain::Chain::jacobians" "chain::Chain::product", Tame(2), Conditioned 8.0 => |x| {
            let chain = chained(x);
            (chain.jacobians()[0].clone(), chain.product())
        };
        "chain::Chain::gradients", Tame(3), Conditioned 8.0 => |x| chained(x).gradients(&x[2..]);
        "clip::by_value", Vector, Result 0.0 => |x| clipped(x);
        // Half a unit for the product with a factor that is off by half a unit, and half a unit of subnormal numbers.
        "clip::scale", Numbers(2), Result 1.5 => |x| scaled(x), as |x| {
            FACTORS.into_iter().flat_map(|f| x.iter().map(move |&x| x * number(f))).collect::<Vec<_>>()
        };
        // The norm: a square passes 14 roundings on its way (4 in its lane, 8 of the lanes, the rest), 7 units, 3½ after the
        // root, which rounds; with the sum, the quotient, and what `scale` does: 3½ + 3·½ + 1½; a quarter of a smallest number.
        "clip::by_global_norm" "clip::factor", Multiple(2), Result 6.75 => |x| limited(x), as |x| {
            let norm = vector::dot(x, x).sqrt();
            // Gradients whose norm is no f64 are left as they are.
            let endless = norm > number::<Exact>(f64::MAX) * number(1.0 + f64::EPSILON);
            LIMITS.into_iter().flat_map(|limit| {
                let share = number::<Exact>(limit) / (norm + number(1e-6));
                let factor = if share < Exact::one() && !endless { share } else { Exact::one() };
                x.iter().map(move |&x| x * factor).collect::<Vec<_>>()
            }).collect::<Vec<_>>()
        };
        "depth::factors", Numbers(1), Conditioned 8.0 => |x| depth::factors(2, |_, v| v * Dual::constant(number(0.5)), x[0]);
        "depth::gradients" "depth::residual", Tame(4), Conditioned 8.0 => |x| (depth::gradients(x), depth::residual(x));
        // Of logarithms up to 710 in size, each rounded.
        "depth::rate", Weights, Conditioned 720.0 => |x| depth::rate(x), as |x| {
            if x.is_empty() { Exact::one() } else { (vector::sum_of(x.len(), |i| x[i].abs().ln()) / number(x.len() as f64)).exp() }
        };
        "depth::paths", Tame(4), Conditioned 8.0 => |x| depth::paths(x);
        "differentiate::derivative" "dual::Dual::variable" "dual::Dual::constant" "dual::Dual::new", Tame(2), Conditioned 4.0 => |x| {
            let product = Dual::variable(x[0]) * Dual::constant(x[1]);
            [derivative(|v| v * v * Dual::new(x[1], Zero::zero()), x[0]), product.derivative]
        };
        "differentiate::directional_derivative", Tame(4), Conditioned 8.0 => |x| {
            calculus::directional_derivative(|v| v[0] * v[1] + v[0] * v[0], &x[..2], &x[2..])
        };
        "differentiate::jvp" "differentiate::vjp", Tame(4), Conditioned 8.0 => |x| {
            let forward = calculus::jvp(|v| vec![v[0] * v[1], v[0]], &x[..2], &x[2..]);
            let reverse = calculus::vjp(|v| vec![v[0] * v[1], v[0]], &x[..2], &x[2..]);
            (forward, reverse)
        };
        "differentiate::gradient" "differentiate::value_and_gradient", Tame(2), Conditioned 8.0 => |x| {
            let (value, slope) = calculus::value_and_gradient(|v| v[0] * v[1] * v[0], x);
            (calculus::gradient(|v| v[0] * v[1], x), [vec![value], slope].concat())
        };
        "differentiate::trace" "traced::Trace::gradient" "traced::Trace::values" "traced::Traced::constant" "traced::Traced::value",
            Tame(3), Conditioned 8.0 => |x| {
            let list = calculus::trace(|v| v[0] * v[1] * Traced::constant(v[0].value()), &x[..2]);
            (list.gradient(&x[2..]), list.values())
        };
        "differentiate::jacobian" "differentiate::jacobian_by_rows", Tame(2), Conditioned 8.0 => |x| {
            let forward = calculus::jacobian(|v| vec![v[0] * v[1], v[0]], x);
            (forward, calculus::jacobian_by_rows(|v| vec![v[0] * v[1], v[0]], x))
        };
        "differentiate::hessian" "differentiate::hessian_vector_product", Tame(4), Conditioned 8.0 => |x| {
            let along = calculus::hessian_vector_product(|v| v[0] * v[0] * v[1], &x[..2], &x[2..]);
            (calculus::hessian(|v| v[0] * v[0] * v[1], &x[..2]), along)
        };
        "dual_vector::forward_gradient" "dual_vector::DualVector::constant" "dual_vector::DualVector::variable", Tame(2), Conditioned 8.0 => |x| {
            let (value, slope) = calculus::forward_gradient(|v| v[0] * v[1] * DualVector::constant(v[0].value), &[x[0], x[1]]);
            (value, (slope, DualVector::<_, 1>::variable(x[0], 0).value))
        };
        "gauss_newton::gauss_newton_product", Tame(2), Conditioned 8.0 => |x| {
            gauss_newton_product(|v| vec![v[0] * v[0]], |y| y[0] * y[0], &x[..1], &x[1..])
        };
        "landscape::Bowl::at", Tame(2), Conditioned 8.0 => |x| Bowl(&[2.0, 8.0]).at(x);
        "landscape::Rosenbrock::at", Tame(2), Conditioned 16.0 => |x| Rosenbrock.at(x);
        "landscape::Himmelblau::at", Tame(2), Conditioned 16.0 => |x| Himmelblau.at(x);
        "landscape::MonkeySaddle::at", Tame(2), Conditioned 8.0 => |x| MonkeySaddle.at(x);
        "stability::limit", Tame(2), Conditioned 4.0 => |x| stability::limit(x[0], x[1]);
        "stability::factor", Tame(2), Conditioned 4.0 => |x| stability::factor(x[0], x[1]);
        "stability::best_rate", Tame(2), Conditioned 4.0 => |x| stability::best_rate(x[0], x[1]);
        "taylor::expand" "taylor::Series::at" "taylor::Series::coefficients" "taylor::Series::constant", Tame(2), Whole 8.0 => |x| {
            let p = taylor::expand::<_, 4>(|v| v * v * v + v * Series::constant(number(0.5)), x[0]);
            [p.coefficients().to_vec(), vec![p.at(x[1])]].concat()
        };
        "taylor::expand_along" "taylor::Series::derivative" "taylor::Series::value", Tame(4), Conditioned 8.0 => |x| {
            let p = taylor::expand_along::<_, 3>(|v| v[0] * v[1], &x[..2], &x[2..]);
            [p.value(), p.derivative(1), p.derivative(2)]
        };
        "taylor::Series::moving" "taylor::Series::variable", Tame(2), Conditioned 8.0 => |x| {
            (Series::<_, 3>::moving(x[0], x[1]) * Series::variable(x[1])).coefficients().to_vec()
        };
        "taylor::Series::remainder_bound", Tame(2), Conditioned 8.0 => |x| {
            Series::<_, 3>::variable(x[0]).remainder_bound(x[0], x[1])
        };
        // Descent is proportional to the gradient.
        "optimizer::config::OptimizerConfig::build" "optimizer::config::OptimizerConfig::sgd", Number, Conditioned 8.0 => |g| {
            let mut all = vec![stepped(&OptimizerConfig::sgd(0.0), g[0])];
            all.extend(rules(false).map(|rule| stepped(&rule, g[0])));
            all
        };
        "optimizer::config::OptimizerConfig::build", Tame(1), Conditioned 16.0 => |g| {
            rules(true).map(|rule| stepped(&rule, g[0])).collect::<Vec<_>>()
        };
        "optimizer::config::OptimizerConfig::build", Tame(1), Conditioned 16.0 => |g| {
            let scaled = |rule: OptimizerConfig| {
                let mut w = vec![number(1.0)];
                rule.build(&one()).step_scaled(0.1, 0.5, &mut w, &mut [g[0]]);
                w
            };
            rules(true).map(scaled).collect::<Vec<_>>()
        };
        // Whatever the gradient: every parameter stays a number, and the next step moves it.
        "optimizer::config::OptimizerConfig::build", Number, Result 0.0 => |g| lasting(g[0]), as |g| if g[0].is_finite() { Exact::zero() } else { g[0] };
    };
    all.extend(doubles! {
        "clip::global_norm", Vector, Result 4.0 => |x| clip::global_norm(x), as |x| vector::dot(x, x).sqrt();
        "optimizer::config::OptimizerConfig::limit", Tame(1), Conditioned 4.0 => |x| {
            OptimizerConfig::sgd(0.5).limit(x[0], 7).expect("descent has a limit")
        }, as |x| stability::limit(x[0], number(0.5));
        "optimizer::config::OptimizerConfig::corrections", Tame(2), Conditioned 4.0 => |x| {
            OptimizerConfig { beta1: x[0], beta2: x[1], ..OptimizerConfig::default() }.corrections(2)
        }, as |x| {
            fn third<T: Real>(beta: T) -> T { T::one() - beta * beta * beta }
            [third(x[0]), third(x[1])]
        };
        "optimizer::config::OptimizerConfig::shares", Tame(1), Conditioned 2.0 => |x| {
            OptimizerConfig { width_ratio: x[0], ..OptimizerConfig::default() }.shares()
        }, as |x| {
            fn own<T: Real>(m: T) -> [T; 2] { [T::one() / m, T::one()] }
            own(x[0])
        };
        "depth::depth_of_vanishing", Numbers(2), Whole 0.0 => |x| {
            // rateⁿ is at most the smallest, and that of a layer less is not, within rounding.
            let (rate, smallest) = (x[0].abs(), x[1].abs());
            let found = depth::depth_of_vanishing(rate, smallest);
            let shrinks = rate < 1.0 && smallest > 0.0;
            let right = found.is_none_or(|n| n == 0 || rate == 0.0 || {
                let (n, share) = (n as f64, smallest.ln() / rate.ln());
                n >= share * (1.0 - 1e-14) && n - 1.0 <= share * (1.0 + 1e-14)
            });
            f64::from(u8::from(!right || (found.is_none() && shrinks && rate > 0.0)))
        };
        "line_search::Backtracking::minimize" "line_search::Backtracking::search", Number, Whole 0.0 => |x| {
            // Never uphill, and it ends.
            let rule = Backtracking::default();
            let found = rule.search(|v| v[0] * v[0], x, &[-2.0 * x[0]], x[0] * x[0], -4.0 * x[0] * x[0]);
            let least = rule.minimize(|v| v[0] * v[0], x, 1e-9, 50);
            let higher = found.is_ok_and(|f| f.value > x[0] * x[0]) || least.is_ok_and(|m| m.value > x[0] * x[0]);
            f64::from(u8::from(higher))
        };
        "newton::Newton::minimize" "gauss_newton::GaussNewton::minimize", Number, Whole 0.0 => |x| {
            // Never uphill, and they end.
            let least = Newton::default().minimize(|v| v[0] * v[0], x, 1e-9, 50);
            let fitted = GaussNewton::default().minimize(|v| vec![v[0]], x, 1e-9, 50);
            let higher = least.is_ok_and(|m| m.value > x[0] * x[0]) || fitted.is_ok_and(|m| 2.0 * m.value > x[0] * x[0]);
            f64::from(u8::from(higher))
        };
        "quasi_newton::Lbfgs::minimize", Number, Whole 0.0 => |x| {
            // Never uphill, and it ends.
            let least = Lbfgs::default().minimize(|v| v[0] * v[0], x, 1e-9, 50);
            f64::from(u8::from(least.is_ok_and(|m| m.value > x[0] * x[0])))
        };
        "schedule::Schedule::rate", Numbers(2), Whole 0.0 => |x| {
            // Between the least and the highest rate, to a rounding.
            let (minimum, peak) = (x[0].abs().min(x[1].abs()), x[0].abs().max(x[1].abs()));
            let all = [
                Schedule::Cosine { peak, minimum, warmup: 2, total: 9 },
                Schedule::Linear { peak, minimum, warmup: 2, total: 9 },
                Schedule::Constant { rate: peak },
                Schedule::CosineRestarts { peak, minimum, warmup: 2, period: 3, growth: 2 },
                Schedule::OneCycle { peak, initial: minimum, minimum, rise: 3, total: 9 },
            ];
            let rates = all.iter().flat_map(|s| [2, 3, 5, 8, 9, 1000, u64::MAX].map(|step| s.rate(step)));
            let slack = 4.0 * f64::EPSILON * peak + 5e-324;
            let out = rates.filter(|r| peak.is_finite() && !(minimum - slack <= *r && *r <= peak + slack)).count();
            out as f64
        };
        "schedule::EarlyStopping::best" "schedule::EarlyStopping::stop" "schedule::Plateau::new" "schedule::Plateau::rate", Vector, Whole 0.0 => |x| {
            let (mut stopping, mut plateau) = (EarlyStopping::new(2), Plateau::new(1.0, 0.5, 1, 1e-4));
            let rates: Vec<f64> = x.iter().map(|&x| { stopping.stop(x); plateau.rate(x) }).collect();
            let best = x.iter().fold(f64::INFINITY, |m, x| m.min(*x));
            let falls = rates.windows(2).all(|w| w[1] <= w[0]) && rates.iter().all(|r| *r > 0.0 && *r <= 1.0);
            f64::from(u8::from(stopping.best() != best || !falls))
        };
        "stationary::curvatures" "stationary::classify" "stability::sharpness", Square, Normwise 32.0 => |x| {
            let a = symmetric(x);
            let found = curvatures(&a)?;
            let kind = classify(&a)?;
            assert_eq!(kind.curvatures, found);
            assert!(found.len() < 9 || stability::sharpness(|v| v[0] * v[0], &[1.0]).is_ok());
            found
        }, as |x| {
            let doubles: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
            let a = symmetric(&doubles);
            curvatures(&a)?;
            eigenvalues(a.map(Exact::of)).into_iter().rev().collect::<Vec<_>>()
        };
        "stationary::classify_at", Number, Whole 0.0 => |x| {
            // x·v² at 0: the sign of x decides, and is never mistaken.
            let curvature = x[0];
            let found = classify_at(|v| v[0] * v[0] * Traced::constant(Dual::constant(curvature)), &[0.0], 0.0)?;
            let right = match found.kind {
                Kind::Minimum => curvature > 0.0,
                Kind::Maximum => curvature < 0.0,
                _ => curvature == 0.0,
            };
            f64::from(u8::from(!right))
        };
        "check::difference_step", Number, Result 2.0 => |x| calculus::check::difference_step(x[0]), as |x| {
            let cube = (number::<Exact>(f64::EPSILON).ln() / number(3.0)).exp();
            cube * x[0].abs().larger(Exact::one())
        };
    });
    all
}
