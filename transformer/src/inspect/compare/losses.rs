//! The losses of models on the same text, in pieces that count as one observation each.

use crate::model::architecture::Architecture;
use crate::model::recorded_step::{Form, IGNORED, LAST, ModelError, RecordedStep, is_counted};
use crate::text::corpus::Window;
use serde::Serialize;
use std::ops::ControlFlow;

/// The unit by which losses are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A token: the models have one tokenizer.
    Token,
    /// A byte of text: tokenizers differ.
    Byte,
}

impl Unit {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Token => "token",
            Unit::Byte => "byte",
        }
    }
}

/// The losses of several models on the same pieces of one text.
#[derive(Clone, Debug, PartialEq)]
pub struct Losses {
    /// The unit.
    pub unit: Unit,
    /// The number of units of every piece.
    pub sizes: Vec<f64>,
    /// For every model, the nats of every piece.
    pub nats: Vec<Vec<f64>>,
}

impl Losses {
    /// Returns the losses by token: a window is a piece. `surprisals` has for every model, for every window, the nats of
    /// its targets.
    pub fn by_window(surprisals: &[Vec<Vec<f64>>]) -> Self {
        let sizes = surprisals.first().into_iter().flatten().map(|window| window.len() as f64);
        let sum = |window: &Vec<f64>| window.iter().sum();
        Losses {
            unit: Unit::Token,
            sizes: sizes.collect(),
            nats: surprisals.iter().map(|model| model.iter().map(sum).collect()).collect(),
        }
    }

    /// Returns the losses by byte, in pieces of `piece` bytes, of models with tokenizers of their own. `tokens` has for
    /// every model, for every token of the text, its bytes and its nats; nats are `None` for a token that is not predicted,
    /// such as the first one.
    ///
    /// A token counts in the piece in which its bytes begin; one without bytes, which ends a document, counts nowhere. The
    /// first piece is left out, because models do not predict their first token. Returns `None` if fewer than two pieces
    /// are left.
    pub fn by_byte(tokens: &[Vec<(usize, Option<f64>)>], piece: usize) -> Option<Self> {
        let bytes: usize = tokens.first()?.iter().map(|(bytes, _)| bytes).sum();
        let pieces = bytes.div_ceil(piece);
        if pieces < 3 {
            return None;
        }
        let size = |i: usize| (bytes - i * piece).min(piece) as f64;
        let nats = tokens.iter().map(|model| {
            let (mut sums, mut at) = (vec![0.0; pieces], 0);
            for &(bytes, nats) in model {
                if bytes > 0 {
                    sums[at / piece] += nats.unwrap_or(0.0);
                }
                at += bytes;
            }
            sums.split_off(1)
        });
        Some(Losses {
            unit: Unit::Byte,
            sizes: (1..pieces).map(size).collect(),
            nats: nats.collect(),
        })
    }

    /// Returns the number of units.
    pub fn units(&self) -> f64 {
        self.sizes.iter().sum()
    }

    /// Returns a model's nats per unit.
    pub fn loss(&self, model: usize) -> f64 {
        self.nats[model].iter().sum::<f64>() / self.units()
    }

    /// Returns the differences of two models' nats, the first minus the second, piece by piece.
    pub fn differences(&self, first: usize, second: usize) -> Vec<f64> {
        self.nats[first].iter().zip(&self.nats[second]).map(|(a, b)| a - b).collect()
    }
}

/// Returns the nats of every target of every window under a model. A model with a shorter context than the windows reads
/// each in several parts, and predicts the same targets.
///
/// `watch` gets the number of windows done after each replay, and can interrupt: the result is then `None`.
///
/// # Errors
/// Tokens that the model does not have, or too little memory.
pub fn surprisals(
    architecture: &Architecture,
    parameters: &[f32],
    windows: &[Window],
    mut watch: impl FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<Vec<Vec<f64>>>, ModelError> {
    /// Tokens per replay.
    const TOKENS: usize = 1024;
    let longest = windows.iter().map(|window| window.tokens.len()).max().unwrap_or(1);
    let length = longest.min(architecture.context).max(1);
    let sequences = (TOKENS / length).clamp(1, windows.len().max(1) * longest.div_ceil(length));
    let packed = windows.iter().any(|window| window.targets.contains(&LAST));
    let architecture = &Architecture { packed, ..architecture.clone() };
    let mut model =
        RecordedStep::<f32>::record_forward_only(architecture, sequences, length, Form::Fused)?;
    model.copy_parameters(parameters);
    // Parts of windows that have a target.
    let parts: Vec<(usize, &[u32], &[u32])> = windows
        .iter()
        .enumerate()
        .flat_map(|(i, window)| {
            let parts = window.tokens.chunks(length).zip(window.targets.chunks(length));
            parts.map(move |(tokens, targets)| (i, tokens, targets))
        })
        .filter(|(_, _, targets)| targets.iter().any(|&target| is_counted(target)))
        .collect();
    let mut nats: Vec<Vec<f64>> = vec![vec![]; windows.len()];
    let (mut tokens, mut targets) = (vec![], vec![]);
    for some in parts.chunks(sequences) {
        tokens.clear();
        targets.clear();
        for (i, (_, x, y)) in some.iter().enumerate() {
            tokens.extend_from_slice(x);
            targets.extend_from_slice(y);
            tokens.resize((i + 1) * length, 0);
            targets.resize((i + 1) * length, IGNORED);
        }
        tokens.resize(sequences * length, 0);
        targets.resize(sequences * length, IGNORED);
        let found = model.surprisals(&tokens, &targets)?;
        for ((window, _, _), (nat, target)) in
            some.iter().zip(found.chunks(length).zip(targets.chunks(length)))
        {
            let predicted = nat.iter().zip(target).filter(|(_, target)| is_counted(**target));
            nats[*window].extend(predicted.map(|(nat, _)| *nat));
        }
        if watch(some.last().map_or(0, |(window, ..)| window + 1)).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(nats))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::corpus::windows;
    use crate::training::evaluation::Evaluation;

    fn model(context: usize) -> (Architecture, Vec<f32>) {
        let config = Architecture { vocabulary: 9, context, ..Architecture::default() };
        let mut parameters = config.initial_parameters(3).unwrap();
        parameters.iter_mut().for_each(|p| *p *= 20.0);
        (config, parameters)
    }

    fn all(config: &Architecture, parameters: &[f32], windows: &[Window]) -> Vec<Vec<f64>> {
        let found = surprisals(config, parameters, windows, |_| ControlFlow::Continue(()));
        found.unwrap().expect("nothing interrupted")
    }

    /// The mean of all surprisals is the loss that an evaluation measures, and every target is predicted once.
    #[test]
    fn their_mean_is_the_loss_of_an_evaluation() {
        let (config, parameters) = model(6);
        let stream: Vec<u32> = (0..45_u32).map(|i| (i * i + i / 5) % 9).collect();
        let cut = windows(&stream, 6);
        let nats = all(&config, &parameters, &cut);
        assert_eq!(nats.iter().map(Vec::len).sum::<usize>(), stream.len() - 1);
        let mut step =
            RecordedStep::<f32>::record_forward_only(&config, 2, 6, Form::Fused).unwrap();
        step.copy_parameters(&parameters);
        let loss = Evaluation::of(&mut step, &cut).unwrap().loss;
        let losses = Losses::by_window(std::slice::from_ref(&nats));
        // Sums of f32 over six features and nine words.
        let bound = 64.0 * f64::from(f32::EPSILON) * (1.0 + loss);
        assert!((losses.loss(0) - loss).abs() < bound, "{} {loss}", losses.loss(0));
        // Not every token has the mean.
        assert!(nats.iter().flatten().any(|nat| (nat - loss).abs() > 0.1));
    }

    /// A model with a shorter context predicts the same targets as if the text had been cut for it.
    #[test]
    fn a_shorter_context_reads_windows_in_parts() {
        let (short, parameters) = model(3);
        let stream: Vec<u32> = (0..40_u32).map(|i| (i * i + i / 7) % 9).collect();
        let by_long = all(&short, &parameters, &windows(&stream, 6));
        let by_own = all(&short, &parameters, &windows(&stream, 3));
        assert_eq!(by_long.concat(), by_own.concat());
        assert_eq!(by_long[0].len(), 6);
    }

    /// Bytes are counted once however the text is cut into tokens, and a difference has the sign of the first model.
    #[test]
    fn pieces_of_bytes_align_tokenizers() {
        // Ten bytes: tokens of one byte, and of two bytes, with an end of document in between.
        let single: Vec<_> = (0..10).map(|i| (1, (i > 0).then_some(1.0))).collect();
        let mut double: Vec<_> = (0..5).map(|i| (2, (i > 0).then_some(3.0))).collect();
        double.insert(3, (0, Some(50.0)));
        let losses = Losses::by_byte(&[single, double], 4).unwrap();
        assert_eq!(losses.sizes, [4.0, 2.0]);
        assert_eq!(losses.nats, [vec![4.0, 2.0], vec![6.0, 3.0]]);
        assert_eq!(losses.differences(0, 1), [-2.0, -1.0]);
        assert_eq!((losses.loss(0), losses.loss(1)), (1.0, 1.5));
        assert_eq!(Losses::by_byte(&[vec![(3, None), (3, Some(1.0))]], 4), None);
    }
}
