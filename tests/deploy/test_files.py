"""Folders with links, hidden files and names of Windows."""

import os
from pathlib import Path

import pytest

from fcos_deploy.files import (
    backslash_hint,
    files_below,
    files_matching,
    find_file,
    is_hidden,
    last_part,
)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names_below(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def test_hidden_names() -> None:
    hidden = ["._a.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX", ".ipynb_checkpoints"]
    assert all(map(is_hidden, hidden))
    assert not any(map(is_hidden, ["a.jpg", "_a.jpg", "a..jpg", "thumbs.db.png"]))


def test_links_are_followed_and_hidden_files_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "store/cam/1.jpg", "store/._2.jpg", "in/own.jpg", "in/.git/x", "in/Thumbs.db")
    (tmp_path / "in" / "linked").symlink_to("../store")
    (tmp_path / "in" / "gone.jpg").symlink_to("nowhere.jpg")
    assert names_below(tmp_path / "in") == ["gone.jpg", "linked/cam/1.jpg", "own.jpg"]
    (tmp_path / "whole").symlink_to("in")
    assert names_below(tmp_path / "whole") == names_below(tmp_path / "in")


def test_links_that_lead_round_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "aside").symlink_to("../b")
    (tmp_path / "b" / "back").symlink_to("../a")
    (tmp_path / "b" / "itself").symlink_to("itself")
    assert names_below(tmp_path) == ["a/1.jpg", "b/2.jpg", "b/itself"]
    assert names_below(tmp_path / "a") == ["1.jpg", "aside/2.jpg", "aside/itself"]


def test_a_folder_goes_by_its_own_name_before_that_of_a_link(tmp_path: Path) -> None:
    touch(tmp_path, "zebra/1.jpg")
    (tmp_path / "ape").symlink_to("zebra")
    assert names_below(tmp_path) == ["zebra/1.jpg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0)
    with pytest.raises(ValueError, match="shut: cannot be read"):
        files_below(tmp_path)


def test_patterns_through_folders(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "a/2.jpg", "a/b/3.jpg", "a/b/3.txt", "c/b/4.jpg")

    def found(pattern: str) -> list[str]:
        paths = files_matching(str(tmp_path / pattern))
        return [path.relative_to(tmp_path).as_posix() for path in paths]

    assert found("**/*.jpg") == ["1.jpg", "a/2.jpg", "a/b/3.jpg", "c/b/4.jpg"]
    assert found("a/**/*.jpg") == ["a/2.jpg", "a/b/3.jpg"]
    assert found("**/b/?.jpg") == ["a/b/3.jpg", "c/b/4.jpg"]
    assert found("a/**") == ["a/2.jpg", "a/b/3.jpg", "a/b/3.txt"]
    assert found("nowhere/**/*.jpg") == []


def test_names_of_windows(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "odd\\name.jpg", "odd/name.jpg")
    assert find_file(tmp_path, "images\\a.jpg") == tmp_path / "images" / "a.jpg"
    assert find_file(tmp_path, "odd\\name.jpg") == tmp_path / "odd\\name.jpg", "as it is first"
    assert find_file(tmp_path, "no\\where.jpg") == tmp_path / "no\\where.jpg"
    assert find_file(tmp_path, "x" * 300 + "\\a.jpg").name == "x" * 300 + "\\a.jpg"
    assert "nor with / for \\" in backslash_hint("C:\\data\\a.jpg")
    assert "such as a.jpg" in backslash_hint("C:\\data\\a.jpg")
    assert backslash_hint("data/a.jpg") == ""
    assert [last_part(x) for x in ("a/b.jpg", "a\\b.jpg", "12:30.jpg")] == [
        "b.jpg",
        "b.jpg",
        "12:30.jpg",
    ]
