"""What an operator decides about the web application."""

from dataclasses import dataclass
from pathlib import Path

from taskqueue_ray.core.errors import InvalidOption

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
MIN_TOKEN = 16


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Who may do what, and under which names the application is reached.

    `operator_token` lets its holder look and act, `viewer_token` only look. With neither, nobody
    may, unless it is `open`: then whoever reaches it is an operator. `hosts` are the names that
    requests may ask for, without ports; `origins` are other sites whose pages may call it.
    `secure_cookies` is for those who come by https alone. `patience` is how many seconds a page
    waits for a queue that restarts. `app` are modules that define jobs.
    """

    operator_token: str | None = None
    viewer_token: str | None = None
    open: bool = False
    hosts: tuple[str, ...] = LOOPBACK
    origins: tuple[str, ...] = ()
    secure_cookies: bool = False
    session_seconds: float = 12 * 3600.0
    audit_file: Path | None = None
    patience: float = 4.0
    max_body: int = 16 << 20
    app: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("operator_token", "viewer_token"):
            token = getattr(self, name)
            if token is not None and len(token) < MIN_TOKEN:
                raise InvalidOption(name, "a short one", f"at least {MIN_TOKEN} characters")
        if self.operator_token is not None and self.operator_token == self.viewer_token:
            raise InvalidOption("viewer_token", "the operator's", "another one")
        has_token = self.operator_token is not None or self.viewer_token is not None
        if self.open and has_token:
            raise InvalidOption("open", "True beside a token", "no token, or False")
        if not self.open and not has_token:
            raise InvalidOption("operator_token", "None", "a token, or open=True for everybody")

    @property
    def tokens(self) -> tuple[tuple[str, str], ...]:
        """The roles that have a token, with it."""
        pairs = (("operator", self.operator_token), ("viewer", self.viewer_token))
        return tuple((role, token) for role, token in pairs if token is not None)
