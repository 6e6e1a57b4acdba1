//! Remarks before the first step: the model, the text, and how a resumed run differs from its state.

use crate::plot::thousands;
use crate::source::Source;
use crate::source::answers::{self, Answers};
use crate::{Result, count, program, remark, run, signal, teacher, terminal};
use std::path::Path;
use transformer::disk::Restored;
use transformer::disk::checkpoint::About;
use transformer::memory::bytes;
use transformer::model::family;
use transformer::text::packing::Counts;
use transformer::{LiveTeacher, ScheduleKind, Trainer, TrainingConfig};

/// Reports what changed since the state was saved.
pub(super) fn resumes(about: &About, config: &TrainingConfig, restored: &Restored) {
    for difference in about.differences(config) {
        remark(format!("resume   {difference}"));
    }
    if !about.knows_settings() {
        remark(
            "resume   the state is of an earlier version, without its settings: run.toml's are used",
        );
    }
    let Restored { dropped, damaged, missing, .. } = restored;
    if *dropped > 0 {
        remark(format!(
            "resume   {} of metrics.jsonl after step {} dropped: these steps are trained again",
            count(*dropped, "line"),
            about.steps
        ));
    }
    if let Some(first) = damaged.first() {
        let others = match damaged.len() {
            1 => String::new(),
            n => format!(" and {}", count(n - 1, "other")),
        };
        remark(format!(
            "resume   line {first}{others} of metrics.jsonl cannot be read, and is kept"
        ));
    }
    if *missing > damaged.len() as u64 {
        remark(format!(
            "resume   metrics.jsonl has no line of {missing} of the {} steps so far",
            about.steps
        ));
    }
}

/// Reports which tokens of conversations are learned, with an example.
fn learned(source: &Source, answers: &Answers, counts: [Counts; 2], length: usize) {
    let [train, held_back] = counts;
    let [chosen, rejected @ ..] = &answers.example[..] else { return };
    let what = if rejected.is_empty() { "conversation" } else { "preference" };
    remark(format!(
        "answers  {} in {}: {} of {} tokens are answers', and only these are learned; {} held back, with {} of {} tokens",
        count(train.conversations, what),
        count(train.windows, "window"),
        train.counted,
        train.tokens,
        count(held_back.conversations, what),
        held_back.counted,
        held_back.tokens
    ));
    if answers.template.is_none() {
        remark("answers  there is no chat template: a completion follows its prompt as it is");
    }
    let both = Counts {
        cut: train.cut + held_back.cut,
        cut_tokens: train.cut_tokens + held_back.cut_tokens,
        left_out: train.left_out + held_back.left_out,
        dropped: train.dropped + held_back.dropped,
        ..train
    };
    if both.cut + both.left_out > 0 {
        remark(answers::cut(&both, length, what));
    }
    if both.dropped > 0 {
        remark(format!(
            "dropped  {} after a last answer: nothing is learned from them",
            count(both.dropped, "message")
        ));
    }
    match rejected {
        [] => remark("example  a conversation that is trained on; its learned tokens are marked:"),
        _ => remark("example  a chosen answer; its learned tokens are marked:"),
    }
    terminal::remark_marked(&chosen.parts(&source.tokenizer));
    if let [rejected] = rejected {
        remark("example  the answer that was rejected for it:");
        terminal::remark_marked(&rejected.parts(&source.tokenizer));
    }
}

/// Describes a run before its first step; returns the loss of the model that it starts from, if it starts from one.
///
/// # Errors
/// Tokens that cannot be read from their file, for the loss of a model that the run starts from.
pub(super) fn introduce(
    source: &Source,
    trainer: &mut Trainer<f32>,
    (teacher, directory): (Option<&LiveTeacher>, &Path),
) -> Result<Option<f64>> {
    let (config, model) = (trainer.config().clone(), trainer.model().config().clone());
    remark(format!(
        "model    {} parameters: {}, {}, width {}, context {}",
        thousands(model.parameters() as f64),
        count(model.layers, "layer"),
        count(model.heads, "head"),
        model.width,
        model.context
    ));
    let moving = thousands(trainer.model().tape().parameters().len() as f64);
    match &model.adaptation.adapter {
        Some(adapter) => {
            let names: Vec<&str> = adapter.targets.iter().map(|target| target.key()).collect();
            remark(format!(
                "learned  {moving} parameters of adapters: rank {}, factor {}, beside {}{}",
                adapter.rank,
                adapter.factor(),
                names.join(", "),
                if adapter.magnitudes {
                    "; the lengths of rows are learned, too (DoRA)"
                } else {
                    ""
                }
            ));
        }
        None if !model.adaptation.is_none() => {
            remark(format!("learned  {moving} of them; the others are frozen"));
        }
        None => {}
    }
    if let Some(budget) = config.memory {
        let again = match trainer.model().recomputed_blocks() {
            0 => "no block is".to_owned(),
            n => format!("{n} of {} are", count(model.layers, "block")),
        };
        let [taken, budget] = [trainer.memory().total(), budget.0.into()].map(bytes);
        remark(format!(
            "memory   {taken} of {budget}: {again} computed again in the backward pass"
        ));
    }
    // A twentieth of the time of training, which takes three times as long for a token.
    let trained = config.step_tokens() as u64 * config.steps;
    let tokens = config.evaluated_tokens(false).min((trained / 7) as usize).max(2048);
    let mut before = None;
    if let Some(from) = config.from.as_deref().filter(|_| trainer.steps() == 0) {
        let measure =
            trainer.evaluate_sample(&source.corpus, tokens, |_, _| signal::between_batches());
        if let Some(measured) = measure? {
            let loss = measured.loss;
            before = Some(loss);
            remark(match measured.preferred {
                None => format!(
                    "from     {from}: a loss of {loss:.4} nats a {} on held-back text, before the first step",
                    source.tokenizer.unit()
                ),
                Some(_) => format!(
                    "from     {from}: the reference, with a loss of {loss:.4} on {}, before the first step",
                    count(measured.tokens, "held-back preference")
                ),
            });
        }
    }
    if let Some(teacher) = teacher.filter(|_| trainer.steps() == 0) {
        teacher::introduce(teacher, &config, source, tokens)?;
    }
    if !family::lacking(trainer.model().config()).is_empty() {
        remark(
            "format   no model of Hugging Face transformers has these parts together: the files are glassbox's own",
        );
    }
    remark(format!(
        "data     {}: {} {}s to train on, {} held back, vocabulary of {}",
        source.name,
        thousands(source.corpus.train().len() as f64),
        source.tokenizer.unit(),
        thousands(source.corpus.validation().len() as f64),
        source.tokenizer.vocabulary()
    ));
    if let (Some(answers), Some(counts)) = (&source.answers, source.corpus.counts()) {
        learned(source, answers, counts, config.context);
    }
    if let Some(entropy) = source.entropy {
        remark(format!(
            "entropy  {:.2} nats a story, {:.4} nats a {}: no model can do better",
            entropy.per_story,
            entropy.per_token,
            source.tokenizer.unit()
        ));
    }
    if let Some(beta) = config.average {
        remark(format!(
            "average  evaluation and model/ take averaged weights, of about the last {:.0} steps; the state keeps those \
             of the last step too",
            1.0 / (1.0 - beta)
        ));
    }
    if config.optimizer.averages() {
        remark(format!(
            "average  evaluation and model/ take the mean of {}'s iterates; the state keeps the weights at which it takes \
             gradients too",
            config.optimizer.key()
        ));
    }
    let [first, last] = [config.learning_rate, config.min_learning_rate];
    if config.optimizer.averages() && config.schedule != ScheduleKind::Constant && last < first {
        remark(format!(
            "schedule {} needs no falling rate, and this one falls; constant after its warm-up it is with \
             --schedule warmup_stable_decay --min-learning-rate {first}",
            config.optimizer.key()
        ));
    }
    remark(format!("run      {}", directory.display()));
    Ok(before)
}

/// Says so if a model is worse than the one that the run started from.
pub(super) fn worse(before: Option<f64>, loss: f64, directory: &Path) {
    // NaN is worse than any number.
    if let Some(before) = before
        && (loss > before || loss.is_nan())
    {
        remark(format!(
            "warning  the loss is {loss:.4}, and was {before:.4} before the first step: this run made the model worse; {} \
             diagnose {} looks for the cause",
            program(),
            run::typed(directory)
        ));
    }
}
