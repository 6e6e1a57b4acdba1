//! The known background of a run besides its next steps.

use super::evidence::{BATCHES, Change, Probe};
use super::picture::Growth;
use crate::inspect::subject::{ModelStep, Subject};
use crate::model::recorded_step::IGNORED;
use crate::model::recorded_step::ModelError;
use crate::model::recording::Given;
use crate::text::corpus::{Corpus, Window};
use crate::training::config::TrainingConfig;
use infotheory::ngram;
use probability::dropout;
use serde::Serialize;

/// Orders of the n-gram baselines: a model that sees three tokens must beat them.
const ORDERS: usize = 3;
/// Maximum number of parameters of a model that may be trained again; larger ones take too long.
const AGAIN: usize = 2_000_000;
/// Maximum number of tokens to count n-grams on.
const COUNTED: usize = 4_000_000;

/// The known background of a run besides its next steps; unknown fields keep their defaults.
#[derive(Clone, Debug, Default)]
pub struct Background {
    /// The planned number of steps; 0 if unknown.
    pub planned: u64,
    /// Held-back batches; empty if the run is not evaluated.
    pub held_out: Vec<Vec<Given>>,
    /// Nats per token of n-gram models, counted on the training text, on held-back text, with their order.
    pub baselines: Vec<(usize, f64)>,
    /// The source's entropy in nats per token.
    pub entropy: Option<f64>,
    /// The number of the subject's batches that cover the whole text once; 0 if unknown.
    pub pass: f64,
    /// Losses on held-back text so far: steps taken, nats per token.
    pub validation: Vec<(u64, f64)>,
    /// The largest score of every attention at the steps that recorded their health, if any did.
    pub scores: Vec<Growth>,
    /// The parameters before the first step, if they are known: of a small model, those of its seed; of a run that began with
    /// another model, that model's.
    pub initial: Option<Vec<f32>>,
    /// Whether the model was trained elsewhere, for an unknown number of steps.
    pub finished: bool,
    /// Whether it began with the weights of another model, which its seed does not give.
    pub from_model: bool,
    /// Text that the model knew before this training, if some is known.
    pub before: Option<Before>,
    /// The tokens with which a chat template begins an answer, if the run learns text that is not marked; empty if there is
    /// no template.
    pub answer_start: Vec<u32>,
}

/// Text that a model knew before it was fine-tuned, with its nats per token then.
#[derive(Clone, Debug)]
pub struct Before {
    probe: Probe,
    nats: Vec<f64>,
    words: usize,
}

impl Before {
    /// Measures the nats of windows of text. `parameters` are those of the step with which the fine-tuning began.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    ///
    /// # Panics
    /// If their number is not that of the step's parameters.
    pub fn of(
        step: &ModelStep<'_>,
        parameters: &[f32],
        windows: &[Window],
    ) -> Result<Self, ModelError> {
        let probe = Probe::Given(batches(&step.with_cross_entropy(), windows));
        let mut before = Before { probe, nats: vec![], words: step.config.vocabulary };
        before.nats = before.nats_under(step, parameters)?;
        Ok(before)
    }

    /// Returns the nats per token of every batch under these parameters, whatever the step's loss is.
    fn nats_under<S: Subject>(
        &self,
        subject: &S,
        parameters: &[f32],
    ) -> Result<Vec<f64>, ModelError> {
        let other = subject.with_nats();
        self.probe.losses(other.as_ref().unwrap_or(subject), parameters)
    }

    /// Measures what is left of it under these parameters.
    ///
    /// # Errors
    /// If the step cannot be recorded.
    pub fn remembered<S: Subject>(
        &self,
        subject: &S,
        parameters: &[f32],
    ) -> Result<Remembered, ModelError> {
        let Change { before, after, doubt } =
            Change::of(&self.nats, &self.nats_under(subject, parameters)?);
        let known = (self.words as f64).ln() - before;
        Ok(Remembered { before, after, doubt, known, lost: (after - before) / known })
    }
}

/// How much of a text a model still knows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Remembered {
    /// Nats per token before the fine-tuning.
    pub before: f64,
    /// Nats per token now.
    pub after: f64,
    /// The standard error of their difference.
    pub doubt: f64,
    /// What was known of it: ln V − `before`, for a vocabulary of V tokens.
    pub known: f64,
    /// The share of that which is lost; below 0 if the model knows more than before.
    pub lost: f64,
}

impl Background {
    /// Reads planned steps, held-out batches and initial parameters from a run's settings and its text. The n-gram
    /// baselines are counted if the run has taken a step, or the model was trained elsewhere.
    ///
    /// # Errors
    /// Sizes that contradict each other.
    pub fn of_run(
        config: &TrainingConfig,
        step: &ModelStep<'_>,
        corpus: &Corpus,
        begun: bool,
    ) -> Result<Self, ModelError> {
        let (length, train) = (step.length, corpus.train());
        let parameters: usize = step.config.parameters();
        // A run that began with a model's weights did not begin with those of its seed; adapters did.
        let from_model = config.from.is_some() && config.lora.is_none();
        let initial = match parameters <= AGAIN && !from_model {
            true => Some(step.config.initial_parameters(config.seed)?),
            false => None,
        };
        let mut known = Background {
            planned: config.steps,
            pass: corpus.windows_of_a_pass(length) as f64 / step.sequences as f64,
            initial,
            from_model,
            ..Background::default()
        };
        if config.eval_every == 0 {
            return Ok(known);
        }
        let wanted = BATCHES as usize * step.sequences * length;
        known.held_out = batches(step, &corpus.validation_sample(length, wanted));
        // N-grams are counted on all tokens, and cannot be compared with a loss on answers.
        // Nor with one that is mixed with a teacher's.
        if begun && corpus.counts().is_none() && step.config.distillation.is_none() {
            let (counted, measured) =
                (train.beginning(COUNTED), corpus.validation().beginning(COUNTED));
            let orders = ORDERS.min(length);
            let vocabulary = step.config.vocabulary;
            let in_range = |t: &[u32]| t.iter().all(|t| (*t as usize) < vocabulary);
            if in_range(&counted) && in_range(&measured) {
                let all = ngram::baselines(&counted, &measured, vocabulary, orders);
                known.baselines = all.into_iter().map(|(n, nats)| (n, nats.0)).collect();
            }
        }
        Ok(known)
    }
}

/// Returns windows in batches of the step, spread over all of them; the last batch is padded with ignored targets.
fn batches(step: &ModelStep<'_>, windows: &[Window]) -> Vec<Vec<Given>> {
    let wanted = (BATCHES as usize * step.sequences).min(windows.len());
    let spread: Vec<&Window> = (0..wanted).map(|i| &windows[i * windows.len() / wanted]).collect();
    let size = step.sequences * step.length;
    let given = |windows: &[&Window]| {
        let (mut tokens, mut targets, mut reference) = (vec![], vec![], vec![]);
        for w in windows {
            tokens.extend(&w.tokens);
            targets.extend(&w.targets);
            reference.extend(&w.reference);
        }
        tokens.resize(size, 0);
        targets.resize(size, IGNORED);
        reference.resize(size, 0.0);
        let reference = step.references.is_some().then_some(reference);
        step.given((tokens, targets), reference, dropout::EVALUATION)
    };
    spread.chunks(step.sequences.max(1)).map(given).collect()
}
