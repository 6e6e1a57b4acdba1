"""What Hugging Face transformers and PyTorch say of GPT-2's settings, activations, number formats and optimisers.

    pip install torch==2.15.0 transformers==5.23.0 numpy
    python tests/authority/transformer.py > tests/authority/transformer.json
"""
import json

import torch
import transformers
from transformers import GPT2Config
from transformers.activations import ACT2FN

torch.set_default_dtype(torch.float64)
HF, TORCH = f"transformers {transformers.__version__}", f"torch {torch.__version__.split('+')[0]}"
rows = []


def row(function, inputs, expected, source):
    rows.append({"function": function, "inputs": inputs, "expected": expected, "source": source})


# What an absent key means: a number; of the activation, its values; of n_inner, the width inside for n_embd 12.
x = [-6.0, -2.5, -1.0, -0.3, 0.0, 0.1, 0.7, 1.0, 2.0, 5.0]
default = GPT2Config()
for key in [
    "layer_norm_epsilon", "resid_pdrop", "tie_word_embeddings", "n_embd", "n_layer", "n_head", "vocab_size",
    "n_positions", "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "add_cross_attention",
]:
    row(f"absent {key}", [], [float(getattr(default, key))], HF)
narrow = transformers.GPT2Model(GPT2Config(n_embd=12, n_head=3, n_layer=1, vocab_size=5, n_positions=4))
row("absent n_inner", [[12.0]], [float(narrow.h[0].mlp.c_fc.nf)], HF)
row("absent activation_function", [x], ACT2FN[default.activation_function](torch.tensor(x)).tolist(), HF)
for name in ["gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "relu", "silu", "swish", "tanh"]:
    row(f"activation {name}", [x], ACT2FN[name](torch.tensor(x)).tolist(), HF)

# Numbers of sixteen bits, by their bits.
bits = [
    0x0000, 0x0001, 0x0002, 0x03FF, 0x0400, 0x1234, 0x2E66, 0x3555, 0x3BFF, 0x3C00, 0x3C01, 0x3F80, 0x4248, 0x4049,
    0x7BFF, 0x8001, 0x83FF, 0x8400, 0xBC00, 0xBF80, 0xC000, 0xC2F7, 0xFBFF,
]
for name, kind in [("float16", torch.float16), ("bfloat16", torch.bfloat16)]:
    signed = [b - 0x10000 if b >= 0x8000 else b for b in bits]
    values = torch.tensor(signed, dtype=torch.int16).view(kind).to(torch.float64).tolist()
    row(name, [[float(b) for b in bits]], values, TORCH)

# Four steps of an optimiser: settings, parameters, the gradients of each step; then the parameters.
gradients = [[0.5, -2.0, 1e-7], [0.4, 1.0, -2e-7], [0.0, 3.0, 1e-7], [-0.1, 0.25, 4e-7]]
start = [1.0, -2.0, 0.5]
for settings in [(0.01, 0.9, 0.99, 0.1), (0.003, 0.8, 0.95, 0.0), (0.02, 0.5, 0.999, 0.5)]:
    rate, beta1, beta2, decay = settings
    p = torch.tensor(start, requires_grad=True)
    rule = torch.optim.AdamW([p], lr=rate, betas=(beta1, beta2), weight_decay=decay)
    for g in gradients:
        p.grad = torch.tensor(g)
        rule.step()
    row("adamw", [list(settings), start, *gradients], p.tolist(), TORCH)
for settings in [(0.01, 0.0), (0.01, 0.9)]:
    p = torch.tensor(start, requires_grad=True)
    rule = torch.optim.SGD([p], lr=settings[0], momentum=settings[1])
    for g in gradients:
        p.grad = torch.tensor(g)
        rule.step()
    row("sgd", [list(settings), start, *gradients], p.tolist(), TORCH)

print("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]")
