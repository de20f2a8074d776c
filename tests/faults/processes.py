"""Real ``forge`` processes for the fault tests, each in a process group of its own."""

import os
import subprocess
import sys


def start(arguments, folder):
    """Start ``forge ARGUMENTS --quiet`` in ``folder``."""
    return subprocess.Popen(
        [sys.executable, "-m", "corpusforge", *arguments, "--quiet"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
