"""Signals and verdicts of the Gopher and FineWeb rules; MB of text.

forge measures every signal and names every failing rule; datatrove stops at the first that fails.
"""

import json

INPUT = "texts"
MEGABYTES = 2.0
CONTESTANTS = {"forge": None, "datatrove": "datatrove"}


def _texts(path):
    return [json.loads(line)["text"] for line in path.open(encoding="utf-8")]


def _done(texts):
    return {"MB": sum(len(text.encode()) for text in texts) / 1e6, "docs": len(texts)}


def forge(path):
    """The kernel ``signals.measure`` and the judge of stored signals."""
    import pyarrow as pa

    from corpusforge import rules
    from corpusforge.kernels import signals
    from corpusforge.transforms.judge import judge_signals

    texts = _texts(path)
    column = pa.array(texts)
    chosen = rules.load({"use": ["gopher-repetition", "gopher-quality", "fineweb"]})
    language = pa.array(["en"] * len(texts))
    score = pa.array([1.0] * len(texts), pa.float32())

    def work():
        measured = {name: pa.array(values) for name, values in signals.measure(column).items()}
        columns = {"language": language, "language_score": score, **measured}
        judge_signals(pa.table(columns), chosen)
        return _done(texts)

    return work


def datatrove(path):
    """Its three filters in FineWeb's order, with its English words (spaCy)."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    texts = _texts(path)
    filters = [GopherRepetitionFilter(), GopherQualityFilter(), FineWebQualityFilter()]

    def work():
        for number, text in enumerate(texts):
            document = Document(text=text, id=str(number))
            for one in filters:
                if one.filter(document) is not True:
                    break
        return _done(texts)

    return work
