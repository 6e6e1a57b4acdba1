//! Sinusoidal positions: the position encoding of the original transformer, and its relation to rotations.
//!
//! Formula: <var>PE(t)₂ᵢ = sin(t·ωᵢ)</var>, <var>PE(t)₂ᵢ₊₁ = cos(t·ωᵢ)</var>, <var>ωᵢ = base^(−2i/d)</var>. PE(t + s)
//! is a linear map of PE(t) that depends only on s: every pair rotates by <var>s·ωᵢ</var>.
//! [`crate::operation::rotation`] applies that map to queries and keys instead of adding the encoding. In a
//! transformer: added to the embeddings, once, before the first layer.
//! Source: Vaswani et al., *Attention Is All You Need*, 2017, section 3.5.

use crate::{Real, ShapeError, operation::rotation::frequency, shape::equal_parts};

/// Returns PE(t), `width` numbers between −1 and 1.
///
/// Floats: a non-finite position gives NaN. Empty for width 0.
///
/// # Errors
/// An odd width.
///
/// ```
/// let code: Vec<f64> = linalg::sinusoid::position(1.0, 4, 1e4)?;
/// let expected = [0.841471, 0.540302, 0.0099998, 0.99995];
/// assert!(code.iter().zip(expected).all(|(c, e)| (c - e).abs() < 5e-7));
/// # Ok::<(), linalg::ShapeError>(())
/// ```
pub fn position<T: Real>(position: T, width: usize, base: f64) -> Result<Vec<T>, ShapeError> {
    equal_parts("the width", width, 2)?;
    let angle = |i| position * T::from_f64(frequency(i, width, base));
    Ok((0..width / 2).flat_map(|i| [angle(i).sin(), angle(i).cos()]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::rotation::{Pairs, rotate};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_shift_is_a_rotation(t in 0..500_i32, s in 0..500_i32, half in 1..9_usize) {
            let code = |t: i32| position(f64::from(t), 2 * half, 1e4).unwrap();
            // (sin, cos) rotates clockwise.
            let turned = rotate(&code(t), -f64::from(s), 1e4, Pairs::Neighbours).unwrap();
            for (found, expected) in turned.iter().zip(code(t + s)) {
                prop_assert!((found - expected).abs() <= 4.0 * 1000.0 * f64::EPSILON);
            }
        }
    }

    #[test]
    fn an_odd_width_is_refused() {
        assert!(position(1.0, 3, 1e4).is_err());
    }
}
