//! Operations of a training step, and plain functions of the same mathematics.

// A new operation needs a file and a line here.
operations! {
    pub mod adapted: Adapted;
    pub mod adapted_norms: AdaptedNorms;
    pub mod add: Add;
    pub mod affine: Affine;
    pub mod gather: Gather;
    pub mod hadamard: Hadamard;
    pub mod heads: HeadScores, HeadMix;
    pub mod product: Product;
    pub mod rescaled: Rescaled;
    pub mod rotation: Rotation;
    pub mod rows: Rows;
    pub mod scale: Scale;
    pub mod sinusoid: Sinusoid;
    pub mod stacked: Stacked;
}

pub mod adapter;
pub mod groups;
pub mod scaled_dot;
