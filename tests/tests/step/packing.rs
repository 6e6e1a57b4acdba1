//! Several sequences in one window are kept apart: loss and gradients are those of each alone, its tokens counted.

use tests::models::{self, distance, loss_and_gradients};
use tests::{draw, tolerance};
use transformer::inspect::diagnose::health::Watch;
use transformer::text::conversation::Marked;
use transformer::{
    Architecture, Corpus, Form, IGNORED, LAST, ModelError, Norm, Positions, PositionsKind,
    RecordedStep, Rotary, Scaling, Trainer, TrainingConfig, Window, is_counted,
};

/// Tokens of a window: more than a block of queries (32).
const LENGTH: usize = 40;
/// The lengths of the sequences in each window; what is left is filled up.
const PACKED: [&[usize]; 3] = [&[7, 1, 20, 5], &[40], &[2, 38]];

/// Positions of every kind, with attention to all tokens and to a few, and with capped scores.
fn variants() -> Vec<Architecture> {
    let base = Architecture { context: LENGTH, ..models::config() };
    let rotary = Rotary { base: 100.0, share: 0.5, scaling: Scaling::None, local_base: Some(7.0) };
    let window = Some(Window { size: 6, layers: vec![true, false] });
    let mut all = vec![];
    for positions in [Positions::Learned, Positions::Sinusoidal, Positions::Rotary(rotary)] {
        all.push(Architecture { positions, ..base.clone() });
        all.push(Architecture {
            positions,
            window: window.clone(),
            key_value_heads: Some(1),
            norm: Norm::Rms,
            ..base.clone()
        });
    }
    all.push(Architecture { score_cap: Some(1.5), window, ..base });
    all
}

/// The tokens of a sequence, and the token to predict after each; every third is not predicted.
fn sequence(seed: u64, length: usize) -> (Vec<u32>, Vec<u32>) {
    models::batch(seed, &models::config(), length)
}

/// Tokens and targets.
type Batch = (Vec<u32>, Vec<u32>);

/// All windows: each sequence but the last of a window ends with the mark, and the last is filled up.
fn windows() -> (Vec<u32>, Vec<u32>, Vec<Batch>) {
    let (mut x, mut y, mut all) = (vec![], vec![], vec![]);
    for (w, lengths) in PACKED.iter().enumerate() {
        for (i, &length) in lengths.iter().enumerate() {
            let (tokens, mut targets) = sequence(100 * w as u64 + i as u64, length);
            let last = i + 1 == lengths.len();
            targets[length - 1] = if last { IGNORED } else { LAST };
            x.extend(&tokens);
            y.extend(&targets);
            targets[length - 1] = IGNORED;
            all.push((tokens, targets));
        }
        let filled = (w + 1) * LENGTH;
        x.extend(draw::below(7, filled - x.len(), 7));
        y.resize(filled, IGNORED);
    }
    (x, y, all)
}

/// Mean loss and gradients of all sequences, each recorded alone, by their numbers of predicted tokens.
fn one_by_one(config: &Architecture, form: Form) -> (f64, Vec<f64>) {
    let (.., all) = windows();
    let counted = |targets: &[u32]| targets.iter().filter(|t| is_counted(**t)).count() as f64;
    let total: f64 = all.iter().map(|(_, targets)| counted(targets)).sum();
    let (mut mean, mut sum) = (0.0, vec![]);
    for (tokens, targets) in all.iter().filter(|(_, targets)| counted(targets) > 0.0) {
        let mut alone = models::model::<f64>(config, (1, tokens.len()), form, 5);
        alone.set_batch(tokens, targets).unwrap();
        let (loss, gradients) = loss_and_gradients(&mut alone);
        let share = counted(targets) / total;
        mean += share * loss;
        sum.resize(gradients.len(), 0.0);
        sum.iter_mut().zip(&gradients).for_each(|(sum, g)| *sum += share * g);
    }
    (mean, sum)
}

#[test]
fn packed_sequences_are_those_of_each_alone() {
    let (tokens, targets, _) = windows();
    let bound = tolerance::sum(64 * LENGTH);
    for (i, config) in variants().iter().enumerate() {
        let packed = Architecture { packed: true, ..config.clone() };
        let expected = one_by_one(config, Form::Fused);
        for form in [Form::Fused, Form::Textbook] {
            let mut model = models::model::<f64>(&packed, (PACKED.len(), LENGTH), form, 5);
            model.set_batch(&tokens, &targets).unwrap();
            let found = loss_and_gradients(&mut model);
            let error = distance(&[expected.0], &[found.0]).max(distance(&expected.1, &found.1));
            assert!(error <= bound, "variant {i}, {form:?}: {error:e}");
            // A batch of whole windows after it leaves nothing of it behind.
            let (x, y) = models::batch(9, config, PACKED.len() * LENGTH);
            let mut plain = models::model::<f64>(config, (PACKED.len(), LENGTH), form, 5);
            let losses = [&mut model, &mut plain].map(|m| m.loss(&x, &y).unwrap());
            assert!(distance(&losses[..1], &losses[1..]) <= bound, "variant {i}, {form:?}");
        }
    }
}

/// The law can fail: in one sequence, the same tokens have another loss.
#[test]
fn sequences_that_are_not_kept_apart_differ() {
    let (tokens, mut targets, _) = windows();
    targets.iter_mut().filter(|t| **t == LAST).for_each(|t| *t = IGNORED);
    for config in variants() {
        let expected = one_by_one(&config, Form::Fused).0;
        let mut model = models::model::<f64>(&config, (PACKED.len(), LENGTH), Form::Fused, 5);
        let loss = model.loss(&tokens, &targets).unwrap();
        assert!((loss / expected - 1.0).abs() > tolerance::MISTAKE, "{loss} {expected}");
    }
}

#[test]
fn a_step_of_one_sequence_a_window_refuses_several() {
    let (tokens, targets, _) = windows();
    let config = &variants()[0];
    let mut model =
        RecordedStep::<f64>::record(config, PACKED.len(), LENGTH, Form::Fused, 0).unwrap();
    assert_eq!(model.set_batch(&tokens, &targets), Err(ModelError::Packed { place: 6 }));
}

/// Conversations of these lengths: one token in three is an answer's, and the last one is.
fn chats(lengths: &[usize]) -> Vec<Vec<Marked>> {
    let chat = |(i, &length): (usize, &usize)| Marked {
        tokens: draw::below(30 + i as u64, length, 7),
        answer: (0..length).map(|k| k % 3 == 2 || k + 1 == length).collect(),
        dropped: 0,
    };
    lengths.iter().enumerate().map(|of| vec![chat(of)]).collect()
}

fn corpus() -> Corpus {
    let lengths: Vec<usize> = (0..40).map(|i| 2 + i * i % 19).collect();
    Corpus::conversations(chats(&lengths), chats(&[4, 6]), 0, 20).expect("answers")
}

/// A pass takes every window once, in another order than the next pass and the next seed; windows do not depend on the
/// batch; and predicted tokens are counted as they are written.
#[test]
fn a_pass_takes_every_window_of_conversations_once() {
    let corpus = corpus();
    let windows = corpus.windows_of_a_pass(20);
    let fill = |seed, batch, size: usize| {
        let (mut x, mut y) = (vec![0; size * 20], vec![0; size * 20]);
        corpus.fill(seed, batch, 20, &mut x, &mut y);
        let counted = y.iter().filter(|t| is_counted(**t)).count();
        assert_eq!(corpus.counted(seed, batch, 20, size), counted);
        x.chunks(20).zip(y.chunks(20)).map(|(x, y)| (x.to_vec(), y.to_vec())).collect::<Vec<_>>()
    };
    let pass = |seed, number| fill(seed, number, windows);
    let sorted = |mut pass: Vec<(Vec<u32>, Vec<u32>)>| {
        pass.sort();
        pass
    };
    assert!(windows > 4 && pass(3, 0) != pass(3, 1) && pass(3, 0) != pass(4, 0));
    assert_eq!(sorted(pass(3, 0)), sorted(pass(3, 1)));
    assert_eq!(sorted(pass(3, 0)), sorted(pass(4, 0)));
    let one_by_one: Vec<_> = (0..windows as u64).flat_map(|i| fill(3, i, 1)).collect();
    assert_eq!(one_by_one, pass(3, 0));
    let [train, held_back] = corpus.counts().expect("conversations");
    let all = pass(3, 0).iter().flat_map(|(_, y)| y).filter(|t| is_counted(**t)).count();
    assert_eq!((train.windows, train.counted), (windows, all));
    assert_eq!(corpus.measured(), held_back.counted);
    // In windows of another length, the same conversations are packed anew.
    let (mut x, mut y) = (vec![0; 40], vec![0; 40]);
    corpus.fill(3, 0, 40, &mut x, &mut y);
    assert!(corpus.windows_of_a_pass(40) < windows && corpus.validation_windows(40).len() == 1);
}

/// Every predicted token of a step has the same weight, however its windows are cut into batches and replays.
#[test]
fn a_step_on_conversations_does_not_depend_on_the_cut() {
    let corpus = corpus();
    let step = |batch, accumulate| {
        let context = 20;
        let config = TrainingConfig {
            batch,
            accumulate,
            context,
            answers: true,
            clip: 0.0,
            ..models::training()
        };
        let model = config.model(7).unwrap();
        let mut trainer = Trainer::<f64>::new(config, &model).unwrap();
        let step = trainer.step(&corpus).unwrap();
        [step.loss, step.gradient_norm]
    };
    let whole = step(8, 1);
    for (batch, accumulate) in [(1, 8), (2, 4), (4, 2)] {
        let error = distance(&whole, &step(batch, accumulate));
        assert!(error <= tolerance::sum(64 * 160), "{batch} x {accumulate}: {error:e}");
    }
}

/// Attention is watched within the last sequence of a window: as if it were alone.
#[test]
fn attention_is_watched_within_a_sequence() {
    let all = chats(&[5, 5]);
    let watched = |train: &[Vec<Marked>], context| {
        let positions = PositionsKind::Sinusoidal;
        let config = TrainingConfig {
            batch: 1,
            accumulate: 1,
            context,
            positions,
            answers: true,
            ..models::training()
        };
        let model = config.model(7).unwrap();
        let corpus = Corpus::conversations(train.to_vec(), chats(&[4]), 0, context).unwrap();
        let mut trainer = Trainer::<f32>::new(config, &model).unwrap();
        // So large that weights are far from equal.
        let parameters = trainer.model_mut().tape_mut().parameters_mut();
        parameters.iter_mut().for_each(|p| *p *= 20.0);
        let mut watch = Watch::new(trainer.model());
        let (_, glance) = watch.step(&mut trainer, &corpus, &mut ()).unwrap().expect("a step");
        glance
    };
    let [packed, alone] = [watched(&all, 10), watched(&all[1..], 5)];
    assert!(alone.attention_entropy.iter().all(|share| *share < 0.99), "{alone:?}");
    let [packed, alone] = [packed, alone].map(|g| (g.attention_entropy, g.largest_scores));
    assert!(distance(&alone.0, &packed.0) <= tolerance::sum_32(640), "{packed:?} {alone:?}");
    assert!(distance(&alone.1, &packed.1) <= tolerance::sum_32(640), "{packed:?} {alone:?}");
}
