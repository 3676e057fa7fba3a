"""What a training of a config starts from, where its user says so in a word."""

from ..checkpoint.starts import choose_start
from ..datasets.own_data import on_main
from .request import Request

_FOR_A_PLAN = ("auto", "imagenet")  # they choose the body with the weights


def take_start(request: Request) -> None:
    """Puts the weights that `request.start` means in the place of the config's.

    Raises:
        ValueError: they cannot be had, their licence was not accepted, the start is for a plan, or
            there are weights beside it.
    """
    wanted = request.start
    if wanted is None or request.eval_only:
        return
    if request.weights is not None:
        raise ValueError(
            f"--start {wanted} and --weights {request.weights} both say what to start from: leave "
            "one of them out"
        )
    if wanted in _FOR_A_PLAN:
        raise ValueError(
            f"--start {wanted} chooses a body with its weights, and --config names a body: with a "
            "config, --start takes coco, scratch or a file"
        )
    accepted = request.accept_noncommercial
    request.weights = on_main(lambda: choose_start(wanted, accept_noncommercial=accepted).weights)
