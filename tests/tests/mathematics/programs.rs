//! The tape is the chain rule on any program: values used once, several times, by one operation twice,
//! or not at all.

use calculus::activation::Activation;
use calculus::{Dual, Recorder, Tape, Var};
use linalg::{Real, Shape, add::Add, affine::Affine, hadamard::Hadamard, product::Product};
use probability::{layer_norm::LayerNorm, softmax::Softmax};
use proptest::prelude::*;
use tests::{draw, tolerance};

/// Which operation, and which earlier values it takes.
type Line = (u8, [usize; 3]);

const SIDE: usize = 4;
const PARAMETERS: usize = 3;

/// A recorded program: its values, and the operands of each; parameters have none.
struct Recorded<T: Real> {
    tape: Tape<T>,
    values: Vec<(Var, Vec<Var>)>,
}

/// Records a program on square matrices; every value may be an operand of every later line.
fn record<T: Real>(program: &[Line]) -> Recorded<T> {
    let mut r = Recorder::new();
    let (square, column) = (Shape::new(SIDE, SIDE), Shape::new(SIDE, 1));
    let mut values: Vec<(Var, Vec<Var>)> = Vec::new();
    for i in 0..PARAMETERS {
        values.push((r.parameter(&format!("p{i}"), square).expect("a parameter"), vec![]));
    }
    let bias = r.parameter("bias", column).expect("a parameter");
    for (i, &(operation, operands)) in program.iter().enumerate() {
        let [a, b, c] = operands.map(|o| values[o % values.len()].0);
        let name = format!("line{i}");
        let (value, operands) = match operation % 9 {
            0 => (r.push(&name, Add, [a, b]), vec![a, b]),
            1 => (r.push(&name, Hadamard, [a, b]), vec![a, b]),
            2 => (r.push(&name, Product::plain(), [a, b]), vec![a, b]),
            3 => (r.push(&name, Product::transposed(), [a, a]), vec![a, a]),
            4 => (r.push(&name, Affine, [a, b, bias]), vec![a, b, bias]),
            5 => (r.push(&name, LayerNorm { epsilon: 0.1 }, [c, bias, bias]), vec![c, bias, bias]),
            6 => (r.push(&name, Softmax, [a]), vec![a]),
            7 => (r.push(&name, Activation::Gelu, [b]), vec![b]),
            _ => (r.push(&name, Activation::Tanh, [c]), vec![c]),
        };
        values.push((value.expect("operands that fit"), operands));
    }
    Recorded { tape: r.finish(), values }
}

/// What a line may lose, over its rounding: its result may cancel (a softmax that is sure of its answer,
/// 1 − tanh²), its terms do not. They are products of an operand's value and another's tangent, or of an
/// operand's tangent and a factor that its value moves.
fn terms(moving: &Tape<Dual<f64>>, operands: &[Var]) -> f64 {
    let norm = |part: fn(&Dual<f64>) -> f64| -> f64 {
        let all = |v: &Var| moving.elements(*v).iter().map(|x| part(x).powi(2)).sum::<f64>().sqrt();
        operands.iter().map(all).sum()
    };
    (1.0 + norm(|x| x.value)) * norm(|x| x.derivative)
}

proptest! {
    #[test]
    fn the_tape_agrees_with_duals(
        program in prop::collection::vec((any::<u8>(), any::<[usize; 3]>()), 0..12), seed in 0u64..1000,
    ) {
        let Recorded { mut tape, values } = record::<f64>(&program);
        let n = tape.parameters().len();
        let (start, direction) = (draw::normal(seed, n, 1) * 0.5, draw::normal(seed + 1, n, 1));
        tape.parameters_mut().copy_from_slice(start.as_slice());
        tape.forward();

        let Recorded { tape: mut moving, values: moved } = record::<Dual<f64>>(&program);
        let both = start.iter().zip(&direction).map(|(&x, &t)| Dual::new(x, t));
        moving.parameters_mut().copy_from_slice(&both.collect::<Vec<_>>());
        moving.forward();

        // From any value, computed or not; once more, the gradients of parameters double.
        for (k, (&(output, _), &(moved_output, _))) in values.iter().zip(&moved).enumerate() {
            let upstream = draw::normal(seed + 2, SIDE, SIDE);
            let slopes = moving.value(moved_output).map(|y| y.derivative);
            let (forward, size) = (upstream.dot(&slopes), upstream.norm() * slopes.norm());
            tape.zero_gradients();
            for times in [1.0, 2.0] {
                tape.backward_from(output, upstream.as_slice());
                let reverse: f64 = tape.gradients().iter().zip(&direction).map(|(g, t)| g * t).sum();
                let gradient = tape.gradients().iter().map(|g| g * g).sum::<f64>().sqrt();
                // What every line up to here may lose reaches the output by that line's gradient.
                let lines = values.iter().zip(&moved).take(k + 1);
                let lost: f64 = lines
                    .map(|((v, _), (_, operands))| tape.gradient(*v).norm() * terms(&moving, operands))
                    .sum();
                let scale = times * (size + lost) + gradient * direction.norm();
                // Up to twelve lines, each a sum of four.
                prop_assert!((times * forward - reverse).abs() <= tolerance::sum(48) * scale);
            }
        }
    }
}
