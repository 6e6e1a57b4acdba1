//! What readers say of a step is what its recording holds: nats, outcomes of changes, health, curvature, costs.

use calculus::Parameter;
use calculus::Tape;
use calculus::optimizer::{OptimizerConfig, OptimizerKind};
use linalg::Real;
use linalg::Shape;
use linalg::krylov::Lanczos;
use std::sync::Arc;
use tests::models::{self, Seen, distance};
use tests::{draw, tolerance};
use transformer::Activation;
use transformer::inspect::curvature::Hessian;
use transformer::inspect::diagnose::health::{Headroom, Watch};
use transformer::inspect::explain::{Descent, Explanation, Subject};
use transformer::inspect::profile::{Profile, median};
use transformer::{
    Architecture, Corpus, Form, IGNORED, ModelStep, Precision, RecordedStep, ScheduleKind,
};
use transformer::{Subject as _, Trainer, TrainingConfig};

fn subject<T: Real>(config: &Architecture, rate: f64) -> Subject<T> {
    let model = RecordedStep::<T>::record(config, 1, 5, Form::Fused, 0).unwrap();
    let values = models::parameters(3, &model.tape().parameter_list());
    Subject {
        title: "a test".into(),
        config: config.clone(),
        parameters: values.into_iter().map(T::from_f64).collect(),
        tokens: vec![3, 1, 4, 1, 5],
        targets: vec![1, 4, IGNORED, 5, 2],
        names: vec![],
        descent: Descent::plain(rate),
        unigram: None,
        teacher: vec![],
        remarks: vec![],
        seed: 9,
    }
}

fn of<T: Real>(tape: &Tape<T>, name: &str) -> Vec<f64> {
    tape.elements(tape.find(name).expect("a value")).iter().map(|x| x.to_f64()).collect()
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-12 * (1.0 + expected.abs())
}

/// Sums over the vocabulary and over the four targets, from the probabilities alone.
#[test]
fn a_step_in_nats_is_what_its_probabilities_say() {
    let config = models::config();
    let known: Vec<f64> = (1..8).map(|i| f64::from(i) / 28.0).collect();
    for unigram in [None, Some(known)] {
        let own = unigram.is_none();
        let asked = Subject { unigram: unigram.clone(), ..subject::<f64>(&config, 0.05) };
        let step = Explanation::of(asked).unwrap();
        // Laplace: every token of the text once more than it was seen.
        let laplace: Vec<f64> = [1.0, 3.0, 1.0, 2.0, 2.0, 2.0, 1.0].map(|c| c / 12.0).to_vec();
        let q = unigram.unwrap_or(laplace);
        let (mut entropy, mut frequencies, mut divergence, mut nats) = (0.0, 0.0, 0.0, 0.0);
        let found = step.information();
        let mut bins = [(0, 0.0, 0.0); 5];
        for (place, target) in [(0, 1), (1, 4), (3, 5), (4, 2)] {
            let p = step.probabilities(place);
            entropy -= p.iter().map(|p| p * p.ln()).sum::<f64>() / 4.0;
            divergence += p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum::<f64>() / 4.0;
            frequencies -= q[target].ln() / 4.0;
            nats -= p[target].ln() / 4.0;
            let own = &found.predictions[place];
            assert_eq!((own.place, own.target), (place, Some(target as u32)));
            assert!(close(own.surprisal, -p[target].ln()));
            assert_eq!(own.rank, p.iter().filter(|x| **x > p[target]).count());
            let best = (0..7).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
            assert_eq!(own.top[0], (best as u32, p[best]));
            let bin = &mut bins[((5.0 * p[best]) as usize).min(4)];
            *bin = (bin.0 + 1, bin.1 + p[best], bin.2 + f64::from(u8::from(best == target)));
        }
        assert!(close(found.nats, nats) && close(found.nats, step.loss()));
        assert!(close(found.entropy, entropy) && close(found.unigram, frequencies));
        assert!(close(found.divergence, divergence) && found.own_frequencies == own);
        assert!(found.predictions[2].target.is_none());
        let bins: Vec<_> = bins.into_iter().filter(|b| b.0 > 0).collect();
        assert_eq!(found.calibration.len(), bins.len());
        for (found, (count, sure, right)) in found.calibration.iter().zip(bins) {
            let n = f64::from(count);
            assert_eq!(found.count, count as usize);
            assert!(close(found.confidence, sure / n) && close(found.accuracy, right / n));
        }
    }
}

#[test]
fn an_outcome_is_what_its_recording_says() {
    let mut below = 0;
    for seed in 0..6 {
        let config = models::config();
        let mut asked = subject::<f64>(&config, 0.05);
        let list = RecordedStep::<f64>::record(&config, 1, 5, Form::Fused, 0)
            .unwrap()
            .tape()
            .parameter_list();
        asked.parameters = models::parameters(seed, &list);
        let step = Explanation::of(asked).unwrap();
        let (found, tape) = (step.outcome().unwrap(), step.model().tape());
        let computed = tape.rows().filter(|r| r.operation.is_some());
        let values: Vec<f64> =
            computed.flat_map(|r| r.value.iter().copied().collect::<Vec<_>>()).collect();
        let finite = || values.iter().filter(|x| x.is_finite());
        assert_eq!(found.largest, finite().fold(0.0, |m, x| x.abs().max(m)));
        below += usize::from(finite().fold(0.0_f64, |m, x| m.max(-x)) == found.largest);
        let (mut bits, mut queries) = (0.0, 0.0);
        for i in 0..config.layers {
            let weights = of(tape, &format!("block.{i}.attention.weights"));
            bits -= weights.iter().filter(|w| **w > 0.0).map(|w| w * w.log2()).sum::<f64>();
            queries += weights.len() as f64 / 5.0;
        }
        assert!(close(found.attention_entropy, bits / queries));
        assert_eq!(found.surprisal, of(tape, "surprisal"));
        let p = step.probabilities(4);
        let best = (0..7).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
        assert_eq!(found.next, (best as u32, p[best]));
        let squares = tape.gradients().iter().map(|g| g * g).sum::<f64>();
        assert!(close(found.gradient_norm, squares.sqrt()));
        assert_eq!((found.loss, found.infinite, found.future), (step.loss(), 0, 0.0));
        assert!(close(found.after, loss_at(&config, step.updated())));
    }
    assert!((1..6).contains(&below), "cases with the largest number below 0, and above: {below}");
}

/// The loss of [`subject`]'s text at other parameters.
fn loss_at(config: &Architecture, parameters: &[f64]) -> f64 {
    let mut model = RecordedStep::<f64>::record(config, 1, 5, Form::Fused, 9).unwrap();
    model.copy_parameters(parameters);
    model.loss(&[3, 1, 4, 1, 5], &[1, 4, IGNORED, 5, 2]).unwrap()
}

#[test]
fn a_change_is_the_step_with_one_thing_different() {
    let config = models::config();
    let rate = 0.003;
    let step = Explanation::of(subject::<f64>(&config, rate)).unwrap();
    let changes = step.changes().unwrap();
    let outcome = |name: &str| &changes.iter().find(|c| c.name == name).unwrap().outcome;
    // Ten times the rate.
    let (p, g) = (&step.subject().parameters, step.model().tape().gradients());
    let ten: Vec<f64> = p.iter().zip(g).map(|(p, g)| p - 10.0 * rate * g).collect();
    assert!(close(outcome("learning rate × 10").after, loss_at(&config, &ten)));
    // The last target became the least probable of the others: the mean pays for one of four.
    let last = step.probabilities(4);
    let least = (0..7).filter(|t| *t != 2).min_by(|&a, &b| last[a].total_cmp(&last[b])).unwrap();
    let more = (last[2].ln() - last[least].ln()) / 4.0;
    assert!(close(outcome("one target changed").loss, step.loss() + more));
    // Every parameter and every value as a format of sixteen bits holds it.
    let step = Explanation::of(subject::<f32>(&config, rate)).unwrap();
    let changes = step.changes().unwrap();
    let found = changes.iter().find(|c| c.name == "f16").unwrap().outcome.loss;
    let mut model = RecordedStep::<f32>::record(&config, 1, 5, Form::Textbook, 9).unwrap();
    let rounded: Vec<f32> =
        step.subject().parameters.iter().map(|x| Precision::F16.round(*x)).collect();
    model.copy_parameters(&rounded);
    model.set_batch(&[3, 1, 4, 1, 5], &[1, 4, IGNORED, 5, 2]).unwrap();
    let round = |x: &mut f32| *x = Precision::F16.round(*x);
    model.tape_mut().forward_watched(|_, values| values.iter_mut().for_each(round));
    assert_eq!(found, f64::from(model.tape().elements(model.loss_var())[0]));
}

#[test]
fn the_books_of_a_group_are_its_own() {
    let config = models::config();
    let rate = 1e-5;
    let step = Explanation::of(subject::<f64>(&config, rate)).unwrap();
    let ledger = step.ledger().unwrap();
    assert!(close(ledger.after, loss_at(&config, step.updated())));
    let list = step.model().tape().parameter_list();
    let (p, g) = (&step.subject().parameters, step.model().tape().gradients());
    let block = ledger.groups.iter().find(|g| g.name == "block 1 attention").expect("a group");
    let own: Vec<usize> = list
        .iter()
        .filter(|p| p.name.starts_with("block.1.attention"))
        .flat_map(|p| p.range.clone())
        .collect();
    let norm = |x: &[f64]| own.iter().map(|&i| x[i] * x[i]).sum::<f64>().sqrt();
    assert!(close(block.gradient, norm(g)) && close(block.ratio, rate * norm(g) / norm(p)));
    assert!(close(block.first, -rate * norm(g) * norm(g)));
    for group in &ledger.groups {
        // So short a step is straight, to a hundredth.
        assert!(group.first < 0.0 && (group.alone / group.first - 1.0).abs() <= 0.01, "{group:?}");
    }
}

fn training() -> TrainingConfig {
    TrainingConfig { layers: 2, width: 8, clip: 0.0, ..models::training() }
}

fn watched(
    config: &TrainingConfig,
    change: impl FnOnce(&mut Trainer<f32>),
) -> (Trainer<f32>, transformer::inspect::diagnose::health::Glance) {
    let corpus = Corpus::text(draw::below(1, 900, 7), 0.1, config.context).unwrap();
    let mut trainer = Trainer::<f32>::new(config.clone(), &config.model(7).unwrap()).unwrap();
    change(&mut trainer);
    let glance =
        Watch::new(trainer.model()).step(&mut trainer, &corpus, &mut ()).unwrap().unwrap().1;
    (trainer, glance)
}

#[test]
fn a_glance_is_what_was_seen() {
    let config = training();
    assert_eq!(config.parts(), 1);
    let corpus = Corpus::text(draw::below(1, 900, 7), 0.1, config.context).unwrap();
    let mut other = Trainer::<f32>::new(config.clone(), &config.model(7).unwrap()).unwrap();
    let before = other.model().tape().parameters().to_vec();
    let names: Vec<(calculus::Var, String)> =
        other.model().tape().vars().map(|v| (v, other.model().tape().name(v).to_owned())).collect();
    let (mut values, mut gradients) = (vec![], vec![]);
    let rms =
        |x: &[f32]| (x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len() as f64).sqrt();
    let outputs: Vec<calculus::Var> =
        names.iter().filter(|n| n.1.ends_with(".output")).map(|n| n.0).collect();
    let see = |into: &mut Vec<(usize, f64)>, var, x: &[f32]| {
        if let Some(at) = outputs.iter().position(|o| *o == var) {
            into.push((at, rms(x)));
        }
    };
    let mut seen = Seen(
        |v, x: &mut [f32]| see(&mut values, v, x),
        |v, g: &mut [f32]| see(&mut gradients, v, g),
    );
    other.step_observed(&corpus, &mut seen).unwrap();
    gradients.sort_by_key(|g| g.0);
    let (trainer, glance) = watched(&config, |_| ());
    let after = trainer.model().tape().parameters();
    assert_eq!(after, other.model().tape().parameters(), "watching changes nothing");
    let second = |x: Vec<(usize, f64)>| x.into_iter().map(|x| x.1).collect::<Vec<_>>();
    assert!(distance(&second(values), &glance.activations) < 1e-12);
    assert!(distance(&second(gradients), &glance.gradients) < 1e-12);
    let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let change: Vec<f32> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
    assert!(
        distance(
            &[norm(&change) / norm(&before), norm(after)],
            &[glance.update_ratio, glance.weight_norm]
        ) < 1e-12
    );
    let list = trainer.model().tape().parameter_list();
    for (i, found) in glance.update_ratios.iter().enumerate() {
        let own = |x: &[f32]| -> Vec<f32> {
            let block = list.iter().filter(|p| p.name.starts_with(&format!("block.{i}.")));
            block.flat_map(|p| x[p.range.clone()].to_vec()).collect()
        };
        assert!(distance(&[norm(&own(&change)) / norm(&own(&before))], &[*found]) < 1e-12);
    }
    assert!(glance.dead.iter().all(|share| *share == 0.0), "GELU's units are never dead");
    assert!(
        glance.attention_entropy.iter().all(|h| (0.9..1.0 + 1e-6).contains(h)),
        "nearly uniform at the start"
    );
    assert!(glance.saturated.iter().all(|share| *share == 0.0));
}

#[test]
fn uniform_attention_and_dead_units_are_seen() {
    let config = TrainingConfig { activation: Activation::Relu, ..training() };
    // Keys of 0: every score is 0. Half of the units far below 0: they pass nothing.
    let (trainer, glance) = watched(&config, |trainer| {
        let list = trainer.model().tape().parameter_list();
        let parameters = trainer.state().remove(0).1;
        for p in list {
            let own = &mut parameters[p.range.clone()];
            if p.name.contains("qkv") {
                own.fill(0.0);
            } else if p.name.ends_with("expanded.bias") {
                let half = own.len() / 2;
                own[..half].fill(-1e3);
                own[half..].fill(1e3);
            }
        }
    });
    assert_eq!(trainer.steps(), 1);
    for i in 0..2 {
        assert!((glance.attention_entropy[i] - 1.0).abs() < 1e-6, "{glance:?}");
        assert_eq!((glance.saturated[i], glance.dead[i]), (0.0, 0.5));
    }
    // One key far ahead of the others: attention is saturated, its entropy 0.
    let config = TrainingConfig { layers: 1, context: 2, ..training() };
    let (_, glance) = watched(&config, |trainer| {
        let list = trainer.model().tape().parameter_list();
        let parameters = trainer.state().remove(0).1;
        let at = |name: &str| list.iter().find(|p| p.name == name).unwrap().range.clone();
        // Positions ±1 in the first feature, tokens of 0: the norm makes ±√7 of them.
        parameters[at("embedding.token.weight")].fill(0.0);
        parameters[at("embedding.position.weight")].fill(0.0);
        let place = at("embedding.position.weight").start;
        (parameters[place], parameters[place + 8]) = (1.0, -1.0);
        let qkv = at("block.0.attention.qkv.weight");
        // Query and key of either head are 100 times the first feature.
        for row in [0, 4, 8, 12] {
            parameters[qkv.start + row] = 100.0;
        }
    });
    assert!(glance.attention_entropy[0] < 1e-6 && glance.saturated[0] == 1.0, "{glance:?}");
}

#[test]
fn headroom_counts_doublings_and_halvings() {
    for (x, largest, typical) in [
        (vec![1.0_f32; 4], 1.0, 1.0),
        (vec![8.0, 0.0, 0.0, 0.0], 8.0, 4.0),
        (vec![-0.25; 3], 0.25, 0.25),
    ] {
        let found = Headroom::of("x", false, &x);
        assert_eq!((found.largest, found.typical), (largest, typical));
        for (i, format) in [Precision::F32, Precision::Bf16, Precision::F16].into_iter().enumerate()
        {
            // Doubled once more than there is room for, it is ∞; halved once less, it is still a number.
            let room = found.overflow[i].floor() as i32;
            let at = |k: i32| format.round((largest * 2.0_f64.powi(k)) as f32);
            assert!(at(room).is_finite() && !at(room + 1).is_finite(), "{format} {x:?}");
            let halvings = found.underflow[i].floor() as i32;
            let at = |k: i32| format.round((typical * 2.0_f64.powi(-k)) as f32);
            assert!(at(halvings) > 0.0 && at(halvings + 1) == 0.0, "{format} {x:?}");
        }
    }
    assert_eq!(Headroom::of("x", true, &[0.0; 3]).underflow, [f64::INFINITY; 3]);
}

fn curved() -> (ModelStep<'static>, Vec<f64>) {
    let config = Architecture { layers: 1, ..models::config() };
    let model = RecordedStep::<f64>::record(&config, 1, 1, Form::Fused, 0).unwrap();
    let parameters = models::parameters(3, &model.tape().parameter_list());
    let own = config.clone();
    let batches = Arc::new(move |n: u64| models::batch(50 + n, &own, 10));
    let references = None;
    (
        ModelStep { config, sequences: 2, length: 5, seed: 1, batches, references, teacher: None },
        parameters,
    )
}

#[test]
fn the_curvature_of_a_mean_is_the_mean_of_curvatures() {
    let (step, parameters) = curved();
    let batches: Vec<_> = (0..3).map(|n| step.batch(n)).collect();
    let v: Vec<f64> = draw::normal(4, parameters.len(), 1).iter().copied().collect();
    let times = |batches: &[Vec<transformer::Given>]| {
        Hessian::of(&step, &parameters, batches).unwrap().times(&v)
    };
    let alone: Vec<Vec<f64>> = batches.iter().map(|b| times(std::slice::from_ref(b))).collect();
    let mean: Vec<f64> =
        (0..v.len()).map(|i| alone.iter().map(|h| h[i]).sum::<f64>() / 3.0).collect();
    assert!(distance(&mean, &times(&batches)) <= tolerance::sum(3));
    // And H·v is the change of the gradient along v.
    let gradient = |sign: f64| {
        let mut recording = step.record::<f64>().unwrap();
        let h = 1e-5;
        let moved: Vec<f64> = parameters.iter().zip(&v).map(|(p, v)| p + sign * h * v).collect();
        recording.set_parameters(&moved);
        recording.give(&batches[0]);
        recording.step();
        recording.tape.gradients().to_vec()
    };
    let slope: Vec<f64> =
        gradient(1.0).iter().zip(gradient(-1.0)).map(|(a, b)| (a - b) / 2e-5).collect();
    // Third derivatives times h², and rounding over h.
    assert!(distance(&slope, &alone[0]) < 1e-6);
}

#[test]
fn a_preconditioner_divides_the_curvature() {
    let (step, parameters) = curved();
    let mut hessian = Hessian::of(&step, &parameters, &[step.batch(0)]).unwrap();
    let method = Lanczos::default();
    let plain = hessian.largest(None, method);
    assert!(plain.converged && plain.value > 0.0);
    for c in [0.25, 4.0, 100.0] {
        let found = hessian.largest(Some(&vec![c; parameters.len()]), method).value;
        assert!((found * c / plain.value - 1.0).abs() < 1e-8, "{found} of {} by {c}", plain.value);
    }
}

#[test]
fn the_operations_of_a_step_do_not_depend_on_the_cut() {
    let corpus = Corpus::text(draw::below(1, 9000, 7), 0.1, 64).unwrap();
    let of = |batch: usize| {
        let config =
            TrainingConfig { context: 64, batch, layers: 1, width: 8, ..models::training() };
        let mut trainer = Trainer::<f32>::new(config.clone(), &config.model(7).unwrap()).unwrap();
        let profile = Profile::of(&mut trainer, &corpus, 1).unwrap();
        assert_eq!(profile.tokens, 64 * batch);
        (config.parts(), profile.flops() as f64 / batch as f64)
    };
    let ((one, whole), (three, in_parts)) = (of(16), of(48));
    assert_eq!((one, three), (1, 3));
    assert!((in_parts / whole - 1.0).abs() < 1e-2, "{in_parts} operations a sequence, {whole}");
}

#[test]
fn a_median_has_as_many_below_as_above() {
    for n in 1..12 {
        let mut x: Vec<f64> = draw::normal(n, n as usize, 1).iter().copied().collect();
        let m = median(&mut x.clone());
        let count = |f: &dyn Fn(f64) -> bool| x.iter().filter(|x| f(**x)).count();
        assert_eq!(count(&|x| x < m), count(&|x| x > m));
        x.sort_by(f64::total_cmp);
        let n = x.len();
        assert!((2.0 * m - x[(n - 1) / 2] - x[n / 2]).abs() < 1e-12);
    }
    assert_eq!(median(&mut []), 0.0);
}

/// AdamW with decay is what training does, in explanations too.
#[test]
fn an_explained_update_is_the_runs() {
    let config = TrainingConfig {
        layers: 1,
        width: 8,
        context: 5,
        batch: 1,
        weight_decay: 0.5,
        ..models::training()
    };
    for &optimizer in OptimizerKind::ALL {
        let rates = TrainingConfig { schedule: ScheduleKind::Linear, warmup: 5, ..config.clone() };
        // The gradient of a key's bias is nothing but rounding, whose sign is not determined.
        let bias = optimizer != OptimizerKind::Lion;
        let config = TrainingConfig { optimizer, momentum: 0.9, bias, ..rates };
        let corpus = Corpus::text(draw::below(1, 200, 7), 0.1, 5).unwrap();
        let mut trainer = Trainer::<f64>::new(config.clone(), &config.model(7).unwrap()).unwrap();
        (0..2).for_each(|_| assert!(trainer.step(&corpus).unwrap().applied));
        let (mut tokens, mut targets) = (vec![0; 5], vec![0; 5]);
        corpus.fill(config.seed, 2, 5, &mut tokens, &mut targets);
        let mut descent = Descent::of_run(&config, 2);
        descent.state = trainer.state()[1..].iter().map(|(n, x)| (*n, x.to_vec())).collect();
        let parameters = trainer.model().tape().parameters().to_vec();
        let own = Subject {
            config: config.model(7).unwrap(),
            parameters,
            tokens,
            targets,
            descent,
            ..subject(&models::config(), 1.0)
        };
        let step = Explanation::of(own).unwrap();
        trainer.step(&corpus).unwrap();
        let error = distance(trainer.model().tape().parameters(), step.updated());
        // A gradient that is nothing but rounding (of a key's bias) is divided by Adam's ε: 10⁻³/10⁻⁸ of it.
        let most = tolerance::sum(100) * (1.0 + config.learning_rate / 1e-8);
        assert!(error <= most, "{optimizer:?}: {error:.1e}");
    }
}

/// L = λ·w²/2 by the rule itself: below the limit the error shrinks, above it grows.
#[test]
fn descent_diverges_above_the_limit_of_stability_and_not_below() {
    let list = [(0.0, 1.0), (0.5, 1.0), (0.9, 1.0), (0.9, 40.0)];
    let proportional = OptimizerKind::ALL.iter().filter(|kind| !kind.normalises());
    for (&kind, (momentum, curvature)) in proportional.flat_map(|kind| list.map(|x| (kind, x))) {
        let config = OptimizerConfig { kind, momentum, ..OptimizerConfig::default() };
        let limit = config.limit(curvature, 7).expect("a limit");
        let after = |rate: f64| {
            let mut w = [1.0_f64];
            let (name, shape) = ("w".to_owned(), Shape::new(1, 1));
            let mut rule = config.build(&[Parameter {
                name,
                shape,
                range: 0..1,
                uses: vec![],
                output: false,
            }]);
            for _ in 0..4000 {
                let gradient = [curvature * w[0]];
                rule.step(rate, &mut w, &gradient);
                if w[0].abs() > 1e6 {
                    break;
                }
            }
            w[0].abs()
        };
        let (below, above) = (after(0.98 * limit), after(1.02 * limit));
        assert!(below < 1e-3 && above > 1e3, "{kind}, {momentum}, {curvature}: {below}, {above}");
    }
    // Cohen et al. 2022: 38/λ for β₁ = 0.9 in the end. Adam's first steps divide a mean of t gradients by 1 − β₁ᵗ: as
    // descent with momentum whose rate is larger by that.
    let adam = OptimizerConfig { weight_decay: 0.1, ..OptimizerConfig::default() };
    for (steps, share) in [(0, 0.1), (1, 0.19), (9, 1.0 - 0.9_f64.powi(10)), (10_000, 1.0)] {
        let found = adam.limit(2.0, steps).expect("a limit");
        assert!((found / (19.0 * share) - 1.0).abs() < 1e-12, "{found} after {steps}");
    }
}
