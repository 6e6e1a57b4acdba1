"""nanoGPT's recipe for a processor, trained by PyTorch: what loss it reaches, and how far that depends on the seed.

    python recipe.py TEXT [--seeds 1 2 3] [--threads N]

TEXT is tinyshakespeare.txt. Prints one JSON object a seed: the loss over the whole validation part (the last
tenth), in windows of the context that do not overlap, as `glassbox train --preset shakespeare-cpu --data TEXT`
reports it. Model and groups of the optimiser are `pytorch.py`'s; windows are drawn as nanoGPT draws them.
"""

import argparse
import json
import math
from pathlib import Path

import torch

from pytorch import SIZES, Gpt, optimizer_of

STEPS, WARMUP, RATE, LEAST = 2000, 100, 1e-3, 1e-4


def rate(step):
    if step < WARMUP:
        return RATE * (step + 1) / (WARMUP + 1)
    progress = (step - WARMUP) / (STEPS - WARMUP)
    return LEAST + 0.5 * (1 + math.cos(math.pi * progress)) * (RATE - LEAST)


@torch.no_grad()
def validation_loss(model, stream, length):
    """Nats per token; every token but the first is predicted once."""
    total = 0.0
    for start in range(0, len(stream) - 1, length):
        end = min(start + length, len(stream) - 1)
        x, y = stream[start:end][None], stream[start + 1 : end + 1][None]
        total += model(x, y).item() * (end - start)
    return total / (len(stream) - 1)


def train(text, seed):
    size = SIZES["shakespeare-cpu"]
    batch, length = size["batch"], size["length"]
    alphabet = sorted(set(text))
    number = {c: i for i, c in enumerate(alphabet)}
    stream = torch.tensor([number[c] for c in text])
    cut = int(0.9 * len(stream))
    data, held_back = stream[:cut], stream[cut:]
    torch.manual_seed(seed)
    model = Gpt(
        size["layers"], size["heads"], size["width"], length, len(alphabet), False, 0.0, "none"
    )
    optimizer = optimizer_of(model)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        at = torch.randint(len(data) - length, (batch,))
        x = torch.stack([data[i : i + length] for i in at])
        y = torch.stack([data[i + 1 : i + 1 + length] for i in at])
        model(x, y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()
    return validation_loss(model, held_back, length)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 1337])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    text = arguments.text.read_text(encoding="utf-8")
    for seed in arguments.seeds:
        loss = train(text, seed)
        print(json.dumps({"seed": seed, "validation_loss": loss}), flush=True)


if __name__ == "__main__":
    main()
