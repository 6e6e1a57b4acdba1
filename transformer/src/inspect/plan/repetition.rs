//! What a text is worth that is read several times.

use super::law::ScalingLaw;
use serde::Serialize;

/// The value of repeated tokens: <var>D′ = U + U·R·(1 − e^{−(D/U − 1)/R})</var> for D tokens of training on a text of U
/// tokens. The second reading is worth almost as much as new text, and no number of readings is worth more than 1 + R new
/// texts. Source: Muennighoff et al., *Scaling Data-Constrained Language Models*, 2023, equation 5 (R*_D = 15.4).
///
/// ```
/// use transformer::inspect::plan::Repetition;
/// let usual = Repetition::default();
/// assert_eq!(usual.worth(1e6, 1e6), 1e6);
/// assert!((usual.worth(4e6, 1e6) / 4e6 - 0.93).abs() < 0.02); // four readings are almost worth four texts
/// assert!(usual.worth(1e9, 1e6) < 1.65e7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Repetition {
    /// The constant R, in readings after the first; `None` if repetition costs nothing.
    pub readings: Option<f64>,
}

/// The price of a setting on a repeated text, measured in miniature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Price {
    /// The share of activations dropped.
    pub dropout: f64,
    /// The decay of matrices.
    pub weight_decay: f64,
    /// The loss, over the loss of the same steps on new text without these settings.
    pub ratio: f64,
}

impl Default for Repetition {
    fn default() -> Self {
        Repetition { readings: Some(15.4) }
    }
}

impl Repetition {
    /// Returns D′, the number of tokens of new text that are worth as much.
    pub fn worth(&self, tokens: f64, text: f64) -> f64 {
        match self.readings {
            Some(r) if tokens > text => {
                text + text * r * (1.0 - (-(tokens / text - 1.0) / r).exp())
            }
            _ => tokens,
        }
    }

    /// Returns the constant with which the law explains a measurement: N parameters trained with D tokens of a text of U
    /// tokens had `ratio` times the loss that they have after as many tokens of new text.
    ///
    /// ```
    /// use transformer::inspect::plan::{Repetition, ScalingLaw};
    /// let law = ScalingLaw { e: 1.0, a: 30.0, alpha: 0.4, b: 50.0, beta: 0.3 };
    /// let truth = Repetition { readings: Some(6.0) };
    /// let (n, d, u) = (1e5, 1e7, 1e6);
    /// let ratio = law.loss(n, truth.worth(d, u)) / law.loss(n, d);
    /// let found = Repetition::measured(&law, n, d, u, ratio).readings.unwrap();
    /// assert!((found - 6.0).abs() < 1e-6);
    /// ```
    pub fn measured(law: &ScalingLaw, parameters: f64, tokens: f64, text: f64, ratio: f64) -> Self {
        let loss = ratio * law.loss(parameters, tokens);
        let of =
            |r: f64| law.loss(parameters, Repetition { readings: Some(r) }.worth(tokens, text));
        // The loss falls with R. Above the limit, repetition costs nothing that shows.
        let (mut low, mut high) = (1e-3_f64, 1e4_f64);
        if !(ratio > 1.0 && tokens > text) || of(high) >= loss {
            return Repetition { readings: None };
        }
        for _ in 0..200 {
            let middle = (low * high).sqrt();
            if of(middle) > loss { low = middle } else { high = middle }
        }
        Repetition { readings: Some(high) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// More training is never worth less, never more than itself, and a text that is read once is worth itself.
        #[test]
        fn worth_grows_and_is_bounded(r in 0.1_f64..100.0, text in 1e3_f64..1e9, readings in 0.01_f64..1e3) {
            let repetition = Repetition { readings: Some(r) };
            let worth = |k: f64| repetition.worth(k * text, text);
            prop_assert!(worth(readings) <= readings * text * (1.0 + 1e-12));
            prop_assert!(worth(readings * 1.1) >= worth(readings));
            prop_assert!(worth(readings) <= text * (1.0 + r) * (1.0 + 1e-12));
            if readings <= 1.0 {
                prop_assert_eq!(worth(readings), readings * text);
            }
        }
    }

    #[test]
    fn a_free_repetition_is_none() {
        let law = ScalingLaw { e: 1.0, a: 30.0, alpha: 0.4, b: 50.0, beta: 0.3 };
        assert_eq!(Repetition::measured(&law, 1e5, 1e7, 1e6, 0.99).readings, None);
        assert_eq!(Repetition::measured(&law, 1e5, 1e5, 1e6, 1.1).readings, None);
        // A price beyond what the law can explain is the least constant.
        assert!(Repetition::measured(&law, 1e5, 1e7, 1e6, 9.0).readings.unwrap() < 2e-3);
    }
}
