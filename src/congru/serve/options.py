"""What a server is started with: where it listens, who may come in, and how much one client may ask for."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from congru.errors import SettingsError

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


@dataclass(frozen=True)
class Limits:
    """How much one server, one client and one connection may take.

    `body_bytes` of a request and `message_bytes` of a WebSocket message; `sessions` open at once; `in_flight` messages of one
    connection that are worked on at once: the next is read when one is answered; `requests_per_second` of one client address,
    with bursts of two seconds; `idle_seconds` after which a session nobody uses is closed; `send_seconds` that a reader may
    take for one message, `receive_seconds` that a client may take for the head of a request and for each piece of its body,
    before the connection is cut; `discard_bytes` that are read and dropped of what a client still sends when it is refused, so
    that it learns why.
    """

    body_bytes: int = 32 << 20
    message_bytes: int = 1 << 20
    sessions: int = 4096
    connections: int = 2048
    in_flight: int = 64
    requests_per_second: float = 200.0
    idle_seconds: float = 900.0
    send_seconds: float = 20.0
    receive_seconds: float = 20.0
    discard_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise SettingsError(f"{name} is {value}, expected more than 0: leave it out for the default")


@dataclass(frozen=True)
class Options:
    """Where the server listens and what it may touch.

    `folders`: model folders, run folders, or folders that hold some. `data`: the only folder that training may read from;
    `runs`: where new runs and uploads go; `saves`: where saved sessions lie. Without `token` only a loopback address is taken.
    """

    folders: tuple[Path, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8017
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    data: Path = field(default_factory=Path)
    runs: Path = Path("runs")
    saves: Path = Path("runs") / "sessions"
    limits: Limits = field(default_factory=Limits)

    def check(self) -> Options:
        """Itself; raises :class:`SettingsError` for an open door without a token, or half a certificate.

        >>> Options(host="0.0.0.0").check()
        Traceback (most recent call last):
        congru.errors.SettingsError: host is '0.0.0.0', expected a loopback address without a token: add --token TEXT
        """
        if self.token is None and not is_loopback(self.host):
            raise SettingsError(
                f"host is {self.host!r}, expected a loopback address without a token: add --token TEXT"
            )
        if self.token is not None and len(self.token) < 16:
            raise SettingsError(
                f"token has {len(self.token)} characters, expected at least 16: try {secrets.token_urlsafe(24)}"
            )
        if (self.certificate is None) != (self.key is None):
            raise SettingsError("certificate or key is missing, expected both: pass --certificate and --key")
        for name, path in (("certificate", self.certificate), ("key", self.key)):
            if path is not None and not path.is_file():
                raise SettingsError(f"{name} is '{path}', expected a PEM file: check the path")
        return self


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("192.168.1.7")
    (True, True, False)
    """
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
