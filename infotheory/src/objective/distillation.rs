//! Distillation: training a small model on the predictions of a large one.
//!
//! Formula: <var>L = T²·KL(softmax(z_teacher/T) ‖ softmax(z_student/T))</var>, in nats. A temperature above 1 increases
//! the probabilities of the teacher's unlikely classes. The gradient of the plain KL shrinks as <var>1/T²</var> (one
//! 1/T from the student's z/T, one because soft distributions differ less), and T² compensates: the learning rate need
//! not change with the temperature. As T → ∞ the loss becomes half the mean squared difference of the centred logits.
//! Source: Hinton, Vinyals and Dean 2015, section 2; the textbook's A.4 on forward KL.

use crate::units::Nats;
use crate::{InfoError, distribution};
use linalg::Real;
use linalg::accurate::{Sum, sum};
use probability::softmax::log_sum_exp;

/// How a student learns from a teacher: the loss <var>(1 − weight)·CE + weight·T²·KL</var> of [`with_truth`], whose `hard` is 1 −
/// weight.
///
/// ```
/// use infotheory::objective::distillation::Distillation;
/// assert!(Distillation { temperature: 2.0, weight: 0.5 }.uses_the_teacher());
/// assert!(!Distillation { temperature: 2.0, weight: 0.0 }.uses_the_teacher());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distillation {
    /// The temperature T of both distributions: positive and finite.
    pub temperature: f64,
    /// The share of the teacher in the loss, from 0 to 1; the rest is the text's.
    pub weight: f64,
}

impl Distillation {
    /// Returns whether the loss has a part of the teacher.
    pub fn uses_the_teacher(&self) -> bool {
        self.weight > 0.0
    }

    /// Returns whether the loss has a part of the text.
    pub fn uses_the_text(&self) -> bool {
        self.weight < 1.0
    }
}

/// Returns the distillation loss of one token; at least 0, and 0 if the predictions are equal.
///
/// Exact at every temperature: as T grows the value approaches the limit above without loss of digits; at T = 10²⁰⁰ it
/// is that limit. ∞ if the student excludes a class that the teacher does not, or if <var>T²·KL</var> overflows.
///
/// # Errors
/// If logits are invalid (see [`crate::cross_entropy::of_logits`]), the lengths differ, or the temperature is not
/// positive and finite.
///
/// ```
/// use infotheory::objective::distillation::loss;
/// let (teacher, student) = ([2.0, 1.0, -1.0], [1.0, 1.0, 0.0]);
/// assert!((loss(&teacher, &student, 1.0)?.0 - 0.183248_f64).abs() < 1e-6);
/// // The same difference at T = 4: without T² it would be 0.0192.
/// assert!((loss(&teacher, &student, 4.0)?.0 - 0.306658).abs() < 1e-6);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("knowledge_distillation", "kd_loss"))]
pub fn loss<T: Real>(teacher: &[T], student: &[T], temperature: T) -> Result<Nats<T>, InfoError> {
    let found = temperature.to_f64();
    if !(found > 0.0 && found.is_finite()) {
        let expected = "positive and finite";
        return Err(InfoError::Parameter { what: "the temperature", found, expected });
    }
    distribution::check_logits(0, teacher)?;
    distribution::check_logits(0, student)?;
    if student.len() != teacher.len() {
        let (found, expected) = (student.len(), teacher.len());
        return Err(InfoError::Length { what: "the student's column", found, expected });
    }
    if let Some(nats) = warm(teacher, student, temperature) {
        return Ok(Nats(nats));
    }
    let pairs = log_softmax(teacher, temperature).zip(log_softmax(student, temperature));
    let minus = T::from_f64(f64::NEG_INFINITY);
    // Σ (p ln(p/q) − p + q), each term of which is at least 0; from logarithms, so that an underflow of p or q gives no
    // ∞.
    let kl = sum(pairs.map(|(ln_p, ln_q)| {
        let (p, q) = (ln_p.exp(), ln_q.exp());
        match (ln_p == minus, ln_q == minus) {
            (true, _) => q,
            (false, true) => T::from_f64(f64::INFINITY),
            (false, false) => p * (ln_p - ln_q) - p + q,
        }
    }));
    // Rounding can make a difference of sums negative.
    let kl = distribution::within(kl, 0.0, f64::INFINITY);
    // In this order a huge T multiplies a tiny divergence before T² overflows.
    Ok(Nats(temperature * (temperature * kl)))
}

/// Returns z/T minus its log-sum-exp.
fn log_softmax<T: Real>(z: &[T], temperature: T) -> impl Iterator<Item = T> {
    let best = linalg::vector::maximum(z);
    let z: Vec<T> = z.iter().map(|&z| (z - best) / temperature).collect();
    let all = log_sum_exp(&z);
    z.into_iter().map(move |z| z - all)
}

/// Returns the loss if, apart from the mean difference, no logit differs by more than T/2 between the models; else
/// `None`.
///
/// With <var>Cᵢ = (zᵢ − z′ᵢ) − Σ p·(z − z′)</var> and <var>c = C/T</var>, q is proportional to <var>p·e^(−c)</var>, so
/// that <var>KL = ln Σ p·e^(−c) = ln(1 + s)</var> with <var>s = Σ p·(e^(−c) − 1 + c)</var>, since Σ p·c = 0. Every term
/// is <var>c²·ψ(c)</var> with <var>ψ(c) = 1/2! − c/3! + c²/4! − …</var>: T² times it is C²·ψ(c), and neither T² nor c²
/// is computed. No digits cancel at any temperature.
fn warm<T: Real>(teacher: &[T], student: &[T], temperature: T) -> Option<T> {
    let minus = T::from_f64(f64::NEG_INFINITY);
    let pairs = teacher.iter().zip(student).zip(log_softmax(teacher, temperature));
    // Classes that both exclude do not count.
    let possible: Vec<(T, T)> = pairs
        .filter(|((t, s), _)| !(**t == minus && **s == minus))
        .map(|((&t, &s), ln_p)| (ln_p.exp(), t - s))
        .collect();
    let mean = sum(possible.iter().map(|&(p, d)| p * d));
    let half = 0.5;
    let centred = || possible.iter().map(|&(p, d)| (p, d - mean));
    // This form rejects NaN, from an ∞ on one side.
    if !centred().all(|(_, d)| (d / temperature).to_f64().abs() <= half) {
        return None;
    }
    /// The number of terms of ψ for |c| ≤ ½: the next is below 10⁻¹⁷ of the first.
    const TERMS: i32 = 15;
    let psi = |c: T| {
        (0..TERMS)
            .rev()
            .fold(T::zero(), |sum, k| (T::one() - sum * c) / T::from_f64(f64::from(k + 2)))
    };
    let (mut s, mut scaled) = (Sum::new(), Sum::new());
    for (p, d) in centred() {
        let c = d / temperature;
        let share = p * psi(c);
        s.add(share * c * c);
        scaled.add(share * d * d);
    }
    let (s, scaled) = (s.value(), scaled.value());
    // ln(1 + s)/s, which is 1 − s/2 within rounding if s is small.
    let small = s.to_f64() < 1e-9;
    let slope = if small { T::one() - s * T::from_f64(half) } else { s.ln_1p() / s };
    Some(scaled * slope)
}

/// Returns the training loss hard·(−ln p_y) + (1 − hard)·[`loss`]. `hard` is the weight of the target. ∞ if a part with
/// a positive weight is ∞.
///
/// # Errors
/// Like [`loss`] and [`crate::cross_entropy::of_logits`]; and if `hard` is outside [0, 1].
///
/// ```
/// use infotheory::objective::distillation::with_truth;
/// let both = with_truth(&[2.0, 1.0, -1.0], &[1.0, 1.0, 0.0], 0, 1.0, 0.5)?;
/// assert!((both.0 - 0.522621_f64).abs() < 1e-6); // half of 0.861995 and half of 0.183248
/// # Ok::<(), infotheory::InfoError>(())
/// ```
pub fn with_truth<T: Real>(
    teacher: &[T],
    student: &[T],
    target: usize,
    temperature: T,
    hard: T,
) -> Result<Nats<T>, InfoError> {
    let found = hard.to_f64();
    if !(0.0..=1.0).contains(&found) {
        let expected = "between 0 and 1";
        return Err(InfoError::Parameter { what: "the weight of the truth", found, expected });
    }
    let soft = loss(teacher, student, temperature)?;
    let truth = crate::cross_entropy::of_logits(student, target)?;
    // A part of weight 0 adds nothing, even if it is ∞.
    let share = |nats: Nats<T>, weight: T| {
        let nothing = weight == T::zero() && nats.0.to_f64().is_infinite();
        if nothing { Nats(T::zero()) } else { nats * weight }
    };
    Ok(share(truth, hard) + share(soft, T::one() - hard))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::kl;
    use probability::softmax::softmax;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_divergence_at_a_temperature(
            z in prop::collection::vec((-9f64..9.0, -9f64..9.0), 1..10), t in 0.5f64..20.0,
        ) {
            let (teacher, student): (Vec<f64>, Vec<f64>) = z.into_iter().unzip();
            let found = loss(&teacher, &student, t).unwrap().0;
            let at = |z: &[f64]| softmax(&z.iter().map(|z| z / t).collect::<Vec<_>>());
            let expected = t * t * kl(&at(&teacher), &at(&student)).unwrap().0;
            prop_assert!(found >= 0.0);
            prop_assert!((found - expected).abs() <= t * t * 1e-14 * (1.0 + found));
            prop_assert_eq!(loss(&teacher, &teacher, t).unwrap().0, 0.0);
        }

        #[test]
        fn the_truth_and_the_teacher_are_mixed(
            z in prop::collection::vec((-9f64..9.0, -9f64..9.0), 1..10), t in 0.5f64..20.0,
            hard in 0f64..=1.0, place in 0usize..10,
        ) {
            let (teacher, student): (Vec<f64>, Vec<f64>) = z.into_iter().unzip();
            let y = place % teacher.len();
            let at = |hard| with_truth(&teacher, &student, y, t, hard).unwrap().0;
            let (soft, truth) = (at(0.0), at(1.0));
            prop_assert_eq!(soft, loss(&teacher, &student, t).unwrap().0);
            prop_assert_eq!(truth, crate::cross_entropy::of_logits(&student, y).unwrap().0);
            let mixed = hard * truth + (1.0 - hard) * soft;
            prop_assert!((at(hard) - mixed).abs() <= 4.0 * f64::EPSILON * (truth + soft));
        }

        #[test]
        fn hot_distillation_matches_logits(
            z in prop::collection::vec((-3f64..3.0, -3f64..3.0), 2..10),
        ) {
            let (teacher, student): (Vec<f64>, Vec<f64>) = z.into_iter().unzip();
            let n = teacher.len() as f64;
            let difference: Vec<f64> = teacher.iter().zip(&student).map(|(t, s)| t - s).collect();
            let mean = difference.iter().sum::<f64>() / n;
            let limit = difference.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (2.0 * n);
            // The next term of the expansion is of size |z|³/T, of differences up to 6 in size, about their mean up to
            // 12; the sums of ten terms are up to 12².
            for t in [1e4, 1e8, 1e100, 1e200, 1e308] {
                let found = loss(&teacher, &student, t).unwrap().0;
                let bound = 12f64.powi(3) / t + 32.0 * 144.0 * f64::EPSILON;
                prop_assert!((found - limit).abs() <= bound, "{t:e}: {found} {limit}");
            }
        }
    }

    #[test]
    fn hard_floats() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        for t in [0.0, -1.0, inf, nan] {
            assert!(loss(&[0.0], &[0.0], t).is_err());
        }
        for bad in [&[][..], &[nan], &[inf], &[-inf], &[0.0, 0.0]] {
            assert!(loss(bad, &[0.0], 1.0).is_err() && loss(&[0.0], bad, 1.0).is_err());
        }
        assert_eq!(loss(&[5.0], &[-5.0], 2.0).unwrap().0, 0.0);
        assert_eq!(loss(&[0.0, -inf], &[0.0, 0.0], 1.0).unwrap().to_bits().0, 1.0);
        assert_eq!(loss(&[0.0, 0.0], &[0.0, -inf], 1.0).unwrap().0, inf);
        assert_eq!(loss(&[1e3, 0.0], &[0.0, 1e3], 1.0).unwrap().0, 1e3);
        assert_eq!(loss(&[-0.0, 5e-324], &[0.0, 0.0], 1.0).unwrap().0, 0.0);
        // At a huge T: half the mean squared difference of centred logits, (½² + ½²)/4.
        for t in [1e10, 1e160, 1e200, f64::MAX] {
            let found = loss(&[1.0, 0.0], &[0.0, 0.0], t).unwrap().0;
            assert!((found - 0.125).abs() <= 4.0 * f64::EPSILON + 1.0 / t, "{t:e}: {found}");
        }
        let found = loss(&[1.0_f32, 0.0], &[0.0, 0.0], 1e30).unwrap().0;
        assert!((found - 0.125).abs() <= 4.0 * f32::EPSILON);
        // The mean is over the classes that one of the two allows.
        let found = loss(&[1.0, 0.0, -inf], &[0.0, 0.0, -inf], 1e200).unwrap().0;
        assert!((found - 0.125).abs() <= 4.0 * f64::EPSILON);
        // If one excludes a class that the other allows: T²·ln 2 and T²·∞ at any temperature.
        assert_eq!(loss(&[0.0, -inf], &[0.0, 0.0], 1e200).unwrap().0, inf);
        assert_eq!(loss(&[0.0, 0.0], &[0.0, -inf], 1e200).unwrap().0, inf);
        // Huge differences that are no larger than the temperature; their squares overflow.
        assert_eq!(loss(&[1e200, 0.0], &[0.0, 0.0], 1e200).unwrap().0, inf);
        assert_eq!(loss(&[1e200, 0.0], &[0.0, 0.0], 1e201).unwrap().0, inf);
        assert!(
            (loss(&[1e-150, 0.0], &[0.0, 0.0], 1.0).unwrap().0 / 1.25e-301 - 1.0).abs() < 1e-14
        );
        assert_eq!(loss(&[1e-200, 0.0], &[0.0, 0.0], 1.0).unwrap().0, 0.0); // below every f64
        for hard in [-0.1, 1.1, nan] {
            assert!(with_truth(&[0.0], &[0.0], 0, 1.0, hard).is_err());
        }
        assert!(with_truth(&[0.0], &[0.0], 1, 1.0, 0.5).is_err());
        // A target that the student excludes costs ∞ with a positive weight, and nothing with weight 0; so does a class
        // that the teacher allows and the student excludes.
        let (student, sure) = ([0.0, -inf], [9.0, -inf]);
        for (teacher, target, hard, expected) in [
            (sure, 1, 0.0, 0.0),
            (sure, 1, -0.0, 0.0),
            (sure, 1, 5e-324, inf),
            (sure, 1, 1.0, inf),
            ([0.0, 0.0], 0, 1.0, 0.0),
            ([0.0, 0.0], 0, 0.5, inf),
        ] {
            let found = with_truth(&teacher, &student, target, 1.0, hard).unwrap().0;
            assert_eq!(found, expected, "{hard}");
        }
    }
}
