//! The picture of a plan: the predicted loss against the size, at equal time.

use crate::plot::{begin, line, points, polyline, short, text, thousands, ticks};
use std::fmt::Write;
use transformer::Time;
use transformer::inspect::plan::{Alternative, Plan};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 724.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 408.0;

/// The curve, its interval and the chosen size, for light and dark pages.
const RULES: [&str; 2] = [
    ".loss { stroke: #2f6db3 } .band { fill: #2f6db3; opacity: .16 } .dot { stroke: #2f6db3; stroke-width: 6; stroke-linecap: round }
  .chosen { stroke: #c2410c } .chosen-text { fill: #c2410c }",
    ".loss { stroke: #6ea8e8 } .band { fill: #6ea8e8 } .dot { stroke: #6ea8e8 }
    .chosen { stroke: #fb923c } .chosen-text { fill: #fb923c }",
];

/// Returns the picture as SVG.
pub(super) fn svg(plan: &Plan, name: &str, unit: &str, time: Time) -> String {
    let all = &plan.alternatives;
    let title = format!("Loss against size, {time} of training on {name}");
    let what = format!(
        "nats per {unit}, predicted from {} short runs; the band holds 90 %",
        plan.pilots.len()
    );
    let mut svg = begin([WIDTH, HEIGHT], "Predicted loss against size", RULES, [&title, &what]);
    let scale = Scale::of(all);
    for y in ticks(scale.low, scale.high, 6) {
        line(&mut svg, LEFT, scale.y(y), RIGHT, scale.y(y), "grid", 1.0);
        text(&mut svg, LEFT - 10.0, scale.y(y) + 4.5, "faint", "end", &short(y));
    }
    line(&mut svg, LEFT, BOTTOM, RIGHT, BOTTOM, "axis", 1.0);
    for a in all {
        let x = scale.x(a);
        line(&mut svg, x, BOTTOM, x, BOTTOM + 5.0, "axis", 1.0);
        text(&mut svg, x, BOTTOM + 21.0, "faint", "middle", &size(a.parameters));
    }
    text(&mut svg, (LEFT + RIGHT) / 2.0, BOTTOM + 44.0, "faint", "middle", "parameters");
    let place = |a: &Alternative, loss: f64| (scale.x(a), scale.y(loss));
    let upper = all.iter().map(|a| place(a, a.interval.high));
    let lower = all.iter().rev().map(|a| place(a, a.interval.low));
    let band = points(&upper.chain(lower).collect::<Vec<_>>());
    let _ = writeln!(svg, r#"<polygon class="band" points="{band}"/>"#);
    let curve: Vec<_> = all.iter().map(|a| place(a, a.loss)).collect();
    polyline(&mut svg, &curve, "loss", 2.4);
    for (i, dot) in curve.iter().enumerate() {
        let class = if i == plan.chosen { "chosen dot" } else { "dot" };
        let there = points(&[*dot, *dot]);
        let _ = writeln!(svg, r#"<polyline class="{class}" points="{there}"/>"#);
    }
    let (choice, (x, y)) = (plan.choice(), curve[plan.chosen]);
    let label = format!("{} parameters, {:.3}", thousands(choice.parameters as f64), choice.loss);
    // Below the point: the curve has its minimum there.
    let x = x.clamp(LEFT + 90.0, RIGHT - 90.0);
    text(&mut svg, x, (y + 26.0).min(BOTTOM - 8.0), "chosen-text", "middle", &label);
    svg.push_str("</svg>\n");
    svg
}

/// Formats a number of parameters shortly: 26k, 1.2M.
fn size(n: u64) -> String {
    match n as f64 {
        n if n < 1e6 => format!("{:.0}k", n / 1e3),
        n if n < 1e7 => format!("{:.1}M", n / 1e6),
        n => format!("{:.0}M", n / 1e6),
    }
}

struct Scale {
    low: f64,
    high: f64,
    left: f64,
    right: f64,
}

impl Scale {
    fn of(all: &[Alternative]) -> Self {
        let ends = all.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), a| {
            (low.min(a.interval.low), high.max(a.interval.high.min(2.0 * a.loss)))
        });
        let room = 0.06 * (ends.1 - ends.0).max(1e-3);
        let log = |a: Option<&Alternative>| a.map_or(0.0, |a| (a.parameters as f64).ln());
        Scale {
            low: (ends.0 - room).max(0.0),
            high: ends.1 + room,
            left: log(all.first()),
            right: log(all.last()),
        }
    }

    fn x(&self, a: &Alternative) -> f64 {
        let room = 28.0;
        let share = ((a.parameters as f64).ln() - self.left) / (self.right - self.left);
        let share = if share.is_finite() { share } else { 0.5 };
        LEFT + room + (RIGHT - LEFT - 2.0 * room) * share
    }

    fn y(&self, loss: f64) -> f64 {
        let y = BOTTOM - (BOTTOM - TOP) * (loss - self.low) / (self.high - self.low);
        y.clamp(TOP, BOTTOM)
    }
}
