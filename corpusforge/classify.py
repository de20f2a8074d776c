"""Train a quality model on two piles of text, good and bad, and say how well it tells them apart.

The texts are split by their hash: a tenth is held out and only scored, so that copies never stand
on both sides. They are learnt in the order of their hashes: the model is the same for any order of
the input and any number of workers. Copies count once; a text of both piles is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusforge import manifest, quality, readers
from corpusforge.errors import InputError, UsageError
from corpusforge.kernels import linear, minhash
from corpusforge.kernels.dedup import halves
from corpusforge.kernels.unicode_classes import UNICODE_VERSION
from corpusforge.plan import find_inputs, make_units
from corpusforge.shard import exists
from corpusforge.spec import TokenizeSpec
from corpusforge.stages.tokens import Texts
from corpusforge.storage import need_local
from corpusforge.transform import alive

BUCKETS, EPOCHS, RATE = 1 << 21, 10, 40.0
HELD_OUT = 10  # one text in so many
LEAST = 20  # texts of a pile
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)  # of the bad pile, for which a threshold is reported


@dataclass(frozen=True)
class Pile:
    """Texts as their 128-bit hashes, (n, 2) uint64, and their words: hashes and bounds."""

    keys: npt.NDArray[np.uint64]
    words: linear.U32
    bounds: linear.I64


def train(good: str, bad: str, output: str, *, keep: float = 0.1, workers: int = 1) -> Any:
    """Train a model, write it to ``output``, and return its configuration with the report.

    ``keep`` is the share of the bad pile that the reported ``threshold`` lets pass. Raises
    InputError for a pile of too few texts.
    """
    if not 0 < keep < 1:
        raise UsageError(f"--keep {keep}", expected="a share between 0 and 1")
    need_local(output)
    if exists(output, "") and not exists(output, quality.CONFIG):
        raise UsageError(f"{output} is there, and no model", remedy="choose another -o")
    piles = [_pile(path, workers) for path in (good, bad)]
    keys = np.concatenate([pile.keys for pile in piles])
    words = np.concatenate([pile.words for pile in piles])
    bounds = np.append(piles[0].bounds, piles[1].bounds[1:] + len(piles[0].words))
    labels = np.repeat(np.array([1, 0], np.float32), [len(pile.keys) for pile in piles])
    order, both = _order(keys, labels)
    held = keys[order, 1] % np.uint64(HELD_OUT) == 0
    learnt, tested = order[~held], order[held]
    for path, label in ((good, 1), (bad, 0)):
        counts = [int((labels[rows] == label).sum()) for rows in (learnt, tested)]
        if sum(counts) < LEAST or not all(counts):
            raise InputError(
                f"{sum(counts)} different texts are too few to learn from",
                file=path,
                expected=f"{LEAST} or more",
            )
    weights, bias = linear.train(words, bounds, labels, learnt, BUCKETS, EPOCHS, RATE)
    scores = np.round(linear.score_hashes(words, bounds, weights, bias), 3)[tested]
    lengths = np.diff(bounds)[tested]
    config = {
        "features": "words and bigrams of the unicode splitter, hashed",
        "unicode": UNICODE_VERSION,
        **{"buckets": BUCKETS, "epochs": EPOCHS, "rate": RATE},
        "texts": {
            "learnt": {"good": int(labels[learnt].sum()), "bad": int((1 - labels[learnt]).sum())},
            "held_out": {"good": int(labels[tested].sum()), "bad": int((1 - labels[tested]).sum())},
            "in_both": both,
        },
        "held_out": report(scores, labels[tested] > 0.5, lengths, keep),
    }
    quality.save(output, weights, bias, config)
    return config


def report(
    scores: linear.F64, good: npt.NDArray[np.bool_], lengths: linear.I64, keep: float
) -> dict[str, Any]:
    """Return AUC, precision and recall of held-out texts, as if both piles were equally large.

    For each share of the bad pile that may pass, the threshold above which it does, and the share
    of the good pile that passes; ``length_bias`` is the rank correlation of score and words.
    """
    bad_scores = np.sort(scores[~good])[::-1]
    rows = {}
    for share in sorted({*SHARES, keep}):
        # The lowest threshold, a multiple of 1e-3, that lets no larger share of them pass.
        threshold = min(bad_scores[int(share * len(bad_scores))] + 0.001, 1.0)
        rows[f"{share:g}"] = _at(scores, good, round(float(threshold), 3))
    return {
        "auc": round(float(auc(scores[good], scores[~good])), 4),
        "at_half": _at(scores, good, 0.5),
        "length_bias": round(_rank_correlation(scores, lengths), 3),
        "threshold": rows[f"{keep:g}"]["threshold"],
        "by_share_of_bad": rows,
    }


def _at(scores: linear.F64, good: npt.NDArray[np.bool_], threshold: float) -> dict[str, float]:
    recall, passed = ((scores[side] >= threshold).mean() for side in (good, ~good))
    precision = recall / (recall + passed) if recall + passed else 0.0
    values = {"threshold": threshold, "precision": precision, "recall": recall, "bad": passed}
    return {name: round(float(value), 4) for name, value in values.items()}


def auc(good: linear.F64, bad: linear.F64) -> float:
    """Return the chance that a good text scores higher than a bad one; equal scores are half."""
    ranks = _ranks(np.append(good, bad))
    pairs = len(good) * len(bad)
    return float((ranks[: len(good)].sum() - len(good) * (len(good) + 1) / 2) / pairs)


def _ranks(values: npt.NDArray[Any]) -> linear.F64:
    """Return the rank of each value from 1, the mean rank for equal ones."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: linear.F64 = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _rank_correlation(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    first, second = (_ranks(values) - (len(values) + 1) / 2 for values in (one, other))
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / size if size else 0.0


def _order(keys: npt.NDArray[np.uint64], labels: linear.F32) -> tuple[linear.I64, int]:
    """Return the rows of different texts by hash, and how many texts were in both piles."""
    order = np.lexsort((labels, keys[:, 1], keys[:, 0]))
    starts = np.flatnonzero(np.append(True, (np.diff(keys[order], axis=0) != 0).any(axis=1)))
    ends = np.append(starts[1:], len(order)) - 1
    # Sorted by label within a hash: both piles are there where the first and last label differ.
    both = labels[order[starts]] != labels[order[ends]]
    return order[starts[~both]].astype(np.int64), int(both.sum())


def _pile(path: str, workers: int) -> Pile:
    keys, words, sizes = [], [], []
    for found in _ahead(texts(path), workers):
        keys.append(found.keys)
        words.append(found.words)
        sizes.append(np.diff(found.bounds))
    if not keys:
        raise InputError("no text to learn from", file=path)
    bounds = np.append(0, np.cumsum(np.concatenate(sizes)))
    return Pile(np.concatenate(keys), np.concatenate(words), bounds.astype(np.int64))


def _hashed(text: pa.StringArray) -> Pile:
    keys = minhash.exact_keys(text, "bytes")
    high, low = halves(keys)
    return Pile(np.stack([high, low], axis=1), *linear.word_hashes(text))


def _ahead(batches: Iterable[pa.StringArray], workers: int) -> Iterator[Pile]:
    """Hash the words of batches in ``workers`` threads, in order, few batches in memory."""
    with ThreadPoolExecutor(workers) as pool:
        running: deque[Future[Pile]] = deque()
        for text in batches:
            running.append(pool.submit(_hashed, text))
            if len(running) > 2 * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def texts(path: str) -> Iterator[pa.StringArray]:
    """Yield the texts of a clean run, or of plain corpus files, a folder or glob of them."""
    spec = TokenizeSpec()
    for unit in _units(path, spec):
        for batch in unit.batches(spec):
            yield batch.filter(pa.array(alive(batch))).column("text")


def _units(path: str, spec: TokenizeSpec) -> Sequence[Texts]:
    if exists(path, "manifest.json"):
        run = manifest.read(path, "clean")
        shards = run.in_folder("corpus")
        return [Texts(s.name, s.bytes, s.sha256, path, s.name, s.rows) for s in shards]
    files = find_inputs([path], readers.READABLE)
    units = make_units(files, [readers.sniff(file.path) for file in files], spec.plan)
    return [Texts(u.name, u.bytes, u.fingerprint, unit=u.to_json()) for u in units]
