//! Python's module `random`, to the last bit: the Mersenne Twister and what CPython makes of it.
//!
//! Matsumoto and Nishimura, *Mersenne Twister*, 1998; CPython, `Modules/_randommodule.c` and `Lib/random.py`.

/// `random.Random`.
pub(crate) struct Python {
    state: [u32; 624],
    index: usize,
    /// The second of two normal numbers that are made together.
    next_gauss: Option<f64>,
}

impl Python {
    /// `random.seed(seed)`: MT19937's `init_by_array` with a key of one word.
    pub(crate) fn seeded(seed: u32) -> Self {
        let mut s = [0_u32; 624];
        s[0] = 19_650_218;
        for i in 1..624 {
            let last = s[i - 1] ^ (s[i - 1] >> 30);
            s[i] = last.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        let mut i = 1;
        let mut mix = |factor: u32, add: &dyn Fn(usize) -> u32| {
            let last = s[i - 1] ^ (s[i - 1] >> 30);
            s[i] = (s[i] ^ last.wrapping_mul(factor)).wrapping_add(add(i));
            i += 1;
            if i == 624 {
                (s[0], i) = (s[623], 1);
            }
        };
        (0..624).for_each(|_| mix(1_664_525, &|_| seed));
        (0..623).for_each(|_| mix(1_566_083_941, &|i| (i as u32).wrapping_neg()));
        s[0] = 0x8000_0000;
        Python { state: s, index: 624, next_gauss: None }
    }

    fn word(&mut self) -> u32 {
        if self.index == 624 {
            for i in 0..624 {
                let s = &mut self.state;
                let y = (s[i] & 0x8000_0000) | (s[(i + 1) % 624] & 0x7fff_ffff);
                s[i] = s[(i + 397) % 624] ^ (y >> 1) ^ ((y & 1) * 0x9908_b0df);
            }
            self.index = 0;
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// `random.random()`: 53 bits.
    pub(crate) fn random(&mut self) -> f64 {
        let (a, b) = (self.word() >> 5, self.word() >> 6);
        (f64::from(a) * 67_108_864.0 + f64::from(b)) / 9_007_199_254_740_992.0
    }

    fn below(&mut self, n: u32) -> u32 {
        loop {
            let drawn = self.word() >> n.leading_zeros();
            if drawn < n {
                return drawn;
            }
        }
    }

    /// `random.shuffle(list)`.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.below(i as u32 + 1) as usize);
        }
    }

    /// `random.gauss(0, 1)`.
    pub(crate) fn gauss(&mut self) -> f64 {
        if let Some(z) = self.next_gauss.take() {
            return z;
        }
        let angle = self.random() * std::f64::consts::TAU;
        let radius = (-2.0 * (1.0 - self.random()).ln()).sqrt();
        self.next_gauss = Some(angle.sin() * radius);
        angle.cos() * radius
    }

    /// `random.choices(range(len(weights)), weights)[0]`.
    pub(crate) fn choice(&mut self, weights: &[f64]) -> usize {
        let sums: Vec<f64> =
            weights.iter().scan(0.0, |sum, w| Some(*sum + w).inspect(|s| *sum = *s)).collect();
        let drawn = self.random() * sums.last().copied().unwrap_or(0.0);
        sums.partition_point(|&sum| sum <= drawn).min(weights.len().saturating_sub(1))
    }
}
