"""manifest.json: what a finished run holds, what it was made from, and its two digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from corpusforge.errors import AccountingError, RunError
from corpusforge.kernels.unicode_classes import UNICODE_VERSION
from corpusforge.shard import Shard, exists, file_sha256, join, lacking, read_json, write_json

if TYPE_CHECKING:
    from corpusforge.spec import Model

VERSIONS_OF = (
    "corpusforge",
    "apache-beam",
    "pyarrow",
    "numpy",
    "numba",
    "datasketch",
    "selectolax",
    "fastwarc",
    "resiliparse",
    "trafilatura",
    "tokenizers",
    "sentencepiece",
    "torch",
    "optuna",
)


@dataclass(frozen=True)
class Manifest:
    """A finished run: ``content`` is the digest of its rows, ``files`` that of its bytes."""

    kind: str  # clean | tokenize | train | finetune | eval | sweep
    content: str
    counts: dict[str, int]
    spec: dict[str, Any]
    spec_digest: str
    shards: tuple[Shard, ...]
    parent: dict[str, str] | None = None  # {"path", "content"} of the run it was made from
    versions: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)  # what is particular to the kind
    recorded_files: str = ""  # ``files`` as it was read, for verify

    @property
    def files(self) -> str:
        """Digest of the bytes of all files, in order."""
        lines = [f"{shard.name} {shard.sha256}\n" for shard in self.shards]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def in_folder(self, folder: str) -> list[Shard]:
        """Return the shards that lie in ``folder``, in order."""
        return [shard for shard in self.shards if shard.name.startswith(folder + "/")]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form: the fields, ``facts`` beside them, and ``files``."""
        values = asdict(self)
        facts = values.pop("facts")
        values.pop("recorded_files")
        return {**values, **facts, "files": self.files}

    def write(self, root: str) -> None:
        """Write ``root/manifest.json``; its presence says that the run is finished."""
        write_json(join(root, "manifest.json"), self.to_json())


_FIELDS = (
    "kind", "content", "counts", "spec", "spec_digest", "shards", "parent", "versions", "facts",
)  # fmt: skip


def read(root: str, *kinds: str) -> Manifest:
    """Read the manifest of a finished run of one of ``kinds``; raises RunError with the remedy."""
    values = read_json(join(root, "manifest.json"))
    if not isinstance(values, dict) or "kind" not in values:
        raise RunError(
            "this folder holds no finished run",
            file=root,
            expected=f"manifest.json of a {' or '.join(kinds)} run",
            remedy=f"run: forge {kinds[0]} ... -o {root}",
        )
    if values["kind"] not in kinds:
        raise RunError(
            f"this is a {values['kind']} run", file=root, expected=f"a {' or '.join(kinds)} run"
        )
    known = {name: values.pop(name) for name in _FIELDS if name in values}
    known["shards"] = tuple(Shard(**shard) for shard in known["shards"])
    known["recorded_files"] = values.pop("files", "")
    return Manifest(**known, facts=values)


def finished(root: str) -> bool:
    """Tell whether ``root`` has a manifest."""
    return exists(root, "manifest.json")


def seal(root: str, names: Sequence[str]) -> tuple[Shard, ...]:
    """Return the shards of files that lie under ``root``, hashed as they are."""
    return tuple(Shard(name, 0, *file_sha256(root, name)) for name in names)


def content_of_files(shards: Sequence[Shard]) -> str:
    """Content digest of a model: of the bytes of its last checkpoint, in order."""
    return hashlib.sha256("".join(shard.sha256 for shard in shards).encode()).hexdigest()


def close(
    root: str,
    kind: str,
    spec: Model,
    *,
    content: Sequence[str],
    others: Sequence[str],
    counts: dict[str, int],
    parents: list[dict[str, str]],
    facts: dict[str, Any],
) -> Manifest:
    """Seal the files of a run and write its manifest; ``content`` names those that are its digest.

    ``parents`` are path and content digest of what it was made from, the first one first.
    """
    from corpusforge.spec import digest  # what reads manifests alone needs no specs

    shards = seal(root, [*content, *others])
    done = Manifest(
        kind=kind,
        content=content_of_files(shards[: len(content)]),
        counts=counts,
        spec=spec.model_dump(mode="json"),
        spec_digest=digest(spec),
        shards=shards,
        parent=parents[0],
        versions=versions(),
        facts={"parents": parents, **facts},
    )
    done.write(root)
    return done


def all_kept(items: int) -> dict[str, int]:
    """Counts of a run that drops nothing."""
    return {"in": items, "kept": items, "dropped": 0, "failed": 0}


def whole(root: str, run: Manifest) -> list[str]:
    """Return the names of the shards that are missing or have another length."""
    return lacking(root, [(shard.name, shard.bytes) for shard in run.shards])


def check_whole(root: str, run: Manifest) -> None:
    """Raise AccountingError unless every file is there with its length."""
    if lost := whole(root, run):
        raise AccountingError(
            "a file is missing or has another length",
            file=join(root, lost[0]),
            remedy="run again with --fresh",
        )


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that take part, where installed."""
    found = {}
    for name in VERSIONS_OF:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {**found, "unicode": UNICODE_VERSION}


def canonical(values: Any) -> str:
    """Return one JSON text for equal values."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
