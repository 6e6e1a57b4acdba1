//! What training changes of a model: all weights, some of them, or low-rank adapters beside them.
//!
//! Frozen weights are read and never learned ([`calculus::Recorder::frozen`]): they have no gradient and no
//! optimizer state, and nothing is replayed backward below the lowest weight that is learned.
//!
//! LoRA: a linear map W (m × n) stands still, and a product of two thin matrices is learned beside it,
//! <var>y = W·x + s·B·(A·x)</var>, with A (r × n), B (m × r) and the factor s = α/r. A is random and B is 0 before
//! training, so that the first step is that of the model itself. After training, W + s·B·A is one matrix again.
//! DoRA learns the length of every row of weights, too: row i of W + s·B·A is multiplied by <var>m_i/‖(W + s·B·A)_i‖</var>, with m_i
//! = ‖W_i‖ before training. The norm counts as a constant in gradients.
//! Source: Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, 2021; rsLoRA, s = α/√r: Kalajdzievski, *A Rank
//! Stabilization Scaling Factor for Fine-Tuning with LoRA*, 2023; Liu et al., *DoRA: Weight-Decomposed Low-Rank Adaptation*, 2024.

use crate::keyed::keyed;
use crate::model::frozen::FrozenWeights;

/// What a run learns. The default is every weight.
///
/// ```
/// use transformer::Adaptation;
/// let last = Adaptation { learn: vec!["block.3.*".into(), "norm.*".into()], ..Adaptation::default() };
/// assert!(last.freezes("embedding.token.weight") && !last.freezes("block.3.norm_1.weight"));
/// let body = Adaptation { freeze: vec!["embedding.*".into()], ..Adaptation::default() };
/// assert!(body.freezes("embedding.token.weight") && !body.freezes("norm.weight"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adaptation {
    /// Patterns of names of frozen weights; `*` stands for any characters.
    pub freeze: Vec<String>,
    /// Patterns of names of weights that are learned, all if there is none.
    pub learn: Vec<String>,
    /// The adapters, which are learned in place of all weights of the model.
    pub adapter: Option<Adapter>,
    /// The values of the frozen weights, in recording order, that every recording of the model begins with; if absent, they
    /// are set with the other weights.
    pub frozen: Option<FrozenWeights>,
}

/// Adapters of low rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// The rank r.
    pub rank: usize,
    /// The numerator α of their factor.
    pub alpha: f64,
    /// Whether the factor is α/√r (rsLoRA) instead of α/r.
    pub rank_stabilized: bool,
    /// Whether the length of every row of weights is learned, too (DoRA).
    pub magnitudes: bool,
    /// The share of their input's elements that is dropped in training.
    pub dropout: f64,
    /// The linear maps that have one, in every block.
    pub targets: Vec<Target>,
}

keyed! {
    /// A linear map of a block, or the rows of one, that can have an adapter of its own. A packed map is one matrix in
    /// some families' files, and several in others.
    #[derive(Hash, PartialOrd, Ord)]
    #[non_exhaustive]
    Target {
        QueryKeyValue: "query_key_value", "The packed map to queries, keys and values";
        Query: "query", "The map to queries";
        Key: "key", "The map to keys";
        Value: "value", "The map to values";
        Projection: "projection", "The map from the heads to the residual stream";
        Expanded: "expanded", "The first map of the feed-forward part, gate and all if it is gated";
        Gate: "gate", "The map to the gate";
        Up: "up", "The map that the gate multiplies";
        Contracted: "contracted", "The map from the feed-forward part to the residual stream";
    }
}

impl Adapter {
    /// Returns the factor s of B·A.
    ///
    /// ```
    /// use transformer::{Adapter, Target};
    /// let lora = Adapter { rank: 16, alpha: 32.0, rank_stabilized: false, magnitudes: false, dropout: 0.0, targets: vec![Target::Query] };
    /// assert_eq!((lora.factor(), Adapter { rank_stabilized: true, ..lora }.factor()), (2.0, 8.0));
    /// ```
    pub fn factor(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rank_stabilized { rank.sqrt() } else { rank }
    }
}

impl Adaptation {
    /// Whether a weight of this dotted name stands still.
    pub fn freezes(&self, name: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name));
        match self.adapter {
            Some(_) => !is_adapter(name),
            None => any(&self.freeze) || !self.learn.is_empty() && !any(&self.learn),
        }
    }

    /// Whether every weight is learned, and nothing else.
    pub fn is_none(&self) -> bool {
        *self == Adaptation::default()
    }
}

/// The scope in which an adapter's matrices are recorded.
pub(crate) const SCOPE: &str = "adapter";

/// Whether a matrix of this dotted name belongs to an adapter.
fn is_adapter(name: &str) -> bool {
    name.split('.').any(|part| part == SCOPE)
}

/// Whether a name matches a pattern, in which `*` stands for any characters, also none.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut last: Option<&str> = None;
    for part in parts {
        if let Some(part) = last {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(part) => rest.ends_with(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A star is any part of the name.
    fn reference(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', rest @ ..] => (0..=name.len()).any(|i| reference(rest, &name[i..])),
            [c, rest @ ..] => name.first() == Some(c) && reference(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_star_stands_for_any_characters(pattern in "[ab.*]{0,6}", name in "[ab.]{0,8}") {
            let expected = reference(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(matches(&pattern, &name), expected);
        }
    }
}
