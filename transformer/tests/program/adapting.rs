//! Runs that go on from a model: all weights, some of them, adapters; and what is refused.

use super::place::{Place, says, stderr};
use serde_json::Value;
use std::fs;

/// A place with a trained model in `base`.
fn trained(more: &[&str]) -> Place {
    let place = Place::new();
    place.train(&[more, &["--steps", "8", "--out", "base"]].concat());
    place
}

/// The arguments of a run that goes on from it.
fn on<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let usual = [
        ("--from", "base"),
        ("--data", "text.txt"),
        ("--steps", "6"),
        ("--learning-rate", "1e-2"),
        ("--threads", "1"),
        ("--batch", "2"),
    ];
    let mut arguments = vec!["train"];
    for (flag, value) in usual.into_iter().filter(|(flag, _)| !more.contains(flag)) {
        arguments.extend([flag, value]);
    }
    arguments.extend(more);
    arguments
}

fn loss(report: &Value) -> f64 {
    report["validation_loss"].as_f64().unwrap()
}

/// The parts, the tokenizer and the weights are the model's, and the loss before the first step is what `evaluate` says.
#[test]
fn a_run_goes_on_from_a_model() {
    let place = trained(&["--architecture", "llama", "--heads", "4", "--key-value-heads", "2"]);
    let told = stderr(&place.run(&on(&["--out", "full"])));
    let before = told.lines().find(|line| line.starts_with("from ")).unwrap();
    says(before, &["base/model", "nats a character on held-back text, before the first step"]);
    let kind = |path: &str| -> Value {
        serde_json::from_slice(&fs::read(place.path(path)).unwrap()).unwrap()
    };
    let [own, other] = ["base/model/config.json", "full/model/config.json"].map(kind);
    assert_eq!(own, other);
    // Written down, it trains the same model again.
    let again = place.json(&["train", "--config", "full/run.toml", "--out", "again"]);
    let first = place.json(&["train", "--resume", "full", "--steps", "6"]);
    assert_eq!(again["weights_sha256"], first["weights_sha256"]);
    // All weights are in the state: it resumes without the model that it began with.
    fs::rename(place.path("base"), place.path("elsewhere")).unwrap();
    let more = place.json(&["train", "--resume", "full", "--steps", "9"]);
    assert_eq!(more["steps"], 9);
    assert!(loss(&more) < loss(&first) + 0.5);
}

#[test]
fn adapters_are_trained_resumed_read_and_merged() {
    let place = trained(&[]);
    let told = stderr(&place.run(&on(&[
        "--lora",
        "2",
        "--lora-targets",
        "c_attn,mlp.c_proj",
        "--out",
        "lora",
    ])));
    says(&told, &["learned", "adapters: rank 2, factor 1, beside query_key_value, contracted"]);
    let files: Vec<String> = fs::read_dir(place.path("lora/model"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(files.iter().any(|name| name == "adapter_model.safetensors"), "{files:?}");
    assert!(!files.iter().any(|name| name == "model.safetensors"), "{files:?}");

    // Interrupted after three steps and resumed: the same adapters.
    let short = ["--lora", "2", "--steps", "3", "--warmup", "0", "--schedule", "constant"];
    place.json(&on(&[&short[..], &["--out", "short"]].concat()));
    let whole = place.json(&[
        "train",
        "--config",
        "short/run.toml",
        "--steps",
        "6",
        "--warmup",
        "0",
        "--out",
        "whole",
    ]);
    let resumed = place.json(&["train", "--resume", "short", "--steps", "6"]);
    assert_eq!(whole["weights_sha256"], resumed["weights_sha256"]);

    // Read as a model by every verb; merged it is the same model.
    let measured = place.json(&["evaluate", "lora"]);
    place.fine(&["merge", "lora", "--out", "merged"]);
    let merged = place.json(&["evaluate", "merged", "--data", "text.txt"]);
    let adapted = place.json(&["evaluate", "lora", "--data", "text.txt"]);
    assert_eq!(merged["loss"], adapted["loss"]);
    assert!(measured["loss"].as_f64().unwrap() > 0.0);
    let [own, other] = ["lora", "merged"].map(|m| {
        place.fine(&["generate", m, "--prompt", "the ", "--tokens", "9", "--temperature", "0"])
    });
    assert_eq!(own, other);
    let certified = place.fine(&["check", "lora", "--threads", "1"]);
    says(
        &certified,
        &[
            "adapters begin as the model itself",
            "merged adapters predict the same",
            "frozen weights do not change",
            "all that is learned moves",
            "certificates hold",
        ],
    );
    let diagnosed = place.run(&["diagnose", "lora", "--steps", "5"]);
    says(&String::from_utf8_lossy(&diagnosed.stdout), &["5 watched"]);
    let explained = place.fine(&["explain", "lora", "--out", "lora.html", "--threads", "1"]);
    says(&explained, &["frozen ", "adapter     block.0.attention", "effective rank", "of 2"]);

    // Adapters beside adapters, and a merge into their own model, would lose what they need.
    says(&place.refused(&on(&["--from", "lora", "--lora", "2"])), &["merge them first"]);
    let own = ["merge", "lora", "--out", "base/model", "--overwrite"];
    says(&place.refused(&own), &["base/model is the model that the adapters belong to"]);

    // With dropout of their input, too; and before the first checkpoint.
    place.json(&on(&["--lora", "2", "--lora-dropout", "0.3", "--out", "dropped"]));
    says(&place.fine(&["check", "dropped", "--threads", "1"]), &["certificates hold"]);
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::remove_file(place.path("dropped/model").join(file)).unwrap();
    }
    fs::remove_file(place.path("dropped/state.safetensors")).unwrap();
    says(&place.fine(&["check", "dropped", "--threads", "1"]), &["certificates hold"]);

    // The model may lie elsewhere when the run resumes.
    fs::rename(place.path("base"), place.path("elsewhere")).unwrap();
    says(&place.refused(&["train", "--resume", "short", "--steps", "8"]), &["--from"]);
    place.json(&["train", "--resume", "short", "--steps", "8", "--from", "elsewhere"]);
    fs::rename(place.path("elsewhere"), place.path("base")).unwrap();

    // The model beside which they stand must be the same.
    let path = place.path("base/model/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&0.125_f32.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    says(
        &place.refused(&["evaluate", "lora", "--data", "text.txt"]),
        &["model.safetensors", "damaged"],
    );
    says(
        &place.refused(&["train", "--resume", "short", "--steps", "9"]),
        &["needs them again to resume"],
    );
}

#[test]
fn weights_stand_still_by_their_names() {
    let place = trained(&["--layers", "2"]);
    let told = stderr(&place.run(&on(&["--freeze", "embedding.*,block.0.*", "--out", "upper"])));
    says(&told, &["learned", "of them; the others are frozen"]);
    let weights = |model: &str| {
        let bytes = fs::read(place.path(model).join("model/model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut all: Vec<(String, Vec<u8>)> =
            file.tensors().into_iter().map(|(name, t)| (name, t.data().to_vec())).collect();
        all.sort();
        all
    };
    for ((name, before), (_, after)) in weights("base").into_iter().zip(weights("upper")) {
        let frozen = ["wte", "wpe", "h.0."].iter().any(|part| name.contains(part));
        // A GPT-2 without biases has zeros in its file.
        let zeros = before.iter().all(|&b| b == 0);
        assert_eq!(before == after, frozen || zeros, "{name}");
    }
    let resumed = place.json(&["train", "--resume", "upper", "--steps", "8"]);
    assert_eq!(resumed["steps"], 8);
    says(
        &place.fine(&["check", "upper", "--threads", "1"]),
        &["frozen weights do not change", "certificates hold"],
    );
    // Without a model: random features stand still, and the rest is learned.
    let report = place.train(&["--learn", "block.*,norm.*", "--out", "features"]);
    assert!(loss(&report) > 0.0);
    place.json(&["train", "--resume", "features", "--steps", "6"]);
}

#[test]
fn what_cannot_go_on_is_refused_and_nothing_is_written() {
    let place = trained(&[]);
    let before = place.files();
    for (arguments, parts) in [
        (on(&["--lora", "0"]), &["the adapter's rank: found 0, expected 1 to 16"][..]),
        (on(&["--lora", "1000"]), &["the adapter's rank: found 1000", "1 to 16"]),
        (
            on(&["--lora", "2", "--lora-targets", "q_proj"]),
            &["\"q_proj\", which is no linear map of this gpt2", "c_attn"],
        ),
        (on(&["--lora", "2", "--lora-alpha", "0"]), &["alpha: found 0"]),
        (on(&["--lora", "2", "--lora-dropout", "1"]), &["dropout: found 1"]),
        (on(&["--lora", "2", "--freeze", "*"]), &["absent beside adapters"]),
        (on(&["--lora-alpha", "2"]), &["lora_alpha", "absent without lora"]),
        (on(&["--freeze", "*"]), &["nothing to train"]),
        (on(&["--freeze", "layers.*"]), &["\"layers.*\", which no weight matches", "block.0.*"]),
        (on(&["--width", "32"]), &["--width is fixed by the model of --from", "16"]),
        (on(&["--layers", "9"]), &["--layers is fixed"]),
        (on(&["--tokenizer", "bytes"]), &["--tokenizer is fixed by --from"]),
        (on(&["--context", "99"]), &["--context is 99", "16 tokens"]),
        (on(&["--parametrization", "mup"]), &["parametrization"]),
        (vec!["train", "--from", "nowhere", "--data", "text.txt"], &["nowhere holds no model"]),
        (vec!["train", "--lora", "2", "--data", "text.txt"], &["--lora", "--from"]),
        (vec!["merge", "base", "--out", "merged"], &["base holds no adapters"]),
        (vec!["ablate", "tied=true,false", "--answers", "--time", "9s"], &["--answers"]),
        (vec!["plan", "--from", "base", "--time", "9s"], &["only train starts from a model"]),
    ] {
        says(&place.refused(&arguments), parts);
        assert!(place.files() == before, "{arguments:?} wrote something");
    }
}

/// What a fine-tuning lost of earlier text is measured, on text that the first model writes or that is given.
#[test]
fn what_is_forgotten_is_diagnosed() {
    let place = Place::new();
    let text = |word: &str| format!("{word} ").repeat(2000);
    fs::write(place.path("old.txt"), text("abcdefgh")).unwrap();
    fs::write(place.path("new.txt"), text("hgfedcba")).unwrap();
    let model = ["--layers", "1", "--width", "32", "--heads", "2", "--context", "32"];
    let usual = ["--batch", "4", "--learning-rate", "1e-2", "--warmup", "0", "--threads", "1"];
    let old = ["train", "--data", "old.txt", "--steps", "60", "--out", "base"];
    place.json(&[&old[..], &model, &usual].concat());
    let new = ["train", "--from", "base", "--data", "new.txt", "--steps", "60", "--out", "new"];
    place.json(&[&new[..], &usual].concat());
    for before in [&[][..], &["--before", "old.txt"]] {
        let found = place.run(&[&["diagnose", "new", "--steps", "5"][..], before].concat());
        let (out, told) = (String::from_utf8_lossy(&found.stdout).into_owned(), stderr(&found));
        assert_eq!(found.status.code(), Some(1), "{out}{told}");
        says(
            &out,
            &[
                "forgetting",
                "rose from",
                "earlier    text from before this training:",
                "that the model knew are lost",
                "--lora",
            ],
        );
        let whose = if before.is_empty() { "generated by the base model" } else { "of --before" };
        says(&told, &["forgetting is measured on text ", whose]);
    }
    // More of the same is not forgotten.
    let same = ["train", "--from", "base", "--data", "old.txt", "--steps", "20", "--out", "same"];
    place.json(&[&same[..], &usual].concat());
    let found = place.run(&["diagnose", "same", "--steps", "5"]);
    let out = String::from_utf8_lossy(&found.stdout);
    assert!(!out.contains("forgetting"));
    says(&out, &["earlier    text from before this training:", "were known"]);

    says(
        &place.refused(&["diagnose", "base", "--before", "old.txt"]),
        &["began with no model (--from)"],
    );
    says(
        &place.refused(&["diagnose", "--before", "old.txt"]),
        &["name a run that began with a model"],
    );
    fs::rename(place.path("base"), place.path("elsewhere")).unwrap();
    let found = place.run(&["diagnose", "same", "--steps", "5"]);
    says(&stderr(&found), &["what was forgotten is not measured", "base"]);
}

/// A finished fine-tuning at too high a rate ends at a low one: it is trained again from the model that it began with.
#[test]
fn a_rate_too_high_for_a_fine_tuning_is_found_when_it_is_over() {
    let place = Place::new();
    place.train(&["--steps", "60", "--warmup", "0", "--out", "base"]);
    let hot = ["--learning-rate", "3", "--warmup", "0", "--schedule", "cosine", "--steps", "40"];
    place.json(&on(&[&hot[..], &["--min-learning-rate", "1e-6", "--out", "hot"]].concat()));
    let found = place.run(&["diagnose", "hot", "--steps", "5"]);
    let (out, told) = (String::from_utf8_lossy(&found.stdout).into_owned(), stderr(&found));
    assert_eq!(found.status.code(), Some(1), "{out}{told}");
    says(&told, &["training again from its beginning"]);
    says(&out, &["learning rate above the stability limit", "tried from step 0 on"]);
}

/// Not the model of `--from`, that of `--teacher`, or the one that adapters belong to.
#[test]
fn a_run_does_not_replace_the_model_that_it_needs() {
    let place = trained(&[]);
    place.fine(&on(&["--lora", "2", "--out", "adapters"]));
    let before = place.files();
    for out in ["base", "base/model", "."] {
        let message = place.refused(&on(&["--lora", "2", "--out", out, "--overwrite"]));
        says(&message, &["holds the model of --from", "give another --out"]);
        let message = place.refused(&on(&["--from", "adapters", "--out", out, "--overwrite"]));
        says(&message, &["holds the model of --from"]);
    }
    let teacher = ["--teacher", "adapters", "--out", "adapters", "--overwrite"];
    says(&place.refused(&on(&teacher)), &["holds the model of --teacher"]);
    assert_eq!(place.files(), before, "something was written");
    place.fine(&on(&["--out", "base-2"]));
}

#[test]
fn a_run_that_made_the_model_worse_says_so() {
    let place = trained(&[]);
    let told = stderr(&place.run(&on(&["--learning-rate", "3", "--out", "worse"])));
    says(&told, &["this run made the model worse", "diagnose worse looks for the cause"]);
    let told = stderr(&place.run(&on(&["--out", "better"])));
    assert!(!told.contains("worse"), "{told}");
}

#[test]
fn a_preset_has_what_it_is_for() {
    let place = trained(&[]);
    let message = place.refused(&on(&["--preset", "lora", "--out", "run"]));
    says(&message, &["give their rank with --lora"]);
    let message = place.refused(&on(&["--preset", "preferences", "--out", "run"]));
    says(&message, &["--preset preferences is for --preferences"]);
}

/// Of answers, whose chat template is looked for beside the model, and of text with the tokenizer of a run.
#[test]
fn adapters_resume_beside_a_model_that_moved() {
    let place = trained(&[]);
    let lines = "{\"prompt\": \"the quick \", \"completion\": \"brown fox\"}\n".repeat(40);
    fs::write(place.path("answers.jsonl"), lines).unwrap();
    let answers = ["--data", "answers.jsonl", "--answers", "--lora", "2", "--out", "adapters"];
    place.fine(&on(&answers));
    fs::rename(place.path("base"), place.path("moved")).unwrap();
    let message = place.refused(&["train", "--resume", "adapters", "--steps", "8"]);
    says(&message, &["give them with --from"]);
    let more = place.json(&["train", "--resume", "adapters", "--steps", "8", "--from", "moved"]);
    assert_eq!(more["steps"], 8);
    place.train(&["--tokenizer", "./moved", "--out", "other", "--steps", "2"]);
}
