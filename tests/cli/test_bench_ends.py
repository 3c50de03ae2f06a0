"""``kchat bench`` comes to an end, whatever happens to it: it says why in a line, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.brokers.processes import Commands, Process
from tests.brokers.proxy import Proxy
from tests.brokers.pubsub import Emulator
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import Deadline, wait_until

ENDLESS = ("--messages", "1000000")
SLOW = ("--rate", "10", "--messages", "10000")


def rooms(node: RabbitMQ, vhost: str) -> list[str]:
    """The exchanges of a vhost that are not the broker's own."""
    names = [each["name"] for each in node.management.exchanges(vhost)]
    return [name for name in names if name and not name.startswith("amq.")]


def workers(process: Process) -> list[int]:
    """The running processes of a benchmark as they were started: subscribers, then senders. Linux tells."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(each) for each in children if "kchat.bench" in _command_of(int(each))]


def has_ended(pid: int) -> bool:
    """Whether a process runs no more; somebody may not have taken notice of it yet."""
    return not _command_of(pid)


def can_clean_up(pid: int) -> bool:
    """Whether a process has come so far that it handles SIGTERM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (handled,) = [int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")]
    return bool(handled & 1 << (signal.SIGTERM - 1))


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def gone(rabbitmq: RabbitMQ, vhost: str) -> None:
    """Nothing of a benchmark is left in a vhost."""
    assert rooms(rabbitmq, vhost) == []
    wait_until(lambda: rabbitmq.management.queues(vhost) == [], 15, "the queues to go")


def first_line(url: str) -> str:
    """What a benchmark says when it begins."""
    password = url.split("@", maxsplit=1)[0].rsplit(":", 1)[1]
    return f"measuring a temporary room at {url.replace(password, '***')}"


@pytest.fixture
def proxy(proxy_to: Callable[[int], Proxy], rabbitmq: RabbitMQ) -> Proxy:
    return proxy_to(rabbitmq.port)


@pytest.fixture
def proxied_url(rabbitmq: RabbitMQ, vhost: str, proxy: Proxy) -> str:
    return rabbitmq.url_for(vhost, host=proxy.host, port=proxy.port)


def busy(commands: Commands, url: str, proxy: Proxy, *arguments: str) -> Process:
    """A benchmark whose senders are sending."""
    process = commands.kchat("bench", "--url", url, *arguments)
    wait_until(lambda: proxy.forwarded("to_client") > 500_000, 30, "messages to arrive")
    return process


# ---- a process that fails


@pytest.mark.parametrize("number", [0, 1, 2], ids=["subscriber", "subscriber", "sender"])
def test_a_process_that_is_killed_ends_it_with_one_line(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, proxy: Proxy, proxied_url: str, number: int
) -> None:
    process = busy(commands, proxied_url, proxy, *ENDLESS, "--subscribers", "2")
    os.kill(workers(process)[number], signal.SIGKILL)
    assert process.wait(20) == 1
    kind = "subscriber" if number < 2 else "sender"
    assert process.stderr.splitlines() == [
        first_line(proxied_url),
        f"kchat: a {kind}'s process has ended by itself (SIGKILL)",
    ]
    gone(rabbitmq, vhost)


def test_an_error_of_a_subscriber_ends_it_while_senders_send(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, proxy: Proxy
) -> None:
    account = f"bench-{vhost}"
    rabbitmq.management.add_user(account, "secret")
    try:
        rabbitmq.management.permit(vhost, account, ".*", ".*", ".*")
        url = rabbitmq.url_for(vhost, account, "secret", host=proxy.host, port=proxy.port)
        process = busy(commands, url, proxy, *ENDLESS)
        # It may go on sending, but not make another queue to listen with. Nor may it delete the room.
        rabbitmq.management.permit(vhost, account, "", ".*", ".*")
        proxy.cut()
        assert process.wait(30) == 1
        assert "connection lost: " in process.stderr
        left, error, hint = process.stderr.splitlines()[-3:]
        assert "is left behind" in left
        assert error.startswith("kchat: ")
        assert "not authorised" in error
        assert hint.startswith("  ")
    finally:
        rabbitmq.management.delete_user(account)


def test_a_lost_connection_is_told_at_once_and_counted(
    commands: Commands, proxy: Proxy, proxied_url: str
) -> None:
    process = commands.kchat("bench", "--url", proxied_url, "--rate", "200", "--messages", "800", "--json")
    proxy.wait_for_connections(2, 30)
    wait_until(lambda: proxy.forwarded("to_client") > 20_000, 30, "messages to arrive")
    proxy.cut()
    wait_until(lambda: "connection lost: " in process.stderr, 10, "word of it")
    process.wait(60)
    assert "connected again" in process.stderr
    assert "listening again" in process.stderr
    assert json.loads(process.stdout)["connections_lost"] == 2


# ---- messages that do not come


def test_lost_messages_do_not_use_up_the_senders_lead(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, proxy: Proxy, proxied_url: str
) -> None:
    process = commands.kchat("bench", "--url", proxied_url, "--messages", "40000")
    wait_until(lambda: len(workers(process)) == 2, 30, "subscriber and sender to be there")
    subscriber = workers(process)[0]
    wait_until(lambda: proxy.forwarded("to_client") > 500_000, 30, "messages to arrive")
    os.kill(subscriber, signal.SIGSTOP)
    # The sender waits for it, its whole lead ahead. All of that is lost with the queue.
    wait_until(lambda: lead_is_used(rabbitmq, vhost), 30, "the sender to wait")
    proxy.cut()
    os.kill(subscriber, signal.SIGCONT)
    assert process.wait(60) == 1
    lost = [line for line in process.lines if line.startswith("lost")]
    assert lost != []
    assert lost[0].split() != ["lost", "0"]
    assert "connection lost: " in process.stderr


def lead_is_used(rabbitmq: RabbitMQ, vhost: str) -> bool:
    """Whether a sender's lead is in the queues: 5,000 messages and those up to its next look."""
    waiting = sum(int(each.get("messages", 0)) for each in rabbitmq.management.queues(vhost))
    return waiting >= 5_000


def test_a_subscriber_that_stands_still_does_not_hold_up_the_senders(
    commands: Commands, amqp_url: str
) -> None:
    process = commands.kchat("bench", "--url", amqp_url, "--messages", "40000")
    wait_until(lambda: len(workers(process)) == 2, 30, "subscriber and sender to be there")
    subscriber, sender = workers(process)
    os.kill(subscriber, signal.SIGSTOP)
    wait_until(lambda: has_ended(sender), 90, "the sender to be done")
    os.kill(subscriber, signal.SIGCONT)
    assert process.wait(40) == 1
    # The broker keeps the newest 10,000 for it.
    assert "\nlost          2" in process.stdout
    first, *told = process.stderr.splitlines()
    assert first == first_line(amqp_url)
    assert [line.partition(" ")[2] for line in told] == [
        "messages were dropped: this reader was too slow, and its queue at the broker was full"
    ]


def test_a_message_delayed_by_a_stall_is_timed_from_when_it_was_due(
    commands: Commands, proxy: Proxy, proxied_url: str
) -> None:
    process = commands.kchat("bench", "--url", proxied_url, "--rate", "200", "--messages", "600", "--json")
    wait_until(lambda: proxy.forwarded("to_client") > 20_000, 30, "messages to arrive")
    sender = workers(process)[1]
    os.kill(sender, signal.SIGSTOP)
    stall = Deadline(1.0)
    wait_until(lambda: stall.passed, 5, "the stall to be over")
    os.kill(sender, signal.SIGCONT)
    assert process.wait(30) == 0
    latency = json.loads(process.stdout)["latency"]
    # 200 messages were due meanwhile, a third of all: those of its first half are over 500 ms late.
    assert latency["p95_ms"] > 500


# ---- what is left afterwards


def test_no_room_and_no_queue_is_left_on_a_broker(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, amqp_url: str
) -> None:
    result = commands.run_kchat("bench", "--url", amqp_url, "--room", "chat", "--messages", "20", seconds=60)
    assert result.code == 0, result.stderr
    gone(rabbitmq, vhost)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_ended_by_a_signal_it_leaves_nothing_behind(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, amqp_url: str, number: int
) -> None:
    process = commands.kchat("bench", "--url", amqp_url, *SLOW)
    wait_until(lambda: rooms(rabbitmq, vhost) != [], 30, "the room to be there")
    process.signal(number)
    assert process.wait(30) == 130
    assert process.stderr.splitlines() == [first_line(amqp_url)]
    gone(rabbitmq, vhost)


def test_pressing_ctrl_c_again_and_again_does_not_interrupt_the_clean_up(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, amqp_url: str
) -> None:
    process = commands.kchat("bench", "--url", amqp_url, *SLOW, "--subscribers", "3")
    wait_until(lambda: rooms(rabbitmq, vhost) != [], 30, "the room to be there")

    def press() -> bool:
        process.interrupt()
        return not process.running

    wait_until(press, 30, "the end")
    assert process.wait(30) == 130
    assert process.stderr.split("\n", 1)[0] == first_line(amqp_url)
    assert not process.stderr.split("\n", 1)[1].strip()
    gone(rabbitmq, vhost)


def test_ctrl_c_is_not_kept_from_its_end_by_a_broker_that_does_not_answer_and_says_what_is_left(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, proxy: Proxy, proxied_url: str
) -> None:
    process = busy(commands, proxied_url, proxy, *ENDLESS)
    (room,) = rooms(rabbitmq, vhost)
    proxy.black_hole()
    process.interrupt()
    assert process.wait(15) == 130
    said = process.stderr.splitlines()
    assert len(said) == 2
    assert said[1].startswith(f"the room {room} is left behind: ")


@pytest.mark.parametrize("started", [1, 2, 3])
def test_ctrl_c_while_processes_start_says_nothing(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, amqp_url: str, started: int
) -> None:
    process = in_own_group(commands, "bench", "--url", amqp_url, *SLOW, "--subscribers", "2")
    wait_until(lambda: len(workers(process)) >= started, 30, "processes to start", pause=0.001)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr.splitlines() == [first_line(amqp_url)]
    gone(rabbitmq, vhost)


def in_own_group(commands: Commands, *arguments: str) -> Process:
    """A command that a signal to its process group reaches with all its processes, as a terminal's Ctrl+C does."""
    return commands.start(["setsid", sys.executable, "-m", "kchat", *arguments])


# ---- without those who run them


@pytest.mark.parametrize("number", [1, 3], ids=["while others start", "all at work"])
def test_processes_whose_parent_is_killed_end_by_themselves_and_leave_nothing_behind(
    commands: Commands, rabbitmq: RabbitMQ, vhost: str, amqp_url: str, number: int
) -> None:
    process = commands.kchat("bench", "--url", amqp_url, *SLOW, "--subscribers", "2")
    wait_until(lambda: sum(map(can_clean_up, workers(process))) >= number, 30, "processes to start")
    orphans = workers(process)
    process.kill()
    wait_until(lambda: all(map(has_ended, orphans)), 30, "them to end")
    process.wait()
    assert process.stderr.splitlines() == [first_line(amqp_url)]
    gone(rabbitmq, vhost)


def test_the_file_of_an_embedded_room_goes_although_the_parent_is_killed(
    commands: Commands, tmp_path: Path
) -> None:
    folder = tmp_path / "rooms"
    folder.mkdir()
    process = commands.kchat("bench", "--url", f"local://{folder}/chat.db", *ENDLESS)
    wait_until(lambda: any(file.stat().st_size > 100_000 for file in folder.glob(".*/*")), 30, "messages")
    process.kill()
    wait_until(lambda: not list(folder.iterdir()), 30, "all to be gone")


def test_senders_whose_parent_is_killed_before_they_may_begin_end_by_themselves(
    commands: Commands, proxy: Proxy, proxied_url: str
) -> None:
    process = commands.kchat("bench", "--url", proxied_url, *SLOW, "--senders", "2")
    wait_until(lambda: len(workers(process)) == 3, 30, "processes to start", pause=0.001)
    orphans = workers(process)
    os.kill(orphans[2], signal.SIGSTOP)  # never ready, so that the other one waits
    try:
        proxy.wait_for_connections(2, 30)
        process.kill()
        wait_until(lambda: all(map(has_ended, orphans[:2])), 30, "them to end")
    finally:
        with suppress(ProcessLookupError):
            os.kill(orphans[2], signal.SIGCONT)
    wait_until(lambda: has_ended(orphans[2]), 30, "the last one to end")
    process.wait()
    assert process.stderr.splitlines() == [first_line(proxied_url)]


# ---- nothing else on standard error


def test_a_wrong_password_is_said_in_two_lines(commands: Commands, rabbitmq: RabbitMQ, vhost: str) -> None:
    url = rabbitmq.url_for(vhost, password="wrong")
    result = commands.run_kchat("bench", "--url", url, "--subscribers", "3", seconds=60)
    assert result.code == 1
    said = result.stderr.splitlines()
    assert said[0] == first_line(url)
    assert "login refused" in said[1]
    assert said[2].startswith("  ")
    assert len(said) == 3


def test_a_successful_bench_prints_no_warnings(commands: Commands, amqp_url: str) -> None:
    arguments = ("--messages", "300", "--senders", "2", "--subscribers", "3")
    result = commands.run_kchat("bench", "--url", amqp_url, *arguments, seconds=60)
    assert result.code == 0
    assert result.stderr.splitlines() == [first_line(amqp_url)]


def test_nor_is_it_on_pubsub(commands: Commands, pubsub_emulator: Emulator) -> None:
    url = pubsub_emulator.url(pubsub_emulator.new_project())
    arguments = ("--messages", "100", "--subscribers", "2")
    result = commands.run_kchat(
        "bench", "--url", url, *arguments, env=pubsub_emulator.environment, seconds=90
    )
    assert result.code == 0, result.stderr
    assert len(result.stderr.splitlines()) == 1
