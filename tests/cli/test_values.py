"""Values of flags."""

import subprocess
import sys
import time
from argparse import ArgumentTypeError

import pytest

from fcos_cli.began import process_began
from fcos_cli.values import duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20m", 1200), ("90s", 90), ("1.5h", 5400), ("300", 300), ("2min", 120), (".5h", 1800)],
)
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-5m", "m", "1m30s", "nan", "inf", "20 d", "1e3"])
def test_no_durations(text):
    with pytest.raises(ArgumentTypeError, match="no length of time above 0.*20m, 90s, 1.5h"):
        duration(text)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell it in /proc")
def test_a_process_knows_when_it_began():
    """Before its imports: here a pause of half a second."""
    code = "import time; time.sleep(0.5); from fcos_cli.began import process_began as f; print(f())"
    before = time.monotonic()
    words = [sys.executable, "-c", code]
    began = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert before - 0.05 <= began <= time.monotonic() - 0.45
    assert process_began() < before
