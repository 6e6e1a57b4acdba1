//! Access to values and gradients of a recording by their handles, and to parameters as slices.

use super::{Node, Rule, Source, Tape};
use crate::Var;
use crate::tape::plan::Plan;
use linalg::{Real, Role, Shape, View};
use std::ops::Range;

/// A parameter's name, shape, range and uses; also those of a frozen matrix.
///
/// ```
/// # let (mut tape, [w, x, y]) = calculus::example::product();
/// let list = tape.parameter_list();
/// assert_eq!((list[0].name.as_str(), list[0].range.clone()), ("w", 0..1));
/// assert_eq!(list[0].uses, [(linalg::Role::Product, 0)]); // w ⊙ x
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its dotted name.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// The range of its elements in [`Tape::parameters`] and [`Tape::gradients`], or in [`Tape::frozen`].
    pub range: Range<usize>,
    /// The operations that read it: their role and the operand number, in recording order. Every matrix of a linear map
    /// counts as its operand 0, what it is applied to as operand 1, and a bias as operand 2 ([`linalg::Primitive::factors`]).
    pub uses: Vec<(Role, usize)>,
    /// Whether no other matrix of parameters is applied to what it computes: it belongs to the output layer.
    pub output: bool,
}

/// Returns the ranges of parameters to which weight decay applies: those of linear maps and tables, of any size, and
/// all others with more than one row and column. Vectors (gains, biases) do not decay. Source: nanoGPT, after Brown et
/// al. 2020.
///
/// ```
/// use calculus::matrices;
/// # let (tape, _) = calculus::example::product();
/// assert_eq!(matrices(&tape.parameter_list()), []); // a gate of one number
/// ```
pub fn matrices(parameters: &[Parameter]) -> Vec<Range<usize>> {
    let matrix = |p: &&Parameter| {
        let by_size = p.shape.rows > 1 && p.shape.columns > 1;
        let by_use = |u: &(Role, usize)| matches!(u, (Role::Linear | Role::Lookup | Role::Loss, 0));
        by_size || p.uses.iter().any(by_use)
    };
    parameters.iter().filter(matrix).map(|p| p.range.clone()).collect()
}

/// Returns the matrices of hidden layers: those with more than one row and column that only linear maps read, except
/// the output layer's. A table of embeddings is none, also if a tied head reads it, and neither is a vector.
///
/// ```
/// use calculus::{Recorder, hidden_matrices};
/// use linalg::{Shape, product::Product};
/// let mut r = Recorder::<f64>::new();
/// let x = r.input("x", Shape::new(2, 1))?;
/// let [first, last] = [r.parameter("first", Shape::new(3, 2))?, r.parameter("last", Shape::new(4, 3))?];
/// let h = r.push("h", Product::plain(), [first, x])?;
/// r.push("y", Product::plain(), [last, h])?;
/// let list = r.parameter_list();
/// assert_eq!(hidden_matrices(&list).map(|p| p.name.as_str()).collect::<Vec<_>>(), ["first"]);
/// # Ok::<(), calculus::RecordError>(())
/// ```
pub fn hidden_matrices<'a>(
    parameters: impl IntoIterator<Item = &'a Parameter>,
) -> impl Iterator<Item = &'a Parameter> {
    parameters.into_iter().filter(|p| {
        let linear = !p.uses.is_empty() && p.uses.iter().all(|&u| u == (Role::Linear, 0));
        linear && !p.output && p.shape.rows > 1 && p.shape.columns > 1
    })
}

/// Returns the number of operand `k` as readers of a role count it: see [`Parameter::uses`].
fn place<T: Real>(rule: &dyn Rule<T>, k: usize) -> usize {
    let factors = rule.factors();
    match factors.iter().find_map(|pair| pair.iter().position(|&own| own == k)) {
        Some(place) => place,
        None if factors.len() > 1 => 2,
        None => k,
    }
}

/// Returns the weights of one source among the nodes of a recording, in order: its parameters, or its frozen weights.
pub(crate) fn weights<T: Real>(nodes: &[Node<T>], source: Source) -> Vec<Parameter> {
    let mut uses = vec![vec![]; nodes.len()];
    for rule in nodes.iter().filter_map(|node| node.rule.as_deref()) {
        for (k, &operand) in rule.operands().iter().enumerate() {
            uses[operand].push((rule.role(), place(rule, k)));
        }
    }
    // Whether a matrix of parameters is applied later.
    let mut later = vec![false; nodes.len()];
    for (i, node) in nodes.iter().enumerate().rev() {
        let Some(rule) = node.rule.as_deref() else { continue };
        let (operands, factors) = (rule.operands(), rule.factors());
        for (k, &operand) in operands.iter().enumerate() {
            let applied =
                |&[matrix, x]: &[usize; 2]| x == k && nodes[operands[matrix]].source.is_weight();
            later[operand] |= later[i] || factors.iter().any(applied);
        }
    }
    let mut end = 0_usize;
    let all = nodes.iter().zip(uses.into_iter().zip(later));
    all.filter(|(node, _)| node.source == source)
        .map(|(node, (uses, later))| {
            let start = end;
            end = start.saturating_add(node.shape.len());
            let (name, range, output) = (node.name.clone(), start..end, !later);
            Parameter { name, shape: node.shape, range, uses, output }
        })
        .collect()
}

impl<T: Real> Tape<T> {
    /// Returns the layers and the ranges of their parameters, in order. A layer is the outermost scope in which a
    /// parameter was recorded ([`crate::Recorder::scope`]), or, outside of scopes, the parameter itself.
    ///
    /// ```
    /// # let (tape, _) = calculus::example::product();
    /// assert_eq!(tape.layers(), [("w".to_owned(), vec![0..1])]);
    /// ```
    pub fn layers(&self) -> Vec<(String, Vec<Range<usize>>)> {
        let mut layers: Vec<(String, Vec<Range<usize>>)> = vec![];
        for (var, parameter) in self.parameter_vars() {
            let node = &self.nodes[var.node];
            let own = node.layer.as_ref().unwrap_or(&node.name);
            match layers.iter_mut().find(|(layer, _)| layer == own) {
                Some((_, ranges)) => ranges.push(parameter.range),
                None => layers.push((own.clone(), vec![parameter.range])),
            }
        }
        layers
    }

    /// Returns every parameter as a value of the recording, together with its entry in [`Tape::parameter_list`].
    ///
    /// ```
    /// # let (tape, [w, x, y]) = calculus::example::product();
    /// let all: Vec<_> = tape.parameter_vars().map(|(var, parameter)| (var, parameter.name)).collect();
    /// assert_eq!(all, [(w, "w".to_owned())]);
    /// ```
    pub fn parameter_vars(&self) -> impl Iterator<Item = (Var, Parameter)> {
        let vars = self.vars().filter(|var| self.source(*var) == Source::Parameter);
        vars.zip(self.parameter_list())
    }

    /// Returns every frozen matrix as a value of the recording, together with its entry in [`Tape::frozen_list`].
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.frozen_vars().count(), 0);
    /// ```
    pub fn frozen_vars(&self) -> impl Iterator<Item = (Var, Parameter)> {
        let vars = self.vars().filter(|var| self.source(*var) == Source::Frozen);
        vars.zip(self.frozen_list())
    }

    /// Renames values and operations. Names are for display: only [`Tape::find`] depends on them.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.rename(|name| format!("my {name}"), |_| "gate");
    /// assert_eq!((tape.name(y), tape.operation(y)), ("my y", Some("gate")));
    /// ```
    ///
    /// # Panics
    /// If two values would have the same name.
    pub fn rename(
        &mut self,
        value: impl Fn(&str) -> String,
        operation: impl Fn(&'static str) -> &'static str,
    ) {
        for node in &mut self.nodes {
            node.name = value(&node.name);
            node.layer = node.layer.as_deref().map(&value);
            node.operation = node.operation.map(&operation);
        }
        self.names = self.nodes.iter().enumerate().map(|(i, n)| (n.name.clone(), i)).collect();
        assert_eq!(self.names.len(), self.nodes.len(), "every value has a name of its own");
    }

    /// Returns all parameters, in recording order.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.parameters(), [3.0]);
    /// ```
    pub fn parameters(&self) -> &[T] {
        &self.values[..self.parameters]
    }

    /// Returns all parameters, mutably.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.parameters_mut()[0] = 5.0;
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [10.0]);
    /// ```
    pub fn parameters_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.parameters]
    }

    /// Returns the parameters' gradients.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!(tape.gradients(), [2.0]); // dy/dw = x
    /// ```
    pub fn gradients(&self) -> &[T] {
        &self.gradients[..self.parameters.min(self.gradients.len())]
    }

    /// Returns parameters and their gradients, both mutably, for an optimizer.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_and_backward(y, 1.0);
    /// let (parameters, gradients) = tape.parameters_and_gradients();
    /// parameters[0] -= 0.5 * gradients[0]; // a descent step with rate ½
    /// assert_eq!(tape.parameters(), [2.0]);
    /// ```
    pub fn parameters_and_gradients(&mut self) -> (&mut [T], &mut [T]) {
        let n = self.parameters.min(self.gradients.len());
        (&mut self.values[..self.parameters], &mut self.gradients[..n])
    }

    /// Returns name, shape, range and uses of every parameter, in order.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// let names: Vec<String> = tape.parameter_list().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["w"]);
    /// ```
    pub fn parameter_list(&self) -> Vec<Parameter> {
        weights(&self.nodes, Source::Parameter)
    }

    /// Returns name, shape, range in [`Tape::frozen`] and uses of every frozen matrix, in order.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert!(tape.frozen_list().is_empty());
    /// ```
    pub fn frozen_list(&self) -> Vec<Parameter> {
        weights(&self.nodes, Source::Frozen)
    }

    /// Returns the value whose memory a value shares, and the rows used: itself and all of its rows, unless it is a
    /// view of another value's rows ([`linalg::Primitive::view`]).
    ///
    /// ```
    /// use calculus::Recorder;
    /// use linalg::{Shape, rows::Rows};
    /// let mut r = Recorder::<f64>::new();
    /// let packed = r.input("packed", Shape::new(6, 4))?;
    /// let key = r.push("key", Rows { start: 2, count: 2 }, [packed])?;
    /// let tape = r.finish();
    /// assert_eq!((tape.root(key), tape.root(packed)), ((packed, 2..4), (packed, 0..6)));
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn root(&self, var: Var) -> (Var, Range<usize>) {
        let node = self.node(var);
        (self.var(self.nodes[node].root(node)), self.nodes[node].rows())
    }

    /// Returns the value with this dotted name.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.find("y"), Some(y));
    /// assert_eq!(tape.find("z"), None);
    /// ```
    pub fn find(&self, name: &str) -> Option<Var> {
        self.names.get(name).map(|&node| Var { node, recording: self.recording })
    }

    /// Returns a value's shape.
    ///
    /// # Panics
    /// If `var` belongs to another recording. This holds for all methods that take a `Var`.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.shape(y).to_string(), "1×1");
    /// ```
    pub fn shape(&self, var: Var) -> Shape {
        self.nodes[self.node(var)].shape
    }

    /// Returns a value's dotted name.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.name(y), "y");
    /// ```
    pub fn name(&self, var: Var) -> &str {
        &self.nodes[self.node(var)].name
    }

    /// Whether a value can be read after a replay. If the recording reuses memory, only weights, inputs, and the loss or
    /// the outputs can.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert!(tape.holds(y)); // a recording that keeps its values holds all of them
    /// ```
    pub fn holds(&self, var: Var) -> bool {
        let node = self.node(var);
        let root = self.nodes[node].root(node);
        let given = self.nodes[root].rule.is_none();
        match self.plan {
            Plan::Reuse { loss, .. } => given || root == self.nodes[loss].root(loss),
            Plan::Outputs => given || self.nodes[node].output || self.nodes[root].output,
            Plan::Keep | Plan::ForwardOnly => true,
        }
    }

    /// Whether a value is a view: rows of another value, whose memory it shares.
    ///
    /// ```
    /// use calculus::Recorder;
    /// use linalg::{Shape, rows::Rows};
    /// let mut r = Recorder::<f64>::new();
    /// let packed = r.input("packed", Shape::new(3, 2))?;
    /// let key = r.push("key", Rows { start: 1, count: 1 }, [packed])?;
    /// let mut tape = r.finish();
    /// tape.set(packed, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    /// assert!(tape.is_view(key) && !tape.is_view(packed));
    /// assert_eq!((tape.value(key)[(0, 0)], tape.value(key)[(0, 1)]), (2.0, 5.0)); // without a replay
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn is_view(&self, var: Var) -> bool {
        self.nodes[self.node(var)].view.is_some()
    }

    /// Returns the node of a value that is not a view; `instead` names the alternative for a view.
    pub(super) fn whole(&self, var: Var, instead: &str) -> &Node<T> {
        let node = &self.nodes[self.node(var)];
        assert!(
            node.view.is_none(),
            "{}: a view's columns do not follow one another; {instead}",
            node.name
        );
        node
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

    /// Returns a value, after the last forward replay.
    ///
    /// # Panics
    /// If the recording reuses memory and does not hold the value.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// assert_eq!(tape.value(y)[(0, 0)], 6.0);
    /// ```
    pub fn value(&self, var: Var) -> View<'_, T> {
        let node = self.held(var);
        node.matrix(self.stored(self.node(var)))
    }

    /// Returns the elements of a value, in column-major order.
    ///
    /// # Panics
    /// Like [`Tape::value`]; if `var` is a view, whose columns are not contiguous.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [6.0]);
    /// ```
    pub fn elements(&self, var: Var) -> &[T] {
        self.whole(var, "read value(var)");
        self.held(var);
        self.stored(self.node(var))
    }

    /// Copies the elements `range` of a value to a position in an input, so that the next replay reads results of the
    /// last one.
    ///
    /// # Panics
    /// If `from` is a view, `to` is computed, or a range is out of bounds.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// tape.copy(y, 0..1, x, 0); // y is the next x: powers of w
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [18.0]); // 3·6
    /// ```
    pub fn copy(&mut self, from: Var, range: Range<usize>, to: Var, place: usize) {
        let (from_node, to_node) = (self.node(from), self.node(to));
        let (from, to) = (self.whole(from, "copy from its operand"), &self.nodes[to_node]);
        assert_ne!(to.source, Source::Operation, "{} is computed", to.name);
        assert!(range.end <= from.shape.len() && place + range.len() <= to.shape.len());
        if let (None, None) = (from.shared, to.shared) {
            let source = from.value.start + range.start..from.value.start + range.end;
            return self.values.copy_within(source, to.value.start + place);
        }
        let elements = self.stored(from_node)[range].to_vec();
        self.stored_mut(to_node)[place..place + elements.len()].copy_from_slice(&elements);
    }

    /// Returns the elements of an input or a parameter, mutably, in column-major order.
    ///
    /// # Panics
    /// If `var` is computed.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.value_mut(x)[0] = 7.0;
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [21.0]);
    /// ```
    pub fn value_mut(&mut self, var: Var) -> &mut [T] {
        let node = &self.nodes[self.node(var)];
        assert_ne!(node.source, Source::Operation, "{} is computed", node.name);
        self.stored_mut(self.node(var))
    }

    /// Writes an input or a parameter, in column-major order.
    ///
    /// # Panics
    /// If `var` is computed or has a different number of elements.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.set(x, &[7.0]);
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [21.0]);
    /// ```
    pub fn set(&mut self, var: Var, elements: &[T]) {
        self.value_mut(var).copy_from_slice(elements);
    }

    pub(super) fn with_gradient(&self, var: Var) -> &Node<T> {
        let node = &self.nodes[self.node(var)];
        let name = &node.name;
        assert!(
            !matches!(self.plan, Plan::ForwardOnly | Plan::Outputs),
            "{name}: a forward-only recording has no gradients"
        );
        let root = &self.nodes[node.root(var.node)];
        let held = self.plan == Plan::Keep || root.source.is_weight();
        assert!(held, "{name}: this recording reuses memory; finish one that keeps");
        node
    }

    /// Returns a gradient, after the last backward replay; that of frozen weights has no element.
    ///
    /// # Panics
    /// In a forward-only recording; in one that reuses memory, for anything but weights and their rows.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!(tape.gradient(x)[(0, 0)], 3.0); // dy/dx = w
    /// ```
    pub fn gradient(&self, var: Var) -> View<'_, T> {
        let node = self.with_gradient(var);
        match self.nodes[node.root(var.node)].is_frozen() {
            true => View::from_slice(&[], 0, 0),
            false => node.matrix(&self.gradients[node.gradient.clone()]),
        }
    }

    /// Returns the elements of a gradient, in column-major order.
    ///
    /// # Panics
    /// Like [`Tape::gradient`]; if `var` is a view.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!(tape.gradient_elements(x), [3.0]);
    /// ```
    pub fn gradient_elements(&self, var: Var) -> &[T] {
        self.whole(var, "read gradient(var)");
        let node = self.with_gradient(var);
        &self.gradients[node.gradient.clone()]
    }
}
