"""The process of one local Beam worker: it ends with its parent, and writes nothing to stderr.

What fails in it reaches the parent as an error; what Beam's threads print when the parent goes
first (they lose their connection) would only hide the parent's one line.
"""

import os
import signal
import sys

from apache_beam.runners.worker import sdk_worker_main

from corpusforge.run import exit_with_parent

from .engine import quiet

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    exit_with_parent()
    quiet()
    if not os.environ.get("FORGE_DEBUG"):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sdk_worker_main.main(sys.argv)
