"""What values of a TokenizeSpec go together."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from corpusforge.errors import SpecError
from corpusforge.kernels.pretokens import ends, with_digits
from corpusforge.spec import TokenizeSpec

_ONLY = {  # settings that some algorithms have
    "alphabet": ("bpe",),
    "max_alphabet": ("bpe",),
    "sweep": ("bpe",),
    "max_token_length": ("bpe", "wordpiece"),
}


def check(spec: TokenizeSpec) -> None:
    """Raise SpecError where values of a spec do not go together."""
    names = spec.specials
    for name in names:
        if names.count(name) > 1 or len(name) < 2:
            raise SpecError(
                f"special token {name!r} cannot be told from text or from another",
                expected="distinct special tokens of two or more characters",
            )
    if spec.algo == "bpe" and spec.vocab_size < 256 + len(names):
        raise SpecError(
            f"'vocab_size' = {spec.vocab_size} has no room for 256 bytes and the special tokens",
            remedy=f"set vocab_size to {256 + len(names)} or more",
        )
    if spec.max_token_length == 1:
        raise SpecError("'max_token_length' = 1 leaves nothing to merge", expected="0 or 2 or more")
    for key, needs in _ONLY.items():
        if getattr(spec, key) != TokenizeSpec.model_fields[key].default and spec.algo not in needs:
            raise SpecError(f"'{key}' does not apply to {spec.algo}", expected=" or ".join(needs))
    with_digits(spec.split, spec.digits)
    unknown = {"wordpiece": "[UNK]", "unigram": "<unk>"}.get(spec.algo)
    if unknown is None:
        return
    if unknown not in names:
        raise SpecError(
            f"a {spec.algo} tokenizer needs the special token '{unknown}'",
            remedy="add it to special_tokens, or use a shipped spec, e.g. --spec wordpiece-30k",
        )
    if spec.algo == "wordpiece":
        refuse_whole(names, spec)


def refuse_whole(names: Sequence[str], spec: TokenizeSpec) -> None:
    """Raise SpecError for a name that the split leaves whole, so that its model would find it."""
    for name in names:
        if len(ends(pa.array([name]), with_digits(spec.split, spec.digits))) == 1:
            raise SpecError(
                f"the split '{spec.split}' leaves {name!r} whole, so text could spell it",
                remedy="use --set split=llama3, or a special token with punctuation",
            )
