"""Small token folders for tests, their loaders, and what is compared of them."""

import hashlib

import numpy as np
import pyarrow as pa

from corpusforge.loader import TokenLoader
from corpusforge.manifest import Manifest
from corpusforge.schema import tokens_schema
from corpusforge.shard import ShardWriter

SEQUENCE, BATCH = 32, 24
EOT = 0


def write(
    root,
    name,
    lengths,
    *,
    width=16,
    shards=3,
    digest="t",
    first=1,
    label=None,
    source=None,
    language=None,
):
    """A token folder: document d has ``lengths[d]`` ids, all different but the end-of-text id."""
    folder, schema, done, number = root / name, tokens_schema(width), [], 0
    source, language = source or (lambda _: label or name), language or (lambda _: "en")
    kind = np.uint16 if width == 16 else np.uint32
    for part, sizes in enumerate(np.array_split(np.asarray(lengths, dtype=np.int64), shards)):
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        ids = (first + np.arange(offsets[-1])).astype(kind)
        first += int(offsets[-1])
        ids[offsets[1:] - 1] = EOT
        names = [f"{label or name}/{number + i}" for i in range(len(sizes))]
        low, number = number, number + len(sizes)
        rows = pa.RecordBatch.from_arrays(
            [
                pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids)),
                pa.array([hashlib.md5(one.encode()).digest() for one in names], pa.binary(16)),
                pa.array(list(map(source, range(low, number)))).dictionary_encode(),
                pa.array(list(map(language, range(low, number))), pa.string()).dictionary_encode(),
                pa.array((3 * sizes).astype(np.int32)),
                pa.array(names),
                pa.array([f"https://example.org/{one}" for one in names]),
            ],
            schema=schema,
        )
        writer = ShardWriter(str(folder), f"tokens/part-{part:05d}.arrow", schema, compress=False)
        writer.write(rows)
        done.append(writer.close())
    Manifest(
        kind="tokenize",
        content=hashlib.sha256(f"{name} {list(lengths)}".encode()).hexdigest(),
        counts={"documents": len(lengths), "tokens": int(sum(lengths))},
        spec={},
        spec_digest="",
        shards=tuple(done),
        facts={"tokenizer": {"vocab_size": 50_000, "eot": EOT, "digest": digest}},
    ).write(str(folder))
    return str(folder)


def load(*folders, **changes):
    """Open ``folders`` with small settings."""
    settings = {"sequence": SEQUENCE, "batch": BATCH, "seed": 5, "packing": "bestfit", **changes}
    return TokenLoader.open(list(folders), **settings)


def same(one, other):
    """Tell whether two batches are equal in every array."""
    return all(np.array_equal(getattr(one, name), value) for name, value in vars(other).items())


def every_piece(loader):
    """The pieces of all rows of the plan in epoch 0."""
    return loader.documents(np.arange(loader.rows), np.zeros(loader.rows, dtype=np.int64))


def take(loader, steps):
    """The next batches of a loader."""
    return [next(loader) for _ in range(steps)]
