"""``kchat serve``."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from kchat.cli.help import Command
from kchat.cli.options import (
    broker_options_beside_server,
    refuse_lone_room,
    to_settings,
    username_option,
    wait_option,
)
from kchat.cli.param_types import whole_number
from kchat.cli.stderr import write_line
from kchat.errors import MissingExtra

_FILE = click.Path(path_type=Path)


@click.command(name="serve", cls=Command)
@username_option
@click.option(
    "--host",
    "listen_host",
    envvar="KCHAT_SERVE_HOST",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on.",
)
@click.option(
    "--port",
    "listen_port",
    envvar="KCHAT_SERVE_PORT",
    type=whole_number(0, 65535),
    default=8765,
    show_default=True,
    metavar="N",
    help="Port to listen on; 0 for a free one.",
)
@click.option("--public-url", metavar="URL", envvar="KCHAT_PUBLIC_URL", help="How guests reach the page.")
@click.option("--tls-cert", "server_cert", type=_FILE, metavar="FILE", help="The page's certificate (PEM).")
@click.option("--tls-key", "server_key", type=_FILE, metavar="FILE", help="Its private key.")
@click.option("--behind-proxy", is_flag=True, help="A proxy on this machine does TLS.")
@click.option("--open-reading", is_flag=True, help="Let everybody read who reaches the page.")
@click.option(
    "--store", type=_FILE, metavar="FILE", envvar="KCHAT_WEB_STORE", help="Where the guests are kept."
)
@click.option(
    "--verbose", "-v", is_flag=True, help="Print a line about each request, without what is secret."
)
@wait_option
@broker_options_beside_server
def command(
    username: str | None,
    listen_host: str,
    listen_port: int,
    public_url: str | None,
    server_cert: Path | None,
    server_key: Path | None,
    behind_proxy: bool,
    open_reading: bool,
    store: Path | None,
    verbose: bool,
    wait: bool,
    rooms: tuple[str, ...],
    **broker: Any,
) -> None:
    """Open a room to guests with nothing but a browser.

    Prints a link that opens the room once, as you. For a guest: kchat invite NAME --web.

    \b
    Examples:
      kchat serve --room chat
      kchat serve --public-url https://chat.example.org --behind-proxy
    """
    settings = to_settings(**broker)
    refuse_lone_room(settings, "guests would be alone in it")
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise MissingExtra(
            "this needs a library that is not installed",
            hint='install it with: pip install "kombu-chat[web]"',
        )
    settings.transport.require()
    from kchat.web.options import ServeOptions
    from kchat.web.server import serve

    options = ServeOptions(
        [replace(settings, room=room) for room in rooms] or [settings],
        username,
        host=listen_host,
        port=listen_port,
        public_url=public_url,
        tls_cert=server_cert,
        tls_key=server_key,
        behind_proxy=behind_proxy,
        open_reading=open_reading,
        store=store,
        wait=wait,
    )

    def tell(link: str) -> None:
        if sys.stdout is None:
            write_line("the room is open; standard output is closed, so your link cannot be shown")
            return
        write_line("the room is open; this link opens it once, as you:")
        click.echo(link)
        sys.stdout.flush()

    serve(options, tell, write_line, write_line if verbose else None)
