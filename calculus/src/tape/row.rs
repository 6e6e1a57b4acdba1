//! Read access to a recording: a row for every value, the formula of an operation, memory sizes.

use super::{Node, Rule, Source, Tape};
use crate::Var;
use crate::tape::plan::{Plan, Recompute};
use linalg::{Formula, Real, Role, Shape, View};
use std::fmt;

/// The bytes of a recording's memory.
///
/// ```
/// # let (mut tape, [w, x, y]) = calculus::example::product();
/// // y = w·x of three numbers, 8 bytes each: one is a parameter, all three have a gradient.
/// let memory = tape.memory();
/// assert_eq!((memory.parameters, memory.parameter_gradients), (8, 8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapeMemory {
    /// Parameters.
    pub parameters: usize,
    /// Their gradients.
    pub parameter_gradients: usize,
    /// Frozen weights, which have none, without those that are shared.
    pub frozen: usize,
    /// Frozen weights that recordings share as bfloat16 ([`crate::Recorder::share`]). The place in which they are widened is
    /// among the values.
    pub shared: usize,
    /// Values of inputs and operations.
    pub values: usize,
    /// Their gradients.
    pub gradients: usize,
    /// Memory that operations keep from forward to backward.
    pub kept: usize,
    /// Memory that operations need during a call.
    pub scratch: usize,
}

/// Prints names and shapes, not the elements.
impl<T: Real> fmt::Debug for Tape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape")
            .field("parameters", &self.parameters)
            .field("rows", &self.nodes)
            .finish_non_exhaustive()
    }
}

/// The public description of one node.
///
/// ```
/// # let (mut tape, [w, x, y]) = calculus::example::product();
/// tape.forward();
/// let y = tape.rows().last().expect("a node");
/// assert_eq!((y.name, y.operation, y.branch), ("y", Some("product by elements"), Some("linalg")));
/// assert_eq!((y.value[(0, 0)], y.flops), (6.0, 1)); // one multiplication
/// ```
#[derive(Clone, Debug)]
pub struct Row<'a, T: Real> {
    /// The value's handle.
    pub var: Var,
    /// Its unique dotted name.
    pub name: &'a str,
    /// Its origin.
    pub source: Source,
    /// The operation that computes it, if one does.
    pub operation: Option<&'static str>,
    /// The branch of mathematics of that operation.
    pub branch: Option<&'static str>,
    /// The role of that operation.
    pub role: Option<Role>,
    /// The operation's operands.
    pub operands: Vec<Var>,
    /// Its shape.
    pub shape: Shape,
    /// Its value after the last forward replay, possibly a block of rows of another value. If the recording reuses
    /// memory and does not hold it ([`Tape::holds`]), the contents are arbitrary. That of a shared matrix
    /// ([`crate::Recorder::share`]) has no element: [`Tape::value`] and [`Tape::weight`] have all.
    pub value: View<'a, T>,
    /// Its gradient after the last backward replay; `None` in a forward-only recording, and for frozen weights. In one that
    /// reuses memory, only parameters and their rows have one.
    pub gradient: Option<View<'a, T>>,
    /// The memory that the operation kept for the backward replay.
    pub kept: &'a [T],
    /// Floating-point operations of the forward replay. A view costs nothing, here and below.
    pub flops: u64,
    /// Floating-point operations of the backward replay, without those of values that are computed again.
    pub backward_flops: u64,
    /// The values that the backward replay computes again before it needs them here ([`Recompute`]), in order.
    pub recomputed: Vec<Var>,
    /// Bytes that the forward replay reads and writes, without caching.
    pub bytes: u64,
    /// Bytes that the backward replay reads and writes, without caching: the values that the vjp reads, and the
    /// gradients of its operands once.
    pub backward_bytes: u64,
}

/// Returns the bytes of shared matrices.
pub(crate) fn shared_bytes<T: Real>(nodes: &[Node<T>]) -> usize {
    let shared = nodes.iter().filter(|node| node.shared.is_some());
    size_of::<u16>() * shared.map(|node| node.shape.len()).sum::<usize>()
}

impl<T: Real> Tape<T> {
    /// Returns the bytes of memory: parameters, their gradients, frozen weights, other values, other gradients, kept memory, and
    /// scratch.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.memory().parameters, 8); // one f64
    /// ```
    pub fn memory(&self) -> TapeMemory {
        let bytes = |scalars: usize| scalars * size_of::<T>();
        TapeMemory {
            parameters: bytes(self.parameters),
            parameter_gradients: bytes(self.parameters.min(self.gradients.len())),
            frozen: bytes(self.frozen),
            shared: shared_bytes(&self.nodes),
            values: bytes(self.values.len() - self.parameters - self.frozen),
            gradients: bytes(self.gradients.len().saturating_sub(self.parameters)),
            kept: bytes(self.kept.len()),
            scratch: bytes(self.scratch.len()),
        }
    }

    /// Returns which values the backward replay computes again; none in a recording that keeps its values.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.recompute(), calculus::Recompute::default());
    /// ```
    pub fn recompute(&self) -> Recompute {
        match self.plan {
            Plan::Reuse { recompute, .. } => recompute,
            Plan::Keep | Plan::ForwardOnly | Plan::Outputs => Recompute::default(),
        }
    }

    /// Returns one row per node, in order.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// let names: Vec<&str> = tape.rows().map(|row| row.name).collect();
    /// assert_eq!(names, ["w", "x", "y"]);
    /// ```
    pub fn rows(&self) -> impl Iterator<Item = Row<'_, T>> {
        self.nodes.iter().enumerate().map(move |(i, node)| self.row(i, node))
    }

    /// Returns the formula of the operation that computes a value; `None` for a parameter or an input.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// let formula = tape.formula(y).expect("an operation");
    /// assert_eq!(formula.value.to_string(), "y[i,j] = a[i,j]·b[i,j]");
    /// assert!(tape.formula(x).is_none()); // x is an input
    /// ```
    pub fn formula(&self, var: Var) -> Option<Formula> {
        let rule = self.nodes[self.node(var)].rule.as_ref()?;
        Some(rule.formula(&self.nodes, &self.values))
    }

    fn row<'a>(&'a self, i: usize, node: &'a Node<T>) -> Row<'a, T> {
        let rule = node.rule.as_deref();
        let operands = rule.map_or(&[][..], Rule::operands);
        let size = |o: usize| self.nodes[o].shape.len();
        let read: usize = operands.iter().map(|&o| size(o)).sum();
        let own = node.shape.len() + node.memory.kept;
        let replayed = node.replayed();
        let touched = if replayed.is_some() { read + own } else { 0 };
        let back = replayed.map_or(0, |rule| {
            let needed = operands.iter().enumerate().filter(|(k, _)| rule.reads_operand(*k));
            let output = if rule.reads_output() { node.shape.len() } else { 0 };
            needed.map(|(_, &o)| size(o)).sum::<usize>() + output + own + read
        });
        Row {
            var: self.var(i),
            name: &node.name,
            source: node.source,
            operation: node.operation,
            branch: rule.map(Rule::branch),
            role: rule.map(Rule::role),
            operands: operands.iter().map(|&o| self.var(o)).collect(),
            shape: node.shape,
            value: match self.nodes[node.root(i)].shared {
                Some(_) => View::from_slice(&[], 0, 0),
                None => node.matrix(&self.values[node.value.clone()]),
            },
            gradient: match self.plan {
                Plan::Keep => !self.nodes[node.root(i)].is_frozen(),
                Plan::ForwardOnly | Plan::Outputs => false,
                Plan::Reuse { .. } => self.nodes[node.root(i)].is_parameter(),
            }
            .then(|| node.matrix(&self.gradients[node.gradient.clone()])),
            kept: &self.kept[node.kept.clone()],
            flops: replayed.map_or(0, |rule| rule.flops(&self.nodes)),
            backward_flops: replayed.map_or(0, |rule| rule.vjp_flops(&self.nodes, self.trains())),
            recomputed: self.layout.again[i].iter().map(|&again| self.var(again)).collect(),
            bytes: (touched * size_of::<T>()) as u64,
            backward_bytes: (back * size_of::<T>()) as u64,
        }
    }
}
