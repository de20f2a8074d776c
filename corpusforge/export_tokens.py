"""Token shards in the layouts of other trainers: Megatron, nanoGPT, Hugging Face datasets.

megatron     ids.bin and ids.idx, as Megatron-LM core/datasets/indexed_dataset.py (version 1): one
             sequence and one document each, uint16 or int32
nanogpt      train.bin and val.bin, ids one after the other without a header (nanoGPT
             data/*/prepare.py), uint16 or uint32; about one document in 200 is in val.bin
hf-dataset   a folder for datasets.load_from_disk: input_ids, id, source, language, source_id, url
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusforge import manifest
from corpusforge.errors import UsageError
from corpusforge.manifest import Manifest
from corpusforge.shard import AtomicFile, join, read_batches, write_bytes

HELD_OUT = 200  # of which one document goes to nanoGPT's val.bin


def export(root: str, kind: str, output: str) -> dict[str, Any]:
    """Write the token shards of a tokenize run into the folder ``output``, new or empty."""
    run = manifest.read(root, "tokenize")
    if Path(output).exists() and (not Path(output).is_dir() or any(Path(output).iterdir())):
        raise UsageError(f"{output} is not an empty folder", remedy="name an empty or a new folder")
    rows = KINDS[kind](root, run, output)
    return {"rows": rows, "output": output}


def _batches(root: str, run: Manifest) -> Iterator[pa.RecordBatch]:
    for shard in run.in_folder("tokens"):
        yield from read_batches(root, shard.name)


def _ids(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Ids of a batch one after the other, and where each document begins."""
    column = batch.column("ids")
    bounds = column.offsets.to_numpy()
    return column.values.to_numpy()[bounds[0] : bounds[-1]], bounds - bounds[0]


def _megatron(root: str, run: Manifest, output: str) -> int:
    data = AtomicFile(join(output, "ids.bin"))
    lengths = [np.zeros(0, dtype=np.int64)]
    wide = run.facts["tokenizer"]["vocab_size"] > 1 << 16
    for batch in _batches(root, run):
        ids, bounds = _ids(batch)
        data.write(np.ascontiguousarray(ids.astype("<i4") if wide else ids.astype("<u2")))
        lengths.append(np.diff(bounds))
    data.commit()
    sizes = np.concatenate(lengths)
    pointers = np.concatenate(([0], np.cumsum(sizes)[:-1])) if len(sizes) else sizes
    index = AtomicFile(join(output, "ids.idx"))
    code = 4 if wide else 8
    index.write(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, len(sizes), len(sizes) + 1))
    index.write(sizes.astype("<i4").tobytes())
    index.write((pointers * (4 if wide else 2)).astype("<i8").tobytes())
    index.write(np.arange(len(sizes) + 1, dtype="<i8").tobytes())
    index.commit()
    return len(sizes)


def _nanogpt(root: str, run: Manifest, output: str) -> int:
    files = [AtomicFile(join(output, name)) for name in ("train.bin", "val.bin")]
    rows = 0
    for batch in _batches(root, run):
        ids, bounds = _ids(batch)
        keys = np.frombuffer(b"".join(batch.column("id").to_pylist()), "<u8")[::2]
        held = keys % np.uint64(HELD_OUT) == 0
        inside = np.repeat(held, np.diff(bounds))
        for file, some in zip(files, (ids[~inside], ids[inside]), strict=True):
            file.write(np.ascontiguousarray(some))
        rows += batch.num_rows
    for file in files:
        file.commit()
    return rows


def _hf_dataset(root: str, run: Manifest, output: str) -> int:
    names = ("id", "source", "language", "source_id", "url")
    kind = "int32" if run.facts["tokenizer"]["vocab_size"] <= 1 << 31 else "int64"
    schema = pa.schema(
        [pa.field("input_ids", pa.list_(pa.type_for_alias(kind)))]
        + [pa.field(name, pa.string()) for name in names]
    )
    rows, files = 0, []
    shards = run.in_folder("tokens")
    for number, shard in enumerate(shards):
        name = f"data-{number:05d}-of-{len(shards):05d}.arrow"
        file = AtomicFile(join(output, name))
        with pa.ipc.new_stream(pa.PythonFile(file, mode="w"), schema) as writer:
            for batch in read_batches(root, shard.name):
                for start in range(0, batch.num_rows, 1000):
                    writer.write_batch(_plain(batch.slice(start, 1000), schema))
                rows += batch.num_rows
        file.commit()
        files.append({"filename": name})
    features: dict[str, Any] = {
        "input_ids": {"feature": {"dtype": kind, "_type": "Value"}, "_type": "List"}
    }
    features |= {name: {"dtype": "string", "_type": "Value"} for name in names}
    state: dict[str, Any] = {
        "_data_files": files,
        "_fingerprint": run.content[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    for name, values in (("dataset_info.json", {"features": features}), ("state.json", state)):
        write_bytes(join(output, name), (json.dumps(values, indent=2) + "\n").encode())
    return rows


def _plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [batch.column("ids").cast(schema.field("input_ids").type)]
    columns.append(pa.array([value.hex() for value in batch.column("id").to_pylist()]))
    columns += [batch.column(name).cast(pa.string()) for name in schema.names[2:]]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


KINDS: dict[str, Callable[[str, Manifest, str], int]] = {
    "megatron": _megatron,
    "nanogpt": _nanogpt,
    "hf-dataset": _hf_dataset,
}
