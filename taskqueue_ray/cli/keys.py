"""`taskqueue keys …`: the keys that payloads are sealed with."""

import base64
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from taskqueue_ray.cli.failures import fail
from taskqueue_ray.cli.options import Json
from taskqueue_ray.cli.render import print_json, say
from taskqueue_ray.engine.keyring import KEY_SIZE, make_key_file, parse_key

app = typer.Typer(no_args_is_help=True, help="The keys that payloads are sealed with.")


@app.callback()
def keys() -> None:
    """The keys that payloads are sealed with."""


@app.command()
def new(
    file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Write it to this new file, mode 0600")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key: for TASKQUEUE_ENCRYPTION_KEYS, or for a key file."""
    if file is None:
        text = base64.b64encode(secrets.token_bytes(KEY_SIZE)).decode()
        if json:
            print_json({"key": text, "id": parse_key(text).id})
        else:
            print(text)
        return
    if os.path.lexists(file):
        raise fail(f"{file} is there already: a key in use is never replaced")
    key_id = make_key_file(file).primary.id
    if json:
        print_json({"file": str(file), "id": key_id})
    else:
        say(f"key {key_id} is in {file}; keep a copy of it apart from the queue's folder")
