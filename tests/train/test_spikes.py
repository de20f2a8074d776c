"""Spikes: robust scores, a window that a checkpoint carries, the step's documents by loss."""

import json

import numpy as np
import pytest
from tiny import small

from corpusforge.train import spikes
from corpusforge.train.trainer import Trainer


def test_robust_z_is_the_formula():
    """Median 3, median absolute deviation 1."""
    assert spikes.robust_z(10.0, [1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(7 / 1.4826)


def test_only_what_stands_out_and_only_upwards():
    """Noise and falls are no spikes; a rise after enough steps is, also from a saved window."""
    draw = np.random.default_rng(0)
    history = spikes.History()
    for value in draw.normal(4.0, 0.1, 40):
        assert history.add(float(value), 1.0) == {}
    again = spikes.History(json.loads(json.dumps(list(history.steps))))
    assert history.add(1.0, 1.0) == again.add(1.0, 1.0) == {}
    found = history.add(9.0, 1.0)
    assert found["loss_z"] > spikes.LIMIT
    assert again.add(9.0, 1.0) == found


def test_a_spike_is_written_with_its_documents(tokens, tmp_path):
    """The batch's documents, the highest loss a target first."""
    trainer = Trainer([tokens], tmp_path, small(), lambda record: None)
    for _ in range(20):
        trainer.history.add(1.0, 1.0)
    record, pieces = trainer._advance()
    trainer._watch(record, pieces)
    trainer.close()
    (line,) = map(json.loads, (tmp_path / spikes.NAME).read_text().splitlines())
    assert line["step"] == 1
    found = [row["loss"] for row in line["documents"]]
    assert found == sorted(found, reverse=True)
    batch, read = trainer.loader.batch(0), pieces()
    names = set(trainer.loader.documents(batch.rows, batch.epochs)["url"].to_pylist())
    assert {row["url"] for row in line["documents"]} <= names
    assert max(found) <= (read.nats / read.targets.clip(1)).max() + 1e-9
