"""Training across processes: how they find each other, and what each of them holds.

The trainer knows `Layout` (which part of the work is this process's) and `Placement` (what it holds
of parameters, gradients and optimizer); one process alone has the plain one of both.
"""

from .layout import Layout, joined
from .placement import Placement, placement

__all__ = ["Layout", "Placement", "joined", "placement"]
