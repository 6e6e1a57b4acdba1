//! `glassbox plan`.

mod picture;
mod report;

use crate::progress::Stages;
use crate::settings::Settings;
use crate::source::Source;
use crate::{Result, on_threads, program, remark, resident, run, terminal, train};
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;
use transformer::disk::write_atomically;
use transformer::inspect::plan::{Pilots, Plan, Request};
use transformer::memory;
use transformer::{Time, TrainingConfig};

/// Plan a training run: the size, context, batch and rates that reach the lowest loss in a given time on this machine.
///
/// Measures the speed of three sizes, trains a handful of small models for a tenth of the time, and fits a law of the loss,
/// L = E + A/N^α + B/D^β for N parameters and D training tokens. Writes the best settings, and prints the alternatives with
/// their predicted losses and 90 % intervals. Settings that are given stay; all others are chosen. If the run reads
/// its text more than ten times, a small copy of it measures what repetition costs, and whether dropout and decay help.
#[derive(Args)]
#[command(mut_arg("memory", |arg| arg.help("The most memory that the run may take, such as 6GB or 800MB [default: what this process may have]")))]
pub(crate) struct PlanRun {
    #[command(flatten)]
    settings: Settings,
    /// File for the settings of the run, for `train --config`
    #[arg(long, value_name = "FILE", default_value = "plan.toml")]
    save: PathBuf,
    /// Replace the file that --save names
    #[arg(long)]
    overwrite: bool,
    /// File for a picture of the predicted loss against the size
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// The architecture if none is given. After the same five million characters of tinyshakespeare, its parts reach 1.606 nats
/// and GPT-2's 1.672, both with 155,000 parameters; a step takes 1.3 times as long.
const ARCHITECTURE: &str = "llama";
/// Settings that are not the model's or the training's: they are used, not chosen.
const USED: [&str; 8] =
    ["data", "field", "tokenizer", "preset", "architecture", "time", "memory", "threads"];

impl PlanRun {
    pub(crate) fn run(self) -> Result<()> {
        let began = Instant::now();
        let why = "a plan chooses the steps by --time, and the run's directory is named when it is trained";
        self.settings.without(&["steps", "out"], why)?;
        self.settings.without(&Settings::FINE_TUNING, Settings::GOES_ON)?;
        if self.save.exists() && !self.overwrite {
            let file = self.save.display();
            return Err(format!("{file} exists: give another --save, or --overwrite").into());
        }
        let Some(time) = self.settings.time else {
            return Err("how long may the run take? Give --time, such as --time 20m".into());
        };
        run::writable(&self.save)?;
        self.svg.as_deref().map(run::writable).transpose()?;
        let mut settings = self.settings.clone();
        if settings.architecture.is_none() && settings.preset.is_none() {
            settings.architecture = Some(ARCHITECTURE.to_owned());
        }
        // The size is chosen so that nothing has to be computed again.
        settings.memory = None;
        let config = settings.complete()?;
        self.settings.fit(&config)?;
        on_threads(settings.threads, || self.plan(config, time, began))
    }

    fn plan(&self, config: TrainingConfig, time: Time, began: Instant) -> Result<()> {
        // Windows of a text can have any length, those of documents at most the one with which they are read.
        let context = match (self.settings.context, &config.data) {
            (Some(context), _) => context,
            (None, Some(_)) => 1,
            (None, None) => Plan::LONGEST,
        };
        let reading = TrainingConfig { context, ..config.clone() };
        // Tokens of a long text are kept where the run will look for them.
        let run = Path::new("runs").join("plan");
        if config.answers {
            return Err(
                "plan compares models on text, of which every token counts: leave out --answers"
                    .into(),
            );
        }
        let source = Source::load(&reading, None, Some(&run))?;
        let baselines = source.baselines();
        let given = self.settings.table()?;
        let fixed: BTreeSet<String> =
            given.keys().filter(|name| !USED.contains(&name.as_str())).cloned().collect();
        let room = memory::room().map_or(u128::from(u64::MAX), |room| room.bytes);
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        let now = resident::now().unwrap_or_default();
        let most = resident::peak().unwrap_or_default();
        let available = room.saturating_add(now);
        let allowed = self.settings.memory.map_or(available, |memory| memory.0);
        if allowed > available {
            let [asked, there] = [allowed, available].map(|n| memory::bytes(n.into()));
            remark(format!("memory   {asked} are allowed, but only {there} are available"));
        }
        let request = Request {
            fixed,
            vocabulary: source.tokenizer.vocabulary(),
            text: source.corpus.train().len() as u64,
            held_back: source.corpus.validation().len() as u64,
            seconds: time.seconds() as f64,
            loading: began.elapsed().as_secs_f64(),
            memory: allowed.min(available),
            room,
            resident: [now, most],
            entropy: source.entropy.map(|entropy| entropy.per_token),
            config,
        };
        let clock = || began.elapsed().as_secs_f64();
        let vocabulary = request.vocabulary;
        let mut pilots = Pilots { corpus: &source.corpus, vocabulary, clock: &clock };
        let stages = Stages::new();
        let mut done = 0;
        let plan = Plan::make(&request, &mut pilots, &mut |progress| {
            stages.say(&report::progress(progress, &mut done));
        });
        stages.finish();
        let plan = plan?;
        let chosen = self.settings_of(&plan, &source)?;
        let picture = self
            .svg
            .as_ref()
            .map(|_| picture::svg(&plan, &source.heading(), source.tokenizer.unit(), time));
        write_atomically(&self.save, chosen.as_bytes())?;
        if let (Some(path), Some(picture)) = (&self.svg, &picture) {
            write_atomically(path, picture.as_bytes())?;
        }
        let mut train = format!("{} train --config {}", program(), run::typed(&self.save));
        if let Some(threads) = self.settings.threads {
            train.push_str(&format!(" --threads {threads}"));
        }
        if self.json {
            let mut object = json!(plan);
            object["train"] = json!(train);
            object["baselines"] = json!(baselines);
            return terminal::print_json(object);
        }
        terminal::print(&report::text(&plan, (&request, time), &source, &baselines, &train))
    }

    /// Returns the file of the chosen settings.
    fn settings_of(&self, plan: &Plan, source: &Source) -> Result<String> {
        let choice = plan.choice();
        let config = train::findable_from_everywhere(&choice.config);
        Ok(format!(
            "# Planned on this machine. Predicted: a loss of {:.4} nats per {}, {:.4} to {:.4} with a probability of 90 %.\n{}",
            choice.loss,
            source.tokenizer.unit(),
            choice.interval.low,
            choice.interval.high,
            toml::to_string(&config)?
        ))
    }
}
