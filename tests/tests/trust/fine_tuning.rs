//! No false alarm: twenty healthy fine-tunings, of all weights, of some, by adapters, on answers and on preferences, over
//! families and seeds, pass every certificate, and `diagnose` finds nothing.

use std::ops::ControlFlow;
use tests::models::{family, training};
use tests::readme::stated;
use transformer::inspect::check;
use transformer::inspect::diagnose::{Background, Before, Recipe, State, examination_of};
use transformer::text::preference::{Example, Preference};
use transformer::text::stories::{Facts, stories_with_facts};
use transformer::text::tokenizer::Tokenizer;
use transformer::{
    Adapter, Architecture, Corpus, Form, FrozenWeights, ModelStep, PreferenceKind, RecordedStep,
    ScheduleKind, Target, Trainer, TrainingConfig, refer,
};

const CONTEXT: usize = 64;

/// Returns a sentence about a story, a question about it, and the answer.
fn asked(i: usize, facts: &Facts) -> (String, String) {
    let Facts { name, colour, thing, .. } = facts;
    let sentence = format!("{name} has a {colour} {thing}. ");
    match i % 3 {
        0 => (sentence + "Who? ", format!("{name}.")),
        1 => (sentence + "What? ", format!("{thing}.")),
        _ => (sentence + "Colour? ", format!("{colour}.")),
    }
}

fn facts(series: u64, count: u32) -> Vec<Facts> {
    stories_with_facts(series, 0..count).into_iter().map(|(_, facts)| facts).collect()
}

/// A text of such sentences with their questions and answers.
fn text(series: u64, count: u32) -> String {
    let facts = facts(series, count);
    let lines = facts.iter().enumerate().map(|(i, facts)| asked(i, facts));
    lines.map(|(prompt, answer)| format!("{prompt}{answer}\n")).collect()
}

/// Conversations or preferences about other stories than the text's.
fn examples(tokenizer: &Tokenizer, preferences: bool, length: usize) -> Corpus {
    let all = facts(8, 130);
    let other = |i: usize| &all[(i + 7) % all.len()];
    let units = all.iter().enumerate().filter_map(|(i, facts)| {
        let (prompt, completion) = asked(i, facts);
        let line = serde_json::json!({
            "prompt": prompt, "completion": completion, "chosen": completion, "rejected": asked(i, other(i)).1,
        });
        let example = match preferences {
            true => Example::Preference(Preference::from_json(&line).ok()?),
            false => Example::Conversation(
                transformer::text::conversation::Conversation::from_json(&line).ok()?,
            ),
        };
        Some(example.mark(tokenizer, None).expect("the tokenizer's characters"))
    });
    let mut units: Vec<_> = units.collect();
    let held_back = units.split_off(units.len() - 20);
    Corpus::conversations(units, held_back, 0, length).expect("answers")
}

/// What run number i learns.
fn fine_tuning(i: usize) -> TrainingConfig {
    let adapters = i % 4 == 1 || i % 8 == 7;
    TrainingConfig {
        answers: i % 4 == 2,
        preferences: (i % 4 == 3).then_some([PreferenceKind::Dpo, PreferenceKind::Ipo][i / 12 % 2]),
        learn: (i % 8 == 4).then(|| vec!["block.1.*".to_owned(), "norm.*".to_owned()]),
        lora: adapters.then_some(4),
        dora: i % 8 == 7,
        context: CONTEXT,
        batch: [2, 4][i / 4 % 2],
        accumulate: 1 + i / 3 % 2,
        schedule: [ScheduleKind::Cosine, ScheduleKind::Constant, ScheduleKind::Linear][i % 3],
        learning_rate: if adapters { 3e-3 } else { 3e-4 },
        min_learning_rate: 1e-5,
        warmup: [0, 5][i % 2],
        seed: 77_000_000 + 31 * i as u64,
        ..training()
    }
}

#[test]
fn twenty_healthy_fine_tunings_without_a_false_alarm() {
    let families = ["gpt2", "llama", "qwen3", "gemma2", "gpt_neox"];
    let pretraining = text(7, 400);
    let tokenizer = Tokenizer::characters_of(&pretraining);
    let stream = |text: &str| {
        let tokens = tokenizer.encode(text).expect("its own characters");
        Corpus::text(tokens, 0.1, CONTEXT).expect("long enough")
    };
    let before = stream(&pretraining);
    let mut wrong = vec![];
    for i in 0..stated("five families) that `check` or `diagnose` accuses | none of ") {
        let config = fine_tuning(i);
        let sizes = Architecture {
            vocabulary: tokenizer.vocabulary(),
            context: CONTEXT,
            width: 32,
            layers: 2,
            heads: 2,
            hidden: 64,
            ..Architecture::default()
        };
        let base = family(families[i % families.len()], &sizes);
        let steps = TrainingConfig {
            context: CONTEXT,
            learning_rate: 3e-3 * base.logit_divisor,
            seed: config.seed + 1,
            ..training()
        };
        let mut trainer = Trainer::<f32>::new(steps, &base).expect("valid sizes");
        for _ in 0..60 {
            trainer.step(&before).expect("tokens in range");
        }
        let weights = trainer.merged().into_owned();

        // As `train --from` and the verbs read it.
        let mut model = Architecture {
            packed: config.answers || config.preferences.is_some(),
            preference: config.preference_loss(),
            ..base
        };
        model.adaptation.learn = config.learn.clone().unwrap_or_default();
        model.adaptation.adapter = config.lora.map(|rank| Adapter {
            rank,
            alpha: 8.0,
            rank_stabilized: false,
            magnitudes: config.dora,
            dropout: 0.0,
            targets: vec![Target::QueryKeyValue, Target::Projection, Target::Contracted],
        });
        let begun = Trainer::<f32>::starting_from(config.clone(), &model, Some(&weights[..]));
        let begun = begun.expect("valid sizes");
        let parameters = begun.model().tape().parameters().to_vec();
        if !model.adaptation.is_none() {
            let list = model.base().parameter_list().expect("valid sizes");
            let frozen = FrozenWeights::of(&list, &weights, |name| model.adaptation.freezes(name));
            model.adaptation.frozen = Some(frozen);
        }
        let mut corpus = match (config.answers, config.preferences) {
            (false, None) => stream(&text(9, 200)),
            (_, preferences) => examples(&tokenizer, preferences.is_some(), CONTEXT),
        };
        if config.preferences.is_some() {
            let mut step =
                RecordedStep::<f32>::record_forward_only(&model, 2, CONTEXT, Form::Fused)
                    .expect("valid sizes");
            step.copy_parameters(&parameters);
            assert!(refer(&mut corpus, &mut step, None, |_, _| ControlFlow::Continue(())).unwrap());
        }

        let run = format!("run {i}, {}", families[i % families.len()]);
        let mut certificates =
            check::model(&config, &model, Some(&parameters), &corpus).expect("valid sizes");
        certificates
            .extend(check::preferences(&config, &model, &parameters, &corpus).expect("valid"));
        for c in certificates.iter().filter(|c| c.verdict == check::Verdict::Fail) {
            wrong.push(format!("{run}: {}: {} {:?} {}", c.name, c.measured, c.limits, c.detail));
        }
        let step = ModelStep::of_run(&config, &model, &corpus);
        let windows = before.validation_sample(CONTEXT, 8 * CONTEXT);
        let known = Before::of(&step, &parameters, &windows).expect("valid sizes");
        let known = Background { before: Some(known), ..Background::default() };
        let (start, recipe) = (State::start(parameters), Recipe::of_run(&config));
        let found = examination_of(&step, &start, &recipe, 25, &known, |_| {});
        let found = found.expect("valid sizes");
        if let Some((cause, why)) = &found.diagnosis.cause {
            wrong.push(format!("{run}: {cause}: {why}"));
        }
        let loss =
            |at: Option<&transformer::inspect::diagnose::Taken>| at.map_or(f64::NAN, |t| t.loss);
        let history = &found.diagnosis.history;
        println!("{run}: loss {:.3} to {:.3}", loss(history.first()), loss(history.last()));
    }
    assert!(wrong.is_empty(), "{} false alarms:\n{}", wrong.len(), wrong.join("\n"));
}
