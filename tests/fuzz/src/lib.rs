//! What reads something from outside, given anything.
//!
//! Every target is a function of bytes that panics where a law does not hold:
//!
//! 1. Nothing panics, overflows the stack, takes more than seconds, or more memory than its input and the model explain
//!    (the runner sets a limit on the address space and looks at the clock).
//! 2. What is refused is refused in words without control characters.
//! 3. What is accepted can be written, and is the same when it is read again.
//!
//! Three programs call them: cargo-fuzz (`fuzz_targets/`), [`run`] in `src/plain.rs` where cargo-fuzz cannot be had,
//! and the test `tests/tests/trust/fuzz.rs`, which includes this file and takes a moment.

mod mutate;
pub mod run;
mod targets;

pub use mutate::{Layout, mutate};
pub use run::{hash, inputs, run};
pub use targets::*;

use std::cell::Cell;
use std::fmt::Display;

/// A target.
pub struct Target {
    /// Its name, and that of its directory in `corpus/`.
    pub name: &'static str,
    /// Panics where a law does not hold.
    pub body: fn(&[u8]),
    /// Inputs made by the code that is tried: all are accepted, whatever the format is today.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How its inputs are built.
    pub layout: Layout,
}

/// All of them.
pub const TARGETS: [Target; 18] = [
    Target { name: "config", body: config, seeds: config_seeds, layout: Layout::Json },
    Target { name: "model", body: model, seeds: model_seeds, layout: Layout::Model },
    Target { name: "index", body: index, seeds: index_seeds, layout: Layout::Json },
    Target { name: "generation", body: generation, seeds: generation_seeds, layout: Layout::Json },
    Target { name: "tokenizer", body: tokenizer, seeds: tokenizer_seeds, layout: Layout::Json },
    Target { name: "state", body: state, seeds: state_seeds, layout: Layout::Tensors },
    Target { name: "dump", body: dump, seeds: dump_seeds, layout: Layout::Tensors },
    Target { name: "settings", body: settings, seeds: settings_seeds, layout: Layout::Text },
    Target { name: "metrics", body: metrics, seeds: metrics_seeds, layout: Layout::Text },
    Target { name: "address", body: address, seeds: address_seeds, layout: Layout::Text },
    Target { name: "page", body: page, seeds: page_seeds, layout: Layout::Text },
    Target { name: "compressed", body: compressed, seeds: compressed_seeds, layout: Layout::Bytes },
    Target { name: "grammar", body: grammar, seeds: grammar_seeds, layout: Layout::Text },
    Target { name: "sampling", body: sampling, seeds: sampling_seeds, layout: Layout::Bytes },
    Target {
        name: "prefix_code",
        body: prefix_code,
        seeds: prefix_code_seeds,
        layout: Layout::Bytes,
    },
    Target { name: "arithmetic", body: arithmetic, seeds: arithmetic_seeds, layout: Layout::Bytes },
    Target { name: "corpus", body: corpus, seeds: corpus_seeds, layout: Layout::Text },
    Target {
        name: "conversation",
        body: conversation,
        seeds: conversation_seeds,
        layout: Layout::Text,
    },
];

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

thread_local! {
    /// A digest of what the input led to: inputs that lead elsewhere are worth mutating.
    static OUTCOME: Cell<u64> = const { Cell::new(0) };
    static ACCEPTED: Cell<bool> = const { Cell::new(false) };
}

/// Notes a refusal, and checks its words.
fn refused(error: impl Display) {
    let text = error.to_string();
    if let Some(c) = text.chars().find(|c| c.is_control() && *c != '\n') {
        panic!("an error with the control character {c:?}: {text:?}");
    }
    assert!(!text.trim().is_empty(), "an error without words");
    let letters: String = text.chars().filter(|c| c.is_alphabetic()).take(30).collect();
    OUTCOME.set(OUTCOME.get().rotate_left(7) ^ hash(letters.as_bytes()));
}

/// Notes that the input is one of those that the target is for.
fn accepted(by: &str) {
    ACCEPTED.set(true);
    OUTCOME.set(OUTCOME.get().rotate_left(7) ^ hash(by.as_bytes()));
}

/// The `main` of a target for cargo-fuzz: half of the mutations are libFuzzer's, half know the layout.
#[macro_export]
macro_rules! libfuzzer {
    ($name:ident) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name(data));
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
            if seed % 2 == 0 {
                return libfuzzer_sys::fuzzer_mutate(data, size, most);
            }
            let layout = $crate::target(stringify!($name)).expect("a target").layout;
            let mutated = $crate::mutate(layout, &data[..size], &[], u64::from(seed));
            let length = mutated.len().min(most);
            data[..length].copy_from_slice(&mutated[..length]);
            length
        });
    };
}
