//! Draws the next token from a model's logits, with the program's sampling settings.
//!
//! A [`Sampler`] composes the transformations of [`transform`](crate::transform) in a fixed order: penalty,
//! temperature, top-k, typical, top-p, min-p. For another order, compose them directly.
//!
//! On `f64` alone: the kept tokens depend on ranks, and a token is an index; neither can be differentiated.

use crate::categorical::Categorical;
use crate::transform::{
    Logits, MinP, RepetitionPenalty, Temperature, TopK, TopP, Transform, Typical,
};
use linalg::real::shown;
use thiserror::Error;

/// The sampling settings: each transforms the distribution, and the result is renormalised.
///
/// ```
/// use probability::sample::Sampler;
/// let logits = [5.0, 3.5, 2.0, 1.0];
/// let greedy = Sampler { temperature: 0.0, ..Sampler::default() };
/// assert_eq!(greedy.draw(&logits, 0.99), Ok(0));
/// let p = Sampler { top_k: Some(2), ..Sampler::default() }.distribution(&logits)?;
/// assert!((p[0] - 0.818).abs() < 1e-3 && p[2] == 0.0);
/// # Ok::<(), probability::sample::SampleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(alias("generate", "decoding"))]
pub struct Sampler {
    /// The temperature that divides logits; 0 takes the most probable token, the first of equals.
    pub temperature: f64,
    /// Top-k: only the k most probable tokens.
    pub top_k: Option<usize>,
    /// Top-p: only the smallest set of most probable tokens whose probabilities reach this sum.
    /// Source: Holtzman et al., *The Curious Case of Neural Text Degeneration*, 2019.
    pub top_p: Option<f64>,
    /// Min-p: only tokens at least this fraction as probable as the most probable one.
    /// Source: Nguyen et al., *Min-p Sampling*, 2024.
    pub min_p: Option<f64>,
    /// Typical: only the tokens of most typical surprisal whose probabilities reach this sum.
    /// Source: Meister et al., *Locally Typical Sampling*, 2022.
    pub typical: Option<f64>,
    /// The repetition penalty: logits of earlier tokens are divided by it if positive and multiplied if negative; 1
    /// changes nothing.
    /// Source: Keskar et al., *CTRL*, 2019.
    pub repetition_penalty: f64,
}

impl Default for Sampler {
    fn default() -> Self {
        Sampler {
            temperature: 1.0,
            top_k: None,
            top_p: None,
            min_p: None,
            typical: None,
            repetition_penalty: 1.0,
        }
    }
}

/// Invalid settings or logits.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SampleError {
    /// A setting outside its range.
    #[error("{setting} is {}; it must be {expected}", shown(*found))]
    Setting {
        /// The name of the setting.
        setting: &'static str,
        /// The value found.
        found: f64,
        /// The allowed values.
        expected: &'static str,
    },
    /// Invalid logits: one is NaN or +∞, or all are −∞.
    #[error("logit {index} is {value}: the model's weights or its inputs are not finite")]
    Logit {
        /// The index of the logit.
        index: usize,
        /// The value found.
        value: f64,
    },
    /// An empty list of logits.
    #[error("there is nothing to choose from")]
    Empty,
}

impl Sampler {
    /// Checks that every setting is in its range.
    pub fn validate(&self) -> Result<(), SampleError> {
        self.transform(&[]).validate()
    }

    /// Returns the composed transformation of the settings.
    fn transform<'a>(&self, history: &'a [u32]) -> impl Transform + use<'a> {
        RepetitionPenalty { penalty: self.repetition_penalty, history }
            .then(Temperature(self.temperature))
            .then(self.top_k.map(TopK))
            .then(self.typical.map(Typical))
            .then(self.top_p.map(TopP))
            .then(self.min_p.map(MinP))
    }

    /// Returns the distribution from which a token is drawn, without a history.
    ///
    /// # Errors
    /// If a setting is out of range, a logit is NaN or +∞, all are −∞, or there are none.
    pub fn distribution(&self, logits: &[f64]) -> Result<Vec<f64>, SampleError> {
        self.distribution_after(&[], logits)
    }

    /// Returns the distribution from which a token is drawn, after the tokens of `history`, to which the repetition
    /// penalty applies.
    ///
    /// # Errors
    /// Like [`Sampler::distribution`].
    ///
    /// ```
    /// use probability::sample::Sampler;
    /// let sampler = Sampler { repetition_penalty: 2.0, ..Sampler::default() };
    /// let p = sampler.distribution_after(&[0], &[2.0, 1.0])?; // 2/2 and 1
    /// assert_eq!(p, [0.5, 0.5]);
    /// # Ok::<(), probability::sample::SampleError>(())
    /// ```
    pub fn distribution_after(
        &self,
        history: &[u32],
        logits: &[f64],
    ) -> Result<Vec<f64>, SampleError> {
        Ok(self.transformed(history, logits)?.probabilities().to_vec())
    }

    /// Returns the token that the uniform number `u` in [0, 1) selects, by inverse transform, without a history.
    ///
    /// # Errors
    /// Like [`Sampler::distribution`].
    pub fn draw(&self, logits: &[f64], u: f64) -> Result<usize, SampleError> {
        self.draw_after(&[], logits, u)
    }

    /// Like [`Sampler::draw`], after the tokens of `history`.
    ///
    /// # Errors
    /// Like [`Sampler::distribution`].
    pub fn draw_after(
        &self,
        history: &[u32],
        logits: &[f64],
        u: f64,
    ) -> Result<usize, SampleError> {
        Ok(self.transformed(history, logits)?.quantile(u))
    }

    fn transformed(&self, history: &[u32], logits: &[f64]) -> Result<Categorical, SampleError> {
        self.validate()?;
        Ok(self.transform(history).apply(Logits::new(logits)?)?.distribution())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXTBOOK: [f64; 8] = [5.0, 3.5, 2.0, 1.0, 0.5, 0.1, -1.0, -2.0];

    #[test]
    fn temperatures_of_the_textbook_recomputed() {
        for (temperature, p) in
            [(0.3, 0.9933), (0.7, 0.8794), (1.0, 0.7615), (1.5, 0.5923), (2.0, 0.4756)]
        {
            let sampler = Sampler { temperature, ..Sampler::default() };
            assert!((sampler.distribution(&TEXTBOOK).unwrap()[0] - p).abs() < 1e-4);
        }
        for (k, p) in [(2, 0.818), (4, 0.7745), (6, 0.7635)] {
            let sampler = Sampler { top_k: Some(k), ..Sampler::default() };
            assert!((sampler.distribution(&TEXTBOOK).unwrap()[0] - p).abs() < 5e-4);
        }
    }

    proptest! {
        #[test]
        fn always_a_distribution(
            logits in prop::collection::vec(-20.0f64..20.0, 1..30),
            temperature in 0.0f64..3.0,
            k in 1usize..40,
            top in 0.01f64..1.0,
            min in 0.0f64..1.0,
            u in 0.0f64..1.0,
            typical in 0.01f64..1.0,
            repetition_penalty in 0.5f64..3.0,
        ) {
            let sampler = Sampler {
                temperature,
                top_k: Some(k),
                top_p: Some(top),
                min_p: Some(min),
                typical: Some(typical),
                repetition_penalty,
            };
            let p = sampler.distribution(&logits).unwrap();
            prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(p.iter().filter(|p| **p > 0.0).count() <= k);
            prop_assert!(p[sampler.draw(&logits, u).unwrap()] > 0.0);
        }
    }

    #[test]
    fn what_cannot_be_drawn_from() {
        let s = Sampler::default();
        assert_eq!(s.draw(&[], 0.5), Err(SampleError::Empty));
        assert!(matches!(s.draw(&[0.0, f64::NAN], 0.5), Err(SampleError::Logit { index: 1, .. })));
        for s in [
            Sampler { temperature: -1.0, ..s },
            Sampler { temperature: f64::NAN, ..s },
            Sampler { top_k: Some(0), ..s },
            Sampler { top_p: Some(0.0), ..s },
            Sampler { min_p: Some(1.5), ..s },
            Sampler { typical: Some(0.0), ..s },
            Sampler { repetition_penalty: 0.0, ..s },
        ] {
            assert!(matches!(s.draw(&[0.0], 0.5), Err(SampleError::Setting { .. })));
        }
    }
}
