//! How a replay computes the products of its linear maps.

use super::Tape;
use linalg::{Products, Real};

impl<T: Real> Tape<T> {
    /// Sets how the next replays read the factors of the products of linear maps and losses
    /// ([`Role::Linear`](linalg::Role::Linear), [`Role::Loss`](linalg::Role::Loss)); as they are, unless it is set. All else
    /// stays as it is: attention, norms, sums of gradients.
    ///
    /// ```
    /// use calculus::Recorder;
    /// use linalg::{Products, Shape, product::Product};
    /// let mut r = Recorder::<f32>::new();
    /// let w = r.parameter("w", Shape::new(1, 1))?;
    /// let x = r.input("x", Shape::new(1, 1))?;
    /// let y = r.push("y", Product::plain(), [w, x])?;
    /// let mut tape = r.finish();
    /// tape.set(w, &[1.001]);
    /// tape.set(x, &[3.0]);
    /// tape.set_products(Products::Bf16);
    /// tape.forward();
    /// assert_eq!(tape.elements(y), [3.0]); // 1 is the nearest bfloat16 of 1.001
    /// # Ok::<(), calculus::RecordError>(())
    /// ```
    pub fn set_products(&mut self, products: Products) {
        self.products = products;
    }

    /// Returns what was set by [`Tape::set_products`].
    pub fn products(&self) -> Products {
        self.products
    }
}
