//! Takes the steps of a training loop that is given as a value.

use super::course::{Recipe, State, Taken};
use super::layers::change;
use super::origin::{self, Origin};
use crate::inspect::precision::Precision;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::model::recording::Recording;
use crate::training::trainer::{is_sound, place};
use calculus::optimizer::{Optimizer, OptimizerConfig, OptimizerKind};
use calculus::{Parameter, Witness, clip, matrices};
use linalg::{Role, Shape, View, column};
use std::fmt;
use std::ops::Range;

/// A training loop under way.
pub struct Course<'a, S: Subject> {
    /// The step.
    pub subject: &'a S,
    /// The loop.
    pub recipe: Recipe,
    /// The recorded step, as the last step left it.
    pub recording: Recording<f32>,
    optimizer: Box<dyn Optimizer<f32>>,
    /// The parameters, which the recording holds rounded.
    master: Vec<f32>,
    left: Vec<f32>,
    decayed: Vec<Range<usize>>,
    /// Parameters, layer by layer.
    layers: Vec<Vec<Range<usize>>>,
    /// Whether what the optimiser remembers was looked at.
    sound: bool,
}

impl<S: Subject> fmt::Debug for Course<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Course")
            .field("recipe", &self.recipe)
            .field("recording", &self.recording)
            .finish_non_exhaustive()
    }
}

impl<'a, S: Subject> Course<'a, S> {
    /// Goes on from a state.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    ///
    /// # Panics
    /// If the state is of another model.
    pub fn from(subject: &'a S, recipe: &Recipe, state: &State) -> Result<Self, ModelError> {
        let recording = subject.record::<f32>()?;
        let list = recording.tape.parameter_list();
        let decayed = matrices(&list);
        let n = recording.tape.parameters().len();
        assert_eq!(n, state.parameters.len(), "a state of another model");
        let optimizer = recipe.rule(&list, state);
        let mut left = state.gradients.clone();
        left.resize(n, 0.0);
        let master = state.parameters.clone();
        let layers = recording.tape.layers().into_iter().map(|(_, r)| r).collect();
        let recipe = recipe.clone();
        let sound = false;
        Ok(Course { subject, recipe, recording, optimizer, master, left, decayed, layers, sound })
    }

    /// Where it stands.
    pub fn state(&mut self) -> State {
        State {
            steps: self.optimizer.steps(),
            parameters: self.master.clone(),
            memory: self.optimizer.state().into_iter().map(|(_, m)| m.to_vec()).collect(),
            gradients: if self.recipe.zero_gradients { vec![] } else { self.left.clone() },
        }
    }

    /// The number of the first batch of the next step.
    pub fn next_batch(&self) -> u64 {
        self.optimizer.steps() * self.recipe.accumulate
    }

    fn batches(&self) -> Vec<u64> {
        let first = self.next_batch();
        let all = first..first + self.recipe.accumulate;
        all.filter(|b| !self.recipe.skipped.contains(b)).collect()
    }

    /// One step. Where the loss or a gradient is not finite nothing is changed and the origin is told;
    /// where the update makes a parameter something that is not finite, it is told too.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    pub fn step(&mut self) -> Result<Taken, ModelError> {
        let (number, batch) = (self.optimizer.steps() + 1, self.next_batch());
        let rate = self.recipe.schedule.rate(number - 1);
        let batches = self.batches();
        let (precision, scale) = (self.recipe.precision, self.recipe.loss_scale);
        let n = self.master.len();
        let exact = precision == Precision::F32;
        // Of values that are rounded each batch is propagated back by itself.
        let mut sum = if self.recipe.zero_gradients { vec![0.0; n] } else { self.left.clone() };
        let equal = 1.0 / batches.len().max(1) as f64;
        let share = if self.recipe.average { equal } else { 1.0 };
        let upstream = (scale * share) as f32;
        let mut taken = Taken {
            number,
            batch,
            loss: 0.0,
            gradient_norm: 0.0,
            update_ratio: 0.0,
            layer_ratios: vec![],
            rate,
            largest: vec![],
            largest_gradient: vec![],
            origin: None,
        };
        // As `Trainer::step` does it, to the bit: every batch adds to what is there.
        self.recording.tape.parameters_and_gradients().1.copy_from_slice(&sum);
        self.recording.set_parameters(&self.master);
        for &batch in &batches {
            let given = self.subject.batch(batch);
            self.recording.give(&given);
            let loss = self.recording.loss;
            if exact {
                self.recording.tape.forward_and_backward(loss, upstream);
            } else {
                self.recording.set_parameters(&self.master);
                origin::forward_rounded(&mut self.recording, precision);
                let store = |g| precision.round(g);
                origin::backward(&mut self.recording.tape, loss, upstream, store);
            }
            let tape = &self.recording.tape;
            let nats = f64::from(tape.elements(loss)[0]);
            taken.loss += equal * nats;
            let norm = clip::global_norm(tape.gradients()) / scale;
            if !nats.is_finite() || !norm.is_finite() {
                self.measure(&mut taken);
                taken.loss = nats;
                taken.gradient_norm = norm;
                taken.batch = batch;
                taken.origin =
                    origin::find(self.subject, &self.master, &given, precision, upstream)?;
                return Ok(taken);
            }
            if !exact {
                sum.iter_mut().zip(tape.gradients()).for_each(|(s, g)| *s += g);
            }
        }
        if exact {
            sum.copy_from_slice(self.recording.tape.gradients());
        }
        self.measure(&mut taken);
        if scale != 1.0 {
            let back = (1.0 / scale) as f32;
            sum.iter_mut().for_each(|g| *g *= back);
        }
        self.left.copy_from_slice(&sum);
        let limit = if self.recipe.clip > 0.0 { self.recipe.clip } else { f64::INFINITY };
        taken.gradient_norm = clip::global_norm(&sum);
        if batches.is_empty() {
            self.optimizer.set_steps(number);
            return Ok(taken);
        }
        // What was read from outside: later moments are this loop's own.
        if !std::mem::replace(&mut self.sound, true)
            && let Some(origin) = self.broken_memory()
        {
            taken.origin = Some(origin);
            return Ok(taken);
        }
        let factor = clip::factor(taken.gradient_norm, limit);
        let before = self.master.clone();
        let memory: Vec<Vec<f32>> =
            self.optimizer.state().into_iter().map(|(_, m)| m.to_vec()).collect();
        self.optimizer.step_scaled(rate, factor, &mut self.master, &mut sum);
        let spoilt = self.master.iter().position(|p| !p.is_finite());
        if let Some(at) = spoilt {
            let gradient = factor as f32 * self.left[at];
            let origin = self.update_origin(at, rate, number - 1, &before, &memory, gradient);
            taken.origin = Some(origin);
            // As before the step: the last good state.
            self.master = before;
            for ((_, own), saved) in self.optimizer.state().into_iter().zip(&memory) {
                own.copy_from_slice(saved);
            }
            self.optimizer.set_steps(number - 1);
            return Ok(taken);
        }
        let ratio = |ranges: &[Range<usize>]| {
            let (moved, size) = change(&before, &self.master, ranges);
            moved / size.max(f64::MIN_POSITIVE)
        };
        taken.update_ratio = ratio(std::slice::from_ref(&(0..n)));
        taken.layer_ratios = self.layers.iter().map(|ranges| ratio(ranges)).collect();
        Ok(taken)
    }

    fn measure(&self, taken: &mut Taken) {
        let tape = &self.recording.tape;
        let largest = |x: View<'_, f32>| -> f64 {
            let elements = || (0..x.ncols()).flat_map(|j| column(&x, j));
            let finite = elements().all(|x| x.is_finite() || *x == f32::NEG_INFINITY);
            if !finite {
                return f64::INFINITY;
            }
            elements().filter(|x| x.is_finite()).fold(0.0, |m, x| f64::from(x.abs()).max(m))
        };
        taken.largest = tape.vars().map(|v| largest(tape.value(v))).collect();
        taken.largest_gradient = tape.vars().map(|v| largest(tape.gradient(v))).collect();
    }

    /// The first number that the optimiser remembers and that no training leaves behind.
    fn broken_memory(&mut self) -> Option<Origin> {
        let list = self.recording.tape.parameter_list();
        let broken = |name, m: &[f32]| m.iter().position(|&m| !is_sound(name, f64::from(m)));
        let state = self.optimizer.state().into_iter();
        let mut all = state.filter_map(|(name, m)| Some((name, broken(name, m)?, m)));
        let (name, at, m) = all.next()?;
        let (parameter, element) = place(&list, at);
        let others = m.iter().filter(|&&m| !is_sound(name, f64::from(m))).count() - 1;
        Some(Origin::remembered(name, &parameter, element, f64::from(m[at]), others))
    }

    /// The update of one parameter again, on witnesses ([`Witness`]).
    fn update_origin(
        &self,
        at: usize,
        rate: f64,
        steps: u64,
        before: &[f32],
        memory: &[Vec<f32>],
        gradient: f32,
    ) -> Origin {
        let decays = self.decayed.iter().any(|r| r.contains(&at));
        let mut rule = self.recipe.optimizer.build::<Witness<f32>>(&[one(decays)]);
        rule.set_steps(steps);
        for ((_, own), saved) in rule.state().into_iter().zip(memory) {
            if let (Some(own), Some(&saved)) = (own.first_mut(), saved.get(at)) {
                *own = Witness::new(saved);
            }
        }
        let mut parameter = [Witness::new(before[at])];
        rule.step(rate, &mut parameter, &[Witness::new(gradient)]);
        let (name, element) = place(&self.recording.tape.parameter_list(), at);
        let mut origin = Origin::update(&name, element, parameter[0]);
        let spoilt = self.master.iter().filter(|p| !p.is_finite()).count();
        origin.inherited = spoilt.saturating_sub(1);
        let operand = |name: &str, x: f32| super::Operand {
            name: name.to_owned(),
            range: (f64::from(x), f64::from(x)),
            what: "that element",
        };
        origin.operands = vec![operand("parameter", before[at]), operand("gradient", gradient)];
        for ((name, _), m) in rule.state().into_iter().zip(memory) {
            origin.operands.extend(m.get(at).map(|&m| operand(&name.replace('_', " "), m)));
        }
        let of_step = (rate, rate);
        let (name, what) = ("learning rate".to_owned(), "of this step");
        origin.operands.push(super::Operand { name, range: of_step, what });
        // Infinite before it met any number.
        let size = match self.recipe.optimizer {
            OptimizerConfig { kind: OptimizerKind::Adam, beta1, .. } => {
                rate / (1.0 - beta1.powf((steps + 1) as f64))
            }
            _ => rate,
        };
        if origin.fault.is_none() && !(size as f32).is_finite() {
            origin.arithmetic =
                format!("the step size {size:.4e} is beyond {:.4e}, the largest f32", f32::MAX);
        }
        origin
    }

    /// The gradient of the batches of step `number` by themselves, averaged: what the loop should hand
    /// to its optimiser.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    pub fn fresh_gradient(&self, state: &State) -> Result<Vec<f32>, ModelError> {
        let mut step = self.subject.record::<f32>()?;
        step.set_parameters(&state.parameters);
        let first = state.steps * self.recipe.accumulate;
        let batches: Vec<u64> = (first..first + self.recipe.accumulate)
            .filter(|b| !self.recipe.skipped.contains(b))
            .collect();
        let share = 1.0 / batches.len().max(1) as f64;
        step.tape.zero_gradients();
        for &batch in &batches {
            step.give(&self.subject.batch(batch));
            step.tape.forward_and_backward(step.loss, share as f32);
        }
        Ok(step.tape.gradients().to_vec())
    }

    /// The gradient that the last step handed to its optimiser, before clipping.
    pub fn handed(&self) -> &[f32] {
        &self.left
    }

    /// What the update does to parameters of 1 whose gradient is and was 0: the factor of decay.
    pub fn decay_factor(&self) -> f64 {
        let rate = self.recipe.schedule.rate(self.optimizer.steps());
        let mut rule = self.recipe.optimizer.build::<f64>(&[one(true)]);
        let mut parameter = [1.0];
        rule.step(rate, &mut parameter, &[0.0]);
        parameter[0]
    }
}

/// One parameter by itself, which decays or not.
fn one(decays: bool) -> Parameter {
    let uses = if decays { vec![(Role::Linear, 0)] } else { vec![] };
    Parameter { name: String::new(), shape: Shape::new(1, 1), range: 0..1, uses }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::subject::ModelStep;
    use crate::text::corpus::Corpus;
    use crate::training::config::tests::tiny;
    use crate::training::config::{OptimizerKind, ScheduleKind, TrainingConfig};
    use crate::training::trainer::Trainer;

    /// The loop that is diagnosed is the loop that trains, to the bit: losses, norms, parameters and moments, with
    /// a batch in three parts, two batches a step, dropout and clipping.
    #[test]
    fn a_watched_loop_is_the_trainers() {
        let (adam, sgd) = (OptimizerKind::Adam, OptimizerKind::Sgd);
        for (optimizer, momentum, clip, schedule) in [
            (adam, 0.0, 0.02, ScheduleKind::Cosine),
            (adam, 0.0, 0.0, ScheduleKind::Linear),
            (sgd, 0.9, 0.02, ScheduleKind::Cosine),
            (sgd, 0.0, 0.0, ScheduleKind::Constant),
        ] {
            let config = TrainingConfig {
                optimizer,
                momentum,
                schedule,
                dropout: 0.2,
                // Three sequences of the nine are replayed at once: at most 1024 tokens.
                batch: 9,
                context: 128,
                accumulate: 2,
                clip,
                ..tiny()
            };
            let random = probability::random::Random::new(5, 0, 0);
            let tokens = (0..6000).map(|i| random.below(i, 20) as u32).collect();
            let corpus = Corpus::text(tokens, 0.1, config.context).unwrap();
            let model = config.model(20).unwrap();
            let mut trainer = Trainer::<f32>::new(config.clone(), &model).unwrap();
            let start = State::start(trainer.model().tape().parameters().to_vec());
            let recipe = Recipe::of_run(&config);
            assert_eq!((recipe.parts, recipe.accumulate), (3, 6));
            let step = ModelStep::of_run(&config, &model, &corpus);
            let mut course = Course::from(&step, &recipe, &start).unwrap();
            let mut clipped = 0;
            for _ in 0..10 {
                let (own, theirs) = (course.step().unwrap(), trainer.step(&corpus).unwrap());
                assert!(own.origin.is_none() && theirs.applied);
                let bits = |x: [f64; 3]| x.map(f64::to_bits);
                assert_eq!(
                    bits([own.loss, own.gradient_norm, own.rate]),
                    bits([theirs.loss, theirs.gradient_norm, theirs.learning_rate]),
                    "{optimizer:?}, step {}: {own:?}, {theirs:?}",
                    own.number
                );
                clipped += usize::from(clip > 0.0 && own.gradient_norm > clip);
                let state = course.state();
                let mut all = vec![state.parameters];
                all.extend(state.memory);
                for (own, (name, theirs)) in all.iter().zip(trainer.state()) {
                    let same = own.iter().zip(&*theirs).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same && own.len() == theirs.len(), "{optimizer:?}: {name}");
                }
            }
            assert!(clip == 0.0 || clipped > 0, "nothing was clipped: the norms are smaller");
        }
    }
}
