//! `glassbox train`.

mod clock;
mod names;
mod noise;
mod remarks;
mod results;
mod start;

use crate::progress::Progress;
use crate::run::{self, Run};
use crate::settings::Settings;
use crate::signal::{self, INTERRUPTED, Phase};
use crate::source::Source;
use crate::{Result, count, on_threads, program, remark, teacher};
use clap::Args;
use clock::Clock;
pub(crate) use names::findable_from_everywhere;
use names::run_name;
use noise::{Noise, take};
use remarks::{introduce, resumes, worse};
use start::Start;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use transformer::disk::checkpoint;
use transformer::disk::files;
use transformer::disk::{Lock, Metric, Restored};
use transformer::inspect::diagnose::health::Watch;
use transformer::{
    Evaluation, Observer, Preset, Recording, Replay, TimeBudget, Trainer, TrainingConfig,
};

/// Train a model on text; writes a run directory.
///
/// Settings come from the preset, then from --config, then from flags; later ones win.
#[derive(Args, Default)]
pub(crate) struct Train {
    #[command(flatten)]
    settings: Settings,
    /// Settings file with the names of the flags: `learning_rate = 1e-3`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Resume an interrupted run; only --steps or --time, --eval-every, --memory, --threads, and --data, --from and --teacher (if the
    /// same text or model moved) may change
    #[arg(long, value_name = "RUN", conflicts_with_all = ["out", "config", "overwrite"])]
    resume: Option<PathBuf>,
    /// Replace the run that --out holds
    #[arg(long)]
    overwrite: bool,
    /// Record the health of every K-th step in metrics.jsonl: sizes of activations, gradients, weights and updates;
    /// attention's entropy and saturation; dead units
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
    /// Measure the gradient noise scale at every K-th step (and the next one, if a step is replayed in one part): the batch
    /// above which larger batches gain little. A resumed run begins its average anew
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    noise_scale: Option<u64>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

impl Train {
    /// Trains; the exit code tells whether the run completed.
    pub(crate) fn run(self) -> Result<ExitCode> {
        signal::listen()?;
        let began = Instant::now();
        // Claim the run before reading it, so that no other process changes it.
        let lock = self.resume.as_deref().map(run::claim).transpose()?;
        let mut asked = self.settings.clone();
        let settings = match (&self.resume, &self.config) {
            (Some(run), _) => self.resumed(run)?,
            (None, Some(file)) => {
                let own = Settings::read(file)?;
                let whole = own.is_whole()?;
                if !whole && own.time.is_some() && own.steps.is_some() {
                    let file = file.display();
                    return Err(format!(
                        "{file} gives steps and time: leave one out, for either decides when the run ends"
                    )
                    .into());
                }
                let settings = asked.clone().over(own)?;
                if !whole {
                    asked = settings.clone();
                }
                settings
            }
            (None, None) => asked.clone(),
        };
        let settings = match self.resume {
            Some(_) => settings,
            None => {
                let mut settings = settings.on_its_model()?;
                let open = settings.preset.is_none() && !settings.is_whole()?;
                if open && settings.preset() == Preset::Story {
                    settings.preset = Some(Preset::FastStory);
                }
                settings
            }
        };
        let config = settings.complete()?;
        start::whole(settings.preset, &config)?;
        if self.resume.is_none() {
            start::apart(settings.out.as_deref(), &config)?;
        }
        asked.fit(&config)?;
        on_threads(settings.threads, || self.train(&settings, config, (began, lock)))
    }

    /// Returns the settings of a run that resumes.
    fn resumed(&self, run: &Path) -> Result<Settings> {
        let asked = self.settings.clone();
        let Settings { steps, time, eval_every, memory, threads, data, from, teacher, .. } =
            asked.clone();
        let free = Settings {
            steps,
            time,
            eval_every,
            memory,
            data,
            from,
            teacher,
            ..Settings::default()
        };
        if (Settings { threads: None, ..asked }).table()? != free.table()? {
            return Err(
                "with --resume, only --steps or --time, --eval-every, --memory, --threads, --data, --from and --teacher may be \
                        given: the others are the run's own"
                    .into(),
            );
        }
        let own = run::settings(run)?;
        if own.data.is_none() && free.data.is_some() {
            return Err("the run trains on the embedded stories: leave out --data".into());
        }
        if own.from.is_none() && free.from.is_some() {
            return Err("the run did not begin with a model: leave out --from".into());
        }
        if own.teacher.is_none() && free.teacher.is_some() {
            return Err("the run did not begin with a teacher: leave out --teacher".into());
        }
        let from = free.from.as_deref().map(|from| run::model_of(Path::new(from)));
        let from = from.transpose()?.map(|directory| directory.display().to_string());
        Settings { threads, from, ..free }.over(own)
    }

    fn train(
        &self,
        settings: &Settings,
        config: TrainingConfig,
        (began, lock): (Instant, Option<Lock>),
    ) -> Result<ExitCode> {
        // The state names tokenizer and model as run.toml does, or the run could not resume.
        let TrainingConfig { tokenizer, from, teacher, .. } = findable_from_everywhere(&config);
        let mut config = TrainingConfig { tokenizer, from, teacher, ..config };
        let known = match &self.resume {
            Some(run) => {
                let directory = run::model_directory(run);
                // Without a model, the state is enough if the text determines the vocabulary.
                if config.from.is_none() && files::is_model(&directory) {
                    run::agree(run, &config, &files::read_config(&directory)?)?;
                }
                let there = !files::tokenizer_files(&directory).is_empty();
                there.then(|| files::read_tokenizer(&directory)).transpose()?
            }
            None => None,
        };
        let moved = || match (&self.resume, &self.settings.data) {
            (Some(_), None) => "; if it lies elsewhere now, give it with --data",
            _ => "",
        };
        let run = match self.resume.as_deref().or(settings.out.as_deref()) {
            Some(run) => run.to_owned(),
            None => Path::new("runs").join(run_name(settings)),
        };
        let start = Start::read(&mut config, self.resume.as_deref())?;
        let mut source =
            Source::load(&config, known, Some(&run)).map_err(|e| format!("{e}{}", moved()))?;
        let vocabulary = start::vocabulary(start.as_ref(), &source);
        let mut live = match &self.resume {
            Some(_) => None,
            None => teacher::read(&mut config, &mut source, (vocabulary, false))?,
        };
        let mut trainer = start::trainer(&config, start, &source)?;
        let done = match &self.resume {
            Some(directory) => start::state_of(directory, &trainer, &source)?,
            None => {
                run::vacant(settings.out.as_deref(), self.overwrite)?;
                0
            }
        };
        if let Some(run) = &self.resume
            && !teacher::recall(&config, &mut source, (run, done), vocabulary)?
        {
            live = teacher::read(&mut config, &mut source, (vocabulary, true))?;
        }
        if !start::refer(&mut trainer, &mut source, done, began)? {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        let loaded = match &self.resume {
            Some(directory) => {
                Some(checkpoint::load(&run::state_file(directory), &mut trainer, &source.sha256)?)
            }
            None => None,
        };
        let baselines = source.baselines();
        let parameters = trainer.model().config().parameters();
        let mut clock = Clock::new(began, config.time, parameters);
        clock.time(&mut trainer, &source.corpus)?;
        if self.resume.is_none() {
            clock.expect(&mut trainer, &source.corpus)?;
        }
        // From here on there is something to save.
        signal::enter(Phase::Training);
        let kept = findable_from_everywhere(trainer.config());
        let (mut run, restored) = match (&self.resume, lock) {
            (Some(directory), Some(lock)) => Run::reopen(directory, lock, &kept, trainer.steps())?,
            _ => {
                let (out, name) = (settings.out.as_deref(), run_name(settings));
                (run::create(out, &name, &kept, self.overwrite)?, Restored::default())
            }
        };
        let before = introduce(&source, &mut trainer, (live.as_deref(), run.directory()))?;
        if run.leftovers() > 0 {
            let files = count(run.leftovers(), "file");
            remark(format!("run      removed {files} that a killed process left half-written"));
        }
        if let Some(about) = &loaded {
            resumes(about, &config, &restored);
        }
        if let Some(metric) = restored.metrics.last() {
            clock.resume(metric.seconds.unwrap_or_default());
        }
        if config.time.is_none() && trainer.steps() >= config.steps {
            let steps = trainer.steps();
            remark(match steps {
                1 => "the only step is taken: nothing to train; --steps asks for more".to_owned(),
                n => format!("all {n} steps are taken: nothing to train; --steps asks for more"),
            });
        }
        let mut metrics = restored.metrics;
        let mut session = Session {
            trainer,
            source,
            baselines,
            run: &mut run,
            metrics: &mut metrics,
            watch: self.watch,
            noise: Noise::new(self.noise_scale, &config),
            clock,
            extended: self.settings.time.is_some(),
        };
        match session.steps()? {
            Some((measured, progress)) => {
                signal::enter(Phase::Reporting);
                let sample = session.sample()?;
                let report = session.report(&measured, &progress, sample);
                report.print(self.json)?;
                worse(before, measured.loss, session.run.directory());
                Ok(ExitCode::SUCCESS)
            }
            None => {
                signal::enter(Phase::Reporting);
                remark(format!(
                    "stopped after step {}; go on with: {} train --resume {}",
                    session.trainer.steps(),
                    program(),
                    run::typed(session.run.directory())
                ));
                Ok(ExitCode::from(INTERRUPTED))
            }
        }
    }
}

/// Shows the parts of a step, and interrupts it if a signal requests so twice.
struct Parts<'a> {
    step: u64,
    progress: &'a mut Progress,
}

impl Observer<f32> for Parts<'_> {
    fn replayed(&mut self, _: &Recording<f32>, replay: Replay) -> ControlFlow<()> {
        let (done, parts) = replay.done;
        self.progress.within(&format!("step {}", self.step), done, parts);
        signal::between_parts()
    }
}

/// A run in progress.
struct Session<'a> {
    trainer: Trainer<f32>,
    source: Source,
    baselines: Vec<(usize, f64)>,
    run: &'a mut Run,
    metrics: &'a mut Vec<Metric>,
    /// The steps between two recordings of health.
    watch: Option<u64>,
    noise: Noise,
    clock: Clock,
    /// Whether a resumed run got another time.
    extended: bool,
}

impl Session<'_> {
    /// Trains until the last step or until a stop is requested; returns the last measurement, if there is one.
    fn steps(&mut self) -> Result<Option<(Evaluation, Progress)>> {
        let config = self.trainer.config().clone();
        let due = |step: u64| config.eval_every > 0 && step.is_multiple_of(config.eval_every);
        let tokens = config.step_tokens();
        if !self.keep_teacher()? {
            return Ok(None);
        }
        let mut watch = Watch::new(self.trainer.model());
        let mut progress = Progress::new(self.trainer.steps(), config.steps, tokens);
        let done = self.trainer.steps();
        self.clock.begin();
        let finished = match self.budget() {
            None => done >= config.steps,
            // What the end will take is not known yet: a finished run stays finished, unless it gets more time.
            Some(budget) => {
                let over = budget.ends(self.clock.in_steps(), 0.0);
                done > 0 && (over || !self.extended && done >= config.steps)
            }
        };
        // An interrupted evaluation is repeated.
        let broken_off =
            self.metrics.last().filter(|m| m.step == done && m.validation_loss.is_none());
        let broken_off = broken_off.filter(|m| due(m.step) || m.step == config.steps).cloned();
        if finished || broken_off.is_some() {
            let Some(measured) = self.evaluate(&mut progress, finished)? else {
                progress.finish();
                return Ok(None);
            };
            if let Some(metric) = broken_off {
                let Evaluation { loss, preferred, answers, teacher_divergence, .. } = measured;
                let validation_loss = Some(loss);
                let metric =
                    Metric { validation_loss, preferred, answers, teacher_divergence, ..metric };
                self.run.amend(&metric)?;
                self.metrics.pop();
                self.metrics.push(metric);
            }
            if finished {
                progress.finish();
                self.save()?;
                return Ok(Some((measured, progress)));
            }
        }
        loop {
            let watched = self.watch.is_some_and(|k| (self.trainer.steps() + 1).is_multiple_of(k));
            let began = Instant::now();
            let mut parts = Parts { step: self.trainer.steps() + 1, progress: &mut progress };
            let (trainer, corpus) = (&mut self.trainer, &self.source.corpus);
            let watch = watched.then_some(&mut watch);
            let noisy = self.noise.is_due(trainer.steps() + 1);
            let taken = match noisy {
                true => take(trainer, corpus, watch, &mut (&mut parts, &mut self.noise.scale))?,
                false => take(trainer, corpus, watch, &mut parts)?,
            };
            let Some((step, glance)) = taken else {
                progress.finish();
                self.save()?;
                return Ok(None);
            };
            let health = glance.map(serde_json::to_value).transpose()?;
            let took = began.elapsed();
            let number = step.number;
            if !step.applied {
                progress.finish();
                return self.diverged(&step);
            }
            self.clock.stepped(took.as_secs_f64());
            let (mut last, mut measures) = (number == config.steps, due(number));
            if let Some(budget) = self.budget() {
                let (elapsed, next) = (self.clock.in_steps(), self.clock.step());
                last = budget.ends(elapsed, next) || number >= config.most_steps();
                let steps = if last { number } else { budget.steps(number, elapsed) };
                self.trainer.expect_steps(steps);
                progress.expect(steps);
                // An evaluation right before the last one tells nothing new.
                let checkpoint = self.clock.checkpoint(config.evaluated_tokens(false));
                measures &= !budget.ends(elapsed + checkpoint, next);
            }
            progress.step(&step, took);
            let measured = match measures || last {
                true => self.evaluate(&mut progress, last)?,
                false => None,
            };
            let metric = Metric {
                step: number,
                loss: Some(step.loss),
                validation_loss: measured.map(|m| m.loss),
                answers: measured.and_then(|m| m.answers),
                preferred: measured.and_then(|m| m.preferred),
                teacher_divergence: measured.and_then(|m| m.teacher_divergence),
                learning_rate: step.learning_rate,
                gradient_norm: Some(step.gradient_norm),
                tokens_per_second: tokens as f64 / took.as_secs_f64().max(1e-9),
                seconds: Some(self.clock.elapsed()),
                noise_scale: self.noise.scale.windows().filter(|_| noisy),
                health,
            };
            self.run.log(&metric)?;
            self.metrics.push(metric);
            if let Some(measured) = measured {
                progress.evaluated(number, &measured);
                self.save()?;
                if last {
                    progress.finish();
                    return Ok(Some((measured, progress)));
                }
            }
            if signal::stop() {
                progress.finish();
                self.save()?;
                return Ok(None);
            }
        }
    }

    /// Returns the budget of steps, if the time is limited.
    fn budget(&self) -> Option<TimeBudget> {
        let last = self.clock.last_tokens(self.trainer.config());
        self.clock.budget(last.min(self.source.corpus.measured()))
    }

    /// Measures held-out text, or a part of it if it is long; returns `None` if a stop was requested.
    fn evaluate(&mut self, progress: &mut Progress, last: bool) -> Result<Option<Evaluation>> {
        let config = self.trainer.config();
        let most = match last {
            true => self.clock.last_tokens(config),
            false => config.evaluated_tokens(false),
        };
        let began = Instant::now();
        let measured =
            self.trainer.evaluate_sample(&self.source.corpus, most, |done, windows| {
                progress.within("measuring the validation loss", done, windows);
                signal::between_batches()
            })?;
        if let Some(measured) = &measured {
            // Of pairs, all tokens of windows are read.
            let tokens = match measured.preferred {
                Some(_) => most.min(self.source.corpus.measured()),
                None => measured.tokens,
            };
            self.clock.measured(began.elapsed().as_secs_f64(), tokens);
        }
        Ok(measured)
    }

    /// Saves the model, the training state, the metrics and the picture.
    fn save(&mut self) -> Result<()> {
        signal::enter(Phase::Saving);
        let began = Instant::now();
        let plot = self.plot();
        let Source { tokenizer, sha256, .. } = &self.source;
        self.run.save(&mut self.trainer, tokenizer, sha256, &plot)?;
        self.source.save_template(&run::model_directory(self.run.directory()))?;
        self.clock.saved(began.elapsed().as_secs_f64());
        signal::enter(Phase::Training);
        Ok(())
    }

    /// Reports a step with NaN or ∞, or whose update would have made a weight so. It was not applied, so that the last
    /// valid state is saved.
    fn diverged<R>(&mut self, step: &transformer::Step) -> Result<R> {
        let finite = |x: f64| x.is_finite().then_some(x);
        self.run.log(&Metric {
            step: step.number,
            loss: finite(step.loss),
            validation_loss: None,
            answers: None,
            preferred: None,
            teacher_divergence: None,
            learning_rate: step.learning_rate,
            gradient_norm: finite(step.gradient_norm),
            tokens_per_second: 0.0,
            seconds: Some(self.clock.elapsed()),
            noise_scale: None,
            health: None,
        })?;
        let shown = self.run.directory().display().to_string();
        let typed = run::typed(self.run.directory());
        // A run may have been resumed with weights that are not finite.
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
             --learning-rate, more --warmup or --clip 1 usually helps; for the first cause, and a fix that \
             was tried: {} diagnose {typed}",
            step.number, step.loss, step.gradient_norm, step.learning_rate, program()
        )
        .into())
    }
}
