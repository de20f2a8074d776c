"""A file as a position, small reads from there, and a search: what all readers stand on."""

from __future__ import annotations

from typing import IO

from corpusforge import storage
from corpusforge.errors import InputError, RunError

BLOCK = 1 << 20  # bytes fetched at once
FEED = 1 << 15  # bytes handed to a decompressor at once; what it leaves over is copied


def open_file(path: str) -> IO[bytes]:
    """Open ``path`` (local or any fsspec URL) for reading bytes as they are.

    Raises InputError where there is no such file or it may not be read.
    """
    try:
        file = storage.open_read(path)
    except FileNotFoundError:
        raise InputError("no such file", file=path, remedy="check the path") from None
    except IsADirectoryError:
        raise InputError("is a folder, not a file", file=path) from None
    except RunError as error:
        raise InputError(error.what, file=path, remedy=error.remedy) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be opened: {error}", file=path) from None
    return file


class Source:
    """Sequential reads of a seekable file by blocks; ``position`` is the next byte's offset."""

    def __init__(self, file: IO[bytes], position: int = 0) -> None:
        self._file, self._block, self._start, self._at = file, b"", position, 0
        file.seek(position)

    @property
    def position(self) -> int:
        """Offset in the file of the byte that is read next."""
        return self._start + self._at

    def seek(self, position: int) -> None:
        """Go to ``position``; free within the present block."""
        if self._start <= position <= self._start + len(self._block):
            self._at = position - self._start
        else:
            self._file.seek(position)
            self._block, self._start, self._at = b"", position, 0

    def read(self, size: int = FEED) -> bytes:
        """Return the next ``size`` bytes, fewer only at the end of the file.

        Exact sizes matter: what is saved of a corrupt member must not depend on block borders.
        """
        out = self.peek(size)
        self._at += len(out)
        return out

    def peek(self, size: int) -> bytes:
        """Return what ``read`` would without moving."""
        while len(self._block) - self._at < size:
            more = self._file.read(BLOCK)
            if not more:
                break
            self._start += self._at
            self._block, self._at = self._block[self._at :] + more, 0
        return self._block[self._at : self._at + size]

    def find(self, needle: bytes) -> bool:
        """Move to the next ``needle`` at or past the position, else to the end of the file."""
        while True:
            at = self._block.find(needle, self._at)
            if at >= 0:
                self._at = at
                return True
            keep = max(self._at, len(self._block) - len(needle) + 1)
            more = self._file.read(BLOCK)
            self._start += keep
            self._block = self._block[keep:] + more
            self._at = 0
            if not more:
                self._at = len(self._block)
                return False
