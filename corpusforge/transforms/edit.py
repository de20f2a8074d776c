"""Edit: the text without what an editing rule set cuts, and its signals measured anew."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpusforge.kernels import families, signals
from corpusforge.kernels.edits import EDITORS
from corpusforge.rules import Scope
from corpusforge.transform import alive, note_edits, put
from corpusforge.transforms.measure import plain


@dataclass(frozen=True)
class Edit:
    """Apply the edits of ``scope`` to every document still kept, whether a rule drops it or not.

    So the text of a dropped document is what it would be in the corpus, and stored signals are
    enough to judge it again. ``markdown`` as in Measure; what is cut are lines with their marks.
    """

    scope: Scope
    splitter: str = "unicode"
    markdown: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """As in Measure."""
        return ("outcome", "text", "html") if self.markdown else ("outcome", "text")

    @property
    def adds(self) -> tuple[str, ...]:
        """The text, what was cut, and the scope's signals under its prefix."""
        return ("text", "edits", *self.scope.columns)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the same rows; texts of decided rows stay."""
        open_rows = pa.array(alive(batch))
        before = pc.if_else(open_rows, batch.column("text"), None)
        rules = self.scope.edits
        editor = EDITORS[rules[0].editor]
        limits = {rule.name: rule.threshold or 0.0 for rule in rules}
        after, counts, measured = editor.edit(before, limits, self.splitter)
        names = [f"{rules[0].rule_set}.{name}" for name in editor.rules]
        batch = note_edits(batch, names, counts)
        batch = put(batch, "text", pc.if_else(open_rows, after, batch.column("text")))
        if self.markdown:
            after = plain(batch, after)
        missing = after.is_null().to_numpy(zero_copy_only=False)
        if self.scope.reads_families or self.splitter != "unicode":
            measured |= families.measure(after, self.scope.families, self.splitter)
        else:
            measured |= signals.sizes(after)
        for name in self.scope.columns:
            values = measured[name.removeprefix(self.scope.prefix)]
            batch = put(batch, name, pa.array(values, mask=missing))
        return batch
