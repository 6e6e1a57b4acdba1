//! The program as its users run it, in a directory of its own and with an end.
//!
//! A child may use so many seconds of processor time and no more, even where the test that started it is gone:
//! the system holds it to that (`ulimit -t`). One that sleeps for ever is killed when its time is over.

use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Seconds of processor time that a child may use, all threads together.
const PROCESSOR: u32 = 300;
/// Seconds that it may take in all: the machine may be busy, or stopped for a while.
const ALTOGETHER: u64 = 900;

/// The program, to be run with these limits.
pub(crate) fn glassbox() -> Command {
    scripted("exec \"$0\" \"$@\"")
}

/// The program as `$0` of a shell's script, its arguments as `$@`.
#[cfg(unix)]
pub(crate) fn scripted(script: &str) -> Command {
    let mut command = Command::new("sh");
    let limited = format!("ulimit -t {PROCESSOR}; {script}");
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_glassbox")]).stdin(Stdio::null());
    command
}

/// The program; other systems have no such limits.
#[cfg(not(unix))]
pub(crate) fn scripted(_: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    command.stdin(Stdio::null());
    command
}

/// A child that ends with the test, however that ends.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it; what it prints is kept.
    pub(crate) fn start(command: &mut Command) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(piped.spawn().expect("the program starts"))
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Writes to its standard input, which must be piped, and closes it.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let mut input = self.0.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut input, bytes).expect("the program reads");
    }

    /// The next line of its standard error that tells of a stop.
    pub(crate) fn line(&mut self) -> String {
        let from = self.0.stderr.as_mut().expect("piped");
        loop {
            let (mut line, mut byte) = (vec![], [0]);
            while from.read(&mut byte).is_ok_and(|n| n == 1) && byte[0] != b'\n' {
                line.push(byte[0]);
            }
            let line = String::from_utf8(line).expect("text");
            if line.is_empty() || line.contains("stop") {
                return line;
            }
        }
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Output {
        fn all(mut from: impl Read) -> Vec<u8> {
            let mut bytes = vec![];
            from.read_to_end(&mut bytes).expect("a pipe that can be read");
            bytes
        }
        let (out, err) =
            (self.0.stdout.take().expect("piped"), self.0.stderr.take().expect("piped"));
        let (out, err) = (std::thread::spawn(|| all(out)), std::thread::spawn(|| all(err)));
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().expect("a child") {
                break status;
            }
            assert!(
                began.elapsed() < Duration::from_secs(ALTOGETHER),
                "the program did not end in {ALTOGETHER} seconds"
            );
            std::thread::sleep(Duration::from_millis(2));
        };
        Output { status, stdout: out.join().expect("read"), stderr: err.join().expect("read") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is left to be killed where it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command to its end.
pub(crate) fn output(command: &mut Command) -> Output {
    Running::start(command).finish()
}

/// A model that is trained in no time.
pub(crate) const SMALL: [&str; 14] = [
    "--layers",
    "1",
    "--heads",
    "2",
    "--width",
    "16",
    "--context",
    "16",
    "--batch",
    "4",
    "--steps",
    "4",
    "--threads",
    "1",
];

/// A line of text.
pub(crate) const TEXT: &str =
    "the quick brown fox jumps over the lazy dog, and the dog does not mind.\n";

/// A directory with a text, in which the program runs.
pub(crate) struct Place(pub(crate) TempDir);

impl Place {
    /// A directory with `text.txt`.
    pub(crate) fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        fs::write(place.path("text.txt"), TEXT.repeat(9)).unwrap();
        place
    }

    /// A file of the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program, to be run there.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = glassbox();
        command.current_dir(self.0.path()).args(arguments);
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        output(&mut self.command(arguments))
    }

    /// Runs what must succeed.
    pub(crate) fn fine(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what must print one object on one line.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.fine(&[arguments, &["--json"]].concat());
        assert_eq!(printed.lines().count(), 1, "one object on one line: {printed}");
        serde_json::from_str(&printed).unwrap()
    }

    /// Runs what must fail: the message, which is one error and no panic.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        refusal(arguments, &self.run(arguments))
    }

    /// Trains a small model on the text, or with other settings, which win; writes to `run`.
    pub(crate) fn train(&self, more: &[&str]) -> Value {
        self.json(&self.training(more))
    }

    /// The arguments of [`Place::train`].
    pub(crate) fn training<'a>(&self, more: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = vec!["train"];
        let given = |flag: &str| more.contains(&flag);
        for (flag, value) in
            [("--data", "text.txt"), ("--out", "run")].into_iter().filter(|f| !given(f.0))
        {
            arguments.extend([flag, value]);
        }
        for pair in SMALL.chunks(2).filter(|pair| !given(pair[0])) {
            arguments.extend(pair);
        }
        arguments.extend(more);
        arguments
    }

    /// Everything in the directory, by path, with its contents.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(directory: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => walk(&path, found),
                    false => found.push((path.clone(), fs::read(&path).unwrap())),
                }
            }
        }
        let mut found = Vec::new();
        walk(self.0.path(), &mut found);
        found.sort();
        found
    }
}

/// What it said on standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The message of what must have failed.
pub(crate) fn refusal(arguments: &[&str], output: &Output) -> String {
    let said = stderr(output);
    let code = output.status.code();
    // 1: refused by the program; 2: by the parser of its arguments; never 101, a panic, or a signal.
    assert!(matches!(code, Some(1 | 2)), "{arguments:?}: {:?}\n{said}", output.status);
    assert!(output.stdout.is_empty(), "{arguments:?} printed results");
    assert_eq!(said.matches("error:").count(), 1, "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// Asserts that a message holds each of these.
pub(crate) fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}
