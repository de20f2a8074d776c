"""The named Arrow schemas that batches and files carry, and their check.

A document batch is a ``pa.RecordBatch`` that holds at least the columns of DOCUMENT and VERDICT.
Readers add ``html`` where a record needs extraction; transforms only ever append columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

DOCUMENT = pa.schema(
    [
        pa.field("id", pa.binary(16), nullable=False),  # xxh3-128 of (source, offset, ordinal)
        pa.field("source", pa.string(), nullable=False),  # label/relative path
        # Where the record lies. WARC: byte of its gzip member or zstd frame (of the record itself
        # where the file is plain) and its number in it. JSONL: byte of the line, decompressed; 0.
        # Parquet: number of the row group; row in it. Arrow: number of the record batch; row in
        # it. Text: 0; 0.
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("ordinal", pa.int32(), nullable=False),
        pa.field("source_id", pa.string()),  # the record's own id
        pa.field("url", pa.string()),
        pa.field("date", pa.string()),
        pa.field("title", pa.string()),
        pa.field("charset", pa.string()),  # what the bytes were decoded with
        # U+FFFD put in for bytes that could not be decoded; null where the input holds decoded text
        pa.field("decode_errors", pa.int32()),
        pa.field("truncated", pa.bool_()),  # the archive says that the payload was cut
        pa.field("text", pa.string()),  # null until extracted, and where there is none
        pa.field("meta", pa.string()),  # the record's other fields as JSON
    ]
)

EXTRACTED = pa.schema(  # what a page states of itself, and what extraction kept of it
    [
        pa.field("canonical_url", pa.string()),  # absolute http(s), no fragment
        pa.field("published", pa.string()),  # YYYY-MM-DD; `date` is when the page was fetched
        pa.field("declared_language", pa.string()),  # primary subtag of BCP 47
        pa.field("blocks_kept", pa.int32()),
        pa.field("blocks_seen", pa.int32()),
    ]
)

REASON = pa.struct(
    [
        ("rule", pa.string()),
        ("signal", pa.string()),
        ("value", pa.float64()),
        ("comparison", pa.string()),  # what a kept document satisfies: value comparison threshold
        ("threshold", pa.float64()),
    ]
)

EDIT = pa.struct(
    [
        ("rule", pa.string()),
        ("count", pa.int64()),  # lines or other pieces that the rule cut out or replaced
    ]
)

EDITS = pa.field("edits", pa.list_(EDIT))

SPAN = pa.struct(
    [
        ("start", pa.int64()),  # characters of the text before it was cut
        ("end", pa.int64()),
        ("duplicate_of", pa.binary(16)),  # the document that has the first copy
    ]
)

CUT = pa.field("cut", pa.list_(SPAN))  # paragraphs that dedup took out

VERDICT = pa.schema(
    [
        pa.field("outcome", pa.string(), nullable=False),  # kept | dropped | failed
        pa.field("stage", pa.string()),  # where it was decided; null while kept
        pa.field("reasons", pa.list_(REASON)),
        pa.field("detail", pa.string()),  # text of the error
    ]
)

HTML = pa.field("html", pa.string())

RECORD = pa.schema([*DOCUMENT, HTML, *VERDICT])  # what readers yield

LANGUAGE = pa.schema(
    [
        pa.field("language", pa.string()),  # ISO 639 code as the detector gives it
        pa.field("language_score", pa.float32()),  # rounded to 1e-3
    ]
)

QUALITY = pa.field("quality_score", pa.float64())  # of a model, rounded to 1e-3; see quality.py

SECOND_LANGUAGE = pa.schema(
    [
        pa.field("language2", pa.string()),  # the detector's second choice
        pa.field("language2_score", pa.float32()),
    ]
)

SIGNATURE = pa.schema(
    [
        pa.field("dedup_tokens", pa.int64()),
        pa.field(
            "dedup_rank", pa.uint64()
        ),  # priority of dedup, smaller is better: kernels.priority
        pa.field("dedup_tie", pa.uint64()),  # decides where ranks are equal
        pa.field("exact", pa.binary(16)),  # key of exact deduplication
        pa.field("sketch", pa.binary()),  # low byte of each minimum; null without tokens
        pa.field("bands", pa.binary()),  # little-endian u64 key of each band
        # Ascending little-endian u32 hashes of its shingles; null but where dedup.verify is exact.
        pa.field("shingles", pa.large_binary()),
    ]
)

TWIN = [  # what stays for a document that went as a copy
    pa.field("duplicate_of", pa.binary(16)),  # id of a document that is kept
    pa.field("duplicate_in", pa.string()),  # name of the earlier corpus it is in; null: this run
    pa.field("similarity", pa.float32()),  # estimated Jaccard; 1 if exact
    pa.field("bands_matched", pa.int32()),  # 0 if exact
]

REMOVED = pa.schema(
    [
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("duplicate_of", pa.binary(16), nullable=False),
        TWIN[1],
        pa.field("similarity", pa.float32(), nullable=False),
        pa.field("bands_matched", pa.int32(), nullable=False),
        pa.field("exact", pa.bool_(), nullable=False),
    ]
)

LEDGER = pa.schema(
    [
        *[DOCUMENT.field(name) for name in ("id", "source", "offset", "ordinal")],
        *[DOCUMENT.field(name) for name in ("source_id", "url", "decode_errors")],
        *VERDICT,
        EDITS,
        *TWIN,
        CUT,
        *LANGUAGE,
        *SECOND_LANGUAGE,
        pa.field("chars", pa.int64()),
        pa.field("words", pa.int64()),
        pa.field("shard", pa.string()),  # file under the run folder that holds the text
        pa.field("row", pa.int64()),  # row in it
    ]
)

CORPUS = pa.schema([*DOCUMENT, *EXTRACTED, *LANGUAGE])  # columns that every corpus shard has


def corpus_schema(columns: Mapping[str, str]) -> pa.Schema:
    """Schema of a run's corpus: CORPUS and what own Python added, as the manifest names it."""
    added = [pa.field(name, pa.type_for_alias(kind)) for name, kind in columns.items()]
    return pa.schema([*CORPUS, *added])


def tokens_schema(width: int) -> pa.Schema:
    """Schema of a token shard; ``width`` is 16 or 32 bits an id."""
    return pa.schema(
        [
            pa.field("ids", pa.large_list(pa.uint16() if width == 16 else pa.uint32())),
            pa.field("id", pa.binary(16), nullable=False),
            pa.field("source", pa.dictionary(pa.int32(), pa.string())),
            pa.field("language", pa.dictionary(pa.int32(), pa.string())),
            pa.field("bytes", pa.int32()),  # UTF-8 bytes of the text, for bits per byte
            pa.field("source_id", pa.string()),
            pa.field("url", pa.string()),
        ]
    )


def check(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return ``batch`` if it holds the columns of ``schema`` with their types, else TypeError."""
    for field in schema:
        index = batch.schema.get_field_index(field.name)
        if index < 0:
            raise TypeError(f"column '{field.name}' is missing; the batch has {batch.schema.names}")
        if batch.schema.field(index).type != field.type:
            raise TypeError(
                f"column '{field.name}' is {batch.schema.field(index).type}, not {field.type}"
            )
        if not field.nullable and batch.column(index).null_count:
            raise TypeError(f"column '{field.name}' holds nulls")
    return batch
