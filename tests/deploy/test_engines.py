"""One detector, used by several threads at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tiny_model import coded_image, write_coded_model

from fcos_deploy import Detector

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
