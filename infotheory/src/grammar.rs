//! A source of text with exactly known entropy: a probabilistic grammar without recursion.
//!
//! A text is made by random draws: one alternative of every choice, and one record for every variable, whose fields
//! appear wherever the text uses them. The draws are independent, so the entropy of a derivation is a sum over the
//! tree,
//!
//! <var>H(choice) = −Σ pᵢ ln pᵢ + Σ pᵢ·H(alternativeᵢ)</var>,  <var>H(variable) = −Σ pᵢ ln pᵢ</var> +
//! H(its scope),
//!
//! and if every text has only one derivation, the entropy of a derivation is that of the text. [`Grammar::new`] proves
//! this or returns an error: see [`GrammarError::Ambiguous`].
//! Source: Shannon 1948; Grenander 1976 for the entropy of grammars.
//!
//! On `f64` alone: the weights of a template are integers.

mod automaton;
mod derivations;
mod longest;
mod template;

use crate::InfoError;
use crate::units::Nats;
use probability::random::Random;
use thiserror::Error;

/// A variable: each record has a weight and the texts of its fields.
///
/// Weights may be of any size, since only their ratios matter; invalid ones are [`GrammarError::Weights`].
#[derive(Clone, Debug)]
pub struct Variable {
    /// The name of the variable in templates.
    pub name: String,
    /// The names of its fields.
    pub fields: Vec<String>,
    /// The weight and the fields of every record.
    pub records: Vec<(f64, Vec<String>)>,
}

impl Variable {
    /// Creates a variable with equally probable records.
    pub fn new<const F: usize>(name: &str, fields: [&str; F], records: &[[&str; F]]) -> Self {
        let texts = |r: &[&str; F]| r.map(str::to_owned).to_vec();
        Variable {
            name: name.to_owned(),
            fields: fields.map(str::to_owned).to_vec(),
            records: records.iter().map(|r| (1.0, texts(r))).collect(),
        }
    }
}

/// A part of a grammar's tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Sequence(Vec<Part>),
    /// Alternatives with their probabilities.
    Choice(Vec<(f64, Part)>),
    /// Draws a record of this variable for the part inside.
    Scope(usize, Box<Part>),
    /// A field of a variable.
    Use(usize, usize),
}

/// A grammar in which every text has exactly one derivation.
///
/// In a template, `[a|b]` is a choice, `[3:a|b]` one with weights 3 and 1, `<v:…>` draws a record of the variable v for
/// its content, `{v.f}` is that record's field f.
///
/// ```
/// use infotheory::grammar::{Grammar, Variable};
/// let who = Variable::new("who", ["name", "she"], &[["Ann", "She"], ["Bob", "He"]]);
/// let grammar = Grammar::new(&[who], "<who:{who.name} ran. {who.she} [fell|won the race].>")?;
/// assert!((grammar.entropy().to_bits().0 - 2.0).abs() < 1e-12); // four texts, equally probable
/// assert_eq!(grammar.surprisal("Ann ran. She fell."), Some(grammar.entropy()));
/// assert_eq!(grammar.surprisal("Ann ran. He fell."), None);
/// # Ok::<(), infotheory::grammar::GrammarError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Grammar {
    variables: Vec<Variable>,
    root: Part,
}

/// An invalid grammar.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// An invalid template.
    #[error("character {place} of the template: {reason}")]
    Template {
        /// The place; the first character is 1.
        place: usize,
        /// The text found and the text expected.
        reason: String,
    },
    /// Invalid weights: one is 0, negative, ∞ or NaN, one has a probability below the smallest normal number, 2·10⁻³⁰⁸,
    /// or there are none.
    #[error("{}: weights must be positive and finite, and none below 2e-308 of their sum", what.escape_debug())]
    Weights {
        /// The owner of the weights.
        what: String,
    },
    /// A record with more or fewer fields than its variable.
    #[error("variable {variable:?}: record {record} has {found} fields where {expected} are named")]
    Record {
        /// The variable.
        variable: String,
        /// The record's number; the first is 1.
        record: usize,
        /// Fields found.
        found: usize,
        /// Fields named.
        expected: usize,
    },
    /// A grammar whose proof would take too much memory: every use of a variable is as long as all of its records
    /// together.
    #[error(
        "the template and the records that it uses are {found} characters long in all; at most {most} are possible"
    )]
    TooLong {
        /// The number of characters found.
        found: usize,
        /// The maximum.
        most: usize,
    },
    /// Two alternatives, or two records, that a text does not always distinguish: a text of one may be a prefix of a
    /// text of the other.
    #[error(
        "{first:?} and {second:?} cannot be told apart: both can begin with {witness:?}, and one ends there"
    )]
    Ambiguous {
        /// One alternative, or a record's first field.
        first: String,
        /// The other.
        second: String,
        /// A text that ends one and is a prefix of the other.
        witness: String,
    },
}

impl Grammar {
    /// Creates a grammar from a template.
    ///
    /// It proves that every text has one derivation: for each choice, and for the records of each variable in its
    /// scope, no text of one alternative is a prefix of a text of another. Such a set of texts is a prefix code; a
    /// sequence of prefix codes is one, and is uniquely decodable from left to right.
    ///
    /// # Errors
    /// If the template is invalid or has brackets more than 256 deep, weights are not a distribution, the template with
    /// all records that it uses is longer than 2²³ characters, or alternatives fail the proof.
    pub fn new(variables: &[Variable], template: &str) -> Result<Self, GrammarError> {
        for v in variables {
            for (i, (_, record)) in v.records.iter().enumerate() {
                if record.len() != v.fields.len() {
                    let (variable, record, expected) = (v.name.clone(), i + 1, v.fields.len());
                    let found = v.records[i].1.len();
                    return Err(GrammarError::Record { variable, record, found, expected });
                }
            }
        }
        let mut variables = variables.to_vec();
        for v in &mut variables {
            normalise(&v.name, v.records.iter_mut().map(|r| &mut r.0))?;
        }
        let root = template::parse(&variables, template)?;
        automaton::prove(&variables, &root)?;
        Ok(Grammar { variables, root })
    }

    /// Returns the entropy of a text: +0 if there is only one text.
    ///
    /// ```
    /// use infotheory::grammar::Grammar;
    /// let grammar = Grammar::new(&[], "a[3:b|cd]")?;
    /// assert!((grammar.entropy().to_bits().0 - 0.811278).abs() < 1e-6); // H(¾)
    /// # Ok::<(), infotheory::grammar::GrammarError>(())
    /// ```
    pub fn entropy(&self) -> Nats {
        self.entropy_of(&self.root)
    }

    fn entropy_of(&self, part: &Part) -> Nats {
        match part {
            Part::Text(_) | Part::Use(..) => Nats(0.0),
            Part::Sequence(parts) => parts.iter().map(|p| self.entropy_of(p)).sum(),
            Part::Choice(of) => {
                of.iter().map(|(p, a)| (self.entropy_of(a) - Nats(p.ln())) * *p).sum()
            }
            Part::Scope(v, inside) => {
                let records = self.variables[*v].records.iter();
                let drawn: Nats = records.map(|(p, _)| Nats(-p * p.ln())).sum();
                drawn + self.entropy_of(inside)
            }
        }
    }

    /// Returns the expected number of characters of a text; 0 if the only text is empty.
    ///
    /// ```
    /// use infotheory::grammar::Grammar;
    /// let grammar = Grammar::new(&[], "a[3:b|cd]")?;
    /// assert_eq!(grammar.expected_length(), 2.25); // ¾·2 + ¼·3
    /// # Ok::<(), infotheory::grammar::GrammarError>(())
    /// ```
    pub fn expected_length(&self) -> f64 {
        self.length_of(&self.root)
    }

    fn length_of(&self, part: &Part) -> f64 {
        match part {
            Part::Text(text) => text.chars().count() as f64,
            // Starts at 0: an empty sum that starts with its first term is −0.
            Part::Sequence(parts) => parts.iter().fold(0.0, |sum, p| sum + self.length_of(p)),
            Part::Choice(of) => of.iter().map(|(p, a)| p * self.length_of(a)).sum(),
            Part::Scope(_, inside) => self.length_of(inside),
            // Choices around it are independent of the record: expectations add.
            Part::Use(v, field) => {
                let records = self.variables[*v].records.iter();
                records.map(|(p, fields)| p * fields[*field].chars().count() as f64).sum()
            }
        }
    }

    /// Returns the entropy per character of a sequence of texts: the entropy of a text divided by its expected length,
    /// by the renewal theorem.
    ///
    /// # Errors
    /// If the only text is empty.
    ///
    /// ```
    /// use infotheory::grammar::Grammar;
    /// let grammar = Grammar::new(&[], "a[3:b|cd]")?;
    /// assert_eq!(grammar.entropy_rate()?, grammar.entropy() / 2.25);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entropy_rate(&self) -> Result<Nats, InfoError> {
        match self.expected_length() {
            0.0 => Err(InfoError::NoMean { what: "characters" }),
            length => Ok(self.entropy() / length),
        }
    }

    /// Returns the number of characters of the longest text. It is an upper bound if alternatives of one choice use
    /// variables with more than 2¹⁶ combinations of records.
    ///
    /// ```
    /// use infotheory::grammar::Grammar;
    /// assert_eq!(Grammar::new(&[], "a[3:b|cd]")?.longest(), 3);
    /// # Ok::<(), infotheory::grammar::GrammarError>(())
    /// ```
    pub fn longest(&self) -> usize {
        longest::longest(&self.variables, &self.root)
    }

    fn field(&self, variable: usize, record: usize, field: usize) -> &str {
        &self.variables[variable].records[record].1[field]
    }

    /// Draws a text. Every `Random` gives one text.
    pub fn sample(&self, random: &Random) -> String {
        let (mut text, mut draws) = (String::new(), 0);
        let mut drawn = vec![0; self.variables.len()];
        let mut draw = || {
            draws += 1;
            random.uniform(draws - 1)
        };
        self.write(&self.root, &mut drawn, &mut draw, &mut text);
        text
    }

    fn write(
        &self,
        part: &Part,
        drawn: &mut [usize],
        draw: &mut dyn FnMut() -> f64,
        text: &mut String,
    ) {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Sequence(parts) => parts.iter().for_each(|p| self.write(p, drawn, draw, text)),
            Part::Choice(of) => {
                let i = pick(of.iter().map(|a| a.0), draw());
                self.write(&of[i].1, drawn, draw, text);
            }
            Part::Scope(v, inside) => {
                drawn[*v] = pick(self.variables[*v].records.iter().map(|r| r.0), draw());
                self.write(inside, drawn, draw, text);
            }
            Part::Use(v, field) => text.push_str(self.field(*v, drawn[*v], *field)),
        }
    }

    /// Returns −ln p of a text; `None` if the grammar does not make it.
    ///
    /// ```
    /// use infotheory::{Bits, Nats, grammar::Grammar};
    /// let grammar = Grammar::new(&[], "a[3:b|cd]")?;
    /// assert_eq!(grammar.surprisal("acd").map(Nats::to_bits), Some(Bits(2.0)));
    /// assert_eq!(grammar.surprisal("ab cd"), None);
    /// # Ok::<(), infotheory::grammar::GrammarError>(())
    /// ```
    pub fn surprisal(&self, text: &str) -> Option<Nats> {
        self.derivations(text).first().copied()
    }

    /// Returns −ln p of every derivation of a text: at most one, as [`Grammar::new`] proved. This search is exhaustive
    /// and does not use the proof.
    pub fn derivations(&self, text: &str) -> Vec<Nats> {
        derivations::derivations(self, text)
    }
}

/// Normalises weights to sum 1.
pub(crate) fn normalise<'a>(
    what: &str,
    weights: impl Iterator<Item = &'a mut f64>,
) -> Result<(), GrammarError> {
    let mut weights: Vec<&mut f64> = weights.collect();
    // The sum of two weights of 10³⁰⁸ overflows; a power of two changes no digit.
    let largest = weights.iter().fold(0.0_f64, |most, w| most.max(**w));
    let scale = if largest > 1e300 { 2.0_f64.powi(-100) } else { 1.0 };
    let sum: f64 = weights.iter().map(|w| **w * scale).sum();
    let positive = weights.iter().all(|w| **w > 0.0 && w.is_finite());
    weights.iter_mut().for_each(|w| **w = **w * scale / sum);
    if weights.is_empty() || !positive || weights.iter().any(|w| **w < f64::MIN_POSITIVE) {
        return Err(GrammarError::Weights { what: what.to_owned() });
    }
    Ok(())
}

/// Returns the index selected by u, uniform in [0, 1).
fn pick(probabilities: impl Iterator<Item = f64>, mut u: f64) -> usize {
    let mut last = 0;
    for (i, p) in probabilities.enumerate() {
        last = i;
        if u < p {
            break;
        }
        u -= p;
    }
    last
}

#[cfg(test)]
mod tests;
