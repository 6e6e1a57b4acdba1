#!/usr/bin/env python3
"""Opens models that `glassbox train` wrote in Hugging Face transformers and compares.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -r tests/huggingface/requirements.txt
    cargo build --release && /tmp/venv/bin/python tests/huggingface/check.py

Trains two small models, characters and bytes, on a text with characters of one to four bytes, then
holds side by side: logits of every place (to 1e-4), the mean loss on the text (to 1e-5), the greedy
continuation (the same tokens), and the tokens and texts of tokenizer.json. With a directory as
argument, takes that run or model instead of training.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from tokenizers import Tokenizer
from transformers import GPT2LMHeadModel
from transformers.utils import logging

ROOT = pathlib.Path(__file__).resolve().parents[2]
GLASSBOX = ROOT / "target" / "release" / "glassbox"
TEXT = "Größe, 数学 and 🦀: the loss falls, the entropy stays.\n" * 120


def glassbox(*arguments):
    """The JSON object that glassbox prints."""
    command = [str(GLASSBOX), *map(str, arguments), "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def within(what, found, bound):
    print(f"  {what:<34} {found:9.2e}   (at most {bound:.0e})")
    if not found <= bound:
        sys.exit(f"{what}: {found} is more than {bound}")


def same(what, ours, theirs):
    if ours != theirs:
        sys.exit(f"{what}: {ours!r} here, {theirs!r} there")
    print(f"  {what:<34} the same")


def compare(run, text):
    run = pathlib.Path(run)
    directory = run / "model" if (run / "run.toml").exists() else run
    model = GPT2LMHeadModel.from_pretrained(directory, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    context = model.config.n_positions

    # Half the context as prompt, the other half written greedily; logits of every place.
    prompt = text[: context // 2] if tokenizer.get_vocab_size() != 256 else text[: context // 8]
    prompt_tokens = tokenizer.encode(prompt).ids
    count = context - len(prompt_tokens)
    ours = glassbox(
        "generate", run, "--prompt", prompt, "--tokens", count, "--temperature", 0, "--logits"
    )
    same("tokens of the prompt", ours["prompt_tokens"], prompt_tokens)
    with torch.no_grad():
        theirs = model(torch.tensor([ours["tokens"]])).logits[0]
    difference = (torch.tensor(ours["logits"]) - theirs).abs().max().item()
    within("logits, largest difference", difference, 1e-4)
    written = theirs[len(prompt_tokens) - 1 : -1].argmax(dim=-1).tolist()
    same("greedy continuation", ours["new_tokens"], written)
    same("its text", ours["text"], tokenizer.decode(ours["tokens"], skip_special_tokens=False))

    # The mean loss over a text, in windows of the context.
    tokens = tokenizer.encode(text).ids
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        measured = glassbox("evaluate", run, "--data", file.name)
    nats = 0.0
    with torch.no_grad():
        for start in range(0, len(tokens) - 1, context):
            window = torch.tensor(tokens[start : start + context + 1])
            logits = model(window[None, :-1]).logits[0]
            nats += torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum").item()
    same("tokens measured", measured["tokens"], len(tokens) - 1)
    within("loss, difference in nats", abs(measured["loss"] - nats / (len(tokens) - 1)), 1e-5)


def main():
    logging.disable_progress_bar()
    if len(sys.argv) > 1:
        run = pathlib.Path(sys.argv[1])
        beginning = glassbox("generate", run, "--tokens", 400)["text"]
        print(f"{run}")
        compare(run, beginning)
        return
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        text = directory / "text.txt"
        text.write_text(TEXT, encoding="utf-8")
        sizes = ["--layers", 2, "--heads", 2, "--width", 32, "--context", 64, "--batch", 8]
        for name, settings in {
            "characters, no biases, tied head": ["--tokenizer", "chars"],
            "bytes, biases, a head of its own": [
                *["--tokenizer", "bytes", "--bias", "true", "--tied", "false"],
                *["--activation", "gelu_tanh", "--dropout", "0.1"],
            ],
        }.items():
            run = directory / name.split(",")[0]
            glassbox("train", "--data", text, "--out", run, "--steps", 150, *sizes, *settings)
            print(name)
            compare(run, TEXT)
    print("opens in Hugging Face transformers, with the same results")


if __name__ == "__main__":
    main()
