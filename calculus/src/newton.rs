//! Newton's method: descent with the exact curvature, for smooth losses of up to hundreds of numbers.
//!
//! A step goes to the minimum of the second-order expansion: <var>H·d = −∇f</var>. If the Hessian H is not positive
//! definite, a multiple of the identity is added, as little as is needed up to a factor of 4; the direction then lies
//! between Newton's and steepest descent, and leaves saddles. A backtracking line search shortens steps that do not
//! lower f; where rounding hides the fall, a whole step is taken that halves
//! the slope. Near a minimum the number of right digits doubles with every step.
//!
//! In a transformer: a logistic regression as a probe, a temperature for calibration, a scaling law's exponent.
//! Source: Nocedal and Wright, *Numerical Optimization*, 2006, algorithm 3.2 with the modification of section 3.4
//! (algorithm 3.3).
//!
//! On `f64` only: the number of steps is an integer and has no derivative.

use crate::differentiate::value_gradient_hessian;
use crate::line_search::{Backtracking, LineSearchError, Minimum, Stopped};
use crate::{Dual, Traced, clip, value_and_gradient};
use linalg::cholesky::Cholesky;
use linalg::{Matrix, matrix};

/// A fall of f that is below this many ε of f is hidden by rounding.
const HIDDEN: f64 = 1e3;

/// Newton's method with a line search.
#[doc(alias = "newton_cg")]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Newton {
    /// The line search; its first rate should be 1, Newton's step.
    pub search: Backtracking,
}

impl Newton {
    /// Descends from `x` until <var>‖∇f‖₂</var> ≤ `tolerance`, for at most `steps` steps, and while steps lower f:
    /// [`Minimum::stopped`] states which limit ended it. The point found is returned in every case.
    ///
    /// A step costs as many backpropagations on dual numbers as there are variables, and a decomposition of H.
    ///
    /// # Errors
    /// If f, its gradient or its Hessian is NaN or ±∞ at `x`.
    ///
    /// ```
    /// use calculus::{landscape::{Field, Rosenbrock}, line_search::Stopped, newton::Newton};
    /// let found = Newton::default().minimize(|x| Rosenbrock.at(x), &[-1.2, 1.0], 1e-10, 50)?;
    /// assert!((found.x[0] - 1.0).abs() < 1e-12 && (found.x[1] - 1.0).abs() < 1e-12);
    /// assert!(found.stopped == Stopped::Tolerance && found.steps < 25);
    /// # Ok::<(), calculus::line_search::LineSearchError>(())
    /// ```
    pub fn minimize(
        &self,
        f: impl Fn(&[Traced<Dual<f64>>]) -> Traced<Dual<f64>>,
        x: &[f64],
        tolerance: f64,
        steps: u32,
    ) -> Result<Minimum, LineSearchError> {
        // A constant records nothing: use f's plain value.
        let plain = |x: &[f64]| {
            let constants: Vec<_> = x.iter().map(|&x| x.into()).collect();
            f(&constants).value().value
        };
        let (mut x, mut taken) = (x.to_vec(), 0);
        loop {
            let (value, gradient, hessian) = value_gradient_hessian(&f, &x);
            let numbers = || gradient.iter().chain(hessian.iter());
            let broken = std::iter::once(&value).chain(numbers()).find(|x| !x.is_finite());
            let gradient_norm = clip::global_norm(&gradient);
            let ended = |x, stopped| Ok(Minimum { x, value, gradient_norm, steps: taken, stopped });
            if let Some(&value) = broken {
                let error = LineSearchError::NotFinite { value };
                return if taken == 0 { Err(error) } else { ended(x, Stopped::NoStep(error)) };
            }
            if gradient_norm <= tolerance {
                return ended(x, Stopped::Tolerance);
            }
            if taken == steps {
                return ended(x, Stopped::Steps);
            }
            let direction = direction(&hessian, &gradient);
            let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let moved = |rate: f64| x.iter().zip(&direction).map(|(x, d)| x + rate * d).collect();
            // Near a minimum rounding hides that f falls, but not that its slope does.
            let hidden = slope < 0.0 && -slope <= HIDDEN * f64::EPSILON * value.abs();
            x = if hidden {
                let whole: Vec<f64> = moved(1.0);
                let constants: Vec<_> = whole.iter().map(|&x| Dual::constant(x)).collect();
                let (_, there) = value_and_gradient(&f, &constants);
                let flatter = clip::global_norm(&there) <= 0.5 * gradient_norm;
                if !flatter {
                    let error = LineSearchError::Exhausted { attempts: 1, rate: 1.0 };
                    return ended(x, Stopped::NoStep(error));
                }
                whole
            } else {
                match self.search.search(plain, &x, &direction, value, slope) {
                    Ok(found) => moved(found.rate),
                    Err(error) => return ended(x, Stopped::NoStep(error)),
                }
            };
            taken += 1;
        }
    }
}

/// Returns <var>−(H + τ·I)⁻¹·∇f</var>, for τ = 0 if H is positive definite, and otherwise a τ for which the sum is.
fn direction(hessian: &Matrix<f64>, gradient: &[f64]) -> Vec<f64> {
    let n = gradient.len();
    let right = -matrix(n, 1, gradient);
    let size = hessian.amax();
    let least = (0..n).map(|i| hessian[(i, i)]).fold(f64::INFINITY, f64::min);
    let small = if size > 0.0 { 1e-3 * size } else { 1.0 };
    let mut shift = if least > 0.0 { 0.0 } else { small - least };
    // At the latest for τ = n·max |hᵢⱼ|, which bounds all eigenvalues: some ten attempts.
    loop {
        let shifted = hessian + Matrix::from_diagonal_element(n, n, shift);
        if let Ok(root) = Cholesky::of(&shifted) {
            let found = root.solve(&right).expect("a row per variable");
            if found.iter().all(|d| d.is_finite()) {
                return found.as_slice().to_vec();
            }
        }
        if shift > 1e3 * n as f64 * size.max(1.0) {
            return right.as_slice().to_vec();
        }
        shift = (4.0 * shift).max(small);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::{Field, Himmelblau};
    use crate::stationary::{Kind, classify_at};
    use linalg::{Elementary, Real};
    use proptest::prelude::*;

    proptest! {
        /// A quadratic form is minimised in one step, whatever its condition.
        #[test]
        fn one_step_to_the_bottom_of_a_bowl(start in prop::collection::vec(-10.0_f64..10.0, 4)) {
            let curvatures = [1e-4, 1.0, 1e3, 1e6];
            let bowl = |x: &[Traced<Dual<f64>>]| {
                let terms = x.iter().zip(curvatures).enumerate();
                terms.map(|(i, (x, c))| (x - i as f64).powi(2) * (0.5 * c)).sum()
            };
            let found = Newton::default().minimize(bowl, &start, 1e-7, 2).unwrap();
            prop_assert_eq!(found.stopped, Stopped::Tolerance);
            prop_assert!(found.steps <= 2);
            for (i, x) in found.x.iter().enumerate() {
                prop_assert!((x - i as f64).abs() < 1e-9, "{:?}", found.x);
            }
        }

        /// From anywhere a minimum is found, never a saddle or the maximum, and every step lowers f.
        #[test]
        fn a_minimum_from_anywhere(x in -5.0_f64..5.0, y in -5.0_f64..5.0) {
            let descend = |steps| Newton::default().minimize(|x| Himmelblau.at(x), &[x, y], 1e-9, steps).unwrap();
            let found = descend(100);
            prop_assert_eq!(found.stopped, Stopped::Tolerance);
            let kind = classify_at(|x| Himmelblau.at(x), &found.x, 1e-6).unwrap().kind;
            prop_assert_eq!(kind, Kind::Minimum);
            prop_assert!(descend(2).value <= descend(1).value && descend(1).value <= Himmelblau.at(&[x, y]));
        }
    }

    /// The digits double: from 10⁻¹ to 10⁻¹⁵ in four steps, although f itself no longer changes from 10⁻⁸ on.
    #[test]
    fn convergence_is_quadratic() {
        let f = |x: &[Traced<Dual<f64>>]| x[0].exp() - 2.0 * x[0]; // minimum at ln 2
        let error = |steps| {
            let found = Newton::default().minimize(f, &[0.6], 0.0, steps).unwrap();
            (found.x[0] - 2.0_f64.ln()).abs()
        };
        assert!(
            error(1) < error(0).powi(2) && error(2) < error(1).powi(2),
            "{} {}",
            error(1),
            error(2)
        );
        assert!(error(4) < 1e-15, "{}", error(4));
    }

    #[test]
    fn hard_starts() {
        let from = |x: f64| Newton::default().minimize(|x| x[0] * x[0], &[x], 0.0, 9);
        assert!(matches!(from(f64::NAN), Err(LineSearchError::NotFinite { .. })));
        assert!(matches!(from(f64::INFINITY), Err(LineSearchError::NotFinite { .. })));
        assert_eq!(from(0.0).unwrap().steps, 0);
        // √x has an infinite slope at 0.
        assert!(Newton::default().minimize(|x| x[0].sqrt(), &[0.0], 0.0, 9).is_err());
        // Flat and unbounded: without curvature it is steepest descent.
        let line = Newton::default().minimize(|x| -x[0], &[0.0], 0.0, 3).unwrap();
        assert!(line.value < 0.0 && line.stopped == Stopped::Steps);
        // A saddle is left, downhill to (0, ±1/√2).
        let saddle = |x: &[Traced<Dual<f64>>]| x[0].powi(2) - x[1].powi(2) + x[1].powi(4);
        let found = Newton::default().minimize(saddle, &[1.0, 1e-3], 1e-12, 50).unwrap();
        assert!((found.value + 0.25).abs() < 1e-15 && found.stopped == Stopped::Tolerance);
        // A constant without variables is its own minimum.
        let constant = Newton::default().minimize(|_| 2.0.into(), &[], 0.0, 9).unwrap();
        assert_eq!((constant.value, constant.stopped), (2.0, Stopped::Tolerance));
    }
}
