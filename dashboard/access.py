"""Who may open the page: anybody on this machine; from elsewhere whoever has a link with a token, perhaps read-only.

The page lies at `ACT` for whoever may act, and at `WATCH` for whoever only looks. A token comes once, in a link; from
then on it is in a cookie, so that it stands in no address line, no history and no log. Each of both pages has its own:
who opens one goes on with the other.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from hmac import compare_digest
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from bokeh.server.tornado import BokehTornado
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

ACT, WATCH, STATIC = "/", "/watch", "/static/"
TOKEN = "token"
TOKEN_BYTES = 24
# Characters of why somebody was refused.
MOST_CAUSE = 200


@dataclass(frozen=True)
class Access:
    """The token of whoever may act, and that of whoever may watch; without tokens everybody may do both."""

    act: str | None = None
    watch: str | None = None

    @classmethod
    def by_tokens(cls) -> Access:
        """Access by two new tokens."""
        return cls(secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES))

    def allows(self, path: str, token: str | None) -> bool:
        """Whether who shows this ``token`` may have what lies at ``path``."""
        if self.act is None or self.watch is None:
            return True
        shown = (token or "").encode()
        # Both are compared, whatever comes of the first: how long that takes tells nothing.
        acts, watches = (compare_digest(shown, known.encode()) for known in (self.act, self.watch))
        open_to_watchers = path == WATCH or path.startswith((f"{WATCH}/", STATIC))
        return acts or (watches and open_to_watchers)

    def links(self, origin: str) -> tuple[str, str]:
        """The link for whoever acts, and the one for whoever watches, to a page served at ``origin``."""
        if self.act is None:
            return f"{origin}{ACT}", f"{origin}{WATCH}"
        return f"{origin}{ACT}?{TOKEN}={self.act}", f"{origin}{WATCH}?{TOKEN}={self.watch}"


class GuardedServer(BokehTornado):
    """A Bokeh server that gives nothing to whoever has no access; ``port`` tells its cookies from other pages'.

    ``names``: by which this machine may be called where no token is asked for. A page of somewhere else can have its
    own name lead here (DNS rebinding), and its browser then takes this page for a part of it.
    """

    def __init__(
        self, applications: Any, access: Access, port: int, names: Collection[str], **options: Any
    ) -> None:
        self._access = access
        self._names = frozenset(name.lower() for name in names)
        self._cookies = {ACT: f"photonstream-{port}", WATCH: f"photonstream-{port}-watch"}
        super().__init__(applications, log_function=lambda _handler: None, **options)

    def find_handler(self, request: HTTPServerRequest, **options: Any) -> Any:
        """The handler of a request, or one that refuses it, or that turns the token of a link into a cookie."""
        if self._access.act is None and not self._is_called(request.host):
            return self.get_handler_delegate(request, _Refuse)
        in_link = request.query_arguments.get(TOKEN)
        # Without tokens there is nothing to keep; and a link is one to a page of ours, nothing that looks like a host.
        if in_link and self._access.act is not None and request.path in (ACT, WATCH):
            token = in_link[-1].decode("latin-1")
            if self._access.allows(request.path, token):
                given = {"cookie": self._cookies[request.path], "token": token}
                return self.get_handler_delegate(request, _Admit, given)
            return self.get_handler_delegate(request, _Refuse)
        kept = [request.cookies[name].value for name in self._cookies.values() if name in request.cookies]
        if not any(self._access.allows(request.path, token) for token in kept or [None]):
            return self.get_handler_delegate(request, _Refuse)
        return super().find_handler(request, **options)

    def _is_called(self, host: str) -> bool:
        """Whether ``host`` (with its port, which a tunnel may change) is an address, which nobody can have led here, or
        a name of this machine.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ip_address(name)
        except ValueError:
            return name in self._names
        return True


def told_in_a_line(record: logging.LogRecord) -> bool:
    """A filter for tornado's log: what somebody's websocket cannot be opened for is a line, and no error of ours."""
    request = record.args[-1] if isinstance(record.args, tuple) and record.args else None
    if record.exc_info and isinstance(request, HTTPServerRequest) and request.path.endswith("/ws"):
        error = record.exc_info[1]
        cause = str(error)[:MOST_CAUSE].encode("ascii", "backslashreplace").decode()
        record.msg = f"a websocket of {request.remote_ip} was refused: {type(error).__name__}: {cause}"
        record.args, record.exc_info = (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


class _Admit(RequestHandler):
    """Keeps the token in a cookie and leads to the same place without it."""

    def initialize(self, cookie: str, token: str) -> None:
        self._kept = cookie, token

    def get(self) -> None:
        name, token = self._kept
        self.set_cookie(name, token, httponly=True, samesite="Lax")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")
        self.redirect(self.request.path)


class _Refuse(RequestHandler):
    """Tells nothing but that a link is needed."""

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(
            "This page opens with the link that photonstream printed, by that name or one given with --origin.\n"
        )
