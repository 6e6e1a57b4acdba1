//! Fano's inequality: how often any predictor is wrong, from the entropy that is left.
//!
//! Formula: if Y is one of n classes and Ŷ any function of X, with P_e = P(Ŷ ≠ Y),
//! <var>H(Y|X) ≤ h(P_e) + P_e·ln(n − 1)</var>, h the [`binary_entropy`]. So the entropy that a source leaves after a context
//! is a floor under the error of every model, as it is under the loss; and a probe that errs seldom proves that little
//! entropy is left.
//! Source: Fano 1961; Cover and Thomas 2006, section 2.10.

use crate::InfoError;
use crate::entropy::binary_entropy;
use crate::units::Nats;
use linalg::Real;

/// Returns the most entropy that Y can have given X if a predictor is wrong with the probability `error`:
/// <var>h(P_e) + P_e·ln(n − 1)</var>; ln n where <var>P_e = 1 − 1/n</var>.
///
/// # Errors
/// If the error is not in \[0, 1\], or there are fewer than two classes.
///
/// ```
/// use infotheory::fano::most_entropy;
/// // A probe of four classes that is wrong in a tenth of all cases leaves at most 0.63 of two bits.
/// let left: infotheory::Nats = most_entropy(0.1, 4)?;
/// assert!((left.to_bits().0 - 0.627492).abs() < 1e-6);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias = "fano_inequality")]
pub fn most_entropy<T: Real>(error: T, classes: usize) -> Result<Nats<T>, InfoError> {
    let mixed = binary_entropy(error)?.0;
    check_classes(classes)?;
    Ok(Nats(mixed + error * T::from_f64(((classes - 1) as f64).ln())))
}

/// Returns the least probability of an error of any predictor of Y from X, given H(Y|X), on `f64`: the P_e up to 1 − 1/n at which
/// [`most_entropy`] is that entropy.
///
/// # Errors
/// If there are fewer than two classes, or the entropy is not between 0 and ln n: a cross-entropy, which can be more, is not
/// one.
///
/// ```
/// use infotheory::{Bits, fano::least_error};
/// // Two bits of entropy are left of the next of 1000 words: no model is right in more than 86 % of all cases.
/// let error = least_error(Bits(2.0).to_nats(), 1000)?;
/// assert!((error - 0.141651).abs() < 1e-6, "{error}");
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("fano_inequality", "bayes_error"))]
pub fn least_error(conditional: Nats, classes: usize) -> Result<f64, InfoError> {
    check_classes(classes)?;
    let (found, most) = (conditional.0, (classes as f64).ln());
    if !(0.0..=most * (1.0 + 1e-12)).contains(&found) {
        let (what, expected) = ("the conditional entropy", "between 0 and ln n, in nats");
        return Err(InfoError::Parameter { what, found, expected });
    }
    // The entropy increases with the error up to 1 − 1/n: bisection, to neighbouring floats.
    let (mut low, mut high) = (0.0, 1.0 - 1.0 / classes as f64);
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return Ok(if found == 0.0 { 0.0 } else { high });
        }
        match most_entropy(middle, classes)?.0 < found {
            true => low = middle,
            false => high = middle,
        }
    }
}

fn check_classes(found: usize) -> Result<(), InfoError> {
    if found < 2 {
        return Err(InfoError::TooFew { what: "classes", found, least: 2 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::draw;
    use crate::joint::conditional_entropy;
    use proptest::prelude::*;

    proptest! {
        /// The best predictor of every table is wrong at least as often as is said.
        #[test]
        fn no_predictor_is_better(weights in prop::collection::vec(draw::weight(), 12)) {
            let p = draw::normalised(weights);
            let joint = probability::Joint::from_probabilities(&linalg::matrix(3, 4, &p)).unwrap();
            let right: f64 = joint.table().row_iter().map(|row| row.iter().copied().fold(0.0, f64::max)).sum();
            let least = least_error(conditional_entropy(&joint), 4).unwrap();
            prop_assert!(1.0 - right >= least - 1e-9, "{right} {least}");
        }

        #[test]
        fn error_and_entropy_and_back(error in 0.0f64..1.0, classes in 2usize..1000) {
            let error = error * (1.0 - 1.0 / classes as f64);
            let back = least_error(most_entropy(error, classes).unwrap(), classes).unwrap();
            // At the top the slope is 0: a rounding of the entropy moves the error by its root.
            prop_assert!((back - error).abs() < 1e-6, "{back} {error}");
        }
    }

    #[test]
    fn hard_floats() {
        assert_eq!(least_error(Nats(0.0), 2).unwrap(), 0.0);
        assert!((least_error(Nats(2_f64.ln()), 2).unwrap() - 0.5).abs() < 1e-7);
        let tiny = least_error(Nats(1e-300), 10).unwrap();
        assert!((most_entropy(tiny, 10).unwrap().0 / 1e-300 - 1.0).abs() < 1e-12);
        for bad in [f64::NAN, -1e-9, 0.7, f64::INFINITY] {
            assert!(least_error(Nats(bad), 2).is_err(), "{bad}");
        }
        assert!(least_error(Nats(0.0), 1).is_err() && most_entropy(0.5, 0).is_err());
        assert!(most_entropy(1.5, 3).is_err() && most_entropy(f64::NAN, 3).is_err());
        assert!((most_entropy(0.75, 4).unwrap().0 - 4_f64.ln()).abs() < 1e-15);
    }
}
