"""Sections of a sweep."""

from __future__ import annotations

from corpusforge.manifest import Manifest
from corpusforge.report.page import Section, element, section


def sections(root: str, run: Manifest) -> list[Section]:
    """Return the sections of a sweep."""
    return [section("Sweep", element("p", str(run.counts)))]
