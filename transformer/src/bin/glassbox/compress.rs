//! `glassbox compress` and `glassbox decompress`.

use crate::generate::Model;
use crate::plot::thousands;
use crate::{Result, on_threads};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use transformer::compression::Compressor;
use transformer::files;
use transformer::tokenizer::Tokenizer;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 30;

/// Compress a text losslessly to the size that a model's cross-entropy says.
///
/// Every token is written with the probability that the model gives it, so the file has the size of the
/// model's cross-entropy on the text. It can be read with the same model only, on any machine.
#[derive(Args)]
pub(crate) struct Compress {
    /// A run, or a model directory in Hugging Face's GPT-2 layout
    run: PathBuf,
    /// Text to compress; `-` reads standard input
    file: PathBuf,
    /// Where the compressed text goes
    #[arg(long, value_name = "C")]
    out: PathBuf,
    /// Threads; the result does not depend on them [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// Restore a text that was compressed with the same model.
#[derive(Args)]
pub(crate) struct Decompress {
    /// The run, or the model directory, that compressed it
    run: PathBuf,
    /// Compressed text; `-` reads standard input
    file: PathBuf,
    /// Where the text goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Threads; the result does not depend on them [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// A model with what compression needs of it.
struct Coder {
    model: Model,
    tokenizer: Tokenizer,
    /// Bytes of the files that whoever decompresses must have.
    bytes: u64,
}

impl Coder {
    fn read(run: &Path) -> Result<Self> {
        let model = Model::read(run)?;
        let tokenizer = model.tokenizer()?;
        let size = |name| std::fs::metadata(model.directory.join(name)).map_or(0, |m| m.len());
        let bytes = ["config.json", "model.safetensors", "tokenizer.json"].map(size).iter().sum();
        Ok(Coder { model, tokenizer, bytes })
    }

    fn compressor(&self) -> Result<Compressor<'_>> {
        let Model { directory, config, parameters } = &self.model;
        let compressor = Compressor::new(config, parameters, &self.tokenizer);
        Ok(compressor.map_err(|e| format!("{}: {e}", directory.display()))?)
    }
}

impl Compress {
    pub(crate) fn run(self) -> Result<()> {
        on_threads(self.threads, || self.compress())
    }

    fn compress(&self) -> Result<()> {
        let coder = Coder::read(&self.run)?;
        let compressor = coder.compressor()?;
        let text = read(&self.file)?;
        different(&self.file, &self.out)?;
        let began = Instant::now();
        let bar = Bar::new(text.len() as u64);
        let compressed = compressor
            .compress(&text, |done| bar.set(done))
            .map_err(|e| format!("{}: {e}", shown(&self.file)))?;
        bar.finish();
        files::write_atomically(&self.out, &compressed.bytes)?;

        let seconds = began.elapsed().as_secs_f64();
        let (bytes, ideal) = (compressed.bytes.len(), compressed.cross_entropy.0 / 8.0);
        let (tokens, characters) = (compressed.tokens.max(1) as f64, text.len().max(1) as f64);
        let nats = compressed.cross_entropy.to_nats().0 / tokens;
        let more = if ideal > 0.0 { bytes as f64 / ideal - 1.0 } else { 0.0 };
        let mut out = std::io::stdout().lock();
        if self.json {
            let object = json!({
                "text_bytes": text.len(),
                "tokens": compressed.tokens,
                "file_bytes": bytes,
                "header_bytes": compressed.header,
                "bits_per_byte": 8.0 * bytes as f64 / characters,
                "cross_entropy_bits": compressed.cross_entropy.0,
                "cross_entropy_nats_per_token": nats,
                "above_cross_entropy": more,
                "model": compressor.model(),
                "model_bytes": coder.bytes,
                "seconds": seconds,
            });
            return Ok(writeln!(out, "{object}")?);
        }
        writeln!(
            out,
            "text           {}, {}",
            many(text.len() as f64, "byte"),
            many(compressed.tokens as f64, "token")
        )?;
        writeln!(
            out,
            "file           {} bytes: {:.3} bits for each byte of the text",
            thousands(bytes as f64),
            8.0 * bytes as f64 / characters
        )?;
        writeln!(
            out,
            "cross-entropy  {} bytes: {nats:.4} nats per token; the file is {:.3} % larger, {} bytes of \
             it header",
            thousands(ideal.ceil()),
            100.0 * more,
            compressed.header
        )?;
        writeln!(
            out,
            "model          {} bytes more, {} ({}), must be there to read it",
            thousands(coder.bytes as f64),
            coder.model.directory.display(),
            compressor.model()
        )?;
        writeln!(out, "time           {seconds:.1} s")?;
        Ok(())
    }
}

impl Decompress {
    pub(crate) fn run(self) -> Result<()> {
        on_threads(self.threads, || self.decompress())
    }

    fn decompress(&self) -> Result<()> {
        let coder = Coder::read(&self.run)?;
        let compressor = coder.compressor()?;
        let file = read(&self.file)?;
        different(&self.file, &self.out)?;
        let began = Instant::now();
        let bar = Bar::new(0);
        let text = compressor
            .decompress(&file, |done| bar.set(done))
            .map_err(|e| format!("{}: {e}", shown(&self.file)))?;
        bar.finish();
        files::write_atomically(&self.out, &text)?;
        let seconds = began.elapsed().as_secs_f64();
        let mut out = std::io::stdout().lock();
        if self.json {
            let object = json!({
                "file_bytes": file.len(), "text_bytes": text.len(), "model": compressor.model(),
                "seconds": seconds,
            });
            return Ok(writeln!(out, "{object}")?);
        }
        let bytes = thousands(text.len() as f64);
        Ok(writeln!(out, "{}: {bytes} bytes in {seconds:.1} s", self.out.display())?)
    }
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let fail = |e: std::io::Error| format!("cannot read {}: {e}", shown(file));
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes).map_err(fail)?;
    } else {
        if file.is_dir() {
            return Err(format!("{} is a directory; give a file", file.display()).into());
        }
        File::open(file).map_err(fail)?.take(LONGEST + 1).read_to_end(&mut bytes).map_err(fail)?;
    }
    if bytes.len() as u64 > LONGEST {
        let most = LONGEST >> 20;
        return Err(format!("{} has more than {most} MiB; give a part of it", shown(file)).into());
    }
    Ok(bytes)
}

/// Refuses to write over what is read, and into a directory: before the work, not after it.
fn different(file: &Path, out: &Path) -> Result<()> {
    if out == Path::new("-") {
        return Err("--out - would write a file of that name; give --out a file".into());
    }
    if out.is_dir() {
        return Err(format!("{} is a directory; give --out a file", out.display()).into());
    }
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        return Err(format!("cannot write {}: there is no such directory", out.display()).into());
    }
    match (file.canonicalize(), out.canonicalize()) {
        (Ok(file), Ok(out)) if file == out => {
            Err(format!("--out {} is the file that is read; give another", out.display()).into())
        }
        _ => Ok(()),
    }
}

/// So many things, thousands apart.
fn many(n: f64, what: &str) -> String {
    format!("{} {what}{}", thousands(n), if n == 1.0 { "" } else { "s" })
}

/// Tokens done, on a terminal.
struct Bar(Option<ProgressBar>);

impl Bar {
    /// Of so many tokens; 0 where that is not known yet.
    fn new(tokens: u64) -> Self {
        Bar(std::io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let (length, style) = match tokens {
                0 => (None, "{spinner} {human_pos} tokens  {per_sec}  {elapsed}"),
                n => (
                    Some(n),
                    "{bar:28.cyan/238} {human_pos}/{human_len} tokens  {per_sec}  {eta} left",
                ),
            };
            let style = ProgressStyle::with_template(style).expect("a template");
            ProgressBar::with_draw_target(length, target).with_style(style.progress_chars("━━╌"))
        }))
    }

    fn set(&self, done: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(done);
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
