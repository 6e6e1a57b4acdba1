//! Causal multi-head attention in one operation: the only one that mixes columns.
//!
//! Formula, for each sequence and query head of d rows: S = Kᵀ·Q/√d, or another [`Scores`]; P = softmax of each column of
//! S over the keys that its query sees; y = V·P. Every group of query heads reads one key-value head
//! ([`linalg::groups`]).
//! Gradients: dV = dy·Pᵀ, dP = Vᵀ·dy, dS = P ⊙ (dP − column sums of P ⊙ dP), dQ = K·dS/√d,
//! dK = Q·dSᵀ/√d; dK and dV are summed over the query heads of a group.
//!
//! Queries are taken a block at a time, so that no matrix of all tokens by all tokens is formed; of P
//! only ln Σ e^S is kept, one number per query and head, from which backward computes P again. The column
//! sums of P ⊙ dP are those of y ⊙ dy. In memory a block of S is turned: one column per *key*, its
//! queries side by side, so that maxima and sums over keys are sums of vectors.
//!
//! [`PackedAttention`] is the same for sequences that stand one after another in one window: a query sees its own
//! sequence only (Krell et al., *Efficient Sequence Packing without Cross-contamination*, 2021).
//! Sources: Vaswani et al. 2017; Ainslie et al., *GQA*, 2023, for groups; Dao et al., *FlashAttention*, 2022, for the
//! recomputation and the sums.

mod formula;
pub(super) mod kernel;

use crate::model::scores::Scores;
use kernel::{Head, backward_blocks, block_scratch};
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::groups::Groups;
use linalg::{
    Formula, Gradient, Memory, Primitive, Real, Role, Shape, ShapeError, View, ViewMut, Work,
    column, parallel,
};
use probability::dropout::{self, Dropout, DropoutMask};

/// y = attention of query (heads·d × tokens) to key and value (key_value_heads·d × tokens), of sequences of `length`
/// tokens each. With a fourth operand, a step number, attention weights are dropped.
///
/// ```
/// use linalg::{Primitive, Shape};
/// use transformer::CausalAttention;
/// let attention = CausalAttention { heads: 4, key_value_heads: 2, length: 11, ..Default::default() };
/// let (query, key) = (Shape::new(48, 33), Shape::new(24, 33)); // heads of 12 rows
/// assert_eq!(attention.shape([query, key, key]), Ok(query));
/// assert!(attention.shape([query, query, query]).is_err()); // four key-value heads
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CausalAttention {
    /// Number of query heads.
    pub heads: usize,
    /// Number of key-value heads, which divides the number of query heads.
    pub key_value_heads: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// How a key is scored, and which keys a query sees.
    pub scores: Scores,
    /// Dropout of attention weights, for the form with four operands.
    pub dropout: Option<Dropout>,
}

impl CausalAttention {
    fn groups(&self) -> Groups {
        Groups { heads: self.heads, key_value_heads: self.key_value_heads }
    }

    /// The mask of a step, where there is dropout and a step number.
    fn mask<T: Real>(&self, step: &[View<'_, T>]) -> Option<DropoutMask> {
        self.dropout?.mask(*step.first()?)
    }

    fn own(&self) -> &CausalAttention {
        self
    }

    /// Query head h of sequence b.
    fn head<'a, T: Real>(
        &self,
        [query, key, value]: &'a [View<'_, T>; 3],
        (first, mask): (Option<&'a View<'_, T>>, Option<DropoutMask>),
        (h, b): (usize, usize),
    ) -> Head<'a, T> {
        let rows = query.nrows() / self.heads;
        let of = |x: &'a View<'_, T>, head: usize| {
            x.view((head * rows, b * self.length), (rows, self.length))
        };
        let read = self.groups().read_by(h);
        let start = (b * self.heads + h) * self.length;
        Head {
            query: of(query, h),
            key: of(key, read),
            value: of(value, read),
            earlier: None,
            scores: self.scores,
            first: first.map(|first| first.view((0, b * self.length), (1, self.length))),
            dropout: mask.map(|mask| (mask, start)),
        }
    }
}

/// [`CausalAttention`] in windows that hold several sequences, one after another.
///
/// The fourth operand, `first` (1 × tokens), is the place in its window of the first key that each query sees. Query q of
/// a window sees the keys from min(first, q) to q, of which a window of attention may hide some more. If every query
/// of a sequence gets the place of the sequence's first token, the sequences are kept apart: output and gradients are
/// those of each alone. With a fifth operand, a step number, attention weights are dropped.
///
/// ```
/// use linalg::{apply, matrix};
/// use transformer::{CausalAttention, PackedAttention};
/// let one = CausalAttention { heads: 1, key_value_heads: 1, length: 3, ..Default::default() };
/// let (query, value) = (matrix(1, 3, &[0.0; 3]), matrix(1, 3, &[4.0, 8.0, 2.0]));
/// let first = matrix(1, 3, &[0.0, 1.0, 1.0]); // a sequence of one token, and one of two
/// let y = apply(&PackedAttention { attention: one }, [&query, &query, &value, &first])?;
/// assert_eq!(y.as_slice(), [4.0, 8.0, 5.0]); // means of the values that each query sees
/// # Ok::<(), linalg::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PackedAttention {
    /// The attention within a sequence; `length` is that of a window.
    pub attention: CausalAttention,
}

impl PackedAttention {
    fn own(&self) -> &CausalAttention {
        &self.attention
    }
}

/// The rules: of three operands; and with the first keys, and with a step number, behind them.
macro_rules! rules {
    (
        impl Primitive<$n:literal> for $attention:ident, $name:literal
        $(, first = $first:ident)? $(, step = $step:ident)?
    ) => {
        impl Primitive<$n> for $attention {
            fn name(&self) -> &'static str {
                $name
            }

            fn role(&self) -> Role {
                Role::Attention
            }

            fn shape(
                &self,
                [query, key, value $(, $first)? $(, $step)?]: [Shape; $n],
            ) -> Result<Shape, ShapeError> {
                let this = self.own();
                $($first.expect("the first keys", Shape::new(1, query.columns))?;)?
                $($step.expect("the step number", dropout::STEP)?;)?
                this.scores.check()?;
                let read = Shape::new(this.groups().key_value_rows(query.rows)?, query.columns);
                key.expect("the key", read)?;
                value.expect("the value", read)?;
                if this.length == 0 {
                    return Err(ShapeError::Empty { operand: "a sequence" });
                }
                let sequences = (query.columns / this.length).max(1);
                query.expect_columns("the query", sequences * this.length)?;
                Ok(query)
            }

            fn formula<T: Real>(
                &self,
                [query, _, _ $(, $first)? $(, $step)?]: [View<'_, T>; $n],
            ) -> Formula {
                let first: Option<View<'_, T>> = [$($first)?].first().copied();
                self.own().stated::<T>(query.shape(), first.is_some(), &[$($step)?])
            }

            fn forward<T: Real>(
                &self,
                [query, key, value $(, $first)? $(, $step)?]: [View<'_, T>; $n],
                y: ViewMut<'_, T>,
                Work { kept, scratch, .. }: Work<'_, T>,
            ) {
                let this = self.own();
                let first: Option<View<'_, T>> = [$($first)?].first().copied();
                let (inputs, mask) = ([query, key, value], this.mask::<T>(&[$($step)?]));
                let (heads, sequences) = (this.heads, y.ncols() / this.length);
                let kept = ViewMut::from_slice(kept, heads * this.length, sequences);
                let scratch = ViewMut::from_slice(scratch, scratch.len() / sequences, sequences);
                parallel::tiles([y, kept, scratch], heads, sequences, |h, b, [y, mut lse, mut s]| {
                    let (mut lse, mut s) = (lse.column_mut(0), s.column_mut(0));
                    let head = this.head(&inputs, (first.as_ref(), mask), (h, b));
                    head.forward(y, lse.as_mut_slice(), s.as_mut_slice());
                });
            }

            fn vjp<T: Real>(
                &self,
                [query, key, value $(, $first)? $(, $step)?]: [View<'_, T>; $n],
                y: View<'_, T>,
                dy: View<'_, T>,
                [dq, dk, dv, ..]: [Gradient<'_, T>; $n],
                Work { kept, scratch, .. }: Work<'_, T>,
            ) {
                let this = self.own();
                let first: Option<View<'_, T>> = [$($first)?].first().copied();
                let (inputs, mask) = ([query, key, value], this.mask::<T>(&[$($step)?]));
                let (rows, length) = (query.nrows() / this.heads, this.length);
                let sequences = query.ncols() / length;
                let kept = View::from_slice(kept, this.heads * length, sequences);
                let scratch = ViewMut::from_slice(scratch, scratch.len() / sequences, sequences);
                // An unwanted gradient has no rows.
                let [dq, dk, dv] = [dq, dk, dv].map(|gradient| {
                    let none = || ViewMut::from_slice(&mut [], 0, query.ncols());
                    gradient.zeroed().unwrap_or_else(none)
                });
                // A tile is a key-value head of a sequence, with the query heads that read it: none adds where
                // another does.
                let work = |read, b, [mut dq, mut dk, mut dv, mut s]: [ViewMut<'_, T>; 4]| {
                    let mut s = s.column_mut(0);
                    for (member, h) in this.groups().readers(read).enumerate() {
                        let own = [&y, &dy].map(|x| x.view((h * rows, b * length), (rows, length)));
                        let lse = &column(&kept, b)[h * length..][..length];
                        let own_rows = if dq.is_empty() { 0 } else { rows };
                        let dq = dq.rows_mut(member * own_rows, own_rows);
                        let gradients = [dq, dk.as_view_mut(), dv.as_view_mut()];
                        let head = this.head(&inputs, (first.as_ref(), mask), (h, b));
                        head.backward(own, lse, gradients, s.as_mut_slice());
                    }
                };
                parallel::tiles([dq, dk, dv, scratch], this.key_value_heads, sequences, work);
            }

            fn flops(&self, [query, ..]: [Shape; $n]) -> u64 {
                let this = self.own();
                let sequences = query.columns / this.length.max(1);
                let pairs = (sequences * this.scores.pairs(this.length) * this.heads) as u64;
                pairs * this.scores.pair_flops(query.rows / this.heads)
            }

            fn memory(&self, [query, ..]: [Shape; $n]) -> Memory {
                let this = self.own();
                // Forward works on all query heads at once and backward, with more blocks, on all key-value heads.
                let blocks = this.heads.max(backward_blocks(this.scores) * this.key_value_heads);
                let blocks = blocks * query.columns / this.length;
                let scratch = blocks * block_scratch(this.scores, this.length);
                Memory { kept: query.columns * this.heads, scratch }
            }
        }
    };
}

rules!(impl Primitive<3> for CausalAttention, "causal attention");
rules!(impl Primitive<4> for CausalAttention, "causal attention", step = step);
rules!(impl Primitive<4> for PackedAttention, "packed attention", first = first);
rules!(impl Primitive<5> for PackedAttention, "packed attention", first = first, step = step);

impl Cases for CausalAttention {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Heads { heads, key_value_heads, rows, length, sequences } = size {
            let parts = || {
                [heads, key_value_heads, key_value_heads]
                    .map(|heads| numbers(heads * rows, sequences * length))
            };
            let scores = Scores::default();
            let plain = CausalAttention { heads, key_value_heads, length, scores, dropout: None };
            visitor.visit(plain, parts());
            let window = Some(length.div_ceil(2));
            for scores in
                [Scores { window, ..scores }, Scores { scale: Some(0.7), cap: Some(2.0), window }]
            {
                visitor.visit(CausalAttention { scores, ..plain }, parts());
            }
            let order = dropout::Order::Columns;
            let dropout = Some(Dropout { rate: 0.3, seed: 11, stream: 5, order });
            for step in [dropout::step(3), dropout::EVALUATION] {
                let [query, key, value] = parts();
                let step = Operand::Constants(step.to_vec());
                for scores in [scores, Scores { cap: Some(2.0), window, ..scores }] {
                    let inputs = [query.clone(), key.clone(), value.clone(), step.clone()];
                    visitor.visit(CausalAttention { scores, dropout, ..plain }, inputs);
                }
            }
        }
    }
}

impl Cases for PackedAttention {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Heads { heads, key_value_heads, rows, length, sequences } = size {
            let columns = sequences * length;
            let parts = || {
                [heads, key_value_heads, key_value_heads]
                    .map(|heads| numbers(heads * rows, columns))
            };
            // Also such as no packing makes: each query's own, and beyond the query.
            let first = Operand::Indices { count: columns, below: length };
            let scores = Scores::default();
            let plain = CausalAttention { heads, key_value_heads, length, scores, dropout: None };
            let window = Some(length.div_ceil(2));
            for scores in [scores, Scores { scale: Some(0.7), cap: Some(2.0), window }] {
                let [query, key, value] = parts();
                let attention = CausalAttention { scores, ..plain };
                visitor.visit(PackedAttention { attention }, [query, key, value, first.clone()]);
            }
            let order = dropout::Order::Columns;
            let dropout = Some(Dropout { rate: 0.3, seed: 11, stream: 5, order });
            for step in [dropout::step(3), dropout::EVALUATION] {
                let [query, key, value] = parts();
                let step = Operand::Constants(step.to_vec());
                let attention = CausalAttention { dropout, ..plain };
                let inputs = [query, key, value, first.clone(), step];
                visitor.visit(PackedAttention { attention }, inputs);
            }
        }
    }
}
