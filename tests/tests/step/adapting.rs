//! Weights that stand still and adapters, in every architecture: they change no bit of what is learned, cost no gradient,
//! and merged they predict the same.

use linalg::Real;
use linalg::half::{bf16_to_f32, f64_to_bf16};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use tests::models::{self, distance};
use tests::{draw, tolerance};
use transformer::model::family;
use transformer::{
    Adaptation, Adapter, Architecture, Corpus, Form, FrozenWeights, RecordedStep, Target, Trainer,
    TrainingConfig,
};

const SEQUENCES: usize = 3;

/// Sizes that fit every family: eight features of a head, a quarter of which may turn.
fn sizes() -> Architecture {
    Architecture { width: 16, hidden: 24, ..models::config() }
}

/// Every architecture at small sizes.
fn architectures() -> impl Iterator<Item = (&'static str, Architecture)> {
    family::architectures().map(|name| (name, models::family(name, &sizes())))
}

fn with(model: &Architecture, adaptation: Adaptation) -> Architecture {
    let adapted = Architecture { adaptation, ..model.clone() };
    adapted.validate().unwrap();
    adapted
}

/// All linear maps that can have an adapter, each by itself where it is a part of a packed one, or packed.
fn targets(model: &Architecture, packed: bool) -> Vec<Target> {
    let parts = |target: &&Target| match target {
        Target::QueryKeyValue => packed,
        Target::Query | Target::Key | Target::Value => !packed,
        Target::Expanded => packed || !model.gated,
        Target::Gate | Target::Up => !packed && model.gated,
        _ => true,
    };
    Target::ALL.iter().filter(parts).copied().collect()
}

fn adapted(model: &Architecture, packed: bool, magnitudes: bool) -> Architecture {
    let targets = targets(model, packed);
    let adapter =
        Adapter { rank: 2, alpha: 3.0, rank_stabilized: packed, magnitudes, dropout: 0.0, targets };
    with(model, Adaptation { adapter: Some(adapter), ..Adaptation::default() })
}

/// A step with weights far from their beginning, on a batch.
fn step<T: Real>(model: &Architecture, form: Form, weights: &[f64]) -> RecordedStep<T> {
    let mut step = RecordedStep::<T>::record(model, SEQUENCES, 4, form, 0).unwrap();
    step.set_weights(weights);
    step.initialise_adapters(3);
    let tokens = draw::below(5, SEQUENCES * 4 + 1, model.vocabulary);
    step.set_batch(&tokens[1..], &tokens[..SEQUENCES * 4]).unwrap();
    step
}

fn weights(model: &Architecture) -> Vec<f64> {
    models::parameters(9, &model.parameter_list().unwrap())
}

fn replayed<T: Real>(step: &mut RecordedStep<T>) -> f64 {
    let loss = step.loss_var();
    step.tape_mut().forward();
    step.tape_mut().backward(loss);
    step.tape().value(loss)[0].to_f64()
}

/// Frozen weights, drawn at random by their names: the loss and the gradients of the others have the bits of the model
/// whose weights are all learned, also in the plan for training.
#[test]
fn what_is_frozen_changes_no_bit_of_the_rest() {
    for (name, model) in architectures() {
        let all = weights(&model);
        let mut whole = step::<f32>(&model, Form::Fused, &all);
        let loss = replayed(&mut whole);
        for (freeze, learn) in [
            (vec!["embedding.*"], vec![]),
            (vec!["*.attention.*", "block.1.*"], vec![]),
            (vec![], vec!["block.1.feed_forward.*"]),
            (vec!["*.qkv.weight"], vec!["block.*"]),
        ] {
            let [freeze, learn] =
                [freeze, learn].map(|all| all.into_iter().map(str::to_owned).collect());
            let adaptation = Adaptation { freeze, learn, ..Adaptation::default() };
            let some = with(&model, adaptation.clone());
            let mut kept = step::<f32>(&some, Form::Fused, &all);
            assert_eq!(replayed(&mut kept).to_bits(), loss.to_bits(), "{name}, {adaptation:?}");
            let tokens = draw::below(5, SEQUENCES * 4 + 1, model.vocabulary);
            let mut training =
                RecordedStep::<f32>::record_for_training(&some, SEQUENCES, 4, 0).unwrap();
            training.set_weights(&all);
            training.set_batch(&tokens[1..], &tokens[..SEQUENCES * 4]).unwrap();
            let var = training.loss_var();
            training.tape_mut().forward_and_backward(var, 1.0);
            let list = kept.tape().parameter_list();
            assert!(!list.is_empty() && !kept.tape().frozen().is_empty());
            for p in list {
                assert!(!adaptation.freezes(&p.name));
                let own = whole.tape().find(&p.name).unwrap();
                let expected = whole.tape().gradient_elements(own);
                for tape in [kept.tape(), training.tape()] {
                    assert_eq!(&tape.gradients()[p.range.clone()], expected, "{name}: {}", p.name);
                }
            }
        }
    }
}

/// While B is 0 the loss is that of the model itself; the two forms agree on loss and gradients after it has moved; merged
/// weights predict the same without adapters.
#[test]
fn adapters_begin_as_the_model_and_merge_into_it() {
    for (name, model) in architectures() {
        let all = weights(&model);
        let alone = replayed(&mut step::<f64>(&model, Form::Fused, &all));
        for (packed, magnitudes) in [(false, false), (true, false), (false, true), (true, true)] {
            let beside = adapted(&model, packed, magnitudes);
            let mut forms =
                [Form::Fused, Form::Textbook].map(|form| step::<f64>(&beside, form, &all));
            assert_eq!(replayed(&mut forms[0]), alone, "{name}: a B of 0 adds nothing");
            for form in &mut forms {
                let parameters = form.tape_mut().parameters_mut();
                for (i, p) in parameters.iter_mut().enumerate() {
                    *p += 0.3 * (1.7 * i as f64).sin();
                }
                form.tape_mut().zero_gradients();
            }
            let [fused, textbook] = forms.each_mut().map(replayed);
            assert!((fused - textbook).abs() <= 1e-12 * fused, "{name}: {fused} and {textbook}");
            assert!((fused - alone).abs() > 1e-6, "{name}: the adapters do nothing");
            let [a, b] = forms.each_ref().map(|form| form.tape().gradients().to_vec());
            assert!(distance(&a, &b) <= tolerance::sum(1000), "{name}: {}", distance(&a, &b));
            assert!(a.iter().all(|g| g.is_finite()) && a.iter().any(|&g| g != 0.0));

            let learned = forms[0].tape().parameters().to_vec();
            let merged = forms[0].merged(&learned);
            let of_merged = replayed(&mut step::<f64>(&model, Form::Fused, &merged));
            assert!((of_merged - fused).abs() <= 1e-12 * fused, "{name}: {of_merged}, {fused}");
        }
    }
}

/// W + s·B·A by its definition, for one matrix.
#[test]
fn a_merged_matrix_is_the_sum() {
    let model = models::llama();
    let adapter = Adapter {
        rank: 3,
        alpha: 6.0,
        rank_stabilized: false,
        magnitudes: false,
        dropout: 0.0,
        targets: vec![Target::Value],
    };
    let beside = with(&model, Adaptation { adapter: Some(adapter), ..Adaptation::default() });
    let all = weights(&model);
    let mut step = step::<f64>(&beside, Form::Fused, &all);
    step.tape_mut().parameters_mut().iter_mut().enumerate().for_each(|(i, p)| *p += i as f64);
    let merged = step.merged(step.tape().parameters()).into_owned();
    let value = |name: &str| step.tape().value(step.tape().find(name).unwrap()).clone_owned();
    let [b, a] = ["b", "a"].map(|x| value(&format!("block.0.attention.value.adapter.{x}.weight")));
    let mut w = value("block.0.attention.qkv.weight");
    let keys = model.key_value_heads() * model.head_width();
    let mut rows = w.rows_mut(w.nrows() - keys, keys);
    rows += (b * a) * 2.0;
    let list = model.parameter_list().unwrap();
    let own = list.iter().find(|p| p.name == "block.0.attention.qkv.weight").unwrap();
    for (found, expected) in merged[own.range.clone()].iter().zip(w.iter()) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0));
    }
    let untouched = |i: &usize| {
        !own.range.contains(i)
            && !list.iter().any(|p| p.name == "block.1.attention.qkv.weight" && p.range.contains(i))
    };
    assert!((0..all.len()).filter(untouched).all(|i| merged[i] == all[i]));
}

/// DoRA by its definition: rows of W + s·B·A at their learned lengths. Of the loss, its gradient of the lengths is the
/// derivative; that of B counts the norms as constants.
#[test]
fn rows_have_their_learned_lengths_and_norms_are_constants() {
    let model = models::llama();
    let mut beside = adapted(&model, false, true);
    beside.adaptation.adapter.as_mut().unwrap().targets = vec![Target::Contracted];
    let all = weights(&model);
    let mut step = step::<f64>(&beside, Form::Fused, &all);
    let moved =
        |p: &mut [f64]| p.iter_mut().enumerate().for_each(|(i, p)| *p += 0.3 * (i as f64).sin());
    moved(step.tape_mut().parameters_mut());
    replayed(&mut step);
    let value = |name: &str| step.tape().value(step.tape().find(name).unwrap()).clone_owned();
    let name = |x: &str| format!("block.0.feed_forward.contracted.adapter.{x}");
    let [a, b, m] = ["a.weight", "b.weight", "magnitudes"].map(|x| value(&name(x)));
    let w = value("block.0.feed_forward.contracted.weight");
    let own = &w + &b * &a * 1.5;
    let norms: Vec<f64> = own.row_iter().map(|row| row.norm()).collect();
    // The model without adapters at such a matrix.
    let list = model.parameter_list().unwrap();
    let place = list.iter().find(|p| p.name == "block.0.feed_forward.contracted.weight").unwrap();
    let mut rest = all.clone();
    beside.merge(&mut rest, step.tape().parameters());
    let loss = |b: &linalg::Matrix<f64>, m: &linalg::Matrix<f64>| {
        let mut scaled = &w + b * &a * 1.5;
        scaled.row_iter_mut().enumerate().for_each(|(i, mut row)| row *= m[i] / norms[i]);
        let mut weights = rest.clone();
        weights[place.range.clone()].copy_from_slice(scaled.as_slice());
        replayed(&mut self::step::<f64>(&model, Form::Fused, &weights))
    };
    let at = step.tape().value(step.loss_var())[0];
    assert!((loss(&b, &m) - at).abs() < 1e-12 * at);
    for (x, i) in [("magnitudes", 0), ("magnitudes", 5), ("b.weight", 3), ("b.weight", 9)] {
        let gradient = step.tape().gradient_elements(step.tape().find(&name(x)).unwrap())[i];
        let shifted = |by: f64| {
            let (mut b, mut m) = (b.clone(), m.clone());
            (if x == "magnitudes" { &mut m } else { &mut b })[i] += by;
            loss(&b, &m)
        };
        let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
        assert!(
            (gradient - slope).abs() < 1e-6 * slope.abs().max(1e-3),
            "{x}: {gradient}, {slope}"
        );
    }
}

/// Backward products that nothing needs are not replayed, and gradients that nothing needs have no memory.
#[test]
fn what_stands_still_costs_no_backward_product() {
    let model = Architecture { layers: 4, width: 32, hidden: 128, ..models::config() };
    let costs = |adaptation| {
        let model = with(&model, adaptation);
        let outline = RecordedStep::<f32>::outline(&model, 2, 5).unwrap();
        let backward: u64 = outline.rows.iter().map(|row| row.backward_flops).sum();
        (backward, outline.memory)
    };
    let (all, memory) = costs(Adaptation::default());
    let learn = |patterns: &[&str]| Adaptation {
        learn: patterns.iter().map(|&p| p.to_owned()).collect(),
        ..Adaptation::default()
    };
    // The upper half is learned: half the backward products of the blocks, and no gradient below.
    let (upper, less) = costs(learn(&["block.2.*", "block.3.*"]));
    assert!((upper as f64) < 0.55 * all as f64, "{upper} of {all}");
    assert_eq!(less.parameters + less.frozen, memory.parameters);
    assert_eq!(less.parameter_gradients, less.parameters);
    assert!(less.parameters < memory.parameters * 3 / 5);
    // The lowest block is learned: what passes through the others has gradients, and their weights have none.
    let (lowest, _) = costs(learn(&["block.0.*"]));
    assert!(lowest > all / 2 && lowest < all * 4 / 5, "{lowest} of {all}");
    let (nothing_below, _) = costs(learn(&["norm.*"]));
    assert!(nothing_below < all / 8, "{nothing_below} of {all}");
}

/// A model whose frozen weights are bfloat16, kept as such or as `f32`: loss, gradients and five steps have the same bits, for
/// every architecture, adapters or a part of the weights, any number of threads, and resumed.
#[test]
fn frozen_weights_as_bfloat16_change_no_bit() {
    let corpus = Corpus::text(draw::below(1, 3000, models::config().vocabulary), 0.1, 16).unwrap();
    for (name, model) in architectures() {
        let round = |x: &f64| bf16_to_f32(f64_to_bf16(*x));
        let all: Vec<f32> = weights(&model).iter().map(round).collect();
        let list = model.parameter_list().unwrap();
        let learn = vec!["block.1.*".to_owned()];
        let some = with(&model, Adaptation { learn, ..Adaptation::default() });
        for plain in [adapted(&model, false, false), adapted(&model, true, false), some] {
            let freezes = |name: &str| plain.adaptation.freezes(name);
            let frozen = FrozenWeights::of(&list, &all, freezes);
            assert!(frozen.shared() > 0);
            let mut shared = plain.clone();
            shared.adaptation.frozen = Some(frozen);
            let learned = list.iter().filter(|p| !freezes(&p.name));
            let learned: Vec<f32> = learned.flat_map(|p| &all[p.range.clone()]).copied().collect();
            let config =
                TrainingConfig { batch: 2, accumulate: 2, context: 5, ..models::training() };
            let begin = |half: bool| match half {
                false => Trainer::<f32>::starting_from(config.clone(), &plain, Some(&all)).unwrap(),
                true => {
                    let learned = Some(&learned[..]).filter(|learned| !learned.is_empty());
                    Trainer::starting_from(config.clone(), &shared, learned).unwrap()
                }
            };
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let run = |half: bool, threads: usize, resumed: bool| {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let (mut trainer, mut seen) = (begin(half), vec![]);
                    for i in 0..5 {
                        if resumed && i == 3 {
                            let state: Vec<_> =
                                trainer.state().into_iter().map(|(_, s)| s.to_vec()).collect();
                            let mut again = begin(half);
                            for ((_, own), saved) in again.state().into_iter().zip(&state) {
                                own.copy_from_slice(saved);
                            }
                            again.set_steps(3);
                            trainer = again;
                        }
                        let step = trainer.step(&corpus).unwrap();
                        assert!(step.applied);
                        seen.push(step.loss.to_bits());
                        let tape = trainer.model().tape();
                        seen.extend(bits(tape.gradients()).into_iter().map(u64::from));
                    }
                    let tape = trainer.model().tape();
                    assert_eq!(half, tape.memory().shared > 0, "{name}");
                    (seen, bits(tape.parameters()), bits(&tape.frozen()), bits(&trainer.merged()))
                })
            };
            let single = run(false, 1, false);
            assert_eq!(single, run(true, 1, false), "{name}");
            assert_eq!(single, run(true, 3, true), "{name}");
        }
    }
}

/// Recordings for prediction share the matrices too, and what reads or writes one of them is right.
#[test]
fn shared_weights_are_read_and_written_like_others() {
    let model = models::llama();
    let all: Vec<f32> = weights(&model).iter().map(|&x| bf16_to_f32(f64_to_bf16(x))).collect();
    let list = model.parameter_list().unwrap();
    let mut beside = adapted(&model, false, true);
    let single = RecordedStep::<f32>::record_forward_only(&beside, SEQUENCES, 4, Form::Fused);
    let mut single = single.unwrap();
    single.set_weights(&all);
    beside.adaptation.frozen = Some(FrozenWeights::of(&list, &all, |_| true));
    let step =
        || RecordedStep::<f32>::record_forward_only(&beside, SEQUENCES, 4, Form::Fused).unwrap();
    let mut half = step();
    let tokens = draw::below(5, SEQUENCES * 4 + 1, model.vocabulary);
    let loss = |step: &mut RecordedStep<f32>| {
        step.initialise_adapters(3);
        step.loss(&tokens[..SEQUENCES * 4], &tokens[1..]).unwrap().to_bits()
    };
    assert_eq!(loss(&mut half), loss(&mut single));
    let (own, whole) = (half.tape().memory(), single.tape().memory());
    assert!(own.shared > 0 && own.frozen + 2 * own.shared == whole.frozen);
    let largest = list.iter().map(|p| p.shape.len()).max().unwrap() * size_of::<f32>();
    assert!(own.values <= whole.values + largest + 64);
    for (var, p) in half.tape().frozen_vars() {
        let expected = &all[p.range.clone()];
        assert_eq!(half.tape().elements(var), expected, "{}", p.name);
        assert!(half.tape().value(var).iter().eq(expected));
        assert_eq!(&half.tape().weight(var)[..], expected);
    }
    assert_eq!(half.tape().frozen()[..], all);
    // Written: by all at once, and one after it was widened; others that share it keep theirs.
    let other: Vec<f32> = all.iter().map(|x| x * 1.001).collect();
    let (mut written, mut expected) = (step(), single);
    assert_eq!(loss(&mut written), loss(&mut half));
    written.set_weights(&other);
    expected.set_weights(&other);
    assert_eq!(loss(&mut written), loss(&mut expected));
    assert_ne!(loss(&mut written), loss(&mut half));
    assert_eq!(written.tape().frozen()[..], other);
    let (var, p) = half.tape().frozen_vars().last().unwrap();
    half.tape_mut().elements_mut(var)[0] += 0.5;
    assert_eq!(half.tape().value(var)[(0, 0)], all[p.range.start] + 0.5);
    let before = loss(&mut step());
    assert_ne!(loss(&mut half), before);
}

fn config() -> TrainingConfig {
    TrainingConfig {
        lora: Some(2),
        lora_dropout: Some(0.2),
        dora: true,
        average: Some(0.5),
        ..models::training()
    }
}

fn trainer(config: &TrainingConfig) -> (Trainer<f32>, Vec<f64>) {
    let plain = TrainingConfig {
        lora: None,
        lora_dropout: None,
        dora: false,
        from: None,
        ..config.clone()
    };
    let model = plain.model(7).unwrap();
    let adapted = config.in_training(family::of(&model), &model).unwrap();
    let weights = weights(&model);
    (Trainer::starting_from(config.clone(), &adapted, Some(&weights)).unwrap(), weights)
}

/// Adapters train with the same bits on any number of threads, and in parts resumed; the model beside them stands still.
#[test]
fn adapters_have_the_same_bits_on_any_number_of_threads_and_resumed() {
    let corpus = Corpus::text(draw::below(1, 3000, 7), 0.1, 16).unwrap();
    let on = |threads: usize, resumed: bool| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let config = TrainingConfig { from: Some("a model".to_owned()), ..config() };
            let (mut trainer, weights) = trainer(&config);
            let frozen = trainer.model().tape().frozen().into_owned();
            for i in 0..6 {
                if resumed && i == 3 {
                    let state: Vec<_> =
                        trainer.state().into_iter().map(|(_, s)| s.to_vec()).collect();
                    let (mut again, _) = self::trainer(&config);
                    for ((_, own), saved) in again.state().into_iter().zip(&state) {
                        own.copy_from_slice(saved);
                    }
                    again.set_steps(3);
                    trainer = again;
                }
                assert!(trainer.step(&corpus).unwrap().applied);
            }
            assert_eq!(trainer.model().tape().frozen()[..], frozen);
            assert_eq!(frozen.len(), weights.len());
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            (bits(trainer.model().tape().parameters()), bits(&trainer.merged()))
        })
    };
    let one = on(1, false);
    assert_eq!(one, on(3, false));
    assert_eq!(one, on(2, true));
}

#[test]
fn what_cannot_be_adapted_is_refused_in_words() {
    let model = models::llama();
    let refused = |adaptation| {
        let adapted = Architecture { adaptation, ..model.clone() };
        adapted.validate().unwrap_err().to_string()
    };
    let adapter = Adapter {
        rank: 2,
        alpha: 2.0,
        rank_stabilized: false,
        magnitudes: false,
        dropout: 0.0,
        targets: vec![Target::Query],
    };
    let with = |change: &dyn Fn(&mut Adapter)| {
        let mut adapter = adapter.clone();
        change(&mut adapter);
        refused(Adaptation { adapter: Some(adapter), ..Adaptation::default() })
    };
    assert!(with(&|a| a.rank = 0).contains("rank: found 0, expected 1 to 8"));
    assert!(with(&|a| a.rank = 9).contains("rank: found 9, expected 1 to 8"));
    assert!(with(&|a| a.rank = usize::MAX).contains("expected 1 to 8"));
    assert!(with(&|a| a.alpha = f64::NAN).contains("alpha: found NaN"));
    assert!(with(&|a| a.alpha = 0.0).contains("alpha: found 0"));
    assert!(with(&|a| a.dropout = 1.0).contains("dropout: found 1"));
    assert!(with(&|a| a.targets.clear()).contains("targets: found none"));
    let overlap = |a: &mut Adapter| {
        a.magnitudes = true;
        a.targets.push(Target::QueryKeyValue);
    };
    assert!(with(&overlap).contains("without a row in common"));
    let freeze = |patterns: &[&str]| {
        let freeze = patterns.iter().map(|&p| p.to_owned()).collect();
        refused(Adaptation { freeze, ..Adaptation::default() })
    };
    assert!(freeze(&["*"]).contains("nothing to train"));
    assert!(freeze(&["block.7.*"]).contains("\"block.7.*\", which no weight matches"));
    assert!(freeze(&[""]).contains("which no weight matches"));
    let both = Adaptation {
        freeze: vec!["norm.*".to_owned()],
        adapter: Some(adapter.clone()),
        ..Adaptation::default()
    };
    assert!(refused(both).contains("absent beside adapters"));
    let plain = Architecture { gated: false, ..model.clone() };
    let gate = Adapter { targets: vec![Target::Gate], ..adapter };
    let adaptation = Adaptation { adapter: Some(gate), ..Adaptation::default() };
    let said = Architecture { adaptation, ..plain }.validate().unwrap_err().to_string();
    assert!(said.contains("has no gate"), "{said}");
}

proptest! {
    /// Merging adds: twice half the factor is the whole.
    #[test]
    fn merging_is_linear_in_the_factor(alpha in 0.1f64..8.0, seed in 0u64..1000) {
        let model = models::llama();
        let adapter = |alpha| Adapter {
            rank: 2, alpha, rank_stabilized: false,
magnitudes: false, dropout: 0.0, targets: vec![Target::Query, Target::Up],
        };
        let of = |alpha| with(&model, Adaptation { adapter: Some(adapter(alpha)), ..Adaptation::default() });
        let count = of(1.0).adapters().unwrap().last().unwrap().b.range.end;
        let learned: Vec<f64> = (0..count).map(|i| ((seed + i as u64) as f64).sin()).collect();
        let start = weights(&model);
        let (mut once, mut twice) = (start.clone(), start);
        of(alpha).merge(&mut once, &learned);
        of(alpha / 2.0).merge(&mut twice, &learned);
        of(alpha / 2.0).merge(&mut twice, &learned);
        prop_assert!(distance(&once, &twice) <= 1e-14);
    }
}
