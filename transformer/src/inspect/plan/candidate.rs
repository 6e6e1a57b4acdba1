//! Sizes that a plan chooses from, and the settings that follow from a size.

use super::request::Request;
use crate::inspect::describe::Description;
use crate::training::config::{OptimizerKind, ScheduleKind, TrainingConfig};
use crate::training::trainer::Trainer;
use crate::training::training_memory::TrainingMemory;

/// Widths and layers: about a layer for 64 features, as in GPT-2 and nanoGPT's presets, but at least two, for one layer of
/// attention cannot copy what followed an earlier occurrence.
const SIZES: [(usize, usize); 13] = [
    (32, 2),
    (48, 2),
    (64, 3),
    (96, 3),
    (128, 4),
    (192, 4),
    (256, 5),
    (384, 6),
    (512, 8),
    (768, 12),
    (1024, 16),
    (1280, 20),
    (1600, 25),
];
/// Features of a head, in models up to 192 features, and in larger ones.
const HEAD: [usize; 2] = [32, 64];
/// The highest learning rate of a model, times its width. The rate that AdamW can use falls like 1/width (Yang et al.,
/// *Tensor Programs V*, 2022); the constant was measured on tinyshakespeare's characters.
const RATE: f64 = 0.6;
/// Lion's rate over AdamW's: Chen et al., *Symbolic Discovery of Optimization Algorithms*, 2023, have 3 to 10 times less.
const OF_LION: f64 = 0.2;
/// The fewest tokens of a step: so few are as fast as more, and small models learn more from many small steps.
const LEAST_TOKENS: f64 = 512.0;
/// The number of steps above which a step gets more tokens instead.
const STEPS: f64 = 8192.0;
/// Steps of warm-up, but at most a tenth.
const WARMUP: u64 = 100;

/// A size of model with the settings that follow from it, and its costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The settings of a run.
    pub config: TrainingConfig,
    /// Parameters.
    pub parameters: u64,
    /// Floating-point operations of a step, forward and backward, for each of its tokens.
    pub flops: f64,
    /// Bytes that training takes.
    pub bytes: u64,
    /// Bytes that must be free before training begins ([`Trainer::new`](crate::Trainer::new)).
    pub demanded: u128,
}

impl Candidate {
    /// Returns the possible sizes of a request with this context, the smallest first.
    ///
    /// # Errors
    /// If no size is possible, the reason of the last one.
    pub fn all(request: &Request, context: usize) -> Result<Vec<Candidate>, String> {
        let (mut all, mut reason) = (Vec::<Candidate>::new(), None);
        for (width, layers) in SIZES {
            let own = &request.config;
            let width = if request.is_fixed("width") { own.width } else { width };
            let head = HEAD[usize::from(width > 192)];
            // Rotary positions turn pairs of coordinates.
            let fits = |h: &usize| width.is_multiple_of(*h) && (width / h).is_multiple_of(2);
            let heads = (1..=(width / head).max(1)).rev().find(fits).unwrap_or(1);
            let mut config = TrainingConfig {
                width,
                layers: if request.is_fixed("layers") { own.layers } else { layers },
                heads: if request.is_fixed("heads") { own.heads } else { heads },
                context,
                ..own.clone()
            };
            config = settled(request, config, LEAST_TOKENS);
            if let Err(e) = config.validate() {
                reason = Some(e.to_string());
                continue;
            }
            match Candidate::of(config, request.vocabulary) {
                Ok(candidate) if all.iter().all(|c| c.parameters != candidate.parameters) => {
                    all.push(candidate);
                }
                Ok(_) => {}
                Err(e) => reason = Some(e),
            }
        }
        all.sort_by_key(|candidate| candidate.parameters);
        match (all.is_empty(), reason) {
            (true, Some(reason)) => Err(reason),
            _ => Ok(all),
        }
    }

    /// Returns the costs of these settings.
    ///
    /// # Errors
    /// Sizes that contradict each other.
    pub fn of(config: TrainingConfig, vocabulary: usize) -> Result<Candidate, String> {
        let model = config.model(vocabulary).map_err(|e| e.to_string())?;
        let sequences = config.sequences_at_once();
        let described = Description::of(&model, sequences, config.context, config.rule());
        let described = described.map_err(|e| e.to_string())?;
        let parameters = described.total.parameters;
        let beside = TrainingMemory::beside::<f32>(&config, &model, parameters);
        let beside = beside.map_err(|e| e.to_string())?;
        Ok(Candidate {
            parameters,
            flops: described.flops_per_token(),
            bytes: described.bytes() + beside.average + beside.batch + beside.copy,
            demanded: u128::from(described.bytes() - described.total.optimizer)
                + Trainer::<f32>::beside(&config, parameters),
            config,
        })
    }

    /// Returns the tokens of a step.
    pub fn step_tokens(&self) -> f64 {
        self.config.step_tokens() as f64
    }
}

/// Returns a size's settings for a run of this many tokens: batch, rate, schedule, steps; a setting that the user gave
/// stays.
pub(super) fn settled(request: &Request, config: TrainingConfig, tokens: f64) -> TrainingConfig {
    let mut c = config;
    let fixed = |name| request.is_fixed(name);
    let step = (tokens / STEPS).max(LEAST_TOKENS).log2().floor().exp2();
    if !fixed("batch") {
        let windows = (step / (c.context * c.accumulate) as f64).round();
        c.batch = (windows as usize).clamp(1, 1 << 16);
    }
    c.steps = ((tokens / c.step_tokens() as f64).round() as u64).clamp(1, c.most_steps());
    if !fixed("learning_rate") {
        let share = if c.optimizer == OptimizerKind::Lion { OF_LION } else { 1.0 };
        c.learning_rate = rounded(share * RATE * c.width_ratio() / c.width as f64);
    }
    if !fixed("schedule") {
        // A mean of iterates takes the place of a falling rate: constant after the warm-up.
        let constant = c.optimizer.averages();
        c.schedule = if constant { ScheduleKind::WarmupStableDecay } else { ScheduleKind::Linear };
        if !fixed("min_learning_rate") {
            c.min_learning_rate = if constant { c.learning_rate } else { 0.0 };
        }
    }
    if !fixed("min_learning_rate") {
        c.min_learning_rate = c.min_learning_rate.min(c.learning_rate);
    }
    if !fixed("warmup") {
        c.warmup = WARMUP.min(c.steps / 10);
    }
    c.warmup = c.warmup.min(c.steps);
    if !fixed("eval_every") {
        c.eval_every = (c.steps / 8).max(1);
    }
    c
}

/// Returns a number with two digits.
fn rounded(x: f64) -> f64 {
    format!("{x:.1e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::super::planner::tests::request;
    use super::*;

    #[test]
    fn sizes_grow_and_what_is_given_stays() {
        let request = request();
        let all = Candidate::all(&request, 64).unwrap();
        assert_eq!(all.len(), SIZES.len());
        for pair in all.windows(2) {
            assert!(pair[0].parameters < pair[1].parameters && pair[0].flops < pair[1].flops);
            assert!(pair[0].config.learning_rate >= pair[1].config.learning_rate);
            assert_eq!(pair[0].config.validate(), Ok(()));
        }
        let mut fixed = request.clone();
        fixed.config.width = 96;
        fixed.config.learning_rate = 0.25;
        fixed.fixed = ["width", "learning_rate"].map(str::to_owned).into();
        let all = Candidate::all(&fixed, 64).unwrap();
        assert!(all.iter().all(|c| (c.config.width, c.config.learning_rate) == (96, 0.25)));
        // Ten numbers of layers remain, for two pairs of sizes share theirs.
        assert_eq!(all.len(), 10);
    }

    #[test]
    fn long_runs_have_larger_steps() {
        let request = request();
        let of = |tokens| {
            settled(&request, TrainingConfig { context: 64, ..request.config.clone() }, tokens)
        };
        assert_eq!((of(1e6).batch, of(1e6).steps), (8, 1953));
        assert_eq!((of(1e8).batch, of(1e8).steps), (128, 12207));
        assert_eq!((of(1e4).steps, of(1e4).warmup), (20, 2));
    }

    #[test]
    fn impossible_sizes_are_refused_with_the_reason() {
        let mut request = request();
        request.config.heads = 7;
        request.fixed = ["heads".to_owned()].into();
        let reason = Candidate::all(&request, 64).unwrap_err();
        assert!(reason.contains("heads"), "{reason}");
    }
}
