//! A recording and its replays, with different plans: what each holds and refuses, and the error messages.

use calculus::activation::Activation;
use calculus::{Recompute, RecordError, Recorder, Source, Tape, Var};
use linalg::formula::Matter;
use linalg::{Shape, ShapeError, add::Add, affine::Affine, hadamard::Hadamard};
use std::panic::{AssertUnwindSafe, catch_unwind};

const WEIGHTS: [f64; 6] = [0.3, -0.2, 0.5, 0.1, 0.7, -0.4];
const INPUT: [f64; 2] = [1.0, -2.0];

/// A layer, a skip connection and a square, reduced to one number; and a value that it does not depend on.
fn record() -> (Recorder<f64>, Var) {
    record_without(&[])
}

/// Like [`record`], with some parameters frozen.
fn record_without(frozen: &[&'static str]) -> (Recorder<f64>, Var) {
    let mut r = Recorder::<f64>::default();
    let frozen = frozen.to_vec();
    r.freeze(move |name| frozen.contains(&name));
    let (w, b) = r
        .scope("layer", |r| {
            Ok((r.parameter("weight", Shape::new(2, 2))?, r.parameter("bias", Shape::new(2, 1))?))
        })
        .unwrap();
    let x = r.input("x", Shape::new(2, 1)).unwrap();
    let z = r.push("z", Affine, [w, x, b]).unwrap();
    let a = r.push("a", Activation::Tanh, [z]).unwrap();
    let y = r.push("y", Add, [a, x]).unwrap();
    let _aside = r.push("aside", Activation::Silu, [z]).unwrap();
    let row = r.parameter("row", Shape::new(1, 2)).unwrap();
    let shift = r.parameter("shift", Shape::new(1, 1)).unwrap();
    let s = r.push("s", Affine, [row, y, shift]).unwrap();
    let loss = r.push("loss", Hadamard, [s, s]).unwrap();
    (r, loss)
}

fn filled(mut tape: Tape<f64>) -> Tape<f64> {
    tape.parameters_mut()[..6].copy_from_slice(&WEIGHTS);
    tape.parameters_mut()[6..].copy_from_slice(&[0.9, -1.1, 0.2]);
    let x = tape.find("x").unwrap();
    tape.set(x, &INPUT);
    tape
}

fn tapes() -> [(Tape<f64>, Var); 4] {
    let finished = |finish: &dyn Fn(Recorder<f64>, Var) -> Tape<f64>| {
        let (r, loss) = record();
        (filled(finish(r, loss)), loss)
    };
    [
        finished(&|r, _| r.finish()),
        finished(&|r, _| r.finish_forward_only()),
        finished(&|r, loss| r.finish_for_training(loss, Recompute::default())),
        finished(&|r, loss| r.finish_for_training(loss, Recompute::CHEAP)),
    ]
}

/// Returns the bytes that a tape allocated.
fn bytes(tape: &Tape<f64>) -> u128 {
    let m = tape.memory();
    let weights = m.parameters + m.parameter_gradients + m.frozen;
    (weights + m.values + m.gradients + m.kept + m.scratch) as u128
}

fn panics(work: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(work)).expect_err("a panic");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default()
}

#[test]
fn every_plan_has_the_same_values_and_gradients() {
    let [(mut keep, loss), others @ ..] = tapes();
    keep.forward();
    keep.backward(loss);
    let expected = keep.value(loss)[0];
    for (mut tape, loss) in others {
        tape.forward();
        assert_eq!(tape.value(loss)[0].to_bits(), expected.to_bits());
        if tape.memory().parameter_gradients > 0 {
            tape.forward_and_backward(loss, 1.0);
            assert_eq!(tape.gradients(), keep.gradients());
            let (parameters, gradients) = tape.parameters_and_gradients();
            assert_eq!((parameters.len(), gradients.len()), (9, 9));
            // A descent step with both slices: the loss falls.
            parameters.iter_mut().zip(gradients).for_each(|(p, g)| *p -= 1e-3 * *g);
            tape.forward();
            assert!(tape.value(loss)[0] < expected);
        }
    }
}

#[test]
fn a_forward_only_recording_is_half_as_large_and_has_no_gradients() {
    let (r, _) = record();
    // Memory kept for the backward replay, and scratch, are not halved.
    let (whole, half) = (r.bytes(), r.bytes_forward_only());
    assert!(half < whole && half * 2 >= whole, "{half} of {whole}");
    let [(keep, _), (mut tape, loss), ..] = tapes();
    assert_eq!(bytes(&keep), whole);
    assert_eq!(bytes(&tape), half);
    let memory = tape.memory();
    assert_eq!((memory.parameter_gradients, memory.gradients), (0, 0));
    tape.forward();
    assert!(tape.gradients().is_empty() && tape.parameters_and_gradients().1.is_empty());
    tape.zero_gradients();
    assert!(tape.rows().all(|row| row.gradient.is_none()));
    assert!(panics(|| tape.backward(loss)).contains("forward-only"));
    for name in ["layer.weight", "z"] {
        let var = tape.find(name).unwrap();
        let said = format!("{name}: a forward-only recording has no gradients");
        assert_eq!(panics(|| drop(tape.gradient(var).clone_owned())), said);
        assert_eq!(panics(|| drop(tape.gradient_elements(var).to_vec())), said);
        assert!(tape.gradient_elements_mut(var).is_empty());
    }
}

#[test]
fn what_a_recording_for_training_holds() {
    let [_, _, plain, recomputing] = tapes();
    for (mut tape, loss) in [plain, recomputing] {
        tape.forward_and_backward(loss, 1.0);
        for var in tape.vars() {
            let name = tape.name(var).to_owned();
            let given = tape.source(var) != Source::Operation;
            assert_eq!(tape.holds(var), given || var == loss, "{name}");
            let said = format!("{name}: this recording reuses memory; finish one that keeps");
            if !tape.holds(var) {
                assert_eq!(panics(|| drop(tape.value(var).clone_owned())), said);
                assert_eq!(panics(|| drop(tape.elements(var).to_vec())), said);
            }
            if tape.source(var) != Source::Parameter {
                assert_eq!(panics(|| drop(tape.gradient(var).clone_owned())), said);
                assert_eq!(panics(|| drop(tape.gradient_elements(var).to_vec())), said);
            }
        }
        let z = tape.find("z").unwrap();
        let said = panics(|| tape.backward_from(z, &[1.0, 1.0]));
        assert!(said.contains("gradients are those of loss alone"), "{said}");
        let with_gradient = tape.rows().filter(|row| row.gradient.is_some());
        assert!(with_gradient.map(|row| row.source).eq([Source::Parameter; 4]));
    }
    // The predicted memory is the allocated memory.
    for recompute in [Recompute::default(), Recompute::CHEAP] {
        let (mut r, loss) = record();
        let said = r.bytes_for_training(loss, recompute);
        assert_eq!(said, bytes(&r.finish_for_training(loss, recompute)));
    }
    let [(other, _), ..] = tapes();
    let foreign = other.find("loss").unwrap();
    let said = panics(|| drop(record().0.finish_for_training(foreign, Recompute::default())));
    assert!(said.contains("another recording"), "{said}");
}

/// For every set of frozen weights, in every plan: values and the other gradients have the same bits, what is frozen has
/// no gradient, and memory is as predicted.
#[test]
fn frozen_weights_change_no_bit_and_have_no_gradient() {
    const NAMES: [&str; 4] = ["layer.weight", "layer.bias", "row", "shift"];
    let [(mut whole, loss), ..] = tapes();
    whole.forward();
    whole.backward(loss);
    for set in 0..1_u32 << NAMES.len() {
        let still = |i: usize| set >> i & 1 == 1;
        let frozen: Vec<&str> = (0..4).filter(|&i| still(i)).map(|i| NAMES[i]).collect();
        type Finish = fn(Recorder<f64>, Var) -> Tape<f64>;
        let plans: [Finish; 4] = [
            |r, _| r.finish(),
            |r, _| r.finish_forward_only(),
            |r, loss| r.finish_for_training(loss, Recompute::default()),
            |r, loss| r.finish_for_training(loss, Recompute::CHEAP),
        ];
        for (plan, finish) in plans.iter().enumerate() {
            let (mut r, loss) = record_without(&frozen);
            let said = match plan {
                0 => r.bytes(),
                1 => r.bytes_forward_only(),
                _ => r.bytes_for_training(loss, Recompute { cheap: plan == 3, segments: 0 }),
            };
            let mut tape = finish(r, loss);
            assert_eq!(bytes(&tape), said, "{frozen:?}, plan {plan}");
            for (var, name) in NAMES.map(|name| (tape.find(name).unwrap(), name)) {
                let value = whole.elements(whole.find(name).unwrap()).to_vec();
                tape.set(var, &value);
                let source =
                    if frozen.contains(&name) { Source::Frozen } else { Source::Parameter };
                assert_eq!(tape.source(var), source);
            }
            let x = tape.find("x").unwrap();
            tape.set(x, &INPUT);
            let lists = [tape.frozen_list(), tape.parameter_list()];
            assert_eq!(lists[0].iter().map(|p| &p.name[..]).collect::<Vec<_>>(), frozen);
            for p in &lists[0] {
                let own = whole.elements(whole.find(&p.name).unwrap());
                assert_eq!(&tape.frozen()[p.range.clone()], own);
            }
            assert_eq!(tape.parameters().len() + tape.frozen().len(), whole.parameters().len());
            tape.forward();
            assert_eq!(
                tape.value(loss)[0].to_bits(),
                whole.value(whole.find("loss").unwrap())[0].to_bits()
            );
            if plan == 1 {
                continue;
            }
            // Replayed twice, forgotten in between: the same.
            for _ in 0..2 {
                tape.forget_gradients();
                tape.forward_and_backward(loss, 1.0);
                for p in &lists[1] {
                    let own = whole.gradient_elements(whole.find(&p.name).unwrap());
                    assert_eq!(&tape.gradients()[p.range.clone()], own, "{frozen:?}, plan {plan}");
                }
            }
            for p in &lists[0] {
                let var = tape.find(&p.name).unwrap();
                assert!(tape.gradient(var).is_empty() && tape.gradient_elements(var).is_empty());
                assert!(tape.gradient_elements_mut(var).is_empty());
                assert!(tape.rows().nth(var.index()).unwrap().gradient.is_none());
            }
            // Nothing is replayed backward for what no parameter determines.
            let replayed = |name: &str| {
                let var = tape.find(name).unwrap();
                tape.rows().nth(var.index()).unwrap().backward_flops > 0
            };
            let layer = !still(0) || !still(1);
            let training = plan > 1;
            assert_eq!(replayed("a"), layer || !training, "{frozen:?}, plan {plan}");
            assert_eq!(replayed("loss"), set != 15 || !training);
        }
    }
    // A frozen factor costs a third of an affine map's step less: no gradient of its own.
    let flops = |frozen: &[&'static str]| {
        let (r, loss) = record_without(frozen);
        let tape = r.finish_for_training(loss, Recompute::default());
        let s = tape.find("s").unwrap().index();
        let row = tape.rows().nth(s).unwrap();
        (row.flops, row.backward_flops)
    };
    assert_eq!(flops(&[]), (5, 10));
    assert_eq!(flops(&["row"]), (5, 5));
    assert_eq!(flops(&["layer.weight", "layer.bias"]), (5, 5));
}

#[test]
fn gradients_that_are_forgotten_are_written_anew() {
    // One parameter that the loss depends on, and one that it does not.
    let mut r = Recorder::<f64>::new();
    let [x, alone] = ["x", "alone"].map(|name| r.parameter(name, Shape::new(1, 1)).unwrap());
    let loss = r.push("loss", Hadamard, [x, x]).unwrap();
    let mut tape = r.finish_for_training(loss, Recompute::default());
    tape.set(x, &[3.0]);
    for _ in 0..2 {
        tape.parameters_and_gradients().1.fill(7.0);
        tape.forget_gradients();
        assert_eq!(tape.gradient(alone)[0], 0.0);
        tape.forward_and_backward(loss, 1.0);
        assert_eq!(tape.gradients(), [6.0, 0.0]);
    }
    // Without forgetting they add up.
    tape.forward_and_backward(loss, 1.0);
    assert_eq!(tape.gradients(), [12.0, 0.0]);
}

#[test]
fn what_readers_see_is_what_was_recorded() {
    let [(mut tape, loss), ..] = tapes();
    tape.forward();
    tape.backward(loss);
    for (i, row) in tape.rows().enumerate() {
        assert_eq!((row.var.index(), tape.find(row.name)), (i, Some(row.var)));
        assert_eq!((tape.name(row.var), tape.shape(row.var)), (row.name, row.shape));
        assert_eq!(tape.operation(row.var), row.operation);
        let given = row.operation.is_none();
        assert_eq!(given, row.source != Source::Operation);
        assert_eq!((given, row.flops == 0, row.bytes == 0), (given, given, given), "{}", row.name);
        assert!(row.backward_flops == 2 * row.flops);
        assert_eq!(row.gradient.expect("kept"), tape.gradient(row.var));
        assert_eq!(
            tape.gradient(row.var).clone_owned().as_slice(),
            tape.gradient_elements(row.var)
        );
        // The stated formula gives the computed value.
        let Some(formula) = tape.formula(row.var) else {
            assert!(given);
            continue;
        };
        let operands = &row.operands;
        for at in 0..row.shape.rows {
            let derivation = formula.derive((at, 0), |of, i, j| match of {
                Matter::Operand(o) => tape.value(operands[o])[(i, j)],
                _ => f64::NAN,
            });
            assert!(derivation.makes(row.value[at], f64::EPSILON, f64::MIN_POSITIVE));
        }
    }
    let names: Vec<String> = tape.parameter_list().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["layer.weight", "layer.bias", "row", "shift"]);
}

#[test]
fn what_one_replay_computed_the_next_one_reads() {
    let [(mut tape, _), ..] = tapes();
    let [x, y, z] = ["x", "y", "z"].map(|name| tape.find(name).unwrap());
    tape.forward();
    let computed = tape.elements(y).to_vec();
    tape.copy(y, 1..2, x, 0);
    assert_eq!(tape.elements(x), [computed[1], INPUT[1]]);
    assert!(!panics(|| tape.copy(y, 0..2, x, 1)).is_empty());
    assert!(panics(|| tape.copy(x, 0..1, z, 0)).contains("z is computed"));
    assert!(panics(|| tape.set(z, &[0.0; 2])).contains("z is computed"));
    // A gradient that was overwritten is passed on.
    let loss = tape.find("loss").unwrap();
    tape.forward();
    tape.begin_backward(loss, &[1.0]);
    tape.gradient_elements_mut(loss)[0] = 0.0;
    tape.vars().rev().for_each(|var| tape.backward_one(var));
    assert!(tape.gradients().iter().all(|g| *g == 0.0));
}

#[test]
fn what_cannot_be_recorded_is_refused_in_words() {
    let mut r = Recorder::<f32>::new();
    let x = r.input("x", Shape::new(3, 5)).unwrap();
    let said = |result: Result<Var, RecordError>| result.expect_err("refused").to_string();
    assert_eq!(said(r.input("nothing", Shape::new(0, 5))), "nothing: 0×5 has no element");
    assert_eq!(
        said(r.input("x", Shape::new(1, 1))),
        "x: there is a value of this name already; give the second one another name"
    );
    let huge = Shape::new(usize::MAX, 2);
    assert!(said(r.parameter("huge", huge)).contains("more than memory can address"));
    let w = r.parameter("w", Shape::new(2, 4)).unwrap();
    let wrong = r.scope("head", |r| r.push("y", Add, [w, x]));
    let Err(RecordError::Shape { ref source, .. }) = wrong else { panic!("{wrong:?}") };
    assert!(matches!(source, ShapeError::Rows { expected: 2, found: 3, .. }));
    assert_eq!(
        said(wrong.clone()),
        "head.y: sum of w 2×4, x 3×5: the second summand has 3 rows where 2 are needed"
    );
    let other = Recorder::<f32>::new().input("elsewhere", Shape::new(3, 5)).unwrap();
    assert_eq!(said(r.push("y", Add, [x, other])), "y: an operand belongs to another recording");
    // A scope that failed is closed.
    let next = r.push("next", Add, [x, x]).unwrap();
    assert_eq!(r.finish().name(next), "next");

    // Sizes beyond any memory are summed without overflow.
    let mut r = Recorder::<f64>::new();
    let side = 1 << 29;
    let a = r.parameter("a", Shape::new(side, side / 64)).unwrap();
    let mut last = a;
    for i in 0..40 {
        last = r.push(&format!("b{i}"), Add, [a, last]).unwrap();
    }
    assert!(
        r.bytes() > 40 * 2 * 8 * (1 << 52)
            && r.bytes_for_training(last, Recompute::CHEAP) == r.bytes()
    );
}
