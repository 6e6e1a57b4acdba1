//! The numbers of a page: compressed, and encoded as text.
//!
//! Neighbouring `f32`s have similar signs and exponents; their last bits are noise. So the first bytes of all numbers
//! are stored together, then the second ones, and so on, which helps deflate. A browser's `DecompressionStream` reads
//! it, from disk too.
//!
//! Numbers that the page can compute are stored as differences: a weight's gradient is a short sum over tokens, which
//! the page evaluates by the same double-precision operations in the same order; the difference to the stored `f32`, in
//! units of the last place, is nearly always 0 or ±1.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miniz_oxide::deflate::compress_to_vec;

/// Deflate's level: 6 is zlib's own choice.
const LEVEL: u8 = 6;

/// Encodes numbers as they are.
pub(super) fn floats(numbers: &[f32]) -> String {
    packed(numbers.iter().map(|x| x.to_bits()))
}

/// Encodes differences, in units of the last place, from the values that the page computes.
pub(super) fn differences(numbers: &[f32], computed: &[f32]) -> String {
    let difference = |(x, c): (&f32, &f32)| {
        let d = ordered(*x).wrapping_sub(ordered(*c));
        // Small differences of either sign have small codes: 0, −1, 1, −2, … → 0, 1, 2, 3, …
        ((d << 1) ^ (d >> 31)) as u32
    };
    packed(numbers.iter().zip(computed).map(difference))
}

/// Computes a checksum over the bits of numbers, by which the page checks what it has read.
pub(super) fn checksum(numbers: &[f32]) -> u32 {
    // −0 and 0 are the same number.
    let bits = |x: &f32| if *x == 0.0 { 0 } else { x.to_bits() };
    numbers.iter().fold(0_u32, |sum, x| sum.rotate_left(1).wrapping_add(bits(x)))
}

/// Maps `f32`s to integers in the same order: neighbours differ by one.
fn ordered(x: f32) -> i32 {
    let bits = x.to_bits() as i32;
    if bits < 0 { i32::MIN.wrapping_sub(bits) } else { bits }
}

/// Stores all first bytes (the highest), then all second ones, …, deflated, as base64.
fn packed(words: impl Iterator<Item = u32> + Clone) -> String {
    let planes = [24, 16, 8, 0].into_iter();
    let bytes: Vec<u8> =
        planes.flat_map(|shift| words.clone().map(move |w| (w >> shift) as u8)).collect();
    STANDARD.encode(compress_to_vec(&bytes, LEVEL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_differ_by_one() {
        let tiny = f32::from_bits(1);
        for (a, b) in
            [(0.0, tiny), (-tiny, 0.0), (1.0, 1.0_f32.next_up()), (-1.0_f32.next_up(), -1.0)]
        {
            assert_eq!(ordered(b) - ordered(a), 1);
        }
        assert_eq!(ordered(-0.0), ordered(0.0));
    }

    #[test]
    fn equal_numbers_take_no_room() {
        let x: Vec<f32> = (0..10_000).map(|i| (i as f32).sin()).collect();
        assert!(differences(&x, &x).len() < 200);
        assert!(floats(&x).len() < 10_000 * 16 / 3);
    }
}
