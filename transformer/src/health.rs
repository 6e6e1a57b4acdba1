//! Is a healthy run healthy? Every measure with the band that it is expected in; what lies outside comes
//! first.
//!
//! * *Headroom*: how many doublings the largest element of a value is below the end of a format. Growth
//!   shows here before it shows as NaN.
//! * *Update ratio*: norm of the change over norm of the weights, about 10⁻³ where training goes well.
//! * *Attention entropy*, over ln of what is visible, and the share of saturated queries.
//! * *Dead units*: rows of an activation that send no gradient for any token.
//! * *Distance from the limit of stability*: the learning rate over [`crate::diagnose::stability_limit`].
//! * *Gradient noise scale*: with g the mean gradient and Σ the covariance of one sequence's, tr Σ/‖g‖², the batch
//!   size at which noise and signal are equal. Source: McCandlish et al., *An Empirical Model of Large-Batch
//!   Training*, 2018, appendix A.

use crate::corpus::Corpus;
use crate::diagnose::{Recipe, Signs, Stability, State, Taken, rms, signs};
use crate::subject::Subject;
use crate::trainer::{Step, Trainer};
use crate::{ModelError, Precision};
use calculus::{Source, Tape, Var, clip};
use serde::Serialize;
use std::collections::HashMap;

/// One measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// What is measured.
    pub name: &'static str,
    /// Of which value or parameter; empty where it is of the whole step.
    pub place: String,
    /// The number.
    pub value: f64,
    /// The band that it is expected in.
    pub band: (f64, f64),
}

impl Measure {
    fn new(name: &'static str, value: f64, band: (f64, f64)) -> Self {
        Measure { name, place: String::new(), value, band }
    }

    fn at(self, place: &str) -> Self {
        Measure { place: place.to_owned(), ..self }
    }

    /// Whether it lies in its band.
    pub fn is_usual(&self) -> bool {
        self.band.0 <= self.value && self.value <= self.band.1
    }
}

/// How far a value is from the end of each format.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Headroom {
    /// The value's name.
    pub name: String,
    /// Its largest element, by size.
    pub largest: f64,
    /// Doublings to the end of f32, bf16 and f16; negative beyond it.
    pub doublings: [f64; 3],
}

/// What a layer of the residual stream does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// The value's name.
    pub name: String,
    /// Root mean square of its elements.
    pub activation: f64,
    /// Root mean square of its gradient's elements.
    pub gradient: f64,
}

/// The health of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// All measures, those outside their bands first.
    pub measures: Vec<Measure>,
    /// Per value, those with the least room first.
    pub headroom: Vec<Headroom>,
    /// The residual stream, in order.
    pub layers: Vec<Layer>,
    /// Batches of this size at which gradient noise equals signal, in batches; NaN if unknown.
    pub noise_scale: f64,
}

/// How far the residual stream may grow from the first sum to the last.
pub(crate) const GROWTH: f64 = 300.0;
/// Of attention, over ln of the visible keys; 1 is rounded.
const ENTROPY: (f64, f64) = (0.02, 1.0 + 1e-5);
/// Batches that the noise of gradients is measured on.
const NOISE: u64 = 8;

/// Measures a step's health at a state; `taken` is its last step, if one was taken, and `stability` what
/// [`crate::diagnose::stability`] found, if it was asked.
///
/// # Errors
/// If the step cannot be recorded.
pub fn health(
    subject: &impl Subject,
    state: &State,
    recipe: &Recipe,
    taken: Option<&Taken>,
    stability: Option<Stability>,
) -> Result<Health, ModelError> {
    let number = state.steps * recipe.accumulate;
    let batch = subject.batch(number);
    let signs = signs(subject, &state.parameters, &batch)?;
    let mut step = subject.record_in_full::<f32>()?;
    step.set_parameters(&state.parameters);
    step.give(&batch);
    step.step();
    let mut measures = of_signs(&signs);
    if let Some(taken) = taken {
        // At 0.1 ten steps rewrite the weights; the twenty healthy runs of the tests stay below 0.05.
        measures.push(Measure::new("update over weights", taken.update_ratio, (1e-6, 0.1)));
        measures.push(Measure::new("gradient norm", taken.gradient_norm, (1e-6, 1e2)));
    }
    if let Some(found) = stability
        && found.limit.is_finite()
        && found.limit > 0.0
    {
        let share = found.rate / found.limit;
        measures.push(Measure::new("learning rate over the limit of stability", share, (0.0, 1.5)));
    }
    let headroom = headroom(&step.tape);
    if let Some(least) = headroom.first() {
        let room = Measure::new("doublings to overflow in f32", least.doublings[0], (16.0, 300.0));
        measures.push(room.at(&least.name));
    }
    measures.sort_by_key(Measure::is_usual);
    Ok(Health {
        measures,
        layers: layers(&step.tape),
        headroom,
        noise_scale: noise_scale(subject, state, number)?,
    })
}

fn of_signs(signs: &Signs) -> Vec<Measure> {
    let mut all = vec![];
    if signs.uniform.is_finite() {
        all.push(Measure::new("loss over ln V", signs.loss / signs.uniform, (0.0, 1.3)));
    }
    if let Some((range, mean, _)) = signs.logits {
        all.push(Measure::new("range of a token's logits", range, (0.0, 200.0)));
        all.push(Measure::new("mean logit, by size", mean.abs(), (0.0, 300.0)));
    }
    all.push(Measure::new("largest gain", signs.gain.0, (0.0, 60.0)).at(&signs.gain.1));
    all.push(Measure::new("growth of the residual stream", signs.residual, (0.05, GROWTH)));
    for a in &signs.attention {
        let entropy =
            Measure::new("attention's entropy over the most possible", a.entropy, ENTROPY);
        all.push(entropy.at(&a.name));
        all.push(Measure::new("saturated queries", a.saturated, (0.0, 0.9)).at(&a.name));
    }
    for (name, share) in &signs.dead {
        all.push(Measure::new("dead units", *share, (0.0, 0.5)).at(name));
    }
    let unmoved = signs.unmoved.len() as f64;
    all.push(Measure::new("parameters without gradient", unmoved, (0.0, 0.0)));
    all
}

/// Doublings to the end of each format, the least room first.
fn headroom(tape: &Tape<f32>) -> Vec<Headroom> {
    let mut all: Vec<Headroom> = tape
        .vars()
        .filter(|v| tape.source(*v) != Source::Input)
        .map(|v| {
            let finite = tape.elements(v).iter().filter(|x| x.is_finite());
            let largest = finite.fold(0.0_f64, |m, x| m.max(f64::from(x.abs())));
            let room = |p: Precision| (p.largest() / largest.max(1e-45)).log2();
            Headroom {
                name: tape.name(v).to_owned(),
                largest,
                doublings: [Precision::F32, Precision::Bf16, Precision::F16].map(room),
            }
        })
        .collect();
    all.sort_by(|a, b| a.doublings[0].total_cmp(&b.doublings[0]));
    all
}

/// The sums of the residual stream.
fn layers(tape: &Tape<f32>) -> Vec<Layer> {
    let sums = tape.vars().filter(|v| tape.operation(*v) == Some("sum"));
    sums.map(|v| Layer {
        name: tape.name(v).to_owned(),
        activation: rms(tape.elements(v)),
        gradient: rms(tape.gradient_elements(v)),
    })
    .collect()
}

/// tr Σ/‖g‖² in batches, from the gradients of a few batches by themselves and of their mean, without
/// bias: with b batches, E‖ḡ‖² = ‖g‖² + tr Σ/b.
fn noise_scale(subject: &impl Subject, state: &State, first: u64) -> Result<f64, ModelError> {
    let mut step = subject.record::<f32>()?;
    step.set_parameters(&state.parameters);
    let mut mean = vec![0.0_f64; state.parameters.len()];
    let mut alone = 0.0;
    for i in 0..NOISE {
        step.give(&subject.batch(first + i));
        step.step();
        for (m, &g) in mean.iter_mut().zip(step.tape.gradients()) {
            *m += f64::from(g) / NOISE as f64;
            alone += f64::from(g) * f64::from(g) / NOISE as f64;
        }
    }
    let together: f64 = mean.iter().map(|m| m * m).sum();
    let n = NOISE as f64;
    let noise = (alone - together) / (1.0 - 1.0 / n);
    let signal = (n * together - alone) / (n - 1.0);
    Ok(if signal > 0.0 { noise.max(0.0) / signal } else { f64::NAN })
}

/// What `--watch` writes down of a step: seen while the step is replayed, so that a recording that
/// reuses memory is watched as well as one that keeps everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Glance {
    /// The largest element of any value, by size; infinite values are not counted.
    pub largest: f64,
    /// The value that has it.
    pub largest_name: String,
    /// Root mean square of every block's output.
    pub activations: Vec<f64>,
    /// Root mean square of the gradient of every block's output.
    pub gradients: Vec<f64>,
    /// Norm of all parameters, after the update.
    pub weight_norm: f64,
}

/// Takes a [`Glance`] of a training step: one pass over each value and each block's gradient while it is in
/// the processor's caches.
pub struct Watch {
    names: HashMap<Var, String>,
    outputs: HashMap<Var, usize>,
    largest: (f32, Option<Var>),
    /// Sums of squares and counts: of outputs, of their gradients.
    sums: [Vec<(f64, usize)>; 2],
}

impl Watch {
    /// For this recording.
    pub fn new(tape: &Tape<f32>) -> Self {
        let names: HashMap<Var, String> =
            tape.vars().map(|v| (v, tape.name(v).to_owned())).collect();
        let blocks = tape.vars().filter(|v| names[v].ends_with(".output"));
        let outputs: HashMap<Var, usize> = blocks.enumerate().map(|(i, v)| (v, i)).collect();
        let sums = [vec![(0.0, 0); outputs.len()], vec![(0.0, 0); outputs.len()]];
        Watch { names, outputs, largest: (0.0, None), sums }
    }

    /// Takes a training step under watch.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn step(
        &mut self,
        trainer: &mut Trainer<f32>,
        corpus: &Corpus,
    ) -> Result<(Step, Glance), ModelError> {
        self.largest = (0.0, None);
        self.sums.iter_mut().flatten().for_each(|s| *s = (0.0, 0));
        let Watch { outputs, largest, sums: [values, gradients], .. } = self;
        let step = trainer.step_watched(
            corpus,
            |var, x| {
                let size = largest_of(x);
                if size > largest.0 {
                    *largest = (size, Some(var));
                }
                note(outputs, values, var, x);
            },
            |var, g| note(outputs, gradients, var, g),
        )?;
        let rms = |sums: &[(f64, usize)]| -> Vec<f64> {
            sums.iter().map(|(s, n)| (s / (*n).max(1) as f64).sqrt()).collect()
        };
        let glance = Glance {
            largest: f64::from(self.largest.0),
            largest_name: self.largest.1.map_or(String::new(), |v| self.names[&v].clone()),
            activations: rms(&self.sums[0]),
            gradients: rms(&self.sums[1]),
            weight_norm: clip::global_norm(trainer.model().tape().parameters()),
        };
        Ok((step, glance))
    }
}

fn note(outputs: &HashMap<Var, usize>, sums: &mut [(f64, usize)], var: Var, x: &[f32]) {
    if let Some(&i) = outputs.get(&var) {
        sums[i].0 += clip::global_norm(x).powi(2);
        sums[i].1 += x.len();
    }
}

/// The largest finite size, in lanes that the processor takes at once.
fn largest_of(x: &[f32]) -> f32 {
    const LANES: usize = 16;
    linalg::simd(
        #[inline(always)]
        || {
            let mut lanes = [0.0_f32; LANES];
            let (chunks, rest) = x.as_chunks::<LANES>();
            for chunk in chunks {
                for l in 0..LANES {
                    let size = chunk[l].abs();
                    // False for what is not finite.
                    lanes[l] = if size <= f32::MAX { lanes[l].max(size) } else { lanes[l] };
                }
            }
            let rest = rest.iter().map(|x| x.abs()).filter(|x| x.is_finite());
            rest.fold(lanes.iter().fold(0.0, |m: f32, &x| m.max(x)), f32::max)
        },
    )
}
