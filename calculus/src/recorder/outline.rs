//! A recording for training as planned: its rows and its memory, before any of it is allocated.

use super::{RecordError, Recorder, Var};
use crate::tape::plan::{self, Plan, Recompute};
use crate::tape::{Source, TapeMemory, shared_bytes};
use linalg::{Real, Role, Shape};

/// A row of a recording whose memory is not allocated: see [`Recorder::outline`].
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The dotted name.
    pub name: String,
    /// The origin.
    pub source: Source,
    /// The role of the operation that computes it, if one does.
    pub role: Option<Role>,
    /// The operation's operands.
    pub operands: Vec<Var>,
    /// The shape.
    pub shape: Shape,
    /// Floating-point operations of the forward replay. A view costs nothing, here and below.
    pub flops: u64,
    /// Floating-point operations of the backward replay: none for what no parameter determines.
    pub backward_flops: u64,
    /// Bytes in use between the forward and the backward replay: the value, if it is not recomputed, and the memory that
    /// the operation keeps. Parameters are not among them.
    pub held: usize,
}

impl<T: Real> Recorder<T> {
    /// Returns the rows and the memory that [`Recorder::finish_for_training`] would give, without allocating it.
    ///
    /// ```
    /// use calculus::{Recompute, Recorder};
    /// use linalg::{Shape, hadamard::Hadamard};
    /// let mut r = Recorder::<f64>::new();
    /// let w = r.parameter("w", Shape::new(1, 1))?;
    /// let x = r.input("x", Shape::new(1, 1))?;
    /// let y = r.push("y", Hadamard, [w, x])?;
    /// let (rows, memory) = r.outline(y, Recompute::default())?;
    /// assert_eq!((rows[2].flops, rows[2].backward_flops), (1, 2)); // w·x; dy·x and dy·w
    /// assert_eq!(memory, r.finish_for_training(y, Recompute::default()).memory());
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    ///
    /// # Errors
    /// A recording of 2⁶⁰ bytes or more.
    ///
    /// # Panics
    /// If `loss` belongs to another recording.
    pub fn outline(
        &mut self,
        loss: Var,
        recompute: Recompute,
    ) -> Result<(Vec<Planned>, TapeMemory), RecordError> {
        let shape = self.shape(loss);
        if self.bytes() >= super::BEYOND {
            return Err(RecordError::Size { name: self.nodes[loss.node].name.clone(), shape });
        }
        let plan = Plan::Reuse { loss: loss.node, recompute };
        let layout = plan::lay_out(&mut self.nodes, plan);
        let size = size_of::<T>();
        let bytes = |source: Source| {
            let own = self.nodes.iter().filter(|n| n.source == source);
            size * own.map(|n| n.shape.len()).sum::<usize>()
        };
        let shared = shared_bytes(&self.nodes);
        let elsewhere = shared / size_of::<u16>() * size;
        let (parameters, frozen) = (bytes(Source::Parameter), bytes(Source::Frozen) - elsewhere);
        let scratch = self.nodes.iter().map(|n| n.memory.scratch).max().unwrap_or(0);
        let memory = TapeMemory {
            parameters,
            parameter_gradients: parameters,
            frozen,
            shared,
            values: size * layout.values - parameters - frozen,
            gradients: size * layout.gradients - parameters,
            kept: size * layout.kept,
            scratch: size * scratch,
        };
        let var = |node| Var { node, recording: self.recording };
        let row = |(node, held): (&crate::tape::Node<T>, &usize)| {
            let (rule, replayed) = (node.rule.as_deref(), node.replayed());
            Planned {
                name: node.name.clone(),
                source: node.source,
                role: rule.map(|rule| rule.role()),
                operands: node.operands().iter().map(|&o| var(o)).collect(),
                shape: node.shape,
                flops: replayed.map_or(0, |rule| rule.flops(&self.nodes)),
                backward_flops: replayed.map_or(0, |rule| rule.vjp_flops(&self.nodes, true)),
                held: size * held,
            }
        };
        Ok((self.nodes.iter().zip(&layout.held).map(row).collect(), memory))
    }
}
