//! A training loop of its own, that knows nothing of `diagnose`: what a user writes who applies a cure. It takes the
//! same settings as values, and `calculus`' optimisers.

use super::families::Decoder;
use super::tiny::{Beast, Classifier, Fault, Tiny};
use calculus::clip;
use calculus::optimizer::{Adam, Optimizer, OptimizerConfig, OptimizerKind, Sgd};
use calculus::schedule::Schedule;
use calculus::{Source, Var};
use std::ops::Range;
use transformer::inspect::diagnose::{Cure, Diagnosis, Direction, Recipe, State, Trial};
use transformer::{Precision, Recording, Subject, Without};

/// A model, where it begins, and how it is trained.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) beast: Beast,
    pub(crate) start: State,
    pub(crate) recipe: Recipe,
}

/// Steps at the end of which the mean loss counts.
const LAST: usize = 20;

impl Run {
    /// The run without its fault: the model as it is meant, its weights as drawn, the settings that work.
    pub(crate) fn healthy(&self) -> Run {
        if self.recipe.precision != Precision::F32 {
            // The format is the fault; all else is what it is.
            let recipe =
                Recipe { precision: Precision::F32, loss_scale: 1.0, ..self.recipe.clone() };
            return Run { recipe, ..self.clone() };
        }
        let rule = match self.recipe.optimizer.kind {
            OptimizerKind::Sgd => Recipe::sgd(0.3),
            _ => Recipe::adam(3e-3),
        };
        let rule = Recipe { accumulate: self.recipe.accumulate, ..rule };
        match &self.beast {
            Beast::Tiny(tiny) => {
                let healthy = Tiny { fault: Fault::Healthy, spoilt: None, ..tiny.clone() };
                let start = State::start(healthy.parameters(1));
                Run { beast: Beast::Tiny(healthy), start, recipe: rule }
            }
            Beast::Classifier(classifier) => {
                // Other classes are another task, which can be learnt from its beginning.
                let turned = classifier.turned.map(|_| 0);
                let healthy = Classifier { spike: None, turned };
                let start = State::start(healthy.parameters());
                Run { beast: Beast::Classifier(healthy), start, recipe: rule }
            }
            Beast::Decoder(decoder) => {
                let healthy = Decoder { without: Without::default(), ..(**decoder).clone() };
                let start = State::start(healthy.parameters());
                Run { beast: Beast::from(&healthy), start, recipe: rule }
            }
        }
    }

    /// What it costs to know nothing: ln V, or the first loss where that is less or scaled.
    pub(crate) fn uniform(&self) -> f64 {
        let mut step = self.beast.record_in_full::<f32>().expect("a valid model");
        let logits = step.tape.find("logits").expect("logits");
        let uniform = (step.tape.shape(logits).rows as f64).ln();
        step.set_parameters(&self.start.parameters);
        step.give(&self.beast.batch(0));
        uniform.min(f64::from(step.forward()))
    }

    /// The run with a cure applied from where its trial began.
    pub(crate) fn cured(&self, trial: &Trial) -> Run {
        // Up to there it goes as it went.
        let mut run = self.clone();
        let gone = trial.from.saturating_sub(self.start.steps);
        if gone > 0 {
            run.start = self.after(gone).0;
        }
        let (recipe, start) = (&mut run.recipe, &mut run.start);
        match trial.change.clone() {
            Cure::Rate(factor) => match &mut recipe.schedule {
                Schedule::Constant { rate } => *rate *= factor,
                Schedule::Linear { peak, minimum, .. } | Schedule::Cosine { peak, minimum, .. } => {
                    (*peak, *minimum) = (*peak * factor, *minimum * factor);
                }
                other => panic!("no animal has {other:?}"),
            },
            Cure::Warmup(steps) => match recipe.schedule {
                Schedule::Constant { rate } => {
                    let (warmup, total) = (start.steps + steps, u64::MAX);
                    recipe.schedule = Schedule::Linear { peak: rate, minimum: rate, warmup, total };
                }
                other => panic!("no animal has {other:?}"),
            },
            Cure::Clip(norm) => recipe.clip = norm,
            Cure::Skip(batch) => recipe.skipped.push(batch),
            Cure::Zero => recipe.zero_gradients = true,
            Cure::Average => recipe.average = true,
            Cure::LossScale(scale) => recipe.loss_scale = scale,
            Cure::Store(precision) => recipe.precision = precision,
            Cure::Forget => start.memory.clear(),
            Cure::Mend => {
                let broken = start.parameters.iter_mut().filter(|p| !p.is_finite());
                broken.for_each(|p| *p = 0.0);
            }
            Cure::Epsilon(_) | Cure::Betas(..) | Cure::Decay => {
                let rule = &mut recipe.optimizer;
                assert_eq!(rule.kind, OptimizerKind::Adam);
                match trial.change {
                    Cure::Epsilon(e) => rule.epsilon = e,
                    Cure::Betas(b1, b2) => (rule.beta1, rule.beta2) = (b1, b2),
                    _ => rule.weight_decay = -rule.weight_decay,
                }
            }
            Cure::Shrink(target) => {
                shrink(&self.beast, &mut start.parameters, target);
                start.memory.clear();
            }
            Cure::Hold(rate) => recipe.schedule = Schedule::Constant { rate },
            Cure::Redraw(names) => {
                redraw(&self.beast, &mut start.parameters, &names);
                start.memory.clear();
            }
            Cure::Stop => panic!("no change of what follows"),
            Cure::Larger => {
                let (beast, parameters) = self.beast.larger().expect("a larger animal");
                return Run { beast, start: State::start(parameters), recipe: recipe.clone() };
            }
            other => panic!("{other} was tried"),
        }
        run
    }

    /// The mean loss of the last of so many steps; NaN where any loss or weight is not finite.
    pub(crate) fn train(&self, steps: u64) -> f64 {
        let losses = self.after(steps).1;
        if losses.len() < steps as usize || losses.iter().any(|l| !l.is_finite()) {
            return f64::NAN;
        }
        losses[losses.len() - LAST..].iter().sum::<f64>() / LAST as f64
    }

    /// The state after so many steps, and the losses on the way, as far as they are finite.
    pub(crate) fn after(&self, steps: u64) -> (State, Vec<f64>) {
        let Recipe { optimizer, schedule, clip, accumulate, .. } = self.recipe.clone();
        let mut step = self.beast.record::<f32>().expect("a valid model");
        let mut weights = self.start.parameters.clone();
        let n = weights.len();
        let matrices: Vec<Range<usize>> = step
            .tape
            .parameter_list()
            .into_iter()
            .filter(|p| p.shape.rows > 1 && p.shape.columns > 1)
            .map(|p| p.range)
            .collect();
        let OptimizerConfig { kind, momentum, beta1, beta2, epsilon, weight_decay, .. } = optimizer;
        let mut rule: Box<dyn Optimizer<f32>> = match kind {
            OptimizerKind::Sgd => Box::new(Sgd::new(n, momentum)),
            OptimizerKind::Adam => {
                Box::new(Adam::new(n, beta1, beta2, epsilon).with_decay(weight_decay, matrices))
            }
            other => panic!("no animal has {other}"),
        };
        for ((_, own), saved) in rule.state().into_iter().zip(&self.start.memory) {
            own.copy_from_slice(saved);
        }
        rule.set_steps(self.start.steps);
        let (mut losses, mut gradient) = (vec![], vec![0.0_f32; n]);
        for number in self.start.steps..self.start.steps + steps {
            let batches: Vec<u64> = (number * accumulate..(number + 1) * accumulate)
                .filter(|batch| !self.recipe.skipped.contains(batch))
                .collect();
            if self.recipe.zero_gradients {
                gradient.fill(0.0);
            }
            let mut mean = 0.0;
            for &batch in &batches {
                step.set_parameters(&weights);
                step.give(&self.beast.batch(batch));
                mean += self.replay(&mut step) / batches.len() as f64;
                let parts = if self.recipe.average { batches.len() as f32 } else { 1.0 };
                let scale = self.recipe.loss_scale as f32 * parts;
                gradient.iter_mut().zip(step.tape.gradients()).for_each(|(s, g)| *s += g / scale);
            }
            if batches.is_empty() {
                // The next loss counts for both.
                losses.extend(losses.last().copied());
                continue;
            }
            losses.push(mean);
            let mut handed = gradient.clone();
            clip::by_global_norm(&mut handed, if clip > 0.0 { clip } else { f64::INFINITY });
            rule.step(schedule.rate(number), &mut weights, &handed);
            if !mean.is_finite() || weights.iter().any(|w| !w.is_finite()) {
                break;
            }
        }
        let memory = rule.state().into_iter().map(|(_, m)| m.to_vec()).collect();
        let steps = self.start.steps + losses.len() as u64;
        (State { steps, parameters: weights, memory, gradients: vec![] }, losses)
    }

    /// What a plain replay of the step that failed has where a diagnosis says that the first wrong number stands, and
    /// how many other values (of a step), gradients (backward) or weights (of an update) are wrong. Masked scores of
    /// −∞ are right.
    pub(crate) fn spoilt(&self, found: &Diagnosis) -> Option<(f64, usize)> {
        let origin = found.origin.as_ref()?;
        let good = &found.last_good;
        let (i, j) = origin.element;
        let wrong = |x: &f32| x.is_nan() || *x == f32::INFINITY;
        if origin.operation.ends_with("moment") {
            let list = self.beast.record::<f32>().ok()?.tape.parameter_list();
            let p = list.into_iter().find(|p| p.name == origin.name)?;
            let at = p.range.start + j * p.shape.rows + i;
            let which = usize::from(origin.operation.starts_with("second"));
            let bad = |m: &&f32| !m.is_finite() || (which == 1 && **m < 0.0);
            let memory = &self.start.memory[which];
            return Some((f64::from(memory[at]), memory.iter().filter(bad).count() - 1));
        }
        if origin.direction == Direction::Update {
            let run = Run { start: good.clone(), ..self.clone() };
            let after = run.after(1).0.parameters;
            let list = self.beast.record::<f32>().ok()?.tape.parameter_list();
            let p = list.into_iter().find(|p| p.name == origin.name)?;
            let value = after[p.range.start + j * p.shape.rows + i];
            let count = after.iter().filter(|w| !w.is_finite()).count();
            return Some((f64::from(value), count - 1));
        }
        let mut step = self.beast.record_in_full::<f32>().ok()?;
        step.set_parameters(&good.parameters);
        step.give(&self.beast.batch(found.history.last()?.batch));
        self.replay(&mut step);
        let (tape, loss) = (&step.tape, step.loss);
        let var = tape.find(&origin.name)?;
        let at = j * tape.shape(var).rows + i;
        let backward = origin.direction == Direction::Backward;
        let elements = |v| if backward { tape.gradient(v) } else { tape.value(v) };
        // −∞ masks scores, but neither a gradient nor a weight.
        let spoilt = |v: &Var, x: &f32| match backward || tape.source(*v) == Source::Parameter {
            true => !x.is_finite(),
            false => wrong(x),
        };
        let needed = tape.vars().zip(tape.dependencies(loss)).filter(|(_, needed)| *needed);
        let count = needed.filter(|(v, _)| elements(*v).iter().any(|x| spoilt(v, x))).count();
        Some((f64::from(elements(var)[at]), count - 1))
    }

    /// Forward and backward, with what is stored rounded where the format is short; the loss.
    fn replay(&self, step: &mut Recording<f32>) -> f64 {
        let precision = self.recipe.precision;
        let round = |x: &mut f32| *x = precision.round(*x);
        let (tape, loss) = (&mut step.tape, step.loss);
        if precision != Precision::F32 {
            tape.parameters_mut().iter_mut().for_each(round);
        }
        tape.forward_watched(|_, x| x.iter_mut().for_each(round));
        tape.zero_gradients();
        tape.backward_watched(loss, &[self.recipe.loss_scale as f32], |var, g| {
            if var != loss {
                g.iter_mut().for_each(round);
            }
        });
        if precision != Precision::F32 {
            tape.parameters_and_gradients().1.iter_mut().for_each(round);
        }
        f64::from(tape.elements(loss)[0])
    }
}

/// Every matrix to the target gain if it has more than 1: the root mean square of its elements times the root of its
/// inputs, of which a table that is looked up reads one.
fn shrink(beast: &Beast, parameters: &mut [f32], target: f64) {
    let tape = beast.record::<f32>().expect("a valid model").tape;
    for p in tape.parameter_list() {
        // The head is a table, too (inputs × words).
        let inputs = match p.name.as_str() {
            "head.table" => p.shape.rows,
            "token.table" | "position.table" => 1,
            name if name.ends_with("weight") => p.shape.columns,
            _ => continue,
        };
        let own = &mut parameters[p.range];
        let squares: f64 = own.iter().map(|w| f64::from(*w).powi(2)).sum();
        let gain = (squares / own.len() as f64 * inputs as f64).sqrt();
        if gain > 1.0 {
            own.iter_mut().for_each(|w| *w *= (target / gain) as f32);
        }
    }
}

/// Tensors drawn anew, by hand: gains 1, other vectors 0, matrices of half a gain.
fn redraw(beast: &Beast, weights: &mut [f32], names: &[String]) {
    let step = beast.record::<f32>().expect("a valid model");
    for p in step.tape.parameter_list().into_iter().filter(|p| names.contains(&p.name)) {
        let random = probability::random::Random::new(2024, 7, 0);
        // A table's vectors are its columns; a matrix multiplies vectors of as many elements as it has columns.
        let inputs = if p.name.ends_with("table") { p.shape.rows } else { p.shape.columns };
        for (i, w) in weights[p.range].iter_mut().enumerate() {
            *w = match p.shape.columns {
                1 if p.name.ends_with("gain") => 1.0,
                1 => 0.0,
                _ => (0.5 * random.normal(i as u64) / (inputs as f64).sqrt()) as f32,
            };
        }
    }
}
