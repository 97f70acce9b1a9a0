"""Logging in and out."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from taskqueue_ray.web.guard import session_cookie
from taskqueue_ray.web.pages.rendering import duration, form_of, local, one, render
from taskqueue_ray.web.site import address_of, principal_of, site_of

router = APIRouter()


@router.get("/login")
async def door(request: Request) -> Response:
    """The form."""
    return _form(request, local(request.query_params.get("next", "/")))


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Begin a session with a token. Whoever guesses waits."""
    site = site_of(request)
    fields = await form_of(request)
    there = local(one(fields, "next") or "/")
    address, now = address_of(request), site.clock()
    if (seconds := site.attempts.wait(address, now)) > 0:
        words = f"Too many attempts. Try again in {duration(seconds)}."
        refusal = _form(request, there, words, 429)
        refusal.headers["Retry-After"] = str(max(1, round(seconds)))
        return refusal
    role = site.sessions.role_of(one(fields, "token") or "")
    if role is None:
        site.attempts.failed(address, now)
        site.audit.record(now, "nobody", address, "log in", "-", "refused")
        return _form(request, there, "That token is not known here.", 401)
    site.audit.record(now, role, address, "log in", "-", "let in")
    root = request.scope.get("root_path", "").rstrip("/")
    answer = RedirectResponse(root + there, 303)
    cookie = session_cookie(site.sessions.begin(role, now), site.options, root)
    answer.headers.append("Set-Cookie", cookie)
    return answer


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End the session: its cookie opens nothing any more."""
    site = site_of(request)
    principal = principal_of(request)
    if principal is not None and principal.session:
        site.sessions.end(principal, site.clock())
    root = request.scope.get("root_path", "").rstrip("/")
    answer = RedirectResponse(f"{root}/login", 303)
    answer.headers.append("Set-Cookie", session_cookie("", site.options, root, ends=True))
    return answer


def _form(request: Request, there: str, problem: str = "", status: int = 200) -> Response:
    return render(request, "login.html", status=status, live=False, there=there, problem=problem)
