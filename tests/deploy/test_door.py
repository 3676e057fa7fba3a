import errno

import pytest

from fcos_deploy.door import enter
from fcos_deploy.vision import ImageError


def fails_with(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a.json: no boxes"), "error: a.json: no boxes"),
        (ImageError("a.jpg: damaged"), "error: a.jpg: damaged"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "error: /x: permission denied"),
    ],
)
def test_mistakes_are_one_line(capsys, error, line):
    assert enter(fails_with(error)) == 1
    assert capsys.readouterr().err == f"{line}\n"


def test_other_errors_keep_their_trace():
    with pytest.raises(KeyError):
        enter(fails_with(KeyError("x")))
    with pytest.raises(SystemExit):
        enter(fails_with(SystemExit(143)))


def test_exit_codes(capsys):
    assert enter(lambda: None) == 0 and enter(lambda: 3) == 3
    assert enter(fails_with(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "interrupted\n"
