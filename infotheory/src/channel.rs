//! The capacity of a channel, and the rate of a lossy code: the algorithm of Blahut and Arimoto.
//!
//! A channel is the distribution of its output for each input. Its capacity <var>C = max I(X; Y)</var> over distributions of
//! the input is what a noisy label, a quantised activation or a bottleneck of a few symbols can tell at most. The
//! rate–distortion function <var>R(D) = min I(X; X̂)</var> over channels with a mean distortion up to D is what a source takes
//! at least if it need not come back exactly: weights or keys and values of a cache that are stored in few bits.
//!
//! Formulas. With the output's distribution q of an input p, each step multiplies <var>p(x)</var> by
//! <var>e^D(x)</var>, D(x) the divergence of row x of W from q, and normalises. In every step
//! <var>Σ p(x)·D(x) ≤ C ≤ max D(x)</var>; the iteration ends where they meet. For the rate at the slope β = −dR/dD, with
//! <var>A(x) = Σ q(x̂)·e^(−β·d(x, x̂))</var> and <var>c(x̂) = Σ p(x)·e^(−β·d(x, x̂))/A(x)</var>, each step multiplies
//! q(x̂) by c(x̂); with D the mean distortion of <var>W(x̂|x) = q(x̂)·e^(−β·d)/A(x)</var>,
//! <var>−βD − Σ p ln A − ln max c ≤ R(D) ≤ −βD − Σ p ln A</var>.
//! Source: Blahut, *Computation of channel capacity and rate-distortion functions*, 1972; Arimoto 1972; Cover and Thomas
//! 2006, section 10.8.
//!
//! On `f64` alone: an iteration that ends by comparing bounds.

use crate::InfoError;
use crate::divergence;
use crate::units::Nats;
use linalg::Matrix;
use linalg::accurate::sum;
use probability::Categorical;

/// The most steps. Each halves the distance of the bounds or so, unless an input that is hardly worse than the best ones is
/// to be left out: then the distance falls as one over the number of steps.
const STEPS: usize = 100_000;

/// What a channel can carry, between two bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// The mutual information of `input` and its output, which is at most the capacity.
    pub lower: Nats,
    /// What the capacity is at most. It differs from `lower` by more than the tolerance if the steps did not suffice.
    pub upper: Nats,
    /// The distribution of the input that carries `lower`.
    pub input: Categorical,
    /// The number of steps, at most 100,000.
    pub steps: usize,
}

/// Returns the capacity of a channel, given by the distribution of the output for each input. On `f64`.
///
/// # Errors
/// If there are no inputs, the numbers of outputs differ, or the tolerance, in nats, is not finite and at least 10⁻¹⁵.
///
/// ```
/// use infotheory::channel::capacity;
/// use probability::Categorical;
/// // Half of the ones arrive as zeros, all zeros arrive: two ones for every three zeros are best.
/// let z = [[1.0, 0.0], [0.5, 0.5]].map(|p| Categorical::from_probabilities(&p).expect("a distribution"));
/// let found = capacity(&z, 1e-12)?;
/// assert!((found.lower.to_bits().0 - 1.25_f64.log2()).abs() < 1e-11);
/// assert!((found.input.probability(1) - 0.4).abs() < 1e-5 && found.upper >= found.lower);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("blahut_arimoto", "channel_capacity"))]
pub fn capacity(channel: &[Categorical], tolerance: f64) -> Result<Capacity, InfoError> {
    check_tolerance(tolerance)?;
    let Some(first) = channel.first() else {
        return Err(InfoError::Empty { what: "the channel" });
    };
    let outputs = first.len();
    if let Some(other) = channel.iter().find(|output| output.len() != outputs) {
        let what = "the output of an input";
        return Err(InfoError::Length { what, found: other.len(), expected: outputs });
    }
    let mut input = vec![1.0 / channel.len() as f64; channel.len()];
    for step in 1.. {
        let of_output =
            |y: usize| sum(channel.iter().zip(&input).map(|(output, p)| p * output.probability(y)));
        let output: Vec<f64> = (0..outputs).map(of_output).collect();
        // An output of probability 0, though an input has it: both are too small to count.
        let pair = |(&p, &q): (&f64, &f64)| if q == 0.0 { (q, q) } else { (p, q) };
        let gain = |of: &Categorical| {
            divergence::unchecked(of.probabilities().iter().zip(&output).map(pair))
        };
        let gains: Vec<f64> = channel.iter().map(gain).collect();
        let upper = gains.iter().copied().fold(0.0, f64::max);
        let lower = sum(input.iter().zip(&gains).map(|(p, gain)| p * gain)).min(upper);
        if upper - lower <= tolerance || step == STEPS {
            let input = normalised(&input);
            return Ok(Capacity { lower: Nats(lower), upper: Nats(upper), input, steps: step });
        }
        input.iter_mut().zip(&gains).for_each(|(p, gain)| *p *= (gain - upper).exp());
        let total = sum(input.iter().copied());
        input.iter_mut().for_each(|p| *p /= total);
    }
    unreachable!("the steps are counted")
}

/// A point of the rate–distortion function, between two bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct RateDistortion {
    /// The mean distortion D.
    pub distortion: f64,
    /// What R(D) is at least.
    pub lower: Nats,
    /// What R(D) is at most. It differs from `lower` by more than the tolerance if the steps did not suffice.
    pub upper: Nats,
    /// The distribution of the reproductions.
    pub reproduction: Categorical,
    /// The number of steps, at most 100,000.
    pub steps: usize,
}

/// Returns the point of the rate–distortion function at which one unit of distortion is worth `slope` nats, −dR/dD. On
/// `f64`. `distortion` has a row for each symbol of the source and a column for each reproduction.
///
/// A small slope gives a large distortion at a rate of 0; a large one the least distortion, at the entropy of the source if
/// every symbol has a reproduction of its own.
///
/// # Errors
/// If the rows are not the symbols, there is no reproduction, a distortion is not finite and at least 0, the slope is not
/// finite and above 0, or the tolerance, in nats, is not finite and at least 10⁻¹⁵.
///
/// ```
/// use infotheory::{channel::rate_distortion, entropy::binary_entropy};
/// use probability::Categorical;
/// // A coin whose faces may be mistaken: R(D) = ln 2 − h(D).
/// let mistaken = linalg::matrix(2, 2, &[0.0, 1.0, 1.0, 0.0]);
/// let coin = Categorical::uniform(2).expect("two faces");
/// let found = rate_distortion(&coin, &mistaken, 9_f64.ln(), 1e-12)?;
/// assert!((found.distortion - 0.1).abs() < 1e-12);
/// let expected = std::f64::consts::LN_2 - binary_entropy(0.1)?.0;
/// assert!((found.upper.0 - expected).abs() < 1e-12 && (found.lower.0 - expected).abs() < 1e-12);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias = "blahut_arimoto")]
pub fn rate_distortion(
    source: &Categorical,
    distortion: &Matrix<f64>,
    slope: f64,
    tolerance: f64,
) -> Result<RateDistortion, InfoError> {
    check_tolerance(tolerance)?;
    let (symbols, reproductions) = distortion.shape();
    if symbols != source.len() {
        let what = "the rows of the distortion";
        return Err(InfoError::Length { what, found: symbols, expected: source.len() });
    }
    if reproductions == 0 {
        return Err(InfoError::Empty { what: "the list of reproductions" });
    }
    let right = |d: &f64| *d >= 0.0 && d.is_finite();
    if let Some(&found) = distortion.iter().find(|d| !right(d)) {
        let (what, expected) = ("a distortion", "finite and at least 0");
        return Err(InfoError::Parameter { what, found, expected });
    }
    if !(slope > 0.0 && slope.is_finite()) {
        let (what, expected) = ("the slope", "finite and above 0");
        return Err(InfoError::Parameter { what, found: slope, expected });
    }
    let p = source.probabilities();
    // Distortions above the least of each symbol, whose exponentials do not all underflow.
    let least: Vec<f64> =
        distortion.row_iter().map(|row| row.iter().copied().fold(f64::MAX, f64::min)).collect();
    let above = Matrix::from_fn(symbols, reproductions, |x, y| distortion[(x, y)] - least[x]);
    let weight = above.map(|d| (-slope * d).exp());
    let mut q = vec![1.0 / reproductions as f64; reproductions];
    for step in 1.. {
        let of_symbol = |x: usize| sum(q.iter().enumerate().map(|(y, q)| q * weight[(x, y)]));
        let total: Vec<f64> = (0..symbols).map(of_symbol).collect();
        let of_reproduction =
            |y: usize| sum((0..symbols).map(|x| p[x] * (weight[(x, y)] / total[x])));
        let gains: Vec<f64> = (0..reproductions).map(of_reproduction).collect();
        let gap = gains.iter().copied().fold(1.0, f64::max).ln();
        if gap <= tolerance || step == STEPS {
            // The distortion above the least, of each symbol.
            let excess = |x: usize| {
                let terms = q.iter().enumerate().map(|(y, q)| q * weight[(x, y)] * above[(x, y)]);
                sum(terms) / total[x]
            };
            let excess: Vec<f64> = (0..symbols).map(excess).collect();
            let upper = (0..symbols).map(|x| p[x] * (-total[x].ln() - slope * excess[x]));
            let upper = sum(upper).max(0.0);
            return Ok(RateDistortion {
                distortion: sum((0..symbols).map(|x| p[x] * (least[x] + excess[x]))),
                lower: Nats((upper - gap).max(0.0)),
                upper: Nats(upper),
                reproduction: normalised(&q),
                steps: step,
            });
        }
        q.iter_mut().zip(&gains).for_each(|(q, gain)| *q *= gain);
    }
    unreachable!("the steps are counted")
}

fn check_tolerance(found: f64) -> Result<(), InfoError> {
    if found >= 1e-15 && found.is_finite() {
        return Ok(());
    }
    let (what, expected) = ("the tolerance", "finite and at least 1e-15 nats");
    Err(InfoError::Parameter { what, found, expected })
}

fn normalised(p: &[f64]) -> Categorical {
    Categorical::from_weights(p).expect("numbers that sum to one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{binary_entropy, entropy};
    use crate::joint::mutual_information;
    use linalg::matrix;
    use probability::Joint;
    use proptest::prelude::*;

    fn categorical(p: &[f64]) -> Categorical {
        Categorical::from_weights(p).unwrap()
    }

    proptest! {
        /// The lower bound is the information that the input carries, no other input carries more than the upper one, and
        /// more inputs carry no less.
        #[test]
        fn no_input_carries_more(
            rows in prop::collection::vec(prop::collection::vec(1e-3f64..1.0, 3), 2..5),
            other in prop::collection::vec(1e-3f64..1.0, 5),
        ) {
            let channel: Vec<Categorical> = rows.iter().map(|p| categorical(p)).collect();
            let found = capacity(&channel, 1e-6).unwrap();
            let carried = |p: &Categorical| mutual_information(&Joint::from_conditionals(p, &channel).unwrap()).0;
            prop_assert!((carried(&found.input) - found.lower.0).abs() < 1e-12);
            prop_assert!(found.lower.0 <= found.upper.0 && (found.upper - found.lower).0 <= 1e-6);
            prop_assert!(carried(&categorical(&other[..channel.len()])) <= found.upper.0 + 1e-12);
            let fewer = capacity(&channel[1..], 1e-6).unwrap();
            prop_assert!(fewer.lower.0 <= found.upper.0 + 1e-12);
        }

        /// R decreases and is convex: the line of the slope through one point lies below every other. No channel with that
        /// distortion has a smaller rate.
        #[test]
        fn rates_lie_above_their_tangents(
            p in prop::collection::vec(1e-3f64..1.0, 3), d in prop::collection::vec(0.0f64..2.0, 9),
            slopes in prop::collection::vec(0.1f64..8.0, 2), w in prop::collection::vec(1e-3f64..1.0, 9),
        ) {
            let (source, d) = (categorical(&p), matrix(3, 3, &d));
            let points: Vec<RateDistortion> =
                slopes.iter().map(|&s| rate_distortion(&source, &d, s, 1e-6).unwrap()).collect();
            for (point, slope) in points.iter().zip(&slopes) {
                prop_assert!((point.upper - point.lower).0 <= 1e-6 + 1e-12);
                prop_assert!(point.upper.0 <= entropy(source.probabilities()).unwrap().0 + 1e-12);
                // `lower` is no less than 0, which the tangent may be.
                let tangent = point.upper.0 - 1e-6 + slope * point.distortion;
                for other in &points {
                    let line = tangent - slope * other.distortion;
                    prop_assert!(other.upper.0 >= line - 1e-9);
                }
                let channel: Vec<Categorical> = w.chunks(3).map(categorical).collect();
                let mean = |x: usize| channel[x].expectation(|y| d[(x, y)]);
                let distortion = source.expectation(mean);
                let rate = mutual_information(&Joint::from_conditionals(&source, &channel).unwrap()).0;
                prop_assert!(rate >= tangent - slope * distortion - 1e-9);
            }
        }
    }

    #[test]
    fn channels_with_a_formula() {
        let bits = |channel: &[Categorical]| {
            let found = capacity(channel, 1e-13).unwrap();
            assert!((found.upper - found.lower).0 <= 1e-13, "{found:?}");
            found.lower.to_bits().0
        };
        for e in [0.0, 0.1, 0.5, 0.9] {
            // Symmetric: 1 − h(e); erasures: 1 − e.
            let flips = [categorical(&[1.0 - e, e]), categorical(&[e, 1.0 - e])];
            let expected = 1.0 - binary_entropy(e).unwrap().to_bits().0;
            assert!((bits(&flips) - expected).abs() < 1e-12, "{e}");
            let erased = [categorical(&[1.0 - e, 0.0, e]), categorical(&[0.0, 1.0 - e, e])];
            assert!((bits(&erased) - (1.0 - e)).abs() < 1e-12, "{e}");
        }
        // A typewriter that hits one of two neighbours of 26: log₂ 13.
        let key = |i: usize| {
            let mut p = [0.0; 26];
            (p[i], p[(i + 1) % 26]) = (0.5, 0.5);
            categorical(&p)
        };
        assert!((bits(&(0..26).map(key).collect::<Vec<_>>()) - 13_f64.log2()).abs() < 1e-12);
        assert_eq!(bits(&[categorical(&[0.2, 0.8])]), 0.0);
    }

    /// A slope at which distortion is nearly free, and one at which it is nearly forbidden.
    #[test]
    fn the_ends_of_the_curve() {
        let source = categorical(&[0.6, 0.3, 0.1]);
        let d = Matrix::from_fn(3, 3, |x, y| f64::from(u8::from(x != y)));
        let free = rate_distortion(&source, &d, 0.1, 1e-9).unwrap();
        assert!(free.upper.0 < 1e-3 && (free.distortion - 0.4).abs() < 1e-2, "{free:?}");
        let exact = rate_distortion(&source, &d, 1e300, 1e-12).unwrap();
        assert!(exact.distortion == 0.0);
        assert!((exact.lower.0 - entropy(&[0.6, 0.3, 0.1]).unwrap().0).abs() < 1e-12);
    }

    #[test]
    fn bad_input() {
        let fair = categorical(&[1.0, 1.0]);
        assert!(capacity(&[], 1e-6).is_err());
        let ragged = capacity(&[fair.clone(), categorical(&[1.0])], 1e-6).unwrap_err();
        assert_eq!(ragged.to_string(), "the output of an input has 1 entries where 2 are needed");
        for tolerance in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(capacity(std::slice::from_ref(&fair), tolerance).is_err());
        }
        let d = matrix(2, 2, &[0.0, 1.0, 1.0, 0.0]);
        let of = |d: &Matrix<f64>, slope: f64| rate_distortion(&fair, d, slope, 1e-6);
        assert!(
            of(&d, 0.0).is_err() && of(&d, f64::NAN).is_err() && of(&d, f64::INFINITY).is_err()
        );
        assert!(
            of(&matrix(1, 2, &[0.0, 1.0]), 1.0).is_err() && of(&Matrix::zeros(2, 0), 1.0).is_err()
        );
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(of(&matrix(2, 1, &[0.0, bad]), 1.0).is_err());
        }
        assert!(of(&matrix(2, 2, &[0.0, f64::MAX, 1.0, 0.0]), f64::MAX).is_ok());
        // The smallest probability, half of which is 0.
        let tiny = [categorical(&[1.0, 5e-324]), categorical(&[1.0, 5e-324])];
        assert_eq!(capacity(&tiny, 1e-6).unwrap().upper.0, 0.0);
        assert!(rate_distortion(&tiny[0], &d, 2.0, 1e-6).unwrap().upper.0 <= 1e-6);
    }
}
