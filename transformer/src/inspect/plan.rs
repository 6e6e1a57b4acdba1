//! Predicts what a training run will reach, from short runs.

mod law;

pub use law::{Fit, FitError, Point, ScalingLaw};
