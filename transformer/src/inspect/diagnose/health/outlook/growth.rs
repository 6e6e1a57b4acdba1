//! Growing attention scores, and the step at which they would do harm if the growth went on.
//!
//! A robust line ([`probability::theil_sen`]) through the largest scores of the last steps looked at, or through their logarithms,
//! whichever leaves the smaller sum of distances. Nothing is said of scores whose slope may be 0 with the confidence, and
//! nothing of a step beyond the horizon: a line says little far beyond its points.

use crate::disk::Metric;
use crate::inspect::diagnose::cause::SCORE;
use crate::inspect::diagnose::picture::Growth;
use crate::training::precision::Precision;
use probability::theil_sen::line;
use serde::Serialize;

/// The confidence of the interval of a slope.
const CONFIDENCE: f64 = 0.95;
/// The most points: a line through a whole run would go on as its beginning did, and takes memory for every pair.
const MOST: usize = 200;
/// The fewest points: with six, the interval of 95 % leaves out a slope at either end, so that a single step that grows
/// by chance does not make a growth.
const FEWEST: usize = 6;
/// The horizon in lengths of the steps looked at, or the end of the plan if that is nearer. A convention.
const LENGTHS: f64 = 20.0;

/// A size that scores reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reached {
    /// The consequence.
    pub what: &'static str,
    /// The size.
    pub size: f64,
    /// Steps until then, from the last step looked at.
    pub steps: f64,
    /// The same with the ends of the slope's interval.
    pub between: (f64, f64),
}

/// The growth of an attention's largest score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreGrowth {
    /// The attention's name.
    pub name: String,
    /// The last step looked at, and the largest score on the line there.
    pub now: (u64, f64),
    /// Whether the line is one of the logarithm.
    pub exponential: bool,
    /// The slope per step: of the score, or of its logarithm.
    pub slope: f64,
    /// Its interval of 95 % if steps scattered independently; scores of neighbouring steps are alike, so that it is narrow.
    pub interval: (f64, f64),
    /// The steps until scores reach what does harm, within the horizon, the earliest first.
    pub reached: Vec<Reached>,
}

impl ScoreGrowth {
    /// Fits the largest scores by step; `None` if they do not grow with confidence, or there are too few. `left` are the planned
    /// steps after the last one, `None` if unknown.
    pub fn of(growth: &Growth, left: Option<u64>) -> Option<Self> {
        let usable = |(_, s): &&(u64, f64)| s.is_finite() && *s > 0.0;
        let latest = &growth.sizes[growth.sizes.len().saturating_sub(MOST)..];
        let points: Vec<(u64, f64)> = latest.iter().filter(usable).copied().collect();
        if points.len() < FEWEST || points.len() < latest.len() {
            return None;
        }
        let steps: Vec<f64> = points.iter().map(|p| p.0 as f64).collect();
        let sizes: Vec<f64> = points.iter().map(|p| p.1).collect();
        let logs: Vec<f64> = sizes.iter().map(|s| s.ln()).collect();
        let [linear, exponential] = [&sizes, &logs].map(|y| line(&steps, y, CONFIDENCE).ok());
        let (linear, exponential) = (linear?, exponential?);
        let off = |at: &dyn Fn(f64) -> f64| -> f64 {
            steps.iter().zip(&sizes).map(|(x, y)| (at(*x) - y).abs()).sum()
        };
        let curved = off(&|x| exponential.at(x).exp()) < off(&|x| linear.at(x));
        let fit = if curved { exponential } else { linear };
        if fit.interval.low <= 0.0 {
            return None;
        }
        let (first, last) = (steps[0], steps[steps.len() - 1]);
        let horizon = left.map_or(f64::INFINITY, |left| left as f64).min(LENGTHS * (last - first));
        let of = |y: f64| if curved { y.ln() } else { y };
        let at = fit.at(last);
        let until = |what, size: f64| {
            let way = of(size) - at;
            let (steps, between) =
                (way / fit.slope, (way / fit.interval.high, way / fit.interval.low));
            Reached { what, size, steps, between }
        };
        let ends = [
            until("saturated attention", SCORE),
            until("the end of f16", Precision::F16.largest()),
        ];
        let reached = ends.into_iter().filter(|r| r.steps > 0.0 && r.steps <= horizon).collect();
        Some(ScoreGrowth {
            name: growth.name.clone(),
            now: (last as u64, if curved { at.exp() } else { at }),
            exponential: curved,
            slope: fit.slope,
            interval: (fit.interval.low, fit.interval.high),
            reached,
        })
    }
}

/// Returns the largest scores of every block at the steps at which a run recorded its health (`train --watch`); empty if it
/// recorded none.
pub fn recorded_scores(metrics: &[Metric]) -> Vec<Growth> {
    let of = |m: &Metric| {
        let blocks = m.health.as_ref()?.get("largest_scores")?.as_array()?;
        let sizes: Option<Vec<f64>> = blocks.iter().map(serde_json::Value::as_f64).collect();
        // A step is measured before its update.
        Some((m.step.saturating_sub(1), sizes?))
    };
    let all: Vec<(u64, Vec<f64>)> = metrics.iter().filter_map(of).collect();
    let blocks = all.iter().map(|(_, sizes)| sizes.len()).min().unwrap_or(0);
    let block = |i: usize| Growth {
        name: format!("block {i}, last queries"),
        sizes: all.iter().map(|(step, sizes)| (*step, sizes[i])).collect(),
    };
    (0..blocks).map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use probability::random::Random;

    fn growth(of: impl Fn(u64) -> f64) -> Growth {
        let sizes = (0..12).map(|i| (100 + 10 * i, of(10 * i))).collect();
        Growth { name: "weights".into(), sizes }
    }

    /// Lines and exponentials without noise: the step is that of the formula.
    #[test]
    fn exact_growth_arrives_when_its_formula_says() {
        // 5 + 0.1·t at t = 110 is 16; 30 is reached after 140 more steps, 65,504 beyond any horizon.
        let found = ScoreGrowth::of(&growth(|t| 5.0 + 0.1 * t as f64), None).unwrap();
        assert!(!found.exponential && found.now.0 == 210 && (found.now.1 - 16.0).abs() < 1e-9);
        assert_eq!(found.reached.len(), 1);
        let Reached { size, steps, between, .. } = found.reached[0];
        assert!((size - 30.0).abs() < 1e-12 && (steps - 140.0).abs() < 1e-6, "{steps}");
        assert!((between.0 - 140.0).abs() < 1e-6 && (between.1 - 140.0).abs() < 1e-6);
        // 100·e^(t/50): beyond saturation; ln 655.04·50 = 324.2 steps after t = 0, 214.2 after t = 110.
        let found = ScoreGrowth::of(&growth(|t| 100.0 * (t as f64 / 50.0).exp()), None).unwrap();
        assert!(found.exponential && (found.slope - 0.02).abs() < 1e-9);
        let wanted = 50.0 * 655.04_f64.ln() - 110.0;
        assert!((found.reached[0].steps - wanted).abs() < 1e-6 && found.reached.len() == 1);
        assert_eq!(found.reached[0].size, 65504.0);
        // 0.1 + 0.01·t reaches 30 after 2880 more steps, beyond 20 times the 110 looked at.
        let slow = growth(|t| 0.1 + 0.01 * t as f64);
        assert!(ScoreGrowth::of(&slow, Some(1_000_000)).unwrap().reached.is_empty());
        // Not within the plan.
        assert!(
            ScoreGrowth::of(&growth(|t| 5.0 + 0.1 * t as f64), Some(139))
                .unwrap()
                .reached
                .is_empty()
        );
        assert_eq!(
            ScoreGrowth::of(&growth(|t| 5.0 + 0.1 * t as f64), Some(141)).unwrap().reached.len(),
            1
        );
    }

    /// Noise without growth, decay, constants and too few points say nothing.
    #[test]
    fn what_does_not_grow_says_nothing() {
        let mut said = 0;
        for seed in 0..200 {
            let random = Random::new(seed, 0, 0);
            said +=
                u32::from(ScoreGrowth::of(&growth(|t| 10.0 + random.normal(t)), None).is_some());
        }
        // A slope that is above 0 by chance: 2.5 of 100; five deviations of √(200·0.025) = 2.2 above 5.
        assert!(said <= 16, "{said} of 200");
        assert_eq!(ScoreGrowth::of(&growth(|t| 200.0 - t as f64), None), None);
        assert_eq!(ScoreGrowth::of(&growth(|_| 3.0), None), None);
        // Growth that ended long ago is not gone on with.
        let ended = |i: u64| if i < 100 { i as f64 + 1.0 } else { 100.0 };
        let sizes = (0..400).map(|i| (i, ended(i))).collect();
        assert_eq!(ScoreGrowth::of(&Growth { name: String::new(), sizes }, None), None);
        let few =
            Growth { sizes: (0..5).map(|i| (i, i as f64 + 1.0)).collect(), name: String::new() };
        assert_eq!(ScoreGrowth::of(&few, None), None);
        let broken = growth(|t| if t == 50 { f64::INFINITY } else { 1.0 + t as f64 });
        assert_eq!(ScoreGrowth::of(&broken, None), None);
    }

    /// With independent noise, the true slope is within the interval as often as the interval says.
    #[test]
    fn the_slope_of_noisy_growth_is_within_its_interval() {
        let (mut inside, mut all) = (0, 0);
        for seed in 0..300 {
            let random = Random::new(seed, 1, 0);
            let noisy = growth(|t| 5.0 + 0.1 * t as f64 + 0.5 * random.normal(t));
            let Some(found) = ScoreGrowth::of(&noisy, None) else { continue };
            let slope =
                if found.exponential { continue } else { (found.interval.0, found.interval.1) };
            all += 1;
            inside += u32::from(slope.0 <= 0.1 && 0.1 <= slope.1);
        }
        assert!(all > 100 && f64::from(inside) > 0.9 * f64::from(all), "{inside} of {all}");
    }
}
