//! The picture of a run: loss over steps, with reference lines; and rewards below, if it learned from preferences.

pub(crate) mod chart;
mod rewards;

use std::fmt::Write;
use transformer::Preferred;

/// A curve of losses with reference lines.
pub(crate) struct LossPlot<'a> {
    pub(crate) title: &'a str,
    pub(crate) subtitle: &'a str,
    /// The unit of a token: "character", "byte".
    pub(crate) unit: &'a str,
    /// (step, nats per token) of every batch.
    pub(crate) train: &'a [(u64, f64)],
    /// (step, nats per token) on the validation part.
    pub(crate) validation: &'a [(u64, f64)],
    /// Baselines: a name and nats per token.
    pub(crate) baselines: &'a [(String, f64)],
    /// The entropy of the source, if it is known.
    pub(crate) entropy: Option<f64>,
    /// Accuracy and rewards on held-back preferences at each evaluation; empty in other runs.
    pub(crate) preferred: &'a [(u64, Preferred)],
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 540.0;
/// The area of the curves.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 770.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 484.0;
/// The least distance of two labels at the right edge.
const LABEL: f64 = 17.0;

/// Colours of the curves, for light and for dark pages; the two curves also differ in lightness, for colour-blind readers.
const CURVES: [&str; 2] = [
    ".train { stroke: #2f6db3 } .train-text { fill: #2f6db3 } .spread { fill: #2f6db3; opacity: .16 }
  .check { stroke: #c2410c; fill: #c2410c } .check-text { fill: #c2410c }
  .base { stroke: #9aa0a8; stroke-dasharray: 2 4 } .floor { stroke: #15803d } .floor-text { fill: #15803d }
  .floor-area { fill: #15803d; opacity: .08 }",
    ".train { stroke: #6ea8e8 } .train-text { fill: #6ea8e8 } .spread { fill: #6ea8e8 }
    .check { stroke: #fb923c; fill: #fb923c } .check-text { fill: #fb923c } .base { stroke: #6b727b }
    .floor { stroke: #4ade80 } .floor-text { fill: #4ade80 } .floor-area { fill: #4ade80 }",
];

/// Returns the style of a picture with these rules for its curves, on light and on dark pages: the reader's setting
/// decides.
fn style([light, dark]: [&str; 2]) -> String {
    format!(
        "
  .page {{ fill: #fbfaf7 }} .ink {{ fill: #22262b }} .faint {{ fill: #5d646d }} .grid {{ stroke: #e3e0d8 }}
  .axis {{ stroke: #8a8f96 }}
  {light}
  text {{ font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif }}
  .title {{ font-size: 19px; font-weight: 600 }}
  @media (prefers-color-scheme: dark) {{
    .page {{ fill: #15181c }} .ink {{ fill: #eceae4 }} .faint {{ fill: #a2a8b0 }} .grid {{ stroke: #2a2f35 }}
    .axis {{ stroke: #6c737b }}
    {dark}
  }}"
    )
}

/// Begins a picture of this width and height: its name for readers that do not see, its style, its title and a line below.
pub(crate) fn begin(
    [width, height]: [f64; 2],
    name: &str,
    rules: [&str; 2],
    [title, subtitle]: [&str; 2],
) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{}">
<style>{}
</style>
<rect class="page" width="{width}" height="{height}"/>
"#,
        escaped(name),
        style(rules)
    );
    text(&mut svg, 24.0, 36.0, "ink title", "start", title);
    text(&mut svg, 24.0, 58.0, "faint", "start", subtitle);
    svg
}

impl LossPlot<'_> {
    /// Returns the picture as SVG.
    pub(crate) fn svg(&self) -> String {
        let scale = self.scale();
        let height = if self.preferred.is_empty() { HEIGHT } else { HEIGHT + rewards::HEIGHT };
        let mut svg = begin([WIDTH, height], self.title, CURVES, [self.title, self.subtitle]);
        self.axes(&mut svg, &scale);
        self.curves(&mut svg, &scale);
        if !self.preferred.is_empty() {
            rewards::draw(&mut svg, self.preferred, scale.steps);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn scale(&self) -> Scale {
        let last = self.train.iter().chain(self.validation).map(|p| p.0).max().unwrap_or(1);
        let losses = self.train.iter().chain(self.validation).map(|p| p.1);
        let lines = self.baselines.iter().map(|b| b.1).chain(self.entropy);
        let shown = losses.chain(lines).filter(|x| x.is_finite() && *x > 0.0);
        let (low, high) = shown.fold((f64::INFINITY, 0.0_f64), |(l, h), x| (l.min(x), h.max(x)));
        let (low, high) = if high > 0.0 { (low, high) } else { (0.5, 1.0) };
        // If losses span a factor of 6, only a logarithmic axis shows the end.
        let logarithmic = high / low > 6.0;
        let (low, high) = if logarithmic {
            (low / 1.25, high * 1.1)
        } else {
            let room = (0.08 * (high - low)).max(0.02 * high);
            ((low - room).max(0.0), high + room)
        };
        Scale { steps: last.max(1) as f64, low, high, logarithmic }
    }

    fn axes(&self, svg: &mut String, scale: &Scale) {
        for y in scale.losses() {
            let at = scale.y(y);
            line(svg, LEFT, at, RIGHT, at, "grid", 1.0);
            text(svg, LEFT - 10.0, at + 4.5, "faint", "end", &short(y));
        }
        line(svg, LEFT, BOTTOM, RIGHT, BOTTOM, "axis", 1.0);
        for x in ticks(0.0, scale.steps, 6).into_iter().filter(|x| x.fract() == 0.0) {
            line(svg, scale.x(x), BOTTOM, scale.x(x), BOTTOM + 5.0, "axis", 1.0);
            text(svg, scale.x(x), BOTTOM + 21.0, "faint", "middle", &thousands(x));
        }
        text(svg, (LEFT + RIGHT) / 2.0, BOTTOM + 42.0, "faint", "middle", "step");
        let unit = format!("nats per {}", self.unit);
        let kind = if scale.logarithmic { ", logarithmic" } else { "" };
        text(svg, 24.0, TOP - 6.0, "faint", "start", &format!("loss ({unit}{kind})"));
    }

    fn curves(&self, svg: &mut String, scale: &Scale) {
        let mut labels = Vec::new();
        for (name, value) in self.baselines.iter().filter(|b| b.1.is_finite() && b.1 > 0.0) {
            let at = scale.y(*value);
            line(svg, LEFT, at, RIGHT, at, "base", 1.2);
            labels.push((at, "faint", format!("{name}  {value:.3}")));
        }
        if let Some(entropy) = self.entropy {
            let at = scale.y(entropy);
            let _ = writeln!(
                svg,
                r#"<rect class="floor-area" x="{LEFT}" y="{at:.1}" width="{:.1}" height="{:.1}"/>"#,
                RIGHT - LEFT,
                BOTTOM - at
            );
            line(svg, LEFT, at, RIGHT, at, "floor", 2.0);
            labels.push((at, "floor-text", format!("entropy  {entropy:.3}")));
        }
        let bins = binned(self.train, 320);
        let mut spread: Vec<_> = bins.iter().map(|b| (scale.x(b.step), scale.y(b.high))).collect();
        spread.extend(bins.iter().rev().map(|b| (scale.x(b.step), scale.y(b.low))));
        let _ = writeln!(svg, r#"<polygon class="spread" points="{}"/>"#, points(&spread));
        let mean: Vec<_> = bins.iter().map(|b| (scale.x(b.step), scale.y(b.mean))).collect();
        polyline(svg, &mean, "train", 1.6);
        if let Some(last) = bins.last() {
            labels.push((scale.y(last.mean), "train-text", format!("training  {:.3}", last.mean)));
        }
        let mut finite = self.validation.iter().filter(|p| p.1.is_finite());
        let check: Vec<_> = finite.clone().map(|p| (scale.x(p.0 as f64), scale.y(p.1))).collect();
        polyline(svg, &check, "check", 2.0);
        for (x, y) in &check {
            let _ = writeln!(svg, r#"<circle class="check" cx="{x:.1}" cy="{y:.1}" r="3.2"/>"#);
        }
        if let Some((_, loss)) = finite.next_back() {
            labels.push((scale.y(*loss), "check-text", format!("validation  {loss:.3}")));
        }
        for (at, y, class, label) in spread_out(labels) {
            line(svg, RIGHT + 3.0, at, RIGHT + 14.0, y, "axis", 0.7);
            text(svg, RIGHT + 19.0, y + 4.5, class, "start", &label);
        }
    }
}

/// Maps steps and losses to the picture.
struct Scale {
    steps: f64,
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    fn x(&self, step: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * step / self.steps
    }

    fn y(&self, loss: f64) -> f64 {
        let loss = loss.clamp(self.low, self.high);
        let share = if self.logarithmic {
            (loss / self.low).ln() / (self.high / self.low).ln()
        } else {
            (loss - self.low) / (self.high - self.low)
        };
        BOTTOM - (BOTTOM - TOP) * share
    }

    /// Returns the losses of grid lines and their labels.
    fn losses(&self) -> Vec<f64> {
        if !self.logarithmic {
            return ticks(self.low, self.high, 7);
        }
        let decades = -6..=6;
        let steps = decades.flat_map(|d| [1.0, 2.0, 5.0].map(|m| m * 10.0_f64.powi(d)));
        steps.filter(|y| (self.low..=self.high).contains(y)).collect()
    }
}

/// Returns multiples of 1, 2 or 5 times a power of ten: about `count` between `low` and `high`.
pub(crate) fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let rough = (high - low) / count as f64;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|t| *t <= high * (1.0 + 1e-9)).collect()
}

/// Several steps in one point.
struct Bin {
    step: f64,
    mean: f64,
    low: f64,
    high: f64,
}

fn binned(points: &[(u64, f64)], count: usize) -> Vec<Bin> {
    let finite: Vec<_> = points.iter().filter(|p| p.1.is_finite()).collect();
    let bins = finite.chunks(finite.len().div_ceil(count).max(1));
    bins.map(|bin| {
        let n = bin.len() as f64;
        Bin {
            step: bin.iter().map(|p| p.0 as f64).sum::<f64>() / n,
            mean: bin.iter().map(|p| p.1).sum::<f64>() / n,
            low: bin.iter().map(|p| p.1).fold(f64::INFINITY, f64::min),
            high: bin.iter().map(|p| p.1).fold(0.0, f64::max),
        }
    })
    .collect()
}

/// Moves labels apart from top to bottom, then back up from the bottom edge: (place, new place, …).
fn spread_out(labels: Vec<(f64, &'static str, String)>) -> Vec<(f64, f64, &'static str, String)> {
    spread_out_to(labels, BOTTOM)
}

/// Like [`spread_out`], with another bottom edge.
fn spread_out_to(
    mut labels: Vec<(f64, &'static str, String)>,
    bottom: f64,
) -> Vec<(f64, f64, &'static str, String)> {
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut places: Vec<f64> = labels.iter().map(|l| l.0).collect();
    for i in 1..places.len() {
        places[i] = places[i].max(places[i - 1] + LABEL);
    }
    let mut limit = bottom + 8.0;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - LABEL;
    }
    labels.into_iter().zip(places).map(|((at, class, label), y)| (at, y, class, label)).collect()
}

pub(crate) fn line(svg: &mut String, x1: f64, y1: f64, x2: f64, y2: f64, class: &str, width: f64) {
    let _ = writeln!(
        svg,
        r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke-width="{width}"/>"#
    );
}

pub(crate) fn polyline(svg: &mut String, at: &[(f64, f64)], class: &str, width: f64) {
    let points = points(at);
    let _ = writeln!(
        svg,
        r#"<polyline class="{class}" points="{points}" style="fill:none" stroke-width="{width}" stroke-linejoin="round"/>"#
    );
}

pub(crate) fn points(at: &[(f64, f64)]) -> String {
    at.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

pub(crate) fn text(svg: &mut String, x: f64, y: f64, class: &str, anchor: &str, content: &str) {
    let content = escaped(content);
    let _ = writeln!(
        svg,
        r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{content}</text>"#
    );
}

pub(crate) fn escaped(text: &str) -> String {
    let plain = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // A file's name may contain characters that XML does not allow.
    plain.replace('"', "&quot;").replace(|c: char| c.is_control(), " ")
}

pub(crate) fn short(y: f64) -> String {
    let text = format!("{y:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats 12500 as "12,500".
pub(crate) fn thousands(x: f64) -> String {
    let digits = format!("{x:.0}");
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 2000.0, 6), [0.0, 500.0, 1000.0, 1500.0, 2000.0]);
        let t = ticks(1.3, 4.4, 7);
        assert_eq!(t.len(), 6);
        assert!((t[0] - 1.5).abs() < 1e-12);
    }

    #[test]
    fn labels_keep_their_distance() {
        let at = |y| (y, "faint", String::new());
        let placed = spread_out(vec![at(BOTTOM), at(BOTTOM - 1.0), at(100.0), at(BOTTOM - 2.0)]);
        let places: Vec<f64> = placed.iter().map(|p| p.1).collect();
        assert!(places.windows(2).all(|w| w[1] - w[0] >= LABEL - 1e-9));
        assert!(places.iter().all(|y| *y <= BOTTOM + 8.0));
    }

    #[test]
    fn broken_losses_and_hostile_names_leave_a_well_formed_picture() {
        let svg = LossPlot {
            title: "a<b & \"c\"\u{1}",
            subtitle: "",
            unit: "byte",
            train: &[(1, f64::NAN), (2, 3.0), (3, f64::INFINITY)],
            validation: &[(3, f64::NAN)],
            baselines: &[("1-gram".into(), 3.3)],
            entropy: None,
            preferred: &[(3, Preferred { chosen: f64::NAN, ..Preferred::default() })],
        }
        .svg();
        assert!(svg.contains("a&lt;b &amp; &quot;c&quot; "));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn no_step_at_all_is_still_a_picture() {
        let plot = LossPlot {
            title: "",
            subtitle: "",
            unit: "byte",
            train: &[],
            validation: &[],
            baselines: &[],
            entropy: None,
            preferred: &[],
        };
        assert!(plot.svg().ends_with("</svg>\n"));
    }
}
