#!/usr/bin/env python3
"""Make detectron2 importable in the Python that runs this file, before fcos_d2 is installed.

    python tools/install_detectron2.py

With fcos_d2 installed, `fcos install-detectron2` is the same.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fcos_cli.commands import install_detectron2 as command


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit code."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    command.add_arguments(parser)
    return command.run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
