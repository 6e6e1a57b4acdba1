//! Recorded computations and their replay.

mod access;
mod columns;
mod node;
pub(crate) mod plan;
mod products;
mod row;
mod rule;
pub(crate) mod shared;
mod stepwise;

pub(crate) use access::weights;
pub use access::{Parameter, hidden_matrices, matrices};
pub use node::Source;
pub(crate) use node::{Node, Within};
pub use plan::Recompute;
pub(crate) use row::shared_bytes;
pub use row::{Row, TapeMemory};
use rule::Fresh;
pub(crate) use rule::{Places, Recorded, Rule};
use shared::Shared;

use self::plan::{Layout, Plan};
use crate::Var;
use linalg::{Memory, Products, Real, Shape, Work};
use std::collections::HashMap;
use std::ops::Range;

/// A recorded computation: nodes in order, over flat memory.
///
/// [`Tape::forward`] and [`Tape::backward`] are two loops over the nodes. Parameters are at the start of memory, so
/// optimizers, clipping and checkpoints are functions of slices; frozen weights follow them. A replay allocates nothing
/// and cannot fail.
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
#[must_use]
pub struct Tape<T: Real> {
    recording: u32,
    nodes: Vec<Node<T>>,
    names: HashMap<String, usize>,
    plan: Plan,
    layout: Layout,
    /// The scalars that every node has room for: of its value, and of what its operation keeps.
    room: Vec<[usize; 2]>,
    /// What [`Tape::set_columns`] works with, so that only its first call allocates.
    fitted: Vec<(Shape, Memory)>,
    parameters: usize,
    /// The scalars of frozen weights, which follow the parameters, without those that are shared.
    frozen: usize,
    shared: Vec<Shared<T>>,
    /// The number of the shared matrix that was widened last.
    loaded: Option<usize>,
    values: Vec<T>,
    gradients: Vec<T>,
    kept: Vec<T>,
    scratch: Vec<T>,
    /// For each node, whether the loss of the last backward replay depends on it, and that loss.
    reached: Vec<bool>,
    reached_from: Option<usize>,
    products: Products,
    /// Whether the next backward replay writes the parameters' gradients.
    forgotten: bool,
}

impl<T: Real> Tape<T> {
    pub(crate) fn new(
        recording: u32,
        mut nodes: Vec<Node<T>>,
        names: HashMap<String, usize>,
        plan: Plan,
    ) -> Self {
        let layout = plan::lay_out(&mut nodes, plan);
        let length = |source: Source| {
            nodes.iter().filter(|n| n.source == source).map(|n| n.shape.len()).sum()
        };
        let shared = shared::matrices(&nodes);
        let elsewhere: usize = shared.iter().map(|shared| nodes[shared.node].shape.len()).sum();
        let (parameters, frozen) = (length(Source::Parameter), length(Source::Frozen) - elsewhere);
        let scratch = nodes.iter().map(|n| n.memory.scratch).max().unwrap_or(0);
        let mut reached = vec![false; nodes.len()];
        let mut reached_from = None;
        if let Plan::Reuse { loss, .. } = plan {
            plan::reached(&nodes, loss, true, &mut reached);
            reached_from = Some(loss);
        }
        let mut values = vec![T::zero(); layout.values];
        shared::copy(&mut nodes, &mut values);
        let room = nodes.iter().map(|node| [node.shape.len(), node.memory.kept]).collect();
        Tape {
            room,
            fitted: vec![],
            recording,
            parameters,
            frozen,
            shared,
            loaded: None,
            names,
            values,
            gradients: vec![T::zero(); layout.gradients],
            kept: vec![T::zero(); layout.kept],
            scratch: vec![T::zero(); scratch],
            plan,
            layout,
            reached,
            reached_from,
            products: Products::default(),
            forgotten: false,
            nodes,
        }
    }

    /// Computes every value, in order.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [6.0]); // w·x = 3·2
    /// ```
    pub fn forward(&mut self) {
        self.forward_watched(|_, _| {});
    }

    /// Like [`Tape::forward`], and calls `watch` with every computed value, which it may change: to time an operation,
    /// to round its result, to stop at the first NaN. Views are skipped ([`Tape::is_view`]), because the values that
    /// contain them are not. What the backward replay computes again ([`Recompute`]) is without the change.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// let mut seen = Vec::new();
    /// tape.forward_watched(|var, elements| {
    ///     elements[0] += 0.5; // the next operation reads the changed value
    ///     seen.push((var, elements[0]));
    /// });
    /// assert_eq!(seen, [(y, 6.5)]);
    /// ```
    pub fn forward_watched(&mut self, mut watch: impl FnMut(Var, &mut [T])) {
        self.forward_range(0..self.nodes.len(), &mut watch);
    }

    fn forward_range(&mut self, range: Range<usize>, watch: &mut impl FnMut(Var, &mut [T])) {
        self.forget_read();
        for i in range {
            self.load(i, false);
            let node = &self.nodes[i];
            if let Some(rule) = node.replayed() {
                let kept = &mut self.kept[node.kept.clone()];
                let scratch = &mut self.scratch[..node.memory.scratch];
                let work = Work::new(kept, scratch).with(self.products);
                rule.forward(&self.nodes, &mut self.values, work);
                let var = Var { node: i, recording: self.recording };
                watch(var, &mut self.values[node.value.clone()]);
            }
        }
    }

    /// Computes gradients by the chain rule: *adds* dloss/dp to the gradient of every parameter p, and writes the
    /// gradient of everything else.
    ///
    /// # Panics
    /// Like [`Tape::backward_scaled`].
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// tape.backward(y);
    /// tape.backward(y); // a second time: parameters' gradients add up
    /// assert_eq!((tape.gradients(), tape.gradient_elements(x)), (&[4.0][..], &[3.0][..]));
    /// ```
    pub fn backward(&mut self, loss: Var) {
        self.backward_scaled(loss, T::one());
    }

    /// Like [`Tape::backward`], for the loss times `scale`: with 1/k, the gradients of k replays add up to the gradient
    /// of their mean.
    ///
    /// # Panics
    /// If `loss` belongs to another recording or is not a single number, or in a forward-only recording.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// for _ in 0..4 {
    ///     tape.backward_scaled(y, 0.25); // four replays, and the gradient of their mean
    /// }
    /// assert_eq!(tape.gradients(), [2.0]);
    /// ```
    pub fn backward_scaled(&mut self, loss: Var, scale: T) {
        assert_eq!(self.shape(loss), Shape::new(1, 1), "a loss is one number");
        self.backward_from(loss, &[scale]);
    }

    /// Like [`Tape::backward`], but starts from any value with the gradient `upstream`, in column-major order.
    ///
    /// # Panics
    /// If `output` belongs to another recording, if `upstream` does not have its number of elements, or in a
    /// forward-only recording.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// tape.backward_from(y, &[10.0]); // ten times the gradient of y itself
    /// assert_eq!(tape.gradients(), [20.0]);
    /// ```
    pub fn backward_from(&mut self, output: Var, upstream: &[T]) {
        self.backward_watched(output, upstream, |_, _| {});
    }

    /// Like [`Tape::backward_from`], and calls `watch` with the complete gradient of every operation's output, which it
    /// may change before it is passed to the operands. Views are skipped.
    ///
    /// # Panics
    /// Like [`Tape::backward_from`].
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// let mut arrived = Vec::new();
    /// tape.backward_watched(y, &[1.0], |var, gradient| arrived.push((var, gradient[0])));
    /// assert_eq!(arrived, [(y, 1.0)]); // y is the only operation
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

    /// Replays a training step: forward, then backward from the loss times `scale`. The loss's own forward and vjp are
    /// combined if that is cheaper.
    ///
    /// # Panics
    /// Like [`Tape::backward_scaled`].
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!((tape.elements(y), tape.gradients()), (&[6.0][..], &[2.0][..]));
    /// ```
    pub fn forward_and_backward(&mut self, loss: Var, scale: T) {
        self.forward_and_backward_watched(loss, scale, |_, _| {}, |_, _| {});
    }

    /// Like [`Tape::forward_and_backward`], watched as in [`Tape::forward_watched`] and [`Tape::backward_watched`]; the
    /// loss is the last of the values.
    ///
    /// # Panics
    /// Like [`Tape::backward_scaled`].
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
        self.load(last, false);
        let node = &self.nodes[last];
        if let Some(rule) = node.replayed() {
            let kept = &mut self.kept[node.kept.clone()];
            let scratch = &mut self.scratch[..node.memory.scratch];
            let work = Work::new(kept, scratch).with(self.products);
            let fresh = Fresh::of(&self.layout, last, self.forgotten);
            let (values, gradients) = (&mut self.values, &mut self.gradients);
            match self.reached[last] {
                true => rule.forward_and_vjp(&self.nodes, values, gradients, fresh, work),
                false => rule.forward(&self.nodes, values, work),
            }
            value(loss, &mut self.values[node.value.clone()]);
        }
        self.backward_below(last, &mut gradient);
    }

    /// Initialises the gradients for a backward replay.
    fn start_backward(&mut self, from: usize, upstream: &[T]) {
        match self.plan {
            Plan::ForwardOnly | Plan::Outputs => panic!("this recording is forward-only"),
            Plan::Reuse { loss, .. } => assert!(
                from == loss,
                "this recording reuses memory: gradients are those of {} alone",
                self.nodes[loss].name
            ),
            Plan::Keep => {
                if self.reached_from != Some(from) {
                    plan::reached(&self.nodes, from, false, &mut self.reached);
                    self.reached_from = Some(from);
                }
                self.gradients[self.parameters..].fill(T::zero());
            }
        }
        let node = &self.nodes[from];
        assert_eq!(upstream.len(), node.shape.len(), "one number per element");
        let root = &self.nodes[node.root(from)];
        if root.gradient.is_empty() {
            return; // nothing that it depends on is learned
        }
        if self.forgotten || !root.is_parameter() {
            zero(&mut self.gradients, root);
        }
        let mut gradient = node.matrix_mut(&mut self.gradients[node.gradient.clone()]);
        gradient.iter_mut().zip(upstream).for_each(|(g, &u)| *g += u);
    }

    /// Runs the vjps of all nodes before `end`, last to first.
    fn backward_below(&mut self, end: usize, watch: &mut impl FnMut(Var, &mut [T])) {
        for i in (0..end).rev() {
            if !self.reached[i] || self.nodes[i].replayed().is_none() {
                continue;
            }
            let var = Var { node: i, recording: self.recording };
            watch(var, &mut self.gradients[self.nodes[i].gradient.clone()]);
            for k in 0..self.layout.again[i].len() {
                let again = self.layout.again[i][k];
                self.load(again, false);
                let node = &self.nodes[again];
                let kept = &mut self.kept[node.kept.clone()];
                let scratch = &mut self.scratch[..node.memory.scratch];
                let work = Work::new(kept, scratch).with(self.products);
                if let Some(rule) = node.replayed() {
                    rule.forward(&self.nodes, &mut self.values, work);
                }
            }
            self.load(i, true);
            let Some(rule) = self.nodes[i].replayed() else { continue };
            let memory = self.nodes[i].memory;
            let kept = &mut self.kept[self.nodes[i].kept.clone()];
            let work = Work::new(kept, &mut self.scratch[..memory.scratch]).with(self.products);
            let fresh = Fresh::of(&self.layout, i, self.forgotten);
            rule.vjp(&self.nodes, &self.values, &mut self.gradients, fresh, work);
        }
        self.forgotten = false;
    }

    /// Sets the parameters' gradients to zero, before the first backward replay of a step.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_and_backward(y, 1.0);
    /// tape.zero_gradients();
    /// assert_eq!(tape.gradients(), [0.0]);
    /// ```
    pub fn zero_gradients(&mut self) {
        let n = self.parameters.min(self.gradients.len());
        self.gradients[..n].fill(T::zero());
    }

    /// Like [`Tape::zero_gradients`], but without a pass over memory if the recording was made for training: its next
    /// backward replay writes the parameters' gradients instead of adding to them. Until then they keep their values.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_and_backward(y, 1.0);
    /// tape.forget_gradients();
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!(tape.gradients(), [2.0]); // and not 4
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

    /// Whether only the gradients that training needs exist.
    fn trains(&self) -> bool {
        matches!(self.plan, Plan::Reuse { .. })
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

#[cfg(test)]
mod tests {
    use crate::{RecordError, Recorder};
    use linalg::{Shape, add::Add, hadamard::Hadamard, scale::Scale};

    #[test]
    fn gradients_of_parameters_add_up_until_zeroed() {
        // The textbook's example: y = 3x, backward twice: 3, then 6; zeroed: 3.
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
        // d(x³)/dx = 3x², from x·x and then (x·x)·x, beside 2x from x + x.
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
        // 0·∞ in an unused branch must not reach x.
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
    fn debug_has_names_and_shapes_and_no_elements() {
        let mut r = Recorder::<f64>::new();
        let x = r.input("x", Shape::new(300, 200)).unwrap();
        r.push("y", Scale { factor: 2.0 }, [x]).unwrap();
        let recorder = format!("{r:?}");
        for said in [recorder, format!("{:?}", r.finish())] {
            assert!(said.contains("x: 300×200") && said.contains("y: 300×200"), "{said}");
            assert!(said.len() < 200, "{said}");
        }
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
        // The vjp of a sum reads its upstream gradient and no operand; it writes two gradients.
        assert_eq!(row.backward_bytes, 3 * 6 * 4);
    }
}
