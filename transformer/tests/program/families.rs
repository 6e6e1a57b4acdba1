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

/// A Llama that was never trained starts where initialisation says.
#[test]
fn a_llama_of_these_sizes_is_certified() {
    let place = Place::new();
    let sizes = ["--data", "text.txt", "--layers", "2", "--width", "16", "--context", "16"];
    let certified = place.fine(&[&["check"], &LLAMA[..], &sizes[..], &["--threads", "1"]].concat());
    says(&certified, &["22 of 22 certificates hold", "pass  first loss", "pass  scale of"]);
}

/// What one part needs of another is said before anything is begun.
#[test]
fn parts_that_do_not_fit_are_refused() {
    let place = Place::new();
    for (flags, words) in [
        (&["--key-value-heads", "3"][..], "4 heads are not a multiple of 3 key-value heads"),
        (&["--key-value-heads", "0"], "key_value_heads is 0; it must be 1 or more"),
        (&["--width", "20", "--heads", "4"], "rotary positions rotate pairs"),
        (&["--norm", "layer"], "llama: the norm is not RMS normalisation"),
        (&["--positions", "learned"], "positions are not rotary"),
        (&["--gated", "false"], "the feed-forward part is not gated"),
        (&["--rotary-base", "0"], "must be a finite number above 0"),
        (&["--hidden", "0"], "hidden is 0"),
        (&["--architecture", "bert"], "gpt2"),
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
