//! The losses of preferences.

use crate::keyed::keyed;
use crate::training::config::TrainingConfig;
use infotheory::preference::{Objective, PreferenceLoss};

keyed! {
    /// The loss of preferences: [`Objective`] without its numbers.
    #[non_exhaustive]
    PreferenceKind {
        Dpo: "dpo", "Direct preference optimisation: −ln σ(β·h) of the log-ratio h of a pair";
        Ipo: "ipo", "Identity preference optimisation: (h − 1/(2β))², whose minimum is at a finite h";
    }
}

impl TrainingConfig {
    /// The price β of a nat of divergence from the reference, if none is given. Source: Rafailov et al. 2023, section 6.
    pub const PREFERENCE_BETA: f64 = 0.1;

    /// Returns the loss of preferences, if the run learns from them.
    ///
    /// ```
    /// use transformer::{PreferenceKind, TrainingConfig};
    /// let preferences = Some(PreferenceKind::Dpo);
    /// let config = TrainingConfig { preferences, ..TrainingConfig::default() };
    /// assert_eq!(config.preference_loss().map(|loss| loss.beta), Some(0.1));
    /// ```
    pub fn preference_loss(&self) -> Option<PreferenceLoss> {
        let beta = self.preference_beta.unwrap_or(Self::PREFERENCE_BETA);
        let objective = match self.preferences? {
            PreferenceKind::Dpo => {
                Objective::Logistic { flipped: self.preference_flipped.unwrap_or(0.0) }
            }
            PreferenceKind::Ipo => Objective::Quadratic,
        };
        Some(PreferenceLoss { beta, objective })
    }

    /// Whether windows hold several sequences, kept apart.
    pub(super) fn packs(&self) -> bool {
        self.answers || self.preferences.is_some()
    }

    /// Whether the run needs the model that it began with after its first step too: its frozen weights, or its predictions as
    /// the reference of preferences.
    pub fn needs_its_model(&self) -> bool {
        self.freezes() || self.preferences.is_some()
    }
}
