"""Pre-tokens: where a text is cut before BPE, by a scanner over UTF-8 instead of a regex engine.

Each split is the regular expression of the same name, which also goes into ``tokenizer.json``; the
scanner cuts at the same places as that expression does in the Hugging Face ``tokenizers`` library.
The classes of code points were read from that library's own engine (tests/kernels/
test_pretokens.py writes and checks the table), so the Unicode version cannot differ.

Sources: gpt2 openai/gpt-2 encoder.py; llama3 meta-llama/llama3 tokenizer.py (cuts as cl100k_base);
qwen2 Qwen2's tokenizer.json; o200k openai/tiktoken openai_public.py.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa

from corpusforge.errors import SpecError, nearest
from corpusforge.kernels.jit import inlined, kernel
from corpusforge.kernels.letters import end_of_letters

_CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"

_BASE = {
    "none": "",  # a document is one pre-token
    "whitespace": r" ?\S+|\s+(?!\S)|\s+",
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama3": rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}",
    "qwen2": rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}",
    "o200k": rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}",
}
_NUMBERS = (r"\p{N}{1,3}|", r" ?\p{N}+|", r"\p{N}|")  # how the splits cut numbers
_DIGITS = {1: r"\p{N}|", 3: r"\p{N}{1,3}|"}


def _limited(split: str, digits: int) -> str | None:
    """The expression with numbers in pieces of at most ``digits``, if it cuts numbers at all."""
    rule = next((rule for rule in _NUMBERS if rule in _BASE[split]), None)
    return rule and _BASE[split].replace(rule, _DIGITS[digits])


def _all() -> dict[str, str]:
    found = dict(_BASE)
    for name in _BASE:
        for digits in _DIGITS:
            pattern = _limited(name, digits)
            if pattern and pattern not in found.values():
                found[f"{name}/{digits}"] = pattern
    return found


PATTERNS = _all()  # by name, and by name/digits


def with_digits(split: str, digits: int) -> str:
    """Name of ``split`` with numbers in pieces of at most ``digits``: 1, 3, or 0 as it has them.

    Raises SpecError for a split that does not cut numbers.
    """
    if not digits:
        return split
    pattern = _limited(split, digits)
    if pattern is None:
        raise SpecError(
            f"the split '{split}' does not cut numbers", remedy="set digits=0, or another split"
        )
    return next(name for name, known in PATTERNS.items() if known == pattern)


_NONE, _WHITESPACE, _GPT2, _LLAMA3, _O200K = range(5)
_KINDS = {"none": 0, "whitespace": 1, "gpt2": 2, "llama3": 3, "qwen2": 3, "o200k": 4}
_MOST = {"llama3": 3, "qwen2": 1, "o200k": 3}  # digits of a piece; of gpt2 any number


def _code(name: str) -> int:
    base, _, digits = name.partition("/")
    return _KINDS[base] | (int(digits) if digits else _MOST.get(base, 0)) << 3


CODES = {name: _code(name) for name in PATTERNS}

# Flags of a code point. Marks have UPPER and LOWER without LETTER, as o200k wants them.
SPACE, NUMBER, LETTER, UPPER, LOWER, NEWLINE = 1, 2, 4, 8, 16, 32

PAD = 16  # zero bytes behind the data, so that kernels may load 8 bytes from, or 8 behind, any byte
MASKS = np.array([(1 << 8 * length) - 1 for length in range(9)], dtype=np.uint64)
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_SHIFT = np.uint64(29)


def code_of(split: str) -> int:
    """Return the scanner's code of ``split``; raises SpecError that names the nearest one."""
    if split not in CODES:
        raise SpecError(f"no split is called '{split}'", remedy=nearest(split, _BASE))
    return CODES[split]


@cache
def classes() -> np.ndarray:
    """Flags (0x110000,) uint8 by code point."""
    file = resources.files("corpusforge.kernels") / "pretoken_classes.npz"
    with file.open("rb") as stream, np.load(stream) as runs:
        return np.repeat(runs["flags"], np.diff(runs["starts"], append=0x110000))


def utf8(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the bytes (n + PAD,) uint8 and offsets (rows + 1,) int64 of a string or binary array.

    The bytes are a copy: a known layout for the kernels costs far less than what they do with it.
    A null is an empty row.
    """
    if text.null_count:
        text = text.fill_null(pa.scalar("", text.type))
    wide = pa.types.is_large_string(text.type) or pa.types.is_large_binary(text.type)
    rows = len(text)
    offsets = np.zeros(rows + 1, dtype=np.int64)
    if rows:
        raw = np.frombuffer(text.buffers()[1], dtype=np.int64 if wide else np.int32)
        offsets[:] = raw[text.offset : text.offset + rows + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    data = np.zeros(last - first + PAD, dtype=np.uint8)
    if last > first:
        data[: last - first] = np.frombuffer(text.buffers()[2], dtype=np.uint8)[first:last]
    return data, offsets - first


def windows(data: np.ndarray) -> np.ndarray:
    """Return the overlapping view (n - 7,) uint64 whose item i is bytes i to i + 7 of ``data``."""
    return np.ndarray((len(data) - 7,), dtype="<u8", buffer=data, strides=(1,))


@inlined
def wide(value: Any) -> int:
    """Return ``value`` as int64: a byte must not be shifted in eight bits."""
    return int(np.int64(value))


@inlined
def hash_of(words: np.ndarray, start: int, length: int) -> np.uint64:
    """Hash of ``length`` bytes from ``start``: multiply and fold, eight bytes at a time.

    Ranges of packed counts depend on it, so it never changes. ``words`` is from ``windows``.
    """
    value = np.uint64(length) * _MIX
    position, left = start, length
    while left > 0:
        value ^= words[position] & MASKS[min(left, 8)]
        value *= _MIX
        value ^= value >> _SHIFT
        position += 8
        left -= 8
    value *= _MIX
    return value ^ (value >> np.uint64(32))


@inlined
def same(words: np.ndarray, one: int, two: int, length: int) -> bool:
    """Whether ``length`` bytes of ``windows`` at ``one`` and at ``two`` are equal."""
    done = 0
    while done < length:
        different = words[one + done] ^ words[two + done]
        if different & MASKS[min(length - done, 8)]:
            return False
        done += 8
    return True


@inlined
def flags_at(data: np.ndarray, position: int, table: np.ndarray) -> int:
    """Flags of the character at ``position``, plus 256 times its length in bytes."""
    lead = wide(data[position])
    if lead < 0x80:
        return wide(table[lead]) | 256
    if lead < 0xE0:
        point = (lead & 0x1F) << 6 | (wide(data[position + 1]) & 0x3F)
        return wide(table[point]) | 512
    if lead < 0xF0:
        point = (lead & 0x0F) << 12 | (wide(data[position + 1]) & 0x3F) << 6
        return wide(table[point | (wide(data[position + 2]) & 0x3F)]) | 768
    point = (lead & 0x07) << 18 | (wide(data[position + 1]) & 0x3F) << 12
    point |= (wide(data[position + 2]) & 0x3F) << 6 | (wide(data[position + 3]) & 0x3F)
    return wide(table[point]) | 1024


@inlined
def _run(data: np.ndarray, start: int, stop: int, table: np.ndarray, any_of: int) -> int:
    """End of the run of characters that have a flag of ``any_of``."""
    position = start
    while position < stop:
        found = flags_at(data, position, table)
        if not found & any_of:
            break
        position += found >> 8
    return position


@inlined
def _run_without(data: np.ndarray, start: int, stop: int, table: np.ndarray, none_of: int) -> int:
    """End of the run of characters that have no flag of ``none_of``."""
    position = start
    while position < stop:
        found = flags_at(data, position, table)
        if found & none_of:
            break
        position += found >> 8
    return position


@inlined
def _contraction(data: np.ndarray, start: int, stop: int, either_case: bool) -> int:
    """Bytes of 's 't 're 've 'm 'll 'd at ``start``, else 0."""
    if start + 1 >= stop or data[start] != 0x27:
        return 0
    fold = 0x20 if either_case else 0
    one = wide(data[start + 1]) | fold
    if one == 0x73 or one == 0x74 or one == 0x6D or one == 0x64:  # s t m d
        return 2
    if start + 2 >= stop:
        return 0
    two = wide(data[start + 2]) | fold
    if (one == 0x72 or one == 0x76) and two == 0x65:  # re ve
        return 3
    if one == 0x6C and two == 0x6C:  # ll
        return 3
    if either_case and data[start + 1] == 0xC5 and data[start + 2] == 0xBF:
        return 3  # U+017F folds to s
    return 0


@inlined
def _spaces(data: np.ndarray, start: int, stop: int, table: np.ndarray, lines: bool) -> int:
    r"""End of ``\s*[\r\n]+|\s+(?!\S)|\s+`` (the first only with ``lines``) at a space."""
    position = start
    last = start  # start of the last character of the run
    after_newline = start
    while position < stop:
        found = flags_at(data, position, table)
        if not found & SPACE:
            break
        last = position
        position += found >> 8
        if found & NEWLINE:
            after_newline = position
    if lines and after_newline > start:
        return after_newline
    if position < stop and last > start:
        return last
    return position


@inlined
def _cased(data: np.ndarray, start: int, stop: int, table: np.ndarray, need_lower: bool) -> int:
    """End of UPPER* LOWER+ (``need_lower``) or of UPPER+ LOWER*, else ``start``."""
    position = start
    after_lower = start  # behind the last character of the UPPER run that is LOWER too
    while position < stop:
        found = flags_at(data, position, table)
        if not found & UPPER:
            break
        position += found >> 8
        if found & LOWER:
            after_lower = position
    end = _run(data, position, stop, table, LOWER)
    if need_lower:
        return end if end > position else after_lower
    return end if position > start else start


@inlined
def _o200k_word(data: np.ndarray, start: int, stop: int, table: np.ndarray, found: int) -> int:
    """End of one of o200k's two word alternatives, else ``start``."""
    after = start + (found >> 8)
    prefixed = not found & (LETTER | NUMBER | NEWLINE) and after < stop
    for need_lower in (True, False):
        if prefixed:
            end = _cased(data, after, stop, table, need_lower)
            if end > after:
                return end + _contraction(data, end, stop, True)
        end = _cased(data, start, stop, table, need_lower)
        if end > start:
            return end + _contraction(data, end, stop, True)
    return start


@inlined
def end_of_pretoken(
    data: np.ndarray, words: np.ndarray, start: int, stop: int, table: np.ndarray, split: int
) -> int:
    """Return the end of the pre-token that begins at ``start`` < ``stop``, for a code of CODES.

    ``words`` is from ``windows`` of ``data``.
    """
    most = split >> 3  # digits, 0 for any number
    split &= 7
    if split == _NONE:
        return stop
    if split != _WHITESPACE and split != _O200K:  # the common case: a word of ASCII letters
        first = start + 1 if data[start] == 0x20 else start
        end = end_of_letters(words, first, stop)
        if end > first:
            return end if end == stop or data[end] < 0x80 else _run(data, end, stop, table, LETTER)
    found = flags_at(data, start, table)
    after = start + (found >> 8)
    following = flags_at(data, after, table) if after < stop else 0
    if split == _WHITESPACE:
        if not found & SPACE:
            return _run_without(data, after, stop, table, SPACE)
        if data[start] == 0x20 and following and not following & SPACE:
            return _run_without(data, after, stop, table, SPACE)
        return _spaces(data, start, stop, table, False)
    if split == _O200K:
        end = _o200k_word(data, start, stop, table, found)
        if end > start:
            return end
    else:
        length = _contraction(data, start, stop, split != _GPT2)
        if length:
            return start + length
        if found & LETTER:
            return _run(data, after, stop, table, LETTER)
        prefix = data[start] == 0x20 if split == _GPT2 else not found & (NUMBER | NEWLINE)
        if prefix and following & LETTER:
            return _run(data, after, stop, table, LETTER)
    if found & NUMBER:
        if most == 0:
            return _run(data, after, stop, table, NUMBER)
        if most == 1 or not following & NUMBER:
            return after
        after += following >> 8
        following = flags_at(data, after, table) if after < stop else 0
        return after + (following >> 8) if following & NUMBER else after
    end = start
    if not found & SPACE:
        end = _run_without(data, after, stop, table, SPACE | LETTER | NUMBER)
    elif data[start] == 0x20 and following and not following & SPACE:
        if following & NUMBER and split == _GPT2 and most == 0:
            return _run(data, after, stop, table, NUMBER)
        if not following & (LETTER | NUMBER):
            end = _run_without(data, after, stop, table, SPACE | LETTER | NUMBER)
    if end > start:
        if split != _GPT2:
            while end < stop and (
                data[end] == 0x0A or data[end] == 0x0D or (split == _O200K and data[end] == 0x2F)
            ):
                end += 1
        return end
    return _spaces(data, start, stop, table, split != _GPT2)


@kernel
def _ends(
    data: np.ndarray,
    words: np.ndarray,
    offsets: np.ndarray,
    table: np.ndarray,
    split: int,
    out: np.ndarray,
) -> int:
    used = 0
    for row in range(len(offsets) - 1):
        position, stop = offsets[row], offsets[row + 1]
        while position < stop:
            position = end_of_pretoken(data, words, position, stop, table, split)
            out[used] = position
            used += 1
    return used


def ends(text: pa.Array, split: str) -> np.ndarray:
    """Return the ends (pre-tokens,) int64 of all pre-tokens, in bytes of the joined rows."""
    data, offsets = utf8(text)
    out = np.empty(len(data), dtype=np.int64)
    return out[: _ends(data, windows(data), offsets, classes(), code_of(split), out)]
