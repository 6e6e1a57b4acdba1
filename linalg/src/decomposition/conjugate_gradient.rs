//! Conjugate gradients: the solution of a linear system whose matrix is given only as a function.
//!
//! Formulas, for a symmetric positive definite A: directions <var>p₀ = r₀ = b</var>, steps <var>α = rᵀr/(pᵀ·A·p)</var>,
//! <var>x ← x + α·p</var>, <var>r ← r − α·A·p</var>, <var>p ← r + (r′ᵀr′/rᵀr)·p</var>. The error in the norm of A falls at least
//! by <var>(√κ − 1)/(√κ + 1)</var> an iteration, κ the condition of A, and faster where its spectrum is clustered.
//! In a transformer: <var>H⁻¹·g</var> for the Hessian H of a loss, whose product with a vector costs two backpropagations: a
//! Newton step, or the influence of a training example on a prediction.
//! Source: Hestenes and Stiefel, 1952; Golub and Van Loan, *Matrix Computations*, section 11.3.
//!
//! In `f64` only: the number of iterations depends on the values, and an early end is not differentiable.

use crate::decomposition::krylov::check_limits;
use crate::error::finite_elements;
use crate::norm::{exponent, l2, times_power};
use crate::{Error, vector};

/// The solution of a system, and how far it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// x.
    pub x: Vec<f64>,
    /// ‖b − A·x‖/‖b‖, computed from x at the end; 0 if b is 0.
    pub residual: f64,
    /// The number of iterations; the operator was applied once more.
    pub iterations: usize,
    /// Whether the residual is within the tolerance.
    pub converged: bool,
}

/// Solves <var>A·x = b</var> until <var>‖b − A·x‖ ≤ tolerance·‖b‖</var>, or for `iterations` iterations;
/// [`Solution::converged`] distinguishes them. The closure `|x, y|` writes A·x into y. No residual falls below a few
/// ε·‖A‖·‖x‖/‖b‖. In `f64` only.
///
/// # Errors
/// Zero iterations; NaN and ±∞ in b or in the operator's output; a direction of negative or no curvature
/// ([`Error::Indefinite`]): A is not positive definite.
///
/// ```
/// use linalg::{conjugate_gradient::solve, krylov::operator, matrix};
/// let a = matrix(2, 2, &[4.0, 1.0, 1.0, 3.0]);
/// let found = solve(operator(&a)?, &[1.0, 2.0], 10, 1e-12)?;
/// assert!((found.x[0] - 1.0 / 11.0).abs() < 1e-15 && (found.x[1] - 7.0 / 11.0).abs() < 1e-15);
/// assert_eq!(found.iterations, 2); // as many as unknowns, without rounding errors
/// # Ok::<(), linalg::Error>(())
/// ```
#[doc(alias = "cg")]
pub fn solve(
    mut operator: impl FnMut(&[f64], &mut [f64]),
    b: &[f64],
    iterations: usize,
    tolerance: f64,
) -> Result<Solution, Error> {
    check_limits(iterations, tolerance)?;
    finite_elements("b", b, b.len())?;
    // For b divided by a power of two near its largest element, so that no square is out of range.
    let power = b.iter().filter_map(|&b| exponent(b)).max().unwrap_or(0);
    let b: Vec<f64> = b.iter().map(|&b| times_power(b, -power)).collect();
    let mut apply = |x: &[f64], y: &mut [f64]| {
        operator(x, y);
        finite_elements("what the operator wrote", y, y.len())
    };
    let goal = tolerance * l2(&b);
    let (mut x, mut image) = (vec![0.0; b.len()], vec![0.0; b.len()]);
    let (mut rest, mut direction) = (b.clone(), b.clone());
    let mut square = vector::dot(&rest, &rest);
    let mut taken = 0;
    while square.sqrt() > goal && taken < iterations {
        apply(&direction, &mut image)?;
        let curvature = vector::dot(&direction, &image);
        if curvature <= 0.0 {
            return Err(Error::Indefinite { curvature });
        }
        let step = square / curvature;
        vector::axpy(&mut x, step, &direction);
        vector::axpy(&mut rest, -step, &image);
        let next = vector::dot(&rest, &rest);
        let share = next / square;
        direction.iter_mut().zip(&rest).for_each(|(p, r)| *p = r + share * *p);
        square = next;
        taken += 1;
    }
    // The updated residual drifts away from the true one.
    apply(&x, &mut image)?;
    rest.iter_mut().zip(b.iter().zip(&image)).for_each(|(rest, (b, image))| *rest = b - image);
    let (left, size) = (l2(&rest), l2(&b));
    let residual = if size == 0.0 { 0.0 } else { left / size };
    let x = x.into_iter().map(|x| times_power(x, power)).collect();
    Ok(Solution { x, residual, iterations: taken, converged: residual <= tolerance })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;
    use crate::decomposition::{cholesky::Cholesky, krylov::operator, symmetric::SymmetricEigen};
    use crate::gram::gram;
    use crate::laws::{draw, gap, matrices};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_solution_of_the_matrix(x in matrices(1..9), seed in 0..99_u64) {
            let a = gram(&x) + Matrix::identity(x.ncols(), x.ncols());
            let b = draw(seed, a.nrows(), 1);
            let found = solve(operator(&a).unwrap(), b.as_slice(), 200, 1e-13).unwrap();
            prop_assert!(found.residual <= 1e-12 * a.norm(), "{found:?}");
            let right = Cholesky::of(&a).unwrap().solve(&b).unwrap();
            let found = Matrix::from_vec(a.nrows(), 1, found.x);
            prop_assert!(gap(&found, &right) <= 1e-12 * a.norm() * b.norm());
        }

        /// As many iterations as there are different eigenvalues: A = I + c·v·vᵀ has two.
        #[test]
        fn clusters_are_found_at_once(v in crate::laws::vectors(2..20), seed in 0..99_u64) {
            let n = v.len();
            let a = Matrix::from_fn(n, n, |i, j| f64::from(u8::from(i == j)) + v[i] * v[j]);
            let found = solve(operator(&a).unwrap(), draw(seed, n, 1).as_slice(), 9, 1e-10).unwrap();
            prop_assert!(found.converged && found.iterations <= 3, "{}", found.iterations);
        }
    }

    /// The bound of the theory, iteration by iteration.
    #[test]
    fn the_error_falls_as_the_condition_says() {
        let a = gram(&draw(9, 40, 30));
        let values = SymmetricEigen::of(&a).unwrap().values;
        let root = (values[0] / values[29]).sqrt();
        let b = draw(1, 30, 1);
        let right = Cholesky::of(&a).unwrap().solve(&b).unwrap();
        let energy = |x: Vec<f64>| {
            let error = Matrix::from_vec(30, 1, x) - &right;
            error.dot(&(&a * &error)).sqrt()
        };
        let start = energy(vec![0.0; 30]);
        for k in 1..25 {
            let found = solve(operator(&a).unwrap(), b.as_slice(), k, 0.0).unwrap();
            let bound = 2.0 * ((root - 1.0) / (root + 1.0)).powi(k as i32) * start;
            assert!(energy(found.x) <= bound, "{k} iterations");
            assert!(!found.converged && found.iterations == k);
        }
    }

    #[test]
    fn what_is_refused_and_any_scale() {
        let a = crate::matrix(2, 2, &[1.0, 0.0, 0.0, -1.0]);
        let error = solve(operator(&a).unwrap(), &[0.0, 1.0], 9, 1e-9).unwrap_err();
        assert_eq!(error, Error::Indefinite { curvature: -1.0 });
        assert!(
            error.to_string().starts_with("the operator is not positive definite: pᵀ·A·p is -1e0")
        );
        let one = |x: &[f64], y: &mut [f64]| y.copy_from_slice(x);
        assert!(solve(one, &[1.0], 0, 0.0).is_err() && solve(one, &[f64::NAN], 9, 0.0).is_err());
        assert!(solve(|_, y: &mut [f64]| y.fill(f64::NAN), &[1.0], 9, 0.0).is_err());
        for size in [1e-310, 1e308] {
            assert_eq!(solve(one, &[size, -size], 9, 1e-15).unwrap().x, [size, -size]);
        }
        let zero = solve(one, &[0.0, 0.0], 9, 0.0).unwrap();
        assert!(zero.converged && zero.iterations == 0 && zero.x == [0.0, 0.0]);
        assert!(solve(one, &[], 9, 0.0).unwrap().converged);
    }
}
