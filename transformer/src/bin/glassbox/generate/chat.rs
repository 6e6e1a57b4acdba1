//! `glassbox generate --chat`.

use super::{Generate, Model, Stop};
use crate::{Result, count, remark, shown, terminal};
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};
use transformer::Writer;
use transformer::disk::files;
use transformer::text::chat::Message;
use transformer::text::tokenizer::Tokenizer;

/// Answers every line of standard input.
pub(super) fn talk(
    asked: &Generate,
    writer: &mut Writer<f32>,
    stop: &Stop,
    tokenizer: &Tokenizer,
    model: &Model,
) -> Result<()> {
    let Some(template) = files::read_chat_template(&model.directory)? else {
        return Err(format!(
            "{} has no chat template (chat_template.jinja, or chat_template in tokenizer_config.json): it was not trained \
             to talk in turns; leave out --chat",
            model.directory.display()
        )
        .into());
    };
    let mut messages: Vec<Message> =
        asked.system.iter().map(|text| Message::new("system", text)).collect();
    let input = std::io::stdin().lock();
    let both = input.is_terminal() && std::io::stdout().is_terminal();
    let mut lines = input.lines();
    let mut turn = 0;
    loop {
        if both {
            print!("> ");
            std::io::stdout().flush()?;
        }
        let Some(line) = lines.next().transpose()? else { break };
        if line.trim().is_empty() {
            continue;
        }
        messages.push(Message::new("user", &line));
        let tokens = tokenizer.encode(&template.render(&messages)?)?;
        if tokens.len() > model.config.context {
            remark(format!(
                "the conversation has {}, more than the context of {}: its beginning is forgotten",
                count(tokens.len(), "token"),
                model.config.context
            ));
        }
        // What was read stays read, if the template keeps it as it was.
        let mut known = writer.tokens().len();
        if !tokens.starts_with(writer.tokens()) || known == tokens.len() {
            writer.clear();
            known = 0;
        }
        let mut text = tokenizer.stream();
        let mut answer = String::new();
        let mut out = std::io::stdout().lock();
        let seed = asked.seed.wrapping_add(turn);
        for token in stop.write(writer, &tokens[known..], seed)?.take(asked.tokens) {
            let new = text.push(token?);
            if !asked.json {
                out.write_all(shown(&new, out.is_terminal()).as_bytes())?;
                out.flush()?;
            }
            answer += &new;
        }
        let rest = text.finish();
        if !asked.json {
            writeln!(out, "{}", shown(&rest, out.is_terminal()))?;
        }
        messages.push(Message::new("assistant", &(answer + &rest)));
        turn += 1;
    }
    if asked.json {
        return terminal::print_json(json!({ "messages": messages }));
    }
    if both {
        println!();
    }
    Ok(())
}
