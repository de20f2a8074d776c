"""Benchmarks: corpusforge against its peers, in CPU seconds, as ratios of interleaved runs.

    python benchmarks/run.py                          every stage, 5 rounds
    python benchmarks/run.py signals encode           these stages
    python benchmarks/run.py --data crawl.warc.gz     another input than sample_data

A round runs every contestant of a stage once, one after the other, so that all of them meet the
same neighbours; a ratio is taken within a round, and the median and range of the rounds reported.
CPU seconds leave out start-up, imports, compilation and reading the input, see `measure.py`. Peak
RSS is that of the whole process, imports and input included. Contestants run in one thread.

To add a stage, put one file in `stages/`: a docstring whose first line says what is measured, and

    INPUT = "texts"                          # a kind of `inputs.py`
    MEGABYTES = 4.0                          # of it at most, by default
    CONTESTANTS = {"forge": None, "peer": "peer"}
                                             # function -> peers/NAME.txt, None: our environment
    def forge(path): ...
    def peer(path): ...

A contestant imports inside the function, gets ready for the input at ``path``, and returns a
function that does the work once and returns what it did, e.g. {"MB": 3.1, "docs": 400}. Ratios
compare the first unit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import runpy
import statistics
import subprocess
import sys
import tempfile
import venv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Nothing heavy is imported here: on Linux the peak RSS of a child starts at that of its parent.

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "sample_data"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONSAFEPATH": "1",
}


class BenchmarkFailed(Exception):
    """A peer that cannot be installed, or a contestant that ended with an error."""


def stages() -> dict[str, dict[str, Any]]:
    """Return the namespace of every stage file by its name."""
    return {path.stem: runpy.run_path(str(path)) for path in sorted(HERE.glob("stages/*.py"))}


def python_of(peer: str | None) -> str:
    """Return the interpreter of a peer's environment, made anew where peers/NAME.txt changed."""
    if peer is None:
        return sys.executable
    wanted = HERE / "peers" / f"{peer}.txt"
    folder = HERE / ".venvs" / peer
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted.read_text():
        print(f"installing {wanted.name} ...", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(wanted)]
        _run(pip, f"cannot install {wanted.name}")
        installed.write_text(wanted.read_text())
    return str(python)


def make_inputs(kind: str, folder: str, megabytes: float, data: list[str]) -> None:
    """Write ``full`` and ``tiny`` to ``folder``, in a process of its own."""
    script = str(HERE / "inputs.py")
    command = [sys.executable, script, kind, folder, str(megabytes), *data]
    _run(command, f"cannot make the input '{kind}'")


def measure(stage: str, contestant: str, python: str, folder: str) -> dict[str, Any]:
    """Run one contestant of a stage file once: cpu_seconds, units, versions and peak_mib (RSS)."""
    script = str(HERE / "measure.py")
    command = [python, script, stage, contestant, f"{folder}/full", f"{folder}/tiny"]
    output, peak = _run(command, f"{Path(stage).stem}: {contestant} failed")
    return {**json.loads(output.splitlines()[-1]), "peak_mib": peak}


def _run(command: list[str], problem: str) -> tuple[str, float]:
    """Run ``command``; returns its output and the peak RSS in MiB, its children's if higher."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            command, stdout=output, stderr=errors, env={**os.environ, **ONE_THREAD}
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            last = (errors.read().strip() or f"exit code {child.returncode}").splitlines()[-1]
            raise BenchmarkFailed(f"{problem}: {last}")
        output.seek(0)
        scale = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes
        return output.read(), usage.ru_maxrss * scale / (1 << 20)


def rates(run: dict[str, Any]) -> dict[str, float]:
    """Units a CPU second of one run, in the order of its units."""
    return {unit: done / run["cpu_seconds"] for unit, done in run["units"].items()}


def summary(runs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the rounds of a contestant, and how many times as fast ours is, by pairs."""
    per_round = [rates(run) for run in runs]
    unit = next(iter(per_round[0]))
    pairs = [rates(our)[unit] / rate[unit] for our, rate in zip(ours, per_round, strict=True)]
    return {
        "per_cpu_second": {
            name: statistics.median(rate[name] for rate in per_round) for name in per_round[0]
        },
        "peak_mib": statistics.median(run["peak_mib"] for run in runs),
        "forge_is": {"median": statistics.median(pairs), "min": min(pairs), "max": max(pairs)},
    }


def compare(name: str, stage: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Run the rounds of one stage, print its table and append its results."""
    pythons = {who: python_of(peer) for who, peer in stage["CONTESTANTS"].items()}
    megabytes = arguments.megabytes or stage["MEGABYTES"]
    runs: dict[str, list[dict[str, Any]]] = {who: [] for who in pythons}
    with tempfile.TemporaryDirectory() as folder:
        make_inputs(stage["INPUT"], folder, megabytes, arguments.data)
        for _ in range(arguments.rounds):
            for who, python in pythons.items():
                runs[who].append(measure(stage["__file__"], who, python, folder))
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "commit": commit(),
        "data": [Path(path).name for path in arguments.data],
        "megabytes": megabytes,
        "stage": name,
    }
    with Path(arguments.results).open("a", encoding="utf-8") as results:
        for who, done in runs.items():
            found = summary(done, runs["forge"])
            print(row(name, who, found), flush=True)
            versions = done[0]["versions"]
            rounds = [{key: run[key] for key in run if key != "versions"} for run in done]
            line = {**about, "contestant": who, **found, "rounds": rounds, "versions": versions}
            results.write(json.dumps(line) + "\n")


HEADER = f"{'stage':<12}{'contestant':<14}{'peak MiB':>9}  {'forge is':<24}per CPU second"


def row(stage: str, who: str, found: dict[str, Any]) -> str:
    """One line of the table; a number over 1 under 'forge is' means that forge is faster."""
    ratio = found["forge_is"]
    times = f"{ratio['median']:.3g}x ({ratio['min']:.3g} to {ratio['max']:.3g})"
    if who == "forge":
        times = ""
    speed = ", ".join(f"{number(value)} {unit}" for unit, value in found["per_cpu_second"].items())
    return f"{stage:<12}{who:<14}{found['peak_mib']:>9.0f}  {times:<24}{speed}"


def number(value: float) -> str:
    """Three significant digits, in plain notation."""
    return f"{float(f'{value:.3g}'):,.12g}"


def machine() -> dict[str, Any]:
    """Return what kind of machine this is, and how busy."""
    processor = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = models[0] if models else processor
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def commit() -> str | None:
    """Return the commit of the sources, marked -dirty where they were changed since."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def main() -> int:
    """Run the benchmarks that the command line names; 1 if one of them failed."""
    known = stages()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="STAGE", help=", ".join(known))
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--data", nargs="+", default=[str(SAMPLE)], help="what forge clean reads")
    parser.add_argument(
        "--megabytes", type=float, help="of the input at most; by stage if not given"
    )
    parser.add_argument("--results", default=str(HERE / "results.jsonl"), metavar="FILE")
    parser.add_argument("--list", action="store_true", help="list the stages and end")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in known]
    if unknown or arguments.rounds < 1:
        parser.error(f"no stage {unknown[0]}" if unknown else "--rounds must be 1 or more")
    if arguments.list:
        for name, stage in known.items():
            print(f"{name:<12}{stage['__doc__'].splitlines()[0]}")
        return 0
    failed = False
    print(HEADER, flush=True)
    for name in arguments.names or known:
        try:
            compare(name, known[name], arguments)
        except BenchmarkFailed as problem:
            print(problem, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
