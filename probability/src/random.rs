//! Random numbers without a hidden state.
//!
//! A number is a function of (seed, stream, step, index): Philox-4×32-10, a counter-based generator. Any thread can
//! draw any number in any order, a step can be drawn again, and a resumed run draws the same numbers as an
//! uninterrupted one.
//!
//! Source: Salmon, Moraes, Dror, Shaw, *Parallel Random Numbers: As Easy as 1, 2, 3*, 2011.
//!
//! Numbers are `f64`: constants for differentiation.

/// The random numbers of one seed, stream and step.
///
/// There is one sequence of 64-bit numbers, [`bits`](Random::bits), from which every kind of number is made. Two kinds
/// drawn from one generator share numbers if their places overlap, and are then dependent:
///
/// | drawn | uses the 64-bit numbers |
/// |---|---|
/// | `bits`, `uniform`, `open_uniform`, `below` of i | i |
/// | `normal` of i | 2i and 2i + 1 |
/// | [`gumbel_max`](crate::gumbel::gumbel_max) number i over n logits | n·i to n·i + n − 1 |
/// | [`Dirichlet`](crate::dirichlet::Dirichlet) draw i over n outcomes | (n − 1)·i to (n − 1)·i + n − 2 |
/// | [`bootstrap`](crate::bootstrap) resample k of n units | n·k to n·k + n − 1 |
/// | [`Permutation`](crate::permutation::Permutation) | from 2⁴⁸ to 2⁵⁵ |
/// | [`AliasTable`](crate::alias::AliasTable) draw i | 2⁶² + 2i and 2⁶² + 2i + 1 |
/// | `block`, `group` of i | 2i and 2i + 1; 32i to 32i + 31 |
///
/// So `normal(3)` is a function of `uniform(6)` and `uniform(7)`. Use a separate stream for each purpose.
///
/// ```
/// use probability::random::Random;
/// let random = Random::new(42, 0, 7);
/// assert_eq!(random.uniform(3), Random::new(42, 0, 7).uniform(3));
/// assert_ne!(random.uniform(3), Random::new(42, 0, 8).uniform(3));
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias("philox", "rng", "generator"))]
pub struct Random {
    key: [u32; 2],
    stream: u32,
    step: u32,
}

impl Random {
    /// Creates the generator of this seed, stream (the purpose) and step (the time).
    pub fn new(seed: u64, stream: u32, step: u32) -> Self {
        Random { key: [seed as u32, (seed >> 32) as u32], stream, step }
    }

    /// Returns words 4·block .. 4·block + 4: 32 random bits each.
    #[inline(always)]
    pub fn block(&self, block: u64) -> [u32; 4] {
        philox([block as u32, (block >> 32) as u32, self.stream, self.step], self.key)
    }

    /// Returns 64 consecutive words, 32 random bits each: element i of group g is word i/16 of block 16·g + i%16, so
    /// that sixteen blocks are computed side by side.
    #[inline(always)]
    pub fn group(&self, group: u64) -> [u32; 64] {
        const LANES: usize = 16;
        let mut counter = [[0; LANES]; 4];
        for l in 0..LANES {
            let block = group.wrapping_mul(LANES as u64) + l as u64;
            counter[0][l] = block as u32;
            counter[1][l] = (block >> 32) as u32;
        }
        (counter[2], counter[3]) = ([self.stream; LANES], [self.step; LANES]);
        let words = philox_lanes(counter, self.key);
        let mut all = [0; 4 * LANES];
        for (w, words) in words.iter().enumerate() {
            all[w * LANES..][..LANES].copy_from_slice(words);
        }
        all
    }

    /// Returns 64 random bits.
    pub fn bits(&self, index: u64) -> u64 {
        let words = self.block(index / 2);
        let at = (index % 2) as usize * 2;
        u64::from(words[at]) | u64::from(words[at + 1]) << 32
    }

    /// Returns a uniform number in [0, 1): a multiple of 2⁻⁵³.
    ///
    /// ```
    /// let random = probability::Random::new(1, 0, 0);
    /// let mean = (0..10_000).map(|i| random.uniform(i)).sum::<f64>() / 10_000.0;
    /// assert!((mean - 0.5).abs() < 0.01 && random.uniform(3) == random.uniform(3));
    /// ```
    #[doc(alias("rand", "runif"))]
    pub fn uniform(&self, index: u64) -> f64 {
        (self.bits(index) >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Returns a uniform number in (0, 1): an odd multiple of 2⁻⁵³, for inverse transforms that are infinite at 0 or 1.
    ///
    /// ```
    /// let u = probability::Random::new(1, 0, 0).open_uniform(0);
    /// assert!(0.0 < u && u < 1.0);
    /// ```
    pub fn open_uniform(&self, index: u64) -> f64 {
        ((self.bits(index) >> 12) as f64 + 0.5) * (1.0 / (1_u64 << 52) as f64)
    }

    /// Returns a uniform number among 0, 1, …, n − 1; the bias is below <var>n·2⁻⁶⁴</var>.
    ///
    /// # Panics
    /// If n is 0.
    ///
    /// ```
    /// let random = probability::Random::new(1, 0, 0);
    /// assert!((0..100).all(|i| random.below(i, 6) < 6)); // a die
    /// ```
    #[doc(alias("randint", "integers"))]
    pub fn below(&self, index: u64, n: u64) -> u64 {
        assert!(n > 0, "a number below 0");
        ((u128::from(self.bits(index)) * u128::from(n)) >> 64) as u64
    }

    /// Returns a standard normal number by the Box–Muller transform: at most 8.6 in size. It is a function of the
    /// 64-bit numbers 2·index and 2·index + 1, and so of `uniform` of these: if both kinds are needed, use another
    /// stream.
    ///
    /// ```
    /// let random = probability::Random::new(1, 0, 0);
    /// let squares = (0..10_000).map(|i| random.normal(i).powi(2)).sum::<f64>() / 10_000.0;
    /// assert!((squares - 1.0).abs() < 0.05); // variance 1, whose estimate deviates by √(2/10⁴)
    /// ```
    #[doc(alias("randn", "standard_normal", "rnorm"))]
    pub fn normal(&self, index: u64) -> f64 {
        let first = index.wrapping_mul(2);
        let (u, v) = (self.uniform(first), self.uniform(first + 1));
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// Computes ten rounds of two multiplications, with keys that advance by Weyl constants.
#[inline(always)]
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// Computes [`philox`] of several counters.
#[inline(always)]
fn philox_lanes<const L: usize>(mut counter: [[u32; L]; 4], mut key: [u32; 2]) -> [[u32; L]; 4] {
    for _ in 0..10 {
        let [c0, c1, c2, c3] = counter;
        for l in 0..L {
            let a = u64::from(c0[l]) * 0xD251_1F53;
            let b = u64::from(c2[l]) * 0xCD9E_8D57;
            counter[0][l] = (b >> 32) as u32 ^ c1[l] ^ key[0];
            counter[1][l] = b as u32;
            counter[2][l] = (a >> 32) as u32 ^ c3[l] ^ key[1];
            counter[3][l] = a as u32;
        }
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_sixteen_blocks() {
        let random = Random::new(5, 6, 7);
        for g in [0, 3, 1 << 40] {
            let group = random.group(g);
            for (i, &word) in group.iter().enumerate() {
                assert_eq!(word, random.block(16 * g + i as u64 % 16)[i / 16]);
            }
        }
    }

    /// Known answers of the authors' Random123 library (kat_vectors, philox4x32 10).
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }

    #[test]
    fn moments() {
        let random = Random::new(1, 2, 3);
        let n = 100_000;
        let mean = |f: &dyn Fn(u64) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
        // Five standard errors of each estimate.
        assert!((mean(&|i| random.uniform(i)) - 0.5).abs() < 5.0 * (1.0 / 12.0 / n as f64).sqrt());
        assert!(mean(&|i| random.normal(i)).abs() < 5.0 / (n as f64).sqrt());
        assert!((mean(&|i| random.normal(i).powi(2)) - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt());
        assert!(
            (mean(&|i| random.below(i, 10) as f64) - 4.5).abs() < 5.0 * (8.25 / n as f64).sqrt()
        );
    }
}
