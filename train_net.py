#!/usr/bin/env python
"""Train or evaluate an FCOS detector; `train_net.py --help` shows how."""

import sys

from fcos_d2.engine import launch, run, train_argument_parser
from fcos_deploy.text import shown


def main(args) -> None:
    try:
        run(args)
    except (ValueError, OSError) as error:  # OSError: a full disk, ...
        sys.exit(f"error: {shown(error)}")


if __name__ == "__main__":
    arguments = train_argument_parser().parse_args()
    if not arguments.config_file:
        sys.exit("error: --config-file is missing; see --help")
    try:
        launch(main, arguments)
    except ValueError as error:
        sys.exit(f"error: {shown(error)}")
