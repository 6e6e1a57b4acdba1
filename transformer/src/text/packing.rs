//! Conversations packed into windows, each kept apart from the others.
//!
//! A conversation of n tokens takes n places of a window, for its tokens that are read; the target of a place is the next
//! token if that is an answer's, else nothing is predicted. Several stand in a window one after another, and the rest of
//! the window is filled up. Attention and positions of each begin anew ([`LAST`]), so that neighbours change nothing.
//!
//! Best fit decreasing: conversations are taken from the longest to the shortest, each into the fullest window that has
//! room, or into a new one. No packing takes less than 9/11 of these windows, but for one (Johnson, *Near-Optimal Bin
//! Packing Algorithms*, 1973). The packing depends on the lengths only; a pass takes every window once, in an order of
//! its own.
//!
//! What is longer than a window and the token after it loses its end. If no answer's token is left, it is left out.
//!
//! The two sides of a preference ([`crate::text::preference`]) stand in one window, the chosen one first. Each has half of the
//! window, and loses its end beyond it: so a window may be twice as long as the model's context.

use crate::model::recorded_step::{IGNORED, LAST};
use crate::text::conversation::Marked;
use crate::text::corpus::Window;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The numbers of what was packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The conversations, or the pairs of them, in windows.
    pub conversations: usize,
    /// The windows.
    pub windows: usize,
    /// The tokens of these conversations, without those that were cut off.
    pub tokens: usize,
    /// The tokens that are predicted.
    pub counted: usize,
    /// The conversations whose end was cut off.
    pub cut: usize,
    /// The tokens that were cut off.
    pub cut_tokens: usize,
    /// The conversations that were left out, because no answer's token would be left.
    pub left_out: usize,
    /// The messages after a last answer, which were dropped.
    pub dropped: usize,
}

/// Packs conversations into windows of `length` tokens, which `filler` fills up. Returns the windows and their numbers.
///
/// ```
/// use transformer::text::conversation::Marked;
/// use transformer::{IGNORED, LAST};
/// let marked = |tokens: Vec<u32>, answer: Vec<bool>| Marked { tokens, answer, dropped: 0 };
/// let (short, long) = (marked(vec![1, 2], vec![false, true]), marked(vec![5, 6, 7], vec![false, true, true]));
/// let (windows, counts) = transformer::text::packing::windows(vec![vec![short], vec![long]], 0, 6);
/// assert_eq!(windows[0].tokens, [5, 6, 7, 1, 2, 0]);
/// assert_eq!(windows[0].targets, [6, 7, LAST, 2, IGNORED, IGNORED]);
/// assert_eq!((counts.tokens, counts.counted), (5, 3));
/// ```
pub fn windows(all: Vec<Vec<Marked>>, filler: u32, length: usize) -> (Vec<Window>, Counts) {
    let packing = Packing::new(all.into(), filler, length);
    ((0..packing.len()).map(|i| packing.window(i)).collect(), packing.counts)
}

/// What stays in one window: a conversation, or the two sides of a preference.
type Unit = Vec<Marked>;

/// Conversations, or pairs of them, in windows of one length.
#[derive(Clone, Debug)]
pub(super) struct Packing {
    all: Arc<[Unit]>,
    /// The token that fills up a window.
    filler: u32,
    pub(super) length: usize,
    /// The units of each window, and the number over which its loss is a mean: predicted tokens, or pairs.
    windows: Arc<[(Vec<usize>, usize)]>,
    pub(super) counts: Counts,
    /// The reference's nats of every token of windows of pairs, as far as they are known.
    references: Arc<Vec<Vec<f32>>>,
}

/// The part of a conversation that a window holds: its places, and the tokens that are read or predicted.
#[derive(Clone, Copy)]
struct Held {
    places: usize,
    tokens: usize,
}

/// Returns what a window of this length holds of each part of a unit.
fn held(unit: &Unit, length: usize) -> Vec<Held> {
    let lengths: Vec<usize> = unit.iter().map(|part| part.tokens.len()).collect();
    if let [n] = lengths[..] {
        // The token after the last place is predicted, and takes none.
        return vec![Held { places: n.min(length), tokens: n.min(length + 1) }];
    }
    let half = lengths.iter().map(|&n| n.min(length / 2));
    half.map(|n| Held { places: n, tokens: n }).collect()
}

/// Returns the number of targets of each part of a unit.
fn targets(unit: &Unit, length: usize) -> Vec<usize> {
    let predicted = |(part, held): (&Marked, Held)| {
        part.answer[..held.tokens].iter().skip(1).filter(|own| **own).count()
    };
    unit.iter().zip(held(unit, length)).map(predicted).collect()
}

/// Whether every part of a unit has a target, and two parts differ as far as a window holds them.
fn is_kept(unit: &Unit, length: usize) -> bool {
    let held: Vec<&[u32]> = unit
        .iter()
        .zip(held(unit, length))
        .map(|(part, held)| &part.tokens[..held.tokens])
        .collect();
    let equal = matches!(held[..], [chosen, rejected] if chosen == rejected);
    !equal && targets(unit, length).iter().all(|&n| n > 0)
}

impl Packing {
    /// Packs conversations into windows of `length` tokens.
    pub(super) fn new(all: Arc<[Unit]>, filler: u32, length: usize) -> Self {
        let mut counts = Counts::default();
        let places = |i: usize| held(&all[i], length).iter().map(|held| held.places).sum::<usize>();
        let mut kept: Vec<usize> = (0..all.len()).filter(|&i| is_kept(&all[i], length)).collect();
        counts.left_out = all.len() - kept.len();
        counts.dropped = all.iter().flatten().map(|part| part.dropped).sum();
        // The sort keeps the order of those that are equally long.
        kept.sort_by_cached_key(|&i| Reverse(places(i)));
        let mut windows: Vec<(Vec<usize>, usize)> = vec![];
        let mut rooms: BTreeSet<(usize, usize)> = BTreeSet::new();
        for i in kept {
            let taken = places(i);
            let (room, window) = match rooms.range((taken, 0)..).next().copied() {
                Some(found) => {
                    rooms.remove(&found);
                    found
                }
                None => {
                    windows.push((vec![], 0));
                    (length, windows.len() - 1)
                }
            };
            rooms.insert((room - taken, window));
            windows[window].0.push(i);
            let predicted: usize = targets(&all[i], length).iter().sum();
            windows[window].1 += if all[i].len() > 1 { 1 } else { predicted };
            let tokens: usize = held(&all[i], length).iter().map(|held| held.tokens).sum();
            let beyond = all[i].iter().map(|part| part.tokens.len()).sum::<usize>() - tokens;
            counts.conversations += 1;
            counts.tokens += tokens;
            counts.counted += predicted;
            counts.cut += usize::from(beyond > 0);
            counts.cut_tokens += beyond;
        }
        counts.windows = windows.len();
        let references = Arc::new(vec![vec![]; windows.len()]);
        Packing { all, filler, length, windows: windows.into(), counts, references }
    }

    /// Returns the first unit in a window, as far as the window holds it.
    pub(super) fn example(&self) -> Option<Vec<Marked>> {
        let unit = self.all.iter().find(|unit| is_kept(unit, self.length))?;
        let shown = |(part, held): (&Marked, Held)| Marked {
            tokens: part.tokens[..held.tokens].to_vec(),
            answer: part.answer[..held.tokens].to_vec(),
            dropped: part.dropped,
        };
        Some(unit.iter().zip(held(unit, self.length)).map(shown).collect())
    }

    /// Returns the same conversations in windows of another length.
    pub(super) fn of_length(&self, length: usize) -> Self {
        match length == self.length {
            true => self.clone(),
            false => Self::new(Arc::clone(&self.all), self.filler, length),
        }
    }

    /// Returns the first conversations that together have this share of the tokens.
    pub(super) fn with_less(&self, share: f64) -> Self {
        let tokens = |some: &[Marked]| some.iter().map(|m| m.tokens.len()).sum::<usize>();
        let all: usize = self.all.iter().map(|unit| tokens(unit)).sum();
        let (most, mut taken) = (share * all as f64, 0);
        let within = |unit: &&Unit| {
            let before = taken as f64;
            taken += tokens(unit);
            before < most
        };
        let some: Vec<Unit> = self.all.iter().take_while(within).cloned().collect();
        let less = Self::new(some.into(), self.filler, self.length);
        // Without an answer there is nothing to train on.
        if less.windows.is_empty() { self.clone() } else { less }
    }

    /// Returns the tokens of all conversations in windows, one after another, as far as windows hold them.
    pub(super) fn tokens(&self) -> Vec<u32> {
        let kept = self.all.iter().filter(|unit| is_kept(unit, self.length));
        let own = |unit: &Unit| -> Vec<u32> {
            let parts = unit.iter().zip(held(unit, self.length));
            parts.flat_map(|(part, held)| &part.tokens[..held.tokens]).copied().collect()
        };
        kept.flat_map(own).collect()
    }

    /// Like [`Packing::tokens`], but of pairs the chosen sides only, so that no prompt occurs twice.
    pub(super) fn tokens_once(&self) -> Vec<u32> {
        let kept = self.all.iter().filter(|unit| is_kept(unit, self.length));
        let own = |unit: &Unit| unit[0].tokens[..held(unit, self.length)[0].tokens].to_vec();
        kept.flat_map(own).collect()
    }

    /// Returns the number of windows.
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// Returns the number over which the loss of a window is a mean: of predicted tokens, or of pairs.
    pub(super) fn counted(&self, window: usize) -> usize {
        self.windows[window].1
    }

    /// Writes the tokens and targets of a window.
    pub(super) fn write(&self, window: usize, tokens: &mut [u32], targets: &mut [u32]) {
        let members = self.windows[window].0.iter().map(|&i| &self.all[i]);
        let parts = members.flat_map(|unit| unit.iter().zip(held(unit, self.length)));
        let mut at = 0;
        for (Marked { tokens: own, answer, .. }, held) in parts {
            if at > 0 {
                targets[at - 1] = LAST;
            }
            let places = at..at + held.places;
            tokens[places.clone()].copy_from_slice(&own[..held.places]);
            for (place, target) in targets[places.clone()].iter_mut().enumerate() {
                let next = own[..held.tokens].get(place + 1).filter(|_| answer[place + 1]);
                *target = next.copied().unwrap_or(IGNORED);
            }
            at = places.end;
        }
        tokens[at..].fill(self.filler);
        targets[at..].fill(IGNORED);
    }

    /// Returns a window.
    pub(super) fn window(&self, number: usize) -> Window {
        let (mut tokens, mut targets) = (vec![0; self.length], vec![0; self.length]);
        self.write(number, &mut tokens, &mut targets);
        Window { tokens, targets, reference: self.reference(number).to_vec() }
    }

    /// Returns the reference's nats of every token of a window; empty if they are not known.
    pub(super) fn reference(&self, window: usize) -> &[f32] {
        &self.references[window]
    }

    /// Sets the reference's nats of every token of a window.
    pub(super) fn set_reference(&mut self, window: usize, nats: Vec<f32>) {
        Arc::make_mut(&mut self.references)[window] = nats;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::recorded_step::is_counted;
    use proptest::prelude::*;

    /// A conversation whose answers are the tokens with a mark; its tokens tell it from others.
    fn marked(number: u32, answer: Vec<bool>) -> Marked {
        let tokens = (0..answer.len() as u32).map(|i| 100 * number + i).collect();
        Marked { tokens, answer, dropped: 1 }
    }

    fn of(chats: Vec<Marked>, filler: u32, length: usize) -> Packing {
        Packing::new(chats.into_iter().map(|chat| vec![chat]).collect(), filler, length)
    }

    fn all(windows: &Packing) -> Vec<Window> {
        (0..windows.len()).map(|i| windows.window(i)).collect()
    }

    proptest! {
        /// Every answer's token that a window can hold is predicted exactly once, after the tokens before it in its own
        /// conversation, which begins where the mark of another ends; and the counts are those of the windows.
        #[test]
        fn every_answer_is_predicted_once_and_from_its_own_conversation(
            answers in prop::collection::vec(prop::collection::vec(any::<bool>(), 1..30), 1..20),
            length in 1usize..40,
        ) {
            let chats: Vec<Marked> =
                answers.into_iter().zip(1..).map(|(answer, i)| marked(i, answer)).collect();
            let packing = of(chats.clone(), 7, length);
            let (mut found, mut places) = (vec![], 0);
            for (i, window) in all(&packing).iter().enumerate() {
                prop_assert_eq!(window.tokens.len(), length);
                prop_assert_eq!(window.targets.len(), length);
                let mut first = 0;
                for (place, (&token, &target)) in window.tokens.iter().zip(&window.targets).enumerate() {
                    if is_counted(target) {
                        // The conversation from its beginning, and what follows.
                        let own = &window.tokens[first..=place];
                        let chat = &chats[target as usize / 100 - 1];
                        prop_assert_eq!(own, &chat.tokens[..own.len()]);
                        prop_assert_eq!(target, chat.tokens[own.len()]);
                        found.push(target);
                    }
                    places += usize::from(token != 7);
                    if target == LAST {
                        first = place + 1;
                    }
                }
                let counted = window.targets.iter().filter(|t| is_counted(**t)).count();
                prop_assert!(counted > 0 && counted == packing.counted(i));
            }
            let wanted = chats.iter().flat_map(|chat| {
                let last = chat.tokens.len().min(length + 1);
                (1..last).filter(|&i| chat.answer[i]).map(|i| chat.tokens[i])
            });
            let mut wanted: Vec<u32> = wanted.collect();
            found.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(&found, &wanted);
            let Counts { conversations, windows, tokens, counted, cut, cut_tokens, left_out, dropped } = packing.counts;
            prop_assert_eq!((counted, windows), (found.len(), packing.len()));
            prop_assert_eq!((conversations + left_out, dropped), (chats.len(), chats.len()));
            prop_assert_eq!(tokens, packing.tokens().len());
            let kept = chats.iter().filter(|chat| is_kept(&vec![(*chat).clone()], length));
            prop_assert_eq!(tokens + cut_tokens, kept.clone().map(|c| c.tokens.len()).sum::<usize>());
            prop_assert_eq!(cut, kept.clone().filter(|c| c.tokens.len() > length + 1).count());
            // Places are taken by tokens that are read: all but the last of one that alone fills more than a window.
            prop_assert_eq!(places, kept.map(|c| c.tokens.len().min(length)).sum::<usize>());
        }

        /// Two windows never fit into one: the fullest with room takes the next.
        #[test]
        fn no_two_windows_fit_into_one(lengths in prop::collection::vec(2usize..30, 1..40)) {
            let chats: Vec<Marked> = lengths.iter().map(|&n| marked(1, vec![true; n])).collect();
            let packing = of(chats, 0, 32);
            let taken = |members: &[usize]| members.iter().map(|&i| lengths[i]).sum::<usize>();
            let mut all: Vec<usize> = packing.windows.iter().map(|(m, _)| taken(m)).collect();
            all.sort_unstable();
            prop_assert!(all.len() < 2 || all[0] + all[1] > 32);
            prop_assert_eq!(all.iter().sum::<usize>(), lengths.iter().sum::<usize>());
        }
    }

    proptest! {
        /// Both sides of a pair stand in one window, the chosen one first, and each target follows its own side's tokens.
        #[test]
        fn sides_alternate(
            sides in prop::collection::vec((1usize..30, 1usize..30), 1..20), length in 4usize..40,
        ) {
            let side = |number: u32, n: usize| marked(number, (0..=n).map(|i| i > 0).collect());
            let pairs: Vec<Unit> = sides.iter().zip(0..).map(|(&(a, b), i)| {
                vec![side(2 * i + 2, a), side(2 * i + 3, b)]
            }).collect();
            let packing = Packing::new(pairs.into(), 7, length);
            let mut pairs = 0;
            for (i, window) in all(&packing).iter().enumerate() {
                let (mut own, mut seen) = (None, vec![]);
                for (&token, &target) in window.tokens.iter().zip(&window.targets) {
                    if own.is_none() && token != 7 {
                        own = Some(token / 100);
                        seen.push(token / 100);
                    }
                    if is_counted(target) {
                        prop_assert_eq!((Some(target / 100), target), (own, token + 1));
                    }
                    if target == LAST {
                        own = None;
                    }
                }
                let chosen: Vec<u32> = seen.iter().step_by(2).copied().collect();
                let rejected: Vec<u32> = seen.iter().skip(1).step_by(2).copied().collect();
                prop_assert!(chosen.iter().all(|n| n % 2 == 0));
                prop_assert_eq!(&chosen.iter().map(|n| n + 1).collect::<Vec<_>>(), &rejected);
                prop_assert_eq!(packing.counted(i), chosen.len());
                pairs += chosen.len();
            }
            prop_assert_eq!(packing.counts.conversations, pairs);
            // Half of a window of 4 holds a token and the one after it. Sides begin with numbers of their own.
            prop_assert_eq!(pairs, sides.len());
        }
    }

    /// Where a window ends before two sides differ, there is nothing to prefer.
    #[test]
    fn sides_that_are_cut_to_be_equal_are_left_out() {
        let side = |last: u32| Marked {
            tokens: (0..12).chain([last]).collect(),
            answer: (0..13).map(|i| i > 2).collect(),
            dropped: 0,
        };
        let counts = |length| Packing::new(vec![vec![side(90), side(91)]].into(), 0, length).counts;
        assert_eq!((counts(20).left_out, counts(20).windows), (1, 0));
        assert_eq!((counts(26).left_out, counts(26).windows), (0, 1));
    }

    #[test]
    fn each_side_has_half_of_a_window() {
        let places = |a: usize, b: usize| {
            let unit = vec![marked(1, vec![true; a]), marked(2, vec![true; b])];
            held(&unit, 10).iter().map(|held| held.places).collect::<Vec<_>>()
        };
        assert_eq!([places(4, 5), places(4, 7), places(9, 9)], [[4, 5], [4, 5], [5, 5]]);
    }

    /// The rule of what is too long, at its borders.
    #[test]
    fn what_is_too_long_loses_its_end() {
        let answer = |n: usize, last: usize| (0..n).map(|i| i == last).collect::<Vec<_>>();
        let counts = |n, last| of(vec![marked(1, answer(n, last))], 0, 4).counts;
        // Four tokens are read and the fifth is predicted.
        assert_eq!((counts(5, 4).cut, counts(5, 4).counted), (0, 1));
        assert_eq!((counts(9, 4).cut, counts(9, 4).cut_tokens, counts(9, 4).tokens), (1, 4, 5));
        let out = counts(6, 5);
        assert_eq!((out.left_out, out.cut, out.windows, out.tokens), (1, 0, 0, 0));
        // A first token has nothing before it.
        assert_eq!(counts(3, 0).left_out, 1);
    }

    #[test]
    fn a_share_is_of_the_tokens() {
        let chats: Vec<Marked> = (1..=10).map(|i| marked(i, vec![true; 10])).collect();
        let packing = of(chats, 0, 16);
        assert_eq!(packing.with_less(0.3).counts.conversations, 3);
        assert_eq!(packing.with_less(1.0).counts, packing.counts);
        assert_eq!(packing.of_length(32).counts.windows, 4);
    }
}
