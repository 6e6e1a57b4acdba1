//! What a run shows: the picture of its losses, a sample, the report.

use super::Session;
use super::clock::SAMPLE;
use crate::plot::{LossPlot, thousands};
use crate::progress::{Progress, duration};
use crate::report::Report;
use crate::source::answers::Answers;
use crate::{Result, count, generate, remark};
use std::borrow::Cow;
use transformer::disk::files;
use transformer::model::family;
use transformer::{Evaluation, PreferenceKind};

/// The tokens of a sample for which there is always time.
const FEW: usize = 40;

impl Session<'_> {
    /// Returns the picture of the losses so far.
    pub(super) fn plot(&self) -> String {
        let config = self.trainer.config();
        let parameters = thousands(self.trainer.model().config().parameters() as f64);
        let train = self.metrics.iter().filter_map(|m| Some((m.step, m.loss?)));
        let validation = self.metrics.iter().filter_map(|m| Some((m.step, m.validation_loss?)));
        let baselines = self.baselines.iter().map(|(n, nats)| (format!("{n}-gram"), *nats));
        let preferred = self.metrics.iter().filter_map(|m| Some((m.step, m.preferred?)));
        let pairs = self.trainer.model().preference().is_some();
        LossPlot {
            title: &format!("Training on {}", self.source.heading()),
            subtitle: &format!(
                "{parameters} parameters · {}, {}, width {}, context {} · seed {}",
                count(config.layers, "layer"),
                count(config.heads, "head"),
                config.width,
                config.context,
                config.seed
            ),
            unit: match (pairs, config.preferences) {
                (true, Some(PreferenceKind::Ipo)) => "pair, squared",
                (true, _) => "pair",
                _ => self.source.tokenizer.unit(),
            },
            train: &train.collect::<Vec<_>>(),
            validation: &validation.collect::<Vec<_>>(),
            baselines: &baselines.collect::<Vec<_>>(),
            entropy: self.source.entropy.map(|e| e.per_token),
            preferred: &preferred.collect::<Vec<_>>(),
        }
        .svg()
    }

    /// Generates a text after a line end, or an answer to the example's question.
    pub(super) fn sample(&mut self) -> Result<String> {
        let parameters = self.trainer.model().config().parameters();
        if !self.trainer.config().generates_a_sample(parameters) {
            return Ok(String::new());
        }
        let mut writer = generate::writer(
            &self.trainer.model().config().base(),
            &self.trainer.merged(),
            Some(&self.source.tokenizer),
        )?;
        let newline = self.source.tokenizer.encode("\n").unwrap_or_else(|_| vec![0]);
        // A model of answers gets the example's question.
        let asked = self.source.answers.as_ref().map(Answers::question);
        let asked = asked.filter(|(question, _)| !question.is_empty());
        let (begin, end) = asked.unwrap_or((&newline, None));
        let count = if self.source.entropy.is_some() { SAMPLE } else { 400 };
        let sampler = probability::sample::Sampler::default();
        let written = writer.write(begin, sampler, self.trainer.config().seed)?.take(count);
        // A few tokens even if the time is over.
        let written = written.enumerate().take_while(|(i, _)| *i < FEW || !self.clock.is_over());
        let tokens = written.map(|(_, token)| token);
        let goes_on = |token: &std::result::Result<u32, _>| {
            token.as_ref().is_ok_and(|token| Some(*token) != end) || token.is_err()
        };
        let tokens = tokens.take_while(goes_on);
        let tokens = tokens.collect::<std::result::Result<Vec<u32>, _>>()?;
        let text = self.source.tokenizer.decode(&tokens);
        Ok(match (self.source.entropy, text.rfind('\n')) {
            // Whole stories only.
            (Some(_), Some(end)) => text[..end].to_owned(),
            _ => text,
        })
    }

    /// Returns the report of a finished run.
    pub(super) fn report(
        &self,
        measured: &Evaluation,
        progress: &Progress,
        sample: String,
    ) -> Report {
        let model = self.trainer.model().config();
        // Of adapters, those; else the model.
        let written = match model.adaptation.adapter {
            Some(_) => Cow::Borrowed(self.trainer.evaluated()),
            None => self.trainer.merged(),
        };
        let seconds = progress.seconds();
        remark(format!("trained in {}", duration(seconds)));
        Report {
            steps: self.trainer.steps(),
            seconds,
            taken: progress.taken(),
            tokens_per_second: progress.tokens_per_second(),
            validation_loss: measured.loss,
            preferred: measured.preferred,
            answers: measured.answers,
            teacher_divergence: measured.teacher_divergence,
            validation_tokens: measured.tokens,
            held_back: match (measured.preferred, self.source.corpus.counts()) {
                (Some(_), Some([_, held_back])) => held_back.conversations,
                _ => self.source.corpus.measured(),
            },
            characters_per_token: self.source.characters_per_token,
            unit: self.source.tokenizer.unit(),
            parameters: model.parameters(),
            family: family::of(self.trainer.model().config()).name(),
            adapters: self.trainer.model().config().adaptation.adapter.is_some(),
            weights_sha256: files::sha256(&written),
            run: self.run.directory().to_owned(),
            baselines: self.baselines.clone(),
            entropy: self.source.entropy,
            noise: self.noise.scale.windows().map(|windows| (windows, self.noise.batch)),
            sample,
        }
    }
}
