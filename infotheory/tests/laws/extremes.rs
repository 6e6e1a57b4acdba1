//! Weights, means and texts at the ends of their range.

use infotheory::ngram::{NGram, Smoothing};
use infotheory::prefix_code::{huffman, kraft};
use infotheory::{InfoError, gaussian};
use probability::gaussian::Gaussian;
use proptest::prelude::*;

proptest! {
    /// Of equal sums the earlier node comes first, also beside a symbol of any weight: lengths are those of integers,
    /// in any unit.
    #[test]
    fn equal_sums_are_equal(
        counts in prop::collection::vec(1..12_u64, 2..12), large in 1..1_000_000_u64, power in -1070..960_i32,
    ) {
        let mut counts = counts;
        counts.push(large);
        // Huffman's algorithm on integers; a list instead of a heap.
        let mut nodes: Vec<(u64, usize)> = counts.iter().copied().zip(0..).collect();
        let mut inside: Vec<Vec<usize>> = (0..counts.len()).map(|i| vec![i]).collect();
        let mut lengths = vec![0_u32; counts.len()];
        while nodes.len() > 1 {
            nodes.sort_unstable();
            let (left, right) = (nodes.remove(0), nodes.remove(0));
            let both = [inside[left.1].clone(), inside[right.1].clone()].concat();
            both.iter().for_each(|&i| lengths[i] += 1);
            nodes.push((left.0 + right.0, inside.len()));
            inside.push(both);
        }
        let unit = f64::from(power).exp2().max(f64::from_bits(1));
        let weights: Vec<f64> = counts.iter().map(|&n| n as f64 * unit).collect();
        prop_assert_eq!(huffman(&weights).unwrap(), lengths);
    }

    /// The divergence of two Gaussians has no unit.
    #[test]
    fn gaussians_are_compared_in_any_unit(
        means in (-1.0..1.0_f64, -1.0..1.0_f64), deviations in (0.1..1.0_f64, 0.1..1.0_f64), power in -1000..1024_i32,
    ) {
        let unit = f64::from(power).exp2();
        let kl = |unit: f64| {
            let p = Gaussian::new(means.0 * unit, deviations.0 * unit).unwrap();
            let q = Gaussian::new(means.1 * unit, deviations.1 * unit).unwrap();
            gaussian::kl(&p, &q).0
        };
        let (a, b) = (kl(unit), kl(1.0));
        // ln σ of a large unit is rounded relative to its size.
        prop_assert!((a - b).abs() <= 8.0 * f64::EPSILON * (b + 710.0), "{} {}", a, b);
    }
}

/// The largest weights: no sum overflows, and Kraft's sum of a complete code is 1.
#[test]
fn weights_at_the_end_of_the_range() {
    for n in [2_usize, 3, 7, 64, 1000] {
        let lengths = huffman(&vec![f64::MAX; n]).unwrap();
        assert_eq!(kraft(&lengths), 1.0);
        let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
        assert!(most - least <= 1, "{n}: {least} to {most}");
    }
    // Halves of halves down to the smallest float keep their order: word i has i + 1 bits.
    let halves: Vec<f64> = (0..1000).map(|i| f64::from(1023 - 2 * i).exp2()).collect();
    let lengths = huffman(&halves).unwrap();
    assert!(lengths[..999].iter().zip(1..).all(|(&l, i)| l == i));
}

/// The cross-entropy of many equal tokens is that of one.
#[test]
fn a_long_text_gathers_no_roundings() {
    let text: Vec<u32> = (0..3_000_000).map(|i| i % 3).collect();
    let model = NGram::count(1, 3, &[0, 1, 2]);
    let nats = model.cross_entropy(Smoothing::None, &text).unwrap().0;
    assert!((nats - 3.0_f64.ln()).abs() <= 4.0 * f64::EPSILON, "{nats}");
}

#[test]
fn messages_show_numbers_by_their_exponent() {
    let sum = InfoError::Sum { what: "p", found: 1e300 }.to_string();
    assert!(sum.starts_with("p sums to 1e300;"), "{sum}");
    let refused = huffman(&[-1e-300]).unwrap_err().to_string();
    assert!(refused.contains(" is -1e-300;"), "{refused}");
}
