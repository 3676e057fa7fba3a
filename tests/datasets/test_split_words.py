"""The words for the parts of a dataset."""

import pytest

from fcos_d2.datasets.split_words import split_called


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Train", "train"),
        ("val2017", "val"),
        ("my test images", "test"),
        ("TrainData", "train"),
        ("VAL", "val"),
        ("eval", "val"),
        ("image_info_test-dev2017", "test"),
        ("train_val", None),
        ("trainval", None),
        ("images", None),
    ],
)
def test_the_split_of_a_name(name, split):
    assert split_called(name) == split
