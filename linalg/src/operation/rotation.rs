//! Rotary position embedding (RoPE): the position of a token as the rotation of pairs of coordinates.
//!
//! Formula: coordinates i and i′ of a head of width d are rotated by the angle <var>t·ωᵢ</var>,
//! <var>ωᵢ = base^(−2i/d)</var>, at position t: (a, b) ↦ (a·cos − b·sin, a·sin + b·cos). The map R(t) is orthogonal,
//! <var>R(s)ᵀ·R(t) = R(t − s)</var>, so the dot product of a rotated query and a rotated key depends only on their
//! distance: <var>R(s)·q · R(t)·k = q · R(t − s)·k</var>. Gradient: dx = <var>R(t)ᵀ·dy</var>, the inverse rotation. In
//! a transformer: applied to queries and keys in each layer, instead of adding positions to embeddings.
//! Source: Su et al., *RoFormer*, 2021, section 3.2.

use crate::cases::{Cases, Operand, Size, Visitor, numbers};
use crate::formula::{Expression, I, J, at_most, cases, operand, upstream};
use crate::{
    Error, Formula, Gradient, Matrix, Memory, Primitive, Reads, Real, Role, Shape, ShapeError,
    View, ViewMut, Work, column, matrix, parallel, shape::equal_parts,
};

/// The pairing of a head's coordinates.
///
/// ```
/// use linalg::rotation::{Pairs, rotate};
/// let turned = |pairs| rotate(&[1.0, 0.0, 0.0, 0.0], 1.0, 1e4, pairs);
/// assert_eq!(turned(Pairs::Neighbours)?, [1_f64.cos(), 1_f64.sin(), 0.0, 0.0]);
/// assert_eq!(turned(Pairs::Halves)?, [1_f64.cos(), 0.0, 1_f64.sin(), 0.0]);
/// # Ok::<(), linalg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// 2i with 2i + 1: RoFormer, GPT-J, and Llama in Meta's format.
    Neighbours,
    /// i with i + d/2 ("rotate half"): GPT-NeoX, and Llama in Hugging Face's format.
    Halves,
}

impl Pairs {
    /// Returns the coordinates of pair `i` in a head of width `2·half`.
    #[inline(always)]
    fn coordinates(self, i: usize, half: usize) -> (usize, usize) {
        match self {
            Pairs::Neighbours => (2 * i, 2 * i + 1),
            Pairs::Halves => (i, i + half),
        }
    }
}

/// Returns <var>ωᵢ = base^(−2i/d)</var>, the angle per token of pair i, in radians. Pair 0 rotates fastest, by one
/// radian. In `f64` only: a setting, not a differentiable value.
///
/// ```
/// use linalg::rotation::frequency;
/// assert_eq!(frequency(0, 4, 1e4), 1.0);
/// assert_eq!(frequency(1, 4, 1e4), 0.01);
/// ```
pub fn frequency(i: usize, width: usize, base: f64) -> f64 {
    base.powf(-((2 * i) as f64) / width as f64)
}

/// How the frequencies of a model that was trained on short texts are slowed for longer ones.
///
/// ```
/// use linalg::rotation::Scaling;
/// assert_eq!(Scaling::Linear { factor: 8.0 }.scaled(1.0), 0.125);
/// // Llama 3.1 keeps fast pairs, and slows those whose period is longer than the original context.
/// let llama3 = Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
/// assert_eq!((llama3.scaled(1.0), llama3.scaled(1e-5)), (1.0, 1.25e-6));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Scaling {
    /// ω unchanged.
    #[default]
    None,
    /// ω/factor: positions are interpolated. Source: Chen et al., *Extending Context Window of Large Language Models via
    /// Positional Interpolation*, 2023, arXiv:2306.15595.
    Linear {
        /// The factor by which the context grows.
        factor: f64,
    },
    /// With the turns n = original·ω/2π that a pair makes in the original context: ω/factor if n < low, ω if n > high,
    /// and linear in n in between. Source: Grattafiori et al., *The Llama 3 Herd of Models*, 2024, and Meta's code.
    Llama3 {
        /// The factor by which the context grows.
        factor: f64,
        /// Turns below which a pair is slowed by the whole factor.
        low: f64,
        /// Turns above which a pair is not slowed.
        high: f64,
        /// The original context in tokens.
        original: f64,
    },
}

impl Scaling {
    /// Returns the scaled frequency of a pair with frequency ω, in radians per token. On `f64` alone: a setting.
    pub fn scaled(self, frequency: f64) -> f64 {
        match self {
            Scaling::None => frequency,
            Scaling::Linear { factor } => frequency / factor,
            Scaling::Llama3 { factor, low, high, original } => {
                let turns = original * frequency / std::f64::consts::TAU;
                if turns > high {
                    frequency
                } else if turns < low {
                    frequency / factor
                } else {
                    let share = (turns - low) / (high - low);
                    (1.0 - share) * frequency / factor + share * frequency
                }
            }
        }
    }
}

/// Rotates (a, b) counter-clockwise by an angle in radians.
///
/// Floats: IEEE; an angle of ±∞ gives NaN.
///
/// ```
/// let [a, b] = linalg::rotation::rotate_pair([1.0, 0.0], std::f64::consts::FRAC_PI_2);
/// assert!(a.abs() < 1e-16 && b == 1.0);
/// ```
pub fn rotate_pair<T: Real>([a, b]: [T; 2], angle: T) -> [T; 2] {
    let (cos, sin) = (angle.cos(), angle.sin());
    [a * cos - b * sin, a * sin + b * cos]
}

/// Returns <var>R(t)·x</var> for one vector of even length at position t; a negative position rotates backwards.
///
/// Floats: IEEE; a non-finite position gives NaN. An empty vector stays empty.
///
/// # Errors
/// A vector of odd length.
///
/// ```
/// use linalg::{rotation::{Pairs, rotate}, vector::dot};
/// let (q, k) = ([1.0, 2.0, 3.0, 4.0], [4.0, 1.0, -2.0, 0.5]);
/// let score = |s: f64, t: f64| {
///     let turn = |x: &[f64], at| rotate(x, at, 1e4, Pairs::Halves);
///     Ok::<f64, linalg::Error>(dot(&turn(&q, s)?, &turn(&k, t)?))
/// };
/// assert!((score(7.0, 3.0)? - score(107.0, 103.0)?).abs() < 1e-12); // 4 apart, both times
/// # Ok::<(), linalg::Error>(())
/// ```
pub fn rotate<T: Real>(x: &[T], position: f64, base: f64, pairs: Pairs) -> Result<Vec<T>, Error> {
    let rotation = Rotation::new(1, base, pairs);
    let [x, t] = [matrix(x.len(), 1, x), matrix(1, 1, &[T::from_f64(position)])];
    Ok(crate::apply(&rotation, [&x, &t])?.as_slice().to_vec())
}

/// The rotation <var>y = R(t)·x</var> of every head of every token: x (width × tokens), positions t (1 × tokens).
///
/// Angles are computed in `f64` for every scalar: at position 10⁵ an `f32` angle has an error of 0.004 radians. Like
/// indices, positions have no gradient.
///
/// ```
/// use linalg::{apply, matrix, rotation::{Pairs, Rotation}};
/// let rotation = Rotation::new(1, 1e4, Pairs::Neighbours);
/// let x = matrix(2, 2, &[1.0, 0.0, 1.0, 0.0]);
/// let y = apply(&rotation, [&x, &matrix(1, 2, &[0.0, 1.0])])?;
/// assert_eq!(y.as_slice(), &[1.0, 0.0, 1_f64.cos(), 1_f64.sin()]); // position 0 is not rotated
/// # Ok::<(), linalg::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotation {
    /// The number of heads: equal blocks of rows, each rotated in the same way.
    pub heads: usize,
    /// The base of the frequencies: 10⁴ in RoFormer; larger for longer contexts.
    pub base: f64,
    /// The pairing of coordinates.
    pub pairs: Pairs,
    /// The number of coordinates of a head that turn, its first ones; all if absent. Source: Black et al., *GPT-NeoX-20B*,
    /// 2022, section 2.1.
    pub turning: Option<usize>,
    /// The frequencies' scaling for longer contexts.
    pub scaling: Scaling,
}

impl Rotation {
    /// Returns the rotation of all coordinates of a head, with unscaled frequencies.
    pub fn new(heads: usize, base: f64, pairs: Pairs) -> Self {
        Rotation { heads, base, pairs, turning: None, scaling: Scaling::None }
    }

    /// Returns the number of coordinates that turn in a head of `width`.
    fn turning(&self, width: usize) -> usize {
        self.turning.unwrap_or(width)
    }

    /// Returns radians per token of pair i, of `turning` coordinates that turn.
    fn frequency(&self, i: usize, turning: usize) -> f64 {
        self.scaling.scaled(frequency(i, turning, self.base))
    }

    /// Calls `update` with every element of y and the same element of <var>R(t)·x</var> or <var>R(t)ᵀ·x</var>.
    #[inline(always)]
    fn turn<T: Real>(
        &self,
        x: &[T],
        y: &mut [T],
        table: &[T],
        back: bool,
        update: impl Fn(&mut T, T),
    ) {
        let (half, width) = (table.len() / 2, (x.len() / self.heads.max(1)).max(1));
        let (cos, sin) = table.split_at(half);
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            for i in 0..half {
                let (p, q) = self.pairs.coordinates(i, half);
                let sin = if back { -sin[i] } else { sin[i] };
                update(&mut y[p], x[p] * cos[i] - x[q] * sin);
                update(&mut y[q], x[p] * sin + x[q] * cos[i]);
            }
            for (x, y) in x[2 * half..].iter().zip(&mut y[2 * half..]) {
                update(y, *x);
            }
        }
    }
}

impl Primitive<2> for Rotation {
    fn name(&self) -> &'static str {
        "rotation of pairs"
    }

    fn role(&self) -> Role {
        Role::Rotation
    }

    fn shape(&self, [x, positions]: [Shape; 2]) -> Result<Shape, ShapeError> {
        let width = equal_parts("the width", x.rows, self.heads)?;
        let turning = self.turning(width);
        equal_parts("the width of a head", turning, 2)?;
        if turning > width {
            return Err(ShapeError::Range { start: 0, end: turning, found: width });
        }
        positions.expect("the row of positions", Shape::new(1, x.columns))?;
        Ok(x)
    }

    fn formula<T: Real>(&self, [x, positions]: [View<'_, T>; 2]) -> Formula {
        let d = x.nrows() / self.heads;
        let turning = self.turning(d);
        let half = turning / 2;
        // The distance to the other coordinate of the pair.
        let (span, distance) = match self.pairs {
            Pairs::Neighbours => (2, 1),
            Pairs::Halves => (d, half),
        };
        // A coordinate that does not turn has the angle 0.
        let of_angle = |f: fn(f64) -> f64| {
            Matrix::from_fn(x.nrows(), x.ncols(), |i, j| {
                let pair = match self.pairs {
                    Pairs::Neighbours => i % d / 2,
                    Pairs::Halves => i % d % half.max(1),
                };
                let turns = i % d < turning;
                let angle = self.frequency(pair, turning) * positions[j].to_f64();
                T::from_f64(f(if turns { angle } else { 0.0 })).to_f64()
            })
        };
        let (x, dy) = (operand(0), upstream());
        let mut f = Formula::new(
            "y",
            ["x", "positions"],
            "Turns every pair of coordinates by an angle that grows with the position.",
            "Su et al., RoFormer, 2021, section 3.2",
        );
        let cos = f.table("cos", of_angle(f64::cos)).at(I, J);
        let sin = f.table("sin", of_angle(f64::sin)).at(I, J);
        let first = || at_most(I % span, distance - 1);
        let turns = |turned: Expression, x: Expression| match turning < d {
            true => cases(at_most(I % d + 1, turning), turned, x),
            false => turned,
        };
        let value = cases(
            first(),
            x.at(I, J) * cos.clone() - x.at(I + distance, J) * sin.clone(),
            x.at(I - distance, J) * sin.clone() + x.at(I, J) * cos.clone(),
        );
        let back = cases(
            first(),
            dy.at(I, J) * cos.clone() + dy.at(I + distance, J) * sin.clone(),
            dy.at(I, J) * cos - dy.at(I - distance, J) * sin,
        );
        f.value(turns(value, x.at(I, J))).gradient(turns(back, dy.at(I, J))).no_gradient()
    }

    fn forward<T: Real>(
        &self,
        [x, positions]: [View<'_, T>; 2],
        y: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let turning = self.turning(x.nrows() / self.heads);
        let mut table = ViewMut::from_slice(work.kept, turning, x.ncols());
        parallel::columns([table.as_view_mut()], |first, [mut table]| {
            for i in 0..turning / 2 {
                let frequency = self.frequency(i, turning);
                for j in 0..table.ncols() {
                    let (sin, cos) = (frequency * positions[first + j].to_f64()).sin_cos();
                    table[(i, j)] = T::from_f64(cos);
                    table[(i + turning / 2, j)] = T::from_f64(sin);
                }
            }
        });
        let table = table.as_view();
        parallel::each_column(
            [y],
            #[inline(always)]
            |j, [y]| self.turn(column(&x, j), y, column(&table, j), false, |y, x| *y = x),
        );
    }

    fn vjp<T: Real>(
        &self,
        [x, _]: [View<'_, T>; 2],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx, _]: [Gradient<'_, T>; 2],
        work: Work<'_, T>,
    ) {
        let turning = self.turning(x.nrows() / self.heads);
        let table = View::from_slice(work.kept, turning, x.ncols());
        dx.add_each_column(
            #[inline(always)]
            |j, dx| self.turn(column(&dy, j), dx, column(&table, j), true, |dx, dy| *dx += dy),
        );
    }

    fn flops(&self, [x, _]: [Shape; 2]) -> u64 {
        3 * x.len() as u64
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [false; 2], output: false }
    }

    /// Returns room for the cosines and sines of every pair at every token; all heads share them.
    fn memory(&self, [x, _]: [Shape; 2]) -> Memory {
        let turning = self.turning(x.rows / self.heads.max(1));
        Memory { kept: turning * x.columns, scratch: 0 }
    }
}

impl Cases for Rotation {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Heads { heads, rows, length, sequences, .. } = size {
            for pairs in [Pairs::Neighbours, Pairs::Halves] {
                // Pairs need an even width; positions as in a cache, not from 0.
                let x = numbers(2 * heads * rows, sequences * length);
                let positions = Operand::Indices { count: sequences * length, below: 500 };
                visitor.visit(Rotation::new(heads, 1e4, pairs), [x, positions]);
            }
            let x = numbers(2 * heads * (rows + 1), sequences * length);
            let positions = Operand::Indices { count: sequences * length, below: 500 };
            let scaling = Scaling::Llama3 { factor: 4.0, low: 1.0, high: 4.0, original: 32.0 };
            let part = Rotation {
                turning: Some(2 * rows),
                scaling,
                ..Rotation::new(heads, 1e4, Pairs::Halves)
            };
            visitor.visit(part, [x, positions]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::draw;
    use crate::{apply, norm::l2, pullback, vector::dot};
    use proptest::prelude::*;

    const E: f64 = f64::EPSILON;

    fn either() -> impl Strategy<Value = Pairs> {
        prop_oneof![Just(Pairs::Neighbours), Just(Pairs::Halves)]
    }

    proptest! {
        #[test]
        fn only_the_distance_counts(
            half in 1..9_usize, seed in 0..99_u64, pairs in either(),
            s in 0..2000_i32, t in 0..2000_i32, shift in -2000..2000_i32,
        ) {
            let (q, k) = (draw(seed, 2 * half, 1), draw(seed + 1, 2 * half, 1));
            let turn = |x: &[f64], at: i32| rotate(x, f64::from(at), 1e4, pairs).unwrap();
            let score = |s, t| dot(&turn(q.as_slice(), s), &turn(k.as_slice(), t));
            // An angle of up to 4000 radians has an error of 4000·ε/2.
            let bound = 4.0 * 4000.0 * E * q.norm() * k.norm();
            prop_assert!((score(s, t) - score(s + shift, t + shift)).abs() <= bound);
            let relative = dot(q.as_slice(), &turn(k.as_slice(), t - s));
            prop_assert!((score(s, t) - relative).abs() <= bound);
        }

        #[test]
        fn lengths_and_angles_stay(half in 1..9_usize, seed in 0..99_u64, pairs in either(), t in -1e5..1e5_f64) {
            let (x, y) = (draw(seed, 2 * half, 1), draw(seed + 1, 2 * half, 1));
            let turn = |x: &[f64], t: f64| rotate(x, t, 1e4, pairs).unwrap();
            let (rx, ry) = (turn(x.as_slice(), t), turn(y.as_slice(), t));
            prop_assert!((l2(&rx) - x.norm()).abs() <= 8.0 * E * x.norm());
            prop_assert!((dot(&rx, &ry) - x.dot(&y)).abs() <= 16.0 * E * x.norm() * y.norm());
            // The transpose is the inverse rotation, to the bit: −sin t = sin −t.
            let back = turn(&rx, -t);
            for i in 0..2 * half {
                prop_assert!((back[i] - x[i]).abs() <= 8.0 * E * x.norm());
            }
        }

        #[test]
        fn turns_add_up(half in 1..9_usize, seed in 0..99_u64, pairs in either(), s in 0..500_i32, t in 0..500_i32) {
            let x = draw(seed, 2 * half, 1);
            let turn = |x: &[f64], at: i32| rotate(x, f64::from(at), 1e4, pairs).unwrap();
            let (twice, once) = (turn(&turn(x.as_slice(), s), t), turn(x.as_slice(), s + t));
            for i in 0..2 * half {
                prop_assert!((twice[i] - once[i]).abs() <= 4.0 * 1000.0 * E * x.norm());
            }
        }

        #[test]
        fn layouts_differ_by_a_permutation(half in 1..9_usize, seed in 0..99_u64, t in 0.0..99.0_f64) {
            let x = draw(seed, 2 * half, 1);
            let turn = |x: &[f64], pairs| rotate(x, t, 1e4, pairs).unwrap();
            let sorted = |x: &[f64]| -> Vec<f64> {
                x.iter().step_by(2).chain(x.iter().skip(1).step_by(2)).copied().collect()
            };
            let one = sorted(&turn(x.as_slice(), Pairs::Neighbours));
            prop_assert_eq!(one, turn(&sorted(x.as_slice()), Pairs::Halves));
        }
    }

    #[test]
    fn each_head_and_token_turns_by_its_own_position() {
        let rotation = Rotation::new(2, 100.0, Pairs::Halves);
        let (x, t) = (draw(1, 8, 3), matrix(1, 3, &[5.0, 0.0, 17.0]));
        let y = apply(&rotation, [&x, &t]).unwrap();
        let back = pullback(&rotation, [&x, &t], &y).unwrap();
        for j in 0..3 {
            for head in 0..2 {
                let of = |m: &crate::Matrix<f64>| m.view((4 * head, j), (4, 1)).into_owned();
                let one = rotate(of(&x).as_slice(), t[j], 100.0, Pairs::Halves).unwrap();
                assert_eq!(of(&y).as_slice(), one);
            }
        }
        assert!((&back[0] - &x).norm() <= 8.0 * E * x.norm()); // Rᵀ·R = I
        assert_eq!(back[1], crate::Matrix::zeros(1, 3));
    }

    #[test]
    fn misfits_are_refused() {
        let rotation = Rotation::new(2, 1e4, Pairs::Halves);
        let shape = |rows, tokens| rotation.shape([Shape::new(rows, 3), Shape::new(1, tokens)]);
        assert_eq!(shape(8, 3), Ok(Shape::new(8, 3)));
        assert_eq!(
            shape(7, 3).unwrap_err().to_string(),
            "the width is 7 long, which 2 equal parts do not divide"
        );
        assert!(shape(6, 3).unwrap_err().to_string().starts_with("the width of a head is 3 long"));
        assert!(shape(8, 4).is_err());
        assert!(rotate(&[1.0, 2.0, 3.0], 1.0, 1e4, Pairs::Halves).is_err());
    }
}
