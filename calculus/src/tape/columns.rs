//! Replay for fewer columns than were recorded: fewer tokens, or fewer examples.

use super::plan::lay_out_view;
use super::{Source, Tape};
use crate::Var;
use linalg::{Memory, Real, Shape, ShapeError};

impl<T: Real> Tape<T> {
    /// Sets the numbers of columns of inputs, each to at most what was recorded. All other shapes follow from the shape
    /// rules of the operations, and the next replays compute only that much. An input keeps its first columns; computed
    /// values are undefined until the next replay.
    ///
    /// ```
    /// use calculus::Recorder;
    /// use linalg::{Shape, product::Product};
    /// let mut r = Recorder::<f64>::new();
    /// let w = r.parameter("w", Shape::new(1, 2))?;
    /// let x = r.input("x", Shape::new(2, 3))?;
    /// let y = r.push("y", Product::plain(), [w, x])?;
    /// let mut tape = r.finish_forward_only();
    /// tape.set(w, &[1.0, 10.0]);
    /// tape.set(x, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    /// tape.set_columns(&[(x, 2)])?;
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [21.0, 43.0]);
    /// tape.set_columns(&[(x, 3)])?;
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [21.0, 43.0, 65.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Operands that no longer fit their operation. Nothing is changed then.
    ///
    /// # Panics
    /// If the recording has gradients, if a value is not an input of this recording, or if a number of columns is 0 or
    /// makes a value larger than it was recorded.
    pub fn set_columns(&mut self, columns: &[(Var, usize)]) -> Result<(), ShapeError> {
        assert!(self.gradients.is_empty(), "only a forward-only recording has columns to set");
        for &(var, columns) in columns {
            let node = &self.nodes[self.node(var)];
            assert_eq!(node.source, Source::Input, "{} is not an input", node.name);
            assert!(columns > 0, "{}: at least one column", node.name);
        }
        let mut fitted = std::mem::take(&mut self.fitted);
        fitted.clear();
        let done = self.fit(columns, &mut fitted);
        if done.is_ok() {
            for (node, &(shape, memory)) in self.nodes.iter_mut().zip(&fitted) {
                (node.shape, node.memory) = (shape, memory);
                if node.view.is_none() {
                    node.value.end = node.value.start + shape.len();
                }
                node.kept.end = node.kept.start + memory.kept;
            }
        }
        self.fitted = fitted;
        done?;
        (0..self.nodes.len()).for_each(|i| lay_out_view(&mut self.nodes, i));
        let scratch = self.nodes.iter().map(|node| node.memory.scratch).max().unwrap_or(0);
        if self.scratch.len() < scratch {
            self.scratch.resize(scratch, T::zero());
        }
        Ok(())
    }

    /// Finds the shape and the memory of every node.
    fn fit(
        &self,
        columns: &[(Var, usize)],
        fitted: &mut Vec<(Shape, Memory)>,
    ) -> Result<(), ShapeError> {
        for (i, node) in self.nodes.iter().enumerate() {
            let given = columns.iter().find(|(var, _)| var.node == i);
            let given = given.map_or(node.shape.columns, |own| own.1);
            let (shape, memory) = match &node.rule {
                Some(rule) => rule.fitted(fitted)?,
                None => (Shape::new(node.shape.rows, given), node.memory),
            };
            let [value, kept] = self.room[i];
            let fits = shape.len() <= value && memory.kept <= kept;
            // A view has no memory of its own.
            let (memory, fits) = match node.view {
                Some(_) => (node.memory, shape.len() <= value),
                None => (memory, fits),
            };
            assert!(fits, "{}: {shape} is more than what was recorded", node.name);
            fitted.push((shape, memory));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::activation::Activation;
    use crate::{Recorder, Tape, Var};
    use linalg::{Shape, add::Add, affine::Affine, rows::Rows};

    /// Values of a replay for `columns` columns, of a recording of `recorded`.
    fn network(recorded: usize) -> (Tape<f64>, [Var; 2]) {
        let mut r = Recorder::<f64>::new();
        let w = r.parameter("w", Shape::new(4, 2)).unwrap();
        let b = r.parameter("b", Shape::new(4, 1)).unwrap();
        let x = r.input("x", Shape::new(2, recorded)).unwrap();
        let z = r.push("z", Affine, [w, x, b]).unwrap();
        let top = r.push("top", Rows { start: 0, count: 2 }, [z]).unwrap();
        let a = r.push("a", Activation::Tanh, [top]).unwrap();
        let below = r.push("below", Rows { start: 2, count: 2 }, [z]).unwrap();
        let y = r.push("y", Add, [a, below]).unwrap();
        let mut tape = r.finish_for_outputs(&[y, below]);
        let parameters = tape.parameters_mut().iter_mut().enumerate();
        parameters.for_each(|(i, p)| *p = (i as f64).sin());
        (tape, [x, y])
    }

    #[test]
    fn fewer_columns_are_computed_as_if_so_many_were_recorded() {
        let inputs: Vec<f64> = (0..10).map(|i| (i as f64).cos()).collect();
        let (mut whole, [x, y]) = network(5);
        for columns in [3, 1, 5, 2] {
            whole.set_columns(&[(x, columns)]).unwrap();
            whole.set(x, &inputs[..2 * columns]);
            whole.forward();
            let (mut own, [x, own_y]) = network(columns);
            own.set(x, &inputs[..2 * columns]);
            own.forward();
            assert_eq!(whole.elements(y), own.elements(own_y), "{columns} columns");
            assert_eq!(whole.shape(y), Shape::new(2, columns));
        }
    }

    #[test]
    fn operands_that_no_longer_fit_change_nothing() {
        let mut r = Recorder::<f64>::new();
        let [a, b] = ["a", "b"].map(|name| r.input(name, Shape::new(1, 3)).unwrap());
        let sum = r.push("sum", Add, [a, b]).unwrap();
        let mut tape = r.finish_forward_only();
        assert!(tape.set_columns(&[(a, 2)]).is_err());
        assert_eq!(tape.shape(a).columns, 3);
        tape.set_columns(&[(a, 2), (b, 2)]).unwrap();
        tape.forward();
        assert_eq!(tape.elements(sum), [0.0; 2]);
    }

    #[test]
    #[should_panic(expected = "more than what was recorded")]
    fn no_more_columns_than_were_recorded() {
        let (mut tape, [x, _]) = network(2);
        let _ = tape.set_columns(&[(x, 3)]);
    }
}
