//! Chat templates against transformers: `authority/chat.py` made the table.

use serde_json::Value;
use std::path::Path;
use transformer::text::chat::{ChatTemplate, Message};

#[test]
fn conversations_are_those_of_transformers() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("authority/chat.json");
    let rows: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(table).unwrap()).unwrap();
    assert!(rows.len() >= 50);
    let mut wrong = Vec::new();
    for row in &rows {
        let source = row["template"].as_str().unwrap();
        let template =
            ChatTemplate::new(source, &[("bos_token", "<s>"), ("eos_token", "</s>")]).unwrap();
        let messages: Vec<Message> = serde_json::from_value(row["messages"].clone()).unwrap();
        let found = template.render(&messages);
        let fine = match (&found, &row["text"]) {
            (Ok(text), Value::String(expected)) => text == expected,
            (Err(error), expected) => {
                error.to_string().contains(expected["error"].as_str().unwrap_or("\0"))
            }
            _ => false,
        };
        if !fine {
            wrong.push(format!("{}: {found:?}\n  expected {}", row["name"], row["text"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
