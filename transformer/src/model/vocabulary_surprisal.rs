//! The nats of every token under the predictions of a vocabulary, without the logits of all tokens at once.
//!
//! Formula, for each token x with target y: z = Eᵀ·x, I = −ln softmax(z)_y, in nats; 0 for a token without a target.
//! Gradients: dz = (softmax(z) − one-hot(y))·dI, dx = E·dz, dE = x·dzᵀ.
//!
//! It is for losses of sums over some tokens, such as preferences; the mean over all tokens is
//! [`VocabularyLoss`], which needs the logits once instead of twice.

use crate::model::scores::Scores;
use crate::model::vocabulary_loss::VocabularyLoss;
use infotheory::cross_entropy::nats_of_columns;
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::formula::{
    I, J, K, TOKEN, at_most, cases, equal, exp, largest, ln, operand, sum, upstream,
};
use linalg::gather::countable;
use linalg::{
    Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut, Work,
};
use std::num::NonZeroUsize;

/// The nats of every token (1 × tokens); operands are the table (features × words), tokens (features × tokens) and targets
/// (1 × tokens), of which the negative are ignored.
///
/// ```
/// use linalg::{Matrix, apply};
/// use transformer::VocabularySurprisal;
/// // One feature, two words of scores 0 and ln 3: probabilities ¼ and ¾.
/// let table = Matrix::from_row_slice(1, 2, &[0.0, 3.0_f64.ln()]);
/// let (x, targets) = (Matrix::from_element(1, 2, 1.0), Matrix::from_row_slice(1, 2, &[0.0, -1.0]));
/// let nats = apply(&VocabularySurprisal::default(), [&table, &x, &targets])?;
/// assert!((nats[0] - 4.0_f64.ln()).abs() < 1e-15 && nats[1] == 0.0);
/// # Ok::<(), linalg::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct VocabularySurprisal {
    /// As in [`VocabularyLoss::chunk`].
    pub chunk: Option<NonZeroUsize>,
    /// As in [`VocabularyLoss::cap`].
    pub cap: Option<f64>,
}

impl VocabularySurprisal {
    fn in_chunks(&self) -> VocabularyLoss {
        VocabularyLoss { chunk: self.chunk, cap: self.cap }
    }
}

impl Primitive<3> for VocabularySurprisal {
    fn name(&self) -> &'static str {
        "surprisal over a vocabulary"
    }

    /// It is the product with the head to those who count operations and look for the table; the third operand is no bias.
    fn role(&self) -> Role {
        Role::Linear
    }

    fn shape(&self, [table, x, targets]: [Shape; 3]) -> Result<Shape, ShapeError> {
        countable("the words", table.columns)?;
        x.expect_rows("the tokens", table.rows)?;
        targets.expect("the row of targets", Shape::new(1, x.columns))?;
        Ok(targets)
    }

    fn formula<T: Real>(&self, [table, x, _]: [View<'_, T>; 3]) -> Formula {
        let (features, words, tokens) = (table.nrows(), table.ncols(), x.ncols());
        let (table, x, y, dy) = (operand(0), operand(1), operand(2), upstream());
        let mut f = Formula::new(
            "I",
            ["E", "x", "y"],
            "The nats that each prediction spends on what happened, without keeping the predictions.",
            "Shannon 1948; the textbook's A.4",
        );
        let product = sum(K, features, table.at(K, I) * x.at(K, J));
        let scores = Scores { cap: self.cap, ..Scores::default() };
        let z = f.define("z", [I, J], scores.capped(product));
        let most = f.define("m", [J], largest(K, words, None, z.at2(K, J)));
        let total = f.define("Z", [J], sum(K, words, exp(z.at2(K, J) - most.at(J))));
        let truth = z.at2(y.index(0, J), J) - most.at(J);
        let odds = f.define("p", [I, J], exp(z.at2(I, J) - most.at(J)) / total.at(J));
        let hit = cases(equal(I, y.index(0, J)), 1.0, 0.0);
        let counts = || at_most(0, y.index(0, J));
        let dz = cases(counts(), (odds.at2(I, J) - hit) * dy.at(0, J), 0.0);
        let dz = f.define("dz", [I, J], scores.slope(z.at2(I, J), dz));
        f.value(cases(counts(), ln(total.at(J)) - truth, 0.0))
            .gradient(sum(TOKEN, tokens, x.at(I, TOKEN) * dz.at2(J, TOKEN)))
            .gradient(sum(K, words, table.at(I, K) * dz.at2(K, J)))
            .no_gradient()
    }

    fn forward<T: Real>(
        &self,
        [table, x, targets]: [View<'_, T>; 3],
        mut nats: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let of_tokens = work.kept;
        self.in_chunks().chunks([table, x], work.products, work.scratch, |first, logits, _| {
            let n = logits.ncols();
            let (targets, nats) = (targets.columns(first, n), &mut of_tokens[first..first + n]);
            nats_of_columns(logits.as_view(), targets, nats);
        });
        nats.iter_mut().zip(of_tokens).for_each(|(nats, own)| *nats = *own);
    }

    fn vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; 3],
        _: View<'_, T>,
        upstream: View<'_, T>,
        gradients: [Gradient<'_, T>; 3],
        work: Work<'_, T>,
    ) {
        self.in_chunks().descend_nats(inputs, |j| upstream[j], gradients, work);
    }

    fn flops(&self, shapes: [Shape; 3]) -> u64 {
        self.in_chunks().flops(shapes)
    }

    fn vjp_reads(&self) -> Reads<3> {
        Reads { inputs: [true; 3], output: false }
    }

    fn memory(&self, shapes: [Shape; 3]) -> Memory {
        self.in_chunks().memory(shapes)
    }
}

impl Cases for VocabularySurprisal {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        let (words, tokens) = match size {
            Size::Matrix(m, n) => (m, n),
            // As in [`VocabularyLoss`], whose chunks these are; here of a size that is set.
            Size::Pieces => (1000, 521),
            Size::Heads { .. } => return,
        };
        let two = NonZeroUsize::new(2).filter(|_| tokens > 2 && words < 1000);
        let cut = NonZeroUsize::new(256).filter(|_| size == Size::Pieces);
        for chunk in [cut].into_iter().chain(two.map(Some)) {
            let targets = Operand::Targets { count: tokens, classes: words };
            let cap = Some(Some(1.5)).filter(|_| size != Size::Pieces);
            for cap in [None].into_iter().chain(cap) {
                let inputs = [numbers(4, words), numbers(4, tokens), targets.clone()];
                visitor.visit(VocabularySurprisal { chunk, cap }, inputs);
            }
        }
    }
}
