//! Conversations as text: the chat template of a model puts messages into the form that it was trained on.

use crate::printable::printable;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind};
use serde::{Deserialize, Serialize};
use std::error::Error;
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
        for (name, value) in names {
            environment.add_global((*name).to_owned(), *value);
        }
        environment
            .add_template_owned("chat", source.to_owned())
            .map_err(|e| ChatError::of("has a syntax error", &e))?;
        Ok(ChatTemplate { environment })
    }

    /// Returns the text of a conversation, with the beginning of the assistant's next turn.
    ///
    /// # Errors
    /// A template that refuses these messages, fails, or takes too long.
    pub fn render(&self, messages: &[Message]) -> Result<String, ChatError> {
        let template = self.environment.get_template("chat").expect("it was added");
        let context =
            minijinja::context! { messages => Serde(messages), add_generation_prompt => true };
        let mut text = Bounded(Vec::new());
        let rendered = template.render_captured_to(context, &mut text);
        rendered.map_err(|e| ChatError::of("fails", &e))?;
        Ok(String::from_utf8_lossy(&text.0).into_owned())
    }
}

/// A text of at most [`LONGEST`] bytes.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(std::io::Error::other(format!("it writes more than {LONGEST} bytes")));
        }
        self.0.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
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

    /// Methods of Python's strings, blocks that leave no empty lines, and text that is not escaped.
    #[test]
    fn templates_are_those_of_transformers() {
        let render = |source: &str| {
            let template = ChatTemplate::new(source, &[("bos_token", "<s>")]).unwrap();
            template
                .render(&[Message::new("system", "S"), Message::new("user", " <b> & \"q\" ")])
                .unwrap()
        };
        assert_eq!(render("{{ bos_token }}\n{% if true %}\n  x\n{% endif %}\n"), "<s>\n  x\n");
        assert_eq!(render("{{ messages[1]['content'].strip() }}"), "<b> & \"q\"");
        assert_eq!(
            render(
                "{% if messages[0].role == 'system' %}{{ messages[0].content.startswith('S') }}{% endif %}"
            ),
            "true"
        );
        assert_eq!(
            render(
                "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}"
            ),
            "2"
        );
        assert_eq!(
            render("{{ messages[1] | tojson }}"),
            r#"{"content": " \u003cb\u003e \u0026 \"q\" ", "role": "user"}"#
        );
        assert_eq!(
            render(
                "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ loop.index }}{% endfor %}"
            ),
            "2"
        );
    }
}
