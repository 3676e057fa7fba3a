import cv2
import pytest
from tiny_run import TINY_MODEL, make_tiny_coco

from fcos_cli.main import main


@pytest.fixture
def arguments(tmp_path) -> list[str]:
    json_file, images = make_tiny_coco(tmp_path / "data")
    opts = [str(word) for item in TINY_MODEL.items() for word in item]
    data = ["--train-data", json_file, "--train-images", images]
    out = ["OUTPUT_DIR", str(tmp_path / "out")]
    return ["browse", "--config", "Recipes/R18-Scratch", *data, *opts, *out]


@pytest.mark.parametrize("name", ["grid.png", "page.html"])
def test_pictures_of_training(arguments, tmp_path, capsys, name):
    output = tmp_path / "made" / name
    browse = ["--output", str(output), "--num-images", "3", "--columns", "2"]
    assert main([*arguments, *browse]) == 0
    assert f"3 images in {output}" in capsys.readouterr().out
    if name.endswith("png"):
        assert cv2.imread(str(output)).shape[1] > 2 * 600
    else:
        text = output.read_text()
        assert text.count("<figure>") == 3 and text.count("data:image/jpeg") == 4
        assert "p3 " in text and ".png" in text
    assert not (tmp_path / "out").exists(), "browsing leaves no run behind"


def test_mistakes_are_told(arguments, tmp_path, capsys):
    for words, message in (
        (["--output", "a.gif"], "must end in .png or .jpg or .html, got a.gif"),
        (["--output", "a.png", "--num-images", "0"], "must be at least 1"),
    ):
        assert main([*arguments, *words]) == 2
        assert message in capsys.readouterr().err
    assert main(["browse", "--output", "a.png"]) == 2
    assert "--config is missing" in capsys.readouterr().err


def test_what_each_augmentation_does(tmp_path, capsys):
    output = tmp_path / "made" / "a.png"
    assert main(["browse", "--augmentations", "--output", str(output)]) == 0
    assert cv2.imread(str(output)).shape[1] > 4 * 320
    assert f"12 tiles in {output}" in capsys.readouterr().out
    assert main(["browse", "--augmentations", "--output", "a.html"]) == 2
