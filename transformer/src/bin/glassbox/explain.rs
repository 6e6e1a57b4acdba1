//! `glassbox explain`.

mod embedded;

use crate::plot::thousands;
use crate::settings::{Settings, choices};
use crate::source::Source;
use crate::{
    Result, count, generate, on_threads, progress, reason, remark, run, teacher, terminal,
};
use calculus::optimizer::OptimizerKind;
use clap::Args;
use embedded::{embedded, frequencies, names};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use transformer::disk::{checkpoint, files, ordinary, read_in_training, write_atomically};
use transformer::inspect::explain::{Derived, Descent, Explanation, Ledger, Quantity, Subject};
use transformer::text::teacher::{Teacher, Windows};
use transformer::text::tokenizer::Tokenizer;
use transformer::{IGNORED, LAST, LiveTeacher, TrainingConfig};

/// Explain one training step, every number: as one HTML file, or in the terminal.
///
/// The step is on the given text: each token predicts the next. Without a model, a small one is trained on the embedded
/// stories for a few seconds and explained. The exit status is 1 if its loss or gradient is not finite; the requested
/// output is still written.
#[derive(Args)]
pub(crate) struct Explain {
    /// A run, or a model directory in Hugging Face's layout [default: a small embedded model]
    model: Option<PathBuf>,
    /// The text of the step [default: the beginning of the run's validation part]
    #[arg(long, conflicts_with = "prompt_tokens")]
    text: Option<String>,
    /// Token ids instead of text, for models without a tokenizer
    #[arg(long, value_name = "ID,ID,…", value_delimiter = ',', num_args = 1)]
    prompt_tokens: Option<Vec<u32>>,
    /// Most tokens to explain
    #[arg(long, value_name = "N", default_value_t = 16, allow_negative_numbers = true)]
    tokens: usize,
    /// The page to write [default: step.html, unless --at, --list or --svg is given]
    #[arg(long, value_name = "FILE", help_heading = "What to write")]
    out: Option<PathBuf>,
    /// Most megabytes of the page; matrices that do not fit are summarised
    #[arg(
        long,
        value_name = "MB",
        default_value_t = 3.0,
        help_heading = "What to write",
        allow_negative_numbers = true
    )]
    room: f64,
    /// Pictures for papers and slides: the step, its attention, its ledger
    #[arg(long, value_name = "DIR", help_heading = "What to write")]
    svg: Option<PathBuf>,
    /// Print how a number was computed
    #[arg(
        long,
        value_name = "NAME[I,J]",
        help_heading = "What to write",
        help = "Print how a number was computed, for example 'block.1.attention.weights[0,3,1]'"
    )]
    at: Vec<String>,
    /// With --at: the gradient of that number
    #[arg(long, requires = "at", conflicts_with = "update", help_heading = "What to write")]
    gradient: bool,
    /// With --at: the update of that weight
    #[arg(long, requires = "at", help_heading = "What to write")]
    update: bool,
    /// List every name with its shape, branch of mathematics and moments
    #[arg(long, help_heading = "What to write")]
    list: bool,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Optimizer of the update [default: the run's]
    #[arg(
        long,
        value_parser = choices(OptimizerKind::ALL, OptimizerKind::key, OptimizerKind::meaning),
        help_heading = "The update"
    )]
    optimizer: Option<OptimizerKind>,
    /// Its learning rate [default: the run's at this step]
    #[arg(long, value_name = "RATE", help_heading = "The update", allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    /// Largest norm of all gradients together; 0 disables clipping [default: the run's]
    #[arg(long, value_name = "NORM", help_heading = "The update", allow_negative_numbers = true)]
    clip: Option<f64>,
    /// Threads; the result does not depend on them [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    threads: Option<usize>,
}

/// Refuses to replace a file that is no page, such as the text that is explained.
fn may_replace(page: &Path) -> Result<()> {
    const BEGINNING: &[u8] = b"<!doctype html>";
    // Opening a pipe would wait for its writer; what is no file is said when it is written.
    if !page.metadata().is_ok_and(|found| found.is_file() && found.len() > 0) {
        return Ok(());
    }
    let mut found = [0; BEGINNING.len()];
    let read = File::open(page).and_then(|mut file| file.read_exact(&mut found));
    if read.is_ok() && found.eq_ignore_ascii_case(BEGINNING) {
        return Ok(());
    }
    Err(format!("{} exists and is no HTML page: give another --out", page.display()).into())
}

/// The model to explain, before its text is known.
struct Model {
    subject: Subject<f32>,
    tokenizer: Option<Tokenizer>,
    /// The model's own text, used if none is given.
    own: Option<Vec<u32>>,
    /// The teacher, if the run has one.
    teacher: Option<Arc<LiveTeacher>>,
}

impl Explain {
    pub(crate) fn run(self) -> Result<ExitCode> {
        on_threads(self.threads, || self.explain())
    }

    fn explain(&self) -> Result<ExitCode> {
        if self.tokens < 1 {
            return Err("tokens is 0; it must be 1 or more".into());
        }
        if !(self.room >= 0.0 && self.room <= 1e4) {
            return Err(format!("room is {:?}; it must be 0 to 10000 megabytes", self.room).into());
        }
        let other = self.list || !self.at.is_empty() || self.svg.is_some();
        let page = match &self.out {
            None if other => None,
            out => Some(out.clone().unwrap_or_else(|| PathBuf::from("step.html"))),
        };
        page.as_deref().map_or(Ok(()), may_replace)?;
        let model = match &self.model {
            Some(directory) => self.read(directory)?,
            None => embedded()?,
        };
        let mut step = Explanation::of(self.on_text(model)?)?;
        let broken = not_finite(&step, self.model.as_deref());
        if let Some(why) = &broken {
            remark(format!("note     {why}"));
            step.add_remark(why.clone());
        }
        if self.list {
            self.print_list(&step)?;
        }
        if !self.at.is_empty() {
            self.print_numbers(&step)?;
        }
        if let Some(directory) = &self.svg {
            let ledger = step.ledger()?;
            std::fs::create_dir_all(directory)
                .map_err(|e| format!("cannot write to {}: {}", directory.display(), reason(&e)))?;
            for (name, svg) in step.pictures(&ledger) {
                let path = directory.join(name);
                ordinary(&path)?;
                write_atomically(&path, svg.as_bytes())?;
                remark(format!("picture  {}", path.display()));
            }
        }
        if let Some(page) = &page {
            self.write_page(&step, page)?;
        }
        Ok(if broken.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn write_page(&self, step: &Explanation<f32>, out: &Path) -> Result<()> {
        let room = (self.room * 1e6) as usize;
        let bar = progress::bar("matrices");
        let page = step.page_watched(room, |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        write_atomically(out, page.html.as_bytes())?;
        let ledger = step.ledger()?;
        if self.json && self.at.is_empty() && !self.list {
            let object = json!({
                "page": out, "bytes": page.html.len(), "left_out": page.left_out,
                "loss": step.loss(), "gradient_norm": step.gradient_norm(),
                "predicted_first": ledger.first, "predicted_second": ledger.second,
                "measured": ledger.measured(), "frozen": ledger.frozen,
                "adapters": step.adapter_changes(),
            });
            return terminal::print_json(object);
        }
        if self.at.is_empty() && !self.list {
            terminal::print(&summary(step, &ledger))?;
        }
        remark(format!(
            "page     {} ({:.1} MB; open it in a browser)",
            out.display(),
            page.html.len() as f64 / 1e6
        ));
        if !page.left_out.is_empty() {
            let matrices = match page.left_out.len() {
                1 => "1 matrix is".to_owned(),
                n => format!("{n} matrices are"),
            };
            remark(format!("         {matrices} only summarised; --room gives more room"));
        }
        if page.html.len() > room {
            remark(format!(
                "         without any number it takes {:.2} MB, more than --room {:?}; fewer --tokens take less",
                page.html.len() as f64 / 1e6,
                self.room
            ));
        }
        Ok(())
    }

    fn print_numbers(&self, step: &Explanation<f32>) -> Result<()> {
        let quantity = match (self.gradient, self.update) {
            (true, _) => Quantity::Gradient,
            (_, true) => Quantity::Updated,
            _ => Quantity::Value,
        };
        let mut all: Vec<Derived> = Vec::new();
        for address in &self.at {
            let place = step.as_quantity(step.place(address)?, quantity)?;
            if self.update {
                // The clipped gradient, then the update rule.
                all.push(step.derive(&place.clone().of(Quantity::Clipped)));
            }
            all.push(step.derive(&place));
        }
        if self.json {
            let list: Vec<Value> = all.iter().map(|d| step.json(d)).collect();
            return terminal::print_json(serde_json::to_string_pretty(&list)?);
        }
        let mut out = String::new();
        for (i, derived) in all.iter().enumerate() {
            let blank = if i > 0 { "\n" } else { "" };
            write!(out, "{blank}{}", step.text(derived))?;
        }
        terminal::print(&out)
    }

    fn print_list(&self, step: &Explanation<f32>) -> Result<()> {
        let list = step.list();
        if self.json {
            let rows: Vec<Value> = list
                .iter()
                .map(|row| {
                    json!({
                        "name": row.name,
                        "shape": [row.shape.rows, row.shape.columns],
                        "indices": row.axes.iter().map(|(axis, n)| json!([axis, n])).collect::<Vec<_>>(),
                        "source": format!("{:?}", row.source).to_lowercase(),
                        "operation": row.operation,
                        "branch": row.branch,
                        "mean": row.value.mean,
                        "deviation": row.value.deviation,
                        "minimum": row.value.minimum,
                        "maximum": row.value.maximum,
                        "gradient_rms": row.gradient.as_ref().map(|g| g.rms),
                    })
                })
                .collect();
            return terminal::print_json(serde_json::to_string_pretty(&rows)?);
        }
        let mut out = String::new();
        let width = list.iter().map(|r| r.name.len()).max().unwrap_or(0);
        writeln!(
            out,
            "{:<width$}  {:>11}  {:<24}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}",
            "name", "shape", "made by", "mean", "deviation", "minimum", "maximum", "‖∇‖/√n"
        )?;
        for row in &list {
            let made = match (row.operation, row.branch) {
                (Some(operation), Some(branch)) => format!("{operation} ({branch})"),
                _ => format!("{:?}", row.source).to_lowercase(),
            };
            let v = &row.value;
            let number = |x: f64| format!("{x:.3e}");
            let gradient = row.gradient.as_ref().map_or(String::new(), |g| number(g.rms));
            writeln!(
                out,
                "{:<width$}  {:>11}  {made:<24}  {:>10}  {:>10}  {:>10}  {:>10}  {gradient:>10}",
                row.name,
                row.shape.to_string(),
                number(v.mean),
                number(v.deviation),
                number(v.minimum),
                number(v.maximum),
            )?;
        }
        terminal::print(&out)
    }

    /// Records the step on the requested text.
    fn on_text(&self, model: Model) -> Result<Subject<f32>> {
        let Model { mut subject, tokenizer, own, teacher } = model;
        let most = self.tokens.min(subject.config.context);
        let all = match (&self.prompt_tokens, &self.text, tokenizer) {
            (Some(tokens), _, _) => tokens.clone(),
            // Only the beginning is explained; the vocabulary need not cover the rest.
            (None, Some(text), Some(tokenizer)) => tokenizer.encode_beginning(text, most + 1)?,
            (None, Some(_), None) => {
                return Err("this model has no tokenizer; give token ids: --prompt-tokens".into());
            }
            (None, None, _) => own.ok_or("give --text or --prompt-tokens, the text of the step")?,
        };
        if all.len() < 2 {
            let n = all.len();
            return Err(format!(
                "{n} token{} given; at least 2 are needed, since each predicts the next",
                if n == 1 { "" } else { "s" }
            )
            .into());
        }
        let n = all.len().min(most);
        let given = self.text.as_ref().map_or(all.len(), |t| t.chars().count().max(all.len()));
        if n < given && (self.text.is_some() || self.prompt_tokens.is_some()) {
            let note = format!(
                "The step is on the first {} of the text; --tokens takes more, up to the model's {}.",
                count(n, "token"),
                count(subject.config.context, "position")
            );
            remark(format!("note     {note}"));
            subject.remarks.push(note);
        }
        subject.tokens = all[..n].to_vec();
        subject.targets = all[1..].iter().copied().take(n).collect();
        subject.targets.resize(n, IGNORED);
        if let (Some(teacher), Some(distillation)) = (teacher, subject.config.distillation) {
            subject.teacher = vec![0.0; subject.config.vocabulary * n];
            let (tokens, targets) = (&subject.tokens, &subject.targets);
            let window = Windows { numbers: None, length: n, tokens, targets };
            let found = teacher.logits(window, &mut subject.teacher);
            subject.config.distillation = found.is_ok().then_some(distillation);
            subject.remarks.push(match found {
                Err(why) => format!("{WITHOUT_TEACHER}: {why}"),
                Ok(()) => format!(
                    "{} of the loss is the divergence from a teacher's predictions, times the square of the temperature {}.",
                    distillation.weight, distillation.temperature
                ),
            });
        }
        let descent = &mut subject.descent;
        if let Some(kind) = self.optimizer {
            if kind != descent.rule.kind {
                descent.state.clear();
                descent.steps = 0;
            }
            descent.rule.kind = kind;
        }
        if let Some(rate) = self.learning_rate {
            if !(rate > 0.0 && rate.is_finite()) {
                return Err(format!(
                    "learning rate is {rate:?}; it must be a finite number above 0"
                )
                .into());
            }
            descent.rate = rate;
        }
        if let Some(clip) = self.clip {
            if !(clip >= 0.0 && clip.is_finite()) {
                return Err(
                    format!("clip is {clip:?}; it must be a finite number, 0 or more").into()
                );
            }
            descent.clip = clip;
        }
        Ok(subject)
    }

    /// Reads a run or a model directory.
    fn read(&self, given: &Path) -> Result<Model> {
        let directory = run::model_of(given)?;
        let (mut config, mut parameters) = files::read::<f32>(&directory)?;
        let tokenizer = match (&self.prompt_tokens, generate::tokenizer(&directory, &config)) {
            (_, Ok(tokenizer)) => Some(tokenizer),
            (Some(_), Err(_)) => None,
            (None, Err(why)) => return Err(why),
        };
        let mut remarks = Vec::new();
        let own = if run::is_run(given) { Some(run::settings(given)?.complete()?) } else { None };
        if own.as_ref().is_some_and(|own| own.answers) {
            let remark = "The run learns answers only; the loss of this step counts every token.";
            remarks.push(remark.to_owned());
        }
        if own.as_ref().is_some_and(|own| own.preferences.is_some()) {
            let remark = "The run learns from preferences; the loss of this step is the mean over every token.";
            remarks.push(remark.to_owned());
        }
        if let Some(own) = &own {
            run::agree(given, own, &config)?;
            if own.freezes() {
                (config, parameters) = read_in_training(&directory, own)?;
                (config.preference, config.distillation) = (None, None);
            }
        }
        let training = match &own {
            Some(own) => own.clone(),
            None => Settings::default().complete()?,
        };
        let mut descent = Descent::of_run(&training, 0);
        let state = run::state_file(given);
        if own.is_some() && state.exists() {
            let (steps, remembered) =
                checkpoint::remembered::<f32>(&state, &training, parameters.len())?;
            descent = Descent { state: remembered, ..Descent::of_run(&training, steps) };
            if training.average.is_some() || training.optimizer.averages() {
                (parameters, _) = checkpoint::parameters(&state, &config.learned_list()?)?;
                remarks.push(
                    "The run averages its weights: this is the next step of training, from the weights in its state at \
                     which it takes gradients. Its model holds the average."
                        .to_owned(),
                );
            }
        } else {
            descent.rate = training.learning_rate;
            descent.batch = None;
            remarks.push(
                "The model has no training state: the optimizer state is zero, \
                 and its rates are the default recipe's."
                    .to_owned(),
            );
        }
        let mut source = match (&own, &tokenizer) {
            (Some(own), Some(tokenizer)) if !own.reads_standard_input() => {
                Source::load(own, Some(tokenizer.clone()), Some(given)).ok()
            }
            _ => None,
        };
        let teacher = own.as_ref().filter(|own| own.teacher.is_some()).map(|own| {
            let source = source.as_mut().ok_or("the run's data cannot be read")?;
            // One window is explained.
            let mut one = TrainingConfig { batch: 1, ..own.clone() };
            teacher::read(&mut one, source, (config.vocabulary, true))
        });
        let teacher = teacher.transpose().map(Option::flatten).unwrap_or_else(|why| {
            remarks.push(format!("{WITHOUT_TEACHER}: {why}"));
            None
        });
        config.distillation = training.distillation().filter(|_| teacher.is_some());
        let unigram = source.as_ref().map(|s| frequencies(s.corpus.train(), config.vocabulary));
        let own_text = |s: Source| beginning(&s, config.context);
        let own_text = source.map(own_text);
        Ok(Model {
            subject: Subject {
                title: format!("A step of {}", shown(given)),
                names: names(tokenizer.as_ref()),
                config,
                parameters,
                tokens: Vec::new(),
                targets: Vec::new(),
                teacher: Vec::new(),
                descent,
                unigram,
                remarks,
                seed: training.seed,
            },
            own: own_text,
            tokenizer,
            teacher,
        })
    }
}

/// The remark of a step of a run with a teacher that cannot be shown.
const WITHOUT_TEACHER: &str =
    "The run learns from a teacher too, and the loss of this step is that of the text alone";

/// Describes a step whose loss or gradient is not finite, and the next command.
fn not_finite(step: &Explanation<f32>, model: Option<&Path>) -> Option<String> {
    let (loss, gradient) = (step.loss(), step.gradient_norm());
    let found = match (loss.is_finite(), gradient.is_finite()) {
        (true, true) => return None,
        (false, _) => format!("The loss is {loss}"),
        (true, false) => format!("The gradient's norm is {gradient}"),
    };
    let given = model.map_or("RUN".into(), |m| m.display().to_string());
    Some(format!(
        "{found}: the numbers below follow from one that is not finite. glassbox diagnose {given} finds the first, and \
         its cause."
    ))
}

/// Returns the first window of the validation part: its tokens and the one that follows.
fn beginning(source: &Source, length: usize) -> Vec<u32> {
    let windows = source.corpus.validation_sample(length, length);
    let Some(first) = windows.first() else { return Vec::new() };
    // Of several conversations in a window, the first.
    if let Some(end) = first.targets.iter().position(|&t| t == LAST) {
        return first.tokens[..=end].to_vec();
    }
    let last = first.targets.last().copied().filter(|&t| t != IGNORED);
    first.tokens.iter().copied().chain(last).collect()
}

/// Returns the last part of a directory's path.
fn shown(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
    name.unwrap_or_else(|| path.display().to_string())
}

/// The adapters of which the summary speaks.
const SHOWN: usize = 8;

/// Summarises the step in a few lines.
fn summary(step: &Explanation<f32>, ledger: &Ledger) -> String {
    let about = step.information();
    let mut lines = vec![
        format!(
            "loss        {:.4} nats = {:.4} bits per token (uniform: {:.4} nats)",
            about.nats,
            infotheory::bits(about.nats),
            about.uniform
        ),
        format!(
            "gradient    norm {:.4}, clipped × {:.4}",
            step.gradient_norm(),
            step.clip_factor()
        ),
    ];
    // A rate that is far too large changes the loss by numbers with hundreds of digits.
    let change = |x: f64| {
        if x.abs() < 1e9 || !x.is_finite() { format!("{x:+.6}") } else { format!("{x:+.6e}") }
    };
    let second = ledger.second.map_or(String::new(), |s| format!(" {} (½·ΔθᵀHΔθ)", change(s)));
    lines.push(format!("predicted   {} (g·Δθ){second}", change(ledger.first)));
    lines.push(format!("measured    {} nats per token, on this text", change(ledger.measured())));
    if ledger.frozen > 0 {
        let frozen = thousands(ledger.frozen as f64);
        lines.push(format!("frozen      {frozen} weights: no gradient, and no step changes them"));
    }
    let adapters = step.adapter_changes();
    for own in adapters.iter().take(SHOWN) {
        let most = own.after.values.first().copied().unwrap_or_default();
        lines.push(format!(
            "adapter     {}: ‖s·B·A‖/‖W‖ {:.2e} → {:.2e}, largest singular value {most:.2e}, effective rank {:.1} of {}",
            own.name, own.before.ratio, own.after.ratio, own.after.effective_rank, own.rank
        ));
        if let Some([before, after]) = own.lengths {
            lines.push(format!(
                "            lengths of its rows: by up to {before:.2e} → {after:.2e} of them from those of W + s·B·A"
            ));
        }
    }
    if adapters.len() > SHOWN {
        lines.push(format!(
            "            and {} others, on the page and in --json",
            adapters.len() - SHOWN
        ));
    }
    lines.join("\n") + "\n"
}
