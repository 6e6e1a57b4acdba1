//! Handles Ctrl-C and a scheduler's SIGTERM.
//!
//! Only training has something to lose: other commands, and training before its first step, end at once. During
//! training, the first signal stops it after the step (an evaluation is interrupted between two batches), the second
//! within the step, between two parts of it; either way it saves the state. If a part takes longer than a second, the
//! program ends without saving: the last checkpoint stays. A third signal does not wait.

use crate::{Result, remark};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The exit code after Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// The number of signals so far.
static ASKED: AtomicU32 = AtomicU32::new(0);
/// The current [`Phase`].
static PHASE: AtomicU8 = AtomicU8::new(Phase::Preparing as u8);

/// A phase of training.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before anything is written.
    Preparing,
    /// In a step or an evaluation.
    Training,
    /// Writing a checkpoint.
    Saving,
    /// After everything is saved.
    Reporting,
}

/// The time that the program waits for a part of a step to end.
const PATIENCE: Duration = Duration::from_millis(800);

/// Starts to handle signals.
pub(crate) fn listen() -> Result<()> {
    Ok(ctrlc::set_handler(heard)?)
}

fn heard() {
    let asked = ASKED.fetch_add(1, SeqCst) + 1;
    let phase = PHASE.load(SeqCst);
    if phase == Phase::Preparing as u8 {
        end("stopped before the first step");
    }
    if phase == Phase::Reporting as u8 {
        end("stopped; everything is saved");
    }
    match asked {
        1 => remark("stopping after this step; again to stop now"),
        2 => {
            remark("stopping now");
            let began = Instant::now();
            while PHASE.load(SeqCst) == Phase::Training as u8 {
                if began.elapsed() > PATIENCE {
                    end("stopped in the middle of a step: the last checkpoint stays");
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        _ => end("stopped at once: the last checkpoint stays"),
    }
}

fn end(why: &str) -> ! {
    remark(why);
    std::process::exit(i32::from(INTERRUPTED))
}

/// Enters a phase.
pub(crate) fn enter(phase: Phase) {
    PHASE.store(phase as u8, SeqCst);
}

/// Returns whether a stop was requested.
pub(crate) fn stop() -> bool {
    ASKED.load(SeqCst) > 0
}

/// Interrupts an evaluation if a stop was requested.
pub(crate) fn between_batches() -> ControlFlow<()> {
    flow(stop())
}

/// Interrupts a step if a stop was requested twice.
pub(crate) fn between_parts() -> ControlFlow<()> {
    flow(ASKED.load(SeqCst) > 1)
}

fn flow(stop: bool) -> ControlFlow<()> {
    if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
