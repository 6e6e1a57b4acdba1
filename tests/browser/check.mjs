// Opens explained steps as a person would, with mouse, keyboard and a narrow screen, and checks what it sees.
import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { tensor } from "./safetensors.mjs";

const [, , work, shots] = process.argv;
const axe = readFileSync(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const done = (what) => console.log(`ok  ${what}`);

/** A page of a file, which must neither complain nor ask the network. */
async function open(name, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: "light", ...options });
  const complaints = [];
  page.setDefaultTimeout(90_000);
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && complaints.push(m.text()));
  page.on("pageerror", (e) => complaints.push(e.message));
  page.on("dialog", (d) => complaints.push(`a dialog: ${d.message()}`) && d.dismiss());
  page.on("request", (r) => r.url().startsWith("file:") || r.url().startsWith("blob:") || complaints.push(`asks ${r.url()}`));
  const start = performance.now();
  await page.goto(`file://${join(work, name)}`);
  await page.evaluate(() => window.ready);
  page.took = performance.now() - start;
  page.quiet = () => assert.deepEqual(complaints, [], name);
  return page;
}

const numberOf = (text) => Number(text.replaceAll("−", "-").replace("∞", "Infinity").replace(/[()]/g, ""));

/** What the section of a followed number shows: its sums add up, and the whole is the number. */
async function addsUp(page) {
  const seen = await page.evaluate(() => ({
    stored: Number(document.getElementById("stored").dataset.stored),
    shown: document.getElementById("stored").textContent,
    computed: Number(document.getElementById("check")?.dataset.computed ?? "NaN"),
    paths: [...document.querySelectorAll("#number .path")].map((p) => Number(p.dataset.value)),
    tables: [...document.querySelectorAll("#number .terms")].filter((t) => t.tFoot).map((table) => ({
      sum: table.tFoot.querySelector(".value").textContent,
      rows: [...table.tBodies[0].rows].map((row) => ({
        term: Number(row.dataset.term),
        value: row.querySelector(".value").textContent || row.cells[1].textContent,
        operands: [...row.querySelectorAll(".operand")].map((o) => o.textContent),
product: row.cells.length === 3 && /^[\d.e−() ·]*$/.test(row.cells[1].textContent) && !row.cells[1].textContent.includes(" − "),
      })),
    })),
  }));
  assert.equal(Math.fround(numberOf(seen.shown)), Math.fround(seen.stored), "the number shown is the number stored");
  for (const { sum, rows } of seen.tables) {
    let total = 0, size = 0;
    for (const row of rows) {
      const shown = numberOf(row.value);
      // A computed term has nine digits; a stored one is a 32-bit number by its shortest decimal.
      assert.ok(Math.abs(shown - row.term) <= 1e-8 * Math.abs(row.term) || Math.fround(shown) === row.term || shown === row.term, `${row.value} is ${row.term}`);
      if (row.product && row.operands.length > 1) {
        const product = row.operands.map(numberOf).reduce((a, b) => a * b, 1);
        // Operands are 32-bit numbers by their shortest decimals.
        assert.ok(Math.abs(product - row.term) <= 3e-7 * Math.abs(row.term) + 1e-40, `${row.operands.join("·")} is ${row.term}`);
      }
      total += shown;
      size += Math.abs(shown);
    }
    assert.ok(Math.abs(total - numberOf(sum)) <= 7e-8 * (size + Math.abs(numberOf(sum))), `${total} is ${sum}`);
  }
  if (seen.paths.length) {
    const total = seen.paths.reduce((a, b) => a + b, 0);
    assert.equal(total, seen.computed);
    // The stored number is the 32-bit step's: as near as its own sums round.
    const size = seen.paths.reduce((a, b) => a + Math.abs(b), 0) + Math.max(0, ...seen.tables.flatMap((t) => t.rows.map((r) => Math.abs(r.term) * t.rows.length)));
    assert.ok(Number.isNaN(seen.computed) || seen.computed === seen.stored || Math.abs(seen.computed - seen.stored) <= 2e-6 * size + 1e-30, `${seen.computed} is ${seen.stored}`);
  }
  return seen;
}

/** Follows a number, then the first of its operands that can be followed further, so many levels down. */
async function follow(page, levels) {
  const names = [];
  for (let level = 0; level <= levels; level++) {
    await addsUp(page);
    names.push(await page.locator("#number .address").textContent());
    if (level === levels) break;
    // Parameters, tokens and masked scores end a path: of the computed operands, the largest; a gradient follows
    // gradients.
    const gradient = names.at(-1).startsWith("∇");
    const next = await page.locator("#number .operand").evaluateAll((all, gradient) => {
      const fits = (o) => {
        const label = o.getAttribute("aria-label");
        return gradient ? label.startsWith("∇") : !/weight\[|bias\[|tokens\[|targets\[|positions\[|∞/.test(label);
      };
      const size = (k) => Math.abs(Number(all[k].dataset.value));
      return all.map((_, k) => k).filter((k) => fits(all[k])).sort((a, b) => size(b) - size(a))[0] ?? -1;
    }, gradient);
    assert.ok(next >= 0, `${names.at(-1)} has a computed operand`);
    await page.locator("#number .operand").nth(next).click();
    await page.waitForFunction((before) => document.querySelector("#number .address")?.textContent !== before, names.at(-1));
  }
  return names;
}

async function numberAt(page, name, quantity, row, column) {
  await page.evaluate(([name, quantity, row, column]) => {
    const node = glassbox.D.nodes.findIndex((n) => n.name === name);
    return glassbox.followNumber({ node, quantity, row, column });
  }, [name, quantity, row, column]);
}

async function opensQuickly() {
  const times = [];
  for (let k = 0; k < 3; k++) {
    const page = await open("step.html");
    times.push(page.took);
    page.quiet();
    await page.close();
  }
  const size = statSync(join(work, "step.html")).size;
  console.log(`    ${(size / 1e6).toFixed(2)} MB, opens in ${times.map((t) => t.toFixed(0)).join(", ")} ms`);
  assert.ok(Math.min(...times) < 1000, "opens in under a second");
  done("opens, silently and soon, without a network");
}

async function everyBoxOpens(name) {
  const page = await open(name);
  const matrices = await page.evaluate(() => glassbox.verify());
  const boxes = await page.evaluate(async () => {
    const until = async (holds, what) => {
      for (let k = 0; !holds(); k++) {
        if (k > 1000) throw new Error(`${what} does not open`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const title = () => document.getElementById("box-title")?.textContent;
    const opened = new Set();
    for (let k = 0; k < document.querySelectorAll("#where .chip").length; k++) {
      document.querySelectorAll("#where .chip")[k].click();
      await until(() => document.querySelectorAll("#where .chip")[k].getAttribute("aria-pressed") === "true", "a part");
      for (const button of document.querySelectorAll("#flow [data-node]")) {
        const it = glassbox.D.nodes[button.dataset.node];
        button.click();
        await until(() => title() === it.name && document.querySelector("#box .view").childElementCount > 0, it.name);
        for (let t = 0; t < document.querySelectorAll("#box > .chips .chip").length; t++) {
          const chip = document.querySelectorAll("#box > .chips .chip")[t];
          const old = document.querySelector("#box .view").firstElementChild;
          chip.click();
          await until(() => document.querySelector("#box .view").firstElementChild !== old, `${it.name}, ${chip.textContent}`);
          if (!document.querySelector("#box .view canvas")) throw new Error(`${it.name}, ${chip.textContent}: no picture`);
        }
        const formula = document.querySelector("#box math") !== null;
        if (formula !== (it.source !== "input")) throw new Error(`${it.name} and its formula`);
        opened.add(it.name);
      }
    }
    return opened.size;
  });
  const named = await page.evaluate(() => glassbox.D.nodes.length);
  assert.equal(boxes, named, "every box");
  page.quiet();
  await page.close();
  done(`${name}: ${boxes} boxes open, ${matrices} matrices are what was stored`);
}

async function numbersAreFollowed(name) {
  const page = await open(name);
  const last = await page.evaluate(() => {
    const it = glassbox.D.nodes.find((n) => n.name === "block.0.attention.weights");
    return it.columns - 1;
  });
  await numberAt(page, "block.0.attention.weights", "value", 1, last);
  console.log(`    ${(await follow(page, 3)).join(" ← ")}`);
  await numberAt(page, "block.0.attention.query", "gradient", 0, 2);
  const gradient = await follow(page, 3);
  assert.ok(gradient.filter((n) => n.startsWith("∇")).length >= 3, gradient.join(", "));
  console.log(`    ${gradient.join(" ← ")}`);
  await numberAt(page, "block.0.attention.qkv.weight", "updated", 1, 1);
  await addsUp(page);
  // Numbers of every kind, at random but always the same.
  const tried = await page.evaluate(() => glassbox.D.nodes.flatMap((n, node) => ["value", "gradient", "updated"]
    .filter((q) => n.data[q]).map((quantity, k) => ({ node, quantity, row: (7 * node + k) % n.rows, column: (5 * node + 3 * k) % n.columns }))));
  for (const p of tried) {
    await page.evaluate((p) => glassbox.followNumber(p, { quiet: true }), p);
    await addsUp(page);
  }
  page.quiet();
  await page.close();
  done(`${name}: numbers followed three levels down; ${tried.length} more add up`);
}

async function keyboardSuffices() {
  const page = await open("step.html");
  const focused = () => page.evaluate(() => {
    const e = document.activeElement;
    return { tag: e.tagName, id: e.id, part: e.dataset?.part, cls: e.getAttribute("class") ?? "", label: e.getAttribute("aria-label") ?? e.textContent };
  });
  const tabTo = async (found, most = 400) => {
    for (let k = 0; k < most; k++) {
      await page.keyboard.press("Tab");
      const now = await focused();
      if (found(now)) return now;
    }
    assert.fail("the keyboard does not reach it");
  };
  await tabTo((f) => f.part === "2");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "inside");
  assert.match(await page.locator("#flow-title").textContent(), /Feed-forward/);
  await tabTo((f) => f.cls.includes("card-button") && f.label.includes("activated"));
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("box-title").textContent.endsWith("activated"));
  await page.waitForFunction(() => document.activeElement.id === "box");
  await tabTo((f) => f.tag === "CANVAS");
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown"]) await page.keyboard.press(key);
  assert.match(await page.locator("#box .readout").first().textContent(), /activated\[1,2\] = /);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#number .address").textContent.includes("activated[1,2]"));
  await addsUp(page);
  for (const expected of [/expanded\[/, /\[/]) {
    await page.waitForFunction(() => document.activeElement.id === "follow");
    const before = await page.locator("#number .address").textContent();
    await tabTo((f) => f.cls.includes("operand") && !/weight|bias/.test(f.label));
    await page.keyboard.press("Enter");
    await page.waitForFunction((b) => document.querySelector("#number .address").textContent !== b, before);
    assert.match(await page.locator("#number .address").textContent(), expected);
    await addsUp(page);
  }
  await tabTo((f) => f.label === "norm off");
  await page.keyboard.press("Enter");
  assert.match(await page.locator("#change-body .sentence").textContent(), /Without normalisation/);
  page.quiet();
  await page.close();
  done("the keyboard alone suffices");
}

async function narrowScreens(name) {
  const page = await open(name, { viewport: { width: 400, height: 800 } });
  const widest = () => page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok((await widest()) <= 400, `${name} is ${await widest()} wide`);
  for (let k = 0; k < (await page.locator("#where .chip").count()); k++) {
    await page.locator("#where .chip").nth(k).click();
    const nodes = await page.locator("#flow .card-button").evaluateAll((all) => all.map((b) => Number(b.dataset.node)));
    for (const node of nodes) {
      await page.evaluate((n) => glassbox.openNode(n), node);
      assert.ok((await widest()) <= 400, `${name}: node ${node} makes it ${await widest()} wide`);
    }
  }
  for (const [name, quantity] of [["block.0.norm_1", "gradient"], ["block.0.attention.scores", "value"], ["block.0.attention.qkv.weight", "updated"], ["logits", "gradient"]]) {
    await numberAt(page, name, quantity, 0, 1);
    assert.ok((await widest()) <= 400, `${name} followed makes it ${await widest()} wide`);
  }
  for (let k = 0; k < (await page.locator("#change-chips .chip").count()); k++) {
    await page.locator("#change-chips .chip").nth(k).click();
    assert.ok((await widest()) <= 400, `change ${k}`);
  }
  page.quiet();
  await page.close();
  done(`${name}: no horizontal scroll at 400 px`);
}

async function accessible() {
  for (const colorScheme of ["light", "dark"]) {
    const page = await open("step.html", { colorScheme });
    await numberAt(page, "block.0.norm_1", "gradient", 0, 1);
    await page.evaluate(axe);
    for (const part of [0, 1, 2, 3, 4]) {
      await page.evaluate((p) => glassbox.showPart(p, 0), part);
      if (part === 3) await page.evaluate(() => glassbox.openNode(glassbox.D.nodes.findIndex((n) => n.name === "probabilities")));
      const found = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
      const bad = found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120) + " " + (n.any[0]?.message ?? "")).join("\n      ")}`);
      assert.deepEqual(bad, [], `${colorScheme}, part ${part}`);
    }
    page.quiet();
    await page.close();
  }
  done("WCAG AA, contrast included, in light and dark (axe-core)");
}

async function textStaysText() {
  const page = await open("hostile.html");
  const seen = await page.evaluate(() => ({
    scripts: document.querySelectorAll("script").length, images: document.images.length, bold: document.querySelectorAll("b").length,
    tokens: document.querySelectorAll("#tokens .token-box").length, title: document.getElementById("title").textContent, heading: document.title,
    first: [...document.querySelectorAll("#tokens .token-box")].map((t) => t.textContent).join(""),
  }));
  assert.equal(seen.scripts, 2);
  assert.equal(seen.images + seen.bold, 0);
  assert.equal(seen.tokens, 64);
  assert.match(seen.title, /<b>run/);
  assert.match(seen.heading, /<b>run/);
  assert.match(seen.first, /^<\/script><script>alert\(1\)<\/script>␣<img/);
  await page.evaluate(() => glassbox.verify());
  await page.screenshot({ path: join(shots, "hostile.png") });
  page.quiet();
  await page.close();
  done("markup, emoji, right-to-left and 10,000 characters stay text");
}

async function theModelThatSorts() {
  if (!process.env.SORT) return;
  const page = await open("sort.html");
  const length = 11, heads = 3;
  const read = (name) => page.evaluate(async (name) => {
    const node = glassbox.D.nodes.findIndex((n) => n.name === name);
    return [...(await glassbox.load(node, "value"))];
  }, name);
  const close = (found, expected, what) => {
    assert.equal(found.length, expected.length, what);
    found.forEach((x, k) => assert.ok(Math.abs(x - expected[k]) <= 1e-5, `${what} ${k}: ${x} is ${expected[k]}`));
  };
  const first = (name, count) => tensor(process.env.SORT, name).slice(0, count);
  close(await read("block.0.attention.weights"), first("attSm", heads * length * length), "attention");
  close(await read("block.0.output"), first("block0", 48 * length), "block 0");
  close(await read("block.2.output"), first("block2", 48 * length), "block 2");
  close(await read("probabilities"), first("probs", 3 * length), "probabilities");
  await page.evaluate(() => glassbox.showPart(1, 0));
  assert.equal(await page.locator("#box .head-map canvas").count(), heads);
  await page.locator("#box").screenshot({ path: join(shots, "sort-attention.png") });
  page.quiet();
  await page.close();
  done("the model that sorts: its author's activations");
}

async function picturesAreWellFormed() {
  const page = await browser.newPage();
  const names = readdirSync(join(work, "pictures"));
  assert.ok(names.includes("step.svg") && names.includes("ledger.svg") && names.includes("attention-0.svg"), names.join());
  for (const name of names) {
    const text = readFileSync(join(work, "pictures", name), "utf8");
    const error = await page.evaluate((t) => new DOMParser().parseFromString(t, "image/svg+xml").querySelector("parsererror")?.textContent, text);
    assert.equal(error, undefined, name);
    await page.goto(`file://${join(work, "pictures", name)}`);
    await page.screenshot({ path: join(shots, name.replace(".svg", ".png")) });
  }
  await page.close();
  done(`${names.length} pictures are well-formed`);
}

async function screenshots() {
  for (const [name, width, colorScheme] of [["light", 1280, "light"], ["dark", 1280, "dark"], ["narrow", 400, "light"]]) {
    const page = await open("step.html", { viewport: { width, height: 900 }, colorScheme });
    await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
    await page.close();
  }
  done(`screenshots in ${shots}`);
}

try {
  await opensQuickly();
  await everyBoxOpens("step.html");
  await numbersAreFollowed("step.html");
  await keyboardSuffices();
  for (const name of ["step.html", "hostile.html"]) await narrowScreens(name);
  await accessible();
  await textStaysText();
  await theModelThatSorts();
  if (process.env.SORT) await numbersAreFollowed("sort.html");
  await picturesAreWellFormed();
  await screenshots();
} finally {
  await browser.close();
}
