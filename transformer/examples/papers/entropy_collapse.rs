//! Attention entropy collapse: at a high rate scores grow until each query sees one key; query-key norm bounds them.
//!
//! Zhai et al., *Stabilizing Transformer Training by Preventing Attention Entropy Collapse*, 2023 (2303.06296); Dehghani et
//! al., *Scaling Vision Transformers to 22 Billion Parameters*, 2023 (2302.05442).

use super::page::{Lab, Origin, Page, Picture, Result};
use calculus::optimizer::{Adam, Optimizer};
use infotheory::{entropy::normalised_entropy, shannon::series};
use linalg::norm::{l2, linf};
use probability::Random;
use transformer::{Architecture, Form, Gain, Norm, QueryKeyNorm, RecordedStep};

const FROM: &str = "https://github.com/karpathy/char-rnn (data/tinyshakespeare/input.txt)";
/// Tokens of a window, windows of a batch, features, heads, updates, the rate of Adam.
const T: usize = 32;
const BATCH: usize = 16;
const WIDTH: usize = 64;
const HEADS: usize = 4;
const STEPS: u32 = 400;
const RATE: f64 = 0.1;
/// √d of heads of d = 16 features.
const LIMIT: f64 = 4.0;

pub(crate) fn page(lab: &Lab<'_>) -> Result<Page> {
    let mut page = Page::new(
        "Attention entropy collapse",
        "Zhai et al., *Stabilizing Transformer Training by Preventing Attention Entropy Collapse*, 2023; Dehghani et al., \
         *Scaling Vision Transformers to 22 Billion Parameters*, 2023",
        "At a high rate the scores of attention grow without bound, each query's weights become one-hot with an entropy \
         near 0, and the loss stays high or diverges. Normalised queries and keys bound the scores, and training goes on.",
    );
    page.formulas = vec![
        ["s = ⟨q, k⟩/√d", "the value `attention.scaled` of the textbook recording"],
        ["s = ⟨norm q, norm k⟩/√d, so |s| ≤ √d", "`QueryKeyNorm::Head`: RMS norms without a gain"],
        [
            "Ent ≥ ln(1 + c) + r·c/(1 + c), c = (n − 1)·e^−r, for n scores of range r",
            "`bound`: one score at the top, all others r below; Zhai et al. bound r by the norm of W_Qᵀ·W_K",
        ],
        [
            "∂L/∂s = p ⊙ (∂L/∂p − ⟨∂L/∂p, p⟩)",
            "`probability::softmax::Softmax`: 0 for a one-hot p, so that nothing turns the scores back",
        ],
    ];
    let read = lab.text("text/tinyshakespeare.txt", FROM)?;
    let symbol = |c: u8| if c.is_ascii_lowercase() { u32::from(c - b'a') + 1 } else { 0 };
    let text: Vec<u32> = read.to_ascii_lowercase().bytes().map(symbol).collect();
    let names = ["no norm", "query-key norm"];
    let axes = ["largest |s|", "entropy over ln n", "gradient of the scores", "nats a letter"];
    page.pictures = axes.map(|y| Picture::new(y, ["step", y])).into();
    let (mut late, mut below) = ([[0.0; 4]; 2], [0; 2]);
    for (seed, k) in (0..lab.seeds).flat_map(|seed| [(seed, 0), (seed, 1)]) {
        (lab.progress)((seed as f64 + 0.5 * k as f64) / lab.seeds as f64, names[k]);
        let norm = [QueryKeyNorm::None, QueryKeyNorm::Head][k];
        let (curves, own) = trained(norm, &text, seed)?;
        below[k] += own;
        for (i, curve) in curves.into_iter().enumerate() {
            // On average over the last quarter, and over the seeds.
            let quarter = &curve[curve.len() * 3 / 4..];
            let count = quarter.len() as f64 * lab.seeds as f64;
            late[k][i] += quarter.iter().map(|p| p[1]).sum::<f64>() / count;
            if seed == 0 {
                let picture = page.pictures.remove(i);
                page.pictures.insert(i, picture.line(names[k], curve));
            }
        }
    }
    let [[_, entropy, gradient, loss], [largest, other, usual, own]] = late;
    let below = below.map(f64::from);
    page.row("norm: queries below the bound for r = 2√d", Origin::Derived, [0.0, below[1]], 0.0, 0);
    page.row("norm: largest score over √d", Origin::Derived, [1.0, largest / LIMIT], 0.02, 3);
    page.row("norm: entropy over ln n", Origin::Claimed, [1.0, other], 0.5, 2);
    page.row("no norm: entropy over ln n", Origin::Claimed, [0.0, entropy], 0.1, 2);
    let ratio = gradient / usual;
    page.row("gradient of scores, no norm over norm", Origin::Claimed, [0.0, ratio], 0.2, 3);
    let f = series(text.iter().copied(), 2)?;
    let [letters, pairs] = [1, 2].map(|n| f[n].plug_in.0);
    page.row(
        "no norm: loss, beside frequencies of letters",
        Origin::Claimed,
        [letters, loss],
        0.2,
        2,
    );
    page.row("norm: loss, beside frequencies of pairs", Origin::Claimed, [pairs, own], 0.25, 2);
    page.seen = format!("Without the norm, {} of the queries are below that bound.", below[0]);
    page.to_break = "`RATE` 3e-3: without the norm the entropy stays at 0.70 of ln n, and both models end at a loss of 2.17. The norm \
                     is not needed at every rate.";
    Ok(page)
}

/// The least entropy of the softmax of T scores whose range is r.
fn bound(r: f64) -> f64 {
    let others = (T - 1) as f64 * (-r).exp();
    others.ln_1p() + r * others / (1.0 + others)
}

/// Trains; returns curves of the largest score, the entropy, the gradient of scores and the loss, and the number of queries
/// whose entropy was below the bound.
fn trained(norm: QueryKeyNorm, text: &[u32], seed: u64) -> Result<([Vec<[f64; 2]>; 4], u32)> {
    let config = Architecture {
        vocabulary: 27,
        context: T,
        width: WIDTH,
        heads: HEADS,
        layers: 2,
        hidden: 256,
        norm: Norm::Rms,
        gain: Gain::None,
        query_key_norm: norm,
        tied: false,
        ..Default::default()
    };
    let mut model = RecordedStep::<f32>::record(&config, BATCH, T, Form::Textbook, 0)?;
    model.initialise(seed);
    let mut adam = Adam::new(model.tape().parameters().len(), 0.9, 0.98, 1e-9);
    let (loss, least) = (model.loss_var(), bound(2.0 * LIMIT) / (T as f64).ln());
    let (mut curves, mut below): ([Vec<[f64; 2]>; 4], u32) = Default::default();
    for i in 0..STEPS {
        let random = Random::new(seed, 1, i);
        let start = |i| random.below(i, (text.len() - T - 1) as u64) as usize;
        let starts: Vec<usize> = (0..BATCH as u64).map(start).collect();
        let from = |by: usize| starts.iter().flat_map(move |s| &text[s + by..][..T]).copied();
        model.set_batch(&from(0).collect::<Vec<_>>(), &from(1).collect::<Vec<_>>())?;
        model.tape_mut().zero_gradients();
        model.tape_mut().forward_and_backward(loss, 1.0);
        if i % 10 == 0 {
            let tape = model.tape();
            let (mut largest, mut entropies, mut gradient) = (0.0_f64, vec![], 0.0_f64);
            for (layer, block) in model.marks().blocks.iter().enumerate() {
                let name = format!("block.{layer}.attention.scaled");
                let scores = tape.find(&name).ok_or("no scores")?;
                largest = largest.max(linf(tape.elements(scores)).into());
                gradient = gradient.hypot(l2(tape.gradient_elements(scores)).into());
                // The last query of each sequence and head sees all n = T keys.
                let weights = tape.elements(block.weights.ok_or("no weights")?);
                for p in weights.chunks(T).skip(T - 1).step_by(T) {
                    entropies.push(f64::from(normalised_entropy(p)?));
                }
            }
            below += entropies.iter().filter(|h| **h < least - 1e-4).count() as u32;
            let entropy = entropies.iter().sum::<f64>() / entropies.len() as f64;
            let all = [largest, entropy, gradient, tape.elements(loss)[0].into()];
            curves.iter_mut().zip(all).for_each(|(curve, y)| curve.push([f64::from(i), y]));
        }
        let (parameters, gradients) = model.tape_mut().parameters_and_gradients();
        adam.step(RATE, parameters, gradients);
    }
    Ok((curves, below))
}
