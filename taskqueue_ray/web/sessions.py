"""Who is asking: tokens compared, sessions as signed cookies, and the token against forgery.

A session is text that the server has signed, so it keeps none and a restart ends none. The key
comes from the tokens: new tokens end all sessions. Those who leave are remembered until their
session would have ended.
"""

import hashlib
import hmac
import secrets
from typing import Literal, NamedTuple

from taskqueue_ray.web.options import WebOptions

Role = Literal["operator", "viewer"]
COOKIE = "taskqueue_session"
_MAX_LEFT = 10_000


class Principal(NamedTuple):
    """Somebody who may look, and act if the role says so. `session` is empty for API tokens."""

    role: Role
    session: str = ""
    csrf: str = ""

    @property
    def may_act(self) -> bool:
        """Whether they may change anything."""
        return self.role == "operator"


class Sessions:
    """Knows tokens and sessions."""

    def __init__(self, options: WebOptions) -> None:
        self._tokens = options.tokens
        self._seconds = options.session_seconds
        secret = "\n".join(f"{role} {token}" for role, token in self._tokens)
        # Without tokens there is nothing to derive it from, and nothing that a restart could lose.
        material = secret.encode() or secrets.token_bytes(32)
        self._key = hashlib.sha256(b"taskqueue-ray sessions\0" + material).digest()
        self._left: dict[str, float] = {}

    def role_of(self, token: str) -> Role | None:
        """Whose token it is. Takes as long for a wrong one as for a right one."""
        found: Role | None = None
        for role, known in self._tokens:
            if hmac.compare_digest(known.encode(), token.encode("utf-8", "replace")):
                found = "operator" if role == "operator" else "viewer"
        return found

    def begin(self, role: Role, now: float) -> str:
        """A new session, as its cookie's value."""
        body = f"{role}.{int(now + self._seconds)}.{secrets.token_hex(8)}"
        return f"{body}.{self._sign('session', body)}"

    def principal(self, cookie: str, now: float) -> Principal | None:
        """Whose session it is, while it lasts."""
        body, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign("session", body).encode()):
            return None
        role, until, number = body.split(".")
        if float(until) <= now or number in self._left:
            return None
        known: Role = "operator" if role == "operator" else "viewer"
        return Principal(known, number, self._sign("csrf", number))

    def end(self, principal: Principal, now: float) -> None:
        """They leave: their cookie is worth nothing from now on."""
        self._left = {number: until for number, until in self._left.items() if until > now}
        if len(self._left) < _MAX_LEFT:
            self._left[principal.session] = now + self._seconds

    def _sign(self, purpose: str, text: str) -> str:
        signed = f"{purpose}\0{text}".encode("utf-8", "replace")
        return hmac.new(self._key, signed, hashlib.sha256).hexdigest()
