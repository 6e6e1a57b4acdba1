//! The streams of random numbers: one per use, so that no two uses draw the same numbers.

/// Initial parameters, one stream per parameter.
pub(crate) const PARAMETERS: u32 = 0x1000_0000;
/// Dropout masks, one stream per dropout of the network.
pub(crate) const DROPOUT: u32 = 0x2000_0000;
/// The start of each window of a batch.
pub(crate) const WINDOWS: u32 = 0x3000_0000;
/// Tokens drawn during generation.
pub(crate) const GENERATION: u32 = 0x4000_0000;
/// Stories of the training and validation parts.
pub(crate) const STORIES: u32 = 0x5000_0000;
/// Directions for gradient checks and curvature.
pub(crate) const DIRECTIONS: u32 = 0x6000_0000;
