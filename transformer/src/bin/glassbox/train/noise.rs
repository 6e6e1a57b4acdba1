//! A step whose health or gradient noise is measured.

use crate::Result;
use transformer::inspect::diagnose::health::{Glance, Watch};
use transformer::{Corpus, NoiseScale, Observer, Step, Trainer, TrainingConfig};

/// The gradient noise scale, measured at every k-th step.
pub(super) struct Noise {
    every: Option<u64>,
    pub(super) scale: NoiseScale<f32>,
    /// Windows of a step.
    pub(super) batch: usize,
}

impl Noise {
    /// The smoothing of measurements: about the last twenty count.
    const BETA: f64 = 0.95;

    pub(super) fn new(every: Option<u64>, config: &TrainingConfig) -> Self {
        let batch = config.batch * config.accumulate;
        Noise { every, scale: NoiseScale::new(config.sequences_at_once(), Self::BETA), batch }
    }

    /// Whether it is measured at this step.
    pub(super) fn is_due(&self, step: u64) -> bool {
        self.scale.is_open() || self.every.is_some_and(|k| step.is_multiple_of(k))
    }
}

/// Takes a step, with or without measuring its health.
pub(super) fn take(
    trainer: &mut Trainer<f32>,
    corpus: &Corpus,
    watch: Option<&mut Watch>,
    observer: &mut impl Observer<f32>,
) -> Result<Option<(Step, Option<Glance>)>> {
    Ok(match watch {
        Some(watch) => watch.step(trainer, corpus, observer)?.map(|(s, g)| (s, Some(g))),
        None => trainer.step_observed(corpus, observer)?.map(|step| (step, None)),
    })
}
