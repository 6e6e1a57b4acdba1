//! The step as one HTML file: no network, no library, from disk.
//!
//! The page holds the recording as data: structure, formulas, numbers. Its own program evaluates the formulas, so every
//! number can be followed there as in the terminal. User data is data too: it is stored in JSON in which `<` is
//! escaped, and enters the document as text only.

use super::picture::Layout;
use super::svg::{STYLE, escaped};
use super::{Explanation, Ledger, Outcome, Quantity, Spectrum, Summary, blob, json};
use crate::model::recorded_step::{IGNORED, ModelError};
use calculus::Source;
use linalg::View;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// A page, and the names that it leaves out.
#[derive(Clone, Debug)]
pub struct Page {
    /// The file.
    pub html: String,
    /// Names of matrices that are included only as summaries, because there is no room.
    pub left_out: Vec<String>,
}

const FRAME: &str = include_str!("page/page.html");
const LOOK: &str = include_str!("page/page.css");
const PROGRAM: [&str; 5] = [
    include_str!("page/numbers.js"),
    include_str!("page/formula.js"),
    include_str!("page/maps.js"),
    include_str!("page/sections.js"),
    include_str!("page/page.js"),
];

/// Rows and columns of the thumbnail of a matrix that is left out.
const THUMB: usize = 24;

/// The numbers of a page, and the remaining room.
struct Store<'a> {
    room: usize,
    left_out: Vec<String>,
    /// Cached results of slow computations, for repeated layouts.
    computed: &'a mut HashMap<(usize, Quantity), Value>,
    /// A callback for every value that was processed.
    tell: &'a mut dyn FnMut(),
}

impl Store<'_> {
    /// Stores numbers if there is room.
    fn put(&mut self, what: &str, numbers: &[f32], mut data: Value) -> Value {
        data["check"] = json!(blob::checksum(numbers));
        if self.takes(&data) {
            return data;
        }
        self.leave_out(what.to_owned());
        Value::Null
    }

    /// Stores a thumbnail if there is room.
    fn small(&mut self, data: Value) -> Value {
        if self.takes(&data) { data } else { Value::Null }
    }

    /// Reserves room for a value, if there is enough.
    fn takes(&mut self, data: &Value) -> bool {
        /// Its name, and the separator to the next one.
        const AROUND: usize = 16;
        let left = self.room.checked_sub(data.to_string().len() + AROUND);
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }

    fn leave_out(&mut self, what: String) {
        self.left_out.push(what);
    }

    /// Checks whether there can be room for N differences: deflate compresses the 4 bytes of each to no less than a
    /// thousandth.
    fn may_take(&self, numbers: usize) -> bool {
        numbers / 200 <= self.room
    }
}

impl Explanation<f32> {
    /// Returns the page, of at most `room` bytes: activations and their gradients first, then parameters, then the
    /// optimizer state. The rest is included only as summaries, and the page says so. Everything but the numbers is
    /// always included (about 250 kB, and more for many layers or tokens), even if it exceeds the room.
    ///
    /// # Errors
    /// Like [`Explanation::of`].
    pub fn page(&self, room: usize) -> Result<Page, ModelError> {
        self.page_watched(room, |_, _| {})
    }

    /// Like [`Explanation::page`]; calls `tell(done, all)` to report progress.
    ///
    /// # Errors
    /// Like [`Explanation::of`].
    pub fn page_watched(
        &self,
        room: usize,
        mut tell: impl FnMut(usize, usize),
    ) -> Result<Page, ModelError> {
        let (mut done, all) = (0, 2 * self.nodes.len());
        let mut each = || {
            done = (done + 1).min(all);
            tell(done, all);
        };
        let frame = self.frame()?;
        let mut computed = HashMap::new();
        let laid_out = |numbers: usize, computed: &mut HashMap<_, _>, each: &mut dyn FnMut()| {
            let (mut nodes, mut data) = frame.clone();
            let mut store = Store { room: numbers, left_out: Vec::new(), computed, tell: each };
            if numbers > 0 {
                self.fill(&mut nodes, &mut store);
                maps(&mut data, &mut store);
            } else {
                bare(&mut nodes, &mut data);
            }
            data["nodes"] = json!(nodes);
            data["left_out"] = json!(store.left_out);
            Page { html: self.html(&data), left_out: store.left_out }
        };
        // The room that remains after everything else; the list of what was left out may have to be dropped, too.
        let mut numbers = room.saturating_sub(laid_out(0, &mut computed, &mut each).html.len());
        for _ in 0..8 {
            let page = laid_out(numbers.max(1), &mut computed, &mut each);
            let over = page.html.len().saturating_sub(room);
            if over == 0 || numbers == 0 {
                return Ok(page);
            }
            numbers = numbers.saturating_sub(over + 1024);
        }
        Ok(laid_out(1, &mut computed, &mut each))
    }

    /// Returns everything in the page except its numbers: nodes and the rest.
    fn frame(&self) -> Result<(Vec<Value>, Value), ModelError> {
        let ledger = self.ledger()?;
        let before = self.outcome()?;
        let mut formulas: Vec<String> = Vec::new();
        let mut nodes: Vec<Value> = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let formula = node.formula.as_ref().map(|f| {
                let text = json::formula(f).to_string();
                formulas.iter().position(|known| *known == text).unwrap_or_else(|| {
                    formulas.push(text);
                    formulas.len() - 1
                })
            });
            let summary =
                |q| self.has(i, q).then(|| summarised(&Summary::of(&self.elements(i, q))));
            nodes.push(json!({
                "name": node.name,
                "source": match node.source {
                    Source::Parameter => "parameter",
                    Source::Frozen => "frozen",
                    Source::Input => "input",
                    Source::Operation => "operation",
                },
                "rows": node.shape.rows,
                "columns": node.shape.columns,
                "operation": node.operation,
                "branch": node.branch,
                "operands": node.operands,
                "consumers": node.consumers,
                "formula": formula,
                "heads": node.heads,
                "part": node.part as usize,
                "block": node.block,
                "flops": node.flops,
                "moves": self.moves(i),
                "summary": {
                    "value": summary(Quantity::Value),
                    "gradient": summary(Quantity::Gradient),
                    "updated": summary(Quantity::Updated),
                },
            }));
        }
        let formulas = format!("[{}]", formulas.join(","));
        let formulas: Value = serde_json::from_str(&formulas).expect("written just now");
        let subject = &self.subject;
        let descent = &subject.descent;
        let config = &subject.config;
        let token = |&t: &u32| (t != IGNORED).then(|| self.token_name(t));
        let data = json!({
            "title": subject.title,
            "remarks": subject.remarks,
            "left_out": [],
            "model": {
                "layers": config.layers, "heads": config.heads, "width": config.width,
                "hidden": config.hidden, "vocabulary": config.vocabulary, "context": config.context,
                "parameters": self.updated.len(), "tied": config.tied,
            },
            "tokens": subject.tokens.iter().map(token).collect::<Vec<_>>(),
            "ids": subject.tokens,
            "targets": subject.targets.iter().map(token).collect::<Vec<_>>(),
            "target_ids": subject.targets.iter().map(|&t| (t != IGNORED).then_some(t)).collect::<Vec<_>>(),
            "names": self.shown_names(),
            "nodes": [],
            "formulas": formulas,
            "clip_formula": json::formula(&calculus::clip::formula(self.norm, descent.limit())),
            "loss": self.nodes.iter().position(|n| n.var == self.model.loss_var()),
            "descent": {
                "rule": descent.rule.kind.key(), "rate": descent.rate, "clip": descent.clip,
                "factor": self.clip_factor(), "norm": self.norm, "steps": descent.steps,
                "memory": self.remembered.iter().map(|m| m.0.replace('_', " ")).collect::<Vec<_>>(),
            },
            "ledger": ledger_json(&ledger),
            "adapters": self.adapter_changes().iter().map(|a| json!({
                "name": a.name, "rank": a.rank, "factor": a.factor, "values": spectrum_json(&a.after),
                "before": json::number(a.before.ratio), "after": json::number(a.after.ratio),
                "effective_rank": json::number(a.after.effective_rank),
                "length": a.lengths.map(|[_, after]| json::number(after)),
            })).collect::<Vec<_>>(),
            "information": self.information_json(),
            "before": outcome_json(&before, &self.token_name(before.next.0)),
            "changes": self.changes()?.iter().map(|c| json!({
                "name": c.name, "what": c.what, "sentence": c.sentence,
                "outcome": outcome_json(&c.outcome, &self.token_name(c.outcome.next.0)),
            })).collect::<Vec<_>>(),
        });
        Ok((nodes, data))
    }

    /// Assembles the file.
    fn html(&self, data: &Value) -> String {
        // In a data script element, only `<` could end it or begin a comment.
        let data = data.to_string().replace('<', "\\u003c");
        FRAME
            .replace("{{title}}", &escaped(&self.subject.title))
            .replace("{{style}}", &format!("{STYLE}\n{LOOK}"))
            .replace("{{program}}", &PROGRAM.join("\n"))
            .replace("{{wide}}", &self.step_picture(Layout::Wide, false))
            .replace("{{tall}}", &self.step_picture(Layout::Tall, false))
            .replace("{{data}}", &data)
    }

    /// Returns the tables of a node's formula.
    fn tables(&self, node: usize, store: &mut Store<'_>) -> Value {
        let tables = self.nodes[node].formula.iter().flat_map(|f| &f.tables);
        let tables = tables.map(|(name, table)| {
            let numbers: Vec<f32> = table.iter().map(|&x| x as f32).collect();
            let mut data = store.put(name, &numbers, json!({ "f": blob::floats(&numbers) }));
            data["rows"] = json!(table.nrows());
            data
        });
        tables.collect()
    }

    /// Adds numbers in the order of their importance.
    fn fill(&self, nodes: &mut [Value], store: &mut Store<'_>) {
        let floats = |x: &[f32]| json!({ "f": blob::floats(x) });
        let parameter = |i: usize| self.nodes[i].parameter.is_some();
        for (i, value) in nodes.iter_mut().enumerate() {
            value["data"] = json!({});
            (store.tell)();
            let node = &self.nodes[i];
            if !parameter(i) {
                let elements = self.elements(i, Quantity::Value);
                value["data"]["value"] = store.put(&node.name, &elements, floats(&elements));
                if self.has(i, Quantity::Gradient) {
                    let elements = self.elements(i, Quantity::Gradient);
                    let name = format!("gradient of {}", node.name);
                    value["data"]["gradient"] = store.put(&name, &elements, floats(&elements));
                }
                value["tables"] = self.tables(i, store);
            }
        }
        let parameters: Vec<usize> = (0..nodes.len()).filter(|&i| parameter(i)).collect();
        for &i in &parameters {
            let elements = self.elements(i, Quantity::Value);
            nodes[i]["data"]["value"] =
                store.put(&self.nodes[i].name, &elements, floats(&elements));
        }
        for &i in &parameters {
            let memory: Vec<Value> = (0..self.remembered.len())
                .map(|k| {
                    let elements = self.elements(i, Quantity::Remembered(k));
                    let name = format!("{} of {}", self.remembered[k].0, self.nodes[i].name);
                    if elements.iter().all(|&x| x == 0.0) {
                        return json!({ "zero": true });
                    }
                    store.put(&name.replace('_', " "), &elements, floats(&elements))
                })
                .collect();
            nodes[i]["data"]["memory"] = json!(memory);
            if self.nodes[i].formula.as_ref().is_some_and(|f| !f.tables.is_empty()) {
                nodes[i]["tables"] = self.tables(i, store);
            }
        }
        for &i in &parameters {
            if nodes[i]["data"]["value"].is_null() {
                // Values that the page computes need their operands.
                for quantity in [Quantity::Value, Quantity::Gradient] {
                    nodes[i]["thumb"][quantity.to_string()] = store.small(self.thumb(i, quantity));
                }
                store.leave_out(format!("gradient and update of {}", self.nodes[i].name));
                continue;
            }
            (store.tell)();
            let name = format!("gradient of {}", self.nodes[i].name);
            nodes[i]["data"]["gradient"] = self.follows(i, Quantity::Gradient, &name, store);
            let all = |of: &Value, there: &dyn Fn(&Value) -> bool| {
                of.as_array().is_none_or(|of| of.iter().all(there))
            };
            let known = all(&nodes[i]["data"]["memory"], &|m| !m.is_null())
                && all(&nodes[i]["tables"], &|table| !table["f"].is_null());
            if !known {
                store.leave_out(format!("update of {}", self.nodes[i].name));
                nodes[i]["thumb"]["updated"] = store.small(self.thumb(i, Quantity::Updated));
                continue;
            }
            let name = format!("update of {}", self.nodes[i].name);
            nodes[i]["data"]["updated"] = self.follows(i, Quantity::Updated, &name, store);
        }
    }

    /// Stores a quantity of a parameter that the page computes, as differences from the computed values.
    fn follows(&self, i: usize, quantity: Quantity, name: &str, store: &mut Store<'_>) -> Value {
        let elements = self.elements(i, quantity);
        if !store.may_take(elements.len()) {
            store.leave_out(name.to_owned());
            return Value::Null;
        }
        let differences =
            || json!({ "u": blob::differences(&elements, &self.computed(i, quantity)) });
        let data = store.computed.entry((i, quantity)).or_insert_with(differences).clone();
        store.put(name, &elements, data)
    }

    /// Returns the page's values for a parameter: the formula's values, rounded to `f32`.
    fn computed(&self, node: usize, quantity: Quantity) -> Vec<f32> {
        let all = self.arithmetic(node, quantity).into_iter();
        all.map(|x| x.unwrap_or(0.0) as f32).collect()
    }

    /// Returns a thumbnail of a matrix: the means of a few pieces.
    fn thumb(&self, node: usize, quantity: Quantity) -> Value {
        let shape = self.nodes[node].shape;
        let elements = self.elements(node, quantity);
        let matrix = View::from_slice(&elements, shape.rows, shape.columns);
        let (rows, columns) = (shape.rows.min(THUMB), shape.columns.min(THUMB));
        let mut means = Vec::new();
        for c in 0..columns {
            for r in 0..rows {
                let (r0, r1) = (r * shape.rows / rows, (r + 1) * shape.rows / rows);
                let (c0, c1) = (c * shape.columns / columns, (c + 1) * shape.columns / columns);
                let piece = matrix.view((r0, c0), (r1 - r0, c1 - c0));
                let mean = piece.iter().map(|&x| f64::from(x)).sum::<f64>() / piece.len() as f64;
                means.push(json::number((mean as f32).into()));
            }
        }
        json!({ "rows": rows, "columns": columns, "means": means })
    }

    /// Returns the vocabulary's names that the page shows.
    fn shown_names(&self) -> Value {
        /// In larger vocabularies, only predicted tokens are named.
        const MOST: usize = 4096;
        let vocabulary = self.subject.config.vocabulary;
        if vocabulary > MOST {
            return Value::Null;
        }
        (0..vocabulary as u32).map(|t| self.token_name(t)).collect()
    }

    fn information_json(&self) -> Value {
        let about = self.information();
        let finite = |x: f64| json::number(x);
        json!({
            "nats": finite(about.nats),
            "uniform": about.uniform,
            "entropy": finite(about.entropy),
            "unigram": finite(about.unigram),
            "divergence": finite(about.divergence),
            "own_frequencies": about.own_frequencies,
            "predictions": about.predictions.iter().map(|p| json!({
                "surprisal": finite(p.surprisal),
                "entropy": finite(p.entropy),
                "rank": p.rank,
                "top": p.top.iter().map(|(t, p)| json!([t, self.token_name(*t), p])).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "calibration": about.calibration.iter().map(|b| json!({
                "low": b.low, "high": b.high, "count": b.count, "confidence": b.confidence,
                "accuracy": b.accuracy,
            })).collect::<Vec<_>>(),
        })
    }
}

/// Adds the maps of attention, the step's own first, as far as there is room.
fn maps(data: &mut Value, store: &mut Store<'_>) {
    let mut take = |outcome: &mut Value| {
        let map = outcome["attention"].take();
        outcome["attention"] = store.small(map);
    };
    take(&mut data["before"]);
    let changes = data["changes"].as_array_mut().into_iter().flatten();
    changes.for_each(|change| take(&mut change["outcome"]));
}

/// Removes all numbers.
fn bare(nodes: &mut [Value], data: &mut Value) {
    nodes.iter_mut().for_each(|node| node["data"] = json!({}));
    data["before"]["attention"] = Value::Null;
    let changes = data["changes"].as_array_mut().into_iter().flatten();
    changes.for_each(|change| change["outcome"]["attention"] = Value::Null);
}

fn summarised(s: &Summary) -> Value {
    json!({
        "mean": s.mean, "deviation": s.deviation, "minimum": s.minimum, "maximum": s.maximum,
        "rms": s.rms, "infinite": s.infinite, "histogram": s.histogram,
    })
}

fn spectrum_json(spectrum: &Spectrum) -> Vec<Value> {
    spectrum.values.iter().map(|&x| json::number(x)).collect()
}

fn ledger_json(ledger: &Ledger) -> Value {
    let optional = |x: Option<f64>| x.map(json::number);
    let groups = ledger.groups.iter().map(|g| {
        json!({
            "name": g.name, "parameters": g.parameters, "first": json::number(g.first),
            "second": optional(g.second), "alone": json::number(g.alone),
            "gradient": json::number(g.gradient), "ratio": json::number(g.ratio),
        })
    });
    let pairs =
        |p: &[(f64, f64)]| p.iter().map(|(s, x)| json!([s, json::number(*x)])).collect::<Vec<_>>();
    json!({
        "before": json::number(ledger.before),
        "after": json::number(ledger.after),
        "first": json::number(ledger.first),
        "second": optional(ledger.second),
        "measured": json::number(ledger.measured()),
        "remainder": optional(ledger.remainder()),
        "groups": groups.collect::<Vec<_>>(),
        "frozen": ledger.frozen,
        "scales": pairs(&ledger.scales),
        "remainders": pairs(&ledger.remainders()),
        "shares": ledger.shares.iter().map(|s| json!({
            "place": s.place, "norm": json::number(s.norm), "share": json::number(s.share),
        })).collect::<Vec<_>>(),
    })
}

fn outcome_json(o: &Outcome, next: &str) -> Value {
    let mut object = Map::new();
    let numbers = [
        ("loss", o.loss),
        ("after", o.after),
        ("gradient_norm", o.gradient_norm),
        ("largest", o.largest),
        ("future", o.future),
        ("attention_entropy", o.attention_entropy),
    ];
    for (name, x) in numbers {
        object.insert(name.to_owned(), json::number(x));
    }
    object.insert("infinite".into(), json!(o.infinite));
    object.insert("surprisal".into(), o.surprisal.iter().map(|&x| json::number(x)).collect());
    object.insert("next".into(), json!([next, json::number(o.next.1)]));
    // The map of the first block's first head, to three digits: only for display.
    let rounded = |w: &f32| json!((f64::from(*w) * 1e3).round() / 1e3);
    let tokens = o.surprisal.len();
    let head = |a: &Vec<f32>| a.iter().take(tokens * tokens).map(rounded).collect::<Vec<_>>();
    let map = o.attention.first().map(head);
    object.insert("attention".into(), json!(map));
    Value::Object(object)
}
