//! Applies a fix to a training loop or to its state.

use super::course::State;
use super::cure::Cure;
use super::evidence;
use super::signs::{Gain, gains, inputs, tables};
use crate::inspect::subject::Subject;
use crate::model::initial;
use crate::model::recorded_step::ModelError;
use crate::model::recording::Recording;
use crate::training::recipe::Recipe;
use calculus::schedule::Schedule;
use probability::random::Random;

/// Changes a loop and its state as a fix demands; returns false if the fix concerns neither.
///
/// # Errors
/// If the step cannot be recorded.
pub(crate) fn apply(
    subject: &impl Subject,
    cure: &Cure,
    recipe: &mut Recipe,
    state: &mut State,
) -> Result<bool, ModelError> {
    match cure {
        Cure::Rate(factor) => {
            recipe.schedule = scaled(recipe.schedule, *factor);
        }
        Cure::Warmup(steps) => {
            let peak = peak(recipe.schedule);
            let total = u64::MAX;
            recipe.schedule =
                Schedule::Linear { peak, minimum: peak, warmup: state.steps + steps, total };
        }
        Cure::Clip(norm) => recipe.clip = *norm,
        Cure::Skip(batch) => recipe.skipped.push(*batch),
        Cure::Epsilon(e) => {
            recipe.optimizer.epsilon = *e;
        }
        Cure::Betas(b1, b2) => {
            (recipe.optimizer.beta1, recipe.optimizer.beta2) = (*b1, *b2);
        }
        Cure::Decay => {
            recipe.optimizer.weight_decay = -recipe.optimizer.weight_decay;
        }
        Cure::Zero => recipe.zero_gradients = true,
        Cure::Average => recipe.average = true,
        Cure::LossScale(scale) => recipe.loss_scale = *scale,
        Cure::Store(precision) => recipe.precision = *precision,
        Cure::Shrink(target) => {
            let mut step = subject.record_in_full::<f32>()?;
            step.set_parameters(&state.parameters);
            let list = step.tape.parameter_list();
            // The moments belong to gradients of the large weights.
            state.memory.clear();
            let all = gains(&step.tape).into_iter().chain(tables(&step.tape));
            for Gain { matrix, gain } in all.filter(|g| g.gain > 1.0) {
                let factor = (target / gain) as f32;
                let name = step.tape.name(matrix);
                let ranges = list.iter().filter(|p| p.name == name).map(|p| p.range.clone());
                ranges.for_each(|r| state.parameters[r].iter_mut().for_each(|p| *p *= factor));
            }
        }
        Cure::Mend => {
            let broken = state.parameters.iter_mut().filter(|p| !p.is_finite());
            broken.for_each(|p| *p = 0.0);
        }
        Cure::Forget => state.memory.clear(),
        Cure::Hold(rate) => recipe.schedule = Schedule::Constant { rate: *rate },
        Cure::Redraw(names) => redraw(subject, names, state)?,
        Cure::Adapters(_) => return begin_adapters(subject, state),
        Cure::Stop | Cure::Larger | Cure::Code(_) => return Ok(false),
    }
    Ok(true)
}

/// Returns the step in place of which a fix takes another, if it does: with another factor of its adapters.
pub(crate) fn changed<S: Subject>(subject: &S, cure: &Cure) -> Option<S> {
    match cure {
        Cure::Adapters(factor) => subject.with_adapter_factor(*factor),
        _ => None,
    }
}

/// Begins every adapter anew; returns false if there is none.
fn begin_adapters(subject: &impl Subject, state: &mut State) -> Result<bool, ModelError> {
    let Recording { mut tape, handles, .. } = subject.record::<f32>()?;
    state.memory.clear();
    tape.parameters_mut().copy_from_slice(&state.parameters);
    initial::begin_adapters(&mut tape, &handles.adapters, 1, 0);
    state.parameters.copy_from_slice(tape.parameters());
    Ok(!handles.adapters.is_empty())
}

/// Redraws tensors, with a deviation that halves a vector's size.
fn redraw(subject: &impl Subject, names: &[String], state: &mut State) -> Result<(), ModelError> {
    let step = subject.record_in_full::<f32>()?;
    let tape = &step.tape;
    let unit = evidence::gains(tape);
    // The moments belong to gradients of the old weights.
    state.memory.clear();
    for (i, p) in tape.parameter_list().into_iter().enumerate() {
        if !names.contains(&p.name) {
            continue;
        }
        let inputs = tape.find(&p.name).map_or(1, |matrix| inputs(tape, matrix));
        let random = Random::new(1, i as u32, 0);
        let vector = p.shape.columns == 1 || p.shape.rows == 1;
        for (k, w) in state.parameters[p.range].iter_mut().enumerate() {
            *w = match vector {
                true => f32::from(u8::from(unit.contains(&p.name))),
                false => (0.5 / (inputs as f64).sqrt() * random.normal(k as u64)) as f32,
            };
        }
    }
    Ok(())
}

/// Rounds to one digit.
pub(crate) fn round(x: f64) -> f64 {
    format!("{x:.0e}").parse().unwrap_or(x)
}

/// Returns the highest rate of a decaying schedule.
pub(crate) fn peak(schedule: Schedule) -> f64 {
    match schedule {
        Schedule::Constant { rate } => rate,
        Schedule::Linear { peak, .. }
        | Schedule::Cosine { peak, .. }
        | Schedule::WarmupStableDecay { peak, .. }
        | Schedule::CosineRestarts { peak, .. }
        | Schedule::OneCycle { peak, .. }
        | Schedule::Step { peak, .. } => peak,
    }
}

pub(super) fn scaled(mut schedule: Schedule, by: f64) -> Schedule {
    match &mut schedule {
        Schedule::Constant { rate } => *rate *= by,
        Schedule::Step { peak, .. } => *peak *= by,
        Schedule::Linear { peak, minimum, .. }
        | Schedule::Cosine { peak, minimum, .. }
        | Schedule::CosineRestarts { peak, minimum, .. }
        | Schedule::WarmupStableDecay { peak, minimum, .. } => {
            *peak *= by;
            *minimum *= by;
        }
        Schedule::OneCycle { peak, initial, minimum, .. } => {
            [peak, initial, minimum].into_iter().for_each(|rate| *rate *= by);
        }
    }
    schedule
}

/// Holds a schedule at its peak for `steps` steps; a warm-up takes at most half of them.
pub(crate) fn held(schedule: Schedule, from: u64, steps: u64) -> Schedule {
    let (peak, rise) = match schedule {
        Schedule::Cosine { peak, warmup, .. }
        | Schedule::Linear { peak, warmup, .. }
        | Schedule::CosineRestarts { peak, warmup, .. }
        | Schedule::OneCycle { peak, rise: warmup, .. }
        | Schedule::WarmupStableDecay { peak, warmup, .. } => (peak, warmup),
        Schedule::Constant { .. } | Schedule::Step { .. } => (peak(schedule), 0),
    };
    match rise.saturating_sub(from).min(steps / 2) {
        0 => Schedule::Constant { rate: peak },
        rise => Schedule::Linear { peak, minimum: peak, warmup: from + rise, total: u64::MAX },
    }
}
