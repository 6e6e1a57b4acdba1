#!/usr/bin/env python3
"""Steps of transformers' own models, as they are and with a mistake, compared by `glassbox compare MODEL --dump`.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -r tests/huggingface/requirements.txt
    cargo build --release && /tmp/venv/bin/python tests/huggingface/dumps.py

Each mistake is patched into the PyTorch module or its optimizer; docs/dump_step.py dumps the step. The first tensor that
differs and the mistake must be right; the steps without a mistake, also by PyTorch's fused attention, must be the same.
GLASSBOX names another program than target/release/glassbox.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig
from transformers.models.gpt2 import modeling_gpt2
from transformers.models.llama import modeling_llama

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
from dump_step import dump  # noqa: E402

GLASSBOX = os.environ.get("GLASSBOX", ROOT / "target" / "release" / "glassbox")
SIZES = {"vocab_size": 61, "bos_token_id": None, "eos_token_id": None}
GPT2 = GPT2Config(n_positions=24, n_embd=32, n_layer=3, n_head=4, **SIZES)
LLAMA = LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
                    num_key_value_heads=2, max_position_embeddings=24, **SIZES)


def model_of(config, attention="eager"):
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    return model


def compared(directory, config, change=lambda model: None, optimizer=None, attention="eager"):
    model = model_of(config, attention)
    model.config.save_pretrained(directory)
    tokens = torch.randint(61, (3, 21), generator=torch.Generator().manual_seed(2))
    undo = change(model)
    path = pathlib.Path(directory) / "step.safetensors"
    chosen = optimizer(model) if optimizer else by_kind(model)
    dump(model, tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous(), path, chosen)
    if undo:
        undo()
    command = [str(GLASSBOX), "compare", str(directory), "--dump", str(path), "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def by_kind(model, eps=1e-8, decay=0.1):
    """AdamW that decays matrices only."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), eps=eps)


def norms(value):
    def change(model):
        for module in model.modules():
            for name in ("eps", "variance_epsilon"):
                if hasattr(module, name):
                    setattr(module, name, value)
    return change


def activation(function):
    def change(model):
        for module in model.modules():
            for name in ("act", "act_fn"):
                if hasattr(module, name):
                    setattr(module, name, function)
    return change


def patched(module, name, make):
    def change(_):
        usual = getattr(module, name)
        setattr(module, name, make(usual))
        return lambda: setattr(module, name, usual)
    return change


def masked(offset):
    """Eager attention whose mask is off: a query sees `offset` keys after its own."""
    def make(_):
        def attention(module, query, key, value, attention_mask, **kwargs):
            groups = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
            scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
            places = torch.arange(scores.shape[-1])
            hidden = places[None, :] > places[:, None] + offset
            weights = scores.masked_fill(hidden, float("-inf")).softmax(-1)
            return (weights @ value).transpose(1, 2).contiguous(), weights
        return attention
    return make


def scaled(factor):
    def make(_):
        def attention(module, query, key, value, attention_mask, **kwargs):
            query = query * factor * query.shape[-1] ** 0.5
            return masked(0)(None)(module, query, key, value, attention_mask, **kwargs)
        return attention
    return make


def without_bias(model):
    module = model.transformer.h[1].mlp.c_fc
    module.forward = lambda x: (x.reshape(-1, x.shape[-1]) @ module.weight).reshape(*x.shape[:-1], -1)


def without_residual(model):
    block = model.transformer.h[0]
    block.mlp.register_forward_hook(lambda module, inputs, output: output - block.kept)
    block.ln_2.register_forward_pre_hook(lambda module, inputs: setattr(block, "kept", inputs[0]))


def detached(model):
    model.transformer.h[1].attn.c_proj.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach(),))


def interleaved(usual):
    def rotate(q, k, cos, sin, *rest, **more):
        half = cos.shape[-1] // 2
        c, s = cos[..., :half].unsqueeze(1), sin[..., :half].unsqueeze(1)

        def turn(x):
            a, b = x[..., 0::2], x[..., 1::2]
            return torch.stack((a * c - b * s, a * s + b * c), -1).flatten(-2)
        return turn(q), turn(k)
    return rotate


# (config, change, optimizer, the first tensor, words of the mistake)
CASES = [
    (GPT2, norms(1e-3), None, "output.transformer.h.0.ln_1", "ε of the norms is 1e-3"),
    (LLAMA, norms(1e-5), None, "output.model.layers.0.input_layernorm", "ε of the norms is 1e-5"),
    (GPT2, activation(torch.nn.GELU()), None, "input.transformer.h.0.mlp.c_proj", "the activation is gelu,"),
    (LLAMA, activation(torch.nn.GELU()), None, "input.model.layers.0.mlp.down_proj", "the activation is gelu,"),
    (GPT2, patched(modeling_gpt2, "eager_attention_forward", masked(1)), None, "input.transformer.h.0.attn.c_proj",
     "off by one"),
    (GPT2, patched(modeling_gpt2, "eager_attention_forward", masked(99)), None, "input.transformer.h.0.attn.c_proj",
     "the mask is missing"),
    (LLAMA, patched(modeling_llama, "eager_attention_forward", masked(1)), None,
     "input.model.layers.0.self_attn.o_proj", "off by one"),
    (LLAMA, patched(modeling_llama, "apply_rotary_pos_emb", interleaved), None,
     "input.model.layers.0.self_attn.o_proj", "neighbours"),
    (GPT2, patched(modeling_gpt2, "eager_attention_forward", scaled(1.0)), None, "input.transformer.h.0.attn.c_proj",
     "scores are not scaled"),
    (GPT2, without_bias, None, "output.transformer.h.1.mlp.c_fc", "is not added"),
    (GPT2, without_residual, None, "input.transformer.h.1.ln_1", "leaves out the stream"),
    (GPT2, detached, None, "output_gradient.transformer.h.1.attn.c_attn", "detached"),
    (GPT2, None, lambda m: torch.optim.AdamW(m.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1),
     "updated of", "decay also acts on biases and gains"),
]


def main():
    right = 0
    with tempfile.TemporaryDirectory() as directory:
        for config in (GPT2, LLAMA):
            for attention in ("eager", "sdpa"):
                found = compared(directory, config, attention=attention)
                assert found["first"] is None, (config.model_type, attention, found["first"])
                print(f"{config.model_type}, {attention}: {len(found['agree'])} tensors, the same")
        for config, change, optimizer, tensor, words in CASES:
            found = compared(directory, config, change or (lambda model: None), optimizer)["first"]
            mistakes = found["mistakes"] if found else []
            fine = found and found["tensor"].startswith(tensor) and (
                words is None or any(words in mistake for mistake in mistakes))
            right += bool(fine)
            print("right " if fine else "WRONG ", config.model_type, found and found["tensor"], mistakes)
    print(f"{right} of {len(CASES)} mistakes are found and named")
    sys.exit(right < len(CASES))


if __name__ == "__main__":
    main()
