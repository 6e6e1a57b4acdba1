//! The two matrix products of multi-head attention, for each head.
//!
//! Columns are tokens: one sequence after the other, each of `length` tokens. The rows of queries are divided into
//! `heads` equal blocks, the rows of keys and values into `key_value_heads` blocks of the same size. Every group of
//! query heads reads one of them ([`crate::operation::groups`]). Scores and weights have one column per (sequence,
//! query head, query), in that order, and one row per key, so that every column is a distribution over keys. In memory
//! this equals (batch, head, query, key) in PyTorch.
//!
//! Formulas, for each sequence and query head: scores = <var>Kᵀ·Q</var>, mixed = <var>V·weights</var>. Gradients of
//! keys and values are sums over the query heads of a group.
//! Floats: as in products; NaN and ∞ propagate to the results that use them.
//! Sources: Vaswani et al., *Attention Is All You Need*, 2017, section 3.2; Ainslie et al., *GQA*, 2023, for groups.

use crate::cases::{Cases, Operand, Size, Visitor, numbers};
use crate::formula::{
    COLUMN, HEAD, I, Index, J, K, QUERY, R, START, TOKEN, called, operand, sum, upstream,
};
use crate::{
    Formula, Gradient, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut, Work,
    operation::groups::Groups, product_add, product_into, shape::equal_parts, transposed,
};

/// The scores <var>Kᵀ·Q</var> of every sequence and query head. The inputs are query (heads·d × tokens) and key
/// (key_value_heads·d × tokens).
///
/// ```
/// use linalg::{Primitive, Shape, heads::HeadScores};
/// // 3 sequences of 11 tokens; 4 query heads of 12 rows, 2 key heads
/// let (query, key) = (Shape::new(48, 33), Shape::new(24, 33));
/// let scores = HeadScores { heads: 4, key_value_heads: 2, length: 11 }.shape([query, key]);
/// assert_eq!(scores, Ok(Shape::new(11, 3 * 4 * 11)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HeadScores {
    /// The number of query heads.
    pub heads: usize,
    /// The number of key-value heads, which divides the number of query heads.
    pub key_value_heads: usize,
    /// The number of tokens in a sequence.
    pub length: usize,
}

/// The weighted sum of values, mixed = <var>V·weights</var>, of every sequence and query head. The inputs are value
/// (key_value_heads·d × tokens) and weights (length × sequences·heads·length).
///
/// ```
/// use linalg::{Primitive, Shape, heads::HeadMix};
/// let (value, weights) = (Shape::new(24, 33), Shape::new(11, 3 * 4 * 11));
/// let mixed = HeadMix { heads: 4, key_value_heads: 2, length: 11 }.shape([value, weights]);
/// assert_eq!(mixed, Ok(Shape::new(48, 33)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HeadMix {
    /// The number of query heads.
    pub heads: usize,
    /// The number of key-value heads, which divides the number of query heads.
    pub key_value_heads: usize,
    /// The number of tokens in a sequence.
    pub length: usize,
}

/// The layout that both operations share.
#[derive(Clone, Copy)]
struct Layout {
    groups: Groups,
    length: usize,
}

/// The position of sequence `b` and query head `h`: the first row in queries and in the keys or values that they read,
/// the rows of a head, the first token, and the first column in (length × sequences·heads·length).
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    read: usize,
    rows: usize,
    token: usize,
    score: usize,
}

impl Layout {
    /// Returns the positions for heads of `rows` rows, ordered by sequence, then head.
    fn places(self, rows: usize, tokens: usize) -> impl Iterator<Item = Place> {
        let Layout { groups, length } = self;
        (0..tokens / length).flat_map(move |b| {
            (0..groups.heads).map(move |h| Place {
                row: h * rows,
                read: groups.read_by(h) * rows,
                rows,
                token: b * length,
                score: (b * groups.heads + h) * length,
            })
        })
    }

    /// Returns the shape of the scores of these queries.
    fn scores(self, query: Shape) -> Result<Shape, ShapeError> {
        let sequences = query.columns / self.length.max(1);
        equal_parts("the number of tokens", query.columns, sequences)?;
        query.expect_columns("query", sequences * self.length)?;
        Ok(Shape::new(self.length, sequences * self.groups.heads * self.length))
    }

    // For formulas, for column j of scores: its head, its query, and its sequence's first token.

    fn head(self) -> Index {
        called(HEAD, (J / self.length) % self.groups.heads)
    }

    fn query(self) -> Index {
        called(QUERY, J % self.length)
    }

    fn first_of_scores(self) -> Index {
        called(START, (J / (self.length * self.groups.heads)) * self.length)
    }

    // For column j of queries, keys or values: its token, its sequence's first token, and the column of scores of a
    // head and a query.

    fn token(self) -> Index {
        called(TOKEN, J % self.length)
    }

    fn first(self) -> Index {
        called(START, (J / self.length) * self.length)
    }

    fn score(self, head: impl Into<Index>, query: impl Into<Index>) -> Index {
        let head = (J / self.length) * self.groups.heads + head;
        called(COLUMN, head * self.length) + query
    }
}

impl HeadScores {
    fn layout(&self) -> Layout {
        let HeadScores { heads, key_value_heads, length } = *self;
        Layout { groups: Groups { heads, key_value_heads }, length }
    }
}

impl HeadMix {
    fn layout(&self) -> Layout {
        let HeadMix { heads, key_value_heads, length } = *self;
        Layout { groups: Groups { heads, key_value_heads }, length }
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
        let layout = self.layout();
        let rows = layout.groups.key_value_rows(query.rows)?;
        key.expect("key", Shape::new(rows, query.columns))?;
        layout.scores(query)
    }

    fn formula<T: Real>(&self, [query, _]: [View<'_, T>; 2]) -> Formula {
        let (d, at) = (query.nrows() / self.heads, self.layout());
        let (query, key, dy) = (operand(0), operand(1), upstream());
        let (q, k) = (at.first_of_scores() + at.query(), at.first_of_scores() + I);
        let asked = query.at(at.head() * d + R, q);
        let read = key.at(at.groups.index_read_by(at.head()) * d + R, k);
        let key = key.at(at.groups.row_read(d), at.first() + K);
        let (head, row) = at.groups.reader(d);
        let query = query.at(row, at.first() + QUERY);
        let sent = sum(QUERY, self.length, query * dy.at(at.token(), at.score(head, QUERY)));
        Formula::new(
            "scores",
            ["query", "key"],
            "Compares every query with every key by their dot product, head by head.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.2.1",
        )
        .value(sum(R, d, read * asked))
        .gradient(sum(K, self.length, key * dy.at(K, at.score(I / d, at.token()))))
        .gradient(at.groups.sum(sent))
    }

    fn forward<T: Real>(
        &self,
        [query, key]: [View<'_, T>; 2],
        mut scores: ViewMut<'_, T>,
        _: Work<'_, T>,
    ) {
        let n = self.length;
        for p in self.layout().places(query.nrows() / self.heads, query.ncols()) {
            let q = query.view((p.row, p.token), (p.rows, n));
            let k = key.view((p.read, p.token), (p.rows, n));
            product_into(scores.columns_mut(p.score, n), T::one(), transposed(k), q);
        }
    }

    fn vjp<T: Real>(
        &self,
        [query, key]: [View<'_, T>; 2],
        _: View<'_, T>,
        d_scores: View<'_, T>,
        [d_query, d_key]: [Gradient<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        let (mut d_query, mut d_key, n) = (d_query.zeroed(), d_key.zeroed(), self.length);
        for p in self.layout().places(query.nrows() / self.heads, query.ncols()) {
            let (at, read, shape) = ((p.row, p.token), (p.read, p.token), (p.rows, n));
            let (q, k, ds) =
                (query.view(at, shape), key.view(read, shape), d_scores.columns(p.score, n));
            if let Some(d_query) = &mut d_query {
                product_add(d_query.view_mut(at, shape), T::one(), k, ds);
            }
            if let Some(d_key) = &mut d_key {
                product_add(d_key.view_mut(read, shape), T::one(), q, transposed(ds));
            }
        }
    }

    fn flops(&self, [query, _]: [Shape; 2]) -> u64 {
        2 * (query.len() * self.length) as u64
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [true; 2], output: false }
    }
}

impl Cases for HeadScores {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Heads { heads, key_value_heads, rows, length, sequences } = size {
            let [query, key] =
                [heads, key_value_heads].map(|h| numbers(h * rows, sequences * length));
            visitor.visit(HeadScores { heads, key_value_heads, length }, [query, key]);
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
        let layout = self.layout();
        let rows = equal_parts("the width of a value", value.rows, self.key_value_heads)?;
        let mixed = Shape::new(rows * self.heads, value.columns);
        layout.groups.key_value_rows(mixed.rows)?;
        weights.expect("the attention weights", layout.scores(mixed)?)?;
        Ok(mixed)
    }

    fn formula<T: Real>(&self, [value, _]: [View<'_, T>; 2]) -> Formula {
        let (d, at) = (value.nrows() / self.key_value_heads, self.layout());
        let (value, weights, dy) = (operand(0), operand(1), upstream());
        let (q, k) = (at.first_of_scores() + at.query(), at.first_of_scores() + I);
        let mixed = value.at(at.groups.row_read(d), at.first() + K);
        let (head, row) = at.groups.reader(d);
        let back = dy.at(row, at.first() + QUERY);
        let sent = sum(QUERY, self.length, back * weights.at(at.token(), at.score(head, QUERY)));
        let read = value.at(at.groups.index_read_by(at.head()) * d + R, k);
        Formula::new(
            "mixed",
            ["value", "weights"],
            "Mixes the values of the tokens that a query attends to, by its weights.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.2.1",
        )
        .value(sum(K, self.length, mixed * weights.at(K, at.score(I / d, at.token()))))
        .gradient(at.groups.sum(sent))
        .gradient(sum(R, d, read * dy.at(at.head() * d + R, q)))
    }

    fn forward<T: Real>(
        &self,
        [value, weights]: [View<'_, T>; 2],
        mut mixed: ViewMut<'_, T>,
        _: Work<'_, T>,
    ) {
        let n = self.length;
        for p in self.layout().places(value.nrows() / self.key_value_heads, value.ncols()) {
            let (v, w) = (value.view((p.read, p.token), (p.rows, n)), weights.columns(p.score, n));
            product_into(mixed.view_mut((p.row, p.token), (p.rows, n)), T::one(), v, w);
        }
    }

    fn vjp<T: Real>(
        &self,
        [value, weights]: [View<'_, T>; 2],
        _: View<'_, T>,
        d_mixed: View<'_, T>,
        [d_value, d_weights]: [Gradient<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        let (mut d_value, mut d_weights, n) = (d_value.zeroed(), d_weights.zeroed(), self.length);
        for p in self.layout().places(value.nrows() / self.key_value_heads, value.ncols()) {
            let (read, shape) = ((p.read, p.token), (p.rows, n));
            let dm = d_mixed.view((p.row, p.token), shape);
            let (v, w) = (value.view(read, shape), weights.columns(p.score, n));
            if let Some(d_value) = &mut d_value {
                product_add(d_value.view_mut(read, shape), T::one(), dm, transposed(w));
            }
            if let Some(d_weights) = &mut d_weights {
                product_add(d_weights.columns_mut(p.score, n), T::one(), transposed(v), dm);
            }
        }
    }

    fn flops(&self, [value, _]: [Shape; 2]) -> u64 {
        let rows = value.rows / self.key_value_heads * self.heads;
        2 * (rows * value.columns * self.length) as u64
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [true; 2], output: false }
    }
}

impl Cases for HeadMix {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Heads { heads, key_value_heads, rows, length, sequences } = size {
            let value = numbers(key_value_heads * rows, sequences * length);
            let weights = Operand::Distributions(Shape::new(length, sequences * heads * length));
            visitor.visit(HeadMix { heads, key_value_heads, length }, [value, weights]);
        }
    }
}
