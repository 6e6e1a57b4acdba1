//! `glassbox`: trains a transformer, continues a text with it, measures it.

mod bench;
mod check;
mod compress;
mod diagnose;
mod diagnosis;
mod evaluate;
mod examined;
mod explain;
mod generate;
mod memory;
mod plot;
mod progress;
mod report;
mod run;
mod settings;
mod source;
mod train;

use clap::{Parser, Subcommand};
use linalg::Vectors;
use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// A transformer's training step from the maths up.
///
/// Without a command: trains a small model on the embedded stories, whose entropy is known exactly,
/// in two to three minutes.
#[derive(Parser)]
#[command(name = "glassbox", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Train a model on text; writes a run directory
    Train(Box<train::Train>),
    /// Continue a prompt
    Generate(generate::Generate),
    /// Measure a model's cross-entropy on a text
    Evaluate(evaluate::Evaluate),
    /// Certify gradients, causality, start and data; exit status 1 where something fails
    Check(Box<check::Check>),
    /// Find why a loss is NaN, or about to be, or does not fall: the first cause, and a cure that was tried
    Diagnose(Box<diagnose::Diagnose>),
    /// Compress a text losslessly to the size that a model's cross-entropy says
    Compress(compress::Compress),
    /// Restore a text that was compressed with the same model
    Decompress(compress::Decompress),
    /// Explain one training step, every number: a page, or in the terminal
    Explain(Box<explain::Explain>),
    /// Time and memory of a step against the machine's limits
    Bench(Box<bench::Bench>),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(found) = Vectors::asked() {
        let known = "portable, avx2 or avx512";
        let variable = Vectors::VARIABLE;
        return failed(format!("{variable} is \"{found}\": use {known}, or unset it"));
    }
    let done = match arguments.verb {
        None => train::Train::default().run(),
        Some(Verb::Train(train)) => train.run(),
        Some(Verb::Generate(generate)) => generate.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Evaluate(evaluate)) => evaluate.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Check(check)) => check.run(),
        Some(Verb::Diagnose(diagnose)) => diagnose.run(),
        Some(Verb::Compress(compress)) => compress.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Decompress(decompress)) => decompress.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Explain(explain)) => explain.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Bench(bench)) => bench.run().map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        // A reader that has had enough (`| head`) is no failure worth a message.
        if is_broken_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        failed(error)
    })
}

/// Says on standard error what went wrong.
fn failed(error: impl Display) -> ExitCode {
    let red = std::io::stderr().is_terminal();
    let (on, off) = if red { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    let _ = writeln!(std::io::stderr(), "{on}error:{off} {error}");
    ExitCode::FAILURE
}

fn is_broken_pipe(error: &Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A line on standard error, where progress and remarks go; standard output is for results.
fn remark(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
}

/// So many things, as people say it: "1 layer", "4 layers".
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Text that a model wrote, for a terminal: control characters, which could move its cursor or set its
/// title, are written out. What is no terminal gets the text as it is.
fn shown(text: &str, terminal: bool) -> Cow<'_, str> {
    let hidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !terminal || !text.contains(hidden) {
        return text.into();
    }
    text.chars()
        .fold(String::new(), |mut out, c| {
            if hidden(c) {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
            out
        })
        .into()
}

/// How this program was called: what people can type to call it again.
fn program() -> String {
    std::env::args_os().next().map_or("glassbox".into(), |name| name.to_string_lossy().into_owned())
}

/// Runs `work` on this many threads, or on all.
///
/// # Errors
/// If there cannot be so many.
fn on_threads<R: Send>(
    threads: Option<usize>,
    work: impl FnOnce() -> Result<R> + Send,
) -> Result<R> {
    const MOST: usize = 1024;
    let threads = match threads {
        Some(n) if (1..=MOST).contains(&n) => n,
        Some(n) => return Err(format!("threads is {n}; it must be 1 to {MOST}").into()),
        None => std::thread::available_parallelism().map_or(1, |n| n.get()),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    pool.install(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let text = "a\u{1b}]0;title\u{7}\r\n\tß";
        assert_eq!(shown(text, true), "a\\u{1b}]0;title\\u{7}\\r\n\tß");
        assert_eq!(shown(text, false), text);
        assert_eq!([count(1, "layer"), count(2, "layer")], ["1 layer", "2 layers"]);
    }
}
