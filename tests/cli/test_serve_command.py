"""`kchat serve` as a command: what it prints, how it ends, and what it refuses."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.web.serving import ServeProcess, guest_browser, serve_process


def test_the_link_alone_is_on_standard_output(commands: Commands, local_url: str) -> None:
    with serve_process(commands, local_url) as served:
        assert served.process.stdout == f"{served.link}\n"
        served.process.wait_for("open")
        assert served.link.partition("#")[2] not in served.process.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_tells_the_pages_and_ends_with_0(commands: Commands, local_url: str, number: int) -> None:
    with (
        serve_process(commands, local_url) as served,
        guest_browser(served) as page,
        page.stream("GET", "api/events") as events,
    ):
        lines = events.iter_lines()
        assert any(line == "event: live" for line in lines)
        served.process.signal(number)
        assert any(line == "event: closing" for line in lines)
        assert served.process.wait() == 0
        assert "Traceback" not in served.process.stderr


def test_a_second_interrupt_ends_it_at_once(commands: Commands, local_url: str) -> None:
    with serve_process(commands, local_url) as served, guest_browser(served) as page:
        head = f"POST /api/session HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nOrigin: {served.base}\r\n"
        head += "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
        with socket.create_connection(("127.0.0.1", served.port), 20) as slow:
            slow.sendall(head.encode())
            assert page.get("healthz").status_code == 200
            served.process.interrupt()
            wait_until(lambda: not _listens(served.port), 10, "the first interrupt to be taken")
            served.process.interrupt()
            assert served.process.wait() == 0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_what_cannot_be_served_is_refused_in_two_lines(
    commands: Commands, local_url: str, tmp_path: Path
) -> None:
    cert = tmp_path / "none.pem"
    cases: list[tuple[list[str], int, str]] = [
        (["--host", "0.0.0.0"], 2, "no TLS"),
        (["--host", "::"], 2, "no TLS"),
        (["--behind-proxy"], 2, "--public-url"),
        (["--public-url", "ftp://ada:secret@x"], 2, "--public-url"),
        (["--public-url", "http://chat.example.org"], 2, "no TLS"),
        (["--tls-cert", str(cert)], 2, "belong together"),
        (["--tls-cert", str(cert), "--tls-key", str(cert)], 2, "cannot be read"),
        (["--host", "192.0.2.1", "--behind-proxy", "--public-url", "https://x.example"], 1, "cannot listen"),
        (["--port", "70000"], 2, "70,000"),
    ]
    wrong = []
    for arguments, code, text in cases:
        done = commands.run_kchat("serve", "--url", local_url, *arguments)
        lines = done.stderr.splitlines()
        if (
            done.code != code
            or text not in done.stderr
            or len(lines) > 2
            or done.stdout
            or "secret" in done.stderr
        ):
            wrong.append((arguments, done))
    assert not wrong


def test_a_port_in_use_is_said(commands: Commands, local_url: str) -> None:
    with serve_process(commands, local_url) as served:
        second = commands.run_kchat("serve", "--url", local_url, "--port", str(served.port))
        assert second.code == 1
        assert f"127.0.0.1:{served.port}: address already in use" in second.stderr
        assert httpx.get(f"{served.base}/healthz", timeout=60).status_code == 200


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may use any port")
def test_a_reserved_port_is_said(commands: Commands, local_url: str) -> None:
    done = commands.run_kchat("serve", "--url", local_url, "--port", "80")
    assert done.code == 1
    assert "permission denied" in done.stderr


def test_a_broker_that_is_away_fails_at_once_and_wait_retries(commands: Commands) -> None:
    away = f"amqp://ada:hidden@127.0.0.1:{free_port()}/"
    done = commands.run_kchat("serve", "--url", away, "--port", str(free_port()))
    assert done.code == 1
    assert done.stdout == ""
    assert "hidden" not in done.stderr
    served = ServeProcess(commands, away, "--wait")
    for number in (signal.SIGINT, signal.SIGTERM):
        process = served.launch()
        process.wait_for("no answer yet")
        process.signal(number)
        assert process.wait() == 130
        assert "Traceback" not in process.stderr


def test_health_says_whether_the_broker_is_there_and_nothing_else(
    commands: Commands, own_rabbitmq: RabbitMQ
) -> None:
    with serve_process(commands, own_rabbitmq.url) as served:
        url = f"{served.base}/healthz"
        well = httpx.get(url, timeout=60)
        assert (well.status_code, well.json()) == (200, {"status": "ok"})
        own_rabbitmq.kill()
        wait_until(lambda: httpx.get(url, timeout=60).status_code == 503, 30, "that the broker is away")
        assert httpx.get(url, timeout=60).json() == {"status": "unavailable"}
        own_rabbitmq.start()
        wait_until(lambda: httpx.get(url, timeout=60).status_code == 200, 60, "that the broker is back")


def test_a_full_or_closed_standard_error_changes_nothing(commands: Commands, local_url: str) -> None:
    for redirect in ("2>/dev/full", "2>&-"):
        port = free_port()
        line = f'exec "$0" -m kchat serve -v --url {local_url} --port {port} {redirect}'
        process = commands.start(["sh", "-c", line, commands.interpreter])
        link = process.read_line(30)
        assert httpx.get(f"{link.partition('/#')[0]}/healthz", timeout=60).status_code == 200
        process.terminate()
        assert process.wait() == 0


def test_a_closed_standard_output_hides_the_link_and_the_room_is_open(
    commands: Commands, local_url: str
) -> None:
    port = free_port()
    line = f'exec "$0" -m kchat serve --url {local_url} --port {port} >&-'
    process = commands.start(["sh", "-c", line, commands.interpreter])
    process.wait_for("the room is open; standard output is closed")
    wait_until(lambda: httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=60).status_code == 200)
    process.terminate()
    assert process.wait() == 0


def test_verbose_prints_a_line_about_each_request(commands: Commands, local_url: str) -> None:
    with serve_process(commands, local_url, "--verbose") as served:
        httpx.get(f"{served.base}/healthz?secret=q1", timeout=60)
        told = served.process.wait_for("127.0.0.1\n")
        assert "GET /healthz " in told
        assert "q1" not in told
