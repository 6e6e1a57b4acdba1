//! What a corpus has beside its tokens: the reference of preferences, and the predictions of a teacher.

use crate::model::recorded_step::ModelError;
use crate::text::corpus::{Corpus, Window, place};
use crate::text::teacher::{HELD_BACK, Teacher, Windows};
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

impl Corpus {
    /// Writes the reference's nats of the tokens of a batch of [`Corpus::fill`]. Returns whether they are known; nothing is
    /// written for a corpus without preferences.
    pub fn fill_reference(&self, seed: u64, batch: u64, length: usize, nats: &mut [f32]) -> bool {
        let Some([train, _]) = &self.conversations else { return false };
        if train.length != length {
            return false; // they are of other windows
        }
        let (windows, mut known) = (nats.len() / length, true);
        for (i, nats) in nats.chunks_exact_mut(length).enumerate() {
            let window = place(train, seed, batch * windows as u64 + i as u64);
            match train.reference(window) {
                [] => known = false,
                own => nats.copy_from_slice(own),
            }
        }
        known
    }

    /// Returns the windows of preferences that have no reference yet, each with its part: 0 for those to train on, which are
    /// those of a seed with these numbers if given, and 1 for those to measure on.
    pub(crate) fn unreferred(&self, of_seed: Option<(u64, Range<u64>)>) -> Vec<(usize, usize)> {
        let Some([train, validation]) = &self.conversations else { return vec![] };
        let numbered: BTreeSet<usize> = match of_seed {
            // A pass takes every window.
            Some((seed, numbers)) if numbers.end - numbers.start < train.len() as u64 => {
                numbers.map(|number| place(train, seed, number)).collect()
            }
            _ => (0..train.len()).collect(),
        };
        let of_train = numbered.into_iter().map(|window| (0, window));
        let held_back = (0..validation.len()).map(|window| (1, window));
        let unknown = |&(part, window): &(usize, usize)| {
            [train, validation][part].reference(window).is_empty()
        };
        of_train.chain(held_back).filter(unknown).collect()
    }

    /// Returns a window of conversations: of those to train on (part 0) or to measure on (part 1).
    pub(crate) fn window_of(&self, (part, window): (usize, usize)) -> Window {
        self.conversations.as_ref().map_or_else(Window::default, |parts| parts[part].window(window))
    }

    /// Sets the reference's nats of a window.
    pub(crate) fn set_reference(&mut self, (part, window): (usize, usize), nats: Vec<f32>) {
        if let Some(parts) = &mut self.conversations {
            parts[part].set_reference(window, nats);
        }
    }

    /// Sets the model whose predictions are learned beside the text.
    pub fn set_teacher(&mut self, teacher: Option<Arc<dyn Teacher>>) {
        self.teacher = teacher;
    }

    /// Returns the model whose predictions are learned beside the text.
    pub fn teacher(&self) -> Option<&Arc<dyn Teacher>> {
        self.teacher.as_ref()
    }

    /// Writes the teacher's logits of the tokens of a batch of [`Corpus::fill`] (vocabulary × tokens, token by token), which
    /// are as many as `tokens`.
    ///
    /// # Errors
    /// A corpus without a teacher; windows that the teacher cannot predict.
    ///
    /// # Panics
    /// If the number of logits is no multiple of that of tokens.
    pub fn fill_teacher(
        &self,
        (seed, batch, length): (u64, u64, usize),
        (tokens, targets): (&[u32], &[u32]),
        logits: &mut [f32],
    ) -> Result<(), ModelError> {
        let teacher = self.teacher.as_ref().ok_or(ModelError::NoTeacher)?;
        let count = (tokens.len() / length) as u64;
        let numbers: Vec<u64> =
            (0..count).map(|i| self.number(seed, batch * count + i, length)).collect();
        teacher.logits(Windows { numbers: Some(&numbers), length, tokens, targets }, logits)
    }

    /// Returns the number by which a teacher knows window number `window` of a seed: windows of the same tokens have the
    /// same, in every pass.
    fn number(&self, seed: u64, window: u64, length: usize) -> u64 {
        match &self.conversations {
            Some([train, _]) => place(&train.of_length(length), seed, window) as u64,
            None => self.start(seed, window, length) as u64,
        }
    }

    /// Returns the windows that a teacher predicts for a run: `held_back` of those to measure on, and those to train on with
    /// these numbers of a seed, each once, with the numbers by which it knows them.
    pub fn taught(
        &self,
        length: usize,
        held_back: usize,
        (seed, numbers): (u64, Range<u64>),
    ) -> impl Iterator<Item = (u64, Window)> {
        let measured = self.validation_sample(length, held_back * length).into_iter();
        let measured = measured.take(held_back).enumerate();
        let measured = measured.map(|(i, window)| (HELD_BACK | i as u64, window));
        let mut known = HashSet::new();
        let trained = numbers.filter_map(move |drawn| {
            let number = self.number(seed, drawn, length);
            known.insert(number).then(|| {
                let mut window =
                    Window { tokens: vec![0; length], targets: vec![0; length], reference: vec![] };
                self.fill(seed, drawn, length, &mut window.tokens, &mut window.targets);
                (number, window)
            })
        });
        measured.chain(trained)
    }
}
