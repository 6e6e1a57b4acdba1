//! The program `glassbox`: trains a transformer, continues a text with it, measures it.

mod ablate;
mod bench;
mod check;
mod compare;
mod compress;
mod convert;
mod describe;
mod diagnose;
mod diagnosis;
mod evaluate;
mod examined;
mod explain;
mod generate;
mod plan;
mod plot;
mod progress;
mod report;
mod reproduce;
mod resident;
mod run;
mod settings;
mod signal;
mod source;
mod teacher;
mod terminal;
mod train;

#[cfg(test)]
mod laws;

use clap::{Parser, Subcommand};
use linalg::Vectors;
use std::fmt::Display;
use std::process::ExitCode;
use terminal::{program, quoted, remark, shown};
use transformer::disk::reason;
use transformer::memory;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// A transformer's training step, from the mathematics up.
///
/// Without a command: trains a small model on the embedded stories, whose entropy is known exactly,
/// in about fifteen seconds.
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
    /// Certify gradients, causality, start and data; exit status 1 if a certificate fails, 2 if nothing can be
    /// certified
    Check(Box<check::Check>),
    /// Find why a loss is NaN, or about to be, or does not fall: the first cause, and a fix that was tried
    Diagnose(Box<diagnose::Diagnose>),
    /// Compress a text losslessly to the size of a model's cross-entropy
    Compress(compress::Compress),
    /// Restore a text that was compressed with the same model
    Decompress(compress::Decompress),
    /// Write a model in another number format, f16, bf16, f32 or f64
    Convert(convert::Convert),
    /// Merge adapters into the weights of the model that they belong to
    Merge(convert::Merge),
    /// Explain one training step, every number: as a page, or in the terminal; exit status 1 if its loss is NaN
    Explain(Box<explain::Explain>),
    /// Describe an architecture by its parts: parameters, operations, memory; or its differences from another
    Describe(describe::Describe),
    /// Compare runs or models: settings, curves, which predicts better, and whether that is chance; exit status 2 if they
    /// cannot be compared
    Compare(compare::Compare),
    /// Plan a run for a given time: the best size, batch and rates, and the loss that they will reach
    Plan(Box<plan::PlanRun>),
    /// Find out which settings matter: effects and interactions, from runs of equal time
    Ablate(Box<ablate::Ablate>),
    /// Measure time and memory of a step against the machine's limits
    Bench(Box<bench::Bench>),
    /// Reproduce the results of papers from the mathematics; exit status 1 if a number is not the published one
    Reproduce(reproduce::Reproduce),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refused) => return answer(&refused),
    };
    if let Err(found) = Vectors::asked() {
        let known = "portable, avx2 or avx512";
        let variable = Vectors::VARIABLE;
        return failed(format!("{variable} is \"{found}\": use {known}, or unset it"));
    }
    with_one_arena();
    let done = match arguments.verb {
        None => train::Train::default().run(),
        Some(Verb::Train(train)) => train.run(),
        Some(Verb::Generate(generate)) => generate.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Evaluate(evaluate)) => evaluate.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Check(check)) => check.run(),
        Some(Verb::Diagnose(diagnose)) => diagnose.run(),
        Some(Verb::Compress(compress)) => compress.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Decompress(decompress)) => decompress.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Convert(convert)) => convert.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Merge(merge)) => merge.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Explain(explain)) => explain.run(),
        Some(Verb::Describe(describe)) => describe.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Compare(compare)) => compare.run(),
        Some(Verb::Plan(plan)) => plan.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Ablate(ablate)) => ablate.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Bench(bench)) => bench.run().map(|()| ExitCode::SUCCESS),
        Some(Verb::Reproduce(reproduce)) => reproduce.run(),
    };
    ended(done)
}

/// If the address space is limited, restarts this program with one allocator arena: glibc reserves 64 MiB of addresses
/// for each thread's own, until nothing is left for data. If the restart fails, the program continues.
fn with_one_arena() {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt;
        const VARIABLE: &str = "MALLOC_ARENA_MAX";
        if std::env::var_os(VARIABLE).is_none()
            && memory::address_space_is_limited()
            && let Ok(program) = std::env::current_exe()
        {
            let mut arguments = std::env::args_os();
            let _failed = std::process::Command::new(program)
                .arg0(arguments.next().unwrap_or_default())
                .args(arguments)
                .env(VARIABLE, "1")
                .exec();
        }
    }
}

/// Reports the argument parser's answer: help and version are results, anything else is an error.
fn answer(refused: &clap::Error) -> ExitCode {
    if refused.use_stderr() {
        let said = refused.to_string();
        terminal::error(said.strip_prefix("error: ").unwrap_or(&said));
        return ExitCode::from(2);
    }
    let help = refused.render();
    let painted = terminal::colours(&std::io::stdout());
    let help = if painted { help.ansi().to_string() } else { help.to_string() };
    ended(terminal::print_painted(&help).map(|()| ExitCode::SUCCESS))
}

fn ended(done: Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        // A closed pipe (`| head`) is not an error.
        if is_broken_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        match error.downcast_ref::<std::io::Error>() {
            Some(io) => failed(reason(io)),
            None => failed(error),
        }
    })
}

/// Gives exit code 2 to errors of commands whose 1 means that they found something wrong.
fn or_unread(done: Result<ExitCode>) -> Result<ExitCode> {
    const UNREAD: u8 = 2;
    match done {
        Err(error) if !is_broken_pipe(&error) => {
            ended(Err(error));
            Ok(ExitCode::from(UNREAD))
        }
        done => done,
    }
}

/// Prints an error on standard error.
fn failed(error: impl Display) -> ExitCode {
    terminal::error(error);
    ExitCode::FAILURE
}

fn is_broken_pipe(error: &Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Formats a count with its noun: "1 layer", "4 layers".
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Runs `work` on this many threads, or on all.
///
/// # Errors
/// If the threads cannot be started.
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
    let started = count(threads, "thread");
    memory::afford_threads(threads)
        .map_err(|e| format!("cannot start {started}: {e}; give fewer --threads"))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    // The system's message is "temporarily unavailable" for limits on memory and on processes alike.
    let pool = pool.map_err(|e| {
        format!("cannot start {started}: {e}; give fewer --threads, or raise the limits on memory and processes \
                 (ulimit -v, ulimit -u)")
    })?;
    pool.install(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one() {
        assert_eq!([count(1, "layer"), count(2, "layer")], ["1 layer", "2 layers"]);
    }
}
