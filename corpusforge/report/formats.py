"""Formats of a clean run: media types that servers gave, and charsets that pages were read in."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.ledger import OUTCOMES, first_rule
from corpusforge.manifest import Manifest
from corpusforge.report.tally import Tally
from corpusforge.shard import read_batches

REFUSED = ("mime", "mime-magic")  # rules whose detail is a media type
_MIME = r'"mime": *"(?P<mime>[^"\\]{1,100})"'


def tallies(root: str, run: Manifest) -> tuple[Tally, Tally]:
    """Return documents by media type and by charset, each by outcome.

    Of what was read on, as the stored texts say; of what was refused for its type, as the ledger.
    """
    types, charsets = Tally(OUTCOMES), Tally(OUTCOMES)
    for shard in run.in_folder("ledger"):
        for batch in read_batches(root, shard.name, ["outcome", "reasons", "detail"]):
            refused = pc.is_in(first_rule(batch.column("reasons")), value_set=pa.array(REFUSED))
            _add(types, batch.column("detail").filter(refused), batch["outcome"].filter(refused))
    for folder, outcome in (("corpus", "kept"), ("dropped", "dropped")):
        for shard in run.in_folder(folder):
            for batch in read_batches(root, shard.name, ["charset", "meta"]):
                outcomes = pa.repeat(outcome, batch.num_rows)
                _add(charsets, batch.column("charset"), outcomes)
                found = pc.struct_field(pc.extract_regex(batch.column("meta"), _MIME), "mime")
                _add(types, found, outcomes)
    return types, charsets


def _add(tally: Tally, keys: pa.Array, outcomes: pa.Array) -> None:
    there = keys.is_valid()
    tally.add(pc.utf8_slice_codeunits(keys.filter(there), 0, 100), outcomes.filter(there))
