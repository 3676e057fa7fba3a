#!/usr/bin/env python
"""Train or evaluate an FCOS detector; `train_net.py --help` shows how."""

import logging
import sys
from functools import partial

from fcos_d2.engine import launch, run, train_argument_parser
from fcos_deploy.door import enter


def train(args) -> None:
    """Its results are no exit code."""
    run(args)


def main(args) -> None:
    """What each process does; ends it with the exit code where there is one."""
    logging.raiseExceptions = False  # a line that a full disk swallows is no reason for a trace
    if code := enter(partial(train, args)):
        sys.exit(code)


if __name__ == "__main__":
    arguments = train_argument_parser().parse_args()
    if not arguments.config_file:
        sys.exit("error: --config-file is missing; see --help")
    sys.exit(enter(partial(launch, main, arguments)))
