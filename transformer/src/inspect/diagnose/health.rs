//! Is a healthy run healthy? Every measure with the band that it is expected in; what lies outside comes
//! first.
//!
//! * *Headroom*: how many doublings the largest element of a value or gradient is below the end of a format, and
//!   how many halvings a typical one (the root mean square) is above its smallest number. Growth shows here
//!   before it shows as NaN, and so does what vanishes.
//! * *Update ratio*: norm of the change over norm of the weights, about 10⁻³ where training goes well; of all
//!   weights and layer by layer.
//! * *Attention entropy*, over ln of what is visible, and the share of saturated queries.
//! * *Dead units*: rows of an activation that send no gradient for any token.
//! * *Distance from the limit of stability*: the learning rate over [`crate::inspect::diagnose::stability_limit`].
//! * *Gradient noise scale*: with g the mean gradient and Σ the covariance of one sequence's, tr Σ/‖g‖², the batch
//!   size at which noise and signal are equal. Source: McCandlish et al., *An Empirical Model of Large-Batch
//!   Training*, 2018, appendix A.

use super::course::{Recipe, State, Taken};
use super::edge::Stability;
use super::signs::{Signs, rms, signs};
use crate::inspect::precision::Precision;
use crate::inspect::subject::Subject;
use crate::model::recorded_step::{ModelError, RecordedStep};
use crate::text::corpus::Corpus;
use crate::training::trainer::{Step, Trainer};
use calculus::{Parameter, Source, Tape, Var, clip};
use linalg::{Role, groups::Groups};
use rayon::prelude::*;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

/// One measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// What is measured.
    pub name: &'static str,
    /// Of which value or parameter; empty where it is of the whole step.
    pub place: String,
    /// The number.
    pub value: f64,
    /// The band that it is expected in.
    pub band: (f64, f64),
}

impl Measure {
    fn new(name: &'static str, value: f64, band: (f64, f64)) -> Self {
        Measure { name, place: String::new(), value, band }
    }

    fn at(self, place: &str) -> Self {
        Measure { place: place.to_owned(), ..self }
    }

    /// Whether it lies in its band.
    pub fn is_usual(&self) -> bool {
        self.band.0 <= self.value && self.value <= self.band.1
    }
}

/// How far a value or a gradient is from both ends of each format: f32, bf16 and f16.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Headroom {
    /// The value's name.
    pub name: String,
    /// Whether its gradient is meant.
    pub gradient: bool,
    /// Its largest element, by size.
    pub largest: f64,
    /// The root mean square of its elements.
    pub typical: f64,
    /// Doublings of the largest element to the format's largest number; negative beyond it.
    pub overflow: [f64; 3],
    /// Halvings of a typical element to the format's smallest number; negative below it, ∞ where all are 0.
    pub underflow: [f64; 3],
}

impl Headroom {
    /// Of these elements; those that are not finite are not counted.
    ///
    /// ```
    /// use transformer::inspect::diagnose::health::Headroom;
    /// let room = Headroom::of("x", false, &[1.0, -1.0]);
    /// assert_eq!(room.overflow.map(f64::round), [128.0, 128.0, 16.0]);
    /// assert_eq!(room.underflow, [149.0, 133.0, 24.0]);
    /// ```
    pub fn of(name: &str, gradient: bool, elements: &[f32]) -> Self {
        const FORMATS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::F16];
        let sizes = || elements.iter().filter(|x| x.is_finite()).map(|x| f64::from(x.abs()));
        let largest = sizes().fold(0.0_f64, f64::max);
        let typical = (sizes().map(|x| x * x).sum::<f64>() / elements.len().max(1) as f64).sqrt();
        Headroom {
            name: name.to_owned(),
            gradient,
            largest,
            typical,
            overflow: FORMATS.map(|p| (p.largest() / largest.max(1e-45)).log2()),
            underflow: FORMATS.map(|p| match typical {
                0.0 => f64::INFINITY,
                typical => (typical / p.smallest()).log2(),
            }),
        }
    }
}

/// By how much a step changed a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Update {
    /// The layer: what its parameters' names begin with.
    pub layer: String,
    /// Norm of the change over norm of its weights.
    pub ratio: f64,
}

/// The parameters of a recording by layer: names with the same first part, numbers as in `block.3` kept, in
/// order.
pub(crate) fn by_layer(list: Vec<Parameter>) -> Vec<(String, Vec<Range<usize>>)> {
    let layer = |name: &str| {
        let mut parts = name.split('.');
        let first = parts.next().unwrap_or_default();
        let number = parts.next().filter(|n| n.parse::<usize>().is_ok());
        number.map_or(first.to_owned(), |n| format!("{first}.{n}"))
    };
    let mut layers: Vec<(String, Vec<Range<usize>>)> = vec![];
    for parameter in list {
        let name = layer(&parameter.name);
        match layers.iter_mut().find(|(layer, _)| *layer == name) {
            Some((_, ranges)) => ranges.push(parameter.range),
            None => layers.push((name, vec![parameter.range])),
        }
    }
    layers
}

/// ‖after − before‖ and ‖before‖ over some ranges.
pub(crate) fn change(before: &[f32], after: &[f32], ranges: &[Range<usize>]) -> (f64, f64) {
    const BLOCK: usize = 1 << 16;
    let squares = |range: &Range<usize>| {
        let pieces =
            before[range.clone()].par_chunks(BLOCK).zip(after[range.clone()].par_chunks(BLOCK));
        // One after another: sums have one order.
        let sums: Vec<(f64, f64)> = pieces.map(|(b, a)| squared(b, a)).collect();
        sums.into_iter().fold((0.0, 0.0), |(c, s), (x, y)| (c + x, s + y))
    };
    let (moved, size) =
        ranges.iter().map(squares).fold((0.0, 0.0), |(c, s), (x, y)| (c + x, s + y));
    (moved.sqrt(), size.sqrt())
}

/// Σ (a − b)² and Σ b², in lanes.
fn squared(before: &[f32], after: &[f32]) -> (f64, f64) {
    const LANES: usize = 8;
    linalg::simd(
        #[inline(always)]
        || {
            let mut lanes = [[0.0_f64; LANES]; 2];
            let ((b, rest), (a, rest_a)) =
                (before.as_chunks::<LANES>(), after.as_chunks::<LANES>());
            for (b, a) in b.iter().zip(a) {
                for l in 0..LANES {
                    let (own, moved) = (f64::from(b[l]), f64::from(a[l] - b[l]));
                    lanes[0][l] += moved * moved;
                    lanes[1][l] += own * own;
                }
            }
            for (b, a) in rest.iter().zip(rest_a) {
                lanes[0][0] += f64::from(a - b) * f64::from(a - b);
                lanes[1][0] += f64::from(*b) * f64::from(*b);
            }
            (lanes[0].iter().sum(), lanes[1].iter().sum())
        },
    )
}

/// What a layer of the residual stream does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// The value's name.
    pub name: String,
    /// Root mean square of its elements.
    pub activation: f64,
    /// Root mean square of its gradient's elements.
    pub gradient: f64,
}

/// The health of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// All measures, those outside their bands first.
    pub measures: Vec<Measure>,
    /// Per value, those with the least room to overflow first; then per gradient, likewise.
    pub headroom: Vec<Headroom>,
    /// How much the last step changed every layer; empty where none was taken.
    pub updates: Vec<Update>,
    /// The residual stream, in order.
    pub layers: Vec<Layer>,
    /// Batches of this size at which gradient noise equals signal, in batches; NaN if unknown.
    pub noise_scale: f64,
}

/// How far the residual stream may grow from the first sum to the last.
pub(crate) const GROWTH: f64 = 300.0;
/// Of attention, over ln of the visible keys; 1 is rounded.
const ENTROPY: (f64, f64) = (0.02, 1.0 + 1e-5);
/// Share of an activation's units that may be dead.
pub(crate) const DEAD: f64 = 0.5;
/// How many times the limit of stability a healthy learning rate may be far from a minimum, where steps that climb
/// one valley land in a flatter one.
pub(crate) const BORNE: f64 = 16.0;
/// Batches that the noise of gradients is measured on.
const NOISE: u64 = 8;

/// Measures a step's health at a state; `taken` is its last step, if one was taken, and `stability` what
/// [`crate::inspect::diagnose::stability`] found, if it was asked.
///
/// # Errors
/// If the step cannot be recorded.
pub fn health(
    subject: &impl Subject,
    state: &State,
    recipe: &Recipe,
    taken: Option<&Taken>,
    stability: Option<Stability>,
) -> Result<Health, ModelError> {
    let number = state.steps * recipe.accumulate;
    let batch = subject.batch(number);
    let signs = signs(subject, &state.parameters, &batch)?;
    let mut step = subject.record_in_full::<f32>()?;
    step.set_parameters(&state.parameters);
    step.give(&batch);
    step.step();
    let mut measures = of_signs(&signs);
    if let Some(taken) = taken {
        // At 0.1 ten steps rewrite the weights; the twenty healthy runs of the tests stay below 0.05.
        measures.push(Measure::new("update over weights", taken.update_ratio, (1e-6, 0.1)));
        measures.push(Measure::new("gradient norm", taken.gradient_norm, (1e-6, 1e2)));
    }
    let layers_of_weights = by_layer(step.tape.parameter_list());
    let ratios = taken.map_or(&[][..], |t| &t.layer_ratios);
    let updates = layers_of_weights.into_iter().zip(ratios);
    let updates: Vec<Update> =
        updates.map(|((layer, _), &ratio)| Update { layer, ratio }).collect();
    for update in &updates {
        // At 0.5 two steps rewrite a layer; Adam's first steps move tables of deviation 0.02 by their rate.
        let measure = Measure::new("update over weights, by layer", update.ratio, (1e-7, 0.5));
        measures.push(measure.at(&update.layer));
    }
    if let Some(found) = stability
        && found.limit.is_finite()
        && found.limit > 0.0
    {
        let share = found.rate / found.limit;
        // Near a minimum training bears 1.3 times the limit, from fresh weights up to 15 times: docs/FAILURES.md.
        measures.push(Measure::new(
            "learning rate over the limit of stability",
            share,
            (0.0, BORNE),
        ));
    }
    let headroom = headroom(&step.tape);
    for gradient in [false, true] {
        let own = || headroom.iter().filter(|h| h.gradient == gradient);
        let (over, under) = match gradient {
            false => {
                ("doublings of values to overflow in f32", "halvings of values to underflow in f32")
            }
            true => (
                "doublings of gradients to overflow in f32",
                "halvings of gradients to underflow in f32",
            ),
        };
        let mut note = |name, h: &Headroom, room: f64| {
            measures.push(Measure::new(name, room, (16.0, 300.0)).at(&h.name));
        };
        if let Some(least) = own().next() {
            note(over, least, least.overflow[0]);
        }
        // What is 0 throughout (a bias at the start, the gradient of a key's bias) does not vanish.
        let some = own().filter(|h| h.largest > 0.0);
        if let Some(least) = some.min_by(|a, b| a.underflow[0].total_cmp(&b.underflow[0])) {
            note(under, least, least.underflow[0]);
        }
    }
    measures.sort_by_key(Measure::is_usual);
    Ok(Health {
        measures,
        layers: layers(&step.tape),
        headroom,
        updates,
        noise_scale: noise_scale(subject, state, number)?,
    })
}

fn of_signs(signs: &Signs) -> Vec<Measure> {
    let mut all = vec![];
    if signs.uniform.is_finite() {
        all.push(Measure::new("loss over ln V", signs.loss / signs.uniform, (0.0, 1.3)));
    }
    if let Some((range, mean, _)) = signs.logits {
        all.push(Measure::new("range of a token's logits", range, (0.0, 200.0)));
        all.push(Measure::new("mean logit, by size", mean.abs(), (0.0, 300.0)));
    }
    all.push(Measure::new("largest gain", signs.gain.0, (0.0, 60.0)).at(&signs.gain.1));
    all.push(Measure::new("growth of the residual stream", signs.residual, (0.05, GROWTH)));
    for a in &signs.attention {
        let entropy =
            Measure::new("attention's entropy over the most possible", a.entropy, ENTROPY);
        all.push(entropy.at(&a.name));
        all.push(Measure::new("saturated queries", a.saturated, (0.0, 0.9)).at(&a.name));
    }
    for (name, share) in &signs.dead {
        all.push(Measure::new("dead units", *share, (0.0, DEAD)).at(name));
    }
    let unmoved = signs.unmoved.len() as f64;
    all.push(Measure::new("parameters without gradient", unmoved, (0.0, 0.0)));
    all
}

/// Of values, the least room to overflow first, then of gradients.
fn headroom(tape: &Tape<f32>) -> Vec<Headroom> {
    // A view is stored with its matrix.
    let stored = |v: &Var| tape.source(*v) != Source::Input && !tape.is_view(*v);
    let vars = || tape.vars().filter(stored);
    let mut values: Vec<Headroom> =
        vars().map(|v| Headroom::of(tape.name(v), false, tape.elements(v))).collect();
    let mut gradients: Vec<Headroom> =
        vars().map(|v| Headroom::of(tape.name(v), true, tape.gradient_elements(v))).collect();
    for all in [&mut values, &mut gradients] {
        all.sort_by(|a, b| a.overflow[0].total_cmp(&b.overflow[0]));
    }
    values.append(&mut gradients);
    values
}

/// The sums of the residual stream.
fn layers(tape: &Tape<f32>) -> Vec<Layer> {
    let sums = tape.vars().filter(|v| tape.role(*v) == Some(Role::Sum));
    sums.map(|v| Layer {
        name: tape.name(v).to_owned(),
        activation: rms(tape.elements(v)),
        gradient: rms(tape.gradient_elements(v)),
    })
    .collect()
}

/// tr Σ/‖g‖² in batches, from the gradients of a few batches by themselves and of their mean, without
/// bias: with b batches, E‖ḡ‖² = ‖g‖² + tr Σ/b.
fn noise_scale(subject: &impl Subject, state: &State, first: u64) -> Result<f64, ModelError> {
    let mut step = subject.record::<f32>()?;
    step.set_parameters(&state.parameters);
    let mut mean = vec![0.0_f64; state.parameters.len()];
    let mut alone = 0.0;
    for i in 0..NOISE {
        step.give(&subject.batch(first + i));
        step.step();
        for (m, &g) in mean.iter_mut().zip(step.tape.gradients()) {
            *m += f64::from(g) / NOISE as f64;
            alone += f64::from(g) * f64::from(g) / NOISE as f64;
        }
    }
    let together: f64 = mean.iter().map(|m| m * m).sum();
    let n = NOISE as f64;
    let noise = (alone - together) / (1.0 - 1.0 / n);
    let signal = (n * together - alone) / (n - 1.0);
    Ok(if signal > 0.0 { noise.max(0.0) / signal } else { f64::NAN })
}

/// What `--watch` writes down of a step: seen while the step is replayed, so that a recording that
/// reuses memory is watched as well as one that keeps everything. Lists have an entry for each block.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Glance {
    /// The largest element of any value, by size; infinite values are not counted.
    pub largest: f64,
    /// The value that has it.
    pub largest_name: String,
    /// Root mean square of every block's output.
    pub activations: Vec<f64>,
    /// Root mean square of the gradient of every block's output.
    pub gradients: Vec<f64>,
    /// Entropy of attention over ln of what is visible, the mean over the heads of every sequence's last query,
    /// which sees most.
    pub attention_entropy: Vec<f64>,
    /// Share of those queries with a weight above 0.99.
    pub saturated: Vec<f64>,
    /// Share of the feed-forward part's units that send no gradient for any token.
    pub dead: Vec<f64>,
    /// Norm of all parameters, after the update.
    pub weight_norm: f64,
    /// Norm of the change over norm of the parameters.
    pub update_ratio: f64,
    /// The same of every block's own.
    pub update_ratios: Vec<f64>,
}

/// What is seen of one block.
#[derive(Clone, Debug, Default)]
struct Block {
    /// Sum of squares and count: of the output, of its gradient.
    output: [(f64, usize); 2],
    /// The last query of every sequence.
    queries: Vec<Vec<f32>>,
    /// Sums of entropies and of saturated queries, and the count.
    attention: (f64, f64, usize),
    /// Whether a unit has sent a gradient.
    alive: Vec<u8>,
}

/// What is looked at in a value, and of which block it is. Rows are those of a value that holds others too.
#[derive(Clone, Debug)]
enum Seen {
    Output(usize),
    /// The queries of an attention, which are computed before its keys or together with them.
    Query(usize, Range<usize>),
    Key(usize, Range<usize>),
    /// What the feed-forward part's activation is given.
    Units(usize, Range<usize>),
}

/// Takes a [`Glance`] of a training step: one pass over each value and some gradients while they are in
/// the processor's caches, and a copy of the parameters.
pub struct Watch {
    names: HashMap<Var, String>,
    seen: HashMap<Var, Vec<Seen>>,
    blocks: Vec<Block>,
    /// Parameters of every layer, and whether it is a block.
    layers: Vec<(bool, Vec<Range<usize>>)>,
    before: Vec<f32>,
    largest: (f32, Option<Var>),
}

impl Watch {
    /// For this recording.
    pub fn new(model: &RecordedStep<f32>) -> Self {
        let (tape, marks) = (model.tape(), model.marks());
        let names = tape.vars().map(|v| (v, tape.name(v).to_owned())).collect();
        let mut seen: HashMap<Var, Vec<Seen>> = HashMap::new();
        let mut see = |var, what: Seen| seen.entry(var).or_default().push(what);
        for (i, (block, &output)) in marks.blocks.iter().zip(&marks.residual[1..]).enumerate() {
            // What is a view of another value is seen there.
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
        let place = |parameter: &Parameter| tape.find(&parameter.name).map(Var::index);
        let mut layers: Vec<(bool, Vec<Range<usize>>)> =
            marks.blocks.iter().map(|_| (true, vec![])).chain([(false, vec![])]).collect();
        for parameter in tape.parameter_list() {
            let row = place(&parameter);
            let own = marks.blocks.iter().position(|b| row.is_some_and(|r| b.rows.contains(&r)));
            layers[own.unwrap_or(marks.blocks.len())].1.push(parameter.range);
        }
        let blocks = vec![Block::default(); marks.blocks.len()];
        Watch { names, seen, blocks, layers, before: vec![], largest: (0.0, None) }
    }

    /// Takes a training step under watch.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub fn step(
        &mut self,
        trainer: &mut Trainer<f32>,
        corpus: &Corpus,
    ) -> Result<(Step, Glance), ModelError> {
        let model = trainer.model();
        let (heads, hidden) = (model.config().heads, model.config().hidden);
        let (sequences, length, tokens) = (model.sequences(), model.length(), model.batch());
        self.largest = (0.0, None);
        self.blocks.fill(Block { alive: vec![0; hidden], ..Block::default() });
        self.before.clear();
        self.before.extend_from_slice(trainer.model().tape().parameters());
        let Watch { seen, blocks, largest, .. } = self;
        let blocks = RefCell::new(blocks);
        let step = trainer.step_watched(
            corpus,
            |var, x| {
                let size = largest_of(x);
                if size > largest.0 {
                    *largest = (size, Some(var));
                }
                let mut blocks = blocks.borrow_mut();
                for what in seen.get(&var).into_iter().flatten() {
                    match what {
                        Seen::Output(i) => note(&mut blocks[*i].output[0], x),
                        Seen::Query(i, rows) => {
                            let last =
                                |x: &[f32]| x[x.len() - x.len() / length..][rows.clone()].to_vec();
                            blocks[*i].queries = x.chunks(x.len() / sequences).map(last).collect();
                        }
                        Seen::Key(i, rows) => {
                            let (keys, block) = (x.chunks(x.len() / sequences), &mut blocks[*i]);
                            for (query, keys) in block.queries.iter().zip(keys) {
                                let keys: Vec<&[f32]> = keys
                                    .chunks(keys.len() / length)
                                    .map(|k| &k[rows.clone()])
                                    .collect();
                                last_query(query, &keys, heads, &mut block.attention);
                            }
                        }
                        Seen::Units(..) => {}
                    }
                }
            },
            |var, g| {
                let mut blocks = blocks.borrow_mut();
                for what in seen.get(&var).into_iter().flatten() {
                    match what {
                        Seen::Output(i) => note(&mut blocks[*i].output[1], g),
                        Seen::Units(i, rows) => alive(&mut blocks[*i].alive, g, tokens, rows),
                        _ => {}
                    }
                }
            },
        )?;
        let after = trainer.model().tape().parameters();
        let ratio = |(moved, size): (f64, f64)| moved / size.max(f64::MIN_POSITIVE);
        let of_each = |of: fn(&Block) -> f64| -> Vec<f64> { self.blocks.iter().map(of).collect() };
        let rms = |(sum, n): (f64, usize)| (sum / n.max(1) as f64).sqrt();
        let rms_of =
            |k: usize| -> Vec<f64> { self.blocks.iter().map(|b| rms(b.output[k])).collect() };
        let changes: Vec<(bool, (f64, f64))> =
            self.layers.iter().map(|(b, r)| (*b, change(&self.before, after, r))).collect();
        // Norms of parts add up as the sides of a box do.
        let together = |of: fn(&(f64, f64)) -> f64| {
            changes.iter().map(|(_, c)| of(c) * of(c)).sum::<f64>().sqrt()
        };
        let glance = Glance {
            largest: f64::from(self.largest.0),
            largest_name: self.largest.1.map_or(String::new(), |v| self.names[&v].clone()),
            activations: rms_of(0),
            gradients: rms_of(1),
            attention_entropy: of_each(|b| b.attention.0 / b.attention.2.max(1) as f64),
            saturated: of_each(|b| b.attention.1 / b.attention.2.max(1) as f64),
            dead: of_each(|b| {
                b.alive.iter().filter(|a| **a == 0).count() as f64 / b.alive.len().max(1) as f64
            }),
            weight_norm: clip::global_norm(after),
            update_ratio: ratio((together(|c| c.0), together(|c| c.1))),
            update_ratios: changes.iter().filter(|(b, _)| *b).map(|(_, c)| ratio(*c)).collect(),
        };
        Ok((step, glance))
    }
}

/// Attention of a sequence's last query, head by head: adds entropy over ln of the keys, saturation, and a
/// count. `query` is a column; `keys` are a column for every token, of as many heads as its rows make.
fn last_query(query: &[f32], keys: &[&[f32]], heads: usize, all: &mut (f64, f64, usize)) {
    let rows = query.len() / heads;
    let groups = Groups { heads, key_value_heads: keys[0].len() / rows };
    let scale = 1.0 / (rows as f32).sqrt();
    for h in 0..heads {
        let query = &query[h * rows..][..rows];
        let dot = |key: &&[f32]| {
            let key = &key[groups.read_by(h) * rows..][..rows];
            scale * query.iter().zip(key).map(|(q, k)| q * k).sum::<f32>()
        };
        let scores: Vec<f32> = keys.iter().map(dot).collect();
        let most = scores.iter().fold(f32::NEG_INFINITY, |m, &s| m.max(s));
        // H = ln Σ e^s − Σ p·s, from the largest down.
        let (mut sum, mut product) = (0.0_f64, 0.0);
        for s in scores {
            let below = f64::from(s - most);
            let e = below.exp();
            sum += e;
            product += e * below;
        }
        let nats = sum.ln() - product / sum;
        all.0 += if keys.len() > 1 { nats / (keys.len() as f64).ln() } else { 1.0 };
        all.1 += f64::from(u8::from(sum.recip() > 0.99));
        all.2 += 1;
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

/// The largest finite size, in lanes that the processor takes at once.
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
                    // False for what is not finite.
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
    use crate::model::recording::{Given, Recording};
    use linalg::{Real, Shape, product::Product};
    use probability::random::Random;

    /// With keys repeated for every query head that reads them, heads are heads of their own.
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
                let mut all = (0.0, 0.0, 0);
                let columns: Vec<&[f32]> = key.chunks(key.len() / keys).collect();
                last_query(&query, &columns, heads, &mut all);
                all
            };
            assert_eq!(seen(&key), seen(&repeated), "{key_value_heads} key-value heads");
            assert!(seen(&key).0 < 6.0 && seen(&key).2 == 6);
        }
    }

    /// θ·x with x = µ + σ·ξ of 20,000 independent ξ: the gradient of a batch is its x.
    struct Line {
        mean: f64,
        deviation: f64,
    }

    const N: usize = 20_000;

    impl Subject for Line {
        fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
            let mut r = calculus::Recorder::new();
            let theta = r.parameter("theta", Shape::new(1, N))?;
            let x = r.input("x", Shape::new(N, 1))?;
            let loss = r.push("loss", Product::plain(), [theta, x])?;
            Ok(Recording::new(r.finish(), loss))
        }

        fn batch(&self, number: u64) -> Vec<Given> {
            let random = Random::new(3, 0, number as u32);
            let x = (0..N as u64).map(|i| self.mean + self.deviation * random.normal(i));
            vec![Given { name: "x", elements: x.collect() }]
        }
    }

    /// tr Σ/‖g‖² = σ²/µ². Of b = 8 batches, the estimate of ‖g‖² = N·µ² has variance 2σ⁴·N/b(b − 1) and a part 4σ²µ²N/b
    /// of the mean's own, that of tr Σ = N·σ² is far better known: five deviations.
    #[test]
    fn a_noise_scale_that_is_known() {
        let (n, b) = (N as f64, NOISE as f64);
        for (mean, deviation) in [(1.0, 1.0), (1.0, 4.0), (0.5, 0.1), (-2.0, 10.0)] {
            let known: f64 = (deviation / mean) * (deviation / mean);
            let found =
                noise_scale(&Line { mean, deviation }, &State::start(vec![0.0; N]), 5).unwrap();
            let signal = (2.0 * known * known / (b * (b - 1.0)) + 4.0 * known / b) / n;
            let noise = 2.0 / (n * (b - 1.0));
            let off = (found / known - 1.0).abs();
            assert!(off < 5.0 * (signal.sqrt() + noise.sqrt()), "{found} where {known} is meant");
        }
        // Without noise, and without signal.
        let at = |mean, deviation| {
            noise_scale(&Line { mean, deviation }, &State::start(vec![0.0; N]), 0).unwrap()
        };
        assert!(at(1.0, 0.0) < 1e-6);
        let silent = at(0.0, 1.0);
        assert!(silent.is_nan() || silent > 100.0, "{silent}");
    }
}
