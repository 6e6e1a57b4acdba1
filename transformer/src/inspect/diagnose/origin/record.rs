//! The record of a first non-finite value: where it is, what computed it, from which operands.

use calculus::{Arithmetic, Fault, Source, Witness};
use linalg::Role;
use serde::{Serialize, Serializer};
use std::fmt;

/// The phase of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Before the step: in the weights or in the data.
    Given,
    /// The forward pass.
    Forward,
    /// The backward pass.
    Backward,
    /// The update of the parameters.
    Update,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Given => "given",
            Direction::Forward => "forward",
            Direction::Backward => "backward",
            Direction::Update => "update",
        })
    }
}

/// The values of an operand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Operand {
    /// Its name.
    pub name: String,
    /// Its element, or its least and greatest relevant ones: those of the same column if there is one, else all.
    #[serde(flatten, serialize_with = "low_and_high")]
    pub range: (f64, f64),
    /// Which elements these are.
    pub what: &'static str,
}

/// The first non-finite number of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    /// The phase of the step.
    pub direction: Direction,
    /// The value's dotted name; in the backward pass, that of the value whose gradient it is; in an update, the
    /// parameter's.
    pub name: String,
    /// The operation that computes the value, or whose vjp computes the gradient.
    pub operation: String,
    /// That operation's role.
    #[serde(skip)]
    pub role: Option<Role>,
    /// The value's source; `None` for optimizer state.
    #[serde(skip)]
    pub source: Option<Source>,
    /// Row and column.
    #[serde(flatten, serialize_with = "row_and_column")]
    pub element: (usize, usize),
    /// The value: NaN, ∞ or −∞; in a second moment, a negative number.
    #[serde(serialize_with = "in_words")]
    pub value: f64,
    /// The arithmetic operation that failed, found by evaluating the operation again on values that track their origin;
    /// `None` for a given value, or if the format's range ended.
    #[serde(skip)]
    pub fault: Option<Fault<f64>>,
    /// The failure, in words.
    pub arithmetic: String,
    /// The operands.
    pub operands: Vec<Operand>,
    /// The number of later values that are not finite because of this one.
    pub inherited: usize,
}

fn row_and_column<S: Serializer>(
    &(row, column): &(usize, usize),
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map([("row", row), ("column", column)])
}

fn low_and_high<S: Serializer>(&(low, high): &(f64, f64), to: S) -> Result<S::Ok, S::Error> {
    to.collect_map([("low", low), ("high", high)])
}

/// JSON has no NaN and no ∞.
fn in_words<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { direction, name, operation, element: (i, j), arithmetic, .. } = self;
        let value = self.shown();
        write!(f, "{direction}: {name} ({operation}), element ({i}, {j}) = {value}: {arithmetic}")
    }
}

impl Origin {
    /// Returns the origin for invalid optimizer state: in the tensor `name`, the element of `parameter`; `others` more
    /// elements are invalid.
    pub(crate) fn remembered(
        name: &str,
        parameter: &str,
        element: (usize, usize),
        value: f64,
        others: usize,
    ) -> Self {
        let what = if value < 0.0 && value.is_finite() {
            "the divisor of an update is never negative; "
        } else {
            ""
        };
        Origin {
            direction: Direction::Given,
            name: parameter.to_owned(),
            operation: name.replace('_', " "),
            role: None,
            source: None,
            element,
            value,
            fault: None,
            arithmetic: format!("{what}it is in the optimizer's state, tensor {name}"),
            operands: vec![],
            inherited: others,
        }
    }

    /// Returns the origin for an update that made a parameter non-finite.
    pub(crate) fn update(name: &str, element: (usize, usize), spoilt: Witness<f32>) -> Self {
        let fault = spoilt.fault.map(widened);
        let arithmetic =
            fault.map_or("it is not finite after the update".into(), |f| f.to_string());
        Origin {
            direction: Direction::Update,
            name: name.to_owned(),
            operation: "update".to_owned(),
            role: None,
            source: Some(Source::Parameter),
            element,
            value: f64::from(spoilt.value),
            fault,
            arithmetic,
            operands: vec![],
            inherited: 0,
        }
    }

    /// Checks whether it is in this phase, in an operation of this role.
    pub(crate) fn is(&self, direction: Direction, role: Role) -> bool {
        self.direction == direction && self.role == Some(role)
    }

    /// Checks whether a softmax failed in the forward pass, alone or in attention.
    pub(crate) fn is_in_softmax(&self) -> bool {
        self.is(Direction::Forward, Role::Softmax) || self.is(Direction::Forward, Role::Attention)
    }

    /// Checks whether this arithmetic operation failed.
    pub(crate) fn fails_at(&self, step: Arithmetic) -> bool {
        self.fault.is_some_and(|f| f.step == step)
    }

    /// Checks whether something was divided by 0.
    pub(crate) fn divides_by_zero(&self) -> bool {
        self.fault.is_some_and(|f| f.step == Arithmetic::Divide && f.right == 0.0)
    }

    /// Checks whether it is ∞ − ∞, in a difference or a sum.
    pub(crate) fn cancels_infinities(&self) -> bool {
        let sums = self.fails_at(Arithmetic::Subtract) || self.fails_at(Arithmetic::Add);
        sums && self.fault.is_some_and(|f| f.is_indeterminate())
    }

    /// Returns the element: NaN, ∞ or −∞; for optimizer state, a negative number.
    pub fn shown(&self) -> String {
        self.value.to_string().replace('-', "−").replace("inf", "∞")
    }

    /// Checks whether arithmetic on finite numbers overflowed.
    pub fn overflowed(&self) -> bool {
        self.fault.is_some_and(|f| {
            let pole = match f.step {
                Arithmetic::Ln | Arithmetic::Power => f.left == 0.0,
                Arithmetic::Divide => f.right == 0.0,
                _ => false,
            };
            !f.is_indeterminate() && !pole
        })
    }
}

/// Converts a fault with its operands to `f64`.
pub(super) fn widened(fault: Fault<f32>) -> Fault<f64> {
    Fault { step: fault.step, left: f64::from(fault.left), right: f64::from(fault.right) }
}
