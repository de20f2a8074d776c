"""The process of one local Beam worker: it ends with its parent, and keeps stderr free of logs."""

import signal
import sys

from apache_beam.runners.worker import sdk_worker_main

from corpusforge.run import exit_with_parent

from .engine import quiet

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    exit_with_parent()
    quiet()
    sdk_worker_main.main(sys.argv)
