//! Conversations as text: the chat template of a model puts messages into the form that it was trained on.

use crate::printable::printable;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, ErrorKind};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io::{self, Write};
use thiserror::Error;

/// The most operations of a template: a thousand times what those in use need. A template is a program, and can loop.
const FUEL: u64 = 10_000_000;
/// The longest rendered conversation, in bytes.
const LONGEST: usize = 16 << 20;

/// A turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// Returns a turn.
    #[must_use]
    pub fn new(role: &str, content: &str) -> Self {
        Message { role: role.to_owned(), content: content.to_owned() }
    }
}

/// A template that cannot be used, or that refuses a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the chat template {reason}")]
pub struct ChatError {
    reason: String,
}

impl ChatError {
    /// Describes an error with its cause: the message that a template raises is one.
    fn of(what: &str, error: &minijinja::Error) -> Self {
        let cause = error.source().map_or(String::new(), |source| format!(": {source}"));
        let reason = match error.kind() {
            ErrorKind::OutOfFuel => {
                format!("{what}: it takes more than {FUEL} operations; it may loop")
            }
            _ => format!("{what}: {error}{cause}"),
        };
        ChatError { reason: printable(&reason) }
    }
}

/// The chat template of a model: Jinja, as transformers uses it.
///
/// ```
/// use transformer::text::chat::{ChatTemplate, Message};
/// let source = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{{ eos_token }}\n{% endfor %}\
///     {% if add_generation_prompt %}<assistant>{% endif %}";
/// let template = ChatTemplate::new(source, &[("eos_token", "</s>")])?;
/// assert_eq!(template.render(&[Message::new("user", " Hi. ")])?, "<user>Hi.</s>\n<assistant>");
/// # Ok::<(), transformer::text::chat::ChatError>(())
/// ```
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    names: Vec<(String, String)>,
}

impl ChatTemplate {
    /// Compiles a template. `names` are other variables of it, such as `bos_token`.
    ///
    /// # Errors
    /// A template with a syntax error.
    pub fn new(source: &str, names: &[(&str, &str)]) -> Result<Self, ChatError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("the usual delimiters"));
        environment.set_fuel(Some(FUEL));
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<String, minijinja::Error> {
                Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment.add_filter("tojson", to_json);
        for (name, value) in names {
            environment.add_global((*name).to_owned(), *value);
        }
        environment
            .add_template_owned("chat", source.to_owned())
            .map_err(|e| ChatError::of("has a syntax error", &e))?;
        let names =
            names.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(ChatTemplate { environment, source: source.to_owned(), names })
    }

    /// Returns the source of the template.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns its other variables, by name.
    pub fn names(&self) -> &[(String, String)] {
        &self.names
    }

    /// Returns the text of a conversation, with the beginning of the assistant's next turn.
    ///
    /// # Errors
    /// A template that refuses these messages, fails, or takes too long.
    pub fn render(&self, messages: &[Message]) -> Result<String, ChatError> {
        self.rendered(messages, true)
    }

    /// Returns the text of a conversation as it stands, without the beginning of another turn.
    ///
    /// # Errors
    /// See [`ChatTemplate::render`].
    pub fn render_ended(&self, messages: &[Message]) -> Result<String, ChatError> {
        self.rendered(messages, false)
    }

    fn rendered(&self, messages: &[Message], begins: bool) -> Result<String, ChatError> {
        let template = self.environment.get_template("chat").expect("it was added");
        let context =
            minijinja::context! { messages => Serde(messages), add_generation_prompt => begins };
        let mut text = Bounded(Vec::new());
        let rendered = template.render_captured_to(context, &mut text);
        rendered.map_err(|e| ChatError::of("fails", &e))?;
        Ok(String::from_utf8_lossy(&text.0).into_owned())
    }
}

/// Writes a value as Python's `json.dumps` does: with a space after commas and colons, and nothing escaped for HTML.
fn to_json(value: minijinja::Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent = options.get::<Option<usize>>("indent")?.map(|n| " ".repeat(n.min(16)));
    let failed =
        |e: serde_json::Error| minijinja::Error::new(ErrorKind::InvalidOperation, e.to_string());
    let mut out = Vec::new();
    match &indent {
        Some(indent) => {
            let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Python)),
    }
    .map_err(failed)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The separators of Python's `json`.
struct Python;

impl serde_json::ser::Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// A text of at most [`LONGEST`] bytes.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::Error::other(format!("it writes more than {LONGEST} bytes")));
        }
        self.0.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(source: &str) -> String {
        let template = ChatTemplate::new(source, &[]);
        let rendered = template.and_then(|t| t.render(&[Message::new("user", "hi")]));
        rendered.unwrap_err().to_string()
    }

    /// A template that fails, refuses or never ends is told apart, and ends soon.
    #[test]
    fn templates_that_fail_are_named() {
        assert!(message("{% for m in messages %}").contains("syntax error"));
        assert!(
            message("{{ raise_exception('roles must alternate') }}")
                .contains("roles must alternate")
        );
        let loops = "{% for i in range(9999) %}{% for j in range(9999) %}{% for k in range(9999) %}{% endfor %}{% endfor %}\
                     {% endfor %}";
        assert!(message(loops).contains("it may loop"), "{}", message(loops));
        let long = "{% for i in range(99999) %}{{ 'x' * 999 }}{% endfor %}";
        assert!(message(long).contains("fails"), "{}", message(long));
        assert!(message("{{ messages[0].content.nothing() }}").contains("fails"));
        assert!(message("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").contains("fails"));
    }
}
