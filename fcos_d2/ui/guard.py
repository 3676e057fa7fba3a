"""What keeps other pages and other machines out.

The server listens on 127.0.0.1, but every page that is open in a browser can send requests there:
by a host name that it points to 127.0.0.1 (DNS rebinding), or straight across sites. So a request
must name this machine as its host, and must come from the page itself.
"""

from urllib.parse import urlsplit

from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Request, Response

HOSTS = ("127.0.0.1", "localhost")  # a tunnel of ssh may have another port than the server
OWN_REQUESTS = (None, "same-origin", "none")  # none: typed into the address bar
# Nothing but this server, and nothing written into the markup.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# A report may be somebody else's: it runs nothing, and has no network.
REPORT_POLICY = (
    "sandbox allow-downloads; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


def check(request: Request, entrance: bool) -> None:
    """Refuses requests from elsewhere.

    Args:
        request: before its body is read.
        entrance: whether it is for a place that a link on another page may lead to.

    Raises:
        Forbidden: says in one line what was wrong with it.
    """
    if urlsplit(f"//{request.host}").hostname not in HOSTS:
        raise Forbidden("the page is only at 127.0.0.1 or localhost")
    if entrance and request.method == "GET":
        return
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.host}":
        raise Forbidden("requests from other pages are refused")
    if request.headers.get("Sec-Fetch-Site") not in OWN_REQUESTS:
        raise Forbidden("requests from other pages are refused")


def protect(response: Response, policy: str) -> Response:
    """Gives an answer the headers that tell a browser what it may do with it."""
    response.headers.update(
        {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
    )
    if policy == PAGE_POLICY:
        # The pictures of a report are asked for by a document in a sandbox, which has no origin.
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
