//! Conversations to learn answers from: the tokens of a chat, and which of them are the assistant's.
//!
//! A chat template says where an answer stands only by what it writes. So the tokens of two texts are compared for each
//! answer: of the conversation up to it, with the beginning of the assistant's turn, and of the conversation with it. The
//! answer's tokens are those that the second has and the first does not: its content, and what ends the turn. White space
//! after the end of a turn is not counted, because a model that answers never writes it.
//!
//! Where the tokens of the first text are not the beginning of the second's (two pieces of words at the border became
//! one), the answer begins after those that they have in common. A template whose *texts* do not begin alike rewrites
//! earlier turns, and one that writes the beginning of a turn in other places does not mark answers: both are refused.

use crate::printable::{printable, shortened};
use crate::text::chat::{ChatError, ChatTemplate, Message};
use crate::text::tokenizer::{Tokenizer, TokenizerError};
use serde_json::Value;
use thiserror::Error;

/// The role whose messages are learned.
pub const ASSISTANT: &str = "assistant";
/// The characters of a text that a message quotes.
const QUOTED: usize = 40;

/// A conversation that cannot be learned from.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConversationError {
    /// An object that is no conversation.
    #[error("{reason}")]
    Form {
        /// What was found and what is expected.
        reason: String,
    },
    /// A conversation in which the assistant says nothing.
    #[error("it has no answer: {found}; a conversation needs a message of the role \"assistant\"")]
    NoAnswer {
        /// The roles that were found.
        found: String,
    },
    /// Messages without a template that makes text of them.
    #[error(
        "these are messages, and the tokenizer has no chat template (chat_template.jinja, or chat_template in \
         tokenizer_config.json) that makes a text of them: give a tokenizer with one, or lines with \"prompt\" and \
         \"completion\""
    )]
    NoTemplate,
    /// A template that refuses the messages, or fails.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// A text that the tokenizer cannot encode.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A template that changes earlier text when a message follows.
    #[error(
        "the chat template writes the text before the end of message {message} differently if more follows: {found}; \
         which tokens are the answer's cannot be told. Give one answer a conversation, or a template that keeps what it \
         wrote"
    )]
    Rewritten {
        /// The number of the message, from 1.
        message: usize,
        /// Both texts from where they differ.
        found: String,
    },
    /// A template that does not mark where an answer begins or ends.
    #[error(
        "the chat template does not mark answers: {found}; give a template that uses add_generation_prompt"
    )]
    Unmarked {
        /// What was compared.
        found: String,
    },
}

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conversation {
    /// Turns.
    Messages(Vec<Message>),
    /// A text and the text that follows it. With a chat template, they are a user's message and the assistant's.
    Completion {
        /// The text before.
        prompt: String,
        /// The text to learn.
        completion: String,
    },
}

/// The tokens of a conversation, each with a mark if it is learned.
///
/// ```
/// use transformer::text::chat::{ChatTemplate, Message};
/// use transformer::text::conversation::Conversation;
/// use transformer::text::tokenizer::Tokenizer;
/// let template = "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }};\n{% endfor %}\
///     {% if add_generation_prompt %}<a>{% endif %}";
/// let template = ChatTemplate::new(template, &[])?;
/// let chat = [("user", "1+1"), ("assistant", "2"), ("user", "why?"), ("assistant", "so")];
/// let chat = Conversation::Messages(chat.map(|(role, text)| Message::new(role, text)).into());
/// let marked = chat.mark(&Tokenizer::bytes(), Some(&template))?;
/// let text = Tokenizer::bytes().decode(&marked.tokens);
/// let answers: String = text.chars().zip(&marked.answer).map(|(c, own)| if *own { c } else { '·' }).collect();
/// assert_eq!(text.replace('\n', "·"), "<u>1+1;·<a>2;·<u>why?;·<a>so;·");
/// assert_eq!(answers,                  "···········2;·············so;·");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// Whether each is a part of an answer.
    pub answer: Vec<bool>,
    /// The number of messages after the last answer, which have no tokens: nothing is learned from them.
    pub dropped: usize,
}

impl Conversation {
    /// Reads a conversation: an object with the field `messages`, a list of objects with `role` and `content`, or with the
    /// fields `prompt` and `completion`. Other fields of the object are ignored; those of a message could change what it
    /// says, and are refused unless they are null.
    ///
    /// # Errors
    /// Another object, or one without an answer.
    pub fn from_json(object: &Value) -> Result<Self, ConversationError> {
        let expected = "a list \"messages\", or \"prompt\" and \"completion\", is expected";
        let Some(fields) = object.as_object() else {
            let found = shortened(object);
            return Err(form(format!("this is {found}; an object with {expected}")));
        };
        if let Some(messages) = fields.get("messages") {
            let messages = messages_of(messages, "its field \"messages\"")?;
            last_answer(&messages)?;
            return Ok(Conversation::Messages(messages));
        }
        let field = |name: &str| {
            let value = fields.get(name).ok_or_else(|| {
                let found = fields.keys().map(|key| format!("{key:?}")).collect::<Vec<_>>();
                let found = printable(&found.join(", "));
                form(format!("its fields are {found}; {expected}"))
            })?;
            text_of(value, &format!("its field {name:?}"))
        };
        Ok(Conversation::Completion { prompt: field("prompt")?, completion: field("completion")? })
    }

    /// Returns everything that is said, a line a message: the text whose characters or words make a vocabulary.
    pub fn text(&self) -> String {
        match self {
            Conversation::Messages(messages) => {
                messages.iter().flat_map(|m| [m.content.as_str(), "\n"]).collect()
            }
            Conversation::Completion { prompt, completion } => format!("{prompt}{completion}\n"),
        }
    }

    /// Returns the text of every answer from the message of number `first` on.
    pub(super) fn answers(&self, first: usize) -> Vec<&str> {
        match self {
            Conversation::Messages(messages) => {
                let own = messages.iter().skip(first).filter(|message| message.role == ASSISTANT);
                own.map(|message| message.content.as_str()).collect()
            }
            Conversation::Completion { completion, .. } => vec![completion],
        }
    }

    /// Returns the tokens, with the answers' marked. Without a template, a completion follows its prompt, and the token that
    /// ends a text (or a line end) follows both.
    ///
    /// # Errors
    /// Messages without a template; a template that fails, rewrites earlier text, or does not mark answers; text that the
    /// tokenizer cannot encode.
    pub fn mark(
        &self,
        tokenizer: &Tokenizer,
        template: Option<&ChatTemplate>,
    ) -> Result<Marked, ConversationError> {
        match (self, template) {
            (Conversation::Messages(messages), Some(template)) => {
                turns((messages, 0), tokenizer, template)
            }
            (Conversation::Messages(_), None) => Err(ConversationError::NoTemplate),
            (Conversation::Completion { prompt, completion }, Some(template)) => {
                let messages = [Message::new("user", prompt), Message::new(ASSISTANT, completion)];
                turns((&messages, 0), tokenizer, template)
            }
            (Conversation::Completion { prompt, completion }, None) => {
                let mut tokens = tokenizer.encode_prompt(&[&prompt[..], completion].concat())?;
                let begin = common(&tokens, &tokenizer.encode_prompt(prompt)?);
                let end = tokenizer.end().or_else(|| tokenizer.token("\n"));
                tokens.extend(end.filter(|end| tokens.last() != Some(end)));
                if begin == tokens.len() {
                    let found = "the completion is empty".to_owned();
                    return Err(ConversationError::NoAnswer { found });
                }
                let answer = (0..tokens.len()).map(|i| i >= begin).collect();
                Ok(Marked { tokens, answer, dropped: 0 })
            }
        }
    }
}

impl Marked {
    /// Returns the number of tokens that are learned.
    pub fn counted(&self) -> usize {
        self.answer.iter().filter(|own| **own).count()
    }

    /// Returns the text in parts, each of answers or of what is not learned.
    pub fn parts(&self, tokenizer: &Tokenizer) -> Vec<(bool, String)> {
        let same = |a: &usize, b: &usize| self.answer[*a] == self.answer[*b];
        let places: Vec<usize> = (0..self.tokens.len()).collect();
        let part = |places: &[usize]| {
            let mut bytes = Vec::new();
            places.iter().for_each(|&i| tokenizer.push_bytes(self.tokens[i], &mut bytes));
            (self.answer[places[0]], String::from_utf8_lossy(&bytes).into_owned())
        };
        places.chunk_by(same).map(part).collect()
    }
}

/// Returns the tokens that a template writes before an answer: the beginning of the assistant's turn. Empty if it writes
/// nothing, or fewer than three characters, which stand in other places too.
///
/// ```
/// use transformer::text::{chat::ChatTemplate, conversation::answer_start, tokenizer::Tokenizer};
/// let template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}\
///     {% if add_generation_prompt %}<assistant>{% endif %}";
/// let template = ChatTemplate::new(template, &[])?;
/// let tokens = answer_start(&Tokenizer::bytes(), &template)?;
/// assert_eq!(Tokenizer::bytes().decode(&tokens), "<assistant>");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A template that fails, or a text that the tokenizer cannot encode.
pub fn answer_start(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
) -> Result<Vec<u32>, ConversationError> {
    const FEWEST: usize = 3;
    let asked = [Message::new("user", "?")];
    let (begun, ended) = (template.render(&asked)?, template.render_ended(&asked)?);
    let own = begun.strip_prefix(&ended[..]).unwrap_or_default();
    if own.trim().chars().count() < FEWEST {
        return Ok(vec![]);
    }
    let tokens = tokenizer.encode(&begun)?;
    let before = common(&tokens, &tokenizer.encode(&ended)?);
    Ok(tokens[before..].to_vec())
}

pub(super) fn form(reason: String) -> ConversationError {
    ConversationError::Form { reason }
}

/// Returns a text, or the error of another value.
pub(super) fn text_of(value: &Value, what: &str) -> Result<String, ConversationError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(form(format!("{what} is {}; text is expected", shortened(other)))),
    }
}

/// Returns the messages of a list, or the error of another value.
pub(super) fn messages_of(value: &Value, what: &str) -> Result<Vec<Message>, ConversationError> {
    let Some(list) = value.as_array() else {
        return Err(form(format!("{what} is {}; a list is expected", shortened(value))));
    };
    let read = |(i, message): (usize, &Value)| {
        let number = i + 1;
        let own = message.as_object();
        let [role, content] = ["role", "content"].map(|name| own.and_then(|o| o.get(name)));
        let (Some(role), Some(content)) = (role, content) else {
            let found = shortened(message);
            let expected = "an object with \"role\" and \"content\" is expected";
            return Err(form(format!("message {number} is {found}; {expected}")));
        };
        let other = own.into_iter().flatten().find(|(name, value)| {
            !["role", "content"].contains(&name.as_str()) && !value.is_null()
        });
        if let Some((name, _)) = other {
            let name = printable(name);
            return Err(form(format!(
                "message {number} has the field {name:?}; only \"role\" and \"content\" are understood: leave it out"
            )));
        }
        let role = text_of(role, &format!("the role of message {number}"))?;
        let content = text_of(content, &format!("the content of message {number}"))?;
        Ok(Message { role, content })
    };
    list.iter().enumerate().map(read).collect()
}

/// Returns the place of the last answer.
pub(super) fn last_answer(messages: &[Message]) -> Result<usize, ConversationError> {
    messages.iter().rposition(|m| m.role == ASSISTANT).ok_or_else(|| {
        let roles = messages.iter().map(|m| format!("{:?}", printable(&m.role)));
        let roles = roles.collect::<Vec<_>>().join(", ");
        let found = match messages.is_empty() {
            true => "it has no messages".to_owned(),
            false => format!("its roles are {}", printable(&roles)),
        };
        ConversationError::NoAnswer { found }
    })
}

/// Returns the tokens of turns, with the assistant's marked from the message of number `first` on.
pub(super) fn turns(
    (messages, first): (&[Message], usize),
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
) -> Result<Marked, ConversationError> {
    let last = last_answer(messages)?;
    let dropped = messages.len() - 1 - last;
    let messages = &messages[..=last];
    let whole = template.render_ended(messages)?;
    let tokens = tokenizer.encode(&whole)?;
    let mut answer = vec![false; tokens.len()];
    for i in (first..=last).filter(|&i| messages[i].role == ASSISTANT) {
        let before = template.render(&messages[..i])?;
        let after = match i == last {
            true => whole.clone(),
            false => template.render_ended(&messages[..=i])?,
        };
        for (number, beginning, longer) in [(i, &before, &after), (i + 1, &after, &whole)] {
            if !longer.starts_with(&beginning[..]) {
                let found = difference(beginning, longer);
                return Err(ConversationError::Rewritten { message: number, found });
            }
        }
        let own = &after[before.len()..];
        header(template, &messages[..=i], &before, own)?;
        let begin = common(&tokens, &tokenizer.encode(&before)?);
        let mut end = match i == last {
            true => tokens.len(),
            false => common(&tokens, &tokenizer.encode(&after)?),
        };
        if begin >= end {
            let found = format!("the text is the same with message {} and without it", i + 1);
            return Err(ConversationError::Unmarked { found });
        }
        // If nothing but white space follows the content, it is what ends the turn.
        let (written, content) = (own.trim_end(), messages[i].content.trim_end());
        if !written.is_empty() && (content.is_empty() || !written.ends_with(content)) {
            while end > begin + 1 && is_blank(tokenizer, tokens[end - 1]) {
                end -= 1;
            }
        }
        answer[begin..end].fill(true);
    }
    ending(template, messages, &whole)?;
    Ok(Marked { tokens, answer, dropped })
}

/// Checks that the beginning of the assistant's turn is not a part of the answer: if a template ignores
/// `add_generation_prompt`, nothing may stand before the content.
fn header(
    template: &ChatTemplate,
    messages: &[Message],
    before: &str,
    own: &str,
) -> Result<(), ConversationError> {
    let Some((message, earlier)) = messages.split_last() else { return Ok(()) };
    let content = message.content.trim();
    let follows = own.trim_start().starts_with(content);
    let Some(at) = own.find(content).filter(|_| !follows) else { return Ok(()) };
    if earlier.is_empty() || template.render_ended(earlier)? != before {
        return Ok(());
    }
    let found = format!(
        "it writes {} before an answer, which add_generation_prompt does not write",
        quoted(&own[..at])
    );
    Err(ConversationError::Unmarked { found })
}

/// Checks that a template does not begin another turn after the last answer.
fn ending(
    template: &ChatTemplate,
    messages: &[Message],
    whole: &str,
) -> Result<(), ConversationError> {
    if template.render(messages)? != whole {
        return Ok(());
    }
    // The template ignores the flag: what it writes at the end must stay if a user's message follows.
    let next = [messages, &[Message::new("user", "?")]].concat();
    match template.render_ended(&next) {
        Ok(longer) if !longer.starts_with(whole) => {
            let found = format!(
                "what it writes after the last answer does not stay if a message follows ({})",
                difference(whole, &longer)
            );
            Err(ConversationError::Unmarked { found })
        }
        _ => Ok(()),
    }
}

/// Returns the number of tokens with which both lists begin.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn is_blank(tokenizer: &Tokenizer, token: u32) -> bool {
    let mut bytes = Vec::new();
    tokenizer.push_bytes(token, &mut bytes);
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_whitespace)
}

/// Describes two texts from where they differ.
fn difference(a: &str, b: &str) -> String {
    let same = a.char_indices().zip(b.chars()).take_while(|((_, a), b)| a == b);
    let at = same.last().map_or(0, |((i, c), _)| i + c.len_utf8());
    format!("{} became {}", quoted(&a[at..]), quoted(&b[at..]))
}

fn quoted(text: &str) -> String {
    let short: String = text.chars().take(QUOTED).collect();
    let rest = if short.len() < text.len() { "…" } else { "" };
    format!("\"{}{rest}\"", printable(&short))
}

#[cfg(test)]
mod tests;
