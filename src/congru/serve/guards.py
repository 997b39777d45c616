"""What stands before every request: hosts, tokens, origins, rates and sizes, as ASGI middleware; and the headers of answers.

Without a token only this machine may connect, so a page of another site that makes a browser call 127.0.0.1 is refused by its
Host and Origin. With one, it comes as `Authorization: Bearer TOKEN`, or as the cookie that `/?token=TOKEN` sets.
"""

from __future__ import annotations

import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from congru.serve.faults import Refused
from congru.serve.meters import Meters
from congru.serve.options import LOOPBACK_NAMES, Options, is_loopback

COOKIE = "congru_token"
MOST_CLIENTS = 4096  # addresses whose rate is remembered
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; connect-src 'self';"
    " media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_OPEN_PATHS = frozenset({"/health"})


class Rates:
    """A token bucket for each client address: `per_second` requests, with bursts of two seconds."""

    def __init__(self, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._now = per_second, max(1.0, 2 * per_second), now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take one; 0 where it may go on, else the seconds to wait."""
        now = self._now()
        left, then = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._rate)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate
        self._buckets[client] = (left if wait else left - 1, now)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return wait


class Guard:
    """The middleware. Refusals are JSON with a code; a WebSocket is refused before it is accepted."""

    def __init__(self, app: ASGIApp, options: Options, meters: Meters) -> None:
        self.app, self.options, self.meters = app, options, meters
        self.rates = Rates(options.limits.requests_per_second)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        try:
            self._check(scope, headers)
        except Refused as error:
            self.meters.count("refused_total", f'code="{error.code}"')
            await _refuse(scope, send, error)
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                status, method = message["status"], scope["method"]
                self.meters.count("requests_total", f'method="{method}",status="{status}"')
                message = {**message, "headers": [*message["headers"], *HEADERS, *self._cookie(scope)]}
            await send(message)

        await self.app(scope, _limited(receive, headers, self.options.limits.body_bytes), counted)

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        client = (scope.get("client") or ("local", 0))[0]
        host = _host_of(headers.get("host", ""))
        if self.options.token is None:
            if not (is_loopback(host) or host == ""):
                known = ", ".join(sorted(LOOPBACK_NAMES)[:3])
                raise Refused("host", 421, f"host is {host!r:.80}, expected one of {known}: use that address")
        elif scope["path"] not in _OPEN_PATHS and not self._knows(scope, headers):
            raise Refused("token", 401, "token is missing or wrong, expected 'Authorization: Bearer TOKEN'")
        if scope["type"] == "http":
            wait = self.rates.take(client)
            if wait:
                raise Refused(
                    "rate", 429, f"rate is above the server's limit, expected a pause of {wait:.2f} s"
                )
            if headers.get("content-length", "0").isdigit():
                _check_size(int(headers.get("content-length", "0")), self.options.limits.body_bytes)
        changes = scope["type"] == "websocket" or scope.get("method") not in ("GET", "HEAD", "OPTIONS")
        if changes and "origin" in headers and urlsplit(headers["origin"]).netloc != headers.get("host"):
            raise Refused(
                "origin",
                403,
                f"origin is {headers['origin']!r:.80}, expected this server's own: open its page",
            )

    def _knows(self, scope: Scope, headers: dict[str, str]) -> bool:
        """Whether the request carries the token."""
        offered = [headers.get("authorization", "").removeprefix("Bearer ")]
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
            offered += [cookies[COOKIE].value] if COOKIE in cookies else []
        except CookieError:
            pass
        offered += _in_query(scope)
        token = (self.options.token or "").encode()
        return any(hmac.compare_digest(word.encode(), token) for word in offered)

    def _cookie(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The cookie for whoever opened the page with the token in its address."""
        if self.options.token is None or not _in_query(scope):
            return []
        secure = "; Secure" if self.options.certificate else ""
        text = f"{COOKIE}={self.options.token}; HttpOnly; SameSite=Strict; Path=/{secure}"
        return [(b"set-cookie", text.encode())]


def _in_query(scope: Scope) -> list[str]:
    """The token in the address of the page itself; no other path takes one there."""
    if scope["path"] != "/" or scope["type"] != "http":
        return []
    return parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])


def _host_of(text: str) -> str:
    """The name in a Host header, without its port.

    >>> _host_of("[::1]:8017"), _host_of("localhost:8017"), _host_of("evil.example")
    ('::1', 'localhost', 'evil.example')
    """
    try:
        return urlsplit(f"//{text}").hostname or ""
    except ValueError:
        return text or "?"


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise Refused("size", 413, f"body has {size} bytes, expected at most {most}: send less")


def _limited(receive: Receive, headers: dict[str, str], most: int) -> Receive:
    """`receive` that counts the bytes, for bodies without a Content-Length."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        try:
            _check_size(size, most)
        except Refused as error:
            raise HTTPException(error.status, str(error)) from None
        return message

    return counted


async def _refuse(scope: Scope, send: Send, error: Refused) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": str(error)[:120]})
        return
    body: Any = json.dumps({"error": error.as_json()}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    if error.status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
