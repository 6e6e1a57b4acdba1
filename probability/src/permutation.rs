//! A random order of n items, without a list of them.
//!
//! Formula: every round draws a number k, which pairs x with k − x (mod n), and for every pair a bit that says whether
//! the two are swapped. Each round is a bijection for any draw, and so is their composition.
//! Source: Hoang, Morris, Rogaway, *An Enciphering Scheme Based on a Card Shuffle*, 2012 ("swap or
//! not").

use crate::random::Random;

/// A random bijection of 0, 1, …, n − 1. Looking up 0, 1, 2, … in turn draws without replacement.
///
/// ```
/// use probability::{permutation::Permutation, random::Random};
/// let order = Permutation::new(5, Random::new(1, 0, 0));
/// let mut seen: Vec<u64> = (0..5).map(|i| order.at(i)).collect();
/// assert_ne!(seen, [0, 1, 2, 3, 4]);
/// seen.sort();
/// assert_eq!(seen, [0, 1, 2, 3, 4]);
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias("shuffle", "randperm"))]
pub struct Permutation {
    n: u64,
    random: Random,
}

/// The number of rounds. Each halves the distance to a uniform place, to below 2⁻⁶⁴.
const ROUNDS: u64 = 64;

/// The first number of the generator that permutations use; those below are for other uses.
const RESERVED: u32 = 48;

impl Permutation {
    /// Creates a bijection of n numbers from the numbers of `random` from 2⁴⁸ on.
    ///
    /// # Panics
    /// If n is 2⁴⁷ or more.
    pub fn new(n: u64, random: Random) -> Self {
        assert!(n < 1 << (RESERVED - 1), "a permutation of 2⁴⁷ numbers or more");
        Permutation { n, random }
    }

    /// Returns the image of i.
    ///
    /// # Panics
    /// If i is not below n.
    pub fn at(&self, i: u64) -> u64 {
        assert!(i < self.n, "number {i} of {}", self.n);
        (1..=ROUNDS).fold(i, |x, round| {
            let draws = round << RESERVED;
            let k = self.random.below(draws, self.n);
            let partner = (k + self.n - x) % self.n;
            let swap = self.random.bits(draws + 1 + x.max(partner)) & 1 == 1;
            if swap { partner } else { x }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_comes_once(n in 1u64..300, seed: u64) {
            let order = Permutation::new(n, Random::new(seed, 0, 0));
            let mut seen: Vec<u64> = (0..n).map(|i| order.at(i)).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..n).collect::<Vec<_>>());
        }

        #[test]
        fn large_numbers_stay_in_their_range(n in 1u64..1 << 47, i: u64, seed: u64) {
            prop_assert!(Permutation::new(n, Random::new(seed, 0, 0)).at(i % n) < n);
        }
    }

    #[test]
    fn every_order_is_as_likely_as_another() {
        // 4 numbers, 24 orders, 48,000 permutations: each count is binomial with mean 2000.
        let mut counts = std::collections::HashMap::new();
        for seed in 0..48_000 {
            let order = Permutation::new(4, Random::new(seed, 3, 0));
            *counts.entry([0, 1, 2, 3].map(|i| order.at(i))).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        let deviation = (2000.0 * (23.0 / 24.0_f64)).sqrt();
        for count in counts.values() {
            assert!((f64::from(*count) - 2000.0).abs() < 5.0 * deviation, "{counts:?}");
        }
    }
}
