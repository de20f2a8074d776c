"""The model that is fine-tuned, of ours or of transformers, and its states under a head."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from corpusforge.errors import InputError
from corpusforge.spec import TrainSpec
from corpusforge.tokenizer import Tokenizer

from .. import checkpoint
from ..encoder import Encoder
from ..export.read import read
from ..restore import restore

CONFIG = "tokenizer_config.json"


@dataclass(frozen=True)
class Base:
    """A model before fine-tuning."""

    model: nn.Module
    spec: TrainSpec
    tokenizer: Tokenizer
    template: str | None  # the tokenizer's chat template, as Jinja
    content: str  # digest of its weights


def load(folder: str) -> Base:
    """Read a model folder; raises InputError or RunError for what is none."""
    root = Path(folder)
    if (root / "config.json").is_file() and not (root / checkpoint.FOLDER).is_dir():
        model, spec, tokenizer = read(folder)
        names = sorted(path for path in root.iterdir() if path.suffix == ".safetensors")
        digests = []
        for path in names:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        content = hashlib.sha256("".join(digests).encode()).hexdigest()
        return Base(model, spec, tokenizer, template(root), content)
    found = checkpoint.existing(root)
    seals = json.loads((found.path / "manifest.json").read_text(encoding="utf-8"))
    model, spec, _ = restore(root)
    places = root / "tokenizer"
    content: str = seals["model.safetensors"]["sha256"]
    return Base(model, spec, Tokenizer.load(str(places)), template(places), content)


def template(folder: Path) -> str | None:
    """The chat template that a tokenizer's folder holds."""
    alone = folder / "chat_template.jinja"
    try:
        if alone.is_file():
            return alone.read_text(encoding="utf-8")
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"cannot be read: {error}", file=str(folder / CONFIG)) from None
    found = config.get("chat_template") if isinstance(config, dict) else None
    if isinstance(found, list):  # several by name
        found = next((one.get("template") for one in found if one.get("name") == "default"), None)
    return found if isinstance(found, str) else None


class Tuned(nn.Module):
    """A backbone and, for tasks that choose, a linear head of ``outputs`` classes over its states.

    The head starts as N(0, 0.02) by ``seed``; none where ``outputs`` is 0.
    """

    def __init__(self, backbone: nn.Module, outputs: int, seed: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head: nn.Linear | None = None
        if outputs:
            width: int = backbone.spec.width  # type: ignore[union-attr,assignment]
            self.head = nn.Linear(width, outputs)
            draw = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                self.head.weight.normal_(0.0, 0.02, generator=draw)
                self.head.bias.zero_()

    def states(self, batch: dict[str, Tensor]) -> Tensor:
        """Hidden states [B, S, D] of ``tokens`` int64 [B, S], padded on the right."""
        if isinstance(self.backbone, Encoder):
            out: Tensor = self.backbone(batch["tokens"], batch["types"], batch["mask"])
        else:  # what stands before the padding does not see it
            out = self.backbone(batch["tokens"], causal=True)
        return out

    def row(self, states: Tensor, batch: dict[str, Tensor], mean: bool) -> Tensor:
        """One vector a row [B, D]: the encoder's pooled one, or the last token's; or the mean."""
        if mean:
            kept = batch["mask"][..., None].to(states.dtype)
            return (states * kept).sum(1) / kept.sum(1)
        if isinstance(self.backbone, Encoder):
            return self.backbone.pooled(states)
        last = batch["mask"].sum(1) - 1
        return states[torch.arange(len(last), device=last.device), last]

    def scores(self, vectors: Tensor) -> Tensor:
        """Vectors [..., D] -> scores [..., outputs] in float32."""
        assert self.head is not None
        out: Tensor = self.head(vectors).float()
        return out


def freeze(model: nn.Module, blocks: int) -> None:
    """Keep the embeddings and the lower ``blocks`` of each stack from being trained."""
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        if "blocks" in parts:
            at = int(parts[parts.index("blocks") + 1])
            parameter.requires_grad_(at >= blocks)
        elif {"tokens", "positions", "types", "start_norm"} & set(parts):
            parameter.requires_grad_(False)


def plain(tensors: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Those whose names begin with ``prefix``, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
