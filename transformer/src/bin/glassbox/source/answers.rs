//! Conversations as training data: their tokens, with the answers marked.

use super::{Source, affordable, chosen_of, name, text_of};
use crate::progress::Bar;
use crate::{Result, count, remark, run};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use transformer::disk::data::{Content, Data, DataError, Documents};
use transformer::disk::files;
use transformer::inspect::check::{self, Certificate};
use transformer::text::chat::ChatTemplate;
use transformer::text::conversation::{Marked, answer_start};
use transformer::text::corpus::Window;
use transformer::text::packing::{self, Counts};
use transformer::text::tokenizer::Tokenizer;
use transformer::{Corpus, TokenizerChoice, TrainingConfig, is_counted};

/// What training on answers shows and keeps besides the corpus.
pub(crate) struct Answers {
    /// The chat template, if the tokenizer has one.
    pub(crate) template: Option<ChatTemplate>,
    /// The first conversation that is trained on, as far as a window holds it; of a preference, both sides.
    pub(crate) example: Vec<Marked>,
    /// The lines that were read.
    data: Data,
}

impl Answers {
    /// Certifies that what is predicted in some windows are the answers that stand in the data.
    ///
    /// # Errors
    /// Data that changed since they were read.
    pub(crate) fn certify(&self, corpus: &Corpus, tokenizer: &Tokenizer) -> Result<Certificate> {
        /// The windows that are looked at.
        const WINDOWS: usize = 256;
        let Content::Documents(documents) = &self.data.content else {
            return Err("these are no conversations".into());
        };
        let mut said = vec![];
        for i in 0..documents.len() {
            said.extend(documents.example(i)?.answers().into_iter().map(str::to_owned));
        }
        let some = corpus.conversation_sample(WINDOWS);
        let cut = corpus.counts().is_some_and(|parts| parts.iter().any(|part| part.cut > 0));
        Ok(check::answers((&some, cut), tokenizer, said.iter().map(String::as_str)))
    }

    /// Returns the tokens of the example before its first answer, and the token that ends the answer.
    pub(crate) fn question(&self) -> (&[u32], Option<u32>) {
        let Marked { tokens, answer, .. } = &self.example[0];
        let first = answer.iter().position(|own| *own).unwrap_or(tokens.len());
        let after = answer[first..].iter().take_while(|own| **own).count();
        let end = (after > 0).then(|| tokens[first + after - 1]);
        (&tokens[..first], end)
    }
}

/// Returns the targets of windows that are predicted.
pub(crate) fn predicted(windows: &[Window]) -> Vec<u32> {
    let targets = windows.iter().flat_map(|window| &window.targets);
    targets.copied().filter(|&target| is_counted(target)).collect()
}

/// Returns the chat template of a tokenizer's directory, if it has one.
pub(crate) fn template_in(directory: &Path) -> Result<Option<ChatTemplate>> {
    Ok(files::read_chat_template(directory)?)
}

/// Returns the directory of the tokenizer that a setting names.
fn directory_of(choice: &TokenizerChoice) -> Option<PathBuf> {
    let TokenizerChoice::Files(path) = choice else { return None };
    let path = Path::new(path);
    Some(match path.is_dir() {
        true => path.to_owned(),
        false => path.parent().map_or_else(PathBuf::new, Path::to_owned),
    })
}

/// Returns the tokens with which a chat template begins an answer, for a run that learns text whose answers are not marked;
/// empty if there is none. A template that fails is no matter to text.
pub(crate) fn start_of_answers(
    config: &TrainingConfig,
    tokenizer: &Tokenizer,
    run: Option<&Path>,
) -> Vec<u32> {
    if config.answers || config.preferences.is_some() {
        return vec![];
    }
    let template = template_of(config, run).ok().flatten();
    template.and_then(|own| answer_start(tokenizer, &own).ok()).unwrap_or_default()
}

/// Returns the chat template of a run: of its model, else of its tokenizer.
fn template_of(config: &TrainingConfig, run: Option<&Path>) -> Result<Option<ChatTemplate>> {
    let of_model = run.map(run::model_directory);
    let begun = config.from.as_deref().map(PathBuf::from);
    for directory in of_model.into_iter().chain(begun).chain(directory_of(&config.tokenizer)) {
        match template_in(&directory) {
            Ok(None) => {}
            // The model of adapters may lie elsewhere now; the settings know where.
            Err(_) if files::is_adapter(&directory) && config.from.is_some() => {}
            other => return other,
        }
    }
    Ok(None)
}

/// Reads conversations, or preferences, and says what a user may want to know about them.
fn read(paths: &[String], preferences: bool) -> Result<Data> {
    let data = match preferences {
        true => Data::read_preferences(paths, |_| ())?,
        false => Data::read_conversations(paths, |_| ())?,
    };
    data.remarks.iter().for_each(|about| remark(format!("data     {about}")));
    Ok(data)
}

/// Returns the marked tokens of some conversations, in their order.
fn marked(
    documents: &Documents,
    places: &[usize],
    tokenizer: &Tokenizer,
    template: Option<&ChatTemplate>,
    bar: &mut Bar,
) -> Result<Vec<Vec<Marked>>> {
    /// The conversations that are encoded side by side.
    const GROUP: usize = 1024;
    let mut all = Vec::with_capacity(places.len());
    for group in places.chunks(GROUP) {
        let mark = |&i: &usize| {
            let marked = documents.example(i)?.mark(tokenizer, template);
            marked.map_err(|e| documents.error_of(i, &e.to_string()))
        };
        let marked: Vec<std::result::Result<Vec<Marked>, DataError>> =
            group.par_iter().map(mark).collect();
        // The first error is that of the first line, on any number of threads.
        for marked in marked {
            all.push(marked?);
        }
        bar.advance(group.iter().map(|&i| documents.extent(i).bytes()).sum());
    }
    Ok(all)
}

/// Loads the conversations of a run, with the vocabulary of the run if it resumes.
pub(super) fn load(
    config: &TrainingConfig,
    paths: &[String],
    known: Option<Tokenizer>,
    run: Option<&Path>,
) -> Result<Source> {
    if config.field.is_some() {
        let why = "--field names the text of documents, and these are conversations";
        return Err(format!("{why}: leave it out").into());
    }
    let pairs = config.preferences.is_some();
    let (data, name) = (read(paths, pairs)?, name(paths));
    let fail = |e: &dyn std::fmt::Display| format!("{name}: {e}");
    let Content::Documents(documents) = &data.content else {
        return Err(fail(&"these are no conversations").into());
    };
    if documents.len() < 2 {
        let least = match pairs {
            true => "it has 1 preference; at least 2 are needed, because one is held back",
            false => "it has 1 conversation; at least 2 are needed, because one is held back",
        };
        return Err(fail(&least).into());
    }
    // A conversation is in memory as tokens, marks and windows; a pair holds its prompt twice, and its reference.
    affordable(if pairs { 4 } else { 2 } * documents.bytes())?;
    let (held, sha256) = (super::held(documents), data.sha256.clone());
    let (held_back, train): (Vec<usize>, Vec<usize>) = (0..documents.len()).partition(|&i| held[i]);
    let template = template_of(config, run.filter(|_| known.is_some()))?;
    let tokenizer = match (known, &config.tokenizer) {
        (Some(known), _) => known,
        (None, choice) => {
            // As of texts: the characters of all, or the words of those that are trained on.
            let of = match choice {
                TokenizerChoice::Chars => (0..documents.len()).collect(),
                TokenizerChoice::Bpe(_) => train.clone(),
                _ => vec![],
            };
            let texts = of.into_iter().map(|i| Ok(documents.example(i)?.text()));
            chosen_of(choice, &texts.collect::<Result<String>>()?)?
        }
    };
    let mut bar = Bar::new(documents.bytes(), "bytes");
    let [train, held_back] = [train, held_back]
        .map(|part| marked(documents, &part, &tokenizer, template.as_ref(), &mut bar));
    bar.finish();
    let (mut train, mut held_back) = (train?, held_back?);
    if pairs {
        // The reference predicts every pair that is held back: no more than are measured.
        let tokens = |unit: &Vec<Marked>| unit.iter().map(|side| side.tokens.len()).sum::<usize>();
        let sums = held_back.iter().scan(0, |sum, unit| {
            *sum += tokens(unit);
            Some(*sum)
        });
        let measured = sums.take_while(|sum| *sum <= TrainingConfig::MOST_EVALUATED).count().max(1);
        train.extend(held_back.split_off(measured));
    }
    let length = config.context;
    let filler = tokenizer.end().or_else(|| tokenizer.token("\n")).unwrap_or(0);
    let corpus = Corpus::conversations(train, held_back, filler, length).map_err(|e| fail(&e))?;
    let example = corpus.example();
    let measured = predicted(&corpus.validation_windows(length));
    let characters = text_of(&tokenizer, &measured.clone().into()).0;
    Ok(Source {
        answers: example.map(|example| Answers { template, example, data }),
        characters_per_token: characters as f64 / measured.len() as f64,
        corpus,
        tokenizer,
        name,
        sha256,
        entropy: None,
    })
}

/// Describes what does not fit a window.
pub(crate) fn cut(counts: &Counts, length: usize, what: &str) -> String {
    let Counts { cut, cut_tokens, left_out, .. } = *counts;
    format!(
        "cut      at the context of {length}: the end of {} ({}); {} left out, without an answer before it",
        count(cut, what),
        count(cut_tokens, "token"),
        count(left_out, what)
    )
}

/// Returns the windows of conversations, or of preferences, to measure a model on: all of them, and the predicted tokens.
pub(crate) fn windows_of(
    (paths, preferences): (&[String], bool),
    tokenizer: &Tokenizer,
    directory: &Path,
    length: usize,
) -> Result<(Vec<u32>, Vec<Window>)> {
    let data = read(paths, preferences)?;
    let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", name(paths));
    let Content::Documents(documents) = &data.content else {
        return Err(fail(&"these are no conversations").into());
    };
    affordable(2 * documents.bytes())?;
    let template = template_in(directory)?;
    let all: Vec<usize> = (0..documents.len()).collect();
    let mut bar = Bar::new(documents.bytes(), "bytes");
    let all = marked(documents, &all, tokenizer, template.as_ref(), &mut bar);
    bar.finish();
    let (windows, counts) = packing::windows(all?, 0, length);
    if counts.left_out > 0 || counts.cut > 0 {
        let what = if preferences { "preference" } else { "conversation" };
        remark(cut(&counts, length, what));
    }
    if windows.is_empty() {
        return Err(fail(&"no line has an answer within the context").into());
    }
    Ok((predicted(&windows), windows))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question ends where its answer begins, and an answer with its last token.
    #[test]
    fn the_example_s_question_comes_before_its_answer() {
        let answer = vec![false, false, true, true, false, true];
        let example = Marked { tokens: vec![9, 8, 7, 6, 5, 4], answer, dropped: 0 };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("one.jsonl");
        std::fs::write(&path, "{\"prompt\": \"a\", \"completion\": \"b\"}\n").unwrap();
        let data = Data::read_conversations(&[path.display().to_string()], |_| ()).unwrap();
        let answers = Answers { template: None, example: vec![example], data };
        assert_eq!(answers.question(), (&[9, 8][..], Some(6)));
    }

    #[test]
    fn a_tokenizer_s_directory_is_that_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let file = path.join("tokenizer.json");
        for given in [path, &file] {
            let choice = TokenizerChoice::Files(given.display().to_string());
            assert_eq!(directory_of(&choice).as_deref(), Some(path));
        }
        assert_eq!(directory_of(&TokenizerChoice::Bytes), None);
    }
}
