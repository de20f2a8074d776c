"""A fine-tuned classifier beside TF-IDF and logistic regression, on rows of a clean run's texts.

python benchmarks/finetune_classifier.py RUN MODEL [--label language|site] [--set KEY=VALUE ...]

RUN is a clean run, MODEL a model folder. Each row is a paragraph of a kept document with the
language or site of its document; both learn from the same rows and are judged on the same others.
The split is by document, so no page is on both sides. Needs scikit-learn beside corpusforge[train].
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

import corpusforge.api as forge
from corpusforge import manifest
from corpusforge.spec import FinetuneSpec

LEAST, MOST = 80, 300  # characters of a row
PER_DOCUMENT = 12  # rows
SHARE = 0.25  # of the documents that are judged


def rows(run: str, label: str, least: int) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Rows to learn from and to judge: labels with ``least`` documents or more."""
    documents = []
    for shard in manifest.read(run, "clean").in_folder("corpus"):
        with pa.OSFile(f"{run}/{shard.name}") as file:
            table = pa.ipc.open_file(file).read_all()
        documents += table.select(["id", "url", "language", "text"]).to_pylist()
    found: dict[str, list[Any]] = {}
    for one in documents:
        name = one["language"] if label == "language" else urlsplit(one["url"] or "").hostname
        if name:
            found.setdefault(name, []).append(one)
    sides: tuple[list[dict[str, str]], list[dict[str, str]]] = ([], [])
    for name, group in sorted(found.items()):
        if len(group) < least:
            continue
        group.sort(key=lambda one: hashlib.sha256(one["id"]).digest())
        judged = max(round(SHARE * len(group)), 1)
        for place, one in enumerate(group):
            parts = [p.strip()[:MOST] for p in one["text"].split("\n") if len(p.strip()) >= LEAST]
            sides[place < judged].extend(
                {"text": part, "label": name} for part in parts[:PER_DOCUMENT]
            )
    return sides


def baseline(train: list[dict[str, str]], judged: list[dict[str, str]]) -> dict[str, float]:
    """Accuracy and macro F1 of logistic regression on TF-IDF, of words and of characters."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.pipeline import make_pipeline

    texts, labels = ([row[key] for row in train] for key in ("text", "label"))
    wanted = [row["label"] for row in judged]
    found = {}
    for kind, shape in (("word", (1, 2)), ("char_wb", (1, 4))):
        counts = TfidfVectorizer(analyzer=kind, ngram_range=shape, sublinear_tf=True)
        model = make_pipeline(counts, LogisticRegression(C=10.0, max_iter=2000))
        said = model.fit(texts, labels).predict([row["text"] for row in judged])
        found[f"{kind} accuracy"] = float(accuracy_score(wanted, said))
        found[f"{kind} macro_f1"] = float(f1_score(wanted, said, average="macro"))
    return found


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("model")
    parser.add_argument("--label", choices=["language", "site"], default="language")
    parser.add_argument("--least", type=int, default=8, help="documents of a label")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("-o", "--output", help="keep rows and run here")
    given = parser.parse_args()
    train, judged = rows(given.run, given.label, given.least)
    counts = Counter(row["label"] for row in train)
    print(f"{len(train)} rows to learn from, {len(judged)} to judge: {dict(counts)}")
    common = max(counts.values()) / max(len(train), 1)
    print(f"most frequent label: {common:.4f} of the rows")
    for name, value in baseline(train, judged).items():
        print(f"TF-IDF and logistic regression, {name}: {value:.4f}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(given.output or place)
        folder.mkdir(parents=True, exist_ok=True)
        for name, side in (("train.jsonl", train), ("judged.jsonl", judged)):
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in side)
            (folder / name).write_text(lines, encoding="utf-8")
        settings = ('task="sequence-classification"', *given.settings)
        spec = forge.load_spec(FinetuneSpec, None, settings)
        data, out = str(folder / "train.jsonl"), str(folder / "tuned")
        forge.finetune(given.model, data, out, spec, quiet=False)
        found = forge.predict(out, str(folder / "judged.jsonl"), str(folder / "said.jsonl"))
    print(f"fine-tuned, accuracy: {found['accuracy']:.4f}")
    print(f"fine-tuned, macro_f1: {found['macro_f1']:.4f}")


if __name__ == "__main__":
    main()
