// Which formulas of the documentation `formulas.html` cannot translate to TeX. `node docs/formulas.mjs`
//
// With KaTeX installed (`npm install --no-save katex`) what it translates is drawn too.

import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const header = readFileSync(join(root, "docs", "formulas.html"), "utf8");
const source = header.split("<script>")[1].split("addEventListener(")[0];
const tex = new Function(`${source}; return tex;`)();
const katex = await import("katex").then((m) => m.default, () => null);

let [formulas, wrong] = [0, 0];
for (const crate of ["linalg", "probability", "calculus", "infotheory"]) {
  for (const file of readdirSync(join(root, crate, "src"), { recursive: true })) {
    if (!file.endsWith(".rs")) continue;
    const lines = readFileSync(join(root, crate, "src", file), "utf8").split("\n");
    const prose = lines.map((line) => /^\s*\/\/[/!] ?(.*)$/.exec(line)?.[1] ?? "\n").join(" ");
    for (const [, marked] of prose.matchAll(/<var>(.*?)<\/var>/gs)) {
      // As Markdown shows it.
      const formula = marked.replace(/\\([[\]_*|])/g, "$1");
      formulas += 1;
      try {
        katex?.renderToString(tex(formula), { throwOnError: true, strict: "ignore" }) ?? tex(formula);
      } catch (error) {
        wrong += 1;
        console.log(`${crate}/src/${file}: ${error.message}`);
      }
    }
  }
}
console.log(`${formulas} formulas, ${wrong} of them not ${katex ? "drawn" : "translated"}`);
process.exit(wrong > 0 ? 1 : 0);
