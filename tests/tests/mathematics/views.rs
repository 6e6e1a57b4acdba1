//! Every primitive of every crate does with rows of larger matrices, in a recording, what it does with matrices of
//! their own: the same bits, whatever the plan.

use calculus::{Recompute, Recorder, Tape, Var};
use linalg::{
    Matrix, Primitive, Real, Shape, hadamard::Hadamard, product::Product, rows::Rows, scale::Scale,
};
use std::marker::PhantomData;
use tests::alone::Shared;
use tests::draw;
use tests::law::Case;
use tests::registry::{self, Visitor};

/// Where the operands of an operation lie.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    /// In matrices of their own.
    Apart,
    /// Each between other rows of a matrix of its own.
    Between,
    /// Those of equally many columns together: the rows of one matrix, the last operand first.
    Packed,
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    Keep,
    Train { recompute: Recompute },
}

/// Plans, and whether the matrices of the operands are computed; a parameter is never computed again.
const PLANS: [(Plan, bool); 5] = [
    (Plan::Keep, false),
    (Plan::Keep, true),
    (Plan::Train { recompute: Recompute { cheap: false, segments: 0 } }, false),
    (Plan::Train { recompute: Recompute { cheap: false, segments: 0 } }, true),
    (Plan::Train { recompute: Recompute::CHEAP }, true),
];

/// Rows above an operand that lies between others, and below.
const AROUND: (usize, usize) = (2, 1);

/// Matrices, and for every operand the number of its matrix and its first row there.
fn lay<const N: usize>(x: &[Matrix<f64>; N], lie: Lie) -> (Vec<Matrix<f64>>, [(usize, usize); N]) {
    match lie {
        Lie::Apart => (x.to_vec(), std::array::from_fn(|k| (k, 0))),
        Lie::Between => {
            let taller = x.iter().map(|x| {
                let rows = x.nrows() + AROUND.0 + AROUND.1;
                let mut taller = Matrix::repeat(rows, x.ncols(), f64::NAN);
                taller.rows_mut(AROUND.0, x.nrows()).copy_from(x);
                taller
            });
            (taller.collect(), std::array::from_fn(|k| (k, AROUND.0)))
        }
        Lie::Packed => {
            let mut packed: Vec<Matrix<f64>> = vec![];
            let mut places = [(0, 0); N];
            for (x, place) in x.iter().zip(&mut places).rev() {
                let there = packed.iter().position(|p| p.ncols() == x.ncols());
                let at = there.unwrap_or(packed.len());
                if there.is_none() {
                    packed.push(Matrix::zeros(0, x.ncols()));
                }
                let (first, rows) = (packed[at].nrows(), packed[at].nrows() + x.nrows());
                let mut taller = std::mem::take(&mut packed[at]).resize_vertically(rows, 0.0);
                taller.rows_mut(first, x.nrows()).copy_from(x);
                (packed[at], *place) = (taller, (at, first));
            }
            (packed, places)
        }
    }
}

/// The bits of a number, those of 0 for −0: a gradient that is written may be −0 where one that is added to is 0.
fn bits<T: Real>(x: T) -> u64 {
    (x + T::zero()).to_f64().to_bits()
}

/// The bits of the output and of the operands' gradients, added to nothing, added to themselves, and written, where
/// the operands are parameters or (`computed`) results.
fn results<T: Real, P: Primitive<N>, const N: usize>(
    (primitive, inputs): (&Shared<P>, &[Matrix<f64>; N]),
    lie: Lie,
    plan: Plan,
    computed: bool,
) -> Vec<Vec<u64>> {
    let (matrices, places) = lay(inputs, lie);
    let mut r = Recorder::<T>::new();
    let mut parameters: Vec<Var> = vec![];
    let mut sources: Vec<Var> = vec![];
    for (k, x) in matrices.iter().enumerate() {
        let parameter = r.parameter(&format!("parameter {k}"), Shape::new(x.nrows(), x.ncols()));
        parameters.push(parameter.expect("a matrix"));
        sources.push(
            match computed {
                true => r.push(&format!("source {k}"), Scale { factor: 1.0 }, [parameters[k]]),
                false => Ok(parameters[k]),
            }
            .expect("a matrix"),
        );
    }
    let operands: [Var; N] = std::array::from_fn(|k| {
        let ((source, start), count) = (places[k], inputs[k].nrows());
        match lie {
            Lie::Apart => sources[source],
            _ => r
                .push(&format!("operand {k}"), Rows { start, count }, [sources[source]])
                .expect("rows that are there"),
        }
    });
    let y = r.push("y", primitive.clone(), operands).expect("operands that fit");
    let shape = r.shape(y);
    let upstream = r.input("upstream", shape).expect("a matrix");
    let (above, beside) = (Shape::new(1, shape.rows), Shape::new(shape.columns, 1));
    let above = r.input("above", above).expect("a row");
    let beside = r.input("beside", beside).expect("a column");
    let weighed = r.push("weighed", Hadamard, [y, upstream]).expect("equal shapes");
    let sums = r.push("sums", Product::plain(), [above, weighed]).expect("shapes that fit");
    let loss = r.push("loss", Product::plain(), [sums, beside]).expect("shapes that fit");

    let mut tape: Tape<T> = match plan {
        Plan::Keep => r.finish(),
        Plan::Train { recompute } => r.finish_for_training(loss, recompute),
    };
    let narrowed = |x: &Matrix<f64>| x.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    for (&parameter, x) in parameters.iter().zip(&matrices) {
        tape.set(parameter, &narrowed(x));
    }
    tape.set(upstream, &narrowed(&draw::normal(77, shape.rows, shape.columns)));
    tape.value_mut(above).fill(T::one());
    tape.value_mut(beside).fill(T::one());

    let mut seen = vec![];
    for replay in 0..3 {
        if replay == 2 {
            tape.forget_gradients();
        }
        let mut output = vec![];
        let keep = |var: Var, value: &mut [T]| {
            if var == y {
                output = value.iter().map(|&y| bits(y)).collect();
            }
        };
        tape.forward_and_backward_watched(loss, T::one(), keep, |_, _| {});
        seen.push(output);
        for (x, &(source, start)) in inputs.iter().zip(&places) {
            let gradient = tape.gradient(parameters[source]);
            seen.push(gradient.rows(start, x.nrows()).iter().map(|&g| bits(g)).collect());
            if lie == Lie::Between {
                let below = gradient.rows(start + x.nrows(), AROUND.1);
                let around =
                    gradient.rows(0, start).iter().chain(below.iter()).all(|&g| g == T::zero());
                assert!(around, "rows that nothing reads have no gradient");
            }
        }
    }
    seen
}

/// The operations whose results in this scalar are others, and how.
struct Differences<T> {
    found: Vec<String>,
    scalar: PhantomData<T>,
}

impl<T: Real> Visitor for Differences<T> {
    fn visit<P: Primitive<N>, const N: usize>(&mut self, case: Case<P, N>) {
        let (described, inputs) = (case.describe(), case.inputs);
        let primitive = Shared::new(case.primitive);
        let of = (&primitive, &inputs);
        for (plan, computed) in PLANS {
            let apart = results::<T, P, N>(of, Lie::Apart, plan, computed);
            for lie in [Lie::Between, Lie::Packed] {
                let rows = results::<T, P, N>(of, lie, plan, computed);
                if let Some(at) = (0..apart.len()).find(|&i| apart[i] != rows[i]) {
                    let (part, scalar) = (at % (N + 1), std::any::type_name::<T>());
                    let part = if part == 0 { "value".into() } else { format!("gradient {part}") };
                    self.found.push(format!(
                        "{described} in {scalar}: {part}, {lie:?}, {plan:?}, computed {computed}"
                    ));
                }
            }
        }
    }
}

fn differences<T: Real>() {
    let mut all = Differences::<T> { found: vec![], scalar: PhantomData };
    registry::every(&mut all);
    let found = all.found;
    assert!(found.is_empty(), "{} differ:\n{}", found.len(), found.join("\n"));
}

// Two tests, for two threads.
#[test]
fn every_primitive_has_the_same_bits_on_rows_of_larger_matrices_in_f64() {
    differences::<f64>();
}

#[test]
fn every_primitive_has_the_same_bits_on_rows_of_larger_matrices_in_f32() {
    differences::<f32>();
}
