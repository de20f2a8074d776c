"""What one worker does with one unit of a stage: files in, kernels, files out, committed.

Every function is idempotent: engines re-run work, and a unit that is committed is not done again.
An engine (Beam, see ``pipelines``) only decides where and in which order they run.
"""

from __future__ import annotations

import hashlib


def key_of(*parts: str) -> str:
    """Return the key of a commit: the digest of everything that the result depends on."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
