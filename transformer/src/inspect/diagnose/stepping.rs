//! Takes and watches the steps of a training loop: the same loop as [`crate::Trainer`]'s, with any recipe.

use super::course::{State, Taken};
use super::layers::change;
use super::origin::{self, Origin};
use crate::inspect::subject::Subject;
use crate::model::recorded_step::ModelError;
use crate::model::recording::Recording;
use crate::training::recipe::Recipe;
use crate::training::trainer::{is_sound, place};
use crate::training::training_loop::{Observer, Replay, Source, TrainingLoop, copy};
use calculus::optimizer::Optimizer;
use calculus::{Parameter, Tape, Witness, clip, hidden_matrices};
use linalg::parallel::BLOCK;
use linalg::{Role, Shape, View, column};
use rayon::prelude::*;
use std::fmt;
use std::ops::{ControlFlow, Range};

/// A training loop that is watched.
pub struct Course<'a, S: Subject> {
    /// The step.
    pub subject: &'a S,
    /// The recorded step, as the last step left it.
    pub recording: Recording<f32>,
    training: TrainingLoop<f32>,
    watching: Watching,
}

impl<S: Subject> fmt::Debug for Course<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Course")
            .field("recipe", self.recipe())
            .field("recording", &self.recording)
            .finish_non_exhaustive()
    }
}

/// A subject's batches, each with the same share of a step.
struct Numbered<'a, S: Subject> {
    subject: &'a S,
    recording: &'a mut Recording<f32>,
}

impl<S: Subject> Source<f32> for Numbered<'_, S> {
    fn recording(&mut self) -> &mut Recording<f32> {
        self.recording
    }

    fn give(&mut self, number: u64, replays: u64) -> Result<f64, ModelError> {
        self.recording.give(&self.subject.batch(number));
        Ok(1.0 / replays as f64)
    }
}

/// The measurements of a step.
#[derive(Default)]
struct Watching {
    loss_scale: f64,
    /// Ranges of parameters, one per layer.
    layers: Vec<Vec<Range<usize>>>,
    /// Whether the optimizer state was validated: only loaded state needs it.
    sound: bool,
    /// The first invalid number of that state.
    broken: Option<Origin>,
    /// The replays' mean loss.
    loss: f64,
    /// The replay whose loss or gradient is not finite, and the norm of the gradient so far.
    failed: Option<(Replay, f64)>,
    /// The largest magnitude of every value and of every value's gradient.
    largest: [Vec<f64>; 2],
    /// The state before the update, if the step came that far.
    before: Option<State>,
    /// The gradients that the optimizer was passed, before clipping.
    handed: Vec<f32>,
    /// A state whose memory the next step uses again: fresh memory takes longer to map than to fill.
    spare: Option<State>,
    /// A parameter that the update made non-finite, and the number of others.
    spoilt: Option<(usize, usize)>,
    /// Norm of the change over norm of the parameters, of all and of each layer.
    ratios: (f64, Vec<f64>),
}

impl Watching {
    /// Resets the measurements of the previous step.
    fn forget(&mut self) {
        let Watching { loss_scale, layers, sound, before, handed, spare, .. } =
            std::mem::take(self);
        let spare = spare.or(before);
        *self = Watching { loss_scale, layers, sound, handed, spare, ..Watching::default() };
    }

    /// Returns the first number in the optimizer state that training cannot produce.
    fn broken(list: &[Parameter], optimizer: &mut dyn Optimizer<f32>) -> Option<Origin> {
        let broken = |name, m: &[f32]| m.iter().position(|&m| !is_sound(name, f64::from(m)));
        let state = optimizer.state().into_iter();
        let mut all = state.filter_map(|(name, m)| Some((name, broken(name, m)?, m)));
        let (name, at, m) = all.next()?;
        let (parameter, element) = place(list, at);
        let others = m.iter().filter(|&&m| !is_sound(name, f64::from(m))).count() - 1;
        Some(Origin::remembered(name, &parameter, element, f64::from(m[at]), others))
    }
}

impl Observer<f32> for Watching {
    fn replayed(&mut self, recording: &Recording<f32>, replay: Replay) -> ControlFlow<()> {
        let (tape, (done, of)) = (&recording.tape, replay.done);
        self.loss += replay.loss / of as f64;
        let norm = clip::global_norm(tape.gradients()) / self.loss_scale;
        let fails = !replay.loss.is_finite() || !norm.is_finite();
        if fails || done == of {
            let masks = |v| !tape.source(v).is_weight();
            let values = tape.vars().map(|v| largest(tape.value(v), masks(v))).collect();
            let gradients = tape.vars().map(|v| largest(tape.gradient(v), false)).collect();
            self.largest = [values, gradients];
        }
        if fails {
            self.failed = Some((replay, norm));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn before_update(
        &mut self,
        tape: &Tape<f32>,
        optimizer: &mut dyn Optimizer<f32>,
    ) -> ControlFlow<()> {
        if !std::mem::replace(&mut self.sound, true) {
            self.broken = Watching::broken(&tape.parameter_list(), optimizer);
        }
        let mut before = self.spare.take().unwrap_or_else(|| State::start(vec![]));
        before.steps = optimizer.steps();
        copy(tape.parameters(), &mut before.parameters);
        let state = optimizer.state();
        before.memory.resize(state.len(), vec![]);
        for ((_, from), to) in state.into_iter().zip(&mut before.memory) {
            copy(from, to);
        }
        copy(tape.gradients(), &mut self.handed);
        self.before = Some(before);
        match self.broken {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    fn after_update(&mut self, tape: &Tape<f32>) {
        let after = tape.parameters();
        if let Some(at) = after.iter().position(|p| !p.is_finite()) {
            let others = after.iter().filter(|p| !p.is_finite()).count() - 1;
            self.spoilt = Some((at, others));
            return;
        }
        let Some(before) = &self.before else { return };
        let ratio = |ranges: &[Range<usize>]| {
            let (moved, size) = change(&before.parameters, after, ranges);
            moved / size.max(f64::MIN_POSITIVE)
        };
        let all = ratio(std::slice::from_ref(&(0..after.len())));
        self.ratios = (all, self.layers.iter().map(|ranges| ratio(ranges)).collect());
    }
}

/// Returns the largest magnitude of an element; infinite if one is NaN or infinite, except −∞ if it `masks`.
fn largest(x: View<'_, f32>, masks: bool) -> f64 {
    // The bits of magnitudes are in the order of magnitudes, those of NaN above ∞.
    let bits = |x: &f32| match x.to_bits() {
        bits if masks && bits == f32::NEG_INFINITY.to_bits() => 0,
        bits => bits & !(1 << 31),
    };
    let of_column = |j| {
        let chunks = column(&x, j).par_chunks(BLOCK);
        chunks.map(|part| part.iter().map(bits).fold(0, u32::max)).reduce(|| 0, u32::max)
    };
    let columns = (0..x.ncols()).into_par_iter().with_min_len((BLOCK / x.nrows().max(1)).max(1));
    match f32::from_bits(columns.map(of_column).reduce(|| 0, u32::max)) {
        finite if finite.is_finite() => f64::from(finite),
        _ => f64::INFINITY,
    }
}

impl<'a, S: Subject> Course<'a, S> {
    /// Resumes from a state.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    ///
    /// # Panics
    /// If the state belongs to another model.
    pub fn from(subject: &'a S, recipe: &Recipe, state: &State) -> Result<Self, ModelError> {
        let mut recording = subject.record::<f32>()?;
        recording.set_parameters(&state.parameters);
        let optimizer = state.optimizer(recipe, &recording.tape.parameter_list());
        let mut training = TrainingLoop::new(recipe.clone(), optimizer);
        training.left.clone_from(&state.gradients);
        let layers = recording.tape.layers().into_iter().map(|(_, r)| r).collect();
        let loss_scale = recipe.loss_scale;
        let watching = Watching { loss_scale, layers, ..Watching::default() };
        Ok(Course { subject, recording, training, watching })
    }

    /// Returns the current state.
    pub fn state(&mut self) -> State {
        let steps = self.training.steps();
        let memory = self.training.optimizer.state().into_iter();
        State {
            steps,
            memory: memory.map(|(_, m)| m.to_vec()).collect(),
            parameters: self.recording.tape.parameters().to_vec(),
            gradients: self.training.left.clone(),
        }
    }

    /// Returns the state before the last step, without copying it if it was kept for an update.
    pub(crate) fn take_before(&mut self) -> State {
        self.watching.before.take().unwrap_or_else(|| self.state())
    }

    /// Takes a state that is no longer needed: the next step uses its memory.
    pub(crate) fn reuse(&mut self, state: State) {
        self.watching.spare = Some(state);
    }

    /// Returns the number of the next step's first batch.
    pub fn next_batch(&self) -> u64 {
        self.training.steps() * self.recipe().accumulate
    }

    fn recipe(&self) -> &Recipe {
        &self.training.recipe
    }

    /// Takes one step. If the loss or a gradient is not finite, nothing is changed and the origin is returned; so it is
    /// if the update makes a parameter non-finite.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    pub fn step(&mut self) -> Result<Taken, ModelError> {
        let (number, mut batch) = (self.training.steps() + 1, self.next_batch());
        let rate = self.recipe().schedule.rate(number - 1);
        let replays = self.training.replays().len();
        self.watching.forget();
        let left = self.training.left.clone();
        let mut source = Numbered { subject: self.subject, recording: &mut self.recording };
        let step = self.training.step(&mut source, &mut self.watching)?;
        let (mut loss, mut gradient_norm) = match step {
            Some(step) => (step.loss, step.gradient_norm),
            None => (self.watching.loss, clip::global_norm(&self.watching.handed)),
        };
        if let Some(before) = &mut self.watching.before {
            before.gradients = left;
        }
        let mut origin = self.watching.broken.take();
        if let Some((replay, norm)) = self.watching.failed {
            (loss, gradient_norm, batch) = (replay.loss, norm, replay.number);
            let Recipe { precision, loss_scale, average, .. } = *self.recipe();
            let share = if average { 1.0 / replays as f64 } else { 1.0 };
            let (given, scale) = (self.subject.batch(batch), (loss_scale * share) as f32);
            let parameters = self.recording.tape.parameters();
            origin = origin::find(self.subject, parameters, &given, precision, scale)?;
        }
        if let (Some((at, others)), Some(before)) = (self.watching.spoilt, &self.watching.before) {
            let factor = clip::factor(gradient_norm, self.recipe().largest_norm());
            let mut spoilt = self.update_origin(before, at, (rate, factor));
            spoilt.inherited = others;
            origin = Some(spoilt);
        }
        let Watching { largest: [largest, largest_gradient], ratios, .. } = &mut self.watching;
        let (update_ratio, layer_ratios) = std::mem::take(ratios);
        Ok(Taken {
            number,
            batch,
            loss,
            gradient_norm,
            update_ratio,
            layer_ratios,
            rate,
            largest: std::mem::take(largest),
            largest_gradient: std::mem::take(largest_gradient),
            origin,
        })
    }

    /// Repeats the update of one parameter on witnesses ([`Witness`]): of its whole matrix if the optimizer needs that
    /// and it is small enough.
    fn update_origin(&self, before: &State, at: usize, (rate, factor): (f64, f64)) -> Origin {
        /// Elements of a matrix times its smaller side: some seconds.
        const LARGEST: usize = 1 << 22;
        let list = self.recording.tape.parameter_list();
        let State { steps, parameters, memory, .. } = before;
        let handed = |i: usize| factor as f32 * self.watching.handed[i];
        let gradient = handed(at);
        let optimizer = &self.recipe().optimizer;
        let whole = hidden_matrices(&list).find(|p| p.range.contains(&at));
        let whole = whole.filter(|_| optimizer.kind.by_matrix());
        let (own, range) = match whole {
            Some(p) => (Parameter { range: 0..p.range.len(), ..p.clone() }, p.range.clone()),
            None => {
                // Its shape and its uses decide about its decay and its share of the rate.
                let own = list.iter().find(|p| p.range.contains(&at)).expect("a parameter");
                (Parameter { range: 0..1, ..own.clone() }, at..at + 1)
            }
        };
        let short = own.shape.rows.min(own.shape.columns);
        let spoilt = if range.len().saturating_mul(short) <= LARGEST {
            let mut rule = optimizer.build::<Witness<f32>>(&[own]);
            rule.set_steps(*steps);
            for ((_, own), saved) in rule.state().into_iter().zip(memory) {
                // A rule without this state has saved none.
                let saved = saved.get(range.clone()).unwrap_or_default();
                own.iter_mut().zip(saved).for_each(|(own, &saved)| *own = Witness::new(saved));
            }
            let all =
                |of: &dyn Fn(usize) -> f32| range.clone().map(|i| Witness::new(of(i))).collect();
            let (mut updated, gradients): (Vec<_>, Vec<_>) =
                (all(&|i| parameters[i]), all(&handed));
            rule.step(rate, &mut updated, &gradients);
            updated[at - range.start]
        } else {
            Witness::new(f32::NAN)
        };
        let (name, element) = place(&list, at);
        let mut origin = Origin::update(&name, element, spoilt);
        let operand = |name: &str, x: f32| super::Operand {
            name: name.to_owned(),
            range: (f64::from(x), f64::from(x)),
            what: "that element",
        };
        origin.operands = vec![operand("parameter", parameters[at]), operand("gradient", gradient)];
        for ((name, _), m) in optimizer.build::<f32>(&[]).state().into_iter().zip(memory) {
            origin.operands.extend(m.get(at).map(|&m| operand(&name.replace('_', " "), m)));
        }
        let of_step = (rate, rate);
        let (name, what) = ("learning rate".to_owned(), "of this step");
        origin.operands.push(super::Operand { name, range: of_step, what });
        // Infinite before it was applied to any number.
        let size = rate / optimizer.corrections(*steps)[0];
        if origin.fault.is_none() && !(size as f32).is_finite() {
            origin.arithmetic =
                format!("the step size {size:.4e} is beyond {:.4e}, the largest f32", f32::MAX);
        }
        origin
    }

    /// Returns the average gradient of the batches of step `number`: what the loop should pass to its optimizer.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    pub fn fresh_gradient(&self, state: &State) -> Result<Vec<f32>, ModelError> {
        let mut step = self.subject.record::<f32>()?;
        step.set_parameters(&state.parameters);
        let batches = self.recipe().replays(state.steps);
        let share = 1.0 / batches.len().max(1) as f64;
        step.tape.zero_gradients();
        for &batch in &batches {
            step.give(&self.subject.batch(batch));
            step.tape.forward_and_backward(step.loss, share as f32);
        }
        Ok(step.tape.gradients().to_vec())
    }

    /// Returns the gradient that the last step passed to its optimizer, before clipping.
    pub fn handed(&self) -> &[f32] {
        &self.watching.handed
    }

    /// Returns what the update makes of parameters of 1 whose gradients are and were 0: the factor of decay.
    pub fn decay_factor(&self) -> f64 {
        decay_factor(self.recipe(), self.training.steps())
    }
}

/// Returns what the update after `steps` makes of a parameter of 1 whose gradients are and were 0: the factor of decay.
pub(super) fn decay_factor(recipe: &Recipe, steps: u64) -> f64 {
    let (name, uses) = (String::new(), vec![(Role::Linear, 0)]);
    let matrix = Parameter { name, shape: Shape::new(1, 1), range: 0..1, uses, output: false };
    let mut rule = recipe.optimizer.build::<f64>(&[matrix]);
    let mut parameter = [1.0];
    rule.step(recipe.schedule.rate(steps), &mut parameter, &[0.0]);
    parameter[0]
}
