"""Hostile servers: no traceback, no hang, no memory, whatever answers at the port.

The corpora are in ``amqp_servers``, ``redis_servers`` and ``http_servers``; all of them are run against the library, and a
sample against commands, whose memory is looked at. ``KCHAT_TEST_HOSTILE=all`` runs all of them against commands.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from kchat import KchatError, Sender, Settings, Subscriber
from kchat import doctor as doctor_walk
from kchat.doctor import round_trip
from kchat.transports.amqp import policies
from kchat.transports.amqp.accounts import Accounts
from kchat.transports.amqp.guests import Guests
from kchat.transports.amqp.history import HistoryPolicy
from kchat.transports.amqp.management import clock_ahead_of
from tests.brokers.processes import Commands, Process
from tests.brokers.wait import soon
from tests.hostile import amqp_servers, http_servers, redis_servers
from tests.hostile.peer import Peer, Script, Server

PATIENCE = 0.4
"""Seconds of each timeout, in the library."""

LONGEST = 3 * PATIENCE + 6
"""Seconds: to connect, to be answered, to close, and what the machine takes on top. A sender mends for another PATIENCE."""

MOST_MEMORY = 150
"""MB of a command."""


class Outcome(NamedTuple):
    """What came of one input."""

    name: str
    seconds: float
    fault: str = ""
    memory: int = 0


def send(url: str) -> None:
    settings = Settings.resolve(url=url, connect_timeout=PATIENCE, confirm_timeout=PATIENCE)
    with Sender(settings, "ada", reconnect_for=PATIENCE, rejoin_for=0, blocked_for=PATIENCE) as sender:
        sender.send("hello")


def listen(url: str) -> None:
    settings = Settings.resolve(url=url, connect_timeout=PATIENCE, confirm_timeout=PATIENCE)
    with Subscriber(settings, "ada") as subscriber:
        subscriber.receive(timeout=PATIENCE)


def look_back(url: str) -> None:
    settings = Settings.resolve(url=url, connect_timeout=PATIENCE, confirm_timeout=PATIENCE)
    with Subscriber(settings, "ada", since=0) as subscriber:
        subscriber.receive(timeout=PATIENCE)
    with Subscriber(settings, "ada", last=5) as subscriber:
        subscriber.receive(timeout=PATIENCE)


def manage(url: str) -> None:
    management = Accounts(url, "host", "secret", timeout=PATIENCE)
    for ask in (
        management.require_administrator,
        management.all_accounts,
        partial(management.permissions, "ada"),
        partial(management.connections, "ada"),
        partial(management.limit, "ada", "max-connections", 1),
        partial(management.user, "ada"),
    ):
        with suppress(KchatError):
            ask()


def look(url: str) -> None:
    settings = Settings.resolve(url="amqp://host:secret@127.0.0.1/", connect_timeout=PATIENCE)
    with suppress(KchatError):
        api = Guests("amqp").management(settings, url)
        policies.check(api, "/", "kchat.chat.doctor.0123456789abcdef")
    with suppress(KchatError):
        clock_ahead_of(url, settings.tls)


def diagnose(url: str) -> None:
    settings = Settings.resolve(url=url, connect_timeout=PATIENCE, confirm_timeout=PATIENCE)
    assert list(doctor_walk.diagnose(settings))


def attempt(do: Callable[[str], None], scheme: str, item: tuple[str, Script]) -> Outcome:
    """Run something against one server: an error of kchat's is as good as none."""
    name, script = item
    with Server(script) as server:
        began = time.monotonic()
        fault = ""
        try:
            do(f"{scheme}://127.0.0.1:{server.port}" + ("/0" if scheme == "redis" else ""))
        except KchatError as error:
            if len(str(error)) > 1500:
                fault = f"an error of {len(str(error))} characters"
        except Exception as error:  # noqa: BLE001 - what a command would show as a traceback
            fault = repr(error)
        return Outcome(f"{do.__name__}, {name}", time.monotonic() - began, fault)


def run(
    do: Iterable[Callable[[str], None]], scheme: str, corpus: Iterable[tuple[str, Script]]
) -> list[Outcome]:
    """Run all of it, many at a time."""
    items = list(corpus)
    with ThreadPoolExecutor(16) as threads:
        return [each for one in do for each in threads.map(partial(attempt, one, scheme), items)]


def check(outcomes: list[Outcome], longest: float = LONGEST, least: int = 0) -> None:
    """No faults, and none that took long."""
    slowest = max(outcomes, key=lambda each: each.seconds)
    print(f"{len(outcomes)} runs, the longest {slowest.seconds:.1f} s: {slowest.name}")
    assert len(outcomes) >= least
    assert [each for each in outcomes if each.fault] == []
    assert [each for each in outcomes if each.seconds > soon(longest)] == []


def no_history(*_: object, **__: object) -> None:
    """In place of a look at a room's history: these servers say yes to everything."""


def test_no_amqp_broker_brings_a_sender_or_a_subscriber_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HistoryPolicy, "newest", no_history)
    check(run((send, listen), "amqp", amqp_servers.corpus()), LONGEST + PATIENCE, least=400)


def test_no_amqp_broker_with_a_history_brings_a_subscriber_down() -> None:
    check(run((listen,), "amqp", amqp_servers.corpus()), LONGEST + PATIENCE, least=200)


def test_no_few_wrong_bytes_of_an_amqp_broker_bring_a_client_down() -> None:
    check(run((send, listen), "amqp", amqp_servers.fuzzed(150)), LONGEST + PATIENCE)


def test_no_redis_brings_a_sender_or_a_subscriber_down() -> None:
    check(run((send, listen), "redis", redis_servers.corpus()), LONGEST + PATIENCE, least=400)


def test_no_redis_with_a_history_brings_a_sender_or_a_subscriber_down() -> None:
    # It connects twice, and what is read there may come to an end twice.
    check(run((send, look_back), "redis", redis_servers.history_corpus()), 3 * LONGEST, least=400)


def test_no_management_api_brings_invitations_or_the_doctor_down() -> None:
    # manage() makes six requests and more.
    check(run((manage, look), "http", http_servers.corpus()), 10 * PATIENCE + 2, least=300)


def test_no_server_brings_the_doctor_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_trip, "SECONDS", PATIENCE)
    amqp, redis = list(amqp_servers.corpus())[::5], list(redis_servers.corpus())[::5]
    # Each of the steps may wait for an answer of its own.
    check(run((diagnose,), "amqp", amqp) + run((diagnose,), "redis", redis), 12 * PATIENCE + 2)


@pytest.mark.parametrize(
    "state",
    [b"-MISCONF no disk", b"-MASTERDOWN no primary", b"-READONLY a replica", b"-LOADING", b"-NOPERM no"],
)
@pytest.mark.parametrize("do", [send, listen])
def test_a_redis_that_answers_ping_with_a_state_is_there(do: Callable[[str], None], state: bytes) -> None:
    script = redis_servers.at(b"PING", redis_servers.say(state + b"\r\n"))
    with Server(script) as server:
        do(f"redis://127.0.0.1:{server.port}/0")


# ---- commands

AMQP_SAMPLE = (
    "start: size 0xFFFFFFFF",
    "start: garbage",
    "start: a byte now and then",
    "start: nested arrays",
    "start: 120 kB of empty tables",
    "start: a flood of it",
    "tune: heartbeats",
    "tune: frames of 0xFFFFFFFF",
    "tune: frames of 8",
    "open-ok: a flood of heartbeats",
    "open-ok: an unknown code",
    "declare-ok: heartbeats",
    "consume-ok: a body of 2^63",
    "consume-ok: a body of 2^29",
    "consume-ok: a body of 2^29, a byte a frame",
    "consume-ok: messages on all channels",
    "consume-ok: a flood of messages",
    "a web server",
)
REDIS_SAMPLE = (
    "CLIENT: a text of 9,999,999,999",
    "PING: a text of 500,000,000",
    "PING: an array of 2,000,000,000",
    "PING: an array of 20,000 errors",
    "SUBSCRIBE: nested arrays",
    "SUBSCRIBE: a flood of messages",
    "SUBSCRIBE: a flood of large messages",
    "SUBSCRIBE: a byte now and then",
    "a message of 15 MB of JSON values",
    "a message of 15 MB with an emoji",
    "a message of 60 MB",
)
HTTP_SAMPLE = (
    "all: an empty array",
    "all: nothing",
    "all: 32 MB of empty objects",
    "all: 4 MB of empty objects",
    "all: an endless body",
    "all: endless headers",
    "all: a byte now and then",
    "/api/users: 4 MB with an emoji",
)


def sample(corpus: Iterable[tuple[str, Script]], names: tuple[str, ...]) -> list[tuple[str, Script]]:
    """These of the inputs, or all of them."""
    found = dict(corpus)
    return (
        list(found.items())
        if os.environ.get("KCHAT_TEST_HOSTILE") == "all"
        else [(name, found[name]) for name in names]
    )


def watch(process: Process, seconds: float) -> tuple[float, int]:
    """Wait for a command's end, interrupting it when it takes long; returns its seconds and its peak memory in MB."""
    began, peak, interrupted = time.monotonic(), 0, False
    while process.running:
        with suppress(OSError, IndexError, ValueError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, int(status.partition("VmHWM:")[2].split()[0]) // 1024)
        if time.monotonic() - began > seconds and not interrupted:
            interrupted = True
            process.interrupt()
        time.sleep(0.01)  # samples what the kernel forgets when the process ends
    return time.monotonic() - began, peak


def command_outcome(commands: Commands, words: list[str], item: tuple[str, Script]) -> Outcome:
    """Run a command against one server."""
    name, script = item
    with Server(script) as server:
        process = commands.kchat(*(word.format(port=server.port) for word in words))
        seconds, peak = watch(process, 7)
        code = process.wait()
    told = process.stderr.splitlines()
    fault = ""
    if "Traceback" in process.stderr + process.stdout:
        fault = process.stderr[-500:]
    elif code not in (0, 1, 3, 130):
        fault = f"exit code {code}"
    elif code == 1 and words[0] in ("subscribe", "invite") and not 1 <= len(told) <= 3:
        fault = f"{len(told)} lines"
    elif peak > MOST_MEMORY:
        fault = f"{peak} MB"
    return Outcome(f"{words[0]}, {name}", seconds, fault, peak)


def run_commands(commands: Commands, words: list[list[str]], items: list[tuple[str, Script]]) -> None:
    """Run each command against each server, three at a time."""
    with ThreadPoolExecutor(3) as threads:
        outcomes = [
            each for one in words for each in threads.map(partial(command_outcome, commands, one), items)
        ]
    most = max(outcomes, key=lambda each: each.memory)
    print(f"most memory {most.memory} MB: {most.name}")
    # 7 s until it is interrupted, 2 until it ends by that, and what a busy machine takes on top.
    check(outcomes, 7 + 2 + 6)


SHORT = ["--connect-timeout", "1"]


def test_commands_keep_their_memory_and_their_manners_with_a_hostile_amqp_broker(commands: Commands) -> None:
    url = "amqp://a:b@127.0.0.1:{port}/"
    words = [
        ["send", "--url", url, *SHORT, "--confirm-timeout", "1", "hello"],
        ["subscribe", "--url", url, *SHORT, "--idle-timeout", "1"],
    ]
    run_commands(commands, words, sample(amqp_servers.corpus(), AMQP_SAMPLE))


def test_what_comes_while_a_subscriber_says_goodbye_is_neither_kept_nor_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HistoryPolicy, "newest", no_history)
    with Server(dict(amqp_servers.corpus())["consume-ok: a flood of messages"]) as server:
        subscriber = Subscriber(Settings.resolve(url=f"amqp://a:b@127.0.0.1:{server.port}/"), "ada")
        assert subscriber.receive(timeout=soon(5))
        connection = subscriber._connection
        subscriber.close()
    assert len(connection.arrived) < 1000
    assert caplog.records == []


def test_commands_keep_their_memory_and_their_manners_with_a_hostile_redis(commands: Commands) -> None:
    url = "redis://127.0.0.1:{port}/0"
    words = [["subscribe", "--url", url, *SHORT, "--idle-timeout", "1"]]
    run_commands(commands, words, sample(redis_servers.corpus(), REDIS_SAMPLE))


def test_an_invitation_keeps_its_memory_and_its_manners_with_a_hostile_api(commands: Commands) -> None:
    api = "http://127.0.0.1:{port}"
    words = [["invite", "ada", "--url", "amqp://a:b@127.0.0.1:1/", *SHORT, "--management-url", api]]
    run_commands(commands, words, sample(http_servers.corpus(), HTTP_SAMPLE))


HANGS: dict[str, tuple[list[str], Script]] = {
    "send, heartbeats for open-ok": (
        ["send", "--url", "amqp://a:b@127.0.0.1:{port}/", "hello"],
        amqp_servers.at("open-ok", amqp_servers.TAMPERED["heartbeats"]),
    ),
    "send, stray confirmations": (
        ["send", "--url", "amqp://a:b@127.0.0.1:{port}/", "hello"],
        dict(amqp_servers.corpus())["ack: an unknown tag, again and again"],
    ),
    "subscribe, a byte of the greeting now and then": (
        ["subscribe", "--url", "amqp://a:b@127.0.0.1:{port}/"],
        amqp_servers.at("start", amqp_servers.TAMPERED["a byte now and then"]),
    ),
    "subscribe, silence after consuming": (
        ["subscribe", "--url", "amqp://a:b@127.0.0.1:{port}/"],
        dict(amqp_servers.corpus())["consume-ok: a body of 2^29"],
    ),
    "doctor, heartbeats for open-ok": (
        ["doctor", "--url", "amqp://a:b@127.0.0.1:{port}/"],
        amqp_servers.at("open-ok", amqp_servers.TAMPERED["heartbeats"]),
    ),
    "send, a byte now and then from Redis": (
        ["send", "--url", "redis://127.0.0.1:{port}/0", "hello"],
        redis_servers.at(b"PUBLISH", redis_servers.REPLIES["a byte now and then"]),
    ),
    "subscribe, messages of Redis and no confirmation": (
        ["subscribe", "--url", "redis://127.0.0.1:{port}/0"],
        redis_servers.at(b"SUBSCRIBE", redis_servers.REPLIES["messages now and then"]),
    ),
    "invite, a byte now and then from the API": (
        ["invite", "ada", "--url", "amqp://a:b@127.0.0.1:1/", "--management-url", "http://127.0.0.1:{port}"],
        http_servers.at("", http_servers.ANSWERS["a byte now and then"]),
    ),
}
"""Commands in the middle of a wait that a server draws out."""


def test_signals_end_what_a_server_draws_out(commands: Commands) -> None:
    def end(name: str, number: signal.Signals) -> Outcome:
        words, script = HANGS[name]
        reached = threading.Event()

        def seen(peer: Peer) -> None:
            reached.set()
            script(peer)

        patience = [] if words[0] != "send" else ["--confirm-timeout", "30"]
        with Server(seen) as server:
            process = commands.kchat(
                *(word.format(port=server.port) for word in words), "--connect-timeout", "30", *patience
            )
            assert reached.wait(40), (name, process.stderr)
            process.signal(number)
            began = time.monotonic()
            code = process.wait(10)
        # Python itself dies of SIGTERM where a command has nothing to clean up.
        fault = (
            ""
            if code in (0, 130, -signal.SIGTERM) and "Traceback" not in process.stderr
            else f"{code}: {process.stderr}"
        )
        return Outcome(f"{name}, {number.name}", time.monotonic() - began, fault)

    jobs = [(name, number) for name in HANGS for number in (signal.SIGINT, signal.SIGTERM)]
    with ThreadPoolExecutor(4) as threads:
        check(list(threads.map(lambda job: end(*job), jobs)), 2 + 1)
