"""`taskqueue dashboard serve`: the web page and the REST API."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated

import typer

from taskqueue_ray.cli.opening import client, key_file_of, look_for, settings_of
from taskqueue_ray.cli.options import Address, Storage
from taskqueue_ray.cli.render import say
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine.keyring import key_file_path

app = typer.Typer(no_args_is_help=True, help="The web page and the REST API.")


@app.callback()
def dashboard() -> None:
    """The web page and the REST API."""


@app.command()
def serve(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port; 0: any")] = 8080,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name that it is reached by")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="A site whose pages may call the API")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The tokens; made at the first start")
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Let everybody on this machine in")
    ] = False,
    audit_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where actions are written down")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="A certificate")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key")] = None,
    behind_proxy: Annotated[
        str | None,
        typer.Option(metavar="ADDRESSES", help="Reverse proxies to believe, by address"),
    ] = None,
    root_path: Annotated[
        str, typer.Option(metavar="PATH", help="The path that a proxy has it under")
    ] = "",
    module: Annotated[
        list[str] | None, typer.Option("--app", metavar="MODULE", help="Defines jobs")
    ] = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Serve the web page and the REST API until Ctrl-C."""
    check_reach(host, no_token=no_token)
    if (tls_cert is None) != (tls_key is None):
        raise InvalidOption("tls", "one of certificate and key", "--tls-cert and --tls-key")
    settings = settings_of(storage, address, app=module or None)
    look_for(settings.app)
    folder = key_folder(settings)
    from taskqueue_ray.web.options import LOOPBACK, WebOptions

    names = [*LOOPBACK, host.strip("[]"), f"[{host}]", *(allow_host or ())]
    operator, viewer = (
        (None, None) if no_token else _tokens(token_file or folder / "dashboard-tokens")
    )
    options = WebOptions(
        operator_token=operator,
        viewer_token=viewer,
        open=no_token,
        hosts=tuple(dict.fromkeys(name.lower() for name in names)),
        origins=tuple(allow_origin or ()),
        secure_cookies=tls_cert is not None,
        audit_file=audit_file or folder / "dashboard-audit.jsonl",
        app=settings.app,
    )
    say("starting …", "dim")
    with client(settings) as (queue, _):
        from taskqueue_ray.web.serving import Reach, server_of

        scheme = "http" if tls_cert is None else "https"
        reach = Reach(host, port, tls_cert, tls_key, behind_proxy, root_path)
        server_of(
            queue,
            options,
            reach,
            lambda at: say(f"dashboard: {scheme}://{_shown(host)}:{at}{root_path}"),
        ).run()


def check_reach(host: str, *, no_token: bool) -> None:
    """Without a token only this machine may be listened to. Raises `InvalidOption`."""
    if no_token and not _is_loopback(host):
        raise InvalidOption(
            "no_token", f"beside --host {host!a}", "only a loopback address: use the tokens"
        )


def key_folder(settings: Settings) -> Path:
    """Where tokens and the audit are kept unless that is said: beside the key file."""
    if settings.key_file:
        return key_file_of(settings).parent
    return key_file_path(os.environ).parent


def _tokens(path: Path) -> tuple[str, str]:
    """The tokens of that file. Fresh ones are shown, this once."""
    from taskqueue_ray.web.tokens import tokens_of

    tokens = tokens_of(path)
    if tokens.made:
        say(f"operator token: {tokens.operator}")
        say(f"viewer token:   {tokens.viewer}   (may only look)")
        say(f"they are shown this once, and kept in {path}", "dim")
    else:
        say(f"the tokens are in {path}", "dim")
    return tokens.operator, tokens.viewer


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
