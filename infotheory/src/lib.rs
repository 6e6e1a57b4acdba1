//! # Information theory of a transformer
//!
//! The loss of a language model is a cross-entropy: the nats that its predictions would spend to
//! encode the text. It cannot fall below the entropy of the source.
//!
//! * [`cross_entropy`]: the loss and its gradient, from logits.
//! * [`ngram`]: what counting can predict.
//! * [`grammar`]: a source of text whose entropy is known exactly.
//! * [`surprisal`]: −ln p of what happened, and its mean: the same loss in the textbook's steps.
//!
//! Everything is in nats unless a name says bits; 1 bit = ln 2 nats.

pub mod arithmetic;
pub mod cross_entropy;
pub mod distribution;
pub mod divergence;
pub mod entropy;
mod error;
pub mod gaussian;
pub mod grammar;
pub mod joint;
pub mod markov;
pub mod ngram;
pub mod objective;
pub mod prefix_code;
pub mod shannon;
pub mod surprisal;
pub mod units;

pub use error::InfoError;
pub use units::{Bits, Nats};

/// The target of a token that is not to be predicted. Any negative target is ignored.
pub const IGNORED: f64 = -1.0;

/// Nats in bits: x/ln 2.
///
/// ```
/// assert_eq!(infotheory::bits(std::f64::consts::LN_2), 1.0);
/// ```
pub fn bits(nats: f64) -> f64 {
    nats / std::f64::consts::LN_2
}

/// The perplexity e^H of a cross-entropy H in nats: as unsure as a uniform choice among so many.
///
/// ```
/// assert!((infotheory::perplexity(20.0_f64.ln()) - 20.0).abs() < 1e-12);
/// ```
pub fn perplexity(nats: f64) -> f64 {
    nats.exp()
}
