//! Formats of sixteen bits: what a value becomes where an accelerator stores it.
//!
//! bfloat16 is the upper half of an `f32`: its range, 8 bits of precision. float16 (IEEE 754 binary16)
//! has 11 bits of precision and ends at 65504. Accelerators multiply such numbers and add them up in
//! `f32`; what is *stored* is rounded to nearest, ties to even, with overflow to ∞ and gradual underflow.
//! Source: IEEE 754-2019, section 3.6; Micikevicius et al., *Mixed Precision Training*, 2018.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// IEEE 754 binary32: what this program computes in.
    #[default]
    F32,
    /// bfloat16.
    Bf16,
    /// IEEE 754 binary16.
    F16,
}

impl Precision {
    /// The number that is stored for `x`.
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

    /// The largest finite number.
    pub fn largest(self) -> f64 {
        match self {
            Precision::F32 => f64::from(f32::MAX),
            Precision::Bf16 => f64::from(bf16_to_f32(0x7f7f)),
            Precision::F16 => 65504.0,
        }
    }

    /// The smallest number above 0.
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
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        })
    }
}

/// Rounds all.
pub fn round_all(precision: Precision, values: &mut [f32]) {
    values.iter_mut().for_each(|x| *x = precision.round(*x));
}

/// The nearest bfloat16, by its bits.
pub fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x0040; // stays a NaN whatever the lower half was
    }
    // Half a unit less one, plus the bit that decides a tie.
    let rounded = bits + 0x7fff + ((bits >> 16) & 1);
    (rounded >> 16) as u16
}

/// A bfloat16 as an `f32`: exact.
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The nearest binary16, by its bits.
pub fn f32_to_f16(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    if x.is_nan() {
        return sign | 0x7e00;
    }
    let size = x.abs();
    if size >= 65520.0 {
        return sign | 0x7c00; // half a unit above the largest, and all beyond
    }
    // In units of the last place of this size: 2⁻²⁴ below the least normal number, 2⁻¹⁴.
    let exponent = ((bits >> 23 & 0xff) as i32 - 127).max(-14);
    let unit = 2.0_f64.powi(exponent - 10);
    let units = (f64::from(size) / unit).round_ties_even() as u32; // 0 to 2048
    // A carry into the next power of two is a carry into the exponent's bits.
    let biased = (exponent + 14) as u32; // 0 where subnormal; the leading bit adds 1 where normal
    sign | ((biased << 10) + units) as u16
}

/// A binary16 as an `f32`: exact.
pub fn f16_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1024.0 + fraction) * 2.0_f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Format = (fn(f32) -> u16, fn(u16) -> f32, u16);
    const F16: Format = (f32_to_f16, f16_to_f32, 0x7c00);
    const BF16: Format = (f32_to_bf16, bf16_to_f32, 0x7f80);

    #[test]
    fn every_number_of_sixteen_bits_comes_back() {
        for (to, from, infinity) in [F16, BF16] {
            for bits in 0..=u16::MAX {
                let x = from(bits);
                if bits & 0x7fff > infinity {
                    assert!(x.is_nan() && from(to(x)).is_nan());
                } else {
                    assert_eq!(to(x), bits, "{x}");
                }
            }
        }
    }

    #[test]
    fn between_two_neighbours_the_nearer_wins_and_a_tie_is_even() {
        for (to, from, infinity) in [F16, BF16] {
            for bits in 0..infinity - 1 {
                // Both neighbours and their middle are f32s, or at least f64s, exactly.
                let (low, high) = (f64::from(from(bits)), f64::from(from(bits + 1)));
                let middle = ((low + high) / 2.0) as f32;
                if f64::from(middle) != (low + high) / 2.0 {
                    continue; // bf16's subnormals have no f32 between them
                }
                let even = bits + (bits & 1);
                assert_eq!(to(middle), even, "{middle:e}");
                assert_eq!(to(-middle), even | 0x8000);
                assert_eq!(to(middle.next_down()), bits);
                assert_eq!(to(middle.next_up()), bits + 1);
            }
        }
    }

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
