//! Blocks of rows as views: for any plan, a recording with views has the values and gradients of one that copies.
//! Elements are small integers, whose sums and products are exact in any order.

use calculus::{Recompute, Recorder, Tape, Var};
use linalg::{
    Formula, Gradient, Primitive, Reads, Real, Shape, ShapeError, View, ViewMut, Work, add::Add,
    hadamard::Hadamard, product::Product, rows::Rows,
};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A block of rows that is copied.
struct Copied(Rows);

impl Primitive<1> for Copied {
    fn name(&self) -> &'static str {
        "copied rows"
    }

    fn shape(&self, x: [Shape; 1]) -> Result<Shape, ShapeError> {
        self.0.shape(x)
    }

    fn flops(&self, _: [Shape; 1]) -> u64 {
        0
    }

    fn formula<T: Real>(&self, x: [View<'_, T>; 1]) -> Formula {
        self.0.formula(x)
    }

    fn vjp_reads(&self) -> Reads<1> {
        self.0.vjp_reads()
    }

    fn forward<T: Real>(&self, x: [View<'_, T>; 1], y: ViewMut<'_, T>, work: Work<'_, T>) {
        self.0.forward(x, y, work);
    }

    fn vjp<T: Real>(
        &self,
        x: [View<'_, T>; 1],
        y: View<'_, T>,
        dy: View<'_, T>,
        dx: [Gradient<'_, T>; 1],
        work: Work<'_, T>,
    ) {
        self.0.vjp(x, y, dy, dx, work);
    }
}

/// y = a∘b + b∘c, with three operands, like query, key and value in attention.
struct Three;

impl Primitive<3> for Three {
    fn name(&self) -> &'static str {
        "three"
    }

    fn shape(&self, [a, b, c]: [Shape; 3]) -> Result<Shape, ShapeError> {
        b.expect("b", a)?;
        c.expect("c", a)?;
        Ok(a)
    }

    fn flops(&self, [a, ..]: [Shape; 3]) -> u64 {
        3 * a.len() as u64
    }

    fn is_cheap(&self) -> bool {
        true
    }

    fn formula<T: Real>(&self, _: [View<'_, T>; 3]) -> Formula {
        unreachable!("no test explains it")
    }

    fn forward<T: Real>(&self, [a, b, c]: [View<'_, T>; 3], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        y.copy_from(&(a.component_mul(&b) + b.component_mul(&c)));
    }

    fn vjp<T: Real>(
        &self,
        [a, b, c]: [View<'_, T>; 3],
        _: View<'_, T>,
        dy: View<'_, T>,
        gradients: [Gradient<'_, T>; 3],
        _: Work<'_, T>,
    ) {
        let terms = [dy.component_mul(&b), dy.component_mul(&(a + c)), dy.component_mul(&b)];
        for (gradient, term) in gradients.into_iter().zip(&terms) {
            gradient.add(term.as_view());
        }
    }
}

/// Records a computation with blocks of rows that are views or copies.
struct Writer {
    r: Recorder<f64>,
    views: bool,
    named: usize,
}

impl Writer {
    fn name(&mut self) -> String {
        self.named += 1;
        format!("value {}", self.named)
    }

    fn rows(&mut self, x: Var, start: usize, count: usize) -> Var {
        let (name, rows) = (self.name(), Rows { start, count });
        match self.views {
            true => self.r.push(&name, rows, [x]).unwrap(),
            false => self.r.push(&name, Copied(rows), [x]).unwrap(),
        }
    }

    fn push<P: Primitive<N>, const N: usize>(&mut self, operation: P, operands: [Var; N]) -> Var {
        let name = self.name();
        self.r.push(&name, operation, operands).unwrap()
    }

    /// Records the sum of all elements of x.
    fn sum(&mut self, x: Var) -> Var {
        let shape = self.r.shape(x);
        let (above, beside) = (self.name(), self.name());
        let row = self.r.input(&above, Shape::new(1, shape.rows)).unwrap();
        let column = self.r.input(&beside, Shape::new(shape.columns, 1)).unwrap();
        let sums = self.push(Product::plain(), [row, x]);
        self.push(Product::plain(), [sums, column])
    }
}

const WIDTH: usize = 6;
const COLUMNS: usize = 2;

/// A function that records a loss of a parameter and an input, of six rows each.
type Write<'a> = &'a dyn Fn(&mut Writer, Var, Var) -> Var;

fn write(views: bool, write: Write<'_>) -> (Recorder<f64>, Var) {
    let mut w = Writer { r: Recorder::new(), views, named: 0 };
    let parameter = w.r.parameter("parameter", Shape::new(WIDTH, COLUMNS)).unwrap();
    let given = w.r.input("given", Shape::new(WIDTH, COLUMNS)).unwrap();
    let loss = write(&mut w, parameter, given);
    (w.r, loss)
}

fn fill(tape: &mut Tape<f64>) {
    let sources: Vec<Var> = tape.vars().filter(|&v| tape.operation(v).is_none()).collect();
    for (k, var) in sources.into_iter().enumerate() {
        let integers = (1..=tape.shape(var).len()).map(|i| ((7 * i + 3 * k) % 5) as f64 - 1.0);
        let integers: Vec<f64> = integers.collect();
        tape.set(var, &integers);
    }
}

/// Returns the loss and the parameter's gradient after one, two (added) and three replays (forgotten before).
fn replayed(mut tape: Tape<f64>, loss: Var) -> Vec<f64> {
    fill(&mut tape);
    let mut seen = vec![];
    for step in 0..3 {
        if step == 2 {
            tape.forget_gradients();
        }
        tape.forward_and_backward(loss, 1.0);
        seen.push(tape.value(loss)[0]);
        seen.extend_from_slice(tape.gradients());
    }
    seen
}

/// Checks that views change no value and no gradient, in any plan. Returns the results.
fn same(of: Write<'_>) -> Vec<f64> {
    let (r, loss) = write(false, of);
    let copied = replayed(r.finish(), loss);
    for views in [true, false] {
        let (r, loss) = write(views, of);
        assert_eq!(replayed(r.finish(), loss), copied, "views {views}: every value kept");
        for recompute in [Recompute::default(), Recompute::CHEAP] {
            let (r, loss) = write(views, of);
            let trained = replayed(r.finish_for_training(loss, recompute), loss);
            assert_eq!(trained, copied, "views {views}: memory reused, {recompute:?}");
        }
    }
    copied
}

#[test]
fn three_views_of_one_matrix() {
    // In any order; covering all rows, and all but a row in the middle.
    for places in [[0, 2, 4], [4, 0, 2], [2, 4, 0]] {
        let found = same(&|w, p, x| {
            let packed = w.push(Hadamard, [p, x]);
            let [a, b, c] = places.map(|start| w.rows(packed, start, 2));
            let y = w.push(Three, [a, b, c]);
            w.sum(y)
        });
        assert!(found[1..].iter().any(|&g| g != 0.0));
    }
    same(&|w, p, x| {
        let packed = w.push(Hadamard, [p, x]);
        let [a, b, c] = [5, 0, 2].map(|start| w.rows(packed, start, 1));
        let y = w.push(Three, [a, b, c]);
        w.sum(y)
    });
}

#[test]
fn views_of_a_parameter_and_of_an_input() {
    same(&|w, p, x| {
        let [a, c] = [0, 3].map(|start| w.rows(p, start, 3));
        let b = w.rows(x, 2, 3);
        let y = w.push(Three, [a, b, c]);
        w.sum(y)
    });
    // Some rows of a parameter: the others have no gradient.
    same(&|w, p, _| {
        let a = w.rows(p, 1, 2);
        let y = w.push(Hadamard, [a, a]);
        w.sum(y)
    });
}

#[test]
fn operands_that_share_rows() {
    for starts in [[0, 1, 2], [1, 1, 3], [2, 0, 1], [2, 2, 2]] {
        same(&|w, p, x| {
            let packed = w.push(Add, [p, x]);
            let [a, b, c] = starts.map(|start| w.rows(packed, start, 3));
            let y = w.push(Three, [a, b, c]);
            w.sum(y)
        });
    }
    // A matrix and all of its rows.
    same(&|w, p, x| {
        let packed = w.push(Add, [p, x]);
        let all = w.rows(packed, 0, WIDTH);
        let y = w.push(Three, [all, packed, p]);
        w.sum(y)
    });
}

#[test]
fn a_matrix_read_whole_and_by_rows() {
    for whole_first in [true, false] {
        same(&|w, p, x| {
            let packed = w.push(Hadamard, [p, x]);
            let whole = |w: &mut Writer| {
                let square = w.push(Hadamard, [packed, packed]);
                w.sum(square)
            };
            let rows = |w: &mut Writer| {
                let [a, b] = [1, 4].map(|start| w.rows(packed, start, 2));
                let y = w.push(Hadamard, [a, b]);
                w.sum(y)
            };
            let parts = match whole_first {
                true => [whole(w), rows(w)],
                false => [rows(w), whole(w)],
            };
            w.push(Add, parts)
        });
    }
}

#[test]
fn a_loss_that_is_a_view() {
    same(&|w, p, x| {
        let y = w.push(Hadamard, [p, x]);
        let z = w.push(Hadamard, [y, y]);
        let column = w.r.input("ones", Shape::new(COLUMNS, 1)).unwrap();
        let sums = w.push(Product::plain(), [z, column]);
        w.rows(sums, 3, 1)
    });
}

#[test]
fn a_view_of_a_view_is_a_view_of_the_first_matrix() {
    let within = |w: &mut Writer, packed: Var| {
        let middle = w.rows(packed, 1, 4);
        [w.rows(middle, 2, 2), w.rows(middle, 0, 2)]
    };
    same(&|w, p, x| {
        let packed = w.push(Hadamard, [p, x]);
        let [a, b] = within(w, packed);
        let y = w.push(Hadamard, [a, b]);
        w.sum(y)
    });
    let mut lower = None;
    let mut w = Writer { r: Recorder::new(), views: true, named: 0 };
    let x = w.r.input("x", Shape::new(WIDTH, COLUMNS)).unwrap();
    lower.get_or_insert(within(&mut w, x)[0]);
    let mut tape = w.r.finish();
    fill(&mut tape);
    let lower = lower.unwrap();
    assert!(tape.is_view(lower));
    assert_eq!(tape.value(lower), tape.value(x).rows(3, 2));
    tape.matrix_mut(lower).fill(9.0);
    assert_eq!(tape.value(x).rows(3, 2), linalg::Matrix::repeat(2, COLUMNS, 9.0));
}

#[test]
fn a_view_costs_nothing_and_is_not_watched() {
    let three: Write<'_> = &|w, p, x| {
        let packed = w.push(Hadamard, [p, x]);
        let [a, b, c] = [0, 2, 4].map(|start| w.rows(packed, start, 2));
        let y = w.push(Three, [a, b, c]);
        w.sum(y)
    };
    let ((views, loss), (copies, _)) = (write(true, three), write(false, three));
    // Three copies of 2×2, and their gradients, are saved.
    let numbers = |bytes: u128| bytes / size_of::<f64>() as u128;
    assert_eq!(numbers(copies.bytes() - views.bytes()), 2 * 3 * 4);
    assert_eq!(numbers(copies.bytes_forward_only() - views.bytes_forward_only()), 3 * 4);
    let (bytes, mut tape) = (views.bytes(), views.finish());
    let memory = tape.memory();
    let all = memory.parameters + memory.parameter_gradients + memory.values + memory.gradients;
    assert_eq!((all + memory.kept + memory.scratch) as u128, bytes);
    fill(&mut tape);
    let (mut values, mut gradients) = (vec![], vec![]);
    tape.forward_and_backward_watched(loss, 1.0, |v, _| values.push(v), |v, _| gradients.push(v));
    for row in tape.rows() {
        let view = row.operation == Some("rows");
        assert_eq!(tape.is_view(row.var), view);
        if view {
            assert_eq!(
                (row.flops, row.bytes, row.backward_flops, row.backward_bytes),
                (0, 0, 0, 0)
            );
            assert!(!values.contains(&row.var) && !gradients.contains(&row.var));
            let first =
                tape.name(row.var).strip_prefix("value ").unwrap().parse::<usize>().unwrap();
            let start = 2 * (first - 2); // values 2, 3 and 4
            let root = tape.find("value 1").unwrap();
            assert_eq!(row.value, tape.value(root).rows(start, 2));
            assert_eq!(row.gradient.unwrap(), tape.gradient(root).rows(start, 2));
        }
    }
    assert_eq!((values.len(), gradients.len()), (4, 3)); // packed, y, two products; the last has no call
}

fn panics(work: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(work)).expect_err("a panic");
    *payload.downcast::<String>().expect("a message")
}

#[test]
fn elements_of_a_view_are_no_slice() {
    let mut r = Recorder::<f64>::new();
    let x = r.input("x", Shape::new(3, 2)).unwrap();
    let y = r.push("y", Rows { start: 1, count: 2 }, [x]).unwrap();
    let mut tape = r.finish();
    let said = |instead: &str| format!("y: a view's columns do not follow one another; {instead}");
    assert_eq!(panics(|| drop(tape.elements(y).to_vec())), said("read value(var)"));
    assert_eq!(panics(|| drop(tape.gradient_elements(y).to_vec())), said("read gradient(var)"));
    assert_eq!(panics(|| tape.elements_mut(y).fill(0.0)), said("write matrix_mut(var)"));
    assert_eq!(panics(|| tape.gradient_elements_mut(y).fill(0.0)), said("write gradient_mut(var)"));
    assert_eq!(panics(|| tape.copy(y, 0..1, x, 0)), said("copy from its operand"));
    assert!(panics(|| drop(tape.value_mut(y).to_vec())).contains("y is computed"));
}

#[test]
fn a_backward_replay_may_begin_at_a_view() {
    let upstream = [1.0, 2.0, 3.0, 4.0];
    let gradients = |views: bool| {
        let (r, middle) = write(views, &|w, p, x| {
            let packed = w.push(Hadamard, [p, x]);
            w.rows(packed, 1, 2)
        });
        let mut tape = r.finish();
        fill(&mut tape);
        tape.forward();
        tape.backward_from(middle, &upstream);
        assert_eq!(tape.gradient(middle), linalg::matrix(2, 2, &upstream));
        tape.gradients().to_vec()
    };
    assert_eq!(gradients(true), gradients(false));
    assert!(gradients(true).iter().any(|&g| g != 0.0));
}

/// One line of a random computation: the operation, its operands, and the first rows of blocks.
type Line = (u8, [usize; 3], [usize; 3]);

/// Returns the blocks of `operands` that have as many rows as the shortest.
fn cut(w: &mut Writer, operands: [Var; 3], starts: [usize; 3]) -> [Var; 3] {
    let rows = operands.map(|o| w.r.shape(o).rows);
    let count = rows.into_iter().min().unwrap();
    std::array::from_fn(|k| match rows[k] == count {
        true => operands[k],
        false => w.rows(operands[k], starts[k] % (rows[k] - count + 1), count),
    })
}

proptest! {
    #[test]
    fn any_computation(
        lines in prop::collection::vec(any::<Line>(), 1..14),
        recent in 1usize..5,
    ) {
        let record: Write<'_> = &|w, p, x| {
            let mut values = vec![p, x];
            for &(what, of, starts) in &lines {
                let last = values.len();
                let first = last.saturating_sub(recent + 1);
                let operands = of.map(|i| values[first + i % (last - first)]);
                let y = match what % 5 {
                    0 | 1 => {
                        let rows = w.r.shape(operands[0]).rows;
                        let start = starts[0] % rows;
                        w.rows(operands[0], start, 1 + starts[1] % (rows - start))
                    }
                    2 => {
                        let [a, b, _] = cut(w, operands, starts);
                        w.push(Add, [a, b])
                    }
                    3 => {
                        let [a, b, _] = cut(w, operands, starts);
                        w.push(Hadamard, [a, b])
                    }
                    _ => {
                        let operands = cut(w, operands, starts);
                        w.push(Three, operands)
                    }
                };
                values.push(y);
            }
            let last = values[values.len() - 3..].try_into().unwrap();
            let [a, b, c] = cut(w, last, [0, 1, 2]);
            let y = w.push(Add, [a, b]);
            let y = w.push(Add, [y, c]);
            w.sum(y)
        };
        let (r, loss) = write(false, record);
        // Sums far below 2⁵³ are exact.
        prop_assume!(replayed(r.finish(), loss).iter().all(|x| x.abs() < 1e12));
        same(record);
    }
}
