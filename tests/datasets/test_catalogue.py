import pytest
from detectron2.data.datasets import register_coco_instances, register_pascal_voc

from fcos_d2.datasets.catalogue import check_datasets


def test_absent_datasets_are_named(tmp_path, monkeypatch):
    register_coco_instances("absent_coco", {}, str(tmp_path / "a.json"), str(tmp_path))
    register_pascal_voc("absent_voc", str(tmp_path / "VOC2007"), "test", 2007)
    monkeypatch.setenv("DETECTRON2_DATASETS", "elsewhere")
    for name, path in (("absent_coco", "a.json"), ("absent_voc", "VOC2007")):
        message = f"dataset {name}: .*{path} is not there; set DETECTRON2_DATASETS .*'elsewhere'"
        with pytest.raises(ValueError, match=message):
            check_datasets([name])
    (tmp_path / "VOC2007").mkdir()
    check_datasets(["absent_voc", "shapes_train"])
    with pytest.raises(ValueError, match="'voc_2017_test' is not registered; .*voc_2007_test"):
        check_datasets(["voc_2017_test"])
