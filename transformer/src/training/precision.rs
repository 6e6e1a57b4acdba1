//! Formats of numbers: what a training run multiplies, and what an accelerator stores.
//!
//! bfloat16 is the upper half of an `f32`: its range, 8 bits of precision. float16 (IEEE 754 binary16)
//! has 11 bits of precision and ends at 65504. Accelerators multiply such numbers and add them up in
//! `f32`; *stored* values are rounded to nearest, ties to even, with overflow to ∞ and gradual underflow.
//! Source: IEEE 754-2019, section 3.6; Micikevicius et al., *Mixed Precision Training*, 2018.

use crate::keyed::keyed;
use linalg::half::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
use linalg::{Products, Real};
use rayon::prelude::*;
use std::fmt;

keyed! {
    /// A format of numbers.
    #[derive(Default)]
    #[non_exhaustive]
    Precision {
        #[default]
        F32: "f32", "IEEE 754 binary32: 24 bits of precision";
        Bf16: "bf16", "bfloat16: the range of f32, 8 bits of precision";
        F16: "f16", "IEEE 754 binary16: 11 bits of precision, up to 65504";
    }
}

impl Precision {
    /// Returns how linear maps multiply numbers of this format; f16 has no such products.
    pub(crate) fn products(self) -> Products {
        match self {
            Precision::F32 | Precision::F16 => Products::Full,
            Precision::Bf16 => Products::Bf16,
        }
    }

    /// Returns `x` rounded to this format.
    ///
    /// ```
    /// use transformer::Precision;
    /// assert_eq!(Precision::F16.round(1.0 + 1.0 / 2048.0), 1.0); // a tie goes to the even neighbour
    /// assert_eq!(Precision::F16.round(65520.0), f32::INFINITY);
    /// assert_eq!(Precision::Bf16.round(65520.0), 65536.0);
    /// assert_eq!(Precision::F16.round(2e-8), 0.0);
    /// ```
    pub fn round(self, x: f32) -> f32 {
        match self {
            Precision::F32 => x,
            Precision::Bf16 => bf16_to_f32(f32_to_bf16(x)),
            Precision::F16 => f16_to_f32(f32_to_f16(x)),
        }
    }

    /// Returns the largest finite number.
    pub fn largest(self) -> f64 {
        match self {
            Precision::F32 => f64::from(f32::MAX),
            Precision::Bf16 => f64::from(bf16_to_f32(0x7f7f)),
            Precision::F16 => 65504.0,
        }
    }

    /// Returns the smallest number above 0.
    pub fn smallest(self) -> f64 {
        match self {
            Precision::F32 => 2.0_f64.powi(-149),
            Precision::Bf16 => 2.0_f64.powi(-133),
            Precision::F16 => 2.0_f64.powi(-24),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// Rounds all values to a storage format.
pub fn round_all<T: Real>(precision: Precision, values: &mut [T]) {
    if precision != Precision::F32 {
        let round = |x: T| T::from_f64(f64::from(precision.round(x.to_f64() as f32)));
        values.par_chunks_mut(1 << 14).flatten_iter().for_each(|x| *x = round(*x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_range() {
        for format in [Precision::F16, Precision::Bf16] {
            let largest = format.largest();
            assert_eq!(f64::from(format.round(largest as f32)), largest);
            assert_eq!(f64::from(format.round(format.smallest() as f32)), format.smallest());
            assert_eq!(format.round(-f32::INFINITY), -f32::INFINITY);
            assert!(format.round(f32::NAN).is_nan());
            assert_eq!(format.round(0.0), 0.0);
        }
        assert_eq!(Precision::F16.round(65519.0), 65504.0);
        assert_eq!(Precision::F16.round(-65520.0), -f32::INFINITY);
        assert_eq!(Precision::F16.round(2.0_f32.powi(-25)), 0.0); // half the smallest: a tie to even
        assert_eq!(Precision::Bf16.round(f32::MAX), f32::INFINITY);
        assert_eq!(Precision::F32.round(0.1), 0.1);
    }
}
