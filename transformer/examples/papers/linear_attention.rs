//! Linear attention learns in its context by one step of gradient descent.
//!
//! Von Oswald et al., *Transformers Learn In-Context by Gradient Descent*, 2023 (2212.07677); Ahn et al., *Transformers
//! Learn to Implement Preconditioned Gradient Descent for In-Context Learning*, 2023 (2306.00297).

use super::page::{Lab, Origin, Page, Picture, Result};
use calculus::optimizer::{Adam, Optimizer};
use calculus::{Recorder, Tape, Var};
use linalg::heads::{HeadMix, HeadScores};
use linalg::{Shape, add::Add, hadamard::Hadamard, product::Product, scale::Scale};
use probability::Random;

/// Features of a point, points in a prompt, prompts in a batch.
const D: usize = 4;
const N: usize = 10;
const PROMPTS: usize = 256;
const STEPS: u32 = 800;

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "Linear attention is a step of gradient descent",
        "von Oswald et al., *Transformers Learn In-Context by Gradient Descent*, 2023; Ahn et al. 2023",
        "A prompt holds N points x with y = w·x, for a w of its own, and a query. A layer of attention without softmax \
         learns to predict what one step of gradient descent on those points does, at the rate that is best on average.",
    );
    page.formulas = vec![
        ["e_j = (x_j, y_j), query (x, 0)", "`Layer::draw`: N + 1 columns a prompt"],
        [
            "f(e) = P·e·(eᵀ·Q·e)/N",
            "`Layer::record`: `linalg::heads::HeadScores`, no softmax, `HeadMix`; keys are e itself, P is one row",
        ],
        ["a step from w = 0: ŷ = (γ/N)·Σ_j y_j·x_j·x", "P = (0, 1), Q = γ·I on x, else 0"],
        [
            "E(ŷ − y)² = d − 2γd + γ²·d(N + d + 1)/N",
            "for Gaussian x and w; least, d(d + 1)/(N + d + 1), at γ = N/(N + d + 1)",
        ],
    ];
    let (d, n) = (D as f64, N as f64);
    let (floor, best) = (d * (d + 1.0) / (n + d + 1.0), n / (n + d + 1.0));
    let mut picture = Picture::new("Loss of a batch", ["step", "mean of (ŷ − y)²"])
        .level("no step", d)
        .level("one step", floor);
    let (mut losses, mut apart, mut least) = ([0.0, 0.0], 0.0_f64, f64::INFINITY);
    for seed in 0..lab.seeds {
        let mut layer = Layer::record()?;
        let mut adam = Adam::new(layer.tape.parameters().len(), 0.9, 0.99, 1e-10);
        let (random, parameters) = (Random::new(seed, 1, 0), layer.tape.parameters_mut());
        parameters.iter_mut().zip(0..).for_each(|(p, i)| *p = 0.2 * random.normal(i));
        let mut curve = vec![];
        (lab.progress)(seed as f64 / lab.seeds as f64, "training");
        for step in 0..STEPS {
            layer.draw(&Random::new(seed, 2, step));
            layer.tape.zero_gradients();
            layer.tape.forward_and_backward(layer.loss, 1.0);
            curve.push([f64::from(step), layer.tape.elements(layer.loss)[0]]);
            let (parameters, gradients) = layer.tape.parameters_and_gradients();
            adam.step(0.03 * (1.0 - f64::from(step) / f64::from(STEPS)), parameters, gradients);
        }
        picture = picture.line(format!("seed {seed}"), curve);
        // Fresh prompts: the layer beside the step of descent.
        let (mut own, mut descent, mut difference) = (0.0, 0.0, 0.0);
        for batch in 0..60 {
            layer.draw(&Random::new(seed, 3, batch));
            layer.tape.forward();
            let predicted = layer.tape.elements(layer.predicted);
            for prompt in 0..PROMPTS {
                let query = prompt * (N + 1) + N;
                let truth = -layer.tape.elements(layer.minus)[query];
                let step = best * layer.step(prompt);
                own += (predicted[query] - truth).powi(2);
                descent += (step - truth).powi(2);
                difference += (predicted[query] - step).powi(2);
            }
        }
        let count = 60.0 * PROMPTS as f64 * lab.seeds as f64;
        losses = [losses[0] + own / count, losses[1] + descent / count];
        apart = apart.max(difference / own);
        // The step that P and Q make: the part of (P_y·Q) on x, on average over the diagonal.
        let (p, q) = layer.tape.parameters().split_at(D + 1);
        least = least.min((0..D).map(|i| p[D] * q[i * (D + 1) + i]).sum::<f64>() / d);
    }
    // A loss of one prompt has a standard deviation near 2·floor; the mean is over thousands.
    page.row("loss of one step of descent", Origin::Derived, [floor, losses[1]], 0.05, 3);
    page.row("loss of the trained layer", Origin::Derived, [floor, losses[0]], 0.05, 3);
    page.row("smallest γ that P and Q make", Origin::Derived, [best, least], 0.02, 3);
    page.row("mean square between the two, over the loss", Origin::Claimed, [0.0, apart], 0.01, 4);
    page.pictures.push(picture);
    page.to_break = "Put `Softmax` in the place of the factor 1/N: the trained layer ends at a loss of 2.66, twice that of a \
                     step of descent.";
    Ok(page)
}

struct Layer {
    tape: Tape<f64>,
    e: Var,
    minus: Var,
    predicted: Var,
    loss: Var,
}

impl Layer {
    fn record() -> Result<Self> {
        let (width, count) = (D + 1, PROMPTS * (N + 1));
        let mut r = Recorder::<f64>::new();
        let p = r.parameter("P", Shape::new(1, width))?;
        let q = r.parameter("Q", Shape::new(width, width))?;
        let e = r.input("e", Shape::new(width, count))?;
        let minus = r.input("−y", Shape::new(1, count))?;
        let queries = r.input("queries", Shape::new(count, 1))?;
        let value = r.push("value", Product::plain(), [p, e])?; // 1×count
        let query = r.push("query", Product::plain(), [q, e])?; // width×count
        let (heads, key_value_heads, length) = (1, 1, N + 1);
        let scores = r.push("scores", HeadScores { heads, key_value_heads, length }, [query, e])?;
        let scaled = r.push("scores/N", Scale { factor: 1.0 / N as f64 }, [scores])?; // length×count
        let mix = HeadMix { heads, key_value_heads, length };
        let predicted = r.push("ŷ", mix, [value, scaled])?; // 1×count
        let error = r.push("error", Add, [predicted, minus])?;
        let squares = r.push("squares", Hadamard, [error, error])?;
        let loss = r.push("loss", Product::plain(), [squares, queries])?; // 1×1
        let mut tape = r.finish();
        let of_queries = tape.value_mut(queries).iter_mut().skip(N).step_by(length);
        of_queries.for_each(|share| *share = 1.0 / PROMPTS as f64);
        Ok(Layer { tape, e, minus, predicted, loss })
    }

    /// Draws a batch of prompts.
    fn draw(&mut self, random: &Random) {
        let mut next = (0..).map(|i| random.normal(i));
        for prompt in 0..PROMPTS {
            let w: [f64; D] = std::array::from_fn(|_| next.next().unwrap_or(0.0));
            for j in prompt * (N + 1)..=prompt * (N + 1) + N {
                let x: [f64; D] = std::array::from_fn(|_| next.next().unwrap_or(0.0));
                let y: f64 = w.iter().zip(x).map(|(w, x)| w * x).sum();
                let column = &mut self.tape.value_mut(self.e)[j * (D + 1)..][..D + 1];
                column[..D].copy_from_slice(&x);
                column[D] = if j % (N + 1) == N { 0.0 } else { y };
                self.tape.value_mut(self.minus)[j] = -y;
            }
        }
    }

    /// The prediction of one step at rate 1 from w = 0: (1/N)·Σ y_j·⟨x_j, x⟩.
    fn step(&self, prompt: usize) -> f64 {
        let column =
            |j: usize| &self.tape.elements(self.e)[(prompt * (N + 1) + j) * (D + 1)..][..D + 1];
        let query = column(N);
        let term = |j| linalg::vector::dot(&column(j)[..D], &query[..D]) * column(j)[D];
        (0..N).map(term).sum::<f64>() / N as f64
    }
}
