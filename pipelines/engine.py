"""Which Beam runner runs a graph, with which options, and what its failures mean to a user.

The local engine is FnApiRunner by its own name: the name DirectRunner may pick Prism, which is
fetched from the network. Graphs are of the shapes that every runner gets right (graph_check.py).
"""

from __future__ import annotations

import importlib.util
import logging
import os
import queue
import shlex
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from corpusforge.errors import ExtraMissing, ForgeError, RunError, UsageError, WorkerDied, nearest
from corpusforge.run import living_parent

from . import dataflow, graph_check, options

SMALL = 64 << 20  # input bytes below which one process is faster than starting workers
LOCAL = ("direct", "DirectRunner")
MODE, MODES = "direct_running_mode", ("in_memory", "multi_processing")
DASK = "DaskRunner"
DASK_CUT = "dask_partition_size=1"  # Dask's own default puts 128 references into one task
DASK_CUTS = ("dask_partition_size=", "dask_npartitions=")
CLOSED = (*LOCAL, DASK, dataflow.RUNNER)  # others may have options that Beam does not know
RUNNERS = (
    *(*LOCAL, DASK, dataflow.RUNNER),
    *("FlinkRunner", "PortableRunner", "PrismRunner", "SparkRunner"),
)
WAITS_FOR_WORKER = "run_worker"  # Beam's name for the thread that waits for a worker's end
DIED = "Channel closed"  # Beam's words for a connection that a worker left


@dataclass(frozen=True)
class Engine:
    """A runner, its number of workers and its options as ``key=value``."""

    runner: str = "direct"
    workers: int = 1
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is wrong before a folder is touched."""
        if self.runner in LOCAL:
            self.mode(0)
        elif self.runner == DASK:
            self._remote()
        elif "." not in self.runner and self.runner not in RUNNERS:
            raise UsageError(f"--runner {self.runner}", remedy=nearest(self.runner, RUNNERS))
        _ = self.flags

    def mode(self, input_bytes: int) -> str:
        """Return how a local job over ``input_bytes`` runs; '' for a runner that is not local."""
        if self.runner not in LOCAL:
            return ""
        small = input_bytes < SMALL or self.workers == 1
        mode = self._given.get(MODE, MODES[0] if small else MODES[1])
        if mode not in MODES:
            raise UsageError(f"--beam {MODE}={mode}", remedy=nearest(mode, MODES))
        return mode

    def pipeline(self, mode: str) -> beam.Pipeline:
        """Return an empty pipeline that runs in ``mode``."""
        if not mode:
            return beam.Pipeline(runner=self._remote(), options=PipelineOptions(self.flags))
        workers = self.workers if mode == MODES[1] else 1
        flags = [*self.flags, f"--direct_num_workers={workers}"]
        return beam.Pipeline(runner=_local_runner(mode), options=PipelineOptions(flags))

    def check(self, output: str, inputs: Sequence[str]) -> None:
        """Refuse a cloud job that lacks something, before anything is read."""
        if self.runner == dataflow.RUNNER:
            dataflow.check(self._given, output, inputs)

    @property
    def flags(self) -> list[str]:
        """Options as Beam's flags: our defaults for the runner, over them those given."""
        given = [o for o in self.options if options.split(o)[0] != MODE]
        if self.runner == dataflow.RUNNER:
            given = [*dataflow.DEFAULTS, *given]
        if self.runner == DASK and not any(o.startswith(DASK_CUTS) for o in given):
            given = [DASK_CUT, *given]
        return options.flags(given, closed=self.runner in CLOSED)

    def _remote(self) -> Any:
        if self.runner != DASK:
            return self.runner
        if importlib.util.find_spec("distributed") is None:
            raise ExtraMissing("dask", "dask")
        from apache_beam.runners.dask.dask_runner import DaskRunner

        return DaskRunner()

    @property
    def _given(self) -> dict[str, str]:
        return dict(options.split(option) for option in self.options)


def _local_runner(mode: str) -> Any:
    # Imported late, when the logs are quiet: it warns of optional packages nobody asked for.
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    if mode == MODES[0]:
        return FnApiRunner()
    # As Beam's own multi_processing mode, but with our worker, which ends with its parent.
    command = f"exec {shlex.quote(sys.executable)} -m corpusforge.pipelines.worker"
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(command_string=command))


def seen_anywhere(path: str) -> str:
    """Return a path that means the same in every process: those of others run in other folders."""
    return path if "://" in path else os.path.abspath(path)  # noqa: PTH100 (roots are strings)


def run(
    engine: Engine,
    input_bytes: int,
    build: Callable[[beam.Pipeline], object],
    missing: Callable[[], Sequence[str]],
) -> None:
    """Build a graph and run it to its end.

    ``missing`` names the units without output; they are what a died worker leaves behind.
    """
    os.environ["PYTHONSAFEPATH"] = "1"  # a clone's folder must not shadow the installed package
    before = logging.root.manager.disable
    quiet()
    try:
        mode = engine.mode(input_bytes)
        pipeline = engine.pipeline(mode)
        build(pipeline)
        graph_check.check(pipeline)
        if mode == MODES[1]:
            _watched(pipeline)
        else:
            pipeline.run().wait_until_finish()
    except ForgeError:
        raise
    except Exception as error:
        if "KeyboardInterrupt" in str(error):  # Beam wraps it when it hits a DoFn
            raise KeyboardInterrupt from None
        raise _explain(error, missing()) from error
    finally:
        logging.disable(before)


def _watched(pipeline: beam.Pipeline) -> None:
    """Run a local pipeline; a worker that dies is an error at once.

    FnApiRunner waits for ever for a worker that was killed in the middle of a bundle: all that is
    left of it is an exception in the thread that waited for its process.
    """
    outcome: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def go() -> None:
        try:
            pipeline.run().wait_until_finish()
            outcome.put(None)
        except BaseException as error:
            outcome.put(error)

    def on_error(args: threading.ExceptHookArgs) -> None:
        if args.thread is not None and args.thread.name == WAITS_FOR_WORKER:
            outcome.put(RuntimeError(DIED))
        if os.environ.get("FORGE_DEBUG"):
            before(args)

    before, threading.excepthook = threading.excepthook, on_error
    try:
        with living_parent():
            threading.Thread(target=go, daemon=True).start()
            error = outcome.get()
        for thread in threading.enumerate():
            if thread.name == WAITS_FOR_WORKER:
                thread.join(timeout=10)
    finally:
        threading.excepthook = before
    if error is not None:
        raise error


def quiet() -> None:
    """Silence Beam's logs, which repeat every error as a traceback; FORGE_DEBUG=1 shows them."""
    if not os.environ.get("FORGE_DEBUG"):
        logging.disable(logging.CRITICAL)


def _explain(error: Exception, left: Sequence[str]) -> ForgeError:
    names = f"{', '.join(left[:5])}{' ...' if len(left) > 5 else ''}" or "none"
    if DIED in str(error):
        return WorkerDied(
            f"a worker process ended before its work was done; units without output: {names}",
            remedy="it may have run out of memory: lower --workers, then run again to go on",
        )
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, ForgeError):
        return cause
    lines = [line for line in str(cause).splitlines() if line.strip()]
    told = next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else "")
    return RunError(
        f"{type(cause).__name__}: {told}; units without output: {names}",
        remedy="run again to go on; FORGE_DEBUG=1 shows where it happened",
    )
