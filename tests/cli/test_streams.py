"""What a command does when the other end of its standard streams is gone, full, or never was there."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from tests.brokers.ports import free_port
from tests.brokers.processes import Commands
from tests.brokers.wait import wait_until

KCHAT = [sys.executable, "-m", "kchat"]
TIMEOUT = 60.0


def _pipe(stack: ExitStack, *, full: bool, reader: bool, blocking: bool = True) -> int:
    reading, writing = os.pipe()
    if full:
        os.set_blocking(writing, False)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, blocking)
    if reader:
        stack.callback(os.close, reading)
    else:
        os.close(reading)
    stack.callback(os.close, writing)
    return writing


def _terminal_gone(stack: ExitStack) -> int:
    ours, theirs = pty.openpty()
    os.close(ours)
    stack.callback(os.close, theirs)
    return theirs


def _full_disk(stack: ExitStack) -> int:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    stack.callback(os.close, descriptor)
    return descriptor


BAD: dict[str, Callable[[ExitStack], int | None]] = {
    "nobody reads it": lambda stack: _pipe(stack, full=False, reader=False),
    "its pipe is full": lambda stack: _pipe(stack, full=True, reader=True),
    "its pipe is full, and does not block": lambda stack: _pipe(
        stack, full=True, reader=True, blocking=False
    ),
    "its disk is full": _full_disk,
    "its terminal is gone": _terminal_gone,
    "it is closed": lambda _stack: None,
}


@contextmanager
def standard_error(kind: str) -> Iterator[dict[str, Any]]:
    """What to give to ``subprocess.Popen`` for a standard error of that kind."""
    with ExitStack() as stack:
        descriptor = BAD[kind](stack)
        if descriptor is None:
            yield {"preexec_fn": lambda: os.close(2)}
        else:
            yield {"stderr": descriptor}


def run(commands: Commands, *words: str, stdin: bytes = b"", **more: Any) -> tuple[int, bytes]:
    """Runs a command to its end; returns its code and what it wrote on standard output."""
    done = subprocess.run(
        [*KCHAT, *words],
        input=stdin,
        stdout=subprocess.PIPE,
        env=commands.environment,
        cwd=commands.home,
        timeout=TIMEOUT,
        check=False,
        **more,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("kind", BAD)
def test_standard_error_changes_neither_what_is_sent_nor_the_code(
    commands: Commands, local_url: str, kind: str
) -> None:
    closed = ["--host", "127.0.0.1", "--port", str(free_port())]
    # The second of the three is refused, and that is said in the middle of the stream.
    stream = b"one\n" + b"x" * 2000 + b"\nthree\n"
    with standard_error(kind) as given:
        assert run(commands, "send", "--url", local_url, "zero", **given)[0] == 0
        sent = run(
            commands, "send", "--url", f"{local_url}?max_message_bytes=1000", "-", stdin=stream, **given
        )
        assert sent[0] == 1
        assert run(commands, "send", *closed, "hi", **given)[0] == 1
        read = ["subscribe", "--url", local_url, "--last", "9", "--limit", "9", "--idle-timeout", "0.2"]
        code, said = run(commands, *read, **given)
    assert code == 3
    assert said.count(b"\n") == 3


def test_no_command_minds_what_becomes_of_standard_error(commands: Commands, local_url: str) -> None:
    closed = ["--host", "127.0.0.1", "--port", str(free_port())]
    expected = {
        ("subscribe", *closed): 1,
        ("doctor", *closed): 1,
        ("invite", "ada", *closed, "--rmq-username", "rmq", "--rmq-password", "x"): 1,
        ("doctor", "--url", local_url): 0,
        ("bench", "--url", local_url, "--messages", "10"): 0,
        ("send", "--nosuch"): 2,
        ("profile", "show", "nosuch"): 2,
    }
    with standard_error("its disk is full") as given:
        found = {words: run(commands, *words, **given)[0] for words in expected}
    assert found == expected


def test_a_subscriber_goes_on_when_standard_error_goes_away(commands: Commands, local_url: str) -> None:
    reading, writing = os.pipe()
    words = ["subscribe", "--url", local_url, "--limit", "1"]
    with started(commands, *words, stdout=subprocess.PIPE, stderr=writing) as process:
        os.close(writing)
        assert b"listening" in os.read(reading, 4096)
        os.close(reading)
        assert commands.run_kchat("send", "--url", local_url, "hello").code == 0
        said, _ = process.communicate(timeout=TIMEOUT)
    assert b"hello" in said
    assert process.returncode == 0


def test_a_file_that_is_opened_next_never_becomes_standard_error(commands: Commands, local_url: str) -> None:
    assert commands.run_kchat("send", "--url", local_url, "first").code == 0
    for closed in ((2,), (1, 2), (0, 1, 2)):
        code, _ = run(
            commands,
            "send",
            "--url",
            local_url,
            "hello",
            preexec_fn=lambda closed=closed: os.closerange(closed[0], closed[-1] + 1),
        )
        assert code == 0, closed
    result = commands.run_kchat("subscribe", "-q", "--url", local_url, "--last", "9", "--limit", "4")
    assert result.code == 0
    assert result.stdout.count("hello") == 3


def _pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def _tcp() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        return ours, server.accept()[0]


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@contextmanager
def started(commands: Commands, *words: str, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A command with a pipe for standard error, ended afterwards."""
    more = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **more}
    with subprocess.Popen([*KCHAT, *words], env=commands.environment, **more) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def subscriber_into(commands: Commands, url: str, out: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    """A subscriber that writes there, when it listens."""
    with started(commands, "subscribe", "--url", url, stdout=out) as process:
        out.close()
        assert process.stderr is not None
        assert b"listening" in process.stderr.readline()
        yield process


@pytest.mark.parametrize(
    ("make", "leave"),
    [
        (_pair, socket.socket.close),
        (_pair, lambda sock: sock.shutdown(socket.SHUT_RD)),
        (_pair, lambda sock: sock.shutdown(socket.SHUT_RDWR)),
        (_tcp, socket.socket.close),
        (_tcp, _reset),
    ],
    ids=["closed", "reads no more", "shut down", "TCP, closed", "TCP, reset"],
)
def test_a_subscriber_ends_when_the_reader_of_its_socket_is_gone(
    commands: Commands,
    local_url: str,
    make: Callable[[], tuple[socket.socket, socket.socket]],
    leave: Callable[[socket.socket], None],
) -> None:
    ours, theirs = make()
    with ours, subscriber_into(commands, local_url, theirs) as process:
        leave(ours)
        assert process.wait(TIMEOUT) == 0


def test_a_reader_that_sends_nothing_more_is_still_there(commands: Commands, local_url: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, subscriber_into(commands, local_url, theirs) as process:
        # As sshd does at the end of its client's input, and systemd with the socket of its journal.
        ours.shutdown(socket.SHUT_WR)
        assert commands.run_kchat("send", "--url", local_url, "hello").code == 0
        ours.settimeout(TIMEOUT)
        assert b"hello" in ours.recv(4096)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0


def test_an_input_that_breaks_off_is_said_to_be_that(commands: Commands, local_url: str) -> None:
    ours, theirs = _tcp()
    read = ["subscribe", "-q", "--url", local_url, "--last", "9", "--idle-timeout", "0.1"]
    with theirs, started(commands, "send", "--url", local_url, "-", stdin=theirs) as process:
        theirs.close()
        ours.sendall(b"one\ntwo\nhal")
        wait_until(lambda: "two" in commands.run_kchat(*read).stdout, TIMEOUT)
        _reset(ours)
        _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert b"2 sent to" in said
    assert b"standard input cannot be read: Connection reset by peer; half a line was not sent" in said
    assert b"output" not in said


def test_an_input_that_can_only_be_written_to_is_said_to_be_that(commands: Commands, local_url: str) -> None:
    # What nohup gives instead of a terminal.
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        done = subprocess.run(
            [*KCHAT, "send", "--url", local_url, "-"],
            stdin=descriptor,
            stderr=subprocess.PIPE,
            env=commands.environment,
            timeout=TIMEOUT,
            check=False,
        )
    finally:
        os.close(descriptor)
    assert done.returncode == 1
    assert f"standard input cannot be read: {os.strerror(errno.EBADF)}".encode() in done.stderr


def test_a_script_can_tell_whether_enough_messages_came(commands: Commands, local_url: str) -> None:
    for text in ("one", "two"):
        assert commands.run_kchat("send", "--url", local_url, text).code == 0
    read = ["subscribe", "-q", "--url", local_url]
    codes = {
        "nothing came": ([*read, "--limit", "1", "--idle-timeout", "0.1"], 3),
        "two of three came": ([*read, "--last", "9", "--limit", "3", "--idle-timeout", "0.3"], 3),
        "all came": ([*read, "--last", "9", "--limit", "2", "--idle-timeout", "5"], 0),
        "nobody asked for any number": ([*read, "--last", "9", "--idle-timeout", "0.1"], 0),
    }
    found = {name: commands.run_kchat(*words).code for name, (words, _) in codes.items()}
    assert found == {name: code for name, (_, code) in codes.items()}
    stopped = commands.kchat("subscribe", "--url", local_url, "--limit", "1")
    stopped.wait_for("listening")
    stopped.terminate()
    assert stopped.wait() == 0


def test_no_command_dies_of_a_terminals_encoding(commands: Commands, local_url: str) -> None:
    for encoding in ("latin-1", "ascii"):
        env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        for words in (
            ["send", "--url", local_url, "--room", "☃", "--username", "☃", "☃"],
            ["doctor", "--url", local_url, "--room", "☃"],
            ["bench", "--url", local_url, "--messages", "20"],
            ["transports"],
            ["subscribe", "--url", local_url, "--room", "☃", "--last", "1", "--limit", "1"],
        ):
            result = commands.run_kchat(*words, env=env)
            assert result.code == 0, (encoding, words, result)
            assert "Traceback" not in result.stderr


WITHOUT = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from kchat.__main__ import run
run()
"""


def test_a_python_without_a_part_of_itself_is_said_in_a_line(
    commands: Commands, local_url: str, amqp_url: str, room: str
) -> None:
    def without(module: str, *words: str) -> tuple[int, str, str]:
        process = commands.python(WITHOUT, module, *words)
        return process.wait(), process.stdout, process.stderr

    for module, words in (
        ("_sqlite3", ["send", "--url", local_url, "hi"]),
        ("_sqlite3", ["doctor", "--url", local_url]),
        ("_ssl", ["send", "--url", amqp_url, "--room", room, "hi"]),
    ):
        code, _, said = without(module, *words)
        assert code == 2, said
        assert f"this Python was built without its module {module}" in said
        assert len(said.splitlines()) == 2
    assert without("_sqlite3", "send", "--url", amqp_url, "--room", room, "hi")[0] == 0
    assert "no: this Python lacks _sqlite3" in without("_sqlite3", "transports")[1]
    assert without("_ctypes", "send", "--url", local_url, "hi")[0] == 0
    assert without("_ctypes", "subscribe", "--url", local_url, "--idle-timeout", "1.5")[0] == 0
