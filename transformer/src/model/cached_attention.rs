//! Attention of new tokens to the tokens before them, whose keys and values were kept; of several sequences at once,
//! each with a cache of its own.
//!
//! Formula, for new token t of a sequence with p cached tokens, and each query head with d rows: scores
//! s_k = ⟨key_k, query_t⟩/√d, or another [`Scores`], over the p cached keys and those of new tokens 0 to t;
//! w = softmax(s); y_t = Σ w_k·value_k. Every group of query heads reads one key-value head ([`linalg::groups`]). It
//! equals columns p + t of causal attention over all tokens.
//! Gradients: with dw_k = ⟨value_k, dy_t⟩ and ds = w ⊙ (dw − ⟨w, dw⟩): d value_k = w_k·dy_t,
//! d query_t = Σ ds_k·key_k/√d, d key_k = ds_k·query_t/√d; those of keys and values are summed over the new tokens and
//! over the query heads of a group.
//!
//! One new token is read by dot products, key after key; several by matrix products, like
//! [`CausalAttention`](crate::CausalAttention).
//! Sources: Vaswani et al. 2017; Ainslie et al., *GQA*, 2023, for groups.

use crate::model::causal_attention::kernel::{Head, block_scratch};
use crate::model::scores::Scores;
use calculus::soft_cap::soft_cap;
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::formula::{
    Expression, HEAD, I, Index, J, K, Letter, QUERY, R, TOKEN, at_most, called, cases, exp,
    largest, operand, sum, upstream,
};
use linalg::{
    Formula, Gradient, Memory, Primitive, Real, Role, Shape, ShapeError, View, ViewMut, Work,
    column, parallel, shape::equal_parts, vector,
};
use linalg::{gather::countable, groups::Groups};
use probability::softmax::softmax_in_place;
use std::ops::Range;

/// Operands: query (heads·d × n·sequences), key and value (key_value_heads·d × n·sequences) of the n new tokens of every
/// sequence, cached keys and cached values (key_value_heads·d × context·sequences), and how many of each are filled
/// (1 × sequences), which says how many sequences there are.
///
/// ```
/// use linalg::{Primitive, Shape};
/// use transformer::CachedAttention;
/// let attention = CachedAttention { heads: 4, key_value_heads: 2, ..Default::default() };
/// let (query, own) = (Shape::new(48, 1), Shape::new(24, 1)); // heads of 12 rows
/// let (cache, filled) = (Shape::new(24, 11), Shape::new(1, 1));
/// assert_eq!(attention.shape([query, own, own, cache, cache, filled]), Ok(query));
/// let [query, own] = [48, 24].map(|rows| Shape::new(rows, 7)); // seven new tokens
/// assert_eq!(attention.shape([query, own, own, cache, cache, filled]), Ok(query));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CachedAttention {
    /// Number of query heads.
    pub heads: usize,
    /// Number of key-value heads, which divides the number of query heads.
    pub key_value_heads: usize,
    /// How a key is scored, and which keys the token sees.
    pub scores: Scores,
}

/// Key (or value) k of a head: from the cache, or of a new token where k is past its end.
fn at<'a, T: Real>(
    [cache, own]: [&'a View<'_, T>; 2],
    k: usize,
    filled: usize,
    rows: &Range<usize>,
) -> &'a [T] {
    let column = if k < filled { column(cache, k) } else { column(own, k - filled) };
    &column[rows.clone()]
}

/// The multiplications below which one token's attention is not worth a second thread.
const FEW: usize = 1 << 14;

/// The operands of one sequence.
#[derive(Clone, Copy)]
struct Sequence<'a, T: Real> {
    query: View<'a, T>,
    key: View<'a, T>,
    value: View<'a, T>,
    keys: View<'a, T>,
    values: View<'a, T>,
    filled: usize,
}

impl CachedAttention {
    fn groups(&self) -> Groups {
        Groups { heads: self.heads, key_value_heads: self.key_value_heads }
    }

    /// The scalars that the forward pass of a sequence needs, whose queries see up to `longest` keys.
    fn forward_scratch(&self, tokens: usize, longest: usize) -> usize {
        match tokens {
            1 => self.key_value_heads * longest,
            _ => self.heads * (tokens + block_scratch(self.scores, longest)),
        }
    }

    /// The operands of sequence b.
    fn sequence<'a, T: Real>(
        [query, key, value, keys, values, filled]: &'a [View<'_, T>; 6],
        b: usize,
    ) -> Sequence<'a, T> {
        let of = |x: &'a View<'_, T>| {
            let columns = x.ncols() / filled.ncols();
            x.columns(b * columns, columns)
        };
        let (keys, values) = (of(keys), of(values));
        let filled = (filled[b].to_f64().max(0.0) as usize).min(keys.ncols());
        Sequence { query: of(query), key: of(key), value: of(value), keys, values, filled }
    }

    /// Attention of one new token: of the query heads that read a key-value head.
    fn one_token<T: Real>(&self, own: Sequence<'_, T>, read: usize, y: &mut [T], w: &mut [T]) {
        T::simd(
            #[inline(always)]
            || {
                let rows = own.query.nrows() / self.heads;
                let seen = self.scores.seen(own.filled);
                let w = &mut w[..seen.len()];
                for (h, y) in self.groups().readers(read).zip(y.chunks_mut(rows)) {
                    self.write_scores(own, (0, h), seen.clone(), w);
                    softmax_in_place(w);
                    let read = read * rows..(read + 1) * rows;
                    y.fill(T::zero());
                    for (&w, k) in w.iter().zip(seen.clone()) {
                        let value = at([&own.values, &own.value], k, own.filled, &read);
                        vector::axpy(y, w, value);
                    }
                }
            },
        );
    }

    /// Writes the scores of new token t and query head h for these keys.
    #[inline(always)]
    fn write_scores<T: Real>(
        &self,
        own: Sequence<'_, T>,
        (t, h): (usize, usize),
        seen: Range<usize>,
        s: &mut [T],
    ) {
        let rows = own.query.nrows() / self.heads;
        let scale = self.scores.factor::<T>(rows);
        let query = &column(&own.query, t)[h * rows..(h + 1) * rows];
        let read = self.groups().read_by(h) * rows;
        let read = read..read + rows;
        for (s, k) in s.iter_mut().zip(seen) {
            *s = scale * vector::dot(at([&own.keys, &own.key], k, own.filled, &read), query);
        }
        if let Some(cap) = self.scores.cap {
            s.iter_mut().for_each(|s| *s = soft_cap(*s, cap));
        }
    }
}

impl Primitive<6> for CachedAttention {
    fn name(&self) -> &'static str {
        "attention to a cache"
    }

    fn role(&self) -> Role {
        Role::Attention
    }

    fn shape(
        &self,
        [query, key, value, keys, values, filled]: [Shape; 6],
    ) -> Result<Shape, ShapeError> {
        let own = Shape::new(self.groups().key_value_rows(query.rows)?, query.columns);
        key.expect("the key", own)?;
        value.expect("the value", own)?;
        filled.expect_rows("the numbers of cached tokens", 1)?;
        equal_parts("the new tokens", query.columns, filled.columns)?;
        keys.expect_rows("the cache of keys", own.rows)?;
        equal_parts("the cache of keys", keys.columns, filled.columns)?;
        values.expect("the cache of values", keys)?;
        countable("the cache's places", keys.columns)?;
        self.scores.check()?;
        Ok(query)
    }

    fn formula<T: Real>(&self, [query, _, _, keys, ..]: [View<'_, T>; 6]) -> Formula {
        let (d, groups, context) = (query.nrows() / self.heads, self.groups(), keys.ncols());
        let (heads, tokens) = (self.heads, query.ncols());
        let [query, key, value, keys, values, filled] = [0, 1, 2, 3, 4, 5].map(operand);
        let dy = upstream();
        let p = || filled.index(0, 0);
        // Numbers from `context` on are those of the new tokens.
        let cached = |k: Letter| at_most(k + 1, context);
        let key = |row: Index, k: Letter| {
            cases(cached(k), keys.at(row.clone(), k), key.at(row, k - context))
        };
        let value = |row: Index, k: Letter| {
            cases(cached(k), values.at(row.clone(), k), value.at(row, k - context))
        };
        let (rule, scale) = (self.scores, self.scores.factor::<f64>(d));
        let mut f = Formula::new(
            "y",
            ["query", "key", "value", "keys", "values", "filled"],
            "New tokens ask themselves and the tokens before them, whose keys and values were kept.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.2.1",
        );
        // Quantities of row i: of a new token and a query head, whose rows they are, and the rows that it reads.
        let (token, head) = (|| called(TOKEN, I / heads), || called(HEAD, I % heads));
        let (own, read) = (|| head() * d + R, || groups.index_read_by(head()) * d + R);
        let dots = sum(R, d, key(read(), K) * query.at(own(), token()));
        let score = f.define("s", [I, K], rule.capped(scale * dots));
        let hidden = f64::NEG_INFINITY;
        let windowed = |place: Index| rule.windowed(place, p() + token(), score.at2(I, K));
        let early = cases(at_most(K + 1, p()), windowed(K.into()), hidden);
        let late = cases(at_most(K - context, token()), windowed(p() + (K - context)), hidden);
        let s = f.define("s̃", [I, K], cases(cached(K), early, late));
        let n = context + tokens;
        let most = f.define("m", [I], largest(K, n, None, s.at2(I, K)));
        let total = f.define("Z", [I], sum(K, n, exp(s.at2(I, K) - most.at(I))));
        let w = f.define("w", [I, K], exp(s.at2(I, K) - most.at(I)) / total.at(I));
        let dw = f.define("dw", [I, K], sum(R, d, value(read(), K) * dy.at(own(), token())));
        let mean = f.define("d̄", [I], sum(K, n, w.at2(I, K) * dw.at2(I, K)));
        let ds = scale * w.at2(I, K) * (dw.at2(I, K) - mean.at(I));
        let ds = f.define("ds", [I, K], rule.slope(score.at2(I, K), ds));
        // Element \[i, j\]: row i belongs to a head, column j to a new token or to the cache.
        let of = |token: Index, head: Index| token * heads + head;
        let asks = || of(J.into(), I / d);
        let mixed = w.at2(asks(), K) * value(groups.row_read(d), K);
        let d_query = ds.at2(asks(), K) * key(groups.row_read(d), K);
        // What key and value number k collect from the new tokens and from the query heads that read them.
        let (head, row) = groups.reader(d);
        let from = || of(QUERY.into(), head.clone());
        let collected = |of: Expression| groups.sum(sum(QUERY, tokens, of));
        let d_key = |k: Index| collected(ds.at2(from(), k) * query.at(row.clone(), QUERY));
        let d_value = |k: Index| collected(w.at2(from(), k) * dy.at(row.clone(), QUERY));
        f.value(sum(K, n, mixed))
            .gradient(sum(K, n, d_query))
            .gradient(d_key(J + context))
            .gradient(d_value(J + context))
            .gradient(d_key(J.into()))
            .gradient(d_value(J.into()))
            .no_gradient()
    }

    fn forward<T: Real>(&self, inputs: [View<'_, T>; 6], y: ViewMut<'_, T>, work: Work<'_, T>) {
        let (rows, sequences) = (inputs[0].nrows() / self.heads, inputs[5].ncols());
        let [tokens, context] = [&inputs[0], &inputs[3]].map(|x| x.ncols() / sequences);
        let scratch = self.forward_scratch(tokens, context + tokens);
        let scratch = ViewMut::from_slice(work.scratch, scratch, sequences);
        if tokens > 1 {
            parallel::tiles([y, scratch], self.heads, sequences, |h, b, [y, mut memory]| {
                let own = Self::sequence(&inputs, b);
                let read = self.groups().read_by(h) * rows;
                let head = Head {
                    query: own.query.rows(h * rows, rows),
                    key: own.key.rows(read, rows),
                    value: own.value.rows(read, rows),
                    earlier: Some(
                        [&own.keys, &own.values].map(|x| x.view((read, 0), (rows, own.filled))),
                    ),
                    scores: self.scores,
                    first: None,
                    dropout: None,
                };
                let mut memory = memory.column_mut(0);
                let (lse, scores) = memory.as_mut_slice().split_at_mut(own.query.ncols());
                head.forward(y, lse, scores);
            });
            return;
        }
        // A tile is a key-value head of a sequence, with the query heads that read it.
        let work = |read, b, [mut y, mut w]: [ViewMut<'_, T>; 2]| {
            let own = Self::sequence(&inputs, b);
            let (mut y, mut w) = (y.column_mut(0), w.column_mut(0));
            self.one_token(own, read, y.as_mut_slice(), w.as_mut_slice());
        };
        let pairs = self.heads * inputs[5].iter().map(|n| n.to_f64() as usize + 1).sum::<usize>();
        if pairs * rows < FEW {
            let mut tiles = [y, scratch];
            for (read, b) in
                (0..self.key_value_heads).flat_map(|g| (0..sequences).map(move |b| (g, b)))
            {
                work(
                    read,
                    b,
                    tiles.each_mut().map(|m| {
                        let rows = m.nrows() / self.key_value_heads;
                        m.view_mut((read * rows, b), (rows, 1))
                    }),
                );
            }
            return;
        }
        parallel::tiles([y, scratch], self.key_value_heads, sequences, work);
    }

    fn vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; 6],
        _: View<'_, T>,
        dy: View<'_, T>,
        [query_sum, key_sum, value_sum, keys_sum, values_sum, _]: [Gradient<'_, T>; 6],
        work: Work<'_, T>,
    ) {
        let sums = [query_sum, key_sum, value_sum, keys_sum, values_sum].map(Gradient::zeroed);
        let [mut d_query, mut d_key, mut d_value, mut d_keys, mut d_values] = sums;
        let add = |sum: &mut Option<ViewMut<'_, T>>, j, rows: &Range<usize>, factor, x: &[T]| {
            if let Some(sum) = sum {
                vector::axpy(&mut sum.column_mut(j).as_mut_slice()[rows.clone()], factor, x);
            }
        };
        let (rows, sequences) = (inputs[0].nrows() / self.heads, inputs[5].ncols());
        let scale = self.scores.factor::<T>(rows);
        let (context, tokens) = (inputs[3].ncols() / sequences, inputs[0].ncols() / sequences);
        for (j, h) in (0..dy.ncols()).flat_map(|j| (0..self.heads).map(move |h| (j, h))) {
            let (b, t) = (j / tokens, j % tokens);
            let own = Self::sequence(&inputs, b);
            let seen = self.scores.seen(own.filled + t);
            let first = self.groups().read_by(h) * rows;
            let (asks, read) = (h * rows..(h + 1) * rows, first..first + rows);
            let (dy, query) = (&column(&dy, j)[asks.clone()], &column(&own.query, t)[asks.clone()]);
            let (w, ds) = work.scratch.split_at_mut(context + tokens);
            let (w, ds) = (&mut w[..seen.len()], &mut ds[..seen.len()]);
            self.write_scores(own, (t, h), seen.clone(), w);
            // The slope of a cap, from the scores before they become weights.
            let slope = |s: T| match self.scores.cap {
                Some(cap) => T::one() - (s / T::from_f64(cap)) * (s / T::from_f64(cap)),
                None => T::one(),
            };
            ds.iter_mut().zip(w.iter()).for_each(|(ds, &s)| *ds = slope(s));
            softmax_in_place(w);
            let value = |k| at([&own.values, &own.value], k, own.filled, &read);
            let mut mean = T::zero();
            for (&w, k) in w.iter().zip(seen.clone()) {
                mean += w * vector::dot(value(k), dy);
            }
            for ((ds, &w), k) in ds.iter_mut().zip(w.iter()).zip(seen.clone()) {
                *ds *= scale * w * (vector::dot(value(k), dy) - mean);
            }
            for ((k, &w), &ds) in seen.zip(w.iter()).zip(ds.iter()) {
                add(&mut d_query, j, &asks, ds, at([&own.keys, &own.key], k, own.filled, &read));
                let (d_key, d_value, column) = match k.checked_sub(own.filled) {
                    None => (&mut d_keys, &mut d_values, b * context + k),
                    Some(new) => (&mut d_key, &mut d_value, b * tokens + new),
                };
                add(d_key, column, &read, ds, query);
                add(d_value, column, &read, w, dy);
            }
        }
    }

    fn flops(&self, [query, _, _, keys, _, filled]: [Shape; 6]) -> u64 {
        let tokens = query.columns / filled.columns.max(1);
        let pairs = (self.heads * tokens * (keys.columns + query.columns)) as u64;
        pairs * self.scores.pair_flops(query.rows / self.heads)
    }

    fn memory(&self, [query, _, _, keys, _, filled]: [Shape; 6]) -> Memory {
        let sequences = filled.columns.max(1);
        let (tokens, longest) =
            (query.columns / sequences, (keys.columns + query.columns) / sequences);
        let forward = sequences * self.forward_scratch(tokens, longest);
        // Backward has the weights and the gradients of one query at a time.
        Memory { kept: 0, scratch: forward.max(2 * longest) }
    }
}

impl Cases for CachedAttention {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Heads { heads, key_value_heads, rows, length: context, .. } = size {
            let read = key_value_heads * rows;
            // A cache that is empty, half full, full; one new token, and several.
            for (filled, tokens) in
                [(0, 1), (context / 2, 1), (context, 1), (0, 3), (context / 2, 20)]
            {
                let [query, key, value] =
                    [heads * rows, read, read].map(|rows| numbers(rows, tokens));
                let [keys, values] = [context, context].map(|context| numbers(read, context));
                let filled = Operand::Constants(vec![filled as f64]);
                let inputs = [query, key, value, keys, values, filled];
                let window = Some(context.div_ceil(2));
                for scores in
                    [Scores::default(), Scores { scale: Some(0.7), cap: Some(2.0), window }]
                {
                    let attention = CachedAttention { heads, key_value_heads, scores };
                    visitor.visit(attention, inputs.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::Matrix;
    use probability::random::Random;

    fn drawn(seed: u64, rows: usize, columns: usize) -> Matrix<f64> {
        let random = Random::new(seed, 0, 0);
        Matrix::from_fn(rows, columns, |i, j| random.normal((i + rows * j) as u64))
    }

    /// The value and the six gradients.
    fn both(
        attention: CachedAttention,
        inputs: [&Matrix<f64>; 6],
        dy: &Matrix<f64>,
    ) -> Vec<Matrix<f64>> {
        let shape = |m: &Matrix<f64>| Shape::new(m.nrows(), m.ncols());
        let memory = attention.memory(inputs.map(shape));
        let (mut kept, mut scratch) = (vec![0.0; memory.kept], vec![0.0; memory.scratch]);
        let views = || inputs.map(|m| m.as_view());
        let mut y = dy.map(|_| f64::NAN);
        let work = Work::new(&mut kept, &mut scratch);
        attention.forward(views(), y.as_view_mut(), work);
        let mut gradients = inputs.map(|m| m.map(|_| 0.0));
        let work = Work::new(&mut kept, &mut scratch);
        let into = gradients.each_mut().map(|g| Gradient::fresh(g.as_view_mut()));
        attention.vjp(views(), y.as_view(), dy.as_view(), into, work);
        std::iter::once(y).chain(gradients).collect()
    }

    #[test]
    fn several_sequences_are_each_by_itself() {
        let (context, sequences) = (5, 3);
        for key_value_heads in [2, 1] {
            let scores = Scores::default();
            let attention = CachedAttention { heads: 2, key_value_heads, scores };
            let (width, read) = (6, 3 * key_value_heads);
            let [query, dy] = [1, 2].map(|seed| drawn(seed, width, sequences));
            let [key, value] = [3, 4].map(|seed| drawn(seed, read, sequences));
            let [keys, values] = [5, 6].map(|seed| drawn(seed, read, context * sequences));
            let filled = linalg::matrix(1, sequences, &[0.0, 5.0, 2.0]);
            let inputs = [&query, &key, &value, &keys, &values, &filled];
            let together = both(attention, inputs, &dy);
            for j in 0..sequences {
                let part = |m: &Matrix<f64>| {
                    let columns = m.ncols() / sequences;
                    m.columns(j * columns, columns).into_owned()
                };
                let own = inputs.map(part);
                let alone = both(attention, own.each_ref(), &part(&dy));
                assert_eq!(together.iter().map(part).collect::<Vec<_>>(), alone, "sequence {j}");
            }
        }
    }
}
