//! Learning from a teacher: a model whose predictions of the training data are learned beside the data.

use crate::memory;
use crate::model::architecture::Architecture;
use crate::model::recorded_step::{Form, IGNORED, ModelError, RecordedStep, is_counted};
use crate::text::corpus::Window;
use crate::text::teacher::{Teacher, Windows};
use crate::training::config::TrainingConfig;
use crate::training::evaluation::Evaluation;
use infotheory::objective::distillation::Distillation;
use rayon::prelude::*;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

impl TrainingConfig {
    /// The temperature of a teacher's predictions, if none is given: that of DistilBERT. It shows more of the teacher's less
    /// likely tokens than 1, and its gradient is not yet that of all logits alike. Source: Sanh et al., *DistilBERT*, 2019.
    pub const TEMPERATURE: f64 = 2.0;
    /// The share of the teacher in the loss, if none is given: as much as the data's.
    pub const TEACHER_WEIGHT: f64 = 0.5;

    /// Returns how the run learns from its teacher, if it has one.
    ///
    /// ```
    /// use transformer::TrainingConfig;
    /// let teacher = Some("runs/large".to_owned());
    /// let config = TrainingConfig { teacher, temperature: Some(4.0), ..TrainingConfig::default() };
    /// assert_eq!(config.distillation().map(|d| (d.temperature, d.weight)), Some((4.0, 0.5)));
    /// ```
    pub fn distillation(&self) -> Option<Distillation> {
        self.teacher.as_ref().map(|_| Distillation {
            temperature: self.temperature.unwrap_or(Self::TEMPERATURE),
            weight: self.teacher_weight.unwrap_or(Self::TEACHER_WEIGHT),
        })
    }
}

/// A model that predicts windows when they are learned.
pub struct LiveTeacher {
    step: Mutex<RecordedStep<f32>>,
    /// The number of largest logits of a token that count; all if absent.
    top: Option<usize>,
}

impl fmt::Debug for LiveTeacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTeacher").field("step", &*self.step()).field("top", &self.top).finish()
    }
}

impl LiveTeacher {
    /// Records a model that predicts the windows of a run. Its weights are given in the order of its parameter list; if the
    /// model holds the values of some ([`crate::Adaptation::frozen`]), the others are, in recording order.
    ///
    /// # Errors
    /// Windows longer than the model's context; sizes that memory cannot hold.
    ///
    /// # Panics
    /// If the number of weights is not the model's.
    pub fn new(
        model: &Architecture,
        weights: &[f32],
        config: &TrainingConfig,
    ) -> Result<Self, ModelError> {
        let (sequences, length) = (config.sequences_at_once(), config.context);
        let own = model.without_dropout();
        let model =
            Architecture { packed: config.packs(), preference: None, distillation: None, ..own };
        let logits = model.vocabulary as u128 * (sequences * length) as u128;
        memory::afford(logits * size_of::<f32>() as u128)?;
        let mut step = RecordedStep::record_forward_only(&model, sequences, length, Form::Fused)?;
        match model.adaptation.frozen {
            Some(_) => step.copy_parameters(weights),
            None => step.set_weights(weights),
        }
        Ok(LiveTeacher { step: Mutex::new(step), top: config.teacher_top })
    }

    /// Returns the recording; another thread's failure within it left nothing half-written that a replay reads.
    fn step(&self) -> MutexGuard<'_, RecordedStep<f32>> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the model.
    pub fn model(&self) -> Architecture {
        self.step().config().clone()
    }

    /// Measures the teacher on windows, as [`Evaluation::of_watched`].
    ///
    /// # Errors
    /// See [`Evaluation::of`].
    pub fn evaluate(
        &self,
        windows: &[Window],
        batch: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<Evaluation>, ModelError> {
        Evaluation::of_watched(&mut *self.step(), windows, batch)
    }
}

impl Teacher for LiveTeacher {
    fn logits(&self, windows: Windows<'_>, logits: &mut [f32]) -> Result<(), ModelError> {
        let Windows { length, tokens, targets, .. } = windows;
        let words = logits.len() / tokens.len().max(1);
        assert_eq!(logits.len(), words * tokens.len(), "as many logits for every token");
        let mut step = self.step();
        let (room, sequences, size) = (step.length(), step.sequences(), step.batch());
        if length > room {
            return Err(ModelError::Length { found: length, context: room });
        }
        let at_once = sequences * length;
        let parts = tokens.chunks(at_once).zip(targets.chunks(at_once));
        for ((tokens, targets), logits) in parts.zip(logits.chunks_mut(at_once * words)) {
            // A shorter window is filled up; what follows it changes nothing before.
            let place = |i: usize| i / length * room + i % length;
            let (mut own_tokens, mut own_targets) = (vec![0; size], vec![IGNORED; size]);
            for (i, (&token, &target)) in tokens.iter().zip(targets).enumerate() {
                own_tokens[place(i)] = token;
                own_targets[place(i)] = if is_counted(target) { 0 } else { target };
            }
            let counted: Vec<usize> =
                (0..targets.len()).filter(|&i| is_counted(targets[i])).collect();
            let places: Vec<usize> = counted.iter().map(|&i| place(i)).collect();
            let found = step.logits_at((&own_tokens, &own_targets), &places)?;
            let mut columns = vec![usize::MAX; targets.len()];
            counted.iter().enumerate().for_each(|(column, &i)| columns[i] = column);
            logits.par_chunks_mut(words).zip(&columns).for_each_init(
                Vec::new,
                |order, (to, &at)| {
                    if at == usize::MAX {
                        to.fill(0.0);
                        return;
                    }
                    // Models of the same tokens may have tables of different sizes.
                    let from = &found.as_slice()[at * found.nrows()..(at + 1) * found.nrows()];
                    let both = words.min(from.len());
                    to[..both].copy_from_slice(&from[..both]);
                    to[both..].fill(f32::NEG_INFINITY);
                    keep_largest(to, self.top.unwrap_or(words), order);
                },
            );
        }
        Ok(())
    }
}

/// Replaces all but the `top` largest logits by −∞; of equal ones the first count. `order` is memory.
fn keep_largest(logits: &mut [f32], top: usize, order: &mut Vec<u32>) {
    if top >= logits.len() {
        return;
    }
    order.clear();
    order.extend(0..logits.len() as u32);
    let of = |i: u32| logits[i as usize];
    order.select_nth_unstable_by(top, |&a, &b| of(b).total_cmp(&of(a)).then(a.cmp(&b)));
    order[top..].iter().for_each(|&i| logits[i as usize] = f32::NEG_INFINITY);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_largest_stay(
            logits in prop::collection::vec(-3i8..3, 1..40), top in 1usize..50,
        ) {
            let before: Vec<f32> = logits.into_iter().map(f32::from).collect();
            let mut after = before.clone();
            keep_largest(&mut after, top, &mut vec![9; 3]);
            let kept: Vec<usize> = (0..after.len()).filter(|&i| after[i].is_finite()).collect();
            prop_assert_eq!(kept.len(), top.min(before.len()));
            for &i in &kept {
                prop_assert_eq!(after[i], before[i]);
                // Nothing larger is left out, and nothing equal that stands before.
                let better = |&j: &usize| before[j] > before[i] || before[j] == before[i] && j < i;
                prop_assert!((0..before.len()).filter(better).all(|j| after[j].is_finite()));
            }
        }
    }
}
