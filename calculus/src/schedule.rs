//! Learning rates as a function of the step, or of the loss.
//!
//! The learning rate is the most important setting: above the stability limit descent diverges ([`crate::stability`]),
//! far below it is slow. Warm-up lets the moments of Adam settle before steps become long; the decay at the end lets
//! the parameters settle in a minimum.
//!
//! On `f64` only: rates are settings, and a step is an integer.

use std::f64::consts::PI;

/// A function from steps to learning rates.
///
/// Schedules with a warm-up rise linearly over the first `warmup` steps, with peak/(warmup + 1) at step 0, and then
/// fall to `minimum` at step `total`, where they stay. A warm-up longer than `total` is completed. Rates are not
/// checked: NaN and ±∞ propagate.
///
/// ```
/// use calculus::schedule::Schedule;
/// let s = Schedule::Cosine { peak: 3e-4, minimum: 3e-5, warmup: 2000, total: 100_000 };
/// assert!((s.rate(2000) - 3e-4).abs() < 1e-12);
/// assert!((s.rate(50_000) - 1.69327e-4).abs() < 1e-9); // the textbook prints 1.65e-4
/// assert_eq!(s.rate(100_000), 3e-5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// The same rate at every step.
    Constant {
        /// The rate.
        rate: f64,
    },
    /// Warm-up, then half a cosine. Source: Loshchilov and Hutter, *SGDR*, 2016.
    Cosine {
        /// The highest rate.
        peak: f64,
        /// The lowest rate after warm-up.
        minimum: f64,
        /// The number of warm-up steps.
        warmup: u64,
        /// The step at which the minimum is reached.
        total: u64,
    },
    /// Warm-up, then a straight line.
    Linear {
        /// The highest rate.
        peak: f64,
        /// The lowest rate after warm-up.
        minimum: f64,
        /// The number of warm-up steps.
        warmup: u64,
        /// The step at which the minimum is reached.
        total: u64,
    },
    /// Warm-up, a constant rate at the peak, and a linear decay at the end: during the constant part, a run can be
    /// extended without planning its length. Source: Hu et al., *MiniCPM*, 2024.
    ///
    /// ```
    /// use calculus::schedule::Schedule;
    /// let s = Schedule::WarmupStableDecay {
    ///     peak: 3e-4, minimum: 3e-5, warmup: 2000, decay: 80_000, total: 100_000,
    /// };
    /// assert_eq!(s.rate(50_000), 3e-4);
    /// assert!((s.rate(90_000) - 1.65e-4).abs() < 1e-18);
    /// ```
    WarmupStableDecay {
        /// The highest rate.
        peak: f64,
        /// The rate at the end.
        minimum: f64,
        /// The number of warm-up steps.
        warmup: u64,
        /// The step at which the rate begins to fall.
        decay: u64,
        /// The step at which the minimum is reached.
        total: u64,
    },
    /// The rate <var>peak·factorᵏ</var> after k whole periods: a staircase.
    ///
    /// ```
    /// use calculus::schedule::Schedule;
    /// let s = Schedule::Step { peak: 0.5, factor: 0.5, every: 30 };
    /// assert_eq!((s.rate(29), s.rate(30), s.rate(60)), (0.5, 0.25, 0.125));
    /// ```
    Step {
        /// The rate at the start.
        peak: f64,
        /// The factor per period.
        factor: f64,
        /// The number of steps per period; 0 is treated as 1.
        every: u64,
    },
}

impl Schedule {
    /// Returns the learning rate of a step; the first is step 0.
    pub fn rate(&self, step: u64) -> f64 {
        let (peak, minimum, warmup, decay, total) = match *self {
            Schedule::Constant { rate } => return rate,
            Schedule::Step { peak, factor, every } => {
                return peak * factor.powf((step / every.max(1)) as f64);
            }
            Schedule::Cosine { peak, minimum, warmup, total }
            | Schedule::Linear { peak, minimum, warmup, total } => {
                (peak, minimum, warmup, warmup, total)
            }
            Schedule::WarmupStableDecay { peak, minimum, warmup, decay, total } => {
                (peak, minimum, warmup, decay.max(warmup), total)
            }
        };
        if step >= total.max(warmup) {
            return minimum;
        }
        if step < warmup {
            return peak * (step + 1) as f64 / (warmup as f64 + 1.0);
        }
        if step < decay {
            return peak;
        }
        let progress = (step - decay) as f64 / (total - decay) as f64;
        let share = match self {
            Schedule::Cosine { .. } => 0.5 * (1.0 + (PI * progress).cos()),
            _ => 1.0 - progress,
        };
        minimum + share * (peak - minimum)
    }
}

/// A learning rate that decreases if the loss does not: after more than `patience` losses in a row without a new best,
/// it is multiplied by `factor`.
///
/// A loss is a new best if loss < best·(1 − `threshold`); losses are assumed positive. NaN is no new best.
///
/// Source: PyTorch's `ReduceLROnPlateau`, whose defaults are 0.1, 10 and 10⁻⁴.
///
/// ```
/// use calculus::schedule::Plateau;
/// let mut plateau = Plateau::new(0.1, 0.5, 1, 1e-4);
/// let rates: Vec<f64> = [3.0, 2.0, 2.0, 2.0, 1.0].map(|loss| plateau.rate(loss)).to_vec();
/// assert_eq!(rates, [0.1, 0.1, 0.1, 0.05, 0.05]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    rate: f64,
    factor: f64,
    patience: u64,
    threshold: f64,
    best: f64,
    waited: u64,
}

impl Plateau {
    /// Creates a plateau schedule that starts at `rate`.
    pub fn new(rate: f64, factor: f64, patience: u64, threshold: f64) -> Self {
        Plateau { rate, factor, patience, threshold, best: f64::INFINITY, waited: 0 }
    }

    /// Returns the rate after this loss.
    pub fn rate(&mut self, loss: f64) -> f64 {
        if loss < self.best * (1.0 - self.threshold) {
            (self.best, self.waited) = (loss, 0);
        } else {
            self.waited += 1;
        }
        if self.waited > self.patience {
            self.rate *= self.factor;
            self.waited = 0;
        }
        self.rate
    }
}

/// A rule for early stopping: `patience` held-out losses in a row without a new best. NaN is no new best.
///
/// Source: Prechelt, *Early Stopping - But When?*, 1998.
///
/// ```
/// use calculus::schedule::EarlyStopping;
/// let mut stopping = EarlyStopping::new(2);
/// let stop: Vec<bool> = [3.0, 2.0, 2.5, 2.1].map(|loss| stopping.stop(loss)).to_vec();
/// assert_eq!(stop, [false, false, false, true]);
/// assert_eq!(stopping.best(), 2.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    patience: u64,
    best: f64,
    waited: u64,
}

impl EarlyStopping {
    /// Creates the rule with this patience.
    pub fn new(patience: u64) -> Self {
        EarlyStopping { patience, best: f64::INFINITY, waited: 0 }
    }

    /// Returns whether to stop after this loss.
    pub fn stop(&mut self, loss: f64) -> bool {
        if loss < self.best {
            (self.best, self.waited) = (loss, 0);
        } else {
            self.waited += 1;
        }
        self.waited >= self.patience.max(1)
    }

    /// Returns the lowest loss so far; ∞ before the first.
    pub fn best(&self) -> f64 {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rises_then_falls_within_bounds(warmup in 0u64..50, more in 1u64..200) {
            let total = warmup + more;
            let (peak, minimum) = (1.0, 0.1);
            for s in [
                Schedule::Cosine { peak, minimum, warmup, total },
                Schedule::Linear { peak, minimum, warmup, total },
            ] {
                prop_assert_eq!(s.rate(warmup), peak);
                prop_assert_eq!(s.rate(total + 1), minimum);
                for step in 0..total {
                    let (now, next) = (s.rate(step), s.rate(step + 1));
                    prop_assert!(now > 0.0 && now <= peak);
                    prop_assert_eq!(step < warmup, next > now);
                    prop_assert_eq!(step >= warmup, next < now);
                }
            }
        }

        #[test]
        fn a_plateau_of_no_length_is_a_line(warmup in 0u64..50, more in 1u64..200, step in 0u64..300) {
            let (peak, minimum, total) = (1.0, 0.1, warmup + more);
            let line = Schedule::Linear { peak, minimum, warmup, total };
            let decay = 0; // the decay does not begin before the warm-up ends
            let stable = Schedule::WarmupStableDecay { peak, minimum, warmup, decay, total };
            prop_assert_eq!(line.rate(step), stable.rate(step));
        }

        #[test]
        fn a_staircase_multiplies(step in 0u64..500, every in 1u64..60) {
            let s = Schedule::Step { peak: 1.0, factor: 0.5, every };
            prop_assert_eq!(s.rate(step + every), 0.5 * s.rate(step));
        }
    }

    #[test]
    fn hard_steps_and_rates() {
        let cosine =
            |peak, minimum, warmup, total| Schedule::Cosine { peak, minimum, warmup, total };
        assert_eq!(cosine(1.0, 0.1, 0, 0).rate(0), 0.1);
        assert_eq!(cosine(1.0, 0.1, 10, 5).rate(7), 8.0 / 11.0);
        assert_eq!(cosine(1.0, 0.1, 10, 5).rate(10), 0.1);
        assert_eq!(cosine(1.0, 0.1, 0, u64::MAX).rate(u64::MAX), 0.1);
        assert_eq!(cosine(1.0, 0.1, u64::MAX, u64::MAX).rate(0), 1.0 / u64::MAX as f64);
        assert!(cosine(f64::NAN, 0.1, 3, 9).rate(1).is_nan());
        assert_eq!(cosine(f64::INFINITY, 0.1, 3, 9).rate(1), f64::INFINITY);
        let stable =
            Schedule::WarmupStableDecay { peak: 1.0, minimum: 0.1, warmup: 2, decay: 9, total: 5 };
        assert_eq!((stable.rate(4), stable.rate(5)), (1.0, 0.1)); // ends before the decay
        let stairs = |factor, every| Schedule::Step { peak: 1.0, factor, every };
        assert_eq!(stairs(0.5, 0).rate(3), 0.125);
        assert_eq!(stairs(0.5, 1).rate(u64::MAX), 0.0);
        assert!(stairs(f64::NAN, 1).rate(1).is_nan());
        assert_eq!(stairs(0.0, 5).rate(4), 1.0);
        assert!(Schedule::Constant { rate: f64::NAN }.rate(9).is_nan());
    }

    #[test]
    fn hard_losses() {
        let mut plateau = Plateau::new(1.0, 0.5, 0, 0.0);
        let rates = [f64::INFINITY, f64::NAN, 5e-324, 0.0, -0.0].map(|loss| plateau.rate(loss));
        assert_eq!(rates, [0.5, 0.25, 0.25, 0.25, 0.125]);
        let mut stopping = EarlyStopping::new(2);
        assert_eq!(stopping.best(), f64::INFINITY);
        assert!(!stopping.stop(f64::NAN) && stopping.stop(f64::INFINITY));
        assert!(EarlyStopping::new(0).stop(f64::NAN) && !EarlyStopping::new(0).stop(1.0));
        assert!(!EarlyStopping::new(1).stop(f64::NEG_INFINITY));
    }
}
