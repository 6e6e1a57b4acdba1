//! A run within a wall-clock time: steps and schedule follow the speed, and a resumed run has the rest of the time.

use super::place::{Place, says};
use serde_json::Value;
use std::fs;

const SIZES: [&str; 16] = [
    "train",
    "--data",
    "text.txt",
    "--out",
    "run",
    "--layers",
    "1",
    "--width",
    "16",
    "--heads",
    "2",
    "--context",
    "16",
    "--batch",
    "4",
    "--threads=1",
];

/// Lines of a run's metrics.
fn metrics(place: &Place) -> Vec<Value> {
    let file = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    file.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn setting(place: &Place, key: &str) -> String {
    let file = fs::read_to_string(place.path("run/run.toml")).unwrap();
    let line = file.lines().find(|line| line.starts_with(&format!("{key} = ")));
    line.unwrap_or_else(|| panic!("no {key} in {file}")).split(" = ").nth(1).unwrap().to_owned()
}

#[test]
fn a_run_of_a_time_ends_with_its_schedule() {
    let place = Place::new();
    // A preset of 600,000 steps: its own schedule would not end in this time.
    let preset = ["--preset", "gpt2", "--accumulate", "1", "--tokenizer", "bytes"];
    let rates = ["--learning-rate", "1e-3", "--min-learning-rate", "1e-4"];
    let timed = ["--time", "3s", "--eval-every", "50"];
    place.fine(&[&SIZES[..], &preset, &rates, &timed].concat());
    let lines = metrics(&place);
    // The settings hold the number of steps that were taken, and the time.
    assert_eq!(setting(&place, "steps"), lines.len().to_string());
    assert_eq!(setting(&place, "time"), "\"3s\"");
    let number = |line: &Value, key: &str| line[key].as_f64().unwrap();
    let seconds: Vec<f64> = lines.iter().map(|line| number(line, "seconds")).collect();
    assert!(seconds.is_sorted() && seconds[0] > 0.0);
    // From a low rate to the highest one, and down to the lowest: the schedule is finished.
    let rates: Vec<f64> = lines.iter().map(|line| number(line, "learning_rate")).collect();
    let (highest, last) = (rates.iter().fold(0.0_f64, |m, r| m.max(*r)), rates[rates.len() - 1]);
    assert!(rates.len() > 30 && rates[0] < 0.3 * highest, "{rates:?}");
    assert!(highest > 0.9e-3 && last < 0.2 * highest, "{highest} {last}");
    assert!(lines[lines.len() - 1]["validation_loss"].is_number());

    // Its time is over: it is measured, and nothing changes. With more time, or with steps, it goes on.
    place.fine(&["train", "--resume", "run", "--threads=1"]);
    assert_eq!(metrics(&place).len(), lines.len());
    place.fine(&["train", "--resume", "run", "--threads=1", "--time", "5s"]);
    let more = metrics(&place);
    assert!(more.len() > lines.len() && more[..lines.len()] == lines[..]);
    assert!(number(&more[lines.len()], "seconds") > seconds[seconds.len() - 1]);
    assert_eq!(setting(&place, "steps"), more.len().to_string());
    let steps = (more.len() + 3).to_string();
    place.fine(&["train", "--resume", "run", "--threads=1", "--steps", &steps]);
    assert_eq!(metrics(&place).len(), more.len() + 3);
    let settings = fs::read_to_string(place.path("run/run.toml")).unwrap();
    assert!(!settings.contains("\ntime"), "{settings}");
}

#[test]
fn what_no_time_can_do_is_refused() {
    let place = Place::new();
    let refused = |more: &[&str]| place.refused(&[&SIZES[..], more].concat());
    says(&refused(&["--time", "20"]), &["found \"20\"", "give a unit"]);
    says(&refused(&["--time", "20m", "--steps", "7"]), &["--time", "--steps", "cannot be used"]);
    // A step of 12 million tokens, of which a part is tried.
    let large = ["--time", "5s", "--accumulate", "200000"];
    says(&refused(&large), &["time is 5s, too short for one step", "a smaller model or batch"]);
    assert!(!place.path("run").exists());
    fs::write(place.path("both.toml"), "time = \"5s\"\nsteps = 9\n").unwrap();
    says(&refused(&["--config", "both.toml"]), &["both.toml gives steps and time"]);
    fs::write(place.path("both.toml"), "time = 5\n").unwrap();
    says(&refused(&["--config", "both.toml"]), &["time"]);
    for verb in ["check", "diagnose", "bench"] {
        says(&place.refused(&[verb, "--time", "5s"]), &["leave out --time"]);
    }
}
