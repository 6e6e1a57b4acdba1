//! `glassbox ablate`.

mod picture;
mod report;

use crate::progress::{Stages, duration};
use crate::settings::Settings;
use crate::source::Source;
use crate::{Result, count, on_threads, run, terminal};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;
use transformer::disk::write_atomically;
use transformer::inspect::ablate::{Analysis, Design, Factor};
use transformer::inspect::plan::{Pilots, Plan, Trained, Trials};
use transformer::{Time, TrainingConfig};

/// Find out which settings matter: train every combination for the same time, with the same seeds, and test the effects.
///
/// Each SETTING=VALUE,VALUE,… is a factor, such as norm=rms,layer activation=gelu,silu tied=true,false; names are those of
/// run.toml and of train's flags. The speed of every combination is measured, so that each trains for an equal share of the
/// time, on the same batches. An effect is the mean difference of held-back losses to the factor's first value, over all
/// combinations of the other factors, with an interval over seeds; interactions of two factors are flagged. A value is
/// called better or worse only if its p-value is below 0.05 divided by the number of tests.
#[derive(Args)]
pub(crate) struct Ablate {
    /// Settings with their values; the others are compared with the first value
    #[arg(required = true, num_args = 1.., value_name = "SETTING=VALUES")]
    factors: Vec<String>,
    #[command(flatten)]
    settings: Settings,
    /// Seeds with which every combination is trained
    #[arg(long, value_name = "N", default_value_t = 5, allow_negative_numbers = true)]
    seeds: usize,
    /// File for a picture of the effects
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// Settings whose values cannot be compared, and why.
const NO_FACTORS: [(&str, &str); 10] = [
    ("data", "losses on different texts cannot be compared"),
    ("field", "losses on different texts cannot be compared"),
    ("tokenizer", "losses per token of different tokenizers cannot be compared"),
    ("seed", "every combination is trained with the same seeds: --seeds"),
    ("steps", "every combination trains for the same time: --time"),
    ("time", "every combination trains for the same time: --time"),
    ("eval_every", "it does not change what is learned"),
    ("memory", "it does not change what is learned"),
    ("threads", "it does not change what is learned"),
    ("out", "it does not change what is learned"),
];
/// The share of a run's time in which it takes steps; the evaluation has the rest.
const STEPPING: f64 = 0.75;
/// Rounds in which speeds are measured; their median counts.
const ROUNDS: usize = 3;
/// The share of a run's time in which it is measured, and the tokens at least and at most.
const MEASURED: f64 = 0.2;
const LEAST_MEASURED: f64 = 8192.0;
const MOST_MEASURED: f64 = 131_072.0;
/// The fewest steps of a run.
const LEAST_STEPS: f64 = 20.0;

/// A combination of levels.
struct Cell {
    config: TrainingConfig,
    /// Whether the warm-up and the final decay were given, and are not the preset's.
    given: [bool; 2],
    /// Seconds of a step.
    step: f64,
    /// Seconds of all its runs.
    seconds: f64,
}

/// The results of all runs.
struct Outcome {
    design: Design,
    cells: Vec<Cell>,
    losses: Vec<Vec<f64>>,
    analysis: Analysis,
    seconds: f64,
}

impl Ablate {
    pub(crate) fn run(self) -> Result<()> {
        let began = Instant::now();
        let why = "every combination trains for an equal share of --time, and no run is kept";
        self.settings.without(&["steps", "out"], why)?;
        self.settings.without(&Settings::FINE_TUNING, Settings::GOES_ON)?;
        let why = "ablate compares models on text, of which every token counts";
        self.settings.without(&["answers"], why)?;
        let factors = self.factors.iter().map(|text| factor(text)).collect::<Result<Vec<_>>>()?;
        let design = Design::new(factors, self.seeds)?;
        let Some(time) = self.settings.time else {
            return Err(
                "how long may all runs take together? Give --time, such as --time 30m".into()
            );
        };
        self.svg.as_deref().map(run::writable).transpose()?;
        let configs = (0..design.cells()).map(|cell| self.config(&design, cell));
        let configs = configs.collect::<Result<Vec<_>>>()?;
        on_threads(self.settings.threads, || self.ablate(design, configs, time, began))
    }

    /// Returns the settings of a combination.
    fn config(&self, design: &Design, cell: usize) -> Result<TrainingConfig> {
        let mut table = self.settings.table()?;
        let mut named = Vec::new();
        for (factor, level) in design.factors().iter().zip(design.levels(cell)) {
            let value = &factor.levels[level];
            named.push(format!("{}={value}", factor.name));
            table.insert(factor.name.clone(), parsed(value));
        }
        let refused = |e: &dyn std::fmt::Display| format!("{}: {e}", named.join(" "));
        let settings: Settings =
            table.try_into().map_err(|e: toml::de::Error| refused(&e.message()))?;
        settings.without(&Settings::FINE_TUNING, Settings::GOES_ON)?;
        let config = settings.complete().map_err(|e| refused(&e))?;
        settings.fit(&config).map_err(|e| refused(&e))?;
        Ok(config)
    }

    fn ablate(
        &self,
        design: Design,
        configs: Vec<TrainingConfig>,
        time: Time,
        began: Instant,
    ) -> Result<()> {
        let contexts = configs.iter().map(|c| c.context);
        // Windows of a text can have any length, those of documents at most the one with which they are read.
        let context = match configs[0].data {
            Some(_) => contexts.max(),
            None => contexts.max().map(|longest| longest.max(Plan::LONGEST)),
        };
        let reading = TrainingConfig { context: context.unwrap_or(1), ..configs[0].clone() };
        let source = Source::load(&reading, None, None)?;
        let vocabulary = source.tokenizer.vocabulary();
        let clock = || began.elapsed().as_secs_f64();
        let mut pilots = Pilots { corpus: &source.corpus, vocabulary, clock: &clock };
        let stages = Stages::new();
        let all = configs.len();
        let table = self.settings.table()?;
        let named = |name: &str| {
            table.contains_key(name) || design.factors().iter().any(|factor| factor.name == name)
        };
        let given = ["warmup", "decay_steps"].map(named);
        let mut cells: Vec<Cell> = configs
            .into_iter()
            .map(|config| Cell {
                config: TrainingConfig { time: None, ..config },
                given,
                step: 0.0,
                seconds: 0.0,
            })
            .collect();
        // In turn, so that a disturbance does not fall on one combination alone.
        let mut steps = vec![vec![]; all];
        for round in 1..=ROUNDS {
            for (i, (cell, steps)) in cells.iter().zip(&mut steps).enumerate() {
                stages.say(&format!(
                    "speed of combination {} of {all}, round {round} of {ROUNDS}",
                    i + 1
                ));
                steps.push(pilots.step(&cell.config)?);
            }
        }
        for (cell, steps) in cells.iter_mut().zip(&mut steps) {
            steps.sort_by(f64::total_cmp);
            cell.step = steps[steps.len() / 2];
        }
        let left = time.seconds() as f64 - clock();
        let each = left / design.runs() as f64;
        for cell in &mut cells {
            let steps = STEPPING * each / cell.step;
            if steps < LEAST_STEPS {
                stages.finish();
                return Err(format!(
                    "{} in {time} have {:.1} s each, too short for {LEAST_STEPS} steps of {:.3} s: give more --time, fewer \
                     values or --seeds, or a smaller model",
                    count(design.runs(), "run"),
                    each.max(0.0),
                    cell.step
                )
                .into());
            }
            cell.fit((steps as u64).min(cell.config.most_steps()))?;
        }
        // Predicting a token takes a third of the time of training on it; the same tokens for all.
        let token = |cell: &Cell| cell.step / cell.config.step_tokens() as f64;
        let slowest = cells.iter().map(token).fold(0.0, f64::max);
        let measured =
            (MEASURED * each * 3.0 / slowest).clamp(LEAST_MEASURED, MOST_MEASURED) as usize;
        let mut losses = vec![vec![f64::NAN; design.seeds()]; all];
        let mut done = 0;
        for seed in 0..design.seeds() {
            for (cell, losses) in cells.iter_mut().zip(&mut losses) {
                let left = duration(each * (design.runs() - done) as f64);
                stages.say(&format!("run {} of {}, {left} left", done + 1, design.runs()));
                let config = TrainingConfig {
                    seed: cell.config.seed.wrapping_add(seed as u64),
                    ..cell.config.clone()
                };
                let Trained { loss, seconds, .. } = pilots.train(&config, 1.0, measured)?;
                (losses[seed], cell.seconds) = (loss, cell.seconds + seconds);
                done += 1;
            }
        }
        stages.finish();
        let analysis = design.analyse(&losses);
        let outcome = Outcome { design, cells, losses, analysis, seconds: clock() };
        // The picture last: what was measured is printed whatever happens.
        match self.json {
            true => terminal::print_json(object(&outcome))?,
            false => terminal::print(&report::text(&outcome, &source))?,
        }
        if let Some(path) = &self.svg {
            let picture = picture::svg(&outcome, source.tokenizer.unit());
            write_atomically(path, picture.as_bytes())?;
        }
        Ok(())
    }
}

impl Cell {
    /// Sets the number of steps; a warm-up or a decay of the preset's is shortened.
    ///
    /// # Errors
    /// A given one that is longer than the run.
    fn fit(&mut self, steps: u64) -> Result<()> {
        let c = &mut self.config;
        c.steps = steps;
        let [warmup, decay] = self.given;
        let long = [("warmup", warmup, Some(c.warmup)), ("decay_steps", decay, c.decay_steps)];
        if let Some((name, _, Some(n))) =
            long.iter().find(|(_, given, n)| *given && n.is_some_and(|n| n > steps))
        {
            return Err(format!(
                "{name} is {n}, and a run has {steps} steps in its share of the time: give more --time or a smaller {name}"
            )
            .into());
        }
        if !warmup {
            c.warmup = c.warmup.min(steps / 10);
        }
        c.decay_steps = c.decay_steps.map(|n| n.min(steps));
        Ok(())
    }
}

fn object(outcome: &Outcome) -> serde_json::Value {
    let cells = outcome.cells.iter().zip(&outcome.losses).enumerate().map(|(i, (cell, losses))| {
        let losses: Vec<Option<f64>> = losses.iter().map(|l| l.is_finite().then_some(*l)).collect();
        json!({ "levels": outcome.design.levels(i), "steps": cell.config.steps, "step_seconds": cell.step, "seconds": cell.seconds, "losses": losses })
    });
    json!({
        "factors": outcome.design.factors(),
        "seeds": outcome.design.seeds(),
        "combinations": cells.collect::<Vec<_>>(),
        "effects": outcome.analysis.effects,
        "interactions": outcome.analysis.interactions,
        "significance": outcome.analysis.significance,
        "seconds": outcome.seconds,
    })
}

/// Reads a factor.
fn factor(text: &str) -> Result<Factor> {
    let Some((name, values)) = text.split_once('=') else {
        let text = terminal::word(text);
        return Err(format!(
            "found \"{text}\", expected a setting and its values, such as norm=rms,layer"
        )
        .into());
    };
    let name = name.trim().trim_start_matches("--").replace('-', "_");
    if let Some((_, why)) = NO_FACTORS.iter().find(|(setting, _)| *setting == name) {
        return Err(format!("{name} cannot be compared here: {why}").into());
    }
    let levels = values.split(',').map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
    Ok(Factor { name, levels: levels.collect() })
}

/// Returns a value of run.toml: a number, true or false, or a text.
fn parsed(value: &str) -> toml::Value {
    let read = || toml::from_str::<toml::Table>(&format!("x = {value}")).ok()?.remove("x");
    let plain = !value.contains(['\n', '#']);
    plain.then(read).flatten().unwrap_or_else(|| toml::Value::String(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_settings_with_values() {
        let found = factor("query-key-norm=head, none").unwrap();
        assert_eq!(
            (found.name.as_str(), found.levels),
            ("query_key_norm", vec!["head".to_owned(), "none".into()])
        );
        assert!(factor("norm").is_err() && factor("seed=1,2").is_err());
        assert_eq!(parsed("true"), toml::Value::Boolean(true));
        assert_eq!(parsed("3e-4"), toml::Value::Float(3e-4));
        assert_eq!(parsed("12"), toml::Value::Integer(12));
        assert_eq!(parsed("gelu"), toml::Value::String("gelu".into()));
        assert_eq!(parsed("1 # x"), toml::Value::String("1 # x".into()));
    }
}
