"""What a server sends, for as long as it sends enough of it.

A thread of its own waits for the server, so that nothing that the server does, in headers, chunks
or trailers, keeps the reader longer than `WINDOW_S`.
"""

import contextlib
import http.client
import queue
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import IO
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from bench.base.errors import UserError

CHUNK = 1 << 18
WAITING = 8  # chunks that came and are not written yet
TIMEOUT_S = 60.0  # of one wait for the socket
WINDOW_S = 60.0
LEAST = 300_000  # bytes in a window: 5 kB/s
KEPT = "/?:@!$&'()*+,;=~%"  # characters of a path or query that stay as they are
clock = time.monotonic


class TransferError(Exception):
    """What came is incomplete, and why."""


class Download:
    """An answer that has begun: its headers, and its body as it comes.

    Attributes:
        status: of HTTP.
        headers: of the answer.
    """

    def __init__(self, response: http.client.HTTPResponse, arriving: "_Arriving") -> None:
        self.status, self.headers = response.status, response.headers
        self._arriving = arriving

    def length(self) -> int | None:
        """Bytes of the body, None if the server does not say.

        Raises:
            TransferError: what it says is no size.
        """
        text = self.headers.get("Content-Length")
        if text is None or self.headers.get("Transfer-Encoding"):
            return None
        if not re.fullmatch("[0-9]{1,18}", text.strip()):
            raise TransferError(f"the server answers a Content-Length of {text[:40]!r}, no size")
        return int(text)

    def chunks(self) -> Iterator[bytes]:
        """The body, in pieces of at most `CHUNK`.

        Raises:
            TransferError: it broke off, or less than `LEAST` came within `WINDOW_S`.
        """
        began, came = clock(), 0
        while True:
            try:
                chunk = self._arriving.get(began + WINDOW_S - clock())
            except queue.Empty:
                chunk = None
            except _BROKEN as error:
                raise TransferError(f"the transfer broke off ({error})") from error
            if chunk == b"":
                return
            if isinstance(chunk, bytes):
                yield chunk
                came += len(chunk)
            if (now := clock()) - began >= WINDOW_S:
                if came < LEAST:
                    raise TransferError(
                        f"the transfer is too slow: {came} bytes in {now - began:.0f} s, and"
                        f" {LEAST / WINDOW_S:.0f} a second are the least"
                    )
                began, came = now, 0


_BROKEN = (OSError, http.client.HTTPException, ValueError)  # IDNA's errors are ValueErrors


@contextlib.contextmanager
def download(url: str, *, start: int) -> Iterator[Download | None]:
    """The answer to a request for what `url` has from byte `start`; None if it has nothing there.

    Args:
        url: as `web_address` gives it.

    Raises:
        TransferError: the server refuses, can't be reached, or does not begin to answer.
    """
    arriving = _Arriving(url, start)
    try:
        try:
            response = arriving.get(WINDOW_S)
        except queue.Empty:
            raise TransferError(f"no answer within {WINDOW_S:.0f} s") from None
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                said = f"the server answers {error.code} {error.reason}"
                raise TransferError(" ".join(said.split())[:200]) from error
            response = None
        except _BROKEN as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise TransferError(f"no connection ({reason})") from error
        if isinstance(response, http.client.HTTPResponse):
            yield Download(response, arriving)
        else:
            yield None
    finally:
        arriving.stop()


class _Arriving:
    """The answer, then its body's chunks, then b"", or the error that ended it."""

    def __init__(self, url: str, start: int) -> None:
        headers = {"Range": f"bytes={start}-"} if start else {}
        self._request = urllib.request.Request(url, headers=headers)
        self._waiting: queue.Queue[http.client.HTTPResponse | bytes | Exception] = queue.Queue(
            WAITING
        )
        self._stopped = threading.Event()
        threading.Thread(target=self._receive, daemon=True).start()

    def get(self, timeout_s: float) -> http.client.HTTPResponse | bytes:
        """The next of these; raises its error, or `queue.Empty` if it takes longer."""
        found = self._waiting.get(timeout=max(0.0, timeout_s))
        if isinstance(found, Exception):
            raise found
        return found

    def stop(self) -> None:
        """Nobody asks any more; the thread ends once its server does something, or at its exit."""
        self._stopped.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()

    def _receive(self) -> None:
        try:
            opener = urllib.request.build_opener(_OnTheWeb)
            with opener.open(self._request, timeout=TIMEOUT_S) as response:
                self._waiting.put(response)
                # read1: what is there. read would wait until a whole chunk is.
                while not self._stopped.is_set() and (chunk := response.read1(CHUNK)):
                    self._waiting.put(chunk)
            self._waiting.put(b"")
        except Exception as error:  # raised where it is waited for
            self._waiting.put(error)


class _OnTheWeb(urllib.request.HTTPRedirectHandler):
    """urllib follows a redirection to ftp:, too."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith(("http://", "https://")):
            raise urllib.error.URLError(f"it sends elsewhere, to {newurl[:100]!r}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def web_address(text: str) -> str:
    """The address as HTTP writes it: percent signs in the path, and the host's name in IDNA.

    Raises:
        UserError: it is none of http or https.
    """
    try:
        parts = urlsplit(text.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it begins otherwise")
        name = parts.hostname
        host = name if name.isascii() else name.encode("idna").decode()
        host = f"[{host}]" if ":" in host else host
        place = host if parts.port is None else f"{host}:{parts.port}"
        user, at, _ = parts.netloc.rpartition("@")
        where = SplitResult(
            parts.scheme, f"{user}{at}{place}", _quoted(parts.path), _quoted(parts.query), ""
        )
        return urlunsplit(where)
    except ValueError as error:
        raise UserError(f"{text}: give an http:// or https:// address ({error})") from error


def _quoted(text: str) -> str:
    """What is quoted already stays so."""
    alone = re.sub("%(?![0-9A-Fa-f]{2})", "%25", text)
    return quote(alone, safe=KEPT, errors="surrogateescape")
