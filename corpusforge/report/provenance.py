"""What a run was made from and with: digests, parents, files, spec, versions."""

from __future__ import annotations

import tomli_w

from corpusforge.manifest import Manifest
from corpusforge.report.page import Section, details, element, section, table, text

SPEC = 100_000  # characters of a spec


def sections(run: Manifest) -> list[Section]:
    """Return the closing section of every report."""
    parents = run.facts.get("parents") or ([run.parent] if run.parent else [])
    folders: dict[str, list[int]] = {}
    for shard in run.shards:
        folder, slash, _ = shard.name.partition("/")
        row = folders.setdefault(folder + slash, [0, 0, 0])
        for index, amount in enumerate((1, shard.rows, shard.bytes)):
            row[index] += amount
    digests = [
        ["content (rows, independent of how they are stored)", element("code", run.content)],
        ["files (their bytes)", element("code", run.files)],
        ["spec", element("code", run.spec_digest)],
        *([f"parent {parent['path']}", element("code", parent["content"])] for parent in parents),
    ]
    return [
        section(
            "Provenance",
            table("Digests", ["What", "Digest"], digests),
            table(
                "Files",
                ["Folder", "Files", "Rows", "Bytes"],
                [[folder, *row] for folder, row in folders.items()],
            ),
            table("Versions", ["Package", "Version"], [[*pair] for pair in run.versions.items()]),
            details("Spec", element("pre", text(tomli_w.dumps(run.spec), SPEC), tabindex="0")),
        )
    ]
