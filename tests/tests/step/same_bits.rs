//! Training has the same bits on any number of threads.

use calculus::clip;
use calculus::optimizer::{Adam, Optimizer};
use linalg::{Real, parallel};
use probability::dropout::QUERIES;
use rayon::ThreadPoolBuilder;
use tests::{draw, models};
use transformer::{Architecture, Form, RecordedStep};

/// Trains from the same start on the same batches; returns the bits of every step's loss and norm of
/// the gradients, then of all parameters.
fn train(config: &Architecture, sequences: usize, steps: u64) -> Vec<u64> {
    let length = config.context;
    let mut model =
        RecordedStep::<f32>::record(config, sequences, length, Form::Fused, 7).expect("valid");
    model.initialise(7);
    let loss = model.loss_var();
    let list = model.tape().parameter_list();
    let matrices = list.into_iter().filter(|p| p.shape.columns > 1).map(|p| p.range).collect();
    let count = model.tape().parameters().len();
    let mut adam = Adam::new(count, 0.9, 0.99, 1e-8).with_decay(0.1, matrices);
    let mut seen = Vec::new();
    for step in 0..steps {
        let tokens = draw::below(step, sequences * length + 1, config.vocabulary);
        model.set_batch(&tokens[1..], &tokens[..sequences * length]).expect("a valid batch");
        model.set_step(Some(step));
        let tape = model.tape_mut();
        tape.zero_gradients();
        tape.forward();
        tape.backward(loss);
        let (parameters, gradients) = tape.parameters_and_gradients();
        let norm = clip::by_global_norm(gradients, 0.5);
        assert!(norm > 0.5, "nothing is clipped");
        adam.step(1e-3, parameters, gradients);
        seen.extend([tape.value(loss)[0].to_f64().to_bits(), norm.to_bits()]);
    }
    seen.extend(model.tape().parameters().iter().map(|p| p.to_f64().to_bits()));
    seen
}

fn on_any_number_of_threads(config: &Architecture, sequences: usize, steps: u64) {
    let tokens = sequences * config.context;
    // Without pieces, threads would have nothing to share.
    assert!(config.hidden * tokens > 2 * parallel::BLOCK, "activations stay whole");
    assert!(linalg::parts(config.hidden, tokens, config.width) > 1, "products stay whole");
    assert!(
        config.context > QUERIES && !config.context.is_multiple_of(QUERIES) || config.width >= 128
    );

    let on = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| train(config, sequences, steps))
    };
    let one = on(1);
    assert!(one.iter().all(|&bits| f64::from_bits(bits).is_finite()));
    for threads in [2, 3, 8] {
        let differing = one.iter().zip(on(threads)).filter(|(a, b)| **a != *b).count();
        assert_eq!(differing, 0, "numbers of {} differ on {threads} threads", one.len());
    }
}

#[test]
fn fifty_steps_of_a_narrow_model() {
    // Activations of 48 × 240 and 192 × 240 elements are cut into blocks of 8192.
    let config = Architecture {
        vocabulary: 65,
        context: 40,
        width: 48,
        heads: 3,
        layers: 2,
        hidden: 192,
        dropout: 0.1,
        ..models::config()
    };
    on_any_number_of_threads(&config, 6, 50);
}

#[test]
fn a_few_steps_of_a_wide_model() {
    // 512 × 128 × 384 multiply-adds, 2.5·10⁷: products are cut in two.
    let config = Architecture {
        vocabulary: 200,
        context: 64,
        width: 128,
        heads: 4,
        layers: 2,
        hidden: 512,
        dropout: 0.1,
        ..models::config()
    };
    on_any_number_of_threads(&config, 6, 6);
}
