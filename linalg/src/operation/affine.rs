//! The affine map of every linear layer.
//!
//! Formula: <var>y = W·x + b</var> for each column x, with W (out × in) and b (out × 1).
//! Gradients: dW = <var>dy·xᵀ</var>, dx = <var>Wᵀ·dy</var>, db = Σ over columns of dy.
//! Source: the textbook's A.1 writes <var>Y = X·W + b</var> with a token per row: the same bytes.

use crate::cases::{Cases, Size, Visitor, numbers};
use crate::formula::{I, J, K, TOKEN, operand, sum, upstream};
use crate::operation::product::Product;
use crate::{
    Formula, Gradient, Matrix, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, apply, column, parallel, transposed, vector,
};

/// Returns <var>W·x + b</var> for every column of x.
///
/// Shapes: W (out × in), x (in × tokens), b (out × 1), result (out × tokens). Floats: IEEE; NaN and ∞ propagate.
///
/// ```
/// use linalg::{affine::affine, matrix};
/// let w = matrix(2, 2, &[1.0, 0.0, 2.0, 1.0]);
/// let y = affine(&w, &matrix(2, 1, &[3.0, 4.0]), &matrix(2, 1, &[0.5, -0.5]))?;
/// assert_eq!(y.as_slice(), &[11.5, 3.5]);
/// # Ok::<(), linalg::ShapeError>(())
/// ```
#[doc(alias = "linear")]
pub fn affine<T: Real>(
    w: &Matrix<T>,
    x: &Matrix<T>,
    b: &Matrix<T>,
) -> Result<Matrix<T>, ShapeError> {
    apply(&Affine, [w, x, b])
}

/// The affine map <var>y = W·x + b</var>.
///
/// ```
/// use linalg::{Primitive, Shape, affine::Affine};
/// // The expansion of a feed-forward layer: 768 → 3072, on 4 tokens.
/// let [w, x, b] = [Shape::new(3072, 768), Shape::new(768, 4), Shape::new(3072, 1)];
/// assert_eq!(Affine.shape([w, x, b]), Ok(Shape::new(3072, 4)));
/// assert!(Affine.shape([w, x, Shape::new(768, 1)]).is_err());
/// ```
#[doc(alias = "linear")]
#[doc(alias = "addmm")]
#[derive(Clone, Copy, Debug)]
pub struct Affine;

impl Primitive<3> for Affine {
    fn name(&self) -> &'static str {
        "affine map"
    }

    fn role(&self) -> Role {
        Role::Linear
    }

    fn shape(&self, [w, x, b]: [Shape; 3]) -> Result<Shape, ShapeError> {
        x.expect_rows("x", w.columns)?;
        b.expect("the bias", Shape::new(w.rows, 1))?;
        Ok(Shape::new(w.rows, x.columns))
    }

    fn formula<T: Real>(&self, [w, x, _]: [View<'_, T>; 3]) -> Formula {
        let (out, inner, tokens) = (w.nrows(), w.ncols(), x.ncols());
        let (w, x, b, dy) = (operand(0), operand(1), operand(2), upstream());
        Formula::new(
            "y",
            ["W", "x", "b"],
            "Every output is a weighted sum of all inputs of its token, plus a bias.",
            "the textbook's A.1, with a token per column",
        )
        .value(sum(K, inner, w.at(I, K) * x.at(K, J)) + b.at(I, 0))
        .gradient(sum(TOKEN, tokens, dy.at(I, TOKEN) * x.at(J, TOKEN)))
        .gradient(sum(K, out, w.at(K, I) * dy.at(K, J)))
        .gradient(sum(TOKEN, tokens, dy.at(I, TOKEN)))
    }

    fn forward<T: Real>(
        &self,
        [w, x, b]: [View<'_, T>; 3],
        mut y: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        for mut y in y.column_iter_mut() {
            y.copy_from(&b);
        }
        work.products.to(y, w, x, true);
    }

    fn vjp<T: Real>(
        &self,
        [w, x, _]: [View<'_, T>; 3],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dw, dx, db]: [Gradient<'_, T>; 3],
        work: Work<'_, T>,
    ) {
        let products = work.products;
        parallel::join(
            || dx.add_product_of(products, transposed(w), dy),
            || {
                dw.add_product_of(products, dy, transposed(x));
                if let Some(db) = db.zeroed() {
                    add_columns(db, dy);
                }
            },
        );
    }

    fn flops(&self, [w, x, _]: [Shape; 3]) -> u64 {
        (2 * w.len() as u64 + w.rows as u64) * x.columns as u64
    }

    fn vjp_reads(&self) -> Reads<3> {
        Reads { inputs: [true, true, false], output: false }
    }
}

impl Cases for Affine {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Some((m, n, terms)) = Product::sizes(size) {
            visitor.visit(Affine, [numbers(m, terms), numbers(terms, n), numbers(m, 1)]);
        }
    }
}

/// Adds every column of `x` to the single column `sum`: the gradient of a column that was broadcast over tokens. Does
/// nothing if `x` has no columns. Floats: IEEE.
///
/// # Panics
/// If the numbers of rows differ.
///
/// ```
/// use linalg::{affine::add_columns, matrix};
/// let mut sum = matrix(2, 1, &[10.0, 20.0]);
/// add_columns(sum.as_view_mut(), matrix(2, 2, &[1.0, 2.0, 3.0, 4.0]).as_view());
/// assert_eq!(sum.as_slice(), &[14.0, 26.0]);
/// ```
pub fn add_columns<T: Real>(sum: ViewMut<'_, T>, x: View<'_, T>) {
    parallel::rows([sum], vector::MOST_ROWS, |first, [mut sum]| {
        let rows = first..first + sum.nrows();
        T::simd(
            #[inline(always)]
            || {
                let mut sum = sum.column_mut(0);
                vector::add_all(sum.as_mut_slice(), x.ncols(), |j, sum| {
                    vector::axpy(sum, T::one(), &column(&x, j)[rows.clone()]);
                });
            },
        );
    });
}
