//! The proof that every text of a grammar has one derivation.
//!
//! The texts of an alternative are a finite set. Its automaton has as many states as the template has characters,
//! however many texts there are. Two automata are walked together: if one can end before the other, the text so far is
//! a witness.
//!
//! A variable is drawn once and used many times; the automaton allows any record's field at every use. This only adds
//! texts: if the larger sets have no conflict, the true ones have none.

use super::{GrammarError, Part, Variable};
use std::collections::{HashMap, HashSet};

/// The edges of an automaton, with a character or empty. State 0 is the start.
struct Automaton {
    edges: Vec<Vec<(Option<char>, usize)>>,
    end: usize,
}

/// A variable with a fixed record.
type Known = Option<(usize, usize)>;

impl Automaton {
    fn of(variables: &[Variable], part: &Part, known: Known) -> Self {
        let mut automaton = Automaton { edges: vec![Vec::new()], end: 0 };
        automaton.end = automaton.add(variables, part, known, 0);
        automaton
    }

    fn state(&mut self) -> usize {
        self.edges.push(Vec::new());
        self.edges.len() - 1
    }

    fn text(&mut self, text: &str, from: usize) -> usize {
        text.chars().fold(from, |from, c| {
            let to = self.state();
            self.edges[from].push((Some(c), to));
            to
        })
    }

    /// Adds any of these texts; common prefixes share a path.
    fn any<'a>(&mut self, texts: impl Iterator<Item = &'a str>, from: usize) -> usize {
        let (mut known, mut ends) = (HashMap::new(), Vec::new());
        for text in texts {
            let end = text.chars().fold(from, |from, c| {
                *known.entry((from, c)).or_insert_with(|| {
                    let to = self.state();
                    self.edges[from].push((Some(c), to));
                    to
                })
            });
            if !ends.contains(&end) {
                ends.push(end);
            }
        }
        self.join(ends)
    }

    fn join(&mut self, ends: Vec<usize>) -> usize {
        let to = self.state();
        for end in ends {
            self.edges[end].push((None, to));
        }
        to
    }

    /// Adds the paths through `part` from a state; returns their end.
    fn add(&mut self, variables: &[Variable], part: &Part, known: Known, from: usize) -> usize {
        match part {
            Part::Text(text) => self.text(text, from),
            Part::Sequence(parts) => {
                parts.iter().fold(from, |from, part| self.add(variables, part, known, from))
            }
            Part::Choice(of) => {
                let ends = of.iter().map(|a| self.add(variables, &a.1, known, from)).collect();
                self.join(ends)
            }
            Part::Scope(_, inside) => self.add(variables, inside, known, from),
            Part::Use(v, field) => {
                let records = &variables[*v].records;
                match known {
                    Some((variable, record)) if variable == *v => {
                        self.text(&records[record].1[*field], from)
                    }
                    _ => self.any(records.iter().map(|r| r.1[*field].as_str()), from),
                }
            }
        }
    }

    /// Returns the states reached from a state by empty edges, including itself.
    fn closure(&self, state: usize) -> Vec<usize> {
        let (mut into, mut seen, mut next) = (vec![state], HashSet::from([state]), 0);
        while let Some(&state) = into.get(next) {
            for &(by, to) in &self.edges[state] {
                if by.is_none() && seen.insert(to) {
                    into.push(to);
                }
            }
            next += 1;
        }
        into
    }
}

/// Two states that one text leads to.
struct Pair {
    x: usize,
    y: usize,
    /// The previous pair, and the character that led from it.
    by: Option<(usize, char)>,
}

/// Returns a text of one that is a prefix of a text of the other. Every state leads to the end, so it is enough that
/// one automaton has ended and the other is in any state.
fn clash(a: &Automaton, b: &Automaton) -> Option<String> {
    let mut seen = HashSet::from([(0, 0)]);
    let mut reached = vec![Pair { x: 0, y: 0, by: None }];
    let mut next = 0;
    while next < reached.len() {
        let Pair { x, y, .. } = reached[next];
        let (xs, ys) = (a.closure(x), b.closure(y));
        if xs.contains(&a.end) || ys.contains(&b.end) {
            let mut text = Vec::new();
            let mut at = next;
            while let Some((before, c)) = reached[at].by {
                text.push(c);
                at = before;
            }
            return Some(text.into_iter().rev().collect());
        }
        for &(by, to) in xs.iter().flat_map(|&x| &a.edges[x]) {
            let Some(c) = by else { continue };
            for &(_, other) in
                ys.iter().flat_map(|&y| &b.edges[y]).filter(|(other, _)| *other == Some(c))
            {
                if seen.insert((to, other)) {
                    reached.push(Pair { x: to, y: other, by: Some((next, c)) });
                }
            }
        }
        next += 1;
    }
    None
}

/// The maximum number of characters of an automaton.
const MOST: usize = 1 << 23;

/// Proves that every text of `part` has one derivation.
pub(super) fn prove(variables: &[Variable], part: &Part) -> Result<(), GrammarError> {
    let length = |(_, fields): &(f64, Vec<String>), field: usize| fields[field].len() + 1;
    let all: Vec<Vec<usize>> = variables
        .iter()
        .map(|v| {
            let used = |field: usize| v.records.iter().map(|r| length(r, field)).sum();
            (0..v.fields.len()).map(used).collect()
        })
        .collect();
    match size(&all, part) {
        found if found > MOST => Err(GrammarError::TooLong { found, most: MOST }),
        _ => proved(variables, part),
    }
}

/// Returns the number of states of a part's automaton, in which a use of a field has `all` of its variable.
fn size(all: &[Vec<usize>], part: &Part) -> usize {
    let sum = |sizes: &mut dyn Iterator<Item = usize>| {
        sizes.fold(1, |sum: usize, size| sum.saturating_add(size))
    };
    match part {
        Part::Text(text) => text.len(),
        Part::Use(v, field) => all[*v][*field],
        Part::Sequence(parts) => sum(&mut parts.iter().map(|p| size(all, p))),
        Part::Choice(of) => sum(&mut of.iter().map(|(_, p)| size(all, p))),
        Part::Scope(_, inside) => size(all, inside),
    }
}

fn proved(variables: &[Variable], part: &Part) -> Result<(), GrammarError> {
    match part {
        Part::Text(_) | Part::Use(..) => Ok(()),
        Part::Sequence(parts) => parts.iter().try_for_each(|p| proved(variables, p)),
        Part::Choice(of) => {
            let of: Vec<&Part> = of.iter().map(|a| &a.1).collect();
            apart(&of, |a| Automaton::of(variables, a, None), |a| beginning(variables, a))?;
            of.into_iter().try_for_each(|a| proved(variables, a))
        }
        Part::Scope(v, inside) => {
            let records: Vec<usize> = (0..variables[*v].records.len()).collect();
            apart(
                &records,
                |&record| Automaton::of(variables, inside, Some((*v, record))),
                |&record| variables[*v].records[record].1.first().cloned().unwrap_or_default(),
            )?;
            proved(variables, inside)
        }
    }
}

/// Checks that no two of `items` conflict.
fn apart<I>(
    items: &[I],
    automaton: impl Fn(&I) -> Automaton,
    shown: impl Fn(&I) -> String,
) -> Result<(), GrammarError> {
    let automata: Vec<Automaton> = items.iter().map(automaton).collect();
    for i in 0..items.len() {
        for j in 0..i {
            if let Some(witness) = clash(&automata[j], &automata[i]) {
                let (first, second) = (shown(&items[j]), shown(&items[i]));
                return Err(GrammarError::Ambiguous { first, second, witness });
            }
        }
    }
    Ok(())
}

/// Returns the start of an alternative, for messages.
fn beginning(variables: &[Variable], part: &Part) -> String {
    match part {
        Part::Text(text) => text.chars().take(40).collect(),
        Part::Sequence(parts) => parts.first().map_or(String::new(), |p| beginning(variables, p)),
        Part::Choice(of) => beginning(variables, &of[0].1),
        Part::Scope(_, inside) => beginning(variables, inside),
        Part::Use(v, field) => {
            format!("{{{}.{}}}", variables[*v].name, variables[*v].fields[*field])
        }
    }
}
