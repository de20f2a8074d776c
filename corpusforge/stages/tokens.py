"""The stages of ``forge tokenize``: count -> (train, in the parent) -> encode.

count   texts -> packed counts by range of the word's hash -> counts/RANGE.parquet
encode  texts -> tokens/UNIT.arrow, one record batch, memory-mapped by the loader
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from corpusforge import readers
from corpusforge.kernels import counts, digest
from corpusforge.plan import Unit
from corpusforge.run import beat, exit_with_parent
from corpusforge.schema import tokens_schema
from corpusforge.shard import Shard, ShardWriter, commit, committed, join, read_batches, read_table
from corpusforge.spec import TokenizeSpec
from corpusforge.tokenizer import Tokenizer, count
from corpusforge.transform import alive
from corpusforge.transforms.encode import Encode

LANGUAGE = pa.field("language", pa.string())
NEEDED = ("id", "source", "source_id", "url", "text")
MERGE_EVERY = 32  # count tables merged at a time: bounds a worker's memory


@dataclass(frozen=True)
class Texts:
    """One unit of text: a corpus shard of a clean run, or a unit of plain corpus files."""

    name: str
    bytes: int
    fingerprint: str
    root: str | None = None
    shard: str | None = None
    unit: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON form."""
        return asdict(self)

    def batches(self, spec: TokenizeSpec) -> Iterator[pa.RecordBatch]:
        """Yield batches with id, source, source_id, url, text and language."""
        if self.root is not None and self.shard is not None:
            yield from read_batches(self.root, self.shard, [*NEEDED, "language"])
            return
        for piece in Unit.from_json(self.unit or {}).pieces:
            for batch in readers.read(piece, spec.read, spec.plan.batch_bytes):
                batch = batch.filter(pa.array(alive(batch))).select(list(NEEDED))
                batch = batch.filter(batch.column("text").is_valid())
                yield batch.append_column(LANGUAGE, pa.nulls(batch.num_rows, pa.string()))


def count_map(root: str, texts: Texts, spec: TokenizeSpec, key: str) -> Iterator[tuple[int, bytes]]:
    """Yield (range, blob) of the pre-token counts of one unit."""
    exit_with_parent()
    parts: list[pa.Table] = []
    documents = dropped = 0
    for batch in texts.batches(spec):
        counted = count(batch.column("text"), spec)
        parts.append(counted.table)
        dropped += counted.dropped
        documents += batch.num_rows
        beat(root, "count", texts.name, documents, 0)
        if len(parts) >= MERGE_EVERY:
            parts = [counts.add(parts)]
    beat(root, "count", texts.name, documents, texts.bytes)
    commit(root, "counted", texts.name, key, [], dropped=dropped)
    if parts:
        yield from counts.pack(counts.add(parts), spec.ranges)


def count_reduce(root: str, number: int, blobs: Iterable[bytes], key: str) -> str:
    """Write the counts of one range, sorted by word."""
    exit_with_parent()
    name = f"range-{number:05d}"
    if not committed(root, "count", name, key):
        writer = ShardWriter(root, f"counts/{name}.parquet", counts.COUNTS)
        for batch in counts.merge(blobs).combine_chunks().to_batches():
            writer.write(batch)
        commit(root, "count", name, key, [writer.close()])
    return name


def gather(root: str, ranges: int, key: str) -> tuple[pa.Table, Shard]:
    """Merge the ranges into counts.parquet, sorted by word."""
    names = [f"range-{number:05d}" for number in range(ranges)]
    found = [name for name in names if committed(root, "count", name, key)]
    tables = [read_table(root, f"counts/{name}.parquet", counts.COUNTS) for name in found]
    table = counts.add(tables or [counts.COUNTS.empty_table()])
    writer = ShardWriter(root, "counts.parquet", counts.COUNTS)
    for batch in table.combine_chunks().to_batches():
        writer.write(batch)
    return table, writer.close()


def encode(root: str, texts: Texts, spec: TokenizeSpec, key: str) -> dict[str, Any]:
    """Encode the texts of one unit with the tokenizer of the run into one token shard."""
    exit_with_parent()
    if done := committed(root, "encode", texts.name, key):
        return done
    tokenizer = Tokenizer.load(join(root, "tokenizer"))
    schema = tokens_schema(tokenizer.width)
    step = Encode(tokenizer)
    parts, documents = [], 0
    for batch in texts.batches(spec):
        parts.append(step(batch).drop_columns(["text"]))
        documents += batch.num_rows
        beat(root, "encode", texts.name, documents, 0)
    beat(root, "encode", texts.name, documents, texts.bytes)
    table = pa.Table.from_batches(parts) if parts else None
    writer = ShardWriter(root, f"tokens/{texts.name}.arrow", schema, compress=False)
    content = tokens = size = 0
    if table is not None and table.num_rows:
        columns = [_one(table, field) for field in schema]
        batch = pa.RecordBatch.from_arrays(columns, schema=schema)
        writer.write(batch)
        content = digest.content("tokens", batch.columns)
        tokens = len(batch.column("ids").values)
        size = sum(batch.column("bytes").to_numpy().tolist())
    commit(
        root,
        "encode",
        texts.name,
        key,
        [writer.close()],
        content=digest.to_hex(content),
        documents=documents,
        tokens=tokens,
        bytes=size,
    )
    return committed(root, "encode", texts.name, key) or {}


def _one(table: pa.Table, field: pa.Field) -> pa.Array:
    """One contiguous array of a column, dictionary-encoded where the schema says so."""
    column = table.column(field.name).combine_chunks()
    if pa.types.is_dictionary(field.type):
        return column.dictionary_encode()
    return column
