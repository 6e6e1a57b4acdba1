//! The matrix product, of matrices and of their transposes.
//!
//! Formula: <var>C = A·B</var>, <var>c_ij = Σ_k a_ik·b_kj</var>. Gradients: dA = <var>dC·Bᵀ</var>, dB =
//! <var>Aᵀ·dC</var>.
//! Source: Goodfellow, Bengio, Courville, *Deep Learning*, section 6.5.6.

use crate::cases::{Cases, Size, Visitor, numbers};
use crate::formula::{I, J, K, TOKEN, operand, sum, upstream};
use crate::kernel::factor::{Factor, transposed};
use crate::{
    Formula, Gradient, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut, Work,
    parallel,
};

/// The recorded product: <var>A·B</var>, or <var>Aᵀ·B</var>.
///
/// Aᵀ·B compares every column of A with every column of B. If A is the embedding table, it gives the logits of a model
/// whose output weights are *tied* to its embeddings.
///
/// ```
/// use linalg::{Primitive, Shape, product::Product};
/// let logits = Product::transposed().shape([Shape::new(128, 65), Shape::new(128, 10)]);
/// assert_eq!(logits, Ok(Shape::new(65, 10)));
/// ```
#[doc(alias = "matmul")]
#[doc(alias = "mm")]
#[derive(Clone, Copy, Debug)]
pub struct Product {
    transposed: bool,
}

impl Product {
    /// Creates the product <var>A·B</var>.
    pub fn plain() -> Self {
        Product { transposed: false }
    }

    /// Creates the product <var>Aᵀ·B</var>.
    pub fn transposed() -> Self {
        Product { transposed: true }
    }
}

impl Primitive<2> for Product {
    fn name(&self) -> &'static str {
        if self.transposed { "product with a transpose" } else { "product" }
    }

    fn role(&self) -> Role {
        Role::Linear
    }

    fn shape(&self, [a, b]: [Shape; 2]) -> Result<Shape, ShapeError> {
        let (rows, inner) = if self.transposed { (a.columns, a.rows) } else { (a.rows, a.columns) };
        b.expect_rows("the right factor", inner)?;
        Ok(Shape::new(rows, b.columns))
    }

    fn formula<T: Real>(&self, [a, b]: [View<'_, T>; 2]) -> Formula {
        let (rows, tokens) = (a.nrows(), b.ncols());
        let outer = if self.transposed { a.ncols() } else { a.nrows() };
        let inner = b.nrows();
        let source = "Goodfellow, Bengio, Courville, Deep Learning, section 6.5.6";
        let (x, dy) = (operand(1), upstream());
        let w = operand(0);
        if self.transposed {
            let meaning = "Compares every column of one matrix with every column of another: a token \
                           with each word of the vocabulary.";
            Formula::new("y", ["A", "x"], meaning, source)
                .value(sum(K, rows, w.at(K, I) * x.at(K, J)))
                .gradient(sum(TOKEN, tokens, x.at(I, TOKEN) * dy.at(J, TOKEN)))
                .gradient(sum(K, outer, w.at(I, K) * dy.at(K, J)))
        } else {
            let meaning = "Every output is a weighted sum of all inputs of its token.";
            Formula::new("y", ["W", "x"], meaning, source)
                .value(sum(K, inner, w.at(I, K) * x.at(K, J)))
                .gradient(sum(TOKEN, tokens, dy.at(I, TOKEN) * x.at(J, TOKEN)))
                .gradient(sum(K, outer, w.at(K, I) * dy.at(K, J)))
        }
    }

    fn forward<T: Real>(&self, [a, b]: [View<'_, T>; 2], y: ViewMut<'_, T>, work: Work<'_, T>) {
        work.products.to(y, Factor { view: a, transposed: self.transposed }, b, false);
    }

    fn vjp<T: Real>(
        &self,
        [a, b]: [View<'_, T>; 2],
        _: View<'_, T>,
        dy: View<'_, T>,
        [da, db]: [Gradient<'_, T>; 2],
        work: Work<'_, T>,
    ) {
        let products = work.products;
        let back = Factor { view: a, transposed: !self.transposed };
        parallel::join(
            || db.add_product_of(products, back, dy),
            || match self.transposed {
                false => da.add_product_of(products, dy, transposed(b)),
                true => da.add_product_of(products, b, transposed(dy)),
            },
        );
    }

    fn flops(&self, [a, b]: [Shape; 2]) -> u64 {
        2 * a.len() as u64 * b.columns as u64
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [true; 2], output: false }
    }
}

impl Product {
    /// Returns the rows, columns and terms of a case: the largest product is cut into parts, and so are those of its
    /// gradients.
    pub(crate) fn sizes(size: Size) -> Option<(usize, usize, usize)> {
        match size {
            Size::Matrix(m, n) => Some((m, n, 5)),
            Size::Pieces => Some((130, 80, 100)),
            Size::Heads { .. } => None,
        }
    }
}

impl Cases for Product {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Some((m, n, terms)) = Product::sizes(size) {
            visitor.visit(Product::plain(), [numbers(m, terms), numbers(terms, n)]);
            visitor.visit(Product::transposed(), [numbers(terms, m), numbers(terms, n)]);
        }
    }
}
