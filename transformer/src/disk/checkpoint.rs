//! The state from which a training run resumes as if it had never stopped.
//!
//! The state is one file in safetensors' format: parameters, the optimizer state, the number of steps, and what they
//! were trained with: every setting, the text's checksum, the kind of vectors. It is written whole or not at all.
//!
//! A state resumes only with its own settings: [`load`] refuses others by name. The checksum covers everything
//! meaningful in the file, including the settings; no damage of the header makes it optional.

mod about;

pub use about::{About, Difference};

use crate::disk::files::{
    CHECKSUM, FileError, NumberFormat, PIECE, hexadecimal, little_endian, write_tensors,
};
use crate::disk::read_bounded;
use crate::printable::printable;
use crate::training::config::TrainingConfig;
use crate::training::trainer::{AVERAGED, Trainer, is_sound, place};
use calculus::Parameter;
use calculus::optimizer::{MEAN, OptimizerConfig, OptimizerKind};
use linalg::Real;
use safetensors::{SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use thiserror::Error;

/// An invalid state, or one of another run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written, or is damaged.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not a state of this model.
    #[error("{} is not a training state of this run: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// The state has other settings: run.toml was edited, or one of the two files is of another run.
    #[error(
        "{} was trained with other settings: {}; restore run.toml or the state, or start another run with \
         `train --config`",
        path.display(),
        differences.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ")
    )]
    Settings {
        /// The file.
        path: PathBuf,
        /// The settings that differ.
        differences: Vec<Difference>,
    },
    /// The state contains NaN or another value from which training cannot resume.
    #[error(
        "{}: {tensor} of {parameter}, row {row}, column {column} is {value}, and the next step would spread it; \
         `glassbox diagnose` of the run tries fixes",
        path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// The saved tensor.
        tensor: &'static str,
        /// The parameter that the value belongs to.
        parameter: String,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f64,
    },
}

/// Writes a trainer's state. `data` is the checksum of the training text.
///
/// # Errors
/// If the file cannot be written; the earlier file is then unchanged.
pub fn save<T: Real>(
    path: &Path,
    trainer: &mut Trainer<T>,
    data: &str,
) -> Result<(), CheckpointError> {
    let about = About::new(trainer.config(), trainer.steps(), data);
    let state = trainer.state();
    let pieces = |i: usize| {
        let numbers: &[T] = state[i].1;
        numbers.chunks(PIECE).map(little_endian)
    };
    let tensors = (0..state.len()).map(|i| (state[i].0, size_of_val(&*state[i].1), pieces(i)));
    let checksum = checksum(&about, tensors);
    let mut pairs = about.pairs();
    pairs.push((CHECKSUM.to_owned(), checksum));
    let names: Vec<_> =
        state.iter().map(|(name, numbers)| ((*name).to_owned(), vec![numbers.len()])).collect();
    let written = write_tensors(path, &pairs, &names, NumberFormat::of::<T>(), |i, take| {
        pieces(i).try_for_each(|bytes| take(&bytes))
    });
    Ok(written?)
}

/// Returns the SHA-256 of everything a state holds. Version 1 covered only steps and tensors.
fn checksum<'a, Piece: AsRef<[u8]>>(
    about: &About,
    tensors: impl Iterator<Item = (&'a str, usize, impl Iterator<Item = Piece>)>,
) -> String {
    let mut hash = Sha256::new();
    if about.knows_settings() {
        for (key, value) in about.pairs() {
            hash.update(format!("{key}={value}\n"));
        }
    } else {
        hash.update(about.steps.to_string());
    }
    for (name, length, pieces) in tensors {
        if about.knows_settings() {
            hash.update(format!("{name}:{length}\n"));
        }
        pieces.for_each(|bytes| hash.update(bytes));
    }
    hexadecimal(&hash.finalize())
}

/// Reads a trainer's state, saved by [`save`] for the same model, settings and text; returns its description. Only the
/// number of steps, the time and the interval of evaluations may differ from the trainer's settings.
///
/// Refuses values that would corrupt weights at the next step: values that are not finite, and negative ones that the
/// update rule divides by ([`OptimizerKind::divides_by`]). There ∞ is accepted: it overflowed, and its parameter no
/// longer changes.
///
/// # Errors
/// A file that is missing, cut off, damaged, or of another model, settings or text; a value that is refused. The
/// trainer is then unchanged.
pub fn load<T: Real>(
    path: &Path,
    trainer: &mut Trainer<T>,
    data: &str,
) -> Result<About, CheckpointError> {
    read(path, trainer, data, false)
}

/// Like [`load`], but accepts NaN, infinities and other settings, for diagnosis. The checksum is verified only if every
/// value is finite.
///
/// # Errors
/// See [`load`], except for values and settings.
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
    // Allow another optimizer's state, so that the error can name it.
    let parameters = trainer.model().tape().parameters().len();
    let file = bytes(path, most::<T>(parameters))?;
    let state = State::parse(path, &file)?;
    let names: Vec<&'static str> = trainer.state().into_iter().map(|(name, _)| name).collect();
    let list = trainer.model().tape().parameter_list();
    // A state of another run is not damaged: report that first, if the header is valid.
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

/// Reads a file with at most `numbers` bytes of values.
fn bytes(path: &Path, numbers: usize) -> Result<Vec<u8>, CheckpointError> {
    // The header is shorter than this; a longer file is not a state.
    Ok(read_bounded(path, numbers as u64 + 65536)?)
}

fn foreign(path: &Path, reason: impl ToString) -> CheckpointError {
    CheckpointError::Foreign { path: path.to_owned(), reason: printable(&reason.to_string()) }
}

/// A file's tensors and description.
struct State<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    about: About,
    /// The checksum in the header.
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

    /// Returns the checksum of the contents.
    fn found(&self) -> String {
        let there = NAMES.iter().filter_map(|name| Some((*name, self.tensors.tensor(name).ok()?)));
        let whole =
            there.map(|(name, tensor)| (name, tensor.data().len(), [tensor.data()].into_iter()));
        checksum(&self.about, whole)
    }

    fn is_whole(&self) -> bool {
        self.found() == self.checksum
    }

    /// Refuses a file that is not what was saved.
    fn intact(&self) -> Result<(), CheckpointError> {
        let (path, found, saved) = (self.path.to_owned(), self.found(), printable(&self.checksum));
        if found == saved { Ok(()) } else { Err(FileError::Damaged { path, found, saved }.into()) }
    }

    /// Returns the tensor of this name, if it has `count` values of this scalar.
    fn stored<T: Real>(&self, name: &str, count: usize) -> Result<TensorView<'a>, CheckpointError> {
        let tensor = self.tensors.tensor(name).map_err(|e| foreign(self.path, e))?;
        let (found, shape, expected) =
            (tensor.dtype(), tensor.shape(), NumberFormat::of::<T>().dtype());
        if found != expected || shape != [count] {
            return Err(foreign(
                self.path,
                format!("{name} is {found:?} {shape:?}, expected {expected:?} [{count}]"),
            ));
        }
        Ok(tensor)
    }

    /// Refuses values that would corrupt weights at the next step, and a damaged file. With `faults`, a checksum
    /// mismatch is reported only if every value is finite.
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
            if view.dtype() != NumberFormat::of::<T>().dtype() {
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

/// Reads a number of four or eight bytes.
fn number(bytes: &[u8]) -> f64 {
    match bytes.try_into() {
        Ok(eight) => f64::from_le_bytes(eight),
        Err(_) => f64::from(f32::from_le_bytes(bytes.try_into().expect("four bytes"))),
    }
}

/// The tensors that a state may hold, in the order in which its checksum reads them: parameters, and the state of every
/// optimizer, and the averaged weights.
///
/// ```
/// assert!(transformer::disk::checkpoint::NAMES.starts_with(&["parameters", "first_moment"]));
/// ```
pub static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut names = vec!["parameters"];
    for &kind in OptimizerKind::ALL {
        let mut rule = OptimizerConfig { kind, ..OptimizerConfig::default() }.build::<f32>(&[]);
        let own: Vec<_> = rule.state().into_iter().map(|(name, _)| name).collect();
        names.extend(own.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    }
    names.push(AVERAGED);
    names
});

/// Returns the most bytes that a state of `parameters` parameters takes.
fn most<T>(parameters: usize) -> usize {
    parameters.saturating_mul(NAMES.len() * size_of::<T>())
}

/// Reads the parameters and the description of a saved state, without a trainer: those that training resumes from.
///
/// # Errors
/// A file that is missing, cut off, damaged, or of another number of parameters; a value, also of the optimizer state,
/// that would corrupt weights at the next step.
pub fn parameters<T: Real>(
    path: &Path,
    list: &[Parameter],
) -> Result<(Vec<T>, About), CheckpointError> {
    weights(path, list, false)
}

/// Like [`parameters`], but reads the averaged weights if the state has them ([`TrainingConfig::average`],
/// [`OptimizerKind::averages`]): those that the run's model holds.
///
/// # Errors
/// See [`parameters`].
pub fn evaluated<T: Real>(
    path: &Path,
    list: &[Parameter],
) -> Result<(Vec<T>, About), CheckpointError> {
    weights(path, list, true)
}

fn weights<T: Real>(
    path: &Path,
    list: &[Parameter],
    evaluated: bool,
) -> Result<(Vec<T>, About), CheckpointError> {
    let count = list.iter().map(|p| p.range.len()).sum();
    let file = bytes(path, most::<T>(count))?;
    let state = State::parse(path, &file)?;
    let averaged = [AVERAGED, MEAN].into_iter().filter(|_| evaluated && state.about.steps > 0);
    let has = |name: &&str| state.tensors.tensor(name).is_ok();
    let found = state.stored::<T>(averaged.into_iter().find(has).unwrap_or(NAMES[0]), count)?;
    for name in NAMES.iter() {
        if state.tensors.tensor(name).is_ok_and(|tensor| tensor.shape() != [0]) {
            state.stored::<T>(name, count)?;
        }
    }
    state.judge::<T>(&NAMES, list, false)?;
    Ok((numbers(&found), state.about.clone()))
}

/// Reads the description of a saved state of so many parameters.
///
/// # Errors
/// A file that is missing, cut off, damaged, or too large.
pub fn about<T: Real>(path: &Path, parameters: usize) -> Result<About, CheckpointError> {
    let file = bytes(path, most::<T>(parameters))?;
    let state = State::parse(path, &file)?;
    state.intact()?;
    Ok(state.about.clone())
}

/// The state of an optimizer, by name.
pub type Memory<T> = Vec<(&'static str, Vec<T>)>;

/// Reads the number of steps and the optimizer state of a saved state, without a trainer.
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
    for name in NAMES[1..].iter().filter(|name| **name != AVERAGED) {
        // Gradient descent without momentum has no state.
        if file.tensors.tensor(name).is_ok_and(|tensor| tensor.shape() != [0]) {
            state.push((name, numbers(&file.stored::<T>(name, parameters)?)));
        }
    }
    Ok((file.about.steps, state))
}

#[cfg(test)]
mod tests;
