//! Shapes and text of SVG pictures.

use std::fmt::Write;

/// Colours follow the reader's light or dark setting. Paths: forward blue, backward red, update green. Branches of
/// mathematics have colours of their own, and are also named.
pub(super) const STYLE: &str = "
  .page { fill: #fbfaf7 } .ink { fill: #22262b } .faint { fill: #555c65 } .card { fill: #ffffff }
  .line { stroke: #c9c5bb; fill: none } .mask { fill: #ece9e1 }
  .forward { stroke: #2563eb; fill: none } .forward-text { fill: #1d4ed8 }
  .backward { stroke: #dc2626; fill: none } .backward-text { fill: #b91c1c }
  .update { stroke: #16803c; fill: none } .update-text { fill: #166534 }
  .forward-tip { fill: #2563eb } .backward-tip { fill: #dc2626 } .update-tip { fill: #16803c }
  .linalg { fill: #0e7490 } .probability { fill: #b45309 } .calculus { fill: #7e22ce }
  .infotheory { fill: #be185d } .transformer { fill: #475569 }
  .cell { fill: #1d4ed8 } .first { fill: #2563eb } .second { fill: #7e22ce } .alone { fill: #6b7280 }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif }
  .title { font-size: 15px; font-weight: 650 } .big { font-size: 19px; font-weight: 650 }
  .small { font-size: 11.5px }
  @media (prefers-color-scheme: dark) {
    .page { fill: #14171b } .ink { fill: #eceae4 } .faint { fill: #a9afb8 } .card { fill: #1d2126 }
    .line { stroke: #3a4048 } .mask { fill: #24292f }
    .forward { stroke: #60a5fa } .forward-text { fill: #93c5fd }
    .backward { stroke: #f87171 } .backward-text { fill: #fca5a5 }
    .update { stroke: #4ade80 } .update-text { fill: #86efac }
    .forward-tip { fill: #60a5fa } .backward-tip { fill: #f87171 } .update-tip { fill: #4ade80 }
    .linalg { fill: #22d3ee } .probability { fill: #fbbf24 } .calculus { fill: #c084fc }
    .infotheory { fill: #f472b6 } .transformer { fill: #cbd5e1 }
    .cell { fill: #93c5fd } .first { fill: #60a5fa } .second { fill: #c084fc } .alone { fill: #9ca3af }
  }";

/// Returns the opening tag of a picture, with its style if it is a whole file.
pub(super) fn open(width: f64, height: f64, title: &str, whole: bool) -> String {
    let title = escaped(title);
    // Within the page it holds buttons: a named group, not a picture to skip.
    let role = if whole { "img" } else { "group" };
    let style = if whole { format!("<style>{STYLE}\n</style>\n") } else { String::new() };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"{role}\" \
         aria-label=\"{title}\">\n{style}"
    )
}

/// Draws a line with a tip at its end.
pub(super) fn arrow(svg: &mut String, class: &str, path: &[(f64, f64)]) {
    let points: Vec<String> = path.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        svg,
        r#"<polyline class="{class}" points="{}" stroke-width="2.2" stroke-linejoin="round"/>"#,
        points.join(" ")
    );
    let [.., (ax, ay), (bx, by)] = path else { return };
    let length = (bx - ax).hypot(by - ay).max(1e-9);
    let (dx, dy) = ((bx - ax) / length * 9.0, (by - ay) / length * 9.0);
    let _ = writeln!(
        svg,
        r#"<polygon class="{class}-tip" points="{:.1},{:.1} {:.1},{:.1} {:.1},{:.1}"/>"#,
        bx + dx * 0.2,
        by + dy * 0.2,
        bx - dx - dy * 0.55,
        by - dy + dx * 0.55,
        bx - dx + dy * 0.55,
        by - dy - dx * 0.55
    );
}

/// Writes a text at a place.
pub(super) fn label(
    svg: &mut String,
    (x, y): (f64, f64),
    class: &str,
    anchor: &str,
    content: &str,
) {
    let content = escaped(content);
    let _ = writeln!(
        svg,
        r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{content}</text>"#
    );
}

/// Escapes text; characters that XML does not allow become blanks.
pub(super) fn escaped(text: &str) -> String {
    let plain = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let plain = plain.replace('"', "&quot;");
    plain.replace(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'), " ")
}
