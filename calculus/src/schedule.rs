//! The learning rate as a function of the step.

use std::f64::consts::PI;

/// step → learning rate.
///
/// Both schedules that warm up rise linearly over the first `warmup` steps, step 0 taking
/// peak/(warmup + 1), and then fall to `minimum` at step `total`, where they stay.
///
/// ```
/// use calculus::schedule::Schedule;
/// let s = Schedule::Cosine { peak: 3e-4, minimum: 3e-5, warmup: 2000, total: 100_000 };
/// assert!((s.rate(2000) - 3e-4).abs() < 1e-12);
/// assert!((s.rate(50_000) - 1.69327e-4).abs() < 1e-9);
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
        /// Steps of warm-up.
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
        /// Steps of warm-up.
        warmup: u64,
        /// The step at which the minimum is reached.
        total: u64,
    },
}

impl Schedule {
    /// The learning rate of a step; the first is step 0.
    pub fn rate(&self, step: u64) -> f64 {
        let (peak, minimum, warmup, total) = match *self {
            Schedule::Constant { rate } => return rate,
            Schedule::Cosine { peak, minimum, warmup, total }
            | Schedule::Linear { peak, minimum, warmup, total } => (peak, minimum, warmup, total),
        };
        if step < warmup {
            return peak * (step + 1) as f64 / (warmup + 1) as f64;
        }
        if step >= total {
            return minimum;
        }
        let progress = (step - warmup) as f64 / (total - warmup) as f64;
        let share = match self {
            Schedule::Cosine { .. } => 0.5 * (1.0 + (PI * progress).cos()),
            _ => 1.0 - progress,
        };
        minimum + share * (peak - minimum)
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
    }
}
