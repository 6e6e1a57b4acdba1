//! JSON lines: an object whose field is a document.

use crate::printable::{printable, shortened};
use serde_json::Value;

/// Returns the document of a JSON line.
pub(super) fn document(line: &[u8], field: &str) -> Result<String, String> {
    let json: Value = serde_json::from_slice(line).map_err(|e| {
        // Its own line number is that of a file of one line.
        let message = e.to_string().replace(" at line 1 column", ", at column");
        format!("this is not JSON: {}", printable(&message))
    })?;
    let Some(object) = json.as_object() else {
        return Err(format!(
            "this is {}; an object with the field {field:?} is expected",
            shortened(&json)
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
            Err(format!(
                "it has no field {field:?}, but {fields}; --field names the one with the text"
            ))
        }
    }
}
