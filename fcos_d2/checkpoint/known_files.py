"""Weights that others publish: where they are, what they are, and how to tell that they are whole.

The hashes are those that the hosts list. None of the files is redistributed here.
"""

from typing import NamedTuple

_ADELAIDET = "https://huggingface.co/tianzhi/AdelaiDet-FCOS/resolve/main/"
_NON_COMMERCIAL = "non-commercial use only (AdelaiDet)"


class KnownFile(NamedTuple):
    """A published file of weights."""

    url: str
    sha256: str | None  # None: the host lists none
    licence: str


def _adelaidet(name: str, sha256: str | None = None) -> KnownFile:
    return KnownFile(f"{_ADELAIDET}{name}.pth", sha256, _NON_COMMERCIAL)


# Trained detectors, by the name of the config that runs them.
DETECTORS = {
    "FCOS/R50-1x": _adelaidet(
        "FCOS_R_50_1x", "2b63bea109ab38e7528828f4f4cc23cff2720720a9e809bfc9a494fc0d800f36"
    ),
    "FCOS/R50-1x-IoU": _adelaidet("FCOS_R_50_1x_iou"),
    "FCOS/R50-MS-2x": _adelaidet(
        "FCOS_MS_R_50_2x", "aad1a7ca6380c70b333db94378714e441c0207bca4470c33f0fa9cb60dc8b246"
    ),
    "FCOS/R50-MS-2x-IoU": _adelaidet(
        "FCOS_MS_R_50_2x_iou", "311d7ec46555c78de7e3c8819f7b1f513489dfc5af037d1a00eba07b202f1745"
    ),
    "FCOS/R101-MS-2x": _adelaidet(
        "FCOS_MS_R_101_2x", "32eb6e39404ea999305e80be9b11c17f0651886439bb2651636ef06f60ffde3d"
    ),
    "FCOS/R101-MS-2x-IoU": _adelaidet(
        "FCOS_MS_R_101_2x_iou", "c025a673a2d2a2427a1d54c1f4de2156588573b0d905b8ec0e15a974df750e8c"
    ),
    "FCOS/X101-32x8d-MS-2x": _adelaidet(
        "FCOS_MS_X_101_32x8d_2x",
        "f03103bf78e2f100fe91aaf1195e303553719413b5db0ee9fda35e5ebbf457ec",
    ),
    "FCOS/X101-32x8d-MS-2x-IoU": _adelaidet(
        "FCOS_MS_X_101_32x8d_2x_iou",
        "a1240c1996f4a494dc407c734bda01030a103f9eaa6ea46dd0d40e5cf553850b",
    ),
    "FCOS/X101-64x4d-MS-2x": _adelaidet("FCOS_MS_X_101_64x4d_2x"),
    "FCOS/X101-32x8d-MS-2x-DCNv2": _adelaidet(
        "FCOS_MS_X_101_32x8d_dcnv2_2x",
        "2b3c649dfccfb3c0b42ad82a91a41faa4e280d092b74baa918d84a5be84bbbd4",
    ),
    "FCOS/X101-32x8d-MS-2x-DCNv2-IoU": _adelaidet("FCOS_MS_X_101_32x8d_2x_dcnv2_iou"),
    "FCOS-RT/R50": _adelaidet("FCOS_RT_MS_R_50_4x_syncbn"),
    "FCOS-RT/R50-BN-Head": _adelaidet(
        "FCOS_RT_MS_R_50_4x_syncbn_bn_head",
        "dee596555a29aed9d9ca65a594ab35cbda1b0e0b58a16629187d7914207f7999",
    ),
    "FCOS-RT/DLA34": _adelaidet("FCOS_RT_MS_DLA_34_4x_syncbn"),
    "FCOS-RT/DLA34-BN-Head": _adelaidet(
        "FCOS_RT_MS_DLA_34_4x_syncbn_bn_head",
        "562c9eccd1fb0cde6a2ade3c1390693b3901936f7783ba86d6f3240a81cead6b",
    ),
    "FCOS-RT/DLA34-SharedTowers": _adelaidet(
        "FCOS_RT_MS_DLA_34_4x_syncbn_shared_towers",
        "6674dbaa6f8761851f1d1d31a32b01077f9eef9b9992ae5b6bbc589998c894b1",
    ),
    "FCOS-RT/DLA34-SharedTowers-BN-Head": _adelaidet(
        "FCOS_RT_MS_DLA_34_4x_syncbn_shared_towers_bn_head"
    ),
    "Converted/TorchVision-R50": KnownFile(
        "https://download.pytorch.org/models/fcos_resnet50_fpn_coco-99b0c9b7.pth",
        None,
        "BSD-3-Clause (torchvision)",
    ),
}

# ImageNet weights that the configs start from.
BACKBONES = {
    "DLA-34": KnownFile(
        "https://huggingface.co/timm/dla34.in1k/resolve/main/model.safetensors",
        "a7ff2ae9a4601482cbf2358cbd89a0da2e264ed1fa9ecb43788bc2daf1038701",
        "BSD-3-Clause (timm)",
    ),
    "MobileNetV2": KnownFile(
        "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
        None,
        "BSD-3-Clause (torchvision)",
    ),
}

# "zoo://FCOS-RT/R50" as a path stands for the file of that config in DETECTORS.
ZOO = "zoo://"


def zoo_url(address: str) -> str:
    """The URL that "zoo://NAME" stands for.

    Raises:
        ValueError: no published weights are known for NAME.
    """
    name = address.removeprefix(ZOO)
    if name not in DETECTORS:
        raise ValueError(f"no published weights are known for {name!r}, only for {[*DETECTORS]}")
    return DETECTORS[name].url


KNOWN_FILES = {file.url: file for file in (*DETECTORS.values(), *BACKBONES.values())}
KNOWN_SHA256 = {file.sha256 for file in KNOWN_FILES.values() if file.sha256}
