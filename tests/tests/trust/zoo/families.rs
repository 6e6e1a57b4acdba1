//! Five faults in each of five families: Llama, Qwen3, Gemma 3, GPT-NeoX and OLMo 2. Together they have both normalisations,
//! every place of them but that of 2017, gains that are 1 plus a parameter, both norms of queries and keys, whole and partial
//! rotation, windows, shared heads, gates, and a scaled embedding. No reader knows any of these names.

use super::tiny::{LENGTH, SEQUENCES, Tiny, VOCABULARY};
use super::{Animal, Case, Expected, born, cures_that_do_not, examine, expected, recipe, verdict};
use linalg::Real;
use std::sync::OnceLock;
use tests::readme::stated;
use transformer::inspect::diagnose::Direction::{Forward, Given};
use transformer::inspect::diagnose::{Cause, Diagnosis, Recipe};
use transformer::{
    Architecture, Form, Given as Input, ModelError, Precision, QueryKeyNorm, RecordedStep,
    Recording, Subject, Without,
};

/// A small decoder of a family, on the text of [`Tiny`].
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    pub(crate) architecture: Architecture,
    /// The parts that its author forgot.
    pub(crate) without: Without,
}

/// The new weight, for its row and the old one.
type Change = fn(usize, f32) -> f32;

/// The seed of dropout's masks, which no model here has.
const SEED: u64 = 1;

impl Decoder {
    /// Two layers of width 16 with two heads of 8 features.
    fn of(family: &str) -> Self {
        Self::at(family, (16, 2, None))
    }

    /// The same of this width and these heads, of width/heads features if no others are given.
    fn at(family: &str, (width, heads, head_width): (usize, usize, Option<usize>)) -> Self {
        let shared = matches!(family, "llama" | "qwen3" | "gemma3_text") && heads > 1;
        let sizes = Architecture {
            vocabulary: VOCABULARY,
            context: LENGTH,
            width,
            heads,
            head_width,
            key_value_heads: shared.then_some(heads / 2),
            layers: 2,
            hidden: 32,
            ..Architecture::default()
        };
        let architecture = tests::models::family(family, &sizes);
        Decoder { architecture, without: Without::default() }
    }

    fn without_mask(self) -> Self {
        Decoder { without: Without { mask: true, ..self.without }, ..self }
    }

    fn without_scale(self) -> Self {
        Decoder { without: Without { scale: true, ..self.without }, ..self }
    }

    /// The first parameters of a run, with matrices six times as large: 0.12 is half of 1/√16.
    pub(crate) fn parameters(&self) -> Vec<f32> {
        let mut all = self.architecture.initial_parameters(1).expect("a valid model");
        let list = self.architecture.parameter_list().expect("a valid model");
        for matrix in list.into_iter().filter(|p| p.shape.columns > 1) {
            all[matrix.range].iter_mut().for_each(|w| *w *= 6.0);
        }
        all
    }

    /// [`Decoder::parameters`] with the tensors of these names changed.
    fn changed(&self, changes: &[(&str, Change)]) -> Vec<f32> {
        let mut all = self.parameters();
        let list = self.architecture.parameter_list().expect("a valid model");
        for (name, change) in changes {
            let own: Vec<_> = list.iter().filter(|p| p.name.ends_with(name)).collect();
            assert!(!own.is_empty(), "no parameter {name}");
            for p in own {
                let rows = p.shape.rows;
                let weights = all[p.range.clone()].iter_mut().enumerate();
                weights.for_each(|(i, w)| *w = change(i % rows, *w));
            }
        }
        all
    }
}

impl Subject for Decoder {
    fn record<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        if self.without != Without::default() {
            return self.record_in_full();
        }
        let form = Form::Fused;
        let step = RecordedStep::record(&self.architecture, SEQUENCES, LENGTH, form, SEED)?;
        Ok(step.into_recording())
    }

    fn record_in_full<T: Real>(&self) -> Result<Recording<T>, ModelError> {
        let Decoder { architecture, without } = self;
        let step = RecordedStep::record_without(architecture, SEQUENCES, LENGTH, *without, SEED)?;
        Ok(step.into_recording())
    }

    fn batch(&self, number: u64) -> Vec<Input> {
        let all = Tiny::default().batch(number).into_iter();
        all.filter(|given| matches!(given.name, "tokens" | "targets")).collect()
    }

    fn length(&self) -> Option<usize> {
        Some(LENGTH)
    }
}

/// A fault of the model or of its weights.
fn model(decoder: &Decoder, parameters: Vec<f32>, e: Expected) -> Case {
    (examine(decoder, parameters, &recipe(), 30), e)
}

/// A run at a thousand times a rate that works.
fn too_fast(family: &str, recipe: &Recipe) -> Case {
    let decoder = Decoder::of(family);
    let found = examine(&decoder, decoder.parameters(), recipe, 40);
    (found, expected(None, Cause::RateTooHigh, true))
}

/// One weight that is NaN or infinite.
fn poisoned(family: &str, name: &'static str, at: (usize, usize), value: f32) -> Case {
    let decoder = Decoder::of(family);
    let mut parameters = decoder.parameters();
    let list = decoder.architecture.parameter_list().expect("a valid model");
    let own = list.into_iter().find(|p| p.name == name).expect("a parameter");
    parameters[own.range][at.1 * own.shape.rows + at.0] = value;
    let origin = born((Given, "parameter"), (name, at), "in the weights", &[]);
    model(&decoder, parameters, expected(origin, Cause::BrokenWeights, true))
}

/// A value beyond what float16 can hold: where, and computed from what.
fn beyond_f16(
    decoder: &Decoder,
    parameters: Vec<f32>,
    operation: &'static str,
    at: (&'static str, (usize, usize)),
    operands: &'static [&'static str],
) -> Case {
    let recipe = Recipe { precision: Precision::F16, ..recipe() };
    let found = examine(decoder, parameters, &recipe, 30);
    let origin = born((Forward, operation), at, "is beyond 6.5504e4, the largest f16", operands);
    (found, expected(origin, Cause::RangeEnded, true))
}

/// Attention that sees the future.
fn unmasked(family: &str) -> Case {
    let decoder = Decoder::of(family).without_mask();
    let parameters = decoder.parameters();
    model(&decoder, parameters, expected(None, Cause::NoMask, false))
}

/// Scores that are not divided by √8, of queries and keys eight times as large.
fn unscaled(family: &str, sharpened: Change) -> Case {
    let decoder = Decoder::of(family).without_scale();
    let parameters = decoder.changed(&[("attention.qkv.weight", sharpened)]);
    model(&decoder, parameters, expected(None, Cause::NoScale, false))
}

/// The same with normalised queries and keys, whose products have deviation √d whatever the weights: 11.3 for heads of 128
/// features, at a run's own first parameters.
fn unscaled_norms(family: &str, sizes: (usize, usize, Option<usize>)) -> Case {
    let decoder = Decoder::at(family, sizes).without_scale();
    let parameters = decoder.architecture.initial_parameters(1).expect("a valid model");
    model(&decoder, parameters, expected(None, Cause::NoScale, false))
}

zoo! {
    llama_rate_times_1000 => too_fast("llama", &Recipe::sgd(300.0));
    qwen3_rate_times_1000 => too_fast("qwen3", &Recipe::adam(3.0));
    gemma3_rate_times_1000 => too_fast("gemma3_text", &Recipe::adam(3.0));
    gpt_neox_rate_times_1000 => too_fast("gpt_neox", &Recipe::sgd(300.0));
    olmo2_rate_times_1000 => too_fast("olmo2", &Recipe::adam(3.0));
    /// In the up projection: rows 32 to 63, below the gate's.
    llama_poisoned_weight => {
        poisoned("llama", "block.1.feed_forward.expanded.weight", (37, 5), f32::NAN)
    };
    /// In the gain of queries.
    qwen3_poisoned_weight => {
        poisoned("qwen3", "block.0.attention.query_norm.weight", (3, 0), f32::NAN)
    };
    /// In the second norm of a sandwich.
    gemma3_poisoned_weight => {
        poisoned("gemma3_text", "block.1.feed_forward_norm.weight", (4, 0), f32::INFINITY)
    };
    /// In the matrix of a key's feature that turns: rows 16 to 31 are keys, 24 the first of the second head.
    gpt_neox_poisoned_weight => {
        poisoned("gpt_neox", "block.0.attention.qkv.weight", (25, 9), f32::INFINITY)
    };
    /// In the gain of keys, all heads together.
    olmo2_poisoned_weight => {
        poisoned("olmo2", "block.1.attention.key_norm.weight", (11, 0), f32::NEG_INFINITY)
    };
    /// A gate and what it lets through, 3,000 times as large: their product.
    llama_f16_overflow => {
        let llama = Decoder::of("llama");
        let parameters =
            llama.changed(&[("block.0.feed_forward.expanded.weight", |_, w| 3000.0 * w)]);
        beyond_f16(
            &llama,
            parameters,
            "product by elements",
            ("block.0.feed_forward.gated", (0, 0)),
            &["block.0.feed_forward.activated", "block.0.feed_forward.up"],
        )
    };
    /// A gain of 40,000: a norm bounds queries, but not their gain.
    qwen3_f16_overflow => {
        let qwen3 = Decoder::of("qwen3");
        let parameters =
            qwen3.changed(&[("block.0.attention.query_norm.weight", |_, _| 4e4)]);
        beyond_f16(
            &qwen3,
            parameters,
            "RMS normalisation",
            ("block.0.attention.query_norm", (2, 0)),
            &["block.0.attention.query", "block.0.attention.query_norm.weight = 40000"],
        )
    };
    /// A part's last map that its own norm makes small again, in f32.
    gemma3_f16_overflow => {
        let gemma3 = Decoder::of("gemma3_text");
        let parameters = gemma3.changed(&[
            ("block.0.feed_forward.expanded.weight", |_, w| 100.0 * w),
            ("block.0.feed_forward.contracted.weight", |_, w| 1e4 * w),
        ]);
        beyond_f16(
            &gemma3,
            parameters,
            "product",
            ("block.0.feed_forward.contracted", (0, 0)),
            &["block.0.feed_forward.contracted.weight", "block.0.feed_forward.gated"],
        )
    };
    /// Both parts add 40,000 to the stream at once. Its norm subtracts the mean, which bfloat16 has rounded too coarsely by then.
    gpt_neox_f16_overflow => {
        let gpt_neox = Decoder::of("gpt_neox");
        let parameters = gpt_neox.changed(&[
            ("block.0.attention.projection.bias", |_, _| 4e4),
            ("block.0.feed_forward.contracted.bias", |_, _| 4e4),
        ]);
        beyond_f16(
            &gpt_neox,
            parameters,
            "sum",
            ("block.0.output", (0, 0)),
            &["block.0.attended", "block.0.feed_forward.contracted"],
        )
    };
    /// Queries and keys that only their norm makes small again: nothing normalises what they are computed from.
    olmo2_f16_overflow => {
        let olmo2 = Decoder::of("olmo2");
        let parameters = olmo2.changed(&[
            ("embedding.token.weight", |_, w| 100.0 * w),
            ("block.0.attention.qkv.weight", |row, w| if row < 32 { 3e4 * w } else { w }),
        ]);
        beyond_f16(
            &olmo2,
            parameters,
            "product",
            ("block.0.attention.qkv", (0, 0)),
            &["block.0.attention.qkv.weight", "embedding.token"],
        )
    };
    llama_missing_mask => unmasked("llama");
    qwen3_missing_mask => unmasked("qwen3");
    gemma3_missing_mask => unmasked("gemma3_text");
    gpt_neox_missing_mask => unmasked("gpt_neox");
    olmo2_missing_mask => unmasked("olmo2");
    /// Rows 0 to 15 are queries, 16 to 23 the shared key.
    llama_missing_scale => unscaled("llama", |row, w| if row < 24 { 8.0 * w } else { w });
    qwen3_missing_scale => unscaled_norms("qwen3", (16, 2, Some(128)));
    gemma3_missing_scale => unscaled_norms("gemma3_text", (16, 2, Some(128)));
    gpt_neox_missing_scale => unscaled("gpt_neox", |row, w| if row < 32 { 8.0 * w } else { w });
    olmo2_missing_scale => unscaled_norms("olmo2", (128, 1, None));
}

/// The animals of this file, for the tests over all animals.
pub(super) fn all() -> &'static [Animal] {
    ZOO
}

#[test]
fn five_faults_in_each_of_five_families() {
    let mut right = 0;
    for (name, case, animal) in ZOO {
        let (found, expected) = case.get_or_init(animal);
        let seen = verdict(name, &found.found, expected);
        println!("  verdict  (origin, cause, cure) {seen:?}\n");
        right += usize::from(seen == (true, true, true));
    }
    assert_eq!(ZOO.len(), stated("five faults in each of five families | right in all "));
    assert_eq!(right, ZOO.len());
}

#[test]
fn claimed_fixes_fix_families() {
    let (tried, wrong) = cures_that_do_not(ZOO);
    assert!(wrong.is_empty(), "claimed, and no cure:\n{}", wrong.join("\n"));
    // Every one but those of the code: a mask, a scale.
    assert_eq!(tried, 15);
}

/// A diagnosis of thirty steps from a run's own first parameters.
fn from_the_start(decoder: &Decoder) -> Diagnosis {
    let parameters = decoder.architecture.initial_parameters(1).expect("a valid model");
    examine(decoder, parameters, &recipe(), 30).found
}

#[test]
fn families_without_a_fault_are_not_accused() {
    for family in ["llama", "qwen3", "gemma3_text", "gpt_neox", "olmo2"] {
        let decoder = Decoder::of(family);
        for found in [
            examine(&decoder, decoder.parameters(), &recipe(), 40).found,
            examine(
                &decoder,
                decoder.parameters(),
                &Recipe { precision: Precision::F16, ..recipe() },
                40,
            )
            .found,
            from_the_start(&decoder),
        ] {
            assert!(found.cause.is_none(), "{family}: {:?}", found.cause);
        }
    }
}

/// With normalised queries and keys, a missing scale does no harm in narrow heads: products of 4 features have deviation 2.
#[test]
fn a_missing_scale_that_does_no_harm_is_not_accused() {
    for family in ["qwen3", "gemma3_text"] {
        let found = from_the_start(&Decoder::at(family, (16, 4, Some(4))).without_scale());
        assert!(found.cause.is_none(), "{family}: {:?}", found.cause);
    }
}

/// A factor of 1 that the architecture states is a choice, however sharp the softmax: the diagnosis may name what it sees, but not
/// a missing scale.
#[test]
fn a_stated_scale_of_1_is_not_missing() {
    for sizes in [(16, 2, None), (16, 2, Some(128))] {
        let mut decoder = Decoder::at("qwen3", sizes);
        assert_eq!(decoder.architecture.query_key_norm, QueryKeyNorm::Head);
        decoder.architecture.score_scale = Some(1.0);
        let found = from_the_start(&decoder);
        println!("{sizes:?}: {:?}", found.cause);
        assert!(found.cause.is_none_or(|(cause, _)| cause != Cause::NoScale), "{sizes:?}");
    }
}
