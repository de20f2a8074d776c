"""Texts of runs to evaluate on: clean runs, token folders, and what a model never learned from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusforge import given, manifest
from corpusforge.errors import InputError, UsageError
from corpusforge.shard import join, read_batches
from corpusforge.tokenizer import Tokenizer
from corpusforge.tokens import Tokens, held_out

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
    """A clean run, or one or several token folders.

    The models that were trained on it held out the share ``heldout``; None: none of them was.
    """

    folders: tuple[str, ...]
    contents: tuple[str, ...]  # digest of each
    heldout: float | None = None

    @property
    def note(self) -> str:
        """What of it is evaluated on, where a model was trained on it."""
        if self.heldout is None:
            return ""
        name = ", ".join(given.name(folder) for folder in self.folders)
        if not self.heldout:
            return f"{name}: a model was trained on all of it"
        return f"{name}: the {100 * self.heldout:g} % of the documents that were held out"

    def documents(self, digest: str) -> Iterator[Document]:
        """The documents in order; ids where the folders' tokenizer has this ``digest``, else text.

        Raises InputError where none is held out, or where ids do not give the text back.
        """
        if manifest.read(self.folders[0], "clean", "tokenize").kind == "clean":
            yield from _clean(self.folders[0], self.heldout or 0.0)
        else:
            yield from _tokens(self.folders, self.heldout or 0.0, digest)


def of_run(path: str, models: Sequence[str]) -> Run:
    """A finished run; of one that ``models`` were trained on, the documents that all held out."""
    run = manifest.read(path, "clean", "tokenize")
    shares = [
        share for model in models for content, share in _read_by(model) if content == run.content
    ]
    return Run((path,), (run.content,), min(shares, default=None))


def _read_by(model: str) -> Iterator[tuple[str, float]]:
    """Digest of each token folder and clean run that a model learned from, and the share it left.

    As far as the folders lie where they lay.
    """
    if not manifest.finished(model):
        return
    made = manifest.read(model, *MODELS)
    if made.kind == "finetune":
        yield from _read_by(made.facts["parents"][0]["path"])
        return
    share = float(made.spec["data"]["heldout"])
    for parent in made.facts["parents"]:
        yield parent["content"], share
        tokens = _unchanged(parent)
        for one in (tokens.facts.get("parents") if tokens else None) or []:
            yield one["content"], share


def _unchanged(parent: Mapping[str, str]) -> manifest.Manifest | None:
    """The token folder that a model was trained on, if it still lies where it lay."""
    if not manifest.finished(parent["path"]):
        return None
    found = manifest.read(parent["path"], "tokenize")
    return found if found.content == parent["content"] else None


def heldout_of(model: str) -> Run:
    """What a train run held out of its token folders.

    Raises UsageError where it held nothing out or is no train run, InputError where the folders are
    gone.
    """
    run = manifest.read(model, *MODELS) if manifest.finished(model) else None
    if run is None or run.kind != "train":
        raise UsageError("no data", file=model, remedy="name it: forge eval MODEL DATA")
    share = float(run.spec["data"]["heldout"])
    if not share:
        raise UsageError("this model held nothing out", file=model, remedy="name the data")
    parents = run.facts["parents"]
    for parent in parents:
        if _unchanged(parent) is None:
            raise InputError(
                f"its token folder {parent['path']} is gone or has changed",
                file=model,
                remedy="name the data: forge eval MODEL DATA",
            )
    names = tuple(parent["path"] for parent in parents)
    return Run(names, tuple(parent["content"] for parent in parents), share)


def _clean(path: str, heldout: float) -> Iterator[Document]:
    for shard in manifest.read(path, "clean").in_folder("corpus"):
        for batch in read_batches(path, shard.name, ["id", "source", "language", "text"]):
            if heldout:
                batch = batch.filter(pa.array(held_out(batch.column("id"), heldout)))
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
