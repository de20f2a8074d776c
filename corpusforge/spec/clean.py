"""CleanSpec: everything that decides what a clean run keeps."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from corpusforge.errors import SpecError

from .model import MIB, Model

Names = Annotated[
    list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
Files = Names


class Fields(Model):
    """Names of the fields of JSONL and table inputs."""

    id: str = "id"
    text: str = "text"
    html: str = "html"
    url: str = "url"
    date: str = "date"
    title: str = "title"


class Limits(Model):
    """Limits by work, never by clock; a record over one is a failed row that names it."""

    inflated_bytes: int = Field(16 * MIB, ge=1024)  # bytes of one WARC record after decompression
    inflate_ratio: int = Field(1000, ge=10)  # bytes out for a byte in, from 1 MiB out on
    line_bytes: int = Field(64 * MIB, ge=1024)  # bytes of one JSONL line, table row or text file
    depth: int = Field(5000, ge=10)  # nesting of elements
    nodes: int = Field(300_000, ge=100)  # nodes of one page


class Read(Model):
    """How inputs become documents."""

    fields: Fields = Fields()
    limits: Limits = Limits()


class Extract(Model):
    """How a page becomes text."""

    method: Literal["forge", "trafilatura", "resiliparse", "none"] = "forge"
    output: Literal["text", "markdown"] = "text"
    links: bool = False  # in Markdown: [text](address)

    @model_validator(mode="after")
    def _links_need_markdown(self) -> Self:
        if self.links and self.output != "markdown":
            raise SpecError(
                "extract.links = true, but plain text has no links",
                remedy="set extract.output = 'markdown' too",
            )
        return self


class Language(Model):
    """Language identification; ``keep = "all"`` judges no document by its language."""

    detect: bool = True
    keep: Literal["all"] | list[str] = "all"
    min_score: float = Field(0.65, ge=0, le=1)

    @model_validator(mode="after")
    def _a_list_needs_detection(self) -> Self:
        if not self.detect and self.keep != "all":
            raise SpecError(
                "language.keep is a list, but language.detect = false",
                remedy="set language.keep = 'all' too",
            )
        return self


class Signals(Model):
    """What is measured, and where words end (kernels.families, kernels.splitters)."""

    splitter: Literal["unicode", "whitespace", "spacy"] = "unicode"
    measure: bool = True  # false: characters and words alone, which no rule may look at
    families: list[str] = []  # beside the general one and those that the rules read


class Quality(Model):
    """A model whose score is the signal quality_score; none where ``model`` is empty."""

    model: str = ""  # folder of forge classify train, or a fastText .bin or .ftz file
    label: str = "__label__hq"  # of a fastText model: the label whose probability is the score


class Url(Model):
    """Files of what a page's URL may not have, plain or compressed, one entry a line."""

    domains: Files = []  # host names; their subdomains too
    urls: Files = []
    hard_words: Files = []
    soft_words: Files = []
    soft_threshold: int = Field(2, ge=1)  # this many soft words drop a page
    substrings: Files = []  # of the URL without punctuation


class Decontaminate(Model):
    """Evaluation files (JSONL, Parquet, text) that the corpus must not share n-grams with."""

    files: Files = []
    fields: list[str] = []  # of their records; empty: every string
    ngram: int = Field(13, ge=2, le=64)  # words
    action: Literal["drop", "report"] = "drop"


class Transforms(Model):
    """Own Python: ``module:function`` or ``file.py:function``, see transforms/extra.py."""

    extra: list[str] = []


class Pii(Model):
    """Masking of personal data in the texts that are written."""

    mask: list[Literal["email", "ip", "phone", "iban", "card"]] = []
    replace: Literal["fake", "marker"] = "fake"
    dialect: Literal["forge", "datatrove"] = "forge"


class Dedup(Model):
    """Exact and near deduplication (forge-minhash-1)."""

    exact: Literal["bytes", "tokens", "none"] = "bytes"
    near: Literal["minhash", "none"] = "minhash"
    bands: int = Field(16, ge=1, le=256)
    rows: int = Field(8, ge=1, le=64)
    ngram: int = Field(5, ge=1, le=16)
    seed: int = Field(1, ge=0, lt=1 << 32)
    similarity: float = Field(0.70, ge=0, le=1)
    verify: Literal["sketch", "exact"] = "sketch"  # how the similarity of a pair is found
    paragraphs: bool = False  # cut paragraphs that a better kept document has too
    paragraph_chars: int = Field(100, ge=1)  # of the shortest that is cut
    protect: Names = []  # sources, labels or folders whose documents win over all others
    quality: str = "quality_score"  # a number of the signals whose higher values win, if there


class Output(Model):
    """What a clean run writes."""

    format: Literal["arrow", "parquet", "jsonl"] = "arrow"
    keep_dropped: bool = True


class Plan(Model):
    """How inputs are cut into units of work and batches."""

    unit_bytes: int = Field(64 * MIB, ge=64 * 1024)
    batch_bytes: int = Field(16 * MIB, ge=64 * 1024)
    range_bytes: int = Field(64 * MIB, ge=64 * 1024)  # of dedup keys that one reducer holds
    shuffle_bytes: int = Field(64 * MIB, ge=0)  # of dedup keys that need no shuffle files


class CleanSpec(Model):
    """Everything that decides what a clean run keeps."""

    inputs: list[str] = []
    read: Read = Read()
    url: Url = Url()
    extract: Extract = Extract()
    language: Language = Language()
    signals: Signals = Signals()
    quality: Quality = Quality()
    rules: dict[str, Any] = Field(
        default_factory=lambda: {"use": ["gopher-quality", "gopher-repetition"]}
    )
    transforms: Transforms = Transforms()
    decontaminate: Decontaminate = Decontaminate()
    dedup: Dedup = Dedup()
    pii: Pii = Pii()
    output: Output = Output()
    plan: Plan = Plan()
