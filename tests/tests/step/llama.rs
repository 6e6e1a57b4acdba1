//! A Llama is what its publications say, computed here with plain loops from nothing but its file: RMS normalisation
//! (Zhang and Sennrich 2019), rotation of halves (Su et al. 2021, as transformers' `rotate_half`), a key-value head for
//! each group of query heads (Ainslie et al. 2023, as `repeat_kv`), SwiGLU (Shazeer 2020). The file's names and layouts
//! are those of `LlamaForCausalLM`: what is exchanged on its way out and on its way in alike is noticed, too.

use std::collections::HashMap;
use tests::models::{self, distance};
use tests::{draw, golden};
use transformer::disk::files;
use transformer::{
    Activation, Architecture, Biases, Decoder, Form, IGNORED, Norm, Positions, RecordedStep, Rotary,
};

const BASE: f64 = 50.0;
const EPSILON: f64 = 0.05;

/// No group is the whole, and heads of more than one pair of coordinates; each with biases or without, tied or not.
fn llamas() -> Vec<Architecture> {
    let sizes = [(16, 4, 2), (12, 6, 3), (16, 4, 1), (8, 2, 2)];
    let all = sizes.into_iter().enumerate().map(|(i, (width, heads, shared))| Architecture {
        vocabulary: 11,
        context: 7,
        width,
        layers: 2,
        positions: Positions::Rotary(Rotary { base: BASE, ..Rotary::default() }),
        norm: Norm::Rms,
        epsilon: EPSILON,
        heads,
        key_value_heads: (shared != heads).then_some(shared),
        hidden: 10,
        activation: Activation::Silu,
        gated: true,
        biases: Biases { norm: false, ..Biases::everywhere(i % 2 == 1) },
        tied: i / 2 == 1,
        ..Architecture::default()
    });
    all.collect()
}

/// What a file says.
struct Published {
    tensors: HashMap<String, Vec<f64>>,
    width: usize,
    layers: usize,
    heads: usize,
    key_value_heads: usize,
}

impl Published {
    /// y[o] = Σ W[o][i]·x[i] + b[o], W row after row.
    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let weight = &self.tensors[&format!("{name}.weight")];
        let bias = self.tensors.get(&format!("{name}.bias"));
        let rows = weight.chunks(x.len()).enumerate();
        rows.map(|(o, row)| {
            row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias.map_or(0.0, |b| b[o])
        })
        .collect()
    }

    /// x/√(mean x² + ε)·g.
    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let square = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let gain = &self.tensors[&format!("{name}.weight")];
        x.iter().zip(gain).map(|(x, g)| x / (square + EPSILON).sqrt() * g).collect()
    }

    /// Every head's coordinates i and i + d/2 turned by t·base^(−2i/d).
    fn rotated(&self, mut x: Vec<f64>, t: usize) -> Vec<f64> {
        let d = self.width / self.heads;
        for head in x.chunks_mut(d) {
            for i in 0..d / 2 {
                let angle = t as f64 / BASE.powf(2.0 * i as f64 / d as f64);
                let (a, b) = (head[i], head[i + d / 2]);
                head[i] = a * angle.cos() - b * angle.sin();
                head[i + d / 2] = b * angle.cos() + a * angle.sin();
            }
        }
        x
    }

    /// What the last of these tokens takes from all of them.
    fn attention(&self, query: &[f64], keys: &[Vec<f64>], values: &[Vec<f64>]) -> Vec<f64> {
        let d = self.width / self.heads;
        let mut mixed = vec![0.0; self.width];
        for h in 0..self.heads {
            let read = h / (self.heads / self.key_value_heads) * d;
            let score = |key: &Vec<f64>| {
                let dot: f64 = (0..d).map(|i| query[h * d + i] * key[read + i]).sum();
                (dot / (d as f64).sqrt()).exp()
            };
            let weights: Vec<f64> = keys.iter().map(score).collect();
            let all: f64 = weights.iter().sum();
            for (weight, value) in weights.iter().zip(values) {
                (0..d).for_each(|i| mixed[h * d + i] += weight / all * value[read + i]);
            }
        }
        mixed
    }

    /// The logits after every token of a sequence.
    fn logits(&self, sequence: &[u32]) -> Vec<Vec<f64>> {
        let table = &self.tensors["embed_tokens.weight"];
        let row = |&t: &u32| table[t as usize * self.width..][..self.width].to_vec();
        let mut x: Vec<Vec<f64>> = sequence.iter().map(row).collect();
        let add = |x: &mut [f64], y: Vec<f64>| x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
        for layer in 0..self.layers {
            let of = |part: &str| format!("layers.{layer}.{part}");
            let (mut keys, mut values) = (vec![], vec![]);
            for (t, x) in x.iter_mut().enumerate() {
                let normed = self.norm(&of("input_layernorm"), x);
                let projected = |part| self.linear(&of(part), &normed);
                keys.push(self.rotated(projected("self_attn.k_proj"), t));
                values.push(projected("self_attn.v_proj"));
                let query = self.rotated(projected("self_attn.q_proj"), t);
                let mixed = self.attention(&query, &keys, &values);
                add(x, self.linear(&of("self_attn.o_proj"), &mixed));
                let normed = self.norm(&of("post_attention_layernorm"), x);
                let gate = self.linear(&of("mlp.gate_proj"), &normed);
                let up = self.linear(&of("mlp.up_proj"), &normed);
                let silu = |g: f64| g / (1.0 + (-g).exp());
                let gated: Vec<f64> = gate.iter().zip(&up).map(|(&g, u)| silu(g) * u).collect();
                add(x, self.linear(&of("mlp.down_proj"), &gated));
            }
        }
        let head =
            if self.tensors.contains_key("lm_head.weight") { "lm_head" } else { "embed_tokens" };
        x.iter().map(|x| self.linear(head, &self.norm("norm", x))).collect()
    }
}

/// A model's file, and its parameters as they are read from it.
fn stored(config: &Architecture, seed: u64) -> (Published, Vec<f64>) {
    let parameters = models::parameters(seed, &config.parameter_list().unwrap());
    let directory = tempfile::tempdir().unwrap();
    files::write(directory.path(), config, &parameters).unwrap();
    let read = files::read::<f64>(directory.path()).unwrap();
    assert_eq!(read, (config.clone(), parameters));
    let tensors = golden::tensors(&directory.path().join("model.safetensors"));
    let (width, layers, heads) = (config.width, config.layers, config.heads);
    let key_value_heads = config.key_value_heads();
    (Published { tensors, width, layers, heads, key_value_heads }, read.1)
}

#[test]
fn a_llama_is_its_published_formulas() {
    let (sequences, length) = (2, 7);
    for config in llamas() {
        let (published, parameters) = stored(&config, 3);
        let (tokens, targets) = models::batch(5, &config, sequences * length);
        let logits: Vec<Vec<f64>> =
            tokens.chunks(length).flat_map(|sequence| published.logits(sequence)).collect();
        let surprisal = |(z, &t): (&Vec<f64>, &u32)| {
            (t != IGNORED).then(|| z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[t as usize])
        };
        let nats: Vec<f64> = logits.iter().zip(&targets).filter_map(surprisal).collect();
        let expected = nats.iter().sum::<f64>() / nats.len() as f64;
        for form in [Form::Fused, Form::Textbook] {
            let mut model = RecordedStep::record(&config, sequences, length, form, 0).unwrap();
            model.copy_parameters(&parameters);
            let loss = model.loss(&tokens, &targets).unwrap();
            assert!(
                (loss - expected).abs() <= 1e-12,
                "{loss}, not {expected}: {form:?} {config:?}"
            );
            if let Some(own) = model.logits_var() {
                let error = distance(&logits.concat(), model.tape().elements(own));
                assert!(error <= 1e-12, "{error:e}: {config:?}");
            }
        }
    }
}

/// Through the caches of keys and values, and again from position 0 where the context is full.
#[test]
fn a_llama_reads_a_token_at_a_time_as_its_formulas_say() {
    for config in llamas() {
        let (published, parameters) = stored(&config, 4);
        let mut decoder = Decoder::record(&config).unwrap();
        decoder.parameters_mut().copy_from_slice(&parameters);
        let mut window = Vec::new();
        for (t, token) in
            draw::below(6, 3 * config.context, config.vocabulary).into_iter().enumerate()
        {
            if window.len() == config.context {
                window.drain(..config.context - config.context / 2);
            }
            window.push(token);
            let expected = published.logits(&window).pop().unwrap();
            let error = distance(&expected, decoder.read(token).unwrap());
            assert!(error <= 1e-12, "token {t}: {error:e}: {config:?}");
        }
    }
}
