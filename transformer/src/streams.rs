//! Who draws random numbers: a stream each, so that no two draw the same.

/// Initial parameters, one stream per parameter.
pub(crate) const PARAMETERS: u32 = 0x1000_0000;
/// Dropout masks, one stream per dropout of the network.
pub(crate) const DROPOUT: u32 = 0x2000_0000;
/// Where the windows of a batch begin.
pub(crate) const WINDOWS: u32 = 0x3000_0000;
/// Tokens drawn in generation.
pub(crate) const GENERATION: u32 = 0x4000_0000;
/// Stories, training and validation.
pub(crate) const STORIES: u32 = 0x5000_0000;
/// Directions along which gradients are checked and curvature is sought.
pub(crate) const DIRECTIONS: u32 = 0x6000_0000;
