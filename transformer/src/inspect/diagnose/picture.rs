//! The growth of a quantity, for a terminal and as SVG.

use super::course::Taken;
use super::origin::{Direction, Origin};
use serde::Serialize;
use std::fmt::Write;

/// The magnitude of a quantity over steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// The name of the quantity.
    pub name: String,
    /// Step and magnitude; infinite if it is not finite.
    pub sizes: Vec<(u64, f64)>,
}

impl Growth {
    /// Returns the growth of the largest element of the value or gradient that an origin names, if the trained
    /// recording has it; otherwise of the loss.
    pub fn of(history: &[Taken], names: &[String], origin: Option<&Origin>) -> Self {
        let index = origin.and_then(|o| names.iter().position(|n| *n == o.name));
        let backward = origin.is_some_and(|o| o.direction == Direction::Backward);
        let size = |t: &Taken| match (index, backward) {
            (Some(i), true) => t.largest_gradient.get(i).copied().unwrap_or(f64::INFINITY),
            (Some(i), false) => t.largest.get(i).copied().unwrap_or(f64::INFINITY),
            (None, _) => t.loss,
        };
        let name = match (origin, index, backward) {
            (Some(o), Some(_), true) => format!("largest gradient of {}", o.name),
            (Some(o), Some(_), false) => format!("largest element of {}", o.name),
            _ => "loss".to_owned(),
        };
        Growth { name, sizes: history.iter().map(|t| (t.number, size(t))).collect() }
    }

    /// Draws a line of bars for a terminal, at most `width` wide: logarithmic, the last steps.
    pub fn sparkline(&self, width: usize) -> String {
        let sizes: Vec<f64> = self.sizes.iter().map(|s| s.1).collect();
        sparkline(&sizes[sizes.len().saturating_sub(width)..])
    }

    /// Draws an SVG.
    pub fn svg(&self) -> String {
        const W: f64 = 640.0;
        const H: f64 = 240.0;
        let logs: Vec<(u64, f64)> = self
            .sizes
            .iter()
            .filter(|(_, s)| s.is_finite() && *s > 0.0)
            .map(|(n, s)| (*n, s.log10()))
            .collect();
        let fold = |f: fn(f64, f64) -> f64, start| logs.iter().map(|l| l.1).fold(start, f);
        let (low, high) = (fold(f64::min, f64::INFINITY), fold(f64::max, f64::NEG_INFINITY));
        let (low, high) = if low < high { (low, high) } else { (low - 1.0, low + 1.0) };
        let (low, high) = if low.is_finite() { (low, high) } else { (0.0, 1.0) };
        let first = self.sizes.first().map_or(0, |s| s.0) as f64;
        let last = self.sizes.last().map_or(1, |s| s.0) as f64;
        let x = |n: u64| 60.0 + (W - 90.0) * (n as f64 - first) / (last - first).max(1.0);
        let y = |l: f64| 200.0 - 150.0 * (l - low) / (high - low);
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {H}" role="img" aria-label="growth">"#
        );
        svg.push_str(
            "<style>.page{fill:#fbfaf7}text{font:13px system-ui,'DejaVu Sans',sans-serif;fill:#22262b}\
             .grid{stroke:#e3e0d8}.curve{stroke:#2f6db3;fill:none;stroke-width:2}.bad{stroke:#c2410c;\
             stroke-width:2;stroke-dasharray:4 3}@media(prefers-color-scheme:dark){.page{fill:#15181c}\
             text{fill:#eceae4}.grid{stroke:#2a2f35}.curve{stroke:#6ea8e8}.bad{stroke:#fb923c}}</style>\n",
        );
        let _ = writeln!(svg, r#"<rect class="page" width="{W}" height="{H}"/>"#);
        let name = self.name.replace('&', "&amp;").replace('<', "&lt;");
        let name = name.replace(|c: char| c.is_control(), " ");
        let _ = writeln!(svg, r#"<text x="16" y="26">{name}, logarithmic</text>"#);
        for l in [low, (low + high) / 2.0, high] {
            let (at, size) = (y(l), 10.0_f64.powf(l));
            let _ = writeln!(
                svg,
                r#"<line class="grid" x1="60" x2="{:.0}" y1="{at:.1}" y2="{at:.1}"/><text x="8" y="{:.1}">{size:.0e}</text>"#,
                W - 30.0,
                at + 4.0
            );
        }
        let points: Vec<String> =
            logs.iter().map(|(n, l)| format!("{:.1},{:.1}", x(*n), y(*l))).collect();
        let _ = writeln!(svg, r#"<polyline class="curve" points="{}"/>"#, points.join(" "));
        for (n, _) in self.sizes.iter().filter(|s| !s.1.is_finite()) {
            let at = x(*n);
            let _ =
                writeln!(svg, r#"<line class="bad" x1="{at:.1}" x2="{at:.1}" y1="44" y2="206"/>"#);
        }
        let _ = writeln!(
            svg,
            r#"<text x="60" y="226">step {first:.0}</text><text x="{:.0}" y="226" text-anchor="end">step {last:.0}</text></svg>"#,
            W - 30.0
        );
        svg
    }
}

/// Draws positive numbers as a line of bars, by their logarithm; `✕` for a non-finite one.
///
/// ```
/// use transformer::inspect::diagnose::sparkline;
/// assert_eq!(sparkline(&[1.0, 10.0, 100.0, f64::INFINITY]), "▁▄█✕");
/// ```
pub fn sparkline(sizes: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let logs = || sizes.iter().filter(|s| s.is_finite() && **s > 0.0).map(|s| s.ln());
    let (low, high) =
        logs().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    let bar = |s: f64| {
        if !s.is_finite() {
            '✕'
        } else if s <= 0.0 || high <= low {
            BARS[0]
        } else {
            BARS[((s.ln() - low) / (high - low) * 7.0).floor() as usize % 8]
        }
    };
    sizes.iter().map(|&s| bar(s)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_nothing_and_of_what_is_not_finite() {
        for sizes in
            [vec![], vec![(1, f64::NAN)], vec![(1, 2.0)], vec![(1, 0.0), (2, f64::INFINITY)]]
        {
            let svg = Growth { name: "a<b".into(), sizes }.svg();
            assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
            assert!(svg.contains("a&lt;b"));
        }
    }
}
