//! A training step allocates nothing: all memory is there when the recording is finished.

use calculus::clip;
use calculus::optimizer::{Adam, Optimizer};
use linalg::{Matrix, Real, View};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::thread::sleep;
use std::time::Duration;
use tests::{draw, models};
use transformer::{Architecture, Decoder, Form, RecordedStep};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often `work` allocates or reallocates, on whatever thread.
fn allocations(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    change.allocations + change.reallocations
}

/// A pool whose threads have what a thread allocates for itself from its first use on: rayon's place
/// among those that steal, the kernel's slab.
fn pool(threads: usize) -> ThreadPool {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.broadcast(|_| {
        let x = Matrix::<f32>::zeros(64, 64);
        let view: View<'_, f32> = x.as_view();
        f32::gemm(x.clone().as_view_mut(), 1.0, view.into(), view.into(), false);
    });
    // Tasks that last are stolen by every thread, however busy the machine is.
    pool.install(|| {
        (0..32 * threads).into_par_iter().for_each(|_| sleep(Duration::from_millis(1)))
    });
    pool
}

/// Blocks of 8192 elements are cut, and so are products: 48 × 240 activations, 192 × 240 hidden.
fn config() -> Architecture {
    let sizes = Architecture { width: 48, heads: 3, hidden: 192, context: 40, ..models::config() };
    Architecture { vocabulary: 65, dropout: 0.1, ..sizes }
}

/// Allocations of each of the steps after the first.
fn training(pool: &ThreadPool, form: Form) -> [usize; 2] {
    let (config, sequences) = (config(), 6);
    let n = sequences * config.context;
    let tokens = draw::below(1, n + 1, config.vocabulary);
    let mut model =
        RecordedStep::<f32>::record(&config, sequences, config.context, form, 3).expect("valid");
    model.initialise(3);
    let loss = model.loss_var();
    let list = model.tape().parameter_list();
    let matrices = list.into_iter().filter(|p| p.shape.columns > 1).map(|p| p.range).collect();
    let count = model.tape().parameters().len();
    let mut adam = Adam::new(count, 0.9, 0.99, 1e-8).with_decay(0.1, matrices);
    let mut step = |number: u64| {
        model.set_batch(&tokens[..n], &tokens[1..]).expect("a valid batch");
        model.set_step(Some(number));
        let tape = model.tape_mut();
        tape.zero_gradients();
        tape.forward();
        tape.backward(loss);
        let (parameters, gradients) = tape.parameters_and_gradients();
        clip::by_global_norm(gradients, 0.5);
        adam.step(1e-3, parameters, gradients);
    };
    pool.install(|| {
        step(0);
        [1, 2].map(|number| allocations(|| step(number)))
    })
}

/// Allocations of reading tokens after the first, beyond where the context of 40 is full.
fn reading(pool: &ThreadPool) -> usize {
    let mut decoder = Decoder::<f32>::record(&config()).expect("a valid model");
    let mut read = |token| assert_eq!(decoder.read(token).expect("a token").len(), 65);
    pool.install(|| {
        read(0);
        allocations(|| (1..60).for_each(&mut read))
    })
}

/// One test, because the counter counts for all threads.
#[test]
fn a_step_allocates_nothing_of_ours() {
    // All pools live to the end, because a thread that ends allocates too.
    let pools = [1, 2, 3].map(pool);
    for form in [Form::Fused, Form::Textbook] {
        for pool in &pools {
            let threads = pool.current_num_threads();
            assert_eq!(training(pool, form), [0; 2], "{form:?}, {threads} threads");
        }
    }
    assert_eq!(reading(&pools[0]), 0);
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![0_u8; 9]))), 1, "the counter counts");
}
