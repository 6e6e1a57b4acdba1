//! A plan for a time, a text and this machine: what it writes, and what it refuses.

use super::place::{Place, says, stderr};
use serde_json::Value;
use std::fs;

/// One size: only batch, rates and steps are chosen.
const ONE: [&str; 10] =
    ["--layers", "1", "--width", "16", "--heads", "2", "--context", "16", "--tokenizer", "bytes"];
const PLAN: [&str; 4] = ["plan", "--data", "text.txt", "--threads=1"];

fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {object}"))
}

/// Makes a plan for the least of these times that the program accepts: a machine that is slow, or has other work, has to
/// be given more, and no test may depend on that. Returns what is printed, and the seconds.
fn plan_in_time(place: &Place, more: &[&str]) -> (String, f64) {
    for seconds in [30, 60, 120, 240, 480, 960] {
        let time = format!("{seconds}s");
        let output = place.run(&[&PLAN[..], more, &["--time", &time]].concat());
        if output.status.success() {
            return (String::from_utf8(output.stdout).unwrap(), f64::from(seconds));
        }
        says(&stderr(&output), &["are too short for a plan", "give more --time"]);
        assert!(!place.path("plan.toml").exists());
    }
    panic!("no plan for {more:?} in a quarter of an hour");
}

#[test]
fn a_plan_is_a_run_that_trains() {
    let place = Place::new();
    let (printed, time) =
        plan_in_time(&place, &[&ONE[..], &["--svg", "plan.svg", "--json"]].concat());
    assert_eq!(printed.lines().count(), 1, "one object on one line: {printed}");
    let plan: Value = serde_json::from_str(&printed).unwrap();
    let chosen = &plan["alternatives"][plan["chosen"].as_u64().unwrap() as usize];
    assert_eq!(
        (number(&chosen["config"], "width"), number(&chosen["config"], "layers")),
        (16.0, 1.0)
    );
    // As many tokens as the time allows, some of them again and again.
    let (tokens, epochs) = (number(chosen, "tokens"), number(chosen, "epochs"));
    let steps = number(&chosen["config"], "steps");
    let a_step = number(&chosen["config"], "batch") * number(&chosen["config"], "context");
    assert!((steps * a_step / tokens - 1.0).abs() < 0.05 && epochs > 1.0, "{chosen}");
    let seconds = steps * number(chosen, "step_seconds");
    assert!(seconds > time / 3.0 && seconds < time, "{seconds}");
    let interval: Vec<f64> =
        chosen["interval"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    let loss = number(chosen, "loss");
    assert!(interval[0] < loss && loss <= interval[1] && loss < 5.55, "{chosen}");
    assert!(plan["pilots"].as_array().unwrap().len() >= 3);
    let train = plan["train"].as_str().unwrap();
    assert!(train.ends_with("train --config plan.toml --threads 1"), "{train}");
    let picture = fs::read_to_string(place.path("plan.svg")).unwrap();
    assert!(picture.ends_with("</svg>\n") && picture.contains(" of training on text.txt"));
    // The settings are complete, and those of a run within the time.
    let written = fs::read_to_string(place.path("plan.toml")).unwrap();
    assert!(written.contains("time = ") && written.contains("text.txt"), "{written}");
    place.fine(&[
        "train",
        "--config",
        "plan.toml",
        "--out",
        "run",
        "--steps",
        "3",
        "--warmup",
        "1",
        "--threads=1",
    ]);
    let run = fs::read_to_string(place.path("run/run.toml")).unwrap();
    let rate =
        |file: &str| file.lines().find(|l| l.starts_with("learning_rate")).unwrap().to_owned();
    assert_eq!(rate(&run), rate(&written));
    // It is not replaced unless asked.
    let again = place.refused(&[&PLAN[..], &ONE, &["--time", "30s"]].concat());
    says(&again, &["plan.toml exists", "--overwrite"]);
}

#[test]
fn a_report_shows_sizes_and_the_law() {
    let place = Place::new();
    let (report, _) = plan_in_time(&place, &["--tokenizer", "bytes", "--layers", "1"]);
    for line in [
        "model    llama: 1 layer",
        "training about",
        "loss     ",
        "law      L = ",
        "pilots ",
        "train    ",
    ] {
        assert!(report.contains(line), "no {line} in {report}");
    }
    let rows = report
        .lines()
        .filter(|line| line.contains(" to ") && line.ends_with(|c: char| c.is_alphanumeric()));
    assert!(rows.count() > 3, "{report}");
    assert_eq!(report.matches("  chosen").count(), 1);
}

#[test]
fn what_cannot_be_planned_is_refused_and_nothing_is_written() {
    let place = Place::new();
    let refused = |more: &[&str]| place.refused(&[&PLAN[..], more].concat());
    says(&refused(&[]), &["Give --time"]);
    says(&refused(&["--time", "20m", "--steps", "7"]), &["--time", "--steps"]);
    says(&refused(&["--time", "20m", "--out", "run"]), &["leave out --out"]);
    says(&refused(&["--time", "20m", "--memory", "much"]), &["found \"much\"", "800MB"]);
    says(
        &refused(&["--time", "20m", "--memory", "1MB"]),
        &["the smallest model takes", "--memory"],
    );
    says(
        &refused(&["--time", "1s", "--preset", "gpt2", "--width", "512"]),
        &["too short", "--time"],
    );
    says(&refused(&["--time", "20m", "--heads", "7"]), &["heads"]);
    says(
        &refused(&["--time", "1h", "--learning-rate", "1e30", "--clip", "0", "--optimizer", "sgd"]),
        &["--learning-rate"],
    );
    let gone = place.refused(&["plan", "--data", "gone.txt", "--time", "1m"]);
    says(&gone, &["gone.txt"]);
    assert!(!place.path("plan.toml").exists());
}
