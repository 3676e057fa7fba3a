"""Which files a name, a folder or a pattern stands for."""

from pathlib import Path

import pytest

from fcos_deploy.vision.listing import image_extensions, list_images


def test_list_images_of_a_folder(tmp_path: Path) -> None:
    for name in ["b.JPG", "a.png", "notes.txt", "no_extension", "film.mpg", ".hidden.png"]:
        (tmp_path / name).touch()
    (tmp_path / "c.jpg").mkdir()
    (tmp_path / "deeper").mkdir()

    assert [p.name for p in list_images([str(tmp_path)])] == ["a.png", "b.JPG", "c.jpg"]
    assert list_images([str(tmp_path / "c.jpg")]) == [tmp_path / "c.jpg"]


def test_list_images_of_files_and_patterns(tmp_path: Path) -> None:
    for name in ["b.png", "a.png", "notes.txt", "x[1].png"]:
        (tmp_path / name).touch()

    named = [str(tmp_path / "notes.txt"), str(tmp_path / "*.png"), str(tmp_path / "a.png")]
    assert [p.name for p in list_images(named)] == ["notes.txt", "a.png", "b.png", "x[1].png"]
    assert list_images([str(tmp_path / "x[1].png")]) == [tmp_path / "x[1].png"]


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("missing.jpg", "no such file or folder"),
        ("*.bmp", "no image matches this pattern"),
        ("deeper", "the folder holds no image"),
    ],
)
def test_list_images_names_what_it_misses(tmp_path: Path, name: str, cause: str) -> None:
    (tmp_path / "deeper").mkdir()

    with pytest.raises(ValueError) as info:
        list_images([str(tmp_path / name)])
    assert str(info.value) == f"{tmp_path / name}: {cause}"


def test_extensions() -> None:
    assert {".jpg", ".jpeg", ".png", ".tif", ".webp", ".bmp", ".gif"} <= image_extensions()
    assert not {".pdf", ".mpg", ".txt", ".h5", ".eps", ""} & image_extensions()


def test_list_images_through_links(tmp_path: Path) -> None:
    (tmp_path / "store" / "deep").mkdir(parents=True)
    (tmp_path / "photos").mkdir()
    for name in ("store/a.png", "store/deep/b.png", "store/._a.png", "photos/c.png"):
        (tmp_path / name).touch()
    (tmp_path / "photos" / "linked").symlink_to("../store")
    (tmp_path / "photos" / "round").symlink_to("../photos")
    linked = tmp_path / "photos" / "linked"
    assert list_images([str(linked)]) == [linked / "a.png"]
    found = list_images([str(tmp_path / "photos" / "**" / "*.png")])
    assert [p.relative_to(tmp_path).as_posix() for p in found] == [
        "photos/c.png",
        "photos/linked/a.png",
        "photos/linked/deep/b.png",
    ]


def test_list_images_by_a_name_of_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "Thumbs.db").touch()
    for name in ("photos\\a.png", "photos\\*", "photos\\**\\*.png"):
        assert list_images([name]) == [Path("photos/a.png")]
    with pytest.raises(ValueError, match=r"no such file or folder \(nor with / for \\; "):
        list_images(["C:\\photos\\a.png"])
