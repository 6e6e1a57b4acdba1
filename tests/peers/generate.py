"""Generation with random weights: this project's and Hugging Face transformers', in alternation.

    python generate.py [--size gpt2 smollm2] [--pairs N] [--threads N] [--out DIRECTORY]

Both take one token after another with a key-value cache, from an empty context, and take the likeliest; then both
read a prompt (1024 tokens, or half of the context) and write after it. The time of a token is the median of a run's;
the bandwidth of memory is measured in turn with the tokens; `generate()` of transformers as a whole is timed beside
it. Prints medians and spread; writes generate.json and generate.md.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path

from common import ROOT, SIZES, glassbox, machine, machine_line, output_of, read_results, run, spread
from common import architecture, stop, table, write, write_json

NAMES = {"gpt2": "GPT-2 124M", "smollm2": "SmolLM2 135M"}


def worker(size, threads, tokens):
    """One run of transformers: prints a JSON object."""
    import torch
    import transformers

    torch.manual_seed(1337)
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    s, ends = SIZES[size], dict(bos_token_id=0, eos_token_id=None, pad_token_id=0)
    if s.get("family") == "llama":
        from pytorch import Llama

        model = Llama({**s, "cache": True}).model
        model.generation_config = transformers.GenerationConfig(**ends)
    else:
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**ends))
    model, seconds, cache = model.eval(), [], None
    token = torch.zeros((1, 1), dtype=torch.long)
    context = min(1024, s["context"] // 2)

    def step(token, cache, seconds):
        start = time.perf_counter()
        output = model(token, past_key_values=cache, use_cache=True, logits_to_keep=1)
        seconds.append(time.perf_counter() - start)
        return output.logits[:, -1:].argmax(-1), output.past_key_values

    with torch.inference_mode():
        for _ in range(tokens):
            token, cache = step(token, cache, seconds)
        prompt = torch.zeros((1, 1), dtype=torch.long)
        start = time.perf_counter()
        whole = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=tokens, do_sample=False
        )
        whole = (whole.shape[1] - 1) / (time.perf_counter() - start)
        reading, after = [], []
        for _ in range(3):
            token, cache = step(torch.zeros((1, context), dtype=torch.long), None, reading)
            for _ in range(128):
                token, cache = step(token, cache, after)
    report = {
        "peer": f"transformers {transformers.__version__}, PyTorch {torch.__version__}",
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens_per_second": 1.0 / statistics.median(seconds),
        "tokens_per_second_of_generate": whole,
        "prompt_tokens": context,
        "prompt_tokens_per_second": context / statistics.median(reading),
        "tokens_per_second_after_prompt": 1.0 / statistics.median(after),
        "resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(report))


RATIOS = ["from empty", "prompt", "after the prompt"]


def ratios(mine, other):
    """Ours over theirs, for each of RATIOS."""
    theirs = max(other["tokens_per_second"], other["tokens_per_second_of_generate"])
    after = "tokens_per_second_after_prompt"
    return {
        "from empty": mine["tokens_per_second"] / theirs,
        "prompt": mine["prompt_tokens_per_second"] / other["prompt_tokens_per_second"],
        "after the prompt": mine[after] / other[after],
    }


def markdown(here, results):
    rows, notes = [], []
    for r in results:
        mine, other, pairs = r["ours"], r["theirs"], r["pairs"]
        shares = [pair["ours"]["bandwidth_share"] for pair in pairs]
        name, prompt = NAMES[r["size"]], f"{mine['prompt_tokens']:.0f}"
        speeds = lambda side: [
            f"{side['prompt_tokens_per_second']:,.0f} ({prompt})",
            f"{side['tokens_per_second_after_prompt']:.1f}",
        ]
        rows += [
            [
                f"{name}, this project",
                f"{mine['tokens_per_second']:.1f}",
                *speeds(mine),
                f"{mine['tokens_per_second'] * mine['bytes_per_token'] / 1e9:.1f} GB/s",
                f"{100 * mine['bandwidth_share']:.0f} % ({100 * min(shares):.0f}–{100 * max(shares):.0f})",
            ],
            [f"{name}, {r['version']}, forward with cache", f"{other['tokens_per_second']:.1f}", *speeds(other), "", ""],
            [f"{name}, {r['version']}, `generate()`", f"{other['tokens_per_second_of_generate']:.1f}", "", "", "", ""],
        ]
        said = [
            f"{key} {r['ratios'][key]['median']:.2f} ({r['ratios'][key]['lowest']:.2f}–{r['ratios'][key]['highest']:.2f})"
            for key in RATIOS
        ]
        notes.append(f"{name}: {', '.join(said)}; {len(pairs)} pairs, {r['threads']} threads, {r['when']}.")
    head = ["one sequence", "tokens/s", "prompt, tokens/s", "tokens/s after it", "weights read", "of memory's bandwidth"]
    return (
        "# Generation, side by side\n\n"
        + table(head, rows)
        + "\nTimes as fast as the faster of theirs, median of the pairs (lowest–highest):\n\n- "
        + "\n- ".join(notes)
        + f"\n\n{machine_line(here)} Measured {' and '.join(sorted({r['when'] for r in results}))} by"
        " `tests/peers/generate.py`.\n"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64, help="of a run of transformers")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--glassbox", help="the program, if it is built already")
    parser.add_argument("--python", default=sys.executable, help="the Python that has transformers")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(arguments.size[0], arguments.threads, arguments.tokens)
    if min(arguments.pairs, arguments.threads, arguments.tokens) < 1:
        parser.error("--pairs, --threads and --tokens are at least 1")
    here, path = machine(), arguments.out / "generate.json"
    results, program = read_results(path, here), glassbox(arguments.glassbox)
    for size in arguments.size:
        result = compare(size, program, arguments)
        results = [r for r in results if r.get("size") not in (None, size)] + [result]
        results.sort(key=lambda r: list(NAMES).index(r["size"]))
        write_json(path, {"machine": here, "results": results})
        write(arguments.out / "generate.md", markdown(here, results))
    print(markdown(here, results))


def compare(size, program, arguments):
    """Pairs of runs, and what they come to."""
    print(f"{size}, {arguments.threads} threads", file=sys.stderr)
    a = [program, "bench", "--json", "--preset", "gpt2", "--threads", arguments.threads]
    a += ["--batch", 1, "--length", 8, "--steps", 1]  # little training: only generation counts here
    a += architecture(SIZES[size])
    b = [arguments.python, __file__, "--worker", "--size", size, "--threads", arguments.threads]
    b += ["--tokens", arguments.tokens]
    pairs, version = [], ""
    for i in range(arguments.pairs):
        report = run(a, arguments.threads)
        other = run(b, arguments.threads)
        if report["parameters"] != other["parameters"]:
            stop(f"{size}: {report['parameters']} and {other['parameters']} parameters: they must be the same model")
        mine = report["generation"]
        version = other.pop("peer")
        pairs.append({"ours": mine, "theirs": other, "ratios": ratios(mine, other)})
        said = ", ".join(f"{key} {ratio:.2f} ×" for key, ratio in pairs[-1]["ratios"].items())
        print(f"  pair {i + 1:2}: {mine['tokens_per_second']:6.1f} tokens/s: {said}", file=sys.stderr)
    median = lambda side: {
        key: statistics.median(pair[side][key] for pair in pairs) for key in pairs[0][side]
    }
    return {
        "size": size,
        "version": version,
        "threads": arguments.threads,
        "when": time.strftime("%Y-%m-%d"),
        "revision": output_of(["git", "rev-parse", "--short", "HEAD"]),
        "ratios": {key: spread([pair["ratios"][key] for pair in pairs]) for key in RATIOS},
        "ours": median("ours"),
        "theirs": median("theirs"),
        "pairs": pairs,
    }


if __name__ == "__main__":
    main()
