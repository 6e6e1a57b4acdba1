//! Attention of one new token to the tokens before it, whose keys and values were kept; of several
//! sequences at once, each with a cache of its own.
//!
//! Formula, for each query head with d rows: scores s_k = ⟨key_k, query⟩/√d, or another [`Scores`], over the p cached
//! keys and the token's own; w = softmax(s); y = Σ w_k·value_k. Every group of query heads reads one key-value head
//! ([`linalg::groups`]). It equals the last column of causal attention over all p + 1 tokens.
//! Gradients: with dw_k = ⟨value_k, dy⟩ and ds = w ⊙ (dw − ⟨w, dw⟩): d value_k = w_k·dy,
//! d query = Σ ds_k·key_k/√d, d key_k = ds_k·query/√d; those of keys and values are summed over the query heads of a
//! group.
//! Sources: Vaswani et al. 2017; Ainslie et al., *GQA*, 2023, for groups.

use crate::model::scores::Scores;
use calculus::soft_cap::soft_cap;
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::formula::{
    Condition, Expression, I, Index, J, K, Letter, R, at_most, cases, exp, largest, operand, sum,
    sum_where, upstream,
};
use linalg::{
    Formula, Gradient, Memory, Primitive, Real, Role, Shape, ShapeError, View, ViewMut, Work,
    column, parallel, shape::equal_parts, vector,
};
use linalg::{gather::countable, groups::Groups};
use probability::softmax::softmax_in_place;
use std::ops::Range;

/// Operands: query (heads·d × sequences), key and value (key_value_heads·d × sequences) of the new token of every
/// sequence, cached keys and cached values (key_value_heads·d × context·sequences), and how many of each are filled
/// (1 × sequences).
///
/// ```
/// use linalg::{Primitive, Shape};
/// use transformer::CachedAttention;
/// let attention = CachedAttention { heads: 4, key_value_heads: 2, ..Default::default() };
/// let (query, own) = (Shape::new(48, 1), Shape::new(24, 1)); // heads of 12 rows
/// let (cache, filled) = (Shape::new(24, 11), Shape::new(1, 1));
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

/// Key (or value) k of a head: from the cache, or of the token itself where k is past its end.
fn at<'a, T: Real>(
    cache: &'a View<'_, T>,
    own: &'a [T],
    k: usize,
    filled: usize,
    row: usize,
    rows: usize,
) -> &'a [T] {
    if k < filled { &column(cache, k)[row..row + rows] } else { &own[row..row + rows] }
}

impl CachedAttention {
    fn groups(&self) -> Groups {
        Groups { heads: self.heads, key_value_heads: self.key_value_heads }
    }

    fn filled<T: Real>(count: T, context: usize) -> usize {
        (count.to_f64().max(0.0) as usize).min(context)
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
        keys.expect_rows("the cache of keys", own.rows)?;
        equal_parts("the cache of keys", keys.columns, own.columns)?;
        values.expect("the cache of values", keys)?;
        countable("the cache's places", keys.columns)?;
        filled.expect("the numbers of cached tokens", Shape::new(1, own.columns))?;
        self.scores.check()?;
        Ok(query)
    }

    fn formula<T: Real>(&self, [query, _, _, keys, ..]: [View<'_, T>; 6]) -> Formula {
        let (d, groups, context) = (query.nrows() / self.heads, self.groups(), keys.ncols());
        let [query, key, value, keys, values, filled] = [0, 1, 2, 3, 4, 5].map(operand);
        let dy = upstream();
        let p = || filled.index(0, 0);
        // Key and value number k of row i: from the cache, or of the token itself.
        let cached = |k: Letter| Condition { left: k + 1, ..at_most(0, p()) };
        let key = |row: Index, k: Letter| cases(cached(k), keys.at(row.clone(), k), key.at(row, 0));
        let value =
            |row: Index, k: Letter| cases(cached(k), values.at(row.clone(), k), value.at(row, 0));
        let seen = |k: Letter| at_most(k, p());
        let (rule, scale) = (self.scores, self.scores.factor::<f64>(d));
        let mut f = Formula::new(
            "y",
            ["query", "key", "value", "keys", "values", "filled"],
            "The new token asks itself and the tokens before it, whose keys and values were kept.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.2.1",
        );
        // Quantities of query head i: its rows, and those that it reads.
        let (own, read) = (|| I * d + R, || groups.index_read_by(I.into()) * d + R);
        let dots = sum(R, d, key(read(), K) * query.at(own(), 0));
        let score = f.define("s", [I, K], rule.capped(scale * dots));
        let s = match rule.window {
            Some(_) => {
                let windowed = rule.windowed(K.into(), p(), score.at2(I, K));
                f.define("s̃", [I, K], windowed)
            }
            None => score,
        };
        let n = context + 1;
        let most = f.define("m", [I], largest(K, n, Some(seen(K)), s.at2(I, K)));
        let total = f.define("Z", [I], sum_where(K, n, seen(K), exp(s.at2(I, K) - most.at(I))));
        let w = f.define("w", [I, K], exp(s.at2(I, K) - most.at(I)) / total.at(I));
        let dw = f.define("dw", [I, K], sum(R, d, value(read(), K) * dy.at(own(), 0)));
        let mean = f.define("d̄", [I], sum_where(K, n, seen(K), w.at2(I, K) * dw.at2(I, K)));
        let ds = scale * w.at2(I, K) * (dw.at2(I, K) - mean.at(I));
        let ds = f.define("ds", [I, K], rule.slope(score.at2(I, K), ds));
        let mixed = w.at2(I / d, K) * value(groups.row_read(d), K);
        let d_query = ds.at2(I / d, K) * key(groups.row_read(d), K);
        // What key and value number k collect from the query heads that read them.
        let (head, row) = groups.reader(d);
        let d_key = |k: Index| groups.sum(ds.at2(head.clone(), k) * query.at(row.clone(), 0));
        let d_value = |k: Index| groups.sum(w.at2(head.clone(), k) * dy.at(row.clone(), 0));
        let in_cache =
            |then: Expression| cases(Condition { left: J + 1, ..at_most(0, p()) }, then, 0.0);
        f.value(sum_where(K, n, seen(K), mixed))
            .gradient(sum_where(K, n, seen(K), d_query))
            .gradient(d_key(p()))
            .gradient(d_value(p()))
            .gradient(in_cache(d_key(J.into())))
            .gradient(in_cache(d_value(J.into())))
            .no_gradient()
    }

    fn forward<T: Real>(
        &self,
        [query, key, value, keys, values, filled]: [View<'_, T>; 6],
        y: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let (rows, context) = (query.nrows() / self.heads, keys.ncols() / query.ncols());
        let scale = self.scores.factor::<T>(rows);
        let kept = ViewMut::from_slice(work.kept, (context + 1) * self.heads, query.ncols());
        parallel::each_column(
            [y, kept],
            #[inline(always)]
            |j, [y, kept]| {
                let filled = Self::filled(filled[j], context);
                let keys = keys.columns(j * context, context);
                let values = values.columns(j * context, context);
                let [query, key, value] = [&query, &key, &value].map(|x| column(x, j));
                let seen = self.scores.seen(filled);
                y.fill(T::zero());
                for h in 0..self.heads {
                    let (row, read) = (h * rows, self.groups().read_by(h) * rows);
                    let w = &mut kept[h * (context + 1)..][seen.clone()];
                    for (w, k) in w.iter_mut().zip(seen.clone()) {
                        let key = at(&keys, key, k, filled, read, rows);
                        *w = scale * vector::dot(key, &query[row..row + rows]);
                    }
                    if let Some(cap) = self.scores.cap {
                        w.iter_mut().for_each(|w| *w = soft_cap(*w, cap));
                    }
                    softmax_in_place(w);
                    for (&w, k) in w.iter().zip(seen.clone()) {
                        let value = at(&values, value, k, filled, read, rows);
                        vector::axpy(&mut y[row..row + rows], w, value);
                    }
                }
            },
        );
    }

    fn vjp<T: Real>(
        &self,
        [query, key, value, keys, values, filled]: [View<'_, T>; 6],
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
        let (rows, context) = (query.nrows() / self.heads, keys.ncols() / query.ncols());
        let scale = self.scores.factor::<T>(rows);
        for j in 0..query.ncols() {
            let filled = Self::filled(filled[j], context);
            let seen = self.scores.seen(filled);
            let (keys, values) =
                (keys.columns(j * context, context), values.columns(j * context, context));
            let kept = &work.kept[j * (context + 1) * self.heads..];
            let [key, value] = [&key, &value].map(|x| column(x, j));
            for h in 0..self.heads {
                let first = self.groups().read_by(h) * rows;
                let (own, read) = (h * rows..(h + 1) * rows, first..first + rows);
                let (dy, query) = (&column(&dy, j)[own.clone()], &column(&query, j)[own.clone()]);
                let w = &kept[h * (context + 1)..][seen.clone()];
                let ds = &mut work.scratch[..seen.len()];
                for (ds, k) in ds.iter_mut().zip(seen.clone()) {
                    *ds = vector::dot(at(&values, value, k, filled, first, rows), dy);
                }
                let mean = vector::dot(w, ds);
                ds.iter_mut().zip(w).for_each(|(ds, &w)| *ds = scale * w * (*ds - mean));
                for ((k, &w), ds) in seen.clone().zip(w).zip(ds) {
                    let own_key = at(&keys, key, k, filled, first, rows);
                    if let Some(cap) = self.scores.cap {
                        let share =
                            soft_cap(scale * vector::dot(own_key, query), cap) / T::from_f64(cap);
                        *ds *= T::one() - share * share;
                    }
                    add(&mut d_query, j, &own, *ds, own_key);
                    let (d_key, d_value, column) = if k < filled {
                        (&mut d_keys, &mut d_values, j * context + k)
                    } else {
                        (&mut d_key, &mut d_value, j)
                    };
                    add(d_key, column, &read, *ds, query);
                    add(d_value, column, &read, w, dy);
                }
            }
        }
    }

    fn flops(&self, [query, _, _, keys, ..]: [Shape; 6]) -> u64 {
        let pairs = (self.heads * (keys.columns + query.columns)) as u64;
        pairs * self.scores.pair_flops(query.rows / self.heads)
    }

    fn memory(&self, [query, _, _, keys, ..]: [Shape; 6]) -> Memory {
        let longest = keys.columns / query.columns.max(1) + 1;
        Memory { kept: longest * self.heads * query.columns, scratch: longest }
    }
}

impl Cases for CachedAttention {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Heads { heads, key_value_heads, rows, length: context, .. } = size {
            let read = key_value_heads * rows;
            // A cache that is empty, half full, full.
            for filled in [0, context / 2, context] {
                let [query, key, value] = [heads * rows, read, read].map(|rows| numbers(rows, 1));
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
        let work = Work { kept: &mut kept, scratch: &mut scratch };
        attention.forward(views(), y.as_view_mut(), work);
        let mut gradients = inputs.map(|m| m.map(|_| 0.0));
        let work = Work { kept: &mut kept, scratch: &mut scratch };
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
