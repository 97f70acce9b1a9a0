"""The door: every request passes here before any route sees it.

Checked in this order: the host that was asked for, the site that it comes from, who it is, whether
they may do that, and that a form was theirs. It also sets the headers that keep pages safe.
"""

import hmac
import time
from collections.abc import Callable
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskqueue_ray.web.attempts import Attempts
from taskqueue_ray.web.options import WebOptions
from taskqueue_ray.web.problems import problem
from taskqueue_ray.web.sessions import COOKIE, Principal, Sessions

SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
FOR_ALL = ("/static/", "/api/v1/health", "/login", "/favicon.ico")
CSRF_HEADER, CSRF_FIELD = "x-csrf-token", "csrf"
FORM = "application/x-www-form-urlencoded"

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
    "access-control-allow-headers": "authorization, content-type, if-none-match",
    "access-control-max-age": "600",
}
"""For pages of the allowed origins, which come with a token: cookies are not for them."""


class Guard:
    """ASGI middleware. `scope["state"]["principal"]` is who passed, None on routes for all."""

    def __init__(
        self,
        app: ASGIApp,
        options: WebOptions,
        sessions: Sessions,
        attempts: Attempts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._options = options
        self._sessions = sessions
        self._attempts = attempts
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        visit = _Visit(scope)
        send = _with_headers(send, visit, self._options.origins)
        if visit.is_preflight(self._options.origins):
            await Response(status_code=204, headers=PREFLIGHT)(scope, receive, send)
            return
        refusal = self._admit(visit)
        if refusal is None and visit.method not in SAFE:
            receive, refusal = await self._check_act(visit, receive)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = visit.principal
        await self._app(scope, receive, self._with_session(send, visit))

    def _admit(self, visit: "_Visit") -> Response | None:
        options = self._options
        if visit.host not in options.hosts:
            detail = f"no such host here: {ascii(visit.host)[:100]}; allow it with --allow-host"
            return problem(421, "Misdirected request", detail)
        if not visit.is_same_site(options.origins):
            return problem(403, "Foreign origin", "requests from other sites are refused")
        visit.principal, refusal = self._identify(visit)
        if refusal is not None:
            return refusal
        if visit.principal is None and not visit.is_for_all:
            return visit.unknown()
        return None

    def _identify(self, visit: "_Visit") -> tuple[Principal | None, Response | None]:
        now = self._clock()
        session = self._sessions.principal(visit.cookie, now) if visit.cookie else None
        if self._options.open:
            return session or Principal("operator"), None
        if visit.token is None:
            return session, None
        if (seconds := self._attempts.wait(visit.address, now)) > 0:
            return None, too_many(seconds)
        role = self._sessions.role_of(visit.token)
        if role is None:
            self._attempts.failed(visit.address, now)
            return None, visit.unknown("the token is not known here")
        return Principal(role), None

    async def _check_act(
        self, visit: "_Visit", receive: Receive
    ) -> tuple[Receive, Response | None]:
        """Before something is changed: the role, the size, and that the form was theirs."""
        principal = visit.principal
        if principal is not None and not principal.may_act and not visit.is_for_viewers:
            return receive, problem(403, "Read only", "this needs the operator's token")
        body = await _read(receive, self._options.max_body)
        if body is None:
            limit = f"the limit is {self._options.max_body:,} bytes"
            return receive, problem(413, "Body too large", limit)
        if principal is not None and principal.session and not visit.has_csrf(principal, body):
            detail = "the form is not of this session: load the page again"
            return receive, problem(403, "Forgery check failed", detail)
        if principal is not None and not principal.session and body and not visit.is_json:
            # What a page of another site can send without asking first is not JSON.
            return receive, problem(415, "Unsupported media type", "send application/json")
        return _replayed(body, receive), None

    def _with_session(self, send: Send, visit: "_Visit") -> Send:
        """Where everybody may come in, a visitor's forms still need a session."""
        principal = visit.principal
        if not self._options.open or principal is None or principal.session or not visit.is_page:
            return send
        value = self._sessions.begin("operator", self._clock())
        visit.scope["state"]["principal"] = self._sessions.principal(value, self._clock())
        cookie = session_cookie(value, self._options, visit.root)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        return sending


class _Visit:
    """One request, as far as the door looks at it."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.headers = Headers(scope=scope)
        self.method: str = scope["method"].upper()
        self.root: str = scope.get("root_path", "").rstrip("/")
        self.path: str = scope["path"].removeprefix(self.root) or "/"
        self.host = _host_of(self.headers.get("host", ""))
        self.principal: Principal | None = None
        client = scope.get("client")
        self.address = client[0] if client else "unknown"
        cookies = cookie_parser(self.headers.get("cookie", ""))
        self.cookie = cookies.get(COOKIE, "")

    @property
    def token(self) -> str | None:
        """The token of the header, if there is one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    @property
    def is_for_all(self) -> bool:
        """Whether nobody needs to be known here."""
        return self.path in FOR_ALL or self.path.startswith(FOR_ALL[0])

    @property
    def is_for_viewers(self) -> bool:
        """What even those may do who may only look."""
        return self.path in ("/login", "/logout")

    @property
    def is_page(self) -> bool:
        """Whether a person is to look at the answer."""
        return not self.path.startswith(("/api/", "/metrics", "/live", "/static/"))

    @property
    def is_json(self) -> bool:
        """Whether the body says that it is JSON."""
        return self.headers.get("content-type", "").split(";")[0].strip() == "application/json"

    def is_same_site(self, origins: tuple[str, ...]) -> bool:
        """Whether it comes from a page of this site, from an allowed one, or from no page."""
        origin = self.headers.get("origin")
        if origin is None:
            fetched_from = self.headers.get("sec-fetch-site", "none")
            return self.method in SAFE or fetched_from in ("none", "same-origin")
        if origin in origins:
            return True
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc == self.headers.get("host")

    def is_preflight(self, origins: tuple[str, ...]) -> bool:
        """Whether a browser asks if a page of an allowed origin may call."""
        asks = "access-control-request-method" in self.headers
        return self.method == "OPTIONS" and asks and self.headers.get("origin") in origins

    def has_csrf(self, principal: Principal, body: bytes) -> bool:
        """Whether the request bears the token of its session."""
        if self.path == "/login":
            return True
        given = self.headers.get(CSRF_HEADER)
        if given is None and self.headers.get("content-type", "").startswith(FORM):
            fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10_000)
            given = fields.get(CSRF_FIELD, [""])[-1]
        return given is not None and _equal(given, principal.csrf)

    def unknown(self, detail: str = "log in, or send a token") -> Response:
        """For somebody who is not known: programs learn it, people are shown where to log in."""
        if self.is_page and self.method in SAFE and self.token is None:
            query = self.scope.get("query_string", b"").decode("latin-1")
            there = self.path + (f"?{query}" if query else "")
            return RedirectResponse(f"{self.root}/login?next={quote(there, safe='')}", 303)
        refusal = problem(401, "Not known", detail)
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal


def session_cookie(value: str, options: WebOptions, root: str, *, ends: bool = False) -> str:
    """The header that sets a session, or takes it away."""
    age = 0 if ends else int(options.session_seconds)
    secure = "; Secure" if options.secure_cookies else ""
    return f"{COOKIE}={value}; Path={root or '/'}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"


def too_many(seconds: float) -> Response:
    """For somebody who guesses."""
    refusal = problem(429, "Too many attempts", f"try again in {seconds:.0f} s")
    refusal.headers["Retry-After"] = str(max(1, round(seconds)))
    return refusal


def _host_of(header: str) -> str:
    """The host without its port, in lower case."""
    name, colon, port = header.rpartition(":")
    return (name if colon and port.isdigit() else header).lower()


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None when it is larger than that."""
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(parts)
        parts += message.get("body", b"")
        if len(parts) > limit:
            return None
        if not message.get("more_body", False):
            return bytes(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The same body for those who come after; then whatever else there is to hear."""
    given = False

    async def receiving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def _with_headers(send: Send, visit: _Visit, origins: tuple[str, ...]) -> Send:
    origin = visit.headers.get("origin")

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            if origin is not None and origin in origins:
                headers["access-control-allow-origin"] = origin
                headers["vary"] = "Origin"
            if not visit.path.startswith("/static/"):
                headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending
