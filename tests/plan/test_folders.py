"""Where a run goes whose user names no output folder."""

import pytest

from fcos_d2.engine import Request
from fcos_d2.plan.folders import folder_to_resume, new_folder


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def leave(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


BIRDS = Request(config_file="", folder="my/birds/")


def test_the_name_of_the_data():
    assert new_folder(BIRDS) == ("output/birds", "output: output/birds")
    files = Request(config_file="", train_data="sets/train.json")
    assert new_folder(files)[0] == "output/train"
    assert new_folder(Request(config_file="", folder="x", output_dir="there"))[0] == "there"


def test_no_run_is_overwritten(tmp_path):
    output = tmp_path / "output"
    leave(output / "birds", "config.yaml")  # it has not trained
    assert new_folder(BIRDS)[0] == "output/birds"
    leave(output / "birds", "model_final.pth")
    folder, line = new_folder(BIRDS)
    assert folder == "output/birds-2" and "output/birds holds a finished run" in line
    leave(output / "birds-2", "config.yaml", "model_0000099.pth")
    folder, line = new_folder(BIRDS)
    assert folder == "output/birds-3" and "--resume would go on with" in line


def test_the_last_run_is_resumed(tmp_path):
    with pytest.raises(ValueError, match="--resume: there is no output/birds/config.yaml"):
        folder_to_resume(BIRDS)
    leave(tmp_path / "output" / "birds", "config.yaml", "model_final.pth")
    leave(tmp_path / "output" / "birds-2", "config.yaml")
    assert folder_to_resume(BIRDS) == "output/birds-2"
    named = Request(config_file="", folder="birds", output_dir="output/birds")
    assert folder_to_resume(named) == "output/birds"
