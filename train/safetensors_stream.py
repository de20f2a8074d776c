"""Safetensors written tensor by tensor: the bytes of ``safetensors.torch.save_file``.

None but the tensor that is written need be in memory, and it may be put together from the parts of
several processes at that moment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

# name in the file and bytes; wider types come first, in the order of safetensors' own enumeration
_KINDS = {
    torch.int64: ("I64", 8),
    torch.float64: ("F64", 8),
    torch.float32: ("F32", 4),
    torch.int32: ("I32", 4),
    torch.bfloat16: ("BF16", 2),
    torch.float16: ("F16", 2),
    torch.uint8: ("U8", 1),
    torch.bool: ("BOOL", 1),
}
_RANK = {kind: place for place, kind in enumerate(_KINDS)}


class Entry(NamedTuple):
    """A tensor to write: its shape, its type, and what makes it when its turn comes."""

    shape: torch.Size
    dtype: torch.dtype
    read: Callable[[], Tensor]

    @classmethod
    def of(cls, tensor: Tensor) -> Entry:
        """A tensor that is here."""
        return cls(tensor.shape, tensor.dtype, lambda: tensor)


def in_order(entries: Mapping[str, Entry]) -> list[str]:
    """Names in the order of the file."""
    return sorted(entries, key=lambda name: (_RANK[entries[name].dtype], name.encode()))


def write(path: Path, entries: Mapping[str, Entry]) -> None:
    """Write ``entries`` to ``path``."""
    header, end = {}, 0
    for name in in_order(entries):
        entry = entries[name]
        kind, size = _KINDS[entry.dtype]
        start, end = end, end + size * entry.shape.numel()
        header[name] = {"dtype": kind, "shape": list(entry.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in header:
            tensor = entries[name].read().detach().cpu().contiguous()
            if tensor.numel():
                file.write(tensor.view(-1).view(torch.uint8).numpy().data)
