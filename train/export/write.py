"""A trained model as a folder of Hugging Face transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from corpusforge.errors import UsageError
from corpusforge.tokenizer import Tokenizer

from ..restore import restore
from . import FAMILIES


def write(root: str, output: str) -> dict[str, Any]:
    """Write the newest checkpoint of a model folder to ``output``; ``rows`` are files written.

    Raises UsageError where ``output`` is not empty or no family takes the model's objective, and
    SpecError where the model has parts that the family has not.
    """
    model, spec, _ = restore(Path(root))
    family = next((one for one in FAMILIES if one.objective == spec.objective), None)
    if family is None:
        raise UsageError(
            f"models of objective = '{spec.objective}' cannot be exported",
            file=root,
            expected=" or ".join(one.objective for one in FAMILIES),
        )
    folder = Path(output)
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{output} is not empty", remedy="name an empty or a new folder")
    tokenizer = Tokenizer.load(f"{root}/tokenizer")
    config = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "torch_dtype": "float32",
        **family.config(spec, model.vocabulary, tokenizer),
    }
    ours = model.state_dict()
    theirs = {name.theirs: name.there(ours[name.ours]) for name in family.names(spec.model)}
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in theirs.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
    files = sorted(Path(root, "tokenizer").iterdir())
    for file in files:
        shutil.copyfile(file, folder / file.name)
    return {"rows": len(files) + 2, "architecture": family.architecture, "output": output}
