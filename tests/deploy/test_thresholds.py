import pytest

from fcos_deploy.thresholds import as_written, in_words, thresholds_of

NAMES = ["cat", "dog", "cow"]


def test_one_for_all_and_one_for_each() -> None:
    assert thresholds_of(0.4, NAMES) == (0.4, 0.4, 0.4)
    by_class = {"cow": 0.1, "cat": 0.2, "dog": 1}
    for given in (by_class, [*map(list, by_class.items())], tuple(by_class.items())):
        assert thresholds_of(given, NAMES) == (0.2, 1.0, 0.1)


def test_they_are_written_as_they_are_read() -> None:
    assert as_written((0.4, 0.4, 0.4), NAMES) == 0.4
    written = as_written((0.2, 1.0, 0.1), NAMES)
    assert written == [["cat", 0.2], ["dog", 1.0], ["cow", 0.1]]
    assert thresholds_of(written, NAMES) == (0.2, 1.0, 0.1)
    assert in_words((0.25, 0.25, 0.25), NAMES) == "0.25"
    assert in_words((0.2, 1.0, 0.1), NAMES) == "cat 0.2, dog 1, cow 0.1"


def test_classes_of_one_name_have_theirs_in_order() -> None:
    names = ["cat", "dog", "cat"]
    written = as_written((0.1, 0.2, 0.3), names)
    assert thresholds_of(written, names) == (0.1, 0.2, 0.3)
    with pytest.raises(ValueError, match="no score threshold for 'cat'"):
        thresholds_of(written[:2], names)
    with pytest.raises(ValueError, match="'dog', which is there too often"):
        thresholds_of([*written, ["dog", 0.3]], names)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, r"the score threshold must be in \[0, 1\], got 1.5"),
        (float("nan"), "got nan"),
        (True, "got True"),
        ("high", "must be a number, or for each class its name and a number .* got 'high'"),
        ([0.1, 0.2, 0.3], "must be a number, or for each class"),
        ({"cat": 0.2, "dog": 0.3}, "no score threshold for 'cow': give one for each class"),
        ({"cat": 1, "dog": 1, "cow": 1, "pig": 1}, "'pig', which is no class: .* 'cat', 'dog', 'c"),
        ({"cat": 1, "dog": -1, "cow": 1}, r"threshold for 'dog' must be in \[0, 1\], got -1"),
        ({"cat": 1, "dog": "x", "cow": 1}, "for 'dog' must be in .* got 'x'"),
        ({False: 1}, "the class False of a score threshold must be text; write it in quotes"),
    ],
)
def test_mistakes_are_named(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        thresholds_of(value, NAMES)
    assert "\n" not in str(error.value)
