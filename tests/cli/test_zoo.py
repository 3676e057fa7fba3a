"""`fcos zoo`; its table is tested in test_model_zoo.py."""

from fcos_cli.main import main
from fcos_d2 import model_zoo


def test_all_names_are_listed(capsys):
    assert main(["zoo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == model_zoo.list_configs()


def test_words_choose(capsys):
    assert main(["zoo", "r50", "fcos-rt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = (line for line in lines if line.split()[0] == "FCOS-RT/R50")
    assert "COCO AP 40.2 (40.2), reported by AdelaiDet" in line
    assert "--weights zoo://FCOS-RT/R50 (non-commercial use only" in line
    assert "lazy/FCOS-RT/R50" in {x.split()[0] for x in lines}
    assert not any("R101" in line for line in lines)


def test_a_word_of_no_name(capsys):
    assert main(["zoo", "yolo"]) == 1
    assert capsys.readouterr().err == "error: no model has yolo in its name; see fcos zoo\n"
