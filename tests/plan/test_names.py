"""What names of classes say."""

import pytest

from fcos_d2.plan.names import names_with_a_colour, names_with_a_side, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TurnLeft_2", ["turn", "left", "2"]),
        ("speed limit 30", ["speed", "limit", "30"]),
        ("RBC", ["rbc"]),
        ("Fußgänger-links", ["fußgänger", "links"]),
        ("", []),
    ],
)
def test_words(name, words):
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["RBC", "WBC", "Platelets"], []),
        (["person", "car", "leftover", "designer", "brighton"], []),
        (["left hand", "right hand", "face"], ["left hand", "right hand"]),
        (["turnLeft", "straight"], ["turnLeft"]),
        (["number plate", "car"], ["number plate"]),
        (["arrow_up", "cross"], ["arrow_up"]),
        (["0", "1", "8", "7"], ["1", "7"]),
        (["one", "two", "three"], ["one", "two", "three"]),
        (["A", "B", "person"], ["A", "B"]),
        (["1"], []),  # a number for a name says nothing
        (["stop sign", "person"], ["stop sign"]),
    ],
)
def test_what_a_mirror_changes(names, found):
    assert names_with_a_side(names) == found


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["red light", "green light", "car"], ["red light", "green light"]),
        (["ripe", "unripe"], ["ripe", "unripe"]),
        (["white thing"], []),
        (["redwood", "greenhouse"], []),
        (["orange", "apple"], []),  # a fruit
    ],
)
def test_what_a_colour_tells(names, found):
    assert names_with_a_colour(names) == found
