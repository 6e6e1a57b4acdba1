//! The loss of a vocabulary, without the logits of all tokens at once.
//!
//! Formula, for each token x with target y: z = Eᵀ·x, one logit for each word's column of the table E;
//! L = mean over tokens of −ln softmax(z)_y, in nats: a product and a cross-entropy in one operation.
//! Gradients: dz = (softmax(z) − one-hot(y))/n, dx = E·dz, dE = x·dzᵀ.
//!
//! With GPT-2's vocabulary the logits of 1,024 tokens take 200 MB, and as much again for their gradient.
//! Here they are made for a chunk of tokens, turned into their gradient where they stand, multiplied
//! into dx and dE, and forgotten; a training step, whose forward and backward rules of the loss follow
//! each other at once, makes them only once.
//! Source: infotheory's cross-entropy; Hsu et al., *Liger Kernel*, 2024, for taking both rules together.

use crate::model::scores::Scores;
use infotheory::cross_entropy::{counted, gradient_in_place, nats_of_columns};
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::formula::{
    I, J, K, Letter, TOKEN, at_most, cases, equal, exp, largest, ln, operand, sum, sum_where,
    upstream,
};
use linalg::gather::{countable, index};
use linalg::{
    Formula, Gradient, Memory, Primitive, Products, Reads, Real, Role, Shape, ShapeError, View,
    ViewMut, Work, column,
    parallel::{self, each_column},
    transposed, vector,
};
use rayon::prelude::*;
use std::num::NonZeroUsize;

/// The mean cross-entropy in nats; operands are the table (features × words), tokens (features × tokens)
/// and targets (1 × tokens), of which the negative are ignored.
///
/// ```
/// use linalg::{Primitive, Shape};
/// use transformer::VocabularyLoss;
/// let [table, x, targets] = [Shape::new(768, 50257), Shape::new(768, 1024), Shape::new(1, 1024)];
/// let loss = VocabularyLoss::default();
/// assert_eq!(loss.shape([table, x, targets]), Ok(Shape::new(1, 1)));
/// assert_eq!(loss.memory([table, x, targets]).scratch, 50257 * 256); // 51 MB of 206
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct VocabularyLoss {
    /// Tokens whose logits exist at once; if absent, as many as their memory and speed ask for.
    pub chunk: Option<NonZeroUsize>,
    /// The cap c of z = c·tanh(Eᵀ·x/c), [`calculus::soft_cap`]; no cap if absent.
    pub cap: Option<f64>,
}

impl VocabularyLoss {
    /// Calls `each(first, logits, spare)` with the logits of one chunk of tokens after another, and the memory of a
    /// second chunk if there is a cap.
    pub(super) fn chunks<T: Real>(
        &self,
        [table, x]: [View<'_, T>; 2],
        products: Products,
        scratch: &mut [T],
        mut each: impl FnMut(usize, ViewMut<'_, T>, &mut [T]),
    ) {
        let (words, tokens) = (table.ncols(), x.ncols());
        let size = self.tokens_at_once(words, tokens);
        let (scratch, spare) = scratch.split_at_mut(words * size);
        for first in (0..tokens).step_by(size) {
            let n = size.min(tokens - first);
            let mut logits = ViewMut::from_slice(&mut scratch[..words * n], words, n);
            products.to(logits.as_view_mut(), transposed(table), x.columns(first, n), false);
            if let Some(cap) = self.cap {
                let (scaled, slopes) = (logits.as_view_mut(), &mut spare[..words * n]);
                let slopes = ViewMut::from_slice(slopes, words, n);
                each_column(
                    [scaled, slopes],
                    #[inline(always)]
                    |_, [z, slopes]| {
                        for (z, slope) in z.iter_mut().zip(slopes) {
                            let share = (*z / T::from_f64(cap)).tanh();
                            (*z, *slope) = (T::from_f64(cap) * share, T::one() - share * share);
                        }
                    },
                );
            }
            each(first, logits, spare);
        }
    }

    /// Tokens whose logits exist at once: all, where they are few.
    ///
    /// ```
    /// # use transformer::VocabularyLoss;
    /// let loss = VocabularyLoss::default();
    /// assert_eq!(loss.tokens_at_once(50257, 1024), 256); // four chunks
    /// assert_eq!(loss.tokens_at_once(65, 1024), 1024); // one
    /// ```
    pub fn tokens_at_once(&self, words: usize, tokens: usize) -> usize {
        const LEAST: usize = 256;
        const LOGITS: usize = 1 << 22;
        let by_size = || LEAST.max(LOGITS / words.max(1));
        tokens.min(self.chunk.map_or_else(by_size, NonZeroUsize::get)).max(1)
    }
}

impl VocabularyLoss {
    /// Returns the nats of every token, 0 for one without a target; operands as in [`Primitive::forward`].
    ///
    /// ```
    /// use linalg::Matrix;
    /// // One feature, two words of scores 0 and ln 3: probabilities ¼ and ¾.
    /// let table = Matrix::from_row_slice(1, 2, &[0.0, 3.0_f64.ln()]);
    /// let (x, targets) = (Matrix::from_element(1, 2, 1.0), Matrix::from_row_slice(1, 2, &[0.0, -1.0]));
    /// let nats = transformer::VocabularyLoss::default().nats([table.as_view(), x.as_view(), targets.as_view()]);
    /// assert!((nats[0] - 4.0_f64.ln()).abs() < 1e-15 && nats[1] == 0.0);
    /// ```
    pub fn nats<T: Real>(&self, [table, x, targets]: [View<'_, T>; 3]) -> Vec<T> {
        let (words, tokens) = (table.ncols(), x.ncols());
        let chunk = words * self.tokens_at_once(words, tokens);
        let mut scratch = vec![T::zero(); if self.cap.is_some() { 2 * chunk } else { chunk }];
        let mut nats = vec![T::zero(); tokens];
        self.chunks([table, x], Products::Full, &mut scratch, |first, logits, _| {
            let n = logits.ncols();
            nats_of_columns(
                logits.as_view(),
                targets.columns(first, n),
                &mut nats[first..first + n],
            );
        });
        nats
    }
}

impl VocabularyLoss {
    /// Returns for every token whether its target has the largest score of all, alone; operands as in
    /// [`Primitive::forward`]. `false` for a token without a target.
    ///
    /// ```
    /// use linalg::Matrix;
    /// // One feature, three words of scores 0, 3 and 3.
    /// let table = Matrix::from_row_slice(1, 3, &[0.0, 3.0, 3.0]);
    /// let (x, targets) = (Matrix::from_row_slice(1, 3, &[1.0, -1.0, 1.0]), Matrix::from_row_slice(1, 3, &[1.0, 0.0, -1.0]));
    /// let operands = [table.as_view(), x.as_view(), targets.as_view()];
    /// assert_eq!(transformer::VocabularyLoss::default().hits(operands), [false, true, false]);
    /// ```
    pub fn hits<T: Real>(&self, [table, x, targets]: [View<'_, T>; 3]) -> Vec<bool> {
        let (words, tokens) = (table.ncols(), x.ncols());
        // A cap changes no order.
        let uncapped = VocabularyLoss { cap: None, ..*self };
        let mut scratch = vec![T::zero(); words * self.tokens_at_once(words, tokens)];
        let mut hits = vec![false; tokens];
        uncapped.chunks([table, x], Products::Full, &mut scratch, |first, logits, _| {
            let columns = hits[first..first + logits.ncols()].par_iter_mut().enumerate();
            columns.for_each(|(j, hit)| {
                let z = column(&logits.as_view(), j).to_vec();
                *hit = index(targets[first + j], words)
                    .is_some_and(|y| (0..words).all(|word| word == y || z[word] < z[y]));
            });
        });
        hits
    }
}

/// The share of each token's nats in the mean, times the gradient of the mean.
pub(super) fn share<T: Real>(upstream: View<'_, T>, targets: View<'_, T>) -> T {
    upstream[0] / T::from_f64(counted(&targets) as f64)
}

/// Mean of the nats over the targets that count.
pub(super) fn mean<T: Real>(nats: &[T], targets: View<'_, T>) -> T {
    vector::sum(nats) / T::from_f64(counted(&targets) as f64)
}

impl VocabularyLoss {
    /// Adds the gradients of the table and the tokens. Calls `gradient(first, logits)` with the logits of one chunk of tokens
    /// after another, which replaces them by the gradient with respect to them.
    pub(super) fn descend<T: Real>(
        &self,
        [table, x]: [View<'_, T>; 2],
        [d_table, dx]: [Gradient<'_, T>; 2],
        products: Products,
        scratch: &mut [T],
        mut gradient: impl FnMut(usize, ViewMut<'_, T>),
    ) {
        let (mut d_table, mut dx) = (d_table.parts(), dx.parts());
        self.chunks([table, x], products, scratch, |first, mut logits, slopes| {
            let n = logits.ncols();
            gradient(first, logits.as_view_mut());
            if self.cap.is_some() {
                logits.iter_mut().zip(slopes).for_each(|(dz, slope)| *dz *= *slope);
            }
            let (dz, x) = (logits.as_view(), x.columns(first, n));
            parallel::join(
                || {
                    if let Some((dx, fresh)) = &mut dx {
                        products.to(dx.columns_mut(first, n), table, dz, !*fresh);
                    }
                },
                || {
                    if let Some((d_table, fresh)) = &mut d_table {
                        let add = first > 0 || !*fresh;
                        products.to(d_table.as_view_mut(), x, transposed(dz), add);
                    }
                },
            );
        });
    }

    /// Adds the gradients of Σ share(j)·nats of token j; writes the nats of every token to what is kept.
    pub(super) fn descend_nats<T: Real>(
        &self,
        [table, x, targets]: [View<'_, T>; 3],
        share: impl Fn(usize) -> T + Sync,
        [d_table, dx, _]: [Gradient<'_, T>; 3],
        work: Work<'_, T>,
    ) {
        let Work { kept: nats, scratch, products } = work;
        self.descend([table, x], [d_table, dx], products, scratch, |first, logits| {
            let n = logits.ncols();
            let (targets, nats) = (targets.columns(first, n), &mut nats[first..first + n]);
            gradient_in_place(logits, targets, |j| share(first + j), nats);
        });
    }
}

impl Primitive<3> for VocabularyLoss {
    fn name(&self) -> &'static str {
        "cross-entropy over a vocabulary"
    }

    fn role(&self) -> Role {
        Role::Loss
    }

    fn shape(&self, [table, x, targets]: [Shape; 3]) -> Result<Shape, ShapeError> {
        countable("the words", table.columns)?;
        x.expect_rows("the tokens", table.rows)?;
        targets.expect("the row of targets", Shape::new(1, x.columns))?;
        Ok(Shape::new(1, 1))
    }

    fn formula<T: Real>(&self, [table, x, _]: [View<'_, T>; 3]) -> Formula {
        let (features, words, tokens) = (table.nrows(), table.ncols(), x.ncols());
        let (table, x, y, dy) = (operand(0), operand(1), operand(2), upstream());
        let counts = |letter: Letter| at_most(0, y.index(0, letter));
        let mut f = Formula::new(
            "L",
            ["E", "x", "y"],
            "The nats that the predictions spend on what happened, without keeping the predictions.",
            "the textbook's A.4; Hsu et al., Liger Kernel, 2024",
        );
        let n = f.define("n", [], sum_where(TOKEN, tokens, counts(TOKEN), 1.0));
        let product = sum(K, features, table.at(K, I) * x.at(K, J));
        let scores = Scores { cap: self.cap, ..Scores::default() };
        let z = f.define("z", [I, J], scores.capped(product));
        let most = f.define("m", [J], largest(K, words, None, z.at2(K, J)));
        let total = f.define("Z", [J], sum(K, words, exp(z.at2(K, J) - most.at(J))));
        let truth = z.at2(y.index(0, J), J) - most.at(J);
        let nats = f.define("I", [J], ln(total.at(J)) - truth);
        let odds = f.define("p", [I, J], exp(z.at2(I, J) - most.at(J)) / total.at(J));
        let hit = cases(equal(I, y.index(0, J)), 1.0, 0.0);
        let residual = (odds.at2(I, J) - hit) * (dy.at(0, 0) / n);
        let dz = cases(counts(J), residual, 0.0);
        let dz = f.define("dz", [I, J], scores.slope(z.at2(I, J), dz));
        f.value(sum_where(TOKEN, tokens, counts(TOKEN), nats.at(TOKEN)) / n)
            .gradient(sum(TOKEN, tokens, x.at(I, TOKEN) * dz.at2(J, TOKEN)))
            .gradient(sum(K, words, table.at(I, K) * dz.at2(K, J)))
            .no_gradient()
    }

    fn forward<T: Real>(
        &self,
        [table, x, targets]: [View<'_, T>; 3],
        mut loss: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let nats = work.kept;
        self.chunks([table, x], work.products, work.scratch, |first, logits, _| {
            let n = logits.ncols();
            let (targets, nats) = (targets.columns(first, n), &mut nats[first..first + n]);
            nats_of_columns(logits.as_view(), targets, nats);
        });
        loss[0] = mean(nats, targets);
    }

    fn vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; 3],
        _: View<'_, T>,
        upstream: View<'_, T>,
        gradients: [Gradient<'_, T>; 3],
        work: Work<'_, T>,
    ) {
        let share = share(upstream, inputs[2]);
        self.descend_nats(inputs, |_| share, gradients, work);
    }

    fn forward_and_vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; 3],
        mut loss: ViewMut<'_, T>,
        upstream: View<'_, T>,
        gradients: [Gradient<'_, T>; 3],
        mut work: Work<'_, T>,
    ) {
        let share = share(upstream, inputs[2]);
        self.descend_nats(inputs, |_| share, gradients, work.reborrow());
        loss[0] = mean(work.kept, inputs[2]);
    }

    fn flops(&self, [table, x, _]: [Shape; 3]) -> u64 {
        let cap = if self.cap.is_some() { 13 } else { 0 };
        (2 * table.rows + 13 + cap) as u64 * (table.columns * x.columns) as u64
    }

    fn vjp_reads(&self) -> Reads<3> {
        Reads { inputs: [true; 3], output: false }
    }

    fn memory(&self, [table, x, _]: [Shape; 3]) -> Memory {
        let chunk = table.columns * self.tokens_at_once(table.columns, x.columns);
        let scratch = if self.cap.is_some() { 2 * chunk } else { chunk };
        Memory { kept: x.columns, scratch }
    }
}

impl Cases for VocabularyLoss {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        let (words, tokens) = match size {
            Size::Matrix(m, n) => (m, n),
            // Logits are made in several chunks, the last one short.
            Size::Pieces => (16_400, 521),
            Size::Heads { .. } => return,
        };
        // As it is cut by size; in chunks of two tokens, the last one short where they are odd.
        let two = NonZeroUsize::new(2).filter(|_| tokens > 2 && words < 1000);
        for chunk in [None].into_iter().chain(two.map(Some)) {
            let targets = Operand::Targets { count: tokens, classes: words };
            let cap = Some(Some(1.5)).filter(|_| size != Size::Pieces);
            for cap in [None].into_iter().chain(cap) {
                let inputs = [numbers(4, words), numbers(4, tokens), targets.clone()];
                visitor.visit(VocabularyLoss { chunk, cap }, inputs);
            }
        }
    }
}
