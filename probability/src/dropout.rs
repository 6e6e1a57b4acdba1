//! Dropout: during training, every element is dropped with probability p.
//!
//! Formula: y = x ⊙ m/(1 − p) with independent m ∈ {0, 1}, P(m = 0) = p, so that E\[y\] = x.
//! Gradient: dx = dy ⊙ m/(1 − p), with the same m.
//! p is the probability to *drop*, as in PyTorch; some texts write the probability to keep.
//! Source: Srivastava et al., *Dropout*, 2014.

use crate::random::Random;
use linalg::formula::{I, J, operand, upstream};
use linalg::{
    Formula, Matrix, Primitive, Real, Shape, ShapeError, View, ViewMut, Work, column, parallel,
};

/// Which elements are dropped: a function of (seed, stream, step, element).
#[derive(Clone, Copy, Debug)]
pub struct DropoutMask {
    random: Random,
    /// An element is dropped if its 32 random bits are below this: p·2³².
    threshold: u64,
    scale: f64,
}

impl DropoutMask {
    /// The factor of element `index`: 0, or 1/(1 − p).
    #[inline(always)]
    pub fn factor<T: Real>(&self, index: u64) -> T {
        let word = self.random.block(index / 4)[(index % 4) as usize];
        T::from_f64(if u64::from(word) < self.threshold { 0.0 } else { self.scale })
    }

    /// Calls `each(i, factor)` for the elements `first + i`, i = 0 .. n.
    #[inline(always)]
    pub fn for_each<T: Real>(&self, first: u64, n: usize, mut each: impl FnMut(usize, T)) {
        let mut words = [0; 4];
        for i in 0..n {
            let index = first + i as u64;
            if i == 0 || index.is_multiple_of(4) {
                words = self.random.block(index / 4);
            }
            let dropped = u64::from(words[(index % 4) as usize]) < self.threshold;
            each(i, T::from_f64(if dropped { 0.0 } else { self.scale }));
        }
    }
}

/// Dropout of x; the second operand is a single number, the step, which selects the mask. At a
/// negative step nothing is dropped: that is evaluation, on the same recording.
///
/// ```
/// use linalg::{Primitive, Work, matrix};
/// use probability::dropout::Dropout;
/// let dropout = Dropout { rate: 0.5, seed: 1, stream: 0 };
/// let x = matrix(4, 25, &[1.0; 100]);
/// let mut y = x.clone();
/// dropout.forward([x.as_view(), matrix(1, 1, &[0.0]).as_view()], y.as_view_mut(), Work::none());
/// assert!(y.iter().all(|&y| y == 0.0 || y == 2.0));
/// dropout.forward([x.as_view(), matrix(1, 1, &[-1.0]).as_view()], y.as_view_mut(), Work::none());
/// assert_eq!(x, y);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability to drop, at least 0 and below 1.
    pub rate: f64,
    /// The seed of the run.
    pub seed: u64,
    /// Which dropout of the network this is: each draws masks of its own.
    pub stream: u32,
}

impl Dropout {
    /// The mask of a step, or none if the step is negative.
    pub fn mask<T: Real>(&self, step: T) -> Option<DropoutMask> {
        let step = step.to_f64();
        (step >= 0.0).then(|| DropoutMask {
            random: Random::new(self.seed, self.stream, step as u32),
            threshold: (self.rate * 4_294_967_296.0) as u64,
            scale: 1.0 / (1.0 - self.rate),
        })
    }
}

impl Primitive<2> for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn shape(&self, [x, step]: [Shape; 2]) -> Result<Shape, ShapeError> {
        step.expect("the step number", Shape::new(1, 1))?;
        Ok(x)
    }

    fn flops(&self, [x, _]: [Shape; 2]) -> u64 {
        x.len() as u64
    }

    fn formula<T: Real>(&self, [x, step]: [View<'_, T>; 2]) -> Formula {
        let mask = self.mask(step[0]);
        let factor = |i: usize, j: usize| match &mask {
            Some(mask) => mask.factor::<f64>((j * x.nrows() + i) as u64),
            None => 1.0,
        };
        let factors = Matrix::from_fn(x.nrows(), x.ncols(), factor);
        let (x, dy) = (operand(0), upstream());
        let mut f = Formula::new(
            "y",
            ["x", "step"],
            "Switches a random share of the elements off for this step and scales the rest up.",
            "Srivastava et al., Dropout, 2014",
        );
        let mask = f.table("mask", factors);
        f.value(x.at(I, J) * mask.at(I, J)).gradient(dy.at(I, J) * mask.at(I, J)).no_gradient()
    }

    fn forward<T: Real>(&self, [x, step]: [View<'_, T>; 2], mut y: ViewMut<'_, T>, _: Work<'_, T>) {
        let Some(mask) = self.mask(step[0]) else { return y.copy_from(&x) };
        parallel::columns([y], |first, [mut y]| {
            for (j, mut y) in y.column_iter_mut().enumerate() {
                let (x, y) = (column(&x, first + j), y.as_mut_slice());
                let start = ((first + j) * x.len()) as u64;
                mask.for_each(start, x.len(), |i, factor: T| y[i] = x[i] * factor);
            }
        });
    }

    fn vjp<T: Real>(
        &self,
        [_, step]: [View<'_, T>; 2],
        _: View<'_, T>,
        dy: View<'_, T>,
        [mut dx, _]: [ViewMut<'_, T>; 2],
        _: Work<'_, T>,
    ) {
        let Some(mask) = self.mask(step[0]) else { return dx += dy };
        parallel::columns([dx], |first, [mut dx]| {
            for (j, mut dx) in dx.column_iter_mut().enumerate() {
                let (dy, dx) = (column(&dy, first + j), dx.as_mut_slice());
                let start = ((first + j) * dy.len()) as u64;
                mask.for_each(start, dy.len(), |i, factor: T| dx[i] += dy[i] * factor);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_its_share() {
        let n = 100_000_u64;
        for rate in [0.1, 0.5, 0.9] {
            let mask = Dropout { rate, seed: 3, stream: 1 }.mask(5.0).unwrap();
            let dropped = (0..n).filter(|&i| mask.factor::<f64>(i) == 0.0).count() as f64;
            let error = (rate * (1.0 - rate) / n as f64).sqrt();
            assert!((dropped / n as f64 - rate).abs() < 5.0 * error);
        }
    }

    #[test]
    fn both_ways_of_reading_a_mask_agree() {
        let mask = Dropout { rate: 0.3, seed: 3, stream: 1 }.mask(5.0).unwrap();
        for first in 0..9 {
            mask.for_each(first, 20, |i, f: f64| assert_eq!(f, mask.factor(first + i as u64)));
        }
    }
}
