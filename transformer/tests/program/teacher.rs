//! Learning from a teacher: another model with the same tokens.

use super::place::{Place, says, stderr};
use serde_json::{Value, json};
use std::fs;

/// A place with a text, and a teacher of another family that knows it, in `teacher`.
fn place() -> Place {
    let place = Place::new();
    let lines: String = (0..30).map(|i| format!("{i} plus one is {}.\n", i + 1)).collect();
    fs::write(place.path("text.txt"), lines.repeat(20)).unwrap();
    let large = ["--architecture", "llama", "--width", "32", "--context", "32"];
    place.train(
        &[&large[..], &["--steps", "150", "--learning-rate", "1e-2", "--out", "teacher"]].concat(),
    );
    place
}

/// The arguments of a student's run.
fn on<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let usual = [
        ("--teacher", "teacher"),
        ("--data", "text.txt"),
        ("--context", "16"),
        ("--batch", "4"),
        ("--steps", "12"),
        ("--eval-every", "4"),
        ("--schedule", "constant"),
        ("--learning-rate", "1e-2"),
        ("--threads", "1"),
    ];
    let sizes = [("--layers", "1"), ("--heads", "2"), ("--width", "16")];
    let sizes = if more.contains(&"--from") { &[][..] } else { &sizes };
    let mut arguments = vec!["train"];
    for (flag, value) in usual.iter().chain(sizes).filter(|(flag, _)| !more.contains(flag)) {
        arguments.extend([*flag, *value]);
    }
    arguments.extend(more);
    arguments
}

fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("{name} in {report}"))
}

fn metrics(place: &Place, run: &str) -> Vec<Value> {
    let file = fs::read_to_string(place.path(run).join("metrics.jsonl")).unwrap();
    file.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A student comes nearer to its teacher than one that learns from the text alone, and what it learns is written as any model.
#[test]
fn a_student_comes_near_to_its_teacher() {
    let place = place();
    let trained = |weight: &str| {
        let flags = ["--teacher-weight", weight, "--out", "run", "--overwrite", "--json"];
        let output = place.run(&on(&[&flags[..], &["--steps", "40"]].concat()));
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (report, said)
    };
    let (alone, _) = trained("0");
    let (taught, said) = trained("0.9");
    says(&said, &["teacher  ", "parameters, a loss of", "0.9 of the loss is its divergence"]);
    let [without, with] = [alone, taught].map(|report| number(&report, "teacher_divergence"));
    assert!(with < without, "{with} with the teacher, {without} without");
    let measured: Vec<f64> = metrics(&place, "run")
        .iter()
        .filter_map(|metric| metric["teacher_divergence"].as_f64())
        .collect();
    assert_eq!(measured.len(), 10);
    assert!(measured[9] == with && with < measured[0], "{measured:?}");
}

/// From nothing, from a model, by adapters, on answers, with all logits and with some: each run goes on as if it had not stopped,
/// and every reader knows it.
#[test]
fn runs_with_a_teacher_resume_and_are_read() {
    let place = place();
    let chat = |i: u32| json!({"prompt": format!("{i} plus one is "), "completion": format!("{}.\n", i + 1)});
    let chats: String = (0..29).map(|i| format!("{}\n", chat(i))).collect();
    fs::write(place.path("chats.jsonl"), chats).unwrap();
    place.fine(&on(&["--teacher-weight", "0", "--out", "base", "--context", "32"]));
    for (i, more) in [
        &[][..],
        &["--from", "base", "--teacher-weight", "1"],
        &["--from", "base", "--lora", "4", "--temperature", "4"],
        &["--from", "base", "--data", "chats.jsonl", "--answers", "--context", "32"],
        &["--teacher-top", "5"],
    ]
    .into_iter()
    .enumerate()
    {
        let report = place.json(&on(&[more, &["--out", "run", "--overwrite"]].concat()));
        place.fine(&on(&[more, &["--out", "part", "--overwrite", "--steps", "5"]].concat()));
        let resumed = place.json(&["train", "--resume", "part", "--steps", "12"]);
        for same in ["weights_sha256", "teacher_divergence", "validation_loss"] {
            assert_eq!(resumed[same], report[same], "{same} {more:?}");
        }
        let checked = place.fine(&["check", "run", "--threads", "1"]);
        assert!(!checked.contains("fail  "), "{checked}");
        place.fine(&["evaluate", "run"]);
        place.fine(&["generate", "run", "--tokens", "3"]);
        if i == 0 || i == 4 {
            let found = place.run(&["diagnose", "run", "--steps", "2"]);
            let said = stderr(&found);
            assert!(!said.contains("error:") && !said.contains("panicked"), "{said}");
            let report = String::from_utf8(found.stdout).unwrap();
            assert!(!report.contains("NaN") && !report.contains("infinit"), "{report}");
            let listed = place.fine(&["explain", "run", "--list"]);
            says(&listed, &["distillation.teacher.probabilities", "distillation.divergence"]);
        }
    }
    // Kept logits need no teacher: those of a whole run serve one that was stopped.
    place.fine(&on(&["--teacher-top", "5", "--out", "part", "--overwrite", "--steps", "5"]));
    let report = place.json(&["train", "--resume", "run"]);
    let kept = fs::read(place.path("run/teacher.bin")).unwrap();
    fs::write(place.path("part/teacher.bin"), &kept).unwrap();
    fs::rename(place.path("teacher"), place.path("elsewhere")).unwrap();
    let resumed = place.json(&["train", "--resume", "part", "--steps", "12"]);
    assert_eq!(resumed["weights_sha256"], report["weights_sha256"]);
    // More steps need more of it.
    let more = ["train", "--resume", "part", "--steps", "14"];
    says(&place.refused(&more), &["needs it again", "--teacher MODEL"]);
    place.fine(&[&more[..], &["--teacher", "elsewhere"]].concat());
    // A file that is broken is refused, and found again without it.
    let resumed = ["train", "--resume", "run", "--steps", "16", "--teacher", "elsewhere"];
    fs::write(place.path("run/teacher.bin"), b"not at all").unwrap();
    says(&place.refused(&resumed), &["teacher.bin", "no file of a teacher's logits", "delete it"]);
    fs::remove_file(place.path("run/teacher.bin")).unwrap();
    place.fine(&resumed);
}

/// A directory of bfloat16, which is kept as such, named without a path.
#[test]
fn a_teacher_may_have_16_bits() {
    let place = place();
    place.fine(&["convert", "teacher", "--out", "half", "--dtype", "bf16"]);
    let of = |teacher| {
        let flags = ["--teacher", teacher, "--out", "run", "--overwrite", "--teacher-weight", "1"];
        let report = place.json(&on(&flags));
        (number(&report, "teacher_divergence"), report["weights_sha256"].clone())
    };
    let (half, whole) = (of("half"), of("teacher"));
    assert!((half.0 / whole.0 - 1.0).abs() < 0.1 && half.1 != whole.1, "{half:?} {whole:?}");
    let begun = ["train", "--from", "half", "--data", "text.txt", "--steps", "1", "--out", "begun"];
    place.fine(&[&begun[..], &["--context", "32"]].concat());
}

/// Models that cannot teach, and settings that do not go together.
#[test]
fn what_cannot_teach_is_refused() {
    let place = place();
    let refused = |more: &[&str]| {
        let said = place.refused(&on(&[more, &["--out", "x"]].concat()));
        assert!(!place.path("x").exists(), "{said}");
        said
    };
    for (value, found) in [("0", "0"), ("nan", "NaN"), ("inf", "inf"), ("-1", "-1")] {
        let found = format!("temperature is {found}");
        says(&refused(&["--temperature", value]), &[&found, "between 0.01 and 100"]);
    }
    for weight in ["-0.1", "1.5", "nan"] {
        says(&refused(&["--teacher-weight", weight]), &["teacher_weight is", "between 0 and 1"]);
    }
    says(&refused(&["--memory", "2GB"]), &["teacher is given", "absent beside memory"]);
    says(&refused(&["--teacher-top", "0"]), &["teacher_top is 0", "1 or more"]);
    says(&refused(&["--teacher-top", "999"]), &["--teacher-top is 999", "or fewer"]);
    says(&refused(&["--teacher", "text.txt"]), &["is a file"]);
    says(&refused(&["--teacher", "nothing"]), &["holds no model", "no such directory"]);
    fs::create_dir(place.path("empty")).unwrap();
    says(&refused(&["--teacher", "empty"]), &["empty holds no model"]);
    says(&refused(&["--tokenizer", "bytes"]), &["other tokens", "token ", "--tokenizer "]);
    says(&refused(&["--context", "64"]), &["--context is 64", "the teacher sees 32 tokens"]);
    let timed: Vec<&str> = on(&["--teacher-top", "3", "--out", "x", "--time", "9s"]);
    let without_steps: Vec<&str> = {
        let at = timed.iter().position(|flag| *flag == "--steps").unwrap();
        [&timed[..at], &timed[at + 2..]].concat()
    };
    says(&place.refused(&without_steps), &["teacher_top", "absent with time"]);
    let alone = ["train", "--data", "text.txt", "--context", "16", "--out", "x"];
    for flag in ["--temperature", "--teacher-weight", "--teacher-top"] {
        let said = place.refused(&[&alone[..], &[flag, "1"]].concat());
        says(&said, &["absent without teacher"]);
    }
    let pairs = json!({"prompt": "1 ", "chosen": "2", "rejected": "3"});
    fs::write(place.path("pairs.jsonl"), format!("{pairs}\n{pairs}\n")).unwrap();
    let preferred = ["--from", "teacher", "--data", "pairs.jsonl", "--preferences"];
    says(&refused(&preferred), &["teacher is given", "absent beside preferences"]);
    for command in ["plan", "check", "diagnose"] {
        let said = place.refused(&[command, "--data", "text.txt", "--teacher", "teacher"]);
        says(&said, &["leave out --teacher"]);
    }
    // The same teacher, as long as the run goes on.
    place.fine(&on(&["--out", "run"]));
    fs::rename(place.path("teacher"), place.path("elsewhere")).unwrap();
    let more = ["train", "--resume", "run", "--steps", "14"];
    says(&place.refused(&more), &["needs it again"]);
    says(&place.refused(&["check", "run"]), &["needs it again"]);
    place.fine(&[&more[..], &["--teacher", "elsewhere"]].concat());
    place.fine(&["check", "run"]);
    let tokens = "--tokenizer";
    place.train(&["--context", "32", "--out", "teacher", "--seed", "4", tokens, "elsewhere/model"]);
    let other = ["train", "--resume", "run", "--steps", "16", "--teacher", "teacher"];
    says(&place.refused(&other), &["holds other weights", "from which the run learned"]);
    let none = ["train", "--resume", "teacher", "--steps", "16", "--teacher", "elsewhere"];
    says(&place.refused(&none), &["did not begin with a teacher"]);
}
