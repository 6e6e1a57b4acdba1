//! The ranges of settings.

use crate::printable::decimal;
use crate::training::config::{TrainingConfig, TrainingConfigError};
use crate::training::parametrization::Parametrization;
use crate::training::precision::Precision;
use crate::training::preference_kind::PreferenceKind;

/// Windows and parts of a batch, by which random numbers are drawn, are numbered in 32 bits.
pub(super) const MOST_WINDOWS: u64 = 1 << 32;

/// Tokens per batch; larger steps combine several batches with `accumulate`.
const LARGEST_BATCH: usize = 1 << 24;

impl TrainingConfig {
    /// Checks the settings of a teacher.
    fn check_teacher(&self) -> Result<(), TrainingConfigError> {
        let range = |fine: bool, setting, found: String, expected| {
            if fine { Ok(()) } else { Err(TrainingConfigError::Range { setting, found, expected }) }
        };
        let given = [
            ("temperature", self.temperature.is_some()),
            ("teacher_weight", self.teacher_weight.is_some()),
            ("teacher_top", self.teacher_top.is_some()),
        ];
        for (setting, given) in given {
            let expected = "absent without teacher, the model that is learned from";
            range(self.teacher.is_some() || !given, setting, "given".to_owned(), expected)?;
        }
        let alone = self.teacher.is_none() || self.preferences.is_none();
        let expected = "absent beside preferences, which are learned against their reference";
        range(alone, "teacher", "given".to_owned(), expected)?;
        let uncounted = self.teacher.is_none() || self.memory.is_none();
        let expected = "absent beside memory, whose budget is for the model that is trained alone";
        range(uncounted, "teacher", "given".to_owned(), expected)?;
        // Beyond, T²·KL loses its digits in f32, or e^(z/T) its range.
        let temperature = self.temperature.unwrap_or(1.0);
        let usual = (0.01..=100.0).contains(&temperature);
        range(usual, "temperature", decimal(temperature), "between 0.01 and 100")?;
        let weight = self.teacher_weight.unwrap_or(0.0);
        let share = (0.0..=1.0).contains(&weight);
        range(share, "teacher_weight", decimal(weight), "between 0 and 1")?;
        let top = self.teacher_top.unwrap_or(1);
        range(top > 0, "teacher_top", top.to_string(), "1 or more")?;
        let timed = self.teacher_top.is_some() && self.time.is_some();
        let expected =
            "absent with time: how many windows the teacher predicts beforehand follows from steps";
        range(!timed, "teacher_top", top.to_string(), expected)
    }

    /// Checks every setting except the model's.
    ///
    /// # Errors
    /// The first setting out of range, with its value and its range.
    pub fn validate(&self) -> Result<(), TrainingConfigError> {
        // Formatted like Debug: a number of 300 digits gets an exponent.
        let check = |fine: bool, setting, found: &dyn ToString, expected| {
            if fine {
                return Ok(());
            }
            Err(TrainingConfigError::Range { setting, found: found.to_string(), expected })
        };
        let above = "a finite number above 0";
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let share = |x: f64| (0.0..1.0).contains(&x);
        let adapters = [
            ("lora_alpha", self.lora_alpha.is_some()),
            ("lora_targets", self.lora_targets.is_some()),
            ("lora_dropout", self.lora_dropout.is_some()),
            ("rslora", self.rslora),
            ("dora", self.dora),
        ];
        for (setting, given) in adapters {
            let fits = self.lora.is_some() || !given;
            check(fits, setting, &"given", "absent without lora, the rank of the adapters")?;
        }
        let pairs = self.preferences.is_some();
        let given = [
            ("preference_beta", self.preference_beta.is_some()),
            ("preference_flipped", self.preference_flipped.is_some()),
        ];
        for (setting, given) in given {
            let expected = "absent without preferences, what is learned from them";
            check(pairs || !given, setting, &"given", expected)?;
        }
        check(!(pairs && self.answers), "answers", &true, "absent beside preferences")?;
        let beta = self.preference_beta.unwrap_or(1.0);
        // Beyond, one of the losses leaves the range of f32.
        let usual = (1e-6..=1e6).contains(&beta);
        check(usual, "preference_beta", &decimal(beta), "between 1e-6 and 1e6")?;
        let flipped = self.preference_flipped.unwrap_or(0.0);
        check(
            (0.0..0.5).contains(&flipped),
            "preference_flipped",
            &decimal(flipped),
            "at least 0 and below 0.5",
        )?;
        let logistic = self.preferences != Some(PreferenceKind::Ipo);
        check(
            logistic || self.preference_flipped.is_none(),
            "preference_flipped",
            &decimal(flipped),
            "absent with ipo, whose minimum is finite without it",
        )?;
        self.check_teacher()?;
        let standard = self.parametrization == Parametrization::Standard || self.from.is_none();
        check(
            standard,
            "parametrization",
            &self.parametrization.key(),
            "standard with from: the model is there already",
        )?;
        check(
            self.precision != Precision::F16,
            "precision",
            &self.precision,
            "f32 or bf16 for training: gradients below f16's range vanish (diagnose --precision f16 shows where)",
        )?;
        check(self.batch > 0, "batch", &self.batch, "1 or more")?;
        let base = self.base_width.unwrap_or(1);
        check(base > 0, "base_width", &base, "1 or more")?;
        let applies =
            self.base_width.is_none() || self.parametrization != Parametrization::Standard;
        check(
            applies,
            "base_width",
            &base,
            "absent with the standard parametrization, which has none: set parametrization to mup",
        )?;
        // If a product is too large, blame the factor that is too large by itself, or the larger one.
        let (batch, context) = (self.batch, self.context);
        let larger = batch >= context;
        check(
            batch.saturating_mul(context) <= LARGEST_BATCH,
            if larger { "batch" } else { "context" },
            if larger { &batch } else { &context },
            "smaller: batch·context at most 16777216",
        )?;
        check(self.accumulate > 0, "accumulate", &self.accumulate, "1 or more")?;
        let a_step = self.accumulate.saturating_mul(self.batch) as u64;
        let fits = |steps: u64| steps.checked_mul(a_step).is_some_and(|n| n <= MOST_WINDOWS);
        let most = "1 or more, and steps·accumulate·batch at most 4294967296";
        // If one step is too large, blame its factors.
        check(
            fits(1),
            "accumulate",
            &self.accumulate,
            "smaller: accumulate·batch at most 4294967296",
        )?;
        check(self.steps > 0 && fits(self.steps), "steps", &self.steps, most)?;
        check(positive(self.learning_rate), "learning_rate", &decimal(self.learning_rate), above)?;
        check(
            self.min_learning_rate >= 0.0 && self.min_learning_rate <= self.learning_rate,
            "min_learning_rate",
            &decimal(self.min_learning_rate),
            "between 0 and learning_rate",
        )?;
        let warmup = self.time.is_some() || self.warmup <= self.steps;
        check(warmup, "warmup", &self.warmup, "at most the number of steps")?;
        let decay = self.weight_decay >= 0.0 && self.weight_decay.is_finite();
        check(decay, "weight_decay", &decimal(self.weight_decay), "a finite number, 0 or more")?;
        let larger = self.learning_rate >= self.weight_decay;
        check(
            !self.optimizer.takes().contains(&"weight_decay")
                || self.weight_decay * self.learning_rate < 1.0,
            if larger { "learning_rate" } else { "weight_decay" },
            &decimal(if larger { self.learning_rate } else { self.weight_decay }),
            "smaller: learning_rate·weight_decay (0.1 unless set) below 1, or a step would flip the sign of weights",
        )?;
        check(share(self.beta1), "beta1", &decimal(self.beta1), "at least 0 and below 1")?;
        check(share(self.beta2), "beta2", &decimal(self.beta2), "at least 0 and below 1")?;
        let epsilon = self.epsilon.unwrap_or_default();
        check(
            epsilon >= 0.0 && epsilon.is_finite(),
            "epsilon",
            &decimal(epsilon),
            "a finite number, 0 or more",
        )?;
        let falls = self.decay_steps.unwrap_or(1);
        check(
            falls > 0 && (self.time.is_some() || falls <= self.steps),
            "decay_steps",
            &falls,
            "1 or more, and at most the number of steps",
        )?;
        check(self.decay_every != Some(0), "decay_every", &0, "1 or more")?;
        let factor = self.decay_factor.unwrap_or(1.0);
        check(
            factor > 0.0 && factor <= 1.0,
            "decay_factor",
            &decimal(factor),
            "above 0, and at most 1",
        )?;
        let average = self.average.unwrap_or(0.5);
        check(
            average > 0.0 && average < 1.0,
            "average",
            &decimal(average),
            "above 0 and below 1 (0.999: about the last 1000 steps)",
        )?;
        check(
            self.average.is_none() || !self.optimizer.averages(),
            "average",
            &decimal(average),
            "absent with an optimizer that averages its iterates, such as schedule_free",
        )?;
        check(share(self.momentum), "momentum", &decimal(self.momentum), "at least 0 and below 1")?;
        check(
            self.clip >= 0.0 && self.clip.is_finite(),
            "clip",
            &decimal(self.clip),
            "a finite number, 0 or more (0 does not clip)",
        )
    }
}
