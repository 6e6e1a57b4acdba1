//! Learning from preferences, with the model of the start as the reference.

use super::place::{Place, says, stderr};
use serde_json::{Value, json};
use std::fs;

/// A place with a trained model in `base`, and preferences in `pairs.jsonl`.
fn place() -> Place {
    let place = Place::new();
    let lines: String = (0..30).map(|i| format!("{i} plus one is {}.\n", i + 1)).collect();
    fs::write(place.path("text.txt"), lines.repeat(20)).unwrap();
    place.train(&["--steps", "60", "--context", "64", "--out", "base", "--learning-rate", "1e-2"]);
    let pair = |i: u32| {
        let (prompt, chosen) = (format!("{i} plus one is "), format!("{}.", i + 1));
        let rejected = format!("{}.", i + 8 + i % 5);
        json!({"prompt": prompt, "chosen": chosen, "rejected": rejected, "id": i})
    };
    write(&place, "pairs.jsonl", &(0..29).map(pair).collect::<Vec<_>>());
    place
}

fn write(place: &Place, name: &str, lines: &[Value]) {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(place.path(name), lines).unwrap();
}

/// The arguments of a run on preferences.
fn on<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let usual = [
        ("--from", "base"),
        ("--data", "pairs.jsonl"),
        ("--steps", "12"),
        ("--eval-every", "4"),
        ("--schedule", "constant"),
        ("--learning-rate", "3e-3"),
        ("--threads", "1"),
    ];
    let mut arguments = vec!["train"];
    if !more.iter().any(|flag| flag.starts_with("--preferences")) {
        arguments.push("--preferences");
    }
    for (flag, value) in usual.into_iter().filter(|(flag, _)| !more.contains(flag)) {
        arguments.extend([flag, value]);
    }
    arguments.extend(more);
    arguments
}

fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("{name} in {report}"))
}

/// The chosen answers become likelier than the rejected ones, by all weights and by adapters; every reader knows the run.
#[test]
fn preferences_are_learned_measured_and_resumed() {
    let place = place();
    for more in [&[][..], &["--lora", "4", "--learning-rate", "3e-2"]] {
        let flags = [&["--out", "run", "--overwrite", "--json"], more].concat();
        let output = place.run(&on(&flags));
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        says(&said, &["it is the reference", "a loss of 0.6931 on 2 held-back preferences"]);
        says(&said, &["example  a chosen answer", "example  the answer that was rejected for it"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let [margin, divergence] = ["margin", "divergence"].map(|name| number(&report, name));
        assert!(margin > 0.0 && divergence > 0.0, "{report}");
        assert!(report.get("perplexity").is_none() && report.get("bits_per_character").is_none());

        // `evaluate` says what `train` said, and also of other preferences.
        let measured = place.json(&["evaluate", "run"]);
        assert_eq!(measured["preferences"], report["preferences"]);
        let names = [("loss", "validation_loss"), ("margin", "margin"), ("accuracy", "accuracy")];
        for (own, name) in names {
            let difference = number(&measured, own) - number(&report, name);
            assert!(difference.abs() < 1e-5, "{own}: {measured} {report}");
        }
        let all = place.json(&["evaluate", "run", "--data", "pairs.jsonl"]);
        assert_eq!(all["preferences"], 29);

        // A stop and a start again change no bit: the reference is found again with the model of the start.
        let part = [&["--out", "part", "--overwrite", "--steps", "5"], more].concat();
        place.fine(&on(&part));
        let resumed = place.json(&["train", "--resume", "part", "--steps", "12"]);
        assert_eq!(resumed["weights_sha256"], report["weights_sha256"]);
        let metrics = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
        let last: Value = serde_json::from_str(metrics.lines().next_back().unwrap()).unwrap();
        assert_eq!(last["preferred"]["accuracy"], report["accuracy"]);
        let picture = fs::read_to_string(place.path("run/loss.svg")).unwrap();
        says(&picture, &["chosen  ", "rejected  ", "accuracy ", "nats per pair"]);

        let checked = place.fine(&["check", "run", "--threads", "1"]);
        says(&checked, &["the reference's nats are those of the model before"]);
        says(&checked, &["nothing is preferred before"]);
        place.fine(&["diagnose", "run", "--steps", "2"]);
        place.fine(&["explain", "run", "--list"]);
        place.fine(&["generate", "run", "--tokens", "3"]);
    }
}

/// Both papers' losses begin where they say, and fall.
#[test]
fn the_losses_of_the_papers_begin_where_they_say() {
    let place = place();
    for (more, first) in [
        (&["--preferences=ipo"][..], 25.0), // 1/(4β²) with β = 0.1
        (&["--preferences=ipo", "--preference-beta", "0.5"], 1.0),
        (&["--preference-flipped", "0.2", "--preference-beta", "1"], 2f64.ln()),
    ] {
        place.fine(&on(&[more, &["--out", "run", "--overwrite"]].concat()));
        let metrics = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
        let loss = |line: &str| {
            let metric: Value = serde_json::from_str(line).unwrap();
            number(&metric, "loss")
        };
        let losses: Vec<f64> = metrics.lines().map(loss).collect();
        assert!((losses[0] / first - 1.0).abs() < 1e-6, "{losses:?}");
        assert!(losses[6..].iter().sum::<f64>() / 6.0 < losses[0], "{losses:?}");
    }
}

/// Lines that are no preferences, settings that do not go together, a reference that is gone or another.
#[test]
fn what_cannot_be_preferred_is_refused() {
    let place = place();
    let refused = |more: &[&str]| {
        let said = place.refused(&on(&[more, &["--out", "x"]].concat()));
        assert!(!place.path("x").exists(), "{said}");
        said
    };
    let plain = ["train", "--from", "base", "--data", "pairs.jsonl", "--out", "x"];
    says(&place.refused(&plain), &["pairs.jsonl, line 1", "--preferences learns from it"]);
    let good = json!({"prompt": "1", "chosen": "2", "rejected": "3"});
    let line = |line: Value| {
        write(&place, "bad.jsonl", &[good.clone(), line]);
        refused(&["--data", "bad.jsonl"])
    };
    let equal = json!({"prompt": "1", "chosen": "2", "rejected": "2"});
    says(&line(equal), &["bad.jsonl, line 2", "are equal", "leave the line out"]);
    says(&line(json!({"prompt": "1", "chosen": "2"})), &["bad.jsonl, line 2", "its fields are"]);
    says(&line(json!({"text": "1"})), &["bad.jsonl, line 2", "\"chosen\""]);
    says(&refused(&["--data", "text.txt"]), &["is not a file of conversations or preferences"]);
    write(&place, "one.jsonl", &[good]);
    says(&refused(&["--data", "one.jsonl"]), &["1 preference", "at least 2"]);
    says(&refused(&["--preference-beta", "0"]), &["preference_beta is 0", "between 1e-6"]);
    says(&refused(&["--preference-flipped", "0.5"]), &["preference_flipped is 0.5", "below 0.5"]);
    let ipo = ["--preferences=ipo", "--preference-flipped", "0.1"];
    says(&refused(&ipo), &["preference_flipped", "absent with ipo"]);
    says(&refused(&["--answers"]), &["answers", "absent beside preferences"]);
    let alone = ["train", "--data", "pairs.jsonl", "--preferences", "--out", "x"];
    says(&place.refused(&alone), &["name it with --from"]);
    let text = ["train", "--from", "base", "--data", "text.txt", "--out", "x"];
    let beta = [&text[..], &["--preference-beta", "0.2"]].concat();
    says(&place.refused(&beta), &["absent without preferences"]);
    let planned = ["plan", "--data", "pairs.jsonl", "--preferences", "--time", "1m"];
    says(&place.refused(&planned), &["leave out --preferences"]);

    // The reference is needed as long as the run goes on.
    place.fine(&on(&["--out", "run"]));
    fs::rename(place.path("base"), place.path("elsewhere")).unwrap();
    let more = ["train", "--resume", "run", "--steps", "14"];
    says(&place.refused(&more), &["needs them again to resume"]);
    place.fine(&[&more[..], &["--from", "elsewhere"]].concat());
    place.fine(&["check", "run"]);
    fs::rename(place.path("elsewhere"), place.path("hidden")).unwrap();
    place.train(&["--steps", "1", "--context", "64", "--out", "elsewhere", "--seed", "4"]);
    says(
        &place.refused(&["evaluate", "run"]),
        &["holds other weights", "if it lies elsewhere now"],
    );
}
