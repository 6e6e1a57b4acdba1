//! Cross-entropy of predictions and targets, fused with the logarithm of softmax.
//!
//! Formula, for logits z (classes × tokens) and the index y of the true class of each token:
//! L = mean over tokens of −ln softmax(z)_y = mean of <var>(ln Σ e^z − z_y)</var>, in nats.
//! Gradient: dz = (softmax(z) − one-hot(y))/n: prediction minus truth.
//!
//! A good prediction has p_y near 1, where ln p_y and p_y − 1 lose digits: in `f32`, a loss of 10⁻⁴ would have three
//! correct digits. With the odds against the target, <var>o = Σ_{j≠y} e^z_j / e^z_y</var>, they are ln(1 + o) and
//! −o/(1 + o), exact to the last digits.
//!
//! Tokens with a negative target are ignored: they add no loss and are not counted.
//!
//! Minimising it maximises the likelihood of the text: <var>n·L = −ln Π p_y</var>.
//! Source: the textbook's A.4 and A.6; Goodfellow et al. 2016, section 6.2.2.
//!
//! There are three interfaces: [`cross_entropy`] of two distributions; [`of_logits`] and [`mean_of_logits`], plain
//! functions of a model's output; [`CrossEntropy`], the operation with its gradient, for recordings.

use crate::units::Nats;
use crate::{InfoError, distribution};
use linalg::accurate::{Sum, total};
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::formula::{
    I, J, K, Letter, TOKEN, at_most, cases, equal, exp, largest, ln, operand, sum, sum_where,
    upstream,
};
use linalg::{
    Formula, Gradient, Memory, Primitive, Reads, Real, Role, Shape, ShapeError, View, ViewMut,
    Work, column, gather, parallel::each_column, parallel::each_column_of, vector,
};

/// Returns the cross-entropy <var>−Σ p ln q = H(P) + KL(P‖Q)</var> of two distributions, in nats: the mean length of
/// outcomes of P in the optimal code for Q. ∞ if some q is 0 and its p is not.
///
/// # Errors
/// If p or q is not a distribution, or their lengths differ.
///
/// ```
/// use infotheory::cross_entropy::cross_entropy;
/// use infotheory::{divergence::kl, entropy::entropy};
/// let (p, q) = ([0.7, 0.2, 0.1], [0.5, 0.3, 0.2]);
/// let ce = cross_entropy(&p, &q)?.to_bits().0;
/// assert!((ce - 1.279586_f64).abs() < 1e-6); // the textbook prints 1.2365, and 1.2401 for the sum
/// assert!((ce - (entropy(&p)? + kl(&p, &q)?).to_bits().0).abs() < 1e-15);
/// // One-hot truth: only the probability of the correct answer counts.
/// assert!((cross_entropy(&[1.0, 0.0], &[0.9, 0.1])?.to_bits().0 - 0.1520_f64).abs() < 1e-4);
/// assert!((cross_entropy(&[1.0, 0.0], &[0.4, 0.6])?.to_bits().0 - 1.3219_f64).abs() < 1e-4);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("nll", "log_loss"))]
pub fn cross_entropy<T: Real>(p: &[T], q: &[T]) -> Result<Nats<T>, InfoError> {
    let (p_sum, q_sum) = distribution::sum_pair(p, q)?;
    let zero = T::zero();
    let term = |p: T, q: T| match (p == zero, q == zero) {
        (true, true) => zero,
        (false, true) => T::from_f64(f64::INFINITY),
        // Also if p is 0: its slope, −ln q, is not.
        (_, false) => -(p / p_sum * (q / q_sum).ln()),
    };
    // 0 + (−0) = +0: the cost of a certain event is +0.
    let nats = T::simd(
        #[inline(always)]
        || total(p, q, term).value(),
    );
    Ok(Nats(distribution::within(nats, 0.0, f64::INFINITY)))
}

/// Returns −ln softmax(z)_y of one token, from its logits.
///
/// A logit of −∞ has probability 0: as the target its loss is ∞.
///
/// # Errors
/// If a logit is NaN or +∞, all are −∞, or the target is not a class.
///
/// ```
/// use infotheory::cross_entropy::of_logits;
/// let nats = of_logits(&[2.0, 1.0, 0.5, -1.0, 0.1], 0)?;
/// assert!((nats.0 - 0.582419671_f64).abs() < 1e-9);
/// # Ok::<(), infotheory::InfoError>(())
/// ```
#[doc(alias("softmax_cross_entropy", "cross_entropy_loss"))]
pub fn of_logits<T: Real>(logits: &[T], target: usize) -> Result<Nats<T>, InfoError> {
    column_of_logits(0, logits, target)
}

fn column_of_logits<T: Real>(
    column: usize,
    logits: &[T],
    target: usize,
) -> Result<Nats<T>, InfoError> {
    distribution::check_logits(column, logits)?;
    if target >= logits.len() {
        let classes = logits.len();
        return Err(InfoError::Target { place: column, found: target, classes });
    }
    Ok(Nats(Token::of(logits, Some(target)).nats))
}

/// Returns the mean of [`of_logits`] over the tokens with a target; logits are (classes × tokens), one column for each
/// target.
///
/// # Errors
/// Like [`of_logits`], with the index of the wrong column; and if the numbers of targets and columns differ, or there
/// is no target.
///
/// ```
/// use infotheory::{InfoError, cross_entropy::mean_of_logits};
/// let logits = linalg::matrix(2, 3, &[0.0, 0.0, 9.0, 1.0, 0.0, 0.0]);
/// let coin = mean_of_logits(logits.as_view(), &[Some(0), None, Some(1)])?;
/// assert_eq!(coin.to_bits().0, 1.0); // the second token is not to be predicted
/// let none = mean_of_logits(logits.as_view(), &[None; 3]);
/// assert_eq!(none, Err(InfoError::NoMean { what: "targets" }));
/// # Ok::<(), InfoError>(())
/// ```
#[doc(alias("nll_loss", "ignore_index"))]
pub fn mean_of_logits<T: Real>(
    logits: View<'_, T>,
    targets: &[Option<usize>],
) -> Result<Nats<T>, InfoError> {
    if targets.len() != logits.ncols() {
        let (found, expected) = (targets.len(), logits.ncols());
        return Err(InfoError::Length { what: "the list of targets", found, expected });
    }
    let (mut sum, mut count) = (Sum::new(), 0);
    for (j, target) in targets.iter().enumerate() {
        if let Some(target) = *target {
            sum.add(column_of_logits(j, column(&logits, j), target)?.0);
            count += 1;
        }
    }
    if count == 0 {
        return Err(InfoError::NoMean { what: "targets" });
    }
    Nats(sum.value()).per(count)
}

/// The mean cross-entropy in nats; operands are logits (classes × tokens) and targets (1 × tokens).
///
/// The loss is NaN if a target is not a class, all targets are ignored (makers of batches refuse both), or a column has
/// a logit of NaN or +∞ or only −∞; [`mean_of_logits`] names the column.
///
/// ```
/// use infotheory::cross_entropy::CrossEntropy;
/// use linalg::{Primitive, Work, matrix};
/// let logits = matrix(5, 1, &[2.0, 1.0, 0.5, -1.0, 0.1]);
/// let (target, mut loss, mut kept) = (matrix(1, 1, &[0.0]), matrix(1, 1, &[0.0]), [0.0; 4]);
/// let work = Work::new(&mut kept, &mut []);
/// CrossEntropy.forward([logits.as_view(), target.as_view()], loss.as_view_mut(), work);
/// assert!((loss[0] - 0.582419671_f64).abs() < 1e-9);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy;

/// Returns the number of targets that are not ignored.
///
/// ```
/// let targets = linalg::matrix(1, 3, &[2.0, -1.0, 0.0]);
/// assert_eq!(infotheory::cross_entropy::counted(&targets.as_view()), 2);
/// ```
pub fn counted<T: Real>(targets: &View<'_, T>) -> usize {
    targets.iter().filter(|y| !is_ignored(**y)).count()
}

/// Returns whether a target is ignored.
///
/// ```
/// use infotheory::cross_entropy::is_ignored;
/// assert!(is_ignored(infotheory::IGNORED) && !is_ignored(0.0));
/// ```
pub fn is_ignored<T: Real>(target: T) -> bool {
    target.to_f64() < 0.0
}

impl Primitive<2> for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn role(&self) -> Role {
        Role::Loss
    }

    fn shape(&self, [logits, targets]: [Shape; 2]) -> Result<Shape, ShapeError> {
        gather::countable("the classes", logits.rows)?;
        targets.expect("the row of targets", Shape::new(1, logits.columns))?;
        Ok(Shape::new(1, 1))
    }

    fn formula<T: Real>(&self, [z, _]: [View<'_, T>; 2]) -> Formula {
        let (classes, tokens) = (z.nrows(), z.ncols());
        let (z, y, dy) = (operand(0), operand(1), upstream());
        let counts = |letter: Letter| at_most(0, y.index(0, letter));
        let mut f = Formula::new(
            "L",
            ["z", "y"],
            "The nats that the predictions spend on what happened, on average over tokens.",
            "the textbook's A.4; Goodfellow et al. 2016, section 6.2.2",
        );
        let n = f.define("n", [], sum_where(TOKEN, tokens, counts(TOKEN), 1.0));
        let most = f.define("m", [J], largest(K, classes, None, z.at(K, J)));
        let total = f.define("Z", [J], sum(K, classes, exp(z.at(K, J) - most.at(J))));
        let truth = z.at(y.index(0, J), J) - most.at(J);
        let nats = f.define("I", [J], ln(total.at(J)) - truth);
        let odds = f.define("p", [I, J], exp(z.at(I, J) - most.at(J)) / total.at(J));
        let hit = cases(equal(I, y.index(0, J)), 1.0, 0.0);
        let residual = (odds.at2(I, J) - hit) * (dy.at(0, 0) / n);
        f.value(sum_where(TOKEN, tokens, counts(TOKEN), nats.at(TOKEN)) / n)
            .gradient(cases(counts(J), residual, 0.0))
            .no_gradient()
    }

    fn forward<T: Real>(
        &self,
        [logits, targets]: [View<'_, T>; 2],
        mut loss: ViewMut<'_, T>,
        work: Work<'_, T>,
    ) {
        let kept = ViewMut::from_slice(work.kept, KEPT, logits.ncols());
        each_column_of(
            logits.nrows(),
            [kept],
            #[inline(always)]
            |j, [kept]| {
                let z = column(&logits, j);
                let token = Token::of(z, gather::index(targets[j], z.len()));
                kept.copy_from_slice(&token.numbers());
            },
        );
        let mut sum = Sum::new();
        for (kept, &target) in work.kept.as_chunks().0.iter().zip(targets.iter()) {
            if !is_ignored(target) {
                sum.add(Token::from_numbers(*kept).nats);
            }
        }
        loss[0] = sum.value() / T::from_f64(counted(&targets) as f64);
    }

    fn vjp<T: Real>(
        &self,
        [logits, targets]: [View<'_, T>; 2],
        _: View<'_, T>,
        upstream: View<'_, T>,
        [d_logits, _]: [Gradient<'_, T>; 2],
        work: Work<'_, T>,
    ) {
        let share = upstream[0] / T::from_f64(counted(&targets) as f64);
        let kept = work.kept.as_chunks().0;
        d_logits.add_each_column(
            #[inline(always)]
            |j, d| {
                if !is_ignored(targets[j]) {
                    let z = column(&logits, j);
                    let y = gather::index(targets[j], z.len());
                    Token::from_numbers(kept[j]).add_gradient(share, z, y, d);
                }
            },
        );
    }

    fn flops(&self, [logits, _]: [Shape; 2]) -> u64 {
        13 * logits.len() as u64
    }

    fn vjp_reads(&self) -> Reads<2> {
        Reads { inputs: [true; 2], output: false }
    }

    fn memory(&self, [logits, _]: [Shape; 2]) -> Memory {
        Memory { kept: KEPT * logits.columns, scratch: 0 }
    }
}

impl Cases for CrossEntropy {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            let targets = Operand::Targets { count: n, classes: m };
            visitor.visit(CrossEntropy, [numbers(m, n), targets]);
        }
    }
}

/// Writes −ln softmax(z)_y of every column of logits, 0 if the target is ignored.
///
/// # Panics
/// If the numbers of targets, nats and columns differ.
///
/// ```
/// use infotheory::cross_entropy::nats_of_columns;
/// let (logits, targets) = (linalg::Matrix::zeros(4, 2), linalg::matrix(1, 2, &[3.0, -1.0]));
/// let mut nats = [0.0; 2];
/// nats_of_columns(logits.as_view(), targets.as_view(), &mut nats);
/// assert_eq!(nats, [4.0_f64.ln(), 0.0]); // one of four; not to be predicted
/// ```
pub fn nats_of_columns<T: Real>(logits: View<'_, T>, targets: View<'_, T>, nats: &mut [T]) {
    assert!(targets.ncols() == logits.ncols() && nats.len() == logits.ncols());
    let nats = ViewMut::from_slice(nats, 1, logits.ncols());
    each_column_of(
        logits.nrows(),
        [nats],
        #[inline(always)]
        |j, [nats]| {
            let z = column(&logits, j);
            let token =
                (!is_ignored(targets[j])).then(|| Token::of(z, gather::index(targets[j], z.len())));
            nats[0] = token.map_or(T::zero(), |token| token.nats);
        },
    );
}

/// Replaces logits by the gradient of Σ share(j)·nats of column j with respect to them, and writes the nats of every column,
/// like [`nats_of_columns`].
///
/// # Panics
/// Like [`nats_of_columns`].
///
/// ```
/// use infotheory::cross_entropy::gradient_in_place;
/// let (mut z, targets) = (linalg::Matrix::zeros(2, 1), linalg::matrix(1, 1, &[0.0]));
/// let mut nats = [0.0];
/// gradient_in_place(z.as_view_mut(), targets.as_view(), |_| 1.0, &mut nats);
/// assert_eq!(z.as_slice(), &[-0.5, 0.5]); // prediction minus truth
/// assert_eq!(infotheory::bits(nats[0]), 1.0);
/// ```
pub fn gradient_in_place<T: Real>(
    logits: ViewMut<'_, T>,
    targets: View<'_, T>,
    share: impl Fn(usize) -> T + Sync,
    nats: &mut [T],
) {
    assert!(targets.ncols() == logits.ncols() && nats.len() == logits.ncols());
    let nats = ViewMut::from_slice(nats, 1, logits.ncols());
    each_column(
        [logits, nats],
        #[inline(always)]
        |j, [z, nats]| {
            nats[0] = if is_ignored(targets[j]) {
                z.fill(T::zero());
                T::zero()
            } else {
                let y = gather::index(targets[j], z.len());
                Token::into_gradient(share(j), z, y)
            };
        },
    );
}

/// The values of a token that forward stores.
#[derive(Clone, Copy)]
struct Token<T> {
    /// −ln softmax(z)_y.
    nats: T,
    /// The largest logit.
    maximum: T,
    /// 1/Σ e^(z − maximum).
    scale: T,
    /// <var>Σ_{j≠y} softmax(z)_j</var>.
    others: T,
}

/// The number of values of a [`Token`].
const KEPT: usize = 4;

impl<T: Real> Token<T> {
    #[inline(always)]
    fn of(z: &[T], y: Option<usize>) -> Self {
        let maximum = vector::maximum(z);
        let sum = |z: &[T]| {
            vector::reduce(
                z,
                z,
                #[inline(always)]
                |z, _| (z - maximum).exp(),
            )
        };
        let Some(y) = y else {
            let nan = T::from_f64(f64::NAN);
            return Token { nats: nan, maximum, scale: nan, others: nan };
        };
        let (others, truth) = (sum(&z[..y]) + sum(&z[y + 1..]), (z[y] - maximum).exp());
        Token::of_sums(others, truth, maximum, z[y])
    }

    /// Computes a token from Σ_{j≠y} e^(z_j − maximum) and e^(z_y − maximum).
    #[inline(always)]
    fn of_sums(others: T, truth: T, maximum: T, z_y: T) -> Self {
        let scale = T::one() / (others + truth);
        let nats = if others < truth {
            (others / truth).ln_1p()
        } else {
            (others + truth).ln() + (maximum - z_y)
        };
        Token { nats, maximum, scale, others: others * scale }
    }

    /// Computes <var>z ← share·(softmax(z) − one-hot(y))</var>; returns −ln softmax(z)_y.
    #[inline(always)]
    fn into_gradient(share: T, z: &mut [T], y: Option<usize>) -> T {
        let Some(y) = y else {
            let nan = T::from_f64(f64::NAN);
            z.fill(nan);
            return nan;
        };
        let (maximum, z_y) = (vector::maximum(z), z[y]);
        z.iter_mut().for_each(|z| *z = (*z - maximum).exp());
        let others = vector::sum(&z[..y]) + vector::sum(&z[y + 1..]);
        let token = Token::of_sums(others, z[y], maximum, z_y);
        let factor = share * token.scale;
        z.iter_mut().for_each(|z| *z *= factor);
        z[y] = -(share * token.others);
        token.nats
    }

    /// Adds <var>share·(softmax(z) − one-hot(y))</var> to d.
    #[inline(always)]
    fn add_gradient(&self, share: T, z: &[T], y: Option<usize>, d: &mut [T]) {
        let before = y.map(|y| d[y]);
        let factor = share * self.scale;
        for (d, &z) in d.iter_mut().zip(z) {
            *d += factor * (z - self.maximum).exp();
        }
        if let (Some(y), Some(before)) = (y, before) {
            d[y] = before - share * self.others;
        }
    }

    fn numbers(self) -> [T; KEPT] {
        [self.nats, self.maximum, self.scale, self.others]
    }

    fn from_numbers([nats, maximum, scale, others]: [T; KEPT]) -> Self {
        Token { nats, maximum, scale, others }
    }
}

#[cfg(test)]
mod tests;
