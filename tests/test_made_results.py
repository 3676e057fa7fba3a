"""The made set that `fcos report` is timed with."""

import time

import pytest

from benchmarks.made_results import made
from fcos_d2.evaluation.report.numbers import report_numbers
from fcos_d2.evaluation.results import DetectionSet


def test_most_objects_of_a_made_set_are_found():
    truth, rows = made(30, 20)
    assert len(rows) == 30 * 20
    numbers = report_numbers(DetectionSet(truth=truth, detections=rows), resamples=5)
    assert numbers["figures"]["AP50"]["value"] > 70
    assert numbers["data"]["images"] == 30


@pytest.mark.slow
def test_the_numbers_of_5000_images_take_less_than_two_minutes_of_one_core():
    truth, rows = made(5000, 100)
    begun = time.process_time()
    report_numbers(DetectionSet(truth=truth, detections=rows))
    assert time.process_time() - begun < 120
