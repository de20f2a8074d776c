"""What is evaluated on: one kind of items, from files, folders of files and runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from corpusforge import given, manifest, shard
from corpusforge.errors import InputError

from . import items
from .documents import Document, Run, heldout_of, of_run
from .items import Item

FOLDER_OF_MODEL = ("checkpoints", "config.json")


@dataclass(frozen=True)
class Data:
    """Items of files, and runs, of one kind: texts, choices, prompts, answers or labels."""

    kind: str
    items: tuple[Item, ...]
    runs: tuple[Run, ...]
    parents: tuple[dict[str, str], ...]  # path and content of each
    limit: int = 0  # items that are used, the first ones; 0: all

    def documents(self, digest: str) -> Iterator[Document]:
        """All texts, those of files first; see `Run.documents`."""
        return islice(self._documents(digest), self.limit or None)

    def _documents(self, digest: str) -> Iterator[Document]:
        for one in self.items:
            text = one.values["text"]
            source = one.values.get("source", one.file)
            language = one.values.get("language", "unknown")
            name = f"{one.file} {one.place}"
            yield Document(name, source, language, text, bytes=len(text.encode()))
        for run in self.runs:
            yield from run.documents(digest)

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures should know of the runs."""
        return [run.note for run in self.runs if run.note]

    @property
    def bytes(self) -> int:
        """Bytes of the texts of files, 0 where there are others whose size is not known."""
        if self.runs or self.limit or self.kind != "texts":
            return 0
        return sum(len(one.values["text"].encode()) for one in self.items)

    @property
    def chosen(self) -> list[Item]:
        """The items of files that are used."""
        return list(self.items[: self.limit or None])


def is_model(path: str) -> bool:
    """Tell whether a folder holds a model: a train or fine-tuning run, or one of transformers."""
    return any(Path(path, name).exists() for name in FOLDER_OF_MODEL)


def load(
    paths: Sequence[str], models: Sequence[str], columns: Mapping[str, str], limit: int = 0
) -> Data:
    """Read files and look at runs; without ``paths`` what the first model held out.

    Raises InputError where they are not of one kind, or a record is not as it should be.
    """
    if not paths:
        run = heldout_of(models[0])
        return Data("texts", (), (run,), _parents(run), limit)
    kinds: dict[str, str] = {}
    found, runs, parents = list[Item](), list[Run](), list[dict[str, str]]()
    for path in paths:
        if manifest.finished(path):
            run = of_run(path, models)
            kinds.setdefault("texts", path)
            runs.append(run)
            parents += _parents(run)
            continue
        digests = []
        for file in files(path):
            kind, records = items.read(file, columns)
            kinds.setdefault(kind, file)
            found += records
            digests.append(given.digest(file))
        content = digests[0]
        if len(digests) > 1:
            content = hashlib.sha256("\n".join(digests).encode()).hexdigest()
        parents.append({"path": path, "content": content})
    if len(kinds) > 1:
        (first, one), (second, other) = list(kinds.items())[:2]
        raise InputError(
            f"holds {second}", file=other, expected=f"{first} as {one} has",
            remedy="evaluate them in runs of their own",
        )  # fmt: skip
    return Data(next(iter(kinds)), tuple(found), tuple(runs), tuple(parents), limit)


def _parents(run: Run) -> tuple[dict[str, str], ...]:
    pairs = zip(run.folders, run.contents, strict=True)
    return tuple({"path": folder, "content": content} for folder, content in pairs)


def files(path: str) -> list[str]:
    """A file itself, or the readable files of a folder in order."""
    if not shard.exists(path, ""):
        raise InputError("no such file or folder", file=path, remedy="check the path")
    if not Path(path).is_dir():
        return [path]
    found = sorted(str(one) for one in Path(path).rglob("*") if items.readable(str(one)))
    if not found:
        raise InputError(
            "this folder holds no readable file, no run and no model",
            file=path,
            expected="JSONL, Parquet or text",
        )
    return found
