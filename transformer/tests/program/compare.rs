//! `glassbox compare`: its numbers against other verbs', runs that are equal, and what it says to bad input.

use super::place::{Place, says};
use serde_json::Value;
use std::fs;

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Trains a run.
fn train(place: &Place, out: &str, more: &[&str]) -> Value {
    place.train(&[&["--out", out], more].concat())
}

/// A place whose text has several hundred windows' worth of held-back tokens.
fn with_text() -> Place {
    let place = Place::new();
    let words = ["dog", "fox", "hen", "cow", "ox"];
    let line = |i: usize| {
        let [a, b] = [words[i * i % 5], words[(i / 3) % 5]];
        format!("the {a} sees the {b}, and the {b} sees {i}.\n")
    };
    fs::write(place.path("text.txt"), (0..300).map(line).collect::<String>()).unwrap();
    place
}

/// Losses are those that `evaluate` measures, the difference is A minus B, settings and curves are those of the runs.
#[test]
fn two_runs_are_measured_as_evaluate_measures_them() {
    let place = with_text();
    train(&place, "a", &["--steps", "30", "--learning-rate", "0.01", "--eval-every", "10"]);
    train(&place, "b", &["--steps", "30", "--learning-rate", "0.02", "--eval-every", "10"]);
    let compared = place.json(&["compare", "a", "b", "--svg", "both.svg"]);
    let evaluated = ["a", "b"].map(|run| place.json(&["evaluate", run]));
    for (model, evaluated) in [0, 1].map(|i| (&compared["models"][i], &evaluated[i])) {
        let (own, theirs) = (float(&model["loss"]), float(&evaluated["loss"]));
        // Means in f32, of windows one by one and of batches.
        assert!((own - theirs).abs() < 1e-5 * theirs, "{own} {theirs}");
    }
    assert_eq!(compared["text"]["units"], evaluated[0]["tokens"]);
    let bytes = float(&compared["text"]["bytes_per_unit"]);
    let bits = float(&compared["models"][0]["loss"]) / std::f64::consts::LN_2 / bytes;
    assert!((bits - float(&evaluated[0]["bits_per_byte"])).abs() < 1e-4);
    let pair = &compared["verdict"]["pairs"][0]["test"];
    // A window is an observation, not each of its tokens.
    let pieces = float(&compared["text"]["pieces"]);
    assert_eq!(float(&pair["degrees"]), pieces - 1.0);
    assert_eq!(pieces, (float(&compared["text"]["units"]) / 16.0).ceil());
    let difference = float(&evaluated[0]["loss"]) - float(&evaluated[1]["loss"]);
    assert!((float(&pair["difference"]) - difference).abs() < 1e-4);
    assert!(float(&pair["low"]) < difference && difference < float(&pair["high"]));
    // The only settings that differ, each with its values.
    let keys: Vec<_> = compared["settings"].as_array().unwrap().iter().collect();
    assert_eq!(
        keys.iter().map(|row| row["key"].as_str().unwrap()).collect::<Vec<_>>(),
        ["learning_rate"]
    );
    assert_eq!(keys[0]["values"], serde_json::json!(["0.01", "0.02"]));
    let curve = &compared["models"][1]["curve"];
    assert_eq!((curve["steps"].as_u64(), curve["tokens"].as_u64()), (Some(30), Some(30 * 4 * 16)));
    assert!(float(&curve["seconds"]) > 0.0);
    let metrics = fs::read_to_string(place.path("b").join("metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    assert_eq!(curve["last"]["loss"], last["validation_loss"]);
    // One seed each: the weights may differ, the settings are not decided.
    let settings = &compared["verdict"]["settings"][0];
    assert_eq!((&settings["test"], &settings["better"]), (&Value::Null, &Value::Null));
    assert_eq!(compared["tokens"][0]["tokens"].as_array().unwrap().len(), 10);
    // Both start equal, and part at the first update.
    let found = &compared["divergences"][0]["outcome"]["diverge"];
    assert_eq!(
        (found["step"].as_u64(), &found["part"]),
        (Some(1), &serde_json::json!("learning_rate"))
    );
    assert_eq!(found["causes"][0]["setting"], "learning_rate");
    let svg = fs::read_to_string(place.path("both.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("seconds of training"));

    // The other way round every difference has the other sign.
    let back = place.json(&["compare", "b", "a", "--data", "text.txt"]);
    let forth = place.json(&["compare", "a", "b", "--data", "text.txt"]);
    let [back, forth] =
        [back, forth].map(|all| float(&all["verdict"]["pairs"][0]["test"]["difference"]));
    assert!((back + forth).abs() < 1e-12 && back != 0.0);

    // The same for people.
    let said = place.fine(&["compare", "a", "b"]);
    says(
        &said,
        &["settings that differ", "learning_rate", "training", "weights", "is not decided"],
    );
    says(&said, &["A − B", "95 % interval", "tokens on which A and B differ most"]);
}

/// Windows are those of the first run: with another context and another text than the second one's.
#[test]
fn the_text_is_that_of_the_first_run() {
    let place = with_text();
    fs::write(place.path("other.txt"), "to be or not to be that is the question\n".repeat(60))
        .unwrap();
    train(&place, "a", &["--steps", "6", "--tokenizer", "bytes"]);
    train(
        &place,
        "b",
        &["--steps", "6", "--tokenizer", "bytes", "--data", "other.txt", "--context", "8"],
    );
    let compared = place.json(&["compare", "a", "b"]);
    let own = place.json(&["evaluate", "a"]);
    assert_eq!(compared["text"]["units"], own["tokens"]);
    assert_eq!(compared["text"]["longest"], 16);
    let other = place.json(&["compare", "b", "a"]);
    assert_eq!(other["text"]["units"], place.json(&["evaluate", "b"])["tokens"]);
    let remarks = compared["remarks"].to_string();
    says(&remarks, &["different data", "contexts differ"]);
}

/// Runs that share all settings but the seed are a group: nothing is decided between equal settings, and the scatter
/// between seeds gives the number of seeds for another setting.
#[test]
fn seeds_are_grouped() {
    let place = with_text();
    for seed in ["1", "2", "3"] {
        train(&place, &format!("a{seed}"), &["--steps", "12", "--seed", seed]);
    }
    train(&place, "b1", &["--steps", "12", "--seed", "1", "--learning-rate", "0.03"]);
    train(&place, "b2", &["--steps", "12", "--seed", "2", "--learning-rate", "0.03"]);
    let said = place.fine(&["compare", "a1", "a2", "a3"]);
    says(&said, &["A, B, C differ in the seed alone", "between seeds", "do not start equal"]);
    let one = place.json(&["compare", "a1", "a2", "b1"]);
    let settings = &one["verdict"]["settings"];
    assert_eq!(settings.as_array().unwrap().len(), 1);
    assert_eq!(settings[0]["test"], Value::Null);
    assert!(settings[0]["seeds_needed"].as_u64().unwrap() >= 2);
    let all = place.json(&["compare", "a1", "b1", "a2", "b2", "a3"]);
    assert_eq!(all["verdict"]["groups"][0]["runs"], serde_json::json!([0, 2, 4]));
    assert_eq!(all["verdict"]["groups"][1]["runs"], serde_json::json!([1, 3]));
    let test = &all["verdict"]["settings"][0]["test"];
    let loss = |i: usize| float(&all["models"][i]["loss"]);
    let difference = (loss(0) + loss(2) + loss(4)) / 3.0 - (loss(1) + loss(3)) / 2.0;
    assert!((float(&test["difference"]) - difference).abs() < 1e-12);
    // Four comparisons of weights: each counts from a quarter of 0.05 on.
    assert_eq!(float(&all["verdict"]["pairs_significance"]), 0.05 / 4.0);
}

/// Models with different tokenizers are compared by bytes, and models without a run by the parts of their architecture.
#[test]
fn tokenizers_may_differ() {
    let place = with_text();
    train(&place, "chars", &["--steps", "6", "--tokenizer", "chars"]);
    train(&place, "pieces", &["--steps", "6", "--tokenizer", "bpe:280", "--activation", "relu"]);
    let compared = place.json(&["compare", "chars", "pieces"]);
    assert_eq!(compared["text"]["unit"], "byte");
    // Both losses are bits per byte of nearly the same text as the runs' own.
    let own = place.json(&["evaluate", "pieces"]);
    let bits = float(&compared["models"][1]["loss"]) / std::f64::consts::LN_2;
    assert!((bits / float(&own["bits_per_byte"]) - 1.0).abs() < 0.05, "{bits} {own}");
    says(&compared["remarks"].to_string(), &["tokenizers differ"]);

    let models = place.json(&["compare", "chars/model", "pieces/model", "--data", "text.txt"]);
    assert_eq!(models["settings"], serde_json::json!([]));
    assert_eq!(models["verdict"]["groups"], serde_json::json!([]));
    let parts = models["parts"][0]["differences"].to_string();
    says(&parts, &["activation"]);
    let said = place.fine(&["compare", "chars", "pieces/model"]);
    says(
        &said,
        &["parts that differ from A to B", "words on which A and B differ most", "per byte"],
    );
}

/// The same settings give the same steps, however many batches a step has; a setting that differs is named where it acts.
#[test]
fn runs_part_where_a_setting_acts() {
    let place = with_text();
    train(&place, "a", &["--steps", "6", "--batch", "4"]);
    train(&place, "again", &["--steps", "6", "--batch", "4", "--threads", "2"]);
    train(&place, "twice", &["--steps", "6", "--batch", "2", "--accumulate", "2"]);
    train(&place, "relu", &["--steps", "6", "--batch", "4", "--activation", "relu"]);
    let all = place.json(&["compare", "a", "again", "twice", "relu", "--steps", "4"]);
    let outcome = |i: usize| &all["divergences"][i]["outcome"];
    assert_eq!(outcome(0)["same"], serde_json::json!({ "steps": 4, "bits": true }));
    assert_eq!(outcome(1)["same"], serde_json::json!({ "steps": 4, "bits": false }));
    let found = &outcome(2)["diverge"];
    assert_eq!((found["step"].as_u64(), &found["part"]), (Some(1), &serde_json::json!("value")));
    assert_eq!(found["causes"][0]["setting"], "activation");
    let said = place.fine(&["compare", "a", "again", "relu", "--steps", "4"]);
    says(
        &said,
        &["the first 4 steps of A and B are the same, bit by bit", "A and C part in step 1"],
    );
    says(&said, &["cause    activation is gelu in A and relu in C"]);
    assert_eq!(
        place.json(&["compare", "a", "relu", "--steps", "0"])["divergences"],
        serde_json::json!([])
    );
}

/// A run that stopped early is no repetition, and a run without metrics is still compared.
#[test]
fn what_is_missing_is_said() {
    let place = with_text();
    train(&place, "a", &["--steps", "6"]);
    train(&place, "b", &["--steps", "6", "--seed", "2"]);
    fs::remove_file(place.path("b").join("metrics.jsonl")).unwrap();
    let compared = place.json(&["compare", "a", "b"]);
    assert_eq!(compared["models"][1]["curve"], Value::Null);
    says(&compared["remarks"].to_string(), &["B has no metrics.jsonl"]);
    assert_eq!(compared["verdict"]["groups"][0]["runs"], serde_json::json!([0, 1]));
    let settings = place.path("b").join("run.toml");
    let longer = fs::read_to_string(&settings).unwrap().replace("steps = 6\n", "steps = 60\n");
    fs::write(&settings, longer).unwrap();
    let compared = place.json(&["compare", "a", "b"]);
    says(&compared["remarks"].to_string(), &["B took 6 of its 60 steps"]);
    assert_eq!(compared["verdict"]["groups"][0]["runs"], serde_json::json!([0]));
    // Also beside a run of the same settings that took all of its steps.
    train(&place, "whole", &["--steps", "12", "--warmup", "0", "--seed", "3"]);
    train(&place, "half", &["--steps", "6", "--warmup", "0", "--seed", "4"]);
    let settings = place.path("half").join("run.toml");
    let longer = fs::read_to_string(&settings).unwrap().replace("steps = 6\n", "steps = 12\n");
    fs::write(&settings, longer).unwrap();
    let compared = place.json(&["compare", "whole", "half"]);
    assert_eq!(compared["settings"].as_array().unwrap().len(), 1, "the seed");
    let groups = compared["verdict"]["groups"].as_array().unwrap();
    assert_eq!((groups.len(), &groups[0]["runs"]), (1, &serde_json::json!([0])));
}

/// Bad input: exit status 2, one message that says what to do, and nothing written.
#[test]
fn bad_input_is_refused() {
    let place = with_text();
    train(&place, "a", &["--steps", "4"]);
    train(&place, "b", &["--steps", "4", "--learning-rate", "0.01"]);
    fs::create_dir(place.path("empty")).unwrap();
    fs::create_dir_all(place.path("begun")).unwrap();
    fs::copy(place.path("a").join("run.toml"), place.path("begun").join("run.toml")).unwrap();
    fs::write(place.path("short.txt"), "the").unwrap();
    let refused = |arguments: &[&str], parts: &[&str]| {
        let before = place.files();
        let arguments = [&["compare"], arguments, &["--svg", "picture.svg"]].concat();
        let output = place.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        says(&place.refused(&arguments), parts);
        assert!(before == place.files(), "{arguments:?} wrote something");
    };
    refused(&[], &["MODEL"]);
    refused(&["a"], &["two or more"]);
    refused(&["a", "a"], &["the same model", "A and B"]);
    refused(&["a", "a/model"], &["the same model"]);
    refused(&["a", "empty"], &["holds no model"]);
    refused(&["a", "begun"], &["no model yet"]);
    refused(&["a", "missing"], &["no such directory"]);
    refused(&["a/model", "b/model"], &["give --data"]);
    refused(&["a", "b", "--data", "short.txt"], &["2 windows"]);
    refused(&["a", "b", "--data", "none.txt"], &["none.txt"]);
    refused(&["a", "b", "--threads", "0"], &["threads is 0"]);
    fs::write(place.path("b").join("metrics.jsonl"), "{\n{\n").unwrap();
    refused(&["a", "b"], &["metrics.jsonl", "none of its 2 lines"]);
    let weights = place.path("b").join("model").join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    bytes.truncate(bytes.len() / 2);
    fs::write(&weights, bytes).unwrap();
    refused(&["a", "b"], &["model.safetensors"]);
    // The text of A changed: what its losses were measured on is gone.
    train(&place, "c", &["--steps", "4", "--seed", "5"]);
    fs::write(place.path("text.txt"), "the fox sees the dog, and the dog sees 7.\n".repeat(200))
        .unwrap();
    refused(&["a", "c"], &["give --data", "has changed"]);
}

/// A dump of another program: bad ones are refused with exit status 2. (Real ones: `tests/huggingface/dumps.py`.)
#[test]
fn dumps_that_cannot_be_compared() {
    let place = with_text();
    train(&place, "a", &["--steps", "1"]);
    fs::write(place.path("step.safetensors"), b"nothing").unwrap();
    let header = br#"{"tokens":{"dtype":"I64","shape":[1,2],"data_offsets":[0,16]},"targets":{"dtype":"I64","shape":[1,2],"data_offsets":[16,32]},"parameter.wtee.weight":{"dtype":"F32","shape":[1],"data_offsets":[32,36]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.extend([0_u8; 36]);
    fs::write(place.path("named.safetensors"), bytes).unwrap();
    for (arguments, parts) in [
        (&["a", "--dump", "step.safetensors"][..], &["step.safetensors", "not safetensors"][..]),
        (&["a", "--dump", "none.safetensors"], &["none.safetensors"]),
        (&["a", "a", "--dump", "step.safetensors"], &["--dump takes one model, but 2 are given"]),
        (&["a", "--dump", "named.safetensors"], &["parameter.wtee.weight (nearest: wte.weight)"]),
        (&["a", "--dump", "named.safetensors", "--svg", "x.svg"], &["--svg"]),
    ] {
        let arguments = [&["compare"], arguments].concat();
        let output = place.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        says(&place.refused(&arguments), parts);
    }
    assert!(!place.path("x.svg").exists());
}
