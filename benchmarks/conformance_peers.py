"""Predictions of the dialects dolma and DCLM, for ``score_filters.py`` of the shared tools.

    python benchmarks/conformance_peers.py dolma ../shared/data -o dolma.jsonl
    score_filters.py filters_dev.jsonl.gz dolma.jsonl --tool dolma --min-values 0.999 \
        --filter gopher_v1 --filter gopher_v2 --filter c4_v1 --filter c4_v2
    python benchmarks/conformance_peers.py dclm ../shared/data -o dclm.jsonl
    score_filters.py filters_dev.jsonl.gz dclm.jsonl --tool dclm --min 0.999

The folder holds ``text_sample.jsonl.gz`` and ``extraction_dev.jsonl.gz``; their field ``text`` is
judged. The speed is printed: bytes of text per second of CPU, the second time.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusforge.kernels import dclm, dolma, dolma_c4

SETS = {"text": "text_sample.jsonl.gz", "gold": "extraction_dev.jsonl.gz"}
GRAMS = {
    **{f"fraction_of_characters_in_most_common_{n}grams": f"dolma_top_{n}" for n in (2, 3, 4)},
    **{f"fraction_of_characters_in_duplicate_{n}grams": f"dolma_dup_{n}" for n in range(5, 11)},
}
GOPHER = {
    **{theirs: f"{ours}_gram_char_fraction" for theirs, ours in GRAMS.items()},
    "character_count": "dolma_character_count",
    "word_count": "dolma_word_count",
    "median_word_length": "dolma_median_word_length",
    "symbol_to_word_ratio": "dolma_symbol_to_word_ratio",
    "fraction_of_words_with_alpha_character": "dolma_alpha_word_ratio",
    "required_word_count": "dolma_required_word_count",
    "fraction_of_lines_starting_with_bullet_point": "dolma_bullet_line_ratio_VERSION",
    "fraction_of_lines_ending_with_ellipsis": "dolma_ellipsis_line_ratio_VERSION",
    "fraction_of_duplicate_lines": "dolma_dup_line_fraction_VERSION",
    "fraction_of_characters_in_duplicate_lines": "dolma_dup_line_char_fraction",
}
C4 = {
    "line_count": "dolma_c4_lines",
    "has_curly_brace": "dolma_c4_curly_braces",
    "has_lorem_ipsum": "dolma_c4_lorem_ipsum",
    "has_javascript": "dolma_c4_javascript_VERSION",
    "has_naughty_word": "dolma_c4_naughty_words",
}


def texts(folder: Path) -> dict[tuple[str, str], str]:
    """Return every text of the two files by (set, id)."""
    found = {}
    for name, file in SETS.items():
        with gzip.open(folder / file, "rt", encoding="utf-8") as rows:
            for row in map(json.loads, rows):
                found[name, row["id"]] = row["text"]
    return found


def dolma_rows(values: dict[str, np.ndarray], index: int, text: str) -> Iterator[dict[str, Any]]:
    """Yield the values of each tagger on one text, named as dolma's attributes."""
    for version in ("v1", "v2"):
        names = {theirs: ours.replace("VERSION", version) for theirs, ours in GOPHER.items()}
        yield {
            "filter": f"gopher_{version}",
            "keep": True,
            "values": {theirs: values[ours][index].item() for theirs, ours in names.items()},
        }
        names = {theirs: ours.replace("VERSION", version) for theirs, ours in C4.items()}
        found = {theirs: values[ours][index].item() for theirs, ours in names.items()}
        shown = {
            theirs: float(value if theirs == "line_count" else 1)
            for theirs, value in found.items()
            if value
        }
        # version 2 takes its offsets from the text in lower case, where U+0130 has two characters
        source = text if version == "v1" else text.replace("\u0130", "i\u0307")
        spans, unended, short = dolma_c4.line_spans(source)
        for name, marked in (
            ("lines_with_no_ending_punctuation", unended),
            ("lines_with_too_few_words", short),
        ):
            of = spans[marked].tolist()
            if of == [[0, len(text)]]:  # recorded as if it were a mark of the document
                shown[name] = 1.0
            elif of:
                shown[f"{name}.spans"] = len(of)
                shown[f"{name}.digest"] = hashlib.sha1(json.dumps(of).encode()).hexdigest()[:12]
        yield {"filter": f"c4_{version}", "keep": True, "values": shown}


def dclm_rows(values: dict[str, np.ndarray], index: int, _: str) -> Iterator[dict[str, Any]]:
    """Yield the decision of each filter on one text."""
    for name, rules in dclm.DECISIONS.items():
        value = {signal: values[signal][index].item() for signal, _, _ in rules}
        keep = all(
            value[signal] >= threshold if comparison == ">=" else value[signal] <= threshold
            for signal, comparison, threshold in rules
        )
        yield {"filter": name, "keep": keep, "values": value}


def main() -> None:
    """Write a row a text and filter, and print the speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", choices=("dolma", "dclm"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    measure, rows = (
        (dolma.measure, dolma_rows) if given.tool == "dolma" else (dclm.measure, dclm_rows)
    )
    found = texts(given.folder)
    column = pa.array(found.values(), pa.string())
    measure(column[:10])
    values = measure(column)
    begin = time.process_time()
    values = measure(column)
    spent = time.process_time() - begin
    with given.out.open("w", encoding="utf-8") as out:
        for index, ((name, key), text) in enumerate(found.items()):
            for row in rows(values, index, text):
                out.write(json.dumps({"id": key, "set": name, **row}) + "\n")
    size = sum(len(text.encode()) for text in found.values())
    print(
        f"{given.tool}: {size / 1e6 / spent:.1f} MB per CPU-s, {len(found) / spent:.0f} documents"
    )


if __name__ == "__main__":
    main()
