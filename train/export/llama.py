"""LlamaForCausalLM and Starcoder2ForCausalLM of transformers (5.24), both ways.

Both have rotary positions and grouped heads. Llama has RMSNorm and a gate; the other LayerNorm and
two matrices around GELU, which is what `forge train` makes by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corpusforge.errors import InputError
from corpusforge.spec import ModelSpec, TrainSpec
from corpusforge.tokenizer import Tokenizer

from .family import THEIRS, Family, Name, activation, must, only, parts

_ATTENTION = {
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.out": "self_attn.o_proj",
}
_NORMS = {"attention_norm": "input_layernorm", "feed_forward_norm": "post_attention_layernorm"}
_INNER = {
    "swiglu": {
        "feed_forward.gate": "mlp.gate_proj",
        "feed_forward.up": "mlp.up_proj",
        "feed_forward.down": "mlp.down_proj",
    },
    "gelu": {"feed_forward.up": "mlp.c_fc", "feed_forward.down": "mlp.c_proj"},
}


def _names(spec: ModelSpec) -> list[Name]:
    linear = ("weight", "bias") if spec.bias else ("weight",)
    norm = ("weight",) if spec.norm_kind == "rmsnorm" else linear
    inner = _INNER["swiglu" if spec.activation == "swiglu" else "gelu"]
    found = [Name("tokens.weight", "model.embed_tokens.weight")]
    found += parts("norm", "model.norm", *norm)
    if not spec.tied:
        found.append(Name("head.weight", "lm_head.weight"))
    for layer in range(spec.layers):
        mine, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        for ours, name in _NORMS.items():
            found += parts(f"{mine}.{ours}", f"{theirs}.{name}", *norm)
        for ours, name in {**_ATTENTION, **inner}.items():
            found += parts(f"{mine}.{ours}", f"{theirs}.{name}", *linear)
    return found


def _shared(spec: TrainSpec, vocabulary: int, tokenizer: Tokenizer) -> dict[str, Any]:
    model = spec.model
    return {
        "vocab_size": vocabulary,
        "hidden_size": model.width,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads or model.heads,
        "intermediate_size": model.inner,
        "max_position_embeddings": spec.data.sequence,
        "rope_theta": model.rope_theta,  # transformers 4
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_theta},
        "attention_dropout": model.dropout,
        "initializer_range": 0.02,
        "tie_word_embeddings": model.tied,
        "bos_token_id": tokenizer.eot,
        "eos_token_id": tokenizer.eot,
    }


def _config(spec: TrainSpec, vocabulary: int, tokenizer: Tokenizer) -> dict[str, Any]:
    must(
        spec, "LlamaForCausalLM", norm=["pre"], norm_kind=["rmsnorm"], position=["rope"],
        activation=["swiglu"],
    )  # fmt: skip
    return {
        **_shared(spec, vocabulary, tokenizer),
        "head_dim": spec.model.width // spec.model.heads,
        "hidden_act": "silu",
        "rms_norm_eps": spec.model.norm_eps,
        "attention_bias": spec.model.bias,
        "mlp_bias": spec.model.bias,
    }


def _starcoder2_config(spec: TrainSpec, vocabulary: int, tokenizer: Tokenizer) -> dict[str, Any]:
    must(
        spec, "Starcoder2ForCausalLM", norm=["pre"], norm_kind=["layernorm"], position=["rope"],
        activation=list(THEIRS), bias=[True],
    )  # fmt: skip
    return {
        **_shared(spec, vocabulary, tokenizer),
        "hidden_act": THEIRS[spec.model.activation],
        "norm_epsilon": spec.model.norm_eps,
        "use_bias": True,
        "residual_dropout": spec.model.dropout,
        "embedding_dropout": spec.model.dropout,
        "sliding_window": None,
    }


def _theta(config: Mapping[str, Any]) -> float:
    """Base of the rotary frequencies, which transformers 4 and 5 keep in two places."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = found.get("rope_type", found.get("type", "default"))
    if kind != "default":
        raise InputError(f"rope_type = {kind!r}", file="config.json", expected="'default'")
    return float(found.get("rope_theta", config.get("rope_theta", 10_000.0)))


def _shape(config: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    size = config["hidden_size"] // config["num_attention_heads"]
    only({key: value for key, value in config.items() if value is not None}, head_dim=size)
    return {
        "objective": "causal",
        "model": {
            "layers": config["num_hidden_layers"],
            "width": config["hidden_size"],
            "heads": config["num_attention_heads"],
            "kv_heads": config.get("num_key_value_heads") or 0,
            "feed_forward": config["intermediate_size"],
            "norm": "pre",
            "position": "rope",
            "rope_theta": _theta(config),
            **fields,
        },
        "data": {"sequence": config["max_position_embeddings"]},
    }


def _spec(config: Mapping[str, Any]) -> dict[str, Any]:
    bias = config.get("attention_bias", False)
    only(config, hidden_act="silu", pretraining_tp=1)
    if config.get("mlp_bias", False) != bias:
        raise InputError(
            "mlp_bias is not attention_bias", file="config.json", expected="both alike"
        )
    return _shape(
        config,
        norm_kind="rmsnorm",
        norm_eps=config.get("rms_norm_eps", 1e-6),
        activation="swiglu",
        bias=bias,
        dropout=config.get("attention_dropout", 0.0),
        tied=config.get("tie_word_embeddings", False),
    )


def _starcoder2_spec(config: Mapping[str, Any]) -> dict[str, Any]:
    only(config, use_bias=True, sliding_window=None)
    return _shape(
        config,
        norm_kind="layernorm",
        norm_eps=config.get("norm_epsilon", 1e-5),
        activation=activation(config, "hidden_act", "gelu_pytorch_tanh"),
        dropout=config.get("residual_dropout", 0.0),
        tied=config.get("tie_word_embeddings", True),
    )


LLAMA = Family(
    architecture="LlamaForCausalLM",
    model_type="llama",
    objective="causal",
    names=_names,
    copies={"lm_head.weight": "model.embed_tokens.weight"},
    config=_config,
    spec=_spec,
    base="model.",
)
STARCODER2 = Family(
    architecture="Starcoder2ForCausalLM",
    model_type="starcoder2",
    objective="causal",
    names=_names,
    copies={"lm_head.weight": "model.embed_tokens.weight"},
    config=_starcoder2_config,
    spec=_starcoder2_spec,
    base="model.",
)
