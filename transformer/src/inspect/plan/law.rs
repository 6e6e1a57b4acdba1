//! The loss as a function of the number of parameters and of training tokens.

use calculus::Traced;
use calculus::quasi_newton::Lbfgs;
use linalg::Real;
use probability::Random;
use probability::interval::{Interval, quantile};
use probability::log_sum_exp::log_sum_exp;
use serde::Serialize;
use std::array;
use thiserror::Error;

/// A trained model: its size, its training tokens, its loss on held-out text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Number of parameters N.
    pub parameters: f64,
    /// Number of training tokens D.
    pub tokens: f64,
    /// Loss L, nats per token.
    pub loss: f64,
}

/// A scaling law: <var>L(N, D) = E + A/N^α + B/D^β</var>, in nats per token.
///
/// E is the entropy of the text, A/N^α the price of a finite model, B/D^β that of finite training.
/// Source: Hoffmann et al., *Training Compute-Optimal Large Language Models*, 2022, approach 3; its points and fit were
/// corrected by Besiroglu et al., *Chinchilla Scaling: A replication attempt*, 2024.
///
/// ```
/// use transformer::inspect::plan::ScalingLaw;
/// // The replication's constants, at Chinchilla's 70 billion parameters and 1.4 trillion tokens.
/// let law = ScalingLaw { e: 1.81686, a: 482.01, alpha: 0.347813, b: 2085.43, beta: 0.365854 };
/// assert!((law.loss(70e9, 1.4e12) - 1.9734).abs() < 1e-4);
/// // About twenty tokens a parameter are best there, as Chinchilla had.
/// let (parameters, tokens) = law.best(6.0 * 70e9 * 1.4e12);
/// assert!((15.0..25.0).contains(&(tokens / parameters)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScalingLaw {
    /// The loss E of a model without limits.
    pub e: f64,
    /// The factor A.
    pub a: f64,
    /// The exponent α of parameters.
    pub alpha: f64,
    /// The factor B.
    pub b: f64,
    /// The exponent β of tokens.
    pub beta: f64,
}

/// What is known of a law before its points.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Known {
    /// The entropy E of the text.
    pub e: Option<f64>,
    /// A number of parameters and of training tokens that suit each other. The law then has a Gaussian prior: both exponents
    /// are 0.36 ± 0.12; the prices A/N^α and B/D^β of this size and these tokens are equal within a factor of two, as they
    /// are at the best size; and E is 0.78 of the loss there, within 0.63 and 0.97. Few points, far from the size that is
    /// asked for, would otherwise determine nothing. Sources: the replication has exponents 0.348 and 0.366, Hoffmann et al.
    /// 0.34 and 0.28; the share of E is 0.92 at Chinchilla's size, and less in small models.
    pub balanced: Option<(f64, f64)>,
}

/// A law fitted to points.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// The law.
    pub law: ScalingLaw,
    /// The minimum of the objective, Σ Huber(ln L̂ − ln L).
    pub objective: f64,
    /// The laws of resampled points.
    pub resampled: Vec<ScalingLaw>,
    /// The factor by which intervals are wider than the resampled laws differ: √(n/(n − k)) for n points and k free numbers
    /// without a prior, because a law is closer to the points that it was fitted to than to others; 1 with one.
    pub widening: f64,
    /// The scatter of ln L about the law: 1.4826 × the median error of a point that is left out of the fit; 0 for fewer than 3
    /// points, and for more than 32.
    pub scatter: f64,
}

/// Points that determine no law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FitError {
    /// Too few points.
    #[error("{found} points; a law takes at least {least}")]
    Few {
        /// The points that are there.
        found: usize,
        /// The least number of points.
        least: usize,
    },
    /// A number that is not positive and finite.
    #[error("point {0} has parameters, tokens or a loss that is not a finite number above 0")]
    NotPositive(usize),
}

/// The threshold δ of the Huber loss of ln L, as in the source: an error of more than 0.1 % counts linearly, so that
/// unfinished or failed runs do not bend the law.
const DELTA: f64 = 1e-3;
/// Means and standard deviations of the prior ([`Known::balanced`]): of the exponents, of the logarithm of the prices' ratio, and
/// of that of E's share.
const PRIOR: [(f64, f64); 4] = [(0.36, 0.12), (0.36, 0.12), (0.0, 0.7), (-0.25, 0.22)];
/// The error of ln L that a short run has, about: by its seed, and because the law holds for long runs. A number
/// that is one standard deviation from the prior's mean weighs as much as half a point with this error.
const PRIOR_ERROR: f64 = 0.02;
/// Starts of the descent, and those from which it is run to the end.
const EXPONENTS: [f64; 3] = [0.2, 0.5, 0.9];
const SHARES: [f64; 3] = [0.05, 0.2, 0.6];
const TRIED: usize = 6;
/// Steps of a descent.
const STEPS: u32 = 400;
/// The most points whose scatter is measured, by a fit without each.
const FEW: usize = 32;

impl ScalingLaw {
    /// Returns the loss of N parameters after D tokens.
    pub fn loss(&self, parameters: f64, tokens: f64) -> f64 {
        self.e + self.a * parameters.powf(-self.alpha) + self.b * tokens.powf(-self.beta)
    }

    /// Returns the parameters and tokens with the least loss among those with 6·N·D = `flops` operations:
    /// <var>N = G·(C/6)^(β/(α+β))</var>, <var>G = (α·A/(β·B))^(1/(α+β))</var>.
    pub fn best(&self, flops: f64) -> (f64, f64) {
        let sum = self.alpha + self.beta;
        let g = (self.alpha * self.a / (self.beta * self.b)).powf(1.0 / sum);
        let parameters = g * (flops / 6.0).powf(self.beta / sum);
        (parameters, flops / 6.0 / parameters)
    }

    /// Fits a law to points: the minimum of Σ Huber(ln L̂ − ln L) with δ = 10⁻³, by L-BFGS from several starts, and again
    /// for each of `resamples` samples of the points with replacement. With a prior, the objective has a term δ·0.02·z²/2
    /// for a number that is z standard deviations from its mean, and each sample has means of its own, drawn from the prior,
    /// so that the laws also differ by what the points do not tell.
    ///
    /// ```
    /// use transformer::inspect::plan::{Known, Point, ScalingLaw};
    /// let truth = ScalingLaw { e: 1.0, a: 30.0, alpha: 0.4, b: 50.0, beta: 0.3 };
    /// let sizes = [1e4, 4e4, 1.6e5, 6.4e5];
    /// let points = sizes.iter().flat_map(|&n| [1e6, 1e7].map(|d| (n, d)));
    /// let points = points.map(|(n, d)| Point { parameters: n, tokens: d, loss: truth.loss(n, d) });
    /// let fit = ScalingLaw::fit(&points.collect::<Vec<_>>(), Known { e: Some(1.0), ..Known::default() }, 0)?;
    /// assert!((fit.law.loss(1e7, 1e9) / truth.loss(1e7, 1e9) - 1.0).abs() < 1e-3);
    /// # Ok::<(), transformer::inspect::plan::FitError>(())
    /// ```
    ///
    /// # Errors
    /// Fewer points than free numbers, a number that is not positive and finite.
    pub fn fit(points: &[Point], known: Known, resamples: u64) -> Result<Fit, FitError> {
        let least = if known.balanced.is_some() { 2 } else { 5 - usize::from(known.e.is_some()) };
        if points.len() < least {
            return Err(FitError::Few { found: points.len(), least });
        }
        let sound = |x: f64| x > 0.0 && x.is_finite();
        let broken = |p: &Point| !(sound(p.parameters) && sound(p.tokens) && sound(p.loss));
        if let Some(at) = points.iter().position(broken) {
            return Err(FitError::NotPositive(at + 1));
        }
        let data = Data::new(points, known);
        let all = Weights { counts: vec![1.0; points.len()], means: PRIOR.map(|(mean, _)| mean) };
        let mut starts: Vec<(f64, [f64; 5])> =
            data.starts().map(|start| (data.objective(&start, &all), start)).collect();
        starts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let descended = starts.iter().take(TRIED).map(|(_, start)| data.descend(start, &all));
        let (objective, best) =
            descended.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are starts");
        let [random, expected] = [0, 1].map(|stream| Random::new(1, stream, 0));
        let n = points.len() as u64;
        let again = (0..resamples).map(|k| {
            let mut counts = vec![0.0; points.len()];
            (0..n).for_each(|i| counts[random.below(k * n + i, n) as usize] += 1.0);
            let means =
                array::from_fn(|i| PRIOR[i].0 + PRIOR[i].1 * expected.normal(4 * k + i as u64));
            data.law(&data.descend(&best, &Weights { counts, means }).1)
        });
        let resampled = again.collect();
        let law = data.law(&best);
        // A point that the law was fitted to is closer to it than a run will be.
        let left_out = (0..points.len()).filter_map(|i| {
            let mut weights = all.clone();
            weights.counts[i] = 0.0;
            let law = data.law(&data.descend(&best, &weights).1);
            let Point { parameters, tokens, loss } = points[i];
            let error = (law.loss(parameters, tokens) / loss).ln().abs();
            error.is_finite().then_some(error)
        });
        let scatter = match points.len() > 2 && points.len() <= FEW {
            true => 1.4826 * quantile(&left_out.collect::<Vec<_>>(), 0.5).unwrap_or_default(),
            false => 0.0,
        };
        let free = 5 - usize::from(known.e.is_some());
        let widening = if known.balanced.is_some() { 1.0 } else { widening(points.len(), free) };
        Ok(Fit { law, objective, resampled, widening, scatter })
    }
}

impl Fit {
    /// Returns an interval for the loss at N parameters and D tokens; `None` without resamples: the middle share
    /// `confidence` of the resampled laws' losses, widened about the law's ([`Fit::widening`]).
    pub fn interval(&self, parameters: f64, tokens: f64, confidence: f64) -> Option<Interval> {
        let all: Vec<f64> = self.resampled.iter().map(|law| law.loss(parameters, tokens)).collect();
        let tail = (1.0 - confidence) / 2.0;
        let middle = self.law.loss(parameters, tokens);
        let factor = self.widening;
        let wide = |x: f64| middle + factor * (x - middle);
        let ends = [tail, 1.0 - tail].map(|p| quantile(&all, p));
        match ends {
            [Ok(low), Ok(high)] => {
                Some(Interval { low: wide(low).min(middle), high: wide(high).max(middle) })
            }
            _ => None,
        }
    }
}

/// Returns √(n/(n − k)) for n points and k free numbers.
fn widening(n: usize, k: usize) -> f64 {
    (n as f64 / n.saturating_sub(k).max(1) as f64).sqrt()
}

/// How often each point counts, and the prior's means.
#[derive(Clone)]
struct Weights {
    counts: Vec<f64>,
    means: [f64; 4],
}

/// Logarithms of points, about their means, so that the numbers of a law hardly depend on each other.
struct Data {
    known: Known,
    /// ln N − mean, ln D − mean, ln L.
    points: Vec<[f64; 3]>,
    mean: [f64; 2],
}

impl Data {
    fn new(points: &[Point], known: Known) -> Self {
        let n = points.len() as f64;
        let mean = |f: fn(&Point) -> f64| points.iter().map(|p| f(p).ln()).sum::<f64>() / n;
        let mean = [mean(|p| p.parameters), mean(|p| p.tokens)];
        let of = |p: &Point| [p.parameters.ln() - mean[0], p.tokens.ln() - mean[1], p.loss.ln()];
        Data { known, points: points.iter().map(of).collect(), mean }
    }

    /// Returns starting points (ln A′, α, ln B′, β, ln E), with A′ = A/N̄^α the loss by parameters at the mean N.
    fn starts(&self) -> impl Iterator<Item = [f64; 5]> + '_ {
        let least = self.points.iter().map(|p| p[2]).fold(f64::INFINITY, f64::min);
        let grid = EXPONENTS.iter().flat_map(|&alpha| EXPONENTS.map(|beta| (alpha, beta)));
        let shares = SHARES.iter().flat_map(|&a| SHARES.map(|b| (a, b)));
        let shares: Vec<_> = shares.collect();
        grid.flat_map(move |(alpha, beta)| {
            let of = move |(a, b): (f64, f64)| {
                let left = (1.0 - 0.5 * (a + b)).max(0.1);
                [least + a.ln(), alpha, least + b.ln(), beta, least + left.ln()]
            };
            shares.clone().into_iter().map(of)
        })
    }

    /// Returns Σ count·Huber(ln L̂ − ln L), and the prior's terms.
    fn objective<T: Real>(&self, x: &[T; 5], weights: &Weights) -> T {
        let number = |x: f64| T::from_f64(x);
        let [a, alpha, b, beta, e] = *x;
        let e = self.known.e.map_or(e, |e| number(e.ln()));
        let mut sum = T::zero();
        for ([n, d, loss], &count) in self.points.iter().zip(&weights.counts) {
            if count == 0.0 {
                continue;
            }
            let terms = [a - alpha * number(*n), b - beta * number(*d), e];
            let error = log_sum_exp(&terms) - number(*loss);
            let size = error.abs();
            let huber = match size.to_f64() <= DELTA {
                true => error * error * number(0.5),
                false => (size - number(0.5 * DELTA)) * number(DELTA),
            };
            sum += huber * number(count);
        }
        if let Some((n, d)) = self.known.balanced {
            let [n, d] = [n.ln() - self.mean[0], d.ln() - self.mean[1]];
            let prices = [a - alpha * number(n), b - beta * number(d)];
            let share = e - log_sum_exp(&[prices[0], prices[1], e]);
            // A known entropy has its share.
            let share = self.known.e.map_or(share, |_| number(weights.means[3]));
            let found = [alpha, beta, prices[0] - prices[1], share];
            for ((x, expected), (_, deviation)) in found.into_iter().zip(weights.means).zip(PRIOR) {
                let z = (x - number(expected)) / number(deviation);
                sum += z * z * number(0.5 * DELTA * PRIOR_ERROR);
            }
        }
        sum
    }

    /// Descends from a start; returns the objective and the point.
    fn descend(&self, start: &[f64; 5], weights: &Weights) -> (f64, [f64; 5]) {
        // The objective is about δ·|error|: in units of δ² its slopes are about 1.
        let scaled = |x: &[Traced<f64>]| {
            self.objective(&array::from_fn(|i| x[i]), weights) / Traced::from_f64(DELTA * DELTA)
        };
        let found = Lbfgs::default().minimize(scaled, start, 1e-9, STEPS);
        let x: [f64; 5] = match &found {
            Ok(found) => array::from_fn(|i| found.x[i]),
            Err(_) => *start,
        };
        (self.objective(&x, weights), x)
    }

    /// Returns the law of a point.
    fn law(&self, &[a, alpha, b, beta, e]: &[f64; 5]) -> ScalingLaw {
        ScalingLaw {
            e: self.known.e.unwrap_or(e.exp()),
            a: (a + alpha * self.mean[0]).exp(),
            alpha,
            b: (b + beta * self.mean[1]).exp(),
            beta,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: ScalingLaw = ScalingLaw { e: 0.8, a: 40.0, alpha: 0.4, b: 60.0, beta: 0.3 };

    fn points(seed: u64, noise: f64) -> Vec<Point> {
        let random = Random::new(seed, 0, 0);
        let sizes = [1e4, 3e4, 1e5, 3e5, 1e6];
        let all = sizes.iter().flat_map(|&n| [1e5, 1e6, 1e7, 1e8].map(|d| (n, d)));
        all.enumerate()
            .map(|(i, (parameters, tokens))| Point {
                parameters,
                tokens,
                loss: LAW.loss(parameters, tokens) * (noise * random.normal(i as u64)).exp(),
            })
            .collect()
    }

    #[test]
    fn a_law_is_found_in_its_points() {
        let found = ScalingLaw::fit(&points(1, 0.0), Known::default(), 0).unwrap();
        let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-4;
        let ScalingLaw { e, a, alpha, b, beta } = found.law;
        assert!(close(e, 0.8) && close(alpha, 0.4) && close(beta, 0.3), "{found:?}");
        assert!(close(a, 40.0) && close(b, 60.0), "{found:?}");
        // A failed run hardly moves it.
        let mut spoilt = points(1, 0.0);
        spoilt[7].loss *= 3.0;
        let again = ScalingLaw::fit(&spoilt, Known::default(), 0).unwrap().law;
        assert!((again.loss(1e7, 1e9) / LAW.loss(1e7, 1e9) - 1.0).abs() < 1e-3, "{again:?}");
    }

    /// Ten times beyond the largest model, intervals of 90 % hold the truth about as often as they say: 16 to 20 of 20
    /// have a probability of 0.96 at 0.9.
    #[test]
    fn intervals_hold_what_will_be() {
        let (n, d) = (1e7, 3e8);
        let holds = |seed| {
            let found = ScalingLaw::fit(&points(seed, 0.003), Known::default(), 40).unwrap();
            found.interval(n, d, 0.9).unwrap().contains(LAW.loss(n, d))
        };
        let held = (1..=20).filter(|&seed| holds(seed)).count();
        assert!(held >= 16, "{held} of 20");
    }

    #[test]
    fn what_is_known_of_a_text_narrows_its_interval() {
        let width = |e| {
            let found =
                ScalingLaw::fit(&points(1, 0.003), Known { e, balanced: None }, 60).unwrap();
            let interval = found.interval(1e7, 3e8, 0.9).unwrap();
            (found.law.e, interval.high - interval.low)
        };
        let (unknown, known) = (width(None), width(Some(LAW.e)));
        assert_eq!(known.0, LAW.e);
        assert!(known.1 < unknown.1, "{known:?} {unknown:?}");
    }

    /// A law of few noisy points stays near the usual one if that is expected; many exact points decide alone.
    #[test]
    fn the_usual_holds_few_points_together() {
        let known = |usual| Known { e: None, balanced: usual };
        let few = |usual, seed| {
            let six: Vec<Point> = points(seed, 0.01).into_iter().step_by(3).take(6).collect();
            let law = ScalingLaw::fit(&six, known(usual), 0).unwrap().law;
            (law.alpha - 0.36).abs().max((law.beta - 0.36).abs())
        };
        let farthest = |usual| (1..=4).map(|seed| few(usual, seed)).fold(0.0, f64::max);
        let balanced = Some((3e5, 1e6));
        let (usual, free) = (farthest(balanced), farthest(None));
        assert!(usual < 0.24 && usual < 0.8 * free, "{usual} {free}");
        let many = ScalingLaw::fit(&points(1, 0.0), known(balanced), 0).unwrap().law;
        assert!((many.loss(1e7, 3e8) / LAW.loss(1e7, 3e8) - 1.0).abs() < 0.01, "{many:?}");
        // Two points are enough for a rough law.
        let two = &points(1, 0.0)[..2];
        let rough = ScalingLaw::fit(two, known(balanced), 40).unwrap();
        let interval = rough.interval(1e6, 1e8, 0.9).unwrap();
        assert!(interval.contains(LAW.loss(1e6, 1e8)), "{interval:?}");
    }

    #[test]
    fn the_best_size_is_a_minimum() {
        let flops = 1e15;
        let (n, d) = LAW.best(flops);
        assert!((6.0 * n * d / flops - 1.0).abs() < 1e-12);
        for factor in [0.5, 0.9, 1.1, 2.0] {
            assert!(LAW.loss(n * factor, d / factor) > LAW.loss(n, d));
        }
    }

    #[test]
    fn what_determines_no_law_is_refused() {
        let few = ScalingLaw::fit(&points(1, 0.0)[..4], Known::default(), 0).unwrap_err();
        assert_eq!(few, FitError::Few { found: 4, least: 5 });
        assert!(
            ScalingLaw::fit(&points(1, 0.0)[..4], Known { e: Some(0.8), balanced: None }, 0)
                .is_ok()
        );
        let mut broken = points(1, 0.0);
        broken[2].loss = f64::NAN;
        assert_eq!(ScalingLaw::fit(&broken, Known::default(), 0), Err(FitError::NotPositive(3)));
    }
}
