//! A decoder of any parts is its formulas, computed here with plain loops from its parameters and its architecture: every
//! place of the norms, windows by layer, caps, normalised queries and keys, rotation in some layers, with a share, scaled
//! frequencies and a base for windows. In both forms, and a token at a time through the cache.

use std::collections::HashMap;
use tests::models::{self, distance};
use tests::{draw, tolerance};
use transformer::{
    Activation, Architecture, Biases, Decoder, Form, Gain, IGNORED, Norm, Placement, Positions,
    QueryKeyNorm, RecordedStep, Rotary, Scaling, Window,
};

/// Every place of the norms, each with other parts beside it. Two pairs of a head's six coordinates turn: the frequency of
/// the first is above the scaled range, and the other's within it.
fn architectures() -> Vec<Architecture> {
    let scaling = Scaling::Llama3 { factor: 4.0, low: 0.1, high: 0.5, original: 8.0 };
    let rotary = Rotary { base: 100.0, share: 0.67, scaling, local_base: Some(7.0) };
    let all = Placement::ALL.iter().enumerate().map(|(i, &placement)| {
        let rms = i != 1;
        Architecture {
            layers: 3,
            context: 7,
            key_value_heads: i.is_multiple_of(2).then_some(1),
            placement,
            positions: match i {
                1 => Positions::Sinusoidal,
                3 => {
                    Positions::Rotary(Rotary { scaling: Scaling::Linear { factor: 3.0 }, ..rotary })
                }
                _ => Positions::Rotary(rotary),
            },
            rotary_layers: match i {
                2 => vec![true, true, false],
                4 => vec![false, true],
                _ => vec![true],
            },
            embedding_scale: 2.0,
            residual_scale: if i == 3 { 1.0 } else { 0.3 + 0.1 * i as f64 },
            norm: if rms { Norm::Rms } else { Norm::Layer },
            gain: match i {
                1 | 2 => Gain::Plain,
                4 => Gain::None,
                _ => Gain::OnePlus,
            },
            embedding_norm: i > 2,
            final_norm: i != 3,
            epsilon: 0.05,
            head_width: Some(6),
            query_key_norm: [QueryKeyNorm::Head, QueryKeyNorm::None, QueryKeyNorm::Whole][i % 3],
            score_scale: i.is_multiple_of(2).then_some(0.7),
            score_scale_by_layer: i > 2,
            score_cap: (i != 1).then_some(1.5),
            window: Some(Window { size: 3, layers: vec![true, false] }),
            activation: Activation::Silu,
            gated: i > 1,
            biases: match i {
                0 => Biases { query_key_value: true, ..Biases::NONE },
                1 => Biases { projection: true, norm: true, ..Biases::NONE },
                2 => Biases { feed_forward: true, ..Biases::NONE },
                _ => Biases::everywhere(i == 3),
            },
            tied: i.is_multiple_of(2),
            logit_divisor: if i == 1 { 1.0 } else { 1.3 + i as f64 },
            logit_cap: (i > 0).then_some(2.0),
            ..models::config()
        }
    });
    all.collect()
}

/// A model's formulas.
struct Formulas<'a> {
    a: &'a Architecture,
    /// Every parameter by name, column after column.
    parameters: HashMap<String, &'a [f64]>,
}

impl<'a> Formulas<'a> {
    fn new(a: &'a Architecture, parameters: &'a [f64]) -> Self {
        let list = a.parameter_list().unwrap().into_iter();
        Formulas { a, parameters: list.map(|p| (p.name, &parameters[p.range])).collect() }
    }

    /// A parameter that the architecture has or does not have.
    fn given(&self, name: String, has: bool) -> Option<&'a [f64]> {
        let own = self.parameters.get(&name).copied();
        assert_eq!(own.is_some(), has, "{name} of {:?}", self.a);
        own
    }

    /// y = W·x + b, without b if there is no bias.
    fn linear(&self, name: &str, bias: bool, x: &[f64]) -> Vec<f64> {
        let weight = self.parameters[&format!("{name}.weight")];
        let bias = self.given(format!("{name}.bias"), bias);
        let out = weight.len() / x.len();
        let dot =
            |o: usize| x.iter().enumerate().map(|(i, x)| weight[i * out + o] * x).sum::<f64>();
        (0..out).map(|o| dot(o) + bias.map_or(0.0, |b| b[o])).collect()
    }

    /// The normalisation of each of `parts` equal parts.
    fn norm(&self, name: &str, x: &[f64], parts: usize) -> Vec<f64> {
        let gain = self.given(format!("{name}.weight"), self.a.gain != Gain::None);
        let shift =
            self.given(format!("{name}.bias"), self.a.norm == Norm::Layer && self.a.biases.norm);
        let one = if self.a.gain == Gain::OnePlus { 1.0 } else { 0.0 };
        let size = x.len() / parts;
        let normal = |x: &[f64]| -> Vec<f64> {
            let n = size as f64;
            let mean = if self.a.norm == Norm::Layer { x.iter().sum::<f64>() / n } else { 0.0 };
            let square = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            let rate = 1.0 / (square + self.a.epsilon).sqrt();
            let shifted = |i: usize| shift.map_or(0.0, |s| s[i]);
            let each = x.iter().enumerate();
            let gain = |i: usize| gain.map_or(1.0, |gain| one + gain[i]);
            each.map(|(i, x)| (x - mean) * rate * gain(i) + shifted(i)).collect()
        };
        x.chunks(size).flat_map(normal).collect()
    }

    fn window(&self, layer: usize) -> Option<usize> {
        let Window { size, layers } = self.a.window.as_ref()?;
        layers[layer % layers.len()].then_some(*size)
    }

    /// The rotation of every head at position t.
    fn rotated(&self, layer: usize, mut x: Vec<f64>, t: usize) -> Vec<f64> {
        let Positions::Rotary(Rotary { base, share, scaling, local_base }) = self.a.positions
        else {
            return x;
        };
        if !self.a.rotary_layers[layer % self.a.rotary_layers.len()] {
            return x;
        }
        let local = local_base.filter(|_| self.window(layer).is_some());
        let width = self.a.head_width.unwrap();
        let turning = (share * width as f64).floor() as usize;
        let half = turning / 2;
        for head in x.chunks_mut(width) {
            for i in 0..half {
                let plain = local.unwrap_or(base).powf(-2.0 * i as f64 / turning as f64);
                let frequency = match scaling {
                    _ if local.is_some() => plain,
                    Scaling::Linear { factor } => plain / factor,
                    Scaling::Llama3 { factor, low, high, original } => {
                        let turns = original * plain / (2.0 * std::f64::consts::PI);
                        let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                        (1.0 - kept) * plain / factor + kept * plain
                    }
                    _ => plain,
                };
                let (sin, cos) = (t as f64 * frequency).sin_cos();
                let (a, b) = (head[i], head[i + half]);
                (head[i], head[i + half]) = (a * cos - b * sin, b * cos + a * sin);
            }
        }
        x
    }

    /// Attention of every position, from its inputs.
    fn attention(&self, layer: usize, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let a = self.a;
        let (width, heads) = (a.head_width.unwrap(), a.heads);
        let shared = a.key_value_heads.unwrap_or(heads);
        let name = |part: &str| format!("block.{layer}.attention.{part}");
        let [mut queries, mut keys, mut values] = [vec![], vec![], vec![]];
        for (t, x) in inputs.iter().enumerate() {
            let all = self.linear(&name("qkv"), a.biases.query_key_value, x);
            let (query, rest) = all.split_at(heads * width);
            let (key, value) = rest.split_at(shared * width);
            let (mut query, mut key) = (query.to_vec(), key.to_vec());
            let parts = match a.query_key_norm {
                QueryKeyNorm::Head => Some((heads, shared)),
                QueryKeyNorm::Whole => Some((1, 1)),
                _ => None,
            };
            if let Some((own, read)) = parts {
                query = self.norm(&name("query_norm"), &query, own);
                key = self.norm(&name("key_norm"), &key, read);
            }
            queries.push(self.rotated(layer, query, t));
            keys.push(self.rotated(layer, key, t));
            values.push(value.to_vec());
        }
        let scale = a.score_scale.unwrap_or(1.0 / (width as f64).sqrt());
        let scale = if a.score_scale_by_layer { scale / (layer + 1) as f64 } else { scale };
        let mixed = |t: usize| -> Vec<f64> {
            let first = self.window(layer).map_or(0, |window| (t + 1).saturating_sub(window));
            let mut mixed = Vec::new();
            for h in 0..heads {
                let read = h / (heads / shared) * width..(h / (heads / shared) + 1) * width;
                let query = &queries[t][h * width..(h + 1) * width];
                let score = |key: &Vec<f64>| {
                    let dot: f64 = key[read.clone()].iter().zip(query).map(|(k, q)| k * q).sum();
                    a.score_cap.map_or(scale * dot, |cap| cap * (scale * dot / cap).tanh())
                };
                let weights: Vec<f64> =
                    keys[first..=t].iter().map(|key| score(key).exp()).collect();
                let total: f64 = weights.iter().sum();
                for i in read.clone() {
                    let terms = weights.iter().zip(&values[first..=t]);
                    mixed.push(terms.map(|(w, value)| w * value[i]).sum::<f64>() / total);
                }
            }
            mixed
        };
        (0..inputs.len())
            .map(|t| self.linear(&name("projection"), a.biases.projection, &mixed(t)))
            .collect()
    }

    fn feed_forward(&self, layer: usize, x: &[f64]) -> Vec<f64> {
        let name = |part: &str| format!("block.{layer}.feed_forward.{part}");
        let wide = self.linear(&name("expanded"), self.a.biases.feed_forward, x);
        let f = |x: &f64| self.a.activation.at(*x);
        let inside: Vec<f64> = match self.a.gated {
            true => {
                let (gate, up) = wide.split_at(self.a.hidden);
                gate.iter().zip(up).map(|(gate, up)| f(gate) * up).collect()
            }
            false => wide.iter().map(f).collect(),
        };
        self.linear(&name("contracted"), self.a.biases.feed_forward, &inside)
    }

    /// The logits of every position of a sequence.
    fn logits(&self, sequence: &[u32]) -> Vec<Vec<f64>> {
        let a = self.a;
        let d = a.width;
        let table = self.parameters["embedding.token.weight"];
        let position = |t: usize, i: usize| match a.positions {
            Positions::Sinusoidal => {
                let angle = t as f64 / 1e4_f64.powf((i - i % 2) as f64 / d as f64);
                if i.is_multiple_of(2) { angle.sin() } else { angle.cos() }
            }
            _ => 0.0,
        };
        let embedded = |(t, &token): (usize, &u32)| -> Vec<f64> {
            let row = &table[token as usize * d..][..d];
            let each = row.iter().enumerate();
            let sum: Vec<f64> = each.map(|(i, x)| a.embedding_scale * x + position(t, i)).collect();
            if a.embedding_norm { self.norm("embedding.norm", &sum, 1) } else { sum }
        };
        let add = |x: &mut Vec<f64>, y: &[f64]| {
            x.iter_mut().zip(y).for_each(|(x, y)| *x += a.residual_scale * y);
        };
        let mut stream: Vec<Vec<f64>> = sequence.iter().enumerate().map(embedded).collect();
        for layer in 0..a.layers {
            let norm = |part: &str, has: bool, x: &[f64]| match has {
                true => self.norm(&format!("block.{layer}.{part}"), x, 1),
                false => x.to_vec(),
            };
            use Placement::{After, Parallel, Post, Pre, Sandwich};
            let before = matches!(a.placement, Pre | Sandwich | Parallel);
            let after = matches!(a.placement, After | Sandwich);
            let post = a.placement == Post;
            let inputs: Vec<_> = stream.iter().map(|x| norm("norm_1", before, x)).collect();
            let attended = self.attention(layer, &inputs);
            for (x, y) in stream.iter_mut().zip(attended) {
                let read = x.clone();
                add(x, &norm("attention_norm", after, &y));
                *x = norm("norm_1", post, x);
                let read = if a.placement == Parallel { &read } else { &*x };
                let y = self.feed_forward(layer, &norm("norm_2", before, read));
                add(x, &norm("feed_forward_norm", after, &y));
                *x = norm("norm_2", post, x);
            }
        }
        let head = if a.tied { table } else { self.parameters["head.weight"] };
        let last = |x: &Vec<f64>| -> Vec<f64> {
            let normalised = a.placement != Placement::Post && a.final_norm;
            let x = if normalised { self.norm("norm", x, 1) } else { x.clone() };
            let dot =
                |row: &[f64]| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>() / a.logit_divisor;
            let capped = |z: f64| a.logit_cap.map_or(z, |cap| cap * (z / cap).tanh());
            head.chunks(d).map(|row| capped(dot(row))).collect()
        };
        stream.iter().map(last).collect()
    }
}

/// The sums that a logit passes through: in every layer over features three times, over keys and over hidden features;
/// over features in the head. Both sides round, and inputs are of order 1.
fn bound(a: &Architecture) -> f64 {
    2.0 * tolerance::sum(a.layers * (3 * a.width + a.context + a.hidden) + a.width)
}

#[test]
fn a_decoder_of_any_parts_is_its_formulas() {
    let (sequences, length) = (2, 7);
    for a in architectures() {
        let parameters = models::parameters(3, &a.parameter_list().unwrap());
        let formulas = Formulas::new(&a, &parameters);
        let (tokens, targets) = models::batch(5, &a, sequences * length);
        let logits: Vec<Vec<f64>> =
            tokens.chunks(length).flat_map(|sequence| formulas.logits(sequence)).collect();
        let surprisal = |(z, &t): (&Vec<f64>, &u32)| {
            (t != IGNORED).then(|| z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[t as usize])
        };
        let nats: Vec<f64> = logits.iter().zip(&targets).filter_map(surprisal).collect();
        let expected = nats.iter().sum::<f64>() / nats.len() as f64;
        for form in [Form::Fused, Form::Textbook] {
            let mut model = RecordedStep::record(&a, sequences, length, form, 0).unwrap();
            model.copy_parameters(&parameters);
            let loss = model.loss(&tokens, &targets).unwrap();
            assert!((loss - expected).abs() <= bound(&a), "{loss}, not {expected}: {form:?} {a:?}");
            if let Some(own) = model.logits_var() {
                let error = distance(&logits.concat(), model.tape().elements(own));
                assert!(error <= bound(&a), "{error:e}: {a:?}");
            }
        }
    }
}

/// Through the caches of keys and values, and again from position 0 where the context is full.
#[test]
fn a_decoder_of_any_parts_reads_a_token_at_a_time_as_its_formulas_say() {
    for a in architectures() {
        let parameters = models::parameters(4, &a.parameter_list().unwrap());
        let formulas = Formulas::new(&a, &parameters);
        let mut decoder = Decoder::record(&a).unwrap();
        decoder.parameters_mut().copy_from_slice(&parameters);
        let mut window = Vec::new();
        for token in draw::below(6, 2 * a.context, a.vocabulary) {
            if window.len() == a.context {
                window.drain(..a.context - a.context / 2);
            }
            window.push(token);
            let expected = formulas.logits(&window).pop().unwrap();
            let error = distance(&expected, decoder.read(token).unwrap());
            assert!(error <= bound(&a), "{error:e}: {a:?}");
        }
    }
}

/// Many at a time, after others that are cached or not, across blocks of queries and past the end of the context.
#[test]
fn a_decoder_of_any_parts_reads_many_tokens_at_once_as_its_formulas_say() {
    for a in architectures() {
        for context in [a.context, 75] {
            let a = Architecture { context, ..a.clone() };
            let parameters = models::parameters(4, &a.parameter_list().unwrap());
            let formulas = Formulas::new(&a, &parameters);
            let mut decoder = Decoder::record(&a).unwrap();
            decoder.parameters_mut().copy_from_slice(&parameters);
            let tokens = draw::below(6, 2 * context + 5, a.vocabulary);
            let (mut window, mut rest) = (Vec::new(), &tokens[..]);
            for length in [3, 1, 2, 34, 1, 5].into_iter().cycle() {
                let (piece, later) = rest.split_at(rest.len().min(length));
                for &token in piece {
                    if window.len() == context {
                        window.drain(..context - context / 2);
                    }
                    window.push(token);
                }
                let expected = formulas.logits(&window).pop().unwrap();
                let error = distance(&expected, decoder.read_all(piece).unwrap());
                assert!(error <= bound(&a), "{error:e}: {length} of context {context}: {a:?}");
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }
}
