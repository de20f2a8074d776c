"""The tokenizer.json of Hugging Face: written from what was learnt, read for the own kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from corpusforge.kernels import ranks
from corpusforge.kernels.bpe import Learnt
from corpusforge.kernels.pretokens import PATTERNS
from corpusforge.spec import TokenizeSpec
from corpusforge.unigram import SPACE

FORMS = {"nfc": "NFC", "nfkc": "NFKC"}  # normalizer of a spec -> Unicode normal form


class Own(NamedTuple):
    """What the own kernel needs of a tokenizer.json that it can serve."""

    split: str
    form: str | None  # Unicode normal form, as Arrow names it
    tables: ranks.Tables


class NotOursError(Exception):
    """A property of a tokenizer.json that the own kernel does not serve."""


def bpe_document(learnt: Learnt, spec: TokenizeSpec) -> bytes:
    """Byte-level BPE; merges that would spell a special token are left out."""
    special = set(spec.special_tokens)
    merges = [
        [left, right]
        for left, right in learnt.merges
        if left + right not in special and left not in special and right not in special
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {token: number for number, token in enumerate(learnt.tokens)},
        "merges": merges,
    }
    steps = [*_split_step(spec.split), {**byte_level, "use_regex": False}]
    return _document(spec, steps, model, {**byte_level, "use_regex": True})


def wordpiece_document(learnt: Learnt, spec: TokenizeSpec) -> bytes:
    """WordPiece over words without their spaces."""
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {token: number for number, token in enumerate(learnt.tokens)},
    }
    decoder = {"type": "WordPiece", "prefix": "##", "cleanup": False}
    return _document(spec, [*_split_step(spec.split), {"type": "WhitespaceSplit"}], model, decoder)


def unigram_document(pieces: list[tuple[str, float]], spec: TokenizeSpec) -> bytes:
    """Unigram with byte fallback, SentencePiece's sign for a space, and no prefix space."""
    space = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": False}
    model = {
        "type": "Unigram",
        "unk_id": spec.special_tokens.index("<unk>"),
        "vocab": [[piece, score] for piece, score in pieces],
        "byte_fallback": True,
    }
    decoder = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
        ],
    }
    return _document(spec, [*_split_step(spec.split), space], model, decoder)


def _split_step(split: str) -> list[dict[str, Any]]:
    if split == "none":
        return []
    pattern = {"Regex": PATTERNS[split]}
    return [{"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}]


def _document(
    spec: TokenizeSpec, steps: list[dict[str, Any]], model: dict[str, Any], decoder: dict[str, Any]
) -> bytes:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    form = FORMS.get(spec.normalizer)
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": token, **flags, "special": True}
            for number, token in enumerate(spec.special_tokens)
        ],
        "normalizer": {"type": form} if form else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def recognize(document: Mapping[str, Any]) -> Own:
    """Return what the own kernel needs, or raise NotOursError with the reason."""
    model = document["model"]
    if model.get("type") != "BPE":
        raise NotOursError(f"the model is {model.get('type')}")
    for key in ("dropout", "unk_token", "byte_fallback", "ignore_merges"):
        if model.get(key):
            raise NotOursError(f"the model has {key}")
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise NotOursError("the model marks the inside or the end of words")
    if not all(token.get("special") for token in document.get("added_tokens") or []):
        raise NotOursError("it has added tokens that are not special")
    normalizer = document.get("normalizer")
    form = normalizer["type"] if normalizer else None
    if form not in (None, *FORMS.values()):
        raise NotOursError(f"the normalizer is {form}")
    split = _split_of(document.get("pre_tokenizer"))
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    pairs = [(left, right) for left, right in merges]
    try:
        return Own(split, form, ranks.tables(model["vocab"], pairs))
    except KeyError as error:
        raise NotOursError(f"the vocabulary lacks {error}") from None


def _split_of(pre_tokenizer: Mapping[str, Any] | None) -> str:
    """Name of the split of a byte-level pre-tokenizer, or raise NotOursError."""
    steps = [pre_tokenizer or {"type": "none"}]
    if steps[0]["type"] == "Sequence":
        steps = steps[0]["pretokenizers"]
    *cutters, byte_level = steps
    if byte_level["type"] != "ByteLevel" or byte_level.get("add_prefix_space"):
        raise NotOursError("the pre-tokenizer is not byte-level without a prefix space")
    if not cutters:
        return "gpt2" if byte_level.get("use_regex", True) else "none"
    names = {pattern: name for name, pattern in PATTERNS.items() if pattern}
    pattern = cutters[0].get("pattern", {}).get("Regex")
    if (
        len(cutters) == 1
        and pattern in names
        and cutters[0]["type"] == "Split"
        and cutters[0]["behavior"] == "Isolated"
        and not cutters[0].get("invert")
        and not byte_level.get("use_regex", True)
    ):
        return names[pattern]
    raise NotOursError("the pre-tokenizer cuts by an expression that has no own scanner")
