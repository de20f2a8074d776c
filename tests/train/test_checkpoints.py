"""Checkpoints exist whole or not at all; metrics hold each step once."""

import json

import pytest
import torch

from corpusforge.errors import RunError
from corpusforge.train import checkpoint
from corpusforge.train.metrics import Metrics, bits_per_byte, perplexity, read


def write(root, step, keep=9):
    values = {"w": torch.full((3, 4), float(step)), "n": torch.tensor([step])}
    return checkpoint.save(root, step, values, {"w/m": values["w"].t()}, {"step": step}, keep=keep)


def test_what_was_saved_is_loaded(tmp_path):
    """Tensors and state come back; the folder is named by its step and says its files."""
    write(tmp_path, 100)
    found, problems = checkpoint.newest(tmp_path)
    assert (found.step, found.path.name, problems) == (100, "step-000100", [])
    assert torch.equal(found.model()["w"], torch.full((3, 4), 100.0))
    assert torch.equal(found.optimizer()["w/m"], torch.full((4, 3), 100.0))
    assert found.state() == {"step": 100}
    assert set(json.loads((found.path / "manifest.json").read_text())) == set(checkpoint.FILES)


def test_equal_runs_write_equal_bytes(tmp_path):
    """Nothing in a checkpoint depends on the time or the folder."""
    one, two = write(tmp_path / "a", 5).path, write(tmp_path / "b", 5).path
    for name in (*checkpoint.FILES, "manifest.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize("name", [*checkpoint.FILES, "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, name, damage):
    """One byte off in any file: the one before is taken, and the damage is told."""
    write(tmp_path, 1)
    file = write(tmp_path, 2).path / name
    data = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(data[:-1] if name != "manifest.json" else data[:-3])
    elif damage == "flip":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    else:
        file.unlink()
    found, problems = checkpoint.newest(tmp_path)
    assert found.step == 1
    assert len(problems) == 1
    assert "step-000002" in problems[0]
    write(tmp_path, 2)
    assert checkpoint.newest(tmp_path)[0].step == 2


def test_only_the_newest_are_kept(tmp_path):
    """``keep`` checkpoints stay."""
    for step in (1, 2, 3, 1_000_000):
        write(tmp_path, step, keep=2)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-000003", "step-1000000"]


def test_half_written_ones_do_not_count(tmp_path):
    """A folder without its final name is not seen, and swept."""
    done = write(tmp_path, 1)
    done.path.rename(done.path.with_name("step-000001.tmp"))
    assert checkpoint.newest(tmp_path) == (None, [])
    with pytest.raises(RunError, match="no checkpoint that can be used"):
        checkpoint.existing(tmp_path)
    checkpoint.sweep(tmp_path)
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("tail", ['{"step": 5, "lo', '{"step": 5}', "\0\0\n", ""])
def test_metrics_after_a_kill(tmp_path, tail):
    """Lines after the resumed step, and a torn one, are gone; so no step stands twice."""
    first = Metrics(tmp_path, 0)
    for step in (1, 2, 3, 4):
        first.append({"step": step, "loss": 1 / step})
    first.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(tail)
    second = Metrics(tmp_path, 2)
    second.append({"step": 3, "loss": 7.0})
    second.close()
    assert [(line["step"], line["loss"]) for line in read(tmp_path)] == [(1, 1), (2, 0.5), (3, 7)]


def test_uniform_guessing():
    """Guessing one of 256 bytes uniformly has perplexity 256 and 8 bits per byte."""
    nats = 1000 * torch.tensor(256.0).log().item()
    assert perplexity(nats, 1000) == pytest.approx(256, rel=1e-5)
    assert bits_per_byte(nats, 1000.0) == pytest.approx(8, rel=1e-5)
