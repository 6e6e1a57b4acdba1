//! The training data of a run: a text, or the embedded stories.

use crate::plot::thousands;
use crate::progress::Bar;
use crate::{Result, remark, terminal};
use infotheory::{Nats, ngram};
use probability::permutation::Permutation;
use probability::random::Random;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::path::Path;
use transformer::disk::data::{Content, Data};
use transformer::disk::files;
use transformer::memory;
use transformer::text::stories;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Corpus, TokenizerChoice, TrainingConfig};

/// The share of a text that is not trained on, as in nanoGPT.
const HELD_BACK: f64 = 0.1;
/// The number of documents from which whole ones are held back.
const FEW: usize = 10;
/// The documents that are encoded between two reports of progress.
const GROUP: usize = 1024;
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
    /// Loads the data of a run, with the vocabulary of the run if it resumes.
    pub(crate) fn load(config: &TrainingConfig, known: Option<Tokenizer>) -> Result<Self> {
        let Some(paths) = &config.data else { return Self::stories(config, known) };
        let field = config.field.as_deref().unwrap_or(TrainingConfig::FIELD);
        let (data, name) = (read(paths, field)?, name(paths));
        let fail = |e: &dyn std::fmt::Display| format!("{name}: {e}");
        let by_bytes = known
            .as_ref()
            .map_or(config.tokenizer == TokenizerChoice::Bytes, |t| *t == Tokenizer::Bytes);
        let (train, held_back) = match &data.content {
            Content::Documents { bytes, .. } => {
                if !by_bytes {
                    characters(&name, bytes)?;
                }
                split(data.content.documents(), by_bytes)
            }
            _ => Default::default(),
        };
        let tokenizer = match (known, &config.tokenizer, &data.content) {
            (Some(known), ..) => known,
            (None, choice, Content::Documents { bytes, .. }) => chosen(choice, bytes, &train)?,
            (None, choice @ TokenizerChoice::Files(_), _) => chosen(choice, &[], &[])?,
            (None, ..) => {
                let reason = "it holds tokens: name the tokenizer that made them, by the path of its files: --tokenizer";
                return Err(fail(&reason).into());
            }
        };
        let length = config.context;
        let (corpus, characters_per_token) = match &data.content {
            Content::Tokens(tokens) => {
                known_to(tokens, tokenizer.vocabulary()).map_err(|e| fail(&e))?;
                let corpus =
                    Corpus::text(tokens.clone(), HELD_BACK, length).map_err(|e| fail(&e))?;
                let text = tokenizer.decode(&without_ends(&tokenizer, corpus.validation()));
                let characters = text.chars().count() as f64;
                let ratio = characters / corpus.validation().len() as f64;
                (corpus, ratio)
            }
            _ => {
                let tokens =
                    |documents: &[&[u8]]| encoded(documents, &tokenizer).map_err(|e| fail(&e));
                let corpus = Corpus::split(tokens(&train)?, tokens(&held_back)?, length);
                let corpus = corpus.map_err(|e| fail(&e))?;
                let characters: usize =
                    held_back.iter().map(|d| String::from_utf8_lossy(d).chars().count()).sum();
                let ratio = characters as f64 / corpus.validation().len() as f64;
                (corpus, ratio)
            }
        };
        Ok(Source {
            name,
            sha256: data.sha256,
            characters_per_token,
            corpus,
            tokenizer,
            entropy: None,
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
            None => chosen(&config.tokenizer, train.as_bytes(), &[train.as_bytes()])?,
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
        })
    }

    /// Returns the nats per token of n-gram models of orders 1 to [`ORDERS`] on the validation part, or on its
    /// beginning if it is long.
    pub(crate) fn baselines(&self) -> Vec<(usize, f64)> {
        let validation = self.corpus.validation();
        self.baselines_on(&validation[..validation.len().min(MEASURED)])
    }

    /// Like [`Source::baselines`], but for another text.
    pub(crate) fn baselines_on(&self, tokens: &[u32]) -> Vec<(usize, f64)> {
        let train = self.corpus.train();
        let mut counted = &train[..train.len().min(COUNTED)];
        let vocabulary = self.tokenizer.vocabulary();
        if counted.len() + tokens.len() >= LONG {
            let n = thousands(counted.len() as f64);
            remark(format!("n-grams  counted on {n} tokens, to compare with …"));
        }
        while memory::afford(counting(counted.len(), vocabulary)).is_err() && counted.len() > 1 {
            counted = &counted[..counted.len() / 2];
        }
        if counted.len() < train.len().min(COUNTED) {
            let n = counted.len();
            remark(format!(
                "n-grams  are counted on the first {n} tokens: there is no memory for more"
            ));
        }
        let measured = ngram::baselines(counted, tokens, vocabulary, ORDERS);
        measured.into_iter().map(|(order, nats)| (order, nats.0)).collect()
    }
}

/// Reads the tokenizer of a setting, or makes it from the bytes of all documents or of those that are trained on.
fn chosen(choice: &TokenizerChoice, all: &[u8], train: &[&[u8]]) -> Result<Tokenizer> {
    Ok(match choice {
        TokenizerChoice::Bytes => Tokenizer::bytes(),
        TokenizerChoice::Chars => Tokenizer::characters_of(&String::from_utf8_lossy(all)),
        TokenizerChoice::Bpe(vocabulary) => {
            let text = String::from_utf8(train.concat())?;
            let kilobytes = thousands(text.len() as f64 / 1e3);
            remark(format!("tokens   learning {vocabulary} pieces of words from {kilobytes} kB"));
            Tokenizer::trained_bpe(&text, *vocabulary)?
        }
        TokenizerChoice::Files(path) => files::read_tokenizer_at(Path::new(path))?,
        other => return Err(format!("--tokenizer {other} does not fit these data").into()),
    })
}

/// Splits data: the documents to train on, and those held back. Of few documents, each is split: its last tenth is held
/// back, by characters as in nanoGPT. Of many, whole ones are held back, drawn at random, always the same.
fn split(documents: Vec<&[u8]>, by_bytes: bool) -> (Vec<&[u8]>, Vec<&[u8]>) {
    if documents.len() < FEW {
        return documents.into_iter().map(|d| d.split_at(training_part(d, by_bytes))).unzip();
    }
    let order = Permutation::new(documents.len() as u64, Random::new(0, 0, 0));
    let mut held_back = vec![false; documents.len()];
    let bytes: usize = documents.iter().map(|d| d.len()).sum();
    let (most, mut taken) = ((bytes as f64 * HELD_BACK) as usize, 0);
    for i in 0..documents.len() as u64 {
        let place = order.at(i) as usize;
        if taken + documents[place].len() <= most || taken == 0 {
            taken += documents[place].len();
            held_back[place] = true;
        }
    }
    let chosen = |back: bool| {
        documents
            .iter()
            .zip(&held_back)
            .filter(|(_, held)| **held == back)
            .map(|(d, _)| *d)
            .collect()
    };
    (chosen(false), chosen(true))
}

/// Returns the length of the part of a document that is trained on: all but the last tenth of its characters or bytes.
fn training_part(document: &[u8], by_bytes: bool) -> usize {
    let most = |length: usize| (length as f64 * (1.0 - HELD_BACK)) as usize;
    match std::str::from_utf8(document) {
        Ok(text) if !by_bytes => {
            let train = most(text.chars().count());
            text.char_indices().nth(train).map_or(text.len(), |(i, _)| i)
        }
        _ => most(document.len()),
    }
}

/// Returns the tokens of documents. Several are each ended: by the tokenizer's token for it, else by a line end.
fn encoded(documents: &[&[u8]], tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let bytes: usize = documents.iter().map(|d| d.len()).sum();
    // A growing list exists twice.
    memory::afford(8 * bytes as u128).map_err(|e| format!("{e}; give a part of it"))?;
    let mut bar = Bar::new(bytes as u64, "bytes");
    let (mut tokens, mut done) = (Vec::new(), 0);
    for group in documents.chunks(GROUP) {
        let new: Vec<Vec<u32>> = match group {
            // One long text is encoded in pieces.
            [text] if *tokenizer != Tokenizer::Bytes => {
                vec![tokenizer.encode_watched(text, |piece| bar.set((done + piece) as u64))?]
            }
            group => {
                let all = group.par_iter().map(|document| tokenizer.encode_bytes(document));
                all.collect::<std::result::Result<_, _>>()?
            }
        };
        for document in new {
            tokens.extend(document);
            if documents.len() > 1 {
                tokens.extend(tokenizer.end().or_else(|| tokenizer.token("\n")));
            }
        }
        done += group.iter().map(|d| d.len()).sum::<usize>();
        bar.set(done as u64);
    }
    bar.finish();
    Ok(tokens)
}

/// Returns the tokens of data whole: those of texts, or as they are. Without a tokenizer, only tokens can be read.
pub(crate) fn encode(data: Data, tokenizer: Option<&Tokenizer>) -> Result<Vec<u32>> {
    match (data.content, tokenizer) {
        (Content::Tokens(tokens), _) => Ok(tokens),
        (texts, Some(tokenizer)) => encoded(&texts.documents(), tokenizer),
        _ => Err("the model has no tokenizer, and these data are text; give its tokens instead: a *.bin file".into()),
    }
}

/// Checks that tokens are in a vocabulary.
pub(crate) fn known_to(tokens: &[u32], vocabulary: usize) -> Result<()> {
    match tokens.iter().position(|&token| token as usize >= vocabulary) {
        None => Ok(()),
        Some(i) => Err(format!(
            "token {} at place {i} is not in the vocabulary of {vocabulary}: another tokenizer made these tokens, or they \
             have another width than two bytes",
            tokens[i]
        )
        .into()),
    }
}

/// Returns tokens without those that end documents, which stand for no text.
pub(crate) fn without_ends(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<u32> {
    tokens.iter().copied().filter(|token| Some(*token) != tokenizer.end()).collect()
}

/// Returns the most bytes that counting n-grams takes: each order has at most as many sequences as tokens, or as the
/// vocabulary allows, and each takes about 70 bytes in lists and tables that double.
fn counting(tokens: usize, vocabulary: usize) -> u128 {
    let sequences = |n: usize| vocabulary.saturating_pow(n as u32).min(tokens) as u128;
    70 * (1..=ORDERS).map(sequences).sum::<u128>()
}

/// Reads data, and says what a user may want to know about them.
pub(crate) fn read(paths: &[String], field: &str) -> Result<Data> {
    let data = Data::read(paths, field)?;
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

/// Checks that a text is made of characters.
fn characters(name: &str, text: &[u8]) -> Result<()> {
    let Err(e) = std::str::from_utf8(text) else { return Ok(()) };
    let at = e.valid_up_to();
    Err(format!(
        "{name} is not UTF-8: byte {at} is 0x{:02x}; take its bytes as tokens: --tokenizer bytes",
        text[at]
    )
    .into())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
