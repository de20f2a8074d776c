"""Multiple choice made from held-out text: cloze, and the order of two sentences.

A text's items depend on the seed and the text alone (a cloze also on how frequent words are in all
texts); of all items those of the lowest hash are taken, so the order of the texts changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from corpusforge.errors import InputError
from corpusforge.shard import write_bytes
from corpusforge.spec import EvalSpec
from corpusforge.spec.eval import MakeSpec

from . import data
from .documents import Document

LENGTHS = range(30, 401)  # characters of a sentence that is used
PER_DOCUMENT = 4  # items of one document, at most
COMMON = 100  # most frequent words of a language, which say little of the text
_END = re.compile(r"""(?<=[.!?…])["'”’»)\]]*\s+(?=\S)|(?<=[。！？])[」』”’]*|\n+""")
_WORD = re.compile(r"[^\W\d_]{3,}")
# Thai to Burmese, Khmer, kana, Han: written without spaces, so that a run of letters is no word
_NO_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)
_STOP = re.compile(r"""[.!?…。！？]["'”’»)\]」』]*$""")

Record = dict[str, Any]


class Words(NamedTuple):
    """Words of a language in small letters: how often each stands in the texts."""

    counts: Counter[str]
    common: frozenset[str]  # the most frequent ones


Known = Mapping[str, Words]


def make(kind: str, paths: Sequence[str], output: str, spec: EvalSpec) -> dict[str, Any]:
    """Write a set of ``kind`` ("cloze", "order") to the JSONL file ``output``.

    ``paths`` are texts as of `evaluate`, and models, which say what of their runs was held out.
    Returns {"items", "output", "documents"}. Raises InputError where no item can be made.
    """
    models = [path for path in paths if data.is_model(path)]
    given = data.load([p for p in paths if p not in models], models, spec.columns, spec.limit)
    if given.kind != "texts":
        raise InputError(f"{given.kind}", file=given.parents[0]["path"], expected="texts")
    known = _words(given.documents("")) if kind == "cloze" else {}
    found = list[tuple[bytes, Record]]()
    documents = 0
    for one in given.documents(""):
        documents += 1
        found += _of_document(kind, one, known, spec.make)
    if not found:
        raise InputError(
            f"none of {documents} documents has sentences for an item",
            file=given.parents[0]["path"],
            expected="running text with full stops",
        )
    last = sorted(key for key, _ in found)[: spec.make.items][-1]
    chosen = [record for key, record in found if key <= last]
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in chosen)
    write_bytes(output, "".join(lines).encode())
    return {"items": len(chosen), "output": output, "documents": documents}


def _of_document(
    kind: str, document: Document, known: Known, spec: MakeSpec
) -> Iterator[tuple[bytes, Record]]:
    """Items of one document, each with its key."""
    text = f"{spec.seed} {kind} {document.text}"
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    draw = random.Random(digest)
    bounds = list(sentences(document.text))
    places = list(range(1, len(bounds)))
    draw.shuffle(places)
    made, taken = 0, set[int]()
    for place in places:
        if made == PER_DOCUMENT:
            return
        if place in taken:
            continue
        record = MAKERS[kind](document, bounds, place, known, draw, spec)
        if record is None:
            continue
        taken |= {place - 1, place, place + 1}
        facts = {
            "document": document.name,
            "source": document.source,
            "language": document.language,
        }
        yield hashlib.blake2b(digest + bytes([made]), digest_size=8).digest(), {**facts, **record}
        made += 1


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each sentence, without the white space around it.

    One ends at a line's end, and at a full stop before white space and no small letter.
    """
    begin = 0
    for match in [*_END.finditer(text), None]:
        end = len(text) if match is None else match.end()
        if match is not None and text[end : end + 1].islower() and "\n" not in match[0]:
            continue
        part = text[begin:end]
        left, right = len(part) - len(part.lstrip()), len(part.rstrip())
        if left < right:
            yield begin + left, begin + right
        begin = end


def _usable(text: str, bound: tuple[int, int]) -> bool:
    return bound[1] - bound[0] in LENGTHS and bool(_STOP.search(text[slice(*bound)]))


def _order(
    document: Document,
    bounds: Sequence[tuple[int, int]],
    place: int,
    known: Known,
    draw: random.Random,
    spec: MakeSpec,
) -> Record | None:
    """Two sentences of a line as they stand, or exchanged (Lan et al. 2020, "ALBERT", 3.1)."""
    text = document.text
    if place + 1 == len(bounds) or not all(_usable(text, one) for one in bounds[place : place + 2]):
        return None
    (a, b), (c, d) = bounds[place : place + 2]
    lead, between = text[bounds[place - 1][1] : a], text[b:c]
    if "\n" in between or text[a:b] == text[c:d]:
        return None
    choices = [lead + text[a:d], lead + text[c:d] + between + text[a:b]]
    answer = draw.randrange(2)
    return {
        "context": text[bounds[max(place - spec.context, 0)][0] : bounds[place - 1][1]],
        "choices": choices if answer == 0 else choices[::-1],
        "answer": answer,
    }


def _cloze(
    document: Document,
    bounds: Sequence[tuple[int, int]],
    place: int,
    known: Known,
    draw: random.Random,
    spec: MakeSpec,
) -> Record | None:
    """A word of a sentence among others of its passage (Hill et al. 2016, "Goldilocks").

    The others are written as it is (small or capital, beyond ASCII or not) and stand in the passage
    and not in the sentence; where these are too few, words of the language about as frequent. Each
    choice goes on to the end of the sentence, so that what follows the word counts too.
    """
    text, (begin, end) = document.text, bounds[place]
    if not _usable(text, bounds[place]):
        return None
    words, common = known[document.language]
    context = text[bounds[max(place - spec.context, 0)][0] : begin]
    sentence = text[begin:end]
    inside = {word.lower() for word in _WORD.findall(sentence)}
    blanks = [
        match
        for match in _WORD.finditer(sentence)
        if sentence[: match.start()].endswith(" ")
        and match[0].lower() not in common
        and not _NO_SPACES.search(match[0])
    ]
    draw.shuffle(blanks)
    for blank in blanks:
        right = blank[0]

        def fits(word: str, right: str = right) -> bool:
            same = all(
                getattr(word, kind)() == getattr(right, kind)()
                for kind in ("istitle", "isupper", "isascii")
            )
            return same and word.lower() not in inside and word.lower() not in common

        others = sorted({word for word in _WORD.findall(context) if fits(word)})
        draw.shuffle(others)
        others = others[: spec.choices - 1]
        if len(others) < spec.choices - 1 and not right.istitle():
            level = round(math.log2(words[right.lower()] + 1))
            near = sorted(
                word
                for word, count in words.items()
                if round(math.log2(count + 1)) == level and fits(word) and word not in others
            )
            others += draw.sample(near, min(len(near), spec.choices - 1 - len(others)))
        if len(others) < spec.choices - 1:
            continue
        answer = draw.randrange(spec.choices)
        options = [*others[:answer], right, *others[answer:]]
        lead = sentence[: blank.start() - 1]
        return {
            "context": context + lead,
            "choices": [f" {word}{sentence[blank.end() :]}" for word in options],
            "answer": answer,
            "word": right,
        }
    return None


def _words(documents: Iterable[Document]) -> dict[str, Words]:
    """Words of each language."""
    found: dict[str, Counter[str]] = {}
    for one in documents:
        words = (word.lower() for word in _WORD.findall(one.text))
        found.setdefault(one.language, Counter()).update(words)
    ranked = {
        language: sorted(counts, key=lambda word: (-counts[word], word))[:COMMON]
        for language, counts in found.items()
    }
    return {name: Words(counts, frozenset(ranked[name])) for name, counts in found.items()}


Maker = Callable[
    [Document, Sequence[tuple[int, int]], int, Known, random.Random, MakeSpec], Record | None
]
MAKERS: dict[str, Maker] = {"cloze": _cloze, "order": _order}
