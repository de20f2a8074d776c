"""XLNetLMHeadModel of transformers (5.24), both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from corpusforge.spec import ModelSpec, TrainSpec
from corpusforge.tokenizer import Tokenizer

from .family import THEIRS, Family, Name, activation, must, only, parts

SEQUENCE = 512  # of an imported model, whose positions have no end

_IN = {"query": "q", "key": "k", "value": "v", "position": "r"}
_BIASES = {"content_bias": "r_w_bias", "position_bias": "r_r_bias", "segment_bias": "r_s_bias"}
_NORMS = {"attention_norm": "rel_attn.layer_norm", "feed_forward_norm": "ff.layer_norm"}
_INNER = {"feed_forward.up": "ff.layer_1", "feed_forward.down": "ff.layer_2"}


def _names(spec: ModelSpec) -> list[Name]:
    heads, size = spec.heads, spec.width // spec.heads

    def turned(weight: Tensor) -> Tensor:  # [H E, D] -> [D, H, E]
        return weight.T.unflatten(1, (heads, size))

    def back(weight: Tensor) -> Tensor:
        return weight.flatten(1).T

    def by_head(tensor: Tensor) -> Tensor:  # [..., H E] -> [..., H, E]
        return tensor.unflatten(-1, (heads, size))

    def flat(tensor: Tensor) -> Tensor:
        return tensor.flatten(-2)

    found = [
        Name("tokens.weight", "transformer.word_embedding.weight"),
        Name("query", "transformer.mask_emb"),
        Name("vocabulary_bias", "lm_loss.bias"),
    ]
    for layer in range(spec.layers):
        mine, theirs = f"blocks.{layer}", f"transformer.layer.{layer}"
        attention, there = f"{mine}.attention", f"{theirs}.rel_attn"
        for ours, name in _IN.items():
            found.append(Name(f"{attention}.{ours}.weight", f"{there}.{name}", turned, back))
        found.append(Name(f"{attention}.out.weight", f"{there}.o", by_head, flat))
        found.append(Name(f"{attention}.segment.weight", f"{there}.seg_embed", by_head, flat))
        for ours, name in _BIASES.items():
            found.append(Name(f"{attention}.{ours}", f"{there}.{name}", by_head, flat))
        for ours, name in {**_NORMS, **_INNER}.items():
            found += parts(f"{mine}.{ours}", f"{theirs}.{name}")
    return found


def _config(spec: TrainSpec, vocabulary: int, tokenizer: Tokenizer) -> dict[str, Any]:
    model = spec.model
    must(
        spec, "XLNetLMHeadModel", norm=["post"], norm_kind=["layernorm"], bias=[True], tied=[True],
        position=["relative-xl"], activation=list(THEIRS),
    )  # fmt: skip
    return {
        "vocab_size": vocabulary,
        "d_model": model.width,
        "n_layer": model.layers,
        "n_head": model.heads,
        "d_head": model.width // model.heads,
        "d_inner": model.inner,
        "ff_activation": THEIRS[model.activation],
        "untie_r": True,
        "attn_type": "bi",
        "layer_norm_eps": model.norm_eps,
        "dropout": model.dropout,
        "mem_len": spec.corrupt.memory or None,
        "clamp_len": -1,
        "bi_data": False,
        "same_length": False,
        "pad_token_id": tokenizer.special("pad_token"),
        "bos_token_id": tokenizer.special("bos_token"),
        "eos_token_id": tokenizer.eot,
    }


def _spec(config: Mapping[str, Any]) -> dict[str, Any]:
    only(
        config, attn_type="bi", clamp_len=-1, bi_data=False, same_length=False, untie_r=True,
        tie_word_embeddings=True, d_head=config["d_model"] // config["n_head"],
    )  # fmt: skip
    return {
        "objective": "permutation",
        "model": {
            "layers": config["n_layer"],
            "width": config["d_model"],
            "heads": config["n_head"],
            "feed_forward": config["d_inner"],
            "norm": "post",
            "norm_eps": config.get("layer_norm_eps", 1e-12),
            "position": "relative-xl",
            "activation": activation(config, "ff_activation"),
            "dropout": config.get("dropout", 0.1),
        },
        "data": {"sequence": SEQUENCE},
    }


XLNET = Family(
    architecture="XLNetLMHeadModel",
    model_type="xlnet",
    objective="permutation",
    names=_names,
    copies={"lm_loss.weight": "transformer.word_embedding.weight"},
    config=_config,
    spec=_spec,
)
