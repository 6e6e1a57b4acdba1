//! Formulas of operations, which are printed and evaluated at any element.
//!
//! `forward` and `vjp` compute whole matrices at once. A [`Formula`] states the same for *one* element: y\[i, j\] = Σ_k
//! W\[i, k\]·x\[k, j\] + b\[i\]. It is data, not code. It gives the printed formula, the arithmetic of any element
//! ([`Formula::derive`]) with its operands by name, and the bound within which that arithmetic agrees with the computed
//! value.
//!
//! Formulas are written with ordinary operators over [`Expression`] and [`Index`]. The element is always \[i, j\]: of
//! the output in a value, of the operand in a gradient.
//!
//! ```
//! use linalg::formula::{Formula, I, J, K, operand, sum, upstream};
//! // y = W·x, with W (2 × 3) and x (3 × 4)
//! let (w, x, dy) = (operand(0), operand(1), upstream());
//! let formula = Formula::new("y", ["W", "x"], "compares rows with columns", "a textbook")
//!     .value(sum(K, 3, w.at(I, K) * x.at(K, J)))
//!     .gradient(sum(K, 4, dy.at(I, K) * x.at(J, K)))
//!     .gradient(sum(K, 2, w.at(K, I) * dy.at(K, J)));
//! assert_eq!(formula.value.to_string(), "y[i,j] = Σₖ W[i,k]·x[k,j]");
//! assert_eq!(formula.gradients[0].as_ref().unwrap().to_string(), "dW[i,j] = Σₖ dy[i,k]·x[j,k]");
//! ```
//!
//! Tables and functions of a formula are evaluated in `f64` only: a formula states a gradient and is not
//! differentiated.

mod build;
mod text;

pub use build::{
    at_most, cases, cos, equal, erf, exp, largest, ln, positive, sin, sqrt, sum, sum_where, tanh,
    whole,
};
pub use text::constant;

use crate::Matrix;
use std::fmt;

/// A variable for rows, columns or the terms of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Letter(pub char);

/// The row of the element.
pub const I: Letter = Letter('i');
/// The column of the element.
pub const J: Letter = Letter('j');
/// The variable of a sum.
pub const K: Letter = Letter('k');
/// The variable of a sum, often over the rows of a head.
pub const R: Letter = Letter('r');
/// The variable of a sum, often over tokens.
pub const TOKEN: Letter = Letter('t');
/// The variable of a sum, often over queries.
pub const QUERY: Letter = Letter('q');
/// The variable of a sum, often over the query heads of a group.
pub const MEMBER: Letter = Letter('g');
/// The name of the index of a head.
pub const HEAD: Letter = Letter('h');
/// The name of the index of the first score of a head.
pub const COLUMN: Letter = Letter('c');
/// The name of the index of the first token of a sequence.
pub const START: Letter = Letter('s');

/// An integer index of a row or column.
#[derive(Clone, Debug, PartialEq)]
pub enum Index {
    /// A variable.
    Letter(Letter),
    /// A number.
    Number(usize),
    /// A sum.
    Plus(Box<Index>, Box<Index>),
    /// A difference.
    Minus(Box<Index>, usize),
    /// A multiple.
    Times(Box<Index>, usize),
    /// A quotient, rounded down.
    Over(Box<Index>, usize),
    /// A remainder.
    Modulo(Box<Index>, usize),
    /// A named index, printed by its name: h, the head of column j.
    Called(Letter, Box<Index>),
    /// The integer stored in an element of a matrix: a token's id. Negative or out of range is allowed.
    Found(Matter, Box<Index>, Box<Index>),
}

/// A matrix of a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matter {
    /// An operand, by its number.
    Operand(usize),
    /// The output.
    Output,
    /// The gradient of the output.
    Upstream,
    /// A table that is part of the formula: a random mask.
    Table(usize),
}

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// eˣ.
    Exp,
    /// ln x.
    Ln,
    /// √x.
    Sqrt,
    /// tanh x.
    Tanh,
    /// erf x.
    Erf,
    /// sin x.
    Sin,
    /// cos x.
    Cos,
    /// 1 if x > 0, else 0.
    Positive,
}

/// A comparison of two integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// left = right.
    Equal,
    /// left ≤ right.
    AtMost,
}

/// A condition on indices.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The left side.
    pub left: Index,
    /// The relation.
    pub relation: Relation,
    /// The right side.
    pub right: Index,
}

/// letter = 0 .. count, optionally restricted by a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The variable.
    pub letter: Letter,
    /// The number of its values.
    pub count: usize,
    /// The condition that selects values; `None` selects all.
    pub when: Option<Condition>,
}

/// Arithmetic over elements.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A constant of the rule.
    Number(f64),
    /// An index, as a number: a position.
    Whole(Index),
    /// An element of a matrix.
    Element(Matter, Index, Index),
    /// A quantity defined by the formula, by its number, at these indices.
    Defined(usize, Vec<Index>),
    /// A sum Σ.
    Sum(Range, Box<Expression>),
    /// The largest of the terms.
    Largest(Range, Box<Expression>),
    /// a + b + …
    Plus(Vec<Expression>),
    /// a·b·…
    Times(Vec<Expression>),
    /// a/b.
    Over(Box<Expression>, Box<Expression>),
    /// −a.
    Minus(Box<Expression>),
    /// f(a).
    Apply(Function, Box<Expression>),
    /// The first if the condition holds, else the second.
    Cases(Condition, Box<Expression>, Box<Expression>),
}

/// A named quantity: µ, the mean of column j.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its symbol.
    pub name: &'static str,
    /// The indices that it depends on.
    pub letters: Vec<Letter>,
    /// Its expression.
    pub value: Expression,
}

/// One equation of a formula, with the names needed to print it.
#[derive(Clone, Debug, PartialEq)]
pub struct Equation {
    /// The left side: "y", "dW".
    pub left: String,
    /// The right side.
    pub right: Expression,
    names: Names,
}

/// The names of a formula's matrices and definitions.
#[derive(Clone, Debug, Default, PartialEq)]
struct Names {
    output: &'static str,
    operands: Vec<&'static str>,
    tables: Vec<&'static str>,
    definitions: Vec<&'static str>,
}

/// The formula of one element: its value, and the contribution to each operand's gradient.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Formula {
    /// The name of the output.
    pub output: &'static str,
    /// The names of the operands.
    pub operands: Vec<&'static str>,
    /// The purpose of the operation, in one plain sentence.
    pub meaning: &'static str,
    /// The source of the formula.
    pub source: &'static str,
    /// Named quantities, each defined before it is used.
    pub definitions: Vec<Definition>,
    /// Matrices that are part of the formula.
    pub tables: Vec<(&'static str, Matrix<f64>)>,
    /// The output's element \[i, j\].
    pub value: Equation,
    /// The contribution to element \[i, j\] of each operand's gradient; `None` if the operand is an index and has no
    /// gradient.
    pub gradients: Vec<Option<Equation>>,
}

/// A defined quantity, for use in later expressions.
#[derive(Clone, Copy, Debug)]
pub struct Defined(usize);

impl Defined {
    /// Returns the quantity, which has no index.
    pub fn plain(self) -> Expression {
        Expression::Defined(self.0, Vec::new())
    }

    /// Returns the quantity at one index.
    pub fn at(self, index: impl Into<Index>) -> Expression {
        Expression::Defined(self.0, vec![index.into()])
    }

    /// Returns the quantity at two indices.
    pub fn at2(self, first: impl Into<Index>, second: impl Into<Index>) -> Expression {
        Expression::Defined(self.0, vec![first.into(), second.into()])
    }
}

impl Formula {
    /// Creates a formula without equations.
    pub fn new<const N: usize>(
        output: &'static str,
        operands: [&'static str; N],
        meaning: &'static str,
        source: &'static str,
    ) -> Self {
        let operands = operands.to_vec();
        let names = Names { output, operands: operands.clone(), ..Names::default() };
        let value = Equation { left: output.into(), right: Expression::Number(f64::NAN), names };
        let gradients = Vec::new();
        let (definitions, tables) = (Vec::new(), Vec::new());
        Formula { output, operands, meaning, source, definitions, tables, value, gradients }
    }

    /// Defines a quantity.
    pub fn define<const M: usize>(
        &mut self,
        name: &'static str,
        letters: [Letter; M],
        value: impl Into<Expression>,
    ) -> Defined {
        self.definitions.push(Definition { name, letters: letters.to_vec(), value: value.into() });
        Defined(self.definitions.len() - 1)
    }

    /// Adds a matrix.
    pub fn table(&mut self, name: &'static str, table: Matrix<f64>) -> Matter {
        self.tables.push((name, table));
        Matter::Table(self.tables.len() - 1)
    }

    /// States the value.
    pub fn value(mut self, value: impl Into<Expression>) -> Self {
        self.value = self.equation(self.output.to_owned(), value.into());
        self
    }

    /// States the contribution to the gradient of the next operand.
    pub fn gradient(mut self, gradient: impl Into<Expression>) -> Self {
        let left = format!("d{}", self.operands[self.gradients.len()]);
        let equation = self.equation(left, gradient.into());
        self.gradients.push(Some(equation));
        self
    }

    /// States that the next operand, such as an index, has no gradient.
    pub fn no_gradient(mut self) -> Self {
        self.gradients.push(None);
        self
    }

    fn equation(&self, left: String, right: Expression) -> Equation {
        Equation { left, right, names: self.names() }
    }

    fn names(&self) -> Names {
        Names {
            output: self.output,
            operands: self.operands.clone(),
            tables: self.tables.iter().map(|t| t.0).collect(),
            definitions: self.definitions.iter().map(|d| d.name).collect(),
        }
    }

    /// Returns the definitions of an expression's named indices, as text: "h = ⌊j/4⌋ mod 2".
    pub fn indices(&self, expression: &Expression) -> Vec<String> {
        text::indices(&self.names(), expression)
    }

    /// Returns a definition as an equation, for printing.
    pub fn defining(&self, definition: usize) -> Equation {
        let Definition { name, letters, value } = &self.definitions[definition];
        let subscripts: String =
            letters.iter().map(|l| text::subscript(&l.0.to_string())).collect();
        self.equation(format!("{name}{subscripts}"), value.clone())
    }

    /// Returns the definitions that an expression uses, directly or indirectly, in order.
    pub fn used(&self, expression: &Expression) -> Vec<usize> {
        let mut used = vec![false; self.definitions.len()];
        let mut mark = |e: &Expression| {
            if let Expression::Defined(d, _) = e {
                used[*d] = true;
            }
        };
        expression.walk(&mut mark);
        for d in (0..self.definitions.len()).rev() {
            if used[d] {
                self.definitions[d].value.walk(&mut |e| {
                    if let Expression::Defined(d, _) = e {
                        used[*d] = true;
                    }
                });
            }
        }
        (0..used.len()).filter(|&d| used[d]).collect()
    }
}

impl Expression {
    /// Visits this expression and all its parts.
    pub fn walk(&self, visit: &mut impl FnMut(&Expression)) {
        visit(self);
        match self {
            Expression::Sum(_, a)
            | Expression::Largest(_, a)
            | Expression::Minus(a)
            | Expression::Apply(_, a) => a.walk(visit),
            Expression::Plus(parts) | Expression::Times(parts) => {
                parts.iter().for_each(|p| p.walk(visit));
            }
            Expression::Over(a, b) | Expression::Cases(_, a, b) => {
                a.walk(visit);
                b.walk(visit);
            }
            _ => {}
        }
    }
}

/// Names `index`; it is printed as `letter`.
pub fn called(letter: Letter, index: impl Into<Index>) -> Index {
    Index::Called(letter, Box::new(index.into()))
}

/// Returns operand number `place`.
pub fn operand(place: usize) -> Matter {
    Matter::Operand(place)
}

/// Returns the output.
pub fn output() -> Matter {
    Matter::Output
}

/// Returns the gradient of the output.
pub fn upstream() -> Matter {
    Matter::Upstream
}

impl Matter {
    /// Returns element \[row, column\].
    pub fn at(self, row: impl Into<Index>, column: impl Into<Index>) -> Expression {
        Expression::Element(self, row.into(), column.into())
    }

    /// Returns the integer stored in \[row, column\], as an index.
    pub fn index(self, row: impl Into<Index>, column: impl Into<Index>) -> Index {
        Index::Found(self, Box::new(row.into()), Box::new(column.into()))
    }
}

impl Function {
    /// Returns f(x), in `f64`.
    pub fn of(self, x: f64) -> f64 {
        use crate::Real;
        match self {
            Function::Exp => x.exp(),
            Function::Ln => x.ln(),
            Function::Sqrt => x.sqrt(),
            Function::Tanh => x.tanh(),
            Function::Erf => Real::erf(x),
            Function::Sin => x.sin(),
            Function::Cos => x.cos(),
            Function::Positive => f64::from(u8::from(x > 0.0)),
        }
    }

    /// Returns its name: "exp", "ln".
    pub fn name(self) -> &'static str {
        match self {
            Function::Exp => "exp",
            Function::Ln => "ln",
            Function::Sqrt => "sqrt",
            Function::Tanh => "tanh",
            Function::Erf => "erf",
            Function::Sin => "sin",
            Function::Cos => "cos",
            Function::Positive => "positive",
        }
    }
}

impl fmt::Display for Equation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::equation(f, self)
    }
}
