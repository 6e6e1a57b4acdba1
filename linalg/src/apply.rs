//! Evaluates any primitive as a plain function: operands in, a matrix out, memory allocated inside.

use crate::{Factor, Gradient, Matrix, Primitive, Real, Shape, ShapeError, Work, product_into};

/// Returns the value of a primitive.
///
/// Intended for a single evaluation. For a step that is replayed thousands of times, use the recorder of the calculus
/// crate, which allocates its memory once.
///
/// ```
/// use linalg::{apply, affine::Affine, matrix};
/// // The feed-forward example of the textbook's chapter on the transformer, x·W₁ before ReLU.
/// let w = matrix(4, 3, &[1.0, 0.0, -1.0, 0.5, 0.0, 1.0, 0.0, -1.0, 0.5, -0.5, 1.0, 0.0]);
/// let x = matrix(3, 1, &[0.5, -1.0, 0.8]);
/// let y = apply(&Affine, [&w, &x, &matrix(4, 1, &[0.0; 4])])?;
/// assert!((y - matrix(4, 1, &[0.9, -1.4, 0.3, 1.25])).norm() < 1e-15);
/// # Ok::<(), linalg::ShapeError>(())
/// ```
pub fn apply<T: Real, const N: usize>(
    primitive: &impl Primitive<N>,
    inputs: [&Matrix<T>; N],
) -> Result<Matrix<T>, ShapeError> {
    Ok(run(primitive, inputs)?.output)
}

/// Returns the gradient of every operand, from the gradient of the value: <var>Jᵀ·upstream</var>.
///
/// ```
/// use linalg::{hadamard::Hadamard, matrix, pullback};
/// let (a, b) = (matrix(1, 2, &[2.0, 3.0]), matrix(1, 2, &[5.0, 7.0]));
/// let [da, db] = pullback(&Hadamard, [&a, &b], &matrix(1, 2, &[1.0, 10.0]))?;
/// assert_eq!((da.as_slice(), db.as_slice()), (&[5.0, 70.0][..], &[2.0, 30.0][..]));
/// # Ok::<(), linalg::ShapeError>(())
/// ```
pub fn pullback<T: Real, const N: usize>(
    primitive: &impl Primitive<N>,
    inputs: [&Matrix<T>; N],
    upstream: &Matrix<T>,
) -> Result<[Matrix<T>; N], ShapeError> {
    let mut pass = run(primitive, inputs)?;
    let shape = Shape::new(pass.output.nrows(), pass.output.ncols());
    Shape::new(upstream.nrows(), upstream.ncols()).expect("the upstream gradient", shape)?;
    let mut gradients = inputs.map(|x| Matrix::zeros(x.nrows(), x.ncols()));
    primitive.vjp(
        inputs.map(|x| x.as_view()),
        pass.output.as_view(),
        upstream.as_view(),
        gradients.each_mut().map(|g| Gradient::fresh(g.as_view_mut())),
        Work::new(&mut pass.kept, &mut pass.scratch),
    );
    Ok(gradients)
}

/// Returns <var>A·B</var> for factors whose shapes are known to fit.
pub(crate) fn multiply<'a, 'b, T: Real>(
    a: impl Into<Factor<'a, T>>,
    b: impl Into<Factor<'b, T>>,
) -> Matrix<T> {
    let (a, b) = (a.into(), b.into());
    let mut c = Matrix::zeros(a.rows(), b.columns());
    product_into(c.as_view_mut(), T::one(), a, b);
    c
}

struct Pass<T> {
    output: Matrix<T>,
    kept: Vec<T>,
    scratch: Vec<T>,
}

fn run<T: Real, const N: usize>(
    primitive: &impl Primitive<N>,
    inputs: [&Matrix<T>; N],
) -> Result<Pass<T>, ShapeError> {
    let shapes = inputs.map(|x| Shape::new(x.nrows(), x.ncols()));
    let shape = primitive.shape(shapes)?;
    let memory = primitive.memory(shapes);
    let mut pass = Pass {
        output: Matrix::zeros(shape.rows, shape.columns),
        kept: vec![T::zero(); memory.kept],
        scratch: vec![T::zero(); memory.scratch],
    };
    let work = Work::new(&mut pass.kept, &mut pass.scratch);
    primitive.forward(inputs.map(|x| x.as_view()), pass.output.as_view_mut(), work);
    Ok(pass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::add::Add;

    #[test]
    fn operands_that_do_not_fit_are_refused() {
        let (a, b) = (Matrix::<f64>::zeros(2, 2), Matrix::zeros(2, 3));
        assert!(apply(&Add, [&a, &b]).is_err());
        assert!(pullback(&Add, [&a, &a], &b).is_err());
    }
}
