//! One line of a recording: a parameter, an input or an operation.

use super::rule::Rule;
use linalg::{Memory, Real, Shape, View, ViewMut};
use nalgebra::{Const, Dyn};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The origin of a value.
///
/// ```
/// # let (mut tape, [w, x, y]) = calculus::example::product();
/// use calculus::Source;
/// let sources: Vec<Source> = tape.vars().map(|var| tape.source(var)).collect();
/// assert_eq!(sources, [Source::Parameter, Source::Input, Source::Operation]); // w, x, y = w·x
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A trained matrix.
    Parameter,
    /// A given matrix.
    Input,
    /// A matrix of weights that stands still: it is read and never trained.
    Frozen,
    /// The output of an operation.
    Operation,
}

impl Source {
    /// Whether it is a matrix of weights, trained or frozen.
    ///
    /// ```
    /// use calculus::Source;
    /// assert!(Source::Parameter.is_weight() && Source::Frozen.is_weight() && !Source::Input.is_weight());
    /// ```
    pub fn is_weight(self) -> bool {
        matches!(self, Source::Parameter | Source::Frozen)
    }
}

/// The matrix whose memory a view shares, which is not itself a view, and the view's first row in it.
#[derive(Clone, Copy)]
pub(crate) struct Within {
    pub(crate) root: usize,
    pub(crate) row: usize,
}

pub(crate) struct Node<T> {
    pub(crate) name: String,
    /// The operation's name, for display.
    pub(crate) operation: Option<&'static str>,
    /// The name of the outermost scope in which it was recorded.
    pub(crate) layer: Option<String>,
    /// The number of the segment in which it was recorded.
    pub(crate) segment: Option<usize>,
    pub(crate) source: Source,
    /// Whether it depends on a parameter, and on a parameter or an input.
    pub(crate) learned: bool,
    pub(crate) moves: bool,
    pub(crate) shape: Shape,
    pub(crate) memory: Memory,
    pub(crate) rule: Option<Box<dyn Rule<T>>>,
    /// The matrix whose memory it shares, if it is a view.
    pub(crate) view: Option<Within>,
    /// The distance between columns: its rows, or those of the matrix whose memory it shares.
    pub(crate) stride: usize,
    /// The ranges of its value, of its gradient, and of the memory that its operation keeps. The range of a view
    /// extends from its first to its last element; the elements between its columns belong to other values.
    pub(crate) value: Range<usize>,
    pub(crate) gradient: Range<usize>,
    pub(crate) kept: Range<usize>,
    /// Whether it stays readable in a forward-only recording that reuses memory.
    pub(crate) output: bool,
    /// The values of a frozen matrix, if recordings share them as bfloat16.
    pub(crate) halves: Option<Arc<[u16]>>,
    /// Its number among the matrices that the tape does not hold otherwise: [`super::shared`].
    pub(crate) shared: Option<usize>,
}

/// Prints its name and shape.
impl<T> fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.shape)
    }
}

impl<T: Real> Node<T> {
    pub(crate) fn is_parameter(&self) -> bool {
        self.source == Source::Parameter
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.source == Source::Frozen
    }

    /// Whether anything needs its gradient: in training what depends on a parameter; if all gradients are to be readable,
    /// also what depends on an input.
    pub(crate) fn is_wanted(&self, training: bool) -> bool {
        if training { self.learned } else { self.moves }
    }

    /// Returns the number of the node whose memory it shares; its own number, `node`, if it is not a view.
    pub(crate) fn root(&self, node: usize) -> usize {
        self.view.map_or(node, |within| within.root)
    }

    /// Returns its rows, among those of the node whose memory it shares.
    pub(crate) fn rows(&self) -> Range<usize> {
        let first = self.view.map_or(0, |within| within.row);
        first..first + self.shape.rows
    }

    /// Returns the operation that a replay runs; `None` for a view, whose elements already exist.
    pub(crate) fn replayed(&self) -> Option<&dyn Rule<T>> {
        self.rule.as_deref().filter(|_| self.view.is_none())
    }

    /// Returns a matrix with its shape and its distance between columns.
    pub(crate) fn matrix<'a>(&self, elements: &'a [T]) -> View<'a, T> {
        let (rows, columns) = (Dyn(self.shape.rows), Dyn(self.shape.columns));
        View::from_slice_with_strides_generic(elements, rows, columns, Const, Dyn(self.stride))
    }

    /// Like [`Node::matrix`], but mutable.
    pub(crate) fn matrix_mut<'a>(&self, elements: &'a mut [T]) -> ViewMut<'a, T> {
        matrix_mut(self.shape, self.stride, elements)
    }

    pub(crate) fn operands(&self) -> &[usize] {
        self.rule.as_deref().map_or(&[], Rule::operands)
    }

    /// Whether the vjp reads the value of operand `k`.
    pub(crate) fn reads_operand(&self, k: usize) -> bool {
        self.rule.as_deref().is_some_and(|rule| rule.reads_operand(k))
    }

    /// Whether the vjp reads the value that the forward computed.
    pub(crate) fn reads_output(&self) -> bool {
        self.rule.as_deref().is_some_and(Rule::reads_output)
    }

    pub(crate) fn is_cheap(&self) -> bool {
        self.rule.as_deref().is_some_and(Rule::is_cheap)
    }
}

/// Returns a matrix with this shape and this distance between columns.
pub(crate) fn matrix_mut<T: Real>(
    shape: Shape,
    stride: usize,
    elements: &mut [T],
) -> ViewMut<'_, T> {
    let (rows, columns) = (Dyn(shape.rows), Dyn(shape.columns));
    ViewMut::from_slice_with_strides_generic(elements, rows, columns, Const, Dyn(stride))
}
