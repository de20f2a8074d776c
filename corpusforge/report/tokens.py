"""Sections of a tokenize run: tokens and bytes, by language and source, lengths of documents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from corpusforge.manifest import Manifest
from corpusforge.report import plots, vocabulary
from corpusforge.report.distribution import Distribution
from corpusforge.report.page import (
    Cell,
    Section,
    bar,
    cut,
    element,
    facts,
    number,
    section,
    table,
)
from corpusforge.report.tally import Tally
from corpusforge.shard import read_batches

NAMES = ("documents", "tokens", "bytes")
ROWS = 30


def sections(root: str, run: Manifest, others: Sequence[str] = ()) -> list[Section]:
    """Return the sections of a tokenize run; ``others`` are tokenizers to compare it with."""
    languages, sources, lengths = Tally(NAMES), Tally(NAMES), Distribution()
    for shard in run.in_folder("tokens"):
        for batch in read_batches(root, shard.name):
            counted = {
                "documents": np.ones(batch.num_rows, np.int64),
                "tokens": np.diff(batch.column("ids").offsets.to_numpy()),
                "bytes": batch.column("bytes").to_numpy(zero_copy_only=False).astype(np.int64),
            }
            lengths.add(counted["tokens"], np.ones(batch.num_rows, bool))
            for tally, name in ((languages, "language"), (sources, "source")):
                keys = batch.column(name).cast(pa.string()).fill_null("not known")
                for column, amounts in counted.items():
                    tally.add(keys, pa.repeat(column, len(keys)), pa.array(amounts))
    return [
        _tokens(run),
        _lengths(lengths),
        _languages(run) or _by("Languages", "Language", languages, run),
        _by("Sources", "Source", sources, run),
        *vocabulary.used(root, run),
        *vocabulary.swept(run),
        *vocabulary.compared(root, run, others),
    ]


def _tokens(run: Manifest) -> Section:
    made, spec = run.facts["tokenizer"], run.spec
    tokens, size = run.facts["tokens"], run.facts["bytes"]
    return section(
        "Tokens",
        facts(
            [
                ("documents", run.counts["kept"]),
                ("tokens", tokens),
                ("bytes of text", size),
                ("bytes/token", size / tokens if tokens else None),
                ("vocabulary", made["vocab_size"]),
                ("algorithm", f"{spec['algo']}, {spec['split']}"),
            ]
        ),
        table("Tokenizer", ["What", "Value"], [["digest", element("code", made["digest"])]]),
    )


def _lengths(lengths: Distribution) -> Section:
    if not lengths.total:
        return section("Document lengths", element("p", "No documents.", class_="none"))
    marks = [(f"{share:.0%}", lengths.quantile(share)) for share in (0.01, 0.1, 0.5, 0.9, 0.99)]
    marks = [("smallest", lengths.low), *marks, ("largest", lengths.high)]
    rows: list[list[Cell]] = [[name, int(value)] for name, value in marks]
    label = f"Histogram of tokens a document over {number(lengths.total)} documents"
    plot = plots.histogram(lengths.bars([]), [], label)
    return section(
        "Document lengths",
        element("div", plots.figure(plot, "Tokens a document"), class_="plots") if plot else None,
        table("Tokens a document", ["Quantile", "Tokens"], rows),
    )


def _languages(run: Manifest) -> Section | None:
    """Tokens, bytes and words by language; parity is tokens a word against the largest one's."""
    found = run.facts.get("languages") or {}
    if not found:
        return None
    order = sorted(found, key=lambda name: (-found[name][3], name))
    first = found[order[0]]
    base = first[3] / max(first[2], 1)
    rows: list[list[Cell]] = []
    for name in order[:ROWS]:
        documents, size, words, tokens = found[name]
        a_word = tokens / max(words, 1)
        row: list[Cell] = [name or "not known", documents, tokens, size, size / max(tokens, 1)]
        rows.append(
            [*row, a_word, a_word / base if base else None, bar(tokens, run.facts["tokens"])]
        )
    head = ["Language", "Documents", "Tokens", "Bytes", "Bytes/token", "Tokens/word", "Parity"]
    return section(
        "Languages",
        table("Tokens by language", [*head, "Share of the tokens"], rows),
        element(
            "p",
            f"Tokens a word is called fertility; words are what white space separates. Parity is it"
            f" against {order[0] or 'what is not known'}'s.",
        ),
    )


def _by(title: str, name: str, tally: Tally, run: Manifest) -> Section:
    total = run.facts["tokens"]
    rows: list[list[Cell]] = [
        [cut(str(key), 200), documents, tokens, size, size / max(tokens, 1), bar(tokens, total)]
        for key, (documents, tokens, size) in tally.top(ROWS)
    ]
    more = len(tally.counts) - len(rows)
    return section(
        title,
        table(
            f"Tokens by {name.lower()}",
            [name, "Documents", "Tokens", "Bytes", "Bytes/token", "Share of the tokens"],
            rows,
        ),
        element("p", f"{number(more)} more are not shown.", class_="none") if more else None,
    )
