"""The confusion matrix by hand, and what hotcoco would count otherwise."""

import numpy as np
from noisy_detector import detection_set

from fcos_d2.evaluation.matches import match
from fcos_d2.evaluation.report.errors import confusion, kept_rows
from fcos_d2.evaluation.report.labels import label_errors

A, B, C, D = (0, 0, 10, 10), (50, 0, 10, 10), (100, 0, 10, 10), (300, 300, 10, 10)
CROWD = (200, 200, 100, 100)


def matrix_of(objects, found, threshold=0.5):
    data = detection_set(objects, found, images=2)
    rows = kept_rows(data, match(data), threshold)
    return confusion(data, rows, threshold)["matrix"]


def test_by_hand():
    objects = [(0, 0, A), (0, 0, B), (0, 1, C), (1, 1, D)]
    found = [
        (0, 0, A, 0.9),  # a as a
        (0, 1, B, 0.8),  # a as b
        (0, 0, D, 0.7),  # background as a: the object there is in the other image
        (1, 1, D, 0.4),  # below the threshold
    ]
    # labelled a: one as a, one as b; labelled b: both missed; background: one a.
    assert matrix_of(objects, found) == [[1, 1, 0], [0, 0, 2], [1, 0, 0]]


def test_rows_add_up_to_the_objects_and_columns_to_the_detections():
    objects = [(i % 2, i % 2, (20 * i, 0, 10, 10)) for i in range(10)]
    found = [(i % 2, i % 3 % 2, (20 * i, 1, 10, 10), 0.9 - 0.01 * i) for i in range(14)]
    matrix = np.array(matrix_of(objects, found))
    assert matrix[:-1].sum(axis=1).tolist() == [5, 5]
    assert matrix[:, :-1].sum() == 14


def test_a_second_detection_of_an_object_is_background():
    assert matrix_of([(0, 0, A)], [(0, 0, A, 0.9), (0, 0, A, 0.8)]) == [
        [1, 0, 0],
        [0, 0, 0],
        [1, 0, 0],
    ]


def test_crowds_are_neither_missed_nor_mistakes():
    objects = [(0, 0, A), (0, 0, CROWD, True)]
    on_crowd = [(0, 0, (210, 210, 20, 20), 0.95), (0, 0, (240, 240, 20, 20), 0.9)]
    assert matrix_of(objects, [(0, 0, A, 0.8), *on_crowd]) == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_more_detections_than_hotcocos_limit():
    found = [(0, 0, (3 * i, 400, 2, 2), 0.9) for i in range(100)]
    found += [(0, 1, (3 * i, 300, 2, 2), 0.8) for i in range(100)]
    assert matrix_of([(0, 0, A)], found)[2] == [100, 100, 0]


def test_doubtful_labels():
    objects = [(0, 0, A), (0, 1, B)]
    found = [
        (0, 0, A, 0.9),
        (0, 0, B, 0.8),  # where b is labelled
        (1, 0, D, 0.7),  # where nothing is labelled
        (1, 0, C, 0.45),  # not sure
    ]
    data = detection_set(objects, found, images=2)
    matches = match(data)
    wrong, missing = label_errors(data, kept_rows(data, matches, 0.4), 0.4)
    assert (wrong["kind"], wrong["name"], wrong["label"]) == ("wrong_label", "a", "b")
    assert (wrong["score"], wrong["annotation"], wrong["image"]) == (0.8, 1, 0)
    assert wrong["box"] == wrong["label_box"] == [50, 0, 60, 10]
    assert (missing["kind"], missing["image"], missing["file_name"]) == (
        "missing_annotation",
        1,
        "1.jpg",
    )
    assert missing["box"] == [300, 300, 310, 310]
    assert missing["label"] is None


def test_nothing_is_doubtful_where_nothing_is_detected():
    data = detection_set([(0, 0, A)], [])
    matches = match(data)
    assert label_errors(data, kept_rows(data, matches, 0.5), 0.5) == []
