"""``python -m corpusforge`` is the ``forge`` command."""

from corpusforge.cli import main

main(prog_name="forge")
