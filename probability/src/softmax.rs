//! Softmax: scores to a probability distribution.
//!
//! Formula: <var>pᵢ = e^(zᵢ) / Σⱼ e^(zⱼ)</var>, for each column z. The maximum is subtracted first: a common factor
//! cancels, and <var>e^z</var> would overflow above 709.7827 in `f64`, 88.7228 in `f32`, and ln 65504 = 11.0899 in half
//! precision.
//! Gradient: dz = p ⊙ (dp − ⟨dp, p⟩).
//!
//! There are two ways to round it. [`softmax`] corrects the rounding of z − max: the error is at most 4 units in the
//! last place for any scores. [`softmax_in_place`], which training runs millions of times, does not: e^(z − max) is off
//! by up to |z − max|/2 units, so that small probabilities of large scores have fewer digits (the absolute error stays
//! below one unit of 1).
//!
//! Source: the textbook's A.2; Bridle 1990.

use crate::accurate;
use crate::error::{ProbabilityError, check_setting};
use linalg::cases::{Cases, Size, Visitor, numbers};
use linalg::formula::{I, J, K, exp, largest, operand, output, sum, upstream};
use linalg::{
    Formula, Gradient, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut, Work,
    accurate::total, column, parallel::each_column, vector,
};

/// Returns the distribution of one vector of scores, correct to 4 units in the last place.
///
/// A score of −∞ gets probability exactly 0. If all scores are −∞, or one is NaN or +∞, the result is NaN
/// ([`Categorical::from_logits`](crate::Categorical::from_logits) names the score,
/// [`masked_softmax`](crate::mask::masked_softmax) the row). Empty for no scores; 1 for one finite score.
///
/// ```
/// use probability::softmax::softmax;
/// let p = softmax(&[1000.0_f64, 1000.0]); // e^1000 would overflow
/// assert_eq!(p, [0.5, 0.5]);
/// ```
#[doc(alias = "softargmax")]
pub fn softmax<T: Real>(scores: &[T]) -> Vec<T> {
    let mut p = scores.to_vec();
    T::simd(
        #[inline(always)]
        || {
            let maximum = vector::maximum(&p);
            p.iter_mut().for_each(|z| *z = accurate::exp_difference(*z, maximum));
            let sum = total(&p, &p, |p, _| p).value();
            p.iter_mut().for_each(|p| *p /= sum);
        },
    );
    p
}

/// Returns the softmax of scores divided by a temperature T: below 1 sharpens, above 1 flattens.
///
/// Formula: <var>pᵢ = e^(zᵢ/T) / Σⱼ e^(zⱼ/T)</var>. T = 0 is the limit: all probability is on the largest score, in
/// equal shares if several are largest. T = ∞ is the limit of equal shares of all scores above −∞. Each z − max is
/// rounded before the division, which costs |z − max|/T units in the last place.
///
/// Invalid scores give NaN as in [`softmax`].
///
/// # Errors
/// If the temperature is below 0 or NaN.
///
/// ```
/// use probability::softmax::tempered_softmax;
/// let logits = [2.0, 1.0, 0.5, -1.0, 0.1];
/// let p = tempered_softmax(&logits, 0.5)?; // the textbook's logits, sharper
/// assert!((p[0] - 0.826465_f64).abs() < 1e-6);
/// let p = tempered_softmax(&logits, 2.0)?; // flatter
/// assert!((p[0] - 0.371917).abs() < 1e-6);
/// assert_eq!(tempered_softmax(&logits, 0.0)?, [1.0, 0.0, 0.0, 0.0, 0.0]); // greedy
/// assert_eq!(tempered_softmax(&logits, f64::INFINITY)?, [0.2; 5]); // uniform
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
#[doc(alias = "temperature")]
pub fn tempered_softmax<T: Real>(
    scores: &[T],
    temperature: f64,
) -> Result<Vec<T>, ProbabilityError> {
    check_setting("the temperature", "0 or more", temperature, temperature >= 0.0)?;
    let maximum = vector::maximum(scores);
    let (zero, lowest) = (T::zero(), T::from_f64(f64::NEG_INFINITY));
    let temperature = T::from_f64(temperature);
    let scaled = |&z: &T| {
        let below = z - maximum; // NaN if there is no distribution
        if (z == lowest && below == lowest) || (temperature == zero && below < zero) {
            lowest
        } else if temperature == zero {
            below
        } else {
            accurate::distance_in(temperature, z, maximum)
        }
    };
    Ok(softmax(&scores.iter().map(scaled).collect::<Vec<_>>()))
}

/// Returns the logarithms of [`softmax`]: <var>ln pᵢ = zᵢ − ln Σⱼ e^(zⱼ)</var>, in nats, correct to 4 units in the last
/// place.
///
/// Both terms of <var>ln pᵢ = (zᵢ − max) − ln Σⱼ e^(zⱼ − max)</var> are negative, so nothing cancels, and a probability
/// that underflows still has its logarithm. −∞ if a score is −∞; NaN and empty as in [`softmax`].
///
/// ```
/// use probability::softmax::log_softmax;
/// let p = log_softmax(&[0.0_f64, -1000.0]); // p = 1 and e^−1000, which underflows
/// assert_eq!(p, [0.0, -1000.0]);
/// ```
pub fn log_softmax<T: Real>(scores: &[T]) -> Vec<T> {
    let mut logarithms = scores.to_vec();
    T::simd(
        #[inline(always)]
        || {
            let maximum = vector::maximum(scores);
            let log_sum = crate::log_sum_exp::others(scores, maximum).ln_1p();
            logarithms.iter_mut().for_each(|z| *z = (*z - maximum) - log_sum);
        },
    );
    logarithms
}

/// Computes the softmax into a slice of the same length, rounded as in [`softmax_in_place`]. Returns
/// <var>ln Σ e^z</var>.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// let mut p = [0.0; 2];
/// probability::softmax::softmax_into(&mut p, &[0.0, 3.0_f64.ln()]);
/// assert!((p[0] - 0.25_f64).abs() < 1e-15 && (p[1] - 0.75).abs() < 1e-15);
/// ```
#[inline(always)]
pub fn softmax_into<T: Real>(p: &mut [T], scores: &[T]) -> T {
    p.copy_from_slice(scores);
    softmax_in_place(p)
}

/// Computes the softmax as training does: in place, vector by vector. Returns <var>ln Σ e^z</var>.
///
/// The error is at most (|zᵢ − max| + max |z| + n/16 + 8) units in the last place of each probability. For invalid
/// scores the probabilities and the returned number are NaN.
///
/// ```
/// let mut p = [2.0_f64, 1.0, 0.5, -1.0, 0.1];
/// let log_sum = probability::softmax::softmax_in_place(&mut p);
/// assert!((p[0] - 0.558545).abs() < 1e-6 && (log_sum - 2.582419671).abs() < 1e-9);
/// ```
#[inline(always)]
pub fn softmax_in_place<T: Real>(p: &mut [T]) -> T {
    let maximum = vector::maximum(p);
    for p in p.iter_mut() {
        *p = (*p - maximum).exp();
    }
    let sum = vector::sum(p);
    let share = T::one() / sum;
    for p in p.iter_mut() {
        *p *= share;
    }
    maximum + sum.ln()
}

pub use crate::log_sum_exp::log_sum_exp;

/// The softmax of every column, rounded as in [`softmax_in_place`].
///
/// A column whose scores are all −∞, or one of which is NaN or +∞, becomes NaN: a replay cannot fail. The recorded
/// [`CausalMask`](crate::mask::CausalMask) makes no such column, since every query sees itself.
#[derive(Clone, Copy, Debug)]
pub struct Softmax;

impl Primitive<1> for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn role(&self) -> Role {
        Role::Softmax
    }

    fn shape(&self, [z]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(z)
    }

    fn formula<T: Real>(&self, [z]: [View<'_, T>; 1]) -> Formula {
        let n = z.nrows();
        let (z, p, dp) = (operand(0), output(), upstream());
        let mut f = Formula::new(
            "p",
            ["z"],
            "Turns scores into probabilities: positive, and summing to one.",
            "the textbook's A.2; Bridle 1990",
        );
        let most = f.define("m", [J], largest(K, n, None, z.at(K, J)));
        let total = f.define("Z", [J], sum(K, n, exp(z.at(K, J) - most.at(J))));
        let mean = f.define("d̄", [J], sum(K, n, dp.at(K, J) * p.at(K, J)));
        f.value(exp(z.at(I, J) - most.at(J)) / total.at(J))
            .gradient(p.at(I, J) * (dp.at(I, J) - mean.at(J)))
    }

    fn forward<T: Real>(&self, [z]: [View<'_, T>; 1], p: ViewMut<'_, T>, _: Work<'_, T>) {
        each_column(
            [p],
            #[inline(always)]
            |j, [p]| {
                softmax_into(p, column(&z, j));
            },
        );
    }

    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 1],
        p: View<'_, T>,
        dp: View<'_, T>,
        [dz]: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        dz.add_each_column(
            #[inline(always)]
            |j, dz| {
                let (p, dp) = (column(&p, j), column(&dp, j));
                let mean = vector::dot(dp, p);
                for ((dz, &p), &dp) in dz.iter_mut().zip(p).zip(dp) {
                    *dz += p * (dp - mean);
                }
            },
        );
    }

    fn flops(&self, [z]: [Shape; 1]) -> u64 {
        14 * z.len() as u64
    }

    fn vjp_reads(&self) -> Reads<1> {
        Reads { inputs: [false], output: true }
    }
}

impl Cases for Softmax {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            visitor.visit(Softmax, [numbers(m, n)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook's row 0 of the Jacobian, recomputed, and the gradient of the loss on target 0.
    #[test]
    fn backward_of_the_textbook_fixture() {
        let z = linalg::matrix(5, 1, &[2.0, 1.0, 0.5, -1.0, 0.1]);
        let (mut p, mut dz) = (z.clone(), z.clone() * 0.0);
        Softmax.forward([z.as_view()], p.as_view_mut(), Work::none());
        let first = linalg::matrix(5, 1, &[1.0, 0.0, 0.0, 0.0, 0.0]);
        let (views, gradients) = ([z.as_view()], [Gradient::fresh(dz.as_view_mut())]);
        Softmax.vjp(views, p.as_view(), first.as_view(), gradients, Work::none());
        let expected = [0.246572, -0.114768, -0.069611, -0.015532, -0.046661];
        for (found, expected) in dz.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
