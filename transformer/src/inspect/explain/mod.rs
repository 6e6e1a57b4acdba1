//! One training step, every number explained.
//!
//! A step is a value: the unfused recording holds every matrix by name, forward and backward, and every operation
//! states its rule as a [`linalg::Formula`]. An [`Explanation`] replays the step once, with the update that follows,
//! and then only *reads*: which operation computed a number, from which operands, by which arithmetic; by which paths
//! the loss depends on it; how the update uses it. The terminal, the page and the pictures read from it.
//!
//! ```
//! use transformer::{RecordedStep, Architecture, Form};
//! use transformer::inspect::explain::{Descent, Explanation, Subject};
//! let config = Architecture { vocabulary: 5, context: 4, width: 8, heads: 2, ..Default::default() };
//! let mut model = RecordedStep::<f32>::record(&config, 1, 3, Form::Fused, 0)?;
//! model.initialise(1);
//! let step = Explanation::of(Subject {
//!     title: "three tokens".into(),
//!     parameters: model.tape().parameters().to_vec(),
//!     tokens: vec![0, 2, 1],
//!     targets: vec![2, 1, 3],
//!     teacher: vec![],
//!     names: "abcde".chars().map(String::from).collect(),
//!     descent: Descent::plain(0.1),
//!     unigram: None,
//!     remarks: vec![],
//!     seed: 0,
//!     config,
//! })?;
//! let place = step.place("block.0.attention.weights[1,2,0]")?; // head 1, query 2, key 0
//! let derived = step.derive(&place);
//! assert!(derived.holds());
//! assert_eq!(derived.paths[0].equation, "p[i,j] = e^(z[i,j] − mⱼ)/Zⱼ");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adapters;
mod address;
mod blob;
mod change;
mod derived;
mod information;
mod json;
mod ledger;
mod page;
mod picture;
#[cfg(test)]
mod renamed;
mod summary;
mod svg;
mod text;

pub use adapters::{AdapterChange, Spectrum};
pub use address::{AddressError, Place, Quantity};
pub use change::{Change, Outcome};
pub use derived::{Derived, Path};
pub use information::{Bin, Information, Prediction};
pub use ledger::{Group, Ledger, Share};
pub use page::Page;
pub use summary::Summary;

use crate::model::architecture::Architecture;
use crate::model::recorded_step::{Form, ModelError, RecordedStep, Without};
use crate::training::config::TrainingConfig;
use calculus::optimizer::{Optimizer, OptimizerConfig};
use calculus::{Source, Tape, Var, clip};
use linalg::{Formula, Real, Role, Shape, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// The input of an explanation: a model, a text, and the update that follows.
#[derive(Clone, Debug)]
pub struct Subject<T> {
    /// The title of the page.
    pub title: String,
    /// The model's sizes.
    pub config: Architecture,
    /// Its parameters, in the order of recording.
    pub parameters: Vec<T>,
    /// One sequence of tokens.
    pub tokens: Vec<u32>,
    /// The token that follows each one, or [`crate::IGNORED`].
    pub targets: Vec<u32>,
    /// The teacher's logits of every token, one token after another ([`RecordedStep::set_teacher`]); empty if the model has
    /// none ([`Architecture::distillation`]).
    pub teacher: Vec<f32>,
    /// The text of every token of the vocabulary; a missing name is shown as its number.
    pub names: Vec<String>,
    /// The update.
    pub descent: Descent<T>,
    /// General frequencies of the vocabulary's tokens, if known.
    pub unigram: Option<Vec<f64>>,
    /// Remarks for the reader: omissions and substitutions.
    pub remarks: Vec<String>,
    /// The seed of dropout's masks.
    pub seed: u64,
}

/// An update: an optimizer with its state and rates.
#[derive(Clone, Debug)]
pub struct Descent<T> {
    /// The optimizer.
    pub rule: OptimizerConfig,
    /// The learning rate η of this step.
    pub rate: f64,
    /// The largest norm of the whole gradient; 0 does not clip.
    pub clip: f64,
    /// The number of earlier updates.
    pub steps: u64,
    /// The number of the batch, which selects dropout's masks; `None` without dropout.
    pub batch: Option<u64>,
    /// The optimizer state, by name; empty if it starts at zero.
    pub state: Vec<(&'static str, Vec<T>)>,
}

impl<T: Real> Descent<T> {
    /// Creates gradient descent without momentum or clipping.
    pub fn plain(rate: f64) -> Self {
        Descent {
            rule: OptimizerConfig::sgd(0.0),
            rate,
            clip: 0.0,
            steps: 0,
            batch: None,
            state: Vec::new(),
        }
    }

    /// Creates the update of a training run after `steps` of its steps, with empty optimizer state.
    pub fn of_run(config: &TrainingConfig, steps: u64) -> Self {
        Descent {
            rule: config.rule(),
            rate: config.schedule().rate(steps),
            clip: config.clip,
            steps,
            batch: Some(steps * config.accumulate as u64),
            state: Vec::new(),
        }
    }

    /// Creates the optimizer as it is before this update.
    fn optimizer(&self, tape: &Tape<T>) -> Box<dyn Optimizer<T>> {
        let mut optimizer = self.rule.build(&tape.parameter_list());
        for (name, numbers) in optimizer.state() {
            if let Some((_, known)) = self.state.iter().find(|(n, _)| *n == name) {
                numbers.copy_from_slice(known);
            }
        }
        optimizer.set_steps(self.steps);
        optimizer
    }

    /// Returns the largest norm that is not clipped.
    fn limit(&self) -> f64 {
        if self.clip > 0.0 { self.clip } else { f64::INFINITY }
    }
}

/// One value of the step, as shown to readers.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    var: Var,
    name: String,
    source: Source,
    shape: Shape,
    operation: Option<&'static str>,
    branch: Option<&'static str>,
    role: Option<Role>,
    operands: Vec<usize>,
    /// Its readers: node, and position among that node's operands.
    consumers: Vec<(usize, usize)>,
    formula: Option<Formula>,
    /// The number of heads, if columns are (head, query) and rows are keys.
    heads: Option<usize>,
    /// The index of its part of a step, from 0; and its block, if it is in one.
    part: Part,
    block: Option<usize>,
    flops: u64,
    /// A parameter's index among all parameters.
    parameter: Option<usize>,
}

/// The seven parts of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Embedding,
    Attention,
    FeedForward,
    Output,
    Loss,
    Backward,
    Update,
}

impl Part {
    /// Returns the part of a row of a recording, and its block if it is in one.
    fn of<T: Real>(
        model: &RecordedStep<T>,
        row: usize,
        role: Option<Role>,
    ) -> (Self, Option<usize>) {
        let marks = model.marks();
        if let Some(block) = marks.blocks.iter().position(|block| block.rows.contains(&row)) {
            // Attention ends with the sum that adds it to the residual stream.
            let attention = row <= marks.blocks[block].attention.end;
            return (if attention { Part::Attention } else { Part::FeedForward }, Some(block));
        }
        let first_block = marks.blocks.first().map_or(0, |block| block.rows.start);
        let surprisal = model.predictions().map(|p| p.surprisal.index());
        let part = if row == model.targets_var().index()
            || role == Some(Role::Loss)
            || surprisal == Some(row)
        {
            Part::Loss
        } else if row < first_block {
            Part::Embedding
        } else {
            Part::Output
        };
        (part, None)
    }
}

/// A training step that was replayed once, to be read.
#[must_use]
pub struct Explanation<T: Real> {
    subject: Subject<T>,
    model: RecordedStep<T>,
    nodes: Vec<Node>,
    names: HashMap<String, usize>,
    /// ‖g‖ before clipping.
    norm: f64,
    clipped: Vec<T>,
    /// The optimizer state before the update.
    remembered: Vec<(&'static str, Vec<T>)>,
    updated: Vec<T>,
}

impl<T: Real> fmt::Debug for Explanation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explanation")
            .field("title", &self.subject.title)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

impl<T: Real> Explanation<T> {
    /// Replays the step.
    ///
    /// # Errors
    /// If tokens are outside the vocabulary or too many, or there is nothing to predict.
    pub fn of(subject: Subject<T>) -> Result<Self, ModelError> {
        let model = recorded(&subject, Without::default())?;
        Ok(Self::of_recorded(subject, model))
    }

    /// Reads a replayed recording.
    fn of_recorded(subject: Subject<T>, model: RecordedStep<T>) -> Self {
        let mut nodes = read_nodes(&model);
        let updated = update(&subject.descent, &model);
        let optimizer = subject.descent.optimizer(model.tape());
        for node in &mut nodes {
            node.formula = match node.parameter {
                Some(start) => {
                    Some(optimizer.formula(subject.descent.rate, start, &updated.clipped))
                }
                None => model.tape().formula(node.var),
            };
        }
        let names = nodes.iter().enumerate().map(|(i, n)| (n.name.clone(), i)).collect();
        let Updated { norm, clipped, remembered, updated } = updated;
        Explanation { subject, model, nodes, names, norm, clipped, remembered, updated }
    }

    /// Returns the explained input.
    pub fn subject(&self) -> &Subject<T> {
        &self.subject
    }

    /// Adds a remark for readers of the page.
    pub fn add_remark(&mut self, remark: String) {
        self.subject.remarks.push(remark);
    }

    /// Returns the unfused recording, replayed forward and backward.
    pub fn model(&self) -> &RecordedStep<T> {
        &self.model
    }

    /// Returns the loss in nats per token.
    pub fn loss(&self) -> f64 {
        self.model.tape().elements(self.model.loss_var())[0].to_f64()
    }

    /// Returns ‖g‖ of all parameters' gradients, before clipping.
    pub fn gradient_norm(&self) -> f64 {
        self.norm
    }

    /// Returns the factor by which clipping multiplies gradients.
    pub fn clip_factor(&self) -> f64 {
        clip::factor(self.norm, self.subject.descent.limit())
    }

    /// Returns all parameters after the update.
    pub fn updated(&self) -> &[T] {
        &self.updated
    }

    /// Lists every name with its shape, branch and moments, in the order of the recording.
    pub fn list(&self) -> Vec<Listed<'_>> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .map(|(i, node)| Listed {
                name: &node.name,
                shape: node.shape,
                axes: self.axes(i),
                source: node.source,
                operation: node.operation,
                branch: node.branch,
                value: Summary::of(&self.elements(i, Quantity::Value)),
                gradient: self
                    .has(i, Quantity::Gradient)
                    .then(|| Summary::of(&self.elements(i, Quantity::Gradient))),
            })
            .collect()
    }

    /// Checks whether node `i` has such a quantity.
    fn has(&self, i: usize, quantity: Quantity) -> bool {
        match quantity {
            Quantity::Value => true,
            Quantity::Gradient => self.moves(i),
            Quantity::Clipped | Quantity::Updated => self.nodes[i].parameter.is_some(),
            Quantity::Remembered(k) => {
                self.nodes[i].parameter.is_some() && k < self.remembered.len()
            }
        }
    }

    /// Checks whether a value can move: tokens, targets, step numbers and frozen weights cannot.
    fn moves(&self, i: usize) -> bool {
        !matches!(self.nodes[i].source, Source::Input | Source::Frozen)
    }

    /// Returns the elements of a quantity of node `i` in column-major order.
    fn elements(&self, i: usize, quantity: Quantity) -> Cow<'_, [T]> {
        let node = &self.nodes[i];
        let of_parameter = || {
            let start = node.parameter.expect("a parameter");
            start..start + node.shape.len()
        };
        let tape = self.model.tape();
        let collected = |view: View<'_, T>| Cow::Owned(view.iter().copied().collect());
        Cow::Borrowed(match quantity {
            Quantity::Value if tape.is_view(node.var) => return collected(tape.value(node.var)),
            Quantity::Value => tape.elements(node.var),
            Quantity::Gradient if tape.is_view(node.var) => {
                return collected(tape.gradient(node.var));
            }
            Quantity::Gradient => tape.gradient_elements(node.var),
            Quantity::Clipped => &self.clipped[of_parameter()],
            Quantity::Updated => &self.updated[of_parameter()],
            Quantity::Remembered(k) => &self.remembered[k].1[of_parameter()],
        })
    }

    fn element(&self, i: usize, quantity: Quantity, row: usize, column: usize) -> f64 {
        let shape = self.nodes[i].shape;
        if row >= shape.rows || column >= shape.columns {
            return f64::NAN;
        }
        let (tape, var) = (self.model.tape(), self.nodes[i].var);
        match quantity {
            Quantity::Value => tape.value(var)[(row, column)].to_f64(),
            Quantity::Gradient => tape.gradient(var)[(row, column)].to_f64(),
            _ => self.elements(i, quantity)[column * shape.rows + row].to_f64(),
        }
    }

    /// Returns the name of a token.
    fn token_name(&self, token: u32) -> String {
        let name = self.subject.names.get(token as usize);
        name.cloned().unwrap_or_else(|| token.to_string())
    }
}

/// A line of [`Explanation::list`].
#[derive(Clone, Debug)]
pub struct Listed<'a> {
    /// The dotted name.
    pub name: &'a str,
    /// Rows × columns.
    pub shape: Shape,
    /// The ranges of its indices in an address, by name.
    pub axes: Vec<(&'static str, usize)>,
    /// Its source.
    pub source: Source,
    /// The operation that computes it.
    pub operation: Option<&'static str>,
    /// That operation's branch of mathematics.
    pub branch: Option<&'static str>,
    /// Moments of the value.
    pub value: Summary,
    /// Moments of the gradient, if it has one.
    pub gradient: Option<Summary>,
}

impl<T: Real> Subject<T> {
    /// Sets the teacher's logits, if the step has a part of one.
    fn set_teacher<S: Real>(&self, model: &mut RecordedStep<S>) {
        if model.has_teacher() && !self.teacher.is_empty() {
            model.set_teacher(&self.teacher);
        }
    }
}

/// Records a model for the subject's tokens, and replays it forward and backward.
fn recorded<T: Real>(
    subject: &Subject<T>,
    without: Without,
) -> Result<RecordedStep<T>, ModelError> {
    let length = subject.tokens.len();
    let mut model =
        RecordedStep::record_without(&subject.config, 1, length, without, subject.seed)?;
    model.copy_parameters(&subject.parameters);
    model.set_batch(&subject.tokens, &subject.targets)?;
    subject.set_teacher(&mut model);
    model.set_step(subject.descent.batch);
    model.tape_mut().forward();
    let loss = model.loss_var();
    model.tape_mut().zero_gradients();
    model.tape_mut().backward(loss);
    Ok(model)
}

/// The result of an update.
struct Updated<T> {
    norm: f64,
    clipped: Vec<T>,
    remembered: Vec<(&'static str, Vec<T>)>,
    updated: Vec<T>,
}

/// Applies clipping and the update to copies, in the same way as training.
fn update<T: Real>(descent: &Descent<T>, model: &RecordedStep<T>) -> Updated<T> {
    let mut optimizer = descent.optimizer(model.tape());
    let state = optimizer.state().into_iter().filter(|(_, x)| !x.is_empty());
    let remembered = state.map(|(n, x)| (n, x.to_vec())).collect();
    let mut clipped = model.tape().gradients().to_vec();
    let norm = clip::by_global_norm(&mut clipped, descent.limit());
    let mut updated = model.tape().parameters().to_vec();
    optimizer.step(descent.rate, &mut updated, &clipped);
    Updated { norm, clipped, remembered, updated }
}

fn read_nodes<T: Real>(model: &RecordedStep<T>) -> Vec<Node> {
    let tape = model.tape();
    let mut places: HashMap<Var, usize> = HashMap::new();
    let mut nodes: Vec<Node> = Vec::new();
    let parameters: HashMap<String, usize> =
        tape.parameter_list().into_iter().map(|p| (p.name, p.range.start)).collect();
    for (i, row) in tape.rows().enumerate() {
        places.insert(row.var, i);
        let operands: Vec<usize> = row.operands.iter().map(|o| places[o]).collect();
        for (k, &o) in operands.iter().enumerate() {
            nodes[o].consumers.push((i, k));
        }
        let shape = Shape::new(row.value.nrows(), row.value.ncols());
        // Scores have a column per head and query; values of the same shape computed from them keep that meaning.
        let heads = match (row.role, operands.first()) {
            (Some(Role::Scores), _) => Some(shape.columns / shape.rows),
            (Some(_), Some(&o)) if nodes[o].shape == shape => nodes[o].heads,
            _ => None,
        };
        let (part, block) = Part::of(model, i, row.role);
        nodes.push(Node {
            var: row.var,
            name: row.name.to_owned(),
            source: row.source,
            shape,
            operation: row.operation,
            branch: row.branch,
            role: row.role,
            operands,
            consumers: Vec::new(),
            formula: None,
            heads,
            part,
            block,
            flops: row.flops,
            parameter: parameters.get(row.name).copied(),
        });
    }
    nodes
}

/// The recording used for training has the same parameters; the ledger measures on it.
const MEASURED: Form = Form::Fused;
