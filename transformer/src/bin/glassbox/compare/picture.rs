//! The picture of several runs: losses against steps, tokens and seconds.

use super::given::Given;
use crate::plot::{begin, line, points, polyline, short, text, thousands, ticks};
use std::fmt::Write;
use transformer::inspect::compare::Curve;
use transformer::inspect::compare::curve::Place;

const WIDTH: f64 = 1180.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 396.0;
const LEFT: f64 = 70.0;
/// The width of a panel, and its distance from the next one.
const PANEL: f64 = 330.0;
const GAP: f64 = 34.0;
/// Places of a training curve that are drawn.
const DRAWN: usize = 240;

/// Colours of runs, for light and dark pages; neighbours differ in lightness too, for colour-blind readers.
const COLOURS: [[&str; 2]; 8] = [
    ["#2f6db3", "#6ea8e8"],
    ["#c2410c", "#fb923c"],
    ["#15803d", "#4ade80"],
    ["#6d28d9", "#c4b5fd"],
    ["#9f1239", "#fda4af"],
    ["#0e7490", "#67e8f9"],
    ["#854d0e", "#fde047"],
    ["#475569", "#cbd5e1"],
];

/// A name for an axis, and the number of a place on it.
type Axis = (&'static str, fn(&Place) -> f64);

const AXES: [Axis; 3] = [
    ("step", |place| place.step as f64),
    ("tokens", |place| place.tokens as f64),
    ("seconds of training", |place| place.seconds),
];

/// Returns the picture of all runs with metrics.
pub(super) fn svg(given: &[Given]) -> String {
    let runs: Vec<(String, &Curve)> = given
        .iter()
        .filter(|g| g.curve.summary().is_some())
        .map(|g| (format!("{} {}", g.label, g.path.display()), &g.curve))
        .collect();
    drawn(&runs)
}

fn drawn(runs: &[(String, &Curve)]) -> String {
    let height = BOTTOM + 62.0 + 20.0 * runs.len() as f64;
    let light = format!(
        ".thin {{ opacity: .38 }} .dot {{ stroke-width: 5; stroke-linecap: round }}{}",
        rules(0)
    );
    let name = format!("Losses of {} runs", runs.len());
    let what = "nats per token; thick with dots: held-back text, thin: training batches";
    let titles = ["Losses of the runs", what];
    let mut svg = begin([WIDTH, height], &name, [&light, &rules(1)], titles);
    let scale = Losses::of(runs);
    for (i, axis) in AXES.iter().enumerate() {
        panel(&mut svg, LEFT + i as f64 * (PANEL + GAP), i == 0, axis, &scale, runs);
    }
    for (k, (name, curve)) in runs.iter().enumerate() {
        let (y, class) = (BOTTOM + 66.0 + 20.0 * k as f64, class(k));
        line(&mut svg, LEFT, y - 4.5, LEFT + 26.0, y - 4.5, &class, 3.0);
        let last = curve.held_back.last().map_or(String::new(), |p| format!(": {:.4}", p.loss));
        text(&mut svg, LEFT + 36.0, y, "ink", "start", &format!("{name}{last}"));
    }
    svg.push_str("</svg>\n");
    svg
}

fn class(run: usize) -> String {
    format!("run{}", run % COLOURS.len())
}

/// Returns the rules of the runs' colours, for light or for dark pages.
fn rules(shade: usize) -> String {
    let rule =
        |(i, colours): (usize, &[&str; 2])| format!(" .run{i} {{ stroke: {} }}", colours[shade]);
    COLOURS.iter().enumerate().map(rule).collect()
}

/// The scale of losses, the same in all panels.
struct Losses {
    low: f64,
    high: f64,
}

impl Losses {
    fn of(runs: &[(String, &Curve)]) -> Self {
        let places = || runs.iter().flat_map(|(_, c)| c.training.iter().chain(&c.held_back));
        let (low, high) = places()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p.loss), h.max(p.loss)));
        if low > high {
            return Losses { low: 0.0, high: 1.0 };
        }
        let room = (0.06 * (high - low)).max(0.02 * high.abs()).max(1e-6);
        Losses { low: (low - room).max(0.0), high: high + room }
    }

    fn y(&self, loss: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * (loss - self.low) / (self.high - self.low)
    }
}

fn panel(
    svg: &mut String,
    left: f64,
    labels: bool,
    (name, of): &Axis,
    scale: &Losses,
    runs: &[(String, &Curve)],
) {
    let right = left + PANEL;
    for y in ticks(scale.low, scale.high, 6) {
        line(svg, left, scale.y(y), right, scale.y(y), "grid", 1.0);
        if labels {
            text(svg, left - 10.0, scale.y(y) + 4.5, "faint", "end", &short(y));
        }
    }
    line(svg, left, BOTTOM, right, BOTTOM, "axis", 1.0);
    let places = runs.iter().flat_map(|(_, c)| c.training.iter().chain(&c.held_back));
    let last = places.map(of).fold(0.0, f64::max);
    let last = if last > 0.0 { last } else { 1.0 };
    let x = |value: f64| left + PANEL * value / last;
    let shown = |value: f64| if last < 5.0 { short(value) } else { thousands(value) };
    for tick in ticks(0.0, last, 4) {
        line(svg, x(tick), BOTTOM, x(tick), BOTTOM + 5.0, "axis", 1.0);
        text(svg, x(tick), BOTTOM + 21.0, "faint", "middle", &shown(tick));
    }
    text(svg, (left + right) / 2.0, BOTTOM + 42.0, "faint", "middle", name);
    for (k, (_, curve)) in runs.iter().enumerate() {
        // Several steps are one point: the mean of their losses, at the last one.
        let size = curve.training.len().div_ceil(DRAWN).max(1);
        let mean = curve.training.chunks(size).map(|some| {
            let mean = some.iter().map(|p| p.loss).sum::<f64>() / some.len() as f64;
            (x(some.last().map_or(0.0, of)), scale.y(mean))
        });
        polyline(svg, &mean.collect::<Vec<_>>(), &format!("{} thin", class(k)), 1.2);
    }
    for (k, (_, curve)) in runs.iter().enumerate() {
        let at: Vec<_> = curve.held_back.iter().map(|p| (x(of(p)), scale.y(p.loss))).collect();
        polyline(svg, &at, &class(k), 2.4);
        for dot in &at {
            // A line without length and with round ends is a dot in the colour of the line.
            let there = points(&[*dot, *dot]);
            let _ = writeln!(svg, r#"<polyline class="{} dot" points="{there}"/>"#, class(k));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(end: u64, losses: &[f64]) -> Curve {
        let place = |(i, loss): (usize, &f64)| {
            let step = end * (i as u64 + 1) / losses.len() as u64;
            Place { step, tokens: 100 * step, seconds: 0.5 * step as f64, loss: *loss }
        };
        let all: Vec<Place> = losses.iter().enumerate().map(place).collect();
        Curve { training: all.clone(), held_back: all.into_iter().skip(1).step_by(2).collect() }
    }

    /// All places are inside the panels, and hostile names leave a well-formed picture.
    #[test]
    fn curves_are_inside_and_names_are_escaped() {
        let (a, b) = (curve(300, &[4.0, 3.0, 2.5, 2.4]), curve(700, &[4.1, 2.0, 1.5, 1.2]));
        let svg = drawn(&[("A <b>&\u{1}".into(), &a), ("B".into(), &b)]);
        assert!(svg.contains("A &lt;b&gt;&amp; ") && svg.ends_with("</svg>\n"));
        let lists = svg.split("points=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let mut seen = 0;
        for pair in lists.flat_map(|list| list.split(' ')) {
            let (x, y) = pair.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((LEFT..=WIDTH).contains(&x) && (TOP..=BOTTOM).contains(&y), "{pair}");
            seen += 1;
        }
        assert!(seen > 20);
    }

    #[test]
    fn no_run_is_still_a_picture() {
        assert!(drawn(&[]).ends_with("</svg>\n"));
    }
}
