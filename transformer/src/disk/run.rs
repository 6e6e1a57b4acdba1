//! A run's directory, its lock, its metrics and its checkpoints.

use super::file::{is_temporary, ordinary, read_bounded, reason, write_atomically};
use super::lock::{self, Lock};
use super::metrics::{Metric, Restored};
use crate::disk::checkpoint::{self, CheckpointError};
use crate::disk::files::{self, FileError};
use crate::text::tokenizer::Tokenizer;
use crate::training::config::TrainingConfig;
use crate::training::tokenizer_choice::TokenizerChoice;
use crate::training::trainer::Trainer;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A failure to write a run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A path that is not a directory.
    #[error("{} is a file; give a directory", .0.display())]
    NotADirectory(PathBuf),
    /// The directory holds other files.
    #[error("{} holds something that is not a run; give an empty directory", .0.display())]
    Foreign(PathBuf),
    /// The directory already holds a run.
    #[error("{} holds a run already", .0.display())]
    Occupied(PathBuf),
    /// Another process writes into the directory.
    #[error(
        "{} trains in {} now: wait for its end, stop it, or give another directory",
        process.map_or("another process".to_owned(), |process| format!("process {process}")),
        directory.display()
    )]
    Locked {
        /// The run.
        directory: PathBuf,
        /// The process that holds the lock, if it has already written its id.
        process: Option<u32>,
    },
    /// The directory cannot be created or emptied.
    #[error("cannot write the run to {}: {}", directory.display(), reason(source))]
    Directory {
        /// The run.
        directory: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The settings cannot be written to a file.
    #[error("run.toml cannot hold these settings: {0}")]
    Settings(toml::ser::Error),
    /// A file of the run cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The run's state cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Returns the directory of a run's model.
pub fn model_directory(run: &Path) -> PathBuf {
    run.join("model")
}

/// Returns the path of a run's settings.
pub fn settings_file(run: &Path) -> PathBuf {
    run.join("run.toml")
}

/// Returns the path of a run's metrics.
pub fn metrics_file(run: &Path) -> PathBuf {
    run.join("metrics.jsonl")
}

/// Returns the recorded losses on held-out text, nats per token, with their steps; unreadable lines are skipped.
pub fn validation_losses(run: &Path) -> Vec<(u64, f64)> {
    let file = read_bounded(&metrics_file(run), LONGEST_METRICS).unwrap_or_default();
    let lines = file.split(|b| *b == b'\n');
    let metrics = lines.filter_map(|line| serde_json::from_slice::<Metric>(line).ok());
    metrics.filter_map(|m| Some((m.step, m.validation_loss?))).collect()
}

/// Reads the metrics of a run; also returns the numbers, from 1, of lines that cannot be read.
///
/// # Errors
/// A file that cannot be read, or is too long.
pub fn read_metrics(run: &Path) -> Result<(Vec<Metric>, Vec<usize>), FileError> {
    let file = read_bounded(&metrics_file(run), LONGEST_METRICS)?;
    let Restored { metrics, damaged, .. } = Restored::of(&file, u64::MAX);
    Ok((metrics, damaged))
}

/// Returns the path of a run's training state.
pub fn state_file(run: &Path) -> PathBuf {
    run.join("state.safetensors")
}

/// Returns the path of the growth picture that `diagnose` draws.
pub fn growth_file(run: &Path) -> PathBuf {
    run.join("growth.svg")
}

/// Returns the path of a teacher's logits.
pub fn teacher_file(run: &Path) -> PathBuf {
    run.join("teacher.bin")
}

/// Returns the path of the loss picture.
pub fn plot_file(run: &Path) -> PathBuf {
    run.join("loss.svg")
}

/// Returns whether a directory holds a run.
pub fn is_run(directory: &Path) -> bool {
    settings_file(directory).is_file()
}

/// A run that this process writes.
#[derive(Debug)]
pub struct Run {
    directory: PathBuf,
    lock: Lock,
    metrics: File,
    /// The settings that the directory holds.
    config: TrainingConfig,
    /// The number of bytes of whole lines in `metrics`.
    length: u64,
}

/// The files of a run's model, besides those that go with its tokenizer ([`files::BESIDE`]).
const MODEL_FILES: [&str; 5] = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "adapter_config.json",
    "adapter_model.safetensors",
];

/// The longest metrics: 2²⁴ steps of 256 bytes, or fewer with `--watch`.
const LONGEST_METRICS: u64 = 1 << 32;

impl Run {
    /// Checks that a run may be created in a directory, before long work: [`Run::create`] checks it once more.
    ///
    /// # Errors
    /// A directory that is none, is not a run's, or holds a run that is not to be replaced.
    pub fn vacant(directory: &Path, overwrite: bool) -> Result<(), RunError> {
        if directory.exists() && !directory.is_dir() {
            return Err(RunError::NotADirectory(directory.to_owned()));
        }
        // These files alone come from a process that was killed, or is about to begin.
        let counts = |entry: io::Result<fs::DirEntry>| {
            let name = entry.map(|e| e.file_name()).unwrap_or_default();
            name != lock::NAME && !is_temporary(&name)
        };
        let occupied = || directory.read_dir().is_ok_and(|mut entries| entries.any(counts));
        if occupied() && !is_run(directory) {
            return Err(RunError::Foreign(directory.to_owned()));
        }
        if !overwrite && is_run(directory) && !directory.join(lock::NAME).exists() {
            return Err(RunError::Occupied(directory.to_owned()));
        }
        Ok(())
    }

    /// Creates a run in `directory`, which must be empty or absent, unless `overwrite`.
    ///
    /// # Errors
    /// A directory that holds something else, a run that may not be overwritten, or one that another process trains; a
    /// file that cannot be written.
    pub fn create(
        directory: &Path,
        config: &TrainingConfig,
        overwrite: bool,
    ) -> Result<Self, RunError> {
        Self::vacant(directory, overwrite)?;
        fs::create_dir_all(directory).map_err(at(directory))?;
        let lock = Lock::claim(directory)?;
        if is_run(directory) && !overwrite {
            return Err(RunError::Occupied(directory.to_owned()));
        }
        Self::begin(directory, lock, config)
    }

    /// Creates a run in `parent/name`, or in the first of `parent/name-2`, `parent/name-3`, … that does not exist. Two
    /// processes never get the same directory.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create_in(parent: &Path, name: &str, config: &TrainingConfig) -> Result<Self, RunError> {
        fs::create_dir_all(parent).map_err(at(parent))?;
        let numbered = (2u64..).map(|i| parent.join(format!("{name}-{i}")));
        for directory in std::iter::once(parent.join(name)).chain(numbered) {
            match fs::create_dir(&directory) {
                Ok(()) => {
                    let lock = Lock::claim(&directory)?;
                    return Self::begin(&directory, lock, config);
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(RunError::Directory { directory, source }),
            }
        }
        unreachable!("numbers do not end")
    }

    /// Empties a claimed directory and writes the settings.
    fn begin(directory: &Path, lock: Lock, config: &TrainingConfig) -> Result<Self, RunError> {
        let model = model_directory(directory);
        all_ordinary(directory)?;
        // Nothing of the earlier run may be mistaken for the new one's. The state goes first: without it nothing
        // resumes.
        let pictures = [plot_file(directory), growth_file(directory)];
        let files = MODEL_FILES.into_iter().chain(files::BESIDE).map(|f| model.join(f));
        for old in [state_file(directory), teacher_file(directory)]
            .into_iter()
            .chain(files)
            .chain(pictures)
        {
            match fs::remove_file(old) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at(directory)(e)),
                _ => {}
            }
        }
        // Settings make it a run: if killed from here on, it can be overwritten.
        write_atomically(&settings_file(directory), described(config)?.as_bytes())?;
        write_atomically(&metrics_file(directory), b"")?;
        fs::create_dir_all(&model).map_err(at(directory))?;
        Self::open(directory, lock, config, 0)
    }

    /// Resumes a run after `step`, under a lock that was claimed before the state was read. Lines of later steps are
    /// dropped; missing metrics are allowed.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn reopen(
        directory: &Path,
        lock: Lock,
        config: &TrainingConfig,
        step: u64,
    ) -> Result<(Self, Restored), RunError> {
        all_ordinary(directory)?;
        let path = metrics_file(directory);
        let file = match read_bounded(&path, LONGEST_METRICS) {
            Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                vec![]
            }
            file => file?,
        };
        let restored = Restored::of(&file, step);
        if restored.bytes != file || !path.exists() {
            write_atomically(&path, &restored.bytes)?;
        }
        // With fewer steps than were taken, the run is only measured and nothing changes.
        if config.steps > step {
            write_atomically(&settings_file(directory), described(config)?.as_bytes())?;
        }
        let run = Self::open(directory, lock, config, restored.bytes.len() as u64)?;
        Ok((run, restored))
    }

    fn open(
        directory: &Path,
        lock: Lock,
        config: &TrainingConfig,
        length: u64,
    ) -> Result<Self, RunError> {
        let path = metrics_file(directory);
        let open = OpenOptions::new().append(true).open(&path);
        let metrics = open.map_err(|source| FileError::Write { path, source })?;
        Ok(Run { directory: directory.to_owned(), lock, metrics, config: config.clone(), length })
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the number of temporary files of a killed process that were removed.
    pub fn leftovers(&self) -> usize {
        self.lock.leftovers()
    }

    /// Appends a line to the metrics, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn log(&mut self, metric: &Metric) -> Result<(), RunError> {
        let line = line(metric);
        self.metrics.write_all(line.as_bytes()).map_err(|source| {
            // A full disk may take half a line; remove it.
            let _ = self.metrics.set_len(self.length);
            FileError::Write { path: metrics_file(&self.directory), source }
        })?;
        self.length += line.len() as u64;
        Ok(())
    }

    /// Replaces the last line with a more complete one of the same step.
    ///
    /// # Errors
    /// If it cannot be written; the line is then unchanged.
    pub fn amend(&mut self, metric: &Metric) -> Result<(), RunError> {
        let path = metrics_file(&self.directory);
        let mut file = read_bounded(&path, LONGEST_METRICS)?;
        let before = file[..file.len().saturating_sub(1)].iter().rposition(|b| *b == b'\n');
        file.truncate(before.map_or(0, |end| end + 1));
        file.extend(line(metric).into_bytes());
        write_atomically(&path, &file)?;
        let open = OpenOptions::new().append(true).open(&path);
        self.metrics = open.map_err(|source| FileError::Write { path, source })?;
        self.length = file.len() as u64;
        Ok(())
    }

    /// Writes a checkpoint: the metrics up to it, synced to disk, then the model ([`Trainer::evaluated`]), the state and the picture, and the
    /// settings if time has changed the expected number of steps. `data` is the text's checksum.
    ///
    /// # Errors
    /// If a file cannot be written; it is then unchanged.
    pub fn save(
        &mut self,
        trainer: &mut Trainer<f32>,
        tokenizer: &Tokenizer,
        data: &str,
        plot: &str,
    ) -> Result<(), RunError> {
        let synced = self.metrics.sync_data();
        let path = metrics_file(&self.directory);
        synced.map_err(|source| FileError::Write { path, source })?;
        let model = model_directory(&self.directory);
        self.save_model(&model, trainer)?;
        files::write_tokenizer(&model, tokenizer)?;
        let TrainingConfig { from, tokenizer: choice, .. } = trainer.config();
        if let Some(base) =
            from.as_ref().filter(|base| *choice == TokenizerChoice::Files((*base).clone()))
        {
            files::copy_beside(Path::new(base), &model)?;
        }
        checkpoint::save(&state_file(&self.directory), trainer, data)?;
        let steps = trainer.config().steps;
        if self.config.time.is_some() && self.config.steps != steps {
            self.config.steps = steps;
            let settings = described(&self.config)?;
            write_atomically(&settings_file(&self.directory), settings.as_bytes())?;
        }
        Ok(write_atomically(&plot_file(&self.directory), plot.as_bytes())?)
    }
}

impl Run {
    /// Writes the model, or its adapters beside the model that they belong to.
    fn save_model(&self, directory: &Path, trainer: &Trainer<f32>) -> Result<(), FileError> {
        let (config, model) = (trainer.config(), trainer.model().config());
        let from = config.from.as_deref().map(Path::new);
        match (from, &model.adaptation.adapter) {
            (Some(base), Some(_)) => {
                let sha256 = config.from_sha256.as_deref().unwrap_or_default();
                files::write_adapter(directory, model, trainer.evaluated(), (base, sha256))?;
            }
            _ => files::write(directory, &model.base(), &trainer.merged())?,
        }
        Ok(())
    }
}

/// Refuses a run if a file that training writes or removes is not an ordinary file, or its model not in a directory: before
/// anything is removed and before the first step, not after the last.
fn all_ordinary(directory: &Path) -> Result<(), FileError> {
    let model = model_directory(directory);
    if model.exists() && !model.is_dir() {
        let source = io::ErrorKind::NotADirectory.into();
        return Err(FileError::Write { path: model, source });
    }
    let own = [settings_file, metrics_file, state_file, teacher_file, plot_file, growth_file];
    let own = own.map(|name| name(directory));
    own.into_iter()
        .chain(MODEL_FILES.into_iter().chain(files::BESIDE).map(|name| model.join(name)))
        .try_for_each(|path| ordinary(&path))
}

fn at(directory: &Path) -> impl Fn(io::Error) -> RunError + '_ {
    |source| RunError::Directory { directory: directory.to_owned(), source }
}

fn line(metric: &Metric) -> String {
    serde_json::to_string(metric).expect("a tree of plain values") + "\n"
}

/// Returns the settings as a file that trains the same model again.
fn described(config: &TrainingConfig) -> Result<String, RunError> {
    let meaning = match config.time {
        None => "trains the same model again, if it was not resumed with other steps",
        Some(_) => {
            "trains such a model again, for the same time; `steps` is the number that this run expects or took"
        }
    };
    Ok(format!(
        "# glassbox train --config THIS {meaning}.\n{}",
        toml::to_string(config).map_err(RunError::Settings)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::config::tests::tiny;
    use std::collections::HashSet;

    /// Forty threads at once get forty directories.
    #[test]
    fn names_are_given_once() {
        let parent = tempfile::tempdir().unwrap();
        let made: HashSet<PathBuf> = std::thread::scope(|s| {
            let create = || Run::create_in(parent.path(), "story", &tiny()).unwrap();
            let all: Vec<_> = (0..40).map(|_| s.spawn(create)).collect();
            all.into_iter().map(|run| run.join().unwrap().directory().to_owned()).collect()
        });
        assert_eq!(made.len(), 40);
        assert!(made.contains(&parent.path().join("story")));
        assert!(made.contains(&parent.path().join("story-40")));
    }

    /// While a run is open, no other process can write there; afterwards it can be overwritten.
    #[test]
    fn one_writer_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("run");
        let run = Run::create(&directory, &tiny(), false).unwrap();
        for overwrite in [false, true] {
            let refused = Run::create(&directory, &tiny(), overwrite).unwrap_err();
            let process = Some(std::process::id());
            assert!(
                matches!(&refused, RunError::Locked { process: p, .. } if *p == process),
                "{refused}"
            );
        }
        assert!(matches!(Lock::claim(&directory), Err(RunError::Locked { .. })));
        drop(run);
        assert!(matches!(Run::create(&directory, &tiny(), false), Err(RunError::Occupied(_))));
        let state = state_file(&directory);
        fs::write(&state, b"old").unwrap();
        fs::write(directory.join(".tmpa1B2c3"), b"half").unwrap();
        let run = Run::create(&directory, &tiny(), true).unwrap();
        assert!(!state.exists());
        assert_eq!(run.leftovers(), 1);
        drop(run);
        fs::remove_file(settings_file(&directory)).unwrap();
        assert!(matches!(Run::create(&directory, &tiny(), true), Err(RunError::Foreign(_))));
    }

    /// Files of a process killed before it wrote settings do not block the directory.
    #[test]
    fn a_run_that_was_killed_at_once_is_none() {
        let parent = tempfile::tempdir().unwrap();
        for left in [&[][..], &[lock::NAME], &[".tmpaBc123"], &[lock::NAME, ".tmpaBc123"]] {
            let directory = parent.path().join("run");
            fs::create_dir(&directory).unwrap();
            left.iter().for_each(|name| fs::write(directory.join(name), b"1").unwrap());
            Run::create(&directory, &tiny(), false).unwrap();
            fs::remove_dir_all(&directory).unwrap();
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("thesis.tex"), b"1").unwrap();
            assert!(matches!(Run::create(&directory, &tiny(), true), Err(RunError::Foreign(_))));
            fs::remove_dir_all(&directory).unwrap();
        }
    }

    #[test]
    fn the_last_line_can_say_more() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("run");
        let mut run = Run::create(&directory, &tiny(), false).unwrap();
        let metric = |step, validation_loss| Metric {
            step,
            loss: Some(0.5),
            validation_loss,
            answers: None,
            preferred: None,
            teacher_divergence: None,
            learning_rate: 1e-3,
            gradient_norm: Some(1.0),
            tokens_per_second: 1.0,
            seconds: None,
            noise_scale: None,
            health: None,
        };
        for step in 1..=3 {
            run.log(&metric(step, None)).unwrap();
        }
        run.amend(&metric(3, Some(0.25))).unwrap();
        run.log(&metric(4, None)).unwrap();
        drop(run);
        let expected =
            [(1, None), (2, None), (3, Some(0.25)), (4, None)].map(|(s, v)| metric(s, v));
        let lock = Lock::claim(&directory).unwrap();
        let (_, restored) = Run::reopen(&directory, lock, &tiny(), 4).unwrap();
        assert_eq!(restored.metrics, expected);
    }
}
