"""TokenizeSpec: everything that decides a tokenizer and its token shards."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from .clean import Plan, Read
from .model import Model

# What differs from the defaults of TokenizeSpec where the algorithm does.
_OF_ALGORITHM: dict[str, dict[str, Any]] = {
    "wordpiece": {
        "split": "gpt2",
        "normalizer": "nfc",
        "special_tokens": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    },
    "unigram": {"normalizer": "nfkc", "special_tokens": ["<pad>", "</s>", "<unk>"]},
}


class TokenizeSpec(Model):
    """Everything that decides a tokenizer and its token shards."""

    inputs: list[str] = []
    algo: Literal["bpe", "wordpiece", "unigram"] = "bpe"
    vocab_size: int = Field(8192, ge=300, le=1 << 24)
    split: Literal["gpt2", "llama3", "qwen2", "o200k", "whitespace", "none"] = "llama3"
    normalizer: Literal["none", "nfc", "nfkc"] = "none"
    min_frequency: int = Field(2, ge=0)
    max_word_bytes: int = Field(512, ge=16)
    special_tokens: list[str] = ["<|endoftext|>", "<|pad|>"]
    ranges: int = Field(8, ge=1, le=4096)
    read: Read = Read()
    plan: Plan = Plan()

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_algorithm(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {**_OF_ALGORITHM.get(str(values.get("algo")), {}), **values}
