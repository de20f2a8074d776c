"""Markdown as the plain text that it would have been, near enough to measure it.

The inverse of `markdown` line by line, in RE2 over whole columns: numbers of lines, words and marks
are those of the text, not of fences, table rules, list marks, emphasis, links and escapes. What
stands in code is not told apart: an asterisk in it goes too.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_STEPS = (
    # Blank lines, the fences of code, an empty table head and the rule under it.
    (r"(?m)^[ >]*(?:`{3,}[^`\n]*|\|(?:(?: ---)? \|)+)?$\n?", ""),
    # Quotes, indentation, list marks, headings; the bars around a table row; hard breaks.
    (r"(?m)^[ >]*(?:(?:- |\d+\. )[ >]*)*(?:#{1,6} )?", ""),
    (r"(?m)^\| ?(.*?) ?\|$", r"\1"),
    (r"([^\\])<br>", "\\1\n"),  # of cells; one of the page's is escaped
    (r"(?m) +$", ""),
    (r"\[((?:[^\[\]\\\n]|\\.)*)\]\([^()\s]*\)", r"\1"),
    (r"(\\[!-/:-@\[-`{-~])|[*`]+", r"\1"),  # what is escaped stays for the last step
    (r"\\([!-/:-@\[-`{-~])", r"\1"),
    (r"\n$", ""),
)


def unmarked(text: pa.StringArray) -> pa.StringArray:
    """Return Markdown ``text`` without its marks; null stays null."""
    for pattern, replacement in _STEPS:
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=replacement)
    return text
