//! Dropout: during training, every element is dropped with probability p.
//!
//! Formula: <var>y = x ⊙ m/(1 − p)</var> with independent <var>m ∈ {0, 1}</var>, <var>P(m = 0) = p</var>,
//! so that <var>E\[y\] = x</var>.
//! Gradient: dx = dy ⊙ m/(1 − p), with the same m.
//! p is the probability to *drop*, as in PyTorch; some texts write the probability to keep.
//! Source: Srivastava et al., *Dropout*, 2014.

use crate::error::{ProbabilityError, check_setting};
use crate::random::Random;
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::formula::{I, J, operand, upstream};
use linalg::{
    Formula, Gradient, Matrix, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, column, parallel::each_column,
};

/// The mask of dropped elements: a function of (seed, stream, step, element).
#[derive(Clone, Copy, Debug)]
pub struct DropoutMask {
    random: Random,
    /// The threshold <var>p·2³²</var>: an element is dropped if its 32 random bits are below it.
    threshold: u64,
    scale: f64,
}

impl DropoutMask {
    /// Returns the factor of element `index`: 0, or 1/(1 − p).
    #[inline(always)]
    pub fn factor<T: Real>(&self, index: u64) -> T {
        self.of(self.random.group(index / GROUP as u64)[index as usize % GROUP])
    }

    #[inline(always)]
    fn of<T: Real>(&self, word: u32) -> T {
        if u64::from(word) < self.threshold { T::zero() } else { T::from_f64(self.scale) }
    }

    /// Calls `each(i, factors)` for runs of the elements `first + i`, i = 0 .. n, in order.
    #[inline(always)]
    pub fn runs<T: Real>(&self, first: u64, n: usize, mut each: impl FnMut(usize, &[T])) {
        let mut done = 0;
        while done < n {
            let index = first + done as u64;
            let words = self.random.group(index / GROUP as u64);
            let mut factors = [T::zero(); GROUP];
            for (factor, &word) in factors.iter_mut().zip(&words) {
                *factor = self.of(word);
            }
            let start = index as usize % GROUP;
            let end = GROUP.min(start + n - done);
            each(done, &factors[start..end]);
            done += end - start;
        }
    }
}

/// Number of elements whose random bits are drawn together.
const GROUP: usize = 64;

/// Number of queries whose attention weights are contiguous in [`weight_index`].
pub const QUERIES: usize = 32;

/// Returns the number of an attention weight among the elements of its dropout. `column` counts the queries of all
/// heads of sequences of `length` tokens, as the columns of [`linalg::heads::HeadScores`] do.
///
/// Weights are numbered by blocks of [`QUERIES`] queries; in a block key by key, and for each key query by query.
/// Streaming attention computes them in this order.
#[inline(always)]
pub fn weight_index(length: usize, column: usize, key: usize) -> u64 {
    let (head, query) = (column / length, column % length);
    let (block, in_block) = (query / QUERIES, query % QUERIES);
    let block = head * length.div_ceil(QUERIES) + block;
    let keys = length.next_multiple_of(GROUP / QUERIES);
    ((block * keys + key) * QUERIES + in_block) as u64
}

/// Drops every element of x with probability `rate` and divides the others by 1 − rate. The mask is that of seed,
/// stream and step 0; [`Dropout`] takes any.
///
/// `rate` is the probability to *drop*: 0 leaves x unchanged. A dropped element becomes 0 (with its sign), or NaN if it
/// was infinite or NaN: 0·∞.
///
/// # Errors
/// If the rate is outside [0, 1).
///
/// ```
/// let y = probability::dropout::dropout(&[1.0; 10_000], 0.1, 1, 0)?; // drops a tenth, not nine tenths
/// let dropped = y.iter().filter(|y| **y == 0.0).count();
/// assert!(dropped > 850 && dropped < 1150);
/// assert!((y.iter().sum::<f64>() / 10_000.0 - 1.0).abs() < 0.02); // the mean stays
/// # Ok::<(), probability::ProbabilityError>(())
/// ```
pub fn dropout<T: Real>(
    x: &[T],
    rate: f64,
    seed: u64,
    stream: u32,
) -> Result<Vec<T>, ProbabilityError> {
    let right = (0.0..1.0).contains(&rate);
    check_setting("the probability to drop", "0 or more and below 1", rate, right)?;
    let mut y = x.to_vec();
    let mask = Dropout { rate, seed, stream, order: Order::Columns }.numbered(0);
    mask.runs(0, x.len(), |first, factors: &[T]| {
        y[first..].iter_mut().zip(factors).for_each(|(y, &factor)| *y *= factor);
    });
    Ok(y)
}

/// Dropout of x. The second operand, a column of two numbers, is the step, which selects the mask: see [`step`]. At a
/// negative step ([`EVALUATION`]) nothing is dropped, so one recording serves training and evaluation.
///
/// ```
/// use linalg::{Primitive, Work, matrix};
/// use probability::dropout::{Dropout, EVALUATION, Order, step};
/// let dropout = Dropout { rate: 0.5, seed: 1, stream: 0, order: Order::Columns };
/// let x = matrix(4, 25, &[1.0; 100]);
/// let mut y = x.clone();
/// dropout.forward([x.as_view(), matrix(2, 1, &step(0)).as_view()], y.as_view_mut(), Work::none());
/// assert!(y.iter().all(|&y| y == 0.0 || y == 2.0));
/// dropout.forward([x.as_view(), matrix(2, 1, &EVALUATION).as_view()], y.as_view_mut(), Work::none());
/// assert_eq!(x, y);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability to drop, at least 0 and below 1.
    pub rate: f64,
    /// The seed of the run.
    pub seed: u64,
    /// The number of this dropout in the network: each draws masks of its own.
    pub stream: u32,
    /// The order in which elements are numbered.
    pub order: Order,
}

/// The order in which dropout numbers the elements of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Column by column.
    Columns,
    /// The order of attention weights of sequences of `length` tokens: [`weight_index`].
    Weights {
        /// The number of tokens of a sequence.
        length: usize,
    },
}

impl Order {
    /// Calls `each(i, factors)` for runs of the elements of a column of `n`, in order.
    #[inline(always)]
    fn runs<T: Real>(
        self,
        mask: &DropoutMask,
        column: usize,
        n: usize,
        mut each: impl FnMut(usize, &[T]),
    ) {
        match self {
            Order::Columns => mask.runs((column * n) as u64, n, each),
            Order::Weights { length } => {
                for key in 0..n {
                    each(key, &[mask.factor(weight_index(length, column, key))]);
                }
            }
        }
    }
}

/// The shape of a step number among a recording's values.
pub const STEP: Shape = Shape::new(2, 1);

/// The step number of evaluation: nothing is dropped.
pub const EVALUATION: [f64; 2] = [-1.0, 0.0];

/// Returns a step number as two numbers that every scalar holds exactly: <var>number = low + 2²⁴·high</var>. An `f32`
/// counts exactly only up to 2²⁴; as a single number, later steps would share masks.
///
/// Steps are exact up to 2⁴⁸; steps that are equal modulo 2³² draw the same mask.
///
/// ```
/// use probability::dropout::step;
/// assert_eq!(step(5), [5.0, 0.0]);
/// assert_eq!(step((3 << 24) + 7), [7.0, 3.0]);
/// ```
pub fn step(number: u64) -> [f64; 2] {
    [(number % HALF) as f64, (number / HALF) as f64]
}

/// The base of the two parts of a step number.
const HALF: u64 = 1 << 24;

impl Dropout {
    /// Returns the mask of a [`step`], or `None` if the step is negative.
    pub fn mask<T: Real>(&self, step: View<'_, T>) -> Option<DropoutMask> {
        let [low, high] = [step[0].to_f64(), step[1].to_f64()];
        let number = || (high as u64).wrapping_mul(HALF).wrapping_add(low as u64);
        (low >= 0.0).then(|| self.numbered(number()))
    }

    /// Calls `update` with every element of y and that of column j of x times its factor.
    #[inline(always)]
    fn multiply<T: Real>(
        &self,
        mask: &DropoutMask,
        j: usize,
        x: &[T],
        y: &mut [T],
        update: impl Fn(&mut T, T),
    ) {
        self.order.runs(mask, j, x.len(), |i, factors: &[T]| {
            let run = i..i + factors.len();
            let elements = y[run.clone()].iter_mut().zip(&x[run]);
            elements.zip(factors).for_each(|((y, &x), &f)| update(y, x * f));
        });
    }

    fn numbered(&self, step: u64) -> DropoutMask {
        DropoutMask {
            random: Random::new(self.seed, self.stream, step as u32),
            threshold: (self.rate * 4_294_967_296.0) as u64,
            scale: 1.0 / (1.0 - self.rate),
        }
    }
}

impl Primitive<2> for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn role(&self) -> Role {
        Role::Dropout
    }

    fn shape(&self, [x, step]: [Shape; 2]) -> Result<Shape, ShapeError> {
        step.expect("the step number", STEP)?;
        Ok(x)
    }

    fn formula<T: Real>(&self, [x, step]: [View<'_, T>; 2]) -> Formula {
        let mut factors = Matrix::repeat(x.nrows(), x.ncols(), 1.0);
        if let Some(mask) = self.mask(step) {
            for (j, mut factors) in factors.column_iter_mut().enumerate() {
                self.order.runs(&mask, j, x.nrows(), |i, run: &[f64]| {
                    factors.as_mut_slice()[i..i + run.len()].copy_from_slice(run);
                });
            }
        }
        let (x, dy) = (operand(0), upstream());
        let mut f = Formula::new(
            "y",
            ["x", "step"],
            "Switches a random share of the elements off for this step and scales the rest up.",
            "Srivastava et al., Dropout, 2014",
        );
        let mask = f.table("mask", factors);
        f.value(x.at(I, J) * mask.at(I, J)).gradient(dy.at(I, J) * mask.at(I, J)).no_gradient()
    }

    fn forward<T: Real>(&self, [x, step]: [View<'_, T>; 2], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        let Some(mask) = self.mask(step) else { return y.copy_from(&x) };
        each_column(
            [y],
            #[inline(always)]
            |j, [y]| self.multiply(&mask, j, column(&x, j), y, |y, x| *y = x),
        );
    }

    fn vjp<T: Real>(
        &self,
        [_, step]: [View<'_, T>; 2],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx, _]: [Gradient<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        let Some(mask) = self.mask(step) else { return dx.add(dy) };
        dx.add_each_column(
            #[inline(always)]
            |j, dx| self.multiply(&mask, j, column(&dy, j), dx, |dx, dy| *dx += dy),
        );
    }

    fn flops(&self, [x, _]: [Shape; 2]) -> u64 {
        x.len() as u64
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [false, true], output: false }
    }

    fn is_cheap(&self) -> bool {
        true
    }
}

impl Cases for Dropout {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        let dropout = Dropout { rate: 0.3, seed: 11, stream: 5, order: Order::Columns };
        let mut visit = |dropout: Dropout, x: Operand, step: [f64; 2]| {
            visitor.visit(dropout, [x, Operand::Constants(step.to_vec())]);
        };
        match size {
            Size::Matrix(m, n) => {
                for step in [step(0), step((5 << 24) + 7), EVALUATION] {
                    visit(dropout, numbers(m, n), step);
                }
            }
            Size::Heads { heads, length, sequences, .. } => {
                let of_weights = Dropout { order: Order::Weights { length }, ..dropout };
                visit(of_weights, numbers(length, sequences * heads * length), step(2));
            }
            Size::Pieces => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_its_share() {
        let n = 100_000_u64;
        for rate in [0.1, 0.5, 0.9] {
            let mask = Dropout { rate, seed: 3, stream: 1, order: Order::Columns }.numbered(5);
            let dropped = (0..n).filter(|&i| mask.factor::<f64>(i) == 0.0).count() as f64;
            let error = (rate * (1.0 - rate) / n as f64).sqrt();
            assert!((dropped / n as f64 - rate).abs() < 5.0 * error);
        }
    }

    /// Consecutive steps draw different masks for any count, in `f32` too, and the same masks as when the step was one
    /// number.
    #[test]
    fn masks_are_new_at_every_step_however_late() {
        let dropout = Dropout { rate: 0.5, seed: 3, stream: 1, order: Order::Columns };
        for first in [0, (1 << 24) - 2, 1 << 24, 1 << 26, (1_u64 << 32) - 64] {
            let mut seen = std::collections::HashSet::new();
            for number in first..first + 64 {
                let step32 = step(number).map(|x| x as f32);
                let mask = dropout.mask(View::from_slice(&step32, 2, 1)).unwrap();
                let same = dropout.mask(View::from_slice(&step(number), 2, 1)).unwrap();
                let bits = |mask: &DropoutMask| -> Vec<bool> {
                    (0..128).map(|i| mask.factor::<f64>(i) == 0.0).collect()
                };
                assert_eq!(bits(&mask), bits(&same), "{number}");
                assert_eq!(bits(&mask), bits(&dropout.numbered(number)), "{number}");
                assert!(seen.insert(bits(&mask)), "the mask of step {number} was drawn before");
            }
        }
    }

    #[test]
    fn both_ways_of_reading_a_mask_agree() {
        let mask = Dropout { rate: 0.3, seed: 3, stream: 1, order: Order::Columns }.numbered(5);
        for first in [0, 1, 63, 64, 100] {
            let mut seen = 0;
            mask.runs(first, 200, |i, factors: &[f64]| {
                assert_eq!(i, seen);
                seen += factors.len();
                for (k, &f) in factors.iter().enumerate() {
                    assert_eq!(f, mask.factor(first + (i + k) as u64));
                }
            });
            assert_eq!(seen, 200);
        }
    }

    #[test]
    fn every_attention_weight_has_a_number_of_its_own() {
        for length in [1, 7, 32, 33, 70] {
            let columns = 3 * length;
            let all = (0..columns).flat_map(|c| (0..length).map(move |k| (c, k)));
            let numbers: std::collections::BTreeSet<u64> =
                all.map(|(c, k)| weight_index(length, c, k)).collect();
            assert_eq!(numbers.len(), columns * length);
        }
    }
}
