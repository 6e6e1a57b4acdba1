//! `glassbox check`.

use crate::examined::Examined;
use crate::settings::Settings;
use crate::{Result, on_threads, remark};
use clap::Args;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use transformer::check::{self, Certificate, Verdict};

/// Certify a model's gradients, causality, start and data; exit status 1 where something fails.
///
/// Without MODEL: the sizes that flags and presets give, freshly initialised.
#[derive(Args)]
pub(crate) struct Check {
    /// A run, or a model directory in Hugging Face's GPT-2 layout
    model: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Print the certificates as one JSON object
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Certifies; the exit code tells whether all is well.
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.settings.out.is_some() {
            return Err("check writes no run: leave --out away".into());
        }
        on_threads(self.settings.threads, || self.check())
    }

    fn check(&self) -> Result<ExitCode> {
        let examined = Examined::find(self.model.as_deref(), &self.settings)?;
        let Examined { config, model, parameters, corpus, name, .. } = examined;
        remark(format!("checking {name}: {} parameters", model.parameters()));
        if let Some(i) = parameters.iter().flatten().position(|p| !p.is_finite()) {
            return Err(format!(
                "{name}: parameter {i} is not finite, so nothing can be certified; `glassbox diagnose` \
                 tells where it stands"
            )
            .into());
        }
        let certificates = check::model(&config, &model, parameters.as_deref(), &corpus)?;
        let passed = check::passed(&certificates);
        let text = if self.json {
            format!("{}\n", json!({ "passed": passed, "certificates": shown(&certificates) }))
        } else {
            table(&certificates, std::io::stdout().is_terminal())
        };
        std::io::stdout().lock().write_all(text.as_bytes())?;
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Numbers that JSON cannot hold become null.
fn shown(certificates: &[Certificate]) -> serde_json::Value {
    serde_json::to_value(certificates).unwrap_or_default()
}

/// The certificates as a table.
fn table(certificates: &[Certificate], colour: bool) -> String {
    let paint = |code: &str, text: &str| match colour {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    let width = certificates.iter().map(|c| c.name.chars().count()).max().unwrap_or(0);
    let (mut out, mut group) = (String::new(), "");
    for c in certificates {
        if c.group != group {
            group = c.group;
            out.push_str(&format!("\n{}\n", paint("1", group)));
        }
        let (mark, numbers) = match c.verdict {
            Verdict::Pass => (paint("32", "pass"), format!("{} {}", number(c.measured), limit(c))),
            Verdict::Fail => {
                (paint("1;31", "FAIL"), format!("{} {}", number(c.measured), limit(c)))
            }
            Verdict::NotApplicable => (paint("2", "n/a "), String::new()),
        };
        let padding = " ".repeat(width - c.name.chars().count());
        out.push_str(&format!(
            "  {mark}  {}{padding}  {numbers:<26}  {}\n",
            c.name,
            paint("2", &c.detail)
        ));
    }
    let count = |v| certificates.iter().filter(|c| c.verdict == v).count();
    let (pass, fail) = (count(Verdict::Pass), count(Verdict::Fail));
    out.push_str(&format!("\n{pass} of {} certificates hold", pass + fail));
    out.push_str(if fail == 0 { "\n" } else { "; see FAIL above\n" });
    out
}

fn limit(c: &Certificate) -> String {
    let (low, high) = c.limits;
    match (low == 0.0, high == 0.0) {
        (true, true) => "(must be 0)".to_owned(),
        (true, false) => format!("(≤ {})", number(high)),
        _ => format!("({} to {})", number(low), number(high)),
    }
}

/// Few digits.
fn number(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || (x.fract() == 0.0 && size < 1e7) {
        format!("{x:.0}")
    } else if (0.01..1e4).contains(&size) {
        format!("{x:.3}")
    } else {
        format!("{x:.1e}")
    }
}
