//! # Information theory of a transformer
//!
//! A language model predicts text, and its loss measures its surprisal. The loss is a cross-entropy: the mean number of
//! nats that the model's predictions need to encode the text. It cannot fall below the entropy of the source. This
//! crate computes these quantities.
//!
//! Nothing here needs a transformer. Entropies, divergences, mutual information, n-gram models, Markov chains and codes
//! are plain functions of slices and of the distributions of [`probability`]; for training, the same mathematics exists
//! as operations with a gradient ([`linalg::Primitive`]). Scalars are generic ([`linalg::Real`]): `entropy` of dual
//! numbers is the entropy and its derivative. Functions that need a decomposition are `f64` only, and their docs say
//! so.
//!
//! ## Conventions
//!
//! * Information is in [`Nats`]; [`Bits`] are another type, and conversion is explicit: see [`units`].
//! * Invalid distributions are errors that name the wrong number: see [`distribution::check`]. NaN is never returned
//!   silently. ∞ is a value: the surprisal of an impossible event.
//! * 0·ln 0 = 0. The entropy of a certain event is +0.
//! * A mean over no elements is an error.
//!
//! ## Where to look
//!
//! | topic | modules |
//! |---|---|
//! | one distribution | [`entropy`], [`renyi`], [`units`] |
//! | two distributions | [`divergence`], [`renyi`], [`cross_entropy`](mod@cross_entropy) |
//! | two variables | [`joint`], [`fano`] |
//! | channels and lossy codes | [`channel`] |
//! | continuous variables | [`gaussian`] |
//! | texts | [`ngram`], [`shannon`] |
//! | sources | [`markov`], [`grammar`] |
//! | files | [`prefix_code`], [`arithmetic`] |
//! | training | [`cross_entropy`](mod@cross_entropy), [`surprisal`], [`objective`] |
//! | errors of the textbook | [`errata`] |
//!
//! # Tutorial
//!
//! **1. Surprisal is a logarithm.** An event of probability p has the surprisal −ln p. Only the logarithm makes the
//! surprisals of independent events add up.
//!
//! ```
//! use infotheory::entropy::self_information;
//! let (coin, die) = (self_information(1.0 / 2.0_f64)?, self_information(1.0 / 6.0)?);
//! let both = self_information(1.0 / 12.0)?;
//! assert!((both - (coin + die)).0.abs() < 1e-15_f64);
//! assert_eq!(coin.to_bits().0, 1.0);
//! # Ok::<(), infotheory::InfoError>(())
//! ```
//!
//! **2. Entropy is the mean surprisal.** After "The cat sat on the" the next word is almost certain; after "She went to
//! the" it is not. Perplexity expresses the same as a number of equally likely choices.
//!
//! ```
//! use infotheory::entropy::entropy;
//! let mat = entropy(&[0.9, 0.05, 0.03, 0.02])?; // mat, rug, chair, floor
//! let store = entropy(&[0.25; 4])?; // store, park, gym, office
//! assert!((mat.to_bits().0 - 0.6175_f64).abs() < 1e-4 && store.to_bits().0 == 2.0);
//! assert!((mat.perplexity() - 1.534).abs() < 1e-3 && store.perplexity() == 4.0);
//! # Ok::<(), infotheory::InfoError>(())
//! ```
//!
//! **3. A wrong model costs more.** Cross-entropy is the entropy plus the Kullback–Leibler divergence, which is never
//! negative. So minimising cross-entropy approaches the source, and the entropy is the minimum.
//!
//! ```
//! use infotheory::{cross_entropy::cross_entropy, divergence::kl, entropy::entropy};
//! let (source, model) = ([0.7_f64, 0.2, 0.1], [0.5, 0.3, 0.2]);
//! let (paid, floor, waste) =
//!     (cross_entropy(&source, &model)?, entropy(&source)?, kl(&source, &model)?);
//! assert!((paid - (floor + waste)).0.abs() < 1e-15_f64);
//! assert!((paid.to_bits().0 - 1.2796).abs() < 1e-4 && (waste.to_bits().0 - 0.1228).abs() < 1e-4);
//! # Ok::<(), infotheory::InfoError>(())
//! ```
//!
//! **4. The loss of a model, from its logits.** One word is the target: P is one-hot, and one term of the sum is left.
//! The gradient is prediction minus target; dual numbers compute it too, since every function is generic in its scalar.
//!
//! ```
//! use infotheory::cross_entropy::of_logits;
//! let logits = [2.0, 1.0, 0.5, -1.0, 0.1]; // the, a, my, of, to
//! let loss = of_logits(&logits, 0)?;
//! assert!((loss.0 - 0.582420_f64).abs() < 1e-6);
//! assert!((loss.perplexity() - 1.790365).abs() < 1e-6);
//! let step = 1e-6;
//! let nudged = of_logits(&[2.0 + step, 1.0, 0.5, -1.0, 0.1], 0)?;
//! assert!(((nudged.0 - loss.0) / step - (0.558545 - 1.0)).abs() < 1e-6); // p − 1
//! # Ok::<(), infotheory::InfoError>(())
//! ```
//!
//! **5. The value of a context.** Mutual information is the reduction of entropy by knowing the context.
//!
//! ```
//! use infotheory::{entropy::entropy, joint::{conditional_entropy, mutual_information}};
//! let coins = probability::Joint::from_probabilities(&linalg::matrix(2, 2, &[0.4, 0.1, 0.1, 0.4]))?;
//! let worth: infotheory::Nats = mutual_information(&coins);
//! assert!((worth.to_bits().0 - 0.278072).abs() < 1e-6);
//! let alone = entropy(coins.y().probabilities())?;
//! assert!((worth - (alone - conditional_entropy(&coins))).0.abs() < 1e-15);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **6. Prediction by counting.** An n-gram model is the baseline that a transformer must beat; it cannot use an
//! earlier context.
//!
//! ```
//! use infotheory::ngram::{NGram, Smoothing};
//! let text: Vec<u32> = "she sells sea shells by the sea shore ".repeat(9).bytes().map(u32::from).collect();
//! let loss = |order| NGram::count(order, 256, &text).cross_entropy(Smoothing::KneserNey, &text);
//! let (one, two, five) = (loss(1)?, loss(2)?, loss(5)?);
//! assert!(two < one && five < two && five.perplexity() < 1.3);
//! # Ok::<(), infotheory::InfoError>(())
//! ```
//!
//! **7. A source with a known entropy.** An estimate can only be checked against the exact value: a Markov chain's
//! entropy rate is a formula, and a walk through the chain estimates the same number.
//!
//! ```
//! use infotheory::markov::{MarkovChain, mean_of_dependent};
//! use probability::random::Random;
//! let chain: MarkovChain = MarkovChain::new(linalg::matrix(2, 2, &[0.9, 0.1, 0.5, 0.5]))?;
//! let walk = chain.sample(&Random::new(1, 0, 0), 10_000)?;
//! let estimate = mean_of_dependent(&chain.surprisals(&walk)?)?;
//! assert!(estimate.holds(chain.entropy_rate()?));
//! # Ok::<(), infotheory::InfoError>(())
//! ```
//!
//! **8. Cross-entropy is a file size.** If each symbol is written with as many bits as its surprisal, the size of the
//! file is the cross-entropy, to the byte: `glassbox compress` does this with a trained model.
//!
//! ```
//! use infotheory::arithmetic::{ArithmeticEncoder, Code, Frequencies};
//! let weather = Frequencies::of(&[0.9, 0.1])?;
//! let mut code = Code::new();
//! let mut encoder = ArithmeticEncoder::new(&mut code);
//! (0..8000).for_each(|day| encoder.encode(&weather, usize::from(day % 10 == 0)));
//! encoder.finish();
//! // 8000 days of H(0.9) = 0.469 bits each are 469 bytes, plus two bits at the end.
//! assert!((469..=470).contains(&code.into_bytes().len()));
//! # Ok::<(), infotheory::InfoError>(())
//! ```
//!
//! The numbered programs in `examples/` continue the tutorial, with your own texts:
//! `cargo run -p glassbox-infotheory --example 01_entropy_of_a_text -- FILE`.

// A new operation is one file and one line here.
linalg::operations! {
    pub mod cross_entropy: CrossEntropy;
    pub mod divergence: Divergence;
    pub mod preference: PreferenceLoss;
    pub mod surprisal: Surprisal, MeanOverTargets;
}

pub mod arithmetic;
pub mod channel;
pub mod distribution;
pub mod entropy;
mod error;
pub mod fano;
pub mod gaussian;
pub mod grammar;
pub mod joint;
pub mod markov;
pub mod ngram;
pub mod objective;
pub mod prefix_code;
pub mod renyi;
pub mod shannon;
pub mod units;

#[doc = include_str!("errata.md")]
pub mod errata {}

pub use error::InfoError;
pub use units::{Bits, Nats};

/// The target of an ignored token. Any negative target is ignored.
pub const IGNORED: f64 = -1.0;

/// Converts nats to bits, as plain `f64`: x/ln 2. See [`Nats::to_bits`].
///
/// ```
/// assert_eq!(infotheory::bits(std::f64::consts::LN_2), 1.0);
/// ```
pub fn bits(nats: f64) -> f64 {
    Nats(nats).to_bits().0
}

/// Returns the perplexity <var>e^H</var> of a cross-entropy in nats, as plain `f64`. See [`Nats::perplexity`].
///
/// ```
/// assert!((infotheory::perplexity(20.0_f64.ln()) - 20.0).abs() < 1e-12);
/// ```
pub fn perplexity(nats: f64) -> f64 {
    Nats(nats).perplexity()
}

/// The README's program, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
