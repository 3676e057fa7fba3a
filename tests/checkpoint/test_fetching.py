"""Downloads, from a server on this machine."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fcos_d2.checkpoint import fetching
from fcos_d2.checkpoint.fetching import local_copy
from fcos_d2.checkpoint.known_files import KnownFile


class Server:
    """Serves `files` by path; a path in `cut` breaks off after its first half."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if self.path not in server.files:
                    return self.send_error(404)
                body = server.files[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if self.path in server.cut else body)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.port = self._http.server_port

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "a/b/cache"))
    return tmp_path / "a/b/cache"


def test_a_file_is_fetched_once(server, cache, caplog):
    server.files["/m/model.pth"] = b"weights"
    url = server.url("/m/model.pth")
    first, second = local_copy(url), local_copy(url)
    assert first == second and first.read_bytes() == b"weights"
    assert first.name == "model.pth" and server.asked == ["/m/model.pth"]
    digest = hashlib.sha256(b"weights").hexdigest()
    assert [digest in record.getMessage() for record in caplog.records].count(True) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/../../../evil.pth",
        "/x/..",
        "/a/%2e%2e/%2e%2e/evil.pth",
        "/..%2f..%2fevil.pth",
        "/..\\..\\evil.pth",
        "/x/.bashrc",
        "/x/?a=/../../../evil.pth",
        "/x/" + "n" * 300,
        "/",
    ],
)
def test_no_address_leaves_the_cache(server, cache, path):
    server.files[path] = b"x"
    fetched = local_copy(server.url(path))
    assert fetched.resolve().is_relative_to(cache.resolve())
    files = {file for file in cache.parents[1].rglob("*") if file.is_file()}
    assert {file.parent for file in files} == {fetched.parent}
    assert not fetched.name.startswith(".")


def test_hosts_and_queries_have_files_of_their_own(server, cache):
    server.files = {"/m.pth": b"good", "/m.pth?v=2": b"other"}
    here = local_copy(server.url("/m.pth"))
    server.files["/m.pth"] = b"planted"
    assert local_copy(server.url("/m.pth", "localhost")).read_bytes() == b"planted"
    assert local_copy(server.url("/m.pth?v=2")).read_bytes() == b"other"
    assert here.read_bytes() == b"good"


def test_another_file_from_the_same_url_is_refused(server, cache):
    server.files["/m.pth"] = b"first"
    url = server.url("/m.pth")
    fetched = local_copy(url)
    fetched.unlink()
    server.files["/m.pth"] = b"second"
    with pytest.raises(ValueError, match=f"not what {url} is known to hold .*delete the folder"):
        local_copy(url)
    assert not fetched.exists()  # nothing of it stays
    for file in fetched.parent.iterdir():
        file.unlink()
    assert local_copy(url).read_bytes() == b"second"


def test_a_cached_file_that_was_changed_is_refused(server, cache):
    server.files["/m.pth"] = b"first"
    fetched = local_copy(server.url("/m.pth"))
    fetched.write_bytes(b"changed")
    with pytest.raises(ValueError, match="m.pth: not what http.* is known to hold"):
        local_copy(server.url("/m.pth"))


def test_a_published_hash_is_obeyed_at_once(server, cache, monkeypatch, caplog):
    url = server.url("/m.pth")
    digest = hashlib.sha256(b"right").hexdigest()
    monkeypatch.setitem(fetching.KNOWN_FILES, url, KnownFile(url, digest, "any"))
    server.files["/m.pth"] = b"wrong"
    with pytest.raises(ValueError, match=f"not what {url} is known to hold .*not {digest}"):
        local_copy(url)
    assert [*cache.rglob("m.pth*")] == []
    server.files["/m.pth"] = b"right"
    assert local_copy(url).read_bytes() == b"right"
    assert not any("first download" in record.getMessage() for record in caplog.records)


def test_the_digits_in_the_names_of_torch(tmp_path):
    url = "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth"
    assert fetching._expected_sha256(url, tmp_path / "sha256") == "b0353104"
    (tmp_path / "sha256").write_text("b0353104ff\n")
    assert fetching._expected_sha256(url, tmp_path / "sha256") == "b0353104ff"
    assert fetching._expected_sha256("https://host/x-b0353104.pth", tmp_path / "none") == ""


def test_a_connection_that_breaks_off_leaves_nothing(server, cache):
    server.files["/m.pth"] = b"0123456789"
    server.cut = {"/m.pth"}
    with pytest.raises(OSError, match="broke off: 5 of 10 bytes"):
        local_copy(server.url("/m.pth"))
    assert [*cache.rglob("m.pth*"), *cache.rglob("sha256")] == []
    server.cut = set()
    assert local_copy(server.url("/m.pth")).read_bytes() == b"0123456789"


def test_an_absent_file_is_an_error_of_the_system(server, cache):
    with pytest.raises(OSError, match="404"):
        local_copy(server.url("/nothing.pth"))
