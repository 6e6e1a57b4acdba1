// Builds the document and pictures of matrices.

/** Creates an element with attributes and children; strings become text nodes. */
function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") element.style.cssText = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(3)) if (child !== null && child !== undefined) element.append(child);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
function s(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const child of children.flat(3)) element.append(child);
  return element;
}

/** Returns a token for display: blanks visible, its own text direction. */
function tokenText(text) {
  const shown = text === null ? "–" : text.replace(/\n/g, "↵").replace(/ /g, "␣").replace(/\t/g, "⇥");
  return h("bdi", {}, [...shown].slice(0, 12).join(""));
}

const dark = matchMedia("(prefers-color-scheme: dark)");

/** Blue below zero, orange above, paper at zero: distinguishable without seeing hue. */
function colour(x, scale, sequential) {
  const paper = dark.matches ? [29, 33, 38] : [255, 255, 255];
  if (!Number.isFinite(x)) return dark.matches ? [44, 50, 56] : [228, 224, 214];
  const strength = Math.min(1, Math.abs(x) / (scale || 1));
  const ends = dark.matches ? { low: [96, 165, 250], high: [251, 146, 60] } : { low: [29, 78, 216], high: [194, 65, 12] };
  const end = x < 0 ? ends.low : sequential ? ends.low : ends.high;
  const share = Math.sqrt(strength);
  return paper.map((p, k) => Math.round(p + (end[k] - p) * share));
}

/** A heat map of a matrix. The arrow keys move over it, Enter follows the number. */
class HeatMap {
  /** options: rows, columns, at(row, column), scale, sequential, label, rowName, columnName, cell, open, say */
  constructor(options) {
    Object.assign(this, { row: 0, column: 0, ...options });
    const { rows, columns } = this;
    const cell = this.cell || Math.max(1, Math.min(18, Math.floor(Math.min(640 / columns, 420 / rows))));
    const fit = Math.min(cell, Math.max(1, Math.floor(4096 / Math.max(rows, columns))));
    this.size = Math.max(fit, 1);
    this.canvas = h("canvas", {
      width: columns * this.size, height: rows * this.size, tabindex: "0", role: "application", class: "heat",
      "aria-label": `${this.label}: ${rows} rows, ${columns} columns. Arrow keys move, Enter follows the number.`,
    });
    this.readout = h("output", { class: "readout" });
    this.canvas.addEventListener("pointermove", (e) => this.point(e));
    this.canvas.addEventListener("click", (e) => {
      this.point(e);
      this.open(this.row, this.column);
    });
    this.canvas.addEventListener("keydown", (e) => this.key(e));
    this.canvas.addEventListener("focus", () => this.move(0, 0));
    this.canvas.addEventListener("blur", () => this.paint());
    this.paint();
    this.element = h("div", { class: "map" }, h("div", { class: "scroll", tabindex: "-1" }, this.canvas), this.readout);
    dark.addEventListener("change", () => this.paint());
  }

  paint(cursor) {
    const context = this.canvas.getContext("2d");
    const { rows, columns, size } = this;
    const image = context.createImageData(columns * size, rows * size);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        const hidden = this.hidden && this.hidden(r, c);
        const [red, green, blue] = colour(hidden ? NaN : this.at(r, c), this.scale, this.sequential);
        for (let y = r * size; y < (r + 1) * size; y++) {
          for (let x = c * size; x < (c + 1) * size; x++) {
            const k = 4 * (y * columns * size + x);
            const hatch = hidden && (x + y) % 6 === 0;
            image.data[k] = hatch ? red - 30 : red;
            image.data[k + 1] = hatch ? green - 30 : green;
            image.data[k + 2] = hatch ? blue - 30 : blue;
            image.data[k + 3] = 255;
          }
        }
      }
    }
    context.putImageData(image, 0, 0);
    if (cursor) {
      context.strokeStyle = dark.matches ? "#ffffff" : "#000000";
      context.lineWidth = 2;
      context.strokeRect(this.column * size - 0.5, this.row * size - 0.5, size + 1, size + 1);
    }
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    this.column = Math.min(this.columns - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * this.columns)));
    this.row = Math.min(this.rows - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * this.rows)));
    this.say();
    this.paint(true);
  }

  key(event) {
    const steps = {
      ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
      Home: [0, -this.columns], End: [0, this.columns], PageUp: [-8, 0], PageDown: [8, 0],
    };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.open(this.row, this.column);
    } else if (steps[event.key]) {
      event.preventDefault();
      this.move(...steps[event.key]);
    }
  }

  move(dr, dc) {
    this.row = Math.min(this.rows - 1, Math.max(0, this.row + dr));
    this.column = Math.min(this.columns - 1, Math.max(0, this.column + dc));
    this.say();
    this.paint(true);
  }

  say() {
    const name = this.name ? this.name(this.row, this.column) : `[${this.row},${this.column}]`;
    this.readout.textContent = `${name} = ${decimal(this.at(this.row, this.column))}`;
  }
}

/** Returns the scale of colours: the largest finite |x| that is not an outlier. */
function scaleOf(numbers) {
  let largest = 0;
  for (const x of numbers) if (Number.isFinite(x)) largest = Math.max(largest, Math.abs(x));
  return largest || 1;
}

function scaleBar(scale, sequential) {
  const steps = [];
  for (let k = sequential ? 0 : -8; k <= 8; k++) {
    const [r, g, b] = colour((k / 8) * scale, scale, sequential);
    steps.push(h("i", { style: `background: rgb(${r},${g},${b})` }));
  }
  return h("div", { class: "scale" }, h("span", {}, sequential ? "0" : `−${short(scale)}`), h("span", { class: "steps", "aria-hidden": "true" }, steps), h("span", {}, short(scale)));
}

function histogram(summary) {
  const most = Math.max(...summary.histogram, 1);
  const n = summary.histogram.length;
  const bars = summary.histogram.map((count, k) => {
    const tall = count ? Math.max(1, (40 * count) / most) : 0;
    return s("rect", { x: k * 6, y: 42 - tall, width: 5, height: tall, class: "bar" });
  });
  const picture = s("svg", { viewBox: `0 0 ${n * 6} 44`, class: "histogram", role: "img", "aria-label": "Histogram" }, bars,
    s("line", { x1: 0, x2: n * 6, y1: 43, y2: 43, class: "axis" }));
  return h("div", { class: "spread" }, picture,
    h("div", { class: "ends" }, h("span", {}, short(summary.minimum)), h("span", {}, short(summary.maximum))));
}

function moments(summary) {
  const cell = (name, value) => h("div", { class: "moment" }, h("dt", {}, name), h("dd", {}, value));
  return h("dl", { class: "moments" }, cell("mean", short(summary.mean)), cell("deviation", short(summary.deviation)),
    cell("root mean square", short(summary.rms)),
    summary.infinite ? cell("masked, −∞", String(summary.infinite)) : null);
}

/** Creates a horizontal bar from zero for a value within [low, high]. */
function bar(value, low, high, kind) {
  value = number(value);
  const range = high - low || 1;
  const zero = ((0 - low) / range) * 100, end = ((Math.min(Math.max(value, low), high) - low) / range) * 100;
  return h("div", { class: "track", "aria-hidden": "true" },
    h("div", { class: `fill ${kind}`, style: `left:${Math.min(zero, end)}%;width:${Math.max(0.4, Math.abs(end - zero))}%` }));
}
