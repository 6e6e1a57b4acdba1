//! The effects in words.

use super::Outcome;
use crate::count;
use crate::plot::thousands;
use crate::progress::duration;
use crate::source::Source;
use crate::terminal::table;
use std::fmt::Write;

/// Returns the report.
pub(super) fn text(outcome: &Outcome, source: &Source) -> String {
    let Outcome { design, analysis, .. } = outcome;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "runs     {}: {} with {} each, in {}",
        design.runs(),
        count(design.cells(), "combination"),
        count(design.seeds(), "seed"),
        duration(outcome.seconds)
    );
    let _ = writeln!(out, "loss     nats per {} of held-back text\n", source.tokenizer.unit());
    out.push_str(&combinations(outcome));
    let tests = analysis.effects.len() + analysis.interactions.len();
    let confidence = 100.0 * (1.0 - analysis.significance);
    let _ = writeln!(
        out,
        "\neffects, with {} and intervals of {confidence:.2} %",
        count(tests, "test")
    );
    let rows = analysis.effects.iter().map(|e| {
        let factor = &design.factors()[e.factor];
        let verdict = match (e.significant, e.difference < 0.0) {
            (false, _) => "no difference is shown",
            (true, true) => "better",
            (true, false) => "worse",
        };
        vec![
            format!("{} {}", factor.name, factor.levels[e.level]),
            format!("against {}", factor.levels[0]),
            format!("{:+.4}", e.difference),
            format!("{:+.4} to {:+.4}", e.interval[0], e.interval[1]),
            p_value(e.p_value),
            verdict.to_owned(),
        ]
    });
    out.push_str(&table(&rows.collect::<Vec<_>>(), 2));
    let shown = analysis.interactions.iter().filter(|i| i.significant);
    let rows = shown.map(|i| {
        let name = |(factor, level): (usize, usize)| {
            let factor = &design.factors()[factor];
            format!("{} {}", factor.name, factor.levels[level])
        };
        vec![
            format!("{} and {}", name(i.levels[0]), name(i.levels[1])),
            format!("{:+.4}", i.difference),
            p_value(i.p_value),
        ]
    });
    let rows: Vec<_> = rows.collect();
    match (rows.is_empty(), analysis.interactions.len()) {
        (_, 0) => {}
        (true, n) => {
            let _ = writeln!(
                out,
                "\nnone of {} is shown: effects add up, as far as these runs tell",
                count(n, "interaction")
            );
        }
        (false, n) => {
            let _ = writeln!(
                out,
                "\ninteractions, {} of {n}: the effect of both minus the sum of their effects",
                rows.len()
            );
            out.push_str(&table(&rows, 1));
        }
    }
    let diverged = outcome.losses.iter().flatten().filter(|loss| !loss.is_finite()).count();
    if diverged > 0 {
        let _ = writeln!(
            out,
            "\nnote     {} diverged: effects that need them are missing",
            count(diverged, "run")
        );
    }
    out
}

fn p_value(p: f64) -> String {
    if p < 1e-4 { "p < 0.0001".to_owned() } else { format!("p = {p:.4}") }
}

/// Returns the combinations, the best first.
fn combinations(outcome: &Outcome) -> String {
    let names = outcome.design.factors().iter().map(|factor| factor.name.clone());
    let mut rows = vec![
        names.chain(["steps", "s a run", "loss", "by seed"].map(str::to_owned)).collect::<Vec<_>>(),
    ];
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let mut order: Vec<usize> = (0..outcome.cells.len()).collect();
    order.sort_by(|&a, &b| mean(&outcome.losses[a]).total_cmp(&mean(&outcome.losses[b])));
    for i in order {
        let (cell, losses) = (&outcome.cells[i], &outcome.losses[i]);
        let levels = outcome.design.factors().iter().zip(outcome.design.levels(i));
        let mut row: Vec<String> =
            levels.map(|(factor, level)| factor.levels[level].clone()).collect();
        let by_seed = losses.iter().map(|loss| format!("{loss:.4}"));
        row.extend([
            thousands(cell.config.steps as f64),
            format!("{:.1}", cell.seconds / losses.len() as f64),
            format!("{:.4}", mean(losses)),
            by_seed.collect::<Vec<_>>().join(" "),
        ]);
        rows.push(row);
    }
    table(&rows, outcome.design.factors().len())
}
