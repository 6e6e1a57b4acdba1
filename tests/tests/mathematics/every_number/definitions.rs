//! Moments, softmax and the like by their definitions, on exact numbers.

use super::probability::{count, number};
use super::said::Refused;
use linalg::{Real, vector};
use num_traits::Zero;
use probability::moments;
use tests::exact::Exact;

/// Σ (x − µ)(y − ν), the definition of all moments of second order.
pub(super) fn deviations(x: &[Exact], y: &[Exact]) -> Exact {
    let (mx, my) = (vector::sum(x) / count(x), vector::sum(y) / count(y));
    vector::reduce(x, y, |x, y| (x - mx) * (y - my))
}

/// A constant has no spread: 0, and NaN where a number is not finite.
pub(super) fn variance(x: &[Exact], freedom: f64) -> Result<Exact, Refused> {
    moments::mean(x)?;
    if x.len() as f64 <= freedom {
        return Err(Refused("too few".into()));
    }
    Ok(deviations(x, x) / (count::<Exact>(x) - number(freedom)))
}

/// (x − µ)/√(σ² + ε).
pub(super) fn standardised(x: &[Exact], epsilon: f64) -> Vec<Exact> {
    let mean = vector::sum(x) / count(x);
    let root = (deviations(x, x) / count(x) + number(epsilon)).sqrt();
    x.iter().map(|&x| (x - mean) / root).collect()
}

/// Softmax, of finite scores or −∞.
pub(super) fn shares_of(z: &[Exact]) -> Vec<Exact> {
    let most = vector::maximum(z);
    let e: Vec<Exact> = z.iter().map(|&z| (z - most).exp()).collect();
    let sum = vector::sum(&e);
    e.into_iter().map(|e| e / sum).collect()
}

/// ln Σ e^z.
pub(super) fn lse(z: &[Exact]) -> Exact {
    let most = vector::maximum(z);
    if !most.is_finite() {
        return most;
    }
    // The 1 of the largest stays apart.
    let at = z.iter().position(|&z| z == most).expect("the largest");
    let rest = |i: usize| if i == at { Exact::zero() } else { (z[i] - most).exp() };
    most + vector::sum_of(z.len(), rest).ln_1p()
}

/// Φ(z) = ½·erfc(−z/√2).
pub(super) fn below(z: Exact) -> Exact {
    number::<Exact>(0.5) * (-z / number::<Exact>(2.0).sqrt()).erfc()
}
