"""The command line: every command declared in this folder, each a call of api.py.

stdout is the result, stderr is progress and messages. Exit 0 done; 2 wrong usage or spec; 3 input
or run folder unusable; 4 accounting or a checksum off; 130 interrupted, state kept.
"""

from __future__ import annotations

import click

from . import classify as quality
from . import dedup, finetune, look, make
from . import eval as evaluation
from . import replay as replaying
from . import rules as rule_sets
from . import sweep as sweeps
from .options import Forge

COMMANDS = (
    make.clean,
    make.tokenize,
    make.train,
    finetune.finetune,
    sweeps.sweep,
    evaluation.evaluate,
    look.explain,
    replaying.replay,
    quality.classify,
    dedup.index,
    look.verify,
    look.export,
    look.report,
    look.generate,
    rule_sets.rules_group,
    look.doctor,
    make.demo,
)


@click.group(cls=Forge, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="corpusforge", prog_name="forge")
def main() -> None:
    """Raw web pages to a trained tokenizer and language model, every document accounted for.

    \b
    forge clean pages.warc.gz          pages -> judged, deduplicated corpus, ledger
    forge tokenize --algo bpe          corpus -> tokenizer and token shards
    forge train                        tokens -> model
    forge explain run/clean URL        why is this page (not) in my corpus
    """


for command in COMMANDS:
    main.add_command(command)
