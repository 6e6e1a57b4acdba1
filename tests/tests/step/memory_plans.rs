//! A recording made for training has the bits of one that keeps everything, in less memory.

use calculus::Tape;
use linalg::Real;
use std::panic::AssertUnwindSafe;
use tests::models;
use transformer::{Architecture, Form, RecordedStep};

/// Bits of the loss and of all gradients of two replays.
fn bits<T: Real>(model: &mut RecordedStep<T>) -> Vec<u64> {
    let config = model.config().clone();
    let n = model.batch();
    let mut seen = Vec::new();
    for step in 0..2 {
        let (tokens, targets) = models::batch(step, &config, n);
        model.set_batch(&tokens, &targets).expect("a valid batch");
        model.set_step(Some(step));
        let loss = model.loss_var();
        let tape = model.tape_mut();
        if step == 0 {
            tape.zero_gradients();
        } else {
            tape.forget_gradients();
        }
        tape.forward_and_backward(loss, T::from_f64(0.5));
        seen.push(tape.value(loss)[0].to_f64().to_bits());
        seen.extend(tape.gradients().iter().map(|g| g.to_f64().to_bits()));
    }
    seen
}

fn activations<T: Real>(tape: &Tape<T>) -> usize {
    let memory = tape.memory();
    memory.values + memory.gradients + memory.kept
}

fn with_parameters(mut model: RecordedStep<f32>) -> RecordedStep<f32> {
    let values = models::parameters(1, &model.tape().parameter_list());
    model.copy_parameters(&values.into_iter().map(|x| x as f32).collect::<Vec<_>>());
    model
}

#[test]
fn reusing_memory_changes_no_bit() {
    let small = models::config();
    // Layers × tokens × width above 2²⁰: cheap values are computed again.
    let large = Architecture {
        vocabulary: 31,
        context: 64,
        width: 288,
        heads: 3,
        layers: 4,
        hidden: 96,
        ..small.clone()
    };
    assert!(!RecordedStep::<f32>::recomputes(&small, 3, small.context), "all is kept");
    assert!(
        RecordedStep::<f32>::recomputes(&large, 16, large.context),
        "cheap values are made again"
    );
    for (config, sequences, share) in [(small, 3, 0.75), (large, 16, 0.5)] {
        for dropout in [0.0, 0.2] {
            let config = Architecture { dropout, ..config.clone() };
            let length = config.context;
            let mut keep = with_parameters(
                RecordedStep::record(&config, sequences, length, Form::Fused, 5).expect("valid"),
            );
            let mut reuse = with_parameters(
                RecordedStep::record_for_training(&config, sequences, length, 5).expect("valid"),
            );
            let (all, less) = (activations(keep.tape()), activations(reuse.tape()));
            println!("width {}, dropout {dropout}: {all} bytes, reused {less}", config.width);
            assert!((less as f64) < share * all as f64);
            assert!(bits(&mut keep) == bits(&mut reuse), "width {}", config.width);
        }
    }
}

#[test]
fn what_is_not_held_is_refused() {
    let model =
        RecordedStep::<f32>::record_for_training(&models::config(), 1, 5, 0).expect("valid");
    let tape = model.tape();
    let embedded = tape.find("embedding.sum").expect("a recorded value");
    assert!(!tape.holds(embedded) && tape.holds(model.loss_var()));
    let read = std::panic::catch_unwind(AssertUnwindSafe(|| tape.value(embedded).len()));
    let message = *read.expect_err("a refusal").downcast::<String>().expect("a message");
    assert!(message.contains("embedding.sum") && message.contains("reuses memory"), "{message}");
}
