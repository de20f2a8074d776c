"""Inputs of the benchmarks: the same bytes for every contestant of a stage.

    python inputs.py KIND FOLDER MEGABYTES DATA...

DATA is what `forge clean` reads. FOLDER/full gets its first MEGABYTES (of HTML or text, as UTF-8),
FOLDER/tiny its first 0.1, to warm up on. An input of a KIND is

pages      JSON lines of {"html"}
warc       a WARC of the same pages, a gzip member each
texts      JSON lines of {"text"}; pages are extracted by resiliparse, so that a change of our own
           extraction does not change the input of other stages
tokenizer  a folder: texts.jsonl and a tokenizer.json learnt from it
tokens     a folder of token shards, and the same ids as ids.bin (uint16, documents in order);
           ids are random, lengths log-normal, and DATA is not read
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from resiliparse.extract.html2text import extract_plain_text

from corpusforge import readers, spec, tokenizer
from corpusforge.manifest import Manifest
from corpusforge.schema import tokens_schema
from corpusforge.shard import ShardWriter

VOCABULARY = 8192
KINDS = ("pages", "warc", "texts", "tokenizer", "tokens")
TINY = 0.1  # megabytes
BATCH_BYTES = 1 << 20  # so that little is read of what is not taken


def make(kind: str, out: Path, megabytes: float, data: Sequence[str]) -> None:
    """Write the input ``kind`` to ``out``, at least two documents of it.

    Raises ForgeError where ``data`` cannot be read, ValueError where it holds too little.
    """
    if kind == "tokens":
        return _tokens(out, int(megabytes * 1e6) // 2)
    read = _pages if kind in ("pages", "warc") else _texts
    rows = list(_first(read(data), int(megabytes * 1e6)))
    if len(rows) < 2:
        raise ValueError(f"{' '.join(data)}: {len(rows)} documents for the input '{kind}'")
    if kind == "warc":
        out.write_bytes(b"".join(_response(n, html) for n, html in enumerate(rows)))
    elif kind == "tokenizer":
        out.mkdir()
        _lines(out / "texts.jsonl", "text", rows)
        asked = spec.TokenizeSpec(vocab_size=VOCABULARY)
        counted = tokenizer.count(pa.array(rows), asked)
        learnt = tokenizer.Tokenizer.train(counted.table, asked)
        (out / "tokenizer.json").write_bytes(learnt.document)
    else:
        _lines(out, "html" if kind == "pages" else "text", rows)
    return None


def _records(data: Sequence[str], *columns: str) -> Iterator[tuple[str | None, ...]]:
    """Yield ``columns`` of every record of ``data`` that is not decided at reading."""
    for unit in readers.units(data, spec.Plan()):
        for piece in unit.pieces:
            for batch in readers.read(piece, spec.Read(), BATCH_BYTES):
                values = [batch.column(name).to_pylist() for name in ("outcome", *columns)]
                yield from (
                    tuple(row) for outcome, *row in zip(*values, strict=True) if outcome == "kept"
                )


def _pages(data: Sequence[str]) -> Iterator[str]:
    for (html,) in _records(data, "html"):
        if html:
            yield html


def _texts(data: Sequence[str]) -> Iterator[str]:
    for html, text in _records(data, "html", "text"):
        found = extract_plain_text(html, main_content=True) if html else text
        if found:
            yield found


def _first(rows: Iterator[str], size: int) -> Iterator[str]:
    total = count = 0
    for row in rows:
        if total >= size and count >= 2:
            return
        yield row
        total, count = total + len(row.encode()), count + 1


def _lines(path: Path, field: str, rows: Sequence[str]) -> None:
    path.write_text("".join(json.dumps({field: row}) + "\n" for row in rows), encoding="utf-8")


def _response(number: int, html: str) -> bytes:
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{number:012d}>\r\n"
        f"WARC-Target-URI: https://pages.example/{number}\r\n"
        "Content-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + body + b"\r\n\r\n", mtime=0)


def _tokens(folder: Path, count: int) -> None:
    draw = np.random.default_rng(0)
    lengths = np.maximum(1, draw.lognormal(6.3, 1.5, 4 + count // 500)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    offsets = offsets[: max(2, int(np.searchsorted(offsets, count)) + 1)]
    ids = draw.integers(1, VOCABULARY, offsets[-1], dtype=np.uint16)
    ids[offsets[1:] - 1] = 0
    names = [str(number) for number in range(len(offsets) - 1)]
    schema = tokens_schema(16)
    columns = {
        "ids": pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(ids)),
        "id": pa.array([hashlib.md5(name.encode()).digest() for name in names], pa.binary(16)),
        "source": pa.array(["random"] * len(names)).dictionary_encode(),
        "language": pa.array(["en"] * len(names)).dictionary_encode(),
        "bytes": pa.array((4 * np.diff(offsets)).astype(np.int32)),
        "source_id": pa.array(names),
        "url": pa.array(names),
    }
    writer = ShardWriter(str(folder), "tokens/part-00000.arrow", schema, compress=False)
    writer.write(pa.RecordBatch.from_arrays([columns[f.name] for f in schema], schema=schema))
    Manifest(
        kind="tokenize",
        content=hashlib.sha256(ids.tobytes()).hexdigest(),
        counts={"documents": len(names), "tokens": len(ids)},
        spec={},
        spec_digest="",
        shards=(writer.close(),),
        facts={"tokenizer": {"vocab_size": VOCABULARY, "eot": 0, "digest": "random"}},
    ).write(str(folder))
    ids.tofile(folder / "ids.bin")


if __name__ == "__main__":
    kind, folder, megabytes, *data = sys.argv[1:]
    make(kind, Path(folder, "full"), float(megabytes), data)
    make(kind, Path(folder, "tiny"), TINY, data)
