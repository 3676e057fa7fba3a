"""A config that is none, at every door: one line, no stack trace, nothing run."""

import importlib.util
from pathlib import Path

import pytest
from tiny_run import make_tiny_coco

from fcos_cli.main import main
from fcos_d2 import Predictor, model_zoo

ROOT = Path(__file__).resolve().parents[2]
BASE = f"_BASE_: {model_zoo.get_config_file('Recipes/R18-Scratch')}\n"
CONFIGS = {
    "empty": ("", "is empty"),
    "list": ("- 1\n", "holds a list"),
    "broken": ("MODEL: [\n", "not a yaml config"),
    "circle": ("_BASE_: config.yaml\n", "goes round in a circle"),
    "tag": ("SEED: !!python/object/apply:os.system ['touch CANARY']\n", "os.system"),
    "target": (
        "model: {_target_: os.system, command: touch CANARY}\ndataloader: {}\ntrain: {}\n",
        "--trust-config",
    ),
    "part": ("model: {_target_: fcos_d2.modeling.FCOS}\n", "not a whole LazyConfig"),
    "backbone": (
        f"{BASE}MODEL: {{BACKBONE: {{NAME: build_fcos_resnt_fpn_backbone}}}}\n",
        "near it are build_fcos_resnet_fpn_backbone",
    ),
    "architecture": (f"{BASE}MODEL: {{META_ARCHITECTURE: FCSO}}\n", "'FCSO' is not registered"),
    "classes": (f"{BASE}MODEL: {{FCOS: {{NUM_CLASSES: -1}}}}\n", "at least 1, got -1"),
    "channels": (f"{BASE}MODEL: {{FPN: {{OUT_CHANNELS: -32}}}}\n", "cannot be built"),
    "depth": (f"{BASE}MODEL: {{RESNETS: {{DEPTH: 19}}}}\n", "cannot be built: KeyError 19"),
    "device": (f"{BASE}MODEL: {{DEVICE: gpu}}\n", "'gpu' cannot be used"),
}


def script(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# On a registered dataset: own data would replace the number of classes.
DATASETS = ["DATASETS.TRAIN", "('shapes_train',)", "DATASETS.TEST", "('shapes_val',)"]


def train(config, folder):
    return main(["train", "--config", config, *DATASETS])


def train_net(config, folder):
    return script("train_net.py").main(["--config-file", config, *DATASETS])


def predict(config, folder):
    image, output = str(folder / "data" / "1.png"), str(folder / "drawn")
    return main(["predict", image, "--output", output, "--config", config])


def demo(config, folder):
    arguments = ["--input", str(folder / "data" / "1.png"), "--output", str(folder / "drawn")]
    return script("demo/demo.py").main(["--config-file", config, *arguments])


def check(config, folder):
    data = [str(folder / "data" / "annotations.json"), "--workers", "1"]
    return main(["check", *data, "--config", config])


def export(config, folder):
    arguments = ["--images", str(folder / "data"), "--output", str(folder / "exported")]
    return main(["export", "--config", config, *arguments])


def predictor(config, folder):
    Predictor(config, "weights.pth")


# The old doors lead to the same code: one config shows it. Check and export choose the device.
DOORS = [
    *((door, name) for door in (train, predict, predictor) for name in CONFIGS),
    *((door, name) for door in (check, export) for name in CONFIGS if name != "device"),
    *((door, "backbone") for door in (train_net, demo)),
]


@pytest.mark.parametrize(("door", "name"), DOORS, ids=lambda x: getattr(x, "__name__", x))
def test_one_line(door, name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for the usual output folder
    make_tiny_coco(tmp_path / "data", num_images=1)
    text, message = CONFIGS[name]
    config, canary = tmp_path / "config.yaml", tmp_path / "canary"
    config.write_text(text.replace("CANARY", str(canary)))
    try:
        code = door(str(config), tmp_path)
    except SystemExit as exit:
        line, code = capsys.readouterr().err.splitlines()[-1], exit.code
    except ValueError as error:
        assert door is predictor
        line, code = f"error: {error}", 1
    else:
        line = capsys.readouterr().err.splitlines()[-1]
    assert code == 1
    assert line.startswith("error: ") and line.isprintable() and message in line
    assert not canary.exists()


def test_devices(monkeypatch):
    for device in ("gpu", "cuda:x", "mps"):
        with pytest.raises(ValueError, match="cannot be used"):
            Predictor("Recipes/R18-Scratch", "weights.pth", device=device)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(ValueError, match="'cuda:2', but this machine has 2 GPUs"):
        Predictor("Recipes/R18-Scratch", "weights.pth", device="cuda:2")
