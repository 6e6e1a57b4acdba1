//! Products head by head: the two matrix products of multi-head attention.
//!
//! Columns are tokens: sequence after sequence, each `length` long. Rows of queries, keys and values
//! are cut into `heads` equal blocks. Scores and weights have one column per (sequence, head, query)
//! in that order and one row per key, so that every column is a distribution over keys; in memory
//! this is what PyTorch calls (batch, head, query, key).
//!
//! Formulas, for each sequence and head: scores = <var>Kᵀ·Q</var>, mixed = <var>V·weights</var>.
//! Floats: as products; NaN and ∞ stay visible in what they touch.
//! Source: Vaswani et al., *Attention Is All You Need*, 2017, section 3.2.

use crate::formula::{
    COLUMN, HEAD, I, Index, J, K, QUERY, R, START, TOKEN, called, operand, sum, upstream,
};
use crate::{
    Formula, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut, Work, product_add,
    product_into, shape::equal_parts, transposed,
};

/// scores = <var>Kᵀ·Q</var> for every sequence and head: inputs are query and key (width × tokens).
///
/// ```
/// use linalg::{Primitive, Shape, heads::HeadScores};
/// let x = Shape::new(48, 33); // width 48, 3 sequences of 11 tokens
/// let scores = HeadScores { heads: 3, length: 11 }.shape([x, x]);
/// assert_eq!(scores, Ok(Shape::new(11, 3 * 3 * 11)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HeadScores {
    /// Number of heads.
    pub heads: usize,
    /// Tokens of a sequence.
    pub length: usize,
}

/// mixed = <var>V·weights</var> for every sequence and head: the weighted sum of values.
///
/// ```
/// use linalg::{Primitive, Shape, heads::HeadMix};
/// let mixed = HeadMix { heads: 3, length: 11 }.shape([Shape::new(48, 33), Shape::new(11, 99)]);
/// assert_eq!(mixed, Ok(Shape::new(48, 33)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HeadMix {
    /// Number of heads.
    pub heads: usize,
    /// Tokens of a sequence.
    pub length: usize,
}

/// Where sequence `b` and head `h` lie: (first row, rows) and first column in (width × tokens), and
/// first column in (length × sequences·heads·length).
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    rows: usize,
    token: usize,
    score: usize,
}

fn places(width: usize, tokens: usize, heads: usize, length: usize) -> impl Iterator<Item = Place> {
    let rows = width / heads;
    (0..tokens / length).flat_map(move |b| {
        (0..heads).map(move |h| Place {
            row: h * rows,
            rows,
            token: b * length,
            score: (b * heads + h) * length,
        })
    })
}

/// Of a column j of scores, for formulas: its head, its query, and its sequence's first token.
struct Packed {
    heads: usize,
    length: usize,
}

impl Packed {
    fn head(&self) -> Index {
        called(HEAD, (J / self.length) % self.heads)
    }

    fn query(&self) -> Index {
        called(QUERY, J % self.length)
    }

    fn first(&self) -> Index {
        called(START, (J / (self.length * self.heads)) * self.length)
    }
}

/// Of element \[i, j\] of queries, keys or values: its token, its sequence's first token, and the
/// column of scores of its head and a query.
struct Spread {
    heads: usize,
    length: usize,
    rows: usize,
}

impl Spread {
    fn of(scores: &HeadScores, rows: usize) -> Self {
        Spread { heads: scores.heads, length: scores.length, rows }
    }

    fn token(&self) -> Index {
        called(TOKEN, J % self.length)
    }

    fn first(&self) -> Index {
        called(START, (J / self.length) * self.length)
    }

    fn score(&self, query: impl Into<Index>) -> Index {
        let head = (J / self.length) * self.heads + I / self.rows;
        called(COLUMN, head * self.length) + query
    }
}

impl Primitive<2> for HeadScores {
    fn name(&self) -> &'static str {
        "dot products by head"
    }

    fn role(&self) -> Role {
        Role::Scores
    }

    fn shape(&self, [query, key]: [Shape; 2]) -> Result<Shape, ShapeError> {
        key.expect("key", query)?;
        equal_parts("the width of a query", query.rows, self.heads)?;
        let sequences = query.columns / self.length.max(1);
        equal_parts("the number of tokens", query.columns, sequences)?;
        query.expect_columns("query", sequences * self.length)?;
        Ok(Shape::new(self.length, sequences * self.heads * self.length))
    }

    fn flops(&self, [query, _]: [Shape; 2]) -> u64 {
        2 * (query.len() * self.length) as u64
    }

    fn formula<T: Real>(&self, [query, _]: [View<'_, T>; 2]) -> Formula {
        let d = query.nrows() / self.heads;
        let (at, x) = (Packed { heads: self.heads, length: self.length }, Spread::of(self, d));
        let (query, key, dy) = (operand(0), operand(1), upstream());
        let (row, q, k) = (at.head() * d + R, at.first() + at.query(), at.first() + I);
        Formula::new(
            "scores",
            ["query", "key"],
            "Compares every query with every key by their dot product, head by head.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.2.1",
        )
        .value(sum(R, d, key.at(row.clone(), k) * query.at(row, q)))
        .gradient(sum(K, self.length, key.at(I, x.first() + K) * dy.at(K, x.score(x.token()))))
        .gradient(sum(
            QUERY,
            self.length,
            query.at(I, x.first() + QUERY) * dy.at(x.token(), x.score(QUERY)),
        ))
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [true; 2], output: false }
    }

    fn forward<T: Real>(
        &self,
        [query, key]: [View<'_, T>; 2],
        mut scores: ViewMut<'_, T>,
        _: Work<'_, T>,
    ) {
        let n = self.length;
        for p in places(query.nrows(), query.ncols(), self.heads, n) {
            let q = query.view((p.row, p.token), (p.rows, n));
            let k = key.view((p.row, p.token), (p.rows, n));
            product_into(scores.columns_mut(p.score, n), T::one(), transposed(k), q);
        }
    }

    fn vjp<T: Real>(
        &self,
        [query, key]: [View<'_, T>; 2],
        _: View<'_, T>,
        d_scores: View<'_, T>,
        [mut d_query, mut d_key]: [ViewMut<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        let n = self.length;
        for p in places(query.nrows(), query.ncols(), self.heads, n) {
            let (at, shape) = ((p.row, p.token), (p.rows, n));
            let ds = d_scores.columns(p.score, n);
            product_add(d_query.view_mut(at, shape), T::one(), key.view(at, shape), ds);
            product_add(d_key.view_mut(at, shape), T::one(), query.view(at, shape), transposed(ds));
        }
    }
}

impl Primitive<2> for HeadMix {
    fn name(&self) -> &'static str {
        "weighted sum by head"
    }

    fn role(&self) -> Role {
        Role::WeightedSum
    }

    fn shape(&self, [value, weights]: [Shape; 2]) -> Result<Shape, ShapeError> {
        let scores = HeadScores { heads: self.heads, length: self.length };
        weights.expect("the attention weights", scores.shape([value, value])?)?;
        Ok(value)
    }

    fn flops(&self, [value, _]: [Shape; 2]) -> u64 {
        2 * (value.len() * self.length) as u64
    }

    fn formula<T: Real>(&self, [value, _]: [View<'_, T>; 2]) -> Formula {
        let d = value.nrows() / self.heads;
        let scores = HeadScores { heads: self.heads, length: self.length };
        let at = Packed { heads: self.heads, length: self.length };
        let x = Spread::of(&scores, d);
        let (value, weights, dy) = (operand(0), operand(1), upstream());
        let (row, q, k) = (at.head() * d + R, at.first() + at.query(), at.first() + I);
        let weight = weights.at(K, x.score(x.token()));
        Formula::new(
            "mixed",
            ["value", "weights"],
            "Mixes the values of the tokens that a query attends to, by its weights.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.2.1",
        )
        .value(sum(K, self.length, value.at(I, x.first() + K) * weight))
        .gradient(sum(
            QUERY,
            self.length,
            dy.at(I, x.first() + QUERY) * weights.at(x.token(), x.score(QUERY)),
        ))
        .gradient(sum(R, d, value.at(row.clone(), k) * dy.at(row, q)))
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [true; 2], output: false }
    }

    fn forward<T: Real>(
        &self,
        [value, weights]: [View<'_, T>; 2],
        mut mixed: ViewMut<'_, T>,
        _: Work<'_, T>,
    ) {
        let n = self.length;
        for p in places(value.nrows(), value.ncols(), self.heads, n) {
            let (at, shape) = ((p.row, p.token), (p.rows, n));
            let w = weights.columns(p.score, n);
            product_into(mixed.view_mut(at, shape), T::one(), value.view(at, shape), w);
        }
    }

    fn vjp<T: Real>(
        &self,
        [value, weights]: [View<'_, T>; 2],
        _: View<'_, T>,
        d_mixed: View<'_, T>,
        [mut d_value, mut d_weights]: [ViewMut<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        let n = self.length;
        for p in places(value.nrows(), value.ncols(), self.heads, n) {
            let (at, shape) = ((p.row, p.token), (p.rows, n));
            let (dm, w) = (d_mixed.view(at, shape), weights.columns(p.score, n));
            product_add(d_value.view_mut(at, shape), T::one(), dm, transposed(w));
            let v = value.view(at, shape);
            product_add(d_weights.columns_mut(p.score, n), T::one(), transposed(v), dm);
        }
    }
}
