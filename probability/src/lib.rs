//! # Probability of a transformer
//!
//! A language model is a probability distribution: how likely is each next token, given the tokens before it? So
//! probability appears throughout a training step. Attention weights are a distribution over earlier tokens. The output
//! is a distribution over the vocabulary. Layer normalisation standardises. Dropout and initialisation draw at random.
//! Generation samples. And the difference of the losses of two models is itself a random number, with an interval
//! around it.
//!
//! There is a file for each of these ideas, with the field's name. Three rules hold throughout.
//!
//! * **A distribution is checked once, by its constructor.** [`Categorical`] and [`Joint`] sum to one by construction;
//!   [`MultivariateGaussian`] has a Cholesky factor. Functions of these types need no check, and invalid input is a
//!   [`ProbabilityError`] that names the element. Plain functions on floats ([`softmax::softmax`]) do not fail: their
//!   docs state the result for −∞, ∞, NaN and empty input.
//! * **Randomness is a function.** [`Random`] maps (seed, stream, step, index) to a number. There is no hidden state,
//!   every thread draws the same numbers, and every experiment in these pages is reproducible.
//! * **One code, any scalar.** Functions are generic over [`linalg::Real`]: `f32`, `f64`, or dual numbers, which
//!   differentiate them. If that is impossible (quantiles, decompositions) the doc says so.
//!
//! Everything is in nats. Dropout's p is the probability to *drop*. Layer normalisation's ε lies
//! inside the root and its variance is divided by n. A fully masked row is an error that names the
//! row.
//!
//! ## Tutorial: from scores to a sentence, in nine steps
//!
//! **1. Scores become a distribution.** Softmax exponentiates and normalises. The textbook's five
//! tokens, "the", "a", "my", "of", "to", have these logits; its printed probabilities sum to
//! 0.7993, these to one.
//!
//! ```
//! use probability::softmax::softmax;
//! let logits = [2.0_f64, 1.0, 0.5, -1.0, 0.1];
//! let p = softmax(&logits);
//! for (p, expected) in p.iter().zip([0.558545, 0.205477, 0.124628, 0.027808, 0.083541]) {
//!     assert!((p - expected).abs() < 1e-6);
//! }
//! assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-15);
//! // Only differences of logits matter: adding 1000 to all of them overflows nothing.
//! let shifted = softmax(&logits.map(|z| z + 1000.0));
//! assert!(p.iter().zip(shifted).all(|(p, q)| (p - q).abs() < 1e-13));
//! ```
//!
//! **2. The normaliser has a name.** ln Σ e^z is the log-sum-exp; a token's loss is lse − logit. It can be computed in
//! one pass over scores that arrive piece by piece, so attention needs no row of weights in memory.
//!
//! ```
//! use probability::log_sum_exp::{StreamingLogSumExp, log_sum_exp};
//! let logits = [2.0_f64, 1.0, 0.5, -1.0, 0.1];
//! assert!((log_sum_exp(&logits) - logits[0] - 0.582419671).abs() < 1e-9); // loss of "the", in nats
//! let streamed: StreamingLogSumExp<f64> = logits.into_iter().collect();
//! assert!((streamed.value() - log_sum_exp(&logits)).abs() < 1e-15);
//! ```
//!
//! **3. A distribution has expectations.** They give its mean, its variance and the likelihood of a text. Maximum
//! likelihood and minimum cross-entropy are the same.
//!
//! ```
//! use probability::{Categorical, likelihood};
//! let p = Categorical::from_logits(&[2.0_f64, 1.0, 0.5, -1.0, 0.1])?;
//! assert!((p.expectation(|i| -p.probability(i).ln()) - 1.216992).abs() < 1e-6); // its entropy, in nats
//! // Six of ten tokens were "the", …: the model of these frequencies has the least surprisal.
//! let seen = [6, 2, 1, 0, 1];
//! let best = likelihood::fit_categorical::<f64>(&seen, 0.0)?;
//! assert!(likelihood::mean_surprisal(&best, &seen)? < likelihood::mean_surprisal(&p, &seen)?);
//! # Ok::<(), probability::ProbabilityError>(())
//! ```
//!
//! **4. Evidence changes probabilities.** A joint table has marginals and conditionals; Bayes' rule turns one
//! conditional into the other. One document in a hundred is relevant; a retriever flags 90 % of those and 5 % of the
//! rest. What fraction of the flagged documents is relevant?
//!
//! ```
//! use probability::{Categorical, Joint, bayes};
//! let relevant = Categorical::from_probabilities(&[0.01, 0.99])?; // yes, no
//! let flags = [[0.9, 0.1], [0.05, 0.95]].map(|p| Categorical::from_probabilities(&p));
//! let flags = flags.into_iter().collect::<Result<Vec<_>, _>>()?;
//! let joint = Joint::from_conditionals(&relevant, &flags)?;
//! let posterior = joint.x_given(0)?;
//! assert!((posterior.probability(0) - 0.153846_f64).abs() < 1e-6); // the textbook's number
//! let direct = bayes::posterior(&relevant, &[0.9, 0.05])?; // the same from likelihoods
//! assert!((direct.probability(0) - posterior.probability(0)).abs() < 1e-15);
//! # Ok::<(), probability::ProbabilityError>(())
//! ```
//!
//! **5. Attention is a conditional expectation.** The weights of a query are a distribution over keys; its output is
//! the expected value. A masked key has weight exactly 0, and a query that sees no key is an error.
//!
//! ```
//! use linalg::matrix;
//! use probability::mask::masked_softmax;
//! let scores = matrix(3, 3, &[0.0_f64; 9]); // a column per query
//! let weights = masked_softmax(&scores, |key, query| key <= query)?;
//! assert_eq!(weights.column(1).as_slice(), &[0.5, 0.5, 0.0]);
//! let error = masked_softmax(&scores, |key, query| key > query).unwrap_err();
//! assert!(error.to_string().starts_with("row 2 of the scores is fully masked"));
//! # Ok::<(), probability::ProbabilityError>(())
//! ```
//!
//! **6. Normalisation is standardisation.** Each token gets mean 0 and variance 1 over its features, before every
//! sub-layer.
//!
//! ```
//! use probability::{layer_norm, moments};
//! let y = layer_norm::standardise(&[1.0_f64, 2.0, 3.0, 4.0], 1e-5)?;
//! assert!((y[0] + 1.342).abs() < 1e-3 && (y[1] + 0.447).abs() < 1e-3);
//! assert!((moments::population_variance(&y)? - 1.0).abs() < 1e-5);
//! # Ok::<(), probability::ProbabilityError>(())
//! ```
//!
//! **7. Initial weights keep variances.** In two hundred layers of ReLU with Kaiming's variance 2/n the signal keeps
//! its size. With 1/n it would be halved two hundred times.
//!
//! ```
//! use linalg::Matrix;
//! use probability::{Random, initialise::Initialiser};
//! let (random, n) = (Random::new(1, 0, 0), 64);
//! let mut x = Matrix::from_fn(n, 8, |i, j| random.normal((i + n * j) as u64));
//! for layer in 0..200_u32 {
//!     let w = Initialiser::KaimingNormal.weights::<f64>(n, n, &Random::new(2, layer, 0), 0)?;
//!     x = (w * x).map(|x| x.max(0.0));
//! }
//! let mean_square = x.norm_squared() / x.len() as f64;
//! assert!(mean_square > 1e-4 && mean_square < 1e4); // 2⁻²⁰⁰ is 6·10⁻⁶¹
//! # Ok::<(), probability::ProbabilityError>(())
//! ```
//!
//! **8. The next token is drawn from a transformed distribution.** Each transformation maps a distribution to a
//! distribution, so they compose.
//!
//! ```
//! use probability::transform::{Logits, Temperature, TopK, TopP, Transform};
//! use probability::Random;
//! let logits = Logits::new(&[2.0, 1.0, 0.5, -1.0, 0.1])?;
//! let shaped = Temperature(0.8).then(TopK(3)).then(TopP(0.9)).apply(logits)?.distribution();
//! let random = Random::new(1337, 0, 0);
//! let tokens: Vec<usize> = (0..8).map(|i| shaped.draw(&random, i)).collect();
//! assert!(tokens.iter().all(|&t| t < 3));
//! assert_eq!(tokens, (0..8).map(|i| shaped.draw(&random, i)).collect::<Vec<_>>()); // the same again
//! # Ok::<(), probability::sample::SampleError>(())
//! ```
//!
//! **9. A comparison has an error bar.** Two models are evaluated on the same six documents: the losses vary by more
//! than one nat between documents, the difference much less.
//!
//! ```
//! use probability::paired::t_test;
//! let (a, b) = ([2.31, 4.02, 0.75, 3.10, 1.95, 2.60], [2.40, 4.10, 0.74, 3.25, 2.02, 2.71]);
//! let test = t_test(&a, &b, 0.95)?;
//! let ratio = test.interval.map(f64::exp); // of perplexities
//! assert!(ratio.contains(0.92) && !ratio.contains(1.0));
//! # Ok::<(), probability::ProbabilityError>(())
//! ```
//!
//! ## Errata of the textbook
//!
//! Numbers and rules of the printed textbook that concern this crate, with corrections. `tests/textbook.rs` tests the
//! right column.
//!
//! | where | printed | recomputed |
//! |---|---|---|
//! | A.2, softmax of \[2, 1, 0.5, −1, 0.1\], code and figure | .4466 .1642 .0996 .0222 .0667, which sum to .7993 | .5585 .2055 .1246 .0278 .0835 |
//! | A.2, softmax | without subtracting the maximum | e^1000 overflows: subtract it |
//! | A.2, "layer normalization" where softmax is meant | a link that was replaced | softmax |
//! | A.2, Bernoulli for dropout | p is the probability to keep (0.1: to drop) | here, and in PyTorch, to drop |
//! | A.2, the Schur complement is smaller than the prior | strictly | "not larger": equal in directions that are independent of y |
//! | 4.1, layer normalisation | (x − µ)/(σ + ε) in the old text and the code | (x − µ)/√(σ² + ε), as in PyTorch |
//! | 4.2.6, a strictly anti-causal mask still trains | – | its last row is fully masked: NaN at once |
//! | 5.2, P(the) at T = .3, .7, 1, 1.5, 2 | .946 .685 .513 .340 .268 | .9933 .8794 .7615 .5923 .4756 |
//! | 5.2, entropies at these, in nats | .279 .957 1.382 1.753 1.933 | .0407 .4346 .7789 1.2433 1.5342 |
//! | 5.2, P(the) with top-k 4, 6 | .596 .526 | .7745 .7635 |
//!
//! ## Where to find what
//!
//! * From scores: [`softmax`], [`log_sum_exp`], [`sigmoid`], [`mask`].
//! * Distributions: [`Categorical`], [`Joint`], [`bayes`], [`gaussian`], [`MultivariateGaussian`],
//!   [`distribution`], [`dirichlet`], [`diffusion`].
//! * From data: [`moments`], [`running`], [`likelihood`], [`interval`], [`bootstrap`], [`theil_sen`].
//! * Tests: [`paired`], [`welch`], [`mann_whitney`], [`kolmogorov_smirnov`], [`goodness`]; several of them: [`multiple`]; their
//!   size: [`power`].
//! * Of a model's answers: [`calibration`], [`pass_at_k`](mod@pass_at_k).
//! * Drawing: [`random`], [`permutation`], [`alias`], [`gumbel`], [`transform`], [`sample`].
//! * In the network: [`layer_norm`], [`rms_norm`], [`dropout`], [`initialise`].
//!
//! The README has a table: concept, function, where in a transformer, and the law that tests it.
//! The examples (`cargo run -p glassbox-probability --example 01_temperature`) are numbered in the order of
//! the tutorial.

// A new operation is one file and one line here.
linalg::operations! {
    pub mod dropout: Dropout;
    pub mod layer_norm: LayerNorm;
    pub mod mask: CausalMask;
    pub mod rms_norm: RmsNorm;
    pub mod softmax: Softmax;
}

mod accurate;
pub mod alias;
pub mod bayes;
pub mod bootstrap;
pub mod calibration;
pub mod categorical;
pub mod diffusion;
pub mod dirichlet;
pub mod distribution;
mod error;
pub mod gaussian;
pub mod goodness;
pub mod gumbel;
mod incomplete;
pub mod initialise;
pub mod interval;
pub mod joint;
pub mod kolmogorov_smirnov;
pub mod likelihood;
pub mod log_sum_exp;
pub mod mann_whitney;
pub mod moments;
pub mod multiple;
pub mod multivariate;
pub mod paired;
pub mod pass_at_k;
pub mod permutation;
pub mod power;
pub mod random;
pub mod running;
pub mod sample;
pub mod sigmoid;
mod special;
pub mod theil_sen;
pub mod transform;
pub mod welch;

/// The traits and errors of [`distribution`] are statrs': its major version is part of this crate's API.
pub use statrs;

pub use categorical::Categorical;
pub use error::ProbabilityError;
pub use joint::Joint;
pub use multivariate::MultivariateGaussian;
pub use random::Random;
