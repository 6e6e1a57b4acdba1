//! Products of several matrices with the same columns, one below the other.
//!
//! Formula: <var>y = \[A_1; A_2; …\]·x</var>, with A_t (r_t × in), x (in × tokens) and y (Σ r_t × tokens). Gradients, with dy_t
//! the rows of A_t: dA_t = <var>dy_t·xᵀ</var>, dx = <var>Σ_t A_tᵀ·dy_t</var>. It is one product with the matrices below each
//! other: x and its gradient are read once, and not once for each matrix. In a transformer: the first factors of the adapters of
//! queries, keys and values.
//! Source: Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, 2021, section 4.1.

use crate::cases::{Cases, Operand, Size, Visitor, numbers};
use crate::formula::{Expression, I, J, K, TOKEN, at_most, cases, operand, sum, upstream};
use crate::operation::product::Product;
use crate::{
    Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, transposed,
};

/// The product of A_1, x, A_2, …: <var>\[A_1; A_2; …\]·x</var>. The operand x is the second.
///
/// ```
/// use linalg::{Shape, apply, matrix, stacked::Stacked};
/// let (a, b) = (matrix(1, 2, &[1.0, 2.0]), matrix(1, 2, &[0.0, -1.0]));
/// let x = matrix(2, 1, &[3.0, 4.0]);
/// assert_eq!(apply(&Stacked, [&a, &x, &b])?.as_slice(), [11.0, -4.0]);
/// # Ok::<(), linalg::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Stacked;

/// The number of x among the operands.
const X: usize = 1;

impl Stacked {
    /// Returns the numbers of the operands that are matrices, and their first rows.
    fn matrices(
        rows: impl Fn(usize) -> usize,
        operands: usize,
    ) -> impl Iterator<Item = (usize, usize)> {
        let mut start = 0;
        (0..operands).filter(|&k| k != X).map(move |k| {
            let first = start;
            start += rows(k);
            (k, first)
        })
    }

    /// Copies the matrices below each other.
    fn stack<'s, T: Real>(operands: &[View<'_, T>], y: usize, scratch: &'s mut [T]) -> View<'s, T> {
        let terms = operands[X].nrows();
        let mut stack = ViewMut::from_slice(&mut *scratch, y, terms);
        for (k, first) in Self::matrices(|k| operands[k].nrows(), operands.len()) {
            stack.rows_mut(first, operands[k].nrows()).copy_from(&operands[k]);
        }
        View::from_slice(scratch, y, terms)
    }

    fn fits(operands: &[Shape]) -> Result<Shape, ShapeError> {
        let x = operands[X];
        let mut rows = 0_usize;
        for (k, _) in Self::matrices(|_| 0, operands.len()) {
            operands[k].expect_columns("a matrix", x.rows)?;
            rows = rows.saturating_add(operands[k].rows);
        }
        Ok(Shape::new(rows, x.columns))
    }

    fn stated<T: Real, const N: usize>(operands: [View<'_, T>; N]) -> Formula {
        const NAMES: [&str; 5] = ["A", "x", "A′", "A″", "A‴"];
        let names: [&str; N] = std::array::from_fn(|k| NAMES[k.min(NAMES.len() - 1)]);
        let (inner, tokens) = operands[X].shape();
        let (x, dy) = (operand(X), upstream());
        let matrices: Vec<_> = Self::matrices(|k| operands[k].nrows(), N).collect();
        // The last matrix has the rows that no earlier one has.
        let element = matrices.iter().rev().fold(None, |rest: Option<Expression>, &(k, first)| {
            let own = operand(k).at(I - first, K);
            Some(match rest {
                None => own,
                Some(rest) => cases(at_most(I, first + operands[k].nrows() - 1), own, rest),
            })
        });
        let element = element.unwrap_or(Expression::Number(0.0));
        let mut f = Formula::new(
            "y",
            names,
            "Multiplies the inputs of a token by several matrices, one below the other.",
            "Hu et al., LoRA, 2021, section 4.1",
        )
        .value(sum(K, inner, element * x.at(K, J)));
        for k in 0..N {
            f = match matrices.iter().find(|(own, _)| *own == k) {
                Some((_, first)) => {
                    f.gradient(sum(TOKEN, tokens, dy.at(I + *first, TOKEN) * x.at(J, TOKEN)))
                }
                None => {
                    let sums = matrices.iter().map(|&(k, first)| {
                        sum(K, operands[k].nrows(), operand(k).at(K, I) * dy.at(K + first, J))
                    });
                    f.gradient(sums.reduce(|a, b| a + b).unwrap_or(Expression::Number(0.0)))
                }
            };
        }
        f
    }
}

/// The rules, by the number of operands.
macro_rules! rules {
    ($(impl Primitive<$n:literal> for Stacked;)+) => {$(
        impl Primitive<$n> for Stacked {
            fn name(&self) -> &'static str {
                "stacked product"
            }

            fn role(&self) -> Role {
                Role::Linear
            }

            fn factors(&self) -> Vec<[usize; 2]> {
                Self::matrices(|_| 0, $n).map(|(k, _)| [k, X]).collect()
            }

            fn shape(&self, operands: [Shape; $n]) -> Result<Shape, ShapeError> {
                Self::fits(&operands)
            }

            fn formula<T: Real>(&self, operands: [View<'_, T>; $n]) -> Formula {
                Self::stated(operands)
            }

            fn forward<T: Real>(
                &self,
                operands: [View<'_, T>; $n],
                y: ViewMut<'_, T>,
                work: Work<'_, T>,
            ) {
                let length = y.nrows() * operands[X].nrows();
                let stack = Self::stack(&operands, y.nrows(), &mut work.scratch[..length]);
                work.products.to(y, stack, operands[X], false);
            }

            fn vjp<T: Real>(
                &self,
                operands: [View<'_, T>; $n],
                _: View<'_, T>,
                dy: View<'_, T>,
                gradients: [Gradient<'_, T>; $n],
                work: Work<'_, T>,
            ) {
                let (rows, x) = (dy.nrows(), operands[X]);
                let scratch = &mut work.scratch[..rows * x.nrows()];
                let mut gradients = gradients.map(Some);
                if let Some(dx) = gradients[X].take() {
                    let stack = Self::stack(&operands, rows, &mut *scratch);
                    dx.add_product_of(work.products, transposed(stack), dy);
                }
                if gradients.iter().flatten().any(Gradient::is_wanted) {
                    // The stack of the matrices becomes that of their gradients.
                    let stack = ViewMut::from_slice(&mut *scratch, rows, x.nrows());
                    work.products.to(stack, dy, transposed(x), false);
                }
                let stack = View::from_slice(scratch, rows, x.nrows());
                for (k, first) in Self::matrices(|k| operands[k].nrows(), $n) {
                    if let Some(gradient) = gradients[k].take() {
                        gradient.add(stack.rows(first, operands[k].nrows()));
                    }
                }
            }

            fn flops(&self, operands: [Shape; $n]) -> u64 {
                let rows = Self::matrices(|_| 0, $n).map(|(k, _)| operands[k].rows as u64);
                2 * rows.sum::<u64>() * operands[X].len() as u64
            }

            fn vjp_reads(&self) -> Reads<$n> {
                Reads { inputs: [true; $n], output: false }
            }

            fn memory(&self, operands: [Shape; $n]) -> Memory {
                let rows = Self::matrices(|_| 0, $n).map(|(k, _)| operands[k].rows);
                Memory { kept: 0, scratch: rows.sum::<usize>() * operands[X].rows }
            }
        }
    )+};
}

// Two, three and four matrices.
rules! {
    impl Primitive<3> for Stacked;
    impl Primitive<4> for Stacked;
    impl Primitive<5> for Stacked;
}

impl Cases for Stacked {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        let Some((m, n, terms)) = Product::sizes(size) else { return };
        let operands = |k: usize| match k {
            X => numbers(terms, n),
            k => numbers(m / k.max(1) + 1, terms),
        };
        visitor.visit(Stacked, std::array::from_fn::<Operand, 3, _>(operands));
        visitor.visit(Stacked, std::array::from_fn::<Operand, 4, _>(operands));
        visitor.visit(Stacked, std::array::from_fn::<Operand, 5, _>(operands));
    }
}
