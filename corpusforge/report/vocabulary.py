"""Sections of a tokenize run about its vocabulary: how it is used, sweeps, other tokenizers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusforge import token_tally
from corpusforge.kernels.pretokens import utf8
from corpusforge.kernels.spelling import words_of
from corpusforge.manifest import Manifest
from corpusforge.report import plots
from corpusforge.report.page import Cell, Section, element, facts, number, percent, section, table
from corpusforge.shard import exists, join, read_batches
from corpusforge.tokenizer import Tokenizer

ALPHA = 2.5  # order of the Renyi entropy, as in Zouhar et al. 2023
ROWS = 20
SAMPLE = 4 << 20  # tokens of the documents that another tokenizer encodes too


def used(root: str, run: Manifest) -> list[Section]:
    """How often each token occurs: unused ones, the longest, the Renyi efficiency."""
    if not exists(root, "tokenizer/tokenizer.json"):
        return []
    tokenizer = Tokenizer.load(join(root, "tokenizer"))
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    for shard in run.in_folder("tokens"):
        for batch in read_batches(root, shard.name, ["ids"]):
            found = np.bincount(batch.column("ids").flatten().to_numpy())
            counts[: len(found)] += found
    special = {tokenizer.id_of(name) for name in tokenizer.special_tokens}
    plain = np.array([number not in special for number in range(len(counts))])
    names = tokenizer.names
    unused = np.flatnonzero((counts == 0) & plain)
    order = sorted(np.flatnonzero(counts).tolist(), key=lambda n: (-len(names.get(n, "")), n))
    rows: list[list[Cell]] = [
        [element("code", _seen(names.get(n, ""))), len(names.get(n, "")), int(counts[n])]
        for n in order[:ROWS]
    ]
    trip = run.facts.get("round_trip") or token_tally.EMPTY["round_trip"]
    lost = f"{number(trip['unequal'])} of {number(trip['documents'])}"
    if trip["first"]:
        lost += f", first {trip['first'][0]}"
    whole = section(
        "Vocabulary",
        facts(
            [
                ("tokens in use", int((counts > 0).sum())),
                ("not in use", f"{number(len(unused))} ({percent(len(unused), len(counts))})"),
                ("Renyi efficiency", renyi_efficiency(counts)),
                ("documents not given back", lost if trip["documents"] else "not asked for"),
                ("words too long to learn from", run.facts.get("words_dropped", 0)),
            ]
        ),
        table("Longest tokens in use", ["Token", "Characters", "Occurrences"], rows),
        element("p", f"Not in use, e.g. {_some(names, unused)}") if len(unused) else None,
    )
    return [whole]


def renyi_efficiency(counts: np.ndarray) -> float:
    """Return H(p) / log V of token counts (vocabulary,) int64, H the Renyi entropy of order 2.5.

    1 where all tokens are as frequent, 0 where one stands alone. Zouhar et al. 2023, "Tokenization
    and the Noiseless Channel", equation 8.
    """
    shares = counts[counts > 0] / max(int(counts.sum()), 1)
    if len(shares) < 2:
        return 0.0
    return float(np.log((shares**ALPHA).sum()) / (1 - ALPHA) / np.log(len(counts)))


def swept(run: Manifest) -> list[Section]:
    """What each size of a sweep costs; nothing where there was none."""
    found = run.facts.get("sweep") or []
    if not found:
        return []
    rows: list[list[Cell]] = [
        [one["vocab_size"], one["tokens"], one["bytes_per_token"]] for one in found
    ]
    points = np.array([[one["vocab_size"], one["bytes_per_token"]] for one in found], float)
    label = "Bytes a token against the size of the vocabulary"
    plot = plots.curve(points, label, points, across="vocabulary") if len(points) > 1 else None
    return [
        section(
            "Vocabulary sweep",
            element("div", plots.figure(plot, label), class_="plots") if plot else None,
            table("Sizes", ["Vocabulary", "Tokens of the training text", "Bytes/token"], rows),
        )
    ]


def compared(root: str, run: Manifest, others: Sequence[str]) -> list[Section]:
    """What other tokenizers make of the first documents; nothing where none is named."""
    if not others:
        return []
    own = Tokenizer.load(join(root, "tokenizer"))
    text, languages = _first_texts(root, run, own)
    words = words_of(*utf8(text))
    sizes = pc.binary_length(text).to_numpy(zero_copy_only=False).astype(np.int64)
    rows: list[list[Cell]] = []
    for name, one in [("this one", own), *((path, Tokenizer.load(path)) for path in others)]:
        lengths = np.diff(one.encode_batch(text).offsets.to_numpy())
        for language in ("all", *sorted(set(languages))[:ROWS]):
            mine = np.array([language in ("all", given) for given in languages], bool)
            tokens, size, count = (int(a[mine].sum()) for a in (lengths, sizes, words))
            rows.append(
                [
                    language,
                    name,
                    one.vocab_size,
                    tokens,
                    size / max(tokens, 1),
                    tokens / max(count, 1),
                ]
            )
    rows.sort(key=lambda row: (row[0] != "all", str(row[0])))
    head = ["Language", "Tokenizer", "Vocabulary", "Tokens", "Bytes/token", "Tokens/word"]
    return [
        section(
            "Other tokenizers",
            element("p", f"On the first {number(len(text))} documents, as this run decodes them."),
            table("The same texts", head, rows),
        )
    ]


def _first_texts(root: str, run: Manifest, own: Tokenizer) -> tuple[pa.Array, list[str]]:
    texts, languages, tokens = list[str](), list[str](), 0
    for shard in run.in_folder("tokens"):
        for batch in read_batches(root, shard.name, ["ids", "language"]):
            for ids, language in zip(
                batch.column("ids").to_pylist(), batch.column("language").to_pylist(), strict=True
            ):
                if tokens >= SAMPLE:
                    return pa.array(texts, pa.large_string()), languages
                texts.append(own.decode(ids))
                languages.append(language or "not known")
                tokens += len(ids)
    return pa.array(texts, pa.large_string()), languages


def _some(names: dict[int, str], numbers: np.ndarray) -> str:
    return ", ".join(_seen(names.get(n, "")) for n in numbers[:ROWS].tolist())


def _seen(token: str) -> str:
    """The token with its white space to be seen."""
    return token.replace(" ", "\u2423").replace("\n", "\u21b5").replace("\t", "\u21e5")
