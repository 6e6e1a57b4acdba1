//! The chain rule, step by step: the Jacobian of a composition is the product of Jacobians.
//!
//! <var>y = fₗ(…f₂(f₁(x)))</var>: <var>J = Jₗ·…·J₂·J₁</var>, with each Jₗ at its layer's input. Matrix multiplication
//! is associative, and its two orders are the two modes: from the right (forward) every product has as many columns as
//! there are inputs, from the left (reverse, backpropagation) as many rows as there are outputs. A loss has one output,
//! so from the left every product is a vector times a matrix.
//!
//! Source: the textbook's A.3; Baur and Strassen 1983 for the cost of the gradient.

use crate::{Dual, jacobian};
use linalg::{Matrix, Real, product_into};

/// A layer of a composition: a map of vectors, on dual numbers.
pub type Layer<'a, T> = &'a dyn Fn(&[Dual<T>]) -> Vec<Dual<T>>;

/// The values and Jacobians of a composition of layers at one point.
#[derive(Clone, Debug)]
pub struct Chain<T> {
    values: Vec<Vec<T>>,
    jacobians: Vec<Matrix<T>>,
}

impl<T: Real> Chain<T> {
    /// Runs `layers` one after another from `x`.
    ///
    /// ```
    /// use calculus::{chain::Chain, activation::relu, Dual};
    /// // The textbook's smallest network in its parameter w: z = 2w + ½, a = ReLU(z), L = (a − 1)².
    /// let chain = Chain::of(
    ///     &[
    ///         &|w: &[Dual<f64>]| vec![2.0 * w[0] + 0.5],
    ///         &|z: &[Dual<f64>]| vec![relu(z[0])],
    ///         &|a: &[Dual<f64>]| vec![(a[0] - 1.0) * (a[0] - 1.0)],
    ///     ],
    ///     &[0.5],
    /// );
    /// let factors: Vec<f64> = chain.jacobians().iter().map(|j| j[(0, 0)]).collect();
    /// assert_eq!(factors, [2.0, 1.0, 1.0]); // dz/dw, da/dz, dL/da
    /// assert_eq!(chain.product()[(0, 0)], 2.0); // dL/dw
    /// ```
    pub fn of(layers: &[Layer<'_, T>], x: &[T]) -> Self {
        let (mut values, mut jacobians) = (vec![x.to_vec()], Vec::new());
        let mut reached = x.to_vec();
        for layer in layers {
            jacobians.push(jacobian(layer, &reached));
            let constants: Vec<_> = reached.iter().map(|&x| Dual::constant(x)).collect();
            reached = layer(&constants).into_iter().map(|y| y.value).collect();
            values.push(reached.clone());
        }
        Chain { values, jacobians }
    }

    /// Returns the input of the first layer, followed by the output of every layer.
    ///
    /// ```
    /// # use calculus::{Dual, chain::Chain};
    /// # let double = |x: &[Dual<f64>]| vec![2.0 * x[0]];
    /// # let square = |x: &[Dual<f64>]| vec![x[0] * x[0]];
    /// # let chain = Chain::of(&[&double, &square], &[3.0]);
    /// assert_eq!(chain.values(), [[3.0], [6.0], [36.0]]); // x, 2x, (2x)²
    /// ```
    pub fn values(&self) -> &[Vec<T>] {
        &self.values
    }

    /// Returns the Jacobian of each layer at its input.
    ///
    /// ```
    /// # use calculus::{Dual, chain::Chain};
    /// # let double = |x: &[Dual<f64>]| vec![2.0 * x[0]];
    /// # let square = |x: &[Dual<f64>]| vec![x[0] * x[0]];
    /// # let chain = Chain::of(&[&double, &square], &[3.0]);
    /// let factors: Vec<f64> = chain.jacobians().iter().map(|j| j[(0, 0)]).collect();
    /// assert_eq!(factors, [2.0, 12.0]); // d(2x)/dx, d(u²)/du at u = 6
    /// ```
    pub fn jacobians(&self) -> &[Matrix<T>] {
        &self.jacobians
    }

    /// Returns <var>Jₗ·…·J₁</var>, the Jacobian of the composition; the identity if there are no layers.
    ///
    /// ```
    /// # use calculus::{Dual, chain::Chain};
    /// # let double = |x: &[Dual<f64>]| vec![2.0 * x[0]];
    /// # let square = |x: &[Dual<f64>]| vec![x[0] * x[0]];
    /// # let chain = Chain::of(&[&double, &square], &[3.0]);
    /// assert_eq!(chain.product()[(0, 0)], 24.0); // 12·2
    /// ```
    pub fn product(&self) -> Matrix<T> {
        let n = self.values[0].len();
        self.jacobians.iter().fold(Matrix::identity(n, n), |product, j| multiply(j, &product))
    }

    /// Returns the gradient of each of [`Chain::values`], given the gradient `upstream` of the last: backpropagation,
    /// with one vector-matrix product per layer.
    ///
    /// # Panics
    /// If the length of `upstream` is not the number of outputs.
    ///
    /// ```
    /// use calculus::{Dual, chain::Chain};
    /// let double = |x: &[Dual<f64>]| vec![2.0 * x[0]];
    /// let square = |x: &[Dual<f64>]| vec![x[0] * x[0]];
    /// let chain = Chain::of(&[&double, &square], &[3.0]);
    /// assert_eq!(chain.gradients(&[1.0]), [[24.0], [12.0], [1.0]]); // d(2x)²/dx = 8x, dy/d(2x), dy/dy
    /// ```
    pub fn gradients(&self, upstream: &[T]) -> Vec<Vec<T>> {
        assert_eq!(upstream.len(), self.values[self.jacobians.len()].len(), "one per output");
        let mut row = Matrix::from_row_slice(1, upstream.len(), upstream);
        let mut gradients = vec![upstream.to_vec()];
        for j in self.jacobians.iter().rev() {
            row = multiply(&row, j);
            gradients.push(row.as_slice().to_vec());
        }
        gradients.reverse();
        gradients
    }

    /// Returns the multiplications for the whole Jacobian from the right, the order of forward mode.
    ///
    /// ```
    /// use calculus::{chain::Chain, Dual};
    /// // From 4 numbers to 3, and then to one.
    /// let wide = |x: &[Dual<f64>]| vec![x[0] * x[1], x[1] * x[2], x[2] * x[3]];
    /// let loss = |y: &[Dual<f64>]| vec![y[0] + y[1] * y[2]];
    /// let chain = Chain::of(&[&wide, &loss], &[1.0, 2.0, 3.0, 4.0]);
    /// assert_eq!(chain.forward_cost(), 4 * (4 * 3 + 3)); // one run per input
    /// assert_eq!(chain.reverse_cost(), 3 + 3 * 4);       // one backward pass per output
    /// ```
    pub fn forward_cost(&self) -> usize {
        self.values[0].len() * self.elements()
    }

    /// Returns the multiplications from the left, the order of reverse mode.
    pub fn reverse_cost(&self) -> usize {
        self.values[self.jacobians.len()].len() * self.elements()
    }

    fn elements(&self) -> usize {
        self.jacobians.iter().map(|j| j.len()).sum()
    }
}

fn multiply<T: Real>(a: &Matrix<T>, b: &Matrix<T>) -> Matrix<T> {
    let mut c = Matrix::zeros(a.nrows(), b.ncols());
    product_into(c.as_view_mut(), T::one(), a.as_view(), b.as_view());
    c
}
