//! The program as its users run it: what it prints, what it writes, and what it says to bad input.

use super::place::{Place, SMALL, TEXT, output, refusal, says, stderr};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use transformer::{OptimizerKind, ScheduleKind};

#[test]
fn training_reports_and_writes_what_scripts_rely_on() {
    let place = Place::new();
    let report = place.train(&["--eval-every", "2"]);
    for key in [
        "steps",
        "seconds",
        "tokens_per_second",
        "validation_loss",
        "bits_per_character",
        "perplexity",
        "parameters",
    ] {
        assert!(report[key].as_f64().is_some_and(|x| x > 0.0), "{key}: {report}");
    }
    let loss = report["validation_loss"].as_f64().unwrap();
    let close = |key: &str, expected: f64| {
        let found = report[key].as_f64().unwrap();
        assert!((found / expected - 1.0).abs() < 1e-12, "{key} {found}, {expected}");
    };
    close("bits_per_character", loss / 2.0_f64.ln());
    close("perplexity", loss.exp());
    assert_eq!(report["steps"], 4);
    assert_eq!(report["run"], "run");
    assert_eq!(report["weights_sha256"].as_str().unwrap().len(), 64);
    let orders: Vec<_> = report["baselines"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(orders, ["1", "2", "3", "4", "5", "6"]);
    assert!(report.get("source_entropy").is_none(), "a text of unknown entropy");

    let lines = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(line["step"], i + 1);
        for key in ["loss", "learning_rate", "gradient_norm", "tokens_per_second"] {
            assert!(line[key].as_f64().is_some_and(|x| x > 0.0), "{key}: {line}");
        }
        assert_eq!(line.get("validation_loss").is_some(), i % 2 == 1, "{line}");
    }
    assert_eq!(lines[3]["validation_loss"], loss);
    let svg = fs::read_to_string(place.path("run/loss.svg")).unwrap();
    says(&svg, &["<svg", "nats per character", "step", "6-gram", "validation", "training"]);
    let config: Value =
        serde_json::from_slice(&fs::read(place.path("run/model/config.json")).unwrap()).unwrap();
    assert_eq!(config["model_type"], "gpt2");

    // The run's own file trains the same model again, and so does standard input.
    let again = place.json(&["train", "--config", "run/run.toml", "--out", "again"]);
    assert_eq!(again["weights_sha256"], report["weights_sha256"]);
    let mut piped = place.command(&place.training(&["--data", "-", "--out", "piped", "--json"]));
    piped.stdin(fs::File::open(place.path("text.txt")).unwrap());
    let piped: Value = serde_json::from_slice(&output(&mut piped).stdout).unwrap();
    assert_eq!(piped["weights_sha256"], report["weights_sha256"]);

    // Without --json, the same for people; progress is not among the results.
    let output = place.run(&place.training(&["--out", "plain"]));
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    says(&said, &["validation loss", "nats per character", "n-grams", "sha256", "loss.svg"]);
    says(&stderr(&output), &["step     4/4", "validation loss"]);
}

#[test]
fn the_embedded_source_reports_its_entropy() {
    let place = Place::new();
    let mut arguments = vec!["train", "--out", "run", "--json"];
    arguments.extend(SMALL);
    let report: Value = serde_json::from_str(&place.fine(&arguments)).unwrap();
    let entropy = report["source_entropy"].as_f64().unwrap();
    assert!((entropy - 0.1104).abs() < 1e-4);
    assert!(report["validation_loss"].as_f64().unwrap() > entropy);
    let measured = place.json(&["evaluate", "run", "--batch", "4"]);
    assert_eq!(measured["loss"], report["validation_loss"]);
    assert_eq!(measured["baselines"], report["baselines"]);
    assert_eq!(measured["source_entropy"], report["source_entropy"]);
}

#[test]
fn evaluation_measures_in_nats_and_bits() {
    let place = Place::new();
    place.train(&["--tokenizer", "bytes"]);
    fs::write(place.path("other.txt"), "fünf öde Hügel, 12 €").unwrap();
    let measured = place.json(&["evaluate", "run", "--data", "other.txt"]);
    let number = |key: &str| measured[key].as_f64().unwrap();
    let (characters, bytes) = (19.0, 24.0); // after the first, which nothing predicts
    assert_eq!(measured["tokens"], bytes as u64);
    assert!((number("perplexity") / number("loss").exp() - 1.0).abs() < 1e-12);
    let bits = number("loss") * bytes / 2.0_f64.ln();
    assert!((number("bits_per_byte") / (bits / bytes) - 1.0).abs() < 1e-12);
    assert!((number("bits_per_character") / (bits / characters) - 1.0).abs() < 1e-12);
    // The whole text at once or window by window, on one thread or two.
    let other = place.json(&["evaluate", "run", "--data", "other.txt", "--batch", "1"]);
    assert!((other["loss"].as_f64().unwrap() / number("loss") - 1.0).abs() < 1e-6);
    let again = place.json(&["evaluate", "run", "--data", "other.txt", "--threads", "2"]);
    assert_eq!(again["loss"], measured["loss"]);
}

#[test]
fn generation_goes_on_from_text_or_tokens() {
    let place = Place::new();
    place.train(&[]);
    let written = place.json(&["generate", "run", "--prompt", "the ", "--tokens", "30"]);
    let text = written["text"].as_str().unwrap();
    assert!(text.starts_with("the ") && text.chars().count() == 34, "{text}");
    assert_eq!(written["tokens"].as_array().unwrap().len(), 34);
    let shown = place.fine(&["generate", "run", "--prompt", "the ", "--tokens", "30"]);
    assert_eq!(shown, format!("{text}\n"));

    // The same prompt as tokens, to the model directory itself; greedy needs no seed.
    let ids: Vec<String> =
        written["prompt_tokens"].as_array().unwrap().iter().map(Value::to_string).collect();
    let ids = ids.join(",");
    let greedy = ["--tokens", "12", "--temperature", "0"];
    let one = [&["generate", "run", "--prompt", "the "], &greedy[..], &["--seed", "1"]].concat();
    let other = [&["generate", "run/model", "--prompt-tokens", &ids], &greedy[..]].concat();
    let (one, other) = (place.json(&one), place.json(&[&other[..], &["--logits"]].concat()));
    assert_eq!(one["tokens"], other["tokens"]);
    let logits: Vec<Vec<f64>> = serde_json::from_value(other["logits"].clone()).unwrap();
    let tokens: Vec<usize> = serde_json::from_value(other["tokens"].clone()).unwrap();
    assert_eq!(logits.len(), tokens.len());
    for (logits, next) in logits.iter().zip(&tokens[1..]).skip(3) {
        let best = (0..logits.len()).max_by(|&i, &j| logits[i].total_cmp(&logits[j])).unwrap();
        assert_eq!(best, *next);
    }

    // Without a tokenizer, tokens in and tokens out.
    fs::remove_file(place.path("run/model/tokenizer.json")).unwrap();
    let ids = ["generate", "run", "--prompt-tokens", "3,1", "--tokens", "3"];
    let listed = place.fine(&ids);
    assert!(listed.starts_with("3,1,") && listed.trim().split(',').count() == 5, "{listed}");
    assert_eq!(place.json(&ids)["text"].as_str().unwrap(), listed.trim());
    says(&place.refused(&["generate", "run", "--prompt", "the"]), &["tokenizer.json"]);
    // However many are asked for at the least, a prompt alone is printed.
    assert_eq!(place.fine(&[&ids[..5], &["0"]].concat()), "3,1\n");
}

#[test]
fn characters_of_several_bytes_are_shown_whole() {
    let place = Place::new();
    fs::write(place.path("text.txt"), "数学 ü 🦀 ".repeat(60)).unwrap();
    place.train(&["--tokenizer", "bytes"]);
    let arguments = ["generate", "run", "--prompt", "数", "--tokens", "60"];
    let text = place.json(&arguments)["text"].as_str().unwrap().to_owned();
    assert_eq!(place.fine(&arguments), text + "\n");
}

#[test]
fn data_that_cannot_be_trained_on() {
    let place = Place::new();
    fs::write(place.path("empty.txt"), "").unwrap();
    fs::write(place.path("short.txt"), "hello").unwrap();
    fs::write(place.path("latin1.txt"), b"caf\xe9 ".repeat(99)).unwrap();
    let before = place.files();
    let refused = |data| place.refused(&place.training(&["--data", data]));
    says(&refused("none.txt"), &["cannot read none.txt", "No such file"]);
    fs::create_dir(place.path("hollow")).unwrap();
    says(&refused("hollow"), &["hollow has no files in it"]);
    says(&refused("empty.txt"), &["empty.txt is empty"]);
    says(&refused("-"), &["standard input is empty"]);
    says(&refused("short.txt"), &["short.txt", "4 tokens", "takes 17", "shorter context"]);
    says(&refused("latin1.txt"), &["not UTF-8", "byte 3 is 0xe9", "--tokenizer bytes"]);
    says(&refused(""), &["cannot read"]);
    assert_eq!(place.files(), before, "nothing is left behind");
    place.train(&["--data", "latin1.txt", "--tokenizer", "bytes"]);
}

/// Every rule of descent and every schedule by flag, and again by the settings that the run keeps.
#[test]
fn every_rule_and_schedule_is_a_flag() {
    let rules = OptimizerKind::ALL.iter().map(|kind| ("optimizer", kind.key(), kind.takes()));
    let schedules = ScheduleKind::ALL.iter().map(|kind| ("schedule", kind.key(), kind.takes()));
    let constants = [("momentum", "0.5"), ("decay_every", "2"), ("decay_steps", "4")];
    let mut weights = BTreeSet::new();
    for (key, name, takes) in rules.chain(schedules) {
        let place = Place::new();
        let mut flags = vec![format!("--{key}={name}")];
        for (constant, value) in constants {
            let given = format!("--{}={value}", constant.replace('_', "-"));
            if takes.contains(&constant) {
                flags.push(given);
                continue;
            }
            let own = constant == "momentum";
            if own == (key == "optimizer") {
                let said = place.refused(&place.training(&[&flags[0], &given]));
                says(&said, &["is given, but", name, "leave it out"]);
            }
        }
        let more = flags.iter().map(String::as_str);
        let whole = place.train(&more.chain(["--steps", "9"]).collect::<Vec<_>>());
        let settings = fs::read_to_string(place.path("run/run.toml")).unwrap();
        assert!(settings.contains(&format!("{key} = \"{name}\"")), "{settings}");
        let again = place.json(&["train", "--config", "run/run.toml", "--out", "again"]);
        assert_eq!(again["weights_sha256"], whole["weights_sha256"], "{name}");
        weights.insert(whole["weights_sha256"].to_string());
    }
    // The usual rule with the usual schedule is in both lists.
    assert_eq!(weights.len(), OptimizerKind::ALL.len() + ScheduleKind::ALL.len() - 1);
}

#[test]
fn settings_that_contradict_themselves() {
    let place = Place::new();
    let refused = |more: &[&str]| place.refused(&place.training(more));
    says(&refused(&["--heads", "3"]), &["width 16", "3 heads", "15 or 18"]);
    says(&refused(&["--layers", "0"]), &["layers is 0"]);
    says(&refused(&["--layers", "99999999"]), &["layers is 99999999", "at most"]);
    says(&refused(&["--steps", "0"]), &["steps is 0"]);
    says(&refused(&["--batch", "0"]), &["batch is 0"]);
    says(&refused(&["--accumulate", "0"]), &["accumulate is 0"]);
    says(&refused(&["--context", "0"]), &["context is 0"]);
    says(&refused(&["--dropout", "1"]), &["dropout is 1"]);
    says(&refused(&["--learning-rate", "nan"]), &["learning_rate is NaN"]);
    says(&refused(&["--learning-rate=-1"]), &["learning_rate is -1"]);
    says(&refused(&["--min-learning-rate", "1"]), &["min_learning_rate is 1"]);
    says(&refused(&["--beta2", "1"]), &["beta2 is 1"]);
    says(&refused(&["--warmup", "5"]), &["warmup is 5"]);
    says(&refused(&["--clip", "inf"]), &["clip is inf"]);
    says(&refused(&["--clip", "-1"]), &["clip is -1"]);
    says(&refused(&["--threads", "0"]), &["threads is 0"]);
    says(&refused(&["--steps", "-5"]), &["'-5'", "--steps <N>"]);
    says(&refused(&["--watch", "0"]), &["'0'", "--watch <K>", "1.."]);
    says(
        &refused(&["--preset", "huge"]),
        &["fast-story", "fast-text", "story", "shakespeare-cpu", "baby", "gpt2"],
    );
    says(&refused(&["--out", ""]), &["--out"]);
    says(&refused(&["--out", "text.txt"]), &["text.txt is a file"]);
    says(&refused(&["--out", "."]), &["something that is not a run"]);
    // More than any machine has: an answer, not an abort.
    let huge = ["--width", "4194304", "--context", "8", "--layers", "1024"];
    says(&refused(&huge), &["memory"]);
    says(&refused(&["--width", "1048576"]), &["memory", "smaller"]);
    says(&refused(&["--batch", "18446744073709551615"]), &["run.toml can hold"]);
    assert!(!place.path("run").exists(), "nothing is left behind");
}

#[test]
fn settings_files_are_read_strictly() {
    let place = Place::new();
    let refused = |text: &str| {
        fs::write(place.path("own.toml"), text).unwrap();
        place.refused(&["train", "--config", "own.toml", "--data", "text.txt"])
    };
    says(&refused("layers = 2\nlerning_rate = 1e-3\n"), &["own.toml", "line 2", "lerning_rate"]);
    says(&refused("layers = -1\n"), &["line 1", "layers = -1"]);
    says(&refused("layers = \"two\"\n"), &["line 1"]);
    says(&refused("[model]\nlayers = 2\n"), &["model"]);
    says(&refused("layers = \n"), &["own.toml", "line 1"]);
    says(&refused("optimizer = \"adam\"\n"), &["adamw", "sgd"]);
    says(&refused("width = 10\nheads = 4\n"), &["8 or 12"]);
    says(&refused("decay-every = 4\n"), &["--decay-every is given", "cosine", "--schedule step"]);
    fs::write(place.path("own.toml"), b"layers = \xff").unwrap();
    let binary = place.refused(&["train", "--config", "own.toml"]);
    says(&binary, &["own.toml", "UTF-8"]);
    says(&place.refused(&["train", "--config", "none.toml"]), &["none.toml", "No such file"]);
    says(&place.refused(&["train", "--config", "."]), &["directory"]);
    assert!(!place.path("runs").exists(), "nothing is left behind");

    // Keys as flags write them, too; flags win.
    fs::write(place.path("own.toml"), "layers = 2\neval-every = 1\nseed = 3\n").unwrap();
    place.train(&["--config", "own.toml", "--seed", "4"]);
    let written = fs::read_to_string(place.path("run/run.toml")).unwrap();
    says(&written, &["layers = 1", "eval_every = 1", "seed = 4"]);
}

#[test]
fn runs_are_not_lost_by_mistake() {
    let place = Place::new();
    place.train(&[]);
    let before = place.files();
    says(&place.refused(&place.training(&[])), &["a run already", "--resume", "--overwrite"]);
    assert_eq!(place.files(), before);
    let replaced = place.train(&["--overwrite", "--seed", "5", "--steps", "2"]);
    assert_eq!(replaced["steps"], 2);
    let lines = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 2);
    let other = place.refused(&["train", "--resume", "run", "--width", "32"]);
    says(&other, &["--resume", "--steps"]);
    says(&place.refused(&["train", "--resume", "none"]), &["none holds no run"]);
    fs::write(place.path("text.txt"), TEXT.repeat(10)).unwrap();
    says(&place.refused(&["train", "--resume", "run"]), &["text is not the one"]);
    fs::remove_file(place.path("run/state.safetensors")).unwrap();
    says(&place.refused(&["train", "--resume", "run"]), &["state.safetensors", "--overwrite"]);
}

#[test]
fn a_finished_run_says_so() {
    let place = Place::new();
    place.train(&[]);
    let settings = fs::read(place.path("run/run.toml")).unwrap();
    let fewer = place.run(&["train", "--resume", "run", "--steps", "2"]);
    says(&stderr(&fewer), &["all 4 steps are taken"]);
    assert_eq!(fs::read(place.path("run/run.toml")).unwrap(), settings);
    let again = place.run(&["train", "--resume", "run"]);
    says(&stderr(&again), &["all 4 steps are taken", "--steps"]);
}

#[test]
fn kernels_can_be_held_to_less_than_the_processor_has() {
    let place = Place::new();
    let trained = |vectors: &str| {
        let arguments = place.training(&["--json", "--out", vectors]);
        let mut command = place.command(&arguments);
        let report = output(command.env("GLASSBOX_VECTORS", vectors));
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        report["weights_sha256"].clone()
    };
    let best = trained("avx512");
    for vectors in ["avx2", "portable"] {
        assert_eq!(trained(vectors), best, "{vectors}");
    }
    let mut bench = vec!["bench", "--json", "--no-generation"];
    bench.extend(&SMALL);
    let report = output(place.command(&bench).env("GLASSBOX_VECTORS", "portable"));
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["vectors"], "portable");
    let wrong = output(place.command(&["evaluate", "avx2"]).env("GLASSBOX_VECTORS", "sse"));
    assert!(!wrong.status.success());
    says(&stderr(&wrong), &["GLASSBOX_VECTORS is \"sse\"", "portable, avx2 or avx512"]);
}

#[test]
fn bench_refuses_what_it_would_not_heed() {
    let place = Place::new();
    let refused = place.refused(&["bench", "--data", "text.txt", "--eval-every", "2"]);
    says(&refused, &["random tokens", "--data, --eval-every"]);
}

/// A trained run, and its model's files as they were.
fn trained() -> (Place, PathBuf) {
    let place = Place::new();
    place.train(&[]);
    let model = place.path("run/model");
    (place, model)
}

const GENERATE: [&str; 5] = ["generate", "run", "--tokens", "3", "--json"];

#[test]
fn prompts_that_cannot_be_read() {
    let (place, _) = trained();
    let refused = |more: &[&str]| place.refused(&[&["generate", "run"], more].concat());
    let missing = refused(&["--prompt", "the Q"]);
    says(&missing, &["'Q'", "number 5", "not in the vocabulary", "abc"]);
    says(&refused(&["--prompt", ""]), &["the prompt is empty"]);
    says(&refused(&["--prompt-tokens", "0,99"]), &["token 99", "vocabulary has"]);
    says(&refused(&["--prompt-tokens", "0,x"]), &["x"]);
    says(&refused(&["--prompt-tokens", "-1"]), &["-1"]);
    says(&refused(&["--prompt", "a", "--prompt-tokens", "1"]), &["cannot be used with"]);
    says(&refused(&["--temperature", "nan"]), &["temperature is NaN"]);
    says(&refused(&["--top-k", "0"]), &["top-k is 0"]);
    says(&refused(&["--top-p", "1.5"]), &["top-p is 1.5"]);
    says(&refused(&["--min-p=-1"]), &["min-p is -1"]);
    says(&refused(&["--logits"]), &["--json"]);
    let long = refused(&["--logits", "--json", "--tokens", "18446744073709551615"]);
    says(&long, &["context of 16"]);
    says(&refused(&["--temperature", "-1"]), &["temperature is -1"]);
    for verb in ["generate", "evaluate", "check", "diagnose", "explain"] {
        says(&place.refused(&[verb, "none"]), &["none holds no model", "config.json"]);
    }
    let unknown = place.refused(&["evaluate", "run", "--data", "run/run.toml"]);
    says(&unknown, &["not in the vocabulary"]);
    fs::write(place.path("one.txt"), "a").unwrap();
    let one = place.refused(&["evaluate", "run", "--data", "one.txt"]);
    says(&one, &["1 token;", "at least 2"]);
    fs::write(place.path("binary"), b"a\xff").unwrap();
    let binary = place.refused(&["evaluate", "run", "--data", "binary"]);
    says(&binary, &["byte 1 is 0xff", "reads characters"]);
    fs::rename(place.path("run/model/tokenizer.json"), place.path("kept")).unwrap();
    let unread = place.refused(&["generate", "run"]);
    says(&unread, &["has no tokenizer.json", "--prompt-tokens"]);
    fs::rename(place.path("kept"), place.path("run/model/tokenizer.json")).unwrap();
    says(&place.refused(&["evaluate", "run", "--batch", "0"]), &["batch is 0"]);
    fs::remove_file(place.path("text.txt")).unwrap();
    says(&place.refused(&["evaluate", "run"]), &["--data", "text.txt"]);
}

#[test]
fn weights_that_are_not_this_model() {
    let (place, model) = trained();
    let path = model.join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        place.refused(&GENERATE)
    };
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        says(&refused(&whole[..length]), &["model.safetensors", "not a whole safetensors file"]);
    }
    says(&refused(&[&whole[..], b"x"].concat()), &["not a whole safetensors file"]);
    says(&refused(b"PK\x03\x04 another kind of file entirely"), &["not a whole safetensors"]);
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    says(&refused(&huge), &["not a whole safetensors file"]);
    // The last numbers of the file, whatever they are: NaN.
    let mut nan = whole.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    says(&refused(&nan), &["holds NaN", "earlier checkpoint"]);
    // A flipped bit of any number.
    let mut flipped = whole.clone();
    flipped[end - 4] ^= 1;
    says(&refused(&flipped), &["model.safetensors is damaged", "another copy"]);
    says(&place.refused(&["check", "run"]), &["model.safetensors is damaged"]);
    // Another tensor's name of the same length; another shape; another type.
    let renamed = |from: &str, to: &str| {
        let at = whole.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        refused(&bytes)
    };
    says(&renamed("transformer.wte.weight", "transformer.wtx.weight"), &["wte.weight is missing"]);
    says(&renamed("[16,64]", "[64,16]"), &["has shape [64, 16]", "[16, 64]"]);
    says(&renamed("\"F32\"", "\"I32\""), &["is I32", "F32"]);
    fs::remove_file(&path).unwrap();
    says(&place.refused(&GENERATE), &["model.safetensors", "No such file"]);
    fs::write(&path, &whole).unwrap();
    place.fine(&GENERATE);
    // A run's state is as strict.
    let state = place.path("run/state.safetensors");
    let bytes = fs::read(&state).unwrap();
    fs::write(&state, &bytes[..bytes.len() / 2]).unwrap();
    let resume = ["train", "--resume", "run", "--steps", "6"];
    says(&place.refused(&resume), &["state.safetensors", "not a training state"]);
    fs::write(&state, &whole).unwrap();
    says(&place.refused(&resume), &["not a training state"]);
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&state, &flipped).unwrap();
    says(&place.refused(&resume), &["state.safetensors is damaged"]);
}

#[test]
fn settings_that_are_not_this_model() {
    let (place, _) = trained();
    let settings = place.path("run/run.toml");
    let whole = fs::read_to_string(&settings).unwrap();
    let differs = ["run/run.toml says layers = 2", "the model beside it has 1", "run/model"];
    fs::write(&settings, whole.replace("layers = 1", "layers = 2")).unwrap();
    for verb in ["evaluate", "check", "diagnose", "explain"] {
        says(&place.refused(&[verb, "run"]), &differs);
    }
    let state = fs::read(place.path("run/state.safetensors")).unwrap();
    says(&place.refused(&["train", "--resume", "run", "--steps", "9"]), &differs);
    fs::write(&settings, "").unwrap();
    says(&place.refused(&["train", "--resume", "run", "--steps", "9"]), &["run.toml says"]);
    assert_eq!(fs::read(place.path("run/state.safetensors")).unwrap(), state);
    place.fine(&GENERATE);
}

#[test]
fn configurations_that_claim_anything() {
    let (place, model) = trained();
    let path = model.join("config.json");
    let config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let refused = |changes: &[(&str, Value)]| {
        let mut config = config.clone();
        changes.iter().for_each(|(key, value)| config[key] = value.clone());
        fs::write(&path, config.to_string()).unwrap();
        place.refused(&GENERATE)
    };
    let huge = json!(16_777_216);
    says(&refused(&[("vocab_size", huge.clone())]), &["wte.weight has shape"]);
    says(&refused(&[("n_layer", json!(1024))]), &["n_layer of config.json is 1024", "of 1 layer"]);
    says(&refused(&[("n_layer", huge.clone())]), &["layers", "at most"]);
    says(&refused(&[("n_embd", huge.clone()), ("n_positions", huge.clone())]), &["shape"]);
    says(&refused(&[("n_inner", json!(u64::MAX))]), &["hidden", "at most"]);
    says(&refused(&[("n_embd", json!(1e300))]), &["n_embd", "whole number"]);
    says(&refused(&[("n_head", json!(0))]), &["heads is 0"]);
    says(&refused(&[("n_head", json!(3))]), &["3 heads"]);
    says(&refused(&[("layer_norm_epsilon", json!(-1))]), &["epsilon"]);
    says(&refused(&[("resid_pdrop", json!(2))]), &["dropout is 2"]);
    says(&refused(&[("activation_function", json!("mish"))]), &["mish", "gelu_new"]);
    says(&refused(&[("model_type", json!("bert"))]), &["model_type", "llama", "gpt2"]);
    says(&refused(&[("tie_word_embeddings", json!(false))]), &["lm_head.weight is missing"]);
    for text in ["", "{", "[]", "null", "{\"model_type\": \"gpt2\"}", &"[".repeat(100_000)] {
        fs::write(&path, text).unwrap();
        says(&place.refused(&GENERATE), &["config.json"]);
    }
    fs::write(&path, [0xff, 0xfe, 0x00]).unwrap();
    says(&place.refused(&GENERATE), &["config.json"]);
    // A file that says it is a terabyte long is not read beyond its header.
    fs::write(&path, config.to_string()).unwrap();
    let weights = model.join("model.safetensors");
    fs::File::create(&weights).unwrap().set_len(1 << 40).unwrap();
    says(&place.refused(&GENERATE), &["not a whole safetensors file"]);
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    says(&place.refused(&GENERATE), &["config.json", "at most"]);
}

#[test]
fn tokenizers_that_claim_anything() {
    let (place, model) = trained();
    let path = model.join("tokenizer.json");
    let tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut tokenizer = tokenizer.clone();
        change(&mut tokenizer);
        fs::write(&path, tokenizer.to_string()).unwrap();
        place.refused(&GENERATE)
    };
    says(&refused(&|t| t["model"]["type"] = json!("Unigram")), &["cannot be used"]);
    says(
        &refused(&|t| t["model"]["vocab"]["a"] = json!(u64::MAX)),
        &["number 18446744073709551615"],
    );
    says(&refused(&|t| t["model"]["vocab"]["a"] = json!(-1)), &["number -1"]);
    says(&refused(&|t| t["model"]["vocab"] = json!([])), &["cannot be used"]);
    says(&refused(&|t| *t = json!("x")), &["tokenizer.json"]);
    says(&refused(&|t| t["model"]["merges"] = json!(["a b"])), &["cannot be used"]);
    // More tokens than the model has.
    let more = refused(&|t| {
        let next = t["model"]["vocab"].as_object().unwrap().len();
        t["model"]["vocab"]["€"] = json!(next);
    });
    says(&more, &["vocab_size", "different models"]);
    for text in ["", "{}", "nonsense", &"[".repeat(100_000)] {
        fs::write(&path, text).unwrap();
        says(&place.refused(&GENERATE), &["tokenizer.json"]);
    }
    fs::write(&path, tokenizer.to_string()).unwrap();
    place.fine(&GENERATE);
}

#[test]
fn a_diverging_run_says_so_and_keeps_its_last_checkpoint() {
    let place = Place::new();
    let more = ["--learning-rate", "1e30", "--clip", "0", "--steps", "20", "--eval-every", "1"];
    let constant = ["--schedule", "constant", "--warmup", "0", "--weight-decay", "0"];
    let said = place.refused(&place.training(&[&more[..], &constant].concat()));
    says(&said, &["diverged", "--learning-rate", "--clip", "run"]);
    let lines = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert!(last["loss"].is_null() || last["gradient_norm"].is_null(), "{last}");
}

#[cfg(unix)]
mod unix {
    use super::*;
    use crate::place::Running;
    use std::os::unix::process::ExitStatusExt;
    use std::time::{Duration, Instant};

    fn shell(place: &Place, script: &str, arguments: &[&str]) -> Output {
        output(crate::place::scripted(script).current_dir(place.0.path()).args(arguments))
    }

    fn half_written(place: &Place) -> Vec<PathBuf> {
        let files = place.files().into_iter();
        let whole = |name: &str, bytes: &[u8]| match name.rsplit('.').next() {
            Some("json") => serde_json::from_slice::<Value>(bytes).is_ok(),
            Some("jsonl") => bytes.is_empty() || bytes.ends_with(b"}\n"),
            Some("svg") => bytes.ends_with(b"</svg>\n"),
            Some("safetensors") => safetensors::SafeTensors::deserialize(bytes).is_ok(),
            Some("toml" | "txt") => bytes.ends_with(b"\n"),
            Some("lock") => true,
            _ => false, // a temporary file
        };
        let broken =
            files.filter(|(path, b)| !whole(&path.file_name().unwrap().to_string_lossy(), b));
        broken.map(|(path, _)| path).collect()
    }

    #[test]
    fn a_full_disk_leaves_whole_files() {
        // No file may grow beyond so many blocks of 512 bytes: writing fails as on a full disk, at
        // every stage of a run as the bound rises. (The signal that goes with it is ignored.)
        let script =
            |blocks: usize| format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let (mut failed, mut finished) = (0, 0);
        for blocks in [0, 1, 2, 4, 8, 16, 32, 64, 128] {
            let place = Place::new();
            let settings = ["--eval-every", "1", "--steps", "3"];
            let output = shell(&place, &script(blocks), &place.training(&settings));
            assert_eq!(half_written(&place), NONE, "{blocks} blocks");
            if output.status.success() {
                finished += 1;
            } else {
                says(&refusal(&["ulimit"], &output), &["too large", "run"]);
                failed += 1;
            }
        }
        assert!(failed >= 3 && finished >= 1, "{failed} runs failed, {finished} finished");

        // An earlier checkpoint stays as it was.
        let place = Place::new();
        place.train(&[]);
        let model = fs::read(place.path("run/model/model.safetensors")).unwrap();
        let output = shell(
            &place,
            &script(4),
            &["train", "--resume", "run", "--steps", "6", "--threads", "1"],
        );
        refusal(&["ulimit"], &output);
        assert_eq!(fs::read(place.path("run/model/model.safetensors")).unwrap(), model);
        assert_eq!(half_written(&place), NONE);
    }

    #[test]
    fn results_that_cannot_be_printed_are_an_error() {
        if !Path::new("/dev/full").exists() {
            return println!("skipped: no /dev/full here");
        }
        let (place, _) = trained();
        for arguments in [&GENERATE[..], &GENERATE[..4], &["evaluate", "run"]] {
            let output = shell(&place, "exec \"$0\" \"$@\" > /dev/full", arguments);
            says(&refusal(arguments, &output), &["No space left"]);
        }
    }

    #[test]
    fn a_reader_that_has_had_enough_is_no_error() {
        let (place, _) = trained();
        let many = ["generate", "run", "--tokens", "3000"];
        let output = shell(&place, "\"$0\" \"$@\" | head -c 5", &many);
        assert!(output.status.success() && output.stdout.len() == 5);
        assert_eq!(stderr(&output), "");
    }

    /// Starts a run that would take for ever, waits until `ready`, and sends it a signal.
    fn stopped(place: &Place, signal: &str, ready: impl Fn() -> bool) -> Output {
        let child = Running::start(&mut place.command(&place.training(&LONG)));
        let began = Instant::now();
        while !ready() {
            assert!(began.elapsed() < Duration::from_secs(120), "nothing in two minutes");
            std::thread::sleep(Duration::from_millis(2));
        }
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        child.finish()
    }

    const NONE: [PathBuf; 0] = [];

    const LONG: [&str; 10] = [
        "--steps",
        "1000000",
        "--schedule",
        "constant",
        "--warmup",
        "0",
        "--dropout",
        "0.1",
        "--eval-every",
        "3",
    ];

    fn steps_logged(place: &Place) -> usize {
        fs::read_to_string(place.path("run/metrics.jsonl")).map_or(0, |text| text.lines().count())
    }

    #[test]
    fn an_interrupted_run_goes_on_to_the_same_bits() {
        for signal in ["-INT", "-TERM"] {
            let place = Place::new();
            let output = stopped(&place, signal, || steps_logged(&place) >= 5);
            assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
            says(&stderr(&output), &["stopped after step", "glassbox train --resume run"]);
            assert!(output.stdout.is_empty());
            assert_eq!(half_written(&place), NONE);
            place.fine(&GENERATE); // the model is there

            let done = steps_logged(&place);
            let steps = (done + 7).to_string();
            let resume = ["train", "--resume", "run", "--steps", &steps, "--threads", "2"];
            let resumed = place.json(&resume);
            assert_eq!(resumed["steps"].as_u64(), Some(done as u64 + 7));
            assert_eq!(steps_logged(&place), done + 7);
            let whole = place.train(&[&LONG[2..], &["--steps", &steps, "--out", "whole"]].concat());
            assert_eq!(whole["weights_sha256"], resumed["weights_sha256"]);
            assert_eq!(whole["validation_loss"], resumed["validation_loss"]);
        }
    }

    #[test]
    fn a_killed_run_goes_on_from_its_last_checkpoint() {
        let place = Place::new();
        let state = place.path("run/state.safetensors");
        let output = stopped(&place, "-KILL", || state.exists());
        assert_eq!(output.status.signal(), Some(9));
        // Killed at any moment: there may be a temporary file, but no file that is not whole.
        let broken = half_written(&place).into_iter();
        let named = |path: &PathBuf| path.extension().is_some();
        assert_eq!(broken.filter(named).collect::<Vec<_>>(), NONE);
        // Asked for fewer steps than were taken, it measures what there is.
        let resumed = place.json(&["train", "--resume", "run", "--steps", "1"]);
        let steps = resumed["steps"].as_u64().unwrap();
        assert!(steps >= 3 && steps.is_multiple_of(3), "{steps}");
        assert_eq!(steps_logged(&place) as u64, steps);
    }
}

/// With averaged weights the run's model is the average, `check` finds it in the state, `explain` takes the state's last
/// step, and `diagnose` does not warn; a run that was resumed has the same weights.
#[test]
fn a_run_can_write_averaged_weights() {
    let place = Place::new();
    let average =
        ["--average", "0.5", "--optimizer", "muon", "--schedule", "constant", "--steps", "6"];
    let whole = place.train(&average);
    let plain = place.train(&[&average[2..], &["--out", "plain"]].concat());
    assert_ne!(whole["weights_sha256"], plain["weights_sha256"]);
    let said = stderr(&place.run(&place.training(&[&average[..], &["--out", "again"]].concat())));
    says(&said, &["average", "averaged weights, of about the last 2 steps"]);
    let settings = fs::read_to_string(place.path("run/run.toml")).unwrap();
    assert!(settings.contains("average = 0.5"), "{settings}");
    let checked = place.json(&["check", "run"]);
    let all = checked["certificates"].as_array().unwrap();
    let of = |name: &str| all.iter().find(|c| c["name"] == name).map(|c| c["verdict"].clone());
    assert_eq!(of("the run's model and its training state agree").unwrap(), "pass");
    assert_eq!(of("orthogonalised update: σ by the polynomial").unwrap(), "pass");
    let explained = place.run(&["explain", "run", "--text", "ab", "--list"]);
    assert!(explained.status.success(), "{}", stderr(&explained));
    let diagnosed = stderr(&place.run(&["diagnose", "run"]));
    assert!(!diagnosed.contains("differ in"), "{diagnosed}");
    place.train(&[&average[..6], &["--steps", "3", "--out", "part"]].concat());
    let resumed = place.json(&["train", "--resume", "part", "--steps", "6"]);
    assert_eq!(resumed["weights_sha256"], whole["weights_sha256"]);
    let refused = place.refused(&place.training(&["--average", "1", "--out", "none"]));
    says(&refused, &["average is 1", "above 0 and below 1"]);
}

/// As with averaged weights: the run's model is the mean of iterates, and every verb knows that.
#[test]
fn a_run_without_a_schedule_writes_the_mean_of_its_iterates() {
    let place = Place::new();
    let free = ["--optimizer", "schedule_free", "--schedule", "constant", "--steps", "6"];
    let whole = place.train(&free);
    let checked = place.json(&["check", "run"]);
    assert_eq!(checked["passed"], true, "{checked}");
    let explained = place.run(&["explain", "run", "--text", "ab", "--list"]);
    assert!(explained.status.success(), "{}", stderr(&explained));
    let diagnosed = stderr(&place.run(&["diagnose", "run"]));
    assert!(!diagnosed.contains("differ in"), "{diagnosed}");
    place.train(&[&free[..4], &["--steps", "3", "--out", "part"]].concat());
    let resumed = place.json(&["train", "--resume", "part", "--steps", "6"]);
    assert_eq!(resumed["weights_sha256"], whole["weights_sha256"]);
    let both = place.training(&[&free[..], &["--average", "0.9", "--out", "none"]].concat());
    says(&place.refused(&both), &["average is 0.9", "absent"]);
}
