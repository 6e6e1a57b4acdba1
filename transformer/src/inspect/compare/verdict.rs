//! The verdict: is one model better than another on a text, and are its settings better?
//!
//! *Weights.* Both models predict the same text; the test is Student's paired one with windows of text as clusters
//! ([`clustered`]). It says whether *these* weights predict such text better.
//!
//! *Settings.* Runs that share all settings except the seed are one group. Whether the settings of two groups differ is
//! tested over seeds, by Welch's test ([`welch::t_test`]): a run is one number. With one seed each, no test of the
//! settings is possible, however small the p-value of the weights is: another seed gives other weights too.
//!
//! With m comparisons a p-value counts from 0.05/m on (Bonferroni), and intervals have the confidence 1 − 0.05/m, so that
//! all of them hold together in 95 of 100 cases.

use super::losses::Losses;
use probability::paired::{TTest, clustered};
use probability::running::Running;
use probability::{ProbabilityError, power, welch};
use serde::Serialize;

/// The p-value from which a difference counts, if there is one comparison.
pub const SIGNIFICANCE: f64 = 0.05;
/// The probability of finding a true difference for which seeds are counted.
pub const POWER: f64 = 0.8;

/// The outcome of a test: of two models, or of two groups of runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Test {
    /// The loss of the first minus that of the second, nats per unit; negative if the first is better.
    pub difference: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
    /// The difference in standard errors; `None` if it is not finite.
    pub t: Option<f64>,
    /// The degrees of freedom.
    pub degrees: f64,
    /// The probability of a difference at least as large by chance.
    pub p_value: f64,
}

impl From<TTest> for Test {
    fn from(found: TTest) -> Self {
        Test {
            difference: found.difference,
            standard_error: found.standard_error,
            low: found.interval.low,
            high: found.interval.high,
            t: Some(found.t).filter(|t| t.is_finite()),
            degrees: found.degrees,
            p_value: found.p_value,
        }
    }
}

/// Two models on the same text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// The first model.
    pub first: usize,
    /// The second one.
    pub second: usize,
    /// The paired test over pieces of the text.
    pub test: Test,
    /// The model that predicts better, if the difference counts.
    pub better: Option<usize>,
}

/// Runs that share all settings except the seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// The runs, one for each seed.
    pub runs: Vec<usize>,
    /// Runs with the seed of an earlier one, which are no further evidence.
    pub repeated: Vec<usize>,
    /// The mean loss of the runs, nats per unit.
    pub loss: f64,
    /// The deviation of the losses between seeds, if there are several.
    pub deviation: Option<f64>,
}

/// Two groups of runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The first group.
    pub first: usize,
    /// The second one.
    pub second: usize,
    /// The mean loss of the first minus that of the second.
    pub difference: f64,
    /// The test over seeds; `None` if a group has one seed only.
    pub test: Option<Test>,
    /// The group whose settings are better, if the difference counts.
    pub better: Option<usize>,
    /// The seeds of each group that find a difference of this size in four of five cases; `None` if the deviation between
    /// seeds is unknown or there is no difference.
    pub seeds_needed: Option<u64>,
}

/// The verdict on several models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Comparisons of the first model with each other one.
    pub pairs: Vec<Pair>,
    /// The p-value from which a difference of a pair counts.
    pub pairs_significance: f64,
    /// The groups; models that are no run are in none.
    pub groups: Vec<Group>,
    /// Comparisons of the first group with each other one.
    pub settings: Vec<Settings>,
    /// The p-value from which a difference of settings counts.
    pub settings_significance: f64,
    /// The deviation between seeds, pooled over groups with several seeds: nats per unit.
    pub deviation: Option<f64>,
}

impl Verdict {
    /// Compares models by their losses. `groups` has the number of each model's group, `seeds` the seed of each run;
    /// `None` for a model that is no run.
    ///
    /// ```
    /// use transformer::inspect::compare::{Losses, Unit, Verdict};
    /// // Three windows of ten tokens, and two models of one seed each.
    /// let nats = vec![vec![10.1, 12.0, 9.1], vec![11.0, 13.1, 10.0]];
    /// let losses = Losses { unit: Unit::Token, sizes: vec![10.0; 3], nats };
    /// let verdict = Verdict::of(&losses, &[0, 1], &[Some(1), Some(1)])?;
    /// assert_eq!(verdict.pairs[0].better, Some(0)); // these weights are better …
    /// assert_eq!(verdict.settings[0].better, None); // … which says nothing about the settings
    /// # Ok::<(), probability::ProbabilityError>(())
    /// ```
    ///
    /// # Errors
    /// If there are fewer than two pieces of text, or a loss is infinite or NaN.
    pub fn of(
        losses: &Losses,
        groups: &[usize],
        seeds: &[Option<u64>],
    ) -> Result<Self, ProbabilityError> {
        let models = losses.nats.len();
        let pairs_significance = SIGNIFICANCE / models.saturating_sub(1).max(1) as f64;
        let pairs = (1..models).map(|second| pair(losses, 0, second, pairs_significance));
        let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
        let numbers: Vec<usize> = {
            let mut all: Vec<usize> =
                (0..models).filter(|&i| seeds[i].is_some()).map(|i| groups[i]).collect();
            let mut seen = vec![];
            all.retain(|group| {
                !seen.contains(group) && {
                    seen.push(*group);
                    true
                }
            });
            all
        };
        let made = numbers.iter().map(|&number| {
            let members = (0..models).filter(|&i| seeds[i].is_some() && groups[i] == number);
            group(losses, members, seeds)
        });
        let groups = made.collect::<Result<Vec<Group>, _>>()?;
        let deviation = pooled(&groups);
        let settings_significance = SIGNIFICANCE / groups.len().saturating_sub(1).max(1) as f64;
        // Settings are those of a run: without one, the first model has none to compare.
        let first_is_a_run = seeds.first().is_some_and(Option::is_some);
        let others = if first_is_a_run { 1..groups.len() } else { 0..0 };
        let settings = others
            .map(|second| between(losses, &groups, second, settings_significance, deviation))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Verdict {
            pairs,
            pairs_significance,
            groups,
            settings,
            settings_significance,
            deviation,
        })
    }
}

/// Compares two models by their losses on the same pieces.
fn pair(
    losses: &Losses,
    first: usize,
    second: usize,
    significance: f64,
) -> Result<Pair, ProbabilityError> {
    let differences = losses.differences(first, second);
    let found = clustered(&differences, &losses.sizes, 1.0 - significance)?;
    let test = Test::from(found);
    let better = if test.difference < 0.0 { first } else { second };
    Ok(Pair { first, second, test, better: Some(better).filter(|_| test.p_value < significance) })
}

/// Makes the group of these runs.
fn group(
    losses: &Losses,
    members: impl Iterator<Item = usize>,
    seeds: &[Option<u64>],
) -> Result<Group, ProbabilityError> {
    let (mut runs, mut repeated): (Vec<usize>, Vec<usize>) = (vec![], vec![]);
    for i in members {
        match runs.iter().any(|&run| seeds[run] == seeds[i]) {
            true => repeated.push(i),
            false => runs.push(i),
        }
    }
    let running: Running<f64> = runs.iter().map(|&i| losses.loss(i)).collect();
    let deviation =
        (runs.len() > 1).then(|| running.sample_variance().map(f64::sqrt)).transpose()?;
    Ok(Group { loss: running.mean()?, deviation, runs, repeated })
}

/// Returns the deviation between seeds, pooled over the groups that have several.
fn pooled(groups: &[Group]) -> Option<f64> {
    let known = || groups.iter().filter_map(|g| Some((g.deviation?, (g.runs.len() - 1) as f64)));
    let degrees: f64 = known().map(|(_, degrees)| degrees).sum();
    let squares: f64 = known().map(|(deviation, degrees)| degrees * deviation * deviation).sum();
    (degrees > 0.0).then(|| (squares / degrees).sqrt())
}

/// Compares the settings of the first group with those of another.
fn between(
    losses: &Losses,
    groups: &[Group],
    second: usize,
    significance: f64,
    deviation: Option<f64>,
) -> Result<Settings, ProbabilityError> {
    let [own, other] = [&groups[0], &groups[second]];
    let difference = own.loss - other.loss;
    let of = |group: &Group| group.runs.iter().map(|&i| losses.loss(i)).collect::<Vec<_>>();
    let test = match own.runs.len().min(other.runs.len()) {
        0 | 1 => None,
        _ => {
            let found = welch::t_test(&of(own), &of(other), 1.0 - significance)?;
            Some(Test::from(found))
        }
    };
    let counts = test.is_some_and(|test| test.p_value < significance);
    let better = if difference < 0.0 { 0 } else { second };
    let seeds_needed = match deviation {
        Some(deviation) if deviation > 0.0 && difference != 0.0 => {
            let effect = (difference.abs() / deviation).clamp(1e-6, 1e3);
            Some(power::samples_needed(effect, significance, POWER)?)
        }
        _ => None,
    };
    let better = Some(better).filter(|_| counts);
    Ok(Settings { first: 0, second, difference, test, better, seeds_needed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::compare::losses::Unit;
    use probability::Random;

    /// Losses of models whose windows have a common difficulty, a mean of their own, and noise.
    fn losses(means: &[f64], windows: u64, noise: f64, seed: u64) -> Losses {
        let difficulty = Random::new(seed, 0, 0);
        let nats = means.iter().enumerate().map(|(i, mean)| {
            let own = Random::new(seed, 1 + i as u32, 0);
            let window = |w| 10.0 * (mean + difficulty.normal(w) + noise * own.normal(w));
            (0..windows).map(window).collect()
        });
        Losses { unit: Unit::Token, sizes: vec![10.0; windows as usize], nats: nats.collect() }
    }

    /// The better model is the one with the smaller loss, whichever comes first, and the interval is around the
    /// difference of the losses.
    #[test]
    fn the_sign_is_that_of_the_first() {
        for (means, better) in [([1.0, 2.0], 0), ([2.0, 1.0], 1)] {
            let losses = losses(&means, 30, 0.1, 1);
            let verdict = Verdict::of(&losses, &[0, 1], &[None, None]).unwrap();
            let Pair { test, better: found, .. } = &verdict.pairs[0];
            assert_eq!(*found, Some(better));
            assert!((test.difference - (losses.loss(0) - losses.loss(1))).abs() < 1e-12);
            assert!(test.low < test.difference && test.difference < test.high);
            assert!(verdict.groups.is_empty() && verdict.settings.is_empty());
        }
    }

    /// Windows of equal models: one pair of twenty is called different, however many tokens a window has.
    #[test]
    fn equal_models_are_rarely_called_different() {
        let experiments = 400;
        let different = (0..experiments).filter(|&seed| {
            let losses = losses(&[1.0, 1.0], 20, 0.3, seed);
            Verdict::of(&losses, &[0, 1], &[None, None]).unwrap().pairs[0].better.is_some()
        });
        let rate = different.count() as f64 / experiments as f64;
        let error = (0.05 * 0.95 / experiments as f64).sqrt();
        assert!(rate < 0.05 + 3.0 * error && rate > 0.05 - 3.0 * error, "{rate}");
    }

    /// Forty pairs of settings that are equal, with three seeds each: the settings are called different in at most a
    /// twentieth, while the weights nearly always differ.
    #[test]
    fn equal_settings_are_rarely_called_different() {
        let (mut settings, mut weights) = (0, 0);
        for pair in 0..400_u64 {
            let seeds = Random::new(pair, 9, 0);
            let means: Vec<f64> = (0..6).map(|i| 1.0 + 0.05 * seeds.normal(i)).collect();
            let losses = losses(&means, 50, 0.01, pair);
            let groups = [0, 1, 0, 1, 0, 1];
            let seeds: Vec<_> = (0..6).map(Some).collect();
            let verdict = Verdict::of(&losses, &groups, &seeds).unwrap();
            settings += usize::from(verdict.settings[0].better.is_some());
            weights += usize::from(verdict.pairs[0].better.is_some());
        }
        assert!(settings <= 20 + 13, "{settings} of 400"); // three standard deviations above 20
        assert!(weights > 300, "{weights} of 400");
    }

    /// A true difference is found with the number of seeds that was said, in at least 70 of 100 cases.
    #[test]
    fn the_seeds_that_were_said_suffice() {
        let (deviation, difference) = (0.01, 0.01);
        let needed = power::samples_needed(difference / deviation, SIGNIFICANCE, POWER).unwrap();
        let experiments = 200;
        let found = (0..experiments).filter(|&e| {
            let random = Random::new(e, 8, 0);
            let mean = |i| 1.0 + deviation * random.normal(i) + (i % 2) as f64 * difference;
            let means: Vec<f64> = (0..2 * needed).map(mean).collect();
            let losses = losses(&means, 3, 0.0, e);
            let groups: Vec<usize> = (0..means.len()).map(|i| i % 2).collect();
            let seeds: Vec<_> = (0..2 * needed).map(Some).collect();
            let verdict = Verdict::of(&losses, &groups, &seeds).unwrap();
            verdict.settings[0].better == Some(0)
        });
        let rate = found.count() as f64 / experiments as f64;
        assert!(rate > 0.7, "{rate} with {needed} seeds");
    }

    /// One seed each: no decision about settings; with the scatter of another group the number of seeds is known.
    #[test]
    fn one_seed_decides_nothing_about_settings() {
        let losses = losses(&[1.0, 2.0], 30, 0.01, 1);
        let verdict = Verdict::of(&losses, &[0, 1], &[Some(1), Some(1)]).unwrap();
        let found = &verdict.settings[0];
        assert_eq!((found.test, found.better, found.seeds_needed), (None, None, None));
        assert_eq!(verdict.deviation, None);
        let more = super::tests::losses(&[1.0, 1.5, 1.1, 1.4], 30, 0.0, 1);
        let verdict =
            Verdict::of(&more, &[0, 1, 0, 2], &[Some(1), Some(1), Some(2), Some(1)]).unwrap();
        let deviation = 0.1 / 2.0_f64.sqrt();
        assert!((verdict.deviation.unwrap() - deviation).abs() < 1e-9);
        assert_eq!(verdict.settings.len(), 2);
        // Two comparisons: each counts from 0.025 on.
        assert_eq!(verdict.settings_significance, 0.025);
        let effect = (1.05 - 1.5_f64).abs() / deviation;
        let needed = power::samples_needed(effect, 0.025, POWER).unwrap();
        assert_eq!(verdict.settings[0].seeds_needed, Some(needed));
        assert_eq!(verdict.settings[0].test, None);
    }

    /// A run that is repeated with the same seed is no second observation.
    #[test]
    fn a_seed_counts_once() {
        let losses = losses(&[1.0, 1.0, 2.0, 2.0], 30, 0.0, 1);
        let seeds = [Some(1), Some(1), Some(1), Some(1)];
        let verdict = Verdict::of(&losses, &[0, 0, 1, 1], &seeds).unwrap();
        assert_eq!(verdict.groups[0].runs, [0]);
        assert_eq!(verdict.groups[1].repeated, [3]);
        assert_eq!((verdict.deviation, verdict.settings[0].test), (None, None));
    }

    /// A model that is no run takes no part in the comparison of settings, and nothing is decided without two windows.
    #[test]
    fn models_have_no_seeds() {
        let losses = losses(&[1.0, 1.1, 1.2], 30, 0.0, 1);
        let verdict = Verdict::of(&losses, &[0, 1, 2], &[None, Some(1), Some(2)]).unwrap();
        assert_eq!((verdict.groups.len(), verdict.settings.len()), (2, 0));
        let one = super::tests::losses(&[1.0, 1.1], 1, 0.0, 1);
        assert!(Verdict::of(&one, &[0, 1], &[None, None]).is_err());
    }
}
