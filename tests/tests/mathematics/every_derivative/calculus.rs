//! Derivatives of derivatives, optimisers as functions of what they are given, activations and landscapes.

use super::{Case, cases, seen};
use calculus::activation::{Activation, gelu, gelu_tanh, leaky_relu, relu, sigmoid, silu};
use calculus::chain::{Chain, Layer};
use calculus::landscape::{Bowl, Field, Himmelblau, MonkeySaddle, Rosenbrock};
use calculus::optimizer::{Optimizer, OptimizerConfig, OptimizerKind};
use calculus::taylor::{self, Series};
use calculus::{Dual, DualVector, Parameter, Traced, clip, depth, gauss_newton, stability};
use linalg::{Real, Role, Shape, vector};

/// A hundredth of a polynomial of the fourth degree: derivatives of size 1.
fn tame<T: Real>(value: T) -> T {
    value * T::from_f64(0.01)
}

/// Layers ℝ³ → ℝ² → ℝ² on dual numbers, with weights that move too.
fn chained<T: Real, R>(x: &[T], read: impl Fn(&Chain<T>) -> R) -> R {
    let w: Vec<Dual<T>> = x[3..].iter().map(|&w| Dual::constant(w)).collect();
    let mix = |v: &[Dual<T>]| vec![w[0] * v[0] + w[1] * v[1] * v[2], (w[2] * v[2]).tanh()];
    let last = |v: &[Dual<T>]| vec![v[0] * v[1], v[1].sin() + w[3] * v[0]];
    let layers: [Layer<'_, T>; 2] = [&mix, &last];
    read(&Chain::of(&layers, &x[..3]))
}

fn chain_values<T: Real>(x: &[T]) -> T {
    let own = |v: &[Dual<T>]| vec![v[0] * v[1], v[1].sin()];
    let chain = Chain::of(&[&own], &x[..2]);
    seen(&chain.values()[1])
}

fn chain_jacobians<T: Real>(x: &[T]) -> T {
    chained(x, |chain| {
        seen(chain.jacobians()[0].as_slice()) + seen(chain.jacobians()[1].as_slice())
    })
}

fn chain_product<T: Real>(x: &[T]) -> T {
    chained(x, |chain| seen(chain.product().as_slice()))
}

fn chain_gradients<T: Real>(x: &[T]) -> T {
    chained(x, |chain| chain.gradients(&x[7..]).iter().fold(T::zero(), |sum, g| sum + seen(g)))
}

/// What a recorded trace says of a function whose constants move.
fn traced<T: Real>(x: &[T]) -> T {
    let product = |v: &[Traced<T>]| v[0] * v[1] * Traced::constant(x[2]) + v[1].sin();
    let list = calculus::trace(product, &x[..2]);
    seen(&list.gradient(&[x[3]])) + list.values()[0]
}

fn directional<T: Real>(x: &[T]) -> T {
    let c = Dual::constant(x[6]);
    calculus::directional_derivative(|v| v[0] * v[1].tanh() * c + v[2].exp(), &x[..3], &x[3..6])
}

fn jvp<T: Real>(x: &[T]) -> T {
    let f = |v: &[Dual<T>]| vec![v[0] * v[1], v[1].cos()];
    seen(&calculus::jvp(f, &x[..2], &x[2..4]))
}

fn vjp<T: Real>(x: &[T]) -> T {
    let f = |v: &[Traced<T>]| vec![v[0] * v[1], v[1].cos()];
    seen(&calculus::vjp(f, &x[..2], &x[2..4]))
}

fn gradient<T: Real>(x: &[T]) -> T {
    let c = Traced::constant(x[3]);
    seen(&calculus::gradient(|v| v[0] * v[1] * v[2] + (v[0] * c).sin(), &x[..3]))
}

fn value_and_gradient<T: Real>(x: &[T]) -> T {
    let (value, slope) = calculus::value_and_gradient(|v| v[0] * v[1] + v[1].exp(), &x[..2]);
    value * seen(&slope)
}

fn forward_gradient<T: Real>(x: &[T]) -> T {
    let c = DualVector::constant(x[2]);
    let (value, slope) =
        calculus::forward_gradient(|v| v[0] * v[1] * c + v[1].exp(), &[x[0], x[1]]);
    value * seen(&slope)
}

fn gauss_newton_product<T: Real>(x: &[T]) -> T {
    let outputs = |v: &[Traced<Dual<T>>]| vec![v[0] * v[1], v[1].sin()];
    let loss = |y: &[Traced<Dual<T>>]| y[0] * y[0] * y[1] + y[1].exp();
    seen(&gauss_newton::gauss_newton_product(outputs, loss, &x[..2], &x[2..4]))
}

fn jacobian<T: Real>(x: &[T]) -> T {
    let f = |v: &[Dual<T>]| vec![v[0] * v[1], v[1].cos(), v[0]];
    seen(calculus::jacobian(f, &x[..2]).as_slice())
}

fn jacobian_by_rows<T: Real>(x: &[T]) -> T {
    let f = |v: &[Traced<T>]| vec![v[0] * v[1], v[1].cos(), v[0]];
    seen(calculus::jacobian_by_rows(f, &x[..2]).as_slice())
}

fn hessian_vector_product<T: Real>(x: &[T]) -> T {
    let f = |v: &[Traced<Dual<T>>]| v[0] * v[0] * v[1] + v[1].sin();
    seen(&calculus::hessian_vector_product(f, &x[..2], &x[2..4]))
}

fn hessian<T: Real>(x: &[T]) -> T {
    seen(calculus::hessian(|v| v[0] * v[0] * v[1] + v[1].sin(), &x[..2]).as_slice())
}

/// Three steps of a rule with gradients of its own making, as a function of where it starts and of what they are.
/// No gradient comes near 0, where √g² has a kink that no comparison shows.
/// A matrix of three elements, which decays.
fn three() -> [Parameter; 1] {
    let (name, uses) = ("w".to_owned(), vec![(Role::Linear, 0)]);
    [Parameter { name, shape: Shape::new(3, 1), range: 0..3, uses, output: false }]
}

fn stepped<T: Real>(x: &[T], mut rule: Box<dyn Optimizer<T>>, factor: f64) -> T {
    let mut w = x[..3].to_vec();
    for part in [&x[3..6], &x[6..], &x[4..7]] {
        let mut g: Vec<T> = part
            .iter()
            .zip(&w)
            .map(|(&g, &w)| g + w * T::from_f64(0.3) + T::from_f64(3.0))
            .collect();
        match factor {
            1.0 => rule.step(0.1, &mut w, &g),
            _ => rule.step_scaled(0.1, factor, &mut w, &mut g),
        }
    }
    seen(&w)
}

/// Every rule of descent, with momentum and without.
fn rules<T: Real>(x: &[T]) -> T {
    let mut sum = T::zero();
    for &kind in OptimizerKind::ALL {
        for momentum in [0.0, 0.9] {
            let decay = OptimizerConfig { weight_decay: 0.1, ..OptimizerConfig::default() };
            let config = OptimizerConfig { kind, momentum, epsilon: 1e-2, ..decay };
            sum += stepped(x, config.build(&three()), 1.0);
            sum += stepped(x, config.build(&three()), 0.5);
        }
    }
    sum
}

fn clipped<T: Real>(x: &[T]) -> T {
    let mut g = x.to_vec();
    clip::by_value(&mut g, 1.0);
    seen(&g) * x[0]
}

fn scaled<T: Real>(x: &[T]) -> T {
    let mut g = x.to_vec();
    clip::scale(&mut g, 0.3);
    seen(&g) * x[0]
}

fn factors<T: Real>(x: &[T]) -> T {
    seen(&depth::factors(4, |l, v: Dual<T>| (v * Dual::constant(x[l])).tanh(), x[5]))
}

fn expanded<T: Real>(x: &[T]) -> T {
    let p = taylor::expand::<T, 4>(|v| (v * Series::constant(x[2])).sin(), x[0]);
    p.at(x[1]) + seen(p.coefficients())
}

fn expanded_along<T: Real>(x: &[T]) -> T {
    let p = taylor::expand_along::<T, 4>(|v| v[0] * v[1] + v[1].exp(), &x[..2], &x[2..4]);
    p.derivative(2) + p.derivative(3) * p.value()
}

fn moved<T: Real>(x: &[T]) -> T {
    let (line, still) = (Series::<T, 3>::moving(x[0], x[1]), Series::constant(x[2]));
    seen((line * line * still + Series::variable(x[3])).coefficients())
}

fn remainder<T: Real>(x: &[T]) -> T {
    Series::<T, 3>::variable(x[0]).remainder_bound(x[1], x[2] * x[2])
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "chain::Chain::of" "chain::Chain::values" => chain_values;
        "chain::Chain::jacobians" => chain_jacobians;
        "chain::Chain::product" => chain_product;
        "chain::Chain::gradients" => chain_gradients;
        "clip::by_value" => clipped;
        "clip::scale" => scaled;
        "depth::factors" => factors;
        "depth::gradients" => |x| seen(&depth::gradients(&x[..5]));
        "depth::residual" => |x| seen(&depth::residual(&x[..5])) * x[0];
        "depth::rate" => |x| depth::rate(&x[..5]);
        "depth::paths" => |x| seen(&depth::paths(&x[..5]));
        "differentiate::derivative" => |x| {
            calculus::derivative(|v| (v * v * Dual::constant(x[1])).tanh(), x[0])
        };
        "differentiate::directional_derivative" => directional;
        "differentiate::jvp" => jvp;
        "differentiate::vjp" => vjp;
        "differentiate::gradient" => gradient;
        "differentiate::value_and_gradient" => value_and_gradient;
        "differentiate::trace" "traced::Trace::gradient" "traced::Trace::values" => traced;
        "differentiate::jacobian" => jacobian;
        "differentiate::jacobian_by_rows" => jacobian_by_rows;
        "differentiate::hessian_vector_product" => hessian_vector_product;
        "differentiate::hessian" => hessian;
        "dual_vector::forward_gradient" => forward_gradient;
        "gauss_newton::gauss_newton_product" => gauss_newton_product;
        "landscape::Bowl::at" => |x| Bowl(&[2.0, 8.0, -1.0]).at(&x[..3]);
        "landscape::Rosenbrock::at" => |x| tame(Rosenbrock.at(&x[..3]));
        "landscape::Himmelblau::at" => |x| tame(Himmelblau.at(&x[..2]));
        "landscape::MonkeySaddle::at" => |x| MonkeySaddle.at(&x[..2]);
        "stability::limit" => |x| stability::limit(x[0].exp(), x[1]);
        "stability::factor" => |x| stability::factor(x[0], x[1]);
        "stability::best_rate" => |x| stability::best_rate(x[0].exp(), x[1].exp());
        "taylor::expand" "taylor::Series::at" "taylor::Series::coefficients" "taylor::Series::constant" => expanded;
        "taylor::expand_along" "taylor::Series::derivative" "taylor::Series::value" => expanded_along;
        "taylor::Series::moving" "taylor::Series::variable" => moved;
        "taylor::Series::remainder_bound" => remainder;
        "activation::Activation::at" => |x| vector::sum_of(Activation::ALL.len(), |i| Activation::ALL[i].at(x[0])) * x[1];
        "activation::gelu::gelu" => |x| gelu(x[0]) * x[1];
        "activation::gelu::gelu_tanh" => |x| gelu_tanh(x[0]) * x[1];
        "activation::relu::relu" => |x| relu(x[0]) * x[1];
        "activation::relu::leaky_relu" => |x| leaky_relu(x[0], 0.1) * x[1];
        "activation::sigmoid::sigmoid" => |x| sigmoid(x[0]) * x[1];
        "activation::silu::silu" => |x| silu(x[0]) * x[1];
        "optimizer::config::OptimizerConfig::build" => rules;
        "optimizer::config::OptimizerConfig::sgd" => |x| stepped(x, OptimizerConfig::sgd(0.9).build(&three()), 1.0);
    }
}
