"""`python -m fcos_cli`: the command `fcos`."""

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
