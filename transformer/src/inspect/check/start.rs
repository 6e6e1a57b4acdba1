//! Certificates that training starts where initialisation predicts.
//!
//! With weights of deviation σ = 0.02 (of hidden matrices, that of the parametrization), gains 1 and biases 0, the scale of every activation and of every gradient
//! follows from the sizes alone, in the limit of wide layers: variances add up along the residual stream, forward and
//! backward. A scale that is off by a factor shows an error in an initialisation, a normalisation or a connection.
//! Source: Schoenholz et al., *Deep Information Propagation*, 2017, for the method; GPT-2's
//! initialisation, Radford et al. 2019.

use super::patience::{F32, PATIENCE, dear, seconds};
use super::{Certificate, Verdict};
use crate::inspect::diagnose::rms;
use crate::inspect::subject::{ModelStep, Subject};
use crate::model::architecture::{
    Activation, Architecture, HIDDEN_DEVIATION, Placement, Positions, QueryKeyNorm,
};
use crate::model::recorded_step::{Form, ModelError, RecordedStep, first_tokens, is_counted};
use calculus::Dual;
use calculus::clip;
use calculus::optimizer::OptimizerConfig;
use linalg::Real;
use probability::running::Running;
use std::collections::HashMap;

/// Sequences and tokens for measuring scales.
pub(super) const SEEN: (usize, usize) = (8, 256);
/// Steps in which the model must overfit one small batch.
const STEPS: usize = 300;

/// Returns the steps in which a model must overfit. A step of Adam moves a weight by the rate, whatever its gradient, and
/// logits by that over their divisor.
fn steps_of(config: &Architecture) -> usize {
    (STEPS as f64 * config.logit_divisor.max(1.0)).ceil() as usize
}

const LOSS: (&str, &str) = ("start", "first loss");
const ACTIVATIONS: (&str, &str) = ("start", "scale of activations, block by block");
const GRADIENTS: (&str, &str) = ("start", "scale of gradients, block by block");
const OVERFIT: (&str, &str) = ("start", "one batch can be learned by heart");
/// The certificates of [`start`], in order.
pub(super) const QUESTIONS: [(&str, &str); 4] = [LOSS, ACTIVATIONS, GRADIENTS, OVERFIT];

/// The predictions from initialisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// The first loss in nats, and its tolerance: four deviations.
    pub loss: (f64, f64),
    /// Root mean square of the residual stream: after the embedding, then after every block.
    pub activations: Vec<f64>,
    /// Root mean square of the residual stream's gradient at the same places, relative to the last.
    pub gradients: Vec<f64>,
}

/// Statistics of a batch that the predictions need.
struct Counts {
    /// Probability that two tokens drawn from the batch are the same.
    collision: f64,
    /// Share of targets that repeat their own input token.
    repeats: f64,
    /// √Σ c²/n over the counts c of the n targets by token: 1/√n if all differ.
    spread: f64,
}

impl Counts {
    fn of(tokens: &[u32], targets: &[u32], vocabulary: usize) -> Self {
        let count = |x: &mut dyn Iterator<Item = u32>| {
            let mut counts: HashMap<u32, f64> = HashMap::new();
            x.for_each(|t| *counts.entry(t).or_default() += 1.0);
            counts.values().map(|c| c * c).sum::<f64>()
        };
        let counted = || tokens.iter().zip(targets).filter(|(_, y)| (**y as usize) < vocabulary);
        let n = counted().count().max(1) as f64;
        Counts {
            collision: count(&mut tokens.iter().copied()) / (tokens.len() as f64).powi(2),
            repeats: counted().filter(|(x, y)| x == y).count() as f64 / n,
            spread: count(&mut counted().map(|(_, y)| *y)).sqrt() / n,
        }
    }
}

/// Computes E f(s·ξ)² and E f′(s·ξ)² for standard normal ξ by the trapezoidal rule, which converges exponentially for a
/// bell curve.
fn moments(activation: Activation, s: f64) -> (f64, f64) {
    let h = 0.02;
    let (mut value, mut slope) = (0.0, 0.0);
    for i in -400..=400 {
        let x = h * f64::from(i);
        let weight = h * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
        let y = activation.at(Dual::variable(s * x));
        value += weight * y.value * y.value;
        slope += weight * y.derivative * y.derivative;
    }
    (value, slope)
}

/// Mean square of a normalised vector whose mean square was v.
fn normalised(v: f64, epsilon: f64) -> f64 {
    v / (v + epsilon)
}

/// The variances of one part of a block: of its output, and of the gradient that it sends back per unit that arrives.
#[derive(Clone, Copy)]
struct Branch {
    output: f64,
    back: f64,
}

impl Branch {
    /// Places the part between its normalisations; its input is the residual stream of variance v.
    fn placed(config: &Architecture, v: f64, part: impl Fn(f64) -> Branch) -> Branch {
        let (placement, epsilon) = (config.placement, config.epsilon);
        let input = if placement.before() { normalised(v, epsilon) } else { v };
        let Branch { mut output, mut back } = part(input);
        if placement.before() {
            back /= v + epsilon;
        }
        if placement.after() {
            back /= output + epsilon;
            output = normalised(output, epsilon);
        }
        let factor = config.residual_scale.powi(2);
        Branch { output: factor * output, back: factor * back }
    }
}

impl Expected {
    /// Computes the predictions for a model of this configuration on this batch.
    pub fn of(config: &Architecture, length: usize, tokens: &[u32], targets: &[u32]) -> Self {
        let counts = Counts::of(tokens, targets, config.vocabulary);
        let (d, hidden, epsilon) = (config.width as f64, config.hidden as f64, config.epsilon);
        // Variances of tables, of hidden matrices, and of those that write to the residual stream.
        let (table, weight) = (HIDDEN_DEVIATION.powi(2), config.hidden_deviation.powi(2));
        let residual = weight / (2.0 * config.layers as f64);
        let position = match config.positions {
            Positions::Learned => table,
            Positions::Sinusoidal => 0.5, // the mean square of a sine
            Positions::Rotary(_) => 0.0,
        };
        let embedded = config.embedding_scale.powi(2) * table;
        // A token's vector is the same wherever it occurs; its position's is not.
        let token = embedded / (embedded + position);
        // Every window of one sequence is like the first.
        let starts = if config.packed { first_tokens(targets, length) } else { vec![0; length] };
        let attention = |layer: usize, input: f64| {
            let (features, mapped) =
                ((config.heads * config.head_width()) as f64, input * d * weight);
            let scores = config.scores(layer);
            let compared = match config.query_key_norm {
                QueryKeyNorm::None => mapped,
                _ => normalised(mapped, epsilon),
            };
            let head_width = config.head_width();
            let scattered =
                scores.factor::<f64>(head_width).powi(2) * head_width as f64 * compared.powi(2);
            // Of n independent values, weights e^s with normal s of this variance keep Σ w² of the variance: 1/n for
            // equal weights.
            let squares = |n: usize| {
                let n = n as f64;
                ((1.0 + scattered.exp_m1() * (1.0 - 1.0 / n)) / n).min(1.0)
            };
            let keys = |(i, first): (usize, &usize)| scores.mask().seen_from(*first, i % length);
            let seen = || starts.iter().enumerate().map(|query| squares(keys(query).len()));
            let mean = seen().sum::<f64>() / starts.len() as f64;
            let kept = mean + (1.0 - mean) * counts.collision * token;
            // Back through the values, and through the scores to queries and to keys: a weight moves by w·(ṡ − Σ w·ṡ), and
            // relative to the values' path a score's variance counts, once for each. With normalised queries and keys it
            // is 1 whatever the weights.
            let paths = seen().map(|w| w * (1.0 + 2.0 * scattered * (1.0 - w)));
            let paths = paths.sum::<f64>() / starts.len() as f64;
            let back = (d * residual) * paths * (features * weight);
            Branch { output: mapped * kept * (features * residual), back }
        };
        let feed_forward = |input: f64| {
            let mapped = input * weight * d;
            let (mut value, mut slope) = moments(config.activation, mapped.sqrt());
            if config.gated {
                // f(g)·u of independent g and u: back through u with f(g), through g with f′(g)·u.
                (value, slope) = (value * mapped, value + slope * mapped);
            }
            let back = (d * residual) * slope * (hidden * weight);
            Branch { output: value * (hidden * residual), back }
        };
        let mut variances = vec![embedded + position];
        let mut gains = vec![];
        // The factor of the token's own vector in the residual stream.
        let mut own_share = config.embedding_scale;
        if config.embedding_norm {
            own_share /= (embedded + position + epsilon).sqrt();
            variances = vec![normalised(embedded + position, epsilon)];
        }
        for layer in 0..config.layers {
            let x = variances[variances.len() - 1];
            let first = Branch::placed(config, x, |input| attention(layer, input));
            let (mut output, mut gain) = (x + first.output, 1.0 + first.back);
            let mut after_sum = |output: &mut f64, gain: &mut f64| {
                if config.placement == Placement::Post {
                    *gain /= *output + epsilon;
                    own_share /= (*output + epsilon).sqrt();
                    *output = normalised(*output, epsilon);
                }
            };
            after_sum(&mut output, &mut gain);
            let parallel = config.placement == Placement::Parallel;
            let read = if parallel { x } else { output };
            let second = Branch::placed(config, read, feed_forward);
            output += second.output;
            gain = if parallel { gain + second.back } else { gain * (1.0 + second.back) };
            after_sum(&mut output, &mut gain);
            gains.push(gain);
            variances.push(output);
        }
        let mut gradients = vec![1.0];
        for gain in gains.iter().rev() {
            gradients.push(gradients[gradients.len() - 1] * gain);
        }
        gradients.reverse();

        // Logits are normal with variance d·σ²; a tied head adds the last vector's share of it to every token's own
        // logit.
        let last = variances[variances.len() - 1];
        let (size, norm) = match config.normalises_last() {
            false => (last, 1.0),
            true => (normalised(last, epsilon), (last + epsilon).sqrt()),
        };
        let (v, divisor) = (config.vocabulary as f64, config.logit_divisor);
        let s2 = d * table * size / divisor.powi(2);
        let own = if config.tied { d * table * own_share / norm / divisor } else { 0.0 };
        let loss = ((v - 1.0) * (s2 / 2.0).exp() + (own + s2 / 2.0).exp()).ln();
        let loss = loss - counts.repeats * own;
        // Spread of the targets' logits; of Σ e^z over the vocabulary; of the own logit's prediction.
        let partition = ((s2.exp() - 1.0) / v).sqrt();
        let deviation = (s2.sqrt() * counts.spread).hypot(partition);
        let share = own.exp() / (v - 1.0 + own.exp());
        let doubt = 0.25 * own * (share + counts.repeats);
        Expected {
            loss: (loss, 4.0 * deviation + doubt + 1e-3),
            activations: variances.iter().map(|v| v.sqrt()).collect(),
            gradients: gradients.iter().map(|v| v.sqrt()).collect(),
        }
    }
}

/// Runs the certificates "start" for a step without dropout. They do not apply to a trained model.
///
/// # Errors
/// If the step cannot be recorded.
pub fn start(
    step: &ModelStep<'_>,
    parameters: &[f32],
    fresh: bool,
) -> Result<Vec<Certificate>, ModelError> {
    within(PATIENCE, step, parameters, fresh)
}

/// Like [`start`], with a time budget of `patience` seconds per certificate.
pub(super) fn within(
    patience: f64,
    step: &ModelStep<'_>,
    parameters: &[f32],
    fresh: bool,
) -> Result<Vec<Certificate>, ModelError> {
    if !fresh {
        let why = "the model was trained: its gains, biases or weights are not as they begin";
        return Ok(QUESTIONS.map(|c| Certificate::not_applicable(c, why)).into());
    }
    let step = step.with_cross_entropy().smaller(SEEN.0, SEEN.1);
    let few = step.smaller(2, 16);
    // A step: one forward pass and one backward pass, which costs twice as much.
    let time = |step: &ModelStep<'_>, steps: usize| {
        let pairs = parameters.len() as f64 * (step.sequences * step.length) as f64;
        seconds(F32, 3.0 * steps as f64 * pairs)
    };
    let learnt = || match dear(time(&few, steps_of(&step.config)), patience) {
        None => overfit(&few, parameters),
        Some(why) => Ok(Certificate::skipped(OVERFIT, &why)),
    };
    if let Some(why) = dear(time(&step, 1), patience) {
        let skipped = [LOSS, ACTIVATIONS, GRADIENTS].map(|c| Certificate::skipped(c, &why));
        return Ok(skipped.into_iter().chain([learnt()?]).collect());
    }
    let (tokens, targets) = (step.batches)(0);
    let expected = Expected::of(&step.config, step.length, &tokens, &targets);
    let mut recorded = step.recorded::<f32>(Form::Fused)?;
    recorded.copy_parameters(parameters);
    let loss = recorded.loss(&tokens, &targets)?;
    let loss_var = recorded.loss_var();
    recorded.tape_mut().backward(loss_var);
    let (predicted, spread) = expected.loss;
    let uniform = (step.config.vocabulary as f64).ln();
    let detail =
        format!("nats; ln V = {uniform:.4}, initialisation predicts {predicted:.4} ± {spread:.4}");
    let limits = (predicted - spread, predicted + spread);
    let questions =
        [(Scale::Activations, &expected.activations), (Scale::Gradients, &expected.gradients)];
    let mut all = vec![Certificate::between(LOSS, loss, limits, detail)];
    for (scale, expected) in questions {
        let found = scales(&recorded, scale, expected, &[]);
        all.push(match found.verdict {
            Verdict::Pass => found,
            _ => {
                let doubts = scatter(&step, (&tokens, &targets), scale, expected)?;
                scales(&recorded, scale, expected, &doubts)
            }
        });
    }
    all.push(learnt()?);
    Ok(all)
}

/// A scale of the residual stream that the initialisation predicts.
#[derive(Clone, Copy)]
enum Scale {
    Activations,
    /// Of gradients, relative to the last one.
    Gradients,
}

impl Scale {
    /// Returns the scales after every block, and their unit.
    fn measured(self, recorded: &RecordedStep<f32>) -> (Vec<f64>, f64) {
        let (tape, residual) = (recorded.tape(), recorded.marks().residual.iter());
        match self {
            Scale::Activations => (residual.map(|&var| rms(tape.elements(var))).collect(), 1.0),
            Scale::Gradients => {
                let found: Vec<f64> =
                    residual.map(|&var| rms(tape.gradient_elements(var))).collect();
                let last = found.last().copied().unwrap_or(1.0);
                (found, last)
            }
        }
    }
}

/// Returns measured scales over their predictions.
fn ratios((found, unit): &(Vec<f64>, f64), expected: &[f64]) -> Vec<f64> {
    found.iter().zip(expected).map(|(f, e)| f / unit / e).collect()
}

/// Drawings of initial weights that measure how far scales scatter.
const DRAWINGS: u64 = 8;

/// Returns the deviation of ln(scale/prediction) after every block over other drawings of the initial weights: layers that
/// are not wide scatter, most where a normalisation follows a part, because it enlarges what the part adds.
fn scatter(
    step: &ModelStep<'_>,
    (tokens, targets): (&[u32], &[u32]),
    scale: Scale,
    expected: &[f64],
) -> Result<Vec<f64>, ModelError> {
    let mut recorded = step.recorded::<f32>(Form::Fused)?;
    let loss = recorded.loss_var();
    let mut all = vec![Running::<f64>::new(); expected.len()];
    for seed in 0..DRAWINGS {
        recorded.initialise(step.seed.wrapping_add(1 + seed));
        recorded.loss(tokens, targets)?;
        recorded.tape_mut().zero_gradients();
        recorded.tape_mut().backward(loss);
        let ratios = ratios(&scale.measured(&recorded), expected);
        all.iter_mut().zip(ratios).for_each(|(own, ratio)| own.push(ratio.ln()));
    }
    Ok(all.iter().map(|own| own.sample_variance().map_or(f64::NAN, f64::sqrt)).collect())
}

/// Compares the residual stream's scale after every block with the prediction: the worst ratio, within a factor of 2, as
/// wide-layer theory neglects correlations of tokens and scores, and within two deviations ([`scatter`]), if they are
/// known.
fn scales(
    recorded: &RecordedStep<f32>,
    scale: Scale,
    expected: &[f64],
    deviations: &[f64],
) -> Certificate {
    let measured = scale.measured(recorded);
    let doubts = deviations.iter().copied().chain(std::iter::repeat(0.0));
    // ln of the largest ratio, and by how much a ratio is beyond it.
    let limits = doubts.map(|doubt| 2.0_f64.ln() + 2.0 * doubt);
    let beyond = |(r, limit): &(f64, f64)| match r.is_nan() {
        true => f64::INFINITY,
        false => r.ln().abs() - limit,
    };
    let worst = ratios(&measured, expected).into_iter().zip(limits);
    let worst = worst.max_by(|a, b| beyond(a).total_cmp(&beyond(b)));
    let (worst, limit) = worst.unwrap_or((1.0, 2.0_f64.ln()));
    let (found, unit) = measured;
    let shown: Vec<String> =
        found.iter().zip(expected).map(|(f, e)| format!("{f:.2e} ({:.2e})", e * unit)).collect();
    let detail = format!("measured (predicted): {}", shown.join(", "));
    let within = if deviations.is_empty() { (0.5, 2.0) } else { ((-limit).exp(), limit.exp()) };
    let question = match scale {
        Scale::Activations => ACTIVATIONS,
        Scale::Gradients => GRADIENTS,
    };
    Certificate::between(question, worst, within, detail)
}

/// Computes the least loss that any causal model can reach on a batch: the entropy of targets given all tokens up to
/// them, in nats per target.
fn floor(tokens: &[u32], targets: &[u32], length: usize) -> f64 {
    let mut counts: HashMap<&[u32], HashMap<u32, f64>> = HashMap::new();
    for (x, y) in tokens.chunks(length).zip(targets.chunks(length)) {
        let starts = first_tokens(y, length);
        for (t, &target) in y.iter().enumerate().filter(|(_, y)| is_counted(**y)) {
            let seen = &x[starts[t]..=t];
            *counts.entry(seen).or_default().entry(target).or_default() += 1.0;
        }
    }
    let (mut nats, mut total) = (0.0, 0.0);
    for targets in counts.values() {
        let n: f64 = targets.values().sum();
        nats -= targets.values().map(|c| c * (c / n).ln()).sum::<f64>();
        total += n;
    }
    nats / total
}

fn overfit(step: &ModelStep<'_>, parameters: &[f32]) -> Result<Certificate, ModelError> {
    let mut recording = step.record::<f32>()?;
    recording.set_parameters(parameters);
    recording.give(&step.batch(0));
    let (tokens, targets) = (step.batches)(0);
    let floor = floor(&tokens, &targets, step.length);
    let mut adam = OptimizerConfig::default().build(&recording.tape.parameter_list());
    // Wider models need smaller steps.
    let rate = 3e-3 / (1.0 + step.config.width as f64 / 128.0);
    let first = recording.step().to_f64();
    let goal = floor + 0.1 * (first - floor);
    let (mut loss, mut steps, most) = (first, 0, steps_of(&step.config));
    while loss > goal && steps < most && loss.is_finite() {
        let (p, g) = recording.tape.parameters_and_gradients();
        clip::by_global_norm(g, 1.0);
        adam.step(rate, p, g);
        loss = recording.step().to_f64();
        steps += 1;
    }
    let detail = format!(
        "nats after {steps} steps of Adam on {} tokens, from {first:.3}; the minimum is {floor:.3}",
        tokens.len()
    );
    Ok(Certificate::at_most(OVERFIT, loss, goal, detail))
}

#[cfg(test)]
mod tests;
