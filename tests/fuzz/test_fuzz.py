"""Thousands of damaged and hostile inputs: each gets an answer or one line.

`make test` runs a part of the seeds, `make test-slow` all of them.
"""

import io
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from attempts import fault_of, nothing_outside
from mutations import mutated_bytes, mutated_tree
from PIL import Image, features
from tiny_model import tiny_settings, write_model
from torch import nn

from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.datasets.formats import read_dataset, write_dataset
from fcos_deploy.settings import read_settings
from fcos_deploy.vision import image_size, read_image

SHARE = 10  # of the seeds, in the usual run


def seeds(count: int) -> pytest.MarkDecorator:
    part, all_of_them = range(count // SHARE), range(count // SHARE, count)
    return pytest.mark.parametrize(
        "seeds", [part, pytest.param(all_of_them, marks=pytest.mark.slow)], ids=["some", "all"]
    )


def assert_orderly(seeds: range, attempt: Callable[[random.Random], object]) -> None:
    """No fault for any seed; the message counts them by kind, with a seed of each."""
    found: dict[str, list[int]] = {}
    for seed in seeds:
        fault = fault_of(lambda seed=seed: attempt(random.Random(seed)))
        if fault:
            found.setdefault(fault[:160], []).append(seed)
    lines = [f"{len(numbers)} x {fault} (seed {numbers[0]})" for fault, numbers in found.items()]
    assert not found, "\n".join(lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where inputs lie and outputs go."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@seeds(500)
def test_infer_yaml(folder: Path, seeds: range) -> None:
    (folder / "model.onnx").write_bytes(b"not a model")
    text = yaml.safe_dump(tiny_settings())

    def attempt(draw: random.Random) -> None:
        if draw.random() < 0.5:
            content = yaml.dump(mutated_tree(tiny_settings(), draw), allow_unicode=False).encode()
        else:
            content = mutated_bytes(text.encode(), draw)
        (folder / "infer.yaml").write_bytes(content)
        read_settings(folder)

    with nothing_outside(folder):
        assert_orderly(seeds, attempt)


class Small(nn.Module):
    """Weights, norms and a state like those of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1))


@seeds(500)
def test_checkpoint(folder: Path, seeds: range) -> None:
    model = Small()
    optimizer = torch.optim.AdamW(model.parameters())
    names = ["cat", "dog"]
    writer = FCOSCheckpointer(model, str(folder), class_names=names, optimizer=optimizer)
    writer.save("whole", iteration=9)
    whole, expected = (folder / "whole.pth").read_bytes(), model.state_dict()

    def attempt(draw: random.Random) -> None:
        (folder / "damaged.pth").write_bytes(mutated_bytes(whole, draw))
        other = Small()
        loaded = FCOSCheckpointer(other).load(str(folder / "damaged.pth"), checkpointables=[])
        torch.testing.assert_close(other.state_dict(), expected, rtol=0, atol=0)
        assert loaded["class_names"] == names and loaded["iteration"] == 9

    with nothing_outside(folder):
        assert_orderly(seeds, attempt)


@seeds(500)
def test_state_of_a_checkpoint(folder: Path, seeds: range) -> None:
    """What lies in a whole file is of the wrong kind."""
    tree = {"model": dict(Small().state_dict()), "class_names": ["cat", "dog"], "iteration": 9}

    def attempt(draw: random.Random) -> None:
        torch.save(mutated_tree(tree, draw), folder / "odd.pth")
        FCOSCheckpointer(Small()).load(str(folder / "odd.pth"), checkpointables=[])

    with nothing_outside(folder):
        assert_orderly(seeds, attempt)


@seeds(200)
def test_onnx(folder: Path, seeds: range) -> None:
    """In a process of its own, because an engine could take the process with it."""
    write_model(folder / "whole")
    script = Path(__file__).with_name("run_damaged_onnx.py")
    command = [sys.executable, str(script), str(folder), str(seeds.start), str(seeds.stop)]
    with nothing_outside(folder):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr[-500:]


@seeds(500)
def test_config(folder: Path, seeds: range) -> None:
    base = Path(model_zoo.get_config_file("FCOS/R50-1x"))
    text = base.read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    lazy = {"model": {"_target_": "torch.nn.Linear", "in_features": 2}, "train": {"device": "cpu"}}

    def attempt(draw: random.Random) -> None:
        kind = draw.randrange(3)
        if kind == 0:
            content = mutated_bytes(text.encode(), draw)
        else:
            content = yaml.dump(mutated_tree((tree, lazy)[kind - 1], draw)).encode()
            if draw.random() < 0.5:  # tags, where yaml.dump wrote them as text
                content = content.replace(b"'!!python", b"!!python").replace(b"'']'", b"']")
        (folder / "config.yaml").write_bytes(content)
        model_zoo.get_config(str(folder / "config.yaml"))

    with nothing_outside(folder):
        assert_orderly(seeds, attempt)


def draw_image(path: Path, height: int = 40, width: int = 60) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(path)


@seeds(500)
def test_coco_json(folder: Path, seeds: range) -> None:
    draw_image(folder / "images/a.png")
    draw_image(folder / "images/b.png")
    tree = {
        "images": [
            {"id": i, "file_name": f"{name}.png", "height": 40, "width": 60}
            for i, name in enumerate("ab", 1)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": i, "image_id": 1 + i % 2, "category_id": 1 + i % 2, "bbox": [i, 2, 10, 9.5]}
            | {"area": 95, "iscrowd": 0, "segmentation": [[1, 2, 9, 2, 9, 9]]}
            | {"keypoints": [1, 2, 2], "attributes": {"rotation": 10.0}}
            for i in range(1, 7)
        ],
    }
    text = json.dumps(tree).encode()

    def attempt(draw: random.Random) -> None:
        tree_, path = draw.random() < 0.6, folder / "data.json"
        content = json.dumps(mutated_tree(tree, draw)).encode() if tree_ else None
        path.write_bytes(content if content is not None else mutated_bytes(text, draw))
        read = read_dataset(path, images=folder / "images")
        for format in ("coco", "voc", "yolo", "csv", "txt"):
            write_dataset(read.coco, read.images, folder / "out" / format, format)

    with nothing_outside(folder):
        assert_orderly(seeds, attempt)


@seeds(500)
def test_voc_xml(folder: Path, seeds: range) -> None:
    draw_image(folder / "voc/JPEGImages/a.png")
    text = b"""<?xml version="1.0" encoding="utf-8"?><annotation><folder>x</folder>
    <filename>a.png</filename><size><width>60</width><height>40</height><depth>3</depth></size>
    <object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin>
    <xmax>20</xmax><ymax>30</ymax></bndbox></object><object><name>dog</name><robndbox><cx>20</cx>
    <cy>20</cy><w>10</w><h>5</h><angle>0.5</angle></robndbox></object></annotation>"""
    path = folder / "voc/Annotations/a.xml"
    path.parent.mkdir()

    def attempt(draw: random.Random) -> None:
        content = mutated_bytes(text, draw)
        if draw.random() < 0.3:
            value = draw.choice((b"../../../outside", b"\x1b[2J", b"&#27;", b"1e999", b"nan", b""))
            old = draw.choice((b"a.png", b"cat", b"20", b"60", b"utf-8", b"annotation", b"x"))
            content = text.replace(old, value)
        path.write_bytes(content)
        read = read_dataset(folder / "voc")
        write_dataset(read.coco, read.images, folder / "out", "yolo")

    with nothing_outside(folder):
        assert_orderly(seeds, attempt)


def pictures() -> dict[str, bytes]:
    """One small picture in every format that this Pillow writes and the reader may accept."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    options = {
        "JPEG": {"quality": 80},
        "PNG": {},
        "GIF": {},
        "BMP": {},
        "TIFF": {"compression": "tiff_lzw"},
        "WEBP": {} if features.check("webp") else None,
        "AVIF": {} if features.check("avif") else None,
        "JPEG2000": {} if features.check("jpg_2000") else None,
        "PPM": {},
        "TGA": {},
        "ICO": {},
        "PCX": {},
        "SGI": {},
        "DDS": {},
        "EPS": {},
        "MPO": {},
        "QOI": {},
    }
    written = {}
    for name, option in options.items():
        file = io.BytesIO()
        try:
            if option is not None:
                image.save(file, name, **option)
        except (KeyError, OSError):  # not written by this Pillow
            continue
        if file.getvalue():
            written[name] = file.getvalue()
    return written


@seeds(5000)
def test_image(folder: Path, seeds: range) -> None:
    whole = pictures()
    names = sorted(whole)

    def attempt(draw: random.Random) -> None:
        path = folder / "picture.jpg"
        path.write_bytes(mutated_bytes(whole[draw.choice(names)], draw))
        for read in (image_size, read_image):
            try:
                read(path)
            except ValueError as error:
                assert str(path) in str(error)

    with nothing_outside(folder):
        assert_orderly(seeds, attempt)
