"""Which graphs may run: linear, one leaf, no tags, no finish_bundle, no state, no windows.

Others give other results on other runners, without an error: Dask's computes one leaf of two,
merges tagged outputs, loses what finish_bundle gives and ignores windows (tried with Beam 2.77).
So such a graph is refused on every runner, before it runs anywhere.
"""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.transforms.userstate import is_stateful_dofn
from apache_beam.transforms.window import GlobalWindows

from corpusforge.errors import UsageError

# Every runner replaces these or has them right, so what Beam builds them of does not matter.
KNOWN = (beam.Create, beam.Reshuffle, beam.GroupByKey, beam.Flatten)


class _Shape(PipelineVisitor):
    """Finds the transforms that do not fit, and the collections that nothing reads."""

    def __init__(self) -> None:
        self.made: dict[Any, str] = {}
        self.read: set[Any] = set()
        self.wrong: list[tuple[str, str]] = []
        self._inside = 0

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        """Look at a known transform as a whole."""
        if isinstance(node.transform, KNOWN):
            if not self._inside:
                self._visit(node)
            self._inside += 1

    def leave_composite_transform(self, node: AppliedPTransform) -> None:
        """Come out of it."""
        if isinstance(node.transform, KNOWN):
            self._inside -= 1

    def visit_transform(self, node: AppliedPTransform) -> None:
        """Look at a primitive one."""
        if not self._inside:
            self._visit(node)

    def _visit(self, node: AppliedPTransform) -> None:
        name, outputs = node.full_label, list[Any](node.outputs.values())
        self.read.update(node.inputs)
        self.read.update(side.pvalue for side in node.side_inputs)
        self.made.update(dict.fromkeys(outputs, name))
        if len(node.outputs) > 1 or set(node.outputs) - {None, "None"}:
            self.wrong.append((name, "has tagged outputs"))
        if any(not isinstance(output.windowing.windowfn, GlobalWindows) for output in outputs):
            self.wrong.append((name, "has windows"))
        if isinstance(node.transform, beam.ParDo):
            fn = node.transform.fn
            if is_stateful_dofn(fn):
                self.wrong.append((name, "keeps state or timers"))
            if type(fn).finish_bundle is not beam.DoFn.finish_bundle:
                self.wrong.append((name, "has a finish_bundle"))


def check(pipeline: beam.Pipeline) -> None:
    """Raise UsageError for the first transform whose results would depend on the runner."""
    shape = _Shape()
    pipeline.visit(shape)
    wrong = list(shape.wrong)
    leaves = [name for collection, name in shape.made.items() if collection not in shape.read]
    if not wrong and len(leaves) > 1:
        wrong = [(leaves[1], f"is a second leaf beside '{leaves[0]}'")]
    if wrong:
        name, what = wrong[0]
        raise UsageError(
            f"the transform '{name}' {what}",
            expected="a chain with one leaf: some runners get others wrong without an error",
            remedy="write what it yields beside its output, as files of its unit",
        )
