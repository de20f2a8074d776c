"""Runners in processes of their own: Beam's job service, its worker pool, Dask; all end with us."""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

LIMIT = 300  # seconds for one command, after which its whole process group is killed
READY = 90  # seconds until a service answers

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="the extra dask is not installed"
)


def free_port():
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def environment():
    """Ours, with our python first: the pool starts a bare `python`, else its jobs wait for ever."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONSAFEPATH": "1"}


def end(process):
    """Kill a process and all it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def service(folder, name, *arguments, port=None):
    """Run ``python -m ARGUMENTS`` in ``folder``, until it listens on ``port``."""
    with Path(folder, f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment(),
        )
    try:
        deadline = time.monotonic() + READY
        while port is not None:
            with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
                break
            assert process.poll() is None, Path(folder, f"{name}.log").read_text()
            assert time.monotonic() < deadline, f"{name} does not answer"
            time.sleep(0.1)
        yield process
    finally:
        end(process)


@contextlib.contextmanager
def external_pool(folder):
    """Yield the options of a job service whose workers are an external pool."""
    job, pool = free_port(), free_port()
    with (
        service(
            *(folder, "jobs", "apache_beam.runners.portability.local_job_service_main"),
            *("-p", job),
            port=job,
        ),
        service(
            *(folder, "pool", "apache_beam.runners.worker.worker_pool_main"),
            *("--service_port", pool),
            port=pool,
        ),
    ):
        yield [
            *("--runner", "PortableRunner", "--beam", f"job_endpoint=localhost:{job}"),
            *("--beam", "environment_type=EXTERNAL"),
            *("--beam", f"environment_config=localhost:{pool}"),
        ]


@contextlib.contextmanager
def dask(folder, workers=2, threads=1):
    """Yield (options, worker processes) of a scheduler."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        at = ("--host", "127.0.0.1", "--port", port, "--no-dashboard")
        stack.enter_context(
            service(folder, "scheduler", "distributed.cli.dask_scheduler", *at, port=port)
        )
        address = f"tcp://127.0.0.1:{port}"
        one = ("--no-nanny", "--nworkers", 1, "--nthreads", threads, "--no-dashboard")
        made = [
            stack.enter_context(
                service(folder, f"worker-{n}", "distributed.cli.dask_worker", address, *one)
            )
            for n in range(workers)
        ]
        yield ["--runner", "DaskRunner", "--beam", f"dask_client_address={address}"], made


def forge(folder, *arguments, meanwhile=None):
    """Run forge in ``folder`` within LIMIT; returns the finished process. Kills what hangs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "corpusforge", *map(str, arguments), "--quiet"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment(),
    )
    try:
        if meanwhile is not None:
            meanwhile(process)
        out, err = process.communicate(timeout=LIMIT)
    finally:
        end(process)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
