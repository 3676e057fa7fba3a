"""What timm says of the ImageNet weights of its models, without building or fetching one."""

import importlib.util
from typing import NamedTuple


class HubWeights(NamedTuple):
    """Published weights of a model of timm."""

    model: str  # timm's name
    repository: str  # on the hub
    licence: str
    pixel_mean: list[float]  # of RGB images, in grey levels
    pixel_std: list[float]

    @property
    def url(self) -> str:
        """Of the file that timm fetches first."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.repository, _FILE)

    @property
    def is_cached(self) -> bool:
        from huggingface_hub import try_to_load_from_cache

        return isinstance(try_to_load_from_cache(self.repository, _FILE), str)


_FILE = "model.safetensors"


def hub_weights(model: str) -> HubWeights | None:
    """The weights that timm takes for a model; None if there are none, or no timm."""
    if importlib.util.find_spec("timm") is None:
        return None
    import timm

    known = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    if known is None or not known.hf_hub_id:
        return None
    mean, std = ([round(255 * x, 3) for x in values] for values in (known.mean, known.std))
    return HubWeights(model, known.hf_hub_id, known.license or "not stated", mean, std)


def is_offline() -> bool:
    """Whether the hub may not be asked (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)
