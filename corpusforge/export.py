"""Export: a corpus as JSONL, Parquet or a folder of Parquet; a tokenizer for Hugging Face."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from corpusforge import manifest
from corpusforge.errors import UsageError
from corpusforge.manifest import Manifest
from corpusforge.schema import corpus_schema
from corpusforge.shard import AtomicFile, join, json_lines, read_batches
from corpusforge.storage import file_system
from corpusforge.tokenizer import Tokenizer

UNKNOWN = (".json", ".csv", ".txt", ".arrow", ".gz", ".zst")
FORMATS = "FILE.jsonl, FILE.jsonl.gz, FILE.parquet or a folder"


def corpus(root: str, output: str) -> dict[str, Any]:
    """Write the kept documents of a clean run; ids become hexadecimal text."""
    run = manifest.read(root, "clean")
    fs, plain = file_system(output)
    rows = 0
    if output.endswith((".jsonl", ".jsonl.gz")):
        file = AtomicFile(output)
        sink: Any = file
        if output.endswith(".gz"):
            sink = gzip.GzipFile(filename="", mode="wb", fileobj=_Sink(file), mtime=0)
        for shard in run.in_folder("corpus"):
            for batch in read_batches(root, shard.name):
                for line in json_lines(batch):
                    sink.write(line)
                rows += batch.num_rows
        if sink is not file:
            sink.close()
        file.commit()
    elif output.endswith(".parquet"):
        rows = _parquet(root, run, [shard.name for shard in run.in_folder("corpus")], output)
    elif fs.isfile(plain) or output.endswith(UNKNOWN):
        raise UsageError(f"cannot write {output}", expected=FORMATS)
    elif fs.isdir(plain) and fs.ls(plain):
        raise UsageError(f"{output} is not empty", remedy="name an empty or a new folder")
    else:
        for number, shard in enumerate(run.in_folder("corpus")):
            rows += _parquet(root, run, [shard.name], join(output, f"part-{number:05d}.parquet"))
    return {"rows": rows, "output": output}


class _Sink(io.RawIOBase):
    """The face of an AtomicFile that gzip asks for."""

    def __init__(self, file: AtomicFile) -> None:
        self.target = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self.target.write(data)


def _parquet(root: str, run: Manifest, names: list[str], output: str) -> int:
    columns = corpus_schema(run.facts.get("columns", {}))
    schema = columns.set(0, pa.field("id", pa.string()))
    file, rows = AtomicFile(output), 0
    with pq.ParquetWriter(pa.PythonFile(file, mode="w"), schema, compression="zstd") as writer:
        for name in names:
            for batch in read_batches(root, name, columns.names):
                batch = batch.cast(columns)
                ids = pa.array([value.hex() for value in batch.column("id").to_pylist()])
                writer.write_batch(batch.set_column(0, schema.field(0), ids))
                rows += batch.num_rows
    file.commit()
    return rows


def tokenizer(root: str, output: str) -> dict[str, Any]:
    """Copy the tokenizer files of a tokenize run."""
    manifest.read(root, "tokenize")
    made = Tokenizer.load(join(root, "tokenizer"))
    made.save(output)
    return {"rows": len(made.files), "output": output}
