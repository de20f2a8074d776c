"""Write corpusforge/kernels/text_tables.npz: run for a new Unicode version, then commit it.

    pip install uniseg==0.10.1 && python tools/text_tables.py

Word_Break, Extended_Pictographic, Alphabetic and Uppercase come from uniseg, whose segmentation
DCLM uses, scripts from the regular expressions inside Hugging Face tokenizers, digits
(``str.isdigit``) from Python; they know the same Unicode version but for digits, which are of
Python's.
"""

from pathlib import Path

import numpy as np
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split
from uniseg.derived import alphabetic, uppercase
from uniseg.emoji import extended_pictographic
from uniseg.wordbreak import word_break

from corpusforge.kernels.text_tables import (
    ALPHABETIC,
    DIGIT,
    PICTOGRAPH,
    SCRIPTS,
    UPPERCASE,
    WORD_BREAKS,
)
from corpusforge.kernels.unicode_classes import CODE_POINTS

TARGET = Path(__file__).parents[1] / "corpusforge" / "kernels" / "text_tables.npz"
SURROGATES = range(0xD800, 0xE000)


def main() -> None:
    """Tabulate word break class, properties and script of every code point."""
    breaks = np.zeros(CODE_POINTS, np.uint8)
    properties = np.zeros(CODE_POINTS, np.uint8)
    script = np.zeros(CODE_POINTS, np.uint8)
    code = {name: index for index, name in enumerate(WORD_BREAKS)}
    for point in range(CODE_POINTS):
        character = chr(point)
        breaks[point] = code[word_break(character).value]
        for bit, has in (
            (PICTOGRAPH, extended_pictographic),
            (ALPHABETIC, alphabetic),
            (UPPERCASE, uppercase),
            (DIGIT, str.isdigit),
        ):
            properties[point] |= bit if has(character) else 0
    everything = "".join(chr(point) for point in range(CODE_POINTS) if point not in SURROGATES)
    for index, names in enumerate(SCRIPTS.values(), 1):
        pattern = "".join(rf"\p{{{name}}}" for name in names)
        others = Split(Regex(f"[{pattern}]+"), "removed").pre_tokenize_str(everything)
        inside = np.ones(CODE_POINTS, bool)
        inside[SURROGATES] = False
        outside = "".join(part for part, _ in others).encode("utf-32-le")
        inside[np.frombuffer(outside, np.uint32)] = False
        script[inside] = index
    np.savez_compressed(TARGET, breaks=breaks, properties=properties, script=script)


if __name__ == "__main__":
    main()
