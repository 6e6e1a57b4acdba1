//! `glassbox diagnose`.

use crate::check::{band, number};
use crate::examined::Examined;
use crate::resident::bytes;
use crate::settings::Settings;
use crate::{Result, count, on_threads, remark, run, terminal};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use transformer::check::initialised;
use transformer::checkpoint::CheckpointError;
use transformer::diagnose::{
    self, Diagnosis, Direction, Examination, Recipe, Reduced, Saved, State, Taken,
};
use transformer::files::write_atomically;
use transformer::health::{Headroom, Health, Measure};
use transformer::{GptStep, OptimizerKind, Precision, ScheduleKind, Trainer, checkpoint};

/// Find why a loss is NaN, or about to be: the first cause, and a cure that was tried.
///
/// Runs or resumes training under watch. A run goes on from its last checkpoint, or from its seed if it has none.
/// --steps is the number of steps to watch [default: 30]; a run's own settings hold otherwise, and flags try others
/// (what if the rate were lower?), except sizes and tokenizer, which are the model's. The exit status is 1 where
/// something is wrong. Nothing of a run is changed but its growth.svg.
#[derive(Args)]
pub(crate) struct Diagnose {
    /// A run, or a model directory in Hugging Face's GPT-2 layout [default: the sizes that flags give]
    model: Option<PathBuf>,
    /// How values are stored
    #[arg(long, value_enum, default_value = "f32")]
    precision: Stored,
    /// Factor of the loss before propagating back
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    loss_scale: f64,
    /// Where the picture of what grew goes [default: RUN/growth.svg for a run, else none]
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Print the diagnosis as one JSON object
    #[arg(long)]
    json: bool,
}

/// Formats, as flags take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stored {
    /// 32 bits, as this program computes
    F32,
    /// bfloat16
    Bf16,
    /// IEEE 754 binary16
    F16,
}

/// Steps that are watched if nobody says how many.
const WATCHED: u64 = 30;
/// Lines of what a format loses.
const SHOWN: usize = 12;
/// Steps that may be watched: sizes of all values are kept of each.
const MOST_STEPS: u64 = 10_000;

impl Diagnose {
    /// Diagnoses; the exit code tells whether all is well.
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.settings.out.is_some() {
            return Err(
                "diagnose writes no run: leave out --out (--svg FILE for the picture)".into()
            );
        }
        let steps = self.settings.steps.unwrap_or(WATCHED);
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
        if self.loss_scale != 1.0 && self.precision == Stored::F32 {
            return Err(
                "--loss-scale moves gradients away from the end of a 16-bit format: give --precision f16 or bf16 \
                 with it"
                    .into(),
            );
        }
        on_threads(self.settings.threads, || self.diagnose(steps))
    }

    fn diagnose(&self, steps: u64) -> Result<ExitCode> {
        let settings = Settings { steps: None, ..self.settings.clone() };
        let examined = Examined::find(self.model.as_deref(), &settings)?;
        let start = self.start(&examined)?;
        let trained = &examined.config;
        if trained.schedule != ScheduleKind::Constant && start.steps >= trained.steps {
            remark(format!(
                "the schedule ended at step {}: watched at its last rate, {:.1e}",
                trained.steps, trained.min_learning_rate
            ));
        }
        let Examined { config, model, corpus, name, run, .. } = examined;
        if self.settings.momentum.is_some() && config.optimizer == OptimizerKind::AdamW {
            return Err("--momentum is descent's, and this is AdamW: give --optimizer sgd with it, or leave it \
                        away (AdamW averages gradients with beta1)"
                .into());
        }
        let precision = match self.precision {
            Stored::F32 => Precision::F32,
            Stored::Bf16 => Precision::Bf16,
            Stored::F16 => Precision::F16,
        };
        let recipe = Recipe { precision, loss_scale: self.loss_scale, ..Recipe::of_run(&config) };
        remark(format!(
            "watching {name}: {}, from step {} on, stored as {precision}",
            count(model.parameters(), "parameter"),
            start.steps
        ));
        let step = GptStep::of_run(&config, &model, &corpus);
        remark(format!("it takes up to {} of memory", bytes(diagnose::bytes(&step, &start)?)));
        let Examination { diagnosis: found, health } =
            diagnose::examination(&step, &start, &recipe, steps, |line| remark(line))?;
        let reduced = match precision {
            Precision::F32 => None,
            _ => {
                let batch = found.last_good.steps * recipe.accumulate;
                let at = |precision, scale| {
                    diagnose::reduced(&step, &found.last_good.parameters, batch, precision, scale)
                };
                let first = at(precision, self.loss_scale)?;
                // As the cure has it: of gradients that nothing cut off.
                let largest = at(Precision::F32, 1.0)?.largest_gradient;
                Some((first, at(precision, diagnose::loss_scale(precision, largest))?))
            }
        };
        let mut svg = self.svg.clone().or_else(|| run.map(|run| run::growth_file(&run)));
        if let Some(path) = &svg
            && let Err(error) = write_atomically(path, found.growth.svg().as_bytes())
        {
            // The picture that was asked for, or one that a diagnosis can do without.
            if self.svg.is_some() {
                return Err(format!("cannot write {}: {error}", path.display()).into());
            }
            remark(format!("no picture: cannot write {}: {error}", path.display()));
            svg = None;
        }
        if self.json {
            terminal::print_json(object(&found, &recipe, reduced.as_ref(), health.as_ref()))?;
        } else {
            let mut text = described(&found, &recipe);
            text += &reduced.as_ref().map_or(String::new(), |(a, b)| stored(a, b));
            text += &health.as_ref().map_or(String::new(), |h| healthy(h, step.sequences));
            text += &svg.map_or(String::new(), |p| format!("picture    {}\n", p.display()));
            terminal::print(&text)?;
        }
        Ok(if found.cause.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Where training stands: a run's checkpoint, a model's weights, or initial ones.
    fn start(&self, examined: &Examined) -> Result<State> {
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
            let mut saved = trainer.state().into_iter().map(|(_, x)| x.to_vec());
            let kept = saved.next().unwrap_or_default();
            let memory = saved.collect();
            // The two are the same, unless somebody changed the model.
            let differ = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
            let differing = parameters.iter().flatten().zip(&kept).filter(|&x| differ(x)).count();
            if differing > 0 {
                remark(format!(
                    "the run's model and its training state differ in {differing} of {} weights: the state is what \
                     training goes on from",
                    kept.len()
                ));
            }
            let model = parameters.iter().find(|p| p.iter().any(|p| !p.is_finite()));
            let broken = model.filter(|_| kept.iter().all(|p| p.is_finite()));
            if broken.is_some() {
                remark(
                    "only the model is broken: `glassbox train --resume` goes on from the state and writes the model \
                     anew; the model is diagnosed",
                );
            }
            let parameters = broken.cloned().unwrap_or(kept);
            return Ok(State { steps, memory, ..State::start(parameters) });
        }
        Ok(State::start(match parameters {
            Some(given) => given.clone(),
            None => initialised(model, config.seed)?,
        }))
    }
}

/// The batch of a step, and the part of it at which it failed, if it did at one.
fn place(found: &Diagnosis, taken: &Taken, recipe: &Recipe) -> String {
    match at_part(found) {
        true => recipe.called(taken.batch),
        false => format!("batch {}", recipe.counted(taken.batch).0),
    }
}

/// Whether something went wrong on the way through one part of a batch, not in what all parts came to.
fn at_part(found: &Diagnosis) -> bool {
    found.origin.as_ref().is_some_and(|o| o.direction != Direction::Update)
}

fn described(found: &Diagnosis, recipe: &Recipe) -> String {
    let mut out = String::from("\n");
    let mut line = |head: &str, text: String| {
        out.push_str(&format!("{head:<10} {text}\n"));
    };
    let last = found.history.last();
    match (&found.cause, last) {
        (Some(_), Some(t)) => line(
            "step",
            format!(
                "{}, {}: loss {}, gradient norm {}",
                t.number,
                place(found, t, recipe),
                number(t.loss),
                number(t.gradient_norm)
            ),
        ),
        (None, Some(t)) => line(
            "steps",
            format!(
                "{} watched, nothing wrong: loss {} at step {}",
                found.history.len(),
                number(t.loss),
                t.number
            ),
        ),
        (_, None) => {}
    }
    if let Some(o) = &found.origin {
        line(
            "operation",
            match o.direction {
                Direction::Backward => {
                    format!("{}, backward: the gradient of {}", o.operation, o.name)
                }
                _ => format!("{} ({}), {}", o.name, o.operation, o.direction),
            },
        );
        line("element", format!("row {}, column {}: {}", o.element.0, o.element.1, o.shown()));
        line("arithmetic", o.arithmetic.clone());
        for operand in &o.operands {
            let (low, high) = operand.range;
            let range =
                if low == high { format!("{low:.4e}") } else { format!("{low:.4e} to {high:.4e}") };
            line("operand", format!("{}: {range} ({})", operand.name, operand.what));
        }
        if o.inherited > 0 {
            line("inherited", format!("by {} later values, which are not to blame", o.inherited));
        }
    }
    line("growth", format!("{}  {}", found.growth.sparkline(60), found.growth.name));
    if let Some((cause, why)) = &found.cause {
        line("cause", format!("{cause}"));
        line("because", why.clone());
    }
    // Where it is the evidence it was said.
    let because = found.cause.as_ref().map_or("", |(_, why)| why.as_str());
    let curvature = found.stability.filter(|s| !s.eigenvalue.is_nan()).map(|s| s.to_string());
    if let Some(curvature) = curvature.filter(|c| !because.contains(c.as_str())) {
        line("curvature", curvature);
    }
    for trial in &found.trials {
        line(if trial.cured { "cure" } else { "no cure" }, trial.to_string());
    }
    if found.cause.is_some() {
        line(
            "more",
            format!("docs/FAILURES.md: {}", found.cause.as_ref().map_or("", |c| c.0.title())),
        );
    }
    out
}

/// A share in percent: "none", "all", and never 0.0 % of what is some.
fn percent(share: f64) -> String {
    match 100.0 * share {
        0.0 => "none".to_owned(),
        100.0 => "all".to_owned(),
        p if p < 0.05 => "under 0.1 %".to_owned(),
        p if p > 99.9 => "over 99.9 %".to_owned(),
        p => format!("{p:.1} %"),
    }
}

fn stored(first: &Reduced, saved: &Reduced) -> String {
    let mut out = format!(
        "\n{}: loss {:.4} where f32 gives {:.4}; of all parameters' gradient elements {} vanish\n",
        first.precision,
        first.losses.0,
        first.losses.1,
        percent(first.lost_gradients)
    );
    let mut losing: Vec<_> =
        first.losing.iter().filter(|s| s.overflowing > 0.0 || s.vanishing > 0.01).collect();
    // What overflows in the order of computation, then what vanishes, the most first.
    losing.sort_by(|a, b| {
        let rank = |s: &diagnose::Stored| if s.overflowing > 0.0 { 2.0 } else { s.vanishing };
        rank(b).total_cmp(&rank(a))
    });
    for s in losing.iter().take(SHOWN) {
        out.push_str(&format!(
            "  {:<52} largest {:.2e}, of its own elements {} overflow, {} vanish ({})\n",
            s.name,
            s.largest,
            percent(s.overflowing),
            percent(s.vanishing),
            s.operation
        ));
    }
    if losing.len() > SHOWN {
        out.push_str(&format!("  and {} more\n", losing.len() - SHOWN));
    }
    let tried = format!(
        "of all gradient elements {} vanish, the largest gradient is {:.2e} of {:.2e}",
        percent(saved.lost_gradients),
        saved.largest_gradient * saved.scale,
        saved.precision.largest()
    );
    let (scale, format) = (saved.scale, saved.precision);
    out.push_str(&match (first.saved(), saved.saved()) {
        (Saved::Yes, _) if first.lost_gradients == 0.0 && first.scale == 1.0 => {
            "no loss scale is needed: no gradient element vanishes\n".to_owned()
        }
        (Saved::Yes, _) => format!(
            "no {}loss scale is needed: fewer than one in a thousand gradient elements vanish\n",
            if first.scale == 1.0 { "" } else { "other " }
        ),
        (_, Saved::Yes) => format!("loss scale {scale}: tried, {tried}\n"),
        (_, Saved::Forward) => format!(
            "no loss scale helps: values overflow {format} on the way forward; bf16 and f32 hold them\n"
        ),
        (_, Saved::Overflows | Saved::Vanishes) => format!(
            "no loss scale saves both ends: with {scale}, the largest that leaves room above the gradients, {tried}\n"
        ),
    });
    out
}

/// The measures of one name, in the order in which they come.
fn by_name(measures: &[Measure]) -> Vec<(&'static str, Vec<&Measure>)> {
    let mut all: Vec<(&'static str, Vec<&Measure>)> = vec![];
    for m in measures {
        match all.iter_mut().find(|(name, _)| *name == m.name) {
            Some((_, group)) => group.push(m),
            None => all.push((m.name, vec![m])),
        }
    }
    all
}

fn healthy(health: &Health, sequences: usize) -> String {
    let mut out = String::from("\nhealth: what lies outside its band comes first\n");
    let (usual, unusual): (Vec<&Measure>, Vec<&Measure>) =
        health.measures.iter().partition(|m| m.is_usual());
    for m in unusual {
        let (value, band) = (number(m.value), band(m.band));
        out.push_str(&format!("! {:<44} {value:>10}  {band:<18} {}\n", m.name, m.place));
    }
    let usual: Vec<Measure> = usual.into_iter().cloned().collect();
    for (name, group) in by_name(&usual) {
        let values = || group.iter().map(|m| m.value);
        let (low, high) =
            values().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let (low, high) = (number(low), number(high));
        let value = if low == high { low } else { format!("{low} to {high}") };
        let place = match group.as_slice() {
            [one] => one.place.clone(),
            many => format!("{} values", many.len()),
        };
        out.push_str(&format!("  {name:<44} {value:>10}  {:<18} {place}\n", band(group[0].band)));
    }
    if health.noise_scale.is_finite() {
        let size = health.noise_scale * sequences as f64;
        out.push_str(&format!(
            "  gradient noise equals signal at a batch of {}: larger ones gain little\n",
            match size.round() {
                n if n < 2.0 => "one sequence".to_owned(),
                n => format!("{n:.0} sequences"),
            }
        ));
    }
    out.push_str("\nlayers                                         activation   gradient\n");
    for l in &health.layers {
        out.push_str(&format!("  {:<44} {:>10.3e} {:>10.3e}\n", l.name, l.activation, l.gradient));
    }
    if !health.updates.is_empty() {
        out.push_str("\nupdate over weights                                 ratio\n");
        for u in &health.updates {
            out.push_str(&format!("  {:<44} {:>10.3e}\n", u.layer, u.ratio));
        }
    }
    // Of values what is large ends a format, of gradients what is small as well.
    for (gradient, what) in [(false, "values"), (true, "gradients")] {
        let title = format!("room of {what}, least first");
        out.push_str(&format!(
            "\n{title:<46} {:>10}  {:>20}  {:>10}  {:>20}\n{:<57}  {:>6} {:>6} {:>6}  {:>10}  {:>6} {:>6} {:>6}\n",
            "largest", "doublings to the end", "typical", "halvings to 0", "", "f32", "bf16", "f16", "",
            "f32", "bf16", "f16"
        ));
        let mut all: Vec<_> =
            health.headroom.iter().filter(|h| h.gradient == gradient && h.largest > 0.0).collect();
        // In f16, which ends first, on the nearer side.
        let nearer = |h: &Headroom| h.overflow[2].min(h.underflow[2]);
        all.sort_by(|a, b| nearer(a).total_cmp(&nearer(b)));
        for h in all.iter().take(SHOWN) {
            let ([a, b, c], [d, e, f]) = (h.overflow, h.underflow);
            out.push_str(&format!(
                "  {:<44} {:>10.3e}  {a:>6.1} {b:>6.1} {c:>6.1}  {:>10.3e}  {d:>6.1} {e:>6.1} {f:>6.1}\n",
                h.name, h.largest, h.typical
            ));
        }
    }
    out
}

fn object(
    found: &Diagnosis,
    recipe: &Recipe,
    reduced: Option<&(Reduced, Reduced)>,
    health: Option<&Health>,
) -> serde_json::Value {
    let origin = found.origin.as_ref().map(|o| {
        let operands = o.operands.iter().map(
            |p| json!({ "name": p.name, "low": p.range.0, "high": p.range.1, "what": p.what }),
        );
        json!({
            "direction": o.direction.to_string(),
            "name": o.name,
            "operation": o.operation,
            "row": o.element.0,
            "column": o.element.1,
            "value": o.value.to_string(),
            "arithmetic": o.arithmetic,
            "operands": operands.collect::<Vec<_>>(),
            "inherited": o.inherited,
        })
    });
    let reduced = reduced.map(|(first, saved)| {
        let losing = first.losing.iter().map(|s| {
            json!({
                "name": s.name, "operation": s.operation, "largest": s.largest,
                "overflowing": s.overflowing, "vanishing": s.vanishing,
            })
        });
        json!({
            "precision": first.precision.to_string(),
            "loss": first.losses.0,
            "loss_f32": first.losses.1,
            "lost_gradients": first.lost_gradients,
            "losing": losing.collect::<Vec<_>>(),
            "loss_scale": saved.scale,
            "saved": saved.saved() == Saved::Yes,
            "lost_gradients_at_loss_scale": saved.lost_gradients,
        })
    });
    let last = found.history.last();
    json!({
        "healthy": found.cause.is_none(),
        "step": last.map(|t| t.number),
        "batch": last.map(|t| recipe.counted(t.batch).0),
        "part": last.filter(|_| at_part(found)).map(|t| recipe.counted(t.batch).1 + 1),
        "parts": recipe.parts,
        "loss": last.map(|t| t.loss),
        "gradient_norm": last.map(|t| t.gradient_norm),
        "origin": origin,
        "cause": found.cause.as_ref().map(|c| c.0),
        "because": found.cause.as_ref().map(|c| c.1.clone()),
        "growth": { "name": found.growth.name, "sizes": found.growth.sizes },
        "stability": found.stability.map(|s| json!({
            "eigenvalue": s.eigenvalue, "limit": s.limit, "rate": s.rate, "tokens": s.tokens,
            "residual": s.residual, "converged": s.converged, "clip": s.clip,
        })),
        "cures": found.trials,
        "precision": reduced,
        "health": health,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reduced(scale: f64, lost: f64, overflowing: f64) -> Reduced {
        Reduced {
            precision: Precision::F16,
            scale,
            losing: vec![diagnose::Stored {
                name: "gradient of x".to_owned(),
                operation: "sum".to_owned(),
                gradient: true,
                largest: 0.5,
                overflowing,
                vanishing: 0.5,
            }],
            lost_gradients: lost,
            largest_gradient: 0.5,
            losses: (1.0, 1.0),
        }
    }

    #[test]
    fn shares_say_of_what_they_are_and_no_scale_is_proposed_for_nothing() {
        assert_eq!(percent(0.0), "none");
        assert_eq!(percent(1.0), "all");
        assert_eq!(percent(1e-6), "under 0.1 %");
        assert_eq!(percent(0.123), "12.3 %");
        let fine = stored(&reduced(1.0, 0.0, 0.0), &reduced(4096.0, 0.0, 0.0));
        assert!(fine.contains("of all parameters' gradient elements none vanish"), "{fine}");
        assert!(fine.contains("of its own elements none overflow, 50.0 % vanish"), "{fine}");
        assert!(fine.contains("no loss scale is needed: no gradient element vanishes"), "{fine}");
        assert!(!fine.contains("4096"), "{fine}");
        let lossy = stored(&reduced(1.0, 0.4, 0.0), &reduced(4096.0, 0.0, 0.0));
        assert!(lossy.contains("40.0 % vanish") && lossy.contains("loss scale 4096: tried"));
        let both = stored(&reduced(1.0, 0.4, 0.0), &reduced(4096.0, 0.4, 0.0));
        assert!(both.contains("no loss scale saves both ends"), "{both}");
    }
}
