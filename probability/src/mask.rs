//! The causal mask: no token attends to a later one.
//!
//! Formula: <var>y_kq = x_kq</var> where key k is not later than query q nor before its window, and −∞ elsewhere; softmax
//! then gives the future a weight of exactly 0. Gradient: dx = dy where not masked, 0 elsewhere.
//!
//! Every query sees itself, so a replay of [`CausalMask`] and [`Softmax`](crate::softmax::Softmax) cannot fail. The
//! plain function [`masked_softmax`] takes any mask. A query that sees no key is an error that names it, not NaN and
//! not a uniform row (the result of filling with −10⁹ instead of −∞).
//!
//! Source: Vaswani et al. 2017, section 3.2.3.

use crate::error::ProbabilityError;
use crate::softmax::softmax;
use linalg::cases::{Cases, Size, Visitor, numbers};
use linalg::formula::{Expression, I, J, at_most, cases, operand, upstream};
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
}

impl Primitive<1> for CausalMask {
    fn name(&self) -> &'static str {
        "causal mask"
    }

    fn role(&self) -> Role {
        Role::Mask
    }

    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        let sequences = x.columns / x.rows.max(1);
        equal_parts("the number of queries", x.columns, sequences)?;
        x.expect_columns("the matrix of scores", sequences * x.rows)?;
        if self.window == Some(0) {
            return Err(ShapeError::Empty { operand: "the window" });
        }
        Ok(x)
    }

    fn formula<T: Real>(&self, [x]: [View<'_, T>; 1]) -> Formula {
        let query = || J % x.nrows();
        let (x, dy) = (operand(0), upstream());
        let masked = |x: Expression, hidden: f64| {
            let x = match self.window {
                Some(window) => cases(at_most(query() + 1, I + window), x, hidden),
                None => x,
            };
            cases(at_most(I, query()), x, hidden)
        };
        Formula::new(
            "y",
            ["x"],
            "Hides the future: a key later than its query gets the score −∞, so that softmax gives it 0.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.2.3",
        )
        .value(masked(x.at(I, J), f64::NEG_INFINITY))
        .gradient(masked(dy.at(I, J), 0.0))
    }

    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], y: ViewMut<'_, T>, _: Work<'_, T>) {
        each_column([y], |j, [y]| {
            let seen = self.seen(j % x.nrows());
            y[..seen.start].fill(T::from_f64(f64::NEG_INFINITY));
            y[seen.end..].fill(T::from_f64(f64::NEG_INFINITY));
            y[seen.clone()].copy_from_slice(&column(&x, j)[seen]);
        });
    }

    fn vjp<T: Real>(
        &self,
        [x]: [View<'_, T>; 1],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [Gradient<'_, T>; 1],
        _: Work<'_, T>,
    ) {
        dx.add_each_column(|j, dx| {
            let seen = self.seen(j % x.nrows());
            vector::axpy(&mut dx[seen.clone()], T::one(), &column(&dy, j)[seen]);
        });
    }

    fn flops(&self, _: [Shape; 1]) -> u64 {
        0
    }

    fn vjp_reads(&self) -> Reads<1> {
        Reads { inputs: [false], output: false }
    }
}

impl Cases for CausalMask {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Heads { heads, length, sequences, .. } = size {
            for window in [None, Some(length.div_ceil(2))] {
                let scores = numbers(length, sequences * heads * length);
                visitor.visit(CausalMask { window }, [scores]);
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
