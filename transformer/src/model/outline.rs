//! The step that training would record, as planned, before any of its memory is allocated.

use crate::model::architecture::{Architecture, ConfigError};
use crate::model::layers::Marks;
use crate::model::recorded_step::{ModelError, RecordedStep, Wanted};
use crate::words;
use calculus::{Planned, Recompute, TapeMemory, Var};
use linalg::Real;

/// A training step as planned: see [`RecordedStep::outline`].
#[derive(Clone, Debug)]
pub struct Outline {
    /// The rows, in order.
    pub rows: Vec<Planned>,
    /// The bytes that the step would allocate.
    pub memory: TapeMemory,
    /// The places of the network's parts.
    pub marks: Marks,
    /// The input of positions (1 × tokens).
    pub positions: Var,
    /// The loss (1 × 1).
    pub loss: Var,
}

impl<T: Real> RecordedStep<T> {
    /// Returns the rows and the memory of the step that [`RecordedStep::record_for_training`] would record, without
    /// allocating it.
    ///
    /// ```
    /// use transformer::{Architecture, RecordedStep};
    /// let config = Architecture::default();
    /// let outline = RecordedStep::<f32>::outline(&config, 1, 8)?;
    /// assert_eq!(outline.memory.parameters, 4 * config.parameters());
    /// # Ok::<(), transformer::ModelError>(())
    /// ```
    ///
    /// # Errors
    /// Sizes that contradict each other, or that no memory could hold.
    pub fn outline(
        config: &Architecture,
        sequences: usize,
        length: usize,
    ) -> Result<Outline, ModelError> {
        if sequences == 0 {
            return Err(ConfigError::Zero { size: "batch" }.into());
        }
        let wanted = Wanted::new(config, sequences, length);
        let (mut recorder, values) = wanted.written::<T>()?;
        if operations(config, sequences, length) >= 1 << 62 {
            let sequences = words::of(sequences, "sequence");
            return Err(ConfigError::Range {
                setting: "the batch",
                found: format!("{sequences} of {}", words::of(length, "token")),
                expected: "smaller: its floating-point operations cannot be counted in 64 bits",
            }
            .into());
        }
        let cheap = Self::recomputes(config, sequences, length);
        let recompute = Recompute { cheap, ..Recompute::default() };
        let (rows, memory) = recorder.outline(values.loss, recompute)?;
        let (marks, positions, loss) = (values.marks, values.positions, values.loss);
        Ok(Outline { rows, memory, marks, positions, loss })
    }
}

/// Returns an upper bound on the floating-point operations of a step, which itself cannot overflow: every operation but
/// attention takes fewer than 32 for each element of its output and two for each multiply-add with a parameter.
fn operations(a: &Architecture, sequences: usize, length: usize) -> u128 {
    let [width, layers, hidden, vocabulary, length] =
        [a.width, a.layers, a.hidden, a.vocabulary, length].map(|n| n as u128);
    let heads = (a.heads + 2 * a.key_value_heads()) as u128 * a.head_width() as u128;
    let attention = length * a.heads as u128 * (4 * a.head_width() as u128 + 32);
    let block = 32 * (16 * width + 4 * hidden + 4 * heads) + attention;
    let token = 2 * a.parameters() as u128 + 64 * vocabulary + layers * block;
    3 * (sequences as u128).saturating_mul(length).saturating_mul(token)
}
