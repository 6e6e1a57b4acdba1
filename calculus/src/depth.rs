//! Vanishing and exploding gradients in deep networks, and the effect of residual connections.
//!
//! The chain rule gives one factor per layer. A product of L factors of size about a is about aᴸ: it vanishes for a < 1
//! and explodes for a > 1. A residual layer x + f(x) has the factor 1 + f′(x), which initialisation and normalisation
//! keep close to 1. Expanded, ∏(1 + fₗ′) is a sum over 2ᴸ paths, each through some of the layers and around the others;
//! the path around all of them carries a gradient of 1.
//!
//! ±∞, NaN, 0 and denormal factors follow IEEE arithmetic; the product of no factors is 1.
//!
//! Source: the textbook's A.3; Hochreiter 1991; Veit, Wilber, Belongie, *Residual Networks Behave Like
//! Ensembles of Relatively Shallow Networks*, 2016, for the paths.

use crate::Dual;
use linalg::Real;

/// Returns fₗ′ at the input of layer l, for a chain of scalar layers starting at `x`.
///
/// ```
/// // Twelve logistic layers: no factor is above ¼.
/// use calculus::{activation::sigmoid, depth};
/// let factors = depth::factors(12, |_, x| sigmoid(x), 0.0);
/// assert!(factors.iter().all(|&f| f > 0.0 && f <= 0.25));
/// assert!(depth::gradients(&factors)[0] < 1e-7); // the gradient of the first layer
/// ```
pub fn factors<T: Real>(layers: usize, layer: impl Fn(usize, Dual<T>) -> Dual<T>, x: T) -> Vec<T> {
    let mut reached = x;
    let step = |l| {
        let y = layer(l, Dual::variable(reached));
        reached = y.value;
        y.derivative
    };
    (0..layers).map(step).collect()
}

/// Returns ∂y/∂(input of layer l) for every layer: the product of the factors from that layer to the end.
///
/// ```
/// assert_eq!(calculus::depth::gradients(&[0.5, 2.0, 0.1]), [0.1, 0.2, 0.1]);
/// ```
pub fn gradients<T: Real>(factors: &[T]) -> Vec<T> {
    let mut product = T::one();
    let mut found: Vec<T> = factors
        .iter()
        .rev()
        .map(|&f| {
            product *= f;
            product
        })
        .collect();
    found.reverse();
    found
}

/// Returns 1 + f for every factor: the same layers, each with a residual connection.
///
/// ```
/// use calculus::depth;
/// let plain = [0.1; 50];
/// assert!(depth::gradients(&plain)[0] < 1e-49);
/// assert!((depth::gradients(&depth::residual(&plain))[0] - 1.1_f64.powi(50)).abs() < 1e-10); // 117
/// ```
pub fn residual<T: Real>(factors: &[T]) -> Vec<T> {
    factors.iter().map(|&f| T::one() + f).collect()
}

/// Returns exp(mean ln|f|), the geometric mean of |f|: the average factor of a layer. Computed from logarithms, so that
/// no product overflows; 1 if there are no factors.
///
/// ```
/// let rate = calculus::depth::rate(&[1e-200, 1e-200, 1e200]);
/// assert!((rate / 10_f64.powf(-200.0 / 3.0) - 1.0).abs() < 1e-12);
/// ```
pub fn rate<T: Real>(factors: &[T]) -> T {
    if factors.is_empty() {
        return T::one();
    }
    let logarithms = factors.iter().fold(T::zero(), |sum, f| sum + f.abs().ln());
    (logarithms / T::from_f64(factors.len() as f64)).exp()
}

/// Returns the number of layers of this rate after which a gradient of 1 is below `smallest`: ln smallest / ln rate,
/// rounded up; `None` if the gradient does not shrink.
///
/// Also `None` if the rate or `smallest` is NaN; 0 if `smallest` is above 1, and 1 if the rate is 0. On `f64` only: an
/// integer has no derivative.
///
/// ```
/// use calculus::depth::depth_of_vanishing;
/// // Logistic layers with their largest slope, in f32 without denormals.
/// assert_eq!(depth_of_vanishing(0.25, f64::from(f32::MIN_POSITIVE)), Some(64));
/// assert_eq!(depth_of_vanishing(1.0, 1e-38), None);
/// ```
pub fn depth_of_vanishing(rate: f64, smallest: f64) -> Option<u64> {
    let shrinks = (0.0..1.0).contains(&rate);
    // Strictly below: a product equal to `smallest` has not vanished.
    let layers = (smallest.ln() / rate.ln()).floor() + 1.0;
    (shrinks && smallest > 0.0).then_some(if smallest > 1.0 { 0 } else { layers as u64 })
}

/// Returns the total contribution of all paths through exactly k of the layers to ∏(1 + fₗ), for k = 0, …, L: the
/// coefficients of <var>∏(1 + fₗ·t)</var>. Their sum is the gradient; the number of paths is C(L, k).
///
/// ```
/// let paths = calculus::depth::paths(&[0.5_f64, 0.25, 0.1]);
/// assert_eq!(paths[0], 1.0);                           // around every layer
/// assert!((paths[1] - 0.85).abs() < 1e-15);            // 0.5 + 0.25 + 0.1
/// assert!((paths.iter().sum::<f64>() - 1.5 * 1.25 * 1.1).abs() < 1e-15);
/// ```
pub fn paths<T: Real>(factors: &[T]) -> Vec<T> {
    let mut paths = vec![T::one()];
    for &f in factors {
        paths.push(T::zero());
        for k in (1..paths.len()).rev() {
            let through = f * paths[k - 1];
            paths[k] += through;
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_factors() {
        assert!(gradients::<f64>(&[]).is_empty() && residual::<f64>(&[]).is_empty());
        assert_eq!((rate::<f64>(&[]), paths::<f64>(&[])), (1.0, vec![1.0]));
        assert!(factors(0, |_, x| x, 1.0).is_empty());
        assert_eq!(rate(&[0.0, 2.0]), 0.0);
        assert_eq!(rate(&[-0.0]), 0.0);
        assert_eq!(rate(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(rate(&[f64::NAN, 1.0]).is_nan());
        assert!((rate(&[5e-324, 5e-324]) / 5e-324 - 1.0).abs() < 1e-9);
        assert_eq!(gradients(&[0.0, 7.0]), [0.0, 7.0]);
        assert!(gradients(&[0.0, f64::INFINITY])[0].is_nan());
        assert!(paths(&[f64::NAN])[1].is_nan());
    }

    #[test]
    fn hard_depths() {
        assert_eq!(depth_of_vanishing(f64::NAN, 1e-3), None);
        assert_eq!(depth_of_vanishing(0.5, f64::NAN), None);
        assert_eq!(depth_of_vanishing(0.5, 0.0), None);
        assert_eq!(depth_of_vanishing(f64::INFINITY, 1e-3), None);
        assert_eq!(depth_of_vanishing(-0.5, 1e-3), None);
        assert_eq!(depth_of_vanishing(0.0, 1e-3), Some(1));
        assert_eq!(depth_of_vanishing(0.5, 2.0), Some(0));
        assert_eq!(depth_of_vanishing(0.5, 0.25), Some(3)); // ½² is not below ¼
        assert_eq!(depth_of_vanishing(0.5, 5e-324), Some(1075));
    }
}
