//! `glassbox check --widths`.

use crate::progress::Bar;
use crate::{Result, terminal};
use serde_json::json;
use std::fmt::Write;
use std::process::ExitCode;
use transformer::inspect::check::widths::{Coordinate, CoordinateCheck, Widths};
use transformer::{Corpus, Parametrization, TrainingConfig};

/// Makes the coordinate check and prints it. The exit code tells whether the changes are those of the settings'
/// parametrization.
pub(super) fn check(
    config: &TrainingConfig,
    (widths, seeds): (&[usize], u64),
    (corpus, vocabulary): (&Corpus, usize),
    as_json: bool,
) -> Result<ExitCode> {
    let request = Widths { config: config.clone(), widths: widths.to_vec(), seeds };
    let mut bar = Bar::new(widths.len() as u64 * seeds, "models");
    let checked = request.run(corpus, vocabulary, |done| bar.set(done))?;
    bar.finish();
    let verdict = checked.verdict();
    if as_json {
        let key = verdict.map(Parametrization::key);
        let passed = verdict == Some(config.parametrization);
        terminal::print_json(json!({
            "passed": passed, "parametrization": config.parametrization.key(), "verdict": key, "widths": checked.widths,
            "steps": checked.steps, "seeds": checked.seeds, "coordinates": checked.coordinates,
        }))?;
    } else {
        terminal::print(&report(&checked, config.parametrization))?;
    }
    Ok(match verdict == Some(config.parametrization) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn report(checked: &CoordinateCheck, meant: Parametrization) -> String {
    let mut out = format!(
        "change of each activation in {} steps, root mean square, mean of {} seeds, by width\n\n",
        checked.steps, checked.seeds
    );
    let heading = ["", "exponent", "interval of 95 %", "grows"].map(str::to_owned);
    let mut rows = vec![heading.to_vec()];
    for (k, width) in checked.widths.iter().enumerate() {
        rows[0].insert(k + 1, width.to_string());
    }
    for Coordinate { name, changes, exponent, interval, .. } in &checked.coordinates {
        let mut row = vec![name.clone()];
        row.extend(changes.iter().map(|change| format!("{change:.2e}")));
        row.push(format!("{exponent:.2}"));
        row.push(format!("{:.2} to {:.2}", interval.0, interval.1));
        rows.push(row);
    }
    for (row, coordinate) in rows.iter_mut().skip(1).zip(&checked.coordinates) {
        let grows = match coordinate.grows() {
            Some(false) if coordinate.shrinks() => "shrinks",
            Some(true) => "yes",
            Some(false) => "no",
            None => "not decided",
        };
        row.push(grows.to_owned());
    }
    out.push_str(&terminal::table(&rows, 1));
    let verdict = match checked.verdict() {
        Some(Parametrization::Mup) => {
            "mup: no activation changes more in a wider model, so the best learning rate stays the same"
        }
        Some(_) => {
            "standard: activations change more in wider models, so the best learning rate falls with the width"
        }
        None if checked.coordinates.iter().any(Coordinate::shrinks) => {
            "neither: an activation changes less in wider models, which do not learn there"
        }
        None => "not decided: give more --seeds, or widths that are farther apart",
    };
    let _ = write!(out, "\nverdict  {verdict}\n");
    if checked.verdict().is_some_and(|verdict| verdict != meant) {
        let _ = writeln!(out, "         the settings ask for {}", meant.key());
    }
    out
}
