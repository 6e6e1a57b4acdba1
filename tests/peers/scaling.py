"""How cost grows with the work: one table and one picture.

    python scaling.py [--rounds N] [--pairs N] [--out DIRECTORY]

Time per token against width, depth, context and batch, one varied at a time; memory of activations against
the context; one thread against two at `baby`, in alternation, with the weights of both compared bit by bit.
Every point is a run of `glassbox bench`, in --rounds rounds over all points, so that a slow minute of the
machine falls on one round and not on one point; the median counts. Writes scaling.json, scaling.md and
scaling.svg.
"""

import argparse
import hashlib
import math
import statistics
import subprocess
import sys
import tempfile
import time
from html import escape
from pathlib import Path

from common import ROOT, glassbox, machine, machine_line, output_of, run, spread, stop, table
from common import thousands, write, write_json

# One head for 64 features; what is not varied stays at this.
BASE = {"width": 256, "layers": 4, "context": 256, "batch": 4}
VOCABULARY = 256
SWEEPS = {
    "width": [64, 128, 256, 512, 1024],
    "layers": [1, 2, 4, 8, 16],
    "context": [64, 128, 256, 512, 1024, 2048],
    "batch": [1, 2, 4, 8, 16, 32],
}
WORDS = {"width": "features", "layers": "layers", "context": "tokens of a window", "batch": "windows"}
TITLES = {"width": "Width", "layers": "Depth", "context": "Context", "batch": "Batch"}


def points():
    """Every configuration once; sweeps share the base."""
    all_points = []
    for name, values in SWEEPS.items():
        for value in values:
            point = dict(BASE, **{name: value})
            if point not in all_points:
                all_points.append(point)
    return all_points


def command(program, point, threads):
    """About two seconds of steps at 50 GFLOP/s, and never fewer than three."""
    tokens = point["batch"] * point["context"]
    flops = 6 * tokens * (12 * point["layers"] * point["width"] ** 2 + VOCABULARY * point["width"])
    steps = min(200, max(3, round(2 * 50e9 / flops)))
    arguments = [program, "bench", "--json", "--no-generation", "--preset", "story"]
    arguments += ["--vocabulary", VOCABULARY, "--heads", max(1, point["width"] // 64)]
    for name, value in point.items():
        arguments += [f"--{name}", value]
    return arguments + ["--steps", steps, "--threads", threads]


def measure(program, rounds, threads):
    """Medians of every point."""
    runs = [[] for _ in points()]
    for i in range(rounds):
        print(f"round {i + 1} of {rounds}", file=sys.stderr)
        for point, results in zip(points(), runs):
            results.append(run(command(program, point, threads), threads))
    measured = []
    for point, results in zip(points(), runs):
        seconds = [r["step_seconds_median"] / r["tokens"] for r in results]
        peak = statistics.median(r["peak_flops"] for r in results)
        last = results[-1]
        measured.append(
            point
            | {
                "parameters": last["parameters"],
                "tokens": last["tokens"],
                "seconds_per_token": spread(seconds),
                "bound_per_token": last["model_flops"] / peak / last["tokens"],
                "activations": last["memory"]["activations"],
                "resident_bytes": statistics.median(r["resident_bytes"] or 0 for r in results),
            }
        )
    return measured


def of(measured, sweep):
    """The points of a sweep, by its value."""
    rest = {k: v for k, v in BASE.items() if k != sweep}
    return sorted(
        (m for m in measured if all(m[k] == v for k, v in rest.items())), key=lambda m: m[sweep]
    )


def thread_scaling(program, pairs):
    """One thread and two in alternation, at baby."""
    results = []
    for i in range(pairs):
        both = []
        for threads in (1, 2):
            arguments = [program, "bench", "--json", "--no-generation", "--preset", "baby"]
            arguments += ["--batch", 8, "--steps", 3, "--threads", threads]
            both.append(run(arguments, threads)["tokens_per_second"])
        results.append(both)
        print(f"  pair {i + 1:2}: {both[0]:.0f}, {both[1]:.0f}: {both[1] / both[0]:.2f} ×", file=sys.stderr)
    return {
        "one": statistics.median(r[0] for r in results),
        "two": statistics.median(r[1] for r in results),
        "ratio": spread([r[1] / r[0] for r in results]),
        "pairs": results,
    }


def weights_after(program, threads):
    """SHA-256 of the weights of a short run."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "run"
        arguments = [program, "train", "--preset", "story", "--steps", 5, "--batch", 4, "--eval-every", 0]
        arguments = [str(a) for a in [*arguments, "--threads", threads, "--out", out]]
        result = subprocess.run(arguments, capture_output=True, text=True)
        if result.returncode != 0:
            stop(f"`{' '.join(arguments)}` failed:\n{result.stderr.strip()[-800:]}")
        return hashlib.sha256((out / "model/model.safetensors").read_bytes()).hexdigest()


# ------------------------------------------------------------------------------------------------
# The table


def markdown(here, result):
    measured, scaling = result["points"], result["threads"]
    rows = []
    for name in SWEEPS:
        for m in of(measured, name):
            seconds = m["seconds_per_token"]
            rows.append(
                [
                    f"{TITLES[name].lower()} {m[name]:,}",
                    thousands(m["parameters"]),
                    f"{m['tokens']:,}",
                    f"{1e6 * seconds['median']:.1f} µs",
                    f"{1e6 * seconds['lowest']:.1f}–{1e6 * seconds['highest']:.1f}",
                    f"{1e6 * m['bound_per_token']:.1f} µs",
                    f"{100 * m['bound_per_token'] / seconds['median']:.0f} %",
                    f"{m['activations'] / 1e6:.1f} MB",
                    f"{m['activations'] / m['tokens'] / 1e3:.2f} kB",
                ]
            )
    head = ["varied", "parameters", "tokens a step", "time per token", "spread", "at the peak", "share"]
    head += ["activations", "per token"]
    base = ", ".join(f"{TITLES[k].lower()} {v}" for k, v in BASE.items())
    ratio = scaling["ratio"]
    bits = "the same bits" if result["same_bits"] else "DIFFERENT bits"
    return (
        "# How cost grows with the work\n\n![Six small charts of the table](scaling.svg)\n\n"
        + table(head, rows)
        + f"\nNot varied: {base}; one head for 64 features, {VOCABULARY} tokens of vocabulary,"
        f" {result['used_threads']} threads. *At the peak*: the operations that the model needs, at the rate"
        " of multiply-adds that touch no memory. Activations are what a step keeps besides parameters:"
        " per token they do not grow with the context, because attention keeps no weights; they stop growing"
        " at 1,024 tokens, because a batch is replayed in parts of at most so many (or of one window).\n\n"
        "## Threads\n\n"
        f"`baby`, batch 8: {scaling['one']:,.0f} tokens/s on one thread, {scaling['two']:,.0f} on two:"
        f" **{ratio['median']:.2f} ×**, pair by pair {ratio['lowest']:.2f}–{ratio['highest']:.2f}"
        f" ({len(scaling['pairs'])} pairs). Weights after training on one thread and on two: {bits}.\n\n"
        f"{machine_line(here)} Measured {result['when']} by `tests/peers/scaling.py`.\n"
    )


# ------------------------------------------------------------------------------------------------
# The picture

WIDTH, HEIGHT = 960, 640
PANEL = (300, 290)  # distance of panels
AREA = (190, 150)  # of the curves in a panel
ORIGIN = (66, 130)  # of the first panel's area

# The colours of the program's own pictures; they follow the reader's light or dark setting.
STYLE = """
  .page { fill: #fbfaf7 } .ink { fill: #22262b } .faint { fill: #5d646d } .grid { stroke: #e3e0d8 }
  .axis { stroke: #8a8f96 } .line { stroke: #2f6db3; fill: none } .dot { fill: #2f6db3 }
  .spread { stroke: #2f6db3; opacity: .35 } .line-text { fill: #2f6db3 }
  .floor { stroke: #15803d; fill: none } .floor-text { fill: #15803d }
  .other { stroke: #c2410c; fill: none; stroke-dasharray: 5 4 } .other-text { fill: #c2410c }
  text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif }
  .title { font-size: 19px; font-weight: 600 } .name { font-size: 14px; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #15181c } .ink { fill: #eceae4 } .faint { fill: #a2a8b0 } .grid { stroke: #2a2f35 }
    .axis { stroke: #6c737b } .line { stroke: #6ea8e8 } .dot { fill: #6ea8e8 }
    .spread { stroke: #6ea8e8 } .line-text { fill: #6ea8e8 } .floor { stroke: #4ade80 }
    .floor-text { fill: #4ade80 } .other { stroke: #fb923c } .other-text { fill: #fb923c }
  }"""


def text(x, y, kind, anchor, words):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1, y1, x2, y2, kind, width=1.0):
    return (
        f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        f' stroke-width="{width}"/>'
    )


def polyline(at, kind):
    at = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    return f'<polyline class="{kind}" points="{at}" stroke-width="2" stroke-linejoin="round"/>'


def round_numbers(low, high):
    """The roundest numbers of which three or more lie between."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for steps in ([1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]):
        numbers = [s * 10.0**d for d in decades for s in steps]
        inside = [n for n in numbers if low <= n <= high]
        if len(inside) >= 3:
            return inside
    return inside


class Panel:
    """A chart with two logarithmic axes."""

    def __init__(self, index, title, unit, xs, ys):
        self.left = ORIGIN[0] + PANEL[0] * (index % 3)
        self.top = ORIGIN[1] + PANEL[1] * (index // 3)
        self.xs, self.low, self.high = xs, min(ys) / 1.25, max(ys) * 1.25
        self.ends = []
        self.out = [text(self.left, self.top - 26, "ink name", "start", title)]
        self.out.append(text(self.left, self.top - 10, "faint", "start", unit))

    def x(self, x):
        share = math.log(x / self.xs[0]) / math.log(self.xs[-1] / self.xs[0])
        return self.left + 8 + (AREA[0] - 16) * share

    def y(self, y):
        share = math.log(y / self.low) / math.log(self.high / self.low)
        return self.top + AREA[1] * (1 - share)

    def axes(self, words):
        right, bottom = self.left + AREA[0], self.top + AREA[1]
        for y in round_numbers(self.low, self.high):
            self.out.append(line(self.left, self.y(y), right, self.y(y), "grid"))
            self.out.append(text(self.left - 7, self.y(y) + 4, "faint", "end", f"{y:,.6g}"))
        self.out.append(line(self.left, bottom, right, bottom, "axis"))
        for x in self.xs:
            self.out.append(line(self.x(x), bottom, self.x(x), bottom + 4, "axis"))
            self.out.append(text(self.x(x), bottom + 18, "faint", "middle", f"{x}"))
        self.out.append(text(self.left + AREA[0] / 2, bottom + 36, "faint", "middle", words))

    def curve(self, points, kind, label, label_kind, dots=False):
        at = [(self.x(x), self.y(y)) for x, y in points]
        self.out.append(polyline(at, kind))
        if dots:
            self.out += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>' for x, y in at]
        self.ends.append((at[-1][1], label_kind, label))

    def labels(self):
        """The curves' names at their right ends, moved apart downwards."""
        lowest = -math.inf
        for y, kind, label in sorted(self.ends):
            lowest = max(y, lowest + 15)
            self.out.append(text(self.x(self.xs[-1]) + 9, lowest + 4, kind, "start", label))
        return self.out


def time_panel(index, sweep, measured):
    here = of(measured, sweep)
    micro = lambda m, key: 1e6 * m["seconds_per_token"][key]
    ys = [micro(m, k) for m in here for k in ("lowest", "highest")]
    ys += [1e6 * m["bound_per_token"] for m in here]
    panel = Panel(index, TITLES[sweep], "µs per token", [m[sweep] for m in here], ys)
    panel.axes(WORDS[sweep])
    for m in here:
        x = panel.x(m[sweep])
        panel.out.append(line(x, panel.y(micro(m, "lowest")), x, panel.y(micro(m, "highest")), "spread", 5))
    bound = [(m[sweep], 1e6 * m["bound_per_token"]) for m in here]
    panel.curve(bound, "floor", "at peak", "floor-text")
    panel.curve([(m[sweep], micro(m, "median")) for m in here], "line", "measured", "line-text", True)
    return panel.labels()


def memory_panel(index, measured):
    here = of(measured, "context")
    mega = [(m["context"], m["activations"] / 1e6) for m in here]

    def kept(m):
        """Bytes of attention weights, were they kept: T × T for each window, head and layer."""
        heads = max(1, m["width"] // 64)
        return 4 * m["layers"] * m["batch"] * heads * m["context"] ** 2

    squares = [(m["context"], (m["activations"] + kept(m)) / 1e6) for m in here]
    panel = Panel(index, "Memory", "MB of activations", [x for x, _ in mega], [y for _, y in mega + squares])
    panel.axes(WORDS["context"])
    panel.curve(squares, "other", "with T × T", "other-text")
    panel.curve(mega, "line", "measured", "line-text", True)
    return panel.labels()


def threads_panel(index, scaling):
    left, top = ORIGIN[0] + PANEL[0] * (index % 3), ORIGIN[1] + PANEL[1] * (index // 3)
    out = [text(left, top - 26, "ink name", "start", "Threads")]
    out.append(text(left, top - 10, "faint", "start", "tokens per second, baby, batch 8"))
    for i, (name, rate) in enumerate([("1 thread", scaling["one"]), ("2 threads", scaling["two"])]):
        y, length = top + 14 + 62 * i, (AREA[0] + 20) * rate / max(scaling["one"], scaling["two"])
        out.append(text(left, y + 4, "ink", "start", name))
        out.append(text(left + AREA[0] + 20, y + 4, "line-text", "end", f"{rate:,.0f}"))
        out.append(f'<rect class="dot" x="{left}" y="{y + 12:.1f}" width="{length:.1f}" height="18" rx="2"/>')
    ratio = scaling["ratio"]
    words = f"{ratio['median']:.2f} times as fast ({ratio['lowest']:.2f}–{ratio['highest']:.2f})"
    out.append(text(left, top + 144, "ink", "start", words))
    return out


def picture(here, result):
    measured = result["points"]
    base = ", ".join(f"{TITLES[k].lower()} {v}" for k, v in BASE.items())
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' aria-label="Time per token against width, depth, context and batch; memory against the context;'
        ' threads">',
        f"<style>{STYLE}\n</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
        text(24, 36, "ink title", "start", "How cost grows with the work"),
        text(
            24,
            58,
            "faint",
            "start",
            f"A training step; one of {base} varied at a time. Logarithmic axes. {here['processor']},"
            f" {here['cores']} cores.",
        ),
    ]
    for i, sweep in enumerate(SWEEPS):
        out += time_panel(i, sweep, measured)
    out += memory_panel(4, measured) + threads_panel(5, result["threads"])
    return "\n".join([*out, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=7, help="of one thread and two")
    parser.add_argument("--threads", type=int, default=2, help="of the sweeps")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--glassbox", help="the program, if it is built already")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.pairs, arguments.threads) < 1:
        parser.error("--rounds, --pairs and --threads are at least 1")
    program, here = glassbox(arguments.glassbox), machine()
    same = weights_after(program, 1) == weights_after(program, 2)
    result = {
        "when": time.strftime("%Y-%m-%d"),
        "revision": output_of(["git", "rev-parse", "--short", "HEAD"]),
        "used_threads": arguments.threads,
        "same_bits": same,
        "points": measure(program, arguments.rounds, arguments.threads),
        "threads": thread_scaling(program, arguments.pairs),
    }
    write_json(arguments.out / "scaling.json", {"machine": here, "results": [result]})
    write(arguments.out / "scaling.md", markdown(here, result))
    write(arguments.out / "scaling.svg", picture(here, result))
    print(markdown(here, result))
    if not same:
        stop("one thread and two gave different weights")


if __name__ == "__main__":
    main()
