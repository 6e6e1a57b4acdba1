//! Attention of one sequence and query head, a block of queries at a time.

use crate::model::scores::Scores;
use calculus::soft_cap::soft_cap;
use linalg::{Real, View, ViewMut, transposed, vector};
use nalgebra::{Const, Dyn};
use probability::dropout::{DropoutMask, QUERIES as BLOCK, weight_index};

/// One sequence and query head: its queries, and the keys and values that they read.
#[derive(Clone, Copy)]
pub(in crate::model) struct Head<'a, T: Real> {
    pub(in crate::model) query: View<'a, T>,
    pub(in crate::model) key: View<'a, T>,
    pub(in crate::model) value: View<'a, T>,
    /// Keys and values of tokens before the sequence, which all of its queries see; of dropout there is none then.
    pub(in crate::model) earlier: Option<[View<'a, T>; 2]>,
    pub(in crate::model) scores: Scores,
    /// The first key that each query sees (1 × queries), if the sequence holds several.
    pub(in crate::model) first: Option<View<'a, T>>,
    /// The attention weights' dropout, and the number of this head's first query.
    pub(in crate::model) dropout: Option<(DropoutMask, usize)>,
}

/// The scalars of one turned block of scores.
pub(in crate::model) fn block_scratch(scores: Scores, length: usize) -> usize {
    // The keys that the queries of a block see.
    scores.window.map_or(length, |window| length.min(window.saturating_add(BLOCK - 1))) * BLOCK
}

/// The number of blocks of scores at once: forward needs one, backward two, and a third for the slope of a cap.
pub(super) fn backward_blocks(scores: Scores) -> usize {
    if scores.cap.is_some() { 3 } else { 2 }
}

/// A block of queries and the keys that at least one of them sees. Keys are counted from the first earlier token.
#[derive(Clone, Copy)]
struct Block {
    start: usize,
    queries: usize,
    first_key: usize,
    /// The tokens before the sequence.
    earlier: usize,
}

impl Block {
    /// The number of the key of the block's first query.
    fn own_key(self) -> usize {
        self.earlier + self.start
    }

    fn keys(self) -> usize {
        self.own_key() + self.queries - self.first_key
    }

    /// The number of keys among the earlier tokens.
    fn earlier_keys(self) -> usize {
        self.earlier.saturating_sub(self.first_key)
    }

    /// Returns the columns of the sequence's own keys.
    fn of<'m, T: Real>(self, x: &'m View<'_, T>) -> View<'m, T> {
        let first = self.first_key.saturating_sub(self.earlier);
        x.columns(first, self.keys() - self.earlier_keys())
    }

    /// Returns the columns of the keys among the earlier tokens.
    fn of_earlier<'m, T: Real>(self, x: &'m View<'_, T>) -> View<'m, T> {
        x.columns(self.first_key, self.earlier_keys())
    }
}

/// A turned block: for every key, what belongs to each query. Where the block has fewer queries, the
/// rest of each column means nothing.
type Turned<'m, T> = &'m mut [[T; BLOCK]];

/// The first `keys` columns of a turned block in this memory.
fn turned<T: Real>(memory: &mut [T], keys: usize) -> Turned<'_, T> {
    &mut memory.as_chunks_mut().0[..keys]
}

/// A turned block as a matrix, queries × keys.
fn matrix<'m, T: Real>(block: &'m [[T; BLOCK]], queries: usize) -> View<'m, T> {
    let (rows, columns) = (Dyn(queries), Dyn(block.len()));
    View::from_slice_with_strides_generic(block.as_flattened(), rows, columns, Const, Dyn(BLOCK))
}

fn matrix_mut<'m, T: Real>(block: Turned<'m, T>, queries: usize) -> ViewMut<'m, T> {
    let (rows, columns) = (Dyn(queries), Dyn(block.len()));
    let elements = block.as_flattened_mut();
    ViewMut::from_slice_with_strides_generic(elements, rows, columns, Const, Dyn(BLOCK))
}

impl<'a, T: Real> Head<'a, T> {
    fn blocks(&self) -> impl Iterator<Item = Block> + use<'a, T> {
        let (length, head) = (self.key.ncols(), *self);
        (0..length).step_by(BLOCK).map(move |start| {
            let queries = BLOCK.min(length - start);
            // If the sequence is one, no later query of the block sees an earlier key.
            let others = if head.first.is_some() { queries } else { 1 };
            let first_key = (start..start + others).map(|q| head.first_key(q)).min().unwrap_or(0);
            Block { start, queries, first_key, earlier: head.earlier() }
        })
    }

    /// The number of tokens before the sequence.
    fn earlier(&self) -> usize {
        self.earlier.map_or(0, |[key, _]| key.ncols())
    }

    /// Returns the first key that a query sees.
    fn first_key(&self, query: usize) -> usize {
        let first = self.first.map_or(0, |first| first[(0, query)].to_f64().max(0.0) as usize);
        self.scores.mask().seen_from(first, self.earlier() + query).start
    }

    /// c, the factor of dot products.
    fn scale(&self) -> T {
        self.scores.factor(self.query.nrows())
    }

    /// Writes the scores of a block, −∞ if the query does not see the key.
    fn scores(&self, block: Block, s: Turned<'_, T>) {
        let n = block.queries;
        let q = self.query.columns(block.start, n);
        let (earlier, own) = s.split_at_mut(block.earlier_keys());
        T::gemm(matrix_mut(own, n), self.scale(), transposed(q), block.of(&self.key).into(), false);
        if let (Some([key, _]), false) = (&self.earlier, earlier.is_empty()) {
            let key = block.of_earlier(key);
            T::gemm(matrix_mut(earlier, n), self.scale(), transposed(q), key.into(), false);
        }
        if let Some(cap) = self.scores.cap {
            T::simd(
                #[inline(always)]
                || s.as_flattened_mut().iter_mut().for_each(|s| *s = soft_cap(*s, cap)),
            );
        }
        // e^−∞ is exactly 0: no weight, and no gradient, for what a query must not see.
        let hidden = T::from_f64(f64::NEG_INFINITY);
        for (s, key) in s.iter_mut().zip(block.first_key..) {
            s[..key.saturating_sub(block.own_key()).min(n)].fill(hidden);
            if let Some(window) = self.scores.window {
                s[(key + window).saturating_sub(block.own_key()).min(n)..n].fill(hidden);
            }
        }
        if self.first.is_some() {
            for q in 0..n {
                let earlier = self.first_key(block.start + q) - block.first_key;
                s[..earlier].iter_mut().for_each(|s| s[q] = hidden);
            }
        }
    }

    /// Writes 1 − (s/cap)², the derivative of capped scores; 0 for keys that are not seen.
    fn slopes(&self, cap: T, s: &[[T; BLOCK]], slopes: Turned<'_, T>) {
        T::simd(
            #[inline(always)]
            || {
                for (slope, &s) in slopes.as_flattened_mut().iter_mut().zip(s.as_flattened()) {
                    let share = s / cap;
                    let within = share >= -T::one();
                    *slope = if within { T::one() - share * share } else { T::zero() };
                }
            },
        );
    }

    /// Calls `each(key, factors)` with dropout's factors of a block's weights, if there is dropout.
    #[inline(always)]
    fn dropped(&self, block: Block, mut each: impl FnMut(usize, &[T; BLOCK])) {
        if let Some((mask, first)) = self.dropout {
            let start = weight_index(self.key.ncols(), first + block.start, block.first_key);
            mask.runs(start, block.keys() * BLOCK, |i, factors: &[T]| {
                for (key, factors) in factors.as_chunks().0.iter().enumerate() {
                    each(i / BLOCK + key, factors);
                }
            });
        }
    }

    /// y = V·softmax(S); writes ln Σ e^S of every query.
    pub(in crate::model) fn forward(&self, mut y: ViewMut<'_, T>, lse: &mut [T], memory: &mut [T]) {
        for block in self.blocks() {
            let n = block.queries;
            let s = turned(memory, block.keys());
            self.scores(block, s);
            let mut share = [T::one(); BLOCK];
            T::simd(
                #[inline(always)]
                || {
                    let mut largest = [T::from_f64(f64::NEG_INFINITY); BLOCK];
                    for s in s.iter() {
                        for q in 0..BLOCK {
                            largest[q] = s[q].larger(largest[q]);
                        }
                    }
                    let mut sum = [T::zero(); BLOCK];
                    for s in s.iter_mut() {
                        for q in 0..BLOCK {
                            s[q] = (s[q] - largest[q]).exp();
                            sum[q] += s[q];
                        }
                    }
                    for q in 0..BLOCK {
                        share[q] = T::one() / sum[q];
                    }
                    let queries = largest.iter().zip(&sum).take(n);
                    for (lse, (&largest, &sum)) in lse[block.start..].iter_mut().zip(queries) {
                        *lse = largest + sum.ln();
                    }
                    self.dropped(block, |key, factors| {
                        for q in 0..BLOCK {
                            s[key][q] *= factors[q];
                        }
                    });
                },
            );
            // Dividing the mixture by Σ e^S is dividing the weights, with fewer divisions.
            let mut y = y.columns_mut(block.start, n);
            let (earlier, own) = s.split_at(block.earlier_keys());
            let v = block.of(&self.value);
            T::gemm(y.as_view_mut(), T::one(), v.into(), transposed(matrix(own, n)), false);
            if let (Some([_, value]), false) = (&self.earlier, earlier.is_empty()) {
                let (v, p) = (block.of_earlier(value), transposed(matrix(earlier, n)));
                T::gemm(y.as_view_mut(), T::one(), v.into(), p, true);
            }
            for (mut y, &share) in y.column_iter_mut().zip(&share) {
                y.as_mut_slice().iter_mut().for_each(|y| *y *= share);
            }
        }
    }

    /// Adds to the gradients of queries, keys and values, except those without rows. `lse` is what forward wrote.
    pub(super) fn backward(
        &self,
        [y, dy]: [View<'_, T>; 2],
        lse: &[T],
        [mut dq, mut dk, mut dv]: [ViewMut<'_, T>; 3],
        memory: &mut [T],
    ) {
        let size = block_scratch(self.scores, self.key.ncols());
        let (first, others) = memory.split_at_mut(size);
        let (second, third) = others.split_at_mut(size);
        for block in self.blocks() {
            let (keys, n) = (block.keys(), block.queries);
            let (p, ds) = (turned(first, keys), turned(second, keys));
            self.scores(block, p);
            let slopes = self.scores.cap.map(|cap| {
                let slopes = turned(third, keys);
                self.slopes(T::from_f64(cap), p, slopes);
                slopes
            });
            let (y, dy) = (y.columns(block.start, n), dy.columns(block.start, n));
            let v = block.of(&self.value);
            T::gemm(matrix_mut(ds, n), T::one(), transposed(dy), v.into(), false);
            let (mut largest, mut mean) = ([T::zero(); BLOCK], [T::zero(); BLOCK]);
            largest[..n].copy_from_slice(&lse[block.start..][..n]);
            T::simd(
                #[inline(always)]
                || {
                    for (c, mean) in mean.iter_mut().enumerate().take(n) {
                        *mean = vector::dot(linalg::column(&y, c), linalg::column(&dy, c));
                    }
                    for p in p.iter_mut() {
                        for q in 0..BLOCK {
                            p[q] = (p[q] - largest[q]).exp();
                        }
                    }
                    if self.dropout.is_none() {
                        for (p, ds) in p.iter().zip(ds.iter_mut()) {
                            for q in 0..BLOCK {
                                ds[q] = p[q] * (ds[q] - mean[q]);
                            }
                        }
                    }
                    // With factors m: dS = P ⊙ (m ⊙ dP − mean), and dV takes m ⊙ P.
                    self.dropped(block, |key, m| {
                        let (p, ds) = (&mut p[key], &mut ds[key]);
                        for q in 0..BLOCK {
                            ds[q] = p[q] * (m[q] * ds[q] - mean[q]);
                            p[q] *= m[q];
                        }
                    });
                    for (ds, slopes) in ds.iter_mut().zip(slopes.iter().flat_map(|s| s.iter())) {
                        for q in 0..BLOCK {
                            ds[q] *= slopes[q];
                        }
                    }
                },
            );
            let (p, ds) = (matrix(p, n), matrix(ds, n));
            let (k, q) = (block.of(&self.key), self.query.columns(block.start, n));
            let (first, scale) = (block.first_key, self.scale());
            if !dv.is_empty() {
                T::gemm(dv.columns_mut(first, keys), T::one(), dy.into(), p.into(), true);
            }
            if !dq.is_empty() {
                T::gemm(dq.columns_mut(block.start, n), scale, k.into(), transposed(ds), true);
            }
            if !dk.is_empty() {
                T::gemm(dk.columns_mut(first, keys), scale, q.into(), ds.into(), true);
            }
        }
    }
}
