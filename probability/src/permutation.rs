//! A random order of n things, without a list of them.
//!
//! Formula: in every round a number k is drawn, which pairs x with k − x (mod n), and for every pair a
//! bit: whether the two change places. Each round is a bijection, whatever is drawn, so all of them are.
//! Source: Hoang, Morris, Rogaway, *An Enciphering Scheme Based on a Card Shuffle*, 2012 ("swap or
//! not").

use crate::random::Random;

/// A bijection of 0, 1, …, n − 1. Drawing without replacement is looking up 0, 1, 2, … in turn.
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
pub struct Permutation {
    n: u64,
    random: Random,
}

/// Each round halves the distance to a uniform place: after these it is below 2⁻⁶⁴.
const ROUNDS: u64 = 64;

/// Numbers of the generator below this are left to others.
const RESERVED: u32 = 48;

impl Permutation {
    /// A bijection of n numbers, chosen by `random`: by its numbers from 2⁴⁸ on.
    ///
    /// # Panics
    /// If n is 2⁴⁷ or more.
    pub fn new(n: u64, random: Random) -> Self {
        assert!(n < 1 << (RESERVED - 1), "a permutation of 2⁴⁷ numbers or more");
        Permutation { n, random }
    }

    /// Where i goes.
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
