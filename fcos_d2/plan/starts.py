"""What a run starts from: a stand-in until `checkpoint.starts` is there."""

from dataclasses import dataclass, field

_LITE = {
    "INPUT.FORMAT": "RGB",
    "MODEL.PIXEL_MEAN": [127.0, 127.0, 127.0],
    "MODEL.PIXEL_STD": [128.0, 128.0, 128.0],
}


@dataclass(frozen=True, kw_only=True)
class Start:
    name: str
    weights: str
    body: str | None
    line: str
    settings: dict[str, object] = field(default_factory=dict)


def choose_start(wanted: str, weights: str | None = None) -> Start:
    if weights:
        return Start(
            name="file",
            weights=weights,
            body="tf_efficientnet_lite0",
            line=f"weights of {weights}",
            settings=_LITE,
        )
    return Start(name="scratch", weights="", body="resnet18", line="random weights")
