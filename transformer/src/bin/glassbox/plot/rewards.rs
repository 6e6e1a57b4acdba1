//! Rewards over steps: of chosen and of rejected answers, with the accuracy and the divergence from the reference.

use super::{BOTTOM, LEFT, RIGHT, line, polyline, short, spread_out_to, text, ticks};
use std::fmt::Write;
use transformer::Preferred;

/// The height that the panel adds to a picture.
pub(super) const HEIGHT: f64 = 330.0;
const PANEL_TOP: f64 = BOTTOM + 96.0;
const PANEL_BOTTOM: f64 = BOTTOM + 306.0;

/// Draws the panel below the losses.
pub(super) fn draw(svg: &mut String, all: &[(u64, Preferred)], steps: f64) {
    let sides = all.iter().flat_map(|(_, p)| [p.chosen, p.rejected]);
    let finite = sides.filter(|x| x.is_finite());
    let (low, high) = finite.fold((0.0_f64, 0.0_f64), |(l, h), x| (l.min(x), h.max(x)));
    let room = (0.08 * (high - low)).max(1e-3);
    let (low, high) = (low - room, high + room);
    let x = |step: u64| LEFT + (RIGHT - LEFT) * step as f64 / steps;
    let y = |reward: f64| PANEL_BOTTOM - (PANEL_BOTTOM - PANEL_TOP) * (reward - low) / (high - low);
    for tick in ticks(low, high, 5) {
        line(svg, LEFT, y(tick), RIGHT, y(tick), "grid", 1.0);
        text(svg, LEFT - 10.0, y(tick) + 4.5, "faint", "end", &short(tick));
    }
    line(svg, LEFT, y(0.0), RIGHT, y(0.0), "axis", 1.0);
    let what = "reward: β · nats by which an answer is likelier than under the reference";
    text(svg, 24.0, PANEL_TOP - 10.0, "faint", "start", what);
    let mut labels = vec![];
    for (name, class, label) in
        [("chosen", "train", "train-text"), ("rejected", "check", "check-text")]
    {
        let of = |p: &Preferred| if name == "chosen" { p.chosen } else { p.rejected };
        // Before training every reward is 0.
        let measured = all.iter().map(|(step, p)| (*step, of(p))).filter(|(_, r)| r.is_finite());
        let measured: Vec<_> = std::iter::once((0, 0.0)).chain(measured).collect();
        let points: Vec<_> = measured.iter().map(|(step, reward)| (x(*step), y(*reward))).collect();
        polyline(svg, &points, class, 2.0);
        for (x, y) in &points {
            let _ = writeln!(svg, r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="2.6"/>"#);
        }
        if let (Some((_, at)), Some((_, last))) = (points.last(), measured.last()) {
            labels.push((*at, label, format!("{name}  {last:.3}")));
        }
    }
    for (at, place, class, label) in spread_out_to(labels, PANEL_BOTTOM) {
        line(svg, RIGHT + 3.0, at, RIGHT + 14.0, place, "axis", 0.7);
        text(svg, RIGHT + 19.0, place + 4.5, class, "start", &label);
    }
    if let Some((_, last)) = all.last() {
        let divergence = last.divergence.map(|nats| format!(", divergence {nats:.3} nats a token"));
        let divergence = divergence.unwrap_or_default();
        let margin = Some(last.margin()).filter(|margin| margin.is_finite());
        let margin = margin.map(|margin| format!("margin {margin:.3}, ")).unwrap_or_default();
        let share = format!("{margin}accuracy {:.3}{divergence}", last.accuracy);
        text(svg, RIGHT, PANEL_TOP - 10.0, "ink", "end", &share);
    }
}
