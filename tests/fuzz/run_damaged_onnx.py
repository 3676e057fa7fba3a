"""Loads and runs damaged graphs; prints a line for each fault. Run by test_fuzz.py."""

import random
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from attempts import fault_of
from mutations import mutated_bytes

from fcos_deploy.detector import Detector

folder, start, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
whole = (folder / "whole/model.onnx").read_bytes()
settings = (folder / "whole/infer.yaml").read_bytes()
damaged = folder / "damaged"
damaged.mkdir(exist_ok=True)
(damaged / "infer.yaml").write_bytes(settings)


def attempt(seed: int) -> None:
    (damaged / "model.onnx").write_bytes(mutated_bytes(whole, random.Random(seed)))
    print(seed, file=sys.stderr, flush=True)  # the last one is named after a crash
    Detector(damaged, threads=1)(np.full((40, 60, 3), 7, np.uint8))


for seed in range(start, stop):
    fault = fault_of(lambda seed=seed: attempt(seed))
    if fault:
        print(f"seed {seed}: {fault}", flush=True)
