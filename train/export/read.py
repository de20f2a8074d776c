"""A folder of Hugging Face transformers as a model of ours. Reads safetensors, never pickles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from corpusforge import spec as specs
from corpusforge.errors import InputError, UsageError
from corpusforge.spec import TrainSpec
from corpusforge.tokenizer import Tokenizer

from .. import checkpoint
from ..objectives import check
from . import FAMILIES, Family

# what old folders hold beside the weights
IGNORED = ("position_ids", ".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")
OLD = {".gamma": ".weight", ".beta": ".bias"}  # of LayerNorm, in folders made from TensorFlow


def read(folder: str) -> tuple[nn.Module, TrainSpec, Tokenizer]:
    """Return the model of a folder (evaluation mode), its spec and its tokenizer.

    Raises InputError where a file is missing or damaged, where the model has parts that we have
    not, and where tensors are missing, left over or of another shape.
    """
    config, family, whole = _config(Path(folder))
    try:
        spec = specs.parse(TrainSpec, family.spec(config), f"{folder}/config.json")
        vocabulary = int(config["vocab_size"])
    except KeyError as error:
        raise InputError(f"{error} is missing", file=f"{folder}/config.json") from None
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"not numbers: {error}", file=f"{folder}/config.json") from None
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size > vocabulary:
        raise InputError(
            f"the tokenizer has {tokenizer.vocab_size} tokens",
            file=folder,
            expected=f"at most {vocabulary}, the vocab_size of its config.json",
        )
    model = check(spec).build(spec, vocabulary)
    tensors = _tensors(Path(folder))
    if not any(name.startswith(family.base) for name in tensors):
        tensors = {family.base + name: tensor for name, tensor in tensors.items()}
    ours: dict[str, Tensor] = {}
    for theirs, names in family.tensors(spec.model).items():
        tensor = tensors.pop(theirs, None)
        if tensor is None and not whole and names[0].ours.split(".")[0] in family.heads:
            ours[names[0].ours] = model.state_dict()[names[0].ours]
            continue
        if tensor is None:
            raise InputError(f"tensor {theirs} is missing", file=folder)
        try:
            pieces = tensor.tensor_split(len(names), -1) if len(names) > 1 else [tensor]
            for name, piece in zip(names, pieces, strict=True):
                ours[name.ours] = name.back(piece).float()
        except (RuntimeError, IndexError):  # of too few dimensions
            raise InputError(f"tensor {theirs} is {list(tensor.shape)}", file=folder) from None
    left = [name for name in tensors if name not in family.copies and not name.endswith(IGNORED)]
    if left:
        raise InputError(
            f"tensor {left[0]} has no place in the model", file=folder, expected=family.architecture
        )
    for name, mine in model.state_dict().items():
        if ours[name].shape != mine.shape:
            raise InputError(
                f"tensor of {name} is {list(ours[name].shape)}",
                file=folder,
                expected=f"{list(mine.shape)} by its config.json",
            )
    model.load_state_dict(ours)
    model.eval()
    return model, spec, tokenizer


def adopt(folder: str, output: str) -> dict[str, Any]:
    """Make a model folder of ours, at step 0, of a folder of transformers."""
    if Path(output).is_dir() and any(Path(output).iterdir()):
        raise UsageError(f"{output} is not empty", remedy="name an empty or a new folder")
    model, spec, tokenizer = read(folder)
    tokenizer.save(f"{output}/tokenizer")
    known = {"vocab_size": tokenizer.vocab_size, "eot": tokenizer.eot, "digest": tokenizer.digest}
    values = spec.model_dump(mode="json", exclude={"inputs", "weights", "epochs"})
    state = {"version": 1, "step": 0, "tokens": 0, "tokenizer": known, "spec": values}
    made = checkpoint.save(Path(output), 0, model.state_dict(), {}, state, keep=1)
    return {"checkpoint": f"{checkpoint.FOLDER}/{made.path.name}", "objective": spec.objective}


def _config(folder: Path) -> tuple[dict[str, Any], Family, bool]:
    """Return config.json, its family, and whether it is of the family's own class."""
    file = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        kinds = [config.get("model_type"), *(config.get("architectures") or [])]
    except OSError:
        raise InputError(
            "no config.json", file=str(folder), expected="a folder of transformers"
        ) from None
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"not a config.json: {error}", file=str(file)) from None
    for family in FAMILIES:
        if family.model_type != kinds[0]:
            continue
        if family.architecture in kinds[1:]:
            return config, family, True
        if set(family.others) & set(kinds[1:]):
            return config, family, False
    raise InputError(
        f"a {' '.join(str(kind) for kind in reversed(kinds))}",
        file=str(file),
        expected=" or ".join(family.architecture for family in FAMILIES),
    )


def _tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of model.safetensors, or of the shards that its index names."""
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.exists():
        try:
            names = sorted(
                set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not an index: {error}", file=str(index)) from None
    found: dict[str, Tensor] = {}
    for name in names:
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise InputError(
                f"no {name}",
                file=str(folder),
                expected="weights in safetensors; pickled ones are never read",
                remedy="save the model again with transformers' save_pretrained",
            )
        try:
            found |= load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(f"not safetensors: {error}", file=str(path)) from None
    for old, new in OLD.items():
        found = {
            name.removesuffix(old) + new if name.endswith(old) else name: tensor
            for name, tensor in found.items()
        }
    return found
