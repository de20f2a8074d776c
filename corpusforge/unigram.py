"""Unigram vocabularies by SentencePiece, from counts instead of text.

SentencePiece weights its expectation steps by the counts of a word list, but takes its seed pieces
from the words without them (unigram_model_trainer.cc, issue 967). So the seeds are given: the
substrings of the words, weighted by the counts.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sentencepiece

from corpusforge.errors import SpecError
from corpusforge.kernels.bpe import byte_pieces, code_points
from corpusforge.kernels.substrings import weighted_substrings

SPACE = "▁"  # stands for a space in a piece
NEVER = -1000.0  # of a piece that text must not spell: its letters one by one are likelier
MOST_SEEDS = 1_000_000  # as SentencePiece's own
_NOT_A_LINE = "[\\x00-\\x1f\\x{85}\\x{2028}\\x{2029}" + SPACE + "]"  # bytes at encoding


class Unigram(NamedTuple):
    """Pieces with their log probability by id, and the same as a file of SentencePiece."""

    pieces: list[tuple[str, float]]
    file: bytes


def train_unigram(
    words: pa.ChunkedArray, counts: pa.ChunkedArray, vocab_size: int, special_tokens: Sequence[str]
) -> Unigram:
    """Learn ``vocab_size`` pieces: special tokens, 256 byte pieces, learnt pieces, in this order.

    ``words`` (distinct,) binary with their spaces, ``counts`` (distinct,) int64. Raises SpecError
    where ``vocab_size`` cannot hold the characters of the words.
    """
    table = pa.table({"word": words.cast(pa.large_string()), "count": counts}).sort_by("word")
    table = table.filter(pc.invert(pc.match_substring_regex(table["word"], _NOT_A_LINE)))
    model = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="forge-unigram-") as folder:
        source, seeds = Path(folder, "counts.tsv"), Path(folder, "seeds.tsv")
        _write_lines(source, table["word"], table["count"])
        options = _seeds(table, seeds)
        try:
            sentencepiece.SentencePieceTrainer.train(
                input=str(source),
                input_format="tsv",
                model_writer=model,
                model_type="unigram",
                vocab_size=vocab_size,
                byte_fallback=True,
                normalization_rule_name="identity",
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                allow_whitespace_only_pieces=True,
                hard_vocab_limit=False,
                num_threads=1,
                unk_id=special_tokens.index("<unk>"),
                unk_piece="<unk>",
                control_symbols=[token for token in special_tokens if token != "<unk>"],
                required_chars="".join(sorted({*"<0x>", *"".join(special_tokens)})),
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                minloglevel=2,
                **options,
            )
        except RuntimeError as error:
            raise SpecError(
                f"sentencepiece cannot train: {str(error).rpartition('] ')[2]}",
                remedy="give more text, or change vocab_size by --set vocab_size=N",
            ) from None
    file = _without_paths(model.getvalue())
    learnt = sentencepiece.SentencePieceProcessor(model_proto=file)
    pieces = [(learnt.id_to_piece(id_), learnt.get_score(id_)) for id_ in range(len(learnt))]
    fixed = {*special_tokens, *byte_pieces()}
    return Unigram([(name, NEVER if name in fixed else score) for name, score in pieces], file)


def _write_lines(path: Path, words: Any, counts: Any) -> None:
    with path.open("w", encoding="utf-8") as stream:
        pairs = zip(words.to_pylist(), counts.to_pylist(), strict=True)
        stream.writelines(f"{word}\t{count}\n" for word, count in pairs)


def _seeds(table: pa.Table, path: Path) -> dict[str, Any]:
    """Write the seed pieces with their counts, the best first; SentencePiece's options for them."""
    points, starts = code_points(table["word"])
    points[points == 0x20] = ord(SPACE)
    found, sums = weighted_substrings(points, starts, table["count"].to_numpy())
    if not found:
        return {}
    lengths = np.array([len(piece) for piece in found], dtype=np.int64)
    order = sorted(range(len(found)), key=lambda n: (-int(sums[n]) * int(lengths[n]), found[n]))
    chosen = order[:MOST_SEEDS]
    _write_lines(path, pa.array([found[n] for n in chosen]), pa.array(sums[chosen]))
    return {"seed_sentencepieces_file": str(path), "seed_sentencepiece_size": 2 * MOST_SEEDS}


def _without_paths(model: bytes) -> bytes:
    """Drop the paths of the files it was trained on from a ModelProto (sentencepiece_model.proto).

    Its field 2 is the trainer's spec, whose fields 1 and 54 they are.
    """
    parts = []
    for number, whole, content in _fields(model):
        if number == 2:
            kept = b"".join(field for inner, field, _ in _fields(content) if inner not in (1, 54))
            whole = b"\x12" + _varint(len(kept)) + kept
        parts.append(whole)
    return b"".join(parts)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (number, all bytes, content) of the fields of a protobuf message."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        begin = at
        if tag & 7 == 0:
            _, at = _read_varint(message, at)
        elif tag & 7 == 2:
            length, begin = _read_varint(message, at)
            at = begin + length
        else:
            at += 4 if tag & 7 == 5 else 8
        yield tag >> 3, message[start:at], message[begin:at]


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if message[at - 1] < 0x80:
            return value, at


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
