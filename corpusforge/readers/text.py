"""A plain text file to one row: the whole file is the document."""

from __future__ import annotations

from collections.abc import Iterator

from corpusforge.readers import charset
from corpusforge.readers.batch import Reason, Row
from corpusforge.readers.inflate import CUT, FILE_CUT, StreamError, whole_file
from corpusforge.readers.magic import binary_kind
from corpusforge.readers.source import Source

_EMPTY = Reason("empty", "text_bytes", 0, ">=", 1)


def rows(source: Source, compression: str, limit: int) -> Iterator[Row]:
    """Yield the one row of the file; ``limit`` is the most bytes of it, decompressed.

    The charset is that of a byte order mark, UTF-8, or what the bytes look like.
    """
    row, parts, size = Row(0), list[bytes](), 0
    try:
        for chunk in whole_file(compression, source.read):
            size += len(chunk)
            if size > limit:
                reason = Reason("limit:line_bytes", "line_bytes", limit + 1, "<=", limit)
                detail = f"the text is longer than {limit} bytes"
                yield row._replace(outcome="failed", reason=reason, detail=detail)
                return
            parts.append(chunk)
    except StreamError as error:
        detail = FILE_CUT if str(error) == CUT else str(error)
        yield row._replace(outcome="failed", detail=detail)
        return
    data = b"".join(parts)
    if not data.strip():
        yield row._replace(outcome="dropped", reason=_EMPTY)
    elif kind := binary_kind(data):
        yield row._replace(outcome="dropped", reason=Reason("mime-magic", "mime"), detail=kind)
    else:
        text, name, replaced = charset.decode(data)
        yield row._replace(text=text, charset=name, decode_errors=replaced)
