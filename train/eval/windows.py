"""Sliding windows: every token of a long text is scored once, with as much context as fits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Window(NamedTuple):
    """Tokens [begin, end) are a row of the model, [first, end) of these are scored."""

    begin: int
    first: int
    end: int


def windows(length: int, width: int, stride: int) -> Iterator[Window]:
    """Cut a text of ``length`` tokens, the first of which is context alone.

    A window has at most ``width`` tokens and begins ``stride`` after the one before it, as in
    the documentation of transformers ("Perplexity of fixed-length models"); so token t is scored
    once, after at least min(t, width - stride) tokens. ``stride`` is 1 to width - 1.
    """
    if not 1 <= stride < width:
        raise ValueError(f"stride {stride} of windows of {width}")
    begin, first = 0, 1
    while first < length:
        end = min(begin + width, length)
        yield Window(begin, first, end)
        begin, first = begin + stride, end
