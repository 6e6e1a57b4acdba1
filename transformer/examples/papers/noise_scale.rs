//! The gradient noise scale: the size of batches from which larger ones hardly save steps.
//!
//! McCandlish, Kaplan, Amodei et al., *An Empirical Model of Large-Batch Training*, 2018 (1812.06162).

use super::page::{Lab, Origin, Page, Picture, Result};
use linalg::vector::dot;
use probability::Random;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Corpus, NoiseScale, Trainer, TrainingConfig};

const FROM: &str = "https://github.com/karpathy/char-rnn (data/tinyshakespeare/input.txt)";
/// Coordinates of the regression, and its rate without noise.
const D: usize = 15;
const RATE: f64 = 0.02;

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "The gradient noise scale",
        "McCandlish, Kaplan, Amodei et al., *An Empirical Model of Large-Batch Training*, 2018",
        "Up to the noise scale, tr(Σ)/|G|² for a Hessian of 1, batches of twice the size need half the steps; beyond it hardly \
         fewer: S = S_min·(1 + B_noise/B). While a language model learns, its noise scale grows.",
    );
    page.formulas = vec![
        ["B_simple = tr(Σ)/|G|²", "`transformer::NoiseScale`, from batches of two sizes"],
        [
            "y = x·θ* + ε, x Gaussian: G = δ = θ − θ*, tr(Σ) = (d + 1)·|δ|² + d·σ²",
            "`gradient`; by the Gaussian's fourth moments. H = 1, so B_noise = tr(HΣ)/GᵀHG is B_simple",
        ],
        [
            "ε(B) = ε_max/(1 + B_noise/B)",
            "`steps`, with B_noise = d + 1, at every θ if σ = 0; for small ε_max |δ|² falls per step by 2·ε(B) of itself",
        ],
    ];
    let (d, delta) = (D as f64, [(1.0 / D as f64).sqrt(); D]);
    for (deviation, expected) in [(0.0, d + 1.0), (1.0, 2.0 * d + 1.0)] {
        // A smoothing so near to 1 averages over all measurements.
        let mut noise = NoiseScale::<f64>::new(1, 1.0 - 1e-7);
        for i in 0..60_000 * lab.seeds as u32 {
            let [a, b] = [0, 1].map(|k| gradient(&delta, deviation, 1, &Random::new(k, 1, i)));
            let mean: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 0.5 * (a + b)).collect();
            noise.measured(0.5 * (dot(&a, &a) + dot(&b, &b)), 1.0, dot(&mean, &mean), 2.0);
        }
        // |G|² is the mean of the products of two gradients: its deviation is some 10 over the root of their number.
        let (what, found) = (format!("regression, σ = {deviation}: B_simple"), noise.windows());
        let tolerance = 0.1 * expected;
        page.row(&what, Origin::Derived, [expected, found.unwrap_or(f64::NAN)], tolerance, 2);
    }
    (lab.progress)(0.2, "the regression");
    let runs = 24 * lab.seeds;
    let mean = |b| (0..runs).map(|seed| steps(b, seed)).sum::<f64>() / runs as f64;
    let taken: Vec<_> = (0..8).map(|i| 1 << i).map(|b| [b as f64, mean(b)]).collect();
    let [least, critical] = fitted(&taken);
    let expected = 1000_f64.ln() / -(1.0 - 2.0 * RATE + RATE * RATE).ln();
    page.row("steps, fitted: S_min", Origin::Derived, [expected, least], 0.05 * expected, 0);
    page.row("steps, fitted: B_noise", Origin::Derived, [d + 1.0, critical], 0.05 * (d + 1.0), 2);
    let law = |i| 2_f64.powf(0.2 * f64::from(i));
    let law = (0..=35).map(law).map(|b| [b, expected * (1.0 + (d + 1.0) / b)]);
    let picture = Picture::new("Steps of the regression", ["batch B", "steps"]);
    page.pictures.push(picture.points("taken", taken).line("closed form", law.collect()));
    // A language model while it trains.
    let text = lab.text("text/tinyshakespeare.txt", FROM)?;
    let tokenizer = Tokenizer::characters_of(&text);
    let (text, vocabulary) = (tokenizer.encode(&text)?, tokenizer.vocabulary());
    let mut picture = Picture::new("tr(Σ)/|G|² of a language model", ["step", "windows"]);
    let mut growth = f64::INFINITY;
    for seed in 0..lab.seeds {
        (lab.progress)(0.3 + 0.7 * seed as f64 / lab.seeds as f64, "a language model");
        let config = TrainingConfig {
            layers: 1,
            heads: 2,
            width: 32,
            context: 16,
            batch: 16,
            warmup: 0,
            seed,
            ..TrainingConfig::default()
        };
        let corpus = Corpus::text(text.clone(), 0.1, config.context)?;
        let mut trainer = Trainer::<f32>::new(config.clone(), &config.model(vocabulary)?)?;
        let mut curve = vec![];
        for _ in 0..8 {
            let mut noise = NoiseScale::new(config.sequences_at_once(), 0.99);
            for _ in 0..50 {
                trainer.step_observed(&corpus, &mut noise)?;
            }
            curve.push([trainer.steps() as f64, noise.windows().unwrap_or(f64::NAN)]);
        }
        let late = curve[4..].iter().map(|p| p[1].ln()).sum::<f64>() / 4.0;
        // NaN stays.
        growth = if late - curve[0][1].ln() > growth { growth } else { late - curve[0][1].ln() };
        picture = picture.line(format!("seed {seed}"), curve);
    }
    page.pictures.push(picture);
    page.pictures = page.pictures.into_iter().map(|p| p.logarithmic([true, true])).collect();
    let what = "language model: growth from the first 50 steps to 200–400, ln of the factor";
    page.row(what, Origin::Claimed, [2.0, growth], 1.3, 2);
    page.to_break = "Leave the rate of `steps` the same for all batches: the number of steps then hardly depends on the batch, and the \
                     fit gives B_noise = 0.14 for 16. The law is one of the best rate of each batch.";
    Ok(page)
}

/// The mean gradient of B examples of the regression.
fn gradient(delta: &[f64; D], deviation: f64, b: usize, random: &Random) -> [f64; D] {
    let mut sum = [0.0; D];
    for example in 0..b {
        let normal = |i: usize| random.normal((example * (D + 1) + i) as u64);
        let x: [f64; D] = std::array::from_fn(normal);
        let error = dot(&x, delta) - deviation * normal(D);
        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += error * x / b as f64);
    }
    sum
}

/// Steps of the regression without noise of y until the loss is a thousandth.
fn steps(b: usize, seed: u64) -> f64 {
    let (mut delta, mut step) = ([(1.0 / D as f64).sqrt(); D], 0);
    while dot(&delta, &delta) > 1e-3 {
        let g = gradient(&delta, 0.0, b, &Random::new(seed, 2 + b as u32, step));
        let rate = RATE / (1.0 + (D + 1) as f64 / b as f64);
        delta.iter_mut().zip(g).for_each(|(d, g)| *d -= rate * g);
        step += 1;
    }
    f64::from(step)
}

/// Fits y = a·(1 + c/B) to points (B, y) with equal relative errors; returns a and c.
pub(crate) fn fitted(points: &[[f64; 2]]) -> [f64; 2] {
    // In u = 1/(B·y) and v = 1/y: a·v + a·c·u = 1.
    let sum = |f: fn(f64, f64) -> f64| points.iter().map(|[b, y]| f(1.0 / (b * y), 1.0 / y)).sum();
    let [uu, uv, vv, u, v]: [f64; 5] =
        [sum(|u, _| u * u), sum(|u, v| u * v), sum(|_, v| v * v), sum(|u, _| u), sum(|_, v| v)];
    [(uu * v - uv * u) / (uu * vv - uv * uv), (vv * u - uv * v) / (uu * v - uv * u)]
}
