"""The tokenizer.json of Hugging Face: written from what was learnt, read for the own kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from corpusforge.kernels import encode, ranks
from corpusforge.kernels.bpe import Learnt, byte_characters, byte_pieces
from corpusforge.kernels.pretokens import CODES, PATTERNS, utf8, with_digits
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
    """BPE of bytes or characters; merges that would spell a special or byte token are left out."""
    characters = spec.alphabet == "characters"
    fixed = {*spec.specials, *(byte_pieces() if characters else ())}
    merges = [
        [left, right]
        for left, right in learnt.merges
        if left + right not in fixed and left not in fixed and right not in fixed
    ]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": characters,
        "ignore_merges": False,
        "vocab": {token: number for number, token in enumerate(learnt.tokens)},
        "merges": merges,
    }
    if characters:
        decoder = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
        return _document(spec, _split_step(spec), model, decoder)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    steps = [*_split_step(spec), {**byte_level, "use_regex": False}]
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
    return _document(spec, [*_split_step(spec), {"type": "WhitespaceSplit"}], model, decoder)


def unigram_document(pieces: list[tuple[str, float]], spec: TokenizeSpec) -> bytes:
    """Unigram with byte fallback, SentencePiece's sign for a space, and no prefix space."""
    space = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": False}
    model = {
        "type": "Unigram",
        "unk_id": spec.specials.index("<unk>"),
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
    return _document(spec, [*_split_step(spec), space], model, decoder)


def _split_step(spec: TokenizeSpec) -> list[dict[str, Any]]:
    if spec.split == "none":
        return []
    pattern = {"Regex": PATTERNS[with_digits(spec.split, spec.digits)]}
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
            for number, token in enumerate(spec.specials)
        ],
        "normalizer": {"type": form} if form else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps} if steps else None,
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
    for key in ("dropout", "byte_fallback"):
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
        tables = ranks.tables(model["vocab"], pairs)
    except KeyError as error:
        raise NotOursError(f"the vocabulary lacks {error}") from None
    if model.get("ignore_merges") and (lost := _not_formed(model["vocab"], tables)):
        raise NotOursError(f"the model has ignore_merges, and no merges form {lost!r}")
    return Own(split, form, tables)


def _not_formed(vocab: Mapping[str, int], tables: ranks.Tables) -> str | None:
    """A token of bytes that its merges do not give, if there is one: ignoring them gives it."""
    byte_of = {character: byte for byte, character in enumerate(byte_characters())}
    names = [name for name in vocab if all(character in byte_of for character in name)]
    texts = pa.array([bytes(map(byte_of.__getitem__, name)) for name in names], pa.binary())
    cache = encode.new_cache(1 << 10)
    _, offsets = encode.encode(*utf8(texts), CODES["none"], tables, cache)
    single = np.flatnonzero(np.diff(offsets) != 1)
    return names[int(single[0])] if len(single) else None


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
