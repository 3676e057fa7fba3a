"""What the config.yaml of a LazyConfig may call."""

import sys

import pytest
import yaml
from detectron2.config import LazyConfig, instantiate
from detectron2.layers import ShapeSpec

from fcos_d2 import allow_config_targets, config_targets, model_zoo
from fcos_d2.config_targets import resolve_target
from fcos_d2.data.mapper import FCOSDatasetMapper

LAZY_NAMES = [name for name in model_zoo.list_configs() if name.startswith("lazy/")]
HOSTILE = [
    "os.system",
    "subprocess.Popen",
    "builtins.exec",
    "functools.partial",
    "pydoc.locate",
    "torch.os.system",
    "torch.load",
    "torch.serialization.load",
    "torch.serialization.pickle.loads",
    "torch.hub.load",
    "torch.jit.load",
    "torch.utils.cpp_extension.load_inline",
    "torch.utils.collect_env.run",
    "torch.utils.data.datapipes.iter.FileOpener",
    "torch.multiprocessing.spawn",
    "torch.distributed.run.main",
    "torch.nn.modules.module.OrderedDict",
    "torch.nn.Module.load_state_dict",
    "torch.nn.Module.__subclasses__",
    "torch.nn.functional.relu",
    "torchvision.datasets.utils.download_and_extract_archive",
    "torchvision.io.write_file",
    "torchvision.models._api.load_state_dict_from_url",
    "timm.models._helpers.load_checkpoint",
    "timm.models.push_to_hf_hub",
    "fvcore.common.download.download",
    "detectron2.config.instantiate",
    "detectron2.config.LazyConfig.load",
    "detectron2.utils.env.setup_custom_environment",
    "detectron2.utils.env.os.system",
    "detectron2.data.build.load_proposals_into_dataset",
    "detectron2.data.build.pickle.loads",
    "detectron2.engine.launch",
    "detectron2.modeling.mmdet_wrapper.MMDetBackbone",
    "detectron2.evaluation.evaluator.logging",
    "fcos_d2.predictor.Predictor",
    "fcos_d2.datasets.formats.write_dataset",
    "fcos_d2.checkpoint.read_checkpoint",
    "fcos_d2.model_zoo.__main__.table",
    "fcos_d2",
    "",
    "os.system()",
    None,
    3,
    ["os.system"],
    {"_target_": "functools.partial"},
]


@pytest.mark.parametrize("name", HOSTILE, ids=str)
def test_refused(name):
    with pytest.raises(ValueError, match="_target_"):
        resolve_target(name)


@pytest.mark.parametrize(
    "name",
    [
        "fcos_d2.modeling.FCOS",
        "detectron2.modeling.backbone.FPN",
        "detectron2.modeling.ResNet.make_default_stages",
        "detectron2.layers.ShapeSpec",
        "detectron2.data.transforms.RandomFlip",
        "detectron2.data.get_detection_dataset_dicts",
        "detectron2.evaluation.COCOEvaluator",
        "detectron2.solver.build.get_default_optimizer_params",
        "torch.optim.AdamW",
        "torch.optim.sgd.SGD",
        "torch.nn.LayerNorm",
        "torch.utils.data.DataLoader",
        "fvcore.common.param_scheduler.CosineParamScheduler",
        "timm.create_model",
    ],
)
def test_allowed(name):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    assert callable(resolve_target(name))


@pytest.mark.parametrize("name", LAZY_NAMES)
def test_what_our_configs_save_is_read_again(name, tmp_path):
    cfg = model_zoo.get_config(name)
    LazyConfig.save(cfg, str(tmp_path / "config.yaml"))
    read = model_zoo.get_config(str(tmp_path / "config.yaml"))
    LazyConfig.save(read, str(tmp_path / "again.yaml"))
    first, again = ((tmp_path / x).read_text() for x in ("config.yaml", "again.yaml"))
    # An object of detectron2 in a second stage is written as what builds it.
    assert again == first or ("TwoStage" in name and "!!python" in first and "!!" not in again)
    if "TwoStage" in name:
        spec = instantiate(read.model.roi_heads.box_predictor.input_shape)
        assert spec == ShapeSpec(channels=1024)
    # Code that asks for the class finds it, as in a .py config.
    assert read.dataloader.train.mapper["_target_"] is FCOSDatasetMapper


def hostile_config(tmp_path, *path, **node):
    """A saved config with `node` at the keys of `path`."""
    file = tmp_path / "config.yaml"
    LazyConfig.save(model_zoo.get_config("lazy/FCOS-RT/R50"), str(file))
    tree = place = yaml.safe_load(file.read_text())
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = node or "${oc.create:{_target_: os.system, command: 'true'}}"
    file.write_text(yaml.safe_dump(tree))
    return str(file)


@pytest.mark.parametrize(
    "path",
    [
        ("model",),
        ("dataloader", "test", "mapper"),
        ("model", "backbone", "norm"),
        ("train", "x"),
        ("new",),
    ],
)
def test_a_hostile_config_is_not_called(tmp_path, path):
    canary = tmp_path / "canary"
    config = hostile_config(tmp_path, *path, _target_="os.system", command=f"touch {canary}")
    with pytest.raises(ValueError, match=r"config.yaml: .*'os.system'.*--trust-config"):
        model_zoo.get_config(config)
    trusted = model_zoo.get_config(config, trust_config=True)
    assert not canary.exists()
    node = trusted
    for key in path:
        node = node[key]
    instantiate(node)
    assert canary.exists()  # that is what the word is for


def test_resolvers_do_not_make_targets(tmp_path):
    with pytest.raises(ValueError, match="omegaconf work out"):
        model_zoo.get_config(hostile_config(tmp_path, "model", "backbone", "norm"))
    evil = {"_target_": "${train.name}", "command": "true"}
    with pytest.raises(ValueError, match="_target_"):
        model_zoo.get_config(hostile_config(tmp_path, "model", **evil))


def test_files_of_proposals_are_refused(tmp_path):
    dataset = {"_target_": "detectron2.data.get_detection_dataset_dicts", "names": "coco_2017_val"}
    dataset["proposal_files"] = ["proposals.pkl"]
    config = hostile_config(tmp_path, "dataloader", "train", "dataset", **dataset)
    with pytest.raises(ValueError, match="proposal_files .*pickle"):
        model_zoo.get_config(config)


def test_modules_of_the_working_folder_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match="_target_ 'evil_module.x'"):
        resolve_target("evil_module.x")
    assert "evil_module" not in sys.modules


def test_a_plugin_extends_the_list(tmp_path, monkeypatch):
    (tmp_path / "my_parts.py").write_text(
        "from os import system\nclass Part:\n    pass\ndef make():\n    return Part()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("CLASSES_OF", "FUNCTIONS_OF"):
        monkeypatch.setattr(config_targets, name, list(getattr(config_targets, name)))
    with pytest.raises(ValueError, match="my_parts"):
        resolve_target("my_parts.Part")
    allow_config_targets("my_parts")
    assert isinstance(resolve_target("my_parts.make")(), resolve_target("my_parts.Part"))
    with pytest.raises(ValueError, match="my_parts"):
        resolve_target("my_parts.system")
