//! Training objectives besides plain cross-entropy.
//!
//! Each is a cross-entropy or a divergence with another target, or a penalty on one:
//!
//! * [`label_smoothing`]: the target, mixed with the uniform distribution.
//! * [`distillation`]: a teacher's distribution, at a temperature.
//! * [`alignment`]: reward, minus a divergence from a reference model.
//! * [`z_loss`]: a penalty on the logarithm of softmax's denominator.

pub mod alignment;
pub mod distillation;
pub mod label_smoothing;
pub mod z_loss;
