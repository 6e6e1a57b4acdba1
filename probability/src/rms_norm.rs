//! RMS normalisation: divides every token by its root mean square, then scales it.
//!
//! Formula, for each column x of n features: <var>x̂ = x/√(mean x² + ε)</var>, <var>y = g ⊙ x̂</var>. It is layer
//! normalisation without the mean: equal on centred columns, and cheaper. ε lies inside the root.
//! Gradients: dg = Σ dy ⊙ x̂ over tokens; with d = dy ⊙ g,
//! dx = <var>(d − x̂ · mean (d ⊙ x̂)) / √(mean x² + ε)</var>.
//! Source: Zhang, Sennrich, *Root mean square layer normalization*, 2019.

use crate::accurate;
use crate::error::{ProbabilityError, check_length};
use crate::layer_norm::{add_to_gain, check_epsilon, divide_by_spread};
use linalg::cases::{Cases, Size, Visitor, numbers};
use linalg::formula::{I, J, K, TOKEN, operand, sqrt, sum, upstream};
use linalg::{
    Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, column, parallel::each_column, vector,
};

/// Divides one token x by <var>√(mean x² + ε)</var> and multiplies it by the gain. [`RmsNorm`] is the operation on
/// every column, with its gradient.
///
/// No scale overflows: the largest element is divided out first. Zeros stay zeros if ε > 0, and become NaN if ε is 0. A
/// NaN or infinite element makes all elements NaN. An empty token stays empty.
///
/// # Errors
/// If the gain has another length, or ε is negative, infinite or NaN.
///
/// ```
/// let y = probability::rms_norm::rms_norm(&[1.0, 2.0, 3.0, 4.0], &[1.0; 4], 0.0)?;
/// assert!((y[0] - 1.0 / 7.5_f64.sqrt()).abs() < 1e-15); // mean x² = 7.5
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn rms_norm<T: Real>(x: &[T], gain: &[T], epsilon: f64) -> Result<Vec<T>, ProbabilityError> {
    check_epsilon(epsilon)?;
    check_length("gains", x.len(), gain.len())?;
    let unit = accurate::power_of_two(x);
    let mut y: Vec<T> = x.iter().map(|&x| x / unit).collect();
    divide_by_spread(&mut y, [unit, T::one()], epsilon);
    y.iter_mut().zip(gain).for_each(|(y, &g)| *y *= g);
    Ok(y)
}

/// Divides every column by its root mean square; operands are x and gain g.
///
/// A column of zeros stays zeros; a column with a NaN becomes NaN. Unlike [`rms_norm`], this does not rescale first: if
/// x² overflows (|x| above 10¹⁹ in `f32`, 10¹⁵⁴ in `f64`) finite elements become 0, and infinite ones NaN.
///
/// ```
/// use linalg::{Primitive, Work, matrix};
/// use probability::rms_norm::RmsNorm;
/// let [x, gain] = [matrix(4, 1, &[1.0, 2.0, 3.0, 4.0]), matrix(4, 1, &[1.0; 4])];
/// let (mut y, mut kept) = (matrix(4, 1, &[0.0; 4]), [0.0]);
/// let work = Work { kept: &mut kept, scratch: &mut [] };
/// RmsNorm { epsilon: 1e-5 }.forward([x.as_view(), gain.as_view()], y.as_view_mut(), work);
/// assert!((y[0] - 0.365148_f64).abs() < 1e-6 && (y[3] - 1.460592).abs() < 1e-6);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm {
    /// ε, added to the mean square: a column of zeros is divided by √ε, not by zero.
    pub epsilon: f64,
}

impl Primitive<2> for RmsNorm {
    fn name(&self) -> &'static str {
        "RMS normalisation"
    }

    fn role(&self) -> Role {
        Role::Norm
    }

    fn shape(&self, [x, gain]: [Shape; 2]) -> Result<Shape, ShapeError> {
        gain.expect("the gain", Shape::new(x.rows, 1))?;
        Ok(x)
    }

    fn formula<T: Real>(&self, [x, _]: [View<'_, T>; 2]) -> Formula {
        let (n, tokens) = (x.nrows(), x.ncols());
        let (x, gain, dy) = (operand(0), operand(1), upstream());
        let mut f = Formula::new(
            "y",
            ["x", "g"],
            "Brings every token to mean square one, then scales.",
            "Zhang and Sennrich, Root Mean Square Layer Normalization, 2019",
        );
        let square = sum(K, n, x.at(K, J) * x.at(K, J)) / n as f64;
        let rate = f.define("ρ", [J], 1.0 / sqrt(square + self.epsilon));
        let standard = f.define("x̂", [I, J], x.at(I, J) * rate.at(J));
        let d = f.define("d", [I, J], dy.at(I, J) * gain.at(I, 0));
        let mean = f.define("c", [J], sum(K, n, d.at2(K, J) * standard.at2(K, J)) / n as f64);
        let inner = d.at2(I, J) - standard.at2(I, J) * mean.at(J);
        f.value(standard.at2(I, J) * gain.at(I, 0)).gradient(rate.at(J) * inner).gradient(sum(
            TOKEN,
            tokens,
            dy.at(I, TOKEN) * standard.at2(I, TOKEN),
        ))
    }

    /// Writes y, and stores <var>1/√(mean x² + ε)</var> of every column.
    fn forward<T: Real>(&self, [x, gain]: [View<'_, T>; 2], y: ViewMut<'_, T>, work: Work<'_, T>) {
        let rates = ViewMut::from_slice(work.kept, 1, x.ncols());
        let (n, epsilon) = (T::from_f64(x.nrows() as f64), T::from_f64(self.epsilon));
        each_column(
            [y, rates],
            #[inline(always)]
            |j, [y, kept]| {
                let x = column(&x, j);
                let rate = T::one() / (vector::dot(x, x) / n + epsilon).sqrt();
                kept[0] = rate;
                for ((y, &x), &g) in y.iter_mut().zip(x).zip(column(&gain, 0)) {
                    *y = x * rate * g;
                }
            },
        );
    }

    fn vjp<T: Real>(
        &self,
        [x, gain]: [View<'_, T>; 2],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx, d_gain]: [Gradient<'_, T>; 2],
        work: Work<'_, T>,
    ) {
        let rates = &*work.kept;
        let (features, n) = (x.nrows(), T::from_f64(x.nrows() as f64));
        dx.add_each_column(
            #[inline(always)]
            |j, dx| {
                let (rate, dx) = (rates[j], &mut dx[..features]);
                let [x, dy] = [&x, &dy].map(|x| &column(x, j)[..features]);
                let gain = &column(&gain, 0)[..features];
                let mean = vector::sum_of(features, |i| dy[i] * gain[i] * (x[i] * rate)) / n;
                for (i, dx) in dx.iter_mut().enumerate() {
                    *dx += rate * (dy[i] * gain[i] - x[i] * rate * mean);
                }
            },
        );
        add_to_gain(
            d_gain,
            x,
            dy,
            #[inline(always)]
            |j| {
                let rate = rates[j];
                #[inline(always)]
                move |x| x * rate
            },
        );
    }

    fn flops(&self, [x, _]: [Shape; 2]) -> u64 {
        4 * x.len() as u64
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [true; 2], output: false }
    }

    fn is_cheap(&self) -> bool {
        true
    }

    fn memory(&self, [x, _]: [Shape; 2]) -> Memory {
        Memory { kept: x.columns, scratch: 0 }
    }
}

impl Cases for RmsNorm {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            visitor.visit(RmsNorm { epsilon: 1e-5 }, [numbers(m, n), numbers(m, 1)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::matrix;

    /// The textbook's example, recomputed: x = 1, 2, 3, 4 and the gradient of its first output.
    #[test]
    fn backward_of_the_textbook_fixture() {
        let [x, gain] = [matrix(4, 1, &[1.0, 2.0, 3.0, 4.0]), matrix(4, 1, &[1.0; 4])];
        let (mut y, mut kept) = (matrix(4, 1, &[f64::NAN; 4]), [0.0]);
        let norm = RmsNorm { epsilon: 1e-5 };
        let inputs = [x.as_view(), gain.as_view()];
        let work = Work { kept: &mut kept, scratch: &mut [] };
        norm.forward(inputs, y.as_view_mut(), work);
        let dy = matrix(4, 1, &[1.0, 0.0, 0.0, 0.0]);
        let (mut dx, mut dg) = (matrix(4, 1, &[0.0; 4]), matrix(4, 1, &[0.0; 4]));
        let work = Work { kept: &mut kept, scratch: &mut [] };
        let gradients = [dx.as_view_mut(), dg.as_view_mut()].map(Gradient::fresh);
        norm.vjp(inputs, y.as_view(), dy.as_view(), gradients, work);
        for (found, expected) in dx.iter().zip([0.352977, -0.024343, -0.036515, -0.048686]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
