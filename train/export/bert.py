"""BertForPreTraining of transformers (5.24), both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corpusforge.spec import ModelSpec, TrainSpec
from corpusforge.tokenizer import Tokenizer

from .family import THEIRS, Family, Name, activation, must, only, parts

_TABLES = {
    "tokens.weight": "bert.embeddings.word_embeddings.weight",
    "positions.weight": "bert.embeddings.position_embeddings.weight",
    "types.weight": "bert.embeddings.token_type_embeddings.weight",
    "vocabulary_bias": "cls.predictions.bias",
}
_MODULES = {
    "start_norm": "bert.embeddings.LayerNorm",
    "transform": "cls.predictions.transform.dense",
    "transform_norm": "cls.predictions.transform.LayerNorm",
    "pooler": "bert.pooler.dense",
    "order": "cls.seq_relationship",
}
_BLOCK = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}


def _names(spec: ModelSpec) -> list[Name]:
    found = [Name(*pair) for pair in _TABLES.items()]
    for mine, theirs in _MODULES.items():
        found += parts(mine, theirs)
    for layer in range(spec.layers):
        for mine, theirs in _BLOCK.items():
            found += parts(f"blocks.{layer}.{mine}", f"bert.encoder.layer.{layer}.{theirs}")
    return found


def _config(spec: TrainSpec, vocabulary: int, tokenizer: Tokenizer) -> dict[str, Any]:
    model = spec.model
    must(
        spec, "BertForPreTraining", norm=["post"], norm_kind=["layernorm"], position=["learned"],
        activation=list(THEIRS), bias=[True], tied=[True], kv_heads=[0, model.heads],
    )  # fmt: skip
    return {
        "vocab_size": vocabulary,
        "hidden_size": model.width,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "intermediate_size": model.inner,
        "hidden_act": THEIRS[model.activation],
        "hidden_dropout_prob": model.dropout,
        "attention_probs_dropout_prob": model.dropout,
        "max_position_embeddings": spec.data.sequence,
        "type_vocab_size": 2,
        "layer_norm_eps": model.norm_eps,
        "initializer_range": 0.02,
        "pad_token_id": tokenizer.special("pad_token") or 0,
    }


def _spec(config: Mapping[str, Any]) -> dict[str, Any]:
    only(
        config, type_vocab_size=2, is_decoder=False, tie_word_embeddings=True,
        position_embedding_type="absolute", add_cross_attention=False,
    )  # fmt: skip
    return {
        "objective": "masked",
        "model": {
            "layers": config["num_hidden_layers"],
            "width": config["hidden_size"],
            "heads": config["num_attention_heads"],
            "feed_forward": config["intermediate_size"],
            "norm": "post",
            "norm_eps": config.get("layer_norm_eps", 1e-12),
            "position": "learned",
            "activation": activation(config, "hidden_act"),
            "dropout": config.get("hidden_dropout_prob", 0.1),
        },
        "data": {"sequence": config["max_position_embeddings"], "packing": "pairs"},
    }


BERT = Family(
    architecture="BertForPreTraining",
    model_type="bert",
    objective="masked",
    names=_names,
    copies={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    config=_config,
    spec=_spec,
    base="bert.",
    others=("BertForMaskedLM", "BertModel"),
    heads=("pooler", "order", "transform", "transform_norm", "vocabulary_bias"),
)
