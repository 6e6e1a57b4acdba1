//! The tape is the chain rule on any program: values used once, several times, by one operation twice,
//! or not at all.

use calculus::activation::{Activation, Gelu, Tanh};
use calculus::{Dual, Recorder, Tape, Var};
use linalg::{Real, Shape, add::Add, affine::Affine, hadamard::Hadamard, product::Product};
use probability::{layer_norm::LayerNorm, softmax::Softmax};
use proptest::prelude::*;
use tests::{draw, tolerance};

/// Which operation, and which earlier values it takes.
type Line = (u8, [usize; 3]);

const SIDE: usize = 4;
const PARAMETERS: usize = 3;

/// Records a program on square matrices; every value may be an operand of every later line.
fn record<T: Real>(program: &[Line]) -> (Tape<T>, Vec<Var>) {
    let mut r = Recorder::new();
    let (square, column) = (Shape::new(SIDE, SIDE), Shape::new(SIDE, 1));
    let mut values: Vec<Var> = Vec::new();
    for i in 0..PARAMETERS {
        values.push(r.parameter(&format!("p{i}"), square).expect("a parameter"));
    }
    let bias = r.parameter("bias", column).expect("a parameter");
    for (i, &(operation, operands)) in program.iter().enumerate() {
        let [a, b, c] = operands.map(|o| values[o % values.len()]);
        let name = format!("line{i}");
        let value = match operation % 9 {
            0 => r.push(&name, Add, [a, b]),
            1 => r.push(&name, Hadamard, [a, b]),
            2 => r.push(&name, Product::plain(), [a, b]),
            3 => r.push(&name, Product::transposed(), [a, a]),
            4 => r.push(&name, Affine, [a, b, bias]),
            5 => r.push(&name, LayerNorm { epsilon: 0.1 }, [c, bias, bias]),
            6 => r.push(&name, Softmax, [a]),
            7 => r.push(&name, Activation(Gelu), [b]),
            _ => r.push(&name, Activation(Tanh), [c]),
        };
        values.push(value.expect("operands that fit"));
    }
    (r.finish(), values)
}

proptest! {
    #[test]
    fn the_tape_agrees_with_duals(
        program in prop::collection::vec((any::<u8>(), any::<[usize; 3]>()), 0..12), seed in 0u64..1000,
    ) {
        let (mut tape, values) = record::<f64>(&program);
        let n = tape.parameters().len();
        let (start, direction) = (draw::normal(seed, n, 1) * 0.5, draw::normal(seed + 1, n, 1));
        tape.parameters_mut().copy_from_slice(start.as_slice());
        tape.forward();

        let (mut moving, moved) = record::<Dual<f64>>(&program);
        let both = start.iter().zip(&direction).map(|(&x, &t)| Dual::new(x, t));
        moving.parameters_mut().copy_from_slice(&both.collect::<Vec<_>>());
        moving.forward();

        // From any value, computed or not; once more, the gradients of parameters double.
        for (&output, &moved) in values.iter().zip(&moved) {
            let upstream = draw::normal(seed + 2, SIDE, SIDE);
            let slopes = moving.value(moved).map(|y| y.derivative);
            let (forward, size) = (upstream.dot(&slopes), upstream.norm() * slopes.norm());
            tape.zero_gradients();
            for times in [1.0, 2.0] {
                tape.backward_from(output, upstream.as_slice());
                let reverse: f64 = tape.gradients().iter().zip(&direction).map(|(g, t)| g * t).sum();
                let gradient = tape.gradients().iter().map(|g| g * g).sum::<f64>().sqrt();
                let scale = times * size + gradient * direction.norm();
                // Up to twelve lines, each a sum of four.
                prop_assert!((times * forward - reverse).abs() <= tolerance::sum(48) * scale);
            }
        }
    }
}
