//! Causal multi-head attention in one operation: the only one that mixes columns.
//!
//! Formula, for each sequence and head, with d rows per head and queries, keys and values packed as
//! three blocks of rows: S = Kᵀ·Q/√d; P = softmax of each column of S over the keys that are not later
//! than the query; y = V·P.
//! Gradients: dV = dy·Pᵀ, dP = Vᵀ·dy, dS = P ⊙ (dP − column sums of P ⊙ dP), dQ = K·dS/√d,
//! dK = Q·dSᵀ/√d.
//!
//! Queries are taken a block at a time, so that no matrix of all tokens by all tokens is formed; of P
//! only ln Σ e^S is kept, one number per query and head, from which backward computes P again.
//! Source: Vaswani et al. 2017; Dao et al., *FlashAttention*, 2022, for the recomputation.

use linalg::formula::{
    COLUMN, Condition, Expression, HEAD, I, Index, J, K, Letter, Matter, QUERY, R, START, TOKEN,
    at_most, called, cases, exp, largest, operand, sum, sum_where, upstream,
};
use linalg::{
    Formula, Matrix, Memory, Primitive, Real, Shape, ShapeError, View, ViewMut, Work, parallel,
    shape::equal_parts, simd, transposed, vector,
};
use probability::dropout::{Dropout, DropoutMask};
use probability::softmax::softmax_in_place;

/// Queries of a block.
const BLOCK: usize = 32;

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
    /// The attention weights' dropout, and the number of this head's first weight.
    dropout: Option<(DropoutMask, u64)>,
}

/// A block of queries, the keys that one of them sees, and how many keys query c of it sees.
#[derive(Clone, Copy)]
struct Block {
    start: usize,
    queries: usize,
}

impl Block {
    fn keys(self) -> usize {
        self.start + self.queries
    }

    fn visible(self, c: usize) -> usize {
        self.start + c + 1
    }
}

fn blocks(length: usize) -> impl Iterator<Item = Block> {
    (0..length).step_by(BLOCK).map(move |start| Block { start, queries: BLOCK.min(length - start) })
}

impl<'a, T: Real> Head<'a, T> {
    /// S = Kᵀ·Q/√d of a block, into `memory`.
    fn scores<'m>(&self, block: Block, memory: &'m mut [T]) -> ViewMut<'m, T> {
        let (keys, n) = (block.keys(), block.queries);
        let mut s = ViewMut::from_slice(&mut memory[..keys * n], keys, n);
        let (k, q) = (self.key.columns(0, keys), self.query.columns(block.start, n));
        T::gemm(s.as_view_mut(), self.scale, transposed(k), q.into(), false);
        s
    }

    /// The factors of dropout for the weights of query c of a block.
    fn dropped(&self, block: Block, c: usize, each: impl FnMut(usize, T)) {
        if let Some((mask, first)) = self.dropout {
            let query = (block.start + c) * self.key.ncols();
            mask.for_each(first + query as u64, block.visible(c), each);
        }
    }

    /// y = V·softmax(S); writes ln Σ e^S of every query.
    fn forward(&self, mut y: ViewMut<'_, T>, lse: &mut [T], memory: &mut [T]) {
        for block in blocks(self.key.ncols()) {
            let mut s = self.scores(block, memory);
            simd(
                #[inline(always)]
                || {
                    for (c, mut s) in s.column_iter_mut().enumerate() {
                        let (seen, future) = s.as_mut_slice().split_at_mut(block.visible(c));
                        lse[block.start + c] = softmax_in_place(seen);
                        future.fill(T::zero());
                    }
                },
            );
            for c in 0..block.queries {
                self.dropped(block, c, |k, factor| s[(k, c)] *= factor);
            }
            let y = y.columns_mut(block.start, block.queries);
            let v = self.value.columns(0, block.keys());
            let p: View<'_, T> = s.as_view();
            T::gemm(y, T::one(), v.into(), p.into(), false);
        }
    }

    fn backward(
        &self,
        dy: View<'_, T>,
        lse: &[T],
        [mut dq, mut dk, mut dv]: [ViewMut<'_, T>; 3],
        memory: &mut [T],
    ) {
        let (first, second) = memory.split_at_mut(memory.len() / 2);
        for block in blocks(self.key.ncols()) {
            let (keys, n) = (block.keys(), block.queries);
            let mut p = self.scores(block, first);
            let mut ds = ViewMut::from_slice(&mut second[..keys * n], keys, n);
            let dy = dy.columns(block.start, n);
            let v = self.value.columns(0, keys);
            T::gemm(ds.as_view_mut(), T::one(), transposed(v), dy.into(), false);
            for c in 0..n {
                self.dropped(block, c, |k, factor| ds[(k, c)] *= factor);
            }
            simd(
                #[inline(always)]
                || {
                    for (c, (mut p, mut ds)) in
                        p.column_iter_mut().zip(ds.column_iter_mut()).enumerate()
                    {
                        let lse = lse[block.start + c];
                        let (p, future) = p.as_mut_slice().split_at_mut(block.visible(c));
                        p.iter_mut().for_each(|p| *p = (*p - lse).exp());
                        future.fill(T::zero());
                        let (ds, future) = ds.as_mut_slice().split_at_mut(block.visible(c));
                        let mean = vector::dot(p, ds);
                        ds.iter_mut().zip(p.iter()).for_each(|(ds, &p)| *ds = p * (*ds - mean));
                        future.fill(T::zero());
                    }
                },
            );
            for c in 0..n {
                self.dropped(block, c, |k, factor| p[(k, c)] *= factor);
            }
            let (p, ds): (View<'_, T>, View<'_, T>) = (p.as_view(), ds.as_view());
            let (k, q) = (self.key.columns(0, keys), self.query.columns(block.start, n));
            T::gemm(dv.columns_mut(0, keys), T::one(), dy.into(), transposed(p), true);
            T::gemm(dq.columns_mut(block.start, n), self.scale, k.into(), ds.into(), true);
            T::gemm(dk.columns_mut(0, keys), self.scale, q.into(), transposed(ds), true);
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
        Memory {
            kept: qkv.columns * self.heads,
            scratch: tiles * 2 * self.length * BLOCK.min(self.length),
        }
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
        let first = ((b * self.heads + h) * self.length * self.length) as u64;
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
        dy: View<'_, T>,
        mut d_qkv: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let (width, sequences) = (dy.nrows(), qkv.ncols() / self.length);
        let (mut d_qk, dv) = d_qkv.rows_range_pair_mut(..2 * width, 2 * width..);
        let (dq, dk) = d_qk.rows_range_pair_mut(..width, width..);
        let kept = View::from_slice(work.kept, self.heads * self.length, sequences);
        let scratch = ViewMut::from_slice(work.scratch, work.scratch.len() / sequences, sequences);
        let outputs = [dq, dk, dv, scratch];
        parallel::tiles(outputs, self.heads, sequences, |h, b, [dq, dk, dv, mut s]| {
            let rows = width / self.heads;
            let dy = dy.view((h * rows, b * self.length), (rows, self.length));
            let lse = &linalg::column(&kept, b)[h * self.length..][..self.length];
            let mut s = s.column_mut(0);
            self.head(&qkv, mask, (h, b)).backward(dy, lse, [dq, dk, dv], s.as_mut_slice());
        });
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
        let p = f.define("P", [I, J], part(I) / z.at(J));
        // Where weights are dropped, a weight and its gradient pass the mask.
        let kept = |e: Expression, k: Index, c: Index| match mask {
            Some(mask) => e * mask.at(k, c),
            None => e,
        };
        let value = qkv.at(row(2), first() + I);
        let received =
            sum(R, d, value * dy.at(called(HEAD, (J / length) % heads) * d + R, first() + query()));
        let dp = f.define("dP", [I, J], kept(received, I.into(), J.into()));
        let mean = sum_where(K, length, seen(K, query()), p.at2(K, J) * dp.at2(K, J));
        let mean = f.define("d̄", [J], mean);
        let ds = f.define("dS", [I, J], p.at2(I, J) * (dp.at2(I, J) - mean.at(J)));

        // Element \[i, j\] of the output or of qkv: its token, and the column of its head and a query.
        let token = || called(TOKEN, J % length);
        let start = || called(START, (J / length) * length);
        let column = |query: Index| {
            let head = (J / length) * heads + (I % width) / d;
            called(COLUMN, head * length) + query
        };
        let weight = kept(p.at2(K, column(token())), K.into(), column(token()));
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
        f.value(sum_where(K, length, seen(K, token()), mixed)).gradient(cases(
            at_most(I, width - 1),
            d_query,
            packed,
        ))
    }
}

impl Primitive<1> for CausalAttention {
    fn name(&self) -> &'static str {
        NAME
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
        _: View<'_, T>,
        dy: View<'_, T>,
        [d_qkv]: [ViewMut<'_, T>; 1],
        work: Work<'_, T>,
    ) {
        self.add(qkv, None, dy, d_qkv, work);
    }
}

impl Primitive<2> for CausalAttention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn shape(&self, [qkv, step]: [Shape; 2]) -> Result<Shape, ShapeError> {
        step.expect("the step number", Shape::new(1, 1))?;
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
        let mask = self.dropout.and_then(|d| d.mask(step[0]));
        let queries = self.sequences(Shape::new(rows, columns)) * self.heads * self.length;
        let factor = |k: usize, c: usize| match &mask {
            Some(mask) => mask.factor::<f64>((c * self.length + k) as u64),
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
        self.write(qkv, self.dropout.and_then(|d| d.mask(step[0])), y, work);
    }

    fn vjp<T: Real>(
        &self,
        [qkv, step]: [View<'_, T>; 2],
        _: View<'_, T>,
        dy: View<'_, T>,
        [d_qkv, _]: [ViewMut<'_, T>; 2],
        work: Work<'_, T>,
    ) {
        self.add(qkv, self.dropout.and_then(|d| d.mask(step[0])), dy, d_qkv, work);
    }
}
