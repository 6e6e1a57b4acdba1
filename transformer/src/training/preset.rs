//! Settings that work well: the files of `transformer/presets`.

use crate::keyed::keyed;
use crate::training::config::TrainingConfig;

keyed! {
    /// Sizes and rates that work well; the program's `--preset`.
    ///
    /// ```
    /// use transformer::{Preset, TrainingConfig};
    /// // nanoGPT's baby GPT, on a text that 500 steps are enough for.
    /// let config = TrainingConfig { steps: 500, ..Preset::Baby.config() };
    /// assert_eq!((config.layers, config.width, config.learning_rate), (6, 384, 1e-3));
    /// ```
    #[non_exhaustive]
    Preset {
        FastStory: "fast-story", "The embedded stories, in about fifteen seconds on two cores";
        FastText: "fast-text", "A text of some megabytes, in less than ten seconds: 0.1 million parameters, characters";
        Story: "story", "The embedded stories by a GPT-2: one to two minutes";
        ShakespeareCpu: "shakespeare-cpu", "nanoGPT's recipe for a CPU: 0.8 million parameters, characters";
        Baby: "baby", "nanoGPT's baby GPT: 10.6 million parameters, characters";
        Gpt2: "gpt2", "The sizes of GPT-2 small, bytes";
        FineTune: "fine-tune", "Fine-tuning of all weights of a model (--from)";
        Lora: "lora", "Adapters of low rank beside a model (--from, --lora)";
        Preferences: "preferences", "Learning from preferences (--from, --preferences)";
    }
}

impl Preset {
    /// Returns every setting of the preset.
    pub fn config(self) -> TrainingConfig {
        let file = match self {
            Preset::FastStory => include_str!("../../presets/fast-story.toml"),
            Preset::FastText => include_str!("../../presets/fast-text.toml"),
            Preset::Story => include_str!("../../presets/story.toml"),
            Preset::ShakespeareCpu => include_str!("../../presets/shakespeare-cpu.toml"),
            Preset::Baby => include_str!("../../presets/baby.toml"),
            Preset::Gpt2 => include_str!("../../presets/gpt2.toml"),
            Preset::FineTune => include_str!("../../presets/fine-tune.toml"),
            Preset::Lora => include_str!("../../presets/lora.toml"),
            Preset::Preferences => include_str!("../../presets/preferences.toml"),
        };
        toml::from_str(file).expect("a preset has every setting")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_a_run() {
        for preset in Preset::ALL {
            let config = preset.config();
            assert_eq!(config.validate(), Ok(()), "{preset:?}");
            assert!(config.model(65).is_ok(), "{preset:?}");
        }
    }
}
