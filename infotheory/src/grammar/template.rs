//! The parser of templates.

use super::{GrammarError, Part, Variable, normalise};

/// Reads a template; every variable's use must lie inside its scope.
pub(super) fn parse(variables: &[Variable], template: &str) -> Result<Part, GrammarError> {
    let characters = template.chars().collect();
    let mut reader = Reader { variables, characters, at: 0, open: Vec::new(), depth: 0 };
    let part = reader.sequence()?;
    match reader.peek() {
        None => Ok(part),
        Some(c) => reader.fail(format!("{c:?} closes nothing")),
    }
}

struct Reader<'a> {
    variables: &'a [Variable],
    characters: Vec<char>,
    at: usize,
    /// The variables in whose scope this place is.
    open: Vec<usize>,
    /// The number of open brackets.
    depth: usize,
}

/// The maximum depth of brackets, and of the recursion of functions that walk a grammar.
const DEEPEST: usize = 256;

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn fail<R>(&self, reason: String) -> Result<R, GrammarError> {
        Err(GrammarError::Template { place: self.at + 1, reason })
    }

    fn expect(&mut self, expected: char) -> Result<(), GrammarError> {
        match self.peek() {
            Some(c) if c == expected => {
                self.at += 1;
                Ok(())
            }
            Some(c) => self.fail(format!("{c:?} where {expected:?} is expected")),
            None => self.fail(format!("the template ends where {expected:?} is expected")),
        }
    }

    /// Reads everything up to the closing bracket.
    fn sequence(&mut self) -> Result<Part, GrammarError> {
        if self.depth > DEEPEST {
            return self.fail(format!("more than {DEEPEST} brackets are open here"));
        }
        self.depth += 1;
        let mut parts = Vec::new();
        while let Some(c) = self.peek() {
            parts.push(match c {
                '|' | ']' | '>' | '}' => break,
                '[' => self.choice()?,
                '<' => self.scope()?,
                '{' => self.field()?,
                _ => Part::Text(self.text("[|]<>{}")),
            });
        }
        self.depth -= 1;
        Ok(if parts.len() == 1 { parts.remove(0) } else { Part::Sequence(parts) })
    }

    fn text(&mut self, ends: &str) -> String {
        let text: String =
            self.characters[self.at..].iter().take_while(|c| !ends.contains(**c)).collect();
        self.at += text.chars().count();
        text
    }

    fn choice(&mut self) -> Result<Part, GrammarError> {
        self.expect('[')?;
        let mut alternatives = Vec::new();
        loop {
            let weight = self.weight();
            alternatives.push((weight, self.sequence()?));
            if self.peek() != Some('|') {
                break;
            }
            self.at += 1;
        }
        self.expect(']')?;
        normalise("a choice", alternatives.iter_mut().map(|a| &mut a.0))?;
        Ok(Part::Choice(alternatives))
    }

    /// Reads `3:` before an alternative; 1 if there is none.
    fn weight(&mut self) -> f64 {
        let digits: String =
            self.characters[self.at..].iter().take_while(|c| c.is_ascii_digit()).collect();
        match digits.parse() {
            Ok(weight) if self.characters.get(self.at + digits.len()) == Some(&':') => {
                self.at += digits.len() + 1;
                weight
            }
            _ => 1.0,
        }
    }

    fn scope(&mut self) -> Result<Part, GrammarError> {
        self.expect('<')?;
        let name = self.text(":[|]<>{}");
        let variable = self.variable(&name)?;
        self.expect(':')?;
        if self.open.contains(&variable) {
            return self
                .fail(format!("this is inside the scope of {} already", name.escape_debug()));
        }
        self.open.push(variable);
        let inside = self.sequence()?;
        self.open.pop();
        self.expect('>')?;
        Ok(Part::Scope(variable, Box::new(inside)))
    }

    fn field(&mut self) -> Result<Part, GrammarError> {
        self.expect('{')?;
        let name = self.text(".[|]<>{}");
        let variable = self.variable(&name)?;
        if !self.open.contains(&variable) {
            return self.fail(format!("{} is used outside of its scope", name.escape_debug()));
        }
        self.expect('.')?;
        let field = self.text("[|]<>{}");
        let fields = &self.variables[variable].fields;
        let Some(index) = fields.iter().position(|f| *f == field) else {
            let fields: Vec<String> = fields.iter().map(|f| f.escape_debug().to_string()).collect();
            let fields = fields.join(", ");
            return self.fail(format!("{name:?} has no field {field:?}, but {fields}"));
        };
        self.expect('}')?;
        Ok(Part::Use(variable, index))
    }

    fn variable(&self, name: &str) -> Result<usize, GrammarError> {
        match self.variables.iter().position(|v| v.name == name) {
            Some(variable) => Ok(variable),
            None => self.fail(format!("there is no variable {name:?}")),
        }
    }
}
