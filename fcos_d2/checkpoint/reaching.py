"""Whether a file on the web can be had, asked without a long wait."""

import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException

SECONDS = 4.0


def obstacles(urls: Sequence[str], seconds: float = SECONDS) -> dict[str, str]:
    """Why each URL cannot be fetched now; "" for one that can. All are asked at once.

    Args:
        urls: http or https.
        seconds: after which there is no answer. The look-up of a host's name counts, which no
            timeout of a connection covers; hence the threads.
    """
    answers: queue.Queue[tuple[str, str]] = queue.Queue()

    def ask(url: str) -> None:
        answers.put((url, _obstacle(url, seconds)))

    for url in urls:
        threading.Thread(target=ask, args=(url,), daemon=True).start()
    found = dict.fromkeys(urls, f"no answer within {seconds:g} s")
    for _ in urls:
        try:
            url, obstacle = answers.get(timeout=seconds)
        except queue.Empty:
            break
        found[url] = obstacle
    return found


def _obstacle(url: str, seconds: float) -> str:
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.reason}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return str(error) or type(error).__name__
