"""Token folders: their shards mapped as one run of documents, numbered from 0.

Nothing is copied and nothing a document is kept in memory: lengths, ids and provenance are read
where they lie when they are asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.errors import InputError, SpecError, UsageError, nearest
from corpusforge.kernels.packing import Shards
from corpusforge.manifest import Manifest, read
from corpusforge.schema import check, tokens_schema
from corpusforge.shard import Shard, file_sha256, join, read_json, write_json

_SOURCES = 16  # sources that are told apart where losses are given by source
_AGAIN = "run `forge tokenize` again"
_PROVENANCE = pa.schema(
    [
        pa.field("id", pa.binary(16)),
        pa.field("source", pa.string()),
        pa.field("source_id", pa.string()),
        pa.field("url", pa.string()),
    ]
)


@dataclass(frozen=True)
class Tokens:
    """The documents of one or several token folders of one tokenizer."""

    folders: tuple[str, ...]  # by their data's digest, so in any order given the same
    bounds: tuple[int, ...]  # folder f holds documents [bounds[f], bounds[f + 1])
    data: str  # digest of the data: the folder's own, or the sha256 (hex) of all
    tokenizer: Mapping[str, Any]  # vocab_size, eot, digest
    batches: tuple[pa.RecordBatch, ...]  # mapped
    shards: Shards  # what the kernels see of `batches`

    @classmethod
    def open(cls, folders: Sequence[str]) -> Self:
        """Map the shards of ``folders``.

        Raises RunError where a folder holds no finished tokenize run, InputError where a shard is
        not as its manifest says, or the folders differ in tokenizer or hold the same data.
        """
        if not folders:
            raise UsageError("no token folder is given", remedy="run `forge tokenize` first")
        found = sorted(
            ((read(one, "tokenize"), one) for one in folders), key=lambda f: f[0].content
        )
        for manifest, folder in found:
            if "tokenizer" not in manifest.facts:
                raise InputError("the manifest names no tokenizer", file=folder, remedy=_AGAIN)
        _agree(found)
        contents = [manifest.content for manifest, _ in found]
        joined = hashlib.sha256("\n".join(contents).encode()).hexdigest()
        batches, bounds = [], [0]
        for manifest, folder in found:
            for shard in manifest.in_folder("tokens"):
                batches += _map(folder, shard)
            bounds.append(sum(one.num_rows for one in batches))
        if not batches:
            raise InputError(
                "holds no document", file=found[0][1], remedy="tokenize more documents"
            )
        if len({one.schema.field("ids").type for one in batches}) > 1:
            raise InputError("shards of 16 and 32 bit ids", file=found[0][1], remedy=_AGAIN)
        return cls(
            folders=tuple(folder for _, folder in found),
            bounds=tuple(bounds),
            data=contents[0] if len(found) == 1 else joined,
            tokenizer=found[0][0].facts["tokenizer"],
            batches=tuple(batches),
            shards=_shards(batches),
        )

    def lengths(self, heldout: float, split: str) -> np.ndarray:
        """Tokens of each document, int64 [documents]; 0 for documents of the other split.

        A document is held out where a hash of its id lies under ``heldout`` of 2^64: the same
        documents whatever the tokenizer, the packing or the other documents.
        """
        parts = []
        for one in self.batches:
            out = held_out(one.column("id"), heldout)
            size = np.diff(one.column("ids").offsets.to_numpy())
            parts.append(np.where(out == (split == "heldout"), size, 0))
        return np.concatenate(parts)

    def streams(self, by: str, names: Sequence[str]) -> np.ndarray:
        """Index in ``names`` of each document's stream, int32 [documents].

        ``by`` is "folder", "source" or "language". A source is called by its path or by its label;
        the name "*" takes all that no other name does. Raises SpecError for a document without a
        stream and for a name without documents.
        """
        if by == "folder":
            at = [names.index(folder) for folder in self.folders]
            return np.repeat(np.array(at, dtype=np.int32), np.diff(self.bounds))
        place = {name: index for index, name in enumerate(names)}
        other, parts, seen = place.get("*", -1), [], set()
        for one in self.batches:
            values = [value or "" for value in one.column(by).dictionary.to_pylist()]
            seen.update(values)
            labels = [value.partition("/")[0] if by == "source" else value for value in values]
            table = [
                place.get(value, place.get(label, other))
                for value, label in zip(values, labels, strict=True)
            ]
            table.append(place.get("", other))  # of a null
            index = one.column(by).indices.fill_null(len(values)).to_numpy()
            parts.append(np.array(table, dtype=np.int32)[index])
        found = np.concatenate(parts)
        known = sorted(seen)
        if (found < 0).any():
            left = [f"'{value}'" for value in known if value not in place]
            raise SpecError(
                f"weights leaves out the {by} {', '.join(left[:5])}",
                remedy='give each a weight, or all others one by "*"',
            )
        for index, name in enumerate(names):
            if name != "*" and not (found == index).any():
                remedy = nearest(name, known) if any(known) else f"no document has a {by}"
                raise SpecError(f"weights names '{name}', no {by}", remedy=remedy)
        return found

    def verify(self, memory: str | None = None) -> None:
        """Check the shards: checksums, ids inside the vocabulary, no document without tokens.

        With ``memory``, a file, shards that it names with their present size and time of change
        were checked before and are not read again. Raises InputError naming the first bad shard.
        """
        known: dict[str, list[int]] = (read_json(memory) if memory else None) or {}
        seen = {}
        for folder in self.folders:
            for shard in read(folder, "tokenize").in_folder("tokens"):
                status = Path(join(folder, shard.name)).stat()
                key, value = (
                    f"{Path(folder).resolve()} {shard.sha256}",
                    [status.st_size, status.st_mtime_ns],
                )
                seen[key] = value
                if known.get(key) != value and file_sha256(folder, shard.name)[1] != shard.sha256:
                    raise InputError(
                        "the checksum is not that of the manifest",
                        file=join(folder, shard.name),
                        remedy=_AGAIN,
                    )
        if known == seen:
            return
        size = self.tokenizer["vocab_size"]
        for one in self.batches:
            ids, where = one.column("ids"), one.column("source")[0].as_py()
            if (np.diff(ids.offsets.to_numpy()) <= 0).any():
                raise InputError("a document without tokens", file=where, remedy=_AGAIN)
            if (largest := int(ids.values.to_numpy().max())) >= size:
                raise InputError(
                    f"token id {largest}",
                    file=where,
                    expected=f"below {size}, the vocabulary of the tokenizer",
                    remedy=_AGAIN,
                )
        if memory:
            with contextlib.suppress(OSError):  # of a folder that is read-only
                write_json(memory, seen)

    def numbers(self, document: bytes) -> np.ndarray:
        """Numbers int64 [n] of the documents with this id (16 bytes)."""
        ids = pa.chunked_array([one.column("id") for one in self.batches])
        return np.flatnonzero(pc.equal(ids, pa.scalar(document, pa.binary(16))).to_numpy())

    def codes(self, by: str, numbers: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Source or language (``by``) of the documents ``numbers`` int64 [n]: codes and names.

        Code c int64 [n] is ``names[c]``; an unknown language is "". Where there are more than 16
        sources their labels stand for them.
        """
        tables = [one.column(by).dictionary.to_pylist() for one in self.batches]
        distinct = sorted({value or "" for table in tables for value in table} | {""})
        if by == "source" and len(distinct) > _SOURCES:
            distinct = sorted({value.partition("/")[0] for value in distinct})
        place = {name: code for code, name in enumerate(distinct)}
        found = np.empty(len(numbers), dtype=np.int64)
        part = np.searchsorted(self.shards.first, numbers, side="right") - 1
        for index in np.unique(part).tolist():
            here = part == index
            column = self.batches[index].column(by)
            values = [value or "" for value in tables[index]]
            codes = [place.get(value, place.get(value.partition("/")[0], 0)) for value in values]
            at = column.indices.take(pa.array(numbers[here] - self.shards.first[index]))
            table = np.array([*codes, place.get("", 0)], dtype=np.int64)
            found[here] = table[at.fill_null(len(codes)).to_numpy()]
        return found, distinct

    def sizes(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and UTF-8 bytes of text of the documents ``numbers``, int64 [n] each."""
        part = np.searchsorted(self.shards.first, numbers, side="right") - 1
        local = numbers - self.shards.first[part]
        at = self.shards.offsets_at[part] + local
        tokens = self.shards.offsets[at + 1] - self.shards.offsets[at]
        return tokens, self.shards.bytes[self.shards.bytes_at[part] + local].astype(np.int64)

    def find(self, key: str) -> dict[str, Any]:
        """Return id, source, source_id, url of the document with this id (hex), source id or URL.

        Of several of one URL, the first. Raises InputError where there is none.
        """
        named = {key, f"<{key}>"}  # record ids of WARC files stand in brackets
        for one in self.batches:
            match = pc.or_kleene(
                pc.is_in(one.column("url"), value_set=pa.array(named)),
                pc.is_in(one.column("source_id"), value_set=pa.array(named)),
            )
            if len(key) == 32 and set(key) <= set("0123456789abcdef"):
                same = pc.equal(one.column("id"), pa.scalar(bytes.fromhex(key), pa.binary(16)))
                match = pc.or_kleene(match, same)
            at = np.flatnonzero(pc.fill_null(match, False).to_numpy(zero_copy_only=False))
            if len(at):
                row = pa.table(one.select(_PROVENANCE.names).slice(at[0], 1)).cast(_PROVENANCE)
                return dict(row.to_pylist()[0])
        raise InputError(
            f"no token shard holds '{key}'",
            file=self.folders[0],
            remedy="ask `forge explain` of the clean run whether it was kept",
        )

    def documents(self, numbers: np.ndarray) -> pa.Table:
        """Columns id, source, source_id, url of the documents ``numbers``, in the order given."""
        part = np.searchsorted(self.shards.first, numbers, side="right") - 1
        order = np.argsort(part, kind="stable")
        tables = [_PROVENANCE.empty_table()]
        for index in np.unique(part).tolist():
            local = numbers[order][part[order] == index] - self.shards.first[index]
            taken = self.batches[index].select(_PROVENANCE.names).take(pa.array(local))
            tables.append(pa.table(taken).cast(_PROVENANCE))
        return pa.concat_tables(tables).take(pa.array(np.argsort(order)))


def _agree(found: Sequence[tuple[Manifest, str]]) -> None:
    """Raise InputError unless the folders, by digest, hold different data of one tokenizer."""
    for (before, one), (after, other) in pairwise(found):
        mine, theirs = before.facts["tokenizer"], after.facts["tokenizer"]
        for key in ("vocab_size", "eot", "digest"):
            if mine.get(key) != theirs.get(key):
                raise InputError(
                    f"tokenizer {key} {theirs.get(key)}",
                    file=other,
                    expected=f"{mine.get(key)} as in {one}",
                    remedy="tokenize both with one tokenizer",
                )
        if before.content == after.content:
            raise InputError(f"holds the same data as {one}", file=other, remedy="give it once")


def _map(folder: str, shard: Shard) -> list[pa.RecordBatch]:
    """Map one shard; its record batches that hold documents."""
    path = Path(join(folder, shard.name))
    try:
        size = path.stat().st_size
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
            wide = "ids" in reader.schema.names and "uint32" in str(reader.schema.field("ids").type)
        for one in batches:
            check(one, tokens_schema(32 if wide else 16))
            one.validate()
            for name in ("ids", "source", "language"):
                one.column(name).validate(full=True)  # offsets and codes: what kernels trust
            ids, size_of = one.column("ids"), one.column("bytes")
            if ids.null_count or ids.values.null_count or size_of.null_count:
                raise TypeError("column 'ids' or 'bytes' holds nulls")
    except (OSError, TypeError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"not a token shard: {error}", file=str(path), remedy=_AGAIN) from None
    rows = sum(one.num_rows for one in batches)
    if (rows, size) != (shard.rows, shard.bytes):
        raise InputError(
            f"{rows} documents in {size} bytes",
            file=str(path),
            expected=f"{shard.rows} documents in {shard.bytes} bytes",
            remedy=_AGAIN,
        )
    return [one for one in batches if one.num_rows]


def held_out(ids: pa.Array, share: float) -> np.ndarray:
    """Which documents of these ids (binary(16) [n]) are held out at ``share``: bool [n]."""
    out: np.ndarray = _hash(ids) < np.uint64(int(share * 2.0**64))
    return out


def _hash(ids: pa.Array) -> np.ndarray:
    """64 bits of each id, uint64 [documents], by the finalizer of MurmurHash3 (Appleby)."""
    raw = np.frombuffer(ids.buffers()[1], dtype="<u8").reshape(-1, 2)[ids.offset :][: len(ids)]
    first, second, shift = (np.uint64(one) for one in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53, 33))
    z = raw[:, 0] * second + raw[:, 1]
    z = (z ^ (z >> shift)) * first
    z = (z ^ (z >> shift)) * second
    return np.asarray(z ^ (z >> shift))


def _shards(batches: Sequence[pa.RecordBatch]) -> Shards:
    columns = [one.column("ids") for one in batches]
    return Shards(
        np.cumsum([0, *(one.num_rows for one in batches)]),
        *_span([one.values.to_numpy() for one in columns]),
        *_span([one.offsets.to_numpy() for one in columns]),
        *_span([one.column("bytes").to_numpy() for one in batches]),
    )


class _Memory:
    """A range of addresses, as numpy takes it without a copy, read-only."""

    def __init__(self, start: int, stop: int, dtype: np.dtype[Any]) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (start, True),
            "shape": ((stop - start) // dtype.itemsize,),
            "typestr": dtype.str,
        }


def _span(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """One array over all ``arrays`` (of one type) where they lie, and the index of each in it.

    So a kernel reads any number of mapped shards as one array. What lies between them is no
    memory of ours and never touched; the caller keeps ``arrays`` alive.
    """
    starts = np.array([one.ctypes.data for one in arrays], dtype=np.int64)
    stops = starts + np.array([one.nbytes for one in arrays], dtype=np.int64)
    dtype = arrays[0].dtype
    view = np.asarray(_Memory(int(starts.min()), int(stops.max()), dtype))
    return view, (starts - starts.min()) // dtype.itemsize
