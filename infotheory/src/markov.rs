//! Markov chains: sources with a memory of one symbol, and their entropy rate.
//!
//! A chain is a matrix P with a column for each state: P_ij = p(next = i | now = j); the textbook also writes a token
//! as a column. The stationary distribution π solves P·π = π; the entropy rate is the mean entropy of the next step,
//! H = Σ_j π_j·H(column j).
//! In a transformer: a bigram model is such a chain, and estimates of an entropy rate can be checked on a chain with a
//! known one.
//! Source: Shannon 1948, sections 4 to 7; Cover and Thomas 2006, chapter 4; for elimination without subtractions,
//! Grassmann, Taksar and Heyman, *Regenerative analysis and steady state distributions*, 1985.

use crate::units::Nats;
use crate::{InfoError, distribution, entropy};
use linalg::accurate::sum;
use linalg::{Matrix, Real, norm};
use probability::{Categorical, Random};

/// A chain with a finite number of states.
///
/// ```
/// use infotheory::markov::MarkovChain;
/// // Weather: after sun 90 % sun, after rain 50 % rain.
/// let weather: MarkovChain = MarkovChain::new(linalg::matrix(2, 2, &[0.9, 0.1, 0.5, 0.5]))?;
/// let days = weather.stationary()?;
/// assert!((days[0] - 5.0 / 6.0).abs() < 1e-15);
/// // 5/6 of H(0.9) and 1/6 of one bit.
/// assert!((weather.entropy_rate()?.to_bits().0 - 0.557496).abs() < 1e-6);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[doc(alias = "transition_matrix")]
pub struct MarkovChain<T: Real = f64> {
    next: Matrix<T>,
}

impl<T: Real> MarkovChain<T> {
    /// Creates a chain from its matrix: column j is the distribution of the state after j. −0 is 0; columns are divided
    /// by their sums.
    ///
    /// # Errors
    /// If the matrix is empty or not square, or a column is not a distribution.
    pub fn new(mut next: Matrix<T>) -> Result<Self, InfoError> {
        if next.ncols() != next.nrows() {
            let (found, expected) = (next.ncols(), next.nrows());
            return Err(InfoError::Length { what: "the list of columns", found, expected });
        }
        if next.is_empty() {
            return Err(InfoError::Empty { what: "the chain" });
        }
        let n = next.nrows();
        for column in next.as_mut_slice().chunks_mut(n) {
            let sum: T = distribution::sum("a column of the chain", column)?;
            column.iter_mut().for_each(|p| *p /= sum);
        }
        Ok(MarkovChain { next })
    }

    /// Returns the number of states.
    pub fn states(&self) -> usize {
        self.next.ncols()
    }

    /// Returns the distribution of the state after a state.
    ///
    /// # Panics
    /// If there is no such state.
    ///
    /// ```
    /// use infotheory::markov::MarkovChain;
    /// let chain: MarkovChain = MarkovChain::new(linalg::matrix(2, 2, &[0.9, 0.1, 0.5, 0.5]))?; // a column for each state
    /// assert_eq!(chain.after(0), [0.9, 0.1]);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn after(&self, state: usize) -> &[T] {
        let n = self.states();
        &self.next.as_slice()[state * n..(state + 1) * n]
    }

    /// Returns the stationary distribution: the fraction of time spent in each state.
    ///
    /// States are eliminated one after another: a walk that leaves state k continues into the rest of the chain,
    /// <var>p_ij ← p_ij + p_kj·p_ik/Σ_{l<k} p_lk</var>, and the time in k is the flow into it divided by the flow out
    /// of it. Nothing is subtracted and no diagonal is read, so the relative error of every π is about n·ε for n
    /// states, even if states are left only once in 10³⁰⁰ steps.
    ///
    /// # Errors
    /// If there is more than one: two sets of states are never left. Also if a flow between states underflows.
    ///
    /// ```
    /// use infotheory::markov::MarkovChain;
    /// let chain: MarkovChain = MarkovChain::new(linalg::matrix(2, 2, &[0.9, 0.1, 0.5, 0.5]))?;
    /// let time = chain.stationary()?;
    /// assert!((time[0] - 5.0 / 6.0).abs() < 1e-14); // 5 to 1: 0.1 of the one leave, 0.5 of the other
    /// // Left once in 10¹⁷ steps, which 1 − 10⁻¹⁷ does not show: half of the time in each.
    /// let rare: MarkovChain = MarkovChain::new(linalg::matrix(2, 2, &[1.0, 1e-17, 1e-17, 1.0]))?;
    /// assert_eq!(rare.stationary()?, [0.5, 0.5]);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    #[doc(alias("steady_state", "pagerank"))]
    pub fn stationary(&self) -> Result<Vec<T>, InfoError> {
        let class = self.recurrent()?;
        let n = class.len();
        let mut p = Matrix::from_fn(n, n, |i, j| self.next[(class[i], class[j])]);
        for k in (1..n).rev() {
            let out = sum((0..k).map(|i| p[(i, k)]));
            if out == T::zero() {
                return Err(InfoError::Reducible);
            }
            for j in 0..k {
                let into = p[(k, j)];
                for i in 0..k {
                    let onward = into * (p[(i, k)] / out);
                    p[(i, j)] += onward;
                }
            }
        }
        let mut time = vec![T::one()];
        for k in 1..n {
            let here = sum((0..k).map(|j| p[(k, j)] * time[j]));
            let out = sum((0..k).map(|i| p[(i, k)]));
            // here/out may overflow. Only ratios count: none is above 1.
            if here > out {
                time.iter_mut().for_each(|t| *t *= out / here);
                time.push(T::one());
            } else {
                time.push(here / out);
            }
        }
        let all = sum(time.iter().copied());
        let mut pi = vec![T::zero(); self.states()];
        for (&state, &time) in class.iter().zip(&time) {
            pi[state] = time / all;
        }
        Ok(pi)
    }

    /// Returns the states in which every walk ends up, in order.
    fn recurrent(&self) -> Result<Vec<usize>, InfoError> {
        let n = self.states();
        let possible = |from: usize, to: usize| self.next[(to, from)] > T::zero();
        // The states that a walk from `state` reaches, or those that reach it.
        let connected = |state: usize, backwards: bool| {
            let (mut seen, mut open) = (vec![false; n], vec![state]);
            seen[state] = true;
            while let Some(at) = open.pop() {
                for other in 0..n {
                    let step = if backwards { possible(other, at) } else { possible(at, other) };
                    if step && !seen[other] {
                        seen[other] = true;
                        open.push(other);
                    }
                }
            }
            seen
        };
        let mut state = 0;
        loop {
            let (after, before) = (connected(state, false), connected(state, true));
            match (0..n).find(|&other| after[other] && !before[other]) {
                // No way leads back from there.
                Some(other) => state = other,
                None if before.contains(&false) => return Err(InfoError::Reducible),
                None => return Ok((0..n).filter(|&other| after[other]).collect()),
            }
        }
    }

    /// Returns the entropy rate <var>Σ π_j·H(next | j)</var>, in nats per step.
    ///
    /// # Errors
    /// Like [`MarkovChain::stationary`].
    ///
    /// ```
    /// use infotheory::markov::MarkovChain;
    /// let chain: MarkovChain = MarkovChain::new(linalg::matrix(2, 2, &[0.9, 0.1, 0.5, 0.5]))?;
    /// // ⅚ of H(0.1) and ⅙ of H(½).
    /// assert!((chain.entropy_rate()?.to_bits().0 - 0.557496).abs() < 1e-6);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn entropy_rate(&self) -> Result<Nats<T>, InfoError> {
        let pi = self.stationary()?;
        let rate = |j: usize| pi[j] * entropy::unchecked(self.after(j).iter().copied());
        Ok(Nats(sum((0..self.states()).map(rate))))
    }

    /// Draws a walk of `steps` states; the first has the stationary distribution. Every `Random` gives one walk.
    ///
    /// # Errors
    /// Like [`MarkovChain::stationary`].
    pub fn sample(&self, random: &Random, steps: usize) -> Result<Vec<usize>, InfoError> {
        let categorical = |p: &[T]| Categorical::from_weights(p).expect("a distribution");
        let start = categorical(&self.stationary()?);
        let next: Vec<_> = (0..self.states()).map(|state| categorical(self.after(state))).collect();
        let mut walk = Vec::with_capacity(steps);
        for i in 0..steps {
            let p = walk.last().map_or(&start, |&state: &usize| &next[state]);
            walk.push(p.draw(random, i as u64));
        }
        Ok(walk)
    }

    /// Returns −ln p of every step of a walk. The first state has no step. The mean estimates the entropy rate. ∞ for
    /// an impossible step.
    ///
    /// # Errors
    /// If a state does not exist.
    ///
    /// ```
    /// use infotheory::markov::MarkovChain;
    /// let chain: MarkovChain = MarkovChain::new(linalg::matrix(2, 2, &[0.9, 0.1, 0.5, 0.5]))?;
    /// let nats = chain.surprisals(&[0, 1, 1])?;
    /// assert!((nats[0].0 + 0.1_f64.ln()).abs() < 1e-15 && nats[1].to_bits().0 == 1.0);
    /// # Ok::<(), infotheory::InfoError>(())
    /// ```
    pub fn surprisals(&self, walk: &[usize]) -> Result<Vec<Nats<T>>, InfoError> {
        let classes = self.states();
        if let Some(place) = walk.iter().position(|s| *s >= classes) {
            return Err(InfoError::Target { place, found: walk[place], classes });
        }
        walk.windows(2).map(|w| entropy::self_information(self.after(w[0])[w[1]])).collect()
    }
}

/// A mean with an interval that contains the true value with 95 % probability. If the mean or the margin is NaN it
/// contains nothing. On `f64` alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The mean.
    pub mean: Nats,
    /// Half the width of the interval.
    pub margin: Nats,
}

impl Interval {
    /// Whether the interval contains a value. On `f64` alone.
    pub fn holds(&self, value: Nats) -> bool {
        (value - self.mean).0.abs() <= self.margin.0
    }
}

/// Returns the mean of dependent surprisals, with its interval, by batch means: the row is divided into √n batches,
/// whose means are nearly independent; the margin is 1.96 of their standard errors. On `f64` alone.
///
/// If a surprisal is ∞ (an impossible step) the mean is ∞ and the margin NaN; if one is NaN both are NaN.
///
/// # Errors
/// If there are fewer than four numbers, the size of two batches of two.
///
/// ```
/// use infotheory::{Nats, markov::{MarkovChain, mean_of_dependent}};
/// use probability::{Categorical, Random};
/// let weather: MarkovChain = MarkovChain::new(linalg::matrix(2, 2, &[0.9, 0.1, 0.5, 0.5]))?;
/// let walk = weather.sample(&Random::new(1, 0, 0), 10_000)?;
/// let estimate = mean_of_dependent(&weather.surprisals(&walk)?)?;
/// assert!(estimate.holds(weather.entropy_rate()?));
/// assert!(estimate.margin < Nats(0.02));
/// # Ok::<(), infotheory::InfoError>(())
/// ```
/// Source: Conway 1963; Flegal and Jones 2010.
#[doc(alias("batch_means", "autocorrelation"))]
pub fn mean_of_dependent(row: &[Nats]) -> Result<Interval, InfoError> {
    if row.len() < 4 {
        let what = "surprisals in the row";
        return Err(InfoError::TooFew { what, found: row.len(), least: 4 });
    }
    let size = row.len().isqrt();
    let means: Result<Vec<Nats>, _> =
        row.chunks_exact(size).map(|batch| Nats::mean(batch.iter().copied())).collect();
    let means = means?;
    let (mean, count) = (Nats::mean(means.iter().copied())?, means.len() as f64);
    let deviations: Vec<f64> = means.iter().map(|m| (*m - mean).0).collect();
    // The root of a sum of squares that may themselves overflow or underflow.
    let error = norm::l2(&deviations) / ((count - 1.0) * count).sqrt();
    Ok(Interval { mean, margin: Nats(1.959963984540054 * error) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::draw;
    use linalg::matrix;
    use proptest::prelude::*;

    fn chain() -> impl Strategy<Value = MarkovChain> {
        (1usize..7).prop_flat_map(|n| {
            prop::collection::vec(prop::collection::vec(1e-4f64..1.0, n), n).prop_map(
                move |columns| {
                    let all: Vec<f64> = columns.into_iter().flat_map(draw::normalised).collect();
                    MarkovChain::new(matrix(n, n, &all)).unwrap()
                },
            )
        })
    }

    proptest! {
        #[test]
        fn the_stationary_distribution_stays(chain in chain()) {
            let pi = chain.stationary().unwrap();
            let n = chain.states();
            prop_assert!((pi.iter().sum::<f64>() - 1.0).abs() <= 1e-15 * n as f64);
            for i in 0..n {
                let next: f64 = (0..n).map(|j| chain.after(j)[i] * pi[j]).sum();
                prop_assert!((next - pi[i]).abs() <= 1e-12);
            }
        }

        /// A random walk on a line and a one-way circle have closed forms: on a line π_{k+1}/π_k is the step up divided
        /// by the step down; on a circle π_k is proportional to 1 over the step away. Steps down to 10⁻²⁵, each π to a
        /// few ulp.
        #[test]
        fn rare_steps_are_weighed_exactly(
            powers in prop::collection::vec((-25.0f64..-0.5, -25.0f64..-0.5), 1..12), circle: bool,
        ) {
            let n = powers.len() + 1;
            let steps: Vec<(f64, f64)> =
                powers.iter().map(|(u, d)| (10_f64.powf(*u), 10_f64.powf(*d))).collect();
            let away = |k: usize| steps[k % powers.len()].0;
            let mut next = Matrix::zeros(n, n);
            let mut weights = vec![1.0];
            for k in 0..n {
                if circle {
                    next[((k + 1) % n, k)] = away(k);
                    next[(k, k)] = 1.0 - away(k);
                } else if k + 1 < n {
                    (next[(k + 1, k)], next[(k, k + 1)]) = steps[k];
                }
            }
            if circle {
                weights = (0..n).map(|k| away(0) / away(k)).collect();
            } else {
                for k in 0..n {
                    next[(k, k)] = 1.0 - next.column(k).sum();
                    let last = weights[weights.len() - 1];
                    steps.get(k).into_iter().for_each(|(up, down)| weights.push(last * up / down));
                }
            }
            let pi = MarkovChain::new(next).unwrap().stationary().unwrap();
            let all: f64 = weights.iter().sum();
            for (pi, w) in pi.iter().zip(weights.iter().map(|w| w / all)) {
                // Products and sums of n positive terms, three times, and 1 − p in the columns' sums.
                let bound = 16.0 * n as f64 * f64::EPSILON * w + f64::MIN_POSITIVE;
                prop_assert!((pi - w).abs() <= bound, "{pi:e} {w:e}");
            }
        }

        #[test]
        fn the_rate_is_what_a_long_past_leaves(chain in chain()) {
            // F₁ ≥ F₂ = rate: H(π) ≥ H(next | now), and H(two) − H(one) is the rate.
            let (pi, rate) = (chain.stationary().unwrap(), chain.entropy_rate().unwrap().0);
            let joint: Vec<f64> = (0..chain.states())
                .flat_map(|j| chain.after(j).iter().map(|p| p * pi[j]).collect::<Vec<_>>())
                .collect();
            let one = entropy::unchecked(pi.iter().copied());
            let two = entropy::unchecked(joint.into_iter());
            prop_assert!((two - one - rate).abs() <= 1e-12 && rate <= one + 1e-12);
        }
    }

    #[test]
    fn the_interval_holds_the_truth_about_as_often_as_it_says() {
        let chain: MarkovChain =
            MarkovChain::new(matrix(3, 3, &[0.7, 0.2, 0.1, 0.1, 0.6, 0.3, 0.3, 0.3, 0.4])).unwrap();
        let rate = chain.entropy_rate().unwrap();
        let held = (0..300).filter(|&seed| {
            let walk = chain.sample(&Random::new(seed, 0, 0), 2500).unwrap();
            mean_of_dependent(&chain.surprisals(&walk).unwrap()).unwrap().holds(rate)
        });
        // 95 % of 300 are 285 ± 3.8; the deviation of 50 batches is known to a tenth.
        let held = held.count();
        assert!((270..=298).contains(&held), "{held}");
    }

    #[test]
    fn walks_visit_states_as_often_as_they_should() {
        let chain = MarkovChain::new(matrix(2, 2, &[0.9, 0.1, 0.5, 0.5])).unwrap();
        let walk = chain.sample(&Random::new(3, 0, 0), 60_000).unwrap();
        let sunny = walk.iter().filter(|s| **s == 0).count() as f64 / 60_000.0;
        // Correlated draws: the variance of the mean is (1 + 0.4)/(1 − 0.4) times that of coins.
        let deviation = (5.0 / 36.0 / 60_000.0 * (1.4 / 0.6_f64)).sqrt();
        assert!((sunny - 5.0 / 6.0).abs() < 5.0 * deviation);
    }

    #[test]
    fn what_is_no_chain() {
        let refused = |n: usize, m: usize, p: &[f64]| MarkovChain::new(matrix(n, m, p)).is_err();
        assert!(refused(0, 0, &[]) && refused(1, 2, &[1.0, 1.0]) && refused(1, 1, &[0.5]));
        let one: MarkovChain = MarkovChain::new(matrix(1, 1, &[1.0])).unwrap();
        assert_eq!(one.stationary().unwrap(), [1.0]);
        assert_eq!(one.entropy_rate().unwrap().0.to_bits(), 0);
        // Two islands, and two with a state that is left for ever.
        let islands = MarkovChain::new(matrix(2, 2, &[1.0, 0.0, 0.0, 1.0])).unwrap();
        assert_eq!(islands.stationary(), Err(InfoError::Reducible));
        assert_eq!(islands.sample(&Random::new(0, 0, 0), 3), Err(InfoError::Reducible));
        let left = MarkovChain::new(matrix(2, 2, &[0.5, 0.5, 0.0, 1.0])).unwrap();
        assert_eq!(left.stationary().unwrap(), [0.0, 1.0]);
        // A walk may leave any one state for ever, or two of them, or all but two islands.
        for stays in 0..3 {
            let mut next = Matrix::from_element(3, 3, 1.0 / 3.0);
            next.set_column(
                stays,
                &nalgebra::DVector::from_fn(3, |i, _| f64::from(u8::from(i == stays))),
            );
            let pi = MarkovChain::new(next.clone()).unwrap().stationary().unwrap();
            assert!((0..3).all(|i| pi[i] == f64::from(u8::from(i == stays))));
            let other = (stays + 1) % 3;
            next.set_column(
                other,
                &nalgebra::DVector::from_fn(3, |i, _| f64::from(u8::from(i == other))),
            );
            assert_eq!(MarkovChain::new(next).unwrap().stationary(), Err(InfoError::Reducible));
        }
        // A circle has a stationary distribution, although it never converges.
        let circle = MarkovChain::new(matrix(2, 2, &[0.0, 1.0, 1.0, 0.0])).unwrap();
        assert_eq!(circle.stationary().unwrap(), [0.5, 0.5]);
        assert_eq!(circle.entropy_rate().unwrap().0, 0.0);
        assert!(matches!(circle.surprisals(&[0, 2]), Err(InfoError::Target { place: 1, .. })));
        assert_eq!(circle.surprisals(&[0, 0]).unwrap(), [Nats(f64::INFINITY)]);
        assert!(circle.surprisals(&[]).unwrap().is_empty());
        assert!(mean_of_dependent(&[Nats(1.0); 3]).is_err());
        assert_eq!(mean_of_dependent(&[Nats(1.0); 4]).unwrap().margin.0, 0.0);
        assert!(circle.sample(&Random::new(0, 0, 0), 0).unwrap().is_empty());
    }

    #[test]
    fn hard_floats() {
        let chain = |p: &[f64]| MarkovChain::new(matrix(p.len().isqrt(), p.len().isqrt(), p));
        // NaN, and a wrong sum: named by column and number.
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5, -5e-324] {
            let refused = chain(&[0.5, 0.5, bad, 1.0]).unwrap_err();
            assert!(
                matches!(refused, InfoError::Probability { index: 0, found, .. }
                    if found.to_bits() == bad.to_bits()),
                "{refused}"
            );
        }
        assert!(matches!(chain(&[5e-324]), Err(InfoError::Sum { .. })));
        assert!(matches!(chain(&[1e308, 1e308, 0.5, 0.5]), Err(InfoError::Sum { .. })));
        assert_eq!(chain(&[]), Err(InfoError::Empty { what: "the chain" }));

        // −0 is 0: an impossible step.
        let circle = chain(&[-0.0, 1.0, 1.0, -0.0]).unwrap();
        assert_eq!(circle.stationary().unwrap(), [0.5, 0.5]);
        assert_eq!(circle.entropy_rate().unwrap().0.to_bits(), 0);
        assert_eq!(circle.surprisals(&[0, 0]).unwrap(), [Nats(f64::INFINITY)]);
        assert_eq!(circle.surprisals(&[0, 1]).unwrap()[0].0.to_bits(), 0); // certain: +0
        assert_eq!(circle.sample(&Random::new(1, 0, 0), 1).unwrap().len(), 1);

        // The rarest possible step: 745 nats, rarely paid.
        for rare in [5e-324, 1e-310, 1e-300] {
            let seldom = chain(&[1.0, rare, 0.5, 0.5]).unwrap();
            assert!((seldom.surprisals(&[0, 1]).unwrap()[0].0 + rare.ln()).abs() < 1e-12);
            // The fraction 2·`rare` of the time in the state that is left every second step.
            assert_eq!(seldom.stationary().unwrap(), [1.0, 2.0 * rare]);
            let rate = rare * (2.0 * std::f64::consts::LN_2 - rare.ln());
            // Denormal terms have few digits: four of them, a unit each.
            let bound = 1e-14 * rate + 4.0 * 5e-324 * -rare.ln();
            assert!((seldom.entropy_rate().unwrap().0 - rate).abs() <= bound);
            // Rarely left on both sides.
            let rarely = chain(&[1.0, rare, rare, 1.0]).unwrap();
            assert_eq!(rarely.stationary().unwrap(), [0.5, 0.5]);
        }

        // Estimates.
        let estimate = |row: [f64; 4]| mean_of_dependent(&row.map(Nats)).unwrap();
        for [x, y] in [[0.0, -0.0], [5e-324; 2], [-5e-324; 2], [1e300; 2]] {
            let same = estimate([x, y, x, y]);
            assert!(same.mean.0 == x && same.margin.0 == 0.0 && same.holds(Nats(x)), "{x:e}");
        }
        // Deviations whose squares are 0 or ∞: two batches, of means 0 and x, have the error x/2.
        for x in [1e-300, 1e-200, 1e200, 1e300] {
            let wide = estimate([0.0, 0.0, x, x]);
            assert!((wide.mean.0 / x - 0.5).abs() <= f64::EPSILON);
            assert!((wide.margin.0 / (1.959963984540054 * x / 2.0) - 1.0).abs() < 1e-15);
        }
        let excluded = estimate([1.0, f64::INFINITY, 1.0, 1.0]);
        assert!(excluded.mean.0 == f64::INFINITY && excluded.margin.0.is_nan());
        let none = estimate([f64::NAN, 1.0, 1.0, 1.0]);
        assert!(none.mean.0.is_nan() && none.margin.0.is_nan());
        for nothing in [0.0, 1.0, f64::INFINITY, f64::NAN] {
            assert!(!excluded.holds(Nats(nothing)) && !none.holds(Nats(nothing)));
            assert!(!estimate([1.0; 4]).holds(Nats(f64::NAN)));
        }
        for few in 0..4 {
            assert!(mean_of_dependent(&vec![Nats(1.0); few]).is_err());
        }
    }
}
