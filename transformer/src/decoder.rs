//! A model that reads and predicts one token at a time, with a cache of keys and values.

use crate::config::Gpt2Config;
use crate::layers::{self, Context};
use crate::{Form, ModelError, Without, memory};
use calculus::{Recorder, Tape, Var};
use linalg::{Real, Shape};

/// A recorded prediction of one token after those that it has read.
///
/// Where the context is full, the later part of what was read is read again from position 0: learned
/// positions cannot slide. That part begins at a *boundary* token if one is known and stands in the
/// last three quarters, so that a model of lines goes on from the beginning of one; else it is the
/// later half.
///
/// ```
/// use transformer::{Decoder, Gpt2Config};
/// let config = Gpt2Config { vocabulary: 5, context: 8, width: 16, heads: 2, layers: 1, ..Default::default() };
/// let mut decoder = Decoder::<f32>::record(&config)?;
/// let logits = decoder.read(3)?; // after token 3
/// assert_eq!(logits.len(), 5);
/// # Ok::<(), transformer::ModelError>(())
/// ```
pub struct Decoder<T: Real> {
    config: Gpt2Config,
    tape: Tape<T>,
    token: Var,
    position: Var,
    logits: Var,
    /// Of every block: packed query, key and value of the token, and the two caches.
    blocks: Vec<(Var, Var, Var)>,
    /// What the caches hold.
    read: Vec<u32>,
    /// The token at which reading may begin again.
    boundary: Option<u32>,
}

impl<T: Real> Decoder<T> {
    /// Records the prediction of one token. Parameters are in the order of [`crate::Gpt2`]'s.
    ///
    /// # Errors
    /// Sizes that contradict each other, or that need more memory than there is.
    pub fn record(config: &Gpt2Config) -> Result<Self, ModelError> {
        config.validate()?;
        let mut recorder = Recorder::new();
        let r = &mut recorder;
        let one = Shape::new(1, 1);
        let token = r.input("token", one)?;
        let position = r.input("position", one)?;
        let without = Without::default();
        let c = Context { config, length: 1, form: Form::Fused, without, dropout: None };
        let (mut x, token_table) = layers::embedding(c, r, token, position)?; // d×1
        for i in 0..config.layers {
            x = layers::block(c, r, i, x, |r, qkv| layers::attend_cached(c, r, qkv, position))?;
        }
        let (x, table) = layers::output(c, r, x, token_table)?; // d×1, d×V
        let logits = layers::logits(r, x, table)?; // V×1
        memory::afford(recorder.bytes_forward_only())?;
        let tape = recorder.finish_forward_only();
        let find = |i: usize, name: &str| {
            tape.find(&format!("block.{i}.attention.{name}")).expect("recorded above")
        };
        let blocks = (0..config.layers)
            .map(|i| (find(i, "qkv"), find(i, "keys"), find(i, "values")))
            .collect();
        let read = Vec::with_capacity(config.context);
        let config = config.clone();
        Ok(Decoder { config, tape, token, position, logits, blocks, read, boundary: None })
    }

    /// All parameters, in the order of [`crate::Gpt2`]'s.
    pub fn parameters_mut(&mut self) -> &mut [T] {
        self.tape.parameters_mut()
    }

    /// Where the context is full, reading begins again at this token if it can.
    pub fn set_boundary(&mut self, boundary: Option<u32>) {
        self.boundary = boundary;
    }

    /// Forgets what was read.
    pub fn clear(&mut self) {
        self.read.clear();
    }

    /// Reads a token; returns the logits of the next one.
    ///
    /// # Errors
    /// A token that the vocabulary does not have.
    pub fn read(&mut self, token: u32) -> Result<&[T], ModelError> {
        let vocabulary = self.config.vocabulary;
        if token as usize >= vocabulary {
            return Err(ModelError::Token { place: self.read.len(), found: token, vocabulary });
        }
        if self.read.len() == self.config.context {
            let first = self.later_part();
            let kept = self.read.len() - first;
            for place in 0..kept {
                self.read[place] = self.read[first + place];
                self.advance(place);
            }
            self.read.truncate(kept);
        }
        self.read.push(token);
        self.advance(self.read.len() - 1);
        Ok(self.tape.elements(self.logits))
    }

    /// Where the part begins that is read again.
    fn later_part(&self) -> usize {
        let (context, first) = (self.config.context, self.config.context.div_ceil(4));
        let mut places = first..context;
        let boundary = places.find(|&i| Some(self.read[i]) == self.boundary);
        boundary.unwrap_or(context - context / 2)
    }

    /// Replays the recording for the token at a place, after those before it.
    fn advance(&mut self, place: usize) {
        let (token, width) = (self.read[place], self.config.width);
        self.tape.set(self.token, &[T::from_f64(f64::from(token))]);
        self.tape.set(self.position, &[T::from_f64(place as f64)]);
        self.tape.forward();
        for &(qkv, keys, values) in &self.blocks {
            for (part, cache) in [(1, keys), (2, values)] {
                self.tape.copy(qkv, part * width..(part + 1) * width, cache, place * width);
            }
        }
    }
}
