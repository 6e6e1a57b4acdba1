//! Grokking: a model knows its training examples by heart long before it knows the rule.
//!
//! Power et al., *Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets*, 2022 (2201.02177).

use super::page::{Lab, Origin, Page, Picture, Result};
use calculus::activation::Activation;
use calculus::optimizer::{Adam, Optimizer};
use calculus::{Recorder, Tape, Var};
use infotheory::cross_entropy::CrossEntropy;
use linalg::{Shape, View, add::Add, gather::Gather, product::Product};
use probability::{Random, permutation::Permutation};
use std::{f64::consts::TAU, iter::successors};

/// The modulus, one of its primitive roots, numbers of an embedding, hidden units, updates, the rate.
const P: usize = 97;
const ROOT: usize = 5;
const WIDTH: usize = 32;
const HIDDEN: usize = 128;
const STEPS: usize = 1200;
const RATE: f64 = 5e-3;

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "Grokking: division modulo 97",
        "Power et al., *Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets*, 2022; Nanda et al. 2023",
        "Trained on half of all equations a ÷ b = c modulo 97, a network soon has every one of them right and none of the \
         others. Much later, if weights decay, it has all the others right, too. Without decay it never does.",
    );
    page.formulas = vec![
        [
            "a ÷ b = c: c·b ≡ a (mod p), 0 < b < p",
            "`equations`: half of all p·(p − 1) are held back",
        ],
        [
            "(here) z = U·ReLU(A·E_a + B·E_b)",
            "`Network`, where the paper has a transformer: faster",
        ],
        ["θ ← (1 − η·λ)·θ − η·m̂/(√v̂ + ε)", "AdamW: `Adam` after a line of decay; λ = 1, and 0"],
        ["b = g^k: division subtracts the k", "`share`: E_b's power over k in 5 of 48 frequencies"],
    ];
    let (mut picture, mut runs) = (Picture::new("Right answers", ["update", "share"]), vec![]);
    for (seed, decay) in (0..lab.seeds).flat_map(|seed| [(seed, 1.0), (seed, 0.0)]) {
        (lab.progress)((seed as f64 + 0.5 - 0.5 * decay) / lab.seeds as f64, "training");
        let all = equations(seed);
        let (own, held) = all.split_at(all.len() / 2);
        let [mut train, mut test] = [Network::record(own, seed)?, Network::record(held, seed)?];
        let mut adam = Adam::new(train.tape.parameters().len(), 0.9, 0.98, 1e-8);
        let mut curves = [vec![], vec![]];
        for step in 0..=STEPS {
            train.tape.zero_gradients();
            train.tape.forward_and_backward(train.vars[2], 1.0);
            if step % 20 == 0 {
                test.tape.parameters_mut().copy_from_slice(train.tape.parameters());
                test.tape.forward();
                let right = [train.right(own), test.right(held)];
                curves.iter_mut().zip(right).for_each(|(curve, y)| curve.push([step as f64, y]));
            }
            let (parameters, gradients) = train.tape.parameters_and_gradients();
            parameters.iter_mut().for_each(|p| *p *= 1.0 - RATE * decay);
            adam.step(RATE, parameters, gradients);
        }
        let late = |c: &[[f64; 2]]| c.iter().filter(|p| p[1] < 0.99).count() as f64;
        let [own, held] = curves.each_ref().map(|c| (c[c.len() - 1][1], late(c)));
        let power = share(train.tape.value(train.vars[0]));
        runs.push((decay, [own.0, held.0, held.1 / own.1, power]));
        for (curve, name) in curves.into_iter().zip(["own", "held back"]).filter(|_| seed == 0) {
            picture = picture.line(format!("{name}, λ = {decay}"), curve);
        }
    }
    for (what, decay, i, expected, tolerance) in [
        ("right of those held back", 1.0, 1, 1.0, 1e-2),
        ("updates to 99 % of these over those to 99 % of its own", 1.0, 2, 4.0, 2.5),
        ("power in 5 frequencies", 1.0, 3, 1.0, 0.5),
        ("right of those held back, and chance", 0.0, 1, 1.0 / 97.0, 0.05),
        ("power in 5 frequencies, and if all are alike", 0.0, 3, 5.0 / 48.0, 0.2),
    ] {
        let of = |run: &(f64, [f64; 4])| if run.0 == decay { run.1[i] } else { 0.0 };
        let mean = runs.iter().map(of).sum::<f64>() / lab.seeds as f64;
        page.row(&format!("λ = {decay}: {what}"), Origin::Claimed, [expected, mean], tolerance, 3);
    }
    page.pictures.push(picture.level("chance", 1.0 / 97.0));
    page.to_break =
        "A quarter to train on (`all.len() / 4`): 1.1 % of the others, with decay, too.";
    Ok(page)
}

/// All equations a, b, c in a random order.
fn equations(seed: u64) -> Vec<[usize; 3]> {
    let count = (P * (P - 1)) as u64;
    let order = Permutation::new(count, Random::new(seed, 0, 0));
    let pairs = (0..count).map(|i| (1 + order.at(i) as usize / P, order.at(i) as usize % P));
    pairs.map(|(b, c)| [b * c % P, b, c]).collect()
}

/// The share of the power of E(g^k) over k that is in the five strongest frequencies.
fn share(embedding: View<'_, f64>) -> f64 {
    let numbers: Vec<usize> = successors(Some(1), |b| Some(b * ROOT % P)).take(P - 1).collect();
    let power = |frequency: usize| {
        let angle = |k: usize| TAU * (frequency * k) as f64 / (P - 1) as f64;
        let part = |row: usize, f: fn(f64) -> f64| {
            let terms = numbers.iter().enumerate().map(|(k, b)| embedding[(row, *b)] * f(angle(k)));
            terms.sum::<f64>().powi(2)
        };
        (0..WIDTH).map(|row| part(row, f64::cos) + part(row, f64::sin)).sum::<f64>()
    };
    let mut all: Vec<f64> = (1..=(P - 1) / 2).map(power).collect();
    all.sort_by(|a, b| b.total_cmp(a));
    all[..5].iter().sum::<f64>() / all.iter().sum::<f64>()
}

struct Network {
    tape: Tape<f64>,
    vars: [Var; 3], // E_b, z and the loss
}

impl Network {
    /// Records the network on these equations, with weights of variance 1/inputs.
    fn record(equations: &[[usize; 3]], seed: u64) -> Result<Self> {
        let (mut r, row) = (Recorder::<f64>::new(), Shape::new(1, equations.len()));
        let inputs = [r.input("a", row)?, r.input("b", row)?, r.input("c", row)?];
        let mut part = |name: &str, input| -> Result<[Var; 2]> {
            let table = r.parameter(&format!("E_{name}"), Shape::new(WIDTH, P))?;
            let map = r.parameter(name, Shape::new(HIDDEN, WIDTH))?;
            let vector = r.push(&format!("vector {name}"), Gather, [table, input])?; // width×n
            Ok([table, r.push(&format!("{name}·E"), Product::plain(), [map, vector])?]) // hidden×n
        };
        let ([_, a], [embedding, b]) = (part("A", inputs[0])?, part("B", inputs[1])?);
        let u = r.parameter("U", Shape::new(P, HIDDEN))?;
        let sum = r.push("sum", Add, [a, b])?; // hidden×n
        let h = r.push("h", Activation::Relu, [sum])?; // hidden×n
        let logits = r.push("z", Product::plain(), [u, h])?; // p×n
        let loss = r.push("loss", CrossEntropy, [logits, inputs[2]])?; // 1×1
        let mut tape = r.finish();
        let of = |k: usize| equations.iter().map(|e| e[k] as f64).collect::<Vec<_>>();
        (0..3).for_each(|k| tape.set(inputs[k], &of(k)));
        for (_, own) in tape.parameter_vars().collect::<Vec<_>>() {
            let random = Random::new(seed, 1, own.range.start as u32);
            let inputs = if own.shape.columns == P { WIDTH } else { own.shape.columns } as f64;
            let all = tape.parameters_mut()[own.range].iter_mut().zip(0..);
            all.for_each(|(p, i)| *p = random.normal(i) / inputs.sqrt());
        }
        Ok(Network { tape, vars: [embedding, logits, loss] })
    }

    fn right(&self, equations: &[[usize; 3]]) -> f64 {
        let answer = |i: usize| self.tape.value(self.vars[1]).column(i).imax();
        let hit = |(i, [.., c]): &(usize, &[usize; 3])| answer(*i) == *c;
        equations.iter().enumerate().filter(hit).count() as f64 / equations.len() as f64
    }
}
