//! 16-bit floating-point formats, converted to and from `f32`.
//!
//! bfloat16 is the upper half of an `f32`: it has the same range and 8 bits of precision. float16 (IEEE 754 binary16)
//! has 11 bits of precision and a largest value of 65504. Conversions to 16 bits round to nearest, ties to even, with
//! overflow to ∞ and gradual underflow. Conversions to `f32` are exact.
//! Source: IEEE 754-2019, sections 3.6 and 4.3.1.

/// Returns the bits of the nearest bfloat16.
///
/// ```
/// use linalg::half::{bf16_to_f32, f32_to_bf16};
/// assert_eq!(bf16_to_f32(f32_to_bf16(65520.0)), 65536.0);
/// ```
pub fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x0040; // sets a mantissa bit, so that it stays a NaN
    }
    // Half a unit minus one, plus the bit that decides a tie.
    let rounded = bits + 0x7fff + ((bits >> 16) & 1);
    (rounded >> 16) as u16
}

/// Like [`f32_to_bf16`], but converts an `f64` with a single rounding.
///
/// ```
/// use linalg::half::{f32_to_bf16, f64_to_bf16};
/// let above = 1.0 + 1.0 / 256.0 + 1e-12; // above the tie; rounded to f32 first, it would be the tie
/// assert_eq!((f64_to_bf16(above), f32_to_bf16(above as f32)), (0x3f81, 0x3f80));
/// ```
pub fn f64_to_bf16(x: f64) -> u16 {
    let near = x as f32;
    if x.is_nan() || f64::from(near) == x {
        return f32_to_bf16(near);
    }
    // Rounded to odd: towards 0, with the last bit set, which keeps the number off every tie.
    let below = near.to_bits() - u32::from(f64::from(near).abs() > x.abs());
    f32_to_bf16(f32::from_bits(below | 1))
}

/// Returns a bfloat16 as an `f32`, exactly.
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Returns the bits of the nearest binary16.
///
/// ```
/// use linalg::half::{f16_to_f32, f32_to_f16};
/// assert_eq!(f16_to_f32(f32_to_f16(1.0 + 1.0 / 2048.0)), 1.0); // a tie goes to the even neighbour
/// assert_eq!(f16_to_f32(f32_to_f16(65520.0)), f32::INFINITY);
/// ```
pub fn f32_to_f16(x: f32) -> u16 {
    f64_to_f16(f64::from(x))
}

/// Like [`f32_to_f16`], but converts an `f64` with a single rounding.
///
/// ```
/// use linalg::half::{f32_to_f16, f64_to_f16};
/// let above = 1.0 + 1.0 / 2048.0 + 1e-12; // above the tie; rounded to f32 first, it would be the tie
/// assert_eq!((f64_to_f16(above), f32_to_f16(above as f32)), (0x3c01, 0x3c00));
/// ```
pub fn f64_to_f16(x: f64) -> u16 {
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    if x.is_nan() {
        return sign | 0x7e00;
    }
    let size = x.abs();
    if size >= 65520.0 {
        return sign | 0x7c00; // half a unit above the largest number, and beyond
    }
    // In units of the last place; below the smallest normal number, 2⁻¹⁴, a unit is 2⁻²⁴.
    let biased = (size.to_bits() >> 52).max(1023 - 14); // the exponent and 1023
    let units = size * f64::from_bits((2 * 1023 + 10 - biased) << 52); // 0 to 2048
    /// Above it neighbours are 1 apart: a sum with it is rounded to a whole number, ties to even.
    const WHOLE: f64 = (1_u64 << 52) as f64;
    let units = ((units + WHOLE) - WHOLE) as u32;
    // A carry into the next power of two carries into the exponent bits.
    let biased = (biased - (1023 - 14)) as u32; // 0 if subnormal; the leading bit adds 1 if normal
    sign | ((biased << 10) + units) as u16
}

/// Returns a binary16 as an `f32`, exactly.
pub fn f16_to_f32(bits: u16) -> f32 {
    /// The unit of subnormal numbers, 2⁻²⁴.
    const UNIT: f32 = 1.0 / (1 << 24) as f32;
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let size = match exponent {
        0 => (fraction as f32 * UNIT).to_bits(),
        0x1f => 0xff << 23 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | size)
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
                // Both neighbours and their midpoint are exact in f32, or at least in f64.
                let (low, high) = (f64::from(from(bits)), f64::from(from(bits + 1)));
                let middle = ((low + high) / 2.0) as f32;
                if f64::from(middle) != (low + high) / 2.0 {
                    continue; // a midpoint of bf16's subnormals is not an f32
                }
                let even = bits + (bits & 1);
                assert_eq!(to(middle), even, "{middle:e}");
                assert_eq!(to(-middle), even | 0x8000);
                assert_eq!(to(middle.next_down()), bits);
                assert_eq!(to(middle.next_up()), bits + 1);
            }
        }
    }

    /// An `f64` that is no `f32` rounds as its distance to the two neighbours says, also beside ties and at both ends.
    #[test]
    fn a_double_is_rounded_once() {
        for bits in (0..0x7f7f).step_by(7).chain([0x7f7e, 1, 0x007f, 0x0080]) {
            let (low, high) = (f64::from(bf16_to_f32(bits)), f64::from(bf16_to_f32(bits + 1)));
            let middle = (low + high) / 2.0;
            assert_eq!(f64_to_bf16(middle), bits + (bits & 1), "{middle:e}");
            assert_eq!(f64_to_bf16(middle.next_down()), bits);
            assert_eq!(f64_to_bf16(middle.next_up()), bits + 1);
            assert_eq!(f64_to_bf16(-middle.next_up()), 0x8000 | (bits + 1));
        }
        let largest = f64::from(bf16_to_f32(0x7f7f));
        let end = largest + (largest - f64::from(bf16_to_f32(0x7f7e))) / 2.0;
        assert_eq!((f64_to_bf16(end.next_down()), f64_to_bf16(end)), (0x7f7f, 0x7f80));
        assert_eq!([1e300, -1e300, 1e-300, -1e-300].map(f64_to_bf16), [0x7f80, 0xff80, 0, 0x8000]);
        assert!(bf16_to_f32(f64_to_bf16(f64::NAN)).is_nan());
    }

    #[test]
    fn known_points() {
        let known = [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (1, 2.0_f32.powi(-24))];
        for (bits, x) in known {
            assert_eq!((f16_to_f32(bits), f32_to_f16(x)), (x, bits));
        }
        assert!(f16_to_f32(0x7c01).is_nan() && f16_to_f32(0xfc00) == f32::NEG_INFINITY);
    }
}
