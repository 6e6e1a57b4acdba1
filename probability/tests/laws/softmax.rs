//! Softmax, log-sum-exp, sigmoid.

use crate::{EPSILON, all_close, close, logits};
use probability::log_sum_exp::{StreamingLogSumExp, log_sum_exp};
use probability::sigmoid::{log_sigmoid, logit, sigmoid};
use probability::softmax::{log_softmax, softmax, softmax_in_place, tempered_softmax};
use proptest::prelude::*;

fn streamed(z: &[f64]) -> StreamingLogSumExp<f64> {
    z.iter().copied().collect()
}

/// The allowed error of streaming: every score may rescale the sum once, and |z| ≤ 20.
fn streaming_bound(n: usize) -> f64 {
    (4 * n + 48) as f64 * EPSILON
}

proptest! {
    #[test]
    fn sums_to_one_and_keeps_the_order(z in logits(40)) {
        let p = softmax(&z);
        close(p.iter().sum(), 1.0, z.len() as f64 * EPSILON);
        for i in 0..z.len() {
            for j in 0..z.len() {
                prop_assert!(z[i] < z[j] || p[i] >= p[j]);
            }
        }
    }

    /// A common factor cancels. Shifting rounds each score by ½ε·|score|.
    #[test]
    fn a_common_shift_changes_nothing(z in logits(40), shift in -1e3..1e3_f64) {
        let shifted: Vec<f64> = z.iter().map(|z| z + shift).collect();
        let bound = 2.0 * (shift.abs() + 24.0) * EPSILON;
        all_close(&softmax(&z), &softmax(&shifted), bound);
        close(log_sum_exp(&shifted), log_sum_exp(&z) + shift, bound);
    }

    /// A shift of integers by a power of two rounds nothing: no bit changes.
    #[test]
    fn an_exact_shift_changes_no_bit(
        z in prop::collection::vec(-500..500_i32, 1..40),
        shift in -4096..4096_i32,
    ) {
        let plain: Vec<f64> = z.iter().map(|&z| f64::from(z) / 16.0).collect();
        let shifted: Vec<f64> = z.iter().map(|&z| f64::from(z) / 16.0 + f64::from(shift)).collect();
        prop_assert_eq!(softmax(&plain), softmax(&shifted));
    }

    /// T → 0 gives equal shares among the largest; T → ∞ is uniform; both within e^(−gap/T), and |z|/T.
    #[test]
    fn limits_of_temperature(z in prop::collection::vec(-20..20_i32, 1..20)) {
        let z: Vec<f64> = z.into_iter().map(f64::from).collect();
        let n = z.len() as f64;
        let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let best = z.iter().filter(|z| **z == largest).count() as f64;
        let greedy: Vec<f64> =
            z.iter().map(|&z| if z == largest { 1.0 / best } else { 0.0 }).collect();
        all_close(&tempered_softmax(&z, 0.0).unwrap(), &greedy, EPSILON);
        // The next logit is lower by at least 1.
        all_close(
            &tempered_softmax(&z, 0.02).unwrap(),
            &greedy,
            n * (-50.0_f64).exp() + 4.0 * EPSILON,
        );
        let uniform = vec![1.0 / n; z.len()];
        all_close(&tempered_softmax(&z, f64::INFINITY).unwrap(), &uniform, EPSILON);
        all_close(&tempered_softmax(&z, 1e9).unwrap(), &uniform, 2.0 * 40.0 / 1e9);
    }

    /// Two temperatures act as their product: softmax((z/S)/T) = softmax(z/(S·T)).
    #[test]
    fn temperatures_multiply(
        z in logits(20),
        s in 0.2..5.0_f64,
        t in 0.2..5.0_f64,
    ) {
        let cooled: Vec<f64> = z.iter().map(|z| z / s).collect();
        let bound = 4.0 * (40.0 / (s * t) + 4.0) * EPSILON;
        all_close(
            &tempered_softmax(&cooled, t).unwrap(),
            &tempered_softmax(&z, s * t).unwrap(),
            bound,
        );
    }

    /// max z ≤ lse ≤ max z + ln n.
    #[test]
    fn a_smooth_maximum(z in logits(40)) {
        let (lse, n) = (log_sum_exp(&z), z.len() as f64);
        let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        prop_assert!(lse >= largest);
        prop_assert!(lse <= largest + n.ln() + 32.0 * EPSILON);
    }

    /// lse of all = lse of the lse of two parts.
    #[test]
    fn parts_and_whole(z in logits(40), cut in 0.0..1.0_f64) {
        let (a, b) = z.split_at((cut * z.len() as f64) as usize);
        close(log_sum_exp(&[log_sum_exp(a), log_sum_exp(b)]), log_sum_exp(&z), 128.0 * EPSILON);
    }

    /// ln p = z − lse, and e^(ln p) = p.
    #[test]
    fn logarithms_of_probabilities(z in logits(40)) {
        let (p, ln_p, lse) = (softmax(&z), log_softmax(&z), log_sum_exp(&z));
        for i in 0..z.len() {
            close(ln_p[i].exp(), p[i], 48.0 * EPSILON * p[i]);
            prop_assert!(
                z[i] == f64::NEG_INFINITY || (ln_p[i] - (z[i] - lse)).abs() <= 64.0 * EPSILON
            );
        }
        // The log-sum-exp of logarithms of probabilities is ln 1.
        close(log_sum_exp(&ln_p), 0.0, 48.0 * EPSILON);
    }

    #[test]
    fn reading_scores_once_is_reading_them_all(z in logits(60)) {
        close(streamed(&z).value(), log_sum_exp(&z), streaming_bound(z.len()));
    }

    /// Merging is associative and commutative, with the empty sum as neutral element.
    #[test]
    fn merging_in_any_order(
        a in logits(20),
        b in logits(20),
        c in logits(20),
    ) {
        let bound = streaming_bound(60);
        let [x, y, z] = [streamed(&a), streamed(&b), streamed(&c)];
        close(x.merge(&y).merge(&z).value(), x.merge(&y.merge(&z)).value(), bound);
        prop_assert_eq!(x.merge(&y), y.merge(&x));
        prop_assert_eq!(x.merge(&StreamingLogSumExp::new()), x);
        close(x.merge(&y).value(), streamed(&[a, b].concat()).value(), bound);
    }

    /// Streaming attention: rescaled weighted sums equal Σ softmax(z)·v.
    #[test]
    fn streaming_attention(z in logits(40), seed in 0..1000_u64) {
        let random = probability::Random::new(seed, 0, 0);
        let v: Vec<f64> = (0..z.len() as u64).map(|i| random.normal(i)).collect();
        let (mut sum, mut mixed) = (StreamingLogSumExp::new(), 0.0);
        for (&z, &v) in z.iter().zip(&v) {
            let (before, now) = sum.push(z);
            mixed = mixed * before + v * now;
        }
        let direct: f64 = softmax(&z).iter().zip(&v).map(|(p, v)| p * v).sum();
        close(mixed / sum.sum(), direct, 9.0 * streaming_bound(z.len()));
    }

    /// Training's softmax agrees with the accurate one within its documented error.
    #[test]
    fn fast_and_accurate_agree(z in logits(200)) {
        let mut fast = z.clone();
        let lse = softmax_in_place(&mut fast);
        let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for ((fast, p), z) in fast.iter().zip(softmax(&z)).zip(&z) {
            let units = if z.is_finite() { largest - z } else { 0.0 };
            close(*fast, p, (units + 20.0 + 200.0 / 16.0 + 8.0) * EPSILON * p);
        }
        close(lse, log_sum_exp(&z), 64.0 * EPSILON);
    }

    /// σ(x) + σ(−x) = 1; σ = softmax of two; ln σ; logit is the inverse.
    #[test]
    fn sigmoid_is_softmax_of_two(x in -30.0..30.0_f64) {
        close(sigmoid(x) + sigmoid(-x), 1.0, 2.0 * EPSILON);
        close(sigmoid(x), softmax(&[x, 0.0])[0], 4.0 * EPSILON * sigmoid(x));
        close(log_sigmoid(x), log_softmax(&[x, 0.0])[0], 4.0 * EPSILON * log_sigmoid(x).abs());
        // Near 1 a probability's last place is e^x·ε of log-odds.
        close(logit(sigmoid(x)), x, 4.0 * EPSILON * (1.0 + x.abs() + x.exp()));
        prop_assert!(sigmoid(x) <= sigmoid(x + 0.1));
    }
}
