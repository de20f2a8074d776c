"""Immutable files: hashed while they are written, given their name at once, then committed.

A file counts only when a commit record names it with its length and sha256. How a file gets its
name on a disk and in a store is said in ``storage``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from corpusforge import storage
from corpusforge.storage import AtomicFile as AtomicFile
from corpusforge.storage import file_system, is_local
from corpusforge.storage import write_bytes as write_bytes

Format = Literal["arrow", "parquet", "jsonl"]
SUFFIX = {"arrow": ".arrow", "parquet": ".parquet", "jsonl": ".jsonl"}


@dataclass(frozen=True)
class Shard:
    """One finished file under a run folder."""

    name: str  # relative to the run folder
    rows: int
    bytes: int
    sha256: str


def join(root: str, name: str) -> str:
    """Path of ``name`` under ``root``; works for local and remote roots."""
    return posixpath.join(root, name)


def exists(root: str, name: str) -> bool:
    """Tell whether there is a file ``name`` under ``root``."""
    fs, path = file_system(join(root, name))
    with storage.errors_of(root):
        return bool(fs.exists(path))


class ShardWriter:
    """Write record batches of one schema to ``root/name`` in the format its suffix names."""

    def __init__(self, root: str, name: str, schema: pa.Schema, *, compress: bool = True) -> None:
        self.name, self.schema, self.rows = name, schema, 0
        self.file = AtomicFile(join(root, name))
        sink = pa.PythonFile(self.file, mode="w")
        self.writer: Any = None
        if name.endswith(".parquet"):
            self.writer = pq.ParquetWriter(sink, schema, compression="zstd" if compress else "none")
        elif name.endswith(".arrow"):
            options = ipc.IpcWriteOptions(compression="zstd" if compress else None)
            self.writer = ipc.new_file(sink, schema, options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the columns of the schema, in its order."""
        if batch.num_rows == 0:
            return
        batch = batch.select(self.schema.names).cast(self.schema)
        if self.writer is None:
            for line in json_lines(batch):
                self.file.write(line)
        else:
            self.writer.write_batch(batch)
        self.rows += batch.num_rows

    def close(self) -> Shard:
        """Finish and commit the file."""
        if self.writer is not None:
            self.writer.close()
        self.file.commit()
        return Shard(self.name, self.rows, self.file.bytes, self.file.sha256.hexdigest())

    def __enter__(self) -> Self:
        """Return the writer; leaving the block with an error removes what was written."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if error is not None:
            self.discard()

    def discard(self) -> None:
        """Remove the unfinished file."""
        if self.writer is not None:
            with contextlib.suppress(OSError):  # the disk may be full
                self.writer.close()
        self.file.discard()


def json_lines(batch: pa.RecordBatch) -> Iterator[bytes]:
    """Yield a JSON line a row; binary ids as hexadecimal."""
    short = {field.name for field in batch.schema if field.type == pa.float32()}
    for row in batch.to_pylist():
        plain = {k: v.hex() if isinstance(v, bytes) else v for k, v in row.items()}
        plain |= {k: round(v, 6) for k, v in plain.items() if k in short and isinstance(v, float)}
        yield json.dumps(plain, ensure_ascii=False).encode() + b"\n"


def read_batches(
    root: str, name: str, columns: Sequence[str] | None = None, first: int = 0
) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a shard; Arrow files on a local disk are memory-mapped.

    Of an Arrow file the batches before ``first`` are not read.
    """
    with storage.errors_of(join(root, name)):
        yield from _batches(root, name, columns, first)


def _batches(
    root: str, name: str, columns: Sequence[str] | None, first: int
) -> Iterator[pa.RecordBatch]:
    path = join(root, name)
    fs, plain = file_system(path)
    if name.endswith(".jsonl"):
        yield from _read_json(fs, plain, columns)
        return
    source = pa.memory_map(plain) if is_local(fs) else pa.PythonFile(fs.open(plain, "rb"), mode="r")
    with source:
        if name.endswith(".parquet"):
            table = pq.ParquetFile(source)
            yield from table.iter_batches(columns=list(columns) if columns else None)
            return
        reader = ipc.open_file(source)
        if columns:  # the others are not even decompressed
            fields = [reader.schema.get_field_index(name) for name in columns]
            if -1 not in fields:
                options = ipc.IpcReadOptions(included_fields=fields)
                reader = ipc.open_file(source, options=options)
        for index in range(first, reader.num_record_batches):
            batch = reader.get_batch(index)
            yield batch.select(list(columns)) if columns else batch


def read_row(
    root: str, name: str, row: int, columns: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return one row of a shard; of a Parquet file only its row group is read."""
    wanted = list(columns) if columns else None
    if name.endswith(".parquet"):
        with storage.open_read(join(root, name)) as file:
            table = pq.ParquetFile(file)
            for group in range(table.num_row_groups):
                size = table.metadata.row_group(group).num_rows
                if row < size:
                    found = table.read_row_group(group, wanted, use_threads=False)
                    return dict(found.slice(row, 1).to_pylist()[0])
                row -= size
    else:
        for batch in read_batches(root, name, columns):
            if row < batch.num_rows:
                return dict(batch.slice(row, 1).to_pylist()[0])
            row -= batch.num_rows
    raise IndexError(f"{name} has no such row")


def _read_json(fs: Any, path: str, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    from corpusforge.schema import CORPUS

    with fs.open(path, "rb") as file:
        rows = [json.loads(line) for line in file]
    ids = [bytes.fromhex(row["id"]) for row in rows]
    table = pa.RecordBatch.from_pylist(
        [{**row, "id": id_} for row, id_ in zip(rows, ids, strict=True)], schema=CORPUS
    )
    for name in rows[0].keys() - set(CORPUS.names) if rows else ():
        values = pa.array([row[name] for row in rows])  # own Python's columns
        if pa.types.is_null(values.type):
            values = values.cast(pa.string())
        table = table.append_column(name, values)
    if rows:
        yield table.select(list(columns)) if columns else table


def read_table(root: str, name: str, schema: pa.Schema) -> pa.Table:
    """Read the columns of ``schema`` of a whole shard."""
    batches = list(read_batches(root, name, schema.names))
    return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)


def write_json(path: str, values: Any) -> None:
    """Write ``values`` as readable JSON, atomically."""
    storage.write_bytes(path, json.dumps(values, indent=1).encode() + b"\n")


def read_json(path: str) -> Any | None:
    """Return the JSON of ``path``, None where there is no such file or it is not whole."""
    try:
        return json.loads(storage.read_bytes(path))
    except (FileNotFoundError, ValueError):
        return None


def read_lines(path: str) -> list[str]:
    """Return the lines of a text file, none where there is no such file."""
    try:
        return storage.read_bytes(path).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def file_sha256(root: str, name: str) -> tuple[int, str]:
    """Return (bytes, sha256) of a file as it lies on disk."""
    sha256, size = hashlib.sha256(), 0
    try:
        with storage.open_read(join(root, name)) as file:
            while block := file.read(1 << 20):
                sha256.update(block)
                size += len(block)
    except FileNotFoundError:
        return -1, ""
    return size, sha256.hexdigest()


# -- commits -----------------------------------------------------------------------------------


def _commit_path(root: str, stage: str, unit: str) -> str:
    return join(root, f"commits/{stage}/{unit}.commit.json")


def commit(
    root: str, stage: str, unit: str, key: str, shards: Sequence[Shard], **facts: Any
) -> None:
    """Record that ``unit`` of ``stage`` is done: its files, its counts, and what they depend on."""
    values = {"key": key, "shards": [asdict(shard) for shard in shards], **facts}
    write_json(_commit_path(root, stage, unit), values)


def committed(root: str, stage: str, unit: str, key: str) -> dict[str, Any] | None:
    """Return the commit of ``unit`` if its ``key`` matches and every file has its length."""
    values = read_json(_commit_path(root, stage, unit))
    if not isinstance(values, dict) or values.get("key") != key:
        return None
    shards = [(shard["name"], shard["bytes"]) for shard in values["shards"]]
    return None if lacking(root, shards) else values


def lacking(root: str, files: Sequence[tuple[str, int]]) -> list[str]:
    """Return those of ``files`` (name, bytes) that are missing or have another length."""
    fs, base = file_system(root)
    found = []
    for name, size in files:
        try:
            with storage.errors_of(root):
                if fs.info(join(base, name))["size"] != size:
                    found.append(name)
        except FileNotFoundError:
            found.append(name)
    return found


def shards_of(record: dict[str, Any], folder: str) -> list[Shard]:
    """Return the files of a commit record that lie in ``folder``."""
    return [Shard(**s) for s in record["shards"] if s["name"].startswith(folder + "/")]
