from pathlib import Path

import pytest

from fcos_deploy.confine import path_inside


@pytest.mark.parametrize(
    "name", ["a.txt", "sub/a.txt", "sub/../a.txt", "a..b.txt", "..a/b", "名.txt"]
)
def test_names_that_stay(tmp_path: Path, name: str) -> None:
    assert path_inside(tmp_path / "out", name) == tmp_path / "out" / name


@pytest.mark.parametrize(
    "name",
    ["../a.txt", "sub/../../a.txt", "/etc/a.txt", "..", ".", "", "C:\\a.txt", "~/a.txt", "a\0b"],
)
def test_names_that_leave(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="output folder|cannot be the name") as error:
        path_inside(tmp_path / "out", name)
    assert "\n" not in str(error.value)


def test_links_in_the_output_folder(tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir(), other.mkdir()
    (out / "away").symlink_to(other)
    (out / "file").symlink_to(other / "precious.txt")
    (out / "loop").symlink_to(out / "loop")
    (out / "near").symlink_to(out)
    for name in ("away/a.txt", "file"):
        with pytest.raises(ValueError, match="leads out of the output folder"):
            path_inside(out, name)
    assert path_inside(out, "near/a.txt") == out / "near/a.txt"


def test_the_output_folder_may_be_a_link_itself(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert path_inside(tmp_path / "link", "a.txt") == tmp_path / "link/a.txt"
