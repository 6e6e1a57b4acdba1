//! What the program does with its flags, as laws: the library with the same settings does the same.

use super::place::Place;
use probability::sample::Sampler;
use serde_json::Value;
use std::fs;
use transformer::Writer;
use transformer::disk::files;

/// A text of lines and characters of several bytes, and a model trained on it.
fn trained() -> Place {
    let place = Place::new();
    let line = "fünf öde Hügel, 12 €; the dog does not mind.\n";
    let quick = "the quick brown fox jumps over the lazy dog.\n";
    fs::write(place.path("text.txt"), [line, quick, line].concat().repeat(9)).unwrap();
    place
}

fn numbers(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Every flag alone, and all together: past the context, where it is read again from a line's end.
#[test]
fn generate_draws_as_its_flags_say() {
    let place = trained();
    place.train(&["--learning-rate", "0.02", "--steps", "30"]);
    let (config, parameters) = files::read::<f32>(&place.path("run/model")).unwrap();
    let tokenizer = files::read_tokenizer(&place.path("run/model")).unwrap();
    let line_end = tokenizer.encode("\n").unwrap()[0];
    let plain = Sampler::default();
    let mut texts = Vec::new();
    for (flags, sampler, seed) in [
        (&[][..], plain, 1337),
        (&["--seed", "5"][..], plain, 5),
        (&["--temperature", "0"], Sampler { temperature: 0.0, ..plain }, 1337),
        (&["--temperature", "0.4"], Sampler { temperature: 0.4, ..plain }, 1337),
        (&["--top-k", "3"], Sampler { top_k: Some(3), ..plain }, 1337),
        (&["--top-p", "0.5"], Sampler { top_p: Some(0.5), ..plain }, 1337),
        (&["--min-p", "0.3"], Sampler { min_p: Some(0.3), ..plain }, 1337),
        (&["--typical", "0.4"], Sampler { typical: Some(0.4), ..plain }, 1337),
        (&["--repetition-penalty", "3"], Sampler { repetition_penalty: 3.0, ..plain }, 1337),
        (
            &[
                "--temperature",
                "1.5",
                "--top-k",
                "9",
                "--top-p",
                "0.9",
                "--min-p",
                "0.02",
                "--typical",
                "0.95",
            ],
            Sampler {
                temperature: 1.5,
                top_k: Some(9),
                top_p: Some(0.9),
                min_p: Some(0.02),
                typical: Some(0.95),
                ..plain
            },
            1337,
        ),
    ] {
        let arguments = ["generate", "run", "--prompt", "the dog\n", "--tokens", "60"];
        let found = place.json(&[&arguments[..], flags].concat());
        let prompt = tokenizer.encode("the dog\n").unwrap();
        let mut writer = Writer::new(&config, &parameters, Some(line_end)).unwrap();
        let written = writer.write(&prompt, sampler, seed).unwrap().take(60);
        let expected: Vec<u32> = written.collect::<Result<_, _>>().unwrap();
        assert_eq!(numbers(&found["new_tokens"]), expected, "{flags:?}");
        assert_eq!(numbers(&found["tokens"]), [prompt, expected.clone()].concat());
        texts.push(expected);
    }
    for (i, text) in texts.iter().enumerate() {
        assert!(!texts[..i].contains(text), "setting {i} changes something");
    }
    // The boundary matters in one of them at the least.
    let mut writer = Writer::new(&config, &parameters, None).unwrap();
    let prompt = tokenizer.encode("the dog\n").unwrap();
    let other: Vec<u32> =
        writer.write(&prompt, plain, 5).unwrap().take(60).collect::<Result<_, _>>().unwrap();
    assert_ne!(other, texts[1], "the case reads past a line's end");
}

fn metrics(place: &Place, run: &str) -> Vec<Value> {
    let text = fs::read_to_string(place.path(run).join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// At the interval that is asked for, and at the end; training is the same whenever it is measured.
#[test]
fn measuring_happens_when_asked_and_changes_nothing() {
    let place = trained();
    let mut known: Option<(Vec<Value>, Value)> = None;
    for every in ["0", "1", "2", "3", "5", "7"] {
        let report = place.train(&[
            "--out",
            every,
            "--steps",
            "5",
            "--eval-every",
            every,
            "--dropout",
            "0.2",
        ]);
        let lines = metrics(&place, every);
        let interval: usize = every.parse().unwrap();
        for (i, line) in lines.iter().enumerate() {
            let due = (interval > 0 && (i + 1).is_multiple_of(interval)) || i == 4;
            assert_eq!(line.get("validation_loss").is_some(), due, "every {every}: {line}");
        }
        assert_eq!(lines[4]["validation_loss"], report["validation_loss"]);
        let pairs = lines.iter().map(|l| {
            Value::from(vec![
                l["loss"].clone(),
                l["gradient_norm"].clone(),
                l["learning_rate"].clone(),
            ])
        });
        let own = (pairs.collect::<Vec<_>>(), report["weights_sha256"].clone());
        assert_eq!(*known.get_or_insert(own.clone()), own, "every {every}");
    }
}

/// Bits per character times characters are bits per token times tokens, whatever a token is.
#[test]
fn bits_are_counted_per_character() {
    let place = trained();
    for tokenizer in ["bytes", "chars"] {
        let report = place.train(&["--out", tokenizer, "--tokenizer", tokenizer]);
        let number = |key: &str| report[key].as_f64().unwrap();
        let text = fs::read_to_string(place.path("text.txt")).unwrap();
        let tail = match tokenizer {
            "bytes" => {
                let bytes = &text.as_bytes()[text.len() * 9 / 10..];
                String::from_utf8_lossy(bytes).chars().count() as f64 / bytes.len() as f64
            }
            _ => 1.0,
        };
        let expected = number("validation_loss") / 2.0_f64.ln() / tail;
        assert!((number("bits_per_character") / expected - 1.0).abs() < 0.01, "{tokenizer}");
        assert!((number("perplexity").ln() / number("validation_loss") - 1.0).abs() < 1e-12);
    }
    let [bytes, chars] = ["bytes", "chars"].map(|run| place.json(&["evaluate", run]));
    assert!(bytes["tokens"].as_f64() > chars["tokens"].as_f64());
}

/// n-grams know the training text, and are measured where the model is.
#[test]
fn baselines_are_measured_where_the_model_is() {
    let place = trained();
    let report = place.train(&[]);
    let own = place.json(&["evaluate", "run"]);
    assert_eq!(own["baselines"], report["baselines"]);
    // A text that repeats a stretch of training is easy for long n-grams; one without sense is hard.
    fs::write(place.path("known.txt"), "the quick brown fox jumps over the lazy dog.\n").unwrap();
    fs::write(place.path("strange.txt"), "zyxwgod t\nehn€öümd.q,;1jpvbkc 2FH\n".replace("F", "f"))
        .unwrap();
    let of = |file: &str| place.json(&["evaluate", "run", "--data", file])["baselines"].clone();
    let (known, strange) = (of("known.txt"), of("strange.txt"));
    let nats = |b: &Value, order: &str| b[order].as_f64().unwrap();
    assert!(nats(&known, "6") < 0.5 && nats(&strange, "6") > 3.0, "{known} {strange}");
    assert!(nats(&strange, "1") > nats(&own["baselines"], "1"));
}
