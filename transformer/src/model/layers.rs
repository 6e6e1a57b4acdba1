//! The network in order: each part of an [`Architecture`] records itself.
//!
//! Shapes stand at the line's end: d is the width, n the number of tokens in the batch, V the vocabulary, c the
//! features of a head, h and g the numbers of query and key-value heads. Only this module asks which parts a model has.

use crate::model::adaptation::Target;
use crate::model::adapters::{AdapterMarks, LinearMap};
use crate::model::architecture::{
    Architecture, Gain, Norm, Placement, Positions, QueryKeyNorm, vector,
};
use crate::model::cached_attention::CachedAttention;
use crate::model::causal_attention::{CausalAttention, PackedAttention};
use crate::model::recorded_step::{Form, Without};
use calculus::{Parameter, RecordError, Recorder, Var, soft_cap::SoftCap};
use linalg::heads::{HeadMix, HeadScores};
use linalg::{Real, Shape, add::Add, gather::Gather, product::Product};
use linalg::{hadamard::Hadamard, rows::Rows, scale::Scale, sinusoid::Sinusoid};
use probability::dropout::{Dropout, Order};
use probability::{layer_norm::LayerNorm, rms_norm::RmsNorm, softmax::Softmax};
use std::ops::Range;

/// The context of every layer: the model, the batch, and the kind of recording.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Architecture,
    /// Tokens of a sequence.
    pub(crate) length: usize,
    pub(crate) form: Form,
    /// The parts that a textbook recording leaves out.
    pub(crate) without: Without,
    /// The step number and the seed of dropout, if there is dropout.
    pub(crate) dropout: Option<(Var, u64)>,
    /// The numbers of cached tokens (1 × sequences), if new tokens are read after those.
    pub(crate) cached: Option<Var>,
    /// The place of the first key that each token sees in its window (1 × n), if windows hold several sequences.
    pub(crate) first: Option<Var>,
}

/// The places of the network's parts in its recording, so that readers need not look for names.
#[derive(Clone, Debug)]
pub struct Marks {
    /// The residual stream: the embedding, then the output of every block (d × n).
    pub residual: Vec<Var>,
    /// The blocks, in order.
    pub blocks: Vec<BlockMarks>,
    /// The vectors whose products with the table are the logits: the normalised final residual, divided by the divisor of
    /// logits (d × n).
    pub last: Var,
    /// The table that maps to logits, of its own or the embedding's, one column per token (d × V).
    pub table: Var,
    /// The matrices that write to the residual stream, and the adapters.
    pub weights: WeightMarks,
}

/// The matrices of a recording that do not begin like the others, or that belong together.
#[derive(Clone, Debug, Default)]
pub struct WeightMarks {
    /// The matrices that write to the residual stream.
    pub writers: Vec<Var>,
    /// The adapters, in order.
    pub adapters: Vec<AdapterMarks>,
}

/// The places of a block's parts: rows of a recording, and values.
#[derive(Clone, Debug)]
pub struct BlockMarks {
    /// All rows of the block.
    pub rows: Range<usize>,
    /// The rows of attention, without its norm.
    pub attention: Range<usize>,
    /// The rows of the feed-forward part, without its norm.
    pub feed_forward: Range<usize>,
    /// The queries as they enter the scores (hc × n).
    pub query: Var,
    /// The keys as they enter the scores (gc × n).
    pub key: Var,
    /// The values (gc × n).
    pub value: Var,
    /// The attention weights before dropout (T × n·h), if attention is recorded formula by formula.
    pub weights: Option<Var>,
    /// The caches of keys and values (gc × context·sequences), if new tokens are read after cached ones.
    pub caches: Option<[Var; 2]>,
}

pub(super) type Recorded = Result<Var, RecordError>;

impl Context<'_> {
    /// Returns dropout number `stream` of the network; each has its own masks.
    fn dropout(&self, stream: usize) -> Option<(Dropout, Var)> {
        let (step, seed) = self.dropout.filter(|_| self.config.dropout > 0.0)?;
        let stream = crate::streams::DROPOUT + stream as u32;
        Some((Dropout { rate: self.config.dropout, seed, stream, order: Order::Columns }, step))
    }

    /// Returns x with a share of its elements dropped, or x itself without dropout.
    fn drop<T: Real>(&self, r: &mut Recorder<T>, name: &str, stream: usize, x: Var) -> Recorded {
        match self.dropout(stream) {
            Some((dropout, step)) => r.push(name, dropout, [x, step]),
            None => Ok(x),
        }
    }

    /// Records the normalisation of `heads` equal parts of every column, with parameters `name.weight`, if it has a gain,
    /// and, in layer normalisation with biases, `name.bias`.
    fn norm<T: Real>(&self, r: &mut Recorder<T>, name: &str, heads: usize, x: Var) -> Recorded {
        let Architecture { epsilon, norm, gain, biases, .. } = *self.config;
        let shape = vector(r.shape(x).rows / heads);
        let (weight, shift) = r.scope(name, |r| {
            let weight = match gain {
                Gain::None => None,
                _ => Some(r.parameter("weight", shape)?),
            };
            let shift = match (norm, biases.norm) {
                (Norm::Layer, true) => Some(r.parameter("bias", shape)?),
                _ => None,
            };
            Ok((weight, shift))
        })?;
        let offset = f64::from(u8::from(gain == Gain::OnePlus));
        match (norm, weight, shift) {
            _ if self.without.norm => Ok(x),
            (Norm::Layer, Some(weight), Some(shift)) => {
                r.push(name, LayerNorm { epsilon }, [x, weight, shift])
            }
            (Norm::Layer, Some(weight), None) => r.push(name, LayerNorm { epsilon }, [x, weight]),
            (Norm::Rms, Some(weight), _) => {
                r.push(name, RmsNorm { epsilon, heads, offset }, [x, weight])
            }
            // Layer normalisation without a gain is refused where an architecture is checked.
            (_, None, _) => r.push(name, RmsNorm { epsilon, heads, offset }, [x]),
        }
    }

    /// Records the product of x with a factor, or returns x itself for a factor of 1.
    pub(super) fn scale<T: Real>(
        &self,
        factor: f64,
        r: &mut Recorder<T>,
        name: &str,
        x: Var,
    ) -> Recorded {
        if factor == 1.0 { Ok(x) } else { r.push(name, Scale { factor }, [x]) }
    }

    /// Records the normalisation of the residual stream, or returns x itself where the architecture has none.
    fn norm_if<T: Real>(&self, has: bool, r: &mut Recorder<T>, name: &str, x: Var) -> Recorded {
        if has { self.norm(r, name, 1, x) } else { Ok(x) }
    }
}

/// Records the whole network except the product with the head, for tokens at positions (1 × n both).
pub(crate) fn network<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    tokens: Var,
    positions: Var,
) -> Result<Marks, RecordError> {
    let (mut x, token_table) = embedding(c, r, tokens, positions)?; // d×n
    let (mut residual, mut blocks) = (vec![x], vec![]);
    let mut weights = WeightMarks::default();
    for i in 0..c.config.layers {
        let (output, marks) = block(c, r, (i, positions), x, &mut weights)?; // d×n
        x = output;
        residual.push(x);
        blocks.push(marks);
    }
    let last = c.norm_if(c.config.normalises_last(), r, "norm", x)?; // d×n
    // The product with the head is linear: what divides its operand divides the logits.
    let last = c.scale(1.0 / c.config.logit_divisor, r, "divided", last)?; // d×n
    let table = match c.config.tied {
        true => token_table,
        false => r.scope("head", |r| r.parameter("weight", r.shape(token_table)))?, // d×V
    };
    Ok(Marks { residual, blocks, last, table, weights })
}

/// Part 1 of a step: the token's vector plus, if positions are learned or sinusoidal, its position's, and a norm if the
/// architecture has one there. Returns x and the table of tokens, which a tied head uses again.
fn embedding<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    tokens: Var,
    positions: Var,
) -> Result<(Var, Var), RecordError> {
    let Architecture { width, vocabulary, context, embedding_scale, embedding_norm, .. } =
        *c.config;
    r.scope("embedding", |r| {
        let token_table = r.parameter("token.weight", Shape::new(width, vocabulary))?; // d×V
        let position_table = match c.config.positions {
            Positions::Learned => Some(r.parameter("position.weight", Shape::new(width, context))?), // d×context
            _ => None,
        };
        let x = r.push("token", Gather, [token_table, tokens])?; // d×n
        let mut x = c.scale(embedding_scale, r, "scaled", x)?; // d×n
        let position = match (c.config.positions, position_table) {
            (_, Some(table)) => Some(r.push("position", Gather, [table, positions])?), // d×n
            (Positions::Sinusoidal, None) => {
                Some(r.push("position", Sinusoid { width, base: 1e4 }, [positions])?) // d×n
            }
            _ => None,
        };
        if let Some(position) = position {
            x = r.push("sum", Add, [x, position])?; // d×n
        }
        x = c.norm_if(embedding_norm, r, "norm", x)?; // d×n
        Ok((c.drop(r, "dropped", 0, x)?, token_table))
    })
}

/// A transformer block: attention and the feed-forward part, each added to the residual stream. [`Placement`] says where
/// normalisations stand.
fn block<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    (index, positions): (usize, Var),
    x: Var,
    weights: &mut WeightMarks,
) -> Result<(Var, BlockMarks), RecordError> {
    let placement = c.config.placement;
    let residual_scale = c.config.residual_scale;
    r.segment(&format!("block.{index}"), |r| {
        let start = r.len();
        let h = c.norm_if(placement.before(), r, "norm_1", x)?;
        let first = r.len();
        let (h, mut marks) =
            r.scope("attention", |r| self_attention(c, r, (index, positions), h, weights))?;
        marks.attention = first..r.len();
        let h = c.norm_if(placement.after(), r, "attention_norm", h)?;
        let h = c.scale(residual_scale, r, "attention_scaled", h)?;
        let attended = r.push("attended", Add, [x, h])?;
        let attended = c.norm_if(placement == Placement::Post, r, "norm_1", attended)?;
        let read = if placement == Placement::Parallel { x } else { attended };
        let h = c.norm_if(placement.before(), r, "norm_2", read)?;
        let first = r.len();
        let h = r.scope("feed_forward", |r| feed_forward(c, r, index, h, weights))?;
        marks.feed_forward = first..r.len();
        let h = c.norm_if(placement.after(), r, "feed_forward_norm", h)?;
        let h = c.scale(residual_scale, r, "feed_forward_scaled", h)?;
        let output = r.push("output", Add, [attended, h])?;
        let output = c.norm_if(placement == Placement::Post, r, "norm_2", output)?;
        marks.rows = start..r.len();
        Ok((output, marks))
    })
}

/// Part 2 of a step: every token attends to itself and the tokens before it.
fn self_attention<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    (index, positions): (usize, Var),
    x: Var,
    weights: &mut WeightMarks,
) -> Result<(Var, BlockMarks), RecordError> {
    let (heads, shared) = (c.config.heads, c.config.key_value_heads());
    let features = c.config.head_width();
    let [queries, keys] = [heads * features, shared * features];
    let biases = c.config.biases;
    let all = queries + 2 * keys;
    let part = |start, count| Rows { start, count };
    let query = (Target::Query, part(0, queries));
    let key = (Target::Key, part(queries, keys));
    let value = (Target::Value, part(queries + keys, keys));
    let own = [(Target::QueryKeyValue, part(0, all)), query, key, value];
    let map = LinearMap { layer: index, name: "qkv", bias: biases.query_key_value, adapters: &own };
    let (qkv, _) = c.linear(r, map, all, x, weights)?; // (h+2g)c×n
    let [mut query, mut key, value] = c.parts(r, qkv, [query, key, value])?; // hc×n, gc×n, gc×n
    let parts = match c.config.query_key_norm {
        QueryKeyNorm::None => None,
        QueryKeyNorm::Head => Some([heads, shared]),
        QueryKeyNorm::Whole => Some([1, 1]),
    };
    if let Some([own, read]) = parts {
        query = c.norm(r, "query_norm", own, query)?; // hc×n
        key = c.norm(r, "key_norm", read, key)?; // gc×n
    }
    if let [Some(own), Some(read)] = [heads, shared].map(|n| c.config.rotation(index, n)) {
        query = r.push("rotated_query", own, [query, positions])?; // hc×n
        key = r.push("rotated_key", read, [key, positions])?; // gc×n
    }
    let (mut caches, mut shown) = (None, None);
    let mixed = match c.cached {
        Some(filled) => {
            let shape = Shape::new(keys, c.config.context * r.shape(filled).columns);
            let [keys, values] = [r.input("keys", shape)?, r.input("values", shape)?];
            caches = Some([keys, values]);
            let scores = c.config.scores(index);
            let attention = CachedAttention { heads, key_value_heads: shared, scores };
            r.push("mixed", attention, [query, key, value, keys, values, filled])? // hc×n
        }
        None => {
            let (mixed, own) = attend(c, r, index, [query, key, value])?; // hc×n
            shown = own;
            mixed
        }
    };
    let width = c.config.width;
    let own = [(Target::Projection, part(0, width))];
    let map =
        LinearMap { layer: index, name: "projection", bias: biases.projection, adapters: &own };
    let (y, writer) = c.linear(r, map, width, mixed, weights)?; // d×n
    weights.writers.push(writer); // attention
    let y = c.drop(r, "dropped", 3 * index + 1, y)?; // d×n
    let (rows, attention, feed_forward) = (0..0, 0..0, 0..0);
    let blocks =
        BlockMarks { rows, attention, feed_forward, query, key, value, weights: shown, caches };
    Ok((y, blocks))
}

/// Records attention within the sequences, as one operation or formula by formula.
fn attend<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    index: usize,
    [query, key, value]: [Var; 3],
) -> Result<(Var, Option<Var>), RecordError> {
    let (heads, key_value_heads, length) = (c.config.heads, c.config.key_value_heads(), c.length);
    let (dropout, rule) = (c.dropout(3 * index + 2), c.config.scores(index));
    if c.form == Form::Fused {
        let dropped = dropout.map(|(dropout, _)| dropout);
        let attention =
            CausalAttention { heads, key_value_heads, length, scores: rule, dropout: dropped };
        let packed = PackedAttention { attention };
        let mixed = match (c.first, dropout) {
            (None, Some((_, step))) => r.push("mixed", attention, [query, key, value, step])?,
            (None, None) => r.push("mixed", attention, [query, key, value])?,
            (Some(first), Some((_, step))) => {
                r.push("mixed", packed, [query, key, value, first, step])?
            }
            (Some(first), None) => r.push("mixed", packed, [query, key, value, first])?,
        };
        return Ok((mixed, None));
    }
    let scores = HeadScores { heads, key_value_heads, length };
    let scores = r.push("scores", scores, [query, key])?; // T×(n·h)
    let mut scaled = match c.without.scale {
        true => scores,
        false => {
            let factor = rule.factor(c.config.head_width());
            r.push("scaled", Scale { factor }, [scores])?
        }
    };
    if let Some(cap) = rule.cap {
        scaled = r.push("capped", SoftCap { cap }, [scaled])?;
    }
    let masked = match (c.without.mask, c.first) {
        (true, _) => scaled,
        (false, Some(first)) => r.push("masked", rule.mask(), [scaled, first])?,
        (false, None) => r.push("masked", rule.mask(), [scaled])?,
    };
    let weights = r.push("weights", Softmax, [masked])?;
    let mut dropped = weights;
    if let Some((dropout, step)) = dropout {
        let dropout = Dropout { order: Order::Weights { length }, ..dropout };
        dropped = r.push("weights_dropped", dropout, [weights, step])?;
    }
    let mix = HeadMix { heads, key_value_heads, length };
    Ok((r.push("mixed", mix, [value, dropped])?, Some(weights)))
}

/// Part 3 of a step: every token separately, through a wider space and back.
fn feed_forward<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    index: usize,
    x: Var,
    weights: &mut WeightMarks,
) -> Recorded {
    let Architecture { hidden, gated, activation, width, biases, .. } = *c.config;
    let bias = biases.feed_forward;
    let part = |start, count| Rows { start, count };
    let h = if gated {
        let gate = (Target::Gate, part(0, hidden));
        let up = (Target::Up, part(hidden, hidden));
        let own = [(Target::Expanded, part(0, 2 * hidden)), gate, up];
        let map = LinearMap { layer: index, name: "expanded", bias, adapters: &own };
        let (both, _) = c.linear(r, map, 2 * hidden, x, weights)?; // 2·hidden×n
        let [gate, up] = c.parts(r, both, [gate, up])?; // hidden×n
        let gate = r.push("activated", activation, [gate])?; // hidden×n
        r.push("gated", Hadamard, [gate, up])? // hidden×n
    } else {
        let own = [(Target::Expanded, part(0, hidden))];
        let map = LinearMap { layer: index, name: "expanded", bias, adapters: &own };
        let (h, _) = c.linear(r, map, hidden, x, weights)?; // hidden×n
        r.push("activated", activation, [h])? // hidden×n
    };
    let own = [(Target::Contracted, part(0, width))];
    let map = LinearMap { layer: index, name: "contracted", bias, adapters: &own };
    let (y, writer) = c.linear(r, map, width, h, weights)?; // d×n
    weights.writers.push(writer); // feed-forward
    c.drop(r, "dropped", 3 * index + 3, y)
}

/// Part 4 of a step: a score for every token of the vocabulary.
pub(crate) fn logits<T: Real>(
    config: &Architecture,
    r: &mut Recorder<T>,
    x: Var,
    table: Var,
) -> Recorded {
    match config.logit_cap {
        Some(cap) => {
            let scores = r.push("scores", Product::transposed(), [table, x])?; // V×n
            r.push("logits", SoftCap { cap }, [scores]) // V×n
        }
        None => r.push("logits", Product::transposed(), [table, x]), // V×n
    }
}

/// Returns the parameters of a model, learned or not, without adapters, from a recording of one token.
pub(crate) fn parameter_list(config: &Architecture) -> Result<Vec<Parameter>, RecordError> {
    recorded_token(&config.base()).map(|(recorder, _)| recorder.parameter_list())
}

/// Returns the parameters of a model that are learned.
pub(crate) fn learned_list(config: &Architecture) -> Result<Vec<Parameter>, RecordError> {
    recorded_token(config).map(|(recorder, _)| recorder.parameter_list())
}

/// Records the network for one token.
pub(super) fn recorded_token(config: &Architecture) -> Result<(Recorder<f32>, Marks), RecordError> {
    let (mut recorder, one) = (Recorder::<f32>::new(), Shape::new(1, 1));
    let adaptation = config.adaptation.clone();
    recorder.freeze(move |name| adaptation.freezes(name));
    let r = &mut recorder;
    let (tokens, positions) = (r.input("tokens", one)?, r.input("positions", one)?);
    let (form, without) = (Form::Fused, Without::default());
    let c = Context { config, length: 1, form, without, dropout: None, cached: None, first: None };
    let marks = network(c, r, tokens, positions)?;
    logits(config, r, marks.last, marks.table)?;
    Ok((recorder, marks))
}
