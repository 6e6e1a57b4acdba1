//! `glassbox diagnose`.

mod before;

use crate::diagnosis::{ahead, described, earlier, healthy, object, stored};
use crate::examined::Examined;
use crate::progress::Stages;
use crate::resident::bytes;
use crate::settings::Settings;
use crate::{Result, count, on_threads, or_unread, remark, run, terminal};
use clap::Args;
use linalg::Products;
use std::path::PathBuf;
use std::process::ExitCode;
use transformer::disk::checkpoint;
use transformer::disk::checkpoint::CheckpointError;
use transformer::disk::{ordinary, read_metrics, validation_losses, write_atomically};
use transformer::inspect::diagnose::health::recorded_scores;
use transformer::inspect::diagnose::{self, Background, Recipe, Saved, Stage, State, Verdict};
use transformer::text::stories;
use transformer::{AVERAGED, ModelStep, Precision, ScheduleKind, TokenizerChoice, Trainer, memory};

/// Find why a loss is NaN, or about to be, or does not fall: the first cause, and a fix that was tried.
///
/// Runs or resumes training under watch. A run continues from its last checkpoint, or from its seed if it has none.
/// --steps is the number of steps to watch [default: 30]; otherwise a run's own settings hold, and flags try others
/// (what if the rate were lower?), except sizes and tokenizer, which are the model's. The exit status is 0 if nothing
/// is wrong, 1 if a cause is found, a measure lies outside its usual range or a warning is printed, and 2 if nothing
/// could be diagnosed: an unreadable file, a refused setting, one step alone. A run's files do not change, except growth.svg.
#[derive(Args)]
#[command(mut_args(|arg| match arg.get_id().as_str() {
    "precision" => arg.help("Storage format of values and gradients [default: f32]").help_heading("Options"),
    _ => arg,
}))]
pub(crate) struct Diagnose {
    /// A run, or a model directory in Hugging Face's layout [default: the sizes of the flags]
    model: Option<PathBuf>,
    /// Factor of the loss before backpropagation
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    loss_scale: f64,
    /// File for the picture of what grew [default: RUN/growth.svg for a run, else none]
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Text that the model knew before this fine-tuning, to see what it forgot [default: text that the model of --from writes]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    before: Vec<String>,
    #[command(flatten)]
    settings: Settings,
    /// Print the diagnosis as one JSON object
    #[arg(long)]
    json: bool,
}

/// The default number of steps to watch.
const WATCHED: u64 = 30;
/// The most steps to watch: the sizes of all values are kept for each.
const MOST_STEPS: u64 = 10_000;

impl Diagnose {
    /// Diagnoses; the exit code tells whether all is well, something is wrong, or nothing could be diagnosed.
    pub(crate) fn run(self) -> Result<ExitCode> {
        // Exit code 1, the default for errors, means here that a cause was found.
        or_unread(self.examine())
    }

    fn examine(self) -> Result<ExitCode> {
        if self.settings.out.is_some() {
            return Err(
                "diagnose writes no run: leave out --out (--svg FILE for the picture)".into()
            );
        }
        let steps = self.settings.steps.unwrap_or(WATCHED);
        if !self.before.is_empty() && !self.model.as_deref().is_some_and(run::is_run) {
            return Err("--before is text that the model of a run's --from knew: name a run that began with a model".into());
        }
        if steps == 0 || steps > MOST_STEPS {
            return Err(format!("steps is {steps}; it must be 1 to {MOST_STEPS}").into());
        }
        let scale = self.loss_scale as f32;
        if !(scale > 0.0 && scale.is_normal() && scale.recip().is_normal()) {
            return Err(format!(
                "loss-scale is {:?}; it must be above 0, and it and its inverse f32 numbers of full precision",
                self.loss_scale
            )
            .into());
        }
        if self.loss_scale != 1.0 && self.precision() == Precision::F32 {
            return Err(
                "--loss-scale moves gradients away from the end of a 16-bit format: give --precision f16 or bf16 \
                 with it"
                    .into(),
            );
        }
        on_threads(self.settings.threads, || self.diagnose(steps))
    }

    /// Returns the storage format.
    fn precision(&self) -> Precision {
        self.settings.precision.unwrap_or_default()
    }

    fn diagnose(&self, steps: u64) -> Result<ExitCode> {
        let settings = Settings { steps: None, precision: None, ..self.settings.clone() };
        let examined = Examined::find(self.model.as_deref(), &settings, Some(steps))?;
        let mut warnings = vec![];
        let start = self.start(&examined, &mut warnings)?;
        let trained = &examined.config;
        let ends = !matches!(trained.schedule, ScheduleKind::Constant | ScheduleKind::Step);
        if ends && start.steps >= trained.steps {
            remark(format!(
                "the schedule ended at step {}: watched at its last rate, {:.1e}",
                trained.steps, trained.min_learning_rate
            ));
        }
        let Examined { mut config, model, corpus, name, run, parameters, answer_start, .. } =
            examined;
        let precision = self.precision();
        remark(format!(
            "watching {name}: {}, from step {} on, stored as {precision}",
            count(model.parameters(), "parameter"),
            start.steps
        ));
        let finished = run.is_none() && parameters.is_some();
        // A finished model has no batch of its own: a smaller one shows as much.
        while finished && self.settings.batch.is_none() && config.batch > 1 {
            let step = ModelStep::of_run(&config, &model, &corpus);
            if memory::afford(diagnose::bytes(&step, &start)?).is_ok() {
                break;
            }
            config.batch /= 2;
            remark(format!("memory   batches of {}, for larger ones do not fit", config.batch));
        }
        let loss_scale = self.loss_scale;
        let mut recipe = Recipe { precision, loss_scale, ..Recipe::of_run(&config) };
        if self.settings.precision.is_some() {
            recipe.products = Products::Full; // of values in the format that is tried
        }
        let step = ModelStep::of_run(&config, &model, &corpus);
        remark(format!("it takes up to {} of memory", bytes(diagnose::bytes(&step, &start)?)));
        let known = if finished && config.data.is_none() {
            // Text that the model generated says nothing about its training.
            Background { finished, ..Background::default() }
        } else {
            let known = Background::of_run(&config, &step, &corpus, finished || start.steps > 0)?;
            let planned = if finished { 0 } else { known.planned };
            let chars = config.data.is_none() && config.tokenizer == TokenizerChoice::Chars;
            let entropy = if chars { stories::grammar().entropy_rate().ok() } else { None };
            let validation = run.as_deref().map_or(vec![], validation_losses);
            let scores = run.as_deref().map_or(vec![], |run| {
                read_metrics(run).map_or(vec![], |(metrics, _)| recorded_scores(&metrics))
            });
            let (before, begun) = match &run {
                Some(_) => before::find(&config, &step, &self.before, self.settings.field())?,
                None => None,
            }
            .unzip();
            // A loss that is mixed with a teacher's cannot be compared with these.
            let (validation, entropy) = match config.teacher {
                None => (validation, entropy),
                Some(_) => (vec![], None),
            };
            let initial = if known.from_model { begun } else { known.initial };
            Background {
                planned,
                finished,
                before,
                initial,
                answer_start,
                validation,
                scores,
                entropy: entropy.map(|e| e.0),
                ..known
            }
        };
        let stages = Stages::new();
        let shown = |stage: Stage<'_>| stages.show(stage);
        let examination = diagnose::examination_of(&step, &start, &recipe, steps, &known, shown)?;
        let found = &examination.diagnosis;
        let reduced = match precision {
            Precision::F32 => None,
            _ => {
                let batch = found.last_good.steps * recipe.accumulate;
                let at = |precision, scale| {
                    stages.show(Stage::Measuring("what the format loses"));
                    diagnose::reduced(&step, &found.last_good.parameters, batch, precision, scale)
                };
                let first = at(precision, self.loss_scale)?;
                // Measured without loss scale in f32, as the fix does, where no gradient is cut off.
                let largest = at(Precision::F32, 1.0)?.largest_gradient;
                Some((first, at(precision, diagnose::loss_scale(precision, largest))?))
            }
        };
        stages.finish();
        if let Some((first, saved)) = &reduced
            && [first, saved].iter().all(|r| r.saved() != Saved::Yes)
        {
            warnings.push(format!("{precision} does not hold this step, with any loss scale"));
        }
        let remembered = match &known.before {
            Some(before) => Some(before.remembered(&step, &found.last_good.parameters)?),
            None => None,
        };
        let (verdict, health) = (examination.verdict(warnings.len()), &examination.health);
        let mut svg = self.svg.clone().or_else(|| run.map(|run| run::growth_file(&run)));
        if let Some(path) = &svg
            // A pipe that nobody asked for may have no reader.
            && let Err(error) = if self.svg.is_some() { Ok(()) } else { ordinary(path) }
                .and_then(|()| write_atomically(path, found.growth.svg().as_bytes()))
        {
            // A missing picture is an error only if it was requested.
            if self.svg.is_some() {
                return Err(error.into());
            }
            remark(format!("no picture: {error}"));
            svg = None;
        }
        if self.json {
            let told = (verdict, &warnings[..]);
            let mut json = object(found, &recipe, reduced.as_ref(), health.as_ref(), told);
            json["outlook"] = serde_json::to_value(&examination.outlook)?;
            json["remembered"] = serde_json::to_value(remembered)?;
            terminal::print_json(json)?;
        } else {
            let mut text = described(found, &recipe, verdict, &warnings);
            text += &reduced.as_ref().map_or(String::new(), |(a, b)| stored(a, b));
            text += &health.as_ref().map_or(String::new(), |h| healthy(h, step.sequences));
            text += &examination.outlook.as_ref().map_or(String::new(), ahead);
            text += &remembered.map_or(String::new(), earlier);
            text += &svg.map_or(String::new(), |p| format!("picture    {}\n", p.display()));
            terminal::print(&text)?;
        }
        Ok(match verdict {
            Verdict::NothingWrong => ExitCode::SUCCESS,
            Verdict::TooFew => ExitCode::from(2),
            Verdict::Unusual(_) | Verdict::Found(_) => ExitCode::FAILURE,
        })
    }

    /// Returns the state of training: a run's checkpoint, a model's weights, or initial ones.
    fn start(&self, examined: &Examined, warnings: &mut Vec<String>) -> Result<State> {
        let Examined { config, model, parameters, sha256, run, .. } = examined;
        let state = run.as_deref().map(run::state_file).filter(|p| p.exists());
        if let Some(path) = state {
            let mut trainer = Trainer::<f32>::new(config.clone(), model)?;
            let about = checkpoint::load_with_faults(&path, &mut trainer, sha256)?;
            // Flags may try other rates; the run's own settings are those of its state.
            let differences = examined.own.as_ref().map(|own| about.contradictions(own));
            if let Some(differences) = differences.filter(|d| !d.is_empty()) {
                return Err(CheckpointError::Settings { path, differences }.into());
            }
            let steps = trainer.steps();
            // The two are the same, unless the model was changed.
            let differ = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
            let evaluated = trainer.evaluated();
            let differing =
                parameters.iter().flatten().zip(evaluated).filter(|&x| differ(x)).count();
            let saved = trainer.state().into_iter().filter(|(name, _)| *name != AVERAGED);
            let mut saved = saved.map(|(_, x)| x.to_vec());
            let kept = saved.next().unwrap_or_default();
            let memory = saved.collect();
            if differing > 0 {
                let warning = format!(
                    "the run's model and its training state differ in {differing} of {} weights: training \
                     resumes from the state",
                    kept.len()
                );
                remark(&warning);
                warnings.push(warning);
            }
            let model = parameters.iter().find(|p| p.iter().any(|p| !p.is_finite()));
            let broken = model.filter(|_| kept.iter().all(|p| p.is_finite()));
            if broken.is_some() {
                remark(
                    "only the model is broken: `glassbox train --resume` resumes from the state and rewrites the \
                     model; the model is diagnosed",
                );
            }
            let parameters = broken.cloned().unwrap_or(kept);
            return Ok(State { steps, memory, ..State::start(parameters) });
        }
        Ok(State::start(match parameters {
            Some(given) => given.clone(),
            None => model.initial_parameters(config.seed)?,
        }))
    }
}
