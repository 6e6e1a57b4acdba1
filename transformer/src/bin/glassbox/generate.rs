//! `glassbox generate`.

mod chat;

use crate::{Result, count, on_threads, remark, run, shown, terminal};
use clap::Args;
use probability::sample::Sampler;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use transformer::disk::files::{self, GenerationConfig};
use transformer::text::tokenizer::Tokenizer;
use transformer::{Architecture, Writer};

/// Continue a prompt with a trained model.
#[derive(Args)]
pub(crate) struct Generate {
    /// A run, or a model directory in Hugging Face's layout
    model: PathBuf,
    /// Text to continue [default: a line end]
    #[arg(long, conflicts_with = "prompt_tokens")]
    prompt: Option<String>,
    /// Token ids to continue, for models without a tokenizer
    #[arg(long, value_name = "ID,ID,…", value_delimiter = ',', num_args = 1)]
    prompt_tokens: Option<Vec<u32>>,
    /// Number of tokens to generate
    #[arg(long, value_name = "N", default_value_t = 400, allow_negative_numbers = true)]
    tokens: usize,
    /// Divisor of the logits; 0 always takes the most probable token [default: that of the model's generation_config.json if
    /// it says do_sample, as are the next five; else 1]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Only the k most probable tokens
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    top_k: Option<usize>,
    /// Only the smallest set of most probable tokens whose probabilities reach P
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Only tokens at least P times as probable as the most probable one
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f64>,
    /// Only the tokens of most typical surprisal whose probabilities reach P
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    typical: Option<f64>,
    /// Divisor of positive logits, and factor of negative ones, of tokens in the text so far; 1 is off
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    repetition_penalty: Option<f64>,
    /// Go on after the token that ends a text
    #[arg(long)]
    ignore_end: bool,
    /// Talk in turns: each line of standard input is a message, put into the model's chat template
    #[arg(long, conflicts_with_all = ["prompt", "prompt_tokens", "logits"])]
    chat: bool,
    /// With --chat: the system's message, before the first
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
    /// Seed of the choice of tokens
    #[arg(long, value_name = "N", default_value_t = 1337, allow_negative_numbers = true)]
    seed: u64,
    /// Threads; the result does not depend on them [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
    /// With --json: also the logits after every token
    #[arg(long, requires = "json")]
    logits: bool,
}

/// A model on disk.
pub(crate) struct Model {
    pub(crate) directory: PathBuf,
    pub(crate) config: Architecture,
    pub(crate) parameters: Vec<f32>,
}

impl Model {
    /// Reads the model of a run or a model directory.
    pub(crate) fn read(given: &Path) -> Result<Self> {
        let directory = run::model_of(given)?;
        let (config, parameters) = files::read::<f32>(&directory)?;
        Ok(Model { directory, config, parameters })
    }

    /// Reads the model's tokenizer.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer> {
        tokenizer(&self.directory, &self.config)
    }
}

/// Reads the tokenizer of a model directory, if it has one.
pub(crate) fn optional_tokenizer(
    directory: &Path,
    model: &Architecture,
) -> Result<Option<Tokenizer>> {
    let there = !files::tokenizer_files(directory).is_empty();
    there.then(|| tokenizer(directory, model)).transpose()
}

/// Reads the tokenizer of a model directory.
pub(crate) fn tokenizer(directory: &Path, model: &Architecture) -> Result<Tokenizer> {
    let shown = directory.display();
    if files::tokenizer_files(directory).is_empty() {
        return Err(format!(
            "{shown} has no tokenizer.json, nor vocab.json and merges.txt: copy the tokenizer that the model was \
             trained with beside it, or give generate and explain token ids: --prompt-tokens 1,2,3"
        )
        .into());
    }
    let tokenizer = files::read_tokenizer(directory)?;
    let (found, most) = (tokenizer.vocabulary(), model.vocabulary);
    if found > most {
        return Err(format!(
            "{shown}: the tokenizer has {} where config.json's vocab_size is {most}: they belong to different models",
            count(found, "token")
        )
        .into());
    }
    if found < most {
        let more = count(most - found, "token");
        remark(format!(
            "tokens   the model knows {more} more than its tokenizer: they stand for no text"
        ));
    }
    Ok(tokenizer)
}

/// Returns a writer. With a tokenizer, tokens that do not fit the context are forgotten up to a line end.
pub(crate) fn writer(
    config: &Architecture,
    parameters: &[f32],
    tokenizer: Option<&Tokenizer>,
) -> Result<Writer<f32>> {
    let line_end = tokenizer.and_then(|t| t.token("\n"));
    Ok(Writer::new(config, parameters, line_end)?)
}

/// How tokens are chosen, and which end the text.
struct Stop {
    sampler: Sampler,
    ends: Vec<u32>,
}

impl Stop {
    /// Generates up to a token that ends the text, which is left out.
    fn write<'a>(
        &'a self,
        writer: &'a mut Writer<f32>,
        prompt: &[u32],
        seed: u64,
    ) -> Result<impl Iterator<Item = Result<u32>> + 'a> {
        let written = writer.write(prompt, self.sampler, seed)?;
        let written = written.map(|token| token.map_err(Into::into));
        Ok(written.take_while(|token| token.as_ref().map_or(true, |t| !self.ends.contains(t))))
    }
}

impl Generate {
    pub(crate) fn run(self) -> Result<()> {
        on_threads(self.threads, || self.generate())
    }

    fn generate(&self) -> Result<()> {
        let model = Model::read(&self.model)?;
        let config = files::read_generation_config(&model.directory)?;
        let sampler = self.sampler(&config);
        sampler.validate()?;
        let tokenizer = match &self.prompt_tokens {
            // With token ids, the tokenizer is optional.
            Some(_) => model.tokenizer().ok(),
            None => Some(model.tokenizer()?),
        };
        let ends = match (self.ignore_end, &tokenizer) {
            (true, _) => vec![],
            (false, Some(tokenizer)) if config.end.is_empty() => {
                tokenizer.end().into_iter().collect()
            }
            (false, _) => config.end,
        };
        let mut writer = writer(&model.config, &model.parameters, tokenizer.as_ref())?;
        let stop = Stop { sampler, ends };
        if let (true, Some(tokenizer)) = (self.chat, &tokenizer) {
            return chat::talk(self, &mut writer, &stop, tokenizer, &model);
        }
        let prompt = self.prompt(tokenizer.as_ref())?;
        let context = model.config.context;
        if prompt.len() > context {
            let (found, whole) = (count(prompt.len(), "token"), count(context, "token"));
            remark(format!(
                "prompt   {found}: more than the context of {whole}, so its beginning is forgotten"
            ));
        }
        if !self.json {
            return self.stream(&mut writer, &prompt, &stop, tokenizer.as_ref());
        }
        if self.logits && prompt.len().saturating_add(self.tokens) > context {
            return Err(format!(
                "--logits is for texts that fit the context of {}; prompt and --tokens make {}",
                count(context, "token"),
                prompt.len().saturating_add(self.tokens)
            )
            .into());
        }
        let written = stop.write(&mut writer, &prompt, self.seed)?.take(self.tokens);
        let new = written.collect::<Result<Vec<u32>>>()?;
        let all = [&prompt[..], &new].concat();
        let mut object = json!({
            "text": decoded(tokenizer.as_ref(), &all),
            "tokens": all,
            "prompt_tokens": prompt,
            "new_tokens": new,
        });
        if self.logits {
            writer.clear();
            let read = all.iter().map(|&token| writer.read(token).map(<[f64]>::to_vec));
            object["logits"] = json!(read.collect::<std::result::Result<Vec<_>, _>>()?);
        }
        terminal::print_json(object)
    }

    /// Returns the model's own sampler if it has one, changed by flags.
    fn sampler(&self, config: &GenerationConfig) -> Sampler {
        let own = if config.do_sample { config.sampler() } else { Sampler::default() };
        Sampler {
            temperature: self.temperature.unwrap_or(own.temperature),
            top_k: self.top_k.or(own.top_k),
            top_p: self.top_p.or(own.top_p),
            min_p: self.min_p.or(own.min_p),
            typical: self.typical.or(own.typical),
            repetition_penalty: self.repetition_penalty.unwrap_or(own.repetition_penalty),
        }
    }

    /// Prints the text while it is generated.
    fn stream(
        &self,
        writer: &mut Writer<f32>,
        prompt: &[u32],
        stop: &Stop,
        tokenizer: Option<&Tokenizer>,
    ) -> Result<()> {
        let given = self.prompt.is_some() || self.prompt_tokens.is_some();
        let first_part =
            prompt.iter().filter(|_| given).map(|&token| Ok(token)).collect::<Vec<_>>();
        let written = stop.write(writer, prompt, self.seed)?.take(self.tokens);
        let mut out = std::io::stdout().lock();
        let terminal = out.is_terminal();
        let mut text = tokenizer.map(Tokenizer::stream);
        for (i, token) in first_part.into_iter().chain(written).enumerate() {
            let new = match &mut text {
                Some(text) => text.push(token?),
                None if i == 0 => token?.to_string(),
                None => format!(",{}", token?),
            };
            out.write_all(shown(&new, terminal).as_bytes())?;
            out.flush()?;
        }
        let rest = text.map_or(String::new(), |text| text.finish());
        writeln!(out, "{}", shown(&rest, terminal))?;
        Ok(out.flush()?)
    }

    fn prompt(&self, tokenizer: Option<&Tokenizer>) -> Result<Vec<u32>> {
        if let Some(tokens) = &self.prompt_tokens {
            return Ok(tokens.clone());
        }
        let tokenizer = tokenizer.expect("read where there are no ids");
        match self.prompt.as_deref() {
            Some("") => Err("the prompt is empty; give at least one character".into()),
            Some(prompt) => Ok(tokenizer.encode_prompt(prompt)?),
            None => Ok(tokenizer.encode("\n").unwrap_or_else(|_| {
                remark("the vocabulary has no line's end; the text begins with token 0");
                vec![0]
            })),
        }
    }
}

/// Returns tokens as text, or as a list without a tokenizer.
fn decoded(tokenizer: Option<&Tokenizer>, tokens: &[u32]) -> String {
    match tokenizer {
        Some(tokenizer) => tokenizer.decode(tokens),
        None => tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
    }
}
