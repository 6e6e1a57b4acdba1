//! Memory planning: the place of each value and gradient of a recording, and the time during which it is in use.
//!
//! A recording is static, so the times of the write and of the last read of every value are known in advance. In a
//! training step, a value's memory is reused after its last read. Time is an integer: operation i runs forward at i and
//! backward at 2n − i.

use crate::tape::{Node, Within, shared};
use linalg::Real;
use std::collections::BTreeSet;
use std::ops::Range;

/// The purpose of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Every value and every gradient stays readable.
    Keep,
    /// Every value stays readable; there are no gradients.
    ForwardOnly,
    /// There are no gradients, and memory is reused after its last read; parameters, inputs and the nodes that are
    /// marked as outputs are kept.
    Outputs,
    /// Memory is reused after its last read; parameters, their gradients, inputs and the loss are kept.
    Reuse {
        /// The node of the loss.
        loss: usize,
        /// The values that are computed again for the backward replay.
        recompute: Recompute,
    },
}

/// The values that a training step computes again in its backward replay, instead of keeping them from the forward replay: less
/// memory, more operations, the same bits.
///
/// ```
/// use calculus::Recompute;
/// assert_eq!(Recompute::default(), Recompute { cheap: false, segments: 0 }); // nothing
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recompute {
    /// Whether they include cheap values ([`Primitive::is_cheap`](linalg::Primitive::is_cheap)).
    pub cheap: bool,
    /// The number of segments ([`Recorder::segment`](crate::Recorder::segment)) of which they include all values but those
    /// that an operation outside of the segment reads. They are the first segments that take part in the backward replay,
    /// because it needs their values last.
    pub segments: usize,
}

impl Recompute {
    /// Only cheap values.
    pub const CHEAP: Recompute = Recompute { cheap: true, segments: 0 };
}

/// The result of a plan.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// The number of scalars to allocate.
    pub(crate) values: usize,
    pub(crate) gradients: usize,
    pub(crate) kept: usize,
    /// The place in which shared matrices are widened.
    pub(crate) region: Range<usize>,
    /// For every node, the operands (or their roots, if they are views) whose gradients it is the first to add to,
    /// which must be zero before.
    pub(crate) fresh: Vec<Vec<usize>>,
    /// For every node, the parameters among them.
    pub(crate) first: Vec<Vec<usize>>,
    /// For every node, the values to be recomputed before its vjp runs, in order.
    pub(crate) again: Vec<Vec<usize>>,
    /// For every node, the scalars in use between the forward and the backward replay, in a plan that reuses memory.
    pub(crate) held: Vec<usize>,
}

/// Blocks begin at multiples of this many scalars: a cache line of `f32`.
const LINE: usize = 16;

/// Memory of `length` scalars, in use from the first to the last time of each span.
struct Block {
    length: usize,
    spans: Vec<(usize, usize)>,
}

impl Block {
    /// Returns its length if it is in use at a time, else 0.
    fn length_at(&self, time: usize) -> usize {
        let used = self.spans.iter().any(|&(first, last)| first <= time && time <= last);
        if used { self.length } else { 0 }
    }

    fn meets(&self, other: &Block) -> bool {
        let overlap = |a: &(usize, usize), b: &(usize, usize)| a.0 <= b.1 && b.0 <= a.1;
        self.spans.iter().any(|a| other.spans.iter().any(|b| overlap(a, b)))
    }
}

/// Places the blocks so that no two that are in use at the same time overlap: the largest first, each as low as
/// possible. Returns the places and the total length.
fn place(blocks: &[Block]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(blocks[i].length));
    let mut places = vec![0; blocks.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(blocks.len());
    let mut length = 0;
    for i in order {
        let block = &blocks[i];
        let mut taken: Vec<Range<usize>> = placed
            .iter()
            .filter(|&&j| block.meets(&blocks[j]))
            .map(|&j| places[j]..places[j] + blocks[j].length)
            .collect();
        taken.sort_by_key(|range| range.start);
        let mut start = 0;
        for range in taken {
            if range.start >= start + block.length {
                break;
            }
            start = start.max(range.end.next_multiple_of(LINE));
        }
        places[i] = start;
        length = length.max(start + block.length);
        placed.push(i);
    }
    (places, length)
}

/// Marks the nodes that the loss depends on and whose gradients are wanted ([`Node::is_wanted`]).
pub(crate) fn reached<T: Real>(
    nodes: &[Node<T>],
    loss: usize,
    training: bool,
    reached: &mut [bool],
) {
    reached.fill(false);
    reached[loss] = nodes[loss].is_wanted(training);
    for i in (0..=loss).rev().filter(|&i| nodes[i].rule.is_some()) {
        if reached[i] {
            let operands = nodes[i].operands().iter();
            operands.for_each(|&o| reached[o] = nodes[o].is_wanted(training));
        }
    }
}

/// Returns the segments of which something takes part in the backward replay, in order.
pub(crate) fn segments<T: Real>(nodes: &[Node<T>], takes_part: &[bool]) -> Vec<usize> {
    let computed = nodes.iter().zip(takes_part).filter(|(n, part)| **part && n.rule.is_some());
    computed.filter_map(|(node, _)| node.segment).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Marks the values that may be computed again.
fn chosen<T: Real>(
    nodes: &[Node<T>],
    recompute: Recompute,
    takes_part: &[bool],
    roots: &[usize],
) -> Vec<bool> {
    let mut segments = segments(nodes, takes_part);
    segments.truncate(recompute.segments);
    let within = |node: &Node<T>| node.segment.is_some_and(|s| segments.binary_search(&s).is_ok());
    let mut chosen: Vec<bool> = nodes
        .iter()
        .map(|node| node.rule.is_some() && (within(node) || recompute.cheap && node.is_cheap()))
        .collect();
    // What leaves a segment is kept, also if it is cheap: the next segment begins with it, and to compute it again would be
    // to compute its segment at that time, and with that the one before.
    for reader in nodes.iter().filter(|node| node.view.is_none()) {
        for root in reader.operands().iter().map(|&o| roots[o]) {
            if within(&nodes[root]) && nodes[root].segment != reader.segment {
                chosen[root] = false;
            }
        }
    }
    chosen
}

/// Assigns the places of all nodes.
pub(crate) fn lay_out<T: Real>(nodes: &mut [Node<T>], plan: Plan) -> Layout {
    let n = nodes.len();
    shared::number(nodes, plan);
    let mut layout = Layout {
        fresh: vec![vec![]; n],
        first: vec![vec![]; n],
        again: vec![vec![]; n],
        ..Layout::default()
    };
    let (parameters, frozen) = lay_out_weights(nodes);
    (layout.values, layout.gradients) = (parameters + frozen, parameters);
    match plan {
        Plan::Keep | Plan::ForwardOnly => {
            for node in nodes.iter_mut() {
                if !node.source.is_weight() && node.view.is_none() {
                    node.value = layout.values..layout.values + node.shape.len();
                    layout.values = node.value.end;
                    node.gradient = node.value.start - frozen..node.value.end - frozen;
                }
                node.kept = layout.kept..layout.kept + node.memory.kept;
                layout.kept = node.kept.end;
            }
            layout.gradients = layout.values - frozen;
            if plan == Plan::ForwardOnly {
                layout.gradients = 0;
                nodes.iter_mut().for_each(|node| node.gradient = 0..0);
            }
        }
        Plan::Outputs => reuse_forward(nodes, &mut layout),
        Plan::Reuse { loss, recompute } => reuse(nodes, loss, recompute, &mut layout),
    }
    lay_out_shared(nodes, &mut layout);
    for i in 0..n {
        lay_out_view(nodes, i);
    }
    layout
}

/// Places a view in its root, from its first element to its last.
pub(super) fn lay_out_view<T: Real>(nodes: &mut [Node<T>], view: usize) {
    let Some(Within { root, row }) = nodes[view].view else { return };
    let (shape, stride) = (nodes[view].shape, nodes[view].stride);
    let length = (shape.columns - 1) * stride + shape.rows;
    let within = |root: &Range<usize>| {
        let start = root.start + row;
        if root.is_empty() { 0..0 } else { start..start + length }
    };
    let (value, gradient) = (within(&nodes[root].value), within(&nodes[root].gradient));
    (nodes[view].value, nodes[view].gradient) = (value, gradient);
}

/// Places the parameters at the beginning, in order, and then the frozen weights that are not shared, which have no gradient.
/// Returns both lengths.
fn lay_out_weights<T: Real>(nodes: &mut [Node<T>]) -> (usize, usize) {
    let mut length = 0;
    for node in nodes.iter_mut().filter(|node| node.is_parameter()) {
        node.value = length..length + node.shape.len();
        node.gradient = node.value.clone();
        length = node.value.end;
    }
    let parameters = length;
    let own = |node: &&mut Node<T>| node.is_frozen() && node.shared.is_none();
    for node in nodes.iter_mut().filter(own) {
        node.value = length..length + node.shape.len();
        length = node.value.end;
    }
    (parameters, length - parameters)
}

/// Places all shared matrices at the end, each at the beginning of one region.
fn lay_out_shared<T: Real>(nodes: &mut [Node<T>], layout: &mut Layout) {
    let shared = || nodes.iter().filter(|node| node.shared.is_some());
    let Some(largest) = shared().map(|node| node.shape.len()).max() else { return };
    let start = layout.values.next_multiple_of(LINE);
    layout.region = start..start + largest;
    layout.values = layout.region.end;
    for node in nodes.iter_mut().filter(|node| node.shared.is_some()) {
        node.value = start..start + node.shape.len();
    }
}

/// Places values that are read by the forward replay only.
fn reuse_forward<T: Real>(nodes: &mut [Node<T>], layout: &mut Layout) {
    let n = nodes.len();
    let roots: Vec<usize> = nodes.iter().enumerate().map(|(i, node)| node.root(i)).collect();
    let mut last_read: Vec<usize> = (0..n).collect();
    let mut always: Vec<bool> = nodes.iter().map(|node| node.rule.is_none()).collect();
    for (i, node) in nodes.iter().enumerate() {
        always[roots[i]] |= node.output;
        node.operands().iter().for_each(|&o| last_read[roots[o]] = i);
    }
    let (mut values, mut kept) = (Vec::new(), Vec::new());
    for (i, node) in nodes.iter().enumerate() {
        let none = node.source.is_weight() || node.view.is_some();
        let length = if none { 0 } else { node.shape.len() };
        let span = if always[i] { (0, n) } else { (i, last_read[i]) };
        values.push(Block { length, spans: vec![span] });
        kept.push(Block { length: node.memory.kept, spans: vec![(i, i)] });
    }
    let (value_places, value_length) = place(&values);
    let (kept_places, kept_length) = place(&kept);
    let first = layout.values.next_multiple_of(LINE);
    for (i, node) in nodes.iter_mut().enumerate() {
        node.kept = kept_places[i]..kept_places[i] + kept[i].length;
        node.gradient = 0..0;
        if !node.source.is_weight() {
            let start = first + value_places[i];
            node.value = start..start + values[i].length;
        }
    }
    (layout.values, layout.gradients, layout.kept) = (first + value_length, 0, kept_length);
}

fn reuse<T: Real>(nodes: &mut [Node<T>], loss: usize, recompute: Recompute, layout: &mut Layout) {
    let n = nodes.len();
    let backward = |i: usize| 2 * n - i;
    let mut takes_part = vec![false; n];
    reached(nodes, loss, true, &mut takes_part);
    // Reads and writes of a view count for its root; a view itself runs no operation and has no memory.
    let roots: Vec<usize> = nodes.iter().enumerate().map(|(i, node)| node.root(i)).collect();
    let (start, loss) = (loss, roots[loss]);

    // The reads of a value: the last forward, and the first and last vjp (in time).
    let mut read_forward: Vec<usize> = (0..n).collect();
    let mut read_backward: Vec<Option<(usize, usize)>> = vec![None; n];
    let mut last_consumer: Vec<Option<usize>> = vec![None; n];
    let note = |spans: &mut Vec<Option<(usize, usize)>>, value: usize, reader: usize| {
        let moment = backward(reader);
        let (first, last) = spans[value].unwrap_or((moment, moment));
        spans[value] = Some((first.min(moment), last.max(moment)));
    };
    for i in (0..n).filter(|&i| nodes[i].view.is_none()) {
        let node = &nodes[i];
        for (k, &o) in node.operands().iter().enumerate() {
            let o = roots[o];
            read_forward[o] = i;
            if takes_part[i] {
                last_consumer[o] = Some(i);
                if node.reads_operand(k) {
                    note(&mut read_backward, o, i);
                }
            }
        }
        if takes_part[i] && node.reads_output() {
            note(&mut read_backward, i, i);
        }
    }
    // A recomputed value needs its operands at that time. Operands come before: one pass from the end. What the loss's own vjp
    // reads stays: its forward and vjp may be one call.
    let chosen = chosen(nodes, recompute, &takes_part, &roots);
    for i in (0..n).rev() {
        if let Some((first, _)) = read_backward[i]
            && chosen[i]
            && i != loss
            && first != backward(loss)
        {
            let reader = 2 * n - first;
            layout.again[reader].push(i);
            for &o in nodes[i].operands() {
                note(&mut read_backward, roots[o], reader);
            }
        }
    }
    let mut recomputed = vec![false; n];
    for again in &mut layout.again {
        again.reverse();
        again.iter().for_each(|&i| recomputed[i] = true);
    }

    let always = || vec![(0, 2 * n)];
    let (mut values, mut kept, mut gradients) = (Vec::new(), Vec::new(), Vec::new());
    for (i, node) in nodes.iter().enumerate() {
        let spans = match read_backward[i] {
            _ if node.rule.is_none() || i == loss => always(),
            None => vec![(i, read_forward[i])],
            Some((first, last)) if recomputed[i] => vec![(i, read_forward[i]), (first, last)],
            Some((_, last)) => vec![(i, last.max(read_forward[i]))],
        };
        let none = node.source.is_weight() || node.view.is_some();
        let length = if none { 0 } else { node.shape.len() };
        values.push(Block { length, spans });
        let spans = match read_backward[i] {
            Some((first, _)) if recomputed[i] => vec![(i, i), (first, backward(i))],
            _ if takes_part[i] => vec![(i, backward(i))],
            _ => vec![(i, i)],
        };
        kept.push(Block { length: node.memory.kept, spans });
        let first = if i == loss { Some(start) } else { last_consumer[i] };
        let length = if takes_part[i] { length } else { 0 };
        let spans = first.map_or(vec![], |first| vec![(backward(first), backward(i))]);
        gradients.push(Block { length, spans });
        if let Some(consumer) = last_consumer[i]
            && i != loss
            && takes_part[i]
        {
            let list = if node.is_parameter() { &mut layout.first } else { &mut layout.fresh };
            list[consumer].push(i);
        }
    }
    // Forward ends before time n, and backward begins after it.
    layout.held = values.iter().zip(&kept).map(|(v, k)| v.length_at(n) + k.length_at(n)).collect();
    let (value_places, value_length) = place(&values);
    let (kept_places, kept_length) = place(&kept);
    let (gradient_places, gradient_length) = place(&gradients);
    let first_value = layout.values.next_multiple_of(LINE);
    let first_gradient = layout.gradients.next_multiple_of(LINE);
    for (i, node) in nodes.iter_mut().enumerate() {
        node.kept = kept_places[i]..kept_places[i] + kept[i].length;
        if !node.source.is_weight() {
            let start = first_value + value_places[i];
            node.value = start..start + values[i].length;
            let start = first_gradient + gradient_places[i];
            node.gradient = start..start + gradients[i].length;
        }
    }
    layout.values = first_value + value_length;
    layout.gradients = first_gradient + gradient_length;
    layout.kept = kept_length;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_in_use_at_one_moment_share_nothing(
            spans in prop::collection::vec((1usize..200, 0usize..30, 0usize..10), 1..40),
        ) {
            let block = |&(length, start, more): &(usize, usize, usize)| {
                Block { length, spans: vec![(start, start + more)] }
            };
            let blocks: Vec<Block> = spans.iter().map(block).collect();
            let (places, length) = place(&blocks);
            for i in 0..blocks.len() {
                prop_assert!(places[i] + blocks[i].length <= length);
                for j in 0..i {
                    let apart = places[i] + blocks[i].length <= places[j]
                        || places[j] + blocks[j].length <= places[i];
                    prop_assert!(apart || !blocks[i].meets(&blocks[j]));
                }
            }
        }
    }

    #[test]
    fn memory_is_used_again() {
        let block = |start, end| Block { length: 10, spans: vec![(start, end)] };
        let chain: Vec<Block> = (0..50).map(|i| block(i, i + 1)).collect();
        assert_eq!(place(&chain).1, 26); // two at a time, on lines of 16
    }
}
