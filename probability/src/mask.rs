//! The causal mask: no token attends to a later one.
//!
//! Formula: <var>y_kq = x_kq</var> where key k is not later than query q nor before its window, and −∞ elsewhere; softmax
//! then gives the future a weight of exactly 0. Gradient: dx = dy where not masked, 0 elsewhere.
//!
//! With a second operand, windows that hold several sequences, one after another: a query sees the keys of its own
//! sequence only, from min(first, query) on (Krell et al., *Efficient Sequence Packing without Cross-contamination*,
//! 2021).
//!
//! Every query sees itself, so a replay of [`CausalMask`] and [`Softmax`](crate::softmax::Softmax) cannot fail. The
//! plain function [`masked_softmax`] takes any mask. A query that sees no key is an error that names it, not NaN and
//! not a uniform row (the result of filling with −10⁹ instead of −∞).
//!
//! Source: Vaswani et al. 2017, section 3.2.3.

use crate::error::ProbabilityError;
use crate::softmax::softmax;
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::formula::{Expression, I, Index, J, at_most, cases, operand, upstream};
use linalg::{
    Formula, Gradient, Matrix, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, column, parallel::each_column, shape::equal_parts, vector,
};
use std::ops::Range;

/// The causal mask of scores of shape (keys × queries). Queries repeat for every sequence and head: column c is query c
/// mod keys.
///
/// ```
/// use linalg::{Primitive, Work, matrix};
/// let scores = matrix(2, 2, &[0.1, 0.2, 0.3, 0.4]); // a column per query
/// let mut masked = matrix(2, 2, &[0.0; 4]);
/// let mask = probability::mask::CausalMask::default();
/// mask.forward([scores.as_view()], masked.as_view_mut(), Work::none());
/// assert_eq!(masked.as_slice(), &[0.1, f64::NEG_INFINITY, 0.3, 0.4]);
/// // Of two sequences of one token each, none sees the other's.
/// let first = matrix(1, 2, &[0.0, 1.0]);
/// mask.forward([scores.as_view(), first.as_view()], masked.as_view_mut(), Work::none());
/// assert_eq!(masked.as_slice(), &[0.1, f64::NEG_INFINITY, f64::NEG_INFINITY, 0.4]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CausalMask {
    /// The number of keys that a query sees, its own included; all earlier ones if absent. Source: Beltagy et al.,
    /// *Longformer*, 2020; Jiang et al., *Mistral 7B*, 2023.
    pub window: Option<usize>,
}

impl CausalMask {
    /// Returns the keys that query q sees.
    pub fn seen(self, query: usize) -> Range<usize> {
        let window = self.window.unwrap_or(usize::MAX);
        (query + 1).saturating_sub(window)..query + 1
    }

    /// Returns the keys that query q sees in a window of several sequences, if its own begins with the key `first`; it always
    /// sees itself.
    ///
    /// ```
    /// let mask = probability::mask::CausalMask { window: Some(4) };
    /// assert_eq!([mask.seen_from(5, 6), mask.seen_from(1, 6), mask.seen_from(9, 6)], [5..7, 3..7, 6..7]);
    /// ```
    pub fn seen_from(self, first: usize, query: usize) -> Range<usize> {
        let seen = self.seen(query);
        seen.start.max(first.min(query))..seen.end
    }

    /// Returns the keys that the query of column j sees, of scores of this shape (keys, columns).
    fn seen_in<T: Real>(
        self,
        (keys, columns): (usize, usize),
        first: Option<View<'_, T>>,
        j: usize,
    ) -> Range<usize> {
        let query = j % keys;
        let first = first.map_or(0, |first| {
            let of_a_sequence = columns / first.ncols() * keys;
            first[(0, j / of_a_sequence * keys + query)].to_f64().max(0.0) as usize
        });
        self.seen_from(first, query)
    }
}

/// Returns the score of a key, or `hidden` for one that is before the query's sequence, which begins with the key `first`.
fn own_sequence(
    first: Index,
    key: Index,
    query: Index,
    score: Expression,
    hidden: f64,
) -> Expression {
    // A query always sees itself; keys after it are hidden elsewhere.
    let itself = cases(at_most(query, key.clone()), score.clone(), hidden);
    cases(at_most(first, key), score, itself)
}

/// The rules, of one operand, and of two with the first keys (1 × tokens).
macro_rules! rules {
    (impl Primitive<$n:literal> for CausalMask $(, $first:ident)?) => {
        impl Primitive<$n> for CausalMask {
            fn name(&self) -> &'static str {
                "causal mask"
            }

            fn role(&self) -> Role {
                Role::Mask
            }

            fn shape(&self, [x $(, $first)?]: [Shape; $n]) -> Result<Shape, ShapeError> {
                let sequences = x.columns / x.rows.max(1);
                equal_parts("the number of queries", x.columns, sequences)?;
                x.expect_columns("the matrix of scores", sequences * x.rows)?;
                if self.window == Some(0) {
                    return Err(ShapeError::Empty { operand: "the window" });
                }
                $(
                    $first.expect_rows("the first keys", 1)?;
                    equal_parts("the number of first keys", $first.columns, x.rows)?;
                    equal_parts("the number of queries", x.columns, $first.columns)?;
                )?
                Ok(x)
            }

            fn formula<T: Real>(&self, [x $(, $first)?]: [View<'_, T>; $n]) -> Formula {
                let keys = x.nrows();
                // Columns of one head and sequence follow one another, and heads of one sequence.
                let first: Option<Index> = [$({
                    let heads = x.ncols() / $first.ncols();
                    operand(1).index(0, J / (heads * keys) * keys + J % keys)
                })?]
                .into_iter()
                .next();
                let query = || J % keys;
                let (x, dy) = (operand(0), upstream());
                let masked = |x: Expression, hidden: f64| {
                    let x = match self.window {
                        Some(window) => cases(at_most(query() + 1, I + window), x, hidden),
                        None => x,
                    };
                    let x = match first.clone() {
                        Some(first) => own_sequence(first, I.into(), query(), x, hidden),
                        None => x,
                    };
                    cases(at_most(I, query()), x, hidden)
                };
                let names = ["x" $(, stringify!($first))?];
                let f = Formula::new(
                    "y",
                    names,
                    "Hides the future: a key later than its query gets the score −∞, so that softmax gives it 0.",
                    "Vaswani et al., Attention Is All You Need, 2017, section 3.2.3",
                )
                .value(masked(x.at(I, J), f64::NEG_INFINITY))
                .gradient(masked(dy.at(I, J), 0.0));
                (1..names.len()).fold(f, |f, _| f.no_gradient())
            }

            fn forward<T: Real>(
                &self,
                [x $(, $first)?]: [View<'_, T>; $n],
                y: ViewMut<'_, T>,
                _: Work<'_, T>,
            ) {
                let first: Option<View<'_, T>> = [$($first)?].first().copied();
                each_column([y], |j, [y]| {
                    let seen = self.seen_in(x.shape(), first, j);
                    y[..seen.start].fill(T::from_f64(f64::NEG_INFINITY));
                    y[seen.end..].fill(T::from_f64(f64::NEG_INFINITY));
                    y[seen.clone()].copy_from_slice(&column(&x, j)[seen]);
                });
            }

            fn vjp<T: Real>(
                &self,
                [x $(, $first)?]: [View<'_, T>; $n],
                _: View<'_, T>,
                dy: View<'_, T>,
                [dx, ..]: [Gradient<'_, T>; $n],
                _: Work<'_, T>,
            ) {
                let first: Option<View<'_, T>> = [$($first)?].first().copied();
                dx.add_each_column(|j, dx| {
                    let seen = self.seen_in(x.shape(), first, j);
                    vector::axpy(&mut dx[seen.clone()], T::one(), &column(&dy, j)[seen]);
                });
            }

            fn flops(&self, _: [Shape; $n]) -> u64 {
                0
            }

            fn vjp_reads(&self) -> Reads<$n> {
                let mut inputs = [true; $n];
                inputs[0] = false;
                Reads { inputs, output: false }
            }
        }
    };
}

rules!(impl Primitive<1> for CausalMask);
rules!(impl Primitive<2> for CausalMask, first);

impl Cases for CausalMask {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Heads { heads, length, sequences, .. } = size {
            for window in [None, Some(length.div_ceil(2))] {
                let scores = numbers(length, sequences * heads * length);
                visitor.visit(CausalMask { window }, [scores.clone()]);
                // Also such as no packing makes: each query's own, and beyond the query.
                let first = Operand::Indices { count: sequences * length, below: length };
                visitor.visit(CausalMask { window }, [scores, first]);
            }
        }
    }
}

/// Returns the softmax of every column of scores (keys × queries) over the visible keys.
///
/// A hidden key has weight exactly 0, whatever its score; a score of −∞ counts as hidden. A query is a row in the
/// textbook and a column here.
///
/// # Errors
/// If a query sees no key ([`ProbabilityError::FullyMasked`]), or a visible score is NaN or +∞.
///
/// ```
/// use linalg::matrix;
/// use probability::{ProbabilityError, mask::masked_softmax};
/// let scores = matrix(2, 2, &[0.0_f64, 9.0, 0.0, 0.0]); // a column per query
/// let weights = masked_softmax(&scores, |key, query| key <= query)?;
/// assert_eq!(weights.as_slice(), &[1.0, 0.0, 0.5, 0.5]);
/// // This mask shows only later keys, which leaves the last query none.
/// let wrong = masked_softmax(&scores, |key, query| key > query);
/// assert_eq!(wrong, Err(ProbabilityError::FullyMasked { row: 1 }));
/// # Ok::<(), ProbabilityError>(())
/// ```
#[doc(alias("masked_fill", "tril"))]
pub fn masked_softmax<T: Real>(
    scores: &Matrix<T>,
    visible: impl Fn(usize, usize) -> bool,
) -> Result<Matrix<T>, ProbabilityError> {
    let hidden = T::from_f64(f64::NEG_INFINITY);
    let mut weights = scores.clone();
    for (query, mut column) in weights.column_iter_mut().enumerate() {
        let mut seen = false;
        for (key, score) in column.iter_mut().enumerate() {
            *score = if visible(key, query) { *score } else { hidden };
            let found = score.to_f64();
            if found.is_nan() || found == f64::INFINITY {
                let what = "a visible score: key";
                let expected = "finite or −∞";
                return Err(ProbabilityError::Element { what, index: key, found, expected });
            }
            seen |= *score != hidden;
        }
        if !seen {
            return Err(ProbabilityError::FullyMasked { row: query });
        }
        let p = softmax(column.as_slice());
        column.as_mut_slice().copy_from_slice(&p);
    }
    Ok(weights)
}
