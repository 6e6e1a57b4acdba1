//! The teacher of a run: the model whose predictions it learns beside its data.

use crate::plot::thousands;
use crate::progress::Bar;
use crate::source::Source;
use crate::{Result, count, quoted, remark, run, signal};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use transformer::disk::{self, KeptFor, KeptLogits, RunError, files, teacher_file};
use transformer::text::teacher::Windows;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Adaptation, Architecture, Corpus, LiveTeacher, TrainingConfig};

/// Reads the teacher that settings name, if they name one, and completes them with its checksum. It predicts the corpus of
/// `source` from then on. `vocabulary` is the number of tokens of the model that learns; `begun` says whether it learned from the
/// teacher before.
///
/// # Errors
/// A model that cannot be read, has other tokens or a shorter context, or is not the one from which the run learned so far.
pub(crate) fn read(
    config: &mut TrainingConfig,
    source: &mut Source,
    (vocabulary, begun): (usize, bool),
) -> Result<Option<Arc<LiveTeacher>>> {
    let Some(teacher) = config.teacher.clone() else { return Ok(None) };
    if let Some(top) = config.teacher_top.filter(|&top| top > vocabulary) {
        let why = format!("--teacher-top is {top}, but there are {}", count(vocabulary, "token"));
        return Err(format!("{why}: give {vocabulary} or fewer").into());
    }
    let again = |e: String| match begun {
        true => format!(
            "{e}; the run learns from {teacher}, and needs it again: if it lies elsewhere now, say so once with train --resume RUN \
             --teacher MODEL"
        ),
        false => format!("{e} (--teacher)"),
    };
    let directory = run::model_of(Path::new(&teacher)).map_err(|e| again(e.to_string()))?;
    same_tokens(&source.tokenizer, &directory).map_err(again)?;
    let (stored, weights, sha256) = weights_of(&directory).map_err(|e| again(e.to_string()))?;
    if let Some(saved) = config.teacher_sha256.as_ref().filter(|saved| **saved != sha256) {
        return Err(again(format!(
            "{teacher} holds other weights (SHA-256 {sha256}) than those from which the run learned ({saved})"
        ))
        .into());
    }
    config.teacher_sha256 = Some(sha256);
    if config.context > stored.context {
        return Err(format!(
            "--context is {}, but the teacher sees {}: give {} or fewer",
            config.context,
            count(stored.context, "token"),
            stored.context
        )
        .into());
    }
    let live = Arc::new(LiveTeacher::new(&stored, &weights, config)?);
    source.corpus.set_teacher(Some(live.clone()));
    Ok(Some(live))
}

/// A stored model; its weights, or those that it does not hold as frozen ones; and the checksum of all.
type Weights = (Architecture, Vec<f32>, String);

/// Reads the weights of a model. Matrices that are 16-bit floats stay so.
fn weights_of(directory: &Path) -> Result<Weights> {
    let (_, mut model) = files::read_family(directory)?;
    let list = model.parameter_list()?;
    let matrices = list.iter().filter(|p| p.shape.columns > 1).map(|p| p.name.clone());
    let frozen = Adaptation { freeze: matrices.collect(), ..Adaptation::default() };
    // A model of matrices alone would have no weight that is not frozen.
    if frozen.freeze.len() < list.len() {
        let still = Architecture { adaptation: frozen.clone(), ..model.clone() };
        if let Some(begun) = disk::read_begun(directory, &still)? {
            model.adaptation = Adaptation { frozen: Some(begun.frozen), ..frozen };
            return Ok((model, begun.learned, begun.sha256));
        }
    }
    let (model, weights) = files::read::<f32>(directory)?;
    let sha256 = files::sha256(&weights);
    Ok((model.base(), weights, sha256))
}

/// Checks that a teacher's tokens are those of the data.
fn same_tokens(own: &Tokenizer, directory: &Path) -> std::result::Result<(), String> {
    let shown = directory.display();
    if files::tokenizer_files(directory).is_empty() {
        return Err(format!(
            "{shown} has no tokenizer, so that nothing says which tokens it predicts: copy the one that it was trained with \
             beside it"
        ));
    }
    let theirs = files::read_tokenizer(directory).map_err(|e| e.to_string())?;
    let (most, fewest) =
        (own.vocabulary().max(theirs.vocabulary()), own.vocabulary().min(theirs.vocabulary()));
    let named = |tokenizer: &Tokenizer, token: u32| match (token as usize) < tokenizer.vocabulary()
    {
        true => quoted(&tokenizer.name(token)),
        false => "none".to_owned(),
    };
    let bytes = |tokenizer: &Tokenizer, token: u32| tokenizer.decode_bytes(&[token]);
    let differs = |&token: &u32| {
        token as usize >= fewest
            || bytes(own, token) != bytes(&theirs, token)
            || own.name(token) != theirs.name(token)
    };
    match (0..most as u32).find(differs) {
        None => Ok(()),
        Some(token) => Err(format!(
            "the teacher has other tokens: token {token} is {} there and {} here, of {} there and {} here; train with the \
             teacher's tokenizer: --tokenizer {}",
            named(&theirs, token),
            named(own, token),
            theirs.vocabulary(),
            own.vocabulary(),
            run::typed(directory)
        )),
    }
}

/// Says what the teacher is, with its loss on held-back text, measured on about so many tokens.
///
/// # Errors
/// Tokens that cannot be read from their file.
pub(crate) fn introduce(
    live: &LiveTeacher,
    config: &TrainingConfig,
    source: &Source,
    tokens: usize,
) -> Result<()> {
    let windows = source.corpus.validation_sample(config.context, tokens);
    source.corpus.check_read()?;
    let Some(measured) = live.evaluate(&windows, |_| signal::between_batches())? else {
        return Ok(());
    };
    let distillation = config.distillation().unwrap_or_else(|| unreachable!("a teacher"));
    remark(format!(
        "teacher  {}: {} parameters, a loss of {:.4} nats a {} on held-back text; {} of the loss is its divergence at a \
         temperature of {}{}",
        config.teacher.as_deref().unwrap_or_default(),
        thousands(live.model().base().parameters() as f64),
        measured.loss,
        source.tokenizer.unit(),
        distillation.weight,
        distillation.temperature,
        match config.teacher_top {
            Some(top) => format!(", of its {top} likeliest tokens"),
            None => String::new(),
        }
    ));
    Ok(())
}

/// What the kept logits of a run are for.
fn kept_for(config: &TrainingConfig, source: &Source, vocabulary: usize, top: usize) -> KeptFor {
    KeptFor {
        vocabulary,
        length: config.context,
        top,
        teacher: config.teacher_sha256.clone().unwrap_or_default(),
        data: source.sha256.clone(),
    }
}

/// Returns the windows that a run needs of its teacher: those to measure on, and those of the steps after `done`.
fn needed<'a>(
    config: &TrainingConfig,
    corpus: &'a Corpus,
    done: u64,
) -> impl Iterator<Item = (u64, transformer::text::corpus::Window)> + 'a {
    let windows = (config.batch * config.accumulate) as u64;
    let numbers = done * windows..config.steps.max(done) * windows;
    corpus.taught(config.context, config.sequences_at_once(), (config.seed, numbers))
}

/// Takes the kept logits of a run that resumes, if they are all that it needs. Returns whether they are.
///
/// # Errors
/// A file that cannot be read, or is for another run.
pub(crate) fn recall(
    config: &TrainingConfig,
    source: &mut Source,
    (directory, done): (&Path, u64),
    vocabulary: usize,
) -> Result<bool> {
    let path = teacher_file(directory);
    let Some(top) = config.teacher_top.filter(|_| path.exists()) else { return Ok(false) };
    let kept = KeptLogits::open(&path, kept_for(config, source, vocabulary, top))?;
    let whole = needed(config, &source.corpus, done).all(|(number, _)| kept.has(number));
    if whole {
        source.corpus.set_teacher(Some(Arc::new(kept)));
    }
    Ok(whole)
}

/// Finds and keeps the teacher's largest logits of the windows that the run needs, and lets the teacher go. Returns `false` if a
/// stop was requested: what was found stays.
///
/// # Errors
/// A file that cannot be written; windows that the teacher cannot predict.
pub(crate) fn keep(
    config: &TrainingConfig,
    source: &mut Source,
    (directory, done): (&Path, u64),
    vocabulary: usize,
) -> Result<bool> {
    let Some(top) = config.teacher_top else { return Ok(true) };
    let Some(teacher) = source.corpus.teacher().cloned() else { return Ok(true) };
    let about = kept_for(config, source, vocabulary, top);
    let path = teacher_file(directory);
    let mut kept = KeptLogits::open(&path, about.clone())?;
    let missing = needed(config, &source.corpus, done).map(|(number, _)| number);
    let missing: HashSet<u64> = missing.filter(|number| !kept.has(*number)).collect();
    if missing.is_empty() {
        source.corpus.set_teacher(Some(Arc::new(kept)));
        return Ok(true);
    }
    let megabytes = KeptLogits::bytes(&about, missing.len() as u64) as f64 / 1e6;
    remark(format!(
        "teacher  predicts {} beforehand; the {top} largest logits of each token take {megabytes:.1} MB in {}",
        count(missing.len(), "window"),
        path.display()
    ));
    let mut bar = Bar::new(missing.len() as u64, "windows");
    let (length, mut stopped) = (config.context, false);
    let mut windows = needed(config, &source.corpus, done).filter(|(n, _)| missing.contains(n));
    while !stopped {
        let some: Vec<_> = windows.by_ref().take(config.sequences_at_once()).collect();
        if some.is_empty() {
            break;
        }
        let numbers: Vec<u64> = some.iter().map(|(number, _)| *number).collect();
        let tokens: Vec<u32> = some.iter().flat_map(|(_, w)| &w.tokens).copied().collect();
        let targets: Vec<u32> = some.iter().flat_map(|(_, w)| &w.targets).copied().collect();
        let mut logits = vec![0.0; vocabulary * tokens.len()];
        let own = Windows { numbers: None, length, tokens: &tokens, targets: &targets };
        teacher.logits(own, &mut logits)?;
        for (number, logits) in numbers.into_iter().zip(logits.chunks(vocabulary * length)) {
            kept.push(number, logits).map_err(RunError::from)?;
        }
        bar.advance(some.len() as u64);
        stopped = signal::between_batches().is_break();
    }
    bar.finish();
    drop(windows);
    source.corpus.check_read()?;
    kept.sync().map_err(RunError::from)?;
    source.corpus.set_teacher(Some(Arc::new(kept)));
    Ok(!stopped)
}
