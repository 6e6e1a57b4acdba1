//! The tensors of a model's files, read piece by piece into the parameters.

use super::shards::{self, Shard, listed};
use super::sizes::{self, Shapes};
use super::{CHECKSUM, FileError, NumberFormat, hexadecimal, is_head, parameter_list};
use crate::memory;
use crate::model::architecture::{Architecture, Biases};
use crate::model::family::{Family, Tensor};
use crate::model::parameter_kind::is_bias;
use crate::printable::printable;
use calculus::Parameter;
use linalg::Real;
use safetensors::Dtype;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

/// The tensors of a model's files that have not been read yet.
pub(super) struct Weights<'a> {
    /// The file that errors about all tensors name.
    path: PathBuf,
    config: &'a Architecture,
    family: &'static dyn Family,
    shards: Vec<Shard>,
    tensors: HashMap<String, Stored>,
    /// The embedding's table and its name, which a tied head repeats.
    table: Option<(String, Stored)>,
    /// The hash of the bytes of all parameters so far.
    hash: Sha256,
}

/// The place of a tensor.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    /// The index of its file.
    shard: usize,
    /// Its bytes after the header.
    place: Range<usize>,
}

impl<'a> Weights<'a> {
    /// Opens the files of a model of a family and reads their headers.
    pub(super) fn open(
        directory: &Path,
        family: &'static dyn Family,
        config: &'a Architecture,
    ) -> Result<Self, FileError> {
        let (path, shards) = shards::open(directory)?;
        let mut tensors = HashMap::new();
        for (shard, file) in shards.iter().enumerate() {
            for (name, about) in file.header.tensors() {
                let plain = name.strip_prefix(family.prefix()).unwrap_or(&name).to_owned();
                let (dtype, shape, (start, end)) =
                    (about.dtype, about.shape.clone(), about.data_offsets);
                let stored = Stored { dtype, shape, shard, place: start..end };
                if tensors.insert(plain, stored).is_some() {
                    let prefix = family.prefix();
                    let reason = format!("tensor {name} is there with and without {prefix}");
                    return Err(FileError::tensors(&path, reason));
                }
            }
        }
        Ok(Weights { path, config, family, shards, tensors, table: None, hash: Sha256::new() })
    }

    /// Returns whether a tensor has numbers of this type.
    pub(super) fn has(&self, format: NumberFormat) -> bool {
        self.tensors.values().any(|tensor| tensor.dtype == format.dtype())
    }

    /// Returns the names of tensors that the model does not have, in order: buffers, copies and zeros, if
    /// [`Weights::parameters`] accepts them.
    pub(super) fn ignored(&self) -> Vec<String> {
        let biases = self.family.stored_biases(self.config.biases);
        let full = Architecture { biases, ..self.config.clone() };
        let tensors = |parameter| self.family.tensors(self.config, parameter);
        let own: HashSet<String> =
            parameter_list(&full).iter().flat_map(tensors).map(|tensor| tensor.name).collect();
        let mut names: Vec<_> =
            self.tensors.keys().filter(|name| !own.contains(*name)).cloned().collect();
        names.sort_unstable();
        names
    }

    /// Reads all parameters in the order of recording, and checks that no other tensor has a meaning.
    pub(super) fn parameters<T: Real>(mut self, finite: bool) -> Result<Vec<T>, FileError> {
        let list = self.list()?;
        // No more than the files can hold: a configuration may claim any size.
        let held = self.shards.iter().map(|shard| shard.header.data_len() / 2).sum();
        let count = list.last().map_or(0, |last| last.range.end).min(held);
        self.afford(count * size_of::<T>())?;
        let mut parameters = Vec::with_capacity(count);
        for parameter in &list {
            for tensor in self.family.tensors(self.config, parameter) {
                self.read(&tensor, parameter, finite, (&mut parameters, parameter.range.clone()))?;
            }
        }
        // NaN and ∞ take precedence over damage: without `finite`, they are looked for.
        let intact = finite || parameters.iter().all(|p: &T| p.to_f64().is_finite());
        self.whole(intact)?;
        Ok(parameters)
    }

    /// Like [`Weights::parameters`], one parameter after the other, in memory for the largest, until `take` ends it. Values
    /// must be finite.
    pub(super) fn each(
        mut self,
        mut take: impl FnMut(&Parameter, &[f32]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, FileError> {
        let mut elements: Vec<f32> = vec![];
        for parameter in &self.list()? {
            elements.clear();
            for tensor in self.family.tensors(self.config, parameter) {
                let own = 0..parameter.shape.len();
                self.read(&tensor, parameter, true, (&mut elements, own))?;
            }
            // What it is kept in, at least.
            self.afford(size_of::<u16>() * elements.len())?;
            if take(parameter, &elements).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.whole(true)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Returns the parameters, whose sizes are those of the files' tensors.
    fn list(&self) -> Result<Vec<Parameter>, FileError> {
        let shapes = self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone()));
        sizes::agree(&self.path, self.family, self.config, &shapes.collect::<Shapes>())?;
        Ok(parameter_list(self.config))
    }

    fn afford(&self, bytes: usize) -> Result<(), FileError> {
        memory::afford(bytes as u128)
            .map_err(|source| FileError::Memory { path: self.path.clone(), source })
    }

    /// Checks what remains when all parameters were read, and, if asked, their checksum.
    fn whole(self, intact: bool) -> Result<(), FileError> {
        self.rest()?;
        self.shards.iter().try_for_each(Shard::unchanged)?;
        if intact { self.intact() } else { Ok(()) }
    }

    /// Compares the checksum in the header, if there is one, with that of the parameters that were read.
    fn intact(self) -> Result<(), FileError> {
        // Shards have no checksum of all parameters.
        let [shard] = &self.shards[..] else { return Ok(()) };
        let saved = shard.header.metadata().as_ref().and_then(|about| about.get(CHECKSUM));
        let found = hexadecimal(&self.hash.finalize());
        match saved {
            Some(saved) if *saved != found => {
                Err(FileError::Damaged { path: self.path, found, saved: printable(saved) })
            }
            _ => Ok(()),
        }
    }

    fn error<R>(&self, reason: String) -> Result<R, FileError> {
        Err(FileError::tensors(&self.path, reason))
    }

    /// Returns the number format of a tensor.
    fn format(&self, name: &str, tensor: &Stored) -> Result<NumberFormat, FileError> {
        NumberFormat::of_dtype(tensor.dtype).ok_or_else(|| {
            let found = tensor.dtype;
            let reason =
                format!("tensor {name} is {found:?}; supported are F64, F32, F16 and BF16");
            FileError::tensors(&self.shards[tensor.shard].path, reason)
        })
    }

    /// Copies a tensor's elements to their places in a range of `parameters`, which becomes long enough.
    fn read<T: Real>(
        &mut self,
        wanted: &Tensor,
        parameter: &Parameter,
        finite: bool,
        (parameters, range): (&mut Vec<T>, Range<usize>),
    ) -> Result<(), FileError> {
        let name = wanted.name.as_str();
        let Some(tensor) = self.tensors.remove(name) else {
            let others = listed(self.tensors.keys().cloned());
            return self.error(format!("tensor {name} is missing; the file also has {others}"));
        };
        let format = self.format(name, &tensor)?;
        parameters.resize(range.end, T::zero());
        let own = &mut parameters[range];
        let mut places = wanted.places(parameter.shape.rows).enumerate();
        let (file, hash) = (&self.shards[tensor.shard], &mut self.hash);
        file.pieces(&tensor.place, |piece| {
            hash.update(piece);
            for (x, (i, place)) in format.numbers(piece).zip(&mut places) {
                own[place] = T::from_f64(x);
                if finite && !own[place].to_f64().is_finite() {
                    let why = match x.is_finite() {
                        true => "more than the scalar that it is read as can hold",
                        false => "these weights are broken; take an earlier checkpoint",
                    };
                    let reason = format!("tensor {name} holds {x:?} at element {i}: {why}");
                    return Err(FileError::tensors(&file.path, reason));
                }
            }
            Ok(())
        })?;
        // The first tensor is the embedding's table.
        self.table.get_or_insert_with(|| (name.to_owned(), tensor));
        Ok(())
    }

    /// Checks that the remaining tensors are buffers, a copy of the tied table, or zero biases of a model without
    /// biases.
    fn rest(&self) -> Result<(), FileError> {
        let mut names: Vec<&String> = self.tensors.keys().collect();
        names.sort_unstable();
        let with_biases = Architecture { biases: Biases::ALL, ..self.config.clone() };
        let biases: HashSet<String> = parameter_list(&with_biases)
            .iter()
            .filter(|parameter| is_bias(parameter))
            .flat_map(|parameter| self.family.tensors(&with_biases, parameter))
            .map(|tensor| tensor.name)
            .collect();
        for name in names {
            let tensor = &self.tensors[name];
            if self.family.is_buffer(name) {
                continue;
            }
            let tied = self.config.tied && is_head(self.family, name);
            if let Some((table_name, table)) = self.table.as_ref().filter(|_| tied) {
                if self.same(table, tensor)? {
                    continue;
                }
                return self.error(format!(
                    "tensor {name} differs from {table_name}, though config.json ties them; set \
                     tie_word_embeddings to false"
                ));
            }
            if biases.contains(name) {
                if self.is_zero(name, tensor)? {
                    continue;
                }
                return self.error(format!(
                    "tensor {name} is not zero, though config.json says the model has none"
                ));
            }
            let family = self.family.name();
            return self.error(format!(
                "tensor {name} is not part of the {family} model that config.json describes"
            ));
        }
        Ok(())
    }

    /// Returns whether two tensors have the same type, shape and bytes.
    fn same(&self, a: &Stored, b: &Stored) -> Result<bool, FileError> {
        let digest = |tensor: &Stored| {
            let mut hash = Sha256::new();
            let update = |piece: &[u8]| {
                hash.update(piece);
                Ok(())
            };
            self.shards[tensor.shard].pieces(&tensor.place, update)?;
            Ok::<_, FileError>(hash.finalize())
        };
        let alike = (a.dtype, &a.shape) == (b.dtype, &b.shape);
        Ok(alike && digest(a)? == digest(b)?)
    }

    fn is_zero(&self, name: &str, tensor: &Stored) -> Result<bool, FileError> {
        let (format, mut zero) = (self.format(name, tensor)?, true);
        self.shards[tensor.shard].pieces(&tensor.place, |piece| {
            zero &= format.numbers(piece).all(|x| x == 0.0);
            Ok(())
        })?;
        Ok(zero)
    }
}
