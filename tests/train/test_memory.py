"""The estimate of `forge train --plan` against what a run really holds."""

import json
import subprocess
import sys

import pytest
import torch
from tiny import of, small

from corpusforge import api
from corpusforge import spec as specs
from corpusforge.errors import SpecError
from corpusforge.train.memory import estimate
from corpusforge.train.objectives import tensors
from corpusforge.train.trainer import Trainer


def parallel(spec, **values):
    return spec.model_copy(update={"parallel": specs.ParallelSpec(**values)})


@pytest.mark.parametrize("objective", ["causal", "masked", "permutation", "spans"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_counted_is_there(tokens, folders, tmp_path, objective, precision):
    """Parameters, gradients and state of one step, and what autograd really saves in it."""
    spec = of(objective) if objective in folders else small()
    run = spec.run.model_copy(update={"precision": precision, "accumulate": 2})
    spec = spec.model_copy(update={"run": run})
    folder = folders.get(objective, tokens)
    found = estimate([folder], spec)
    trainer = Trainer([folder], tmp_path, spec, lambda record: None)
    saved, own = {}, {p.untyped_storage().data_ptr() for p in trainer.model.parameters()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage  # kept, so that its place is not used again
        return tensor

    trainer.model.train()
    goal, batch = trainer.objective, trainer.loader.batch(0).part(slice(0, 4))
    rows = tensors(goal.prepare(batch), slice(None))
    own |= {tensor.untyped_storage().data_ptr() for tensor in rows.values()}
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        kept = goal.heads(trainer.model, rows)
    real = sum(storage.nbytes() for storage in saved.values())
    assert found["activations"] == pytest.approx(real, rel=0.01)  # some kernels round rows up
    del kept
    trainer._advance()
    trainer.close()
    size = sum(p.nbytes for p in trainer.model.parameters())
    assert found["parameters"] == found["gradients"] == size == 4 * found["weights"]
    state = [s for state in trainer.optimizer.state.values() for s in state.values() if s.dim()]
    assert found["optimizer"] == sum(value.nbytes for value in state)


def test_processes_hold_less(tokens):
    """By what is shared out: nothing of data, half of it by two, matrices by tensor."""
    spec = small(model__width=64, run__accumulate=4)
    alone = estimate([tokens], spec)
    data, optimizer, gradients, full = (
        estimate([tokens], parallel(spec, data=4, shard=shard))
        for shard in ("none", "optimizer", "gradients", "full")
    )
    assert data["parameters"] == optimizer["parameters"] == alone["parameters"]
    assert alone["activations"] == data["activations"] == full["activations"]
    assert 4 * optimizer["optimizer"] == alone["optimizer"] == data["optimizer"]
    assert gradients["gradients"] <= optimizer["gradients"]
    assert full["optimizer"] == optimizer["optimizer"]
    assert full["gradients"] * 4 == alone["gradients"]
    tensor = estimate([tokens], parallel(spec, tensor=2))
    copies = 4 * 64 * (2 * 4 + 2 + 2 * 2)  # norms of blocks, last norm, biases after a sum
    assert tensor["parameters"] == (alone["parameters"] + copies) // 2
    assert tensor["activations"] < 0.75 * alone["activations"]
    assert (full["processes"], tensor["processes"]) == (4, 2)


def test_the_run_s_own_errors(tokens):
    """What a layout cannot do is said before the start."""
    for values, words in (
        ({"data": 3}, "cannot be shared by 3"),
        ({"tensor": 3}, "does not divide model.heads"),
    ):
        with pytest.raises(SpecError, match=words):
            estimate([tokens], parallel(small(), **values))


def test_the_command_says_it(tokens, tmp_path):
    """As values and as text; nothing is written."""
    values, text = api.plan_train([tokens], small())
    assert values["total"] == sum(
        values[name]
        for name in ("parameters", "gradients", "optimizer", "exchange", "activations", "loss")
    )
    assert "activations" in text and "in 1 process;" in text
    before = sorted(tmp_path.iterdir())
    command = [sys.executable, "-m", "corpusforge", "train", tokens, "--plan", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["processes"] == 1
    assert sorted(tmp_path.iterdir()) == before
