"""The recipe for nginx in docs/web-hosting.md, run by Debian's nginx."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from kchat.web.options import ServeOptions
from tests.brokers.ports import free_port
from tests.brokers.wait import wait_until
from tests.web.nginx import nginx
from tests.web.serving import secret_of, serve_thread


@pytest.mark.parametrize("prefix", ["", "/tea"])
def test_a_page_behind_nginx_gets_events_at_once_and_resumes(
    prefix: str, local_url: str, tmp_path: Path
) -> None:
    ca, port = trustme.CA(), free_port()
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    origin = f"https://localhost:{port}"
    base = origin + prefix
    options = ServeOptions([], public_url=base, behind_proxy=True)
    folder = tmp_path / "nginx"
    folder.mkdir()
    with serve_thread(local_url, tmp_path / "web.db", options=options) as served:
        behind = served.server._options.port
        with (
            nginx(folder, port, behind, ca, location=f"{prefix}/"),
            httpx.Client(
                base_url=base,
                verify=trusting,
                headers={"Origin": origin, "X-Forwarded-For": "192.0.2.7"},
                timeout=30,
            ) as page,
        ):
            assert served.link.startswith(f"{base}/#")
            entered = page.post("api/session", json={"secret": secret_of(served.link)})
            assert entered.status_code == 200
            assert f"Path={prefix}/" in entered.headers["set-cookie"]
            assert "Secure" in entered.headers["set-cookie"]
            assert page.get("", follow_redirects=True).headers["content-security-policy"]
            assert page.get("page.js").status_code == 200

            def send(text: str) -> str:
                sent = page.post("api/rooms/chat/messages", json={"text": text})
                assert sent.status_code == 200, sent.text
                return str(sent.json()["id"])

            last = ""
            with page.stream("GET", "api/events") as events:
                lines = events.iter_lines()
                assert any(line == "event: live" for line in lines)
                first = send("one")  # comes while the stream is open: nginx does not gather events
                for line in lines:
                    last = line.removeprefix("id: ") if line.startswith("id: ") else last
                    if first in line:
                        break
            second = send("two")
            with page.stream("GET", "api/events", headers={"Last-Event-ID": last}) as events:
                came = []
                for line in events.iter_lines():
                    came.append(line)
                    if line == "event: live":
                        break
            told = "\n".join(came)
            assert second in told
            assert first not in told

            big = page.post("api/rooms/chat/messages", json={"text": "x" * 20_000})
            assert big.status_code == 413
            evil = page.post(
                "api/rooms/chat/messages", json={"text": "x"}, headers={"Origin": "https://evil.example"}
            )
            assert evil.status_code == 403
            # By the recipe, nginx says who has connected, and what a guest says itself is dropped.
            wait_until(lambda: bool(served.log), 10, "the log")
            assert {line.rpartition(" ")[2] for line in served.log} == {"127.0.0.1"}
