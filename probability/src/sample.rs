//! Drawing the next token from a model's logits.

use crate::softmax::softmax;
use thiserror::Error;

/// How to draw: each setting transforms the distribution, in the order of the fields, and what is
/// left is renormalised.
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
pub struct Sampler {
    /// Logits are divided by it; 0 takes the most probable token, the first of equals.
    pub temperature: f64,
    /// Only the k most probable tokens.
    pub top_k: Option<usize>,
    /// Only the smallest set of most probable tokens whose probabilities reach this sum.
    /// Source: Holtzman et al., *The Curious Case of Neural Text Degeneration*, 2019.
    pub top_p: Option<f64>,
    /// Only tokens at least this share as probable as the most probable one.
    /// Source: Nguyen et al., *Min-p Sampling*, 2024.
    pub min_p: Option<f64>,
}

impl Default for Sampler {
    fn default() -> Self {
        Sampler { temperature: 1.0, top_k: None, top_p: None, min_p: None }
    }
}

/// Why nothing can be drawn.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SampleError {
    /// A setting outside its range.
    #[error("{setting} is {found}; it must be {expected}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// What it is.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// Logits of which none can be chosen.
    #[error("logit {index} is {value}: the model's weights or its inputs are not finite")]
    Logit {
        /// Which logit.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// No logits.
    #[error("there is nothing to choose from")]
    Empty,
}

impl Sampler {
    /// Checks that every setting is in its range.
    pub fn validate(&self) -> Result<(), SampleError> {
        let refuse =
            |setting, found, expected| Err(SampleError::Setting { setting, found, expected });
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return refuse("temperature", self.temperature, "a finite number, 0 or more");
        }
        if self.top_k == Some(0) {
            return refuse("top-k", 0.0, "1 or more");
        }
        if let Some(p) = self.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return refuse("top-p", p, "above 0 and at most 1");
        }
        if let Some(p) = self.min_p.filter(|p| !(*p >= 0.0 && *p <= 1.0)) {
            return refuse("min-p", p, "between 0 and 1");
        }
        Ok(())
    }

    /// The distribution that a token is drawn from.
    ///
    /// # Errors
    /// A setting out of range, a logit that is NaN or +∞, or no logits.
    pub fn distribution(&self, logits: &[f64]) -> Result<Vec<f64>, SampleError> {
        self.validate()?;
        let bad = |z: &f64| z.is_nan() || *z == f64::INFINITY;
        if let Some(index) = logits.iter().position(bad) {
            return Err(SampleError::Logit { index, value: logits[index] });
        }
        let mut order: Vec<usize> = (0..logits.len()).collect();
        // By falling logit; a stable sort keeps the first of equals first.
        order.sort_by(|&i, &j| logits[j].total_cmp(&logits[i]));
        let best = *order.first().ok_or(SampleError::Empty)?;
        if logits[best] == f64::NEG_INFINITY {
            return Err(SampleError::Logit { index: best, value: logits[best] });
        }
        let mut p = vec![0.0; logits.len()];
        if self.temperature == 0.0 {
            p[best] = 1.0;
            return Ok(p);
        }
        order.truncate(self.top_k.unwrap_or(logits.len()));
        let scaled = |i: &usize| (logits[*i] - logits[best]) / self.temperature;
        let ranked = softmax(&order.iter().map(scaled).collect::<Vec<_>>());
        let mut count = ranked.len();
        if let Some(top_p) = self.top_p {
            let mut sum = 0.0;
            let reached = ranked.iter().position(|p| {
                sum += p;
                sum >= top_p
            });
            count = reached.map_or(count, |last| last + 1);
        }
        if let Some(min_p) = self.min_p {
            let probable = ranked.partition_point(|&p| p >= min_p * ranked[0]);
            count = count.min(probable).max(1);
        }
        let sum: f64 = ranked[..count].iter().sum();
        for (&i, q) in order.iter().zip(&ranked[..count]) {
            p[i] = q / sum;
        }
        Ok(p)
    }

    /// The token that the uniform number `u` in [0, 1) selects, by inverse transform.
    ///
    /// # Errors
    /// As [`Sampler::distribution`].
    pub fn draw(&self, logits: &[f64], u: f64) -> Result<usize, SampleError> {
        let p = self.distribution(logits)?;
        let mut sum = 0.0;
        let mut last = 0;
        for (i, &p) in p.iter().enumerate().filter(|(_, p)| **p > 0.0) {
            sum += p;
            last = i;
            if u < sum {
                break;
            }
        }
        Ok(last)
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
            temperature in 0.0f64..3.0, k in 1usize..40, top in 0.01f64..1.0, min in 0.0f64..1.0,
            u in 0.0f64..1.0,
        ) {
            let sampler =
                Sampler { temperature, top_k: Some(k), top_p: Some(top), min_p: Some(min) };
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
        ] {
            assert!(matches!(s.draw(&[0.0], 0.5), Err(SampleError::Setting { .. })));
        }
    }
}
