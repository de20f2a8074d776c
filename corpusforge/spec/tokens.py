"""TokenizeSpec: everything that decides a tokenizer and its token shards."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from .clean import Plan, Read
from .model import Model

# What differs from the defaults of TokenizeSpec where the algorithm does.
_OF_ALGORITHM: dict[str, dict[str, Any]] = {
    "wordpiece": {
        "split": "gpt2",
        "normalizer": "nfc",
        "special_tokens": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    },
    "unigram": {
        "split": "whitespace",
        "normalizer": "nfkc",
        "special_tokens": ["<pad>", "</s>", "<unk>"],
    },
}


class Weights(Model):
    """How many times over a text counts in training: by language, and by source.

    A source is named by its label or any part of its path from the start; the longest wins.
    """

    language: dict[str, float] = {}
    source: dict[str, float] = {}

    @field_validator("language", "source")
    @classmethod
    def _sane(cls, given: dict[str, float]) -> dict[str, float]:
        if not all(0 <= weight <= 1000 for weight in given.values()):
            raise ValueError("weights lie between 0 and 1000")
        return given


class TokenizeSpec(Model):
    """Everything that decides a tokenizer and its token shards."""

    inputs: list[str] = []
    algo: Literal["bpe", "wordpiece", "unigram"] = "bpe"
    vocab_size: int = Field(8192, ge=300, le=1 << 24)
    sweep: list[int] = []
    alphabet: Literal["bytes", "characters"] = "bytes"
    max_alphabet: int = Field(0, ge=0)
    split: Literal["gpt2", "llama3", "qwen2", "o200k", "whitespace", "none"] = "llama3"
    digits: Literal[0, 1, 3] = 0
    normalizer: Literal["none", "nfc", "nfkc"] = "none"
    min_frequency: int = Field(2, ge=0)
    max_token_length: int = Field(0, ge=0)
    max_word_bytes: int = Field(512, ge=16)
    special_tokens: list[str] = ["<|endoftext|>", "<|pad|>"]
    reserved: int = Field(0, ge=0, le=1 << 16)
    weights: Weights = Weights()
    engine: Literal["own", "gigatoken", "tokenizers"] = "own"
    ranges: int = Field(8, ge=1, le=4096)
    read: Read = Read()
    plan: Plan = Plan()

    @property
    def specials(self) -> list[str]:
        """The special tokens, the reserved ones behind the named ones; their places are the ids."""
        return [*self.special_tokens, *(f"<|reserved_{n}|>" for n in range(self.reserved))]

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_algorithm(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {**_OF_ALGORITHM.get(str(values.get("algo")), {}), **values}
