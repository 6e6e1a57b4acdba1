//! L-BFGS: descent that learns the curvature from its last gradients, for smooth losses of up to thousands of numbers.
//!
//! With steps s = x′ − x and changes of slope y = ∇f(x′) − ∇f(x), the last m pairs give an approximation H of the
//! inverse Hessian that satisfies <var>H·y = s</var>; a step goes along <var>−H·∇f</var>. The line search keeps
//! <var>⟨s, y⟩ > 0</var>, so that H stays positive definite (the weak Wolfe conditions).
//!
//! Source: Liu and Nocedal, *On the limited memory BFGS method for large scale optimization*, 1989; Nocedal and Wright,
//! *Numerical Optimization*, 2006, algorithm 7.4; the line search by Lewis and Overton, *Nonsmooth optimization via
//! quasi-Newton methods*, 2013, algorithm 4.6.
//!
//! On `f64` only: the number of steps is an integer and has no derivative.

use crate::line_search::{LineSearchError, Minimum, Stopped};
use crate::{Traced, clip, value_and_gradient};
use std::collections::VecDeque;

/// Quasi-Newton descent with limited memory.
#[doc(alias = "bfgs")]
#[doc(alias = "fmin_l_bfgs_b")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lbfgs {
    /// Pairs of steps and changes of slope that are kept; 0 gives steepest descent.
    pub memory: usize,
    /// The share c₁ of the decrease that the slope predicts, which a step must achieve.
    pub sufficient: f64,
    /// The share c₂ of the slope that may be left after a step, above c₁.
    pub curvature: f64,
    /// The maximum number of rates per step.
    pub attempts: u32,
}

impl Default for Lbfgs {
    /// Returns 10 pairs, c₁ = 10⁻⁴ and c₂ = 0.9 (Nocedal and Wright's), and 60 rates.
    fn default() -> Self {
        Lbfgs { memory: 10, sufficient: 1e-4, curvature: 0.9, attempts: 60 }
    }
}

/// A step, the change of the slope along it, and <var>1/⟨s, y⟩</var>.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    inverse: f64,
}

/// A point with its value and slope.
struct Point {
    x: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

impl Lbfgs {
    /// Descends from `x` until <var>‖∇f‖₂</var> ≤ `tolerance`, for at most `steps` steps, and while steps lower f:
    /// [`Minimum::stopped`] states which limit ended it. The point found is returned in every case.
    ///
    /// # Errors
    /// If f or its gradient is NaN or ±∞ at `x`.
    ///
    /// ```
    /// use calculus::{landscape::{Field, Rosenbrock}, line_search::Stopped, quasi_newton::Lbfgs};
    /// let found = Lbfgs::default().minimize(|x| Rosenbrock.at(x), &[-1.2, 1.0], 1e-10, 100)?;
    /// assert!((found.x[0] - 1.0).abs() < 1e-9 && (found.x[1] - 1.0).abs() < 1e-9);
    /// assert_eq!(found.stopped, Stopped::Tolerance); // steepest descent takes thousands of steps
    /// # Ok::<(), calculus::line_search::LineSearchError>(())
    /// ```
    pub fn minimize(
        &self,
        f: impl Fn(&[Traced<f64>]) -> Traced<f64>,
        x: &[f64],
        tolerance: f64,
        steps: u32,
    ) -> Result<Minimum, LineSearchError> {
        let at = |x: Vec<f64>| {
            let (value, gradient) = value_and_gradient(&f, &x);
            Point { x, value, gradient }
        };
        let mut point = at(x.to_vec());
        if !point.value.is_finite() {
            return Err(LineSearchError::NotFinite { value: point.value });
        }
        if let Some(&value) = point.gradient.iter().find(|g| !g.is_finite()) {
            return Err(LineSearchError::NotFinite { value });
        }
        let (mut pairs, mut taken) = (VecDeque::<Pair>::new(), 0);
        loop {
            let gradient_norm = clip::global_norm(&point.gradient);
            let ended = |point: Point, stopped| {
                Ok(Minimum { x: point.x, value: point.value, gradient_norm, steps: taken, stopped })
            };
            if gradient_norm <= tolerance {
                return ended(point, Stopped::Tolerance);
            }
            if taken == steps {
                return ended(point, Stopped::Steps);
            }
            let direction = direction(&pairs, &point.gradient);
            // The first step has no curvature to go by: it moves x by at most 1.
            let first = if pairs.is_empty() { 1.0 / gradient_norm.max(1.0) } else { 1.0 };
            let next = match self.search(&at, &point, &direction, first) {
                Ok(next) => next,
                // A stale curvature may point uphill by rounding: begin again with the gradient.
                Err(_) if !pairs.is_empty() => {
                    pairs.clear();
                    continue;
                }
                Err(error) => return ended(point, Stopped::NoStep(error)),
            };
            let step: Vec<f64> = next.x.iter().zip(&point.x).map(|(a, b)| a - b).collect();
            let change: Vec<f64> =
                next.gradient.iter().zip(&point.gradient).map(|(a, b)| a - b).collect();
            let inverse = 1.0 / dot(&step, &change);
            if self.memory > 0 && inverse.is_finite() && inverse > 0.0 {
                if pairs.len() == self.memory {
                    pairs.pop_front();
                }
                pairs.push_back(Pair { step, change, inverse });
            }
            point = next;
            taken += 1;
        }
    }

    /// Returns a point along a direction that satisfies both conditions: f falls by enough, and its slope has flattened.
    fn search(
        &self,
        at: &impl Fn(Vec<f64>) -> Point,
        from: &Point,
        direction: &[f64],
        first: f64,
    ) -> Result<Point, LineSearchError> {
        let slope = dot(&from.gradient, direction);
        if slope >= 0.0 || slope.is_nan() {
            return Err(LineSearchError::Uphill { slope });
        }
        let (mut low, mut high, mut rate) = (0.0, f64::INFINITY, first);
        // Lower than the start, but still steep: better than nothing if no rate satisfies both conditions.
        let mut lower: Option<Point> = None;
        for _ in 0..self.attempts {
            let moved = from.x.iter().zip(direction).map(|(x, d)| x + rate * d).collect();
            let next = at(moved);
            let finite = next.value.is_finite() && next.gradient.iter().all(|g| g.is_finite());
            let falls = finite
                && next.value < from.value
                && next.value <= from.value + self.sufficient * rate * slope;
            if !falls {
                high = rate;
            } else if dot(&next.gradient, direction) < self.curvature * slope {
                low = rate;
                lower = Some(next);
            } else {
                return Ok(next);
            }
            rate = if high.is_finite() { (low + high) / 2.0 } else { 2.0 * low };
        }
        lower.ok_or(LineSearchError::Exhausted { attempts: self.attempts, rate })
    }
}

/// Returns <var>−H·∇f</var>, by the two loops of algorithm 7.4.
fn direction(pairs: &VecDeque<Pair>, gradient: &[f64]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(pairs.len());
    for Pair { step, change, inverse } in pairs.iter().rev() {
        let share = inverse * dot(step, &q);
        q.iter_mut().zip(change).for_each(|(q, y)| *q -= share * y);
        shares.push(share);
    }
    if let Some(Pair { change, inverse, .. }) = pairs.back() {
        // The last pair's curvature is the scale of all others.
        let scale = 1.0 / (inverse * dot(change, change));
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for (Pair { step, change, inverse }, share) in pairs.iter().zip(shares.iter().rev()) {
        let other = inverse * dot(change, &q);
        q.iter_mut().zip(step).for_each(|(q, s)| *q += (share - other) * s);
    }
    q
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use linalg::Real;
    use proptest::prelude::*;

    proptest! {
        /// The minimum of a quadratic form with curvatures from 1 to 10⁴ is found, in a number of steps that does not
        /// grow with them.
        #[test]
        fn the_bottom_of_a_long_valley(start in prop::collection::vec(-10.0_f64..10.0, 5)) {
            let curvatures = [1.0, 10.0, 100.0, 1e3, 1e4];
            let bowl = |x: &[Traced<f64>]| {
                let terms = x.iter().zip(curvatures).enumerate();
                let terms = terms.map(|(i, (&x, c))| (x - i as f64) * (x - i as f64) * (0.5 * c));
                terms.reduce(|a, b| a + b).expect("five terms")
            };
            let found = Lbfgs::default().minimize(bowl, &start, 1e-7, 200).unwrap();
            prop_assert_eq!(found.stopped, Stopped::Tolerance);
            for (i, x) in found.x.iter().enumerate() {
                prop_assert!((x - i as f64).abs() < 1e-6, "{:?}", found.x);
            }
            prop_assert!(found.steps < 100, "{} steps", found.steps);
        }

        /// Every step lowers f: more steps never end higher.
        #[test]
        fn steps_descend(x in -2.0_f64..2.0, y in -2.0_f64..2.0, steps in 0_u32..20) {
            use crate::landscape::{Field, Himmelblau};
            let ended = |steps| Lbfgs::default().minimize(|x| Himmelblau.at(x), &[x, y], 0.0, steps).unwrap();
            prop_assert!(ended(steps + 1).value <= ended(steps).value);
        }
    }

    #[test]
    fn hard_starts() {
        let square = |x: &[Traced<f64>]| x[0] * x[0];
        let from = |x: f64| Lbfgs::default().minimize(square, &[x], 0.0, 9);
        assert!(matches!(from(f64::NAN), Err(LineSearchError::NotFinite { .. })));
        assert!(matches!(from(f64::INFINITY), Err(LineSearchError::NotFinite { .. })));
        assert_eq!(from(0.0).unwrap().steps, 0);
        // √x has an infinite slope at 0.
        assert!(Lbfgs::default().minimize(|x| x[0].sqrt(), &[0.0], 0.0, 9).is_err());
        // Unbounded below: it stops after the steps it may take.
        let found = Lbfgs::default().minimize(|x| -x[0], &[0.0], 0.0, 3).unwrap();
        assert!(found.value < 0.0);
        // Without memory it is steepest descent.
        let plain = Lbfgs { memory: 0, ..Lbfgs::default() };
        assert!(plain.minimize(square, &[3.0], 1e-9, 200).unwrap().value < 1e-17);
        assert_eq!(
            Lbfgs::default().minimize(|_| Traced::constant(2.0), &[], 0.0, 9).unwrap().value,
            2.0
        );
    }
}
