//! Rows of a linear map, multiplied by a learned magnitude over a norm: the direction of each row of weights is kept, and its
//! length is learned.
//!
//! Formula: <var>z = y + (m/n − 1)·(y − b)</var> in a block of rows, with y (out × tokens), m and n (rows × 1) and the bias b that is in y
//! (out × 1, or none); z = y in other rows. Gradients: dy = <var>(m/n)·dz</var>, dm = Σ over columns of <var>dz·(y − b)/n</var>, dn =
//! <var>−(m/n)·dm</var>, db = <var>(1 − m/n)</var>·Σ over columns of dz. While m = n, z is y exactly.
//! Source: Liu et al., *DoRA: Weight-Decomposed Low-Rank Adaptation*, 2024, equation 5.

use crate::cases::{Cases, Operand, Size, Visitor, numbers};
use crate::formula::{
    Expression, I, Index, J, Letter, TOKEN, at_most, cases, operand, sum, upstream,
};
use crate::operation::rows::Rows;
use crate::{
    Formula, Gradient, Primitive, Reads, Real, Shape, ShapeError, View, ViewMut, Work, column,
    parallel, vector,
};

/// The map y, m, n to z, with or without the bias of y as the last operand.
///
/// ```
/// use linalg::{Primitive, Work, matrix, rescaled::Rescaled, rows::Rows};
/// let map = Rescaled { rows: Rows { start: 1, count: 1 } };
/// let (y, m, n) = (matrix(2, 1, &[3.0, 4.0]), matrix(1, 1, &[6.0]), matrix(1, 1, &[2.0]));
/// let mut z = matrix(2, 1, &[0.0; 2]);
/// map.forward([y.as_view(), m.as_view(), n.as_view()], z.as_view_mut(), Work::none());
/// assert_eq!(z.as_slice(), [3.0, 12.0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rescaled {
    /// The rows of y that are multiplied.
    pub rows: Rows,
}

impl Rescaled {
    fn fits(&self, operands: &[Shape]) -> Result<Shape, ShapeError> {
        let y = operands[0];
        let rows = Shape::new(self.rows.shape([y])?.rows, 1);
        operands[1].expect("the magnitudes", rows)?;
        operands[2].expect("the norms", rows)?;
        if let Some(bias) = operands.get(3) {
            bias.expect("the bias", Shape::new(y.rows, 1))?;
        }
        Ok(y)
    }

    fn stated<T: Real, const N: usize>(&self, operands: [View<'_, T>; N]) -> Formula {
        let names: [&str; N] = std::array::from_fn(|k| ["y", "m", "n", "b"][k.min(3)]);
        let Rows { start, count } = self.rows;
        let tokens = operands[0].ncols();
        let (y, m, n, dz) = (operand(0), operand(1), operand(2), upstream());
        let bare = |row: Index, column: Letter| match N {
            4 => y.at(row.clone(), column) - operand(3).at(row, 0),
            _ => y.at(row, column),
        };
        let inside = |inside: Expression, outside: Expression| {
            let low = cases(at_most(I, start + count - 1), inside, outside.clone());
            cases(at_most(start, I), low, outside)
        };
        let ratio = || m.at(I - start, 0) / n.at(I - start, 0);
        let own = ratio();
        let sent =
            || sum(TOKEN, tokens, dz.at(I + start, TOKEN) * bare(I + start, TOKEN) / n.at(I, 0));
        let f = Formula::new(
            "z",
            names,
            "Each row of weights keeps its direction, and its length is the learned magnitude.",
            "Liu et al., DoRA, 2024, equation 5",
        )
        .value(inside(y.at(I, J) + (own - 1.0) * bare(I.into(), J), y.at(I, J)))
        .gradient(inside(ratio() * dz.at(I, J), dz.at(I, J)))
        .gradient(sent())
        .gradient(-(m.at(I, 0) / n.at(I, 0)) * sent());
        match N {
            4 => {
                let all = sum(TOKEN, tokens, dz.at(I, TOKEN));
                f.gradient(inside((1.0 - ratio()) * all, 0.0.into()))
            }
            _ => f,
        }
    }

    fn write<T: Real>(&self, operands: &[View<'_, T>], z: ViewMut<'_, T>) {
        let (y, m, n) = (operands[0], column(&operands[1], 0), column(&operands[2], 0));
        let bias = operands.get(3).map(|bias| &column(bias, 0)[self.range()]);
        parallel::each_column([z], |j, [z]| {
            z.copy_from_slice(column(&y, j));
            for (i, z) in z[self.range()].iter_mut().enumerate() {
                let bare = bias.map_or(*z, |bias| *z - bias[i]);
                *z += (m[i] / n[i] - T::one()) * bare;
            }
        });
    }

    fn range(&self) -> std::ops::Range<usize> {
        self.rows.start..self.rows.start + self.rows.count
    }

    fn send_back<'a, T: Real>(
        &self,
        operands: &[View<'_, T>],
        dz: View<'_, T>,
        gradients: impl IntoIterator<Item = Gradient<'a, T>>,
    ) {
        let mut gradients = gradients.into_iter();
        let mut next = || gradients.next().unwrap_or(Gradient::unwanted());
        let [dy, dm, dn, db] = [next(), next(), next(), next()];
        let (y, m, n) = (operands[0], column(&operands[1], 0), column(&operands[2], 0));
        let bias = operands.get(3).map(|bias| &column(bias, 0)[self.range()]);
        let ratio = |i: usize| m[i] / n[i];
        dy.add_each_column(|j, dy| {
            let (dz, own) = (column(&dz, j), self.range());
            dy.iter_mut().zip(dz).enumerate().for_each(|(i, (dy, dz))| {
                *dy += if own.contains(&i) { ratio(i - own.start) * *dz } else { *dz };
            });
        });
        let terms = (y, dz, bias);
        self.add_rows(dm.zeroed(), terms, |i, dz, bare| dz * bare / n[i]);
        self.add_rows(dn.zeroed(), terms, |i, dz, bare| -ratio(i) * (dz * bare / n[i]));
        if let Some(mut db) = db.zeroed() {
            let own = db.rows_mut(self.rows.start, self.rows.count);
            self.add_rows(Some(own), terms, |i, dz, _| (T::one() - ratio(i)) * dz);
        }
    }

    /// Adds to each row of a sum its terms of all columns, in order: of the row's number, dz and y − b.
    fn add_rows<T: Real>(
        &self,
        sum: Option<ViewMut<'_, T>>,
        (y, dz, bias): (View<'_, T>, View<'_, T>, Option<&[T]>),
        term: impl Fn(usize, T, T) -> T + Sync,
    ) {
        let Some(sum) = sum else { return };
        parallel::rows([sum], vector::MOST_ROWS, |first, [mut sum]| {
            let own = self.rows.start + first..self.rows.start + first + sum.nrows();
            for j in 0..y.ncols() {
                let (y, dz) = (&column(&y, j)[own.clone()], &column(&dz, j)[own.clone()]);
                for (i, sum) in sum.iter_mut().enumerate() {
                    let bare = bias.map_or(y[i], |bias| y[i] - bias[first + i]);
                    *sum += term(first + i, dz[i], bare);
                }
            }
        });
    }
}

/// The rules, without and with a bias.
macro_rules! rules {
    ($(impl Primitive<$n:literal> for Rescaled;)+) => {$(
        impl Primitive<$n> for Rescaled {
            fn name(&self) -> &'static str {
                "rescaled rows"
            }

            fn shape(&self, operands: [Shape; $n]) -> Result<Shape, ShapeError> {
                self.fits(&operands)
            }

            fn formula<T: Real>(&self, operands: [View<'_, T>; $n]) -> Formula {
                self.stated(operands)
            }

            fn forward<T: Real>(&self, operands: [View<'_, T>; $n], z: ViewMut<'_, T>, _: Work<'_, T>) {
                self.write(&operands, z);
            }

            fn vjp<T: Real>(
                &self,
                operands: [View<'_, T>; $n],
                _: View<'_, T>,
                dz: View<'_, T>,
                gradients: [Gradient<'_, T>; $n],
                _: Work<'_, T>,
            ) {
                self.send_back(&operands, dz, gradients);
            }

            fn flops(&self, [y, ..]: [Shape; $n]) -> u64 {
                4 * (self.rows.count * y.columns) as u64
            }

            fn vjp_reads(&self) -> Reads<$n> {
                Reads { inputs: [true; $n], output: false }
            }

            fn is_cheap(&self) -> bool {
                true
            }
        }
    )+};
}

rules! {
    impl Primitive<3> for Rescaled;
    impl Primitive<4> for Rescaled;
}

impl Cases for Rescaled {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        let (m, n) = match size {
            Size::Matrix(m, n) => (m, n),
            Size::Pieces => (600, 70),
            Size::Heads { .. } => return,
        };
        for (start, end) in [(0, m), (m / 3, m / 2)] {
            let rows = Rows { start, count: end.max(start + 1) - start };
            let own = Shape::new(rows.count, 1);
            let [y, magnitudes, norms] =
                [numbers(m, n), numbers(rows.count, 1), Operand::Probabilities(own)];
            let (plain, bias) = (Rescaled { rows }, numbers(m, 1));
            let visited: [Operand; 3] = [y.clone(), magnitudes.clone(), norms.clone()];
            visitor.visit(plain, visited);
            visitor.visit(plain, [y, magnitudes, norms, bias]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Matrix, apply};

    #[test]
    fn magnitudes_equal_to_norms_change_no_bit() {
        let y = Matrix::from_fn(5, 4, |i, j| (i as f32 + 0.1) / (j as f32 + 0.3));
        let bias = Matrix::from_fn(5, 1, |i, _| 0.7 * i as f32);
        let n = Matrix::from_fn(3, 1, |i, _| 1.3 + i as f32);
        let map = Rescaled { rows: Rows { start: 1, count: 3 } };
        assert_eq!(apply(&map, [&y, &n, &n, &bias]).unwrap(), y);
        assert_eq!(apply(&map, [&y, &n, &n]).unwrap(), y);
    }
}
