//! Texts as tokens: pieces of words, tokenizers of others, data in every form, conversations.

use super::place::{Place, Running, TEXT, says, stderr};
use serde_json::{Value, json};
use std::fs;
use std::process::Stdio;

/// A long text is tokenised once, into a file beside the runs. A file that is not whole is not trained on.
#[test]
fn the_tokens_of_a_long_text_are_found_again() {
    let place = Place::new();
    fs::write(place.path("text.txt"), TEXT.repeat((64 << 20) / TEXT.len() + 1)).unwrap();
    let token_files = || -> Vec<_> {
        let files = fs::read_dir(place.path("runs")).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).collect()
    };
    let train = |out: &str| {
        let more = ["--tokenizer", "bytes", "--out", out, "--eval-every", "0", "--json"];
        let output = place.run(&place.training(&more));
        assert!(output.status.success(), "{}", stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (report["weights_sha256"].clone(), stderr(&output))
    };
    let (weights, said) = train("runs/first");
    let [file] = &token_files()[..] else { panic!("one file: {:?}", token_files()) };
    says(&said, &["tokens   written to", file.file_name().unwrap().to_str().unwrap()]);
    let (again, said) = train("runs/second");
    assert_eq!(again, weights);
    says(&said, &["tokens   read from"]);
    let whole = fs::read(file).unwrap();
    fs::write(file, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(train("runs/third").0, weights);
    assert!(fs::read(file).unwrap() == whole && token_files().len() == 1);
    place.fine(&["train", "--resume", "runs/first", "--steps", "6"]);
}

/// Pieces of words are learned, used by every reader, and found again with the model.
#[test]
fn pieces_of_words_from_training_to_compression() {
    let place = Place::new();
    fs::write(place.path("text.txt"), TEXT.repeat(90)).unwrap();
    let report = place.train(&["--tokenizer", "bpe:300", "--context", "8"]);
    let tokenizer = fs::read_to_string(place.path("run/model/tokenizer.json")).unwrap();
    let merges = serde_json::from_str::<Value>(&tokenizer).unwrap()["model"]["merges"].clone();
    assert!(merges.as_array().unwrap().len() > 20);
    let per_token = report["validation_loss"].as_f64().unwrap() / std::f64::consts::LN_2;
    let per_character = report["bits_per_character"].as_f64().unwrap();
    assert!(per_token > 1.5 * per_character, "a token has several characters: {report}");
    let measured = place.json(&["evaluate", "run"]);
    let close = |a: &Value, b: f64| (a.as_f64().unwrap() / b - 1.0).abs() < 0.02;
    assert!(close(&measured["bits_per_character"], per_character), "{measured} {per_character}");
    let written = place.json(&["generate", "run", "--prompt", "the dog", "--tokens", "9"]);
    assert!(written["text"].as_str().unwrap().starts_with("the dog"));
    assert!(written["prompt_tokens"].as_array().unwrap().len() < 7);
    place.fine(&["explain", "run", "--text", "the dog jumps", "--list"]);
    says(&place.fine(&["check", "run", "--threads", "1"]), &["pass"]);
    place.fine(&["diagnose", "run", "--steps", "2"]);
    place.fine(&["compress", "run", "text.txt", "--out", "small"]);
    place.fine(&["decompress", "run", "small", "--out", "again.txt"]);
    assert_eq!(
        fs::read(place.path("again.txt")).unwrap(),
        fs::read(place.path("text.txt")).unwrap()
    );
    // The same settings give the same model.
    let kept = place.path("run/run.toml").display().to_string();
    let again = place.json(&["train", "--config", &kept, "--out", "again"]);
    assert_eq!(again["weights_sha256"], report["weights_sha256"]);
    place.fine(&["train", "--resume", "run", "--steps", "6"]);
    // Any text can be encoded.
    fs::write(place.path("other.txt"), "Größe, 日本語, 🦊\n".repeat(20)).unwrap();
    place.fine(&["evaluate", "run", "--data", "other.txt"]);
}

/// A tokenizer of another model, by its path; its tokens without a text; and what does not fit.
#[test]
fn tokenizers_of_others_are_used_and_refused() {
    let place = Place::new();
    place.train(&["--tokenizer", "bpe:280", "--out", "first", "--context", "8"]);
    place.train(&["--tokenizer", "first/model", "--context", "8"]);
    let read = |name: &str| fs::read(place.path(name)).unwrap();
    assert_eq!(read("run/model/tokenizer.json"), read("first/model/tokenizer.json"));
    says(&fs::read_to_string(place.path("run/run.toml")).unwrap(), &["/first/model\""]);
    // Tokens as nanoGPT stores them.
    let tokens =
        place.json(&["generate", "run", "--prompt", TEXT, "--tokens", "0"])["tokens"].clone();
    let tokens: Vec<u16> = serde_json::from_value(tokens).unwrap();
    let bytes: Vec<u8> = tokens.repeat(20).iter().flat_map(|t| t.to_le_bytes()).collect();
    fs::write(place.path("text.bin"), &bytes).unwrap();
    let refused =
        |more: &[&str]| place.refused(&place.training(&[&["--out", "new"][..], more].concat()));
    says(&refused(&["--data", "text.bin"]), &["text.bin", "it holds tokens", "--tokenizer"]);
    place.train(&[
        "--data",
        "text.bin",
        "--tokenizer",
        "./first/model",
        "--out",
        "ids",
        "--context",
        "8",
    ]);
    let by_tokens = place.json(&["evaluate", "run", "--data", "text.bin"]);
    fs::write(place.path("same.txt"), TEXT.repeat(20)).unwrap();
    let by_text = place.json(&["evaluate", "run", "--data", "same.txt"]);
    assert_eq!(by_tokens["loss"], by_text["loss"]);
    // A model without a tokenizer is measured on tokens.
    fs::remove_file(place.path("run/model/tokenizer.json")).unwrap();
    let bare = place.json(&["evaluate", "run", "--data", "text.bin"]);
    assert_eq!((&bare["loss"], &bare["bits_per_byte"]), (&by_text["loss"], &Value::Null));
    says(&place.refused(&["evaluate", "run", "--data", "text.txt"]), &["no tokenizer", "*.bin"]);
    fs::write(place.path("wild.bin"), [9, 0, 255, 255]).unwrap();
    says(
        &place.refused(&["evaluate", "run", "--data", "wild.bin"]),
        &["token 65535 at place 1", "280"],
    );
    fs::write(place.path("odd.bin"), [9, 0, 255]).unwrap();
    says(
        &place.refused(&["evaluate", "run", "--data", "odd.bin"]),
        &["odd.bin", "3 bytes", "cut off"],
    );
    // Invalid choices.
    says(&refused(&["--tokenizer", "words"]), &["words is no tokenizer", "bpe:N"]);
    says(&refused(&["--tokenizer", "bpe:12"]), &["bpe:12", "257"]);
    says(&refused(&["--tokenizer", "./nowhere"]), &["nowhere", "No such file"]);
    says(&refused(&["--tokenizer", "./text.txt"]), &["text.txt", "not JSON"]);
    assert!(!place.path("new").exists());
}

/// GPT-2's two files stand for a tokenizer, if it is of GPT-2's class.
#[test]
fn two_files_are_a_tokenizer() {
    let place = Place::new();
    place.train(&["--tokenizer", "bpe:280", "--context", "8"]);
    let model = place.path("run/model");
    let own = fs::read_to_string(model.join("tokenizer.json")).unwrap();
    let own: Value = serde_json::from_str(&own).unwrap();
    let expected = place.json(&["generate", "run", "--prompt", "the dog", "--tokens", "5"]);
    let merges = own["model"]["merges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| format!("{} {}\n", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    fs::write(model.join("merges.txt"), merges.collect::<String>()).unwrap();
    fs::write(model.join("vocab.json"), own["model"]["vocab"].to_string()).unwrap();
    fs::remove_file(model.join("tokenizer.json")).unwrap();
    fs::remove_file(model.join("tokenizer_config.json")).unwrap();
    assert_eq!(place.json(&["generate", "run", "--prompt", "the dog", "--tokens", "5"]), expected);
    let class = json!({"tokenizer_class": "Qwen2Tokenizer"});
    fs::write(model.join("tokenizer_config.json"), class.to_string()).unwrap();
    let said = place.refused(&["generate", "run", "--prompt", "the dog"]);
    says(&said, &["Qwen2Tokenizer", "save_pretrained"]);
}

/// A directory of texts, several files and JSON lines hold the same documents, and whole ones are held back.
#[test]
fn documents_in_every_form() {
    let place = Place::new();
    let story = |i: usize| format!("Story {i}: {}", TEXT.repeat(1 + i % 3));
    fs::create_dir_all(place.path("texts/deep")).unwrap();
    let mut lines = String::new();
    for i in 0..30 {
        let name = if i < 15 { format!("texts/{i:02}.txt") } else { format!("texts/deep/{i}.md") };
        let mark = if i == 3 { "\u{feff}" } else { "" };
        fs::write(place.path(&name), mark.to_owned() + &story(i)).unwrap();
        lines += &(json!({"id": i, "body": story(i)}).to_string() + "\n\n");
    }
    fs::write(place.path("all.jsonl"), lines).unwrap();
    let train = |out, more: &[&str]| {
        let given =
            [&["--tokenizer", "bpe:280", "--context", "8", "--out", out][..], more].concat();
        place.run(&place.training(&[&given[..], &["--json"]].concat()))
    };
    let report = |output: &std::process::Output| {
        assert!(output.status.success(), "{}", stderr(output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let directory = train("a", &["--data", "texts"]);
    says(&stderr(&directory), &["read 30 files", "byte order mark before 1 text"]);
    let lines = train("b", &["--data", "all.jsonl", "--field", "body"]);
    // The files in the order of their paths are those of the lines.
    assert_eq!(report(&directory)["weights_sha256"], report(&lines)["weights_sha256"]);
    let held_back = report(&lines)["held_back_tokens"].as_u64().unwrap();
    assert!(held_back > 20, "{held_back}");
    let two =
        train("c", &["--data", "texts/00.txt", "--data", "texts/01.txt", "--data", "text.txt"]);
    report(&two);
    says(&fs::read_to_string(place.path("c/run.toml")).unwrap(), &["data = [", "text.txt\"]"]);
    place.fine(&["evaluate", "c"]);
    // Each document of several is ended by one token; the first token is not predicted.
    let tokens = |files: &[&str]| {
        let data = files.iter().flat_map(|file| ["--data", file]);
        let given: Vec<&str> = ["evaluate", "a"].into_iter().chain(data).collect();
        place.json(&given)["tokens"].as_u64().unwrap() + 1
    };
    let (first, second) = (tokens(&["texts/00.txt"]), tokens(&["text.txt"]));
    assert_eq!(tokens(&["texts/00.txt", "text.txt"]), first + 1 + second + 1);
    place.fine(&["evaluate", "a", "--data", "texts", "--data", "text.txt"]);
    place.fine(&["train", "--resume", "b", "--steps", "5"]);
    // A changed document is another text.
    fs::write(place.path("texts/00.txt"), "changed").unwrap();
    place.refused(&["train", "--resume", "a", "--steps", "9"]);
    let said = stderr(&train("d", &["--data", "all.jsonl"]));
    says(&said, &["all.jsonl, line 1: it has no field \"text\", but \"id\", \"body\"", "--field"]);
    fs::write(place.path("bad.jsonl"), "{\"text\": \"x\"}\n{\"text\": 4}\n").unwrap();
    says(
        &stderr(&train("d", &["--data", "bad.jsonl"])),
        &["bad.jsonl, line 2", "text is expected"],
    );
    assert!(!place.path("d").exists());
}

/// A conversation through the model's template ends its turns by the end token, and is the same as one prompt.
#[test]
fn a_model_talks_in_turns() {
    let place = Place::new();
    fs::write(place.path("text.txt"), TEXT.repeat(90)).unwrap();
    place.train(&["--tokenizer", "bpe:300", "--context", "64"]);
    let model = place.path("run/model");
    let talk = |more: &[&str], input: &str| {
        let mut command = place.command(&[&["generate", "run", "--chat"][..], more].concat());
        let mut child = Running::start(command.stdin(Stdio::piped()));
        child.write(input.as_bytes());
        child.finish()
    };
    says(&stderr(&talk(&[], "hello\n")), &["no chat template", "leave out --chat"]);
    let template =
        "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}\n{% endfor %}assistant:";
    fs::write(model.join("chat_template.jinja"), template).unwrap();
    let greedy = ["--temperature", "0", "--tokens", "6", "--system", "S"];
    let said = talk(&[&greedy[..], &["--json"]].concat(), "hello\n\nthe dog\n");
    assert!(said.status.success(), "{}", stderr(&said));
    let messages = serde_json::from_slice::<Value>(&said.stdout).unwrap()["messages"].clone();
    let roles: Vec<&str> =
        messages.as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
    let content = |i: usize| messages[i]["content"].as_str().unwrap();
    let prompt = "system: S\nuser: hello\nassistant:";
    let alone = |prompt: &str| {
        let given = ["generate", "run", "--temperature", "0", "--tokens", "6", "--prompt", prompt];
        let text = place.json(&given)["text"].as_str().unwrap().to_owned();
        text[prompt.len()..].to_owned()
    };
    assert_eq!(content(2), alone(prompt));
    let second = format!("{prompt} {}\nuser: the dog\nassistant:", content(2).trim());
    assert_eq!(content(4), alone(&second));
    let printed = talk(&greedy, "hello\n");
    assert_eq!(String::from_utf8_lossy(&printed.stdout), content(2).to_owned() + "\n");
    // A token that ends a text ends the turn.
    let first =
        place.json(&["generate", "run", "--temperature", "0", "--tokens", "3", "--prompt", prompt]);
    let third = first["new_tokens"][2].clone();
    fs::write(model.join("generation_config.json"), json!({"eos_token_id": [third]}).to_string())
        .unwrap();
    let ended =
        place.json(&["generate", "run", "--temperature", "0", "--tokens", "9", "--prompt", prompt]);
    let new = ended["new_tokens"].as_array().unwrap();
    assert!(new.len() <= 2 && !new.contains(&third), "{ended}");
    let whole = [
        "generate",
        "run",
        "--temperature",
        "0",
        "--tokens",
        "9",
        "--prompt",
        prompt,
        "--ignore-end",
    ];
    assert_eq!(place.json(&whole)["new_tokens"].as_array().unwrap().len(), 9);
    // Templates that refuse, and broken ones.
    for (template, parts) in [
        ("{{ raise_exception('no system') }}", ["chat template fails", "no system"]),
        ("{% for m in %}", ["chat_template.jinja", "syntax error"]),
    ] {
        fs::write(model.join("chat_template.jinja"), template).unwrap();
        let said = talk(&[], "hello\n");
        assert_eq!(said.status.code(), Some(1));
        says(&stderr(&said), &parts);
    }
}
