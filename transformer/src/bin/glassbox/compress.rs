//! `glassbox compress` and `glassbox decompress`.

use crate::generate::Model;
use crate::plot::thousands;
use crate::progress::Bar;
use crate::{Result, on_threads, terminal};
use clap::Args;
use serde_json::json;
use std::fmt::Write;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;
use transformer::disk::files;
use transformer::disk::{read_stream, reason};
use transformer::generation::compression::Compressor;
use transformer::text::tokenizer::Tokenizer;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 30;

/// Compress a text losslessly to the size of a model's cross-entropy.
///
/// Every token is coded with the probability that the model gives it, so the file has the size of the model's
/// cross-entropy on the text. It can only be read with the same model, on any machine.
#[derive(Args)]
pub(crate) struct Compress {
    /// A run, or a model directory in Hugging Face's layout
    run: PathBuf,
    /// Text to compress; `-` reads standard input
    file: PathBuf,
    /// File for the compressed text
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
    /// File for the text
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Most tokens to restore [default: a thousand per byte of the file, at least a million]
    #[arg(long, value_name = "N")]
    most: Option<u64>,
    /// Threads; the result does not depend on them [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// A model prepared for compression.
struct Coder {
    model: Model,
    tokenizer: Tokenizer,
    /// Bytes of the files needed for decompression.
    bytes: u64,
}

impl Coder {
    fn read(run: &Path) -> Result<Self> {
        let model = Model::read(run)?;
        let tokenizer = model.tokenizer()?;
        let mut needed = files::weight_files(&model.directory)?;
        needed.push(model.directory.join("config.json"));
        needed.extend(files::tokenizer_files(&model.directory));
        let size = |path: &PathBuf| path.metadata().map_or(0, |m| m.len());
        let bytes = needed.iter().map(size).sum();
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
        let mut bar = Bar::new(text.len() as u64, "tokens");
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
            return terminal::print_json(object);
        }
        let mut out = String::new();
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
            "model          {} bytes more, {} ({}), is needed to read it",
            thousands(coder.bytes as f64),
            coder.model.directory.display(),
            compressor.model()
        )?;
        writeln!(out, "time           {seconds:.1} s")?;
        terminal::print(&out)
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
        let failed = |e| format!("{}: {e}", shown(&self.file));
        let tokens = Compressor::tokens(&file).map_err(failed)?;
        let usual = (file.len() as u64).saturating_mul(1000).max(1_000_000);
        let most = self.most.unwrap_or(usual);
        if tokens as u64 > most {
            return Err(format!(
                "{}: its header claims {tokens} tokens; at most {most} are restored \
                 (a thousand per byte of the file): --most {tokens} restores them all",
                shown(&self.file)
            )
            .into());
        }
        let began = Instant::now();
        let mut bar = Bar::new(tokens as u64, "tokens");
        let text = compressor.decompress(&file, |done| bar.set(done)).map_err(failed)?;
        bar.finish();
        files::write_atomically(&self.out, &text)?;
        let seconds = began.elapsed().as_secs_f64();
        if self.json {
            let object = json!({
                "file_bytes": file.len(), "text_bytes": text.len(), "model": compressor.model(),
                "seconds": seconds,
            });
            return terminal::print_json(object);
        }
        let bytes = thousands(text.len() as f64);
        terminal::print(&format!("{}: {bytes} bytes in {seconds:.1} s\n", self.out.display()))
    }
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let fail = |e: std::io::Error| format!("cannot read {}: {}", shown(file), reason(&e));
    let bytes = if file == Path::new("-") {
        read_stream(std::io::stdin().lock(), LONGEST).map_err(fail)?
    } else {
        if file.is_dir() {
            return Err(format!("{} is a directory; give a file", file.display()).into());
        }
        read_stream(File::open(file).map_err(fail)?, LONGEST).map_err(fail)?
    };
    if bytes.len() as u64 > LONGEST {
        let most = LONGEST >> 20;
        return Err(format!("{} has more than {most} MiB; give a part of it", shown(file)).into());
    }
    Ok(bytes)
}

/// Refuses an output that is the input or a directory, before the work begins.
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

/// Formats a count with its noun and thousands separators.
fn many(n: f64, what: &str) -> String {
    format!("{} {what}{}", thousands(n), if n == 1.0 { "" } else { "s" })
}
