//! The edge of stability: full-batch gradient descent raises the curvature to what its rate just bears, and stays there.
//!
//! Cohen et al., *Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability*, 2021 (2103.00065).

use super::page::{Lab, Origin, Page, Picture, Result};
use calculus::Recorder;
use calculus::activation::Activation;
use calculus::optimizer::{Optimizer, Sgd};
use linalg::krylov::Lanczos;
use linalg::{Real, Shape, add::Add, affine::Affine, hadamard::Hadamard, product::Product};
use probability::Random;
use transformer::inspect::curvature::Hessian;
use transformer::{Given, ModelError, Recording, Subject};

const POINTS: usize = 20;
const WIDTH: usize = 40;
const STEPS: usize = 6000;
/// Steps between two measurements of the sharpness.
const EVERY: usize = 50;

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "The edge of stability",
        "Cohen et al., *Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability*, 2021",
        "Gradient descent on the whole training set raises the sharpness, the largest eigenvalue of the loss's Hessian, \
         until it is 2/η. There it stays, just where a quadratic would begin to diverge, while the loss goes up and down \
         over a few steps and falls over many.",
    );
    page.formulas = vec![
        [
            "f(x) = W₃·tanh(W₂·tanh(W₁·x + b₁) + b₂) + b₃, L = Σ (f(x) − y)²/n",
            "`Regression::record`, over any scalar; y is the Chebyshev polynomial of degree 4",
        ],
        ["θ ← θ − η·∇L(θ)", "`calculus::optimizer::Sgd` without momentum, on all points at once"],
        [
            "sharpness λ_max(∇²L)",
            "`Hessian::largest`: Lanczos' method on products H·v, the same recording on dual numbers",
        ],
        ["|1 − η·λ| ≤ 1 for λ ≤ 2/η", "`calculus::stability::limit`, 2/λ for a rate"],
    ];
    let mut picture =
        Picture::new("Sharpness in training", ["step", "λ_max"]).logarithmic([false, true]);
    let mut losses = Picture::new("Loss", ["step", "mean square"]).logarithmic([false, true]);
    let rates = [0.04, 0.08, 0.16];
    for (i, rate) in rates.into_iter().enumerate() {
        let (edge, mut off, mut rises) = (2.0 / rate, 1.0_f64, 0);
        for seed in 0..lab.seeds {
            (lab.progress)((i as f64 + seed as f64 / lab.seeds as f64) / 3.0, "training");
            let [sharpness, curve] = trained(rate, seed)?;
            // The last third: on average over the swings.
            let last = &sharpness[sharpness.len() * 2 / 3..];
            let mean = last.iter().map(|p| p[1]).sum::<f64>() / last.len() as f64;
            // The farthest off; NaN is farther than any number.
            let nearer = (mean / edge - 1.0).abs() < (off - 1.0).abs();
            off = if nearer { off } else { mean / edge };
            let late = &curve[curve.len() * 2 / 3..];
            rises += late.windows(2).filter(|p| p[1][1] > p[0][1]).count();
            if seed == 0 {
                picture = picture.line(format!("η = {rate}"), sharpness).level("2/η", edge);
                losses =
                    losses.line(format!("η = {rate}"), curve.into_iter().step_by(10).collect());
            }
        }
        page.row(
            &format!("η = {rate}: sharpness·η/2 late in training"),
            Origin::Claimed,
            [1.0, off],
            0.05,
            3,
        );
        let share = rises as f64 / (lab.seeds as f64 * STEPS as f64 / 3.0);
        page.row(
            &format!("η = {rate}: share of late steps that raise the loss"),
            Origin::Claimed,
            [0.5, share],
            0.3,
            2,
        );
    }
    page.pictures = vec![picture, losses];
    page.to_break = "Give `Sgd::new` a momentum of 0.9: at η = 0.04 the sharpness passes 2/η and is at 1.65 of it after 6000 steps, \
                     on its way to (2 + 2µ)/η; at the larger rates training diverges.";
    Ok(page)
}

/// Trains; returns the sharpness and the loss over steps.
fn trained(rate: f64, seed: u64) -> Result<[Vec<[f64; 2]>; 2]> {
    let batch = Regression.batch(0);
    let mut step = Regression.record::<f64>()?;
    step.give(&batch);
    for (_, parameter) in step.tape.parameter_vars().collect::<Vec<_>>() {
        let random = Random::new(seed, parameter.range.start as u32, 0);
        // Variance 1/inputs; biases begin at 0.
        let size = if parameter.name.starts_with('W') {
            (parameter.shape.columns as f64).powf(-0.5)
        } else {
            0.0
        };
        let own = step.tape.parameters_mut()[parameter.range].iter_mut();
        own.zip(0..).for_each(|(p, i)| *p = size * random.normal(i));
    }
    let mut descent = Sgd::new(step.tape.parameters().len(), 0.0);
    let (mut sharpness, mut losses) = (vec![], vec![]);
    for i in 0..STEPS {
        if i % EVERY == 0 {
            let own = step.tape.parameters();
            let mut hessian = Hessian::of(&Regression, own, std::slice::from_ref(&batch))?;
            let method = Lanczos { iterations: 40, tolerance: 1e-4, ..Lanczos::default() };
            sharpness.push([i as f64, hessian.largest(None, method).value]);
        }
        losses.push([i as f64, step.step()]);
        let (parameters, gradients) = step.tape.parameters_and_gradients();
        descent.step(rate, parameters, gradients);
    }
    Ok([sharpness, losses])
}

struct Regression;

impl Subject for Regression {
    fn record<T: Real>(&self) -> std::result::Result<Recording<T>, ModelError> {
        let mut r = Recorder::new();
        let x = r.input("x", Shape::new(1, POINTS))?;
        let minus = r.input("−y", Shape::new(1, POINTS))?;
        let shares = r.input("1/n", Shape::new(POINTS, 1))?;
        let mut h = x;
        for (i, [out, inner]) in [[WIDTH, 1], [WIDTH, WIDTH], [1, WIDTH]].into_iter().enumerate() {
            let w = r.parameter(&format!("W{}", i + 1), Shape::new(out, inner))?;
            let b = r.parameter(&format!("b{}", i + 1), Shape::new(out, 1))?;
            h = r.push(&format!("z{}", i + 1), Affine, [w, h, b])?; // out×n
            if out > 1 {
                h = r.push(&format!("h{}", i + 1), Activation::Tanh, [h])?; // out×n
            }
        }
        let error = r.push("error", Add, [h, minus])?; // 1×n
        let squares = r.push("squares", Hadamard, [error, error])?; // 1×n
        let loss = r.push("loss", Product::plain(), [squares, shares])?; // 1×1
        Ok(Recording::new(r.finish(), loss))
    }

    fn batch(&self, _: u64) -> Vec<Given> {
        let x: Vec<f64> = (0..POINTS).map(|i| 2.0 * i as f64 / (POINTS - 1) as f64 - 1.0).collect();
        let minus = x.iter().map(|x| -(8.0 * x.powi(4) - 8.0 * x * x + 1.0)).collect();
        vec![
            Given { name: "x", elements: x },
            Given { name: "−y", elements: minus },
            Given { name: "1/n", elements: vec![1.0 / POINTS as f64; POINTS] },
        ]
    }
}
