//! Causal multi-head attention in one operation: the only one that mixes columns.
//!
//! Formula, for each sequence and head, with d rows per head and queries, keys and values packed as
//! three blocks of rows: S = Kᵀ·Q/√d; P = softmax of each column of S over the keys that are not later
//! than the query; y = V·P.
//! Gradients: dV = dy·Pᵀ, dP = Vᵀ·dy, dS = P ⊙ (dP − column sums of P ⊙ dP), dQ = K·dS/√d,
//! dK = Q·dSᵀ/√d.
//!
//! Queries are taken a block at a time, so that no matrix of all tokens by all tokens is formed; of P
//! only ln Σ e^S is kept, one number per query and head, from which backward computes P again. The column
//! sums of P ⊙ dP are those of y ⊙ dy. In memory a block of S is turned: one column per *key*, its
//! queries side by side, so that maxima and sums over keys are sums of vectors.
//! Source: Vaswani et al. 2017; Dao et al., *FlashAttention*, 2022, for the recomputation and the sums.

use linalg::formula::{
    COLUMN, Condition, Expression, HEAD, I, Index, J, K, Letter, Matter, QUERY, R, START, TOKEN,
    at_most, called, cases, exp, largest, ln, operand, output, sum, sum_where, upstream,
};
use linalg::{
    Formula, Matrix, Memory, Primitive, Real, Role, Shape, ShapeError, View, ViewMut, Work,
    parallel, shape::equal_parts, simd, transposed, vector,
};
use nalgebra::{Const, Dyn};
use probability::dropout::{self, Dropout, DropoutMask, QUERIES as BLOCK, weight_index};

/// y = attention of packed (query, key, value), a (3·width × tokens) matrix of sequences of `length`
/// tokens each. With a second operand, a step number, attention weights are dropped.
///
/// ```
/// use linalg::{Primitive, Shape};
/// use transformer::CausalAttention;
/// let attention = CausalAttention { heads: 3, length: 11, dropout: None };
/// assert_eq!(attention.shape([Shape::new(3 * 48, 33)]), Ok(Shape::new(48, 33)));
/// assert!(attention.shape([Shape::new(3 * 47, 33)]).is_err()); // 3 heads do not divide 47
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CausalAttention {
    /// Number of heads.
    pub heads: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// Dropout of attention weights, for the form with two operands.
    pub dropout: Option<Dropout>,
}

/// One sequence and head: what its queries, keys and values are.
#[derive(Clone, Copy)]
struct Head<'a, T: Real> {
    query: View<'a, T>,
    key: View<'a, T>,
    value: View<'a, T>,
    scale: T,
    /// The attention weights' dropout, and the number of this head's first query.
    dropout: Option<(DropoutMask, usize)>,
}

/// A block of queries and the keys that one of them sees.
#[derive(Clone, Copy)]
struct Block {
    start: usize,
    queries: usize,
}

impl Block {
    fn keys(self) -> usize {
        self.start + self.queries
    }

    /// Queries of the block that are earlier than a key, and do not see it.
    #[inline(always)]
    fn earlier(self, key: usize) -> usize {
        key.saturating_sub(self.start)
    }
}

fn blocks(length: usize) -> impl Iterator<Item = Block> {
    (0..length).step_by(BLOCK).map(move |start| Block { start, queries: BLOCK.min(length - start) })
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
    /// S = (Kᵀ·Q)ᵀ/√d of a block, −∞ where the key is later than the query.
    fn scores(&self, block: Block, s: Turned<'_, T>) {
        let (keys, n) = (block.keys(), block.queries);
        let (k, q) = (self.key.columns(0, keys), self.query.columns(block.start, n));
        let turned = matrix_mut(s, n);
        T::gemm(turned, self.scale, transposed(q), k.into(), false);
        // e^−∞ is exactly 0: no weight, and no gradient, for what a query must not see.
        for key in block.start..keys {
            s[key][..block.earlier(key)].fill(T::from_f64(f64::NEG_INFINITY));
        }
    }

    /// Calls `each(key, factors)` with dropout's factors of a block's weights, if there is dropout.
    #[inline(always)]
    fn dropped(&self, block: Block, mut each: impl FnMut(usize, &[T; BLOCK])) {
        if let Some((mask, first)) = self.dropout {
            let start = weight_index(self.key.ncols(), first + block.start, 0);
            mask.runs(start, block.keys() * BLOCK, |i, factors: &[T]| {
                for (key, factors) in factors.as_chunks().0.iter().enumerate() {
                    each(i / BLOCK + key, factors);
                }
            });
        }
    }

    /// y = V·softmax(S); writes ln Σ e^S of every query.
    fn forward(&self, mut y: ViewMut<'_, T>, lse: &mut [T], memory: &mut [T]) {
        for block in blocks(self.key.ncols()) {
            let n = block.queries;
            let s = turned(memory, block.keys());
            self.scores(block, s);
            let mut share = [T::one(); BLOCK];
            simd(
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
            let v = self.value.columns(0, block.keys());
            T::gemm(y.as_view_mut(), T::one(), v.into(), transposed(matrix(s, n)), false);
            for (mut y, &share) in y.column_iter_mut().zip(&share) {
                y.as_mut_slice().iter_mut().for_each(|y| *y *= share);
            }
        }
    }

    fn backward(
        &self,
        [y, dy]: [View<'_, T>; 2],
        lse: &[T],
        [mut dq, mut dk, mut dv]: [ViewMut<'_, T>; 3],
        memory: &mut [T],
    ) {
        let (first, second) = memory.split_at_mut(memory.len() / 2);
        for block in blocks(self.key.ncols()) {
            let (keys, n) = (block.keys(), block.queries);
            let (p, ds) = (turned(first, keys), turned(second, keys));
            self.scores(block, p);
            let (y, dy) = (y.columns(block.start, n), dy.columns(block.start, n));
            let v = self.value.columns(0, keys);
            T::gemm(matrix_mut(ds, n), T::one(), transposed(dy), v.into(), false);
            let (mut largest, mut mean) = ([T::zero(); BLOCK], [T::zero(); BLOCK]);
            largest[..n].copy_from_slice(&lse[block.start..][..n]);
            simd(
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
                },
            );
            let (p, ds) = (matrix(p, n), matrix(ds, n));
            let (k, q) = (self.key.columns(0, keys), self.query.columns(block.start, n));
            T::gemm(dv.columns_mut(0, keys), T::one(), dy.into(), p.into(), true);
            T::gemm(dq.columns_mut(block.start, n), self.scale, k.into(), transposed(ds), true);
            T::gemm(dk.columns_mut(0, keys), self.scale, q.into(), ds.into(), true);
        }
    }
}

impl CausalAttention {
    fn sequences(&self, qkv: Shape) -> usize {
        qkv.columns / self.length
    }

    fn check(&self, qkv: Shape) -> Result<Shape, ShapeError> {
        let width = equal_parts("the packed query, key and value", qkv.rows, 3)?;
        equal_parts("the width", width, self.heads)?;
        let sequences = qkv.columns / self.length.max(1);
        qkv.expect_columns("the packed query, key and value", sequences.max(1) * self.length)?;
        Ok(Shape::new(width, qkv.columns))
    }

    fn needs(&self, qkv: Shape) -> Memory {
        let tiles = self.sequences(qkv) * self.heads;
        Memory { kept: qkv.columns * self.heads, scratch: tiles * 2 * self.length * BLOCK }
    }

    fn operations(&self, qkv: Shape) -> u64 {
        // Half of the pairs of tokens; two products of d multiply-adds and a softmax for each.
        let pairs = (qkv.columns * (self.length + 1) / 2 * self.heads) as u64;
        pairs * (4 * (qkv.rows / 3 / self.heads) as u64 + 15)
    }

    fn head<'a, T: Real>(
        &self,
        qkv: &'a View<'_, T>,
        mask: Option<DropoutMask>,
        (h, b): (usize, usize),
    ) -> Head<'a, T> {
        let rows = qkv.nrows() / 3 / self.heads;
        let part = |i: usize| {
            qkv.view(((i * self.heads + h) * rows, b * self.length), (rows, self.length))
        };
        let first = (b * self.heads + h) * self.length;
        Head {
            query: part(0),
            key: part(1),
            value: part(2),
            scale: T::one() / T::from_f64(rows as f64).sqrt(),
            dropout: mask.map(|mask| (mask, first)),
        }
    }

    fn write<T: Real>(
        &self,
        qkv: View<'_, T>,
        mask: Option<DropoutMask>,
        y: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let sequences = qkv.ncols() / self.length;
        let kept = ViewMut::from_slice(work.kept, self.heads * self.length, sequences);
        let scratch = ViewMut::from_slice(work.scratch, work.scratch.len() / sequences, sequences);
        parallel::tiles([y, kept, scratch], self.heads, sequences, |h, b, [y, mut lse, mut s]| {
            let (mut lse, mut s) = (lse.column_mut(0), s.column_mut(0));
            self.head(&qkv, mask, (h, b)).forward(y, lse.as_mut_slice(), s.as_mut_slice());
        });
    }

    fn add<T: Real>(
        &self,
        qkv: View<'_, T>,
        mask: Option<DropoutMask>,
        outputs: [View<'_, T>; 2],
        (mut d_qkv, fresh): (ViewMut<'_, T>, bool),
        work: Work<'_, T>,
    ) {
        let (width, sequences) = (qkv.nrows() / 3, qkv.ncols() / self.length);
        let (mut d_qk, dv) = d_qkv.rows_range_pair_mut(..2 * width, 2 * width..);
        let (dq, dk) = d_qk.rows_range_pair_mut(..width, width..);
        let kept = View::from_slice(work.kept, self.heads * self.length, sequences);
        let scratch = ViewMut::from_slice(work.scratch, work.scratch.len() / sequences, sequences);
        parallel::tiles(
            [dq, dk, dv, scratch],
            self.heads,
            sequences,
            |h, b, [mut dq, mut dk, mut dv, mut s]| {
                if fresh {
                    for d in [&mut dq, &mut dk, &mut dv] {
                        let columns = d.column_iter_mut();
                        columns.for_each(|mut d| d.as_mut_slice().fill(T::zero()));
                    }
                }
                let rows = width / self.heads;
                let (at, shape) = ((h * rows, b * self.length), (rows, self.length));
                let lse = &linalg::column(&kept, b)[h * self.length..][..self.length];
                let outputs = outputs.each_ref().map(|x| x.view(at, shape));
                let mut s = s.column_mut(0);
                self.head(&qkv, mask, (h, b)).backward(
                    outputs,
                    lse,
                    [dq, dk, dv],
                    s.as_mut_slice(),
                );
            },
        );
    }
}

const NAME: &str = "causal attention";
const MEANING: &str =
    "Every token asks itself and the tokens before it, and takes a mixture of their values.";
const SOURCE: &str =
    "Vaswani et al., Attention Is All You Need, 2017; Dao et al., FlashAttention, 2022";

impl CausalAttention {
    /// The formula. Its own quantities run over the columns of scores: with h and q the head and the
    /// query of column j, S\[k, j\] is the score of key k.
    fn stated(&self, mut f: Formula, rows: usize, mask: Option<Matter>) -> Formula {
        let (width, length, heads) = (rows / 3, self.length, self.heads);
        let d = width / heads;
        let (qkv, dy) = (operand(0), upstream());
        let first = || called(START, (J / (length * heads)) * length);
        let row = |part: usize| called(HEAD, (J / length) % heads) * d + R + part * width;
        let seen = |k: Letter, query: Index| at_most(k, query);
        let query = || called(QUERY, J % length);
        let scale = 1.0 / (d as f64).sqrt();
        let key = qkv.at(row(1), first() + I);
        let dots = sum(R, d, key * qkv.at(row(0), first() + query()));
        let s = f.define("S", [I, J], scale * dots);
        let most = largest(K, length, Some(seen(K, query())), s.at2(K, J));
        let m = f.define("m", [J], most);
        let part = |k: Letter| exp(s.at2(k, J) - m.at(J));
        let z = f.define("Z", [J], sum_where(K, length, seen(K, query()), part(K)));
        let e = f.define("e", [I, J], part(I));
        // Backward computes the weights again from ln Σ e^S.
        let l = f.define("l", [J], m.at(J) + ln(z.at(J)));
        let p = f.define("P", [I, J], exp(s.at2(I, J) - l.at(J)));
        // Where weights are dropped, a weight and its gradient pass the mask.
        let kept = |e: Expression, k: Index, c: Index| match mask {
            Some(mask) => e * mask.at(k, c),
            None => e,
        };
        let own = || called(HEAD, (J / length) % heads) * d + R;
        let value = qkv.at(row(2), first() + I);
        let received = sum(R, d, value * dy.at(own(), first() + query()));
        let dp = f.define("dP", [I, J], kept(received, I.into(), J.into()));
        // Σ P ⊙ dP is what the query's own output receives.
        let own_output = output().at(own(), first() + query()) * dy.at(own(), first() + query());
        let mean = f.define("d̄", [J], sum(R, d, own_output));
        let ds = f.define("dS", [I, J], p.at2(I, J) * (dp.at2(I, J) - mean.at(J)));

        // Element \[i, j\] of the output or of qkv: its token, and the column of its head and a query.
        let token = || called(TOKEN, J % length);
        let start = || called(START, (J / length) * length);
        let column = |query: Index| {
            let head = (J / length) * heads + (I % width) / d;
            called(COLUMN, head * length) + query
        };
        let weight = kept(e.at2(K, column(token())), K.into(), column(token()));
        let mixed = qkv.at(I + 2 * width, start() + K) * weight;
        let later = |q: Letter| Condition { left: token(), ..at_most(0, q) };
        let d_query = scale
            * sum_where(
                K,
                length,
                seen(K, token()),
                qkv.at(I + width, start() + K) * ds.at2(K, column(token())),
            );
        let q = || Index::from(QUERY);
        let asked = qkv.at(I % width, start() + QUERY) * ds.at2(token(), column(q()));
        let d_key = scale * sum_where(QUERY, length, later(QUERY), asked);
        let back = dy.at(I % width, start() + QUERY);
        let back = back * kept(p.at2(token(), column(q())), token(), column(q()));
        let d_value = sum_where(QUERY, length, later(QUERY), back);
        let packed = cases(at_most(I, 2 * width - 1), d_key, d_value);
        let value = sum_where(K, length, seen(K, token()), mixed) / z.at(column(token()));
        f.value(value).gradient(cases(at_most(I, width - 1), d_query, packed))
    }
}

impl Primitive<1> for CausalAttention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn role(&self) -> Role {
        Role::Attention
    }

    fn shape(&self, [qkv]: [Shape; 1]) -> Result<Shape, ShapeError> {
        self.check(qkv)
    }

    fn flops(&self, [qkv]: [Shape; 1]) -> u64 {
        self.operations(qkv)
    }

    fn memory(&self, [qkv]: [Shape; 1]) -> Memory {
        self.needs(qkv)
    }

    fn formula<T: Real>(&self, [qkv]: [View<'_, T>; 1]) -> Formula {
        self.stated(Formula::new("y", ["qkv"], MEANING, SOURCE), qkv.nrows(), None)
    }

    fn forward<T: Real>(&self, [qkv]: [View<'_, T>; 1], y: ViewMut<'_, T>, work: Work<'_, T>) {
        self.write(qkv, None, y, work);
    }

    fn vjp<T: Real>(
        &self,
        [qkv]: [View<'_, T>; 1],
        y: View<'_, T>,
        dy: View<'_, T>,
        [d_qkv]: [ViewMut<'_, T>; 1],
        work: Work<'_, T>,
    ) {
        self.add(qkv, None, [y, dy], (d_qkv, false), work);
    }

    fn vjp_into<T: Real>(
        &self,
        [qkv]: [View<'_, T>; 1],
        y: View<'_, T>,
        dy: View<'_, T>,
        [d_qkv]: [ViewMut<'_, T>; 1],
        [fresh]: [bool; 1],
        work: Work<'_, T>,
    ) {
        self.add(qkv, None, [y, dy], (d_qkv, fresh), work);
    }
}

impl Primitive<2> for CausalAttention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn role(&self) -> Role {
        Role::Attention
    }

    fn shape(&self, [qkv, step]: [Shape; 2]) -> Result<Shape, ShapeError> {
        step.expect("the step number", dropout::STEP)?;
        self.check(qkv)
    }

    fn flops(&self, [qkv, _]: [Shape; 2]) -> u64 {
        self.operations(qkv)
    }

    fn memory(&self, [qkv, _]: [Shape; 2]) -> Memory {
        self.needs(qkv)
    }

    fn formula<T: Real>(&self, [qkv, step]: [View<'_, T>; 2]) -> Formula {
        let (rows, columns) = qkv.shape();
        let mut f = Formula::new("y", ["qkv", "step"], MEANING, SOURCE);
        let mask = self.dropout.and_then(|d| d.mask(step));
        let queries = self.sequences(Shape::new(rows, columns)) * self.heads * self.length;
        let factor = |k: usize, c: usize| match &mask {
            Some(mask) => mask.factor::<f64>(weight_index(self.length, c, k)),
            None => 1.0,
        };
        let mask = f.table("mask", Matrix::from_fn(self.length, queries, factor));
        self.stated(f, rows, Some(mask)).no_gradient()
    }

    fn forward<T: Real>(
        &self,
        [qkv, step]: [View<'_, T>; 2],
        y: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        self.write(qkv, self.dropout.and_then(|d| d.mask(step)), y, work);
    }

    fn vjp<T: Real>(
        &self,
        [qkv, step]: [View<'_, T>; 2],
        y: View<'_, T>,
        dy: View<'_, T>,
        [d_qkv, _]: [ViewMut<'_, T>; 2],
        work: Work<'_, T>,
    ) {
        self.add(qkv, self.dropout.and_then(|d| d.mask(step)), [y, dy], (d_qkv, false), work);
    }

    fn vjp_into<T: Real>(
        &self,
        [qkv, step]: [View<'_, T>; 2],
        y: View<'_, T>,
        dy: View<'_, T>,
        [d_qkv, mut d_step]: [ViewMut<'_, T>; 2],
        [fresh, fresh_step]: [bool; 2],
        work: Work<'_, T>,
    ) {
        if fresh_step {
            d_step.fill(T::zero());
        }
        let mask = self.dropout.and_then(|d| d.mask(step));
        self.add(qkv, mask, [y, dy], (d_qkv, fresh), work);
    }
}
