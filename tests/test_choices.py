"""A choice among names."""

import pytest

from fcos_d2.choices import check_choice


def test_what_is_no_choice_is_refused_with_the_legal_ones():
    check_choice("norm", "BN", ["BN", "GN"])
    check_choice("side", 2, {1: "a", 2: "b"})
    with pytest.raises(ValueError, match=r"^norm must be one of \('BN', 'GN'\), got 'LN'$"):
        check_choice("norm", "LN", (x for x in ("BN", "GN")))
