//! What a rule adds to.

use crate::{Factor, Real, View, ViewMut, parallel, product_to};

/// The gradient of an operand, to which a rule adds what it sends back.
///
/// A gradient is *fresh* where the rule is the first to add: what it holds means nothing, and adding is writing,
/// which spares a pass over memory. A fresh gradient that a rule leaves alone, such as that of an index, becomes zeros.
///
/// ```
/// use linalg::{Gradient, matrix};
/// let (dy, mut sum) = (matrix(1, 2, &[1.0, 2.0]), matrix(1, 2, &[f64::NAN; 2]));
/// Gradient::fresh(sum.as_view_mut()).add(dy.as_view());
/// assert_eq!(sum.as_slice(), &[1.0, 2.0]);
/// Gradient::new(sum.as_view_mut()).add_each([dy.as_view()], |[dy]| 10.0 * dy);
/// assert_eq!(sum.as_slice(), &[11.0, 22.0]);
/// drop(Gradient::fresh(sum.as_view_mut()));
/// assert_eq!(sum.as_slice(), &[0.0, 0.0]);
/// ```
#[derive(Debug)]
pub struct Gradient<'a, T: Real> {
    sum: ViewMut<'a, T>,
    fresh: bool,
}

impl<'a, T: Real> Gradient<'a, T> {
    /// A sum that others have added to.
    pub fn new(sum: ViewMut<'a, T>) -> Self {
        Gradient { sum, fresh: false }
    }

    /// Memory that holds nothing yet.
    pub fn fresh(sum: ViewMut<'a, T>) -> Self {
        Gradient { sum, fresh: true }
    }

    /// Adds `dy`, of the same shape.
    pub fn add(self, dy: View<'_, T>) {
        self.add_each([dy], |[dy]| dy);
    }

    /// Adds `term` of the elements of matrices of the same shape, element by element: see [`parallel::each`].
    #[inline(always)]
    pub fn add_each<const K: usize>(self, x: [View<'_, T>; K], term: impl Fn([T; K]) -> T + Sync) {
        match self.parts() {
            (sum, true) => parallel::each(sum, x, term),
            (sum, false) => parallel::update_each(
                sum,
                x,
                #[inline(always)]
                |sum, x| *sum += term(x),
            ),
        }
    }

    /// Adds to every column what `add(j, sum)` adds to column j, which holds zeros where the gradient is fresh: see
    /// [`parallel::each_column`].
    #[inline(always)]
    pub fn add_each_column(self, add: impl Fn(usize, &mut [T]) + Sync) {
        let (sum, fresh) = self.parts();
        parallel::each_column(
            [sum],
            #[inline(always)]
            |j, [sum]| {
                if fresh {
                    sum.fill(T::zero());
                }
                add(j, sum);
            },
        );
    }

    /// Adds the product <var>A·B</var>.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn add_product<'f>(self, a: impl Into<Factor<'f, T>>, b: impl Into<Factor<'f, T>>)
    where
        T: 'f,
    {
        let (sum, fresh) = self.parts();
        product_to(sum, a, b, !fresh);
    }

    /// The sum so far, of zeros where it is fresh: for a rule that adds in ways of its own.
    pub fn zeroed(self) -> ViewMut<'a, T> {
        let (mut sum, fresh) = self.parts();
        if fresh {
            parallel::fill(sum.as_view_mut(), T::zero());
        }
        sum
    }

    /// The memory, and whether it is fresh: for a rule that looks for itself.
    pub fn parts(mut self) -> (ViewMut<'a, T>, bool) {
        let nothing = ViewMut::from_slice(&mut [], 0, 0);
        (std::mem::replace(&mut self.sum, nothing), std::mem::take(&mut self.fresh))
    }
}

impl<T: Real> Drop for Gradient<'_, T> {
    fn drop(&mut self) {
        if self.fresh {
            self.sum.fill(T::zero());
        }
    }
}
