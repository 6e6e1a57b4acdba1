"""What the scripts of this directory share: building, running, the machine's name, tables, numbers."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIZES = json.loads((HERE / "sizes.json").read_text())


def stop(message):
    """Ends the program with a message and status 1."""
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def architecture(size):
    """The program's flags for a size of another family than GPT-2."""
    flags = []
    if "family" in size:
        flags = ["--architecture", size["family"], "--tied", "true"]
        for key in ["layers", "heads", "key_value_heads", "width", "hidden", "context", "vocabulary"]:
            flags += ["--" + key.replace("_", "-"), size[key]]
    return flags


def machine():
    """What the numbers are of."""
    cpu = platform.processor() or platform.machine()
    memory = 0
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        pass  # not Linux: less is known
    return {
        "processor": cpu,
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "system": f"{platform.system()} {platform.machine()}",
    }


def machine_line(m):
    """As a sentence under a table."""
    return (
        f"Machine: {m['processor']}, {m['cores']} cores, {m['memory_bytes'] / 2**30:.0f} GiB, "
        f"{m['system']}."
    )


def output_of(command):
    """What a command says, or "unknown"."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        return result.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cargo_build(directory, target, arguments=()):
    """Builds a Cargo project for release, or ends the program with cargo's words."""
    if not shutil.which("cargo"):
        stop("cargo is not installed; see https://rustup.rs")
    command = ["cargo", "build", "--release", "--locked", "--target-dir", str(target), *arguments]
    print(f"building {directory.name} …", file=sys.stderr)
    # In its directory, so that cargo reads the project's own .cargo/config.toml.
    if subprocess.run(command, cwd=directory).returncode != 0:
        stop(f"{directory} does not build")


def glassbox(path=None):
    """The program: where the user says, or built here."""
    if path:
        program = Path(path).resolve()
        if not program.is_file():
            stop(f"{program} is not a file; leave --glassbox out to build it")
        return program
    cargo_build(ROOT, ROOT / "target", ["-p", "glassbox-transformer", "--bin", "glassbox"])
    return ROOT / "target/release/glassbox"


# What holds our kernels, PyTorch's own, MKL's and oneDNN's to AVX2 on a processor that has more.
AVX2 = {
    "GLASSBOX_VECTORS": "avx2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}


def run(command, threads, settings=()):
    """Runs a program that prints one JSON object; ends this one if it fails."""
    environment = dict(os.environ) | dict(settings)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        environment[name] = str(threads)
    command = [str(part) for part in command]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        words = result.stderr.strip().splitlines()[-12:]
        stop(f"`{' '.join(command)}` failed ({result.returncode}):\n" + "\n".join(words))
    try:
        return json.loads(result.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        stop(f"`{' '.join(command)}` printed no JSON:\n{result.stdout[-400:]}")


def spread(values):
    """Least, quartiles, most."""
    values = sorted(values)
    quarters = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {
        "median": statistics.median(values),
        "lowest": values[0],
        "lower_quartile": quarters[0],
        "upper_quartile": quarters[2],
        "highest": values[-1],
    }


def table(head, rows):
    """Markdown; all columns but the first align right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def thousands(x):
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.1f}"


def write(path, text):
    """A file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def write_json(path, value):
    write(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_results(path, here):
    """Earlier results of the same machine, to be completed."""
    if not path.exists():
        return []
    try:
        old = json.loads(path.read_text())
        known, results = old["machine"], old["results"]
    except (json.JSONDecodeError, KeyError, TypeError):
        stop(f"{path} is not a file of results; remove it or choose another --out")
    if known != here:
        stop(
            f"{path} holds results of another machine ({known['processor']}, {known['cores']} cores);"
            " remove it or choose another --out"
        )
    return results
