"""The stages of ``forge tokenize``: count -> (train, in the parent) -> encode.

count   texts -> packed counts by range of the word's hash -> counts/RANGE.parquet
encode  texts -> tokens/UNIT.arrow, tokens/UNIT_001.arrow, ...: one record batch each, mapped by
        the loader
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import ledger, readers, token_tally
from corpusforge.errors import RunError
from corpusforge.kernels import counts, digest
from corpusforge.plan import Unit
from corpusforge.run import beat
from corpusforge.schema import tokens_schema
from corpusforge.shard import Shard, ShardWriter, commit, committed, join, read_batches, read_table
from corpusforge.spec import TokenizeSpec
from corpusforge.stages import key_of
from corpusforge.tokenizer import Tokenizer
from corpusforge.transform import alive, decide, put
from corpusforge.transforms.encode import Encode
from corpusforge.weights import given, weighted_counts, whole

NEEDED = ("id", "source", "offset", "source_id", "url", "text")
VERDICT = ("outcome", "reasons", "detail")
MERGE_EVERY = 16  # count tables merged at a time: bounds a worker's memory
FLUSH_BYTES = 64 << 20  # of merged counts that a worker holds before they go to the shuffle
CHECKED_BYTES = 1 << 18  # of the text on which an engine is compared with the library
SHARD_TOKENS = 16_000_000  # of a token shard, which is written from memory


@dataclass(frozen=True)
class Texts:
    """One unit of text: a corpus shard of a clean run, or a unit of plain corpus files."""

    name: str
    bytes: int
    fingerprint: str
    root: str | None = None
    shard: str | None = None
    rows: int | None = None  # of the corpus shard, as its manifest says
    unit: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON form."""
        return asdict(self)

    def batches(self, spec: TokenizeSpec) -> Iterator[pa.RecordBatch]:
        """Yield every record read: NEEDED, language and ``outcome``; what is kept has a text.

        Records of plain files also carry the ``reasons`` and ``detail`` of what is not kept.
        """
        if self.root is not None and self.shard is not None:
            for batch in read_batches(self.root, self.shard, [*NEEDED, "language"]):
                batch = batch.append_column("outcome", pa.repeat("kept", batch.num_rows))
                yield from _cut(batch, spec.plan.batch_bytes)
            return
        for piece in Unit.from_json(self.unit or {}).pieces:
            for batch in readers.read(piece, spec.read, spec.plan.batch_bytes):
                languages = _languages(batch.column("meta"))
                batch = _without_pages(batch).select([*NEEDED, *VERDICT])
                yield put(batch, "language", languages)


def _languages(meta: pa.Array) -> pa.Array:
    """What plain corpus files say of the language: their field ``language`` or ``lang``."""
    found = []
    for text in meta.to_pylist():
        fields = json.loads(text) if text and '"lang' in text else {}
        name = fields.get("language", fields.get("lang"))
        found.append(name if isinstance(name, str) else None)
    return pa.array(found, pa.string())


def _cut(batch: pa.RecordBatch, limit: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch, which is as large as its writer chose, into about ``limit`` bytes of text."""
    parts = batch.column("text").nbytes // limit + 1
    rows = batch.num_rows // parts + 1
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _without_pages(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Drop the records that only have a page: to extract its text is what a clean run is for."""
    why = pa.repeat("a page without text; forge clean extracts it", batch.num_rows)
    pages = pc.is_null(batch.column("text")).to_numpy(zero_copy_only=False)
    return decide(batch, pages, outcome="dropped", stage="read", detail=why)


def _first_lost(batch: pa.RecordBatch) -> str | None:
    """Name the first record of a batch that is not kept, and why."""
    for row in batch.filter(pa.array(~alive(batch))).slice(0, 1).to_pylist():
        why = row["detail"] or row["reasons"][0]["rule"]
        return f"{row['source']} offset {row['offset']}: {why}"
    return None


def count_map(root: str, texts: Texts, spec: TokenizeSpec, key: str) -> Iterator[tuple[int, bytes]]:
    """Yield (range, blob) of the pre-token counts of one unit."""
    parts: list[pa.Table] = []
    documents = dropped = 0
    for batch in texts.batches(spec):
        for counted in weighted_counts(batch.filter(pa.array(alive(batch))), spec):
            parts.append(counted.table)
            dropped += counted.dropped
        documents += batch.num_rows
        beat(root, "count", texts.name, documents, 0)
        if len(parts) >= MERGE_EVERY:
            parts = [counts.add(parts)]
            if parts[0].nbytes > FLUSH_BYTES:
                yield from counts.pack(parts.pop(), spec.ranges)
    beat(root, "count", texts.name, documents, texts.bytes)
    commit(root, "counted", texts.name, key, [], dropped=dropped)
    if parts:
        yield from counts.pack(counts.add(parts), spec.ranges)


def count_reduce(root: str, number: int, blobs: Iterable[bytes], key: str) -> str:
    """Write the counts of one range, sorted by word."""
    name = f"range-{number:05d}"
    if not committed(root, "count", name, key):
        table = counts.merge(filter(None, blobs))
        with ShardWriter(root, f"counts/{name}.parquet", counts.COUNTS) as writer:
            for batch in table.combine_chunks().to_batches():
                writer.write(batch)
            commit(root, "count", name, key, [writer.close()])
    return name


def gather(root: str, spec: TokenizeSpec, key: str) -> tuple[pa.Table, Shard]:
    """Merge the ranges into counts.parquet, sorted by word."""
    names = [f"range-{number:05d}" for number in range(spec.ranges)]
    if lost := [name for name in names if not committed(root, "count", name, key)]:
        raise RunError(
            f"ranges of counts without output: {', '.join(lost[:5])}",
            file=root,
            remedy="run again to go on",
        )
    table = counts.add(
        [read_table(root, f"counts/{name}.parquet", counts.COUNTS) for name in names]
    )
    table = whole(table) if given(spec) else table
    with ShardWriter(root, "counts.parquet", counts.COUNTS) as writer:
        for batch in table.combine_chunks().to_batches():
            writer.write(batch)
        return table, writer.close()


class TokenWriter:
    """Write encoded rows to the token shards of a unit, each one record batch, cut by tokens."""

    def __init__(self, root: str, unit: str, schema: pa.Schema) -> None:
        self.root, self.unit, self.schema = root, unit, schema
        self.shards: list[Shard] = []
        self.tokens = 0
        self._held: list[pa.RecordBatch] = []
        self._waiting = 0

    def write(self, rows: pa.RecordBatch) -> None:
        """Append rows that have the columns of the schema."""
        length = len(rows.column("ids").values)
        if self._waiting + length > SHARD_TOKENS:
            self.flush()
        if rows.num_rows:
            self._held.append(rows)
        self._waiting += length
        self.tokens += length

    def flush(self) -> None:
        """Write what is held as one shard."""
        if not self._held:
            return
        table = pa.Table.from_batches(self._held)
        self._held, self._waiting = [], 0
        columns = [_one(table, field) for field in self.schema]
        suffix = f"_{len(self.shards):03d}" if self.shards else ""
        name = f"tokens/{self.unit}{suffix}.arrow"
        with ShardWriter(self.root, name, self.schema, compress=False) as writer:
            writer.write(pa.RecordBatch.from_arrays(columns, schema=self.schema))
            self.shards.append(writer.close())


def encode_key(key: str, texts: Texts) -> str:
    """What the token shards of a unit depend on: the tokenizer and the text."""
    return key_of("encode", key, texts.fingerprint)


def encode(root: str, texts: Texts, spec: TokenizeSpec, key: str) -> dict[str, Any]:
    """Encode the texts of one unit with the tokenizer of the run into its token shards."""
    if done := committed(root, "encode", texts.name, key):
        return done
    tokenizer = Tokenizer.load(join(root, "tokenizer"))
    tokenizer.use(spec.engine)
    step = Encode(tokenizer)
    writer = TokenWriter(root, texts.name, tokens_schema(tokenizer.width))
    total = {"in": 0, "kept": 0, "dropped": 0, "failed": 0}
    content = size = 0
    lost: str | None = None
    sums = token_tally.EMPTY
    for batch in texts.batches(spec):
        total = ledger.add([total, ledger.count(batch)])
        lost = lost or _first_lost(batch)
        encoded = step(batch.filter(pa.array(alive(batch))))
        sums = token_tally.total([sums, token_tally.tally(encoded, tokenizer)])
        rows = encoded.select(writer.schema.names)
        writer.write(rows)
        content = digest.combine([content, digest.content("tokens", rows.columns)])
        size += pc.sum(rows.column("bytes")).as_py() or 0
        beat(root, "encode", texts.name, total["in"], 0)
    writer.flush()
    beat(root, "encode", texts.name, total["in"], texts.bytes)
    facts = {"counts": total, "first_lost": lost, "tokens": writer.tokens, "bytes": size}
    facts |= sums
    commit(root, "encode", texts.name, key, writer.shards, content=digest.to_hex(content), **facts)
    return committed(root, "encode", texts.name, key) or {}


def _one(table: pa.Table, field: pa.Field) -> pa.Array:
    """One contiguous array of a column, dictionary-encoded where the schema says so."""
    column = table.column(field.name).combine_chunks()
    if pa.types.is_dictionary(field.type):
        return column.dictionary_encode()
    return column


def check_engine(texts: Texts, spec: TokenizeSpec, tokenizer: Tokenizer) -> None:
    """Compare the engine with the tokenizers library on the first texts of a unit.

    Raises RunError where they differ.
    """
    for batch in texts.batches(spec):
        text = batch.filter(pa.array(alive(batch))).column("text")
        sizes = pc.binary_length(text).to_numpy(zero_copy_only=False)
        rows = int((np.cumsum(sizes) <= CHECKED_BYTES).sum())
        tokenizer.check(text.slice(0, max(rows, 1)))
        return
