"""Debian's nginx in front of a server, as docs/web-hosting.md has it, on a free port and without any rights."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from tests.brokers.daemon import Daemon
from tests.brokers.ports import listens
from tests.brokers.require import missing
from tests.brokers.wait import wait_until


def recipe() -> str:
    """The recipe of docs/web-hosting.md."""
    page = (Path(__file__).parents[2] / "docs" / "web-hosting.md").read_text()
    block = page.partition("<!-- begin: nginx -->")[2].partition("<!-- end -->")[0]
    return block.partition("```nginx\n")[2].partition("```")[0]


_WHOLE = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{server}
}}
"""


@contextmanager
def nginx(folder: Path, port: int, behind: int, ca: trustme.CA, *, location: str = "/") -> Iterator[Daemon]:
    """Runs nginx by the recipe, with its ports, files and maybe its path replaced.

    Arguments:
        folder: an empty one.
        port: to listen on, by TLS.
        behind: the port of `kchat serve`.
        ca: signs its certificate, for ``localhost``.
        location: the path of the page, with a slash at both ends.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        missing("nginx is not installed: the recipe of docs/web-hosting.md is tried with it")
    made = ca.issue_cert("localhost")
    (folder / "cert.pem").write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
    (folder / "key.pem").write_bytes(made.private_key_pem.bytes())
    server = (
        recipe()
        .replace("listen 443", f"listen 127.0.0.1:{port}")
        .replace("chat.example.org;", "localhost;", 1)
    )
    server = re.sub(r"/etc/\S+fullchain.pem", f"{folder}/cert.pem", server)
    server = re.sub(r"/etc/\S+privkey.pem", f"{folder}/key.pem", server)
    if location != "/":  # the slash after the port takes the path away
        server = server.replace("location / {", f"location {location} {{").replace(":8765;", ":8765/;")
    server = server.replace(":8765", f":{behind}")
    config = folder / "nginx.conf"
    config.write_text(_WHOLE.format(folder=folder, server=server))
    running = Daemon(
        [program, "-e", f"{folder}/error.log", "-p", str(folder), "-c", str(config)], folder / "nginx.log"
    )
    running.start()
    try:
        wait_until(lambda: listens("127.0.0.1", port), 20, (folder / "nginx.log").read_text)
        yield running
    finally:
        running.kill()
