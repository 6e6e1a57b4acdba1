use super::Function;
use crate::Dual;
use linalg::formula::{I, J, operand, upstream};
use linalg::{
    Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, column, parallel::each_column,
};

/// The operation <var>y = f(x)</var>, element by element; forward keeps f′(x) for the chain rule, dx = f′(x) ⊙ dy.
///
/// ```
/// use calculus::activation::{Elementwise, Gelu};
/// let y = linalg::apply(&Elementwise(Gelu), [&linalg::matrix(1, 2, &[0.0, 1.0])])?;
/// assert!((y[1] - 0.8413447_f64).abs() < 1e-7);
/// # Ok::<(), linalg::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Elementwise<F>(pub F);

impl<F: Function> Primitive<1> for Elementwise<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn role(&self) -> Role {
        Role::Activation
    }

    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(x)
    }

    fn formula<T: Real>(&self, _: [View<'_, T>; 1]) -> Formula {
        let (x, dy) = (operand(0), upstream());
        let mut f = Formula::new("y", ["x"], F::MEANING, F::SOURCE);
        let slope = f.define("f′", [I, J], F::slope(x.at(I, J)));
        f.value(F::formula(x.at(I, J))).gradient(slope.at2(I, J) * dy.at(I, J))
    }

    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], y: ViewMut<'_, T>, work: Work<'_, T>) {
        let slope = ViewMut::from_slice(work.kept, x.nrows(), x.ncols());
        each_column(
            [y, slope],
            #[inline(always)]
            |j, [y, slope]| {
                for ((y, slope), &x) in y.iter_mut().zip(slope).zip(column(&x, j)) {
                    let f = F::at(Dual::variable(x));
                    (*y, *slope) = (f.value, f.derivative);
                }
            },
        );
    }

    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 1],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [Gradient<'_, T>; 1],
        work: Work<'_, T>,
    ) {
        chain(dx, dy, work);
    }

    fn flops(&self, [x]: [Shape; 1]) -> u64 {
        F::FLOPS * x.len() as u64
    }

    fn vjp_reads(&self) -> Reads<1> {
        READS
    }

    fn is_cheap(&self) -> bool {
        true
    }

    fn memory(&self, [x]: [Shape; 1]) -> Memory {
        memory(x)
    }
}

/// The vjp reads only the slopes that forward kept.
pub(super) const READS: Reads<1> = Reads { inputs: [false], output: false };

/// Returns memory for one slope per element.
pub(super) fn memory(x: Shape) -> Memory {
    Memory { kept: x.len(), scratch: 0 }
}

/// Adds f′(x) ⊙ dy.
pub(super) fn chain<T: Real>(dx: Gradient<'_, T>, dy: View<'_, T>, work: Work<'_, T>) {
    let slope = View::from_slice(work.kept, dy.nrows(), dy.ncols());
    dx.add_each([slope, dy], |[slope, dy]| slope * dy);
}
