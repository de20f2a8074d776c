"""GPT2LMHeadModel of transformers (5.24), both ways.

Its matrices stand the other way round ([in, out]), and queries, keys and values side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from corpusforge.spec import ModelSpec, TrainSpec
from corpusforge.tokenizer import Tokenizer

from .family import THEIRS, Family, Name, activation, must, only, parts

_MODULES = {
    "attention.query": "attn.c_attn",
    "attention.key": "attn.c_attn",
    "attention.value": "attn.c_attn",
    "attention.out": "attn.c_proj",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}
_NORMS = {"attention_norm": "ln_1", "feed_forward_norm": "ln_2"}


def _turned(weight: Tensor) -> Tensor:
    return weight.T


def _names(spec: ModelSpec) -> list[Name]:
    found = [
        Name("tokens.weight", "transformer.wte.weight"),
        Name("positions.weight", "transformer.wpe.weight"),
        *parts("norm", "transformer.ln_f"),
    ]
    if not spec.tied:
        found.append(Name("head.weight", "lm_head.weight"))
    for layer in range(spec.layers):
        mine, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        for ours, name in _NORMS.items():
            found += parts(f"{mine}.{ours}", f"{theirs}.{name}")
        for ours, name in _MODULES.items():
            found.append(Name(f"{mine}.{ours}.weight", f"{theirs}.{name}.weight", _turned, _turned))
            found += parts(f"{mine}.{ours}", f"{theirs}.{name}", "bias")
    return found


def _config(spec: TrainSpec, vocabulary: int, tokenizer: Tokenizer) -> dict[str, Any]:
    model = spec.model
    must(
        spec, "GPT2LMHeadModel", norm=["pre"], norm_kind=["layernorm"], position=["learned"],
        activation=list(THEIRS), bias=[True], kv_heads=[0, model.heads],
    )  # fmt: skip
    return {
        "vocab_size": vocabulary,
        "n_positions": spec.data.sequence,
        "n_embd": model.width,
        "n_layer": model.layers,
        "n_head": model.heads,
        "n_inner": model.inner,
        "activation_function": THEIRS[model.activation],
        "embd_pdrop": model.dropout,
        "resid_pdrop": model.dropout,
        "attn_pdrop": model.dropout,
        "layer_norm_epsilon": model.norm_eps,
        "initializer_range": 0.02,
        "tie_word_embeddings": model.tied,
        "bos_token_id": tokenizer.eot,
        "eos_token_id": tokenizer.eot,
    }


def _spec(config: Mapping[str, Any]) -> dict[str, Any]:
    only(
        config, scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False,
        add_cross_attention=False,
    )  # fmt: skip
    return {
        "objective": "causal",
        "model": {
            "layers": config["n_layer"],
            "width": config["n_embd"],
            "heads": config["n_head"],
            "feed_forward": config.get("n_inner") or 4 * config["n_embd"],
            "norm": "pre",
            "norm_eps": config.get("layer_norm_epsilon", 1e-5),
            "position": "learned",
            "activation": activation(config, "activation_function", "gelu_new"),
            "dropout": config.get("resid_pdrop", 0.1),
            "tied": config.get("tie_word_embeddings", True),
        },
        "data": {"sequence": config["n_positions"]},
    }


GPT2 = Family(
    architecture="GPT2LMHeadModel",
    model_type="gpt2",
    objective="causal",
    names=_names,
    copies={"lm_head.weight": "transformer.wte.weight"},
    config=_config,
    spec=_spec,
    base="transformer.",
)
