//! The results of a training run.

use crate::plot::thousands;
use crate::run;
use crate::source::Entropy;
use crate::{Result, count, program, terminal};
use infotheory::{bits, perplexity};
use serde_json::{Map, json};
use std::cmp::Ordering;
use std::path::PathBuf;
use transformer::{Answers, Preferred};

/// Describes how many answers are right.
pub(crate) fn right(title: &str, answers: &Answers) -> String {
    let Answers { all, right } = answers;
    format!(
        "{title}{:.1} % right: greedy generation writes {right} of {all} to the last token",
        100.0 * answers.accuracy()
    )
}

/// The results of a training run.
pub(crate) struct Report {
    /// The model's steps from the beginning.
    pub(crate) steps: u64,
    /// The steps taken in this process.
    pub(crate) taken: u64,
    pub(crate) seconds: f64,
    pub(crate) tokens_per_second: f64,
    /// Nats per token on the validation part, or the loss of its preferences.
    pub(crate) validation_loss: f64,
    /// Accuracy and rewards on its preferences, if the run learned from them.
    pub(crate) preferred: Option<Preferred>,
    /// The number of its right answers, if the run learned answers.
    pub(crate) answers: Option<Answers>,
    /// KL(teacher ‖ model) in nats per token, if the run learned from a teacher.
    pub(crate) teacher_divergence: Option<f64>,
    pub(crate) validation_tokens: usize,
    /// Tokens of the validation part; fewer are measured if it is long.
    pub(crate) held_back: usize,
    pub(crate) characters_per_token: f64,
    pub(crate) unit: &'static str,
    pub(crate) parameters: usize,
    /// The family as which the model is stored.
    pub(crate) family: &'static str,
    /// Whether only adapters are stored.
    pub(crate) adapters: bool,
    pub(crate) weights_sha256: String,
    pub(crate) run: PathBuf,
    /// Pairs of order n and nats per token.
    pub(crate) baselines: Vec<(usize, f64)>,
    pub(crate) entropy: Option<Entropy>,
    /// The gradient noise scale, and the batch, in windows.
    pub(crate) noise: Option<(f64, usize)>,
    pub(crate) sample: String,
}

impl Report {
    fn bits_per_character(&self) -> f64 {
        bits(self.validation_loss) / self.characters_per_token
    }

    /// Prints the report to standard output, as text or as JSON.
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        if json { terminal::print_json(self.json()) } else { terminal::print(&self.text()) }
    }

    fn json(&self) -> serde_json::Value {
        let baselines = self.baselines.iter().map(|(n, nats)| (n.to_string(), json!(nats)));
        let mut object = json!({
            "steps": self.steps,
            "seconds": self.seconds,
            "tokens_per_second": self.tokens_per_second,
            "validation_loss": self.validation_loss,
            "validation_tokens": self.validation_tokens,
            "held_back_tokens": self.held_back,
            "bits_per_character": self.bits_per_character(),
            "perplexity": perplexity(self.validation_loss),
            "parameters": self.parameters,
            "family": self.family,
            "weights_sha256": self.weights_sha256,
            "run": self.run.display().to_string(),
            "baselines": baselines.collect::<Map<_, _>>(),
        });
        if let Some(entropy) = self.entropy {
            object["source_entropy"] = json!(entropy.per_token);
            object["source_entropy_per_story"] = json!(entropy.per_story);
            object["validation_entropy"] = json!(entropy.of_validation);
        }
        if let Some((windows, _)) = self.noise {
            object["noise_scale"] = json!(windows);
        }
        if let Some(answers) = self.answers {
            object["answers"] = json!(answers.all);
            object["answers_right"] = json!(answers.right);
        }
        if let Some(nats) = self.teacher_divergence {
            object["teacher_divergence"] = json!(nats);
        }
        if let (Some(preferred), Some(fields)) = (&self.preferred, object.as_object_mut()) {
            // Of a loss of pairs there are no bits of a character.
            for of_tokens in ["bits_per_character", "perplexity", "baselines"] {
                fields.remove(of_tokens);
            }
            for (of_pairs, of_tokens) in [
                ("preferences", "validation_tokens"),
                ("held_back_preferences", "held_back_tokens"),
            ] {
                let number = fields.remove(of_tokens).unwrap_or_default();
                fields.insert(of_pairs.to_owned(), number);
            }
            fields.insert("accuracy".to_owned(), json!(preferred.accuracy));
            fields.insert("margin".to_owned(), json!(preferred.margin()));
            fields.insert("reward_chosen".to_owned(), json!(preferred.chosen));
            fields.insert("reward_rejected".to_owned(), json!(preferred.rejected));
            fields.insert("divergence".to_owned(), json!(preferred.divergence));
        }
        object["sample"] = json!(self.sample);
        object
    }

    fn text(&self) -> String {
        let loss = self.validation_loss;
        let mut lines = vec![String::new()];
        match &self.preferred {
            None => lines.push(format!(
                "validation loss  {loss:.4} nats per {} ({:.4} bits per character, perplexity {:.3})",
                self.unit,
                self.bits_per_character(),
                perplexity(loss)
            )),
            Some(p) => {
                lines.push(format!(
                    "validation loss  {loss:.4} over {} of the {} held back",
                    self.validation_tokens,
                    count(self.held_back, "preference")
                ));
                lines.push(format!(
                    "accuracy         {:.4}: the share whose chosen answer has the larger reward",
                    p.accuracy
                ));
                lines.push(format!(
                    "margin           {:.4}: the mean reward is {:.4} of a chosen answer, {:.4} of a rejected one",
                    p.margin(),
                    p.chosen,
                    p.rejected
                ));
                lines.extend(p.divergence.map(|nats| {
                    format!("divergence       {nats:.4} nats per token from the model at the start")
                }));
            }
        }
        lines.extend(self.teacher_divergence.map(|nats| {
            format!("divergence       {nats:.4} nats per token from the teacher's predictions")
        }));
        lines.extend(self.answers.map(|answers| right("answers          ", &answers)));
        // The first token of a text is not predicted.
        if self.preferred.is_none() && self.validation_tokens + 1 < self.held_back {
            lines.push(format!(
                "                 over {} tokens of the {} held back; {} evaluate {} measures all",
                thousands(self.validation_tokens as f64),
                thousands(self.held_back as f64),
                program(),
                run::typed(&self.run)
            ));
        }
        if let Some(entropy) = self.entropy {
            let (rate, these) = (entropy.per_token, entropy.of_validation);
            lines.push(format!(
                "entropy          {rate:.4} of the source ({these:.4} of the validation stories)"
            ));
            lines.push(format!("distance         {:.4} nats per {}", loss - rate, self.unit));
        }
        let baselines = self.baselines.iter().map(|(n, nats)| format!("{n}: {nats:.4}"));
        if !self.baselines.is_empty() {
            lines.push(format!("n-grams          {}", baselines.collect::<Vec<_>>().join("   ")));
        }
        if let Some((windows, batch)) = self.noise {
            lines.push(format!(
                "noise scale      {windows:.1} windows, and a step has {batch}: {}",
                match batch as f64 / windows {
                    share if share > 3.0 => "smaller batches would learn as much from fewer tokens",
                    share if share < 1.0 / 3.0 =>
                        "larger batches would learn as much from fewer steps",
                    _ => "tokens and steps are in balance",
                }
            ));
        }
        // NaN is worse too.
        let unigram = self.baselines.iter().find(|(n, _)| *n == 1).map(|(_, nats)| *nats);
        if unigram.is_some_and(|nats| loss.partial_cmp(&nats) != Some(Ordering::Less)) {
            lines.push(format!(
                "warning          no better than counting single tokens: more --steps, or see {} diagnose {}",
                program(),
                run::typed(&self.run)
            ));
        }
        lines.push(String::new());
        lines.extend(self.sample.lines().map(|line| format!("  | {line}")));
        lines.push(String::new());
        lines.push(format!("weights          sha256 {}", self.weights_sha256));
        if self.taken > 0 {
            lines.push(format!(
                "speed            {} tokens/s over {} step{}",
                thousands(self.tokens_per_second),
                thousands(self.taken as f64),
                if self.taken == 1 { "" } else { "s" }
            ));
        }
        let path = |path: PathBuf| path.display().to_string();
        lines.push(format!("picture          {}", path(run::plot_file(&self.run))));
        lines.push(format!(
            "model            {} ({})",
            path(run::model_directory(&self.run)),
            match self.family {
                _ if self.adapters =>
                    "adapters, which open in Hugging Face's PEFT beside their model",
                "glassbox" => "in a format of its own",
                _ => "opens in Hugging Face transformers",
            }
        ));
        lines.push(format!("more             {} generate {}", program(), run::typed(&self.run)));
        lines.join("\n") + "\n"
    }
}
