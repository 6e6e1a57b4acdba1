//! Describes an architecture by its parts: parameters, floating-point operations and memory of each.
//!
//! Nothing is computed from a formula of its own. The step that training would record is written down without allocating
//! its memory ([`RecordedStep::outline`]); every row states its operations ([`linalg::Primitive::flops`]), and the memory
//! plan states the values in use between the forward and the backward replay. A row belongs to a part by its place
//! ([`crate::Marks`]) and its operation's role; a parameter or an input belongs to the first operation that reads it.

mod compare;

pub use compare::{Change, Comparison};

use crate::model::architecture::Architecture;
use crate::model::family;
use crate::model::outline::Outline;
use crate::model::recorded_step::{ModelError, RecordedStep};
use crate::training::training_memory::state_per_parameter;
use calculus::optimizer::{OptimizerConfig, OptimizerKind};
use calculus::{Planned, Source};
use linalg::{Primitive, Role, product::Product};
use serde::Serialize;
use std::collections::BTreeMap;

/// The costs of a part, or of several together. Memory is in bytes of `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Costs {
    /// Parameters.
    pub parameters: u64,
    /// Floating-point operations of the forward replay of the step.
    pub forward_flops: u64,
    /// Floating-point operations of the backward replay of the step.
    pub backward_flops: u64,
    /// Bytes of the weights.
    pub weights: u64,
    /// Bytes of the weights' gradients.
    pub gradients: u64,
    /// Bytes of the optimizer state.
    pub optimizer: u64,
    /// Bytes of values that the step keeps from the forward to the backward replay.
    pub activations: u64,
    /// Bytes of the key-value cache for each token of a text in generation.
    pub cache: u64,
}

impl Costs {
    /// Returns the floating-point operations of the step, forward and backward, for each of its tokens.
    pub fn flops_per_token(&self, tokens: u64) -> f64 {
        (self.forward_flops + self.backward_flops) as f64 / tokens as f64
    }

    /// Returns the bytes in use between the forward and the backward replay.
    pub fn bytes(&self) -> u64 {
        self.weights + self.gradients + self.optimizer + self.activations
    }

    fn add(&mut self, other: &Costs) {
        self.parameters += other.parameters;
        self.forward_flops += other.forward_flops;
        self.backward_flops += other.backward_flops;
        self.weights += other.weights;
        self.gradients += other.gradients;
        self.optimizer += other.optimizer;
        self.activations += other.activations;
        self.cache += other.cache;
    }

    fn sum<'a>(parts: impl IntoIterator<Item = &'a Part>) -> Costs {
        let mut sum = Costs::default();
        parts.into_iter().for_each(|part| sum.add(&part.costs));
        sum
    }
}

/// A part of the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Its costs.
    #[serde(flatten)]
    pub costs: Costs,
}

/// Blocks of the same kind, together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Blocks {
    /// Their numbers, from 0.
    pub layers: Vec<usize>,
    /// The number of tokens that a token sees, if their attention has a window.
    pub window: Option<usize>,
    /// The base of their rotation, if positions are rotary.
    pub rotary_base: Option<f64>,
    /// Their parts, each summed over these blocks.
    pub parts: Vec<Part>,
}

/// An architecture by its parts, with the costs of one training step.
///
/// ```
/// use calculus::optimizer::OptimizerConfig;
/// use transformer::{Architecture, inspect::describe::Description};
/// let gpt2 = Architecture {
///     vocabulary: 50257, context: 1024, width: 768, heads: 12, layers: 12, hidden: 3072, ..Architecture::default()
/// };
/// let described = Description::of(&gpt2, 1, 1024, OptimizerConfig::default())?;
/// assert_eq!(described.total.parameters, 124_439_808);
/// assert_eq!(described.blocks[0].layers.len(), 12);
/// assert_eq!(described.total.cache, 2 * 12 * 768 * 4); // a key and a value in every block
/// # Ok::<(), transformer::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// The architecture.
    pub architecture: Architecture,
    /// The family as which it is stored.
    pub family: &'static str,
    /// Sequences of the step.
    pub sequences: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// The optimizer.
    pub optimizer: OptimizerKind,
    /// The parts before the first block.
    pub before: Vec<Part>,
    /// The blocks, by kind, in the order of each kind's first block.
    pub blocks: Vec<Blocks>,
    /// The parts after the last block.
    pub after: Vec<Part>,
    /// The sum of all parts.
    pub total: Costs,
    /// Bytes of the step besides the parts: gradients of activations and scratch memory, which are reused all the time.
    pub reused: u64,
}

/// A part, in the order of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Embedding,
    Positions,
    Norms,
    Maps,
    QueryKeyNorm,
    Rotation,
    Scores,
    Projection,
    FeedForward,
    Sums,
    FinalNorm,
    Head,
    Loss,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Embedding => "embedding",
            Kind::Positions => "positions",
            Kind::Norms => "norms",
            Kind::Maps => "query, key, value",
            Kind::QueryKeyNorm => "query-key norm",
            Kind::Rotation => "rotation",
            Kind::Scores => "scores",
            Kind::Projection => "projection",
            Kind::FeedForward => "feed-forward",
            Kind::Sums => "residual sums",
            Kind::FinalNorm => "final norm",
            Kind::Head => "head",
            Kind::Loss => "loss",
        }
    }
}

/// The place of a row: 0 before the blocks, i + 1 in block i, above that after the blocks; and its part.
type Place = (usize, Kind);

impl Description {
    /// Describes an architecture by a training step of `sequences` sequences of `length` tokens.
    ///
    /// # Errors
    /// Sizes that contradict each other, or that no memory could hold.
    pub fn of(
        architecture: &Architecture,
        sequences: usize,
        length: usize,
        optimizer: OptimizerConfig,
    ) -> Result<Self, ModelError> {
        let outline = RecordedStep::<f32>::outline(architecture, sequences, length)?;
        let parts = summed(&outline, architecture.layers, state_per_parameter(optimizer));
        let last = architecture.layers + 1;
        let of = |section: usize| {
            let own = parts.iter().filter(move |((s, _), _)| *s == section);
            own.map(|(&(_, kind), &costs)| Part { name: kind.name(), costs }).collect::<Vec<_>>()
        };
        let mut blocks: Vec<Blocks> = Vec::new();
        for i in 0..architecture.layers {
            let window = architecture.window(i);
            let rotary_base = architecture.rotation(i, 1).map(|rotation| rotation.base);
            let same = |b: &&mut Blocks| (b.window, b.rotary_base) == (window, rotary_base);
            match blocks.iter_mut().find(same) {
                Some(kind) => {
                    kind.layers.push(i);
                    kind.parts
                        .iter_mut()
                        .zip(of(i + 1))
                        .for_each(|(sum, p)| sum.costs.add(&p.costs));
                }
                None => {
                    blocks.push(Blocks { layers: vec![i], window, rotary_base, parts: of(i + 1) })
                }
            }
        }
        let (before, after) = (of(0), of(last));
        let within = blocks.iter().flat_map(|kind| &kind.parts);
        let total = Costs::sum(before.iter().chain(within).chain(&after));
        let memory = outline.memory;
        let values = memory.values + memory.gradients + memory.kept + memory.scratch;
        Ok(Description {
            architecture: architecture.clone(),
            family: family::of(architecture).name(),
            sequences,
            length,
            optimizer: optimizer.kind,
            before,
            blocks,
            after,
            total,
            reused: values as u64 - total.activations,
        })
    }

    /// Returns the tokens of the step.
    pub fn tokens(&self) -> u64 {
        self.sequences as u64 * self.length as u64
    }

    /// Returns the floating-point operations of the step, forward and backward, for each of its tokens.
    pub fn flops_per_token(&self) -> f64 {
        self.total.flops_per_token(self.tokens())
    }

    /// Returns the bytes that training takes: weights, gradients, optimizer state, and the memory of the step.
    pub fn bytes(&self) -> u64 {
        self.total.bytes() + self.reused
    }
}

impl Blocks {
    /// Returns the costs of these blocks together.
    pub fn total(&self) -> Costs {
        Costs::sum(&self.parts)
    }
}

/// Returns the costs of every part; `state` is the optimizer's numbers per parameter.
fn summed(outline: &Outline, layers: usize, state: u64) -> BTreeMap<Place, Costs> {
    let (rows, after) = (&outline.rows, layers + 1);
    let mut places: Vec<Option<Place>> = vec![None; rows.len()];
    for (i, row) in rows.iter().enumerate().filter(|(_, row)| row.source == Source::Operation) {
        let place = place_of(outline, i, after);
        places[i] = Some(place);
        for (k, operand) in row.operands.iter().enumerate() {
            // The loss maps to logits too: its first operand is the head's table.
            let own = if i == outline.loss.index() && k == 0 { (after, Kind::Head) } else { place };
            places[operand.index()].get_or_insert(own);
        }
    }
    let mut parts: BTreeMap<Place, Costs> = BTreeMap::new();
    for (row, place) in rows.iter().zip(&places) {
        let costs = parts.entry(place.unwrap_or((0, Kind::Embedding))).or_default();
        costs.forward_flops += row.flops;
        costs.backward_flops += row.backward_flops;
        costs.activations += row.held as u64;
        let count = row.shape.len() as u64;
        if row.source.is_weight() {
            costs.parameters += count;
            costs.weights += 4 * count;
        }
        if row.source == Source::Parameter {
            costs.gradients += 4 * count;
            costs.optimizer += 4 * state * count;
        }
    }
    split_head(outline, after, &mut parts);
    for (i, block) in outline.marks.blocks.iter().enumerate() {
        let cached = [block.key, block.value].map(|var| rows[var.index()].shape.rows as u64);
        parts.entry((i + 1, Kind::Maps)).or_default().cache = 4 * cached.iter().sum::<u64>();
    }
    parts
}

/// Returns the place of an operation's row.
fn place_of(outline: &Outline, i: usize, after: usize) -> Place {
    let row: &Planned = &outline.rows[i];
    let blocks = &outline.marks.blocks;
    let first = blocks.first().map_or(0, |block| block.rows.start);
    if i < first {
        let by_position = row.operands.contains(&outline.positions);
        let adds = row.role == Some(Role::Sum);
        return (0, if by_position || adds { Kind::Positions } else { Kind::Embedding });
    }
    let Some(b) = blocks.iter().position(|block| block.rows.contains(&i)) else {
        return (after, if i == outline.loss.index() { Kind::Loss } else { Kind::FinalNorm });
    };
    let block = &blocks[b];
    let mixed = |j: &usize| outline.rows[*j].role == Some(Role::Attention);
    let scored = block.attention.clone().find(mixed).unwrap_or(block.attention.end);
    let part = if block.feed_forward.contains(&i) {
        Kind::FeedForward
    } else if block.attention.contains(&i) {
        match row.role {
            Some(Role::Norm) => Kind::QueryKeyNorm,
            Some(Role::Rotation) => Kind::Rotation,
            _ if i < scored => Kind::Maps,
            _ if i == scored => Kind::Scores,
            _ => Kind::Projection,
        }
    } else if row.role == Some(Role::Norm) {
        Kind::Norms
    } else {
        Kind::Sums
    };
    (b + 1, part)
}

/// Moves the product with the head's table from the loss, which computes both in one operation, to the head.
fn split_head(outline: &Outline, after: usize, parts: &mut BTreeMap<Place, Costs>) {
    let shapes =
        [outline.marks.table, outline.marks.last].map(|var| outline.rows[var.index()].shape);
    let product = Product::transposed();
    let [forward, backward] = [product.flops(shapes), product.vjp_flops(shapes)];
    let head = parts.entry((after, Kind::Head)).or_default();
    head.forward_flops += forward;
    head.backward_flops += backward;
    let loss = parts.entry((after, Kind::Loss)).or_default();
    loss.forward_flops = loss.forward_flops.saturating_sub(forward);
    loss.backward_flops = loss.backward_flops.saturating_sub(backward);
}

#[cfg(test)]
mod tests;
