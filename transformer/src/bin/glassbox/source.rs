//! The training data of a run: a text, or the embedded stories.

use crate::plot::thousands;
use crate::{Result, remark, terminal};
use infotheory::{Nats, ngram};
use sha2::{Digest, Sha256};
use std::path::Path;
use transformer::disk::files;
use transformer::disk::{read_stream, reason};
use transformer::memory;
use transformer::text::stories;
use transformer::text::tokenizer::Tokenizer;
use transformer::{Corpus, TokenizerChoice, TrainingConfig};

/// The longest text, in bytes: its tokens take four times as much memory.
const LONGEST: u64 = 1 << 30;
/// The share of a text that is not trained on, as in nanoGPT.
const HELD_BACK: f64 = 0.1;
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
        let Some(data) = &config.data else { return Self::stories(config, known) };
        let text = read(data)?;
        let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", shown(data));
        let tokenizer = match known {
            Some(known) => known,
            None => chosen(&config.tokenizer, || characters(data, &text).map(training_part))?,
        };
        let length = config.context;
        let corpus = match &tokenizer {
            // Pieces of words must not reach over the split.
            Tokenizer::Subwords(_) => {
                let train = training_part(characters(data, &text)?).len();
                let (train, validation) = text.split_at(train);
                Corpus::split(
                    encode(data, train, &tokenizer)?,
                    encode(data, validation, &tokenizer)?,
                    length,
                )
            }
            _ => Corpus::text(encode(data, &text, &tokenizer)?, HELD_BACK, length),
        };
        let corpus = corpus.map_err(|e| fail(&e))?;
        let characters = tokenizer.decode(corpus.validation()).chars().count();
        Ok(Source {
            name: shown(data),
            sha256: hex(&text),
            characters_per_token: characters as f64 / corpus.validation().len() as f64,
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
            None => chosen(&config.tokenizer, || Ok(&train))?,
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

/// Returns the tokenizer of a setting. `text` is asked for only if it decides.
fn chosen<'a>(
    choice: &TokenizerChoice,
    text: impl FnOnce() -> Result<&'a str>,
) -> Result<Tokenizer> {
    Ok(match choice {
        TokenizerChoice::Bytes => Tokenizer::bytes(),
        TokenizerChoice::Chars => Tokenizer::characters_of(text()?),
        TokenizerChoice::Bpe(vocabulary) => {
            let text = text()?;
            let kilobytes = thousands(text.len() as f64 / 1e3);
            remark(format!("tokens   learning {vocabulary} pieces of words from {kilobytes} kB …"));
            Tokenizer::trained_bpe(text, *vocabulary)?
        }
        TokenizerChoice::Files(path) => files::read_tokenizer_at(Path::new(path))?,
        other => return Err(format!("tokenizer {other} is not supported here").into()),
    })
}

/// Returns the part of a text that is trained on: all but the last [`HELD_BACK`] of its characters.
fn training_part(text: &str) -> &str {
    let train = (text.chars().count() as f64 * (1.0 - HELD_BACK)) as usize;
    &text[..text.char_indices().nth(train).map_or(text.len(), |(i, _)| i)]
}

/// Returns the most bytes that counting n-grams takes: each order has at most as many sequences as tokens, or as the
/// vocabulary allows, and each takes about 70 bytes in lists and tables that double.
fn counting(tokens: usize, vocabulary: usize) -> u128 {
    let sequences = |n: usize| vocabulary.saturating_pow(n as u32).min(tokens) as u128;
    70 * (1..=ORDERS).map(sequences).sum::<u128>()
}

/// Reads a text from a file or from standard input.
pub(crate) fn read(data: &str) -> Result<Vec<u8>> {
    let fail = |e: std::io::Error| format!("cannot read {}: {}", shown(data), reason(&e));
    let text = if data == "-" {
        read_stream(std::io::stdin().lock(), LONGEST).map_err(fail)?
    } else {
        if Path::new(data).is_dir() {
            return Err(
                format!("{} is a directory; give --data a file of text", shown(data)).into()
            );
        }
        read_stream(std::fs::File::open(data).map_err(fail)?, LONGEST).map_err(fail)?
    };
    if text.len() as u64 > LONGEST {
        let most = LONGEST >> 20;
        return Err(format!("{} has more than {most} MiB; give a part of it", shown(data)).into());
    }
    if text.is_empty() {
        return Err(format!("{} is empty; give a file with text in it", shown(data)).into());
    }
    Ok(text)
}

/// Returns the tokens of a text.
pub(crate) fn encode(data: &str, text: &[u8], tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    // A growing list exists twice.
    memory::afford(8 * text.len() as u128)
        .map_err(|e| format!("{}: {e}; give a part of it", shown(data)))?;
    tokenizer.encode_bytes(text).map_err(|e| format!("{}: {e}", shown(data)).into())
}

/// Returns a text as characters.
fn characters<'a>(data: &str, text: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(text).map_err(|e| {
        let (at, data) = (e.valid_up_to(), shown(data));
        format!(
            "{data} is not UTF-8: byte {at} is 0x{:02x}; take its bytes as tokens: --tokenizer bytes",
            text[at]
        )
        .into()
    })
}

fn shown(data: &str) -> String {
    if data == "-" { "standard input".to_owned() } else { terminal::word(data) }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
