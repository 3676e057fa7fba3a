"""Pages of HTML: names stay text, and nothing is loaded or run."""

from html.parser import HTMLParser

import numpy as np
import pytest
from jinja2 import UndefinedError

from fcos_d2.datasets.check.page import report_page
from fcos_d2.datasets.problems import Place, Problem
from fcos_d2.pages import data_url, render

NASTY = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>']


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", NASTY)
def test_names_in_a_checked_dataset_stay_text(name):
    problems = [Problem("error", name, name, name, Place(image=name))]
    picture = data_url(np.zeros((4, 4, 3), np.uint8))
    page = Elements(report_page(name, name, "<svg></svg>", problems, [(picture, name)]))
    assert [attributes for tag, attributes in page.found if tag == "img"] == [
        {"src": picture, "alt": "", "loading": "lazy"}
    ]
    assert not [tag for tag, _ in page.found if tag == "script"]
    assert page.text.count(name) >= 6  # title, head, summary, caption, and what and where


def test_a_page_forbids_scripts_and_the_network():
    page = Elements(report_page("name", "", "", [], []))
    (policy,) = [a["content"] for _, a in page.found if "http-equiv" in a]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_control_characters_and_broken_names_are_shown_as_escapes():
    page = report_page("a\x1b[31mb\udce9", "", "", [], [])
    assert r"a\x1b[31mb\xe9" in page and page.encode("utf-8")


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError, match="title"):
        render("dataset.html")
