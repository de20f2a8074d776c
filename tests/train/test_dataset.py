"""The IterableDataset face: one order for any number of workers and ranks, exact continuation."""

import json
import pickle
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from corpusforge.train.dataset import TokenRows


def rows(tokens, **changes):
    """Batches of 8 rows of 16 tokens."""
    return TokenRows([tokens], **{"sequence": 16, "batch": 8, "seed": 3, **changes})


def take(dataset, count, workers=0):
    """The first batches of a DataLoader over ``dataset``."""
    loader = DataLoader(dataset, batch_size=None, num_workers=workers)
    return list(islice(loader, count))


def same(one, other):
    """Tell whether two lists of batches are equal."""
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a[key], b[key]) for a, b in pairs for key in a)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_the_order(tokens, workers):
    """Batches come in one order from any number of worker processes, over an epoch's end."""
    assert same(take(rows(tokens), 12), take(rows(tokens), 12, workers))


def test_ranks_cut_the_global_batch(tokens):
    """Two ranks hold the halves of what one would read."""
    parts = [take(rows(tokens, rank=rank, world=2), 3) for rank in (0, 1)]
    joined = [{key: torch.cat([a[key], b[key]]) for key in a} for a, b in zip(*parts, strict=True)]
    assert same(joined, take(rows(tokens), 3))


@pytest.mark.parametrize("workers", [0, 2])
def test_goes_on_where_the_state_was_taken(tokens, workers):
    """A new dataset with the state reads on, whoever read ahead before."""
    dataset = rows(tokens)
    whole = take(dataset, 9, workers)
    state = dataset.state_dict(batches=9 if workers else 0)
    again = rows(tokens)
    again.load_state_dict(json.loads(json.dumps(state)))
    assert same(take(again, 4, 2 - workers), take(rows(tokens), 13)[9:])
    assert len(whole) == 9 and set(whole[0]) == {"input_ids", "labels", "position_ids"}


class Told(TokenRows):
    """Yields the position that each worker process would save."""

    def __iter__(self):
        for _ in super().__iter__():
            yield self.state_dict()["position"]


def test_each_worker_saves_its_own_place(tokens):
    """As loaders do that keep a state of each worker: with it, a worker's next batch is its own."""
    told = DataLoader(Told([tokens], sequence=16, batch=8), batch_size=None, num_workers=2)
    assert list(islice(told, 6)) == [16, 16, 32, 32, 48, 48]
    assert list(islice(Told([tokens], sequence=16, batch=8), 3)) == [8, 16, 24]


def test_workers_that_are_spawned(tokens):
    """What crosses to a new interpreter is where the rows are, not the rows."""
    dataset = rows(tokens)
    assert len(pickle.dumps(dataset)) < 4096
    loader = DataLoader(dataset, None, num_workers=1, multiprocessing_context="spawn")
    assert same(islice(loader, 2), take(rows(tokens), 2))


def test_the_documented_example_runs(tokens, tmp_path):
    """The code of docs/loader.md runs as it stands."""
    page = Path(__file__).parents[2] / "docs/loader.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/tok").symlink_to(tokens)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("torch.Size([8, 64])") == 9
