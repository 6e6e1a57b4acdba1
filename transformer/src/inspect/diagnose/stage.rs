//! Progress of a diagnosis, for callers that show it.

/// The work that a diagnosis has just begun or completed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stage<'a> {
    /// A step was watched.
    Watched {
        /// Steps watched so far.
        done: u64,
        /// Steps to watch at most.
        of: u64,
        /// The step's loss.
        loss: f64,
    },
    /// A step of a fix's trial was taken.
    Tried {
        /// The fix, in words.
        cure: &'a str,
        /// Steps taken so far.
        done: u64,
        /// Steps of the trial.
        of: u64,
    },
    /// This quantity is being measured.
    Measuring(&'static str),
    /// A message for the user.
    Remark(&'a str),
}

/// Called at every stage.
pub(crate) type Notify<'a> = &'a dyn Fn(Stage<'_>);

/// Ignores all stages.
pub(crate) const SILENT: Notify<'static> = &|_| {};
