"""The loader as a torch IterableDataset, for the trainers of others.

rows = TokenRows(["run/tok"], sequence=1024, batch=64, rank=rank, world=world)
for batch in DataLoader(rows, batch_size=None, num_workers=2):
    logits = model(batch["input_ids"], position_ids=batch["position_ids"]).logits
    loss = cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from corpusforge.loader import TokenLoader


class TokenRows(IterableDataset[dict[str, Tensor]]):
    """Endless batches of one rank: {"input_ids", "labels", "position_ids"}, int64 [B, S].

    ``batch`` is that of all ``world`` ranks together; ``settings`` are those of `TokenLoader.open`.
    Labels are the next tokens, already shifted, -100 where there is none. Give a DataLoader
    ``batch_size=None``. Any number of its workers gives the same batches in the same order.
    """

    def __init__(
        self,
        folders: Sequence[str],
        *,
        sequence: int,
        batch: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        **settings: Any,
    ) -> None:
        self.open = partial(
            TokenLoader.open, folders, sequence=sequence, batch=batch, seed=seed, **settings
        )
        self.loader = self.open()
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Go on from the state; a worker of a DataLoader takes every n-th batch."""
        worker = get_worker_info()
        first, every = (worker.id, worker.num_workers) if worker else (0, 1)
        size, start = self.loader.global_batch, self.loader.position
        number = first
        while True:
            batch = self.loader.batch(start + number * size, self.rank, self.world)
            number += every
            self.loader.position = start + (number - first) * size  # of a worker: its own state
            yield {
                "input_ids": torch.from_numpy(batch.inputs),
                "labels": torch.from_numpy(batch.targets),
                "position_ids": torch.from_numpy(batch.positions).long(),
            }

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker that is spawned needs: it maps the files anew."""
        return {**vars(self), "loader": self.loader.state()}

    def __setstate__(self, values: dict[str, Any]) -> None:
        """Open the same rows in another process."""
        vars(self).update(values, loader=values["open"]())
        self.loader.load_state(values["loader"])

    def state_dict(self, batches: int = 0) -> dict[str, Any]:
        """Return the state after ``batches`` more batches than this process itself has iterated.

        Workers of a DataLoader read ahead; only who takes their batches knows how many were used.
        """
        state = self.loader.state()
        return {**state, "position": state["position"] + batches * self.loader.global_batch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken, with any number of ranks and workers."""
        self.loader.load_state(state)
