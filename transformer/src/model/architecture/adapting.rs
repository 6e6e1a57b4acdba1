//! What of an architecture can be adapted.

use super::{Architecture, ConfigError};
use crate::model::adaptation::{Adaptation, Target, matches};
use crate::printable::decimal;
use std::ops::Range;

impl Architecture {
    /// Checks what is learned of the model.
    ///
    /// # Errors
    /// A pattern that no weight has, weights none of which are learned, or an adapter of another size than its matrices
    /// allow.
    pub(crate) fn check_adaptation(&self) -> Result<(), ConfigError> {
        let Adaptation { freeze, learn, adapter, .. } = &self.adaptation;
        let refused = |setting, found: String, expected: String| {
            Err(ConfigError::Adaptation { setting, found, expected })
        };
        let list = self.parameter_list()?;
        for (setting, patterns) in [("freeze", freeze), ("learn", learn)] {
            let unmatched = |pattern: &&String| !list.iter().any(|p| matches(pattern, &p.name));
            if let Some(pattern) = patterns.iter().find(unmatched) {
                let examples = ["embedding.*", "block.0.*", "*.attention.*", "*.norm_1.weight"];
                let expected = format!(
                    "a pattern that the names of some weights match, such as {}",
                    examples.join(", ")
                );
                return refused(
                    setting,
                    format!("\"{pattern}\", which no weight matches"),
                    expected,
                );
            }
        }
        if adapter.is_none() && list.iter().all(|p| self.adaptation.freezes(&p.name)) {
            let expected = "fewer weights: with every weight frozen there is nothing to train";
            return refused("freeze", "every weight".to_owned(), expected.to_owned());
        }
        let Some(adapter) = adapter else { return Ok(()) };
        if !freeze.is_empty() || !learn.is_empty() {
            let expected = "absent beside adapters, with which all weights of the model are frozen: leave out --freeze and --learn, or --lora";
            return refused("freeze or learn", "given".to_owned(), expected.to_owned());
        }
        if adapter.targets.is_empty() {
            let expected = "one linear map or more".to_owned();
            return refused("the adapter's targets", "none".to_owned(), expected);
        }
        if let Some(target) = adapter.targets.iter().find(|target| !self.has(**target)) {
            let expected =
                "a linear map of this model, whose feed-forward part has no gate".to_owned();
            return refused("the adapter's targets", target.key().to_owned(), expected);
        }
        // A thin matrix that is not thin has more numbers than it replaces.
        let places = adapter.targets.iter().map(|&target| self.place(target));
        let most = places.map(|(_, rows, inputs)| rows.len().min(inputs)).min().unwrap_or(0);
        if adapter.rank == 0 || adapter.rank > most {
            let expected = format!("1 to {most}, the smaller side of the smallest matrix");
            return refused("the adapter's rank", adapter.rank.to_string(), expected);
        }
        let overlap = |a: &Target, b: &Target| {
            let ((one, own, _), (other, rows, _)) = (self.place(*a), self.place(*b));
            one == other && own.start < rows.end && rows.start < own.end
        };
        let mut pairs = adapter.targets.iter().enumerate();
        let met = pairs
            .find_map(|(k, a)| Some((a, adapter.targets[..k].iter().find(|b| overlap(a, b))?)));
        if let Some((a, b)) = met.filter(|_| adapter.magnitudes) {
            let found = format!("{} beside {}", a.key(), b.key());
            let expected =
                "maps without a row in common, because each row has one learned length (DoRA)";
            return refused("the adapter's targets", found, expected.to_owned());
        }
        if !(adapter.alpha > 0.0 && adapter.alpha.is_finite()) {
            let expected = "a finite number above 0".to_owned();
            return refused("the adapter's alpha", decimal(adapter.alpha), expected);
        }
        if !(0.0..1.0).contains(&adapter.dropout) {
            let expected = "at least 0 and below 1".to_owned();
            return refused("the adapter's dropout", decimal(adapter.dropout), expected);
        }
        Ok(())
    }

    /// Returns a linear map's matrix by its name in a block, its rows, and the number of its inputs.
    pub(crate) fn place(&self, target: Target) -> (&'static str, Range<usize>, usize) {
        let [queries, keys] = [self.heads, self.key_value_heads()].map(|n| n * self.head_width());
        let (width, hidden) = (self.width, self.hidden);
        let all = queries + 2 * keys;
        let qkv = |rows| ("attention.qkv.weight", rows, width);
        let expanded = |rows| ("feed_forward.expanded.weight", rows, width);
        match target {
            Target::QueryKeyValue => qkv(0..all),
            Target::Query => qkv(0..queries),
            Target::Key => qkv(queries..queries + keys),
            Target::Value => qkv(queries + keys..all),
            Target::Projection => ("attention.projection.weight", 0..width, queries),
            Target::Expanded if self.gated => expanded(0..2 * hidden),
            Target::Expanded | Target::Gate => expanded(0..hidden),
            Target::Up => expanded(hidden..2 * hidden),
            Target::Contracted => ("feed_forward.contracted.weight", 0..width, hidden),
        }
    }

    /// Whether the model has the map: only a gated feed-forward part has a gate.
    fn has(&self, target: Target) -> bool {
        self.gated || !matches!(target, Target::Gate | Target::Up)
    }
}
