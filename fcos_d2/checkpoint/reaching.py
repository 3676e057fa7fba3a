"""Files on the web, without a long wait where there is no network."""

import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any

SECONDS = 4.0  # to choose among what can be had
PATIENCE = 15.0  # with what is needed


def opened(url: str, seconds_of_silence: float, seconds: float = PATIENCE) -> Any:
    """The response of a server, to be read, or an error soon where none comes.

    Args:
        url: http, https or ftp.
        seconds_of_silence: between two parts of the response.
        seconds: until it begins. The look-up of a host's name counts, which no timeout of a
            connection covers; hence the thread.

    Raises:
        OSError, HTTPException: there is none.
    """
    answers: queue.Queue[tuple[Any, Exception | None]] = queue.Queue()

    def ask() -> None:
        try:
            answers.put((urllib.request.urlopen(url, timeout=seconds_of_silence), None))
        except Exception as error:  # to be raised by who waits
            answers.put((None, error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        response, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise urllib.error.URLError(f"no answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return response


def obstacles(urls: Sequence[str], seconds: float = SECONDS) -> dict[str, str]:
    """Why each URL cannot be fetched now; "" for one that can. All are asked at once.

    Args:
        urls: http or https.
        seconds: until each has answered, as for `opened`.
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
