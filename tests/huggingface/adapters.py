#!/usr/bin/env python3
"""Fine-tunes models here and with Hugging Face's PEFT and transformers, from the same weights on the same tokens.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -r tests/huggingface/requirements.txt
    cargo build --release && /tmp/venv/bin/python tests/huggingface/adapters.py

For models of several families: the losses of 20 steps of all weights, of adapters (LoRA and rsLoRA, of all linear maps and
of two), to 1e-4 in f32; adapters written here, opened in PEFT, and adapters written by PEFT, opened here: the same logits
to 1e-5; and `merge` writes the model that PEFT's `merge_and_unload` makes. And 20 steps on preferences (DPO, also with
flipped ones, and IPO), of all weights and of adapters, to 1e-4. And 20 steps of learning from a teacher of another family, of all
weights and of adapters, to 1e-4. GLASSBOX names another program than target/release/glassbox.
"""

import array
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

ROOT = pathlib.Path(__file__).resolve().parents[2]
GLASSBOX = os.environ.get("GLASSBOX", ROOT / "target" / "release" / "glassbox")
TEXT = "Was this the face that launch'd a thousand ships, and burnt the topless towers of Ilium?\n" * 40
CONTEXT, STEPS, RATE = 32, 20, 3e-3
FAMILIES = {
    "gpt2": ["c_attn", "mlp.c_proj"],
    "llama": ["q_proj", "v_proj"],
    "gpt_neox": ["query_key_value", "dense"],
    "qwen3": ["k_proj", "down_proj"],
}
# The family from which each learns.
TEACHERS = {"gpt2": "llama", "llama": "gpt_neox", "gpt_neox": "qwen3", "qwen3": "gpt2"}
# The tokens to train on repeat: a window is one of these many.
PERIOD = 7


def recipe(steps=STEPS, rate=RATE, context=CONTEXT):
    return ["--context", context, "--batch", 1, "--steps", steps, "--learning-rate", rate, "--min-learning-rate", rate,
            "--warmup", 0, "--weight-decay", 0, "--clip", 0, "--eval-every", 0, "--beta2", 0.99]


def glassbox(*arguments):
    command = [str(GLASSBOX), *map(str, arguments), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{command}: {done.stderr.decode()}")
    return json.loads(done.stdout)


def within(what, found, bound):
    print(f"  {what:<52} {found:9.2e}   (at most {bound:.0e})")
    if not found <= bound:
        sys.exit(f"{what}: {found} is more than {bound}")


def losses_of(run):
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def differences(model, windows, ours, teacher=None, temperature=1.0, weight=0.0):
    """How far the losses of PyTorch's steps are from ours, on the window that has the loss most like ours. With a teacher, a
    share of the loss is its divergence: Hinton et al. 2015, section 2."""
    learned = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(learned, lr=RATE, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0)
    given, targets = windows[:, :-1], windows[:, 1:]
    model.train()
    most = 0.0
    for own in ours:
        adam.zero_grad()
        logits = model(given).logits
        all_losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(1)
        if teacher is not None:
            with torch.no_grad():
                theirs = (teacher(given).logits / temperature).softmax(-1)
            student = (logits / temperature).log_softmax(-1)
            divergence = torch.nn.functional.kl_div(student, theirs, reduction="none").sum(-1).mean(1)
            all_losses = (1 - weight) * all_losses + weight * temperature**2 * divergence
        loss = all_losses[(all_losses - own).abs().argmin()]
        loss.backward()
        adam.step()
        most = max(most, abs(loss.item() - own))
    model.eval()
    return most


def logits_differ(directory, model, prompt):
    ours = glassbox("generate", directory, f"--prompt={prompt}", "--tokens", 4, "--temperature", 0, "--logits")
    with torch.no_grad():
        theirs = model(torch.tensor([ours["tokens"]])).logits[0]
    scale = theirs.abs().max().item()
    return (torch.tensor(ours["logits"]) - theirs).abs().max().item() / scale


PAIRS = [("was this ", "the face", "thee"), ("the top", "less tow", "most ship"), ("and burn", "t them", "ed")]
BETA = 0.2


def preference_losses(model, tokenizer, pairs, kind, flipped):
    """The losses of steps on all pairs together: equation 7 of DPO, and 17 of IPO."""
    def log_probability(prompt, answer):
        ids = tokenizer(prompt + answer + "\n", return_tensors="pt").input_ids
        own = len(tokenizer(prompt).input_ids)
        of_tokens = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
        return of_tokens[own - 1 :].sum()

    def log_ratios():
        return torch.stack([log_probability(p, chosen) - log_probability(p, rejected) for p, chosen, rejected in pairs])

    with torch.no_grad():
        reference = log_ratios()
    learned = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(learned, lr=RATE, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0)
    losses = []
    for _ in range(STEPS):
        adam.zero_grad()
        h = log_ratios() - reference
        if kind == "ipo":
            loss = ((h - 1 / (2 * BETA)) ** 2).mean()
        else:
            log_sigmoid = torch.nn.functional.logsigmoid
            loss = (-(1 - flipped) * log_sigmoid(BETA * h) - flipped * log_sigmoid(-BETA * h)).mean()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


def prefer(directory, work):
    """20 steps on two of three preferences, which lie in one window; the third is held back, whichever it is."""
    data = work / "pairs.jsonl"
    rows = [{"prompt": p, "chosen": chosen, "rejected": rejected} for p, chosen, rejected in PAIRS]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = AutoTokenizer.from_pretrained(directory)
    for name, kind, flipped, flags in [
        ("DPO, all weights", "dpo", 0, []),
        ("DPO, adapters", "dpo", 0, ["--lora", 4]),
        ("DPO with flipped preferences, adapters", "dpo", 0.1, ["--lora", 4, "--preference-flipped", 0.1]),
        ("IPO, all weights", "ipo", 0, []),
    ]:
        flags = ["--from", directory, "--data", data, f"--preferences={kind}", "--preference-beta", BETA, *flags]
        begun, run = work / f"begun-{name}", work / f"run-{name}"
        glassbox("train", *flags, *recipe(1, 1e-30, 64), "--out", begun)
        glassbox("train", *flags, *recipe(context=64), "--out", run)
        ours = losses_of(run)

        def model():
            if "--lora" in flags:
                return PeftModel.from_pretrained(base_of(directory), begun / "model", is_trainable=True).eval()
            return base_of(directory)

        found = []
        for held_back in range(len(PAIRS)):
            pairs = PAIRS[:held_back] + PAIRS[held_back + 1 :]
            theirs = preference_losses(model(), tokenizer, pairs, kind, flipped)
            found.append(max(abs(a - b) / max(1, theirs[0]) for a, b in zip(ours, theirs)))
        within(f"losses of 20 steps, {name}", min(found), 1e-4)
        if min(found) * 100 > max(found):
            sys.exit(f"other pairs have the same losses: {found}")


def distil(directory, family, data, windows, work):
    """20 steps of learning from a model of another family with the same tokens."""
    teacher = work / "teacher"
    sizes = ["--layers", 1, "--width", 64, "--heads", 4, "--context", 64, "--steps", 60, "--eval-every", 0]
    glassbox("train", "--architecture", TEACHERS[family], "--data", work / "text.txt", *sizes, "--out", teacher)
    flags = ["--from", directory, "--data", data, "--teacher", teacher]
    for name, temperature, weight, more in [
        ("T = 2, half of the loss", 2.0, 0.5, []),
        ("T = 4, all of the loss", 4.0, 1.0, []),
        ("T = 1, adapters", 1.0, 0.7, ["--lora", 4]),
    ]:
        asked = [*flags, "--temperature", temperature, "--teacher-weight", weight, *more]
        begun, run = work / f"begun-{name}", work / f"run-{name}"
        glassbox("train", *asked, *recipe(1, 1e-30), "--out", begun)
        glassbox("train", *asked, *recipe(), "--out", run)
        student = base_of(directory)
        if more:
            student = PeftModel.from_pretrained(student, begun / "model", is_trainable=True)
        theirs = base_of(teacher / "model")
        found = differences(student, windows, losses_of(run), theirs, temperature, weight)
        within(f"losses of 20 steps, a teacher ({TEACHERS[family]}), {name}", found, 1e-4)


def base_of(directory):
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()


def compare(family, targets, work):
    print(family)
    text, base = work / "text.txt", work / "base"
    text.write_text(TEXT)
    sizes = ["--layers", 2, "--width", 32, "--heads", 4, "--context", 64, "--steps", 40, "--eval-every", 0]
    if family in ("llama", "qwen3"):
        sizes += ["--key-value-heads", 2]
    glassbox("train", "--architecture", family, "--data", text, *sizes, "--out", base)
    directory = base / "model"
    vocabulary = json.loads((directory / "config.json").read_text())["vocab_size"]
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(vocabulary, (PERIOD,), generator=generator).repeat(80)
    data = work / "tokens.bin"
    data.write_bytes(array.array("H", tokens.tolist()).tobytes())
    windows = torch.stack([tokens[i : i + CONTEXT + 1] for i in range(PERIOD)])

    # All weights.
    run = work / "full"
    glassbox("train", "--from", directory, "--data", data, *recipe(), "--out", run)
    within("losses of 20 steps, all weights", differences(base_of(directory), windows, losses_of(run)), 1e-4)

    distil(directory, family, data, windows, work)

    prefer(directory, work)

    for name, asked, flags in [
        ("all linear maps", "all-linear", ["--lora", 4]),
        ("all linear maps, DoRA", "all-linear", ["--lora", 4, "--dora", "true"]),
        (", ".join(targets), targets, ["--lora", 3, "--lora-alpha", 6, "--rslora", "true"]),
    ]:
        if isinstance(asked, list):
            flags += ["--lora-targets", ",".join(asked)]
        # A step that moves nothing leaves the adapters as they begin.
        begun, run = work / f"begun-{len(flags)}", work / f"run-{len(flags)}"
        glassbox("train", "--from", directory, "--data", data, *recipe(1, 1e-30), *flags, "--out", begun)
        glassbox("train", "--from", directory, "--data", data, *recipe(), *flags, "--out", run)
        theirs = PeftModel.from_pretrained(base_of(directory), begun / "model", is_trainable=True)
        within(f"adapters before training, logits, {name}", logits_differ(directory, theirs.eval(), "the "), 1e-5)
        within(f"losses of 20 steps, {name}", differences(theirs, windows, losses_of(run)), 1e-4)
        opened = PeftModel.from_pretrained(base_of(directory), run / "model").eval()
        within("adapters written here, logits in PEFT", logits_differ(run, opened, "the "), 1e-5)
        merged = work / f"merged-{len(flags)}"
        glassbox("merge", run, "--out", merged)
        ours, other = base_of(merged).state_dict(), opened.merge_and_unload().state_dict()
        if sorted(ours) != sorted(other):
            sys.exit(f"other tensors: {sorted(set(ours) ^ set(other))}")
        most = max((ours[n] - other[n]).abs().max().item() / max(other[n].abs().max().item(), 1e-30) for n in ours)
        within("merged weights, relative to the largest", most, 1e-6)

        # The other way round.
        config = LoraConfig(r=4, lora_alpha=8, target_modules=asked, task_type="CAUSAL_LM", use_rslora="--rslora" in flags, use_dora="--dora" in flags)
        torch.manual_seed(7)
        theirs = get_peft_model(base_of(directory), config)
        with torch.no_grad():
            for parameter in theirs.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.05 * torch.randn_like(parameter))
        saved = work / f"theirs-{len(flags)}"
        theirs.save_pretrained(saved)
        within("adapters written by PEFT, logits here", logits_differ(saved, theirs.eval(), "the "), 1e-5)


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    for family, targets in FAMILIES.items():
        with tempfile.TemporaryDirectory() as work:
            compare(family, targets, pathlib.Path(work))
    print("the same")


if __name__ == "__main__":
    main()
