//! `--memory`: a run within a budget has the bits of one without, takes no more, and says what it computes again.

use super::place::{Place, says, stderr};
use serde_json::Value;
use std::fs;

/// Sizes at which blocks take most of the memory of a step.
const DEEP: [&str; 16] = [
    "--layers",
    "6",
    "--width",
    "64",
    "--context",
    "32",
    "--batch",
    "32",
    "--eval-every",
    "3",
    "--learning-rate",
    "3e-3",
    "--dropout",
    "0.1",
    "--schedule",
    "constant",
];

/// Returns the bytes that a benchmark of these sizes plans, and its report.
fn planned(place: &Place, more: &[&str]) -> (u64, Value) {
    let own = ["bench", "--no-generation", "--heads", "2", "--threads", "1"];
    let mut sizes = DEEP.chunks(2).filter(|pair| pair[0] != "--eval-every");
    let sizes: Vec<&str> = sizes.by_ref().flatten().copied().collect();
    let report = place.json(&[&own, &sizes[..], &["--steps", "1"], more].concat());
    (report["memory"]["training"].as_u64().unwrap(), report)
}

/// The weights of a run.
fn weights(report: &Value) -> &str {
    report["weights_sha256"].as_str().unwrap()
}

#[test]
fn a_budget_changes_no_bit_also_of_a_run_that_resumes_with_another() {
    let place = Place::new();
    fs::write(place.path("text.txt"), super::place::TEXT.repeat(90)).unwrap();
    let (all, report) = planned(&place, &[]);
    assert_eq!(
        (&report["recomputed_blocks"], &report["memory"]["budget"]),
        (&0.into(), &Value::Null)
    );
    let train = |more: &[&str]| place.run(&place.training(&[&DEEP[..], more].concat()));
    let free = place.train(&[&DEEP[..], &["--out", "free", "--steps", "6"]].concat());
    let told = stderr(&train(&["--out", "none", "--memory", "1MB"]));
    says(
        &told,
        &[
            "error: training takes at least",
            "the budget is 1.00 MB",
            "smaller batch",
            "larger budget",
        ],
    );
    assert!(!place.path("none").exists());
    // Some of the blocks, and then all: the difference is theirs.
    let budget = |share: u64| format!("{}kB", (all - (all - 24_000_000) * share / 100) / 1000);
    let (some, fewer) = (budget(35), budget(47));
    let more = planned(&place, &["--memory", &some]).1;
    let blocks = more["recomputed_blocks"].as_u64().unwrap();
    assert!((1..6).contains(&blocks), "{blocks}");
    assert_eq!(report["model_flops"], more["model_flops"]);
    assert!(more["recomputed_flops"].as_u64() > report["recomputed_flops"].as_u64());
    let most = some.trim_end_matches("kB").parse::<u64>().unwrap() * 1000;
    assert!(more["memory"]["training"].as_u64().unwrap() <= most);

    let tight = train(&["--out", "tight", "--memory", &some, "--steps", "3", "--json"]);
    let line = stderr(&tight);
    let line = line.lines().find(|line| line.starts_with("memory ")).unwrap_or(&line);
    says(line, &[&format!("{blocks} of 6 blocks are computed again in the backward pass")]);
    let written = fs::read_to_string(place.path("tight/run.toml")).unwrap();
    says(&written, &[&format!("memory = \"{some}\"")]);
    let resumed =
        ["train", "--resume", "tight", "--steps", "6", "--memory", &fewer, "--threads", "1"];
    let output = place.run(&[&resumed[..], &["--json"]].concat());
    says(
        &stderr(&output),
        &[
            &format!("memory was {some} when the state was saved, and is {fewer} now"),
            "of 6 blocks are computed again",
        ],
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(weights(&report), weights(&free));
    assert_eq!(report["validation_loss"], free["validation_loss"]);
    // Commands that do not train take no budget, and the run's own does not hold for them.
    says(&place.refused(&["check", "tight", "--memory", "6GB"]), &["leave out --memory"]);
    place.fine(&["evaluate", "tight"]);
    for wrong in ["0", "six", "99999999999TB", "0.2"] {
        says(&place.refused(&["train", "--memory", wrong]), &[wrong, "such as 800MB, 6GB or 4GiB"]);
    }
}
