"""Generation at GPT-2 124M with random weights: this project's and Hugging Face transformers', in alternation.

    python generate.py [--pairs N] [--threads N] [--out DIRECTORY]

Both take one token after another with a key-value cache, from an empty context, and take the likeliest. The
time of a token is the median of a run's; the bandwidth of memory is measured in turn with the tokens; `generate()` of transformers as a whole is timed beside it. Prints
medians and spread; writes generate.json and generate.md.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path

from common import ROOT, glassbox, machine, machine_line, output_of, run, spread, table, write, write_json


def worker(threads, tokens):
    """One run of transformers: prints a JSON object."""
    import torch
    import transformers

    torch.manual_seed(1337)
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    config = transformers.GPT2Config(bos_token_id=0, eos_token_id=None, pad_token_id=0)
    model = transformers.GPT2LMHeadModel(config).eval()
    seconds, cache = [], None
    token = torch.zeros((1, 1), dtype=torch.long)
    with torch.inference_mode():
        for _ in range(tokens):
            start = time.perf_counter()
            output = model(token, past_key_values=cache, use_cache=True)
            cache, token = output.past_key_values, output.logits[:, -1:].argmax(-1)
            seconds.append(time.perf_counter() - start)
        prompt = torch.zeros((1, 1), dtype=torch.long)
        start = time.perf_counter()
        whole = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=tokens, do_sample=False
        )
        whole = (whole.shape[1] - 1) / (time.perf_counter() - start)
    report = {
        "peer": f"transformers {transformers.__version__}, PyTorch {torch.__version__}",
        "tokens_per_second": 1.0 / statistics.median(seconds),
        "tokens_per_second_of_generate": whole,
        "resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(report))


def markdown(here, r):
    mine, other, ratio = r["ours"], r["theirs"], r["ratio"]
    shares = [pair["ours"]["bandwidth_share"] for pair in r["pairs"]]
    least, most = min(shares), max(shares)
    rows = [
        [
            "this project",
            f"{mine['tokens_per_second']:.1f}",
            f"{mine['tokens_per_second'] * mine['bytes_per_token'] / 1e9:.1f} GB/s",
            f"{100 * mine['bandwidth_share']:.0f} % ({100 * least:.0f}–{100 * most:.0f})",
        ],
        [f"{r['version']}, forward with cache", f"{other['tokens_per_second']:.1f}", "", ""],
        [f"{r['version']}, `generate()`", f"{other['tokens_per_second_of_generate']:.1f}", "", ""],
    ]
    head = ["GPT-2 124M, one sequence", "tokens/s", "weights read", "of memory's bandwidth"]
    return (
        "# Generation, side by side\n\n"
        + table(head, rows)
        + f"\n{ratio['median']:.2f} times as fast as the faster of theirs, pair by pair"
        f" {ratio['lowest']:.2f}–{ratio['highest']:.2f} in {len(r['pairs'])} pairs,"
        f" {r['threads']} threads. {machine_line(here)} Measured {r['when']} by"
        " `tests/peers/generate.py`.\n"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64, help="of a run of transformers")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--glassbox", help="the program, if it is built already")
    parser.add_argument("--python", default=sys.executable, help="the Python that has transformers")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(arguments.threads, arguments.tokens)
    if min(arguments.pairs, arguments.threads, arguments.tokens) < 1:
        parser.error("--pairs, --threads and --tokens are at least 1")
    program = glassbox(arguments.glassbox)
    a = [program, "bench", "--json", "--preset", "gpt2", "--threads", arguments.threads]
    a += ["--batch", 1, "--length", 8, "--steps", 1]  # little training: only generation counts here
    b = [arguments.python, __file__, "--worker", "--threads", arguments.threads]
    b += ["--tokens", arguments.tokens]
    pairs, version = [], ""
    for i in range(arguments.pairs):
        report = run(a, arguments.threads)
        other = run(b, arguments.threads)
        mine = report["generation"]
        version = other.pop("peer")
        theirs = max(other["tokens_per_second"], other["tokens_per_second_of_generate"])
        ratio = mine["tokens_per_second"] / theirs
        pairs.append({"ours": mine, "theirs": other, "ratio": ratio})
        print(
            f"  pair {i + 1:2}: {mine['tokens_per_second']:6.1f} tokens/s"
            f" ({100 * mine['bandwidth_share']:.0f} % of the bandwidth), theirs {theirs:6.1f}: {ratio:.2f} ×",
            file=sys.stderr,
        )
    median = lambda side: {
        key: statistics.median(pair[side][key] for pair in pairs) for key in pairs[0][side]
    }
    result = {
        "version": version,
        "threads": arguments.threads,
        "when": time.strftime("%Y-%m-%d"),
        "revision": output_of(["git", "rev-parse", "--short", "HEAD"]),
        "ratio": spread([pair["ratio"] for pair in pairs]),
        "ours": median("ours"),
        "theirs": median("theirs"),
        "pairs": pairs,
    }
    here = machine()
    write_json(arguments.out / "generate.json", {"machine": here, "results": [result]})
    write(arguments.out / "generate.md", markdown(here, result))
    print(markdown(here, result))


if __name__ == "__main__":
    main()
