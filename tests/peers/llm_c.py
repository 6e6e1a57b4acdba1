"""The training step of llm.c on processors (train_gpt2.c), with random weights and random tokens.

    python llm_c.py SOURCE gpt2|gpt2-long [--seconds S] [--steps N] [--warmup N]

SOURCE is a checkout of github.com/karpathy/llm.c. Its program is compiled here with its own Makefile's
flags, is given a model and data in the formats that it reads, and is stopped when enough steps are taken.
It clips no gradients; otherwise the step is the same. Threads are OpenMP's: OMP_NUM_THREADS. Prints one JSON
object, as `pytorch.py` does.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

from common import ROOT, SIZES

FLAGS = ["-Ofast", "-march=native", "-fopenmp", "-DOMP", "-w"]
PADDED = 50304  # rows of the token table in its files: the vocabulary up to a multiple of 128


def compiled(source, size, work):
    """The program, for this batch: its own is written into its text."""
    text = (source / "train_gpt2.c").read_text()
    for name, value in (("B", size["batch"]), ("T", size["length"])):
        text, found = re.subn(rf"\bint {name} = \d+;(?= //)", f"int {name} = {value};", text)
        if found != 1:
            sys.exit(f"llm_c.py: train_gpt2.c in {source} sets {name} {found} times, not once")
    name = f"train_gpt2_{size['batch']}_{size['length']}"
    (work / f"{name}.c").write_text(text)
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang") or "cc"
    command = [compiler, *FLAGS, "-I", source, f"{name}.c", "-lm", "-o", name]
    if subprocess.run(command, cwd=work).returncode != 0:
        sys.exit("llm_c.py: train_gpt2.c does not compile")
    return work / name


def lay_out(size, work):
    """A model and data, where the program looks for them."""
    import numpy

    random = numpy.random.default_rng(1337)
    model = work / "gpt2_124M.bin"
    layers, c = size["layers"], size["width"]
    if not model.exists():
        header = numpy.zeros(256, numpy.int32)
        header[:8] = 20240326, 3, size["context"], size["vocabulary"], layers, size["heads"], c, PADDED
        ones, zeros = numpy.ones(layers * c), numpy.zeros(layers * c)
        normal = lambda n: random.normal(0.0, 0.02, n)
        parts = [normal(PADDED * c), normal(size["context"] * c), ones, zeros]
        parts += [normal(layers * 3 * c * c), numpy.zeros(layers * 3 * c)]
        parts += [normal(layers * c * c), zeros, ones, zeros]
        parts += [normal(layers * 4 * c * c), numpy.zeros(layers * 4 * c)]
        parts += [normal(layers * 4 * c * c), zeros, ones[:c], zeros[:c]]
        with open(model.with_suffix(".part"), "wb") as file:
            file.write(header.tobytes())
            for part in parts:
                file.write(part.astype(numpy.float32).tobytes())
        model.with_suffix(".part").rename(model)
    data = work / "dev/data/tinyshakespeare"
    data.mkdir(parents=True, exist_ok=True)
    tokens = random.integers(0, size["vocabulary"], 60_000, dtype=numpy.uint16)
    header = struct.pack("<256i", 20240520, 1, len(tokens), *[0] * 253)
    for name in ("train", "val"):
        (data / f"tiny_shakespeare_{name}.bin").write_bytes(header + tokens.tobytes())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("size", choices=["gpt2", "gpt2-long"])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--warmup", type=int, default=2)
    arguments = parser.parse_args()
    source, size = arguments.source.resolve(), SIZES[arguments.size]
    if not (source / "train_gpt2.c").is_file():
        parser.error(f"{source} holds no train_gpt2.c")
    work = ROOT / "target/peers/llm.c"
    work.mkdir(parents=True, exist_ok=True)
    program = compiled(source, size, work)
    lay_out(size, work)
    # To a terminal it prints line by line; to a pipe it would not until its end.
    ours, its = os.openpty()
    process = subprocess.Popen([program], cwd=work, stdout=its, stderr=its)
    os.close(its)
    seconds, words, begin, resident = [], [], None, 0
    status = Path(f"/proc/{process.pid}/status")

    def enough():
        taken = len(seconds) - arguments.warmup
        if arguments.steps is not None:
            return taken >= arguments.steps
        return taken >= 3 and time.perf_counter() - begin >= arguments.seconds

    try:
        with os.fdopen(ours, errors="replace") as lines:
            for line in lines:
                words.append(line.rstrip())
                took = re.search(r"\(took ([0-9.]+) ms", line)
                if took:
                    seconds.append(float(took[1]) / 1e3)
                    if len(seconds) == arguments.warmup:
                        begin = time.perf_counter()
                    if status.exists():
                        peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
                        resident = 1024 * int(peak[1]) if peak else resident
                    if len(seconds) > arguments.warmup and enough():
                        break
    except OSError:
        pass  # how a terminal reports that the program has ended
    finally:
        process.kill()
        process.wait()
    seconds = seconds[arguments.warmup :]
    if not seconds:
        sys.exit("llm_c.py: no step was taken:\n" + "\n".join(words[-8:]))
    median = statistics.median(seconds)
    report = {
        "peer": "llm.c",
        "size": arguments.size,
        "parameters": None,
        "seconds": seconds,
        "step_seconds_median": median,
        "tokens_per_second": size["batch"] * size["length"] / median,
        "resident_bytes": resident,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
