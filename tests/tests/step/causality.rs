//! No token sees a later one, nor another sequence: exactly, not nearly.

use tests::{draw, models};
use transformer::inspect::check::{self, Verdict};
use transformer::{Architecture, Form};

/// Sequences × tokens: within one block of attention's queries, and over two.
const SIZES: [(usize, usize); 2] = [(3, 5), (2, 40)];

/// Every step on which causality is tried, in both recordings.
fn steps() -> Vec<models::Step> {
    let mut all = vec![];
    for size in SIZES {
        let plain = Architecture { context: size.1, ..models::config() };
        for config in [Architecture { dropout: 0.1, tied: false, ..plain.clone() }, plain] {
            for form in [Form::Fused, Form::Textbook] {
                all.push(models::Step { config: config.clone(), size, form, seed: 1 });
            }
        }
    }
    all
}

#[test]
fn every_certificate_of_causality_holds() {
    for step in steps() {
        let certificates = check::causality(&step, &step.parameters()).expect("a valid model");
        assert_eq!(certificates.len(), 3);
        for c in certificates {
            assert_eq!(c.verdict, Verdict::Pass, "{step:?}: {}: {}", c.name, c.detail);
        }
    }
}

/// In the scalar that trains, whose kernels are others: later tokens, and those of other sequences, change
/// without changing one bit of what these are predicted from; their own past does change it.
#[test]
fn the_future_changes_no_bit_of_the_past() {
    for step in steps() {
        let (sequences, length) = step.size;
        let mut model = models::model::<f32>(&step.config, step.size, step.form, step.seed);
        let predictions = model.logits_var().or(model.tape().find("norm")).expect("a value");
        let (n, vocabulary) = (sequences * length, model.config().vocabulary);
        let tokens = draw::below(2, n, vocabulary);
        let mut read = |tokens: &[u32]| {
            model.set_batch(tokens, &vec![0; n]).expect("a valid batch");
            model.tape_mut().forward();
            model.tape().value(predictions).clone_owned()
        };
        let before = read(&tokens);
        for place in [0, length / 2, length - 1] {
            let token = (place % sequences) * length + place;
            let first = token - place;
            let mut changed: Vec<u32> =
                tokens.iter().map(|t| (t + 1) % vocabulary as u32).collect();
            changed[first..=token].copy_from_slice(&tokens[first..=token]);
            let after = read(&changed);
            for t in 0..n {
                let same = before.column(t) == after.column(t);
                assert_eq!(same, (first..=token).contains(&t), "token {t}, changed after {token}");
            }
        }
    }
}
