//! Measurements of `--watch` during a training step.

use crate::inspect::diagnose::layers::change;
use crate::model::recorded_step::{ModelError, RecordedStep, first_tokens};
use crate::model::recording::Recording;
use crate::model::scores::Scores;
use crate::text::corpus::Corpus;
use crate::training::trainer::Trainer;
use crate::training::training_loop::{Observer, Replay, Step};
use calculus::{Var, clip};
use linalg::{Role, groups::Groups};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::ops::{ControlFlow, Range};

/// The measurements of `--watch` for one step, made while the step is replayed, so that they work for a recording that
/// reuses memory, too. Lists have an entry for each block.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Glance {
    /// The largest finite magnitude of any value's elements.
    pub largest: f64,
    /// The name of that value.
    pub largest_name: String,
    /// Root mean square of every block's output.
    pub activations: Vec<f64>,
    /// Root mean square of the gradient of every block's output.
    pub gradients: Vec<f64>,
    /// Entropy of attention over ln of the number of visible tokens, averaged over the heads of every sequence's last
    /// query, which sees most.
    pub attention_entropy: Vec<f64>,
    /// The largest magnitude of those queries' scores.
    pub largest_scores: Vec<f64>,
    /// Share of those queries with a weight above 0.99.
    pub saturated: Vec<f64>,
    /// Share of the feed-forward part's units that send no gradient for any token.
    pub dead: Vec<f64>,
    /// Norm of all parameters, after the update.
    pub weight_norm: f64,
    /// Norm of the change over norm of the parameters.
    pub update_ratio: f64,
    /// The same for each block.
    pub update_ratios: Vec<f64>,
}

/// Sums for one block.
#[derive(Clone, Debug, Default)]
struct Block {
    /// Sum of squares and count: of the output, of its gradient.
    output: [(f64, usize); 2],
    /// The last query of every sequence.
    queries: Vec<Vec<f32>>,
    /// See [`Queries`].
    attention: Queries,
    /// Whether a unit has sent a gradient.
    alive: Vec<u8>,
}

/// Measurements of queries: sums of entropies and of saturated queries, the count, and the largest magnitude of a score.
type Queries = (f64, f64, usize, f64);

/// The kind of measurement of a value, and its block. Rows select a part of a larger value.
#[derive(Clone, Debug)]
enum Seen {
    Output(usize),
    /// The queries of an attention, which are computed before its keys or together with them.
    Query(usize, Range<usize>),
    Key(usize, Range<usize>),
    /// The input of the feed-forward part's activation.
    Units(usize, Range<usize>),
}

/// Takes a [`Glance`] of a training step: one pass over each value and some gradients while they are in the processor's
/// caches, and a copy of the parameters.
pub struct Watch {
    names: HashMap<Var, String>,
    seen: HashMap<Var, Vec<Seen>>,
    blocks: Vec<Block>,
    /// Parameters of every layer, and whether it is a block.
    layers: Vec<(bool, Vec<Range<usize>>)>,
    before: Vec<f32>,
    largest: (f32, Option<Var>),
    /// Heads, sequences and tokens per sequence.
    sizes: (usize, usize, usize),
    /// How each block scores its keys.
    scores: Vec<Scores>,
    /// The first key that the last query of each window of the step sees, if windows hold several sequences.
    first: Vec<usize>,
    /// The windows of the step that were replayed.
    windows: usize,
}

impl Observer<f32> for Watch {
    fn value(&mut self, var: Var, x: &mut [f32]) {
        let size = largest_of(x);
        if size > self.largest.0 {
            self.largest = (size, Some(var));
        }
        let (heads, sequences, length) = self.sizes;
        let Watch { seen, blocks, scores, first, windows, .. } = self;
        for what in seen.get(&var).into_iter().flatten() {
            match what {
                Seen::Output(i) => note(&mut blocks[*i].output[0], x),
                Seen::Query(i, rows) => {
                    let last = |x: &[f32]| x[x.len() - x.len() / length..][rows.clone()].to_vec();
                    blocks[*i].queries = x.chunks(x.len() / sequences).map(last).collect();
                }
                Seen::Key(i, rows) => {
                    let (keys, block) = (x.chunks(x.len() / sequences), &mut blocks[*i]);
                    for (j, (query, keys)) in block.queries.iter().zip(keys).enumerate() {
                        let keys = keys.chunks(keys.len() / length).map(|k| &k[rows.clone()]);
                        let own = first.get(*windows + j).copied().unwrap_or(0);
                        let keys: Vec<&[f32]> = keys.skip(own).collect();
                        last_query(query, &keys, (heads, scores[*i]), &mut block.attention);
                    }
                }
                Seen::Units(..) => {}
            }
        }
    }

    fn replayed(&mut self, _: &Recording<f32>, _: Replay) -> ControlFlow<()> {
        self.windows += self.sizes.1;
        ControlFlow::Continue(())
    }

    fn gradient(&mut self, var: Var, g: &mut [f32]) {
        let (_, sequences, length) = self.sizes;
        let Watch { seen, blocks, .. } = self;
        for what in seen.get(&var).into_iter().flatten() {
            match what {
                Seen::Output(i) => note(&mut blocks[*i].output[1], g),
                Seen::Units(i, rows) => alive(&mut blocks[*i].alive, g, sequences * length, rows),
                _ => {}
            }
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("values", &self.names.len())
            .field("parameters", &self.before.len())
            .field("blocks", &self.blocks.len())
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// Creates a watch for this recording.
    pub fn new(model: &RecordedStep<f32>) -> Self {
        let (tape, marks) = (model.tape(), model.marks());
        let names = tape.vars().map(|v| (v, tape.name(v).to_owned())).collect();
        let mut seen: HashMap<Var, Vec<Seen>> = HashMap::new();
        let mut see = |var, what: Seen| seen.entry(var).or_default().push(what);
        for (i, (block, &output)) in marks.blocks.iter().zip(&marks.residual[1..]).enumerate() {
            // A view of another value is measured there.
            let (query, rows) = tape.root(block.query);
            see(query, Seen::Query(i, rows));
            let (key, rows) = tape.root(block.key);
            see(key, Seen::Key(i, rows));
            let activation = tape.vars().find(|v| {
                block.feed_forward.contains(&v.index()) && tape.role(*v) == Some(Role::Activation)
            });
            if let Some(activation) = activation {
                let (units, rows) = tape.root(tape.operands(activation)[0]);
                see(units, Seen::Units(i, rows));
            }
            see(output, Seen::Output(i));
        }
        let mut layers: Vec<(bool, Vec<Range<usize>>)> =
            marks.blocks.iter().map(|_| (true, vec![])).chain([(false, vec![])]).collect();
        for (var, parameter) in tape.parameter_vars() {
            let own = marks.blocks.iter().position(|b| b.rows.contains(&var.index()));
            layers[own.unwrap_or(marks.blocks.len())].1.push(parameter.range);
        }
        let blocks = vec![Block::default(); marks.blocks.len()];
        let (before, largest, sizes) = (vec![], (0.0, None), (0, 0, 0));
        let scores = (0..marks.blocks.len()).map(|i| model.config().scores(i)).collect();
        let (first, windows) = (vec![], 0);
        Watch { names, seen, blocks, layers, before, largest, sizes, scores, first, windows }
    }

    /// Takes a training step and measures it, along with another observer that can stop it: then the result is `None`.
    ///
    /// # Errors
    /// Like [`Trainer::step`].
    pub fn step(
        &mut self,
        trainer: &mut Trainer<f32>,
        corpus: &Corpus,
        other: &mut impl Observer<f32>,
    ) -> Result<Option<(Step, Glance)>, ModelError> {
        let model = trainer.model();
        self.sizes = (model.config().heads, model.sequences(), model.length());
        self.largest = (0.0, None);
        (self.first, self.windows) = (vec![], 0);
        if model.config().packed {
            let config = trainer.config();
            let (batches, size) = (config.accumulate as u64, config.batch * config.context);
            let (mut tokens, mut targets) = (vec![0; size], vec![0; size]);
            for batch in trainer.steps() * batches..(trainer.steps() + 1) * batches {
                corpus.fill(config.seed, batch, config.context, &mut tokens, &mut targets);
                let first = first_tokens(&targets, config.context);
                self.first
                    .extend(first.chunks(config.context).map(|window| window[window.len() - 1]));
            }
        }
        self.blocks.fill(Block { alive: vec![0; model.config().hidden], ..Block::default() });
        self.before.clear();
        self.before.extend_from_slice(model.tape().parameters());
        let Some(step) = trainer.step_observed(corpus, &mut (&mut *self, other))? else {
            return Ok(None);
        };
        let after = trainer.model().tape().parameters();
        let ratio = |(moved, size): (f64, f64)| moved / size.max(f64::MIN_POSITIVE);
        let of_each = |of: fn(&Block) -> f64| -> Vec<f64> { self.blocks.iter().map(of).collect() };
        let rms = |(sum, n): (f64, usize)| (sum / n.max(1) as f64).sqrt();
        let rms_of =
            |k: usize| -> Vec<f64> { self.blocks.iter().map(|b| rms(b.output[k])).collect() };
        let changes: Vec<(bool, (f64, f64))> =
            self.layers.iter().map(|(b, r)| (*b, change(&self.before, after, r))).collect();
        // Norms of parts add up like the sides of a box: by their squares.
        let together = |of: fn(&(f64, f64)) -> f64| {
            changes.iter().map(|(_, c)| of(c) * of(c)).sum::<f64>().sqrt()
        };
        let glance = Glance {
            largest: f64::from(self.largest.0),
            largest_name: self.largest.1.map_or(String::new(), |v| self.names[&v].clone()),
            activations: rms_of(0),
            gradients: rms_of(1),
            attention_entropy: of_each(|b| b.attention.0 / b.attention.2.max(1) as f64),
            largest_scores: of_each(|b| b.attention.3),
            saturated: of_each(|b| b.attention.1 / b.attention.2.max(1) as f64),
            dead: of_each(|b| {
                b.alive.iter().filter(|a| **a == 0).count() as f64 / b.alive.len().max(1) as f64
            }),
            weight_norm: clip::global_norm(after),
            update_ratio: ratio((together(|c| c.0), together(|c| c.1))),
            update_ratios: changes.iter().filter(|(b, _)| *b).map(|(_, c)| ratio(*c)).collect(),
        };
        Ok(Some((step, glance)))
    }
}

/// Measures attention of a sequence's last query, head by head: adds entropy over ln of the number of keys, saturation,
/// a count, and the largest score. `query` is a column; `keys` have a column for every token, and their rows determine the number of
/// key-value heads.
fn last_query(query: &[f32], keys: &[&[f32]], (heads, scores): (usize, Scores), all: &mut Queries) {
    let rows = query.len() / heads;
    let groups = Groups { heads, key_value_heads: keys[0].len() / rows };
    let scale: f32 = scores.factor(rows);
    let keys = &keys[scores.seen(keys.len() - 1)];
    let capped = |score: f32| match scores.cap {
        Some(cap) => cap as f32 * (score / cap as f32).tanh(),
        None => score,
    };
    for h in 0..heads {
        let query = &query[h * rows..][..rows];
        let dot = |key: &&[f32]| {
            let key = &key[groups.read_by(h) * rows..][..rows];
            capped(scale * query.iter().zip(key).map(|(q, k)| q * k).sum::<f32>())
        };
        let scores: Vec<f32> = keys.iter().map(dot).collect();
        let most = scores.iter().fold(f32::NEG_INFINITY, |m, &s| m.max(s));
        // H = ln Σ e^s − Σ p·s, from the largest down.
        let (mut sum, mut product) = (0.0_f64, 0.0);
        for &s in &scores {
            let below = f64::from(s - most);
            let e = below.exp();
            sum += e;
            product += e * below;
        }
        let nats = sum.ln() - product / sum;
        all.0 += if keys.len() > 1 { nats / (keys.len() as f64).ln() } else { 1.0 };
        all.1 += f64::from(u8::from(sum.recip() > 0.99));
        all.2 += 1;
        let finite = scores.iter().filter(|s| s.is_finite());
        all.3 = finite.fold(all.3, |m, s| m.max(f64::from(s.abs())));
    }
}

/// Marks the units (these rows) whose gradient is not 0 for some token.
fn alive(units: &mut [u8], gradient: &[f32], tokens: usize, rows: &Range<usize>) {
    linalg::simd(
        #[inline(always)]
        || {
            for column in gradient.chunks_exact(gradient.len() / tokens) {
                let column = &column[rows.clone()];
                units.iter_mut().zip(column).for_each(|(a, g)| *a |= u8::from(*g != 0.0));
            }
        },
    );
}

fn note(sum: &mut (f64, usize), x: &[f32]) {
    sum.0 += clip::global_norm(x).powi(2);
    sum.1 += x.len();
}

/// Returns the largest finite magnitude, in SIMD lanes.
fn largest_of(x: &[f32]) -> f32 {
    const LANES: usize = 16;
    linalg::simd(
        #[inline(always)]
        || {
            let mut lanes = [0.0_f32; LANES];
            let (chunks, rest) = x.as_chunks::<LANES>();
            for chunk in chunks {
                for l in 0..LANES {
                    let size = chunk[l].abs();
                    // False for non-finite values.
                    lanes[l] = if size <= f32::MAX { lanes[l].max(size) } else { lanes[l] };
                }
            }
            let rest = rest.iter().map(|x| x.abs()).filter(|x| x.is_finite());
            rest.fold(lanes.iter().fold(0.0, |m: f32, &x| m.max(x)), f32::max)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use probability::random::Random;

    /// With keys repeated for every query head that reads them, each head has its own keys.
    #[test]
    fn grouped_heads_are_full_heads_of_repeated_keys() {
        let (heads, rows, keys) = (6, 3, 5);
        let random = Random::new(8, 0, 0);
        let query: Vec<f32> = (0..18).map(|i| random.normal(i) as f32).collect();
        for key_value_heads in [1, 2, 3, 6] {
            let read = key_value_heads * rows;
            let drawn = |i: usize| random.normal(100 + i as u64) as f32;
            let key: Vec<f32> = (0..read * keys).map(drawn).collect();
            let repeated: Vec<f32> = (0..keys * heads * rows)
                .map(|i| {
                    let (t, head, row) = (i / (heads * rows), i / rows % heads, i % rows);
                    key[t * read + head * key_value_heads / heads * rows + row]
                })
                .collect();
            let seen = |key: &[f32]| {
                let mut all = (0.0, 0.0, 0, 0.0);
                let columns: Vec<&[f32]> = key.chunks(key.len() / keys).collect();
                last_query(&query, &columns, (heads, Scores::default()), &mut all);
                all
            };
            assert_eq!(seen(&key), seen(&repeated), "{key_value_heads} key-value heads");
            assert!(seen(&key).0 < 6.0 && seen(&key).2 == 6);
        }
    }
}
