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
use linalg::formula::{
    Defined, Expression, HEAD, I, Index, J, K, TOKEN, operand, sqrt, sum, upstream,
};
use linalg::{
    Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, column, parallel::each_column, shape::equal_parts, vector,
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
#[doc(alias = "rmsnorm")]
pub fn rms_norm<T: Real>(x: &[T], gain: &[T], epsilon: f64) -> Result<Vec<T>, ProbabilityError> {
    check_epsilon(epsilon)?;
    check_length("gains", x.len(), gain.len())?;
    let unit = accurate::power_of_two(x);
    let mut y: Vec<T> = x.iter().map(|&x| x / unit).collect();
    divide_by_spread(&mut y, [unit, T::one()], epsilon);
    y.iter_mut().zip(gain).for_each(|(y, &g)| *y *= g);
    Ok(y)
}

/// Divides every column by its root mean square; operands are x and gain g, or x alone for a gain of 1.
///
/// With `heads`, every column consists of that many vectors, each divided by its own root mean square and scaled by the
/// same gain: the query-key norm. Source: Henry et al., *Query-Key Normalization for Transformers*, 2020; Qwen Team,
/// *Qwen3 Technical Report*, 2025.
///
/// A column of zeros stays zeros; a column with a NaN becomes NaN. Unlike [`rms_norm`], this does not rescale first: if
/// x² overflows (|x| above 10¹⁹ in `f32`, 10¹⁵⁴ in `f64`) finite elements become 0, and infinite ones NaN.
///
/// ```
/// use linalg::{apply, matrix};
/// use probability::rms_norm::RmsNorm;
/// let (x, gain) = (matrix(4, 1, &[1.0, 2.0, 3.0, 4.0]), matrix(4, 1, &[1.0; 4]));
/// let y = apply(&RmsNorm::new(1e-5), [&x, &gain])?;
/// assert!((y[0] - 0.365148_f64).abs() < 1e-6 && (y[3] - 1.460592).abs() < 1e-6);
/// let two_heads = apply(&RmsNorm { heads: 2, ..RmsNorm::new(0.0) }, [&x])?;
/// assert!((two_heads[3] - 4.0 / 12.5_f64.sqrt()).abs() < 1e-15); // of 3 and 4 alone
/// # Ok::<(), linalg::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm {
    /// ε, added to the mean square: a column of zeros is divided by √ε, not by zero.
    pub epsilon: f64,
    /// The number of vectors in a column.
    pub heads: usize,
    /// A number added to every gain: 1 if parameters are the gain's distance from 1. Source: Gemma Team, *Gemma*, 2024.
    pub offset: f64,
}

impl RmsNorm {
    /// Returns the normalisation of whole columns by the gain itself.
    pub fn new(epsilon: f64) -> Self {
        RmsNorm { epsilon, heads: 1, offset: 0.0 }
    }
}

impl RmsNorm {
    /// The formula of vectors of n features, `heads` of them in each of the columns.
    fn stated<const N: usize>(&self, n: usize, tokens: usize, names: [&'static str; N]) -> Formula {
        let (heads, x, dy, scaled) = (self.heads, operand(0), upstream(), N == 2);
        let mut f = Formula::new(
            "y",
            names,
            "Brings every token to mean square one, then scales.",
            "Zhang and Sennrich, Root Mean Square Layer Normalization, 2019",
        );
        // Where a column has several vectors, their quantities have two letters: the head and the column.
        let define = |f: &mut Formula, name, of: &dyn Fn(Index) -> Expression| match heads {
            1 => f.define(name, [J], of(K.into())),
            _ => f.define(name, [I, J], of(I * n + K)),
        };
        let own = |d: Defined| if heads == 1 { d.at(J) } else { d.at2(I / n, J) };
        let gain = |x: Expression| {
            let gain = || operand(1).at(if heads == 1 { I.into() } else { I % n }, 0);
            match (scaled, self.offset == 0.0) {
                (false, _) => x,
                (true, true) => x * gain(),
                (true, false) => x * (self.offset + gain()),
            }
        };
        let rate = define(&mut f, "ρ", &|k| {
            let square = sum(K, n, x.at(k.clone(), J) * x.at(k, J)) / n as f64;
            1.0 / sqrt(square + self.epsilon)
        });
        let standard = f.define("x̂", [I, J], x.at(I, J) * own(rate));
        let d = f.define("d", [I, J], gain(dy.at(I, J)));
        let mean = define(&mut f, "c", &|k| {
            sum(K, n, d.at2(k.clone(), J) * standard.at2(k, J)) / n as f64
        });
        let inner = d.at2(I, J) - standard.at2(I, J) * own(mean);
        let f = f.value(gain(standard.at2(I, J))).gradient(own(rate) * inner);
        let received =
            |i: Index| sum(TOKEN, tokens, dy.at(i.clone(), TOKEN) * standard.at2(i, TOKEN));
        match (scaled, heads) {
            (false, _) => f,
            (true, 1) => f.gradient(received(I.into())),
            (true, _) => f.gradient(sum(HEAD, heads, received(HEAD * n + I))),
        }
    }

    /// Writes y, and keeps <var>1/√(mean x² + ε)</var> of every vector.
    fn normalise<T: Real>(
        &self,
        x: View<'_, T>,
        gain: Option<&View<'_, T>>,
        y: ViewMut<'_, T>,
        kept: &mut [T],
    ) {
        let features = x.nrows() / self.heads;
        let rates = ViewMut::from_slice(kept, self.heads, x.ncols());
        let (n, epsilon) = (T::from_f64(features as f64), T::from_f64(self.epsilon));
        let offset = T::from_f64(self.offset);
        each_column(
            [y, rates],
            #[inline(always)]
            |j, [y, kept]| {
                let vectors =
                    column(&x, j).chunks_exact(features).zip(y.chunks_exact_mut(features));
                for ((x, y), kept) in vectors.zip(kept) {
                    let rate = T::one() / (vector::dot(x, x) / n + epsilon).sqrt();
                    *kept = rate;
                    match gain {
                        Some(gain) => {
                            for ((y, &x), &g) in y.iter_mut().zip(x).zip(column(gain, 0)) {
                                *y = x * rate * (offset + g);
                            }
                        }
                        None => y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * rate),
                    }
                }
            },
        );
    }

    /// Adds to the gradient of x, with the gain of feature i.
    fn send_back<T: Real>(
        &self,
        [x, dy]: [View<'_, T>; 2],
        gain: impl Fn(usize) -> T + Sync,
        dx: Gradient<'_, T>,
        rates: &[T],
    ) {
        let features = x.nrows() / self.heads;
        let n = T::from_f64(features as f64);
        dx.add_each_column(
            #[inline(always)]
            |j, dx| {
                for (h, dx) in dx.chunks_exact_mut(features).enumerate() {
                    let rate = rates[j * self.heads + h];
                    // Slices of a length that the compiler knows to be that of every loop.
                    let [x, dy] = [&x, &dy].map(|x| &column(x, j)[h * features..][..features]);
                    let mean = vector::sum_of(features, |i| dy[i] * gain(i) * (x[i] * rate)) / n;
                    for (i, ((dx, &x), &dy)) in dx.iter_mut().zip(x).zip(dy).enumerate() {
                        *dx += rate * (dy * gain(i) - x * rate * mean);
                    }
                }
            },
        );
    }
}

/// The rules, of x, and of x and gain.
macro_rules! rules {
    (impl Primitive<$n:literal> for RmsNorm, $($name:ident),+) => {
        impl Primitive<$n> for RmsNorm {
            fn name(&self) -> &'static str {
                "RMS normalisation"
            }

            fn role(&self) -> Role {
                Role::Norm
            }

            fn shape(&self, inputs: [Shape; $n]) -> Result<Shape, ShapeError> {
                let features = equal_parts("the width", inputs[0].rows, self.heads)?;
                for gain in &inputs[1..] {
                    gain.expect("the gain", Shape::new(features, 1))?;
                }
                Ok(inputs[0])
            }

            fn formula<T: Real>(&self, [x, ..]: [View<'_, T>; $n]) -> Formula {
                self.stated(x.nrows() / self.heads, x.ncols(), [$(stringify!($name)),+])
            }

            fn forward<T: Real>(
                &self,
                inputs: [View<'_, T>; $n],
                y: ViewMut<'_, T>,
                work: Work<'_, T>,
            ) {
                self.normalise(inputs[0], inputs.get(1), y, work.kept);
            }

            fn vjp<T: Real>(
                &self,
                inputs: [View<'_, T>; $n],
                _: View<'_, T>,
                dy: View<'_, T>,
                gradients: [Gradient<'_, T>; $n],
                work: Work<'_, T>,
            ) {
                let (x, rates, mut gradients) = (inputs[0], &*work.kept, gradients.into_iter());
                let mut next = || gradients.next();
                let (Some(dx), gain) = (next(), inputs.get(1)) else { return };
                let Some((gain, d_gain)) = gain.zip(next()) else {
                    return self.send_back([x, dy], |_| T::one(), dx, rates);
                };
                let offset = T::from_f64(self.offset);
                let own = &column(gain, 0)[..x.nrows() / self.heads];
                self.send_back([x, dy], #[inline(always)] |i| offset + own[i], dx, rates);
                add_to_gain(d_gain, x, dy, self.heads, #[inline(always)] |vector| {
                    let rate = rates[vector];
                    #[inline(always)] move |x| x * rate
                });
            }

            fn flops(&self, [x, ..]: [Shape; $n]) -> u64 {
                // A division and a root for every vector.
                (2 + $n) * x.len() as u64 + 10 * (self.heads * x.columns) as u64
            }

            fn vjp_reads(&self) -> Reads<$n> {
                Reads { inputs: [true; $n], output: false }
            }

            fn is_cheap(&self) -> bool {
                true
            }

            fn memory(&self, [x, ..]: [Shape; $n]) -> Memory {
                Memory { kept: self.heads * x.columns, scratch: 0 }
            }
        }
    };
}

rules!(impl Primitive<1> for RmsNorm, x);
rules!(impl Primitive<2> for RmsNorm, x, g);

impl Cases for RmsNorm {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        match size {
            Size::Matrix(m, n) => {
                visitor.visit(RmsNorm::new(1e-5), [numbers(m, n), numbers(m, 1)]);
                let offset = RmsNorm { offset: 1.0, ..RmsNorm::new(1e-5) };
                visitor.visit(offset, [numbers(m, n), numbers(m, 1)]);
            }
            Size::Heads { heads, rows, length, sequences, .. } => {
                // A vector of one element has gradient 0, up to rounding.
                let (rows, norm) = (rows + 1, RmsNorm { heads, ..RmsNorm::new(1e-5) });
                let x = numbers(heads * rows, sequences * length);
                visitor.visit(norm, [x.clone(), numbers(rows, 1)]);
                visitor.visit(norm, [x]);
            }
            Size::Pieces => {}
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
        let norm = RmsNorm::new(1e-5);
        let inputs = [x.as_view(), gain.as_view()];
        let work = Work::new(&mut kept, &mut []);
        norm.forward(inputs, y.as_view_mut(), work);
        let dy = matrix(4, 1, &[1.0, 0.0, 0.0, 0.0]);
        let (mut dx, mut dg) = (matrix(4, 1, &[0.0; 4]), matrix(4, 1, &[0.0; 4]));
        let work = Work::new(&mut kept, &mut []);
        let gradients = [dx.as_view_mut(), dg.as_view_mut()].map(Gradient::fresh);
        norm.vjp(inputs, y.as_view(), dy.as_view(), gradients, work);
        for (found, expected) in dx.iter().zip([0.352977, -0.024343, -0.036515, -0.048686]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
