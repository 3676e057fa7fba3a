"""Any feature extractor of timm as a body."""

import difflib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, NamedTuple

import torch
from detectron2.config import CfgNode
from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling.backbone import Backbone
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...choices import check_choice
from ..batch_norms import exchange_batch_norms
from .body import check_features, freeze_parameters
from .called_pairs import called_pairs
from .same_padding import exchange_same_padding
from .timm_stages import layers_of, parameters_up_to

logger = logging.getLogger(__name__)

TIMM_NORMS = ("", "FrozenBN", "SyncBN")
_KEYS = {
    "pixel_mean": "MODEL.PIXEL_MEAN (model.pixel_mean)",
    "pixel_std": "MODEL.PIXEL_STD (model.pixel_std)",
    "input_format": "INPUT.FORMAT (image_format of the mappers)",
}
_SIDE = 64  # px, of an image that shows in which order modules are called
_FETCHING = ContextVar("fetching", default=True)  # see `weights_come_later`


class TimmBackbone(Backbone):
    """A model of timm whose features are called by their strides: res<i> has stride 2 ** i.

    Pretrained weights of timm want RGB images and statistics of their own, see `statistics`; most
    have those of ImageNet (PIXEL_MEAN 123.675, 116.28, 103.53 and PIXEL_STD 58.395, 57.12, 57.375).
    """

    def __init__(
        self,
        *,
        name: str,
        out_features: list[str],
        in_channels: int = 3,
        pretrained: bool = False,
        norm: str = "",
        freeze_at: int = 0,
    ) -> None:
        """
        Args:
            name: of the model in timm, such as "convnext_tiny".
            out_features: names such as "res3"; legal are those of the model's strides.
            in_channels: of the image.
            pretrained: download timm's weights, unless they would be replaced
                (`weights_come_later`).
            norm: "" keeps the norms as they are; "FrozenBN" and "SyncBN" convert batch norms.
            freeze_at: 1 keeps the stem as it is loaded, i > 1 all that res<i> is made from; 0 or
                less nothing. See `timm_stages.parameters_up_to`.

        Raises:
            ValueError: unknown model, feature or norm, a model without feature maps or without the
                stage to freeze, or weights that cannot be fetched.
            ModuleNotFoundError: timm is not installed; says how to.
        """
        super().__init__()
        check_choice("norm", norm, TIMM_NORMS)
        timm = _import_timm()
        whole = _create(timm, name, in_channels, False, None)
        info: Any = whole.feature_info
        strides = {
            f"res{stride.bit_length() - 1}": i
            for i, stride in enumerate(info.reduction())
            if stride.bit_count() == 1  # a power of 2
        }
        check_features(out_features, [*strides], name)
        indices = sorted(info.out_indices[strides[feature]] for feature in out_features)
        # Not `get_default_device()`: that of torch 2.7 misses `with torch.device(...)`.
        fetch = pretrained and _FETCHING.get() and torch.empty(0).device.type != "meta"
        model = _create(timm, name, in_channels, fetch, indices)
        self.channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
        exchange_same_padding(model)
        if norm:
            exchange_batch_norms(model, norm)
        self.name = name
        self.in_channels = in_channels
        self.model = model
        self.pretrained = pretrained
        self.statistics = _statistics(model) if fetch and in_channels == 3 else None
        if freeze_at > 0:
            frozen = parameters_up_to(freeze_at, name, whole, in_channels)
            # Norms that are frozen already have no parameters.
            freeze_parameters(model, frozen & {key for key, _ in model.named_parameters()})
        self._out_features = sorted(out_features)
        channels = dict(zip(info.reduction(), info.channels(), strict=True))
        self._out_feature_strides = {x: 2 ** int(x[3:]) for x in self._out_features}
        self._out_feature_channels = {
            x: channels[stride] for x, stride in self._out_feature_strides.items()
        }

    @property
    def size_divisibility(self) -> int:
        return max(self._out_feature_strides.values())

    @property
    def conv_norm_pairs(self) -> list[tuple[str, str]]:
        """See `fold_batch_norms`. timm's blocks do not say what follows a convolution: they run."""
        norms = [x for x in self.modules() if isinstance(x, (_BatchNorm, FrozenBatchNorm2d))]
        if not norms:
            return []
        side = max(2 * self.size_divisibility, _SIDE)
        image = next(self.parameters()).new_zeros(1, self.in_channels, side, side)
        try:
            return called_pairs(self, lambda: self(image))
        except (RuntimeError, AssertionError, ValueError):  # images of one size, or half precision
            return []

    def parameter_layers(self) -> dict[str, int]:
        """The layer of each parameter, see `timm_stages.layers_of`."""
        layers = layers_of(self.name, [name for name, _ in self.model.named_parameters()])
        return {f"model.{name}": layer for name, layer in layers.items()}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, in_channels, H, W) -> the features by name, (N, C, H / 2 ** i, W / 2 ** i)."""
        features = self.model(x)
        if self.channels_last:
            features = [feature.permute(0, 3, 1, 2) for feature in features]
        return dict(zip(self._out_features, features, strict=True))


@contextmanager
def weights_come_later(really: bool = True) -> Iterator[None]:
    """Bodies that are built within fetch no weights: a checkpoint will replace them.

    Args:
        really: False changes nothing.
    """
    token = _FETCHING.set(_FETCHING.get() and not really)
    try:
        yield
    finally:
        _FETCHING.reset(token)


class Statistics(NamedTuple):
    """How the images looked that weights were made with, in grey levels."""

    pixel_mean: list[float]
    pixel_std: list[float]
    input_format: str = "RGB"

    def differences(
        self, pixel_mean: list[float], pixel_std: list[float], input_format: str
    ) -> list[str]:
        """One line for each setting that differs, with its name and the value to set."""
        given: dict[str, str | list[float]] = {
            "pixel_mean": [round(float(x), 3) for x in pixel_mean],
            "pixel_std": [round(float(x), 3) for x in pixel_std],
            "input_format": input_format,
        }
        lines = []
        for name, value in given.items():
            expected = getattr(self, name)
            if value != expected:
                lines.append(
                    f"{_KEYS[name]} is {value}, but timm's weights were made for {expected}"
                )
        return lines


def _statistics(model: nn.Module) -> Statistics:
    known: Any = model.pretrained_cfg
    mean, std = ([round(255 * x, 3) for x in known[key]] for key in ("mean", "std"))
    return Statistics(mean, std)


def _import_timm() -> ModuleType:
    try:
        import timm
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise ModuleNotFoundError(
            'a timm backbone needs timm: pip install "fcos_d2[timm]"', name="timm"
        ) from None
    return timm


def _create(
    timm: ModuleType, name: str, in_channels: int, pretrained: bool, out_indices: list[int] | None
) -> nn.Module:
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise ValueError(f"timm has no model {name!r}; near it are {', '.join(close) or 'none'}")
    options: dict[str, Any] = {
        "features_only": True,
        "in_chans": in_channels,
        "pretrained": pretrained,
    }
    if out_indices is not None:
        options["out_indices"] = out_indices
    if pretrained:
        return _create_pretrained(timm, name, options)
    return _create_extractor(timm, name, options)


def _create_pretrained(timm: ModuleType, name: str, options: dict) -> nn.Module:
    try:
        return _create_extractor(timm, name, options)
    except Exception as error:  # a download may fail by the errors of several libraries
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"timm's weights of {name} cannot be had ({reason[0]}); set MODEL.TIMM.PRETRAINED "
            "(pretrained) False for random ones, or name a checkpoint that holds them as `weights`"
        ) from None


def _create_extractor(timm: ModuleType, name: str, options: dict) -> nn.Module:
    try:
        try:
            return timm.create_model(name, **options, dynamic_img_size=True)
        except TypeError:  # only transformers, which else take images of one size, know the option
            return timm.create_model(name, **options)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"timm's {name} cannot be used as a body: {error}") from None


def build_timm(cfg: CfgNode, input_shape: ShapeSpec) -> TimmBackbone:
    """The timm model of MODEL.TIMM.

    Raises:
        ValueError: see `TimmBackbone`.
    """
    body = TimmBackbone(
        name=cfg.MODEL.TIMM.NAME,
        out_features=cfg.MODEL.TIMM.OUT_FEATURES,
        in_channels=input_shape.channels,
        pretrained=cfg.MODEL.TIMM.PRETRAINED,
        norm=cfg.MODEL.TIMM.NORM,
        freeze_at=cfg.MODEL.BACKBONE.FREEZE_AT,
    )
    if body.statistics is not None:
        settings = cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD, cfg.INPUT.FORMAT
        for line in body.statistics.differences(*settings):
            logger.warning("%s", line)
    return body
