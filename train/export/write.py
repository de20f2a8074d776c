"""A trained model as a folder of Hugging Face transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from corpusforge.errors import SpecError, UsageError
from corpusforge.spec import TrainSpec
from corpusforge.tokenizer import Tokenizer

from ..restore import restore
from . import FAMILIES, Family


def write(root: str, output: str) -> dict[str, Any]:
    """Write the newest checkpoint of a model folder to ``output``; ``rows`` are files written.

    Raises UsageError where ``output`` is not empty, and SpecError where no family has a place for
    all parts of the model.
    """
    model, spec, _ = restore(Path(root))
    folder = Path(output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{output} is not empty", remedy="name an empty or a new folder")
    tokenizer = Tokenizer.load(f"{root}/tokenizer")
    family, found = _family(spec, model.vocabulary, tokenizer)
    config = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "torch_dtype": "float32",
        **found,
    }
    ours = model.state_dict()
    tensors = {
        theirs: torch.cat([name.there(ours[name.ours]) for name in names], -1).contiguous()
        for theirs, names in family.tensors(spec.model).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
    files = sorted(Path(root, "tokenizer").iterdir())
    for file in files:
        shutil.copyfile(file, folder / file.name)
    return {"rows": len(files) + 2, "architecture": family.architecture, "output": output}


def _family(
    spec: TrainSpec, vocabulary: int, tokenizer: Tokenizer
) -> tuple[Family, dict[str, Any]]:
    """The first family that has a place for every part of a model, and its configuration."""
    refusals = []
    for family in FAMILIES:
        if family.objective == spec.objective:
            try:
                return family, family.config(spec, vocabulary, tokenizer)
            except SpecError as error:
                refusals.append(str(error))
    raise SpecError("; or ".join(refusals) or f"no class takes objective = '{spec.objective}'")
