// Storage and formatting of numbers.

const D = JSON.parse(document.getElementById("data").textContent);

const number = (x) => (typeof x === "string" ? { inf: Infinity, "-inf": -Infinity, nan: NaN }[x] : x);

/** Returns the shortest decimal that reads back as this 32-bit number. */
function decimal(x) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "NaN" : x < 0 ? "−∞" : "∞";
  for (let digits = 1; digits <= 9; digits++) {
    const text = x.toPrecision(digits);
    if (Math.fround(Number(text)) === x) return plain(String(Number(text)));
  }
  return plain(String(x));
}

/** Formats a computed number to nine significant digits. */
function nine(x) {
  return Number.isFinite(x) ? plain(String(Number(x.toPrecision(9)))) : decimal(x);
}

/** Formats three digits, for display. */
function short(x) {
  x = number(x);
  if (x === null || x === undefined) return "–";
  if (!Number.isFinite(x)) return decimal(x);
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e5) return plain(x.toExponential(2));
  return plain(size >= 100 ? x.toFixed(0) : size >= 10 ? x.toFixed(1) : size >= 1 ? x.toFixed(2) : x.toFixed(3));
}

const signed = (x) => (number(x) > 0 ? "+" : "") + short(x);
const plain = (text) => text.replace("-", "−").replace(/e−?\+?/, (e) => e.replace("+", "")).replace("e-", "e−");
const bits = (nats) => number(nats) / Math.LN2;

// Tensors. Data is deflated; "f" are the 32-bit numbers, all first bytes, then all second ones …; "u" are differences,
// in units of the last place, from the values that the page computes.

async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function words(planes) {
  const n = planes.length / 4;
  const all = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    all[i] = (planes[i] << 24) | (planes[n + i] << 16) | (planes[2 * n + i] << 8) | planes[3 * n + i];
  }
  return all;
}

/** Maps 32-bit numbers to integers in the same order, and back: neighbours differ by one. */
const ordered = (bits) => (bits < 0 ? (0x80000000 - bits) | 0 : bits);

function moved(computed, differences) {
  const numbers = Float32Array.from(computed);
  const bits = new Int32Array(numbers.buffer);
  for (let i = 0; i < bits.length; i++) {
    const d = (differences[i] >>> 1) ^ -(differences[i] & 1);
    bits[i] = ordered((ordered(bits[i]) + d) | 0);
  }
  return numbers;
}

function checksum(numbers) {
  const bits = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  let sum = 0;
  for (let i = 0; i < bits.length; i++) {
    const word = numbers[i] === 0 ? 0 : bits[i];
    sum = (((sum << 1) | (sum >>> 31)) + word) >>> 0;
  }
  return sum;
}

const loaded = new Map();

/** Loads a quantity of a node: "value", "gradient", "clipped", "updated", or the index of an optimizer state.
 *  Null if the page omits it. */
function load(node, quantity) {
  const key = `${node}/${quantity}`;
  if (!loaded.has(key)) {
    const entry = { numbers: undefined, promise: null };
    entry.promise = read(node, quantity).then((numbers) => (entry.numbers = numbers));
    loaded.set(key, entry);
  }
  return loaded.get(key).promise;
}

async function read(node, quantity) {
  const it = D.nodes[node];
  const count = it.rows * it.columns;
  if (quantity === "clipped") {
    const gradient = await load(node, "gradient");
    const factor = Math.fround(D.descent.factor);
    return gradient && (D.descent.factor === 1 ? gradient : gradient.map((g) => g * factor));
  }
  const data = typeof quantity === "number" ? (it.data.memory || [])[quantity] : it.data[quantity];
  if (!data) return null;
  if (data.zero) return new Float32Array(count);
  let numbers;
  if (data.f !== undefined) {
    numbers = new Float32Array(words(await inflate(data.f)).buffer);
  } else {
    await prepare(node, quantity);
    const computed = new Float32Array(count);
    for (let e = 0; e < count; e++) {
      computed[e] = arithmetic(node, quantity, e % it.rows, Math.floor(e / it.rows));
    }
    numbers = moved(computed, words(await inflate(data.u)));
  }
  if (data.check !== checksum(numbers)) throw new Error(`${it.name}: ${quantity} differs from the stored checksum`);
  return numbers;
}

async function loadTables(node) {
  const it = D.nodes[node];
  for (const table of it.tables || []) {
    if (table.f !== undefined && !table.numbers) {
      table.numbers = new Float32Array(words(await inflate(table.f)).buffer);
    }
  }
}

/** Returns an element that was loaded before; NaN if there is none. */
function element(node, quantity, row, column) {
  const it = D.nodes[node];
  const entry = loaded.get(`${node}/${quantity}`);
  if (!entry || !entry.numbers || row < 0 || column < 0 || row >= it.rows || column >= it.columns) return NaN;
  return entry.numbers[column * it.rows + row];
}
