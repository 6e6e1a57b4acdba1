//! The derivations of a text by a grammar.
//!
//! Every derivation is tried, without assuming that there is only one. A variable's record is not guessed at the start
//! of its scope: all remain possible until a use in the text excludes some, so that nested scopes of many records are
//! not multiplied. The remaining parts are a list that derivations share, and open derivations wait in a queue: neither
//! deep nesting nor a long text overflows the stack.

use super::{Grammar, Part};
use crate::units::Nats;
use std::rc::Rc;

/// The remaining parts to read: one item, then `next`.
#[derive(Clone, Copy)]
struct Rest<'a> {
    what: What<'a>,
    next: Option<usize>,
}

#[derive(Clone, Copy)]
enum What<'a> {
    Part(&'a Part),
    /// The end of a variable's scope.
    End(usize),
}

/// A partial derivation.
struct Way<'a> {
    rest: Option<usize>,
    text: &'a str,
    nats: Nats,
    /// The possible records of each variable.
    possible: Vec<Rc<Vec<usize>>>,
}

/// Returns −ln p of every derivation.
pub(super) fn derivations(grammar: &Grammar, text: &str) -> Vec<Nats> {
    let mut rests = vec![Rest { what: What::Part(&grammar.root), next: None }];
    let none = Rc::new(Vec::new());
    let possible = vec![none; grammar.variables.len()];
    let mut open = vec![Way { rest: Some(0), text, nats: Nats(0.0), possible }];
    let mut found = Vec::new();
    while let Some(mut way) = open.pop() {
        let Some(at) = way.rest else {
            if way.text.is_empty() {
                found.push(way.nats);
            }
            continue;
        };
        let Rest { what, next } = rests[at];
        let mut then = |what, next| {
            rests.push(Rest { what, next });
            Some(rests.len() - 1)
        };
        way.rest = next;
        match what {
            What::Part(Part::Text(piece)) => {
                if let Some(text) = way.text.strip_prefix(piece.as_str()) {
                    open.push(Way { text, ..way });
                }
            }
            What::Part(Part::Sequence(parts)) => {
                for part in parts.iter().rev() {
                    way.rest = then(What::Part(part), way.rest);
                }
                open.push(way);
            }
            What::Part(Part::Choice(of)) => {
                // The last is read first: the first alternative goes on top.
                for (p, alternative) in of.iter().rev() {
                    let (rest, nats) =
                        (then(What::Part(alternative), next), way.nats - Nats(p.ln()));
                    open.push(Way { rest, nats, possible: way.possible.clone(), text: way.text });
                }
            }
            What::Part(Part::Scope(v, inside)) => {
                let end = then(What::End(*v), next);
                way.rest = then(What::Part(inside), end);
                way.possible[*v] = Rc::new((0..grammar.variables[*v].records.len()).collect());
                open.push(way);
            }
            What::Part(Part::Use(v, field)) => {
                // Records by the text of this field.
                let mut fields: Vec<(&str, Vec<usize>)> = Vec::new();
                for &record in way.possible[*v].iter() {
                    let piece = grammar.field(*v, record, *field);
                    if !way.text.starts_with(piece) {
                        continue;
                    }
                    match fields.iter_mut().find(|(known, _)| *known == piece) {
                        Some((_, records)) => records.push(record),
                        None => fields.push((piece, vec![record])),
                    }
                }
                for (piece, records) in fields.into_iter().rev() {
                    let mut possible = way.possible.clone();
                    possible[*v] = Rc::new(records);
                    let text = &way.text[piece.len()..];
                    open.push(Way { text, possible, rest: way.rest, nats: way.nats });
                }
            }
            What::End(v) => {
                for &record in way.possible[v].iter().rev() {
                    let p = grammar.variables[v].records[record].0;
                    let (nats, possible) = (way.nats - Nats(p.ln()), way.possible.clone());
                    open.push(Way { nats, possible, rest: way.rest, text: way.text });
                }
            }
        }
    }
    found
}
