import contextlib
import io
import json
from pathlib import Path

import cv2
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from pycocotools.coco import COCO

from fcos_d2.datasets import shapes
from fcos_d2.datasets.shapes import datasets_root, make_shapes, register_shapes
from fcos_d2.datasets.shapes_drawing import CLASS_NAMES

FEW = {"train": 12, "val": 4}
NAMES = ("shapes_train", "shapes_val")


@pytest.fixture
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "NUM_IMAGES", FEW)


@pytest.fixture
def keep_catalog():
    """Put the catalogue back as the package left it."""
    yield
    for name in NAMES:
        if name in DatasetCatalog:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
    register_shapes()


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def forbid_drawing(*args: object) -> None:
    raise AssertionError("drawn once more")


def test_two_makings_are_equal_to_the_byte(tmp_path: Path) -> None:
    first, second = (files(make_shapes(tmp_path / name, FEW)) for name in "ab")

    assert first == second
    assert len(first) == 12 + 4 + 3  # pictures, two annotation files, the marker
    assert first["train/000000.jpg"] != first["val/000000.jpg"]


def test_annotations_are_coco(tmp_path: Path) -> None:
    folder = make_shapes(tmp_path, FEW)
    for split, count in FEW.items():
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(folder / "annotations" / f"instances_{split}.json"))
        assert len(coco.imgs) == count
        assert [c["name"] for c in coco.loadCats([1, 2, 3, 4, 5])] == list(CLASS_NAMES)
        for image in coco.imgs.values():
            picture = cv2.imread(str(folder / split / image["file_name"]))
            assert picture.shape == (image["height"], image["width"], 3)
            assert coco.getAnnIds(imgIds=image["id"])
        for annotation in coco.anns.values():
            image = coco.imgs[annotation["image_id"]]
            x, y, w, h = annotation["bbox"]
            assert x >= 0 and y >= 0 and w > 0 and h > 0
            assert x + w <= image["width"] and y + h <= image["height"]
        if split == "train":
            assert all(coco.getAnnIds(catIds=i + 1) for i in range(len(CLASS_NAMES)))


def test_second_call_does_not_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_shapes(tmp_path, FEW)
    monkeypatch.setattr(shapes, "draw_picture", forbid_drawing)

    assert make_shapes(tmp_path, FEW) == folder == tmp_path / "shapes"


def test_another_version_is_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_shapes(tmp_path, FEW)
    (folder / "train" / "000000.jpg").unlink()
    monkeypatch.setattr(shapes, "VERSION", shapes.VERSION + 1)

    make_shapes(tmp_path, FEW)
    assert (folder / "train" / "000000.jpg").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shapes", "shapes.lock"]


def test_interrupted_drawing_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shapes, "_annotation", forbid_drawing)  # after the first picture
        with pytest.raises(AssertionError):
            make_shapes(tmp_path, FEW)
    assert (tmp_path / "shapes.partial" / "train" / "000000.jpg").is_file()
    assert not (tmp_path / "shapes").exists()

    assert len(files(make_shapes(tmp_path, FEW))) == 19
    assert not (tmp_path / "shapes.partial").exists()


def test_a_folder_of_others_is_kept(tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "mine.txt").touch()

    with pytest.raises(ValueError, match="was not made by this project .* DETECTRON2_DATASETS"):
        make_shapes(tmp_path, FEW)
    assert (tmp_path / "shapes" / "mine.txt").exists()


def test_a_root_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="cannot make the Shapes dataset in .*file.shapes: .*; set"):
        make_shapes(tmp_path / "file", FEW)


@pytest.mark.usefixtures("few_images", "keep_catalog")
def test_registered_sets_are_drawn_when_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "data"))
    register_shapes()
    register_shapes()
    assert not (tmp_path / "data").exists()

    records = DatasetCatalog.get("shapes_train")
    assert len(records) == FEW["train"]
    assert all(Path(record["file_name"]).is_file() for record in records)
    # The evaluator of the other split needs its annotation file, too.
    metadata = MetadataCatalog.get("shapes_val")
    assert len(json.loads(Path(metadata.json_file).read_text())["images"]) == FEW["val"]
    assert metadata.thing_classes == list(CLASS_NAMES)
    assert metadata.evaluator_type == "coco"
    assert len(DatasetCatalog.get("shapes_val")) == FEW["val"]


@pytest.mark.usefixtures("keep_catalog")
def test_registering_with_another_root(tmp_path: Path) -> None:
    register_shapes(tmp_path / "a")
    register_shapes(tmp_path / "b")

    assert MetadataCatalog.get("shapes_val").image_root == str(tmp_path / "b" / "shapes" / "val")


def test_default_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)

    assert datasets_root() == Path("datasets")
