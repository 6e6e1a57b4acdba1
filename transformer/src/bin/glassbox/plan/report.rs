//! A plan in words.

use crate::plot::thousands;
use crate::progress::duration;
use crate::source::Source;
use crate::{count, terminal};
use std::fmt::Write;
use transformer::Time;
use transformer::inspect::plan::{Alternative, Fit, Plan, Progress, Purpose, Request};
use transformer::memory::bytes;
use transformer::model::family;

/// Returns what is measured now; `done` counts pilots.
pub(super) fn progress(progress: Progress, done: &mut usize) -> String {
    match progress {
        Progress::Speed(parameters) => {
            format!("measuring the speed of {} parameters", thousands(parameters as f64))
        }
        Progress::Pilot(purpose, parameters, seconds) => {
            *done += 1;
            let why = match purpose {
                Purpose::Repetition => " for the price of repetition",
                _ => "",
            };
            format!(
                "pilot {done}: {} parameters for about {}{why}",
                thousands(parameters as f64),
                duration(seconds)
            )
        }
        _ => "fitting the law of the loss".to_owned(),
    }
}

/// Returns the report.
pub(super) fn text(
    plan: &Plan,
    (request, time): (&Request, Time),
    source: &Source,
    baselines: &[(usize, f64)],
    train: &str,
) -> String {
    let (choice, unit) = (plan.choice(), source.tokenizer.unit());
    let c = &choice.config;
    let mut out = String::new();
    let mut line = |label: &str, text: String| {
        let _ = writeln!(out, "{label:<9}{text}");
    };
    let family = c.model(request.vocabulary).map_or("", |model| family::of(&model).name());
    line(
        "model",
        format!(
            "{family}: {}, {}, width {}, context {}: {} parameters",
            count(c.layers, "layer"),
            count(c.heads, "head"),
            c.width,
            c.context,
            thousands(choice.parameters as f64)
        ),
    );
    line("time", format!("{time}, within 2 %: steps and schedule follow the speed"));
    line(
        "training",
        format!(
            "about {} steps of {} {unit}s ({}): {} {unit}s, {:.1} times the text",
            thousands(c.steps as f64),
            thousands(c.step_tokens() as f64),
            duration_of_step(choice.step_seconds),
            thousands(choice.tokens),
            choice.epochs
        ),
    );
    line(
        "rates",
        format!(
            "{} at {:e}, {} to {:e}, decay {}, dropout {}",
            c.optimizer.key(),
            c.learning_rate,
            c.schedule.key(),
            c.min_learning_rate,
            c.weight_decay,
            c.dropout
        ),
    );
    line("memory", format!("{} at most", bytes(choice.bytes.into())));
    line(
        "loss",
        format!(
            "{:.4} nats per {unit}, {:.4} to {:.4} with a probability of 90 %",
            choice.loss, choice.interval.low, choice.interval.high
        ),
    );
    if let Some(entropy) = source.entropy {
        line(
            "entropy",
            format!("{:.4} nats per {unit}: no model can do better", entropy.per_token),
        );
    }
    let grams = baselines.iter().map(|(n, nats)| format!("{n}: {nats:.4}"));
    line("n-grams", grams.collect::<Vec<_>>().join("   "));
    out.push('\n');
    out.push_str(&table(plan));
    out.push('\n');
    let mut line = |label: &str, text: String| {
        let _ = writeln!(out, "{label:<9}{text}");
    };
    line("law", law(&plan.law));
    if let (Some(free), Some(entropy)) = (&plan.free, source.entropy) {
        line(
            "",
            format!(
                "with E free, E = {:.4}; the entropy of the source is {:.4}",
                free.law.e, entropy.per_token
            ),
        );
    }
    for remark in remarks(plan, source) {
        line("text", remark);
    }
    line(
        "pilots",
        format!(
            "{} in {}, {:.0} % of the time",
            plan.pilots.len(),
            duration(plan.spent),
            100.0 * plan.spent / request.seconds
        ),
    );
    line("train", train.to_owned());
    out
}

fn duration_of_step(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.1} ms each", 1e3 * seconds)
    } else {
        format!("{seconds:.2} s each")
    }
}

fn law(fit: &Fit) -> String {
    let l = &fit.law;
    format!(
        "L = {:.3} + {:.3e}/N^{:.3} + {:.3e}/D^{:.3} nats, N parameters, D tokens; runs scatter about it by {:.1} %",
        l.e,
        l.a,
        l.alpha,
        l.b,
        l.beta,
        100.0 * fit.scatter
    )
}

/// Returns what repetition costs, and what was tried against it.
fn remarks(plan: &Plan, source: &Source) -> Vec<String> {
    let choice = plan.choice();
    let unit = source.tokenizer.unit();
    if choice.epochs <= 1.0 {
        return vec![];
    }
    let mut all = Vec::new();
    let tokens = source.corpus.train().len() as f64;
    let measured = !plan.prices.is_empty();
    let worth = plan.repetition.worth(choice.tokens, tokens);
    let how =
        if measured { "as a small run measured it" } else { "as published, not measured here" };
    all.push(match plan.repetition.readings {
        Some(_) => format!(
            "read {:.1} times, it is worth {} {unit}s of new text, {how}",
            choice.epochs,
            thousands(worth)
        ),
        None => format!("read {:.1} times, it is worth as much as new text, {how}", choice.epochs),
    });
    if worth < 0.5 * choice.tokens {
        all.push("more text would help more than more time".to_owned());
    }
    if !measured && choice.epochs > 10.0 {
        all.push("the time is too short to measure what dropout and decay would do".to_owned());
    }
    for price in &plan.prices {
        let change = 100.0 * (price.ratio - 1.0);
        all.push(format!(
            "a small run with dropout {} and decay {} has {change:+.1} % of loss by repetition",
            price.dropout, price.weight_decay
        ));
    }
    all
}

fn table(plan: &Plan) -> String {
    const HEAD: [&str; 9] =
        ["parameters", "layers", "width", "steps", "tokens", "epochs", "memory", "loss", "90 %"];
    let row = |(i, a): (usize, &Alternative)| {
        let mark = match (i == plan.chosen, a.fits) {
            (true, _) => "  chosen",
            (_, false) => "  too large",
            _ => "",
        };
        vec![
            thousands(a.parameters as f64),
            a.config.layers.to_string(),
            a.config.width.to_string(),
            thousands(a.config.steps as f64),
            thousands(a.tokens),
            format!("{:.1}", a.epochs),
            bytes(a.bytes.into()),
            format!("{:.4}", a.loss),
            format!("{:.4} to {:.4}{mark}", a.interval.low, a.interval.high),
        ]
    };
    let rows = plan.alternatives.iter().enumerate().map(row);
    let head = HEAD.map(str::to_owned).to_vec();
    terminal::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), 0)
}
