"""What to serve, where, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from kchat.config.settings import Settings

HOST, PORT = "127.0.0.1", 8765


@dataclass(frozen=True)
class Limits:
    """What one guest, one address and all together may use.

    Attributes:
        message_bytes: of one message's text, in UTF-8.
        messages_per_second: of one guest, on average.
        burst: messages of one guest at once.
        streams_per_guest: open pages and programs of one guest.
        streams_per_address: of one network address: those behind one router share it.
        streams: of all guests together.
        waiting_bytes: for one reader that does not read, before its stream is ended.
        kept: messages of each room in memory, for those who come back.
        kept_bytes: ... and their size.
    """

    message_bytes: int = 16 * 1024
    messages_per_second: float = 2.0
    burst: int = 10
    streams_per_guest: int = 12
    streams_per_address: int = 100
    streams: int = 2000
    waiting_bytes: int = 1024 * 1024
    kept: int = 1000
    kept_bytes: int = 8 * 1024 * 1024

    @property
    def body_bytes(self) -> int:
        """Of a request. A form's field takes as many UTF-16 units as there may be bytes, and each becomes nine at most."""
        return self.message_bytes * 9 + 4096


@dataclass(frozen=True)
class ServeOptions:
    """What to serve.

    Attributes:
        settings: the rooms, all on the same broker, by the host's own account; the first one is the page's first.
        username: the host's name. Default: the settings', else the login name.
        host: address to listen on.
        port: TCP port to listen on; 0 for a free one.
        public_url: how guests reach the page, such as ``https://chat.example.org``. Default: by host and port.
        tls_cert: file of the server's certificate (PEM), with ``tls_key``. Default: no TLS.
        tls_key: file of its key.
        behind_proxy: a proxy on this machine ends TLS and names the guest's address (``X-Forwarded-For``).
        open_reading: whether everybody who reaches the page may read.
        store: file with the guests. Default: the user's.
        wait: keep trying when no broker can be reached at the start. Default: fail.
        limits: what guests may use.
    """

    settings: list[Settings]
    username: str | None = None
    host: str = HOST
    port: int = PORT
    public_url: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    open_reading: bool = False
    store: Path | None = None
    wait: bool = False
    limits: Limits = field(default_factory=Limits)

    @property
    def secure(self) -> bool:
        """Whether guests reach the page by TLS, so that their cookies are for TLS alone."""
        return bool(self.tls_cert) or (self.public_url or "").lower().startswith("https:")

    @property
    def cookie_path(self) -> str:
        """The path that the cookie is for: of the public URL, with a slash at its end."""
        return urlsplit(self.public_url or "").path.rstrip("/") + "/"
