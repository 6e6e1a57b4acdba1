//! Power iteration and Lanczos: eigenvalues of a matrix that is given only as a function.
//!
//! An operator is a closure `|x, y|` that writes A·x into y. It may be a product of layers, or the Hessian of a loss,
//! which is too large to store, but whose product v ↦ H·v costs only two backpropagations.
//!
//! Formulas. Power iteration: <var>v ← A·v/‖A·v‖</var>, <var>λ ≈ vᵀ·A·v</var>. Lanczos, for symmetric A: an orthonormal
//! basis Q of v, A·v, <var>A²·v</var>, … in which A is tridiagonal, <var>Qᵀ·A·Q = T</var>. The eigenvalues θ of T (Ritz
//! values) approach those of A at both ends first, each with an error bound: some eigenvalue λ has |θ − λ| ≤ ‖A·x −
//! θ·x‖. In a transformer: λ_max of the Hessian bounds the learning rate, η < 2/λ_max; λ_min < 0 at a point with zero
//! gradient means that it is a saddle.
//! Source: Lanczos, 1950; Golub and Van Loan, *Matrix Computations*, sections 7.3 and 10.1; Parlett, *The Symmetric
//! Eigenvalue Problem*, 1998, chapter 13 (full reorthogonalisation).
//!
//! Vectors have the operator's scalar; eigenvalues and residuals are `f64` and carry no derivative. The vector of power
//! iteration carries the derivative of the iteration; a Ritz vector, combined with `f64` coefficients, carries none.

use crate::decomposition::basis::remove;
use crate::decomposition::symmetric::SymmetricEigen;
use crate::error::{finite_elements, in_range};
use crate::norm::{direction, exponent, l2, times_power};
use crate::real::epsilon;
use crate::{Error, Matrix, Real, vector};

/// An estimate of an eigenvalue, with its error.
///
/// ```
/// use linalg::krylov::{operator, power_iteration};
/// let a = linalg::matrix(2, 2, &[2.0, 1.0, 1.0, 2.0]);
/// let found = power_iteration(operator(&a)?, &[1.0, 0.5], 3, 1e-9)?;
/// // Three iterations are too few; the residual bounds the error |θ − 3|.
/// assert!(!found.converged && (found.value - 3.0).abs() <= found.residual);
/// # Ok::<(), linalg::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate<T> {
    /// The estimate θ.
    pub value: f64,
    /// <var>‖A·x − θ·x‖</var> for the vector x. For a symmetric operator, some eigenvalue is within this distance.
    pub residual: f64,
    /// x, of length 1. Its sign is arbitrary.
    pub vector: Vec<T>,
    /// How often the operator was applied. A repetition with a larger vector, because a product was nearly subnormal, is not
    /// counted.
    pub iterations: usize,
    /// Whether the residual is within the tolerance.
    pub converged: bool,
}

/// Returns a start vector that is not orthogonal to an eigenvector by symmetry: the fractional parts of multiples of
/// the golden ratio, minus ½.
///
/// ```
/// let v = linalg::krylov::start_vector::<f64>(3);
/// assert!((v[0] - 0.118033988749895).abs() < 1e-15);
/// ```
pub fn start_vector<T: Real>(n: usize) -> Vec<T> {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    (1..=n).map(|i| T::from_f64((i as f64 * GOLDEN).fract() - 0.5)).collect()
}

/// Finds the eigenvalue of largest absolute value, and its eigenvector.
///
/// Stops if the residual is at most `tolerance`·|θ|, or after `iterations` applications; [`Estimate::converged`]
/// distinguishes them. The error falls by |λ₂/λ₁| per iteration; for a symmetric operator, [`Lanczos`] needs far fewer.
/// If the scalar carries derivatives, the vector's derivative converges with it. The operator need not be symmetric
/// (the stationary distribution of a Markov chain is such an eigenvector). Its largest eigenvalue must then be real and
/// simple, and the residual is no error bound.
///
/// # Errors
/// A zero start vector; NaN and ±∞ in it or in the operator's output; zero iterations.
///
/// ```
/// use linalg::krylov::power_iteration;
/// // A Markov chain: half of state 0 moves on, a quarter of state 1 returns.
/// let step = |p: &[f64], next: &mut [f64]| {
///     next[0] = 0.5 * p[0] + 0.25 * p[1];
///     next[1] = 0.5 * p[0] + 0.75 * p[1];
/// };
/// let found = power_iteration(step, &[1.0, 1.0], 100, 1e-14)?;
/// assert!(found.converged && (found.value - 1.0).abs() < 1e-14);
/// assert!((found.vector[1] / found.vector[0] - 2.0).abs() < 1e-12); // one third and two thirds
/// # Ok::<(), linalg::Error>(())
/// ```
pub fn power_iteration<T: Real>(
    operator: impl FnMut(&[T], &mut [T]),
    start: &[T],
    iterations: usize,
    tolerance: f64,
) -> Result<Estimate<T>, Error> {
    check_limits(iterations, tolerance)?;
    let mut x = direction("the start vector", start)?;
    let mut y = vec![T::zero(); x.len()];
    let mut a = Scaled { operator, power: 0 };
    let mut iteration = 0;
    loop {
        iteration += 1;
        a.apply_in_range(&x, &mut y)?;
        let value = vector::dot(&x, &y);
        let rest: Vec<T> = y.iter().zip(&x).map(|(&y, &x)| y - value * x).collect();
        let residual = l2(&rest).to_f64();
        let value = value.to_f64();
        let converged = residual <= tolerance * value.abs();
        if converged || iteration == iterations {
            let [value, residual] = [value, residual].map(|x| times_power(x, -a.power));
            return Ok(Estimate { value, residual, vector: x, iterations: iteration, converged });
        }
        // The vector is not zero: if A·x = 0, the residual is 0 and the iteration has converged.
        x = direction("what the operator wrote", &y)?;
    }
}

/// The end of the spectrum that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The largest eigenvalue.
    Largest,
    /// The smallest eigenvalue: the most negative, if any is negative.
    Smallest,
    /// Both ends.
    Both,
}

/// The settings of Lanczos' method with full reorthogonalisation: when to stop.
///
/// ```
/// use linalg::krylov::{Lanczos, start_vector};
/// // Second differences of 100 points: eigenvalues 2 − 2·cos(k·π/101), known in closed form.
/// let laplacian = |x: &[f64], y: &mut [f64]| {
///     for i in 0..x.len() {
///         let neighbour = |j: usize| x.get(j).copied().unwrap_or(0.0);
///         y[i] = 2.0 * x[i] - neighbour(i.wrapping_sub(1)) - neighbour(i + 1);
///     }
/// };
/// let ritz = Lanczos::default().run(laplacian, &start_vector(100))?;
/// let exact = 2.0 - 2.0 * (100.0 * std::f64::consts::PI / 101.0).cos();
/// let largest = ritz.largest();
/// assert!(largest.converged && (largest.value - exact).abs() < 1e-8);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "eigsh")]
#[derive(Clone, Copy, Debug)]
pub struct Lanczos {
    /// The end of the spectrum that must converge.
    pub end: End,
    /// The maximum number of operator applications. As many vectors are kept in memory.
    pub iterations: usize,
    /// The largest residual that counts as converged, relative to the largest |θ|. No residual falls below a few
    /// <var>√n·ε</var> of the scalar.
    pub tolerance: f64,
}

impl Default for Lanczos {
    /// Finds the largest eigenvalue to a residual of 1e-10, in at most 200 applications.
    fn default() -> Self {
        Lanczos { end: End::Largest, iterations: 200, tolerance: 1e-10 }
    }
}

/// The result of Lanczos' method: an orthonormal basis, and the operator's eigenvalues within it.
///
/// ```
/// use linalg::krylov::{Lanczos, operator};
/// let a = linalg::matrix(2, 2, &[2.0_f64, 1.0, 1.0, 2.0]);
/// let ritz = Lanczos::default().run(operator(&a)?, &[1.0, 0.0])?;
/// assert!((ritz.values[0] - 3.0).abs() < 1e-14 && (ritz.values[1] - 1.0).abs() < 1e-14);
/// assert!((ritz.largest().vector[0] - ritz.largest().vector[1]).abs() < 1e-14); // (1, 1)/√2
/// # Ok::<(), linalg::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ritz<T> {
    /// The Ritz values θ, largest first; at least one. All lie between the operator's smallest and largest eigenvalue.
    pub values: Vec<f64>,
    /// <var>‖A·x − θ·x‖</var> for each Ritz value: some eigenvalue is within this distance.
    pub residuals: Vec<f64>,
    /// Whether the wanted end has converged.
    pub converged: bool,
    basis: Vec<Vec<T>>,
    coefficients: Matrix<f64>,
    tolerance: f64,
}

impl Lanczos {
    /// Applies a symmetric operator until the wanted end of its spectrum has converged or the limit is reached
    /// ([`Ritz::converged`] distinguishes them), or until the basis spans an invariant subspace: every Ritz value is
    /// then an eigenvalue.
    ///
    /// An eigenvector that is orthogonal to the start vector is not found; [`start_vector`] avoids this.
    ///
    /// # Errors
    /// A zero start vector; NaN and ±∞ in it, in the operator's output or in its norm; zero iterations; an operator
    /// that is asymmetric by more than half of the scalar's digits, for any two vectors that it was applied to.
    pub fn run<T: Real>(
        &self,
        operator: impl FnMut(&[T], &mut [T]),
        start: &[T],
    ) -> Result<Ritz<T>, Error> {
        check_limits(self.iterations, self.tolerance)?;
        let epsilon = epsilon::<T>();
        let mut basis = vec![direction("the start vector", start)?];
        let n = start.len();
        let (mut diagonal, mut beside): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        let (mut size, mut a) = (0.0_f64, Scaled { operator, power: 0 });
        loop {
            let k = diagonal.len();
            let mut y = vec![T::zero(); n];
            // Of one operator: its power is chosen once.
            if k == 0 {
                a.apply_in_range(&basis[k], &mut y)?;
            } else {
                a.apply(&basis[k], &mut y)?;
            }
            size = size.max(l2(&y).to_f64());
            in_range("the norm of what the operator wrote", Some(&size))?;
            // If A is symmetric, A·qₖ has no component along q₀ … qₖ₋₂; its component along qₖ₋₁ is that of A·qₖ₋₁
            // along qₖ.
            for (j, q) in basis[..k].iter().enumerate() {
                let mirrored = if j + 1 == k { beside[j] } else { 0.0 };
                let difference = vector::dot(q, &y).to_f64() - mirrored;
                if difference.abs() > epsilon.sqrt() * size {
                    let operand = "the operator, in the basis of Lanczos' method,";
                    return Err(Error::NotSymmetric { operand, row: j, column: k, difference });
                }
            }
            diagonal.push(vector::dot(&basis[k], &y).to_f64());
            remove(&basis, &mut y);
            remove(&basis, &mut y);
            let rest = l2(&y).to_f64();
            // Only rounding errors are left: the basis spans an invariant subspace.
            let complete = k + 1 == n || rest <= epsilon * (n as f64).sqrt() * size;
            beside.push(if complete { 0.0 } else { rest });
            let ritz = Ritz::of(&diagonal, &beside, self)?;
            if ritz.converged || complete || k + 1 == self.iterations {
                let back = |x: Vec<f64>| x.into_iter().map(|x| times_power(x, -a.power)).collect();
                let (values, residuals) = (back(ritz.values), back(ritz.residuals));
                return Ok(Ritz { values, residuals, basis, ..ritz });
            }
            basis.push(direction("what the operator wrote", &y)?);
        }
    }
}

impl<T: Real> Ritz<T> {
    /// Computes the spectrum of the tridiagonal matrix, without its basis.
    fn of(diagonal: &[f64], beside: &[f64], method: &Lanczos) -> Result<Self, Error> {
        let k = diagonal.len();
        let t = Matrix::from_fn(k, k, |i, j| match i.abs_diff(j) {
            0 => diagonal[i],
            1 => beside[i.min(j)],
            _ => 0.0,
        });
        let SymmetricEigen { values, vectors } = SymmetricEigen::of(&t)?;
        // A·x − θ·x = β·q·(last component).
        let residuals: Vec<f64> =
            (0..k).map(|i| beside[k - 1] * vectors[(k - 1, i)].abs()).collect();
        let mut ritz = Ritz {
            values,
            residuals,
            converged: false,
            basis: Vec::new(),
            coefficients: vectors,
            tolerance: method.tolerance,
        };
        ritz.converged = match method.end {
            End::Largest => ritz.settled(0),
            End::Smallest => ritz.settled(k - 1),
            End::Both => ritz.settled(0) && ritz.settled(k - 1),
        };
        Ok(ritz)
    }

    fn settled(&self, i: usize) -> bool {
        let size = self.values[0].abs().max(self.values[self.values.len() - 1].abs());
        self.residuals[i] <= self.tolerance * size
    }

    /// Returns the largest eigenvalue.
    pub fn largest(&self) -> Estimate<T> {
        self.estimate(0)
    }

    /// Returns the smallest eigenvalue: negative if the operator is not positive semidefinite.
    pub fn smallest(&self) -> Estimate<T> {
        self.estimate(self.values.len() - 1)
    }

    /// Returns Ritz value `i` with its vector, <var>x = Q·s</var>, without a derivative.
    ///
    /// # Panics
    /// If there is no Ritz value `i`.
    pub fn estimate(&self, i: usize) -> Estimate<T> {
        let mut x = vec![T::zero(); self.basis[0].len()];
        for (k, q) in self.basis.iter().enumerate() {
            vector::axpy(&mut x, T::from_f64(self.coefficients[(k, i)]), q);
        }
        Estimate {
            value: self.values[i],
            residual: self.residuals[i],
            // The basis carries a derivative, the coefficients do not: the product's derivative would be wrong.
            vector: x.into_iter().map(|x| T::from_f64(x.to_f64())).collect(),
            iterations: self.values.len(),
            converged: self.settled(i),
        }
    }
}

/// <var>2ᵏ·A</var> for a linear operator A that may be so small that its products are nearly subnormal, and have lost digits.
struct Scaled<F> {
    operator: F,
    power: i32,
}

impl<F> Scaled<F> {
    /// Writes <var>A·(2ᵏ·x)</var> into y.
    fn apply<T: Real>(&mut self, x: &[T], y: &mut [T]) -> Result<(), Error>
    where
        F: FnMut(&[T], &mut [T]),
    {
        let x: Vec<T> = x.iter().map(|&x| times_power(x, self.power)).collect();
        (self.operator)(&x, y);
        finite_elements("what the operator wrote", y, y.len())
    }

    /// As `apply`, and chooses k: from 0 it rises where the product is 0 or nearly subnormal, and falls back where that is
    /// not finite.
    fn apply_in_range<T: Real>(&mut self, x: &[T], y: &mut [T]) -> Result<(), Error>
    where
        F: FnMut(&[T], &mut [T]),
    {
        let (limit, raised) = if epsilon::<T>() < 1e-10 { (-500, 500) } else { (-60, 90) };
        let mut found = self.apply(x, y);
        let small = y.iter().filter_map(|&y| exponent(y)).all(|e| e < limit);
        if found.is_ok() && self.power == 0 && small {
            self.power = raised;
            found = self.apply(x, y);
        }
        if found.is_err() && self.power != 0 {
            self.power = 0;
            found = self.apply(x, y);
        }
        found
    }
}

pub(crate) fn check_limits(iterations: usize, tolerance: f64) -> Result<(), Error> {
    if iterations == 0 {
        let range = "at least 1";
        return Err(Error::Range { name: "the number of iterations", value: 0.0, range });
    }
    if tolerance.is_nan() || tolerance < 0.0 {
        let range = "at least 0";
        return Err(Error::Range { name: "the tolerance", value: tolerance, range });
    }
    Ok(())
}

/// Returns a matrix as an operator.
///
/// # Errors
/// A matrix that is not square.
///
/// # Panics
/// The operator panics if it is applied to a vector whose length differs from A's number of rows.
///
/// ```
/// use linalg::{krylov::{Lanczos, operator}, matrix};
/// let a = matrix(2, 2, &[2.0, 1.0, 1.0, 2.0]);
/// let ritz = Lanczos::default().run(operator(&a)?, &[1.0, 0.0])?;
/// assert!((ritz.largest().value - 3.0).abs() < 1e-14);
/// assert!((ritz.smallest().value - 1.0).abs() < 1e-14);
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "LinearOperator")]
pub fn operator<T: Real>(a: &Matrix<T>) -> Result<impl FnMut(&[T], &mut [T]) + '_, Error> {
    let n = crate::error::square("A", a)?;
    Ok(move |x: &[T], y: &mut [T]| {
        assert!(
            x.len() == n && y.len() == n,
            "the start vector has {} elements where the {n} × {n} matrix needs {n}",
            x.len()
        );
        y.fill(T::zero());
        for (j, &x) in x.iter().enumerate() {
            vector::axpy(y, x, &a.as_slice()[j * n..][..n]);
        }
    })
}

#[cfg(test)]
mod tests;
