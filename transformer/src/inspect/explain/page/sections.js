// The sections: a box opened, a number followed, the ledger, changes, information.

const BRANCHES = { linalg: "linear algebra", probability: "probability", calculus: "calculus", infotheory: "information theory", transformer: "transformer" };
const PARTS = ["Embedding", "Self-attention", "Feed-forward", "Output", "Loss", "Backpropagation", "Update"];
const byId = (id) => document.getElementById(id);
const fill = (id, ...children) => byId(id).replaceChildren(...children.flat(2).filter(Boolean));

/** Returns the address of an element. */
function named(node, row, column) {
  const it = D.nodes[node];
  if (it.heads) return `${it.name}[${Math.floor(column / it.rows)},${column % it.rows},${row}]`;
  if (it.columns === 1) return `${it.name}[${row}]`;
  if (it.rows === 1) return `${it.name}[${column}]`;
  return `${it.name}[${row},${column}]`;
}

function describe(p) {
  const name = named(p.node, p.row, p.column);
  if (p.quantity === "value") return name;
  if (p.quantity === "gradient") return `∇${name}`;
  if (p.quantity === "clipped") return `g′ of ${name}`;
  if (p.quantity === "updated") return `updated ${name}`;
  return `${D.descent.memory[p.quantity]} of ${name}`;
}

// Inside: the operations of a part, in order, with what flows between them.

let open = { part: 0, block: 0, node: null };

function places() {
  const all = [{ part: 0, block: null, text: "Embedding" }];
  for (let b = 0; b < D.model.layers; b++) {
    all.push({ part: 1, block: b, text: `Attention ${b}` }, { part: 2, block: b, text: `Feed-forward ${b}` });
  }
  all.push({ part: 3, block: null, text: "Output" }, { part: 4, block: null, text: "Loss" });
  return all;
}

function showPart(part, block) {
  open = { part, block: part === 1 || part === 2 ? block ?? 0 : null, node: null };
  const chips = places().map((p) => {
    const here = p.part === open.part && p.block === open.block;
    return h("button", { class: "chip", "aria-pressed": String(here), onclick: () => showPart(p.part, p.block) }, p.text);
  });
  fill("where", chips);
  fill("flow-title", places().find((p) => p.part === open.part && p.block === open.block).text);
  const members = D.nodes.map((n, i) => i).filter((i) => D.nodes[i].part === open.part && D.nodes[i].block === open.block);
  const operations = members.filter((i) => D.nodes[i].source === "operation");
  const items = [];
  const given = members.filter((i) => D.nodes[i].source === "input");
  for (const i of given) items.push(h("li", {}, card(i)));
  operations.forEach((i, k) => {
    const it = D.nodes[i];
    const from = it.operands.filter((o) => D.nodes[o].source === "operation");
    const arrows = from.map((o) => flowLine(o, o !== operations[k - 1]));
    items.push(h("li", {}, arrows.length ? h("div", { class: "arrows" }, arrows) : null, card(i),
      h("div", { class: "weights" }, it.operands.filter((o) => ["parameter", "frozen"].includes(D.nodes[o].source)).map((o) => parameterChip(o)))));
  });
  fill("flow", items);
  const shown = operations.find((i) => D.nodes[i].name.endsWith(".weights")) ?? operations[0] ?? members[0];
  return openNode(shown, true);
}

/** The flow between two operations: forward the shape, backward the gradient. */
function flowLine(o, named) {
  const it = D.nodes[o];
  const gradient = it.summary.gradient;
  return h("div", { class: "flow-line" },
    h("span", { class: "forward-key" }, `↓ ${it.rows}×${it.columns}`),
    named ? h("span", { class: "from" }, `from ${it.name}`) : null,
    gradient ? h("span", { class: "backward-key" }, `↑ ∇ ${short(gradient.rms)}`) : null);
}

const localName = (it) => it.name.replace(/^block\.\d+\./, "");

function card(i) {
  const it = D.nodes[i];
  return h("button", { class: `card-button ${it.branch || "given"}`, "data-node": i, "aria-pressed": String(open.node === i), onclick: () => openNode(i) },
    h("span", { class: "card-name" }, localName(it)),
    h("span", { class: "card-shape" }, `${it.rows}×${it.columns}`),
    h("span", { class: "card-what" }, it.operation ? `${it.operation} · ${BRANCHES[it.branch] || it.branch}` : it.source === "input" ? "given" : "learned"));
}

function parameterChip(o) {
  const it = D.nodes[o];
  return h("button", { class: "weight-chip", "data-node": o, onclick: () => openNode(o) }, `${localName(it)} ${it.rows}×${it.columns}`);
}

// A box opened.

async function openNode(i, quietly) {
  open.node = i;
  document.querySelectorAll(".card-button").forEach((b) => b.setAttribute("aria-pressed", String(Number(b.dataset.node) === i)));
  const it = D.nodes[i];
  const kinds = [["value", "value"]];
  if (it.moves) kinds.push(["gradient", "gradient"]);
  if (it.source === "parameter") {
    kinds.push(["updated", "after the update"], ["clipped", "clipped gradient"]);
    D.descent.memory.forEach((name, k) => kinds.push([k, name]));
  }
  const view = h("div", { class: "view" });
  const tabs = h("div", { class: "chips", role: "group", "aria-label": "Quantity" });
  const choose = async (kind) => {
    tabs.replaceChildren(...kinds.map(([k, text]) => h("button", { class: "chip small", "aria-pressed": String(k === kind), onclick: () => choose(k) }, text)));
    view.replaceChildren(...(await matrixView(i, kind)));
  };
  const formula = it.source === "operation" ? formulaOf(i, "value") : null;
  const path = paths(i, it.source === "parameter" ? "updated" : "value")[0];
  fill("box",
    h("h3", { id: "box-title" }, it.name),
    h("p", { class: "badges" },
      h("span", { class: `badge ${it.branch || "given"}` }, it.branch ? BRANCHES[it.branch] || it.branch : { input: "given", frozen: "frozen" }[it.source] || "learned"),
      h("span", { class: "badge" }, it.operation || { parameter: "a parameter", frozen: "a frozen parameter" }[it.source] || "an input"),
      h("span", { class: "badge" }, `${it.rows}×${it.columns}`),
      it.flops ? h("span", { class: "badge" }, `${it.flops.toLocaleString("en")} FLOPs`) : null),
    formula ? h("p", {}, formula.meaning) : it.source === "parameter" ? h("p", {}, path ? formulaOf(i, "update").meaning : "") : h("p", {}, it.source === "frozen" ? "Training does not change it." : "Read from the text."),
    path ? h("div", { class: "formulas", tabindex: "0", role: "group", "aria-label": "Formula" }, mathematics(path)) : null,
    formula ? h("p", { class: "faint" }, `Source: ${formula.source}`) : null,
    it.operands.length ? h("p", { class: "faint" }, "From ", it.operands.map((o, k) => [k ? ", " : "", h("button", { class: "link", onclick: () => openNode(o) }, D.nodes[o].name)])) : null,
    it.consumers.length ? h("p", { class: "faint" }, "Read by ", it.consumers.map(([r], k) => [k ? ", " : "", h("button", { class: "link", onclick: () => openNode(r) }, D.nodes[r].name)])) : null,
    tabs, view);
  await choose("value");
  if (!quietly) byId("box").focus({ preventScroll: innerWidth > 760 });
}

/** Shows a quantity of a node as pictures and numbers. */
async function matrixView(i, kind) {
  const it = D.nodes[i];
  const numbers = await load(i, kind);
  const summary = (typeof kind === "string" && it.summary[kind]) || null;
  if (!numbers) {
    const thumb = it.thumb && it.thumb[kind];
    const parts = [h("p", { class: "note" }, "Omitted here because there is no room; the terminal has it: ", h("code", {}, `glassbox explain … --at '${named(i, 0, 0)}'`))];
    if (thumb) {
      const at = (r, c) => number(thumb.means[c * thumb.rows + r]);
      const map = new HeatMap({ rows: thumb.rows, columns: thumb.columns, at, scale: scaleOf(thumb.means.map(number)), label: "Means of pieces", open: () => {}, name: (r, c) => `piece [${r},${c}]` });
      parts.push(map.element);
    }
    if (summary) parts.push(histogram(summary), moments(summary));
    return parts;
  }
  const parts = [];
  const follow = (row, column) => followNumber({ node: i, quantity: kind, row, column });
  if (it.heads) {
    parts.push(attentionMaps(i, kind, numbers, follow));
  } else {
    const sequential = it.name === "probabilities" && kind === "value";
    const scale = scaleOf(numbers);
    const map = new HeatMap({
      rows: it.rows, columns: it.columns, at: (r, c) => numbers[c * it.rows + r], scale, sequential,
      label: `${it.name}, ${kind}`, open: follow, name: (r, c) => describe({ node: i, quantity: kind, row: r, column: c }),
    });
    parts.push(map.element, scaleBar(scale, sequential));
    if (it.columns === D.tokens.length && it.rows > 1) parts.push(h("p", { class: "faint" }, "A column per token, a row per feature."));
  }
  if (summary) parts.push(histogram(summary), moments(summary));
  if (it.name === "probabilities" || it.name === "logits") parts.push(await predictionView());
  return parts;
}

/** Shows attention: a map per head over the tokens, hidden ones hatched, entropy in bits by row. */
function attentionMaps(i, kind, numbers, follow) {
  const it = D.nodes[i], n = it.rows;
  const weights = kind === "value" && it.name.includes("weights");
  const scale = weights ? 1 : scaleOf(numbers);
  const cell = Math.max(4, Math.min(22, Math.floor(264 / n)));
  const maps = [];
  for (let head = 0; head < it.heads; head++) {
    const at = (query, key) => numbers[(head * n + query) * n + key];
    const map = new HeatMap({
      rows: n, columns: n, at, scale, sequential: weights, cell, label: `${it.name}, head ${head}`,
      hidden: (query, key) => key > query && it.name.match(/masked|weights/),
      open: (query, key) => follow(key, head * n + query), name: (query, key) => describe({ node: i, quantity: kind, row: key, column: head * n + query }),
    });
    const entropies = [];
    for (let q = 0; q < n; q++) {
      let entropy = 0;
      for (let k = 0; k < n; k++) if (at(q, k) > 0) entropy -= at(q, k) * Math.log2(at(q, k));
      entropies.push(entropy);
    }
    const row = (q) => h("div", { class: "token-label", style: `height:${map.size}px` }, tokenText(D.tokens[q]));
    const labels = cell >= 11 ? h("div", { class: "row-labels", "aria-hidden": "true" }, [...Array(n).keys()].map(row)) : null;
    const bitsColumn = weights && cell >= 11
      ? h("div", { class: "row-bits", "aria-hidden": "true" }, entropies.map((x) => h("div", { style: `height:${map.size}px` }, x.toFixed(2)))) : null;
    const mean = entropies.reduce((a, b) => a + b, 0) / n;
    maps.push(h("figure", { class: "head-map" },
      h("figcaption", {}, `head ${head}`, weights ? h("span", { class: "faint" }, ` · ${mean.toFixed(2)} bits on average`) : null),
      h("div", { class: "head-body" }, labels, map.canvas, bitsColumn), map.readout));
  }
  return h("div", {}, h("p", { class: "faint" }, weights
    ? "A row per query, a column per key: a token's weight on each token before it. Hatched: the future, hidden by the causal mask. At the right, the entropy of each row in bits."
    : "A row per query, a column per key."), h("div", { class: "head-maps" }, maps), scaleBar(scale, weights));
}

/** Shows the bars of the next token, and the residual that starts the backward path. */
async function predictionView() {
  const body = h("div");
  const logits = D.nodes.findIndex((n) => n.name === "logits");
  const probabilities = D.nodes.findIndex((n) => n.name === "probabilities");
  const [p, g] = [await load(probabilities, "value"), await load(logits, "gradient")];
  const predicted = D.target_ids.filter((t) => t !== null).length;
  const show = (place) => {
    const about = D.information.predictions[place];
    const target = D.target_ids[place];
    const rows = about.top.map((t) => t);
    if (target !== null && !rows.some((t) => t[0] === target)) {
      const it = D.nodes[probabilities];
      rows.push([target, D.targets[place], p ? p[place * it.rows + target] : NaN]);
    }
    const v = D.nodes[probabilities].rows;
    const residual = (t) => (g && target !== null ? g[place * v + t] * predicted : NaN);
    body.replaceChildren(
      h("div", { class: "tokens", role: "group", "aria-label": "Prediction after" }, D.tokens.map((t, k) =>
        h("button", { class: "token", "aria-pressed": String(k === place), onclick: () => show(k) }, tokenText(t)))),
      h("p", {}, "After ", tokenText(D.tokens[place]), target === null ? " there was nothing to predict." : [" came ", tokenText(D.targets[place]), `: surprisal ${short(bits(about.surprisal))} bits, rank ${about.rank + 1}.`]),
      h("table", { class: "bars" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "token"), h("th", { scope: "col" }, "p"), h("th", { scope: "col" }, h("span", { class: "sr" }, "bar")), h("th", { scope: "col" }, "p − y"))),
        h("tbody", {}, rows.map(([t, name, x]) => h("tr", { class: t === target ? "truth" : "" },
          h("th", { scope: "row" }, tokenText(name), t === target ? " ✓" : ""), h("td", {}, short(x)), h("td", { class: "wide-cell" }, bar(x, 0, 1, "first")),
          h("td", { class: "backward-key" }, Number.isNaN(residual(t)) ? "–" : signed(residual(t))))))),
      h("p", { class: "faint" }, `p − y is where the backward path starts: prediction minus truth, the gradient of the logits times the ${predicted} tokens of the mean.`));
  };
  show(Math.max(0, D.target_ids.findLastIndex((t) => t !== null)));
  return h("div", { class: "prediction" }, h("h4", {}, "The next token"), body);
}

// A number followed.

let trail = [];

async function followNumber(p, options = {}) {
  if (!options.back) trail = trail.slice(-40).concat([p]);
  await prepare(p.node, p.quantity);
  await load(p.node, p.quantity);
  if (!options.quiet) history.replaceState(null, "", `#number/${p.node}/${p.quantity}/${p.row}/${p.column}`);
  fill("trail", trail.slice(-6).map((t, k, shown) => h("button", {
    class: "chip small", "aria-pressed": String(k === shown.length - 1),
    onclick: () => {
      trail = trail.slice(0, trail.length - (shown.length - 1 - k));
      followNumber(t, { back: true });
    },
  }, describe(t))));
  const stored = element(p.node, p.quantity, p.row, p.column);
  const it = D.nodes[p.node];
  const other = [];
  const link = (quantity, text) => other.push(h("button", { class: "chip small", onclick: () => followNumber({ ...p, quantity }) }, text));
  if (p.quantity !== "value") link("value", "the value");
  if (p.quantity !== "gradient" && it.moves) link("gradient", "its gradient");
  if (p.quantity !== "updated" && it.source === "parameter") link("updated", "its update");
  const all = paths(p.node, p.quantity);
  const parts = [h("p", { class: "headline" }, h("span", { class: "address" }, describe(p)), " = ", h("strong", { id: "stored", "data-stored": stored }, Number.isNaN(stored) ? "left out" : decimal(stored)))];
  let total = 0;
  all.forEach((path, k) => {
    const reader = new Reader(path.node, path.role);
    const part = reader.part(path.equation, { i: p.row, j: p.column });
    total += part.value;
    const title = p.quantity === "gradient" ? `${all.length > 1 ? `Path ${k + 1} of ${all.length}: ` : ""}by ${D.nodes[path.node].name}` : null;
    const formula = formulaOf(path.node, path.role);
    parts.push(h("article", { class: "path", "data-value": part.value },
      title ? h("h4", { class: "backward-key" }, title) : null,
      h("p", { class: "faint" }, `${path.role === "update" ? "update" : path.role === "clip" ? "clipping" : D.nodes[path.node].operation}. ${formula.meaning}`),
      h("div", { class: "formulas", tabindex: "0", role: "group", "aria-label": "Formula" }, mathematics(path)),
      reader.definitions.map((d) => arithmeticView(reader, `${d.name}${d.at.length && reader.definitions.filter((x) => x.name === d.name).length > 1 ? `(${d.at})` : ""}`, d.part)),
      arithmeticView(reader, describe(p).split(".").pop(), part)));
  });
  if (all.length > 1) parts.push(h("p", { class: "sum-line" }, "All paths together: ", h("strong", { "data-total": total }, nine(total))));
  if (all.length === 0) {
    const reason = p.quantity === "gradient" ? (p.node === D.loss ? "1: the loss changes as much as itself." : "0: the loss does not depend on it.")
      : typeof p.quantity === "number" ? "Optimizer state: the result of earlier gradients."
      : { parameter: "Learned: the result of earlier updates.", frozen: "Frozen: training does not change it." }[it.source] || "Given: read from the text.";
    parts.push(h("p", {}, reason));
  } else {
    parts.push(h("p", { class: "faint", id: "check", "data-computed": total }, `Stored as a 32-bit number: ${decimal(stored)}. This arithmetic, in double precision: ${nine(total)}.`));
  }
  parts.push(h("div", { class: "chips" }, other, h("button", { class: "chip small", onclick: () => showNodeOf(p) }, "its matrix")));
  fill("number", parts);
  if (!options.quiet) {
    byId("follow").scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    byId("follow").focus({ preventScroll: true });
  }
}

async function showNodeOf(p) {
  const it = D.nodes[p.node];
  await showPart(it.part, it.block);
  await openNode(p.node);
  byId("inside").scrollIntoView();
}

const SHORT = 4, SHOWN = 8;

/** Shows a line of arithmetic in numbers that can be followed; long sums as tables below. */
function arithmeticView(reader, left, part) {
  const long = [];
  const collect = (p) => {
    if ((p.what === "sum" || p.what === "largest") && p.parts.length > SHORT) long.push(p);
    else (p.parts || []).forEach(collect);
  };
  collect(part);
  const alone = long.length === 1 && long[0] === part;
  const line = h("p", { class: "arithmetic" }, h("span", { class: "left" }, left), " = ",
    alone ? h("span", {}, part.what === "sum" ? `the sum of ${part.parts.length} terms` : `the largest of ${part.parts.length}`) : partView(reader, part, 0, long),
    " = ", h("strong", {}, nine(part.value)));
  return h("div", { class: "derivation" }, line, long.map((sum, k) => termsView(reader, sum, alone ? "" : `Σ${k + 1}`)));
}

function partView(reader, part, bond, long) {
  const wrap = (own, ...children) => (own < bond ? h("span", {}, "(", children, ")") : h("span", {}, children));
  const inner = (p, b) => partView(reader, p, b, long);
  const join = (parts, sign, b) => parts.map((p, k) => [k ? sign : "", inner(p, b)]);
  if (long.includes(part)) {
    const mark = part.what === "sum" ? `Σ${long.length > 1 ? long.indexOf(part) + 1 : ""}` : "max";
    return h("span", { class: "sigma" }, `${mark} `, part.value < 0 && bond ? `(${nine(part.value)})` : nine(part.value));
  }
  switch (part.what) {
    case "number": return wrap(part.value < 0 ? 0 : 2, nine(part.value));
    case "named": return h("span", { class: "named" }, `${reader.definitions[part.k].name} `, wrapNegative(nine(part.value), bond));
    case "element": return operand(reader, part, bond);
    case "sum":
      if (!part.parts.length) return h("span", {}, "0");
      return wrap(part.parts.length > 1 ? 0 : 1, part.parts.map((p, k) => {
        const minus = p.what === "negative";
        return [k || minus ? (minus ? " − " : " + ") : "", inner(minus ? p.parts[0] : p, k || minus ? 1 : 0)];
      }));
    case "largest": return h("span", {}, "max(", join(part.parts, ", ", 0), ")");
    case "product": return wrap(1, join(part.parts, " · ", 1));
    case "quotient": return wrap(1, inner(part.parts[0], 1), " / ", inner(part.parts[1], 2));
    case "negative": return wrap(0, "−", inner(part.parts[0], 1));
    default: {
      const name = { exp: "exp", sqrt: "√", positive: "positive" }[part.name] || part.name;
      return h("span", {}, `${name}(`, inner(part.parts[0], 0), ")");
    }
  }
}

const wrapNegative = (text, bond) => (bond && text.startsWith("−") ? `(${text})` : text);

/** Shows a number that can be followed. */
function operand(reader, part, bond) {
  const where = place(reader.node, reader.role, part.of);
  const text = Number.isNaN(part.value) ? "left out" : decimal(part.value);
  if (!where) return h("span", {}, text);
  const p = { node: where[0], quantity: where[1], row: part.row, column: part.column };
  return h("button", { class: `operand ${p.quantity === "gradient" ? "is-gradient" : ""}`, title: describe(p), "aria-label": `${describe(p)} = ${wrapNegative(text, bond)}`, "data-value": part.value, onclick: () => followNumber(p) }, wrapNegative(text, bond));
}

function termsView(reader, sum, mark) {
  const size = (p) => (sum.what === "largest" ? p.value : Math.abs(p.value));
  const order = sum.parts.map((_, k) => k).sort((a, b) => size(sum.parts[b]) - size(sum.parts[a]) || a - b);
  const shown = order.length <= SHOWN + 2 ? order.length : SHOWN;
  const row = (k) => {
    const term = sum.parts[k];
    const single = term.what === "element" || term.what === "number";
    return h("tr", { "data-term": term.value }, h("td", { class: "names" }, termNames(reader, term)), h("td", {}, partView(reader, term, 1, [])), h("td", { class: "value" }, single ? "" : nine(term.value)));
  };
  const body = h("tbody", {}, order.slice(0, shown).map(row));
  const rest = order.slice(shown);
  if (rest.length && sum.what === "largest") {
    const more = h("tr", {}, h("td", { colspan: "2" }, h("button", { class: "link", onclick: () => more.replaceWith(...rest.map(row)) }, `${rest.length} more, none larger`)));
    body.append(more);
  }
  if (rest.length && sum.what === "sum") {
    const together = rest.reduce((a, k) => a + sum.parts[k].value, 0);
    const more = h("tr", { class: "rest", "data-term": together, "data-count": rest.length }, h("td", { colspan: "2" },
      h("button", { class: "link", onclick: () => more.replaceWith(...rest.map(row)) }, `${rest.length} more, together`)), h("td", { class: "value" }, nine(together)));
    body.append(more);
  }
  const foot = sum.what === "sum" ? h("tfoot", {}, h("tr", {}, h("th", { colspan: "2", scope: "row" }, mark ? `${mark}, the sum` : "the sum"), h("td", { class: "value", "data-sum": sum.value }, nine(sum.value)))) : null;
  const caption = sum.what === "sum" ? `${mark ? `${mark}: ` : ""}${sum.parts.length} terms, the largest first` : `${mark ? "max: " : ""}${sum.parts.length} candidates, the largest first`;
  return h("div", { class: "terms-scroll", tabindex: "0", role: "group", "aria-label": caption }, h("table", { class: "terms" }, h("caption", {}, caption), body, foot));
}

/** Returns a term in names instead of numbers. */
function termNames(reader, part, bond = 1) {
  const inner = (p, b) => termNames(reader, p, b);
  const wrap = (own, text) => (own < bond ? `(${text})` : text);
  switch (part.what) {
    case "number": return nine(part.value);
    case "named": return reader.definitions[part.k].name;
    case "element": {
      const where = place(reader.node, reader.role, part.of);
      if (!where) return "mask";
      return describe({ node: where[0], quantity: where[1], row: part.row, column: part.column }).replace(/block\.\d+\.(attention\.|feed_forward\.)?/, "");
    }
    case "sum": return wrap(0, part.parts.map((p, k) => (p.what === "negative" ? ` − ${inner(p.parts[0], 1)}` : (k ? " + " : "") + inner(p, 1))).join(""));
    case "product": return wrap(1, part.parts.map((p) => inner(p, 1)).join(" · "));
    case "quotient": return wrap(1, `${inner(part.parts[0], 1)} / ${inner(part.parts[1], 2)}`);
    case "negative": return wrap(0, `−${inner(part.parts[0], 1)}`);
    case "function": return `${part.name === "sqrt" ? "√" : part.name}(${inner(part.parts[0], 0)})`;
    default: return "max(…)";
  }
}

// The ledger.

function showLedger() {
  const L = D.ledger;
  const all = [["the whole step", L.first, L.second, L.measured, null, null]].concat(L.groups.map((g) => [g.name, g.first, g.second, g.alone, g.ratio, g.gradient]));
  const values = all.flatMap((r) => [number(r[1]), number(r[2] ?? 0), number(r[3])]).filter(Number.isFinite);
  const low = Math.min(0, ...values), high = Math.max(0, ...values);
  const rows = all.map(([name, first, second, measured, ratio, gradient]) => h("tr", {},
    h("th", { scope: "row" }, name),
    h("td", { class: "wide-cell" }, bar(first, low, high, "first"), second === null ? null : bar(second, low, high, "second"), bar(measured, low, high, "alone")),
    h("td", {}, signed(first)), h("td", {}, signed(second)), h("td", {}, signed(measured)),
    h("td", {}, gradient === null ? short(D.descent.norm) : short(gradient)), h("td", {}, ratio === null ? "" : short(ratio))));
  const remainder = L.remainder === null ? null : number(L.remainder);
  const halves = L.remainders.map(([scale, r]) => [scale, Math.abs(number(r))]).filter(([, r]) => r > 1e-13);
  const slope = halves.length > 1 ? Math.log2(halves[0][1] / halves[halves.length - 1][1]) / (halves.length - 1) : null;
  const share = (x) => plain(`${(100 * number(x)).toFixed(1)} %`);
  const most = Math.max(...L.shares.map((x) => Math.abs(number(x.share))), 1e-9);
  fill("ledger-body",
    h("p", { class: "lead" }, "The predicted change of this text's loss by the update, and the measured one, in nats per token: the linear term from the gradient, the quadratic term from the Hessian (exact, by dual numbers), and the measurement."),
    h("div", { class: "figures" },
      figure("predicted by the slope", signed(L.first), "g·Δθ", "first"), L.second === null ? null : figure("by the curvature", signed(L.second), "½·ΔθᵀHΔθ", "second"),
      figure("measured", signed(L.measured), `${short(L.before)} → ${short(L.after)}`, "alone"), remainder === null ? null : figure("remainder", signed(remainder), slope === null ? "" : `halving the step divides it by ${(2 ** slope).toFixed(1)}: third order`, "")),
    h("div", { class: "table-scroll", tabindex: "0", role: "group", "aria-label": "The ledger by group" }, h("table", { class: "ledger-table groups" }, h("caption", {}, "By group of parameters; “measured” is updating that group alone"),
      h("thead", {}, h("tr", {}, ["group", "", "g·Δθ", "½·ΔθᵀHΔθ", "measured", "‖g‖", "‖Δθ‖/‖θ‖"].map((t) => h("th", { scope: "col" }, t || h("span", { class: "sr" }, "bars"))))),
      h("tbody", {}, rows))),
    L.frozen === 0 ? null : h("p", { class: "note" }, `${L.frozen.toLocaleString("en")} weights are frozen: they have no gradient, and no step changes them.`),
    D.adapters.length === 0 ? null : adapterTable(),
    L.second === null ? h("p", { class: "note" }, "The second order is omitted: the model is too large for it here.") : null,
    h("h3", {}, "Each token's share of the gradient"),
    h("p", { class: "faint" }, "Each token's own loss has a gradient; its share is its component along the whole gradient. Shares add up to 100 %; a negative one points the other way."),
    h("div", { class: "shares" }, L.shares.map((x) => h("div", { class: "share" }, h("span", { class: "token-box" }, tokenText(D.tokens[x.place]), " → ", tokenText(D.targets[x.place])),
      bar(x.share, -most, most, number(x.share) < 0 ? "second" : "first"), h("span", { class: "share-number" }, share(x.share))))));
}

const adapterTable = () => h("div", { class: "table-scroll", tabindex: "0", role: "group", "aria-label": "The adapters" },
  h("table", { class: "ledger-table" }, h("caption", {}, "What each adapter changes: W + s·B·A, with the singular values σ of s·B·A after the update"),
    h("thead", {}, h("tr", {}, ["adapter", "rank", "s", "‖s·B·A‖/‖W‖ before", "after", "effective rank", "lengths of rows", "σ"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, D.adapters.map((a) => h("tr", {}, h("th", { scope: "row" }, a.name), h("td", {}, String(a.rank)), h("td", {}, short(a.factor)),
      h("td", {}, short(a.before)), h("td", {}, short(a.after)), h("td", {}, short(a.effective_rank)), h("td", {}, a.length === null ? "as they are" : `up to ${short(a.length)} off`),
      h("td", { class: "wide-cell" }, a.values.slice(0, 8).map(short).join("  ") + (a.values.length > 8 ? " …" : "")))))));

const figure = (name, value, note, kind) => h("div", { class: `figure ${kind}` }, h("span", { class: "figure-name" }, name), h("span", { class: "figure-value" }, value), h("span", { class: "figure-note" }, note));

// Changes.

function showChange(k) {
  fill("change-chips", D.changes.map((c, i) => h("button", { class: "chip", "aria-pressed": String(i === k), onclick: () => showChange(i) }, c.name)));
  const c = D.changes[k], a = D.before, b = c.outcome;
  const rows = [
    ["loss, nats per token", short(a.loss), short(b.loss)], ["after the update", short(a.after), short(b.after)],
    ["change by the update", signed(a.after - a.loss), signed(number(b.after) - number(b.loss))],
    ["‖g‖", short(a.gradient_norm), short(b.gradient_norm)], ["largest |value|", short(a.largest), short(b.largest)],
    ["values that overflow", String(a.infinite), String(b.infinite)],
    ["attention to the future", `${(100 * a.future).toFixed(1)} %`, `${(100 * b.future).toFixed(1)} %`],
    ["entropy of attention, bits", short(a.attention_entropy), short(b.attention_entropy)],
  ];
  const same = (row) => row[1] === row[2];
  const most = Math.max(...a.surprisal.map(number), ...b.surprisal.map(number).filter(Number.isFinite), 1e-9);
  fill("change-body",
    h("p", { class: "sentence" }, h("strong", {}, `${c.what[0].toUpperCase()}${c.what.slice(1)}. `), c.sentence),
    h("div", { class: "compared" }, h("div", { class: "table-scroll", tabindex: "0", role: "group", "aria-label": "Side by side" }, h("table", { class: "compare" }, h("caption", {}, "Side by side"),
      h("thead", {}, h("tr", {}, ["", "original", c.name].map((t) => h("th", { scope: "col" }, t || h("span", { class: "sr" }, "quantity"))))),
      h("tbody", {}, rows.map((r) => h("tr", { class: same(r) ? "same" : "" }, h("th", { scope: "row" }, r[0]), h("td", {}, r[1]), h("td", {}, r[2]))),
        h("tr", {}, h("th", { scope: "row" }, "the token after the last"), h("td", {}, tokenText(a.next[0]), ` ${short(a.next[1])}`), h("td", {}, tokenText(b.next[0]), ` ${short(b.next[1])}`))))),
    h("div", { class: "side-by-side" }, [[a, "original"], [b, c.name]].map(([o, name]) => smallAttention(o, name)))),
    h("h3", {}, "Bits per token"),
    h("div", { class: "shares" }, D.tokens.map((t, i) => (D.targets[i] === null ? null : h("div", { class: "share" }, h("span", { class: "token-box" }, tokenText(t), " → ", tokenText(D.targets[i])),
      h("div", {}, bar(a.surprisal[i], 0, most, "first"), bar(Number.isFinite(number(b.surprisal[i])) ? b.surprisal[i] : most, 0, most, "second")),
      h("span", { class: "share-number" }, `${short(bits(a.surprisal[i]))} → ${short(bits(b.surprisal[i]))}`))))));
}

function smallAttention(outcome, name) {
  if (!outcome.attention) return null;
  const n = D.tokens.length;
  const map = new HeatMap({
    rows: n, columns: n, at: (q, k) => Math.fround(outcome.attention[q * n + k]), scale: 1, sequential: true, cell: Math.max(3, Math.min(20, Math.floor(230 / n))),
    label: `Attention of block 0, head 0, ${name}`, open: () => {}, name: (q, k) => `query ${q}, key ${k}`,
  });
  return h("figure", { class: "head-map" }, h("figcaption", {}, h("span", { class: "faint" }, "attention, block 0, head 0: "), name), map.canvas, map.readout);
}

// Information.

function showInformation() {
  const I = D.information;
  const total = I.predictions.reduce((a, p) => a + number(p.surprisal), 0);
  const most = Math.max(...I.predictions.map((p) => number(p.surprisal)), I.uniform);
  const detail = h("div", { "aria-live": "polite" });
  const show = (k) => {
    const p = I.predictions[k];
    detail.replaceChildren(h("h4", {}, "After ", tokenText(D.tokens[k])), h("table", { class: "bars" }, h("caption", {}, `entropy ${short(bits(p.entropy))} bits`), h("tbody", {}, p.top.map(([t, name, x]) =>
      h("tr", { class: t === D.target_ids[k] ? "truth" : "" }, h("th", { scope: "row" }, tokenText(name), t === D.target_ids[k] ? " ✓" : ""), h("td", {}, short(x)), h("td", { class: "wide-cell" }, bar(x, 0, 1, "first")))))));
  };
  fill("information-body",
    h("div", { class: "figures" },
      figure("loss", `${short(I.nats)} nats`, `${short(bits(I.nats))} bits per token`, "first"), figure("uniform prediction", `${short(I.uniform)} nats`, `ln ${D.model.vocabulary}, ${short(bits(I.uniform))} bits`, ""),
      figure("prediction by frequencies", `${short(I.unigram)} nats`, I.own_frequencies ? "frequencies of this text" : "frequencies of the training text", ""), figure("perplexity", short(Math.exp(number(I.nats))), "equally likely choices", ""),
      figure("entropy of the predictions", `${short(I.entropy)} nats`, `${short(bits(I.entropy))} bits`, "second"), figure("KL from the frequencies", `${short(I.divergence)} nats`, "information from the context", "second"),
      figure("the whole text", `${short(bits(total))} bits`, `${D.targets.filter((t) => t !== null).length} tokens predicted`, "alone")),
    h("h3", {}, "Along the text"),
    h("p", { class: "faint" }, "Surprisal of each token in bits, given those before it. Choose one to see the prediction."),
    h("div", { class: "along" }, D.tokens.map((t, k) => h("button", { class: "along-token", title: "the prediction here", onclick: () => show(k) },
      h("span", { class: "along-bar" }, h("i", { style: `height:${D.targets[k] === null ? 0 : Math.max(2, (100 * number(I.predictions[k].surprisal)) / most)}%` })),
      h("span", { class: "along-number" }, D.targets[k] === null ? "–" : short(bits(I.predictions[k].surprisal))), tokenText(D.targets[k])))),
    detail,
    h("h3", {}, "Calibration"),
    h("p", { class: "faint" }, "The model's confidence in its first choice, and how often it was right. With few tokens this is not statistics."),
    h("div", { class: "table-scroll", tabindex: "0", role: "group", "aria-label": "Calibration" }, h("table", { class: "compare" }, h("caption", {}, "Calibration"), h("thead", {}, h("tr", {}, ["confidence between", "predictions", "mean confidence", "right"].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", {}, I.calibration.map((b) => h("tr", {}, h("th", { scope: "row" }, `${b.low.toFixed(1)} and ${b.high.toFixed(1)}`), h("td", {}, String(b.count)), h("td", {}, short(b.confidence)), h("td", {}, short(b.accuracy))))))));
}
