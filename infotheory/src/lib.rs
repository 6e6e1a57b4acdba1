//! # Information theory of a transformer
//!
//! A language model is a machine that is seldom surprised. How seldom is what this crate measures. It is
//! the red box in the picture of a training step, the one whose number everything else serves: the loss
//! is a cross-entropy, the nats that the model's predictions would spend to encode the text, and it
//! cannot fall below the entropy of the source.
//!
//! Nothing here needs a transformer. Who wants entropies, divergences, mutual information, n-gram
//! models, Markov chains or codes finds plain functions of slices; who trains finds beside them the same
//! mathematics as operations with a gradient ([`linalg::Primitive`]). Scalars are generic
//! ([`linalg::Real`]): `entropy` of dual numbers is the entropy and its derivative. What rests on a
//! decomposition is `f64` only, and says so.
//!
//! ## Conventions
//!
//! * Information is in [`Nats`]; [`Bits`] are another type, and converting is explicit: see [`units`].
//! * What is no distribution is refused with the number that is wrong: see [`distribution::check`].
//!   Never NaN in silence. ∞ is a value where it is the truth: the surprisal of the impossible.
//! * 0·ln 0 = 0. The entropy of a certain event is +0.
//! * A mean over nothing is an error.
//!
//! ## Where to look
//!
//! | of one distribution | [`entropy`], [`units`] |
//! |---|---|
//! | of two | [`divergence`], [`cross_entropy`](mod@cross_entropy) |
//! | of two variables | [`joint`] |
//! | of numbers that are measured | [`gaussian`] |
//! | of texts | [`ngram`], [`shannon`] |
//! | of sources | [`markov`], [`grammar`] |
//! | in files | [`prefix_code`], [`arithmetic`] |
//! | in training | [`cross_entropy`](mod@cross_entropy), [`surprisal`], [`objective`] |
//! | what the textbook gets wrong | [`errata`] |
//!
//! # Tutorial
//!
//! **1. Surprise is a logarithm.** What has probability p carries −ln p. Only the logarithm makes two
//! independent surprises add up.
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
//! **2. Entropy is the mean surprise.** After "The cat sat on the" a reader is nearly sure; after "She went
//! to the" not at all. Perplexity says the same as a number of equally likely choices.
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
//! **3. A model that is not the source pays for it.** Cross-entropy is entropy and what is wasted; the
//! waste is the Kullback–Leibler divergence, and it is never negative. So to minimise cross-entropy is to
//! come close to the source, and there is a floor.
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
//! **4. The loss of a model, from its logits.** One word happened: P is one-hot, and of the sum one term is
//! left. The gradient is prediction minus truth; dual numbers find it too, for every function here is
//! generic in its scalar.
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
//! **5. What a context is worth.** Mutual information: how much less one is surprised for knowing it.
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
//! **6. What counting can predict.** An n-gram model is the baseline that a transformer must beat; what it
//! cannot do is remember further back.
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
//! **7. A source whose entropy is known.** Only against the truth can an estimate be checked: a Markov
//! chain's rate is a formula, and a walk through it finds the same number.
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
//! **8. Cross-entropy is a file size.** Write each symbol with as many bits as it was surprising, and the
//! file takes the cross-entropy, to the byte: that is what `glassbox compress` does with a trained model.
//!
//! ```
//! use infotheory::arithmetic::{ArithmeticEncoder, Code, Frequencies};
//! let weather = Frequencies::of(&[0.9, 0.1])?;
//! let mut code = Code::new();
//! let mut encoder = ArithmeticEncoder::new(&mut code);
//! (0..8000).for_each(|day| encoder.encode(&weather, usize::from(day % 10 == 0)));
//! encoder.finish();
//! // 8000 days of H(0.9) = 0.469 bits each are 469 bytes; two bits more to end.
//! assert!((469..=470).contains(&code.into_bytes().len()));
//! # Ok::<(), infotheory::InfoError>(())
//! ```
//!
//! The numbered programs in `examples/` go on from here, with texts of your own:
//! `cargo run -p glassbox-infotheory --example 01_entropy_of_a_text -- FILE`.

// A new operation is a file and a line here.
linalg::operations! {
    pub mod cross_entropy: CrossEntropy;
    pub mod surprisal: Surprisal, MeanOverTargets;
}

pub mod arithmetic;
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
pub mod units;

#[doc = include_str!("errata.md")]
pub mod errata {}

pub use error::InfoError;
pub use units::{Bits, Nats};

/// The target of a token that is not to be predicted. Any negative target is ignored.
pub const IGNORED: f64 = -1.0;

/// Nats in bits, of a number that has left its unit and its scalar, an `f64`: x/ln 2. See [`Nats::to_bits`].
///
/// ```
/// assert_eq!(infotheory::bits(std::f64::consts::LN_2), 1.0);
/// ```
pub fn bits(nats: f64) -> f64 {
    Nats(nats).to_bits().0
}

/// The perplexity <var>e^H</var> of a cross-entropy in nats that has left its unit and its scalar, an `f64`. See
/// [`Nats::perplexity`].
///
/// ```
/// assert!((infotheory::perplexity(20.0_f64.ln()) - 20.0).abs() < 1e-12);
/// ```
pub fn perplexity(nats: f64) -> f64 {
    Nats(nats).perplexity()
}

/// The README's program runs, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
