//! Layer normalisation: standardises every token, then scales and shifts it.
//!
//! Formula, for each column x of n features: <var>µ = mean x</var>, <var>σ² = mean (x − µ)²</var>,
//! <var>x̂ = (x − µ)/√(σ² + ε)</var>, <var>y = g ⊙ x̂ + b</var>. The variance is that of the
//! population (divided by n), and ε lies inside the root.
//! Gradients: dg = Σ dy ⊙ x̂, db = Σ dy over tokens; with d = dy ⊙ g,
//! dx = <var>(d − mean d − x̂ · mean (d ⊙ x̂)) / √(σ² + ε)</var>.
//! Source: Ba, Kiros, Hinton, *Layer Normalization*, 2016.

use crate::accurate::{self, Deviations};
use crate::error::{ProbabilityError, check_length, check_setting};
use linalg::cases::{Cases, Size, Visitor, numbers};
use linalg::formula::{I, J, K, Letter, TOKEN, operand, sqrt, sum, upstream};
use linalg::{
    Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, affine::add_columns, column, parallel, parallel::each_column, vector,
};

/// Returns <var>(x − µ)/√(σ² + ε)</var> of one token: mean 0 and, except for ε, variance 1.
///
/// No scale overflows or underflows, and no mean is rounded: deviations are taken in units of the largest. A constant
/// token becomes zeros if ε > 0, and NaN if ε is 0. A NaN or infinite element makes all elements NaN. An empty token
/// stays empty.
///
/// # Errors
/// If ε is negative, infinite or NaN.
///
/// ```
/// let y = probability::layer_norm::standardise(&[1.0, 2.0, 3.0, 4.0], 0.0)?;
/// for (y, rounded) in y.into_iter().zip([-1.342_f64, -0.447, 0.447, 1.342]) {
///     assert!((y - rounded).abs() < 5e-4);
/// }
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias("zscore", "standardize", "scale"))]
pub fn standardise<T: Real>(x: &[T], epsilon: f64) -> Result<Vec<T>, ProbabilityError> {
    check_epsilon(epsilon)?;
    let Deviations { mut in_units, unit, range } = Deviations::new(x);
    divide_by_spread(&mut in_units, [unit, range], epsilon);
    Ok(in_units)
}

/// Returns the layer normalisation of one token: <var>g ⊙ (x − µ)/√(σ² + ε) + b</var>. [`LayerNorm`] is the operation
/// on every column, with its gradient.
///
/// NaN, infinities and extreme sizes are as in [`standardise`].
///
/// # Errors
/// If a gain or shift has another length than x, or ε is negative, infinite or NaN.
///
/// ```
/// use probability::layer_norm::layer_norm;
/// let y = layer_norm(&[1.0, 2.0, 3.0, 4.0], &[2.0; 4], &[10.0; 4], 1e-5)?;
/// assert!((y[3] - 12.683_f64).abs() < 1e-3); // 10 + 2·1.3416
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn layer_norm<T: Real>(
    x: &[T],
    gain: &[T],
    shift: &[T],
    epsilon: f64,
) -> Result<Vec<T>, ProbabilityError> {
    check_length("gains", x.len(), gain.len())?;
    check_length("shifts", x.len(), shift.len())?;
    let mut y = standardise(x, epsilon)?;
    y.iter_mut().zip(gain).zip(shift).for_each(|((y, &g), &b)| *y = *y * g + b);
    Ok(y)
}

pub(crate) fn check_epsilon(epsilon: f64) -> Result<(), ProbabilityError> {
    let right = epsilon >= 0.0 && epsilon.is_finite();
    check_setting("ε", "0 or more, and finite", epsilon, right)
}

/// Computes <var>d ← u·d/√(mean (u·d)² + ε)</var>. The numbers u·d are given in a unit u, a product of two, in which
/// their squares stay in range.
pub(crate) fn divide_by_spread<T: Real>(d: &mut [T], unit: [T; 2], epsilon: f64) {
    let n = T::from_f64(d.len() as f64);
    let mean_square = accurate::sum(d.iter().map(|&d| d * d)) / n;
    let relative = unit.iter().fold(epsilon, |e, u| e / u.to_f64() / u.to_f64());
    if !mean_square.to_f64().is_finite() {
        return d.fill(T::from_f64(f64::NAN));
    }
    // The mean square, 4 at most, is lost beside a larger ε. For zeros only ε is left, even if ε/u² underflows.
    if relative > 1e30 || (mean_square == T::zero() && epsilon > 0.0) {
        let root = T::from_f64(epsilon.sqrt());
        d.iter_mut().for_each(|d| *d = *d / root * unit[0] * unit[1]);
    } else {
        let root = (mean_square + T::from_f64(relative)).sqrt();
        d.iter_mut().for_each(|d| *d /= root);
    }
}

/// <var>dg ← dg + Σ dy·x̂</var> over columns of `heads` vectors each, where `standard(k)` takes an element of vector k
/// to its x̂.
#[inline(always)]
pub(crate) fn add_to_gain<T: Real, S: Fn(T) -> T>(
    d_gain: Gradient<'_, T>,
    x: View<'_, T>,
    dy: View<'_, T>,
    heads: usize,
    standard: impl Fn(usize) -> S + Sync,
) {
    let Some(d_gain) = d_gain.zeroed() else { return };
    parallel::rows([d_gain], 64, |first, [mut d_gain]| {
        T::simd(
            #[inline(always)]
            || {
                let features = x.nrows() / heads;
                let mut d_gain = d_gain.column_mut(0);
                let d_gain = d_gain.as_mut_slice();
                vector::add_all(d_gain, heads * x.ncols(), |k, d_gain| {
                    let standard = standard(k);
                    let first = k % heads * features + first;
                    let rows = first..first + d_gain.len();
                    let x = &column(&x, k / heads)[rows.clone()];
                    let dy = &column(&dy, k / heads)[rows];
                    for ((d, &x), &dy) in d_gain.iter_mut().zip(x).zip(dy) {
                        *d += dy * standard(x);
                    }
                });
            },
        );
    });
}

/// Standardises every column; operands are x and gain g, or x, gain g and shift b.
///
/// A constant column becomes the shift. A column with a NaN or infinite element becomes NaN. Unlike [`layer_norm`],
/// this does not rescale: if (x − µ)² overflows (|x| above 10¹⁹ in `f32`, 10¹⁵⁴ in `f64`), <var>1/√(σ² + ε)</var> is 0,
/// and the column also becomes the shift.
///
/// ```
/// use linalg::{Primitive, Work, matrix};
/// use probability::layer_norm::LayerNorm;
/// let [x, gain] = [matrix(4, 1, &[1.0, 2.0, 3.0, 4.0]), matrix(4, 1, &[1.0; 4])];
/// let (mut y, mut kept) = (matrix(4, 1, &[0.0; 4]), [0.0; 2]);
/// let work = Work::new(&mut kept, &mut []);
/// LayerNorm { epsilon: 1e-5 }.forward([x.as_view(), gain.as_view()], y.as_view_mut(), work);
/// assert!((y[0] + 1.342_f64).abs() < 1e-3 && (y[1] + 0.447).abs() < 1e-3);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// ε, added to the variance: a constant column is divided by √ε, not by zero.
    pub epsilon: f64,
}

/// Implements the operation for x and gain, and for x, gain and shift.
macro_rules! rules {
    (impl Primitive<$n:literal> for LayerNorm $(, $shift:ident: $b:literal)?) => {
        impl Primitive<$n> for LayerNorm {
            fn name(&self) -> &'static str {
                "layer normalisation"
            }

            fn role(&self) -> Role {
                Role::Norm
            }

            fn shape(&self, [x, gain $(, $shift)?]: [Shape; $n]) -> Result<Shape, ShapeError> {
                $($shift.expect("the shift", gain)?;)?
                gain.expect("the gain", Shape::new(x.rows, 1))?;
                Ok(x)
            }

            fn formula<T: Real>(&self, [x, ..]: [View<'_, T>; $n]) -> Formula {
                let (n, tokens) = x.shape();
                let (x, gain, dy, count) = (operand(0), operand(1), upstream(), n as f64);
                $(let $shift = operand(2);)?
                let mut f = Formula::new(
                    "y",
                    ["x", "g" $(, $b)?],
                    "Standardises every token to mean zero and variance one, then scales and shifts.",
                    "Ba, Kiros, Hinton, Layer Normalization, 2016",
                );
                let mean = f.define("µ", [J], sum(K, n, x.at(K, J)) / count);
                let off = |i: Letter| x.at(i, J) - mean.at(J);
                let variance = f.define("σ²", [J], sum(K, n, off(K) * off(K)) / count);
                let rate = f.define("ρ", [J], 1.0 / sqrt(variance.at(J) + self.epsilon));
                let standard = f.define("x̂", [I, J], off(I) * rate.at(J));
                let d = f.define("d", [I, J], dy.at(I, J) * gain.at(I, 0));
                let mean_d = f.define("d̄", [J], sum(K, n, d.at2(K, J)) / count);
                let products = sum(K, n, d.at2(K, J) * standard.at2(K, J));
                let mean_dx = f.define("c", [J], products / count);
                let inner = d.at2(I, J) - mean_d.at(J) - standard.at2(I, J) * mean_dx.at(J);
                f.value(standard.at2(I, J) * gain.at(I, 0) $(+ $shift.at(I, 0))?)
                    .gradient(rate.at(J) * inner)
                    .gradient(sum(TOKEN, tokens, dy.at(I, TOKEN) * standard.at2(I, TOKEN)))
                    $(.gradient({ let _ = $b; sum(TOKEN, tokens, dy.at(I, TOKEN)) }))?
            }

            /// Writes y, and stores µ and <var>1/√(σ² + ε)</var> of every column.
            fn forward<T: Real>(
                &self,
                [x, gain $(, $shift)?]: [View<'_, T>; $n],
                y: ViewMut<'_, T>,
                work: Work<'_, T>,
            ) {
                let moments = ViewMut::from_slice(work.kept, 2, x.ncols());
                let (n, epsilon) = (T::from_f64(x.nrows() as f64), T::from_f64(self.epsilon));
                each_column([y, moments], #[inline(always)] |j, [y, moments]| {
                    let x = column(&x, j);
                    let mean = vector::sum(x) / n;
                    let variance = vector::reduce(x, x, |x, _| (x - mean) * (x - mean)) / n;
                    let rate = T::one() / (variance + epsilon).sqrt();
                    (moments[0], moments[1]) = (mean, rate);
                    for ((y, &x), &g) in y.iter_mut().zip(x).zip(column(&gain, 0)) {
                        *y = (x - mean) * rate * g;
                    }
                    $(vector::axpy(y, T::one(), column(&$shift, 0));)?
                });
            }

            fn vjp<T: Real>(
                &self,
                [x, gain, ..]: [View<'_, T>; $n],
                _: View<'_, T>,
                dy: View<'_, T>,
                [dx, d_gain $(, $shift)?]: [Gradient<'_, T>; $n],
                work: Work<'_, T>,
            ) {
                let moments = View::from_slice(work.kept, 2, x.ncols());
                let n = T::from_f64(x.nrows() as f64);
                dx.add_each_column(#[inline(always)] |j, dx| {
                    let (mean, rate) = (moments[(0, j)], moments[(1, j)]);
                    let (x, dy, gain) = (column(&x, j), column(&dy, j), column(&gain, 0));
                    let standard = |x: T| (x - mean) * rate;
                    let mean_d = vector::dot(dy, gain) / n;
                    let mean_dx = vector::reduce3(x, dy, gain, |x, dy, g| dy * g * standard(x)) / n;
                    for (((dx, &x), &dy), &g) in dx.iter_mut().zip(x).zip(dy).zip(gain) {
                        *dx += rate * (dy * g - mean_d - standard(x) * mean_dx);
                    }
                });
                add_to_gain(d_gain, x, dy, 1, #[inline(always)] |j| {
                    let (mean, rate) = (moments[(0, j)], moments[(1, j)]);
                    #[inline(always)] move |x| (x - mean) * rate
                });
                $(if let Some(shift) = $shift.zeroed() {
                    add_columns(shift, dy);
                })?
            }

            fn flops(&self, [x, ..]: [Shape; $n]) -> u64 {
                (5 + $n) * x.len() as u64
            }

            fn vjp_reads(&self) -> Reads<$n> {
                Reads { inputs: std::array::from_fn(|k| k < 2), output: false }
            }

            fn is_cheap(&self) -> bool {
                true
            }

            fn memory(&self, [x, ..]: [Shape; $n]) -> Memory {
                Memory { kept: 2 * x.columns, scratch: 0 }
            }
        }
    };
}

rules!(impl Primitive<2> for LayerNorm);
rules!(impl Primitive<3> for LayerNorm, shift: "b");

impl Cases for LayerNorm {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            let norm = LayerNorm { epsilon: 1e-5 };
            visitor.visit(norm, [numbers(m, n), numbers(m, 1)]);
            visitor.visit(norm, [numbers(m, n), numbers(m, 1), numbers(m, 1)]);
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
        let (mut y, mut kept) = (matrix(4, 1, &[f64::NAN; 4]), [0.0; 2]);
        let norm = LayerNorm { epsilon: 1e-5 };
        let inputs = [x.as_view(), gain.as_view()];
        let work = Work::new(&mut kept, &mut []);
        norm.forward(inputs, y.as_view_mut(), work);
        let dy = matrix(4, 1, &[1.0, 0.0, 0.0, 0.0]);
        let (mut dx, mut dg) = (matrix(4, 1, &[0.0; 4]), matrix(4, 1, &[0.0; 4]));
        let work = Work::new(&mut kept, &mut []);
        let gradients = [dx.as_view_mut(), dg.as_view_mut()].map(Gradient::fresh);
        norm.vjp(inputs, y.as_view(), dy.as_view(), gradients, work);
        for (found, expected) in dx.iter().zip([0.26833, -0.357768, -0.089443, 0.178882]) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        assert!(dx.sum().abs() < 1e-15); // a common shift of x changes nothing
    }
}
