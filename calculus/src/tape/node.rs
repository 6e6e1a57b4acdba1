//! One line of a recording: a parameter, an input or an operation.

use super::rule::Rule;
use linalg::{Memory, Real, Shape};
use std::ops::Range;

/// Where a value comes from.
///
/// ```
/// # let (mut tape, [w, x, y]) = calculus::example::product();
/// use calculus::Source;
/// let sources: Vec<Source> = tape.vars().map(|var| tape.source(var)).collect();
/// assert_eq!(sources, [Source::Parameter, Source::Input, Source::Operation]); // w, x, y = w·x
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Learned.
    Parameter,
    /// Given.
    Input,
    /// Computed.
    Operation,
}

pub(crate) struct Node<T> {
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) shape: Shape,
    pub(crate) memory: Memory,
    pub(crate) rule: Option<Box<dyn Rule<T>>>,
    /// Where its elements lie among values, among gradients, and what its rule keeps.
    pub(crate) value: Range<usize>,
    pub(crate) gradient: Range<usize>,
    pub(crate) kept: Range<usize>,
}

impl<T: Real> Node<T> {
    pub(crate) fn is_parameter(&self) -> bool {
        self.source == Source::Parameter
    }

    pub(crate) fn operands(&self) -> &[usize] {
        self.rule.as_deref().map_or(&[], Rule::operands)
    }

    /// Whether the backward rule reads the value of operand `k`.
    pub(crate) fn reads_operand(&self, k: usize) -> bool {
        self.rule.as_deref().is_some_and(|rule| rule.reads_operand(k))
    }

    /// Whether the backward rule reads the value that the forward rule computed.
    pub(crate) fn reads_output(&self) -> bool {
        self.rule.as_deref().is_some_and(Rule::reads_output)
    }

    pub(crate) fn is_cheap(&self) -> bool {
        self.rule.as_deref().is_some_and(Rule::is_cheap)
    }
}
