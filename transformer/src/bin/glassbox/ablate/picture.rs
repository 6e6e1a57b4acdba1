//! The picture of an experiment: every effect with its interval.

use super::Outcome;
use crate::plot::{begin, line, short, text, ticks};

const WIDTH: f64 = 800.0;
const LEFT: f64 = 300.0;
const RIGHT: f64 = 760.0;
const TOP: f64 = 92.0;
const ROW: f64 = 34.0;

/// Effects that are shown to be better, to be worse, and others, for light and dark pages.
const RULES: [&str; 2] = [
    ".better { stroke: #15803d } .worse { stroke: #c2410c } .open { stroke: #8a8f96 } .dot { stroke-linecap: round }",
    ".better { stroke: #4ade80 } .worse { stroke: #fb923c } .open { stroke: #6c737b }",
];

/// Returns the picture as SVG.
pub(super) fn svg(outcome: &Outcome, unit: &str) -> String {
    let effects = &outcome.analysis.effects;
    let bottom = TOP + ROW * effects.len() as f64;
    let height = bottom + 60.0;
    let confidence = 100.0 * (1.0 - outcome.analysis.significance);
    let what = format!(
        "nats per {unit} against the first value, with intervals of {confidence:.2} %; left is better; grey: no difference is shown"
    );
    let name = format!("Effects of {} levels", effects.len());
    let mut svg = begin([WIDTH, height], &name, RULES, ["What each setting changes", &what]);
    let ends = effects.iter().flat_map(|e| e.interval).chain([0.0]).filter(|x| x.is_finite());
    let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(l, h), x| (l.min(x), h.max(x)));
    let room = (0.06 * (high - low)).max(1e-6);
    let (low, high) = (low - room, high + room);
    let x = |value: f64| LEFT + (RIGHT - LEFT) * ((value - low) / (high - low)).clamp(0.0, 1.0);
    for tick in ticks(low, high, 5) {
        line(&mut svg, x(tick), TOP - 8.0, x(tick), bottom, "grid", 1.0);
        text(&mut svg, x(tick), bottom + 22.0, "faint", "middle", &short(tick));
    }
    line(&mut svg, x(0.0), TOP - 8.0, x(0.0), bottom, "axis", 1.4);
    for (i, e) in effects.iter().enumerate() {
        let y = TOP + ROW * (i as f64 + 0.4);
        let factor = &outcome.design.factors()[e.factor];
        let label =
            format!("{}: {} against {}", factor.name, factor.levels[e.level], factor.levels[0]);
        text(&mut svg, LEFT - 16.0, y + 4.5, "ink", "end", &label);
        let class = match (e.significant, e.difference < 0.0) {
            (false, _) => "open",
            (true, true) => "better",
            (true, false) => "worse",
        };
        line(&mut svg, x(e.interval[0]), y, x(e.interval[1]), y, class, 2.4);
        let dot = format!("{class} dot");
        line(&mut svg, x(e.difference), y, x(e.difference), y, &dot, 9.0);
    }
    svg.push_str("</svg>\n");
    svg
}
