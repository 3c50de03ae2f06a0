"""docs/web.md can be walked with a browser's requests, and what docs/web-hosting.md has to be copied is right."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from kchat.web.options import Limits
from tests.brokers.ports import free_port
from tests.docs.examples import ROOT
from tests.docs.test_command_lines import parse
from tests.docs.walk import Part, Walk

PAGE, HOSTING = "docs/web.md", "docs/web-hosting.md"


class WalkWithABrowser(Walk):
    """A walk in which somebody opens links. Three more comments: ``opens`` the last link, ``writes TEXT``, ``shut out``.

    A link of the page's example domain is not opened: no name leads to this machine.
    """

    client: httpx.Client | None = None
    opened = 0
    shut_out = 0

    def _heed(self, part: Part) -> None:
        word, _, rest = part.text.partition(" ")
        if word == "opens":
            link = self._last_word("http://127.0.0.1:")
            self.client = self.enter(link)
            self.opened += 1
        elif word == "writes":
            assert self.client is not None
            answer = self.client.post("/api/rooms/chat/messages", json={"text": rest})
            assert answer.status_code == 200, answer.text
        elif word == "shut":
            assert self.client is not None
            answer = self.client.get("/api/session")
            assert answer.status_code == 401, answer.text
            self.shut_out += 1
        else:
            super()._heed(part)

    def enter(self, link: str) -> httpx.Client:
        """What the page does with a link."""
        parts = urlsplit(link)
        base = f"{parts.scheme}://{parts.netloc}"
        client = httpx.Client(base_url=base, headers={"Origin": base}, trust_env=False, timeout=60)
        answer = client.post("/api/session", json={"secret": parts.fragment})
        assert answer.status_code in (200, 201), answer.text
        return client

    def close(self) -> None:
        """End all terminals, and the browser."""
        if self.client is not None:
            self.client.close()
        super().close()


def test_the_page_about_browsers_can_be_walked(walk: Walk) -> None:
    """``walk`` has RabbitMQ for the second half of the page."""
    port = str(free_port())
    environment = {**walk._environment, "KCHAT_SERVE_PORT": port}
    here = WalkWithABrowser(walk._folder / "web", walk._tmux, environment, walk._instead, walk._publish)
    (walk._folder / "web").mkdir()
    shutil.copytree(walk.checkout, here.checkout, symlinks=True)
    try:
        here.go(PAGE)
    finally:
        here.close()
    assert (here.opened, here.shut_out) == (1, 1)
    assert all(each.endswith(("it installs packages", "a file of the proxy's")) for each in here.left_out)


def block(page: str, name: str) -> str:
    """A block between ``begin: NAME`` and ``end``."""
    text = (ROOT / page).read_text("utf-8")
    found = re.search(
        rf"<!-- begin: {name} -->\n```\w+\n(.*?)^```\n<!-- end -->", text, re.DOTALL | re.MULTILINE
    )
    assert found is not None, name
    return found[1]


def test_the_unit_starts_a_command_that_kchat_takes() -> None:
    unit = block(HOSTING, "unit")
    (line,) = re.findall(r"^ExecStart=\S+/kchat (.*)$", unit, re.MULTILINE)
    parse(shlex.split(line))
    variables = re.findall(r"^Environment=(\w+)=", unit, re.MULTILINE)
    assert variables == ["KCHAT_WEB_STORE"]


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    file = tmp_path / "kchat-web.service"
    file.write_text(block(HOSTING, "unit").replace("/opt/kchat/bin/kchat", "/bin/true"))
    done = subprocess.run(
        [program, "verify", "--man=no", file], check=False, capture_output=True, text=True, timeout=60
    )
    assert "kchat-web.service" not in done.stderr, done.stderr


def test_caddy_takes_the_caddyfile(tmp_path: Path) -> None:
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("caddy is not installed")
    file = tmp_path / "Caddyfile"
    file.write_text(block(PAGE, "Caddyfile"))
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    words = [program, "adapt", "--adapter", "caddyfile", "--config", str(file)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1:8765" in done.stdout


def test_the_table_of_limits_has_the_defaults() -> None:
    table = (
        (ROOT / HOSTING)
        .read_text("utf-8")
        .partition("<!-- begin: limits -->")[2]
        .partition("<!-- end -->")[0]
    )
    limits = Limits()
    for told in (
        f"{limits.message_bytes // 1024} KiB of text",
        f"{limits.messages_per_second:g} a second, {limits.burst} at once",
        f"| {limits.streams_per_guest} |",
        f"| {limits.streams_per_address};",
        f"| {limits.streams:,} |",
        f"{limits.waiting_bytes // 1024**2} MiB, then",
        f"{limits.kept:,}, up to {limits.kept_bytes // 1024**2} MiB",
    ):
        assert told in table, told
