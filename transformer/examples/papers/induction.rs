//! Induction heads: two layers of attention learn to copy what followed the last time, one layer does not.
//!
//! Olsson et al., *In-context Learning and Induction Heads*, 2022 (2209.11895).

use super::page::{Lab, Origin, Page, Picture, Result};
use calculus::optimizer::{Adam, Optimizer};
use probability::Random;
use transformer::{Architecture, Form, IGNORED, Positions, RecordedStep, Rotary};

/// Tokens of the vocabulary and of a sequence, heads of a layer, sequences of a batch, steps.
const V: usize = 32;
const T: usize = 48;
const HEADS: usize = 4;
const BATCH: usize = 32;
const STEPS: u32 = 700;

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "Induction heads",
        "Olsson et al., *In-context Learning and Induction Heads*, 2022",
        "With two layers some heads of the second look for a place after the present token's earlier occurrence and copy \
         what stands there, [A][B] … [A] → [B]. While they form the loss falls at once. One layer has no such heads.",
    );
    page.formulas = vec![
        [
            "random tokens, repeated",
            "`draw`: 8 to 24 different tokens, over and over; `IGNORED` at first",
        ],
        [
            "prefix matching score: attention from a token to the one after its earlier occurrence",
            "`scores`: `BlockMarks::weights` of the textbook recording, (key, sequence × head × query), on average",
        ],
        ["previous token score: attention to the token before", "the same, at that place"],
    ];
    let mut picture = Picture::new("Loss of repeated tokens", ["step", "nats a token"]);
    page.seen =
        "| layer.head of layers | previous token | prefix matching |\n|---|---:|---:|\n".to_owned();
    // The seeds' largest loss and smallest scores of two layers, the opposite of one.
    let (mut two, mut one) = ([0.0_f64, 1.0, 1.0], [f64::INFINITY, 0.0]);
    for seed in 0..lab.seeds {
        for layers in [1, 2] {
            (lab.progress)(seed as f64 / lab.seeds as f64, "training");
            let (model, curve) = trained(layers, seed)?;
            let loss = curve[curve.len() - 50..].iter().map(|p| p[1]).sum::<f64>() / 50.0;
            let scores = scores(&model, seed)?;
            let best = |all: &[[f64; 2]], k: usize| all.iter().map(|s| s[k]).fold(0.0, f64::max);
            if layers == 1 {
                one = [one[0].min(loss), one[1].max(best(&scores, 0))];
            } else {
                let (first, second) = scores.split_at(HEADS);
                two = [two[0].max(loss), two[1].min(best(first, 1)), two[2].min(best(second, 0))];
            }
            if seed == 0 {
                picture = picture.line(format!("layers: {layers}"), curve);
            }
            for (i, [prefix, previous]) in scores.iter().enumerate().filter(|_| seed == 0) {
                let (layer, head) = (1 + i / HEADS, 1 + i % HEADS);
                let row = format!("| {layer}.{head} of {layers} | {previous:.2} | {prefix:.2} |\n");
                page.seen += &row;
            }
        }
    }
    // What knowing the tokens of the period, but not their order, leaves: ln(p − 1), over the predicted places.
    let share = |p: usize| (T - p) as f64;
    let nats = (8..=24).map(|p| share(p) * ((p - 1) as f64).ln()).sum::<f64>();
    let bag = nats / (8..=24).map(share).sum::<f64>();
    page.row("two layers: loss of repeated tokens, nats", Origin::Derived, [0.0, two[0]], 0.05, 3);
    page.row("one layer: the same, beside a bag of tokens", Origin::Claimed, [bag, one[0]], 0.1, 2);
    page.row("previous token score, best of layer 1", Origin::Claimed, [1.0, two[1]], 0.3, 2);
    page.row("prefix matching score, best of layer 2", Origin::Claimed, [1.0, two[2]], 0.3, 2);
    page.row("prefix matching score, best of one layer", Origin::Claimed, [0.0, one[1]], 0.3, 2);
    page.pictures.push(picture);
    page.to_break = "Give `Rotary` its usual base, 10⁴: neighbours are then too alike for a head to pick the token before. \
                     After 2000 steps of seed 0 the loss is 0.83, and no head has a score above 0.1.";
    Ok(page)
}

fn trained(layers: usize, seed: u64) -> Result<(RecordedStep<f32>, Vec<[f64; 2]>)> {
    let mut model = RecordedStep::<f32>::record(&architecture(layers), BATCH, T, Form::Fused, 0)?;
    model.initialise(seed);
    let mut adam = Adam::new(model.tape().parameters().len(), 0.9, 0.98, 1e-8);
    let (loss, mut curve) = (model.loss_var(), vec![]);
    for step in 0..STEPS {
        let (tokens, targets) = draw(&Random::new(seed, 1, step));
        model.set_batch(&tokens, &targets)?;
        model.tape_mut().zero_gradients();
        model.tape_mut().forward_and_backward(loss, 1.0);
        curve.push([f64::from(step), f64::from(model.tape().elements(loss)[0])]);
        let rate = 3e-3 * (f64::from(step + 1) / 50.0).min(1.0);
        let (parameters, gradients) = model.tape_mut().parameters_and_gradients();
        adam.step(rate, parameters, gradients);
    }
    Ok((model, curve))
}

fn architecture(layers: usize) -> Architecture {
    let positions = Positions::Rotary(Rotary { base: 100.0, ..Rotary::default() });
    Architecture {
        vocabulary: V,
        context: T,
        width: 64,
        heads: HEADS,
        layers,
        hidden: 64,
        positions,
        hidden_deviation: 0.1,
        ..Default::default()
    }
}

/// Draws sequences: a period of different tokens, repeated. The target of a token that was not seen before is ignored.
fn draw(random: &Random) -> (Vec<u32>, Vec<u32>) {
    let (mut tokens, mut targets) = (vec![], vec![]);
    for sequence in 0..BATCH as u64 {
        let period = 8 + random.below(sequence << 8, 17) as usize;
        let mut all: Vec<u32> = (0..V as u32).collect();
        for i in 0..period {
            all.swap(i, i + random.below((sequence << 8) + 1 + i as u64, (V - i) as u64) as usize);
        }
        tokens.extend((0..T).map(|t| all[t % period]));
        targets.extend((0..T).map(|t| if t < period { IGNORED } else { all[(t + 1) % period] }));
    }
    (tokens, targets)
}

/// Returns the prefix matching and the previous token score of every head, layer after layer.
fn scores(model: &RecordedStep<f32>, seed: u64) -> Result<Vec<[f64; 2]>> {
    let (tokens, targets) = draw(&Random::new(seed, 2, 0));
    let mut read =
        RecordedStep::<f32>::record_forward_only(model.config(), BATCH, T, Form::Textbook)?;
    read.copy_parameters(model.tape().parameters());
    read.loss(&tokens, &targets)?;
    let mut all = vec![];
    for block in &read.marks().blocks {
        let weights = read.tape().value(block.weights.ok_or("no attention weights")?);
        for head in 0..HEADS {
            let (mut sum, mut count) = ([0.0; 2], 0.0);
            for (i, _) in targets.iter().enumerate().filter(|(_, target)| **target != IGNORED) {
                let (sequence, query) = (i / T, i % T);
                let column = weights.column((sequence * HEADS + head) * T + query);
                let earlier = (0..query).filter(|t| tokens[sequence * T + t] == tokens[i]);
                sum[0] += earlier.map(|t| f64::from(column[t + 1])).sum::<f64>();
                sum[1] += f64::from(column[query - 1]);
                count += 1.0;
            }
            all.push(sum.map(|s| s / count));
        }
    }
    Ok(all)
}
