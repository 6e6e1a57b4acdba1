//! The gradient buffers that a vjp adds to.

use crate::{Factor, Products, Real, View, ViewMut, kernel::product::product, parallel};

/// The gradient of an operand, to which a vjp adds its contribution.
///
/// A gradient is *fresh* if nothing was added to it yet: its values are arbitrary, and the first contribution is
/// written, which saves a pass over memory. A fresh gradient that a vjp leaves alone, like that of an index, becomes
/// zeros.
///
/// A gradient is *unwanted* if nothing that is learned needs it: that of a frozen parameter, or of what only frozen
/// parameters and data determine. It has no memory, what is added to it is not computed, and a rule that adds in its own
/// way leaves it out.
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
/// Gradient::unwanted().add_each([dy.as_view()], |[_]| unreachable!());
/// ```
#[derive(Debug)]
pub struct Gradient<'a, T: Real> {
    /// `None` if it is unwanted.
    sum: Option<ViewMut<'a, T>>,
    fresh: bool,
}

impl<'a, T: Real> Gradient<'a, T> {
    /// Wraps a sum that already holds contributions.
    pub fn new(sum: ViewMut<'a, T>) -> Self {
        Gradient { sum: Some(sum), fresh: false }
    }

    /// Wraps memory that holds no contribution yet.
    pub fn fresh(sum: ViewMut<'a, T>) -> Self {
        Gradient { sum: Some(sum), fresh: true }
    }

    /// A gradient that nothing needs.
    pub fn unwanted() -> Self {
        Gradient { sum: None, fresh: false }
    }

    /// Whether anything needs it.
    pub fn is_wanted(&self) -> bool {
        self.sum.is_some()
    }

    /// Adds `dy`, which has the same shape.
    pub fn add(self, dy: View<'_, T>) {
        self.add_each([dy], |[dy]| dy);
    }

    /// Adds `term(x)` element by element, for matrices x of the same shape: see [`parallel::each`].
    #[inline(always)]
    pub fn add_each<const K: usize>(self, x: [View<'_, T>; K], term: impl Fn([T; K]) -> T + Sync) {
        match self.parts() {
            None => {}
            Some((sum, true)) => parallel::each(sum, x, term),
            Some((sum, false)) => parallel::update_each(
                sum,
                x,
                #[inline(always)]
                |sum, x| *sum += term(x),
            ),
        }
    }

    /// Calls `add(j, sum)` for every column j, which adds to that column. The column holds zeros if the gradient is
    /// fresh. See [`parallel::each_column`].
    #[inline(always)]
    pub fn add_each_column(self, add: impl Fn(usize, &mut [T]) + Sync) {
        let Some((sum, fresh)) = self.parts() else { return };
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
        self.add_scaled_product(T::one(), a, b);
    }

    /// Adds the product <var>A·B</var>; `products` says how its factors are read.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn add_product_of<'f>(
        self,
        products: Products,
        a: impl Into<Factor<'f, T>>,
        b: impl Into<Factor<'f, T>>,
    ) where
        T: 'f,
    {
        if let Some((sum, fresh)) = self.parts() {
            products.to(sum, a, b, !fresh);
        }
    }

    /// Adds the product <var>α·A·B</var>.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn add_scaled_product<'f>(
        self,
        alpha: T,
        a: impl Into<Factor<'f, T>>,
        b: impl Into<Factor<'f, T>>,
    ) where
        T: 'f,
    {
        if let Some((sum, fresh)) = self.parts() {
            product(Products::Full, sum, alpha, a.into(), b.into(), !fresh);
        }
    }

    /// Returns the sum so far, set to zeros if it is fresh, for a vjp that adds in its own way; `None` if it is unwanted.
    pub fn zeroed(self) -> Option<ViewMut<'a, T>> {
        let (mut sum, fresh) = self.parts()?;
        if fresh {
            parallel::fill(sum.as_view_mut(), T::zero());
        }
        Some(sum)
    }

    /// Returns the memory, and whether it is fresh, for a vjp that handles both cases itself; `None` if it is unwanted.
    pub fn parts(mut self) -> Option<(ViewMut<'a, T>, bool)> {
        self.sum.take().map(|sum| (sum, self.fresh))
    }
}

impl<T: Real> Drop for Gradient<'_, T> {
    fn drop(&mut self) {
        if let (Some(sum), true) = (&mut self.sum, self.fresh) {
            sum.fill(T::zero());
        }
    }
}
