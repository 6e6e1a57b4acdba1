// Formulas: the same that the terminal evaluates. A formula is evaluated at one element [i, j] by the same operations
// in the same order, so the page's arithmetic equals the terminal's to the last digit.

/** The node and quantity of a formula's matrix: [node, quantity]. */
function place(node, role, of) {
  if (role === "clip") return [node, "gradient"];
  if (role === "update") {
    return of === 0 ? [node, "value"] : of === 1 ? [node, "clipped"] : of === "y" ? [node, "updated"] : [node, of - 2];
  }
  if (of === "y") return [node, "value"];
  if (of === "dy") return [node, "gradient"];
  return typeof of === "number" ? [D.nodes[node].operands[of], "value"] : null;
}

const formulaOf = (node, role) => (role === "clip" ? D.clip_formula : D.formulas[D.nodes[node].formula]);

class Reader {
  constructor(node, role) {
    this.node = node;
    this.role = role;
    this.formula = formulaOf(node, role);
    this.definitions = [];
    this.known = new Map();
  }

  element(of, row, column) {
    const where = place(this.node, this.role, of);
    if (where) return element(where[0], where[1], row, column);
    const table = D.nodes[this.node].tables[Number(String(of).slice(1))];
    return table.numbers ? table.numbers[column * table.rows + row] : NaN;
  }

  index(i, at) {
    if (typeof i === "number") return i;
    if (typeof i === "string") return at[i];
    const [kind, a, b, c] = i;
    if (kind === "called") return this.index(a, at);
    if (kind === "[]") return Math.trunc(this.element(a, this.index(b, at), this.index(c, at)));
    const left = this.index(a, at);
    switch (kind) {
      case "+": return left + this.index(b, at);
      case "-": return left - b;
      case "*": return left * b;
      case "/": return Math.floor(left / b);
      default: return ((left % b) + b) % b;
    }
  }

  holds(condition, at) {
    if (!condition) return true;
    const [relation, a, b] = condition;
    const left = this.index(a, at), right = this.index(b, at);
    return relation === "=" ? left === right : left <= right;
  }

  /** Computes the value alone. */
  value(e, at) {
    switch (e[0]) {
      case "n": return number(e[1]);
      case "i": return this.index(e[1], at);
      case "e": return this.element(e[1], this.index(e[2], at), this.index(e[3], at));
      case "d": return this.definitions[this.defined(e, at)].part.value;
      case "+": { let s = 0; for (const p of e[1]) s += this.value(p, at); return s; }
      case "*": { let s = 1; for (const p of e[1]) s *= this.value(p, at); return s; }
      case "/": return this.value(e[1], at) / this.value(e[2], at);
      case "-": return -this.value(e[1], at);
      case "f": return FUNCTIONS[e[1]](this.value(e[2], at));
      case "if": return this.value(this.holds(e[1], at) ? e[2] : e[3], at);
      case "sum": {
        const [[letter, count, when], term] = [e[1], e[2]];
        const inner = Object.assign({}, at);
        let s = 0;
        for (let k = 0; k < count; k++) {
          inner[letter] = k;
          if (this.holds(when, inner)) s += this.value(term, inner);
        }
        return s;
      }
      default: return this.part(e, at).value;
    }
  }

  defined(e, at) {
    const indices = e[2].map((i) => this.index(i, at));
    const key = `${e[1]}:${indices}`;
    if (!this.known.has(key)) {
      const definition = this.formula.definitions[e[1]];
      const own = {};
      definition.letters.forEach((letter, k) => (own[letter] = indices[k]));
      const part = this.part(definition.is, own);
      this.definitions.push({ name: definition.name, at: indices, part });
      this.known.set(key, this.definitions.length - 1);
    }
    return this.known.get(key);
  }

  /** Computes the value with its arithmetic. */
  part(e, at) {
    const all = (list) => list.map((p) => this.part(p, at));
    switch (e[0]) {
      case "n": return { value: number(e[1]), what: "number" };
      case "i": return { value: this.index(e[1], at), what: "number" };
      case "e": {
        const row = this.index(e[2], at), column = this.index(e[3], at);
        return { value: this.element(e[1], row, column), what: "element", of: e[1], row, column };
      }
      case "d": {
        const k = this.defined(e, at);
        return { value: this.definitions[k].part.value, what: "named", k };
      }
      case "+": {
        const parts = all(e[1]);
        return { value: parts.reduce((s, p) => s + p.value, 0), what: "sum", parts };
      }
      case "*": {
        const parts = all(e[1]);
        return { value: parts.reduce((s, p) => s * p.value, 1), what: "product", parts };
      }
      case "/": {
        const parts = all([e[1], e[2]]);
        return { value: parts[0].value / parts[1].value, what: "quotient", parts };
      }
      case "-": {
        const parts = all([e[1]]);
        return { value: -parts[0].value, what: "negative", parts };
      }
      case "f": {
        const parts = all([e[2]]);
        return { value: FUNCTIONS[e[1]](parts[0].value), what: "function", name: e[1], parts };
      }
      case "if": return this.part(this.holds(e[1], at) ? e[2] : e[3], at);
      default: {
        const [[letter, count, when], term] = [e[1], e[2]];
        const inner = Object.assign({}, at), parts = [];
        for (let k = 0; k < count; k++) {
          inner[letter] = k;
          if (this.holds(when, inner)) parts.push(this.part(term, Object.assign({}, inner)));
        }
        const largest = e[0] === "max";
        const value = largest
          ? parts.reduce((m, p) => (p.value > m || Number.isNaN(p.value) ? p.value : m), -Infinity)
          : parts.reduce((s, p) => s + p.value, 0);
        return { value, what: largest ? "largest" : "sum", parts };
      }
    }
  }
}

/** Computes erf to double precision: a series near 0, a continued fraction beyond. */
function erf(x) {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a, sum = a;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 200; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + fraction)));
}

const FUNCTIONS = {
  exp: Math.exp, ln: Math.log, sqrt: Math.sqrt, tanh: Math.tanh, erf, sin: Math.sin, cos: Math.cos,
  positive: (x) => (x > 0 ? 1 : 0),
};

/** Returns the equations of an element: one for a value, one per reader for a gradient. */
function paths(node, quantity) {
  const it = D.nodes[node];
  if (quantity === "value") {
    return it.source === "operation" ? [{ node, role: "value", equation: formulaOf(node).value, left: formulaOf(node).output }] : [];
  }
  if (quantity === "gradient") {
    return it.consumers
      .map(([reader, operand]) => {
        const formula = formulaOf(reader);
        return { node: reader, role: "gradient", operand, equation: formula.gradients[operand], left: `d${formula.operands[operand]}` };
      })
      .filter((p) => p.equation);
  }
  if (quantity === "clipped") return [{ node, role: "clip", equation: D.clip_formula.value, left: "g′" }];
  if (quantity === "updated") return [{ node, role: "update", equation: formulaOf(node).value, left: "θ′" }];
  return [];
}

/** Loads the operands of a quantity's equations. */
async function prepare(node, quantity) {
  for (const path of paths(node, quantity)) {
    const formula = formulaOf(path.node, path.role);
    const used = new Set();
    const look = (e) => {
      if (!Array.isArray(e)) return;
      if (e[0] === "e" || e[0] === "[]") used.add(e[1]);
      e.forEach(look);
    };
    const visit = (e) => {
      look(e);
      JSON.stringify(e).replace(/\["d",(\d+),/g, (_, d) => visitDefinition(Number(d)));
    };
    const seen = new Set();
    const visitDefinition = (d) => {
      if (!seen.has(d)) {
        seen.add(d);
        visit(formula.definitions[d].is);
      }
      return "";
    };
    visit(path.equation);
    await loadTables(path.node);
    for (const of of used) {
      const where = place(path.node, path.role, of);
      if (where && !(where[0] === node && where[1] === quantity)) await load(...where);
    }
  }
}

/** Computes an element by its equations, once they are prepared. */
function arithmetic(node, quantity, row, column) {
  let sum = 0;
  for (const path of paths(node, quantity)) {
    sum += new Reader(path.node, path.role).value(path.equation, { i: row, j: column });
  }
  return sum;
}

// Formulas as MathML elements.

const MATHML = "http://www.w3.org/1998/Math/MathML";

function ml(name, ...children) {
  const element = document.createElementNS(MATHML, name);
  for (const child of children.flat()) element.append(child);
  return element;
}
const mi = (text) => ml("mi", text), mo = (text) => ml("mo", text), mn = (text) => ml("mn", text);
const brackets = (inner) => ml("mrow", mo("("), inner, mo(")"));

class Mathematics {
  constructor(formula) {
    this.formula = formula;
    /** Named indices found so far. */
    this.called = new Map();
  }

  matter(of) {
    if (of === "y") return mi(this.formula.output);
    if (of === "dy") return ml("mrow", mi("d"), mi(this.formula.output));
    return mi(typeof of === "number" ? this.formula.operands[of] : this.formula.tables[Number(of.slice(1))]);
  }

  index(i) {
    if (typeof i === "number") return mn(String(i));
    if (typeof i === "string") return mi(i);
    const [kind, a, b, c] = i;
    if (kind === "called") {
      if (!this.called.has(b)) this.called.set(b, a);
      return mi(b);
    }
    if (kind === "[]") return this.at(this.matter(a), [b, c]);
    const simple = typeof a === "string" || typeof a === "number";
    const left = simple ? this.index(a) : kind === "+" ? this.index(a) : brackets(this.index(a));
    switch (kind) {
      case "+": return ml("mrow", left, mo("+"), this.index(b));
      case "-": return ml("mrow", left, mo("−"), mn(String(b)));
      case "*": return ml("mrow", mn(String(b)), left);
      case "/": return ml("mrow", mo("⌊"), left, mo("/"), mn(String(b)), mo("⌋"));
      default: return ml("mrow", left, mo("mod"), mn(String(b)));
    }
  }

  at(base, indices) {
    const row = [];
    indices.forEach((i, k) => {
      if (k) row.push(mo(","));
      row.push(this.index(i));
    });
    return ml("msub", base, ml("mrow", row));
  }

  condition([relation, a, b]) {
    return ml("mrow", this.index(a), mo(relation === "=" ? "=" : "≤"), this.index(b));
  }

  /** Returns the precedence: 0 for a sum, 1 for a product, 2 for an atom. */
  bond(e) {
    if (["+", "-", "if"].includes(e[0])) return 0;
    return ["sum", "max", "*"].includes(e[0]) || (e[0] === "n" && number(e[1]) < 0) ? 1 : 2;
  }

  inside(e, bond) {
    const inner = this.of(e);
    return this.bond(e) < bond ? brackets(inner) : inner;
  }

  of(e) {
    switch (e[0]) {
      case "n": return mn(number(e[1]) === -Infinity ? "−∞" : plain(String(Number(number(e[1]).toPrecision(10)))));
      case "i": return this.index(e[1]);
      case "e": return this.at(this.matter(e[1]), [e[2], e[3]]);
      case "d": {
        const name = mi(this.formula.definitions[e[1]].name);
        return e[2].length ? this.at(name, e[2]) : name;
      }
      case "+": {
        const row = [];
        e[1].forEach((p, k) => {
          const minus = p[0] === "-";
          if (k || minus) row.push(mo(minus ? "−" : "+"));
          row.push(this.inside(minus ? p[1] : p, 1));
        });
        return ml("mrow", row);
      }
      case "*": {
        const row = [];
        e[1].forEach((p, k) => {
          if (k) row.push(mo("·"));
          row.push(p[0] === "sum" && k < e[1].length - 1 ? brackets(this.of(p)) : this.inside(p, 1));
        });
        return ml("mrow", row);
      }
      case "/": return ml("mfrac", this.of(e[1]), this.of(e[2]));
      case "-": return ml("mrow", mo("−"), this.inside(e[1], 1));
      case "f": {
        if (e[1] === "exp") return ml("msup", mi("e"), ml("mrow", this.of(e[2])));
        if (e[1] === "sqrt") return ml("msqrt", this.of(e[2]));
        if (e[1] === "positive") return ml("mrow", mo("["), this.of(e[2]), mo(">"), mn("0"), mo("]"));
        return ml("mrow", mi(e[1]), brackets(this.of(e[2])));
      }
      case "if": {
        const rows = [[e[2], this.condition(e[1])], [e[3], null]];
        const cells = rows.map(([value, when]) =>
          ml("mtr", ml("mtd", this.of(value)), ml("mtd", when ? ml("mrow", ml("mtext", "if "), when) : ml("mtext", "else"))));
        return ml("mrow", mo("{"), ml("mtable", cells));
      }
      default: {
        const [letter, , when] = e[1];
        const sign = e[0] === "max" ? mi("max") : mo("∑");
        const under = when ? ml("mrow", mi(letter), mo(":"), this.condition(when)) : mi(letter);
        return ml("mrow", ml("munder", sign, under), this.inside(e[2], 1));
      }
    }
  }

  equation(left, indices, e) {
    const base = mi(left);
    const math = ml("math", ml("mrow", indices.length ? this.at(base, indices) : base, mo("="), this.of(e)));
    math.setAttribute("display", "block");
    return math;
  }
}

/** Returns the equation of a path and the definitions that it uses, each on its own line. */
function mathematics(path) {
  const formula = formulaOf(path.node, path.role);
  const writer = new Mathematics(formula);
  const used = new Set();
  const find = (e) => JSON.stringify(e).replace(/\["d",(\d+),/g, (_, d) => {
    if (!used.has(Number(d))) {
      used.add(Number(d));
      find(formula.definitions[d].is);
    }
    return "";
  });
  find(path.equation);
  const lines = [writer.equation(path.left, ["i", "j"], path.equation)];
  for (const d of [...used].sort((a, b) => a - b)) {
    const definition = formula.definitions[d];
    lines.push(writer.equation(definition.name, definition.letters, definition.is));
  }
  for (const [letter, index] of [...writer.called].sort()) {
    const line = ml("math", ml("mrow", mi(letter), mo("="), writer.index(index)));
    line.setAttribute("display", "block");
    line.setAttribute("class", "where");
    lines.push(line);
  }
  return lines;
}
