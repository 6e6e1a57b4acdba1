//! # A transformer's training step as a value
//!
//! The other crates of this workspace hold one branch of mathematics each. This one composes them into a decoder that
//! trains, generates text and is measured. It owns no mathematics but fused attention and a loss that processes the
//! vocabulary in chunks.
//!
//! | folder | holds |
//! |---|---|
//! | [`model`] | the parts of a decoder, the network built from them, the recorded step |
//! | [`text`] | tokens, the windows of a batch, a source of text whose entropy is known |
//! | [`training`] | settings, the loop, the loss on held-out text |
//! | [`disk`] | models in Hugging Face's layout, runs, checkpoints |
//! | [`generation`] | generation with a key-value cache, compression |
//! | [`inspect`] | certificates, diagnoses, explanations, measurements |
//!
//! A folder imports those above it in this table and never one below.
//!
//! The model's code runs once and *records the step*: an ordered list of named operations over named matrices. The step
//! is then replayed: forward (predict), backward (the chain rule), update (the optimizer). Every reader of a step reads
//! that list: the training loop, the picture, the explanation, the certificates. No reader adds a line to the hot path,
//! and none needs the model's code.
//!
//! | part of the step | file | whose mathematics |
//! |---|---|---|
//! | 1 embedding | `layers::embedding` | [`linalg::gather`] |
//! | 2 self-attention | [`CausalAttention`], [`CachedAttention`] | [`linalg`], [`probability::softmax`] |
//! | 3 feed-forward | `layers::feed_forward` | [`linalg::affine`], [`calculus::activation`] |
//! | 4 output projection | `layers::logits` | [`linalg::product`] |
//! | 5 loss | [`VocabularyLoss`] | [`infotheory::cross_entropy`] |
//! | 6 backpropagation | [`calculus::Tape::backward`] | [`calculus`] over every rule of every crate |
//! | 7 update | [`Trainer::step`] | [`calculus::optimizer`], [`calculus::schedule`], [`calculus::clip`] |
//!
//! A model is recorded in one of two [`Form`]s, whose values and gradients agree: *fused* trains, *textbook* has a node
//! for every formula. Text becomes tokens in [`text::tokenizer`] and windows in [`text::corpus`]; [`text::stories`] is
//! a source of text with a known entropy. A model on disk is a Hugging Face directory ([`disk::files`]);
//! [`disk::checkpoint`] holds what else a run needs to continue with the same bits.
//!
//! ## A step, recorded and read
//!
//! ```
//! use transformer::{Form, RecordedStep, Architecture};
//!
//! // Three words, sequences of four, two heads that share a width of eight.
//! let config = Architecture {
//!     vocabulary: 3, context: 4, width: 8, heads: 2, layers: 1, hidden: 32, ..Default::default()
//! };
//! let mut model = RecordedStep::<f32>::record(&config, 1, 4, Form::Textbook, 0)?;
//! model.initialise(1);
//!
//! // Before training predictions are nearly uniform: a loss of ln 3 nats a word.
//! let (tokens, targets) = ([0, 1, 2, 0], [1, 2, 0, 1]);
//! let loss = model.loss(&tokens, &targets)?;
//! assert!((loss - 3.0_f64.ln()).abs() < 0.1);
//!
//! // Every formula is a row: a name, an operation, and the branch of mathematics it belongs to.
//! let weights = model.tape().find("block.0.attention.weights").unwrap();
//! let row = model.tape().rows().find(|row| row.var == weights).unwrap();
//! assert_eq!((row.operation, row.branch), (Some("softmax"), Some("probability")));
//! // The first token sees itself only; a column of weights is a distribution.
//! assert_eq!(row.value[(0, 0)], 1.0);
//! assert!((row.value.column(3).sum() - 1.0).abs() < 1e-6);
//!
//! // The chain rule, from the loss to every row.
//! let loss_var = model.loss_var();
//! model.tape_mut().backward(loss_var);
//! let logits = model.tape().gradient(model.logits_var().unwrap());
//! assert!(logits.column(0).sum().abs() < 1e-6); // softmax minus one-hot sums to zero
//! # Ok::<(), transformer::ModelError>(())
//! ```
//!
//! ## Training, measuring, generating
//!
//! ```
//! use probability::sample::Sampler;
//! use transformer::text::tokenizer::Tokenizer;
//! use transformer::{Corpus, Trainer, TrainingConfig, Writer};
//!
//! let text = "one two three ".repeat(40);
//! let tokenizer = Tokenizer::characters_of(&text);
//! let corpus = Corpus::text(tokenizer.encode(&text)?, 0.1, 16)?;
//! let config = TrainingConfig {
//!     layers: 1, heads: 2, width: 16, context: 16, batch: 8, steps: 150, learning_rate: 1e-2, warmup: 10,
//!     ..TrainingConfig::default()
//! };
//! let mut trainer = Trainer::<f32>::new(config.clone(), &config.model(tokenizer.vocabulary())?)?;
//! let first = trainer.step(&corpus)?;
//! assert!((first.loss - (tokenizer.vocabulary() as f64).ln()).abs() < 0.1);
//! for _ in 1..config.steps {
//!     trainer.step(&corpus)?;
//! }
//! assert!(trainer.evaluate(&corpus)?.loss < 0.2); // from 2.2: what follows is nearly certain
//!
//! let (model, greedy) = (trainer.model(), Sampler { temperature: 0.0, ..Sampler::default() });
//! let mut writer = Writer::new(model.config(), model.tape().parameters(), None)?;
//! let prompt = tokenizer.encode("one ")?;
//! let written: Result<Vec<u32>, _> = writer.write(&prompt, greedy, 0)?.take(9).collect();
//! assert_eq!(tokenizer.decode(&written?), "two three");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod disk;
pub mod generation;
pub mod inspect;
mod keyed;
pub mod memory;
pub mod model;
mod printable;
mod streams;
pub mod text;
pub mod training;
mod words;

/// Runs the examples of the README as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use generation::decoder::Decoder;
pub use generation::writer::{WriteError, Writer, Written};
pub use inspect::subject::{Batches, ModelStep, References, Subject};
pub use model::adaptation::{Adaptation, Adapter, Target};
pub use model::adapters::{AdapterMarks, AdapterPlace};
pub use model::architecture::{
    Activation, Architecture, Biases, ConfigError, Gain, Norm, Placement, Positions, QueryKeyNorm,
    Rotary, Scaling, Window,
};
pub use model::cached_attention::CachedAttention;
pub use model::causal_attention::{CausalAttention, PackedAttention};
pub use model::frozen::FrozenWeights;
pub use model::layers::{BlockMarks, Marks, WeightMarks};
pub use model::loss::LogRatios;
pub use model::operations;
pub use model::outline::Outline;
pub use model::parameter_kind::{is_bias, is_gain, is_vector};
pub use model::recorded_step::{
    Form, IGNORED, LAST, ModelError, Predictions, RecordedStep, Without, is_counted,
};
pub use model::recording::{Given, Handles, PairHandles, Recording};
pub use model::scores::Scores;
pub use model::vocabulary_distillation::VocabularyDistillation;
pub use model::vocabulary_loss::VocabularyLoss;
pub use model::vocabulary_surprisal::VocabularySurprisal;
pub use text::corpus::Corpus;
pub use text::tokens::{Tokens, TokensError};
pub use training::config::{
    OptimizerKind, PositionsKind, ScheduleKind, TrainingConfig, TrainingConfigError,
};
pub use training::evaluation::{Answers, Evaluation, Preferred};
pub use training::noise_scale::NoiseScale;
pub use training::parametrization::Parametrization;
pub use training::paths;
pub use training::precision::Precision;
pub use training::preference_kind::PreferenceKind;
pub use training::preset::Preset;
pub use training::recipe::Recipe;
pub use training::reference::{refer, refer_windows};
pub use training::teacher::LiveTeacher;
pub use training::time::{Time, TimeBudget, TimeError};
pub use training::tokenizer_choice::{TokenizerChoice, TokenizerChoiceError};
pub use training::trainer::{AVERAGED, Trainer, is_sound};
pub use training::training_loop::{Observer, Replay, Step};
pub use training::training_memory::TrainingMemory;
