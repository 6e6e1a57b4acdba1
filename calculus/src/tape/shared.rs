//! Frozen matrices that recordings share as bfloat16.
//!
//! A tape does not hold the scalars of such a matrix. It has one region, as large as the largest of them, in which it widens a
//! matrix before an operation that reads it, unless the matrix is the one that is there. bfloat16 is the upper half of an `f32`,
//! so that the widened numbers are exact, and every bit of a replay is that of a recording which holds them.
//!
//! Reading such a matrix from outside ([`Tape::value`], [`Tape::elements`]) widens all of it; the copy is kept until the next
//! forward replay. [`Tape::weight`] keeps none. Writing it ([`Tape::value_mut`], [`Tape::set`]) gives the tape a matrix of its
//! own in place of the shared one.

use super::plan::Plan;
use super::{Node, Tape};
use crate::Var;
use linalg::{Real, half::bf16_to_f32};
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::OnceLock;

/// A shared matrix of a tape.
pub(super) struct Shared<T> {
    pub(super) node: usize,
    /// The scalars, if they were written: they then take the place of the shared ones.
    own: Option<Box<[T]>>,
    /// The widened scalars, if they were read since the last replay.
    read: OnceLock<Box<[T]>>,
}

/// Returns the elements of a view that belong to `node`, within those of its root.
fn within<T>(node: &Node<T>, root: &Node<T>) -> std::ops::Range<usize> {
    let start = node.value.start - root.value.start;
    start..start + node.value.len()
}

/// Numbers the matrices that a recording shares: none if every value stays readable with its gradient, and only one among the
/// operands of an operation, for they are widened in one place.
pub(super) fn number<T: Real>(nodes: &mut [Node<T>], plan: Plan) {
    let mut shares: Vec<bool> =
        nodes.iter().map(|n| plan != Plan::Keep && n.halves.is_some()).collect();
    for i in 0..nodes.len() {
        let mut first = None;
        for &operand in nodes[i].operands() {
            let root = nodes[operand].root(operand);
            if shares[root] && *first.get_or_insert(root) != root {
                shares[root] = false;
            }
        }
    }
    let mut numbers = 0..;
    for (node, shares) in nodes.iter_mut().zip(shares) {
        node.shared = if shares { numbers.next() } else { None };
    }
}

/// Returns the shared matrices of a recording.
pub(super) fn matrices<T: Real>(nodes: &[Node<T>]) -> Vec<Shared<T>> {
    let shared = (0..nodes.len()).filter(|&node| nodes[node].shared.is_some());
    shared.map(|node| Shared { node, own: None, read: OnceLock::new() }).collect()
}

/// Widens a matrix, exactly.
pub(super) fn widen<T: Real>(halves: &[u16], to: &mut [T]) {
    /// Elements of a piece.
    const PIECE: usize = 1 << 14;
    to.par_chunks_mut(PIECE).zip(halves.par_chunks(PIECE)).for_each(|(to, halves)| {
        T::simd(
            #[inline(always)]
            || {
                for (x, &half) in to.iter_mut().zip(halves) {
                    *x = T::from_f64(f64::from(bf16_to_f32(half)));
                }
            },
        );
    });
}

/// Widens the matrices that a recording holds itself, and lets go of what they came from.
pub(super) fn copy<T: Real>(nodes: &mut [Node<T>], values: &mut [T]) {
    for node in nodes.iter_mut().filter(|node| node.shared.is_none()) {
        if let Some(halves) = node.halves.take() {
            widen(&halves, &mut values[node.value.clone()]);
        }
    }
}

fn widened<T: Real>(halves: &[u16]) -> Box<[T]> {
    let mut all = vec![T::zero(); halves.len()].into_boxed_slice();
    widen(halves, &mut all);
    all
}

impl<T: Real> Tape<T> {
    /// Widens the shared matrix that an operation reads, forward or in its `vjp`, if it is not there.
    pub(super) fn load(&mut self, node: usize, vjp: bool) {
        if self.shared.is_empty() {
            return;
        }
        let nodes = &self.nodes;
        let read = |&(k, _): &(usize, &usize)| !vjp || nodes[node].reads_operand(k);
        let operands = nodes[node].operands().iter().enumerate().filter(read);
        let needed = operands.filter_map(|(_, &o)| nodes[nodes[o].root(o)].shared).next();
        let Some(needed) = needed.filter(|_| needed != self.loaded) else { return };
        let shared = &self.shared[needed];
        let matrix = &nodes[shared.node];
        let region = &mut self.values[matrix.value.clone()];
        match (&shared.own, &matrix.halves) {
            (Some(own), _) => region.copy_from_slice(own),
            (None, Some(halves)) => widen(halves, region),
            (None, None) => unreachable!("a shared matrix has values"),
        }
        self.loaded = Some(needed);
    }

    /// Forgets the matrices that were widened to be read.
    pub(super) fn forget_read(&mut self) {
        for shared in &mut self.shared {
            shared.read.take();
        }
    }

    /// Returns the elements of a node, from the first to the last of a view.
    pub(super) fn stored(&self, node: usize) -> &[T] {
        let own = &self.nodes[node];
        let root = &self.nodes[own.root(node)];
        let Some(shared) = root.shared.map(|i| &self.shared[i]) else {
            return &self.values[own.value.clone()];
        };
        let all = match (&shared.own, &root.halves) {
            (Some(written), _) => written,
            (None, halves) => {
                shared.read.get_or_init(|| widened(halves.as_deref().unwrap_or_default()))
            }
        };
        &all[within(own, root)]
    }

    /// Like [`Tape::stored`], mutably.
    pub(super) fn stored_mut(&mut self, node: usize) -> &mut [T] {
        let own = &self.nodes[node];
        let root = &self.nodes[own.root(node)];
        let Some(i) = root.shared else { return &mut self.values[own.value.clone()] };
        self.loaded = self.loaded.filter(|&loaded| loaded != i);
        let shared = &mut self.shared[i];
        shared.read.take();
        let halves = root.halves.as_deref().unwrap_or_default();
        &mut shared.own.get_or_insert_with(|| widened(halves))[within(own, root)]
    }

    /// Returns the elements of a matrix of weights. Unlike [`Tape::elements`], it keeps no copy of a frozen matrix that is shared
    /// ([`crate::Recorder::share`]).
    ///
    /// # Panics
    /// Like [`Tape::elements`].
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert_eq!(tape.weight(w)[..], [3.0]);
    /// ```
    pub fn weight(&self, var: Var) -> Cow<'_, [T]> {
        let node = self.node(var);
        let own = &self.nodes[node];
        let shared = own.shared.map(|i| &self.shared[i]);
        match (shared, &own.halves) {
            (Some(Shared { own: None, .. }), Some(halves)) => {
                Cow::Owned(widened(halves).into_vec())
            }
            _ => Cow::Borrowed(self.elements(var)),
        }
    }

    /// Returns the frozen weights, in recording order ([`crate::Recorder::frozen`]); a copy if some are shared
    /// ([`crate::Recorder::share`]).
    ///
    /// ```
    /// # let (mut tape, [w, x, y]) = calculus::example::product();
    /// assert!(tape.frozen().is_empty()); // w is learned
    /// ```
    pub fn frozen(&self) -> Cow<'_, [T]> {
        if self.shared.is_empty() {
            return Cow::Borrowed(&self.values[self.parameters..self.parameters + self.frozen]);
        }
        let frozen = self.nodes.iter().enumerate().filter(|(_, node)| node.is_frozen());
        Cow::Owned(frozen.flat_map(|(i, _)| self.weight(self.var(i)).into_owned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Recorder, Tape, Var};
    use linalg::{Shape, add::Add, half::f32_to_bf16, product::Product};
    use std::sync::Arc;

    fn halves<const N: usize>(x: [f32; N]) -> Option<Arc<[u16]>> {
        Some(x.map(f32_to_bf16).into())
    }

    /// z = v·(w·x), with w and v shared, and their handles.
    fn chain(finish: impl Fn(Recorder<f32>) -> Tape<f32>) -> (Tape<f32>, [Var; 3]) {
        let mut r = Recorder::<f32>::new();
        let x = r.input("x", Shape::new(2, 1)).unwrap();
        let w = r.frozen("w", Shape::new(2, 2)).unwrap();
        let v = r.frozen("v", Shape::new(1, 2)).unwrap();
        let y = r.push("y", Product::plain(), [w, x]).unwrap();
        let z = r.push("z", Product::plain(), [v, y]).unwrap();
        r.share([halves([1.0, 2.0, 3.0, 4.0]), halves([0.5, -1.0])]);
        let mut tape = finish(r);
        tape.set(x, &[1.0, 10.0]);
        (tape, [w, v, z])
    }

    #[test]
    fn what_is_written_is_what_the_next_operation_reads() {
        let (mut tape, [w, v, z]) = chain(Recorder::finish_forward_only);
        tape.forward();
        assert_eq!(tape.elements(z), [0.5 * 31.0 - 42.0]);
        // v is the one that is there.
        tape.set(v, &[2.0, 0.0]);
        tape.forward_one(z);
        assert_eq!((tape.elements(z), tape.elements(v)), (&[62.0][..], &[2.0, 0.0][..]));
        tape.matrix_mut(w)[(0, 0)] = 101.0;
        tape.forward();
        assert_eq!(
            (tape.elements(z), &tape.weight(w)[..]),
            (&[262.0][..], &[101.0, 2.0, 3.0, 4.0][..])
        );
        assert_eq!(tape.frozen()[..], [101.0, 2.0, 3.0, 4.0, 2.0, 0.0]);
        tape.copy(w, 1..3, v, 0);
        assert_eq!(tape.elements(v), [2.0, 3.0]);
    }

    #[test]
    fn a_recording_that_keeps_all_holds_them_itself() {
        let (mut kept, [.., z]) = chain(Recorder::finish);
        let (mut shared, _) = chain(Recorder::finish_forward_only);
        kept.forward();
        shared.forward();
        assert_eq!((kept.memory().shared, kept.memory().frozen), (0, 6 * 4));
        // One place, for the larger of the two.
        assert_eq!((shared.memory().shared, shared.memory().frozen), (6 * 2, 0));
        assert_eq!(kept.name(z), "z");
        let z = [&kept, &shared].map(|tape| tape.elements(tape.find("z").unwrap())[0]);
        assert_eq!(z, [-26.5; 2]);
    }

    /// Two matrices in one operation cannot be in one place: the second is copied.
    #[test]
    fn two_of_one_operation() {
        let mut r = Recorder::<f32>::new();
        let [a, b] = ["a", "b"].map(|name| r.frozen(name, Shape::new(1, 2)).unwrap());
        let c = r.push("c", Add, [a, b]).unwrap();
        r.share([halves([1.0, 2.0]), halves([10.0, 20.0])]);
        let bytes = r.bytes_forward_only();
        let mut tape = r.finish_forward_only();
        tape.forward();
        assert_eq!(
            (tape.elements(c), tape.memory().shared, tape.memory().frozen),
            (&[11.0, 22.0][..], 4, 8)
        );
        assert!(bytes <= 6 * 4);
    }

    #[test]
    #[should_panic(expected = "w: one number per element")]
    fn values_of_another_shape_are_refused() {
        let mut r = Recorder::<f32>::new();
        r.frozen("w", Shape::new(2, 2)).unwrap();
        r.share([halves([1.0; 3])]);
    }
}
