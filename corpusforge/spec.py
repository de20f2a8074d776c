"""Specs: frozen models from TOML. A flag only overrides one field; unknown keys are refused.

``load`` merges, from low to high: defaults, the named or given spec file, ``--set key=value``.
The digest of a spec decides whether a run folder may be continued.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from corpusforge.errors import SpecError, nearest

MIB = 1 << 20


class Model(BaseModel):
    """Base of every spec table: immutable, closed, TOML values only."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Fields(Model):
    """Names of the fields of JSONL and table inputs."""

    id: str = "id"
    text: str = "text"
    html: str = "html"
    url: str = "url"
    date: str = "date"
    title: str = "title"


class Limits(Model):
    """Limits by work, never by clock; a record over one is a failed row that names it."""

    inflated_bytes: int = Field(16 * MIB, ge=1024)  # bytes of one record after decompression
    line_bytes: int = Field(64 * MIB, ge=1024)  # bytes of one JSONL line
    depth: int = Field(5000, ge=10)  # nesting of elements
    nodes: int = Field(1_000_000, ge=100)  # nodes of one page


class Read(Model):
    """How inputs become documents."""

    fields: Fields = Fields()
    limits: Limits = Limits()


class Extract(Model):
    """How a page becomes text."""

    method: Literal["forge", "trafilatura", "resiliparse", "none"] = "forge"


class Language(Model):
    """Language identification; ``keep = "all"`` judges no document by its language."""

    keep: Literal["all"] | list[str] = "all"
    min_score: float = Field(0.65, ge=0, le=1)


class Dedup(Model):
    """Exact and near deduplication (forge-minhash-1)."""

    exact: Literal["bytes", "tokens", "none"] = "bytes"
    near: Literal["minhash", "none"] = "minhash"
    bands: int = Field(16, ge=1, le=256)
    rows: int = Field(8, ge=1, le=64)
    ngram: int = Field(5, ge=1, le=16)
    seed: int = Field(1, ge=0, lt=1 << 32)
    similarity: float = Field(0.70, ge=0, le=1)
    ranges: int = Field(16, ge=1, le=1 << 17)


class Output(Model):
    """What a clean run writes."""

    format: Literal["arrow", "parquet", "jsonl"] = "arrow"
    keep_dropped: bool = True


class Plan(Model):
    """How inputs are cut into units of work and batches."""

    unit_bytes: int = Field(64 * MIB, ge=64 * 1024)
    batch_bytes: int = Field(16 * MIB, ge=64 * 1024)


class CleanSpec(Model):
    """Everything that decides what a clean run keeps."""

    inputs: list[str] = []
    read: Read = Read()
    extract: Extract = Extract()
    language: Language = Language()
    rules: dict[str, Any] = Field(
        default_factory=lambda: {"use": ["gopher-quality", "gopher-repetition"]}
    )
    dedup: Dedup = Dedup()
    output: Output = Output()
    plan: Plan = Plan()


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


class ModelSpec(Model):
    """Shape of the Transformer."""

    layers: int = Field(4, ge=1)
    width: int = Field(256, ge=8)
    heads: int = Field(4, ge=1)
    kv_heads: int = Field(0, ge=0)  # 0: as many as heads
    feed_forward: int = Field(0, ge=0)  # 0: 4 x width; swiglu: 8/3 x width, to 32s
    norm: Literal["pre", "post"] = "pre"
    norm_kind: Literal["layernorm", "rmsnorm"] = "layernorm"
    norm_eps: float = Field(1e-5, gt=0)
    position: Literal["learned", "rope", "relative-xl", "t5-bucket"] = "rope"
    rope_theta: float = Field(10_000.0, gt=0)
    activation: Literal["gelu", "gelu-tanh", "swiglu"] = "gelu"
    bias: bool = True  # in linear layers and in LayerNorm
    dropout: float = Field(0.0, ge=0, lt=1)
    tied: bool = True
    init: Literal["normal", "xavier"] = "normal"

    @model_validator(mode="after")
    def _shape(self) -> Self:
        heads, kv_heads = self.heads, self.kv_heads or self.heads
        if self.width % heads:
            raise SpecError(
                f"model.heads = {heads} does not divide model.width = {self.width}",
                remedy="change one of the two",
            )
        if heads % kv_heads:
            raise SpecError(
                f"model.kv_heads = {kv_heads} does not divide model.heads = {heads}",
                remedy="change one of the two",
            )
        if self.position == "rope" and self.width // heads % 2:
            raise SpecError(
                f"model.width / model.heads = {self.width // heads} is odd",
                expected="an even number for model.position = 'rope'",
            )
        return self


class DataSpec(Model):
    """Order, packing and held-out share of the token rows."""

    sequence: int = Field(256, ge=8)
    packing: Literal["chop", "bestfit", "pairs", "spans"] = "bestfit"
    seed: int = Field(0, ge=0)
    heldout: float = Field(0.05, ge=0, le=0.5)  # share of documents, by hash of their id
    document_mask: bool = False  # attention stays inside a document


class LossSpec(Model):
    """What is added to the plain cross entropy."""

    smoothing: float = Field(0.0, ge=0, lt=1)  # label smoothing


class OptimSpec(Model):
    """Optimizer, schedule and clipping."""

    name: Literal["adam", "adamw", "adafactor"] = "adamw"
    learning_rate: float = Field(1.5e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(0.1, ge=0)  # on matrices only
    clip: float = Field(1.0, ge=0)  # global norm; 0 switches it off
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(0.05, ge=0, le=1)  # share of the steps
    final: float = Field(0.1, ge=0, le=1)  # share of the learning rate at the last step


class RunSpec(Model):
    """Length of a training run, batches, checkpoints."""

    steps: int = Field(240, ge=1)
    batch: int = Field(8, ge=1)  # rows of the global batch
    accumulate: int = Field(1, ge=1)  # slices that the global batch is computed in
    seed: int = Field(0, ge=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int = Field(0, ge=0)  # torch threads; 0: torch's own choice, one a core
    checkpoint_every: int = Field(50, ge=1)
    keep_checkpoints: int = Field(2, ge=1)
    log_every: int = Field(1, ge=1)
    evaluate_every: int = Field(50, ge=1)
    evaluate_rows: int = Field(64, ge=1)

    @model_validator(mode="after")
    def _slices(self) -> Self:
        if self.batch % self.accumulate:
            raise SpecError(
                f"run.accumulate = {self.accumulate} does not divide run.batch = {self.batch}",
                remedy="change one of the two",
            )
        return self


class TrainSpec(Model):
    """Everything that decides a trained model."""

    inputs: list[str] = []
    weights: dict[str, float] = {}  # token folder -> weight; empty: by size
    objective: Literal["causal"] = "causal"
    model: ModelSpec = ModelSpec()
    data: DataSpec = DataSpec()
    loss: LossSpec = LossSpec()
    optim: OptimSpec = OptimSpec()
    run: RunSpec = RunSpec()


S = TypeVar("S", bound=Model)

_NAMED = {
    "CleanSpec": ("corpusforge.rules", "presets"),
    "TokenizeSpec": ("corpusforge.tokenizer_specs", ""),
    "TrainSpec": ("corpusforge.train", "specs"),
}


def parse(kind: type[S], values: Mapping[str, Any], file: str | None = None) -> S:
    """Validate ``values``; raises SpecError that names the key and the nearest known one."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"] if not str(part).startswith("literal")]
        key = ".".join(path)
        if first["type"] == "extra_forbidden":
            known = _fields_at(kind, path[:-1])
            raise SpecError(
                f"unknown key '{key}'", file=file, remedy=nearest(path[-1], known)
            ) from None
        raise SpecError(
            f"'{key}' = {first['input']!r} is not allowed: {first['msg']}",
            file=file,
            remedy=f"change '{key}' in the spec or by --set {key}=VALUE",
        ) from None


def _fields_at(kind: type[BaseModel], path: Iterable[str]) -> list[str]:
    model: type[BaseModel] = kind
    for part in path:
        field = model.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type):
            return list(model.model_fields)
        model = field.annotation
    return list(model.model_fields)


def load(
    kind: type[S],
    *,
    file: str | None = None,
    overrides: Iterable[str] = (),
    base: Mapping[str, Any] | None = None,
) -> S:
    """Read a spec: ``base`` values, over them ``file`` (a path or a shipped name), then overrides.

    ``overrides`` are ``key=value`` with dotted keys and TOML values; a bare word is a string.
    """
    values: dict[str, Any] = _deep(dict(base or {}))
    if file is not None:
        _merge(values, _read(kind, file))
    for item in overrides:
        key, separator, raw = item.partition("=")
        if not separator or not key.strip():
            raise SpecError(
                f"--set {item}", expected="key=value", remedy="e.g. --set dedup.near=none"
            )
        _assign(values, key.strip().split("."), _value(raw))
    return parse(kind, values, file)


def _read(kind: type[Model], name: str) -> dict[str, Any]:
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        if not path.exists():
            raise SpecError(
                "no such spec file", file=name, expected="a TOML file or a shipped name"
            )
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise SpecError(f"not a TOML file: {error}", file=name) from None
    folder = shipped(kind)
    if name not in folder:
        known = nearest(name, folder) if folder else "give a TOML file"
        raise SpecError(f"no spec is called '{name}'", remedy=known)
    return tomllib.loads(folder[name])


def shipped(kind: type[Model]) -> dict[str, str]:
    """Return the text of every spec that the package ships for ``kind``, by name."""
    package, folder = _NAMED[kind.__name__]
    root = resources.files(package)
    root = root / folder if folder else root
    if not root.is_dir():
        return {}
    entries = sorted(root.iterdir(), key=lambda entry: entry.name)
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in entries
        if entry.name.endswith(".toml")
    }


def _value(raw: str) -> Any:
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


def _assign(values: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            raise SpecError(f"'{part}' in '{'.'.join(path)}' is a value, not a table")
        values = inner
    values[path[-1]] = value


def _deep(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _deep(value) if isinstance(value, dict) else value for key, value in values.items()
    }


def _merge(values: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = _deep(dict(value)) if isinstance(value, Mapping) else value


def dump(spec: Model) -> str:
    """Return ``spec`` as TOML, every field written out; ``load`` of it gives an equal spec."""
    return tomli_w.dumps(spec.model_dump(mode="json"))


def digest(spec: Model) -> str:
    """Return the sha256 (hex) of the canonical JSON of ``spec``."""
    text = json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return dotted keys whose values differ, as ``key (old -> new)``."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key} ({before!r} -> {after!r})")
    return found
