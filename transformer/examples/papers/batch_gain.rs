//! The gain of one step over the size of its batch, as the Hessian predicts it.
//!
//! McCandlish, Kaplan, Amodei et al., *An Empirical Model of Large-Batch Training*, 2018 (1812.06162), section 2.2.

use super::noise_scale::fitted;
use super::page::{Lab, Origin, Page, Picture, Result};
use calculus::optimizer::{Adam, Optimizer};
use linalg::vector::dot;
use probability::Random;
use std::sync::Arc;
use transformer::inspect::curvature::Hessian;
use transformer::{Architecture, Form, ModelStep, RecordedStep, Subject};

const FROM: &str = "https://github.com/karpathy/char-rnn (data/tinyshakespeare/input.txt)";
/// Tokens of a window, windows that are all of the data, batches that are averaged over.
const T: usize = 16;
const WINDOWS: usize = 256;
const COUNT: u32 = 100;

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "The gain of a step and the size of its batch",
        "McCandlish, Kaplan, Amodei et al., *An Empirical Model of Large-Batch Training*, 2018",
        "One step of descent with a batch of B, at the best rate for B, lowers the loss by ΔL_max/(1 + B_noise/B). B_noise \
         follows from the Hessian and the noise of gradients; B_simple = tr(Σ)/|G|², which needs no Hessian, is of the same size.",
    );
    page.formulas = vec![
        [
            "E(ΔL) = ε·|G|² − ½·ε²·(GᵀHG + tr(HΣ)/B)",
            "the loss to second order; H·v by `Hessian::times`, the same recording on dual numbers",
        ],
        ["B_noise = tr(HΣ)/GᵀHG", "gᵀHg of batches of 16 is GᵀHG + tr(HΣ)/16 on average"],
        ["ε(B) = ε_max/(1 + B_noise/B), ε_max = |G|²/GᵀHG", "the rate of the steps that are tried"],
        [
            "ΔL(B) = ΔL_max/(1 + B_noise/B)",
            "ΔL_max = ½·|G|⁴/GᵀHG; 1/ΔL over 1/B is a line: `fitted`",
        ],
    ];
    let read = lab.text("text/tinyshakespeare.txt", FROM)?;
    let symbol = |c: u8| if c.is_ascii_lowercase() { u32::from(c - b'a') + 1 } else { 0 };
    let text: Vec<u32> = read.to_ascii_lowercase().bytes().map(symbol).collect();
    let axes = ["batch B", "1/ΔL over 1/ΔL_max"];
    let mut picture = Picture::new("One step", axes).logarithmic([true, true]);
    // Of the seeds the largest distances, as logarithms.
    let mut off = [0.0_f64; 3];
    for seed in 0..lab.seeds {
        (lab.progress)(seed as f64 / lab.seeds as f64, "branching");
        let ([simple, noise, most], gains) = branched(&trained(&text, seed)?, &text)?;
        let [a, critical] = fitted(&gains);
        let found = [a * most, critical / noise, noise / simple].map(f64::ln);
        for (off, x) in off.iter_mut().zip(found) {
            *off = if x.abs() < off.abs() { *off } else { x };
        }
        page.seen += &format!(
            "Seed {seed}: B_noise {noise:.0} by the Hessian, {critical:.0} by gains; B_simple {simple:.0}.\n"
        );
        if seed == 0 {
            let law = |i| 16.0 * 2_f64.powf(0.1 * f64::from(i));
            let law = (0..=50).map(law).map(|b| [b, 1.0 + noise / b]);
            let points = gains.iter().map(|[b, y]| [*b, y * most]).collect();
            picture = picture.points("measured", points).line("1 + B_noise/B", law.collect());
        }
    }
    page.pictures.push(picture);
    for (what, origin, i, tolerance) in [
        ("ΔL_max, by the Hessian over by gains", Origin::Derived, 0, 0.15),
        ("B_noise, by gains over by the Hessian", Origin::Derived, 1, 0.3),
        ("B_noise over B_simple", Origin::Claimed, 2, 1.6),
    ] {
        page.row(&format!("ln of {what}, farthest"), origin, [0.0, off[i]], tolerance, 3);
    }
    page.to_break = "The rate ε_max for all B: at B = 16, below B_noise, a step raises the loss.";
    Ok(page)
}

/// Returns tr(Σ)/|G|², tr(HΣ)/GᵀHG and ΔL_max of a model, and for batches of B the measured 1/ΔL.
fn branched(model: &RecordedStep<f64>, text: &[u32]) -> Result<([f64; 3], Vec<[f64; 2]>)> {
    let (config, start) = (model.config().clone(), model.tape().parameters());
    let gradient = |n: usize, number: u32| -> Result<Vec<f64>> {
        let mut step = RecordedStep::<f64>::record(&config, n, T, Form::Fused, 0)?;
        step.copy_parameters(start);
        replay(&mut step, &windows(text, n, number))?;
        Ok(step.tape().gradients().to_vec())
    };
    let step = ModelStep {
        config: config.clone(),
        sequences: WINDOWS,
        length: T,
        seed: 0,
        batches: Arc::new(|_| windows(text, WINDOWS, 0)),
        references: None,
        teacher: None,
    };
    let mut hessian = Hessian::of(&step, start, &[step.batch(0)])?;
    // |g|² and gᵀHg, of the mean gradient and on average over batches of 16, which adds Σ/16.
    let mut squares = |g: &[f64]| [dot(g, g), dot(g, &hessian.times(g))];
    let whole = squares(&gradient(WINDOWS, 0)?);
    let mut mean = [0.0; 2];
    for number in 1..=COUNT {
        let own = squares(&gradient(16, number)?);
        mean.iter_mut().zip(own).for_each(|(mean, x)| *mean += x / f64::from(COUNT));
    }
    let [simple, noise] = [0, 1].map(|k| 16.0 * (mean[k] / whole[k] - 1.0));
    let mut all = RecordedStep::<f64>::record_forward_only(&config, WINDOWS, T, Form::Fused)?;
    let (tokens, targets) = windows(text, WINDOWS, 0);
    all.copy_parameters(start);
    let (before, mut gains) = (all.loss(&tokens, &targets)?, vec![]);
    for b in [16, 32, 64, 128, 256, 512] {
        let (rate, mut gain) = (whole[0] / whole[1] / (1.0 + noise / b as f64), 0.0);
        for number in 1..=COUNT {
            let moved = start.iter().zip(gradient(b, number)?).map(|(p, g)| p - rate * g);
            all.copy_parameters(&moved.collect::<Vec<_>>());
            gain += (before - all.loss(&tokens, &targets)?) / f64::from(COUNT);
        }
        gains.push([b as f64, 1.0 / gain]);
    }
    Ok(([simple, noise, 0.5 * whole[0] * whole[0] / whole[1]], gains))
}

/// Returns n of the windows, drawn with replacement; all for number 0.
fn windows(text: &[u32], n: usize, number: u32) -> (Vec<u32>, Vec<u32>) {
    let random = Random::new(7, n as u32, number);
    let drawn = |i| random.below(i as u64, WINDOWS as u64) as usize;
    let at = |i| if number == 0 { i } else { drawn(i) };
    let part = |by| (0..n).map(at).flat_map(|i| &text[500 * i + by..][..T]).copied().collect();
    (part(0), part(1))
}

fn replay(step: &mut RecordedStep<f64>, batch: &(Vec<u32>, Vec<u32>)) -> Result<()> {
    step.set_batch(&batch.0, &batch.1)?;
    let loss = step.loss_var();
    step.tape_mut().zero_gradients();
    step.tape_mut().forward_and_backward(loss, 1.0);
    Ok(())
}

/// A language model after 300 updates on another part of the text.
fn trained(text: &[u32], seed: u64) -> Result<RecordedStep<f64>> {
    let (vocabulary, width, hidden) = (27, 32, 128);
    let config = Architecture { vocabulary, context: T, width, hidden, ..Default::default() };
    let mut model = RecordedStep::<f64>::record(&config, 16, T, Form::Fused, 0)?;
    model.initialise(seed);
    let mut adam = Adam::new(model.tape().parameters().len(), 0.9, 0.99, 1e-8);
    for i in 0..300 {
        replay(&mut model, &windows(&text[150_000 + 2500 * i..], 16, 1))?;
        let (parameters, gradients) = model.tape_mut().parameters_and_gradients();
        adam.step(3e-3, parameters, gradients);
    }
    Ok(model)
}
