//! Writes safetensors files tensor by tensor, so that no file is in memory as a whole.

use super::{FileError, NumberFormat};
use crate::disk::file::write_with;
use linalg::Real;
use safetensors::tensor::TensorInfo;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::path::Path;

/// The numbers that are converted at once.
pub(crate) const PIECE: usize = 1 << 17;

/// A tensor's name and shape.
pub(crate) type Named = (String, Vec<usize>);

/// A function that takes the bytes of a tensor, piece by piece.
pub(super) type Take<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// Writes tensors and metadata as a safetensors file, as the `safetensors` crate orders them: by name. `data` passes on the
/// bytes of the i-th tensor. The same input gives the same file: `safetensors` itself writes metadata in random order.
///
/// # Errors
/// If the file cannot be written; the earlier file is then unchanged.
pub(crate) fn write_tensors(
    path: &Path,
    about: &[(String, String)],
    tensors: &[Named],
    format: NumberFormat,
    mut data: impl FnMut(usize, &mut Take<'_>) -> io::Result<()>,
) -> Result<(), FileError> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| &tensors[i].0);
    let mut header = Map::new();
    let about = about.iter().map(|(key, value)| (key.clone(), Value::from(&value[..])));
    header.insert("__metadata__".to_owned(), about.collect::<Map<_, _>>().into());
    let mut end = 0;
    for (name, shape) in order.iter().map(|&i| &tensors[i]) {
        let start = end;
        end += shape.iter().product::<usize>() * format.bytes();
        let (dtype, shape) = (format.dtype(), shape.clone());
        let info = TensorInfo { dtype, shape, data_offsets: (start, end) };
        header.insert(name.clone(), serde_json::to_value(info).expect("a tree of plain values"));
    }
    let mut header = Value::from(header).to_string().into_bytes();
    // Tensors begin at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    write_with(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        order.iter().try_for_each(|&i| data(i, &mut |bytes| file.write_all(bytes)))
    })
}

/// Returns scalars as stored bytes.
pub(crate) fn little_endian<T: Real>(numbers: &[T]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(numbers));
    for x in numbers {
        NumberFormat::of::<T>().push(x.to_f64(), &mut bytes);
    }
    bytes
}
