//! Which of several settings matter: a factorial experiment, its effects and interactions.
//!
//! Every combination of levels is trained with the same seeds and for the same time. The effect of a level is the mean
//! difference of the loss to the first level of its factor, over all combinations of the other factors and all seeds; the two
//! runs of a difference share everything else, so that what a seed or another factor does to both cancels. Runs with one seed
//! share their initial weights and batches, so that a seed is one observation: the test has as many as there are seeds. An
//! *interaction* of two levels is the amount by which the effect of one depends on the other. A level is called better or
//! worse only if its p-value is below 0.05 divided by the number of tests (Bonferroni).
//!
//! Source: Fisher, *The Design of Experiments*, 1935, chapter 6; Montgomery, *Design and Analysis of Experiments*.

use probability::ProbabilityError;
use probability::paired::{TTest, t_test};
use serde::Serialize;
use thiserror::Error;

/// A setting and its levels; the first one is what the others are compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Factor {
    /// The setting's name.
    pub name: String,
    /// Its values.
    pub levels: Vec<String>,
}

/// A full factorial design: every combination of levels, once for each seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Design {
    factors: Vec<Factor>,
    seeds: usize,
}

/// The effect of a level against the first level of its factor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// The number of the factor.
    pub factor: usize,
    /// The number of the level, from 1.
    pub level: usize,
    /// The difference of the losses, nats per token: negative if this level is better.
    pub difference: f64,
    /// Its interval, with a confidence of one minus the significance of one test.
    pub interval: [f64; 2],
    /// Its p-value.
    pub p_value: f64,
    /// The number of pairs of runs, those of all seeds together.
    pub pairs: usize,
    /// Whether the difference is shown.
    pub significant: bool,
}

/// The dependence of one level's effect on another level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interaction {
    /// The number of a factor and of its level, twice.
    pub levels: [(usize, usize); 2],
    /// The effect of both together minus the sum of their effects, nats per token.
    pub difference: f64,
    /// Its p-value.
    pub p_value: f64,
    /// Whether it is shown.
    pub significant: bool,
}

/// All effects of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// The effects, factor by factor; those of which a run diverged are missing.
    pub effects: Vec<Effect>,
    /// The interactions of two factors.
    pub interactions: Vec<Interaction>,
    /// The significance of one test: 0.05 over the number of tests.
    pub significance: f64,
}

/// A design or losses that cannot be analysed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DesignError {
    /// A factor without a choice.
    #[error("{name} has {found}; a comparison takes two or more different ones")]
    Levels {
        /// The factor.
        name: String,
        /// Its levels.
        found: String,
    },
    /// A factor that is given twice.
    #[error("{0} is given twice")]
    Twice(String),
    /// No factor.
    #[error("no setting is given to compare")]
    Nothing,
    /// Too few seeds.
    #[error("{0} seeds; an interval takes two or more")]
    Seeds(usize),
    /// Too many runs.
    #[error("{runs} runs ({cells} combinations, {seeds} seeds each); at most {most} can be compared", most = Design::MOST)]
    Many {
        /// All runs.
        runs: usize,
        /// Combinations.
        cells: usize,
        /// Seeds.
        seeds: usize,
    },
}

/// The significance of all tests together.
const SIGNIFICANCE: f64 = 0.05;

impl Design {
    /// The most runs.
    pub const MOST: usize = 4096;

    /// Creates a design.
    ///
    /// ```
    /// use transformer::inspect::ablate::{Design, Factor};
    /// let factor = |name: &str, levels: [&str; 2]| Factor { name: name.into(), levels: levels.map(str::to_owned).into() };
    /// let design = Design::new(vec![factor("norm", ["rms", "layer"]), factor("tied", ["true", "false"])], 3)?;
    /// assert_eq!((design.cells(), design.runs()), (4, 12));
    /// assert_eq!(design.levels(2), [1, 0]); // layer, true
    /// # Ok::<(), transformer::inspect::ablate::DesignError>(())
    /// ```
    ///
    /// # Errors
    /// No factor, a factor without a choice or given twice, fewer than two seeds, too many runs.
    pub fn new(factors: Vec<Factor>, seeds: usize) -> Result<Self, DesignError> {
        if factors.is_empty() {
            return Err(DesignError::Nothing);
        }
        for (i, factor) in factors.iter().enumerate() {
            let levels = &factor.levels;
            if factors[..i].iter().any(|other| other.name == factor.name) {
                return Err(DesignError::Twice(factor.name.clone()));
            }
            let repeated = levels.iter().enumerate().any(|(k, level)| levels[..k].contains(level));
            if levels.len() < 2 || repeated {
                let (name, found) = (factor.name.clone(), levels.join(", "));
                return Err(DesignError::Levels { name, found });
            }
        }
        if seeds < 2 {
            return Err(DesignError::Seeds(seeds));
        }
        let cells = factors.iter().fold(1_usize, |n, f| n.saturating_mul(f.levels.len()));
        let runs = cells.saturating_mul(seeds);
        match runs > Self::MOST {
            true => Err(DesignError::Many { runs, cells, seeds }),
            false => Ok(Design { factors, seeds }),
        }
    }

    /// Returns the factors.
    pub fn factors(&self) -> &[Factor] {
        &self.factors
    }

    /// Returns the number of seeds.
    pub fn seeds(&self) -> usize {
        self.seeds
    }

    /// Returns the number of combinations.
    pub fn cells(&self) -> usize {
        self.factors.iter().map(|factor| factor.levels.len()).product()
    }

    /// Returns the number of runs.
    pub fn runs(&self) -> usize {
        self.cells() * self.seeds
    }

    /// Returns the numbers of the levels of a combination; the last factor changes fastest.
    pub fn levels(&self, cell: usize) -> Vec<usize> {
        let mut rest = cell;
        let mut levels: Vec<usize> = self
            .factors
            .iter()
            .rev()
            .map(|factor| {
                let n = factor.levels.len();
                let level = rest % n;
                rest /= n;
                level
            })
            .collect();
        levels.reverse();
        levels
    }

    fn cell(&self, levels: &[usize]) -> usize {
        self.factors.iter().zip(levels).fold(0, |cell, (f, level)| cell * f.levels.len() + level)
    }

    /// Analyses the losses, `losses[cell][seed]`, nats per token; NaN where a run diverged.
    ///
    /// ```
    /// use transformer::inspect::ablate::{Design, Factor};
    /// let levels = ["gelu", "silu"].map(str::to_owned).into();
    /// let design = Design::new(vec![Factor { name: "activation".into(), levels }], 4)?;
    /// let losses = vec![vec![1.50, 1.52, 1.49, 1.51], vec![1.45, 1.48, 1.44, 1.45]];
    /// let analysis = design.analyse(&losses);
    /// assert!(analysis.effects[0].significant && (analysis.effects[0].difference + 0.05).abs() < 1e-12);
    /// # Ok::<(), transformer::inspect::ablate::DesignError>(())
    /// ```
    ///
    /// # Panics
    /// If there is not one loss for each combination and seed.
    pub fn analyse(&self, losses: &[Vec<f64>]) -> Analysis {
        assert_eq!(losses.len(), self.cells(), "one list of losses for each combination");
        assert!(losses.iter().all(|l| l.len() == self.seeds), "one loss for each seed");
        let levels: Vec<(usize, usize)> = self
            .factors
            .iter()
            .enumerate()
            .flat_map(|(i, f)| (1..f.levels.len()).map(move |level| (i, level)))
            .collect();
        let pairs: Vec<[(usize, usize); 2]> = levels
            .iter()
            .enumerate()
            .flat_map(|(k, &a)| levels[k + 1..].iter().map(move |&b| [a, b]))
            .filter(|[a, b]| a.0 != b.0)
            .collect();
        let significance = SIGNIFICANCE / (levels.len() + pairs.len()) as f64;
        let effects = levels.iter().filter_map(|&(factor, level)| {
            let (with, without) = self.by_seed(losses, &[(factor, level)]);
            let test = tested(&with, &without, significance)?;
            Some(Effect {
                factor,
                level,
                difference: test.difference,
                interval: [test.interval.low, test.interval.high],
                p_value: test.p_value,
                pairs: self.runs() / self.factors[factor].levels.len(),
                significant: test.p_value < significance,
            })
        });
        let interactions = pairs.iter().filter_map(|&levels| {
            let (with, without) = self.by_seed(losses, &levels);
            let test = tested(&with, &without, significance)?;
            let significant = test.p_value < significance;
            Some(Interaction {
                levels,
                difference: test.difference,
                p_value: test.p_value,
                significant,
            })
        });
        Analysis { effects: effects.collect(), interactions: interactions.collect(), significance }
    }

    /// Returns each seed's mean loss with and without the levels, over pairs that share everything else. Of two levels, the
    /// sums of the losses with both and with none of them, and of those with one: their difference is the interaction.
    fn by_seed(&self, losses: &[Vec<f64>], levels: &[(usize, usize)]) -> (Vec<f64>, Vec<f64>) {
        let (mut with, mut without) = (vec![0.0; self.seeds], vec![0.0; self.seeds]);
        let mut pairs = 0.0;
        for cell in 0..self.cells() {
            let first = self.levels(cell);
            if levels.iter().any(|&(factor, _)| first[factor] != 0) {
                continue;
            }
            pairs += 1.0;
            let at = |set: &[(usize, usize)]| {
                let mut there = first.clone();
                set.iter().for_each(|&(factor, level)| there[factor] = level);
                &losses[self.cell(&there)]
            };
            for seed in 0..self.seeds {
                let loss = |set: &[(usize, usize)]| at(set)[seed];
                match levels {
                    [one] => {
                        with[seed] += loss(&[*one]);
                        without[seed] += loss(&[]);
                    }
                    _ => {
                        with[seed] += loss(levels) + loss(&[]);
                        without[seed] += levels.iter().map(|&one| loss(&[one])).sum::<f64>();
                    }
                }
            }
        }
        for mean in with.iter_mut().chain(&mut without) {
            *mean /= pairs;
        }
        (with, without)
    }
}

/// Returns the paired test; `None` if a run diverged.
fn tested(with: &[f64], without: &[f64], significance: f64) -> Option<TTest> {
    let test: Result<TTest, ProbabilityError> = t_test(with, without, 1.0 - significance);
    test.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use probability::Random;

    fn design(levels: &[usize], seeds: usize) -> Design {
        let factor = |(i, &n): (usize, &usize)| Factor {
            name: format!("factor{i}"),
            levels: (0..n).map(|k| k.to_string()).collect(),
        };
        Design::new(levels.iter().enumerate().map(factor).collect(), seeds).unwrap()
    }

    /// Losses with these effects of levels, an interaction of two levels, effects of seeds and noise.
    fn losses(design: &Design, random: Random, noise: f64, interaction: f64) -> Vec<Vec<f64>> {
        let n = design.seeds() as u64;
        let cell = |cell: usize| {
            let levels = design.levels(cell);
            let mean = 2.0 - 0.05 * levels[0] as f64 + 0.03 * levels[1] as f64;
            let both = if levels[0] == 1 && levels[1] == 1 { interaction } else { 0.0 };
            let of_seed = |seed: u64| 0.1 * random.normal(1_000_000 + seed);
            (0..n)
                .map(|seed| {
                    mean + both + of_seed(seed) + noise * random.normal(cell as u64 * n + seed)
                })
                .collect()
        };
        (0..design.cells()).map(cell).collect()
    }

    #[test]
    fn effects_and_interactions_are_found() {
        let design = design(&[3, 2], 3);
        let found = design.analyse(&losses(&design, Random::new(1, 0, 0), 0.0, 0.02));
        let of = |factor, level| {
            found.effects.iter().find(|e| (e.factor, e.level) == (factor, level)).unwrap()
        };
        // The interaction is half present in what is averaged over the other factor.
        assert!((of(0, 1).difference - (-0.05 + 0.01)).abs() < 1e-12);
        assert!((of(0, 2).difference + 0.10).abs() < 1e-12);
        assert!((of(1, 1).difference - (0.03 + 0.02 / 3.0)).abs() < 1e-12);
        assert_eq!(of(0, 1).pairs, 6);
        let both = found.interactions.iter().find(|i| i.levels == [(0, 1), (1, 1)]).unwrap();
        assert!((both.difference - 0.02).abs() < 1e-12);
        assert_eq!(found.interactions.len(), 2);
        assert!((found.significance - 0.05 / 5.0).abs() < 1e-15);
    }

    /// What seeds do to all runs cancels. Noise alone is called an effect or an interaction in at most 5 % of experiments
    /// (200 of them: at most 18 with a probability of 0.99), also where a seed shifts all runs with a level alike.
    #[test]
    fn noise_is_no_effect() {
        let design = design(&[2, 2, 2], 3);
        let wrong = |seed, shared: f64| {
            let random = Random::new(seed, 0, 0);
            let loss = |cell: usize, s: usize| {
                let of_level = design.levels(cell)[0] as f64 * random.normal(900 + s as u64);
                1.5 + 0.01 * random.normal((3 * cell + s) as u64) + shared * of_level
            };
            let all = (0..design.cells()).map(|c| (0..3).map(|s| loss(c, s)).collect());
            let found = design.analyse(&all.collect::<Vec<_>>());
            found.effects.iter().any(|e| e.significant)
                || found.interactions.iter().any(|i| i.significant)
        };
        for shared in [0.0, 0.02] {
            let wrong = (0..200).filter(|&seed| wrong(seed, shared)).count();
            assert!(wrong <= 18, "{wrong} of 200");
        }
        // A true effect of five standard deviations is found.
        let design = super::tests::design(&[2, 2], 6);
        let found = design.analyse(&losses(&design, Random::new(3, 0, 0), 0.004, 0.0));
        assert!(found.effects.iter().all(|e| e.significant), "{found:?}");
        assert!(
            found
                .effects
                .iter()
                .all(|e| e.interval[0] < e.difference && e.difference < e.interval[1])
        );
    }

    #[test]
    fn a_run_that_diverged_takes_its_effects_with_it() {
        let design = design(&[2, 2], 2);
        let mut all = losses(&design, Random::new(1, 0, 0), 0.001, 0.0);
        all[3][1] = f64::NAN;
        let found = design.analyse(&all);
        assert!(found.effects.is_empty() && found.interactions.is_empty());
        let design = self::design(&[3, 2], 2);
        let mut all = losses(&design, Random::new(1, 0, 0), 0.001, 0.0);
        // Only the last level of the first factor.
        all[4][0] = f64::NAN;
        let found = design.analyse(&all);
        assert_eq!(found.effects.iter().map(|e| (e.factor, e.level)).collect::<Vec<_>>(), [(0, 1)]);
    }

    #[test]
    fn what_is_no_experiment_is_refused() {
        let factor = |name: &str, levels: &[&str]| Factor {
            name: name.into(),
            levels: levels.iter().map(|l| (*l).to_owned()).collect(),
        };
        assert_eq!(Design::new(vec![], 2), Err(DesignError::Nothing));
        let refused =
            |factors: Vec<Factor>, seeds| Design::new(factors, seeds).unwrap_err().to_string();
        assert!(refused(vec![factor("norm", &["rms"])], 2).contains("two or more different"));
        assert!(
            refused(vec![factor("norm", &["rms", "rms"])], 2).contains("two or more different")
        );
        let norm = || factor("norm", &["rms", "layer"]);
        assert!(refused(vec![norm(), norm()], 2).contains("norm is given twice"));
        assert!(refused(vec![norm()], 1).contains("two or more"));
        let many = (0..12).map(|i| factor(&format!("f{i}"), &["0", "1"])).collect();
        assert!(refused(many, 2).contains("8192 runs"));
    }
}
