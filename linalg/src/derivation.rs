//! The arithmetic of one number: a formula with values for its indices and operands.
//!
//! Every part carries its value and a bound on the error of the same arithmetic in a floating-point scalar. The bound
//! is the usual first-order one: an operation with result v adds at most ε·|v| (a function a few times that), a sum of
//! n terms n·ε·Σ|terms|, and errors of operands are multiplied by the derivative. Source: Higham, *Accuracy and
//! Stability of Numerical Algorithms*, 2002, chapters 3 and 4.
//!
//! On `f64` only: a derivation shows the numbers of one element, whatever scalar stored them.

use crate::formula::{Condition, Equation, Expression, Formula, Function, Index, Matter, Relation};
use std::collections::HashMap;
use std::fmt;

/// A number with the arithmetic that produces it.
///
/// ```
/// # use linalg::formula::{I, J, operand, upstream};
/// # let formula = linalg::Formula::new("y", ["x"], "Scales a value.", "none")
/// #     .value(3.0 * operand(0).at(I, J))
/// #     .gradient(3.0 * upstream().at(I, J));
/// let part = formula.derive((0, 0), |_, _, _| 7.0).part; // of y = 3·x at x = 7
/// assert_eq!((part.value, part.error), (21.0, 21.0)); // one rounding: an error of at most 21 ε
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its value, computed in `f64` from exact operands.
    pub value: f64,
    /// The error bound of the same arithmetic in a scalar, in units of that scalar's ε.
    pub error: f64,
    /// The arithmetic that produces it.
    pub what: What,
}

/// The arithmetic of a number.
///
/// ```
/// # use linalg::formula::{I, J, operand, upstream};
/// # let formula = linalg::Formula::new("y", ["x"], "Scales a value.", "none")
/// #     .value(3.0 * operand(0).at(I, J))
/// #     .gradient(3.0 * upstream().at(I, J));
/// use linalg::derivation::What;
/// let What::Product(factors) = formula.derive((0, 0), |_, _, _| 7.0).part.what else {
///     panic!("y = 3·x is a product");
/// };
/// assert_eq!((factors[0].value, factors[1].value), (3.0, 7.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A constant of the rule.
    Number,
    /// Element \[row, column\] of a matrix.
    Element(Matter, usize, usize),
    /// A definition of this derivation, by its index in [`Derivation::definitions`].
    Named(usize),
    /// a + b + …; 0 without terms.
    Sum(Vec<Part>),
    /// The largest of these.
    Largest(Vec<Part>),
    /// a·b·…
    Product(Vec<Part>),
    /// a/b.
    Quotient(Box<[Part; 2]>),
    /// −a.
    Negative(Box<Part>),
    /// f(a).
    Apply(Function, Box<Part>),
}

/// A named quantity at given indices: µ of column 3.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// Its symbol.
    pub name: &'static str,
    /// The indices.
    pub at: Vec<i64>,
    /// Its arithmetic.
    pub part: Part,
}

/// The derivation of one element.
///
/// ```
/// use linalg::formula::{I, J, operand, upstream};
/// let formula = linalg::Formula::new("y", ["x"], "Scales a value.", "none")
///     .value(3.0 * operand(0).at(I, J))
///     .gradient(3.0 * upstream().at(I, J));
/// let derivation = formula.derive((0, 0), |_, _, _| 7.0);
/// assert_eq!(derivation.part.value, 21.0); // y = 3·x at x = 7
/// assert!(derivation.definitions.is_empty()); // no quantity has a name of its own
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Derivation {
    /// Named quantities, each defined before it is used.
    pub definitions: Vec<Named>,
    /// The element's arithmetic.
    pub part: Part,
}

impl Part {
    /// Whether `stored` agrees with the arithmetic: see [`Derivation::makes`].
    pub fn makes(&self, stored: f64, epsilon: f64, smallest: f64) -> bool {
        let Part { value, error, .. } = *self;
        if value.is_nan() || !value.is_finite() {
            return value == stored || (value.is_nan() && stored.is_nan());
        }
        (value - stored).abs() <= self.bound(epsilon, smallest) && error.is_finite()
    }

    /// Returns the error bound of a computation in a scalar: see [`Derivation::bound`].
    pub fn bound(&self, epsilon: f64, smallest: f64) -> f64 {
        self.error * epsilon + smallest * 1024.0
    }
}

impl Derivation {
    /// Whether `stored`, computed in a scalar with this ε, agrees with the arithmetic within its bound. `smallest` is
    /// the scalar's smallest normal number, below which relative bounds do not hold.
    ///
    /// ```
    /// # use linalg::formula::{I, J, operand, upstream};
    /// # let formula = linalg::Formula::new("y", ["x"], "Scales a value.", "none")
    /// #     .value(3.0 * operand(0).at(I, J))
    /// #     .gradient(3.0 * upstream().at(I, J));
    /// let derivation = formula.derive((0, 0), |_, _, _| 0.1);
    /// assert!(derivation.makes(3.0 * 0.1, f64::EPSILON, f64::MIN_POSITIVE));
    /// assert!(!derivation.makes(0.3001, f64::EPSILON, f64::MIN_POSITIVE));
    /// ```
    pub fn makes(&self, stored: f64, epsilon: f64, smallest: f64) -> bool {
        self.part.makes(stored, epsilon, smallest)
    }

    /// Returns the error bound of a computation in a scalar with this ε, as a distance from [`Part::value`].
    ///
    /// ```
    /// # use linalg::formula::{I, J, operand, upstream};
    /// # let formula = linalg::Formula::new("y", ["x"], "Scales a value.", "none")
    /// #     .value(3.0 * operand(0).at(I, J))
    /// #     .gradient(3.0 * upstream().at(I, J));
    /// let derivation = formula.derive((0, 0), |_, _, _| 7.0);
    /// assert_eq!(derivation.bound(1e-3, 0.0), 0.021); // one rounding of 21, at three digits
    /// ```
    pub fn bound(&self, epsilon: f64, smallest: f64) -> f64 {
        self.part.bound(epsilon, smallest)
    }
}

/// An evaluator for many elements of a formula that gives only values and error bounds. Definitions that several
/// elements share are computed once, and no arithmetic is kept.
///
/// ```
/// use linalg::formula::{I, J, operand, upstream};
/// let formula = linalg::Formula::new("y", ["x"], "Scales a value.", "none")
///     .value(3.0 * operand(0).at(I, J))
///     .gradient(3.0 * upstream().at(I, J));
/// let x = linalg::matrix(2, 1, &[7.0, 8.0]);
/// let read = |_: linalg::formula::Matter, i: usize, j: usize| x[(i, j)];
/// let mut numbers = formula.numbers(&read, 1000);
/// assert_eq!(numbers.value((1, 0)).map(|y| y.value), Some(24.0));
/// assert_eq!(formula.numbers(&read, 2).value((1, 0)), None); // 3, x and their product are more than 2 parts
/// ```
pub struct Numbers<'a>(Reader<'a>);

impl fmt::Debug for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers")
            .field("formula", self.0.formula)
            .field("left", &self.0.left)
            .finish_non_exhaustive()
    }
}

impl Numbers<'_> {
    /// Returns the output's element \[row, column\]; `None` if it needs more than the allowed number of parts.
    pub fn value(&mut self, at: (usize, usize)) -> Option<Part> {
        self.of(&self.0.formula.value, at)
    }

    /// Returns the contribution to the gradient's element \[row, column\] of an operand; `None` like
    /// [`Numbers::value`], and if the operand has no gradient.
    pub fn gradient(&mut self, operand: usize, at: (usize, usize)) -> Option<Part> {
        self.of(self.0.formula.gradients[operand].as_ref()?, at)
    }

    fn of(&mut self, equation: &Equation, (i, j): (usize, usize)) -> Option<Part> {
        let part = self.0.part(&equation.right, &mut vec![('i', i as i64), ('j', j as i64)]);
        (self.0.left > 0).then_some(part)
    }
}

impl Formula {
    /// Returns the arithmetic of the output's element \[row, column\]; `values` returns elements of matrices.
    ///
    /// ```
    /// # use linalg::formula::{I, J, operand, upstream};
    /// # let formula = linalg::Formula::new("y", ["x"], "Scales a value.", "none")
    /// #     .value(3.0 * operand(0).at(I, J))
    /// #     .gradient(3.0 * upstream().at(I, J));
    /// let x = linalg::matrix(2, 1, &[7.0, 8.0]);
    /// assert_eq!(formula.derive((1, 0), |_, i, j| x[(i, j)]).part.value, 24.0);
    /// ```
    pub fn derive(
        &self,
        at: (usize, usize),
        values: impl Fn(Matter, usize, usize) -> f64,
    ) -> Derivation {
        self.of(&self.value, at, &values)
    }

    /// Returns the arithmetic of the contribution to the gradient's element \[row, column\] of an operand, or `None` if
    /// the operand has no gradient.
    ///
    /// ```
    /// # use linalg::formula::{I, J, operand, upstream};
    /// # let formula = linalg::Formula::new("y", ["x"], "Scales a value.", "none")
    /// #     .value(3.0 * operand(0).at(I, J))
    /// #     .gradient(3.0 * upstream().at(I, J));
    /// let upstream = linalg::matrix(1, 1, &[0.5]);
    /// let dx = formula.derive_gradient(0, (0, 0), |_, i, j| upstream[(i, j)]).expect("x can move");
    /// assert_eq!(dx.part.value, 1.5); // dx = 3·dy
    /// ```
    pub fn derive_gradient(
        &self,
        operand: usize,
        at: (usize, usize),
        values: impl Fn(Matter, usize, usize) -> f64,
    ) -> Option<Derivation> {
        Some(self.of(self.gradients[operand].as_ref()?, at, &values))
    }

    /// Returns an evaluator for elements of this formula; `values` returns elements of matrices. All elements together
    /// may use at most `most` parts: terms, factors and definitions.
    pub fn numbers<'a>(
        &'a self,
        values: &'a dyn Fn(Matter, usize, usize) -> f64,
        most: u64,
    ) -> Numbers<'a> {
        let (definitions, known) = (Vec::new(), HashMap::new());
        Numbers(Reader { formula: self, values, definitions, known, whole: false, left: most })
    }

    fn of(
        &self,
        equation: &Equation,
        (i, j): (usize, usize),
        values: &dyn Fn(Matter, usize, usize) -> f64,
    ) -> Derivation {
        let (definitions, known, left) = (Vec::new(), HashMap::new(), u64::MAX);
        let mut reader = Reader { formula: self, values, definitions, known, whole: true, left };
        let part = reader.part(&equation.right, &mut vec![('i', i as i64), ('j', j as i64)]);
        Derivation { definitions: reader.definitions, part }
    }
}

type Bindings = Vec<(char, i64)>;

struct Reader<'a> {
    formula: &'a Formula,
    values: &'a dyn Fn(Matter, usize, usize) -> f64,
    definitions: Vec<Named>,
    known: HashMap<(usize, Vec<i64>), usize>,
    /// Whether the arithmetic is kept.
    whole: bool,
    /// The number of parts that may still be computed.
    left: u64,
}

impl Reader<'_> {
    fn element(&self, of: Matter, row: i64, column: i64) -> f64 {
        let (Ok(row), Ok(column)) = (usize::try_from(row), usize::try_from(column)) else {
            return f64::NAN;
        };
        match of {
            Matter::Table(t) => {
                self.formula.tables[t].1.get((row, column)).copied().unwrap_or(f64::NAN)
            }
            _ => (self.values)(of, row, column),
        }
    }

    fn index(&self, index: &Index, at: &Bindings) -> i64 {
        match index {
            Index::Letter(letter) => {
                at.iter().rev().find(|b| b.0 == letter.0).map_or(i64::MIN, |b| b.1)
            }
            Index::Number(n) => *n as i64,
            Index::Called(_, a) => self.index(a, at),
            Index::Plus(a, b) => self.index(a, at).saturating_add(self.index(b, at)),
            Index::Minus(a, n) => self.index(a, at).saturating_sub(*n as i64),
            Index::Times(a, n) => self.index(a, at).saturating_mul(*n as i64),
            Index::Over(a, n) => self.index(a, at).div_euclid(*n as i64),
            Index::Modulo(a, n) => self.index(a, at).rem_euclid(*n as i64),
            Index::Found(of, row, column) => {
                self.element(*of, self.index(row, at), self.index(column, at)) as i64
            }
        }
    }

    fn holds(&self, when: &Condition, at: &Bindings) -> bool {
        let (left, right) = (self.index(&when.left, at), self.index(&when.right, at));
        match when.relation {
            Relation::Equal => left == right,
            Relation::AtMost => left <= right,
        }
    }

    fn part(&mut self, e: &Expression, at: &mut Bindings) -> Part {
        if self.left == 0 {
            return Part { value: f64::NAN, error: 0.0, what: What::Number };
        }
        self.left -= 1;
        let part = self.whole_part(e, at);
        match self.whole {
            true => part,
            false => Part { what: What::Number, ..part },
        }
    }

    fn whole_part(&mut self, e: &Expression, at: &mut Bindings) -> Part {
        match e {
            Expression::Number(x) => number(*x),
            Expression::Whole(index) => number(self.index(index, at) as f64),
            Expression::Element(of, row, column) => {
                let (row, column) = (self.index(row, at), self.index(column, at));
                let value = self.element(*of, row, column);
                let what = What::Element(*of, row.max(0) as usize, column.max(0) as usize);
                Part { value, error: 0.0, what }
            }
            Expression::Defined(d, indices) => {
                let indices: Vec<i64> = indices.iter().map(|i| self.index(i, at)).collect();
                let place = match self.known.get(&(*d, indices.clone())) {
                    Some(&place) => place,
                    None => {
                        let formula = self.formula;
                        let definition = &formula.definitions[*d];
                        let letters = definition.letters.iter().map(|l| l.0);
                        let mut own: Bindings = letters.zip(indices.iter().copied()).collect();
                        let part = self.part(&definition.value, &mut own);
                        let name = definition.name;
                        self.definitions.push(Named { name, at: indices.clone(), part });
                        self.known.insert((*d, indices), self.definitions.len() - 1);
                        self.definitions.len() - 1
                    }
                };
                let Part { value, error, .. } = self.definitions[place].part;
                Part { value, error, what: What::Named(place) }
            }
            Expression::Sum(range, term) => {
                let terms = self.terms(range, term, at);
                sum(terms)
            }
            Expression::Largest(range, term) => {
                let terms = self.terms(range, term, at);
                let largest = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
                let value = terms.iter().map(|t| t.value).fold(f64::NEG_INFINITY, largest);
                let error = terms.iter().map(|t| t.error).fold(0.0, f64::max);
                Part { value, error, what: What::Largest(terms) }
            }
            Expression::Plus(parts) => {
                let parts = parts.iter().map(|p| self.part(p, at)).collect();
                sum(parts)
            }
            Expression::Times(parts) => {
                let parts: Vec<Part> = parts.iter().map(|p| self.part(p, at)).collect();
                let (mut value, mut error) = (1.0_f64, 0.0);
                for (i, p) in parts.iter().enumerate() {
                    error = through(value, p.error) + through(p.value, error);
                    value *= p.value;
                    if i > 0 {
                        error += value.abs();
                    }
                }
                Part { value, error: tame(value, error), what: What::Product(parts) }
            }
            Expression::Over(a, b) => {
                let (a, b) = (self.part(a, at), self.part(b, at));
                let value = a.value / b.value;
                let error = (a.error + through(value, b.error)) / b.value.abs() + value.abs();
                let what = What::Quotient(Box::new([a, b]));
                Part { value, error: tame(value, error), what }
            }
            Expression::Minus(a) => {
                let a = self.part(a, at);
                Part { value: -a.value, error: a.error, what: What::Negative(Box::new(a)) }
            }
            Expression::Apply(function, a) => {
                let a = self.part(a, at);
                let value = function.of(a.value);
                let error = passed(*function, a.value, value, a.error);
                let what = What::Apply(*function, Box::new(a));
                Part { value, error: tame(value, error), what }
            }
            Expression::Cases(when, a, b) => {
                let chosen = if self.holds(when, at) { a } else { b };
                self.part(chosen, at)
            }
        }
    }

    fn terms(
        &mut self,
        range: &crate::formula::Range,
        term: &Expression,
        at: &mut Bindings,
    ) -> Vec<Part> {
        let mut terms = Vec::new();
        for k in 0..range.count {
            if self.left == 0 {
                break;
            }
            at.push((range.letter.0, k as i64));
            if range.when.as_ref().is_none_or(|when| self.holds(when, at)) {
                terms.push(self.part(term, at));
            }
            at.pop();
        }
        terms
    }
}

/// Returns a constant of the rule. It is rounded to the scalar, unless it is a small integer or half-integer.
fn number(value: f64) -> Part {
    let exact = (value * 2.0).fract() == 0.0 && value.abs() < 1e6 || value.is_infinite();
    Part { value, error: if exact { 0.0 } else { value.abs() }, what: What::Number }
}

fn sum(terms: Vec<Part>) -> Part {
    let value = terms.iter().map(|t| t.value).sum();
    let size: f64 = terms.iter().map(|t| t.value.abs()).sum();
    let own = if terms.len() > 1 { terms.len() as f64 * size } else { 0.0 };
    let error = terms.iter().map(|t| t.error).sum::<f64>() + own;
    Part { value, error: tame(value, error), what: What::Sum(terms) }
}

/// Returns |factor|·error, where 0·∞ is 0.
fn through(factor: f64, error: f64) -> f64 {
    if error == 0.0 || factor == 0.0 { 0.0 } else { factor.abs() * error }
}

/// Returns the error of a value: an infinite value is exact.
fn tame(value: f64, error: f64) -> f64 {
    if value.is_finite() { error } else { 0.0 }
}

/// Returns the error of f(x) if x has the given error: the error times the slope, plus a few ε for the function itself.
fn passed(function: Function, x: f64, y: f64, error: f64) -> f64 {
    let own = 4.0 * y.abs();
    own + match function {
        Function::Exp => through(y, error),
        Function::Ln => error / x.abs(),
        // At 0 the slope is infinite; an error e in x changes the root by at most √e.
        Function::Sqrt if y > 0.0 => error / (2.0 * y),
        Function::Sqrt => error.sqrt(),
        Function::Tanh => through(1.0 - y * y, error),
        Function::Erf => through(std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp(), error),
        Function::Sin => through(x.cos(), error),
        Function::Cos => through(x.sin(), error),
        Function::Positive => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::{I, J, K, exp, largest, operand, sum as sigma};

    #[test]
    fn a_softmax_by_hand() {
        let z = operand(0);
        let mut f = Formula::new("p", ["z"], "", "");
        let most = f.define("m", [J], largest(K, 2, None, z.at(K, J)));
        let shifted = |i| exp(z.at(i, J) - most.at(J));
        let total = f.define("Z", [J], sigma(K, 2, shifted(K)));
        let f = f.value(shifted(I) / total.at(J)).no_gradient();
        assert_eq!(f.value.to_string(), "p[i,j] = e^(z[i,j] − mⱼ)/Zⱼ");
        assert_eq!(f.defining(1).to_string(), "Zⱼ = Σₖ e^(z[k,j] − mⱼ)");
        let found = f.derive((0, 0), |_, row, _| [2.0_f64.ln(), 0.0][row]);
        assert!((found.part.value - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(found.definitions.len(), 2);
        assert!(found.makes(2.0 / 3.0, f64::EPSILON, f64::MIN_POSITIVE));
        assert!(!found.makes(0.6667, f64::EPSILON, f64::MIN_POSITIVE));
    }

    #[test]
    fn what_is_nothing_is_exactly_nothing() {
        let f = Formula::new("y", ["x"], "", "").value(exp(operand(0).at(I, J)));
        let found = f.derive((0, 0), |_, _, _| f64::NEG_INFINITY);
        assert_eq!((found.part.value, found.part.error), (0.0, 0.0));
    }
}
