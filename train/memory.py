"""What a training run needs of each process's memory, before it starts.

Parameters, gradients and optimizer are counted from the shapes; activations by running the forward
pass on tensors that have shapes and no data, and adding up what it keeps for the backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_map

from corpusforge.spec import MIB, TrainSpec
from corpusforge.tokenizer import Tokenizer

from .losses import CHUNK
from .objectives import Objective, objective, tensors
from .parallel import Layout
from .parallel.exchange import LIMIT
from .parallel.layout import check
from .parallel.regions import Peers
from .parallel.tensor import cut
from .trainer import TOKENIZER, training_rows

FLOAT = 4  # bytes: parameters, gradients and optimizer state are float32
STATES = 2  # numbers of Adam's state a parameter


def estimate(folders: Sequence[str], spec: TrainSpec) -> dict[str, Any]:
    """Bytes that one process of ``spec.parallel`` holds at the peak of a step, by what it is.

    Returns processes, data, tensor, weights (numbers of the whole model) and in bytes parameters,
    gradients, optimizer, exchange (buffers between processes), activations, loss and total.
    Raises SpecError as the run itself would.
    """
    wanted = spec.parallel
    layout = Layout(max(wanted.data, 1), wanted.tensor)
    if layout.world > 1:
        check(spec)
    slices = layout.slices(spec)
    goal = objective(spec, Tokenizer.load(str(Path(folders[0], TOKENIZER))))
    loader = training_rows(folders, spec, None, goal.around)
    arrays = goal.prepare(loader.batch(0).part(slice(0, spec.run.batch // slices)))
    vocabulary = loader.tokens.tokenizer["vocab_size"]
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        model = goal.build(spec, vocabulary)
        weights = sum(p.numel() for p in model.parameters())
        if layout.tensor > 1:
            cut(model, Peers(0, layout.tensor, None))
        rows = tree_map(mode.from_tensor, dict(tensors(arrays, slice(None))))
        held = _held(model, spec, layout)
        activations, heads = _kept(goal, model, rows)
        if spec.run.recompute:  # the inputs of blocks stay, and what one of them keeps
            activations = _recomputed(goal, spec, vocabulary, layout, rows)
        loss = sum(_loss(*head) for head in heads.values())
    found = {**held, "activations": activations, "loss": loss}
    return {
        "processes": layout.world,
        "data": layout.data,
        "tensor": layout.tensor,
        "weights": weights,
        **found,
        "total": sum(found.values()),
    }


PARTS = {
    "parameters": "float32",
    "gradients": "float32",
    "optimizer": "its state",
    "exchange": "buffers between processes",
    "activations": "what the forward pass keeps of one slice of the batch",
    "loss": "chunks of logits, and their gradients",
}


def describe(found: Mapping[str, Any]) -> str:
    """Text of an estimate, one line a part."""
    processes, one = found["processes"], found["processes"] == 1
    grid = "" if one else f" ({found['data']} data x {found['tensor']} tensor)"
    lines = [
        f"{found['weights']:,} parameters in {processes} process{'' if one else 'es'}{grid}; "
        "each needs about"
    ]
    lines += [f"  {found[name] / MIB:>10,.1f} MiB  {name}: {what}" for name, what in PARTS.items()]
    lines += [f"  {found['total'] / MIB:>10,.1f} MiB  in all, beside Python and torch themselves"]
    return "\n".join(lines)


def _held(model: nn.Module, spec: TrainSpec, layout: Layout) -> dict[str, int]:
    """Bytes that do not depend on the rows."""
    shard, data = spec.parallel.shard if layout.data > 1 else "none", layout.data
    every = sum(p.numel() for p in model.parameters())
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if spec.optim.name == "adafactor":
        state = sum(_factored(p) for p in model.parameters() if p.requires_grad)
    else:
        state = STATES * learned
    part = -(-learned // data)
    found = {"parameters": every, "gradients": learned, "optimizer": state, "exchange": 0}
    bucket = max(min(learned, LIMIT), max(p.numel() for p in model.parameters()))
    if data > 1 and shard != "full":
        found["exchange"] = part + 2 * bucket  # this process's sums; a bucket as sent and received
    if shard in ("optimizer", "gradients"):
        found["optimizer"] = STATES * part
    if shard == "gradients":
        found["gradients"] = bucket  # of those on their way; the sums are counted
    if shard == "full":
        blocks = [m for n, m in model.named_modules() if n.rpartition(".")[0].endswith("blocks")]
        sizes = [sum(p.numel() for p in block.parameters()) for block in blocks]
        outside = every - sum(sizes)
        found = {
            "parameters": -(-every // data) + outside,
            "gradients": part,
            "optimizer": STATES * part,
            "exchange": 3 * max(sizes),  # a block as it runs, the next one, a block's gradients
        }
    return {name: FLOAT * count for name, count in found.items()}


def _factored(parameter: Tensor) -> int:
    """Numbers of Adafactor's state: a matrix has its rows' and columns' means."""
    return sum(parameter.shape) if parameter.dim() > 1 else parameter.numel()


def _kept(
    goal: Objective, model: nn.Module, rows: Mapping[str, Tensor]
) -> tuple[int, Mapping[str, Any]]:
    """Bytes that the forward pass keeps for the backward pass; each storage once."""
    own = {p.untyped_storage()._cdata for p in (*model.parameters(), *rows.values())}
    found: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        key = tensor.untyped_storage()._cdata
        if key not in own:
            found[key] = tensor  # which keeps the storage, and so the key
        return tensor

    model.train()
    bf16 = goal.spec.run.precision == "bf16"
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=bf16),
    ):
        heads = goal.heads(model, rows)
    return sum(tensor.untyped_storage().nbytes() for tensor in found.values()), heads


def _recomputed(
    goal: Objective, spec: TrainSpec, vocabulary: int, layout: Layout, rows: Mapping[str, Tensor]
) -> int:
    """Bytes kept where blocks run again: what a model of one block keeps, and all their inputs."""
    one = spec.model_copy(update={"model": spec.model.model_copy(update={"layers": 1})})
    model = goal.build(one, vocabulary)
    stacks = sum(name.endswith("blocks") for name, _ in model.named_modules())
    if layout.tensor > 1:
        cut(model, Peers(0, layout.tensor, None))
    kept, _ = _kept(goal, model, rows)
    size = 2 if spec.run.precision == "bf16" else FLOAT
    inputs = next(iter(rows.values())).shape[0] * spec.data.sequence * spec.model.width * size
    return kept + stacks * (spec.model.layers - 1) * inputs


def _loss(hidden: Tensor, weight: Tensor) -> int:
    """Bytes of the cross entropy: two chunks of logits, and the gradients that it keeps."""
    return 2 * CHUNK * len(weight) * FLOAT + (hidden.numel() + weight.numel()) * FLOAT
