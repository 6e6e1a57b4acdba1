//! Attention of one new token to the tokens before it, whose keys and values were kept; of several
//! sequences at once, each with a cache of its own.
//!
//! Formula, for each head with d rows: scores s_k = ⟨key_k, query⟩/√d over the p cached keys and the
//! token's own; w = softmax(s); y = Σ w_k·value_k. It equals the last column of causal attention over
//! all p + 1 tokens.
//! Gradients: with dw_k = ⟨value_k, dy⟩ and ds = w ⊙ (dw − ⟨w, dw⟩): d value_k = w_k·dy,
//! d query = Σ ds_k·key_k/√d, d key_k = ds_k·query/√d.

use linalg::formula::{
    Condition, Expression, I, Index, J, K, Letter, R, at_most, cases, exp, largest, operand, sum,
    sum_where, upstream,
};
use linalg::gather::countable;
use linalg::{
    Formula, Memory, Primitive, Real, Role, Shape, ShapeError, View, ViewMut, Work, column,
    parallel, shape::equal_parts, simd, vector,
};
use probability::softmax::softmax_in_place;

/// Operands: packed query, key and value of the new token of every sequence (3·width × sequences), cached
/// keys and cached values (width × context·sequences), and how many of each are filled
/// (1 × sequences).
///
/// ```
/// use linalg::{Primitive, Shape};
/// use transformer::CachedAttention;
/// let [qkv, cache, filled] = [Shape::new(144, 1), Shape::new(48, 11), Shape::new(1, 1)];
/// let y = CachedAttention { heads: 3 }.shape([qkv, cache, cache, filled]);
/// assert_eq!(y, Ok(Shape::new(48, 1)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CachedAttention {
    /// Number of heads.
    pub heads: usize,
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
    fn filled<T: Real>(count: T, context: usize) -> usize {
        (count.to_f64().max(0.0) as usize).min(context)
    }
}

impl Primitive<4> for CachedAttention {
    fn name(&self) -> &'static str {
        "attention to a cache"
    }

    fn role(&self) -> Role {
        Role::Attention
    }

    fn shape(&self, [qkv, keys, values, filled]: [Shape; 4]) -> Result<Shape, ShapeError> {
        let width = equal_parts("the packed query, key and value", qkv.rows, 3)?;
        equal_parts("the width", width, self.heads)?;
        keys.expect_rows("the cache of keys", width)?;
        equal_parts("the cache of keys", keys.columns, qkv.columns)?;
        values.expect("the cache of values", keys)?;
        countable("the cache's places", keys.columns)?;
        filled.expect("the numbers of cached tokens", Shape::new(1, qkv.columns))?;
        Ok(Shape::new(width, qkv.columns))
    }

    fn flops(&self, [_, keys, ..]: [Shape; 4]) -> u64 {
        4 * keys.len() as u64
    }

    fn memory(&self, [qkv, keys, ..]: [Shape; 4]) -> Memory {
        let longest = keys.columns / qkv.columns.max(1) + 1;
        Memory { kept: longest * self.heads * qkv.columns, scratch: longest }
    }

    fn formula<T: Real>(&self, [_, keys, _, _]: [View<'_, T>; 4]) -> Formula {
        let (width, context) = (keys.nrows(), keys.ncols());
        let d = width / self.heads;
        let (qkv, keys, values, filled) = (operand(0), operand(1), operand(2), operand(3));
        let dy = upstream();
        let p = || filled.index(0, 0);
        // Key and value number k of row i: from the cache, or of the token itself.
        let cached = |k: Letter| Condition { left: k + 1, ..at_most(0, p()) };
        let key = |row: Index, k: Letter| {
            cases(cached(k), keys.at(row.clone(), k), qkv.at(row + width, 0))
        };
        let value = |row: Index, k: Letter| {
            cases(cached(k), values.at(row.clone(), k), qkv.at(row + 2 * width, 0))
        };
        let seen = |k: Letter| at_most(k, p());
        let scale = 1.0 / (d as f64).sqrt();
        let mut f = Formula::new(
            "y",
            ["qkv", "keys", "values", "filled"],
            "The new token asks itself and the tokens before it, whose keys and values were kept.",
            "Vaswani et al., Attention Is All You Need, 2017, section 3.2.1",
        );
        let row = |h: Letter| h * d + R;
        let dots = sum(R, d, key(row(I), K) * qkv.at(row(I), 0));
        let s = f.define("s", [I, K], scale * dots);
        let n = context + 1;
        let most = f.define("m", [I], largest(K, n, Some(seen(K)), s.at2(I, K)));
        let total = f.define("Z", [I], sum_where(K, n, seen(K), exp(s.at2(I, K) - most.at(I))));
        let w = f.define("w", [I, K], exp(s.at2(I, K) - most.at(I)) / total.at(I));
        let dw = f.define("dw", [I, K], sum(R, d, value(row(I), K) * dy.at(row(I), 0)));
        let mean = f.define("d̄", [I], sum_where(K, n, seen(K), w.at2(I, K) * dw.at2(I, K)));
        let ds = f.define("ds", [I, K], scale * w.at2(I, K) * (dw.at2(I, K) - mean.at(I)));
        // Rows of qkv: queries, then the token's own key and value.
        let head = || I / d;
        let own_key = (I % width) / d;
        let d_query = sum_where(K, n, seen(K), ds.at2(head(), K) * key(Index::from(I), K));
        let d_key = ds.at2(own_key.clone(), p()) * qkv.at(I % width, 0);
        let d_value = w.at2(own_key, p()) * dy.at(I % width, 0);
        let in_cache =
            |then: Expression| cases(Condition { left: J + 1, ..at_most(0, p()) }, then, 0.0);
        let packed = cases(at_most(I, 2 * width - 1), d_key, d_value);
        f.value(sum_where(K, n, seen(K), w.at2(head(), K) * value(Index::from(I), K)))
            .gradient(cases(at_most(I, width - 1), d_query, packed))
            .gradient(in_cache(ds.at2(head(), J) * qkv.at(I, 0)))
            .gradient(in_cache(w.at2(head(), J) * dy.at(I, 0)))
            .no_gradient()
    }

    fn forward<T: Real>(
        &self,
        [qkv, keys, values, filled]: [View<'_, T>; 4],
        y: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let (width, context) = (keys.nrows(), keys.ncols() / qkv.ncols());
        let rows = width / self.heads;
        let scale = T::one() / T::from_f64(rows as f64).sqrt();
        let kept = ViewMut::from_slice(work.kept, (context + 1) * self.heads, qkv.ncols());
        parallel::columns([y, kept], |first, [mut y, mut kept]| {
            for (j, (mut y, mut kept)) in
                y.column_iter_mut().zip(kept.column_iter_mut()).enumerate()
            {
                let j = first + j;
                let filled = Self::filled(filled[j], context);
                let keys = keys.columns(j * context, context);
                let values = values.columns(j * context, context);
                let (query, rest) = column(&qkv, j).split_at(width);
                let (key, value) = rest.split_at(width);
                let (y, kept) = (y.as_mut_slice(), kept.as_mut_slice());
                y.fill(T::zero());
                simd(
                    #[inline(always)]
                    || {
                        for h in 0..self.heads {
                            let row = h * rows;
                            let w = &mut kept[h * (context + 1)..][..=filled];
                            for (k, w) in w.iter_mut().enumerate() {
                                let key = at(&keys, key, k, filled, row, rows);
                                *w = scale * vector::dot(key, &query[row..row + rows]);
                            }
                            softmax_in_place(w);
                            for (k, &w) in w.iter().enumerate() {
                                let value = at(&values, value, k, filled, row, rows);
                                vector::axpy(&mut y[row..row + rows], w, value);
                            }
                        }
                    },
                );
            }
        });
    }

    fn vjp<T: Real>(
        &self,
        [qkv, keys, values, filled]: [View<'_, T>; 4],
        _: View<'_, T>,
        dy: View<'_, T>,
        [mut d_qkv, mut d_keys, mut d_values, _]: [ViewMut<'_, T>; 4],
        work: Work<'_, T>,
    ) {
        let (width, context) = (keys.nrows(), keys.ncols() / qkv.ncols());
        let rows = width / self.heads;
        let scale = T::one() / T::from_f64(rows as f64).sqrt();
        for j in 0..qkv.ncols() {
            let filled = Self::filled(filled[j], context);
            let (keys, values) =
                (keys.columns(j * context, context), values.columns(j * context, context));
            let kept = &work.kept[j * (context + 1) * self.heads..];
            let (query, rest) = column(&qkv, j).split_at(width);
            let (key, value) = rest.split_at(width);
            let mut d_qkv = d_qkv.column_mut(j);
            let (d_query, rest) = d_qkv.as_mut_slice().split_at_mut(width);
            let (d_key, d_value) = rest.split_at_mut(width);
            for h in 0..self.heads {
                let head = h * rows..(h + 1) * rows;
                let (dy, query) = (&column(&dy, j)[head.clone()], &query[head.clone()]);
                let w = &kept[h * (context + 1)..][..=filled];
                let ds = &mut work.scratch[..=filled];
                for (k, ds) in ds.iter_mut().enumerate() {
                    *ds = vector::dot(at(&values, value, k, filled, h * rows, rows), dy);
                }
                let mean = vector::dot(w, ds);
                ds.iter_mut().zip(w).for_each(|(ds, &w)| *ds = scale * w * (*ds - mean));
                for k in 0..=filled {
                    let key = at(&keys, key, k, filled, h * rows, rows);
                    vector::axpy(&mut d_query[head.clone()], ds[k], key);
                    if k < filled {
                        let mut d_key = d_keys.column_mut(j * context + k);
                        vector::axpy(&mut d_key.as_mut_slice()[head.clone()], ds[k], query);
                        let mut d_value = d_values.column_mut(j * context + k);
                        vector::axpy(&mut d_value.as_mut_slice()[head.clone()], w[k], dy);
                    } else {
                        vector::axpy(&mut d_key[head.clone()], ds[k], query);
                        vector::axpy(&mut d_value[head.clone()], w[k], dy);
                    }
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

    /// The value and the four gradients.
    fn both(inputs: [&Matrix<f64>; 4], dy: &Matrix<f64>) -> Vec<Matrix<f64>> {
        let attention = CachedAttention { heads: 2 };
        let shape = |m: &Matrix<f64>| Shape::new(m.nrows(), m.ncols());
        let memory = attention.memory(inputs.map(shape));
        let (mut kept, mut scratch) = (vec![0.0; memory.kept], vec![0.0; memory.scratch]);
        let views = || inputs.map(|m| m.as_view());
        let mut y = dy.map(|_| f64::NAN);
        let work = Work { kept: &mut kept, scratch: &mut scratch };
        attention.forward(views(), y.as_view_mut(), work);
        let mut gradients = inputs.map(|m| m.map(|_| 0.0));
        let work = Work { kept: &mut kept, scratch: &mut scratch };
        let into = gradients.each_mut().map(|g| g.as_view_mut());
        attention.vjp(views(), y.as_view(), dy.as_view(), into, work);
        std::iter::once(y).chain(gradients).collect()
    }

    #[test]
    fn several_sequences_are_each_by_itself() {
        let (width, context, sequences) = (6, 5, 3);
        let (qkv, dy) = (drawn(1, 3 * width, sequences), drawn(2, width, sequences));
        let [keys, values] = [3, 4].map(|seed| drawn(seed, width, context * sequences));
        let filled = linalg::matrix(1, sequences, &[0.0, 5.0, 2.0]);
        let together = both([&qkv, &keys, &values, &filled], &dy);
        for j in 0..sequences {
            let part = |m: &Matrix<f64>| {
                let columns = m.ncols() / sequences;
                m.columns(j * columns, columns).into_owned()
            };
            let own = [&qkv, &keys, &values, &filled].map(part);
            let alone = both(own.each_ref(), &part(&dy));
            assert_eq!(together.iter().map(part).collect::<Vec<_>>(), alone, "sequence {j}");
        }
    }
}
