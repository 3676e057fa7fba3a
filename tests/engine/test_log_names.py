"""Logs bear every name."""

import io
import logging

from fcos_d2.engine.log_names import ShownNames


def test_names_in_logs():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    logger = logging.getLogger("fcos_d2.test_log_names")
    logger.propagate = False
    logger.addHandler(logging.StreamHandler(stream))
    logger.handlers[0].addFilter(ShownNames())
    logger.error("%s: %d boxes\nas a table", "caf\udce9\x1b[2J.png", 3)
    logger.error("\x1b[36m%s\x1b[0m", "coloured")  # as detectron2 writes its tables
    stream.flush()
    lines = stream.buffer.getvalue().decode("utf-8").split("\n")
    assert lines == [
        r"caf\xe9\x1b[2J.png: 3 boxes",
        "as a table",
        "\x1b[36mcoloured\x1b[0m",
        "",
    ]
