"""Each family of detectors as ONNX, on real images of two sizes, alone and by four."""

from pathlib import Path

import pytest
import torch
from random_detector import calm, confident
from random_norms import randomise_norms

from fcos_d2 import model_zoo
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.export import ExportOptions, export
from fcos_d2.export.verify import FULL_PRECISION, batches_of, compare, load_exported
from fcos_deploy.vision import list_images, read_image

pytestmark = pytest.mark.slow
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

LITE0 = (
    *("MODEL.BACKBONE.NAME", "build_fcos_timm_fpn_backbone"),
    *("MODEL.TIMM.NAME", "tf_efficientnet_lite0", "INPUT.FORMAT", "RGB"),
    *("MODEL.PIXEL_MEAN", "[127.0,127.0,127.0]", "MODEL.PIXEL_STD", "[128.0,128.0,128.0]"),
)
FAMILIES = {
    "FCOS-RT R50": ("FCOS-RT/R50", {}),
    "FCOS-RT R50, Winograd": ("FCOS-RT/R50", {"winograd": True}),
    "FCOS-RT DLA-34": ("FCOS-RT/DLA34", {}),
    "FCOS-RT DLA-34, shared towers, norms per level": ("FCOS-RT/DLA34-SharedTowers-BN-Head", {}),
    "FCOS R50, group norm": ("FCOS/R50-1x", {}),
    "MobileNetV2-RT": ("Recipes/MobileNetV2-RT", {}),
    "P2": ("Recipes/R50-P2-SmallObjects", {}),
    "PAFPN": ("FCOS/R50-PAFPN-1x", {}),
    # TensorFlow's padding, which depends on the size of the image.
    "EfficientNet-Lite0 of timm": ("Recipes/R18-Scratch", {}, *LITE0),
}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_finds_what_the_detector_finds(shared_dir: Path, tmp_path: Path, family: tuple) -> None:
    import onnx

    name, options, *more = family
    opts = ["MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", *more]
    opts += ["INPUT.MIN_SIZE_TEST", "192", "INPUT.MAX_SIZE_TEST", "256"]
    cfg = model_zoo.get_config(name, opts)
    torch.manual_seed(0)
    model = confident(randomise_norms(model_zoo.get_model(name, opts)))
    mapper = FCOSDatasetMapper(cfg, is_train=False)
    names = [f"class {i}" for i in range(model.proposal_generator.num_classes)]
    paths = list_images([str(shared_dir / "data" / "coco_sample" / "**" / "*.jpg")])[:20]
    assert len(paths) == 20
    images = [mapper.to_input(read_image(path, mapper.image_format))[0] for path in paths]
    calm(model, images[0])
    options = ExportOptions(**options)
    export(model, mapper, names, tmp_path, options)
    graph = onnx.load(tmp_path / options.model_file)
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}

    run = load_exported(tmp_path, options.format, options.model_file)
    worst = compare(model, run, batches_of(images, None, None), None, FULL_PRECISION)
    print(name, worst)
    assert worst.detections >= 200 and worst.within(FULL_PRECISION)
