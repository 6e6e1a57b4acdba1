//! A computation that was written down, and its replay.

mod rule;
mod stepwise;

use rule::Fresh;
pub(crate) use rule::{Places, Recorded, Rule};

use crate::Var;
use crate::plan::{self, Layout, Plan};
use linalg::{Formula, Memory, Real, Shape, View, Work};
use std::collections::HashMap;
use std::ops::Range;

/// Where a value comes from.
///
/// ```
/// # use calculus::Recorder;
/// # use linalg::{Shape, hadamard::Hadamard};
/// # let mut r = Recorder::<f64>::new();
/// # let w = r.parameter("w", Shape::new(1, 1))?;
/// # let x = r.input("x", Shape::new(1, 1))?;
/// # let y = r.push("y", Hadamard, [w, x])?;
/// # let mut tape = r.finish();
/// # tape.set(w, &[3.0]);
/// # tape.set(x, &[2.0]);
/// use calculus::Source;
/// let sources: Vec<Source> = tape.vars().map(|var| tape.source(var)).collect();
/// assert_eq!(sources, [Source::Parameter, Source::Input, Source::Operation]); // w, x, y = w·x
/// # Ok::<(), calculus::RecordError>(())
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

/// A recorded computation: nodes in order, over flat memory.
///
/// [`Tape::forward`] and [`Tape::backward`] are two loops over the nodes. Parameters are the prefix
/// of memory, so that an optimiser, clipping or a checkpoint is a function of slices. A replay
/// allocates nothing and cannot fail.
///
/// ```
/// use calculus::Recorder;
/// use linalg::{Shape, hadamard::Hadamard};
/// let mut r = Recorder::<f64>::new();
/// let w = r.parameter("w", Shape::new(1, 1))?;
/// let x = r.input("x", Shape::new(1, 1))?;
/// let y = r.push("y", Hadamard, [w, x])?; // y = w·x
/// let mut tape = r.finish();
/// tape.set(w, &[3.0]);
/// tape.set(x, &[2.0]);
/// tape.forward();
/// tape.backward(y);
/// assert_eq!((tape.elements(y), tape.gradients()), (&[6.0][..], &[2.0][..])); // dy/dw = x
/// # Ok::<(), calculus::RecordError>(())
/// ```
pub struct Tape<T: Real> {
    recording: u32,
    nodes: Vec<Node<T>>,
    names: HashMap<String, usize>,
    plan: Plan,
    layout: Layout,
    parameters: usize,
    values: Vec<T>,
    gradients: Vec<T>,
    kept: Vec<T>,
    scratch: Vec<T>,
    /// Whether the loss of the last backward replay depends on a node, and which loss that was.
    reached: Vec<bool>,
    reached_from: Option<usize>,
    /// Whether the next backward replay writes the parameters' gradients.
    forgotten: bool,
}

/// A parameter's name, shape, and place among all parameters.
///
/// ```
/// # use calculus::Recorder;
/// # use linalg::{Shape, hadamard::Hadamard};
/// # let mut r = Recorder::<f64>::new();
/// # let w = r.parameter("w", Shape::new(1, 1))?;
/// # let x = r.input("x", Shape::new(1, 1))?;
/// # let y = r.push("y", Hadamard, [w, x])?;
/// # let mut tape = r.finish();
/// # tape.set(w, &[3.0]);
/// # tape.set(x, &[2.0]);
/// let list = tape.parameter_list();
/// assert_eq!((list[0].name.as_str(), list[0].range.clone()), ("w", 0..1));
/// # Ok::<(), calculus::RecordError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its dotted name.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// Where its elements lie in [`Tape::parameters`] and [`Tape::gradients`].
    pub range: Range<usize>,
}

/// Bytes of a recording's memory.
///
/// ```
/// # use calculus::Recorder;
/// # use linalg::{Shape, hadamard::Hadamard};
/// # let mut r = Recorder::<f64>::new();
/// # let w = r.parameter("w", Shape::new(1, 1))?;
/// # let x = r.input("x", Shape::new(1, 1))?;
/// # let y = r.push("y", Hadamard, [w, x])?;
/// # let mut tape = r.finish();
/// # tape.set(w, &[3.0]);
/// # tape.set(x, &[2.0]);
/// // y = w·x of three numbers, 8 bytes each: one is learned, all three have a gradient.
/// let memory = tape.memory();
/// assert_eq!((memory.parameters, memory.parameter_gradients), (8, 8));
/// # Ok::<(), calculus::RecordError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapeMemory {
    /// Parameters.
    pub parameters: usize,
    /// Their gradients.
    pub parameter_gradients: usize,
    /// Values of inputs and operations.
    pub values: usize,
    /// Their gradients.
    pub gradients: usize,
    /// What rules keep from forward to backward.
    pub kept: usize,
    /// What rules need during a call.
    pub scratch: usize,
}

/// What a reader sees of one node.
///
/// ```
/// # use calculus::Recorder;
/// # use linalg::{Shape, hadamard::Hadamard};
/// # let mut r = Recorder::<f64>::new();
/// # let w = r.parameter("w", Shape::new(1, 1))?;
/// # let x = r.input("x", Shape::new(1, 1))?;
/// # let y = r.push("y", Hadamard, [w, x])?;
/// # let mut tape = r.finish();
/// # tape.set(w, &[3.0]);
/// # tape.set(x, &[2.0]);
/// tape.forward();
/// let y = tape.rows().last().expect("a node");
/// assert_eq!((y.name, y.operation, y.branch), ("y", Some("product by elements"), Some("linalg")));
/// assert_eq!((y.value[(0, 0)], y.flops), (6.0, 1)); // one multiplication
/// # Ok::<(), calculus::RecordError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Row<'a, T: Real> {
    /// The value's handle.
    pub var: Var,
    /// Its unique dotted name.
    pub name: &'a str,
    /// Where it comes from.
    pub source: Source,
    /// The operation that computes it, if one does.
    pub operation: Option<&'static str>,
    /// The branch of mathematics of that operation.
    pub branch: Option<&'static str>,
    /// The operation's operands.
    pub operands: Vec<Var>,
    /// Its shape.
    pub shape: Shape,
    /// Its value after the last forward replay; where the recording reuses memory and does not hold it
    /// ([`Tape::holds`]), whatever lies there now.
    pub value: View<'a, T>,
    /// Its gradient after the last backward replay; none in a forward-only recording, and of parameters
    /// alone in one that reuses memory.
    pub gradient: Option<View<'a, T>>,
    /// What the operation kept for the backward replay.
    pub kept: &'a [T],
    /// Floating-point operations of the forward replay.
    pub flops: u64,
    /// Floating-point operations of the backward replay.
    pub backward_flops: u64,
    /// Bytes that the forward replay reads and writes, were nothing cached.
    pub bytes: u64,
    /// Bytes that the backward replay reads and writes, were nothing cached: what the rule says it reads, and
    /// the gradients of its operands once.
    pub backward_bytes: u64,
}

impl<T: Real> Tape<T> {
    pub(crate) fn new(
        recording: u32,
        mut nodes: Vec<Node<T>>,
        names: HashMap<String, usize>,
        plan: Plan,
    ) -> Self {
        let layout = plan::lay_out(&mut nodes, plan);
        let parameters = nodes.iter().filter(|n| n.is_parameter()).map(|n| n.shape.len()).sum();
        let scratch = nodes.iter().map(|n| n.memory.scratch).max().unwrap_or(0);
        let mut reached = vec![false; nodes.len()];
        let mut reached_from = None;
        if let Plan::Reuse { loss, .. } = plan {
            plan::reached(&nodes, loss, &mut reached);
            reached_from = Some(loss);
        }
        Tape {
            recording,
            parameters,
            names,
            values: vec![T::zero(); layout.values],
            gradients: vec![T::zero(); layout.gradients],
            kept: vec![T::zero(); layout.kept],
            scratch: vec![T::zero(); scratch],
            plan,
            layout,
            reached,
            reached_from,
            forgotten: false,
            nodes,
        }
    }

    /// Computes every value, in order.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [6.0]); // w·x = 3·2
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn forward(&mut self) {
        self.forward_watched(|_, _| {});
    }

    /// As [`Tape::forward`]; `watch` sees, and may change, every computed value when it is there: to
    /// time an operation, to round its result, to stop at the first NaN.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// let mut seen = Vec::new();
    /// tape.forward_watched(|var, elements| {
    ///     elements[0] += 0.5; // what is written here is what comes next reads
    ///     seen.push((var, elements[0]));
    /// });
    /// assert_eq!(seen, [(y, 6.5)]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn forward_watched(&mut self, mut watch: impl FnMut(Var, &mut [T])) {
        self.forward_range(0..self.nodes.len(), &mut watch);
    }

    fn forward_range(&mut self, range: Range<usize>, watch: &mut impl FnMut(Var, &mut [T])) {
        for i in range {
            let node = &self.nodes[i];
            if let Some(rule) = &node.rule {
                let kept = &mut self.kept[node.kept.clone()];
                let work = Work { kept, scratch: &mut self.scratch[..node.memory.scratch] };
                rule.forward(&self.nodes, &mut self.values, work);
                let var = Var { node: i, recording: self.recording };
                watch(var, &mut self.values[node.value.clone()]);
            }
        }
    }

    /// The chain rule: *adds* dloss/dp to the gradient of every parameter p, and writes the gradient
    /// of everything else.
    ///
    /// # Panics
    /// As [`Tape::backward_scaled`].
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward();
    /// tape.backward(y);
    /// tape.backward(y); // a second time: parameters' gradients add up
    /// assert_eq!((tape.gradients(), tape.gradient_elements(x)), (&[4.0][..], &[3.0][..]));
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn backward(&mut self, loss: Var) {
        self.backward_scaled(loss, T::one());
    }

    /// As [`Tape::backward`], for the loss times `scale`: with 1/k, the gradients of k replays add
    /// up to that of their mean.
    ///
    /// # Panics
    /// If `loss` is of another recording or not a single number, or in a forward-only recording.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward();
    /// for _ in 0..4 {
    ///     tape.backward_scaled(y, 0.25); // four replays, and the gradient of their mean
    /// }
    /// assert_eq!(tape.gradients(), [2.0]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn backward_scaled(&mut self, loss: Var, scale: T) {
        assert_eq!(self.shape(loss), Shape::new(1, 1), "a loss is one number");
        self.backward_from(loss, &[scale]);
    }

    /// As [`Tape::backward`], from any value: `upstream` is the gradient that arrives there.
    ///
    /// # Panics
    /// If `output` is of another recording, if `upstream` has not its number of elements, or in a
    /// forward-only recording.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward();
    /// tape.backward_from(y, &[10.0]); // ten times what y = 1 would send back
    /// assert_eq!(tape.gradients(), [20.0]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn backward_from(&mut self, output: Var, upstream: &[T]) {
        self.backward_watched(output, upstream, |_, _| {});
    }

    /// As [`Tape::backward_from`]; `watch` sees, and may change, the gradient of every operation's
    /// output when it is complete, before it is sent on to the operands.
    ///
    /// # Panics
    /// As [`Tape::backward_from`].
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward();
    /// let mut arrived = Vec::new();
    /// tape.backward_watched(y, &[1.0], |var, gradient| arrived.push((var, gradient[0])));
    /// assert_eq!(arrived, [(y, 1.0)]); // y is the only operation
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn backward_watched(
        &mut self,
        output: Var,
        upstream: &[T],
        mut watch: impl FnMut(Var, &mut [T]),
    ) {
        let from = self.node(output);
        self.start_backward(from, upstream);
        self.backward_below(from + 1, &mut watch);
    }

    /// A training step's replay: forward, then backward from the loss times `scale`, with the loss's
    /// own rules taken together where that is cheaper.
    ///
    /// # Panics
    /// As [`Tape::backward_scaled`].
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!((tape.elements(y), tape.gradients()), (&[6.0][..], &[2.0][..]));
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn forward_and_backward(&mut self, loss: Var, scale: T) {
        self.forward_and_backward_watched(loss, scale, |_, _| {}, |_, _| {});
    }

    /// As [`Tape::forward_and_backward`], watched as by [`Tape::forward_watched`] and
    /// [`Tape::backward_watched`]; the loss comes last among the values.
    ///
    /// # Panics
    /// As [`Tape::backward_scaled`].
    pub fn forward_and_backward_watched(
        &mut self,
        loss: Var,
        scale: T,
        mut value: impl FnMut(Var, &mut [T]),
        mut gradient: impl FnMut(Var, &mut [T]),
    ) {
        assert_eq!(self.shape(loss), Shape::new(1, 1), "a loss is one number");
        let last = self.node(loss);
        self.forward_range(0..last, &mut value);
        self.start_backward(last, &[scale]);
        let node = &self.nodes[last];
        if let Some(rule) = &node.rule {
            let kept = &mut self.kept[node.kept.clone()];
            let work = Work { kept, scratch: &mut self.scratch[..node.memory.scratch] };
            let fresh = Fresh::of(&self.layout, last, self.forgotten);
            rule.forward_and_vjp(&self.nodes, &mut self.values, &mut self.gradients, fresh, work);
            value(loss, &mut self.values[node.value.clone()]);
        }
        self.backward_below(last, &mut gradient);
    }

    /// Sets gradients up for a backward replay.
    fn start_backward(&mut self, from: usize, upstream: &[T]) {
        match self.plan {
            Plan::ForwardOnly => panic!("this recording is forward-only"),
            Plan::Reuse { loss, .. } => assert!(
                from == loss,
                "this recording reuses memory: gradients are those of {} alone",
                self.nodes[loss].name
            ),
            Plan::Keep => {
                if self.reached_from != Some(from) {
                    plan::reached(&self.nodes, from, &mut self.reached);
                    self.reached_from = Some(from);
                }
                self.gradients[self.parameters..].fill(T::zero());
            }
        }
        let node = &self.nodes[from];
        assert_eq!(upstream.len(), node.shape.len(), "one number per element");
        if !node.is_parameter() {
            zero(&mut self.gradients, node);
        }
        for (g, &u) in self.gradients[node.gradient.clone()].iter_mut().zip(upstream) {
            *g += u;
        }
    }

    /// Backward rules of all nodes before `end`, last to first.
    fn backward_below(&mut self, end: usize, watch: &mut impl FnMut(Var, &mut [T])) {
        for i in (0..end).rev().filter(|&i| self.reached[i]) {
            let Some(rule) = &self.nodes[i].rule else { continue };
            let var = Var { node: i, recording: self.recording };
            watch(var, &mut self.gradients[self.nodes[i].gradient.clone()]);
            for &again in &self.layout.again[i] {
                let node = &self.nodes[again];
                let work = Work {
                    kept: &mut self.kept[node.kept.clone()],
                    scratch: &mut self.scratch[..node.memory.scratch],
                };
                if let Some(rule) = &node.rule {
                    rule.forward(&self.nodes, &mut self.values, work);
                }
            }
            let memory = self.nodes[i].memory;
            let kept = &mut self.kept[self.nodes[i].kept.clone()];
            let work = Work { kept, scratch: &mut self.scratch[..memory.scratch] };
            let fresh = Fresh::of(&self.layout, i, self.forgotten);
            rule.vjp(&self.nodes, &self.values, &mut self.gradients, fresh, work);
        }
        self.forgotten = false;
    }

    /// Sets the parameters' gradients to zero: before the first backward replay of a step.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward_and_backward(y, 1.0);
    /// tape.zero_gradients();
    /// assert_eq!(tape.gradients(), [0.0]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn zero_gradients(&mut self) {
        let n = self.parameters.min(self.gradients.len());
        self.gradients[..n].fill(T::zero());
    }

    /// As [`Tape::zero_gradients`], without the pass over memory where the recording was made for
    /// training: its next backward replay writes the parameters' gradients instead of adding to them.
    /// Until then they are what they were.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward_and_backward(y, 1.0);
    /// tape.forget_gradients();
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!(tape.gradients(), [2.0]); // and not 4
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn forget_gradients(&mut self) {
        if !matches!(self.plan, Plan::Reuse { .. }) {
            return self.zero_gradients();
        }
        self.forgotten = true;
        let unreached = self.nodes.iter().zip(&self.reached).filter(|(_, reached)| !**reached);
        for (node, _) in unreached.filter(|(node, _)| node.is_parameter()) {
            zero(&mut self.gradients, node);
        }
    }

    /// All parameters, one after another in the order of recording.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// assert_eq!(tape.parameters(), [3.0]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn parameters(&self) -> &[T] {
        &self.values[..self.parameters]
    }

    /// All parameters, to be written.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.parameters_mut()[0] = 5.0;
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [10.0]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn parameters_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.parameters]
    }

    /// The parameters' gradients.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!(tape.gradients(), [2.0]); // dy/dw = x
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn gradients(&self) -> &[T] {
        &self.gradients[..self.parameters.min(self.gradients.len())]
    }

    /// Parameters and their gradients, both to be written: what an optimiser works on.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward_and_backward(y, 1.0);
    /// let (parameters, gradients) = tape.parameters_and_gradients();
    /// parameters[0] -= 0.5 * gradients[0]; // a step of descent at the rate ½
    /// assert_eq!(tape.parameters(), [2.0]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn parameters_and_gradients(&mut self) -> (&mut [T], &mut [T]) {
        let n = self.parameters.min(self.gradients.len());
        (&mut self.values[..self.parameters], &mut self.gradients[..n])
    }

    /// Name, shape and place of every parameter, in order.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// let names: Vec<String> = tape.parameter_list().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["w"]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn parameter_list(&self) -> Vec<Parameter> {
        let parameters = self.nodes.iter().filter(|n| n.source == Source::Parameter);
        parameters
            .map(|n| Parameter { name: n.name.clone(), shape: n.shape, range: n.value.clone() })
            .collect()
    }

    /// The value of this dotted name.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// assert_eq!(tape.find("y"), Some(y));
    /// assert_eq!(tape.find("z"), None);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn find(&self, name: &str) -> Option<Var> {
        self.names.get(name).map(|&node| Var { node, recording: self.recording })
    }

    /// A value's shape.
    ///
    /// # Panics
    /// If `var` is of another recording; so do the other methods that take a `Var`.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// assert_eq!(tape.shape(y).to_string(), "1×1");
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn shape(&self, var: Var) -> Shape {
        self.nodes[self.node(var)].shape
    }

    /// A value's dotted name.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// assert_eq!(tape.name(y), "y");
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn name(&self, var: Var) -> &str {
        &self.nodes[self.node(var)].name
    }

    /// Whether a value can be read after a replay: not where memory is reused, but for parameters, inputs
    /// and the loss.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// assert!(tape.holds(y)); // a recording that keeps its values holds all of them
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn holds(&self, var: Var) -> bool {
        let node = self.node(var);
        match self.plan {
            Plan::Reuse { loss, .. } => node == loss || self.nodes[node].rule.is_none(),
            _ => true,
        }
    }

    fn held(&self, var: Var) -> &Node<T> {
        let node = &self.nodes[self.node(var)];
        assert!(
            self.holds(var),
            "{}: this recording reuses memory; finish one that keeps",
            node.name
        );
        node
    }

    /// A value, after the last forward replay.
    ///
    /// # Panics
    /// Where the recording reuses memory and does not hold it.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward();
    /// assert_eq!(tape.value(y)[(0, 0)], 6.0);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn value(&self, var: Var) -> View<'_, T> {
        let node = self.held(var);
        view(&self.values[node.value.clone()], node.shape)
    }

    /// The elements of a value, column after column.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [6.0]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn elements(&self, var: Var) -> &[T] {
        &self.values[self.held(var).value.clone()]
    }

    /// Copies the elements `range` of a value to a place in an input: what one replay computed, the
    /// next one reads.
    ///
    /// # Panics
    /// If `to` is computed, or there are not so many elements.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward();
    /// tape.copy(y, 0..1, x, 0); // y is the next x: powers of w
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [18.0]); // 3·6
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn copy(&mut self, from: Var, range: Range<usize>, to: Var, place: usize) {
        let (from, to) = (&self.nodes[self.node(from)], &self.nodes[self.node(to)]);
        assert_ne!(to.source, Source::Operation, "{} is computed", to.name);
        assert!(range.end <= from.shape.len() && place + range.len() <= to.shape.len());
        let source = from.value.start + range.start..from.value.start + range.end;
        self.values.copy_within(source, to.value.start + place);
    }

    /// The elements of an input or a parameter, column after column, to be written.
    ///
    /// # Panics
    /// If `var` is computed.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.value_mut(x)[0] = 7.0;
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [21.0]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn value_mut(&mut self, var: Var) -> &mut [T] {
        let node = &self.nodes[self.node(var)];
        assert_ne!(node.source, Source::Operation, "{} is computed", node.name);
        &mut self.values[node.value.clone()]
    }

    /// Writes an input or a parameter, column after column.
    ///
    /// # Panics
    /// If `var` is computed or has another number of elements.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.set(x, &[7.0]);
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [21.0]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn set(&mut self, var: Var, elements: &[T]) {
        self.value_mut(var).copy_from_slice(elements);
    }

    fn with_gradient(&self, var: Var) -> &Node<T> {
        let node = &self.nodes[self.node(var)];
        let name = &node.name;
        assert!(
            self.plan != Plan::ForwardOnly,
            "{name}: a forward-only recording has no gradients"
        );
        let held = self.plan == Plan::Keep || node.is_parameter();
        assert!(held, "{name}: this recording reuses memory; finish one that keeps");
        node
    }

    /// A gradient, after the last backward replay.
    ///
    /// # Panics
    /// In a forward-only recording; in one that reuses memory, of anything but a parameter.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!(tape.gradient(x)[(0, 0)], 3.0); // dy/dx = w
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn gradient(&self, var: Var) -> View<'_, T> {
        let node = self.with_gradient(var);
        view(&self.gradients[node.gradient.clone()], node.shape)
    }

    /// Bytes of memory: parameters, their gradients, other values, other gradients, what rules keep, and
    /// scratch.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// assert_eq!(tape.memory().parameters, 8); // one f64
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn memory(&self) -> TapeMemory {
        let bytes = |scalars: usize| scalars * size_of::<T>();
        TapeMemory {
            parameters: bytes(self.parameters),
            parameter_gradients: bytes(self.parameters.min(self.gradients.len())),
            values: bytes(self.values.len() - self.parameters),
            gradients: bytes(self.gradients.len().saturating_sub(self.parameters)),
            kept: bytes(self.kept.len()),
            scratch: bytes(self.scratch.len()),
        }
    }

    /// The elements of a gradient, column after column.
    ///
    /// # Panics
    /// As [`Tape::gradient`].
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!(tape.gradient_elements(x), [3.0]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn gradient_elements(&self, var: Var) -> &[T] {
        let node = self.with_gradient(var);
        &self.gradients[node.gradient.clone()]
    }

    /// What readers see: one row per node, in order.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// let names: Vec<&str> = tape.rows().map(|row| row.name).collect();
    /// assert_eq!(names, ["w", "x", "y"]);
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn rows(&self) -> impl Iterator<Item = Row<'_, T>> {
        self.nodes.iter().enumerate().map(move |(i, node)| self.row(i, node))
    }

    /// The formula of the operation that computes a value; none of a parameter or an input.
    ///
    /// ```
    /// # use calculus::Recorder;
    /// # use linalg::{Shape, hadamard::Hadamard};
    /// # let mut r = Recorder::<f64>::new();
    /// # let w = r.parameter("w", Shape::new(1, 1))?;
    /// # let x = r.input("x", Shape::new(1, 1))?;
    /// # let y = r.push("y", Hadamard, [w, x])?;
    /// # let mut tape = r.finish();
    /// # tape.set(w, &[3.0]);
    /// # tape.set(x, &[2.0]);
    /// let formula = tape.formula(y).expect("an operation");
    /// assert_eq!(formula.value.to_string(), "y[i,j] = a[i,j]·b[i,j]");
    /// assert!(tape.formula(x).is_none()); // x is given
    /// # Ok::<(), calculus::RecordError>(())
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
        let touched = if rule.is_some() { read + own } else { 0 };
        let back = rule.map_or(0, |rule| {
            let needed = operands.iter().enumerate().filter(|(k, _)| rule.reads_operand(*k));
            let output = if rule.reads_output() { node.shape.len() } else { 0 };
            needed.map(|(_, &o)| size(o)).sum::<usize>() + output + own + read
        });
        Row {
            var: self.var(i),
            name: &node.name,
            source: node.source,
            operation: rule.map(Rule::name),
            branch: rule.map(Rule::branch),
            operands: operands.iter().map(|&o| self.var(o)).collect(),
            shape: node.shape,
            value: view(&self.values[node.value.clone()], node.shape),
            gradient: match self.plan {
                Plan::Keep => true,
                Plan::ForwardOnly => false,
                Plan::Reuse { .. } => node.is_parameter(),
            }
            .then(|| view(&self.gradients[node.gradient.clone()], node.shape)),
            kept: &self.kept[node.kept.clone()],
            flops: rule.map_or(0, |rule| rule.flops(&self.nodes)),
            backward_flops: rule.map_or(0, |rule| rule.vjp_flops(&self.nodes)),
            bytes: (touched * size_of::<T>()) as u64,
            backward_bytes: (back * size_of::<T>()) as u64,
        }
    }

    fn var(&self, node: usize) -> Var {
        Var { node, recording: self.recording }
    }

    fn node(&self, var: Var) -> usize {
        assert_eq!(var.recording, self.recording, "a value of another recording");
        var.node
    }
}

fn zero<T: Real>(gradients: &mut [T], node: &Node<T>) {
    gradients[node.gradient.clone()].fill(T::zero());
}

fn view<T: Real>(elements: &[T], shape: Shape) -> View<'_, T> {
    View::from_slice(elements, shape.rows, shape.columns)
}

#[cfg(test)]
mod tests {
    use crate::{RecordError, Recorder};
    use linalg::{Shape, add::Add, hadamard::Hadamard, scale::Scale};

    #[test]
    fn gradients_of_parameters_add_up_until_zeroed() {
        // The textbook's fixture: y = 3x, backward twice: 3, then 6; zeroed: 3.
        let mut r = Recorder::<f64>::new();
        let x = r.parameter("x", Shape::new(1, 1)).unwrap();
        let y = r.push("y", Scale { factor: 3.0 }, [x]).unwrap();
        let mut tape = r.finish();
        for expected in [3.0, 6.0] {
            tape.forward();
            tape.backward(y);
            assert_eq!(tape.gradients(), &[expected]);
        }
        tape.zero_gradients();
        tape.backward(y);
        assert_eq!(tape.gradients(), &[3.0]);
    }

    #[test]
    fn an_operand_may_occur_any_number_of_times() {
        // d(x³)/dx = 3x², by x·x and then (x·x)·x, beside 2x from x + x.
        let mut r = Recorder::<f64>::new();
        let x = r.parameter("x", Shape::new(2, 1)).unwrap();
        let square = r.push("square", Hadamard, [x, x]).unwrap();
        let cube = r.push("cube", Hadamard, [square, x]).unwrap();
        let double = r.push("double", Add, [x, x]).unwrap();
        let sum = r.push("sum", Add, [cube, double]).unwrap();
        let mut tape = r.finish();
        tape.set(x, &[2.0, -1.0]);
        tape.forward();
        tape.backward_from(sum, &[1.0, 10.0]);
        assert_eq!(tape.gradients(), &[14.0, 50.0]);
    }

    #[test]
    fn what_the_loss_does_not_depend_on_takes_no_part() {
        let mut r = Recorder::<f64>::new();
        let x = r.parameter("x", Shape::new(1, 1)).unwrap();
        let loss = r.push("loss", Scale { factor: 2.0 }, [x]).unwrap();
        // 0·∞ in a branch off the path must not reach x.
        let _aside = r.push("aside", Scale { factor: f64::INFINITY }, [x]).unwrap();
        let mut tape = r.finish();
        tape.forward();
        tape.backward(loss);
        assert_eq!(tape.gradients(), &[2.0]);
    }

    #[test]
    fn names_are_unique_and_operands_belong() {
        let mut r = Recorder::<f64>::new();
        let x = r.input("x", Shape::new(1, 1)).unwrap();
        assert!(matches!(r.input("x", Shape::new(1, 1)), Err(RecordError::Name { .. })));
        let mut other = Recorder::<f64>::new();
        let foreign = other.push("y", Scale { factor: 1.0 }, [x]);
        assert!(matches!(foreign, Err(RecordError::Foreign { .. })));
        let huge = r.input("huge", Shape::new(usize::MAX, 2));
        assert!(matches!(huge, Err(RecordError::Size { .. })));
    }

    #[test]
    fn rows_tell_name_operation_and_branch() {
        let mut r = Recorder::<f32>::new();
        let y = r
            .scope("a", |r| {
                let x = r.input("x", Shape::new(2, 3))?;
                r.scope("b", |r| r.push("y", Add, [x, x]))
            })
            .unwrap();
        let tape = r.finish();
        assert_eq!(tape.find("a.b.y"), Some(y));
        let row = tape.rows().last().unwrap();
        assert_eq!((row.name, row.operation, row.branch), ("a.b.y", Some("sum"), Some("linalg")));
        assert_eq!((row.flops, row.bytes), (6, 3 * 6 * 4));
        // A sum's rule reads its upstream gradient and neither operand; it writes two gradients.
        assert_eq!(row.backward_bytes, 3 * 6 * 4);
    }
}
