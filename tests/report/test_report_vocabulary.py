"""The report of a tokenize run: the vocabulary in use, sweeps, other tokenizers."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from selectolax.lexbor import LexborHTMLParser

from corpusforge import api, manifest, report
from corpusforge import spec as specs
from corpusforge.errors import UsageError
from corpusforge.report.vocabulary import renyi_efficiency
from corpusforge.shard import read_batches

LINES = {
    "en": "the wheel turns and the wheel turned",
    "de": "das Rad dreht und das Rad drehte sich",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tokenize run with a sweep, of two languages."""
    folder = tmp_path_factory.mktemp("vocabulary")
    rows = [{"id": f"{n}", "language": name, "text": f"{text} {n % 7}"}
            for n in range(40) for name, text in LINES.items()]  # fmt: skip
    (folder / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    spec = specs.TokenizeSpec(vocab_size=320, sweep=[270, 280])
    api.tokenize([str(folder / "a.jsonl")], str(folder / "tok"), spec, workers=1)
    return str(folder / "tok")


def tables(path):
    """Rows of every table of a page by its caption."""
    page = LexborHTMLParser(Path(path).read_text(encoding="utf-8"))
    found = {}
    for table in page.css("table"):
        rows = [[cell.text() for cell in row.css("th, td")] for row in table.css("tbody tr")]
        found[table.css_first("caption").text()] = rows
    facts = {a.text(): b.text() for a, b in zip(page.css("dt"), page.css("dd"), strict=True)}
    return found, facts


def test_counts_are_those_of_the_shards(run):
    """Use, efficiency, fertility and parity as a plain count over the documents gives them."""
    found, facts = tables(report.write(run))
    done = manifest.read(run, "tokenize")
    ids, words = Counter(), Counter()
    tokens = Counter()
    for shard in done.in_folder("tokens"):
        for batch in read_batches(run, shard.name):
            for row in batch.to_pylist():
                ids.update(row["ids"])
                tokens[row["language"]] += len(row["ids"])
                words[row["language"]] += len(LINES[row["language"]].split()) + 1
    assert facts["tokens in use"] == str(len(ids))
    size = done.facts["tokenizer"]["vocab_size"]
    shares = [count / ids.total() for count in ids.values()]
    entropy = math.log(sum(share**2.5 for share in shares)) / -1.5
    assert float(facts["Renyi efficiency"]) == pytest.approx(entropy / math.log(size), abs=6e-4)
    rows = {row[0]: row for row in found["Tokens by language"]}
    a_word = {name: tokens[name] / words[name] for name in LINES}
    most = max(LINES, key=lambda name: tokens[name])
    for name in LINES:
        assert float(rows[name][5]) == pytest.approx(a_word[name], abs=6e-4)
        assert float(rows[name][6]) == pytest.approx(a_word[name] / a_word[most], abs=6e-4)
    assert [int(row[0]) for row in found["Sizes"]] == [270, 280, size]


def test_efficiency_has_its_ends():
    """1 where all tokens are as frequent, 0 where one stands alone."""
    assert renyi_efficiency(np.full(64, 3)) == pytest.approx(1)
    assert renyi_efficiency(np.array([0, 9, 0])) == 0


def test_another_tokenizer_on_the_same_texts(run, tmp_path):
    """One that is the same gives the same figures; a clean run has none to compare."""
    found, _ = tables(report.write(run, [f"{run}/tokenizer"]))
    rows = found["The same texts"]
    assert [row[0] for row in rows] == ["all", "all", "de", "de", "en", "en"]
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        assert one[2:] == other[2:] and one[1] == "this one" and other[1] == f"{run}/tokenizer"
    from report_runs import usual, write_clean

    with pytest.raises(UsageError, match="--compare"):
        report.write(write_clean(str(tmp_path), usual()), ["x"])
