"""Figures of predictions: accuracy, macro F1, exact match and token F1."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def accuracy(found: Sequence[str | None], wanted: Sequence[str]) -> float:
    """Share of equal ones."""
    return sum(f == w for f, w in zip(found, wanted, strict=True)) / max(len(wanted), 1)


def macro_f1(found: Sequence[str | None], wanted: Sequence[str]) -> float:
    """Mean over all labels that were found or wanted of 2 right / (found + wanted)."""
    right = Counter(f for f, w in zip(found, wanted, strict=True) if f == w)
    total = Counter(wanted) + Counter(one for one in found if one is not None)
    return sum(2 * right[name] / total[name] for name in total) / max(len(total), 1)


def plain(text: str) -> str:
    """Lower case, without punctuation, English articles and more than one space.

    As evaluate-v1.1.py of SQuAD (Rajpurkar et al. 2016) has it.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact(found: str, wanted: Sequence[str]) -> float:
    """1.0 where ``found`` is one of the ``wanted``, as `plain` sees it."""
    return float(any(plain(found) == plain(one) for one in wanted))


def token_f1(found: str, wanted: Sequence[str]) -> float:
    """Best F1 of the words that ``found`` and one of ``wanted`` share, as `plain` sees them."""
    best = 0.0
    for one in wanted:
        mine, theirs = plain(found).split(), plain(one).split()
        if not mine or not theirs:
            best = max(best, float(mine == theirs))
            continue
        shared = sum((Counter(mine) & Counter(theirs)).values())
        best = max(best, 2 * shared / (len(mine) + len(theirs)))
    return best


def answers(found: Sequence[str], wanted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Mean exact match and token F1."""
    pairs = list(zip(found, wanted, strict=True))
    return {
        "exact_match": sum(exact(*pair) for pair in pairs) / max(len(pairs), 1),
        "token_f1": sum(token_f1(*pair) for pair in pairs) / max(len(pairs), 1),
    }
