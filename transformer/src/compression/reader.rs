//! A model that reads several texts in lock-step and predicts the next token of each.

use super::portable::Portable;
use crate::config::Gpt2Config;
use crate::layers::{self, Context};
use crate::{Form, ModelError, memory};
use calculus::{Recorder, Tape, Var};
use linalg::Shape;

/// A recorded prediction of one token of every text after those that were read; what
/// [`crate::Decoder`] is for one text, with bits that do not depend on the machine.
///
/// Where the context is full, the first half of it is forgotten and the rest is read again from position
/// 0, for learned positions cannot slide. A prediction sees at least half a context, once there is that
/// much; every token is read twice.
pub(super) struct Reader {
    context: usize,
    width: usize,
    texts: usize,
    tape: Tape<Portable>,
    tokens: Var,
    positions: Var,
    logits: Var,
    /// Of every block: packed query, key and value of the tokens, and the two caches.
    blocks: Vec<(Var, Var, Var)>,
    /// What the caches hold: a token of every text at every position.
    read: Vec<Vec<u32>>,
}

impl Reader {
    /// Of `texts` texts; parameters are in the order of [`crate::Gpt2`]'s.
    pub(super) fn new(
        config: &Gpt2Config,
        parameters: &[f32],
        texts: usize,
    ) -> Result<Self, ModelError> {
        config.validate()?;
        let mut recorder = Recorder::new();
        let r = &mut recorder;
        let row = Shape::new(1, texts);
        let tokens = r.input("tokens", row)?; // 1×texts
        let positions = r.input("positions", row)?; // 1×texts
        let without = crate::Without::default();
        let c = Context { config, length: 1, form: Form::Fused, without, dropout: None };
        let (mut x, token_table) = layers::embedding(c, r, tokens, positions)?; // d×texts
        for i in 0..config.layers {
            x = layers::block(c, r, i, x, |r, qkv| layers::attend_cached(c, r, qkv, positions))?;
        }
        let (x, table) = layers::output(c, r, x, token_table)?; // d×texts, d×V
        let logits = layers::logits(r, x, table)?; // V×texts
        memory::afford(recorder.bytes_forward_only())?;
        let mut tape = recorder.finish_forward_only();
        for (own, given) in tape.parameters_mut().iter_mut().zip(parameters) {
            *own = Portable(*given);
        }
        let find = |i: usize, name: &str| {
            tape.find(&format!("block.{i}.attention.{name}")).expect("recorded above")
        };
        let blocks = (0..config.layers)
            .map(|i| (find(i, "qkv"), find(i, "keys"), find(i, "values")))
            .collect();
        let (context, width) = (config.context, config.width);
        let read = Vec::with_capacity(context);
        Ok(Reader { context, width, texts, tape, tokens, positions, logits, blocks, read })
    }

    /// Reads a token of every text.
    pub(super) fn read(&mut self, tokens: &[u32]) {
        if self.read.len() == self.context {
            let later = self.read.split_off(self.context.div_ceil(2));
            self.read.clear();
            later.into_iter().for_each(|tokens| self.advance(tokens));
        }
        self.advance(tokens.to_vec());
    }

    /// The logits of the next token of a text.
    pub(super) fn logits(&self, text: usize) -> impl Iterator<Item = f32> {
        let all = self.tape.elements(self.logits);
        let vocabulary = all.len() / self.texts;
        all[text * vocabulary..(text + 1) * vocabulary].iter().map(|z| z.0)
    }

    fn advance(&mut self, tokens: Vec<u32>) {
        let (place, width) = (self.read.len(), self.width);
        for (x, &token) in self.tape.value_mut(self.tokens).iter_mut().zip(&tokens) {
            *x = Portable(token as f32);
        }
        self.tape.value_mut(self.positions).fill(Portable(place as f32));
        self.tape.forward();
        for &(qkv, keys, values) in &self.blocks {
            for text in 0..self.texts {
                for (part, cache) in [(1, keys), (2, values)] {
                    let from = (3 * text + part) * width;
                    let to = (text * self.context + place) * width;
                    self.tape.copy(qkv, from..from + width, cache, to);
                }
            }
        }
        self.read.push(tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gpt2;

    fn model() -> (Gpt2Config, Vec<f32>) {
        let config = Gpt2Config {
            vocabulary: 11,
            context: 8,
            width: 16,
            heads: 2,
            layers: 2,
            hidden: 64,
            ..Default::default()
        };
        let mut model = Gpt2::<f32>::record(&config, 1, 8, Form::Fused, 0).unwrap();
        model.initialise(5);
        // Far enough from nothing that predictions differ.
        let parameters = model.tape().parameters().iter().map(|p| p * 5.0).collect();
        (config, parameters)
    }

    /// Logits of size 1, sums of up to 64 terms in another order through two layers.
    const SLACK: f32 = 1024.0 * f32::EPSILON;

    fn token(text: usize, t: usize) -> u32 {
        ((7 * t + 3 * text + t * t) % 11) as u32
    }

    #[test]
    fn a_text_is_read_in_company_as_alone() {
        let (config, parameters) = model();
        let mut together = Reader::new(&config, &parameters, 5).unwrap();
        let mut alone: Vec<Reader> =
            (0..5).map(|_| Reader::new(&config, &parameters, 1).unwrap()).collect();
        for t in 0..30 {
            together.read(&[0, 1, 2, 3, 4].map(|text| token(text, t)));
            for (text, reader) in alone.iter_mut().enumerate() {
                reader.read(&[token(text, t)]);
                let difference =
                    together.logits(text).zip(reader.logits(0)).map(|(a, b)| (a - b).abs());
                let most = difference.fold(0.0, f32::max);
                assert!(most <= SLACK, "text {text}, token {t}: off by {most}");
            }
        }
    }

    #[test]
    fn predictions_are_those_of_the_model_on_the_same_window() {
        let (config, parameters) = model();
        let mut reader = Reader::new(&config, &parameters, 1).unwrap();
        let mut window: Vec<u32> = Vec::new();
        for t in 0..30 {
            if window.len() == config.context {
                window.drain(..4);
            }
            window.push(token(0, t));
            reader.read(&[token(0, t)]);
            let n = window.len();
            let mut whole =
                Gpt2::<f32>::record_forward_only(&config, 1, n, Form::Textbook).unwrap();
            whole.copy_parameters(&parameters);
            whole.loss(&window, &vec![0; n]).unwrap();
            let expected = whole.tape().value(whole.logits_var().unwrap());
            for (i, found) in reader.logits(0).enumerate() {
                let error = (found - expected[(i, n - 1)]).abs();
                assert!(error <= SLACK, "token {t}: off by {error}");
            }
        }
    }
}
