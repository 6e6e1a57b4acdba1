//! The loss of a student that learns from a text and from a teacher, without the student's logits of all tokens at once.
//!
//! Formula, for each token x with target y and the teacher's logits t: z = Eᵀ·x; with the student's p = softmax(z/T) and the
//! teacher's q = softmax(t/T), L = mean over tokens of <var>(1 − A)·(−ln softmax(z)_y) + A·T²·KL(q‖p)</var>, in nats.
//! Gradients: dz = <var>((1 − A)·(softmax(z) − one-hot(y)) + A·T·(p − q))/n</var>, dx = E·dz, dE = x·dzᵀ.
//!
//! A logit of −∞ is a token that the teacher excludes: it adds nothing to KL. So a teacher can be given by its largest logits.
//! The chunks, the products and the part of the text are those of [`VocabularyLoss`].
//! Source: Hinton, Vinyals and Dean, *Distilling the Knowledge in a Neural Network*, 2015, section 2.

use crate::model::scores::Scores;
use crate::model::vocabulary_loss::{VocabularyLoss, mean, share};
use infotheory::cross_entropy::{gradient_in_place, is_ignored, nats_of_columns};
use infotheory::objective::distillation::Distillation;
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::formula::{
    I, J, K, Letter, TOKEN, at_most, cases, equal, exp, largest, ln, operand, sum, sum_where,
    upstream,
};
use linalg::gather::countable;
use linalg::parallel::{each_column, each_column_of};
use linalg::{
    Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, column, vector,
};
use std::num::NonZeroUsize;

/// The mean of the nats of targets and of a teacher's divergence; operands are the table (features × words), tokens (features ×
/// tokens), the teacher's logits (words × tokens), and targets (1 × tokens), of which the negative are ignored.
///
/// ```
/// use infotheory::objective::distillation::Distillation;
/// use linalg::{apply, matrix};
/// use transformer::VocabularyDistillation;
/// // One feature, two words of scores 0 and ln 3: probabilities ¼ and ¾. The teacher knows nothing: ½ and ½.
/// let (table, x) = (matrix(1, 2, &[0.0, 3.0_f64.ln()]), matrix(1, 1, &[1.0]));
/// let (teacher, target) = (matrix(2, 1, &[5.0, 5.0]), matrix(1, 1, &[1.0]));
/// let of = |weight| VocabularyDistillation { distillation: Distillation { temperature: 1.0, weight }, ..Default::default() };
/// let loss = |weight| apply(&of(weight), [&table, &x, &teacher, &target]).map(|loss| loss[0]);
/// assert!((loss(0.0)? - (4.0_f64 / 3.0).ln()).abs() < 1e-15); // of the text alone
/// assert!((loss(1.0)? - (2.0 / 3.0_f64.sqrt()).ln()).abs() < 1e-15); // ½ ln(½/¼) + ½ ln(½/¾)
/// # Ok::<(), linalg::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct VocabularyDistillation {
    /// The product with the table, and its chunks.
    pub head: VocabularyLoss,
    /// Temperature and weight.
    pub distillation: Distillation,
}

impl Default for VocabularyDistillation {
    /// Half of each at T = 1.
    fn default() -> Self {
        let distillation = Distillation { temperature: 1.0, weight: 0.5 };
        VocabularyDistillation { head: VocabularyLoss::default(), distillation }
    }
}

/// The distributions of teacher and student for one token, at a temperature.
struct Softened<T> {
    /// 1/T.
    inverse: T,
    /// The largest logit of the student and of the teacher.
    most: [T; 2],
    /// Σ e^((logit − most)/T) of each.
    total: [T; 2],
    /// The difference of the logarithms of `total`: student minus teacher.
    offset: T,
    /// KL(teacher ‖ student).
    nats: T,
}

impl<T: Real> Softened<T> {
    #[inline(always)]
    fn of(student: &[T], teacher: &[T], temperature: f64) -> Self {
        let inverse = T::from_f64(1.0 / temperature);
        let most = [student, teacher].map(vector::maximum);
        let sum = |z: &[T], most: T| {
            vector::reduce(
                z,
                z,
                #[inline(always)]
                |z, _| ((z - most) * inverse).exp(),
            )
        };
        let total = [sum(student, most[0]), sum(teacher, most[1])];
        let offset = total[0].ln() - total[1].ln();
        let mut softened = Softened { inverse, most, total, offset, nats: T::zero() };
        let term = |z: T, t: T| {
            let weight = softened.weight(1, t);
            // 0·∞ is not the limit.
            if weight == T::zero() { weight } else { weight * softened.gain(z, t) }
        };
        softened.nats = vector::reduce(student, teacher, term) / total[1];
        softened
    }

    /// Returns e^((logit − most)/T), of the student (0) or of the teacher (1).
    #[inline(always)]
    fn weight(&self, whose: usize, logit: T) -> T {
        ((logit - self.most[whose]) * self.inverse).exp()
    }

    /// Returns ln(q/p), of the teacher's and the student's probability.
    #[inline(always)]
    fn gain(&self, z: T, t: T) -> T {
        ((t - self.most[1]) - (z - self.most[0])) * self.inverse + self.offset
    }
}

impl VocabularyDistillation {
    /// Returns the factors of the text's nats and of T²·KL in the loss.
    fn parts<T: Real>(&self) -> [T; 2] {
        let weight = self.distillation.weight;
        [1.0 - weight, weight].map(T::from_f64)
    }

    /// Returns the sum of both parts; one without weight does not count, whatever it is.
    fn mixed<T: Real>(&self, kept: &[T], targets: View<'_, T>) -> T {
        let (nats, soft) = kept.split_at(targets.ncols());
        let [text, teacher] = self.parts::<T>();
        match (self.distillation.uses_the_text(), self.distillation.uses_the_teacher()) {
            (_, false) => mean(nats, targets),
            (false, true) => mean(soft, targets),
            (true, true) => text * mean(nats, targets) + teacher * mean(soft, targets),
        }
    }

    /// Returns T².
    fn square<T: Real>(&self) -> T {
        T::from_f64(self.distillation.temperature * self.distillation.temperature)
    }

    /// Writes T²·KL of every token of a chunk, 0 for one without a target.
    fn soft_nats<T: Real>(
        &self,
        logits: View<'_, T>,
        [teacher, targets]: [View<'_, T>; 2],
        nats: &mut [T],
    ) {
        let nats = ViewMut::from_slice(nats, 1, logits.ncols());
        each_column_of(
            logits.nrows(),
            [nats],
            #[inline(always)]
            |j, [nats]| {
                let (z, t) = (column(&logits, j), column(&teacher, j));
                nats[0] = match is_ignored(targets[j]) {
                    true => T::zero(),
                    false => {
                        self.square::<T>() * Softened::of(z, t, self.distillation.temperature).nats
                    }
                };
            },
        );
    }

    /// Replaces logits by the gradient of Σ share·T²·KL with respect to them, and writes T²·KL of every token.
    fn soft_gradient<T: Real>(
        &self,
        logits: ViewMut<'_, T>,
        [teacher, targets]: [View<'_, T>; 2],
        share: T,
        nats: &mut [T],
    ) {
        let temperature = self.distillation.temperature;
        let (square, share) = (self.square::<T>(), share * T::from_f64(temperature));
        let nats = ViewMut::from_slice(nats, 1, logits.ncols());
        each_column(
            [logits, nats],
            #[inline(always)]
            |j, [z, nats]| {
                if is_ignored(targets[j]) {
                    z.fill(T::zero());
                    nats[0] = T::zero();
                    return;
                }
                let t = column(&teacher, j);
                let soft = Softened::of(z, t, temperature);
                let [student, teacher] = soft.total.map(|total| T::one() / total);
                for (z, &t) in z.iter_mut().zip(t) {
                    *z = share * (soft.weight(0, *z) * student - soft.weight(1, t) * teacher);
                }
                nats[0] = square * soft.nats;
            },
        );
    }

    /// Adds the gradient of Σ share·T²·KL with respect to the teacher's logits of a chunk.
    fn teach<T: Real>(
        &self,
        logits: View<'_, T>,
        [teacher, targets]: [View<'_, T>; 2],
        share: T,
        gradient: ViewMut<'_, T>,
    ) {
        let temperature = self.distillation.temperature;
        let share = share * T::from_f64(temperature);
        each_column([gradient], |j, [d]| {
            if is_ignored(targets[j]) {
                return;
            }
            let (z, t) = (column(&logits, j), column(&teacher, j));
            let soft = Softened::of(z, t, temperature);
            for (d, (&z, &t)) in d.iter_mut().zip(z.iter().zip(t)) {
                let q = soft.weight(1, t) / soft.total[1];
                if q != T::zero() {
                    *d += share * q * (soft.gain(z, t) - soft.nats);
                }
            }
        });
    }

    /// Adds all gradients; writes the nats of the text, and of the teacher.
    fn descend<T: Real>(
        &self,
        [table, x, teacher, targets]: [View<'_, T>; 4],
        share: T,
        [d_table, dx, d_teacher, _]: [Gradient<'_, T>; 4],
        work: Work<'_, T>,
    ) {
        let (nats, soft_nats) = work.kept.split_at_mut(x.ncols());
        let [text, from_teacher] = self.parts::<T>().map(|part| part * share);
        let (scratch, spare) = work.scratch.split_at_mut(self.scratch_of_head(table, x));
        let mut d_teacher = d_teacher.zeroed();
        let products = work.products;
        self.head.descend([table, x], [d_table, dx], products, scratch, |first, mut logits| {
            let (rows, n) = logits.shape();
            let (teacher, targets) = (teacher.columns(first, n), targets.columns(first, n));
            let (nats, soft_nats) = (&mut nats[first..first + n], &mut soft_nats[first..first + n]);
            if let Some(d) = d_teacher.as_mut().filter(|_| self.distillation.uses_the_teacher()) {
                let own = d.columns_mut(first, n);
                self.teach(logits.as_view(), [teacher, targets], from_teacher, own);
            }
            if !self.distillation.uses_the_teacher() {
                gradient_in_place(logits, targets, |_| text, nats);
            } else if !self.distillation.uses_the_text() {
                self.soft_gradient(logits, [teacher, targets], from_teacher, soft_nats);
            } else {
                let mut soft = ViewMut::from_slice(&mut spare[..rows * n], rows, n);
                soft.copy_from(&logits);
                self.soft_gradient(soft.as_view_mut(), [teacher, targets], from_teacher, soft_nats);
                gradient_in_place(logits.as_view_mut(), targets, |_| text, nats);
                Gradient::new(logits).add(soft.as_view());
            }
        });
    }

    /// Elements of scratch memory that the product with the table takes.
    fn scratch_of_head<T: Real>(&self, table: View<'_, T>, x: View<'_, T>) -> usize {
        let shape = |m: View<'_, T>| Shape::new(m.nrows(), m.ncols());
        self.head.memory([shape(table), shape(x), Shape::new(1, x.ncols())]).scratch
    }
}

impl Primitive<4> for VocabularyDistillation {
    fn name(&self) -> &'static str {
        "distillation over a vocabulary"
    }

    fn role(&self) -> Role {
        Role::Loss
    }

    fn shape(&self, [table, x, teacher, targets]: [Shape; 4]) -> Result<Shape, ShapeError> {
        countable("the words", table.columns)?;
        x.expect_rows("the tokens", table.rows)?;
        teacher.expect("the teacher's logits", Shape::new(table.columns, x.columns))?;
        targets.expect("the row of targets", Shape::new(1, x.columns))?;
        Ok(Shape::new(1, 1))
    }

    fn formula<T: Real>(&self, [table, x, ..]: [View<'_, T>; 4]) -> Formula {
        let (features, words, tokens) = (table.nrows(), table.ncols(), x.ncols());
        let [table, x, t, y] = [0, 1, 2, 3].map(operand);
        let Distillation { temperature, weight } = self.distillation;
        let counts = |letter: Letter| at_most(0, y.index(0, letter));
        let mut f = Formula::new(
            "L",
            ["E", "x", "t", "y"],
            "The nats that the predictions spend on what happened, and those by which they miss a teacher's.",
            "Hinton et al., Distilling the Knowledge in a Neural Network, 2015, section 2",
        );
        let n = f.define("n", [], sum_where(TOKEN, tokens, counts(TOKEN), 1.0));
        let scores = Scores { cap: self.head.cap, ..Scores::default() };
        let z = scores.capped(sum(K, features, table.at(K, I) * x.at(K, J)));
        let z = f.define("z", [I, J], z);
        let most = f.define("m", [J], largest(K, words, None, z.at2(K, J)));
        let z_over = f.define("u", [I, J], z.at2(I, J) - most.at(J));
        let total = f.define("Z", [J], sum(K, words, exp(z_over.at2(K, J))));
        let nats = f.define("I", [J], ln(total.at(J)) - z_over.at2(y.index(0, J), J));
        let best = f.define("k", [J], largest(K, words, None, t.at(K, J)));
        let t_over = f.define("w", [I, J], t.at(I, J) - best.at(J));
        let student = sum(K, words, exp(z_over.at2(K, J) / temperature));
        let student = f.define("S", [J], student);
        let teacher = f.define("R", [J], sum(K, words, exp(t_over.at2(K, J) / temperature)));
        let p = f.define("p", [I, J], exp(z_over.at2(I, J) / temperature) / student.at(J));
        let q = f.define("q", [I, J], exp(t_over.at2(I, J) / temperature) / teacher.at(J));
        let gain = (t_over.at2(I, J) - z_over.at2(I, J)) / temperature;
        let gain = f.define("g", [I, J], gain + ln(student.at(J)) - ln(teacher.at(J)));
        let kl = f.define("D", [J], sum(K, words, q.at2(K, J) * gain.at2(K, J)));
        let loss = (1.0 - weight) * nats.at(TOKEN) + weight * temperature.powi(2) * kl.at(TOKEN);
        let hit = cases(equal(I, y.index(0, J)), 1.0, 0.0);
        let text = (1.0 - weight) * (exp(z_over.at2(I, J)) / total.at(J) - hit);
        let soft = weight * temperature * (p.at2(I, J) - q.at2(I, J));
        let dz = cases(counts(J), (text + soft) * (upstream().at(0, 0) / n), 0.0);
        let dz = f.define("dz", [I, J], scores.slope(z.at2(I, J), dz));
        let dt = weight * temperature * q.at2(I, J) * (gain.at2(I, J) - kl.at(J));
        f.value(sum_where(TOKEN, tokens, counts(TOKEN), loss) / n)
            .gradient(sum(TOKEN, tokens, x.at(I, TOKEN) * dz.at2(J, TOKEN)))
            .gradient(sum(K, words, table.at(I, K) * dz.at2(K, J)))
            .gradient(cases(counts(J), dt * (upstream().at(0, 0) / n), 0.0))
            .no_gradient()
    }

    fn forward<T: Real>(
        &self,
        [table, x, teacher, targets]: [View<'_, T>; 4],
        mut loss: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let (nats, soft_nats) = work.kept.split_at_mut(x.ncols());
        self.head.chunks([table, x], work.products, work.scratch, |first, logits, _| {
            let n = logits.ncols();
            let (teacher, targets) = (teacher.columns(first, n), targets.columns(first, n));
            nats_of_columns(logits.as_view(), targets, &mut nats[first..first + n]);
            self.soft_nats(logits.as_view(), [teacher, targets], &mut soft_nats[first..first + n]);
        });
        loss[0] = self.mixed(work.kept, targets);
    }

    fn vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; 4],
        _: View<'_, T>,
        upstream: View<'_, T>,
        gradients: [Gradient<'_, T>; 4],
        work: Work<'_, T>,
    ) {
        self.descend(inputs, share(upstream, inputs[3]), gradients, work);
    }

    fn forward_and_vjp<T: Real>(
        &self,
        inputs: [View<'_, T>; 4],
        mut loss: ViewMut<'_, T>,
        upstream: View<'_, T>,
        gradients: [Gradient<'_, T>; 4],
        mut work: Work<'_, T>,
    ) {
        let share = share(upstream, inputs[3]);
        self.descend(inputs, share, gradients, work.reborrow());
        loss[0] = self.mixed(work.kept, inputs[3]);
    }

    fn flops(&self, [table, x, _, targets]: [Shape; 4]) -> u64 {
        let softened = 55 * (table.columns * x.columns) as u64;
        self.head.flops([table, x, targets]) + softened
    }

    fn vjp_reads(&self) -> Reads<4> {
        Reads { inputs: [true; 4], output: false }
    }

    fn memory(&self, [table, x, _, targets]: [Shape; 4]) -> Memory {
        let Memory { kept, scratch } = self.head.memory([table, x, targets]);
        let both = self.distillation.uses_the_text() && self.distillation.uses_the_teacher();
        let chunk = table.columns * self.head.tokens_at_once(table.columns, x.columns);
        Memory { kept: 2 * kept, scratch: scratch + if both { chunk } else { 0 } }
    }
}

impl Cases for VocabularyDistillation {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        let (words, tokens) = match size {
            Size::Matrix(m, n) => (m, n),
            // Logits are made in several chunks of several pieces, the last one short. (The vocabulary whose chunks are
            // chosen by size is the case of the loss without a teacher, who would be one more matrix of that size.)
            Size::Pieces => (1000, 521),
            Size::Heads { .. } => return,
        };
        let small = size != Size::Pieces;
        let cut = NonZeroUsize::new(256).filter(|_| !small);
        let two = NonZeroUsize::new(2).filter(|_| tokens > 2 && words < 1000);
        let all = [(2.0, 0.3, cut, None), (1.0, 1.0, two, Some(1.5)), (3.0, 0.0, None, None)];
        for (temperature, weight, chunk, cap) in all.into_iter().take(if small { 3 } else { 1 }) {
            let targets = Operand::Targets { count: tokens, classes: words };
            let teacher = numbers(words, tokens);
            let inputs = [numbers(4, words), numbers(4, tokens), teacher, targets];
            let (head, distillation) =
                (VocabularyLoss { chunk, cap }, Distillation { temperature, weight });
            visitor.visit(VocabularyDistillation { head, distillation }, inputs);
        }
    }
}
