//! Values and gradients of a recording by their handles, and parameters as slices.

use super::{Node, Source, Tape, view};
use crate::Var;
use crate::plan::Plan;
use linalg::{Real, Shape, View};
use std::ops::Range;

/// A parameter's name, shape, and place among all parameters.
///
/// ```
/// # let (mut tape, [w, x, y]) = calculus::example::product();
/// let list = tape.parameter_list();
/// assert_eq!((list[0].name.as_str(), list[0].range.clone()), ("w", 0..1));
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

impl<T: Real> Tape<T> {
    /// All parameters, one after another in the order of recording.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.parameters(), [3.0]);
    /// ```
    pub fn parameters(&self) -> &[T] {
        &self.values[..self.parameters]
    }

    /// All parameters, to be written.
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

    /// The parameters' gradients.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!(tape.gradients(), [2.0]); // dy/dw = x
    /// ```
    pub fn gradients(&self) -> &[T] {
        &self.gradients[..self.parameters.min(self.gradients.len())]
    }

    /// Parameters and their gradients, both to be written: what an optimiser works on.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_and_backward(y, 1.0);
    /// let (parameters, gradients) = tape.parameters_and_gradients();
    /// parameters[0] -= 0.5 * gradients[0]; // a step of descent at the rate ½
    /// assert_eq!(tape.parameters(), [2.0]);
    /// ```
    pub fn parameters_and_gradients(&mut self) -> (&mut [T], &mut [T]) {
        let n = self.parameters.min(self.gradients.len());
        (&mut self.values[..self.parameters], &mut self.gradients[..n])
    }

    /// Name, shape and place of every parameter, in order.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// let names: Vec<String> = tape.parameter_list().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["w"]);
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
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.find("y"), Some(y));
    /// assert_eq!(tape.find("z"), None);
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
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.shape(y).to_string(), "1×1");
    /// ```
    pub fn shape(&self, var: Var) -> Shape {
        self.nodes[self.node(var)].shape
    }

    /// A value's dotted name.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.name(y), "y");
    /// ```
    pub fn name(&self, var: Var) -> &str {
        &self.nodes[self.node(var)].name
    }

    /// Whether a value can be read after a replay: not where memory is reused, but for parameters, inputs
    /// and the loss.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert!(tape.holds(y)); // a recording that keeps its values holds all of them
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
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// assert_eq!(tape.value(y)[(0, 0)], 6.0);
    /// ```
    pub fn value(&self, var: Var) -> View<'_, T> {
        let node = self.held(var);
        view(&self.values[node.value.clone()], node.shape)
    }

    /// The elements of a value, column after column.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [6.0]);
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
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// tape.copy(y, 0..1, x, 0); // y is the next x: powers of w
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [18.0]); // 3·6
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
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.value_mut(x)[0] = 7.0;
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [21.0]);
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
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.set(x, &[7.0]);
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [21.0]);
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
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!(tape.gradient(x)[(0, 0)], 3.0); // dy/dx = w
    /// ```
    pub fn gradient(&self, var: Var) -> View<'_, T> {
        let node = self.with_gradient(var);
        view(&self.gradients[node.gradient.clone()], node.shape)
    }

    /// The elements of a gradient, column after column.
    ///
    /// # Panics
    /// As [`Tape::gradient`].
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_and_backward(y, 1.0);
    /// assert_eq!(tape.gradient_elements(x), [3.0]);
    /// ```
    pub fn gradient_elements(&self, var: Var) -> &[T] {
        let node = self.with_gradient(var);
        &self.gradients[node.gradient.clone()]
    }
}
