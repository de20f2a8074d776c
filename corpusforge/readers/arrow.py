"""Arrow IPC to rows: files and streams alike, batch by batch.

An IPC file is a stream between two marks, and is read as one: its footer is only looked for, so a
cut file gives every whole batch before the cut. Rows are addressed by the number of their record
batch and their number in it. Local plain files are mapped, others are spooled to disk first.
Nothing in the bytes is believed: buffers are validated, and a batch that says it inflates to more
than the ratio is not decompressed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.ipc as ipc

from corpusforge.readers import ipc_sizes, tables
from corpusforge.readers.batch import Row
from corpusforge.readers.inflate import (
    CUT,
    FILE_CUT,
    StreamError,
    over_ratio,
    ratio_reason,
    whole_file,
)
from corpusforge.readers.source import Source
from corpusforge.spec import Fields, Limits
from corpusforge.storage import file_system, is_local

MAGIC = b"ARROW1"
STREAM = b"\xff\xff\xff\xff"  # what every message of a stream begins with
_HEAD = 8  # bytes of the mark and its padding
_LOST = "what follows is lost"


def rows(
    path: str, source: Source, compression: str, fields: Fields, limits: Limits
) -> Iterator[Row]:
    """Yield one row a row of the record batches; a damaged batch is one failed row.

    Where the file breaks off, one failed row stands for the rest.
    """
    local = _local(path) if compression == "none" else None
    if local is not None:
        yield from _batches(local, None, fields, limits)
        return
    with tempfile.NamedTemporaryFile(prefix="forge-") as held:
        problem = _spool(source, compression, held, limits.inflate_ratio)
        held.flush()
        yield from _batches(held.name, problem, fields, limits)


def _local(path: str) -> str | None:
    fs, local = file_system(path)
    return str(local) if is_local(fs) else None


def _spool(source: Source, compression: str, held: IO[bytes], ratio: int) -> str | None:
    """Write the content to ``held``; return why it is not whole."""
    try:
        for chunk in whole_file(compression, source.read):
            held.write(chunk)
            if compression != "none" and over_ratio(held.tell(), source.position, ratio):
                return f"the file inflates to more than {ratio} times its bytes"
    except StreamError as error:
        return FILE_CUT if str(error) == CUT else str(error)
    return None


class _File:
    """Two readers in step over one mapped file: its messages as they are, and its batches."""

    def __init__(self, path: str) -> None:
        maps = [pa.memory_map(path), pa.memory_map(path)]
        self.is_file = maps[0].read(len(MAGIC)) == MAGIC
        for each in maps:
            each.seek(_HEAD if self.is_file else 0)
        self._map = maps[0]
        self.messages = ipc.MessageReader.open_stream(maps[0])
        self.messages.read_next_message()  # the schema
        self.batches = ipc.open_stream(maps[1])

    def ending(self) -> str | None:
        """Return what is wrong behind the last message."""
        rest, size = self._map.tell(), self._map.size()
        self._map.seek(max(0, size - len(MAGIC)) if self.is_file else min(rest, size))
        if self.is_file:
            cut = self._map.read(len(MAGIC)) != MAGIC
            return "the Arrow file is cut: it does not end with its footer" if cut else None
        return "bytes follow the end of the Arrow stream" if self._map.read(1 << 16) else None


def _batches(path: str, problem: str | None, fields: Fields, limits: Limits) -> Iterator[Row]:
    try:
        file = _File(path)
    except (*tables.DAMAGE, StopIteration) as error:
        tables.reraise_io(error)
        yield tables.failed((0, 0), problem or "the schema of the Arrow file is cut or damaged")
        return
    number, ratio = 0, limits.inflate_ratio
    kept = kept_packed = 0  # bytes of the dictionaries, which stay
    words = False  # whether some came since the last batch
    while True:
        where = f"batch {number}"
        try:
            message = file.messages.read_next_message()
            packed = kept_packed + message.metadata.size + message.body.size
            inflated = kept + ipc_sizes.inflated(
                message.metadata.to_pybytes(), memoryview(message.body)
            )
        except StopIteration:
            if ending := problem or file.ending():
                yield tables.failed((number, 0), ending)
            return
        except tables.DAMAGE as error:
            tables.reraise_io(error)
            yield tables.failed((number, 0), problem or f"{where} is cut or damaged, and {_LOST}")
            return
        row = 0
        try:
            if over_ratio(inflated, packed, ratio):
                raise tables.OverRatio(inflated)
            if message.type != "record batch":
                kept, kept_packed, words = inflated, packed, True
                continue
            batch = file.batches.read_next_batch()
            given = 0
            for each in tables.rows(
                batch, where, (number, 0), fields, limits.line_bytes, trusted=False
            ):
                given += tables.row_bytes(each)
                if over_ratio(given, packed, ratio):
                    raise tables.OverRatio(given)
                yield each
                row += 1
        except tables.OverRatio as error:
            reason = ratio_reason(error.args[0], packed, ratio)
            detail = f"{where}, from row {row} on: inflates to more than {ratio} times its bytes"
            yield tables.failed((number, row), f"{detail}, and {_LOST}", reason)
            return
        except (*tables.DAMAGE, StopIteration) as error:
            tables.reraise_io(error)
            if words:  # the batches go on behind the dictionary, the messages behind the batch
                yield tables.failed((number, row), f"{where} is damaged, and {_LOST}")
                return
            yield tables.failed((number, row), f"{where} is damaged")
        words, number = False, number + 1
