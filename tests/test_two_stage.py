"""FCOS as the first stage of detectron2's two-stage detectors."""

import json

import pytest
import torch
from detectron2.structures import BitMasks, Boxes, Instances
from detectron2.utils.events import EventStorage
from tiny_run import train_request

from fcos_d2 import Predictor, model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine import run
from fcos_d2.evaluation.views import ViewSettings, selection_limits

SMALL = {
    "MODEL.WEIGHTS": "",
    "MODEL.DEVICE": "cpu",
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.RESNETS.DEPTH": 18,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.RESNETS.STRIDE_IN_1X1": False,
    "MODEL.RESNETS.NORM": "BN",
    "MODEL.PIXEL_STD": "[57.375,57.12,58.395]",
    "MODEL.FPN.OUT_CHANNELS": 64,
    "MODEL.FCOS.NUM_CLS_CONVS": 1,
    "MODEL.FCOS.NUM_BOX_CONVS": 1,
    "MODEL.FCOS.POST_NMS_TOPK_TRAIN": 100,
    "MODEL.FCOS.POST_NMS_TOPK_TEST": 50,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 128,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 32,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 64,
}
CONFIGS = ("TwoStage/FasterRCNN-R50-FCOS-1x", "TwoStage/MaskRCNN-R50-FCOS-1x")


def words(options: dict) -> list[str]:
    return [str(word) for item in options.items() for word in item]


def batch() -> list[dict]:
    torch.manual_seed(0)
    instances = Instances((96, 128))
    instances.gt_boxes = Boxes([[10, 10, 60, 50], [40, 20, 120, 90]])
    instances.gt_classes = torch.tensor([7, 3])
    masks = torch.zeros(2, 96, 128, dtype=torch.bool)
    masks[0, 10:50, 10:60] = masks[1, 20:90, 40:120] = True
    instances.gt_masks = BitMasks(masks)
    return [{"image": torch.randint(0, 256, (3, 96, 128)), "instances": instances}]


@pytest.mark.parametrize("name", CONFIGS)
def test_training_and_inference(name):
    opts = {**SMALL, "INPUT.MASK_FORMAT": "bitmask"}
    model = model_zoo.get_model(name, words(opts)).train()
    with EventStorage():
        losses = model(batch())
    mask = {"loss_mask"} if "Mask" in name else set()
    assert set(losses) == mask | {
        "loss_cls",
        "loss_box_reg",
        "loss_fcos_cls",
        "loss_fcos_loc",
        "loss_fcos_ctr",
    }
    sum(losses.values()).backward()
    generator = model.proposal_generator
    assert generator.fcos_head.cls_logits.weight.grad.abs().sum() > 0
    assert model.backbone.bottom_up.stem.conv1.weight.grad.abs().sum() > 0

    model.eval()
    model.roi_heads.box_predictor.test_score_thresh = 0.0
    found = model([{"image": batch()[0]["image"], "height": 192, "width": 256}])[0]["instances"]
    assert found.image_size == (192, 256) and len(found) > 0
    assert found.has("pred_masks") == ("Mask" in name)


def test_the_first_stage_does_not_look_at_classes():
    """With one class all boxes are objects; the losses of the first stage do not change."""
    model = model_zoo.get_model(CONFIGS[0], words(SMALL)).train()
    losses = []
    for classes in ([7, 3], [0, 0]):
        inputs = batch()
        inputs[0]["instances"].gt_classes = torch.tensor(classes)
        images = model.preprocess_image(inputs)
        features = model.backbone(images.tensor)
        instances = [x["instances"] for x in inputs]
        proposals, stage_losses = model.proposal_generator(images, features, instances)
        losses.append(stage_losses)
        assert proposals[0].get_fields().keys() == {"proposal_boxes", "objectness_logits"}
        assert 0 < len(proposals[0]) <= 100
    assert losses[0].keys() == losses[1].keys()
    for name, loss in losses[0].items():
        torch.testing.assert_close(loss, losses[1][name])


def test_predictor(tmp_path):
    """Class names and the threshold are those of the second stage."""
    opts = words({**SMALL, "MODEL.ROI_HEADS.NUM_CLASSES": 2})
    model = model_zoo.get_model(CONFIGS[0], opts)
    FCOSCheckpointer(model, str(tmp_path), class_names=["cat", "dog"]).save("model")
    predictor = Predictor(
        CONFIGS[0], str(tmp_path / "model.pth"), opts=opts, confidence_threshold=0.3, device="cpu"
    )
    assert predictor.class_names == ["cat", "dog"]
    image = batch()[0]["image"].permute(1, 2, 0).byte().numpy()
    low = predictor(image)
    assert (low.scores > 0.3).all()


def test_unequal_images_find_together_what_each_finds_alone():
    """In evaluation and predictor, which both wrap the model; detectron2's own forward pads."""
    torch.manual_seed(0)
    model = model_zoo.get_model(CONFIGS[0], words(SMALL)).eval()
    model.roi_heads.box_predictor.test_score_thresh = 0.0
    torch.nn.init.normal_(model.roi_heads.box_predictor.cls_score.weight, std=0.2)
    wrapped = ViewSettings().wrap(model, mapper=None)
    assert not wrapped.training
    sizes = [(96, 160), (160, 96), (90, 150)]
    inputs = [{"image": torch.randint(0, 256, (3, *size)), "height": 50} for size in sizes]
    passes = []
    model.backbone.register_forward_pre_hook(lambda _, args: passes.append(len(args[0])))
    with torch.no_grad():
        together = [x["instances"] for x in wrapped(inputs)]
        assert passes == [2, 1]
        alone = [model([x])[0]["instances"] for x in inputs]
    for one, wanted in zip(together, alone, strict=True):
        assert len(one) > 0 and one.image_size == wanted.image_size
        torch.testing.assert_close(one.scores, wanted.scores, atol=1e-4, rtol=0)
        torch.testing.assert_close(
            one.pred_boxes.tensor, wanted.pred_boxes.tensor, atol=1e-2, rtol=0
        )


def test_cascade(tmp_path):
    """Three box predictors, of which the last selects: the threshold holds, and so does TTA."""
    small = {
        **SMALL,
        "MODEL.ROI_HEADS.NAME": "CascadeROIHeads",
        "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True,
        "MODEL.ROI_HEADS.NUM_CLASSES": 2,
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.0,
        "TEST.AUG.MIN_SIZES": "(96,)",
        "TEST.AUG.FLIP": False,
        "INPUT.MIN_SIZE_TEST": 96,
        "TEST.DETECTIONS_PER_IMAGE": 20,
    }
    opts = words(small)
    model = model_zoo.get_model(CONFIGS[0], opts)
    for predictor in model.roi_heads.box_predictor:
        torch.nn.init.normal_(predictor.cls_score.weight, std=1.0)
    assert selection_limits(model) == (0.5, 20)
    FCOSCheckpointer(model, str(tmp_path), class_names=["cat", "dog"]).save("model")
    image = batch()[0]["image"].permute(1, 2, 0).byte().numpy()
    for tta in (False, True):
        found = {
            threshold: Predictor(
                CONFIGS[0],
                str(tmp_path / "model.pth"),
                opts=opts,
                confidence_threshold=threshold,
                tta=tta,
                device="cpu",
            )(image)
            for threshold in (0.0, 0.5)
        }
        all_scores = found[0.0].scores
        assert 0 < (all_scores > 0.5).sum() < len(all_scores)
        torch.testing.assert_close(found[0.5].scores, all_scores[all_scores > 0.5])


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_fifty_iterations_on_blood_cells(shared_dir, tmp_path, name):
    """The loss falls, and the evaluation runs. The set has no masks, so boxes stand for them."""
    bccd = shared_dir / "data" / "bccd"
    for split in ("train", "val"):
        data = json.loads((bccd / "coco" / f"instances_{split}.json").read_text())
        for annotation in data["annotations"]:
            x, y, w, h = annotation["bbox"]
            annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        (tmp_path / f"{split}.json").write_text(json.dumps(data))
    options = {
        **SMALL,
        "OUTPUT_DIR": tmp_path / "out",
        "SOLVER.OPTIMIZER": "AdamW",
        "SOLVER.BASE_LR": 0.0005,
        "SOLVER.CLIP_GRADIENTS.ENABLED": True,
        "SOLVER.WARMUP_ITERS": 5,
        "SOLVER.IMS_PER_BATCH": 4,
        "SOLVER.MAX_ITER": 50,
        "TEST.EVAL_PERIOD": 0,
        "INPUT.MIN_SIZE_TRAIN": "(192,)",
        "INPUT.MIN_SIZE_TEST": 192,
        "DATALOADER.NUM_WORKERS": 0,
        "SEED": 1,
    }
    images = str(bccd / "JPEGImages")
    arguments = ["--config-file", name, "--num-gpus", "0"]
    for split in ("train", "val"):
        arguments += [f"--{split}-json", str(tmp_path / f"{split}.json")]
        arguments += [f"--{split}-images", images]
    results = run(train_request([*arguments, *words(options)]))

    lines = (tmp_path / "out" / "metrics.json").read_text().splitlines()
    losses = [x["total_loss"] for x in map(json.loads, lines) if "total_loss" in x]
    assert losses[-1] < 0.8 * losses[0]
    assert set(results) == ({"bbox", "segm"} if "Mask" in name else {"bbox"})
    assert 0 <= results["bbox"]["AP50"] <= 100
