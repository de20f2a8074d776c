"""Train corpusforge/kernels/extraction/block_trees.npz on labelled pages; report how it does.

    python -m venv V && V/bin/pip install -e . lightgbm==4.7.0 tldextract==5.4.0
    V/bin/python tools/block_scorer.py ../shared check    # cross-validated, nothing is written
    V/bin/python tools/block_scorer.py ../shared write    # trees of all pages into the package

A block is labelled with the share of its word trigrams that stand in the page's main text. Pages
count alike and blocks by the root of their length. Folds hold whole registered domains; those of
pages without a real address are guessed from what they link to.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import tldextract

from corpusforge.kernels.extraction import containers, forest, parse, selection
from corpusforge.kernels.extraction.blocks import Blocks, walk
from corpusforge.kernels.extraction.text import render

TARGET = Path(forest.__file__).with_name("block_trees.npz")
ROUNDS = 50
PARAMETERS = {
    "objective": "cross_entropy",
    "num_leaves": 16,
    "max_depth": 5,
    "learning_rate": 0.18,
    "min_data_in_leaf": 200,
    "min_sum_hessian_in_leaf": 5,
    "lambda_l2": 10,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.5,
    "bagging_freq": 1,
    "max_bin": 63,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}
FOLDS = 5
KINDS = {"forum", "collection", "listing", "product", "service"}
LINK = re.compile(r"""(?:href|src|content)=["']?(?:https?:)?//([^/"' >]+)""")
WORLD = {"google.com", "facebook.com", "twitter.com", "w3.org", "googleapis.com", "test"}


@dataclass
class Sample:
    """A labelled page: features, share of each block in the main text (-1 without words)."""

    row: dict[str, Any]
    group: str
    page: Blocks
    ruled: list[int]
    x: np.ndarray
    y: np.ndarray


def scorer(shared: Path) -> Any:
    """The yardstick, shared/tools/score_extraction.py."""
    spec = importlib.util.spec_from_file_location(
        "score_extraction", shared / "tools" / "score_extraction.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def registered(host_or_url: str, split: tldextract.TLDExtract) -> str:
    """The registered domain."""
    parts = split(host_or_url)
    return parts.top_domain_under_public_suffix or parts.domain or host_or_url


def group(row: dict[str, Any], split: tldextract.TLDExtract) -> str:
    """The registered domain of a page, or the one it links to most."""
    domain = registered(row["url"], split)
    if domain != "test":
        return domain
    hosts = Counter(registered(host, split) for host in LINK.findall(row["html"]))
    return next((host for host, _ in hosts.most_common(6) if host not in WORLD), row["url"])


def labels(texts: list[str], gold: str, marks: Any) -> np.ndarray:
    """Share of the word trigrams (shorter blocks: of the whole) that stand in ``gold``."""
    words = marks.TOKEN.findall(gold)
    known = {n: set(zip(*(words[i:] for i in range(n)), strict=False)) for n in (1, 2, 3)}
    shares = []
    for text in texts:
        own = marks.TOKEN.findall(text)
        n = min(3, len(own))
        grams = list(zip(*(own[i:] for i in range(n)), strict=False)) if n else []
        shares.append(sum(gram in known[n] for gram in grams) / len(grams) if grams else -1.0)
    return np.array(shares, np.float32)


def samples(path: Path, marks: Any) -> list[Sample]:
    """All pages of a labelled file that hold text."""
    split = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    found = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            root = parse(row["html"], depth=5000, nodes=1_000_000).root
            if root is None:
                continue
            page = walk(root, depth=5000, nodes=1_000_000)
            if not page.text:
                continue
            masses = containers.measure(page)
            found.append(
                Sample(
                    {key: value for key, value in row.items() if key != "html"},
                    group(row, split),
                    page,
                    selection.by_rules(page, masses),
                    forest.describe(page, masses.size),
                    labels(page.text, row["text"], marks) if "text" in row else np.zeros(0),
                )
            )
    return found


def train(pages: list[Sample]) -> lightgbm.Booster:
    """Boosted trees for the blocks of ``pages``."""
    weights = []
    for page in pages:
        root = np.sqrt(page.x[:, 0])
        weights.append(root / max(root.sum(), 1e-9))
    x, y, w = (
        np.concatenate([page.x for page in pages]),
        np.concatenate([page.y for page in pages]),
        np.concatenate(weights),
    )
    known = y >= 0
    data = lightgbm.Dataset(x[known], y[known], weight=w[known] / w[known].mean())
    return lightgbm.train(PARAMETERS, data, ROUNDS)


def arrays(model: lightgbm.Booster) -> dict[str, np.ndarray]:
    """The trees of ``model`` as the arrays of `forest.trees`."""
    root: list[int] = []
    feature: list[int] = []
    threshold: list[float] = []
    after: list[tuple[int, int]] = []
    leaf: list[float] = []

    def add(node: dict[str, Any]) -> int:
        if "leaf_value" in node:
            leaf.append(node["leaf_value"])
            return ~(len(leaf) - 1)
        assert node["decision_type"] == "<="
        place = len(feature)
        bound = np.float32(node["threshold"])
        if bound > node["threshold"]:  # the largest float32 that is not above it decides alike
            bound = np.nextafter(bound, np.float32(-np.inf))
        feature.append(node["split_feature"])
        threshold.append(float(bound))
        after.append((0, 0))
        after[place] = add(node["left_child"]), add(node["right_child"])
        return place

    for tree in model.dump_model()["tree_info"]:
        root.append(add(tree["tree_structure"]))
    return {
        "root": np.array(root, np.int32),
        "feature": np.array(feature, np.int32),
        "threshold": np.array(threshold, np.float32),
        "after": np.array(after, np.int32),
        "leaf": np.array(leaf, np.float64),
    }


def choose(page: Sample, model: dict[str, np.ndarray], rules: float) -> list[int]:
    """What `selection.select` chooses with these trees."""
    odds = forest.evaluate(page.x, *(model[name] for name in forest.NAMES))
    return selection.combine(page.x, odds, page.ruled, rules)


def report(name: str, pages: list[Sample], chosen: list[list[int]], marks: Any) -> None:
    """Print the marks of ``chosen`` over all pages and groups of them."""
    counts = [
        marks.counts(page.row["text"], render(page.page, blocks), 4)
        for page, blocks in zip(pages, chosen, strict=True)
    ]
    parts: dict[str, list[Any]] = {}
    for page, count in zip(pages, counts, strict=True):
        row = page.row
        names = ["all", row["kind"], "from " + row["source"]]
        names += ["the five kinds"] * (row["kind"] in KINDS) + ["not English"] * (
            row["lang"] != "en"
        )
        for part in names:
            parts.setdefault(part, []).append(count)
    for part in sorted(parts):
        mark = marks.summary(parts[part])
        print(
            f"{name:28}{part:28}{mark['F1']:.4f}  P {mark['P']:.3f}  R {mark['R']:.3f}"
            f"  empty {mark['empty']}",
            flush=True,
        )


def check(pages: list[Sample], held: np.ndarray, name: str, marks: Any) -> None:
    """Report trees alone and with the rules on pages of folds that they were not trained on."""
    alone: list[list[int]] = [[] for _ in pages]
    both: list[list[int]] = [[] for _ in pages]
    for fold in sorted(set(held.tolist())):
        model = arrays(train([page for page, f in zip(pages, held, strict=True) if f != fold]))
        for place in np.flatnonzero(held == fold):
            alone[place] = choose(pages[place], model, 0.0)
            both[place] = choose(pages[place], model, selection.RULES)
    report(f"trees, {name}", pages, alone, marks)
    report(f"trees + rules, {name}", pages, both, marks)


def main() -> None:
    """Check or write the trees."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("task", choices=["check", "write"])
    args = parser.parse_args()
    marks = scorer(args.shared)
    pages = samples(args.shared / "data" / "extraction_dev.jsonl.gz", marks)
    if args.task == "write":
        np.savez_compressed(TARGET, **arrays(train(pages)))
        return
    report("rules", pages, [page.ruled for page in pages], marks)
    order = np.random.default_rng(0)
    domains = sorted({page.group for page in pages})
    order.shuffle(domains)
    fold = {domain: place % FOLDS for place, domain in enumerate(domains)}
    check(pages, np.array([fold[page.group] for page in pages]), "domains", marks)
    sources = sorted({page.row["source"] for page in pages})
    check(pages, np.array([sources.index(page.row["source"]) for page in pages]), "sources", marks)


if __name__ == "__main__":
    main()
