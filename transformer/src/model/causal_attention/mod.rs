//! Causal multi-head attention in one operation: the only one that mixes columns.
//!
//! Formula, for each sequence and query head of d rows: S = Kᵀ·Q/√d; P = softmax of each column of S over the keys
//! that are not later than the query; y = V·P. Every group of query heads reads one key-value head
//! ([`linalg::groups`]).
//! Gradients: dV = dy·Pᵀ, dP = Vᵀ·dy, dS = P ⊙ (dP − column sums of P ⊙ dP), dQ = K·dS/√d,
//! dK = Q·dSᵀ/√d; dK and dV are summed over the query heads of a group.
//!
//! Queries are taken a block at a time, so that no matrix of all tokens by all tokens is formed; of P
//! only ln Σ e^S is kept, one number per query and head, from which backward computes P again. The column
//! sums of P ⊙ dP are those of y ⊙ dy. In memory a block of S is turned: one column per *key*, its
//! queries side by side, so that maxima and sums over keys are sums of vectors.
//! Sources: Vaswani et al. 2017; Ainslie et al., *GQA*, 2023, for groups; Dao et al., *FlashAttention*, 2022, for the
//! recomputation and the sums.

mod formula;
mod kernel;

use kernel::{Head, block_scratch};
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::groups::Groups;
use linalg::{
    Formula, Memory, Primitive, Real, Role, Shape, ShapeError, View, ViewMut, Work, parallel,
};
use probability::dropout::{self, Dropout, DropoutMask};

/// y = attention of query (heads·d × tokens) to key and value (key_value_heads·d × tokens), of sequences of `length`
/// tokens each. With a fourth operand, a step number, attention weights are dropped.
///
/// ```
/// use linalg::{Primitive, Shape};
/// use transformer::CausalAttention;
/// let attention = CausalAttention { heads: 4, key_value_heads: 2, length: 11, dropout: None };
/// let (query, key) = (Shape::new(48, 33), Shape::new(24, 33)); // heads of 12 rows
/// assert_eq!(attention.shape([query, key, key]), Ok(query));
/// assert!(attention.shape([query, query, query]).is_err()); // four key-value heads
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CausalAttention {
    /// Number of query heads.
    pub heads: usize,
    /// Number of key-value heads, which divides the number of query heads.
    pub key_value_heads: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// Dropout of attention weights, for the form with four operands.
    pub dropout: Option<Dropout>,
}

impl CausalAttention {
    fn groups(&self) -> Groups {
        Groups { heads: self.heads, key_value_heads: self.key_value_heads }
    }

    fn check(&self, [query, key, value]: [Shape; 3]) -> Result<Shape, ShapeError> {
        let read = Shape::new(self.groups().key_value_rows(query.rows)?, query.columns);
        key.expect("the key", read)?;
        value.expect("the value", read)?;
        if self.length == 0 {
            return Err(ShapeError::Empty { operand: "a sequence" });
        }
        let sequences = (query.columns / self.length).max(1);
        query.expect_columns("the query", sequences * self.length)?;
        Ok(query)
    }

    fn needs(&self, query: Shape) -> Memory {
        // Forward works on all query heads at once and backward, with two blocks, on all key-value heads.
        let blocks = self.heads.max(2 * self.key_value_heads) * query.columns / self.length;
        Memory { kept: query.columns * self.heads, scratch: blocks * block_scratch(self.length) }
    }

    fn operations(&self, query: Shape) -> u64 {
        // Half of the pairs of tokens; two products of d multiply-adds and a softmax for each.
        let pairs = (query.columns * (self.length + 1) / 2 * self.heads) as u64;
        pairs * (4 * (query.rows / self.heads) as u64 + 15)
    }

    /// Query head h of sequence b.
    fn head<'a, T: Real>(
        &self,
        [query, key, value]: &'a [View<'_, T>; 3],
        mask: Option<DropoutMask>,
        (h, b): (usize, usize),
    ) -> Head<'a, T> {
        let rows = query.nrows() / self.heads;
        let of = |x: &'a View<'_, T>, head: usize| {
            x.view((head * rows, b * self.length), (rows, self.length))
        };
        let read = self.groups().read_by(h);
        let first = (b * self.heads + h) * self.length;
        Head {
            query: of(query, h),
            key: of(key, read),
            value: of(value, read),
            scale: T::one() / T::from_f64(rows as f64).sqrt(),
            dropout: mask.map(|mask| (mask, first)),
        }
    }

    fn write<T: Real>(
        &self,
        inputs: [View<'_, T>; 3],
        mask: Option<DropoutMask>,
        y: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let sequences = y.ncols() / self.length;
        let kept = ViewMut::from_slice(work.kept, self.heads * self.length, sequences);
        let scratch = ViewMut::from_slice(work.scratch, work.scratch.len() / sequences, sequences);
        parallel::tiles([y, kept, scratch], self.heads, sequences, |h, b, [y, mut lse, mut s]| {
            let (mut lse, mut s) = (lse.column_mut(0), s.column_mut(0));
            self.head(&inputs, mask, (h, b)).forward(y, lse.as_mut_slice(), s.as_mut_slice());
        });
    }

    /// A tile is a key-value head of a sequence, with the query heads that read it: none writes where another does.
    fn add<T: Real>(
        &self,
        inputs: [View<'_, T>; 3],
        mask: Option<DropoutMask>,
        outputs: [View<'_, T>; 2],
        ([dq, dk, dv], fresh): ([ViewMut<'_, T>; 3], [bool; 3]),
        work: Work<'_, T>,
    ) {
        let (rows, length) = (inputs[0].nrows() / self.heads, self.length);
        let sequences = inputs[0].ncols() / length;
        let kept = View::from_slice(work.kept, self.heads * length, sequences);
        let scratch = ViewMut::from_slice(work.scratch, work.scratch.len() / sequences, sequences);
        parallel::tiles(
            [dq, dk, dv, scratch],
            self.key_value_heads,
            sequences,
            |read, b, [mut dq, mut dk, mut dv, mut s]| {
                for (d, fresh) in [&mut dq, &mut dk, &mut dv].into_iter().zip(fresh) {
                    if fresh {
                        let columns = d.column_iter_mut();
                        columns.for_each(|mut d| d.as_mut_slice().fill(T::zero()));
                    }
                }
                let mut s = s.column_mut(0);
                for (member, h) in self.groups().readers(read).enumerate() {
                    let outputs =
                        outputs.each_ref().map(|x| x.view((h * rows, b * length), (rows, length)));
                    let lse = &linalg::column(&kept, b)[h * length..][..length];
                    let dq = dq.rows_mut(member * rows, rows);
                    let gradients = [dq, dk.as_view_mut(), dv.as_view_mut()];
                    self.head(&inputs, mask, (h, b)).backward(
                        outputs,
                        lse,
                        gradients,
                        s.as_mut_slice(),
                    );
                }
            },
        );
    }
}

const NAME: &str = "causal attention";

impl Primitive<3> for CausalAttention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn role(&self) -> Role {
        Role::Attention
    }

    fn shape(&self, inputs: [Shape; 3]) -> Result<Shape, ShapeError> {
        self.check(inputs)
    }

    fn flops(&self, [query, ..]: [Shape; 3]) -> u64 {
        self.operations(query)
    }

    fn memory(&self, [query, ..]: [Shape; 3]) -> Memory {
        self.needs(query)
    }

    fn formula<T: Real>(&self, [query, ..]: [View<'_, T>; 3]) -> Formula {
        self.plain(query.nrows())
    }

    fn forward<T: Real>(&self, inputs: [View<'_, T>; 3], y: ViewMut<'_, T>, work: Work<'_, T>) {
        self.write(inputs, None, y, work);
    }

    fn vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; 3],
        y: View<'_, T>,
        dy: View<'_, T>,
        gradients: [ViewMut<'_, T>; 3],
        work: Work<'_, T>,
    ) {
        self.add(inputs, None, [y, dy], (gradients, [false; 3]), work);
    }

    fn vjp_into<T: Real>(
        &self,
        inputs: [View<'_, T>; 3],
        y: View<'_, T>,
        dy: View<'_, T>,
        gradients: [ViewMut<'_, T>; 3],
        fresh: [bool; 3],
        work: Work<'_, T>,
    ) {
        self.add(inputs, None, [y, dy], (gradients, fresh), work);
    }
}

impl Primitive<4> for CausalAttention {
    fn name(&self) -> &'static str {
        NAME
    }

    fn role(&self) -> Role {
        Role::Attention
    }

    fn shape(&self, [query, key, value, step]: [Shape; 4]) -> Result<Shape, ShapeError> {
        step.expect("the step number", dropout::STEP)?;
        self.check([query, key, value])
    }

    fn flops(&self, [query, ..]: [Shape; 4]) -> u64 {
        self.operations(query)
    }

    fn memory(&self, [query, ..]: [Shape; 4]) -> Memory {
        self.needs(query)
    }

    fn formula<T: Real>(&self, [query, _, _, step]: [View<'_, T>; 4]) -> Formula {
        self.masked(query.shape(), self.dropout.and_then(|d| d.mask(step)))
    }

    fn forward<T: Real>(
        &self,
        [query, key, value, step]: [View<'_, T>; 4],
        y: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        self.write([query, key, value], self.dropout.and_then(|d| d.mask(step)), y, work);
    }

    fn vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; 4],
        y: View<'_, T>,
        dy: View<'_, T>,
        gradients: [ViewMut<'_, T>; 4],
        work: Work<'_, T>,
    ) {
        self.vjp_into(inputs, y, dy, gradients, [false; 4], work);
    }

    fn vjp_into<T: Real>(
        &self,
        [query, key, value, step]: [View<'_, T>; 4],
        y: View<'_, T>,
        dy: View<'_, T>,
        [dq, dk, dv, mut d_step]: [ViewMut<'_, T>; 4],
        [fresh @ .., fresh_step]: [bool; 4],
        work: Work<'_, T>,
    ) {
        if fresh_step {
            d_step.fill(T::zero());
        }
        let mask = self.dropout.and_then(|d| d.mask(step));
        self.add([query, key, value], mask, [y, dy], ([dq, dk, dv], fresh), work);
    }
}

impl Cases for CausalAttention {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Heads { heads, key_value_heads, rows, length, sequences } = size {
            let parts = || {
                [heads, key_value_heads, key_value_heads]
                    .map(|heads| numbers(heads * rows, sequences * length))
            };
            let plain = CausalAttention { heads, key_value_heads, length, dropout: None };
            visitor.visit(plain, parts());
            let order = dropout::Order::Columns;
            let dropout = Some(Dropout { rate: 0.3, seed: 11, stream: 5, order });
            for step in [dropout::step(3), dropout::EVALUATION] {
                let [query, key, value] = parts();
                let step = Operand::Constants(step.to_vec());
                visitor.visit(CausalAttention { dropout, ..plain }, [query, key, value, step]);
            }
        }
    }
}
