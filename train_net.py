#!/usr/bin/env python
"""Train or evaluate an FCOS detector: `fcos train` under the flags of detectron2's train_net.py."""

import sys

from fcos_cli.train_net import main

if __name__ == "__main__":
    sys.exit(main())
