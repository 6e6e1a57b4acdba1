"""Dumps one training step of a PyTorch model for `glassbox compare MODEL --dump step.safetensors`.

    python docs/dump_step.py MODEL_DIRECTORY step.safetensors

For a model of your own: `from dump_step import dump`, and give it the model, a batch and your optimizer. Parameters need
the names of the model's family in transformers. Values are written as f32; dropout is off.
"""
import sys

import torch
from safetensors.torch import save_file


def dump(model, tokens, targets, path, optimizer=None):
    """Tokens and targets are B×T; target t is the token after token t, -100 if there is none."""
    model.eval()
    if optimizer is None:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    found, handles = {"tokens": tokens, "targets": targets}, []

    def keep(name, value):
        found[name] = value.detach().float().clone().contiguous()

    def hook(name):
        def called(module, inputs, output):
            if torch.is_floating_point(inputs[0]):
                keep(f"input.{name}", inputs[0])
            keep(f"output.{name}", output)
            if output.requires_grad:
                output.register_hook(lambda gradient: keep(f"output_gradient.{name}", gradient))
        return called

    for name, module in model.named_modules():
        if list(module.parameters(recurse=False)):
            handles.append(module.register_forward_hook(hook(name)))
    for name, parameter in model.named_parameters():
        keep(f"parameter.{name}", parameter)
    result = model(tokens)
    logits = getattr(result, "logits", result)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
    optimizer.zero_grad()
    loss.backward()
    keep("loss", loss)
    for name, parameter in model.named_parameters():
        keep(f"gradient.{name}", torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
    optimizer.step()
    for name, parameter in model.named_parameters():
        keep(f"updated.{name}", parameter)
    [handle.remove() for handle in handles]
    group, (beta1, beta2) = optimizer.param_groups[0], optimizer.param_groups[0]["betas"]
    about = dict(learning_rate=group["lr"], epsilon=group["eps"], weight_decay=group["weight_decay"], beta1=beta1, beta2=beta2)
    save_file(found, path, metadata={key: str(value) for key, value in about.items()})


if __name__ == "__main__":
    from transformers import AutoModelForCausalLM
    network = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32, attn_implementation="eager")
    length = min(32, network.config.max_position_embeddings)
    batch = torch.randint(network.config.vocab_size, (2, length + 1), generator=torch.Generator().manual_seed(1))
    dump(network, batch[:, :-1].contiguous(), batch[:, 1:].contiguous(), sys.argv[2])
