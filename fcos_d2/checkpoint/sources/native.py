"""Our own checkpoints, and AdelaiDet's, whose names ours are."""

from .source import HEAD, Source, State, without


def _convert(state: State, model_keys: object) -> State:
    # Files of 2019 and 2020 hold the pixel statistics, which the config gives today.
    return without(state, r"^pixel_(mean|std)$")


SOURCE = Source(
    name="AdelaiDet or fcos_d2",
    matches=lambda keys: any(key.startswith(HEAD) for key in keys),
    convert=_convert,
)
