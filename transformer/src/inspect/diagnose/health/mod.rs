//! The health of a run: every measure with its expected range; measures outside come first.
//!
//! * *Headroom*: how many doublings the largest element of a value or gradient is below the largest number of a format,
//!   and how many halvings a typical one (the root mean square) is above its smallest number. Both overflow and
//!   underflow show here before they cause failures.
//! * *Update ratio*: norm of the change over norm of the weights, about 10⁻³ in healthy training; of all weights and by
//!   layer.
//! * *Attention entropy*, over ln of the number of visible tokens, and the share of saturated queries.
//! * *Dead units*: rows of an activation that send no gradient for any token.
//! * *Distance from the limit of stability*: the learning rate over [`calculus::optimizer::OptimizerConfig::limit`].
//! * *Gradient noise scale*: with g the mean gradient and Σ the covariance of single sequences' gradients, tr Σ/‖g‖²,
//!   the batch size at which noise and signal are equal. Source: McCandlish et al., *An Empirical Model of Large-Batch
//!   Training*, 2018, appendix A.

mod outlook;
mod watch;

pub(crate) use outlook::silent;
pub use outlook::{
    Collapse, Decay, Edge, NextUpdate, Outlook, Reached, Reason, ScoreGrowth, Unmoved, balance,
    collapse_gap, recorded_scores,
};
pub use watch::{Glance, Watch};

use super::course::{State, Taken};
use super::edge::Stability;
use super::signs::{Signs, rms, signs};
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::training::noise_scale::estimates;
use crate::training::precision::Precision;
use crate::training::recipe::Recipe;
use calculus::{Source, Tape, Var, clip};
use linalg::Role;
use linalg::parallel::BLOCK;
use rayon::prelude::*;
use serde::Serialize;

/// One measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// The name of the quantity.
    pub name: &'static str,
    /// The value or parameter that it belongs to; empty for the whole step.
    pub place: String,
    /// The measured number.
    pub value: f64,
    /// The expected range.
    pub band: (f64, f64),
}

impl Measure {
    fn new(name: &'static str, value: f64, band: (f64, f64)) -> Self {
        Measure { name, place: String::new(), value, band }
    }

    fn at(self, place: &str) -> Self {
        Measure { place: place.to_owned(), ..self }
    }

    /// Checks whether the number lies in its range.
    pub fn is_usual(&self) -> bool {
        self.band.0 <= self.value && self.value <= self.band.1
    }
}

/// The distances of a value or a gradient from both ends of each format: f32, bf16 and f16.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Headroom {
    /// The value's name.
    pub name: String,
    /// Whether these are its gradient's.
    pub gradient: bool,
    /// The largest magnitude of its elements.
    pub largest: f64,
    /// The root mean square of its elements.
    pub typical: f64,
    /// Doublings of the largest element up to the format's largest number; negative beyond it.
    pub overflow: [f64; 3],
    /// Halvings of a typical element down to the format's smallest number; negative below it, ∞ if all are 0.
    pub underflow: [f64; 3],
}

impl Headroom {
    /// Computes the headroom of these elements; non-finite ones are not counted.
    ///
    /// ```
    /// use transformer::inspect::diagnose::health::Headroom;
    /// let room = Headroom::of("x", false, &[1.0, -1.0]);
    /// assert_eq!(room.overflow.map(f64::round), [128.0, 128.0, 16.0]);
    /// assert_eq!(room.underflow, [149.0, 133.0, 24.0]);
    /// ```
    pub fn of(name: &str, gradient: bool, elements: &[f32]) -> Self {
        const FORMATS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::F16];
        let sizes = || elements.iter().filter(|x| x.is_finite()).map(|x| f64::from(x.abs()));
        let largest = sizes().fold(0.0_f64, f64::max);
        let typical = (sizes().map(|x| x * x).sum::<f64>() / elements.len().max(1) as f64).sqrt();
        Headroom {
            name: name.to_owned(),
            gradient,
            largest,
            typical,
            overflow: FORMATS.map(|p| (p.largest() / largest.max(1e-45)).log2()),
            underflow: FORMATS.map(|p| match typical {
                0.0 => f64::INFINITY,
                typical => (typical / p.smallest()).log2(),
            }),
        }
    }
}

/// The relative change of a layer in a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Update {
    /// The layer: the outermost scope of its parameters.
    pub layer: String,
    /// Norm of the change over norm of its weights.
    pub ratio: f64,
}

/// The scale of a layer of the residual stream.
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
    /// All measures, those outside their ranges first.
    pub measures: Vec<Measure>,
    /// Headroom of values, those closest to overflow first; then of gradients, likewise.
    pub headroom: Vec<Headroom>,
    /// The last step's relative change of every layer; empty if there was none.
    pub updates: Vec<Update>,
    /// The residual stream, in order.
    pub layers: Vec<Layer>,
    /// Batches of this size at which gradient noise equals signal, in batches; NaN if unknown.
    pub noise_scale: f64,
}

/// Maximum growth of the residual stream from the first sum to the last.
pub(crate) const GROWTH: f64 = 300.0;
/// Range of attention's entropy over ln of the visible keys; 1 is rounded.
const ENTROPY: (f64, f64) = (0.02, 1.0 + 1e-5);
/// Maximum share of an activation's dead units.
pub(crate) const DEAD: f64 = 0.5;
/// Maximum ratio of a healthy learning rate to the limit of stability far from a minimum, when steps that climb out of
/// one valley land in a flatter one.
pub(crate) const BORNE: f64 = 16.0;
/// Number of batches to measure gradient noise on.
const NOISE: u64 = 8;

/// Measures the health of a step at a state; `taken` is its last step, if any, and `stability` the result of
/// [`crate::inspect::diagnose::stability`], if it was computed.
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
        // At 0.1, ten steps rewrite the weights; the twenty healthy runs of the tests stay below 0.05.
        measures.push(Measure::new("update over weights", taken.update_ratio, (1e-6, 0.1)));
        // The size of a loss of pairs depends on their β.
        if step.handles.is_cross_entropy() {
            measures.push(Measure::new("gradient norm", taken.gradient_norm, (1e-6, 1e2)));
        }
    }
    let layers_of_weights = step.tape.layers();
    let ratios = taken.map_or(&[][..], |t| &t.layer_ratios);
    let updates = layers_of_weights.into_iter().zip(ratios);
    let updates: Vec<Update> =
        updates.map(|((layer, _), &ratio)| Update { layer, ratio }).collect();
    for update in &updates {
        // At 0.5, two steps rewrite a layer; Adam's first steps move tables of deviation 0.02 by their rate.
        let measure = Measure::new("update over weights, by layer", update.ratio, (1e-7, 0.5));
        measures.push(measure.at(&update.layer));
    }
    if let Some(found) = stability
        && found.limit.is_finite()
        && found.limit > 0.0
    {
        let share = found.rate / found.limit;
        // Near a minimum, training is stable up to 1.3 times the limit, from fresh weights up to 15 times:
        // docs/FAILURES.md.
        measures.push(Measure::new(
            "learning rate over the limit of stability",
            share,
            (0.0, BORNE),
        ));
    }
    let headroom = headroom(&step.tape);
    for gradient in [false, true] {
        let own = || headroom.iter().filter(|h| h.gradient == gradient);
        let (over, under) = match gradient {
            false => {
                ("doublings of values to overflow in f32", "halvings of values to underflow in f32")
            }
            true => (
                "doublings of gradients to overflow in f32",
                "halvings of gradients to underflow in f32",
            ),
        };
        let mut note = |name, h: &Headroom, room: f64| {
            measures.push(Measure::new(name, room, (16.0, 300.0)).at(&h.name));
        };
        if let Some(least) = own().next() {
            note(over, least, least.overflow[0]);
        }
        // All-zero tensors (a bias at the start, the gradient of a key's bias) do not underflow.
        let some = own().filter(|h| h.largest > 0.0);
        if let Some(least) = some.min_by(|a, b| a.underflow[0].total_cmp(&b.underflow[0])) {
            note(under, least, least.underflow[0]);
        }
    }
    measures.sort_by_key(Measure::is_usual);
    Ok(Health {
        measures,
        layers: layers(&step.tape),
        headroom,
        updates,
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
        all.push(Measure::new("dead units", *share, (0.0, DEAD)).at(name));
    }
    let unmoved = signs.unmoved.len() as f64;
    all.push(Measure::new("parameters without gradient", unmoved, (0.0, 0.0)));
    all
}

/// Sorts values by the least room to overflow, then gradients.
fn headroom(tape: &Tape<f32>) -> Vec<Headroom> {
    // A view is stored with its matrix.
    let stored = |v: &Var| tape.source(*v) != Source::Input && !tape.is_view(*v);
    let vars: Vec<Var> = tape.vars().filter(stored).collect();
    let value = |&v| Headroom::of(tape.name(v), false, tape.elements(v));
    let gradient = |&v| Headroom::of(tape.name(v), true, tape.gradient_elements(v));
    let mut values: Vec<Headroom> = vars.par_iter().map(value).collect();
    let mut gradients: Vec<Headroom> = vars.par_iter().map(gradient).collect();
    for all in [&mut values, &mut gradients] {
        all.sort_by(|a, b| a.overflow[0].total_cmp(&b.overflow[0]));
    }
    values.append(&mut gradients);
    values
}

/// Returns the sums of the residual stream.
fn layers(tape: &Tape<f32>) -> Vec<Layer> {
    let sums = tape.vars().filter(|v| tape.role(*v) == Some(Role::Sum));
    sums.map(|v| Layer {
        name: tape.name(v).to_owned(),
        activation: rms(tape.elements(v)),
        gradient: rms(tape.gradient_elements(v)),
    })
    .collect()
}

/// Estimates tr Σ/‖g‖² in batches without bias, from the gradients of a few single batches and of their mean: with b
/// batches, E‖ḡ‖² = ‖g‖² + tr Σ/b.
fn noise_scale(subject: &impl Subject, state: &State, first: u64) -> Result<f64, ModelError> {
    let mut step = subject.record::<f32>()?;
    step.set_parameters(&state.parameters);
    let mut mean = vec![0.0_f64; state.parameters.len()];
    let mut alone = 0.0;
    for i in 0..NOISE {
        step.give(&subject.batch(first + i));
        step.step();
        let gradients = step.tape.gradients();
        let parts = mean.par_chunks_mut(BLOCK).zip(gradients.par_chunks(BLOCK));
        parts.for_each(|(mean, g)| {
            mean.iter_mut().zip(g).for_each(|(m, &g)| *m += f64::from(g) / NOISE as f64);
        });
        alone += clip::global_norm(gradients).powi(2) / NOISE as f64;
    }
    let together: f64 = mean.iter().map(|m| m * m).sum();
    let [noise, signal] = estimates(alone, 1.0, together, NOISE as f64);
    Ok(if signal > 0.0 { noise.max(0.0) / signal } else { f64::NAN })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::recording::{Given, Recording};
    use linalg::{Real, Shape, product::Product};
    use probability::random::Random;

    /// θ·x with x = µ + σ·ξ of 20,000 independent ξ: the gradient of a batch is its x.
    struct Line {
        mean: f64,
        deviation: f64,
    }

    const N: usize = 20_000;

    impl Subject for Line {
        fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
            let mut r = calculus::Recorder::new();
            let theta = r.parameter("theta", Shape::new(1, N))?;
            let x = r.input("x", Shape::new(N, 1))?;
            let loss = r.push("loss", Product::plain(), [theta, x])?;
            Ok(Recording::new(r.finish(), loss))
        }

        fn batch(&self, number: u64) -> Vec<Given> {
            let random = Random::new(3, 0, number as u32);
            let x = (0..N as u64).map(|i| self.mean + self.deviation * random.normal(i));
            vec![Given { name: "x", elements: x.collect() }]
        }
    }

    /// tr Σ/‖g‖² = σ²/µ². With b = 8 batches, the estimate of ‖g‖² = N·µ² has variance 2σ⁴·N/b(b − 1) plus the mean's
    /// own 4σ²µ²N/b; that of tr Σ = N·σ² is far more accurate: five deviations.
    #[test]
    fn a_noise_scale_that_is_known() {
        let (n, b) = (N as f64, NOISE as f64);
        for (mean, deviation) in [(1.0, 1.0), (1.0, 4.0), (0.5, 0.1), (-2.0, 10.0)] {
            let known: f64 = (deviation / mean) * (deviation / mean);
            let found =
                noise_scale(&Line { mean, deviation }, &State::start(vec![0.0; N]), 5).unwrap();
            let signal = (2.0 * known * known / (b * (b - 1.0)) + 4.0 * known / b) / n;
            let noise = 2.0 / (n * (b - 1.0));
            let off = (found / known - 1.0).abs();
            assert!(off < 5.0 * (signal.sqrt() + noise.sqrt()), "{found} instead of {known}");
        }
        // Without noise, and without signal.
        let at = |mean, deviation| {
            noise_scale(&Line { mean, deviation }, &State::start(vec![0.0; N]), 0).unwrap()
        };
        assert!(at(1.0, 0.0) < 1e-6);
        let silent = at(0.0, 1.0);
        assert!(silent.is_nan() || silent > 100.0, "{silent}");
    }
}
