//! Diagnoses as text and as JSON.

use crate::check::{band, number};
use serde_json::json;
use transformer::inspect::diagnose::health::{Headroom, Health, Measure, Outlook};
use transformer::inspect::diagnose::{
    self, Diagnosis, Direction, Recipe, Reduced, Remembered, Saved, Taken, Verdict,
};

/// The most lines about the losses of a format.
const SHOWN: usize = 12;

/// Returns the batch of a step, and the part of it that failed, if one did.
fn place(found: &Diagnosis, taken: &Taken, recipe: &Recipe) -> String {
    match at_part(found) {
        true => recipe.called(taken.batch),
        false => format!("batch {}", recipe.counted(taken.batch).0),
    }
}

/// Returns whether one part of a batch failed, and not the combination of all parts.
fn at_part(found: &Diagnosis) -> bool {
    found.origin.as_ref().is_some_and(|o| o.direction != Direction::Update)
}

pub(crate) fn described(
    found: &Diagnosis,
    recipe: &Recipe,
    verdict: Verdict,
    warnings: &[String],
) -> String {
    let mut out = String::from("\n");
    let mut line = |head: &str, text: String| {
        out.push_str(&format!("{head:<10} {text}\n"));
    };
    let last = found.history.last();
    let slow = found.cause.as_ref().is_some_and(|(cause, _)| cause.is_slow());
    match (&found.cause, last) {
        (Some(_), Some(t)) if !slow => line(
            "step",
            format!(
                "{}, {}: loss {}, gradient norm {}",
                t.number,
                place(found, t, recipe),
                number(t.loss),
                number(t.gradient_norm)
            ),
        ),
        (_, Some(t)) => line(
            "steps",
            format!(
                "{} watched, {verdict}: loss {} at step {}",
                found.history.len(),
                number(t.loss),
                t.number
            ),
        ),
        (_, None) => {}
    }
    warnings.iter().for_each(|w| line("warning", w.clone()));
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
    // Evidence of the cause was already printed.
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

/// Formats a share in percent: "none", "all", and never 0.0 % for a share above 0.
fn percent(share: f64) -> String {
    match 100.0 * share {
        0.0 => "none".to_owned(),
        100.0 => "all".to_owned(),
        p if p < 0.05 => "under 0.1 %".to_owned(),
        p if p > 99.9 => "over 99.9 %".to_owned(),
        p => format!("{p:.1} %"),
    }
}

pub(crate) fn stored(first: &Reduced, saved: &Reduced) -> String {
    let mut out = format!(
        "\n{}: loss {:.4}, in f32 {:.4}; of all parameters' gradient elements {} vanish\n",
        first.precision,
        first.losses.0,
        first.losses.1,
        percent(first.lost_gradients)
    );
    let mut losing: Vec<_> =
        first.losing.iter().filter(|s| s.overflowing > 0.0 || s.vanishing > 0.01).collect();
    // Overflow in the order of computation, then underflow, largest first.
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

/// Groups the measures by name, in their order.
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

pub(crate) fn healthy(health: &Health, sequences: usize) -> String {
    let mut out = String::from("\nhealth: measures outside their usual range come first\n");
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
    // Large values overflow a format; small gradients also underflow.
    for (gradient, what) in [(false, "values"), (true, "gradients")] {
        let title = format!("room of {what}, least first");
        out.push_str(&format!(
            "\n{title:<46} {:>10}  {:>20}  {:>10}  {:>20}\n{:<57}  {:>6} {:>6} {:>6}  {:>10}  {:>6} {:>6} {:>6}\n",
            "largest", "doublings to the end", "typical", "halvings to 0", "", "f32", "bf16", "f16", "",
            "f32", "bf16", "f16"
        ));
        let mut all: Vec<_> =
            health.headroom.iter().filter(|h| h.gradient == gradient && h.largest > 0.0).collect();
        // The nearer end of f16, which ends first.
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

/// Describes what lies ahead of a run; empty if nothing is known.
pub(crate) fn ahead(outlook: &Outlook) -> String {
    let lines = outlook.lines();
    if lines.is_empty() {
        return String::new();
    }
    let of = |(topic, text): &(&str, String)| format!("  {topic:<9} {text}\n");
    "\nahead, if the run goes on like this\n".to_owned() + &lines.iter().map(of).collect::<String>()
}

pub(crate) fn object(
    found: &Diagnosis,
    recipe: &Recipe,
    reduced: Option<&(Reduced, Reduced)>,
    health: Option<&Health>,
    (verdict, warnings): (Verdict, &[String]),
) -> serde_json::Value {
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
        "healthy": verdict.is_well(),
        "verdict": verdict.to_string(),
        "warnings": warnings,
        "step": last.map(|t| t.number),
        "batch": last.map(|t| recipe.counted(t.batch).0),
        "part": last.filter(|_| at_part(found)).map(|t| recipe.counted(t.batch).1 + 1),
        "parts": recipe.parts,
        "loss": last.map(|t| t.loss),
        "gradient_norm": last.map(|t| t.gradient_norm),
        "origin": found.origin,
        "cause": found.cause.as_ref().map(|c| c.0),
        "because": found.cause.as_ref().map(|c| c.1.clone()),
        "growth": found.growth,
        "stability": found.stability.map(|s| json!({
            "eigenvalue": s.eigenvalue, "limit": s.limit, "rate": s.rate, "tokens": s.tokens,
            "residual": s.residual, "converged": s.converged, "clip": s.clip,
        })),
        "cures": found.trials,
        "precision": reduced,
        "health": health,
    })
}

/// Describes what is left of text from before a fine-tuning.
pub(crate) fn earlier(r: Remembered) -> String {
    let Remembered { before, after, known, lost, .. } = r;
    if !after.is_finite() {
        return format!(
            "earlier    text from before this training: {before:.3} → {after} nats per token: nothing is predicted any more\n"
        );
    }
    let how = if lost > 0.0 { "lost" } else { "gained" };
    format!(
        "earlier    text from before this training: {before:.3} → {after:.3} nats per token, {:.0} % of the {known:.3} that \
         were known {how}\n",
        100.0 * lost.abs(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use transformer::Precision;

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

    /// Reports a diagnosis without a cause, and health with one measure inside or outside its range.
    fn reported(steps: u64, measure: Option<(f64, (f64, f64))>, warnings: &[String]) -> String {
        let taken = |number| Taken {
            number,
            batch: 0,
            loss: 1.0,
            gradient_norm: 1.0,
            update_ratio: 1e-3,
            layer_ratios: vec![],
            rate: 1e-3,
            largest: vec![],
            largest_gradient: vec![],
            origin: None,
        };
        let found = Diagnosis {
            steps,
            history: (1..=steps).map(taken).collect(),
            origin: None,
            cause: None,
            scores: vec![],
            growth: diagnose::Growth { name: "loss".to_owned(), sizes: vec![(1, 1.0)] },
            stability: None,
            signs: None,
            trials: vec![],
            last_good: diagnose::State::start(vec![]),
        };
        let measures = measure.map(|(value, band)| Measure {
            name: "a measure",
            place: String::new(),
            value,
            band,
        });
        let health = Health {
            measures: measures.into_iter().collect(),
            headroom: vec![],
            updates: vec![],
            layers: vec![],
            noise_scale: f64::NAN,
        };
        let verdict = Verdict::of(&found, Some(&health), warnings.len());
        let recipe = Recipe::adam(1e-3);
        let json = object(&found, &recipe, None, Some(&health), (verdict, warnings));
        assert_eq!(json["healthy"], verdict.is_well());
        described(&found, &recipe, verdict, warnings) + &healthy(&health, 1)
    }

    /// "nothing wrong" is printed only if no line says otherwise.
    #[test]
    fn nothing_is_wrong_only_where_no_line_says_otherwise() {
        let values = [0.0, -1.0, 1e-30, 0.5, 1.0, 2.0, 1e30, f64::INFINITY, f64::NAN];
        let bands = [(0.0, 0.0), (0.0, 1.0), (1e-6, 0.1), (16.0, 300.0), (0.02, 1.00001)];
        let warned = ["a file differs from another".to_owned()];
        let mut both = [0, 0];
        for (value, band) in values.iter().flat_map(|v| bands.map(|b| (*v, b))) {
            for warnings in [&[][..], &warned] {
                let text = reported(2, Some((value, band)), warnings);
                let marked = text.lines().any(|l| l.starts_with("! ") || l.starts_with("warning "));
                assert_eq!(text.contains("nothing wrong"), !marked, "{value} {band:?}: {text}");
                both[usize::from(marked)] += 1;
            }
        }
        assert!(both.iter().all(|n| *n > 5), "{both:?}");
        assert!(reported(2, None, &[]).contains("nothing wrong"));
        // One step shows no change; what it shows all the same is said.
        let one = reported(1, None, &[]);
        assert!(
            one.contains("1 watched, too few steps to judge") && !one.contains("nothing wrong")
        );
        assert!(reported(1, Some((2.0, (0.0, 1.0))), &[]).contains("1 finding below"));
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
