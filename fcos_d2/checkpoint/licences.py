"""Licences of weights that do not allow every use."""

import re

_NON_COMMERCIAL = re.compile(r"non-?commercial|\bnc\b", re.IGNORECASE)


def is_noncommercial(licence: str) -> bool:
    """Whether a licence, in the words of its host, forbids commercial use: "cc-by-nc-4.0"."""
    return _NON_COMMERCIAL.search(licence) is not None


def refuse_noncommercial(weights: str, licence: str, accepted: bool) -> None:
    """Raises ValueError for weights that may not be used commercially, unless that is accepted."""
    if is_noncommercial(licence) and not accepted:
        raise ValueError(
            f"{weights}: {licence}, and so is what is trained from it. Add --accept-noncommercial "
            "if that is your use, or take free weights: --start auto"
        )
