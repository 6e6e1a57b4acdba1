//! Every verb on a Llama, as on a GPT-2: from nothing, on, and back.

use super::place::{Place, says};
use serde_json::Value;
use std::fs;

/// The flags of a small Llama whose heads share keys and values.
const LLAMA: [&str; 6] = ["--architecture", "llama", "--heads", "4", "--key-value-heads", "2"];

#[test]
fn every_verb_takes_a_llama() {
    let place = Place::new();
    let report = place.train(&[&LLAMA[..], &["--steps", "12", "--eval-every", "6"]].concat());
    let config: Value =
        serde_json::from_slice(&fs::read(place.path("run/model/config.json")).unwrap()).unwrap();
    assert_eq!(config["model_type"], "llama");
    assert_eq!(
        (&config["num_attention_heads"], &config["num_key_value_heads"]),
        (&4.into(), &2.into())
    );
    assert_eq!(config["intermediate_size"], 48); // 8/3·16, up to a multiple of 8

    // The run's settings train the same model again.
    let again = place.json(&["train", "--config", "run/run.toml", "--out", "again"]);
    assert_eq!(again["weights_sha256"], report["weights_sha256"]);

    let measured = place.json(&["evaluate", "run"]);
    assert_eq!(measured["loss"], report["validation_loss"]);
    let written = place.fine(&["generate", "run", "--prompt", "the ", "--tokens", "20"]);
    assert!(written.starts_with("the "), "{written}");
    for what in ["run", "run/model"] {
        let certified = place.fine(&["check", what, "--threads", "1"]);
        says(&certified, &["certificates hold", "n/a   first loss", "trained"]);
        let diagnosed = place.fine(&["diagnose", what, "--steps", "6"]);
        says(&diagnosed, &["6 watched, nothing wrong"]);
    }
    let explained = place.fine(&["explain", "run", "--out", "page.html"]);
    says(&explained, &["nats"]);
    let page = fs::read_to_string(place.path("page.html")).unwrap();
    says(&page, &["rotated_query", "rotated_key", "feed_forward.gate", "feed_forward.gated"]);
    let text = place.path("text.txt").display().to_string();
    place.fine(&["compress", "run", &text, "--out", "small"]);
    place.fine(&["decompress", "run", "small", "--out", "back.txt"]);
    assert_eq!(fs::read(place.path("back.txt")).unwrap(), fs::read(&text).unwrap());
}

/// The flags of parts that differ from each other in everything, by name; the last ones no family has together.
const PARTS: [&[&str]; 15] = [
    &["--architecture", "llama", "--heads", "4", "--key-value-heads", "2"],
    &["--architecture", "mistral", "--heads", "4", "--key-value-heads", "2", "--window", "5"],
    &["--architecture", "qwen2", "--heads", "4", "--key-value-heads", "1"],
    &["--architecture", "qwen3", "--heads", "2", "--head-width", "12"],
    &["--architecture", "gemma2", "--heads", "4", "--window", "5"],
    &["--architecture", "gemma3_text", "--layers", "6", "--heads", "4", "--window", "5"],
    &["--architecture", "gpt_neox", "--heads", "2"],
    &["--architecture", "olmo2", "--heads", "4"],
    &["--architecture", "smollm3", "--heads", "4", "--unrotated-every", "2"],
    &["--architecture", "granite", "--heads", "4", "--key-value-heads", "2"],
    &["--architecture", "phi3", "--heads", "2", "--rotary-share", "0.5"],
    &["--architecture", "microgpt"],
    &["--architecture", "transformer2017", "--heads", "2"],
    &[
        "--placement",
        "post",
        "--positions",
        "sinusoidal",
        "--scaled-embedding",
        "true",
        "--activation",
        "relu",
    ],
    &[
        "--placement",
        "sandwich",
        "--positions",
        "rotary",
        "--query-key-norm",
        "whole",
        "--logit-cap",
        "20",
    ],
];

/// A model that was never trained starts where initialisation says, whatever its parts.
#[test]
fn models_of_all_parts_are_certified() {
    let place = Place::new();
    let sizes = ["--data", "text.txt", "--layers", "2", "--width", "16", "--context", "16"];
    for parts in PARTS {
        let sizes: Vec<&str> = match parts.contains(&"--layers") {
            true => [&sizes[..2], &sizes[4..]].concat(),
            false => sizes.to_vec(),
        };
        let certified = place.fine(&[&["check"], parts, &sizes[..], &["--threads", "1"]].concat());
        says(&certified, &["22 of 22 certificates hold", "pass  first loss", "pass  scale of"]);
    }
}

/// What is trained is read again by every verb, whatever its parts.
#[test]
fn every_verb_takes_models_of_all_parts() {
    let place = Place::new();
    for (i, parts) in PARTS.into_iter().enumerate().skip(1) {
        let run = format!("run{i}");
        let mut flags =
            vec!["train", "--data", "text.txt", "--width", "16", "--context", "16", "--batch", "2"];
        flags.extend(["--steps", "3", "--warmup", "0", "--eval-every", "2", "--out", &run]);
        if !parts.contains(&"--layers") {
            flags.extend(["--layers", "2"]);
        }
        let report = place.json(&[&flags[..], parts].concat());
        let family = if i < 11 { parts[1] } else { "glassbox" };
        assert_eq!(report["family"], family);
        let measured = place.json(&["evaluate", &run]);
        let [found, expected] =
            [&measured["loss"], &report["validation_loss"]].map(|loss| loss.as_f64().unwrap());
        assert!((found - expected).abs() <= 1e-6, "{parts:?}: {found}, {expected}");
        let again =
            place.json(&["train", "--config", &format!("{run}/run.toml"), "--out", "again"]);
        assert_eq!(again["weights_sha256"], report["weights_sha256"], "{parts:?}");
        fs::remove_dir_all(place.path("again")).unwrap();
        place.fine(&["generate", &run, "--prompt", "the ", "--tokens", "20"]);
        let explained = place.fine(&["explain", &run]);
        says(&explained, &["nats"]);
        let diagnosed = place.fine(&["diagnose", &run, "--steps", "4"]);
        says(&diagnosed, &["4 watched"]);
        let text = place.path("text.txt").display().to_string();
        let (small, back) = (format!("small{i}"), format!("back{i}"));
        place.fine(&["compress", &run, &text, "--out", &small]);
        place.fine(&["decompress", &run, &small, "--out", &back]);
        assert_eq!(fs::read(place.path(&back)).unwrap(), fs::read(&text).unwrap());
    }
}

/// What one part needs of another is said before anything is begun.
#[test]
fn parts_that_do_not_fit_are_refused() {
    let place = Place::new();
    for (flags, words) in [
        (&["--key-value-heads", "3"][..], "4 heads are not a multiple of 3 key-value heads"),
        (&["--key-value-heads", "0"], "key_value_heads is 0; it must be 1 or more"),
        (&["--width", "20", "--heads", "4"], "rotary positions rotate pairs"),
        (&["--head-width", "3"], "3 coordinates of a head of 3 turn"),
        (&["--rotary-share", "2"], "must be above 0, and at most 1"),
        (&["--window", "0"], "the window is 0"),
        (&["--full-every", "2"], "full_every is 2; it must be absent where there is no window"),
        (&["--window", "4", "--full-every", "0"], "full_every is 0"),
        (&["--unrotated-every", "0"], "unrotated_every is 0"),
        (&["--residual-scale", "0"], "residual_scale is 0; it must be a finite number above 0"),
        (&["--logit-divisor", "-8"], "logit_divisor is -8; it must be a finite number above 0"),
        (&["--embedding-scale", "inf"], "embedding_scale is inf"),
        (&["--score-cap", "-1"], "score_cap is -1; it must be a finite number above 0"),
        (&["--placement", "around"], "sandwich"),
        (
            &["--norm", "layer", "--gain", "one_plus"],
            "gain is one_plus; it must be another one, or the norm rms",
        ),
        (
            &["--norm", "layer", "--query-key-norm", "head"],
            "query_key_norm is head; it must be another one",
        ),
        (
            &["--positions", "sinusoidal", "--width", "33", "--heads", "3"],
            "width is 33; it must be even",
        ),
        (&["--rotary-base", "0"], "must be a finite number above 0"),
        (&["--hidden", "0"], "hidden is 0"),
        (&["--architecture", "bert"], "gpt2"),
        (&["--base-width", "64"], "base_width is 64; it must be absent with the standard"),
        (&["--parametrization", "mup", "--base-width", "0"], "base_width is 0; it must be 1"),
    ] {
        let mut arguments = vec!["train", "--data", "text.txt"];
        let defaults = [("--architecture", "llama"), ("--heads", "4"), ("--width", "32")];
        for (flag, value) in defaults.into_iter().filter(|(flag, _)| !flags.contains(flag)) {
            arguments.extend([flag, value]);
        }
        let said = place.refused(&[&arguments, flags].concat());
        assert!(said.contains(words), "{flags:?}: {said}");
        assert!(!place.path("runs").exists(), "{flags:?}");
    }
}
