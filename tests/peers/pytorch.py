"""A GPT-2 training step in PyTorch, as its users write it: nanoGPT's architecture and optimiser.

    python pytorch.py SIZE [--seconds S] [--steps N] [--warmup N] [--threads N] [--compile] [--bf16]

Steps are timed until S seconds have passed, at least three; or N of them. Prints one JSON object: seconds of
each step after warm-up, tokens per second, peak resident bytes.
Architecture, initialisation and the optimiser's groups follow karpathy/nanoGPT (model.py, train.py): flash
attention by `scaled_dot_product_attention`, fused AdamW, clipping by global norm. Float32, or with --bf16 under
`torch.autocast`: products of bfloat16, weights and optimiser in float32.
"""

import argparse
import json
import math
import resource
import statistics
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

SIZES = json.loads(Path(__file__).with_name("sizes.json").read_text())


class Norm(nn.Module):
    def __init__(self, width, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


class Attention(nn.Module):
    def __init__(self, width, heads, bias, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.projection = nn.Linear(width, width, bias=bias)
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).split(d, dim=2)
        q, k, v = (z.view(b, t, self.heads, d // self.heads).transpose(1, 2) for z in (q, k, v))
        y = F.scaled_dot_product_attention(
            q, k, v, dropout_p=self.dropout if self.training else 0.0, is_causal=True
        )
        return self.drop(self.projection(y.transpose(1, 2).contiguous().view(b, t, d)))


class Block(nn.Module):
    def __init__(self, width, heads, bias, dropout, gelu):
        super().__init__()
        self.norm_1, self.norm_2 = Norm(width, bias), Norm(width, bias)
        self.attention = Attention(width, heads, bias, dropout)
        self.expand = nn.Linear(width, 4 * width, bias=bias)
        self.contract = nn.Linear(4 * width, width, bias=bias)
        self.gelu, self.drop = nn.GELU(approximate=gelu), nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.attention(self.norm_1(x))
        return x + self.drop(self.contract(self.gelu(self.expand(self.norm_2(x)))))


class Gpt(nn.Module):
    def __init__(self, layers, heads, width, context, vocabulary, bias, dropout, gelu):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(context, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(width, heads, bias, dropout, gelu) for _ in range(layers)
        )
        self.norm = Norm(width, bias)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.token.weight
        for name, p in self.named_parameters():
            if p.dim() == 2:
                writes = name.endswith(("projection.weight", "contract.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * layers) if writes else 0.02)

    def forward(self, tokens, targets):
        x = self.drop(self.token(tokens) + self.position(torch.arange(tokens.shape[1])))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


class Llama(nn.Module):
    """transformers' Llama, of SmolLM2's parts, with `scaled_dot_product_attention`, under PEFT where a size has LoRA."""

    def __init__(self, size):
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=size["vocabulary"],
            hidden_size=size["width"],
            intermediate_size=size["hidden"],
            num_hidden_layers=size["layers"],
            num_attention_heads=size["heads"],
            num_key_value_heads=size["key_value_heads"],
            max_position_embeddings=size["context"],
            tie_word_embeddings=True,
            rope_theta=1e5,
            attn_implementation="sdpa",
            use_cache=size.get("cache", False),
        )
        self.model = LlamaForCausalLM(config).float()

        if "lora" in size:
            from peft import LoraConfig, get_peft_model

            lora = LoraConfig(r=size["lora"], lora_alpha=size["lora"], target_modules="all-linear")
            self.model = get_peft_model(self.model, lora)

    def forward(self, tokens, targets):
        logits = self.model(input_ids=tokens).logits
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def model_of(size):
    """The model of a size."""
    if "family" in size:
        return Llama(size)
    return Gpt(
        size["layers"],
        size["heads"],
        size["width"],
        size["context"],
        size["vocabulary"],
        size["bias"],
        size["dropout"],
        "tanh" if size["gelu_tanh"] else "none",
    )


def optimizer_of(model):
    """Fused AdamW at nanoGPT's rate, with decay of matrices only."""
    learned = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in learned if p.dim() >= 2]
    vectors = [p for p in learned if p.dim() < 2]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=1e-3,
        betas=(0.9, 0.99),
        fused=True,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(1337)
    torch.set_num_threads(arguments.threads)
    size = SIZES[arguments.size]
    batch, length, vocabulary = size["batch"], size["length"], size["vocabulary"]
    model = model_of(size)
    # Ours counts a model's own parameters, without adapters.
    parameters = sum(p.numel() for n, p in model.named_parameters() if "lora_" not in n)
    optimizer = optimizer_of(model)
    step_model = torch.compile(model) if arguments.compile else model
    data = torch.randint(vocabulary, (200_000,))

    def step():
        at = torch.randint(len(data) - length, (batch,))
        x = torch.stack([data[i : i + length] for i in at])
        y = torch.stack([data[i + 1 : i + 1 + length] for i in at])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=arguments.bf16):
            loss = step_model(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    for _ in range(arguments.warmup):
        step()
    begin, seconds = time.perf_counter(), []

    def enough():
        if arguments.steps is not None:
            return len(seconds) >= arguments.steps
        return len(seconds) >= 3 and time.perf_counter() - begin >= arguments.seconds

    while not enough():
        start = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - start)
    if not math.isfinite(loss):
        raise SystemExit(f"the loss is {loss}")
    median = statistics.median(seconds)
    print(
        json.dumps(
            {
                "peer": f"PyTorch {torch.__version__}" + (" compiled" if arguments.compile else "")
                + (", bf16 autocast" if arguments.bf16 else ""),
                "size": arguments.size,
                "parameters": parameters,
                "loss": loss,
                "seconds": seconds,
                "step_seconds_median": median,
                "tokens_per_second": batch * length / median,
                "resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
