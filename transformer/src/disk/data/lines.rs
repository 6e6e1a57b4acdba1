//! JSON lines: an object whose field is a document, or which is a conversation.

use crate::printable::{printable, shortened};
use crate::text::conversation::Conversation;
use crate::text::preference::{Example, Preference};
use serde_json::Value;

/// What a JSON line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A document: the field of this name.
    Field(String),
    /// A conversation, which is kept as it is written.
    Conversation,
    /// A preference, which is kept as it is written.
    Preference,
}

impl Line {
    /// Whether a line is kept as it is written, and parsed when it is needed.
    pub(super) fn is_example(&self) -> bool {
        !matches!(self, Line::Field(_))
    }
}

impl Default for Line {
    fn default() -> Self {
        Line::Field(String::new())
    }
}

/// Returns the document of a JSON line; the line itself if it is a conversation or a preference.
pub(super) fn document(line: &[u8], form: &Line) -> Result<String, String> {
    let json = parsed(line)?;
    match form {
        Line::Field(field) => of_field(&json, field),
        form => {
            example_of(&json, form)?;
            Ok(String::from_utf8_lossy(line).into_owned())
        }
    }
}

/// Returns what a line holds that was read as a document.
pub(super) fn example(line: &[u8], form: &Line) -> Result<Example, String> {
    example_of(&parsed(line)?, form)
}

fn example_of(json: &Value, form: &Line) -> Result<Example, String> {
    let example = match form {
        Line::Preference => Preference::from_json(json).map(Example::Preference),
        _ => Conversation::from_json(json).map(Example::Conversation),
    };
    example.map_err(|e| e.to_string())
}

fn parsed(line: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(line).map_err(|e| {
        // Its own line number is that of a file of one line.
        let message = e.to_string().replace(" at line 1 column", ", at column");
        format!("this is not JSON: {}", printable(&message))
    })
}

fn of_field(json: &Value, field: &str) -> Result<String, String> {
    let Some(object) = json.as_object() else {
        return Err(format!(
            "this is {}; an object with the field {field:?} is expected",
            shortened(json)
        ));
    };
    match object.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => {
            Err(format!("its field {field:?} is {}; text is expected", shortened(other)))
        }
        None => {
            let fields = object.keys().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(", ");
            let fields = printable(&fields);
            let chat = object.contains_key("messages")
                || object.contains_key("prompt") && object.contains_key("completion");
            let pair = object.contains_key("chosen") && object.contains_key("rejected");
            let also = match (chat, pair) {
                (true, _) => "; this is a conversation: --answers learns its answers",
                (_, true) => "; this is a preference: --preferences learns from it",
                _ => "",
            };
            Err(format!(
                "it has no field {field:?}, but {fields}; --field names the one with the text{also}"
            ))
        }
    }
}
