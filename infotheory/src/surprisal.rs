//! Surprisal, the information of an event: the textbook's path from probabilities to the loss.
//!
//! Formula: <var>I(y) = −ln p_y</var>, in nats. Gradient: <var>dp_y = −dI/p_y</var>.
//! The mean over tokens is the cross-entropy. If a probability underflows to 0 the surprisal is ∞;
//! [`crate::cross_entropy`], which training uses, has no such limit.
//! Source: Shannon 1948; the textbook's A.4.

use crate::cross_entropy::{counted, is_ignored};
use linalg::cases::{Cases, Operand, Size, Visitor, numbers};
use linalg::formula::{
    I, J, Letter, TOKEN, at_most, cases, equal, ln, operand, sum_where, upstream,
};
use linalg::{
    Formula, Gradient, Primitive, Real, Role, Shape, ShapeError, View, ViewMut, Work, gather,
};

/// −ln p_y of every token; operands are probabilities (classes × tokens) and targets (1 × tokens). The surprisal of an
/// ignored target is 0, that of an invalid target NaN.
///
/// The surprisal of probability 0 is ∞, of 1 +0, of a negative number or NaN NaN.
///
/// ```
/// use infotheory::surprisal::Surprisal;
/// use linalg::{Primitive, Work, matrix};
/// let p = matrix(2, 2, &[0.5, 0.5, 0.25, 0.75]); // a fair coin, and one that is not
/// let (y, mut nats) = (matrix(1, 2, &[0.0, 0.0]), matrix(1, 2, &[0.0; 2]));
/// Surprisal.forward([p.as_view(), y.as_view()], nats.as_view_mut(), Work::none());
/// assert_eq!(infotheory::bits(nats[0]), 1.0);
/// assert_eq!(infotheory::bits(nats[1]), 2.0);
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias("nll_loss", "per_token_loss"))]
pub struct Surprisal;

impl Primitive<2> for Surprisal {
    fn name(&self) -> &'static str {
        "surprisal"
    }

    fn shape(&self, [p, targets]: [Shape; 2]) -> Result<Shape, ShapeError> {
        gather::countable("the classes", p.rows)?;
        targets.expect("the row of targets", Shape::new(1, p.columns))?;
        Ok(targets)
    }

    fn formula<T: Real>(&self, _: [View<'_, T>; 2]) -> Formula {
        let (p, y, dy) = (operand(0), operand(1), upstream());
        let truth = || y.index(0, J);
        Formula::new(
            "I",
            ["p", "y"],
            "The information in what happened: the less probable, the more nats.",
            "Shannon, A Mathematical Theory of Communication, 1948",
        )
        .value(cases(at_most(0, truth()), -ln(p.at(truth(), J)), 0.0))
        .gradient(cases(equal(I, truth()), -(dy.at(0, J) / p.at(I, J)), 0.0))
        .no_gradient()
    }

    fn forward<T: Real>(
        &self,
        [p, targets]: [View<'_, T>; 2],
        mut nats: ViewMut<'_, T>,
        _: Work<'_, T>,
    ) {
        for j in 0..p.ncols() {
            nats[j] = match gather::index(targets[j], p.nrows()) {
                _ if is_ignored(targets[j]) => T::zero(),
                Some(y) => T::zero() - p[(y, j)].ln(), // +0, not −0, for a certain event
                None => T::from_f64(f64::NAN),
            };
        }
    }

    fn vjp<T: Real>(
        &self,
        [p, targets]: [View<'_, T>; 2],
        _: View<'_, T>,
        d_nats: View<'_, T>,
        [dp, _]: [Gradient<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        let Some(mut dp) = dp.zeroed() else { return };
        for j in 0..p.ncols() {
            if let Some(y) = gather::index(targets[j], p.nrows()) {
                dp[(y, j)] -= d_nats[j] / p[(y, j)];
            }
        }
    }

    fn flops(&self, [p, _]: [Shape; 2]) -> u64 {
        11 * p.columns as u64
    }
}

/// The mean over the tokens that are not ignored; operands are a row of numbers and the targets.
///
/// ```
/// use infotheory::surprisal::MeanOverTargets;
/// use linalg::{Primitive, Work, matrix};
/// let (nats, targets) = (matrix(1, 3, &[1.0, 9.0, 2.0]), matrix(1, 3, &[4.0, -1.0, 7.0]));
/// let mut mean = matrix(1, 1, &[0.0]);
/// MeanOverTargets.forward([nats.as_view(), targets.as_view()], mean.as_view_mut(), Work::none());
/// assert_eq!(mean[0], 1.5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MeanOverTargets;

impl Primitive<2> for MeanOverTargets {
    fn name(&self) -> &'static str {
        "mean over targets"
    }

    fn role(&self) -> Role {
        Role::Loss
    }

    fn shape(&self, [x, targets]: [Shape; 2]) -> Result<Shape, ShapeError> {
        x.expect_rows("the row of numbers", 1)?;
        targets.expect("the row of targets", x)?;
        Ok(Shape::new(1, 1))
    }

    fn formula<T: Real>(&self, [x, _]: [View<'_, T>; 2]) -> Formula {
        let tokens = x.ncols();
        let (x, y, dy) = (operand(0), operand(1), upstream());
        let counts = |letter: Letter| at_most(0, y.index(0, letter));
        let mut f = Formula::new(
            "L",
            ["x", "y"],
            "The mean over the tokens that are to be predicted.",
            "the textbook's A.4",
        );
        let n = f.define("n", [], sum_where(TOKEN, tokens, counts(TOKEN), 1.0));
        f.value(sum_where(TOKEN, tokens, counts(TOKEN), x.at(0, TOKEN)) / n)
            .gradient(cases(counts(J), dy.at(0, 0) / n, 0.0))
            .no_gradient()
    }

    fn forward<T: Real>(
        &self,
        [x, targets]: [View<'_, T>; 2],
        mut mean: ViewMut<'_, T>,
        _: Work<'_, T>,
    ) {
        let counting = x.iter().zip(targets.iter()).filter(|(_, y)| !is_ignored(**y));
        let sum = linalg::accurate::sum(counting.map(|(x, _)| *x));
        mean[0] = sum / T::from_f64(counted(&targets) as f64);
    }

    fn vjp<T: Real>(
        &self,
        [x, targets]: [View<'_, T>; 2],
        _: View<'_, T>,
        upstream: View<'_, T>,
        [dx, _]: [Gradient<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        let (Some(mut dx), n) = (dx.zeroed(), counted(&targets)) else { return };
        let share = upstream[0] / T::from_f64(n as f64);
        for j in (0..x.ncols()).filter(|&j| !is_ignored(targets[j])) {
            dx[j] += share;
        }
    }

    fn flops(&self, [x, _]: [Shape; 2]) -> u64 {
        // An addition and its rounding error.
        8 * x.len() as u64
    }
}

impl Cases for Surprisal {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            // Away from 0, where the derivatives of −ln p are too large for a finite difference.
            let p = Operand::Probabilities(Shape::new(m, n));
            visitor.visit(Surprisal, [p, Operand::Targets { count: n, classes: m }]);
        }
    }
}

impl Cases for MeanOverTargets {
    fn cases(size: Size, visitor: &mut impl Visitor) {
        if let Size::Matrix(m, n) = size {
            let targets = Operand::Targets { count: n, classes: m };
            visitor.visit(MeanOverTargets, [numbers(1, n), targets]);
        }
    }
}
