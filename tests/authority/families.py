"""What Hugging Face transformers says of small models of families that `../shared/data/families` does not have: logits,
loss and every gradient in double precision.

    pip install torch==2.15.0 transformers==5.23.0
    python tests/authority/families.py > tests/authority/families.json

Weights are a formula of the tensor's place in the order of names and of the element's, so that nobody needs to store them.
"""
import json

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_default_dtype(torch.float64)
SIZES = {
    "vocab_size": 11, "max_position_embeddings": 16, "hidden_size": 8, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 6, "num_hidden_layers": 2, "rms_norm_eps": 0.01,
    "bos_token_id": None, "eos_token_id": None, "pad_token_id": None, "attn_implementation": "eager",
}
MODELS = [
    ("smollm3", {"head_dim": 4, "no_rope_layer_interval": 2, "mlp_bias": True}),
    ("smollm3", {
        "no_rope_layers": [0, 1], "use_sliding_window": True, "sliding_window": 3, "attention_bias": True,
        "tie_word_embeddings": False, "rope_parameters": {"rope_type": "default", "rope_theta": 50.0},
    }),
    ("granite", {
        "embedding_multiplier": 3.0, "attention_multiplier": 0.2, "residual_multiplier": 0.7, "logits_scaling": 1.5,
    }),
    ("phi3", {
        "head_dim": 4, "sliding_window": 5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 50.0, "partial_rotary_factor": 0.5},
    }),
    ("phi3", {"head_dim": 4}),
]
TOKENS = [[1, 7, 2, 9, 10, 0, 3, 3], [4, 4, 8, 5, 6, 1, 0, 2]]
TARGETS = [row[1:] + [5] for row in TOKENS]


def weights(place, shape):
    """Element k of tensor number j, by name: ((7919·k + 104729·j) mod 1009)/1009 − ½; a vector's is 1 plus half of that."""
    count = torch.Size(shape).numel()
    values = ((7919 * torch.arange(count) + 104729 * place) % 1009).double() / 1009 - 0.5
    return (1 + 0.5 * values if len(shape) == 1 else values).reshape(shape)


def numbers(tensor):
    return [float(f"{x:.14g}") for x in tensor.detach().flatten().tolist()]


def model(kind, settings):
    config = AutoConfig.for_model(kind, **SIZES, **settings)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float64).eval()
    rotary = model.model.rotary_emb
    base, width = config.rope_parameters["rope_theta"], 2 * len(rotary.inv_freq)
    rotary.inv_freq = base ** (-torch.arange(0, width, 2) / width)
    parameters = dict(sorted(model.named_parameters()))
    with torch.no_grad():
        for place, parameter in enumerate(parameters.values()):
            parameter.copy_(weights(place, parameter.shape))
    # Models ask for single precision in rotations, norms and softmax: they get double.
    single = torch.float, torch.float32, torch.Tensor.float
    torch.float, torch.float32, torch.Tensor.float = torch.float64, torch.float64, torch.Tensor.double
    logits = model(torch.tensor(TOKENS)).logits
    torch.float, torch.float32, torch.Tensor.float = single
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(TARGETS).flatten())
    loss.backward()
    return {
        "config": json.loads(config.to_json_string()),
        "shapes": {name: list(p.shape) for name, p in parameters.items()},
        "logits": numbers(logits),
        "loss": loss.item(),
        "gradients": {name: numbers(p.grad) for name, p in parameters.items()},
    }


models = [model(*m) for m in MODELS]
source = f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}"
print(json.dumps({"source": source, "tokens": TOKENS, "targets": TARGETS, "models": models}))
