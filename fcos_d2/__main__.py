"""`python -m fcos_d2`: the command `fcos`."""

import sys

from fcos_cli.main import main

if __name__ == "__main__":
    # Empty, see `_is_the_command`; the command imports it anew when it needs it.
    if not hasattr(sys.modules["fcos_d2"], "get_cfg"):
        del sys.modules["fcos_d2"]
    sys.exit(main())
