"""Writes subwords.json: tokenizers of the kinds in use, and what the Python package `tokenizers` makes of texts.

    pip install tokenizers==0.23.3 && python tests/authority/subwords.py

Each tokenizer is trained here on a few sentences, with the parts of the family that its name says. Training draws ties
in another order each time, so that the file changes; its tokens are compared, not its training.
"""
import json
import pathlib

from tokenizers import (
    AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers,
)

SENTENCES = """The quick brown fox jumps over the lazy dog. Once upon a time there was a little fox who won't sleep.
In 1908 he paid 12,345.67 dollars for it; "too much", she said, and they've laughed ever since.
Der Fuchs springt über den faulen Hund. Größe, Straße, Äpfel und Öl. El zorro marrón saltó.
def main(): return [x ** 2 for x in range(10)]  # four  spaces    here
素早い茶色の狐が犬を飛び越える。 быстрая лиса прыгает через собаку""".split("\n")

TEXTS = [
    "",
    " ",
    "   ",
    "\n",
    "\n\n\n",
    "\t x",
    "Hello world",
    " Hello world",
    "Hello world ",
    "The quick brown fox won't jump over 12345 dogs, they've said!",
    "  two  spaces   three\n\n  and lines \n",
    "Größe, Straße — naïve café: Äpfel",
    "e\u0301 is é, \ufb01 is fi, \u212b is Å, \u2460 is 1",
    "素早い茶色の狐。日本語、한국어, ภาษาไทย, עברית, العربية",
    "🦊🐶 👩‍👩‍👧‍👦 🏳️‍🌈 \U0001f1e9\U0001f1ea",
    "zero\u200bwidth\u00a0space\u2028line\u3000ideographic \u202eright to left",
    "\u0000\u0001\u001b[31mcontrol\u007f",
    "<s> not special? </s> <|endoftext|><|im_start|>user\nhi<|im_end|> [CLS]x[SEP] <unk>",
    "a" * 300 + " " + "ab" * 100,
    "ﷺ ﷽ Ⅷ ½ x² \U0010ffff\ufffd",
]


def llama3():
    """Byte-level BPE, words by a regular expression, special tokens, a beginning of the text."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    train(tokenizer, trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    begin = tokenizer.token_to_id("<|endoftext|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", begin)]),
    ])
    return tokenizer


def llama2():
    """SentencePiece's BPE: a space before the text, unknown characters as bytes, merges over the whole text."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1),
    ])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    train(tokenizer, trainers.BpeTrainer(vocab_size=420, special_tokens=special[:3], initial_alphabet=[], show_progress=False))
    return with_bytes(tokenizer, special)


def gemma():
    """BPE with spaces kept as they are, and bytes for unknown characters."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    train(tokenizer, trainers.BpeTrainer(vocab_size=420, special_tokens=special[:3], initial_alphabet=[], show_progress=False))
    return with_bytes(tokenizer, special)


def with_bytes(tokenizer, special):
    """Adds tokens for bytes to the vocabulary, where the trainer knows none, and the beginning of a sequence."""
    tree = json.loads(tokenizer.to_str())
    vocabulary = tree["model"]["vocab"]
    for name in special[3:]:
        vocabulary[name] = len(vocabulary)
    tokenizer = Tokenizer.from_str(json.dumps(tree))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    return tokenizer


def unigram():
    """SentencePiece's Unigram with NFKC, as T5 has it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    train(tokenizer, trainers.UnigramTrainer(
        vocab_size=200, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))])
    return tokenizer


def bert():
    """WordPiece in lower case."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    train(tokenizer, trainers.WordPieceTrainer(
        vocab_size=250, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")])
    # A file may ask for both; a whole text is never cut off or filled up.
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=64)
    return tokenizer


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(SENTENCES, trainer)


def measured(tokenizer):
    file = tokenizer.to_str()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rows = []
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        rows.append({
            "text": text,
            "ids": ids,
            "prompt": tokenizer.encode(text).ids,
            "decoded": tokenizer.decode(ids, skip_special_tokens=False),
        })
    return {"file": json.loads(file), "texts": rows}


def main():
    kinds = {f.__name__: measured(f()) for f in (llama3, llama2, gemma, unigram, bert)}
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(kinds, ensure_ascii=True, separators=(",", ":")).replace('{"text"', '\n{"text"') + "\n")


main()
