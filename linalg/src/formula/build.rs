//! Functions and operators for writing formulas as in a textbook.

use super::{Condition, Defined, Expression, Function, Index, Letter, Range, Relation};
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

/// Returns Σ term for letter = 0 .. count.
pub fn sum(letter: Letter, count: usize, term: impl Into<Expression>) -> Expression {
    Expression::Sum(Range { letter, count, when: None }, Box::new(term.into()))
}

/// Returns Σ term for the values of letter = 0 .. count that satisfy `when`.
pub fn sum_where(
    letter: Letter,
    count: usize,
    when: Condition,
    term: impl Into<Expression>,
) -> Expression {
    Expression::Sum(Range { letter, count, when: Some(when) }, Box::new(term.into()))
}

/// Returns the largest term for letter = 0 .. count; only for values that satisfy `when`, if given.
pub fn largest(
    letter: Letter,
    count: usize,
    when: Option<Condition>,
    term: impl Into<Expression>,
) -> Expression {
    Expression::Largest(Range { letter, count, when }, Box::new(term.into()))
}

/// Returns `then` if `when` holds, else `otherwise`.
pub fn cases(
    when: Condition,
    then: impl Into<Expression>,
    otherwise: impl Into<Expression>,
) -> Expression {
    Expression::Cases(when, Box::new(then.into()), Box::new(otherwise.into()))
}

/// Returns the condition left = right.
pub fn equal(left: impl Into<Index>, right: impl Into<Index>) -> Condition {
    Condition { left: left.into(), relation: Relation::Equal, right: right.into() }
}

/// Returns the condition left ≤ right.
pub fn at_most(left: impl Into<Index>, right: impl Into<Index>) -> Condition {
    Condition { left: left.into(), relation: Relation::AtMost, right: right.into() }
}

/// Returns eˣ.
pub fn exp(x: impl Into<Expression>) -> Expression {
    Expression::Apply(Function::Exp, Box::new(x.into()))
}

/// Returns ln x.
pub fn ln(x: impl Into<Expression>) -> Expression {
    Expression::Apply(Function::Ln, Box::new(x.into()))
}

/// Returns √x.
pub fn sqrt(x: impl Into<Expression>) -> Expression {
    Expression::Apply(Function::Sqrt, Box::new(x.into()))
}

/// Returns tanh x.
pub fn tanh(x: impl Into<Expression>) -> Expression {
    Expression::Apply(Function::Tanh, Box::new(x.into()))
}

/// Returns erf x.
pub fn erf(x: impl Into<Expression>) -> Expression {
    Expression::Apply(Function::Erf, Box::new(x.into()))
}

/// Returns sin x.
pub fn sin(x: impl Into<Expression>) -> Expression {
    Expression::Apply(Function::Sin, Box::new(x.into()))
}

/// Returns cos x.
pub fn cos(x: impl Into<Expression>) -> Expression {
    Expression::Apply(Function::Cos, Box::new(x.into()))
}

/// Returns 1 if x > 0, else 0.
pub fn positive(x: impl Into<Expression>) -> Expression {
    Expression::Apply(Function::Positive, Box::new(x.into()))
}

/// Returns an index as a number.
pub fn whole(index: impl Into<Index>) -> Expression {
    Expression::Whole(index.into())
}

impl From<Letter> for Index {
    fn from(letter: Letter) -> Self {
        Index::Letter(letter)
    }
}

impl From<usize> for Index {
    fn from(number: usize) -> Self {
        Index::Number(number)
    }
}

impl From<f64> for Expression {
    fn from(number: f64) -> Self {
        Expression::Number(number)
    }
}

impl From<Defined> for Expression {
    fn from(defined: Defined) -> Self {
        defined.plain()
    }
}

macro_rules! index_arithmetic {
    ($($type:ty),*) => {$(
        impl Sub<usize> for $type {
            type Output = Index;
            fn sub(self, other: usize) -> Index {
                Index::Minus(Box::new(self.into()), other)
            }
        }
        impl<B: Into<Index>> Add<B> for $type {
            type Output = Index;
            fn add(self, other: B) -> Index {
                Index::Plus(Box::new(self.into()), Box::new(other.into()))
            }
        }
        impl Mul<usize> for $type {
            type Output = Index;
            fn mul(self, factor: usize) -> Index {
                Index::Times(Box::new(self.into()), factor)
            }
        }
        impl Div<usize> for $type {
            type Output = Index;
            fn div(self, divisor: usize) -> Index {
                Index::Over(Box::new(self.into()), divisor)
            }
        }
        impl Rem<usize> for $type {
            type Output = Index;
            fn rem(self, divisor: usize) -> Index {
                Index::Modulo(Box::new(self.into()), divisor)
            }
        }
    )*};
}
index_arithmetic!(Letter, Index);

impl<B: Into<Expression>> Add<B> for Expression {
    type Output = Expression;
    fn add(self, other: B) -> Expression {
        let other = other.into();
        match self {
            Expression::Plus(mut parts) => {
                parts.push(other);
                Expression::Plus(parts)
            }
            first => Expression::Plus(vec![first, other]),
        }
    }
}

impl<B: Into<Expression>> Sub<B> for Expression {
    type Output = Expression;
    #[allow(clippy::suspicious_arithmetic_impl)] // a − b is the sum of a and −b
    fn sub(self, other: B) -> Expression {
        self + Expression::Minus(Box::new(other.into()))
    }
}

impl<B: Into<Expression>> Mul<B> for Expression {
    type Output = Expression;
    fn mul(self, other: B) -> Expression {
        let other = other.into();
        match self {
            Expression::Times(mut parts) => {
                parts.push(other);
                Expression::Times(parts)
            }
            first => Expression::Times(vec![first, other]),
        }
    }
}

impl<B: Into<Expression>> Div<B> for Expression {
    type Output = Expression;
    fn div(self, other: B) -> Expression {
        Expression::Over(Box::new(self), Box::new(other.into()))
    }
}

impl Neg for Expression {
    type Output = Expression;
    fn neg(self) -> Expression {
        Expression::Minus(Box::new(self))
    }
}

impl Mul<Expression> for f64 {
    type Output = Expression;
    fn mul(self, other: Expression) -> Expression {
        Expression::Number(self) * other
    }
}

impl Add<Expression> for f64 {
    type Output = Expression;
    fn add(self, other: Expression) -> Expression {
        Expression::Number(self) + other
    }
}

impl Sub<Expression> for f64 {
    type Output = Expression;
    fn sub(self, other: Expression) -> Expression {
        Expression::Number(self) - other
    }
}

impl Div<Expression> for f64 {
    type Output = Expression;
    fn div(self, other: Expression) -> Expression {
        Expression::Number(self) / other
    }
}
