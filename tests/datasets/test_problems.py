"""Problems of datasets, in words and as fields."""

import pytest

from fcos_d2.datasets.problems import Place, Problem, summarise, worst_first

BOX = (3, 4, 0, 5.00001)
PLACES = {
    "": Place(),
    "x.json": Place("x.json"),
    "a.jpg": Place(image="a.jpg"),
    "annotation 7 of a.jpg": Place(image="a.jpg", annotation=7),
    "annotation 0 of a.jpg": Place(image="a.jpg", annotation=0),
    "annotation 'x' of b/a.jpg": Place(image="b/a.jpg", annotation="x"),
    "boxes.csv line 3 (b/a.jpg)": Place("boxes.csv line 3", "b/a.jpg"),
    # The name of the image follows from that of its file.
    "a.xml": Place("a.xml", "b/a.jpg"),
    "a.txt line 3": Place("a.txt line 3", "b/a.jpg"),
}


@pytest.mark.parametrize("text", PLACES)
def test_places_in_words(text):
    assert str(PLACES[text]) == text


def test_problems_in_words():
    place = Place(image="a.jpg", annotation=7, category="cat", box=BOX)
    problem = Problem("warning", "box without area", "", "left out", place)
    assert problem.where == "annotation 7 of a.jpg: cat [3, 4, 0, 5.0]"
    assert str(problem) == f"warning: box without area: {problem.where}; left out"
    # The value as it stands in the file says more than the box in pixels.
    problem = Problem("error", "odd", "'x 3 4'", place=Place("a.txt line 3", "a.jpg", box=BOX))
    assert str(problem) == "error: odd: a.txt line 3: 'x 3 4'"
    assert str(Problem("note", "odd", "5 of 7")) == "note: odd: 5 of 7"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_corners_become_a_box_where_they_are_one(number):
    assert Place().with_corners([1, 2, 4, 1]).box == (1, 2, 3, -1)
    assert Place(box=BOX).with_corners([1, 2, 4, number]).box is None


def test_the_worst_come_first_in_the_given_order():
    given = {"a": "note", "b": "warning", "c": "error", "d": "warning"}
    problems = [Problem(severity, kind) for kind, severity in given.items()]
    assert [problem.kind for problem in worst_first(problems)] == ["c", "b", "d", "a"]


def test_summary_has_a_line_for_each_kind():
    problems = [Problem("note", "odd", str(i)) for i in range(5)] + [Problem("error", "bad", "z")]
    assert summarise(problems) == [
        "error: bad: 1: z",
        "note: odd: 5: 0; 1; 2; and 2 more",
    ]
