//! The causal mask: no token attends to a later one.
//!
//! Formula: <var>y_kq = x_kq</var> if key k is not later than query q, else −∞; softmax
//! then gives the future a weight of exactly 0. Gradient: dx = dy if not masked, else 0.
//!
//! Every query sees itself, so a replay of [`CausalMask`] and [`Softmax`](crate::softmax::Softmax) cannot fail. The
//! plain function [`masked_softmax`] takes any mask. A query that sees no key is an error that names it, not NaN and
//! not a uniform row (the result of filling with −10⁹ instead of −∞).
//!
//! Source: Vaswani et al. 2017, section 3.2.3.

use crate::error::ProbabilityError;
use crate::softmax::softmax;
use linalg::cases::{Cases, Size, Visitor, numbers};
use linalg::formula::{I, J, at_most, cases, operand, upstream};
use linalg::{
    Formula, Gradient, Matrix, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, column, parallel::each_column, shape::equal_parts, vector,
};

/// The causal mask of scores of shape (keys × queries). Queries repeat for every sequence and head: column c is query c
/// mod keys.
///
/// ```
/// use linalg::{Primitive, Work, matrix};
/// let scores = matrix(2, 2, &[0.1, 0.2, 0.3, 0.4]); // a column per query
/// let mut masked = matrix(2, 2, &[0.0; 4]);
/// probability::mask::CausalMask.forward([scores.as_view()], masked.as_view_mut(), Work::none());
/// assert_eq!(masked.as_slice(), &[0.1, f64::NEG_INFINITY, 0.3, 0.4]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CausalMask;

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
        Ok(x)
    }

    fn formula<T: Real>(&self, [x]: [View<'_, T>; 1]) -> Formula {
        let seen = || at_most(I, J % x.nrows());
        let (x, dy) = (operand(0), upstream());
        Formula::new(
            "y",
            ["x"],
            "Hides the future: a key later than its query gets the score −∞, so that softmax gives it 0.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.2.3",
        )
        .value(cases(seen(), x.at(I, J), f64::NEG_INFINITY))
        .gradient(cases(seen(), dy.at(I, J), 0.0))
    }

    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], y: ViewMut<'_, T>, _: Work<'_, T>) {
        each_column([y], |j, [y]| {
            let (seen, future) = y.split_at_mut(j % x.nrows() + 1);
            seen.copy_from_slice(&column(&x, j)[..seen.len()]);
            future.fill(T::from_f64(f64::NEG_INFINITY));
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
            let seen = ..=j % x.nrows();
            vector::axpy(&mut dx[seen], T::one(), &column(&dy, j)[seen]);
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
            visitor.visit(CausalMask, [numbers(length, sequences * heads * length)]);
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
