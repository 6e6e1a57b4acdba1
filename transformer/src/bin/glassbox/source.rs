//! The training data of a run: a text, conversations, or the embedded stories.

pub(crate) mod answers;

use crate::plot::thousands;
use crate::progress::Bar;
use crate::{Error, Result, remark, run, terminal};
use answers::Answers;
use infotheory::{Nats, ngram};
use probability::permutation::Permutation;
use probability::random::Random;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Mutex;
use transformer::disk::data::{self, Content, Data, Documents, Extent};
use transformer::disk::tokens::{Encoded, Split, Watch};
use transformer::disk::{files, read_in_training};
use transformer::memory;
use transformer::text::stories;
use transformer::text::tokenizer::Tokenizer;
use transformer::{
    Architecture, Corpus, Form, RecordedStep, TokenizerChoice, Tokens, TrainingConfig,
};

/// The share of a text that is not trained on, as in nanoGPT.
const HELD_BACK: f64 = 0.1;
/// The number of documents from which whole ones are held back.
const FEW: usize = 10;
/// The bytes of text up to which tokens are in memory.
const IN_MEMORY: u64 = 1 << 26;
/// The bytes of text from which pieces of words are learned.
const LEARNED: u64 = 1 << 28;
/// The number of training stories.
const TRAINING_STORIES: u32 = 20_000;
const VALIDATION_STORIES: u32 = 500;
/// The most tokens on which n-grams are counted, which bounds their memory.
const COUNTED: usize = 4_000_000;
/// The most tokens on which n-grams are measured in training: as many as the model is measured on.
const MEASURED: usize = 1 << 18;
/// The number of tokens from which counting takes seconds.
const LONG: usize = 1 << 20;
/// The largest order of the n-gram baselines.
pub(crate) const ORDERS: usize = 6;

/// A corpus and its properties.
pub(crate) struct Source {
    pub(crate) corpus: Corpus,
    pub(crate) tokenizer: Tokenizer,
    /// The name for headings.
    pub(crate) name: String,
    /// The SHA-256 of the text, in hexadecimal: a run resumes only with its own text.
    pub(crate) sha256: String,
    /// Characters per token of the validation part.
    pub(crate) characters_per_token: f64,
    pub(crate) entropy: Option<Entropy>,
    /// If only answers are learned, or preferences between them.
    pub(crate) answers: Option<Answers>,
}

/// The entropy of the embedded source, in nats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entropy {
    pub(crate) per_story: f64,
    pub(crate) per_token: f64,
    /// −ln p of the validation stories under the source, per token.
    pub(crate) of_validation: f64,
}

impl Source {
    /// Loads the data of a run, with the vocabulary of the run if it resumes. The tokens of a long text are kept in a file
    /// beside the run.
    pub(crate) fn load(
        config: &TrainingConfig,
        known: Option<Tokenizer>,
        run: Option<&Path>,
    ) -> Result<Self> {
        let Some(paths) = &config.data else {
            if config.answers {
                return Err(
                    "--answers learns the answers of conversations: give them with --data".into()
                );
            }
            if config.preferences.is_some() {
                return Err("--preferences learns from preferences: give them with --data".into());
            }
            return Self::stories(config, known);
        };
        if config.answers || config.preferences.is_some() {
            return answers::load(config, paths, known, run);
        }
        let field = config.field.as_deref().unwrap_or(TrainingConfig::FIELD);
        let (data, name) = (read(paths, field)?, name(paths));
        let fail = |e: &dyn std::fmt::Display| format!("{name}: {e}");
        let (tokenizer, encoded) = match &data.content {
            Content::Tokens(tokens) => {
                let reason = "it holds tokens: name the tokenizer that made them, by the path of its files: --tokenizer";
                let tokenizer = match (known, &config.tokenizer) {
                    (Some(known), _) => known,
                    (None, TokenizerChoice::Files(path)) => tokenizer_at(path)?,
                    _ => return Err(fail(&reason).into()),
                };
                known_to(tokens, tokenizer.vocabulary()).map_err(|e| fail(&e))?;
                let train = (tokens.len() as f64 * (1.0 - HELD_BACK)) as usize;
                let (train, held_back) = tokens.split_at(train);
                let characters = text_of(&tokenizer, &held_back).0;
                (tokenizer, Encoded { train, held_back, characters })
            }
            Content::Documents(documents) => {
                let by_bytes = known
                    .as_ref()
                    .map_or(config.tokenizer == TokenizerChoice::Bytes, |t| *t == Tokenizer::Bytes);
                if !by_bytes {
                    utf8(documents)?;
                }
                let split = split(documents, by_bytes)?;
                let tokenizer = match known {
                    Some(known) => known,
                    None => chosen(&config.tokenizer, &split)?,
                };
                let encoded = tokens_of(&split, &data.sha256, &tokenizer, run)?;
                (tokenizer, encoded)
            }
            other => return Err(fail(&format!("{other:?} cannot be trained on")).into()),
        };
        let Encoded { train, held_back, characters } = encoded;
        let corpus = Corpus::split(train, held_back, config.context).map_err(|e| fail(&e))?;
        Ok(Source {
            name,
            sha256: data.sha256,
            characters_per_token: characters as f64 / corpus.validation().len() as f64,
            corpus,
            tokenizer,
            entropy: None,
            answers: None,
        })
    }

    fn stories(config: &TrainingConfig, known: Option<Tokenizer>) -> Result<Self> {
        let grammar = stories::grammar();
        let train: String = (0..TRAINING_STORIES).map(|i| stories::story(&grammar, 0, i)).collect();
        let held_back: Vec<String> =
            (0..VALIDATION_STORIES).map(|i| stories::story(&grammar, 1, i)).collect();
        let validation = held_back.concat();
        let tokenizer = match known {
            Some(known) => known,
            None => chosen_of(&config.tokenizer, &train)?,
        };
        let Some(end) = tokenizer.token("\n") else {
            return Err(
                "the stories end with a line end, which is no token of this tokenizer".into()
            );
        };
        let corpus = Corpus::documents(
            tokenizer.encode(&train)?,
            tokenizer.encode(&validation)?,
            end,
            config.context,
        )?;
        let characters_per_token = validation.len() as f64 / corpus.validation().len() as f64;
        let surprisal = held_back.iter().map(|s| grammar.surprisal(s).unwrap_or(Nats(f64::NAN)));
        let entropy = Entropy {
            per_story: grammar.entropy().0,
            per_token: grammar.entropy_rate()?.0 * characters_per_token,
            of_validation: surprisal.sum::<Nats>().per(corpus.validation().len())?.0,
        };
        Ok(Source {
            corpus,
            tokenizer,
            name: "stories".to_owned(),
            sha256: hex(train.as_bytes()),
            characters_per_token,
            entropy: Some(entropy),
            answers: None,
        })
    }

    /// Computes the reference of a run's preferences: the nats of answers under the model that it began with, of all that are
    /// held back and of those that these steps train on. Returns the learned parameters of that model; `None` for a run
    /// without preferences.
    ///
    /// # Errors
    /// A model that cannot be read, or is not the one that the run began with.
    pub(crate) fn refer(
        &mut self,
        config: &TrainingConfig,
        steps: Range<u64>,
    ) -> Result<Option<Vec<f32>>> {
        let Some((mut step, parameters)) = reference(config)? else { return Ok(None) };
        let windows = (config.batch * config.accumulate) as u64;
        let numbers = steps.start * windows..steps.end * windows;
        let mut bar = None;
        let numbers = Some((config.seed, numbers));
        transformer::refer(&mut self.corpus, &mut step, numbers, |done, all| {
            bar.get_or_insert_with(|| Bar::new(all as u64, "windows")).set(done as u64);
            ControlFlow::Continue(())
        })?;
        bar.iter().for_each(Bar::finish);
        Ok(Some(parameters))
    }

    /// Writes the chat template, if answers are learned through one, beside a model and its tokenizer.
    pub(crate) fn save_template(&self, model: &Path) -> Result<()> {
        let template = self.answers.as_ref().and_then(|answers| answers.template.as_ref());
        Ok(template.map_or(Ok(()), |template| files::write_chat_template(model, template))?)
    }

    /// Returns the name of the data's file, for headings.
    pub(crate) fn heading(&self) -> String {
        let file = Path::new(&self.name).file_name().unwrap_or_default();
        file.to_string_lossy().into_owned()
    }

    /// Returns the nats per token of n-gram models of orders 1 to [`ORDERS`] on the validation part, or on its
    /// beginning if it is long.
    pub(crate) fn baselines(&self) -> Vec<(usize, f64)> {
        self.baselines_on(&self.corpus.validation().beginning(MEASURED))
    }

    /// Like [`Source::baselines`], but for another text. Answers have none: n-grams are counted on all tokens.
    pub(crate) fn baselines_on(&self, tokens: &[u32]) -> Vec<(usize, f64)> {
        if self.answers.is_some() {
            return Vec::new();
        }
        let train = self.corpus.train().beginning(COUNTED);
        let mut counted = &train[..];
        let vocabulary = self.tokenizer.vocabulary();
        if counted.len() + tokens.len() >= LONG {
            let n = thousands(counted.len() as f64);
            remark(format!("n-grams  counted on {n} tokens, to compare with …"));
        }
        while memory::afford(counting(counted.len(), vocabulary)).is_err() && counted.len() > 1 {
            counted = &counted[..counted.len() / 2];
        }
        if counted.len() < train.len() {
            let n = counted.len();
            remark(format!(
                "n-grams  are counted on the first {n} tokens: there is no memory for more"
            ));
        }
        let measured = ngram::baselines(counted, tokens, vocabulary, ORDERS);
        measured.into_iter().map(|(order, nats)| (order, nats.0)).collect()
    }
}

/// Reads the model that a run began with, and its weights.
///
/// # Errors
/// A model that cannot be read, or is not the one that the run began with.
pub(crate) fn began_with(
    config: &TrainingConfig,
    directory: &Path,
) -> Result<(Architecture, Vec<f32>)> {
    let (model, weights) = files::read_with_faults::<f32>(directory)?;
    let found = files::sha256(&weights);
    match config.from_sha256.as_ref().filter(|saved| **saved != found) {
        Some(saved) => Err(format!(
            "{} holds other weights (SHA-256 {found}) than the run began with ({saved})",
            directory.display()
        )
        .into()),
        None => Ok((model, weights)),
    }
}

/// Reads the model that is the reference of a run's preferences, and its learned parameters; `None` for a run without.
///
/// # Errors
/// A model that cannot be read, or is not the one that the run began with.
pub(crate) fn reference(config: &TrainingConfig) -> Result<Option<(RecordedStep<f32>, Vec<f32>)>> {
    let (Some(from), Some(_)) = (&config.from, config.preferences) else { return Ok(None) };
    let directory = Path::new(from);
    began_with(config, directory).map_err(|why| {
        format!(
            "{why}; it is the reference of the run's preferences: if it lies elsewhere now, say so once with train --resume RUN \
             --from MODEL"
        )
    })?;
    let (model, parameters) = read_in_training(directory, config)?;
    let (sequences, length) = (config.sequences_at_once(), config.context);
    let mut step =
        RecordedStep::<f32>::record_forward_only(&model, sequences, length, Form::Fused)?;
    step.copy_parameters(&parameters);
    Ok(Some((step, parameters)))
}

/// Reads the tokenizer of a setting, or makes it: of the characters of all documents, or of the words that are trained on.
fn chosen(choice: &TokenizerChoice, split: &Split<'_>) -> Result<Tokenizer> {
    let Split { documents, train, .. } = split;
    match choice {
        TokenizerChoice::Chars => {
            let mut used = BTreeSet::new();
            for extent in documents.extents() {
                for piece in documents.pieces(&extent, Documents::PIECE) {
                    used.extend(std::str::from_utf8(&piece?)?.chars());
                }
            }
            Ok(Tokenizer::of_characters(used))
        }
        TokenizerChoice::Bpe(vocabulary) => {
            let bytes: u64 = train.iter().map(Extent::bytes).sum();
            let kilobytes = thousands(bytes.min(LEARNED) as f64 / 1e3);
            remark(format!("tokens   learning {vocabulary} pieces of words from {kilobytes} kB"));
            let (failure, mut left) = (Mutex::new(None), LEARNED);
            let pieces = train.iter().flat_map(|extent| documents.pieces(extent, Documents::PIECE));
            let texts = pieces.map_while(|piece| {
                let text = piece.map_err(Error::from).and_then(|p| Ok(String::from_utf8(p)?));
                let text = text
                    .map_err(|e| failure.lock().expect("one thread").get_or_insert(e).to_string());
                let text = text.ok().filter(|_| left > 0)?;
                left = left.saturating_sub(text.len() as u64);
                Some(text)
            });
            let tokenizer = Tokenizer::trained_bpe_on(texts, *vocabulary)?;
            match failure.into_inner().expect("one thread") {
                Some(failure) => Err(failure),
                None => Ok(tokenizer),
            }
        }
        choice => chosen_of(choice, ""),
    }
}

/// Like [`chosen`], of one text.
fn chosen_of(choice: &TokenizerChoice, text: &str) -> Result<Tokenizer> {
    Ok(match choice {
        TokenizerChoice::Bytes => Tokenizer::bytes(),
        TokenizerChoice::Chars => Tokenizer::characters_of(text),
        TokenizerChoice::Bpe(vocabulary) => Tokenizer::trained_bpe(text, *vocabulary)?,
        TokenizerChoice::Files(path) => tokenizer_at(path)?,
        other => return Err(format!("--tokenizer {other} does not fit these data").into()),
    })
}

/// Splits data: the documents to train on, and those held back. Of few documents, each is split: its last tenth is held
/// back, by characters as in nanoGPT. Of many, whole ones are held back, drawn at random, always the same.
fn split(documents: &Documents, by_bytes: bool) -> Result<Split<'_>> {
    let all = documents.extents();
    if documents.len() < FEW {
        let (mut train, mut held_back) = (vec![], vec![]);
        for Extent { document, range } in all {
            let most = |length: u64| (length as f64 * (1.0 - HELD_BACK)) as u64;
            let middle = match by_bytes {
                true => most(range.end),
                false => documents.place_of(document, most(documents.characters(document)?))?,
            };
            train.push(Extent { document, range: 0..middle });
            held_back.push(Extent { document, range: middle..range.end });
        }
        return Ok(Split { documents, train, held_back });
    }
    let held = held(documents);
    let (held_back, train) = all.into_iter().partition(|extent| held[extent.document]);
    Ok(Split { documents, train, held_back })
}

/// Reads the tokenizer of a path: a file, a directory, or a run, which has it beside its model.
fn tokenizer_at(path: &str) -> Result<Tokenizer> {
    let path = Path::new(path);
    Ok(match run::is_run(path) {
        true => files::read_tokenizer(&run::model_directory(path))?,
        false => files::read_tokenizer_at(path)?,
    })
}

/// Returns whether each document is held back: whole ones, drawn at random, always the same; at least one.
fn held(documents: &Documents) -> Vec<bool> {
    let all = documents.extents();
    let order = Permutation::new(all.len() as u64, Random::new(0, 0, 0));
    let mut held = vec![false; all.len()];
    let (most, mut taken) = ((documents.bytes() as f64 * HELD_BACK) as u64, 0);
    for i in 0..all.len() as u64 {
        let place = order.at(i) as usize;
        if taken + all[place].bytes() <= most || taken == 0 {
            taken += all[place].bytes();
            held[place] = true;
        }
    }
    held
}

/// Returns the tokens of split data: those of a long text in a file beside the run, where the next run finds them.
fn tokens_of(
    split: &Split<'_>,
    data: &str,
    tokenizer: &Tokenizer,
    run: Option<&Path>,
) -> Result<Encoded> {
    let bytes = split.documents.bytes();
    let mut bar = Bar::new(bytes, "bytes");
    let mut progress = |more| bar.advance(more);
    let encoded = match run.filter(|_| bytes > IN_MEMORY) {
        None => {
            affordable(bytes)?;
            split.in_memory(tokenizer, &mut progress)?
        }
        Some(run) => {
            let run = std::path::absolute(run)?;
            let directory = run.parent().unwrap_or(&run);
            let key = split.key(data, tokenizer);
            let path = split.file(directory, &key);
            let there = path.exists();
            let verb = if there { "read from" } else { "written to" };
            remark(format!("tokens   {verb} {}", terminal::word(&path.display().to_string())));
            let mut waiting =
                |_: &Path| remark("tokens   another process writes this file; waiting for it");
            let watch = Watch { progress: &mut progress, waiting: &mut waiting };
            split.in_file(directory, &key, tokenizer, watch)?
        }
    };
    bar.finish();
    Ok(encoded)
}

/// Refuses a text whose tokens do not fit the memory. A growing list exists twice.
fn affordable(bytes: u64) -> Result<()> {
    Ok(memory::afford(8 * u128::from(bytes)).map_err(|e| format!("{e}; give a part of it"))?)
}

/// Returns the tokens of data whole: those of texts, or as they are. Without a tokenizer, only tokens can be read.
pub(crate) fn encode(data: Data, tokenizer: Option<&Tokenizer>) -> Result<Tokens> {
    match (&data.content, tokenizer) {
        (Content::Tokens(tokens), _) => Ok(tokens.clone()),
        (Content::Documents(documents), Some(tokenizer)) => {
            affordable(documents.bytes())?;
            let train = documents.extents();
            let whole = Split { documents, train, held_back: vec![] };
            let mut bar = Bar::new(documents.bytes(), "bytes");
            let encoded = whole.in_memory(tokenizer, &mut |more| bar.advance(more));
            bar.finish();
            Ok(encoded?.train)
        }
        _ => Err("the model has no tokenizer, and these data are text; give its tokens instead: a *.bin file".into()),
    }
}

/// Checks that tokens are in a vocabulary.
pub(crate) fn known_to(tokens: &Tokens, vocabulary: usize) -> Result<()> {
    let mut at = 0;
    for chunk in tokens.chunks() {
        if let Some(i) = chunk.iter().position(|&token| token as usize >= vocabulary) {
            return Err(format!(
                "token {} at place {} is not in the vocabulary of {vocabulary}: another tokenizer made these tokens, or \
                 they have another width than two bytes",
                chunk[i], at + i
            )
            .into());
        }
        at += chunk.len();
    }
    Ok(tokens.check_read()?)
}

/// Returns the characters and bytes of the text of tokens, without those that end documents, which stand for no text.
pub(crate) fn text_of(tokenizer: &Tokenizer, tokens: &Tokens) -> (u64, u64) {
    let (mut characters, mut bytes, mut text) = (0, 0, Vec::new());
    for chunk in tokens.chunks() {
        text.clear();
        let own = chunk.iter().filter(|token| Some(**token) != tokenizer.end());
        own.for_each(|&token| tokenizer.push_bytes(token, &mut text));
        characters += data::characters(&text);
        bytes += text.len() as u64;
    }
    (characters, bytes)
}

/// Returns the most bytes that counting n-grams takes: each order has at most as many sequences as tokens, or as the
/// vocabulary allows, and each takes about 70 bytes in lists and tables that double.
fn counting(tokens: usize, vocabulary: usize) -> u128 {
    let sequences = |n: usize| vocabulary.saturating_pow(n as u32).min(tokens) as u128;
    70 * (1..=ORDERS).map(sequences).sum::<u128>()
}

/// Reads data, and says what a user may want to know about them.
pub(crate) fn read(paths: &[String], field: &str) -> Result<Data> {
    let size = |path: &String| std::fs::metadata(path).map_or(0, |m| m.len());
    let long = paths.iter().map(size).sum::<u64>() > IN_MEMORY;
    let mut bar = long.then(|| Bar::new(0, "bytes read"));
    let data = Data::read_watched(paths, field, |more| {
        bar.iter_mut().for_each(|bar| bar.advance(more));
    });
    bar.iter().for_each(Bar::finish);
    let data = data?;
    data.remarks.iter().for_each(|about| remark(format!("data     {about}")));
    Ok(data)
}

/// Returns the name of data for headings and messages.
pub(crate) fn name(paths: &[String]) -> String {
    let first = match paths.first().map_or("", String::as_str) {
        "-" => "standard input".to_owned(),
        path => terminal::word(path),
    };
    match paths.len() {
        0 | 1 => first,
        n => format!("{first} and {} more", n - 1),
    }
}

/// Checks that texts are made of characters.
fn utf8(documents: &Documents) -> Result<()> {
    let Some((path, at, byte)) = documents.not_utf8() else { return Ok(()) };
    let path = name(&[path.display().to_string()]);
    let remedy = "take its bytes as tokens: --tokenizer bytes";
    Err(format!("{path} is not UTF-8: byte {at} is 0x{byte:02x}; {remedy}").into())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
