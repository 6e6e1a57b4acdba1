//! Backtracking line search, for problems so small that the loss may be computed several times per step.
//!
//! Starting from a first rate η, halve it until <var>f(x + η·d) ≤ f(x) + c·η·⟨∇f, d⟩</var>: the step must achieve a
//! share c of the decrease that the slope predicts. No learning rate has to be chosen.
//!
//! Source: Armijo 1966; Nocedal and Wright, *Numerical Optimization*, 2006, algorithm 3.1.
//!
//! On `f64` only: the number of halvings is an integer and has no derivative.

use crate::{Traced, clip, value_and_gradient};
use thiserror::Error;

/// A backtracking line search with Armijo's rule.
#[doc(alias = "armijo")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backtracking {
    /// The first rate.
    pub first: f64,
    /// The factor by which a failing rate is multiplied, between 0 and 1.
    pub shrink: f64,
    /// The required share c of the predicted decrease, between 0 and 1.
    pub sufficient: f64,
    /// The maximum number of rates.
    pub attempts: u32,
}

impl Default for Backtracking {
    /// Returns 1, ½, 10⁻⁴ (Nocedal and Wright's), and 60 attempts: down to 2⁻⁵⁹.
    fn default() -> Self {
        Backtracking { first: 1.0, shrink: 0.5, sufficient: 1e-4, attempts: 60 }
    }
}

/// A successful step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The step's length, as a multiple of the direction.
    pub rate: f64,
    /// The value of f after the step.
    pub value: f64,
    /// The number of evaluations of f.
    pub evaluations: u32,
}

/// The reason why no step was found.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum LineSearchError {
    /// The direction is not a descent direction.
    #[error("the slope along the direction is {slope:e}: a descent direction has a negative one")]
    Uphill {
        /// The slope ⟨∇f, d⟩.
        slope: f64,
    },
    /// f is ±∞ or NaN at the start.
    #[error("the function is {value} where the search starts: start where it is finite")]
    NotFinite {
        /// The value f(x).
        value: f64,
    },
    /// No rate satisfied the rule: f does not follow its slope, or rounding hides its decrease.
    #[error(
        "{attempts} rates tried down to {rate:e}, none lowered the function enough: either the slope is wrong, or rounding hides the decrease"
    )]
    Exhausted {
        /// The number of rates tried.
        attempts: u32,
        /// The last rate tried.
        rate: f64,
    },
}

/// The reason why a minimization ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stopped {
    /// The gradient norm is within the tolerance.
    Tolerance,
    /// The maximum number of steps was reached.
    Steps,
    /// No further step lowers f. Near a minimum the reason is rounding: a step along the gradient g lowers f by about
    /// ‖g‖²/λ, with the curvature λ, which is lost below ε·|f|.
    NoStep(LineSearchError),
}

/// The result of a minimization: the lowest point found, and why it ended.
#[doc(alias = "OptimizeResult")]
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum {
    /// The lowest point.
    pub x: Vec<f64>,
    /// The value of f there.
    pub value: f64,
    /// The gradient norm <var>‖∇f‖₂</var> there.
    pub gradient_norm: f64,
    /// The number of steps.
    pub steps: u32,
    /// Why the minimization ended.
    pub stopped: Stopped,
}

impl Backtracking {
    /// Returns the first rate that lowers f enough, from `x` along `direction`; `value` is f(x) and `slope` the
    /// directional derivative ⟨∇f, d⟩. A trial value of NaN, ∞ or −∞ counts as a failure.
    ///
    /// # Errors
    /// A slope that is not negative, a non-finite start, no rate that satisfies the rule.
    ///
    /// ```
    /// use calculus::line_search::Backtracking;
    /// // x² from 1, against the gradient 2: a rate of 1 ends at −1, as high as before; ½ ends at 0.
    /// let found = Backtracking::default().search(|x| x[0] * x[0], &[1.0], &[-2.0], 1.0, -4.0)?;
    /// assert_eq!((found.rate, found.value, found.evaluations), (0.5, 0.0, 2));
    /// # Ok::<(), calculus::line_search::LineSearchError>(())
    /// ```
    pub fn search(
        &self,
        f: impl Fn(&[f64]) -> f64,
        x: &[f64],
        direction: &[f64],
        value: f64,
        slope: f64,
    ) -> Result<Found, LineSearchError> {
        if !value.is_finite() {
            return Err(LineSearchError::NotFinite { value });
        }
        if slope >= 0.0 || slope.is_nan() {
            return Err(LineSearchError::Uphill { slope });
        }
        let mut rate = self.first;
        for evaluations in 1..=self.attempts {
            let trial = f(&moved(x, rate, direction));
            // If rounding hides the predicted decrease, f must still decrease.
            let lower = trial < value && trial <= value + self.sufficient * rate * slope;
            if lower && trial.is_finite() {
                return Ok(Found { rate, value: trial, evaluations });
            }
            rate *= self.shrink;
        }
        Err(LineSearchError::Exhausted { attempts: self.attempts, rate: rate / self.shrink })
    }

    /// Runs steepest descent from `x` with this line search, until <var>‖∇f‖₂</var> ≤ `tolerance`, for at most `steps`
    /// steps, and while steps lower f: [`Minimum::stopped`] states which limit ended it. The point found is returned in
    /// every case.
    ///
    /// A tolerance that is negative or NaN is never reached. If <var>‖∇f‖₂²</var> underflows to 0 or overflows (‖∇f‖₂
    /// below 10⁻¹⁶² or above 10¹⁵⁴), no step is found.
    ///
    /// # Errors
    /// If f is NaN or ±∞ at `x`.
    ///
    /// ```
    /// use calculus::{landscape::{Field, Himmelblau}, line_search::{Backtracking, Stopped}};
    /// let found = Backtracking::default().minimize(|x| Himmelblau.at(x), &[4.0, 1.0], 1e-6, 500)?;
    /// assert!((found.x[0] - 3.0).abs() < 1e-6 && (found.x[1] - 2.0).abs() < 1e-6);
    /// assert_eq!(found.stopped, Stopped::Tolerance);
    ///
    /// // 1 + x²: below 10⁻⁸ a step changes x but no longer 1 + x². The point is returned nevertheless.
    /// let found = Backtracking::default().minimize(|x| 1.0 + x[0] * x[0], &[0.7], 1e-12, 500)?;
    /// assert!(found.x[0].abs() < 1e-7 && found.stopped != Stopped::Steps);
    /// # Ok::<(), calculus::line_search::LineSearchError>(())
    /// ```
    pub fn minimize(
        &self,
        f: impl Fn(&[Traced<f64>]) -> Traced<f64>,
        x: &[f64],
        tolerance: f64,
        steps: u32,
    ) -> Result<Minimum, LineSearchError> {
        // A constant records nothing: use f's plain value.
        let plain = |x: &[f64]| {
            let constants: Vec<_> = x.iter().map(|&x| Traced::constant(x)).collect();
            f(&constants).value()
        };
        let (mut x, mut taken) = (x.to_vec(), 0);
        loop {
            let (value, gradient) = value_and_gradient(&f, &x);
            let gradient_norm = clip::global_norm(&gradient);
            let ended = |x, stopped| Ok(Minimum { x, value, gradient_norm, steps: taken, stopped });
            if gradient_norm <= tolerance {
                return ended(x, Stopped::Tolerance);
            }
            if taken == steps {
                return ended(x, Stopped::Steps);
            }
            let downhill: Vec<f64> = gradient.iter().map(|g| -g).collect();
            let slope = -gradient_norm * gradient_norm;
            match self.search(plain, &x, &downhill, value, slope) {
                Ok(found) => x = moved(&x, found.rate, &downhill),
                Err(error @ LineSearchError::NotFinite { .. }) => return Err(error),
                Err(error) => return ended(x, Stopped::NoStep(error)),
            }
            taken += 1;
        }
    }
}

/// Returns <var>x + rate·direction</var>.
fn moved(x: &[f64], rate: f64, direction: &[f64]) -> Vec<f64> {
    x.iter().zip(direction).map(|(x, d)| x + rate * d).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::Real;

    #[test]
    fn what_is_refused() {
        let search =
            |value, slope| Backtracking::default().search(|_| value, &[1.0], &[1.0], value, slope);
        assert_eq!(search(1.0, 2.0), Err(LineSearchError::Uphill { slope: 2.0 }));
        assert_eq!(search(1.0, -0.0), Err(LineSearchError::Uphill { slope: -0.0 }));
        assert!(matches!(search(1.0, f64::NAN), Err(LineSearchError::Uphill { .. })));
        assert!(matches!(search(f64::NAN, -1.0), Err(LineSearchError::NotFinite { .. })));
        assert_eq!(
            search(f64::INFINITY, -1.0),
            Err(LineSearchError::NotFinite { value: f64::INFINITY })
        );
        let stuck = search(1.0, -1.0).unwrap_err();
        assert_eq!(stuck, LineSearchError::Exhausted { attempts: 60, rate: 0.5_f64.powi(59) });
        assert!(stuck.to_string().starts_with("60 rates tried down to 1.7"));
    }

    #[test]
    fn steps_over_nan() {
        // √ is NaN left of 0: from ¼ against the slope 1, rates 1 and ½ fail.
        let found =
            Backtracking::default().search(|x| x[0].sqrt(), &[0.25], &[-1.0], 0.5, -1.0).unwrap();
        assert_eq!((found.rate, found.value, found.evaluations), (0.25, 0.0, 3));
        // ln is −∞ at 0: the search cannot start.
        let found =
            Backtracking::default().search(|x| x[0].ln(), &[1.0], &[-1.0], 0.0, -1.0).unwrap();
        assert_eq!((found.rate, found.evaluations), (0.5, 2));
    }

    #[test]
    fn a_start_that_is_the_end() {
        let b = Backtracking::default();
        assert_eq!(b.minimize(|x| x[0] * x[0], &[0.0], 0.0, 9).unwrap().steps, 0);
        assert_eq!(b.minimize(|_| Traced::constant(2.0), &[], 0.0, 9).unwrap().value, 2.0);
        assert_eq!(b.minimize(|x| x[0] * x[0], &[1.0], 0.0, 0).unwrap().gradient_norm, 2.0);
    }

    #[test]
    fn hard_starts_and_tolerances() {
        let b = Backtracking::default();
        let from = |x: f64, tolerance: f64| b.minimize(|x| x[0] * x[0], &[x], tolerance, 9);
        assert!(matches!(from(f64::NAN, 0.0), Err(LineSearchError::NotFinite { .. })));
        assert!(matches!(from(f64::INFINITY, 0.0), Err(LineSearchError::NotFinite { .. })));
        assert!(b.minimize(|x| x[0] * f64::NAN, &[1.0], 0.0, 9).is_err());
        // −0 is a minimum, and so is every point within the tolerance of one.
        assert_eq!(from(-0.0, 0.0).unwrap().steps, 0);
        assert_eq!(from(5e-324, 1e-300).unwrap().steps, 0);
        assert_eq!(from(1e150, f64::INFINITY).unwrap().steps, 0);
        // Never reached: there is no descent from the minimum.
        for never in [-1.0, f64::NAN] {
            let stopped = Stopped::NoStep(LineSearchError::Uphill { slope: -0.0 });
            assert_eq!(from(0.0, never).unwrap().stopped, stopped);
        }
        // Slopes whose squares overflow.
        let steep = b.minimize(|x| x[0] * 1e200, &[1.0], 0.0, 9).unwrap();
        assert!(matches!(steep.stopped, Stopped::NoStep(LineSearchError::Exhausted { .. })));
        let flat = b.minimize(|x| x[0] * 1e-200, &[1.0], 0.0, 9).unwrap();
        assert_eq!(flat.stopped, Stopped::NoStep(LineSearchError::Uphill { slope: -0.0 }));
        assert_eq!((flat.x[0], flat.value, flat.steps), (1.0, 1e-200, 0));
        // Functions that their slope does not lower: the kink of |x|, and one with a wrong slope.
        let kink = b.minimize(|x| x[0].abs() + 1.0, &[0.3], 1e-9, 400).unwrap();
        assert!(kink.x[0].abs() < 1e-15, "{kink:?}");
    }

    /// Strongly convex, minimum value not 0: −Σ ln σ(±w·x) + ½‖w‖²·λ for three points. With a tolerance below rounding,
    /// the minimum is returned with ‖∇f‖ ≤ √(8·ε·|f|·λ_max), λ_max the curvature: below that, a step lowers f by less
    /// than rounding.
    #[test]
    fn the_answer_is_not_thrown_away_where_rounding_ends_the_descent() {
        let points = [([1.0, 0.5], 1.0), ([-0.3, 2.0], -1.0), ([0.7, -1.1], 1.0)];
        for weight in [1e-3, 0.1, 10.0] {
            let loss = |w: &[Traced<f64>]| {
                let of = |(x, y): &([f64; 2], f64)| {
                    let z = (x[0] * w[0] + x[1] * w[1]) * *y;
                    (-z).exp().ln_1p()
                };
                let all = of(&points[0]) + of(&points[1]) + of(&points[2]);
                all + 0.5 * weight * (w[0] * w[0] + w[1] * w[1])
            };
            let found =
                Backtracking::default().minimize(loss, &[0.0, 0.0], 1e-300, 200_000).unwrap();
            assert!(matches!(found.stopped, Stopped::NoStep(_)), "{:?}", found.stopped);
            // ¼ Σ‖x‖² + λ bounds the curvature.
            let curvature = 0.25 * 7.04 + weight;
            let bound = (8.0 * f64::EPSILON * found.value * curvature).sqrt();
            assert!(found.gradient_norm <= bound, "{:e} beyond {bound:e}", found.gradient_norm);
        }
    }
}
