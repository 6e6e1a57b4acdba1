//! What a training run needs to go on as if it had never stopped.
//!
//! One file, in safetensors' format: parameters, what the optimiser remembers, the number of steps, and what they
//! were trained with: every setting, the text's checksum, the vectors. It is written whole or not at all.
//!
//! A state goes on with its own settings only: [`load`] refuses others by name. The checksum covers all of the file
//! that has a meaning, also the settings; no damage of the header makes it optional.

mod about;

pub use about::{About, Difference};

use crate::disk::files::{CHECKSUM, FileError, dtype, hexadecimal, little_endian, serialized};
use crate::disk::{read_bounded, write_atomically};
use crate::printable::printable;
use crate::training::config::TrainingConfig;
use crate::training::trainer::{Trainer, is_sound, place};
use calculus::Parameter;
use calculus::optimizer::{OptimizerConfig, OptimizerKind};
use linalg::Real;
use safetensors::{SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use thiserror::Error;

/// Why a run cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It cannot be read or written, or what was written is damaged.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not a checkpoint of this model.
    #[error("{} is not a training state of this run: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// It was trained with other settings: run.toml was edited, or one of the two files is of another run.
    #[error(
        "{} was trained with other settings: {}; restore run.toml or the state, or start another run with \
         `train --config`",
        path.display(),
        differences.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ")
    )]
    Settings {
        /// The file.
        path: PathBuf,
        /// Every setting that differs.
        differences: Vec<Difference>,
    },
    /// Training cannot go on from it: a number is none.
    #[error(
        "{}: {tensor} of {parameter}, row {row}, column {column} is {value}, and the next step would spread it; \
         `glassbox diagnose` of the run tries what helps",
        path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// The saved tensor.
        tensor: &'static str,
        /// The parameter that the number belongs to.
        parameter: String,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// The number.
        value: f64,
    },
}

/// Writes a trainer's state. `data` names the text trained on, by its checksum.
///
/// # Errors
/// If the file cannot be written; then an earlier one is as it was.
pub fn save<T: Real>(
    path: &Path,
    trainer: &mut Trainer<T>,
    data: &str,
) -> Result<(), CheckpointError> {
    let about = About::new(trainer.config(), trainer.steps(), data);
    let state: Vec<_> = trainer
        .state()
        .into_iter()
        .map(|(name, numbers)| (name, numbers.len(), little_endian(numbers)))
        .collect();
    let views = state.iter().map(|(name, length, bytes)| {
        let view = TensorView::new(dtype::<T>(), vec![*length], bytes);
        (*name, view.expect("as many bytes as numbers"))
    });
    let tensors = state.iter().map(|(name, _, bytes)| (*name, &bytes[..]));
    let checksum = checksum(&about, tensors);
    let mut pairs = about.pairs();
    pairs.push((CHECKSUM.to_owned(), checksum));
    let file = serialized(views, &pairs).map_err(|e| foreign(path, e))?;
    Ok(write_atomically(path, &file)?)
}

/// SHA-256 of all that a state says and holds. Version 1 left out all but steps and numbers.
fn checksum<'a>(about: &About, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hash = Sha256::new();
    if about.knows_settings() {
        for (key, value) in about.pairs() {
            hash.update(format!("{key}={value}\n"));
        }
    } else {
        hash.update(about.steps.to_string());
    }
    for (name, bytes) in tensors {
        if about.knows_settings() {
            hash.update(format!("{name}:{}\n", bytes.len()));
        }
        hash.update(bytes);
    }
    hexadecimal(&hash.finalize())
}

/// Reads a trainer's state, saved by [`save`] for the same model, the same settings and the same text. Returns what it
/// says of itself: of the settings, only the number of steps and the interval of evaluations may differ.
///
/// Numbers that would spoil weights at the next step are refused: what is not finite, and a negative one that the rule
/// divides by ([`OptimizerKind::divides_by`]). There ∞ is none of these: it overflowed, and its parameter stands still.
///
/// # Errors
/// A file that is missing, cut off, damaged, of another model, of other settings, or of another text; a number that
/// is none. The trainer is then as it was.
pub fn load<T: Real>(
    path: &Path,
    trainer: &mut Trainer<T>,
    data: &str,
) -> Result<About, CheckpointError> {
    read(path, trainer, data, false)
}

/// As [`load`], whatever the numbers and the rates are: to find out what is wrong with them.
///
/// # Errors
/// As [`load`], but NaN, infinite numbers and other settings are accepted; the checksum counts where every number is finite.
pub fn load_with_faults<T: Real>(
    path: &Path,
    trainer: &mut Trainer<T>,
    data: &str,
) -> Result<About, CheckpointError> {
    read(path, trainer, data, true)
}

fn read<T: Real>(
    path: &Path,
    trainer: &mut Trainer<T>,
    data: &str,
    faults: bool,
) -> Result<About, CheckpointError> {
    // Also of another rule of descent, so that it is named.
    let parameters = trainer.model().tape().parameters().len();
    let file = bytes(path, most::<T>(parameters))?;
    let state = State::parse(path, &file)?;
    let names: Vec<&'static str> = trainer.state().into_iter().map(|(name, _)| name).collect();
    let list = trainer.model().tape().parameter_list();
    // What is of another run is not damaged: it is said first, where the header can be trusted.
    let differences = state.about.contradictions(trainer.config());
    if !faults && !differences.is_empty() && state.is_whole() {
        return Err(CheckpointError::Settings { path: path.to_owned(), differences });
    }
    if state.about.data != data {
        let reason = "the text is not the one that the run began with; give that with --data";
        return Err(foreign(path, reason));
    }
    for (name, numbers) in trainer.state() {
        state.stored::<T>(name, numbers.len())?;
    }
    state.judge::<T>(&names, &list, faults)?;
    for (name, numbers) in trainer.state() {
        let tensor = state.tensors.tensor(name).expect("found above");
        for (x, bytes) in numbers.iter_mut().zip(tensor.data().chunks_exact(size_of::<T>())) {
            *x = T::from_f64(number(bytes));
        }
    }
    trainer.set_steps(state.about.steps);
    Ok(state.about)
}

/// The bytes of a file that holds numbers of so many bytes at the most.
fn bytes(path: &Path, numbers: usize) -> Result<Vec<u8>, CheckpointError> {
    // The header takes less than this; what is longer is something else.
    Ok(read_bounded(path, numbers as u64 + 65536)?)
}

fn foreign(path: &Path, reason: impl ToString) -> CheckpointError {
    CheckpointError::Foreign { path: path.to_owned(), reason: printable(&reason.to_string()) }
}

/// A file's tensors, and what it says.
struct State<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    about: About,
    /// As it was saved.
    checksum: String,
}

impl<'a> State<'a> {
    fn parse(path: &'a Path, file: &'a [u8]) -> Result<Self, CheckpointError> {
        let (_, header) = SafeTensors::read_metadata(file).map_err(|e| foreign(path, e))?;
        let tensors = SafeTensors::deserialize(file).map_err(|e| foreign(path, e))?;
        let said = header.metadata().clone().unwrap_or_default();
        let (about, checksum) = About::read(&said).map_err(|reason| foreign(path, reason))?;
        if let Some(name) = tensors.names().into_iter().find(|name| !NAMES.contains(name)) {
            return Err(foreign(path, format!("it has a tensor \"{name}\"")));
        }
        Ok(State { path, tensors, about, checksum })
    }

    /// The checksum of what is there.
    fn found(&self) -> String {
        let there = NAMES.iter().filter_map(|name| Some((*name, self.tensors.tensor(name).ok()?)));
        let there: Vec<_> = there.collect();
        checksum(&self.about, there.iter().map(|(name, tensor)| (*name, tensor.data())))
    }

    fn is_whole(&self) -> bool {
        self.found() == self.checksum
    }

    /// Refuses a file that is not what was saved.
    fn intact(&self) -> Result<(), CheckpointError> {
        let (path, found, saved) = (self.path.to_owned(), self.found(), printable(&self.checksum));
        if found == saved { Ok(()) } else { Err(FileError::Damaged { path, found, saved }.into()) }
    }

    /// The tensor of this name, if it has so many numbers of this scalar.
    fn stored<T: Real>(&self, name: &str, count: usize) -> Result<TensorView<'a>, CheckpointError> {
        let tensor = self.tensors.tensor(name).map_err(|e| foreign(self.path, e))?;
        let (found, shape, expected) = (tensor.dtype(), tensor.shape(), dtype::<T>());
        if found != expected || shape != [count] {
            return Err(foreign(
                self.path,
                format!("{name} is {found:?} {shape:?} where {expected:?} [{count}] is expected"),
            ));
        }
        Ok(tensor)
    }

    /// Refuses numbers that would spoil weights at the next step, and a file whose numbers are not those that were
    /// saved. Who looks for faults is told the second only where there are none of the first.
    fn judge<T: Real>(
        &self,
        names: &[&'static str],
        list: &[Parameter],
        faults: bool,
    ) -> Result<(), CheckpointError> {
        for &tensor in names {
            let spoils = |x: &f64| {
                let stands_still = *x == f64::INFINITY && OptimizerKind::divides_by(tensor);
                !is_sound(tensor, *x) && (faults || !stands_still)
            };
            let Ok(view) = self.tensors.tensor(tensor) else { continue };
            if view.dtype() != dtype::<T>() {
                continue;
            }
            let mut numbers = view.data().chunks_exact(size_of::<T>()).map(number).enumerate();
            match numbers.find(|(_, x)| spoils(x)) {
                Some(_) if faults => return Ok(()),
                Some((at, value)) => {
                    let (parameter, (row, column)) = place(list, at);
                    return Err(CheckpointError::Broken {
                        path: self.path.to_owned(),
                        tensor,
                        parameter,
                        row,
                        column,
                        value,
                    });
                }
                None => {}
            }
        }
        self.intact()
    }
}

fn numbers<T: Real>(tensor: &TensorView<'_>) -> Vec<T> {
    let each = tensor.data().chunks_exact(size_of::<T>());
    each.map(|bytes| T::from_f64(number(bytes))).collect()
}

/// A number of four or eight bytes.
fn number(bytes: &[u8]) -> f64 {
    match bytes.try_into() {
        Ok(eight) => f64::from_le_bytes(eight),
        Err(_) => f64::from(f32::from_le_bytes(bytes.try_into().expect("four bytes"))),
    }
}

/// All that a state may hold, in the order in which it is saved: parameters, and what the rules of descent remember.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut names = vec!["parameters"];
    for &kind in OptimizerKind::ALL {
        let mut rule = OptimizerConfig { kind, ..OptimizerConfig::default() }.build::<f32>(&[]);
        let own: Vec<_> = rule.state().into_iter().map(|(name, _)| name).collect();
        names.extend(own.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    }
    names
});

/// The most bytes that a state of so many parameters takes.
fn most<T>(parameters: usize) -> usize {
    parameters.saturating_mul(NAMES.len() * size_of::<T>())
}

/// The parameters of a saved state, without a trainer, and what it says of itself.
///
/// # Errors
/// A file that is missing, cut off, damaged, or of another number of parameters; a number, also of what the rule of
/// descent remembers, that would spoil weights at the next step.
pub fn parameters<T: Real>(
    path: &Path,
    list: &[Parameter],
) -> Result<(Vec<T>, About), CheckpointError> {
    let count = list.iter().map(|p| p.range.len()).sum();
    let file = bytes(path, most::<T>(count))?;
    let state = State::parse(path, &file)?;
    let found = state.stored::<T>(NAMES[0], count)?;
    for name in NAMES.iter() {
        if state.tensors.tensor(name).is_ok_and(|tensor| tensor.shape() != [0]) {
            state.stored::<T>(name, count)?;
        }
    }
    state.judge::<T>(&NAMES, list, false)?;
    Ok((numbers(&found), state.about.clone()))
}

/// What a rule of descent remembers, by name.
pub type Memory<T> = Vec<(&'static str, Vec<T>)>;

/// The number of steps of a saved state, and what the rule of descent remembered of its parameters,
/// without a trainer.
///
/// # Errors
/// A file that is missing, cut off, damaged, of another number of parameters, or of other settings.
pub fn remembered<T: Real>(
    path: &Path,
    config: &TrainingConfig,
    parameters: usize,
) -> Result<(u64, Memory<T>), CheckpointError> {
    let file = bytes(path, most::<T>(parameters))?;
    let file = State::parse(path, &file)?;
    file.intact()?;
    let differences = file.about.contradictions(config);
    if !differences.is_empty() {
        return Err(CheckpointError::Settings { path: path.to_owned(), differences });
    }
    let mut state = Memory::new();
    for name in &NAMES[1..] {
        // Gradient descent without momentum remembers nothing.
        if file.tensors.tensor(name).is_ok_and(|tensor| tensor.shape() != [0]) {
            state.push((name, numbers(&file.stored::<T>(name, parameters)?)));
        }
    }
    Ok((file.about.steps, state))
}

#[cfg(test)]
mod tests;
