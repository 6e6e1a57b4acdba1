//! Learning from preferences: of two answers to one prompt, one was chosen and the other rejected.
//!
//! The Bradley–Terry model says that answer w is preferred to l with the probability <var>σ(r_w − r_l)</var> of a difference
//! of rewards. The policy π that maximises a reward at a price of β a nat of divergence from a reference
//! ([`crate::objective::alignment`]) determines the reward up to a number that depends on the prompt alone,
//! <var>r(y) = β·ln(π(y)/π_ref(y))</var>; so the policy itself is fitted to preferences, without a model of rewards:
//!
//! Formula, with the log-ratio <var>h = ln(π(w)/π_ref(w)) − ln(π(l)/π_ref(l))</var> in nats:
//!
//! * Direct preference optimisation: <var>L = −ln σ(β·h)</var>. With a share ε of preferences that are the wrong way round,
//!   <var>L = −(1−ε)·ln σ(β·h) − ε·ln σ(−β·h)</var>, whose minimum is finite: <var>β·h = ln((1−ε)/ε)</var>.
//! * Identity preference optimisation: <var>L = (h − 1/(2β))²</var>, whose minimum is finite too.
//!
//! At the reference h is 0, and L is ln 2 or 1/(4β²).
//! Source: Bradley and Terry 1952; Rafailov et al., *Direct Preference Optimization*, 2023, equation 7; Mitchell, *A Note
//! on DPO with Noisy Preferences*, 2023 (ε); Azar et al., *A General Theoretical Paradigm to Understand Learning from
//! Human Preferences*, 2023, equation 17.

use crate::InfoError;
use crate::units::Nats;
use linalg::accurate::Sum;
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::formula::{
    Expression, J, K, TOKEN, equal, exp, ln, operand, positive, sum, sum_where, upstream,
};
use linalg::{
    Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, gather,
};
use probability::sigmoid::log_sigmoid;

/// The loss of a pair as a function of its log-ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// Direct preference optimisation, <var>−ln σ(β·h)</var>.
    Logistic {
        /// The share ε of preferences that are taken to be the wrong way round: 0 or more, below ½.
        flipped: f64,
    },
    /// Identity preference optimisation, <var>(h − 1/(2β))²</var>.
    Quadratic,
}

/// Returns the loss of a pair whose log-ratio is h nats; for [`Objective::Quadratic`] the unit is nats².
///
/// # Errors
/// If β is not positive and finite, ε is not at least 0 and below ½, or h is NaN.
///
/// ```
/// use infotheory::preference::{Objective, loss};
/// let dpo = Objective::Logistic { flipped: 0.0 };
/// assert_eq!(loss(0.0, 0.1, dpo)?.to_bits().0, 1.0); // at the reference: a fair coin
/// // The chosen answer became 20 nats likelier against the rejected one: −ln σ(2).
/// assert!((loss(20.0, 0.1, dpo)?.0 - 0.126928_f64).abs() < 1e-6);
/// assert_eq!(loss(5.0, 0.1, Objective::Quadratic)?.0, 0.0); // 1/(2β)
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("dpo", "ipo", "bradley_terry"))]
pub fn loss<T: Real>(log_ratio: T, beta: f64, objective: Objective) -> Result<Nats<T>, InfoError> {
    let wrong = |what, found, expected| Err(InfoError::Parameter { what, found, expected });
    if !(beta > 0.0 && beta.is_finite()) {
        return wrong("β", beta, "positive and finite");
    }
    if let Objective::Logistic { flipped } = objective
        && !(0.0..0.5).contains(&flipped)
    {
        return wrong("the share ε of flipped preferences", flipped, "at least 0 and below ½");
    }
    if log_ratio.to_f64().is_nan() {
        return wrong("the log-ratio", log_ratio.to_f64(), "a number");
    }
    Ok(Nats(PreferenceLoss { beta, objective }.of(log_ratio)))
}

/// The mean loss of pairs of answers; operands are the nats of every token under the policy and under the reference, the
/// number of each token's pair, from 0, and its side: 1 for a token of the chosen answer, −1 for one of the rejected, 0 for
/// one that is no answer's (1 × tokens each). <var>h_p = Σ side·(reference − nats)</var> over the tokens of pair p.
///
/// The mean is over the pairs up to the largest number; a number that is no index of a token makes it NaN.
///
/// ```
/// use infotheory::preference::{Objective, PreferenceLoss};
/// use linalg::{Primitive, Work, matrix};
/// // One pair: two tokens that became likelier, and one that became less likely, by 2, 1 and 1 nats.
/// let (nats, reference) = (matrix(1, 3, &[1.0, 2.0, 5.0]), matrix(1, 3, &[3.0, 3.0, 4.0]));
/// let (pairs, sides) = (matrix(1, 3, &[0.0; 3]), matrix(1, 3, &[1.0, 1.0, -1.0]));
/// let loss = PreferenceLoss { beta: 0.5, objective: Objective::Logistic { flipped: 0.0 } };
/// let (mut y, mut kept) = (matrix(1, 1, &[0.0]), [0.0; 3]);
/// let operands = [&nats, &reference, &pairs, &sides].map(|m| m.as_view());
/// loss.forward(operands, y.as_view_mut(), Work::new(&mut kept, &mut []));
/// assert!((y[0] - 0.126928_f64).abs() < 1e-6); // −ln σ(½·4)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PreferenceLoss {
    /// The price β of a nat of divergence.
    pub beta: f64,
    /// The loss of a pair.
    pub objective: Objective,
}

/// ln(1 + eˣ), without overflow.
fn softplus<T: Real>(x: T) -> T {
    -log_sigmoid(-x)
}

impl PreferenceLoss {
    /// The loss of a pair.
    fn of<T: Real>(&self, h: T) -> T {
        let beta = T::from_f64(self.beta);
        match self.objective {
            Objective::Logistic { flipped } => {
                let (right, wrong) = (T::from_f64(1.0 - flipped), T::from_f64(flipped));
                let (x, unflipped) = (beta * h, flipped == 0.0);
                // 0·∞ is not the limit.
                right * softplus(-x) + if unflipped { T::zero() } else { wrong * softplus(x) }
            }
            Objective::Quadratic => {
                let gap = h - T::from_f64(1.0 / (2.0 * self.beta));
                gap * gap
            }
        }
    }

    /// The derivative of the loss of a pair with respect to h; σ(x) is e^−softplus(−x), exact also where it is small.
    fn slope<T: Real>(&self, h: T) -> T {
        let beta = T::from_f64(self.beta);
        match self.objective {
            Objective::Logistic { flipped } => {
                let (right, wrong) = (T::from_f64(1.0 - flipped), T::from_f64(flipped));
                let x = beta * h;
                beta * (wrong * (-softplus(-x)).exp() - right * (-softplus(x)).exp())
            }
            Objective::Quadratic => {
                let gap = h - T::from_f64(1.0 / (2.0 * self.beta));
                gap + gap
            }
        }
    }
}

/// Returns the number of pairs.
fn pairs_of<T: Real>(pairs: &View<'_, T>) -> usize {
    let largest = pairs.iter().filter_map(|&p| gather::index(p, pairs.ncols())).max();
    largest.map_or(1, |p| p + 1)
}

impl Primitive<4> for PreferenceLoss {
    fn name(&self) -> &'static str {
        "preference loss"
    }

    fn role(&self) -> Role {
        Role::Loss
    }

    fn shape(&self, [nats, reference, pairs, sides]: [Shape; 4]) -> Result<Shape, ShapeError> {
        nats.expect_rows("the row of nats", 1)?;
        reference.expect("the row of the reference's nats", nats)?;
        pairs.expect("the row of pairs", nats)?;
        sides.expect("the row of sides", nats)?;
        Ok(Shape::new(1, 1))
    }

    fn formula<T: Real>(&self, [nats, _, pairs, _]: [View<'_, T>; 4]) -> Formula {
        let (tokens, count) = (nats.ncols(), pairs_of(&pairs));
        let [nats, reference, pair, side] = [0, 1, 2, 3].map(operand);
        let mut f = Formula::new(
            "L",
            ["I", "R", "p", "s"],
            "How surely the chosen answer is preferred to the rejected one, by how much likelier the policy makes each than \
             the reference does.",
            match self.objective {
                Objective::Logistic { .. } => {
                    "Rafailov et al., Direct Preference Optimization, 2023, equation 7"
                }
                Objective::Quadratic => "Azar et al. 2023, equation 17",
            },
        );
        let own = equal(K, pair.index(0, TOKEN));
        let gain = reference.at(0, TOKEN) - nats.at(0, TOKEN);
        let h = f.define("h", [K], sum_where(TOKEN, tokens, own, side.at(0, TOKEN) * gain));
        let softplus = |x: Expression| {
            let size = x.clone() * positive(x.clone()) - x.clone() * positive(-x.clone());
            x.clone() * positive(x) + ln(1.0 + exp(-size))
        };
        let beta = self.beta;
        let (value, slope) = match self.objective {
            Objective::Logistic { flipped } => {
                let x = || beta * h.at(K);
                let right = (1.0 - flipped) * softplus(-x());
                let surely = (1.0 - flipped) * exp(-softplus(x()));
                match flipped == 0.0 {
                    true => (right, -(beta * surely)),
                    false => (
                        right + flipped * softplus(x()),
                        beta * (flipped * exp(-softplus(-x())) - surely),
                    ),
                }
            }
            Objective::Quadratic => {
                let gap = || h.at(K) - 1.0 / (2.0 * beta);
                (gap() * gap(), gap() + gap())
            }
        };
        let value = f.define("l", [K], value);
        let slope = f.define("g", [K], slope * (upstream().at(0, 0) / count as f64));
        let (own, side_) = (|| slope.at(pair.index(0, J)), side.at(0, J));
        f.value(sum(K, count, value.at(K)) / count as f64)
            .gradient(-(own() * side_.clone()))
            .gradient(own() * side_)
            .no_gradient()
            .gradient(own() * (reference.at(0, J) - nats.at(0, J)))
    }

    fn forward<T: Real>(
        &self,
        [nats, reference, pairs, sides]: [View<'_, T>; 4],
        mut loss: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let (tokens, count) = (nats.ncols(), pairs_of(&pairs));
        let log_ratios = &mut work.kept[..tokens];
        log_ratios[..count].fill(T::zero());
        for j in 0..tokens {
            if let Some(p) = gather::index(pairs[j], tokens) {
                log_ratios[p] += sides[j] * (reference[j] - nats[j]);
            }
        }
        let mut sum = Sum::new();
        log_ratios[..count].iter().for_each(|&h| sum.add(self.of(h)));
        let invalid = pairs.iter().any(|&p| gather::index(p, tokens).is_none());
        let mean = sum.value() / T::from_f64(count as f64);
        loss[0] = if invalid { T::from_f64(f64::NAN) } else { mean };
    }

    fn vjp<T: Real>(
        &self,
        [nats, reference, pairs, sides]: [View<'_, T>; 4],
        _: View<'_, T>,
        upstream: View<'_, T>,
        [d_nats, d_reference, _, d_sides]: [Gradient<'_, T>; 4],
        work: Work<'_, T>,
    ) {
        let (tokens, share) = (nats.ncols(), upstream[0] / T::from_f64(pairs_of(&pairs) as f64));
        let log_ratios = &work.kept[..tokens];
        let [mut d_nats, mut d_reference, mut d_sides] =
            [d_nats, d_reference, d_sides].map(Gradient::zeroed);
        for j in 0..tokens {
            let slope = gather::index(pairs[j], tokens).map(|p| self.slope(log_ratios[p]) * share);
            let slope = slope.unwrap_or_else(|| T::from_f64(f64::NAN));
            let add = |d: &mut Option<ViewMut<'_, T>>, x: T| {
                if let Some(d) = d {
                    d[j] += x;
                }
            };
            add(&mut d_nats, -(slope * sides[j]));
            add(&mut d_reference, slope * sides[j]);
            add(&mut d_sides, slope * (reference[j] - nats[j]));
        }
    }

    fn flops(&self, [nats, ..]: [Shape; 4]) -> u64 {
        // Three for each token, and at most one loss for every two.
        3 * nats.columns as u64 + 30 * nats.columns.div_ceil(2) as u64
    }

    fn vjp_reads(&self) -> Reads<4> {
        Reads { inputs: [true; 4], output: false }
    }

    fn memory(&self, [nats, ..]: [Shape; 4]) -> Memory {
        Memory { kept: nats.columns, scratch: 0 }
    }
}

impl Cases for PreferenceLoss {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        let Size::Matrix(_, n) = size else { return };
        let logistic = |flipped| Objective::Logistic { flipped };
        for objective in [logistic(0.0), logistic(0.1), Objective::Quadratic] {
            let pairs = Operand::Indices { count: n, below: n.div_ceil(2).max(1) };
            let operands = [numbers(1, n), numbers(1, n), pairs, numbers(1, n)];
            visitor.visit(PreferenceLoss { beta: 0.7, objective }, operands);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DPO: Objective = Objective::Logistic { flipped: 0.0 };

    proptest! {
        /// The likelihoods of a preference and of its opposite are those of a coin, so that the loss is that coin's nats.
        #[test]
        fn it_is_the_surprisal_of_the_preference(h in -300f64..300.0, beta in 0.01f64..2.0, flipped in 0f64..0.49) {
            let [this, other] = [h, -h].map(|h| loss(h, beta, DPO).unwrap().0);
            prop_assert!(((-this).exp() + (-other).exp() - 1.0).abs() <= 8.0 * f64::EPSILON);
            prop_assert!((other - this - beta * h).abs() <= 8.0 * f64::EPSILON * (1.0 + (beta * h).abs()));
            let mixed = loss(h, beta, Objective::Logistic { flipped }).unwrap().0;
            let expected = (1.0 - flipped) * this + flipped * other;
            prop_assert!((mixed - expected).abs() <= 4.0 * f64::EPSILON * (this + other));
        }

        /// Where the derivative is 0: never, at the logarithm of the odds, and at 1/(2β).
        #[test]
        fn minima_are_where_the_papers_say(beta in 0.01f64..2.0, flipped in 0.01f64..0.49) {
            let of = |objective| PreferenceLoss { beta, objective };
            prop_assert!(of(DPO).slope(700.0 / beta) < 0.0);
            let odds = ((1.0 - flipped) / flipped).ln() / beta;
            let logistic = of(Objective::Logistic { flipped });
            prop_assert!(logistic.slope(odds).abs() <= 8.0 * f64::EPSILON * beta * (1.0 + odds * beta));
            prop_assert!(logistic.slope(odds - 1.0) < 0.0 && logistic.slope(odds + 1.0) > 0.0);
            let quadratic = of(Objective::Quadratic);
            prop_assert_eq!(quadratic.slope(1.0 / (2.0 * beta)), 0.0);
            prop_assert!(quadratic.slope(0.0) < 0.0);
        }
    }

    #[test]
    fn hard_floats() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(loss(inf, 0.1, DPO).unwrap().0, 0.0);
        assert_eq!(loss(-inf, 0.1, DPO).unwrap().0, inf);
        assert_eq!(loss(-1e300, 1e-300, DPO).unwrap().0, 1.0f64.exp().ln_1p());
        assert_eq!(loss(inf, 0.1, Objective::Quadratic).unwrap().0, inf);
        assert_eq!(loss(-0.0f32, 0.1, DPO).unwrap().0, 2f32.ln());
        for beta in [0.0, -1.0, inf, nan] {
            assert!(loss(0.0, beta, DPO).is_err());
        }
        for flipped in [-0.1, 0.5, nan] {
            assert!(loss(0.0, 0.1, Objective::Logistic { flipped }).is_err());
        }
        assert!(loss(nan, 0.1, DPO).is_err());
        // −ln σ(200) = e^−200 to the last digit.
        assert_eq!(loss(200.0, 1.0, DPO).unwrap().0, (-200f64).exp());
    }
}
