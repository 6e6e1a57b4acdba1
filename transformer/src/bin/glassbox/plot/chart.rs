//! A picture of curves and points over one pair of axes, each linear or logarithmic.

use super::{begin, line, polyline, short, spread_out_to, text, ticks};
use crate::reproduce::papers::page::{Picture, Series};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 412.0;

/// Five colours, for light and for dark pages; they differ in lightness too, for colour-blind readers.
const RULES: [&str; 2] = [
    ".c0 { stroke: #2f6db3 } .t0 { fill: #2f6db3 } .c1 { stroke: #c2410c } .t1 { fill: #c2410c }
  .c2 { stroke: #15803d } .t2 { fill: #15803d } .c3 { stroke: #7c3aed } .t3 { fill: #7c3aed }
  .c4 { stroke: #8a6d00 } .t4 { fill: #8a6d00 } .level { stroke: #9aa0a8; stroke-dasharray: 2 4 }",
    ".c0 { stroke: #6ea8e8 } .t0 { fill: #6ea8e8 } .c1 { stroke: #fb923c } .t1 { fill: #fb923c }
    .c2 { stroke: #4ade80 } .t2 { fill: #4ade80 } .c3 { stroke: #c4b5fd } .t3 { fill: #c4b5fd }
    .c4 { stroke: #e7c84b } .t4 { fill: #e7c84b } .level { stroke: #6b727b }",
];
const CURVES: [&str; 5] = ["c0", "c1", "c2", "c3", "c4"];
const LABELS: [&str; 5] = ["t0", "t1", "t2", "t3", "t4"];

/// An axis: its ends, and where a value lies between them.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, logarithmic: bool) -> Self {
        let shown = values.filter(|x| x.is_finite() && (!logarithmic || *x > 0.0));
        let (low, high) =
            shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        if low > high {
            return Axis { low: 0.0, high: 1.0, logarithmic: false };
        }
        if logarithmic {
            return Axis { low: low / 1.1, high: high * 1.1, logarithmic };
        }
        let room = match 0.05 * (high - low) {
            0.0 => 0.5 * high.abs().max(1.0),
            room => room,
        };
        Axis { low: low - room, high: high + room, logarithmic }
    }

    fn share(&self, x: f64) -> f64 {
        let share = match self.logarithmic {
            true => (x / self.low).ln() / (self.high / self.low).ln(),
            false => (x - self.low) / (self.high - self.low),
        };
        share.clamp(0.0, 1.0)
    }

    fn ticks(&self, count: usize) -> Vec<f64> {
        if !self.logarithmic {
            return ticks(self.low, self.high, count);
        }
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let of = |steps: &[f64]| -> Vec<f64> {
            let all = decades.clone().flat_map(|d| steps.iter().map(move |m| m * 10_f64.powi(d)));
            all.filter(|x| (self.low..=self.high).contains(x)).collect()
        };
        let fine = of(&[1.0, 2.0, 5.0]);
        if fine.len() <= count + 3 { fine } else { of(&[1.0]) }
    }
}

/// Formats a number of an axis.
fn number(x: f64) -> String {
    if x == 0.0 || (1e-3..1e5).contains(&x.abs()) { short(x) } else { format!("{x:.0e}") }
}

/// Returns the picture as SVG.
pub(crate) fn svg(picture: &Picture) -> String {
    let all = || picture.series.iter().flat_map(|series| series.points.iter());
    let levels = picture.levels.iter().map(|level| level.1);
    let x = Axis::of(all().map(|p| p[0]), picture.logarithmic[0]);
    let y = Axis::of(all().map(|p| p[1]).chain(levels), picture.logarithmic[1]);
    let place = |[a, b]: [f64; 2]| {
        (LEFT + (RIGHT - LEFT) * x.share(a), BOTTOM - (BOTTOM - TOP) * y.share(b))
    };
    let [across, up] = picture.axes;
    let mut svg = begin([WIDTH, HEIGHT], &picture.title, RULES, [&picture.title, up]);
    for tick in y.ticks(6) {
        let at = place([x.low, tick]).1;
        line(&mut svg, LEFT, at, RIGHT, at, "grid", 1.0);
        text(&mut svg, LEFT - 10.0, at + 4.5, "faint", "end", &number(tick));
    }
    line(&mut svg, LEFT, BOTTOM, RIGHT, BOTTOM, "axis", 1.0);
    for tick in x.ticks(6) {
        let at = place([tick, y.low]).0;
        line(&mut svg, at, BOTTOM, at, BOTTOM + 5.0, "axis", 1.0);
        text(&mut svg, at, BOTTOM + 21.0, "faint", "middle", &number(tick));
    }
    text(&mut svg, (LEFT + RIGHT) / 2.0, BOTTOM + 44.0, "faint", "middle", across);
    let mut labels = Vec::new();
    for (name, value) in &picture.levels {
        let at = place([x.low, *value]).1;
        line(&mut svg, LEFT, at, RIGHT, at, "level", 1.2);
        labels.push((at, "faint", format!("{name}  {}", number(*value))));
    }
    for (i, Series { name, points, line }) in picture.series.iter().enumerate() {
        let (curve, label) = (CURVES[i % CURVES.len()], LABELS[i % LABELS.len()]);
        let shown = |p: &&[f64; 2]| p.iter().all(|x| x.is_finite());
        let at: Vec<_> = points.iter().filter(shown).map(|p| place(*p)).collect();
        if *line {
            polyline(&mut svg, &at, curve, 2.0);
        } else {
            for (x, y) in &at {
                let _ = writeln!(
                    svg,
                    r#"<circle class="{curve}" cx="{x:.1}" cy="{y:.1}" r="1.8" style="fill:none"/>"#
                );
            }
        }
        if let Some(last) = at.iter().max_by(|a, b| a.0.total_cmp(&b.0)) {
            labels.push((last.1, label, name.clone()));
        }
    }
    for (at, y, class, label) in spread_out_to(labels, BOTTOM) {
        super::line(&mut svg, RIGHT + 3.0, at, RIGHT + 14.0, y, "axis", 0.7);
        text(&mut svg, RIGHT + 19.0, y + 4.5, class, "start", &label);
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_lies_where_its_numbers_say() {
        let axis = Axis::of([1.0, 100.0].into_iter(), true);
        assert!((axis.share(10.0) - 0.5).abs() < 1e-12);
        assert_eq!(axis.ticks(6), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        let axis = Axis::of([0.0, 10.0].into_iter(), false);
        assert!((axis.share(5.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_picture_without_numbers_is_a_picture() {
        let nothing = Picture::new("nothing <here>", ["x", "y"]).logarithmic([true, true]);
        for picture in [
            nothing,
            Picture::new("one number", ["x", "y"]).line("a", vec![[f64::NAN, 1.0], [1.0, 1.0]]),
        ] {
            let svg = svg(&picture);
            assert!(
                svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN\""),
                "{svg}"
            );
        }
    }
}
