"""T5ForConditionalGeneration of transformers (5.24), both ways.

T5 scales neither its scores nor, with one table for both ends, its embeddings as we do: the
factors go into the queries and into the decoder's last norm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from corpusforge.errors import InputError
from corpusforge.spec import ModelSpec, TrainSpec
from corpusforge.tokenizer import Tokenizer

from .family import Family, Name, must, only, parts

SEQUENCE = 512  # of an imported model, whose positions have no end

_ATTENTION = {"query": "q", "key": "k", "value": "v", "out": "o"}
_KINDS = {"relu": "relu", "geglu": "gated-gelu"}
_INNER = {
    "relu": {"up": "wi", "down": "wo"},
    "geglu": {"gate": "wi_0", "up": "wi_1", "down": "wo"},
}


def _scaled(ours: str, theirs: str, factor: float) -> Name:
    def there(tensor: Tensor) -> Tensor:
        return tensor * factor

    def back(tensor: Tensor) -> Tensor:
        return tensor / factor

    return Name(ours, theirs, there, back)


def _names(spec: ModelSpec) -> list[Name]:
    found = [Name("tokens.weight", "shared.weight")]
    if not spec.tied:
        found.append(Name("head.weight", "lm_head.weight"))
    for stack in ("encoder", "decoder"):
        first = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        found.append(Name(f"{stack}.bias.table.weight", first))
        scale = spec.width**0.5 if stack == "decoder" and spec.tied else 1.0
        found.append(_scaled(f"{stack}.norm.weight", f"{stack}.final_layer_norm.weight", scale))
        for layer in range(spec.layers):
            found += _block(spec, f"{stack}.blocks.{layer}", f"{stack}.block.{layer}.layer")
    return found


def _block(spec: ModelSpec, mine: str, theirs: str) -> list[Name]:
    steps = [("attention", "attention_norm", "SelfAttention")]
    if mine.startswith("decoder"):
        steps.append(("cross_attention", "cross_norm", "EncDecAttention"))
    found: list[Name] = []
    for number, (ours, norm, name) in enumerate(steps):
        found += parts(f"{mine}.{norm}", f"{theirs}.{number}.layer_norm", "weight")
        for part, letter in _ATTENTION.items():
            scale = (spec.width // spec.heads) ** -0.5 if part == "query" else 1.0
            there = f"{theirs}.{number}.{name}.{letter}.weight"
            found.append(_scaled(f"{mine}.{ours}.{part}.weight", there, scale))
    last = f"{theirs}.{len(steps)}"
    found += parts(f"{mine}.feed_forward_norm", f"{last}.layer_norm", "weight")
    for part, name in _INNER[spec.activation].items():
        found += parts(f"{mine}.feed_forward.{part}", f"{last}.DenseReluDense.{name}", "weight")
    return found


def _config(spec: TrainSpec, vocabulary: int, tokenizer: Tokenizer) -> dict[str, Any]:
    model = spec.model
    must(
        spec, "T5ForConditionalGeneration", norm=["pre"], norm_kind=["rmsnorm"], bias=[False],
        position=["t5-bucket"], activation=list(_KINDS), tied=[True], kv_heads=[0, model.heads],
    )  # fmt: skip
    pad = tokenizer.special("pad_token")
    return {
        "vocab_size": vocabulary,
        "d_model": model.width,
        "d_kv": model.width // model.heads,
        "d_ff": model.inner,
        "num_layers": model.layers,
        "num_decoder_layers": model.layers,
        "num_heads": model.heads,
        "feed_forward_proj": _KINDS[model.activation],
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "dropout_rate": model.dropout,
        "layer_norm_epsilon": model.norm_eps,
        "is_encoder_decoder": True,
        "tie_word_embeddings": True,
        "pad_token_id": pad,
        "decoder_start_token_id": pad,
        "eos_token_id": tokenizer.special("eos_token"),
    }


def _spec(config: Mapping[str, Any]) -> dict[str, Any]:
    only(
        config, num_decoder_layers=config["num_layers"], relative_attention_num_buckets=32,
        relative_attention_max_distance=128, d_kv=config["d_model"] // config["num_heads"],
    )  # fmt: skip
    kind = {theirs: ours for ours, theirs in _KINDS.items()}.get(
        config.get("feed_forward_proj", "relu")
    )
    if kind is None:
        raise InputError(
            f"feed_forward_proj = {config['feed_forward_proj']!r}",
            file="config.json",
            expected=" or ".join(_KINDS.values()),
        )
    return {
        "objective": "spans",
        "model": {
            "layers": config["num_layers"],
            "width": config["d_model"],
            "heads": config["num_heads"],
            "feed_forward": config["d_ff"],
            "norm": "pre",
            "norm_kind": "rmsnorm",
            "norm_eps": config.get("layer_norm_epsilon", 1e-6),
            "position": "t5-bucket",
            "activation": kind,
            "bias": False,
            "dropout": config.get("dropout_rate", 0.1),
            "tied": config.get("tie_word_embeddings", True),
        },
        "data": {"sequence": SEQUENCE, "packing": "spans"},
    }


T5 = Family(
    architecture="T5ForConditionalGeneration",
    model_type="t5",
    objective="spans",
    names=_names,
    copies={
        "lm_head.weight": "shared.weight",
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
    },
    config=_config,
    spec=_spec,
)
