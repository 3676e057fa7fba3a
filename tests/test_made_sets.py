"""The drawn data sets: what is in their files, and that they stay the same."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import __main__ as benchmark
from benchmarks import made_sets
from benchmarks.made_scene import FINENESS, Scene, Sprite
from benchmarks.made_sets import SETS
from benchmarks.made_sprites import OUTLINES, draw_sprite
from fcos_d2.datasets.formats import read_dataset


def square(side: int) -> Sprite:
    """White, of `side` px in the picture."""
    shape = (side * FINENESS, side * FINENESS)
    return Sprite(np.full((*shape, 3), 255, np.float32), np.ones(shape, np.float32))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, made in SETS.items():
        monkeypatch.setitem(SETS, name, replace(made, images=(2, 1, 1)))


def test_box_of_a_sprite_on_paper():
    scene = Scene(np.zeros((60, 80, 3), np.float32))
    assert scene.add(square(10), (30.0, 20.0), class_id=2)
    assert scene.things == [(2, (25, 15, 35, 25))]
    assert scene.picture[15:25, 25:35].min() > 250 and scene.picture[:14].max() == 0


def test_box_ends_at_the_border():
    scene = Scene(np.zeros((60, 80, 3), np.float32))
    assert not scene.add(square(10), (0.0, 20.0), class_id=0, min_inside=0.6)
    assert scene.add(square(10), (0.0, 20.0), class_id=0, min_inside=0.4)
    assert scene.things[0].box == (0, 15, 5, 25)


def test_nothing_hides_more_of_an_object_than_it_may():
    scene = Scene(np.zeros((60, 80, 3), np.float32), min_visible=0.6)
    assert scene.add(square(10), (30.0, 20.0), class_id=0)
    assert scene.add(square(10), (37.0, 20.0))  # hides 3 of its 10 columns
    assert not scene.add(square(10), (23.0, 20.0))  # and this would hide 3 more
    assert len(scene.things) == 1


@pytest.mark.parametrize("name", SETS)
def test_same_pictures_each_time(name: str):
    made = SETS[name]
    first, again, other = (made_sets.draw(made, np.random.default_rng(x)) for x in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert (first[0] != other[0]).any()
    assert first[0].shape == (*made.size, 3) and first[0].dtype == np.uint8


def test_sets_are_what_their_names_say():
    things = {
        name: [made_sets.draw(made, np.random.default_rng([7, i])) for i in range(3)]
        for name, made in SETS.items()
    }

    def sides(name: str) -> np.ndarray:
        boxes = np.array([thing.box for _, found in things[name] for thing in found])
        return (boxes[:, 2:] - boxes[:, :2]).max(axis=1)

    assert len(sides("dense")) >= 75 and sides("dense").max() <= 30
    assert np.median(sides("large")) >= 0.6 * 480
    assert things["wide"][0][0].shape == (400, 1600, 3)
    assert SETS["one-class"].classes == ("star",) and len(SETS["print"].classes) == 6
    assert len(SETS["many"].classes) == 13 and sides("many").max() <= 250


@pytest.mark.parametrize("name", [*OUTLINES, "KA 317"])
def test_each_sprite_has_its_side_and_is_not_empty(name: str):
    sprite = draw_sprite(np.random.default_rng(3), name, 100.0)
    ys, xs = np.nonzero(sprite.cover >= 0.5)
    assert abs(max(np.ptp(ys), np.ptp(xs)) + 1 - 100 * FINENESS) <= 4
    assert sprite.colours.shape == (*sprite.cover.shape, 3)


def test_command_writes_folders_that_can_be_read(small: None, tmp_path: Path, capsys):
    assert benchmark.main(["made-sets", "--output", str(tmp_path), "--only", "wide"]) == 0
    assert sorted(x.name for x in tmp_path.iterdir()) == ["wide"]
    for split, count in zip(made_sets.SPLITS, (2, 1, 1), strict=True):
        read = read_dataset(str(tmp_path / "wide" / split / made_sets.ANNOTATIONS))
        assert not read.problems and len(read.coco["images"]) == count
        assert [x["name"] for x in read.coco["categories"]] == list(SETS["wide"].classes)
        for image in read.coco["images"]:
            picture = cv2.imread(str(Path(read.images) / image["file_name"]))
            assert picture.shape == (image["height"], image["width"], 3)
    content = json.loads((tmp_path / "wide/train" / made_sets.ANNOTATIONS).read_text())
    assert f"train 2 images, {len(content['annotations'])} objects" in capsys.readouterr().out


def test_more_test_images_change_no_others(tmp_path: Path, small: None):
    few = made_sets.make_set("one-class", tmp_path / "few")
    many = made_sets.make_set("one-class", tmp_path / "many", test_images=3)
    assert few["test"][0] == 1 and many["test"][0] == 3 and few["train"] == many["train"]
    assert len(list((tmp_path / "many/test").glob("*.jpg"))) == 3
    for image in ("train/0001.jpg", "test/0000.jpg"):
        assert (tmp_path / "few" / image).read_bytes() == (tmp_path / "many" / image).read_bytes()


def test_folder_with_something_in_it_is_left_alone(tmp_path: Path, capsys):
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide" / "mine.txt").write_text("mine")
    assert benchmark.main(["made-sets", "--output", str(tmp_path), "--only", "wide"]) != 0
    assert "wide is there already" in capsys.readouterr().err
