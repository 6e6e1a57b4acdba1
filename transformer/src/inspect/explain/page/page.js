// Assembles the page.

function start() {
  const M = D.model;
  fill("title", D.title);
  fill("subtitle", `${M.parameters.toLocaleString("en")} parameters: ${M.layers} layer${M.layers > 1 ? "s" : ""}, ${M.heads} heads, width ${M.width}, vocabulary ${M.vocabulary.toLocaleString("en")}. ${D.tokens.length} tokens; each predicts the next.`);
  fill("remarks", D.remarks.map((r) => h("p", { class: "note" }, r)));
  fill("tokens", D.tokens.map((t, k) => h("span", { class: "token-box", title: `token ${D.ids[k]}` }, tokenText(t))));
  for (const part of document.querySelectorAll("svg .part")) {
    const k = Number(part.dataset.part);
    const choose = async () => {
      if (k < 5) await showPart(k, 0);
      else if (k === 5) {
        await followNumber({ node: D.loss, quantity: "gradient", row: 0, column: 0 });
        return;
      } else {
        const weight = D.nodes.findIndex((n) => n.source === "parameter" && n.columns > 1 && n.block === 0);
        await followNumber({ node: weight < 0 ? D.nodes.findIndex((n) => n.source === "parameter") : weight, quantity: "updated", row: 0, column: 0 });
        return;
      }
      byId("inside").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      byId("inside").focus({ preventScroll: true });
    };
    part.addEventListener("click", choose);
    part.addEventListener("keydown", (e) => {
      if (e.key === "Enter" || e.key === " ") {
        e.preventDefault();
        choose();
      }
    });
  }
  showLedger();
  showChange(0);
  showInformation();
  const left = D.left_out;
  fill("about",
    h("p", {}, `Written by glassbox. Every number is the 32-bit one that the step computed; the page evaluates the same formulas as the terminal: `, h("code", {}, "glassbox explain … --at NAME[i,j]"), "."),
    left.length
      ? h("details", {}, h("summary", {}, `${left.length} matrices are included only as summaries, because there is no room`), h("ul", {}, left.map((name) => h("li", {}, name))))
      : h("p", {}, "Nothing was left out."));
  return first();
}

/** Opens the page at the number of its address, or at the attention of the first block. */
async function first() {
  await showPart(1, 0);
  const [, node, quantity, row, column] = location.hash.match(/^#number\/(\d+)\/(\w+)\/(\d+)\/(\d+)$/) || [];
  if (node !== undefined && D.nodes[node]) {
    const kind = /^\d+$/.test(quantity) ? Number(quantity) : quantity;
    return followNumber({ node: Number(node), quantity: kind, row: Number(row), column: Number(column) }, { quiet: true });
  }
  const scores = D.nodes.findIndex((n) => n.name.endsWith("attention.weights"));
  const it = D.nodes[scores < 0 ? D.loss : scores];
  const last = Math.min(it.columns - 1, it.rows - 1);
  return followNumber({ node: scores < 0 ? D.loss : scores, quantity: "value", row: Math.floor(last / 2), column: last }, { quiet: true });
}

/** Reads every matrix of the page and checks it against its stored checksum; for tests. */
async function verify() {
  let matrices = 0;
  for (let i = 0; i < D.nodes.length; i++) {
    const it = D.nodes[i];
    const kinds = ["value", "gradient", "clipped", "updated", ...(it.data.memory || []).keys()];
    for (const kind of kinds) if (await load(i, kind)) matrices++;
  }
  return matrices;
}

window.glassbox = { D, verify, followNumber, showPart, openNode, element, arithmetic, prepare, load, Reader, paths };
window.ready = start();
