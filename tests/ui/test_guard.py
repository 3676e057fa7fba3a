"""Who is let in, and what a browser is told."""

import pytest
from werkzeug.exceptions import Forbidden
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from fcos_d2.ui.guard import PAGE_POLICY, REPORT_POLICY, check, protect


def request(method: str = "POST", host: str = "127.0.0.1:8620", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    builder = EnvironBuilder(method=method, base_url=f"http://{host}", headers=named)
    return Request(builder.get_environ())


OWN = {"Origin": "http://127.0.0.1:8620", "Sec_Fetch_Site": "same-origin"}


@pytest.mark.parametrize("host", ["127.0.0.1:8620", "localhost:8620", "LOCALHOST:80", "127.0.0.1"])
def test_hosts_of_this_machine(host):
    check(request(host=host), entrance=False)


@pytest.mark.parametrize(
    "host", ["evil.example:8620", "127.0.0.1.evil.example", "localhost.evil:80", "10.0.0.1", "0"]
)
@pytest.mark.parametrize("entrance", [True, False])
def test_a_host_name_that_points_here_is_refused(host, entrance):
    """DNS rebinding."""
    with pytest.raises(Forbidden, match="only at 127.0.0.1 or localhost"):
        check(request("GET", host), entrance)


def test_without_a_host():
    environ = EnvironBuilder(method="GET").get_environ()
    environ |= {"HTTP_HOST": "", "SERVER_NAME": "evil.example"}
    with pytest.raises(Forbidden):
        check(Request(environ), entrance=True)


def test_the_page_and_programs_of_this_machine_may_ask():
    check(request(**OWN), entrance=False)
    check(request(), entrance=False)  # curl sends neither header
    check(request("GET", Sec_Fetch_Site="none"), entrance=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:3000"},  # another program of this machine
        {"Origin": "http://localhost:8620"},  # another name: not the same origin
        {"Origin": "https://127.0.0.1:8620"},
        {"Origin": "null"},  # a document in a sandbox, such as a report
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
@pytest.mark.parametrize("entrance", [True, False])
def test_other_pages_may_not(changes, entrance):
    with pytest.raises(Forbidden, match="from other pages are refused"):
        check(request(**OWN | changes), entrance)


def test_a_link_on_another_page_leads_to_an_entrance_only():
    link = request("GET", Sec_Fetch_Site="cross-site")
    check(link, entrance=True)
    with pytest.raises(Forbidden):
        check(link, entrance=False)


def test_headers():
    headers = protect(Response("x"), PAGE_POLICY).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    for policy in (PAGE_POLICY, REPORT_POLICY):
        assert protect(Response("x"), policy).headers["Content-Security-Policy"] == policy
        parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
        assert parts["default-src"] == "'none'" and parts["frame-ancestors"] in ("'none'", "'self'")
        assert not any("*" in part or "http" in part for part in parts.values())
    assert "unsafe-inline" not in PAGE_POLICY
    assert "script-src" not in REPORT_POLICY and REPORT_POLICY.startswith("sandbox ")
    assert "allow-scripts" not in REPORT_POLICY and "allow-same-origin" not in REPORT_POLICY
