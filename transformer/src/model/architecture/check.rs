//! Checks that the parts and sizes of an architecture fit each other.

use super::{
    Architecture, ConfigError, Gain, Norm, Positions, QueryKeyNorm, Rotary, Scaling, Window,
};
use crate::printable::decimal;

/// Token ids are stored as scalars; `f32` represents every integer up to this one.
const LARGEST_SIZE: usize = 1 << 24;

/// Every layer has a dozen named values, whatever its width; a deeper model is refused.
pub(crate) const MOST_LAYERS: usize = 1024;

impl Architecture {
    pub(in crate::model) fn sizes(&self) -> [(&'static str, usize); 6] {
        [
            ("vocabulary", self.vocabulary),
            ("context", self.context),
            ("width", self.width),
            ("heads", self.heads),
            ("layers", self.layers),
            ("hidden", self.hidden),
        ]
    }

    /// Checks everything that [`Architecture::validate`] does except that memory can address the model.
    pub(in crate::model) fn check_parts(&self) -> Result<(), ConfigError> {
        let shared = [
            ("key_value_heads", self.key_value_heads()),
            ("head_width", self.head_width.unwrap_or(1)),
        ];
        for (size, found) in self.sizes().into_iter().chain(shared) {
            if found == 0 {
                return Err(ConfigError::Zero { size });
            }
            let (most, expected) = match size {
                "layers" => (MOST_LAYERS, "at most 1024"),
                _ => (LARGEST_SIZE, "at most 16777216"),
            };
            if found > most {
                let found = found.to_string();
                return Err(ConfigError::Range { setting: size, found, expected });
            }
        }
        let (width, heads, key_value_heads) = (self.width, self.heads, self.key_value_heads());
        if self.head_width.is_none() && !width.is_multiple_of(heads) {
            return Err(ConfigError::Heads { width, heads });
        }
        if !heads.is_multiple_of(key_value_heads) {
            return Err(ConfigError::KeyValueHeads { heads, key_value_heads });
        }
        let mut positive = vec![
            ("the normalisation's epsilon", self.epsilon),
            ("embedding_scale", self.embedding_scale),
            ("residual_scale", self.residual_scale),
            ("logit_divisor", self.logit_divisor),
            ("hidden_deviation", self.hidden_deviation),
        ];
        let given = |name, x: Option<f64>| x.map(|x| (name, x));
        positive.extend(given("score_scale", self.score_scale));
        positive.extend(given("score_cap", self.score_cap));
        positive.extend(given("logit_cap", self.logit_cap));
        if let Positions::Rotary(Rotary { base, share, scaling, local_base }) = self.positions {
            positive.push(("the base of rotary positions", base));
            positive.extend(given("the local base of rotary positions", local_base));
            if !(share > 0.0 && share <= 1.0) {
                let (setting, found) = ("the share of rotary coordinates", decimal(share));
                return Err(ConfigError::Range {
                    setting,
                    found,
                    expected: "above 0, and at most 1",
                });
            }
            let (turning, head_width) = (self.turning(), self.head_width());
            if turning == 0 || !turning.is_multiple_of(2) {
                return Err(ConfigError::OddHeads { turning, head_width });
            }
            match scaling {
                Scaling::Linear { factor } => {
                    positive.push(("the factor of rotary scaling", factor))
                }
                Scaling::Llama3 { factor, low, high, original } => {
                    positive.push(("the factor of rotary scaling", factor));
                    positive.push(("low_freq_factor", low));
                    positive.push(("high_freq_factor − low_freq_factor", high - low));
                    positive.push(("original_max_position_embeddings", original));
                }
                _ => {}
            }
        }
        for (setting, x) in positive {
            if !(x > 0.0 && x.is_finite()) {
                let (found, expected) = (decimal(x), "a finite number above 0");
                return Err(ConfigError::Range { setting, found, expected });
            }
        }
        for (setting, found, needs) in [
            ("gain", self.gain.key(), self.gain != Gain::Plain),
            (
                "query_key_norm",
                self.query_key_norm.key(),
                self.query_key_norm == QueryKeyNorm::Head,
            ),
        ] {
            if self.norm == Norm::Layer && needs {
                let found = found.to_owned();
                let expected = "another one, or the norm rms: layer normalisation does not have it";
                return Err(ConfigError::Range { setting, found, expected });
            }
        }
        let rotary = matches!(self.positions, Positions::Rotary(_));
        if self.rotary_layers.is_empty() || !rotary && self.rotary_layers != [true] {
            let found = format!("a list of {}", self.rotary_layers.len());
            let setting = "rotary_layers";
            let expected = "a list of one or more, and [true] where positions are not rotary";
            return Err(ConfigError::Range { setting, found, expected });
        }
        if self.positions == Positions::Sinusoidal && !width.is_multiple_of(2) {
            let (setting, found) = ("width", width.to_string());
            let expected = "even: sinusoidal positions are pairs of a sine and a cosine";
            return Err(ConfigError::Range { setting, found, expected });
        }
        if let Some(Window { size, layers }) = &self.window {
            for (size, found) in [("the window", *size), ("the window's layers", layers.len())] {
                if found == 0 {
                    return Err(ConfigError::Zero { size });
                }
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let (setting, found) = ("dropout", decimal(self.dropout));
            return Err(ConfigError::Range { setting, found, expected: "at least 0 and below 1" });
        }
        Ok(())
    }
}
