//! The layers of a GPT, in the order of the network: plain configuration that records itself.
//!
//! Shapes stand at the line's end: d is the width, n the tokens of a batch, V the vocabulary.

use crate::config::Gpt2Config;
use crate::{CachedAttention, CausalAttention, Form, Without};
use calculus::{RecordError, Recorder, Var};
use linalg::heads::{HeadMix, HeadScores};
use linalg::{Real, Shape, add::Add, affine::Affine, gather::Gather, product::Product};
use linalg::{rows::Rows, scale::Scale};
use probability::dropout::{Dropout, Order};
use probability::{layer_norm::LayerNorm, mask::CausalMask, softmax::Softmax};

/// What every layer knows: the model, the batch, and which of the two recordings this is.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Gpt2Config,
    /// Tokens of a sequence.
    pub(crate) length: usize,
    pub(crate) form: Form,
    /// What a textbook recording leaves out.
    pub(crate) without: Without,
    /// The step number and the seed of dropout, where there is dropout.
    pub(crate) dropout: Option<(Var, u64)>,
}

type Recorded = Result<Var, RecordError>;

impl Context<'_> {
    /// Dropout number `stream` of the network; each draws masks of its own.
    fn dropout(&self, stream: usize) -> Option<(Dropout, Var)> {
        let (step, seed) = self.dropout?;
        let stream = crate::streams::DROPOUT + stream as u32;
        Some((Dropout { rate: self.config.dropout, seed, stream, order: Order::Columns }, step))
    }

    /// x, or x with a share of its elements dropped.
    pub(crate) fn drop<T: Real>(
        &self,
        r: &mut Recorder<T>,
        name: &str,
        stream: usize,
        x: Var,
    ) -> Recorded {
        match self.dropout(stream) {
            Some((dropout, step)) => r.push(name, dropout, [x, step]),
            None => Ok(x),
        }
    }

    /// y = W·x + b with parameters `name.weight` (out × in) and, if the model has them, `name.bias`.
    fn linear<T: Real>(&self, r: &mut Recorder<T>, name: &str, out: usize, x: Var) -> Recorded {
        let inputs = r.shape(x).rows;
        let w = r.parameter(&format!("{name}.weight"), Shape::new(out, inputs))?;
        if self.config.bias {
            let b = r.parameter(&format!("{name}.bias"), Shape::new(out, 1))?;
            r.push(name, Affine, [w, x, b])
        } else {
            r.push(name, Product::plain(), [w, x])
        }
    }

    /// Layer normalisation with parameters `name.weight` and, if the model has biases, `name.bias`.
    pub(crate) fn norm<T: Real>(&self, r: &mut Recorder<T>, name: &str, x: Var) -> Recorded {
        let vector = Shape::new(self.config.width, 1);
        let norm = LayerNorm { epsilon: self.config.epsilon };
        let gain = r.parameter(&format!("{name}.weight"), vector)?;
        let shift = match self.config.bias {
            true => Some(r.parameter(&format!("{name}.bias"), vector)?),
            false => None,
        };
        match shift {
            _ if self.without.norm => Ok(x),
            Some(shift) => r.push(name, norm, [x, gain, shift]),
            None => r.push(name, norm, [x, gain]),
        }
    }
}

/// Part 1 of a step: what a token means plus where it stands. Returns x and the table of tokens, which
/// a tied head reads again.
pub(crate) fn embedding<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    tokens: Var,
    positions: Var,
) -> Result<(Var, Var), RecordError> {
    let config = c.config;
    let table = Shape::new(config.width, config.vocabulary);
    let places = Shape::new(config.width, config.context);
    r.scope("embedding", |r| {
        let token_table = r.parameter("token.weight", table)?; // d×V
        let position_table = r.parameter("position.weight", places)?; // d×context
        let token = r.push("token", Gather, [token_table, tokens])?; // d×n
        let position = r.push("position", Gather, [position_table, positions])?; // d×n
        let x = r.push("sum", Add, [token, position])?; // d×n
        Ok((c.drop(r, "dropped", 0, x)?, token_table))
    })
}

/// A transformer block, pre-norm: x + attention(norm x), then x + feed-forward(norm x).
pub(crate) fn block<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    index: usize,
    x: Var,
    attend: impl FnOnce(&mut Recorder<T>, Var) -> Recorded,
) -> Recorded {
    r.scope(&format!("block.{index}"), |r| {
        let h = c.norm(r, "norm_1", x)?;
        let h = r.scope("attention", |r| self_attention(c, r, index, h, attend))?;
        let x = r.push("attended", Add, [x, h])?;
        let h = c.norm(r, "norm_2", x)?;
        let h = r.scope("feed_forward", |r| feed_forward(c, r, index, h))?;
        r.push("output", Add, [x, h])
    })
}

/// Part 2 of a step: every token asks the tokens before it.
fn self_attention<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    index: usize,
    x: Var,
    attend: impl FnOnce(&mut Recorder<T>, Var) -> Recorded,
) -> Recorded {
    let qkv = c.linear(r, "qkv", 3 * c.config.width, x)?; // 3d×n
    let mixed = attend(r, qkv)?; // d×n
    let y = c.linear(r, "projection", c.config.width, mixed)?; // d×n
    c.drop(r, "dropped", 3 * index + 1, y)
}

/// Attention within the recorded sequences: one operation, or every formula by itself.
pub(crate) fn attend<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    index: usize,
    qkv: Var,
) -> Recorded {
    let (heads, length, width) = (c.config.heads, c.length, c.config.width);
    let dropout = c.dropout(3 * index + 2);
    if c.form == Form::Fused {
        let attention = CausalAttention { heads, length, dropout: dropout.map(|(d, _)| d) };
        return match dropout {
            Some((_, step)) => r.push("mixed", attention, [qkv, step]),
            None => r.push("mixed", attention, [qkv]),
        };
    }
    let part = |i: usize| Rows { start: i * width, count: width };
    let query = r.push("query", part(0), [qkv])?; // d×n
    let key = r.push("key", part(1), [qkv])?; // d×n
    let value = r.push("value", part(2), [qkv])?; // d×n
    let scores = r.push("scores", HeadScores { heads, length }, [query, key])?; // T×(n·heads)
    let factor = 1.0 / ((width / heads) as f64).sqrt();
    let scaled = match c.without.scale {
        true => scores,
        false => r.push("scaled", Scale { factor }, [scores])?,
    };
    let masked = match c.without.mask {
        true => scaled,
        false => r.push("masked", CausalMask, [scaled])?,
    };
    let mut weights = r.push("weights", Softmax, [masked])?;
    if let Some((dropout, step)) = dropout {
        let dropout = Dropout { order: Order::Weights { length }, ..dropout };
        weights = r.push("weights_dropped", dropout, [weights, step])?;
    }
    r.push("mixed", HeadMix { heads, length }, [value, weights])
}

/// Attention of one new token of every sequence to a cache of earlier keys and values, which are inputs
/// here.
pub(crate) fn attend_cached<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    qkv: Var,
    filled: Var,
) -> Recorded {
    let cache = Shape::new(c.config.width, c.config.context * r.shape(qkv).columns);
    let keys = r.input("keys", cache)?;
    let values = r.input("values", cache)?;
    r.push("mixed", CachedAttention { heads: c.config.heads }, [qkv, keys, values, filled])
}

/// Part 3 of a step: every token by itself, through a wider space and back.
fn feed_forward<T: Real>(c: Context<'_>, r: &mut Recorder<T>, index: usize, x: Var) -> Recorded {
    let h = c.linear(r, "expanded", c.config.hidden, x)?; // hidden×n
    let h = r.push("activated", c.config.activation, [h])?; // hidden×n
    let y = c.linear(r, "contracted", c.config.width, h)?; // d×n
    c.drop(r, "dropped", 3 * index + 3, y)
}

/// What part 4 of a step compares: the final tokens, and a column for every word of the vocabulary, of
/// a table of its own or the embedding's.
pub(crate) fn output<T: Real>(
    c: Context<'_>,
    r: &mut Recorder<T>,
    x: Var,
    token_table: Var,
) -> Result<(Var, Var), RecordError> {
    let x = c.norm(r, "norm", x)?;
    let table = if c.config.tied {
        token_table
    } else {
        r.parameter("head.weight", Shape::new(c.config.width, c.config.vocabulary))?
    };
    Ok((x, table))
}

/// Part 4 of a step: a score for every word of the vocabulary.
pub(crate) fn logits<T: Real>(r: &mut Recorder<T>, x: Var, table: Var) -> Recorded {
    r.push("logits", Product::transposed(), [table, x]) // V×n
}
