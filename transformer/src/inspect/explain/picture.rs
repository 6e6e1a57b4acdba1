//! Pictures as SVG: the step, its attention, its ledger. For papers and slides, and within the page.

use super::change::short;
use super::svg::{arrow, label, open};
use super::{Explanation, Ledger, Part};
use crate::model::architecture::Positions;
use infotheory::bits;
use linalg::{Real, Role};
use std::fmt::Write;

/// The layout of the picture of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// For screens and slides.
    Wide,
    /// For phones.
    Tall,
}

/// One of the seven boxes.
struct Card {
    part: Part,
    title: String,
    lines: Vec<String>,
    branches: &'static [&'static str],
    at: [f64; 4],
}

impl<T: Real> Explanation<T> {
    /// Returns the pictures of this step: file names and SVGs.
    pub fn pictures(&self, ledger: &Ledger) -> Vec<(String, String)> {
        let mut all = vec![
            ("step.svg".to_owned(), self.step_picture(Layout::Wide, true)),
            ("ledger.svg".to_owned(), self.ledger_picture(ledger)),
        ];
        for (i, node) in self.nodes.iter().enumerate() {
            if let (Some(_), Some(block)) = (node.heads, node.block)
                && node.role == Some(Role::Softmax)
            {
                all.push((format!("attention-{block}.svg"), self.attention_picture(i)));
            }
        }
        all
    }

    fn cards(&self) -> Vec<Card> {
        let config = &self.subject.config;
        let n = self.subject.tokens.len();
        let blocks = config.layers;
        let card = |part, title: &str, lines: Vec<String>, branches| Card {
            part,
            title: title.to_owned(),
            lines,
            branches,
            at: [0.0; 4],
        };
        let activation = self.nodes.iter().find(|n| n.role == Some(Role::Activation));
        let activation = activation.and_then(|n| n.operation).unwrap_or("activation");
        let descent = &self.subject.descent;
        let factor = self.clip_factor();
        let clipped = if factor < 1.0 {
            format!("clipped × {}", short(factor))
        } else {
            "not clipped".into()
        };
        vec![
            card(
                Part::Embedding,
                "1 Embedding",
                match config.positions {
                    Positions::Rotary(_) => vec!["a column per token".into()],
                    _ => vec!["a column per token,".into(), "plus its position".into()],
                },
                &["linalg"],
            ),
            card(
                Part::Attention,
                "2 Self-attention",
                if config.key_value_heads() == config.heads {
                    vec![
                        format!("{} heads: dot products,", config.heads),
                        "softmax, weighted sum".into(),
                    ]
                } else {
                    vec![
                        format!("{} heads, {} of keys:", config.heads, config.key_value_heads()),
                        "dot products, softmax, sum".into(),
                    ]
                },
                &["linalg", "probability"],
            ),
            card(
                Part::FeedForward,
                "3 Feed-forward",
                vec![
                    format!("{} → {} → {}", config.width, config.hidden, config.width),
                    if config.gated {
                        format!("{activation}, as a gate")
                    } else {
                        activation.into()
                    },
                ],
                &["linalg", "calculus"],
            ),
            card(
                Part::Output,
                "4 Output",
                vec![format!("{} scores, by softmax", config.vocabulary), "probabilities".into()],
                &["linalg", "probability"],
            ),
            card(
                Part::Loss,
                "5 Cross-entropy",
                vec![
                    format!("{} nats per token", short(self.loss())),
                    format!("{} bits", short(bits(self.loss()))),
                ],
                &["infotheory"],
            ),
            card(
                Part::Backward,
                "6 Backpropagation",
                vec![
                    "the chain rule, from the loss to every number".into(),
                    format!(
                        "‖g‖ = {} over {} parameters, {n} tokens, {blocks} blocks",
                        short(self.norm),
                        self.updated.len()
                    ),
                ],
                &["calculus"],
            ),
            card(
                Part::Update,
                "7 Update",
                vec![
                    "every weight takes a step against its gradient".into(),
                    format!("learning rate {:.2e}, {clipped}", descent.rate),
                ],
                &["calculus"],
            ),
        ]
    }

    /// Draws the step as seven boxes; `whole` adds a background and a title, for a file of its own.
    pub(super) fn step_picture(&self, layout: Layout, whole: bool) -> String {
        let mut cards = self.cards();
        let config = &self.subject.config;
        let n = self.subject.tokens.len();
        let rows = [config.width, config.width, config.width, config.vocabulary];
        let top = if whole { 104.0 } else { 40.0 };
        let (width, height) = match layout {
            Layout::Wide => (1156.0, top + 380.0),
            Layout::Tall => (360.0, top + 810.0),
        };
        for (i, card) in cards.iter_mut().enumerate() {
            card.at = match (layout, i) {
                (Layout::Wide, 0..=4) => [66.0 + 222.0 * i as f64, top, 184.0, 96.0],
                (Layout::Wide, 5) => [66.0, top + 172.0, 1072.0, 72.0],
                (Layout::Wide, _) => [66.0, top + 292.0, 1072.0, 72.0],
                (Layout::Tall, 0..=4) => [56.0, top + 122.0 * i as f64, 244.0, 82.0],
                (Layout::Tall, 5) => [56.0, top + 610.0, 244.0, 82.0],
                (Layout::Tall, _) => [56.0, top + 720.0, 244.0, 82.0],
            };
        }
        if layout == Layout::Tall {
            // Long lines do not fit.
            cards[5].lines = vec!["the chain rule".into(), format!("‖g‖ = {}", short(self.norm))];
            cards[6].lines = vec![
                "against the gradient".into(),
                format!("learning rate {:.2e}", self.subject.descent.rate),
            ];
        }
        let mut svg = open(width, height, "The seven parts of a training step", whole);
        if whole {
            let _ = writeln!(svg, r#"<rect class="page" width="{width}" height="{height}"/>"#);
            label(&mut svg, (24.0, 36.0), "ink big", "start", &self.subject.title);
        }
        // The part that repeats.
        let [x, y, ..] = cards[1].at;
        let [x2, y2, w2, h2] = cards[2].at;
        let frame = [x - 14.0, y - 14.0, x2 + w2 - x + 28.0, y2 + h2 - y + 28.0];
        let [fx, fy, fw, fh] = frame;
        let _ = writeln!(
            svg,
            r#"<rect class="line" x="{fx}" y="{fy}" width="{fw}" height="{fh}" rx="14" stroke-dasharray="5 5" stroke-width="1.5"/>"#
        );
        let times = format!("× {}", config.layers);
        match layout {
            Layout::Wide => {
                let at = (fx + fw / 2.0, fy - 9.0);
                let text = format!("{times} blocks, each adding to its input");
                label(&mut svg, at, "faint small", "middle", &text);
            }
            Layout::Tall => {
                label(&mut svg, (fx + fw + 4.0, fy + fh / 2.0), "faint", "start", &times);
            }
        }
        for i in 0..4 {
            let ([ax, ay, aw, ah], [bx, by, _, _]) = (cards[i].at, cards[i + 1].at);
            let shape = format!("{}×{n}", rows[i]);
            match layout {
                Layout::Wide => {
                    let y = ay + ah / 2.0;
                    arrow(&mut svg, "forward", &[(ax + aw, y), (bx - 3.0, y)]);
                    let x = (ax + aw + bx) / 2.0;
                    let mut write = |y, text: &str| {
                        label(&mut svg, (x, y), "forward-text small", "middle", text);
                    };
                    // A long shape is wider than the gap between two boxes.
                    match shape.chars().count() > 6 {
                        true => {
                            write(y - 9.0, &rows[i].to_string());
                            write(y + 18.0, &format!("×{n}"));
                        }
                        false => write(y - 9.0, &shape),
                    }
                }
                Layout::Tall => {
                    let x = ax + aw / 2.0;
                    arrow(&mut svg, "forward", &[(x, ay + ah), (x, by - 3.0)]);
                    let at = (x + 10.0, (ay + ah + by) / 2.0 + 4.0);
                    label(&mut svg, at, "forward-text small", "start", &shape);
                }
            }
        }
        self.way_back(&mut svg, &cards, layout);
        for card in &cards {
            draw(&mut svg, card);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Draws the red path from the loss to every part, and the green one back to the weights.
    fn way_back(&self, svg: &mut String, cards: &[Card], layout: Layout) {
        let ([lx, ly, lw, lh], [bx, by, bw, bh], [ux, uy, _, uh]) =
            (cards[4].at, cards[5].at, cards[6].at);
        match layout {
            Layout::Wide => {
                let x = lx + lw / 2.0;
                arrow(svg, "backward", &[(x, ly + lh), (x, by - 3.0)]);
                label(svg, (x + 8.0, by - 16.0), "backward-text small", "start", "dL = 1");
                for (i, card) in cards[..4].iter().enumerate() {
                    let [x, y, w, h] = card.at;
                    let x = x + w / 2.0;
                    let from = if i == 1 || i == 2 { y + h + 14.0 } else { y + h };
                    arrow(svg, "backward", &[(x, by), (x, from + 3.0)]);
                    let norm = self.part_norm(card.part);
                    let text = format!("‖g‖ {}", short(norm));
                    label(svg, (x + 8.0, by - 16.0), "backward-text small", "start", &text);
                }
                let x = bx + bw / 2.0;
                arrow(svg, "update", &[(x, by + bh), (x, uy - 3.0)]);
                label(
                    svg,
                    (x + 10.0, (by + bh + uy) / 2.0 + 4.0),
                    "update-text small",
                    "start",
                    "gradients",
                );
                let [ex, ey, _, eh] = cards[0].at;
                let path = [
                    (ux, uy + uh / 2.0),
                    (26.0, uy + uh / 2.0),
                    (26.0, ey + eh / 2.0),
                    (ex - 3.0, ey + eh / 2.0),
                ];
                arrow(svg, "update", &path);
                label(svg, (33.0, (uy + ey) / 2.0 - 4.0), "update-text small", "start", "θ′");
            }
            Layout::Tall => {
                let x = lx + lw / 2.0;
                arrow(svg, "backward", &[(x, ly + lh), (x, by - 3.0)]);
                arrow(svg, "update", &[(x, by + bh), (x, uy - 3.0)]);
                let [ex, ey, _, eh] = cards[0].at;
                let path = [
                    (ux, uy + uh / 2.0),
                    (20.0, uy + uh / 2.0),
                    (20.0, ey + eh / 2.0),
                    (ex - 3.0, ey + eh / 2.0),
                ];
                arrow(svg, "update", &path);
            }
        }
    }

    /// Returns ‖g‖ of the parameters of a part.
    fn part_norm(&self, part: Part) -> f64 {
        let of =
            self.nodes.iter().enumerate().filter(|(_, n)| n.parameter.is_some() && n.part == part);
        let squares =
            of.flat_map(|(i, _)| self.elements(i, super::Quantity::Gradient).into_owned());
        squares.map(|g| g.to_f64() * g.to_f64()).sum::<f64>().sqrt()
    }

    /// Draws the attention weights of one block, a map per head: a row per query, a column per key.
    fn attention_picture(&self, node: usize) -> String {
        let n = self.nodes[node].shape.rows;
        let heads = self.nodes[node].heads.unwrap_or(1);
        let cell = (220.0 / n as f64).clamp(5.0, 26.0);
        let side = cell * n as f64;
        let labels = n <= 32;
        let (left, top) = (if labels { 70.0 } else { 24.0 }, 92.0);
        let step = side + 66.0 + if labels { 46.0 } else { 0.0 };
        let width = (left + step * heads as f64).max(420.0);
        let height = top + side + if labels { 76.0 } else { 40.0 };
        let block = self.nodes[node].block.unwrap_or(0);
        let mut svg = open(width, height, &format!("Attention of block {block}"), true);
        let _ = writeln!(svg, r#"<rect class="page" width="{width}" height="{height}"/>"#);
        label(&mut svg, (24.0, 34.0), "ink big", "start", &format!("Attention of block {block}"));
        let how = "a row per query: its weight on each key; at the right, entropy in bits";
        label(&mut svg, (24.0, 54.0), "faint small", "start", how);
        for head in 0..heads {
            let x0 = left + step * head as f64;
            label(&mut svg, (x0, top - 10.0), "ink", "start", &format!("head {head}"));
            for query in 0..n {
                let y = top + cell * query as f64;
                let mut entropy = 0.0;
                for key in 0..n {
                    let w = self.element(node, super::Quantity::Value, key, head * n + query);
                    entropy -= if w > 0.0 { w * w.ln() } else { 0.0 };
                    let x = x0 + cell * key as f64;
                    let class = if key > query { "mask" } else { "cell" };
                    let shade = if key > query { 1.0 } else { w };
                    let _ = writeln!(
                        svg,
                        r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{cell:.1}" height="{cell:.1}" opacity="{shade:.3}"/>"#
                    );
                }
                if labels {
                    let at = (x0 - 6.0, y + cell / 2.0 + 4.0);
                    let token = self.visible(self.subject.tokens[query]);
                    label(&mut svg, at, "faint small", "end", &token);
                    let at = (x0 + side + 6.0, y + cell / 2.0 + 4.0);
                    label(&mut svg, at, "faint small", "start", &format!("{:.2}", bits(entropy)));
                    let at = (x0 + cell * (query as f64 + 0.5), top + side + 16.0);
                    label(&mut svg, at, "faint small", "middle", &token);
                }
            }
            let _ = writeln!(
                svg,
                r#"<rect class="line" x="{x0:.1}" y="{top:.1}" width="{side:.1}" height="{side:.1}"/>"#
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Returns a token's name with visible blanks, truncated if long.
    fn visible(&self, token: u32) -> String {
        let name = self.token_name(token);
        let shown = |c: char| match c {
            '\n' => '↵',
            ' ' => '␣',
            '\t' => '⇥',
            c => c,
        };
        name.chars().take(6).map(shown).collect()
    }

    /// Draws the predicted and the measured effect of the update, group by group.
    fn ledger_picture(&self, ledger: &Ledger) -> String {
        let rows = ledger.groups.len() + 1;
        let (width, left, right, top) = (960.0, 250.0, 840.0, 96.0);
        let height = top + 46.0 * rows as f64 + 40.0;
        let mut svg = open(width, height, "The ledger of the step", true);
        let _ = writeln!(svg, r#"<rect class="page" width="{width}" height="{height}"/>"#);
        label(&mut svg, (24.0, 34.0), "ink big", "start", "The ledger of the step");
        let how = "change of the loss in nats per token";
        label(&mut svg, (24.0, 54.0), "faint small", "start", how);
        let keys = [("first", "g·Δθ"), ("second", "½·ΔθᵀHΔθ"), ("alone", "measured")];
        for (i, (class, text)) in keys.into_iter().enumerate() {
            let x = left + 150.0 * i as f64;
            let _ =
                writeln!(svg, r#"<rect class="{class}" x="{x}" y="66" width="12" height="12"/>"#);
            label(&mut svg, (x + 18.0, 76.5), "ink small", "start", text);
        }
        let mut all = vec![("the whole step", ledger.first, ledger.second, ledger.measured())];
        all.extend(ledger.groups.iter().map(|g| (g.name.as_str(), g.first, g.second, g.alone)));
        let values = all.iter().flat_map(|r| [r.1, r.2.unwrap_or(0.0), r.3]);
        let (low, high) = values
            .filter(|x| x.is_finite())
            .fold((0.0_f64, 0.0_f64), |(l, h), x| (l.min(x), h.max(x)));
        let range = (high - low).max(f64::MIN_POSITIVE);
        let x = |v: f64| left + (right - left) * (v.clamp(low, high) - low) / range;
        let zero = x(0.0);
        for (r, (name, first, second, measured)) in all.iter().enumerate() {
            let y = top + 46.0 * r as f64;
            label(&mut svg, (left - 14.0, y + 22.0), "ink", "end", name);
            for (k, (class, v)) in
                [("first", Some(*first)), ("second", *second), ("alone", Some(*measured))]
                    .into_iter()
                    .enumerate()
            {
                let Some(v) = v else { continue };
                let (a, b) = (x(v).min(zero), x(v).max(zero));
                let y = y + 4.0 + 11.0 * k as f64;
                let _ = writeln!(
                    svg,
                    r#"<rect class="{class}" x="{a:.1}" y="{y:.1}" width="{:.1}" height="9"/>"#,
                    (b - a).max(1.0)
                );
            }
            label(&mut svg, (right + 14.0, y + 22.0), "ink small", "start", &short(*measured));
        }
        let bottom = top + 46.0 * rows as f64;
        let _ = writeln!(
            svg,
            r#"<line class="line" x1="{zero:.1}" y1="{top}" x2="{zero:.1}" y2="{bottom:.1}" stroke-width="1.5"/>"#
        );
        label(&mut svg, (zero, bottom + 18.0), "faint small", "middle", "0");
        svg.push_str("</svg>\n");
        svg
    }
}

fn draw(svg: &mut String, card: &Card) {
    let [x, y, w, h] = card.at;
    let part = card.part as usize;
    let _ = writeln!(svg, r#"<g class="part" data-part="{part}" tabindex="0" role="button">"#);
    let _ =
        writeln!(svg, r#"<rect class="card" x="{x}" y="{y}" width="{w}" height="{h}" rx="10"/>"#);
    // A stripe per branch of mathematics, at the left.
    let piece = (h - 20.0) / card.branches.len() as f64;
    for (i, branch) in card.branches.iter().enumerate() {
        let y = y + 10.0 + piece * i as f64;
        let _ = writeln!(
            svg,
            r#"<rect class="{branch}" x="{:.1}" y="{y:.1}" width="5" height="{:.1}" rx="2"/>"#,
            x + 8.0,
            piece - 2.0
        );
    }
    let _ = writeln!(
        svg,
        r#"<rect class="line edge" x="{x}" y="{y}" width="{w}" height="{h}" rx="10" stroke-width="1.5"/>"#
    );
    label(svg, (x + 22.0, y + 25.0), "ink title", "start", &card.title);
    for (i, line) in card.lines.iter().enumerate() {
        label(svg, (x + 22.0, y + 45.0 + 17.0 * i as f64), "faint small", "start", line);
    }
    if h > 90.0 {
        let branches: Vec<&str> = card.branches.iter().map(|b| branch_name(b)).collect();
        label(svg, (x + 22.0, y + h - 10.0), "ink small", "start", &branches.join(" · "));
    }
    svg.push_str("</g>\n");
}

/// Returns a branch of mathematics by its usual name.
pub(super) fn branch_name(branch: &str) -> &str {
    match branch {
        "linalg" => "linear algebra",
        "infotheory" => "information theory",
        other => other,
    }
}
