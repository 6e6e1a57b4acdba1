//! `glassbox generate`.

use crate::{Result, on_threads, remark, run};
use clap::Args;
use probability::random::Random;
use probability::sample::Sampler;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use transformer::files;
use transformer::tokenizer::Tokenizer;
use transformer::{Decoder, GENERATION_STREAM, Gpt2Config};

/// Continue a prompt with a trained model.
#[derive(Args)]
pub(crate) struct Generate {
    /// A run, or a model directory in Hugging Face's GPT-2 layout
    model: PathBuf,
    /// Text to continue [default: a line's end]
    #[arg(long, conflicts_with = "prompt_tokens")]
    prompt: Option<String>,
    /// Token ids to continue, for models whose tokenizer is another's
    #[arg(long, value_name = "ID,ID,…", value_delimiter = ',', num_args = 1)]
    prompt_tokens: Option<Vec<u32>>,
    /// Tokens to write
    #[arg(long, value_name = "N", default_value_t = 400)]
    tokens: usize,
    /// Logits are divided by it; 0 always takes the most probable token
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f64,
    /// Only the k most probable tokens
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Only the smallest set of most probable tokens whose probabilities reach P
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Only tokens at least P times as probable as the most probable one
    #[arg(long, value_name = "P")]
    min_p: Option<f64>,
    /// Only the tokens of most typical surprisal whose probabilities reach P
    #[arg(long, value_name = "P")]
    typical: Option<f64>,
    /// Logits of tokens in the text so far are divided by it if positive, else multiplied; 1 is off
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    repetition_penalty: f64,
    /// Chooses among the tokens
    #[arg(long, value_name = "N", default_value_t = 1337)]
    seed: u64,
    /// Threads; the result does not depend on them [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// A model that writes.
pub(crate) struct Writer {
    decoder: Decoder<f32>,
    logits: Vec<f64>,
}

impl Writer {
    /// With a tokenizer, what does not fit the context any more is forgotten up to a line's end.
    pub(crate) fn new(
        config: &Gpt2Config,
        parameters: &[f32],
        tokenizer: Option<&Tokenizer>,
    ) -> Result<Self> {
        let mut decoder = Decoder::record(config)?;
        decoder.parameters_mut().copy_from_slice(parameters);
        let line_end = tokenizer.and_then(|t| t.encode("\n").ok());
        decoder.set_boundary(line_end.map(|tokens| tokens[0]));
        Ok(Writer { decoder, logits: Vec::new() })
    }

    /// Reads a token.
    fn read(&mut self, token: u32) -> Result<()> {
        let logits = self.decoder.read(token)?;
        self.logits.clear();
        self.logits.extend(logits.iter().map(|&z| f64::from(z)));
        Ok(())
    }

    /// Writes `count` tokens after `prompt`, handing each to `each` as it comes.
    pub(crate) fn write(
        &mut self,
        prompt: &[u32],
        count: usize,
        sampler: &Sampler,
        seed: u64,
        mut each: impl FnMut(u32) -> Result<()>,
    ) -> Result<()> {
        for &token in prompt {
            self.read(token)?;
        }
        let random = Random::new(seed, GENERATION_STREAM, 0);
        let mut history = prompt.to_vec();
        for i in 0..count {
            let u = random.uniform(i as u64);
            let token = sampler.draw_after(&history, &self.logits, u)? as u32;
            history.push(token);
            each(token)?;
            if i + 1 < count {
                self.read(token)?;
            }
        }
        Ok(())
    }

    /// The tokens that follow `prompt`.
    pub(crate) fn continuation(
        &mut self,
        prompt: &[u32],
        count: usize,
        sampler: &Sampler,
        seed: u64,
    ) -> Result<Vec<u32>> {
        let mut tokens = Vec::new();
        self.write(prompt, count, sampler, seed, |token| {
            tokens.push(token);
            Ok(())
        })?;
        Ok(tokens)
    }
}

/// The model directory of a run, or the directory itself.
pub(crate) fn model_directory(given: &Path) -> PathBuf {
    if run::is_run(given) { run::model_directory(given) } else { given.to_owned() }
}

impl Generate {
    pub(crate) fn run(self) -> Result<()> {
        on_threads(self.threads, || self.generate())
    }

    fn generate(&self) -> Result<()> {
        let sampler = Sampler {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            typical: self.typical,
            repetition_penalty: self.repetition_penalty,
        };
        sampler.validate()?;
        let directory = model_directory(&self.model);
        let (config, parameters) = files::read::<f32>(&directory)?;
        let tokenizer = match &self.prompt_tokens {
            // Whoever gives ids can do without a tokenizer.
            Some(_) => files::read_tokenizer(&directory).ok(),
            None => Some(files::read_tokenizer(&directory)?),
        };
        let prompt = self.prompt(tokenizer.as_ref())?;
        let mut writer = Writer::new(&config, &parameters, tokenizer.as_ref())?;
        let decoded = |tokens: &[u32]| match &tokenizer {
            Some(tokenizer) => tokenizer.decode(tokens),
            None => tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
        };
        if self.json {
            let new = writer.continuation(&prompt, self.tokens, &sampler, self.seed)?;
            let all = [&prompt[..], &new].concat();
            let object = json!({
                "text": decoded(&all), "tokens": all, "prompt_tokens": prompt, "new_tokens": new,
            });
            return Ok(writeln!(std::io::stdout(), "{object}")?);
        }
        self.stream(&mut writer, &prompt, &sampler, decoded)
    }

    /// Prints the text as it is written.
    fn stream(
        &self,
        writer: &mut Writer,
        prompt: &[u32],
        sampler: &Sampler,
        decoded: impl Fn(&[u32]) -> String,
    ) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let mut tokens = if self.prompt.is_some() || self.prompt_tokens.is_some() {
            prompt.to_vec()
        } else {
            Vec::new()
        };
        let mut shown = String::new();
        let mut show = |tokens: &[u32], last: bool| -> Result<()> {
            let text = decoded(tokens);
            // The end of a text of bytes can be a character that is not complete yet.
            let ready = if last { &text[..] } else { text.trim_end_matches('\u{fffd}') };
            if let Some(new) = ready.strip_prefix(&shown) {
                out.write_all(new.as_bytes())?;
                out.flush()?;
                shown = ready.to_owned();
            }
            Ok(())
        };
        show(&tokens, false)?;
        writer.write(prompt, self.tokens, sampler, self.seed, |token| {
            tokens.push(token);
            show(&tokens, false)
        })?;
        show(&tokens, true)?;
        Ok(writeln!(std::io::stdout())?)
    }

    fn prompt(&self, tokenizer: Option<&Tokenizer>) -> Result<Vec<u32>> {
        if let Some(tokens) = &self.prompt_tokens {
            return Ok(tokens.clone());
        }
        let tokenizer = tokenizer.expect("read where there are no ids");
        let prompt = match self.prompt.as_deref() {
            Some("") => return Err("the prompt is empty; give at least one character".into()),
            Some(prompt) => prompt,
            None => "\n",
        };
        match tokenizer.encode(prompt) {
            Err(_) if self.prompt.is_none() => {
                remark(
                    "the vocabulary has no line's end; the text begins with its first character",
                );
                Ok(vec![0])
            }
            tokens => Ok(tokens?),
        }
    }
}
