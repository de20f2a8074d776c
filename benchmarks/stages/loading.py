"""Shuffled batches of 16 x 1024 tokens from 40 M tokens on disk, as torch tensors; tokens.

forge packs whole documents by best fit and gives positions and segments too; the peers read windows
of 1025 tokens from their own formats, written before: a memory map behind torch's DataLoader (what
most trainers write), grain, litdata's TokensLoader, Hugging Face datasets (streamed, a shuffle
buffer of 1,000) and MosaicML streaming. None starts worker processes.
"""

INPUT = "tokens"
MEGABYTES = 80.0
CONTESTANTS = {
    "forge": None,
    "chop": None,
    "memmap": None,
    "grain": "grain",
    "litdata": "litdata",
    "datasets": "datasets",
    "streaming": "streaming",
}
ROWS, SEQUENCE = 16, 1024


def forge(path):
    """The loader as the trainer opens it."""
    return _forge(path, "bestfit")


def chop(path):
    """The same with documents cut where rows end, as the peers cut them."""
    return _forge(path, "chop")


def _forge(path, packing):
    import torch

    from corpusforge.loader import TokenLoader

    loader = TokenLoader.open([str(path)], sequence=SEQUENCE, batch=ROWS, seed=0, packing=packing)

    def work():
        steps = _epoch(path)
        for _ in range(steps):
            batch = next(loader)
            torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
        return {"tokens": steps * ROWS * SEQUENCE}

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

    return _steps(path, DataLoader(Windows(), batch_size=ROWS, shuffle=True, drop_last=True), None)


def grain(path):
    """A source of windows, shuffled by formula, read in the calling thread."""
    import grain as gr
    import numpy as np
    import torch

    class Windows(gr.sources.RandomAccessDataSource):
        def __init__(self):
            self.ids = np.memmap(path / "ids.bin", dtype=np.uint16, mode="r")

        def __len__(self):
            return (len(self.ids) - 1) // SEQUENCE

        def __getitem__(self, row):
            return self.ids[row * SEQUENCE : (row + 1) * SEQUENCE + 1].astype(np.int64)

    batches = gr.MapDataset.source(Windows()).shuffle(seed=0).repeat().batch(ROWS)
    options = gr.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return _steps(path, batches.to_iter_dataset(options), torch.from_numpy)


def litdata(path):
    """Blocks of tokens from its optimized chunks."""
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader, optimize

    folder = path / "litdata"
    if not folder.exists():
        optimize(
            fn=_Tokens(),
            inputs=[str(path / "ids.bin")],
            output_dir=str(folder),
            num_workers=1,
            start_method="fork",  # this file is no module that a fresh process could import
            chunk_size=(SEQUENCE + 1) * 4096,
            item_loader=TokensLoader(),
        )
    loader = TokensLoader(block_size=SEQUENCE + 1)
    rows = StreamingDataset(str(folder), item_loader=loader, shuffle=True)
    return _steps(path, StreamingDataLoader(rows, batch_size=ROWS, drop_last=True), None)


class _Tokens:
    """Yield the ids of a file as tensors."""

    def __call__(self, name):
        import numpy as np
        import torch

        ids = np.fromfile(name, dtype=np.uint16)
        for part in np.array_split(ids, max(1, len(ids) // 100_000)):
            yield torch.from_numpy(part.astype(np.int32))


def datasets(path):
    """Parquet rows of windows, streamed."""
    import os

    os.environ["HF_HUB_OFFLINE"] = "1"
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import load_dataset

    file = path / "windows.parquet"
    if not file.exists():
        pq.write_table(pa.table({"ids": _windows(path).tolist()}), file)
    rows = load_dataset("parquet", data_files=str(file), split="train", streaming=True)
    rows = rows.shuffle(seed=0, buffer_size=1000).with_format("numpy").batch(ROWS)
    import torch

    return _steps(
        path, rows, lambda batch: torch.from_numpy(np.stack(batch["ids"]).astype(np.int64))
    )


def streaming(path):
    """Its MDS shards behind torch's DataLoader."""
    import torch

    # It imports torchvision, whose build for GPUs does not load its operators without one.
    vision = torch.library.Library("torchvision", "DEF")
    pools = ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d")
    for name in ("nms", "qnms", *pools, *(f"_{pool}_backward" for pool in pools)):
        vision.define(f"{name}(Tensor x) -> Tensor")
    from streaming import MDSWriter, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory
    from torch.utils.data import DataLoader

    folder = path / "mds"
    if not folder.exists():
        columns = {"ids": f"ndarray:uint16:{SEQUENCE + 1}"}
        with MDSWriter(out=str(folder), columns=columns) as out:
            for row in _windows(path):
                out.write({"ids": row})
    clean_stale_shared_memory()
    rows = StreamingDataset(local=str(folder), shuffle=True, batch_size=ROWS)
    return _steps(path, DataLoader(rows, batch_size=ROWS), lambda batch: batch["ids"].long())


def _windows(path):
    """Windows of 1025 tokens, uint16 [n, 1025]."""
    import numpy as np

    ids = np.fromfile(path / "ids.bin", dtype=np.uint16)
    count = (len(ids) - 1) // SEQUENCE
    return np.lib.stride_tricks.sliding_window_view(ids, SEQUENCE + 1)[::SEQUENCE][:count]


def _epoch(path):
    """Batches that the tokens at ``path`` fill."""
    return max(1, (path / "ids.bin").stat().st_size // 2 // SEQUENCE // ROWS - 1)


def _steps(path, batches, tensor):
    """Read an epoch of batches; ``tensor`` turns one into a tensor."""

    def work():
        steps = _epoch(path)
        for _, batch in zip(range(steps), batches, strict=False):
            if tensor is not None:
                tensor(batch)
        return {"tokens": steps * ROWS * SEQUENCE}

    return work
