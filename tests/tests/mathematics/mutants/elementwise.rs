//! Mistakes in what works element by element: activations, gates, factors, dropout, the mask.

use super::{Table, draw, mutant};
use calculus::Dual;
use calculus::activation::{Activation, Function, Gelu, GeluTanh};
use linalg::{Gradient, Matrix, Memory, Primitive, Real, Shape, ShapeError, View, ViewMut, Work};
use linalg::{hadamard::Hadamard, scale::Scale};
use probability::{
    dropout::{Dropout, Order, step},
    mask::CausalMask,
};

/// dx ← dx + slope(x) ⊙ dy.
fn chain<T: Real>(mut dx: ViewMut<'_, T>, x: View<'_, T>, dy: View<'_, T>, slope: impl Fn(T) -> T) {
    dx.zip_zip_apply(&x, &dy, |dx, x, dy| *dx += slope(x) * dy);
}

fn slope<F: Function, T: Real>(x: T) -> T {
    F::at(Dual::variable(x)).derivative
}

mutant!(GeluByTanhForm of Activation; 1: |_, [x], _, dy, [dx], _| {
    chain(dx, x, dy, slope::<GeluTanh, T>);
});

mutant!(TanhFormByGelu of Activation; 1: |_, [x], _, dy, [dx], _| {
    chain(dx, x, dy, slope::<Gelu, T>);
});

mutant!(NegativesPass of Activation; 1: |_, [x], _, dy, [dx], _| {
    chain(dx, x, dy, |_| T::one());
});

mutant!(OnlyLogistic of Activation; 1: |_, [x], _, dy, [dx], _| {
    chain(dx, x, dy, |x| T::one() / (T::one() + (-x).exp()));
});

mutant!(InputForOutput of Activation; 1: |_, [x], _, dy, [dx], _| {
    chain(dx, x, dy, |x| T::one() - x * x); // 1 − y² is meant
});

mutant!(OwnFactor of Hadamard; 2: |_, [a, b], _, dy, [da, db], _| {
    chain(da, a, dy, |a| a);
    chain(db, b, dy, |b| b);
});

mutant!(FactorForgotten of Scale; 1: |_, [x], _, dy, [dx], _| chain(dx, x, dy, |_| T::one()));

mutant!(Divided of Scale; 1: |Divided(scale), [x], _, dy, [dx], _| {
    chain(dx, x, dy, |_| T::from_f64(1.0 / scale.factor));
});

mutant!(MaskOfTheNextStep of Dropout; 2: |MaskOfTheNextStep(dropout), [x, step], y, dy, gradients, work| {
    let next = Matrix::from_column_slice(2, 1, &[step[0] + T::one(), step[1]]);
    dropout.vjp([x, next.as_view()], y, dy, gradients.map(Gradient::new), work);
});

mutant!(MaskOfAnotherStream of Dropout; 2: |MaskOfAnotherStream(dropout), inputs, y, dy, gradients, work| {
    let stream = dropout.stream + 1;
    Dropout { stream, ..dropout }.vjp(inputs, y, dy, gradients.map(Gradient::new), work);
});

mutant!(NotScaledUp of Dropout; 2: |NotScaledUp(dropout), inputs, y, dy, gradients, work| {
    let smaller = dy.map(|dy| dy * T::from_f64(1.0 - dropout.rate));
    dropout.vjp(inputs, y, smaller.as_view(), gradients.map(Gradient::new), work);
});

mutant!(NothingDropped of Dropout; 2: |_, [x, _], _, dy, [dx, _], _| {
    chain(dx, x, dy, |_| T::one());
});

mutant!(DiagonalMasked of CausalMask; 1: |_, [x], _, dy, [mut dx], _| {
    for c in 0..x.ncols() {
        (0..c % x.nrows()).for_each(|k| dx[(k, c)] += dy[(k, c)]);
    }
});

mutant!(FuturePasses of CausalMask; 1: |_, [x], _, dy, [dx], _| {
    chain(dx, x, dy, |_| T::one());
});

/// A forward that leaves the future as it was in memory.
struct FutureNotWritten;

impl Primitive<1> for FutureNotWritten {
    fn name(&self) -> &'static str {
        "causal mask"
    }
    fn shape(&self, inputs: [Shape; 1]) -> Result<Shape, ShapeError> {
        CausalMask::default().shape(inputs)
    }
    fn flops(&self, _: [Shape; 1]) -> u64 {
        0
    }
    fn memory(&self, inputs: [Shape; 1]) -> Memory {
        CausalMask::default().memory(inputs)
    }
    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        for c in 0..x.ncols() {
            (0..=c % x.nrows()).for_each(|k| y[(k, c)] = x[(k, c)]);
        }
    }
    fn formula<T: Real>(&self, x: [View<'_, T>; 1]) -> linalg::Formula {
        CausalMask::default().formula(x)
    }
    fn vjp<T: Real>(
        &self,
        x: [View<'_, T>; 1],
        y: View<'_, T>,
        dy: View<'_, T>,
        dx: [Gradient<'_, T>; 1],
        work: Work<'_, T>,
    ) {
        CausalMask::default().vjp(x, y, dy, dx, work);
    }
}

pub(crate) fn mutants(table: &mut Table) {
    let x = || [draw::normal(1, 7, 5)];
    let (gelu, tanh_form) = (Activation::Gelu, Activation::GeluTanh);
    let (relu, silu, tanh) = (Activation::Relu, Activation::Silu, Activation::Tanh);
    table.mutant("derivative of the tanh form", (gelu, GeluByTanhForm(gelu)), x(), [true]);
    table.mutant("derivative of the exact", (tanh_form, TanhFormByGelu(tanh_form)), x(), [true]);
    table.mutant("derivative 1 at negatives", (relu, NegativesPass(relu)), x(), [true]);
    table.mutant("σ without x·σ′", (silu, OnlyLogistic(silu)), x(), [true]);
    table.mutant("1 − x² for 1 − y²", (tanh, InputForOutput(tanh)), x(), [true]);

    let pair = [draw::normal(2, 7, 5), draw::normal(3, 7, 5)];
    table.mutant("own factor for the other", (Hadamard, OwnFactor(Hadamard)), pair, [true; 2]);
    let scale = Scale { factor: 0.25 };
    table.mutant("factor forgotten", (scale, FactorForgotten(scale)), x(), [true]);
    table.mutant("divided by the factor", (scale, Divided(scale)), x(), [true]);

    let dropout = Dropout { rate: 0.4, seed: 1, stream: 2, order: Order::Columns };
    let at_step = || [draw::normal(4, 7, 5), Matrix::from_column_slice(2, 1, &step(3))];
    let first = [true, false];
    table.mutant("mask of the next step", (dropout, MaskOfTheNextStep(dropout)), at_step(), first);
    let mutant = MaskOfAnotherStream(dropout);
    table.mutant("mask of another dropout", (dropout, mutant), at_step(), first);
    table.mutant("1/(1 − p) forgotten", (dropout, NotScaledUp(dropout)), at_step(), first);
    table.mutant("nothing dropped", (dropout, NothingDropped(dropout)), at_step(), first);

    let scores = || [draw::normal(5, 4, 8)];
    let mask = CausalMask::default();
    table.mutant("a token does not see itself", (mask, DiagonalMasked(mask)), scores(), [true]);
    table.mutant("gradient from the future", (mask, FuturePasses(mask)), scores(), [true]);
    table.mutant("future not written", (mask, FutureNotWritten), scores(), [true]);
}
