//! The coordinate check: does a training step change every activation by as much at every width?
//!
//! Models of several widths, otherwise equal, take the same few steps. The root mean square of each activation's change on
//! one batch is a power of the width, ∝ widthᵃ; a is the slope of its logarithm against that of the width, for every seed,
//! and a Student interval over the seeds. With µP a is 0 or less: the best learning rate stays the same. With the standard
//! parametrization, outputs of hidden matrices and logits grow, up to a = 1 each, because as many more changes of weights
//! add up in them; products of two of them, such as scores, up to a = 2.
//!
//! Source: Yang et al., *Tensor Programs V*, 2022, appendix D.1.

use crate::inspect::diagnose::rms;
use crate::memory;
use crate::model::recorded_step::{Form, ModelError, RecordedStep};
use crate::text::corpus::Corpus;
use crate::training::config::{ScheduleKind, TrainingConfig, TrainingConfigError};
use crate::training::parametrization::Parametrization;
use crate::training::trainer::Trainer;
use probability::interval::Interval;
use probability::paired;
use serde::Serialize;
use thiserror::Error;

/// Steps that each model takes.
const STEPS: u64 = 4;
/// Sequences and tokens of the batch on which activations are compared.
const PROBE: (usize, usize) = (2, 32);
const CONFIDENCE: f64 = 0.95;
/// The exponent below which a change shrinks with the width: scores of queries and keys that are still independent change
/// like 1/√width in the first steps of µP, and what is divided by the width once too often like 1/width.
const SHRINKS: f64 = -0.75;
/// The exponent from which a change grows with the width: half of the slowest growth that adding up independent changes
/// gives, √width.
const GROWS: f64 = 0.25;

/// Models of several widths.
#[derive(Clone, Debug)]
pub struct Widths {
    /// The settings; sizes that are given beside the width follow it.
    pub config: TrainingConfig,
    /// The widths, two or more, rising.
    pub widths: Vec<usize>,
    /// The number of seeds, two or more.
    pub seeds: u64,
}

/// The change of one activation at several widths.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coordinate {
    /// Its name, such as `attention 2`.
    pub name: String,
    /// The root mean square of its change at each width: the geometric mean over the seeds.
    pub changes: Vec<f64>,
    /// The exponent a of change ∝ widthᵃ, the mean over the seeds.
    pub exponent: f64,
    /// Its interval of 95 %.
    pub interval: (f64, f64),
}

impl Coordinate {
    /// Whether it is shown to shrink with the width, so that a wider model does not learn there.
    pub fn shrinks(&self) -> bool {
        self.interval.1 < SHRINKS
    }

    /// Whether it is shown to grow with the width (`Some(true)`), or not to grow (`Some(false)`).
    pub fn grows(&self) -> Option<bool> {
        match self.interval {
            (low, _) if low > GROWS => Some(true),
            (_, high) if high < GROWS => Some(false),
            _ => None,
        }
    }
}

/// The result of a coordinate check.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[must_use]
pub struct CoordinateCheck {
    /// The widths.
    pub widths: Vec<usize>,
    /// The steps that each model took.
    pub steps: u64,
    /// The number of seeds.
    pub seeds: u64,
    /// The activations, in the order of the network.
    pub coordinates: Vec<Coordinate>,
}

impl CoordinateCheck {
    /// Returns the parametrization that the changes are those of: [`Parametrization::Mup`] if none grows or shrinks with the
    /// width, [`Parametrization::Standard`] if one grows, `None` if the seeds do not decide, or one shrinks and none grows.
    pub fn verdict(&self) -> Option<Parametrization> {
        let grows = || self.coordinates.iter().map(Coordinate::grows);
        if grows().any(|grows| grows == Some(true)) {
            Some(Parametrization::Standard)
        } else if self.coordinates.iter().any(Coordinate::shrinks) {
            None
        } else if grows().all(|grows| grows == Some(false)) {
            Some(Parametrization::Mup)
        } else {
            None
        }
    }
}

/// A coordinate check that cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WidthsError {
    /// Fewer than two widths, or a width that does not exceed the one before.
    #[error(
        "the widths are {found}; they must be two or more, each larger than the one before, such as 64,128,256"
    )]
    Widths {
        /// The widths.
        found: String,
    },
    /// A size that is given beside the width and cannot follow it.
    #[error(
        "{setting} is {found} at width {base}, which makes no whole number at width {width}: give other widths, or leave it out"
    )]
    Size {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: usize,
        /// The width at which it is given.
        base: usize,
        /// The width at which it has none.
        width: usize,
    },
    /// Fewer than two seeds.
    #[error("{found} seeds give no interval: give two or more")]
    Seeds {
        /// The seeds.
        found: u64,
    },
    /// An activation that does not change.
    #[error(
        "{name} does not change in {steps} steps at width {width}: give a larger --learning-rate"
    )]
    Unmoved {
        /// The activation.
        name: String,
        /// The width.
        width: usize,
        /// The steps.
        steps: u64,
    },
    /// Training that does not last the few steps.
    #[error(
        "training at width {width} gives numbers that are not finite after {steps} steps: give a smaller --learning-rate"
    )]
    Diverged {
        /// The width.
        width: usize,
        /// The steps.
        steps: u64,
    },
    /// Settings that contradict each other.
    #[error(transparent)]
    Settings(#[from] TrainingConfigError),
    /// A model that cannot be trained here.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Widths {
    /// Trains the models and compares their activations. Calls `watch` with the number of trained models.
    ///
    /// # Errors
    /// Widths that are not rising, sizes that contradict each other, or too little memory.
    pub fn run(
        &self,
        corpus: &Corpus,
        vocabulary: usize,
        mut watch: impl FnMut(u64),
    ) -> Result<CoordinateCheck, WidthsError> {
        let Widths { widths, seeds, .. } = self;
        if widths.len() < 2 || widths.windows(2).any(|pair| pair[0] >= pair[1]) {
            let shown: Vec<String> = widths.iter().map(ToString::to_string).collect();
            return Err(WidthsError::Widths { found: shown.join(",") });
        }
        // All sizes are checked before the first model is trained.
        let configs = widths.iter().map(|&width| self.at(width)).collect::<Result<Vec<_>, _>>()?;
        if *seeds < 2 {
            return Err(WidthsError::Seeds { found: *seeds });
        }
        for config in &configs {
            config.validate()?;
            let model = config.model(vocabulary)?;
            let (sequences, parameters) = (config.sequences_at_once(), model.parameters() as u64);
            let recorded =
                RecordedStep::<f32>::bytes(&model, sequences, config.context, Form::Fused)?;
            let needed = recorded + Trainer::<f32>::beside(config, parameters);
            memory::afford(needed).map_err(ModelError::from)?;
        }
        let mut measured: Vec<Vec<(String, Vec<f64>)>> = vec![];
        for seed in 0..*seeds {
            let mut by_width: Vec<(String, Vec<f64>)> = vec![];
            for config in &configs {
                let config =
                    TrainingConfig { seed: config.seed.wrapping_add(seed), ..config.clone() };
                let changes = changes(&config, corpus, vocabulary)?;
                if by_width.is_empty() {
                    by_width = changes.iter().map(|(name, _)| (name.clone(), vec![])).collect();
                }
                for ((_, all), (_, change)) in by_width.iter_mut().zip(changes) {
                    all.push(change);
                }
                let done = measured.len() * configs.len() + by_width[0].1.len();
                watch(done as u64);
            }
            measured.push(by_width);
        }
        let count = measured[0].len();
        let coordinates = (0..count).map(|k| {
            let of_seeds: Vec<&[f64]> = measured.iter().map(|seed| &seed[k].1[..]).collect();
            coordinate(measured[0][k].0.clone(), widths, &of_seeds)
        });
        let coordinates = coordinates.collect();
        Ok(CoordinateCheck { widths: widths.clone(), steps: STEPS, seeds: *seeds, coordinates })
    }

    /// Returns the settings at a width: a constant rate without warm-up, no dropout, and sizes that follow the width.
    fn at(&self, width: usize) -> Result<TrainingConfig, WidthsError> {
        let own = &self.config;
        let follows = |setting, size: usize| {
            let found = size.checked_mul(width).filter(|n| n.is_multiple_of(own.width.max(1)));
            let (found_at, base) = (size, own.width);
            found.map(|n| n / own.width.max(1)).ok_or(WidthsError::Size {
                setting,
                found: found_at,
                base,
                width,
            })
        };
        // Heads of a fixed width are more of them.
        let more_heads = |setting, size| match own.head_width {
            Some(_) => follows(setting, size),
            None => Ok(size),
        };
        Ok(TrainingConfig {
            width,
            heads: more_heads("heads", own.heads)?,
            key_value_heads: own
                .key_value_heads
                .map(|n| more_heads("key_value_heads", n))
                .transpose()?,
            hidden: own.hidden.map(|n| follows("hidden", n)).transpose()?,
            schedule: ScheduleKind::Constant,
            min_learning_rate: 0.0,
            warmup: 0,
            decay_steps: None,
            steps: STEPS,
            time: None,
            dropout: 0.0,
            average: None,
            ..own.clone()
        })
    }
}

/// Returns the activations of a model on the probe, by name.
fn activations(
    model: &mut RecordedStep<f32>,
    tokens: &[u32],
    targets: &[u32],
) -> Result<Vec<(String, Vec<f32>)>, ModelError> {
    model.loss(tokens, targets)?;
    let (tape, marks, config) = (model.tape(), model.marks(), model.config());
    let vars: Vec<_> = tape.vars().collect();
    let of = |var| tape.value(var).iter().copied().collect::<Vec<f32>>();
    let mut all: Vec<(String, Vec<f32>)> =
        marks.residual.first().map(|&var| ("embedding".to_owned(), of(var))).into_iter().collect();
    for (i, block) in marks.blocks.iter().enumerate() {
        let factor: f32 = config.scores(i).factor(config.head_width());
        let [query, key] = [block.query, block.key].map(|var| (of(var), tape.shape(var).rows));
        all.push((
            format!("scores {}", i + 1),
            scores(query, key, config.head_width(), model.length(), factor),
        ));
        for (name, rows) in [("attention", &block.attention), ("feed-forward", &block.feed_forward)]
        {
            if let Some(last) = rows.clone().last() {
                all.push((format!("{name} {}", i + 1), of(vars[last])));
            }
        }
    }
    all.extend(model.logits_var().map(|var| ("logits".to_owned(), of(var))));
    Ok(all)
}

/// Returns the scores of all queries and the keys that they see.
fn scores(
    (query, rows): (Vec<f32>, usize),
    (key, key_rows): (Vec<f32>, usize),
    d: usize,
    length: usize,
    factor: f32,
) -> Vec<f32> {
    let (heads, groups) = (rows / d, key_rows / d);
    let mut all = vec![];
    for (at, query) in query.chunks(rows).enumerate() {
        let first = at / length * length;
        for head in 0..heads {
            let own = &query[head * d..(head + 1) * d];
            let group = head * groups / heads;
            for seen in first..=at {
                let key = &key[seen * key_rows + group * d..][..d];
                all.push(factor * own.iter().zip(key).map(|(q, k)| q * k).sum::<f32>());
            }
        }
    }
    all
}

/// Trains one model, and returns the root mean square of each activation's change.
fn changes(
    config: &TrainingConfig,
    corpus: &Corpus,
    vocabulary: usize,
) -> Result<Vec<(String, f64)>, WidthsError> {
    let architecture = config.model(vocabulary)?;
    let mut trainer = Trainer::<f32>::new(config.clone(), &architecture)?;
    let (sequences, length) = (PROBE.0, PROBE.1.min(config.context));
    let mut probe =
        RecordedStep::<f32>::record_forward_only(&architecture, sequences, length, Form::Textbook)?;
    let (mut tokens, mut targets) = (vec![0; sequences * length], vec![0; sequences * length]);
    // The same at every width, and not the batch of a step.
    corpus.fill(
        config.seed,
        STEPS * config.accumulate as u64 + 1,
        length,
        &mut tokens,
        &mut targets,
    );
    let mut measure = |trainer: &Trainer<f32>| {
        probe.copy_parameters(trainer.model().tape().parameters());
        activations(&mut probe, &tokens, &targets)
    };
    let before = measure(&trainer)?;
    for _ in 0..STEPS {
        if !trainer.step(corpus)?.applied {
            return Err(WidthsError::Diverged { width: config.width, steps: trainer.steps() });
        }
    }
    let pairs = before.into_iter().zip(measure(&trainer)?);
    let all: Vec<(String, f64)> = pairs
        .map(|((name, before), (_, after))| {
            let difference: Vec<f32> = before.iter().zip(&after).map(|(b, a)| a - b).collect();
            (name, rms(&difference))
        })
        .collect();
    let (width, steps) = (config.width, STEPS);
    match all.iter().find(|(_, change)| !(*change > 0.0 && change.is_finite())) {
        None => Ok(all),
        Some((name, 0.0)) => Err(WidthsError::Unmoved { name: name.clone(), width, steps }),
        Some(_) => Err(WidthsError::Diverged { width, steps }),
    }
}

/// Returns the slope of y against x by least squares.
fn slope(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let both: f64 = x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    both / x.iter().map(|x| (x - mean_x).powi(2)).sum::<f64>()
}

/// Returns the exponent of changes by seed and width.
fn coordinate(name: String, widths: &[usize], changes: &[&[f64]]) -> Coordinate {
    let ln_widths: Vec<f64> = widths.iter().map(|&width| (width as f64).ln()).collect();
    let logarithms: Vec<Vec<f64>> =
        changes.iter().map(|seed| seed.iter().map(|x| x.ln()).collect()).collect();
    let exponents: Vec<f64> = logarithms.iter().map(|y| slope(&ln_widths, y)).collect();
    let n = changes.len() as f64;
    let mean = |k: usize| (logarithms.iter().map(|y| y[k]).sum::<f64>() / n).exp();
    let zeros = vec![0.0; exponents.len()];
    let interval = paired::t_test(&exponents, &zeros, CONFIDENCE)
        .map_or(Interval { low: f64::NEG_INFINITY, high: f64::INFINITY }, |test| test.interval);
    Coordinate {
        name,
        changes: (0..widths.len()).map(mean).collect(),
        exponent: exponents.iter().sum::<f64>() / n,
        interval: (interval.low, interval.high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes that are powers of the width have that exponent, and the interval covers it.
    #[test]
    fn the_exponent_of_a_power_is_found() {
        let widths = [16, 32, 64];
        for exponent in [-0.5, 0.0, 1.0] {
            let seed = |factor: f64| -> Vec<f64> {
                widths.iter().map(|&w| factor * (w as f64).powf(exponent)).collect()
            };
            let (a, b) = (seed(0.5), seed(2.0));
            let found = coordinate("x".into(), &widths, &[&a, &b]);
            assert!((found.exponent - exponent).abs() < 1e-12);
            assert!((found.changes[0] - 16_f64.powf(exponent)).abs() < 1e-12);
            assert_eq!((found.grows(), found.shrinks()), (Some(exponent > GROWS), false));
            let check = |more: f64| {
                let found = coordinate("x".into(), &widths, &[&seed(more), &seed(more)]);
                let coordinates = vec![found];
                CoordinateCheck { widths: widths.to_vec(), steps: 4, seeds: 2, coordinates }
            };
            let mup = (exponent <= GROWS).then_some(Parametrization::Mup);
            assert_eq!(check(1.0).verdict(), mup.or(Some(Parametrization::Standard)));
        }
    }

    fn corpus() -> Corpus {
        let random = probability::random::Random::new(7, 0, 0);
        let tokens =
            (0..4000).map(|i| random.below(i, 8) as u32 + random.below(i + 4000, 8) as u32);
        Corpus::text(tokens.collect(), 0.1, 16).unwrap()
    }

    fn request(parametrization: Parametrization) -> Widths {
        let config = TrainingConfig {
            layers: 1,
            heads: 4,
            width: 32,
            context: 16,
            batch: 8,
            learning_rate: 2e-3,
            parametrization,
            base_width: (parametrization == Parametrization::Mup).then_some(32),
            ..TrainingConfig::default()
        };
        Widths { config, widths: vec![32, 64, 128], seeds: 8 }
    }

    /// The two parametrizations are told apart, for a rule of each kind; at the base width they take the same steps.
    #[test]
    fn parametrizations_are_told_apart() {
        let corpus = corpus();
        for (optimizer, learning_rate) in [("adamw", 2e-3), ("muon", 4e-3), ("sgd", 0.2)] {
            let found = [Parametrization::Standard, Parametrization::Mup].map(|parametrization| {
                let mut request = request(parametrization);
                request.config.optimizer = optimizer.parse().unwrap();
                request.config.learning_rate = learning_rate;
                let mut done = 0;
                let found = request.run(&corpus, 16, |n| done = n).unwrap();
                assert_eq!(done, 24);
                assert_eq!(found.verdict(), Some(parametrization), "{optimizer}: {found:?}");
                found
            });
            for (standard, mup) in found[0].coordinates.iter().zip(&found[1].coordinates) {
                assert_eq!((&standard.name, standard.changes[0]), (&mup.name, mup.changes[0]));
                assert!(standard.changes[2] != mup.changes[2] || standard.name == "embedding");
            }
            let names: Vec<&str> = found[0].coordinates.iter().map(|c| &c.name[..]).collect();
            assert_eq!(names, ["embedding", "scores 1", "attention 1", "feed-forward 1", "logits"]);
        }
    }

    #[test]
    fn scores_are_those_of_attention() {
        // Two tokens of two heads, which share a key-value head of two features.
        let query = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let key = vec![1.0, -1.0, 2.0, 0.5];
        let found = scores((query, 4), (key, 2), 2, 2, 0.5);
        let expected = [-1.0, -1.0, -1.0, 13.0, -1.0, 18.0].map(|x| 0.5 * x);
        assert_eq!(found, expected);
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let corpus = corpus();
        let refused = |change: &dyn Fn(&mut Widths), words: &str| {
            let mut request = request(Parametrization::Standard);
            change(&mut request);
            let error = request.run(&corpus, 16, |_| panic!("a model was trained")).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        };
        refused(&|r| r.widths = vec![64], "the widths are 64; they must be two or more");
        refused(&|r| r.widths = vec![64, 32], "each larger than the one before");
        refused(&|r| r.widths = vec![32, 66], "66");
        refused(
            &|r| (r.config.hidden, r.widths) = (Some(33), vec![32, 40]),
            "hidden is 33 at width 32",
        );
        let heads = |r: &mut Widths| (r.config.head_width, r.widths) = (Some(8), vec![32, 40, 44]);
        refused(&heads, "heads is 4 at width 32");
        refused(&|r| r.config.learning_rate = -1.0, "learning_rate");
        refused(&|r| r.widths = vec![32, 1 << 22], "memory");
        refused(&|r| r.seeds = 1, "give two or more");
        let mut still = request(Parametrization::Standard);
        still.config.learning_rate = 1e-30;
        let error = still.run(&corpus, 16, |_| {}).unwrap_err().to_string();
        assert!(
            error.contains("does not change") && error.contains("larger --learning-rate"),
            "{error}"
        );
        // Divided by the width twice: a wider model does not learn there.
        let seed = |factor: f64| [16.0, 32.0, 64.0_f64].map(|w| factor / w);
        let found = coordinate("x".into(), &[16, 32, 64], &[&seed(1.0), &seed(2.0)]);
        assert!(found.shrinks());
        let coordinates = vec![found];
        let check = CoordinateCheck { widths: vec![16, 32, 64], steps: 4, seeds: 2, coordinates };
        assert_eq!(check.verdict(), None);
    }
}
