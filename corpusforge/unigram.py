"""Unigram vocabularies by SentencePiece, from counts instead of text.

SentencePiece weights its expectation steps by the counts, but takes its seed pieces from the words
without them (unigram_model_trainer.cc): about 2 % of the vocabulary differs from training on text.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import sentencepiece

from corpusforge.errors import SpecError

SPACE = "▁"  # stands for a space in a piece
_NOT_A_LINE = "[\\x00-\\x1f\\x{85}\\x{2028}\\x{2029}" + SPACE + "]"  # bytes at encoding


def train_unigram(
    words: pa.ChunkedArray, counts: pa.ChunkedArray, vocab_size: int, special_tokens: Sequence[str]
) -> list[tuple[str, float]]:
    """Return (piece, log probability) by id: special tokens, 256 byte pieces, learnt pieces.

    ``words`` (distinct,) binary with their spaces, ``counts`` (distinct,) int64. Raises SpecError
    where ``vocab_size`` cannot hold the characters of the words.
    """
    table = pa.table({"word": words.cast(pa.large_string()), "count": counts}).sort_by("word")
    table = table.filter(pc.invert(pc.match_substring_regex(table["word"], _NOT_A_LINE)))
    numbers = table["count"].cast(pa.large_string())
    lines = pc.binary_join_element_wise(table["word"], numbers, pa.scalar("\t", pa.large_string()))
    model = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="forge-unigram-") as folder:
        source = Path(folder, "counts.tsv")
        with source.open("w", encoding="utf-8") as stream:
            for chunk in lines.chunks:
                stream.writelines(f"{line}\n" for line in chunk.to_pylist())
        try:
            sentencepiece.SentencePieceTrainer.train(
                input=str(source),
                input_format="tsv",
                model_writer=model,
                model_type="unigram",
                vocab_size=vocab_size - len(special_tokens) + 1,
                byte_fallback=True,
                normalization_rule_name="identity",
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                allow_whitespace_only_pieces=True,
                hard_vocab_limit=False,
                num_threads=1,
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise SpecError(
                f"sentencepiece cannot train: {str(error).rpartition('] ')[2]}",
                remedy="give more text, or change vocab_size by --set vocab_size=N",
            ) from None
    learnt = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [(learnt.id_to_piece(id_), learnt.get_score(id_)) for id_ in range(1, len(learnt))]
    return [(token, 0.0) for token in special_tokens] + pieces
