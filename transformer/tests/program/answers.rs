//! Training on conversations, of which only the answers are learned.

use super::place::{Place, Running, TEXT, says, stderr};
use serde_json::{Value, json};
use std::fs;
use std::process::Stdio;

const TEMPLATE: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}\n{% endfor %}\
                        {% if add_generation_prompt %}<assistant>{% endif %}";

/// A place with a tokenizer that has a chat template, in `with/model`, and one without, in `without/model`.
fn place() -> Place {
    let place = Place::new();
    let words = "<user>what is one plus two?\n<assistant>the sum is three.\n";
    fs::write(place.path("text.txt"), [TEXT, words].concat().repeat(40)).unwrap();
    for out in ["with", "without"] {
        place.train(&["--tokenizer", "bpe:300", "--out", out, "--steps", "1"]);
    }
    fs::write(place.path("with/model/chat_template.jinja"), TEMPLATE).unwrap();
    place
}

fn chat(i: usize) -> Value {
    let user = |text: String| json!({"role": "user", "content": text});
    let assistant = |text: String| json!({"role": "assistant", "content": text});
    let mut messages =
        vec![user(format!("what is {i} plus one?")), assistant(format!("the sum is {}.", i + 1))];
    if i.is_multiple_of(3) {
        messages
            .extend([user("and the dog?".to_owned()), assistant("it does not mind.".to_owned())]);
    }
    json!({"messages": messages, "id": i})
}

fn write(place: &Place, name: &str, lines: &[Value]) {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(place.path(name), lines).unwrap();
}

const TRAIN: [&str; 9] = [
    "--data",
    "chats.jsonl",
    "--answers",
    "--tokenizer",
    "with/model",
    "--context",
    "96",
    "--steps",
    "6",
];

/// The text of an example, without what is not learned, and what is learned.
fn learned(said: &str) -> (String, String) {
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  | ")).collect();
    let text = lines.join("\n");
    let inside = text.split('⟦').skip(1).map(|part| part.split('⟧').next().unwrap());
    (text.replace(['⟦', '⟧'], ""), inside.collect::<Vec<_>>().concat())
}

/// Every command knows that a run learned answers: it measures these, with the template that it learned them through.
#[test]
fn answers_are_learned_measured_and_given() {
    let place = place();
    let chats: Vec<Value> = (0..40).map(chat).collect();
    write(&place, "chats.jsonl", &chats);
    let output = place.run(&place.training(&[&TRAIN[..], &["--json"]].concat()));
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    says(&said, &["tokens are answers', and only these are learned", "conversations in "]);
    assert!(!said.contains("cut      ") && !said.contains("dropped  "), "{said}");
    let (text, own) = learned(&said);
    let first = chats.iter().map(|chat| {
        let messages = chat["messages"].as_array().unwrap();
        let line = |m: &Value| {
            let part = |name: &str| m[name].as_str().unwrap();
            format!("<{}>{}<|endoftext|>\n", part("role"), part("content"))
        };
        let answers = messages.iter().filter(|m| m["role"] == "assistant");
        let answers = answers.map(|m| format!("{}<|endoftext|>", m["content"].as_str().unwrap()));
        (messages.iter().map(line).collect::<String>(), answers.collect::<String>())
    });
    let shown = first.collect::<Vec<_>>();
    assert!(shown.contains(&(format!("{text}\n"), own.clone())), "{text:?} {own:?}");

    // What is held back is measured alike by `train` and by `evaluate`, and nothing else counts.
    let measured = place.json(&["evaluate", "run"]);
    assert_eq!(measured["tokens"], report["validation_tokens"]);
    assert_eq!(report["held_back_tokens"], report["validation_tokens"]);
    let [one, other] = [&measured["loss"], &report["validation_loss"]].map(|x| x.as_f64().unwrap());
    assert!((one / other - 1.0).abs() < 1e-5, "{one} {other}");
    assert_eq!((&measured["baselines"], &report["baselines"]), (&json!({}), &json!({})));
    let all = place.json(&["evaluate", "run", "--data", "chats.jsonl"]);
    assert!(all["tokens"].as_u64() > measured["tokens"].as_u64(), "{all}");
    write(&place, "one.jsonl", &chats[..1]);
    let one = place.json(&["evaluate", "run", "--data", "one.jsonl"]);
    write(&place, "two.jsonl", &chats[..2]);
    let two = place.json(&["evaluate", "run", "--data", "two.jsonl", "--batch", "1"]);
    write(&place, "second.jsonl", &chats[1..2]);
    let second = place.json(&["evaluate", "run", "--data", "second.jsonl"]);
    // Two conversations in one window have the losses of each alone.
    let nats = |of: &Value| of["loss"].as_f64().unwrap() * of["tokens"].as_f64().unwrap();
    assert!(
        (nats(&one) + nats(&second) - nats(&two)).abs() < 1e-4 * nats(&two),
        "{one} {second} {two}"
    );

    // The template goes with the model; without the tokenizer's directory, the run resumes and talks.
    let saved = fs::read_to_string(place.path("run/model/chat_template.jinja")).unwrap();
    assert_eq!(saved, TEMPLATE);
    says(&fs::read_to_string(place.path("run/run.toml")).unwrap(), &["answers = true"]);
    let whole =
        place.train(&[&TRAIN[..7], &["--steps", "9", "--warmup", "0", "--out", "whole"]].concat());
    place.train(&[&TRAIN[..7], &["--steps", "4", "--warmup", "0", "--out", "part"]].concat());
    fs::rename(place.path("with"), place.path("elsewhere")).unwrap();
    let resumed = place.json(&["train", "--resume", "part", "--steps", "9"]);
    assert_eq!(resumed["steps"], whole["steps"]);
    let mut talk = place.command(&["generate", "run", "--chat", "--tokens", "4"]);
    let mut talk = Running::start(talk.stdin(Stdio::piped()));
    talk.write(b"what is 2 plus one?\n");
    let talked = talk.finish();
    assert!(talked.status.success(), "{}", stderr(&talked));
    says(&place.fine(&["check", "run", "--threads", "1"]), &["pass"]);
    place.fine(&["diagnose", "run", "--steps", "2"]);
    place.fine(&["explain", "run", "--list"]);
    place.fine(&["compare", "run", "part"]);
}

/// Prompts and completions, with a template and without one; what is too long is cut and counted.
#[test]
fn completions_are_learned_and_long_ones_are_cut() {
    let place = place();
    let pair = |prompt: &str, completion: &str| json!({"prompt": prompt, "completion": completion});
    let mut lines: Vec<Value> =
        (0..20).map(|i| pair(&format!("{i} plus one is"), &format!(" {}.", i + 1))).collect();
    write(&place, "chats.jsonl", &lines);
    let given = ["--data", "chats.jsonl", "--answers", "--overwrite", "--context", "64"];
    let said = |more: &[&str]| {
        let output = place.run(&place.training(&[&given[..], more].concat()));
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let plain = said(&["--tokenizer", "without/model"]);
    says(&plain, &["there is no chat template", "<|endoftext|>⟧"]);
    assert!(!place.path("run/model/chat_template.jinja").exists());
    let (text, own) = learned(&plain);
    assert!(
        text.contains(" plus one is ") && own.starts_with(' ') && own.ends_with("<|endoftext|>"),
        "{own}"
    );
    // Characters of all conversations are a vocabulary.
    for tokenizer in ["chars", "bytes", "bpe:270"] {
        let said = said(&["--tokenizer", tokenizer]);
        assert!(learned(&said).0.contains(" plus one is "), "{said}");
    }
    let chatted = said(&["--tokenizer", "with/model"]);
    assert!(learned(&chatted).0.starts_with("<user>"), "{chatted}");
    assert!(place.path("run/model/chat_template.jinja").exists());
    // A run that replaces it has no template of its own.
    said(&["--tokenizer", "without/model"]);
    assert!(!place.path("run/model/chat_template.jinja").exists());
    let last = json!({"role": "user", "content": "thanks"});
    let two = [("user", "hi"), ("assistant", "hello")];
    let two: Vec<Value> = two.iter().map(|(r, c)| json!({"role": r, "content": c})).collect();
    lines.push(json!({"messages": [two[0], two[1], last]}));
    lines.push(pair("hi", &"the dog does not mind. ".repeat(60)));
    lines.push(pair(&"the dog does not mind. ".repeat(60), "hi"));
    write(&place, "chats.jsonl", &lines);
    let said = said(&["--tokenizer", "with/model"]);
    says(
        &said,
        &["cut      at the context of 64: the end of 1 conversation (", "1 conversation left out"],
    );
    says(&said, &["dropped  1 message after a last answer"]);
}

/// Data that are no conversations, templates that do not mark answers, settings that do not go together.
#[test]
fn what_cannot_be_learned_is_refused() {
    let place = place();
    let chats: Vec<Value> = (0..12).map(chat).collect();
    write(&place, "chats.jsonl", &chats);
    let refused = |more: &[&str]| place.refused(&place.training(&[more, &["--out", "x"]].concat()));
    says(
        &refused(&["--data", "chats.jsonl"]),
        &["chats.jsonl, line 1: it has no field \"text\"", "--answers learns its answers"],
    );
    let with = |line: Value| {
        let mut lines = chats.clone();
        lines.insert(3, line);
        write(&place, "bad.jsonl", &lines);
        refused(&[&["--data", "bad.jsonl"], &TRAIN[2..]].concat())
    };
    let question = json!([{"role": "user", "content": "why?"}]);
    says(
        &with(json!({ "messages": question })),
        &["bad.jsonl, line 4: it has no answer", "\"user\""],
    );
    says(
        &with(json!({"text": "a"})),
        &["bad.jsonl, line 4: its fields are \"text\"", "\"messages\""],
    );
    says(
        &refused(&[&["--data", "text.txt"], &TRAIN[2..]].concat()),
        &["text.txt is not a file of conv"],
    );
    let stories = ["train", "--answers", "--steps", "1", "--out", "x"];
    says(&place.refused(&stories), &["--answers", "give them with --data"]);
    let field = [&TRAIN[..], &["--field", "body"]].concat();
    says(&refused(&field), &["--field names the text", "leave it out"]);
    let short = [&TRAIN[..5], &["--context", "4"]].concat();
    says(&refused(&short), &["no answer of", "within a window of 4 tokens", "longer context"]);
    let without = [&TRAIN[..3], &["--tokenizer", "without/model"]].concat();
    says(&refused(&without), &["chats.jsonl, line 1: these are messages", "no chat template"]);
    write(&place, "one.jsonl", &chats[..1]);
    says(
        &refused(&[&["--data", "one.jsonl"], &TRAIN[2..]].concat()),
        &["1 conversation", "at least 2"],
    );
    let planned = ["plan", "--data", "chats.jsonl", "--answers", "--time", "1m"];
    says(&place.refused(&planned), &["leave out --answers"]);
    for (template, parts) in [
        (
            "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}",
            ["line 1", "does not mark answers"],
        ),
        (
            "{% for m in messages %}{{ m.content }}\n{% endfor %}<assistant>",
            ["line 1", "differently if more follows"],
        ),
        ("{{ raise_exception('no') }}", ["line 1", "the chat template fails"]),
    ] {
        fs::write(place.path("with/model/chat_template.jinja"), template).unwrap();
        says(&refused(&TRAIN), &parts);
    }
    assert!(!place.path("x").exists());
}
