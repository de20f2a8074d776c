"""Shuffled batches of 16 x 1024 tokens from mapped shards, as torch tensors; tokens.

forge packs whole documents by best fit and gives positions and segments too; the peer is what most
trainers write: a memory map cut into windows behind torch's DataLoader.
"""

INPUT = "tokens"
MEGABYTES = 20.0
CONTESTANTS = {"forge": None, "memmap": None}
ROWS, SEQUENCE, STEPS = 16, 1024, 400


def forge(path):
    """The loader as the trainer opens it."""
    import torch

    from corpusforge.loader import TokenLoader

    loader = TokenLoader.open([str(path)], sequence=SEQUENCE, batch=ROWS, seed=0)

    def work():
        for _ in range(STEPS):
            batch = next(loader)
            torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
        return {"tokens": STEPS * ROWS * SEQUENCE}

    return work


def memmap(path):
    """A map-style data set; no worker processes, so that only CPU seconds differ."""
    import numpy as np
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Windows(Dataset):
        def __init__(self):
            self.ids = np.memmap(path / "ids.bin", dtype=np.uint16, mode="r")

        def __len__(self):
            return (len(self.ids) - 1) // SEQUENCE

        def __getitem__(self, row):
            window = self.ids[row * SEQUENCE : (row + 1) * SEQUENCE + 1].astype(np.int64)
            return torch.from_numpy(window[:-1]), torch.from_numpy(window[1:])

    loader = DataLoader(Windows(), batch_size=ROWS, shuffle=True, drop_last=True)

    def endless():
        while True:
            yield from loader

    def work():
        batches = endless()
        for _ in range(STEPS):
            next(batches)
        return {"tokens": STEPS * ROWS * SEQUENCE}

    return work
