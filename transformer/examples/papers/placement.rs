//! Where normalisation stands: after each sum a deep transformer needs a warm-up, before each part it does not.
//!
//! Xiong et al., *On Layer Normalization in the Transformer Architecture*, 2020 (2002.04745).

use super::page::{Lab, Origin, Page, Picture, Result};
use calculus::optimizer::{Adam, Optimizer};
use infotheory::shannon::series;
use linalg::norm::l2;
use probability::Random;
use transformer::{Activation, Architecture, Form, Placement, RecordedStep};

const FROM: &str = "https://github.com/karpathy/char-rnn (data/tinyshakespeare/input.txt)";
/// Tokens of a window, windows of a batch, updates, the highest rate.
const T: usize = 32;
const BATCH: usize = 16;
const STEPS: u32 = 400;
const RATE: f64 = 3e-3;

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "Where normalisation stands",
        "Xiong et al., *On Layer Normalization in the Transformer Architecture*, 2020",
        "With the norm after each sum (2017) the last block's gradient at the start is as large in deep models, and Adam \
         needs a warm-up. With the norm before each part it falls with depth like 1/√L, and no warm-up is needed.",
    );
    page.formulas = vec![
        ["x ← LN(x + F(x)), or x ← x + F(LN(x))", "`Placement::Post`, `Placement::Pre`"],
        ["‖∂L/∂W₂‖ of the last block: O(d√ln d) in Post", "`first`: what W₂'s product receives"],
        [
            "O(d√(ln d/L)) in Pre",
            "the last norm divides by rms(x_L): ‖g‖·rms(x_L) is the same for all L",
        ],
    ];
    let read = lab.text("text/tinyshakespeare.txt", FROM)?;
    let symbol = |c: u8| if c.is_ascii_lowercase() { u32::from(c - b'a') + 1 } else { 0 };
    let text: Vec<u32> = read.to_ascii_lowercase().bytes().map(symbol).collect();
    let depths = [4, 8, 16, 32];
    let mut picture = Picture::new("Gradient of the last block", ["blocks", "norm at the start"]);
    let mut off = [1.0_f64; 2];
    for (k, placement) in [Placement::Post, Placement::Pre].into_iter().enumerate() {
        for seed in 0..lab.seeds {
            let of = |&l: &usize| first(placement, l, &text, seed);
            let all = depths.iter().map(of).collect::<Result<Vec<_>>>()?;
            // From 4 blocks to 32: the gradient's change, and that of what the last norm divides by.
            let (gradient, rms) = (all[3][0] / all[0][0], all[3][1] / all[0][1]);
            let x = gradient * rms;
            off[k] = if (x - 1.0).abs() < (off[k] - 1.0).abs() { off[k] } else { x };
            if seed == 0 {
                let points = depths.iter().zip(&all).map(|(l, g)| [*l as f64, g[0]]);
                picture = picture.line(format!("{placement:?}"), points.collect());
                page.seen +=
                    &format!("{placement:?}, 32 blocks over 4: ‖g‖ {gradient:.2}, rms {rms:.2}; ");
            }
        }
    }
    // Norms of two drawings of 64 features each differ by about √(2/64).
    page.row("Post: ‖g‖·rms(x_L), 32 blocks over 4", Origin::Derived, [1.0, off[0]], 0.2, 2);
    page.row("Pre: the same", Origin::Derived, [1.0, off[1]], 0.2, 2);
    // The consequence, beside what is paid by a model that knows the frequencies of letters, or of pairs.
    let f = series(text.iter().copied(), 2)?;
    let mut losses = Picture::new("Loss of 12 blocks", ["step", "nats a letter"]);
    for (placement, warmup, name, expected, tolerance) in [
        (Placement::Post, 0, "post, no warm-up", f[1].plug_in.0, 0.15),
        (Placement::Post, STEPS / 2, "post, warm-up", f[2].plug_in.0, 0.3),
        (Placement::Pre, 0, "pre, no warm-up", f[2].plug_in.0, 0.3),
    ] {
        let mut worst = expected;
        for seed in 0..lab.seeds {
            (lab.progress)(0.3, name);
            let curve = trained(placement, warmup, &text, seed)?;
            let end = curve[curve.len() - 50..].iter().map(|p| p[1]).sum::<f64>() / 50.0;
            let nearer = (end - expected).abs() < f64::abs(worst - expected);
            worst = if nearer { worst } else { end };
            if seed == 0 {
                losses = losses.line(name, curve);
            }
        }
        let what = format!("{name}: loss after {STEPS} steps");
        page.row(&what, Origin::Claimed, [expected, worst], tolerance, 2);
    }
    page.pictures = vec![picture, losses];
    page.to_break = "`RATE` 5e-4: post-norm then ends at 2.29 without a warm-up, too (seed 0).";
    Ok(page)
}

/// A model before training: Xavier's weights, tokens of variance 1, as the paper's theory has it.
fn model(placement: Placement, layers: usize, seed: u64) -> Result<RecordedStep<f32>> {
    let config = Architecture {
        vocabulary: 27,
        context: T,
        width: 64,
        heads: 4,
        layers,
        hidden: 256,
        placement,
        tied: false,
        activation: Activation::Relu,
        ..Default::default()
    };
    let mut model = RecordedStep::<f32>::record(&config, BATCH, T, Form::Fused, 0)?;
    model.initialise(seed);
    for (i, parameter) in model.tape().parameter_list().into_iter().enumerate() {
        let (rows, columns) = (parameter.shape.rows, parameter.shape.columns);
        let size = match &parameter.name {
            _ if rows == 1 || columns == 1 => continue,
            name if name.starts_with("embedding") => 0.5_f64.sqrt(),
            name if name.starts_with("head") => 0.125,
            _ => (2.0 / (rows + columns) as f64).sqrt(),
        };
        let random = Random::new(seed, 1, i as u32);
        let own = model.tape_mut().parameters_mut()[parameter.range].iter_mut();
        own.zip(0..).for_each(|(p, i)| *p = (size * random.normal(i)) as f32);
    }
    Ok(model)
}

/// Sets a batch and replays forward and backward; returns the loss.
fn step(model: &mut RecordedStep<f32>, text: &[u32], random: &Random) -> Result<f64> {
    let start = |i| random.below(i, (text.len() - T - 1) as u64) as usize;
    let starts: Vec<usize> = (0..BATCH as u64).map(start).collect();
    let from = |by: usize| starts.iter().flat_map(move |s| &text[s + by..][..T]).copied();
    model.set_batch(&from(0).collect::<Vec<_>>(), &from(1).collect::<Vec<_>>())?;
    let loss = model.loss_var();
    model.tape_mut().zero_gradients();
    model.tape_mut().forward_and_backward(loss, 1.0);
    Ok(f64::from(model.tape().elements(loss)[0]))
}

/// Returns the norm of the last block's gradient of W₂, and the root mean square of the last residual stream.
fn first(placement: Placement, layers: usize, text: &[u32], seed: u64) -> Result<[f64; 2]> {
    let mut model = model(placement, layers, seed)?;
    step(&mut model, text, &Random::new(seed, 2, 0))?;
    let name = format!("block.{}.feed_forward.contracted", layers - 1);
    let (tape, x) = (model.tape(), model.tape().elements(model.marks().residual[layers]));
    let own = tape.find(&name).ok_or(format!("no value {name}"))?;
    Ok([f64::from(l2(tape.gradient_elements(own))), f64::from(l2(x)) / (x.len() as f64).sqrt()])
}

fn trained(placement: Placement, warmup: u32, text: &[u32], seed: u64) -> Result<Vec<[f64; 2]>> {
    let mut model = model(placement, 12, seed)?;
    let mut adam = Adam::new(model.tape().parameters().len(), 0.9, 0.98, 1e-9);
    let mut curve = vec![];
    for i in 0..STEPS {
        curve.push([f64::from(i), step(&mut model, text, &Random::new(seed, 3, i))?]);
        let share = f64::from(i + 1) / f64::from(warmup.max(1));
        let (parameters, gradients) = model.tape_mut().parameters_and_gradients();
        adam.step(RATE * share.min(1.0), parameters, gradients);
    }
    Ok(curve)
}
