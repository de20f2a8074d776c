"""How a run across processes ends badly: one line by one process, whatever happened to which."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed as dist

from corpusforge.errors import ForgeError, RunError

_LOST = ("gloo", "NCCL", "onnection", "ocket", "Broken pipe", "imed out")
_SAID = "corpusforge/said"


@contextmanager
def answering(rank: int, world: int) -> Iterator[None]:
    """Let one process say what is wrong, the first that knows; the others end with its exit code.

    An error of the connection means that another process is gone: RunError.
    """
    try:
        yield
    except KeyboardInterrupt:
        if rank:
            raise SystemExit(130) from None
        raise
    except Exception as error:
        lost = _lost(error)
        if not _first(world):
            code = error.exit_code if isinstance(error, ForgeError) else RunError.exit_code
            raise SystemExit(code) from None
        if not lost:
            raise
        raise RunError(
            f"one of the {world} processes of this run ended or fell silent, so all end",
            remedy="run the same command again, with as many processes or not: it goes on after "
            "the last checkpoint",
        ) from error


def _lost(error: Exception) -> bool:
    if not isinstance(error, RuntimeError) or isinstance(error, NotImplementedError):
        return False
    return isinstance(error, dist.DistError) or any(word in str(error) for word in _LOST)


def _first(world: int) -> bool:
    """Tell whether no process spoke before; torchrun keeps the list, and outlives them."""
    if world == 1:
        return True
    with contextlib.suppress(RuntimeError, ValueError):  # torchrun is gone too
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=5))
        place = f"{_SAID}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        return bool(store.add(place, 1) == 1)
    return True
