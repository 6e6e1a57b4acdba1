//! Several sequences in one window are kept apart: loss and gradients are those of each alone, its tokens counted.

use tests::models::{self, distance, loss_and_gradients};
use tests::{draw, tolerance};
use transformer::{
    Architecture, Form, IGNORED, LAST, ModelError, Norm, Positions, RecordedStep, Rotary, Scaling,
    Window, is_counted,
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

/// All windows: each sequence but the last of a window ends with the mark, and the last is filled up.
fn windows() -> (Vec<u32>, Vec<u32>, Vec<(Vec<u32>, Vec<u32>)>) {
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
