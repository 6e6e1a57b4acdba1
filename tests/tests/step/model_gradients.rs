//! The gradient of a whole model, by routes that share no code: the tape, central differences, dual
//! numbers (by `transformer::inspect::check`); the two recordings; one token at a time; one batch in pieces.

use linalg::Real;
use std::sync::Arc;
use tests::models::{self, distance, loss_and_gradients};
use tests::{draw, tolerance};
use transformer::Activation;
use transformer::inspect::check::{self, Verdict};
use transformer::{
    Architecture, Biases, Decoder, Form, Gain, IGNORED, ModelStep, Norm, Placement, Positions,
    QueryKeyNorm, RecordedStep, Rotary, Scaling, Window,
};

const ACTIVATIONS: [Activation; 5] =
    [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Silu, Activation::Tanh];

/// Every activation; tied and not, with biases and without, with dropout and without.
fn variants() -> Vec<Architecture> {
    let mut all = Vec::new();
    for (i, activation) in ACTIVATIONS.into_iter().enumerate() {
        for flip in [false, true] {
            let (tied, bias) = (flip, i.is_multiple_of(2) == flip);
            let dropout = if i.is_multiple_of(2) { 0.0 } else { 0.2 };
            all.push(Architecture {
                activation,
                tied,
                biases: Biases::everywhere(bias),
                dropout,
                ..models::config()
            });
        }
    }
    // Every part with every other, whether a family has them together or not.
    let rotary = Positions::Rotary(Rotary { base: 100.0, ..Rotary::default() });
    for i in 0..16_u32 {
        let bit = |k: u32| i >> k & 1 == 1;
        all.push(Architecture {
            positions: if bit(0) { rotary } else { Positions::Learned },
            norm: if bit(1) { Norm::Rms } else { Norm::Layer },
            gated: bit(2),
            key_value_heads: bit(3).then_some(1),
            activation: Activation::Silu,
            biases: Biases::everywhere(bit(0) == bit(2)),
            tied: bit(1) == bit(3),
            dropout: if i.is_multiple_of(3) { 0.2 } else { 0.0 },
            ..models::config()
        });
    }
    // Every place of the norms, with parts of families that came after Llama.
    let scaling = Scaling::Llama3 { factor: 4.0, low: 0.1, high: 0.5, original: 8.0 };
    let part = Rotary { base: 100.0, share: 0.34, scaling, local_base: Some(7.0) };
    for (i, &placement) in Placement::ALL.iter().enumerate() {
        let even = i.is_multiple_of(2);
        all.push(Architecture {
            placement,
            positions: if even { Positions::Rotary(part) } else { Positions::Sinusoidal },
            rotary_layers: if even { vec![true, false] } else { vec![true] },
            embedding_scale: 2.0,
            embedding_norm: i > 2,
            residual_scale: if even { 0.6 } else { 1.0 },
            final_norm: i != 2,
            norm: if i == 1 { Norm::Layer } else { Norm::Rms },
            gain: match i {
                1 => Gain::Plain,
                4 => Gain::None,
                _ => Gain::OnePlus,
            },
            head_width: Some(6),
            query_key_norm: QueryKeyNorm::ALL[2 * i % 3],
            score_scale: even.then_some(0.7),
            score_scale_by_layer: i > 2,
            score_cap: Some(1.5),
            window: Some(Window { size: 3, layers: vec![even, true] }),
            biases: Biases { query_key_value: true, ..Biases::NONE },
            logit_divisor: if even { 1.5 } else { 1.0 },
            logit_cap: Some(2.0),
            tied: even,
            dropout: if i == 3 { 0.2 } else { 0.0 },
            ..models::config()
        });
    }
    all
}

fn name(c: &Architecture) -> String {
    format!("{c:?}")
}

#[test]
fn every_parameter_agrees_with_central_differences() {
    // Two layers of norm, attention (scores, softmax, mixture), norm and activation, then norm and
    // loss: a value passes through 14 functions that are not linear.
    let bound = tolerance::difference(14);
    let mut worst = 0.0_f64;
    for config in variants() {
        let mut model = models::model::<f64>(&config, (2, 5), Form::Fused, 1);
        let (_, gradients) = loss_and_gradients(&mut model);
        let h = tolerance::step();
        let differences: Vec<f64> = (0..gradients.len())
            .map(|i| {
                let x = model.tape().parameters()[i];
                let mut at = |x: f64| {
                    model.tape_mut().parameters_mut()[i] = x;
                    models::loss(&mut model)
                };
                let slope = (at(x + h) - at(x - h)) / (2.0 * h);
                at(x);
                slope
            })
            .collect();
        let error = distance(&gradients, &differences);
        assert!(error <= bound, "{}: {error:.1e}", name(&config));
        worst = worst.max(error);
    }
    println!("central differences: worst {worst:.1e}, bound {bound:.1e}");
}

#[test]
fn every_certificate_of_the_gradient_holds() {
    for (i, config) in variants().into_iter().enumerate() {
        // Each activation in both, and both tied and not.
        let form = [Form::Fused, Form::Textbook][(i / 2 + i) % 2];
        let step = models::Step { config, size: (2, 5), form, seed: 2 };
        let found = check::gradients(&step, &step.parameters(), 77).expect("a valid model");
        assert_eq!(found.len(), 10);
        for c in found {
            let (name, form) = (name(&step.config), step.form);
            assert_eq!(c.verdict, Verdict::Pass, "{name}, {form:?}: {}: {}", c.name, c.detail);
        }
    }
}

/// The distance of the two recordings' losses and gradients.
fn between_recordings<T: Real>(config: &Architecture, size: (usize, usize)) -> f64 {
    let mut fused = models::model::<T>(config, size, Form::Fused, 3);
    let mut textbook = models::model::<T>(config, size, Form::Textbook, 3);
    // Used differently, and the same otherwise.
    let list = |model: &RecordedStep<T>| -> Vec<_> {
        let list = model.tape().parameter_list().into_iter();
        list.map(|p| (p.name, p.shape, p.range)).collect()
    };
    assert_eq!(list(&fused), list(&textbook));
    let (loss, gradients) = loss_and_gradients(&mut fused);
    let (other_loss, other_gradients) = loss_and_gradients(&mut textbook);
    distance(&[loss], &[other_loss]).max(distance(&gradients, &other_gradients))
}

#[test]
fn the_two_recordings_are_one_model() {
    let mut cases: Vec<_> = variants().into_iter().map(|c| (c, (2, 5))).collect();
    // Up to three of attention's blocks of 32 queries; a single token.
    for (length, dropout) in [(1, 0.0), (32, 0.0), (33, 0.1), (65, 0.0), (65, 0.1)] {
        let sizes =
            Architecture { width: 12, heads: 3, hidden: 20, context: 65, ..models::config() };
        cases.push((Architecture { dropout, ..sizes }, (2, length)));
    }
    let (mut worst, mut worst_32) = (0.0_f64, 0.0_f64);
    for (config, size) in cases {
        let (error, error_32) =
            (between_recordings::<f64>(&config, size), between_recordings::<f32>(&config, size));
        // Sums over the tokens of a batch, 130 at most, after sums over keys, 65.
        assert!(error <= tolerance::sum(195), "{}, {size:?}: {error:.1e}", name(&config));
        assert!(error_32 <= tolerance::sum_32(195), "{}, {size:?}: {error_32:.1e}", name(&config));
        (worst, worst_32) = (worst.max(error), worst_32.max(error_32));
    }
    println!("recordings: worst {worst:.1e} in f64, {worst_32:.1e} in f32");
}

#[test]
fn one_token_at_a_time_gives_the_same_logits() {
    let mut worst = 0.0_f64;
    for (context, tied, bias) in
        [(1, true, true), (2, false, true), (7, true, false), (40, false, false)]
    {
        let config =
            Architecture { context, tied, biases: Biases::everywhere(bias), ..models::config() };
        let mut model = models::model::<f64>(&config, (1, context), Form::Textbook, 4);
        let mut decoder = Decoder::record(&config).expect("a valid model");
        decoder.parameters_mut().copy_from_slice(model.tape().parameters());
        let tokens = draw::below(5, 3 * context + 2, config.vocabulary);
        for round in 0..2 {
            // Where the context is full, the later half is read again from position 0.
            let mut start = 0;
            for (t, &token) in tokens.iter().enumerate() {
                if t - start == context {
                    start = t - context / 2;
                }
                let mut window = tokens[start..=t].to_vec();
                let last = window.len() - 1;
                window.resize(context, 0); // what comes later does not matter
                model.set_batch(&window, &vec![0; context]).expect("a valid batch");
                model.tape_mut().forward();
                let logits = model.logits_var().expect("a textbook's");
                let expected = model.tape().value(logits).column(last).clone_owned();
                let found = decoder.read(token).expect("a token of the vocabulary");
                let error = distance(expected.as_slice(), found);
                // The sums that a logit passes through, one after another: in every layer over features
                // three times, over keys and over hidden features; over features in the head.
                let layer = 3 * config.width + context + config.hidden;
                let bound = tolerance::sum(config.layers * layer + config.width);
                assert!(error <= bound, "context {context}, round {round}, token {t}: {error:.1e}");
                worst = worst.max(error);
            }
            decoder.clear();
        }
    }
    println!("decoder: worst {worst:.1e}");
}

#[test]
fn a_batch_in_pieces_has_the_gradient_of_the_whole() {
    let (sequences, length) = (6, 5);
    let config = models::config();
    let tokens = draw::below(6, sequences * length, config.vocabulary);
    let mut targets = draw::below(7, sequences * length, config.vocabulary);
    // Equally many targets in every piece, so that the mean of means is the mean.
    targets.iter_mut().step_by(length).for_each(|t| *t = IGNORED);
    let model = models::model::<f64>(&config, (sequences, length), Form::Fused, 5);
    let batches = Arc::new(move |_| (tokens.clone(), targets.clone()));
    let step =
        ModelStep { config, sequences, length, seed: 5, batches, references: None, teacher: None };
    let found = check::accumulation(&step, model.tape().parameters()).expect("a valid model");
    assert_eq!(found.verdict, Verdict::Pass, "{} {}", found.measured, found.detail);
    println!("pieces: {:.1e}", found.measured);
}
