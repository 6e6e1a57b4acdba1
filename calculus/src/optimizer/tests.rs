//! Tests of the module.

use super::*;
use proptest::prelude::*;

/// Creates an optimizer for `n` parameters.
fn build<T: Real>(config: &OptimizerConfig, n: usize) -> Box<dyn Optimizer<T>> {
    let (name, shape) = ("all".to_owned(), linalg::Shape::new(n, 1));
    config.build(&[Parameter { name, shape, range: 0..n, uses: vec![], output: false }])
}

/// Creates every optimizer for `n` parameters: descent with and without momentum.
fn every<T: Real>(n: usize) -> Vec<(OptimizerConfig, Box<dyn Optimizer<T>>)> {
    let usual = OptimizerConfig { momentum: 0.9, beta2: 0.999, ..OptimizerConfig::default() };
    let all = OptimizerKind::ALL.iter().map(|&kind| OptimizerConfig { kind, ..usual });
    let configs = std::iter::once(OptimizerConfig::sgd(0.0)).chain(all);
    configs.map(|config| (config, build(&config, n))).collect()
}

#[test]
fn scaling_in_the_same_pass_changes_no_bit() {
    let (n, factor) = (20_000, 0.37);
    assert!(n > 2 * parallel::BLOCK && n % parallel::BLOCK != 0, "blocks, the last one short");
    let gradients: Vec<f32> = (0..n).map(|i| ((i * 7919) % 1000) as f32 * 1e-3 - 0.5).collect();
    for ((name, mut one), (_, mut two)) in every::<f32>(n).into_iter().zip(every::<f32>(n)) {
        let (mut p, mut q) = (vec![1.0; n], vec![1.0; n]);
        for _ in 0..3 {
            let mut scaled = gradients.clone();
            clip::scale(&mut scaled, factor);
            one.step(0.1, &mut p, &scaled);
            two.step_scaled(0.1, factor, &mut q, &mut gradients.clone());
        }
        assert!(p == q, "{name:?}");
    }
}

/// Returns a product in the scalar, moved by n floats away from 0 or towards 0.
fn beside<T: Real>(product: f64, n: f64) -> T {
    let (epsilon, least) = match T::from_f64(f64::MAX).to_f64().is_finite() {
        true => (f64::EPSILON, f64::from_bits(1)),
        false => (f64::from(f32::EPSILON), f64::from(f32::from_bits(1))),
    };
    T::from_f64(product + n * (epsilon * product.abs() + least) * product.signum())
}

/// Performs a first step with `factor` times a gradient, and returns the parameter and the state.
fn first_step<T: Real>(
    config: &OptimizerConfig,
    step: impl FnOnce(&mut dyn Optimizer<T>, &mut [T]),
) -> Vec<f64> {
    let mut rule = build::<T>(config, 1);
    let mut w = [T::zero()];
    step(&mut *rule, &mut w);
    let memory = rule.state().into_iter().flat_map(|(_, m)| m.to_vec()).collect::<Vec<_>>();
    w.into_iter().chain(memory).map(T::to_f64).collect()
}

/// `step_scaled` by a factor equals a step with gradients that were multiplied in `f64` and rounded once, up to two
/// floats. From the initial state, every result, of the parameter and of the state, is a monotone function of |g|. It
/// lies between the results for gradients two floats smaller and larger, apart from the roundings of the update itself.
fn scales<T: Real>(gradient: f64, factor: f64) -> Result<(), TestCaseError> {
    let g = T::from_f64(gradient);
    let product = g.to_f64() * factor;
    let (low, high) = (beside::<T>(product, -2.0), beside::<T>(product, 2.0));
    // The smaller one has the same sign, or is 0.
    let low = if low.to_f64() * product > 0.0 { low } else { T::zero() };
    // Eight roundings of an update on each side.
    let slack = 8.0 * (beside::<T>(1.0, 1.0).to_f64() - 1.0);
    let smallest = beside::<T>(0.0, 1.0).to_f64();
    for (config, _) in every::<T>(1) {
        let found = first_step::<T>(&config, |rule, w| rule.step_scaled(0.5, factor, w, &mut [g]));
        let [a, b] =
            [low, high].map(|g| first_step::<T>(&config, |rule, w| rule.step(0.5, w, &[g])));
        for ((found, a), b) in found.into_iter().zip(a).zip(b) {
            let (least, most) = (a.min(b), a.max(b));
            let wide = |x: f64| if x.is_finite() { slack * x.abs() + 8.0 * smallest } else { 0.0 };
            let between = least - wide(least) <= found && found <= most + wide(most);
            prop_assert!(
                between || (found.is_nan() && (a.is_nan() || b.is_nan())),
                "{config:?}: {factor:e} · {gradient:e}: {found:e}, not {least:e} to {most:e}"
            );
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_factor_of_any_size_is_a_multiplication(
        negative: bool, mantissas in (1.0_f64..2.0, 1.0_f64..2.0),
        near in -149_i32..128, far in -1074_i32..1024, wide in -1074_i32..1024,
    ) {
        let of = |mantissa: f64, power: i32| {
            // In two steps: 2⁻¹⁰⁷⁴ itself is subnormal.
            let half = power / 2;
            mantissa * f64::from(half).exp2() * f64::from(power - half).exp2()
        };
        let sign = if negative { -1.0 } else { 1.0 };
        let gradient = sign * of(mantissas.0, near);
        // Factors that bring gradients to every size, and factors of every size.
        for power in [far, wide - near, far / 8] {
            scales::<f32>(gradient, of(mantissas.1, power.clamp(-1074, 1023)))?;
        }
        scales::<f64>(sign * of(mantissas.0, wide), of(mantissas.1, far))?;
    }
}

/// Returns the change of one parameter in one step.
fn change<T: Real>(gradient: T) -> Vec<(OptimizerConfig, f64)> {
    let step = |(name, mut rule): (_, Box<dyn Optimizer<T>>)| {
        let mut w = [T::zero()];
        rule.step(0.5, &mut w, &[gradient]);
        (name, w[0].to_f64())
    };
    every(1).into_iter().map(step).collect()
}

#[test]
fn hard_gradients() {
    for (rule, moved) in change(f64::NAN) {
        assert!(moved.is_nan(), "{rule:?}: {moved}");
    }
    for zero in [0.0, -0.0] {
        assert!(change(zero).iter().all(|&(_, moved)| moved == 0.0));
    }
    // The step is η for any gradient, or it is proportional to the gradient.
    for (rule, moved) in change(f64::INFINITY) {
        let infinite = moved == f64::NEG_INFINITY;
        let own = moved.is_nan() || moved == -0.5;
        assert!(if rule.kind.normalises() { own } else { infinite }, "{rule:?}: {moved}");
    }
    for (rule, moved) in change(1e30_f32) {
        let own = (-16.0..=-0.49).contains(&moved); // at most η/√(1 − β₂)
        assert!(if rule.kind.normalises() { own } else { moved <= -5e29 }, "{rule:?}: {moved}");
    }
    for (rule, moved) in change(1e-200) {
        let sign = rule.kind.normalises() && moved == -0.5;
        assert!(sign || (-1e-190..0.0).contains(&moved), "{rule:?}: {moved}");
    }
}

/// A normalising optimizer takes the same first step for any size of gradient, and forgets that gradient: afterwards,
/// the parameter moves according to the last gradients.
#[test]
fn one_gradient_of_any_size_stops_nothing() {
    let rules = |beta: f64| {
        let (beta1, beta2) = (beta.min(0.9), beta);
        let all = OptimizerKind::ALL.iter().filter(|kind| kind.normalises());
        all.map(move |&kind| OptimizerConfig { kind, beta1, beta2, ..OptimizerConfig::default() })
    };
    // What a step moves by η: the parameter, or the iterate whose mean is evaluated (β₁ is 0.9 there).
    fn iterate<T: Real>(rule: &dyn Optimizer<T>, w: f64) -> f64 {
        rule.evaluated().map_or(w, |x| x[0].to_f64() + (w - x[0].to_f64()) / 0.1)
    }
    fn forgets<T: Real>(config: &OptimizerConfig, sizes: &[f64]) {
        let step = |rule: &mut dyn Optimizer<T>, w: &mut [T; 1], g: f64| {
            let before = iterate(rule, w[0].to_f64());
            rule.step(0.5, w, &[T::from_f64(g)]);
            before - iterate(rule, w[0].to_f64())
        };
        let expected = step(&mut *build(config, 1), &mut [T::zero()], 7.0);
        for &size in sizes {
            let (mut rule, mut w) = (build::<T>(config, 1), [T::zero()]);
            let first = step(&mut *rule, &mut w, size);
            assert!((first / expected - 1.0).abs() < 1e-6, "{config:?} {size:e}: {first}");
            // 0.9ⁿ·MAX is below 1 after 842 steps in f32, 6,737 in f64.
            for _ in 0..8000 {
                step(&mut *rule, &mut w, 1.0);
                assert!(w[0].to_f64().is_finite());
            }
            // A step of η, for a parameter of size some thousands.
            let moved = step(&mut *rule, &mut w, 1.0);
            assert!((moved - 0.5).abs() < 1e-2, "{config:?} after {size:e}: {moved}");
        }
    }
    for config in rules(0.9) {
        forgets::<f32>(&config, &[1.0, 1e10, 1.8e19, 1.9e19, 2e19, 1e25, 3e38]);
        forgets::<f64>(&config, &[1.0, 1e100, 1.3e154, 1.4e154, 1e200, f64::MAX]);
    }
    // Also for many in a row: the state stays finite, and each step is η. The first steps of RMSProp are longer, by
    // η·Σ(1/√(1 − β₂ⁿ) − 1), about η·1340 for β₂ = 0.999.
    for config in rules(0.999) {
        let (mut rule, mut w) = (build::<f32>(&config, 1), [0.0_f32]);
        for _ in 0..20_000 {
            rule.step(1e-3, &mut w, &[0.999 * f32::MAX]);
        }
        let moved = iterate(&*rule, f64::from(w[0]));
        assert!((-21.6..=-19.9).contains(&moved), "{config:?}: {w:?}");
        assert!(rule.state().iter().all(|(_, s)| s[0].is_finite()), "{config:?}");
    }
}

proptest! {
    /// No parameter exceeds [`Optimizer::reach`]; if `f32` can represent twice that, all are finite. This holds for any
    /// constants, rate, state and gradients; the bound of one step is the input of the next.
    #[test]
    fn no_parameter_is_beyond_reach(
        constants in prop::array::uniform3(odd_share()), epsilon in prop::sample::select(vec![0.0, 1e-30, 1e-8, 1.0]),
        weight_decay in prop::sample::select(vec![0.0, 0.1, 5.0, -1.0]), steps in prop::sample::select(vec![0, 1, 99]),
        rate in (-6.0_f64..39.0, prop::bool::weighted(0.1)), negative_squares in prop::bool::weighted(0.1),
        sizes in prop::array::uniform3(-15.0_f64..38.0), small: bool,
        width in prop::sample::select(vec![1.0, 4.0, 0.25]),
        shape in prop::collection::vec(-1.0_f64..1.0, 5 * 8),
    ) {
        let [momentum, beta1, beta2] = constants;
        // Half of the cases have sizes that are usual in training.
        let power = |x: f64, usual: f64| 10.0_f64.powf(if small { usual + x / 10.0 } else { x });
        let rate = if rate.1 { -1.0 } else { 1.0 } * power(rate.0, -3.0);
        let drawn = |k: usize, size: f64| -> Vec<f32> {
            shape[5 * k..5 * (k + 1)].iter().map(|x| (x * power(size, 0.0)) as f32).collect()
        };
        // The first three parameters decay.
        let matrix = |name: &str, range, uses| Parameter {
            name: name.to_owned(), shape: linalg::Shape::new(1, 1), range, uses, output: false,
        };
        let list = [
            matrix("a", 0..3, vec![(linalg::Role::Linear, 0)]), matrix("b", 3..5, vec![]),
        ];
        for &kind in OptimizerKind::ALL {
            let config = OptimizerConfig {
                kind, momentum, beta1, beta2, epsilon, weight_decay, width_ratio: width,
            };
            let mut rule = config.build::<f32>(&list);
            rule.set_steps(steps);
            for (k, (_, m)) in rule.state().into_iter().enumerate().filter(|s| !s.1.1.is_empty()) {
                let own = drawn(k, sizes[0]).into_iter();
                let own = own.map(|x| if negative_squares || k == 0 && x < -0.5 { x } else { x.abs() });
                m.copy_from_slice(&own.collect::<Vec<_>>());
            }
            let mut p = drawn(2, sizes[1]);
            let mut farthest = clip::global_norm(&p);
            for k in 3..8 {
                let g = drawn(k, sizes[2]);
                farthest = rule.reach(rate, farthest, clip::global_norm(&g));
                rule.step(rate, &mut p, &g);
                let largest = p.iter().fold(0.0, |m: f32, p| m.larger(p.abs()));
                if (2.0 * farthest) as f32 <= f32::MAX {
                    // Five steps of at most twenty roundings each.
                    let told = f64::from(largest) <= farthest * (1.0 + 100.0 * f64::from(f32::EPSILON));
                    prop_assert!(told, "{config:?} at {rate:e}: {p:?} beyond {farthest:e} by {g:?}");
                } else if largest.is_finite() {
                    farthest = clip::global_norm(&p);
                } else {
                    break;
                }
            }
        }
    }
}

/// A share, or sometimes an invalid constant.
fn odd_share() -> impl Strategy<Value = f64> {
    prop_oneof![6 => 0.0_f64..1.0, 1 => prop::sample::select(vec![0.0, 1.0, 1.5, -0.5, 1e39])]
}

/// The bound is useful: in a usual run no optimizer comes near overflow in `f32`, so steps need no copies; and if there
/// is no bound, steps do overflow.
#[test]
fn what_is_within_reach() {
    for (config, mut rule) in every::<f32>(3) {
        let (mut p, mut farthest) = ([0.3_f32, -2.0, 0.0], 3.0);
        for i in 0..1000 {
            let g = [1.0, -0.5, 0.1 * i as f32];
            farthest = rule.reach(1e-3, farthest, clip::global_norm(&g));
            assert!(farthest < 1e12, "{config:?}, step {i}: {farthest:e}");
            rule.step(1e-3, &mut p, &g);
        }
        let rate = 1e39;
        assert!(rule.reach(rate, farthest, 1.0) > f64::from(f32::MAX));
        rule.step(rate, &mut p, &[1.0; 3]);
        assert!(p.iter().any(|p| !p.is_finite()), "{config:?}: {p:?}");
    }
    // Parameters without decay stay where they were.
    let first = std::iter::once(0..1).collect();
    let mut partly = Adam::<f32>::new(2, 0.9, 0.99, 1e-8).with_decay(1.0, first);
    let mut p = [50.0_f32, 50.0];
    let reach = partly.reach(1.0, clip::global_norm(&p), 0.0);
    partly.step(1.0, &mut p, &[0.0; 2]);
    assert!(p == [0.0, 50.0] && reach >= 50.0, "{reach}");
    // NaN or ∞ written from outside between two steps.
    for broken in [f32::NAN, f32::INFINITY] {
        for (config, mut rule) in every::<f32>(1) {
            for k in 0..rule.state().len() {
                rule.reach(1e-3, 1.0, 1.0);
                rule.step(1e-3, &mut [1.0], &[1.0]);
                let kept = rule.state()[k].1.to_vec();
                rule.state()[k].1.fill(broken);
                let reach = rule.reach(1e-3, 1.0, 1.0);
                assert!(kept.is_empty() || reach == f64::INFINITY, "{config:?}: {reach:e}");
                rule.state()[k].1.copy_from_slice(&kept);
            }
        }
    }
    let mut beta_of_1 = Adam::<f32>::new(1, 1.0, 0.99, 1e-8);
    assert_eq!(beta_of_1.reach(1e-3, 1.0, 1.0), f64::INFINITY);
    let mut no_epsilon = Adam::<f32>::new(1, 0.9, 0.99, 0.0);
    assert_eq!(no_epsilon.reach(1e-3, 1.0, 0.0), f64::INFINITY);
}

#[test]
fn nothing_to_change_is_a_step_all_the_same() {
    for (_, mut rule) in every::<f64>(0) {
        rule.step(0.1, &mut [], &[]);
        assert_eq!(rule.steps(), 1);
    }
}

#[test]
fn what_is_remembered_continues_a_run() {
    for ((name, mut rule), (_, mut again)) in every::<f64>(2).into_iter().zip(every(2)) {
        let mut w = [1.0, -2.0];
        let slope = |w: &[f64; 2]| [w[0], 3.0 * w[1] + w[0]];
        for _ in 0..3 {
            let g = slope(&w);
            rule.step(0.01, &mut w, &g);
        }
        // A second optimizer resumes from the state that the first one would have saved.
        for ((name, to), (same, from)) in again.state().into_iter().zip(rule.state()) {
            assert_eq!(name, same);
            to.copy_from_slice(from);
        }
        again.set_steps(rule.steps());
        let (mut v, g) = (w, slope(&w));
        rule.step(0.01, &mut w, &g);
        again.step(0.01, &mut v, &g);
        assert_eq!(w, v, "{name:?}");
        assert_eq!(again.steps(), 4);
    }
}

#[test]
fn lengths_that_differ_are_refused() {
    let refused = |n: usize, gradients: &[f64]| {
        for (name, mut rule) in every(2) {
            let remembers = rule.state().iter().any(|(_, m)| !m.is_empty());
            let forgetful = !remembers && n == gradients.len();
            let step =
                std::panic::AssertUnwindSafe(|| rule.step(0.1, &mut vec![0.0; n], gradients));
            assert_eq!(std::panic::catch_unwind(step).is_err(), !forgetful, "{name:?}");
        }
    };
    refused(2, &[1.0]);
    refused(2, &[1.0; 3]);
    refused(3, &[1.0; 3]);
}

#[test]
fn decay_touches_its_ranges_only() {
    let mut w = vec![1.0_f64; 5];
    let mut adam = Adam::new(5, 0.9, 0.99, 1e-8).with_decay(0.5, vec![0..1, 2..4]);
    adam.step(0.1, &mut w, &[0.0; 5]);
    assert_eq!(w, [0.95, 1.0, 0.95, 0.95, 1.0]);
}

/// Schedule-free descent by its definition: the iterates z, their mean with weights 1 … t, and θ between them, for any
/// gradients; the recursion of θ and x alone is that.
#[test]
fn the_mean_of_iterates_is_their_mean() {
    let config = OptimizerConfig {
        kind: OptimizerKind::ScheduleFree,
        beta1: 0.8,
        beta2: 0.95,
        epsilon: 1e-3,
        weight_decay: 0.1,
        ..OptimizerConfig::default()
    };
    let (shape, uses) = (linalg::Shape::new(1, 1), vec![(linalg::Role::Linear, 0)]);
    let list = [Parameter { name: "w".into(), shape, range: 0..1, uses, output: false }];
    let mut rule = config.build::<f64>(&list);
    let mut w = [2.0];
    let (mut z, mut v, mut sum, mut weights) = (2.0, 0.0, 0.0, 0.0);
    assert!(rule.evaluated().is_none());
    for t in 1..=50_u64 {
        let (rate, g) = (0.1 / t as f64, f64::from((t * 37 % 11) as u8) - 4.0);
        v = 0.95 * v + 0.05 * g * g;
        let corrected: f64 = v / (1.0 - 0.95_f64.powi(t as i32));
        z -= rate * g / (corrected.sqrt() + 1e-3) + rate * 0.1 * w[0];
        sum += t as f64 * z;
        weights += t as f64;
        rule.step(rate, &mut w, &[g]);
        let (x, y) = (sum / weights, 0.2 * z + 0.8 * sum / weights);
        let found = rule.evaluated().expect("a mean")[0];
        assert!(
            (found - x).abs() < 1e-12 && (w[0] - y).abs() < 1e-12,
            "{t}: {found} {x}, {} {y}",
            w[0]
        );
    }
}

/// On a quadratic with a fixed divisor, iterates at a rate below the limit come to rest, and above it they do not: with
/// c as at a late step, the limit is 2/((1 − β₁)·λ).
#[test]
fn a_mean_of_iterates_is_stable_at_larger_rates() {
    let config = OptimizerConfig {
        kind: OptimizerKind::ScheduleFree,
        beta1: 0.9,
        ..OptimizerConfig::default()
    };
    assert!((config.limit(2.0, 0).unwrap() - 1.0).abs() < 1e-12);
    assert!((config.limit(2.0, 1_000_000).unwrap() / 10.0 - 1.0).abs() < 1e-4);
    // The map of (z, x) with c fixed, as its derivation has it.
    for c in [1.0, 0.5, 0.01_f64] {
        let limit = 2.0 * (2.0 - c) / (0.1 * (2.0 - c) + 0.9 * c);
        let step = (2.0 / c - 2.0).round() as u64;
        assert!((config.limit(1.0, step).unwrap() / limit - 1.0).abs() < 1e-9);
        let after = |rate: f64| {
            let (mut z, mut x) = (1.0_f64, 0.5);
            for _ in 0..20_000 {
                z -= rate * (0.1 * z + 0.9 * x);
                x = (1.0 - c) * x + c * z;
            }
            z.abs().max(x.abs())
        };
        let (below, above) = (after(0.99 * limit), after(1.01 * limit));
        assert!(below < 1e-3 && (above > 1e3 || above.is_nan()), "{c}: {below}, {above}");
    }
}

/// At another width, hidden matrices and all other parameters move as they do at their shares of the rate, by every rule;
/// decay keeps the whole rate, and the divisors are over the shares.
#[test]
fn shares_of_the_rate_are_rates_of_their_own() {
    use linalg::{Role, Shape};
    let of = |range: Range<usize>, used| {
        let shape = if range.len() == 4 { Shape::new(2, 2) } else { Shape::new(1, 1) };
        Parameter { name: format!("{range:?}"), shape, range, uses: vec![(used, 0)], output: false }
    };
    let list = [
        of(0..1, Role::Norm),
        of(1..5, Role::Linear),
        of(5..9, Role::Lookup),
        of(9..10, Role::Norm),
    ];
    let hidden = 1..5;
    let gradient = |step: usize| -> Vec<f64> {
        (0..10).map(|i| ((7 * i + 3 * step) % 11) as f64 - 5.0).collect()
    };
    let run = |config: OptimizerConfig, rate: f64| {
        let (mut rule, mut w) = (config.build::<f64>(&list), vec![0.0; 10]);
        (0..3).for_each(|step| rule.step(rate, &mut w, &gradient(step)));
        (w, rule.preconditioner(&gradient(3)))
    };
    for (usual, _) in every::<f64>(0) {
        let wide = OptimizerConfig { width_ratio: 4.0, ..usual };
        let shares = wide.shares();
        // Powers of two: the bits are the same.
        let (found, divisors) = run(wide, 0.125);
        let [own, others] = shares.map(|share| run(usual, share * 0.125));
        for (i, &found) in found.iter().enumerate() {
            let (expected, share) =
                if hidden.contains(&i) { (&own, shares[0]) } else { (&others, shares[1]) };
            assert_eq!(found, expected.0[i], "{usual:?}: parameter {i}");
            if let Some(divisors) = &divisors {
                let usual = expected.1.as_ref().map_or(1.0, |divisors| divisors[i]);
                assert_eq!(divisors[i], usual / share);
            }
        }
        // Without gradients only decay moves a parameter, at any width alike.
        let still = |config: OptimizerConfig| {
            let config = OptimizerConfig { weight_decay: 0.5, ..config };
            let (mut rule, mut w) = (config.build::<f64>(&list), vec![1.0; 10]);
            rule.step(0.125, &mut w, &[0.0; 10]);
            w
        };
        assert_eq!(still(wide), still(usual), "{usual:?}");
    }
}

#[test]
fn stability_of_descent_on_a_quadratic() {
    // L = (2w − 3)² has curvature 8: η = 1/8 converges in one step, ¼ oscillates for ever, 0.3 diverges.
    let run = |rate: f64| {
        let (mut w, mut sgd) = ([1.0_f64], Sgd::new(1, 0.0));
        for _ in 0..10 {
            let g = [4.0 * (2.0 * w[0] - 3.0)];
            sgd.step(rate, &mut w, &g);
        }
        w[0]
    };
    assert_eq!(run(0.125), 1.5);
    assert_eq!(run(0.25), 1.0);
    assert!((run(0.3) + 12.9627).abs() < 1e-4);
    assert!((run(0.2) - 1.4969767).abs() < 1e-7);
}

#[test]
fn momentum_of_zero_is_plain_descent_and_velocity_adds_up() {
    let mut w = [0.0_f64];
    let mut heavy = Sgd::new(1, 0.5);
    heavy.step(1.0, &mut w, &[1.0]);
    heavy.step(1.0, &mut w, &[1.0]);
    assert_eq!(w, [-2.5]); // 1, then ½·1 + 1
}
