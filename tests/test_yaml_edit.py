import pytest
import yaml

from fcos_d2.yaml_edit import with_value

PAIRS = [["cat", 0.4], ["no", 0.35]]
KEYS = ("TEST", "SCORE_THRESH")


# What is there, and what becomes of it.
CASES = [
    (
        "TEST:\n  SCORE_THRESH: 0.5 # mine\n  X: 1\n",
        "TEST:\n  SCORE_THRESH: 0.7 # mine\n  X: 1\n",
    ),
    (
        "# top\nTEST:\n  # why\n  X: 1\nB: 2\n",
        "# top\nTEST:\n  # why\n  SCORE_THRESH: 0.7\n  X: 1\nB: 2\n",
    ),
    ("TEST: {X: 1}\n", "TEST: {SCORE_THRESH: 0.7, X: 1}\n"),
    ("TEST: {}\n", "TEST: {SCORE_THRESH: 0.7}\n"),
    ("# top\nA: 1\n", "# top\nTEST:\n  SCORE_THRESH: 0.7\nA: 1\n"),
    ("{A: 1}", "{TEST: {SCORE_THRESH: 0.7}, A: 1}"),
    (
        "TEST:\n  SCORE_THRESH:\n  - - cat\n    - 0.4\n  - - dog\n    - 0.3\n  X: 1\n",
        "TEST:\n  SCORE_THRESH: 0.7\n  X: 1\n",
    ),
    (
        "TEST:\n  SCORE_THRESH:\n    - - cat\n      - 0.4\n# end\n",
        "TEST:\n  SCORE_THRESH: 0.7\n# end\n",
    ),
    ("TEST:\n  SCORE_THRESH:\n    cat: 0.4\n  X: 1\n", "TEST:\n  SCORE_THRESH: 0.7\n  X: 1\n"),
    ("TEST:\n  SCORE_THRESH:\nA: 1\n", "TEST:\n  SCORE_THRESH: 0.7\nA: 1\n"),
    ("TEST:\n  SCORE_THRESH: [[a, 1], [b, 2]]\n", "TEST:\n  SCORE_THRESH: 0.7\n"),
]


@pytest.mark.parametrize(("before", "after"), CASES)
def test_only_the_value_changes(before: str, after: str) -> None:
    assert with_value(before, KEYS, 0.7) == after
    assert yaml.safe_load(with_value(before, KEYS, PAIRS))["TEST"]["SCORE_THRESH"] == PAIRS
    assert with_value(with_value(before, KEYS, PAIRS), KEYS, 0.7) == after


def test_what_cannot_be_changed_is_refused() -> None:
    for text, message in (
        ("- 1\n", "the file is no section"),
        ("TEST: 3\n", "TEST is no section"),
        ("A: &x {SCORE_THRESH: 1}\nTEST: *x\n", "other values would change with it"),
    ):
        with pytest.raises(ValueError, match=message):
            with_value(text, KEYS, 0.5)
