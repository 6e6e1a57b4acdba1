//! `glassbox check`.

mod widths;

use crate::examined::Examined;
use crate::progress::duration;
use crate::resident::bytes;
use crate::settings::Settings;
use crate::{Result, count, on_threads, or_unread, remark, run, terminal};
use clap::Args;
use serde_json::json;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use transformer::disk::{checkpoint, read_metrics};
use transformer::inspect::check::{self, Certificate, Verdict};
use transformer::{Architecture, ModelStep};

/// Certify a model's gradients, causality, start and data.
///
/// The exit status is 0 if all certificates hold, 1 if one fails, and 2 if nothing could be certified: an unreadable
/// file, a refused setting, weights that are not finite.
///
/// Without MODEL: a freshly initialised model with the sizes of flags and presets. A run or a model keeps its own sizes
/// and tokenizer; flags that would change them are refused.
///
/// With --widths, models of these widths are trained for a few steps, and nothing else is checked: with the standard
/// parametrization activations change more in wider models, and with µP (--parametrization mup) they do not. The exit
/// status is 0 if the changes are those of the settings' parametrization.
#[derive(Args)]
pub(crate) struct Check {
    /// A run, or a model directory in Hugging Face's layout
    model: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Widths at which to compare how much a step changes each activation, such as 64,128,256,512
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', conflicts_with = "width")]
    widths: Option<Vec<usize>>,
    /// Seeds with which every width is trained
    #[arg(long, value_name = "N", default_value_t = 5, requires = "widths", value_parser = clap::value_parser!(u64).range(2..=1000))]
    seeds: u64,
    /// Print the certificates as one JSON object
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Certifies; the exit code tells whether all certificates hold.
    pub(crate) fn run(self) -> Result<ExitCode> {
        or_unread(self.examine())
    }

    fn examine(self) -> Result<ExitCode> {
        if self.settings.out.is_some() {
            return Err("check writes no run: leave out --out".into());
        }
        on_threads(self.settings.threads, || self.check())
    }

    fn check(&self) -> Result<ExitCode> {
        let examined = Examined::find(self.model.as_deref(), &self.settings, None)?;
        let Examined { config, own, model, parameters, reference, .. } = examined;
        let Examined { corpus, answers, sha256, name, run, .. } = examined;
        if let Some(widths) = &self.widths {
            let text = (&corpus, model.vocabulary);
            return widths::check(&config, (widths, self.seeds), text, self.json);
        }
        remark(format!("checking {name}: {}", count(model.parameters(), "parameter")));
        let state = match run.as_deref().map(run::state_file).filter(|path| path.exists()) {
            Some(path) => Some(checkpoint::evaluated::<f32>(&path, &model.learned_list()?)?),
            None => None,
        };
        if let Some(given) = &parameters {
            all_finite(&name, &model, given)?;
        }
        let step = ModelStep::of_run(&config, &model, &corpus);
        remark(format!("it takes up to {} of memory", bytes(check::bytes(&step, &corpus)?)));
        let mut table = Table::new();
        let (mut certificates, mut printed) = (vec![], Ok(()));
        let waiting = Waiting::new();
        let mut tell = |c: Certificate| {
            if !self.json && printed.is_ok() {
                printed = waiting.hidden(|| terminal::print_painted(&table.line(&c)));
            }
            waiting.after(&c);
            certificates.push(c);
        };
        check::each(&config, &model, parameters.as_deref(), &corpus, &mut tell)?;
        if let Some((answers, tokenizer)) = &answers {
            tell(answers.certify(&corpus, tokenizer)?);
        }
        if let Some(before) = &reference {
            check::preferences(&config, &model, before, &corpus)?.into_iter().for_each(&mut tell);
            let metrics = run.as_deref().map(read_metrics).transpose()?;
            let first = metrics.iter().flat_map(|(all, _)| all).find(|metric| metric.step == 1);
            if let Some(loss) = first.and_then(|metric| metric.loss) {
                check::began(&model, loss).into_iter().for_each(&mut tell);
            }
        }
        if let (Some(given), Some((kept, _))) = (&parameters, &state) {
            tell(check::saved(given, kept));
        }
        if let (Some(own), Some((_, about))) = (&own, &state)
            && about.knows_settings()
        {
            tell(check::settled(&about.contradictions(own), about.data == sha256));
        }
        waiting.done();
        printed?;
        let passed = check::passed(&certificates);
        if self.json {
            terminal::print_json(
                json!({ "passed": passed, "certificates": shown(&certificates) }),
            )?;
        } else {
            terminal::print(&summary(&certificates))?;
        }
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Refuses weights that are NaN or infinite, of which nothing can be certified.
fn all_finite(name: &str, model: &Architecture, parameters: &[f32]) -> Result<()> {
    let Some(at) = parameters.iter().position(|p| !p.is_finite()) else { return Ok(()) };
    let place = model.learned_list()?.into_iter().find(|p| p.range.contains(&at));
    let place = place.map_or(String::new(), |p| {
        let i = at - p.range.start;
        format!(" (row {}, column {} of {})", i % p.shape.rows, i / p.shape.rows, p.name)
    });
    Err(format!(
        "{name}: parameter {at}{place} is not finite, so nothing can be certified; `glassbox diagnose` tries \
         fixes"
    )
    .into())
}

/// A spinner with the time since the last certificate; reports the total time at the end.
struct Waiting {
    bar: Option<indicatif::ProgressBar>,
    began: Instant,
}

impl Waiting {
    fn new() -> Self {
        let bar = terminal::draws(&std::io::stderr()).then(|| {
            let bar = indicatif::ProgressBar::new_spinner();
            bar.set_message("the first certificate");
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Waiting { bar, began: Instant::now() }
    }

    /// Prints with the spinner hidden.
    fn hidden<R>(&self, print: impl FnOnce() -> R) -> R {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Reports a completed certificate.
    fn after(&self, c: &Certificate) {
        if let Some(bar) = &self.bar {
            let since = duration(self.began.elapsed().as_secs_f64());
            bar.set_message(format!("{since}, after “{}: {}”", c.group, c.name));
        }
    }

    fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        remark(format!("certified in {:.1} seconds", self.began.elapsed().as_secs_f64()));
    }
}

/// Numbers that JSON cannot hold become null.
fn shown(certificates: &[Certificate]) -> serde_json::Value {
    serde_json::to_value(certificates).unwrap_or_default()
}

/// Prints certificates as they complete, under the headings of their groups.
struct Table {
    terminal: bool,
    colour: bool,
    group: &'static str,
}

impl Table {
    fn new() -> Self {
        let out = std::io::stdout();
        Table { terminal: out.is_terminal(), colour: terminal::colours(&out), group: "" }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        let text = terminal::shown(text, self.terminal);
        match self.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.into_owned(),
        }
    }

    fn line(&mut self, c: &Certificate) -> String {
        let mut out = String::new();
        if c.group != self.group {
            self.group = c.group;
            out.push_str(&format!("\n{}\n", self.paint("1", c.group)));
        }
        let numbers = || format!("{} {}", number(c.measured), limit(c));
        let (mark, numbers) = match c.verdict {
            Verdict::Pass => (self.paint("32", "pass"), numbers()),
            Verdict::Fail => (self.paint("1;31", "FAIL"), numbers()),
            Verdict::NotApplicable => (self.paint("2", "n/a "), String::new()),
            Verdict::Skipped => (self.paint("33", "skip"), String::new()),
        };
        let detail = self.paint("2", &c.detail);
        out.push_str(&format!("  {mark}  {:<49}  {numbers:<26}  {detail}\n", c.name));
        out
    }
}

fn summary(certificates: &[Certificate]) -> String {
    let count = |v| certificates.iter().filter(|c| c.verdict == v).count();
    let (pass, fail) = (count(Verdict::Pass), count(Verdict::Fail));
    let end = if fail == 0 { "" } else { "; see FAIL above" };
    let skipped = match count(Verdict::Skipped) {
        0 => String::new(),
        n => format!("; {n} skipped, as its line says"),
    };
    format!("\n{pass} of {} certificates hold{skipped}{end}\n", pass + fail)
}

fn limit(c: &Certificate) -> String {
    band(c.limits)
}

/// Formats a range of accepted values.
pub(crate) fn band((low, high): (f64, f64)) -> String {
    match (low == 0.0, high == 0.0) {
        (true, true) => "(must be 0)".to_owned(),
        (true, false) => format!("(≤ {})", number(high)),
        _ => format!("({} to {})", number(low), number(high)),
    }
}

/// Formats a number with few digits.
pub(crate) fn number(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || (x.fract() == 0.0 && size < 1e7) {
        format!("{x:.0}")
    } else if (0.01..1e4).contains(&size) {
        format!("{x:.3}")
    } else {
        format!("{x:.1e}")
    }
}
