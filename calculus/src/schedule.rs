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
#[doc(alias = "lr_scheduler")]
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
    /// Warm-up, then half a cosine from the peak to the minimum, again and again: at the end of each period a checkpoint is
    /// near a minimum, and a run can end at any of them. Source: Loshchilov and Hutter, *SGDR*, 2016; PyTorch's
    /// `CosineAnnealingWarmRestarts`.
    ///
    /// ```
    /// use calculus::schedule::Schedule;
    /// let s = Schedule::CosineRestarts { peak: 0.1, minimum: 0.0, warmup: 0, period: 10, growth: 2 };
    /// assert_eq!((s.rate(0), s.rate(10), s.rate(30)), (0.1, 0.1, 0.1)); // periods of 10, 20, 40, …
    /// assert!((s.rate(20) - 0.05).abs() < 1e-15); // the middle of the second
    /// ```
    #[doc(alias = "sgdr")]
    CosineRestarts {
        /// The rate at the beginning of every period.
        peak: f64,
        /// The rate that the end of a period approaches.
        minimum: f64,
        /// The number of warm-up steps.
        warmup: u64,
        /// The number of steps of the first period; 0 is treated as 1.
        period: u64,
        /// The factor from one period to the next; 0 is treated as 1.
        growth: u64,
    },
    /// Half a cosine from `initial` up to the peak, and half a cosine down to a minimum far below `initial`: a short run at
    /// large rates. PyTorch's `OneCycleLR` takes peak/25, a rise over 30 % of the steps, and a minimum of initial/10⁴.
    /// Source: Smith and Topin, *Super-Convergence*, 2018.
    ///
    /// ```
    /// use calculus::schedule::Schedule;
    /// let s = Schedule::OneCycle { peak: 0.4, initial: 0.016, minimum: 1.6e-6, rise: 30, total: 100 };
    /// assert_eq!((s.rate(0), s.rate(30), s.rate(100)), (0.016, 0.4, 1.6e-6));
    /// ```
    OneCycle {
        /// The highest rate.
        peak: f64,
        /// The rate of step 0.
        initial: f64,
        /// The rate at the end.
        minimum: f64,
        /// The step at which the peak is reached.
        rise: u64,
        /// The step at which the minimum is reached.
        total: u64,
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
            Schedule::CosineRestarts { peak, minimum, warmup, period, growth }
                if step >= warmup =>
            {
                let share = share_of_period(step - warmup, period, growth);
                return minimum + half_cosine(share) * (peak - minimum);
            }
            Schedule::CosineRestarts { peak, minimum, warmup, .. } => {
                (peak, minimum, warmup, warmup, warmup)
            }
            Schedule::OneCycle { peak, initial, rise, .. } if step < rise => {
                return initial + half_cosine(1.0 - step as f64 / rise as f64) * (peak - initial);
            }
            Schedule::OneCycle { peak, minimum, rise, total, .. } => {
                (peak, minimum, rise, rise, total)
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
            Schedule::Cosine { .. } | Schedule::OneCycle { .. } => half_cosine(progress),
            _ => 1.0 - progress,
        };
        minimum + share * (peak - minimum)
    }
}

/// Returns <var>½·(1 + cos(π·x))</var>: from 1 at x = 0 to 0 at x = 1.
fn half_cosine(x: f64) -> f64 {
    0.5 * (1.0 + (PI * x).cos())
}

/// Returns the share of its period that has passed at a step, if every period is `growth` times as long as the last.
fn share_of_period(mut step: u64, period: u64, growth: u64) -> f64 {
    let (mut period, growth) = (period.max(1), growth.max(1));
    if growth == 1 {
        step %= period;
    }
    while step >= period {
        step -= period;
        period = period.saturating_mul(growth);
    }
    step as f64 / period as f64
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
#[doc(alias = "ReduceLROnPlateau")]
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
        fn periods_repeat_the_first(warmup in 0u64..20, period in 1u64..50, step in 0u64..50) {
            let (peak, minimum, step) = (1.0, 0.1, step % period);
            let once = Schedule::Cosine { peak, minimum, warmup, total: warmup + period };
            let again = Schedule::CosineRestarts { peak, minimum, warmup, period, growth: 1 };
            let longer = Schedule::CosineRestarts { peak, minimum, warmup, period, growth: 3 };
            let rate = once.rate(warmup + step);
            prop_assert_eq!(again.rate(warmup + step), rate);
            prop_assert_eq!(again.rate(warmup + 7 * period + step), rate);
            prop_assert_eq!(longer.rate(warmup + period + 3 * step), rate);
            prop_assert!(step >= warmup || again.rate(step) == once.rate(step));
        }

        #[test]
        fn one_cycle_rises_and_falls(rise in 1u64..50, fall in 1u64..200) {
            let total = rise + fall;
            let s = Schedule::OneCycle { peak: 1.0, initial: 0.1, minimum: 0.001, rise, total };
            for step in 0..total {
                prop_assert_eq!(step < rise, s.rate(step + 1) > s.rate(step));
                prop_assert!(s.rate(step) > 0.0 && s.rate(step) <= 1.0);
            }
            prop_assert_eq!((s.rate(rise), s.rate(total)), (1.0, 0.001));
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
        let restarts = |warmup, period, growth| Schedule::CosineRestarts {
            peak: 1.0,
            minimum: 0.5,
            warmup,
            period,
            growth,
        };
        assert_eq!((restarts(0, 0, 0).rate(7), restarts(0, 1, 1).rate(u64::MAX)), (1.0, 1.0));
        assert_eq!((restarts(3, 4, 1).rate(0), restarts(3, 4, 1).rate(2)), (0.25, 0.75));
        assert!((0.5..=1.0).contains(&restarts(0, 3, u64::MAX).rate(u64::MAX)));
        assert!((0.5..=1.0).contains(&restarts(0, u64::MAX, 2).rate(u64::MAX - 1)));
        let cycle =
            |rise, total| Schedule::OneCycle { peak: 1.0, initial: 0.1, minimum: 0.0, rise, total };
        assert_eq!(
            (cycle(0, 0).rate(0), cycle(0, 9).rate(0), cycle(9, 5).rate(9)),
            (0.0, 1.0, 0.0)
        );
        assert_eq!(cycle(u64::MAX, u64::MAX).rate(0), 0.1);
    }

    /// Values of optax 0.2.8 with 64-bit numbers: cosine_onecycle_schedule(100, 0.4, 0.3, 25, 1e4), and sgdr_schedule with
    /// decay_steps 10, 20, 40, 80 from 0.1 to 0.01.
    #[test]
    fn rates_are_those_of_optax() {
        let cycle =
            Schedule::OneCycle { peak: 0.4, initial: 0.016, minimum: 1.6e-6, rise: 30, total: 100 };
        for (step, rate) in [
            (0, 0.016),
            (10, 0.112),
            (29, 0.3989482039107085),
            (30, 0.4),
            (31, 0.39979861411380974),
            (65, 0.2000008),
            (99, 0.0002029858861903152),
            (100, 1.6e-6),
            (150, 1.6e-6),
        ] {
            assert!((cycle.rate(step) - rate).abs() <= 1e-15, "{step}: {}", cycle.rate(step));
        }
        let restarts =
            Schedule::CosineRestarts { peak: 0.1, minimum: 0.01, warmup: 0, period: 10, growth: 2 };
        for (step, rate) in [
            (0, 0.1),
            (5, 0.055),
            (9, 0.012202456766718092),
            (10, 0.1),
            (20, 0.055),
            (29, 0.010554024673218806),
            (30, 0.1),
            (50, 0.055),
            (69, 0.010138719982009242),
            (70, 0.1),
        ] {
            assert!((restarts.rate(step) - rate).abs() <= 1e-15, "{step}: {}", restarts.rate(step));
        }
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
