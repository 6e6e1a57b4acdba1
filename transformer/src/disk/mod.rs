//! A run on disk: one owner for its directory.
//!
//! | file | what | written |
//! |---|---|---|
//! | `run.toml` | every setting | when the run begins, and when it resumes with other steps |
//! | `metrics.jsonl` | one line per step, a [`Metric`] | after every step |
//! | `model/` | the model in Hugging Face's layout, [`crate::disk::files`]: the evaluated weights, [`crate::Trainer::evaluated`] | at every checkpoint |
//! | `state.safetensors` | the training state, [`crate::disk::checkpoint`]: the last step's weights, and the averaged ones if there are any | at every checkpoint |
//! | `loss.svg`, `growth.svg` | pictures | at every checkpoint; by `diagnose` |
//! | `teacher.bin` | the largest logits of a teacher, [`KeptLogits`] | before the first step, if they are kept |
//! | `run.lock` | the process that trains, while it does | when a [`Run`] is opened |
//!
//! Three rules hold at all times, also after `kill -9` and on a full disk:
//!
//! 1. A file is whole: it is written under a temporary name and renamed ([`write_atomically`]). Lines of
//!    `metrics.jsonl` are appended; lines after the state's last step are dropped when the run resumes.
//! 2. One process writes: it holds a [`Lock`] of the operating system, which ends with the process and so is never
//!    stale.
//! 3. A state resumes only with the settings and the text that it was saved with ([`crate::disk::checkpoint`]).

pub mod checkpoint;
pub mod data;
mod error;
mod file;
pub mod files;
mod kept_logits;
mod lock;
mod metrics;
mod run;
pub mod tokens;
mod trained;

pub use file::{ordinary, read_bounded, read_stream, reason, write_atomically};
pub use kept_logits::{KeptFor, KeptLogits};
pub use lock::Lock;
pub use metrics::{Metric, Restored};
pub use run::{
    Run, RunError, growth_file, is_run, metrics_file, model_directory, plot_file, read_metrics,
    settings_file, state_file, teacher_file, validation_losses,
};
pub use trained::{Begun, read_begun, read_in_training};
