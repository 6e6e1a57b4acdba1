//! Spans of wall-clock time, as people write them, and a run that must end within one.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A span of time in whole seconds: `90s`, `20m`, `1h30m`, `2d`.
///
/// ```
/// use transformer::Time;
/// let time: Time = "1h30m".parse()?;
/// assert_eq!((time.seconds(), time.to_string()), (5400, "1h30m".to_owned()));
/// assert_eq!("90s".parse::<Time>()?.to_string(), "1m30s");
/// assert!("20".parse::<Time>().unwrap_err().to_string().contains("give a unit"));
/// # Ok::<(), transformer::TimeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

/// A text that is not a span of time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("found \"{found}\", expected a time such as 90s, 20m, 8h or 1h30m{hint}")]
pub struct TimeError {
    found: String,
    hint: &'static str,
}

/// Units and their seconds, the largest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
/// The longest time: a year.
const LONGEST: u64 = 366 * 86_400;

impl Time {
    /// Creates a span of this many seconds; 0 becomes 1, and more than a year a year.
    pub fn of(seconds: u64) -> Self {
        Time(seconds.clamp(1, LONGEST))
    }

    /// Returns the seconds.
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let wrong = |hint| TimeError { found: text.chars().take(40).collect(), hint };
        let (mut seconds, mut digits, mut units) = (0_u64, String::new(), UNITS.iter());
        for c in text.trim().chars() {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            // A unit after a smaller one, or twice, is a mistake.
            let unit = units.find(|(name, _)| *name == c).ok_or_else(|| wrong(""))?;
            let number: u64 = digits.parse().map_err(|_| wrong(""))?;
            let sum = number.checked_mul(unit.1).and_then(|more| seconds.checked_add(more));
            seconds = sum.ok_or_else(|| wrong(": at most a year"))?;
            digits.clear();
        }
        match (digits.is_empty(), seconds) {
            (false, _) => Err(wrong(": give a unit")),
            (true, 0) => Err(wrong(": above 0")),
            (true, seconds) if seconds > LONGEST => Err(wrong(": at most a year")),
            (true, seconds) => Ok(Time(seconds)),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        for (name, seconds) in UNITS {
            if left >= seconds {
                write!(f, "{}{name}", left / seconds)?;
                left %= seconds;
            }
        }
        Ok(())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A run's time: when it ends, and how many steps that makes.
///
/// The schedule follows time: after s steps in t of T seconds, the run expects s·T/t steps in all, so that the share of
/// the schedule that is left is the share of time that is left, whatever the machine does in between.
///
/// ```
/// use transformer::TimeBudget;
/// let budget = TimeBudget { seconds: 100.0, reserve: 10.0 };
/// assert_eq!(budget.steps(50, 45.0), 100); // half of 90 seconds
/// assert!(!budget.ends(88.0, 1.0));
/// assert!(budget.ends(89.6, 1.0)); // another step would end at 90.6, farther from 90 than now
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeBudget {
    /// The time of the whole run, from the start of the program.
    pub seconds: f64,
    /// The part of it that the end takes: the last evaluation, the files, a sample.
    pub reserve: f64,
}

impl TimeBudget {
    /// The time that is left for steps and what comes between them.
    fn of_steps(&self) -> f64 {
        (self.seconds - self.reserve).max(0.0)
    }

    /// Returns the expected number of steps of the whole run after `step` steps in `elapsed` seconds: more than `step`.
    pub fn steps(&self, step: u64, elapsed: f64) -> u64 {
        let expected = step as f64 * self.of_steps() / elapsed.max(1e-3);
        (expected.round() as u64).max(step + 1)
    }

    /// Returns whether no further step is taken after `elapsed` seconds, if one takes `step` seconds.
    pub fn ends(&self, elapsed: f64, step: f64) -> bool {
        elapsed + step / 2.0 >= self.of_steps()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_time_is_read_as_it_is_written(seconds in 1..=LONGEST) {
            prop_assert_eq!(Time(seconds).to_string().parse(), Ok(Time(seconds)));
        }

        #[test]
        fn any_text_is_a_time_or_refused(text: String) {
            if let Ok(time) = text.parse::<Time>() {
                prop_assert!((1..=LONGEST).contains(&time.seconds()));
            }
        }

        /// Whatever the times of steps, the run ends within half a step of its time, and the expected number of steps
        /// is in the end the number of steps.
        #[test]
        fn a_run_ends_in_time(times in prop::collection::vec(0.5_f64..2.0, 200), reserve in 0.0..20.0) {
            let budget = TimeBudget { seconds: 120.0, reserve };
            let (mut elapsed, mut steps) = (0.0, 0);
            for took in &times {
                elapsed += took;
                steps += 1;
                let left = 1.0 - steps as f64 / budget.steps(steps, elapsed) as f64;
                let of_time = 1.0 - elapsed / budget.of_steps();
                prop_assert!((left - of_time.max(0.0)).abs() <= 1.0 / steps as f64);
                if budget.ends(elapsed, *took) {
                    break;
                }
            }
            // Half of the longest step, for a step that was expected to be as long as the last one but was not.
            prop_assert!((elapsed + reserve - 120.0).abs() <= 2.0, "{}", elapsed);
            prop_assert!(budget.steps(steps, elapsed) <= steps + 2);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "m",
            "20",
            "5x",
            "1m1h",
            "1h1h",
            "-1s",
            "1.5h",
            "0s",
            "99999999999999999999s",
            "400d",
        ] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }
}
