"""Pretrained word vectors in the table of tokens, by the tokens' own strings.

Files are those of word2vec (Mikolov et al. 2013; ``word count and size`` in the first line, then
text, or binary float32) and of GloVe (Pennington et al. 2014; text without a first line).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import torch
from torch import nn

from corpusforge.errors import InputError
from corpusforge.tokenizer import Tokenizer

MARKS = " \u2581"  # what a token that begins a word begins with
LONGEST = 1 << 16  # bytes of a word


def start_from(model: nn.Module, tokenizer: Tokenizer, file: str, seed: int) -> float:
    """Fill the rows of ``model.tokens`` whose token ``file`` has; returns their share.

    A token is looked for without the space before it, as it is and then in lower case; what
    continues a word (``##`` in WordPiece) is not. Rows are turned to the model's width: by their
    principal axes where they are wider, by a seeded orthonormal basis, which keeps all angles,
    where they are narrower. Then they are scaled to the mean length that the table started with.
    """
    table = cast(nn.Embedding, model.tokens).weight
    wanted: dict[str, list[int]] = {}
    for number, name in tokenizer.names.items():
        if name not in tokenizer.special_tokens and number < len(table):
            for word in {name.strip(MARKS), name.strip(MARKS).lower()} - {""}:
                wanted.setdefault(word, []).append(number)
    found: dict[int, tuple[bool, np.ndarray]] = {}
    for word, vector in read(file):
        for number in wanted.get(word, ()):
            exact = tokenizer.names[number].strip(MARKS) == word
            if number not in found or (exact and not found[number][0]):
                found[number] = exact, vector
    if not found:
        return 0.0
    rows = sorted(found)
    vectors = to_width(np.stack([found[row][1] for row in rows]), table.shape[1], seed)
    with torch.no_grad():
        length = table.norm(dim=1).mean()
        new = torch.from_numpy(vectors).to(table)
        table[rows] = new * (length / new.norm(dim=1).mean().clamp_min(1e-12))
    return len(rows) / len(table)


def to_width(vectors: np.ndarray, width: int, seed: int) -> np.ndarray:
    """Turn ``vectors`` [n, d] float32 to [n, width], by principal axes or an orthonormal basis."""
    size = vectors.shape[1]
    if size == width:
        return vectors
    if size > width:
        centred = vectors - vectors.mean(axis=0)
        _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
        basis = axes[:, ::-1][:, :width]
    else:
        draw = np.random.default_rng(seed).standard_normal((width, size))
        basis = np.linalg.qr(draw)[0].T
    return np.ascontiguousarray(vectors @ basis, dtype=np.float32)


def read(file: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (word, vector [d] float32) of a file, binary or text, plain or gzip.

    Raises InputError for a file that is missing, cut short, or of rows of several sizes.
    """
    path = Path(file)
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with cast(BinaryIO, gzip.open(path)) if packed else path.open("rb") as stream:
            first = stream.readline(LONGEST)
            head = first.split()
            if len(head) == 2 and all(part.isdigit() for part in head):
                count, size = int(head[0]), int(head[1])
                if _is_binary(stream, size, packed):
                    yield from _binary(stream, file, count, size)
                else:
                    yield from _text(stream, file, size, 2)
            elif first:
                yield from _one(first, file, 1, len(head) - 1)
                yield from _text(stream, file, len(head) - 1, 2)
    except (OSError, EOFError) as error:
        raise InputError(str(error), file=file, expected="a file of word vectors") from None


def _is_binary(stream: BinaryIO, size: int, packed: bool) -> bool:
    """Whether what follows is no line of a word and ``size`` numbers; the place stays."""
    place = stream.tell()
    line = stream.readline(LONGEST + 32 * size)
    stream.seek(place)
    parts = line.split()
    try:
        return len(parts) <= size or not all(np.isfinite(float(part)) for part in parts[-size:])
    except ValueError:
        return True


def _binary(stream: BinaryIO, file: str, count: int, size: int) -> Iterator[tuple[str, np.ndarray]]:
    for number in range(count):
        word = bytearray()
        while (byte := stream.read(1)) not in (b" ", b""):
            word += byte
            if len(word) > LONGEST:
                raise InputError(f"vector {number + 1}: a word without an end", file=file)
        data = stream.read(4 * size)
        if len(data) < 4 * size:
            raise InputError(
                f"vector {number + 1} of {count} is cut short",
                file=file,
                expected=f"{size} numbers of 4 bytes",
            )
        yield word.decode("utf-8", "replace").lstrip("\n"), np.frombuffer(data, "<f4")


def _text(stream: BinaryIO, file: str, size: int, line: int) -> Iterator[tuple[str, np.ndarray]]:
    for number, text in enumerate(stream, line):
        yield from _one(text, file, number, size)


def _one(text: bytes, file: str, line: int, size: int) -> Iterator[tuple[str, np.ndarray]]:
    parts = text.rstrip().split(b" ")
    if parts == [b""]:
        return
    try:
        if len(parts) <= size or size < 1:
            raise ValueError(f"{len(parts) - 1} numbers")
        vector = np.array(parts[-size:], dtype=np.float32)  # GloVe has words with spaces
    except ValueError as error:
        raise InputError(
            f"line {line}: {error}"[:200], file=file, expected=f"a word and {size} numbers"
        ) from None
    yield b" ".join(parts[:-size]).decode("utf-8", "replace"), vector
