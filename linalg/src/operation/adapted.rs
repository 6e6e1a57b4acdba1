//! A linear map with adapters: a matrix, and products of thin matrices that are added to some of its rows.
//!
//! Formula: <var>y = W·x + s·Σ_t B_t·u_t</var> (+ b), with W (out × in), x (in × tokens), u_t = A_t·x (r × tokens) and B_t
//! (rows × r), whose product is added to a block of rows of y. Gradients, with dy_t the rows of B_t: dW = <var>dy·xᵀ</var>, dx =
//! <var>Wᵀ·dy</var>, dB_t = <var>s·dy_t·u_tᵀ</var>, du_t = <var>s·B_tᵀ·dy_t</var>, db = Σ over columns of dy.
//! The thin products are written first and the large one is added to them, so that y is not read for a sum of its own.
//! While every B is 0, y is W·x (+ b) exactly.
//! Source: Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, 2021, section 4.1.

use crate::cases::{Cases, Operand, Size, Visitor, numbers};
use crate::formula::{Expression, I, J, K, TOKEN, at_most, cases, operand, sum, upstream};
use crate::operation::{affine::add_columns, product::Product, rows::Rows};
use crate::{
    Formula, Gradient, Primitive, Products, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, kernel::product::product, parallel, transposed,
};

/// The linear map <var>y = W·x + s·Σ_t B_t·u_t</var> of W, x, and B_t and u_t for each of `C` adapters, with or without a
/// bias as the last operand.
///
/// ```
/// use linalg::{Primitive, Work, adapted::Adapted, matrix, rows::Rows};
/// let map = Adapted { factor: 0.5, rows: [Rows { start: 1, count: 1 }] };
/// let (w, x) = (matrix(2, 1, &[1.0, 2.0]), matrix(1, 1, &[3.0]));
/// let (b, u) = (matrix(1, 1, &[4.0]), matrix(1, 1, &[5.0]));
/// let mut y = matrix(2, 1, &[0.0; 2]);
/// let operands = [w.as_view(), x.as_view(), b.as_view(), u.as_view()];
/// map.forward(operands, y.as_view_mut(), Work::none());
/// assert_eq!(y.as_slice(), [3.0, 16.0]); // 1·3, and 2·3 + ½·4·5
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Adapted<const C: usize = 1> {
    /// The factor s.
    pub factor: f64,
    /// The rows of y that each adapter changes. They may overlap.
    pub rows: [Rows; C],
}

impl<const C: usize> Adapted<C> {
    /// Returns the numbers of the operands B_t and u_t.
    fn pair(t: usize) -> [usize; 2] {
        [2 + 2 * t, 3 + 2 * t]
    }

    /// Returns the number of the bias.
    const BIAS: usize = 2 + 2 * C;

    /// Whether an adapter's rows have a row in common with those of an earlier one.
    fn meets_earlier(&self, t: usize) -> bool {
        let Rows { start, count } = self.rows[t];
        self.rows[..t].iter().any(|r| r.start < start + count && start < r.start + r.count)
    }

    /// Whether each of so many rows is changed by an adapter.
    fn covers(&self, rows: usize) -> bool {
        let first = (0..C).filter(|&t| !self.meets_earlier(t));
        first.map(|t| self.rows[t].count).sum::<usize>() == rows
    }

    fn fits(&self, operands: &[Shape]) -> Result<Shape, ShapeError> {
        let (w, x) = (operands[0], operands[1]);
        x.expect_rows("x", w.columns)?;
        for (t, rows) in self.rows.into_iter().enumerate() {
            let [b, u] = Self::pair(t).map(|k| operands[k]);
            rows.shape([Shape::new(w.rows, x.columns)])?;
            b.expect_rows("the adapter's B", rows.count)?;
            u.expect("the adapter's A·x", Shape::new(b.columns, x.columns))?;
        }
        if let Some(bias) = operands.get(Self::BIAS) {
            bias.expect("the bias", Shape::new(w.rows, 1))?;
        }
        Ok(Shape::new(w.rows, x.columns))
    }

    fn stated<T: Real, const N: usize>(&self, operands: [View<'_, T>; N]) -> Formula {
        const NAMES: [&str; 10] = ["W", "x", "B", "u", "B′", "u′", "B″", "u″", "B‴", "u‴"];
        let names: [&str; N] =
            std::array::from_fn(
                |k| if k == Self::BIAS { "b" } else { NAMES[k.min(NAMES.len() - 1)] },
            );
        let (out, inner) = operands[0].shape();
        let tokens = operands[1].ncols();
        let (w, x, dy, s) = (operand(0), operand(1), upstream(), self.factor);
        let mut value: Expression = sum(K, inner, w.at(I, K) * x.at(K, J));
        for (t, Rows { start, count }) in self.rows.into_iter().enumerate() {
            let [b, u] = Self::pair(t);
            let product =
                sum(K, operands[b].ncols(), operand(b).at(I - start, K) * operand(u).at(K, J));
            let last = start + count - 1;
            let inside = cases(at_most(I, last), s * product, 0.0);
            value = value + cases(at_most(start, I), inside, 0.0);
        }
        if Self::BIAS < N {
            value = value + operand(Self::BIAS).at(I, 0);
        }
        let mut f = Formula::new(
            "y",
            names,
            "Every output is a weighted sum of all inputs of its token; beside the frozen weights, adapters of low rank add \
             to some rows.",
            "Hu et al., LoRA, 2021, section 4.1",
        )
        .value(value)
        .gradient(sum(TOKEN, tokens, dy.at(I, TOKEN) * x.at(J, TOKEN)))
        .gradient(sum(K, out, w.at(K, I) * dy.at(K, J)));
        for (t, Rows { start, count }) in self.rows.into_iter().enumerate() {
            let [b, u] = Self::pair(t).map(operand);
            f = f
                .gradient(s * sum(TOKEN, tokens, dy.at(I + start, TOKEN) * u.at(J, TOKEN)))
                .gradient(s * sum(K, count, b.at(K, I) * dy.at(K + start, J)));
        }
        match Self::BIAS < N {
            true => f.gradient(sum(TOKEN, tokens, dy.at(I, TOKEN))),
            false => f,
        }
    }

    fn write<T: Real>(&self, products: Products, operands: &[View<'_, T>], mut y: ViewMut<'_, T>) {
        let bias = operands.get(Self::BIAS);
        // Rows that no adapter writes begin with the bias or 0.
        let begun = bias.is_some() || !self.covers(y.nrows());
        match bias {
            Some(bias) => y.column_iter_mut().for_each(|mut y| y.copy_from(bias)),
            None if begun => parallel::fill(y.as_view_mut(), T::zero()),
            None => {}
        }
        for (t, rows) in self.rows.into_iter().enumerate() {
            let [b, u] = Self::pair(t).map(|k| operands[k]);
            let y = y.rows_mut(rows.start, rows.count);
            let add = begun || self.meets_earlier(t);
            product(Products::Full, y, T::from_f64(self.factor), b.into(), u.into(), add);
        }
        products.to(y, operands[0], operands[1], true);
    }

    fn send_back<'a, T: Real>(
        &self,
        products: Products,
        operands: &[View<'_, T>],
        dy: View<'_, T>,
        gradients: impl IntoIterator<Item = Gradient<'a, T>>,
    ) {
        let mut gradients = gradients.into_iter();
        let mut next = || gradients.next().unwrap_or(Gradient::unwanted());
        let (w, x, s) = (operands[0], operands[1], T::from_f64(self.factor));
        let [dw, dx] = [next(), next()];
        let pairs = std::array::from_fn::<_, C, _>(|_| [next(), next()]);
        let db = next();
        parallel::join(
            || dx.add_product_of(products, transposed(w), dy),
            || {
                dw.add_product_of(products, dy, transposed(x));
                for (t, (rows, [db, du])) in self.rows.iter().zip(pairs).enumerate() {
                    let [b, u] = Self::pair(t).map(|k| operands[k]);
                    let dy = dy.rows(rows.start, rows.count);
                    du.add_scaled_product(s, transposed(b), dy);
                    db.add_scaled_product(s, dy, transposed(u));
                }
                if let Some(db) = db.zeroed() {
                    add_columns(db, dy);
                }
            },
        );
    }
}

/// The rules, by the number of operands.
macro_rules! rules {
    ($(impl Primitive<$n:literal> for Adapted<$count:literal>;)+) => {$(
        impl Primitive<$n> for Adapted<$count> {
            fn name(&self) -> &'static str {
                "linear map with adapters"
            }

            fn role(&self) -> Role {
                Role::Linear
            }

            fn factors(&self) -> Vec<[usize; 2]> {
                [[0, 1]].into_iter().chain((0..$count).map(Self::pair)).collect()
            }

            fn shape(&self, operands: [Shape; $n]) -> Result<Shape, ShapeError> {
                self.fits(&operands)
            }

            fn formula<T: Real>(&self, operands: [View<'_, T>; $n]) -> Formula {
                self.stated(operands)
            }

            fn forward<T: Real>(
                &self,
                operands: [View<'_, T>; $n],
                y: ViewMut<'_, T>,
                work: Work<'_, T>,
            ) {
                self.write(work.products, &operands, y);
            }

            fn vjp<T: Real>(
                &self,
                operands: [View<'_, T>; $n],
                _: View<'_, T>,
                dy: View<'_, T>,
                gradients: [Gradient<'_, T>; $n],
                work: Work<'_, T>,
            ) {
                self.send_back(work.products, &operands, dy, gradients);
            }

            fn flops(&self, operands: [Shape; $n]) -> u64 {
                let tokens = operands[1].columns as u64;
                let bias = operands.get(Self::BIAS).map_or(0, |b| b.len() as u64);
                let pairs = Primitive::<$n>::factors(self);
                let products = pairs.into_iter().map(|[matrix, _]| 2 * operands[matrix].len() as u64);
                (products.sum::<u64>() + bias) * tokens
            }

            fn vjp_reads(&self) -> Reads<$n> {
                Reads { inputs: std::array::from_fn(|k| k != Self::BIAS), output: false }
            }
        }
    )+};
}

// Without and with a bias.
rules! {
    impl Primitive<4> for Adapted<1>;
    impl Primitive<5> for Adapted<1>;
    impl Primitive<6> for Adapted<2>;
    impl Primitive<7> for Adapted<2>;
    impl Primitive<8> for Adapted<3>;
    impl Primitive<9> for Adapted<3>;
    impl Primitive<10> for Adapted<4>;
    impl Primitive<11> for Adapted<4>;
}

/// The cases of every number of adapters: of some rows, of all rows in parts, and of rows that overlap.
impl Cases for Adapted {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        const RANK: usize = 3;
        let Some((m, n, terms)) = Product::sizes(size) else { return };
        let part = |start: usize, end: usize| {
            let start = start.min(m - 1);
            Rows { start, count: end.clamp(start + 1, m) - start }
        };
        macro_rules! visit {
            ($count:literal, $n:literal, $rows:expr) => {{
                let map = Adapted::<$count> { factor: 0.75, rows: $rows };
                let operands: [Operand; $n] = std::array::from_fn(|k| match k {
                    0 => numbers(m, terms),
                    1 => numbers(terms, n),
                    k if k == Adapted::<$count>::BIAS => numbers(m, 1),
                    k if k % 2 == 0 => numbers(map.rows[k / 2 - 1].count, RANK),
                    _ => numbers(RANK, n),
                });
                visitor.visit(map, operands);
            }};
        }
        let [third, half] = [m / 3, m / 2];
        visit!(1, 4, [part(0, m)]);
        visit!(1, 4, [part(third, half)]);
        visit!(1, 5, [part(third, m)]);
        if m >= 2 {
            visit!(2, 6, [part(0, half), part(half, m)]);
        }
        visit!(2, 7, [part(0, third), part(half, m)]);
        visit!(3, 8, [part(0, m), part(0, half), part(half, m)]);
        visit!(3, 9, [part(0, third), part(third, half), part(half, m)]);
        visit!(4, 10, [part(0, m), part(0, third), part(third, half), part(half, m)]);
        visit!(4, 11, [part(0, m), part(0, third), part(third, half), part(half, m)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Matrix, apply};

    fn integers(rows: usize, columns: usize, seed: usize) -> Matrix<f64> {
        Matrix::from_fn(rows, columns, |i, j| ((seed + 7 * i + 13 * j + i * j) % 11) as f64 - 5.0)
    }

    /// Small integers are exact: rows that two adapters change have both changes, and rows that none changes are W·x + b.
    #[test]
    fn overlapping_adapters_add_up() {
        let [w, x, bias] = [integers(6, 4, 1), integers(4, 3, 2), integers(6, 1, 3)];
        let rows = [Rows { start: 0, count: 6 }, Rows { start: 2, count: 3 }];
        let [b, c] = [integers(6, 2, 4), integers(3, 2, 5)];
        let [u, v] = [integers(2, 3, 6), integers(2, 3, 7)];
        let mut expected = &w * &x + &b * &u * 2.0;
        let mut changed = expected.rows_mut(2, 3);
        changed += &c * &v * 2.0;
        let map = Adapted { factor: 2.0, rows };
        assert_eq!(apply(&map, [&w, &x, &b, &u, &c, &v]).unwrap(), expected);
        expected.column_iter_mut().for_each(|mut y| y += &bias);
        assert_eq!(apply(&map, [&w, &x, &b, &u, &c, &v, &bias]).unwrap(), expected);
    }

    #[test]
    fn misfits_are_refused() {
        let shape = Shape::new;
        let map = Adapted { factor: 1.0, rows: [Rows { start: 2, count: 3 }] };
        let [w, x, b, u] = [shape(6, 4), shape(4, 5), shape(3, 2), shape(2, 5)];
        assert_eq!(map.shape([w, x, b, u]), Ok(shape(6, 5)));
        assert!(map.shape([shape(4, 4), x, b, u]).is_err(), "rows beyond the last");
        assert!(map.shape([w, shape(3, 5), b, u]).is_err() && map.shape([w, x, u, u]).is_err());
        assert!(map.shape([w, x, b, shape(2, 4)]).is_err());
        assert!(map.shape([w, x, b, u, shape(5, 1)]).is_err(), "a shorter bias");
    }
}
