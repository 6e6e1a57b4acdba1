//! `glassbox train`.

use crate::plot::{LossPlot, thousands};
use crate::progress::{Progress, duration};
use crate::report::Report;
use crate::run::{self, Metric, Run};
use crate::settings::Settings;
use crate::source::Source;
use crate::{Result, count, generate, on_threads, program, remark};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use transformer::files::{self, write_atomically};
use transformer::health::Watch;
use transformer::{Evaluation, Trainer, TrainingConfig, checkpoint};

/// Train a model on text; writes a run directory.
///
/// Settings come from the preset, then from --config, then from flags; later ones win.
#[derive(Args, Default)]
pub(crate) struct Train {
    #[command(flatten)]
    settings: Settings,
    /// File of settings by the names of the flags: `learning_rate = 1e-3`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Go on with an interrupted run; of the settings only --steps, --eval-every and --threads may change
    #[arg(long, value_name = "RUN", conflicts_with_all = ["out", "config", "overwrite"])]
    resume: Option<PathBuf>,
    /// Replace the run that --out holds
    #[arg(long)]
    overwrite: bool,
    /// Record the health of every K-th step in metrics.jsonl: sizes of activations, gradients, weights and updates;
    /// attention's entropy and saturation; dead units
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

/// The exit code of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

impl Train {
    /// Trains; the exit code tells whether the run came to its end.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let settings = match (&self.resume, &self.config) {
            (Some(run), _) => self.resumed(run)?,
            (None, Some(file)) => self.settings.clone().over(Settings::read(file)?)?,
            (None, None) => self.settings.clone(),
        };
        let config = settings.complete()?;
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        ctrlc::set_handler(move || {
            if asked.swap(true, Ordering::SeqCst) {
                std::process::exit(i32::from(INTERRUPTED));
            }
        })?;
        on_threads(settings.threads, || self.train(&settings, config, &stop))
    }

    /// The settings of a run that goes on.
    fn resumed(&self, run: &Path) -> Result<Settings> {
        if !run::is_run(run) {
            return Err(
                format!("{} holds no run: there is no run.toml in it", run.display()).into()
            );
        }
        if !run::state_file(run).exists() {
            let shown = run.display();
            return Err(format!(
                "{shown} holds no checkpoint to go on from: there is no state.safetensors in it; start \
                 again with: {} train --config {shown}/run.toml --out {shown} --overwrite",
                program()
            )
            .into());
        }
        let given = Settings { threads: None, ..self.settings.clone() };
        let changes =
            Settings { steps: given.steps, eval_every: given.eval_every, ..Settings::default() };
        if given.table()? != changes.table()? {
            return Err(
                "with --resume, only --steps, --eval-every and --threads may be given: the \
                        others are the run's own"
                    .into(),
            );
        }
        let threads = self.settings.threads;
        Settings { threads, ..changes }.over(run::settings(run)?)
    }

    fn train(
        &self,
        settings: &Settings,
        config: TrainingConfig,
        stop: &AtomicBool,
    ) -> Result<ExitCode> {
        let known = match &self.resume {
            Some(run) => {
                let directory = run::model_directory(run);
                run::agree(run, &config, &files::read_config(&directory)?)?;
                Some(files::read_tokenizer(&directory)?)
            }
            None => None,
        };
        let source = Source::load(&config, known)?;
        let model = config.model(source.tokenizer.vocabulary())?;
        let mut trainer = Trainer::<f32>::new(config.clone(), &model)?;
        let (mut run, mut metrics) = match &self.resume {
            None => {
                let name = || run_name(settings);
                let directory =
                    settings.out.clone().unwrap_or_else(|| run::free_directory(&name()));
                (Run::create(&directory, &config, self.overwrite)?, Vec::new())
            }
            Some(directory) => {
                checkpoint::load(&run::state_file(directory), &mut trainer, &source.sha256)?;
                Run::reopen(directory, &config, trainer.steps())?
            }
        };
        introduce(&source, &trainer, run.directory());
        if trainer.steps() >= config.steps {
            let steps = trainer.steps();
            remark(format!("all {steps} steps are taken: nothing to train; --steps asks for more"));
        }
        let baselines = source.baselines();
        let mut session = Session {
            trainer,
            source,
            baselines,
            run: &mut run,
            metrics: &mut metrics,
            watch: self.watch,
        };
        let finished = session.steps(stop)?;
        match finished {
            Some((measured, progress)) => {
                let sample = session.sample()?;
                let report = session.report(&measured, &progress, sample);
                report.print(self.json)?;
                Ok(ExitCode::SUCCESS)
            }
            None => {
                let shown = session.run.directory().display();
                remark(format!(
                    "stopped after step {}; go on with: {} train --resume {shown}",
                    session.trainer.steps(),
                    program()
                ));
                Ok(ExitCode::from(INTERRUPTED))
            }
        }
    }
}

/// The name of a run's directory, after what it trains on.
fn run_name(settings: &Settings) -> String {
    match (&settings.data, settings.preset) {
        (Some(data), None) if data != "-" => {
            let stem = Path::new(data).file_stem().unwrap_or_default().to_string_lossy();
            stem.chars()
                .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' })
                .collect()
        }
        _ => settings.preset().name().to_owned(),
    }
}

fn introduce(source: &Source, trainer: &Trainer<f32>, directory: &Path) {
    let config = trainer.config();
    let parameters = trainer.model().tape().parameters().len();
    remark(format!(
        "model    {} parameters: {}, {}, width {}, context {}",
        thousands(parameters as f64),
        count(config.layers, "layer"),
        count(config.heads, "head"),
        config.width,
        config.context
    ));
    remark(format!(
        "data     {}: {} {}s to train on, {} held back, vocabulary of {}",
        source.name,
        thousands(source.corpus.train().len() as f64),
        source.unit(),
        thousands(source.corpus.validation().len() as f64),
        source.tokenizer.vocabulary()
    ));
    if let Some(entropy) = source.entropy {
        remark(format!(
            "entropy  {:.2} nats a story, {:.4} nats a character: no model can do better",
            entropy.per_story, entropy.per_character
        ));
    }
    remark(format!("run      {}", directory.display()));
}

/// A run under way.
struct Session<'a> {
    trainer: Trainer<f32>,
    source: Source,
    baselines: Vec<(usize, f64)>,
    run: &'a mut Run,
    metrics: &'a mut Vec<Metric>,
    /// Every how many steps health is recorded.
    watch: Option<u64>,
}

impl Session<'_> {
    /// Trains until the last step or until asked to stop; returns the last measurement, if it came
    /// to that.
    fn steps(&mut self, stop: &AtomicBool) -> Result<Option<(Evaluation, Progress)>> {
        let config = self.trainer.config().clone();
        let tokens = config.batch * config.context * config.accumulate;
        let mut watch = Watch::new(self.trainer.model().tape());
        let mut progress = Progress::new(self.trainer.steps(), config.steps, tokens);
        loop {
            if self.trainer.steps() >= config.steps {
                progress.finish();
                let measured = self.trainer.evaluate(&self.source.corpus)?;
                self.save()?;
                return Ok(Some((measured, progress)));
            }
            let watched = self.watch.is_some_and(|k| (self.trainer.steps() + 1).is_multiple_of(k));
            let began = Instant::now();
            let (step, health) = if watched {
                let (step, glance) = watch.step(&mut self.trainer, &self.source.corpus)?;
                (step, Some(serde_json::to_value(glance)?))
            } else {
                (self.trainer.step(&self.source.corpus)?, None)
            };
            let took = began.elapsed();
            let number = step.number;
            if !step.applied {
                progress.finish();
                return self.diverged(&step);
            }
            progress.step(&step, took);
            let due = config.eval_every > 0 && number.is_multiple_of(config.eval_every);
            let measured = if due || number == config.steps {
                Some(self.trainer.evaluate(&self.source.corpus)?)
            } else {
                None
            };
            let metric = Metric {
                step: number,
                loss: Some(step.loss),
                validation_loss: measured.map(|m| m.loss),
                learning_rate: step.learning_rate,
                gradient_norm: Some(step.gradient_norm),
                tokens_per_second: tokens as f64 / took.as_secs_f64().max(1e-9),
                health,
            };
            self.run.log(&metric)?;
            self.metrics.push(metric);
            if let Some(measured) = measured {
                progress.evaluated(number, &measured);
                self.save()?;
                if number == config.steps {
                    progress.finish();
                    return Ok(Some((measured, progress)));
                }
            }
            if stop.load(Ordering::SeqCst) {
                progress.finish();
                self.save()?;
                return Ok(None);
            }
        }
    }

    /// The model, the state to go on from, the metrics and the picture.
    fn save(&mut self) -> Result<()> {
        let directory = self.run.directory().to_owned();
        let model = run::model_directory(&directory);
        files::write(
            &model,
            self.trainer.model().config(),
            self.trainer.model().tape().parameters(),
        )?;
        files::write_tokenizer(&model, &self.source.tokenizer)?;
        checkpoint::save(&run::state_file(&directory), &mut self.trainer, &self.source.sha256)?;
        write_atomically(&run::plot_file(&directory), self.plot().as_bytes())?;
        Ok(())
    }

    /// A step that came out as NaN or ∞, or would have made a weight so: it was not taken, so that what is saved
    /// is the last good state.
    fn diverged<R>(&mut self, step: &transformer::Step) -> Result<R> {
        let finite = |x: f64| x.is_finite().then_some(x);
        self.run.log(&Metric {
            step: step.number,
            loss: finite(step.loss),
            validation_loss: None,
            learning_rate: step.learning_rate,
            gradient_norm: finite(step.gradient_norm),
            tokens_per_second: 0.0,
            health: None,
        })?;
        let shown = self.run.directory().display().to_string();
        // A run may have been resumed with weights that were not.
        let sound = self.trainer.model().tape().parameters().iter().all(|p| p.is_finite());
        let kept = if sound {
            self.save()?;
            format!(
                "Nothing of this step was applied: the state after step {} is saved",
                step.number - 1
            )
        } else if run::state_file(self.run.directory()).is_file() {
            "The weights were not finite before: the last checkpoint stays as it was".to_owned()
        } else {
            "The weights were not finite before: only metrics are kept".to_owned()
        };
        let by_update = step.loss.is_finite() && step.gradient_norm.is_finite();
        let update =
            if by_update { ", and an update that leaves weights that are not finite" } else { "" };
        Err(format!(
            "step {} diverged: loss {}, gradient norm {}, learning rate {:.2e}{update}. {kept} in {shown}. A lower \
             --learning-rate, more --warmup or --clip 1 usually helps; for the first cause, and a cure that \
             was tried: glassbox diagnose {shown}",
            step.number, step.loss, step.gradient_norm, step.learning_rate
        )
        .into())
    }

    fn plot(&self) -> String {
        let config = self.trainer.config();
        let parameters = thousands(self.trainer.model().tape().parameters().len() as f64);
        let name = Path::new(&self.source.name).file_name().unwrap_or_default().to_string_lossy();
        let train = self.metrics.iter().filter_map(|m| Some((m.step, m.loss?)));
        let validation = self.metrics.iter().filter_map(|m| Some((m.step, m.validation_loss?)));
        let baselines = self.baselines.iter().map(|(n, nats)| (format!("{n}-gram"), *nats));
        LossPlot {
            title: &format!("Training on {name}"),
            subtitle: &format!(
                "{parameters} parameters · {}, {}, width {}, context {} · seed {}",
                count(config.layers, "layer"),
                count(config.heads, "head"),
                config.width,
                config.context,
                config.seed
            ),
            unit: self.source.unit(),
            train: &train.collect::<Vec<_>>(),
            validation: &validation.collect::<Vec<_>>(),
            baselines: &baselines.collect::<Vec<_>>(),
            entropy: self.source.entropy.map(|e| e.per_character),
        }
        .svg()
    }

    /// What the model writes after a line's end.
    fn sample(&mut self) -> Result<String> {
        let mut writer = generate::writer(
            self.trainer.model().config(),
            self.trainer.model().tape().parameters(),
            Some(&self.source.tokenizer),
        )?;
        let newline = self.source.tokenizer.encode("\n").unwrap_or_else(|_| vec![0]);
        let count = if self.source.entropy.is_some() { 600 } else { 400 };
        let sampler = probability::sample::Sampler::default();
        let written = writer.write(&newline, sampler, self.trainer.config().seed)?.take(count);
        let tokens = written.collect::<std::result::Result<Vec<u32>, _>>()?;
        let text = self.source.tokenizer.decode(&tokens);
        Ok(match (self.source.entropy, text.rfind('\n')) {
            // Whole stories only.
            (Some(_), Some(end)) => text[..end].to_owned(),
            _ => text,
        })
    }

    fn report(&self, measured: &Evaluation, progress: &Progress, sample: String) -> Report {
        let parameters = self.trainer.model().tape().parameters();
        let seconds = progress.seconds();
        remark(format!("trained in {}", duration(seconds)));
        Report {
            steps: self.trainer.steps(),
            seconds,
            taken: progress.taken(),
            tokens_per_second: progress.tokens_per_second(),
            validation_loss: measured.loss,
            validation_tokens: measured.tokens,
            characters_per_token: self.source.characters_per_token,
            unit: self.source.unit(),
            parameters: parameters.len(),
            weights_sha256: files::sha256(parameters),
            run: self.run.directory().to_owned(),
            baselines: self.baselines.clone(),
            entropy: self.source.entropy,
            sample,
        }
    }
}
