"""The 22 settings of the released models: ours value for value, and AdelaiDet's files unchanged."""

import json

import pytest
import torch
import yaml
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from golden_configs import CONFIGS

from fcos_d2 import model_zoo
from fcos_d2.config import get_cfg

# dl.yf.io, the host of the DLA weights, is gone; timm has the same weights.
DEAD_WEIGHTS = "http://dl.yf.io/dla/models/imagenet/dla34-ba72cf86.pth"
LIVE_WEIGHTS = "https://huggingface.co/timm/dla34.in1k/resolve/main/model.safetensors"
# Keys of AdelaiDet's VoVNet files that its FCOS never reads.
IGNORED = {"OUT_CHANNELS", "BACKBONE_OUT_CHANNELS"}


@pytest.fixture(scope="module")
def settings(shared_dir) -> dict[str, dict]:
    path = shared_dir / "golden" / "settings_all.json"
    return json.loads(path.read_text(encoding="utf-8"))


def load(name: str) -> CfgNode:
    return model_zoo.get_config(str(model_zoo.config_root() / f"{name}.yaml"))


def plain(value: object) -> object:
    """Tuples as lists, like in json."""
    return list(value) if isinstance(value, tuple) else value


def section(cfg: CfgNode, expected: dict) -> dict:
    return {key: plain(cfg[key]) for key in expected}


def test_every_setting_has_a_config(settings):
    assert set(settings) == set(CONFIGS)


@pytest.mark.parametrize("theirs", CONFIGS)
def test_value_for_value(settings, theirs):
    cfg, expected = load(CONFIGS[theirs]), settings[theirs]
    body = cfg.MODEL.BACKBONE.NAME
    if expected["weights"] == DEAD_WEIGHTS:
        assert cfg.MODEL.WEIGHTS == LIVE_WEIGHTS
    else:
        assert expected["weights"] == cfg.MODEL.WEIGHTS
    assert (body, cfg.MODEL.META_ARCHITECTURE) == (expected["backbone"], "FCOS")
    assert expected["freeze_at"] == cfg.MODEL.BACKBONE.FREEZE_AT
    assert expected["pixel_mean"] == cfg.MODEL.PIXEL_MEAN
    assert expected["pixel_std"] == cfg.MODEL.PIXEL_STD
    fpn = cfg.MODEL.FPN
    assert [plain(fpn.IN_FEATURES), fpn.NORM, fpn.FUSE_TYPE, fpn.OUT_CHANNELS] == [
        expected[f"fpn_{name}"] for name in ("in", "norm", "fuse", "channels")
    ]
    assert section(cfg.MODEL.FCOS, expected["fcos"]) == expected["fcos"]
    for key in ("resnets", "vovnet"):
        if expected[key]:
            wanted = {k: v for k, v in expected[key].items() if k not in IGNORED}
            assert section(cfg.MODEL[key.upper()], wanted) == wanted
    if expected["dla"]:
        # AdelaiDet never reads OUT_FEATURES; the FPN takes what it needs.
        assert expected["dla"]["CONV_BODY"] == cfg.MODEL.DLA.CONV_BODY
        assert expected["dla"]["NORM"] == cfg.MODEL.DLA.NORM
    assert section(cfg.INPUT, expected["input"]) == expected["input"]
    assert expected["crop"] == cfg.INPUT.CROP.ENABLED
    assert section(cfg.SOLVER, expected["solver"]) == expected["solver"]
    assert expected["clip_gradients"] == cfg.SOLVER.CLIP_GRADIENTS.ENABLED
    assert expected["detections_per_image"] == cfg.TEST.DETECTIONS_PER_IMAGE
    assert list(cfg.DATASETS.TRAIN) == expected["datasets_train"]
    assert list(cfg.DATASETS.TEST) == expected["datasets_test"]


def test_defaults_that_the_settings_do_not_name(settings):
    """Our own keys stay at the released models' behaviour in all of their configs."""
    defaults, known = get_cfg().MODEL.FCOS, settings["Base-FCOS.yaml"]["fcos"]
    for name in CONFIGS.values():
        fcos = load(name).MODEL.FCOS
        assert {k: v for k, v in fcos.items() if k not in known} == {
            k: v for k, v in defaults.items() if k not in known
        }


def adelaidet_yaml(setting: dict) -> str:
    """The setting as a file with AdelaiDet's keys, all of them spelled out."""
    model = {
        "META_ARCHITECTURE": setting["meta"],
        "WEIGHTS": setting["weights"],
        "PIXEL_MEAN": setting["pixel_mean"],
        "PIXEL_STD": setting["pixel_std"],
        "MASK_ON": False,
        "MOBILENET": False,
        "BACKBONE": {"NAME": setting["backbone"], "FREEZE_AT": setting["freeze_at"]},
        "FPN": {
            "IN_FEATURES": setting["fpn_in"],
            "NORM": setting["fpn_norm"],
            "FUSE_TYPE": setting["fpn_fuse"],
            "OUT_CHANNELS": setting["fpn_channels"],
        },
        "PROPOSAL_GENERATOR": {"NAME": "FCOS"},
        "FCOS": setting["fcos"],
    }
    for key in ("resnets", "dla", "vovnet"):
        if setting[key]:
            model[key.upper()] = setting[key]
    solver = {k: v for k, v in setting["solver"].items() if v is not None}
    return yaml.safe_dump(
        {
            "MODEL": model,
            "INPUT": {**setting["input"], "CROP": {"ENABLED": setting["crop"]}},
            "SOLVER": {**solver, "STEPS": str(tuple(solver["STEPS"]))},
            "DATASETS": {
                "TRAIN": str(tuple(setting["datasets_train"])),
                "TEST": str(tuple(setting["datasets_test"])),
            },
            "TEST": {"DETECTIONS_PER_IMAGE": setting["detections_per_image"]},
        }
    )


@pytest.mark.parametrize("theirs", CONFIGS)
def test_adelaidets_file_merges_and_builds(settings, theirs, tmp_path):
    """Merged unchanged it gives the model of our config."""
    setting = settings[theirs]
    path = tmp_path / "adelaidet.yaml"
    path.write_text(adelaidet_yaml(setting), encoding="utf-8")
    cfg = get_cfg()
    cfg.merge_from_file(str(path))
    states = []
    for config in (cfg, load(CONFIGS[theirs])):
        config.MODEL.DEVICE = "meta"
        with torch.device("meta"):
            states.append(build_model(config).state_dict())
    assert [(k, v.shape, v.dtype) for k, v in states[0].items()] == [
        (k, v.shape, v.dtype) for k, v in states[1].items()
    ]
