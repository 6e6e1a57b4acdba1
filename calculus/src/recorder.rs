//! Recording a computation.

mod outline;

pub use outline::Planned;

use crate::tape::plan::{self, Plan, Recompute};
use crate::tape::{self, Node, Parameter, Places, Recorded, Rule, Source, Tape, Within};
use linalg::{Memory, Primitive, Real, Shape, ShapeError};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use thiserror::Error;

/// Bytes that are impossible even with reuse, and that would overflow a plan's sums.
const BEYOND: u128 = 1 << 60;

/// A matrix in a recording: a parameter, an input, or the output of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Var {
    pub(crate) node: usize,
    pub(crate) recording: u32,
}

impl Var {
    /// Returns its index among the rows of its recording.
    pub fn index(self) -> usize {
        self.node
    }
}

/// An error in a computation. All errors are found while it is recorded; a replay cannot fail.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The operands' shapes do not fit the operation.
    #[error("{name}: {operation} of {operands}: {source}")]
    Shape {
        /// The dotted name of the new value.
        name: String,
        /// The name of the operation.
        operation: &'static str,
        /// The operands, with their shapes.
        operands: String,
        /// The shape error.
        source: ShapeError,
    },
    /// The name is already in use.
    #[error("{name}: there is a value of this name already; give the second one another name")]
    Name {
        /// The dotted name.
        name: String,
    },
    /// An operand belongs to another recording.
    #[error("{name}: an operand belongs to another recording")]
    Foreign {
        /// The dotted name of the new value.
        name: String,
    },
    /// A matrix has no elements.
    #[error("{name}: {shape} has no element")]
    Empty {
        /// The dotted name.
        name: String,
        /// The shape.
        shape: Shape,
    },
    /// A matrix has more elements than memory can address.
    #[error("{name}: {shape} elements are more than memory can address")]
    Size {
        /// The dotted name.
        name: String,
        /// The shape.
        shape: Shape,
    },
}

/// Selects parameters by their full dotted names.
type Freezes = Box<dyn Fn(&str) -> bool>;

/// A recording in progress: an ordered list of named operations over named matrices.
///
/// All errors of shapes and names are found here; they contain the full dotted name.
///
/// ```
/// use calculus::Recorder;
/// use linalg::{Shape, affine::Affine};
/// let mut r = Recorder::<f32>::new();
/// let x = r.input("x", Shape::new(3, 5))?;
/// let result = r.scope("layer", |r| {
///     let w = r.parameter("weight", Shape::new(2, 4))?;
///     let b = r.parameter("bias", Shape::new(2, 1))?;
///     r.push("y", Affine, [w, x, b])
/// });
/// assert_eq!(
///     result.unwrap_err().to_string(),
///     "layer.y: affine map of layer.weight 2×4, x 3×5, layer.bias 2×1: x has 3 rows where 4 are needed"
/// );
/// # Ok::<(), calculus::RecordError>(())
/// ```
pub struct Recorder<T: Real> {
    recording: u32,
    prefix: String,
    names: HashMap<String, usize>,
    /// The name of the outermost open scope.
    layer: Option<String>,
    /// The innermost open segment, and the number of all so far.
    segment: Option<usize>,
    segments: usize,
    /// Selects the parameters to freeze.
    freezes: Option<Freezes>,
    nodes: Vec<Node<T>>,
}

impl<T: Real> fmt::Debug for Recorder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("scope", &self.prefix)
            .field("rows", &self.nodes)
            .finish_non_exhaustive()
    }
}

impl<T: Real> Default for Recorder<T> {
    fn default() -> Self {
        Recorder::new()
    }
}

impl<T: Real> Recorder<T> {
    /// Creates an empty recording.
    pub fn new() -> Self {
        static RECORDINGS: AtomicU32 = AtomicU32::new(0);
        Recorder {
            recording: RECORDINGS.fetch_add(1, Ordering::Relaxed),
            prefix: String::new(),
            names: HashMap::new(),
            layer: None,
            segment: None,
            segments: 0,
            freezes: None,
            nodes: Vec::new(),
        }
    }

    /// Records a parameter: a matrix that is trained, unless [`Recorder::freeze`] selects it.
    pub fn parameter(&mut self, name: &str, shape: Shape) -> Result<Var, RecordError> {
        let frozen = self.freezes.as_ref().is_some_and(|freezes| freezes(&self.full_name(name)));
        let source = if frozen { Source::Frozen } else { Source::Parameter };
        self.add(name, source, shape, Memory::default(), None)
    }

    /// Records a frozen matrix of weights: it is read and never trained, and has no gradient. What depends on
    /// frozen weights and inputs alone has none either, in a recording for training.
    ///
    /// ```
    /// use calculus::{Recompute, Recorder};
    /// use linalg::{Shape, product::Product};
    /// let mut r = Recorder::<f64>::new();
    /// let x = r.input("x", Shape::new(1, 1))?;
    /// let [below, above] = [r.frozen("below", Shape::new(1, 1))?, r.parameter("above", Shape::new(1, 1))?];
    /// let h = r.push("h", Product::plain(), [below, x])?;
    /// let y = r.push("y", Product::plain(), [above, h])?;
    /// let mut tape = r.finish_for_training(y, Recompute::default());
    /// tape.set(x, &[2.0]);
    /// tape.set(below, &[3.0]);
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!((tape.gradients(), &tape.frozen()[..]), (&[6.0][..], &[3.0][..])); // dy/dabove = below·x
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn frozen(&mut self, name: &str, shape: Shape) -> Result<Var, RecordError> {
        self.add(name, Source::Frozen, shape, Memory::default(), None)
    }

    /// From now on records as [`Recorder::frozen`] those parameters whose full dotted names `frozen` selects.
    pub fn freeze(&mut self, frozen: impl Fn(&str) -> bool + 'static) {
        self.freezes = Some(Box::new(frozen));
    }

    /// Gives values to the frozen weights recorded so far, in order, those that are `Some`: bfloat16, which all recordings
    /// share. A recording that is finished for training or forward only does not copy them: it widens a matrix when an operation
    /// needs it, exactly, so that every bit of a replay is the same. If an operation reads two of them, it copies the second.
    ///
    /// ```
    /// use calculus::Recorder;
    /// use linalg::{Shape, half::f32_to_bf16, product::Product};
    /// use std::sync::Arc;
    /// let mut r = Recorder::<f32>::new();
    /// let x = r.input("x", Shape::new(2, 1))?;
    /// let w = r.frozen("w", Shape::new(1, 2))?;
    /// let y = r.push("y", Product::plain(), [w, x])?;
    /// let halves: Arc<[u16]> = [1.0, -0.5].map(f32_to_bf16).into();
    /// r.share([Some(halves)]);
    /// let mut tape = r.finish_forward_only();
    /// tape.set(x, &[3.0, 4.0]);
    /// tape.forward();
    /// assert_eq!((tape.elements(y), tape.elements(w)), (&[1.0][..], &[1.0, -0.5][..]));
    /// assert_eq!((tape.memory().shared, tape.memory().frozen), (4, 0)); // two bytes each
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    ///
    /// # Panics
    /// If there are more values than frozen weights, or a matrix has another number of elements.
    pub fn share(&mut self, values: impl IntoIterator<Item = Option<Arc<[u16]>>>) {
        let mut frozen = self.nodes.iter_mut().filter(|node| node.is_frozen());
        for halves in values {
            let node = frozen.next().expect("values of more weights than are frozen");
            if let Some(halves) = halves {
                assert_eq!(halves.len(), node.shape.len(), "{}: one number per element", node.name);
                node.halves = Some(halves);
            }
        }
    }

    /// Records an input: tokens, targets, a step number.
    pub fn input(&mut self, name: &str, shape: Shape) -> Result<Var, RecordError> {
        self.add(name, Source::Input, shape, Memory::default(), None)
    }

    /// Records an operation and returns its output. An operand may occur more than once.
    ///
    /// A block of rows ([`Primitive::view`]) is a view of the operand: it shares the operand's memory, for value and
    /// gradient, and costs nothing.
    pub fn push<P: Primitive<N>, const N: usize>(
        &mut self,
        name: &str,
        operation: P,
        operands: [Var; N],
    ) -> Result<Var, RecordError> {
        let shapes = self.shapes(name, &operands)?;
        let shape = match operation.shape(shapes) {
            Ok(shape) => shape,
            Err(source) => return Err(self.misfit(name, operation.name(), &operands, source)),
        };
        let (mut memory, rows) = (operation.memory(shapes), operation.view());
        let places = Places::new(&self.nodes, operands.map(|o| o.node));
        memory.scratch += places.aside(&self.nodes);
        self.add_result(name, shape, memory, rows, Box::new(Recorded { operation, places }))
    }

    /// Records an operation whose output has this shape: a block of rows of its first operand, if `rows` are given.
    fn add_result(
        &mut self,
        name: &str,
        shape: Shape,
        memory: Memory,
        rows: Option<Range<usize>>,
        rule: Box<dyn Rule<T>>,
    ) -> Result<Var, RecordError> {
        let view = rows.zip(rule.operands().first()).map(|(rows, &node)| {
            debug_assert_eq!(rows.len(), shape.rows, "a view's rows");
            let operand = &self.nodes[node];
            Within { root: operand.root(node), row: operand.rows().start + rows.start }
        });
        let var = self.add(name, Source::Operation, shape, memory, Some(rule))?;
        if let Some(Within { root, .. }) = view {
            let stride = self.nodes[root].shape.rows;
            let node = &mut self.nodes[var.node];
            (node.view, node.stride, node.memory) = (view, stride, Memory::default());
        }
        Ok(var)
    }

    /// Returns the shapes of operands, or the error of a value of another recording.
    fn shapes<const N: usize>(
        &self,
        name: &str,
        operands: &[Var; N],
    ) -> Result<[Shape; N], RecordError> {
        if operands.iter().any(|o| o.recording != self.recording) {
            return Err(RecordError::Foreign { name: self.full_name(name) });
        }
        Ok(operands.map(|o| self.nodes[o.node].shape))
    }

    /// Returns the error of operands that do not fit.
    fn misfit(
        &self,
        name: &str,
        operation: &'static str,
        operands: &[Var],
        source: ShapeError,
    ) -> RecordError {
        let node = |o: &Var| &self.nodes[o.node];
        let shown = operands.iter().map(|o| format!("{} {}", node(o).name, node(o).shape));
        let operands = shown.collect::<Vec<_>>().join(", ");
        RecordError::Shape { name: self.full_name(name), operation, operands, source }
    }

    /// Prefixes the names of everything that `record` records with `name.`.
    pub fn scope<R>(
        &mut self,
        name: &str,
        record: impl FnOnce(&mut Self) -> Result<R, RecordError>,
    ) -> Result<R, RecordError> {
        let length = self.prefix.len();
        if length == 0 {
            self.layer = Some(name.to_owned());
        }
        self.prefix.push_str(name);
        self.prefix.push('.');
        let result = record(self);
        self.prefix.truncate(length);
        if length == 0 {
            self.layer = None;
        }
        result
    }

    /// Like [`Recorder::scope`], and makes a segment of what is recorded: a training step can compute its values again in the
    /// backward replay, instead of keeping them all that time ([`Recompute::segments`]).
    ///
    /// ```
    /// use calculus::{Recompute, Recorder, activation::Activation};
    /// use linalg::{Shape, hadamard::Hadamard, product::Product};
    /// let mut r = Recorder::<f64>::new();
    /// let mut x = r.parameter("x", Shape::new(100, 1))?;
    /// for i in 0..8 {
    ///     x = r.segment(&format!("segment.{i}"), |r| {
    ///         let y = r.push("tanh", Activation::Tanh, [x])?;
    ///         let z = r.push("square", Hadamard, [y, y])?;
    ///         r.push("cube", Hadamard, [z, y])
    ///     })?;
    /// }
    /// let ones = r.input("ones", Shape::new(1, 100))?;
    /// let loss = r.push("loss", Product::plain(), [ones, x])?;
    /// assert_eq!(r.segments(loss), 8);
    /// let mut bytes = |segments| r.bytes_for_training(loss, Recompute { cheap: false, segments });
    /// assert!(bytes(8) < bytes(4) && bytes(4) < bytes(0));
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn segment<R>(
        &mut self,
        name: &str,
        record: impl FnOnce(&mut Self) -> Result<R, RecordError>,
    ) -> Result<R, RecordError> {
        let outer = self.segment.replace(self.segments);
        self.segments += 1;
        let result = self.scope(name, record);
        self.segment = outer;
        result
    }

    /// Returns the number of segments that take part in the backward replay from this loss: the most of
    /// [`Recompute::segments`] that has an effect.
    ///
    /// # Panics
    /// If `loss` belongs to another recording.
    pub fn segments(&self, loss: Var) -> usize {
        assert_eq!(loss.recording, self.recording, "a value of another recording");
        let mut takes_part = vec![false; self.nodes.len()];
        plan::reached(&self.nodes, loss.node, true, &mut takes_part);
        plan::segments(&self.nodes, &takes_part).len()
    }

    /// Returns the shape of a value.
    ///
    /// # Panics
    /// If it belongs to another recording.
    pub fn shape(&self, var: Var) -> Shape {
        assert_eq!(var.recording, self.recording, "a value of another recording");
        self.nodes[var.node].shape
    }

    /// Returns the dotted name of a value.
    ///
    /// # Panics
    /// If it belongs to another recording.
    pub fn name(&self, var: Var) -> &str {
        assert_eq!(var.recording, self.recording, "a value of another recording");
        &self.nodes[var.node].name
    }

    /// Returns the number of values so far. The values recorded between two calls have the indices in between.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nothing is recorded yet.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns the parameters so far, like [`Tape::parameter_list`], without allocating their memory.
    pub fn parameter_list(&self) -> Vec<Parameter> {
        tape::weights(&self.nodes, Source::Parameter)
    }

    /// Finishes the recording, for replay forward and backward.
    pub fn finish(self) -> Tape<T> {
        Tape::new(self.recording, self.nodes, self.names, Plan::Keep)
    }

    /// Finishes the recording, for forward replay only: half the memory.
    pub fn finish_forward_only(self) -> Tape<T> {
        Tape::new(self.recording, self.nodes, self.names, Plan::ForwardOnly)
    }

    /// Finishes the recording for forward replay only, in the least memory: the memory of a value is reused after its last
    /// read. Weights, inputs and `outputs` stay readable.
    ///
    /// ```
    /// use calculus::{Recorder, activation::Activation};
    /// use linalg::Shape;
    /// let mut r = Recorder::<f64>::new();
    /// let x = r.input("x", Shape::new(100, 4))?;
    /// let mut y = x;
    /// for i in 0..8 {
    ///     y = r.push(&format!("tanh.{i}"), Activation::Tanh, [y])?;
    /// }
    /// let least = r.bytes_for_outputs(&[y]);
    /// assert!(2 * least < r.bytes_forward_only());
    /// let mut tape = r.finish_for_outputs(&[y]);
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [0.0; 400]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    ///
    /// # Panics
    /// If an output belongs to another recording.
    pub fn finish_for_outputs(mut self, outputs: &[Var]) -> Tape<T> {
        self.mark(outputs);
        Tape::new(self.recording, self.nodes, self.names, Plan::Outputs)
    }

    fn mark(&mut self, outputs: &[Var]) {
        for var in outputs {
            assert_eq!(var.recording, self.recording, "a value of another recording");
            self.nodes[var.node].output = true;
        }
    }

    /// Finishes the recording for training on this loss, in the least memory: the memory of a value is reused after its
    /// last read, and some values are computed again instead of kept. Parameters, their gradients, inputs and the loss stay
    /// readable. Every bit equals that of [`Recorder::finish`].
    ///
    /// # Panics
    /// If `loss` belongs to another recording or is not a single number.
    pub fn finish_for_training(self, loss: Var, recompute: Recompute) -> Tape<T> {
        assert_eq!(self.shape(loss), Shape::new(1, 1), "a loss is one number");
        let plan = Plan::Reuse { loss: loss.node, recompute };
        Tape::new(self.recording, self.nodes, self.names, plan)
    }

    /// Returns the bytes that [`Recorder::finish`] will allocate.
    pub fn bytes(&self) -> u128 {
        self.bytes_of(2)
    }

    /// Returns the bytes that [`Recorder::finish_forward_only`] will allocate, at least: a matrix that cannot be shared
    /// ([`Recorder::share`]) is not counted.
    pub fn bytes_forward_only(&self) -> u128 {
        let shared = self.nodes.iter().filter(|node| node.halves.is_some());
        let lengths = || shared.clone().map(|node| node.shape.len() as u128);
        let widened = lengths().sum::<u128>() - lengths().max().unwrap_or(0);
        self.bytes_of(1) - widened * size_of::<T>() as u128
    }

    /// Returns the bytes that [`Recorder::finish_for_training`] will allocate.
    pub fn bytes_for_training(&mut self, loss: Var, recompute: Recompute) -> u128 {
        let most = self.bytes();
        if most >= BEYOND {
            return most;
        }
        self.bytes_of_plan(Plan::Reuse { loss: loss.node, recompute })
    }

    /// Returns the bytes that [`Recorder::finish_for_outputs`] will allocate.
    ///
    /// # Panics
    /// If an output belongs to another recording.
    pub fn bytes_for_outputs(&mut self, outputs: &[Var]) -> u128 {
        let most = self.bytes_forward_only();
        if most >= BEYOND {
            return most;
        }
        self.mark(outputs);
        self.bytes_of_plan(Plan::Outputs)
    }

    fn bytes_of_plan(&mut self, plan: Plan) -> u128 {
        let layout = plan::lay_out(&mut self.nodes, plan);
        let scratch = self.nodes.iter().map(|n| n.memory.scratch).max().unwrap_or(0);
        let elements = layout.values + layout.gradients + layout.kept + scratch;
        elements as u128 * size_of::<T>() as u128
    }

    /// Returns the bytes of `copies` copies of every matrix, and of the operations' kept and scratch memory.
    fn bytes_of(&self, copies: u128) -> u128 {
        let own = |n: &Node<T>| match n.view {
            Some(_) => 0,
            None if n.is_frozen() => n.shape.len() as u128,
            None => copies * n.shape.len() as u128,
        };
        let elements = |n: &Node<T>| own(n) + n.memory.kept as u128;
        let scratch = self.nodes.iter().map(|n| n.memory.scratch as u128).max().unwrap_or(0);
        (self.nodes.iter().map(elements).sum::<u128>() + scratch) * size_of::<T>() as u128
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn add(
        &mut self,
        name: &str,
        source: Source,
        shape: Shape,
        memory: Memory,
        rule: Option<Box<dyn Rule<T>>>,
    ) -> Result<Var, RecordError> {
        let name = self.full_name(name);
        let node = self.nodes.len();
        if shape.rows.checked_mul(shape.columns).is_none_or(|n| n > isize::MAX as usize / 64) {
            return Err(RecordError::Size { name, shape });
        }
        if shape.is_empty() {
            return Err(RecordError::Empty { name, shape });
        }
        if self.names.insert(name.clone(), node).is_some() {
            return Err(RecordError::Name { name });
        }
        let operands = rule.as_ref().map_or(&[][..], |rule| rule.operands());
        let learned =
            source == Source::Parameter || operands.iter().any(|&o| self.nodes[o].learned);
        let moves =
            learned || source == Source::Input || operands.iter().any(|&o| self.nodes[o].moves);
        self.nodes.push(Node {
            name,
            learned,
            moves,
            operation: rule.as_ref().map(|rule| rule.name()),
            layer: self.layer.clone(),
            segment: self.segment,
            source,
            shape,
            memory,
            rule,
            view: None,
            stride: shape.rows,
            value: 0..0,
            gradient: 0..0,
            kept: 0..0,
            output: false,
            halves: None,
            shared: None,
        });
        Ok(Var { node, recording: self.recording })
    }
}
