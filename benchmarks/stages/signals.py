"""Signals and verdicts of the Gopher, FineWeb and C4 rules; MB of text.

``forge`` measures the general signals and judges by the sets of the dialect forge that need no
more. ``every`` is every signal without a tool in its name, and these sets and C4 with its edits.
``six`` decides what datatrove's six filters do, in its dialect and near its words, each filter on
the untouched text. All name every failing rule; datatrove stops at the first. ``dolma`` is its
tagger gopher_v1, which measures and does not judge; ``tagged`` is what we measure of dolma's.
"""

import json

INPUT = "texts"
MEGABYTES = 2.0
CONTESTANTS = {
    **{"forge": None, "every": None, "six": None, "tagged": None},
    **{"datatrove": "datatrove", "dolma": "dolma"},
}


def _texts(path):
    return [json.loads(line)["text"] for line in path.open(encoding="utf-8")]


def _done(texts):
    return {"MB": sum(len(text.encode()) for text in texts) / 1e6, "docs": len(texts)}


def _ours(path, *choices, families=()):
    import pyarrow as pa

    from corpusforge import rules
    from corpusforge.kernels.families import known_families
    from corpusforge.schema import LANGUAGE, VERDICT
    from corpusforge.transforms.edit import Edit
    from corpusforge.transforms.judge import judge_signals
    from corpusforge.transforms.measure import Measure

    texts = _texts(path)
    columns = {"id": [b""] * len(texts), "text": texts, "outcome": ["kept"] * len(texts)}
    columns |= {"language": ["en"] * len(texts), "language_score": [1.0] * len(texts)}
    columns = {name: pa.array(values) for name, values in columns.items()}
    for one in (*VERDICT, *LANGUAGE):
        columns.setdefault(one.name, pa.nulls(len(texts), one.type))
    batch = pa.RecordBatch.from_pydict(columns)
    chosen = [rules.choose(choice) for choice in choices]
    families = [*(f for one in chosen for f in one.scopes[0].families), *families]

    def work():
        measured = Measure(known_families(families))(batch)
        for one in chosen:
            after = measured
            for scope in one.scopes[1:]:
                after = Edit(scope)(after)
            judge_signals(after, one.rules)
        return _done(texts)

    return work


def forge(path):
    """Every general signal, three sets of rules."""
    return _ours(path, {"use": ["gopher-repetition", "gopher-quality", "fineweb"]})


def every(path):
    """The general signals and those of the family text, four sets of rules, C4's edits."""
    use = ["gopher-repetition", "gopher-quality", "fineweb", "c4"]
    return _ours(path, {"use": use}, families=("text",))


def tagged(path):
    """The signals of the family dolma; no rules."""
    return _ours(path, {"use": []}, families=("dolma",))


def six(path):
    """The sets of datatrove's dialect, each alone."""
    judging = ["gopher-repetition", "gopher-quality", "fineweb", "c4-paragraph"]
    sets = (judging, ["c4"], ["c4-no-punct"])
    return _ours(path, *({"dialect": "datatrove", "use": use} for use in sets))


def datatrove(path):
    """Its six filters, each on the untouched text, with its English words (spaCy)."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4ParagraphFilter,
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    texts = _texts(path)
    filters = [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        FineWebQualityFilter(),
        C4ParagraphFilter(),
        C4QualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
    ]

    def work():
        for number, text in enumerate(texts):
            for one in filters:
                one.filter(Document(text=text, id=str(number)))
        return _done(texts)

    return work


def dolma(path):
    """Its Gopher tagger."""
    from dolma.core.data_types import Document
    from dolma.taggers.gopher import GopherTagger

    texts = _texts(path)
    tagger = GopherTagger()

    def work():
        for number, text in enumerate(texts):
            tagger.predict(Document(source="", id=str(number), text=text))
        return _done(texts)

    return work
