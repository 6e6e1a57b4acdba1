//! Values that the backward replay computes again: for any recording and any plan, the bits are those of a recording that
//! keeps everything, in the memory that the plan predicts.

use calculus::activation::Activation;
use calculus::{Recompute, Recorder, Tape, Var};
use linalg::half::f32_to_bf16;
use linalg::{
    Formula, Gradient, Memory, Primitive, Reads, Real, Shape, ShapeError, View, ViewMut, Work,
};
use linalg::{add::Add, hadamard::Hadamard, product::Product, rows::Rows};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// y = x², whose vjp reads what the forward kept, and neither x nor y.
#[derive(Clone, Copy)]
struct Kept {
    cheap: bool,
}

impl Primitive<1> for Kept {
    fn name(&self) -> &'static str {
        "square"
    }

    fn shape(&self, [x]: [Shape; 1]) -> Result<Shape, ShapeError> {
        Ok(x)
    }

    fn flops(&self, [x]: [Shape; 1]) -> u64 {
        x.len() as u64
    }

    fn is_cheap(&self) -> bool {
        self.cheap
    }

    fn memory(&self, [x]: [Shape; 1]) -> Memory {
        Memory { kept: x.len(), scratch: 0 }
    }

    fn vjp_reads(&self) -> Reads<1> {
        Reads { inputs: [false], output: false }
    }

    fn formula<T: Real>(&self, _: [View<'_, T>; 1]) -> Formula {
        unreachable!("no test explains it")
    }

    fn forward<T: Real>(&self, [x]: [View<'_, T>; 1], mut y: ViewMut<'_, T>, work: Work<'_, T>) {
        for ((y, kept), &x) in y.iter_mut().zip(work.kept).zip(x.iter()) {
            (*y, *kept) = (x * x, x);
        }
    }

    fn vjp<T: Real>(
        &self,
        _: [View<'_, T>; 1],
        _: View<'_, T>,
        dy: View<'_, T>,
        [dx]: [Gradient<'_, T>; 1],
        work: Work<'_, T>,
    ) {
        let two = T::from_f64(2.0);
        let term =
            dy.zip_map(&View::from_slice(work.kept, dy.nrows(), dy.ncols()), |dy, x| two * x * dy);
        dx.add(term.as_view());
    }
}

const SIDE: usize = 4;
const SHAPE: Shape = Shape { rows: SIDE, columns: SIDE };

/// An operation of a random recording. Numbers choose among the values so far.
#[derive(Clone, Debug)]
enum Step {
    Parameter,
    Frozen,
    Shared,
    Input,
    Add(usize, usize),
    Times(usize, usize),
    Product(usize, usize),
    Tanh(usize),
    Square(usize, bool),
    /// The upper and the lower half of a value, added up and put below each other again by a product.
    Halves(usize, usize),
    /// Begins a segment, inside of the present one or after it.
    Segment {
        inside: bool,
    },
    /// Ends the innermost segment.
    End,
}

fn step() -> impl Strategy<Value = Step> {
    let any = || any::<usize>();
    prop_oneof![
        1 => Just(Step::Parameter),
        1 => Just(Step::Frozen),
        1 => Just(Step::Shared),
        1 => Just(Step::Input),
        3 => (any(), any()).prop_map(|(a, b)| Step::Add(a, b)),
        3 => (any(), any()).prop_map(|(a, b)| Step::Times(a, b)),
        3 => (any(), any()).prop_map(|(a, b)| Step::Product(a, b)),
        3 => any().prop_map(Step::Tanh),
        3 => (any(), prop::bool::ANY).prop_map(|(a, cheap)| Step::Square(a, cheap)),
        2 => (any(), any()).prop_map(|(a, b)| Step::Halves(a, b)),
        3 => prop::bool::weighted(0.2).prop_map(|inside| Step::Segment { inside }),
        1 => Just(Step::End),
    ]
}

/// A recording in the making.
struct Writer {
    r: Recorder<f32>,
    values: Vec<Var>,
    halves: Vec<Option<Arc<[u16]>>>,
}

impl Writer {
    /// Records the steps up to the end of the present segment; returns those after it.
    fn write<'a>(&mut self, mut steps: &'a [Step], depth: usize) -> &'a [Step] {
        while let [first, rest @ ..] = steps {
            let name = format!("value {}", self.r.len());
            match first {
                Step::Segment { inside: false } if depth > 0 => return steps,
                Step::Segment { .. } => {
                    let mut writer = Writer {
                        r: std::mem::take(&mut self.r),
                        values: std::mem::take(&mut self.values),
                        halves: std::mem::take(&mut self.halves),
                    };
                    let mut r = std::mem::take(&mut writer.r);
                    let mut after = rest;
                    r.segment(&name, |r| {
                        std::mem::swap(&mut writer.r, r);
                        after = writer.write(rest, depth + 1);
                        std::mem::swap(&mut writer.r, r);
                        Ok(())
                    })
                    .unwrap();
                    (self.values, self.halves) = (writer.values, writer.halves);
                    self.r = r;
                    steps = after;
                    continue;
                }
                Step::End if depth > 0 => return rest,
                Step::End => {}
                operation => self.push(&name, operation),
            }
            steps = rest;
        }
        steps
    }

    fn push(&mut self, name: &str, step: &Step) {
        let Writer { r, values, .. } = self;
        let of = |i: usize| values[i % values.len()];
        let value = match *step {
            Step::Parameter => r.parameter(name, SHAPE),
            Step::Frozen | Step::Shared => {
                self.halves.push(matches!(step, Step::Shared).then(|| halves(r.len())));
                r.frozen(name, SHAPE)
            }
            Step::Input => r.input(name, SHAPE),
            Step::Add(a, b) => r.push(name, Add, [of(a), of(b)]),
            Step::Times(a, b) => r.push(name, Hadamard, [of(a), of(b)]),
            Step::Product(a, b) => r.push(name, Product::plain(), [of(a), of(b)]),
            Step::Tanh(a) => r.push(name, Activation::Tanh, [of(a)]),
            Step::Square(a, cheap) => r.push(name, Kept { cheap }, [of(a)]),
            Step::Halves(a, b) => {
                let half = |start| Rows { start, count: SIDE / 2 };
                let upper = r.push(&format!("{name}, upper"), half(0), [of(a)]).unwrap();
                let lower = r.push(&format!("{name}, lower"), half(SIDE / 2), [of(a)]).unwrap();
                let sum = r.push(&format!("{name}, sum"), Add, [upper, lower]).unwrap();
                let left = r.push(&format!("{name}, left"), Product::transposed(), [sum, sum]);
                r.push(name, Product::plain(), [left.unwrap(), of(b)])
            }
            Step::Segment { .. } | Step::End => return,
        };
        values.push(value.unwrap());
    }
}

/// Sixteen numbers about 0 that are bfloat16.
fn halves(seed: usize) -> Arc<[u16]> {
    numbers(seed).map(f32_to_bf16).collect()
}

fn numbers(seed: usize) -> impl Iterator<Item = f32> {
    (0..SHAPE.len()).map(move |i| ((13 * i + 29 * seed + 7) % 31) as f32 / 31.0 - 0.45)
}

/// Records a parameter, an input and the steps; the loss reads the last values.
fn record(steps: &[Step]) -> (Recorder<f32>, Var) {
    let mut writer = Writer { r: Recorder::new(), values: vec![], halves: vec![] };
    writer.push("first", &Step::Parameter);
    writer.push("given", &Step::Input);
    let mut rest = steps;
    while !rest.is_empty() {
        rest = writer.write(rest, 0);
    }
    let Writer { mut r, values, halves } = writer;
    let mut sum = values[values.len() - 1];
    for (i, &value) in values.iter().rev().skip(1).take(2).enumerate() {
        sum = r.push(&format!("sum {i}"), Hadamard, [sum, value]).unwrap();
    }
    let bounded = r.push("bounded", Activation::Tanh, [sum]).unwrap();
    let row = r.input("row", Shape::new(1, SIDE)).unwrap();
    let column = r.input("column", Shape::new(SIDE, 1)).unwrap();
    let sums = r.push("sums", Product::plain(), [row, bounded]).unwrap();
    let loss = r.push("loss", Product::plain(), [sums, column]).unwrap();
    r.share(halves);
    (r, loss)
}

/// The bits of a number, those of 0 for −0: a gradient that is written may be −0 where one that is added to is 0.
fn bit(x: f32) -> u32 {
    assert!(x.is_finite());
    (x + 0.0).to_bits()
}

/// Returns the bits of loss and gradients of three steps of descent.
fn bits(mut tape: Tape<f32>, loss: Var) -> Vec<u32> {
    let sources: Vec<Var> = tape.vars().filter(|&v| tape.operation(v).is_none()).collect();
    for var in sources {
        let n = tape.shape(var).len();
        if tape.frozen_vars().any(|(frozen, _)| frozen == var) {
            // Equal values, shared or not: numbers that bfloat16 can hold.
            let widened: Vec<f32> = halves(var.index())
                .iter()
                .map(|&half| f32::from_bits(u32::from(half) << 16))
                .collect();
            if tape.elements(var) != widened {
                tape.set(var, &widened);
            }
        } else {
            let own: Vec<f32> = numbers(var.index()).take(n).collect();
            tape.set(var, &own);
        }
    }
    let mut seen = vec![];
    for step in 0..3 {
        tape.forget_gradients();
        if step == 1 {
            tape.forward();
            tape.backward(loss);
        } else {
            tape.forward_and_backward(loss, 1.0);
        }
        seen.push(bit(tape.elements(loss)[0]));
        seen.extend(tape.gradients().iter().map(|&g| bit(g)));
        let (parameters, gradients) = tape.parameters_and_gradients();
        parameters.iter_mut().zip(gradients).for_each(|(p, g)| *p -= 0.01 * *g);
    }
    seen
}

/// Returns the bytes that a tape allocated.
fn bytes(tape: &Tape<f32>) -> u128 {
    let m = tape.memory();
    let weights = m.parameters + m.parameter_gradients + m.frozen;
    (weights + m.values + m.gradients + m.kept + m.scratch) as u128
}

/// All plans of a recording with this number of segments.
fn plans(segments: usize) -> impl Iterator<Item = Recompute> {
    let of = |cheap| (0..=segments + 1).map(move |segments| Recompute { cheap, segments });
    of(false).chain(of(true))
}

proptest! {
    #[test]
    fn every_plan_of_every_recording_has_the_same_bits(steps in prop::collection::vec(step(), 1..40)) {
        let (r, loss) = record(&steps);
        let segments = r.segments(loss);
        let expected = bits(r.finish(), loss);
        for recompute in plans(segments) {
            let (mut r, loss) = record(&steps);
            let said = r.bytes_for_training(loss, recompute);
            let tape = r.finish_for_training(loss, recompute);
            prop_assert_eq!(said, bytes(&tape), "{:?}", recompute);
            prop_assert_eq!(tape.recompute(), recompute);
            prop_assert!(bits(tape, loss) == expected, "{recompute:?}");
        }
    }
}

/// L segments of three values; the last one leaves its segment.
fn chain(length: usize, frozen: usize) -> (Recorder<f32>, Var) {
    let mut r = Recorder::<f32>::new();
    let mut x = r.input("x", SHAPE).unwrap();
    for i in 0..length {
        let block = |r: &mut Recorder<f32>| {
            let w = if i < frozen { r.frozen("w", SHAPE)? } else { r.parameter("w", SHAPE)? };
            let y = r.push("y", Product::plain(), [w, x])?;
            let z = r.push("z", Kept { cheap: false }, [y])?;
            let a = r.push("a", Activation::Tanh, [z])?;
            r.push("output", Hadamard, [a, x])
        };
        x = r.segment(&format!("block.{i}"), block).unwrap();
    }
    let row = r.input("row", Shape::new(1, SIDE)).unwrap();
    let column = r.input("column", Shape::new(SIDE, 1)).unwrap();
    let sums = r.push("sums", Product::plain(), [row, x]).unwrap();
    let loss = r.push("loss", Product::plain(), [sums, column]).unwrap();
    (r, loss)
}

/// The memory between the replays falls with every segment, and what is computed again are the values of the first segments
/// without those that leave them, each once.
#[test]
fn the_first_segments_are_computed_again() {
    const LENGTH: usize = 6;
    for frozen in 0..LENGTH {
        let learned = LENGTH - frozen;
        let (r, loss) = chain(LENGTH, frozen);
        assert_eq!(r.segments(loss), learned);
        let mut before = u128::MAX;
        for segments in 0..=learned {
            let (mut r, loss) = chain(LENGTH, frozen);
            let recompute = Recompute { cheap: false, segments };
            let needed = r.bytes_for_training(loss, recompute);
            assert!(needed <= before, "{needed} after {before}");
            before = needed;
            let tape = r.finish_for_training(loss, recompute);
            let again: Vec<Vec<&str>> = tape
                .rows()
                .map(|row| row.recomputed.iter().map(|&v| tape.name(v)).collect())
                .collect();
            let all: Vec<&str> = again.iter().flatten().copied().collect();
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "once: {all:?}");
            for i in 0..LENGTH {
                let own = |name: &str| format!("block.{i}.{name}");
                let chosen = (frozen..frozen + segments).contains(&i);
                // The output's vjp is the first that reads one of them.
                let reader = tape.find(&own("output")).unwrap().index();
                let expected = if chosen { ["y", "z", "a"].map(own).to_vec() } else { vec![] };
                assert_eq!(again[reader], expected, "{segments} segments, {frozen} frozen");
            }
            assert_eq!(all.len(), 3 * segments);
        }
        let bytes = |segments| {
            let (mut r, loss) = chain(LENGTH, frozen);
            r.bytes_for_training(loss, Recompute { cheap: false, segments })
        };
        assert!(learned < 3 || bytes(learned) < bytes(0), "{frozen} frozen");
    }
}

/// The loss's forward and vjp are one call, so that what it reads is not computed again in between: it stays, with the memory
/// that its operation keeps.
#[test]
fn what_the_loss_reads_stays() {
    let record = || {
        let mut r = Recorder::<f32>::new();
        let one = Shape::new(1, 1);
        let [p, x] = [r.parameter("p", one).unwrap(), r.input("x", one).unwrap()];
        let a = r.push("a", Kept { cheap: true }, [p]).unwrap();
        // Only its forward replay is needed: its kept memory is free at once.
        let b = r.push("b", Kept { cheap: false }, [x]).unwrap();
        let loss = r.push("loss", Hadamard, [a, b]).unwrap();
        (r, loss)
    };
    let gradient = |mut tape: Tape<f32>, loss: Var| {
        for (name, value) in [("p", 3.0), ("x", 5.0)] {
            let var = tape.find(name).unwrap();
            tape.set(var, &[value]);
        }
        tape.forward_and_backward(loss, 1.0);
        tape.gradients()[0]
    };
    let (r, loss) = record();
    assert_eq!(gradient(r.finish(), loss), 2.0 * 3.0 * 25.0);
    let (r, loss) = record();
    assert_eq!(gradient(r.finish_for_training(loss, Recompute::CHEAP), loss), 2.0 * 3.0 * 25.0);
}
