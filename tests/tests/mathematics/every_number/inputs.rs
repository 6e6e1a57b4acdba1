//! The numbers of the grid: decades from the smallest subnormal to the largest float, and vectors that mix them.

/// What the grid needs to know of a scalar.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar {
    pub(crate) name: &'static str,
    /// The distance from 1 to the next number.
    pub(crate) epsilon: f64,
    /// The largest number.
    pub(crate) largest: f64,
    /// The smallest normal number.
    pub(crate) normal: f64,
    /// The smallest number above 0.
    pub(crate) tiny: f64,
    /// The nearest number of the scalar.
    pub(crate) nearest: fn(f64) -> f64,
}

pub(crate) const SINGLE: Scalar = Scalar {
    name: "f32",
    epsilon: f32::EPSILON as f64,
    largest: f32::MAX as f64,
    normal: f32::MIN_POSITIVE as f64,
    tiny: 1.401_298_464_324_817e-45,
    nearest: |x| f64::from(x as f32),
};

pub(crate) const DOUBLE: Scalar = Scalar {
    name: "f64",
    epsilon: f64::EPSILON,
    largest: f64::MAX,
    normal: f64::MIN_POSITIVE,
    tiny: 5e-324,
    nearest: |x| x,
};

/// What a function takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Inputs {
    /// One number of any size and sign.
    Number,
    /// One number from 0 to 1.
    Share,
    /// This many numbers, each of any size and sign.
    Numbers(usize),
    /// This many numbers from 0 to 1.
    Shares(usize),
    /// A vector of any length.
    Vector,
    /// A vector whose length is a multiple of this.
    Multiple(usize),
    /// A vector of numbers from 0 up.
    Weights,
    /// A vector of scores, none so large that no other counts, and some that are.
    Scores,
    /// A distribution.
    Distribution,
    /// Two distributions of one length, one behind the other.
    Distributions,
    /// As the two before, of functions that make a square of it: no million.
    Table,
    Tables,
    /// A square matrix, column by column.
    Square,
    /// This many numbers, of sizes whose products stay in range.
    Tame(usize),
}

/// A number in [0, 1) that looks random: the fractional part of a multiple of the golden ratio.
fn fraction(i: usize) -> f64 {
    (0.5 + i as f64 * 0.618_033_988_749_894_9).fract()
}

/// Exponents of ten, dense where functions bend, to the ends of the range.
const EXPONENTS: [f64; 52] = [
    -316.0, -310.0, -300.0, -250.0, -200.0, -154.5, -150.0, -100.0, -50.0, -44.0, -40.0, -37.0,
    -30.0, -20.0, -16.0, -12.0, -8.0, -6.0, -4.0, -3.0, -2.0, -1.0, -0.6, -0.3, -0.1, 0.0, 0.1,
    0.3, 0.5, 0.7, 0.9, 1.0, 1.2, 1.4, 1.6, 1.8, 1.94, 2.0, 2.5, 2.84, 3.0, 4.0, 6.0, 8.0, 12.0,
    18.0, 30.0, 37.0, 100.0, 154.5, 250.0, 305.0,
];

/// Exponents for pairs and triples, fewer.
const FEW: [f64; 9] = [-300.0, -160.0, -30.0, -9.0, -0.5, 0.4, 9.0, 30.0, 300.0];

impl Scalar {
    /// Numbers above 0 of these exponents, as far as the scalar has them, and its ends.
    fn above(&self, exponents: &[f64]) -> Vec<f64> {
        let numbers = exponents.iter().enumerate();
        let mut all: Vec<f64> = numbers
            .map(|(i, e)| (self.nearest)(10_f64.powf(*e) * (1.0 + 1.5 * fraction(i))))
            .filter(|&x| x > 0.0 && x < self.largest)
            .collect();
        all.extend([self.largest, self.normal, self.tiny]);
        all
    }

    fn numbers(&self) -> Vec<f64> {
        let mut all = self.above(&EXPONENTS);
        all.extend([1.0, 1.0 - self.epsilon / 2.0, 1.0 + self.epsilon, 0.5, 2.0]);
        all.extend([self.normal * (1.0 - self.epsilon), 3.0 * self.tiny]);
        let negative: Vec<f64> = all.iter().map(|x| -x).collect();
        all.extend(negative);
        all.extend([0.0, -0.0]);
        all
    }

    fn few(&self) -> Vec<f64> {
        let mut all = self.above(&FEW);
        all.extend([1.0, 1.0 + self.epsilon]);
        let negative: Vec<f64> = all.iter().map(|x| -x).collect();
        all.extend(negative);
        all.extend([0.0, -0.0]);
        all
    }

    fn shares(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.above(&EXPONENTS).into_iter().filter(|&x| x < 1.0).collect();
        let half = self.epsilon / 2.0;
        all.extend([0.0, 1.0, 1.0 - half, 1.0 - 3.0 * half, 0.5, 0.5 - half / 2.0, 0.5 + half]);
        all.extend(
            [1e-3, 1e-2, 0.1, 0.2, 0.24, 0.26, 0.3, 0.4, 0.6, 0.74, 0.76, 0.9, 0.99]
                .map(self.nearest),
        );
        all.extend([1e-3, 1e-5, 1e-6].map(|d| (self.nearest)(1.0 - d)));
        all
    }

    /// Vectors of this length, of every kind that has spoilt an algorithm.
    fn vectors(&self, n: usize) -> Vec<Vec<f64>> {
        let fill =
            |f: &dyn Fn(usize) -> f64| (0..n).map(|i| (self.nearest)(f(i))).collect::<Vec<f64>>();
        let (big, root, small) = (self.largest, self.largest.sqrt(), self.normal.sqrt());
        let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        let mut all = Vec::new();
        if n == 0 {
            return vec![vec![]];
        }
        for size in [big, big / 4.0, root, 1e9, 1.0 / 3.0, 1.0, 0.0, small, self.normal, self.tiny]
        {
            // All equal; of both signs; one alone; nearly equal; of one size.
            all.push(fill(&|_| size));
            all.push(fill(&|i| sign(i) * size));
            all.push(fill(&|i| if i == n / 2 { -size } else { 0.0 }));
            all.push(fill(&|i| size * (1.0 - (i % 3) as f64 * self.epsilon)));
            all.push(fill(&|i| size * (fraction(i) - 0.5)));
        }
        // Ascending and descending decades, of one sign and of both.
        let (low, high) = (self.tiny.log10() + 1.0, big.log10() - 1.0);
        let decade = |i: usize| 10_f64.powf(low + (high - low) * i as f64 / (n.max(2) - 1) as f64);
        all.push(fill(&decade));
        all.push(fill(&|i| sign(i) * decade(n - 1 - i)));
        // What cancels: a large one, a small one, the large one's negative; the same with a rounding.
        for (large, rest) in [(1e9, 1.0), (big / 8.0, 1.0), (1.0, self.epsilon), (root, small)] {
            all.push(fill(&|i| [large, rest, -large][i % 3]));
            all.push(fill(&|i| [large, -large * (1.0 - self.epsilon), rest * fraction(i)][i % 3]));
        }
        // Small deviations from a large mean.
        all.push(fill(&|i| 1e4 + fraction(i)));
        all.push(fill(&|i| 1e6 + i as f64));
        all.push(fill(&|i| 3.0 * (fraction(i) - 0.5)));
        all.push(fill(&|i| 100.0 * (fraction(i) - 0.5)));
        all
    }

    fn lengths(&self, inputs: Inputs) -> Vec<Vec<f64>> {
        let multiple = if let Inputs::Multiple(m) = inputs { m } else { 1 };
        [0, 1, 2, 3, 17].into_iter().flat_map(|n| self.vectors(n * multiple)).collect()
    }

    fn scores(&self) -> Vec<Vec<f64>> {
        let mut all = self.lengths(Inputs::Vector);
        for n in [1, 2, 3, 17] {
            for (shift, spread) in
                [(0.0, 1.0), (0.0, 80.0), (1e3, 5.0), (-1e4, 1.0), (0.0, 700.0), (1e6, 300.0)]
            {
                all.push(
                    (0..n).map(|i| (self.nearest)(shift + spread * (fraction(i) - 0.5))).collect(),
                );
            }
        }
        all
    }

    fn weights(&self) -> Vec<Vec<f64>> {
        let all = self.lengths(Inputs::Vector).into_iter();
        all.map(|x| x.into_iter().map(f64::abs).collect()).collect()
    }

    fn distributions(&self) -> Vec<Vec<f64>> {
        let mut all = vec![vec![1.0]];
        for n in [2, 3, 17] {
            all.push(vec![1.0 / n as f64; n]);
            all.push((0..n).map(|i| f64::from(u8::from(i == n / 2))).collect());
            for rest in [self.tiny, self.normal, self.epsilon, 1e-5, 0.3] {
                let mut p = vec![rest / (n - 1) as f64; n];
                p[0] = 1.0 - rest;
                if p[1] == 0.0 {
                    p[1] = rest;
                }
                all.push(p);
            }
            for steep in [1.0, 5.0, 60.0] {
                let p: Vec<f64> = (0..n).map(|i| (-steep * fraction(i)).exp()).collect();
                let sum: f64 = p.iter().sum();
                all.push(p.iter().map(|p| p / sum).collect());
            }
        }
        all.iter().map(|p| p.iter().map(|&p| (self.nearest)(p)).collect()).collect()
    }

    fn squares(&self) -> Vec<Vec<f64>> {
        let mut all = vec![vec![]];
        for n in [1, 2, 3] {
            all.extend(self.vectors(n * n));
            let of = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
                (0..n * n).map(|k| (self.nearest)(f(k % n, k / n))).collect()
            };
            for size in [self.largest / 8.0, 1e9, 1.0, 1e-9, self.normal * 8.0] {
                // Random; diagonal with graded rows; near a singular one; symmetric; a cyclic permutation.
                all.push(of(&|i, j| size * (fraction(i + n * j) - 0.4)));
                all.push(of(&|i, j| if i == j { size * 10_f64.powi(-9 * i as i32) } else { 0.0 }));
                all.push(of(&|i, j| size * (1.0 + if i == j { 1e-3 * i as f64 } else { 0.0 })));
                all.push(of(&|i, j| size / (1 + i + j) as f64));
                all.push(of(&|i, j| if (i + 1) % n == j { size } else { 0.0 }));
                all.push(of(&|i, j| {
                    size * 10_f64.powi(-8 * i as i32) * (fraction(i + n * j) + 0.1)
                }));
                all.push(of(&|i, j| {
                    size * 10_f64.powi(-3 * (i + j) as i32) * if i == j { 2.0 } else { 1.0 }
                }));
            }
        }
        all
    }
}

/// All lists of n out of `all`; no more than `most` of them, evenly chosen.
fn tuples(all: &[f64], n: usize, most: usize) -> Vec<Vec<f64>> {
    let count = all.len().pow(n as u32);
    // A step without a factor in common with most lengths, so that all places move.
    let step = (count / most).max(1) | 1;
    (0..count)
        .step_by(step)
        .map(|mut k| {
            (0..n)
                .map(|_| {
                    let x = all[k % all.len()];
                    k /= all.len();
                    x
                })
                .collect()
        })
        .collect()
}

impl Inputs {
    /// Finite inputs.
    pub(crate) fn grid(self, scalar: &Scalar) -> Vec<Vec<f64>> {
        match self {
            Inputs::Number => scalar.numbers().into_iter().map(|x| vec![x]).collect(),
            Inputs::Share => scalar.shares().into_iter().map(|x| vec![x]).collect(),
            Inputs::Numbers(n) => tuples(&scalar.few(), n, 500),
            Inputs::Shares(n) => tuples(&scalar.shares(), n, 300),
            Inputs::Vector | Inputs::Multiple(_) => scalar.lengths(self),
            Inputs::Weights => scalar.weights(),
            Inputs::Scores => scalar.scores(),
            Inputs::Distribution | Inputs::Table => scalar.distributions(),
            Inputs::Distributions | Inputs::Tables => {
                let all = scalar.distributions();
                let pairs = all.iter().flat_map(|p| all.iter().map(move |q| (p, q)));
                // Of the long ones some.
                let some = |(i, (p, q)): &(usize, (&Vec<f64>, &Vec<f64>))| {
                    p.len() == q.len() && (p.len() < 9 || i % 5 == 0)
                };
                pairs
                    .enumerate()
                    .filter(some)
                    .map(|(_, pair)| pair)
                    .map(|(p, q)| [&p[..], q].concat())
                    .collect()
            }
            Inputs::Square => scalar.squares(),
            // Eight of them multiplied stay in the range of either scalar.
            Inputs::Tame(n) => {
                let size = scalar.largest.log10() / 9.0;
                let sizes =
                    [-size, -0.7 * size, -1.0, -0.1, 0.0, 0.2, 1.0, size].into_iter().enumerate();
                let above = sizes
                    .map(|(i, e)| (scalar.nearest)(10_f64.powf(e) * (0.5 + 0.5 * fraction(i))));
                let mut all: Vec<f64> = above.flat_map(|x| [x, -x]).collect();
                all.extend([0.0, 1.0]);
                tuples(&all, n, 300)
            }
        }
    }

    /// Inputs with ±∞ and NaN among them.
    pub(crate) fn special(self, scalar: &Scalar) -> Vec<Vec<f64>> {
        let (infinite, nan) = (f64::INFINITY, f64::NAN);
        let n = match self {
            Inputs::Number | Inputs::Share => 1,
            Inputs::Numbers(n) | Inputs::Shares(n) | Inputs::Tame(n) => n,
            Inputs::Multiple(n) => 2 * n,
            Inputs::Square => 4,
            Inputs::Distributions | Inputs::Tables => 6,
            _ => 3,
        };
        let mut all = Vec::new();
        for special in [infinite, -infinite, nan, -1.0, scalar.largest] {
            if special == scalar.largest && matches!(self, Inputs::Tame(_)) {
                continue;
            }
            for at in 0..n {
                let mut x: Vec<f64> = (0..n).map(|i| (scalar.nearest)(fraction(i))).collect();
                x[at] = special;
                all.push(x.clone());
                x[n - 1 - at] = -special;
                all.push(x);
            }
            all.push(vec![special; n]);
        }
        all
    }

    /// A million plain numbers, for functions of vectors.
    pub(crate) fn long(self) -> Option<Vec<f64>> {
        let n = 1_000_000;
        match self {
            Inputs::Vector | Inputs::Weights => Some((0..n).map(|i| 0.5 + fraction(i)).collect()),
            Inputs::Multiple(m) => Some((0..n / m * m).map(|i| 0.5 + fraction(i)).collect()),
            Inputs::Scores => Some((0..n).map(|i| 6.0 * fraction(i) - 3.0).collect()),
            Inputs::Distribution => Some(vec![1.0 / f64::from(1 << 20); 1 << 20]),
            Inputs::Distributions => {
                let half = 1 << 19;
                let p = (0..half).map(|_| 1.0 / half as f64);
                let q = (0..half).map(|i| [0.5, 1.5][i % 2] / half as f64);
                Some(p.chain(q).collect())
            }
            _ => None,
        }
    }
}
