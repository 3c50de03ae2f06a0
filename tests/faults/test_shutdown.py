"""Ending at any moment: within two seconds, without a traceback, with the truth told about what was done."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import IO

import pytest

from kchat import Sender, Settings, Subscriber
from tests.brokers.processes import Commands, Process
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import soon, wait_until
from tests.faults.parts import Listening

Measured = Callable[..., None]

SECONDS = 2.0
"""How long an end may take."""

ENDS = [Process.interrupt, Process.terminate]


@pytest.fixture
def link(proxy_to: Callable[[int], Proxy], rabbitmq: RabbitMQ) -> Proxy:
    return proxy_to(rabbitmq.port)


@pytest.fixture
def url(rabbitmq: RabbitMQ, vhost: str, link: Proxy) -> str:
    return rabbitmq.url_for(vhost, host=link.host, port=link.port)


def ends(process: Process, how: Callable[[Process], None], code: int, seconds: float = SECONDS) -> float:
    """Ends a process, checks that it does so well, and returns how long that took."""
    began = monotonic()
    how(process)
    assert process.wait(seconds) == code, process.stderr
    assert "Traceback" not in process.stderr
    assert "Exception" not in process.stderr
    return monotonic() - began


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("command", [["subscribe"], ["send", "hello"]], ids=" ".join)
def test_while_connecting(
    commands: Commands,
    link: Proxy,
    url: str,
    command: list[str],
    end: Callable[[Process], None],
    measured: Measured,
) -> None:
    link.black_hole()
    process = commands.kchat(*command, "--url", url, "--connect-timeout", "60")
    link.wait_for_connections(1)
    took = ends(process, end, 0 if command == ["subscribe"] else 130)
    measured(f"{end.__name__} while connecting", f"kchat {command[0]}", noticed=took)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("mode", ["plain"])
def test_a_subscriber_that_is_reconnecting(
    commands: Commands, link: Proxy, url: str, mode: str, end: Callable[[Process], None], measured: Measured
) -> None:
    process = commands.kchat("subscribe", "--url", url, "--mode", mode, "--connect-timeout", "60")
    process.wait_for("listening")
    link.cut()
    link.black_hole()
    process.wait_for("connection lost")
    link.wait_for_connections(1)
    took = ends(process, end, 0)
    measured(f"{end.__name__} while reconnecting", f"kchat subscribe --mode {mode}", noticed=took)


@pytest.mark.parametrize("end", ENDS)
def test_a_subscriber_on_a_silent_link(
    commands: Commands, link: Proxy, url: str, end: Callable[[Process], None], measured: Measured
) -> None:
    process = commands.kchat("subscribe", "--url", url)
    process.wait_for("listening")
    link.black_hole()
    took = ends(process, end, 0)
    measured(f"{end.__name__} on a silent link", "kchat subscribe", noticed=took)


def start_unread(commands: Commands, *arguments: str) -> subprocess.Popen[bytes]:
    """A command whose output nobody reads."""
    words = [sys.executable, "-m", "kchat", *arguments]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=commands.environment, cwd=commands.home
    )


def waiting(pipe: IO[bytes]) -> int:
    """How many bytes wait in a pipe to be read."""
    answer = fcntl.ioctl(pipe.fileno(), termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(answer, sys.byteorder)


@pytest.mark.parametrize(("mode", "number"), [("plain", signal.SIGINT), ("json", signal.SIGTERM)])
def test_a_subscriber_that_is_stuck_in_a_full_pipe_leaves_what_was_not_shown_to_the_broker(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, mode: str, number: int, measured: Measured
) -> None:
    url = rabbitmq.url_for(vhost)
    settings = Settings.resolve(url=url)
    process = start_unread(commands, "subscribe", "--url", url, "--durable", "archive", "--mode", mode)
    try:
        assert process.stderr is not None
        assert process.stdout is not None
        unread = process.stdout
        assert b"listening" in process.stderr.readline()
        sent = [f"{index} {'x' * 200}" for index in range(2000)]
        with Sender(settings, "ada") as sender:
            list(sender.send_many(sent))
        looks: deque[int] = deque(maxlen=10)

        def full() -> bool:
            looks.append(waiting(unread))
            return len(looks) == looks.maxlen and min(looks) == max(looks) > 0

        wait_until(full, 15, "a pipe that fills up no more")
        began = monotonic()
        process.send_signal(number)
        assert process.wait(soon(SECONDS)) == 0
        took = monotonic() - began
        told = process.stderr.read()
        assert b"Traceback" not in told
        shown = process.stdout.read().decode()
    finally:
        process.kill()
        process.communicate()
    with Listening(settings, durable="archive") as listening:
        listening.wait_for_text(sent[-1], 20)
    missing = [text for text in sent if text not in listening.texts and text not in shown]
    assert missing == []
    measured(
        f"{signal.Signals(number).name} in a full pipe",
        f"kchat subscribe --mode {mode}",
        noticed=took,
        lost=len(missing),
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_live_table_gives_the_terminal_back(
    commands: Commands, link: Proxy, url: str, number: int, measured: Measured
) -> None:
    controller, terminal = pty.openpty()
    words = [
        sys.executable,
        "-m",
        "kchat",
        "subscribe",
        "--url",
        url,
        "--mode",
        "rich",
        "--connect-timeout",
        "60",
    ]
    before = termios.tcgetattr(terminal)
    process = subprocess.Popen(
        words,
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        env={**commands.environment, "TERM": "xterm"},
        cwd=commands.home,
    )
    screen = bytearray()

    def shows(word: bytes) -> bool:
        while select.select([controller], [], [], 0)[0]:
            screen.extend(os.read(controller, 65536))
        return word in screen

    try:
        wait_until(lambda: shows(b"Username"), 15, lambda: f"the table, but {bytes(screen)!r}")
        link.cut()
        link.black_hole()
        wait_until(lambda: shows(b"connection lost"), 15, lambda: f"the loss, but {bytes(screen)!r}")
        began = monotonic()
        process.send_signal(number)
        # The terminal's buffer is small: somebody has to read.
        wait_until(lambda: shows(b"nothing like this") or process.poll() is not None, SECONDS, "its end")
        took = monotonic() - began
        shows(b"")
        assert process.returncode == 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
        assert screen.rindex(b"\x1b[?25h") > screen.rindex(b"\x1b[?25l"), "the cursor is still hidden"
        assert termios.tcgetattr(terminal) == before
    finally:
        process.kill()
        process.communicate()
        os.close(controller)
        os.close(terminal)
    measured(
        f"{signal.Signals(number).name} while reconnecting",
        "kchat subscribe --mode rich, terminal",
        noticed=took,
    )


def test_a_second_ctrl_c_does_not_wait(commands: Commands, url: str) -> None:
    process = start_unread(commands, "subscribe", "--url", url)
    try:
        assert process.stderr is not None
        assert b"listening" in process.stderr.readline()
        stuffing = "\n".join(["y" * 2000] * 500)
        assert commands.run_kchat("send", "--url", url, "-", stdin=stuffing).code == 0
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(soon(SECONDS)) in (0, 130)
        assert b"Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def test_a_reader_that_has_had_enough_ends_a_subscriber(
    commands: Commands, url: str, measured: Measured
) -> None:
    line = f'"{sys.executable}" -m kchat subscribe --url "{url}" | head -3'
    pipe = commands.start(["bash", "-c", f"set -o pipefail; {line}"])
    pipe.wait_for("listening")
    assert commands.run_kchat("send", "--url", url, "-", stdin="1\n2\n3\n4\n5\n").code == 0
    began = monotonic()
    assert pipe.wait(SECONDS) == 0
    took = monotonic() - began
    assert len(pipe.lines) == 3
    assert "Traceback" not in pipe.stderr
    measured("reader of the pipe gone", "kchat subscribe | head -3", noticed=took)


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_that_is_interrupted_counts_what_is_confirmed(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, end: Callable[[Process], None], measured: Measured
) -> None:
    url = rabbitmq.url_for(vhost)
    with Listening(Settings.resolve(url=url)) as listening:
        process = commands.kchat("send", "--url", url, "-", stdin=True)
        process.write("".join(f"{index}\n" for index in range(300)))
        listening.wait_for_count(300, 15)
        process.write("half a line")
        took = ends(process, end, 130)
    (told,) = re.findall(r"^([\d,]+) sent to", process.stderr, re.MULTILINE)
    assert told == "300"
    assert "not confirmed" not in process.stderr
    measured(f"{end.__name__} in mid-stream", "kchat send -", noticed=took, lost=0)


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_that_is_interrupted_on_a_silent_link_says_what_is_not_known(
    commands: Commands, link: Proxy, url: str, end: Callable[[Process], None], measured: Measured
) -> None:
    with Listening(Settings.resolve(url=url)) as listening:
        process = commands.kchat("send", "--url", url, "-", stdin=True)
        process.write("".join(f"{index}\n" for index in range(300)))
        listening.wait_for_count(300, 15)
        link.black_hole()
        process.write("never\nnever\n")
        began = monotonic()
        # Nothing shows that the lines were taken, except that they come back as not confirmed.
        took = ends(process, end, 130)
        assert monotonic() - began < soon(SECONDS)
        link.restore()
    # What has arrived need not be confirmed yet, and the link may have held the last confirmations back.
    found = re.search(r"^(\d+) sent to [^,]*(?:, (\d+) not confirmed)?", process.stderr, re.MULTILINE)
    assert found
    sent, unknown = int(found[1]), int(found[2] or 0)
    assert sent <= 300 <= sent + unknown <= 302
    measured(f"{end.__name__} on a silent link", "kchat send -", noticed=took)


def test_an_interrupted_send_says_that_the_message_may_have_been_delivered(
    commands: Commands, link: Proxy, url: str, rabbitmq: RabbitMQ, vhost: str, measured: Measured
) -> None:
    with Listening(Settings.resolve(url=rabbitmq.url_for(vhost))) as listening:
        process = commands.kchat("send", "--url", url, "-", stdin=True)
        process.write("first\n")
        listening.wait_for_text("first", 15)
        link.black_hole("to_client")
        process.write("second\n")
        listening.wait_for_text("second", 15)
        took = ends(process, Process.interrupt, 130)
    # The first one's confirmation comes a moment after the message itself: it may be among what is held back.
    found = re.search(
        r"^(\d) sent to .*, (\d) not confirmed, which may or may not have been delivered",
        process.stderr,
        re.MULTILINE,
    )
    assert found
    assert found.groups() in {("1", "1"), ("0", "2")}
    measured("interrupt before the confirm", "kchat send -", noticed=took, note="1 sent, 1 not confirmed")


def test_unacknowledged_messages_stay_with_the_broker(rabbitmq: RabbitMQ, vhost: str) -> None:
    settings = Settings.resolve(url=rabbitmq.url_for(vhost))
    with Subscriber(settings, "bob", durable="archive") as subscriber, Sender(settings, "ada") as sender:
        sender.send("shown to nobody")
        assert len(subscriber.receive(timeout=30)) == 1
        subscriber.close()
        subscriber.open()
        assert [each.text for each in subscriber.receive(timeout=30)] == ["shown to nobody"]


@pytest.mark.parametrize("step", range(12))
def test_ctrl_c_while_a_command_loads_leaves_no_traceback(commands: Commands, url: str, step: int) -> None:
    """At twelve moments between the first line of ours that runs and the first word that is said."""
    # Python's own start is not ours to guard.
    script = (
        "import os, signal, sys, threading\n"
        "from kchat.__main__ import run\n"
        f"sys.argv = ['kchat', 'subscribe', '--url', {url!r}]\n"
        "def interrupt(): os.kill(os.getpid(), signal.SIGINT)\n"
        f"timer = threading.Timer({step} * 0.02 + 0.001, interrupt)\n"
        # The clock starts with what run() loads first: what comes before is this script's own.
        "def heard(event, what):\n"
        "    if event == 'import' and what[0] == 'kchat.cli' and not timer.ident: timer.start()\n"
        "sys.addaudithook(heard)\n"
        "run()\n"
    )
    process = commands.python(script)
    assert process.wait(5) in (0, 130)
    assert "Traceback" not in process.stderr


def test_ctrl_c_in_the_middle_of_an_import_ends_a_command_without_a_word(commands: Commands) -> None:
    """Python loses what is raised in a callback, and stumbles over the half package that an interrupt leaves behind."""
    for module in ("click", "kombu.connection", "asyncio.streams", "redis.client"):
        for interrupt in ("end()", "finalize(Mortal(), end)"):
            script = (
                "import os, signal, sys\n"
                "from weakref import finalize\n"
                "from kchat.__main__ import run\n"
                "sys.argv = ['kchat', 'send', '--url', 'redis://localhost:1/', 'hello']\n"
                "class Mortal: pass\n"
                "def end(): os.kill(os.getpid(), signal.SIGINT)\n"
                "def heard(event, what):\n"
                f"    if event == 'import' and what[0] == {module!r}: {interrupt}\n"
                "sys.addaudithook(heard)\n"
                "run()\n"
            )
            process = commands.python(script)
            assert (module, process.wait(5), process.stderr.strip()) == (module, 130, "")
