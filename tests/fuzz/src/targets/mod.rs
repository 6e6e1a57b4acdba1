//! The targets, by what they read.

mod codes;
mod directory;
mod dumped;
mod explained;
mod json;
mod numbers;
mod runs;
mod saved;
mod sources;

pub use codes::{arithmetic, arithmetic_seeds, prefix_code, prefix_code_seeds};
pub use directory::{generation, generation_seeds, index, index_seeds};
pub use dumped::{dump, dump_seeds};
pub use explained::{address, address_seeds, page, page_seeds};
pub use json::{config, config_seeds, tokenizer, tokenizer_seeds};
pub use numbers::{sampling, sampling_seeds};
pub use runs::{metrics, metrics_seeds, settings, settings_seeds};
pub use saved::{compressed, compressed_seeds, model, model_seeds, state, state_seeds};
pub use sources::{conversation, conversation_seeds, corpus, corpus_seeds, grammar, grammar_seeds};

use super::{accepted, refused};
use std::path::{Path, PathBuf};

/// A directory of this thread's own, in memory where there is such a file system.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let made = match std::env::var_os("TMPDIR").is_none() && memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        Scratch(made.expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        path
    }
}

/// Numbers of any kind from bytes: most are small, some are the ones at which programs break, some are any float.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn next(&mut self) -> Option<f64> {
        const HARD: [f64; 14] = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            -0.0,
            5e-324,
            f64::MIN_POSITIVE,
            f64::EPSILON,
            1.0 - f64::EPSILON,
            0.1,
            1e-300,
            1e300,
            f64::MAX,
            f64::MIN,
            1e16,
        ];
        let tag = self.byte()?;
        Some(match tag {
            0..200 => f64::from(tag as i8) / 8.0,
            200..240 => HARD[usize::from(tag - 200) % HARD.len()],
            _ => {
                let (eight, rest) = self.0.split_first_chunk::<8>()?;
                self.0 = rest;
                f64::from_le_bytes(*eight)
            }
        })
    }

    fn all(mut self) -> Vec<f64> {
        std::iter::from_fn(|| self.next()).collect()
    }
}
