//! Recordings for training, and the values that they compute again instead of keeping them, chosen from a budget of memory.

use crate::memory;
use crate::model::architecture::Architecture;
use crate::model::recorded_step::{ModelError, RecordedStep, Wanted};
use calculus::Recompute;
use linalg::Real;

impl<T: Real> RecordedStep<T> {
    /// Returns whether a recording for training recomputes cheap values instead of keeping them: if they would take
    /// much memory, and their time is small compared with products of this width.
    pub fn recomputes(config: &Architecture, sequences: usize, length: usize) -> bool {
        /// Layers × tokens × width; the kept values would take 30 bytes for each.
        const LARGE: usize = 1 << 20;
        let size = config.layers.saturating_mul(sequences.saturating_mul(length));
        size.saturating_mul(config.width) >= LARGE
    }

    /// Like [`RecordedStep::record`] in the fused form, for training in little memory without much recomputation: only
    /// parameters, their gradients, inputs and the loss can be read after a replay.
    pub fn record_for_training(
        config: &Architecture,
        sequences: usize,
        length: usize,
        seed: u64,
    ) -> Result<Self, ModelError> {
        Self::record_recomputing(config, sequences, length, seed, 0)
    }

    /// Like [`RecordedStep::record_for_training`], and the backward replay computes the values of `blocks` blocks again,
    /// instead of keeping them: a block's time grows by that of its forward replay, and of its values only the output is kept.
    /// Every bit is the same. The blocks are the first that take part in the backward replay; if there are fewer, all are.
    ///
    /// ```
    /// use transformer::{Architecture, RecordedStep};
    /// let config = Architecture { layers: 4, ..Architecture::default() };
    /// let step = RecordedStep::<f32>::record_recomputing(&config, 1, 64, 0, 3)?;
    /// assert_eq!(step.recomputed_blocks(), 3);
    /// let all_kept = RecordedStep::<f32>::record_for_training(&config, 1, 64, 0)?;
    /// assert!(step.tape().memory().values < all_kept.tape().memory().values);
    /// # Ok::<(), transformer::ModelError>(())
    /// ```
    pub fn record_recomputing(
        config: &Architecture,
        sequences: usize,
        length: usize,
        seed: u64,
        blocks: usize,
    ) -> Result<Self, ModelError> {
        let cheap = blocks > 0 || Self::recomputes(config, sequences, length);
        Wanted::new(config, sequences, length).with_seed(seed).record(|mut r, loss| {
            let recompute = Recompute { cheap, segments: blocks.min(r.segments(loss)) };
            memory::afford(r.bytes_for_training(loss, recompute))?;
            Ok(r.finish_for_training(loss, recompute))
        })
    }

    /// Like [`RecordedStep::record_recomputing`], for the fewest blocks with which the recording takes at most `budget` bytes.
    ///
    /// # Errors
    /// [`ModelError::Budget`] if it takes more with any number of blocks.
    pub fn record_within(
        config: &Architecture,
        sequences: usize,
        length: usize,
        seed: u64,
        budget: u128,
    ) -> Result<Self, ModelError> {
        let usual = Recompute {
            cheap: Self::recomputes(config, sequences, length),
            ..Recompute::default()
        };
        Wanted::new(config, sequences, length).with_seed(seed).record(|mut r, loss| {
            let all = r.segments(loss);
            // Cheap values first: they cost the least time.
            let some = (0..=all).map(|segments| Recompute { cheap: true, segments });
            let mut needed = u128::MAX;
            for recompute in [usual].into_iter().chain(some) {
                let bytes = r.bytes_for_training(loss, recompute);
                if bytes <= budget {
                    memory::afford(bytes)?;
                    return Ok(r.finish_for_training(loss, recompute));
                }
                needed = needed.min(bytes);
            }
            Err(ModelError::Budget { needed, budget })
        })
    }

    /// Returns the number of blocks whose values the backward replay computes again.
    pub fn recomputed_blocks(&self) -> usize {
        self.tape().recompute().segments
    }
}
