//! The healthy animal: a small transformer composed from the crates, in which one thing can be made wrong.

use super::families::Decoder;
use super::faulty::{Difference, Entropy, NaiveSoftmax, Norm};
use calculus::activation::Activation;
use calculus::{RecordError, Recorder, Var};
use infotheory::cross_entropy::CrossEntropy;
use infotheory::surprisal::{MeanOverTargets, Surprisal};
use linalg::heads::{HeadMix, HeadScores};
use linalg::{Real, Shape, add::Add, affine::Affine, gather::Gather, hadamard::Hadamard};
use linalg::{product::Product, rows::Rows, scale::Scale};
use probability::random::Random;
use probability::{layer_norm::LayerNorm, mask::CausalMask, softmax::Softmax};
use std::ops::Range;
use tests::deep::Skewed;
use transformer::{Given, ModelError, Recording, Subject};

/// Tokens of a sequence, sequences of a batch, words.
pub(crate) const LENGTH: usize = 8;
pub(crate) const SEQUENCES: usize = 4;
pub(crate) const VOCABULARY: usize = 11;

/// What is wrong with the model; `Healthy` is nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    Healthy,
    /// exp without the maximum.
    NoMaximum,
    /// The maximum of all columns.
    WrongMaximum,
    /// Softmax, then its logarithm.
    LogOfSoftmax,
    /// An additive mask, given as data, of which one column is −∞ throughout.
    AllMasked,
    /// Scores relative to a masked reference.
    InfinityMinusInfinity,
    /// A mask multiplied onto masked scores.
    ZeroTimesInfinity,
    /// No mask.
    NoMask,
    /// Scores that are not divided by √d.
    NoScale,
    /// ε = 0 in every norm.
    NoEpsilon,
    /// What is added to the residual stream makes it a million times larger.
    Residual,
    /// A bias of all logits.
    Drift,
    /// The last norm sends nothing back.
    Cut,
    /// ‖v‖ of a vector that is 0 is added to the loss.
    NormAtZero,
    /// The entropy of attention, masked weights included, is added to the loss.
    EntropyAtZero,
    /// The loss times 10⁻⁶.
    SmallLoss,
}

/// A model of one head size.
#[derive(Clone, Debug)]
pub(crate) struct Tiny {
    pub(crate) fault: Fault,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) layers: usize,
    /// Which batch is spoilt, and how.
    pub(crate) spoilt: Option<(u64, Spoilt)>,
    /// The batches of the whole text, which are given again and again; none is a text without end.
    pub(crate) text: Option<Range<u64>>,
}

/// What is wrong with a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Spoilt {
    /// A token that is no word.
    Token,
    /// A target that is no word.
    Target,
    /// No target at all.
    NoTarget,
    /// NaN among the features.
    Features,
}

impl Default for Tiny {
    fn default() -> Self {
        Tiny { fault: Fault::Healthy, width: 16, heads: 2, layers: 2, spoilt: None, text: None }
    }
}

impl Tiny {
    pub(crate) fn with(fault: Fault) -> Self {
        Tiny { fault, ..Tiny::default() }
    }

    /// Matrices that keep a vector's size by half, gains 1, the rest 0.
    pub(crate) fn parameters(&self, seed: u64) -> Vec<f32> {
        let recording = self.record::<f32>().expect("a valid model");
        let mut all = vec![];
        for (k, p) in recording.tape.parameter_list().into_iter().enumerate() {
            let random = Random::new(seed, k as u32, 0);
            let inputs = if p.name.contains("table") { 16 } else { p.shape.columns };
            let deviation = 0.5 / (inputs as f64).sqrt();
            for i in 0..p.shape.len() as u64 {
                all.push(match p.shape.columns {
                    1 if p.name.ends_with("gain") => 1.0,
                    1 => 0.0,
                    _ => (deviation * random.normal(i)) as f32,
                });
            }
        }
        all
    }

    /// The parameters of one name times a factor.
    pub(crate) fn scaled(&self, seed: u64, name: &str, factor: f32) -> Vec<f32> {
        let mut all = self.parameters(seed);
        for p in self.record::<f32>().expect("a valid model").tape.parameter_list() {
            if p.name.contains(name) {
                all[p.range].iter_mut().for_each(|p| *p *= factor);
            }
        }
        all
    }

    /// Queries and keys, not values, times a factor.
    pub(crate) fn sharpened(&self, seed: u64, factor: f32) -> Vec<f32> {
        let mut all = self.parameters(seed);
        for p in self.record::<f32>().expect("a valid model").tape.parameter_list() {
            if p.name.ends_with("qkv.weight") {
                for column in all[p.range].chunks_mut(p.shape.rows) {
                    column[..2 * self.width].iter_mut().for_each(|p| *p *= factor);
                }
            }
        }
        all
    }

    /// One feature of every query and key a constant: all scores of a query are larger by its square, which softmax does
    /// not see.
    pub(crate) fn lifted(&self, seed: u64, constant: f32) -> Vec<f32> {
        let mut all = self.parameters(seed);
        let rows = self.width / self.heads;
        let lifted = |row: usize| row < 2 * self.width && row.is_multiple_of(rows);
        for p in self.record::<f32>().expect("a valid model").tape.parameter_list() {
            let elements = all[p.range].iter_mut().enumerate();
            let own = elements.filter(|(i, _)| lifted(i % p.shape.rows));
            if p.name.ends_with("qkv.weight") {
                own.for_each(|(_, p)| *p = 0.0);
            } else if p.name.ends_with("qkv.bias") {
                own.for_each(|(_, p)| *p = constant);
            }
        }
        all
    }

    /// As [`Tiny::sharpened`], with scores of the other sign.
    pub(crate) fn attracted(&self, seed: u64, factor: f32) -> Vec<f32> {
        let mut all = self.sharpened(seed, factor);
        for p in self.record::<f32>().expect("a valid model").tape.parameter_list() {
            if p.name.ends_with("qkv.weight") {
                for column in all[p.range].chunks_mut(p.shape.rows) {
                    column[..self.width].iter_mut().for_each(|p| *p = -*p);
                }
            }
        }
        all
    }

    /// A block: its output, and its attention weights.
    fn block<T: Real>(
        &self,
        r: &mut Recorder<T>,
        x: Var,
        given: Option<Var>,
    ) -> Result<(Var, Var), RecordError> {
        let (d, heads) = (self.width, self.heads);
        let h = self.norm(r, "norm_1", x)?;
        let qkv = linear(r, "qkv", 3 * d, h)?;
        let part = |r: &mut Recorder<T>, name: &str, i: usize| {
            r.push(name, Rows { start: i * d, count: d }, [qkv])
        };
        let (q, k, v) = (part(r, "query", 0)?, part(r, "key", 1)?, part(r, "value", 2)?);
        let mut scores =
            r.push("scores", HeadScores { heads, key_value_heads: heads, length: LENGTH }, [q, k])?;
        if self.fault != Fault::NoScale {
            let factor = 1.0 / ((d / heads) as f64).sqrt();
            scores = r.push("scaled", Scale { factor }, [scores])?;
        }
        let masked = match (self.fault, given) {
            (Fault::NoMask, _) => scores,
            (Fault::AllMasked, Some(mask)) => r.push("masked", Add, [scores, mask])?,
            _ => r.push("masked", CausalMask::default(), [scores])?,
        };
        let masked = match (self.fault, given) {
            (Fault::InfinityMinusInfinity, _) => {
                r.push("relative", Difference, [masked, masked])?
            }
            (Fault::ZeroTimesInfinity, Some(mask)) => r.push("again", Hadamard, [masked, mask])?,
            _ => masked,
        };
        let weights = match self.fault {
            Fault::NoMaximum => r.push("weights", NaiveSoftmax { shift: false }, [masked])?,
            Fault::WrongMaximum => r.push("weights", NaiveSoftmax { shift: true }, [masked])?,
            _ => r.push("weights", Softmax, [masked])?,
        };
        let mixed = r.push(
            "mixed",
            HeadMix { heads, key_value_heads: heads, length: LENGTH },
            [v, weights],
        )?;
        let h = linear(r, "projection", d, mixed)?;
        let x = self.add(r, "attended", x, h)?;
        let h = self.norm(r, "norm_2", x)?;
        let h = linear(r, "expanded", 2 * d, h)?;
        let h = r.push("activated", Activation::Gelu, [h])?;
        let h = linear(r, "contracted", d, h)?;
        Ok((self.add(r, "output", x, h)?, weights))
    }

    fn add<T: Real>(&self, r: &mut Recorder<T>, name: &str, x: Var, h: Var) -> Recorded {
        let x = match self.fault {
            Fault::Residual => r.push(&format!("{name}_grown"), Scale { factor: 1e6 }, [x])?,
            _ => x,
        };
        r.push(name, Add, [x, h])
    }

    fn norm<T: Real>(&self, r: &mut Recorder<T>, name: &str, x: Var) -> Recorded {
        let rows = r.shape(x).rows;
        let gain = r.parameter(&format!("{name}.gain"), Shape::new(rows, 1))?;
        let epsilon = if self.fault == Fault::NoEpsilon { 0.0 } else { 1e-5 };
        r.push(name, LayerNorm { epsilon }, [x, gain])
    }

    fn loss<T: Real>(&self, r: &mut Recorder<T>, x: Var, targets: Var) -> Recorded {
        let table = r.parameter("head.table", Shape::new(self.width, VOCABULARY))?;
        if self.fault == Fault::Drift {
            let bias = r.parameter("head.bias", Shape::new(VOCABULARY, 1))?;
            let turned = r.parameter("head.weight", Shape::new(VOCABULARY, self.width))?;
            let logits = r.push("logits", Affine, [turned, x, bias])?;
            return r.push("loss", CrossEntropy, [logits, targets]);
        }
        let logits = r.push("logits", Product::transposed(), [table, x])?;
        if self.fault == Fault::LogOfSoftmax {
            let p = r.push("probabilities", Softmax, [logits])?;
            let nats = r.push("surprisal", Surprisal, [p, targets])?;
            return r.push("loss", MeanOverTargets, [nats, targets]);
        }
        r.push("cross_entropy", CrossEntropy, [logits, targets])
    }
}

type Recorded = Result<Var, RecordError>;

fn linear<T: Real>(r: &mut Recorder<T>, name: &str, out: usize, x: Var) -> Recorded {
    let inputs = r.shape(x).rows;
    let w = r.parameter(&format!("{name}.weight"), Shape::new(out, inputs))?;
    let b = r.parameter(&format!("{name}.bias"), Shape::new(out, 1))?;
    r.push(name, Affine, [w, x, b])
}

impl Subject for Tiny {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        let mut recorder = Recorder::new();
        let r = &mut recorder;
        let (d, n) = (self.width, LENGTH * SEQUENCES);
        let row = Shape::new(1, n);
        let tokens = r.input("tokens", row)?;
        let positions = r.input("positions", row)?;
        let targets = r.input("targets", row)?;
        let features = r.input("features", Shape::new(d, n))?;
        let mask = match self.fault {
            Fault::AllMasked | Fault::ZeroTimesInfinity => {
                Some(r.input("mask", Shape::new(LENGTH, n * self.heads))?)
            }
            _ => None,
        };
        let table = r.parameter("token.table", Shape::new(d, VOCABULARY))?;
        let places = r.parameter("position.table", Shape::new(d, LENGTH))?;
        let token = r.push("token", Gather, [table, tokens])?;
        let position = r.push("position", Gather, [places, positions])?;
        let x = r.push("embedded", Add, [token, position])?;
        let mut x = r.push("seen", Add, [x, features])?;
        let mut attention = vec![];
        for i in 0..self.layers {
            let (output, weights) = r.scope(&format!("block.{i}"), |r| self.block(r, x, mask))?;
            x = output;
            attention.push(weights);
        }
        let mut x = self.norm(r, "norm", x)?;
        if self.fault == Fault::Cut {
            x = r.push("passed", Skewed { factor: 0.0 }, [x])?;
        }
        let mut loss = self.loss(r, x, targets)?;
        match self.fault {
            Fault::NormAtZero => {
                let v = r.parameter("offset", Shape::new(d, 1))?;
                let size = r.push("offset.norm", Norm, [v])?;
                loss = r.push("total", Add, [loss, size])?;
            }
            Fault::EntropyAtZero => {
                let entropy = r.push("attention_entropy", Entropy, [attention[0]])?;
                loss = r.push("total", Add, [loss, entropy])?;
            }
            Fault::SmallLoss => loss = r.push("small", Scale { factor: 1e-6 }, [loss])?,
            _ => {}
        }
        Ok(tests::models::recording(recorder.finish(), loss))
    }

    fn batch(&self, number: u64) -> Vec<Given> {
        // A word and what follows it: 3w + 1 or, one time in five, any word.
        let n = LENGTH * SEQUENCES;
        let number = match &self.text {
            Some(text) => text.start + number % (text.end - text.start),
            None => number,
        };
        let random = Random::new(77, 0, number as u32);
        let (mut tokens, mut targets) = (vec![], vec![]);
        for s in 0..SEQUENCES as u64 {
            let mut w = random.below(1000 + s, VOCABULARY as u64 - 1);
            for t in 0..LENGTH as u64 {
                tokens.push(w as f64);
                let any = random.below(2 * (s * 100 + t), 5) == 0;
                w = if any {
                    random.below(2 * (s * 100 + t) + 1, VOCABULARY as u64 - 1)
                } else {
                    (3 * w + 1) % (VOCABULARY as u64 - 1)
                };
                targets.push(w as f64);
            }
        }
        let mut features = vec![0.0; self.width * n];
        if let Some((_, what)) = self.spoilt.filter(|s| s.0 == number) {
            match what {
                Spoilt::Token => tokens[5] = 47.0,
                Spoilt::Target => targets[5] = 47.0,
                Spoilt::NoTarget => targets.fill(infotheory::IGNORED),
                Spoilt::Features => features[20] = f64::NAN,
            }
        }
        let positions = (0..n).map(|i| (i % LENGTH) as f64).collect();
        let mut given = vec![
            Given { name: "tokens", elements: tokens },
            Given { name: "positions", elements: positions },
            Given { name: "targets", elements: targets },
            Given { name: "features", elements: features },
        ];
        let visible = |c: usize, k: usize| k <= c % LENGTH;
        let columns = n * self.heads;
        match self.fault {
            Fault::AllMasked => {
                // The third query of the first head sees nothing, not even itself.
                let mask = (0..columns * LENGTH).map(|i| {
                    let (c, k) = (i / LENGTH, i % LENGTH);
                    if visible(c, k) && c != 2 { 0.0 } else { f64::NEG_INFINITY }
                });
                given.push(Given { name: "mask", elements: mask.collect() });
            }
            Fault::ZeroTimesInfinity => {
                let mask = (0..columns * LENGTH)
                    .map(|i| f64::from(u8::from(visible(i / LENGTH, i % LENGTH))));
                given.push(Given { name: "mask", elements: mask.collect() });
            }
            _ => {}
        }
        given
    }

    fn length(&self) -> Option<usize> {
        Some(LENGTH)
    }

    fn larger(&self) -> Option<(Self, Vec<f32>)> {
        let larger = Tiny { width: 2 * self.width, ..self.clone() };
        let parameters = larger.parameters(1);
        Some((larger, parameters))
    }
}

/// A classifier of features without any norm: what a spike in the data hits with all its force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classifier {
    /// The batch whose features are 300 times as large, if one is.
    pub(crate) spike: Option<u64>,
    /// The batch from which on features are large and classes others, if there is one.
    pub(crate) turned: Option<u64>,
}

impl Subject for Classifier {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        let mut r = Recorder::new();
        let x = r.input("x", Shape::new(6, 32))?;
        let targets = r.input("targets", Shape::new(1, 32))?;
        let h = linear(&mut r, "hidden", 24, x)?;
        let h = r.push("activated", Activation::Gelu, [h])?;
        let logits = linear(&mut r, "logits", 4, h)?;
        let loss = r.push("loss", CrossEntropy, [logits, targets])?;
        Ok(tests::models::recording(r.finish(), loss))
    }

    fn batch(&self, number: u64) -> Vec<Given> {
        let random = Random::new(5, 1, number as u32);
        let mut x: Vec<f64> = (0..6 * 32).map(|i| random.normal(i)).collect();
        // The class is told by the signs of two features.
        let class =
            |c: &[f64]| f64::from(u8::from(c[0] > 0.0)) + 2.0 * f64::from(u8::from(c[1] > 0.0));
        let turned = self.turned.is_some_and(|first| number >= first);
        let shift = if turned { 1.0 } else { 0.0 };
        let targets = x.chunks(6).map(|c| (class(c) + shift) % 4.0).collect();
        if self.turned.is_some() {
            x.iter_mut().for_each(|x| *x *= 6.0);
        }
        if self.spike == Some(number) {
            x.iter_mut().for_each(|x| *x *= -300.0);
        }
        vec![Given { name: "x", elements: x }, Given { name: "targets", elements: targets }]
    }
}

impl Classifier {
    pub(crate) fn parameters(&self) -> Vec<f32> {
        let n = self.record::<f32>().expect("a valid model").tape.parameters().len() as u64;
        let random = Random::new(9, 2, 0);
        (0..n).map(|i| (0.3 * random.normal(i)) as f32).collect()
    }
}

/// Any animal: one type, so that all is compiled once.
#[derive(Clone, Debug)]
pub(crate) enum Beast {
    Tiny(Tiny),
    Classifier(Classifier),
    Decoder(Box<Decoder>),
}

impl Subject for Beast {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        match self {
            Beast::Tiny(tiny) => tiny.record(),
            Beast::Classifier(classifier) => classifier.record(),
            Beast::Decoder(decoder) => decoder.record(),
        }
    }

    fn record_in_full<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        match self {
            Beast::Tiny(tiny) => tiny.record_in_full(),
            Beast::Classifier(classifier) => classifier.record_in_full(),
            Beast::Decoder(decoder) => decoder.record_in_full(),
        }
    }

    fn batch(&self, number: u64) -> Vec<Given> {
        match self {
            Beast::Tiny(tiny) => tiny.batch(number),
            Beast::Classifier(classifier) => classifier.batch(number),
            Beast::Decoder(decoder) => decoder.batch(number),
        }
    }

    fn length(&self) -> Option<usize> {
        match self {
            Beast::Tiny(_) | Beast::Decoder(_) => Some(LENGTH),
            Beast::Classifier(_) => None,
        }
    }

    fn larger(&self) -> Option<(Self, Vec<f32>)> {
        let Beast::Tiny(tiny) = self else { return None };
        let (larger, parameters) = tiny.larger()?;
        Some((Beast::Tiny(larger), parameters))
    }
}

impl From<&Tiny> for Beast {
    fn from(tiny: &Tiny) -> Self {
        Beast::Tiny(tiny.clone())
    }
}

impl From<&Decoder> for Beast {
    fn from(decoder: &Decoder) -> Self {
        Beast::Decoder(Box::new(decoder.clone()))
    }
}

impl From<&Classifier> for Beast {
    fn from(classifier: &Classifier) -> Self {
        Beast::Classifier(classifier.clone())
    }
}
