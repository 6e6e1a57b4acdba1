//! Later settings win, a preset gives way to explicit settings, and presets equal their authors'.

use crate::settings::Settings;
use calculus::optimizer::OptimizerKind;
use transformer::memory::Bytes;
use transformer::model::family;
use transformer::{Activation, Architecture};
use transformer::{
    Gain, Norm, Parametrization, Placement, PositionsKind, Precision, PreferenceKind, Preset,
    QueryKeyNorm, ScheduleKind, TokenizerChoice, TrainingConfig,
};

/// Settings that differ from every preset.
fn odd() -> Settings {
    Settings {
        data: Some(vec!["somewhere.txt".to_owned(), "else.jsonl".to_owned()]),
        field: Some("body".to_owned()),
        answers: Some(false),
        preferences: Some(PreferenceKind::Dpo),
        preference_beta: Some(0.3),
        preference_flipped: Some(0.2),
        teacher: Some("large".to_owned()),
        temperature: Some(3.0),
        teacher_weight: Some(0.75),
        teacher_top: Some(16),
        tokenizer: Some(TokenizerChoice::Bytes),
        freeze: Some(vec!["embedding.*".to_owned()]),
        learn: Some(vec!["block.*".to_owned(), "norm.*".to_owned()]),
        lora: Some(7),
        lora_alpha: Some(3.5),
        lora_targets: Some(vec!["query".to_owned()]),
        lora_dropout: Some(0.25),
        rslora: Some(true),
        dora: Some(true),
        layers: Some(3),
        heads: Some(5),
        width: Some(35),
        context: Some(17),
        positions: Some(PositionsKind::Rotary),
        rotary_base: Some(7.0),
        rotary_share: Some(0.5),
        rotary_local_base: Some(3.0),
        unrotated_every: Some(3),
        scaled_embedding: Some(true),
        embedding_scale: Some(2.5),
        embedding_norm: Some(true),
        final_norm: Some(false),
        residual_scale: Some(0.5),
        norm: Some(Norm::Rms),
        gain: Some(Gain::OnePlus),
        placement: Some(Placement::Sandwich),
        query_key_norm: Some(QueryKeyNorm::Head),
        key_value_heads: Some(1),
        head_width: Some(6),
        window: Some(4),
        full_every: Some(2),
        score_cap: Some(50.0),
        logit_cap: Some(30.0),
        score_scale: Some(0.25),
        logit_divisor: Some(2.0),
        hidden: Some(21),
        gated: Some(true),
        activation: Some(Activation::Silu),
        bias: Some(false),
        query_key_value_bias: Some(true),
        tied: Some(false),
        dropout: Some(0.3),
        parametrization: Some(Parametrization::Mup),
        base_width: Some(5),
        batch: Some(7),
        accumulate: Some(3),
        steps: Some(77),
        optimizer: Some(OptimizerKind::Sgd),
        momentum: Some(0.6),
        schedule: Some(ScheduleKind::Linear),
        learning_rate: Some(0.07),
        min_learning_rate: Some(0.02),
        warmup: Some(13),
        decay_steps: Some(9),
        decay_every: Some(8),
        decay_factor: Some(0.3),
        weight_decay: Some(0.4),
        beta1: Some(0.7),
        beta2: Some(0.8),
        epsilon: Some(1e-6),
        clip: Some(0.5),
        average: Some(0.99),
        precision: Some(Precision::Bf16),
        memory: Some(Bytes(7_500_000_000)),
        seed: Some(99),
        eval_every: Some(11),
        ..Settings::default()
    }
}

fn meant() -> TrainingConfig {
    TrainingConfig {
        data: Some(vec!["somewhere.txt".to_owned(), "else.jsonl".to_owned()]),
        field: Some("body".to_owned()),
        answers: false,
        preferences: Some(PreferenceKind::Dpo),
        preference_beta: Some(0.3),
        preference_flipped: Some(0.2),
        teacher: Some("large".to_owned()),
        teacher_sha256: None,
        temperature: Some(3.0),
        teacher_weight: Some(0.75),
        teacher_top: Some(16),
        tokenizer: TokenizerChoice::Bytes,
        from: None,
        from_sha256: None,
        freeze: Some(vec!["embedding.*".to_owned()]),
        learn: Some(vec!["block.*".to_owned(), "norm.*".to_owned()]),
        lora: Some(7),
        lora_alpha: Some(3.5),
        lora_targets: Some(vec!["query".to_owned()]),
        lora_dropout: Some(0.25),
        rslora: true,
        dora: true,
        layers: 3,
        heads: 5,
        width: 35,
        context: 17,
        positions: PositionsKind::Rotary,
        rotary_base: Some(7.0),
        rotary_share: Some(0.5),
        rotary_local_base: Some(3.0),
        unrotated_every: Some(3),
        scaled_embedding: true,
        embedding_scale: Some(2.5),
        embedding_norm: true,
        final_norm: Some(false),
        residual_scale: Some(0.5),
        norm: Norm::Rms,
        gain: Gain::OnePlus,
        placement: Placement::Sandwich,
        query_key_norm: QueryKeyNorm::Head,
        key_value_heads: Some(1),
        head_width: Some(6),
        window: Some(4),
        full_every: Some(2),
        score_cap: Some(50.0),
        logit_cap: Some(30.0),
        score_scale: Some(0.25),
        logit_divisor: Some(2.0),
        hidden: Some(21),
        gated: true,
        activation: Activation::Silu,
        bias: false,
        query_key_value_bias: Some(true),
        tied: false,
        dropout: 0.3,
        parametrization: Parametrization::Mup,
        base_width: Some(5),
        batch: 7,
        accumulate: 3,
        steps: 77,
        time: None,
        optimizer: OptimizerKind::Sgd,
        momentum: 0.6,
        schedule: ScheduleKind::Linear,
        learning_rate: 0.07,
        min_learning_rate: 0.02,
        warmup: 13,
        decay_steps: Some(9),
        decay_every: Some(8),
        decay_factor: Some(0.3),
        weight_decay: 0.4,
        beta1: 0.7,
        beta2: 0.8,
        epsilon: Some(1e-6),
        clip: 0.5,
        precision: Precision::Bf16,
        memory: Some(Bytes(7_500_000_000)),
        seed: 99,
        average: Some(0.99),
        eval_every: 11,
    }
}

/// Settings that do not go together with those of the other list.
const APART: [&[&str]; 2] = [
    &["preferences", "preference_beta", "preference_flipped", "memory"],
    &["teacher", "temperature", "teacher_weight", "teacher_top"],
];

fn without(names: &[&str], settings: toml::Table) -> toml::Table {
    settings.into_iter().filter(|(name, _)| !names.contains(&name.as_str())).collect()
}

fn complete(settings: &Settings) -> TrainingConfig {
    settings.complete().unwrap()
}

#[test]
fn every_setting_arrives_and_wins_over_what_came_before() {
    for preset in [None, Some(Preset::Story), Some(Preset::FastText), Some(Preset::Gpt2)] {
        for names in APART {
            let given = without(names, odd().table().unwrap()).try_into::<Settings>().unwrap();
            let expected = without(names, toml::Table::try_from(meant()).unwrap());
            assert_eq!(complete(&Settings { preset, ..given }), expected.try_into().unwrap());
        }
    }
    // Key by key: this one from the later settings, all others from the earlier.
    let base = Settings { preset: Some(Preset::Gpt2), ..Settings::default() };
    let plain = complete(&base);
    let all = odd().table().unwrap();
    let earlier: Settings = toml::Table::try_from(&plain).unwrap().try_into().unwrap();
    for (key, value) in &all {
        let mut one = toml::Table::new();
        one.insert(key.clone(), value.clone());
        let later: Settings = one.clone().try_into().unwrap();
        let merged = later.over(earlier.clone()).unwrap().table().unwrap();
        assert_eq!(merged.get(key), Some(value), "{key}");
        let others = |table: &toml::Table| {
            table
                .iter()
                .filter(|(k, _)| *k != key)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(others(&merged), others(&earlier.table().unwrap()), "beside {key}");
        // The earlier value stays if the later is absent.
        let kept = Settings::default().over(one.try_into().unwrap()).unwrap().table().unwrap();
        assert_eq!(kept.get(key), Some(value), "{key}");
    }
}

/// An architecture stands for its parts; a flag or key overrides each part.
#[test]
fn an_architecture_is_its_parts() {
    let preset = Some(Preset::Story);
    let llama = Settings { architecture: Some("llama".to_owned()), preset, ..Settings::default() };
    let config = complete(&llama);
    let parts = (config.positions, config.norm, config.gated, config.activation, config.bias);
    assert_eq!(parts, (PositionsKind::Rotary, Norm::Rms, true, Activation::Silu, false));
    let model = config.model(65).unwrap();
    assert_eq!(model.to_json().matches("LlamaForCausalLM").count(), 1);
    // Three matrices of 8/3·width; a GPT-2 has two of 4·width.
    let gpt2 = complete(&Settings { preset, ..Settings::default() }).model(65).unwrap();
    let matrices = |hidden: usize, count: f64| hidden as f64 * count / gpt2.width as f64;
    assert!(
        (matrices(model.hidden, 3.0) - matrices(gpt2.hidden, 2.0)).abs()
            <= 3.0 * 8.0 / gpt2.width as f64
    );
    let mixed = complete(&Settings { norm: Some(Norm::Layer), bias: Some(true), ..llama });
    assert_eq!(
        (mixed.norm, mixed.bias, mixed.positions),
        (Norm::Layer, true, PositionsKind::Rotary)
    );
    // Parts that no family of transformers has together are stored in our own format.
    assert_eq!(family::of(&mixed.model(65).unwrap()).name(), "glassbox");
    // A family's parts are stored as that family. Phi-3's are Llama's unless a share of each head rotates.
    for name in family::names().filter(|name| *name != "glassbox") {
        let rotary_share = (name == "phi3").then_some(0.5);
        for &preset in Preset::ALL {
            let (architecture, preset) = (Some(name.to_owned()), Some(preset));
            // SmolLM3 differs from Llama from its fourth layer on.
            let asked = Settings {
                architecture,
                preset,
                rotary_share,
                layers: Some(4),
                ..Settings::default()
            };
            let model = complete(&asked).model(65).unwrap();
            assert_eq!(family::of(&model).name(), name, "{preset:?}");
        }
    }
    let phi3 = Settings { architecture: Some("phi3".to_owned()), ..Settings::default() };
    assert_eq!(family::of(&complete(&phi3).model(65).unwrap()).name(), "llama");
}

/// The factors of a family hold until others are asked for.
#[test]
fn granites_factors_are_settings() {
    let granite = Settings { architecture: Some("granite".to_owned()), ..Settings::default() };
    let factors = |settings: &Settings| {
        let a = complete(settings).model(65).unwrap();
        (a.embedding_scale, a.score_scale, a.residual_scale, a.logit_divisor)
    };
    assert_eq!(factors(&granite), (12.0, Some(0.015625), 0.22, 8.0));
    let scaled = Settings { scaled_embedding: Some(true), ..granite.clone() };
    let width = complete(&scaled).width as f64;
    assert_eq!(factors(&scaled).0, width.sqrt());
    let plain = Settings { scaled_embedding: Some(false), ..granite.clone() };
    assert_eq!(factors(&plain).0, 1.0);
    let others = Settings { embedding_scale: Some(3.0), residual_scale: Some(1.0), ..granite };
    assert_eq!(factors(&others), (3.0, Some(0.015625), 1.0, 8.0));
}

/// Architectures without a family bring all parts of their publication, and are stored in this project's own format.
#[test]
fn an_architecture_without_a_family_is_its_publication() {
    let own = family::architectures().filter(|name| !family::names().any(|own| own == *name));
    // Whatever parts the preset has.
    for (name, preset) in own.flat_map(|name| Preset::ALL.iter().map(move |preset| (name, *preset)))
    {
        let (architecture, preset) = (Some(name.to_owned()), Some(preset));
        let settings = Settings { architecture, preset, ..Settings::default() };
        let model = complete(&settings).model(27).unwrap();
        let expected = family::usual_at(name, &model).unwrap();
        assert_eq!(model, expected, "{name} {preset:?}");
        assert_eq!(family::of(&model).name(), "glassbox");
        assert_eq!(Architecture::from_json(&model.to_json()), Ok(model));
    }
}

/// The library's default is the recipe for a CPU.
#[test]
fn the_default_of_the_library_is_a_preset() {
    let preset =
        complete(&Settings { preset: Some(Preset::ShakespeareCpu), ..Settings::default() });
    assert_eq!(preset, TrainingConfig::default());
}

#[test]
fn what_a_run_writes_down_is_what_it_was_asked_for() {
    let meant = toml::Table::try_from(meant()).unwrap();
    let asked = APART.map(|names| without(names, meant.clone()).try_into().unwrap());
    for config in asked.into_iter().chain([complete(&Settings::default())]) {
        let again: Settings = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        // What is absent is absent, whatever the preset has.
        for preset in [None, Some(Preset::FastText)] {
            assert_eq!(complete(&Settings { preset, ..again.clone() }), config);
        }
    }
}

#[test]
fn a_preset_gives_way_to_what_is_asked_for() {
    for preset in [Preset::FastStory, Preset::ShakespeareCpu, Preset::Baby, Preset::Gpt2] {
        let base = Settings { preset: Some(preset), ..Settings::default() };
        let plain = complete(&base);
        // A short run warms up over at most a tenth of its steps, unless more is requested.
        for steps in [1, 9, 10, 50, 500, 10_000_000] {
            let found = complete(&Settings { steps: Some(steps), ..base.clone() });
            assert_eq!((found.steps, found.warmup), (steps, plain.warmup.min(steps / 10)));
            let asked = Settings { steps: Some(steps), warmup: Some(steps), ..base.clone() };
            assert_eq!(complete(&asked).warmup, steps);
        }
        // A rate below the preset's minimum lowers that too.
        for rate in [1e-9, plain.min_learning_rate / 2.0, 0.05].into_iter().filter(|r| *r > 0.0) {
            let asked = Settings { learning_rate: Some(rate), ..base.clone() };
            let found = complete(&asked);
            assert_eq!(found.min_learning_rate, plain.min_learning_rate.min(rate));
            let both = Settings { min_learning_rate: Some(rate / 3.0), ..asked };
            assert_eq!(complete(&both).min_learning_rate, rate / 3.0);
        }
    }
    let text = Settings { data: Some(vec!["a.txt".to_owned()]), ..Settings::default() };
    assert_eq!(
        (Settings::default().preset(), text.preset()),
        (Preset::Story, Preset::ShakespeareCpu)
    );
    let asked = Settings { preset: Some(Preset::Baby), ..text };
    assert_eq!(asked.preset(), Preset::Baby);
}

/// nanoGPT: config/train_shakespeare_char.py, its README ("I only have a macbook"), config/train_gpt2.py and
/// train.py's defaults. Its GELU is the exact one; OpenAI's GPT-2 has the tanh formula.
#[test]
fn presets_are_their_authors() {
    let of = |preset| complete(&Settings { preset: Some(preset), ..Settings::default() });
    let sizes = |c: &TrainingConfig| (c.layers, c.heads, c.width, c.context, c.batch, c.dropout);
    let rates =
        |c: &TrainingConfig| (c.learning_rate, c.min_learning_rate, c.warmup, c.steps, c.beta2);
    let (baby, cpu, gpt2) = (of(Preset::Baby), of(Preset::ShakespeareCpu), of(Preset::Gpt2));
    assert_eq!(sizes(&baby), (6, 6, 384, 256, 64, 0.2));
    assert_eq!(rates(&baby), (1e-3, 1e-4, 100, 5000, 0.99));
    assert_eq!(sizes(&cpu), (4, 4, 128, 64, 12, 0.0));
    assert_eq!(rates(&cpu), (1e-3, 1e-4, 100, 2000, 0.99));
    assert_eq!(
        (gpt2.layers, gpt2.heads, gpt2.width, gpt2.context, gpt2.dropout),
        (12, 12, 768, 1024, 0.0)
    );
    assert_eq!(rates(&gpt2), (6e-4, 6e-5, 2000, 600_000, 0.95));
    for c in [&baby, &cpu, &gpt2, &of(Preset::Story)] {
        assert_eq!(
            (c.optimizer, c.schedule, c.tied),
            (OptimizerKind::Adam, ScheduleKind::Cosine, true)
        );
        assert_eq!((c.beta1, c.weight_decay, c.clip, c.momentum), (0.9, 0.1, 1.0, 0.0));
    }
    // The fast ones differ in what their windows need: stories begin at position 0 and are 256 tokens long at most.
    let (story, text) = (of(Preset::FastStory), of(Preset::FastText));
    let TrainingConfig { context, positions, batch, steps, data, .. } = story.clone();
    assert_eq!(TrainingConfig { context, positions, batch, steps, data, ..text }, story);
    for (c, activation, bias, tokenizer) in [
        (&baby, Activation::Gelu, false, TokenizerChoice::Chars),
        (&cpu, Activation::Gelu, false, TokenizerChoice::Chars),
        (&gpt2, Activation::GeluTanh, true, TokenizerChoice::Bytes),
    ] {
        assert_eq!((c.activation, c.bias, c.tokenizer.clone()), (activation, bias, tokenizer));
    }
}
