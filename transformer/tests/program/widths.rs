//! Parametrizations: the coordinate check, and the verbs on a run with µP.

use super::place::{Place, says};
use serde_json::Value;

const SIZES: [&str; 13] = [
    "--data",
    "text.txt",
    "--threads=1",
    "--layers",
    "1",
    "--heads",
    "2",
    "--context",
    "16",
    "--tokenizer",
    "bytes",
    "--batch",
    "4",
];
const MUP: [&str; 4] = ["--parametrization", "mup", "--base-width", "16"];

#[test]
fn a_check_of_widths_tells_the_parametrization() {
    let place = Place::new();
    let widths = ["--widths", "16,32,64", "--seeds", "16"];
    let check = |more: &[&str]| place.run(&[&["check"], &SIZES[..], &widths, more].concat());
    let text = |output: &std::process::Output| String::from_utf8(output.stdout.clone()).unwrap();
    let standard = check(&[]);
    assert_eq!(standard.status.code(), Some(0));
    let table = text(&standard);
    for line in ["  logits ", "  feed-forward 1 ", "exponent", "verdict  standard: "] {
        assert!(table.contains(line), "no {line} in {table}");
    }
    let mup = check(&[&MUP[..], &["--json"]].concat());
    assert_eq!(mup.status.code(), Some(0));
    let found: Value = serde_json::from_str(&text(&mup)).unwrap();
    assert_eq!((&found["verdict"], &found["passed"]), (&"mup".into(), &true.into()));
    assert_eq!(found["widths"], serde_json::json!([16, 32, 64]));
    let coordinates = found["coordinates"].as_array().unwrap();
    assert!(coordinates.iter().all(|c| c["changes"].as_array().unwrap().len() == 3));
    let refused = |more: &[&str]| place.refused(&[&["check"], &SIZES[..], more].concat());
    says(&refused(&["--widths", "64"]), &["the widths are 64", "two or more"]);
    says(&refused(&["--widths", "64,32"]), &["each larger than the one before"]);
    says(&refused(&["--widths", "64,x"]), &["invalid value 'x'"]);
    says(&refused(&["--widths", "32,64", "--seeds", "1"]), &["1 is not in 2..=1000"]);
    says(&refused(&["--seeds", "3"]), &["--widths"]);
}

/// Every verb reads a run with µP: its model, its rates and its first weights.
#[test]
fn a_run_with_mup_is_read_by_every_verb() {
    let place = Place::new();
    let training =
        ["--width", "32", "--steps", "12", "--warmup", "2", "--eval-every", "6", "--out", "run"];
    place.fine(&[&["train"], &SIZES[..], &MUP, &training].concat());
    let settings = std::fs::read_to_string(place.path("run/run.toml")).unwrap();
    assert!(
        settings.contains("parametrization = \"mup\"") && settings.contains("base_width = 16"),
        "{settings}"
    );
    place.fine(&["check", "run", "--threads=1"]);
    place.fine(&["diagnose", "run", "--threads=1", "--steps", "4"]);
    place.fine(&["generate", "run", "--tokens", "8", "--threads=1"]);
    place.fine(&["evaluate", "run", "--threads=1"]);
    place.fine(&["explain", "run", "--threads=1", "--out", "page.html"]);
    // Another seed for the second run: both replay from their own first weights, and part at the first step.
    place.fine(&[&["train"], &SIZES[..], &MUP, &training[..9], &["other", "--seed", "5"]].concat());
    let found = place.json(&["compare", "run", "other", "--threads=1"]);
    assert!(found.to_string().contains("seed"), "{found}");
    // A model alone keeps its parts.
    place.fine(&["describe", "run/model"]);
    says(
        &place.refused(&["check", "run", "--parametrization", "standard"]),
        &["--parametrization is fixed by the run; it trains with mup"],
    );
}
