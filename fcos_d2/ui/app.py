"""The page and what it asks for, as a WSGI application; it keeps no image and writes no file."""

import json
import secrets
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from werkzeug.exceptions import BadRequest, HTTPException, NotFound, UnsupportedMediaType
from werkzeug.routing import Map, Rule
from werkzeug.utils import safe_join, send_file
from werkzeug.wrappers import Request, Response

from fcos_deploy.vision import ImageError
from fcos_deploy.writing import describe

from .. import pages
from .guard import PAGE_POLICY, REPORT_POLICY, check, protect
from .looking import Looker

# frame.css is that of all pages.
FILES = {
    path.name: path
    for path in (
        *(Path(__file__).parent / "page").iterdir(),
        Path(pages.__file__).parent / "templates" / "frame.css",
    )
}
MAX_BYTES = 200_000_000  # of one image file; the limits on pixels are those of the reader
REPORT = "report.html"


class App:
    """Answers the requests of one page."""

    def __init__(self, looker: Looker, report: Path | None = None) -> None:
        """
        Args:
            looker: the detector.
            report: folder with report.html and what belongs to it; None: there is none.
        """
        self._looker, self._report = looker, report
        # Whoever does not get the page cannot guess where the report is.
        self._report_place = secrets.token_urlsafe(16)
        rules: dict[str, Callable[..., Response]] = {
            "/": self._index,
            "/<name>": self._page_file,
            "/model": self._model,
            "/detect": self._detect,
            "/why": self._why,
            f"/{self._report_place}/<path:name>": self._report_file,
        }
        posted = ("/detect", "/why")
        self._map = Map(
            [
                Rule(rule, endpoint=answer, methods=["POST" if rule in posted else "GET"])
                for rule, answer in rules.items()
            ]
        )

    def __call__(self, environ: dict, start_response: Any) -> Iterable[bytes]:
        """WSGI's call."""
        request = Request(environ)
        request.max_content_length = MAX_BYTES
        return self._answer(request)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        policy = PAGE_POLICY
        try:
            answer, values = self._map.bind_to_environ(request.environ).match()
            in_report = answer == self._report_file
            check(request, entrance=in_report or answer == self._index)
            response = answer(request, **values)
            policy = REPORT_POLICY if in_report else PAGE_POLICY
        except HTTPException as error:
            response = _failure(error.code or 500, error.description or error.name)
        except ImageError as error:
            response = _failure(UnsupportedMediaType.code, str(error).removeprefix("image: "))
        except (ValueError, OSError) as error:
            response = _failure(BadRequest.code, describe(error))
        except Exception:
            traceback.print_exc(file=sys.stderr)
            response = _failure(500, "an error in fcos_d2 itself: see the terminal")
        return protect(response, policy)

    def _index(self, request: Request) -> Response:
        return send_file(FILES["index.html"], request.environ)

    def _page_file(self, request: Request, name: str) -> Response:
        if name not in FILES:
            raise NotFound("no such file")
        return send_file(FILES[name], request.environ)

    def _model(self, request: Request) -> Response:
        has_report = self._report is not None
        place = f"{self._report_place}/{REPORT}" if has_report else None
        return _json({**self._looker.describe(), "max_bytes": MAX_BYTES, "report": place})

    def _detect(self, request: Request) -> Response:
        """The body is an image file."""
        return _json(self._looker.detect(request.get_data))

    def _why(self, request: Request) -> Response:
        """The body is an image file. The query has the box in its pixels, the thresholds of the
        classes, and the object's class, if any.
        """
        box, thresholds = (_numbers(request, name) for name in ("box", "thresholds"))
        class_name = request.args.get("class")
        return _json(self._looker.why(request.get_data, box, class_name, thresholds))

    def _report_file(self, request: Request, name: str) -> Response:
        path = safe_join(str(self._report), name) if self._report else None
        if path is None or not Path(path).is_file():
            raise NotFound("the report has no such file")
        return send_file(path, request.environ)


def _numbers(request: Request, name: str) -> list[float]:
    text = request.args.get(name, "")
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise BadRequest(f"{name} must be numbers with commas between them, got {text!r}") from None


def _json(content: dict) -> Response:
    return Response(json.dumps(content), mimetype="application/json")


def _failure(status: int, line: str) -> Response:
    response = _json({"error": line})
    response.status_code = status
    return response
