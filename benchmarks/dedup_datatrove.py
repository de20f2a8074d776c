"""datatrove's four MinHash stages as shipped, over the JSON lines of a folder, for dedup.py.

    python dedup_datatrove.py INPUT_FOLDER WORK_FOLDER WORKERS

Runs in the peer's environment. Kept documents go to WORK_FOLDER/kept, as gzipped JSON lines.
"""

from __future__ import annotations

import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter


def main(source: str, work: str, workers: int) -> None:
    """Signatures, buckets, clusters, filter."""
    tasks = len(list(Path(source).iterdir()))

    def stage(name: str, steps: list[object], count: int) -> None:
        executor = LocalPipelineExecutor(
            pipeline=steps,
            tasks=count,
            workers=min(workers, count),
            logging_dir=f"{work}/logs-{name}",
            skip_completed=False,
        )
        executor.run()

    def reader() -> object:
        return JsonlReader(source, compression="infer")

    stage("signatures", [reader(), MinhashDedupSignature(f"{work}/signatures")], tasks)
    stage("buckets", [MinhashDedupBuckets(f"{work}/signatures", f"{work}/buckets")], 14)
    stage("clusters", [MinhashDedupCluster(f"{work}/buckets", f"{work}/removed")], 1)
    kept = JsonlWriter(f"{work}/kept")
    stage("filter", [reader(), MinhashDedupFilter(f"{work}/removed"), kept], tasks)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
