//! What a training run needs to go on as if it had never stopped.
//!
//! One file, in safetensors' format: parameters, what the optimiser remembers, and the number of
//! steps. It is written whole or not at all.

use crate::Trainer;
use crate::diagnose::{is_sound, place};
use crate::files::{
    CHECKSUM, FileError, dtype, hexadecimal, little_endian, serialized, write_atomically,
};
use calculus::Parameter;
use linalg::Real;
use safetensors::{SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a run cannot go on.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// It cannot be written, or what was written is damaged.
    #[error(transparent)]
    File(#[from] FileError),
    /// It cannot be read.
    #[error("cannot read the training state {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a checkpoint of this model.
    #[error("{} is not a training state of this run: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
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
    let steps = trainer.steps().to_string();
    let state: Vec<_> = trainer
        .state()
        .into_iter()
        .map(|(name, numbers)| (name, numbers.len(), little_endian(numbers)))
        .collect();
    let views = state.iter().map(|(name, length, bytes)| {
        let view = TensorView::new(dtype::<T>(), vec![*length], bytes);
        (*name, view.expect("as many bytes as numbers"))
    });
    let mut hash = Sha256::new_with_prefix(&steps);
    state.iter().for_each(|(_, _, bytes)| hash.update(bytes));
    let about = [
        ("steps", steps),
        ("data_sha256", data.to_owned()),
        (CHECKSUM, hexadecimal(&hash.finalize())),
    ];
    let file = serialized(views, about)
        .map_err(|e| CheckpointError::Foreign { path: path.to_owned(), reason: e.to_string() })?;
    Ok(write_atomically(path, &file)?)
}

/// Reads a trainer's state, saved by [`save`] for the same model and the same text.
///
/// Numbers that would spoil weights at the next step are refused: what is not finite, and a negative second moment.
/// A second moment of ∞ is none of these: a square overflowed, and its parameter stands still.
///
/// # Errors
/// A file that is missing, cut off, damaged, of another model, or of another text; a number that is none. The
/// trainer is then as it was.
pub fn load<T: Real>(
    path: &Path,
    trainer: &mut Trainer<T>,
    data: &str,
) -> Result<(), CheckpointError> {
    read(path, trainer, data, false)
}

/// As [`load`], whatever the numbers are: to find out what is wrong with them.
///
/// # Errors
/// As [`load`], numbers that are none excepted; the checksum counts where there is none of these.
pub fn load_with_faults<T: Real>(
    path: &Path,
    trainer: &mut Trainer<T>,
    data: &str,
) -> Result<(), CheckpointError> {
    read(path, trainer, data, true)
}

fn read<T: Real>(
    path: &Path,
    trainer: &mut Trainer<T>,
    data: &str,
    faults: bool,
) -> Result<(), CheckpointError> {
    let needed: usize = trainer.state().iter().map(|s| size_of_val(s.1)).sum();
    let file = bytes(path, needed)?;
    let (tensors, about, steps) = parts(path, &file)?;
    if about.get("data_sha256").map(String::as_str) != Some(data) {
        let reason = "the text is not the one that the run began with";
        return Err(foreign(path, reason));
    }
    for (name, numbers) in trainer.state() {
        stored::<T>(path, &tensors, name, numbers.len())?;
    }
    let names: Vec<&'static str> = trainer.state().into_iter().map(|(name, _)| name).collect();
    let list = trainer.model().tape().parameter_list();
    judge::<T>(path, &tensors, &about, &names, &list, faults)?;
    for (name, numbers) in trainer.state() {
        let tensor = tensors.tensor(name).expect("found above");
        for (x, bytes) in numbers.iter_mut().zip(tensor.data().chunks_exact(size_of::<T>())) {
            *x = T::from_f64(number(bytes));
        }
    }
    trainer.set_steps(steps);
    Ok(())
}

/// Refuses numbers that would spoil weights at the next step, and a file whose numbers are not those that were saved.
/// Who looks for faults is told the second only where there are none of the first.
fn judge<T: Real>(
    path: &Path,
    tensors: &SafeTensors<'_>,
    about: &HashMap<String, String>,
    names: &[&'static str],
    list: &[Parameter],
    faults: bool,
) -> Result<(), CheckpointError> {
    let data = |name: &str| tensors.tensor(name).map_or(&[][..], |tensor| tensor.data());
    let path = path.to_owned();
    for &tensor in names {
        let spoils = |x: &f64| {
            let stands_still = tensor == "second_moment" && *x == f64::INFINITY;
            !is_sound(tensor, *x) && (faults || !stands_still)
        };
        let mut numbers = data(tensor).chunks_exact(size_of::<T>()).map(number).enumerate();
        match numbers.find(|(_, x)| spoils(x)) {
            Some(_) if faults => return Ok(()),
            Some((at, value)) => {
                let (parameter, (row, column)) = place(list, at);
                return Err(CheckpointError::Broken {
                    path,
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
    // Files of earlier versions hold no checksum.
    let Some(saved) = about.get(CHECKSUM).cloned() else { return Ok(()) };
    let mut hash = Sha256::new_with_prefix(about.get("steps").map_or("", String::as_str));
    names.iter().for_each(|name| hash.update(data(name)));
    let found = hexadecimal(&hash.finalize());
    match found == saved {
        true => Ok(()),
        false => Err(FileError::Damaged { path, found, saved }.into()),
    }
}

fn foreign(path: &Path, reason: impl ToString) -> CheckpointError {
    CheckpointError::Foreign { path: path.to_owned(), reason: reason.to_string() }
}

/// The bytes of a file that holds numbers of so many bytes at the most.
fn bytes(path: &Path, numbers: usize) -> Result<Vec<u8>, CheckpointError> {
    let unreadable = |source| CheckpointError::Read { path: path.to_owned(), source };
    let found = std::fs::metadata(path).map_err(unreadable)?.len();
    // The header takes less than this; what is longer is something else.
    let most = numbers as u64 + 65536;
    if found > most {
        let reason = format!("it has {found} bytes where at most {most} are expected");
        return Err(foreign(path, reason));
    }
    std::fs::read(path).map_err(unreadable)
}

/// No run takes more: steps, batches and their parts are counted in 64 bits.
const MOST_STEPS: u64 = 1 << 40;

/// The tensors, what is said about them, and the number of steps.
type Parts<'a> = (SafeTensors<'a>, HashMap<String, String>, u64);

fn parts<'a>(path: &Path, file: &'a [u8]) -> Result<Parts<'a>, CheckpointError> {
    let (_, header) = SafeTensors::read_metadata(file).map_err(|e| foreign(path, e))?;
    let tensors = SafeTensors::deserialize(file).map_err(|e| foreign(path, e))?;
    let about = header.metadata().clone().unwrap_or_default();
    let steps: Option<u64> = about.get("steps").and_then(|s| s.parse().ok());
    match steps {
        Some(steps) if steps <= MOST_STEPS => Ok((tensors, about, steps)),
        Some(steps) => Err(foreign(path, format!("it says that {steps} steps were taken"))),
        None => Err(foreign(path, "it does not say after how many steps")),
    }
}

/// The tensor of this name, if it has so many numbers of this scalar.
fn stored<'a, T: Real>(
    path: &Path,
    tensors: &SafeTensors<'a>,
    name: &str,
    count: usize,
) -> Result<TensorView<'a>, CheckpointError> {
    let tensor = tensors.tensor(name).map_err(|e| foreign(path, e))?;
    let (found, shape, expected) = (tensor.dtype(), tensor.shape(), dtype::<T>());
    if found != expected || shape != [count] {
        return Err(foreign(
            path,
            format!("{name} is {found:?} {shape:?} where {expected:?} [{count}] is expected"),
        ));
    }
    Ok(tensor)
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

/// All that a state may hold, in the order in which it is saved.
const NAMES: [&str; 4] = ["parameters", "velocity", "first_moment", "second_moment"];

/// The parameters of a saved state, without a trainer.
///
/// # Errors
/// A file that is missing, cut off, damaged, or of another number of parameters; a number, also of what the rule of
/// descent remembers, that would spoil weights at the next step.
pub fn parameters<T: Real>(path: &Path, list: &[Parameter]) -> Result<Vec<T>, CheckpointError> {
    let count = list.iter().map(|p| p.range.len()).sum();
    let file = bytes(path, 3 * count * size_of::<T>())?;
    let (tensors, about, _) = parts(path, &file)?;
    let found = stored::<T>(path, &tensors, NAMES[0], count)?;
    for name in NAMES {
        if tensors.tensor(name).is_ok_and(|tensor| tensor.shape() != [0]) {
            stored::<T>(path, &tensors, name, count)?;
        }
    }
    judge::<T>(path, &tensors, &about, &NAMES, list, false)?;
    Ok(numbers(&found))
}

/// What a rule of descent remembers, by name.
pub type Memory<T> = Vec<(&'static str, Vec<T>)>;

/// The number of steps of a saved state, and what the rule of descent remembered of its parameters,
/// without a trainer.
///
/// # Errors
/// A file that is missing, cut off, or of another number of parameters.
pub fn remembered<T: Real>(
    path: &Path,
    parameters: usize,
) -> Result<(u64, Memory<T>), CheckpointError> {
    let file = bytes(path, 3 * parameters * size_of::<T>())?;
    let (tensors, _, steps) = parts(path, &file)?;
    let mut state = Memory::new();
    for name in &NAMES[1..] {
        // Gradient descent without momentum remembers nothing.
        if tensors.tensor(name).is_ok_and(|tensor| tensor.shape() != [0]) {
            state.push((name, numbers(&stored::<T>(path, &tensors, name, parameters)?)));
        }
    }
    Ok((steps, state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training_config::tests::tiny;
    use crate::{Corpus, TrainingConfig};

    fn trainer(config: &TrainingConfig) -> Trainer<f32> {
        Trainer::new(config.clone(), &config.model(20).unwrap()).unwrap()
    }

    #[test]
    fn a_run_that_stops_and_goes_on_is_the_run_that_never_stopped() {
        let corpus = Corpus::text((0..200).map(|i| i * i % 20).collect(), 0.1, 8).unwrap();
        let config = TrainingConfig { dropout: 0.1, ..tiny() };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");

        let mut whole = trainer(&config);
        (0..6).for_each(|_| assert!(whole.step(&corpus).is_ok()));

        let mut first = trainer(&config);
        (0..3).for_each(|_| assert!(first.step(&corpus).is_ok()));
        save(&path, &mut first, "text").unwrap();
        let mut second = trainer(&TrainingConfig { seed: config.seed, ..config.clone() });
        load(&path, &mut second, "text").unwrap();
        assert_eq!(second.steps(), 3);
        (0..3).for_each(|_| assert!(second.step(&corpus).is_ok()));
        assert_eq!(whole.state(), second.state());
    }

    /// A number that the next step would spread is refused by its place; one that only stops its parameter is not.
    #[test]
    fn numbers_that_are_none_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        // Number 200 of the parameters: of the token table, 16 rows and 20 columns, row 8 of column 12.
        for (tensor, value, refused) in [
            ("parameters", f32::NAN, true),
            ("first_moment", f32::INFINITY, true),
            ("second_moment", f32::NAN, true),
            ("second_moment", -1e-9, true),
            ("second_moment", f32::INFINITY, false),
        ] {
            let mut broken = trainer(&tiny());
            let mut state = broken.state();
            state.iter_mut().find(|(name, _)| *name == tensor).unwrap().1[200] = value;
            save(&path, &mut broken, "text").unwrap();
            let mut mine = trainer(&tiny());
            let found = load(&path, &mut mine, "text");
            assert_eq!(found.is_err(), refused, "{tensor} {value}");
            let place = format!(
                "{tensor} of embedding.token.weight, row 8, column 12 is {}",
                f64::from(value)
            );
            if let Err(error) = found {
                assert!(error.to_string().contains(&place), "{error}");
                let before = trainer(&tiny()).model().tape().parameters().to_vec();
                assert_eq!(mine.model().tape().parameters(), before, "it is as it was");
            }
            load_with_faults(&path, &mut mine, "text").unwrap();
            let state = mine.state();
            let there = state.iter().find(|(name, _)| *name == tensor).unwrap().1[200];
            assert_eq!(there.to_bits(), value.to_bits());
            drop(state);
            let list = broken.model().tape().parameter_list();
            match parameters::<f32>(&path, &list) {
                Ok(own) => assert!(!refused && own == broken.model().tape().parameters()),
                Err(error) => assert!(refused && error.to_string().contains(&place), "{error}"),
            }
            assert!(parameters::<f32>(&path, &list[1..]).is_err());
        }
    }

    #[test]
    fn foreign_states_are_refused_and_change_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let mut other = trainer(&TrainingConfig { width: 32, ..tiny() });
        save(&path, &mut other, "text").unwrap();
        let mut mine = trainer(&tiny());
        let before = mine.model().tape().parameters().to_vec();
        assert!(load(&path, &mut mine, "text").is_err());
        save(&path, &mut trainer(&tiny()), "another text").unwrap();
        let error = load(&path, &mut mine, "text").unwrap_err();
        assert!(error.to_string().contains("text"), "{error}");
        let whole = std::fs::read(&path).unwrap();
        for _ in 0..8 {
            save(&path, &mut trainer(&tiny()), "another text").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole, "the same state is the same file");
        }
        for length in (0..whole.len()).step_by(97) {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(load(&path, &mut mine, "another text").is_err());
        }
        // One flipped bit in the numbers.
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let error = load(&path, &mut mine, "another text").unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
        // Who looks for faults is told too: every number is one, and it is another.
        assert!(load_with_faults(&path, &mut mine, "another text").is_err());
        // A count of steps that nobody takes.
        let huge = String::from_utf8_lossy(&whole[..200]).find("\"steps\":\"0\"").unwrap();
        let mut counted = whole.clone();
        counted.splice(huge + 9..huge + 10, u64::MAX.to_string().into_bytes());
        let length = u64::from_le_bytes(counted[..8].try_into().unwrap()) + 19;
        counted[..8].copy_from_slice(&length.to_le_bytes());
        std::fs::write(&path, &counted).unwrap();
        let error = load(&path, &mut mine, "another text").unwrap_err().to_string();
        assert!(error.contains("18446744073709551615 steps"), "{error}");
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(mine.model().tape().parameters(), before);
        assert!(load(&path, &mut mine, "another text").is_ok());
        assert!(load(&directory.path().join("none"), &mut mine, "text").is_err());
    }
}
