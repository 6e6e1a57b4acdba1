//! # Probability of a transformer
//!
//! Attention weights and next-token predictions are probability distributions; layer normalisation
//! standardises; dropout and initialisation draw at random; generation samples.
//!
//! * [`softmax`]: scores to a distribution; [`mask`]: no weight on the future.
//! * [`layer_norm`]: each token to mean zero and variance one, then an affine map.
//! * [`dropout`]: a random half of a layer switched off, the rest scaled up.
//! * [`random`]: random numbers as a function of (seed, stream, step, index), so that every thread
//!   draws the same ones.
//! * [`permutation`]: a random order of n things, without a list of them.
//! * [`sample`]: drawing the next token: temperature, top-k, top-p, min-p.
//!
//! ```
//! // The textbook's five tokens "the", "a", "my", "of", "to" (its print does not sum to one).
//! let p = probability::softmax::softmax(&[2.0_f64, 1.0, 0.5, -1.0, 0.1]);
//! assert!((p[0] - 0.558545).abs() < 1e-6);
//! assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-15);
//! ```

pub mod dropout;
pub mod layer_norm;
pub mod mask;
pub mod permutation;
pub mod random;
pub mod sample;
pub mod softmax;
