"""Runs of `forge train` in several processes, as torchrun starts them."""

import json
import os
import signal
import subprocess
import sys

from safetensors.torch import load_file

from corpusforge import spec as specs
from corpusforge.train import checkpoint
from corpusforge.train.metrics import read

TIMEOUT = 180  # seconds that no run may take


def start(tokens, out, spec, processes, *sets):
    """Begin a run of ``spec`` in ``out``; each of ``sets`` is key=value."""
    path = out.parent / f"{out.name}.toml"
    path.write_text(specs.dump(spec))
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    # a port of its own: tests run side by side
    launch = [*launch, "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    return subprocess.Popen(
        [
            *(sys.executable, *(launch if processes > 1 else []), "-m", "corpusforge"),
            *("train", tokens, "-o", str(out), "--spec", str(path), "--json"),
            *(part for item in sets for part in ("--set", item)),
        ],
        env={**os.environ, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """Wait for a run: exit code, stdout, stderr; one that hangs is killed and fails the test."""
    try:
        out, error = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        for child in children(process):
            os.kill(child, signal.SIGKILL)
        process.kill()
        raise
    return process.returncode, out, error


def run(tokens, out, spec, processes, *sets):
    """Run to the end; the values of the answer."""
    code, said, error = ended(start(tokens, out, spec, processes, *sets))
    assert code == 0, error
    (line,) = said.splitlines()  # one process speaks
    return json.loads(line)


def children(process):
    """Process ids of the ranks, in their order."""
    rows = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True)
    pairs = (row.split() for row in rows.stdout.splitlines())
    return sorted(int(pid) for pid, parent in pairs if int(parent) == process.pid)


def files(out):
    """Bytes of the newest checkpoint's tensors and state."""
    path = checkpoint.existing(out).path
    return [(path / name).read_bytes() for name in checkpoint.FILES]


def lines(out):
    """The lines of metrics.jsonl without rates, which are the machine's."""
    rates = ("tokens_per_second", "mfu")
    return [{k: v for k, v in line.items() if k not in rates} for line in read(out)]


def apart(one, other, skip=()):
    """Relative difference of the losses, and of the parameters over max(1, abs); the largest."""
    losses = max(
        abs(a["loss"] - b["loss"]) / abs(a["loss"])
        for a, b in zip(lines(one), lines(other), strict=True)
    )
    mine, theirs = (
        load_file(checkpoint.existing(out).path / "model.safetensors") for out in (one, other)
    )
    assert mine.keys() == theirs.keys()
    parameters = {
        name: float(((mine[name] - theirs[name]).abs() / mine[name].abs().clamp_min(1)).max())
        for name in mine
        if not name.endswith(skip or ("\0",))
    }
    return losses, max(parameters.values())


TRAINER = """
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from corpusforge import spec
from corpusforge.train.parallel import joined
from corpusforge.train.trainer import Trainer
loaded = spec.load(spec.TrainSpec, file=sys.argv[3], overrides=sys.argv[4:])
with joined(loaded) as layout:
    trainer = Trainer([sys.argv[1]], Path(sys.argv[2]), loaded, lambda record: None, None, layout)
    trainer.model.train()
"""
RESAVE = """
    assert trainer.step
    trainer._save()
    layout.tell(1)
"""
COPIES = """
    for _ in range(4):
        trainer._advance()
    copies = 0
    for name, parameter in trainer.placement.named.items():
        found = [torch.empty_like(parameter) for _ in range(layout.tensor)]
        dist.all_gather(found, parameter.detach(), group=layout.group("tensor"))
        if name not in trainer.placement.cuts.cut:
            copies += 1
            assert all(torch.equal(found[0], other) for other in found), name
    assert copies
    drawn = [torch.empty(3) for _ in range(layout.world)]
    dist.all_gather(drawn, torch.rand(3))
    assert all(torch.equal(drawn[0], other) for other in drawn) == (layout.data == 1)
"""


def within(script, tokens, out, processes, *sets):
    """Run ``script`` with a trainer in each process; the spec is that of ``out``."""
    file, path = out.parent / "within.py", out.parent / f"{out.name}.toml"
    file.write_text(TRAINER + script)
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    launch = [*launch, "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    launch = launch if processes > 1 else []
    done = subprocess.run(
        [sys.executable, *launch, str(file), tokens, str(out), str(path), *sets],
        env={**os.environ, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"},
        timeout=TIMEOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
