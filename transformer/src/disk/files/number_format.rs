//! The number formats of tensors in files.

use linalg::Real;
use linalg::half::{bf16_to_f32, f16_to_f32, f64_to_bf16, f64_to_f16};
use safetensors::Dtype;
use std::fmt;
use std::str::FromStr;

/// A number format of tensors in files.
///
/// ```
/// use transformer::disk::files::NumberFormat;
/// assert_eq!("bf16".parse(), Ok(NumberFormat::Bf16));
/// assert_eq!(NumberFormat::Bf16.hugging_face(), "bfloat16");
/// assert_eq!(NumberFormat::of::<f32>(), NumberFormat::F32);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NumberFormat {
    /// IEEE 754 binary16.
    F16,
    /// bfloat16.
    Bf16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
}

impl NumberFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::F16, Self::Bf16, Self::F32, Self::F64];

    /// Returns the format of a scalar in memory.
    #[must_use]
    pub fn of<T: Real>() -> Self {
        if size_of::<T>() == 4 { Self::F32 } else { Self::F64 }
    }

    /// Returns the format of a tensor's type; `None` for other types.
    pub(super) fn of_dtype(dtype: Dtype) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.dtype() == dtype)
    }

    /// Returns its type in a safetensors file.
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
            Self::F32 => Dtype::F32,
            Self::F64 => Dtype::F64,
        }
    }

    /// Returns its name in a `config.json`.
    pub fn hugging_face(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// Returns the size of a number in bytes.
    pub fn bytes(self) -> usize {
        self.dtype().bitsize() / 8
    }

    /// Returns the numbers of stored bytes.
    pub(super) fn numbers(self, bytes: &[u8]) -> Box<dyn Iterator<Item = f64> + '_> {
        let two = |b: &[u8; 2]| u16::from_le_bytes(*b);
        match self {
            Self::F64 => Box::new(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b))),
            Self::F32 => {
                Box::new(bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))))
            }
            Self::Bf16 => {
                Box::new(bytes.as_chunks().0.iter().map(move |b| f64::from(bf16_to_f32(two(b)))))
            }
            Self::F16 => {
                Box::new(bytes.as_chunks().0.iter().map(move |b| f64::from(f16_to_f32(two(b)))))
            }
        }
    }

    /// Appends a number, rounded to nearest, ties to even; returns whether a finite number is still finite.
    pub(super) fn push(self, x: f64, bytes: &mut Vec<u8>) -> bool {
        let rounded = match self {
            Self::F16 => {
                let bits = f64_to_f16(x);
                bytes.extend(bits.to_le_bytes());
                f64::from(f16_to_f32(bits))
            }
            Self::Bf16 => {
                let bits = f64_to_bf16(x);
                bytes.extend(bits.to_le_bytes());
                f64::from(bf16_to_f32(bits))
            }
            Self::F32 => {
                bytes.extend((x as f32).to_le_bytes());
                f64::from(x as f32)
            }
            Self::F64 => {
                bytes.extend(x.to_le_bytes());
                x
            }
        };
        rounded.is_finite() || !x.is_finite()
    }
}

impl fmt::Display for NumberFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

impl FromStr for NumberFormat {
    type Err = String;

    /// Reads a format by this program's name or Hugging Face's.
    fn from_str(name: &str) -> Result<Self, String> {
        let named = |format: &Self| format.to_string() == name || format.hugging_face() == name;
        let expected = || "expected f16, bf16, f32 or f64".to_owned();
        Self::ALL.into_iter().find(named).ok_or_else(expected)
    }
}
