//! A run defends itself: against a second writer, states and settings of other runs, damaged and missing files, moved
//! texts, signals at any moment.

use super::place::{Place, Running, TEXT, output, says, stderr};
use linalg::Vectors;
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A run that takes for ever if it is not stopped.
const LONG: [&str; 8] =
    ["--steps", "1000000", "--schedule", "constant", "--warmup", "0", "--eval-every", "3"];

fn resume(place: &Place, more: &[&str]) -> Output {
    place.run(&[&["train", "--resume", "run", "--threads", "1", "--json"], more].concat())
}

/// Resumes what must go on; the report, and what was said.
fn resumed(place: &Place, more: &[&str]) -> (Value, String) {
    let output = resume(place, more);
    assert!(output.status.success(), "{}", stderr(&output));
    (serde_json::from_slice(&output.stdout).unwrap(), stderr(&output))
}

fn refused(place: &Place, more: &[&str]) -> String {
    place.refused(&[&["train", "--resume", "run", "--threads", "1"], more].concat())
}

/// Waits until something is so.
fn until(what: &str, ready: impl Fn() -> bool) {
    let began = Instant::now();
    while !ready() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what}: not in two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(unix)]
fn signal(child: &Running, name: &str) {
    let kill = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
}

#[test]
fn a_state_of_another_run_is_refused_by_name() {
    let place = Place::new();
    place.train(&[]);
    place.train(&["--out", "other", "--seed", "7", "--learning-rate", "0.002"]);
    let copy =
        |from: &str| fs::copy(place.path(from), place.path("run/state.safetensors")).unwrap();
    fs::rename(place.path("run/state.safetensors"), place.path("own")).unwrap();
    copy("other/state.safetensors");
    let named = [
        "state.safetensors was trained with other settings",
        "seed was 7",
        "learning_rate was 0.002",
    ];
    says(&refused(&place, &["--steps", "9"]), &named);
    says(&place.refused(&["diagnose", "run", "--steps", "2"]), &named);
    says(&place.refused(&["explain", "run", "--list"]), &named);
    let check = place.run(&["check", "run", "--threads", "1"]);
    assert_eq!(check.status.code(), Some(1));
    let printed = String::from_utf8(check.stdout).unwrap();
    says(&printed, &["FAIL  the run's settings and text are its state's", "seed was 7"]);
    copy("own");
    let printed = place.fine(&["check", "run", "--threads", "1"]);
    says(&printed, &["pass  the run's settings and text are its state's"]);
    // What a diagnosis tries is not taken for an edit.
    place.run(&["diagnose", "run", "--steps", "2", "--learning-rate", "0.002"]);
    resumed(&place, &["--steps", "9"]);
}

/// Every line of `run.toml` but those that may change, edited: the run does not go on, and the setting is named.
#[test]
fn an_edited_setting_is_refused_by_name() {
    let place = Place::new();
    place.train(&[]);
    let written = fs::read_to_string(place.path("run/run.toml")).unwrap();
    let mut tried = 0;
    for line in written.lines() {
        let Some((name, value)) = line.split_once(" = ") else { continue };
        let other = match (name, value) {
            ("data" | "steps" | "eval_every", _) => continue,
            ("tokenizer", _) => "\"bytes\"".to_owned(),
            ("activation", _) => "\"relu\"".to_owned(),
            ("optimizer", _) => "\"sgd\"".to_owned(),
            ("schedule", _) => "\"linear\"".to_owned(),
            ("warmup", _) => "1".to_owned(),
            (_, "true") => "false".to_owned(),
            (_, "false") => "true".to_owned(),
            (_, number) => match number.parse::<u64>() {
                Ok(n) => (2 * n).to_string(),
                Err(_) => (number.parse::<f64>().unwrap() / 2.0 + 1e-5).to_string(),
            },
        };
        fs::write(place.path("run/run.toml"), written.replace(line, &format!("{name} = {other}")))
            .unwrap();
        says(&refused(&place, &["--steps", "9"]), &[name]);
        tried += 1;
    }
    assert!(tried >= 20, "{tried} settings");
    fs::write(place.path("run/run.toml"), &written).unwrap();
    let (_, said) = resumed(&place, &["--steps", "9", "--eval-every", "4"]);
    says(&said, &["steps was 4 when the state was saved, and is 9 now", "eval_every was"]);
}

#[test]
fn a_text_is_found_from_elsewhere_or_given_again() {
    let place = Place::new();
    place.train(&[]);
    let whole = place.train(&["--out", "whole", "--steps", "8", "--schedule", "constant"]);
    place.train(&["--overwrite", "--schedule", "constant"]);
    // Another working directory.
    fs::create_dir(place.path("elsewhere")).unwrap();
    let mut command =
        place.command(&["train", "--resume", "../run", "--steps", "5", "--threads", "1"]);
    let elsewhere = output(command.current_dir(place.path("elsewhere")));
    assert!(elsewhere.status.success(), "{}", stderr(&elsewhere));
    // Another place: said what to do, and done.
    fs::rename(place.path("text.txt"), place.path("moved.txt")).unwrap();
    let said = refused(&place, &["--steps", "8"]);
    says(&said, &["text.txt: No such file", "--data"]);
    assert!(!said.contains("os error"), "{said}");
    fs::write(place.path("other.txt"), TEXT.repeat(10)).unwrap();
    says(&refused(&place, &["--steps", "8", "--data", "other.txt"]), &["text is not the one"]);
    let (report, _) = resumed(&place, &["--steps", "8", "--data", "moved.txt"]);
    assert_eq!(report["weights_sha256"], whole["weights_sha256"]);
    // From now on it is found.
    resumed(&place, &["--steps", "9"]);
}

#[test]
fn metrics_are_kept_and_never_needed() {
    let place = Place::new();
    let whole = place.train(&["--out", "whole", "--steps", "12", "--schedule", "constant"]);
    place.train(&["--steps", "8", "--schedule", "constant"]);
    let path = place.path("run/metrics.jsonl");
    let written = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = written.lines().collect();
    let later = written.lines().last().unwrap().replace("\"step\":8", "\"step\":9");
    lines[2] = "\u{1b}[31m{ damaged";
    lines.push(&later);
    lines.push("{\"step\":10,\"lo");
    fs::write(&path, lines.join("\n")).unwrap();
    fs::write(place.path("run/.tmpAbCd12"), b"half").unwrap();
    fs::write(place.path("run/model/.tmpAbCd13"), b"half").unwrap();
    let (report, said) = resumed(&place, &["--steps", "12"]);
    assert_eq!(report["weights_sha256"], whole["weights_sha256"]);
    says(
        &said,
        &[
            "2 lines of metrics.jsonl after step 8 dropped",
            "line 3 of metrics.jsonl cannot be read",
        ],
    );
    says(&said, &["removed 2 files that a killed process left"]);
    assert!(!place.path("run/.tmpAbCd12").exists());
    let now = fs::read_to_string(&path).unwrap();
    let step = |line: &str| serde_json::from_str::<Value>(line).ok()?["step"].as_u64();
    let steps: Vec<_> = now.lines().map(step).collect();
    let expected: Vec<_> = (1..=12).map(|i| (i != 3).then_some(i)).collect();
    assert_eq!(steps, expected);
    // Without any.
    fs::remove_file(&path).unwrap();
    let (_, said) = resumed(&place, &["--steps", "14"]);
    says(&said, &["no line of 12 of the 12 steps"]);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[cfg(unix)]
#[test]
fn one_process_trains_a_run() {
    let place = Place::new();
    let first = Running::start(&mut place.command(&place.training(&LONG)));
    let state = place.path("run/state.safetensors");
    until("a checkpoint", || state.exists());
    let process = format!("process {} trains in run", first.id());
    says(&refused(&place, &[]), &[&process]);
    for more in [&["--overwrite"][..], &[]] {
        says(&place.refused(&place.training(more)), &[&process]);
    }
    // It trains on, undisturbed.
    let lines = || fs::read_to_string(place.path("run/metrics.jsonl")).unwrap().lines().count();
    let before = lines();
    until("steps", || lines() > before + 3);
    // A lock ends with its process, however that ends.
    signal(&first, "-KILL");
    first.finish();
    let number = fs::read_to_string(place.path("run/run.lock")).unwrap();
    assert!(!number.is_empty(), "a stale number");
    resumed(&place, &["--steps", "1"]);
}

#[test]
fn runs_that_begin_at_once_get_directories_of_their_own() {
    let place = Place::new();
    let training = place.training(&["--steps", "1", "--out", "runs/x"]);
    let out = training.iter().position(|a| *a == "--out").unwrap();
    let training = [&training[..out], &training[out + 2..], &["--json"]].concat();
    let all: Vec<_> = (0..12).map(|_| Running::start(&mut place.command(&training))).collect();
    let mut runs = HashSet::new();
    for child in all {
        let output = child.finish();
        assert!(output.status.success(), "{}", stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        runs.insert(report["run"].as_str().unwrap().to_owned());
    }
    assert_eq!(runs.len(), 12);
    assert!(runs.contains("runs/text") && runs.contains("runs/text-12"), "{runs:?}");
}

/// A run that goes on with narrower vectors ends with the bits of an uninterrupted one, in f32 and bf16.
#[test]
fn a_run_goes_on_with_other_vectors_to_the_same_bits() {
    let place = Place::new();
    let with = |vectors: Vectors, arguments: &[&str]| {
        let mut command = place.command(&[arguments, &["--json"]].concat());
        let output = output(command.env("GLASSBOX_VECTORS", vectors.to_string()));
        assert!(output.status.success(), "{}", stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["weights_sha256"].clone()
    };
    let widest = Vectors::detected();
    let narrower = [Vectors::Portable, Vectors::Avx2].into_iter().filter(|v| *v < widest);
    let halves: Vec<_> = narrower.map(|vectors| (vectors, format!("half-{vectors}"))).collect();
    for precision in ["f32", "bf16"] {
        let of = |steps, out| {
            let own = ["--precision", precision, "--steps", steps, "--out", out, "--overwrite"];
            place.training(&[&own[..], &["--schedule", "constant", "--warmup", "0"]].concat())
        };
        let whole = with(widest, &of("8", precision));
        for (vectors, half) in &halves {
            with(widest, &of("4", half));
            let end = with(*vectors, &["train", "--resume", half, "--steps", "8"]);
            assert_eq!(end, whole, "{precision}, {vectors}");
        }
    }
}

/// However long a step, a stop is acknowledged at once, and a second one does not wait for the step's end; what was
/// trained is saved, and goes on to the same bits.
#[cfg(unix)]
#[test]
fn signals_are_heard_in_a_long_step() {
    let place = Place::new();
    // Steps of some seconds, of parts of milliseconds.
    let slow = [
        "--accumulate",
        "1200",
        "--steps",
        "3",
        "--schedule",
        "constant",
        "--context",
        "32",
        "--batch",
        "32",
    ];
    let began = Instant::now();
    let mut child = Running::start(&mut place.command(&place.training(&slow)));
    until("the first step", || {
        fs::read_to_string(place.path("run/metrics.jsonl"))
            .is_ok_and(|text| text.lines().count() == 1)
    });
    // However busy the machine is: a third of a step, where a second is meant.
    let bound = began.elapsed() / 3 + Duration::from_secs(1);
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "-INT");
    let asked = Instant::now();
    assert_eq!(child.line(), "stopping after this step; again to stop now");
    assert!(asked.elapsed() < bound, "acknowledged after {:?} of {bound:?}", asked.elapsed());
    signal(&child, "-INT");
    let output = child.finish();
    assert!(asked.elapsed() < bound, "stopped after {:?} of {bound:?}", asked.elapsed());
    assert_eq!(output.status.code(), Some(130));
    says(&stderr(&output), &["stopping now", "stopped after step 1; go on with"]);
    let (report, _) = resumed(&place, &["--steps", "2"]);
    let whole =
        place.train(&[&slow[..2], &["--steps", "2", "--out", "whole"], &slow[4..]].concat());
    assert_eq!(report["weights_sha256"], whole["weights_sha256"]);
}

/// Before the first step there is nothing to lose: the first signal ends it, also while it waits for its text.
#[cfg(unix)]
#[test]
fn signals_are_heard_while_standard_input_is_read() {
    for name in ["-INT", "-TERM"] {
        let place = Place::new();
        let mut command = place.command(&place.training(&["--data", "-"]));
        command.stdin(Stdio::piped());
        let child = Running::start(&mut command);
        std::thread::sleep(Duration::from_millis(400));
        signal(&child, name);
        let asked = Instant::now();
        let output = child.finish();
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
        assert_eq!(output.status.code(), Some(130));
        says(&stderr(&output), &["stopped before the first step"]);
        assert!(!place.path("run").exists());
    }
}

/// A long text is measured in part, which is said; a stop is heard in the middle, and the evaluation caught up on.
#[cfg(unix)]
#[test]
fn an_evaluation_has_a_bound_and_hears_signals() {
    let place = Place::new();
    let text: Vec<u8> = (0..6_000_000).map(|i| b"abcdefgh"[i % 7 * (i % 11) % 8]).collect();
    fs::write(place.path("long"), text).unwrap();
    let small = [
        "--data",
        "long",
        "--tokenizer",
        "bytes",
        "--steps",
        "2",
        "--context",
        "32",
        "--width",
        "64",
    ];
    let whole = place.json(&place.training(&[&small[..], &["--out", "whole"]].concat()));
    assert_eq!(whole["validation_tokens"], 1 << 18);
    assert_eq!(whole["held_back_tokens"], 600_000);
    let child = Running::start(&mut place.command(&place.training(&small)));
    until("two steps", || {
        fs::read_to_string(place.path("run/metrics.jsonl"))
            .is_ok_and(|text| text.lines().count() >= 1)
    });
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "-INT");
    let asked = Instant::now();
    let output = child.finish();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let (report, _) = resumed(&place, &[]);
    assert_eq!(report["weights_sha256"], whole["weights_sha256"]);
    assert_eq!(report["validation_loss"], whole["validation_loss"]);
    // The metrics are those of a run that was never interrupted.
    let lines = |run: &str| {
        let text = fs::read_to_string(place.path(&format!("{run}/metrics.jsonl"))).unwrap();
        let each = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        each.map(|mut line| {
            for time in ["tokens_per_second", "seconds"] {
                line.as_object_mut().unwrap().remove(time);
            }
            line
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(lines("run"), lines("whole"));
}
