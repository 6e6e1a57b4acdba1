//! Parameters with a decay, or a share of the learning rate, of their own.

use super::OptimizerConfig;
use crate::{Parameter, hidden_matrices, matrices};
use std::ops::Range;

/// The parameters in groups: some ranges with their own settings, and all others, which do not decay.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    /// In order, without overlaps.
    own: Vec<(Range<usize>, Settings)>,
    others: Settings,
}

/// The settings of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// The factor of the learning rate.
    pub share: f64,
    /// Whether weight decay applies, at the whole learning rate.
    pub decays: bool,
}

impl Groups {
    /// Returns groups of one rate, of which these ranges decay.
    pub(super) fn decaying(ranges: Vec<Range<usize>>) -> Self {
        let settings = |decays| Settings { share: 1.0, decays };
        let own = ranges.into_iter().map(|range| (range, settings(true))).collect();
        Groups { own, others: settings(false) }
    }

    /// Returns the groups of these parameters: matrices decay if the rule has a decay, and hidden matrices have a share
    /// of their own ([`OptimizerConfig::shares`]).
    pub(super) fn of(config: &OptimizerConfig, parameters: &[Parameter], decays: bool) -> Self {
        let [share, others] = config.shares();
        let hidden: Vec<_> = hidden_matrices(parameters).map(|p| p.range.clone()).collect();
        let ranges = match decays {
            true => matrices(parameters),
            false if share == others => vec![],
            false => hidden.clone(),
        };
        let settings = |range: &Range<usize>| Settings {
            share: if hidden.contains(range) { share } else { others },
            decays,
        };
        let own = ranges.into_iter().map(|range| (range.clone(), settings(&range))).collect();
        Groups { own, others: Settings { share: others, decays: false } }
    }

    /// Calls `update` on all groups of n parameters, in order.
    pub(super) fn each(&self, n: usize, mut update: impl FnMut(Range<usize>, Settings)) {
        let mut done = 0;
        for (range, settings) in &self.own {
            update(done..range.start, self.others);
            update(range.clone(), *settings);
            done = range.end;
        }
        update(done..n, self.others);
    }

    /// Returns the settings of a parameter.
    pub(super) fn at(&self, parameter: usize) -> Settings {
        let own = self.own.iter().find(|(range, _)| range.contains(&parameter));
        own.map_or(self.others, |(_, settings)| *settings)
    }

    /// Returns the largest share.
    pub(super) fn most(&self) -> f64 {
        self.own.iter().map(|(_, own)| own.share).fold(self.others.share, f64::max)
    }

    /// Returns the divisors of a step over the shares of the learning rate; `None` if all are 1.
    pub(super) fn over_shares(&self, n: usize, divisors: Option<Vec<f64>>) -> Option<Vec<f64>> {
        if self.own.iter().all(|(_, own)| own.share == 1.0) && self.others.share == 1.0 {
            return divisors;
        }
        let mut divisors = divisors.unwrap_or_else(|| vec![1.0; n]);
        self.each(n, |range, Settings { share, .. }| {
            divisors[range].iter_mut().for_each(|divisor| *divisor /= share);
        });
        Some(divisors)
    }
}
