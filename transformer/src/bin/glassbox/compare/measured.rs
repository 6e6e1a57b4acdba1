//! The losses of the models given to `compare`, on one text.

use super::given::Given;
use crate::progress::Bar;
use crate::source::{self, Source};
use crate::{Result, count, run};
use std::ops::ControlFlow;
use transformer::disk::data::Content;
use transformer::inspect::compare::losses::surprisals;
use transformer::inspect::compare::report::{Text, Tokens};
use transformer::inspect::compare::{Losses, Unit, tokens};
use transformer::text::corpus::{Window, windows};
use transformer::text::tokenizer::Tokenizer;
use transformer::{IGNORED, LAST, TrainingConfig, is_counted, memory};

/// The most tokens of a run's validation part that are measured, as at the end of training.
const MOST: usize = TrainingConfig::MOST_EVALUATED;
/// The least number of windows at which the distribution of the test is well known.
const FEW: usize = 20;

/// The measured losses, and what they were measured on.
pub(super) struct Measured {
    pub(super) losses: Losses,
    pub(super) text: Text,
    pub(super) tokens: Vec<Tokens>,
    pub(super) remarks: Vec<String>,
}

/// Measures all models on the same text.
///
/// # Errors
/// A text that cannot be read or is too short; models without a common text.
pub(super) fn measure(given: &[Given], data: Option<&[String]>, field: &str) -> Result<Measured> {
    let first = &given[0];
    let same = given.iter().all(|other| {
        other.tokenizer == first.tokenizer
            && other.model.config.vocabulary == first.model.config.vocabulary
    });
    let mut measured =
        if same { by_token(given, data, field)? } else { by_byte(given, data, field)? };
    let pieces = measured.losses.sizes.len();
    if pieces < 2 {
        return Err(format!(
            "{} has {} of up to {} tokens, but at least 2 windows are needed: give a longer text",
            measured.text.name,
            count(pieces, "window"),
            measured.text.longest
        )
        .into());
    }
    if pieces < FEW {
        measured.remarks.push(format!(
            "{} of text: the p-value is only as good as the assumption that their differences are normal; \
             give a longer text with --data",
            count(pieces, "window")
        ));
    }
    Ok(measured)
}

/// Measures models with one tokenizer: a window of the longest context is an observation.
fn by_token(given: &[Given], data: Option<&[String]>, field: &str) -> Result<Measured> {
    let first = &given[0];
    let longest = given.iter().map(|g| g.model.config.context).max().unwrap_or(1);
    let (mut remarks, tokenizer) = (vec![], first.tokenizer.as_ref());
    let (name, windows) = match data {
        Some(paths) => {
            let tokens = source::encode(source::read(paths, field)?, tokenizer)?;
            source::known_to(&tokens, first.model.config.vocabulary)?;
            affordable(tokens.len())?;
            let stream = tokens.to_vec();
            tokens.check_read()?;
            (source::name(paths), windows(&stream, longest))
        }
        None => {
            let own = own_text(first)?;
            let all = own.corpus.measured();
            affordable(all.min(MOST))?;
            let sample = own.corpus.validation_sample(longest, MOST);
            own.corpus.check_read()?;
            let read: usize = sample.iter().map(|window| targets(window).count()).sum();
            if read + 1 < all {
                remarks.push(format!(
                    "{read} of {all} held-back tokens are measured, in windows from all parts; --data measures all of a file"
                ));
            }
            (format!("the held-back text of {} ({})", first.label, own.name), sample)
        }
    };
    let mut all = Vec::with_capacity(given.len());
    for model in given {
        all.push(measured_on(model, &windows)?);
    }
    let losses = Losses::by_window(&all);
    let predicted: Vec<u32> = windows.iter().flat_map(targets).collect();
    let bytes = tokenizer.map(|t| source::text_of(t, &predicted.clone().into()).1);
    let text = Text {
        name,
        unit: Unit::Token,
        units: predicted.len() as u64,
        pieces: windows.len(),
        longest: losses.sizes.iter().fold(0.0_f64, |a, b| a.max(*b)) as u64,
        bytes_per_unit: bytes.filter(|n| *n > 0).map(|n| n as f64 / predicted.len() as f64),
    };
    let flat: Vec<Vec<f64>> = all.iter().map(|windows| windows.concat()).collect();
    let of = |model: usize| {
        let tokens = tokens::listed(&flat[0], &flat[model], |at| {
            let (before, token) = place(&windows, at);
            let nats = [flat[0][at], flat[model][at]];
            tokens::described(nats, &decoded(tokenizer, before), &decoded(tokenizer, &[token]))
        });
        Tokens { model, tokens }
    };
    let tokens = (1..given.len()).map(of).collect();
    Ok(Measured { losses, text, tokens, remarks })
}

/// Measures models with different tokenizers: pieces of the same bytes are observations.
fn by_byte(given: &[Given], data: Option<&[String]>, field: &str) -> Result<Measured> {
    for model in given {
        if model.tokenizer.is_none() {
            return Err(format!(
                "{} has no tokenizer, and its vocabulary or tokenizer is not that of all others: a common text is \
                 needed, which only models with a tokenizer can read",
                model.path.display()
            )
            .into());
        }
    }
    let (name, text) = match data {
        Some(paths) => {
            let data = source::read(paths, field)?;
            if !matches!(data.content, Content::Documents(_)) {
                return Err(format!(
                    "{} holds tokens, which mean different text to different tokenizers: give a text",
                    source::name(paths)
                )
                .into());
            }
            let tokenizer = given[0].tokenizer.as_ref();
            let tokens = source::encode(data, tokenizer)?.to_vec();
            (source::name(paths), text_of(tokenizer.expect("checked"), &tokens))
        }
        None => {
            let own = own_text(&given[0])?;
            if own.answers.is_some() {
                let label = &given[0].label;
                return Err(format!(
                    "{label} learned the answers of conversations, which are other tokens to another tokenizer: give a text \
                     with --data"
                )
                .into());
            }
            let tokens = own.corpus.validation().beginning(MOST);
            own.corpus.check_read()?;
            let name = format!("the held-back text of {} ({})", given[0].label, own.name);
            (name, text_of(&own.tokenizer, &tokens))
        }
    };
    let mut all = Vec::with_capacity(given.len());
    let mut piece = 1;
    for model in given {
        let tokenizer = model.tokenizer.as_ref().expect("checked");
        let stream = tokenizer.encode_bytes(&text).map_err(|e| {
            format!("{}: its tokenizer cannot read this text: {e}", model.path.display())
        })?;
        if tokenizer.decode_bytes(&stream) != text {
            return Err(format!(
                "{}: its tokenizer does not restore this text, so that losses per byte cannot be compared",
                model.path.display()
            )
            .into());
        }
        affordable(stream.len())?;
        let context = model.model.config.context;
        let nats = measured_on(model, &windows(&stream, context))?.concat();
        let mut tokens = Vec::with_capacity(stream.len());
        let mut bytes = vec![];
        for (i, &token) in stream.iter().enumerate() {
            bytes.clear();
            tokenizer.push_bytes(token, &mut bytes);
            // The first token is not predicted.
            tokens.push((bytes.len(), i.checked_sub(1).and_then(|i| nats.get(i)).copied()));
        }
        // A tokenizer that writes a space before a text reads one byte more than there is.
        let more = tokens.iter().map(|(bytes, _)| bytes).sum::<usize>().saturating_sub(text.len());
        if let Some(first) = tokens.first_mut() {
            first.0 = first.0.saturating_sub(more);
        }
        piece = piece.max((context * text.len()).div_ceil(stream.len().max(1)));
        all.push(tokens);
    }
    let losses = Losses::by_byte(&all, piece).ok_or_else(|| {
        format!(
            "{name} has {}, but at least {} are needed: three windows of the longest context",
            count(text.len(), "byte"),
            2 * piece + 1
        )
    })?;
    let words = tokens::words(&text);
    let flat: Vec<Vec<f64>> = all.iter().map(|tokens| tokens::by_word(&words, tokens)).collect();
    let of = |model: usize| {
        // The first word holds the first token, which is not predicted.
        let tokens = tokens::listed(&flat[0][1..], &flat[model][1..], |at| {
            let word = words[at + 1].clone();
            let before = &text[word.start.saturating_sub(200)..word.start];
            let nats = [flat[0][at + 1], flat[model][at + 1]];
            tokens::described(
                nats,
                &String::from_utf8_lossy(before),
                &String::from_utf8_lossy(&text[word]),
            )
        });
        Tokens { model, tokens }
    };
    let tokens = (1..given.len()).map(of).collect();
    let text = Text {
        name,
        unit: Unit::Byte,
        units: losses.units() as u64,
        pieces: losses.sizes.len(),
        longest: piece as u64,
        bytes_per_unit: Some(1.0),
    };
    let remarks = vec!["tokenizers differ: losses are per byte of the same text".to_owned()];
    Ok(Measured { losses, text, tokens, remarks })
}

/// Loads the text of a run.
pub(super) fn own_text(given: &Given) -> Result<Source> {
    let why = match &given.run {
        None => format!("{} is a model without a run, which has no text", given.path.display()),
        Some(run) if run.preferences.is_some() => format!(
            "{} learned from preferences, which are no text to compare models on (evaluate measures each run's own)",
            given.path.display()
        ),
        Some(run) if run.reads_standard_input() => {
            format!("the text of {} came from standard input", given.path.display())
        }
        Some(run) => {
            let source = Source::load(run, given.tokenizer.clone(), Some(&given.path))?;
            match &given.state {
                Some((_, data)) if *data != source.sha256 => {
                    format!("the text of {} has changed since it was trained", given.path.display())
                }
                _ => return Ok(source),
            }
        }
    };
    Err(format!("give --data: {why}").into())
}

/// Measures a model on windows.
fn measured_on(given: &Given, windows: &[Window]) -> Result<Vec<Vec<f64>>> {
    let model = &given.model;
    let mut bar = Bar::new(windows.len() as u64, "windows");
    let found = surprisals(&model.config, &model.parameters, windows, |done| {
        bar.set(done as u64);
        ControlFlow::Continue(())
    });
    bar.finish();
    let found = found?.expect("nothing interrupted the evaluation");
    if found.iter().flatten().any(|nats| !nats.is_finite()) {
        return Err(format!(
            "the loss of {path} is not finite on this text; glassbox diagnose {typed} finds the first such number, and \
             its cause",
            path = given.path.display(),
            typed = run::typed(&given.path)
        )
        .into());
    }
    Ok(found)
}

/// Checks the memory of a text's windows.
fn affordable(tokens: usize) -> Result<()> {
    Ok(memory::afford(40 * tokens as u128)
        .map_err(|e| format!("{e}; measure a part of the text"))?)
}

/// Returns the targets of a window that are predicted.
fn targets(window: &Window) -> impl Iterator<Item = u32> + '_ {
    window.targets.iter().copied().filter(|&target| is_counted(target))
}

/// Returns predicted token number `at` of all windows, and the tokens before it in its window.
fn place(windows: &[Window], mut at: usize) -> (&[u32], u32) {
    for window in windows {
        for (i, &target) in window.targets.iter().enumerate().filter(|(_, t)| is_counted(**t)) {
            if at == 0 {
                let first = window.targets[..i].iter().rposition(|t| *t == LAST);
                return (&window.tokens[first.map_or(0, |last| last + 1)..=i], target);
            }
            at -= 1;
        }
    }
    (&[], IGNORED)
}

fn decoded(tokenizer: Option<&Tokenizer>, tokens: &[u32]) -> String {
    match tokenizer {
        Some(tokenizer) => tokenizer.decode(tokens),
        None => tokens.iter().map(|token| format!(" {token}")).collect(),
    }
}

/// Returns the text of tokens, without those that end documents.
fn text_of(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<u8> {
    let own: Vec<u32> =
        tokens.iter().copied().filter(|token| Some(*token) != tokenizer.end()).collect();
    tokenizer.decode_bytes(&own)
}
