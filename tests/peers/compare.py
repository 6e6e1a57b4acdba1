"""This project's training step and a peer's, in alternation: ours, theirs, ours, theirs, …

    python compare.py                                   PyTorch, all sizes
    python compare.py --peer candle burn --size shakespeare-cpu
    python compare.py --peer llm.c --llm-c ~/llm.c --size gpt2
    python compare.py --peer pytorch-bf16 f32           bfloat16 products, against PyTorch's and our own f32
    python compare.py --avx2                            both held to AVX2, where the processor has more

Every run is a process of its own of some seconds; a pair is one run of each, one right after the other,
so that a machine that slows down slows both. The ratio (our tokens per second over theirs) is taken pair
by pair. Prints medians and spread; writes compare.json and compare.md into --out, completing what is there.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

from common import AVX2, HERE, ROOT, SIZES, architecture, cargo_build, glassbox, machine, machine_line, output_of
from common import read_results, run, spread, stop, table, thousands, write, write_json

PEERS = ["pytorch", "pytorch-compile", "pytorch-bf16", "pytorch-bf16-compile", "f32", "candle", "burn", "llm.c"]
# Against these our side multiplies bfloat16 too.
BF16 = ["pytorch-bf16", "pytorch-bf16-compile", "f32"]


def ours(program, size, threads, bf16=False):
    """The command of our side."""
    s = SIZES[size]
    command = [program, "bench", "--json", "--no-generation", "--preset", s["preset"]]
    command += ["--batch", s["batch"], "--length", s["length"], "--threads", threads]
    command += architecture(s)
    if "lora" in s:
        command += ["--lora", s["lora"]]
    if bf16:
        command += ["--precision", "bf16"]
    return command + (["--steps", s["steps"]] if "steps" in s else [])


def theirs(peer, size, arguments):
    """The command of their side, built where there is something to build."""
    s = SIZES[size]
    if peer == "llm.c":
        if not arguments.llm_c:
            stop("--peer llm.c needs --llm-c PATH, a checkout of github.com/karpathy/llm.c")
        command = [arguments.python, HERE / "llm_c.py", arguments.llm_c, size]
    elif peer.startswith("pytorch"):
        command = [arguments.python, HERE / "pytorch.py", size, "--threads", arguments.threads]
        command += ["--compile"] if peer.endswith("-compile") else []
        command += ["--bf16"] if "bf16" in peer else []
    else:
        target = Path(arguments.target_dir or ROOT / "target/peers").resolve() / peer
        if peer not in arguments.built:
            cargo_build(HERE / peer, target)
            arguments.built.add(peer)
        command = [target / f"release/peer-{peer}", size]
    if "steps" in s:
        return command + ["--steps", s["steps"], "--warmup", 1]
    return command + ["--seconds", arguments.seconds]


def compare(peer, size, program, arguments):
    """Pairs of runs, and what they come to."""
    a = ours(program, size, arguments.threads, peer in BF16)
    b = ours(program, size, arguments.threads) if peer == "f32" else theirs(peer, size, arguments)
    keys = ["tokens_per_second", "step_seconds_median", "resident_bytes"]
    pairs, name = [], peer
    settings = AVX2 if arguments.avx2 else {}
    for i in range(arguments.pairs):
        mine = run(a, arguments.threads, settings)
        other = run(b, arguments.threads, settings)
        if mine["parameters"] != other["parameters"] and peer != "llm.c":
            stop(
                f"{size}: our model has {mine['parameters']} parameters, that of {peer}"
                f" {other['parameters']}: they must be the same model"
            )
        name = other.get("peer", "our own f32")
        ratio = mine["tokens_per_second"] / other["tokens_per_second"]
        pairs.append(
            {
                "ours": {k: mine[k] for k in [*keys, "model_flops_share", "peak_flops"]},
                "theirs": {k: other[k] for k in keys},
                "ratio": ratio,
            }
        )
        print(
            f"  pair {i + 1:2}: {1e3 * mine['step_seconds_median']:9.1f} ms, "
            f"{name} {1e3 * other['step_seconds_median']:9.1f} ms: {ratio:.2f} ×",
            file=sys.stderr,
        )

    def median(side, key):
        return statistics.median(pair[side][key] or 0 for pair in pairs)

    return {
        "size": size,
        "peer": peer,
        "version": name,
        "threads": arguments.threads,
        "avx2": arguments.avx2,
        "when": time.strftime("%Y-%m-%d"),
        "revision": output_of(["git", "rev-parse", "--short", "HEAD"]),
        "rustc": output_of(["rustc", "--version"]),
        "ratio": spread([pair["ratio"] for pair in pairs]),
        "ours": {k: median("ours", k) for k in [*keys, "model_flops_share", "peak_flops"]},
        "theirs": {k: median("theirs", k) for k in keys},
        "pairs": pairs,
    }


def key(result):
    """What a result is of, and its place in the table."""
    size, peer = list(SIZES).index(result["size"]), PEERS.index(result["peer"])
    return size, peer, -result["threads"], result.get("avx2", False)


def markdown(here, results):
    """The table, largest question first: how many times as fast, in how much memory."""
    rows = []
    for r in results:
        s, ratio, mine, other = SIZES[r["size"]], r["ratio"], r["ours"], r["theirs"]
        rows.append(
            [
                f"`{r['size']}`, {s['batch']} × {s['length']}",
                ("bf16 against " if r["peer"] in BF16 else "")
                + f"{r['version']}, {r['threads']} thread{'s' if r['threads'] > 1 else ''}"
                + (", both held to AVX2" if r.get("avx2") else ""),
                f"{1e3 * mine['step_seconds_median']:,.1f} ms",
                f"{1e3 * other['step_seconds_median']:,.1f} ms",
                f"**{ratio['median']:.2f}**",
                f"{ratio['lowest']:.2f}–{ratio['highest']:.2f} ({len(r['pairs'])})",
                f"{thousands(mine['tokens_per_second'])}",
                f"{thousands(other['tokens_per_second'])}",
                f"{mine['resident_bytes'] / 1e6:,.0f} MB",
                f"{other['resident_bytes'] / 1e6:,.0f} MB",
                f"{100 * mine['model_flops_share']:.0f} % of {mine['peak_flops'] / 1e9:.0f}",
            ]
        )
    head = ["size, batch × length", "peer", "step, ours", "step, peer", "times as fast", "spread (pairs)"]
    head += ["tokens/s, ours", "tokens/s, peer", "resident, ours", "resident, peer"]
    head += ["of the machine's peak, GFLOP/s"]
    lines = table(head, rows)
    dates = sorted({r["when"] for r in results})
    return (
        "# Training steps, side by side\n\n"
        + lines
        + f"\n{machine_line(here)} Measured {' and '.join(dates)} by `tests/peers/compare.py`.\n\n"
        "Runs alternate: ours, the peer's, ours, the peer's. *Times as fast* is the median over the pairs"
        " of our tokens per second over the peer's, *spread* the least and the greatest of these ratios;"
        " *resident* is the most memory that a process held at once. The last column is ours: the"
        " operations that the model needs, over those that the machine could have done in the time,"
        " where a loop of multiply-adds that touches no memory is 100 %. Rows with another peak are of another processor.\n"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", nargs="+", choices=PEERS, default=["pytorch"])
    parser.add_argument("--size", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--avx2", action="store_true", help="hold both sides to AVX2 (PyTorch only)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a peer's run, at least")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="directory of the results")
    parser.add_argument("--glassbox", help="the program, if it is built already")
    parser.add_argument("--python", default=sys.executable, help="the Python that has PyTorch")
    parser.add_argument("--target-dir", help="where the peers in Rust are built")
    parser.add_argument("--llm-c", help="a checkout of github.com/karpathy/llm.c")
    arguments = parser.parse_args()
    if arguments.pairs < 1 or arguments.threads < 1:
        parser.error("--pairs and --threads are at least 1")
    if "llm.c" in arguments.peer and not {"gpt2", "gpt2-long"}.issuperset(arguments.size):
        parser.error("llm.c is GPT-2 only: --size gpt2 or gpt2-long")
    if arguments.avx2 and not all(peer.startswith("pytorch") for peer in arguments.peer):
        parser.error("--avx2 is for PyTorch: the other peers cannot be held to it")
    families = [size for size in arguments.size if "family" in SIZES[size]]
    if families and not all(peer.startswith("pytorch") or peer == "f32" for peer in arguments.peer):
        parser.error(f"only PyTorch has {' and '.join(families)}")
    arguments.built = set()
    here, path = machine(), arguments.out / "compare.json"
    results = read_results(path, here)
    program = glassbox(arguments.glassbox)
    for size in arguments.size:
        for peer in arguments.peer:
            print(f"{size} against {peer}, {arguments.threads} threads", file=sys.stderr)
            result = compare(peer, size, program, arguments)
            results = [r for r in results if key(r) != key(result)] + [result]
            results.sort(key=key)
            write_json(path, {"machine": here, "results": results})
            write(arguments.out / "compare.md", markdown(here, results))
    print(markdown(here, results))


if __name__ == "__main__":
    main()
