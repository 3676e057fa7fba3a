"""Folders with a table of boxes: CSV, that of Open Images, and the one of an ImageFolder."""

from layouts import LAYOUTS, one_json

from fcos_d2.datasets.folder import find_data


def test_a_csv_of_other_images_is_no_second_reading(tmp_path):
    one_json(tmp_path)
    (tmp_path / "old.csv").write_text("gone.png,1,1,9,9,dog\n")
    assert len(find_data(tmp_path).lines) == 1


def test_a_csv_without_rows_is_said(tmp_path):
    LAYOUTS["csv with a header"][0](tmp_path)
    (tmp_path / "test_labels.csv").write_text("filename,class,xmin,ymin,xmax,ymax\n")
    assert find_data(tmp_path).lines[1] == "test_labels.csv has no row of a box; it is passed over"
