"""Beam wiring: names of units in the graph, files inside the DoFns. No rule, no arithmetic."""

import logging

_before = logging.root.manager.disable
logging.disable(logging.WARNING)  # on import Beam warns of optional packages nobody asked for
import apache_beam  # noqa: E402, F401

logging.disable(_before)
