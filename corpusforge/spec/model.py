"""What every spec table is: frozen and closed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

MIB = 1 << 20


class Model(BaseModel):
    """Base of every spec table: immutable, closed, TOML values only."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)
