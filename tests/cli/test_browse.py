import browse_dataset
import cv2
import pytest
from tiny_run import tiny_command


@pytest.fixture
def arguments(tmp_path) -> list[str]:
    command = tiny_command(tmp_path / "data", tmp_path / "out", 1)
    return [str(word) for word in command]


@pytest.mark.parametrize("name", ["grid.png", "page.html"])
def test_pictures_of_training(arguments, tmp_path, capsys, name):
    output = tmp_path / "made" / name
    browse = ["--output", str(output), "--num-images", "3", "--columns", "2"]
    assert browse_dataset.main([*browse, *arguments]) == 0
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
        (["--output", "a.gif"], "must end in .png, .jpg or .html, got a.gif"),
        (["--output", "a.png", "--num-images", "0"], "must be at least 1"),
    ):
        assert browse_dataset.main([*words, *arguments]) == 1
        assert message in capsys.readouterr().err
    assert browse_dataset.main(["--output", "a.png"]) == 1
    assert "--config-file is missing" in capsys.readouterr().err
