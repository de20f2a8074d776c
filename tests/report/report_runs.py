"""Tiny finished runs, written by the real writers."""

import hashlib
import json

import pyarrow as pa

from corpusforge import ledger, manifest, spec, trials
from corpusforge.ledger import Place
from corpusforge.manifest import Manifest
from corpusforge.schema import (
    CORPUS,
    DOCUMENT,
    EXTRACTED,
    LANGUAGE,
    LEDGER,
    SECOND_LANGUAGE,
    TWIN,
    VERDICT,
    tokens_schema,
)
from corpusforge.shard import ShardWriter

SIGNALS = [pa.field("words", pa.int64()), pa.field("dup_line_fraction", pa.float64())]
ADDRESS = [DOCUMENT.field(name) for name in ("id", "source", "offset", "ordinal")]
SIZE = pa.field("bytes", pa.int64())
STORED = pa.schema([*ADDRESS, *LANGUAGE, *SIGNALS, SIZE, pa.field("candidate", pa.bool_())])
LATER = [LEDGER.field(name) for name in ("edits", "cut", "chars", "words")] + TWIN
# What is settled.
MARKED = pa.schema([*DOCUMENT, *EXTRACTED, *VERDICT, *LANGUAGE, *SECOND_LANGUAGE, *LATER])


def reason(rule, signal=None, value=None, comparison=None, threshold=None):
    """A reason as the ledger holds it."""
    return {
        "rule": rule,
        "signal": signal,
        "value": value,
        "comparison": comparison,
        "threshold": threshold,
    }


FEW = reason("gopher-quality.min_words", "words", 3.0, ">=", 50.0)
DUP = reason("gopher-repetition.max_dup_lines", "dup_line_fraction", 0.5, "<=", 0.3)
READ = reason("http-status", "http_status", 404.0, "==", 200.0)
NEAR = reason("near-duplicate", "similarity", 0.8, "<", 0.7)
SAME = reason("duplicate", "similarity", 1.0, "<", 1.0)


def identity(number):
    """Id of a document; their order is not the order of the numbers."""
    return hashlib.md5(str(number).encode()).digest()


def document(number, outcome="kept", stage=None, reasons=None, **other):
    """A settled document; ``other`` replaces its columns."""
    text = other.get("text", f"Document number {number}, a few words of it. ✓")
    return {
        "id": identity(number),
        "source": "in/pages.warc.gz",
        "offset": number,
        "ordinal": 0,
        "url": f"https://host{number % 3}.example/{number}",
        "text": text,
        "outcome": outcome,
        "stage": stage,
        "reasons": reasons,
        "language": "en" if text else None,
        "language_score": 0.9 if text else None,
        "chars": len(text) if text else None,
        "bytes": len(text.encode()) if text else None,
        "words": len(text.split()) if text else None,
        **other,
    }


def usual():
    """Documents of every outcome."""
    return [
        *(document(n) for n in range(1, 11)),
        *(document(n, "dropped", "rules", [FEW]) for n in range(11, 15)),
        *(document(n, "dropped", "rules", [FEW, DUP]) for n in range(15, 18)),
        document(18, "dropped", "rules", [DUP], language="de"),
        *(document(n, "dropped", "read", [READ], text=None) for n in (19, 20)),
        document(21, "dropped", "dedup", [SAME], duplicate_of=identity(2), similarity=1.0),
        document(22, "dropped", "dedup", [NEAR], duplicate_of=identity(1), similarity=0.8),
        document(23, "failed", "read", text=None, detail="line 23: not JSON"),
        document(24, "failed", "read", text=None, detail="line 24: not JSON"),
        document(25, "failed", "extract", [reason("limit:depth")], text=None),
    ]


def write_clean(root, documents, batch=7):
    """Write a finished clean run of ``documents``, ``batch`` of them a record batch."""
    kept = ShardWriter(root, "corpus/unit-0.arrow", CORPUS)
    dropped = ShardWriter(root, "dropped/unit-0.arrow", CORPUS)
    rows = ShardWriter(root, "ledger/unit-0.parquet", LEDGER)
    signals = ShardWriter(root, "signals/unit-0.parquet", STORED)
    counts = [{"in": 0, "kept": 0, "dropped": 0, "failed": 0}]
    for start in range(0, len(documents), batch):
        part = documents[start : start + batch]
        settled = ledger.settle(
            pa.RecordBatch.from_pylist(part, MARKED),
            Place(kept.name, kept.rows),
            Place(dropped.name, dropped.rows),
        )
        kept.write(settled.kept)
        dropped.write(settled.dropped)
        rows.write(settled.ledger)
        counts.append(ledger.count(settled.ledger))
        stored = [
            {**row, "candidate": row["outcome"] == "kept", "dup_line_fraction": row["offset"] / 50}
            for row in part
            if row["text"]
        ]
        signals.write(pa.RecordBatch.from_pylist(stored, STORED))
    finish(
        root,
        "clean",
        spec.CleanSpec(),
        counts=ledger.add(counts),
        shards=tuple(writer.close() for writer in (kept, dropped, rows, signals)),
    )
    return root


def write_tokens(root, documents):
    """Write a finished tokenize run; ``documents`` are (language, tokens, bytes)."""
    rows = [
        {
            "ids": list(range(tokens)),
            "id": number.to_bytes(16, "big"),
            "source": "in/a.jsonl",
            "language": language,
            "bytes": size,
        }
        for number, (language, tokens, size) in enumerate(documents)
    ]
    schema = tokens_schema(16)
    writer = ShardWriter(root, "tokens/part-0.arrow", schema, compress=False)
    writer.write(pa.RecordBatch.from_pylist(rows, schema))
    n = len(documents)
    finish(
        root,
        "tokenize",
        spec.TokenizeSpec(),
        counts={"in": n, "kept": n, "dropped": 0, "failed": 0},
        shards=(writer.close(),),
        facts={
            "tokens": sum(tokens for _, tokens, _ in documents),
            "bytes": sum(size for _, _, size in documents),
            "tokenizer": {"vocab_size": 512, "eot": 0, "digest": "ab" * 32},
            "parents": [{"path": "run/clean", "content": "cd" * 32}],
        },
    )
    return root


def write_model(root, records, **facts):
    """Write a finished train run with ``records`` as its metrics, the last line torn."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (root / "metrics.jsonl").write_text(lines + '{"step": 9', encoding="utf-8")
    counts = {"in": 1, "kept": 1, "dropped": 0, "failed": 0}
    finish(str(root), "train", spec.TrainSpec(), counts=counts, facts=facts)
    return str(root)


def finish(root, kind, settings, *, counts, shards=(), facts=None):
    """Write the manifest."""
    Manifest(
        kind=kind,
        content="0f" * 32,
        counts=counts,
        spec=settings.model_dump(mode="json"),
        spec_digest=spec.digest(settings),
        shards=tuple(shards),
        versions=manifest.versions(),
        facts=facts or {},
    ).write(root)


def write_sweep(root, found, **facts):
    """Write a finished sweep over a learning rate and an activation with the trials ``found``."""
    settings = spec.parse(
        spec.SweepSpec,
        {
            "ranges": {
                "optim.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
                "model.activation": ["gelu", "swiglu"],
            }
        },
    )
    (root / "trials.jsonl").write_bytes(trials.lines(found))
    (root / "best.toml").write_text("# trial\nobjective = 'causal'\n", encoding="utf-8")
    best = trials.ranked(found, maximize=False)[0]
    states = [one["state"] for one in found]
    counts = {"in": len(found), "kept": states.count("complete")}
    counts |= {"dropped": states.count("pruned"), "failed": states.count("failed")}
    facts = {
        "objective": "heldout_loss", "maximize": False, "best": best["number"],
        "value": best["value"], "settings": best["settings"], **facts,
    }  # fmt: skip
    finish(str(root), "sweep", settings, counts=counts, facts=facts)
    return str(root)


def trial(number, state, values, rate, activation="gelu", why=None):
    """A trial of that sweep, evaluated every four steps."""
    return trials.Trial(
        number=number,
        state=state,
        settings={"optim.learning_rate": rate, "model.activation": activation},
        value=values[-1] if state == "complete" else None,
        values=[(4 * (place + 1), value) for place, value in enumerate(values)],
        reason=why,
        content=None,
    )


def usual_sweep(why="no"):
    """Seven trials: five complete, one pruned, one failed."""
    return [
        trial(0, "complete", [5.0, 4.0], 1e-3),
        trial(1, "complete", [4.0, 3.0], 2e-3, "swiglu"),
        trial(2, "failed", [], 9e-3, why=why),
        trial(3, "pruned", [6.0], 1e-4),
        trial(4, "complete", [4.5, 2.5], 5e-3),
        trial(5, "complete", [4.5, 2.75], 4e-3, "swiglu"),
        trial(6, "complete", [4.5, 3.5], 7e-3),
    ]
