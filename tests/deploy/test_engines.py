"""One detector, used by several threads at the same time."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tiny_model import coded_image, write_coded_model

from fcos_deploy import Detector
from fcos_deploy.engines import OpenVino

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_an_answer_belongs_to_its_image(tmp_path: Path, engine: str) -> None:
    """500 images whose colours tell where their boxes are, by 16 threads."""
    if engine == "openvino":
        pytest.importorskip("openvino", reason="needs OpenVINO: pip install openvino")
    detector = Detector(write_coded_model(tmp_path / "m", format=engine))

    with ThreadPoolExecutor(16) as pool:
        found = [*pool.map(detector, [coded_image(i)[0] for i in range(500)])]
    for i, one in enumerate(found):
        np.testing.assert_allclose(one.boxes, [coded_image(i)[1]], atol=1e-4)


def test_the_first_call_of_openvino_is_alone() -> None:
    """Two first calls at a time could wait for each other for ever, in OpenVINO's Python part."""
    engine = OpenVino.__new__(OpenVino)
    engine._has_run = False
    running, together = [], []

    def infer(images: np.ndarray, image_sizes: np.ndarray) -> list[np.ndarray]:
        running.append(images)
        together.append((len(running), engine._has_run))
        time.sleep(0.01)
        running.pop()
        return [images]

    engine._infer = infer
    with ThreadPoolExecutor(8) as pool:
        assert [x for (x,) in pool.map(lambda i: engine.run(i, i), range(40))] == [*range(40)]
    assert together[0] == (1, False)
    assert all(num == 1 for num, has_run in together if not has_run)
    assert max(num for num, has_run in together) > 1  # and later ones are not
