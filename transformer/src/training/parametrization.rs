//! How initial weights and learning rates follow the width.

use crate::keyed::keyed;
use crate::model::architecture::{Architecture, HIDDEN_DEVIATION};
use crate::model::family::Family;
use crate::training::config::{TrainingConfig, TrainingConfigError};

keyed! {
    /// How initial weights, learning rates, attention scores and logits follow the width.
    ///
    /// With the standard parametrization, one learning rate changes activations the more, the wider the model, and the best
    /// rate falls with the width. With µP every activation changes by as much at every width, so that a rate that was found
    /// at the base width is the best one at others. With m = width / base width, these are its differences:
    ///
    /// | | standard | µP |
    /// |---|---|---|
    /// | deviation of initial hidden matrices | σ | σ/√m |
    /// | learning rate of hidden matrices | η | [`OptimizerConfig::shares`](calculus::optimizer::OptimizerConfig::shares): η/m for Adam |
    /// | factor of attention scores | 1/√(head's width) | the same over √m, if heads are m times as wide |
    /// | logits | W·x | W·x/m |
    /// | factor of a token's vector that is √width (Gemma) | √width | √(base width) |
    ///
    /// At the base width both are the same to the bit. Heads grow with the width unless `head_width` is set; then their
    /// number does.
    ///
    /// Source: Yang et al., *Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer*, 2022.
    #[derive(Default)]
    #[non_exhaustive]
    Parametrization {
        #[default]
        Standard: "standard", "The same rate for all parameters, at every width";
        Mup: "mup", "Rates and initial weights by width, so that the best rate is that of the base width (µP)";
    }
}

impl TrainingConfig {
    /// The width for which rates were chosen with [`Parametrization::Mup`], if no other is given. At this width initial
    /// weights of deviation 0.02 have a size that trains well; at 64 they are small, and a wider model would keep that.
    pub const BASE_WIDTH: usize = 256;

    /// Returns m, the width over that for which rates were chosen; 1 with the standard parametrization.
    ///
    /// ```
    /// use transformer::{Parametrization, TrainingConfig};
    /// let standard = TrainingConfig { width: 512, ..TrainingConfig::default() };
    /// let mup = TrainingConfig { parametrization: Parametrization::Mup, base_width: Some(128), ..standard.clone() };
    /// assert_eq!((standard.width_ratio(), mup.width_ratio()), (1.0, 4.0));
    /// let model = mup.model(65)?;
    /// assert_eq!((model.hidden_deviation, model.logit_divisor), (0.01, 4.0));
    /// # Ok::<(), transformer::TrainingConfigError>(())
    /// ```
    pub fn width_ratio(&self) -> f64 {
        match self.parametrization {
            Parametrization::Standard => 1.0,
            Parametrization::Mup => {
                let base = self.base_width.unwrap_or(Self::BASE_WIDTH);
                self.width as f64 / base.max(1) as f64
            }
        }
    }

    /// Changes an architecture of the base width's factors to those of this width.
    pub(super) fn follow_width(&self, model: &mut Architecture) {
        let m = self.width_ratio();
        if m == 1.0 {
            return;
        }
        model.hidden_deviation = HIDDEN_DEVIATION / m.sqrt();
        model.logit_divisor *= m;
        if self.scaled_embedding && self.embedding_scale.is_none() {
            // √width of the base width: tokens' vectors do not grow.
            model.embedding_scale /= m.sqrt();
        }
        if self.head_width.is_none() {
            // A given factor is that of the base width; the usual one follows 1/√m already.
            model.score_scale = Some(match model.score_scale {
                Some(scale) => scale / m,
                None => model.usual_score_scale() / m.sqrt(),
            });
        }
    }

    /// Returns a stored model as this run trains it: with the run's dropout and initial weights, and what it learns, which
    /// a model's configuration does not hold. The model's files are those of `family`.
    ///
    /// # Errors
    /// Settings that contradict each other.
    pub fn in_training(
        &self,
        family: &dyn Family,
        stored: &Architecture,
    ) -> Result<Architecture, TrainingConfigError> {
        let adaptation = self.adaptation(family, stored)?;
        let (dropout, hidden_deviation) = match self.from {
            // A model of any parts, also such as settings cannot name.
            Some(_) => (self.dropout, stored.hidden_deviation),
            None => {
                let meant = self.model(stored.vocabulary)?;
                (meant.dropout, meant.hidden_deviation)
            }
        };
        let (packed, preference) = (self.packs(), self.preference_loss());
        let distillation = self.distillation();
        let own = Architecture { dropout, hidden_deviation, ..stored.clone() };
        let model = Architecture { packed, preference, distillation, adaptation, ..own };
        model.validate()?;
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::family;
    use crate::text::corpus::Corpus;
    use crate::training::trainer::Trainer;
    use calculus::hidden_matrices;

    fn mup(width: usize) -> TrainingConfig {
        TrainingConfig {
            parametrization: Parametrization::Mup,
            base_width: Some(16),
            layers: 1,
            heads: 2,
            width,
            context: 8,
            batch: 4,
            tied: false,
            weight_decay: 0.0,
            warmup: 0,
            ..TrainingConfig::default()
        }
    }

    fn trained(config: &TrainingConfig, steps: u64) -> (Trainer<f32>, Vec<f32>) {
        let corpus = Corpus::text((0..500).map(|i| i * i % 11).collect(), 0.1, 8).unwrap();
        let mut trainer = Trainer::new(config.clone(), &config.model(11).unwrap()).unwrap();
        let start = trainer.model().tape().parameters().to_vec();
        for _ in 0..steps {
            assert!(trainer.step(&corpus).unwrap().applied);
        }
        (trainer, start)
    }

    #[test]
    fn at_the_base_width_both_are_the_same_to_the_bit() {
        let standard = TrainingConfig {
            parametrization: Parametrization::Standard,
            base_width: None,
            ..mup(16)
        };
        let [a, b] = [mup(16), standard].map(|config| trained(&config, 3).0);
        assert!(a.model().tape().parameters() == b.model().tape().parameters());
        assert_eq!(a.model().config(), b.model().config());
    }

    /// The table of [`Parametrization`], measured: deviations, first steps of Adam, factors of scores and of logits.
    #[test]
    fn every_row_of_the_table_holds() {
        let (m, rate) = (4.0, mup(64).learning_rate);
        let (trainer, start) = trained(&mup(64), 1);
        let list = trainer.model().tape().parameter_list();
        let hidden: Vec<&str> = hidden_matrices(&list).map(|p| &p.name[..]).collect();
        assert_eq!(hidden.len(), 4, "{hidden:?}");
        for p in &list {
            let own = &start[p.range.clone()];
            let moved = own.iter().zip(&trainer.model().tape().parameters()[p.range.clone()]);
            let most = moved.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
            let is_hidden = hidden.contains(&&p.name[..]);
            let expected = if is_hidden { rate / m } else { rate };
            // Gradients of almost 0 give less than the rate; no first step is longer.
            assert!((most / expected - 1.0).abs() < 1e-2, "{}: {most}", p.name);
            if is_hidden {
                let rms = crate::inspect::diagnose::rms(own);
                let writes = ["projection", "contracted"].iter().any(|part| p.name.contains(part));
                let by_layers = if writes { 2.0_f64.sqrt() } else { 1.0 };
                assert!((rms * by_layers * m.sqrt() / 0.02 - 1.0).abs() < 0.1, "{}: {rms}", p.name);
            }
        }
        let model = trainer.model().config();
        // 1/√8 at the base width, over 4.
        assert!((model.score_scale.unwrap() - 1.0 / 8_f64.sqrt() / 4.0).abs() < 1e-15);
        assert_eq!(model.logit_divisor, 4.0);
        let scaled = TrainingConfig { scaled_embedding: true, ..mup(64) };
        assert_eq!(scaled.model(11).unwrap().embedding_scale, 4.0);
        // More heads of the same width keep the factor; factors that are given are those of the base width.
        let wide = TrainingConfig { head_width: Some(8), heads: 8, ..mup(64) };
        assert_eq!(wide.model(11).unwrap().score_scale, None);
        let given = TrainingConfig { score_scale: Some(0.5), logit_divisor: Some(2.0), ..mup(64) };
        let model = given.model(11).unwrap();
        assert_eq!((model.score_scale, model.logit_divisor), (Some(0.125), 8.0));
    }

    #[test]
    fn a_stored_model_is_trained_from_the_deviation_of_its_run() {
        let config = TrainingConfig { dropout: 0.1, ..mup(64) };
        let model = config.model(11).unwrap();
        let stored: Architecture =
            serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
        assert_eq!(stored.hidden_deviation, 0.02);
        assert_eq!(config.in_training(family::of(&stored), &stored).unwrap(), model);
    }

    #[test]
    fn a_base_width_without_mup_is_refused() {
        let parametrization = Parametrization::Standard;
        let said = TrainingConfig { parametrization, ..mup(16) }.validate().unwrap_err();
        assert!(said.to_string().contains("set parametrization to mup"), "{said}");
        let said = TrainingConfig { base_width: Some(0), ..mup(16) }.validate().unwrap_err();
        assert!(said.to_string().contains("base_width is 0"), "{said}");
    }
}
