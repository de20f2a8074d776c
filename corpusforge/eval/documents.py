"""Texts of runs to evaluate on: clean runs, token folders, and what a model never learned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from corpusforge import manifest
from corpusforge.errors import InputError, UsageError
from corpusforge.shard import join, read_batches
from corpusforge.tokenizer import Tokenizer
from corpusforge.tokens import Tokens

AT_ONCE = 1024  # documents whose provenance is looked up together
MODELS = ("train", "finetune")


@dataclass(frozen=True)
class Document:
    """One text: its words, or its ids as a token folder has them (int64 [n], without the end)."""

    name: str  # its id (hex), or its file and place
    source: str
    language: str
    text: str = ""
    ids: np.ndarray | None = None
    bytes: int = 0  # UTF-8 bytes of the text


@dataclass(frozen=True)
class Run:
    """A clean run, or one or several token folders of which the share ``heldout`` is held out."""

    folders: tuple[str, ...]
    contents: tuple[str, ...]  # digest of each
    heldout: float = 0.0  # 0: all documents

    def documents(self, digest: str) -> Iterator[Document]:
        """The documents in order; ids where the folders' tokenizer has this ``digest``, else text.

        Raises InputError where none is held out, or where ids do not give the text back.
        """
        if manifest.read(self.folders[0], "clean", "tokenize").kind == "clean":
            yield from _clean(self.folders[0])
        else:
            yield from _tokens(self.folders, self.heldout, digest)


def of_run(path: str, models: Sequence[str]) -> Run:
    """A finished run; of a token folder that one of ``models`` read, what all of them held out."""
    run = manifest.read(path, "clean", "tokenize")
    if run.kind == "clean":
        return Run((path,), (run.content,))
    shares = []
    for model in models:
        if not manifest.finished(model):
            continue
        made = manifest.read(model, *MODELS)
        if run.content in {parent["content"] for parent in made.facts.get("parents", [])}:
            shares.append(float(made.spec["data"]["heldout"]))
    return Run((path,), (run.content,), min(shares, default=0.0))


def heldout_of(model: str) -> Run:
    """What a train run held out of its token folders.

    Raises UsageError where it held nothing out or is no train run, InputError where the folders are
    gone.
    """
    if not manifest.finished(model) or manifest.read(model, *MODELS).kind != "train":
        raise UsageError("no data", file=model, remedy="name it: forge eval MODEL DATA")
    run = manifest.read(model, "train")
    share = float(run.spec["data"]["heldout"])
    if not share:
        raise UsageError("this model held nothing out", file=model, remedy="name the data")
    parents = run.facts["parents"]
    for parent in parents:
        folder = parent["path"]
        gone = not manifest.finished(folder)
        if gone or manifest.read(folder, "tokenize").content != parent["content"]:
            raise InputError(
                f"its token folder {folder} is gone or has changed",
                file=model,
                remedy="name the data: forge eval MODEL DATA",
            )
    names = tuple(parent["path"] for parent in parents)
    return Run(names, tuple(parent["content"] for parent in parents), share)


def _clean(path: str) -> Iterator[Document]:
    for shard in manifest.read(path, "clean").in_folder("corpus"):
        for batch in read_batches(path, shard.name, ["id", "source", "language", "text"]):
            for row in batch.to_pylist():
                text, id_ = row["text"] or "", row["id"]
                name = id_.hex() if isinstance(id_, bytes) else str(id_)
                language = row["language"] or "unknown"
                yield Document(name, row["source"], language, text, bytes=len(text.encode()))


def _tokens(folders: Sequence[str], heldout: float, digest: str) -> Iterator[Document]:
    tokens = Tokens.open(folders)
    every = np.flatnonzero(tokens.lengths(heldout, "heldout" if heldout else "train"))
    if not len(every):
        raise InputError("no document is held out", file=folders[0], remedy="name other data")
    end = tokens.tokenizer["eot"]
    tokenizer = None if tokens.tokenizer["digest"] == digest else _lossless(tokens.folders[0])
    first = tokens.shards.first
    for begin in range(0, len(every), AT_ONCE):
        numbers = every[begin : begin + AT_ONCE]
        names = [found.hex() for found in tokens.documents(numbers).column("id").to_pylist()]
        labels = []
        for by in ("source", "language"):
            codes, known = tokens.codes(by, numbers)
            labels.append([known[code] or "unknown" for code in codes.tolist()])
        _, sizes = tokens.sizes(numbers)
        for row, number in enumerate(numbers.tolist()):
            part = int(np.searchsorted(first, number, side="right")) - 1
            values = tokens.batches[part].column("ids")[number - int(first[part])].values
            ids = values.to_numpy().astype(np.int64)
            if len(ids) and ids[-1] == end:
                ids = ids[:-1]
            facts = (names[row], labels[0][row], labels[1][row])
            if tokenizer is None:
                yield Document(*facts, ids=ids, bytes=int(sizes[row]))
            else:
                text = tokenizer.decode(ids.tolist())
                yield Document(*facts, text=text, bytes=len(text.encode()))


def _lossless(folder: str) -> Tokenizer:
    tokenizer = Tokenizer.load(join(folder, "tokenizer"))
    if tokenizer.engine != "own":
        raise InputError(
            "ids of this tokenizer do not give back the text",
            file=folder,
            expected="a byte-level BPE, or the model's own tokenizer",
            remedy="name the clean run instead",
        )
    return tokenizer
