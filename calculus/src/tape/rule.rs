//! One operation of a recording, and how it finds its numbers.
//!
//! Values lie in one buffer and gradients in another. An operation reads some pieces and writes others, all
//! disjoint but for operands that occur twice:
//!
//! ```text
//! forward    values     │ … │ x₁ │ … │ y │ … │ x₂ │ …      reads x₁, x₂; writes y
//! backward   gradients  │ … │ dx₁│ … │dy │ … │ dx₂│ …      reads dy; adds to dx₁, dx₂
//! ```
//!
//! What depends on the number of operands alone stands in [`Places`], so that it is compiled once for that
//! number and not once for every operation.

use super::{Node, view};
use crate::plan::Layout;
use linalg::{Formula, Primitive, Real, Role, Shape, View, ViewMut, Work};
use std::ops::Range;

/// A primitive with its places in the recording; what the tape replays.
pub(crate) trait Rule<T>: Send + Sync {
    fn name(&self) -> &'static str;
    fn branch(&self) -> &'static str;
    fn role(&self) -> Role;
    fn operands(&self) -> &[usize];
    fn flops(&self, nodes: &[Node<T>]) -> u64;
    fn formula(&self, nodes: &[Node<T>], values: &[T]) -> Formula;
    fn vjp_flops(&self, nodes: &[Node<T>]) -> u64;
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

/// The operands whose gradients an operation is the first to add to, and may write.
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

/// An operation and where its operands and its output stand.
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

    fn operands(&self) -> &[usize] {
        &self.places.operands
    }

    fn flops(&self, nodes: &[Node<T>]) -> u64 {
        self.operation.flops(self.places.shapes(nodes))
    }

    fn formula(&self, nodes: &[Node<T>], values: &[T]) -> Formula {
        self.operation.formula(self.places.inputs(nodes, values))
    }

    fn vjp_flops(&self, nodes: &[Node<T>]) -> u64 {
        self.operation.vjp_flops(self.places.shapes(nodes))
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
        let y = view(&values[output.value.clone()], output.shape);
        let (mut found, work) = places.gradients(nodes, gradients, work);
        let (dy, dx) = found.views(places, nodes);
        self.operation.vjp_into(inputs, y, dy, dx, places.fresh(fresh), work);
        found.add_repeated(places);
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
        let (mut found, work) = places.gradients(nodes, gradients, work);
        let (dy, dx) = found.views(places, nodes);
        self.operation.forward_and_vjp(inputs, y, dy, dx, places.fresh(fresh), work);
        found.add_repeated(places);
    }
}

/// The numbers of an operation's operands and of its output, among all nodes.
pub(crate) struct Places<const N: usize> {
    pub(crate) operands: [usize; N],
    pub(crate) output: usize,
}

impl<const N: usize> Places<N> {
    /// Whether operand `i` occurred before, in the same operation.
    fn repeats(&self, i: usize) -> bool {
        self.operands[..i].contains(&self.operands[i])
    }

    /// The operands that occurred before.
    pub(crate) fn repeated(&self) -> impl Iterator<Item = usize> {
        (0..N).filter(|&i| self.repeats(i))
    }

    /// Which operands' gradients are fresh. The second gradient of an operand that occurs twice lies
    /// aside, set to zero, and is added afterwards.
    fn fresh(&self, fresh: Fresh<'_>) -> [bool; N] {
        std::array::from_fn(|k| {
            let operand = &self.operands[k];
            let first = fresh.values.contains(operand) || fresh.parameters.contains(operand);
            first && !self.repeats(k)
        })
    }

    fn shapes<T>(&self, nodes: &[Node<T>]) -> [Shape; N] {
        self.operands.map(|o| nodes[o].shape)
    }

    fn inputs<'a, T: Real>(&self, nodes: &[Node<T>], values: &'a [T]) -> [View<'a, T>; N] {
        self.operands.map(|o| view(&values[nodes[o].value.clone()], nodes[o].shape))
    }

    /// Views of the operands' values, and of the output's to be written.
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
            view(elements, nodes[o].shape)
        });
        (inputs, ViewMut::from_slice(y, output.shape.rows, output.shape.columns))
    }

    /// Cuts the pieces of this operation out of the buffer of gradients, from left to right. An operand that
    /// occurs twice collects its second gradient in scratch memory; what is left of that is the rule's.
    fn gradients<'a, T: Real>(
        &self,
        nodes: &[Node<T>],
        gradients: &'a mut [T],
        work: Work<'a, T>,
    ) -> (Gradients<'a, T, N>, Work<'a, T>) {
        let output = &nodes[self.output];
        let mut scratch = work.scratch;
        let mut dx: [Option<&mut [T]>; N] = std::array::from_fn(|_| None);
        for i in self.repeated() {
            let (piece, rest) = scratch.split_at_mut(nodes[self.operands[i]].shape.len());
            piece.fill(T::zero());
            dx[i] = Some(piece);
            scratch = rest;
        }
        let mut dy: &mut [T] = &mut [];
        let (mut rest, mut passed) = (gradients, 0);
        for _ in 0..=N {
            // The leftmost piece that was not yet taken.
            let next = (0..N)
                .filter(|&i| dx[i].is_none())
                .map(|i| (nodes[self.operands[i]].gradient.clone(), Some(i)))
                .chain((output.gradient.start >= passed).then_some((output.gradient.clone(), None)))
                .filter(|(range, _)| range.start >= passed)
                .min_by_key(|(range, _)| (range.start, range.end));
            let Some((range, operand)) = next else { break };
            let (piece, right) = rest.split_at_mut(range.end - passed);
            let piece = &mut piece[range.start - passed..];
            (rest, passed) = (right, range.end);
            match operand {
                Some(i) => dx[i] = Some(piece),
                None => dy = piece,
            }
        }
        let dx = dx.map(Option::unwrap_or_default);
        (Gradients { dy, dx }, Work { kept: work.kept, scratch })
    }
}

/// The gradient of an operation's output, and those of its operands.
struct Gradients<'a, T, const N: usize> {
    dy: &'a [T],
    dx: [&'a mut [T]; N],
}

impl<T: Real, const N: usize> Gradients<'_, T, N> {
    fn views(
        &mut self,
        places: &Places<N>,
        nodes: &[Node<T>],
    ) -> (View<'_, T>, [ViewMut<'_, T>; N]) {
        let mut operands = places.operands.iter();
        let dx = self.dx.each_mut().map(|dx| {
            let shape = operands.next().map_or(Shape::new(0, 0), |&o| nodes[o].shape);
            ViewMut::from_slice(dx, shape.rows, shape.columns)
        });
        (view(self.dy, nodes[places.output].shape), dx)
    }

    /// Adds what lies aside to the first gradient of the same operand.
    fn add_repeated(&mut self, places: &Places<N>) {
        for i in places.repeated() {
            let first = (0..i).find(|&j| places.operands[j] == places.operands[i]);
            if let Some(first) = first
                && let Ok([first, second]) = self.dx.get_disjoint_mut([first, i])
            {
                first.iter_mut().zip(second.iter()).for_each(|(x, &y)| *x += y);
            }
        }
    }
}
