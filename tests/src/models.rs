//! Small models with parameters far from their initial values, so that no gradient is small by luck.

use crate::draw;
use calculus::{Parameter, Tape, Var};
use linalg::Real;
use transformer::model::family;
use transformer::{
    Activation, Architecture, Form, Given, Handles, IGNORED, ModelError, RecordedStep, Recording,
};
use transformer::{
    Biases, Norm, Observer, Positions, Rotary, ScheduleKind, Subject, TrainingConfig, Window,
};

/// Two layers of width 8 for 7 words and 5 positions.
pub fn config() -> Architecture {
    Architecture {
        vocabulary: 7,
        context: 5,
        width: 8,
        heads: 2,
        layers: 2,
        hidden: 16,
        ..Architecture::default()
    }
}

/// As [`config`], of the parts of a Llama, with two heads that share a key and a value.
pub fn llama() -> Architecture {
    Architecture {
        positions: Positions::Rotary(Rotary { base: 100.0, ..Rotary::default() }),
        norm: Norm::Rms,
        key_value_heads: Some(1),
        gated: true,
        activation: Activation::Silu,
        biases: Biases::NONE,
        ..config()
    }
}

/// The parts of a family at other sizes: those of `sizes`, and windows of three tokens. If the published layers are of two
/// kinds, every second one here is.
///
/// # Panics
/// If there is no such family, or sizes do not fit its parts.
pub fn family(name: &str, sizes: &Architecture) -> Architecture {
    let published = family::usual(name).expect("a family");
    let alternating = |layers: &[bool]| match layers {
        [only] => vec![*only],
        _ => vec![true, false],
    };
    let small = family::usual_at(name, sizes).expect("sizes that fit");
    let widths = published.head_width() as f64 / small.head_width() as f64;
    Architecture {
        window: published.window.map(|w| Window { size: 3, layers: alternating(&w.layers) }),
        rotary_layers: alternating(&published.rotary_layers),
        // Granite's is 1/d.
        score_scale: published.score_scale.map(|scale| scale * widths),
        ..small
    }
}

/// A run of AdamW that is over in no time: two layers of width 32, four windows of 16 characters.
pub fn training() -> TrainingConfig {
    TrainingConfig {
        layers: 2,
        heads: 2,
        width: 32,
        context: 16,
        bias: true,
        batch: 4,
        steps: 100,
        schedule: ScheduleKind::Constant,
        warmup: 0,
        seed: 1,
        eval_every: 0,
        ..TrainingConfig::default()
    }
}

/// Parameters: gains about 1, all else about 0, with a deviation of 0.4.
pub fn parameters(seed: u64, list: &[Parameter]) -> Vec<f64> {
    let mut all = Vec::new();
    for (k, p) in list.iter().enumerate() {
        let is_gain = transformer::is_gain(p);
        let drawn = draw::normal(seed + k as u64, p.shape.rows, p.shape.columns);
        all.extend(drawn.iter().map(|x| f64::from(u8::from(is_gain)) + 0.4 * x));
    }
    all
}

/// Tokens and targets; every third target is ignored.
pub fn batch(seed: u64, config: &Architecture, tokens: usize) -> (Vec<u32>, Vec<u32>) {
    let mut targets = draw::below(seed + 1, tokens, config.vocabulary);
    targets.iter_mut().skip(1).step_by(3).for_each(|t| *t = IGNORED);
    (draw::below(seed, tokens, config.vocabulary), targets)
}

/// A recorded model with parameters of this seed, and a batch set.
pub fn model<T: Real>(
    config: &Architecture,
    (sequences, length): (usize, usize),
    form: Form,
    seed: u64,
) -> RecordedStep<T> {
    let mut model =
        RecordedStep::record(config, sequences, length, form, 9).expect("a valid model");
    let values = parameters(seed, &model.tape().parameter_list());
    let values: Vec<T> = values.into_iter().map(T::from_f64).collect();
    model.copy_parameters(&values);
    let (tokens, targets) = batch(seed + 500, config, sequences * length);
    model.set_batch(&tokens, &targets).expect("a valid batch");
    model.set_step(Some(3));
    model
}

/// [`model`] as a step that `transformer::inspect::check` certifies, in either recording.
#[derive(Clone, Debug)]
pub struct Step {
    /// The model's sizes.
    pub config: Architecture,
    /// Sequences, and tokens of each.
    pub size: (usize, usize),
    /// How it is recorded.
    pub form: Form,
    /// Chooses parameters and batch.
    pub seed: u64,
}

impl Step {
    /// Its parameters.
    pub fn parameters(&self) -> Vec<f64> {
        let model = model::<f64>(&self.config, self.size, self.form, self.seed);
        model.tape().parameters().to_vec()
    }
}

impl Subject for Step {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        let model = model::<T>(&self.config, self.size, self.form, self.seed);
        Ok(model.into_recording())
    }

    fn batch(&self, _: u64) -> Vec<Given> {
        let model = model::<f64>(&self.config, self.size, self.form, self.seed);
        let names = ["tokens", "targets", "step"];
        let found = names.into_iter().filter_map(|name| Some((name, model.tape().find(name)?)));
        found
            .map(|(name, var)| Given { name, elements: model.tape().elements(var).to_vec() })
            .collect()
    }

    fn length(&self) -> Option<usize> {
        Some(self.size.1)
    }
}

/// Loss and gradients of the batch that is set.
pub fn loss_and_gradients<T: Real>(model: &mut RecordedStep<T>) -> (f64, Vec<f64>) {
    let loss = model.loss_var();
    let tape = model.tape_mut();
    tape.zero_gradients();
    tape.forward();
    tape.backward(loss);
    let gradients = tape.gradients().iter().map(|g| g.to_f64()).collect();
    (tape.value(loss)[0].to_f64(), gradients)
}

/// The loss of the batch that is set.
pub fn loss<T: Real>(model: &mut RecordedStep<T>) -> T {
    model.tape_mut().forward();
    model.tape().value(model.loss_var())[0]
}

/// max |aᵢ − bᵢ| / max |aᵢ|.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let size = a.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let difference = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    assert!(a.iter().chain(b).all(|x| x.is_finite()), "numbers that are none");
    difference.fold(0.0, f64::max) / size.max(f64::MIN_POSITIVE)
}

/// A step whose author calls tokens, targets and logits by these names.
pub fn recording<T: Real>(tape: Tape<T>, loss: Var) -> Recording<T> {
    let [tokens, targets, logits] = ["tokens", "targets", "logits"].map(|name| tape.find(name));
    let handles = Handles { tokens, targets, logits, ..Handles::default() };
    Recording { tape, loss, handles }
}

/// Sees the values and the gradients of a step.
#[derive(Debug)]
pub struct Seen<V, G>(pub V, pub G);

impl<T: Real, V: FnMut(Var, &mut [T]), G: FnMut(Var, &mut [T])> Observer<T> for Seen<V, G> {
    fn value(&mut self, var: Var, value: &mut [T]) {
        self.0(var, value);
    }

    fn gradient(&mut self, var: Var, gradient: &mut [T]) {
        self.1(var, gradient);
    }
}
