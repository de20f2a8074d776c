"""From a spec to what a clean run does to a record: the chain of transforms, and what they store.

Order: URL lists, extraction, language, signals, edits (each measured again), own Python, a quality
model, rules, decontamination, signatures, masks of personal data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa

from corpusforge import evaluation, given, quality, rules
from corpusforge.errors import SpecError, nearest
from corpusforge.evaluation import Evaluation
from corpusforge.kernels import language
from corpusforge.kernels.extraction import Output
from corpusforge.kernels.families import SIGNALS, known_families
from corpusforge.kernels.url_lists import LISTS
from corpusforge.manifest import versions
from corpusforge.plan import Unit
from corpusforge.schema import (
    DOCUMENT,
    EDITS,
    EXTRACTED,
    LANGUAGE,
    LEDGER,
    QUALITY,
    RECORD,
    SECOND_LANGUAGE,
    SIGNATURE,
    VERDICT,
)
from corpusforge.spec import CleanSpec
from corpusforge.spec import digest as spec_digest
from corpusforge.stages import key_of
from corpusforge.transform import Transform, chain
from corpusforge.transforms import block
from corpusforge.transforms import extra as extras
from corpusforge.transforms.block import Block
from corpusforge.transforms.contaminated import SIGNAL, Contaminated
from corpusforge.transforms.edit import Edit
from corpusforge.transforms.extra import Extra
from corpusforge.transforms.extract import Extract
from corpusforge.transforms.identify import Identify
from corpusforge.transforms.judge import Judge
from corpusforge.transforms.mask import Mask
from corpusforge.transforms.measure import Measure
from corpusforge.transforms.score import Score
from corpusforge.transforms.sign import Sign, under

SIZES = [pa.field("chars", pa.int64()), pa.field("words", pa.int64())]
LANGUAGES = [*LANGUAGE, *SECOND_LANGUAGE]
WORK = pa.schema([*DOCUMENT, *EXTRACTED, *VERDICT, EDITS, *LANGUAGES, *SIZES])
ADDRESS = [DOCUMENT.field(name) for name in ("id", "source", "offset", "ordinal")]
CANDIDATE = pa.field("candidate", pa.bool_())  # passed the rules: takes part in dedup

MADE_BY = ("corpusforge", "selectolax", "resiliparse", "pyarrow", "unicode")  # change texts


def transforms(spec: CleanSpec) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """The chain of a clean run, from records to judged and signed documents."""
    d = spec.dedup
    chosen = choose(spec)
    first, *later = chosen.scopes
    splitter, markdown = spec.signals.splitter, spec.extract.output == "markdown"
    steps: list[Transform] = [
        extraction(spec),
        Identify(spec.language.detect),
        Measure(
            known_families((*spec.signals.families, *first.families)),
            splitter,
            markdown,
            not spec.signals.measure,
        ),
        *(Edit(scope, splitter, markdown) for scope in later),
        *own_python(spec),
        Score(spec.quality.model, spec.quality.label),
        judge_of(spec),
    ]
    if lists := url_files(spec):
        steps.insert(0, Block(block.load(lists), spec.url.soft_threshold))
    if found := evaluated(spec):
        steps.append(Contaminated(found, spec.decontaminate.action))
    protect, shingles = tuple(d.protect), d.verify == "exact"
    steps.append(Sign(d.bands, d.rows, d.ngram, d.seed, d.exact, protect, d.quality, shingles))
    if spec.pii.mask:
        steps.append(Mask(tuple(spec.pii.mask), spec.pii.replace, spec.pii.dialect))
    return chain(*steps)


def extraction(spec: CleanSpec) -> Extract:
    """The step that makes texts of pages. Raises ExtraMissing."""
    limits, output = spec.read.limits, Output(spec.extract.output == "markdown", spec.extract.links)
    return Extract(spec.extract.method, limits.depth, limits.nodes, output)


def judge_of(spec: CleanSpec) -> Judge:
    """The step that gives the verdicts of language and rules."""
    languages = spec.language.keep
    keep: Literal["all"] | tuple[str, ...] = "all" if languages == "all" else tuple(languages)
    return Judge(choose(spec).rules, keep, spec.language.min_score)


def choose(spec: CleanSpec) -> rules.Chosen:
    """The rule sets of the spec; they may judge numbers that own Python or a model adds."""
    chosen = rules.choose(spec.rules, [field.name for field in _numbers(spec)])
    for rule in chosen.rules:
        if rule.signal == QUALITY.name and not spec.quality.model:
            raise SpecError(
                f"{rule.id} looks at {QUALITY.name}, but there is no model",
                remedy="--set quality.model=MODEL, a folder that forge classify train wrote",
            )
    return chosen


def url_files(spec: CleanSpec) -> dict[str, list[str]]:
    """Files of the URL lists in use, by list."""
    return {name: files for name in LISTS if (files := getattr(spec.url, name))}


def evaluated(spec: CleanSpec) -> Evaluation | None:
    """The evaluation files that texts are compared with, if any."""
    d = spec.decontaminate
    return evaluation.load(d.files, d.fields, d.ngram) if d.files else None


def own_python(spec: CleanSpec) -> tuple[Extra, ...]:
    """The user's functions that the spec names."""
    taken = {*RECORD.names, *WORK.names, *LEDGER.names, SIGNAL.name, CANDIDATE.name, QUALITY.name}
    taken |= {*SIGNATURE.names, *SIGNALS}
    return extras.load(spec.transforms.extra, taken)


def added(spec: CleanSpec) -> list[pa.Field]:
    """Columns that own Python adds to the corpus."""
    return [field for one in own_python(spec) for field in one.fields]


def _numbers(spec: CleanSpec) -> list[pa.Field]:
    """Numbers among them, which are stored beside the signals."""
    return [
        f for f in added(spec) if not (pa.types.is_string(f.type) or pa.types.is_boolean(f.type))
    ]


def stored(spec: CleanSpec) -> pa.Schema:
    """Schema of a run's signals: address, language, what was measured, signature, candidate."""
    numbers = _numbers(spec)
    own = {field.name for field in numbers}
    columns = choose(spec).columns(known_families(spec.signals.families))
    measured = [
        pa.field(name, pa.int64() if kind == "count" else pa.float64())
        for name, kind in columns.items()
        if name not in own and (spec.signals.measure or name in rules.SIZES)
    ]
    found = [SIGNAL] if spec.decontaminate.files else []
    found += [QUALITY] if spec.quality.model else []
    return pa.schema([*ADDRESS, *LANGUAGES, *measured, *numbers, *found, *SIGNATURE, CANDIDATE])


def check_languages(spec: CleanSpec) -> None:
    """Raise SpecError for a language to keep that the detector does not know."""
    if spec.language.keep != "all":
        language.check(spec.language.keep, "language.keep")


def check_spec(spec: CleanSpec) -> None:
    """Raise SpecError for a rule, language, list, evaluation file or function that is not there,
    ExtraMissing for an extractor.
    """
    stored(spec)
    if not spec.signals.measure and (choose(spec).rules or spec.signals.families):
        raise SpecError(
            "signals.measure = false, but rules or families of signals are named",
            remedy="set rules.use = [] and signals.families = [] too",
        )
    extraction(spec)
    check_languages(spec)
    given.facts(path for files in url_files(spec).values() for path in files)
    evaluated(spec)
    quality.digest(spec.quality.model)
    known = [*stored(spec).names, QUALITY.name]
    if spec.dedup.quality not in known:
        raise SpecError(
            f"dedup.quality = '{spec.dedup.quality}' is no signal of this run",
            remedy=nearest(spec.dedup.quality, known),
        )


def check_protected(spec: CleanSpec, units: Sequence[Unit]) -> None:
    """Raise SpecError for a name in dedup.protect that no input has."""
    sources = sorted({piece.source for unit in units for piece in unit.pieces})
    for name in spec.dedup.protect:
        if not any(under(source, [name]) for source in sources):
            labels = sorted({source.partition("/")[0] for source in sources} | set(sources))
            raise SpecError(f"dedup.protect names no input '{name}'", remedy=nearest(name, labels))


def facts(spec: CleanSpec) -> dict[str, Any]:
    """What the manifest says of models, lists, evaluation files and own Python of a run."""
    lists = {name: given.facts(files) for name, files in url_files(spec).items()}
    found = evaluated(spec)
    return {
        "language_model": {"name": language.DETECTOR, "sha256": language.SHA256},
        "quality_model": quality.digest(spec.quality.model) or "no quality model",
        "url_lists": lists or "no domain list",
        "decontamination": list(found.facts) if found else "no evaluation file",
        "own_python": {one.name: one.source for one in own_python(spec)},
        "columns": {field.name: str(field.type) for field in added(spec)},
    }


def documents_key(spec: CleanSpec, unit: Unit, made: Mapping[str, str] | None = None) -> str:
    """What the documents stage of a unit depends on; ``made`` are the versions that made it."""
    made = versions() if made is None else made
    used = (*MADE_BY, spec.extract.method)  # an extractor is a package or one of ours
    made_by = [f"{name} {version}" for name, version in made.items() if name in used]
    made_by += [str(choose(spec)), language.SHA256, quality.digest(spec.quality.model)]
    files = [*spec.decontaminate.files, *(f for files in url_files(spec).values() for f in files)]
    made_by += [str(given.facts(files)), *(one.source for one in own_python(spec))]
    return key_of("documents", spec_digest(spec), unit.fingerprint, *made_by)
