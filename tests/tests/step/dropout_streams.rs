//! Dropout: every place, layer, sequence, part, batch, step and seed has masks of its own.

use probability::dropout::weight_index;
use std::collections::HashMap;
use tests::models::{self, Seen, distance, loss_and_gradients};
use tests::tolerance;
use transformer::{Architecture, Corpus, Form, RecordedStep, Trainer, TrainingConfig};

const RATE: f64 = 0.4;
const SEQUENCES: usize = 2;
const LENGTH: usize = 40;

fn config() -> Architecture {
    let sizes =
        Architecture { width: 16, context: LENGTH, hidden: 32, layers: 3, ..models::config() };
    Architecture { dropout: RATE, ..sizes }
}

/// Whether an element was kept, by the number that selects its random bits.
type Mask = HashMap<u64, bool>;

/// A model at a step, replayed.
fn replayed(seed: u64, step: u64) -> RecordedStep<f64> {
    let config = config();
    let mut model = RecordedStep::record(&config, SEQUENCES, LENGTH, Form::Textbook, seed).unwrap();
    let values = models::parameters(5, &model.tape().parameter_list());
    model.copy_parameters(&values);
    let (tokens, targets) = models::batch(6, &config, SEQUENCES * LENGTH);
    model.set_batch(&tokens, &targets).unwrap();
    model.set_step(Some(step));
    model.tape_mut().forward();
    model
}

/// Every place of GPT-2's dropout (`embd_pdrop`, `attn_pdrop`, `resid_pdrop`): what is dropped, and from what.
fn places() -> Vec<(String, String)> {
    let mut all = vec![("embedding.dropped".to_owned(), "embedding.sum".to_owned())];
    for i in 0..config().layers {
        for (dropped, from) in [
            ("attention.weights_dropped", "attention.weights"),
            ("attention.dropped", "attention.projection"),
            ("feed_forward.dropped", "feed_forward.contracted"),
        ] {
            all.push((format!("block.{i}.{dropped}"), format!("block.{i}.{from}")));
        }
    }
    all
}

fn mask(model: &RecordedStep<f64>, (dropped, from): &(String, String)) -> Mask {
    let tape = model.tape();
    let find =
        |name: &str| tape.find(name).unwrap_or_else(|| panic!("nothing is dropped at {name}"));
    let (y, x) = (tape.elements(find(dropped)), tape.elements(find(from)));
    let rows = tape.value(find(from)).nrows();
    let weights = dropped.ends_with("weights_dropped");
    let mut mask = Mask::new();
    for (e, (&y, &x)) in y.iter().zip(x).enumerate().filter(|(_, (_, x))| **x != 0.0) {
        let number = if weights { weight_index(LENGTH, e / rows, e % rows) } else { e as u64 };
        assert!(y == 0.0 || (y / x * (1.0 - RATE) - 1.0).abs() <= 4.0 * f64::EPSILON, "{dropped}");
        mask.insert(number, y != 0.0);
    }
    mask
}

/// Five deviations of a share p of n.
fn spread(p: f64, n: usize) -> f64 {
    5.0 * (p * (1.0 - p) / n as f64).sqrt()
}

/// Two masks agree as often as two that know nothing of each other.
fn independent(a: &Mask, b: &Mask, which: &str) {
    let common: Vec<bool> = a.iter().filter_map(|(k, x)| Some(*x == *b.get(k)?)).collect();
    assert!(common.len() >= 200, "{which}: {} elements to compare", common.len());
    let agreement = common.iter().filter(|x| **x).count() as f64 / common.len() as f64;
    let chance = RATE * RATE + (1.0 - RATE) * (1.0 - RATE);
    let off = (agreement - chance).abs();
    assert!(off <= spread(chance, common.len()), "{which}: agree in {agreement} of their elements");
}

fn all_independent(masks: &[(String, Mask)]) {
    for (i, (name, mask)) in masks.iter().enumerate() {
        for (other, own) in &masks[..i] {
            independent(mask, own, &format!("{name} and {other}"));
        }
    }
}

#[test]
fn every_place_drops_its_share() {
    let model = replayed(1, 3);
    let dropouts = model.tape().rows().filter(|r| r.operation == Some("dropout")).count();
    assert_eq!(dropouts, places().len(), "and nothing else is dropped");
    for place in places() {
        let mask = mask(&model, &place);
        let share = mask.values().filter(|kept| !**kept).count() as f64 / mask.len() as f64;
        assert!((share - RATE).abs() <= spread(RATE, mask.len()), "{} drops {share}", place.0);
    }
}

#[test]
fn places_and_layers_are_independent() {
    let model = replayed(1, 3);
    let masks: Vec<_> = places().into_iter().map(|p| (p.0.clone(), mask(&model, &p))).collect();
    all_independent(&masks);
}

#[test]
fn steps_and_seeds_are_independent_and_come_again() {
    for place in [&places()[0], &places()[1], &places()[9]] {
        let of =
            |seed, step| (format!("seed {seed}, step {step}"), mask(&replayed(seed, step), place));
        let several = [(1, 0), (1, 1), (1, 2), (1, 77), (1, 65_536), (2, 0), (1 << 40, 0)];
        all_independent(&several.map(|(seed, step)| of(seed, step)));
        assert_eq!(of(1, 77), of(1, 77));
    }
}

#[test]
fn sequences_and_heads_are_independent() {
    let model = replayed(1, 3);
    for place in places() {
        let mask = mask(&model, &place);
        let rows = model.tape().value(model.tape().find(&place.1).unwrap()).nrows();
        // Parts that a loop over sequences (and heads) would see: the same places in each.
        let whole = place.0.ends_with("weights_dropped");
        let count = if whole { SEQUENCES * config().heads } else { SEQUENCES };
        let number = |part: usize, column: usize, row: usize| {
            let column = part * LENGTH + column;
            if whole { weight_index(LENGTH, column, row) } else { (column * rows + row) as u64 }
        };
        let part = |part: usize| -> (String, Mask) {
            let cells = (0..LENGTH).flat_map(|c| (0..rows).map(move |r| (c, r)));
            let own = cells.filter_map(|(c, r)| {
                Some(((c * rows + r) as u64, *mask.get(&number(part, c, r))?))
            });
            (format!("{}, part {part}", place.0), own.collect())
        };
        all_independent(&(0..count).map(part).collect::<Vec<_>>());
    }
}

/// The fused recording drops what the textbook's does, in every sequence and head.
#[test]
fn both_recordings_drop_the_same() {
    for (heads, sequences) in [(2, 2), (4, 3)] {
        let config = Architecture { heads, ..config() };
        let of = |form| {
            let mut model = models::model::<f64>(&config, (sequences, LENGTH), form, 3);
            loss_and_gradients(&mut model)
        };
        let ((loss, gradients), (other_loss, other)) = (of(Form::Fused), of(Form::Textbook));
        let error = distance(&[loss], &[other_loss]).max(distance(&gradients, &other));
        assert!(error <= tolerance::sum(4 * LENGTH * sequences), "{error:.1e}");
    }
}

fn training() -> TrainingConfig {
    let sizes =
        TrainingConfig { layers: 1, width: 8, context: 64, batch: 32, ..models::training() };
    TrainingConfig { dropout: RATE, accumulate: 2, ..sizes }
}

/// The masks after the embedding of all parts of a run's first steps, in order.
fn masks_of_run(config: &TrainingConfig, first: u64, steps: u64) -> Vec<(String, Mask)> {
    let corpus = Corpus::text(tests::draw::below(3, 9000, 7), 0.1, config.context).unwrap();
    let mut trainer = Trainer::<f64>::new(config.clone(), &config.model(7).unwrap()).unwrap();
    trainer.set_steps(first);
    let find = |name| trainer.model().tape().find(name).unwrap();
    let (sum, dropped) = (find("embedding.sum"), find("embedding.dropped"));
    let (mut x, mut masks) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let mut count = 0;
        let see = |var, elements: &mut [f64]| {
            if var == sum {
                x = elements.to_vec();
            } else if var == dropped {
                let kept = elements.iter().enumerate().map(|(e, y)| (e as u64, *y != 0.0));
                let name = format!("step {step}, part {count}");
                masks.push((name, kept.filter(|(e, _)| x[*e as usize] != 0.0).collect()));
                count += 1;
            }
        };
        trainer.step_observed(&corpus, &mut Seen(see, |_, _: &mut [f64]| {})).unwrap();
        assert_eq!(count, config.parts() * config.accumulate as u64);
    }
    masks
}

#[test]
fn parts_batches_and_steps_of_a_run_are_independent() {
    let config = training();
    assert_eq!(config.parts(), 2, "the case has batches in parts");
    let masks = masks_of_run(&config, 0, 3);
    assert_eq!(masks.len(), 12);
    for (name, mask) in &masks {
        let share = mask.values().filter(|kept| !**kept).count() as f64 / mask.len() as f64;
        assert!((share - RATE).abs() <= spread(RATE, mask.len()), "{name} drops {share}");
    }
    all_independent(&masks);
    // Another seed has other masks; the same step of the same seed has the same.
    let other = masks_of_run(&TrainingConfig { seed: 2, ..config.clone() }, 0, 1);
    independent(&masks[0].1, &other[0].1, "two seeds");
    let again = masks_of_run(&config, 2, 1);
    assert_eq!(
        again.iter().map(|m| &m.1).collect::<Vec<_>>(),
        masks[8..].iter().map(|m| &m.1).collect::<Vec<_>>()
    );
}
