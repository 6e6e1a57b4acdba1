//! What a distribution is: checked once, here.

use crate::InfoError;
use linalg::Real;

/// Checks that numbers are a distribution: at least one, each finite and not negative, with sum 1 up to
/// the rounding of that sum.
///
/// −0 is 0. A sum may be off by (4 + n)·ε of the scalar: what a softmax of n numbers may leave.
///
/// # Errors
/// The first number that is none, or the sum.
///
/// ```
/// use infotheory::distribution::check;
/// assert!(check("p", &[0.9, 0.05, 0.03, 0.02]).is_ok());
/// assert_eq!(
///     check("p", &[0.4466, 0.1642, 0.0996, 0.0222, 0.0667]).unwrap_err().to_string(),
///     "p sums to 0.7993; a distribution sums to 1 (divide by the sum, or use softmax)"
/// ); // what the textbook prints in A.2
/// ```
pub fn check<T: Real>(what: &'static str, p: &[T]) -> Result<(), InfoError> {
    if p.is_empty() {
        return Err(InfoError::Empty { what });
    }
    for (index, p) in p.iter().enumerate() {
        let found = p.to_f64();
        if !(found.is_finite() && found >= 0.0) {
            return Err(InfoError::Probability { what, index, found });
        }
    }
    let found: f64 = p.iter().map(|p| p.to_f64()).sum();
    let slack = (4 + p.len()) as f64 * epsilon::<T>();
    if (found - 1.0).abs() <= slack { Ok(()) } else { Err(InfoError::Sum { what, found }) }
}

/// As [`check`], of two distributions over the same outcomes.
pub(crate) fn check_pair<T: Real>(p: &[T], q: &[T]) -> Result<(), InfoError> {
    check("p", p)?;
    if q.len() != p.len() {
        return Err(InfoError::Length { what: "q", found: q.len(), expected: p.len() });
    }
    check("q", q)
}

/// The scalar's ε: that of `f32` where it cannot tell 1 from 1 + 2⁻⁴⁰, else that of `f64`.
pub(crate) fn epsilon<T: Real>() -> f64 {
    if T::from_f64(1.0 + (-40_f64).exp2()) == T::one() {
        f64::from(f32::EPSILON)
    } else {
        f64::EPSILON
    }
}

/// Checks the logits of one column: none NaN or +∞, not all −∞, at least one.
pub(crate) fn check_logits<T: Real>(column: usize, z: &[T]) -> Result<(), InfoError> {
    if z.is_empty() {
        return Err(InfoError::Empty { what: "the column of logits" });
    }
    for (index, z) in z.iter().enumerate() {
        let found = z.to_f64();
        if found.is_nan() || found == f64::INFINITY {
            return Err(InfoError::Logit { column, index, found });
        }
    }
    if z.iter().all(|z| z.to_f64() == f64::NEG_INFINITY) {
        return Err(InfoError::Masked { column });
    }
    Ok(())
}

/// Distributions for the property tests.
#[cfg(test)]
pub(crate) mod draw {
    use proptest::prelude::*;

    /// n weights as a distribution; some are exactly 0, some tiny.
    pub(crate) fn normalised(mut weights: Vec<f64>) -> Vec<f64> {
        if weights.iter().all(|w| *w == 0.0) {
            weights[0] = 1.0;
        }
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|w| w / sum).collect()
    }

    pub(crate) fn weight() -> impl Strategy<Value = f64> {
        prop_oneof![5 => 0.0f64..1.0, 1 => Just(0.0), 1 => 1e-12f64..1e-6]
    }

    pub(crate) fn distribution() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(weight(), 1..24).prop_map(normalised)
    }

    /// As many distributions over the same outcomes, none of them with a zero.
    pub(crate) fn positive<const M: usize>() -> impl Strategy<Value = [Vec<f64>; M]> {
        (1usize..24)
            .prop_flat_map(|n| prop::collection::vec(prop::collection::vec(1e-6f64..1.0, n), M))
            .prop_map(|all| {
                let mut all = all.into_iter();
                std::array::from_fn(|_| normalised(all.next().expect("M of them")))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hard_floats() {
        assert_eq!(check::<f64>("p", &[]), Err(InfoError::Empty { what: "p" }));
        assert_eq!(check("p", &[1.0]), Ok(()));
        assert_eq!(check("p", &[-0.0, 1.0, 5e-324]), Ok(()));
        let message = |p: &[f64]| check("p", p).unwrap_err().to_string();
        assert!(message(&[0.5, f64::NAN]).contains("number 1 is NaN"));
        assert!(message(&[f64::INFINITY]).contains("number 0 is inf"));
        assert!(message(&[1.5, -0.5]).contains("number 1 is -0.5"));
        assert!(message(&[1e308, 1e308]).contains("sums to inf"));
        assert!(message(&[5e-324]).contains("sums to"));
        assert!(check("p", &[0.1_f32; 10]).is_ok());
        assert!(check("p", &[0.2_f32 + 1e-5; 5]).is_err());
    }

    #[test]
    fn logits_that_softmax_cannot_take_are_named() {
        let message = |z: &[f64]| check_logits(3, z).unwrap_err().to_string();
        assert!(message(&[]).contains("empty"));
        assert!(message(&[0.0, f64::NAN]).contains("logit 1 of column 3 is NaN"));
        assert!(message(&[f64::INFINITY]).contains("logit 0 of column 3 is inf"));
        assert!(message(&[f64::NEG_INFINITY; 2]).contains("every logit of column 3"));
        assert!(check_logits(0, &[f64::NEG_INFINITY, -1e308]).is_ok());
    }

    proptest! {
        #[test]
        fn what_softmax_leaves_is_a_distribution(z in prop::collection::vec(-50f32..50.0, 1..300)) {
            prop_assert!(check("p", &probability::softmax::softmax(&z)).is_ok());
        }
    }
}
