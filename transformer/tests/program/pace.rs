//! `glassbox diagnose` of runs whose numbers are all finite: why the loss stands, at which rate it was spoilt, and what
//! its exit status says.

use super::place::{Place, TEXT, says, stderr};
use serde_json::Value;
use std::fs;

/// The report, and the exit status.
fn diagnosed(place: &Place, arguments: &[&str]) -> (Value, i32) {
    let output = place.run(&[&["diagnose"], arguments, &["--json"]].concat());
    let status = output.status.code().unwrap();
    assert!(!stderr(&output).contains("error:"), "{}", stderr(&output));
    (serde_json::from_slice(&output.stdout).unwrap(), status)
}

fn place() -> Place {
    let place = Place::new();
    fs::write(place.path("text.txt"), TEXT.repeat(60)).unwrap();
    place
}

/// Sets every number of the model to one value, as a file by another program that states no checksum.
fn fill(place: &Place, value: f32) {
    let path = place.path("run/model/model.safetensors");
    let mut file = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut tensors: Value = serde_json::from_slice(&file[8..8 + header]).unwrap();
    tensors.as_object_mut().unwrap().remove("__metadata__").expect("a checksum");
    let tensors = format!("{:header$}", tensors.to_string());
    file[8..8 + header].copy_from_slice(tensors.as_bytes());
    for number in file[8 + header..].chunks_exact_mut(4) {
        number.copy_from_slice(&value.to_le_bytes());
    }
    fs::write(path, file).unwrap();
}

#[test]
fn a_run_that_learned_nothing_is_told_why() {
    let place = place();
    // A rate of 10⁻⁷ over 400 steps.
    let slow = ["--learning-rate", "1e-7", "--steps", "400", "--batch", "2"];
    place.train(&slow);
    let (report, status) = diagnosed(&place, &["run"]);
    assert_eq!((&report["cause"], status), (&Value::from("rate_too_low"), 1), "{report}");
    let cures = report["cures"].as_array().unwrap();
    assert_eq!(cures.last().unwrap()["cured"], true, "{report}");
    let printed = String::from_utf8(place.run(&["diagnose", "run"]).stdout).unwrap();
    says(
        &printed,
        &["30 watched, learning rate too low: loss", "\ncause      learning rate too low"],
    );
    assert!(!printed.contains("nothing wrong"), "{printed}");

    // All weights are 0: in a model, and in the model of a run.
    place.train(&["--overwrite", "--steps", "12"]);
    fill(&place, 0.0);
    let (report, status) = diagnosed(&place, &["run/model", "--data", "text.txt", "--steps", "4"]);
    assert_eq!((&report["cause"], status), (&Value::from("dead_parameters"), 1), "{report}");
    assert_eq!(report["healthy"], false);
    assert_eq!(report["cures"][0]["tried"], true, "{report}");
}

#[test]
fn a_model_that_three_letters_beat_is_not_well() {
    let place = place();
    place.train(&[
        "--learning-rate",
        "5e-4",
        "--steps",
        "110",
        "--warmup",
        "0",
        "--schedule",
        "constant",
    ]);
    let (report, status) = diagnosed(&place, &["run"]);
    assert_eq!((&report["cause"], status), (&Value::from("below_baselines"), 1), "{report}");
    says(report["because"].as_str().unwrap(), &["that of 3-grams"]);
}

/// The rate of a schedule that has fallen since is judged at its peak; as with a constant schedule, a hundredth helps.
#[test]
fn a_rate_is_judged_where_it_was_highest() {
    let place = place();
    for schedule in ["cosine", "constant"] {
        // What the presets clip to; no decay, or a step would flip the sign of weights.
        let fast = ["--learning-rate", "2", "--steps", "200", "--schedule", schedule];
        place.run(&place.training(&[&fast[..], &["--overwrite", "--clip", "1"]].concat()));
        let (report, status) = diagnosed(&place, &["run"]);
        assert_eq!((&report["cause"], status), (&Value::from("rate_too_high"), 1), "{report}");
        let cure = report["cures"].as_array().unwrap().last().unwrap();
        assert_eq!(cure["cured"], true, "{report}");
        let cure = cure["cure"].as_str().unwrap();
        let tried: f64 = cure.split(' ').nth(2).unwrap().parse().unwrap();
        assert!((1e-4..=3e-2).contains(&tried), "{schedule}: {cure}");
    }
}

/// 0: nothing wrong; 1: something found; 2: nothing could be diagnosed.
#[test]
fn the_exit_status_tells_a_fault_from_a_file_that_cannot_be_read() {
    let place = place();
    place.train(&["--steps", "12"]);
    let status = |arguments: &[&str]| place.run(arguments).status.code();
    assert_eq!(status(&["diagnose", "run", "--steps", "4"]), Some(0));
    // One step is no evidence.
    let one = place.run(&["diagnose", "run", "--steps", "1"]);
    assert_eq!(one.status.code(), Some(2));
    let printed = String::from_utf8(one.stdout).unwrap();
    says(&printed, &["1 watched, too few steps to judge (at least 2 are needed)"]);
    assert!(!printed.contains("nothing wrong"), "{printed}");
    for refused in [
        &["diagnose", "nowhere"][..],
        &["diagnose", "run", "--steps", "0"],
        &["diagnose", "run", "--data", "missing.txt"],
        &["diagnose", "--nonsense"],
    ] {
        assert_eq!(status(refused), Some(2), "{refused:?}");
    }
    fs::write(place.path("run/model/model.safetensors"), b"no such file").unwrap();
    assert_eq!(status(&["diagnose", "run", "--steps", "4"]), Some(2));
}
