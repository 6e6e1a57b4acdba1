//! Seconds per token as a function of a model's operations per token.

use serde::Serialize;

/// Measured speeds: between measured sizes, seconds per operation follow a power of the operations per token. Small models
/// take longer for an operation, since vectors are shorter and overheads count (`docs/scaling.md`).
///
/// ```
/// use transformer::inspect::plan::Speed;
/// let mut speed = Speed::default();
/// speed.measured(1e6, 2e-5);
/// speed.measured(1e8, 1e-3);
/// assert!((speed.seconds(1e7) - 1.414e-4).abs() < 1e-7); // halfway between 2·10⁻¹¹ and 10⁻¹¹ seconds an operation
/// assert!((speed.seconds(1e9) - 1e-2).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Speed {
    /// Pairs of operations per token and seconds per operation, in ascending order, with the number of measurements.
    points: Vec<(f64, f64, u32)>,
}

impl Speed {
    /// Adds a measurement: the operations per token, forward and backward, and the seconds per token. Several of the same
    /// size are averaged.
    pub fn measured(&mut self, flops: f64, seconds: f64) {
        let rate = seconds / flops;
        let at = self.points.partition_point(|p| p.0 < flops);
        match self.points.get_mut(at) {
            Some((same, mean, count)) if *same == flops => {
                *count += 1;
                *mean += (rate - *mean) / f64::from(*count);
            }
            _ => self.points.insert(at, (flops, rate, 1)),
        }
    }

    /// Returns the seconds per token of a model with so many operations per token; NaN before the first measurement.
    pub fn seconds(&self, flops: f64) -> f64 {
        let at = self.points.partition_point(|p| p.0 < flops);
        let rate = match (at.checked_sub(1).map(|i| self.points[i]), self.points.get(at)) {
            (Some((x0, y0, _)), Some(&(x1, y1, _))) => {
                let t = (flops / x0).ln() / (x1 / x0).ln();
                (y0.ln() * (1.0 - t) + y1.ln() * t).exp()
            }
            (Some((_, y, _)), None) | (None, Some(&(_, y, _))) => y,
            (None, None) => f64::NAN,
        };
        flops * rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Measured sizes have their measured speeds, and sizes between them a speed per operation between theirs.
        #[test]
        fn measurements_are_met(all in prop::collection::vec((1e5_f64..1e9, 1e-12_f64..1e-9), 1..6)) {
            let mut speed = Speed::default();
            for (flops, rate) in &all {
                speed.measured(*flops, flops * rate);
            }
            for (flops, rate) in &all {
                prop_assert!((speed.seconds(*flops) / (flops * rate) - 1.0).abs() < 1e-9);
            }
            let rates = || all.iter().map(|p| p.1);
            let (low, high) = (rates().fold(1.0, f64::min), rates().fold(0.0, f64::max));
            for flops in [1e4, 3e5, 7e6, 2e8, 1e10] {
                let rate = speed.seconds(flops) / flops;
                prop_assert!(rate >= low * (1.0 - 1e-9) && rate <= high * (1.0 + 1e-9));
            }
        }
    }

    #[test]
    fn repeated_measurements_are_averaged() {
        let mut speed = Speed::default();
        assert!(speed.seconds(1e6).is_nan());
        for seconds in [1.0, 2.0, 6.0] {
            speed.measured(1e6, seconds);
        }
        assert!((speed.seconds(1e6) - 3.0).abs() < 1e-12);
    }
}
