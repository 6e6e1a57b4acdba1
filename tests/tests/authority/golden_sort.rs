//! A trained model that sorts, with the activations that its author's PyTorch computed, and losses
//! and gradients of PyTorch in double precision (see the data's own README for their source).

use linalg::Real;
use probability::sample::Sampler;
use tests::golden::{self, largest_difference, worst_gradient};
use tests::outside_data;
use transformer::disk::files;
use transformer::{Form, IGNORED, RecordedStep, Writer};

const MODEL: &str = "gpt-nano-sort";

/// Length of the digits, and of a sequence: digits and sorted digits, but the last.
const DIGITS: usize = 6;
const LENGTH: usize = 2 * DIGITS - 1;

/// All 3⁶ inputs.
fn inputs() -> Vec<Vec<u32>> {
    let digit = |i: u32, k: u32| i / 3_u32.pow(k) % 3;
    (0..3_u32.pow(6)).map(|i| (0..6).rev().map(|k| digit(i, k)).collect()).collect()
}

fn sorted(digits: &[u32]) -> Vec<u32> {
    let mut sorted = digits.to_vec();
    sorted.sort_unstable();
    sorted
}

#[test]
fn every_activation_of_the_author() {
    let Some(directory) = outside_data(MODEL) else { return };
    let golden = golden::tensors(&directory.join("activations.safetensors"));
    let tokens: Vec<u32> = golden["idx"].iter().map(|t| *t as u32).collect();
    let (sequences, heads, width) = (3, 3, 48);
    let mut model: RecordedStep<f32> = golden::model(&directory, sequences, LENGTH, Form::Textbook);
    model.loss(&tokens, &tokens).unwrap();
    let tape = model.tape();
    let value = |name: &str| -> Vec<f32> {
        tape.value(tape.find(name).expect(name)).iter().copied().collect()
    };

    let block = |name: &str| format!("block.0.{name}");
    let same_layout = [
        ("tok_emb", "embedding.token".to_owned()),
        ("x", "embedding.sum".to_owned()),
        ("ln1", block("norm_1")),
        ("qkv", block("attention.qkv")),
        ("attSm", block("attention.weights")),
        ("y", block("attention.mixed")),
        ("yProj", block("attention.projection")),
        ("attnResid", block("attended")),
        ("ln2", block("norm_2")),
        ("fc", block("feed_forward.expanded")),
        ("gelu", block("feed_forward.activated")),
        ("mlp", block("feed_forward.contracted")),
        ("mlpResid", block("output")),
        ("block0", block("output")),
        ("block1", "block.1.output".to_owned()),
        ("block2", "block.2.output".to_owned()),
        ("ln_f", "norm".to_owned()),
        ("lm_head", "logits".to_owned()),
        ("probs", "probabilities".to_owned()),
    ];
    let mut checked = 0;
    for (theirs, ours) in &same_layout {
        let error = largest_difference(&value(ours), &golden[*theirs]);
        assert!(error <= 1e-5, "{ours}: {error}");
        checked += 1;
    }
    // One row of positions for all sequences.
    let positions = &value("embedding.position")[..LENGTH * width];
    assert!(largest_difference(positions, &golden["pos_emb"]) <= 1e-5);
    // Masked scores: −∞ at the same places, else within the bound.
    let scores = value("block.0.attention.masked");
    for (&found, &expected) in scores.iter().zip(&golden["att"]) {
        let found = f64::from(found);
        assert!(found == expected || (found - expected).abs() <= 1e-5, "{found}, {expected}");
    }
    // Theirs: sequence, head, token, feature; ours: sequence, token, head, feature.
    for (theirs, ours) in [("q", "query"), ("k", "key"), ("v", "value")] {
        let (found, features) = (value(&block(&format!("attention.{ours}"))), width / heads);
        for (i, expected) in golden[theirs].iter().enumerate() {
            let (feature, token) = (i % features, i / features % LENGTH);
            let (head, sequence) = (i / features / LENGTH % heads, i / features / LENGTH / heads);
            let place = ((sequence * LENGTH + token) * heads + head) * features + feature;
            assert!((f64::from(found[place]) - expected).abs() <= 1e-5, "{ours} {i}");
        }
        checked += 1;
    }
    // With the tokens, the positions and the masked scores: all that the file holds.
    assert_eq!(checked + 3, golden.len());
}

#[test]
fn sorts_all_inputs() {
    let Some(directory) = outside_data(MODEL) else { return };
    let (config, parameters) = files::read::<f32>(&directory).unwrap();
    let mut writer = Writer::new(&config, &parameters, None).unwrap();
    let greedy = Sampler { temperature: 0.0, ..Sampler::default() };
    let right = inputs().into_iter().filter(|digits| {
        writer.clear();
        let written = writer.write(digits, greedy, 0).unwrap().take(DIGITS);
        written.collect::<Result<Vec<u32>, _>>().unwrap() == sorted(digits)
    });
    assert_eq!(right.count(), 729);
}

fn losses_and_gradients<T: Real>(form: Form, loss_bound: f64, gradient_bound: f64) {
    let Some(directory) = outside_data(MODEL) else { return };
    let golden = golden::tensors(&directory.join("gradients_f64.safetensors"));
    let (mut tokens, mut targets) = (Vec::new(), Vec::new());
    for digits in inputs() {
        let whole = [digits.clone(), sorted(&digits)].concat();
        tokens.extend(&whole[..LENGTH]);
        targets.extend(std::iter::repeat_n(IGNORED, DIGITS - 1).chain(whole[DIGITS..].to_vec()));
    }
    let mut model: RecordedStep<T> = golden::model(&directory, 729, LENGTH, form);
    let loss = golden::step(&mut model, &tokens, &targets);
    let (worst, error) = worst_gradient(&model, &golden);
    let norm = calculus::clip::global_norm(model.tape().gradients());
    println!("{form:?}: loss {loss}, norm {norm}, furthest gradient {worst}: {error:.2e}");
    assert!((loss - 0.00011447466584913324).abs() <= loss_bound, "{loss}");
    assert!(error <= gradient_bound, "{worst}: {error}");
    assert!((norm / 0.01695802379978042 - 1.0).abs() <= gradient_bound);
}

#[test]
fn loss_and_gradients_in_double_precision() {
    losses_and_gradients::<f64>(Form::Fused, 1e-9, 1e-9);
    losses_and_gradients::<f64>(Form::Textbook, 1e-9, 1e-9);
}

#[test]
fn loss_and_gradients_in_single_precision() {
    losses_and_gradients::<f32>(Form::Fused, 1e-9, 1e-4);
}
