//! Replay of one operation at a time, for code that reads or changes values between two operations.
//!
//! [`Tape::forward`] is [`Tape::forward_one`] for every value in order; [`Tape::backward`] is [`Tape::begin_backward`]
//! followed by [`Tape::backward_one`] in reverse order. Code that rounds, measures or changes values between two
//! operations has its own loop, and the tape's loops stay simple. It needs a recording that keeps its values
//! ([`crate::Recorder::finish`]).

use super::node::matrix_mut;
use super::{Fresh, Source, Tape};
use crate::Var;
use linalg::{Real, Role, ViewMut, Work};

impl<T: Real> Tape<T> {
    /// Returns every value, in order.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.vars().collect::<Vec<_>>(), [w, x, y]);
    /// ```
    pub fn vars(&self) -> impl DoubleEndedIterator<Item = Var> + ExactSizeIterator + use<T> {
        let recording = self.recording;
        (0..self.nodes.len()).map(move |node| Var { node, recording })
    }

    /// Returns the origin of a value.
    ///
    /// # Panics
    /// If `var` belongs to another recording. This holds for all methods here.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.source(y), calculus::Source::Operation);
    /// ```
    pub fn source(&self, var: Var) -> Source {
        self.nodes[self.node(var)].source
    }

    /// Returns the name of the operation that computes a value, if any.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!((tape.operation(y), tape.operation(x)), (Some("product by elements"), None));
    /// ```
    pub fn operation(&self, var: Var) -> Option<&'static str> {
        self.nodes[self.node(var)].operation
    }

    /// Returns the role of the operation that computes a value, if any.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!((tape.role(y), tape.role(x)), (Some(linalg::Role::Product), None));
    /// ```
    pub fn role(&self, var: Var) -> Option<Role> {
        self.nodes[self.node(var)].rule.as_ref().map(|rule| rule.role())
    }

    /// Returns the operands of the operation that computes a value; empty for parameters and inputs.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.operands(y), [w, x]);
    /// ```
    pub fn operands(&self, var: Var) -> Vec<Var> {
        let rule = self.nodes[self.node(var)].rule.as_ref();
        rule.map_or(vec![], |rule| rule.operands().iter().map(|&o| self.var(o)).collect())
    }

    /// Returns for each value whether `output` depends on it, in the order of [`Tape::vars`].
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.dependencies(y), [true, true, true]);
    /// assert_eq!(tape.dependencies(x), [false, true, false]);
    /// ```
    pub fn dependencies(&self, output: Var) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        needed[self.node(output)] = true;
        for var in self.vars().rev() {
            if needed[var.node] {
                self.operands(var).into_iter().for_each(|o| needed[o.node] = true);
            }
        }
        needed
    }

    /// Computes one value from the current values of its operands; does nothing without an operation, or for a view.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward_one(y);
    /// assert_eq!(tape.elements(y), [6.0]);
    /// ```
    pub fn forward_one(&mut self, var: Var) {
        let node = self.node(var);
        self.forward_range(node..node + 1, &mut |_, _| {});
    }

    /// Computes the values that depend on `changed`, and all others recorded after the first of them, in order: like
    /// [`Tape::forward`], if nothing but `changed` differs from the last replay.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// tape.elements_mut(x)[0] *= 2.0;
    /// tape.forward_after(x);
    /// assert_eq!(tape.elements(y), [12.0]);
    /// ```
    pub fn forward_after(&mut self, changed: Var) {
        let depends = |node: &usize| match &self.nodes[*node].rule {
            Some(rule) => rule.operands().contains(&self.node(changed)),
            None => false,
        };
        if let Some(first) = (0..self.nodes.len()).find(depends) {
            self.forward_range(first..self.nodes.len(), &mut |_, _| {});
        }
    }

    /// Prepares a backward replay by hand, like the start of [`Tape::backward_from`]. The parameters' gradients stay
    /// unchanged.
    ///
    /// # Panics
    /// Like [`Tape::backward_from`].
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// tape.begin_backward(y, &[1.0]);
    /// assert_eq!(tape.gradient_elements(y), [1.0]); // the upstream gradient; nothing has been passed on
    /// assert_eq!(tape.gradient_elements(x), [0.0]);
    /// ```
    pub fn begin_backward(&mut self, output: Var, upstream: &[T]) {
        self.start_backward(self.node(output), upstream);
    }

    /// Adds the contribution of one value's gradient to the gradients of its operands; does nothing without an
    /// operation, or for a view.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// tape.begin_backward(y, &[1.0]);
    /// tape.backward_one(y);
    /// assert_eq!(tape.gradient_elements(x), [3.0]);
    /// ```
    pub fn backward_one(&mut self, var: Var) {
        self.load(self.node(var), true);
        let node = &self.nodes[self.node(var)];
        if let Some(rule) = node.replayed() {
            let kept = &mut self.kept[node.kept.clone()];
            let work =
                Work::new(kept, &mut self.scratch[..node.memory.scratch]).with(self.products);
            // All gradients were set to zero, so none has to be written.
            let fresh = Fresh::NONE;
            rule.vjp(&self.nodes, &self.values, &mut self.gradients, fresh, work);
        }
    }

    /// Returns the elements of any value, computed or not, mutably; later operations read the change.
    ///
    /// # Panics
    /// If `var` is a view, whose columns are not contiguous: use [`Tape::matrix_mut`].
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// tape.elements_mut(y)[0] = -1.0; // a value that no operation computed
    /// assert_eq!(tape.elements(y), [-1.0]);
    /// ```
    pub fn elements_mut(&mut self, var: Var) -> &mut [T] {
        self.whole(var, "write matrix_mut(var)");
        self.stored_mut(self.node(var))
    }

    /// Returns any value, computed or not, mutably; later operations read the change.
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.matrix_mut(y).fill(-1.0);
    /// assert_eq!(tape.elements(y), [-1.0]);
    /// ```
    pub fn matrix_mut(&mut self, var: Var) -> ViewMut<'_, T> {
        let i = self.node(var);
        let (shape, stride) = (self.nodes[i].shape, self.nodes[i].stride);
        matrix_mut(shape, stride, self.stored_mut(i))
    }

    /// Returns the elements of a gradient, mutably; empty in a forward-only recording.
    ///
    /// # Panics
    /// If `var` is a view: use [`Tape::gradient_mut`].
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// tape.begin_backward(y, &[1.0]);
    /// tape.gradient_elements_mut(y)[0] = 100.0; // a change between two operations
    /// tape.backward_one(y);
    /// assert_eq!(tape.gradient_elements(x), [300.0]);
    /// ```
    pub fn gradient_elements_mut(&mut self, var: Var) -> &mut [T] {
        let range = self.whole(var, "write gradient_mut(var)").gradient.clone();
        self.gradients.get_mut(range).unwrap_or_default()
    }

    /// Returns a gradient, mutably; that of frozen weights has no element.
    ///
    /// # Panics
    /// Like [`Tape::gradient`].
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// tape.forward();
    /// tape.begin_backward(y, &[1.0]);
    /// tape.gradient_mut(y).fill(100.0);
    /// tape.backward_one(y);
    /// assert_eq!(tape.gradient_elements(x), [300.0]);
    /// ```
    pub fn gradient_mut(&mut self, var: Var) -> ViewMut<'_, T> {
        self.with_gradient(var);
        let node = &self.nodes[self.node(var)];
        match self.nodes[node.root(var.node)].is_frozen() {
            true => ViewMut::from_slice(&mut [], 0, 0),
            false => node.matrix_mut(&mut self.gradients[node.gradient.clone()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::activation::Activation;
    use crate::{Recorder, Tape, Var};
    use linalg::{Shape, add::Add, affine::Affine, hadamard::Hadamard};

    fn network() -> (Tape<f64>, Var) {
        let mut r = Recorder::<f64>::new();
        let w = r.parameter("w", Shape::new(2, 2)).unwrap();
        let b = r.parameter("b", Shape::new(2, 1)).unwrap();
        let x = r.input("x", Shape::new(2, 3)).unwrap();
        let z = r.push("z", Affine, [w, x, b]).unwrap();
        let a = r.push("a", Activation::Tanh, [z]).unwrap();
        let skip = r.push("skip", Add, [a, x]).unwrap();
        let y = r.push("y", Hadamard, [skip, skip]).unwrap();
        let _aside = r.push("aside", Hadamard, [z, z]).unwrap();
        let mut tape = r.finish();
        tape.parameters_mut().copy_from_slice(&[0.3, -0.2, 0.5, 0.1, 0.7, -0.4]);
        tape.set(x, &[1.0, 2.0, 3.0, -1.0, -2.0, 0.5]);
        (tape, y)
    }

    #[test]
    fn a_replay_by_hand_is_the_replay() {
        let upstream = [1.0, -2.0, 0.5, 3.0, 0.1, 0.2];
        let (mut whole, y) = network();
        whole.forward();
        whole.backward_from(y, &upstream);

        let (mut by_hand, y) = network();
        by_hand.vars().for_each(|var| by_hand.forward_one(var));
        by_hand.begin_backward(y, &upstream);
        let needed = by_hand.dependencies(y);
        for (var, needed) in by_hand.vars().zip(needed).rev() {
            if needed {
                by_hand.backward_one(var);
            }
        }
        for (a, b) in whole.vars().zip(by_hand.vars()) {
            assert_eq!(whole.elements(a), by_hand.elements(b));
            assert_eq!(whole.gradient_elements(a), by_hand.gradient_elements(b));
        }
    }

    #[test]
    fn what_is_written_between_two_operations_is_read_by_the_next() {
        let (mut tape, y) = network();
        let skip = tape.find("skip").unwrap();
        tape.forward();
        tape.elements_mut(skip).fill(3.0);
        tape.forward_one(y);
        assert_eq!(tape.elements(y), &[9.0; 6]);
        assert_eq!(tape.operation(y), Some("product by elements"));
        assert_eq!(tape.operands(y), vec![skip, skip]);
    }
}
