#!/usr/bin/env python3
"""Opens models that `glassbox train` wrote in Hugging Face transformers and compares.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -r tests/huggingface/requirements.txt
    cargo build --release && /tmp/venv/bin/python tests/huggingface/check.py

Trains small models, of characters and of bytes, and some whose sizes are 1, on a text with characters of one to four
bytes, then holds side by side: logits of every place (to 1e-4), the mean loss on the text (to 1e-5), the greedy
continuation (the same tokens; by `pipeline("text-generation")` the same text), and the tokens and texts of
tokenizer.json, read by `tokenizers` and by `AutoTokenizer`. Then reads configurations that transformers wrote. With a
directory as argument, takes that run or model instead of training. GLASSBOX names another program than
target/release/glassbox.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GPT2Config
from transformers import GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, pipeline
from transformers.utils import logging

ROOT = pathlib.Path(__file__).resolve().parents[2]
GLASSBOX = os.environ.get("GLASSBOX", ROOT / "target" / "release" / "glassbox")
TEXT = "Größe, 数学 and 🦀: the loss falls, the entropy stays.\n" * 120
# What tokenizers like to change: spaces, line ends, marks that combine, words that look like special tokens,
# punctuation after a space, ligatures, letters that have two ways of being written.
TEXTS = [
    "def foo(a,\n b)",
    "  two spaces before and two after  ",
    "\n",
    "\n\n\tdon't stop , now !\r\n",
    "e\u0301 and \u00e9, A\u030a and \u00c5, \ufb01",
    "<s>[UNK]</s><|endoftext|>",
    "🦀数",
    "G",
]
UNKNOWN = "G\u2603r"
FAMILIES = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "gpt_neox", "olmo2", "smollm3",
            "granite", "phi3"]


def run_glassbox(arguments, check=True):
    command = [str(GLASSBOX), *map(str, arguments), "--json"]
    return subprocess.run(command, check=check, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def glassbox(*arguments):
    """The JSON object that glassbox prints."""
    return json.loads(run_glassbox(arguments).stdout)


def within(what, found, bound):
    print(f"  {what:<34} {found:9.2e}   (at most {bound:.0e})")
    if not found <= bound:
        sys.exit(f"{what}: {found} is more than {bound}")


def same(what, ours, theirs, quietly=False):
    if ours != theirs:
        sys.exit(f"{what}: {ours!r} here, {theirs!r} there")
    if not quietly:
        print(f"  {what:<34} the same")


def directory_of(run):
    run = pathlib.Path(run)
    return run / "model" if (run / "run.toml").exists() else run


def loss_of(model, tokens):
    """The mean loss in nats over a text, in windows of the context: whole ones together, then the rest."""
    context, last = model.config.max_position_embeddings, len(tokens) - 1
    whole = last // context * context
    parts = [(tokens[:whole], tokens[1 : whole + 1], context)]
    parts.append((tokens[whole:last], tokens[whole + 1 : last + 1], last - whole))
    nats = 0.0
    with torch.no_grad():
        for given, target, length in parts:
            if len(given) > 0:
                logits = model(given.reshape(-1, length)).logits.flatten(0, 1)
                nats += torch.nn.functional.cross_entropy(logits, target, reduction="sum").item()
    return nats / last


def compare(run, text):
    directory = directory_of(run)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    context = model.config.max_position_embeddings

    # Half the context as prompt, the other half written greedily; logits of every place.
    prompt = text[: max(context // 2, 1)]
    if tokenizer.get_vocab_size() == 256:
        prompt = text[: context // 8]
    prompt_tokens = tokenizer.encode(prompt).ids
    count = context - len(prompt_tokens)
    if count > 0:
        ours = glassbox(
            "generate", run, f"--prompt={prompt}", "--tokens", count, "--temperature", 0, "--logits"
        )
        same("tokens of the prompt", ours["prompt_tokens"], prompt_tokens)
        with torch.no_grad():
            theirs = model(torch.tensor([ours["tokens"]])).logits[0]
        difference = (torch.tensor(ours["logits"]) - theirs).abs().max().item()
        within("logits, largest difference", difference, 1e-4)
        written = theirs[len(prompt_tokens) - 1 : -1].argmax(dim=-1).tolist()
        same("greedy continuation", ours["new_tokens"], written)
        same("its text", ours["text"], tokenizer.decode(ours["tokens"], skip_special_tokens=False))
        if not takes_any_tokenizer(directory):
            return compare_loss(run, model, tokenizer, text)
        writer = pipeline("text-generation", model=str(directory), dtype=torch.float32, device="cpu")
        told = writer(prompt, do_sample=False, max_new_tokens=count)[0]["generated_text"]
        same("its text by pipeline", ours["text"], told)
    compare_loss(run, model, tokenizer, text)


def takes_any_tokenizer(directory):
    """Whether AutoTokenizer uses tokenizer.json as it is: for some families it takes the family's own splitting."""
    kind = json.loads((directory / "config.json").read_text())["model_type"]
    found = type(AutoTokenizer.from_pretrained(directory)).__name__
    if kind in ("gpt2", "llama") or found in ("TokenizersBackend", "PreTrainedTokenizerFast"):
        return True
    print(f"  {'AutoTokenizer and pipeline':<34} not compared: AutoTokenizer takes {found} for every {kind}")
    return False


def compare_loss(run, model, tokenizer, text):
    """The mean loss over a text, in windows of the context."""
    tokens = tokenizer.encode(text).ids
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        measured = glassbox("evaluate", run, "--data", file.name)
    same("tokens measured", measured["tokens"], len(tokens) - 1)
    loss = loss_of(model, torch.tensor(tokens))
    within("loss, difference in nats", abs(measured["loss"] - loss), 1e-5)


def compare_tokenizers(run, texts, unknown):
    """AutoTokenizer reads what glassbox reads, and says of tokens what glassbox says."""
    directory = directory_of(run)
    if not takes_any_tokenizer(directory):
        return
    tokenizer = AutoTokenizer.from_pretrained(directory)
    for text in texts:
        ours = glassbox("generate", run, f"--prompt={text}", "--tokens", 1, "--temperature", 0)
        same(f"tokens of {text!r}", ours["prompt_tokens"], tokenizer(text).input_ids, quietly=True)
        told = tokenizer.decode(ours["prompt_tokens"])
        same(f"text of the tokens of {text!r}", text, told, quietly=True)
        told = tokenizer.decode(ours["tokens"])
        same(f"text of the tokens after {text!r}", ours["text"], told, quietly=True)
    print(f"  {'AutoTokenizer, texts and tokens':<34} the same, of {len(texts)} texts")
    if unknown:
        # The one difference: an error here; there, where no error can be had, the rest of the text.
        refused = run_glassbox(["generate", run, f"--prompt={unknown}"], check=False)
        if refused.returncode == 0 or b"U+2603" not in refused.stderr:
            sys.exit(f"an unknown character is not refused: {refused}")
        known = unknown.replace("\u2603", "")
        same("tokens of known characters", tokenizer(known).input_ids, tokenizer(unknown).input_ids)


def compare_converted(run, out):
    """A model in bf16 opens as such, and its weights are those of the model, rounded."""
    glassbox("convert", run, "--out", out, "--dtype", "bf16", "--overwrite")
    ours = AutoModelForCausalLM.from_pretrained(out, dtype="auto").state_dict()
    theirs = AutoModelForCausalLM.from_pretrained(directory_of(run), dtype=torch.float32).state_dict()
    same("names of tensors in bf16", sorted(ours), sorted(theirs), quietly=True)
    for name, tensor in ours.items():
        if tensor.dtype != torch.bfloat16 or not torch.equal(tensor, theirs[name].to(torch.bfloat16)):
            sys.exit(f"{name} is not rounded to bf16 by convert")
    print(f"  {'converted to bf16':<34} the same, of {len(ours)} tensors")


def compare_configurations(directory):
    """Models of other configurations, written by transformers: the loss there and here, or a refusal that names the key."""
    directory.mkdir()
    tokens = torch.arange(40) * 7 % 11
    text = "".join("abcdefghijk"[i] for i in tokens)
    (directory / "text.txt").write_text(text, encoding="utf-8")
    sizes = {"vocab_size": 11, "n_positions": 8, "n_embd": 6, "n_head": 2, "n_layer": 2}
    ids = {"bos_token_id": None, "eos_token_id": None}
    ones = dict.fromkeys(["vocab_size", "n_positions", "n_embd", "n_head", "n_layer", "n_inner"], 1)
    torch.manual_seed(1)
    for name, settings in {
        "as it is": {},
        "ReLU": {"activation_function": "relu"},
        "exact GELU": {"activation_function": "gelu"},
        "SiLU": {"activation_function": "silu"},
        "a large epsilon": {"layer_norm_epsilon": 0.3},
        "a hidden part of 5": {"n_inner": 5},
        "a head of its own": {"tie_word_embeddings": False},
        "one head, one layer": {"n_head": 1, "n_layer": 1},
        "a context of 1": {"n_positions": 1},
        "a width of 1": {"n_embd": 1, "n_head": 1},
        "sizes of 1": ones,
        "upcast and reordered": {"reorder_and_upcast_attn": True},
        "scaled by layer": {"scale_attn_by_inverse_layer_idx": True},
        "not scaled": {"scale_attn_weights": False},
        "cross attention": {"add_cross_attention": True},
        "another activation": {"activation_function": "quick_gelu"},
    }.items():
        config = GPT2Config(**{**sizes, **ids, **settings})
        measure(directory, name, GPT2LMHeadModel(config).eval(), text)
    sizes = {"vocab_size": 11, "max_position_embeddings": 8, "hidden_size": 16, "num_attention_heads": 4,
             "num_hidden_layers": 2, "intermediate_size": 10}
    for name, settings in {
        "Llama": {},
        "shared heads": {"num_key_value_heads": 2},
        "one head for all": {"num_key_value_heads": 1},
        "a tied head": {"tie_word_embeddings": True},
        "biases": {"attention_bias": True, "mlp_bias": True},
        "another base": {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}},
        "another epsilon": {"rms_norm_eps": 0.3},
        "a gate of GELU": {"hidden_act": "gelu"},
        "biases in one part": {"attention_bias": True},
        "wide heads": {"head_dim": 8},
        "scaled positions": {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
        "positions scaled as in Llama 3": {"rope_parameters": {
            "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 4, "rope_theta": 50.0}},
        "positions scaled another way": {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
    }.items():
        config = LlamaConfig(**{**sizes, **ids, **settings})
        measure(directory, name, LlamaForCausalLM(config).eval(), text)


def compare_families(directory, seeds):
    """Random models of every family, of sizes drawn by the seed, written by transformers: the loss there and here."""
    directory.mkdir()
    text = "".join("abcdefghijk"[i] for i in torch.arange(60) * 7 % 11)
    (directory / "text.txt").write_text(text, encoding="utf-8")
    for kind in FAMILIES:
        for seed in range(seeds):
            draw = random.Random(seed)
            shared = draw.choice([1, 2, 3])
            heads, head_width = shared * draw.choice([1, 2]), draw.choice([4, 8, 12])
            own_width = kind in ("llama", "mistral", "qwen3", "gemma2", "gemma3_text")
            sizes = {
                "vocab_size": 11, "max_position_embeddings": draw.choice([16, 24]), "num_attention_heads": heads,
                "num_hidden_layers": draw.choice([1, 2, 7]), "intermediate_size": draw.choice([5, 24]),
                "hidden_size": heads * (draw.choice([4, 6, 10]) if own_width else head_width),
                "tie_word_embeddings": draw.random() < 0.5, "bos_token_id": None, "eos_token_id": None,
                "pad_token_id": None,
            }
            if kind != "gpt_neox":
                sizes |= {"num_key_value_heads": shared, "rms_norm_eps": draw.choice([1e-6, 0.1])}
            if own_width:
                sizes["head_dim"] = head_width
            if kind in ("mistral", "gemma2", "gemma3_text"):
                sizes["sliding_window"] = draw.choice([1, 3, 9, 40])
            if kind in ("gemma2", "gemma3_text"):
                sizes |= {"query_pre_attn_scalar": draw.choice([head_width, 7]), "attn_implementation": "eager"}
                sizes["final_logit_softcapping"] = draw.choice([None, 3.0])
                sizes["attn_logit_softcapping"] = draw.choice([None, 2.0]) if kind == "gemma2" else None
            if kind in ("qwen2", "qwen3"):
                sizes |= {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}
            if kind == "smollm3":
                layers = sizes["num_hidden_layers"]
                sizes |= {"use_sliding_window": draw.random() < 0.5, "sliding_window": draw.choice([None, 1, 5])}
                sizes |= {"attention_bias": draw.random() < 0.5, "mlp_bias": draw.random() < 0.5}
                rotates = [draw.choice([0, 1]) for _ in range(layers)]
                sizes |= draw.choice([{}, {"no_rope_layer_interval": 2}, {"no_rope_layers": rotates}])
            if kind == "granite":
                sizes |= {"embedding_multiplier": draw.choice([1.0, 3.0]), "logits_scaling": draw.choice([1, 3.0])}
                sizes |= {"residual_multiplier": draw.choice([1.0, 0.22]), "attention_bias": draw.random() < 0.5}
                sizes |= {"attention_multiplier": draw.choice([1.0, 0.5, 0.1]), "mlp_bias": draw.random() < 0.5}
            if kind == "phi3":
                rotary = {"rope_type": "default", "rope_theta": 50.0, "partial_rotary_factor": draw.choice([0.5, 1.0])}
                sizes |= {"rope_parameters": rotary, "sliding_window": draw.choice([None, 1, 9])}
            if kind == "gpt_neox":
                sizes |= {"use_parallel_residual": draw.random() < 0.5, "rotary_pct": draw.choice([0.5, 1.0])}
            torch.manual_seed(seed)
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes)).eval()
            # Seven layers of large weights multiply the rounding of single precision.
            measure(directory, f"{kind}, seed {seed}", model, text, bound=1e-4)


def measure(directory, name, model, text, bound=1e-5):
    """The loss of a model on the text, there and here, or a refusal that names a key."""
    config = model.config
    # Far enough from the beginning that each setting shows in the loss.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape))
    own = directory / name
    model.save_pretrained(own)
    letters = "abcdefghijk"[: config.vocab_size]
    vocabulary = {letter: i for i, letter in enumerate(letters)}
    write_tokenizer(own, vocabulary)
    said = letters[0] * 40 if config.vocab_size == 1 else text
    (directory / "text.txt").write_text(said, encoding="utf-8")
    found = run_glassbox(["evaluate", own, "--data", directory / "text.txt"], check=False)
    refused = {
        "cross attention": "add_cross_attention",
        "another activation": "activation_function",
        "positions scaled another way": "rope_type",
    }.get(name)
    if refused:
        if found.returncode == 0 or refused.encode() not in found.stderr:
            sys.exit(f"{name}: not refused by its name: {found}")
        print(f"  {name:<34} refused by its name")
        return
    if found.returncode != 0:
        sys.exit(f"{name}: {found.stderr.decode()}")
    ids_of = torch.tensor([vocabulary[c] for c in said])
    loss = json.loads(found.stdout)["loss"]
    within(f"{name}: loss", abs(loss - loss_of(model, ids_of)), bound)


def write_tokenizer(directory, vocabulary):
    """A tokenizer.json of single characters."""
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    tokenizer = {"version": "1.0", "model": model, "decoder": {"type": "Fuse"}}
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")


def main():
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if len(sys.argv) > 1:
        run = pathlib.Path(sys.argv[1])
        beginning = glassbox("generate", run, "--tokens", 400)["text"]
        print(f"{run}")
        compare(run, beginning)
        compare_tokenizers(run, [beginning], None)
        return
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        text = directory / "text.txt"
        whole = TEXT + "".join(TEXTS) + TEXT
        text.write_bytes(whole.encode())
        sizes = ["--layers", 2, "--heads", 2, "--width", 32, "--context", 64, "--batch", 8]
        ones = ["--layers", 1, "--heads", 1, "--width", 8, "--context", 1, "--batch", 8]
        for name, settings in {
            "characters, no biases, tied head": [*sizes, "--tokenizer", "chars"],
            "bytes, biases, a head of its own": [
                *[*sizes, "--tokenizer", "bytes", "--bias", "true", "--tied", "false"],
                *["--activation", "gelu_tanh", "--dropout", "0.1"],
            ],
            "Llama, heads that share keys and values": [
                *[*sizes[:2], "--heads", 4, "--key-value-heads", 2, *sizes[4:]],
                *["--architecture", "llama", "--tokenizer", "chars"],
            ],
            "Llama of bytes, a head of its own": [
                *[*sizes, "--architecture", "llama", "--tokenizer", "bytes", "--tied", "false"],
                *["--rotary-base", 500, "--hidden", 50],
            ],
            **{
                f"{family}, from nothing": [*sizes, "--architecture", family, "--tokenizer", "chars", *flags]
                for family, flags in {
                    "mistral": ["--window", 20],
                    "qwen2": ["--key-value-heads", 1],
                    "qwen3": ["--head-width", 24],
                    "gemma2": ["--window", 20, "--tied", "true"],
                    "gemma3_text": ["--window", 20, "--head-width", 8],
                    "gpt_neox": [],
                    "olmo2": [],
                    "smollm3": ["--unrotated-every", 2],
                    "granite": ["--key-value-heads", 1],
                    "phi3": ["--rotary-share", 0.5],
                }.items()
            },
            "pieces of words": [*sizes, "--tokenizer", "bpe:400"],
            "Llama of pieces of words": [*sizes, "--architecture", "llama", "--tokenizer", "bpe:300"],
            "context of 1": [*ones, "--tokenizer", "chars"],
            "width of 1": [*ones[:4], "--width", 1, *ones[6:]],
        }.items():
            run = directory / name.split(",")[0]
            glassbox("train", "--data", text, "--out", run, "--steps", 150, *settings)
            print(name)
            compare(run, whole)
            compare_tokenizers(run, TEXTS, UNKNOWN if "chars" in settings else None)
            compare_converted(run, directory / "converted")
        print("one letter")
        letter = directory / "letter.txt"
        letter.write_text("a" * 2000)
        run = directory / "letter"
        glassbox("train", "--data", letter, "--out", run, "--steps", 3, *sizes, "--tokenizer", "chars")
        compare(run, "a" * 200)
        compare_tokenizers(run, ["a", "aaaa"], UNKNOWN.replace("G", "a").replace("r", "a"))
        print("configurations of transformers")
        compare_configurations(directory / "configurations")
        print("families of transformers")
        compare_families(directory / "families", 10)
    print("opens in Hugging Face transformers, with the same results")


if __name__ == "__main__":
    main()
