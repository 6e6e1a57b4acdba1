//! The model of a run: an architecture from the run's settings.

use crate::model::architecture::{
    Architecture, Biases, ConfigError, MOST_LAYERS, Norm, Positions, Rotary, Window, layer_list,
};
use crate::model::family;
use crate::training::config::{PositionsKind, TrainingConfig, TrainingConfigError};

impl TrainingConfig {
    /// Returns the model of this run, for a vocabulary of this size.
    ///
    /// # Errors
    /// Sizes that contradict each other.
    pub fn model(&self, vocabulary: usize) -> Result<Architecture, TrainingConfigError> {
        let width = self.width;
        let custom = match self.gated {
            true => width.saturating_mul(8).div_ceil(3).div_ceil(8).saturating_mul(8),
            false => width.saturating_mul(4),
        };
        // RMS normalisation has no shift.
        let biases = Biases {
            norm: self.bias && self.norm == Norm::Layer,
            query_key_value: self.query_key_value_bias.unwrap_or(self.bias),
            ..Biases::everywhere(self.bias)
        };
        let layers = self.layers.clamp(1, MOST_LAYERS);
        let window = match (self.window, self.full_every) {
            (None, None) => None,
            (None, Some(every)) => {
                let found = every.to_string();
                let expected = "absent where there is no window";
                return Err(ConfigError::Range { setting: "full_every", found, expected }.into());
            }
            (Some(_), Some(0)) => return Err(ConfigError::Zero { size: "full_every" }.into()),
            (Some(size), every) => {
                Window::repeating(size, layer_list::without_every(every, layers))
            }
        };
        let rotary_layers = match (self.positions, self.unrotated_every) {
            (_, Some(0)) => return Err(ConfigError::Zero { size: "unrotated_every" }.into()),
            (PositionsKind::Rotary, every) => layer_list::without_every(every, layers),
            _ => vec![true],
        };
        let scaled = if self.scaled_embedding { (width as f64).sqrt() } else { 1.0 };
        let mut config = Architecture {
            vocabulary,
            context: self.context,
            width,
            heads: self.heads,
            key_value_heads: self.key_value_heads.filter(|&n| n != self.heads),
            layers: self.layers,
            hidden: self.hidden.unwrap_or(custom),
            positions: match self.positions {
                PositionsKind::Learned => Positions::Learned,
                PositionsKind::Rotary => {
                    let usual = Rotary::default();
                    Positions::Rotary(Rotary {
                        base: self.rotary_base.unwrap_or(usual.base),
                        share: self.rotary_share.unwrap_or(usual.share),
                        local_base: self.rotary_local_base,
                        ..usual
                    })
                }
                PositionsKind::Sinusoidal => Positions::Sinusoidal,
            },
            rotary_layers,
            embedding_scale: self.embedding_scale.unwrap_or(scaled),
            embedding_norm: self.embedding_norm,
            residual_scale: self.residual_scale.unwrap_or(1.0),
            norm: self.norm,
            gain: self.gain,
            placement: self.placement,
            final_norm: self.final_norm.unwrap_or(true),
            query_key_norm: self.query_key_norm,
            head_width: self.head_width.filter(|c| c.checked_mul(self.heads) != Some(width)),
            window,
            score_scale: self.score_scale,
            score_cap: self.score_cap,
            logit_divisor: self.logit_divisor.unwrap_or(1.0),
            logit_cap: self.logit_cap,
            gated: self.gated,
            epsilon: 1e-5,
            activation: self.activation,
            biases,
            tied: self.tied,
            dropout: self.dropout,
            packed: self.packs(),
            preference: self.preference_loss(),
            distillation: self.distillation(),
            ..Architecture::default()
        };
        config.validate()?;
        self.follow_width(&mut config);
        config.validate()?;
        // Written in one way, however it was asked for.
        config.score_scale = config.score_scale.filter(|&s| s != config.usual_score_scale());
        config.adaptation = self.adaptation(family::of(&config), &config)?;
        config.validate()?;
        Ok(config)
    }
}
