//! Known mistakes in another program's step, each tried with our recording.

use super::align::{Place, places};
use super::{Dump, bounds, exceeding, record};
use crate::inspect::compare::rounding::Rounding;
use crate::model::architecture::{
    Activation, Architecture, Gain, Norm, Placement, Positions, Rotary, Window,
};
use crate::model::family::Family;
use crate::model::parameter_kind::{is_bias, is_vector};
use crate::model::recorded_step::RecordedStep;
use calculus::optimizer::OptimizerConfig;
use calculus::{Parameter, Var};
use linalg::{Real, Role};

/// A step to try mistakes in.
pub(super) struct Trial<'a> {
    pub(super) dump: &'a Dump,
    pub(super) architecture: &'a Architecture,
    pub(super) family: &'a dyn Family,
    pub(super) parameters: &'a [f64],
}

/// A change of values while our step runs: (model, variable, all values so far, its value).
type Change = fn(&RecordedStep<f64>, Var, &mut [f64]);

/// A mistake: another architecture, or another computation of some operation.
struct Mistake {
    words: String,
    architecture: Architecture,
    change: Option<Change>,
    /// A parameter that the other program leaves out: a bias.
    without: Option<usize>,
}

impl Trial<'_> {
    /// Returns the mistakes with which our value at a place equals the dumped one, given the dump's values before it.
    pub(super) fn of_value(
        &self,
        name: &str,
        place: &Place,
        model: &RecordedStep<Rounding>,
        own: &[Rounding],
    ) -> Vec<String> {
        let wanted = &self.dump.tensors[name];
        let bounds = bounds(own, place.column());
        let mut found = Vec::new();
        for mistake in self.mistakes(place, model) {
            let Some(value) = self.tried(&mistake, place, model) else { continue };
            if value.len() == wanted.len() && exceeding(&value, wanted, &bounds).is_none() {
                found.push(mistake.words);
            }
        }
        found
    }

    /// Records our step with a mistake, and returns the value at a place; `None` if there is no such step.
    fn tried(
        &self,
        mistake: &Mistake,
        place: &Place,
        model: &RecordedStep<Rounding>,
    ) -> Option<Vec<f64>> {
        let mut parameters = self.parameters.to_vec();
        let list = model.tape().parameter_list();
        if let Some(at) = mistake.without {
            parameters[list[at].range.clone()].fill(0.0);
        }
        let other = crate::model::layers::parameter_list(&mistake.architecture).ok()?;
        if other.len() != list.len() || other.iter().zip(&list).any(|(a, b)| a.shape != b.shape) {
            return None;
        }
        let mut step = record::<f64>(&mistake.architecture, self.dump, &parameters).ok()?;
        // Another architecture may have more values: its places are its own.
        let (own, _) = places(self.dump, self.family, &step);
        let wanted = own.iter().find(|p| (&p.module, p.output) == (&place.module, place.output))?;
        let before: Vec<&Place> =
            own.iter().filter(|p| p.var.index() < wanted.var.index()).collect();
        let vars: Vec<Var> = step.tape().vars().collect();
        for at in vars {
            if step.tape().operation(at).is_none() || step.tape().is_view(at) {
                continue;
            }
            step.tape_mut().forward_one(at);
            let mut value = step.tape().elements(at).to_vec();
            if let Some(change) = mistake.change {
                change(&step, at, &mut value);
            }
            let rows = step.tape().shape(at).rows;
            for own in before.iter().filter(|own| own.var == at) {
                if let Some(numbers) = self.dump.tensors.get(&own.name()) {
                    own.set(&mut value, rows, numbers.iter().copied());
                }
            }
            step.tape_mut().elements_mut(at).copy_from_slice(&value);
        }
        let rows = step.tape().shape(wanted.var).rows;
        let value: Vec<f64> = step.tape().value(wanted.var).iter().copied().collect();
        Some(wanted.elements(&value, rows))
    }

    fn mistakes(&self, place: &Place, model: &RecordedStep<Rounding>) -> Vec<Mistake> {
        let base = self.architecture;
        let mut all = Vec::new();
        let mut add = |words: String, architecture: Architecture| {
            if architecture != *base && architecture.validate().is_ok() {
                all.push(Mistake { words, architecture, change: None, without: None });
            }
        };
        for epsilon in [0.0, 1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3] {
            let words = format!("ε of the norms is {epsilon:e}, not {:e}", base.epsilon);
            add(words, Architecture { epsilon, ..base.clone() });
        }
        for &activation in Activation::ALL {
            let words = format!(
                "the activation is {}, not {}",
                activation.hugging_face()[0],
                base.activation.hugging_face()[0]
            );
            add(words, Architecture { activation, ..base.clone() });
        }
        for norm in [Norm::Layer, Norm::Rms] {
            let words = "the norm subtracts the mean, or does not".to_owned();
            add(words, Architecture { norm, ..base.clone() });
        }
        for gain in [Gain::Plain, Gain::OnePlus] {
            let words = "the norm's gain is the weight, or 1 plus the weight".to_owned();
            add(words, Architecture { gain, ..base.clone() });
        }
        for &placement in Placement::ALL {
            let words = format!("norms stand {}, not {}", placement.key(), base.placement.key());
            add(words, Architecture { placement, ..base.clone() });
        }
        let head = base.head_width() as f64;
        for (what, scale) in [
            ("not scaled", 1.0),
            ("divided by √(features of a head)", 1.0 / head.sqrt()),
            ("divided by √width", 1.0 / (base.width as f64).sqrt()),
            ("divided by the features of a head", 1.0 / head),
        ] {
            let score_scale = Some(scale).filter(|s| *s != base.usual_score_scale());
            add(format!("scores are {what}"), Architecture { score_scale, ..base.clone() });
        }
        for size in [self.dump.length.saturating_sub(1), self.dump.length / 2] {
            let window = Window::repeating(size.max(1), vec![true]);
            add(
                format!("a token sees {size} tokens only"),
                Architecture { window, ..base.clone() },
            );
        }
        add("all earlier tokens are seen".into(), Architecture { window: None, ..base.clone() });
        if let Positions::Rotary(rotary) = base.positions {
            for rotary_base in [1e4, 1e5, 5e5, 1e6] {
                let positions = Positions::Rotary(Rotary { base: rotary_base, ..rotary });
                let words = format!("the base of rotary positions is {rotary_base}");
                add(words, Architecture { positions, ..base.clone() });
            }
            add(
                "queries and keys are not rotated".into(),
                Architecture { rotary_layers: vec![false], ..base.clone() },
            );
        }
        for scale in [1.0, (base.width as f64).sqrt()] {
            let words = format!("the embedding is multiplied by {scale}");
            add(words, Architecture { embedding_scale: scale, ..base.clone() });
        }
        let plain = |words: &str, change: Change| Mistake {
            words: words.to_owned(),
            architecture: base.clone(),
            change: Some(change),
            without: None,
        };
        all.push(plain("the mask is missing: tokens see the future", |model, var, x| {
            mask(model, var, x, usize::MAX);
        }));
        all.push(plain("the mask is off by one: a token sees the next one", |model, var, x| {
            mask(model, var, x, 1);
        }));
        all.push(plain("rotary positions turn neighbours (2i, 2i+1), not halves", interleaved));
        all.push(plain("the residual sum leaves out the stream", |model, var, x| {
            only(model, var, x, 1);
        }));
        all.push(plain("the residual sum leaves out the part", |model, var, x| {
            only(model, var, x, 0);
        }));
        all.push(plain("positions are not added to the embedding", |model, var, x| {
            let tape = model.tape();
            if model.marks().residual.first() == Some(&var) && tape.role(var) == Some(Role::Sum) {
                let own: Vec<f64> = tape.value(tape.operands(var)[0]).iter().copied().collect();
                x.copy_from_slice(&own);
            }
        }));
        // Biases of the operation that reads the module's parameter.
        let (tape, list) = (model.tape(), model.tape().parameter_list());
        let vars: Vec<Var> = tape.parameter_vars().map(|(var, _)| var).collect();
        for (at, parameter) in list.iter().enumerate().filter(|(_, p)| is_bias(p)) {
            if tape.operands(place.reader).contains(&vars[at]) {
                all.push(Mistake {
                    words: format!("{} is not added", parameter.name),
                    architecture: base.clone(),
                    change: None,
                    without: Some(at),
                });
            }
        }
        all
    }
}

/// Lets every query see `more` keys after its own.
fn mask(model: &RecordedStep<f64>, var: Var, x: &mut [f64], more: usize) {
    let tape = model.tape();
    if tape.role(var) != Some(Role::Mask) {
        return;
    }
    let (length, scores) = (tape.shape(var).rows, tape.elements(tape.operands(var)[0]));
    for (column, own) in x.chunks_mut(length).enumerate() {
        let query = column % length;
        for key in query + 1..length.min(query.saturating_add(more).saturating_add(1)) {
            own[key] = scores[column * length + key];
        }
    }
}

/// Keeps one operand of a sum of the residual stream.
fn only(model: &RecordedStep<f64>, var: Var, x: &mut [f64], operand: usize) {
    let tape = model.tape();
    let marked = model.marks().residual.contains(&var);
    let inside = tape.role(var) == Some(Role::Sum);
    let first = model.marks().residual.first() == Some(&var);
    if inside && !first && (marked || tape.shape(var).rows == model.config().width) {
        let from: Vec<f64> = tape.value(tape.operands(var)[operand]).iter().copied().collect();
        x.copy_from_slice(&from);
    }
}

/// Rotates neighbouring coordinates by the angles of our rotation.
fn interleaved(model: &RecordedStep<f64>, var: Var, x: &mut [f64]) {
    let (tape, config) = (model.tape(), model.config());
    let Positions::Rotary(rotary) = config.positions else { return };
    if tape.role(var) != Some(Role::Rotation) {
        return;
    }
    let from: Vec<f64> = tape.value(tape.operands(var)[0]).iter().copied().collect();
    let (rows, width) = (tape.shape(var).rows, config.head_width());
    let turned = (width as f64 * rotary.share) as usize / 2 * 2;
    for (column, (x, from)) in x.chunks_mut(rows).zip(from.chunks(rows)).enumerate() {
        let position = (column % model.length()) as f64;
        for (x, from) in x.chunks_mut(width).zip(from.chunks(width)) {
            for i in 0..turned / 2 {
                let angle = position * rotary.base.powf(-2.0 * i as f64 / turned as f64);
                let (sin, cos) = angle.sin_cos();
                let (a, b) = (from[2 * i], from[2 * i + 1]);
                (x[2 * i], x[2 * i + 1]) = (a * cos - b * sin, a * sin + b * cos);
            }
        }
    }
}

/// Whether the dumped gradient is ours times a constant.
pub(super) fn scaled(dump: &Dump, name: &str, place: &Place, own: &[Rounding]) -> Vec<String> {
    let other = &dump.tensors[name];
    let plain: Vec<f64> = own.iter().map(|x| x.to_f64()).collect();
    if other.iter().all(|x| *x == 0.0) {
        return vec!["no gradient arrives: a part after it is detached".to_owned()];
    }
    let size: f64 = plain.iter().map(|x| x * x).sum();
    let factor = plain.iter().zip(other).map(|(a, b)| a * b).sum::<f64>() / size;
    let scaled: Vec<f64> = plain.iter().map(|x| factor * x).collect();
    let bounds: Vec<f64> =
        bounds(own, place.column()).iter().map(|bound| bound * factor.abs().max(1.0)).collect();
    match factor.is_finite() && exceeding(&scaled, other, &bounds).is_none() {
        true => vec![format!(
            "the gradient is {factor:.6} times ours: the loss is scaled, or summed and not averaged"
        )],
        false => vec!["values agree, the gradient does not: a part is detached, or has a backward rule of its own"
            .to_owned()],
    }
}

/// An update of the dump.
pub(super) struct Update<'a> {
    pub(super) dump: &'a Dump,
    pub(super) list: &'a [Parameter],
    pub(super) parameters: &'a [f64],
    pub(super) gradients: &'a [f64],
}

impl Update<'_> {
    /// Returns our update of the dumped parameters by the dumped gradients: AdamW, with decay of matrices.
    pub(super) fn ours(&self) -> Vec<Rounding> {
        let (rate, config) = self.dump.optimizer.unwrap_or((0.0, OptimizerConfig::default()));
        self.by(rate, config, |_, _| 0.0)
    }

    /// Returns an update in which some elements decay by more: `more(parameter, value)` is subtracted after it.
    fn by(
        &self,
        rate: f64,
        config: OptimizerConfig,
        more: impl Fn(&Parameter, f64) -> f64,
    ) -> Vec<Rounding> {
        let numbers = |x: &[f64]| x.iter().map(|x| Rounding::from_f64(*x)).collect::<Vec<_>>();
        let (mut parameters, mut gradients) = (numbers(self.parameters), numbers(self.gradients));
        let mut rule = config.build::<Rounding>(self.list);
        rule.step_scaled(rate, 1.0, &mut parameters, &mut gradients);
        for parameter in self.list {
            for at in parameter.range.clone() {
                parameters[at] -= Rounding::from_f64(more(parameter, self.parameters[at]));
            }
        }
        parameters.into_iter().map(Rounding::stored).collect()
    }

    /// Returns the mistakes with which our update equals the dumped one.
    pub(super) fn mistakes(&self, updated: &[f64]) -> Vec<String> {
        let Some((rate, config)) = self.dump.optimizer else { return vec![] };
        let decays = |p: &Parameter| !is_vector(p);
        let decay = config.weight_decay;
        let none = OptimizerConfig { weight_decay: 0.0, ..config };
        let mut tried: Vec<(String, Vec<Rounding>)> = vec![
            (
                "decay also acts on biases and gains".into(),
                self.by(rate, config, |p, x| if decays(p) { 0.0 } else { rate * decay * x }),
            ),
            ("nothing decays".into(), self.by(rate, none, |_, _| 0.0)),
        ];
        for epsilon in [1e-10, 1e-8, 1e-7, 1e-6, 1e-5].into_iter().filter(|e| *e != config.epsilon)
        {
            let changed = OptimizerConfig { epsilon, ..config };
            tried.push((
                format!("ε of the optimizer is {epsilon:e}, not {:e}", config.epsilon),
                self.by(rate, changed, |_, _| 0.0),
            ));
            tried.push((
                format!(
                    "ε of the optimizer is {epsilon:e}, and decay also acts on biases and gains"
                ),
                self.by(rate, changed, |p, x| if decays(p) { 0.0 } else { rate * decay * x }),
            ));
        }
        let agrees = |own: &[Rounding]| {
            let plain: Vec<f64> = own.iter().map(|x| x.to_f64()).collect();
            exceeding(&plain, updated, &bounds(own, 1)).is_none()
        };
        let found = tried.into_iter().filter(|(_, own)| agrees(own));
        found.map(|(words, _)| words).collect()
    }
}
