"""Write corpusforge/kernels/unicode_tables.npz: run for a new Unicode version, then commit it.

    pip install unicodedata2==16.0.0 && python tools/unicode_tables.py

Categories come from unicodedata2, lower case and Sentence_Terminal from the libraries inside
Hugging Face tokenizers (whose lower case knows a later Unicode; pairs of assigned characters are
stable). The version is that of its regular expressions, so that pre-token classes cannot differ; a
test compares the two.
"""

from pathlib import Path

import numpy as np
import unicodedata2
from tokenizers import Regex
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split

from corpusforge.kernels.unicode_classes import CATEGORIES, CODE_POINTS, UNICODE_VERSION

TARGET = Path(__file__).parents[1] / "corpusforge" / "kernels" / "unicode_tables.npz"
SURROGATES = range(0xD800, 0xE000)


def main() -> None:
    """Tabulate category, simple lower case and Sentence_Terminal of every code point."""
    if unicodedata2.unidata_version != UNICODE_VERSION:
        raise SystemExit(f"unicodedata2 {unicodedata2.unidata_version}, expected {UNICODE_VERSION}")
    code = {name: index for index, name in enumerate(CATEGORIES)}
    category = np.zeros(CODE_POINTS, np.uint8)
    lower_shift = np.zeros(CODE_POINTS, np.int32)  # distance to the lower-case form: packs well
    terminal = np.zeros(CODE_POINTS, np.bool_)
    fold = Lowercase()
    ends = Split(Regex(r"\p{Sentence_Terminal}"), "isolated")
    for point in range(CODE_POINTS):
        category[point] = code[unicodedata2.category(chr(point))]
        if category[point] != code["Cn"] and point not in SURROGATES:
            terminal[point] = len(ends.pre_tokenize_str(f"a{chr(point)}a")) == 3
            # U+0130 is the only one whose full form is longer; its simple form comes first.
            lower_shift[point] = ord(fold.normalize_str(chr(point))[0]) - point
    np.savez_compressed(
        TARGET, category=category, lower_shift=lower_shift, sentence_terminal=terminal
    )


if __name__ == "__main__":
    main()
