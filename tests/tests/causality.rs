//! No token sees a later one, nor another sequence: exactly, not nearly.

use linalg::Real;
use tests::{draw, models};
use transformer::{Form, Gpt2, Gpt2Config};

/// Sequences × tokens: within one block of attention's queries, and over two.
const SIZES: [(usize, usize); 2] = [(3, 5), (2, 40)];

fn configs(length: usize) -> [Gpt2Config; 2] {
    let plain = Gpt2Config { context: length, ..models::config() };
    [Gpt2Config { dropout: 0.1, tied: false, ..plain.clone() }, plain]
}

/// Every model on which causality is tried, in both recordings.
fn each<T: Real>(mut check: impl FnMut(Gpt2<T>, (usize, usize))) {
    for (sequences, length) in SIZES {
        for config in configs(length) {
            for form in [Form::Fused, Form::Textbook] {
                check(models::model(&config, (sequences, length), form, 1), (sequences, length));
            }
        }
    }
}

/// What a model predicts from: logits, or what they are computed from, token by token.
fn output<T: Real>(model: &Gpt2<T>) -> calculus::Var {
    model.logits_var().or(model.tape().find("norm")).expect("a recorded value")
}

#[test]
fn the_gradient_of_a_token_reaches_no_later_token_and_no_other_sequence() {
    each(|mut model: Gpt2<f64>, (sequences, length)| {
        let logits = output(&model);
        let tape = model.tape_mut();
        let embedded = tape.find("embedding.sum").expect("a recorded value");
        let vocabulary = tape.shape(logits).rows;
        tape.forward();
        for place in [0, 1, length / 2, length - 2, length - 1] {
            let sequence = place % sequences;
            let token = sequence * length + place;
            let mut upstream = vec![0.0; vocabulary * sequences * length];
            let column = draw::normal(place as u64, vocabulary, 1);
            upstream[token * vocabulary..][..vocabulary].copy_from_slice(column.as_slice());
            tape.backward_from(logits, &upstream);
            let gradient = tape.gradient(embedded);
            for (t, column) in gradient.column_iter().enumerate() {
                let visible = t / length == sequence && t <= token;
                if visible {
                    assert!(column.norm() > 0.0, "token {token} does not see token {t}");
                } else {
                    assert!(column.iter().all(|&g| g == 0.0), "token {token} sees token {t}");
                }
            }
        }
    });
}

/// Later tokens, and those of other sequences, change without changing one bit of these logits.
fn logits_of_the_past<T: Real>() {
    each(|mut model: Gpt2<T>, (sequences, length)| {
        let (n, logits) = (sequences * length, output(&model));
        let vocabulary = model.config().vocabulary;
        let tokens = draw::below(2, n, vocabulary);
        let mut read = |tokens: &[u32]| {
            model.set_batch(tokens, &vec![0; n]).expect("a valid batch");
            model.tape_mut().forward();
            model.tape().value(logits).clone_owned()
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
    });
}

#[test]
fn the_future_changes_no_bit_of_the_past() {
    logits_of_the_past::<f32>();
    logits_of_the_past::<f64>();
}
