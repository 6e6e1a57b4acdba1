//! The check of distributions.

use crate::InfoError;
use linalg::Real;
use probability::ProbabilityError;
use probability::categorical::check_distribution;

/// Checks that numbers are a distribution: at least one, each finite and at least 0, with sum 1 up to
/// [`probability::categorical::sum_tolerance`], the error of a softmax in `f32`.
///
/// −0 is 0. Every quantity of this crate divides by the sum, as a constant: derivatives are those of the formula. So
/// results stay in their range: the entropy of \[1.0000000000000004\] is 0.
///
/// # Errors
/// If there are no numbers, one is not a probability (the first is reported), or the sum is not 1.
///
/// ```
/// use infotheory::distribution::check;
/// assert!(check("p", &[0.9, 0.05, 0.03, 0.02]).is_ok());
/// assert_eq!(
///     check("p", &[0.4466, 0.1642, 0.0996, 0.0222, 0.0667]).unwrap_err().to_string(),
///     "p sums to 0.7993; a distribution sums to 1 (divide by the sum, or use softmax)"
/// ); // printed in the textbook's A.2
/// ```
#[doc(alias = "simplex")]
pub fn check<T: Real>(what: &'static str, p: &[T]) -> Result<(), InfoError> {
    sum(what, p).map(|_: T| ())
}

/// Like [`check`]; returns the sum, as a constant.
pub(crate) fn sum<T: Real>(what: &'static str, p: &[T]) -> Result<T, InfoError> {
    let wrong = |error| match error {
        ProbabilityError::Empty { .. } => InfoError::Empty { what },
        ProbabilityError::Sum { found, .. } => InfoError::Sum { what, found },
        _ => {
            let values = p.iter().map(|p| p.to_f64());
            let none = |(_, p): &(usize, f64)| !(p.is_finite() && *p >= 0.0);
            let (index, found) = values.enumerate().find(none).unwrap_or((0, f64::NAN));
            InfoError::Probability { what, index, found }
        }
    };
    check_distribution(p).map(T::from_f64).map_err(wrong)
}

/// Like [`sum`], for two distributions over the same outcomes.
pub(crate) fn sum_pair<T: Real>(p: &[T], q: &[T]) -> Result<(T, T), InfoError> {
    let p_sum = sum("p", p)?;
    if q.len() != p.len() {
        return Err(InfoError::Length { what: "q", found: q.len(), expected: p.len() });
    }
    Ok((p_sum, sum("q", q)?))
}

/// Returns x, with its value clamped to `least` .. `most` against rounding; the derivative is kept.
pub(crate) fn within<T: Real>(x: T, least: f64, most: f64) -> T {
    let value = x.to_f64();
    if (value < least) | (value > most) {
        // x minus its value has the derivative of x.
        T::from_f64(value.clamp(least, most)) + (x - T::from_f64(value))
    } else {
        x
    }
}

/// Checks the logits of one column: at least one, none NaN or +∞, not all −∞.
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

    /// Normalises weights; some are exactly 0, some tiny.
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

    /// M distributions over the same outcomes, without zeros.
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
    fn what_rounding_took_out_of_its_range_comes_back_and_moves_on() {
        for (x, expected) in [(-1e-17, 0.0), (0.3, 0.3), (1.0000000000000002, 1.0)] {
            assert_eq!(within(x, 0.0, 1.0), expected);
        }
        assert!(within(f64::NAN, 0.0, 1.0).is_nan());
        assert_eq!(within(f64::INFINITY, 0.0, f64::INFINITY), f64::INFINITY);
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
