//! One operation of a recording, and how it accesses its operands.
//!
//! Values lie in one buffer and gradients in another. An operation reads some ranges and writes others, all disjoint
//! except for operands that share rows:
//!
//! ```text
//! forward    values     │ … │ x₁ │ … │ y │ … │ x₂ │ …      reads x₁, x₂; writes y
//! backward   gradients  │ … │ dx₁│ … │dy │ … │ dx₂│ …      reads dy; adds to dx₁, dx₂
//! ```
//!
//! Code that depends only on the number of operands is in [`Places`], so that it is compiled once for that number and
//! not once for every operation.

use super::Node;
use crate::tape::plan::Layout;
use linalg::{Formula, Gradient, Memory, Primitive, Real, Role, Shape, ShapeError};
use linalg::{View, ViewMut, Work, split_rows};
use std::ops::Range;

/// A primitive with its places in the recording, which the tape replays.
pub(crate) trait Rule<T>: Send + Sync {
    fn name(&self) -> &'static str;
    fn branch(&self) -> &'static str;
    fn role(&self) -> Role;
    fn factors(&self) -> Vec<[usize; 2]>;
    fn operands(&self) -> &[usize];
    /// The output's shape and the operation's memory, if the nodes before have these shapes.
    fn fitted(&self, before: &[(Shape, Memory)]) -> Result<(Shape, Memory), ShapeError>;
    fn flops(&self, nodes: &[Node<T>]) -> u64;
    fn formula(&self, nodes: &[Node<T>], values: &[T]) -> Formula;
    /// Operations of the vjp, without those for gradients that nothing needs ([`Node::is_wanted`]).
    fn vjp_flops(&self, nodes: &[Node<T>], training: bool) -> u64;
    fn forward(&self, nodes: &[Node<T>], values: &mut [T], work: Work<'_, T>);
    fn reads_operand(&self, k: usize) -> bool;
    fn reads_output(&self) -> bool;
    fn is_cheap(&self) -> bool;
    /// Adds to the gradients of the operands, or writes those that are `fresh`.
    fn vjp(
        &self,
        nodes: &[Node<T>],
        values: &[T],
        gradients: &mut [T],
        fresh: Fresh<'_>,
        work: Work<'_, T>,
    );
    fn forward_and_vjp(
        &self,
        nodes: &[Node<T>],
        values: &mut [T],
        gradients: &mut [T],
        fresh: Fresh<'_>,
        work: Work<'_, T>,
    );
}

/// The operands whose gradients an operation is the first to add to, and may write; for views, their roots.
#[derive(Clone, Copy)]
pub(crate) struct Fresh<'a> {
    values: &'a [usize],
    parameters: &'a [usize],
}

impl<'a> Fresh<'a> {
    /// No operand: every gradient is added to.
    pub(super) const NONE: Fresh<'static> = Fresh { values: &[], parameters: &[] };

    pub(super) fn of(layout: &'a Layout, node: usize, forgotten: bool) -> Self {
        let parameters = if forgotten { &layout.first[node][..] } else { &[] };
        Fresh { values: &layout.fresh[node], parameters }
    }
}

/// An operation with the places of its operands and its output.
pub(crate) struct Recorded<P, const N: usize> {
    pub(crate) operation: P,
    pub(crate) places: Places<N>,
}

impl<T: Real, P: Primitive<N>, const N: usize> Rule<T> for Recorded<P, N> {
    fn name(&self) -> &'static str {
        self.operation.name()
    }

    fn branch(&self) -> &'static str {
        self.operation.branch()
    }

    fn role(&self) -> Role {
        self.operation.role()
    }

    fn factors(&self) -> Vec<[usize; 2]> {
        self.operation.factors()
    }

    fn operands(&self) -> &[usize] {
        &self.places.operands
    }

    fn fitted(&self, before: &[(Shape, Memory)]) -> Result<(Shape, Memory), ShapeError> {
        let operands = self.places.shapes_of(before);
        Ok((self.operation.shape(operands)?, self.operation.memory(operands)))
    }

    fn flops(&self, nodes: &[Node<T>]) -> u64 {
        self.operation.flops(self.places.shapes(nodes))
    }

    fn formula(&self, nodes: &[Node<T>], values: &[T]) -> Formula {
        self.operation.formula(self.places.inputs(nodes, values))
    }

    fn vjp_flops(&self, nodes: &[Node<T>], training: bool) -> u64 {
        if !nodes[self.places.output].is_wanted(training) {
            return 0;
        }
        let shapes = self.places.shapes(nodes);
        let (all, forward) = (self.operation.vjp_flops(shapes), self.operation.flops(shapes));
        let left_out = self.places.left_out(nodes, training, &self.operation.factors(), forward);
        all.saturating_sub(left_out)
    }

    fn reads_operand(&self, k: usize) -> bool {
        self.operation.vjp_reads().inputs[k]
    }

    fn reads_output(&self) -> bool {
        self.operation.vjp_reads().output
    }

    fn is_cheap(&self) -> bool {
        self.operation.is_cheap()
    }

    fn forward(&self, nodes: &[Node<T>], values: &mut [T], work: Work<'_, T>) {
        let (inputs, y) = self.places.inputs_and_output(nodes, values);
        self.operation.forward(inputs, y, work);
    }

    fn vjp(
        &self,
        nodes: &[Node<T>],
        values: &[T],
        gradients: &mut [T],
        fresh: Fresh<'_>,
        work: Work<'_, T>,
    ) {
        let places = &self.places;
        let inputs = places.inputs(nodes, values);
        let output = &nodes[places.output];
        let y = output.matrix(&values[output.value.clone()]);
        let Work { kept, scratch, products } = work;
        let (aside, scratch) = scratch.split_at_mut(places.aside(nodes));
        let (dy, dx) = places.gradients(nodes, gradients, fresh, aside);
        self.operation.vjp(inputs, y, dy, dx, Work { kept, scratch, products });
        places.add_aside(nodes, gradients, aside);
    }

    fn forward_and_vjp(
        &self,
        nodes: &[Node<T>],
        values: &mut [T],
        gradients: &mut [T],
        fresh: Fresh<'_>,
        work: Work<'_, T>,
    ) {
        let places = &self.places;
        let (inputs, y) = places.inputs_and_output(nodes, values);
        let Work { kept, scratch, products } = work;
        let (aside, scratch) = scratch.split_at_mut(places.aside(nodes));
        let (dy, dx) = places.gradients(nodes, gradients, fresh, aside);
        self.operation.forward_and_vjp(inputs, y, dy, dx, Work { kept, scratch, products });
        places.add_aside(nodes, gradients, aside);
    }
}

/// The node numbers of an operation's operands and output, and how the operands' gradients share memory.
///
/// Gradients of operands that do not overlap are written in place, even if they are rows of one matrix. If an operand
/// overlaps an earlier one (the same operand twice; a matrix and a view of it), its gradient is written to scratch
/// memory (*aside*) and added afterwards.
pub(crate) struct Places<const N: usize> {
    pub(crate) operands: [usize; N],
    pub(crate) output: usize,
    /// Whether the gradient of an operand is written aside.
    aside: [bool; N],
    /// Whether the operands that are not aside cover all rows of the matrix whose memory an operand shares.
    covered: [bool; N],
}

impl<const N: usize> Places<N> {
    /// Returns the places of the operation that is recorded next.
    pub(crate) fn new<T: Real>(nodes: &[Node<T>], operands: [usize; N]) -> Self {
        let root = |k: usize| nodes[operands[k]].root(operands[k]);
        let rows = |k: usize| nodes[operands[k]].rows();
        let mut aside = [false; N];
        for k in 0..N {
            let shares = |&i: &usize| {
                root(i) == root(k) && rows(i).start < rows(k).end && rows(k).start < rows(i).end
            };
            aside[k] = (0..k).filter(|&i| !aside[i]).any(|i| shares(&i));
        }
        let covered = std::array::from_fn(|k| {
            let there = (0..N).filter(|&i| !aside[i] && root(i) == root(k));
            there.map(|i| rows(i).len()).sum::<usize>() == nodes[root(k)].shape.rows
        });
        Places { operands, output: nodes.len(), aside, covered }
    }

    /// Returns the number of scalars that are written aside.
    pub(crate) fn aside<T: Real>(&self, nodes: &[Node<T>]) -> usize {
        let aside = self.operands.iter().zip(self.aside).filter(|(_, aside)| *aside);
        aside.map(|(&o, _)| nodes[o].shape.len()).sum()
    }

    /// Returns which operands' gradients are fresh. A matrix of which the operands are only some rows is set to zero,
    /// for the operations that add to the other rows.
    fn fresh<T: Real>(
        &self,
        nodes: &[Node<T>],
        gradients: &mut [T],
        fresh: Fresh<'_>,
    ) -> [bool; N] {
        let root = |k: usize| nodes[self.operands[k]].root(self.operands[k]);
        let first =
            |k: usize| fresh.values.contains(&root(k)) || fresh.parameters.contains(&root(k));
        for k in (0..N).filter(|&k| !self.covered[k] && first(k)) {
            if !(0..k).any(|i| root(i) == root(k)) {
                let root = &nodes[root(k)];
                let gradient = root.matrix_mut(&mut gradients[root.gradient.clone()]);
                Gradient::fresh(gradient).zeroed(); // on all threads
            }
        }
        std::array::from_fn(|k| self.aside[k] || first(k) && self.covered[k])
    }

    /// Returns which operands' gradients have memory.
    fn wanted<T: Real>(&self, nodes: &[Node<T>]) -> [bool; N] {
        self.operands.map(|o| !nodes[nodes[o].root(o)].gradient.is_empty())
    }

    fn shapes<T>(&self, nodes: &[Node<T>]) -> [Shape; N] {
        self.operands.map(|o| nodes[o].shape)
    }

    /// Returns the operands' shapes, of the shapes and memory of all nodes before.
    fn shapes_of(&self, before: &[(Shape, Memory)]) -> [Shape; N] {
        self.operands.map(|o| before[o].0)
    }

    /// Returns the operations of a vjp that are left out because nothing needs their gradients. Each factor of a product
    /// has a product of its own, as large as the forward one.
    fn left_out<T: Real>(
        &self,
        nodes: &[Node<T>],
        training: bool,
        factors: &[[usize; 2]],
        forward: u64,
    ) -> u64 {
        let shapes = self.shapes(nodes);
        let cost = |&[matrix, x]: &[usize; 2]| match factors.len() {
            1 => forward,
            _ => 2 * shapes[matrix].len() as u64 * shapes[x].columns as u64,
        };
        let unwanted = |&&k: &&usize| !nodes[self.operands[k]].is_wanted(training);
        let left_out = |pair: &[usize; 2]| pair.iter().filter(unwanted).count() as u64 * cost(pair);
        factors.iter().map(left_out).sum()
    }

    fn inputs<'a, T: Real>(&self, nodes: &[Node<T>], values: &'a [T]) -> [View<'a, T>; N] {
        self.operands.map(|o| nodes[o].matrix(&values[nodes[o].value.clone()]))
    }

    /// Returns views of the operands' values, and a mutable view of the output's value.
    fn inputs_and_output<'a, T: Real>(
        &self,
        nodes: &[Node<T>],
        values: &'a mut [T],
    ) -> ([View<'a, T>; N], ViewMut<'a, T>) {
        let output = &nodes[self.output];
        let (before, rest) = values.split_at_mut(output.value.start);
        let (y, after) = rest.split_at_mut(output.shape.len());
        let (before, after) = (&*before, &*after);
        let inputs = self.operands.map(|o| {
            let Range { start, end } = nodes[o].value;
            let elements = match start.checked_sub(output.value.end) {
                Some(start) => &after[start..end - output.value.end],
                None => &before[start..end],
            };
            nodes[o].matrix(elements)
        });
        (inputs, output.matrix_mut(y))
    }

    /// Splits the gradients of this operation's output and operands out of the buffer, from left to right, and those
    /// that are written aside out of `aside`.
    fn gradients<'a, T: Real>(
        &self,
        nodes: &[Node<T>],
        gradients: &'a mut [T],
        fresh: Fresh<'_>,
        mut aside: &'a mut [T],
    ) -> (View<'a, T>, [Gradient<'a, T>; N]) {
        let wanted = self.wanted(nodes);
        let fresh = self.fresh(nodes, gradients, fresh);
        let mut dx = std::array::from_fn(|_| ViewMut::from_slice(&mut [], 0, 0));
        for k in (0..N).filter(|&k| self.aside[k]) {
            let shape = nodes[self.operands[k]].shape;
            let (piece, rest) = aside.split_at_mut(shape.len());
            dx[k] = ViewMut::from_slice(piece, shape.rows, shape.columns);
            aside = rest;
        }
        let output = &nodes[self.output];
        let mut dy: &[T] = &[];
        let (mut rest, mut passed) = (gradients, 0);
        for _ in 0..=N {
            // The leftmost range that was not yet taken: the output's, or that of all operands of one root.
            let roots = self.operands.iter().map(|&o| nodes[o].root(o));
            let next = roots.chain([self.output]).filter(|&i| {
                let gradient = &nodes[i].gradient;
                gradient.start >= passed && !gradient.is_empty()
            });
            let Some(root) = next.min_by_key(|&i| (nodes[i].gradient.start, nodes[i].gradient.end))
            else {
                break;
            };
            let range = nodes[root].gradient.clone();
            let (piece, right) = rest.split_at_mut(range.end - passed);
            let piece = &mut piece[range.start - passed..];
            (rest, passed) = (right, range.end);
            if root == self.output {
                dy = piece;
            } else {
                self.cut_rows(nodes, root, piece, &mut dx);
            }
        }
        let mut kinds = wanted.into_iter().zip(fresh);
        let dx = dx.map(|dx| match kinds.next() {
            Some((true, true)) => Gradient::fresh(dx),
            Some((true, false)) => Gradient::new(dx),
            _ => Gradient::unwanted(),
        });
        (output.matrix(dy), dx)
    }

    /// Splits the gradients of the operands that are rows of `root` out of its gradient, from top to bottom.
    fn cut_rows<'a, T: Real>(
        &self,
        nodes: &[Node<T>],
        root: usize,
        gradient: &'a mut [T],
        dx: &mut [ViewMut<'a, T>; N],
    ) {
        let (mut below, mut passed) = (nodes[root].matrix_mut(gradient), 0);
        for _ in 0..N {
            let next = (0..N)
                .filter(|&k| {
                    !self.aside[k] && nodes[self.operands[k]].root(self.operands[k]) == root
                })
                .map(|k| (nodes[self.operands[k]].rows(), k))
                .filter(|(rows, _)| rows.start >= passed)
                .min_by_key(|(rows, _)| rows.start);
            let Some((rows, k)) = next else { break };
            let (_, rest) = split_rows(below, rows.start - passed);
            (dx[k], below) = split_rows(rest, rows.len());
            passed = rows.end;
        }
    }

    /// Adds the gradients that were written aside to those of their operands.
    fn add_aside<T: Real>(&self, nodes: &[Node<T>], gradients: &mut [T], mut aside: &[T]) {
        for k in (0..N).filter(|&k| self.aside[k]) {
            let node = &nodes[self.operands[k]];
            let (piece, rest) = aside.split_at(node.shape.len());
            aside = rest;
            if node.gradient.is_empty() {
                continue;
            }
            let mut dx = node.matrix_mut(&mut gradients[node.gradient.clone()]);
            for (mut dx, piece) in dx.column_iter_mut().zip(piece.chunks(node.shape.rows)) {
                dx.as_mut_slice().iter_mut().zip(piece).for_each(|(x, &y)| *x += y);
            }
        }
    }
}
