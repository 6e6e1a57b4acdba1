//! Models at their limits: sizes of 1, numbers that are not finite, long steps, and what is no model.

use super::place::{Place, output, says, stderr};
use serde_json::{Value, json};
use std::fs;
use transformer::Architecture;
use transformer::disk::files;
use transformer::text::tokenizer::Tokenizer;

/// A model whose parameters are all `scale` times numbers about 1, in `model`, with letters as tokens.
fn model(place: &Place, config: &Architecture, scale: f32) {
    let parameters = (0..config.parameters()).map(|i| scale * (i as f32).sin());
    let directory = place.path("model");
    files::write(&directory, config, &parameters.collect::<Vec<_>>()).unwrap();
    let letters: String = ('a'..='z').take(config.vocabulary).collect();
    files::write_tokenizer(&directory, &Tokenizer::characters_of(&letters)).unwrap();
}

#[test]
fn sizes_of_one_are_trained_and_read_again() {
    let place = Place::new();
    fs::write(place.path("letter.txt"), "a".repeat(300)).unwrap();
    for more in [
        &["--context", "1"][..],
        &["--width", "1", "--heads", "1"],
        &["--data", "letter.txt"],
        &["--data", "letter.txt", "--context", "1", "--width", "1", "--heads", "1"],
    ] {
        let report = place.train(&[more, &["--overwrite"]].concat());
        let data = more.iter().position(|a| *a == "--data").map_or("text.txt", |i| more[i + 1]);
        let measured = place.json(&["evaluate", "run", "--data", data]);
        assert!(measured["loss"].as_f64().is_some_and(f64::is_finite), "{more:?}");
        let sum = |report: &Value| report["weights_sha256"].clone();
        let again = place.train(&[more, &["--overwrite", "--threads", "2"]].concat());
        assert_eq!(sum(&report), sum(&again), "{more:?}");
    }
    // Position tables start at small numbers, not at a gain's 1: by what they are, not by their sizes.
    let mut one = transformer::RecordedStep::<f32>::record(
        &Architecture {
            vocabulary: 1,
            context: 1,
            width: 1,
            heads: 1,
            hidden: 1,
            ..Architecture::default()
        },
        1,
        1,
        transformer::Form::Fused,
        0,
    )
    .unwrap();
    one.initialise(1);
    for p in one.tape().parameter_list() {
        let x = one.tape().parameters()[p.range.start];
        let expected = match (p.name.ends_with(".bias"), transformer::is_vector(&p)) {
            (true, _) => x == 0.0,
            (false, true) => x == 1.0,
            (false, false) => x != 0.0 && x.abs() < 0.2,
        };
        assert!(expected, "{} starts at {x}", p.name);
    }
}

#[test]
fn a_tokenizer_is_written_for_hugging_face() {
    let place = Place::new();
    place.train(&[]);
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(place.path("run/model").join(name)).unwrap()).unwrap()
    };
    assert_eq!(read("tokenizer_config.json")["tokenizer_class"], "PreTrainedTokenizerFast");
    assert_eq!(read("tokenizer_config.json")["clean_up_tokenization_spaces"], false);
    let mut changed = read("tokenizer.json");
    changed["added_tokens"] = json!([{"id": 3, "content": "<|end|>", "special": true}]);
    fs::write(place.path("run/model/tokenizer.json"), changed.to_string()).unwrap();
    let refused = place.refused(&["generate", "run", "--prompt", "the"]);
    says(&refused, &["tokenizer.json: this tokenizer cannot be used", "single_word"]);
    place.fine(&["generate", "run", "--prompt-tokens", "1,2", "--tokens", "3"]);
}

/// A page replaces a page, and no other file: not the text that is explained.
#[test]
fn a_page_replaces_no_other_file() {
    let place = Place::new();
    model(&place, &Architecture { vocabulary: 5, context: 8, ..Architecture::default() }, 1.0);
    let explain =
        |out: &'static str| ["explain", "model", "--text", "abc", "--threads", "1", "--out", out];
    place.fine(&explain("step.html"));
    place.fine(&explain("step.html"));
    fs::write(place.path("letters.txt"), "abcde").unwrap();
    says(&place.refused(&explain("letters.txt")), &["letters.txt", "no HTML page", "--out"]);
    assert_eq!(fs::read_to_string(place.path("letters.txt")).unwrap(), "abcde");
}

/// A prompt that does not fit the context loses its beginning, and that is said.
#[test]
fn a_prompt_longer_than_the_context_is_said() {
    let place = Place::new();
    model(&place, &Architecture { vocabulary: 5, context: 8, ..Architecture::default() }, 1.0);
    let told = |prompt: &str| {
        stderr(&place.run(&["generate", "model", "--prompt", prompt, "--tokens", "2"]))
    };
    says(&told("abcdeabcdea"), &["11 tokens", "context of 8 tokens", "beginning is forgotten"]);
    assert!(!told("abcdeabc").contains("forgotten"));
}

/// Finite weights whose products are not: no verb prints NaN as if it was a result.
#[test]
fn results_that_are_not_finite_are_said_to_be() {
    let place = Place::new();
    let config = Architecture { vocabulary: 5, context: 8, ..Architecture::default() };
    model(&place, &config, 1e38);
    fs::write(place.path("letters.txt"), "abcdeedcba".repeat(9)).unwrap();
    let diagnose = "glassbox diagnose model";
    let evaluated = place.refused(&["evaluate", "model", "--data", "letters.txt"]);
    says(&evaluated, &["the loss is NaN", "not finite", diagnose]);
    says(&place.refused(&["evaluate", "model", "--data", "letters.txt", "--json"]), &[diagnose]);
    let arguments = ["explain", "model", "--text", "abcde", "--out", "step.html"];
    let explained = place.run(&arguments);
    assert_eq!(explained.status.code(), Some(1), "{}", stderr(&explained));
    says(&stderr(&explained), &["The loss is NaN", diagnose]);
    let page = fs::read_to_string(place.path("step.html")).unwrap();
    says(&page, &["The loss is NaN", diagnose]);
    let at = place.run(&["explain", "model", "--text", "abcde", "--at", "loss[0]"]);
    assert_eq!(at.status.code(), Some(1));
    says(&stderr(&at), &[diagnose]);
    // The prompt is there before the first prediction.
    let written = place.run(&["generate", "model", "--prompt", "ab"]);
    assert_eq!(written.status.code(), Some(1), "{}", stderr(&written));
    says(&stderr(&written), &["NaN", "not finite"]);
    place.refused(&["compress", "model", "letters.txt", "--out", "c"]);
    // A model that is well says nothing of the kind.
    model(&place, &config, 1.0);
    let well = place.run(&arguments);
    assert!(well.status.success() && !stderr(&well).contains("diagnose"), "{}", stderr(&well));
    place.fine(&["evaluate", "model", "--data", "letters.txt"]);
}

/// The terms of a weight's gradient are those of tokens, which are named.
#[test]
fn tokens_that_move_a_weight_are_named() {
    let place = Place::new();
    model(&place, &Architecture { vocabulary: 5, context: 16, ..Architecture::default() }, 0.5);
    let of = |text: &str, address: &str| {
        place.fine(&["explain", "model", "--text", text, "--gradient", "--at", address])
    };
    let weight = "block.0.feed_forward.expanded.weight[3,2]";
    let table = of("abcdeabcdea", weight);
    // The largest terms stand there; the rest are summed in one line.
    let mut named = 0;
    for (column, letter) in "abcdeabcdea".chars().enumerate() {
        for line in table.lines().filter(|line| line.contains(&format!("norm_2[2,{column}]"))) {
            assert!(line.ends_with(&format!("token {column} \"{letter}\"")), "{line}");
            named += 1;
        }
    }
    assert!(named >= 8, "{table}");
    says(&of("ecb", weight), &["token 0 \"e\", token 1 \"c\""]);
    let bias = of("abcdeabcdea", "block.0.attention.qkv.bias[0]");
    says(&bias, &["token 4 \"e\"", "token 9 \"e\""]);
    // Of a value, the terms are features.
    let value = place.fine(&["explain", "model", "--text", "abcde", "--at", "block.0.norm_1[2,1]"]);
    assert!(!value.contains("token 1 \""), "{value}");
}

/// The room is that of the whole page.
#[test]
fn a_page_keeps_to_its_room() {
    let place = Place::new();
    let config = Architecture { vocabulary: 8, context: 96, layers: 2, ..Architecture::default() };
    model(&place, &config, 0.3);
    let ids: Vec<String> = (0..96).map(|i| (i * 5 % 8).to_string()).collect();
    let ids = ids.join(",");
    for room in ["0.5", "1", "3"] {
        let arguments = ["explain", "model", "--prompt-tokens", &ids, "--tokens", "96"];
        let report =
            place.json(&[&arguments[..], &["--room", room, "--out", "step.html"]].concat());
        let bytes = fs::metadata(place.path("step.html")).unwrap().len();
        assert_eq!(report["bytes"], bytes);
        let most = room.parse::<f64>().unwrap() * 1e6;
        assert!(bytes as f64 <= most, "{bytes} bytes where {most} are the most");
        assert!(bytes as f64 > 0.8 * most || report["left_out"] == json!([]), "{bytes} of {most}");
    }
    // What is there without any number is said.
    let mut small = place.command(&["explain", "model", "--prompt-tokens", "1,2,3", "--room", "0"]);
    let small = output(&mut small);
    assert!(small.status.success());
    says(&stderr(&small), &["without any number it takes", "more than --room 0"]);
}

#[test]
fn what_is_no_model_is_told_from_what_is_elsewhere() {
    let place = Place::new();
    model(&place, &Architecture { vocabulary: 5, ..Architecture::default() }, 0.1);
    for verb in ["generate", "evaluate", "check", "diagnose", "explain"] {
        for name in ["gpt2", "openai-community/gpt2"] {
            let command = format!("hf download {name} --local-dir DIR");
            says(
                &place.refused(&[verb, name]),
                &["holds no model: there is no such directory", &command],
            );
        }
        let file = place.refused(&[verb, "model/model.safetensors"]);
        says(&file, &["model/model.safetensors is a file", "the directory that holds it: model"]);
        assert!(!place.refused(&[verb, "./none"]).contains("hf download"));
        assert!(!place.refused(&[verb, "/none/of/these"]).contains("hf download"));
    }
    fs::write(place.path("own.toml"), "layers = \"four\"\n").unwrap();
    let settings = place.refused(&["train", "--config", "own.toml", "--data", "text.txt"]);
    says(&settings, &["own.toml", "expected a whole number, 0 or more"]);
    assert!(!settings.contains("usize"), "{settings}");
    let layers = place.refused(&["train", "--data", "text.txt", "--layers", "9223372036854775807"]);
    says(&layers, &["layers is 9223372036854775807; it must be at most 1024"]);
    let rate = place.refused(&["train", "--data", "text.txt", "--learning-rate", "-1e308"]);
    says(&rate, &["learning_rate is -1e308"]);
}
