//! Preferences: two answers to one prompt, of which one was chosen.

use crate::text::chat::{ChatTemplate, Message};
use crate::text::conversation::{
    ASSISTANT, Conversation, ConversationError, Marked, form, last_answer, messages_of, text_of,
    turns,
};
use crate::text::tokenizer::Tokenizer;
use serde_json::Value;

/// A preference between two conversations that begin alike.
///
/// ```
/// use transformer::text::preference::Preference;
/// use transformer::text::tokenizer::Tokenizer;
/// let line = r#"{"prompt": "2+2=", "chosen": "4", "rejected": "5"}"#;
/// let preference = Preference::from_json(&serde_json::from_str(line)?)?;
/// let [chosen, rejected] = preference.mark(&Tokenizer::bytes(), None)?;
/// assert_eq!(chosen.tokens, b"2+2=4\n".map(u32::from));
/// assert_eq!(rejected.answer, [false, false, false, false, true, true]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    chosen: Conversation,
    rejected: Conversation,
    /// The number of messages that both begin with, from which nothing is learned.
    shared: usize,
}

impl Preference {
    /// Reads a preference: an object with the fields `prompt`, `chosen` and `rejected`, which are texts, or lists of messages;
    /// without `prompt`, the two lists begin with it. Other fields are ignored.
    ///
    /// # Errors
    /// Another object, answers that are equal, or lists without an answer.
    pub fn from_json(object: &Value) -> Result<Self, ConversationError> {
        let expected =
            "\"prompt\", \"chosen\" and \"rejected\" are expected, texts or lists of messages";
        let Some(fields) = object.as_object() else {
            let found = crate::printable::shortened(object);
            return Err(form(format!("this is {found}; an object with {expected}")));
        };
        let field = |name: &str| {
            fields.get(name).ok_or_else(|| {
                let found = fields.keys().map(|key| format!("{key:?}")).collect::<Vec<_>>();
                let found = crate::printable::printable(&found.join(", "));
                form(format!("its fields are {found}; {expected}"))
            })
        };
        let [chosen, rejected] = ["chosen", "rejected"].map(field);
        let (chosen, rejected) = (chosen?, rejected?);
        if chosen == rejected {
            let reason = "its \"chosen\" and \"rejected\" are equal: there is nothing to prefer; leave the line out";
            return Err(form(reason.to_owned()));
        }
        let prompt = fields.get("prompt").filter(|prompt| !prompt.is_null());
        if chosen.is_string() {
            let prompt =
                text_of(prompt.map_or_else(|| field("prompt"), Ok)?, "its field \"prompt\"")?;
            let side = |value: &Value, name: &str| {
                let completion = text_of(value, &format!("its field {name:?}"))?;
                Ok::<_, ConversationError>(Conversation::Completion {
                    prompt: prompt.clone(),
                    completion,
                })
            };
            let (chosen, rejected) = (side(chosen, "chosen")?, side(rejected, "rejected")?);
            return Ok(Preference { chosen, rejected, shared: 0 });
        }
        let before = match prompt {
            Some(Value::String(text)) => vec![Message::new("user", text)],
            Some(prompt) => messages_of(prompt, "its field \"prompt\"")?,
            None => vec![],
        };
        let side = |value: &Value, name: &str| {
            let own = messages_of(value, &format!("its field {name:?}"))?;
            last_answer(&own)?;
            Ok::<_, ConversationError>([&before[..], &own].concat())
        };
        let (chosen, rejected) = (side(chosen, "chosen")?, side(rejected, "rejected")?);
        let same = chosen.iter().zip(&rejected).take_while(|(a, b)| a == b).count();
        for messages in [&chosen, &rejected] {
            if !messages[same..].iter().any(|message| message.role == ASSISTANT) {
                let reason =
                    "one of its sides has no answer after the messages that both begin with";
                return Err(form(reason.to_owned()));
            }
        }
        let [chosen, rejected] = [chosen, rejected].map(Conversation::Messages);
        Ok(Preference { chosen, rejected, shared: same })
    }

    /// Returns everything that is said, a line a message.
    pub fn text(&self) -> String {
        self.chosen.text() + &self.rejected.text()
    }

    /// Returns the tokens of the chosen and of the rejected conversation, with the answers' marked that differ.
    ///
    /// # Errors
    /// See [`Conversation::mark`]; answers whose tokens are equal, or that nothing stands before.
    pub fn mark(
        &self,
        tokenizer: &Tokenizer,
        template: Option<&ChatTemplate>,
    ) -> Result<[Marked; 2], ConversationError> {
        let side = |side: &Conversation| match (side, template) {
            (Conversation::Messages(messages), Some(template)) => {
                turns((messages, self.shared), tokenizer, template)
            }
            (side, template) => side.mark(tokenizer, template),
        };
        let sides = [side(&self.chosen)?, side(&self.rejected)?];
        if sides[0].tokens == sides[1].tokens {
            let reason = "its two answers have the same tokens: there is nothing to prefer; leave the line out";
            return Err(form(reason.to_owned()));
        }
        if sides.iter().any(|side| side.answer.first() == Some(&true)) {
            let reason = "its prompt is empty, and the first token of an answer is predicted from the one before it: give a prompt";
            return Err(form(reason.to_owned()));
        }
        Ok(sides)
    }
}

/// The contents of a line of data: a conversation, or a preference between two.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Example {
    /// A conversation.
    Conversation(Conversation),
    /// A preference.
    Preference(Preference),
}

impl Example {
    /// Returns everything that is said, a line a message.
    pub fn text(&self) -> String {
        match self {
            Example::Conversation(conversation) => conversation.text(),
            Example::Preference(preference) => preference.text(),
        }
    }

    /// Returns the text of every answer that is learned.
    pub fn answers(&self) -> Vec<&str> {
        match self {
            Example::Conversation(conversation) => conversation.answers(0),
            Example::Preference(Preference { chosen, rejected, shared }) => {
                [chosen, rejected].into_iter().flat_map(|side| side.answers(*shared)).collect()
            }
        }
    }

    /// Returns the tokens of the conversation, or of the chosen and the rejected one, with the answers' marked.
    ///
    /// # Errors
    /// See [`Conversation::mark`] and [`Preference::mark`].
    pub fn mark(
        &self,
        tokenizer: &Tokenizer,
        template: Option<&ChatTemplate>,
    ) -> Result<Vec<Marked>, ConversationError> {
        match self {
            Example::Conversation(conversation) => {
                Ok(vec![conversation.mark(tokenizer, template)?])
            }
            Example::Preference(preference) => Ok(preference.mark(tokenizer, template)?.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Preference, ConversationError> {
        Preference::from_json(&serde_json::from_str(line).unwrap())
    }

    const TEMPLATE: &str = "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }};{% endfor %}\
        {% if add_generation_prompt %}<a>{% endif %}";

    /// The tokens of both sides, with those that are not compared as dots.
    fn shown(line: &str) -> [String; 2] {
        let template = ChatTemplate::new(TEMPLATE, &[]).unwrap();
        let sides = read(line).unwrap().mark(&Tokenizer::bytes(), Some(&template)).unwrap();
        sides.map(|side| {
            let marked = side.tokens.iter().zip(&side.answer);
            marked.map(|(&t, own)| if *own { char::from(t as u8) } else { '·' }).collect()
        })
    }

    #[test]
    fn texts_and_messages_and_shared_prompts_say_the_same() {
        let expected = ["········yes;", "········no;"];
        for line in [
            r#"{"prompt": "?", "chosen": "yes", "rejected": "no"}"#,
            r#"{"prompt": [{"role": "user", "content": "?"}], "chosen": [{"role": "assistant", "content": "yes"}],
                "rejected": [{"role": "assistant", "content": "no"}]}"#,
            r#"{"chosen": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "yes"}],
                "rejected": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "no"}], "score": 3}"#,
        ] {
            assert_eq!(shown(line), expected, "{line}");
        }
    }

    /// Answers that both sides give are part of the prompt.
    #[test]
    fn earlier_answers_are_not_compared() {
        let turns = r#"{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}"#;
        let line = format!(
            r#"{{"prompt": [{turns}], "chosen": [{{"role": "assistant", "content": "d"}}],
                "rejected": [{{"role": "assistant", "content": "e"}}]}}"#
        );
        assert_eq!(shown(&line).map(|s| s.replace('·', "")), ["d;", "e;"]);
    }

    #[test]
    fn what_is_no_preference_is_refused() {
        for (line, said) in [
            ("[]", "an object with"),
            (r#"{"prompt": "a", "chosen": "b"}"#, "its fields are"),
            (r#"{"chosen": "b", "rejected": "c"}"#, "its fields are"),
            (r#"{"prompt": "a", "chosen": "b", "rejected": "b"}"#, "are equal"),
            (r#"{"prompt": "a", "chosen": "b", "rejected": 3}"#, "text is expected"),
            (r#"{"prompt": 4, "chosen": "b", "rejected": "c"}"#, "text is expected"),
            (
                r#"{"chosen": [], "rejected": [{"role": "assistant", "content": "c"}]}"#,
                "no messages",
            ),
            (
                r#"{"chosen": [{"role": "user", "content": "c"}], "rejected": [{"role": "assistant", "content": "c"}]}"#,
                "roles",
            ),
            (
                r#"{"chosen": [{"role": "assistant", "content": "c"}],
                    "rejected": [{"role": "assistant", "content": "c"}, {"role": "user", "content": "d"}]}"#,
                "no answer after",
            ),
        ] {
            let found = read(line).unwrap_err().to_string();
            assert!(found.contains(said), "{line}: {found}");
        }
        let bare = r#"{"prompt": "", "chosen": "1", "rejected": "2"}"#;
        let found = read(bare).unwrap().mark(&Tokenizer::bytes(), None).unwrap_err().to_string();
        assert!(found.contains("prompt is empty"), "{found}");
        let equal = r#"{"prompt": "a", "chosen": "", "rejected": "\n"}"#;
        let found = read(equal).unwrap().mark(&Tokenizer::bytes(), None).unwrap_err().to_string();
        assert!(found.contains("same tokens"), "{found}");
    }
}
