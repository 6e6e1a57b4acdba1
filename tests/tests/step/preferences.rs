//! Preferences: the loss of pairs is that of the papers, in both recordings, and the reference is the model at the start.

use infotheory::preference::{Objective, PreferenceLoss, loss};
use proptest::prelude::*;
use std::ops::ControlFlow;
use tests::models::{self, distance, loss_and_gradients};
use tests::{draw, tolerance};
use transformer::inspect::check::{self, Verdict};
use transformer::text::conversation::Marked;
use transformer::{
    Adapter, Architecture, Corpus, Form, IGNORED, LAST, LogRatios, ModelError, PreferenceKind,
    RecordedStep, Target, Trainer, TrainingConfig, is_counted, refer,
};

const LENGTH: usize = 24;
/// The lengths of the sides in each window, chosen and rejected in turn; what is left is filled up.
const SIDES: [&[usize]; 3] = [&[5, 6, 6, 4], &[12, 11], &[3, 9, 4, 2]];
const BETA: f64 = 0.3;

fn objectives() -> [Objective; 3] {
    let logistic = |flipped| Objective::Logistic { flipped };
    [logistic(0.0), logistic(0.2), Objective::Quadratic]
}

fn config(objective: Objective) -> Architecture {
    let preference = Some(PreferenceLoss { beta: BETA, objective });
    // A window is twice as long as the context of each side.
    Architecture { context: LENGTH / 2, packed: true, preference, ..models::config() }
}

/// A side: its tokens, and the token to predict after each of its later half.
fn side(seed: u64, length: usize) -> (Vec<u32>, Vec<u32>) {
    let (tokens, mut targets) = models::batch(seed, &models::config(), length);
    targets[..length / 2].fill(IGNORED);
    targets[length - 1] = (tokens[0] + 1) % 7;
    (tokens, targets)
}

/// A sequence: its tokens and targets.
type Side = (Vec<u32>, Vec<u32>);

/// All windows, and all pairs.
fn batch() -> (Vec<u32>, Vec<u32>, Vec<[Side; 2]>) {
    let (mut x, mut y, mut sides) = (vec![], vec![], vec![]);
    for (w, lengths) in SIDES.iter().enumerate() {
        for (i, &length) in lengths.iter().enumerate() {
            let (mut tokens, mut targets) = side(100 * w as u64 + i as u64, length);
            sides.push((tokens.clone(), targets.clone()));
            if i + 1 < lengths.len() {
                // The mark stands where the last token's target would.
                tokens.push(tokens[0]);
                targets.push(LAST);
            }
            x.extend(tokens);
            y.extend(targets);
        }
        let filled = (w + 1) * LENGTH;
        x.extend(draw::below(7, filled - x.len(), 7));
        y.resize(filled, IGNORED);
    }
    let pairs = sides.chunks(2).map(|pair| [pair[0].clone(), pair[1].clone()]).collect();
    (x, y, pairs)
}

/// Returns the nats of a side's targets and their gradient, by the mean cross-entropy of the side alone.
fn nats_of(config: &Architecture, seed: u64, (tokens, targets): &Side) -> (f64, Vec<f64>) {
    let plain = Architecture { preference: None, packed: false, ..config.clone() };
    let mut alone = models::model::<f64>(&plain, (1, tokens.len()), Form::Fused, seed);
    alone.set_batch(tokens, targets).unwrap();
    let counted = targets.iter().filter(|t| is_counted(**t)).count() as f64;
    let (loss, gradients) = loss_and_gradients(&mut alone);
    (counted * loss, gradients.into_iter().map(|g| counted * g).collect())
}

/// The seeds of the policy's weights and of the reference's.
const POLICY: u64 = 5;
const REFERENCE: u64 = 6;

/// The step on all windows, with parameters of this seed.
fn recorded(objective: Objective, form: Form, seed: u64) -> RecordedStep<f64> {
    let config = config(objective);
    let mut model = RecordedStep::record(&config, SIDES.len(), LENGTH, form, 9).expect("valid");
    let weights = models::parameters(seed, &model.tape().parameter_list());
    model.copy_parameters(&weights);
    model
}

fn become_policy(model: &mut RecordedStep<f64>) {
    let weights = models::parameters(POLICY, &model.tape().parameter_list());
    model.copy_parameters(&weights);
}

/// Mean loss and gradients of all pairs by the papers' formulas: h from the cross-entropies of each side alone, and
/// <var>∇L = ℓ′(h)·(∇I(rejected) − ∇I(chosen))</var>.
fn expected(objective: Objective) -> (f64, Vec<f64>) {
    let (config, (.., pairs)) = (config(objective), batch());
    let (mut mean, mut sum) = (0.0, vec![]);
    for pair in &pairs {
        let own = pair.each_ref().map(|side| nats_of(&config, POLICY, side));
        let reference = pair.each_ref().map(|side| nats_of(&config, REFERENCE, side).0);
        let h = (reference[0] - own[0].0) - (reference[1] - own[1].0);
        let at = |h| loss(h, BETA, objective).unwrap().0;
        let slope = match objective {
            Objective::Logistic { flipped } => {
                let sigmoid = 1.0 / (1.0 + (-BETA * h).exp());
                BETA * (flipped * sigmoid - (1.0 - flipped) * (1.0 - sigmoid))
            }
            Objective::Quadratic => 2.0 * (h - 1.0 / (2.0 * BETA)),
        };
        let share = 1.0 / pairs.len() as f64;
        mean += share * at(h);
        sum.resize(own[0].1.len(), 0.0);
        for ((sum, chosen), rejected) in sum.iter_mut().zip(&own[0].1).zip(&own[1].1) {
            *sum += share * slope * (rejected - chosen);
        }
    }
    (mean, sum)
}

#[test]
fn the_loss_of_packed_pairs_is_the_papers() {
    let (tokens, targets, pairs) = batch();
    let bound = tolerance::sum(256 * LENGTH);
    for objective in objectives() {
        let expected = expected(objective);
        for form in [Form::Fused, Form::Textbook] {
            let mut model = recorded(objective, form, REFERENCE);
            let reference = model.nats(&tokens, &targets).unwrap();
            become_policy(&mut model);
            assert_eq!(model.averaged_over(&targets), pairs.len());
            model.set_batch(&tokens, &targets).unwrap();
            model.set_reference(&reference);
            let found = loss_and_gradients(&mut model);
            let error = distance(&[expected.0], &[found.0]).max(distance(&expected.1, &found.1));
            assert!(error <= bound, "{objective:?}, {form:?}: {error:e}");
        }
    }
}

/// The law can fail: with the sides exchanged, or with the reference of other tokens, the loss is another.
#[test]
fn other_pairs_have_another_loss() {
    let (tokens, targets, _) = batch();
    let objective = objectives()[0];
    let mut model = recorded(objective, Form::Fused, REFERENCE);
    let reference = model.nats(&tokens, &targets).unwrap();
    become_policy(&mut model);
    let ratios = model.log_ratios((&tokens, &targets), &reference).unwrap();
    let mean = |h: fn(&LogRatios) -> f64| {
        let nats = ratios.iter().map(|r| loss(h(r), BETA, objective).unwrap().0);
        nats.sum::<f64>() / ratios.len() as f64
    };
    let found = mean(|r| r.chosen - r.rejected);
    let expected = expected(objective).0;
    assert!(distance(&[expected], &[found]) <= tolerance::sum(256 * LENGTH));
    let swapped = mean(|r| r.rejected - r.chosen);
    let mut turned = reference.clone();
    turned.rotate_right(1);
    model.set_batch(&tokens, &targets).unwrap();
    model.set_reference(&turned);
    let turned = loss_and_gradients(&mut model).0;
    for other in [swapped, turned] {
        assert!((other / expected - 1.0).abs() > tolerance::MISTAKE, "{other} {expected}");
    }
}

/// A reference that was never set does not pass for one: the loss is not a number.
#[test]
fn a_batch_without_its_reference_has_no_loss() {
    let (tokens, targets, _) = batch();
    let mut model = recorded(objectives()[0], Form::Fused, 1);
    let reference = model.nats(&tokens, &targets).unwrap();
    model.set_batch(&tokens, &targets).unwrap();
    model.set_reference(&reference);
    assert_eq!(loss_and_gradients(&mut model).0, 2f64.ln());
    model.set_batch(&tokens, &targets).unwrap();
    assert!(loss_and_gradients(&mut model).0.is_nan());
}

fn marked(seed: u64, length: usize) -> Marked {
    let tokens = draw::below(seed, length, 7);
    Marked { tokens, answer: (0..length).map(|i| 2 * i >= length).collect(), dropped: 0 }
}

fn corpus() -> Corpus {
    let pair =
        |i: u64| vec![marked(2 * i, 3 + i as usize % 5), marked(2 * i + 1, 4 + i as usize % 4)];
    let held_back = (0..4).map(|i| pair(100 + i)).collect();
    Corpus::conversations((0..30).map(pair).collect(), held_back, 0, 20).expect("answers")
}

fn training(batch: usize, accumulate: usize) -> TrainingConfig {
    TrainingConfig {
        batch,
        accumulate,
        context: 20,
        preferences: Some(PreferenceKind::Dpo),
        clip: 0.0,
        ..models::training()
    }
}

fn trainer(config: TrainingConfig, lora: bool) -> Trainer<f64> {
    let mut model = config.model(7).unwrap();
    if lora {
        let targets = vec![Target::Query, Target::Contracted];
        let adapter = Adapter {
            rank: 2,
            alpha: 4.0,
            rank_stabilized: false,
            magnitudes: false,
            dropout: 0.0,
            targets,
        };
        model.adaptation.adapter = Some(adapter);
    }
    let weights = model.base().initial_parameters(3).unwrap();
    Trainer::starting_from(config, &model, Some(&weights)).unwrap()
}

/// A step begins at ln 2 exactly, every pair of a step has the same weight however its windows are cut, and the reference is
/// that of the first step for ever.
#[test]
fn a_step_on_preferences_does_not_depend_on_the_cut() {
    for lora in [false, true] {
        let losses = |batch, accumulate| {
            let (mut trainer, mut corpus) = (trainer(training(batch, accumulate), lora), corpus());
            let go_on = |_, _| ControlFlow::Continue(());
            assert_eq!(trainer.step(&corpus), Err(ModelError::NoReference));
            assert!(trainer.refer(&mut corpus, 0, go_on).unwrap());
            let steps = (0..3).map(|_| trainer.step(&corpus).unwrap());
            let losses: Vec<f64> = steps.map(|step| step.loss).collect();
            let measured = trainer.evaluate_sample(&corpus, 1 << 20, go_on).unwrap().unwrap();
            // Found once, it does not follow the weights.
            assert!(trainer.refer(&mut corpus, 0, go_on).unwrap());
            let again = trainer.evaluate_sample(&corpus, 1 << 20, go_on).unwrap().unwrap();
            assert_eq!(measured, again);
            let preferred = measured.preferred.expect("pairs");
            assert!(preferred.divergence.is_some_and(|nats| nats > 0.0), "{preferred:?}");
            assert_eq!(measured.tokens, 4);
            losses
        };
        let whole = losses(8, 1);
        // The reference is kept in f32.
        assert!((whole[0] - 2f64.ln()).abs() <= 1e-7, "{whole:?}");
        assert!(whole[2] < whole[0], "{whole:?}");
        for (batch, accumulate) in [(1, 8), (2, 4), (4, 2)] {
            let error = distance(&whole, &losses(batch, accumulate));
            // Adam divides by gradients' sizes, which enlarges what small ones lost to rounding.
            assert!(error <= 1e-9, "{batch} x {accumulate}: {error:e}");
        }
    }
}

/// The certificates of a reference hold for the weights that it was computed from, and fail for others; so does that of a
/// run's first loss.
#[test]
fn certificates_of_another_reference_fail() {
    let (config, mut corpus) = (training(2, 1), corpus());
    let model = config.model(7).unwrap();
    let weights = |seed| -> Vec<f32> {
        let drawn = models::parameters(seed, &model.parameter_list().unwrap());
        drawn.into_iter().map(|x| x as f32).collect()
    };
    let mut step = RecordedStep::<f32>::record(&model, 2, 20, Form::Fused, 0).unwrap();
    step.copy_parameters(&weights(1));
    assert!(refer(&mut corpus, &mut step, None, |_, _| ControlFlow::Continue(())).unwrap());
    let verdicts = |seed| {
        let all = check::preferences(&config, &model, &weights(seed), &corpus).unwrap();
        all.into_iter().map(|c| c.verdict).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(1), [Verdict::Pass; 2]);
    assert_eq!(verdicts(2), [Verdict::Fail; 2]);
    let began = |loss| check::began(&model, loss).map(|c| c.verdict);
    assert_eq!([began(2f64.ln()), began(0.7)], [Some(Verdict::Pass), Some(Verdict::Fail)]);
    let plain = Architecture { preference: None, ..model.clone() };
    assert!(check::began(&plain, 0.7).is_none());
}

/// What a run of a few steps needs is all that is found.
#[test]
fn a_short_run_needs_few_references() {
    let mut corpus = corpus();
    let config = training(1, 1);
    let model = config.model(7).unwrap();
    let mut step = RecordedStep::<f64>::record(&model, 1, 20, Form::Fused, 0).unwrap();
    step.initialise(1);
    let mut counts = vec![];
    let mut count = |_, all| {
        counts.push(all);
        ControlFlow::Continue(())
    };
    let validation = corpus.validation_windows(20).len();
    assert!(refer(&mut corpus, &mut step, Some((3, 0..2)), &mut count).unwrap());
    assert!(refer(&mut corpus, &mut step, Some((3, 0..3)), &mut count).unwrap());
    assert!(counts[..validation + 2].iter().all(|&all| all == validation + 2));
    assert_eq!(counts[validation + 2..], [1]);
    let mut nats = vec![0.0; 20];
    let known: Vec<bool> =
        (0..5).map(|window| corpus.fill_reference(3, window, 20, &mut nats)).collect();
    assert_eq!(known, [true, true, true, false, false]);
    // An interruption keeps what was found.
    let stop = |_, _| ControlFlow::Break(());
    assert!(!refer(&mut corpus, &mut step, None, stop).unwrap());
}

proptest! {
    /// However sides are cut by the context, a window's pairs are whole: as many chosen as rejected answers have targets.
    #[test]
    fn pairs_are_whole_in_every_window(
        lengths in prop::collection::vec((2usize..40, 2usize..40), 1..12), context in 8usize..40,
    ) {
        let pairs: Vec<Vec<Marked>> = lengths.iter().zip(0..).map(|(&(a, b), i)| {
            vec![marked(i, a), marked(i + 50, b)]
        }).collect();
        let Ok(corpus) = Corpus::conversations(pairs.clone(), pairs, 0, context) else { return Ok(()) };
        let mut found = 0;
        for window in corpus.validation_windows(context) {
            let sides = window.targets.split(|t| *t == LAST);
            let counted: Vec<bool> = sides.map(|side| side.iter().any(|t| is_counted(*t))).collect();
            prop_assert!(counted.iter().all(|counted| *counted));
            prop_assert!(counted.len().is_multiple_of(2));
            found += counted.len() / 2;
        }
        let [counts, _] = corpus.counts().expect("pairs");
        prop_assert_eq!(found, counts.conversations);
        prop_assert_eq!(found + counts.left_out, lengths.len());
    }
}
