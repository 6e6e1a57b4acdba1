//! Sinusoidal positions: the position encoding of the original transformer, and its relation to rotations.
//!
//! Formula: <var>PE(t)₂ᵢ = sin(t·ωᵢ)</var>, <var>PE(t)₂ᵢ₊₁ = cos(t·ωᵢ)</var>, <var>ωᵢ = base^(−2i/d)</var>. PE(t + s)
//! is a linear map of PE(t) that depends only on s: every pair rotates by <var>s·ωᵢ</var>.
//! [`crate::operation::rotation`] applies that map to queries and keys instead of adding the encoding. In a
//! transformer: added to the embeddings, once, before the first layer.
//! Source: Vaswani et al., *Attention Is All You Need*, 2017, section 3.5.

use crate::cases::{Cases, Operand, Size, Visitor};
use crate::formula::{I, J};
use crate::{
    Formula, Gradient, Matrix, Primitive, Reads, Real, Shape, ShapeError, View, ViewMut, Work,
    operation::rotation::frequency, parallel, shape::equal_parts,
};

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

/// The code PE(t) of every position t (1 × tokens) as a column (width × tokens).
///
/// Angles are computed in `f64` whatever the scalar. Positions get no gradient, as indices get none.
///
/// ```
/// use linalg::{apply, matrix, sinusoid::{Sinusoid, position}};
/// let codes = apply(&Sinusoid { width: 4, base: 1e4 }, [&matrix(1, 2, &[0.0, 7.0])])?;
/// assert_eq!(codes.column(1).as_slice(), position(7.0, 4, 1e4)?);
/// # Ok::<(), linalg::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sinusoid {
    /// Numbers of a code, an even number.
    pub width: usize,
    /// The base of the frequencies: 10⁴ in Vaswani et al.
    pub base: f64,
}

impl Sinusoid {
    /// Returns number i of the code of position t.
    fn at<T: Real>(&self, i: usize, t: T) -> T {
        let angle = t.to_f64() * frequency(i / 2, self.width, self.base);
        T::from_f64(if i.is_multiple_of(2) { angle.sin() } else { angle.cos() })
    }
}

impl Primitive<1> for Sinusoid {
    fn name(&self) -> &'static str {
        "sinusoidal positions"
    }

    fn shape(&self, [positions]: [Shape; 1]) -> Result<Shape, ShapeError> {
        positions.expect_rows("the row of positions", 1)?;
        equal_parts("the width", self.width, 2)?;
        Ok(Shape::new(self.width, positions.columns))
    }

    fn formula<T: Real>(&self, [positions]: [View<'_, T>; 1]) -> Formula {
        let mut f = Formula::new(
            "y",
            ["positions"],
            "Writes every position as sines and cosines of angles that grow at different speeds.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.5",
        );
        let at = |i, j| self.at::<T>(i, positions[j]).to_f64();
        let code = f.table("PE", Matrix::from_fn(self.width, positions.ncols(), at));
        f.value(code.at(I, J)).no_gradient()
    }

    fn forward<T: Real>(&self, [positions]: [View<'_, T>; 1], y: ViewMut<'_, T>, _: Work<'_, T>) {
        parallel::each_column([y], |j, [y]| {
            y.iter_mut().enumerate().for_each(|(i, y)| *y = self.at(i, positions[j]));
        });
    }

    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 1],
        _: View<'_, T>,
        _: View<'_, T>,
        _: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
    }

    fn flops(&self, [positions]: [Shape; 1]) -> u64 {
        // A sine or cosine for every element, in `f64` whatever the scalar.
        (self.width * positions.columns) as u64
    }

    fn vjp_flops(&self, _: [Shape; 1]) -> u64 {
        0
    }

    fn vjp_reads(&self) -> Reads<1> {
        Reads { inputs: [false], output: false }
    }
}

impl Cases for Sinusoid {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Heads { rows, length, sequences, .. } = size {
            let positions = Operand::Indices { count: sequences * length, below: 500 };
            visitor.visit(Sinusoid { width: 2 * rows, base: 1e4 }, [positions]);
        }
    }
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
